"""Draw handwriting that was recorded as pen strokes (UNIPEN, Guyon et al. 1994) as strips of a line.

A folder of pen data holds ``lines.npz`` and ``words.npz``: ``points`` int16 (P, 2) with x to the right and y down,
``strokes`` and ``items`` with the index at which each stroke's points and each item's strokes begin, and for each item
``hand``, ``split`` (0 train, 1 val) and ``text``. The scale of the points differs from hand to hand.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from paragraph_ocr.pipeline.rectification import Geometry

Points = NDArray[np.float32]
Grey = NDArray[np.uint8]

# Strokes are drawn this many times as large and then downsampled, for pen widths of a fraction of a pixel.
OVERSAMPLING = 2
# Ascender height of a line in x-heights, and minimum and maximum descender, if the ink does not show them.
ASCENDER = 1.9
DESCENDER = (0.6, 1.1)
# Space between two words in x-heights.
SPACE = (0.85, 2.2)


@dataclass(frozen=True)
class PenItem:
    """A recorded line or word in units of its x-height, its baseline at y = 0 and its left end at x = 0.

    Attributes
    ----------
    strokes : tuple of float32 (N, 2)
        x to the right, y down.
    text : str
    hand : int
    """

    strokes: tuple[Points, ...]
    text: str
    hand: int

    @property
    def width(self) -> float:
        """The right end, x-heights."""
        return max(float(stroke[:, 0].max()) for stroke in self.strokes)


@dataclass(frozen=True)
class Pen:
    """A writing tool.

    Attributes
    ----------
    width : float
        Strip pixels.
    nib, nib_angle : float
        Relative reduction of the width of strokes along the nib's angle (radians), 0 to 1; 0 is a round tip.
    pressure : float
        Variation of the width along a stroke.
    ink : float
        Grey level of the ink, 0 is black.
    flow : float
        Unevenness of the ink along a stroke, 0 to 1.
    grain : float
        Visibility of the paper's grain in the ink (pencil), 0 to 1.
    """

    width: float
    nib: float
    nib_angle: float
    pressure: float
    ink: float
    flow: float
    grain: float


def choose_pen(rng: Generator) -> Pen:
    """A ball pen, felt pen, fountain pen or pencil."""
    kind = rng.choice(["ball", "felt", "fountain", "pencil"], p=[0.5, 0.15, 0.2, 0.15])
    angle = rng.uniform(0.4, 1.1)
    if kind == "ball":
        return Pen(
            rng.uniform(1.0, 2.4), 0.0, angle, rng.uniform(0, 0.3), rng.uniform(10, 120), rng.uniform(0, 0.5), 0.0
        )
    if kind == "felt":
        return Pen(
            rng.uniform(2.0, 4.2), 0.0, angle, rng.uniform(0, 0.15), rng.uniform(0, 90), rng.uniform(0, 0.1), 0.0
        )
    if kind == "fountain":
        nib = rng.uniform(0.2, 0.75)
        return Pen(
            rng.uniform(1.8, 4.0), nib, angle, rng.uniform(0, 0.3), rng.uniform(0, 110), rng.uniform(0, 0.35), 0.0
        )
    grain = rng.uniform(0.2, 0.7)
    return Pen(rng.uniform(1.2, 2.6), 0.0, angle, rng.uniform(0, 0.3), rng.uniform(70, 165), rng.uniform(0, 0.3), grain)


def measure_line(strokes: list[Points]) -> tuple[float, float, float] | None:
    """Baseline and x-height of strokes, from where the pen turns: most letters turn at these two heights.

    Parameters
    ----------
    strokes : list of float32 (N, 2)

    Returns
    -------
    slope, level, x_height : float
        The baseline is ``y = slope * x + level``; None where too little is written.
    """
    lows: list[tuple[np.float32, np.float32]] = []
    highs: list[tuple[np.float32, np.float32]] = []
    for stroke in strokes:
        x, y = stroke.T
        if len(y) < 3:
            continue
        rise = np.sign(np.diff(y))
        moving = rise != 0
        at = np.flatnonzero(moving)
        turns = at[1:][rise[at[1:]] != rise[at[:-1]]]
        for turn in turns:
            (lows if rise[turn] < 0 else highs).append((x[turn], y[turn]))
    if len(lows) < 3 or len(highs) < 3:
        return None
    low, high = np.array(lows, np.float32), np.array(highs, np.float32)
    span = float(np.ptp(np.concatenate([low[:, 1], high[:, 1]])))
    if span <= 0:
        return None
    slope, level = 0.0, _mode(low[:, 1], span)
    if len(low) >= 12 and np.ptp(low[:, 0]) > 6 * span:
        for _ in range(3):
            near = np.abs(low[:, 1] - slope * low[:, 0] - level) < 0.12 * span
            if near.sum() < 6:
                break
            slope, level = (float(value) for value in np.polyfit(low[near, 0], low[near, 1], 1))
    above = slope * high[:, 0] + level - high[:, 1]
    above = above[above > 0.12 * span]
    if len(above) < 2:
        return None
    x_height = _mode(above, span)
    return slope, level, float(x_height)


def _mode(values: NDArray[np.float32], span: float) -> float:
    """Return the mode of values, by a kernel density estimate with a width of a twentieth of `span`."""
    distance = (values[:, None] - values) / (0.06 * span)
    return float(values[np.exp(-0.5 * distance**2).sum(axis=1).argmax()])


def load_items(path: Path, split: str) -> list[PenItem]:
    """The lines or words of one split, with a scale per writer.

    Parameters
    ----------
    path : Path
        ``lines.npz`` or ``words.npz``.
    split : str
        ``train`` or ``val``.
    """
    with np.load(path) as content:
        points, starts, items = content["points"].astype(np.float32), content["strokes"], content["items"]
        hands, splits, texts = content["hand"], content["split"], content["text"]
    wanted = 0 if split == "train" else 1
    ends = np.append(starts[1:], len(points))
    lasts = np.append(items[1:], len(starts))
    raw: dict[int, list[tuple[list[Points], str, tuple[float, float, float] | None]]] = defaultdict(list)
    for index in np.flatnonzero(splits == wanted):
        strokes = [points[starts[at] : ends[at]] for at in range(items[index], lasts[index])]
        strokes = [stroke for stroke in strokes if len(stroke)]
        if strokes and str(texts[index]).strip():
            raw[int(hands[index])].append((strokes, str(texts[index]).strip(), measure_line(strokes)))
    found = []
    for hand, own in raw.items():
        heights = [measured[2] for _, _, measured in own if measured]
        if not heights:
            continue
        usual = float(np.median(heights))
        for strokes, text, measured in own:
            slope, level, x_height = measured or (0.0, max(float(s[:, 1].max()) for s in strokes), usual)
            # The x-height of a short word cannot be measured well.
            scale = usual if len(text) < 12 else float(np.clip(x_height, 0.75 * usual, 1.35 * usual))
            left = min(float(stroke[:, 0].min()) for stroke in strokes)
            shaped = []
            for stroke in strokes:
                x, y = stroke.T
                shaped.append(
                    np.stack([x - left, y - slope * x - level], axis=1).astype(np.float32) / np.float32(scale)
                )
            item = PenItem(tuple(shaped), " ".join(text.split()), hand)
            low = max(float(stroke[:, 1].max()) for stroke in shaped)
            high = -min(float(stroke[:, 1].min()) for stroke in shaped)
            if low < 3 and 0.4 < high < 5 and item.width > 0:
                found.append(item)
    return found


def join_words(words: list[PenItem], rng: Generator, least: float = 0.0) -> PenItem:
    """Set words of one writer on a line, about `least` x-heights apart, each a little above or below the baseline."""
    gap = max(rng.uniform(*SPACE), least)
    at, strokes = 0.0, []
    for word in words:
        shift = np.array([at, rng.normal(0.0, 0.07)], np.float32)
        strokes += [stroke + shift for stroke in word.strokes]
        at += word.width + gap * float(np.exp(rng.normal(0.0, 0.25)))
    return PenItem(tuple(strokes), " ".join(word.text for word in words), words[0].hand)


def smooth_stroke(stroke: Points, step: float) -> Points:
    """A Catmull-Rom spline through the points of a stroke, in steps of about `step`."""
    if len(stroke) < 3:
        return stroke
    padded = np.concatenate([2 * stroke[:1] - stroke[1:2], stroke, 2 * stroke[-1:] - stroke[-2:-1]])
    longest = float(np.hypot(*np.diff(stroke, axis=0).T).max())
    parts = int(np.clip(np.ceil(longest / max(step, 1e-3)), 1, 8))
    t = (np.arange(parts, dtype=np.float32) / parts)[:, None, None]
    p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), stroke[-1:]]).astype(np.float32)


def draw_strokes(ink: Grey, strokes: tuple[Points, ...], pen: Pen, rng: Generator) -> None:
    """Draw strokes on a mask of ink, uint8 (H, W), 255 is full, in place.

    Parameters
    ----------
    ink : uint8 (H, W)
        Larger than the strip by `OVERSAMPLING`.
    strokes : tuple of float32 (N, 2)
        Pixels of `ink`.
    pen : Pen
    rng : Generator
    """
    width = pen.width * OVERSAMPLING
    for stroke in strokes:
        curve = smooth_stroke(stroke, 2.5 * OVERSAMPLING)
        if len(curve) < 2:
            cv2.circle(ink, (int(curve[0, 0]), int(curve[0, 1])), max(1, round(0.6 * width)), 255, -1, cv2.LINE_AA)
            continue
        steps = np.diff(curve, axis=0)
        angles = np.arctan2(steps[:, 1], steps[:, 0])
        widths = width * (1 - pen.nib + pen.nib * np.abs(np.sin(angles + pen.nib_angle)))
        if pen.pressure:
            knots = rng.normal(0.0, pen.pressure, len(steps) // 12 + 3)
            widths = widths * np.exp(np.interp(np.arange(len(steps)) / 12, np.arange(len(knots)), knots))
            # Downstrokes have more pressure.
            widths = widths * (1 + 0.5 * pen.pressure * np.sin(angles))
        levels = np.full(len(steps), 255.0)
        if pen.flow:
            knots = rng.random(len(steps) // 8 + 3) ** 3
            levels = 255 * (1 - pen.flow * np.interp(np.arange(len(steps)) / 8, np.arange(len(knots)), knots))
        thick = np.clip(np.rint(widths), 1, 40).astype(int)
        shades = (levels / 16).astype(int) * 16 + 15
        corners = np.rint(curve * 8).astype(np.int32)
        # Segments of one width and shade are drawn at once.
        edges = np.flatnonzero((np.diff(thick) != 0) | (np.diff(shades) != 0)) + 1
        for begin, end in pairwise([0, *edges.tolist(), len(thick)]):
            cv2.polylines(ink, [corners[begin : end + 1]], False, int(shades[begin]), int(thick[begin]), cv2.LINE_AA, 3)


def draw_item(
    item: PenItem, geometry: Geometry, rng: Generator, pen: Pen | None = None, neighbours: tuple[PenItem, ...] = ()
) -> Grey:
    """The strip of a line of strokes, cut as `training.data.strips` cuts lines from pages.

    Parameters
    ----------
    item : PenItem
    geometry : Geometry
        Its window and height determine the size of the line.
    rng : Generator
    pen : Pen, optional
        One is chosen where it is left out.
    neighbours : tuple of PenItem
        Lines above and below, whose strokes may extend into the strip.

    Returns
    -------
    uint8 (geometry.height, W), W at most geometry.width
    """
    pen = pen or choose_pen(rng)
    points = np.concatenate(item.strokes)
    ascender = float(np.clip(-points[:, 1].min(), 1.0, 2.6)) if rng.random() < 0.5 else ASCENDER
    descender = float(np.clip(points[:, 1].max(), *DESCENDER))
    scale = geometry.height / (geometry.window * (ascender + descender)) * float(np.exp(rng.normal(0.0, 0.08)))
    reach = 0.25 * (ascender + descender) * scale
    width = int(np.clip(item.width * scale + 2 * reach, 16, geometry.width))
    across = min(1.0, (width - 2 * reach) / max(item.width * scale, 1.0))
    ink = np.zeros((geometry.height * OVERSAMPLING, width * OVERSAMPLING), np.uint8)
    origin = np.array([reach, geometry.baseline * geometry.height], np.float32)
    slope = rng.normal(0.0, 0.006)

    def place(stroke: Points, x: float, y: float) -> Points:
        placed = (stroke + np.array([x, y], np.float32)) * np.array([scale * across, scale], np.float32) + origin
        placed[:, 1] += np.float32(slope) * (placed[:, 0] - width / 2)
        return np.asarray((placed + 0.5) * OVERSAMPLING - 0.5, np.float32)

    draw_strokes(ink, tuple(place(stroke, 0.0, 0.0) for stroke in item.strokes), pen, rng)
    pitch = rng.uniform(0.85, 1.5) * (ascender + descender)
    for neighbour, side in zip(neighbours, (-1, 1), strict=False):
        shift = rng.uniform(-2, 2)
        others = tuple(place(stroke, shift, side * pitch) for stroke in neighbour.strokes)
        draw_strokes(ink, others, pen, rng)
    small = cv2.resize(ink, (width, geometry.height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if pen.grain:
        texture = cv2.GaussianBlur(rng.random(small.shape, np.float32), (0, 0), 0.6)
        small *= 1 - pen.grain * np.clip(3 * (texture - 0.45), 0, 1)
    paper = rng.uniform(190, 255)
    page = paper + (pen.ink - paper) * small
    return np.asarray(np.clip(page, 0, 255), np.uint8)


def draw_plain(item: PenItem, geometry: Geometry) -> tuple[Grey, float, float]:
    """Draw an item without any chance, for the recogniser to find its letters.

    Returns
    -------
    pixels : uint8 (geometry.height, W), W at most geometry.width
    scale : float
        Columns of the strip per x-height.
    reach : float
        Columns left of x = 0.
    """
    points = np.concatenate(item.strokes)
    descender = float(np.clip(points[:, 1].max(), *DESCENDER))
    rows = geometry.height / (geometry.window * (ASCENDER + descender))
    reach = 0.25 * (ASCENDER + descender) * rows
    width = int(np.clip(item.width * rows + 2 * reach, 16, geometry.width))
    scale = rows * min(1.0, (width - 2 * reach) / max(item.width * rows, 1.0))
    ink = np.zeros((geometry.height * OVERSAMPLING, width * OVERSAMPLING), np.uint8)
    factor = np.array([scale, rows], np.float32)
    origin = np.array([reach, geometry.baseline * geometry.height], np.float32)
    for stroke in item.strokes:
        curve = smooth_stroke((stroke * factor + origin + 0.5) * OVERSAMPLING - 0.5, 2.5 * OVERSAMPLING)
        cv2.polylines(ink, [np.rint(curve * 8).astype(np.int32)], False, 255, 2 * OVERSAMPLING, cv2.LINE_AA, 3)
    small = cv2.resize(ink, (width, geometry.height), interpolation=cv2.INTER_AREA)
    return np.asarray(240 - (small * 0.85).astype(np.uint8), np.uint8), scale, reach


class PenLines:
    """An endless stream of lines of one split of pen data: recorded lines, and lines set from words of one writer.

    Parameters
    ----------
    folder : Path
        Holds ``lines.npz`` and ``words.npz``.
    split : str
        ``train`` or ``val``.
    geometry : Geometry
        Of the strips, see `training.data.strips.enlarged`.
    """

    def __init__(self, folder: Path, split: str, geometry: Geometry) -> None:
        self.geometry = geometry
        self.lines = load_items(folder / "lines.npz", split)
        self.words = load_items(folder / "words.npz", split)
        self.hands: dict[int, list[int]] = defaultdict(list)
        for index, word in enumerate(self.words):
            self.hands[word.hand].append(index)

    def line(self, rng: Generator) -> PenItem:
        """A recorded line."""
        return self.lines[int(rng.integers(len(self.lines)))]

    def line_of_words(self, rng: Generator) -> PenItem:
        """Set words of one writer on a line; writers are weighted by the square root of their number of words."""
        hands = list(self.hands)
        share = np.array([len(self.hands[hand]) ** 0.5 for hand in hands])
        own = self.hands[hands[int(rng.choice(len(hands), p=share / share.sum()))]]
        count = min(len(own), int(rng.integers(1, 9)))
        return join_words([self.words[own[int(at)]] for at in rng.choice(len(own), count, replace=False)], rng)

    def draw(self, item: PenItem, rng: Generator) -> Grey:
        """Draw the strip of a line; a third of them with strokes of neighbouring lines."""
        others = tuple(self.line(rng) for _ in range(2)) if rng.random() < 0.35 else ()
        return draw_item(item, self.geometry, rng, None, others)
