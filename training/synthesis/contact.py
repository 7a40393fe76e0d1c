"""Draw contact sheets of synthetic documents, with the polygons and baselines of their lines.

``python -m training.synthesis.contact --assets build/assets --texts TEXTS --out build/contact --pages 6 --kind form``
writes a picture for each kind, without ``--kind`` for all; lines are red, baselines blue, ignored areas green.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.synthesis.corpus import Corpus
from training.synthesis.documents import KINDS, make_document
from training.synthesis.fonts import load_faces
from training.synthesis.noise import Pixels
from training.synthesis.recorded import RecordedHands
from training.vision import make_grid

CELL = 900


def draw(pixels: Pixels, record: dict[str, Any], cell: int) -> NDArray[np.uint8]:
    """A page with its labels, at most `cell` pixels wide and high: uint8 (cell, cell, 3)."""
    factor = min(cell / pixels.shape[1], cell / pixels.shape[0], 1.6)
    size = (max(1, int(pixels.shape[1] * factor)), max(1, int(pixels.shape[0] * factor)))
    page = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    page = cv2.cvtColor(page, cv2.COLOR_GRAY2BGR)

    def trace(points: list[list[float]], closed: bool, colour: tuple[int, int, int]) -> None:
        shifted = np.round(np.array(points) * factor * 8).astype(np.int32)
        cv2.polylines(page, [shifted], closed, colour, 1, cv2.LINE_AA, shift=3)

    for line in record["lines"]:
        trace(line["polygon"], True, (60, 60, 255))
        trace(line["baseline"], False, (255, 80, 0))
    for polygon in record["ignore"]:
        trace(polygon, True, (0, 170, 0))
    sheet = np.full((cell, cell, 3), 170, np.uint8)
    sheet[: page.shape[0], : page.shape[1]] = page
    return sheet


def main() -> None:
    """Write the contact sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("build/assets"))
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--pen", type=Path, help="folder of recorded strokes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--kind", choices=tuple(KINDS), nargs="*", default=list(KINDS))
    parser.add_argument("--cell", type=int, default=CELL, help="pixels a page may be wide and high")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    faces = load_faces(arguments.assets, arguments.split)
    corpus = Corpus.load(arguments.assets, arguments.split, None, arguments.texts)
    recorded = RecordedHands(arguments.pen, arguments.split) if arguments.pen is not None else None
    for kind in arguments.kind:
        cells, start = [], perf_counter()
        for index in range(arguments.pages):
            pixels, record = make_document(arguments.seed, index, faces, corpus, arguments.split, kind, recorded)
            cells.append(draw(pixels, record, arguments.cell))
        seconds = (perf_counter() - start) / arguments.pages
        across = math.ceil(math.sqrt(arguments.pages))
        sheet = make_grid(torch.from_numpy(np.stack(cells)).permute(0, 3, 1, 2), across, padding=0, pad_value=170)
        cv2.imwrite(str(arguments.out / f"{kind}.png"), sheet.permute(1, 2, 0).contiguous().numpy())
        print(f"{kind:10} {seconds:.2f} s a page")


if __name__ == "__main__":
    main()
