"""Adapt the models to growing numbers of a hand's pages; write the table and the curve of docs/adapt.md.

    python -m benchmarks.adaptation HAND [HAND ...] --others PAGES

Each HAND is a folder of annotated pages in one hand. Its last pages are kept for measuring; of the others the first 1,
3, 10 and 30 are adapted to, each time from the models of the package. PAGES is a folder of annotated pages, of which
some of the split "val", and of other hands, are read before and after, to measure what adapting costs in those.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from adaptation import command
from benchmarks.report import FOLDER as RESULTS
from benchmarks.report import ROOT, publish, table
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import TruePage, load_pages
from training.evaluation.end_to_end import choose_pages
from training.evaluation.metrics import ErrorRate
from training.evaluation.product import CROPS, Figures, score_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCUMENT = ROOT / "docs" / "adapt.md"
COUNTS = (1, 3, 10, 30)
# Pages of each other source that are measured.
OTHERS = 3


@dataclass(frozen=True)
class Row:
    """Character errors of a hand's and of other pages with the models adapted to some pages, and minutes it took."""

    hand: str
    pages: int
    lines: int
    minutes: float
    error: float
    others: float


def error(pages: Sequence[TruePage], models: Path, threads: int) -> float:
    """Read pages with a model set, and return the character error over all their lines."""
    reader = PageReader.load(models, threads)
    figures: dict[str, Figures] = {}
    for page in tqdm(pages, desc=models.name, unit="page"):
        score_page(page, reader.read_image(page.pixels(), page.page_id), figures.setdefault("all", Figures()))
    rate: ErrorRate = figures["all"].lines
    return rate.characters


def measured(pages: int) -> int:
    """Return how many of a hand's pages are measured: nine, or two fifths where there are few."""
    return min(9, 2 * pages // 5)


def write_part(hand: Path, count: int, folder: Path) -> int:
    """Write a folder of the first `count` pages of a hand that are not measured; returns the number of their lines."""
    rows = [json.loads(row) for row in (hand / "pages.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")]
    chosen = [
        row | {"split": "train", "image": str((hand / row["image"]).resolve())}
        for row in rows[: -measured(len(rows))][:count]
    ]
    (folder / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return sum(bool(line["text"]) for row in chosen for line in row["lines"])


def measure(
    hand: Path, counts: Sequence[int], others: Sequence[TruePage], minutes: float, threads: int
) -> Iterator[Row]:
    """Adapt to growing numbers of a hand's pages, and measure each time."""
    pages = load_pages(hand)
    tested = pages[-measured(len(pages)) :]
    own = {page.page_id for page in pages}
    others = [page for page in others if page.page_id not in own]
    yield Row(hand.name, 0, 0, 0.0, error(tested, FOLDER, threads), error(others, FOLDER, threads))
    for count in counts:
        if count > len(pages) - len(tested):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder, models = Path(temporary) / "pages", Path(temporary) / "models"
            folder.mkdir()
            lines = write_part(hand, count, folder)
            parser = argparse.ArgumentParser()
            command.add_arguments(parser)
            began = time.monotonic()
            command.adapt(
                parser.parse_args(
                    [str(folder), "--out", str(models), "--minutes", str(minutes), "--threads", str(threads)]
                )
            )
            spent = (time.monotonic() - began) / 60
            yield Row(hand.name, count, lines, spent, error(tested, models, threads), error(others, models, threads))


def draw_curve(rows: Sequence[Row], axes: Axes) -> None:
    """Draw the error of each hand by the number of its pages."""
    for hand in dict.fromkeys(row.hand for row in rows):
        own = [row for row in rows if row.hand == hand]
        axes.plot([row.pages for row in own], [100 * row.error for row in own], marker="o", label=hand)
    axes.set(xlabel="pages adapted to", ylabel="wrong characters, %", ylim=(0, None))
    axes.legend()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptation", description=__doc__)
    parser.add_argument("hands", type=Path, nargs="+", metavar="HAND", help="folder of annotated pages in one hand")
    parser.add_argument("--others", type=Path, required=True, metavar="PAGES", help="annotated pages in other hands")
    parser.add_argument("--pages", type=int, nargs="+", default=COUNTS, help="numbers of pages (%(default)s)")
    parser.add_argument("--minutes", type=float, default=40.0, help="time limit of each adaptation (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--add", action="store_true", help="keep the rows of other hands in the table")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    validation = [page for page in load_pages(arguments.others, "val") if page.source not in CROPS]
    others = choose_pages(validation, OTHERS)
    rows: list[Row] = []
    if arguments.add:
        old = json.loads((RESULTS / "adaptation.json").read_text(encoding="utf-8"))["rows"]
        rows = [Row(**row) for row in old if row["hand"] not in {hand.name for hand in arguments.hands}]
    for hand in arguments.hands:
        for row in measure(hand, arguments.pages, others, arguments.minutes, arguments.threads):
            # It takes hours: what was measured is written at once.
            rows.append(row)
            publish_rows(rows)


def publish_rows(rows: Sequence[Row]) -> None:
    """Write the table and the curve."""
    cells = [
        [
            row.hand,
            str(row.pages),
            str(row.lines),
            f"{row.minutes:.0f}",
            f"{100 * row.error:.1f} %",
            f"{100 * row.others:.1f} %",
        ]
        for row in rows
    ]
    header = ["hand", "pages", "lines", "minutes", "wrong characters", "in other hands"]
    publish(
        "adaptation", {"rows": [asdict(row) for row in rows]}, table(header, cells), partial(draw_curve, rows), DOCUMENT
    )


if __name__ == "__main__":
    main()
