"""Convert decoded images to upright greyscale pixels."""

from __future__ import annotations

import struct

from PIL import ExifTags, Image

from paragraph_ocr.errors import BrokenImage
from paragraph_ocr.io import tiff

# What Pillow's decoders raise on hostile bytes, beside the OSError and SyntaxError that they document.
DECODING_ERRORS = (
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
# The size of one segment of a JPEG: EXIF data up to here is cheap to parse.
SMALL_EXIF = 2**16

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Horizontal and vertical resolutions count as unequal if their ratio is between these: a smaller ratio is rounding, a
# larger one an error of the writer.
_MIN_UNEQUAL, _MAX_UNEQUAL = 1.1, 5.0


def to_grey(image: Image.Image) -> Image.Image:
    """Return an image's grey values, 0 to 255, with transparent pixels over a ground that shows the writing; mode L."""
    if image.mode[0] in "IF":
        return _rescale_to_bytes(image)
    if image.mode == "LAB":
        # Pillow converts it by colour profiles alone; its first band is the lightness.
        return image.getchannel(0)
    if image.has_transparency_data:
        # A separate alpha band takes a third of the memory of compositing RGBA over white.
        separate = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
        grey, alpha = separate.convert("L"), separate.getchannel("A")
        return Image.composite(grey, Image.new("L", image.size, _backdrop(grey, alpha)), alpha)
    return image.convert("L")


def _rescale_to_bytes(image: Image.Image) -> Image.Image:
    """Return values of more than eight bits as grey values, scaled from the part of their range that is used; mode L.

    Scanners store ten or twelve bits in sixteen without saying so, and Pillow clips at 255 instead of scaling. If all
    values are within a tenth of the largest, the page is blank; scaling would turn its noise into ink.
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
    # Row by row, which needs no second copy in floating point.
    for row, deep in zip(grey, values, strict=True):
        row[:] = np.rint(np.clip(np.nan_to_num((deep - low) * (255.0 / max(high - low, 1e-6))), 0, 255))
    return Image.fromarray(grey)


def _backdrop(grey: Image.Image, alpha: Image.Image) -> int:
    """Return the grey value to lay transparent pixels over: white, or black if the writing would vanish on white.

    Parameters
    ----------
    grey, alpha : Image, mode L
    """
    import numpy as np

    step = max(1, max(grey.size) // 1024)
    values, cover = (np.asarray(band)[::step, ::step].astype(np.float32) / 255.0 for band in (grey, alpha))
    white, black = (float(np.std(values * cover + paper * (1.0 - cover))) for paper in (1.0, 0.0))
    # Dark writing on an opaque light ground is visible on white, although black around it would have more contrast.
    opaque = values[cover > 0.5]
    contrast = float(np.std(opaque)) if opaque.size else 0.0
    return 0 if black > 2.0 * white and contrast < 0.1 else 255


def pixel_aspect(image: Image.Image) -> float:
    """Return height over width of an image's pixels once it is upright, from the resolution in its file; else 1."""
    try:
        horizontal, vertical = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 1.0
    if not (horizontal > 0 and vertical > 0):
        return 1.0
    if not _MIN_UNEQUAL < max(horizontal / vertical, vertical / horizontal) < _MAX_UNEQUAL:
        return 1.0
    return horizontal / vertical if orientation(image) < 5 else vertical / horizontal


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, which is upright, if there is none or it cannot be read."""
    try:
        exif = image.info.get("exif")
        if isinstance(exif, bytes) and len(exif) > SMALL_EXIF:
            tiff.check_exif(exif)
        value = image.getexif().get(ExifTags.Base.Orientation)
    except (*DECODING_ERRORS, BrokenImage):
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSITIONS else 1


def upright(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """Return pixels turned by the EXIF orientation of the image that they come from."""
    transposition = _TRANSPOSITIONS.get(orientation(image))
    return pixels if transposition is None else pixels.transpose(transposition)
