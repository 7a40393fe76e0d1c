"""Encode images of Pillow and arrays of pixels as PNG, so that they are read like files."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paragraph_ocr.errors import BrokenImage
from paragraph_ocr.io.grey import DECODING_ERRORS, to_grey

# Modes that a PNG stores as they are, and what others are converted to; all else becomes grey.
_STORED = ("1", "L", "LA", "P", "RGB", "RGBA")
_CONVERTED = {"CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}
_FAST = 1


def encode_image(image: Image.Image, max_bytes: int) -> bytes:
    """Encode the current frame of an image, with its EXIF data and resolution.

    Parameters
    ----------
    image : Image
        Of any mode.
    max_bytes : int
        An image that takes more in colour is encoded in grey.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    BrokenImage
        The image was opened from a file that cannot be decoded, or has been closed.
    ValueError
        It has no pixels.
    """
    if not image.width or not image.height:
        raise ValueError(f"The image has no pixels; its size is {image.width} x {image.height}.")
    try:
        image.load()
        if image.mode in _STORED:
            stored = image
        else:
            stored = image.convert(_CONVERTED[image.mode]) if image.mode in _CONVERTED else to_grey(image)
        metadata = {"exif": image.getexif().tobytes()} if image.getexif() else {}
        data = _png(stored, image.info.get("dpi"), metadata)
        if len(data) > max_bytes and stored.mode != "L":
            data = _png(to_grey(stored), image.info.get("dpi"), metadata)
    except (*DECODING_ERRORS, AssertionError) as error:
        # Pillow asserts that the file is still open.
        raise BrokenImage(f"The image cannot be decoded: {str(error) or 'its file was closed'}.") from error
    return data


def encode_array(pixels: NDArray[np.generic], max_bytes: int) -> bytes:
    """Encode an array of pixels.

    Parameters
    ----------
    pixels : uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or bool (H, W)
        Grey, RGB or RGBA values, 0 to 255; a bool is black or white.
    max_bytes : int
        See `encode_image`.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    ValueError
        The array has another shape or type; the message says how to convert it.
    """
    described = f"{pixels.dtype} of shape {pixels.shape}"
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"Pixels must be uint8 from 0 to 255, not {described}: scale them to that, as by 255 if they go to 1, "
            "and convert by astype(numpy.uint8)."
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4) and pixels.shape[0] in (1, 3, 4):
        raise ValueError(f"The channels must be last, not first as in {described}: array.transpose(1, 2, 0).")
    if pixels.ndim == 4:
        raise ValueError(f"An array is a page of shape (H, W) or (H, W, 3), not {described}; pass them one at a time.")
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise ValueError(f"An array must have the shape (H, W) for grey or (H, W, 3) for RGB, not {described}.")
    if not pixels.size:
        raise ValueError(f"The array has no pixels: {described}.")
    return encode_image(Image.fromarray(np.ascontiguousarray(pixels)), max_bytes)


def _png(image: Image.Image, dpi: object, metadata: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    valid = isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(value) < 1e6 for value in dpi)
    image.save(buffer, "PNG", compress_level=_FAST, **({"dpi": dpi} if valid else {}), **metadata)
    return buffer.getvalue()
