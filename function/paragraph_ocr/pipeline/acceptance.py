"""Decide which of the lines found on a page are text, by the detector, by their readings, and by what stands around.

A character that stands alone shows the detector little, and its reading is never sure: 1, I and l look alike, as do
small and capital letters. Where it stands in a column of numbers, or on a line with other text, it is accepted
nevertheless.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.detection import TextLine

# What a reading without any confidence counts in accepting a line: it may be writing that cannot be read.
MIN_READING_WEIGHT = 0.25
# Signs besides letters and digits that stand alone in the cells of tables.
SIGNS = "+×"
# Signs that do so in a column of entries only: elsewhere a rule or a stroke of the pen looks the same.
DASHES = "-–—"
# Least confidence of a single character that stands on a line with other text, and of one in a column of entries.
ON_A_LINE, IN_A_COLUMN = 0.6, 0.33
# Entries of a column are so many characters long at most, and the character that stands with them needs so many.
ENTRY, ENTRIES = 4, 2
# What the dashes of an upright rule are read as, their least number, and the mean confidence that they are below.
STROKES, MIN_STROKES, UNSURE_STROKES = frozenset("Il1|!i':;.-"), 6, 0.6
# Holes of a ring binding are read as any character: their least number in a column, the mean confidence that they are
# below, how many times their height they are apart at most, and the share of them that is level with text, as the
# characters in a column of a table are.
MIN_HOLES, UNSURE_HOLES, HOLE_PITCH, LEVEL_HOLES = 8, 0.5, 3.0, 0.6
# In ascender heights of the other line: how far levels, and the edges or the middles of a column, lie apart, and how
# far away text on the same line is.
LEVEL, EDGE, FARTHEST = 0.3, 0.4, 25.0
# Height of a character relative to the ascenders of the text that it stands with.
HEIGHT = (0.6, 1.4)


def accepted_lines(
    found: Sequence[TextLine], lines: Sequence[Line], accepts: Callable[[TextLine, float], bool]
) -> list[int]:
    """Places of the lines that are text.

    Parameters
    ----------
    found : sequence of TextLine
    lines : sequence of Line
        Their readings, empty where nothing was read.
    accepts : callable
        Whether a line is kept, given what its reading counts, 0 to 1, as `Detector.accepts`.
    """
    kept = {
        index
        for index, (each, line) in enumerate(zip(found, lines, strict=True))
        if line.text and accepts(each, MIN_READING_WEIGHT + (1.0 - MIN_READING_WEIGHT) * line.confidence)
    }
    strokes = [index for index, line in enumerate(lines) if line.text in STROKES]
    marks = _columns_of_marks(found, lines, strokes, MIN_STROKES, UNSURE_STROKES, 1.0)
    marks |= _holes(found, lines, kept - marks)
    kept -= marks
    doubtful = [
        index
        for index, line in enumerate(lines)
        if index not in kept
        and index not in marks
        and len(line.text) == 1
        and (line.text.isalnum() or line.text in SIGNS + DASHES)
        and line.confidence >= min(ON_A_LINE, IN_A_COLUMN)
    ]
    if not doubtful or not kept:
        return sorted(kept)
    sure = sorted(kept)
    places = np.array([_place(found[index]) for index in sure])
    entries = np.array([len(lines[index].text) <= ENTRY for index in sure])
    for index in doubtful:
        on_a_line, in_a_column = _stands_with(_place(found[index]), places, entries)
        on_a_line &= lines[index].text not in DASHES
        needed = IN_A_COLUMN if in_a_column else ON_A_LINE if on_a_line else np.inf
        if lines[index].confidence >= needed:
            kept.add(index)
    return sorted(kept)


def _columns_of_marks(
    found: Sequence[TextLine], lines: Sequence[Line], some: Sequence[int], least: int, unsure: float, pitch: float
) -> set[int]:
    """Places of those of some lines of a character each that are marks: dashes of an upright rule, or rows of holes.

    In an upright rule, as where a form is to be torn, they are nearer to each other than lines of text. They resemble
    no character enough to be read surely. A column has at least so many, of a mean confidence below `unsure`, and at
    most `pitch` times their height apart.
    """
    if len(some) < least:
        return set()
    x = np.array([float(found[index].baseline[:, 0].mean()) for index in some])
    order = np.argsort(x)
    ordered, x = [some[place] for place in order.tolist()], x[order]
    y = np.array([float(found[index].baseline[:, 1].mean()) for index in ordered])
    heights = np.array([found[index].ascender + found[index].descender for index in ordered])
    sure = np.array([lines[index].confidence for index in ordered])
    firsts, ends = np.searchsorted(x, x - heights / 2, "right"), np.searchsorted(x, x + heights / 2)
    marks: set[int] = set()
    # Marks of one column mostly have the same neighbours.
    for first, end in set(zip(firsts.tolist(), ends.tolist(), strict=True)):
        column = slice(first, end)
        if (
            end - first >= least
            and np.median(np.diff(np.sort(y[column]))) <= pitch * np.median(heights[column])
            and sure[column].mean() < unsure
        ):
            marks.update(ordered[column])
    return marks


def _holes(found: Sequence[TextLine], lines: Sequence[Line], kept: Collection[int]) -> set[int]:
    """Places of the lines of a character each that are holes of a ring binding, given those that are kept so far."""
    single = [index for index, line in enumerate(lines) if len(line.text) == 1]
    holes = _columns_of_marks(found, lines, single, MIN_HOLES, UNSURE_HOLES, HOLE_PITCH)
    if text := [index for index in kept if len(lines[index].text) > 1] if holes else []:
        places, none = np.array([_place(found[index]) for index in text]), np.zeros(len(text), np.bool_)
        usual = float(np.median(places[:, 4]))
        level = 0
        for index in holes:
            # By its middle, since a ring around a number is taller than text.
            left, right, first, last, ascender = _place(found[index])
            lower = (ascender - usual) / 2
            level += _stands_with((left, right, first - lower, last - lower, usual), places, none)[0]
        if level > LEVEL_HOLES * len(holes):
            return set()
    return holes


def _place(line: TextLine) -> tuple[float, float, float, float, float]:
    """Left and right end of a line, its level at either, and its ascender height."""
    (left, first), (right, last) = line.baseline[0], line.baseline[-1]
    return float(left), float(right), float(first), float(last), line.ascender


def _stands_with(
    own: tuple[float, float, float, float, float], places: NDArray[np.float64], entries: NDArray[np.bool_]
) -> tuple[bool, bool]:
    """Whether a character stands on a line with other text, and whether it stands in a column of entries."""
    left, right, first, last, ascender = places.T
    alike = (own[4] >= HEIGHT[0] * ascender) & (own[4] <= HEIGHT[1] * ascender)
    gap = np.maximum(left - own[1], own[0] - right)
    apart = np.where(left > own[0], np.abs(first - own[3]), np.abs(last - own[2]))
    beside = alike & (gap > 0) & (gap <= FARTHEST * ascender) & (apart <= LEVEL * ascender)
    edges = np.abs([left - own[0], right - own[1], (left + right) / 2 - (own[0] + own[1]) / 2]).min(axis=0)
    above = np.abs(first - own[2]) > ascender
    column = alike & entries & above & (edges <= EDGE * ascender)
    return bool(beside.any()), int(column.sum()) >= ENTRIES
