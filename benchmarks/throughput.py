"""Measure how many pages of 25 lines are read in a second, with threads and with processes.

    python -m benchmarks.throughput

Threads are those that compute one page together; processes read a page each.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING

from benchmarks.pages import encoded, letter_page
from benchmarks.report import publish, table
from paragraph_ocr.processors import count_processors

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from matplotlib.axes import Axes

    from paragraph_ocr.pipeline.reader import PageReader

COUNTS = (1, 2, 4)
reader: PageReader
barrier: Barrier


def start(threads: int, together: Barrier) -> None:
    """Load a process's reader."""
    global reader, barrier
    from paragraph_ocr.pipeline.reader import PageReader

    reader, barrier = PageReader.load(threads=threads), together


def read(file: bytes, pages: int) -> tuple[float, float]:
    """Return start and end of reading some pages in a process; all processes start together."""
    reader.read(file, "page.jpg")
    barrier.wait()
    begun = monotonic()
    for _ in range(pages):
        reader.read(file, "page.jpg")
    return begun, monotonic()


def rate(file: bytes, threads: int, processes: int, pages: int) -> float:
    """Pages a second."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, fresh, start, (threads, fresh.Barrier(processes))) as pool:
        spans = list(pool.map(read, [file] * processes, [pages] * processes))
    return processes * pages / (max(end for _, end in spans) - min(begun for begun, _ in spans))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pages", type=int, default=8, help="that each process reads")
    arguments = parser.parse_args()
    file = encoded(letter_page(25))
    rates = {
        "threads": {str(count): rate(file, count, 1, arguments.pages) for count in COUNTS},
        "processes": {str(count): rate(file, 1, count, arguments.pages) for count in COUNTS},
    }
    rows = [(kind, *(f"{found[str(count)]:.2f}" for count in COUNTS)) for kind, found in rates.items()]
    markdown = table(("pages a second with", *map(str, COUNTS)), rows)
    markdown += f"\n\nPages of 25 lines; {count_processors()} cores are all there are."

    def draw(axes: Axes) -> None:
        for kind, found in rates.items():
            axes.plot(COUNTS, list(found.values()), marker="o", label=kind)
        axes.set_xticks(COUNTS)
        axes.set_ylim(0)
        axes.set_xlabel("threads or processes")
        axes.set_ylabel("pages a second")
        axes.legend(fontsize=7)

    publish("throughput", {"pages_a_second": rates}, markdown, draw)


if __name__ == "__main__":
    main()
