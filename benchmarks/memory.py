"""Measure the peak memory of reading pages, and whether it grows over many requests.

    python -m benchmarks.memory

Peaks are of the resident memory of a process that does nothing else and of its children, looked at often. Growth is
that from the hundredth of many requests, in every format and form, to the last.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from PIL import Image
from tqdm import tqdm

from benchmarks.pages import LETTER, encoded, letter_page
from benchmarks.report import publish, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from paragraph_ocr.pipeline.reader import PageReader

# 210 x 297 mm at 300 dots an inch.
A4 = (2480, 3508)
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "PDF")
FORMS = ("json", "text", "hocr", "alto", "pdf", "page", "markdown", "csv")
SETTLED = 100


def started() -> PageReader:
    from paragraph_ocr.pipeline.reader import PageReader

    return PageReader.load(threads=1)


def peak(file: bytes) -> float:
    """Return the peak in MB of reading a file; without a file, of a reader alone."""
    reader = started()
    found = [resident()]
    done = Event()

    def watch() -> None:
        me = os.getpid()
        while not done.wait(0.002):
            children = Path(f"/proc/{me}/task/{me}/children").read_text(encoding="utf-8").split()
            with suppress(OSError):
                found.append(sum(resident(process) for process in ("self", *children)))

    watcher = Thread(target=watch)
    watcher.start()
    if file:
        assert reader.read(file, "page").pages[0].lines
    done.set()
    watcher.join()
    return max(found)


def resident(process: str = "self") -> float:
    """Return the MB of a process; 0 between its fork and its start, when they are its parent's."""
    folder = Path("/proc") / process
    if process != "self" and (folder / "cmdline").read_bytes() == Path("/proc/self/cmdline").read_bytes():
        return 0.0
    pages = int((folder / "statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth(count: int) -> list[float]:
    """Return the resident MB after each of many requests that differ in input format, output format and size."""
    reader = started()
    from paragraph_ocr.formats import render

    sizes = [Image.open(LETTER).convert("RGB").crop((0, 0, 1400, bottom)).resize((width, bottom * width // 1400))
             for bottom, width in ((330, 1400), (500, 1000), (200, 1200))]  # fmt: skip
    files = [encoded(image, name) for name in FORMATS for image in sizes]
    found = []
    # The cycles of formats and sizes are coprime, so that all combinations occur.
    for file, form in tqdm(islice(zip(cycle(files), cycle(FORMS)), count), total=count, desc="requests"):
        render(reader.read(file, "page"), form, file)
        found.append(resident())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1000)
    arguments = parser.parse_args()
    page = letter_page(25).convert("RGB").resize(A4)
    files = {"nothing read": b"", **{f"A4 at 300 dpi, {name}": encoded(page, name) for name in FORMATS}}
    fresh = multiprocessing.get_context("spawn")
    peaks = {}
    for name, file in files.items():
        with ProcessPoolExecutor(1, mp_context=fresh) as pool:
            peaks[name] = pool.submit(peak, file).result()
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        course = pool.submit(growth, arguments.requests).result()
    grown = course[-1] / course[SETTLED - 1] - 1
    markdown = table(("process", "peak, MB"), [(name, f"{megabytes:.0f}") for name, megabytes in peaks.items()])
    markdown += (
        f"\n\nOver {arguments.requests:,} requests in every format and form the resident memory went from "
        f"{course[SETTLED - 1]:.0f} MB (after {SETTLED}) to {course[-1]:.0f} MB: {100 * grown:+.1f} %."
    )

    def draw(axes: Axes) -> None:
        axes.plot(range(1, len(course) + 1), course)
        axes.set_ylim(0)
        axes.set_xlabel("requests")
        axes.set_ylabel("MB resident")

    publish("memory", {"peak_megabytes": peaks, "growth": grown, "resident_megabytes": course[::10]}, markdown, draw)


if __name__ == "__main__":
    main()
