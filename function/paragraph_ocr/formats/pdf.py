"""Write a document that was read as a PDF that shows its file, with invisible text over every word."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING, Any

from paragraph_ocr.document import Document
from paragraph_ocr.errors import DeadlineExceeded
from paragraph_ocr.io import imaging
from paragraph_ocr.io.confined import send
from paragraph_ocr.io.file_format import format_of
from paragraph_ocr.io.grey import orientation, to_grey
from paragraph_ocr.io.imaging import Source
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.io.pdf_writer import TextLayer, Writer

if TYPE_CHECKING:
    from PIL import Image

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
_LOSSY = {"AVIF", "HEIF", "JPEG2000", "WEBP"}
_LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp"}


def write(
    document: Document, data: bytes | Source, deadline: float = math.inf, max_memory: int | None = None
) -> Iterator[bytes]:
    """Yield a PDF of what was read, in parts.

    A PDF is kept as it is, with the text that was read added where it has none; where its own text is wrong, the text
    that was read is added beside it, or instead of it if it is invisible. Of other files, each page is shown: the
    pixels of a JPEG as they were sent, all others without loss where they came without. Pages are turned upright if
    that was asked for.

    Parameters
    ----------
    document : Document
    data : bytes or Source
        The file that was read.
    deadline : float
        Value of `perf_counter` at which writing must end.
    max_memory : int, optional
        Bytes that decoding and compressing it again may take; those of `Limits` when left out.

    Raises
    ------
    DeadlineExceeded
        The deadline is over.
    TooLarge
        It takes more memory.
    """
    source = data if isinstance(data, Source) else Source(data)
    # The limits of the file were those of reading.
    memory = DEFAULT_LIMITS.max_memory if max_memory is None else max_memory
    limits = Limits(*(sys.maxsize,) * 4, deadline - perf_counter(), memory)
    layers = map(TextLayer.of, document.pages)
    if format_of(source.data) == "PDF":
        try:
            written = source.pdf(limits).overlay(layers, deadline, document.numbers)
        finally:
            if source is not data:
                source.close()
        yield written
        return
    writer = Writer()
    for layer, picture in zip(layers, _pictures(source.data, limits, document, deadline), strict=True):
        if perf_counter() > deadline:
            raise DeadlineExceeded("Writing the PDF takes longer than the limit; send fewer pages.")
        dots = picture.dots_per_inch if picture.dots_per_inch in _LIKELY_DOTS_PER_INCH else _DEFAULT_DOTS_PER_INCH
        scale = min(_POINTS_PER_INCH / dots, _MAX_SIDE / max(layer.width, layer.height))
        width, height = layer.width * scale, layer.height * scale
        a, b, c, d = _UPRIGHT[picture.orientation]
        matrix = (a * width, b * height, c * width, d * height, -min(a + c, 0) * width, -min(b + d, 0) * height)
        shown = f"q {' '.join(f'{value:.4f}' for value in matrix)} cm /I Do Q\n"
        content = shown + layer.content(scale)
        if layer.turn:
            content = f"q {layer.turning(width, height)}\n{content} Q"
        writer.add_page(
            *((height, width) if layer.turn % 2 else (width, height)),
            content,
            writer.add_stream(picture.entries, picture.content),
        )
        yield writer.flush()
    yield writer.finish(document.image)


@dataclass(frozen=True)
class _Picture:
    """An image as PDF has it: the entries of its dictionary, its bytes, and how it is to be shown."""

    entries: str
    content: bytes
    orientation: int
    dots_per_inch: int


def _pictures(data: bytes, limits: Limits, document: Document, deadline: float) -> Iterator[_Picture]:
    from PIL import Image

    count = len(document.pages)
    name = format_of(data)
    if name in ("JPEG", "PNG"):
        # The header is enough for what PDF takes as it is.
        with Image.open(BytesIO(data), formats=(name,)) as image:
            if name == "JPEG":
                yield _Picture(*_lossy(image, data), orientation(image), _dots_per_inch(image))
                return
            if data[25] in _PLAIN_PNG and not image.info.get("interlace") and not image.has_transparency_data:
                yield _Picture(*_lossless(image, data), orientation(image), _dots_per_inch(image))
                return
    if imaging.is_small(data, MAX_PIXELS_HERE // count, limits):
        yield from map(_picture, imaging.frames(data, limits, document.numbers))
        return
    task = {"numbers": document.numbers}
    with imaging.start(__name__, data, name, task, limits.max_memory, limits) as process:
        for _ in range(count):
            header, content = process.answer(deadline - perf_counter())
            yield _Picture(**header, content=bytes(content))


def serve(task: dict[str, Any], data: bytes) -> None:
    """What a process for an image does here: send its pages as a PDF shows them."""
    for frame in imaging.frames(data, Limits(**task["limits"]), task["numbers"]):
        picture = asdict(_picture(frame))
        send(picture, picture.pop("content"))


def _picture(frame: Image.Image) -> _Picture:
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
