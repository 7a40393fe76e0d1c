"""Find check boxes, and combs, which are rows of boxes for one letter each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Box, Line, Word
from paragraph_ocr.document import Points as DocumentPoints
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import SMALLEST, Ink, components, find_ink_mask, resized
from paragraph_ocr.pipeline.rectification import percentiles
from paragraph_ocr.pipeline.round_boxes import (
    Circle,
    alike,
    find_circles,
    find_crossed,
    is_free,
    may_be_circles,
    stands_free,
)

Grey = NDArray[np.uint8]

# Lengths are in ascender heights of the page's lines, unless stated otherwise.
# The page is resized to ascenders of this many pixels for the search.
ASCENDER = 24.0
# Shorter straight strokes are parts of letters.
MIN_WALL = 0.6
# A page is searched only if straight strokes of this length meet.
CORNER_WALL = 0.8
CELL_WIDTH, CELL_HEIGHT = (0.6, 3.5), (0.6, 4.0)
# The least width and height of the inside of a check box, whose walls may be thick, but not faint.
CHECK_BOX_INSIDE = 0.4
# Minimum share of a cell in its bounding box, and of each side that must be drawn, less if its place is known.
RECTANGULAR, DRAWN, HIDDEN_DRAWN = 0.85, 0.9, 0.6
CHECK_BOX_SIDE = (0.55, 2.4)
# Width over height.
SQUARE = (0.75, 1.34)
# Margin around a check box that must be blank, and the share of it that a tick may cover.
MARGIN, OVERFLOW = 0.2, 0.15
# What has ink so near on both sides, of which one has this share of its height within the width of
# a letter, is a letter with slab serifs that closes with the next.
BESIDE_LETTER, LETTER_WIDE, LETTER_TALL = 0.35, 0.9, 0.7
# Distance of the ink from the corners of a check box along their diagonals, as a share of its side; more for an O.
# Thick walls of small boxes have blunter corners: this share, but at most so many pixels.
ROUNDING, THICK_ROUNDING = 0.09, (0.12, 2.0)
# Text goes on at the right of a single round box, at most so far from it and by so much: it is no letter.
CIRCLE_LABEL_GAP = 1.5
# Ink of faint walls is darker than what surrounds it by so many grey levels. Cells that only it shows count if at least
# this share of them are check boxes or in combs: on squared paper, few are.
FAINT_CONTRAST, MIN_FORM_SHARE = 10, 0.5
# Such walls are searched if they have so many corners, and up to so many cells.
MIN_FAINT_CORNERS, MAX_FAINT_CELLS = 4, 600
# Least length of such walls, or of circles, on a page.
MIN_FAINT = 3.0
# Strokes are narrower than so many pixels.
STROKE = 13
# A ticked box may be solid, but for the tick: the share of it that is ink, if a box without a tick has its size, but
# for this factor.
SOLID, SAME_SIZE = (0.55, 0.97), 1.2
# Share of a solid box's edges that is ink, and the confidence that it is ticked.
SOLID_EDGE, SOLID_CONFIDENCE = 0.8, 0.9
# The solid square within a finder pattern of a QR code, as a share of the cell around it.
FINDER = (0.5, 0.75)
# Maximum distance of a check box to the line that is its label.
LABEL_GAP = 3.0
# Logistic function of the share of ink in a check box that gives the probability of a tick: midpoint and scale.
TICKED, TICKED_STEP = 0.045, 0.012
# Margins within a check box, square and round, that do not count for a tick, as shares of its height.
INSET, ROUND_INSET = 0.12, 0.25
# How far a cell is from where it continues a row, if it surely does, and at most.
SAME_CELL = (0.1, 0.25)
# Cells of a comb, and those from which more are looked for beside them.
MIN_CELLS, MIN_VISIBLE_CELLS = 3, 2
# The same of cells that are narrower than letters of the page usually are.
MIN_NARROW_CELLS = 5
# Width over height of the cells of a comb, and the maximum relative difference of their widths.
COMB_CELL, COMB_WIDTHS = (0.4, 1.7), 0.3
WALL = 0.4
# Of combs that are open above, which are rules with upright ticks on them: least and greatest height of the ticks, and
# how far heights and distances differ from their medians. Higher than letters, they may be the walls of closed boxes:
# of the width between their upper ends at most so much is inked.
TICK, UNEVEN_TICKS, UNEVEN_CELLS = (0.3, 3.6), 0.35, 0.15
LOW_TICK, CLOSED = 1.4, 0.3
MIN_TICKS = 5
# Combs whose cells stand apart: the greatest gap between cells of a group and between groups, as shares of a cell's
# width, how far gaps within groups and sizes of cells differ, and their least number of cells.
APART, GROUP_GAP, UNEVEN_GAPS, EQUAL_CELLS, MIN_CELLS_APART = 0.6, 1.6, 0.12, 0.12, 4
# Straight parts of such a rule, which are longer than those of letters.
RULE = 1.2
# A page with more cells, or more rules on which ticks may stand, is a pattern and no form.
MAX_CELLS, MAX_RULES = 4000, 2000
# Squared paper has so many cells at least, as wide as whole squares but for this share of one.
SQUARES, SAME_SQUARE = 150, 0.2
# How far above the rule letters of an open comb may begin, and their least height.
OPEN_CELL, LETTER = 3.2, 0.4
# Greatest width of what is left of a wall beside a letter, in heights of the cells.
SLIVER = 0.1
# Least area of a full stop or a hyphen that is alone in a cell of a comb, in squares of the cell's height; between two
# letters, a spot that is so much darker than paper, relative to the letters, and has so many pixels is a mark, too.
MARK, FAINT_MARK, FAINT_MARK_SIZE = 0.005, 0.35, 4
# Space on either side of a letter in the composed line, and the width of an empty cell, in heights of the cells.
LETTER_SPACE, EMPTY_CELL = 0.06, 0.5
PAPER = 255


@dataclass(frozen=True)
class CheckBox:
    """A check box: outer bounds in pixels of the page, whether it is ticked, and the confidence in this, 0.5 to 1."""

    box: Box
    ticked: bool
    confidence: float

    @property
    def word(self) -> Word:
        """The word that represents the check box in the text."""
        left, top, right, bottom = self.box
        polygon = ((left, top), (right, top), (right, bottom), (left, bottom))
        return Word("[x]" if self.ticked else "[ ]", self.confidence, polygon)


@dataclass(frozen=True)
class Comb:
    """A row of boxes for one letter each, of which at least one is filled.

    Attributes
    ----------
    cells : tuple of Box
        Inner bounds of the boxes, left to right, in pixels of the page.
    pixels : uint8 (h, w)
        The letters composed into a line without boxes, dark on light.
    line : TextLine
        The line in `pixels`.
    columns : float (K, 2)
        Corresponding columns of `pixels` and of the page, both in ascending order.
    parted : bool
        Whether there are empty cells between the letters, which part words.
    """

    cells: tuple[Box, ...]
    pixels: Grey
    line: TextLine
    columns: NDArray[np.float64]
    parted: bool

    @property
    def on_page(self) -> TextLine:
        """The line on the page, from the first letter to the last."""
        top, bottom = self.cells[0][1], self.cells[0][3]
        scale = (bottom - top) / self.pixels.shape[0]
        level = top + float(self.line.baseline[0, 1]) * scale
        left, right = self._across(float(self.line.baseline[0, 0])), self._across(float(self.line.baseline[-1, 0]))
        return TextLine(
            np.array([[left, level], [right, level]], np.float32),
            self.line.ascender * scale,
            self.line.descender * scale,
            self.line.confidence,
            boxed=True,
        )

    def placed(self, line: Line) -> Line:
        """Return a line that was read from `pixels` in coordinates of the page."""
        found = self.on_page
        polygon = _points(found.polygon)
        words = tuple(replace(word, polygon=self._placed(word.polygon)) for word in line.words)
        if len(words) > 1 and not self.parted:
            words = (Word("".join(word.text for word in words), line.confidence, polygon),)
        return replace(
            line,
            text=" ".join(word.text for word in words),
            polygon=polygon,
            baseline=_points(found.baseline),
            words=words,
        )

    def _across(self, x: float) -> float:
        return float(np.interp(x, self.columns[:, 0], self.columns[:, 1]))

    def _placed(self, points: DocumentPoints) -> DocumentPoints:
        top, bottom = self.cells[0][1], self.cells[0][3]
        scale = (bottom - top) / self.pixels.shape[0]
        return tuple((self._across(x), top + y * scale) for x, y in points)


@dataclass(frozen=True)
class FormBoxes:
    """The check boxes and combs of a page, and the page without them."""

    check_boxes: list[CheckBox] = field(default_factory=list)
    combs: list[Comb] = field(default_factory=list)
    page: Grey | None = None


def find_form_boxes(page: Grey, lines: Sequence[TextLine], ink: Ink) -> FormBoxes:
    """Find the check boxes and combs of a page.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, upright and evenly lit.
    lines : sequence of TextLine
        Lines of the page, for the size of its letters and as labels of the check boxes.
    ink : Ink
        Ink of the page; without corners of straight strokes in it, the page is not searched.

    Returns
    -------
    FormBoxes
        Its page has paper in place of check boxes and combs; it is None if there are none.
    """
    if not lines:
        return FormBoxes()
    ascender = float(np.median([line.ascender for line in lines]))
    dark = (ink.labels > 0).view(np.uint8)
    faint = _with_faint(ink.page, dark)
    unit = ascender * ink.scale
    only_faint = np.asarray(cv2.subtract(faint, cv2.dilate(dark, np.ones((5, 5), np.uint8))), np.uint8)
    is_faint = cv2.countNonZero(only_faint) >= MIN_FAINT * unit
    may_be_round = is_faint or bool(may_be_circles(ink.width, ink.height, ink.area, unit).any())
    circles = find_circles(faint, unit) if may_be_round else []
    has_corners = _has_corners(dark, unit)
    has_faint = is_faint and _has_corners(only_faint, unit, MIN_FAINT_CORNERS)
    if not circles and not has_corners and not has_faint:
        return FormBoxes()
    small = resized(page, min(1.0, ASCENDER / ascender))
    mask = find_ink_mask(small).view(np.uint8)
    to_page = (np.array([page.shape[1], page.shape[0]]) / small.shape[::-1]).tolist()
    unit = ascender / to_page[1]
    found = _search(mask, mask, lines, unit, to_page, MAX_CELLS) if has_corners else NOTHING
    # Walls of combs may be faint in places.
    faint_too = NOTHING
    if has_faint or found.combs:
        faint_too = _search(_with_faint(small, mask), mask, lines, unit, to_page, MAX_FAINT_CELLS)
    # Cells that faint walls bound are those of a form if most of them are used: squared paper has others, too.
    used = {*(cell for _, cell in faint_too.check_boxes), *(cell for row in faint_too.combs for cell in row)}
    only = _apart_from(faint_too.cells, found.cells)
    if sum(cell in used for cell in only) >= MIN_FORM_SHARE * len(only):
        found = _merged(found, faint_too)
    check_boxes = [_check_box(mask, outer, cell, INSET, to_page) for outer, cell in found.check_boxes]
    check_boxes += _solid_boxes(mask, lines, check_boxes, unit, to_page)
    check_boxes += _round_boxes(mask, faint, circles, lines, ascender, ink.scale, to_page)
    closed = [cell for row in found.combs for cell in row]
    open_combs = _without_squares(_open_combs(mask, unit), found.cells)
    open_combs = [row for row in open_combs if len(_apart_from(row, closed)) == len(row)]
    rows = found.combs + open_combs
    combs = [comb for row in rows if (comb := _comb(small, mask, row, to_page))]
    if not check_boxes and not combs and not open_combs:
        return FormBoxes()
    clear = page.copy()
    margin = 0.25 * ascender
    for left, top, right, bottom in [check_box.box for check_box in check_boxes]:
        _paint(clear, (left - margin, top - margin, right + margin, bottom + margin))
    for row in rows:
        # Cell by cell: on a page that lies aslant, what stands above the lower end is not above the other one.
        for left, top, right, bottom in [_scaled(cell, to_page) for cell in row]:
            _paint(clear, (left - margin, top - margin, right + margin, bottom + margin))
    return FormBoxes(check_boxes, combs, clear)


@dataclass(frozen=True)
class _Found:
    """What cells of a page are: all of them, those of check boxes with their outer bounds, and rows that are combs."""

    cells: list[Box]
    check_boxes: list[tuple[Box, Box]]
    combs: list[list[Box]]


NOTHING = _Found([], [], [])


def _search(
    walls_in: Grey, mask: Grey, lines: Sequence[TextLine], unit: float, to_page: Sequence[float], most: int
) -> _Found:
    """Find check boxes and combs between the walls in a mask; another tells what is in and around them."""
    walls = _walls(walls_in, unit)
    drawn = _cells(walls, unit)
    if not drawn or len(drawn) > most:
        return NOTHING
    sides = np.array(drawn).reshape(-1, 2, 2)
    is_large = (sides[:, 1] - sides[:, 0]).min(axis=1) >= CELL_WIDTH[0] * unit + 2
    small = [cell for cell, large in zip(drawn, is_large, strict=True) if not large and _has_thick_walls(mask, cell)]
    drawn = [cell for cell, large in zip(drawn, is_large, strict=True) if large]
    # The walls of narrow cells may be found as tall lines of text, which hide how small the letters are.
    narrow = [cell for cell in small if cell[3] - cell[1] >= CELL_HEIGHT[0] * unit + 2]
    narrow = [cell for row in _rows(narrow, unit) if len(row) >= MIN_NARROW_CELLS for cell in row]
    drawn += narrow
    small = [cell for cell in small if cell not in narrow]
    large = _with_hidden_cells(drawn, walls, unit)
    cells = [*large, *small]
    neighbours = _neighbours(cells, unit)
    beside_of = dict(zip(large, _neighbours(large, unit) if small else neighbours, strict=True))
    combs = [row for row in _rows(large, unit) if _is_comb(row, beside_of)]
    combs = _without_squares(_with_gaps(large, combs, beside_of), cells)
    in_combs = {cell for row in combs for cell in row}
    check_boxes: list[tuple[Box, Box]] = []
    solid: list[tuple[Box, Box]] = []
    for cell, beside in zip(cells, neighbours, strict=True):
        wall = _wall(walls_in, cell)
        outer = (cell[0] - wall, cell[1] - wall, cell[2] + wall, cell[3] + wall)
        if beside or cell in in_combs or not _is_check_box(mask, cell, outer, unit):
            continue
        if _is_round(walls_in, outer, _has_thick_walls(mask, cell)):
            continue
        if _is_within_word(mask, outer, unit):
            continue
        if any(_labels(line, _scaled(outer, to_page), unit * to_page[1]) for line in lines):
            (solid if _is_finder_pattern(mask[_inner(cell, INSET)]) else check_boxes).append((outer, cell))
    # A form has others of the size, and a QR code none without a solid square.
    sizes = [outer[3] - outer[1] for outer, _ in check_boxes]
    check_boxes += [
        (outer, cell)
        for outer, cell in solid
        if any(1 / SAME_SIZE <= size / (outer[3] - outer[1]) <= SAME_SIZE for size in sizes)
    ]
    return _Found(cells, check_boxes, combs)


def _without_squares(combs: list[list[Box]], cells: Sequence[Box]) -> list[list[Box]]:
    """Combs without those of squared paper: rows of squares or some of them, where writing hides walls around them."""
    if len(cells) < SQUARES or 2 * sum(map(len, combs)) > len(cells):
        return combs
    usual = float(np.median([right - left for left, _, right, _ in cells]))

    def is_of_squares(row: Sequence[Box]) -> bool:
        squares = float(np.median([right - left for left, _, right, _ in row])) / usual
        return abs(squares - max(round(squares), 1)) <= SAME_SQUARE

    return [row for row in combs if not is_of_squares(row)]


def _merged(found: _Found, more: _Found) -> _Found:
    """What was found in two searches; of what overlaps, the longer combs, and else that of the first search."""
    combs: list[list[Box]] = []
    for row in sorted([*found.combs, *more.combs], key=len, reverse=True):
        if not any(_is_same(cell, other) for cell in row for comb in combs for other in comb):
            combs.append(row)
    check_boxes: list[tuple[Box, Box]] = []
    for outer, cell in [*found.check_boxes, *more.check_boxes]:
        others = [*(cell for row in combs for cell in row), *(other for other, _ in check_boxes)]
        if not any(_is_same(outer, other) for other in others):
            check_boxes.append((outer, cell))
    return _Found(found.cells, check_boxes, combs)


def _apart_from(cells: Sequence[Box], others: Sequence[Box]) -> list[Box]:
    """The cells whose middle is in none of some others."""
    left, top, right, bottom = np.array(others, np.float64).reshape(-1, 4).T
    middles = (((cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2) for cell in cells)
    return [
        cell
        for cell, (x, y) in zip(cells, middles, strict=True)
        if not ((left <= x) & (x <= right) & (top <= y) & (y <= bottom)).any()
    ]


def _check_box(mask: Grey, outer: Box, cell: Box, inset: float, to_page: Sequence[float]) -> CheckBox:
    """Make a check box, ticked if there is ink in its cell."""
    share = float(mask[_inner(cell, inset)].mean())
    ticked = 1.0 / (1.0 + np.exp(-(share - TICKED) / TICKED_STEP))
    return CheckBox(_scaled(outer, to_page), ticked > 0.5, float(max(ticked, 1.0 - ticked)))


def _round_boxes(
    mask: Grey,
    faint: Grey,
    circles: Sequence[Circle],
    lines: Sequence[TextLine],
    ascender: float,
    scale: float,
    to_page: Sequence[float],
) -> list[CheckBox]:
    """Return the check boxes of circles that have a label: those in `faint`, which has its own scale, and others."""
    boxes = []
    labelled = []
    for circle in circles:
        box = _scaled(circle.box, (1 / scale, 1 / scale))
        is_alike = alike(circles, circle)
        for line in lines:
            # Around an O of a large heading less is free than around a circle in its label.
            free = line.ascender <= ascender or stands_free(faint, circle, line.ascender * scale)
            if free and (_follows(line, box, ascender) or (is_alike and _labels(line, box, ascender))):
                labelled.append(circle)
                break
    for circle in [*labelled, *find_crossed(faint, labelled, ascender * scale)]:
        box = _scaled(circle.box, (1 / scale, 1 / scale))
        if not any(_labels(line, box, ascender) for line in lines):
            continue
        outer = _scaled(box, (1 / to_page[0], 1 / to_page[1]))
        wall = circle.line / scale / to_page[0]
        cell = (outer[0] + wall, outer[1] + wall, outer[2] - wall, outer[3] - wall)
        boxes.append(_check_box(mask, outer, cell, ROUND_INSET, to_page))
    return boxes


def _solid_boxes(
    mask: Grey, lines: Sequence[TextLine], check_boxes: Sequence[CheckBox], unit: float, to_page: Sequence[float]
) -> list[CheckBox]:
    """Return the check boxes that are solid but for a tick, on a page with others of their size."""
    if not check_boxes:
        return []
    sizes = np.array([(each.box[3] - each.box[1]) / to_page[1] for each in check_boxes])
    _, _, boxes, _ = components(mask)
    left, top, width, height, area = boxes[1:].T
    larger, smaller = np.maximum(width, height)[:, None], np.minimum(width, height)[:, None]
    same = ((larger <= SAME_SIZE * sizes) & (smaller >= sizes / SAME_SIZE)).any(axis=1)
    shares = area / (width * height)
    found = []
    for index in np.flatnonzero(same & (shares >= SOLID[0]) & (shares <= SOLID[1])).tolist():
        x0, y0, x1, y1 = (
            int(value) for value in (left[index], top[index], left[index] + width[index], top[index] + height[index])
        )
        part = mask[y0:y1, x0:x1]
        edges = min(part[1].mean(), part[-2].mean(), part[:, 1].mean(), part[:, -2].mean())
        box = _scaled((x0, y0, x1, y1), to_page)
        if (
            not any(_is_same(box, each.box) for each in check_boxes)
            and edges >= SOLID_EDGE
            and is_free(mask, (x0, y0, x1, y1), max(2, round(MARGIN * unit)), OVERFLOW)
            and any(_labels(line, box, unit * to_page[1]) for line in lines)
        ):
            found.append(CheckBox(box, True, SOLID_CONFIDENCE))
    return found


def _is_same(box: Box, other: Box) -> bool:
    """Whether the middle of a box is in another."""
    return other[0] <= (box[0] + box[2]) / 2 <= other[2] and other[1] <= (box[1] + box[3]) / 2 <= other[3]


def _with_faint(page: Grey, mask: Grey) -> Grey:
    """Ink of a page, and strokes that are a little darker than the paper around them."""
    paper = np.uint8(percentiles(page[::2, ::2], (70,))[0])
    # A closing takes strokes away, but lightens noisy paper.
    around = np.minimum(cv2.morphologyEx(page, cv2.MORPH_CLOSE, np.ones((STROKE, STROKE), np.uint8)), paper)
    return np.asarray(cv2.bitwise_or(mask, (cv2.subtract(around, page) > FAINT_CONTRAST).view(np.uint8)))


def _with_gaps(
    cells: Sequence[Box], combs: Sequence[list[Box]], beside_of: Mapping[Box, Sequence[Box]]
) -> list[list[Box]]:
    """Return combs of which the cells, or groups of them, stand apart, as those of a date, and all other combs.

    Between groups, what stands there is a cell, too: a stroke or a full stop, or nothing.
    """
    free = sorted(
        cell for cell in cells if all(abs(cell[1] - other[1]) < 0.5 * (cell[3] - cell[1]) for other in beside_of[cell])
    )
    rows: list[list[Box]] = []
    for cell in free:
        width, height = cell[2] - cell[0], cell[3] - cell[1]
        for row in rows:
            last = row[-1]
            level = max(abs(cell[1] - last[1]), abs(cell[3] - last[3])) <= EQUAL_CELLS * height
            wide = abs((last[2] - last[0]) - width) <= EQUAL_CELLS * width
            if level and wide and -0.1 * width <= cell[0] - last[2] <= GROUP_GAP * width:
                row.append(cell)
                break
        else:
            rows.append([cell])
    found: list[list[Box]] = []
    for row in rows:
        gaps = np.array([after[0] - before[2] for before, after in pairwise(row)])
        width = float(np.median([cell[2] - cell[0] for cell in row]))
        shape = width / float(np.median([cell[3] - cell[1] for cell in row]))
        near = gaps[gaps <= APART * width]
        if (
            len(row) < MIN_CELLS_APART
            or not COMB_CELL[0] <= shape <= COMB_CELL[1]
            or len(near) < 0.5 * len(gaps)
            or np.ptp(near) > UNEVEN_GAPS * width
        ):
            continue
        apart = [row[0]]
        for before, after in pairwise(row):
            if after[0] - before[2] > APART * width:
                inset = 0.15 * width
                apart.append((before[2] + inset, before[1], after[0] - inset, before[3]))
            apart.append(after)
        found.append(apart)
    inside = {cell for row in found for cell in row}
    return [row for row in combs if not inside.intersection(row)] + found


def label(lines: Sequence[Line], check_boxes: Sequence[CheckBox]) -> list[Line]:
    """Add each check box as a word to the line that is its label.

    Parameters
    ----------
    lines : sequence of Line
    check_boxes : sequence of CheckBox
    """
    own: dict[int, list[CheckBox]] = {}
    boxes = np.array([line.box for line in lines])
    for check_box in check_boxes if len(boxes) else ():
        own.setdefault(int(np.argmin(_distances(boxes, check_box))), []).append(check_box)
    labelled = []
    for index, line in enumerate(lines):
        words = sorted(
            [*line.words, *(each.word for each in own.get(index, ()))],
            key=lambda word: min(x for x, _ in word.polygon) + max(x for x, _ in word.polygon),
        )
        labelled.append(replace(line, words=tuple(words), text=" ".join(word.text for word in words)))
    return labelled


def _straight(mask: Grey, length: float) -> tuple[Grey, Grey]:
    """Return the ink of straight horizontal and vertical strokes of at least a length."""
    pixels = max(5, round(length))
    across, down = (
        cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones(shape, np.uint8)) for shape in ((1, pixels), (pixels, 1))
    )
    return np.asarray(across, np.uint8), np.asarray(down, np.uint8)


def _has_corners(mask: Grey, unit: float, least: int = 1) -> bool:
    """Return whether straight strokes longer than those of most letters meet or cross, or ticks stand on a rule."""
    across, down = _straight(mask, CORNER_WALL * unit)
    if not across.any():
        return False
    near = np.ones((3, 3), np.uint8)
    corners = cv2.bitwise_and(cv2.dilate(across, near), cv2.dilate(down, near))
    if corners.any() and (least == 1 or cv2.connectedComponents(corners)[0] > least):
        return True
    rule = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, max(5, round(RULE * unit))), np.uint8))
    ticks = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((max(4, round(TICK[0] * unit)), 1), np.uint8))
    meeting = cv2.bitwise_and(cv2.dilate(rule, near), cv2.dilate(ticks, near))
    return bool(cv2.connectedComponents(meeting)[0] > MIN_TICKS)


def _walls(mask: Grey, unit: float) -> Grey:
    """Return the straight strokes of a page, wider by a pixel on each side."""
    return np.asarray(cv2.dilate(cv2.bitwise_or(*_straight(mask, MIN_WALL * unit)), np.ones((3, 3), np.uint8)))


def _cells(walls: Grey, unit: float) -> list[Box]:
    """Return the inner bounds of rectangles with straight walls on all sides."""
    contours, hierarchy = cv2.findContours(walls, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    cells = []
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0] if contours else (), strict=True):
        if parent < 0:
            continue
        x, y, width, height = cv2.boundingRect(contour)
        # The contour of a hole lies on the pixels around it.
        left, top, right, bottom = x + 1, y + 1, x + width - 1, y + height - 1
        if not (
            CHECK_BOX_INSIDE * unit <= right - left <= CELL_WIDTH[1] * unit
            and CHECK_BOX_INSIDE * unit <= bottom - top <= CELL_HEIGHT[1] * unit
        ):
            continue
        if cv2.contourArea(contour) < RECTANGULAR * (width - 1) * (height - 1):
            continue
        sides = (
            walls[top:bottom, max(left - 2, 0) : left],
            walls[top:bottom, right : right + 2],
            walls[max(top - 2, 0) : top, left:right].T,
            walls[bottom : bottom + 2, left:right].T,
        )
        if all(side.size and np.count_nonzero(side.any(axis=1)) >= DRAWN * len(side) for side in sides):
            # Dilation widened the walls by a pixel.
            cells.append((left - 1.0, top - 1.0, right + 1.0, bottom + 1.0))
    return cells


def _has_thick_walls(mask: Grey, cell: Box) -> bool:
    """Return whether the walls of a cell are ink, of at least two pixels."""
    left, top, right, bottom = (round(value) for value in cell)
    if min(left, top) < 2:
        return False
    sides = (
        mask[top:bottom, left - 2 : left].T,
        mask[top:bottom, right : right + 2].T,
        mask[top - 2 : top, left:right],
        mask[bottom : bottom + 2, left:right],
    )
    return all(side.size > 0 and side.mean(axis=1).min() >= DRAWN for side in sides)


def _with_hidden_cells(cells: Sequence[Box], walls: Grey, unit: float) -> list[Box]:
    """Return cells with those that continue their rows, which straight strokes of letters close to the walls hide."""
    # Cells that were replaced are no number.
    found = np.array(cells, np.float64).reshape(-1, 4)
    for row in _rows(cells, unit):
        if len(row) < MIN_VISIBLE_CELLS:
            continue
        step = np.subtract(row[-1], row[0]) / (len(row) - 1)
        for end, towards in ((row[-1], step), (row[0], -step)):
            cell = end
            while True:
                cell = tuple((np.array(cell) + towards).tolist())
                within = np.flatnonzero(_overlap(cell, found))
                apart = np.abs(found[within] - cell).max(axis=1) / unit
                nearest = float(apart.min(initial=np.inf))
                if nearest > SAME_CELL[0] and _is_drawn(walls, cell):
                    found[within] = np.nan
                    found = np.concatenate([found, [cell]])
                elif nearest <= SAME_CELL[1]:
                    cell = tuple(found[within[np.argmin(apart)]].tolist())
                else:
                    break
    return [(left, top, right, bottom) for left, top, right, bottom in found.tolist() if left == left]


def _overlap(cell: Box, others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which cells share at least a third of the width and of the height of the smaller one with a cell."""
    shared = np.ones(len(others), bool)
    for start, end in ((0, 2), (1, 3)):
        both = np.minimum(cell[end], others[:, end]) - np.maximum(cell[start], others[:, start])
        shared &= both >= np.minimum(cell[end] - cell[start], others[:, end] - others[:, start]) / 3
    return shared


def _is_drawn(walls: Grey, cell: Box) -> bool:
    """Return whether walls stand on all sides of a cell, give or take a few pixels."""
    left, top, right, bottom = (round(value) for value in cell)
    if min(left, top) < 3 or min(right - left, bottom - top) < 4:
        return False
    sides = (
        walls[top:bottom, left - 3 : left + 3],
        walls[top:bottom, right - 3 : right + 3],
        walls[top - 3 : top + 3, left:right].T,
        walls[bottom - 3 : bottom + 3, left:right].T,
    )
    return all(side.size and side.any(axis=1).mean() >= HIDDEN_DRAWN for side in sides)


def _neighbours(cells: Sequence[Box], unit: float) -> list[list[Box]]:
    """Return the cells that share a wall with each cell."""
    left, top, right, bottom = np.array(cells, np.float64).reshape(-1, 4).T
    found = []
    for index, cell in enumerate(cells):
        across = np.maximum(cell[0], left) - np.minimum(cell[2], right)
        down = np.maximum(cell[1], top) - np.minimum(cell[3], bottom)
        adjoin = (np.maximum(across, down) <= WALL * unit) & (np.minimum(across, down) < 0)
        adjoin[index] = False
        found.append([cells[other] for other in np.flatnonzero(adjoin).tolist()])
    return found


def _rows(cells: Sequence[Box], unit: float) -> list[list[Box]]:
    """Group cells of equal size that are separated only by a wall into rows, from left to right."""
    rows: list[list[Box]] = []
    # Cells come from the left: a row that ends too far from one of them ends too far from all that follow.
    near: list[list[Box]] = []
    for cell in sorted(cells):
        near = [row for row in near if cell[0] - row[-1][2] <= WALL * unit]
        for row in near:
            last = row[-1]
            same = max(abs(cell[1] - last[1]), abs(cell[3] - last[3])) <= 0.2 * (last[3] - last[1])
            width, other = cell[2] - cell[0], last[2] - last[0]
            close = -0.1 * unit <= cell[0] - last[2] <= WALL * unit
            if same and close and abs(width - other) <= COMB_WIDTHS * max(width, other):
                row.append(cell)
                break
        else:
            rows.append([cell])
            near.append(rows[-1])
    return rows


def _is_comb(row: Sequence[Box], beside_of: Mapping[Box, Sequence[Box]]) -> bool:
    if len(row) < MIN_CELLS:
        return False
    shape = float(np.median([(cell[2] - cell[0]) / (cell[3] - cell[1]) for cell in row]))
    # Tables have rows above and below.
    return COMB_CELL[0] <= shape <= COMB_CELL[1] and all(other in row for cell in row for other in beside_of[cell])


def _open_combs(mask: Grey, unit: float) -> list[list[Box]]:
    """Return the cells of combs that are open above, from left to right: between ticks that stand on a rule."""
    across = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, max(5, round(MIN_WALL * unit))), np.uint8))
    down = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((max(4, round(TICK[0] * unit)), 1), np.uint8))
    # Faint rules have gaps.
    near = np.ones((3, 2 * round(0.2 * unit) + 1), np.uint8)
    rules, labels, boxes, _ = components(np.asarray(cv2.dilate(across, near), np.uint8))
    long = [label for label in range(1, rules) if boxes[label][2] >= MIN_TICKS * CELL_WIDTH[0] * unit]
    if not long or len(long) > MAX_RULES:
        return []
    _, _, strokes, centres = components(np.asarray(down, np.uint8))
    _, ys, wides, talls, _ = strokes.T
    may_be = (talls >= TICK[0] * unit) & (talls <= TICK[1] * unit) & (wides <= 0.3 * unit)
    may_be[0] = False
    across_at, ys, wides, ends = centres[may_be, 0], ys[may_be], wides[may_be], (ys + talls)[may_be]
    places = np.round(across_at).astype(int)
    combs = []
    for label in long:
        left, top, width, height, _ = boxes[label]
        if height > 0.5 * unit + 0.1 * width:
            continue
        on_rule = (places >= left) & (places < left + width)
        # A tick that ends above the box of the rule, or begins below it, does not stand on it.
        on_rule &= (ends >= top - 3) & (ys <= top + height + 3)
        if np.count_nonzero(on_rule) < MIN_TICKS:
            continue
        own = labels[top : top + height, places[on_rule]] == label
        # A tick ends at the upper or the lower edge of the rule, and begins above it.
        level = np.where(own.any(axis=0), top + own.argmax(axis=0) + 1.0, np.nan)
        under = ends[on_rule] - level
        stands = (under >= -3) & (under <= own.sum(axis=0) + 3) & (level - ys[on_rule] >= TICK[0] * unit - 3)
        ticks = np.column_stack([across_at[on_rule], ys[on_rule], level, wides[on_rule]])[stands]
        if cells := _open_cells(sorted(map(tuple, ticks.tolist())), mask, unit):
            combs.append(cells)
    return combs


def _open_cells(ticks: Sequence[tuple[float, float, float, float]], mask: Grey, unit: float) -> list[Box]:
    """Return the cells between ticks, each with its place, upper end, level and width; none if they are no comb."""
    if len(ticks) < MIN_TICKS:
        return []
    across, tops, levels, widths = np.array(ticks).T
    heights = levels - tops
    usual = float(np.median(heights))
    even = np.flatnonzero(np.abs(heights - usual) <= UNEVEN_TICKS * usual)
    across, levels = across[even], levels[even]
    if len(across) < MIN_TICKS:
        return []
    if usual > LOW_TICK * unit and _is_closed(ticks, mask):
        return []
    pitch = float(np.median(np.diff(across)))
    # A letter may hide a tick.
    steps = np.round(np.diff(across) / pitch)
    regular = (steps >= 1) & (np.abs(np.diff(across) - steps * pitch) <= UNEVEN_CELLS * pitch)
    if not CELL_WIDTH[0] * unit <= pitch <= CELL_WIDTH[1] * unit or regular.mean() < 0.9 or (steps == 1).mean() < 0.6:
        return []
    parts = [
        np.linspace(one, other, int(max(step, 1)), endpoint=False)
        for one, other, step in zip(across[:-1], across[1:], steps, strict=True)
    ]
    places = np.concatenate([*parts, across[-1:]])
    below = np.interp(places, across, levels)
    # All of the ticks is wiped with the cells.
    tall = max(_letters_above(places, below, usual, mask, unit), usual)
    inset = float(np.median(widths)) / 2
    return [
        (float(one) + inset, float(level) - tall, float(other) - inset, float(level) - 1)
        for one, other, level in zip(places[:-1], places[1:], (below[:-1] + below[1:]) / 2, strict=True)
    ]


def _is_closed(ticks: Sequence[tuple[float, float, float, float]], mask: Grey) -> bool:
    """Return whether a rule lies on the upper ends of most ticks, as it does over a row of boxes."""
    inked = []
    for (one, top, _, wide), (other, end, _, _) in pairwise(ticks):
        upper = round(min(top, end))
        left, right = round(one + wide), round(other - wide)
        part = mask[max(upper - 3, 0) : round(max(top, end)) + 3, max(left, 0) : max(right, left)]
        inked.append(float(part.any(axis=0).mean()) if part.size else 0.0)
    return float(np.median(inked)) > CLOSED


def _letters_above(
    places: NDArray[np.float64], levels: NDArray[np.float64], tick: float, mask: Grey, unit: float
) -> float:
    """Return how far above the rule of an open comb its letters begin, by the ink between the ticks."""
    reach = round(OPEN_CELL * unit)
    profile = np.zeros(reach, bool)
    for one, other, level in zip(places[:-1], places[1:], levels[:-1], strict=True):
        part = mask[max(round(level) - reach, 0) : max(round(level) - 2, 0), round(one) + 2 : max(round(other) - 1, 0)]
        rows = np.asarray(part.any(axis=1))[::-1]
        profile[2 : 2 + len(rows)] |= rows[: reach - 2]
    # From the middle of the letters, which stand among the ticks or above them, up to the first row without ink.
    lowest = np.flatnonzero(profile[: round(tick + 0.8 * unit)])
    if not len(lowest):
        return tick
    top = int(lowest[0])
    gap = 0
    for row in range(top, reach):
        gap = 0 if profile[row] else gap + 1
        if gap > 0.15 * unit and row - gap - lowest[0] >= LETTER * unit:
            break
        top = row if profile[row] else top
    else:
        # Letters end; what goes on is a drawing.
        return tick
    return float(top + 4)


def _wall(mask: Grey, cell: Box) -> int:
    """Return the thickness of a cell's walls in pixels."""
    left, top, right, bottom = (round(value) for value in cell)
    middle, centre = (top + bottom) // 2, (left + right) // 2
    rays = (mask[middle, right:], mask[middle, :left][::-1], mask[:top, centre][::-1], mask[bottom:, centre])
    runs = [int(np.argmin(ray[:40])) if ray.size and not ray[:40].all() else 40 for ray in rays]
    return int(np.median(runs)) + 1


def _is_check_box(mask: Grey, cell: Box, outer: Box, unit: float) -> bool:
    width, height = outer[2] - outer[0], outer[3] - outer[1]
    inside = (cell[2] - cell[0]) / max(width, 1e-6)
    if not (
        CHECK_BOX_SIDE[0] * unit <= height <= CHECK_BOX_SIDE[1] * unit and SQUARE[0] <= width / height <= SQUARE[1]
    ):
        return False
    margin = max(2, round(MARGIN * unit))
    if inside < 0.5:
        return False
    bounds = tuple(round(value) for value in outer)
    return is_free(mask, bounds, margin, OVERFLOW)


def _is_within_word(mask: Grey, outer: Box, unit: float) -> bool:
    """Return whether there are letters so close on both sides of a box that it is one, too."""
    left, top, right, bottom = (round(value) for value in outer)
    wide = round(LETTER_WIDE * unit)
    near = max(round(BESIDE_LETTER * unit), 1)
    sides = mask[top:bottom, max(left - wide, 0) : left][:, ::-1], mask[top:bottom, right : right + wide]
    touched = all(part.size > 0 and part[:, :near].any() for part in sides)
    return touched and any(float(part.any(axis=1).mean()) >= LETTER_TALL for part in sides)


def _is_finder_pattern(inside: Grey) -> bool:
    """Return whether a cell holds nothing but a solid square in its middle, as the corners of a QR code do."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return False
    part = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shares = [own / whole for own, whole in zip(part.shape, inside.shape, strict=True)]
    centred = all(
        abs(own[0] + own[-1] + 1 - whole) <= 0.2 * whole
        for own, whole in zip((rows, columns), inside.shape, strict=True)
    )
    return centred and part.mean() > 0.95 and FINDER[0] <= min(shares) and max(shares) <= FINDER[1]


def _is_round(mask: Grey, outer: Box, thick: bool) -> bool:
    left, top, right, bottom = (round(value) for value in outer)
    most = max(ROUNDING * (bottom - top), 1.5)
    if thick:
        most = max(most, min(THICK_ROUNDING[0] * (bottom - top), THICK_ROUNDING[1]))
    return _rounding(mask[top:bottom, left:right]) > most


def _follows(line: TextLine, box: Box, ascender: float) -> bool:
    """Return whether text goes on to the right of a box, on a line that begins there or before it."""
    left, right = float(line.baseline[0, 0]), float(line.baseline[-1, 0])
    return (
        _labels(line, box, ascender)
        and left <= box[2] + CIRCLE_LABEL_GAP * ascender
        and right >= box[2] + CIRCLE_LABEL_GAP * ascender
    )


def _rounding(part: Grey) -> float:
    """Return the steps from the corners of a box along the diagonals to its ink; of the corners the second roundest."""
    side = min(part.shape)
    steps = np.arange(side // 2 + 1)
    corners = (part, part[:, ::-1], part[::-1], part[::-1, ::-1])
    inked = [np.flatnonzero(corner[steps, steps]) for corner in corners]
    return float(sorted(rows[0] if len(rows) else side for rows in inked)[2])


def _labels(line: TextLine, box: Box, ascender: float) -> bool:
    """Return whether a line is beside a check box or around it."""
    left, right = float(line.baseline[0, 0]), float(line.baseline[-1, 0])
    if left - LABEL_GAP * ascender > box[2] or right + LABEL_GAP * ascender < box[0]:
        return False
    middle = (box[0] + box[2]) / 2
    level = float(np.interp(middle, line.baseline[:, 0], line.baseline[:, 1]))
    return box[1] - 0.5 * ascender <= level - 0.4 * line.ascender <= box[3] + 0.5 * ascender


def _distances(boxes: NDArray[np.float64], check_box: CheckBox) -> NDArray[np.float64]:
    """Return the distances of lines, by their boxes (N, 4), from a check box; lines to its right are preferred."""
    left, top, right, bottom = check_box.box
    side = bottom - top
    starts, uppers, ends, lowers = boxes.T
    beside = np.maximum(np.maximum(uppers - bottom, top - lowers), 0.0) / side
    across = np.where(ends < left, 3.0 + (left - ends) / side, np.maximum(starts - right, 0.0) / side)
    return np.asarray(across + 20.0 * beside + np.abs((uppers + lowers) / 2 - (top + bottom) / 2) / side)


def _comb(small: Grey, mask: Grey, row: Sequence[Box], to_page: Sequence[float]) -> Comb | None:
    """Compose the letters of a row of cells into a line; return None if all cells are empty."""
    # On pages that lie aslant, each cell has its own level.
    height = round(min(cell[3] - cell[1] for cell in row)) - 2
    space = max(1, round(LETTER_SPACE * height))
    cells = [
        (round(cell[0]) + 1, max(round(cell[3]) - 1 - height, 0), round(cell[2]) - 1, round(cell[3]) - 1)
        for cell in row
    ]
    inks = [_without_walls(mask[top:bottom, left:right], height) for left, top, right, bottom in cells]
    letters = [index for index, ink in enumerate(inks) if _is_filled(ink, height)]
    if not letters:
        return None
    shown = [small[top:bottom, left:right] for left, top, right, bottom in cells]
    darkness = float(np.median([np.median(shown[index]) - shown[index].min() for index in letters]))
    # All cells as light as the lightest.
    paper = max(int(np.median(shown[index])) for index in letters)
    parts: list[Grey] = []
    columns: list[tuple[float, float]] = []
    tops, bottoms, blank, at, parted = [], [], 0, 0, False
    for index in range(letters[0], letters[-1] + 1):
        left, top, _, bottom = cells[index]
        ink = inks[index] if index in letters else _faint_mark(shown[index], darkness, height)
        if ink is None:
            blank += 1
            continue
        if blank:
            parts.append(np.full((height, round(EMPTY_CELL * height)), paper, np.uint8))
            at += parts[-1].shape[1]
            blank, parted = 0, True
        filled, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
        first, last = left + int(filled[0]), left + int(filled[-1]) + 1
        part = np.full((height, last - first + 2 * space), paper, np.uint8)
        lighter = paper - int(np.median(shown[index]))
        part[: bottom - top, space:-space] = np.minimum(small[top:bottom, first:last].astype(int) + lighter, paper)
        columns += [(at + space, first), (at + space + last - first, last)]
        parts.append(part)
        at += part.shape[1]
        tops.append(int(rows[0]))
        bottoms.append(int(rows[-1]) + 1)
    pixels = np.concatenate(parts, axis=1)
    baseline = float(np.median(bottoms))
    ascender = max(baseline - float(np.median(tops)), 0.3 * height)
    ends = np.array([[columns[0][0], baseline], [columns[-1][0], baseline]], np.float32)
    across = np.array(columns, np.float64)
    across[:, 1] *= to_page[0]
    # Composed lines get a margin, like that of lines on a page.
    border = round(0.5 * ascender)
    padded = cv2.copyMakeBorder(pixels, 0, 0, border, border, cv2.BORDER_CONSTANT, value=paper)
    across[:, 0] += border
    ends[:, 0] += border
    return Comb(
        tuple(_scaled((cell[0], cell[3] - 1 - height, cell[2], cell[3] - 1), to_page) for cell in row),
        np.asarray(padded, np.uint8),
        TextLine(ends, ascender, 0.3 * ascender, 1.0),
        across,
        parted,
    )


def _without_walls(ink: Grey, height: int) -> Grey:
    """Return the ink of a cell without slivers of the walls at its sides, beside what else there is."""
    if not (ink[:, :1].any() or ink[:, -1:].any()):
        return ink
    count, labels, boxes, _ = components(ink)
    left, _, width, _, _ = boxes.T
    slivers = ((left == 0) | (left + width == ink.shape[1])) & (width <= max(SLIVER * height, 2))
    slivers[0] = False
    return ink if np.count_nonzero(slivers) == count - 1 else np.asarray(np.where(slivers[labels], np.uint8(0), ink))


def _is_filled(ink: Grey, height: int) -> bool:
    """Return whether there is a letter or a mark in the ink of a cell."""
    rows = np.count_nonzero(ink.any(axis=1))
    return bool(ink.sum() >= SMALLEST and (rows >= 0.15 * height or _is_mark(ink, height)))


def _faint_mark(part: Grey, darkness: float, height: int) -> Grey | None:
    """Return the ink of a mark in a cell between letters that are so much darker than paper, if there is one."""
    paper, dark = (float(np.median(part)), float(part.min())) if part.size else (0.0, 0.0)
    if paper - dark < max(FAINT_MARK * darkness, FAINT_CONTRAST):
        return None
    ink = (part < (paper + dark) / 2).view(np.uint8)
    return ink if _is_mark(ink, height, FAINT_MARK_SIZE) else None


def _is_mark(ink: Grey, height: int, least: float | None = None) -> bool:
    """Return whether the ink in a cell is a hyphen or a full stop: one mark that does not touch the walls."""
    count, _, boxes, _ = components(ink)
    if count < 2:
        return False
    left, top, width, tall, area = boxes[1 + int(boxes[1:, 4].argmax())].tolist()
    apart = left > 0 and top > 0 and left + width < ink.shape[1] and top + tall < ink.shape[0]
    least = max(SMALLEST, MARK * height * height) if least is None else least
    return bool(apart and area >= least and area >= 0.7 * ink.sum())


def _inner(cell: Box, inset: float) -> tuple[slice, slice]:
    """Return the pixels of a cell but for a margin, of which `inset` is the share of its height."""
    margin = max(2, round(inset * (cell[3] - cell[1])))
    left, top, right, bottom = (round(value) for value in cell)
    return slice(top + margin, max(bottom - margin, top + margin + 1)), slice(
        left + margin, max(right - margin, left + margin + 1)
    )


def _paint(page: Grey, box: Box) -> None:
    """Fill a box of a page with the colour of its paper."""
    left, top, right, bottom = (max(round(value), 0) for value in box)
    part = page[top:bottom, left:right]
    part[:] = percentiles(part, (90,))[0] if part.size else PAPER


def _scaled(box: Box, to_page: Sequence[float]) -> Box:
    return (box[0] * to_page[0], box[1] * to_page[1], box[2] * to_page[0], box[3] * to_page[1])


def _points(points: NDArray[np.float32]) -> DocumentPoints:
    return tuple((x, y) for x, y in points.tolist())
