"""Measure the milliseconds of each step of reading pages of 1 to 60 lines on one core.

python -m benchmarks.steps
"""

from __future__ import annotations

import argparse
import os
import statistics
from typing import TYPE_CHECKING

from benchmarks.pages import encoded, letter_page
from benchmarks.report import publish, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = (1, 10, 25, 60)
STEPS = ("decode", "detect", "recognize", "total")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.steps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from paragraph_ocr.pipeline.reader import PageReader

    reader = PageReader.load(threads=1)
    files = {lines: encoded(letter_page(lines)) for lines in LINES}
    pages = {
        lines: [reader.read(file, "page.jpg").pages[0] for _ in range(arguments.runs)] for lines, file in files.items()
    }
    medians = {
        lines: {step: statistics.median(page.timings_ms[step] for page in read) for step in STEPS}
        for lines, read in pages.items()
    }
    sizes = {lines: f"{read[0].width} x {read[0].height}" for lines, read in pages.items()}
    rows = [(lines, sizes[lines], *(f"{times[step]:.0f}" for step in STEPS)) for lines, times in medians.items()]
    markdown = table(("lines", "pixels", *(f"{step}, ms" for step in STEPS)), rows)
    markdown += f"\n\nMedians of {arguments.runs} readings of a JPEG on one core; {', '.join(reader.models.values())}."

    def draw(axes: Axes) -> None:
        below = [0.0] * len(LINES)
        names = [str(lines) for lines in LINES]
        for step in STEPS[:-1]:
            heights = [medians[lines][step] for lines in LINES]
            axes.bar(names, heights, bottom=below, label=step)
            below = [start + height for start, height in zip(below, heights, strict=True)]
        axes.set_xlabel("lines of the page")
        axes.set_ylabel("ms")
        axes.legend(fontsize=7)

    publish("steps", {"runs": arguments.runs, "milliseconds": medians}, markdown, draw)


if __name__ == "__main__":
    main()
