"""Annotated pages in; the same pages with their lines where the product finds them, for its recogniser to learn, out.

    python -m training.data.found PAGES --out build/found

A detector draws lines taller or flatter than an annotator does, and ends them elsewhere; a recogniser that has seen
annotated lines alone reads these worse. Give `fit` the new folder beside the old one. It holds training pages only, and
of them the lines that are found whole; its pages are "partial", so that no detector learns from them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import TrueLine, TruePage, load_pages
from training.evaluation.matching import match_lines

# By how much of a line's height its ends may lie elsewhere: less than a letter.
TOLERANCE = 0.45


def is_whole(true: TrueLine, found: TextLine) -> bool:
    """Whether a line was found from its first letter to its last, and not much beyond."""
    ends = true.baseline[[0, -1], 0] - found.baseline[[0, -1], 0]
    return bool(np.abs(ends).max() <= TOLERANCE * (true.ascender + true.descender))


def redraw(page: TruePage, found: Sequence[TextLine]) -> list[dict[str, Any]]:
    """The lines of a page as ``pages.jsonl`` has them, each with baseline and polygon of the one found in its place."""
    pairs = match_lines([line.polygon for line in page.lines], [line.polygon for line in found], []).pairs
    return [
        {
            "text": page.lines[true].text,
            "struck": page.lines[true].struck,
            "baseline": np.round(found[own].baseline, 1).tolist(),
            "polygon": np.round(found[own].polygon, 1).tolist(),
        }
        for true, own in sorted(pairs)
        if is_whole(page.lines[true], found[own])
    ]


def collect(folder: Path, out: Path, reader: PageReader) -> tuple[int, int]:
    """Write the training pages of a folder anew; how many lines were kept, and of how many.

    Parameters
    ----------
    folder, out : Path
        As `training.data.pages.load_pages` takes them; the images stay where they are.
    reader : PageReader
        Whose detector finds the lines.
    """
    kept = lines = 0
    rows = []
    for page in tqdm(load_pages(folder, "train"), desc="pages"):
        found, sideways = reader.detector.find(page.seen())
        own = [] if sideways else redraw(page, found)
        kept, lines = kept + len(own), lines + len(page.lines)
        row = {name: getattr(page, name) for name in ("page_id", "source", "writer", "split", "width", "height")}
        rows.append(row | {"image": os.path.relpath(page.path, out), "partial": True, "lines": own})
    out.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "pages.jsonl").write_text(text, encoding="utf-8")
    return kept, lines


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.data.found", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--out", type=Path, required=True, help="folder of annotated pages to write")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    kept, lines = collect(arguments.folder, arguments.out, PageReader.load(threads=arguments.threads))
    print(f"{kept} of {lines} lines were found whole; they are in {arguments.out}")


if __name__ == "__main__":
    main()
