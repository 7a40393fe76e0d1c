"""A grey page in; its text lines, each with baseline, heights, polygon and confidence, in reading order out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import ModelError, Runnable
from paragraph_ocr.rectification import Normalisation, Points, resample, smooth, to_ink

# The network's distances are in tens of input pixels, so that they are about as large as its logits.
DISTANCE_UNIT = 10.0
# Pixels of a page's longer side that are enough to find lines; OpenCV turns nothing of more than 32,766.
LONGEST = 4096
# By so much smaller is a page shown whose lines are too tall, and one without any.
SMALLER, MUCH_SMALLER = 2**0.5, 4
# So many amounts make a column, if from each to what it is for it is at least this share of the row, and if they are
# at least this share of the lines in it.
MANY, FAR, MOST = 4, 0.2, 0.5


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

    def before(self, scale: float) -> TextLine:
        """The line on the page that was shrunk or enlarged by `scale`."""
        return TextLine(self.baseline / scale, self.ascender / scale, self.descender / scale, self.confidence)


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
        baseline = _baseline(points, below * unit, ascender, inset)
        if baseline is None:
            continue
        confidence = float((1.0 / (1.0 + np.exp(-logits))).mean())
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
        Lines of less are specks: of less by the detector alone they are not read, of less when that is multiplied by
        how sure the reader is they are not kept.
    sure : float
        From here on the detector is sure of a line, and it is kept however it is read.
    lines, ascender : float
        A page with as many lines, whose ascenders are shorter than this in input pixels, is looked at again, enlarged.
    enlargement : float
        How much larger the page is then, at most twice; it is seen through windows of the input's size.
    skew : float
        Degrees by which lines may slope before they are looked for again on the page turned straight.
    tall : float
        Input pixels, ascender to descender. A page of which three quarters of the lines are taller, or which has none,
        is looked at again, smaller: such is a word that was cut out, in which letters would fill the input.
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
        self.survey = Survey(**preprocessing["survey"])
        self.threshold = float(preprocessing["threshold"])
        self.inset = float(preprocessing["inset"])

    def find(self, page: NDArray[np.uint8], upright: bool = False) -> tuple[list[TextLine], bool]:
        """What may be lines of a page, in reading order, and whether it lies on its side, so that it has none.

        Parameters
        ----------
        page : uint8 (H, W)
        upright : bool
            Take it for upright, whatever it looks like.
        """
        size = self.model.input_shape[-1]
        survey = self.survey
        page, shrunk = shrink(page, LONGEST)
        # A sixteenth of the work suspects most pages that lie on their side, and a quarter makes sure.
        if not upright and all(self._look(page, size // part, upright)[1] for part in (4, 2)):
            return [], True
        found, sideways = self._look(page, size, upright)
        if sideways:
            return [], True
        side = shown = size
        near, scale = page, 1.0
        while shown > max(self.model.card.grains) and _height(found) * shown / max(page.shape) > survey.tall:
            if shown == size:
                near, scale = shrink(page, size)
            shown = round(shown / (SMALLER if found else MUCH_SMALLER))
            if smaller := self._look(near, shown)[0]:
                found, side = [line.before(scale) for line in smaller], shown
        slope = _slope(found)
        back = np.eye(2, 3, dtype=np.float32)
        if abs(slope) > survey.skew:
            page, back = straighten(page, slope)
            found, _ = self._look(page, side)
        heights = [line.ascender * size / max(page.shape) for line in found]
        if len(found) >= survey.lines and float(np.median(heights)) < survey.ascender:
            found, _ = self._look(page, round(survey.enlargement * size))
        return [
            replace(line, baseline=line.baseline @ back[:, :2].T + back[:, 2]).before(shrunk)
            for line in reading_order(found)
        ], False

    def believes(self, line: TextLine, read: float) -> bool:
        """Whether what was found is a line, when it was read with such a confidence, 0 to 1."""
        return line.confidence >= self.survey.sure or line.confidence * read >= self.survey.confidence

    def glance(self, page: NDArray[np.uint8]) -> list[TextLine]:
        """The larger lines of a page that does not lie on its side, a quarter of the work of `find`, in no order."""
        return self._look(page, self.model.input_shape[-1] // 2)[0]

    def _look(self, page: NDArray[np.uint8], side: int, upright: bool = True) -> tuple[list[TextLine], bool]:
        """What `find` gives for a page shown with its longer side in so many pixels, through one window or several."""
        card = self.model.card
        size = card.input_shape[-1]
        stride = size // card.output_shapes[0][-1]
        ink, scale = letterbox(page, side, (card.grains[2], card.grains[3]), self.normalisation)
        tall, wide = ink.shape[2:]
        maps = np.empty((card.output_shapes[0][1], tall // stride, wide // stride), np.float32)
        for top, *rows in _windows(tall, size, stride):
            for left, *columns in _windows(wide, size, stride):
                seen, axes = self.model.run(ink[:, :, top : top + size, left : left + size])
                (low, high), (first, last) = rows, columns
                maps[:, low:high, first:last] = seen[
                    0, :, low - top // stride : high - top // stride, first - left // stride : last - left // stride
                ]
        if axes[0, 1] > axes[0, 0] and not upright:
            return [], True
        lines = [
            line.before(scale)
            for line in find_lines(maps, stride, self.threshold, self.inset)
            if line.confidence >= self.survey.confidence
        ]
        return lines, False


def _height(lines: list[TextLine]) -> float:
    """A quarter of the lines are as tall, ascender to descender, or less tall; without lines it is infinite."""
    heights = sorted(line.ascender + line.descender for line in lines)
    return heights[(len(heights) - 1) // 4] if heights else float("inf")


def _slope(lines: list[TextLine]) -> float:
    """Degrees by which the lines fall to the right: the median, in which a longer line counts for more."""
    spans = np.array([line.baseline[-1] - line.baseline[0] for line in lines]).reshape(-1, 2)
    lengths = np.hypot(*spans.T)
    angles = np.degrees(np.arctan2(spans[:, 1], spans[:, 0]))
    order = np.argsort(angles)
    sums = np.cumsum(lengths[order])
    return float(angles[order][np.searchsorted(sums, sums[-1] / 2)]) if lines else 0.0


def shrink(page: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    """A page with its longer side in at most so many pixels, and by what scale it was shrunk."""
    scale = longest / max(page.shape)
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


def _windows(length: int, size: int, stride: int) -> list[tuple[int, int, int]]:
    """One window of `size` pixels or two that overlap, and from where to where each one's part of the maps is taken."""
    if length <= size:
        return [(0, 0, length // stride)]
    second = (length - size) // stride * stride
    middle = (second + size) // 2 // stride
    return [(0, 0, middle), (second, middle, (second + size) // stride)]


def reading_order(lines: list[TextLine]) -> list[TextLine]:
    """Lines top to bottom, columns left to right (Breuel 2003), whether or not white bands part the columns.

    Of lines one above the other the upper comes first. Of lines beside each other the left one does, with all that
    stands above and below it, up to a line that spans both; but not before what is above all of that. A column of
    amounts is read row by row with what they are for.
    """
    if len(lines) < 2:
        return lines
    ascender = float(np.median([line.ascender for line in lines]))
    rows = _rows(lines, ascender)
    left = np.array([lines[row[0]].baseline[:, 0].min() for row in rows])
    right = np.array([lines[row[-1]].baseline[:, 0].max() for row in rows])
    # What is written in one column runs over into the next.
    overrun = np.minimum(ascender, (right - left) / 4)
    left, right = left + overrun, right - overrun
    height = np.array([lines[row[0]].baseline[:, 1].mean() for row in rows])
    overlaps = (left[:, None] < right) & (left < right[:, None])
    beside = right[:, None] <= left
    above = overlaps & (height[:, None] < height)
    # Products of matrices ask for all pairs whether any third line stands to both of them in a certain way.
    spanned = above.astype(np.float32) @ above.astype(np.float32) > 0
    reaches = overlaps.astype(np.float32) @ (beside & (height[:, None] < height + ascender / 2)).astype(np.float32) > 0
    before = above | (beside & reaches & ~spanned & ~spanned.T)
    waits = before.sum(axis=0)
    ordered: list[TextLine] = []
    for _ in rows:
        # Should lines wait for each other in a circle, the highest goes first.
        candidates = np.flatnonzero(waits == 0) if (waits == 0).any() else np.flatnonzero(waits > 0)
        first = int(candidates[np.argmin(height[candidates])])
        ordered.extend(lines[index] for index in rows[first])
        waits -= before[first]
        waits[first] = -len(rows)
    return ordered


def _rows(lines: list[TextLine], ascender: float) -> list[list[int]]:
    """The lines, each alone, but an amount together with what stands far to the left of it.

    Amounts stand under each other, flush on the right and ragged on the left, which columns of prose or of a list are
    not.
    """
    starts, ends = (np.array([line.baseline[end] for line in lines], np.float64) for end in (0, -1))
    # How far each line ends, rightwards and upwards, from where each other begins.
    across, up = (starts[:, axis] - ends[:, axis, None] for axis in (0, 1))
    level = (across > 0) & (np.abs(up) < ascender / 2)
    alone = (level.sum(axis=0) == 1) & (level.sum(axis=1) == 0)
    pairs = []
    for amount in np.flatnonzero(alone):
        item = int(np.flatnonzero(level[:, amount])[0])
        far = across[item, amount] >= FAR * (ends[amount, 0] - starts[item, 0])
        if far and level[item].sum() == 1 and not level[:, item].any():
            pairs.append((item, int(amount)))
    amounts = [amount for _, amount in pairs]
    if len(pairs) < MANY or not _ragged(starts[amounts]) > 2 * _ragged(ends[amounts]):
        pairs = []
    else:
        inside = (ends[:, 0] > starts[amounts, 0].min()) & (starts[:, 0] < ends[amounts, 0].max())
        inside &= (starts[:, 1] >= starts[amounts, 1].min()) & (starts[:, 1] <= starts[amounts, 1].max())
        if len(pairs) < MOST * inside.sum():
            pairs = []
    second = {amount for _, amount in pairs}
    together = dict(pairs)
    return [
        [index, together[index]] if index in together else [index] for index in range(len(lines)) if index not in second
    ]


def _ragged(points: NDArray[np.float64]) -> float:
    """How far points (N, 2) lie from a line down the page, pixels, root mean square."""
    fit = np.polynomial.Polynomial.fit(points[:, 1], points[:, 0], 1)
    return float(np.sqrt(np.mean((fit(points[:, 1]) - points[:, 0]) ** 2)))
