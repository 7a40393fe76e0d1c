"""Pages of patterns, of which some stages find thousands of parts, are searched in a request's time."""

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.form_boxes import CheckBox, find_form_boxes, label
from paragraph_ocr.pipeline.ink import find_ink

ASCENDER = 24.0
# Processor seconds: a fifth of what a request has, since processors without AVX-512 take several times as long.
SECONDS = 5.0
PAPER, INK = 245, 20


def blank() -> NDArray[np.uint8]:
    return np.full((3500, 2500), PAPER, np.uint8)


def grid() -> NDArray[np.uint8]:
    page = blank()
    for at in range(10, 3490, 20):
        page[at : at + 2, 10:2490] = INK
        page[10:3490, min(at, 2489)] = INK
    return page


def boxes() -> NDArray[np.uint8]:
    page = blank()
    for top in range(10, 3460, 34):
        for left in range(10, 2460, 34):
            cv2.rectangle(page, (left, top), (left + 24, top + 24), INK, 2)
    return page


def combs() -> NDArray[np.uint8]:
    page = blank()
    for level in range(40, 3480, 24):
        page[level : level + 2, 20:2420] = INK
        for left in range(20, 2420, 24):
            page[level - 14 : level, left : left + 2] = INK
    return page


def rules() -> NDArray[np.uint8]:
    page = blank()
    for level in range(20, 3480, 12):
        for left in range(20, 2400, 100):
            page[level : level + 2, left : left + 80] = INK
            page[level - 8 : level, left + 4 : left + 6] = INK
    return page


def line(level: float) -> TextLine:
    return TextLine(np.array([[20, level], [2400, level]], np.float32), ASCENDER, 7.0, 0.9)


@pytest.mark.parametrize("draw", [grid, boxes, combs, rules])
def test_form_boxes(draw: Callable[[], NDArray[np.uint8]]) -> None:
    page = draw()
    ink = find_ink(page, 16 / ASCENDER)
    start = time.process_time()
    find_form_boxes(page, [line(level) for level in range(30, 3400, 40)], ink)
    assert time.process_time() - start < SECONDS


def test_labels_of_form_boxes() -> None:
    across = [(x, y) for y in (0.0, 20.0) for x in np.linspace(0.0, 900.0, 30).tolist()]
    lines = [
        Line("a", 0.9, tuple((x, y + 30 * row) for x, y in across), ((0.0, 30.0 * row), (900.0, 30.0 * row)), ())
        for row in range(1000)
    ]
    check_boxes = [CheckBox((950.0, 7.5 * row, 970.0, 7.5 * row + 20), True, 0.9) for row in range(4000)]
    start = time.process_time()
    labelled = label(lines, check_boxes)
    assert time.process_time() - start < SECONDS
    assert sum(len(each.words) for each in labelled) == 4000
