"""Extract the text that a page of a PDF carries, as lines of words with their positions in the rendered page.

PDFium gives the characters of a page with their origin, width and direction. They are grouped by geometry alone, since
a PDF may have its words in any order, paint them twice, or have no spaces.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import pypdfium2

# Heights of a line above and below its baseline, in ems, as in the PDFs that `pdf_writer` writes.
ASCENDER, DESCENDER = 0.75, 0.25
# The same character within this many ems was painted again, to make it bold.
SAME_PLACE = 0.12
# Minimum gaps, in ems, beyond the usual gap between letters: between words, between cells or columns, and between cells
# or columns if the text has a space there; PDFium merges several spaces into one.
WORD_GAP, CELL_GAP, SPACED_GAP = 0.2, 1.0, 1.5
# Maximum distance of a letter from the baseline of its line, in ems; the relative size below which it can be an index
# or exponent, and the maximum distance of those.
SHIFT, SMALL, SMALL_SHIFT = 0.35, 0.85, 0.6
# Maximum overlap of consecutive letters, in ems, and maximum ratio of their sizes.
OVERLAP, MAX_SIZE_RATIO = 0.5, 2.5
# Minimum cosine of the angle between the directions of letters of one line.
SAME_DIRECTION = math.cos(math.radians(8))
# Lines with a larger share of characters without Unicode values are left out, since their text consists of font codes.
MAX_UNKNOWN_SHARE = 0.2
# The text of pages with more objects, text objects or characters is not extracted; newspapers and maps have fewer.
# PDFium's time grows with the square of the number of text objects, of which there may be one for each character.
MAX_OBJECTS, MAX_TEXT_OBJECTS, MAX_CHARACTERS = 100_000, 10_000, 30_000
# Number of a page's images that can cover text, the largest ones, and maximum depth of nested forms.
MAX_IMAGES, MAX_FORM_DEPTH = 100, 8
# Maximum number of lines that are compared with a text object to find the one that it continues.
MAX_OPEN_LINES = 8
# Fonts of symbols, such as those of bullets and check marks, have these characters for them.
_SYMBOLS = {
    0xF0B7: "•",
    0xF0A7: "▪",
    0xF0A8: "□",
    0xF0D8: "➢",
    0xF0FC: "✓",
    0xF0FE: "☑",
    0xF06F: "□",
    0xF02D: "-",
    0xF0E0: "→",
}
# PDFium's mark of a hyphen at the end of a line, and the soft hyphen.
_LINE_END_HYPHENS = (0x2, 0xAD)
_SPACES = {0x9, 0xA, 0xD, 0x20, 0xA0, 0x3000, *range(0x2000, 0x200B)}
# a to f of a matrix as PDF writes it: x' = a x + c y + e, y' = b x + d y + f.
Affine = tuple[float, float, float, float, float, float]


class LayerWord(NamedTuple):
    """A word of the text that a page carries, in pixels of the rendered page.

    Attributes
    ----------
    text : str
    start, end : (x, y)
        Where its baseline begins and ends.
    em : (x, y)
        The em of its letters, as a vector from the baseline upwards.
    """

    text: str
    start: tuple[float, float]
    end: tuple[float, float]
    em: tuple[float, float]


@dataclass(frozen=True)
class LayerLine:
    """A line of the text that a page carries.

    Attributes
    ----------
    words : tuple of LayerWord
        In reading order, which is from right to left in Arabic and Hebrew.
    hidden : bool
        Whether it is written invisibly or lies under an image, as OCR writes it.
    vertical : bool
        Whether upright characters stand below each other, as in Chinese and Japanese.
    font : int
        Tells the fonts of a page apart; that of the line's first character.
    """

    words: tuple[LayerWord, ...]
    hidden: bool = False
    vertical: bool = False
    font: int = 0

    @property
    def text(self) -> str:
        """The words, with a space between them."""
        return " ".join(word.text for word in self.words)

    def packed(self) -> list[Any]:
        """The line as a list for JSON; see `unpacked`."""
        words = [[word.text, *(round(value, 2) for pair in word[1:] for value in pair)] for word in self.words]
        return [words, self.hidden, self.vertical, self.font]

    @classmethod
    def unpacked(cls, packed: Sequence[Any]) -> LayerLine:
        """The line of which `packed` made a list."""
        words, *rest = packed
        return cls(tuple(LayerWord(text, (a, b), (c, d), (e, f)) for text, a, b, c, d, e, f in words), *rest)


@dataclass(slots=True, eq=False)
class Glyph:
    """A character on the rendered page, in pixels.

    Attributes
    ----------
    text : str
    x, y : float
        Where it stands on its baseline.
    across, down : float
        Unit vector of its direction.
    up : float
        1, or -1 where the text is mirrored.
    width, em : float
    hidden : bool
    unknown : bool
        Whether its font has no Unicode value for it.
    spaces : int
        Space characters before it.
    vertical : bool
    font : int
        Tells the fonts of a page apart.
    """

    text: str
    x: float
    y: float
    across: float
    down: float
    up: float
    width: float
    em: float
    hidden: bool = False
    unknown: bool = False
    spaces: int = 0
    vertical: bool = False
    font: int = 0

    def along(self, x: float, y: float) -> tuple[float, float]:
        """Return how far a point lies along the direction, and above the baseline."""
        right, below = x - self.x, y - self.y
        return right * self.across + below * self.down, self.up * (right * self.down - below * self.across)

    def place(self, along: float, above: float) -> tuple[float, float]:
        """Return the point that lies so far along the direction and above the baseline; the inverse of `along`."""
        above *= self.up
        return self.x + along * self.across + above * self.down, self.y + along * self.down - above * self.across


_Item = TypeVar("_Item")


def extract(page: pypdfium2.PdfPage, to_pixel: Affine, width: int, height: int) -> list[LayerLine]:
    """Return the lines of a page's own text, in no order.

    Parameters
    ----------
    page : PdfPage
    to_pixel : tuple of float
        The matrix from the page's own coordinates to pixels of the rendered page, as PDF writes matrices.
    width, height : int
        Pixels of the rendered page; what lies outside of it is not given.

    Returns
    -------
    list of LayerLine
    """
    return group(list(_glyphs(page, to_pixel, width, height)))


def group(glyphs: Sequence[Glyph]) -> list[LayerLine]:
    """Group the characters of a page, in the order in which the page paints them, into lines of words."""
    runs = _runs(_with_vertical(_once(glyphs)))
    return [line for each in _joined(runs) if (line := _line(each)) is not None]


# ---- What PDFium gives


@dataclass(slots=True)
class _Style:
    """What the characters of a text object share.

    Attributes
    ----------
    font : bytes
        Identifies its font.
    across, down, up : float
        See `Glyph`.
    em : float
        Pixels.
    along : float
        Pixels across for one of the font's units, which the characters' widths are stated in here.
    invisible : bool
    order : int
        Objects of the page that come later, and this one.
    """

    font: bytes
    across: float
    down: float
    up: float
    em: float
    along: float
    invisible: bool
    order: int


def _glyphs(page: pypdfium2.PdfPage, to_pixel: Affine, page_width: int, page_height: int) -> Iterator[Glyph]:
    """Yield the characters of a page in the order in which it paints them, but for those outside of it."""
    from ctypes import byref, c_double

    from pypdfium2 import raw

    objects = _Objects(page)
    if not objects.order or objects.are_too_many:
        return
    text = page.get_textpage()
    try:
        count = text.count_chars()
        if not 0 < count <= MAX_CHARACTERS:
            return
        handle = text.raw
        get_unicode, get_object, get_origin = (
            raw.FPDFText_GetUnicode,
            raw.FPDFText_GetTextObject,
            raw.FPDFText_GetCharOrigin,
        )
        a, b, c, d, e, f = to_pixel
        styles: dict[bytes, _Style | None] = {}
        # The width of a character in units of its font, and its text, by font and code.
        known: dict[tuple[bytes, int], tuple[float, str]] = {}
        fonts: dict[bytes, int] = {}
        x, y = c_double(), c_double()
        at = byref(x), byref(y)
        spaces = 0
        before: tuple[bytes, float, float] | None = None
        glyph: Glyph | None = None
        for index in range(count):
            code = get_unicode(handle, index)
            own = get_object(handle, index)
            # Spaces and line ends that PDFium has put in have no object; they are found by the gaps again.
            if not own:
                continue
            if code in _SPACES:
                spaces += 1
                continue
            # A pointer is itself no key.
            address = bytes(own)
            if address not in styles:
                styles[address] = _style(handle, index, own, to_pixel, objects)
            style = styles[address]
            # Of letters as large as the page no more than a part is shown.
            if style is None or style.em > max(page_width, page_height) or not get_origin(handle, index, *at):
                continue
            if (style.font, code) not in known:
                wide = _size(handle, index, to_pixel, style.across, style.down)[0]
                known[style.font, code] = min(wide, 4 * style.em) / style.along, character(handle, index)
            ratio, value = known[style.font, code]
            own_x, own_y = x.value, y.value
            # PDFium makes several characters of a ligature, at one place.
            if glyph is not None and before == (address, own_x, own_y):
                glyph.text += value
                continue
            if glyph is not None:
                yield glyph
            before = address, own_x, own_y
            glyph = Glyph(
                value,
                a * own_x + c * own_y + e,
                b * own_x + d * own_y + f,
                style.across,
                style.down,
                style.up,
                ratio * style.along,
                style.em,
                style.invisible or (objects.images != [] and objects.is_covered(style.order, own_x, own_y)),
                not value,
                spaces,
                font=fonts.setdefault(style.font, len(fonts)),
            )
            spaces = 0
            middle_x, middle_y = glyph.place(glyph.width / 2, glyph.em / 4)
            # Comparisons with what is no number are false.
            if not (0 <= middle_x <= page_width and 0 <= middle_y <= page_height):
                glyph = None
        if glyph is not None:
            yield glyph
    finally:
        text.close()


def _style(handle: Any, index: int, own: Any, to_pixel: Affine, objects: _Objects) -> _Style | None:
    """What the characters of a text object share, by one of them; None if they have no size."""
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(handle, index, matrix):
        return None
    a, b, c, d, _, _ = to_pixel
    right_x, right_y = a * matrix.a + c * matrix.b, b * matrix.a + d * matrix.b
    up_x, up_y = a * matrix.c + c * matrix.d, b * matrix.c + d * matrix.d
    length, size = math.hypot(right_x, right_y), abs(raw.FPDFText_GetFontSize(handle, index))
    em = size * math.hypot(up_x, up_y)
    if not (0 < em < math.inf and 0 < size * length < math.inf):
        return None
    across, down = right_x / length, right_y / length
    high = _size(handle, index, to_pixel, across, down)[1]
    # The em that some fonts state is far from the size of their letters.
    if 0 < high < math.inf and not 0.4 < em / high < 2.5:
        em = high / 1.2
    mode = raw.FPDFTextObj_GetTextRenderMode(own)
    return _Style(
        bytes(raw.FPDFTextObj_GetFont(own)),
        across,
        down,
        -1.0 if right_x * up_y - right_y * up_x > 0 else 1.0,
        em,
        size * length,
        mode in (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP),
        objects.order.get(bytes(own), 0),
    )


def _size(handle: Any, index: int, to_pixel: Affine, across: float, down: float) -> tuple[float, float]:
    """The width and height of a character's cell, in pixels."""
    from pypdfium2 import raw

    box = raw.FS_RECTF()
    if not raw.FPDFText_GetLooseCharBox(handle, index, box):
        return 0.0, 0.0
    left, bottom, right, top = _moved((box.left, box.bottom, box.right, box.top), to_pixel)
    wide, high = _sides(right - left, top - bottom, abs(across), abs(down))
    return (wide, high) if math.isfinite(wide + high) else (0.0, 0.0)


def _sides(box_x: float, box_y: float, cosine: float, sine: float) -> tuple[float, float]:
    """The width and height of a rectangle, turned by an angle, that has a bounding box of this size."""
    determinant = cosine * cosine - sine * sine
    if abs(determinant) < 0.2:
        # Near half a right angle the box does not tell one from the other; letters are twice as tall as wide.
        high = box_x / (0.5 * cosine + sine)
        return 0.5 * high, high
    wide, high = (box_x * cosine - box_y * sine) / determinant, (box_y * cosine - box_x * sine) / determinant
    return max(wide, 0.0), max(high, 0.0)


def character(handle: Any, index: int) -> str:
    """Return a character of PDFium's text of a page; empty if its font does not tell which of Unicode's it is."""
    from pypdfium2 import raw

    if raw.FPDFText_HasUnicodeMapError(handle, index) == 1:
        return ""
    code = raw.FPDFText_GetUnicode(handle, index)
    if code in _LINE_END_HYPHENS:
        return "\xad"
    if code in _SYMBOLS:
        return _SYMBOLS[code]
    if code > 0x10FFFF or unicodedata.category(chr(code)) in ("Cc", "Cn", "Co", "Cs") or code == 0xFFFD:
        return ""
    if unicodedata.category(chr(code)) in ("Zl", "Zp"):
        # They would end a line of text within a line of the page.
        return " "
    if unicodedata.category(chr(code)) == "Cf":
        # Marks of direction and joining have no place of their own.
        return "\u200b"
    # Ligatures, and the forms of Arabic letters.
    return unicodedata.normalize("NFKC", chr(code)) if 0xFB00 <= code <= 0xFEFC else chr(code)


class _Objects:
    """The text and the images of a page, in the order in which it shows them.

    Attributes
    ----------
    order : dict of bytes to int
        For the address of a text object, how many objects come later, and this one.
    images : list of (float, (float, float, float, float), int)
        The area of each opaque image, the largest first, its left, bottom, right and top, and its order.
    """

    def __init__(self, page: pypdfium2.PdfPage) -> None:
        from pypdfium2 import raw

        self.order: dict[bytes, int] = {}
        self.images: list[tuple[float, tuple[float, float, float, float], int]] = []
        self._left = MAX_OBJECTS
        get = partial(raw.FPDFPage_GetObject, page)
        self._walk(raw.FPDFPage_CountObjects(page), get, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0), 0)
        self.images.sort(reverse=True)
        del self.images[MAX_IMAGES:]

    @property
    def are_too_many(self) -> bool:
        """Whether looking at all of them would take too long."""
        return self._left < 0 or len(self.order) > MAX_TEXT_OBJECTS

    def _walk(self, count: int, get: Callable[[int], Any], frame: Affine, depth: int) -> None:
        from ctypes import c_float

        from pypdfium2 import raw

        sides = left, bottom, right, top = (c_float(), c_float(), c_float(), c_float())
        for index in range(count):
            self._left -= 1
            if self._left < 0:
                return
            each = get(index)
            kind = raw.FPDFPageObj_GetType(each)
            if kind == raw.FPDF_PAGEOBJ_TEXT:
                self.order[bytes(each)] = self._left
            elif kind == raw.FPDF_PAGEOBJ_IMAGE:
                if raw.FPDFPageObj_GetBounds(each, *sides) and not raw.FPDFPageObj_HasTransparency(each):
                    box = _moved((left.value, bottom.value, right.value, top.value), frame)
                    self.images.append(((box[2] - box[0]) * (box[3] - box[1]), box, self._left))
            elif kind == raw.FPDF_PAGEOBJ_FORM and depth < MAX_FORM_DEPTH:
                matrix = raw.FS_MATRIX()
                if raw.FPDFPageObj_GetMatrix(each, matrix):
                    own = matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f
                    inner = partial(raw.FPDFFormObj_GetObject, each)
                    self._walk(raw.FPDFFormObj_CountObjects(each), inner, _product(own, frame), depth + 1)

    def is_covered(self, order: int, x: float, y: float) -> bool:
        """Return whether an image that is shown later lies over a point of an object."""
        return any(
            later < order and left <= x <= right and bottom <= y <= top
            for _, (left, bottom, right, top), later in self.images
        )


def _product(first: Affine, second: Affine) -> Affine:
    """The matrix that applies the first and then the second, each with the entries a to f of a PDF's ``cm``."""
    a, b, c, d, e, f = first
    p, q, r, s, t, u = second
    return (
        a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u
    )  # fmt: skip


def _moved(box: tuple[float, float, float, float], frame: Affine) -> tuple[float, float, float, float]:
    """The bounding box of a box that a matrix moves."""
    a, b, c, d, e, f = frame
    points = [(a * x + c * y + e, b * x + d * y + f) for x in box[::2] for y in box[1::2]]
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


# ---- Lines


def _once(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """The characters without those that are painted again at their place, which is how letters are made bold."""
    kept: list[Glyph] = []
    places: dict[tuple[str, int, int, int], list[Glyph]] = defaultdict(list)
    for glyph in glyphs:
        reach = max(SAME_PLACE * glyph.em, 0.5)
        # Cells twice as wide as the reach or more, of one size for letters of about one size.
        exponent = math.ceil(math.log2(2 * reach))
        cell = 2.0**exponent
        columns = {math.floor((glyph.x - reach) / cell), math.floor((glyph.x + reach) / cell)}
        rows = {math.floor((glyph.y - reach) / cell), math.floor((glyph.y + reach) / cell)}
        again = next(
            (
                other
                for column in columns
                for row in rows
                for other in places.get((glyph.text, exponent, column, row), ())
                if abs(other.x - glyph.x) <= reach and abs(other.y - glyph.y) <= reach
            ),
            None,
        )
        if again is not None:
            # Text that is shown may be written invisibly, too.
            again.hidden &= glyph.hidden
            continue
        kept.append(glyph)
        places[glyph.text, exponent, math.floor(glyph.x / cell), math.floor(glyph.y / cell)].append(glyph)
    return kept


def _with_vertical(glyphs: list[Glyph]) -> list[Glyph]:
    """The characters, those of vertical writing turned so that their line runs downwards."""
    below = [False] * len(glyphs)
    for index, (upper, lower) in enumerate(pairwise(glyphs)):
        if _is_ideographic(upper.text) and _is_ideographic(lower.text):
            along, above = upper.along(lower.x, lower.y)
            below[index + 1] = abs(along) < SHIFT * upper.em and 0.7 * upper.em < -above < 1.6 * upper.em
    turned = []
    for index, glyph in enumerate(glyphs):
        if below[index] or (index + 1 < len(glyphs) and below[index + 1]):
            # A cell of one em whose left edge is where the character stands, read from its top.
            x, y = glyph.place(DESCENDER * glyph.em, ASCENDER * glyph.em)
            down = glyph.up * -glyph.down, glyph.up * glyph.across
            turned.append(replace(glyph, x=x, y=y, across=down[0], down=down[1], width=glyph.em, vertical=True))
        else:
            turned.append(glyph)
    return turned


def _is_ideographic(text: str) -> bool:
    return bool(text) and unicodedata.east_asian_width(text[0]) in "WF"


def _is_rtl(text: str) -> bool:
    return bool(text) and unicodedata.bidirectional(text[0]) in ("R", "AL")


def _runs(glyphs: Sequence[Glyph]) -> list[list[Glyph]]:
    """The characters in runs, each from left to right along one baseline."""
    runs: list[list[Glyph]] = []
    for glyph in glyphs:
        run = runs[-1] if runs else None
        if run is not None and _fits(run[-1], glyph):
            if _follows(run[-1], glyph, glyph.spaces):
                run.append(glyph)
                continue
            # From right to left, each character stands left of the one before.
            rtl = _is_rtl(glyph.text) or (_is_rtl(run[0].text) and not glyph.text.isalnum())
            if rtl and _follows(glyph, run[0], glyph.spaces):
                run[0].spaces, glyph.spaces = glyph.spaces, 0
                run.insert(0, glyph)
                continue
        runs.append([glyph])
    return runs


def _fits(one: Glyph, other: Glyph) -> bool:
    """Whether two characters may be of one line by their direction and size."""
    return (
        one.across * other.across + one.down * other.down > SAME_DIRECTION
        and one.up == other.up
        and one.vertical == other.vertical
        and max(one.em, other.em) <= MAX_SIZE_RATIO * min(one.em, other.em)
    )


def _follows(left: Glyph, right: Glyph, spaces: int) -> bool:
    """Whether a character stands right of another, on its baseline, with no more between them than between words."""
    em = max(left.em, right.em)
    along, above = left.along(right.x, right.y)
    most = SPACED_GAP if spaces else CELL_GAP
    shift = SMALL_SHIFT if min(left.em, right.em) < SMALL * em else SHIFT
    return abs(above) <= shift * em and -OVERLAP * em <= along - left.width <= most * em


def _joined(runs: Sequence[list[Glyph]]) -> list[list[Glyph]]:
    """The characters of each line from left to right, of runs that the page paints in any order."""
    directions: dict[int, list[list[Glyph]]] = defaultdict(list)
    for run in runs:
        directions[round(math.degrees(math.atan2(run[0].down, run[0].across)) / 10) % 36].append(run)
    joined: list[list[Glyph]] = []
    for direction, group_of_runs in directions.items():
        across, down = math.cos(math.radians(10 * direction)), math.sin(math.radians(10 * direction))
        size = median(run[0].em for run in group_of_runs)

        def reach(glyph: Glyph, across: float = across, down: float = down) -> float:
            return glyph.x * across + glyph.y * down

        def level(glyph: Glyph, across: float = across, down: float = down, size: float = size) -> int:
            return round((glyph.y * across - glyph.x * down) / size)

        lines: list[list[Glyph]] = []
        # How far lines reach, and the lines, by the level of their last character; of many, the latest.
        ends: dict[int, deque[tuple[float, list[Glyph]]]] = defaultdict(partial(deque, maxlen=MAX_OPEN_LINES))
        for run in sorted(group_of_runs, key=lambda run: reach(run[0])):
            start = run[0]
            behind = reach(start) - 2 * SPACED_GAP * start.em
            near = (each for step in (-1, 0, 1) for each in ends.get(level(start) + step, ()))
            fitting = [
                line
                for end, line in near
                if end > behind and _fits(line[-1], start) and _follows(line[-1], start, start.spaces)
            ]
            if fitting:
                line = min(fitting, key=lambda line: abs(line[-1].along(start.x, start.y)[1]))
                line += run
            else:
                line = list(run)
                lines.append(line)
            ends[level(line[-1])].append((reach(line[-1]) + line[-1].width, line))
        joined += lines
    return joined


def _line(glyphs: Sequence[Glyph]) -> LayerLine | None:
    """The line of some characters, which stand from left to right; None if it has no text."""
    unknown = sum(glyph.unknown for glyph in glyphs)
    if unknown > MAX_UNKNOWN_SHARE * len(glyphs):
        return None
    gaps = [left.along(right.x, right.y)[0] - left.width for left, right in pairwise(glyphs)]
    # Where letters are spaced out, so are words.
    usual = median([gap / glyph.em for gap, glyph in zip(gaps, glyphs[1:], strict=True) if not glyph.spaces] or [0.0])
    wide = WORD_GAP + min(max(usual, 0.0), CELL_GAP / 2)
    parts = [[glyphs[0]]]
    for gap, glyph in zip(gaps, glyphs[1:], strict=True):
        if glyph.spaces or gap > wide * glyph.em:
            parts.append([])
        parts[-1].append(glyph)
    words = [word for part in parts if (word := _word(part)).text]
    if not words:
        return None
    letters = [character for word in words for character in word.text if character.isalpha()]
    if 2 * sum(map(_is_rtl, letters)) > len(letters):
        words = _logical(words, lambda word: any(map(_is_rtl, word.text)))
    hidden = 2 * sum(glyph.hidden for glyph in glyphs) > len(glyphs)
    return LayerLine(tuple(words), hidden, glyphs[0].vertical, glyphs[0].font)


def _word(glyphs: Sequence[Glyph]) -> LayerWord:
    # Indices and exponents do not tell where the baseline is.
    em = max(glyph.em for glyph in glyphs)
    main = [glyph for glyph in glyphs if glyph.em >= 0.8 * em]
    origin = main[0]
    above = median(origin.along(glyph.x, glyph.y)[1] for glyph in main)
    first = origin.along(glyphs[0].x, glyphs[0].y)[0]
    last = max(origin.along(*glyph.place(glyph.width, 0.0))[0] for glyph in glyphs)
    start, end = origin.place(first, above), origin.place(max(last, first + 0.1 * em), above)
    top = origin.place(first, above + em)
    ordered = [glyph.text for glyph in glyphs if not glyph.unknown]
    if 2 * sum(map(_is_rtl, ordered)) > len(ordered):
        ordered = _logical(ordered, lambda text: _is_rtl(text) or not text.isalnum())
    # A hyphen that PDFium takes for one of a divided word is shown; elsewhere a soft hyphen is not.
    text = "".join(ordered[:-1]).replace("\xad", "") + "".join(ordered[-1:]).replace("\xad", "-")
    return LayerWord(text.replace("\u200b", ""), start, end, (top[0] - start[0], top[1] - start[1]))


def _logical(items: Sequence[_Item], is_rtl: Callable[[_Item], bool]) -> list[_Item]:
    """What stands from left to right as it is read in a script from right to left: numbers keep their direction."""
    ordered: list[_Item] = []
    for rtl, part in groupby(reversed(items), key=is_rtl):
        together = list(part)
        ordered += together if rtl else together[::-1]
    return ordered
