"""Detect lines that are no text of this side of the sheet: bar codes, rows of holes, and show-through of the back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.recognition import Recognizer
from paragraph_ocr.pipeline.rectification import BEYOND, Geometry, cut, frame, percentiles

# Of the contrast of most of a page's writing, less than this share may be the back of the sheet.
FAINT = 0.6
# Show-through of fewer letters than are as wide as this many heights of a strip may be an accident, and so may that of
# a line of fewer where there is no other.
MIN_SHOW_THROUGH_HEIGHTS, MIN_LINE_HEIGHTS = 8, 4
# Minimum confidence gain by which a line is read better mirrored from top to bottom.
UPSIDE_DOWN_GAIN = 0.05
# Bars of a bar code, and the share of its dark columns that are dark from top to bottom.
MIN_BARS, SOLID = 12, 0.85
# Marks of a row of holes or dashes: their least number, the share of their bounds that each fills, the share of the ink
# that they have, and by how much most differ from the median in width and height, in that, and in their distance.
MIN_MARKS, MARK_FULL, MARK_INK, MARKS_ALIKE, MARKS_APART = 10, 0.72, 0.85, 0.2, 0.15


@dataclass(frozen=True)
class FalseLines:
    """Lines that are no text of this side of the sheet, as places in a list of lines.

    Attributes
    ----------
    bar_codes, marks, show_through : frozenset of int
        `marks` are rows of holes, as of a notebook, and of dashes, as of a border.
    faintest : float
        Grey levels between paper and ink that show-through has at most, if what has less may be wiped off the page:
        there is show-through, and more of it than of faint writing; else 0.
    """

    bar_codes: frozenset[int]
    marks: frozenset[int]
    show_through: frozenset[int]
    faintest: float


@dataclass(frozen=True)
class Look:
    """What a line looks like in its strip.

    Attributes
    ----------
    contrast : float
        Grey levels between the paper and the ink of its small letters.
    bar_code : bool
    """

    contrast: float
    bar_code: bool


def look_at(strip: NDArray[np.uint8], recognizer: Recognizer) -> Look:
    """Return what a line looks like in its strip, uint8 (H, W), of any width."""
    return Look(_contrast(strip, recognizer.geometry.baseline), is_bar_code(strip))


def find_false_lines(
    page: NDArray[np.uint8],
    lines: Sequence[TextLine],
    recognizer: Recognizer,
    looks: Mapping[int, Look] | None = None,
    unsure: Collection[int] = (),
) -> FalseLines:
    """Which lines of a page are bar codes, rows of marks, or show through from the back: faint and mirrored writing.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, upright.
    lines : sequence of TextLine
    recognizer : Recognizer
    looks : mapping of int to Look, optional
        What some of the lines look like in the strips in which they were read, by their place.
    unsure : collection of int, optional
        Places of the lines that may be rows of marks: their readings are not sure.
    """
    if not lines:
        return FalseLines(frozenset(), frozenset(), frozenset(), 0.0)
    known = looks or {}
    seen = [
        known[index] if index in known else look_at(_strip(page, line, recognizer), recognizer)
        for index, line in enumerate(lines)
    ]
    bar_codes = frozenset(index for index, look in enumerate(seen) if look.bar_code)
    marks = frozenset(index for index in unsure if is_row_of_marks(_strip(page, lines[index], recognizer)))
    contrasts = np.array([look.contrast for look in seen])
    lengths = np.array([_length(line, recognizer.geometry) for line in lines])
    order = np.argsort(contrasts)
    # The writing of this side is the darker, if it is at least a quarter of all.
    usual = contrasts[order][np.searchsorted(np.cumsum(lengths[order]), 0.75 * lengths.sum())]
    faint = np.flatnonzero(contrasts < FAINT * usual).tolist()
    show_through = frozenset(
        index for index in faint if _is_mirrored(_strip(page, lines[index], recognizer), recognizer)
    )
    long = frozenset(index for index in show_through if lengths[index] >= MIN_LINE_HEIGHTS)
    if lengths[list(long)].sum() < MIN_SHOW_THROUGH_HEIGHTS:
        show_through = long
    length, of_faint = float(lengths[list(show_through)].sum()), float(lengths[faint].sum())
    wipe = length >= MIN_SHOW_THROUGH_HEIGHTS and 2 * length > of_faint
    return FalseLines(bar_codes, marks, show_through, FAINT * float(usual) if wipe else 0.0)


def wiped(page: NDArray[np.uint8], faintest: float) -> NDArray[np.uint8]:
    """A page without what differs from the paper around it by less than so many grey levels.

    Parameters
    ----------
    page : uint8 (H, W)
    faintest : float
    """
    around = cv2.dilate(_smaller(page), np.ones((9, 9), np.uint8))
    paper = cv2.resize(cv2.blur(around, (31, 31)), page.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(cv2.subtract(paper, page) < faintest, paper, page), np.uint8)


def _smaller(page: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, 1024 / max(page.shape))
    size = (max(1, round(page.shape[1] * scale)), max(1, round(page.shape[0] * scale)))
    return np.asarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA), np.uint8)


def _length(line: TextLine, geometry: Geometry) -> float:
    """Width of a line's strip in its heights."""
    segments = np.diff(line.baseline, axis=0)
    height = max(line.ascender + line.descender, 1.0)
    return (float(np.hypot(segments[:, 0], segments[:, 1]).sum()) / height + 2 * BEYOND) / geometry.window


def _strip(page: NDArray[np.uint8], line: TextLine, recognizer: Recognizer) -> NDArray[np.uint8]:
    return cut(page, frame(line.baseline, line.ascender, line.descender, recognizer.geometry))


def _is_mirrored(strip: NDArray[np.uint8], recognizer: Recognizer) -> bool:
    """Whether a strip is read more surely mirrored than as it is.

    The back of a sheet that is turned over its short edge shows through upside down: mirrored from top to bottom.
    """
    means = []
    for output in recognizer.log_probabilities([strip, *map(np.ascontiguousarray, (strip[:, ::-1], strip[::-1]))]):
        read = [character.confidence for character in recognizer.best_path(output) if character.text != " "]
        means.append(float(np.mean(read)) if read else 0.0)
    as_it_is, mirrored, upside_down = means
    # Many figures and capitals are symmetrical.
    return mirrored > as_it_is or upside_down > as_it_is + UPSIDE_DOWN_GAIN


def is_bar_code(strip: NDArray[np.uint8]) -> bool:
    """Whether a strip shows many bars that are all as tall as it, and nothing else.

    Parameters
    ----------
    strip : uint8 (H, W)
    """
    height = len(strip)
    dark, light = percentiles(strip, (5, 95))
    if light - dark < 32:
        return False
    middle = strip[height // 4 : -height // 4] < (dark + light) / 2
    share = middle.mean(axis=0)
    bars = int(np.count_nonzero(np.diff((share > 0.5).astype(np.int8)) == 1))
    some = share > 0.15
    return bars >= MIN_BARS and float((share[some] > 0.9).mean()) >= SOLID


def is_row_of_marks(strip: NDArray[np.uint8]) -> bool:
    """Whether a strip shows many solid marks of the same size at the same distances, and hardly anything else.

    Parameters
    ----------
    strip : uint8 (H, W)
    """
    dark, light = percentiles(strip, (5, 95))
    if light - dark < 32:
        return False
    left, _, width, height, area = components(strip < (dark + light) / 2).boxes[1:].T
    alike = area >= MARK_FULL * width * height
    for side in (width, height):
        middle = float(np.median(side[alike])) if alike.any() else 0.0
        alike &= np.abs(side - middle) <= max(MARKS_ALIKE * middle, 1)
    if np.count_nonzero(alike) < MIN_MARKS or area[alike].sum() < MARK_INK * area.sum():
        return False
    steps = np.diff(np.sort(left[alike]))
    usual = float(np.median(steps))
    return bool((np.abs(steps - usual) <= MARKS_APART * usual + 1).mean() >= MARK_INK)


def _contrast(strip: NDArray[np.uint8], baseline: float) -> float:
    """Grey levels between the paper of a strip and the ink of its small letters."""
    row = round(baseline * len(strip))
    small_letters = strip[max(row - len(strip) // 3, 0) : row]
    return float(percentiles(strip, (80,))[0] - percentiles(small_letters, (12,))[0])
