from pathlib import Path

import pytest
import torch
from pages import write_folder

from paragraph_ocr.ctc import greedy
from paragraph_ocr.rectification import Geometry
from training.pages import DatasetError, load_pages
from training.recognition import BLANK, Recognition, load_charset, stack
from training.strips import cut_page

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


def test_batches_fit_the_budget_and_the_input(folder: Path, tmp_path: Path) -> None:
    batches = Recognition([folder], tmp_path, OPTIONS, dict(NETWORK)).batches(seed=0, workers=0)
    for _ in range(20):
        ink, classes, lengths = next(batches)
        assert ink.shape[1:3] == (1, 32)
        assert ink.shape[3] % 32 == 0
        assert ink.shape[3] <= 512
        assert len(lengths) == len(ink)
        assert len(classes) == int(lengths.sum())
        assert BLANK not in classes


def test_one_line_can_be_learnt_by_heart(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = Recognition([folder], tmp_path, OPTIONS, dict(NETWORK))
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
    optimizer = torch.optim.Adam(task.network.parameters(), 1e-2)
    for _ in range(600):
        optimizer.zero_grad()
        loss = task.loss(task.network, batch, torch.device("cpu"))
        loss.backward()
        optimizer.step()
        if float(loss.detach()) < 0.05:
            break
    with torch.no_grad():
        output = task.network(ink)[0][0].numpy()
    assert "".join(c.text for c in greedy(output, task.charset, BLANK)) == strip.text
