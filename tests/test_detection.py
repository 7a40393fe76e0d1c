from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from paragraph_ocr.models import Card, ModelError
from paragraph_ocr.pipeline import detection
from paragraph_ocr.pipeline.detection import (
    DISTANCE_UNIT,
    Detection,
    Detector,
    TextLine,
    _median,
    deskew,
    find_lines,
    letterbox,
)
from paragraph_ocr.pipeline.rectification import Normalisation

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
    lines = find_lines(maps_of([(40, 300, 100, 24), (40, 200, 150, 20)]), STRIDE, 0.5, 0.0)
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
    (line,) = find_lines(turned, STRIDE, 0.5, 0.0)
    run = line.baseline[-1] - line.baseline[0]
    assert np.rad2deg(np.arctan2(run[1], run[0])) == pytest.approx(-10, abs=1)


def test_specks_are_no_lines_and_an_empty_map_has_none() -> None:
    maps = maps_of([])
    maps[0, 50:52, 50:52] = 8
    assert find_lines(maps, STRIDE, 0.5, 0.0) == []


def test_the_polygon_reaches_from_ascender_to_descender() -> None:
    polygon = text_line(10, 110, 50, 20).polygon
    assert np.allclose([polygon.min(axis=0), polygon.max(axis=0)], [[10, 30], [110, 58]])


@pytest.mark.parametrize("shape", [(400, 300), (300, 1200), (5, 2000), (2000, 5), (1, 1)])
def test_any_page_fits_the_input_and_fills_as_little_as_it_can(shape: tuple[int, int]) -> None:
    page = np.full(shape, 230, np.uint8)
    square, scale = letterbox(page, 256, (256, 256), Normalisation())
    assert square.shape == (1, 1, 256, 256)
    assert max(shape) * scale == pytest.approx(256)
    small, scale = letterbox(page, 256, (32, 64), Normalisation())
    for side, length, multiple in zip(small.shape[2:], shape, (32, 64), strict=True):
        assert side % multiple == 0
        assert 0 <= side - max(1, round(length * scale)) < multiple


def test_a_core_that_ends_before_its_line_is_made_longer_by_as_much() -> None:
    (line,) = find_lines(maps_of([(54, 286, 100, 20)]), STRIDE, 0.5, inset=0.35)
    assert line.baseline[0, 0] == pytest.approx(54 - 7, abs=2.5)
    assert line.baseline[-1, 0] == pytest.approx(286 + 7, abs=2.5)
    (short,) = find_lines(maps_of([(100, 106, 100, 20)]), STRIDE, 0.5, inset=0.35)
    assert np.ptp(short.baseline[:, 0]) == pytest.approx(12, abs=2.5)


class InkModel:
    """Takes every dark pixel for a core; a line is then a bar. What it is shown so large lies on its side.

    Its heights are so many input pixels, but `grows` makes them that of a page shown as large as the input.
    """

    input_shape = (1, 1, 256, 256)
    multiples = (1, 1, 32, 32)

    def __init__(self, ascender: float, sideways: tuple[int, ...] = (), grows: bool = False) -> None:
        preprocessing: dict[str, Any] = {
            "normalisation": {},
            "threshold": 0.5,
            "inset": 0.0,
            "search": {
                "min_confidence": 0.7,
                "certain_confidence": 0.9,
                "dense_lines": 12,
                "dense_ascender": 8.0,
                "enlargement": 1.75,
                "max_skew": 5.0,
                "max_height": 28.0,
            },
        }
        self.card = Card(
            "ink", "1", "", self.input_shape, self.multiples, ((1, 4, 128, 128), (1, 2)), preprocessing, "", 0
        )
        self.ascender = ascender
        self.sideways = sideways
        self.grows = grows
        self.sides: list[int] = []

    def run(self, values: np.ndarray) -> tuple[np.ndarray, ...]:
        self.sides.append(max(values.shape[2:]))
        assert all(side <= 256 and side % 32 == 0 for side in values.shape[2:])
        height, width = (side // 2 for side in values.shape[2:])
        ascender = self.ascender * (self.sides[-1] / 256 if self.grows else 1.0)
        maps = np.full((1, 4, height, width), ascender / DISTANCE_UNIT, np.float32)
        maps[0, 0] = 20 * (cv2.resize(values[0, 0], (width, height), interpolation=cv2.INTER_AREA) - 0.5)
        return maps, np.array([[0.0, 1.0 if self.sides[-1] in self.sideways else -1.0]], np.float32)


def register(rows: int) -> np.ndarray:
    """A page of 1000 x 800 with two bars a row."""
    page = np.full((1000, 800), 255, np.uint8)
    for row in range(rows):
        top = 20 + row * 960 // rows
        page[top : top + 16, 40:380] = page[top : top + 16, 440:760] = 0
    return page


def test_a_page_of_small_lines_is_looked_at_again_in_windows_that_join_without_a_seam() -> None:
    model = InkModel(ascender=5)
    found, _ = Detector(model).find(register(24))
    assert model.sides == [256] + 4 * [256]
    assert len(found) == 48
    assert sorted({round(float(line.baseline[0, 0]), -1) for line in found}) == [40, 440]
    assert sorted({round(float(line.baseline[-1, 0]), -1) for line in found}) == [380, 760]


@pytest.mark.parametrize(("rows", "ascender"), [(3, 5), (6, 12)])
def test_few_or_large_lines_are_looked_at_once(rows: int, ascender: float) -> None:
    model = InkModel(ascender)
    found, sideways = Detector(model).find(register(rows))
    assert (len(found), model.sides, sideways) == (2 * rows, [256], False)


@pytest.mark.parametrize(("ascender", "again"), [(12, True), (10.0, True), (8.2, False)])
def test_a_page_of_handwriting_whose_lines_stand_close_is_looked_at_again_a_little_larger(
    ascender: float, again: bool
) -> None:
    """At the scale of the whole page, a line between two others may be lost in their ascenders and descenders."""
    model = InkModel(ascender)
    model.card.preprocessing["search"] |= {"dense_lines": 100, "max_height": 64.0}
    found, _ = Detector(model).find(register(22))
    # Its lines are 11 or 12 input pixels apart. It is larger than the input then, and seen in windows.
    assert len(found) == 44
    assert len(model.sides) == (5 if again else 1)


def test_a_page_of_few_lines_that_are_smaller_still_is_looked_at_again() -> None:
    model = InkModel(ascender=4)
    found, _ = Detector(model).find(register(3))
    assert (len(found), model.sides) == (6, 5 * [256])


def note(rows: int, pitch: int) -> np.ndarray:
    """A page of 1000 x 800 with bars of 10 pixels in its upper left corner, which lie so close to each other."""
    page = np.full((1000, 800), 255, np.uint8)
    for row in range(rows):
        page[30 + row * pitch : 40 + row * pitch, 40:280] = 0
    return page


# At the scale of the whole page, bars that lie 14 pixels from each other are one.
@pytest.mark.parametrize(("rows", "pitch"), [(5, 14), (18, 20)])
def test_small_lines_in_a_part_of_a_page_are_looked_at_closer(rows: int, pitch: int) -> None:
    page = note(rows, pitch)
    model = InkModel(ascender=5)
    model.card.preprocessing["search"]["dense_lines"] = 50
    found, _ = Detector(model).find(page)
    assert len(model.sides) == 2
    assert sorted(round(float(line.baseline[:, 1].mean())) for line in found) == pytest.approx(
        [55 + row * pitch for row in range(rows)], abs=14
    )
    assert {round(float(line.baseline[0, 0]), -1) for line in found} == {40}
    assert {round(float(line.baseline[-1, 0]), -1) for line in found} == {280}


def test_a_page_of_letters_that_fill_the_input_is_looked_at_smaller_until_they_do_not() -> None:
    page = np.full((256, 256), 255, np.uint8)
    page[100:140, 20:230] = 0
    model = InkModel(ascender=30, grows=True)
    (line,), _ = Detector(model).find(page)
    # Lines of 60, then of 42, of 30 and at last of 22 input pixels.
    assert model.sides == [256, 192, 128, 96]
    assert line.ascender == pytest.approx(30 * 96 / 91, abs=0.1)
    assert line.baseline[[0, -1], 0] == pytest.approx([20, 230], abs=6)


@pytest.mark.parametrize(("small", "looks"), [(0, [256, 181]), (1, [256]), (2, [256])])
def test_a_page_of_small_lines_below_tall_ones_is_not_looked_at_smaller(
    small: int, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, sides = np.full((256, 256), 255, np.uint8), []
    heights = [18, 18, 18] + small * [5]
    lines = [
        TextLine(np.array([[20, y], [200, y]], np.float32), height, height, 1.0)
        for y, height in zip((50, 100, 150, 200, 230), heights, strict=False)
    ]

    def look(self: Detector, page: np.ndarray, side: int) -> Detection:
        sides.append(side)
        return Detection(lines, False)

    monkeypatch.setattr(Detector, "detect", look)
    found, _ = Detector(InkModel(ascender=12)).find(page)
    assert len(found) == len(lines)
    assert sides == looks


@pytest.mark.parametrize("rise", [0, 20])
def test_what_is_found_only_while_it_is_large_stays(rise: int, monkeypatch: pytest.MonkeyPatch) -> None:
    page = np.full((256, 256), 255, np.uint8)
    cv2.line(page, (40, 120 + rise), (210, 120 - rise), 0, 40)
    model = InkModel(ascender=30)
    run = model.run
    monkeypatch.setattr(model, "run", lambda ink: run(ink if max(ink.shape) > 128 else np.zeros_like(ink)))
    (line,), _ = Detector(model).find(page)
    assert model.sides[:5] == [256, 192, 128, 96, 64]
    assert line.ascender > 30
    # A line that slopes is looked for again on the page turned straight, as large as it was found.
    assert min(model.sides[5:], default=256) >= 192


@pytest.mark.parametrize(("spots", "grey", "stay"), [(90, 215, False), (20, 215, True), (90, 60, True)])
def test_many_faint_spots_that_the_detector_doubts_are_no_lines(
    spots: int, grey: int, stay: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rough ground has hundreds; a few faint lines, or dark ones, may be text."""
    page = np.full((1000, 800), 250, np.uint8)
    lines = [text_line(40, 60, 60 + 60 * row) for row in range(8)]
    lines += [replace(text_line(100 + 70 * (n % 10), 130 + 70 * (n % 10), 40 + 80 * (n // 10)), confidence=0.8)
              for n in range(spots)]  # fmt: skip
    for line in lines:
        (left, y), (right, _) = line.baseline.astype(int).tolist()
        page[y - 20 : y : 3, left:right] = 40 if line.confidence == 1 else grey
    model = Detector(InkModel(ascender=20))
    monkeypatch.setattr(model, "detect", lambda *_: Detection(lines, False))
    assert len(model.find(page).lines) == 8 + spots * stay


def test_a_detector_that_was_exported_before_lines_could_be_too_tall_is_refused() -> None:
    model = InkModel(ascender=12)
    del model.card.preprocessing["search"]["max_height"]
    with pytest.raises(ModelError, match="anew"):
        Detector(model)


@pytest.mark.parametrize("sideways", [(), (256,)])
def test_a_look_says_whether_the_page_seems_to_lie_on_its_side(sideways: tuple[int, ...]) -> None:
    model = InkModel(ascender=12, sideways=sideways)
    found, lies = Detector(model).find(register(6))
    assert (len(found), lies, model.sides) == (12, bool(sideways), [256])


@pytest.mark.parametrize("degrees", [-12.0, 9.0])
def test_sloping_lines_are_looked_for_again_on_the_page_turned_straight(degrees: float) -> None:
    page = np.full((800, 1000), 255, np.uint8)
    slope = np.tan(np.radians(degrees))
    for middle in (250, 400, 550):
        cv2.line(page, (200, round(middle - 300 * slope)), (800, round(middle + 300 * slope)), 0, 16)
    model = InkModel(ascender=8)
    found, _ = Detector(model).find(page)
    assert model.sides == [256, 256]
    for line, middle in zip(sorted(found, key=lambda line: line.baseline[:, 1].mean()), (250, 400, 550), strict=True):
        # The model says of every dark pixel that the baseline lies 8 of 256 input pixels below.
        along = line.baseline - (500, middle)
        assert np.degrees(np.arctan2(*(along[-1] - along[0])[::-1])) == pytest.approx(degrees, abs=0.7)
        assert along[[0, -1], 0] == pytest.approx([-300, 300], abs=25)
        assert np.ptp(along[:, 1] - slope * along[:, 0]) < 10


@pytest.mark.parametrize("shape", [(300, 4000), (900, 1200), (1, 1)])
def test_a_page_of_any_shape_is_turned_straight_and_leads_back(shape: tuple[int, int]) -> None:
    straight, back = deskew(np.full(shape, 200, np.uint8), 12.0)
    height, width = straight.shape
    middle = back[:, :2] @ (width / 2, height / 2) + back[:, 2]
    assert middle == pytest.approx((shape[1] / 2, shape[0] / 2), abs=1)
    along = back[:, :2] @ (1.0, 0.0)
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(12.0, abs=0.01)


@pytest.mark.parametrize("degrees", [0.0, 9.0])
def test_lines_of_a_page_larger_than_opencv_turns_stand_where_they_are(
    degrees: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The model's heights are those of one scale: looked at closer, the line would have others.
    monkeypatch.setattr(detection, "CLOSER", (np.inf, np.inf))
    rise = 4500 * np.tan(np.radians(degrees))
    page = np.full((2000, 40_000), 255, np.uint8)
    cv2.line(page, (15_500, round(1000 - rise)), (24_500, round(1000 + rise)), 0, 400)
    (line,), _ = Detector(InkModel(ascender=2)).find(page)
    along = line.baseline[-1] - line.baseline[0]
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(degrees, abs=1.0)
    assert line.ascender == pytest.approx(2 * 40_000 / 256, rel=0.01)
    assert line.baseline[:, 0].mean() == pytest.approx(20_000, abs=200)


def test_faint_specks_are_left_out() -> None:
    page = register(3)
    page[900:910, 100:200] = 115  # a little darker than half-way to ink
    assert len(Detector(InkModel(ascender=12)).find(page)[0]) == 6


@pytest.mark.parametrize(("found", "read", "believed"), [(0.9, 0.0, True), (0.8, 0.95, True), (0.8, 0.85, False)])
def test_what_the_detector_doubts_is_a_line_if_it_is_read_well(found: float, read: float, believed: bool) -> None:
    line = TextLine(np.array([[0, 20], [100, 20]], np.float32), 12.0, 4.0, found)
    assert Detector(InkModel(ascender=12)).accepts(line, read) is believed


def test_lines_that_share_rows_are_found_as_each_alone() -> None:
    beside = [(20, 100, 100, 24), (120, 190, 106, 20), (210, 370, 97, 28), (20, 370, 200, 26)]
    rng = np.random.default_rng(3)
    alone = [maps_of([line]) for line in beside]
    together = maps_of(beside)
    noise = rng.normal(0, 0.05, together.shape).astype(np.float32)
    for part in (together, *alone):
        part[1:][:, part[0] > 0] += noise[1:][:, part[0] > 0]
    expected = [find_lines(part, STRIDE, 0.5, 0.3)[0] for part in alone]
    found = sorted(
        find_lines(together, STRIDE, 0.5, 0.3), key=lambda line: (line.baseline[0, 1] > 150, line.baseline[0, 0])
    )
    assert len(found) == len(expected)
    for line, other in zip(found, expected, strict=True):
        assert np.array_equal(line.baseline, other.baseline)
        assert (line.ascender, line.descender, line.confidence) == (other.ascender, other.descender, other.confidence)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_the_median_is_that_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    assert _median(values) == float(np.median(values))


def test_the_polygon_of_a_curved_line_is_square_to_it() -> None:
    across = np.linspace(0, 400, 50)
    baseline = np.stack([across, 200 + 30 * np.sin(across / 80)], axis=1).astype(np.float32)
    polygon = TextLine(baseline, 24, 8, 1.0).polygon
    upper, lower = polygon[:50], polygon[50:][::-1]
    tangents = np.gradient(baseline, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    assert np.allclose(((upper - lower) * tangents).sum(axis=1), 0, atol=1e-3)
    assert np.allclose(np.linalg.norm(upper - baseline, axis=1), 24, atol=1e-3)
    assert np.allclose(np.linalg.norm(lower - baseline, axis=1), 8, atol=1e-3)
