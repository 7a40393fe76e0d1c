import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import write_folder

from paragraph_ocr.pipeline.rectification import Geometry
from training.data.pages import DatasetError, load_pages
from training.data.splices import Splicer
from training.data.strips import Strip, cut_page
from training.networks.crnn import CRNN, MAX_MASK, mask_columns
from training.networks.layers import Residual, divergence
from training.networks.sliding_cnn import SlidingCNN
from training.tasks.recognition import (
    BLANK,
    SCALING,
    AugmentedLines,
    Recognition,
    RecognitionOptions,
    Sources,
    extend_charset,
    in_capitals,
    load_charset,
    scale_to_density,
    stack,
)

OPTIONS = {"height": 32, "width": 512, "columns": 2048}
NETWORK = {"name": "crnn", "channels": [8, 16, 24, 32], "hidden": 48}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("lines") / "data", {"a": "train", "b": "train", "c": "val"})


def test_lines_are_split_by_writer_and_cached(folder: Path, tmp_path: Path) -> None:
    first = Recognition([folder], tmp_path, OPTIONS, dict(NETWORK))
    again = Recognition([folder], tmp_path, OPTIONS, dict(NETWORK))
    assert {s.writer for s in first.train}.isdisjoint({s.writer for s in first.validation})
    assert len(first.train) == 8
    assert all((a.pixels == b.pixels).all() for a, b in zip(first.train, again.train, strict=True))
    assert first.sources == ["test"]


def test_a_writer_on_both_sides_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a/1": "train", "a/2": "val"})
    with pytest.raises(DatasetError, match="a of test"):
        Recognition([folder], tmp_path, OPTIONS, dict(NETWORK))


def test_validation_leaves_out_texts_that_were_trained_on(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a": "train", "b": "val"})
    index = folder / "pages.jsonl"
    train, val = index.read_text().splitlines()
    known, kept = (Recognition([folder], tmp_path, OPTIONS, dict(NETWORK)).validation[i].text for i in (0, 1))
    index.write_text(train.replace(train.split('"text": "')[1].split('"')[0], known) + "\n" + val + "\n")
    texts = [s.text for s in Recognition([folder], tmp_path, OPTIONS, dict(NETWORK)).validation]
    assert known not in texts
    assert kept in texts


def test_an_option_that_does_not_exist_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="colour"):
        Recognition([folder], tmp_path, OPTIONS | {"colour": True}, dict(NETWORK))


@pytest.mark.parametrize(
    ("text", "capitals"),
    [("NATURE ET ESPECE", True), ("Le STADE De BRUGES", True), ("Le stade", False), ("N° 12 A.", False)],
)
def test_lines_in_capitals_are_told_from_others(text: str, capitals: bool) -> None:
    assert in_capitals(text) is capitals


def test_lines_in_capitals_are_drawn_more_often() -> None:
    strips = [
        Strip(np.full((43, 200), 200, np.uint8), text, 0.7, "a", "x", struck=False) for text in ("ECRITURE", "mot")
    ]
    options = RecognitionOptions(height=32, width=512, capitals=3.0)
    lines = AugmentedLines(Splicer(strips, [[], []]), options, load_charset(), seed=0)
    assert lines.probability.tolist() == [0.75, 0.25]


def test_dense_lines_are_made_larger_and_wider() -> None:
    blank = np.full((40, 600), 200, np.uint8)
    blank[20:29, 100:500] = 0
    dense, roomy = (Strip(blank, "x" * letters, 0.7, "a", "x", struck=False) for letters in (60, 20))
    zoom, stretch = SCALING.factors(60 / 600)
    assert (zoom, stretch) == (1.25, pytest.approx(1.12))
    larger = scale_to_density(dense, 0.725).pixels
    assert larger.shape == (40, round(600 * zoom * stretch))
    rows, columns = np.nonzero(np.asarray(larger) < 100)
    assert np.ptp(rows) + 1 == pytest.approx(9 * zoom, abs=1), "as much larger"
    assert rows.max() == 28, "the baseline stays"
    assert np.ptp(columns) + 1 == pytest.approx(400 * zoom * stretch, abs=2)
    assert scale_to_density(roomy, 0.725).pixels.shape == (40, round(600 * SCALING.min_zoom))
    assert SCALING.factors(10.0) == (SCALING.max_zoom, SCALING.max_stretch)
    assert SCALING.factors(0.75 / SCALING.columns_per_character) == (1, 1)


def test_batches_fit_the_budget_and_the_input(folder: Path, tmp_path: Path) -> None:
    task = Recognition([folder], tmp_path, OPTIONS, dict(NETWORK))
    # A line as wide as the input stays as much larger and wider as it is dense.
    widest = 512 * max(math.prod(SCALING.factors(len(strip.text) / strip.pixels.shape[1])) for strip in task.train)
    batches = task.batches(seed=0, workers=0)
    for _ in range(20):
        ink, classes, lengths = next(batches)
        assert ink.shape[1:3] == (1, 32)
        assert ink.shape[3] % 32 == 0
        assert ink.shape[3] <= -(-widest // 32) * 32
        assert len(lengths) == len(ink)
        assert len(classes) == int(lengths.sum())
        assert BLANK not in classes


def test_with_consistency_a_batch_holds_each_strip_in_two_degradations(folder: Path, tmp_path: Path) -> None:
    task = Recognition([folder], tmp_path, OPTIONS | {"consistency": 0.2}, dict(NETWORK))
    batches = task.batches(seed=0, workers=0)
    different = 0
    for _ in range(5):
        ink, classes, lengths = next(batches)
        assert ink.shape[0] * ink.shape[3] <= OPTIONS["columns"] + 2 * ink.shape[3]
        first, second = ink.chunk(2)
        assert torch.equal(*lengths.chunk(2))
        assert torch.equal(*classes.chunk(2))
        different += sum(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
        # They are bent alike: their letters stand in the same columns.
        columns = [torch.nn.functional.avg_pool1d(each.clamp(0, 1).mean(dim=(1, 2)), 8) for each in (first, second)]
        alike = torch.corrcoef(torch.stack([each.flatten() for each in columns]))[0, 1]
        assert alike > 0.6
    assert different > 10


def test_two_views_are_drawn_to_each_other_and_not_through_each_other() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 6, 5, requires_grad=True)
    lengths = torch.full((4,), 3)
    same = torch.cat([scores[:2], scores[:2]]).log_softmax(2)
    assert divergence(same.detach(), lengths).item() == pytest.approx(0.0, abs=1e-6)
    apart = divergence(scores.log_softmax(2), lengths)
    assert apart.item() > 0.1
    (gradient,) = torch.autograd.grad(apart, scores)
    with torch.no_grad():
        nearer = divergence((scores - 0.1 * gradient).log_softmax(2), lengths)
    assert nearer.item() < apart.item()
    first, second = (part.exp() for part in scores.detach().log_softmax(2).chunk(2))
    # The gradient of a Kullback-Leibler divergence whose target is fixed is the difference of the probabilities.
    assert torch.allclose(gradient[:2], (first - second) / 12, atol=1e-6)


def test_a_network_without_frames_refuses_consistency(folder: Path, tmp_path: Path) -> None:
    network = NETWORK | {"name": "seq2seq", "width": 64, "layers": 1}
    task = Recognition([folder], tmp_path, OPTIONS | {"consistency": 0.2}, network)
    with pytest.raises(SystemExit, match="consistency"):
        task.loss(task.network, next(task.batches(seed=0, workers=0)), torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crnn", "seq2seq"])
def test_one_line_can_be_learnt_by_heart(folder: Path, tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    decoder = {"width": 64, "layers": 1} if name == "seq2seq" else {}
    task = Recognition([folder], tmp_path, OPTIONS, NETWORK | {"name": name} | decoder)
    for module in task.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.LSTM):
            module.dropout = 0.0
    strip = task.train[0]
    pixels = cut_page(load_pages(folder, "train")[0], Geometry(32, 512))[0][0]
    ink = stack([pixels], -(-pixels.shape[1] // 32) * 32)
    indices = {character: index + 1 for index, character in enumerate(load_charset())}
    batch = (ink, torch.tensor([indices[character] for character in strip.text]), torch.tensor([len(strip.text)]))
    # A CRNN that reads all but one of 19 characters already has a loss of 0.05. It stays there for some hundred steps,
    # more or less by how a processor rounds, and then goes on to less than this.
    least = 0.01 if name == "crnn" else 0.5
    optimizer = torch.optim.Adam(task.network.parameters(), 3e-3 if name == "crnn" else 1e-3)
    for _ in range(3000):
        optimizer.zero_grad()
        loss = task.loss(task.network, batch, torch.device("cpu"))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.network.parameters(), 1.0)
        optimizer.step()
        if float(loss.detach()) < least:
            break
    assert float(loss.detach()) < least
    with torch.no_grad():
        for _ in range(60):
            # Batch normalisation's running means come after what is fitted.
            task.loss(task.network, batch, torch.device("cpu"))
    task.network.eval()
    with torch.no_grad():
        read = task.network.read(ink)[0]
    assert "".join(task.charset[kind - 1] for kind in read) == strip.text


def test_a_sliding_window_sees_nothing_beyond_itself() -> None:
    torch.manual_seed(0)
    network = SlidingCNN(classes=5, height=32, channels=(8, 8, 16, 16), hidden=16).eval()
    strips = torch.rand(1, 1, 32, 256)
    with torch.no_grad():
        columns = network.columns(strips)
        assert columns.shape == (1, 32, 64)
        strips[..., 160:] = 0
        other = network.columns(strips)
        shifted = network.columns(torch.nn.functional.pad(strips, (16, 0))[..., :256])
    same = (columns == other).all(dim=1)[0]
    assert same[: (160 - 32) // 4].all()
    assert not same[160 // 4 :].any()
    assert torch.allclose(other[..., 8:32], shifted[..., 12:36], atol=1e-5)


def test_as_many_columns_are_masked_as_asked_for_in_spans_of_two_to_eight() -> None:
    torch.manual_seed(0)
    shares = []
    for _ in range(40):
        masked = mask_columns(torch.ones(16, 3, 200), 0.15) == 0
        assert (masked == masked[:, :1]).all(), "a column is masked whole"
        edges = torch.nn.functional.pad(masked[:, 0].int(), (1, 1)).diff()
        for row in edges:
            lengths = row.eq(-1).nonzero() - row.eq(1).nonzero()
            assert not len(lengths[1:-1]) or lengths[1:-1].min() >= 2
        shares.append(float(masked.float().mean()))
    assert 0.11 < np.mean(shares) < 0.15
    assert MAX_MASK == 8


def test_nothing_is_masked_when_reading_nor_where_the_shortcut_reads() -> None:
    torch.manual_seed(0)
    network = CRNN(5, 16, (2, 3, 4, 5), 6, dropout=0.0, masked=0.9)
    strips = torch.rand(2, 1, 16, 64)
    with torch.inference_mode():
        (first, first_shortcut), (second, second_shortcut) = network(strips), network(strips)
        assert not torch.equal(first, second)
        assert torch.equal(first_shortcut, second_shortcut)
        network.eval()
        assert torch.equal(network(strips), network(strips))


def test_residuals_added_to_a_network_can_hand_on_what_they_are_given() -> None:
    torch.manual_seed(0)
    options = {"classes": 5, "height": 16, "channels": (2, 3, 4, 5), "hidden": 6}
    small, large = CRNN(**options).eval(), CRNN(**options, residuals=(1, 1, 2, 3)).eval()
    assert len(large.convolutions) - len(small.convolutions) == 5
    kept = iter([part for part in small.convolutions if not isinstance(part, Residual)])
    residuals = iter([part for part in small.convolutions if isinstance(part, Residual)])
    seen: set[int] = set()
    for part in large.convolutions:
        if not isinstance(part, Residual):
            part.load_state_dict(next(kept).state_dict())
            continue
        width = part.body[0][0].in_channels
        if width in (3, 4) and width not in seen:
            part.load_state_dict(next(residuals).state_dict())
        else:
            part.body[1][1].weight.data.zero_()
        seen.add(width)
    strips = torch.rand(2, 1, 16, 64)
    with torch.inference_mode():
        assert torch.equal(small.columns(strips), large.columns(strips))


def test_a_grown_charset_begins_with_what_was_learnt() -> None:
    torch.manual_seed(0)
    small = CRNN(classes=4, height=48).eval()
    grown = CRNN(classes=6, height=48).eval()
    grown.load_state_dict(extend_charset(dict(small.state_dict()), "aoe", "aoeąé"))
    strips = torch.rand(1, 1, 48, 64)
    with torch.inference_mode():
        before, after = small(strips).numpy(), grown(strips).numpy()
    shares = np.exp(after[..., :4])
    np.testing.assert_allclose(np.exp(before), shares / shares.sum(2, keepdims=True), atol=1e-5)
    assert (after[..., 4] < after[..., 1]).all(), "a letter with an accent begins as a less likely one without"


def test_a_charset_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(SystemExit, match="append"):
        extend_charset(dict(CRNN(classes=3, height=48).state_dict()), "ab", "ba")


def test_folders_are_told_by_what_they_hold(tmp_path: Path) -> None:
    for name in ("pages", "pen", "assets/fonts", "prose"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pen" / "lines.npz").touch()
    (tmp_path / "prose" / "en.txt").touch()
    sources = Sources.sort([tmp_path / name for name in ("pages", "pen", "assets", "prose")])
    assert sources.pages == [tmp_path / "pages"]
    assert (sources.pen, sources.assets, sources.prose) == (tmp_path / "pen", tmp_path / "assets", tmp_path / "prose")
    with pytest.raises(SystemExit, match="npz"):
        Sources.sort([]).renderer("train", Geometry(64, 1280), (), tmp_path).draw("pen_lines", np.random.default_rng(0))
