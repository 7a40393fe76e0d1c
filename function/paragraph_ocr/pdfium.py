"""PDFs are opened here, in a process of their own: a file goes in, its grey pages or a PDF with more text come out.

PDFium takes what other readers take, but nothing stops it from within, and a hostile file of a megabyte makes it use
gigabytes and minutes, or crash. So it gets little memory and no credentials, and is ended when its time is over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from threading import Timer
from time import perf_counter
from typing import IO, TYPE_CHECKING, Any

from paragraph_ocr import errors
from paragraph_ocr.pdf import TextLayer, Writer

if TYPE_CHECKING:
    import numpy as np
    import pypdfium2
    from numpy.typing import NDArray

    from paragraph_ocr.imaging import Limits

DOTS_PER_INCH = 200
# Some scans claim a point for every pixel: what is too large at 200 dots is rendered with fewer, but not with less.
LEAST_DOTS_PER_INCH = 72
POINTS_PER_INCH = 72
MAX_MEMORY = 2**30
PAGE_SECONDS = 20.0
# What the dynamic loader needs; everything else of the environment is kept from the process.
_ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")


def render_pages(data: bytes, limits: Limits, first: int = 1) -> Iterator[NDArray[np.uint8]]:
    """The pages of a PDF as `imaging.decode` gives them, refused by the call itself where that can be known."""
    pages = _render_pages(data, limits, first)
    next(pages)
    return pages


def count_pages(data: bytes, limits: Limits) -> int:
    """How many pages `render_pages` gives; raises what it does."""
    with _process(_task(limits, 1), data) as process:
        header, _ = _answer(process, PAGE_SECONDS)
    return int(header["pages"])


def _task(limits: Limits, first: int) -> dict[str, int]:
    return {"max_pages": limits.max_pages, "max_pixels": limits.max_pixels, "first": first}


def _render_pages(data: bytes, limits: Limits, first: int) -> Generator[NDArray[np.uint8]]:
    """Yield an empty page once the file is let in, then its own."""
    import numpy as np

    deadline = perf_counter() + limits.max_seconds
    with _process(_task(limits, first), data) as process:
        header, _ = _answer(process, min(PAGE_SECONDS, deadline - perf_counter()))
        yield np.empty((0, 0), np.uint8)
        for _ in range(first, header["pages"] + 1):
            shape, pixels = _answer(process, min(PAGE_SECONDS, deadline - perf_counter()))
            rows = np.frombuffer(pixels, np.uint8).reshape(shape["height"], -1)
            yield np.ascontiguousarray(rows[:, : shape["width"]])


def overlay(data: bytes, layers: Iterable[TextLayer]) -> bytes:
    """A PDF with invisible text laid over its pages, except where they have text already.

    Parameters
    ----------
    data : bytes
        The PDF.
    layers : iterable of TextLayer
        One a page; their units are the pixels of `render_pages`. Each is handed over before the next is asked for.

    Raises
    ------
    OcrError
        The PDF cannot be opened, or takes too long.
    """
    seconds = 0.0
    with _process({"overlay": True}, data, more=True) as process:
        assert process.stdin is not None
        # A process that has refused the file reads no more.
        with suppress(BrokenPipeError):
            for layer in layers:
                seconds += PAGE_SECONDS
                with _ending(process, PAGE_SECONDS):
                    _send(process.stdin, {"layer": [layer.width, layer.height, layer.words]})
        _close(process.stdin)
        _, written = _answer(process, seconds)
    return written


@contextmanager
def _process(task: dict[str, Any], data: bytes, more: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """The process at a task; with `more`, its standard input stays open."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        # -P, or modules of the working directory would come before the standard library's.
        [sys.executable, "-P", "-m", "paragraph_ocr.pdfium"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    with process:
        try:
            # A process that has ended is noticed when it owes an answer.
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                _send(process.stdin, task, data)
            if not more:
                _close(process.stdin)
            yield process
        finally:
            _close(process.stdin)
            process.kill()


def _answer(process: subprocess.Popen[bytes], seconds: float) -> tuple[dict[str, Any], bytes]:
    """The process's next message; it is ended if that takes too long."""
    assert process.stdout is not None
    try:
        with _ending(process, seconds):
            header, payload = _receive(process.stdout)
    except EOFError as error:
        raise errors.TooLarge("A page of the PDF takes too much memory or time; send its pages as images.") from error
    if "error" in header:
        kind: type[errors.OcrError] = getattr(errors, header["error"])
        raise kind(header["detail"])
    return header, payload


def _close(stream: IO[bytes] | None) -> None:
    # What is left to be written cannot be, if the process has ended.
    with suppress(BrokenPipeError):
        if stream is not None:
            stream.close()


@contextmanager
def _ending(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """End the process if what is done within takes too long."""
    watch = Timer(seconds, process.kill)
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _send(stream: IO[bytes], header: dict[str, Any], payload: bytes = b"") -> None:
    """Write a message: a line of JSON with the number of bytes that follow it."""
    stream.write(json.dumps({**header, "bytes": len(payload)}).encode() + b"\n")
    stream.write(payload)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a message; raises EOFError where the stream ends before it does."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    header = json.loads(line)
    size = header.pop("bytes")
    payload = stream.read(size)
    if len(payload) < size:
        raise EOFError
    return header, payload


def _main() -> None:
    """What the process does: the one task of standard input."""
    import pypdfium2

    try:
        import resource
    except ImportError:
        # Windows has no such limit.
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    task, data = _receive(sys.stdin.buffer)
    try:
        document = _open(data)
        if "overlay" in task:
            _overlay(document)
        else:
            _render(document, **task)
    except pypdfium2.PdfiumError:
        _refuse(errors.BrokenImage("The PDF is damaged or cut short; print it to a new PDF."))
    except errors.OcrError as error:
        _refuse(error)


def _refuse(error: errors.OcrError) -> None:
    _send(sys.stdout.buffer, {"error": type(error).__name__, "detail": str(error)})


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


def _render(document: pypdfium2.PdfDocument, max_pages: int, max_pixels: int, first: int) -> None:
    """Send the number of pages, then the grey pixels of the first that is asked for and of all after it."""
    if len(document) > max_pages:
        raise errors.TooLarge(f"The PDF has {len(document):,} pages; the limit is {max_pages:,}.")
    scales = []
    for index in range(len(document)):
        width, height = document.get_page_size(index)
        scales.append(_scale(width, height, max_pixels))
    _send(sys.stdout.buffer, {"pages": len(document)})
    for index in range(first - 1, len(document)):
        page = document[index]
        bitmap = page.render(scales[index], grayscale=True)
        _send(sys.stdout.buffer, {"width": bitmap.width, "height": bitmap.height}, bytes(bitmap.buffer))
        bitmap.close()
        page.close()


def _scale(width: float, height: float, max_pixels: int) -> float:
    """Pixels a point for a page of so many points; known before anything of it is read."""
    # A pixel is spared for each side being rounded up.
    most = ((max_pixels - width - height) / max(width * height, 1)) ** 0.5 if max_pixels > width + height else 0.0
    if most < LEAST_DOTS_PER_INCH / POINTS_PER_INCH:
        raise errors.TooLarge(
            f"A page of the PDF measures {width:.0f} x {height:.0f} points; "
            f"at {LEAST_DOTS_PER_INCH} dots an inch the limit is {max_pixels:,} pixels."
        )
    return min(DOTS_PER_INCH / POINTS_PER_INCH, most)


def _layers() -> Iterator[tuple[int, int, list[tuple[float, float, str]]]]:
    """The layers of standard input, up to its end."""
    with suppress(EOFError):
        while True:
            yield _receive(sys.stdin.buffer)[0]["layer"]


def _overlay(document: pypdfium2.PdfDocument) -> None:
    """Send the document with a layer over each page."""
    import pypdfium2
    from pypdfium2 import raw

    for index, (width, height, words) in enumerate(_layers()):
        page = document[index]
        to_page = _to_page(page, width, height)
        text = page.get_textpage()
        missing = [word for word in words if text.get_index(*to_page.on_point(word[0], height - word[1]), 1, 1) is None]
        writer = Writer()
        writer.add_page(width, height, TextLayer(width, height, missing).content(1.0))
        with pypdfium2.PdfDocument(writer.finish("")) as written:
            template = raw.FPDF_NewXObjectFromPage(document, written, 0)
            form = raw.FPDF_NewFormObjectFromXObject(template)
            raw.FPDFPageObj_SetMatrix(form, to_page.to_raw())
            raw.FPDFPage_InsertObject(page, form)
            raw.FPDFPage_GenerateContent(page)
            raw.FPDF_CloseXObject(template)
        text.close()
        page.close()
    content = BytesIO()
    document.save(content)
    _send(sys.stdout.buffer, {}, content.getvalue())


def _to_page(page: pypdfium2.PdfPage, width: int, height: int) -> pypdfium2.PdfMatrix:
    """The matrix from the pixels of a page as it is seen, upwards from its lower left, to its own coordinates."""
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


if __name__ == "__main__":
    _main()
