"""Read pages whose reading a person corrected, for `training.importers`.

A folder holds images and, beside each, what was read of it as JSON, in `scan.jpg.json` or `scan.json`, of which a
person changed the `text` of lines, took lines away that are none, or added some with `text`, `polygon` and `baseline`.
Writing that cannot be read has the text "". A page where anything was changed counts as right in all its lines; one
where nothing was is left out.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
            content = {"pages": [json.loads(row) for row in text.split("\n") if row.strip()]}
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
