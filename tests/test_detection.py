import cv2
import numpy as np
import pytest

from paragraph_ocr.detection import DISTANCE_UNIT, TextLine, find_lines, letterbox, reading_order
from paragraph_ocr.rectification import Normalisation

STRIDE = 2.0


def maps_of(lines: list[tuple[float, float, float, float]], size: int = 192) -> np.ndarray:
    """Perfect maps of level lines, each (left, right, baseline, ascender) in input pixels."""
    maps = np.zeros((4, size, size), np.float32)
    maps[0] = -8
    rows = np.arange(size)[:, None]
    for left, right, baseline, ascender in lines:
        low, high = round((baseline - 0.42 * ascender) / STRIDE), round(baseline / STRIDE)
        part = np.s_[low:high, round(left / STRIDE) : round(right / STRIDE)]
        maps[0][part] = 8
        maps[1][part] = ((baseline / STRIDE - 0.5 - rows) * STRIDE / DISTANCE_UNIT)[low:high]
        maps[2][part], maps[3][part] = ascender / DISTANCE_UNIT, 0.4 * ascender / DISTANCE_UNIT
    return maps


def text_line(left: float, right: float, baseline: float, ascender: float = 20) -> TextLine:
    return TextLine(np.array([[left, baseline], [right, baseline]], np.float32), ascender, 8, 1.0)


def test_lines_come_back_where_the_maps_say() -> None:
    lines = find_lines(maps_of([(40, 300, 100, 24), (40, 200, 150, 20)]), STRIDE, 0.5)
    assert len(lines) == 2
    first = min(lines, key=lambda line: line.baseline[:, 1].mean())
    assert np.allclose(first.baseline[:, 1], 100, atol=0.6)
    assert first.baseline[0, 0] == pytest.approx(40, abs=2.5)
    assert first.baseline[-1, 0] == pytest.approx(300, abs=2.5)
    assert (first.ascender, first.descender) == (pytest.approx(24, abs=0.1), pytest.approx(9.6, abs=0.1))
    assert first.confidence > 0.99


def test_a_line_turned_with_the_page_keeps_its_slope() -> None:
    maps = maps_of([(60, 320, 180, 26)])
    turn = cv2.getRotationMatrix2D((96, 96), 10, 1)
    turned = np.stack([cv2.warpAffine(channel, turn, (192, 192), borderValue=-8.0) for channel in maps])
    turned[1] = np.where(turned[0] > 0, turned[1], 0)
    (line,) = find_lines(turned, STRIDE, 0.5)
    run = line.baseline[-1] - line.baseline[0]
    assert np.rad2deg(np.arctan2(run[1], run[0])) == pytest.approx(-10, abs=1)


def test_specks_are_no_lines_and_an_empty_map_has_none() -> None:
    maps = maps_of([])
    maps[0, 50:52, 50:52] = 8
    assert find_lines(maps, STRIDE, 0.5) == []


def test_the_polygon_reaches_from_ascender_to_descender() -> None:
    polygon = text_line(10, 110, 50, 20).polygon
    assert np.allclose([polygon.min(axis=0), polygon.max(axis=0)], [[10, 30], [110, 58]])


@pytest.mark.parametrize("shape", [(400, 300), (300, 1200), (5, 2000), (2000, 5), (1, 1)])
def test_any_page_fits_the_input(shape: tuple[int, int]) -> None:
    square, scale = letterbox(np.full(shape, 230, np.uint8), 256, Normalisation())
    assert square.shape == (1, 1, 256, 256)
    assert max(shape) * scale == pytest.approx(256)


def test_a_paragraph_is_read_downwards() -> None:
    lines = [text_line(20 + 3 * row, 400 - 40 * (row % 3), 40 + 30 * row) for row in range(10)]
    shuffled = [lines[index] for index in np.random.default_rng(1).permutation(10)]
    assert reading_order(shuffled) == lines


def test_columns_are_read_one_after_the_other_below_their_heading() -> None:
    heading = text_line(100, 700, 40)
    left = [text_line(20, 380, 120 + 30 * row) for row in range(6)]
    right = [text_line(420, 780, 120 + 30 * row) for row in range(6)]
    mixed = [line for pair in zip(right, left, strict=True) for line in pair]
    assert reading_order([*mixed, heading]) == [heading, *left, *right]


def test_a_short_line_right_above_one_on_the_left_comes_first() -> None:
    date, greeting = text_line(500, 700, 40), text_line(20, 200, 90)
    assert reading_order([greeting, date]) == [date, greeting]
