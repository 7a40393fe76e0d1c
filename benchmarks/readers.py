"""Compare error, time and memory of this reader and its peers on annotated pages, page by page in turn.

    python -m benchmarks.readers PAGES --peers build/peers/bin/python
    python -m benchmarks.readers PAGES --peers build/peers/bin/python --lines 25

Error: the text of each whole page as one string against the true one, in characters; what a reader finds beyond the
annotated lines counts against it. Time: the median from a file's bytes to its text, on one core. Pages that are
annotated only in part are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from benchmarks.report import publish, table
from training.data.pages import TruePage, load_pages
from training.evaluation.metrics import ErrorRate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORKER = Path(__file__).with_name("worker.py")
OURS = "paragraph-ocr"


class Worker:
    """A reader in a separate process."""

    def __init__(self, name: str, python: str) -> None:
        self.process = subprocess.Popen(
            [python, WORKER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.version = self.answer()["version"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        content: dict[str, Any] = json.loads(self.process.stdout.readline())
        return content

    def read(self, path: Path) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return self.answer()


def compare(pages: list[TruePage], workers: dict[str, Worker], runs: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return pages, error, median milliseconds and peak MB of each reader and source."""
    errors: dict[tuple[str, str], ErrorRate] = {}
    answers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for page in tqdm(pages * runs, desc="pages"):
        truth = " ".join(line.text for line in page.lines)
        for name, worker in workers.items():
            answer = worker.read(page.path.resolve())
            for source in (page.source, "all"):
                errors.setdefault((name, source), ErrorRate()).add(truth, answer["text"])
                answers.setdefault((name, source), []).append(answer)
    return {
        name: {
            source: {
                "pages": len(answers[name, source]) // runs,
                "error": errors[name, source].characters,
                "ms": statistics.median(answer["ms"] for answer in answers[name, source]),
                "megabytes": max(answer["megabytes"] for answer in answers[name, source]),
            }
            for source in [*sorted({page.source for page in pages}), "all"]
        }
        for name in workers
    }


def rows(figures: dict[str, dict[str, dict[str, float]]]) -> list[tuple[str, ...]]:
    """A row for each source and reader; times and errors also as ratios to this reader's."""
    found: list[tuple[str, ...]] = []
    for source, ours in figures[OURS].items():
        for name, own in figures.items():
            row = own[source]
            error, time = (row[key] / max(ours[key], 1e-9) for key in ("error", "ms"))
            cells = (f"{100 * row['error']:.1f}", f"{error:.2f}", f"{row['ms']:.0f}", f"{time:.2f}")
            found.append((source, name, str(row["pages"]), *cells, f"{row['megabytes']:.0f}"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.readers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--split", default="val")
    parser.add_argument("--peers", default=sys.executable, help="the Python that has RapidOCR (make build/peers)")
    parser.add_argument("--lines", type=int, help="only pages with so many lines, or one more or less")
    parser.add_argument("--runs", type=int, default=1, help="over all pages")
    arguments = parser.parse_args()
    pages = [page for page in load_pages(arguments.folder, arguments.split) if page.whole]
    if arguments.lines:
        pages = [page for page in pages if abs(len(page.lines) - arguments.lines) <= 1]
    pythons = {OURS: sys.executable, "rapidocr": arguments.peers, "tesseract": sys.executable}
    workers = {name: Worker(name, python) for name, python in pythons.items()}
    figures = compare(pages, workers, arguments.runs)
    heads = ("source", "reader", "pages", "error, %", "times ours", "ms a page", "times ours", "peak, MB")
    versions = "; ".join(worker.version for worker in workers.values())
    markdown = f"{table(heads, rows(figures))}\n\nEach page by each reader in turn, one core each: {versions}."

    def draw(axes: Axes) -> None:
        for name, own in figures.items():
            axes.scatter([own["all"]["ms"]], [100 * own["all"]["error"]])
            axes.annotate(name, (own["all"]["ms"], 100 * own["all"]["error"]), fontsize=8)
        axes.set_xlim(0)
        axes.set_ylim(0)
        axes.set_xlabel("ms a page, median")
        axes.set_ylabel("error, %")

    name = f"readers-{arguments.lines}" if arguments.lines else "readers"
    publish(name, {"versions": versions, "figures": figures}, markdown, draw)


if __name__ == "__main__":
    main()
