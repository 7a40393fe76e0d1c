"""Recorded strokes: one scale for a hand, the baseline where it belongs, ink where the text is, hands kept apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paragraph_ocr.pipeline.rectification import Geometry
from training.data.strokes import (
    Pen,
    PenLines,
    choose_pen,
    draw_item,
    join_words,
    load_items,
    measure_line,
    smooth_stroke,
)

GEOMETRY = Geometry(64, 1280)
ROUND = Pen(width=2.0, nib=0.0, nib_angle=0.7, pressure=0.0, ink=0.0, flow=0.0, grain=0.0)


def letters(count: int, x_height: float, baseline: float, tall: bool = False) -> list[np.ndarray]:
    """Zigzags as high as small letters, the first of them as high as an l where `tall`."""
    strokes = []
    for index in range(count):
        x = index * x_height
        top = baseline - (2 if tall and not index else 1) * x_height
        rows = [top, baseline, top + 0.02 * x_height, baseline - 0.01 * x_height, top]
        columns = x + np.linspace(0, 0.7, 5) * x_height
        fine = np.linspace(0, 4, 33)
        strokes.append(
            np.stack([np.interp(fine, range(5), columns), np.interp(fine, range(5), rows)], axis=1).astype(np.float32)
        )
    return strokes


def write(folder: Path) -> Path:
    """Pen data of two hands, one of either split, of different scale."""
    for name, text in (("lines", "mmmmmmmm"), ("words", "mmmm")):
        points, strokes, items, hands, splits, texts = [], [], [], [], [], []
        for hand, scale in ((0, 100.0), (1, 400.0)):
            for _ in range(6):
                items.append(len(strokes))
                hands.append(hand)
                splits.append(hand)
                texts.append(text)
                for stroke in letters(len(text), scale, 5 * scale, tall=True):
                    strokes.append(sum(map(len, points)))
                    points.append(stroke.astype(np.int16))
        np.savez(
            folder / f"{name}.npz",
            points=np.concatenate(points),
            strokes=np.array(strokes, np.uint32),
            items=np.array(items, np.uint32),
            hand=np.array(hands, np.uint16),
            split=np.array(splits, np.uint8),
            text=np.array(texts),
        )
    return folder


def test_baseline_and_x_height_are_where_the_pen_turns() -> None:
    measured = measure_line(letters(12, 80.0, 500.0, tall=True))
    assert measured is not None
    _, level, x_height = measured
    assert level == pytest.approx(500, abs=4)
    assert x_height == pytest.approx(80, abs=4)
    assert measure_line(letters(1, 80.0, 500.0)[:1]) is None


def test_each_hand_is_brought_to_its_own_scale_and_split(tmp_path: Path) -> None:
    write(tmp_path)
    for split, hand in (("train", 0), ("val", 1)):
        items = load_items(tmp_path / "lines.npz", split)
        assert {item.hand for item in items} == {hand}
        points = np.concatenate(items[0].strokes)
        assert points[:, 0].min() == pytest.approx(0)
        assert points[:, 1].max() == pytest.approx(0, abs=0.1), "the baseline is at 0"
        assert points[:, 1].min() == pytest.approx(-2, abs=0.15), "an ascender has two x-heights"


def test_words_stand_beside_each_other(tmp_path: Path) -> None:
    words = load_items(write(tmp_path) / "words.npz", "train")[:3]
    line = join_words(words, np.random.default_rng(0))
    assert line.text == "mmmm mmmm mmmm"
    assert len(line.strokes) == 12
    ends = [max(float(stroke[:, 0].max()) for stroke in line.strokes[at : at + 4]) for at in (0, 4)]
    begins = [min(float(stroke[:, 0].min()) for stroke in line.strokes[at : at + 4]) for at in (4, 8)]
    assert all(begin - end > 0.3 for end, begin in zip(ends, begins, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_the_ink_of_a_line_stands_on_its_baseline(tmp_path: Path, seed: int) -> None:
    item = load_items(write(tmp_path) / "lines.npz", "train")[0]
    strip = draw_item(item, GEOMETRY, np.random.default_rng(seed), ROUND)
    assert strip.dtype == np.uint8
    assert strip.shape[0] == 64
    rows = np.flatnonzero((strip < 100).any(axis=1))
    assert rows.max() == pytest.approx(GEOMETRY.baseline * 64, abs=5)
    assert 8 < np.ptp(rows) < 50


def test_every_kind_of_pen_leaves_ink(tmp_path: Path) -> None:
    item = load_items(write(tmp_path) / "lines.npz", "train")[0]
    rng = np.random.default_rng(3)
    for _ in range(20):
        pen = choose_pen(rng)
        strip = draw_item(item, GEOMETRY, rng, pen)
        assert np.percentile(strip, 1) < np.percentile(strip, 90) - 15, pen


def test_lines_are_drawn_of_one_split_alone(tmp_path: Path) -> None:
    lines = PenLines(write(tmp_path), "val", GEOMETRY)
    rng = np.random.default_rng(0)
    drawn = [lines.line(rng), *(lines.line_of_words(rng) for _ in range(5))]
    assert {item.hand for item in drawn} == {1}
    assert lines.draw(drawn[0], rng).shape[0] == 64


def test_a_smooth_stroke_goes_through_its_points() -> None:
    stroke = np.array([[0, 0], [10, 5], [20, 0], [30, 8]], np.float32)
    curve = smooth_stroke(stroke, 2.0)
    assert len(curve) > 12
    for point in stroke:
        assert np.hypot(*(curve - point).T).min() < 1e-4
