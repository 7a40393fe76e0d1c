"""Read a folder of annotated pages: lines with text, baseline, polygon and heights.

The folder holds `pages.jsonl`, one page a line: `{"page_id", "source", "writer", "split", "image", "width", "height",
"lines": [{"text", "baseline", "polygon", "struck"}], "ignore": [polygon], "partial", "faded"}`, the last three
optional. Coordinates are pixels of the image, polygons are closed implicitly.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.light import dark_on_light_everywhere, even_light
from paragraph_ocr.pipeline.rectification import resample, smooth

Points = NDArray[np.float32]

# Shortest baseline, pixels.
MIN_BASELINE = 4.0

# Sources that were printed or typed; all others are handwriting.
PRINTED = {"tapus_fr", "synth_print", "synth_typewriter"}


class DatasetError(Exception):
    """A folder of pages that breaks the format; the message names the file and line."""


@dataclass(frozen=True)
class TrueLine:
    """A transcribed line: baseline float32 (K, 2) left to right, polygon float32 (M, 2), heights in page pixels."""

    text: str
    baseline: Points
    polygon: Points
    ascender: float
    descender: float
    struck: bool


@dataclass(frozen=True)
class TruePage:
    """An annotated page; `whole` if all its writing is annotated, so that it can train a detector."""

    page_id: str
    source: str
    writer: str
    split: str
    path: Path
    width: int
    height: int
    lines: tuple[TrueLine, ...]
    ignore: tuple[Points, ...]
    whole: bool

    def pixels(self) -> NDArray[np.uint8]:
        """uint8 (H, W); raises DatasetError when the image cannot be read."""
        image = cv2.imread(str(self.path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise DatasetError(f"{self.path} cannot be read as an image")
        return np.asarray(image, np.uint8)

    def normalised(self) -> NDArray[np.uint8]:
        """The pixels after the lighting correction of the product, uint8 (H, W); raises as `pixels` does."""
        return even_light(dark_on_light_everywhere(self.pixels()))


def line_heights(baseline: Points, polygon: Points) -> tuple[float, float]:
    """Ascender and descender height of a line, from its polygon.

    The polygon is drawn in the frame of the baseline, and a high percentile over the columns taken, so that the tall
    letters count and a stray flourish does not.

    Returns
    -------
    ascender, descender : float, pixels, above and below the baseline
    """
    line = smooth(resample(baseline, 4.0), 24)
    middle = line.mean(axis=0)
    direction = line[-1] - line[0]
    direction = direction / max(float(np.hypot(*direction)), 1e-6)
    rotation = np.array([[direction[0], direction[1]], [-direction[1], direction[0]]], np.float32)
    along, across = ((line - middle) @ rotation.T).T
    points = (polygon - middle) @ rotation.T
    points[:, 1] -= np.interp(points[:, 0], along, across)
    low = points.min(axis=0)
    size = np.ceil(points.max(axis=0) - low).astype(int) + 1
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(mask, [np.round(points - low).astype(np.int32)], 1)
    inside = mask.any(axis=0)
    top = mask.argmax(axis=0)[inside] + low[1]
    bottom = size[1] - 1 - mask[::-1].argmax(axis=0)[inside] + low[1]
    ascender = max(float(np.percentile(-top, 75)), 4.0)
    descender = float(np.percentile(bottom, 75))
    # Some sources draw the lower edge along the baseline; letters still reach below it.
    return ascender, float(np.clip(descender, 0.28 * ascender, 0.8 * ascender))


def _parse_line(record: dict[str, object]) -> TrueLine | None:
    baseline = np.array(record["baseline"], np.float32).reshape(-1, 2)
    polygon = np.array(record["polygon"], np.float32).reshape(-1, 2)
    if len(baseline) < 2 or len(polygon) < 3:
        return None
    length = float(np.hypot(*(baseline[-1] - baseline[0])))
    if length < MIN_BASELINE:
        # A digit one in small print is hardly wider than its stroke.
        if len(baseline) > 2 or length < 0.5:
            return None
        middle = baseline.mean(axis=0)
        baseline = np.asarray(middle + (baseline - middle) * (MIN_BASELINE / length), np.float32)
    ascender, descender = line_heights(baseline, polygon)
    text = unicodedata.normalize("NFC", str(record["text"]))
    return TrueLine(text, baseline, polygon, ascender, descender, bool(record.get("struck", False)))


def load_pages(folder: Path, split: str | None = None) -> list[TruePage]:
    """The pages of a folder, in file order.

    Parameters
    ----------
    folder : Path
    split : str, optional
        Keep only the pages of this split.

    Raises
    ------
    DatasetError
        A missing file, or a line of it that is no page.
    """
    index = folder / "pages.jsonl"
    try:
        # JSON may have other separators of lines, such as U+2028, within a text.
        rows = index.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except OSError as error:
        raise DatasetError(f"{index} cannot be read: {error.strerror}") from error
    if rows == [""]:
        return []
    pages = []
    for number, row in enumerate(rows, start=1):
        try:
            record = json.loads(row)
            if split is not None and record["split"] != split:
                continue
            found = [(_parse_line(line), line["polygon"]) for line in record["lines"]]
            lines = tuple(line for line, _ in found if line is not None)
            unusable = [np.array(polygon, np.float32).reshape(-1, 2) for line, polygon in found if line is None]
            ignore = [np.array(polygon, np.float32).reshape(-1, 2) for polygon in record.get("ignore", [])]
            pages.append(
                TruePage(
                    page_id=record["page_id"],
                    source=record["source"],
                    writer=record["writer"],
                    split=record["split"],
                    path=folder / record["image"],
                    width=record["width"],
                    height=record["height"],
                    lines=lines,
                    ignore=tuple(polygon for polygon in ignore + unusable if len(polygon) > 2),
                    whole=not (record.get("partial", False) or record.get("faded", False)),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{index}, line {number}: {error!r}") from error
    return pages


def refuse_shared_writers(
    train: Iterable[tuple[str, str]], validation: Iterable[tuple[str, str]], allowed: Iterable[str]
) -> None:
    """Check that training and validation pages are of different writers and fonts.

    Parameters
    ----------
    train, validation : iterables of (source, writer)
    allowed : iterable of str
        Sources with one writer, whose validation pages are other pages of that writer.

    Raises
    ------
    DatasetError
        A writer is in both splits.
    """
    shared = sorted({pair for pair in set(train) & set(validation) if pair[0] not in set(allowed)})
    if shared:
        raise DatasetError(
            f"{len(shared)} writers are in training and in validation, such as {shared[0][1]} of {shared[0][0]}: split "
            "the pages by writer, or name the source under same_writer in the experiment file"
        )
