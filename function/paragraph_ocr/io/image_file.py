"""Open an image file with Pillow, check its structure, and load its pages in this process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image

from paragraph_ocr.errors import BrokenImage, TooLarge
from paragraph_ocr.io import tiff
from paragraph_ocr.io.decoding_cost import MAX_JPEG_SCANS, MAX_JPEG_SEGMENTS, check_frame
from paragraph_ocr.io.file_format import damage
from paragraph_ocr.io.grey import DECODING_ERRORS, SMALL_EXIF
from paragraph_ocr.io.headers import (
    count_jpeg_scans,
    count_jpeg_segments,
    has_excess_runs,
    is_run_length_encoded,
    jpeg_exif,
)
from paragraph_ocr.io.limits import Limits


@dataclass(frozen=True)
class ImageFile:
    """An opened image file.

    Attributes
    ----------
    image : Image
    pages : list of int
        Indices of the frames that are pages.
    memory : int
        Estimated bytes that decoding the largest of them takes.
    """

    image: Image.Image
    pages: list[int]
    memory: int


def open_file(data: bytes, name: str, limits: Limits) -> ImageFile:
    """Open an image file without decoding its pixels.

    Parameters
    ----------
    data : bytes
    name : str
        Format of the file, other than PDF.
    limits : Limits

    Raises
    ------
    TooLarge, BrokenImage
        As far as the file's headers show it.
    """
    with translated_errors(data, name, limits):
        _check_structure(data, name, limits)
        image = _open(data, name)
        scans = count_jpeg_scans(data, MAX_JPEG_SCANS) if name == "JPEG" else 0
        if scans > MAX_JPEG_SCANS:
            raise TooLarge(f"The JPEG has more than {MAX_JPEG_SCANS} scans; save it anew.")
        # With several scans, libjpeg keeps all coefficients, of two bytes each.
        additional = 2 * len(image.getbands()) if scans > 1 else 0
        return ImageFile(image, *_find_pages(image, limits, additional, data))


def load_frames(
    image: Image.Image, indices: Sequence[int], data: bytes, name: str, limits: Limits
) -> Iterator[Image.Image]:
    """Yield frames of an opened image, decoded; each is valid until the next.

    A colour JPEG is decoded to its luma only, at a third of the memory.
    """
    for index in indices:
        with translated_errors(data, name, limits):
            if name == "TIFF":
                image.seek(index)
            image.draft("L", image.size)
            image.load()
        yield image


@contextmanager
def translated_errors(data: bytes, name: str, limits: Limits) -> Iterator[None]:
    """Raise BrokenImage and TooLarge instead of the errors of Pillow."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes that are refused anyway, and of metadata that is not needed.
            warnings.simplefilter("ignore")
            yield
    except MemoryError as error:
        raise TooLarge(f"The {name} image takes too much memory; send a smaller one, or save it anew.") from error
    except Image.DecompressionBombError as error:
        raise TooLarge(f"The image has too many pixels; the limit is {limits.max_pixels:,} in all.") from error
    except DECODING_ERRORS as error:
        raise damage(data, name) from error


def _check_structure(data: bytes, name: str, limits: Limits) -> None:
    """Refuse files that Pillow would take long to open."""
    if name == "JPEG":
        if count_jpeg_segments(data, MAX_JPEG_SEGMENTS) > MAX_JPEG_SEGMENTS:
            raise TooLarge(f"The JPEG has more than {MAX_JPEG_SEGMENTS:,} segments before its pixels; save it anew.")
        exif = jpeg_exif(data)
        if len(exif) > SMALL_EXIF:
            tiff.check_exif(exif)
    elif name == "TIFF":
        tiff.check_file(data, limits.max_pages)
    elif name == "BMP" and is_run_length_encoded(data) and has_excess_runs(data):
        raise BrokenImage("The BMP has more data than pixels; save it anew.")


def _open(data: bytes, name: str) -> Image.Image:
    if name == "HEIF":
        # Imported here because it is rarely needed. Registering it with Pillow would need the encoder, which the
        # container image lacks.
        from pillow_heif import HeifImageFile

        image: Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]
        return image
    return Image.open(BytesIO(data), formats=(name,))


def _find_pages(image: Image.Image, limits: Limits, additional: int, data: bytes) -> tuple[list[int], int]:
    """Return the indices of the frames that are pages, and the memory that decoding the largest takes.

    Parameters
    ----------
    additional : int
        Bytes per pixel that decoding takes beyond those of the image's mode.
    """
    pages: list[int] = []
    index = memory = 0
    while True:
        if index >= limits.max_pages:
            raise TooLarge(f"The file has more than {limits.max_pages:,} pages; send it in parts.")
        memory = max(memory, check_frame(image, additional, data, limits))
        if image.format != "TIFF":
            return [0], memory
        if not pages or not image.getexif().get(ExifTags.Base.NewSubfileType, 0) & tiff.NO_PAGE:
            pages.append(index)
        index += 1
        try:
            image.seek(index)
        except EOFError:
            return pages, memory
