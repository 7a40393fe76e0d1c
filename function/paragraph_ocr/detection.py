"""A grey page in; its text lines, each with baseline, heights, polygon and confidence, in reading order out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import Runnable
from paragraph_ocr.rectification import Normalisation, Points, resample, smooth, to_ink

# The network's distances are in tens of input pixels, so that they are about as large as its logits.
DISTANCE_UNIT = 10.0


@dataclass(frozen=True)
class TextLine:
    """A line found: baseline float32 (K, 2) left to right, heights, all in pixels of the page; confidence 0 to 1."""

    baseline: Points
    ascender: float
    descender: float
    confidence: float

    @property
    def polygon(self) -> Points:
        """Float32 (2 K, 2): the upper edge left to right, then the lower one right to left."""
        tangents = np.gradient(self.baseline, axis=0)
        tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-6)
        downs = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
        upper = self.baseline - downs * self.ascender
        lower = self.baseline + downs * self.descender
        return np.concatenate([upper, lower[::-1]]).astype(np.float32)


def letterbox(page: NDArray[np.uint8], size: int, normalisation: Normalisation) -> tuple[NDArray[np.float32], float]:
    """The detector's input: the page's ink, shrunk or enlarged to fit the upper left of a square.

    Parameters
    ----------
    page : uint8 (H, W)
    size : int
        Side of the square, pixels.
    normalisation : Normalisation

    Returns
    -------
    float32 (1, 1, size, size) and the scale from page pixels to input pixels
    """
    scale = size / max(page.shape)
    width, height = (max(1, round(side * scale)) for side in (page.shape[1], page.shape[0]))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.zeros((1, 1, size, size), np.float32)
    small = np.asarray(cv2.resize(page, (width, height), interpolation=method), np.uint8)
    square[0, 0, :height, :width] = to_ink(small, normalisation)
    return square, scale


def find_lines(maps: NDArray[np.float32], stride: float, threshold: float, inset: float) -> list[TextLine]:
    """Text lines of the detector's maps, in input pixels, unordered.

    Parameters
    ----------
    maps : float32 (4, h, w)
        Core logit, downward distance to the baseline, ascender and descender height in tens of input pixels.
    stride : float
        Input pixels a map pixel stands for.
    threshold : float
        Probability from which a pixel belongs to a core.
    inset : float
        Ascender heights by which a core ends before its line does, but for short lines.
    """
    probability = 1.0 / (1.0 + np.exp(-maps[0]))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        (probability > threshold).astype(np.uint8), connectivity=4
    )
    distances = np.maximum(maps[1:], [[[-np.inf]], [[0.1]], [[0.05]]]) * (DISTANCE_UNIT / stride)
    lines = []
    for label in range(1, count):
        left, top, width, height, area = boxes[label]
        if area < 6:
            continue
        part = np.s_[top : top + height, left : left + width]
        rows, columns = np.nonzero(labels[part] == label)
        points = np.stack([columns + left, rows + top], axis=1).astype(np.float32)
        inside = (rows + top, columns + left)
        ascender, descender = (float(np.median(distances[channel][inside])) for channel in (1, 2))
        baseline = _baseline(points, distances[0][inside], ascender, inset)
        if baseline is None:
            continue
        confidence = float(probability[inside].mean())
        lines.append(
            TextLine(((baseline + 0.5) * stride).astype(np.float32), ascender * stride, descender * stride, confidence)
        )
    return lines


def _baseline(points: Points, distance: NDArray[np.float32], ascender: float, inset: float) -> Points | None:
    """A core's baseline from what its pixels say, or None where the line is too short to be writing."""
    vx, vy, _, _ = (float(value) for value in np.ravel(cv2.fitLine(points, cv2.DIST_L2, 0, 0.01, 0.01)))
    if np.ptp(points[:, 0]) < 2 * ascender:
        vx, vy = 1.0, 0.0
    if vx < 0:
        vx, vy = -vx, -vy
    direction, normal = np.array([vx, vy], np.float32), np.array([-vy, vx], np.float32)
    along, across = points @ direction, points @ normal + distance
    start = along.min() - 0.5
    length = float(np.ptp(along)) + 1.0
    # A core loses a quarter of a short line's length at either end, and so half of it.
    beyond = min(inset * ascender, length / 2 if inset else 0.0)
    if length + 2 * beyond < 0.5 * ascender:
        return None
    cells = max(2, round(length / max(2.0, ascender / 2)))
    which = np.minimum(((along - start) / length * cells).astype(int), cells - 1)
    counts = np.bincount(which, minlength=cells)
    filled = counts > 0
    centre = start + (np.arange(cells) + 0.5) * length / cells
    level = np.bincount(which, across, cells)[filled] / counts[filled]
    ends = np.array([start - beyond, start + length + beyond])
    at = np.concatenate([ends[:1], centre[filled], ends[1:]])
    level = np.interp(at, centre[filled], level)
    line = resample(np.stack([at, level], axis=1).astype(np.float32), max(2.0, ascender / 2))
    line = smooth(line, 8)
    return (line[:, :1] * direction + line[:, 1:] * normal).astype(np.float32)


@dataclass(frozen=True)
class Survey:
    """How much of a page's detail the detector looks at, and what it takes for a line.

    Attributes
    ----------
    confidence : float
        Lines of less are specks.
    lines, ascender : float
        A page with as many lines, whose ascenders are shorter than this in input pixels, is looked at again, enlarged.
    enlargement : float
        How much larger the page is then, at most twice; it is seen through windows of the input's size.
    """

    confidence: float
    lines: int
    ascender: float
    enlargement: float


class Detector:
    """The line detector: a loaded model and what its card says about its input and output."""

    def __init__(self, model: Runnable) -> None:
        self.model = model
        preprocessing = model.card.preprocessing
        self.normalisation = Normalisation(**preprocessing["normalisation"])
        self.survey = Survey(**preprocessing["survey"])
        self.threshold = float(preprocessing["threshold"])
        self.inset = float(preprocessing["inset"])

    def find(self, page: NDArray[np.uint8]) -> tuple[list[TextLine], bool]:
        """The text lines of a page, in reading order, and whether it lies on its side, so that they mean nothing.

        Parameters
        ----------
        page : uint8 (H, W)
        """
        size = self.model.input_shape[-1]
        found, sideways = self._look(page, size)
        survey = self.survey
        heights = [line.ascender * size / max(page.shape) for line in found]
        if not sideways and len(found) >= survey.lines and float(np.median(heights)) < survey.ascender:
            found, _ = self._look(page, round(survey.enlargement * size))
        return reading_order(found), sideways

    def _look(self, page: NDArray[np.uint8], side: int) -> tuple[list[TextLine], bool]:
        """What `find` gives for a page shown with its longer side in so many pixels, through one window or several."""
        size = self.model.input_shape[-1]
        stride = size // self.model.card.output_shapes[0][-1]
        square, scale = letterbox(page, side, self.normalisation)
        tall, wide = (max(size, 2 * round(length * scale / 2)) for length in page.shape)
        maps = np.empty((self.model.card.output_shapes[0][1], tall // stride, wide // stride), np.float32)
        for top, *rows in _windows(tall, size, stride):
            for left, *columns in _windows(wide, size, stride):
                seen, axes = self.model.run(square[:, :, top : top + size, left : left + size])
                (low, high), (first, last) = rows, columns
                maps[:, low:high, first:last] = seen[
                    0, :, low - top // stride : high - top // stride, first - left // stride : last - left // stride
                ]
        lines = [
            TextLine(line.baseline / scale, line.ascender / scale, line.descender / scale, line.confidence)
            for line in find_lines(maps, stride, self.threshold, self.inset)
            if line.confidence >= self.survey.confidence
        ]
        return lines, bool(axes[0, 1] > axes[0, 0])


def _windows(length: int, size: int, stride: int) -> list[tuple[int, int, int]]:
    """One window of `size` pixels or two that overlap, and from where to where each one's part of the maps is taken."""
    if length == size:
        return [(0, 0, size // stride)]
    second = (length - size) // stride * stride
    middle = (second + size) // 2 // stride
    return [(0, 0, middle), (second, middle, (second + size) // stride)]


def reading_order(lines: list[TextLine]) -> list[TextLine]:
    """Lines top to bottom, columns left to right, by recursive X-Y cuts (Nagy and Seth 1984).

    Lines are cut into columns where a white band parts two groups that stand beside each other, else at the widest
    white band across; what neither cuts is sorted by height.
    """
    if len(lines) < 2:
        return lines
    left = np.array([line.baseline[:, 0].min() for line in lines])
    right = np.array([line.baseline[:, 0].max() for line in lines])
    bottom = np.array([line.baseline[:, 1].mean() for line in lines])
    top = bottom - np.array([0.6 * line.ascender for line in lines])
    for low, high, needed in ((left, right, 1.5 * float(np.median(bottom - top))), (top, bottom, 0.0)):
        order = np.argsort(low, kind="stable")
        gaps = low[order[1:]] - np.maximum.accumulate(high[order])[:-1]
        at = int(gaps.argmax())
        first, second = order[: at + 1], order[at + 1 :]
        beside = min(bottom[first].max(), bottom[second].max()) > max(top[first].min(), top[second].min())
        if gaps[at] > needed and (low is top or beside):
            return [line for half in (first, second) for line in reading_order([lines[index] for index in half])]
    return [lines[index] for index in np.argsort(bottom, kind="stable")]
