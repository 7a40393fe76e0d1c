from pathlib import Path

import numpy as np
import pytest
import torch
from pages import write_folder

from training.data.pages import DatasetError
from training.data.strips import Strip, load_strips
from training.evaluation.matching import baseline_error, match_lines
from training.tasks.paragraphs import (
    GEOMETRY,
    Labelling,
    draw_labels,
    find_labelled,
    predict_labels,
    runs_of_lines,
    stack_lines,
)

SIZE = 128
OPTIONS = {"size": SIZE, "batch": 4, "validation_paragraphs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("paragraphs") / "data", {"a": "train", "b": "train", "c": "val"})


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[Strip]]:
    return runs_of_lines(load_strips(folder, "train", GEOMETRY, tmp_path_factory.mktemp("cache")), 2)


def test_lines_of_one_writer_are_stacked_in_their_order_and_stand_where_it_is_said(runs: list[list[Strip]]) -> None:
    assert [len({strip.writer for strip in run}) for run in runs] == [1, 1]
    rng = np.random.default_rng(0)
    for _ in range(20):
        paragraph = stack_lines(runs[0], (2, 4), rng)
        texts = [line.text for line in paragraph.page.lines]
        own = [strip.text for strip in runs[0]]
        assert texts in [own[start : start + len(texts)] for start in range(len(own))]
        labels = draw_labels([line.polygon for line in paragraph.page.lines], len(paragraph.pixels), 512)
        ink = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(235.0 - paragraph.pixels)[None], 512)[0].numpy()
        assert ink[labels > 0].sum() > 0.97 * ink.sum()
        for line, kind in zip(paragraph.page.lines, [1, 2, 1, 2], strict=False):
            column, row = (line.baseline.mean(axis=0) - [0, line.ascender / 2]) * 512 / len(paragraph.pixels)
            assert labels[int(row), int(column)] == kind


def test_lines_are_found_where_the_labels_say(runs: list[list[Strip]]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        paragraph = stack_lines(runs[0], (2, 4), rng)
        true = list(paragraph.page.lines)
        side = len(paragraph.pixels)
        found = find_labelled(draw_labels([line.polygon for line in true], side, 256), side)
        pairs = match_lines([line.polygon for line in true], [line.polygon for line in found], []).pairs
        assert sorted(pairs) == [(at, at) for at in range(len(true))]
        errors = [baseline_error(line.baseline, other.baseline) for line, other in zip(true, found, strict=True)]
        assert max(errors) < 8


def test_specks_are_no_lines() -> None:
    labels = np.zeros((256, 256), np.uint8)
    labels[20:24, 20:24] = 1
    assert find_labelled(labels, 1000) == []


def test_a_writer_on_both_sides_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a/1": "train", "a/2": "val"})
    with pytest.raises(DatasetError, match="a of test"):
        Labelling([folder], tmp_path, OPTIONS, {"name": "fcn"})


@pytest.mark.parametrize(
    "network", [{"name": "fcn", "channels": (8, 16, 32)}, {"name": "unet", "channels": (8, 16, 16, 32, 32)}]
)
def test_a_paragraph_can_be_learnt_by_heart(folder: Path, tmp_path: Path, network: dict[str, object]) -> None:
    torch.manual_seed(0)
    task = Labelling([folder], tmp_path, OPTIONS, dict(network))
    paragraph = task.validation[0]
    truth = draw_labels([line.polygon for line in paragraph.page.lines], len(paragraph.pixels), SIZE)
    ink = torch.from_numpy(np.float32(235 - paragraph.pixels)[None, None] / 215)
    ink = torch.nn.functional.interpolate(ink, size=(SIZE, SIZE), mode="area")
    batch = (ink.repeat(4, 1, 1, 1), torch.from_numpy(truth.astype(np.int64))[None].repeat(4, 1, 1))
    optimizer = torch.optim.Adam(task.network.parameters(), 1e-2)
    before = task.validate(task.network.eval(), torch.device("cpu"))["pixel accuracy"]
    task.network.train()
    for _ in range(60):
        optimizer.zero_grad()
        task.loss(task.network, batch, torch.device("cpu")).backward()
        optimizer.step()
    task.network.eval()
    right = (predict_labels(task.network, paragraph.pixels, SIZE, torch.device("cpu")) == truth).mean()
    assert right > max(0.95, before)


def test_batches_are_of_the_size_asked_for(folder: Path, tmp_path: Path) -> None:
    task = Labelling([folder], tmp_path, OPTIONS, {"name": "fcn"})
    ink, labels = next(task.batches(seed=0, workers=0))
    assert ink.shape == (4, 1, SIZE, SIZE)
    assert labels.shape == (4, SIZE, SIZE)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert task.draw((ink, labels)).shape == (SIZE, 4 * SIZE, 3)
