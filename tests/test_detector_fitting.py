"""What a detector is taught of an annotated page."""

from pathlib import Path

import numpy as np
import pytest
from pages import write_folder

from paragraph_ocr.pipeline.detection import find_lines
from training.data.pages import TrueLine, TruePage, load_pages
from training.evaluation.matching import baseline_error, match_lines
from training.tasks.detection import (
    END_WEIGHT,
    INSET,
    SHORT_WEIGHT,
    AugmentedPages,
    DetectionOptions,
    DownscaledPage,
    Points,
    concatenate,
    downscale,
    draw_maps,
)

STRIDE = 2
STILL = np.eye(2, 3)


def line(left: float, right: float, baseline: float, height: float) -> TrueLine:
    points = np.array([[left, baseline], [right, baseline]], np.float32)
    ascender, descender = 0.7 * height, 0.3 * height
    box = [[left, baseline - ascender], [right, baseline - ascender], [right, baseline + descender]]
    polygon = np.array([*box, [left, baseline + descender]], np.float32)
    return TrueLine("text", points, polygon, ascender, descender, False)


def page(*lines: TrueLine, ignore: tuple[Points, ...] = ()) -> TruePage:
    return TruePage("p", "test", "a", "train", Path(), 256, 256, lines, ignore, True)


LONG, SHORT = line(20, 220, 60, 30), line(120, 150, 160, 30)


def test_lines_come_back_from_what_is_taught_of_them() -> None:
    maps = draw_maps(page(LONG, SHORT), STILL, 256, STRIDE)
    maps[0] = 20 * (maps[0] - 0.5)
    found = sorted(find_lines(maps[:4], STRIDE, 0.5, INSET), key=lambda each: each.baseline[0, 1])
    pairs = match_lines([LONG.polygon, SHORT.polygon], [each.polygon for each in found], [], iou=0.75).pairs
    assert sorted(pairs) == [(0, 0), (1, 1)]
    assert all(baseline_error(t.baseline, f.baseline) < 1.5 for t, f in zip((LONG, SHORT), found, strict=True))


def test_short_lines_and_the_ends_of_all_weigh_more() -> None:
    core, weight = draw_maps(page(LONG, SHORT), STILL, 256, STRIDE)[[0, 4]]
    assert weight[53 // STRIDE, 120 // STRIDE] == 1
    assert weight[153 // STRIDE, 135 // STRIDE] == SHORT_WEIGHT
    for left, right, row in ((20, 220, 55), (120, 150, 155)):
        for column in (left - 4, right + 4):
            assert core[row // STRIDE, column // STRIDE] == 0
            assert weight[row // STRIDE, column // STRIDE] == END_WEIGHT
    assert weight[100, 100] == 1


def test_writing_without_a_text_teaches_nothing() -> None:
    ignored = np.array([[0, 200], [256, 200], [256, 256], [0, 256]], np.float32)
    weight = draw_maps(page(LONG, ignore=(ignored,)), STILL, 256, STRIDE)[4]
    assert (weight[102:] == 0).all()
    assert (weight[:98] > 0).all()


def test_a_line_ends_where_another_page_is_joined_to_its_own() -> None:
    ink = np.zeros((256, 256), np.float32)
    maps = draw_maps(page(LONG), STILL, 256, STRIDE)
    for seed in range(5):
        _, joined = concatenate((ink, maps), (ink, np.zeros_like(maps)), np.random.default_rng(seed))
        columns = np.flatnonzero(joined[0].any(axis=0))
        ends = joined[4, 55 // STRIDE, columns[-1] + 1]
        assert columns[-1] < np.flatnonzero(maps[0].any(axis=0))[-1]
        assert ends == END_WEIGHT


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_turned_page_teaches_its_turn_alone(tmp_path: Path, share: float) -> None:
    folder = write_folder(tmp_path / "data", {"a": "train"})
    options = DetectionOptions(size=128, joined=0.0, turned=share)
    pages = AugmentedPages([downscale(each, 256) for each in load_pages(folder)], options, STRIDE, 0)
    rng = np.random.default_rng(0)
    seen = [pages.compose(rng) for _ in range(12)]
    assert {turn for _, _, turn in seen} == ({1, 2, 3} if share else {0})
    assert all(bool(maps[4].any()) == (turn == 0) for _, maps, turn in seen)


def test_what_stands_in_a_corner_is_seen_often_enough_to_be_learnt() -> None:
    number = page(line(230, 250, 20, 16))
    blank = DownscaledPage(number, np.full((256, 256), 230, np.uint8), 1.0)
    pages = AugmentedPages([blank], DetectionOptions(size=128, zoom=(2.0, 2.0)), STRIDE, 0)
    rng = np.random.default_rng(0)
    seen = [bool(pages.sample(blank, rng)[1][0].any()) for _ in range(1000)]
    # If the window stood anywhere with the same chance, it would be 4 %, and 6 % three standard errors more.
    assert np.mean(seen) > 0.06
