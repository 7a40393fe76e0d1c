"""Classify pages as handwritten, printed, mixed or blank, from features of their lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Line
from paragraph_ocr.models import FOLDER, ModelError
from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.light import dark_on_light
from paragraph_ocr.pipeline.rectification import Geometry, Normalisation, cut, frame, to_ink

KINDS = ("handwritten", "printed", "mixed", "blank")
GEOMETRY = Geometry(height=48, width=1024)
PATH = FOLDER / "kind.json"
# Minimum share of either kind in the length of a mixed page's lines; less is a letterhead or misclassified lines.
MIXED = 0.2

_BINS = 12
# Number of columns over which a typeset line keeps its height, unlike handwriting.
_WINDOW = 96
# Features are clipped at this many standard deviations.
_MAX_DEVIATION = 4.0
# Pitch of typewriters, in columns of a strip.
_PITCHES = slice(8, 40)


def features(strip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute features of a line: directions of edges, evenness of heights, pitch and stroke width.

    Parameters
    ----------
    strip : uint8 (H, W)
        Cut with `GEOMETRY`.

    Returns
    -------
    float32 (F,)
    """
    ink = np.clip(to_ink(strip, Normalisation()), 0, 1)
    across, down = cv2.Sobel(ink, cv2.CV_32F, 1, 0), cv2.Sobel(ink, cv2.CV_32F, 0, 1)
    angle = np.arctan2(down, across) % np.pi
    directions, _ = np.histogram(angle, _BINS, (0, np.pi), weights=np.hypot(across, down))
    directions = directions / max(float(directions.sum()), 1e-6)

    rows = []
    for start in range(0, max(1, ink.shape[1] - _WINDOW // 2), _WINDOW):
        profile = ink[:, start : start + _WINDOW].mean(axis=1)
        steps = np.diff(profile) / max(float(profile.max()), 1e-3)
        rows.append((steps.max(), -steps.min(), float(np.abs(steps).sum())))
    sharpness = np.mean(rows, axis=0)

    columns = ink.sum(axis=0) - ink.sum(axis=0).mean()
    correlation = np.correlate(columns, columns, "full")[len(columns) - 1 :] / max(float(columns @ columns), 1e-6)
    pitch = correlation[_PITCHES].max() if len(columns) > _PITCHES.stop else 0.0

    mask = (ink > 0.5).astype(np.uint8)
    _, _, boxes, _ = components(mask)
    _, tops, widths, heights, areas = boxes[1:][boxes[1:, cv2.CC_STAT_AREA] >= 6].T.astype(np.float32).reshape(5, -1)
    if len(areas):
        bottoms = tops + heights
        shapes = [
            np.average(np.abs(bottoms - np.median(bottoms)) < 2, weights=areas),
            np.average(np.abs(tops - np.median(tops)) < 2, weights=areas),
            np.std(heights) / np.mean(heights),
            np.log(np.average(widths, weights=areas)),
            np.log(np.average(heights, weights=areas)),
            np.log(len(areas) / ink.shape[1]),
            np.average(areas / (widths * heights), weights=areas),
        ]
    else:
        shapes = [0.0] * 7
    reach = cv2.distanceTransform(mask, cv2.DIST_L2, 3)[mask > 0]
    strokes = [float(reach.mean()), float(reach.std() / reach.mean())] if len(reach) else [0.0, 0.0]
    grey = float(((ink > 0.2) & (ink < 0.8)).sum() / max((ink > 0.2).sum(), 1))
    return np.array([*directions, *sharpness, pitch, *shapes, *strokes, grey], np.float32)


@dataclass(frozen=True)
class KindModel:
    """A logistic regression on the features of a line and their squares.

    Attributes
    ----------
    mean, scale : float64 (F,)
        For standardising the features.
    weights : float64 (2 F,)
        Of the features, then of their squares.
    bias : float
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    def expand(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Standardise features float32 (N, F) and append their squares: float64 (N, 2 F)."""
        standardised = np.clip((values - self.mean) / self.scale, -_MAX_DEVIATION, _MAX_DEVIATION)
        return np.concatenate([standardised, standardised**2], axis=1)

    def printed(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability that each line is printed, float64 (N,), from features float32 (N, F)."""
        return np.asarray(1 / (1 + np.exp(-(self.expand(values) @ self.weights + self.bias))))


@cache
def load() -> KindModel:
    """Load the packaged model; raises ModelError if it cannot be read."""
    try:
        content = json.loads(PATH.read_text(encoding="utf-8"))
        mean, scale, weights = (np.array(content[key], np.float64) for key in ("mean", "scale", "weights"))
        return KindModel(mean, scale, weights, float(content["bias"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{PATH} cannot be read: {error!r}") from error


def line_features(pixels: NDArray[np.uint8], lines: Sequence[Line]) -> NDArray[np.float32]:
    """Compute the features of each line of a page.

    Parameters
    ----------
    pixels : uint8 (H, W)
    lines : sequence of Line
        Lines whose polygons follow the baseline above it and return below it.

    Returns
    -------
    float32 (N, F)
    """
    pixels = dark_on_light(pixels)
    values = []
    for line in lines:
        baseline, polygon = np.array(line.baseline, np.float32), np.array(line.polygon, np.float32)
        edges = polygon[: len(baseline)], polygon[len(baseline) :][::-1]
        above, below = (float(np.linalg.norm(edge - baseline, axis=1).mean()) for edge in edges)
        values.append(features(cut(pixels, frame(baseline, above, below, GEOMETRY))))
    return np.stack(values)


def kind_of_page(pixels: NDArray[np.uint8], lines: Sequence[Line]) -> str:
    """Classify a page.

    Parameters
    ----------
    pixels : uint8 (H, W)
    lines : sequence of Line

    Returns
    -------
    str
        One of `KINDS`.
    """
    if not lines:
        return "blank"
    printed = load().printed(line_features(pixels, lines)) > 0.5
    share = float(np.average(printed, weights=[math.dist(line.baseline[0], line.baseline[-1]) for line in lines]))
    return "handwritten" if share < MIXED else "printed" if share > 1 - MIXED else "mixed"


def kind_of_file(kinds: Iterable[str]) -> str:
    """Return the kind of a file from those of its pages, of which blank ones are ignored."""
    distinct = set(kinds) - {"blank"}
    return "blank" if not distinct else distinct.pop() if len(distinct) == 1 else "mixed"
