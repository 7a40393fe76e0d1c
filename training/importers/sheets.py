"""Set crops of lines below each other on sheets, each line with a baseline and an outline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.light import dark_on_light_everywhere, even_light
from training.importers.placing import derive_baseline

# Crops are made smaller to this height; they show a little more than the letters.
CROP_HEIGHT = 72
MARGIN = 36
MAX_LINES, MIN_SHEETS = 24, 10
LONGEST = 2400

Grey = NDArray[np.uint8]
Find = Callable[[Grey], Sequence[TextLine]]


@dataclass(frozen=True)
class Crop:
    """An image uint8 (H, W) of one line, as small as `shrink` makes it, and its name."""

    name: str
    pixels: Grey


def lines_a_sheet(count: int) -> int:
    """Return how many lines a sheet has, such that a few lines still make several sheets, some of them to hold out."""
    return int(np.clip(-(-count // MIN_SHEETS), 1, MAX_LINES))


def shrink(pixels: Grey) -> Grey:
    """Make a crop, uint8 (H, W), as small as it is on a sheet."""
    height, width = pixels.shape
    factor = min(1.0, CROP_HEIGHT / height, LONGEST / width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def lay_out(crops: Sequence[Crop], find: Find) -> tuple[Grey, list[tuple[NDArray[np.float32], NDArray[np.float32]]]]:
    """Lay crops out on a sheet, and return it with the polygon and baseline of each.

    Parameters
    ----------
    crops : sequence of Crop
    find : callable
        Finds the lines of a page; a crop in which it does not find one from end to end gets a baseline by its ink.

    Returns
    -------
    pixels : uint8 (H, W)
    lines : list of (float32 (M, 2), float32 (K, 2))
    """
    width = max(crop.pixels.shape[1] for crop in crops) + 2 * MARGIN
    bands, places, top = [], [], 0
    for each in (crop.pixels for crop in crops):
        # Of its own paper, so that it has no edges.
        band = np.full((each.shape[0] + MARGIN, width), np.percentile(each, 70), np.uint8)
        band[MARGIN // 2 : MARGIN // 2 + each.shape[0], MARGIN : MARGIN + each.shape[1]] = each
        places.append((MARGIN, top + MARGIN // 2, each.shape[1], each.shape[0]))
        bands.append(band)
        top += band.shape[0]
    sheet = np.vstack(bands)
    normalised = even_light(dark_on_light_everywhere(sheet))
    found = find(normalised)
    lines = []
    for left, upper, across, down in places:
        inside = [
            line
            for line in found
            if upper <= np.median(line.baseline[:, 1]) <= upper + down
            and line.baseline[0, 0] < left + across
            and line.baseline[-1, 0] > left
        ]
        best = max(inside, key=lambda line: float(np.ptp(line.baseline[:, 0])), default=None)
        columns = np.flatnonzero((normalised[upper : upper + down, left : left + across] < 128).sum(axis=0) > 1)
        ink = float(np.ptp(columns)) if columns.size else float(across)
        if best is not None and np.ptp(best.baseline[:, 0]) >= 0.85 * ink:
            lines.append((best.polygon, best.baseline))
            continue
        box = [(left, upper), (left + across, upper), (left + across, upper + down), (left, upper + down)]
        polygon = np.array(box, np.float32)
        lines.append((polygon, derive_baseline(polygon, normalised)))
    return sheet, lines
