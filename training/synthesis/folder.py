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

from training.corpus import Corpus
from training.fonts import load_faces
from training.synthesis.noise import Pixels
from training.synthesis.prose import STYLES, make_page


def write_page(folder: Path, pixels: Pixels, record: dict[str, Any], quality: int) -> str:
    """Write the picture of a page as JPEG; returns its row of ``pages.jsonl``."""
    path = folder / record["image"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return json.dumps(record, ensure_ascii=False)


class Worker:
    """What a process keeps between pages."""

    def __init__(self, assets: Path, french: Path | None, out: Path, seed: int, split: str, style: str) -> None:
        cv2.setNumThreads(1)
        self.faces, self.corpus = load_faces(assets, split), Corpus.load(assets, split, french)
        self.out, self.seed, self.split, self.style = out, seed, split, style

    def write(self, index: int) -> str:
        """Make one page and write its picture; returns its row of ``pages.jsonl``."""
        pixels, record = make_page(self.seed, index, self.faces, self.corpus, self.split, self.style)
        return write_page(self.out, pixels, record, int(np.random.default_rng([self.seed, index, 1]).integers(40, 96)))


_worker: Worker


def _start(*arguments: Any) -> None:
    global _worker
    _worker = Worker(*arguments)


def _write(index: int) -> str:
    return _worker.write(index)


def main() -> None:
    """Write a folder of pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("build/assets"), help="folder written by training.fonts")
    parser.add_argument("--french", type=Path, help="folder of annotated pages whose lines serve as French prose")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--style", choices=("mixed", *STYLES), default="mixed")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    setting = (arguments.assets, arguments.french, arguments.out, arguments.seed, arguments.split, arguments.style)
    with (
        multiprocessing.get_context("spawn").Pool(arguments.jobs, _start, setting) as pool,
        (arguments.out / "pages.jsonl").open("w", encoding="utf-8") as file,
    ):
        for row in tqdm(pool.imap(_write, range(arguments.pages)), total=arguments.pages, unit="page"):
            file.write(row + "\n")
