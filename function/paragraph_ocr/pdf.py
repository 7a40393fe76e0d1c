"""Write a document that was read as a PDF that shows its file, with invisible text over every word."""

from __future__ import annotations

import math
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING

from paragraph_ocr.errors import DeadlineExceeded

if TYPE_CHECKING:
    from PIL import Image

    from paragraph_ocr.document import Document, Page
    from paragraph_ocr.imaging import Limits, Source

# Of an em, below the baseline; the font's one glyph is an em high and half of one wide.
_DESCENT = 0.25
_ADVANCE = 0.5
_POINTS_PER_INCH = 72
# What images claim beside these is a placeholder rather than a measurement.
_LIKELY_DOTS_PER_INCH = range(100, 2401)
_DEFAULT_DOTS_PER_INCH = 200
# ISO 32000-1, annex C.
_MAX_SIDE = 14400.0
_JPEG_QUALITY = 90
# Pixels that are compressed in this process, in a fifth of a second; more are in one that can be ended.
MAX_PIXELS_HERE = 1_000_000
# Less than half the time of the usual 6, for a tenth more bytes.
_PNG_LEVEL = 3
# Channels of the colour types that have neither a palette nor transparency (PNG 1.2, 4.1.1).
_PLAIN_PNG = {0: 1, 2: 3}
# Where the upright page's right and upper edge lie for the pixels as they are stored: x, y of both, for each EXIF
# orientation, in a page that is one unit wide and high.
_UPRIGHT = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, -1, -1, 0),
    6: (0, -1, 1, 0),
    7: (0, 1, 1, 0),
    8: (0, 1, -1, 0),
}
_LOSSY = {"AVIF", "HEIF", "WEBP"}
_LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp"}


@dataclass(frozen=True)
class TextLayer:
    """The words of a page, to be written invisibly.

    Attributes
    ----------
    width, height : int
        Pixels of the page.
    words : sequence of (float, float, str)
        Each word's middle, in pixels from the upper left, and the operators that write it.
    """

    width: int
    height: int
    words: Sequence[tuple[float, float, str]]

    @classmethod
    def of(cls, page: Page) -> TextLayer:
        """The layer of a page that was read: every word's text fills the word's polygon."""
        words = []
        for line in page.lines:
            for word in line.words:
                half = len(word.polygon) // 2
                (ax, ay), (bx, by) = word.polygon[0], word.polygon[half - 1]
                (cx, cy), (dx, dy) = word.polygon[half], word.polygon[-1]
                along = ((bx - ax + cx - dx) / 2, (by - ay + cy - dy) / 2)
                up = ((ax - dx + bx - cx) / 2, (ay - dy + by - cy) / 2)
                x, y = (ax + bx + cx + dx) / 4, (ay + by + cy + dy) / 4
                start = [m - a / 2 + (_DESCENT - 0.5) * u for m, a, u in zip((x, y), along, up, strict=True)]
                ems = _ADVANCE * len(word.text)
                matrix = " ".join(f"{value:.2f}" for value in (along[0] / ems, along[1] / ems, *up, *start))
                # Readers that see no gap between two words find the space; it reaches into the gap, or the next word.
                codes = (word.text + " " * (word is not line.words[-1])).encode("utf-16-be").hex()
                words.append((x, y, f"{matrix} Tm<{codes}>Tj"))
        return cls(page.width, page.height, words)

    def content(self, scale: float) -> str:
        """The operators of the whole layer, for a page of `scale` points a pixel."""
        # A layer over a page that someone else wrote begins with what that page's text was set in.
        operators = "\n".join(operators for _, _, operators in self.words)
        frame = f"{scale:.6f} 0 0 {-scale:.6f} 0 {scale * self.height:.6f} cm"
        return f"q {frame} BT 0 Tc 0 Tw 100 Tz 0 Ts 3 Tr /F 1 Tf\n{operators}\nET Q"


def searchable(
    document: Document, data: bytes | Source, deadline: float = math.inf, max_memory: int | None = None
) -> Iterator[bytes]:
    """Yield a PDF of what was read, in parts.

    A PDF is kept as it is, with the text added where it has none. Of other files, each page is shown: the pixels of a
    JPEG as they were sent, all others without loss where they came without.

    Parameters
    ----------
    document : Document
    data : bytes or Source
        The file that was read.
    deadline : float
        As `perf_counter` tells the time.
    max_memory : int, optional
        Bytes that decoding and compressing it again may take; those of `imaging.Limits` when left out.

    Raises
    ------
    DeadlineExceeded
        The deadline is over.
    TooLarge
        It takes more memory.
    """
    from paragraph_ocr.imaging import DEFAULT_LIMITS, Limits, Source, format_of

    source = data if isinstance(data, Source) else Source(data)
    # The limits of the file were those of reading.
    memory = DEFAULT_LIMITS.max_memory if max_memory is None else max_memory
    limits = Limits(*(sys.maxsize,) * 4, deadline - perf_counter(), memory)
    layers = map(TextLayer.of, document.pages)
    if format_of(source.data) == "PDF":
        try:
            written = source.pdf(limits).overlay(layers, deadline)
        finally:
            if source is not data:
                source.close()
        yield written
        return
    writer = Writer()
    for layer, picture in zip(layers, _pictures(source.data, limits, len(document.pages), deadline), strict=True):
        if perf_counter() > deadline:
            raise DeadlineExceeded("Writing the PDF takes longer than the limit; send fewer pages.")
        dots = picture.dots_per_inch if picture.dots_per_inch in _LIKELY_DOTS_PER_INCH else _DEFAULT_DOTS_PER_INCH
        scale = min(_POINTS_PER_INCH / dots, _MAX_SIDE / max(layer.width, layer.height))
        width, height = layer.width * scale, layer.height * scale
        a, b, c, d = _UPRIGHT[picture.orientation]
        matrix = (a * width, b * height, c * width, d * height, -min(a + c, 0) * width, -min(b + d, 0) * height)
        shown = f"q {' '.join(f'{value:.4f}' for value in matrix)} cm /I Do Q\n"
        writer.add_page(
            width, height, shown + layer.content(scale), writer.add_stream(picture.entries, picture.content)
        )
        yield writer.take()
    yield writer.finish(document.image)


@dataclass(frozen=True)
class _Picture:
    """An image as PDF has it: the entries of its dictionary, its bytes, and how it is to be shown."""

    entries: str
    content: bytes
    orientation: int
    dots_per_inch: int


def _pictures(data: bytes, limits: Limits, count: int, deadline: float) -> Iterator[_Picture]:
    from PIL import Image

    from paragraph_ocr import imaging

    name = imaging.format_of(data)
    if name in ("JPEG", "PNG"):
        # The header is enough for what PDF takes as it is.
        with Image.open(BytesIO(data), formats=(name,)) as image:
            if name == "JPEG":
                yield _Picture(*_lossy(image, data), imaging.orientation(image), _dots_per_inch(image))
                return
            if data[25] in _PLAIN_PNG and not image.info.get("interlace") and not image.has_transparency_data:
                yield _Picture(*_lossless(image, data), imaging.orientation(image), _dots_per_inch(image))
                return
    if imaging.is_small(data, MAX_PIXELS_HERE // count, limits):
        yield from map(_picture, imaging.frames(data, limits))
        return
    with imaging.start(data, name, {}, limits.max_memory, limits) as process:
        for _ in range(count):
            header, content = process.answer(deadline - perf_counter())
            yield _Picture(**header, content=bytes(content))


def send_pictures(data: bytes, limits: Limits) -> None:
    """Send an image's pages as a PDF shows them, from within a process for it."""
    from paragraph_ocr.confined import send
    from paragraph_ocr.imaging import frames

    for frame in frames(data, limits):
        picture = asdict(_picture(frame))
        send(picture, picture.pop("content"))


def _picture(frame: Image.Image) -> _Picture:
    from paragraph_ocr.imaging import orientation

    pixels = _shown(frame)
    encoded = BytesIO()
    if frame.format in _LOSSY or frame.info.get("compression") in _LOSSY_TIFF:
        pixels.save(encoded, "JPEG", quality=_JPEG_QUALITY)
        entries, content = _lossy(pixels, encoded.getvalue())
    else:
        pixels.save(encoded, "PNG", compress_level=_PNG_LEVEL)
        entries, content = _lossless(pixels, encoded.getvalue())
    return _Picture(entries, content, orientation(frame), _dots_per_inch(frame))


def _shown(frame: Image.Image) -> Image.Image:
    """An image in a mode that PDF, PNG and JPEG share, transparent pixels over white."""
    from PIL import Image

    from paragraph_ocr.imaging import to_grey

    if frame.mode in ("1", "L", "RGB") and not frame.has_transparency_data:
        return frame
    if frame.mode[0] in "LIF":
        return to_grey(frame)
    if not frame.has_transparency_data:
        return frame.convert("RGB")
    separate = frame if frame.mode == "RGBA" else frame.convert("RGBA")
    opaque = Image.new("RGB", frame.size, "white")
    opaque.paste(separate.convert("RGB"), mask=separate.getchannel("A"))
    return opaque


def _lossy(image: Image.Image, jpeg: bytes) -> tuple[str, bytes]:
    """A JPEG file as PDF has it."""
    # Adobe's programs, and after them all others, store CMYK inverted.
    inverted = "/Decode[1 0 1 0 1 0 1 0]" if image.mode == "CMYK" and "adobe" in image.info else ""
    space = {"L": "Gray", "CMYK": "CMYK"}.get(image.mode, "RGB")
    return _entries(image, space, 8, f"/Filter/DCTDecode{inverted}"), jpeg


def _lossless(image: Image.Image, png: bytes) -> tuple[str, bytes]:
    """A PNG file as PDF has it, which takes its pixels as they are compressed (PNG 1.2, 5; ISO 32000-1, 7.4.4)."""
    bits, colours = png[24], _PLAIN_PNG[png[25]]
    parameters = f"/Predictor 15/Colors {colours}/BitsPerComponent {bits}/Columns {image.width}"
    rows = []
    at = 8
    while at + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            rows.append(png[at + 8 : at + 8 + length])
        at += length + 12
    space = "Gray" if colours == 1 else "RGB"
    return _entries(image, space, bits, f"/Filter/FlateDecode/DecodeParms<<{parameters}>>"), b"".join(rows)


def _entries(image: Image.Image, space: str, bits: int, compression: str) -> str:
    return (
        f"/Type/XObject/Subtype/Image/Width {image.width}/Height {image.height}/ColorSpace/Device{space}"
        f"/BitsPerComponent {bits}{compression}"
    )


def _dots_per_inch(image: Image.Image) -> int:
    try:
        return round(float(image.info["dpi"][0]))
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return 0


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

    def take(self) -> bytes:
        """What was added since this was called before, as the next part of the file."""
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
        return self.take()

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
