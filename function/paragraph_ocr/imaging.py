"""The bytes of an image file go in, its upright greyscale pages come out, or an error that says what to change."""

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

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
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})

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


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for.

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
    max_pixels: int = 50_000_000
    max_pages: int = 1000
    max_lines: int = 1000
    max_seconds: float = 3600.0


DEFAULT_LIMITS = Limits()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Iterator[NDArray[np.uint8]]:
    """Decode an image file into its pages, one at a time; what the limits refuse is refused at once.

    Parameters
    ----------
    data : bytes
        A JPEG, PNG, WebP, TIFF, BMP or GIF file; of several frames, the first is read.
    limits : Limits
        What is refused before it is decoded.

    Returns
    -------
    iterator of uint8 (H, W)
        Grey values of the page, 0 black and 255 white, turned upright by its EXIF orientation; transparent pixels
        are laid over white.

    Raises
    ------
    TooLarge
        More bytes or pixels than the limits.
    UnsupportedFormat
        The bytes begin like no format on the list.
    BrokenImage
        The bytes begin like one and do not decode.
    """
    if len(data) > limits.max_bytes:
        raise TooLarge(f"The image has {len(data):,} bytes; the limit is {limits.max_bytes:,}.")
    if not data:
        raise BrokenImage("The image has no bytes.")
    name = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)
    if name is None or (name == "WEBP" and data[8:12] != b"WEBP"):
        raise UnsupportedFormat("Send a JPEG, PNG, WebP, TIFF, BMP or GIF image.")
    return iter([_first(data, name, limits)])


def _first(data: bytes, name: str, limits: Limits) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            # Pillow warns of what is refused below, and of metadata it can do without.
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(data), formats=(name,)) as image:
                width, height = image.size
                if width * height > limits.max_pixels:
                    raise TooLarge(
                        f"The image has {width} x {height} pixels; the limit is {limits.max_pixels:,} in all."
                    )
                # A colour JPEG decodes straight to its luma, at a third of the memory.
                image.draft("L", image.size)
                image.load()
                return np.asarray(_upright(image, _grey(image)))
    except Image.DecompressionBombError as error:
        raise TooLarge(f"The image has too many pixels; the limit is {limits.max_pixels:,} in all.") from error
    except _DECODING_ERRORS as error:
        raise BrokenImage(f"The {name} image is damaged or cut short; save it anew and send the whole file.") from error


def _grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit values at 255 instead of scaling them.
        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        return Image.fromarray((values // 257).astype(np.uint8))
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("L")
    return image.convert("L")


def _upright(image: Image.Image, grey: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _DECODING_ERRORS:
        return grey
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return grey if turn is None else grey.transpose(turn)
