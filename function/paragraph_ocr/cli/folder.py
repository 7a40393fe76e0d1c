"""Read files in as many processes as asked for, and write what was read of each into a folder, where that is due.

Beside the results the folder keeps a record of each file, in `RECORDS`: of what size and age it was, by which models it
was read, and what the summary shows of it. A run that is broken off goes on from these.
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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paragraph_ocr.pipeline.options import ReadOptions
    from paragraph_ocr.pipeline.reader import PageReader

# As `models.FOLDER`, without loading what runs them.
MODELS = Path(__file__).parents[1] / "models"
RECORDS = ".paragraph-ocr"
SORTED = "sorted"
THUMBNAIL = (200, 260)
# In bytes, of what most file systems allow in a name.
_LONGEST_NAME = 255
# Types of what a record has of a file that was read, and of each of its pages.
_RECORD: dict[str, Any] = {"size": int, "mtime_ns": int, "models": str, "formats": list, "overlay": bool}
_PAGE: dict[str, Any] = {
    "page": int,
    "kind": str,
    "confidence": (int, float),
    "seconds": (int, float),
    "lines": list,
    "thumbnail": str,
}
# A file that two processes died of is not given to a third; a third process that cannot even start ends the run.
_DEATHS = 2
_STILLBORN = 3


class FolderError(Exception):
    """Reading cannot go on, whatever the file."""


@dataclass(frozen=True)
class File:
    """A file to read: its path as given, and where its results go below the output folder."""

    path: str
    name: Path


@dataclass(frozen=True)
class Settings:
    """What is written, and where.

    Attributes
    ----------
    out : Path
    formats : tuple of str
        Keys of `FORMATS`.
    overlay : bool
        Whether pictures of what was found are drawn.
    models : str
        Digest of the models that read, and of what is asked of them.
    options : ReadOptions or None
        What is asked of reading; nothing where it is None.
    """

    out: Path
    formats: tuple[str, ...]
    overlay: bool
    models: str
    options: ReadOptions | None = None


def digest_models(options: ReadOptions | None = None) -> str:
    """What tells these models, asked for this, from others, without loading them: a hash of cards and version."""
    cards = b"".join(path.read_bytes() for path in sorted(MODELS.glob("*.json")))
    asked = b"" if options is None else repr(options).encode()
    return hashlib.sha256(__version__.encode() + cards + asked).hexdigest()[:16]


def render_pages(document: Document, form: str, data: bytes) -> bytes:
    """A document in one of the forms; as JSON, each page by itself on a line."""
    if form != "json":
        return render(document, form, data)
    return b"".join(render(Document(document.image, (page,)), form, data) for page in document.pages)


def load(path: str) -> bytes:
    """The bytes of a file; raises TooLarge where they are too many, and OSError where it is none or cannot be read."""
    most = DEFAULT_LIMITS.max_bytes
    with output.open_regular(path) as file:
        if os.fstat(file.fileno()).st_size <= most:
            # Some files have more than their size says.
            data = file.read(most + 1)
            if len(data) <= most:
                return data
    raise TooLarge(f"The file is larger than {most:,} bytes.")


def prepare(out: Path) -> None:
    """Make the output folder and that of its records; raises FolderError where they cannot be used."""
    try:
        output.make_folder(out, Path(RECORDS))
    except OSError as error:
        where = error.filename or out
        raise FolderError(f"{where}: {error.strerror}. Remove it, or choose another --out.") from error


def is_due(file: File, settings: Settings) -> bool:
    """Whether a file has to be read, since it, the models or what is asked for changed or it could not be read."""
    record = read_record(file, settings.out)
    return (
        record is None
        or "error" in record
        or not _same(record, file, settings)
        or not set(settings.formats) <= set(record.get("formats", ()))
        or (settings.overlay and not record.get("overlay"))
        or any(output.look(settings.out, _result(file, form)) is None for form in settings.formats)
    )


def read_record(file: File, out: Path) -> dict[str, Any] | None:
    """What is known of a file: `{"error"}`, or `{"size", "mtime_ns", "models", "formats", "overlay", "pages"}`."""
    try:
        record: dict[str, Any] = json.loads(output.read(out, _record(file)))
    except (OSError, ValueError, RecursionError):
        return None
    return record if _is_record(record) else None


def _is_record(record: Any) -> bool:
    """Whether JSON is what `_write_record` writes; others may write into the folder too."""
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
    """Read a file, and write its results and its record.

    Returns
    -------
    str or None
        Why it could not be read.
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
    """Record that a file was read, with the results of earlier runs that still are of it."""
    record = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "models": settings.models}
    earlier = read_record(file, settings.out)
    formats, overlay = set(settings.formats), settings.overlay
    if earlier is not None and _same(earlier, file, settings):
        formats |= set(earlier.get("formats", ()))
        overlay |= earlier.get("overlay", False)
    _write_record(file, settings.out, record | {"formats": sorted(formats), "overlay": overlay, "pages": seen})


def fail(file: File, out: Path, reason: str) -> str:
    """Record why a file could not be read, if the folder can be written to; returns the reason."""
    with suppress(OSError):
        _write_record(file, out, {"error": reason})
    return reason


def read_files(files: Sequence[File], settings: Settings, jobs: int) -> Iterator[tuple[File, str | None]]:
    """Read files in several processes, each with a reader of one thread.

    A process that dies is replaced and its file read again; a file that several die of counts as one that cannot be
    read.

    Yields
    ------
    File, str or None
        A file that is done, in any order, and why it could not be read.

    Raises
    ------
    FolderError
        No process can be started.
    """
    due = deque(files)
    deaths: dict[File, int] = {}
    idle: list[_Process] = []
    busy: dict[Any, tuple[_Process, File]] = {}
    stillborn = 0
    try:
        while due or busy:
            while due and len(busy) < jobs:
                process = idle.pop() if idle else _Process(settings)
                process.begun = False
                file = due.popleft()
                busy[process.connection] = process, file
                # One that died meanwhile is found below.
                with suppress(OSError):
                    process.connection.send((file.path, str(file.name)))
            for connection in wait(list(busy)):
                process, file = busy[connection]
                try:
                    answer = process.connection.recv()
                except (EOFError, OSError):
                    del busy[connection]
                    process.end()
                    # One that died before it began did not die of the file.
                    if not process.begun:
                        stillborn += process.new
                        if stillborn == _STILLBORN:
                            raise FolderError("No process can be started; see above, or try --jobs 1.") from None
                        due.appendleft(file)
                        continue
                    deaths[file] = deaths.get(file, 0) + 1
                    if deaths[file] < _DEATHS:
                        due.append(file)
                        continue
                    yield file, fail(file, settings.out, "The process that read it was ended, twice; is memory short?")
                    continue
                if not process.begun:
                    process.begun, process.new, stillborn = True, False, 0
                    continue
                del busy[connection]
                idle.append(process)
                yield file, answer
    finally:
        for process in [*idle, *(process for process, _ in busy.values())]:
            process.end()


def copy_by_kind(file: File, out: Path) -> None:
    """Put a copy of a file that was read into the folder of its kind, where there is none yet.

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
        there = output.look(out, copy)
        if there is None or there.st_mtime_ns != record.get("mtime_ns"):
            output.copy(file.path, out, copy)


class _Process:
    """A process that reads one file at a time; `connection` takes files and gives what `read_file` returns.

    Before that it says that it begins; `begun` keeps whether it has, and `new` that it never did with any file.
    """

    def __init__(self, settings: Settings) -> None:
        # Spawned everywhere, since ONNX Runtime's and OpenCV's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, settings), daemon=True)
        self._process.start()
        # Or its end would not be seen.
        theirs.close()
        self.begun, self.new = False, True

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, settings: Settings) -> None:
    import cv2

    from paragraph_ocr.pipeline.reader import PageReader

    # Ctrl-C goes to all; the process that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    reader = PageReader.load(threads=1)
    # What started it may be gone.
    with suppress(EOFError, ConnectionError):
        while True:
            path, name = connection.recv()
            connection.send(None)
            connection.send(read_file(reader, File(path, Path(name)), settings))


def _read(
    reader: PageReader, data: bytes, path: str, overlay: bool, options: ReadOptions | None
) -> tuple[Document, list[dict[str, Any]], list[bytes]]:
    """A file's document, what the summary shows of each page, and its overlays as JPEG where they are wanted."""
    from paragraph_ocr.pipeline.kind import kind_of_page
    from paragraph_ocr.pipeline.options import NO_OPTIONS

    asked = options or NO_OPTIONS
    pages: list[Page] = []
    seen: list[dict[str, Any]] = []
    overlays: list[bytes] = []
    start = perf_counter()
    deadline = start + reader.limits.max_seconds
    for pixels, aspect, number in imaging.decode_pages(data, reader.limits, ranges=asked.pages):
        decode_ms = 1000 * (perf_counter() - start)
        page = reader.read_image(pixels, path, decode_ms, number, deadline, pixel_aspect=aspect, options=asked)
        pages.append(page)
        seen.append(
            {
                "page": number,
                "kind": kind_of_page(pixels, page.lines),
                "confidence": round(page.confidence, 4),
                "seconds": round(page.timings_ms["total"] / 1000, 3),
                "lines": [[line.text, round(line.confidence, 4)] for line in page.lines],
                "thumbnail": base64.b64encode(_thumbnail(pixels)).decode(),
            }
        )
        if overlay:
            overlays.append(_overlay(pixels, page, deadline))
        start = perf_counter()
    numbers = tuple(page.page for page in pages) if asked.pages else ()
    return Document(path, tuple(pages), numbers), seen, overlays


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
    """Whether a record is of the file as it is now, read by the same models."""
    try:
        status = os.stat(file.path)
    except OSError:
        return False
    now = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "models": settings.models}
    return all(record.get(key) == value for key, value in now.items())


def _write_record(file: File, out: Path, record: dict[str, Any]) -> None:
    output.write(out, _record(file), json.dumps(record).encode())


def _record(file: File) -> Path:
    """Where a file's record is below the output folder."""
    name = f"{file.name.name}.json"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"
    return RECORDS / file.name.with_name(name)


def _result(file: File, form: str) -> Path:
    return _beside(file, FORMATS[form].suffix)


def _beside(file: File, suffix: str) -> Path:
    return file.name.with_name(file.name.name + suffix)
