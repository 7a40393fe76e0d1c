"""Group the lines of a page into blocks: headings, paragraphs, lists, tables, margin notes, page numbers, signatures.

The rules use the positions, heights and texts of the lines, in reading order. The hierarchy is that of hOCR, ALTO and
docTR: a page has blocks, a block lines, a line words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt
from statistics import median

from paragraph_ocr.document import Block, Box, Cell, Line
from paragraph_ocr.pipeline.line_breaks import find_entries, find_hard_breaks, find_verse
from paragraph_ocr.pipeline.placement import LEVEL_TOLERANCE, PlacedLine, on_same_level, place_lines
from paragraph_ocr.pipeline.reading_order import MARKER

# Distances are in heights of a line, from the ascenders to the descenders of its polygon, where nothing else is said.
# Minimum gap between the cells of a table row, and maximum misalignment of the cells of a column.
MIN_CELL_GAP, ALIGNMENT_TOLERANCE = 0.6, 0.8
# Minimum share of a table's cells that are aligned with a cell in another row; the first cell of a row does not count.
MIN_ALIGNED_SHARE = 0.6
# Line spacing, relative to the usual one, beyond which the next line begins a new block.
PARAGRAPH_SPACING = 1.4
# Spacings of paragraphs and of lines differ by at least the first ratio, those of lines among each other by at most the
# second; the third is the minimum share of spacings between lines, the fourth the least of them, in heights.
MIN_SPACING_STEP, MAX_SPACING_RATIO, MIN_TIGHT_SHARE, MIN_TIGHT_SPACING = 1.3, 1.25, 0.15, 0.8
# The same with a single spacing between lines on a page that has few.
MIN_CLEAR_STEP, MAX_FEW_SPACINGS = 1.5, 4
# Maximum ratio of the sizes of lines whose spacing is compared.
MAX_BODY_RATIO = 1.2
# Maximum ratio of the heights of lines in one block.
MAX_HEIGHT_RATIO = 1.35
# Minimum height of a heading whose letters are wider than usual, too, relative to the page's usual line height.
HEADING_HEIGHT = 1.1
# Minimum size of a heading and of a title, relative to the page's usual one; maximum length of a heading.
HEADING_SIZE, TITLE_SIZE, MAX_HEADING_LINES, MAX_HEADING_CHARACTERS = 1.25, 1.7, 3, 100
# Maximum words of a heading that only its place tells, and maximum ratio of its distances from what it heads and from
# the paragraph above.
MAX_SUBHEADING_WORDS, SUBHEADING_GAP = 8, 1.1
# Minimum indent of a paragraph's first line, and minimum distance of its last line from the right edge of the others.
MIN_INDENT, MIN_SHORTFALL = 0.8, 3.0
# Share of the page's height, at the top and at the bottom, in which a page number can be.
EDGE_SHARE = 0.12
# Maximum width of a margin note relative to the text, and minimum number of lines of the text.
MAX_MARGIN_WIDTH, MIN_BODY_LINES = 0.25, 3
# Maximum lines of a signature, and words in its first line.
MAX_SIGNATURE_LINES, MAX_SIGNATURE_WORDS = 2, 5

BULLET = re.compile(r"^\s*(?:\[[ x]\]|[-–—•·*▪◦‣●○□☐☑☒+»>]|\(?\d{1,3}(?:[.)]|[°º][.)]?)|\(?[a-zA-Z][.)])\s+(?=\S)")
_NUMBERED = re.compile(r"^\s*(?:§\s*)?\d{1,2}(?:\.\d{1,2})*\.?\s+[^\W\d_]")
_PAGE_NUMBER = re.compile(
    r"^\W*(?:(?:page|seite|blatt|s|p|pp|pag|página|pagina|pág|fol|f|str|strona|trang|стр|с)\b\.?\s*)?"
    r"(?:\d{1,4}|[ivxlc]{1,7})(?:\s*(?:/|of|von|de|di|van|sur|z|из|bis|-|–)\s*\d{1,4})?\s*\W*$",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^\W*(?:i am,? |i remain,? |we are,? )?(?:yours\b|sincerely|faithfully|respectfully|(?:with )?(?:kind|best|warm|"
    r"many)?\s*(?:regards|wishes|greetings)|love,|cordially|mit (?:freundlich|besten|herzlich|lieben)|"
    r"(?:viele|herzliche|liebe|beste) gr(?:ü|u|ue)(?:ß|ss)e|hochachtungsvoll|ihr(?:e)? (?:ergeben|sehr)|cordialement|"
    r"sincères|bien à vous|veuillez agréer|distinti saluti|cordiali saluti|atentamente|un (?:cordial )?saludo|"
    r"met vriendelijke|hoogachtend|z poważaniem|с уважением|trân trọng)",
    re.IGNORECASE,
)
_SENTENCE_END = (".", "!", "?", ":", "…", '."', ".”", "?”", "!”", ".»", ".)")


def find_blocks(lines: Sequence[Line], width: float, height: float, rows: Sequence[Box] = ()) -> tuple[Block, ...]:
    """Group the lines of a page into blocks, in reading order; every line is in exactly one block.

    Parameters
    ----------
    lines : sequence of Line
        In reading order, on the upright page.
    width, height : float
        Size of the upright page, in the unit of the lines' coordinates.
    rows : sequence of Box, optional
        Rows of tables that rules tell; their cells may have several lines.

    Returns
    -------
    tuple of Block
        Their `lines` are indices into `lines`.
    """
    placed = place_lines(lines)
    blocks: list[Block] = []
    rest: list[int] = []
    text = [each for each in placed if not each.is_vertical]
    page = _PageStatistics.of(text, width, height)
    for part in _find_tables(placed, _lines_of_rows(lines, rows)):
        if isinstance(part, Block):
            blocks += _split(placed, rest, page)
            rest = []
            blocks.append(part)
        else:
            rest.append(part)
    blocks += _split(placed, rest, page)
    return tuple(_with_breaks(placed, _merge_list_items(placed, _mark_signatures(placed, blocks))))


def _with_breaks(placed: Sequence[PlacedLine], blocks: Sequence[Block]) -> list[Block]:
    """Blocks with the line breaks that belong to their text; a signature has a name, and what its bearer is."""
    texts = ("paragraph", "margin")
    own = [block.lines if block.kind in texts else () for block in blocks]
    entries = find_entries(placed, own)
    found = []
    for block, is_stanza in zip(blocks, find_verse(placed, own), strict=True):
        breaks: tuple[int, ...] = ()
        if block.kind == "signature":
            breaks = block.lines[:-1]
        elif block.kind in texts:
            breaks = find_hard_breaks(placed, block.lines, entries, is_stanza)
        found.append(replace(block, hard_breaks=breaks))
    return found


@dataclass(frozen=True)
class _PageStatistics:
    """Typical measures of a page's horizontal lines.

    Attributes
    ----------
    line_height : float
        Median of the lines' heights, weighted by their numbers of characters.
    letter_width : float
        The same of their letters' widths.
    line_spacing : float
        Distance between the baselines of lines that follow each other within a paragraph.
    loose_spacing : float
        Median distance between the baselines of all lines that follow each other.
    left, right : float
        x coordinates of the text's edges.
    width, height : float
        Size of the page.
    """

    line_height: float
    letter_width: float
    line_spacing: float
    loose_spacing: float
    left: float
    right: float
    width: float
    height: float

    @classmethod
    def of(cls, text: Sequence[PlacedLine], width: float, height: float) -> _PageStatistics:
        """Measure the horizontal lines of a page."""
        if not text:
            return cls(1.0, 1.0, 1.0, 1.0, 0.0, width, width, height)
        # Weighted by length, since most long lines are body text.
        line_height = _weighted_median([(each.height, len(each.text) + 1) for each in text])
        letter_width = _weighted_median([(each.letter_width, len(each.text) + 1) for each in text])
        spacings: list[float] = []
        of_body: list[float] = []
        for above, below in pairwise(text):
            spacing = below.baseline_y - above.baseline_y
            if _horizontal_overlap(above, below) > 0 and LEVEL_TOLERANCE * line_height < spacing < 4 * line_height:
                spacings.append(spacing)
                sizes = [_size(each, line_height, letter_width) for each in (above, below)]
                if all(1 / MAX_BODY_RATIO < size < MAX_BODY_RATIO for size in sizes):
                    of_body.append(spacing)
        loose = median(spacings) if spacings else 1.5 * line_height
        tight = _tight_spacing(of_body, MIN_TIGHT_SPACING * line_height)
        left, right = min(each.left for each in text), max(each.right for each in text)
        return cls(line_height, letter_width, tight or loose, loose, left, right, width, height)

    def size_of(self, lines: Sequence[PlacedLine]) -> float:
        """Return the size of lines relative to the page's usual one.

        The height of the polygons understates that of large letters, whose widths tell it better.
        """
        tall = median(each.height for each in lines) / self.line_height
        both = median(_size(each, self.line_height, self.letter_width) for each in lines)
        return max(tall, both) if tall >= HEADING_HEIGHT else tall


def _weighted_median(weighted: Sequence[tuple[float, int]]) -> float:
    half = sum(weight for _, weight in weighted) / 2
    for value, weight in sorted(weighted):
        half -= weight
        if half <= 0:
            return value
    return max(weighted)[0]


def _size(line: PlacedLine, line_height: float, letter_width: float) -> float:
    """Geometric mean of a line's relative height and of the relative width of its letters."""
    return sqrt(line.height / line_height * line.letter_width / letter_width)


def _tight_spacing(spacings: Sequence[float], least: float) -> float | None:
    """Spacing of the lines within paragraphs, where that between paragraphs stands out from it; else None.

    On a page of short paragraphs, most spacings are those between them.
    """
    ordered = sorted(each for each in spacings if each >= least)
    for place, (lower, upper) in enumerate(pairwise(ordered), 1):
        if lower > MAX_SPACING_RATIO * ordered[0]:
            return None
        if upper >= MIN_SPACING_STEP * lower:
            enough = place >= max(2, MIN_TIGHT_SHARE * len(ordered))
            # On a page of few lines, one is enough that differs clearly.
            alone = len(ordered) <= MAX_FEW_SPACINGS and upper >= MIN_CLEAR_STEP * lower
            return median(ordered[:place]) if enough or alone else None
    return None


def _horizontal_overlap(one: PlacedLine, other: PlacedLine) -> float:
    return min(one.right, other.right) - max(one.left, other.left)


# ---- Tables


def _lines_of_rows(lines: Sequence[Line], rows: Sequence[Box]) -> dict[int, int]:
    """The row of each line whose middle is in one; rows of which other lines are read in between are left out."""
    row_of: dict[int, int] = {}
    for number, (left, top, right, bottom) in enumerate(rows):
        own = []
        for index, line in enumerate(lines):
            x, y = (line.box[0] + line.box[2]) / 2, (line.box[1] + line.box[3]) / 2
            if left <= x <= right and top <= y <= bottom and index not in row_of:
                own.append(index)
        if own and own == list(range(own[0], own[-1] + 1)):
            row_of |= dict.fromkeys(own, number)
    return row_of


def _find_tables(placed: Sequence[PlacedLine], row_of: Mapping[int, int]) -> list[Block | int]:
    """Find the tables; returns blocks of kind table, and the indices of the lines between them, in reading order."""
    rows = _group_rows(placed, row_of)
    parts: list[Block | int] = []
    at = 0
    while at < len(rows):
        end = _table_end(placed, rows, at, row_of) if len(rows[at]) > 1 else at
        if end > at:
            parts.append(_make_table(placed, rows[at:end]))
        else:
            parts += rows[at]
        at = max(end, at + 1)
    return parts


def _group_rows(placed: Sequence[PlacedLine], row_of: Mapping[int, int]) -> list[list[int]]:
    """Group consecutive lines into rows: on the same level, each to the right of the one before with a gap between.

    The lines of a row that is known, by its number, may also be one above the other.
    """
    rows: list[list[int]] = []
    for index, line in enumerate(placed):
        known = row_of.get(index)
        if known is not None and rows and row_of.get(rows[-1][-1]) == known:
            rows[-1].append(index)
            continue
        if rows and not line.is_vertical and known is None and rows[-1][-1] not in row_of:
            before = placed[rows[-1][-1]]
            gap = MIN_CELL_GAP * min(line.height, before.height)
            if not before.is_vertical and on_same_level(before, line) and line.left - before.right >= gap:
                rows[-1].append(index)
                continue
        rows.append([index])
    return rows


def _table_end(placed: Sequence[PlacedLine], rows: Sequence[list[int]], at: int, row_of: Mapping[int, int]) -> int:
    """Index of the row after the last of the table that begins at row `at`; `at` if no table begins there.

    Between rows of several cells there may be one with a single cell: the second line of a cell, or a row with empty
    cells.
    """
    last = at
    for row in range(at + 1, len(rows)):
        upper = max((placed[index] for index in rows[row - 1]), key=lambda line: line.baseline_y)
        lower = min((placed[index] for index in rows[row]), key=lambda line: line.baseline_y)
        step = lower.baseline_y - upper.baseline_y
        if lower.is_vertical or step <= 0 or step > 4 * max(upper.height, lower.height):
            break
        if len(rows[row]) > 1:
            last = row
        elif row - last > 1:
            break
    table = rows[at : last + 1]
    several = [row for row in table if len(row) > 1]
    if len(several) < 2:
        return at
    known = any(index in row_of for row in table for index in row)
    return last + 1 if known or _is_aligned(placed, several) else at


def _is_aligned(placed: Sequence[PlacedLine], rows: Sequence[list[int]]) -> bool:
    """Whether most cells, without the first of each row, are aligned with a cell in another row."""
    cells = [[placed[index] for index in row[1:]] for row in rows]
    total = aligned = 0
    for number, row in enumerate(cells):
        others = [other for place, each in enumerate(cells) if place != number for other in each]
        for cell in row:
            total += 1
            tolerance = ALIGNMENT_TOLERANCE * cell.height
            aligned += any(
                abs(cell.left - other.left) < tolerance
                # Right-aligned cells need a digit, since the last pieces of justified lines are right-aligned, too.
                or (abs(cell.right - other.right) < tolerance and any(map(str.isdigit, cell.text)))
                or abs(cell.center - other.center) < tolerance
                for other in others
            )
    return aligned >= MIN_ALIGNED_SHARE * total


def _make_table(placed: Sequence[PlacedLine], rows: Sequence[list[int]]) -> Block:
    placed = _with_markers(placed, rows)
    columns = _find_columns(placed, rows)
    grid: list[list[list[int]]] = []
    for row in rows:
        cells: list[list[int]] = [[] for _ in columns]
        for index in row:
            cells[_column_of(placed[index], columns)].append(index)
        if grid and len(row) == 1 and _continues_cell(placed, grid, cells, rows):
            column = next(number for number, cell in enumerate(cells) if cell)
            grid[-1][column] += cells[column]
        else:
            grid.append(cells)
    lines = tuple(index for row in rows for index in row)
    return Block("table", lines, rows=tuple(tuple(Cell(tuple(cell)) for cell in row) for row in grid))


def _with_markers(placed: Sequence[PlacedLine], rows: Sequence[list[int]]) -> Sequence[PlacedLine]:
    """Lines of which the numbers or letters of items are where the items are, unless each row has one."""
    marked = [row for row in rows if len(row) > 1 and MARKER.fullmatch(placed[row[0]].text)]
    if not marked or len(marked) == len(rows):
        return placed
    moved = list(placed)
    for first, second, *_ in marked:
        left, right = min(placed[first].left, placed[second].left), placed[second].right
        moved[first], moved[second] = (replace(placed[index], left=left, right=right) for index in (first, second))
    return moved


def _find_columns(placed: Sequence[PlacedLine], rows: Sequence[list[int]]) -> list[tuple[float, float]]:
    """Left and right edges of the columns.

    The columns are those of the row with the most cells, and of cells in other rows that are beside all of them.
    """
    columns = max((_spans([placed[index] for index in row]) for row in rows), key=len)
    for row in sorted(rows, key=len, reverse=True):
        for index in row:
            cell = placed[index]
            touched = [place for place, (left, right) in enumerate(columns) if cell.left < right and left < cell.right]
            if not touched and not _is_near_column(cell, columns):
                columns = sorted([*columns, (cell.left, cell.right)])
            elif len(touched) == 1:
                left, right = columns[touched[0]]
                columns[touched[0]] = min(left, cell.left), max(right, cell.right)
    return columns


def _spans(cells: Sequence[PlacedLine]) -> list[tuple[float, float]]:
    """Left and right edges of the cells of a row, each with all its lines."""
    spans: list[tuple[float, float]] = []
    for cell in sorted(cells, key=lambda cell: cell.left):
        if spans and cell.left < spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], cell.right)
        else:
            spans.append((cell.left, cell.right))
    return spans


def _is_near_column(cell: PlacedLine, columns: Sequence[tuple[float, float]]) -> bool:
    edges = cell.left, cell.right
    return any(abs(own - edge) < cell.height for column in columns for edge in column for own in edges)


def _column_of(cell: PlacedLine, columns: Sequence[tuple[float, float]]) -> int:
    def shared(column: tuple[float, float]) -> tuple[float, float]:
        left, right = column
        return min(cell.right, right) - max(cell.left, left), -abs(cell.left - left)

    return max(range(len(columns)), key=lambda place: shared(columns[place]))


def _continues_cell(
    placed: Sequence[PlacedLine],
    grid: Sequence[Sequence[list[int]]],
    cells: Sequence[list[int]],
    rows: Sequence[list[int]],
) -> bool:
    """Whether the only cell of a row is a further line of the cell above it, closer to it than rows usually are."""
    column = next(number for number, cell in enumerate(cells) if cell)
    above = grid[-1][column]
    if not above:
        return False
    upper, lower = placed[above[-1]], placed[cells[column][0]]
    starts = [placed[row[0]].baseline_y for row in rows if len(row) > 1]
    usual = median(below - over for over, below in pairwise(starts))
    return abs(upper.left - lower.left) < lower.height and lower.baseline_y - upper.baseline_y < 0.8 * usual


# ---- Other blocks


def _split(placed: Sequence[PlacedLine], indices: Sequence[int], page: _PageStatistics) -> list[Block]:
    """Split consecutive lines that belong to no table into blocks, each with its kind."""
    groups: list[list[int]] = []
    for place, index in enumerate(indices):
        if groups and not _starts_block(placed, groups[-1], indices, place, page):
            groups[-1].append(index)
        else:
            groups.append([index])
    return [_classify(placed, groups, number, page) for number in range(len(groups))]


def _starts_block(
    placed: Sequence[PlacedLine], group: Sequence[int], indices: Sequence[int], place: int, page: _PageStatistics
) -> bool:
    """Whether the line at `place` begins a new block after the lines of `group`."""
    line, before = placed[indices[place]], placed[group[-1]]
    if line.is_vertical or before.is_vertical:
        return True
    if on_same_level(before, line) and line.left >= before.right - before.height:
        # Both are pieces of the same line of text, unless the gap is wide.
        return line.left - before.right > 6 * line.height
    pieces = [placed[index] for index in group[-4:] if on_same_level(placed[index], before)]
    if line.baseline_y < before.baseline_y or all(_horizontal_overlap(piece, line) <= 0 for piece in pieces):
        return True
    if max(line.height, before.height) > MAX_HEIGHT_RATIO * min(line.height, before.height) and (
        max(line.height, before.height) > MAX_HEIGHT_RATIO * page.line_height
        or min(len(line.text), len(before.text)) > 12
    ):
        return True
    spacings = [
        placed[below].baseline_y - placed[above].baseline_y
        for above, below in pairwise(group)
        if not on_same_level(placed[above], placed[below])
    ]
    usual = min(median(spacings) if len(spacings) > 1 else page.line_spacing, 1.5 * page.line_spacing)
    spacing = line.baseline_y - before.baseline_y
    if spacing > PARAGRAPH_SPACING * max(usual, 0.8 * line.height):
        # Text with wide spacing, on a page that has narrower, goes on after a full line without an end.
        full = [each for each in placed if each.right > page.right - MIN_SHORTFALL * each.height]
        runs_on = before in full and not _ends_sentence(before)
        runs_on = runs_on and (line.text[:1].islower() or len(full) > 0.5 * len(placed))
        return not runs_on or spacing > PARAGRAPH_SPACING * page.loose_spacing
    return _begins_paragraph(placed, group, indices, place)


def _begins_paragraph(placed: Sequence[PlacedLine], group: Sequence[int], indices: Sequence[int], place: int) -> bool:
    """Whether a line begins a paragraph, by its indent or after a short last line, or begins or ends a list."""
    line, before = placed[indices[place]], placed[group[-1]]
    if bool(BULLET.match(line.text)) != bool(BULLET.match(placed[group[0]].text)):
        # A hanging line belongs to the list item above it.
        hangs = BULLET.match(placed[group[0]].text) and (
            line.left > placed[group[0]].left + 0.4 * line.height
            or _continues_item(line, [placed[index] for index in group])
        )
        if BULLET.match(line.text):
            return not hangs and _starts_list(placed, indices[place:])
        return not hangs and sum(BULLET.match(placed[index].text) is not None for index in group) > 1
    if BULLET.match(line.text):
        return False
    own = [placed[index] for index in group]
    right = max(each.right for each in own)
    ended = _ends_sentence(before)
    is_short = right - before.right > MIN_SHORTFALL * before.height
    following = placed[indices[place + 1]] if place + 1 < len(indices) else None
    if following is not None and ended | is_short:
        left = min(each.left for each in own[-2:])
        spacing = line.baseline_y - before.baseline_y
        continues = 0 < following.baseline_y - line.baseline_y < PARAGRAPH_SPACING * spacing
        indented = MIN_INDENT * line.height < line.left - following.left < 8 * line.height
        if continues and indented and line.left - left > MIN_INDENT * line.height:
            return True
    full = [each for each in own if right - each.right < 2 * each.height]
    return ended and is_short and len(own) > 2 and len(full) >= 0.6 * (len(own) - 1) and line.text[:1].isupper()


def _continues_item(line: PlacedLine, group: Sequence[PlacedLine]) -> bool:
    """Whether a line that does not hang goes on with the list item above it, which fills its line."""
    fills = group[-1].right > max(each.right for each in group) - MIN_SHORTFALL * line.height
    return fills and line.text[:1].islower() and not _ends_sentence(group[-1])


def _ends_sentence(line: PlacedLine) -> bool:
    return line.text.rstrip().endswith(_SENTENCE_END)


def _starts_list(placed: Sequence[PlacedLine], indices: Sequence[int]) -> bool:
    """Whether at least two list items begin in the first lines."""
    first = placed[indices[0]]
    for index in indices[1:6]:
        line = placed[index]
        if BULLET.match(line.text) and abs(line.left - first.left) < line.height:
            return True
        if line.left < first.left - first.height:
            return False
    return False


def _classify(
    placed: Sequence[PlacedLine], groups: Sequence[Sequence[int]], number: int, page: _PageStatistics
) -> Block:
    """Make the block of a group of lines, as a margin note, page number, heading or paragraph."""
    group = groups[number]
    own = [placed[index] for index in group]
    lines = tuple(group)
    if own[0].is_vertical or _is_margin_note(own, placed, page):
        return Block("margin", lines)
    if _is_page_number(own, placed, page):
        return Block("page_number", lines)
    level = _heading_level(placed, groups, number, page)
    return Block("heading", lines, level=level) if level else Block("paragraph", lines)


def _is_page_number(own: Sequence[PlacedLine], placed: Sequence[PlacedLine], page: _PageStatistics) -> bool:
    line = own[0]
    if len(own) > 1 or len(line.text) > 20 or not _PAGE_NUMBER.match(line.text):
        return False
    upper, lower = min(each.baseline_y for each in placed), max(each.baseline_y for each in placed)
    at_top = line.baseline_y <= upper + line.height and line.baseline_y < EDGE_SHARE * page.height
    at_bottom = line.baseline_y >= lower - line.height and line.baseline_y > (1 - EDGE_SHARE) * page.height
    return at_top or at_bottom


def _is_margin_note(own: Sequence[PlacedLine], placed: Sequence[PlacedLine], page: _PageStatistics) -> bool:
    """Whether a block is a margin note: narrow, and beside the body text instead of in a column of it."""
    left, right = min(each.left for each in own), max(each.right for each in own)
    top = min(each.baseline_y - each.height for each in own)
    bottom = max(each.baseline_y for each in own)
    span = page.right - page.left
    if right - left > MAX_MARGIN_WIDTH * span or len(own) > 8:
        return False
    body = [
        each for each in placed if each.right - each.left > 0.45 * span and not each.is_vertical and each not in own
    ]
    if len(body) < MIN_BODY_LINES or not any(
        each.baseline_y >= top and each.baseline_y - each.height <= bottom for each in body
    ):
        return False
    # A tenth of the body's lines may reach into the margin.
    starts, ends = sorted(each.left for each in body), sorted(each.right for each in body)
    few = len(body) // 10
    return right <= starts[few] + 0.3 * page.line_height or left >= ends[-1 - few] - 0.3 * page.line_height


def _heading_level(
    placed: Sequence[PlacedLine], groups: Sequence[Sequence[int]], number: int, page: _PageStatistics
) -> int:
    """Level of a block as a heading: 1 for a title, 2 for another heading, 0 if it is no heading."""
    own = [placed[index] for index in groups[number]]
    text = " ".join(each.text for each in own).strip()
    letters = [character for character in text if character.isalpha()]
    if len(own) > MAX_HEADING_LINES or not 2 < len(text) <= MAX_HEADING_CHARACTERS or len(letters) < 0.5 * len(text):
        return 0
    if text.endswith((",", ";")) or _CLOSING.match(text) or not (text[0].isupper() or text[0].isdigit()):
        return 0
    if number and groups[number][-1] == len(placed) - 1:
        # What nothing follows, such as a name in large letters, heads nothing.
        return 0
    size = page.size_of(own)
    body = sum(len(each.text) for each in placed)
    if size >= HEADING_SIZE and 2 * len(text) < body:
        return 1 if size >= TITLE_SIZE or number == 0 else 2
    # A line of the body's size is a heading if it is alone above a paragraph, and centred, numbered or in capitals.
    if len(own) > 1 or number + 1 >= len(groups) or text.endswith(".") or size < 0.8:
        return 0
    below = [placed[index] for index in groups[number + 1]]
    if _stands_between(placed, groups, number):
        return 2
    left, right = min(each.left for each in below), max(each.right for each in below)
    line = own[0]
    if len(below) < 2 or below[0].baseline_y < line.baseline_y or line.right - line.left > 0.7 * (right - left):
        return 0
    gap = below[0].baseline_y - line.baseline_y
    if gap > 5 * page.line_spacing:
        return 0
    is_centred = abs(line.center - (left + right) / 2) < 0.08 * (right - left) and line.left - left > 2 * line.height
    is_capital = len(letters) > 3 and sum(letter.isupper() for letter in letters) > 0.9 * len(letters)
    return 2 if is_centred or is_capital or _NUMBERED.match(text) else 0


def _stands_between(placed: Sequence[PlacedLine], groups: Sequence[Sequence[int]], number: int) -> bool:
    """Whether a line of the body's size, some words without a stop after a paragraph's end, heads what is below it.

    It is at least about as near to that as to the paragraph, in line with it, and does not go as far.
    """
    line = placed[groups[number][0]]
    above = [placed[index] for index in groups[number - 1]] if number else []
    below = [placed[index] for index in groups[number + 1]]
    if len(above) < 2 or not _ends_sentence(above[-1]) or line.text.rstrip().endswith((":", "!", "?", "-")):
        return False
    words = line.text.split()
    is_list = BULLET.match(below[0].text) is not None and any(
        BULLET.match(placed[index].text) for group in groups[number + 2 : number + 3] for index in group
    )
    if not words[0][0].isupper() or len(words) > MAX_SUBHEADING_WORDS or (len(below) < 3 and not is_list):
        return False
    gap, room = below[0].baseline_y - line.baseline_y, line.baseline_y - above[-1].baseline_y
    width = max(each.right for each in below) - min(each.left for each in below)
    return (
        0 < gap < SUBHEADING_GAP * room
        and room > MIN_SPACING_STEP * (above[-1].baseline_y - above[-2].baseline_y)
        and line.right - line.left < 0.5 * width
        and (is_list or (abs(line.left - below[0].left) < line.height and below[0].text[:1].isupper()))
    )


def _mark_signatures(placed: Sequence[PlacedLine], blocks: Sequence[Block]) -> list[Block]:
    """Split the lines after the closing words of a letter into a signature of its own."""
    marked: list[Block] = []
    for block in blocks:
        start = _signature_start(placed, block, marked[-1] if marked else None)
        after = block.lines[start:]
        # With more lines than a signature and two more, such as a date, the text goes on after the closing words.
        if 0 < len(after) <= MAX_SIGNATURE_LINES + 2 and len(placed[after[0]].text.split()) <= MAX_SIGNATURE_WORDS:
            name, rest = after[:MAX_SIGNATURE_LINES], after[MAX_SIGNATURE_LINES:]
            parts = ("paragraph", block.lines[:start]), ("signature", name), ("paragraph", rest)
            marked += [Block(kind, lines) for kind, lines in parts if lines]
        else:
            marked.append(block)
    return marked


def _signature_start(placed: Sequence[PlacedLine], block: Block, before: Block | None) -> int:
    """Position in a block's lines of the first one after closing words; the number of its lines if there is none."""
    text = ("paragraph", "heading")
    if block.kind not in text:
        return len(block.lines)
    closings = [place for place, index in enumerate(block.lines) if _CLOSING.match(placed[index].text)]
    if closings:
        return closings[-1] + 1
    closes_before = before is not None and before.kind in text and _CLOSING.match(placed[before.lines[-1]].text)
    return 0 if closes_before else len(block.lines)


def _merge_list_items(placed: Sequence[PlacedLine], blocks: Sequence[Block]) -> list[Block]:
    """Merge consecutive blocks that begin with a list item into lists of at least two items."""
    found: list[Block] = []
    at = 0
    while at < len(blocks):
        end = at
        while (
            end < len(blocks)
            and blocks[end].kind in ("paragraph", "heading")
            and _starts_with_item(placed, blocks[end])
        ):
            end += 1
        lines = tuple(index for block in blocks[at:end] for index in block.lines)
        items: list[list[int]] = []
        for index in lines:
            if BULLET.match(placed[index].text) or not items:
                items.append([])
            items[-1].append(index)
        if len(items) > 1:
            found.append(Block("list", lines, items=tuple(map(tuple, items))))
            at = end
        else:
            found.append(blocks[at])
            at += 1
    return found


def _starts_with_item(placed: Sequence[PlacedLine], block: Block) -> bool:
    return BULLET.match(placed[block.lines[0]].text) is not None and (
        block.kind == "paragraph" or len(block.lines) > 1 or not _NUMBERED.match(placed[block.lines[0]].text)
    )
