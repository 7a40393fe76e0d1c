"""Write PDF files: pages that show an image, with invisible text over every word.

None of the libraries at hand does all of this: text that is exactly as large as its word in any script without a font
of that script, JPEG and PNG pixels taken over as they are compressed, and a file that is written page by page.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import atan2, hypot, pi

from paragraph_ocr.document import Page, Point, Word

# Of an em, below the baseline; the font's one glyph is an em high and half of one wide.
_DESCENT = 0.25
_ADVANCE = 0.5


@dataclass(frozen=True)
class TextLayer:
    """The words of a page, to be written invisibly.

    Attributes
    ----------
    width, height : int
        Pixels of the page.
    words : sequence of (float, float, str)
        Each word's middle, in pixels from the upper left, and the operators that write it.
    turn : int
        Quarters anticlockwise by which the page is shown turned.
    beside : bool
        Whether words are written even where the page of a PDF has text.
    instead : bool
        Whether text that the page of a PDF has invisibly is removed.
    """

    width: int
    height: int
    words: Sequence[tuple[float, float, str]]
    turn: int = 0
    beside: bool = False
    instead: bool = False

    @classmethod
    def of(cls, page: Page) -> TextLayer:
        """The layer of a page: the text of every word that was read fills the word's polygon."""
        words = []
        read = [line for line in page.lines if not line.source]
        turn = page.rotation // 90 if page.upright else 0
        for line in read:
            cells = [_Cell.of(word) for word in line.words]
            if cells and cells[0].is_upside_down(turn):
                words.append((cells[0].x, cells[0].y, _as_one(cells)))
                continue
            for cell in cells:
                ems = _ADVANCE * len(cell.text)
                values = (cell.along[0] / ems, cell.along[1] / ems, *cell.up, *cell.start)
                # Readers that see no gap between two words find the space; it reaches into the gap, or the next word.
                codes = (cell.text + " " * (cell is not cells[-1])).encode("utf-16-be").hex()
                words.append((cell.x, cell.y, f"{_numbers(values)} Tm<{codes}>Tj"))
        return cls(page.width, page.height, words, turn, page.wrong_text, len(read) == len(page.lines))

    def turning(self, width: float, height: float) -> str:
        """The operator that turns a page of so many points."""
        matrices = (
            "1 0 0 1 0 0",
            f"0 1 -1 0 {height:.4f} 0",
            f"-1 0 0 -1 {width:.4f} {height:.4f}",
            f"0 -1 1 0 0 {width:.4f}",
        )
        return f"{matrices[self.turn]} cm"

    def content(self, scale: float) -> str:
        """The operators of the whole layer, for a page of `scale` points a pixel."""
        # A layer over a page that someone else wrote begins with what that page's text was set in.
        operators = "\n".join(operators for _, _, operators in self.words)
        frame = f"{scale:.6f} 0 0 {-scale:.6f} 0 {scale * self.height:.6f} cm"
        return f"q {frame} BT 0 Tc 0 Tw 100 Tz 0 Ts 3 Tr /F 1 Tf\n{operators}\nET Q"


@dataclass(frozen=True)
class _Cell:
    """A word's text, its middle, its edges along the baseline and upwards, and where its baseline begins."""

    text: str
    x: float
    y: float
    along: Point
    up: Point
    start: Point

    @classmethod
    def of(cls, word: Word) -> _Cell:
        half = len(word.polygon) // 2
        (ax, ay), (bx, by) = word.polygon[0], word.polygon[half - 1]
        (cx, cy), (dx, dy) = word.polygon[half], word.polygon[-1]
        along = ((bx - ax + cx - dx) / 2, (by - ay + cy - dy) / 2)
        up = ((ax - dx + bx - cx) / 2, (ay - dy + by - cy) / 2)
        x, y = (ax + bx + cx + dx) / 4, (ay + by + cy + dy) / 4
        start = (x - along[0] / 2 + (_DESCENT - 0.5) * up[0], y - along[1] / 2 + (_DESCENT - 0.5) * up[1])
        return cls(word.text, x, y, along, up, start)

    def is_upside_down(self, turn: int) -> bool:
        """Whether it is on a page that is turned by so many quarters anticlockwise."""
        quarter = round(atan2(self.along[1], self.along[0]) / (pi / 2))
        return (quarter - turn) % 4 == 2


def _as_one(cells: Sequence[_Cell]) -> str:
    """The operators that write the words of a line as one string, each of its characters moved to its place.

    PDFium, and so Chrome, puts the strings of a line in the order in which they stand from left to right, which is the
    wrong one for a line that is upside down.
    """
    first, last = cells[0], cells[-1]
    end = (last.start[0] + last.along[0], last.start[1] + last.along[1])
    across, down = end[0] - first.start[0], end[1] - first.start[1]
    length = max(hypot(across, down), 1e-3)
    across, down = across / length, down / length

    def reach(x: float, y: float) -> float:
        return (x - first.start[0]) * across + (y - first.start[1]) * down

    places: list[tuple[str, float]] = []
    for cell in cells:
        begin, wide = reach(*cell.start), cell.along[0] * across + cell.along[1] * down
        places += [(text, begin + wide * at / len(cell.text)) for at, text in enumerate(cell.text)]
        if cell is not last:
            places.append((" ", begin + wide))
    # No character is narrower than its place, or a reader would find spaces between them.
    widths = [hypot(*cell.along) / (len(cell.text.encode("utf-16-be")) / 2) for cell in cells]
    em = max(*widths, 1e-3) / _ADVANCE
    shown = []
    at = 0.0
    for text, place in places:
        # Thousandths of an em to the left.
        shown.append(f"{round(-1000 * (place - at) / em)}<{text.encode('utf-16-be').hex()}>")
        at = place + em * _ADVANCE * len(text.encode("utf-16-be")) / 2
    up = [sum(cell.up[axis] for cell in cells) / len(cells) for axis in (0, 1)]
    return f"{_numbers((em * across, em * down, *up, *first.start))} Tm[{''.join(shown)}]TJ"


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


class Writer:
    """Writes a PDF of pages that may show an image and use one font, F, whose characters are UTF-16 units."""

    def __init__(self) -> None:
        # The catalogue and the tree of the pages have the first numbers, and are written last.
        self._offsets = [0, 0]
        self._parts = [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"]
        self._size = len(self._parts[0])
        self._pages: list[int] = []
        font = _font()
        to_unicode = self.add_stream("/Filter/FlateDecode", zlib.compress(_TO_UNICODE))
        # Every character is the font's one glyph.
        glyphs = self.add_stream("/Filter/FlateDecode", zlib.compress(bytes(2 * 0x10000)))
        file = self.add_stream(f"/Length1 {len(font)}", font)
        bottom, top, width = (round(1000 * share) for share in (-_DESCENT, 1 - _DESCENT, _ADVANCE))
        descriptor = self._add(
            f"<</Type/FontDescriptor/FontName/Invisible/Flags 4/FontBBox[0 {bottom} {width} {top}]/ItalicAngle 0"
            f"/Ascent {top}/Descent {bottom}/CapHeight {top}/StemV 80/FontFile2 {file} 0 R>>"
        )
        descendant = self._add(
            "<</Type/Font/Subtype/CIDFontType2/BaseFont/Invisible/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)"
            f"/Supplement 0>>/FontDescriptor {descriptor} 0 R/DW {width}/CIDToGIDMap {glyphs} 0 R>>"
        )
        self._font = self._add(
            "<</Type/Font/Subtype/Type0/BaseFont/Invisible/Encoding/Identity-H"
            f"/DescendantFonts[{descendant} 0 R]/ToUnicode {to_unicode} 0 R>>"
        )

    def add_stream(self, entries: str, content: bytes) -> int:
        """Add a stream with some entries of its dictionary; return its number."""
        return self._add(f"<<{entries}/Length {len(content)}>>stream\n".encode() + content + b"\nendstream")

    def add_page(self, width: float, height: float, operators: str, image: int | None = None) -> None:
        """Add a page, in points; its operators know the font as F and the image of that number as I."""
        content = self.add_stream("/Filter/FlateDecode", zlib.compress(operators.encode()))
        images = f"/XObject<</I {image} 0 R>>" if image else ""
        self._pages.append(
            self._add(
                f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width:.4f} {height:.4f}]/Contents {content} 0 R"
                f"/Resources<</Font<</F {self._font} 0 R>>{images}>>>>"
            )
        )

    def flush(self) -> bytes:
        """Return the next part of the file: everything added since the last call."""
        part = b"".join(self._parts)
        self._parts.clear()
        return part

    def finish(self, title: str) -> bytes:
        """The rest of the file, with a title."""
        info = self._add(f"<</Producer(paragraph-ocr)/Title<FEFF{title.encode('utf-16-be', 'replace').hex()}>>>")
        kids = " ".join(f"{page} 0 R" for page in self._pages)
        self._write(1, "<</Type/Catalog/Pages 2 0 R>>")
        self._write(2, f"<</Type/Pages/Count {len(self._pages)}/Kids[{kids}]>>")
        table = ["0000000000 65535 f \n", *(f"{offset:010} 00000 n \n" for offset in self._offsets)]
        self._parts.append(
            f"xref\n0 {len(table)}\n{''.join(table)}"
            f"trailer\n<</Size {len(table)}/Root 1 0 R/Info {info} 0 R>>\nstartxref\n{self._size}\n%%EOF\n".encode()
        )
        return self.flush()

    def _add(self, body: str | bytes) -> int:
        self._offsets.append(0)
        self._write(len(self._offsets), body)
        return len(self._offsets)

    def _write(self, number: int, body: str | bytes) -> None:
        part = f"{number} 0 obj\n".encode() + (body.encode() if isinstance(body, str) else body) + b"\nendobj\n"
        self._offsets[number - 1] = self._size
        self._parts.append(part)
        self._size += len(part)


# The characters are numbered as Unicode numbers them.
_TO_UNICODE = b"""/CIDInit/ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def
/CMapName/Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000><FFFF>
endcodespacerange
1 beginbfrange
<0000><FFFF><0000>
endbfrange
endcmap
CMapName currentdict/CMap defineresource pop
end
end
"""


def _font() -> bytes:
    """A TrueType font of one glyph, which has a size and draws nothing.

    It has the tables that PDF asks of a font (ISO 32000-1, 9.9), as the OpenType specification lays them out. The glyph
    is two outlines of a single point each, in opposite corners of its box.
    """
    em = 1000
    bottom, top, width = round(-_DESCENT * em), round((1 - _DESCENT) * em), round(_ADVANCE * em)
    corners = struct.pack(">2B4h", 1, 1, 0, width, bottom, top - bottom)
    glyph = struct.pack(">5h3H", 2, 0, bottom, width, top, 0, 1, 0) + corners
    glyph += bytes(-len(glyph) % 4)
    tables = {
        b"glyf": glyph,
        b"head": struct.pack(
            ">4I2H2q4h2H3h", 0x10000, 0x10000, 0, 0x5F0F3CF5, 0, em, 0, 0, 0, bottom, width, top, 0, 8, 2, 0, 0
        ),
        b"hhea": struct.pack(">I3hH11hH", 0x10000, top, bottom, 0, width, 0, 0, width, 1, 0, 0, 0, 0, 0, 0, 0, 1),
        b"hmtx": struct.pack(">Hh", width, 0),
        b"loca": struct.pack(">2H", 0, len(glyph) // 2),
        b"maxp": struct.pack(">I14H", 0x10000, 1, 2, 2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0),
    }
    directory, content = b"", b""
    for tag, table in tables.items():
        padded = table + bytes(-len(table) % 4)
        checksum = sum(struct.unpack(f">{len(padded) // 4}I", padded)) % 2**32
        directory += struct.pack(">4s3I", tag, checksum, 12 + 16 * len(tables) + len(content), len(table))
        content += padded
    return struct.pack(">I4H", 0x10000, len(tables), 64, 2, 16 * len(tables) - 64) + directory + content
