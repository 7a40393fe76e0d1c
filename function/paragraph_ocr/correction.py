"""Parse a document that a person corrected: the JSON of a reading in which lines were changed, added or removed.

Only the text of a line needs to be changed: its words are placed anew where they differ from it.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import accumulate, pairwise
from typing import Any

from paragraph_ocr.document import BLOCK_KINDS, CONTENTS, Block, Cell, Document, Line, Page, Point, Points, Word
from paragraph_ocr.errors import BrokenDocument, DocumentTooLarge

# Fields of the parts of a document; `service.openapi` describes them.
DOCUMENT_FIELDS = ("image", "text", "confidence", "pages")
PAGE_FIELDS = ("image", "page", "width", "height", "rotation", "text", "confidence", "content", "reading", "lines",
               "blocks", "model", "timings_ms")  # fmt: skip
LINE_FIELDS = ("text", "confidence", "polygon", "baseline", "box", "words", "source", "corrected",
               "reading", "unreadable")  # fmt: skip
WORD_FIELDS = ("text", "confidence", "polygon")
BLOCK_FIELDS = ("type", "lines", "box", "level", "items", "rows", "hard_breaks")

MAX_SIDE = 65_535
MAX_PAGE_NUMBER = 1_000_000
# Of a polygon or baseline; the widest pages have lines of a few thousand.
MAX_POINTS = 10_000
# Of the text of a line.
MAX_CHARACTERS = 5000
# Of a line, and of the models and timings of a page.
MAX_WORDS = 500
# Of a page; a page of a newspaper has some thousands.
MAX_PAGE_WORDS = 20_000
MAX_ENTRIES = 20
# Of a table, and cells of a row; a table keeps the rows whose lines were removed.
MAX_ROWS = 2000
MAX_NAME_CHARACTERS = 4096
# Rounding may put a point as far outside the page, in pixels.
_MARGIN = 1.0
# Up to this product of old and new words, words between two changes keep their places.
_MAX_PAIRS = 4096
# What XML cannot hold, and what ends a line of text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def parse_document(content: object, max_pages: int, max_lines: int) -> Document:
    """Return the document of a corrected JSON.

    Parameters
    ----------
    content : object
        A page or a document as `Document.to_dict` returns it, with the corrections. A line needs `text`, `polygon` and
        `baseline` only, a page `lines`, `width` and `height`; everything that can be derived from these may be missing.
    max_pages, max_lines : int
        Limits of the document's pages and of the lines of a page.

    Raises
    ------
    BrokenDocument
        A part is missing, unknown, of the wrong type or not on the page; the message says which.
    DocumentTooLarge
        There are more parts than the limits allow.
    """
    top = _object(content, "The document", None)
    if "pages" not in top:
        pages = [_page(top, "the page", max_lines)]
    else:
        _object(top, "The document", DOCUMENT_FIELDS)
        listed = _list(top["pages"], "pages", max_pages)
        if not listed:
            raise BrokenDocument("pages is empty; a document has one page at least.")
        pages = [_page(page, f"entry {place} of pages", max_lines) for place, page in enumerate(listed, 1)]
    numbers = [page.page for page in pages]
    for before, after in pairwise(numbers):
        if before >= after:
            raise BrokenDocument(f"page {after} comes after page {before}; the pages must be in order, each once.")
    name = _text(top.get("image", "image"), "image", MAX_NAME_CHARACTERS)
    return Document(name, tuple(pages))


def _page(found: object, where: str, max_lines: int) -> Page:
    page = _object(found, where, PAGE_FIELDS)
    number = _integer(page.get("page", 1), f"page of {where}", 1, MAX_PAGE_NUMBER)
    where = f"page {number}"
    width, height = (
        _integer(_needed(page, side, where), f"{side} of {where}", 1, MAX_SIDE) for side in ("width", "height")
    )
    rotation = page.get("rotation", 0)
    if isinstance(rotation, bool) or rotation not in (0, 90, 180, 270):
        raise BrokenDocument(f"rotation of {where} must be 0, 90, 180 or 270.")
    listed = _list(_needed(page, "lines", where), f"lines of {where}", max_lines)
    lines: list[Line] = []
    words = 0
    for place, line in enumerate(listed, 1):
        lines.append(_line(line, f"line {place} of {where}", (width, height)))
        words += len(lines[-1].words)
        if words > MAX_PAGE_WORDS:
            raise DocumentTooLarge(f"{where} has more than {MAX_PAGE_WORDS:,} words.")
    _confidence(page.get("confidence", 0.0), f"confidence of {where}")
    stated = page.get("text")
    reading = page.get("reading", stated if any(line.corrected for line in lines) else None)
    for text in (stated, reading):
        if text is not None and not isinstance(text, str):
            raise BrokenDocument(f"text and reading of {where} must be text.")
    content = page.get("content", "text")
    if content not in CONTENTS:
        raise BrokenDocument(f"content of {where} must be one of {', '.join(CONTENTS)}.")
    return Page(
        image=_text(page.get("image", "image"), f"image of {where}", MAX_NAME_CHARACTERS),
        page=number,
        width=width,
        height=height,
        rotation=int(rotation),
        lines=tuple(lines),
        model=_entries(page.get("model", {}), f"model of {where}", lambda name, what: _text(name, what, 200)),
        timings_ms=_entries(page.get("timings_ms", {}), f"timings_ms of {where}", _number),
        blocks=_blocks(page["blocks"], where, len(lines)) if "blocks" in page else (),
        unreadable=content == "unreadable",
        reading=None if reading is None else _printable(reading),
    )


def _line(content: object, where: str, size: tuple[int, int]) -> Line:
    line = _object(content, where, LINE_FIELDS)
    text = _text(_needed(line, "text", where), f"text of {where}", MAX_CHARACTERS)
    polygon = _points(_needed(line, "polygon", where), f"polygon of {where}", 3, size)
    baseline = _points(_needed(line, "baseline", where), f"baseline of {where}", 2, size)
    if "box" in line:
        # It is derived from the polygon.
        box = _list(line["box"], f"box of {where}", 4)
        if len([_number(side, f"box of {where}") for side in box]) != 4:
            raise BrokenDocument(f"box of {where} must have four numbers.")
    words = tuple(
        _word(word, f"word {place} of {where}", size)
        for place, word in enumerate(_list(line.get("words", []), f"words of {where}", MAX_WORDS), 1)
    )
    corrected, unreadable = (_flag(line.get(flag, False), f"{flag} of {where}") for flag in ("corrected", "unreadable"))
    reading = line.get("reading")
    if reading is not None:
        reading = _text(reading, f"reading of {where}", MAX_CHARACTERS)
    if unreadable and text.split():
        raise BrokenDocument(f"{where} is unreadable, but has text; give it an empty one, or leave unreadable out.")
    read = " ".join(" ".join(word.text for word in words).split())
    kept = read == " ".join(text.split())
    if not corrected and (not kept or unreadable or reading is not None):
        # A person changed the text alone, and the words are still those that were read.
        corrected = True
        if reading is None and words:
            reading = read
    own = _confidence(line["confidence"], f"confidence of {where}") if "confidence" in line else 1.0
    if len(text.split()) > MAX_WORDS:
        raise DocumentTooLarge(f"{where} has more than {MAX_WORDS} words.")
    if not kept:
        words = fit_words(text, words, polygon)
        own = _mean(words)
    source = line.get("source", "")
    if source not in ("", "pdf"):
        raise BrokenDocument(f"source of {where} must be pdf, or missing.")
    return Line(
        text,
        own,
        polygon,
        baseline,
        words,
        # What a person wrote is not what the PDF carries.
        source="" if corrected else source,
        corrected=corrected,
        reading=reading,
        unreadable=unreadable,
    )


def _word(content: object, where: str, size: tuple[int, int]) -> Word:
    word = _object(content, where, WORD_FIELDS)
    text = _text(_needed(word, "text", where), f"text of {where}", MAX_CHARACTERS)
    if not text.strip():
        raise BrokenDocument(f"{where} is empty; leave it out.")
    return Word(
        text,
        _confidence(word.get("confidence", 1.0), f"confidence of {where}"),
        _points(_needed(word, "polygon", where), f"polygon of {where}", 3, size),
    )


def _blocks(content: object, where: str, lines: int) -> tuple[Block, ...]:
    blocks = []
    for place, each in enumerate(_list(content, f"blocks of {where}", lines), 1):
        name = f"block {place} of {where}"
        block = _object(each, name, BLOCK_FIELDS)
        if block.get("type") not in BLOCK_KINDS:
            raise BrokenDocument(f"type of {name} must be one of {', '.join(BLOCK_KINDS)}.")
        indices = _indices(_needed(block, "lines", name), f"lines of {name}", lines)
        items = tuple(
            _indices(item, f"items of {name}", lines)
            for item in _list(block.get("items", []), f"items of {name}", lines)
        )
        rows = tuple(
            tuple(Cell(_indices(cell, f"rows of {name}", lines)) for cell in _list(row, f"rows of {name}", MAX_ROWS))
            for row in _list(block.get("rows", []), f"rows of {name}", MAX_ROWS)
        )
        cells = [cell.lines for row in rows for cell in row]
        if not indices or any(
            parts and sorted(index for part in parts for index in part) != sorted(indices) for parts in (items, cells)
        ):
            raise BrokenDocument(f"{name} must have lines, and its items or rows each of them once.")
        if rows and (not rows[0] or len({len(row) for row in rows}) > 1):
            raise BrokenDocument(f"rows of {name} must have as many cells as each other.")
        breaks = _indices(block.get("hard_breaks", []), f"hard_breaks of {name}", lines)
        if not set(breaks) <= set(indices):
            raise BrokenDocument(f"hard_breaks of {name} must be some of its lines.")
        level = _integer(block.get("level", 0), f"level of {name}", 0, 6)
        blocks.append(Block(block["type"], indices, level, items, rows, breaks))
    if sorted(index for block in blocks for index in block.lines) != list(range(lines)):
        raise BrokenDocument(
            f"blocks of {where} must have each of its {lines} lines once. Change them with the lines, or leave blocks "
            "out: then all lines are one paragraph."
        )
    return tuple(blocks)


def fit_words(text: str, words: Sequence[Word], polygon: Points) -> tuple[Word, ...]:
    """Return the words of a text, placed on its line.

    Words that were there before keep their place and confidence. Others have a confidence of 1 and share the place of
    the words that they replace by their numbers of characters.

    Parameters
    ----------
    text : str
    words : sequence of Word
        The words of the line before its text was changed.
    polygon : tuple of (x, y)
        Outline of the line: the upper edge, then the lower edge back.
    """
    new, old = text.split(), [word.text for word in words]
    if new == old:
        return tuple(words)
    outline = _Outline(polygon)
    spans = [outline.span(word.polygon) for word in words]
    fitted: list[Word] = []
    for i, end_i, j, end_j, same in _runs(old, new):
        if same:
            fitted += words[i:end_i]
            continue
        start = spans[i][0] if i < end_i else spans[i - 1][1] if i else 0.0
        end = spans[end_i - 1][1] if i < end_i else spans[end_i][0] if end_i < len(old) else 1.0
        certain = [(each, 1.0) for each in new[j:end_j]]
        if certain and i == end_i and old:
            # There may be no room between two words: the one before shares its place, or the first one does.
            if i:
                fitted.pop()
                certain.insert(0, (words[i - 1].text, words[i - 1].confidence))
                start = spans[i - 1][0]
            else:
                end = max(end, sum(spans[0]) / 2)
        fitted += outline.spread(certain, start, max(start, end))
    return tuple(fitted)


def _runs(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int, int, bool]]:
    """The runs of equal and of different words, as ranges of both."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    end_old, end_new = len(old) - tail, len(new) - tail
    runs = [(0, head, 0, head, True)]
    if (end_old - head) * (end_new - head) <= _MAX_PAIRS:
        matcher = SequenceMatcher(None, old[head:end_old], new[head:end_new], autojunk=False)
        runs += [
            (head + i, head + end_i, head + j, head + end_j, tag == "equal")
            for tag, i, end_i, j, end_j in matcher.get_opcodes()
        ]
    else:
        runs.append((head, end_old, head, end_new, False))
    return [*runs, (end_old, len(old), end_new, len(new), True)]


class _Outline:
    """A line's outline: the upper edge, then the lower edge back; both are measured once for all of its words."""

    def __init__(self, polygon: Points) -> None:
        half = len(polygon) // 2
        self._edges = polygon[:half], polygon[half:][::-1]
        self._lengths = [
            list(accumulate((math.dist(a, b) for a, b in pairwise(edge)), initial=0.0)) for edge in self._edges
        ]
        # The axis runs in the middle between the ends of the edges.
        upper, lower = self._edges
        ends = [((upper[at][0] + lower[at][0]) / 2, (upper[at][1] + lower[at][1]) / 2) for at in (0, -1)]
        self._start = ends[0]
        self._direction = ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]

    def span(self, part: Points) -> tuple[float, float]:
        """Where a word begins and ends, as shares of the line's length."""
        (x0, y0), (dx, dy) = self._start, self._direction
        length = dx * dx + dy * dy or 1.0
        shares = [((x - x0) * dx + (y - y0) * dy) / length for x, y in part]
        return min(max(min(shares), 0.0), 1.0), min(max(max(shares), 0.0), 1.0)

    def cut(self, start: float, end: float) -> Points:
        """The part of the outline between two places."""
        upper, lower = ([self._point(edge, share) for share in (start, end)] for edge in (0, 1))
        return (*upper, *lower[::-1])

    def spread(self, words: Sequence[tuple[str, float]], start: float, end: float) -> list[Word]:
        """Words side by side between two places, with a space between."""
        unit = (end - start) / max(1, sum(len(text) + 1 for text, _ in words) - 1)
        placed = []
        for text, confidence in words:
            placed.append(Word(text, confidence, self.cut(start, start + unit * len(text))))
            start += unit * (len(text) + 1)
        return placed

    def _point(self, which: int, share: float) -> Point:
        """The point of an edge at a share of its length."""
        edge, lengths = self._edges[which], self._lengths[which]
        wanted = min(max(share, 0.0), 1.0) * lengths[-1]
        after = bisect_left(lengths, wanted)
        if not 0 < after < len(edge):
            return edge[0] if after <= 0 else edge[-1]
        (ax, ay), (bx, by) = edge[after - 1], edge[after]
        part = (wanted - lengths[after - 1]) / (lengths[after] - lengths[after - 1])
        return ax + (bx - ax) * part, ay + (by - ay) * part


def _mean(words: Sequence[Word]) -> float:
    characters = sum(len(word.text) for word in words)
    return sum(word.confidence * len(word.text) for word in words) / characters if characters else 1.0


def _object(content: object, what: str, fields: Sequence[str] | None) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise BrokenDocument(f"{what} must be an object.")
    if fields is not None and (unknown := [name for name in content if name not in fields]):
        raise BrokenDocument(f"{what} has a field {_shown(unknown[0])}; its fields are {', '.join(fields)}.")
    return content


def _needed(content: Mapping[str, Any], field: str, where: str) -> Any:
    if field not in content:
        raise BrokenDocument(f"{where} has no {field}.")
    return content[field]


def _list(content: object, what: str, most: int) -> list[Any]:
    if not isinstance(content, list):
        raise BrokenDocument(f"{what} must be a list.")
    if len(content) > most:
        raise DocumentTooLarge(f"{what}: there are {len(content):,}; the limit is {most:,}.")
    return content


def _integer(value: object, what: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BrokenDocument(f"{what} must be a whole number from {least} to {most:,}.")
    return value


def _number(value: object, what: str) -> float:
    # Whole numbers may be too large for a float.
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e12:
        raise BrokenDocument(f"{what} must be a number that is not too large.")
    return float(value)


def _confidence(value: object, what: str) -> float:
    number = _number(value, what)
    if not 0 <= number <= 1:
        raise BrokenDocument(f"{what} must be between 0 and 1.")
    return number


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise BrokenDocument(f"{what} must be true or false.")
    return value


def _text(value: object, what: str, most: int) -> str:
    if not isinstance(value, str):
        raise BrokenDocument(f"{what} must be text.")
    if len(value) > most:
        raise DocumentTooLarge(f"{what} has {len(value):,} characters; the limit is {most:,}.")
    if found := _CONTROL.search(value):
        raise BrokenDocument(f"{what} has the character U+{ord(found[0]):04X}, which text of a line cannot have.")
    return value


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0] if found[0] in "\n\t\f" else "\ufffd", text)


def _points(content: object, what: str, least: int, size: tuple[int, int]) -> Points:
    listed = _list(content, what, MAX_POINTS)
    if len(listed) < least:
        raise BrokenDocument(f"{what} must have {least} points or more.")
    points = []
    for point in listed:
        if not isinstance(point, list) or len(point) != 2:
            raise BrokenDocument(f"{what} must be a list of points, each a list of x and y.")
        x, y = (_number(value, what) for value in point)
        if not (-_MARGIN <= x <= size[0] + _MARGIN and -_MARGIN <= y <= size[1] + _MARGIN):
            raise BrokenDocument(
                f"{what} has a point ({x:.1f}, {y:.1f}) outside the page of {size[0]} x {size[1]} pixels."
            )
        points.append((x, y))
    return tuple(points)


def _indices(content: object, what: str, lines: int) -> tuple[int, ...]:
    listed = _list(content, what, lines)
    return tuple(_integer(index, f"{what}, places of lines,", 0, lines - 1) for index in listed)


def _entries(content: object, what: str, parse: Callable[[object, str], Any]) -> dict[str, Any]:
    entries = _object(content, what, None)
    if len(entries) > MAX_ENTRIES:
        raise DocumentTooLarge(f"{what} has more than {MAX_ENTRIES} entries.")
    return {_text(name, what, 200): parse(value, what) for name, value in entries.items()}


def _shown(name: str) -> str:
    return repr(name[:40])
