"""Render PDFs, extract their own text, and add text to them, in a separate process.

A hostile PDF of a megabyte can make PDFium use gigabytes and minutes, or crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING, Any

from paragraph_ocr import errors
from paragraph_ocr.io.confined import Confined, receive, send
from paragraph_ocr.io.pdf_text import MAX_FORM_DEPTH, LayerLine, character, extract
from paragraph_ocr.io.pdf_writer import TextLayer, Writer

if TYPE_CHECKING:
    import numpy as np
    import pypdfium2
    from numpy.typing import NDArray

    from paragraph_ocr.io.limits import Limits
    from paragraph_ocr.io.pdf_text import Affine

DOTS_PER_INCH = 200
# Some scans state one point per pixel. Pages that are too large at 200 dots per inch are rendered at fewer, but not
# below this.
MIN_DOTS_PER_INCH = 72
POINTS_PER_INCH = 72
MAX_MEMORY = 2**30
PAGE_SECONDS = 20.0
# Processor time beyond that for opening the file, since it may stay open for longer.
_SPARE_SECONDS = 60.0
# Existing text of a page is looked up in PDFium's list of characters, whose time grows with the square of the number of
# text objects: 0.1 seconds for this many. If there are more, the boxes of the objects are compared.
MAX_LISTED_OBJECTS = 2_000
# Points around a word's middle, which may be between two letters, in which it is looked up.
GAP = 4.0
# Annotations of a page among which one with text is looked for.
MAX_ANNOTATIONS = 1_000


class Pdf:
    """A PDF that a separate process has open; `close` ends it.

    Parameters
    ----------
    data : bytes
    limits : Limits
        The time limit is that for opening it.

    Raises
    ------
    OcrError
        The PDF is refused, cannot be opened, or takes too long to open.

    Attributes
    ----------
    count : int
        Number of pages.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        seconds = limits.max_seconds + _SPARE_SECONDS
        task = {"max_pages": limits.max_pages, "max_pixels": limits.max_pixels}
        self._process = Confined(__name__, "PDF", task, data, min(MAX_MEMORY, limits.max_memory), seconds)
        try:
            header, _ = self._process.answer(min(PAGE_SECONDS, limits.max_seconds))
        except BaseException:
            self.close()
            raise
        self.count = int(header["pages"])

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def pages(
        self, numbers: Sequence[int], deadline: float, text: bool = False
    ) -> Iterator[tuple[NDArray[np.uint8], list[LayerLine]]]:
        """Render some pages.

        Parameters
        ----------
        numbers : sequence of int
            Of the pages, from 1.
        deadline : float
            A time of `perf_counter`.
        text : bool
            Whether the pages' own text is extracted, too.

        Yields
        ------
        uint8 (H, W), list of LayerLine
            The page's grey values, and its text in no order, in pixels.

        Raises
        ------
        OcrError
            It takes too long or too much memory, or a page is damaged.
        """
        import numpy as np

        if not numbers:
            return
        self._process.ask({"numbers": list(numbers), "text": text})
        for _ in numbers:
            shape, pixels = self._process.answer(min(PAGE_SECONDS, deadline - perf_counter()))
            rows = np.frombuffer(pixels, np.uint8).reshape(shape["height"], -1)
            lines = [LayerLine.unpacked(line) for line in shape["text"]]
            yield np.ascontiguousarray(rows[:, : shape["width"]]), lines

    def overlay(self, layers: Iterable[TextLayer], deadline: float, numbers: Sequence[int] = ()) -> bytes:
        """Return the PDF with invisible text over its pages, except where they have text; must be the last request.

        Parameters
        ----------
        layers : iterable of TextLayer
            One per page, in pixels of `pages`; each is sent before the next is taken from the iterable.
        deadline : float
            A time of `perf_counter`.
        numbers : sequence of int, optional
            The layers' pages, from 1; the first and those after it where they are left out.

        Raises
        ------
        OcrError
            It takes too long or too much memory.
        """
        seconds = PAGE_SECONDS
        self._process.ask({"overlay": True})
        for number, layer in enumerate(layers):
            page = numbers[number] if numbers else number + 1
            self._process.ask({"page": page, "layer": asdict(layer)})
            self._process.answer(min(PAGE_SECONDS, deadline - perf_counter()))
            seconds += 1.0
        self._process.ask({})
        _, written = self._process.answer(min(seconds, deadline - perf_counter()))
        return bytes(written)


def serve(task: dict[str, Any], data: bytes) -> None:
    """Open the file and answer requests; called in the separate process."""
    import pypdfium2

    try:
        document = _open(data)
        scales = _scales(document, **task)
        send({"pages": len(document)})
        while True:
            asked, _ = receive()
            if "overlay" in asked:
                _overlay(document)
            else:
                _render(document, scales, asked["numbers"], data if asked["text"] else None)
    except pypdfium2.PdfiumError as error:
        raise errors.BrokenImage("The PDF is damaged or cut short; print it to a new PDF.") from error


def _open(data: bytes) -> pypdfium2.PdfDocument:
    import pypdfium2
    from pypdfium2 import raw

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise errors.BrokenImage("The PDF needs a password; save it without one.") from error
        raise
    document.init_forms()
    if not len(document):
        raise errors.BrokenImage("The PDF has no pages.")
    return document


def _scales(document: pypdfium2.PdfDocument, max_pages: int, max_pixels: int) -> list[float]:
    """Return the pixels per point of each page."""
    if len(document) > max_pages:
        raise errors.TooLarge(f"The PDF has {len(document):,} pages; the limit is {max_pages:,}.")
    sizes = [document.get_page_size(index) for index in range(len(document))]
    return [_scale(width, height, max_pixels) for width, height in sizes]


def _render(document: pypdfium2.PdfDocument, scales: list[float], numbers: list[int], data: bytes | None) -> None:
    """Send the grey pixels of the pages that are asked for, with their text if the file's `data` is given."""
    for index in (number - 1 for number in numbers):
        page = document[index]
        bitmap = page.render(scales[index], grayscale=True)
        text = [] if data is None else _text(page, index, bitmap.width, bitmap.height, data)
        shape = {"width": bitmap.width, "height": bitmap.height, "text": [line.packed() for line in text]}
        send(shape, memoryview(bitmap.buffer).cast("B"))
        bitmap.close()
        page.close()


def _text(page: pypdfium2.PdfPage, index: int, width: int, height: int, data: bytes) -> list[LayerLine]:
    """Return the text of a page, with that of its forms and comments."""
    from pypdfium2 import raw

    to_pixel = _inverse(_to_page(page, width, height), height)
    if to_pixel is None:
        return []
    if not _has_written_annotations(page):
        return extract(page, to_pixel, width, height)
    # Their text becomes that of the page in a copy, since the document itself may be written later.
    with _open(data) as copy:
        own = copy[index]
        raw.FPDFPage_Flatten(own, raw.FLAT_NORMALDISPLAY)
        own.close()
        own = copy[index]
        lines = extract(own, to_pixel, width, height)
        own.close()
    return lines


def _has_written_annotations(page: pypdfium2.PdfPage) -> bool:
    """Return whether a page has fields of a form, or comments that are written on it."""
    from pypdfium2 import raw

    found = False
    for number in range(min(raw.FPDFPage_GetAnnotCount(page), MAX_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, number)
        found = raw.FPDFAnnot_GetSubtype(annotation) in (
            raw.FPDF_ANNOT_WIDGET,
            raw.FPDF_ANNOT_FREETEXT,
            raw.FPDF_ANNOT_STAMP,
        )
        raw.FPDFPage_CloseAnnot(annotation)
        if found:
            break
    return found


def _scale(width: float, height: float, max_pixels: int) -> float:
    """Return the pixels per point for a page of this size in points, before the page is loaded."""
    # One pixel per side is reserved for rounding up.
    most = ((max_pixels - width - height) / max(width * height, 1)) ** 0.5 if max_pixels > width + height else 0.0
    if most < MIN_DOTS_PER_INCH / POINTS_PER_INCH:
        raise errors.TooLarge(
            f"A page of the PDF measures {width:.0f} x {height:.0f} points; "
            f"at {MIN_DOTS_PER_INCH} dots an inch the limit is {max_pixels:,} pixels."
        )
    return min(DOTS_PER_INCH / POINTS_PER_INCH, most)


def _layers() -> Iterator[tuple[int, TextLayer]]:
    """Yield the layers that are sent, each with its page's index, up to the message without one."""
    while "layer" in (asked := receive()[0]):
        yield asked["page"] - 1, TextLayer(**asked["layer"])


def _overlay(document: pypdfium2.PdfDocument) -> None:
    """Confirm each layer once it is laid over its page, then send the document."""
    import pypdfium2
    from pypdfium2 import raw

    for index, layer in _layers():
        page = document[index]
        width, height = layer.width, layer.height
        to_page = _to_page(page, width, height)
        removed = bool(layer.instead and layer.words) and _remove_invisible_text(page)
        places = [to_page.on_point(word[0], height - word[1]) for word in layer.words]
        are_text = [False] * len(places) if layer.beside else _are_text(page, places)
        missing = [word for word, is_text in zip(layer.words, are_text, strict=True) if not is_text]
        # A page to which nothing is added keeps its content as it is.
        if missing:
            writer = Writer()
            writer.add_page(width, height, replace(layer, words=missing).content(1.0))
            with pypdfium2.PdfDocument(writer.finish("")) as written:
                template = raw.FPDF_NewXObjectFromPage(document, written, 0)
                form = raw.FPDF_NewFormObjectFromXObject(template)
                raw.FPDFPageObj_SetMatrix(form, to_page.to_raw())
                raw.FPDFPage_InsertObject(page, form)
                raw.FPDF_CloseXObject(template)
        if missing or removed:
            raw.FPDFPage_GenerateContent(page)
        if layer.turn:
            raw.FPDFPage_SetRotation(page, (raw.FPDFPage_GetRotation(page) - layer.turn) % 4)
        page.close()
        send({"page": index + 1})
    content = BytesIO()
    document.save(content)
    send({}, content.getbuffer())


def _remove_invisible_text(page: pypdfium2.PdfPage) -> bool:
    """Remove the invisible text of a page of images, which is that of an earlier OCR; return whether there was any."""
    from pypdfium2 import raw

    count = raw.FPDFPage_CountObjects(page)
    if count > MAX_LISTED_OBJECTS:
        return False
    objects = [raw.FPDFPage_GetObject(page, index) for index in range(count)]
    kinds = {raw.FPDFPageObj_GetType(each) for each in objects}
    # PDFium writes the content anew; graphics that it may not write as they were are left alone.
    if not kinds <= {raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM}:
        return False
    invisible = [each for each in objects if _is_invisible_text(each)]
    for each in invisible:
        raw.FPDFPage_RemoveObject(page, each)
        raw.FPDFPageObj_Destroy(each)
    return bool(invisible)


def _is_invisible_text(each: Any, depth: int = 0) -> bool:
    """Return whether an object is invisible text, or a form of nothing else."""
    from pypdfium2 import raw

    kind = raw.FPDFPageObj_GetType(each)
    if kind == raw.FPDF_PAGEOBJ_TEXT:
        return bool(raw.FPDFTextObj_GetTextRenderMode(each) == raw.FPDF_TEXTRENDERMODE_INVISIBLE)
    if kind != raw.FPDF_PAGEOBJ_FORM or depth == MAX_FORM_DEPTH:
        return False
    count = raw.FPDFFormObj_CountObjects(each)
    return 0 < count <= MAX_LISTED_OBJECTS and all(
        _is_invisible_text(raw.FPDFFormObj_GetObject(each, index), depth + 1) for index in range(count)
    )


def _are_text(page: pypdfium2.PdfPage, places: list[tuple[float, float]]) -> list[bool]:
    """Return whether the page has text at each position, in its own coordinates."""
    from ctypes import c_float

    from pypdfium2 import raw

    if not places:
        return []
    objects = raw.FPDFPage_CountObjects(page)
    if objects <= MAX_LISTED_OBJECTS:
        text = page.get_textpage()
        found = [
            (index := text.get_index(*place, GAP, GAP)) is not None and character(text, index) != "" for place in places
        ]
        text.close()
        return found
    left, bottom, right, top = (c_float() for _ in range(4))
    open_places = dict(enumerate(places))
    for index in range(objects):
        each = raw.FPDFPage_GetObject(page, index)
        if raw.FPDFPageObj_GetType(each) == raw.FPDF_PAGEOBJ_TEXT and raw.FPDFPageObj_GetBounds(
            each, left, bottom, right, top
        ):
            box = left.value, bottom.value, right.value, top.value
            for at in [at for at, (x, y) in open_places.items() if box[0] <= x <= box[2] and box[1] <= y <= box[3]]:
                del open_places[at]
    return [at not in open_places for at in range(len(places))]


def _to_page(page: pypdfium2.PdfPage, width: int, height: int) -> pypdfium2.PdfMatrix:
    """Return the matrix from pixels of the rendered page, upwards from its lower left, to its own coordinates."""
    from ctypes import c_double

    import pypdfium2
    from pypdfium2 import raw

    corners = []
    for across, down in ((0, height), (width, height), (0, 0)):
        x, y = c_double(), c_double()
        raw.FPDF_DeviceToPage(page, 0, 0, width, height, 0, across, down, x, y)
        corners.append((x.value, y.value))
    (x0, y0), (x1, y1), (x2, y2) = corners
    return pypdfium2.PdfMatrix((x1 - x0) / width, (y1 - y0) / width, (x2 - x0) / height, (y2 - y0) / height, x0, y0)


def _inverse(to_page: pypdfium2.PdfMatrix, height: int) -> Affine | None:
    """Return the matrix from a page's own coordinates to pixels from the upper left; None if the page has no area."""
    a, b, c, d, e, f = to_page.get()
    determinant = a * d - b * c
    if not determinant:
        return None
    inverse = d / determinant, -b / determinant, -c / determinant, a / determinant
    x, y = -(e * inverse[0] + f * inverse[2]), -(e * inverse[1] + f * inverse[3])
    return inverse[0], -inverse[1], inverse[2], -inverse[3], x, height - y
