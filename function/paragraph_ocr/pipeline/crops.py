"""Complete the lines of an image that was cut out around a word or a few, and leave out what the cut left of others.

Of so few letters, a detector tells badly how tall their line is, so that accents, tails and the last letter lie outside
of it; and it takes the tails of the letters above for a line of small ones. The components of the ink tell both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Box
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import SMALLEST, Ink

# An image is small up to this shorter side in pixels, and gets a margin of this share of it.
SMALL_SIDE, MARGIN = 400, 0.15
# An image has been cut out around so many lines at most.
LINES = 3
# A line has few letters up to this length, in its ascenders; of more, the detector tells the height well.
SHORT = 9.0
# A component belongs to a line if so much of its box lies within the line's polygon, and if it is so many ascenders
# longer than the line at most.
INSIDE, LONGER = 0.4, 2.5
# Of what belongs to a line: how far above and below the baseline it reaches at most, in ascenders of the line found.
ABOVE, BELOW = 2.4, 1.4
# An accent or a dot lies so far above a line at most, and is so tall at most, in its ascenders.
ACCENT_GAP, ACCENT = 0.8, 0.7
# What the left or the right edge leaves of a word is so wide at most, the gap before it, and how far from the edge a
# line ends that has it or a rule of the paper, in ascenders; a line ends so far behind its last letter then.
FRAGMENT, FRAGMENT_GAP, AT_EDGE, BEHIND = 0.45, 0.3, 0.5, 0.2
# What the edges of the image leave of other words is so many ascenders large at most.
PART = 3.0
# Small letters are so tall, in ascenders: what reaches into them belongs to the line.
BODY = 0.7
# Straight ink of this length in ascenders is a rule of the paper.
RULE = 1.2
# A line is a remnant if so much of its ink is cut by the upper or lower edge of the image, and if it is at most so many
# times as tall as a line beside it.
CUT, REMNANT = 0.5, 0.8


class CutOut(NamedTuple):
    """The lines of an image in no order, and its components that are parts of other words, bool (N,)."""

    lines: list[TextLine]
    others: NDArray[np.bool_]

    def wiped(self, page: NDArray[np.uint8], ink: Ink) -> NDArray[np.uint8]:
        """The page, uint8 (H, W), without the parts of other words, if it has few lines."""
        if len(self.lines) > LINES or not self.others.any():
            return page
        marks = np.concatenate([[False], self.others])[ink.labels]
        height, width = page.shape
        mask = cv2.resize(np.asarray(marks, np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        # The rims of strokes are lighter than ink.
        reach = 2 * math.ceil(1 / ink.scale) + 1
        mask = cv2.dilate(mask, np.ones((reach, reach), np.uint8))
        return np.where(mask > 0, _paper(page), page)


def with_margin(page: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """A small image whose edges cut or touch writing, with paper around it, and how many pixels of it.

    Letters that fill an image to its edges are read worse, and short words in any direction.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, evenly lit.
    """
    smaller = min(page.shape)
    if smaller > SMALL_SIDE:
        return page, 0
    darkest, paper = float(page.min()), int(_paper(page))
    rim = [page[:2], page[-2:], page[:, :2], page[:, -2:]]
    if min(float(each.min()) for each in rim) > (darkest + paper) / 2:
        return page, 0
    margin = math.ceil(MARGIN * smaller)
    around = cv2.copyMakeBorder(page, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=paper)
    return np.asarray(around, np.uint8), margin


def _paper(page: NDArray[np.uint8]) -> np.uint8:
    """The grey of the paper of a small image."""
    return np.uint8(np.percentile(page, 80))


def complete_cut_out(lines: Sequence[TextLine], ink: Ink, margin: int = 0) -> CutOut:
    """Lines of an image as long and as tall as their letters, if it was cut out, without what the cut left of others.

    Tails of the letters above and tops of those below are no lines, and marks at the left and the right edge no
    letters. The lines of an image that has more than a few are left as they are, but for such remnants.

    Parameters
    ----------
    lines : sequence of TextLine
    ink : Ink
        Ink of the page.
    margin : int
        Pixels of the page around what was cut out.
    """
    height, width = ink.labels.shape
    inset = margin * ink.scale
    edges = (inset, inset, width - inset, height - inset)
    lines = _without_remnants(lines, ink, edges)
    if not lines:
        return CutOut(lines, np.zeros(len(ink.area), np.bool_))
    scaled = [line.rescaled(ink.scale) for line in lines]
    cut = _cut(ink, edges)
    largest = PART * ink.scale * max(line.ascender for line in lines)
    part = (ink.width <= largest) & (ink.height <= largest)
    others = cut & part
    others[others] = ~_reach_into(scaled, ink, np.flatnonzero(others))
    if len(lines) > LINES:
        return CutOut(lines, others)
    whole = np.flatnonzero(~cut & (ink.area >= SMALLEST))
    fitted = []
    for line, found in zip(lines, scaled, strict=True):
        tall = _fitted(found, ink, whole, [other for other in scaled if other is not found])
        own = _trimmed(tall, ink, edges)
        if own is not tall:
            left, right = own.baseline[0, 0], own.baseline[-1, 0]
            others |= part & (ink.left <= edges[0] + 1) & (ink.right <= left + 1)
            others |= part & (ink.right >= edges[2] - 1) & (ink.left >= right - 1)
        fitted.append(line if own is found else own.rescaled(1 / ink.scale))
    # What was read with parts of other words beside it is read anew.
    return CutOut([replace(line) for line in fitted] if others.any() else fitted, others)


def _cut(ink: Ink, edges: Box) -> NDArray[np.bool_]:
    """Which components the upper or the lower edge of the image cuts, bool (N,)."""
    return np.asarray((ink.top <= edges[1] + 1) | (ink.bottom >= edges[3] - 1))


def _reach_into(lines: Sequence[TextLine], ink: Ink, some: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of some components reach into the small letters of one of the lines, bool (K,)."""
    left, top, right, bottom = (edges[some] for edges in (ink.left, ink.top, ink.right, ink.bottom))
    middle = (left + right) / 2
    reach = np.zeros(len(middle), np.bool_)
    for line in lines:
        level = np.interp(middle, *line.baseline.T)
        along = (right > line.baseline[0, 0] - line.ascender) & (left < line.baseline[-1, 0] + line.ascender)
        reach |= along & (bottom > level - BODY * line.ascender) & (top < level)
    return reach


def _fitted(line: TextLine, ink: Ink, some: NDArray[np.intp], others: Sequence[TextLine]) -> TextLine:
    """A line of few letters as long and as tall as those of some components that belong to it."""
    ascender = line.ascender
    left, right = float(line.baseline[0, 0]), float(line.baseline[-1, 0])
    if right - left > SHORT * ascender:
        return line
    middle = (ink.left[some] + ink.right[some]) / 2
    level = np.interp(middle, *line.baseline.T)
    top, bottom, first, last = (edges[some] for edges in (ink.top, ink.bottom, ink.left, ink.right))
    shared = np.minimum(bottom, level + line.descender) - np.maximum(top, level - ascender)
    along = np.minimum(last, right) - np.maximum(first, left)
    inside = np.maximum(shared, 0) * np.maximum(along, 0) > INSIDE * (bottom - top) * (last - first)
    inside &= (left - first < LONGER * ascender) & (last - right < LONGER * ascender)
    inside &= (level - top < ABOVE * ascender) & (bottom - level < BELOW * ascender)
    if not inside.any():
        return line
    left, right = min(left, float(first[inside].min())), max(right, float(last[inside].max()))
    over = level - ascender - bottom
    accents = ~inside & (middle > left) & (middle < right) & (over < ACCENT_GAP * ascender)
    accents &= (bottom - top < ACCENT * ascender) & (bottom < level - 0.5 * ascender)
    accents &= np.array([not _covered(x, y, others) for x, y in zip(middle, (top + bottom) / 2, strict=True)], bool)
    inside |= accents
    above = max(ascender, float((level - top)[inside].max()))
    below = max(line.descender, float((bottom - level)[inside].max()))
    if (
        above < 1.1 * ascender
        and below < 1.5 * line.descender
        and left == line.baseline[0, 0]
        and right == line.baseline[-1, 0]
    ):
        return line
    baseline = line.baseline.copy()
    baseline[0, 0], baseline[-1, 0] = left, right
    return replace(line, baseline=baseline, ascender=above, descender=below)


def _trimmed(line: TextLine, ink: Ink, edges: Box) -> TextLine:
    """A line without what the left and the right edge of the image leave of other words, and without rules alone."""
    width, ascender = ink.labels.shape[1], line.ascender
    left, right = max(round(float(line.baseline[0, 0])), 0), min(round(float(line.baseline[-1, 0])), width)
    at_edge = left < edges[0] + AT_EDGE * ascender, right > edges[2] - AT_EDGE * ascender
    if not any(at_edge) or right - left < 2 * ascender:
        return line
    left = max(math.floor(edges[0]), 0) if at_edge[0] else left
    right = min(math.ceil(edges[2]), width) if at_edge[1] else right
    level = np.interp(np.arange(left, right), *line.baseline.T)
    rows = np.arange(-round(0.9 * ascender), round(0.2 * ascender))[:, None] + np.rint(level).astype(np.intp)
    band = ink.labels[np.clip(rows, 0, ink.labels.shape[0] - 1), np.arange(left, right)] > 0
    straight = np.ones((1, max(3, round(RULE * ascender))), np.uint8)
    rule = cv2.morphologyEx(np.asarray(band, np.uint8), cv2.MORPH_OPEN, straight)
    inked = np.flatnonzero((band & (cv2.dilate(rule, np.ones((3, 1), np.uint8)) == 0)).any(axis=0))
    if not len(inked):
        return line
    runs = [
        (int(run[0]), int(run[-1]) + 1)
        for run in np.split(inked, np.flatnonzero(np.diff(inked) > FRAGMENT_GAP * ascender) + 1)
    ]
    # Where the letters themselves reach from edge to edge, a narrow one is no less than they are.
    cut = [
        at_edge[0] and left + runs[0][0] <= edges[0] + 1 and runs[0][1] - runs[0][0] < FRAGMENT * ascender,
        at_edge[1] and left + runs[-1][1] >= edges[2] - 1 and runs[-1][1] - runs[-1][0] < FRAGMENT * ascender,
    ]
    rest = runs[cut[0] : len(runs) - cut[1]]
    if rest and not (left + rest[0][0] <= edges[0] + 1 or left + rest[-1][1] >= edges[2] - 1):
        runs = rest
    first, last = left + runs[0][0] - BEHIND * ascender, left + runs[-1][1] + BEHIND * ascender
    first = max(first, float(line.baseline[0, 0])) if at_edge[0] else float(line.baseline[0, 0])
    last = min(last, float(line.baseline[-1, 0])) if at_edge[1] else float(line.baseline[-1, 0])
    if (first, last) == (line.baseline[0, 0], line.baseline[-1, 0]):
        return line
    x = line.baseline[:, 0]
    between = line.baseline[(x > first) & (x < last)]
    ends = [[at, np.interp(at, *line.baseline.T)] for at in (first, last)]
    return replace(line, baseline=np.concatenate([ends[:1], between, ends[1:]]).astype(np.float32))


def _covered(x: float, y: float, lines: Sequence[TextLine]) -> bool:
    """Whether a point lies in one of the lines."""
    for line in lines:
        if line.baseline[0, 0] <= x <= line.baseline[-1, 0]:
            level = float(np.interp(x, *line.baseline.T))
            if level - line.ascender <= y <= level + line.descender:
                return True
    return False


def _without_remnants(lines: Sequence[TextLine], ink: Ink, edges: Box) -> list[TextLine]:
    """Lines but those of which the upper or the lower edge of the image leaves only the tails or tops of letters."""
    upper, lower = edges[1] / ink.scale, edges[3] / ink.scale
    kept = []
    for line in lines:
        rows = line.polygon[:, 1]
        top, bottom = max(float(rows.min()), upper), min(float(rows.max()), lower)
        if min(top - upper, lower - bottom) >= AT_EDGE * line.ascender:
            kept.append(line)
            continue
        taller = any(
            bottom - top < REMNANT * (other.ascender + other.descender)
            and min(other.baseline[-1, 0], line.baseline[-1, 0]) > max(other.baseline[0, 0], line.baseline[0, 0])
            for other in lines
            if other is not line
        )
        if not (taller and _is_cut(line.rescaled(ink.scale), ink, edges)):
            kept.append(line)
    return kept


def _is_cut(line: TextLine, ink: Ink, edges: Box) -> bool:
    """Whether most of a line's ink is cut by the upper or the lower edge of the image."""
    middle, y = (ink.left + ink.right) / 2, (ink.top + ink.bottom) / 2
    level = np.interp(middle, *line.baseline.T)
    own = (middle > line.baseline[0, 0]) & (middle < line.baseline[-1, 0])
    own &= np.minimum(ink.bottom, level + line.descender) > np.maximum(ink.top, level - line.ascender)
    own &= (y > level - 1.2 * line.ascender) & (y < level + line.descender + 0.2 * line.ascender)
    area = ink.area[own]
    return bool(area.sum() > 0 and area[_cut(ink, edges)[own]].sum() > CUT * area.sum())
