"""Measure how well the product finds and reads each kind of synthetic document.

    python -m training.evaluation.document_conditions build/documents

The folder is written by ``python -m training.synthesis --kind each --split val``. For each source:

words: share of the true words that were read, wherever on the page they stand; words are parted by spaces and compared
    as they are, each as often as it occurs
more: words read beyond the number of the true ones, as a share of the true ones
found: true lines found at IoU 0.5
lone: the same of lines of one or two characters
extra: found lines that are no true line and lie on no ignored area, as a share of the found ones
turned: pages that were taken for turned by quarters; all are upright
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from paragraph_ocr.document import Page
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import TruePage, load_pages
from training.evaluation.matching import match_lines

SHORT_LINE = 2
COLUMNS = ("words", "more", "found", "lone", "extra", "turned")


@dataclass
class Count:
    """Counts over the pages of a source."""

    pages: int = 0
    words: int = 0
    read: int = 0
    more: int = 0
    lines: int = 0
    found: int = 0
    lone: int = 0
    lone_found: int = 0
    seen: int = 0
    extra: int = 0
    turned: int = 0

    def row(self) -> dict[str, float]:
        """The counts as shares, by the names of `COLUMNS`."""
        return {
            "words": self.read / max(self.words, 1),
            "more": self.more / max(self.words, 1),
            "found": self.found / max(self.lines, 1),
            "lone": self.lone_found / self.lone if self.lone else float("nan"),
            "extra": self.extra / max(self.seen, 1),
            "turned": self.turned / max(self.pages, 1),
        }


def words_of(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs."""
    return Counter(word for text in texts for word in text.split())


def count_page(page: TruePage, reading: Page, count: Count) -> None:
    """Add what was found and read of a page to the counts."""
    true, read = words_of(line.text for line in page.lines), words_of(line.text for line in reading.lines)
    polygons = [np.array(line.polygon, np.float32) for line in reading.lines]
    matches = match_lines([line.polygon for line in page.lines], polygons, list(page.ignore))
    hit = {index for index, _ in matches.pairs}
    lone = [index for index, line in enumerate(page.lines) if len(line.text) <= SHORT_LINE]
    count.pages += 1
    count.words += true.total()
    count.read += (true & read).total()
    count.more += max(0, read.total() - true.total())
    count.lines += len(page.lines)
    count.found += len(hit)
    count.lone += len(lone)
    count.lone_found += sum(index in hit for index in lone)
    count.seen += len(polygons)
    count.extra += len(polygons) - len(matches.pairs) - len(matches.ignored)
    count.turned += reading.rotation != 0


def measure(pages: Iterable[TruePage], reader: PageReader) -> dict[str, Count]:
    """The counts of every source."""
    counts: dict[str, Count] = {}
    for page in pages:
        count_page(page, reader.read_image(page.pixels(), page.page_id), counts.setdefault(page.source, Count()))
    return counts


def table(counts: dict[str, Count]) -> str:
    """The counts as a Markdown table, shares in percent; ``mean`` weighs the sources alike."""
    rows = {name: count.row() for name, count in sorted(counts.items())}
    rows["mean"] = {name: float(np.nanmean([row[name] for row in rows.values()])) for name in COLUMNS}
    lines = [f"| source | {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    for source, row in rows.items():
        cells = ["" if np.isnan(row[name]) else f"{100 * row[name]:.1f}" for name in COLUMNS]
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.document_conditions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of made-up documents")
    parser.add_argument("--split", default="val")
    parser.add_argument("--source", nargs="*", help="only these, such as doc_form")
    parser.add_argument("--pages", type=int, help="at most so many of each source")
    parser.add_argument("--models", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    chosen: list[TruePage] = []
    taken: Counter[str] = Counter()
    for page in load_pages(arguments.folder, arguments.split):
        if arguments.source and page.source not in arguments.source:
            continue
        if arguments.pages is None or taken[page.source] < arguments.pages:
            chosen.append(page)
            taken[page.source] += 1
    print(table(measure(tqdm(chosen, unit="page"), PageReader.load(arguments.models))))


if __name__ == "__main__":
    main()
