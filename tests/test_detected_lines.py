"""Training lines where the product finds them: whole ones alone, with their own text, on the pages they came from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import write_folder

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.rectification import Geometry
from training.data.detected_lines import collect, covers_line, transfer_text
from training.data.pages import TruePage, load_pages
from training.data.strips import load_strips
from training.evaluation.matching import match_lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data", {"anna": "train", "bert": "val"})


def as_found(page: TruePage) -> list[TextLine]:
    """A page's true lines, as a detector that draws them taller would find them."""
    return [TextLine(line.baseline, 1.3 * line.ascender, 1.3 * line.descender, 0.9) for line in page.lines]


def test_training_pages_are_written_with_the_lines_that_are_found(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "found"
    kept, lines = collect(folder, out, PageReader.load(threads=1))
    (page,), (true,) = load_pages(out), load_pages(folder, "train")
    assert (kept, lines) == (len(page.lines), len(true.lines)) == (4, 4)
    assert (page.page_id, page.source, page.writer, page.split) == (true.page_id, true.source, "anna", "train")
    assert not page.whole, "no detector may learn from what a detector found"
    assert [line.text for line in page.lines] == [line.text for line in true.lines]
    pairs = match_lines([line.polygon for line in true.lines], [line.polygon for line in page.lines], []).pairs
    assert sorted(pairs) == [(index, index) for index in range(4)]
    strips = load_strips(out, "train", Geometry(48, 1024), tmp_path / "cache")
    assert [strip.text for strip in strips] == [line.text for line in true.lines]


def test_a_redrawn_line_has_the_height_that_was_found_and_the_text_that_is_true(folder: Path) -> None:
    (page,) = load_pages(folder, "train")
    rows = transfer_text(page, as_found(page)[::-1])
    assert [row["text"] for row in rows] == [line.text for line in page.lines]
    for row, line in zip(rows, as_found(page), strict=True):
        assert np.ptp(np.array(row["polygon"])[:, 1]) == pytest.approx(line.ascender + line.descender, abs=1)


@pytest.mark.parametrize(("start", "end", "whole"), [(0, 0, True), (5, -5, True), (40, 0, False), (0, -40, False)])
def test_a_line_that_is_found_in_part_is_left_out(folder: Path, start: float, end: float, whole: bool) -> None:
    (page,) = load_pages(folder, "train")
    true = page.lines[0]
    found = as_found(page)
    found[0] = replace(found[0], baseline=true.baseline[[0, -1]] + np.array([[start, 0], [end, 0]], np.float32))
    assert covers_line(true, found[0]) is whole
    assert (true.text in [row["text"] for row in transfer_text(page, found)]) is whole
