"""Decode image files into upright greyscale pages, and refuse what would take too much memory or time."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import ExifTags, Image

from paragraph_ocr.errors import BrokenImage, DeadlineExceeded, TooLarge, UnsupportedFormat
from paragraph_ocr.io import tiff
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.io.page_ranges import PageRange, numbers_of

# NumPy takes three times as long to import as all that a process for decoding needs.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paragraph_ocr.io.confined import Confined
    from paragraph_ocr.io.pdfium import Pdf

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"RIFF": "WEBP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
}
# Brands that stand in the first box of the file (ISO/IEC 14496-12, 4.3; ISO/IEC 23008-12, 10; AVIF 1.1, 6).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
# Junk may stand before a PDF's header, up to here (Adobe's PDF Reference 1.7, implementation note 13).
_PDF_HEADER_WITHIN = 1024
SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".j2k",
        ".jpf",
        ".jpx",
        ".pdf",
    }
)

# What Pillow's decoders raise on hostile bytes, beside the OSError and SyntaxError they document.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    RuntimeError,
    struct.error,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow keeps a pointer for each row, and formats that can say more than 16 bits are few.
MAX_SIDE = 65_535
# Each scan goes over all pixels of a progressive JPEG, may be empty, and may be there again. libtiff takes as many.
MAX_JPEG_SCANS = 100
# What begins with a length, or ends the image (ITU-T T.81, table B.1). 00 after FF is data, 01 and D0 to D8 stand
# alone, and at 02 to BF libjpeg fails or, where a restart is due, drops them and searches on (jpeg_resync_to_restart).
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1
# What one segment of a JPEG can hold costs nothing to look at.
_SMALL_EXIF = 2**16

# What decoding may take in this process, about half a second; what takes more has one of its own, which takes 0.07
# seconds to start. A JPEG takes 20 nanoseconds a pixel and 1 to 2 for each scan beyond the first.
MAX_PIXELS_HERE = 12_000_000
MAX_JPEG_WORK_HERE = 160_000_000
_JPEG_WORK_A_PIXEL = 8
# Chunks of a PNG and runs of a BMP are gone through in Python.
MAX_BYTES_HERE = 32 * 2**20
MAX_PNG_BYTES_HERE = 8 * 2**20
MAX_RLE_PIXELS_HERE = 1_000_000
MAX_TIFF_PIECES_HERE = 4096
# AVIF and HEIC say how large they are in more than one place, and the pixels themselves are believed; what decoding a
# JPEG 2000 takes depends on its tiles, levels and code blocks.
_NEVER_HERE = ("AVIF", "HEIF", "JPEG2000")
# Start of a JPEG 2000 codestream, with its size right behind (ISO/IEC 15444-1, A.4.1 and A.5.1).
_CODESTREAM = b"\xff\x4f\xff\x51"

# Bytes a pixel that decoding one to grey takes at the most: the decoder's own, those of Pillow's image, and the grey.
_BYTES_A_PIXEL = {
    "1": 4, "L": 4, "P": 4, "I;16": 8, "I;16B": 8, "I;16L": 8, "I;16N": 8, "I": 12, "F": 12, "LA": 12, "PA": 12,
    "RGB": 8, "RGBX": 8, "RGBA": 12, "CMYK": 12, "YCbCr": 8, "LAB": 8,
}  # fmt: skip
_MOST_BYTES_A_PIXEL = 16
# WebP: two canvases of four bytes, the frame as bytes, the image. AVIF and HEIC: four planes, the picture made of
# them, the same as bytes, the image.
# JPEG 2000: the planes of a tile, which may be the whole, in 32 bits, their copy as the image has them, the image and
# the grey; 25 were measured of four planes.
_BYTES_A_PIXEL_OF_FORMAT = {"WEBP": 20, "AVIF": 20, "HEIF": 20, "JPEG2000": 40}
# Where one colour stands for transparency, an image with a channel for it is made first.
_WITH_TRANSPARENT_COLOURS = ("PNG", "GIF")
_BYTES_A_PIXEL_OF_TRANSPARENCY = 8
_MEMORY_BESIDE = 64 * 2**20
_MEMORY_OF_DECODER = {"AVIF": 256 * 2**20, "HEIF": 256 * 2**20, "JPEG2000": 256 * 2**20}

# Resolutions across and down that differ by less are meant to be the same, and by more are nonsense.
LEAST_UNEQUAL, MOST_UNEQUAL = 1.1, 5.0


class DecodedPage(NamedTuple):
    """A page's grey values uint8 (H, W), how many times as tall as wide its pixels are, and its number in the file."""

    pixels: NDArray[np.uint8]
    pixel_aspect: float
    number: int


class Source:
    """A file to be read; a process that has it open is kept from one step to the next, until `close`.

    Parameters
    ----------
    data : bytes
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._pdf: Pdf | None = None

    def pdf(self, limits: Limits) -> Pdf:
        """The process that has the file, a PDF, open; raises what `decode` does."""
        if self._pdf is None:
            # Few requests bring one.
            from paragraph_ocr.io.pdfium import Pdf

            self._pdf = Pdf(self.data, limits)
        return self._pdf

    def close(self) -> None:
        """End what is kept open."""
        if self._pdf is not None:
            self._pdf.close()
            self._pdf = None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def decode(data: bytes | Source, limits: Limits = DEFAULT_LIMITS, first: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Decode an image file into its pages, one at a time.

    What is refused for its format, its bytes, its number of pages or their pixels is refused by the call itself, before
    any page is decoded. What may take long, or more memory than its header says, is decoded in a process of its own.

    Parameters
    ----------
    data : bytes or Source
        A JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF or JPEG 2000 image, or a PDF. TIFF and PDF have pages; of other
        files with several frames, the first is read.
    limits : Limits
        What is refused before it is decoded; the time begins with the call.
    first : int
        The page to begin with, from 1; those before it are not decoded.

    Returns
    -------
    iterator of uint8 (H, W)
        Grey values of the page, 0 black and 255 white, turned upright by its EXIF orientation; transparent pixels
        are laid over white, or over black where the writing would be white on white.

    Raises
    ------
    TooLarge
        More bytes, pixels, pages or memory than the limits.
    UnsupportedFormat
        The bytes begin like no format on the list.
    BrokenImage
        The bytes begin like one and do not decode, or need a password.
    DeadlineExceeded
        The time is over.
    """
    return (page.pixels for page in decode_pages(data, limits, first))


def decode_pages(
    data: bytes | Source, limits: Limits = DEFAULT_LIMITS, first: int = 1, ranges: Sequence[PageRange] = ()
) -> Iterator[DecodedPage]:
    """What `decode` gives, each page with the shape of its pixels; takes, raises and refuses what `decode` does.

    Parameters
    ----------
    ranges : sequence of (int, int or None), optional
        The pages that are decoded, as `options.ReadOptions` has them; it is them that the limit of pages counts then.

    Raises
    ------
    MalformedRequest
        The file lacks one of these.
    """
    deadline = perf_counter() + limits.max_seconds
    chosen = replace(limits, max_pages=max(limits.max_pages, DEFAULT_LIMITS.max_pages)) if ranges else limits
    source = data if isinstance(data, Source) else Source(data)
    if len(source.data) > limits.max_bytes:
        raise TooLarge(f"The image has {len(source.data):,} bytes; the limit is {limits.max_bytes:,}.")
    name = format_of(source.data)
    if name == "PDF":
        pages = _rendered(source, chosen, partial(_numbers, ranges, first, limits), deadline, source is not data)
    else:
        plan = _plan(source.data, name, chosen)
        if plan.image is not None:
            numbers = _numbers(ranges, first, limits, len(plan.pages))
            return _grey(source.data, plan, chosen, numbers, deadline)
        pages = _grey_elsewhere(source.data, plan, chosen, partial(_numbers, ranges, first, limits), deadline)
    # What can be refused is refused before the first page.
    next(pages)
    return pages


def _numbers(ranges: Sequence[PageRange], first: int, limits: Limits, count: int) -> list[int]:
    """The pages that are decoded of a file that has so many."""
    if not ranges:
        return list(range(first, count + 1))
    numbers = [number for number in numbers_of(ranges, count) if number >= first]
    if len(numbers) > limits.max_pages:
        raise TooLarge(f"pages asks for {len(numbers):,} pages; the limit is {limits.max_pages:,} at once.")
    return numbers


def _rendered(
    source: Source, limits: Limits, choose: Callable[[int], list[int]], deadline: float, close: bool
) -> Iterator[DecodedPage]:
    """Yield an empty page once the PDF is let in, then its own; end its process then if that is to be done."""
    import numpy as np

    try:
        pdf = source.pdf(limits)
        numbers = choose(pdf.count)
        yield DecodedPage(np.empty((0, 0), np.uint8), 1.0, 0)
        for number, page in zip(numbers, pdf.pages(numbers, deadline), strict=True):
            yield DecodedPage(page, 1.0, number)
    finally:
        if close:
            source.close()


def format_of(data: bytes) -> str:
    """The format a file's first bytes claim, as Pillow names it, or PDF.

    Raises
    ------
    UnsupportedFormat, BrokenImage
        They claim none, or there are none.
    """
    if not data:
        raise BrokenImage("The image has no bytes.")
    name = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)
    if name == "WEBP" and data[8:12] != b"WEBP":
        name = None
    if name is None and data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        brands = {box[at : at + 4] for at in range(0, len(box), 4)}
        name = "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None
    if name is None and b"%PDF-" in data[:_PDF_HEADER_WITHIN]:
        name = "PDF"
    if name is None:
        raise UnsupportedFormat("Send a JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF or JPEG 2000 image, or a PDF.")
    return name


def frames(data: bytes, limits: Limits = DEFAULT_LIMITS, numbers: Sequence[int] = ()) -> Iterator[Image.Image]:
    """The pages of an image file that is no PDF, loaded one at a time in this process; valid until the next.

    Parameters and errors are those of `decode`; `numbers` are the pages that are loaded, all where there are none. A
    colour JPEG comes as its luma, at a third of the memory.
    """
    name = format_of(data)
    image, pages, _ = _opened(data, name, limits)
    return _loaded(image, [pages[number - 1] for number in numbers] if numbers else pages, data, name, limits)


def count_pages(data: bytes | Source, limits: Limits = DEFAULT_LIMITS) -> int:
    """How many pages `decode` gives; raises what it does as far as headers tell, but takes any number of bytes."""
    source = data if isinstance(data, Source) else Source(data)
    name = format_of(source.data)
    if name != "PDF":
        return len(_plan(source.data, name, limits).pages)
    try:
        return source.pdf(limits).count
    finally:
        if source is not data:
            source.close()


@dataclass(frozen=True)
class _Plan:
    """How a file is decoded.

    Attributes
    ----------
    name : str
        Its format.
    image : Image or None
        What was opened of it, where it is decoded in this process.
    pages : list of int
        Its frames that are pages.
    memory : int
        Bytes that decoding the largest takes at the most.
    """

    name: str
    image: Image.Image | None
    pages: list[int]
    memory: int


def _plan(data: bytes, name: str, limits: Limits) -> _Plan:
    """How a file is decoded; raises what can be known from its header."""
    if name in _NEVER_HERE:
        pixels = min(_claimed_pixels(data, name), limits.max_pixels)
        return _Plan(name, None, [0], _memory(name, _BYTES_A_PIXEL_OF_FORMAT[name] * pixels, data, limits))
    if name == "WEBP":
        width, height = _webp_size(data)
        _check_size(width, height, limits)
        memory = _memory(name, _BYTES_A_PIXEL_OF_FORMAT[name] * width * height, data, limits)
        # Pillow makes two canvases as soon as it opens one.
        if width * height > MAX_PIXELS_HERE or len(data) > MAX_BYTES_HERE:
            return _Plan(name, None, [0], memory)
    elif name == "TIFF":
        with _refusing(data, name, limits):
            sheets = tiff.check_file(data, limits.max_pages)
        if len(sheets) > limits.max_pages:
            raise TooLarge(f"The file has more than {limits.max_pages:,} pages; send it in parts.")
        for sheet in sheets:
            _check_size(sheet.width, sheet.height, limits)
        # Pillow makes an object of each strip or tile, and libtiff's decoders of other formats are not bounded by size.
        if any(sheet.pieces > MAX_TIFF_PIECES_HERE or not sheet.is_simple for sheet in sheets):
            pixels = max(sheet.width * sheet.height + sheet.tile_pixels for sheet in sheets)
            pages = [index for index, sheet in enumerate(sheets) if sheet.is_page or not index]
            return _Plan(name, None, pages, _memory(name, _MOST_BYTES_A_PIXEL * pixels, data, limits))
    image, pages, memory = _opened(data, name, limits)
    return _Plan(name, image if _is_bounded(image, data) else None, pages, memory)


def is_small(data: bytes, most: int, limits: Limits) -> bool:
    """Whether the first page of an image that was read has at most so many pixels, and needs no process of its own."""
    image = _plan(data, format_of(data), limits).image
    return image is not None and image.width * image.height <= most


def _is_bounded(image: Image.Image, data: bytes) -> bool:
    """Whether decoding an image takes so little time that it needs no process of its own."""
    pixels = image.width * image.height
    match image.format:
        case "JPEG":
            return pixels * (_JPEG_WORK_A_PIXEL + _scans(data)) <= MAX_JPEG_WORK_HERE
        case "PNG":
            return pixels <= MAX_PIXELS_HERE and len(data) <= MAX_PNG_BYTES_HERE
        case "BMP" if _is_run_length_encoded(data):
            return pixels <= MAX_RLE_PIXELS_HERE
    return pixels <= MAX_PIXELS_HERE and len(data) <= MAX_BYTES_HERE


def _memory(name: str, decoded: int, data: bytes, limits: Limits) -> int:
    """Bytes that it takes to decode a page of so many; raises TooLarge where they are more than the limit."""
    memory = _MEMORY_OF_DECODER.get(name, _MEMORY_BESIDE) + decoded + 2 * len(data)
    if memory > limits.max_memory:
        raise TooLarge(
            f"Decoding the {name} image takes up to {memory / 2**20:,.0f} MB of memory; "
            f"the limit is {limits.max_memory / 2**20:,.0f}. Send a smaller image, or a JPEG."
        )
    return memory


def _check_size(width: int, height: int, limits: Limits) -> None:
    if max(width, height) > MAX_SIDE:
        raise TooLarge(f"The image has {width} x {height} pixels; the limit is {MAX_SIDE:,} on a side.")
    if width * height > limits.max_pixels:
        raise TooLarge(f"The image has {width} x {height} pixels; the limit is {limits.max_pixels:,} in all.")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of a WebP's canvas (RFC 9649, 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise _broken(data, "WEBP")


def _claimed_pixels(data: bytes, name: str) -> int:
    """Pixels of the largest image that a file says it has.

    In AVIF and HEIC it stands in a box (ISO/IEC 23008-12, 6.5.3), which sequences lack: 0; in JPEG 2000 at the start of
    the codestream, as the far corner of a grid (ISO/IEC 15444-1, A.5.1), tiles of which may be larger than the image.
    """
    most = at = 0
    if name == "JPEG2000":
        while (at := data.find(_CODESTREAM, at) + 4) >= 4 and len(data) >= at + 36:
            across, down, left, top, tile_across, tile_down = struct.unpack_from(">6L", data, at + 4)
            most = max(most, (across - left) * (down - top), min(tile_across, across) * min(tile_down, down))
        return most
    while (at := data.find(b"ispe\0\0\0\0", at) + 4) >= 4:
        most = max(most, int.from_bytes(data[at + 4 : at + 8], "big") * int.from_bytes(data[at + 8 : at + 12], "big"))
    return most


def _is_run_length_encoded(bmp: bytes) -> bool:
    # OS/2's header, of 12 bytes, has no place for it.
    return bmp[14:18] != b"\x0c\0\0\0" and bmp[30:34] in (b"\1\0\0\0", b"\2\0\0\0")


def _grey(data: bytes, plan: _Plan, limits: Limits, numbers: list[int], deadline: float) -> Iterator[DecodedPage]:
    import numpy as np

    assert plan.image is not None
    frames = _loaded(plan.image, [plan.pages[number - 1] for number in numbers], data, plan.name, limits)
    for number, frame in zip(numbers, frames, strict=True):
        with _refusing(data, plan.name, limits):
            page = DecodedPage(np.asarray(upright(frame, to_grey(frame))), _pixel_aspect(frame), number)
        _check_time(deadline)
        yield page


def _grey_elsewhere(
    data: bytes, plan: _Plan, limits: Limits, choose: Callable[[int], list[int]], deadline: float
) -> Iterator[DecodedPage]:
    """Yield an empty page once the file is let in, then its own."""
    import numpy as np

    with start(__name__, data, plan.name, {}, plan.memory, limits) as process:
        header, _ = process.answer(deadline - perf_counter())
        numbers = choose(header["pages"])
        process.ask({"numbers": numbers})
        yield DecodedPage(np.empty((0, 0), np.uint8), 1.0, 0)
        for number in numbers:
            shape, pixels = process.answer(deadline - perf_counter())
            grey = np.frombuffer(pixels, np.uint8).reshape(shape["height"], shape["width"])
            yield DecodedPage(grey, shape["aspect"], number)


@contextmanager
def start(module: str, data: bytes, name: str, task: dict[str, Any], memory: int, limits: Limits) -> Iterator[Confined]:
    """A process that runs a module's `serve` on an image; ended at the end."""
    from paragraph_ocr.io.confined import Confined

    process = Confined(module, name, {**task, "limits": asdict(limits)}, data, memory, limits.max_seconds)
    try:
        yield process
    finally:
        process.close()


def serve(task: dict[str, Any], data: bytes) -> None:
    """What a process for an image does: send its number of pages, then the grey of those that are asked for."""
    from paragraph_ocr.io.confined import receive, send

    limits = Limits(**task["limits"])
    name = format_of(data)
    image, pages, _ = _opened(data, name, limits)
    send({"pages": len(pages)})
    asked, _ = receive()
    for frame in _loaded(image, [pages[number - 1] for number in asked["numbers"]], data, name, limits):
        with _refusing(data, name, limits):
            page = upright(frame, to_grey(frame))
        shape = {"width": page.width, "height": page.height, "aspect": _pixel_aspect(frame)}
        send(shape, page.tobytes())


def is_cut_short(data: bytes, name: str) -> bool:
    """Whether the end of a file is missing, as far as its format tells without decoding it; False for TIFF."""
    match name:
        case "JPEG":
            return data.find(b"\xff\xd9", data.rfind(b"\xff\xda") + 1) < 0
        case "PNG":
            return b"IEND\xaeB`\x82" not in data
        case "WEBP":
            return int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "GIF":
            return not data.rstrip(b"\0").endswith(b";")
        case "BMP":
            return int.from_bytes(data[2:6], "little") > len(data)
        case "PDF":
            return b"%%EOF" not in data
        case "JPEG2000" if data.startswith(_CODESTREAM):
            return b"\xff\xd9" not in data[-64:]
        case "AVIF" | "HEIF" | "JPEG2000":
            return _are_boxes_cut_short(data)
    return False


def _are_boxes_cut_short(data: bytes) -> bool:
    """Whether the last of a file's boxes says that it ends after the file does (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        # What has no size goes to the end; less than a header has no box.
        if size < 8:
            return False
        at += size
    return at > len(data)


def _check_time(deadline: float) -> None:
    if perf_counter() > deadline:
        raise DeadlineExceeded("Decoding the image takes longer than the limit; send fewer pages, or a smaller image.")


def _opened(data: bytes, name: str, limits: Limits) -> tuple[Image.Image, list[int], int]:
    """An image file, its frames that are pages, and the most memory that one of them takes."""
    with _refusing(data, name, limits):
        _check_structure(data, name, limits)
        image = _open(data, name)
        scans = _scans(data) if name == "JPEG" else 0
        if scans > MAX_JPEG_SCANS:
            raise TooLarge(f"The JPEG has more than {MAX_JPEG_SCANS} scans; save it anew.")
        # Scans that are put together are kept as coefficients of two bytes.
        more = 2 * len(image.getbands()) if scans > 1 else 0
        return image, *_pages(image, limits, more, data)


def _check_structure(data: bytes, name: str, limits: Limits) -> None:
    """Refuse what Pillow would take its time for as soon as it opens it."""
    if name == "JPEG":
        exif = _exif_of_jpeg(data)
        if len(exif) > _SMALL_EXIF:
            tiff.check_exif(exif)
    elif name == "TIFF":
        tiff.check_file(data, limits.max_pages)
    elif name == "BMP" and _is_run_length_encoded(data):
        width, height = struct.unpack_from("<ii", data, 18)
        # A run of one pixel takes two bytes, and an end of a line two.
        if len(data) - int.from_bytes(data[10:14], "little") > 2 * abs(width * height) + 4 * abs(height) + 1024:
            raise BrokenImage("The BMP has more data than pixels; save it anew.")


def _open(data: bytes, name: str) -> Image.Image:
    if name == "HEIF":
        # Few requests bring one. Registering it with Pillow would ask for the encoder, which the container lacks.
        from pillow_heif import HeifImageFile

        image: Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]
        return image
    return Image.open(BytesIO(data), formats=(name,))


def _scans(data: bytes) -> int:
    """How many scans libjpeg may find in a JPEG up to its end; no more are counted than are too many."""
    scans = 0
    for marker, _, _ in _segments(data):
        scans += marker == _START_OF_SCAN
        if scans > MAX_JPEG_SCANS:
            break
    return scans


def _exif_of_jpeg(data: bytes) -> bytes:
    """The EXIF data of a JPEG, which Pillow puts together from all segments up to the first scan."""
    found = []
    for marker, start, end in _segments(data):
        if marker == _START_OF_SCAN:
            break
        if marker == _APP1 and data.startswith(b"Exif\0\0", start):
            found.append(data[start + 6 : end])
    return b"".join(found)


def _segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment up to the end of the image, those before the data of scans among them."""
    at = 0
    while found := _JPEG_MARKER.search(jpeg, at):
        marker = jpeg[found.end() - 1]
        if marker == _END_OF_IMAGE:
            break
        at = found.end() + int.from_bytes(jpeg[found.end() : found.end() + 2], "big")
        yield marker, found.end() + 2, at


def _pages(image: Image.Image, limits: Limits, more: int, data: bytes) -> tuple[list[int], int]:
    """The frames that are pages, refused where they are too many or too large, and the memory that the largest takes.

    Parameters
    ----------
    more : int
        Bytes a pixel that decoding takes beside the usual.
    """
    pages: list[int] = []
    index = memory = 0
    name = image.format or ""
    while True:
        if index >= limits.max_pages:
            raise TooLarge(f"The file has more than {limits.max_pages:,} pages; send it in parts.")
        _check_size(*image.size, limits)
        each = _BYTES_A_PIXEL_OF_FORMAT.get(name) or more + _BYTES_A_PIXEL.get(image.mode, _MOST_BYTES_A_PIXEL)
        if name in _WITH_TRANSPARENT_COLOURS and "transparency" in image.info:
            each += _BYTES_A_PIXEL_OF_TRANSPARENCY
        memory = max(memory, _memory(name, each * image.width * image.height, data, limits))
        if name != "TIFF":
            return [0], memory
        if not pages or not image.getexif().get(ExifTags.Base.NewSubfileType, 0) & tiff.NO_PAGE:
            pages.append(index)
        index += 1
        try:
            image.seek(index)
        except EOFError:
            return pages, memory


def _loaded(image: Image.Image, pages: list[int], data: bytes, name: str, limits: Limits) -> Iterator[Image.Image]:
    for index in pages:
        with _refusing(data, name, limits):
            if name == "TIFF":
                image.seek(index)
            image.draft("L", image.size)
            image.load()
        yield image


@contextmanager
def _refusing(data: bytes, name: str, limits: Limits) -> Iterator[None]:
    """Turn what Pillow raises into what the caller can change."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of what is refused anyway, and of metadata it can do without.
            warnings.simplefilter("ignore")
            yield
    except MemoryError as error:
        raise TooLarge(f"The {name} image takes too much memory; send a smaller one, or save it anew.") from error
    except Image.DecompressionBombError as error:
        raise TooLarge(f"The image has too many pixels; the limit is {limits.max_pixels:,} in all.") from error
    except _DECODING_ERRORS as error:
        raise _broken(data, name) from error


def _broken(data: bytes, name: str) -> BrokenImage:
    """Why an image does not decode, as far as its bytes tell."""
    if is_cut_short(data, name):
        return BrokenImage(
            f"The {name} image is damaged: it is cut short, and its end is missing after {len(data):,} bytes. "
            "Send the whole file again."
        )
    return BrokenImage(f"The {name} image is damaged or cut short; save it anew and send the whole file.")


def to_grey(image: Image.Image) -> Image.Image:
    """An image's grey values, 0 to 255, with transparent pixels over what makes its writing visible; mode L."""
    if image.mode[0] in "IF":
        return _stretched(image)
    if image.mode == "LAB":
        # Pillow converts it by colour profiles alone; its first band is the lightness.
        return image.getchannel(0)
    if image.has_transparency_data:
        # An alpha band of its own takes a third of the memory that RGBA over white would.
        separate = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
        grey, alpha = separate.convert("L"), separate.getchannel("A")
        return Image.composite(grey, Image.new("L", image.size, _backdrop(grey, alpha)), alpha)
    return image.convert("L")


def _stretched(image: Image.Image) -> Image.Image:
    """Values of more than eight bits as grey values, whatever part of their range is used; mode L.

    Scanners store ten or twelve bits in sixteen without saying so, and Pillow clips at 255 instead of scaling. What
    differs by less than a tenth is blank paper, of which the noise must not become ink.
    """
    import numpy as np

    values = np.asarray(image)
    sample = values[:: max(1, values.shape[0] // 1024), :: max(1, values.shape[1] // 1024)]
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    low, high = (float(value) for value in np.percentile(finite, (0.05, 99.95))) if finite.size else (0.0, 0.0)
    if values.dtype.kind != "f" and 2**15 <= high < 2**16:
        low, high = 0.0, 65535.0
    elif high - low < 0.1 * abs(high):
        low = min(0.0, low)
    grey = np.empty(values.shape, np.uint8)
    # A row at a time, which needs no second copy of them.
    for row, deep in zip(grey, values, strict=True):
        row[:] = np.rint(np.clip(np.nan_to_num((deep - low) * (255.0 / max(high - low, 1e-6))), 0, 255))
    return Image.fromarray(grey)


def _backdrop(grey: Image.Image, alpha: Image.Image) -> int:
    """White, or black where what is not transparent is so light that it could not be seen on white.

    Parameters
    ----------
    grey, alpha : Image, mode L
    """
    import numpy as np

    step = max(1, max(grey.size) // 1024)
    values, cover = (np.asarray(band)[::step, ::step].astype(np.float32) / 255.0 for band in (grey, alpha))
    white, black = (float(np.std(values * cover + paper * (1.0 - cover))) for paper in (1.0, 0.0))
    # Dark writing on light paper of its own is seen on white, too, though black around it would stand out more.
    own = values[cover > 0.5]
    writing = float(np.std(own)) if own.size else 0.0
    return 0 if black > 2.0 * white and writing < 0.1 else 255


def _pixel_aspect(image: Image.Image) -> float:
    """How many times as tall as wide an image's pixels are once it is upright, by the resolution its file gives."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 1.0
    if not (across > 0 and down > 0 and LEAST_UNEQUAL < max(across / down, down / across) < MOST_UNEQUAL):
        return 1.0
    return across / down if orientation(image) < 5 else down / across


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, which is upright, where there is none or it cannot be read."""
    try:
        exif = image.info.get("exif")
        if isinstance(exif, bytes) and len(exif) > _SMALL_EXIF:
            tiff.check_exif(exif)
        value = image.getexif().get(ExifTags.Base.Orientation)
    except (*_DECODING_ERRORS, BrokenImage):
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def upright(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """An image's pixels turned by its EXIF orientation."""
    turn = _UPRIGHT.get(orientation(image))
    return pixels if turn is None else pixels.transpose(turn)
