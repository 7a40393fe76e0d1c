"""Write the training pages of a folder anew, with their lines where the product's detector finds them.

    python -m training.data.detected_lines PAGES --out build/found

A detector draws lines taller or flatter than an annotator does, and ends them elsewhere; a recogniser that has only
seen annotated lines reads these worse. Give `training.fit` the new folder beside the old one. It holds training pages
only, and of their lines those that were detected whole; its pages are "partial", so that no detector learns from them.
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

# How far the ends of a detected line may be from those of the true one, in line heights: less than a letter.
TOLERANCE = 0.45


def covers_line(true: TrueLine, detected: TextLine) -> bool:
    """Return whether a detected line covers a true one from its first letter to its last, and not much more."""
    ends = true.baseline[[0, -1], 0] - detected.baseline[[0, -1], 0]
    return bool(np.abs(ends).max() <= TOLERANCE * (true.ascender + true.descender))


def transfer_text(page: TruePage, detected: Sequence[TextLine]) -> list[dict[str, Any]]:
    """Assign the text of true lines to the detected lines that match them.

    Parameters
    ----------
    page : TruePage
    detected : sequence of TextLine
        Lines found on the page, in pixels of the image.

    Returns
    -------
    list of dict
        Lines as ``pages.jsonl`` has them, with the detected baselines and polygons; those that were not detected whole
        are left out.
    """
    pairs = match_lines([line.polygon for line in page.lines], [line.polygon for line in detected], []).pairs
    return [
        {
            "text": page.lines[true].text,
            "struck": page.lines[true].struck,
            "baseline": np.round(detected[own].baseline, 1).tolist(),
            "polygon": np.round(detected[own].polygon, 1).tolist(),
        }
        for true, own in sorted(pairs)
        if covers_line(page.lines[true], detected[own])
    ]


def collect(folder: Path, out: Path, reader: PageReader) -> tuple[int, int]:
    """Write the training pages of a folder anew, with detected lines.

    Parameters
    ----------
    folder, out : Path
        As `training.data.pages.load_pages` takes them; the images stay where they are.
    reader : PageReader
        Provides the detector.

    Returns
    -------
    kept, lines : int
        How many lines were kept, and of how many.

    Raises
    ------
    DatasetError
        The folder or an image cannot be read.
    """
    kept = lines = 0
    rows = []
    for page in tqdm(load_pages(folder, "train"), desc="pages"):
        detected, sideways = reader.detector.find(page.normalised())
        own = [] if sideways else transfer_text(page, detected)
        kept, lines = kept + len(own), lines + len(page.lines)
        row = {name: getattr(page, name) for name in ("page_id", "source", "writer", "split", "width", "height")}
        rows.append(row | {"image": os.path.relpath(page.path, out), "partial": True, "lines": own})
    out.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "pages.jsonl").write_text(text, encoding="utf-8")
    return kept, lines


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.data.detected_lines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--out", type=Path, required=True, help="folder of annotated pages to write")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    kept, lines = collect(arguments.folder, arguments.out, PageReader.load(threads=arguments.threads))
    print(f"{kept} of {lines} lines were detected whole; they are in {arguments.out}")


if __name__ == "__main__":
    main()
