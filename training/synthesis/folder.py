"""Write folders of pages."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from training.synthesis.corpus import Corpus
from training.synthesis.documents import KINDS, make_document
from training.synthesis.fonts import load_faces
from training.synthesis.noise import Pixels
from training.synthesis.prose import STYLES, make_page
from training.synthesis.recorded import RecordedHands


def write_page(folder: Path, pixels: Pixels, record: dict[str, Any], quality: int) -> str:
    """Write the picture of a page as JPEG; returns its row of ``pages.jsonl``."""
    path = folder / record["image"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return json.dumps(record, ensure_ascii=False)


class Worker:
    """What a process keeps between pages."""

    def __init__(
        self,
        assets: Path,
        french: Path | None,
        texts: Path | None,
        pen: Path | None,
        out: Path,
        seed: int,
        split: str,
        style: str,
        kind: str,
    ) -> None:
        cv2.setNumThreads(1)
        self.faces, self.corpus = load_faces(assets, split), Corpus.load(assets, split, french, texts)
        self.recorded = RecordedHands(pen, split) if pen is not None else None
        self.out, self.seed, self.split, self.style, self.kind = out, seed, split, style, kind

    def write(self, index: int) -> str:
        """Make one page and write its picture; returns its row of ``pages.jsonl``."""
        if self.kind == "prose":
            pixels, record = make_page(self.seed, index, self.faces, self.corpus, self.split, self.style)
        else:
            pixels, record = make_document(
                self.seed, index, self.faces, self.corpus, self.split, self.kind, self.recorded
            )
        return write_page(self.out, pixels, record, int(np.random.default_rng([self.seed, index, 1]).integers(40, 96)))


_worker: Worker


def _start(*arguments: Any) -> None:
    global _worker
    _worker = Worker(*arguments)


def _write(index: int) -> str:
    return _worker.write(index)


def main() -> None:
    """Write a folder of pages."""
    parser = argparse.ArgumentParser(
        prog="python -m training.synthesis", description="Render synthetic training pages from typefaces and texts."
    )
    parser.add_argument(
        "--assets", type=Path, default=Path("build/assets"), help="folder written by training.synthesis.fonts"
    )
    parser.add_argument("--french", type=Path, help="folder of annotated pages whose lines serve as French prose")
    parser.add_argument("--texts", type=Path, help="folder of prose, such as de.txt, a paragraph a line")
    parser.add_argument("--pen", type=Path, help="folder of recorded strokes, lines.npz and words.npz, for documents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument(
        "--first", type=int, default=0, help="index of the first page; a page depends on seed and index"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--kind", choices=("prose", "all", "each", *KINDS), default="prose", help="of document")
    parser.add_argument("--style", choices=("mixed", *STYLES), default="mixed", help="of pages of prose")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.style != "mixed" and arguments.kind != "prose":
        parser.error("--style is for --kind prose")
    arguments.out.mkdir(parents=True, exist_ok=True)
    setting = (
        arguments.assets, arguments.french, arguments.texts, arguments.pen, arguments.out, arguments.seed,
        arguments.split, arguments.style, arguments.kind,
    )  # fmt: skip
    indices = range(arguments.first, arguments.first + arguments.pages)
    with (
        multiprocessing.get_context("spawn").Pool(arguments.jobs, _start, setting) as pool,
        (arguments.out / "pages.jsonl").open("a" if arguments.first else "w", encoding="utf-8") as file,
    ):
        for row in tqdm(pool.imap(_write, indices), total=arguments.pages, unit="page"):
            file.write(row + "\n")
