"""Find leaders, the rows of dots between an item and its page number or price, and take them off a page.

The detector lets lines end anywhere on them, and the recogniser reads as many full stops as the strip shows. So it does
with the dotted blanks of forms, which are taken off where something is written on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import Ink, components, find_ink_mask, resized

# Lengths are in ascender heights of the page's lines, unless stated otherwise.
# The page is resized to ascenders of this many pixels for the search.
ASCENDER = 24.0
# Greatest height and width of a dot, and the greatest distance between the middles of two of a leader.
DOT, PITCH = 0.3, 1.3
# Pixels that the height and the width of a dot may have on a small page, too, and by which those of any may be greater:
# its edges fall between pixels.
SMALL_DOT, EDGES = 3, 1.2
# Dots of a page whose ascenders have fewer pixels may touch: widest of what they make, and their pitch, in its height.
TOUCHING_UNIT, TOUCHING, TOUCHING_PITCH = 20, 4.0, 1.5
# Dots of a leader, fewer are an ellipsis, and its length; and the dots of one on a page that has so many long ones.
# Running text may have a few rows of dots by accident, as where an underline is broken; lists have many.
MIN_DOTS, MIN_LEADER, MIN_DOTS_BESIDE, LEADERS = 8, 3.5, 4, 3
# Most of the distances between neighbours are at most so many times the leader's median; a dot may be in two pieces.
UNEVEN = 1.6
# How far the dots are from a line, which falls or rises at most so much, and on a photo may bend at most so much.
APART, STEEPEST, BENT = 0.07, 0.1, 0.3
# What is free above a leader.
FREE = (0.2, 0.6)
# Share of the gaps of a leader that have a speck above.
SPECKS = 0.2
# Share of the dots of a leader that are about as large as most, within half.
ALIKE = 0.7
# In a blurred picture the dots of a leader make a bar; at least LEADERS of them end below each other, within so much.
BLURRED_ENDS = 2.0
# How far the letters beside a leader end above or below its dots.
BASELINE = 0.2
# A dot at an end whose area is so many times that of most is a full stop.
FULL_STOP = 1.6
# A leader stands between letters that are no farther away.
TEXT_GAP = 3.0
# What is left of a line beside a leader is a line if it is so long.
SHORTEST = 0.3
# The strip of a line shows what is beside its ends, up to so far.
BESIDE = 1.0
# Dots of a blank go on among the writing on it: the next one is so near, so far from its place in distances between
# dots, and so far from their level. Letters on a blank, so wide together, end so far above it at most.
BLANK_GAP, OUT_OF_PLACE, OUT_OF_LEVEL, WRITTEN, ON_BLANK = 8.0, 0.25, 0.1, 1.5, 0.3


class Leader(NamedTuple):
    """A leader: left and right end of its dots, their level and its slope, and their height, in pixels of the page."""

    left: float
    right: float
    level: float
    slope: float
    dot: float


# The dots of a row, their left, top, right, bottom and area, int64 (N, 5), and the row.
Row = tuple[NDArray[np.int64], Leader]


class WithoutLeaders(NamedTuple):
    """A page without its leaders, its lines, of which none reaches into a leader, and the leaders."""

    page: NDArray[np.uint8]
    lines: list[TextLine]
    leaders: Sequence[Leader] = ()


def take_leaders_off(page: NDArray[np.uint8], lines: list[TextLine], ink: Ink) -> WithoutLeaders:
    """Take the leaders off a page; without any, the page and the lines are the same objects as before.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, upright and evenly lit.
    lines : list of TextLine
        As the detector found them; those that reach into a leader are cut there, those beside one are copied, since
        they look different without it, and those that are leaders are left out.
    ink : Ink
        Ink of the page; without a row of small marks in it, the page is not searched.

    Returns
    -------
    WithoutLeaders
    """
    if not lines:
        return WithoutLeaders(page, lines)
    ascender = float(np.median([line.ascender for line in lines]))
    if not _has_rows_of_marks(ink, ascender * ink.scale):
        return WithoutLeaders(page, lines)
    scale = min(1.0, ASCENDER / ascender)
    mask = find_ink_mask(resized(page, scale)).view(np.uint8)
    dots, letters, bars = _components(mask, ascender * scale)
    leaders: list[Leader] = []
    wiped = np.zeros_like(mask)
    unit = ascender * scale
    found, blanks = _leaders(dots, letters, mask, unit, MIN_DOTS) if len(dots) >= MIN_DOTS else ([], [])
    if sum(leader.right - leader.left >= MIN_LEADER * unit for _, leader in found) >= LEADERS:
        found, _ = _leaders(dots, letters, mask, unit, MIN_DOTS_BESIDE)
    else:
        found = []
    found += _blurred_leaders(bars, letters, mask, unit)
    written = _written_on(blanks, dots, letters, unit)
    for chain, leader in (*found, *written):
        for left, top, right, bottom, _ in chain.tolist():
            wiped[top:bottom, left:right] = 1
        left, right, level, dot = (value / scale for value in (leader.left, leader.right, leader.level, leader.dot))
        leaders.append(Leader(left, right, level, leader.slope, dot))
    if not leaders:
        return WithoutLeaders(page, lines)
    clear, others = page.copy(), mask > wiped
    for leader in leaders:
        _wipe(clear, wiped, others, leader, scale, ascender)
    # The writing on a blank is no part of it.
    count = len(found)
    kept = [replace(line) if any(_is_beside(line, blank) for blank in leaders[count:]) else line for line in lines]
    parts = [part for line in kept for part in _without(line, leaders[:count])]
    return WithoutLeaders(clear, parts, leaders[:count])


def _has_rows_of_marks(ink: Ink, unit: float) -> bool:
    """Whether marks that are no taller than dots, which may touch where the page is reduced, follow each other."""
    small = np.concatenate([[False], ink.height <= max(DOT * unit + EDGES, 2)])
    if np.count_nonzero(small) == 0:
        return False
    marks = small[ink.labels].view(np.uint8)
    near = cv2.morphologyEx(marks, cv2.MORPH_CLOSE, np.ones((3, round(PITCH * unit)), np.uint8))
    long = round(MIN_DOTS * PITCH * unit / 4)
    return bool(cv2.morphologyEx(near, cv2.MORPH_OPEN, np.ones((1, max(long, 3)), np.uint8)).any())


def _components(mask: NDArray[np.uint8], unit: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Left, top, right, bottom and area of components that may be dots, letters, and bars that dots make in a blur."""
    count, _, stats, _ = components(mask)
    left, top, width, height, area = (stats[1:count, column].astype(np.int64) for column in range(5))
    boxes = np.column_stack([left, top, left + width, top + height, area])
    largest = max(DOT * unit + EDGES, SMALL_DOT)
    dots = (height <= largest) & (width <= largest)
    letters = (height >= 0.4 * unit) & (height <= 3 * unit) & (width <= 12 * unit)
    # Of a small page, dots that touch are parted.
    touching = (height <= largest) & ~dots & (width <= TOUCHING * height) & (unit < TOUCHING_UNIT)
    parts = [boxes[dots]]
    for left_end, upper, right_end, lower, own in boxes[touching].tolist():
        number = max(round((right_end - left_end) / (TOUCHING_PITCH * (lower - upper))), 2)
        ends = np.rint(np.linspace(left_end, right_end, number + 1)).astype(np.int64)
        whole = np.full((3, number), [[upper], [lower], [own // number]])
        parts.append(np.column_stack([ends[:-1], whole[0], ends[1:], whole[1], whole[2]]))
    bars = (width >= MIN_LEADER * unit) & (area <= DOT * unit * width)
    bars &= height <= DOT * unit + STEEPEST * width
    return np.concatenate(parts), boxes[letters], boxes[bars]


def _blurred_leaders(
    bars: NDArray[np.int64], letters: NDArray[np.int64], mask: NDArray[np.uint8], unit: float
) -> list[Row]:
    """Leaders that are bars in a blurred picture: as in a list, they begin anywhere and end below each other.

    The blanks of a form may look the same, but do not stand between two columns of text.
    """
    found: list[Row] = []
    for left, top, right, bottom, area in bars.tolist():
        part = mask[top:bottom, left:right].astype(np.float64)
        levels = top + (np.arange(0.5, bottom - top) @ part) / np.maximum(part.sum(axis=0), 1)
        thick = area / (right - left)
        edges = np.arange(left, right - 1, 2)
        upper = levels[: 2 * len(edges) : 2] - thick / 2
        chain = np.column_stack([edges, upper, edges + 2, upper + thick, np.full(len(edges), thick)])
        if (leader := _leader(chain, unit)) is None or not _is_between(leader, letters, unit):
            continue
        above = [max(round(leader.level - free * unit), 0) for free in FREE[::-1]]
        inside = round(unit / 2)
        if mask[above[0] : min(above[1], top), left + inside : right - inside].any(axis=0).mean() <= SPECKS:
            found.append((np.array([[left, top, right, bottom, area]]), leader))
    starts, ends, levels = (np.array([leader[place] for _, leader in found]) for place in range(3))
    lists = []
    for each in found:
        below = (np.abs(ends - each[1].right) <= BLURRED_ENDS * unit) & (np.abs(levels - each[1].level) > unit)
        if below.sum() + 1 >= LEADERS and np.ptp([each[1].left, *starts[below]]) > unit:
            lists.append(each)
    return lists


def _leaders(
    dots: NDArray[np.int64], letters: NDArray[np.int64], mask: NDArray[np.uint8], unit: float, fewest: int
) -> tuple[list[Row], list[Row]]:
    """Leaders of at least so many dots, with their dots; and rows that are the same, but not between letters."""
    found: list[Row] = []
    others: list[Row] = []
    for chain in _chains(dots, mask, unit, fewest):
        leader = _leader(chain, unit)
        if leader is not None:
            (found if _is_between(leader, letters, unit) else others).append((chain, leader))
    return found, others


def _written_on(rows: list[Row], dots: NDArray[np.int64], letters: NDArray[np.int64], unit: float) -> list[Row]:
    """Of rows of dots, the blanks of a form that something is written on, with the dots among the writing.

    Writing may leave too few dots free for a row to be among these; it is found by the pitch of another blank.
    """
    found = [blank for row in rows if (blank := _blank(row, dots, letters, unit)) is not None]
    if not found:
        return []
    middles, levels = (dots[:, 0] + dots[:, 2]) / 2, (dots[:, 1] + dots[:, 3]) / 2
    out_of_level = max(OUT_OF_LEVEL * unit, 1.5)
    far = np.min([np.abs(levels - _level_at(row, middles)) for _, row in (*rows, *found)], axis=0)
    slope = float(np.median([row.slope for _, row in found]))
    heights = levels - slope * middles
    rest = np.flatnonzero(far > out_of_level)
    rest = rest[np.argsort(heights[rest])]
    for level in np.split(rest, np.flatnonzero(np.diff(heights[rest]) > out_of_level) + 1):
        if len(level) < MIN_DOTS:
            continue
        level = level[np.argsort(middles[level])]
        pitch = _pitch(min(found, key=lambda row: abs(row[1].level - levels[level[0]]))[0])
        steps = np.diff(middles[level])
        next_to = np.abs(steps / pitch - 1) <= max(OUT_OF_PLACE, 1.0 / pitch)
        for part in np.split(np.arange(len(level)), np.flatnonzero(steps > BLANK_GAP * unit) + 1):
            if len(part) < MIN_DOTS or next_to[part[:-1]].mean() < ALIKE:
                continue
            own = dots[level[part]]
            dot = float(np.median(own[:, 3] - own[:, 1]))
            row = Leader(float(own[0, 0]), float(own[-1, 2]), float(levels[level[part]].mean()), slope, dot)
            blank = _blank((own, row), dots, letters, unit)
            found += [blank] if blank is not None else []
    return found


def _pitch(chain: NDArray[np.int64]) -> float:
    """The distance between the middles of most neighbours."""
    return float(np.median(np.diff(np.sort((chain[:, 0] + chain[:, 2]) / 2))))


def _level_at(leader: Leader, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The level of a leader, or of its continuation, at some columns."""
    return leader.level + leader.slope * (x - (leader.left + leader.right) / 2)


def _blank(row: Row, dots: NDArray[np.int64], letters: NDArray[np.int64], unit: float) -> Row | None:
    """A row of dots with those among what is written on it, if something is."""
    chain, leader = row
    middles, levels = (dots[:, 0] + dots[:, 2]) / 2, (dots[:, 1] + dots[:, 3]) / 2
    pitch, area = _pitch(chain), float(np.median(chain[:, 4]))
    own = np.abs(levels - _level_at(leader, middles)) <= max(OUT_OF_LEVEL * unit, 1.5)
    own &= np.abs(dots[:, 4] - area) <= max(0.6 * area, 2)
    parts = [chain]
    for side, end in ((-1, leader.left), (1, leader.right)):
        last = end - side * leader.dot / 2
        beyond = np.flatnonzero(own & (side * (middles - end) > 0))
        steps: list[float] = []
        more: list[int] = []
        for index in beyond[np.argsort(side * middles[beyond])].tolist():
            step = float(side * (middles[index] - last)) / pitch
            if step * pitch > BLANK_GAP * unit:
                break
            if abs(step - max(round(step), 1)) <= max(OUT_OF_PLACE, 1.0 / pitch):
                steps.append(step)
                more.append(index)
                last = middles[index]
        # A dot alone at the end may be the full stop of the label.
        while steps and steps[-1] > UNEVEN:
            del steps[-1], more[-1]
        parts.append(dots[more])
    whole = np.concatenate(parts)
    left, right = int(whole[:, 0].min()), int(whole[:, 2].max())
    level = _level_at(leader, (letters[:, 0] + letters[:, 2]) / 2)
    on = (letters[:, 0] >= left) & (letters[:, 2] <= right) & (letters[:, 1] < level - 0.5 * unit)
    on &= letters[:, 3] > level - ON_BLANK * unit
    if (letters[on, 2] - letters[on, 0]).sum() < WRITTEN * unit:
        return None
    middle = float(_level_at(leader, np.array([(left + right) / 2]))[0])
    return whole, Leader(float(left), float(right), middle, leader.slope, leader.dot)


def _chains(dots: NDArray[np.int64], mask: NDArray[np.uint8], unit: float, fewest: int) -> list[NDArray[np.int64]]:
    """Dots that follow each other on about one level, with nothing above them, each chain from left to right."""
    shape = mask.shape
    drawn = np.zeros(shape, np.uint8)
    reach = PITCH * unit / 2
    for left, top, right, bottom, _ in dots.tolist():
        middle, across = (top + bottom) // 2, (left + right) / 2
        drawn[middle, max(round(across - reach), 0) : round(across + reach) + 1] = 1
    count, labels = cv2.connectedComponents(drawn, connectivity=8)
    middles = (
        np.minimum((dots[:, 1] + dots[:, 3]) // 2, shape[0] - 1),
        np.minimum((dots[:, 0] + dots[:, 2]) // 2, shape[1] - 1),
    )
    # On pages that lie aslant, the bars of neighbours touch: they are drawn a pixel high and joined where they do.
    own = labels[middles]
    sizes = np.bincount(own, minlength=count)
    chains = []
    rows = np.flatnonzero(sizes >= fewest)
    if not len(rows):
        return []
    letters = mask.copy()
    for left, top, right, bottom, _ in dots.tolist():
        letters[top:bottom, left:right] = 0
    of_letters, of_all = cv2.integral(letters), cv2.integral(mask)
    for label in rows:
        chain = dots[own == label]
        chain = chain[np.argsort(chain[:, 0] + chain[:, 2])]
        # Full stops and decimal points follow letters, and so do the dots that coarse printers make letters of.
        top, bottom = (np.maximum(chain[1:, 3] - round(free * unit), 0) for free in FREE[::-1])
        # Tall dots of a small page reach up to where letters would be.
        bottom = np.maximum(np.minimum(bottom, np.minimum(chain[:-1, 1], chain[1:, 1])), top)
        left, right = chain[:-1, 0], chain[1:, 2]
        above, small = (
            inked[bottom, right] - inked[bottom, left] - inked[top, right] + inked[top, left] > 0
            for inked in (of_letters, of_all)
        )
        # Specks of paper or of a camera are above few of the dots of a leader.
        between = small if small.mean() > SPECKS else above
        chains += [part for part in np.split(chain, np.flatnonzero(between) + 1) if len(part) >= fewest]
    return [part for chain in chains if len(part := _without_full_stops(chain)) >= fewest]


def _without_full_stops(chain: NDArray[np.int64]) -> NDArray[np.int64]:
    """A chain but for a dot at either end that is larger, or farther from its neighbour, as that of a colon is."""
    most = max(FULL_STOP * float(np.median(chain[:, 4])), float(np.median(chain[:, 4])) + 3)
    steps = np.diff(chain[:, 0] + chain[:, 2])
    farthest = max(UNEVEN * float(np.median(steps)), float(np.median(steps)) + 4)
    first, last = (chain[end, 4] > most or steps[end] > farthest for end in (0, -1))
    return chain[int(first) : len(chain) - int(last)]


def _leader(chain: NDArray[np.int64], unit: float) -> Leader | None:
    """The leader that a chain of dots is, if it is one: on a line, without gaps."""
    x, y = (chain[:, 0] + chain[:, 2]) / 2, (chain[:, 1] + chain[:, 3]) / 2
    if x[-1] - x[0] < len(chain) or len(np.unique(x)) < MIN_DOTS_BESIDE:
        # Dots above each other.
        return None
    steps = np.diff(x)
    if float(np.percentile(steps, 85)) > max(UNEVEN * float(np.median(steps)), 3.0):
        return None
    area = float(np.median(chain[:, 4]))
    if (np.abs(chain[:, 4] - area) <= max(0.5 * area, 2)).mean() < ALIKE:
        return None
    slope, level = np.polyfit(x - x.mean(), y, 1)
    bent = np.abs(y - level - slope * (x - x.mean()))
    far = np.abs(y - np.polyval(np.polyfit(x - x.mean(), y, 2), x - x.mean()))
    if abs(slope) > STEEPEST or float(np.percentile(bent, 90)) > max(BENT * unit, 2.0):
        return None
    if float(np.percentile(far, 90)) > max(APART * unit, 1.0):
        return None
    dot = float(np.median(chain[:, 3] - chain[:, 1]))
    return Leader(float(chain[0, 0]), float(chain[-1, 2]), float(level), float(slope), dot)


def _is_between(leader: Leader, letters: NDArray[np.int64], unit: float) -> bool:
    """Whether there are letters to the left and to the right of a leader."""
    if not len(letters):
        return False
    half = (leader.right - leader.left) / 2
    for side, end in ((-1, leader.left), (1, leader.right)):
        level = leader.level + side * half * leader.slope
        gap = letters[:, 0] - end if side == 1 else end - letters[:, 2]
        near = (gap > -0.3 * unit) & (gap <= TEXT_GAP * unit)
        near &= (letters[:, 1] < level - 0.2 * unit) & (letters[:, 3] > level - 0.5 * unit)
        # Of the letters nearby, some end on the baseline, above which an underline does not lie.
        beyond = (letters[:, 0] + letters[:, 2]) / 2 - end
        below = letters[:, 3] - level - leader.dot / 2 - leader.slope * beyond
        if not (near & (np.abs(below) <= BASELINE * unit)).any():
            return False
    return True


def _is_beside(line: TextLine, leader: Leader) -> bool:
    """Whether a leader is on a line or near its ends."""
    first, last = float(line.baseline[0, 0]), float(line.baseline[-1, 0])
    middle = min(max((leader.left + leader.right) / 2, first), last)
    level = leader.level + leader.slope * (middle - (leader.left + leader.right) / 2)
    on_line = abs(float(np.interp(middle, *line.baseline.T)) - level) <= 0.5 * line.ascender
    reach = BESIDE * line.ascender
    return on_line and leader.left < last + reach and leader.right > first - reach


def _without(line: TextLine, leaders: Sequence[Leader]) -> list[TextLine]:
    """The parts of a line that are no leaders: the line itself if there are none in it, a copy if one is beside it."""
    first, last = float(line.baseline[0, 0]), float(line.baseline[-1, 0])
    spans = [(first, last)]
    beside = False
    for leader in leaders:
        if not _is_beside(line, leader):
            continue
        beside = True
        if leader.left < last and leader.right > first:
            spans = [
                span
                for start, end in spans
                for span in (
                    ((start, min(end, leader.left)), (max(start, leader.right), end))
                    if leader.left < end and leader.right > start
                    else ((start, end),)
                )
                if span[1] - span[0] > SHORTEST * line.ascender
            ]
    if spans == [(first, last)]:
        return [replace(line)] if beside else [line]
    parts = []
    for start, end in spans:
        within = line.baseline[(line.baseline[:, 0] > start) & (line.baseline[:, 0] < end)]
        ends = [[x, float(np.interp(x, *line.baseline.T))] for x in (start, end)]
        baseline = np.concatenate([[ends[0]], within, [ends[1]]]).astype(np.float32)
        parts.append(replace(line, baseline=baseline))
    return parts


def _wipe(
    page: NDArray[np.uint8],
    dots: NDArray[np.uint8],
    others: NDArray[np.bool_],
    leader: Leader,
    scale: float,
    ascender: float,
) -> None:
    """Give the dots of a leader the grey of the paper around them; the reduced page marks them, and all other ink."""
    rise = abs(leader.slope) * (leader.right - leader.left) / 2 + DOT * ascender + 2
    top, bottom = max(int(leader.level - rise), 0), int(leader.level + rise) + 1
    left, right = max(int(leader.left) - 2, 0), int(leader.right) + 3
    part = page[top:bottom, left:right]
    rows = np.minimum(((np.arange(top, top + part.shape[0]) + 0.5) * scale).astype(int), dots.shape[0] - 1)
    columns = np.minimum(((np.arange(left, left + part.shape[1]) + 0.5) * scale).astype(int), dots.shape[1] - 1)
    # The blur of a dot is wiped with it, but no letter that stands close to it.
    near = np.ix_(rows, columns)
    marked = (cv2.dilate(dots[near], np.ones((5, 5), np.uint8)) > 0) & ~others[near]
    reach = 2 * int(DOT * ascender / 2 + 3) + 1
    # The brightest is the edge of a dot on a page that was sharpened.
    paper = cv2.medianBlur(part.copy(), reach)
    part[marked] = paper[marked]
