"""Find the text lines of an upright grey page, each with baseline, heights, polygon and confidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import ModelError, Runnable
from paragraph_ocr.pipeline.rectification import Normalisation, Points, resample, smooth, to_ink
from paragraph_ocr.pipeline.windows import input_side, windows

# The network's distances are in tens of input pixels, so that they are about as large as its logits.
DISTANCE_UNIT = 10.0
# Pixels of a page's longer side that are enough to find lines, and of an elongated one's shorter side.
LONGEST, SHORTEST = 4096, 1024
# OpenCV turns nothing of more than 32,766 pixels.
LONGEST_TURNED = 32_000
# A page that would have more pixels than this once it is turned straight is taken as it is.
LARGEST_TURNED = 2 * LONGEST**2
# By so much smaller is a page shown whose lines are too tall, and one without any.
SMALLER, MUCH_SMALLER = 2**0.5, 4


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

    def rescaled(self, scale: float) -> TextLine:
        """The line on the page enlarged by `scale`."""
        return TextLine(self.baseline * scale, self.ascender * scale, self.descender * scale, self.confidence)


class Detection(NamedTuple):
    """The lines of a page, in no order, and whether the detector predicts that the page lies on its side."""

    lines: list[TextLine]
    sideways: bool


def letterbox(
    page: NDArray[np.uint8], side: int, grains: tuple[int, int], normalisation: Normalisation
) -> tuple[NDArray[np.float32], float]:
    """The detector's input: the page's ink, shrunk or enlarged, in the upper left of as little as the detector takes.

    Parameters
    ----------
    page : uint8 (H, W)
    side : int
        The page's longer side in the input, pixels.
    grains : tuple of int
        What height and width are multiples of.
    normalisation : Normalisation

    Returns
    -------
    float32 (1, 1, H', W') and the scale from page pixels to input pixels
    """
    scale = side / max(page.shape)
    height, width = (max(1, round(length * scale)) for length in page.shape)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    padded = np.zeros((1, 1, -(-height // grains[0]) * grains[0], -(-width // grains[1]) * grains[1]), np.float32)
    small = np.asarray(cv2.resize(page, (width, height), interpolation=method), np.uint8)
    padded[0, 0, :height, :width] = to_ink(small, normalisation)
    return padded, scale


def find_lines(
    maps: NDArray[np.float32], stride: float, threshold: float, inset: float, short_inset: float = 0.25
) -> list[TextLine]:
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
    short_inset : float
        Share of a line's length by which its core ends at most before it at either end, less than a half.
    """
    cores = (maps[0] > np.log(threshold / (1.0 - threshold))).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cores, connectivity=4)
    unit = DISTANCE_UNIT / stride
    lines = []
    for label in range(1, count):
        left, top, width, height, area = boxes[label]
        if area < 6:
            continue
        part = np.s_[top : top + height, left : left + width]
        rows, columns = np.nonzero(labels[part] == label)
        points = np.stack([columns + left, rows + top], axis=1).astype(np.float32)
        logits, below, above, under = maps[:, rows + top, columns + left]
        ascender, descender = max(0.1, float(np.median(above))) * unit, max(0.05, float(np.median(under))) * unit
        baseline = _baseline(points, below * unit, ascender, inset, short_inset)
        if baseline is None:
            continue
        confidence = float((1.0 / (1.0 + np.exp(-logits))).mean())
        lines.append(
            TextLine(((baseline + 0.5) * stride).astype(np.float32), ascender * stride, descender * stride, confidence)
        )
    return lines


def _baseline(
    points: Points, distance: NDArray[np.float32], ascender: float, inset: float, short_inset: float
) -> Points | None:
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
    # A core is shorter than its line by a share of the line's length, where that is less.
    beyond = min(inset * ascender, length * short_inset / (1.0 - 2.0 * short_inset) if inset else 0.0)
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
class SearchSettings:
    """The scales at which a page is searched, and the confidence from which lines are accepted.

    Attributes
    ----------
    confidence : float
        Lines of less are specks: of less by the detector alone they are not read, of less when that is multiplied by
        the confidence of the reading they are not kept.
    sure : float
        From this confidence of the detector on a line is kept however it is read.
    lines, ascender : float
        A page with as many lines, whose ascenders are shorter than this in input pixels, is searched again, enlarged.
    enlargement : float
        How much larger the page is then.
    skew : float
        Degrees by which lines may slope before they are detected again on the page turned straight.
    tall : float
        Input pixels, ascender to descender. A page of which three quarters of the lines are taller, or which has none,
        is searched again, smaller: such is a word that was cut out, in which letters would fill the input.
    """

    confidence: float
    sure: float
    lines: int
    ascender: float
    enlargement: float
    skew: float
    tall: float


class Detector:
    """The line detector: a loaded model and what its card says about its input and output."""

    def __init__(self, model: Runnable) -> None:
        self.model = model
        preprocessing = model.card.preprocessing
        self.normalisation = Normalisation(**preprocessing["normalisation"])
        if "tall" not in preprocessing["survey"]:
            raise ModelError("The detector's card does not say how tall a line may be; export its checkpoint anew")
        self.settings = SearchSettings(**preprocessing["survey"])
        self.threshold = float(preprocessing["threshold"])
        self.inset = float(preprocessing["inset"])
        self.short_inset = float(preprocessing.get("short_inset", 0.25))

    @property
    def size(self) -> int:
        """Side of the input, pixels."""
        return self.model.input_shape[-1]

    def find(self, page: NDArray[np.uint8]) -> Detection:
        """Detect the lines of an upright page at the scale that suits its letters.

        Parameters
        ----------
        page : uint8 (H, W)
        """
        settings = self.settings
        page, shrunk = shrink(page)
        side = usual = input_side(page, self.size)
        found, sideways = self.detect(page, side)
        smaller_side = side
        near, scale = page, 1.0
        while smaller_side > max(self.model.card.grains) and (
            _lower_quartile_height(found) * smaller_side / max(page.shape) > settings.tall
        ):
            if smaller_side == side:
                near, scale = shrink(page, side)
            smaller_side = round(smaller_side / (SMALLER if found else MUCH_SMALLER))
            if smaller := self.detect(near, smaller_side).lines:
                found, side = [line.rescaled(1 / scale) for line in smaller], smaller_side
        slope = slope_of(found)
        back = np.eye(2, 3, dtype=np.float32)
        if abs(slope) > settings.skew and _turned_area(page.shape, slope) < LARGEST_TURNED:
            page, back = straighten(page, slope)
            found = self.detect(page, side).lines
        heights = [line.ascender * usual / max(page.shape) for line in found]
        if len(found) >= settings.lines and float(np.median(heights)) < settings.ascender:
            found = self.detect(page, round(settings.enlargement * usual)).lines
        return Detection(
            [replace(line, baseline=line.baseline @ back[:, :2].T + back[:, 2]).rescaled(1 / shrunk) for line in found],
            sideways,
        )

    def accepts(self, line: TextLine, read: float) -> bool:
        """Whether what was found is a line, when it was read with such a confidence, 0 to 1."""
        return line.confidence >= self.settings.sure or line.confidence * read >= self.settings.confidence

    def detect(self, page: NDArray[np.uint8], side: int) -> Detection:
        """Detect the lines of a page resized to a longer side of so many pixels, in overlapping windows if needed.

        Parameters
        ----------
        page : uint8 (H, W)
        side : int
        """
        card = self.model.card
        size = self.size
        stride = size // card.output_shapes[0][-1]
        ink, scale = letterbox(page, side, (card.grains[2], card.grains[3]), self.normalisation)
        tall, wide = ink.shape[2:]
        maps = np.empty((card.output_shapes[0][1], tall // stride, wide // stride), np.float32)
        sideways = 0
        for top, *rows in windows(tall, size, stride):
            for left, *columns in windows(wide, size, stride):
                output, axes = self.model.run(ink[:, :, top : top + size, left : left + size])
                (low, high), (first, last) = rows, columns
                maps[:, low:high, first:last] = output[
                    0, :, low - top // stride : high - top // stride, first - left // stride : last - left // stride
                ]
                sideways += 1 if axes[0, 1] > axes[0, 0] else -1
        lines = [
            line.rescaled(1 / scale)
            for line in find_lines(maps, stride, self.threshold, self.inset, self.short_inset)
            if line.confidence >= self.settings.confidence
        ]
        return Detection(lines, sideways > 0)


def _turned_area(shape: tuple[int, ...], degrees: float) -> float:
    """Pixels of a page (H, W) once it is turned, with room for its corners."""
    cos, sin = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    height, width = shape
    return float((width * cos + height * sin) * (width * sin + height * cos))


def _lower_quartile_height(lines: list[TextLine]) -> float:
    """A quarter of the lines are as tall, ascender to descender, or less tall; without lines it is infinite."""
    heights = sorted(line.ascender + line.descender for line in lines)
    return heights[(len(heights) - 1) // 4] if heights else float("inf")


def slope_of(lines: list[TextLine]) -> float:
    """Degrees by which the lines fall to the right: the median, in which a longer line counts for more."""
    spans = np.array([line.baseline[-1] - line.baseline[0] for line in lines]).reshape(-1, 2)
    lengths = np.hypot(*spans.T)
    angles = np.degrees(np.arctan2(spans[:, 1], spans[:, 0]))
    order = np.argsort(angles)
    sums = np.cumsum(lengths[order])
    return float(angles[order][np.searchsorted(sums, sums[-1] / 2)]) if lines else 0.0


def shrink(page: NDArray[np.uint8], longest: int | None = None) -> tuple[NDArray[np.uint8], float]:
    """A page with as many pixels as are enough to find lines, and by what scale it was shrunk.

    Parameters
    ----------
    page : uint8 (H, W)
    longest : int, optional
        The most pixels of its longer side; when left out, `LONGEST`, but `SHORTEST` of the shorter one.
    """
    scale = (longest or LONGEST) / max(page.shape)
    if longest is None:
        scale = min(max(scale, SHORTEST / min(page.shape)), LONGEST_TURNED / max(page.shape))
    if scale >= 1.0:
        return page, 1.0
    height, width = (max(1, round(length * scale)) for length in page.shape)
    return np.asarray(cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA), np.uint8), scale


def straighten(page: NDArray[np.uint8], degrees: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A page turned anticlockwise, with room for its corners.

    Parameters
    ----------
    page : uint8 (H, W)
    degrees : float

    Returns
    -------
    uint8 (H', W') and the float32 (2, 3) matrix that leads from its pixels back to the page's
    """
    height, width = page.shape
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, sin], [-sin, cos]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turn.T
    low = corners.min(axis=0)
    size = np.ceil(corners.max(axis=0) - low).astype(int)
    there = np.column_stack([turn, -low]).astype(np.float32)
    paper = float(np.median(page[::8, ::8]))
    straight = cv2.warpAffine(page, there, (int(size[0]), int(size[1])), borderValue=paper)
    return np.asarray(straight, np.uint8), np.column_stack([turn.T, turn.T @ low]).astype(np.float32)
