"""Find line breaks that belong to the text, as in verse, addresses, lists of short lines and registers.

In prose, a line ends where the next word would not have fitted. Where most lines leave room for it, they were ended on
purpose. The lines' first letters tell further: those of verse and addresses are mostly capitals or digits, also where
other words are not, as many are in registers of names. Numbers beside the lines tell where entries begin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import median

from paragraph_ocr.pipeline.hyphenation import HYPHENS
from paragraph_ocr.pipeline.placement import PlacedLine, on_same_level, width_of_text

# Room beyond the next word that a line leaves if it was ended on purpose, in heights of a line: prose is ragged, too.
MIN_SPARE = 1.0
# Minimum share of lines with room for the next word, in a block of at least so many breaks, where they alone tell.
MIN_ROOMY_SHARE, MIN_BREAKS = 0.6, 3
# Maximum share of the block's width that lines which were ended on purpose fill on average, where it alone tells.
MAX_FILL = 0.65
# Minimum share of lines that begin with a capital or a digit, and of those with room in the whole column, where both
# tell; maximum width of such a block, relative to the column's, and characters of its lines.
MIN_CAPITAL_SHARE, MAX_BLOCK_WIDTH, MAX_CHARACTERS = 0.8, 0.75, 45
# The same of verse with runovers, where fewer lines have room. Prose with many names reaches neither.
MIN_VERSE_SHARE, MIN_VERSE_ROOMY_SHARE, MIN_VERSE_BREAKS = 0.7, 0.35, 4
# The same of verse whose lines are equally long.
MIN_EVEN_VERSE_SHARE = 0.9
# How much more often the lines of verse begin with a capital than the other words do.
MIN_CAPITAL_SURPLUS = 0.45
# Minimum breaks within the stanzas of a poem, and minimum share of those before a capital, of all stanzas together.
MIN_STANZA_BREAKS, MIN_STANZA_SHARE = 5, 0.75
# Minimum number of entries with a number beside them on a page, where they tell something; minimum share of them that
# begin with a capital or a digit, and of the lines before them that leave room, in heights of a line; maximum distance
# of the level of a number from that of its entry; maximum length of a number.
MIN_ENTRIES, MIN_ENTRY_SHARE, ENTRY_ROOM, MIN_ENTRY_ROOM_SHARE, ENTRY_LEVEL = 3, 0.75, 1.5, 0.5, 0.5
MAX_NUMBER_CHARACTERS = 16
# Maximum distance of the column's next line, in heights, and of its right edge, and ratio of the heights.
NEXT_LINE, SAME_EDGE, SAME_HEIGHT = 2.5, 2.0, 1.35
# Maximum width of the end of a line of verse that goes on below, relative to that of the block.
MAX_RUNOVER_WIDTH = 0.5
# Of so many lines, one may reach beyond the others' right edge.
LINES_PER_OUTLIER = 8
# Free part of the width after which a single line of prose was ended on purpose, if a capital or a digit follows.
MIN_FREE_SHARE = 0.4

# Of the web, or of e-mail.
_ADDRESS = re.compile(r"\s*(?:https?:|www\.|[^\s@]+@)", re.IGNORECASE)
_I = re.compile(r"\W*I\b(?!\.)")
# The number of an entry, or its date; with more letters, it is text.
_ENTRY_NUMBER = re.compile(r"\W*\d[\d\W]*[^\W\d_]{0,6}[\d\W]*")


@dataclass(frozen=True)
class _Row:
    """A line of text, of one line or of pieces of it beside each other.

    Attributes
    ----------
    first, last : int
        Indices of its first and last piece in the page's lines.
    text : str
    left, right, height : float
    """

    first: int
    last: int
    text: str
    left: float
    right: float
    height: float


def find_entries(placed: Sequence[PlacedLine], blocks: Sequence[Sequence[int]]) -> frozenset[int]:
    """Return the lines at which the entries of a register begin: those with a number at their left, on their level.

    Numbers beside running text, as on legal paper or in the margin of prose, stand also beside lines within sentences.

    Parameters
    ----------
    placed : sequence of PlacedLine
        The page's lines.
    blocks : sequence of sequence of int
        The lines of each block of text, in reading order.
    """
    numbers = [line for line in placed if not line.is_vertical and _is_entry_number(line.text)]
    found, begins, roomy = [], [], []
    for block in blocks if len(numbers) >= MIN_ENTRIES else ():
        rows = _rows(placed, block)
        rooms = _rooms(rows) if len(rows) > 1 else []
        for room, (above, below) in zip(rooms, pairwise(rows), strict=True):
            line = placed[below.first]
            if any(_is_beside(number, line) for number in numbers):
                found.append(below.first)
                begins.append(_begins_line(below.text))
                roomy.append(room >= ENTRY_ROOM * above.height)
    count = len(found)
    tells = sum(begins) >= MIN_ENTRY_SHARE * count and sum(roomy) >= MIN_ENTRY_ROOM_SHARE * count
    return frozenset(found) if count >= MIN_ENTRIES and tells else frozenset()


def find_verse(placed: Sequence[PlacedLine], blocks: Sequence[Sequence[int]]) -> list[bool]:
    """Return of each block of text whether it is a stanza, by the blocks before and after it.

    Parameters
    ----------
    placed : sequence of PlacedLine
        The page's lines.
    blocks : sequence of sequence of int
        The lines of consecutive blocks, in reading order.
    """
    rows_of = [[] if any(placed[index].is_vertical for index in block) else _rows(placed, block) for block in blocks]
    begins = [[_begins_line(row.text) for row in rows] for rows in rows_of]
    may_be = [bool(signs) and sum(signs) >= MIN_VERSE_SHARE * len(signs) for signs in begins]
    found: list[bool] = []
    for poem, group in groupby(range(len(blocks)), may_be.__getitem__):
        numbers = list(group)
        rows = [row for number in numbers for row in rows_of[number]]
        # Paragraphs begin with a capital, too, and the English word I anywhere.
        inner = [
            capital
            for number in numbers
            for row, capital in zip(rows_of[number][1:], begins[number][1:], strict=True)
            if not _I.match(row.text)
        ]
        share = sum(inner) / max(len(inner), 1)
        is_surplus = share - _capital_share(rows) >= MIN_CAPITAL_SURPLUS and not _in_capitals(rows)
        is_verse = poem and len(inner) >= MIN_STANZA_BREAKS and share >= MIN_STANZA_SHARE and is_surplus
        found += [is_verse] * len(numbers)
    return found


def _is_entry_number(text: str) -> bool:
    return len(text) <= MAX_NUMBER_CHARACTERS and _ENTRY_NUMBER.fullmatch(text) is not None


def _is_beside(number: PlacedLine, line: PlacedLine) -> bool:
    """Whether a number stands at the left of a line, on its level."""
    height = min(number.height, line.height)
    return number.right < line.left and abs(number.baseline_y - line.baseline_y) < ENTRY_LEVEL * height


def find_hard_breaks(
    placed: Sequence[PlacedLine],
    indices: Sequence[int],
    entries: frozenset[int] = frozenset(),
    is_stanza: bool = False,
) -> tuple[int, ...]:
    """Return those lines of a block of prose or verse at whose ends the text breaks.

    Parameters
    ----------
    placed : sequence of PlacedLine
        The page's lines.
    indices : sequence of int
        The block's lines, in reading order.
    entries : frozenset of int, optional
        Lines at which entries of a register begin, from `find_entries`. In a block that has some, the text breaks
        before them, and otherwise as in prose.
    is_stanza : bool
        Whether the block is one of several of verse, from `find_verse`.

    Returns
    -------
    tuple of int
        A subset of `indices`, without the last.
    """
    rows = _rows(placed, indices)
    if len(rows) < 2 or any(placed[index].is_vertical for index in indices):
        return ()
    letter_width = median(placed[index].letter_width for index in indices)
    # What the first word of the next row needs at the end of this one.
    needs = [letter_width * width_of_text(f" {below.text.split(maxsplit=1)[0]}") for below in rows[1:]]
    needs = [need + MIN_SPARE * row.height for need, row in zip(needs, rows, strict=False)]
    width = max(row.right for row in rows) - min(row.left for row in rows)
    beyond = _space_beside(placed, frozenset(indices))
    is_narrow = width <= MAX_BLOCK_WIDTH * (width + beyond) and max(len(row.text) for row in rows) <= MAX_CHARACTERS
    rooms = _rooms(rows)
    roomy = [room >= need for room, need in zip(rooms, needs, strict=True)]
    roomy_in_column = [is_narrow and room + beyond >= need for room, need in zip(rooms, needs, strict=True)]
    begins = [_begins_line(below.text) for below in rows[1:]]
    # Whether the next word would have fitted within the block, or within its column.
    roomy_in_either = [one or other for one, other in zip(roomy, roomy_in_column, strict=True)]
    # Where a line of verse runs over, or begins with the English word I, its first letter tells nothing.
    telling = [
        place
        for place, below in enumerate(rows[1:])
        if _I.match(below.text) is None and not _runs_over(rows, place, width, begins, roomy)
    ]
    told = [[signs[place] for place in telling] for signs in (roomy, roomy_in_either, begins)]
    fill = sum(1 - max(room, 0.0) / width for room in rooms) / len(rooms)
    is_sparse = len(rooms) >= MIN_BREAKS and fill <= MAX_FILL
    starts = [below.first in entries for below in rows[1:]]
    is_lined = is_sparse or is_stanza or bool(telling and _is_lined(told[0], told[1], told[2], rows))
    if is_lined and not any(starts):
        # In verse, a line that leaves no room runs over if the next begins with a small letter and is short.
        if 2 * sum(begins) > len(begins):
            wide = [below.right - below.left >= MAX_RUNOVER_WIDTH * width for below in rows[1:]]
            breaks = [any(signs) for signs in zip(roomy_in_either, begins, wide, strict=True)]
        else:
            breaks = [True] * len(begins)
    else:
        free = [room >= max(MIN_FREE_SHARE * width, need) for room, need in zip(rooms, needs, strict=True)]
        breaks = [start or all(signs) for start, *signs in zip(starts, free, begins, strict=True)]
    divided = [_is_divided(above.text, below.text) for above, below in pairwise(rows)]
    return tuple(
        row.last for row, ends, goes_on in zip(rows[:-1], breaks, divided, strict=True) if ends and not goes_on
    )


def _runs_over(rows: Sequence[_Row], place: int, width: float, begins: Sequence[bool], roomy: Sequence[bool]) -> bool:
    """Whether a row, if it is one of verse, goes on in the next, which is short and after which another line begins."""
    below = rows[place + 1]
    is_short = below.right - below.left < MAX_RUNOVER_WIDTH * width
    return is_short and not begins[place] and not roomy[place] and place + 1 < len(begins) and begins[place + 1]


def _is_lined(
    roomy: Sequence[bool], roomy_in_column: Sequence[bool], capital: Sequence[bool], rows: Sequence[_Row]
) -> bool:
    """Whether most rows of a block were ended on purpose.

    Parameters
    ----------
    roomy, roomy_in_column : sequence of bool
        Whether the next word would have fitted within the block, and within its column.
    capital : sequence of bool
        Whether the next row begins as those of verse and addresses do.
    rows : sequence of _Row
        For the capitals of their other words: where these are as many, those of the rows tell nothing.
    """
    count = len(capital)

    def share(signs: Sequence[bool]) -> float:
        return sum(signs) / count

    if count >= MIN_BREAKS and share(roomy) >= MIN_ROOMY_SHARE:
        return True
    if share(capital) >= MIN_CAPITAL_SHARE and share(roomy_in_column) >= MIN_CAPITAL_SHARE:
        return True
    is_verse = share(roomy) >= MIN_VERSE_ROOMY_SHARE or share(capital) >= MIN_EVEN_VERSE_SHARE
    is_surplus = share(capital) - _capital_share(rows) >= MIN_CAPITAL_SURPLUS and not _in_capitals(rows)
    return count >= MIN_VERSE_BREAKS and share(capital) >= MIN_VERSE_SHARE and is_verse and is_surplus


def _capital_share(rows: Sequence[_Row]) -> float:
    """Share of capitals among the first letters of the words that begin no row."""
    words = [word for row in rows for word in row.text.split()[1:]]
    firsts = [letter for word in words if (letter := next(filter(str.isalpha, word), ""))]
    return sum(map(str.isupper, firsts)) / max(len(firsts), 1)


def _in_capitals(rows: Sequence[_Row]) -> bool:
    """Whether most letters are capitals."""
    letters = [letter for row in rows for letter in row.text if letter.isalpha()]
    return 2 * sum(map(str.isupper, letters)) > len(letters)


def _rows(placed: Sequence[PlacedLine], indices: Sequence[int]) -> list[_Row]:
    rows: list[_Row] = []
    before: PlacedLine | None = None
    for index in indices:
        line = placed[index]
        if not line.text.strip():
            # Writing that a person marked as unreadable.
            continue
        if rows and before is not None and on_same_level(before, line) and line.left >= before.left:
            row = rows[-1]
            rows[-1] = replace(row, last=index, text=f"{row.text} {line.text}", right=max(row.right, line.right))
        else:
            rows.append(_Row(index, index, line.text, line.left, line.right, line.height))
        before = line
    return rows


def _edge(values: Sequence[float]) -> float:
    """Largest value, without outliers."""
    return sorted(values)[-1 - len(values) // LINES_PER_OUTLIER]


def _rooms(rows: Sequence[_Row]) -> list[float]:
    """Free width in each row but the last: at the right, or at both sides of rows that are centred or end evenly."""
    lefts = _spread([row.left for row in rows])
    rights = _spread([row.right for row in rows])
    centres = _spread([(row.left + row.right) / 2 for row in rows])
    if lefts > median(row.height for row in rows) and min(rights, centres) < 0.5 * lefts:
        width = _edge([row.right - row.left for row in rows])
        return [width - (row.right - row.left) for row in rows[:-1]]
    right = _edge([row.right for row in rows])
    return [right - row.right for row in rows[:-1]]


def _spread(values: Sequence[float]) -> float:
    """Mean distance from the median."""
    middle = median(values)
    return sum(abs(value - middle) for value in values) / len(values)


def _space_beside(placed: Sequence[PlacedLine], indices: frozenset[int]) -> float:
    """Free width at both sides of a block, up to the lines beside it and to the edges of the page's text."""
    own = [placed[index] for index in indices]
    left, right = min(line.left for line in own), max(line.right for line in own)
    top = min(line.baseline_y - line.height for line in own)
    bottom = max(line.baseline_y for line in own)
    height = median(line.height for line in own)
    first, last = min(line.left for line in placed), max(line.right for line in placed)
    for number, line in enumerate(placed):
        if number in indices:
            continue
        if line.baseline_y <= top or line.baseline_y - line.height >= bottom:
            edges = abs(line.left - left) < height, abs(line.right - right) < SAME_EDGE * height
            gap = max(top - line.baseline_y, line.baseline_y - line.height - bottom)
            is_alike = max(line.height, height) < SAME_HEIGHT * min(line.height, height)
            if all(edges) and is_alike and gap < (NEXT_LINE - 1) * height:
                # The column goes on, and is no wider.
                return 0.0
            continue
        if line.center > right:
            last = min(last, line.left)
        elif line.center < left:
            first = max(first, line.right)
    return max(last - right, 0.0) + max(left - first, 0.0)


def _begins_line(text: str) -> bool:
    """Whether a line begins as those of verse and addresses do: with a capital, a digit, no letter, or as a URL."""
    if _ADDRESS.match(text):
        return True
    first = next((character for character in text if character.isalnum()), "")
    return not first.islower()


def _is_divided(above: str, below: str) -> bool:
    """Whether a word is divided between two lines."""
    head, tail = above.rstrip(), below.lstrip()
    return len(head) > 1 and head[-1] in HYPHENS and head[-2].isalpha() and (tail[:1].islower() or head[-2].isupper())
