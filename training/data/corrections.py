"""Convert corrected readings of pages into a folder of annotated pages for `training.data.pages`.

    python -m training.data.corrections FOLDER --out PAGES

FOLDER holds images and, beside each, what was read of it as JSON, in `scan.jpg.json` or `scan.json`, of which a person
changed the `text` of lines, took lines away that are none, or added some with `text`, `polygon` and `baseline`.
Writing that cannot be read has the text "". A page where anything was changed counts as right in all its lines; one
where nothing was is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paragraph_ocr.errors import OcrError
from paragraph_ocr.io.file_format import SUFFIXES
from paragraph_ocr.io.imaging import decode
from training.data.pages import DatasetError
from training.synthesis.corpus import straight
from training.synthesis.fonts import CHARSET

# Shortest baseline that `training.data.pages` accepts, pixels.
MIN_BASELINE = 4.0


@dataclass(frozen=True)
class Changes:
    """Numbers of lines of a page that are unchanged, edited, added and removed, and unsupported characters.

    `confirmed` counts those of the unchanged lines that a person marked as right or drew anew.
    """

    kept: int
    corrected: int
    added: int
    deleted: int
    foreign: str
    confirmed: int = 0

    @property
    def any(self) -> bool:
        """Whether anything was changed, or a person confirmed a line."""
        return bool(self.corrected or self.added or self.deleted or self.confirmed)


def find(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield every image that has a JSON file of the same name, with that file."""
    for place, subfolders, names in os.walk(folder):
        subfolders.sort()
        images = sorted(name for name in names if Path(name).suffix.lower() in SUFFIXES)
        stems = Counter(Path(name).stem for name in images)
        for name in images:
            beside = [f"{name}.json"] + [f"{Path(name).stem}.json"] * (stems[Path(name).stem] == 1)
            for reading in beside:
                if reading in names:
                    yield Path(place, name), Path(place, reading)
                    break


def read_corrected(path: Path) -> list[dict[str, Any]]:
    """The pages of a JSON file: one page, several under `pages`, or one a line.

    Raises
    ------
    DatasetError
        It has none of these forms.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        try:
            content = json.loads(text)
        except ValueError:
            content = {"pages": [json.loads(row) for row in text.splitlines() if row.strip()]}
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"it is no JSON: {error}") from error
    pages = content.get("pages", [content]) if isinstance(content, dict) else None
    if not isinstance(pages, list) or not pages or not all(isinstance(page, dict) for page in pages):
        raise DatasetError("it is not what was read of an image")
    return pages


def normalise(text: str) -> str:
    """Normalise text like the transcriptions: composed characters, straight marks, single spaces, no ligatures."""
    composed = straight(text)
    known = (each if each in CHARSET else unicodedata.normalize("NFKC", each) for each in composed)
    return " ".join(straight("".join(known)).split())


def convert(page: dict[str, Any], width: int, height: int) -> tuple[list[dict[str, Any]], list[Any], Changes]:
    """Convert a corrected page to the lines and ignored polygons of `pages.jsonl`.

    Parameters
    ----------
    page : mapping
        A page as JSON has it.
    width, height : int
        Pixels of its image.

    Raises
    ------
    DatasetError
        Something is missing, of the wrong type, or not on the page; the message says which line.
    """
    if (page.get("width"), page.get("height")) != (width, height):
        raise DatasetError(
            f"it is of a page of {page.get('width')} x {page.get('height')} pixels, the image has {width} x {height}"
        )
    if page.get("rotation", 0) not in (0, 90, 180, 270):
        raise DatasetError("its rotation is none of 0, 90, 180 and 270")
    if not isinstance(page.get("lines"), list):
        raise DatasetError("it has no lines")
    lines: list[dict[str, Any]] = []
    ignore: list[Any] = []
    readings: Counter[str] = Counter()
    kept = corrected = added = confirmed = 0
    for number, line in enumerate(page["lines"], 1):
        if not isinstance(line, dict) or not isinstance(line.get("text"), str):
            raise DatasetError(f"line {number} has no text; take the line away, or give it an empty one")
        polygon = _points(line, "polygon", 3, number, width, height)
        baseline = _points(line, "baseline", 2, number, width, height)
        if math.dist(baseline[0], baseline[-1]) < MIN_BASELINE:
            raise DatasetError(f"line {number} has a baseline that begins where it ends")
        text, reading = normalise(line["text"]), _reading(line)
        changes: dict[str, Any] = {}
        if reading is None:
            added += 1
        else:
            readings[reading] += 1
            if text == normalise(reading):
                kept += 1
                confirmed += line.get("corrected") is True
            else:
                corrected += 1
                changes = {"reading": reading}
        if text:
            lines.append({"text": text, "baseline": baseline, "polygon": polygon, "struck": False} | changes)
        else:
            ignore.append(polygon)
    # The page's own text is the corrected one where a program wrote it.
    read = page.get("reading", page.get("text"))
    deleted = (Counter(read.split("\n") if isinstance(read, str) and read else []) - readings).total()
    foreign = "".join(sorted({each for line in lines for each in line["text"]} - set(CHARSET)))
    return lines, ignore, Changes(kept, corrected, added, deleted, foreign, confirmed)


def collect(folder: Path, out: Path, source: str, writer: str | None, split: str) -> tuple[int, int]:
    """Write the corrected pages of a folder, and report each on standard output.

    Parameters
    ----------
    folder : Path
    out : Path
        The folder to write; `pages.jsonl` in it is replaced.
    source : str
    writer : str, optional
        The writer of the pages; by default, the name of the folder that contains a page.
    split : str

    Returns
    -------
    int, int
        Numbers of pages written and of files rejected; the reasons are reported on standard error.
    """
    rows: list[str] = []
    refused = 0
    for image, reading in find(folder):
        name = image.relative_to(folder)
        try:
            hand = writer or name.parent.name
            if not hand:
                raise DatasetError(
                    "its writer is not known: name one by --writer, or put the pages of each in a folder"
                )
            corrected = read_corrected(reading)
            pages = {page.get("page", 1): page for page in corrected}
            if len(pages) < len(corrected):
                raise DatasetError("it has a page twice")
            origin = {"source": source, "writer": hand, "split": split}
            found = [
                row
                for number, pixels in enumerate(decode(image.read_bytes()), 1)
                if number in pages
                for row in _collect(pages.pop(number), pixels, name, out, origin)
            ]
            if pages:
                raise DatasetError(f"it is of page {next(iter(pages))}, which the file has not")
            rows.extend(found)
        except (DatasetError, OcrError, OSError) as error:
            refused += 1
            print(f"{name}: {error}", file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / ".pages.jsonl.partial"
    partial.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    os.replace(partial, out / "pages.jsonl")
    return len(rows), refused


def _collect(
    page: dict[str, Any], pixels: NDArray[np.uint8], name: Path, out: Path, origin: dict[str, str]
) -> Iterator[str]:
    """Write the upright image of a page and yield its row of ``pages.jsonl``; nothing if the page is unchanged."""
    height, width = pixels.shape
    lines, ignore, changes = convert(page, width, height)
    number = page.get("page", 1)
    which = f"{name}, page {number}"
    if not changes.any:
        print(f"{which}: unchanged, left out")
        return
    print(
        f"{which}: {changes.corrected} lines corrected, {changes.added} added, {changes.deleted} taken away, "
        f"{changes.kept} kept"
    )
    if changes.foreign:
        print(f"{which}: no model learns lines with {changes.foreign}: not in training/charset.txt", file=sys.stderr)
    # Files of the same name in different folders get different names.
    digest = hashlib.sha256(name.as_posix().encode(errors="surrogateescape")).hexdigest()[:8]
    stem = re.sub(r"[^\w]+", "-", name.stem)
    page_id = f"{stem}-{digest}-{number}"
    turns = page.get("rotation", 0) // 90
    lines = [
        line | {key: _upright(line[key], turns, width, height) for key in ("polygon", "baseline")} for line in lines
    ]
    ignore = [_upright(polygon, turns, width, height) for polygon in ignore]
    pixels = np.rot90(pixels, turns)
    height, width = pixels.shape
    picture = Path("pages", origin["source"], f"{page_id}.jpg")
    (out / picture).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(out / picture, quality=95)
    size = {"image": picture.as_posix(), "width": width, "height": height}
    yield json.dumps({"page_id": page_id} | origin | size | {"lines": lines, "ignore": ignore}, ensure_ascii=False)


def _upright(points: list[list[float]], turns: int, width: int, height: int) -> list[list[float]]:
    """Rotate points of an image by quarter turns anticlockwise, with the image."""
    if turns == 1:
        return [[y, width - x] for x, y in points]
    if turns == 2:
        return [[width - x, height - y] for x, y in points]
    return [[height - y, x] for x, y in points] if turns == 3 else points


def _reading(line: dict[str, Any]) -> str | None:
    """Return the original reading: the line's own, or that which its words preserve; None for an added line."""
    if line.get("corrected") is True:
        reading = line.get("reading")
        return reading if isinstance(reading, str) else None
    words = line.get("words")
    if not isinstance(words, list) or not words or not all(isinstance(word, dict) for word in words):
        return None
    return " ".join(str(word.get("text", "")) for word in words)


def _points(line: dict[str, Any], key: str, least: int, number: int, width: int, height: int) -> list[list[float]]:
    points = line.get(key)
    if not isinstance(points, list) or len(points) < least or not all(map(_is_point, points)):
        raise DatasetError(f"line {number} has no {key} of {least} points or more")
    if not any(0 <= x <= width and 0 <= y <= height for x, y in points):
        raise DatasetError(f"line {number} has a {key} beside the page")
    return points


def _is_point(point: object) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each) for each in point)
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.data.corrections",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of images and corrected JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder of annotated pages to write")
    parser.add_argument("--source", default="corrections", help="what the pages are called in tables")
    parser.add_argument("--writer", help="whose hand it is; otherwise the name of the folder that a page lies in")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    arguments = parser.parse_args()
    pages, refused = collect(arguments.folder, arguments.out, arguments.source, arguments.writer, arguments.split)
    print(f"{pages} pages in {arguments.out}, {refused} files refused")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
