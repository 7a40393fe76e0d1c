"""The bytes of an image file go in, its upright greyscale pages come out, or an error that says what to change."""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from paragraph_ocr.errors import BrokenImage, TooLarge, UnsupportedFormat

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
}
# Brands that stand in the first box of the file (ISO/IEC 14496-12, 4.3; ISO/IEC 23008-12, 10; AVIF 1.1, 6).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
# Junk may stand before a PDF's header, up to here (Adobe's PDF Reference 1.7, implementation note 13).
_PDF_HEADER_WITHIN = 1024
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif", ".pdf"}
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

# Each scan goes over all pixels of a progressive JPEG, may be empty, and may be there again. libtiff takes as many.
MAX_JPEG_SCANS = 100
# What begins with a length, or ends the image. 00 after FF is data; 01 and D0 to D8 stand alone, most of them amid the
# data of a scan (ITU-T T.81, table B.1 and B.1.1.5).
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9

# Resolutions across and down that differ by less are meant to be the same, and by more are nonsense.
LEAST_UNEQUAL, MOST_UNEQUAL = 1.1, 5.0

# Bits of TIFF's NewSubfileType: a smaller copy of another frame, a transparency mask (TIFF 6.0, page 36).
_NO_PAGE = 1 | 4


@dataclass(frozen=True)
class Limits:
    """The most that one file may ask for.

    Attributes
    ----------
    max_bytes : int
        Size of the file.
    max_pixels : int
        Width times height of a page, known from the file's header before anything is decoded.
    max_pages : int
        Pages of a file.
    max_lines : int
        Lines of a page.
    max_seconds : float
        Time for the whole file.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 80_000_000
    max_pages: int = 1000
    max_lines: int = 1000
    max_seconds: float = 3600.0


DEFAULT_LIMITS = Limits()


class DecodedPage(NamedTuple):
    """A page's grey values uint8 (H, W), and how many times as tall as wide its pixels are."""

    pixels: NDArray[np.uint8]
    pixel_aspect: float


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS, first: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Decode an image file into its pages, one at a time.

    What is refused for its format, its bytes, its number of pages or their pixels is refused by the call itself, before
    any page is decoded.

    Parameters
    ----------
    data : bytes
        A JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC or AVIF image, or a PDF. TIFF and PDF have pages; of other files with
        several frames, the first is read.
    limits : Limits
        What is refused before it is decoded.
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
        More bytes, pixels or pages than the limits.
    UnsupportedFormat
        The bytes begin like no format on the list.
    BrokenImage
        The bytes begin like one and do not decode, or need a password.
    """
    return (page.pixels for page in decode_pages(data, limits, first))


def decode_pages(data: bytes, limits: Limits = DEFAULT_LIMITS, first: int = 1) -> Iterator[DecodedPage]:
    """What `decode` gives, each page with the shape of its pixels; takes, raises and refuses what `decode` does."""
    if len(data) > limits.max_bytes:
        raise TooLarge(f"The image has {len(data):,} bytes; the limit is {limits.max_bytes:,}.")
    if format_of(data) == "PDF":
        # Few requests bring one.
        from paragraph_ocr.pdfium import render_pages

        return (DecodedPage(page, 1.0) for page in render_pages(data, limits, first))
    image, pages, name = _opened(data, limits)
    return _grey(image, pages[first - 1 :], name, limits)


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
        raise UnsupportedFormat("Send a JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC or AVIF image, or a PDF.")
    return name


def frames(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Iterator[Image.Image]:
    """The pages of an image file that is no PDF, loaded one at a time; valid until the next is asked for.

    Parameters and errors are those of `decode`. A colour JPEG comes as its luma, at a third of the memory.
    """
    image, pages, name = _opened(data, limits)
    return _loaded(image, pages, name, limits)


def count_pages(data: bytes, limits: Limits = DEFAULT_LIMITS) -> int:
    """How many pages `decode` gives; raises what it does, but takes any number of bytes."""
    if format_of(data) == "PDF":
        from paragraph_ocr import pdfium

        return pdfium.count_pages(data, limits)
    return len(_opened(data, limits)[1])


def _grey(image: Image.Image, pages: list[int], name: str, limits: Limits) -> Iterator[DecodedPage]:
    for frame in _loaded(image, pages, name, limits):
        with _refusing(name, limits):
            page = DecodedPage(np.asarray(upright(frame, to_grey(frame))), _pixel_aspect(frame))
        yield page


def _opened(data: bytes, limits: Limits) -> tuple[Image.Image, list[int], str]:
    """An image file, its frames that are pages, and its format."""
    name = format_of(data)
    with _refusing(name, limits):
        image = _open(data, name)
        if name == "JPEG" and _scans(data) > MAX_JPEG_SCANS:
            raise TooLarge(f"The JPEG has more than {MAX_JPEG_SCANS} scans; save it anew.")
        return image, _pages(image, limits), name


def _open(data: bytes, name: str) -> Image.Image:
    if name == "HEIF":
        # Few requests bring one. Registering it with Pillow would ask for the encoder, which the container lacks.
        from pillow_heif import HeifImageFile

        image: Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]
        return image
    return Image.open(BytesIO(data), formats=(name,))


def _scans(data: bytes) -> int:
    """How many scans a JPEG has up to its end; no more are counted than are too many."""
    scans = at = 0
    while scans <= MAX_JPEG_SCANS and (found := _JPEG_MARKER.search(data, at)):
        marker = data[found.end() - 1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return scans


def _pages(image: Image.Image, limits: Limits) -> list[int]:
    """The frames that are pages, refused where they are too many or too large."""
    pages: list[int] = []
    index = 0
    while True:
        if index >= limits.max_pages:
            raise TooLarge(f"The file has more than {limits.max_pages:,} pages; send it in parts.")
        width, height = image.size
        if width * height > limits.max_pixels:
            raise TooLarge(f"The image has {width} x {height} pixels; the limit is {limits.max_pixels:,} in all.")
        if image.format != "TIFF":
            return [0]
        if not pages or not image.getexif().get(ExifTags.Base.NewSubfileType, 0) & _NO_PAGE:
            pages.append(index)
        index += 1
        try:
            image.seek(index)
        except EOFError:
            return pages


def _loaded(image: Image.Image, pages: list[int], name: str, limits: Limits) -> Iterator[Image.Image]:
    for index in pages:
        with _refusing(name, limits):
            if name == "TIFF":
                image.seek(index)
            image.draft("L", image.size)
            image.load()
        yield image


@contextmanager
def _refusing(name: str, limits: Limits) -> Iterator[None]:
    """Turn what Pillow raises into what the caller can change."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of what is refused anyway, and of metadata it can do without.
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise TooLarge(f"The image has too many pixels; the limit is {limits.max_pixels:,} in all.") from error
    except _DECODING_ERRORS as error:
        raise BrokenImage(f"The {name} image is damaged or cut short; save it anew and send the whole file.") from error


def to_grey(image: Image.Image) -> Image.Image:
    """An image's grey values, 0 to 255, with transparent pixels over what makes its writing visible; mode L."""
    if image.mode[0] in "IF":
        return _stretched(np.asarray(image))
    if image.mode == "LAB":
        # Pillow converts it by colour profiles alone; its first band is the lightness.
        return image.getchannel(0)
    if image.has_transparency_data:
        # An alpha band of its own takes a third of the memory that RGBA over white would.
        separate = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
        grey, alpha = separate.convert("L"), separate.getchannel("A")
        return Image.composite(grey, Image.new("L", image.size, _backdrop(grey, alpha)), alpha)
    return image.convert("L")


def _stretched(values: NDArray[Any]) -> Image.Image:
    """Values of more than eight bits as grey values, whatever part of their range is used; mode L.

    Scanners store ten or twelve bits in sixteen without saying so, and Pillow clips at 255 instead of scaling. What
    differs by less than a tenth is blank paper, of which the noise must not become ink.
    """
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
        value = image.getexif().get(ExifTags.Base.Orientation)
    except _DECODING_ERRORS:
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def upright(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """An image's pixels turned by its EXIF orientation."""
    turn = _UPRIGHT.get(orientation(image))
    return pixels if turn is None else pixels.transpose(turn)
