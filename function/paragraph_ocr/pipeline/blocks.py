"""Group the lines of a page into blocks: headings, paragraphs, lists, tables, margin notes, page numbers, signatures.

Only where lines stand, how tall they are and what they say is used, in the order in which they are read. The hierarchy
is that of hOCR, ALTO and docTR: a page has blocks, a block lines, a line words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import atan2, cos, hypot, sin
from statistics import median

from paragraph_ocr.document import Block, Cell, Line

# Heights of a line are those of its polygon, from ascenders to descenders.
# Lines whose baselines are less than this share of a height apart stand on one level, unless nothing is between them.
LEVEL = 0.4
# Cells of a row of a table are at least so many heights apart, and edges of a column at most this.
CELL_GAP, ALIGNED = 0.6, 0.8
# At least so much of a table's cells stand under or over another of their column.
ALIGNED_SHARE = 0.6
# Steps from a line to the next that are so many times the usual part paragraphs.
WIDE_STEP = 1.4
# Lines that are so many times as tall as others are not of their paragraph.
OTHER_SIZE = 1.35
# A heading is so many times as tall as the body's lines, and has at most so many lines and characters.
LARGE, TITLE, MOST_HEADING_LINES, MOST_HEADING_CHARACTERS = 1.25, 1.7, 3, 100
# A first line is indented by so many heights, and a last line of a paragraph ends so many before the others.
INDENT, SHORT = 0.8, 3.0
# Page numbers and running titles stand in this share of a page, at its top and at its bottom.
EDGE = 0.12
# A margin note is at most this share of the text's width, beside text of at least so many lines.
MARGIN_WIDTH, MARGIN_BESIDE = 0.25, 3
# A name under a letter has at most so many lines and words.
MOST_NAME_LINES, MOST_NAME_WORDS = 2, 5

BULLET = re.compile(r"^\s*(?:[-–—•·*▪◦‣●○□☐☑☒+»>]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+(?=\S)")
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


@dataclass(frozen=True)
class _Placed:
    """A line as the page stands: from left to right, its baseline, its height and its text."""

    left: float
    right: float
    base: float
    height: float
    text: str
    runs_up: bool

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


def find_blocks(lines: Sequence[Line], width: float, height: float) -> tuple[Block, ...]:
    """The blocks of a page, in the order in which they are read; every line is in exactly one.

    Parameters
    ----------
    lines : sequence of Line
        In reading order, on the upright page.
    width, height : float
        Of the upright page, in the lines' unit.
    """
    placed = _placed(lines)
    blocks: list[Block] = []
    rest: list[int] = []
    text = [each for each in placed if not each.runs_up]
    page = _PageShape.of(text, width, height)
    for part in _tables(placed):
        if isinstance(part, Block):
            blocks += _parted(placed, rest, page)
            rest = []
            blocks.append(part)
        else:
            rest.append(part)
    blocks += _parted(placed, rest, page)
    return tuple(_with_lists(placed, _with_signature(placed, blocks)))


@dataclass(frozen=True)
class _PageShape:
    """What is usual on a page: the height of lines, the step from one to the next, and where its text lies."""

    size: float
    step: float
    left: float
    right: float
    width: float
    height: float

    @classmethod
    def of(cls, text: Sequence[_Placed], width: float, height: float) -> _PageShape:
        if not text:
            return cls(1.0, 1.0, 0.0, width, width, height)
        # Long lines are the body's.
        weighed = sorted((each.height, len(each.text) + 1) for each in text)
        half, size = sum(weight for _, weight in weighed) / 2, weighed[-1][0]
        for own, weight in weighed:
            half -= weight
            if half <= 0:
                size = own
                break
        steps = [
            below.base - above.base
            for above, below in pairwise(text)
            if _overlap(above, below) > 0 and LEVEL * size < below.base - above.base < 4 * size
        ]
        step = median(steps) if steps else 1.5 * size
        return cls(size, step, min(each.left for each in text), max(each.right for each in text), width, height)


def _placed(lines: Sequence[Line]) -> list[_Placed]:
    """The lines turned by their common slope, so that what stands on one level of a page that lies askew does so."""
    across = [
        (line.baseline[-1][0] - line.baseline[0][0], line.baseline[-1][1] - line.baseline[0][1])
        for line in lines
        if len(line.baseline) > 1
    ]
    level = [(x, y) for x, y in across if x > abs(y)]
    angle = atan2(sum(y for _, y in level), sum(x for x, _ in level)) if level else 0.0
    turn_x, turn_y = cos(angle), sin(angle)
    placed = []
    for line in lines:
        baseline = line.baseline or line.polygon[len(line.polygon) // 2 :][::-1]
        (x0, y0), (x1, y1) = baseline[0], baseline[-1]
        turned = [(x * turn_x + y * turn_y, y * turn_x - x * turn_y) for x, y in baseline]
        base = sum(y for _, y in turned) / len(turned)
        placed.append(
            _Placed(turned[0][0], turned[-1][0], base, _height(line), line.text, abs(y1 - y0) > 2 * abs(x1 - x0))
        )
    return placed


def _height(line: Line) -> float:
    """How far the upper edge of a line's outline is from the lower."""
    half = len(line.polygon) // 2
    upper, lower = line.polygon[:half], line.polygon[half:][::-1]
    return max(median(hypot(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in zip(upper, lower, strict=False)), 1.0)


def _overlap(one: _Placed, other: _Placed) -> float:
    return min(one.right, other.right) - max(one.left, other.left)


def _are_level(one: _Placed, other: _Placed) -> bool:
    return abs(one.base - other.base) < LEVEL * min(one.height, other.height)


# ---- Tables


def _tables(placed: Sequence[_Placed]) -> list[Block | int]:
    """The lines in order, those of a table as the table that they are."""
    rows = _rows(placed)
    parts: list[Block | int] = []
    at = 0
    while at < len(rows):
        end = _end_of_table(placed, rows, at) if len(rows[at]) > 1 else at
        if end > at:
            parts.append(_table(placed, rows[at:end]))
        else:
            parts += rows[at]
        at = max(end, at + 1)
    return parts


def _rows(placed: Sequence[_Placed]) -> list[list[int]]:
    """Lines that follow each other on one level, each right of the one before with a gap between, and all others."""
    rows: list[list[int]] = []
    for index, line in enumerate(placed):
        if rows and not line.runs_up:
            before = placed[rows[-1][-1]]
            gap = CELL_GAP * min(line.height, before.height)
            if not before.runs_up and _are_level(before, line) and line.left - before.right >= gap:
                rows[-1].append(index)
                continue
        rows.append([index])
    return rows


def _end_of_table(placed: Sequence[_Placed], rows: Sequence[list[int]], at: int) -> int:
    """The row after the last of a table that begins with a row; that row where no table does.

    Between rows of several cells one of a single cell may stand: a cell's further line, or a row with empty cells.
    """
    last = at
    for row in range(at + 1, len(rows)):
        upper, lower = placed[rows[row - 1][0]], placed[rows[row][0]]
        step = lower.base - upper.base
        if lower.runs_up or step <= 0 or step > 4 * max(upper.height, lower.height):
            break
        if len(rows[row]) > 1:
            last = row
        elif row - last > 1:
            break
    table = rows[at : last + 1]
    several = [row for row in table if len(row) > 1]
    if len(several) < 2:
        return at
    return last + 1 if _is_aligned(placed, several) else at


def _is_aligned(placed: Sequence[_Placed], rows: Sequence[list[int]]) -> bool:
    """Whether most cells behind the first of their row stand in line with one of another row."""
    cells = [[placed[index] for index in row[1:]] for row in rows]
    total = aligned = 0
    for number, row in enumerate(cells):
        others = [other for place, each in enumerate(cells) if place != number for other in each]
        for cell in row:
            total += 1
            close = ALIGNED * cell.height
            aligned += any(
                abs(cell.left - other.left) < close
                # Pieces of prose end at its right edge, too.
                or (abs(cell.right - other.right) < close and any(map(str.isdigit, cell.text)))
                or abs(cell.middle - other.middle) < close
                for other in others
            )
    return aligned >= ALIGNED_SHARE * total


def _table(placed: Sequence[_Placed], rows: Sequence[list[int]]) -> Block:
    columns = _columns(placed, rows)
    grid: list[list[list[int]]] = []
    for row in rows:
        cells: list[list[int]] = [[] for _ in columns]
        for index in row:
            cells[_column_of(placed[index], columns)].append(index)
        # The further line of a cell stands closer under it than a row under the one before.
        if grid and len(row) == 1 and _continues(placed, grid, cells, rows):
            column = next(number for number, cell in enumerate(cells) if cell)
            grid[-1][column] += cells[column]
        else:
            grid.append(cells)
    lines = tuple(index for row in rows for index in row)
    return Block("table", lines, rows=tuple(tuple(Cell(tuple(cell)) for cell in row) for row in grid))


def _columns(placed: Sequence[_Placed], rows: Sequence[list[int]]) -> list[tuple[float, float]]:
    """Where columns begin and end: the cells of the row with the most, and those beside all of these."""
    most = max(rows, key=len)
    columns = [(placed[index].left, placed[index].right) for index in most]
    for row in sorted(rows, key=len, reverse=True):
        for index in row:
            cell = placed[index]
            touched = [place for place, (left, right) in enumerate(columns) if cell.left < right and left < cell.right]
            if not touched and not _is_near(cell, columns):
                columns = sorted([*columns, (cell.left, cell.right)])
            elif len(touched) == 1:
                left, right = columns[touched[0]]
                columns[touched[0]] = min(left, cell.left), max(right, cell.right)
    return columns


def _is_near(cell: _Placed, columns: Sequence[tuple[float, float]]) -> bool:
    edges = cell.left, cell.right
    return any(abs(own - edge) < cell.height for column in columns for edge in column for own in edges)


def _column_of(cell: _Placed, columns: Sequence[tuple[float, float]]) -> int:
    def shared(column: tuple[float, float]) -> tuple[float, float]:
        left, right = column
        return min(cell.right, right) - max(cell.left, left), -abs(cell.left - left)

    return max(range(len(columns)), key=lambda place: shared(columns[place]))


def _continues(
    placed: Sequence[_Placed],
    grid: Sequence[Sequence[list[int]]],
    cells: Sequence[list[int]],
    rows: Sequence[list[int]],
) -> bool:
    """Whether the only cell of a row is the further line of the one above it."""
    column = next(number for number, cell in enumerate(cells) if cell)
    above = grid[-1][column]
    if not above:
        return False
    upper, lower = placed[above[-1]], placed[cells[column][0]]
    starts = [placed[row[0]].base for row in rows if len(row) > 1]
    usual = median(below - over for over, below in pairwise(starts))
    return abs(upper.left - lower.left) < lower.height and lower.base - upper.base < 0.8 * usual


# ---- What is no table


def _parted(placed: Sequence[_Placed], indices: Sequence[int], page: _PageShape) -> list[Block]:
    """Lines that follow each other, in blocks, each with its kind."""
    groups: list[list[int]] = []
    for place, index in enumerate(indices):
        if groups and not _parts(placed, groups[-1], indices, place, page):
            groups[-1].append(index)
        else:
            groups.append([index])
    return [_block(placed, groups, number, page) for number in range(len(groups))]


def _parts(
    placed: Sequence[_Placed], group: Sequence[int], indices: Sequence[int], place: int, page: _PageShape
) -> bool:
    """Whether a line begins another block than the one that the lines before it make."""
    line, before = placed[indices[place]], placed[group[-1]]
    if line.runs_up or before.runs_up:
        return True
    if _are_level(before, line) and line.left >= before.right - before.height:
        # A line in several pieces.
        return line.left - before.right > 6 * line.height
    pieces = [placed[index] for index in group[-4:] if _are_level(placed[index], before)]
    if line.base < before.base or all(_overlap(piece, line) <= 0 for piece in pieces):
        return True
    if max(line.height, before.height) > OTHER_SIZE * min(line.height, before.height) and (
        max(line.height, before.height) > OTHER_SIZE * page.size or min(len(line.text), len(before.text)) > 12
    ):
        return True
    steps = [
        placed[below].base - placed[above].base
        for above, below in pairwise(group)
        if not _are_level(placed[above], placed[below])
    ]
    usual = min(median(steps) if len(steps) > 1 else page.step, 1.5 * page.step)
    if line.base - before.base > WIDE_STEP * max(usual, 0.8 * line.height):
        return True
    return _begins_paragraph(placed, group, indices, place)


def _begins_paragraph(placed: Sequence[_Placed], group: Sequence[int], indices: Sequence[int], place: int) -> bool:
    """Whether a line is indented, or follows on a short one, as the first of a paragraph; or is a list's item."""
    line, before = placed[indices[place]], placed[group[-1]]
    if bool(BULLET.match(line.text)) != bool(BULLET.match(placed[group[0]].text)):
        # What hangs under an item belongs to it.
        hangs = BULLET.match(placed[group[0]].text) and line.left > placed[group[0]].left + 0.4 * line.height
        if BULLET.match(line.text):
            return not hangs and _is_list(placed, indices[place:])
        return not hangs and sum(BULLET.match(placed[index].text) is not None for index in group) > 1
    if BULLET.match(line.text):
        return False
    own = [placed[index] for index in group]
    right = max(each.right for each in own)
    ended = before.text.rstrip().endswith(_SENTENCE_END)
    is_short = right - before.right > SHORT * before.height
    following = placed[indices[place + 1]] if place + 1 < len(indices) else None
    if following is not None and ended | is_short:
        left = min(each.left for each in own[-2:])
        step = line.base - before.base
        goes_on = 0 < following.base - line.base < WIDE_STEP * step
        indented = INDENT * line.height < line.left - following.left < 8 * line.height
        if goes_on and indented and line.left - left > INDENT * line.height:
            return True
    full = [each for each in own if right - each.right < 2 * each.height]
    return ended and is_short and len(own) > 2 and len(full) >= 0.6 * (len(own) - 1) and line.text[:1].isupper()


def _is_list(placed: Sequence[_Placed], indices: Sequence[int]) -> bool:
    """Whether lines begin with at least two items of a list."""
    first = placed[indices[0]]
    for index in indices[1:6]:
        line = placed[index]
        if BULLET.match(line.text) and abs(line.left - first.left) < line.height:
            return True
        if line.left < first.left - first.height:
            return False
    return False


def _block(placed: Sequence[_Placed], groups: Sequence[Sequence[int]], number: int, page: _PageShape) -> Block:
    group = groups[number]
    own = [placed[index] for index in group]
    lines = tuple(group)
    if own[0].runs_up or _is_margin(own, placed, page):
        return Block("margin", lines)
    if _is_page_number(own, placed, page):
        return Block("page_number", lines)
    level = _heading_level(placed, groups, number, page)
    return Block("heading", lines, level=level) if level else Block("paragraph", lines)


def _is_page_number(own: Sequence[_Placed], placed: Sequence[_Placed], page: _PageShape) -> bool:
    line = own[0]
    if len(own) > 1 or len(line.text) > 20 or not _PAGE_NUMBER.match(line.text):
        return False
    upper, lower = min(each.base for each in placed), max(each.base for each in placed)
    at_top = line.base <= upper + line.height and line.base < EDGE * page.height
    at_bottom = line.base >= lower - line.height and line.base > (1 - EDGE) * page.height
    return at_top or at_bottom


def _is_margin(own: Sequence[_Placed], placed: Sequence[_Placed], page: _PageShape) -> bool:
    """Whether a block stands beside the text, in what is no column of it."""
    left, right = min(each.left for each in own), max(each.right for each in own)
    top = min(each.base - each.height for each in own)
    bottom = max(each.base for each in own)
    span = page.right - page.left
    if right - left > MARGIN_WIDTH * span or len(own) > 8:
        return False
    body = [each for each in placed if each.right - each.left > 0.45 * span and not each.runs_up and each not in own]
    if len(body) < MARGIN_BESIDE or not any(each.base >= top and each.base - each.height <= bottom for each in body):
        return False
    # A few lines of the text reach out of it.
    starts, ends = sorted(each.left for each in body), sorted(each.right for each in body)
    few = len(body) // 10
    return right <= starts[few] + 0.3 * page.size or left >= ends[-1 - few] - 0.3 * page.size


def _heading_level(placed: Sequence[_Placed], groups: Sequence[Sequence[int]], number: int, page: _PageShape) -> int:
    """1 for a title, 2 for another heading, 0 for what is none."""
    own = [placed[index] for index in groups[number]]
    text = " ".join(each.text for each in own).strip()
    letters = [character for character in text if character.isalpha()]
    if len(own) > MOST_HEADING_LINES or not 2 < len(text) <= MOST_HEADING_CHARACTERS or len(letters) < 0.5 * len(text):
        return 0
    if text.endswith((",", ";")) or _CLOSING.match(text) or not (text[0].isupper() or text[0].isdigit()):
        return 0
    size = median(each.height for each in own) / page.size
    body = sum(len(placed[index].text) for group in groups for index in group)
    if size >= LARGE and 2 * len(text) < body:
        return 1 if size >= TITLE or number == 0 else 2
    # Of the size of the text, it is one where it stands alone over a paragraph, in its middle, numbered or in capitals.
    if len(own) > 1 or number + 1 >= len(groups) or text.endswith(".") or size < 0.8:
        return 0
    below = [placed[index] for index in groups[number + 1]]
    left, right = min(each.left for each in below), max(each.right for each in below)
    line = own[0]
    if len(below) < 2 or below[0].base < line.base or line.right - line.left > 0.7 * (right - left):
        return 0
    gap = below[0].base - line.base
    if gap > 5 * page.step:
        return 0
    is_centred = abs(line.middle - (left + right) / 2) < 0.08 * (right - left) and line.left - left > 2 * line.height
    is_capital = len(letters) > 3 and sum(letter.isupper() for letter in letters) > 0.9 * len(letters)
    return 2 if is_centred or is_capital or _NUMBERED.match(text) else 0


def _with_signature(placed: Sequence[_Placed], blocks: Sequence[Block]) -> list[Block]:
    """The blocks, with what stands under the closing words of a letter as a signature."""
    found: list[Block] = []
    for block in blocks:
        if block.kind in ("paragraph", "heading"):
            before = _last_line(placed, found)
            closes = [place for place, index in enumerate(block.lines) if _CLOSING.match(placed[index].text)]
            if before is not None and _CLOSING.match(before.text) and not closes:
                cut = 0
            elif closes and closes[-1] + 1 < len(block.lines):
                cut = closes[-1] + 1
            else:
                cut = -1
            name = block.lines[cut:] if cut >= 0 else ()
            if len(name) > 0 and all(len(placed[index].text.split()) <= MOST_NAME_WORDS for index in name[:1]):
                kept = name[:MOST_NAME_LINES] if len(name) <= MOST_NAME_LINES + 2 else ()
                if kept:
                    rest = name[len(kept) :]
                    found += [Block("paragraph", block.lines[:cut])] if cut else []
                    found.append(Block("signature", kept))
                    found += [Block("paragraph", rest)] if rest else []
                    continue
        found.append(block)
    return found


def _last_line(placed: Sequence[_Placed], blocks: Sequence[Block]) -> _Placed | None:
    return placed[blocks[-1].lines[-1]] if blocks and blocks[-1].kind in ("paragraph", "heading") else None


def _with_lists(placed: Sequence[_Placed], blocks: Sequence[Block]) -> list[Block]:
    """The blocks, with paragraphs of at least two items as lists; items in blocks of their own are put together."""
    found: list[Block] = []
    at = 0
    while at < len(blocks):
        end = at
        while end < len(blocks) and blocks[end].kind in ("paragraph", "heading") and _is_item(placed, blocks[end]):
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


def _is_item(placed: Sequence[_Placed], block: Block) -> bool:
    return BULLET.match(placed[block.lines[0]].text) is not None and (
        block.kind == "paragraph" or len(block.lines) > 1 or not _NUMBERED.match(placed[block.lines[0]].text)
    )
