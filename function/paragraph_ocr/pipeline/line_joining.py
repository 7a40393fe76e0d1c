"""Complete the lines found on a page by its ink: longer where ink goes on, whole where they broke, more where none is.

A detector sees large shapes beside small letters badly: lines end in the middle of a word or come in pieces near a
signature, a stamp or a heading, and single characters that stand alone have no line at all. The components of the
page's ink that are as large as letters tell where lines go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Box
from paragraph_ocr.pipeline.crops import complete_cut_out
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import SMALLEST, Ink, components, find_ink, letter_height
from paragraph_ocr.pipeline.rectification import Points
from paragraph_ocr.pipeline.ruling import UprightRule, find_upright_rules

# Ascenders have about so many pixels where the ink is analysed.
ASCENDER = 16.0
# Of two pieces of a line one is at most so many times as tall as the other.
MAX_HEIGHT_RATIO = 1.7
# In ascender heights: the widest gap between words of a line, the widest shape that a line goes on behind, how far
# pieces of a line lie above each other, and the gap between two pieces that are one line with nothing between.
WORD_GAP, SHAPE, LEVEL, SEAM = 0.8, 9.0, 0.3, 0.35
# In ascender heights: the widest gap between two pieces that grew towards each other, which between cells of a table
# is wider, and the least by which they grew, or that a shape hides of a line, which of a rule is less.
JOINED_GAP, HIDING = 0.8, 0.8
# Two pieces that no shape hides are one line, too, if the gap between their letters is so many times the usual gap
# between words at most, and fewer than so many lines near it begin there, as the lines of a column do. In ascenders:
# the least gap between words, the length of lines that show the usual one, of which so many gaps are needed, how far
# away a line is near, and how far from the gap it may begin.
USUAL_GAP, CELL_STARTS, LEAST_GAP, PROSE, PROSE_GAPS, NEAR_LINE, NEAR_START = 1.25, 2, 0.5, 10.0, 12, 6.0, 0.5
# A line goes on behind what is larger than letters, if no gap beside that is wider than one between words, and what
# stands above and below runs on there, too: it leaves no gap of so many ascenders. Where nothing runs on, fewer than
# `CELL_STARTS` lines begin there, but for those that are so near behind such a shape, and it has more columns than an
# upright rule. Small letters lie so far above the baseline, and whole ones are so tall.
# The shape is no rule, which is so many times as tall as wide, and no grid: it has this height and width at most.
SLIM, SHAPE_SIZE = 4.0, (20.0, 45.0)
GUTTER, BEHIND, NO_RULE, SMALL_LETTERS, WHOLE = 0.75, 1.2, 0.45, (0.65, 0.1), 0.5
# In ascender heights, of a dash or a bullet at an end of a line: the widest gap before it, and what is free beyond it.
MARK_GAP, MARK_FREE = 1.2, 1.0
# Greatest width of what may be a part of a dotted or broken line, which a rule is not.
LONGEST_MARK = 3.0
# Least and greatest width of a dash, its greatest height, and least and greatest side of a bullet, which is as wide as
# tall and fills so much of its box.
DASH, DASH_HEIGHT, BULLET, BULLET_FILL = (0.2, 1.1), 0.25, (0.2, 0.6), 0.65
# How far above the baseline the middle of a mark is, in ascender heights.
MARK_LEVEL = (0.15, 0.65)
# In ascender heights, of a dash alone in a cell of a table: how far away text on its line is at most, how far its edges
# or its middle lie from those of the entries of its column at most, and how long these are; of entries and dashes in a
# column so many are needed, of which one is no dash. Nothing else lies so near, beside it, and above or below it.
CELL_TEXT, CELL_EDGE, CELL_ENTRY, CELLS, CELL_FREE = 25.0, 0.4, 6.0, 3, (0.9, 0.35)
# Of a row of raised marks, such as asterisks: their height at most, in ascenders of most lines of the page; the height
# of the line that they belong to in these; and in ascenders of that line, how far above its baseline they end at least,
# how far they begin at most, and how far before or behind its words; and the height of a mark relative to the least.
ROW_MARK, ROW_LINE, ROW_LEVEL, ROW_GAP, ROW_ALIKE = 0.65, (0.7, 1.5), (0.08, 1.3), (-0.3, 1.2), 1.4
# How often lines grow at most, as long as some go on behind a shape.
PASSES = 3
# A page with more marks in the shape of dashes is noisy.
MAX_DASHES = 1000
# Heights of letters in ascenders: a part of a line, and one that begins a line of its own; and the greatest width of
# letters that are joined, which flourishes and the edges of sheets exceed.
SHORTEST_LETTER, TALLEST_LETTER, WIDEST_LETTERS = 0.3, 2.0, 3.0
# The margin of a line is where the farthest of it and the lines around it ends, if they are so many at least; no line
# grows farther beyond it than this. In its ascenders: how far above or below it they are, and how far before them it
# may end, since lines that break at the same shape have pieces on both sides of it.
MARGIN_LINES, BEYOND_MARGIN, MARGIN_LEVEL, MARGIN_AHEAD = 2, 0.5, 4.5, 3.0
# A line is tall, as a large word is, if its ascenders have so many times the height of those of most lines.
TALL_LINE = 2.5
# It is a grid if the detector is less sure of it, and walls of cells have so much of its ink, without solid cells.
SURE_WORD, GRID = 0.8, 0.5
# A line may be so much taller than its letters, which are so many at least, as where staves of music stand beside it.
# Most of its marks are at least half as tall as the tallest, and end on the baseline within this share of that height.
FITTED_LETTERS, FITTED_HEIGHT, FITTED_ALIKE, FITTED_LEVEL = 5, 0.6, 0.6, 0.15
# Ascender of a line in the height of its tallest letters, and from where on no ink is above them, but in so many of its
# columns.
FITTED_ASCENDER, FITTED_FREE, FITTED_INK = 1.1, 1.25, 0.02
# A component belongs to a line if so much of it lies within.
COVERED = 0.5
# The detector's confidence that is given to lines that it did not find: they are kept only if they are read well.
CONFIDENCE = 0.61
# Number of a page's longest lines that show how dark its writing is.
CONTRAST_LINES = 12
# Letters of a line turned by a quarter, and how many times as tall as wide it is.
MIN_UPRIGHT_LETTERS, MIN_UPRIGHT_RATIO = 5, 4.0
# Gaps between its letters in widths of the column: of letters that no line has, and of those found as lines of one; and
# the gap between its words, of which each that counts has so many letters.
UPRIGHT_GAP, SINGLE_GAP, UPRIGHT_WORD_GAP, UPRIGHT_WORD = 0.8, 0.65, 3.0, 2
# A page with more columns of letters is noisy: columns of one letter are left out of upright text.
MAX_COLUMNS = 2000
# A line of one letter with an ascender of at most this share of the page's, and of the letter, was found in part, if
# the letter has so many times the height of the page's ascenders.
PART_OF_LETTER, WHOLE_LETTER = 0.8, (0.75, 1.35)
# A letter alone in a cell that touches a rule, which is so many ascender heights long: its least and greatest height
# without the rule, its width in that at least, the most of its box that it fills, how far its foot is from the baseline
# of its row, and how long the other entries of its column are. A page with more such marks is a drawing.
RULED, LONE_LETTER, LONE_WIDTH, LONE_FILL, LONE_LEVEL, LONE_ENTRY = 8.0, (0.6, 1.3), 0.25, 0.75, 0.35, 1.6
MAX_LONE_LETTERS = 300
# A line of one letter is shorter than this many ascender heights.
SINGLE = 1.5
# Length in ascender heights from which straight ink is a rule, of a table or of paper; and that from which it is a wall
# of a cell, if the walls have this share of the ink of a shape that is as wide and as tall, and fills less of its box.
RULE, WALL, WALLS, HOLLOW = 4.0, 1.6, 0.8, 0.7
# In ascender heights, where a line crosses an upright rule between two cells: the least width that is clear of letters,
# on each side and on both with the rule; how far a rule may reach beyond its ends, as in a dark head; and there, the
# least clear width.
CELL_CLEAR, CELL_GAP, BEYOND_RULE, BEYOND_GAP = 0.15, 0.35, 3.0, 0.6
# Cells that end or begin at a rule are no farther from it than this.
NEAR_RULE = 6.0
# A rule parts cells if so many lines that cross it are clear of it, or so many lines end and begin on its sides. Where
# most are clear of it by less than this width, in ascender heights, as letters of typewriting that stand above each
# other are of a scratch on a film, more lines than cross it must end or begin there.
PARTED, LETTER_GAP = 2, 0.85
# Letters that touch a rule are parted there, too, if so many lines end and begin at it, and so many times as many as
# touch it; and if so much of the rule is seen beside them, from so far above the baseline to so far below it, in
# ascender heights. A line below the end of such a rule goes on behind it where the others begin, within so much.
COLUMN_START = 0.6
COLUMN_LINES, COLUMN_SHARE, RULE_SEEN, RULE_BESIDE = 6, 4, 0.85, (1.2, 0.4)
# Squared paper has so many upright rules at least, this share of them whole squares from the next but for this share of
# one, mostly so many ascender heights at most; and of the places where lines cross them, letters stand on at least this
# share.
SQUARES, EVEN_SQUARES, SQUARE, WRITTEN_OVER = 6, (0.7, 0.15), 3.5, 0.1
# Descenders in ascender heights, of lines that were not found by the detector.
DESCENDER = 0.35


class CompleteLines(NamedTuple):
    """Lines of a page in no order, boxes in which text may run up or down the page, the page's ink, and the page.

    Boxes are left, top, right and bottom, in pixels of the page. `instead` has the lines of each box for the case that
    its letters are no turned line, as in a column of single digits; they are not among `lines`. Of a page that was cut
    out around a word or a few, `page` has no parts of other words.
    """

    lines: list[TextLine]
    upright: list[Box]
    ink: Ink
    instead: list[list[TextLine]]
    page: NDArray[np.uint8]


def complete_lines(page: NDArray[np.uint8], lines: list[TextLine], margin: int = 0) -> CompleteLines:
    """Lines of a page, as far as its ink goes.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, upright.
    lines : list of TextLine
        As the detector found them, in any order.
    margin : int
        Pixels of paper around what the image was, as `crops.with_margin` adds them.

    Returns
    -------
    CompleteLines
    """
    ascender = float(np.median([line.ascender for line in lines])) if lines else None
    scale = min(1.0, ASCENDER / ascender) if ascender else min(1.0, 1024 / min(page.shape))
    ink = find_ink(page, scale, _contrast(page, lines))
    if ascender is None and (ascender := letter_height(ink)) is None:
        return CompleteLines(lines, [], ink, [], page)
    cut_out = complete_cut_out(lines, ink, margin)
    lines, page = cut_out.lines, cut_out.wiped(page, ink)
    pieces = _without_doubles([_Piece(line.rescaled(ink.scale), line) for line in lines])
    # Small letters that a large word overlaps may be parts of small lines, but no lines of their own: so are its dots.
    tall = [piece for piece in pieces if piece.line.ascender > TALL_LINE * ascender * ink.scale]
    unsure = [piece for piece in tall if piece.line.confidence < SURE_WORD]
    if unsure and (grids := _grids(ink, unsure, ascender * ink.scale)):
        pieces, tall = ([piece for piece in own if piece not in grids] for own in (pieces, tall))
    unassigned = ~_cover(ink, [piece for piece in pieces if piece not in tall]) & (ink.area >= SMALLEST)
    unassigned &= ~cut_out.others
    overlapped = _cover(ink, tall) if tall else np.zeros(len(unassigned), np.bool_)
    _join(pieces, ink, unassigned)
    unassigned &= ~overlapped
    whole = _part_cells([piece for piece in pieces if piece.alive], ink, ascender * ink.scale)
    # Letters of a line turned by a quarter may have been found as lines of one letter.
    single = [piece for piece in whole if _length(piece.line.baseline) < SINGLE * ascender * ink.scale]
    for piece in single:
        _take_whole_letter(piece, ink, unassigned, ascender * ink.scale)
    free = unassigned.copy()
    upright = _upright_boxes(ink, unassigned, _cover(ink, single), ascender * ink.scale)
    taken = free & ~unassigned
    instead: list[list[TextLine]] = []
    for left, top, right, bottom in upright:
        own = [piece for piece in whole if piece in single and _is_within(piece, (left, top, right, bottom))]
        whole = [piece for piece in whole if piece not in own]
        within = taken & (ink.left >= left) & (ink.right <= right) & (ink.top >= top) & (ink.bottom <= bottom)
        taken &= ~within
        letters = _unassigned_lines(ink, within, own or whole, ascender * ink.scale)
        instead.append(_on_page(own, letters, ink))
    alone = _unassigned_lines(ink, unassigned, whole, ascender * ink.scale)
    return CompleteLines(
        _on_page(
            whole,
            alone + _dashes_alone(ink, unassigned, whole) + _letters_on_rules(ink, whole, ascender * ink.scale),
            ink,
        ),
        [
            (left / ink.scale, top / ink.scale, right / ink.scale, bottom / ink.scale)
            for left, top, right, bottom in upright
        ],
        ink,
        instead,
        page,
    )


def fitted_lines(lines: Sequence[TextLine], ink: Ink) -> dict[int, TextLine]:
    """Lines as tall as their letters, by the places of those lines that are far taller, as the detector saw them.

    Parameters
    ----------
    lines : sequence of TextLine
    ink : Ink
        Ink of the page.
    """
    marks = np.flatnonzero(ink.area >= SMALLEST)
    middle, top, bottom = (ink.left[marks] + ink.right[marks]) / 2, ink.top[marks], ink.bottom[marks]
    fitted = {}
    for index, line in enumerate(lines):
        x, y = line.baseline.T * ink.scale
        ascender, descender = line.ascender * ink.scale, line.descender * ink.scale
        inside = (middle > x[0]) & (middle < x[-1]) & (top > y.min() - 1.1 * ascender) & (bottom < y.max() + descender)
        own = marks[inside]
        if len(own) < FITTED_LETTERS:
            continue
        # Of most lines, more than a tenth of the marks are taller.
        if np.count_nonzero(ink.height[own] > FITTED_HEIGHT * ascender + 1) > len(own) / 10 + 1:
            continue
        if (other := _fitted(line.rescaled(ink.scale), ink, own)) is not None:
            fitted[index] = other.rescaled(1 / ink.scale)
    return fitted


def _fitted(line: TextLine, ink: Ink, own: NDArray[np.intp]) -> TextLine | None:
    """A line as tall as its letters, which are among its own components, if it is far taller."""
    ascender = line.ascender
    level = np.interp((ink.left[own] + ink.right[own]) / 2, *line.baseline.T)
    above, height = level - ink.bottom[own], ink.height[own]
    letters = (height >= SHORTEST_LETTER / 2 * ascender) & (above > -line.descender)
    letters &= (above + height < 1.1 * ascender) & (ink.width[own] < 3 * ascender)
    above, height = above[letters], height[letters]
    if len(height) < FITTED_LETTERS or (tallest := float(np.percentile(height, 90))) > FITTED_HEIGHT * ascender:
        return None
    rise = float(np.median(above))
    if ((height >= tallest / 2) & (np.abs(above - rise) <= FITTED_LEVEL * tallest + 1)).mean() < FITTED_ALIKE:
        return None
    # Letters of handwriting may be in pieces, of which others reach as high as the ascender.
    columns = np.arange(
        max(round(float(line.baseline[0, 0])), 0), min(round(float(line.baseline[-1, 0])), ink.labels.shape[1])
    )
    first = round(FITTED_FREE * tallest)
    rows = np.arange(first, max(round(0.95 * ascender - rise), first + 2))[:, None]
    levels = np.rint(np.interp(columns, *line.baseline.T) - rise).astype(np.intp)
    inked = ink.labels[np.clip(levels - rows, 0, ink.labels.shape[0] - 1), columns] > 0
    if inked.any(axis=0).mean() > FITTED_INK:
        return None
    baseline = (line.baseline - np.array([0.0, rise])).astype(np.float32)
    above_it = FITTED_ASCENDER * tallest
    return replace(line, baseline=baseline, ascender=above_it, descender=DESCENDER * above_it)


def _contrast(page: NDArray[np.uint8], lines: list[TextLine]) -> float | None:
    """Grey levels between the paper and the ink of most of a page's longest lines; None without lines."""
    longest = sorted(lines, key=lambda line: -_length(line.baseline))[:CONTRAST_LINES]
    contrasts = []
    for line in longest:
        (left, y), (right, _) = line.baseline[len(line.baseline) // 2 - 1 : len(line.baseline) // 2 + 1]
        middle, reach = (left + right) / 2, max(4 * line.ascender, 8)
        part = page[
            max(round(y - line.ascender), 0) : max(round(y), 1),
            max(round(middle - reach), 0) : max(round(middle + reach), 1),
        ]
        if part.size:
            dark, paper = np.percentile(part, (4, 75))
            contrasts.append(float(paper - dark))
    return float(np.median(contrasts)) if contrasts else None


def _on_page(pieces: list[_Piece], lines: list[TextLine], ink: Ink) -> list[TextLine]:
    """Pieces and lines of the reduced page as lines of the page; those that stayed as they were found, are that."""
    return [piece.found or piece.line.rescaled(1 / ink.scale) for piece in pieces] + [
        line.rescaled(1 / ink.scale) for line in lines
    ]


class _Piece:
    """A line while it grows: its baseline as a function of x.

    Attributes
    ----------
    line : TextLine
    found : TextLine or None
        The line as it was found, as long as it stays that.
    ends : float64 (6,)
        What decides whether pieces are neighbours: where it begins and ends, x and y each, its ascender, and whether it
        is still a line of its own.
    taken : list of float
        Columns of letters by which it grew at the left and at the right.
    raised : list of bool
        Whether it begins and ends with a row of marks, such as asterisks, that stand as far from words as words do.
    """

    def __init__(self, line: TextLine, found: TextLine) -> None:
        self.found: TextLine | None = found
        self.ends = np.ones(6)
        self.taken = [0.0, 0.0]
        self.raised = [False, False]
        self.line = line
        self._measure()

    def _measure(self) -> None:
        """Set `ends` after the line has changed; in place, since the table of all pieces is made of them."""
        first, last = self.line.baseline[0], self.line.baseline[-1]
        self.ends[:5] = first[0], last[0], first[1], last[1], self.line.ascender
        self.left, self.right = float(first[0]), float(last[0])

    @property
    def alive(self) -> bool:
        """Whether it is still a line of its own."""
        return bool(self.ends[5])

    @alive.setter
    def alive(self, alive: bool) -> None:
        self.ends[5] = alive

    def level(self, x: float) -> float:
        """Where the baseline lies at x; beyond the ends it goes on straight."""
        baseline = self.line.baseline
        if self.left <= x <= self.right:
            return float(np.interp(x, baseline[:, 0], baseline[:, 1]))
        side = 0 if x < self.left else 1
        return float(self.ends[2 + side]) + self._end_slope(side) * (x - float(self.ends[side]))

    def levels(self, x: NDArray[np.float64], side: int) -> NDArray[np.float64]:
        """What `level` returns for each of some x, of which none lies beyond the other end."""
        beyond = self.ends[2 + side] + self._end_slope(side) * (x - self.ends[side])
        baseline = self.line.baseline
        inside = np.interp(x, baseline[:, 0], baseline[:, 1])
        return np.asarray(np.where((x >= self.left) & (x <= self.right), inside, beyond))

    def _end_slope(self, side: int) -> float:
        """The slope with which the baseline goes on beyond the left (0) or right (1) end."""
        baseline = self.line.baseline
        reach = 6 * self.line.ascender
        near = baseline[np.abs(baseline[:, 0] - baseline[-side, 0]) <= reach]
        run = float(near[-1, 0] - near[0, 0])
        return float(near[-1, 1] - near[0, 1]) / run if run > 2 * self.line.ascender else self.slope

    @property
    def slope(self) -> float:
        run = self.line.baseline[-1] - self.line.baseline[0]
        return float(run[1] / run[0]) if run[0] > 4 * self.line.ascender else 0.0

    def reach(self, x: float, side: int) -> None:
        """Grow to x at the left (0) or the right (1)."""
        point = np.array([[x, self.level(x)]], np.float32)
        baseline = self.line.baseline
        parts = [point, baseline] if side == 0 else [baseline, point]
        self.line = replace(self.line, baseline=np.concatenate(parts).astype(np.float32))
        self.found = None
        self._measure()

    def join(self, other: _Piece) -> None:
        """Become one line with another that stands to the right."""
        own, added = self.line, other.line
        after = added.baseline[added.baseline[:, 0] > self.right + 1]
        share = _length(added.baseline) / max(_length(own.baseline) + _length(added.baseline), 1e-6)
        self.line = TextLine(
            np.concatenate([own.baseline, after]).astype(np.float32),
            (1 - share) * own.ascender + share * added.ascender,
            (1 - share) * own.descender + share * added.descender,
            max(own.confidence, added.confidence),
        )
        self.taken[1] = other.taken[1]
        self.raised[1] = other.raised[1]
        self.found = None
        other.alive = False
        self._measure()

    def part(self, end: float, start: float) -> list[_Piece]:
        """End at a column, and return what begins at another one to the right of it; either may be nothing."""
        baseline, line = self.line.baseline, self.line
        rest: list[_Piece] = []
        if start < self.right:
            after = baseline[baseline[:, 0] > start + 1]
            points = np.concatenate([[[start, self.level(start)]], after]).astype(np.float32)
            if len(points) > 1:
                other = _Piece(replace(line, baseline=points), line)
                other.found = None
                rest.append(other)
        before = baseline[baseline[:, 0] < end - 1]
        if len(before):
            points = np.concatenate([before, [[end, self.level(end)]]]).astype(np.float32)
            self.line = replace(line, baseline=points)
            self.found = None
            self._measure()
        else:
            self.alive = False
        return rest

    def join_left(self, other: _Piece) -> None:
        """Become one line with another that stands to the left."""
        taken = [other.taken[0], self.taken[1]]
        other.join(self)
        self.line, self.found, self.taken, self.raised = other.line, None, taken, other.raised
        self.alive, other.alive = True, False
        self._measure()


def _length(baseline: Points) -> float:
    return float(baseline[-1, 0] - baseline[0, 0])


def _alike(one: _Piece, other: _Piece, x: float) -> bool:
    """Whether two pieces lie on one line and are about as tall."""
    small, large = sorted((one.line.ascender, other.line.ascender))
    return abs(one.level(x) - other.level(x)) <= LEVEL * large and large <= MAX_HEIGHT_RATIO * small


def _without_doubles(pieces: list[_Piece]) -> list[_Piece]:
    """Pieces but those of which most lies within a longer one on the same line."""
    if not pieces:
        return []
    ordered = sorted(pieces, key=lambda piece: -_length(piece.line.baseline))
    left, right = np.array([(piece.left, piece.right) for piece in ordered]).T
    upper, lower = np.array([(own.min(), own.max()) for own in (piece.line.baseline[:, 1] for piece in ordered)]).T
    apart = LEVEL * MAX_HEIGHT_RATIO * np.array([piece.line.ascender for piece in ordered])
    kept: list[int] = []
    for index, piece in enumerate(ordered):
        others = np.array(kept, int)
        shared = np.minimum(right[others], right[index]) - np.maximum(left[others], left[index])
        near = shared > 0.7 * max(right[index] - left[index], 1)
        # Most of those that share columns are other lines of the page, far above or below.
        near &= (upper[others] - lower[index] <= apart[index]) & (upper[index] - lower[others] <= apart[index])
        if not any(
            _alike(piece, other, (max(piece.left, other.left) + min(piece.right, other.right)) / 2)
            for other in (ordered[place] for place in others[near])
        ):
            kept.append(index)
    return [ordered[index] for index in kept]


def _cover(ink: Ink, pieces: list[_Piece]) -> NDArray[np.bool_]:
    """Which components lie mostly within a line."""
    painted = np.zeros(ink.labels.shape, np.uint8)
    for piece in pieces:
        cv2.fillPoly(painted, [np.round(piece.line.polygon).astype(np.int32)], 1)
    within = np.bincount(ink.labels[painted.view(bool)], minlength=len(ink.area) + 1)[1:]
    return np.asarray(within >= COVERED * ink.area)


def _join(pieces: list[_Piece], ink: Ink, unassigned: NDArray[np.bool_]) -> None:
    """Let pieces grow into unassigned letters and into each other; letters that are taken are no longer unassigned."""
    centre_y = (ink.top + ink.bottom) / 2
    usual = float(np.median([piece.line.ascender for piece in pieces])) if pieces else 0.0
    _level_marks(pieces, ink, usual)
    order = sorted(range(len(pieces)), key=lambda index: (pieces[index].left, pieces[index].right))
    ends = np.ones((len(pieces), 6))
    for piece, row in zip(pieces, ends, strict=True):
        row[:] = piece.ends
        piece.ends = row
    as_found = ends.copy()
    between = _BetweenWords(ink, pieces, as_found, usual)
    for _ in range(PASSES):
        between.crossed = False
        for side in (1, 0):
            for index in order if side == 1 else reversed(order):
                piece = pieces[index]
                if piece.alive:
                    margin = _margin(piece, side, as_found)
                    _grow(piece, side, pieces, ends, ink, unassigned, centre_y, usual, margin, between)
        if not between.crossed:
            break
        # Lines that go on behind a shape show how far others beside them may go on behind it.
        as_found = ends[ends[:, 5] > 0].copy()
    for piece in pieces:
        for side in (0, 1):
            if piece.alive:
                _take_mark(piece, side, pieces, ends, ink, unassigned, centre_y)


class _BetweenWords:
    """Tells gaps between words from those between cells, by the gaps in the long lines of a page.

    `ends` is the table of the `ends` of all pieces as they were found, and `ascender` that of most of them.
    """

    def __init__(self, ink: Ink, pieces: list[_Piece], ends: NDArray[np.float64], ascender: float) -> None:
        self.ink, self.ends, self.crossed = ink, ends, False
        # By label: whether a component is larger than letters are, and whether it is as large as a whole one.
        large = (ink.height > TALLEST_LETTER * ascender) | (ink.width > 12 * ascender)
        self.large = np.concatenate([[False], large])
        # Neither a rule nor the grid of a table.
        within = (ink.height <= SHAPE_SIZE[0] * ascender) & (ink.width <= SHAPE_SIZE[1] * ascender)
        self.shapes = np.concatenate([[False], large & within & (ink.height <= SLIM * ink.width)])
        self.letters = np.concatenate([[False], ~large & (ink.height >= WHOLE * ascender)])
        self.pieces = [piece for piece in pieces if _length(piece.line.baseline) >= PROSE * piece.line.ascender]

    @cached_property
    def usual(self) -> float:
        """Median gap between the words of long lines, in ascenders; 0 if there are too few."""
        gaps: list[float] = []
        for piece in self.pieces:
            ascender = piece.line.ascender
            gaps += [
                (end - start) / ascender
                for start, end in self._blanks(piece, piece.left, piece.right)
                if start > piece.left and end < piece.right and end - start >= LEAST_GAP * ascender
            ]
        return float(np.median(gaps)) if len(gaps) >= PROSE_GAPS else 0.0

    def _blanks(self, piece: _Piece, left: float, right: float) -> list[tuple[int, int]]:
        """First and last column but one of each run of columns without ink on the line of a piece."""
        inked = (self._labels(piece, left, right) > 0).any(axis=0)
        first = max(round(left), 0)
        edges = np.flatnonzero(np.diff(np.concatenate([[True], inked, [True]]).astype(np.int8))) + first
        return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

    def _labels(self, piece: _Piece, left: float, right: float) -> NDArray[np.int32]:
        """The labels of the ink between two columns on the line of a piece, rows from below."""
        height, width = self.ink.labels.shape
        columns = np.arange(max(round(left), 0), min(round(right) + 1, width))
        level = piece.levels(columns.astype(float), int(left >= piece.left))
        rows = np.rint(level).astype(np.intp) - np.arange(round(0.9 * piece.line.ascender))[:, None]
        return np.asarray(self.ink.labels[np.clip(rows, 0, height - 1), columns])

    def stand(self, piece: _Piece, other: _Piece) -> bool:
        """Whether the gap between a piece and another one at the right of it is one between words."""
        ascender = piece.line.ascender
        reach = NEAR_START * ascender
        if other.left - piece.right > 2 * ascender or self.usual == 0:
            return False
        middle = (piece.right + other.left) / 2
        blanks = self._blanks(piece, piece.right - 2 * reach, other.left + 2 * reach)
        gap = next((end - start for start, end in blanks if start <= middle <= end), 0)
        if not 0 < gap <= USUAL_GAP * self.usual * ascender:
            return False
        # Letters of typewriting stand above each other: one line may begin there by chance.
        return self._starts(piece.right - reach, other.left + reach, float(other.ends[2]), ascender) < CELL_STARTS

    def _starts(
        self, left: float, right: float, level: float, ascender: float, some: NDArray[np.bool_] | None = None
    ) -> int:
        """How many lines near a level, or `some` of them, begin between two columns."""
        apart = np.abs(self.ends[:, 2] - level)
        near = (apart > ascender / 2) & (apart <= NEAR_LINE * ascender)
        if some is not None:
            near &= some
        return int(np.count_nonzero(near & (self.ends[:, 0] >= left) & (self.ends[:, 0] <= right)))

    def gap(self, piece: _Piece, start: float, end: float) -> tuple[float, float]:
        """Of a gap in a piece's line, the columns without ink of what is larger than letters, and those with it."""
        low, high = sorted((round(start), round(end)))
        columns = np.arange(max(low, 0), min(high, self.ink.labels.shape[1]))
        if len(columns) == 0:
            return float(high - low), 0.0
        part = self.ink.labels[self._rows(piece, (low + high) / 2, 0.9, 0.0), columns[0] : columns[-1] + 1]
        hidden = int(self.large[part].any(axis=0).sum()) if part.size else 0
        return float(high - low - hidden), float(hidden)

    def is_crossed(self, piece: _Piece, start: float, end: float) -> bool:
        """Whether what is larger than letters only hides a line in a gap, and does not part it from what follows.

        Sets `crossed` if so.
        """
        crossed = self._is_crossed(piece, start, end)
        self.crossed |= crossed
        return crossed

    def _is_crossed(self, piece: _Piece, start: float, end: float) -> bool:
        ascender = piece.line.ascender
        low, high = max(min(round(start), round(end)), 0), max(round(start), round(end))
        middle = (low + high) / 2
        within = self.ink.labels[self._rows(piece, middle, *SMALL_LETTERS), low:high]
        shape = self.shapes[within]
        blank = _longest(~(shape | self.letters[within]))
        # What comes from above or below and ends beside the line, as the corner of a bar does, hides nothing.
        third = -(-len(shape) // 3)
        if not shape[:third].any() or not shape[-third:].any():
            return False
        if blank > max(WORD_GAP, USUAL_GAP * self.usual) * ascender:
            return False
        level, beside = piece.level(middle), NEAR_START * ascender
        rows = [
            (level - NEAR_LINE * ascender, level - ascender),
            (level + piece.line.descender, level + NEAR_LINE * ascender),
        ]
        columns = slice(max(round(low - beside), 0), round(high + beside))
        around = [self.ink.labels[max(round(top), 0) : max(round(bottom), 0), columns] for top, bottom in rows]
        if _longest(~self.letters[np.concatenate(around)]) < GUTTER * ascender:
            return True
        return (
            blank <= WORD_GAP * ascender
            and shape.any(axis=0).sum() >= NO_RULE * ascender
            and self._starts(low - beside, high + beside, level, ascender, ~self.behind) < CELL_STARTS
            # What most of the line is connected with is a shadow or noise.
            and 2 * self.large[self._labels(piece, piece.left, piece.right)].any(axis=0).mean() < 1
        )

    @cached_property
    def behind(self) -> NDArray[np.bool_]:
        """Whether each line, as found, begins right behind such a shape."""
        found = np.zeros(len(self.ends), np.bool_)
        upper, lower = SMALL_LETTERS
        for index, (left, _, level, _, ascender, _) in enumerate(self.ends.tolist()):
            rows = slice(max(round(level - upper * ascender), 0), max(round(level - lower * ascender), 1))
            part = self.ink.labels[rows, max(round(left - BEHIND * ascender), 0) : max(round(left), 0)]
            found[index] = self.shapes[part].any(axis=0).sum() >= NO_RULE * ascender
        return found

    @staticmethod
    def _rows(piece: _Piece, x: float, upper: float, lower: float) -> slice:
        """The rows between so many ascenders above the line of a piece."""
        level, ascender = piece.level(x), piece.line.ascender
        return slice(max(round(level - upper * ascender), 0), max(round(level - lower * ascender), 1))


def _longest(blank: NDArray[np.bool_]) -> float:
    """The most columns beside each other that are blank in all rows."""
    columns = np.concatenate([[False], blank.all(axis=0), [False]])
    edges = np.flatnonzero(columns[1:] != columns[:-1])
    return float((edges[1::2] - edges[::2]).max(initial=0))


def _level_marks(pieces: list[_Piece], ink: Ink, usual: float) -> None:
    """Put rows of raised marks, such as asterisks and dashes, on the lines of the words beside them.

    Their boxes end far above the baseline of the words, so that they would be lines of their own.
    """
    rows: list[tuple[_Piece, int, float, float]] = []
    middle = (ink.left + ink.right) / 2
    for piece in pieces:
        if piece.line.ascender >= usual:
            continue
        low, high = piece.line.polygon[:, 1].min(), piece.line.polygon[:, 1].max()
        own = np.flatnonzero(
            (middle > piece.left) & (middle < piece.right) & (ink.area >= SMALLEST)
            & (ink.top + ink.bottom > 2 * low) & (ink.top + ink.bottom < 2 * high)
        )  # fmt: skip
        if not len(own):
            continue
        height = ink.height[own]
        # Letters of a word in small print are not all of one height.
        if height.max() <= min(ROW_MARK * usual, ROW_ALIKE * height.min() + 1):
            rows.append((piece, len(own), float(ink.top[own].min()), float(ink.bottom[own].max())))
    # A mark alone belongs to a row that was found in pieces.
    for piece, count, top, bottom in sorted(rows, key=lambda row: row[1] == 1):
        lines = [
            each
            for each in pieces
            if ROW_LINE[0] * usual <= each.line.ascender <= ROW_LINE[1] * usual
            and each is not piece
            and (count > 1 or each.raised[0])
        ]
        if not lines:
            continue
        left, right, first, last, ascender = np.array([each.ends[:5] for each in lines]).T
        gap = np.maximum(left - piece.right, piece.left - right) / ascender
        level = np.where(left > piece.left, first, last)
        beside = (gap >= ROW_GAP[0]) & (gap <= ROW_GAP[1])
        beside &= (level - bottom >= ROW_LEVEL[0] * ascender) & (level - top <= ROW_LEVEL[1] * ascender)
        if not beside.any():
            continue
        other = lines[int(np.where(beside, gap, np.inf).argmin())]
        x = np.array([piece.left, piece.right])
        baseline = np.stack([x, [other.level(each) for each in x]], axis=1).astype(np.float32)
        above, below = other.line.ascender, other.line.descender
        piece.line = replace(piece.line, baseline=baseline, ascender=above, descender=below)
        piece.found, piece.raised = None, [True, True]
        piece._measure()


def _margin(piece: _Piece, side: int, ends: NDArray[np.float64]) -> float:
    """How far a piece and the lines near it reach to one side, as they were found; infinite where there are too few.

    `ends` is the table of the `ends` of all pieces.
    """
    apart = np.abs((ends[:, 2:4].sum(axis=1) - piece.ends[2:4].sum()) / 2)
    ascender = piece.line.ascender
    near = (apart > 0.5 * ascender) & (apart < MARGIN_LEVEL * ascender)
    near &= ends[:, 0] < piece.right + (MARGIN_AHEAD * ascender if side else 0)
    near &= ends[:, 1] > piece.left - (0 if side else MARGIN_AHEAD * ascender)
    if np.count_nonzero(near) < MARGIN_LINES:
        return np.inf if side else -np.inf
    return max(piece.right, float(ends[near, 1].max())) if side else min(piece.left, float(ends[near, 0].min()))


def _grow(
    piece: _Piece,
    side: int,
    pieces: list[_Piece],
    ends: NDArray[np.float64],
    ink: Ink,
    unassigned: NDArray[np.bool_],
    centre_y: NDArray[np.float64],
    usual: float,
    margin: float,
    between: _BetweenWords,
) -> None:
    """Let a piece grow to one side as far as letters go on within its margin, or until another piece begins."""
    sign = 1 if side else -1
    while True:
        ascender, descender = piece.line.ascender, piece.line.descender
        end = piece.right if side else piece.left
        level = piece.level(end)
        reach = (WORD_GAP + SHAPE) * ascender
        near, far = (ink.left, ink.right) if side else (ink.right, ink.left)
        # Slopes are small over such a distance.
        free = np.flatnonzero(unassigned)
        free = free[(sign * (far[free] - end) > 0.15 * ascender) & (sign * (near[free] - end) < reach)]
        width, height = ink.width[free], ink.height[free]
        candidates = (height <= TALLEST_LETTER * ascender) & (width <= WIDEST_LETTERS * ascender)
        candidates &= sign * (far[free] - margin) <= BEYOND_MARGIN * ascender
        # Pieces of upright rules are no letters.
        candidates &= (height <= 1.1 * ascender) | (width > 0.25 * height)
        candidates &= ink.bottom[free] > level - 1.5 * ascender - reach / 4
        candidates &= ink.top[free] < level + descender + reach / 4
        letters = []
        for index in free[candidates]:
            at = piece.level(float(near[index]))
            tall = ink.height[index] >= SHORTEST_LETTER * ascender
            inside = min(ink.bottom[index], at + 0.1 * ascender) - max(ink.top[index], at - 0.8 * ascender)
            if tall and inside > 0.5 * min(ink.height[index], 0.8 * ascender) and ink.top[index] > at - 1.6 * ascender:
                letters.append(index)
        letter = min(letters, key=lambda index: sign * near[index], default=None)
        other = _next_piece(piece, side, pieces, ends, reach)
        letter_gap = sign * (near[letter] - end) if letter is not None else np.inf
        other_gap = sign * ((other.left if side else other.right) - end) if other is not None else np.inf
        if other is not None and other_gap <= letter_gap:
            beyond = end + sign * max(other_gap, 0.0)
            clear, hidden = between.gap(piece, end, beyond)
            taken = piece.taken[side] + other.taken[1 - side]
            begun = taken > HIDING * ascender or (hidden > HIDING * ascender and clear < SEAM * ascender)
            raised = piece.raised[side] or other.raised[1 - side]
            widest = ROW_GAP[1] if raised else JOINED_GAP if begun else SEAM
            seam = clear <= widest * ascender and (begun or hidden == 0)
            stand = hidden == 0 and clear > 0 and between.stand(*((piece, other) if side else (other, piece)))
            if seam or stand or between.is_crossed(piece, end, beyond):
                if side:
                    piece.join(other)
                else:
                    piece.join_left(other)
                continue
            return
        if letter is None:
            return
        clear, _ = between.gap(piece, end, float(near[letter]))
        in_row = piece.raised[side] and ink.height[letter] <= ROW_MARK * usual
        far_off = clear > (ROW_GAP[1] if in_row else WORD_GAP) * ascender
        if far_off and not between.is_crossed(piece, end, float(near[letter])):
            return
        piece.raised[side] &= in_row
        unassigned[letter] = False
        piece.taken[side] += float(ink.width[letter])
        piece.reach(float(far[letter]), side)
        # Points and accents above and below it are part of it.
        beside = (
            unassigned
            & (ink.left >= min(near[letter], far[letter]))
            & (ink.right <= max(near[letter], far[letter]) + 1)
        )
        beside &= np.abs(centre_y - level) < 1.6 * ascender
        unassigned[beside & (ink.height < 0.5 * ascender)] = False


def _take_mark(
    piece: _Piece,
    side: int,
    pieces: list[_Piece],
    ends: NDArray[np.float64],
    ink: Ink,
    unassigned: NDArray[np.bool_],
    centre_y: NDArray[np.float64],
) -> None:
    """Let a piece grow by a dash or a bullet that stands alone at one of its ends, such as the sign of an amount."""
    sign = 1 if side else -1
    ascender, end = piece.line.ascender, piece.right if side else piece.left
    level = piece.level(end)
    near, far = (ink.left, ink.right) if side else (ink.right, ink.left)
    # What lies on the line and has not been taken, as far as the mark and the space beyond it reach.
    about = np.flatnonzero(unassigned)
    gap, beyond = sign * (near[about] - end), sign * (far[about] - end)
    above = (level - centre_y[about]) / ascender
    along = (beyond > 0.15 * ascender) & (gap < (MARK_GAP + DASH[1] + MARK_FREE) * ascender)
    along &= (above > -0.3) & (above < 1.0)
    if not along.any():
        return
    about, gap, beyond, above = about[along], gap[along], beyond[along], above[along]
    columns, rows = ink.width[about], ink.height[about]
    width, height = columns / ascender, rows / ascender
    dash = (width >= DASH[0]) & (width <= DASH[1]) & (height <= DASH_HEIGHT) & (columns >= 1.5 * rows)
    round_ = (np.minimum(width, height) >= BULLET[0]) & (np.maximum(width, height) <= BULLET[1])
    bullet = round_ & (ink.area[about] >= BULLET_FILL * columns * rows)
    marks = (dash | bullet) & (gap <= MARK_GAP * ascender)
    marks &= (above >= MARK_LEVEL[0]) & (above <= MARK_LEVEL[1])
    if marks.sum() != 1:
        return
    mark = int(np.flatnonzero(marks)[0])
    # Of several, as of a dotted line, none belongs to the text; a rule before an amount is none of them.
    if ((gap < beyond[mark] + MARK_FREE * ascender) & (width <= LONGEST_MARK)).sum() > 1:
        return
    if _next_piece(piece, side, pieces, ends, float(beyond[mark]) + MARK_FREE * ascender) is not None:
        return
    unassigned[about[mark]] = False
    piece.reach(float(far[about[mark]]), side)


def _part_cells(pieces: list[_Piece], ink: Ink, usual: float) -> list[_Piece]:
    """Pieces, parted where they cross an upright rule between the cells of a table.

    Handwriting crosses the rule of a margin with some of its letters: a rule is one of a table if it mostly stands
    clear of them.
    """
    rules = find_upright_rules(ink, usual)
    if not rules:
        return pieces
    letters = _without_rules(ink, usual) > 0
    if _is_squared_paper(rules, pieces, letters, usual):
        return pieces
    for rule in rules:
        # In places a rule may not be seen, as in a dark head: a table ends where the last of its rules does.
        beside = [each for each in rules if each.top < rule.bottom and each.bottom > rule.top]
        top = min(each.top for each in beside) - BEYOND_RULE * usual
        bottom = max(each.bottom for each in beside) + BEYOND_RULE * usual
        crossing: list[tuple[_Piece, tuple[float, float]]] = []
        beyond: list[tuple[_Piece, tuple[float, float]]] = []
        starts: list[float] = []
        touching: list[_Piece] = []
        touched_beyond = before = 0
        # How far behind the rule lines begin, in their ascenders.
        behind: list[float] = []
        for piece in pieces:
            ascender = piece.line.ascender
            x = rule.across(piece.level((piece.left + piece.right) / 2) - 0.4 * ascender)
            level = piece.level(x)
            y = level - 0.4 * ascender
            along = rule.top <= y <= rule.bottom
            if piece.right <= x + 0.3 * ascender or piece.left >= x - 0.3 * ascender:
                before += along and x - NEAR_RULE * ascender <= piece.right <= x + 0.3 * ascender
                if along and x - 0.3 * ascender <= piece.left <= x + NEAR_RULE * ascender:
                    behind.append((piece.left - x) / ascender)
            elif top <= y <= bottom:
                clear, width = _clear_width(letters, rule, level, ascender)
                edges = _clear_edges(letters, rule, level, ascender, 1)
                if along and clear >= CELL_CLEAR * ascender and width >= CELL_GAP * ascender:
                    crossing.append((piece, edges))
                elif not along and clear > 0 and width >= BEYOND_GAP * ascender:
                    beyond.append((piece, edges))
                    # Above the rules of a table a heading may go across.
                    starts.append((edges[1] - x) / ascender if y > rule.bottom else np.inf)
                elif along:
                    touching.append(piece)
                else:
                    touched_beyond += 1
        gaps = [(right - left) / piece.line.ascender for piece, (left, right) in crossing]
        is_scratch = len(gaps) > before + len(behind) and float(np.median(gaps)) < LETTER_GAP
        lines_beside = min(before, len(behind))
        parts = len(crossing) >= PARTED or lines_beside >= PARTED
        are_columns = lines_beside >= max(COLUMN_LINES, COLUMN_SHARE * len(touching))
        # Where all lines beside a rule end at it, those below its end do if they go on where the others begin.
        if are_columns and not crossing:
            aligned = np.abs(np.array(starts) - np.median(behind)) <= COLUMN_START
            beyond = [each for each, is_aligned in zip(beyond, aligned, strict=True) if is_aligned]
        if (are_columns and (touching or beyond)) or (len(crossing) > 2 * len(touching) and parts and not is_scratch):
            for piece, edges in crossing + (beyond if len(beyond) > touched_beyond else []):
                pieces += piece.part(*edges)
            for piece in touching if are_columns else []:
                if (sides := _edges_of_rule(ink, rule, piece)) is not None:
                    pieces += piece.part(*sides)
            pieces = [piece for piece in pieces if piece.alive]
    return pieces


def _is_squared_paper(
    rules: Sequence[UprightRule], pieces: Sequence[_Piece], letters: NDArray[np.bool_], usual: float
) -> bool:
    """Whether upright rules are those of squared paper, on which letters stand anywhere, and of no grid of cells."""
    middle = float(np.median([(rule.top + rule.bottom) / 2 for rule in rules]))
    gaps = np.diff(sorted(rule.across(middle) for rule in rules))
    gaps = gaps[gaps > 0.3 * usual]
    if len(gaps) + 1 < SQUARES or float(np.median(gaps)) > SQUARE * usual:
        return False
    # Of faint rules, some are not found.
    share, tolerance = EVEN_SQUARES
    squares = gaps / np.percentile(gaps, 20)
    if (np.abs(squares - np.rint(squares)) <= tolerance).mean() < share:
        return False
    crossed = written = 0
    for piece in pieces:
        ascender = piece.line.ascender
        for rule in rules:
            x = rule.across(piece.level((piece.left + piece.right) / 2) - 0.4 * ascender)
            level = piece.level(x)
            if piece.left + 0.3 * ascender < x < piece.right - 0.3 * ascender and rule.top <= level <= rule.bottom:
                clear, width = _clear_width(letters, rule, level, ascender)
                crossed += 1
                written += clear < CELL_CLEAR * ascender or width < CELL_GAP * ascender
    return written > WRITTEN_OVER * crossed


def _clear_width(letters: NDArray[np.bool_], rule: UprightRule, level: float, ascender: float) -> tuple[float, float]:
    """How far letters of a line are from a rule that it crosses on the nearer side, and from each other."""
    # A horizontal rule that is rough is left in part, and is thin.
    left, right = _clear_edges(letters, rule, level, ascender, 3)
    x = rule.across(level - 0.4 * ascender)
    return min(x - left, right - x) - rule.thickness / 2, right - left


def _edges_of_rule(ink: Ink, rule: UprightRule, piece: _Piece) -> tuple[float, float] | None:
    """The left and right edge of a rule where a line crosses it; None where the rule is interrupted for the line."""
    ascender = piece.line.ascender
    level = piece.level(rule.across(piece.level((piece.left + piece.right) / 2)))
    rows = np.arange(
        max(round(level - RULE_BESIDE[0] * ascender), 0),
        min(round(level + RULE_BESIDE[1] * ascender), ink.labels.shape[0]),
    )
    centre = rule.across(level - 0.4 * ascender)
    columns = np.rint(rule.column + rule.slope * (rows - rule.top) - 0.5).astype(int)
    near = columns[:, None] + np.arange(-1, 2)
    inside = np.clip(near, 0, ink.labels.shape[1] - 1)
    if not len(rows) or float((ink.labels[rows[:, None], inside] > 0).any(axis=1).mean()) < RULE_SEEN:
        return None
    half = rule.thickness / 2 + 1
    return centre - half, centre + half


def _clear_edges(
    letters: NDArray[np.bool_], rule: UprightRule, level: float, ascender: float, least: int
) -> tuple[float, float]:
    """Where the letters of a line end before a rule that it crosses, and where they begin behind it.

    Columns of `letters`, bool (h, w), with at least so many pixels within the line count as letters.
    """
    top, bottom = max(round(level - 0.9 * ascender), 0), max(round(level), 1)
    centre, reach = rule.across(level - 0.4 * ascender), round(2 * ascender)
    start = max(round(centre) - reach, 0)
    inked = letters[top:bottom, start : round(centre) + reach + 1].sum(axis=0) >= least
    columns = np.flatnonzero(inked) + start
    # What is left of the rule itself is no letter.
    half = rule.thickness / 2 + 2 + abs(rule.slope) * ascender / 2
    left, right = columns[columns + 0.5 < centre - half], columns[columns + 0.5 > centre + half]
    return (
        float(left[-1] + 1) if len(left) else centre - reach,
        float(right[0]) if len(right) else centre + reach,
    )


def _take_whole_letter(piece: _Piece, ink: Ink, unassigned: NDArray[np.bool_], usual: float) -> None:
    """Let a line of one letter that was found in part, as of a figure alone in its cell, become all of the letter."""
    small, level = piece.line.ascender, float(piece.line.baseline[:, 1].mean())
    if small > PART_OF_LETTER * usual:
        return
    middle, (low, high) = (piece.left + piece.right) / 2, (np.array(WHOLE_LETTER) * usual).tolist()
    own = np.flatnonzero(
        (ink.left <= middle) & (ink.right > middle) & (ink.top < level) & (ink.bottom > level - small)
        & (ink.height >= max(low, small / PART_OF_LETTER)) & (ink.height <= high) & (ink.width <= ink.height)
    )  # fmt: skip
    if len(own) != 1:
        return
    left, top, right, bottom = _bounds(ink, own.tolist())
    if piece.left < left - 0.3 * usual or piece.right > right + 0.3 * usual:
        return
    baseline = np.array([[left, bottom], [right, bottom]], np.float32)
    piece.line = TextLine(baseline, bottom - top, DESCENDER * (bottom - top), piece.line.confidence)
    piece.found = None
    unassigned[own] = False


def _next_piece(
    piece: _Piece, side: int, pieces: list[_Piece], ends: NDArray[np.float64], reach: float
) -> _Piece | None:
    """The next piece on the same line, which begins at most `reach` away, or overlaps a little.

    `ends` is the table of the `ends` of all pieces.
    """
    left, right, _, _, ascender, alive = ends.T
    gap = left - piece.right if side else piece.left - right
    overlap = 0.5 * np.minimum(right - left, piece.right - piece.left)
    near = np.flatnonzero((-overlap < gap) & (gap < reach) & (alive > 0))
    near = near[np.array([pieces[index] is not piece for index in near], bool)]
    own, others = piece.line.ascender, ascender[near]
    large = np.maximum(own, others)
    # Each is compared where the other begins.
    apart = np.abs(piece.levels(ends[near, 1 - side], side) - ends[near, 3 - side])
    near = near[(apart <= LEVEL * large) & (large <= MAX_HEIGHT_RATIO * np.minimum(own, others))]
    return pieces[near[np.argmin(gap[near])]] if len(near) else None


def _is_within(piece: _Piece, box: Box) -> bool:
    """Whether the middle of a piece lies in a box."""
    x = (piece.left + piece.right) / 2
    y = piece.level(x) - piece.line.ascender / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _upright_boxes(ink: Ink, unassigned: NDArray[np.bool_], single: NDArray[np.bool_], ascender: float) -> list[Box]:
    """Boxes of letters so close above each other that they are a line turned by a quarter; no longer unassigned.

    Letters of lines that stand above each other are farther apart than those of a line are, by more where they are
    `single`, which were found as lines of their own.
    """
    width, height = ink.width, ink.height
    letters = (unassigned | single) & (width >= 0.3 * ascender) & (width <= 2.2 * ascender) & (height <= 4 * ascender)
    columns: list[list[int]] = []
    # Columns with their left, right and bottom. Letters come from the top: a column that ends too far above one of them
    # ends too far above all that follow. Noise has tens of thousands of letters.
    near: list[tuple[list[int], list[float]]] = []
    most = max(UPRIGHT_GAP, SINGLE_GAP)
    for index in sorted(np.flatnonzero(letters), key=lambda index: ink.top[index]):
        first, last, top, bottom = (float(side[index]) for side in (ink.left, ink.right, ink.top, ink.bottom))
        near = [each for each in near if top - each[1][2] <= most * (each[1][1] - each[1][0])]
        gap = UPRIGHT_GAP if unassigned[index] else SINGLE_GAP
        for column, bounds in reversed(near):
            left, right, end = bounds
            overlap = min(right, last) - max(left, first)
            if top - end <= gap * (right - left) and overlap > 0.5 * width[index]:
                column.append(int(index))
                bounds[:] = min(left, first), max(right, last), max(end, bottom)
                break
        else:
            columns.append([int(index)])
            near.append((columns[-1], [first, last, bottom]))
    # What stands apart by as much as words do is one line, if it is as long as a line.
    if len(columns) > MAX_COLUMNS:
        columns = [column for column in columns if len(column) >= UPRIGHT_WORD]
    spans = [
        (
            float(ink.left[own].min()),
            float(ink.top[own].min()),
            float(ink.right[own].max()),
            float(ink.bottom[own].max()),
        )
        for own in columns
    ]
    widest = max((right - left for left, _, right, _ in spans), default=0.0)
    words: list[list[list[int]]] = []
    # Lines with the bounds of their last words.
    open_lines: list[tuple[list[list[int]], Box]] = []
    for at in sorted(range(len(columns)), key=lambda at: spans[at][1]):
        left, top, right, _ = spans[at]
        open_lines = [each for each in open_lines if top - each[1][3] <= UPRIGHT_WORD_GAP * widest]
        for number, (line, above) in enumerate(open_lines):
            wide = max(above[2] - above[0], right - left)
            shared = min(right, above[2]) - max(left, above[0])
            if 0 <= top - above[3] <= UPRIGHT_WORD_GAP * wide and shared > 0.5 * min(right - left, wide):
                line.append(columns[at])
                open_lines[number] = line, spans[at]
                break
        else:
            words.append([columns[at]])
            open_lines.append((words[-1], spans[at]))
    joined = []
    for line in words:
        every = [index for column in line for index in column]
        left, top = float(ink.left[every].min()), float(ink.top[every].min())
        right, bottom = float(ink.right[every].max()), float(ink.bottom[every].max())
        counted = sum(len(column) for column in line if len(column) >= UPRIGHT_WORD)
        if (
            counted < MIN_UPRIGHT_LETTERS
            or 2 * counted < len(every)
            or bottom - top < MIN_UPRIGHT_RATIO * (right - left)
        ):
            continue
        joined.append((left, top, right, bottom))
        unassigned[(ink.left >= left) & (ink.right <= right) & (ink.top >= top) & (ink.bottom <= bottom)] = False
    return joined


def _bounds(ink: Ink, letters: list[int]) -> Box:
    """Left, top, right and bottom of some components."""
    sides = ink.left[letters].min(), ink.top[letters].min(), ink.right[letters].max(), ink.bottom[letters].max()
    left, top, right, bottom = map(float, sides)
    return left, top, right, bottom


def _unassigned_lines(ink: Ink, unassigned: NDArray[np.bool_], pieces: list[_Piece], ascender: float) -> list[TextLine]:
    """Lines of the letters that belong to none: rows of them, or one that stands alone."""
    heights = [piece.line.ascender for piece in pieces]
    low, high = (0.55 * min(heights), 1.5 * max(heights)) if heights else (0.5 * ascender, 2 * ascender)
    width, height = ink.width, ink.height
    fill = ink.area / np.maximum(width * height, 1)
    letters = unassigned & (height >= max(low, 6)) & (height <= high) & (width <= 3 * height) & (fill > 0.12)
    # What fills its box is a blot or a bullet, or, if it is slim, a 1 or an l.
    letters &= (fill < 0.85) | (width < 0.5 * height)
    letters[_walls(ink, letters, ascender)] = False
    indices = sorted(np.flatnonzero(letters), key=lambda index: ink.left[index])
    rows: list[list[int]] = []
    # Letters come from the left: a row that ends too far from one of them ends too far from all that follow.
    near: list[list[int]] = []
    widest = 0.9 * float(height[letters].max()) if indices else 0.0
    for index in indices:
        near = [row for row in near if ink.left[index] - ink.right[row[-1]] <= widest]
        for row in reversed(near):
            last = row[-1]
            tall = max(height[last], height[index])
            overlap = min(ink.bottom[last], ink.bottom[index]) - max(ink.top[last], ink.top[index])
            if ink.left[index] - ink.right[last] <= 0.9 * tall and overlap > 0.5 * min(height[last], height[index]):
                row.append(int(index))
                break
        else:
            rows.append([int(index)])
            near.append(rows[-1])
    lines = []
    strokes = _without_rules(ink, ascender) if rows else None
    if strokes is not None:
        for wall in _walls(ink, _near(ink, [_bounds(ink, row) for row in rows], ascender), ascender):
            around = strokes[_bounds_of(ink, wall)]
            around[around == wall + 1] = 0
    for row in rows:
        tall = float(np.max(height[row]))
        bottom = float(np.median(ink.bottom[row]))
        left, right = float(ink.left[row].min()), float(ink.right[row].max())
        if strokes is not None and not _stands_alone(strokes, row, left, right, bottom - tall, bottom):
            continue
        baseline = np.array([[left, bottom], [right, bottom]], np.float32)
        lines.append(TextLine(baseline, tall, DESCENDER * tall, CONFIDENCE))
    return lines


def _dashes_alone(ink: Ink, unassigned: NDArray[np.bool_], pieces: list[_Piece]) -> list[TextLine]:
    """Lines of the dashes that stand alone in the cells of a table: beside other text, in a column of entries."""
    if len(pieces) < CELLS:
        return []
    usual = float(np.median([piece.line.ascender for piece in pieces]))
    width, height = ink.width, ink.height
    marks = unassigned & (height <= DASH_HEIGHT * usual) & (width >= 1.5 * height)
    about = np.flatnonzero(marks & (width >= DASH[0] * usual) & (width <= DASH[1] * usual))
    if not 0 < len(about) <= MAX_DASHES:
        return []
    left, right = ink.left[about].astype(float), ink.right[about].astype(float)
    middle = (ink.top[about] + ink.bottom[about]) / 2
    first, last, first_level, last_level, ascender = np.array([piece.ends[:5] for piece in pieces]).T
    # The piece on either side that is nearest on the same line, dashes by pieces.
    gap = np.maximum(first - right[:, None], left[:, None] - last)
    level = np.where(first > left[:, None], first_level, last_level)
    above = (level - middle[:, None]) / ascender
    beside = (gap > 0) & (gap <= CELL_TEXT * ascender) & (above >= MARK_LEVEL[0]) & (above <= MARK_LEVEL[1])
    on_line = np.flatnonzero(beside.any(axis=1))
    if not len(on_line):
        return []
    nearest = np.where(beside, gap, np.inf).argmin(axis=1)
    entry = last - first <= CELL_ENTRY * ascender
    edges = np.stack([first, last, (first + last) / 2]), np.stack([left, right, (left + right) / 2])
    strokes: NDArray[np.int32] | None = None
    lines = []
    for dash in on_line.tolist():
        other, reach = pieces[nearest[dash]], CELL_EDGE * usual
        apart = [np.abs(own - edges[1][:, dash, None]).min(axis=0) <= reach for own in edges]
        entries = int((apart[0] & entry & (np.abs(last_level - middle[dash]) > usual)).sum())
        dashes = int((apart[1][on_line] & (np.abs(middle[on_line] - middle[dash]) > usual)).sum()) + 1
        if not entries or entries + dashes < CELLS:
            continue
        strokes = _without_rules(ink, usual) if strokes is None else strokes
        across, down = (round(free * usual) for free in CELL_FREE)
        box = tuple(int(side[about[dash]]) for side in (ink.left, ink.top, ink.right, ink.bottom))
        around = strokes[max(box[1] - down, 0) : box[3] + down, max(box[0] - across, 0) : box[2] + across]
        if ((around > 0) & (around != about[dash] + 1)).sum() > 0.25 * ink.area[about[dash]]:
            continue
        baseline = np.array([[box[0], 0], [box[2], 0]], np.float32)
        baseline[:, 1] = level[dash, nearest[dash]]
        lines.append(TextLine(baseline, other.line.ascender, other.line.descender, CONFIDENCE))
    return lines


def _letters_on_rules(ink: Ink, pieces: list[_Piece], ascender: float) -> list[TextLine]:
    """Lines of the letters and figures that stand alone in a column of a table and touch a rule above or below."""
    long = np.flatnonzero(ink.width >= RULED * ascender)
    if len(pieces) < CELLS or not len(long):
        return []
    first, last, first_level, last_level, tall = np.array([piece.ends[:5] for piece in pieces]).T
    alike = (tall >= ROW_LINE[0] * ascender) & (tall <= ROW_LINE[1] * ascender)
    entry = (last - first <= LONE_ENTRY * tall) & alike
    # Most pages have no such column.
    if not entry.any():
        return []
    labels = _without_rules(ink, ascender)
    touching = np.zeros(len(ink.area) + 1, np.bool_)
    touching[long + 1] = True
    _, _, boxes, _ = components(touching[labels])
    left, top, width, height, area = boxes[1:].T
    about = (height >= LONE_LETTER[0] * ascender) & (height <= LONE_LETTER[1] * ascender) & (width <= 1.2 * height)
    about &= (width >= LONE_WIDTH * height) & (area >= SMALLEST) & (area <= LONE_FILL * width * height)
    left, top, right, bottom = (side[about].astype(float) for side in (left, top, left + width, top + height))
    if not 0 < len(left) <= MAX_LONE_LETTERS:
        return []
    middle = (left + right) / 2
    # How far each piece is beside a letter, below 0 where it is above or below, letters by pieces.
    gap = np.maximum(first - right[:, None], left[:, None] - last)
    level = np.where(first > left[:, None], first_level, last_level)
    off = (level - bottom[:, None]) / tall
    beside = (gap > CELL_CLEAR * tall) & (gap <= CELL_TEXT * tall) & (np.abs(off) <= LONE_LEVEL) & alike
    covered = (gap <= 0) & (np.abs(off) <= 0.7)
    close = (gap > 0) & (gap <= CELL_FREE[0] * tall) & (np.abs(off) <= 0.7)
    on_line = np.flatnonzero(beside.any(axis=1) & ~(covered | close).any(axis=1))
    nearest = np.where(beside, gap, np.inf).argmin(axis=1)
    edges = np.stack([first, last, (first + last) / 2]), np.stack([left, right, middle])
    lines = []
    for letter in on_line.tolist():
        reach = CELL_EDGE * ascender
        near = np.abs(edges[1][:, on_line] - edges[1][:, letter, None]).min(axis=0) <= reach
        # What else there is on its line, closer than a cell, are the other letters of a word.
        row = np.abs(bottom[on_line] - bottom[letter]) <= 0.5 * ascender
        if (row & (np.abs(middle[on_line] - middle[letter]) <= 2 * ascender)).sum() > 1:
            continue
        entries = entry & (np.abs(edges[0] - edges[1][:, letter, None]).min(axis=0) <= reach)
        if (entries & (np.abs(last_level - bottom[letter]) > 0.5 * ascender)).sum() == 0:
            continue
        if entries.sum() + near.sum() < CELLS:
            continue
        other = pieces[nearest[letter]].line
        baseline = np.array([[left[letter], 0], [right[letter], 0]], np.float32)
        baseline[:, 1] = level[letter, nearest[letter]]
        lines.append(TextLine(baseline, other.ascender, other.descender, CONFIDENCE))
    return lines


def _without_rules(ink: Ink, ascender: float) -> NDArray[np.int32]:
    """The labels of the ink but for straight rules, which letters in the cells of tables stand close to."""
    mask = (ink.labels > 0).view(np.uint8)
    long = max(round(RULE * ascender), 3)
    across, down = (
        cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones(shape, np.uint8)) for shape in ((1, long), (long, 1))
    )
    # The edges of rules that lie a little askew are part of them.
    rules = cv2.dilate(cv2.bitwise_or(across, down), np.ones((3, 3), np.uint8))
    return np.asarray(np.where(rules > 0, 0, ink.labels), np.int32)


def _walls(ink: Ink, some: NDArray[np.bool_], ascender: float) -> list[int]:
    """Which of some components are the walls of cells, as of a grid; they may be shorter than a rule."""
    least = WALL * ascender
    hollow = (ink.width >= least) & (ink.height >= least) & (ink.area <= HOLLOW * ink.width * ink.height)
    length = max(round(least), 3)
    walls = []
    for index in np.flatnonzero(some & hollow).tolist():
        own = (ink.labels[_bounds_of(ink, index)] == index + 1).view(np.uint8)
        across, down = (
            cv2.morphologyEx(own, cv2.MORPH_OPEN, np.ones(shape, np.uint8)) for shape in ((1, length), (length, 1))
        )
        if np.count_nonzero(cv2.bitwise_or(across, down)) >= WALLS * ink.area[index]:
            walls.append(index)
    return walls


def _bounds_of(ink: Ink, index: int) -> tuple[slice, slice]:
    """Rows and columns of a component."""
    return np.s_[ink.top[index] : ink.bottom[index], ink.left[index] : ink.right[index]]


def _near(ink: Ink, boxes: Sequence[Box], margin: float) -> NDArray[np.bool_]:
    """Which components have bounds that overlap some boxes with a margin."""
    near = np.zeros(len(ink.area), np.bool_)
    for left, top, right, bottom in boxes:
        across = (ink.left < right + margin) & (ink.right > left - margin)
        near |= across & (ink.top < bottom + margin) & (ink.bottom > top - margin)
    return near


def _grids(ink: Ink, pieces: list[_Piece], ascender: float) -> list[_Piece]:
    """Those of some pieces that are no words, but the walls of cells."""
    polygons = [piece.line.polygon for piece in pieces]
    boxes = [(*polygon.min(axis=0).tolist(), *polygon.max(axis=0).tolist()) for polygon in polygons]
    walls = _walls(ink, _near(ink, boxes, 0.0), ascender)
    if not walls:
        return []
    large = (ink.width >= WALL * ascender) & (ink.height >= WALL * ascender)
    solid = np.flatnonzero(large & (ink.area > HOLLOW * ink.width * ink.height))
    grids = []
    for piece, (left, top, right, bottom) in zip(pieces, boxes, strict=True):
        labels = ink.labels[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1]
        counts = np.bincount(labels.ravel(), minlength=len(ink.area) + 1)[1:]
        if counts[walls].sum() >= GRID * max(int(counts.sum() - counts[solid].sum()), 1):
            grids.append(piece)
    return grids


def _stands_alone(
    labels: NDArray[np.int32], row: list[int], left: float, right: float, top: float, bottom: float
) -> bool:
    """Whether there is little other ink around what might be a line: parts of a picture or of a signature are none."""
    margin = 0.25 * (bottom - top)
    area = labels[
        max(round(top - margin), 0) : round(bottom + margin), max(round(left - margin), 0) : round(right + margin)
    ]
    own = np.isin(area, np.array(row) + 1).sum()
    return bool((area > 0).sum() - own <= 0.25 * own)
