"""Adapting the models to a few pages: what is held out, what is refused, and a run to a model set that reads."""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pages import WORDS, write_pages

from adaptation import command, fitting
from adaptation.command import CHECKPOINTS
from adaptation.detector import AdaptedDetector, adapt_detector
from adaptation.fitting import Adaptation, Settings, interpolate
from adaptation.material import Material, cut_lines, fold_characters, foreign_characters, pair_lines, split_pages
from adaptation.text import adapt_language
from export.__main__ import build
from paragraph_ocr.model_set import FOLDER, load_manifest
from paragraph_ocr.models import Model
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.language import OWN, Languages, Mixture
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.recognition import Recognizer
from training.cli import main
from training.data.pages import DatasetError, TrueLine, TruePage, load_pages
from training.data.splices import Splicer
from training.networks.crnn import CRNN
from training.tasks.recognition import RecognitionOptions, load_charset


def write_hand(folder: Path, texts: list[list[str]]) -> Path:
    """A folder with a page for each list of lines, all in one hand."""
    return write_pages(folder, texts, [("hand", "train")] * len(texts), size=40)


def make_texts(pages: int, lines: int = 5) -> list[list[str]]:
    """Lines of random words."""
    rng = np.random.default_rng(0)
    return [[" ".join(rng.choice(WORDS, 4)) for _ in range(lines)] for _ in range(pages)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hand(tmp_path_factory.mktemp("adapt") / "pages", make_texts(5))


@pytest.fixture(scope="module")
def pages(folder: Path) -> list[TruePage]:
    return load_pages(folder)


@pytest.fixture(scope="module")
def adapted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model set that was adapted for a few steps, and what the command printed."""
    out = tmp_path_factory.mktemp("models") / "mine"
    arguments = ["adapt", str(folder), "--out", str(out), "--threads", "1", "--steps", "6", "--minutes", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "training.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_a_fifth_of_the_pages_is_held_out_whole(pages: list[TruePage]) -> None:
    train, held_out = split_pages(pages * 4)

    assert len(held_out) == 4
    assert len(train) == 16
    train, held_out = split_pages(pages[:3])
    assert [len(train), len(held_out)] == [2, 1]


def test_the_given_split_is_kept(pages: list[TruePage]) -> None:
    given = [replace(pages[0], split="val"), *pages[1:]]

    train, held_out = split_pages(given)

    assert [page.page_id for page in held_out] == ["page0"]
    assert len(train) == 4
    with pytest.raises(DatasetError, match='split "train"'):
        split_pages([replace(page, split="val") for page in pages])


def test_the_last_lines_of_one_or_two_pages_are_held_out(pages: list[TruePage]) -> None:
    long = replace(pages[0], lines=pages[0].lines * 3)

    train, held_out = split_pages([long])

    assert [len(train[0].lines), len(held_out[0].lines)] == [12, 3]
    # A part of a page must not teach the detector that the other lines are none.
    assert not train[0].whole
    assert not held_out[0].whole


def test_pages_of_several_hands_are_held_out_of_each(pages: list[TruePage]) -> None:
    hands = [replace(page, writer=writer) for writer in "ab" for page in pages]

    _, held_out = split_pages(hands)

    assert {page.writer for page in held_out} == {"a", "b"}


def test_three_lines_are_too_few(pages: list[TruePage]) -> None:
    with pytest.raises(DatasetError, match="3 lines have text, and adapting needs 12 or more"):
        split_pages([replace(pages[0], lines=pages[0].lines[:3])])


def test_typographic_marks_are_read_as_plain_ones(pages: list[TruePage]) -> None:
    line = replace(pages[0].lines[0], text="a\u00a0 \u02bcb\u02bc \ufb01\u017f\u2e17")
    page = fold_characters(replace(pages[0], lines=(line,)))

    assert page.lines[0].text == "a 'b' fis-"
    assert foreign_characters([page], load_charset()) == {}


def test_lines_with_characters_that_the_model_lacks_are_left_out(pages: list[TruePage]) -> None:
    strange = replace(pages[0].lines[0], text="þe ꝥ olde ꝥ")
    changed = [replace(pages[0], lines=(strange, *pages[0].lines[1:])), *pages[1:]]

    assert foreign_characters(changed, load_charset()) == {"ꝥ": 1}
    material = cut_lines(changed[:3], changed[3:], PageReader.load(), load_charset())
    assert not any("ꝥ" in strip.text for strip in material.strips)
    assert sum(strip.source == "annotated" for strip in material.strips) == 14
    assert sum(strip.source == "detected" for strip in material.strips) >= 12
    assert material.recall > 0.9


def test_lines_whose_outlines_are_too_high_are_cut_like_detected_ones(pages: list[TruePage]) -> None:
    def higher(page: TruePage) -> TruePage:
        lines = tuple(
            replace(
                line,
                baseline=line.baseline + np.array([0, 5], np.float32),
                polygon=line.polygon + np.where(np.arange(len(line.polygon)) < 2, -30, 30)[:, None] * np.array([0, 1]),
                ascender=2.2 * line.ascender,
                descender=1.9 * line.descender,
            )
            for line in page.lines
        )
        return replace(page, lines=lines)

    reader = PageReader.load()
    usual = cut_lines(pages[:3], pages[3:], reader, load_charset())
    high = cut_lines([higher(page) for page in pages[:3]], [higher(page) for page in pages[3:]], reader, load_charset())

    # By their baselines they are found all the same.
    assert high.recall == usual.recall == 1.0
    assert high.found == usual.found > 0.9
    expected, cut = ([strip for strip in each.strips if strip.source == "annotated"] for each in (usual, high))
    assert [strip.text for strip in cut] == [strip.text for strip in expected]
    for one, other in zip(expected, cut, strict=True):
        assert other.pixels.shape[1] == pytest.approx(one.pixels.shape[1], rel=0.05)
        assert other.ascender == pytest.approx(one.ascender, abs=0.03)
        # The letters stand at the same height.
        rows = [
            (255.0 - strip.pixels).sum(axis=1) @ np.arange(64) / (255.0 - strip.pixels).sum() for strip in (one, other)
        ]
        assert rows[0] == pytest.approx(rows[1], abs=1.5)


def test_lines_are_paired_by_their_baselines(pages: list[TruePage]) -> None:
    true = list(pages[0].lines)

    def detected(line: TrueLine, down: float = 0.0, part: float = 1.0) -> TextLine:
        start, end = line.baseline[[0, -1]]
        baseline = np.array([start, start + part * (end - start)], np.float32) + np.array([0, down], np.float32)
        return TextLine(baseline, line.ascender, line.descender, 0.9)

    height = true[0].ascender + true[0].descender
    assert pair_lines(true, [detected(true[2], 3.0), detected(true[0])]) == {0: 1, 2: 0}
    assert pair_lines(true, [detected(true[0], part=0.4)]) == {}
    assert pair_lines(true, [detected(true[0], -0.6 * height)]) == {}
    # Of two, the one that is nearer.
    assert pair_lines(true[:1], [detected(true[0], 8.0), detected(true[0], 1.0)]) == {0: 1}
    assert pair_lines([], [detected(true[0])]) == pair_lines(true, []) == {}


def test_weights_are_interpolated() -> None:
    base, adapted = {"w": torch.zeros(2), "n": torch.tensor(1)}, {"w": torch.ones(2), "n": torch.tensor(5)}

    mixed = interpolate(base, adapted, 0.25)

    assert mixed["w"].tolist() == [0.25, 0.25]
    assert mixed["n"].item() == 5


def test_the_language_model_expects_the_text_of_the_pages(pages: list[TruePage], tmp_path: Path) -> None:
    words = ["zwarte", "kraggen", "vlooien", "quorren"]
    rng = np.random.default_rng(1)
    lines = [replace(pages[0].lines[0], text=" ".join(rng.choice(words, 4))) for _ in range(60)]
    train, held_out = [replace(pages[0], lines=tuple(lines[:40]))], [replace(pages[0], lines=tuple(lines[40:]))]
    charset = load_charset()

    entry = adapt_language(FOLDER / "language.npz", tmp_path / "language.npz", train, held_out, charset, "mine")

    assert entry["share"] > 0.3
    assert entry["after"] < 0.7 * entry["before"]
    languages = Languages.load(tmp_path / "language.npz")
    assert isinstance(languages.model({"en": 1.0}), Mixture)
    assert OWN not in languages.models
    assert Languages.load(tmp_path / "language.npz", own=False).own is None


def test_text_of_another_kind_gets_no_share(pages: list[TruePage], tmp_path: Path) -> None:
    numbers = [replace(pages[0].lines[0], text=f"{n * 7919 % 10007} {n * 31337 % 997}") for n in range(40)]
    held_out = [replace(pages[0], lines=(replace(pages[0].lines[0], text="The quick brown fox jumps over it"),))]

    entry = adapt_language(
        FOLDER / "language.npz", tmp_path / "language.npz", [replace(pages[0], lines=tuple(numbers))], held_out,
        load_charset(), "mine",
    )  # fmt: skip

    assert entry["share"] < 0.05


@pytest.mark.slow
def test_an_adapted_model_set_reads_pages(adapted: tuple[Path, str], folder: Path) -> None:
    out, printed = adapted

    assert load_manifest(out).charset == load_charset()
    reader = PageReader.load(out)
    assert reader.models["recognizer"].endswith("+mine")
    page = reader.read((folder / "pages" / "0.png").read_bytes(), "0.png").pages[0]
    assert len(page.lines) == 5
    card = json.loads((out / "recognizer.json").read_text(encoding="utf-8"))["adaptation"]
    assert card["pages"] == 4
    assert card["held_out"] == ["page2"]
    assert card["scores"]["after"]["cer"] <= card["scores"]["before"]["cer"] + 0.02
    assert "page2" in printed
    assert "paragraph-ocr --models" in printed
    assert not (out / ".adaptation").exists()


@pytest.mark.slow
def test_other_hands_are_read_with_the_general_recogniser(adapted: tuple[Path, str]) -> None:
    recognizer = PageReader.load(adapted[0]).recognizer
    general = recognizer.general
    assert general is not None
    assert recognizer.for_page([]) is recognizer
    strips = [np.full((48, 300), 240, np.uint8) for _ in range(3)]
    for strip in strips:
        strip[20:30, 50:60] = 30

    recognizer.min_gain = np.inf
    assert recognizer.for_page(strips) is general
    recognizer.min_gain = -np.inf
    assert recognizer.for_page(strips) is recognizer


def test_without_a_general_recogniser_there_is_no_choice() -> None:
    recognizer = Recognizer(Model(FOLDER / "recognizer.onnx", threads=1))

    assert recognizer.for_page([np.full((48, 300), 240, np.uint8)]) is recognizer


@pytest.mark.slow
def test_an_interrupted_fit_goes_on(pages: list[TruePage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.load(CHECKPOINTS / "recognizer.pt", map_location="cpu", weights_only=True)
    material = cut_lines(pages[:3], pages[3:4], PageReader.load(), state["charset"])

    def make(steps: int) -> Adaptation:
        network, _ = build(state["experiment"], state["charset"])
        assert isinstance(network, CRNN)
        network.load_state_dict({name: value.float() for name, value in state["average"].items()})
        options = RecognitionOptions(**state["experiment"]["data"])
        settings = Settings(steps=steps, columns=1024)
        splicer = Splicer(material.strips, [[] for _ in material.strips])
        return Adaptation(network, material, state["charset"], options, settings, splicer, torch.device("cpu"))

    interrupted = make(4)
    batches = list(islice(interrupted._batches(0), 5))
    monkeypatch.setattr(interrupted, "_batches", lambda seed: _then_interrupt(batches[:3]))
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(tmp_path / "last.pt")
    weights = {name: value.clone() for name, value in interrupted.network.state_dict().items()}

    later = make(5)
    monkeypatch.setattr(later, "_batches", lambda seed: iter(batches[seed:]))
    later.fit(tmp_path / "last.pt")

    assert [row["step"] for row in later.progress.history] == [0, 5]
    assert later.progress.seconds > interrupted.progress.seconds
    assert any(not torch.equal(value, later.network.state_dict()[name]) for name, value in weights.items())


@pytest.mark.slow
def test_a_short_time_ends_the_fit_with_its_learning_rate(
    pages: list[TruePage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = torch.load(CHECKPOINTS / "recognizer.pt", map_location="cpu", weights_only=True)
    material = cut_lines(pages[:3], pages[3:4], PageReader.load(), state["charset"])
    network, _ = build(state["experiment"], state["charset"])
    assert isinstance(network, CRNN)
    options = RecognitionOptions(**state["experiment"]["data"])
    splicer = Splicer(material.strips, [[] for _ in material.strips])
    many = replace(material, validation=material.validation * 40)
    # A step is a twentieth of the time.
    clock = iter(np.arange(0, 1000, 0.15))
    monkeypatch.setattr(fitting, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def record(self: torch.optim.AdamW, *arguments: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    read: list[int] = []
    error = fitting.character_error
    monkeypatch.setattr(
        fitting,
        "character_error",
        lambda network, strips, *more: read.append(len(strips)) or error(network, strips[:5], *more),
    )
    settings = Settings(steps=1000, minutes=0.05, columns=1024)
    adaptation = Adaptation(network, many, state["charset"], options, settings, splicer, torch.device("cpu"))

    batch = next(adaptation._batches(0))
    monkeypatch.setattr(adaptation, "_batches", lambda _: repeat(batch))

    adaptation.fit(tmp_path / "last.pt")

    assert 18 <= adaptation.progress.step <= 21
    assert adaptation.progress.share >= 1.0
    assert rates[0] < rates[5] < rates[9]
    assert rates[-1] < 0.2 * max(rates)
    # Not all of many held-out lines are read at a validation.
    assert read == [fitting.VALIDATED, fitting.VALIDATED]


@pytest.mark.slow
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_steps_are_computed_in_the_precision_of_the_hardware_on_strips_that_differ(
    pages: list[TruePage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: torch.dtype | None
) -> None:
    state = torch.load(CHECKPOINTS / "recognizer.pt", map_location="cpu", weights_only=True)
    material = cut_lines(pages[:3], pages[3:4], PageReader.load(), state["charset"])
    network, _ = build(state["experiment"], state["charset"])
    assert isinstance(network, CRNN)
    options = replace(RecognitionOptions(**state["experiment"]["data"]), consistency=0.2)
    splicer = Splicer(material.strips, [[] for _ in material.strips])
    settings = Settings(steps=1, columns=4096)
    adaptation = Adaptation(network, material, state["charset"], options, settings, splicer, torch.device("cpu"))
    monkeypatch.setattr(fitting, "choose_precision", lambda _: precision)
    seen: list[tuple[bool, torch.Tensor]] = []
    loss = network.loss

    def record(strips: torch.Tensor, classes: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        seen.append((torch.is_autocast_enabled("cpu"), classes))
        return loss(strips, classes, lengths)

    monkeypatch.setattr(network, "loss", record)

    adaptation.fit(tmp_path / "last.pt")

    ((rounded, classes),) = seen
    assert rounded == (precision is not None)
    half = len(classes) // 2
    assert not torch.equal(classes[:half], classes[half:])


def _then_interrupt(batches: Sequence[object]) -> Iterator[object]:
    yield from batches
    raise KeyboardInterrupt


def test_an_interruption_says_how_to_go_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(command, "adapt", stop)
    before = signal.getsignal(signal.SIGTERM)

    assert main(["adapt", str(folder), "--out", str(tmp_path / "mine")]) == 130

    # The process is as it was: it may do other things.
    assert signal.getsignal(signal.SIGTERM) == before
    assert torch.tensor([1e-310], dtype=torch.float64).mul(1.0).item() > 0
    assert "goes on from here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder, out: out.mkdir() or (out / "letter.txt").write_text("x"), "holds other files"),
        (lambda folder, out: (folder / "pages.jsonl").write_text("{}\n"), "pages.jsonl, line 1"),
        (lambda folder, out: (folder / "pages.jsonl").unlink(), "pages.jsonl cannot be read: there is none; import"),
        (lambda folder, out: (folder / "pages" / "1.png").unlink(), "1.png"),
    ],
)
def test_what_cannot_be_used_is_said(
    prepare: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_hand(tmp_path / "pages", make_texts(3))
    out = tmp_path / "mine"
    prepare(folder, out)  # type: ignore[operator]

    assert main(["adapt", str(folder), "--out", str(out)]) == 1

    assert message in capsys.readouterr().err


def test_the_options_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["adapt", "--help"])

    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "93 % of the lines" in printed
    assert "--extend-charset" in printed


def test_the_models_of_the_package_are_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapt", str(folder), "--out", str(FOLDER)]) == 1

    assert "choose another one" in capsys.readouterr().err


@pytest.mark.slow
def test_the_detector_is_adapted_to_whole_pages(pages: list[TruePage]) -> None:
    checkpoint = CHECKPOINTS / "detector.pt"
    device = torch.device("cpu")
    assert adapt_detector(checkpoint, [replace(page, whole=False) for page in pages], pages, 10.0, device) is None

    found = adapt_detector(checkpoint, pages[:4], pages[4:], 4.0, device)

    assert found is not None
    assert found.steps >= 1
    assert found.after >= found.before > 0.8


@pytest.mark.slow
def test_the_adapted_detector_is_kept_if_the_product_finds_more_lines_with_it(
    pages: list[TruePage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args(["pages", "--out", str(tmp_path / "mine"), "--detector", "always", "--threads", "1"])
    state = torch.load(CHECKPOINTS / "detector.pt", map_location="cpu", weights_only=True)
    network, description = build(state["experiment"])
    network.load_state_dict({name: value.float() for name, value in state["average"].items()})
    same = AdaptedDetector(network.eval(), description, state, 0.9, 0.95, 3, 0.5)
    monkeypatch.setattr(command, "adapt_detector", lambda *_: same)
    material = cut_lines(pages[:3], pages[3:], PageReader.load(), load_charset())

    def choose(found: float) -> tuple[Material, Path] | None:
        before = replace(material, found=found)
        return command._adapt_detector(
            pages[:3], pages[3:], before, load_charset(), tmp_path, arguments, 9.0, torch.device("cpu")
        )

    kept = choose(0.5)
    assert kept is not None
    assert kept[0].found == material.found
    assert kept[1].with_suffix(".onnx").exists()
    assert json.loads(kept[1].with_suffix(".json").read_text(encoding="utf-8"))["adaptation"]["steps"] == 3
    # After an interruption it is there, and is not fitted again.
    monkeypatch.setattr(command, "adapt_detector", None)
    assert choose(0.5) is not None
    assert choose(1.0) is None
    assert "it finds no more lines after it was adapted" in capsys.readouterr().out


def test_a_detector_that_did_not_become_better_is_not_fitted_again(
    pages: list[TruePage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args(["pages", "--out", str(tmp_path / "mine"), "--detector", "always"])
    material = Material([], [], 0.5, 0.5)
    given = (pages[:3], pages[3:], material, load_charset(), tmp_path, arguments, 9.0, torch.device("cpu"))
    monkeypatch.setattr(command, "adapt_detector", lambda *_: None)
    assert command._adapt_detector(*given) is None

    monkeypatch.setattr(command, "adapt_detector", pytest.fail)
    assert command._adapt_detector(*given) is None


def test_without_time_the_detector_is_not_adapted(
    pages: list[TruePage], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args(["pages", "--out", str(tmp_path / "mine"), "--detector", "always"])
    material = Material([], [], 0.5, 0.5)

    assert not command._adapt_detector(
        pages[:3], pages[3:], material, load_charset(), tmp_path, arguments, -1.0, torch.device("cpu")
    )

    assert "--minutes gives more" in capsys.readouterr().out
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("gains", "errors", "expected"),
    [
        ({"a": [0.1, 0.3, 0.2]}, {"a": (0.1, 0.5)}, 0.2),
        # Nothing became better: the models are as good as each other.
        ({"a": [0.1, 0.3, 0.2]}, {"a": (0.5, 0.5)}, 0.2),
        ({"a": [-0.1]}, {"a": (0.5, 0.5)}, 0.0),
        # A hand that became no better does not lower the margin for the hands of others.
        ({"a": [0.0, 0.01], "b": [0.5]}, {"a": (0.03, 0.03), "b": (0.2, 0.5)}, 0.5),
        # Each of two that became better is read with the adapted recogniser.
        ({"a": [0.1], "b": [0.5]}, {"a": (0.01, 0.03), "b": (0.2, 0.5)}, 0.1),
    ],
)
def test_the_margin_is_set_by_the_hands_that_became_better(
    gains: dict[str, list[float]], errors: dict[str, tuple[float, float]], expected: float
) -> None:
    assert command._least_gain(gains, errors) == pytest.approx(command.MIN_GAIN_SHARE * expected)
