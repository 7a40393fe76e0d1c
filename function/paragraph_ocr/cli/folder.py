"""Read files in one or more processes, and write their results to a folder unless they are there already.

Beside the results, the folder has a record of each file in `RECORDS`: its size and modification time, the models that
read it, and what the summary shows of it. An interrupted run continues from these records.
"""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from paragraph_ocr import __version__
from paragraph_ocr.document import Document, Page
from paragraph_ocr.errors import OcrError, TooLarge
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.io import imaging, output
from paragraph_ocr.io.limits import DEFAULT_LIMITS
from paragraph_ocr.model_set import FOLDER, load_manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paragraph_ocr.pipeline.options import ReadOptions
    from paragraph_ocr.pipeline.reader import PageReader

RECORDS = ".paragraph-ocr"
SORTED = "sorted"
THUMBNAIL = (200, 260)
# Bytes of a name that most file systems allow.
_LONGEST_NAME = 255
# Types of the values in a record, and in its pages.
_RECORD: dict[str, Any] = {"size": int, "mtime_ns": int, "models": str, "formats": list, "overlay": bool}
_PAGE: dict[str, Any] = {
    "page": int,
    "kind": str,
    "confidence": (int, float),
    "content": str,
    "seconds": (int, float),
    "lines": list,
    "thumbnail": str,
}
# A file at which this many processes have died is not tried again.
_DEATHS = 2
# The run ends when this many new processes in a row have failed to start.
_FAILED_STARTS = 3


class FolderError(Exception):
    """The run cannot continue with any file."""


@dataclass(frozen=True)
class File:
    """A file to read: its path as given, and the path of its results below the output folder, without suffix."""

    path: str
    name: Path


@dataclass(frozen=True)
class Settings:
    """Where results are written, and which.

    Attributes
    ----------
    out : Path
    formats : tuple of str
        Keys of `FORMATS`.
    overlay : bool
        Whether overlays are drawn.
    models : str
        Digest of the models and of the options of reading, see `digest_models`.
    model_folder : Path
        Folder of the model set.
    options : ReadOptions or None
        Options of reading; None stands for the default ones.
    """

    out: Path
    formats: tuple[str, ...]
    overlay: bool
    models: str
    model_folder: Path = FOLDER
    options: ReadOptions | None = None


def digest_models(folder: Path = FOLDER, options: ReadOptions | None = None) -> str:
    """Hash the version, a model set and the options of reading, without loading the models; raises ModelError."""
    asked = "" if options is None else repr(options)
    return hashlib.sha256(f"{__version__} {load_manifest(folder).digest}{asked}".encode()).hexdigest()[:16]


def render_pages(document: Document, form: str, data: bytes) -> bytes:
    """Render a document in a format; JSON has one line per page."""
    if form != "json":
        return render(document, form, data)
    return b"".join(render(Document(document.image, (page,)), form, data) for page in document.pages)


def load(path: str) -> bytes:
    """Read a file; raises TooLarge if it exceeds the limit, OSError if it is no regular file or cannot be read."""
    most = DEFAULT_LIMITS.max_bytes
    with output.open_regular(path) as file:
        if os.fstat(file.fileno()).st_size <= most:
            # Some files have more bytes than their status says.
            data = file.read(most + 1)
            if len(data) <= most:
                return data
    raise TooLarge(f"The file is larger than {most:,} bytes.")


def prepare(out: Path) -> None:
    """Create the output folder and that of the records; raises FolderError if they cannot be used."""
    try:
        output.make_folder(out, Path(RECORDS))
    except OSError as error:
        where = error.filename or out
        raise FolderError(f"{where}: {error.strerror}. Remove it, or choose another --out.") from error


def is_due(file: File, settings: Settings) -> bool:
    """Return whether a file has to be read: it is new, has changed or failed, or models or options have changed."""
    record = read_record(file, settings.out)
    return (
        record is None
        or "error" in record
        or not _same(record, file, settings)
        or not set(settings.formats) <= set(record.get("formats", ()))
        or (settings.overlay and not record.get("overlay"))
        or any(output.stat_regular(settings.out, _result(file, form)) is None for form in settings.formats)
    )


def read_record(file: File, out: Path) -> dict[str, Any] | None:
    """Return a file's record: `{"error"}`, or `{"size", "mtime_ns", "models", "formats", "overlay", "pages"}`."""
    try:
        record: dict[str, Any] = json.loads(output.read(out, _record(file)))
    except (OSError, ValueError, RecursionError):
        return None
    return record if _is_record(record) else None


def _is_record(record: Any) -> bool:
    """Return whether a value has the form that `_write_record` writes, since others may write into the folder, too."""
    if not isinstance(record, dict):
        return False
    if "error" in record:
        return isinstance(record["error"], str)
    return (
        all(isinstance(record[key], kind) for key, kind in _RECORD.items() if key in record)
        and all(isinstance(form, str) for form in record.get("formats", ()))
        and isinstance(record.get("pages"), list)
        and all(map(_is_page, record["pages"]))
    )


def _is_page(page: Any) -> bool:
    return (
        isinstance(page, dict)
        and all(isinstance(page.get(key), kind) for key, kind in _PAGE.items())
        and all(
            isinstance(line, list) and len(line) == 2 and isinstance(line[0], str) and isinstance(line[1], int | float)
            for line in page["lines"]
        )
    )


def read_file(reader: PageReader, file: File, settings: Settings) -> str | None:
    """Read a file and write its results and its record.

    Returns
    -------
    str or None
        The reason if it could not be read.
    """
    if file.name.parts[0].casefold() == RECORDS:
        return fail(file, settings.out, f"It lies in a folder {RECORDS}, where records are kept; move it elsewhere.")
    try:
        status = os.stat(file.path)
        data = load(file.path)
        document, seen, overlays = _read(reader, data, file.path, settings.overlay, settings.options)
        for form in settings.formats:
            output.write(settings.out, _result(file, form), render_pages(document, form, data))
        for number, picture in enumerate(overlays, 1):
            which = f".{number}" if len(overlays) > 1 else ""
            output.write(settings.out, _beside(file, f"{which}.overlay.jpg"), picture)
        _record_pages(file, settings, status, seen)
    except (OcrError, OSError) as error:
        return fail(file, settings.out, str(error))
    return None


def _record_pages(file: File, settings: Settings, status: os.stat_result, seen: list[dict[str, Any]]) -> None:
    """Record that a file was read, together with results of earlier runs that are still valid."""
    record = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "models": settings.models}
    earlier = read_record(file, settings.out)
    formats, overlay = set(settings.formats), settings.overlay
    if earlier is not None and _same(earlier, file, settings):
        formats |= set(earlier.get("formats", ()))
        overlay |= earlier.get("overlay", False)
    _write_record(file, settings.out, record | {"formats": sorted(formats), "overlay": overlay, "pages": seen})


def fail(file: File, out: Path, reason: str) -> str:
    """Record why a file could not be read, if the folder is writable, and return the reason."""
    with suppress(OSError):
        _write_record(file, out, {"error": reason})
    return reason


def read_files(files: Sequence[File], settings: Settings, jobs: int) -> Iterator[tuple[File, str | None]]:
    """Read files in several processes, each with a reader of one thread.

    A process that dies is replaced and its file read again; a file at which several processes die fails.

    Yields
    ------
    File, str or None
        A finished file, in any order, and the reason if it could not be read.

    Raises
    ------
    FolderError
        No process can be started.
    """
    due = deque(files)
    deaths: dict[File, int] = {}
    idle: list[_Process] = []
    busy: dict[Any, tuple[_Process, File]] = {}
    failed_starts = 0
    try:
        while due or busy:
            while due and len(busy) < jobs:
                process = idle.pop() if idle else _Process(settings)
                process.started = False
                file = due.popleft()
                busy[process.connection] = process, file
                # A process that has died is noticed below.
                with suppress(OSError):
                    process.connection.send((file.path, str(file.name)))
            for connection in wait(list(busy)):
                process, file = busy[connection]
                try:
                    answer = process.connection.recv()
                except (EOFError, OSError):
                    del busy[connection]
                    process.end()
                    # A process that died before it started a file did not die because of it.
                    if not process.started:
                        failed_starts += process.new
                        if failed_starts == _FAILED_STARTS:
                            raise FolderError("No process can be started; see above, or try --jobs 1.") from None
                        due.appendleft(file)
                        continue
                    deaths[file] = deaths.get(file, 0) + 1
                    if deaths[file] < _DEATHS:
                        due.append(file)
                        continue
                    yield file, fail(file, settings.out, "The process that read it was ended, twice; is memory short?")
                    continue
                if not process.started:
                    process.started, process.new, failed_starts = True, False, 0
                    continue
                del busy[connection]
                idle.append(process)
                yield file, answer
    finally:
        for process in [*idle, *(process for process, _ in busy.values())]:
            process.end()


def copy_by_kind(file: File, out: Path) -> None:
    """Copy a file that was read into the folder of its kind, unless the copy is there already.

    Raises
    ------
    OSError
        It cannot be copied.
    """
    from paragraph_ocr.pipeline.kind import KINDS, kind_of_file

    record = read_record(file, out)
    if record is None or "error" in record:
        return
    chosen = kind_of_file([page["kind"] for page in record["pages"]])
    for kind in KINDS:
        copy = Path(SORTED, kind) / file.name
        if kind != chosen:
            output.remove(out, copy)
            continue
        there = output.stat_regular(out, copy)
        if there is None or there.st_mtime_ns != record.get("mtime_ns"):
            output.copy(file.path, out, copy)


class _Process:
    """A process that reads one file at a time.

    Attributes
    ----------
    connection : Connection
        Takes files; gives None when reading starts, then what `read_file` returns.
    started : bool
        Whether it has started to read its present file.
    new : bool
        Whether it has never started to read a file.
    """

    def __init__(self, settings: Settings) -> None:
        # Spawned on all systems, since the threads of ONNX Runtime and OpenCV do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, settings), daemon=True)
        self._process.start()
        # Otherwise the end of the process would not be noticed.
        theirs.close()
        self.started, self.new = False, True

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, settings: Settings) -> None:
    import cv2

    from paragraph_ocr.pipeline.reader import PageReader

    # Ctrl-C is sent to all processes; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    reader = PageReader.load(threads=1, models=settings.model_folder)
    # The process that started this one may have died.
    with suppress(EOFError, ConnectionError):
        while True:
            path, name = connection.recv()
            connection.send(None)
            connection.send(read_file(reader, File(path, Path(name)), settings))


def _read(
    reader: PageReader, data: bytes, path: str, overlay: bool, options: ReadOptions | None
) -> tuple[Document, list[dict[str, Any]], list[bytes]]:
    """Return a file's document, what the summary shows of each page, and its overlays as JPEG if they are drawn."""
    from paragraph_ocr.pipeline.kind import kind_of_page
    from paragraph_ocr.pipeline.options import NO_OPTIONS

    asked = options or NO_OPTIONS
    pages: list[Page] = []
    seen: list[dict[str, Any]] = []
    overlays: list[bytes] = []
    start = perf_counter()
    deadline = start + reader.limits.max_seconds
    for decoded in imaging.decode_pages(data, reader.limits, ranges=asked.pages, text=asked.takes_text):
        decode_ms = 1000 * (perf_counter() - start)
        pixels, aspect, number, text = decoded
        page = reader.read_image(
            pixels, path, decode_ms, number, deadline, pixel_aspect=aspect, options=asked, text=text
        )
        pages.append(page)
        seen.append(
            {
                "page": number,
                "kind": kind_of_page(pixels, page.lines),
                "confidence": round(page.confidence, 4),
                "content": page.content,
                "seconds": round(page.timings_ms["total"] / 1000, 3),
                "lines": [[line.text, round(line.confidence, 4)] for line in page.lines],
                "thumbnail": base64.b64encode(_thumbnail(pixels)).decode(),
            }
        )
        if overlay:
            overlays.append(_overlay(pixels, page, deadline))
        start = perf_counter()
    numbers = tuple(page.page for page in pages) if asked.pages else ()
    return Document(path, tuple(pages), numbers=numbers), seen, overlays


def _thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail(THUMBNAIL, reducing_gap=2.0)
    return _jpeg(image, 70)


def _overlay(pixels: NDArray[np.uint8], page: Page, deadline: float) -> bytes:
    from PIL import Image

    from paragraph_ocr.formats.overlay import draw_overlay

    return _jpeg(Image.fromarray(draw_overlay(pixels, page, deadline)), 90)


def _jpeg(image: Any, quality: int) -> bytes:
    written = BytesIO()
    image.save(written, "JPEG", quality=quality)
    return written.getvalue()


def _same(record: dict[str, Any], file: File, settings: Settings) -> bool:
    """Return whether a record is of the present content of a file and of the same models."""
    try:
        status = os.stat(file.path)
    except OSError:
        return False
    now = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "models": settings.models}
    return all(record.get(key) == value for key, value in now.items())


def _write_record(file: File, out: Path, record: dict[str, Any]) -> None:
    output.write(out, _record(file), json.dumps(record).encode())


def _record(file: File) -> Path:
    """Return the path of a file's record below the output folder."""
    name = f"{file.name.name}.json"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"
    return RECORDS / file.name.with_name(name)


def _result(file: File, form: str) -> Path:
    return _beside(file, FORMATS[form].suffix)


def _beside(file: File, suffix: str) -> Path:
    return file.name.with_name(file.name.name + suffix)
