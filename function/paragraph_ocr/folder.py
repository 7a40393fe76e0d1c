"""Files go in; what was read of each comes out in a folder, by as many processes as asked for, only where it is due.

Beside the results the folder keeps a record of each file, in `RECORDS`: of what size and age it was, by which models it
was read, and what the summary shows of it. A run that is broken off goes on from these.
"""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import shutil
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

from paragraph_ocr import __version__, imaging
from paragraph_ocr.document import Document, Page
from paragraph_ocr.errors import OcrError, TooLarge
from paragraph_ocr.formats import FORMATS, render

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paragraph_ocr.reader import PageReader

# As `models.FOLDER`, without loading what runs them.
MODELS = Path(__file__).parent / "models"
RECORDS = ".paragraph-ocr"
SORTED = "sorted"
THUMBNAIL = (200, 260)
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
        Digest of the models that read.
    """

    out: Path
    formats: tuple[str, ...]
    overlay: bool
    models: str


def digest_models() -> str:
    """What tells these models from others, without loading them: a hash of their cards and of the version."""
    cards = b"".join(path.read_bytes() for path in sorted(MODELS.glob("*.json")))
    return hashlib.sha256(__version__.encode() + cards).hexdigest()[:16]


def render_pages(document: Document, form: str, data: bytes) -> bytes:
    """A document in one of the forms; as JSON, each page by itself on a line."""
    if form != "json":
        return render(document, form, data)
    return b"".join(render(Document(document.image, (page,)), form, data) for page in document.pages)


def load(path: str) -> bytes:
    """The bytes of a file; raises TooLarge where they are too many, before they are read, and OSError."""
    if os.path.getsize(path) > imaging.DEFAULT_LIMITS.max_bytes:
        raise TooLarge(f"The file is larger than {imaging.DEFAULT_LIMITS.max_bytes:,} bytes.")
    return Path(path).read_bytes()


def is_due(file: File, settings: Settings) -> bool:
    """Whether a file has to be read, since it, the models or what is asked for changed or it could not be read."""
    record = read_record(file, settings.out)
    return (
        record is None
        or "error" in record
        or not _same(record, file, settings)
        or not set(settings.formats) <= set(record["formats"])
        or (settings.overlay and not record["overlay"])
        or any(not _result(file, settings.out, form).exists() for form in settings.formats)
    )


def read_record(file: File, out: Path) -> dict[str, Any] | None:
    """What is known of a file: `{"error"}`, or `{"size", "mtime_ns", "models", "formats", "overlay", "pages"}`."""
    try:
        record: dict[str, Any] = json.loads(_record(file, out).read_bytes())
    except (OSError, ValueError):
        return None
    return record


def read_file(reader: PageReader, file: File, settings: Settings) -> str | None:
    """Read a file, and write its results and its record.

    Returns
    -------
    str or None
        Why it could not be read.
    """
    try:
        status = os.stat(file.path)
        data = load(file.path)
        document, seen, overlays = _read(reader, data, file.path, settings.overlay)
        for form in settings.formats:
            write(_result(file, settings.out, form), render_pages(document, form, data))
        for number, picture in enumerate(overlays, 1):
            which = f".{number}" if len(overlays) > 1 else ""
            write(_beside(file, settings.out, f"{which}.overlay.jpg"), picture)
    except (OcrError, OSError) as error:
        return fail(file, settings.out, str(error))
    record = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "models": settings.models}
    earlier = read_record(file, settings.out)
    formats, overlay = set(settings.formats), settings.overlay
    if earlier is not None and _same(earlier, file, settings):
        formats |= set(earlier["formats"])
        overlay |= earlier["overlay"]
    _write_record(file, settings.out, record | {"formats": sorted(formats), "overlay": overlay, "pages": seen})
    return None


def fail(file: File, out: Path, reason: str) -> str:
    """Record why a file could not be read; returns the reason."""
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
    from paragraph_ocr.kind import KINDS, kind_of_file

    record = read_record(file, out)
    if record is None or "error" in record:
        return
    chosen = kind_of_file([page["kind"] for page in record["pages"]])
    for kind in KINDS:
        copy = out / SORTED / kind / file.name
        if kind != chosen:
            copy.unlink(missing_ok=True)
        elif not copy.exists() or copy.stat().st_mtime_ns != record["mtime_ns"]:
            copy.parent.mkdir(parents=True, exist_ok=True)
            partial = _partial(copy)
            shutil.copy2(file.path, partial)
            os.replace(partial, copy)


def write(target: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(target)
    partial.write_bytes(content)
    os.replace(partial, target)


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

    from paragraph_ocr.reader import PageReader

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
    reader: PageReader, data: bytes, path: str, overlay: bool
) -> tuple[Document, list[dict[str, Any]], list[bytes]]:
    """A file's document, what the summary shows of each page, and its overlays as JPEG where they are wanted."""
    from paragraph_ocr.kind import kind_of_page

    pages: list[Page] = []
    seen: list[dict[str, Any]] = []
    overlays: list[bytes] = []
    start = perf_counter()
    deadline = start + reader.limits.max_seconds
    for number, (pixels, aspect) in enumerate(imaging.decode_pages(data, reader.limits), 1):
        decode_ms = 1000 * (perf_counter() - start)
        page = reader.read_image(pixels, path, decode_ms, number, deadline, pixel_aspect=aspect)
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
            overlays.append(_overlay(pixels, page))
        start = perf_counter()
    return Document(path, tuple(pages)), seen, overlays


def _thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail(THUMBNAIL, reducing_gap=2.0)
    return _jpeg(image, 70)


def _overlay(pixels: NDArray[np.uint8], page: Page) -> bytes:
    from PIL import Image

    from paragraph_ocr.overlay import draw_overlay

    return _jpeg(Image.fromarray(draw_overlay(pixels, page)), 90)


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
    write(_record(file, out), json.dumps(record).encode())


def _record(file: File, out: Path) -> Path:
    return out / RECORDS / file.name.with_name(f"{file.name.name}.json")


def _result(file: File, out: Path, form: str) -> Path:
    return _beside(file, out, FORMATS[form].suffix)


def _beside(file: File, out: Path, suffix: str) -> Path:
    return out / file.name.with_name(file.name.name + suffix)


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")
