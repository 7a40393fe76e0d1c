"""Find the solid bars that words were made unreadable with, and take them off a page.

The recogniser reads them as words of m and a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import Ink

# A bar is so many times as wide as it is tall, so tall at least in ascenders of the page's lines and of its own one,
# fills this share of the smallest rectangle around it, and is nearly as dark as its darkest part within.
WIDE, TALL, TALL_ON_LINE, FULL, EVEN = 1.2, 0.5, 0.7, 0.9, 0.25
# A hole of so many ascenders in height is a letter.
HOLE = 0.3
# A bar that lies askew fills less of its upright bounds.
FULL_ASKEW = 0.5
# A bar over a short word is narrower; it begins and ends where one beside it does, within this share of its height.
NARROW, ALIKE, BESIDE = 0.3, 0.15, 3.0
# What is left of a line has ink of so many ascenders in width at least.
SHORTEST = 0.3


class Bar(NamedTuple):
    """A solid bar: the label of its ink, and its bounds in pixels of the page."""

    label: int
    left: float
    top: float
    right: float
    bottom: float


class WithoutBars(NamedTuple):
    """A page without bars over words, and its lines without those that were nothing else."""

    page: NDArray[np.uint8]
    lines: list[TextLine]


def take_bars_off(page: NDArray[np.uint8], lines: list[TextLine], ink: Ink) -> WithoutBars:
    """Take the bars over words off a page; without any on a line, the page and the lines are the same objects.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, upright and evenly lit.
    lines : list of TextLine
        As the detector found them; those with a bar are copied, since they look different without it, and those
        of bars alone are left out.
    ink : Ink
        Ink of the page.

    Returns
    -------
    WithoutBars
    """
    if not lines or not (bars := _bars(ink, float(np.median([line.ascender for line in lines])) * ink.scale)):
        return WithoutBars(page, lines)
    on_lines = [[bar for bar in bars if _is_on(bar, line)] for line in lines]
    wiped = {bar for some in on_lines for bar in some}
    if not wiped:
        return WithoutBars(page, lines)
    clear = page.copy()
    paper = np.percentile(ink.page[::2, ::2], 70)
    for bar in wiped:
        _wipe(clear, ink, bar, paper)
    kept = [
        line if not some else replace(line)
        for line, some in zip(lines, on_lines, strict=True)
        if not some or _is_text_left(line, some, ink)
    ]
    return WithoutBars(clear, kept)


def _bars(ink: Ink, unit: float) -> list[Bar]:
    """The solid bars among the ink of a page whose ascenders have so many pixels of it."""
    likely = (ink.height >= TALL * unit) & (ink.area >= FULL_ASKEW * ink.height * ink.width)
    wide = likely & (ink.width >= WIDE * ink.height)
    bars = [bar for index in np.flatnonzero(wide).tolist() if (bar := _bar(ink, index, WIDE, unit)) is not None]
    if not bars:
        return []
    narrow = likely & ~wide & (ink.width >= NARROW * ink.height)
    for index in np.flatnonzero(narrow).tolist():
        edges = (float(each[index]) / ink.scale for each in (ink.left, ink.top, ink.right, ink.bottom))
        own = Bar(index + 1, *edges)
        if any(_are_beside(own, bar) for bar in bars) and _bar(ink, index, 0.0, unit) is not None:
            bars.append(own)
    return bars


def _bar(ink: Ink, index: int, wide: float, unit: float) -> Bar | None:
    """A component if it is a solid bar so many times as wide as it is tall, where ascenders have `unit` pixels."""
    left, top, right, bottom = (int(each[index]) for each in (ink.left, ink.top, ink.right, ink.bottom))
    own = (ink.labels[top:bottom, left:right] == index + 1).astype(np.uint8)
    inner = cv2.erode(own, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    # From the middle of a pixel to that of another one, it is a pixel less.
    sides = np.add(cv2.minAreaRect(cv2.findNonZero(own))[1], 1.0)
    if ink.area[index] < FULL * sides.min() * sides.max() or sides.max() < wide * sides.min() or not inner.any():
        return None
    # Letters in a dark heading are holes.
    outlines, _ = cv2.findContours(own, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if sum(cv2.boundingRect(outline)[3] - 2 >= max(3, HOLE * unit) for outline in outlines) > 1:
        return None
    dark, light = np.percentile(ink.page[top:bottom, left:right][inner], (5, 95)).tolist()
    if light - dark > EVEN * (255 - dark):
        return None
    return Bar(index + 1, *(value / ink.scale for value in (left, top, right, bottom)))


def _are_beside(one: Bar, other: Bar) -> bool:
    """Whether two bars begin and end at the same levels, near to each other."""
    tall = other.bottom - other.top
    levels = max(abs(one.top - other.top), abs(one.bottom - other.bottom))
    return levels <= ALIKE * tall and max(one.left - other.right, other.left - one.right) <= BESIDE * tall


def _is_on(bar: Bar, line: TextLine) -> bool:
    """Whether a bar as tall as the letters of a line stands among them or at its ends."""
    first, last = float(line.baseline[0, 0]), float(line.baseline[-1, 0])
    if bar.left >= last or bar.right <= first or bar.bottom - bar.top < TALL_ON_LINE * line.ascender:
        return False
    level = float(np.interp((max(bar.left, first) + min(bar.right, last)) / 2, *line.baseline.T))
    return bar.top < level - line.ascender / 3 < bar.bottom


def _is_text_left(line: TextLine, bars: Sequence[Bar], ink: Ink) -> bool:
    """Whether a line has ink besides some bars."""
    labels = {bar.label - 1 for bar in bars}
    middles = (ink.left + ink.right) / 2 / ink.scale
    levels = np.interp(middles, *line.baseline.T)
    inside = (middles > line.baseline[0, 0]) & (middles < line.baseline[-1, 0])
    inside &= (ink.top / ink.scale < levels) & (ink.bottom / ink.scale > levels - line.ascender)
    inside &= ink.height <= 2 * line.ascender * ink.scale
    inside[list(labels)] = False
    return float(ink.width[inside].sum()) >= SHORTEST * line.ascender * ink.scale


def _wipe(page: NDArray[np.uint8], ink: Ink, bar: Bar, paper: float) -> None:
    """Give a bar and its blurred edge the grey of paper, but no other ink."""
    margin = 2
    height, width = ink.labels.shape
    top, left = max(int(bar.top * ink.scale) - margin, 0), max(int(bar.left * ink.scale) - margin, 0)
    bottom = min(int(bar.bottom * ink.scale) + margin + 1, height)
    right = min(int(bar.right * ink.scale) + margin + 1, width)
    own = ink.labels[top:bottom, left:right]
    mask = cv2.dilate((own == bar.label).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    mask &= (own == 0) | (own == bar.label)
    rows = np.arange(int(top / ink.scale), min(int(np.ceil(bottom / ink.scale)), page.shape[0]))
    columns = np.arange(int(left / ink.scale), min(int(np.ceil(right / ink.scale)), page.shape[1]))
    near = np.ix_(
        np.clip(((rows + 0.5) * ink.scale).astype(int) - top, 0, mask.shape[0] - 1),
        np.clip(((columns + 0.5) * ink.scale).astype(int) - left, 0, mask.shape[1] - 1),
    )
    part = page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part[mask[near]] = np.uint8(paper)
