"""Cut the lines of annotated pages into grey strips with their text, kept on disk as one flat array."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paragraph_ocr.pipeline.rectification import Geometry, cut, frame
from training.data.pages import TruePage, load_pages

# Cached strips are this much taller than the recogniser's input, which leaves room for augmentation.
MARGIN = 4 / 3
# Fewer pages than this are cut in this process: a pool would not have started by then.
MIN_POOL_PAGES = 32


@dataclass(frozen=True)
class Strip:
    """One line for training: pixels uint8 (H, W), its text, where it comes from.

    `ascender` is the share of the line's height, ascender to descender, that stands above its baseline.
    """

    pixels: NDArray[np.uint8]
    text: str
    ascender: float
    source: str
    writer: str
    struck: bool


def cut_page(page: TruePage, geometry: Geometry) -> list[tuple[NDArray[np.uint8], int]]:
    """The strips of a page's lines that have text, with the index of each line."""
    pixels = page.normalised()
    return [
        (cut(pixels, frame(line.baseline, line.ascender, line.descender, geometry)), index)
        for index, line in enumerate(page.lines)
        if line.text
    ]


def enlarged(geometry: Geometry) -> Geometry:
    """Return the geometry of cached strips: with more of the page above and below, and without compression."""
    height = round(geometry.height * MARGIN)
    width = geometry.width * 5 // 4
    return replace(geometry, height=height, width=width, window=geometry.window * MARGIN, widths=1.0)


def cache_path(folder: Path, kind: str, content: Iterable[str], suffix: str) -> Path:
    """Name of a cached file by a hash of what its content depends on, in a folder that is made if need be."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part.encode())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{kind}-{digest.hexdigest()[:16]}{suffix}"


def load_strips(folder: Path, split: str, geometry: Geometry, cache: Path, jobs: int = 2) -> list[Strip]:
    """The strips of one split of a folder of pages, cut once and then memory-mapped from `cache`.

    Parameters
    ----------
    folder : Path
        As `training.data.pages.load_pages` takes it.
    geometry : Geometry
    cache : Path
        Folder for the cut strips; entries are named by a hash of what they depend on.
    jobs : int
        Processes that cut.

    Raises
    ------
    DatasetError
        The folder or an image cannot be read.
    """
    stamp = (folder / "pages.jsonl").stat()
    content = f"{folder.resolve()} {stamp.st_size} {stamp.st_mtime_ns} {split} {geometry} seen"
    name = cache_path(cache, "lines", [content], "")
    if not name.with_suffix(".json").exists():
        pages = load_pages(folder, split)
        rows: list[dict[str, object]] = []
        offset = 0
        with ExitStack() as stack:
            store = stack.enter_context(name.with_suffix(".bin").open("wb"))
            cut_strips = partial(cut_page, geometry=geometry)
            work: Iterable[list[tuple[NDArray[np.uint8], int]]] = map(cut_strips, pages)
            if len(pages) >= MIN_POOL_PAGES:
                # Spawned, since OpenCV's threads do not survive a fork.
                pool = stack.enter_context(ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")))
                work = pool.map(cut_strips, pages, chunksize=4)
            for page, strips in tqdm(zip(pages, work, strict=True), total=len(pages), desc=f"strips {folder.name}"):
                for pixels, index in strips:
                    line = page.lines[index]
                    store.write(pixels.tobytes())
                    rows.append(
                        {
                            "offset": offset,
                            "shape": pixels.shape,
                            "text": line.text,
                            "ascender": round(line.ascender / (line.ascender + line.descender), 4),
                            "source": page.source,
                            "writer": page.writer,
                            "struck": line.struck,
                        }
                    )
                    offset += pixels.size
        name.with_suffix(".json").write_text(json.dumps(rows), encoding="utf-8")
    records = json.loads(name.with_suffix(".json").read_text(encoding="utf-8"))
    if not records:
        return []
    flat = np.memmap(name.with_suffix(".bin"), np.uint8, mode="r")
    return [
        Strip(
            pixels=flat[record["offset"] : record["offset"] + record["shape"][0] * record["shape"][1]].reshape(
                record["shape"]
            ),
            text=record["text"],
            ascender=record["ascender"],
            source=record["source"],
            writer=record["writer"],
            struck=record["struck"],
        )
        for record in records
    ]
