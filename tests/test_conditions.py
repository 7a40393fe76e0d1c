from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pages import write_folder

from paragraph_ocr.document import Page
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import load_pages
from training.evaluation.conditions import CONDITIONS, CUTS, change, measure, table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("conditions") / "data", {"a": "val"}, lines=6)


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_changed_pages_lines_still_lie_on_their_ink(folder: Path, name: str) -> None:
    (page,) = load_pages(folder)
    true, seen = change(page, page.pixels(), CONDITIONS[name])
    assert (true.height, true.width) == seen.shape
    if name == "white on black":
        seen = 255 - seen
    inside = np.zeros(seen.shape, np.uint8)
    for line in true.lines:
        cv2.fillPoly(inside, [np.round(line.polygon).astype(np.int32)], 1)
    mask = inside.astype(bool)
    around = cv2.dilate(inside, np.ones((9, 9), np.uint8)).astype(bool) & ~mask
    # Squares and shadows are as dark inside as around; text is darker.
    assert seen[mask].mean() < seen[around].mean() - 5


def test_every_condition_is_measured_against_the_page_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PageReader.load()
    read = reader.read_image

    def timed(pixels: NDArray[np.uint8], image: str) -> Page:
        """As if reading took a microsecond a pixel."""
        return replace(read(pixels, image), timings_ms={"total": pixels.size / 1000})

    monkeypatch.setattr(reader, "read_image", timed)
    pages = load_pages(folder)
    outcomes = measure(pages, reader)
    assert outcomes["as it is"].figures.true == 6
    for name in ("turned by 90°", "turned by 180°", "turned by 270°", "white on black"):
        assert outcomes[name].figures.matched == outcomes["as it is"].figures.matched
    rows = table(outcomes).splitlines()
    assert len(rows) == 2 + len(CONDITIONS) + len(CUTS)
    assert rows[2].startswith("| as it is |")
    assert rows[2].endswith("| 1.00 |")
    (large,) = (row for row in rows if row.startswith("| 10,000 px |"))
    assert float(large.split("|")[4]) == pytest.approx((10_000 / max(pages[0].width, pages[0].height)) ** 2, rel=0.01)
