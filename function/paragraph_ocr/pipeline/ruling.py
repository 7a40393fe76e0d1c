"""Find the rules of a page, the rows of tables between horizontal ones, and upright ones between columns.

Rules that run through letters, as in tables whose rows are close, are taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import Grey, Ink, components, resized

# Ascenders have at most so many pixels where rules are searched.
ASCENDER = 18.0
# A rule is darker than the paper above and below it by at least so many grey levels.
MIN_CONTRAST = 8
# Lengths in ascenders: the shortest straight stroke of a rule, the widest break in a rule, the shortest rule.
MIN_STROKE, MAX_BREAK, MIN_RULE = 4.0, 2.0, 12.0
# Maximum thickness of a rule, and its maximum slope.
MAX_THICKNESS, MAX_SLOPE = 0.8, 0.05
# Minimum share of two rules' common width at which they may belong to one table.
MIN_COMMON = 0.8
# A page with more strokes is a drawing or a pattern.
MAX_STROKES = 400
# Minimum number of rules of a table.
MIN_RULES = 3
# Rules are evenly spaced if this share of their distances differs from the median by at most this share of it.
MIN_EVEN_SHARE, EVEN = 0.6, 0.2
# In ascenders, of upright rules: shortest straight stroke, widest break, shortest rule, and maximum thickness.
MIN_UPRIGHT_STROKE, MAX_UPRIGHT_BREAK, MIN_UPRIGHT_RULE, MAX_UPRIGHT_THICKNESS = 3.5, 2.5, 5.0, 0.4
# In ascenders above the baseline, where a rule runs through letters or touches their tops; and the number of lines, and
# the share of all, that rules run through on a page from which they are taken off.
THROUGH, CROSSED_LINES, CROSSED_SHARE = (0.3, 0.95), 5, 0.5
# Taking off, in ascenders: rows on each side of a rule, how far it may go on beyond its ends, and the length over which
# its level is measured. Its darkness is that which all but this share of its columns exceed, since others have letters;
# it ends where it has so much of its greatest. Positions are told by so many parts of a pixel, and so many times its
# darkness is taken off.
TAKEN_ROWS, TAKEN_BEYOND, TAKEN_LEVEL = 0.4, 0.3, 6.0
TAKEN_SHARE, TAKEN_EDGE, TAKEN_PARTS, TAKEN_MORE = 40, 0.1, 4, 1.2
# So many columns of it are measured, or up to twice as many.
MEASURED = 250
# What is less dark along most of its length than so much of its darkest parts is a row of letters, or so faint that
# writing on it is read well.
TAKEN_EVEN = 0.55
TAKEN_MORE = 1.3


@dataclass(frozen=True)
class Rule:
    """A horizontal rule by its two ends, pixels."""

    left: float
    left_y: float
    right: float
    right_y: float

    def level(self, x: float) -> float:
        """The height on the page of the rule, or of its continuation, at a column."""
        share = (x - self.left) / (self.right - self.left)
        return self.left_y + share * (self.right_y - self.left_y)


def find_rules(page: Grey, ascender: float) -> list[Rule]:
    """Find horizontal rules.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, evenly lit, upright.
    ascender : float
        Height of its letters with ascenders, pixels of the page.

    Returns
    -------
    list of Rule
        From the top, in pixels of the page.
    """
    scale = min(1.0, ASCENDER / ascender)
    unit = ascender * scale
    stroke = max(8, round(MIN_STROKE * unit))
    small = resized(page, scale)
    if stroke >= small.shape[1]:
        return []
    thin = cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, np.ones((round(MAX_THICKNESS * unit) + 2, 1), np.uint8))
    dark = (thin >= MIN_CONTRAST).astype(np.uint8)
    # A rule that is not quite level, or is rough, remains connected along its rows.
    mask = cv2.dilate(dark, np.ones((3, 1), np.uint8))
    strokes = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, stroke), np.uint8))
    joined = cv2.dilate(strokes, np.ones((3, max(3, round(MAX_BREAK * unit))), np.uint8))
    count, labels, boxes, _ = components(np.asarray(joined, np.uint8))
    if count - 1 > MAX_STROKES:
        return []
    rules = []
    for number in range(1, count):
        left, top, width, height = (int(value) for value in boxes[number, :4])
        if width < MIN_RULE * unit or height > MAX_THICKNESS * unit + 2 + MAX_SLOPE * width:
            continue
        inside = strokes[top : top + height, left : left + width].astype(bool)
        rows, columns = np.nonzero(inside & (labels[top : top + height, left : left + width] == number))
        start, end = int(columns.min()), int(columns.max())
        if end - start < MIN_RULE * unit:
            continue
        slope, level = np.polyfit(columns, rows, 1)
        if abs(np.polyval((slope, level), columns) - rows).mean() > MAX_THICKNESS * unit / 2:
            continue
        ends = [
            ((left + column + 0.5) / scale, (top + level + slope * column + 0.5) / scale) for column in (start, end)
        ]
        rules.append(Rule(*ends[0], *ends[1]))
    return sorted(rules, key=lambda rule: rule.left_y + rule.right_y)


def are_crossed(rules: Sequence[Rule], lines: Sequence[TextLine]) -> bool:
    """Whether rules run through the letters of many lines, or touch their tops.

    Parameters
    ----------
    rules : sequence of Rule
    lines : sequence of TextLine
        Of the same page.
    """
    if not rules or len(lines) < CROSSED_LINES:
        return False
    middles = np.array([line.baseline[[0, -1]].mean(axis=0) for line in lines])
    ascender = np.array([line.ascender for line in lines])
    left, left_y, right, right_y = np.array([(rule.left, rule.left_y, rule.right, rule.right_y) for rule in rules]).T
    x, y = middles[:, :1], middles[:, 1:]
    above = (y - left_y - (x - left) / (right - left) * (right_y - left_y)) / ascender[:, None]
    through = (x > left) & (x < right) & (above > THROUGH[0]) & (above < THROUGH[1])
    return int(through.any(axis=1).sum()) >= max(CROSSED_LINES, CROSSED_SHARE * len(lines))


def without_rules(page: Grey, rules: Sequence[Rule], ascender: float) -> Grey:
    """Return a page without some rules, or as it is if most of them are faint.

    What they cross stays, but for the rows that they hide.

    The darkness of a rule across its thickness is measured along all of it, and taken from the page, so that the edges
    of letters that touch it stay as they are.

    Parameters
    ----------
    page : uint8 (H, W)
    rules : sequence of Rule
        As `find_rules` found them on this page.
    ascender : float
        Height of its letters with ascenders, pixels.
    """
    taken, count = page.copy(), 0
    reach = max(3, round(TAKEN_ROWS * ascender))
    length = round(TAKEN_LEVEL * ascender) | 1
    offsets = np.arange(-reach - 2, reach + 3)[:, None]
    grid = np.arange(-reach, reach + 1 / TAKEN_PARTS, 1 / TAKEN_PARTS)
    for rule in rules:
        first = max(int(rule.left - TAKEN_BEYOND * ascender), 0)
        columns = np.arange(first, min(int(rule.right + TAKEN_BEYOND * ascender) + 1, page.shape[1]))
        level = rule.left_y - 0.5 + (columns - rule.left) / (rule.right - rule.left) * (rule.right_y - rule.left_y)
        nearest = np.rint(level).astype(np.intp)
        rows = np.clip(nearest + offsets, 0, page.shape[0] - 1)
        band = page[rows, columns].astype(np.float32)
        # It is measured at some of its columns.
        some = np.arange(0, len(columns), max(len(columns) // MEASURED, 1))
        near = round(length / (some[1] - some[0])) | 1
        around = nearest + offsets - level
        paper = _usual_nearby(np.percentile(band[:, some], 75, axis=0), near)
        dark = np.maximum(paper - band[:, some], 0)
        darkest = float(np.percentile(dark.max(axis=0), 95))
        thick = float(np.median((dark > darkest / 2).sum(axis=0)))
        weights = np.where(np.abs(around[:, some]) <= 2.5 + thick / 2, dark * dark, 0) + 1e-3
        middle = _usual_nearby((weights * around[:, some]).sum(axis=0) / weights.sum(axis=0), near)
        places = grid[:, None] - (around[0, some] - middle)
        upper = np.clip(places.astype(np.intp), 0, len(offsets) - 2)
        share = np.clip(places - upper, 0, 1)
        own = (1 - share) * np.take_along_axis(dark, upper, 0) + share * np.take_along_axis(dark, upper + 1, 0)
        profile = np.percentile(own, TAKEN_SHARE, axis=1)
        peak = int(profile.argmax())
        if profile[peak] < max(MIN_CONTRAST, TAKEN_EVEN * darkest):
            continue
        ends = np.flatnonzero(profile <= TAKEN_EDGE * profile[peak])
        if not ends.size or not ends[0] < peak < ends[-1]:
            # The edge of a dark heading, or of the sheet.
            continue
        profile[: ends[ends < peak].max() + 1] = 0
        profile[ends[ends > peak].min() :] = 0
        # A little wider and darker, since its level is not exact; the paper does not become lighter by that.
        wide = TAKEN_MORE * sliding_window_view(np.pad(profile, 1), 3).max(axis=1)
        every = np.arange(len(columns))
        hidden = np.interp(around - np.interp(every, some, middle), grid, wide, 0, 0)
        rest = np.maximum(np.minimum(band + hidden, np.interp(every, some, paper)), band)
        taken[rows, columns] = np.rint(rest).astype(np.uint8)
        count += 1
    return taken if 2 * count > len(rules) else page


def _usual_nearby(values: NDArray[np.floating], length: int) -> NDArray[np.float64]:
    """The median of an odd number of values around each."""
    step = max(length // 6, 1)
    medians = np.median(sliding_window_view(np.pad(values, length // 2, "symmetric"), length)[::step], axis=1)
    return np.asarray(np.interp(np.arange(len(values)), np.arange(0, len(values), step), medians), np.float64)


@dataclass(frozen=True)
class UprightRule:
    """An upright rule: its ends from above, its column at the upper end and by row, and its thickness, pixels."""

    top: float
    bottom: float
    column: float
    slope: float
    thickness: float

    def across(self, y: float) -> float:
        """The column of the rule, or of its continuation, at a row."""
        return self.column + self.slope * (y - self.top)

    def turned(self, scale: float) -> Rule:
        """The rule on the transposed page enlarged by `scale`, where it is a horizontal one."""
        ends = self.top, self.across(self.top), self.bottom, self.across(self.bottom)
        return Rule(*(scale * end for end in ends))


def find_upright_rules(ink: Ink, ascender: float) -> list[UprightRule]:
    """Find the upright rules among the ink of a page.

    Parameters
    ----------
    ink : Ink
    ascender : float
        Height of the page's letters with ascenders, pixels of the ink.

    Returns
    -------
    list of UprightRule
        In pixels of the ink, in no order.
    """
    if not (ink.height >= MIN_UPRIGHT_STROKE * ascender).any():
        return []
    # A rule that is not quite upright remains connected along its columns.
    mask = cv2.dilate((ink.labels > 0).view(np.uint8), np.ones((1, 3), np.uint8))
    stroke = np.ones((max(8, round(MIN_UPRIGHT_STROKE * ascender)), 1), np.uint8)
    strokes = cv2.morphologyEx(mask, cv2.MORPH_OPEN, stroke)
    if not strokes.any():
        return []
    joined = cv2.dilate(strokes, np.ones((max(3, round(MAX_UPRIGHT_BREAK * ascender)), 3), np.uint8))
    count, labels, boxes, _ = components(np.asarray(joined, np.uint8))
    rules = []
    for number in range(1, min(count, MAX_STROKES)):
        left, top, width, height = (int(value) for value in boxes[number, :4])
        if height < MIN_UPRIGHT_RULE * ascender or width > MAX_UPRIGHT_THICKNESS * ascender + 4 + MAX_SLOPE * height:
            continue
        inside = strokes[top : top + height, left : left + width].astype(bool)
        rows, columns = np.nonzero(inside & (labels[top : top + height, left : left + width] == number))
        first, last = int(rows.min()), int(rows.max())
        thickness = len(rows) / max(len(np.unique(rows)), 1) - 2.0
        if last - first < MIN_UPRIGHT_RULE * ascender or thickness > MAX_UPRIGHT_THICKNESS * ascender:
            continue
        slope, column = np.polyfit(rows - first, columns, 1)
        rules.append(
            UprightRule(
                float(top + first),
                float(top + last + 1),
                float(left + column + 0.5),
                float(slope),
                max(float(thickness), 1.0),
            )
        )
    return rules


@dataclass(frozen=True)
class RuledTable:
    """What lies between the rules of a table, or of ruled paper.

    Attributes
    ----------
    rows : list of list of int
        Indices of the points in each space between two rules that has some, from the top.
    pitch : float
        Distance of the rules, pixels, if most are at the same distance from the next one; else infinity.
    """

    rows: list[list[int]]
    pitch: float


def ruled_tables(rules: Sequence[Rule], points: NDArray[np.float64]) -> list[RuledTable]:
    """Assign points to the spaces between successive rules that begin and end at about the same columns.

    Parameters
    ----------
    rules : sequence of Rule
    points : float (N, 2)
        The middle of the small letters of each line.
    """
    groups: list[list[Rule]] = []
    for rule in rules:
        for group in groups:
            last = group[-1]
            common = min(last.right, rule.right) - max(last.left, rule.left)
            if common >= MIN_COMMON * (max(last.right, rule.right) - min(last.left, rule.left)):
                group.append(rule)
                break
        else:
            groups.append([rule])
    tables = []
    taken: set[int] = set()
    for group in groups:
        if len(group) < MIN_RULES:
            continue
        rows = []
        for upper, lower in pairwise(group):
            own = [
                index
                for index, (x, y) in enumerate(points)
                if index not in taken
                and min(upper.left, lower.left) <= x <= max(upper.right, lower.right)
                and upper.level(x) < y < lower.level(x)
            ]
            taken.update(own)
            if own:
                rows.append(own)
        gaps = np.diff([rule.level((rule.left + rule.right) / 2) for rule in group])
        pitch = float(np.median(gaps))
        even = np.abs(gaps - pitch) <= EVEN * pitch
        tables.append(RuledTable(rows, pitch if even.mean() >= MIN_EVEN_SHARE else np.inf))
    return tables
