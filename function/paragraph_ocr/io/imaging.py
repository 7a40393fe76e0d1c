"""Decode image files and PDFs into upright greyscale pages.

The formats are told apart in `file_format`, limits are checked in `decoding_cost` and `tiff`, Pillow opens and loads
images in `image_file`, and `grey` converts their pixels. PDFs are rendered by `pdfium`, and images that may take long
are decoded by `serve` in a separate process (`confined`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from paragraph_ocr.errors import DeadlineExceeded, TooLarge
from paragraph_ocr.io import tiff
from paragraph_ocr.io.decoding_cost import (
    ALWAYS_CONFINED,
    BYTES_PER_PIXEL_OF_FORMAT,
    MAX_BYTES_HERE,
    MAX_BYTES_PER_PIXEL,
    MAX_PIXELS_HERE,
    MAX_TIFF_PIECES_HERE,
    check_memory,
    check_size,
    is_quick,
)
from paragraph_ocr.io.file_format import format_of
from paragraph_ocr.io.grey import pixel_aspect, to_grey, upright
from paragraph_ocr.io.headers import claimed_pixels, webp_size
from paragraph_ocr.io.image_file import load_frames, open_file, translated_errors
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.io.page_ranges import PageRange, numbers_of

# NumPy takes three times as long to import as everything else that a process for decoding needs.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paragraph_ocr.io.confined import Confined
    from paragraph_ocr.io.pdf_text import LayerLine
    from paragraph_ocr.io.pdfium import Pdf


class DecodedPage(NamedTuple):
    """A decoded page.

    Attributes
    ----------
    pixels : uint8 (H, W)
        Grey values.
    pixel_aspect : float
        Height over width of a pixel.
    number : int
        Number of the page in the file, from 1.
    text : sequence of LayerLine
        The text that a page of a PDF carries, in no order, in pixels.
    """

    pixels: NDArray[np.uint8]
    pixel_aspect: float
    number: int
    text: Sequence[LayerLine] = ()


class Source:
    """A file to be read; if it is a PDF, the process that has it open is kept between calls until `close`.

    Parameters
    ----------
    data : bytes
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._pdf: Pdf | None = None

    def pdf(self, limits: Limits) -> Pdf:
        """Return the process that has the PDF open; raises what `decode` does."""
        if self._pdf is None:
            # Imported here because few requests contain a PDF.
            from paragraph_ocr.io.pdfium import Pdf

            self._pdf = Pdf(self.data, limits)
        return self._pdf

    def close(self) -> None:
        """End the process, if there is one."""
        if self._pdf is not None:
            self._pdf.close()
            self._pdf = None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def decode(data: bytes | Source, limits: Limits = DEFAULT_LIMITS, first: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Decode an image file into its pages, one at a time.

    Errors that the file's headers show (format, bytes, number of pages, pixels) are raised by the call itself, before
    any page is decoded. Files that may take long, or more memory than their headers state, are decoded in a separate
    process.

    Parameters
    ----------
    data : bytes or Source
        A JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF or JPEG 2000 image, or a PDF. TIFF and PDF have pages; of other
        files with several frames, the first is read.
    limits : Limits
        Checked before decoding; the time begins with the call.
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
        The first bytes are those of no supported format.
    BrokenImage
        The file cannot be decoded, or needs a password.
    DeadlineExceeded
        The time is over.
    """
    return (page.pixels for page in decode_pages(data, limits, first))


def decode_pages(
    data: bytes | Source,
    limits: Limits = DEFAULT_LIMITS,
    first: int = 1,
    ranges: Sequence[PageRange] = (),
    text: bool = False,
) -> Iterator[DecodedPage]:
    """Decode an image file into its pages with their pixel aspect and number.

    Other parameters, and errors, are those of `decode`.

    Parameters
    ----------
    ranges : sequence of (int, int or None), optional
        The pages to decode, as `page_ranges.parse_pages` returns them; the limit of pages then counts only these.
    text : bool
        Whether the text that pages of a PDF carry is extracted.

    Raises
    ------
    MalformedRequest
        The file lacks one of these pages.
    """
    deadline = perf_counter() + limits.max_seconds
    in_file = replace(limits, max_pages=max(limits.max_pages, DEFAULT_LIMITS.max_pages)) if ranges else limits
    source = data if isinstance(data, Source) else Source(data)
    if len(source.data) > limits.max_bytes:
        raise TooLarge(f"The image has {len(source.data):,} bytes; the limit is {limits.max_bytes:,}.")
    name = format_of(source.data)
    if name == "PDF":
        choose = partial(_choose_numbers, ranges, first, limits)
        pages = _decode_pdf(source, in_file, choose, deadline, source is not data, text)
    else:
        plan = _plan(source.data, name, in_file)
        if plan.image is not None:
            numbers = _choose_numbers(ranges, first, limits, len(plan.pages))
            return _decode_here(source.data, plan, in_file, numbers, deadline)
        choose = partial(_choose_numbers, ranges, first, limits)
        pages = _decode_confined(source.data, plan, in_file, choose, deadline)
    # Run these generators up to their first `yield`, which is after their checks.
    next(pages)
    return pages


def frames(data: bytes, limits: Limits = DEFAULT_LIMITS, numbers: Sequence[int] = ()) -> Iterator[Image.Image]:
    """Yield the pages of an image file other than a PDF, decoded in this process; each is valid until the next.

    A colour JPEG is decoded to its luma only. Other parameters, and errors, are those of `decode`.

    Parameters
    ----------
    numbers : sequence of int, optional
        The pages to decode, from 1; all if empty.
    """
    name = format_of(data)
    file = open_file(data, name, limits)
    indices = [file.pages[number - 1] for number in numbers] if numbers else file.pages
    return load_frames(file.image, indices, data, name, limits)


def count_pages(data: bytes | Source, limits: Limits = DEFAULT_LIMITS) -> int:
    """Return how many pages `decode` yields; raises the same errors as far as headers show them, except for bytes."""
    source = data if isinstance(data, Source) else Source(data)
    name = format_of(source.data)
    if name != "PDF":
        return len(_plan(source.data, name, limits).pages)
    try:
        return source.pdf(limits).count
    finally:
        if source is not data:
            source.close()


def is_small(data: bytes, most: int, limits: Limits) -> bool:
    """Return whether the first page of a valid image has at most `most` pixels and needs no separate process."""
    image = _plan(data, format_of(data), limits).image
    return image is not None and image.width * image.height <= most


@contextmanager
def start(module: str, data: bytes, name: str, task: dict[str, Any], memory: int, limits: Limits) -> Iterator[Confined]:
    """Start a process that runs a module's `serve` on an image, and end it on exit.

    Parameters
    ----------
    module, name, task, data, memory
        As `confined.Confined` takes them; `limits` is added to the task.
    limits : Limits
    """
    from paragraph_ocr.io.confined import Confined

    process = Confined(module, name, {**task, "limits": asdict(limits)}, data, memory, limits.max_seconds)
    try:
        yield process
    finally:
        process.close()


def serve(task: dict[str, Any], data: bytes) -> None:
    """Decode an image in a separate process: send the number of its pages, then those that are asked for."""
    from paragraph_ocr.io.confined import receive, send

    limits = Limits(**task["limits"])
    name = format_of(data)
    file = open_file(data, name, limits)
    send({"pages": len(file.pages)})
    asked, _ = receive()
    for frame in load_frames(file.image, [file.pages[number - 1] for number in asked["numbers"]], data, name, limits):
        with translated_errors(data, name, limits):
            page = upright(frame, to_grey(frame))
        shape = {"width": page.width, "height": page.height, "aspect": pixel_aspect(frame)}
        send(shape, page.tobytes())


@dataclass(frozen=True)
class _Plan:
    """How a file is decoded.

    Attributes
    ----------
    name : str
        Its format.
    image : Image or None
        The opened image if it is decoded in this process.
    pages : list of int
        Indices of the frames that are pages.
    memory : int
        Estimated bytes that decoding the largest of them takes.
    """

    name: str
    image: Image.Image | None
    pages: list[int]
    memory: int


def _plan(data: bytes, name: str, limits: Limits) -> _Plan:
    """Decide how an image is decoded; raises the errors that its headers show."""
    if name in ALWAYS_CONFINED:
        pixels = min(claimed_pixels(data, name), limits.max_pixels)
        return _Plan(name, None, [0], check_memory(name, BYTES_PER_PIXEL_OF_FORMAT[name] * pixels, data, limits))
    if name == "WEBP":
        width, height = webp_size(data)
        check_size(width, height, limits)
        memory = check_memory(name, BYTES_PER_PIXEL_OF_FORMAT[name] * width * height, data, limits)
        # Pillow allocates two canvases when it opens a WebP.
        if width * height > MAX_PIXELS_HERE or len(data) > MAX_BYTES_HERE:
            return _Plan(name, None, [0], memory)
    elif name == "TIFF":
        with translated_errors(data, name, limits):
            sheets = tiff.check_file(data, limits.max_pages)
        if len(sheets) > limits.max_pages:
            raise TooLarge(f"The file has more than {limits.max_pages:,} pages; send it in parts.")
        for sheet in sheets:
            check_size(sheet.width, sheet.height, limits)
        # Pillow makes an object of each strip or tile, and the time of other compressions is not bounded by the size.
        if any(sheet.pieces > MAX_TIFF_PIECES_HERE or not sheet.is_simple for sheet in sheets):
            pixels = max(sheet.width * sheet.height + sheet.tile_pixels for sheet in sheets)
            pages = [index for index, sheet in enumerate(sheets) if sheet.is_page or not index]
            return _Plan(name, None, pages, check_memory(name, MAX_BYTES_PER_PIXEL * pixels, data, limits))
    file = open_file(data, name, limits)
    return _Plan(name, file.image if is_quick(file.image, data) else None, file.pages, file.memory)


def _choose_numbers(ranges: Sequence[PageRange], first: int, limits: Limits, count: int) -> list[int]:
    """Return the numbers of the pages to decode of a file that has `count`."""
    if not ranges:
        return list(range(first, count + 1))
    numbers = [number for number in numbers_of(ranges, count) if number >= first]
    if len(numbers) > limits.max_pages:
        raise TooLarge(f"pages asks for {len(numbers):,} pages; the limit is {limits.max_pages:,} at once.")
    return numbers


def _decode_pdf(
    source: Source, limits: Limits, choose: Callable[[int], list[int]], deadline: float, close: bool, text: bool
) -> Iterator[DecodedPage]:
    """Yield an empty page when the PDF has passed the checks, then its pages; finally end its process if `close`."""
    import numpy as np

    try:
        pdf = source.pdf(limits)
        numbers = choose(pdf.count)
        yield DecodedPage(np.empty((0, 0), np.uint8), 1.0, 0)
        for number, (pixels, lines) in zip(numbers, pdf.pages(numbers, deadline, text), strict=True):
            yield DecodedPage(pixels, 1.0, number, lines)
    finally:
        if close:
            source.close()


def _decode_here(
    data: bytes, plan: _Plan, limits: Limits, numbers: list[int], deadline: float
) -> Iterator[DecodedPage]:
    """Yield the pages of an image that is decoded in this process."""
    import numpy as np

    assert plan.image is not None
    loaded = load_frames(plan.image, [plan.pages[number - 1] for number in numbers], data, plan.name, limits)
    name = plan.name
    del plan
    for number in numbers:
        frame = next(loaded)
        with translated_errors(data, name, limits):
            page = DecodedPage(np.asarray(upright(frame, to_grey(frame))), pixel_aspect(frame), number)
        if perf_counter() > deadline:
            raise DeadlineExceeded(
                "Decoding the image takes longer than the limit; send fewer pages, or a smaller image."
            )
        if number == numbers[-1]:
            # The last page is read without the decoder, which keeps 70 MB of a WebP in A4.
            del frame, loaded
        yield page


def _decode_confined(
    data: bytes, plan: _Plan, limits: Limits, choose: Callable[[int], list[int]], deadline: float
) -> Iterator[DecodedPage]:
    """Yield an empty page when the image has passed the checks, then its pages, decoded in a separate process."""
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
