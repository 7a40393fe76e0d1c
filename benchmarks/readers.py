"""Annotated pages in; error, time and memory of this reader and its peers, page by page in turn, out.

    python -m benchmarks.readers PAGES --peers build/peers/bin/python

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
from typing import Any

from tqdm import tqdm

from training.metrics import ErrorRate
from training.pages import load_pages

WORKER = Path(__file__).with_name("worker.py")
OURS = "paragraph-ocr"


class Worker:
    """A reader in a process of its own."""

    def __init__(self, name: str, python: str) -> None:
        self.process = subprocess.Popen(
            [python, WORKER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.version = self.answer()["version"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        content: dict[str, Any] = json.loads(self.process.stdout.readline())
        return content

    def read(self, path: Path) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return self.answer()


def compare(folder: Path, split: str, workers: dict[str, Worker], limit: int) -> dict[str, dict[str, dict[str, float]]]:
    """For each reader and source the pages, error, median milliseconds and peak megabytes."""
    pages = [page for page in load_pages(folder, split) if page.whole]
    taken: dict[str, int] = {}
    errors: dict[tuple[str, str], ErrorRate] = {}
    answers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for page in tqdm(pages, desc="pages"):
        taken[page.source] = taken.get(page.source, 0) + 1
        if taken[page.source] > limit:
            continue
        truth = " ".join(line.text for line in page.lines)
        for name, worker in workers.items():
            answer = worker.read(page.path.resolve())
            for source in (page.source, "all"):
                errors.setdefault((name, source), ErrorRate()).add(truth, answer["text"])
                answers.setdefault((name, source), []).append(answer)
    return {
        name: {
            source: {
                "pages": len(answers[name, source]),
                "error": errors[name, source].characters,
                "ms": statistics.median(answer["ms"] for answer in answers[name, source]),
                "megabytes": max(answer["megabytes"] for answer in answers[name, source]),
            }
            for source in [*sorted(taken), "all"]
        }
        for name in workers
    }


def table(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """The figures as a Markdown table; times and errors also as ratios to this reader's."""
    rows = ["| source | reader | pages | error % | times ours | ms a page | times ours | peak MB |"]
    rows.append("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for source in figures[OURS]:
        ours = figures[OURS][source]
        for name, own in figures.items():
            row = own[source]
            ratios = [row[key] / max(ours[key], 1e-9) for key in ("error", "ms")]
            rows.append(
                f"| {source} | {name} | {row['pages']} | {100 * row['error']:.1f} | {ratios[0]:.2f} "
                f"| {row['ms']:.0f} | {ratios[1]:.2f} | {row['megabytes']:.0f} |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.readers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--split", default="val")
    parser.add_argument("--peers", default=sys.executable, help="the Python that has RapidOCR (make build/peers)")
    parser.add_argument("--pages", type=int, default=10_000, help="at most this many of a source")
    parser.add_argument("--json", type=Path, help="file to write the figures into")
    arguments = parser.parse_args()
    pythons = {OURS: sys.executable, "rapidocr": arguments.peers, "tesseract": sys.executable}
    workers = {name: Worker(name, python) for name, python in pythons.items()}
    figures = compare(arguments.folder, arguments.split, workers, arguments.pages)
    print("; ".join(worker.version for worker in workers.values()), table(figures), sep="\n\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
