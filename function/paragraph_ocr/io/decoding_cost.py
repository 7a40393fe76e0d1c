"""Estimate memory and time of decoding an image from its header, and refuse images beyond the limits."""

from __future__ import annotations

from PIL import Image

from paragraph_ocr.errors import TooLarge
from paragraph_ocr.io.headers import count_jpeg_scans, is_run_length_encoded
from paragraph_ocr.io.limits import Limits

# Pillow keeps a pointer for each row, and few formats can state more than 16 bits.
MAX_SIDE = 65_535
# Each scan covers all pixels of a progressive JPEG, may be empty, and may be repeated. libtiff has the same limit.
MAX_JPEG_SCANS = 100
# Pillow parses them one by one in Python, and copies what it has of the EXIF data for each of its segments, which have
# up to 65,533 bytes.
MAX_JPEG_SEGMENTS = 10_000

# What is decoded in this process takes up to about half a second; anything more gets a process of its own, which takes
# 0.07 seconds to start. A JPEG takes 20 nanoseconds a pixel, and 1 to 2 for each scan beyond the first.
MAX_PIXELS_HERE = 12_000_000
_MAX_JPEG_WORK_HERE = 160_000_000
_JPEG_WORK_PER_PIXEL = 8
# Pillow parses the chunks of a PNG and the runs of a BMP in Python.
MAX_BYTES_HERE = 32 * 2**20
_MAX_PNG_BYTES_HERE = 8 * 2**20
_MAX_RLE_PIXELS_HERE = 1_000_000
MAX_TIFF_PIECES_HERE = 4096
# AVIF and HEIC state their size in several places, and decoders rely on that of the coded pixels, which no header check
# covers; the decoding time of JPEG 2000 depends on its tiles, levels and code blocks.
ALWAYS_CONFINED = ("AVIF", "HEIF", "JPEG2000")

# Upper bounds of the bytes per pixel that decoding to grey takes: the decoder's buffers, Pillow's image, and the grey.
_BYTES_PER_PIXEL = {
    "1": 4, "L": 4, "P": 4, "I;16": 8, "I;16B": 8, "I;16L": 8, "I;16N": 8, "I": 12, "F": 12, "LA": 12, "PA": 12,
    "RGB": 8, "RGBX": 8, "RGBA": 12, "CMYK": 12, "YCbCr": 8, "LAB": 8,
}  # fmt: skip
MAX_BYTES_PER_PIXEL = 16
# WebP: two canvases of four bytes, the frame as bytes, the image. AVIF and HEIC: four planes, the picture composed of
# them, the same as bytes, the image. JPEG 2000: the planes of a tile, which may be the whole image, in 32 bits, their
# copy in the image's type, the image and the grey; 25 were measured with four planes.
BYTES_PER_PIXEL_OF_FORMAT = {"WEBP": 20, "AVIF": 20, "HEIF": 20, "JPEG2000": 40}
# If a colour of the palette is transparent, an image with an alpha band is made first.
_WITH_TRANSPARENT_COLOURS = ("PNG", "GIF")
_BYTES_PER_PIXEL_OF_TRANSPARENCY = 8
BASE_MEMORY = 64 * 2**20
_DECODER_MEMORY = {"AVIF": 256 * 2**20, "HEIF": 256 * 2**20, "JPEG2000": 256 * 2**20}


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise TooLarge if an image has too many pixels, in all or on a side."""
    if max(width, height) > MAX_SIDE:
        raise TooLarge(f"The image has {width} x {height} pixels; the limit is {MAX_SIDE:,} on a side.")
    if width * height > limits.max_pixels:
        raise TooLarge(f"The image has {width} x {height} pixels; the limit is {limits.max_pixels:,} in all.")


def check_memory(name: str, decoded: int, data: bytes, limits: Limits) -> int:
    """Return the estimated memory of decoding a page.

    Parameters
    ----------
    name : str
        Format of the file.
    decoded : int
        Bytes of the decoded page and of the buffers that grow with its size.
    data : bytes
        The file.
    limits : Limits

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    TooLarge
        They exceed the limit.
    """
    memory = _DECODER_MEMORY.get(name, BASE_MEMORY) + decoded + 2 * len(data)
    if memory > limits.max_memory:
        raise TooLarge(
            f"Decoding the {name} image takes up to {memory / 2**20:,.0f} MB of memory; "
            f"the limit is {limits.max_memory / 2**20:,.0f}. Send a smaller image, or a JPEG."
        )
    return memory


def check_frame(image: Image.Image, additional: int, data: bytes, limits: Limits) -> int:
    """Check size and memory of the frame that an opened image is at.

    Parameters
    ----------
    image : Image
    additional : int
        Bytes per pixel that decoding takes beyond those of the image's mode.
    data : bytes
        The file.
    limits : Limits

    Returns
    -------
    int
        Estimated bytes that decoding takes.

    Raises
    ------
    TooLarge
    """
    name = image.format or ""
    check_size(*image.size, limits)
    each = BYTES_PER_PIXEL_OF_FORMAT.get(name) or additional + _BYTES_PER_PIXEL.get(image.mode, MAX_BYTES_PER_PIXEL)
    if name in _WITH_TRANSPARENT_COLOURS and "transparency" in image.info:
        each += _BYTES_PER_PIXEL_OF_TRANSPARENCY
    return check_memory(name, each * image.width * image.height, data, limits)


def is_quick(image: Image.Image, data: bytes) -> bool:
    """Return whether decoding an opened image takes so little time that it needs no separate process."""
    pixels = image.width * image.height
    match image.format:
        case "JPEG":
            return pixels * (_JPEG_WORK_PER_PIXEL + count_jpeg_scans(data, MAX_JPEG_SCANS)) <= _MAX_JPEG_WORK_HERE
        case "PNG":
            return pixels <= MAX_PIXELS_HERE and len(data) <= _MAX_PNG_BYTES_HERE
        case "BMP" if is_run_length_encoded(data):
            return pixels <= _MAX_RLE_PIXELS_HERE
    return pixels <= MAX_PIXELS_HERE and len(data) <= MAX_BYTES_HERE
