"""Find the text lines of an upright grey page, each with baseline, heights, polygon and confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Box
from paragraph_ocr.models import ModelError, Runnable
from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.rectification import Normalisation, Points, percentiles, resample, smooth, to_ink
from paragraph_ocr.pipeline.windows import elongated, input_side, windows

# The network's distances are in tens of input pixels, so that they are about as large as its logits.
DISTANCE_UNIT = 10.0
# Pages are reduced to this many pixels on the longer side before detection, but keep this many on the shorter side.
MAX_LONGER_SIDE, MIN_SHORTER_SIDE = 4096, 1024
# Of a page that lies farther askew, pieces of lines are found, or nothing: few of them certain, and most of them short,
# in ascenders. Its slope is then that at which its ink lies in the clearest rows, of so many pixels, among these
# degrees, if they are so many times as clear as without a slope; of its ink, so many pixels are looked at, and it has
# so many marks at least.
PIECES, SLOPES, SLOPE_GAIN, SLOPE_ROW, SLOPE_PIXELS, SLOPE_MARKS = (0.25, 5.0), 50, 1.1, 3, 20_000, 40
# The limit of OpenCV's warpAffine is 32,766 pixels a side.
MAX_ROTATED_SIDE = 32_000
# Pages that would have more pixels than this after deskewing are not deskewed.
MAX_ROTATED_PIXELS = 2 * MAX_LONGER_SIDE**2
# Factors by which a page is reduced before it is searched again: if its lines are too tall, and if it has none.
REDUCTION, REDUCTION_WITHOUT_LINES = 2**0.5, 4
# Factor by which a page is enlarged before it is searched again, if so many of its marks of the size of letters, and
# this share of them, are outside of its lines and of what is around these; but not more than a texture has. Marks are
# told where the longer side has so many pixels, by being darker than a square around them by so many grey levels, and
# by their width and height.
MAGNIFICATION, MIN_UNCOVERED, MAX_UNCOVERED, UNCOVERED_SHARE = 2.0, 40, 6000, 0.15
MARK_SIDE, MARK_WINDOW, MARK_CONTRAST, MARK_WIDTHS, MARK_HEIGHTS = 1024, 7, 40, (2, 44), (3, 32)
# What is around a line, in its ascenders: above, below, and before and after it.
AROUND = (0.5, 0.6, 1.0)
# The same for marks this tall, which are no specks, and no dots of the letters of a line: so many are enough.
TALL_MARK, MIN_TALL_UNCOVERED = 7, 12
# Ascender of a line whose letters such a mark may be one of, in heights of the mark.
LARGEST_ASCENDER = 4.0
# Lines whose marks have this share of their ascender at most, but are no specks, are fitted to the tallest: their
# ascender and descender then, and the gap between two of them, in its height. There are so many at least, this share
# of the page's lines, and the heights of most are the same but for that share.
LEAST_FITTED, FITTING, FITTED, FITTED_GAP = 5, 0.5, (1.15, 0.35), 2.5
MIN_FITTED, FITTED_SHARE, FITTED_EVEN = 4, 0.4, 0.2
# The lines of that search are taken if they leave less than this share of the marks uncovered.
STILL_UNCOVERED_SHARE = 0.65
# A page of small lines in a part of it is searched again there, enlarged to ascenders of so many input pixels, if that
# is at least and at most by these factors, and the part with this margin, in ascenders, fits the input.
CLOSE_ASCENDER, CLOSER, CLOSE_MARGIN = 17.0, (1.4, 2.5), 4.0
# A page of fewer than `dense_lines` lines is searched again, too, if their median ascender height is less than this
# share of `dense_ascender`: the smallest of its lines, such as those at the foot of a letter, run together or are not
# found at all. Of a whole A4 page, 12-point letters are as small.
SMALL = 0.6
# Lines of handwriting that stand close, so many input pixels apart and so many of their ascenders at most, may have no
# line between two of them: a page of them is searched again, enlarged by so much. Fewer lines than this do not tell.
CROWDED, CROWDED_ENLARGEMENT, CROWDED_LINES = (18.0, 1.3), 1.4, 8
# Print that is smaller than the text, as in the corners of a letterhead, is searched for again in parts of the page:
# around lines that are not certain and whose ascenders are at most so many times as large as those of the text, and
# around rows of so many marks at least that no line has, so far apart and so tall at most, in pixels of their scale.
SMALL_PRINT, ROW_MARKS, ROW_GAP, ROW_HEIGHT = 0.95, 6, 12, 6
# The margins of such a part, in ascenders, across and down; by how much it is enlarged, and at least; the greatest
# number of such lines and rows, and of parts, and the share of the page that these have at most; and the least length
# of what is found, in that of a line that it takes the place of.
PRINT_MARGIN, PRINT_ENLARGEMENT, REPLACED = (10.0, 2.0), (2.0, 1.3), 0.9
PRINT_PLACES, PRINT_PARTS, PRINT_SHARE = 40, 6, 0.25
# Lines that are not certain, so many and not fewer than the others, are noise where they are shorter than so many of
# their ascenders and have less than this share of the contrast of the certain ones, at least this many.
NOISE_LINES, NOISE_LENGTH, NOISE_CONTRAST, MIN_SURE = 60, 20.0, 0.5, 3
# What is wider and taller than this, in twos of input pixels, and within this share of the contrast as dark as the
# darkest of the page, is no letter; it does not count in how dark the writing is if it has this share of the page, and
# if the writing is lighter by this share of the contrast.
LARGE, LARGE_DARK, LARGE_SHARE, FAINTER = 11, 1 / 3, 0.005, 0.1


@dataclass(frozen=True)
class TextLine:
    """A text line: baseline float32 (K, 2) left to right, ascender and descender height, in pixels of the page.

    The confidence is between 0 and 1. `boxed` says whether the line stands in a row of boxes for a letter each, or
    on a rule as the value of a field.
    """

    baseline: Points
    ascender: float
    descender: float
    confidence: float
    boxed: bool = False

    @property
    def polygon(self) -> Points:
        """Float32 (2 K, 2): the upper edge left to right, then the lower one right to left."""
        line = np.ascontiguousarray(self.baseline.T, np.float32)
        tangents = np.empty_like(line)
        tangents[:, 1:-1] = (line[:, 2:] - line[:, :-2]) / 2
        tangents[:, 0], tangents[:, -1] = line[:, 1] - line[:, 0], line[:, -1] - line[:, -2]
        across, down = tangents / np.maximum(np.sqrt(tangents[0] ** 2 + tangents[1] ** 2), 1e-6)
        downs = np.stack([-down, across])
        return np.concatenate([line - downs * self.ascender, (line + downs * self.descender)[:, ::-1]], axis=1).T

    def rescaled(self, scale: float) -> TextLine:
        """The line on the page enlarged by `scale`."""
        return TextLine(self.baseline * scale, self.ascender * scale, self.descender * scale, self.confidence)


class Detection(NamedTuple):
    """The lines of a page, in no order, and whether the detector predicts that the page lies on its side."""

    lines: list[TextLine]
    sideways: bool


class _Marks:
    """The marks of a page, uint8 (H, W), that have the size of letters."""

    def __init__(self, page: NDArray[np.uint8]) -> None:
        small, self.scale = downscale(page, MARK_SIDE)
        window = np.ones((MARK_WINDOW, MARK_WINDOW), np.uint8)
        self.dark = cv2.morphologyEx(small, cv2.MORPH_CLOSE, window) - small > MARK_CONTRAST
        _, _, bounds, centers = components(self.dark)
        width, height = bounds[:, cv2.CC_STAT_WIDTH], bounds[:, cv2.CC_STAT_HEIGHT]
        fits = (width >= MARK_WIDTHS[0]) & (width <= MARK_WIDTHS[1])
        fits &= (height >= MARK_HEIGHTS[0]) & (height <= MARK_HEIGHTS[1])
        self.centers, self.heights = np.rint(centers[fits]).astype(np.intp), height[fits]
        # All that is dark, but for the ground.
        self.bounds = bounds[1:]
        self.shape = small.shape

    def uncovered(self, lines: list[TextLine]) -> NDArray[np.bool_]:
        """Which marks are outside of all lines that have letters of their size, bool (N,)."""
        ascenders = np.zeros(self.shape, np.float32)
        for line in lines:
            cv2.fillPoly(ascenders, [np.rint(line.polygon * self.scale).astype(np.int32)], line.ascender * self.scale)
        around = ascenders[self.centers[:, 1], self.centers[:, 0]]
        return np.asarray((around == 0) | (around > LARGEST_ASCENDER * self.heights))

    def missed(self, lines: list[TextLine], box: Box | None = None) -> tuple[int, int]:
        """Numbers of marks away from all lines, and of the tall ones that are outside of all lines of their size.

        Only those in `box` count, in pixels of the page, if there is one.
        """
        away, tall = self._missed(lines)
        if box:
            x, y = self.centers.T / self.scale
            inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
            away, tall = away & inside, tall & inside
        return int(away.sum()), int(tall.sum())

    def _missed(self, lines: list[TextLine]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The marks that `missed` counts, bool (N,) each."""
        covered = np.zeros(self.shape, np.uint8)
        for line in lines:
            cv2.fillPoly(covered, [np.rint(_with_surroundings(line).polygon * self.scale).astype(np.int32)], 1)
        away = covered[self.centers[:, 1], self.centers[:, 0]] == 0
        return np.asarray(away), self.uncovered(lines) & (self.heights >= TALL_MARK)

    def densest(self, lines: list[TextLine], side: float, kind: int) -> tuple[int, int]:
        """Left and top of the square of a page with the most marks of a kind of `missed`, by halves of its side."""
        x, y = self.centers[self._missed(lines)[kind]].T / self.scale
        lengths = [length / self.scale for length in self.shape[::-1]]
        edges = [np.append(np.arange(0, length, side / 2), np.inf) for length in lengths]
        counts, _, _ = np.histogram2d(x, y, edges)
        squares = counts.copy()
        squares[:-1] += counts[1:]
        squares[:, :-1] += squares[:, 1:]
        most = np.unravel_index(int(squares.argmax()), squares.shape)
        left, top = (
            int(max(min(edge[at], length - side), 0)) for edge, at, length in zip(edges, most, lengths, strict=True)
        )
        return left, top

    def fitted(self, lines: list[TextLine]) -> list[TextLine]:
        """Lines as they are, but instead of those far taller than their marks some as tall as these, if they are many.

        Between the rules of a grid, a lone number seems to be as tall as its cell, and may be one line with the next.
        """
        parts = [self._fitted(line) for line in lines]
        heights = [self.scale * own[0].ascender / FITTED[0] for own in parts if own]
        if len(heights) < max(MIN_FITTED, FITTED_SHARE * len(lines)):
            return lines
        # What is left of faint letters has any height.
        low, middle, high = np.percentile(heights, (10, 50, 90))
        if high - low > max(1.5, FITTED_EVEN * middle):
            return lines
        return [part for line, own in zip(lines, parts, strict=True) for part in own or [line]]

    def _fitted(self, line: TextLine) -> list[TextLine]:
        """What `fitted` puts in the place of a line; nothing if it stays."""
        left, top, right, bottom = (self.scale * edge for edge in _bounds(line.polygon))
        x, y, width, height, _ = self.bounds.T
        inside = (abs(2 * x + width - left - right) <= right - left) & (
            abs(2 * y + height - top - bottom) <= bottom - top
        )
        # Rules and walls of cells reach beyond the line.
        inside &= (width < right - left) & (height < bottom - top)
        own = np.flatnonzero(inside)
        tallest = int(height[own].max(initial=0))
        short = LEAST_FITTED <= tallest <= FITTING * self.scale * line.ascender
        # A word in one stroke is a large mark.
        if not short or (width[own] > MARK_WIDTHS[1]).any():
            return []
        letters = own[height[own] > tallest / 2]
        letters = letters[np.argsort(x[letters])]
        feet = y[letters] + height[letters]
        if np.ptp(feet) > tallest / 2:
            return []
        gaps = x[letters][1:] - (x + width)[letters][:-1]
        parts = []
        for part in np.split(letters, np.flatnonzero(gaps > FITTED_GAP * tallest) + 1):
            level = float(np.median(y[part] + height[part]))
            baseline = np.array([[x[part].min(), level], [(x + width)[part].max(), level]], np.float32) / self.scale
            ascender, descender = (share * tallest / self.scale for share in FITTED)
            parts.append(replace(line, baseline=baseline, ascender=ascender, descender=descender))
        return parts

    def slope(self) -> float:
        """The slope at which the ink lies in rows, degrees, positive if they fall to the right; 0 if it is unclear."""
        if len(self.centers) < SLOPE_MARKS:
            return 0.0
        y, x = np.nonzero(self.dark)
        step = max(1, len(y) // SLOPE_PIXELS)
        y, x = y[::step].astype(np.float32), x[::step].astype(np.float32)

        def clearness(degrees: float) -> float:
            cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            across = (y * np.float32(cos) - x * np.float32(sin)) / np.float32(SLOPE_ROW)
            rows = np.bincount((across - across.min()).astype(np.intp)).astype(np.float64)
            # In relation to the same without rows, since the outline of what is written has a shape, too.
            smooth = np.convolve(rows, np.full(15, 1 / 15), "same")
            return float((rows * rows).sum() / (smooth * smooth).sum())

        found = max(range(-SLOPES, SLOPES + 1), key=clearness)
        if clearness(found) < SLOPE_GAIN * clearness(0):
            return 0.0
        return max((found + part for part in (-0.5, -0.25, 0.0, 0.25, 0.5)), key=clearness)

    def rows(self, lines: list[TextLine]) -> list[tuple[Box, float]]:
        """Bounds of the rows of small marks outside of all lines, and their median heights, in pixels of the page."""
        small = np.flatnonzero(self.uncovered(lines) & (self.heights <= ROW_HEIGHT))
        if len(small) < ROW_MARKS:
            return []
        spots = np.zeros(self.shape, np.uint8)
        spots[self.centers[small, 1], self.centers[small, 0]] = 1
        _, labels, boxes, _ = components(np.asarray(cv2.dilate(spots, np.ones((5, ROW_GAP + 1), np.uint8)), np.uint8))
        own = labels[self.centers[small, 1], self.centers[small, 0]]
        rows = []
        for row in np.flatnonzero(np.bincount(own) >= ROW_MARKS).tolist():
            left, top, width, height, _ = (boxes[row] / self.scale).tolist()
            tall = float(np.median(self.heights[small[own == row]])) / self.scale
            if width > 4 * height:
                rows.append(((left, top, left + width, top + height), tall))
        return rows


def letterbox(
    page: NDArray[np.uint8], side: int, multiples: tuple[int, int], normalisation: Normalisation
) -> tuple[NDArray[np.float32], float]:
    """Make the detector's input: the page's ink, resized, and padded at the right and the bottom.

    Parameters
    ----------
    page : uint8 (H, W)
    side : int
        Longer side of the page in the input, pixels.
    multiples : tuple of int
        Height and width of the input are padded to multiples of these.
    normalisation : Normalisation

    Returns
    -------
    float32 (1, 1, H', W') and the scale from page pixels to input pixels
    """
    scale = side / max(page.shape)
    height, width = (max(1, round(length * scale)) for length in page.shape)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    padded = np.zeros(
        (1, 1, -(-height // multiples[0]) * multiples[0], -(-width // multiples[1]) * multiples[1]), np.float32
    )
    small = np.asarray(cv2.resize(page, (width, height), interpolation=method), np.uint8)
    padded[0, 0, :height, :width] = to_ink(small, normalisation, _writing(small, normalisation))
    return padded, scale


def _writing(small: NDArray[np.uint8], normalisation: Normalisation) -> NDArray[np.uint8]:
    """Pixels of a page that tell how dark its writing is: without what is large and dark, such as the edge of a film.

    Faint writing would be almost paper beside it.
    """
    part = small[::2, ::2]
    darkest, dark, paper = percentiles(part, (100 * LARGE_SHARE, normalisation.dark, normalisation.paper))
    # The paper of a grey picture of a letter is lighter than the writing on it, and remains.
    closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((LARGE, LARGE), np.uint8))
    large = np.asarray(closed < darkest + LARGE_DARK * (paper - darkest))
    if large.mean() < LARGE_SHARE:
        return part
    rest = part[cv2.dilate(large.view(np.uint8), np.ones((5, 5), np.uint8)) == 0]
    if len(rest) < (1 - normalisation.paper / 100) * part.size:
        return part
    (writing,) = percentiles(rest, (normalisation.dark,))
    return rest if writing - dark > FAINTER * (paper - dark) else part


def find_lines(
    maps: NDArray[np.float32], stride: float, threshold: float, inset: float, short_inset: float = 0.25
) -> list[TextLine]:
    """Extract the text lines from the detector's maps, in input pixels, unordered.

    Parameters
    ----------
    maps : float32 (4, h, w)
        Core logit, downward distance to the baseline, ascender and descender height in tens of input pixels.
    stride : float
        Input pixels per map pixel.
    threshold : float
        Minimum probability of a core's pixels.
    inset : float
        Distance from the end of a core to the end of its line, in ascender heights.
    short_inset : float
        Maximum of that distance as a share of the line's length, less than a half.
    """
    cores = (maps[0] > np.log(threshold / (1.0 - threshold))).astype(np.uint8)
    count, labels = cv2.connectedComponents(cores, connectivity=4)
    # The pixels of all cores, those of each next to each other.
    places = np.flatnonzero(cores)
    component = labels.ravel()[places]
    places = places[np.argsort(component, kind="stable")]
    every = np.stack(np.divmod(places, cores.shape[1])[::-1], axis=1).astype(np.float32)
    values = maps.reshape(len(maps), -1)[:, places]
    unit = DISTANCE_UNIT / stride
    lines = []
    for start, end in pairwise(np.cumsum(np.bincount(component, minlength=count)).tolist()):
        if end - start < 6:
            continue
        points, (logits, below, above, under) = every[start:end], values[:, start:end]
        ascender, descender = max(0.1, _median(above)) * unit, max(0.05, _median(under)) * unit
        baseline = _baseline(points, below * unit, ascender, inset, short_inset)
        if baseline is None:
            continue
        confidence = float((1.0 / (1.0 + np.exp(-logits))).mean())
        lines.append(
            TextLine(((baseline + 0.5) * stride).astype(np.float32), ascender * stride, descender * stride, confidence)
        )
    return lines


def _median(values: NDArray[np.float32]) -> float:
    """What `numpy.median` returns, which takes longer for few values."""
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    near = np.partition(values, (middle - 1, middle))
    return float((near[middle - 1] + near[middle]) / 2)


def _baseline(
    points: Points, distance: NDArray[np.float32], ascender: float, inset: float, short_inset: float
) -> Points | None:
    """The baseline from the positions of a core's pixels and their predicted distances; None if it is too short."""
    vx, vy, _, _ = (float(value) for value in np.ravel(cv2.fitLine(points, cv2.DIST_L2, 0, 0.01, 0.01)))
    if points[:, 0].max() - points[:, 0].min() < 2 * ascender:
        vx, vy = 1.0, 0.0
    if vx < 0:
        vx, vy = -vx, -vy
    direction, normal = np.array([vx, vy], np.float32), np.array([-vy, vx], np.float32)
    # No matrix product: its last bits are other ones on each kind of processor.
    x, y = points.T
    along, across = x * direction[0] + y * direction[1], x * normal[0] + y * normal[1] + distance
    least = along.min()
    start = least - 0.5
    length = float(along.max() - least) + 1.0
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
    known = centre[filled]
    line = np.empty((2, len(known) + 2), np.float32)
    line[0, 0], line[0, 1:-1], line[0, -1] = start - beyond, known, start + length + beyond
    at = np.concatenate([[start - beyond], known, [start + length + beyond]])
    line[1] = np.interp(at, known, level)
    line = smooth(resample(line.T, max(2.0, ascender / 2)), 8)
    return (line[:, :1] * direction + line[:, 1:] * normal).astype(np.float32)


@dataclass(frozen=True)
class SearchSettings:
    """The scales at which a page is searched, and the confidences at which lines are accepted.

    Attributes
    ----------
    min_confidence : float
        Minimum confidence of the detector, and of its product with the confidence of the reading.
    certain_confidence : float
        Lines with at least this confidence of the detector are accepted whatever the confidence of their reading.
    dense_lines, dense_ascender : float
        A page with at least this many lines, whose median ascender height is less than this many input pixels, is
        searched again, enlarged; of fewer lines, if they are still smaller.
    enlargement : float
        Factor of that enlargement.
    max_skew : float
        Maximum slope of the lines, degrees; beyond it, the page is deskewed and searched again.
    max_height : float
        Maximum height of lines, ascender to descender, input pixels. A page where more than three quarters of the lines
        are taller, or which has none, is searched again at smaller scales, since the letters of a cropped word can fill
        the input.
    """

    min_confidence: float
    certain_confidence: float
    dense_lines: int
    dense_ascender: float
    enlargement: float
    max_skew: float
    max_height: float


class Detector:
    """The line detector: a loaded model, with the preprocessing and the thresholds of its card.

    Raises
    ------
    ModelError
        The model was exported for an earlier version.
    """

    def __init__(self, model: Runnable) -> None:
        self.model = model
        preprocessing = model.card.preprocessing
        self.normalisation = Normalisation(**preprocessing["normalisation"])
        if "max_height" not in preprocessing.get("search", {}):
            raise ModelError("The detector's card has no preprocessing.search.max_height; export its checkpoint anew")
        self.settings = SearchSettings(**preprocessing["search"])
        self.threshold = float(preprocessing["threshold"])
        self.inset = float(preprocessing["inset"])
        self.short_inset = float(preprocessing.get("short_inset", 0.25))

    @property
    def size(self) -> int:
        """Side of the input, pixels."""
        return self.model.input_shape[-1]

    def find(self, page: NDArray[np.uint8], is_straight: bool = False) -> Detection:
        """Detect the lines of an upright page at the scale that suits its letters.

        Parameters
        ----------
        page : uint8 (H, W)
        is_straight : bool
            Whether the page is not turned if it seems to lie askew.
        """
        settings = self.settings
        page, downscaling = downscale(page)
        side = usual = input_side(page, self.size)
        found, sideways = self.detect(page, side)
        found = self._without_noise(page, found)
        if not is_straight and (askew := self._find_askew(page, found)):
            return Detection([line.rescaled(1 / downscaling) for line in askew.lines], askew.sideways)
        smaller_side = side
        near, scale = page, 1.0
        while smaller_side > max(self.model.card.multiples) and (
            _lower_quartile_height(found) * smaller_side / max(page.shape) > settings.max_height
        ):
            if smaller_side == side:
                near, scale = downscale(page, side)
            smaller_side = round(smaller_side / (REDUCTION if found else REDUCTION_WITHOUT_LINES))
            if smaller := self.detect(near, smaller_side).lines:
                found, side = [line.rescaled(1 / scale) for line in smaller], smaller_side
        larger = min(round(MAGNIFICATION * usual), max(page.shape))
        marks = _Marks(page) if side <= usual < larger else None
        if marks:
            found = marks.fitted(found)
        if marks and (again := self._search_uncovered(page, found, larger, marks)):
            found, side = again, larger
        slope = slope_of(found)
        back: NDArray[np.float32] | None = None
        if abs(slope) > settings.max_skew and _rotated_area(page.shape, slope) < MAX_ROTATED_PIXELS:
            page, back = deskew(page, slope)
            found = self.detect(page, side).lines
        heights = [line.ascender * usual / max(page.shape) for line in found]
        median = float(np.median(heights)) if heights else math.inf
        dense = len(found) >= settings.dense_lines and median < settings.dense_ascender
        # The scale of an elongated page was chosen by its letters.
        small = not elongated(page.shape) and median < SMALL * settings.dense_ascender
        input_scale = side / max(page.shape)
        closer = None if side <= usual and dense else self._look_closer(page, found, usual / max(page.shape))
        if closer:
            found, input_scale = closer
        elif side <= usual and (dense or small or _is_crowded(found, usual / max(page.shape))):
            side = round((settings.enlargement if dense or small else CROWDED_ENLARGEMENT) * usual)
            input_scale = side / max(page.shape)
            found = self.detect(page, side).lines or found
        found = self._without_noise(page, found)
        if marks:
            found = self._with_small_print(page, found, marks if back is None else _Marks(page), input_scale)
        if back is not None:
            found = [replace(line, baseline=_moved(line.baseline, back)) for line in found]
        return Detection([line.rescaled(1 / downscaling) for line in found], sideways)

    def _without_noise(self, page: NDArray[np.uint8], lines: list[TextLine]) -> list[TextLine]:
        """Lines but those of a rough ground: many that are short, unsure, and far fainter than the certain ones."""
        certain = self.settings.certain_confidence
        sure = [line for line in lines if line.confidence >= certain]
        if len(lines) - len(sure) < max(NOISE_LINES, len(sure)) or len(sure) < MIN_SURE:
            return lines
        least = NOISE_CONTRAST * float(np.median([_contrast(page, line) for line in sure]))
        return [
            line
            for line in lines
            if line.confidence >= certain
            or _length(line) > NOISE_LENGTH * line.ascender
            or _contrast(page, line) >= least
        ]

    def _find_askew(self, page: NDArray[np.uint8], lines: list[TextLine]) -> Detection | None:
        """Detect the lines of a page that lies far askew on the page turned straight; None if it does not.

        `lines` were detected on the page as it is.
        """
        certain = sum(line.confidence > self.settings.certain_confidence for line in lines)
        lengths = [_length(line) / line.ascender for line in lines]
        if elongated(page.shape) or (
            lines and (certain > PIECES[0] * len(lines) or float(np.median(lengths)) > PIECES[1])
        ):
            return None
        slope = _Marks(page).slope()
        if abs(slope) <= self.settings.max_skew or _rotated_area(page.shape, slope) > MAX_ROTATED_PIXELS:
            return None
        straight, back = deskew(page, slope)
        found, sideways = self.find(straight, is_straight=True)
        return Detection([replace(line, baseline=_moved(line.baseline, back)) for line in found], sideways)

    def _search_uncovered(
        self, page: NDArray[np.uint8], lines: list[TextLine], side: int, marks: _Marks
    ) -> list[TextLine]:
        """Detect the lines of a page again at a larger scale, if many of its letters are in none of its lines.

        Text may be too small for the usual scale, as in a table on a sheet that was photographed from afar.
        Returns nothing if there is no need, or if most of these letters are uncovered still.
        """
        before = marks.missed(lines)
        shares = len(marks.centers), int((marks.heights >= TALL_MARK).sum())
        many = [
            missed >= max(least, UNCOVERED_SHARE * of_all)
            for missed, least, of_all in zip(before, (MIN_UNCOVERED, MIN_TALL_UNCOVERED), shares, strict=True)
        ]
        if not any(many) or sum(before) > MAX_UNCOVERED:
            return []
        if not any(missed and self._finds_more(page, lines, side, marks, kind) for kind, missed in enumerate(many)):
            return []
        again = marks.fitted(self.detect(page, side).lines)
        # Of a photo, the ground around the sheet may have marks, too.
        better = any(
            missed and now < STILL_UNCOVERED_SHARE * was
            for missed, was, now in zip(many, before, marks.missed(again), strict=True)
        )
        return again if better else []

    def _finds_more(self, page: NDArray[np.uint8], lines: list[TextLine], side: int, marks: _Marks, kind: int) -> bool:
        """Whether a search at a larger scale covers marks that no line has: asked of the window with most of them.

        On old paper, most of these are specks, and a search of the whole page is of no use. `kind` is the place of the
        number in what `_Marks.missed` returns.
        """
        reach = self.size * max(page.shape) / side
        if reach >= max(page.shape):
            return True
        left, top = marks.densest(lines, reach, kind)
        part = page[top : round(top + reach), left : round(left + reach)]
        found = self.detect(part, round(side * max(part.shape) / max(page.shape))).lines
        corner = np.array([left, top], np.float32)
        moved = marks.fitted([replace(line, baseline=line.baseline + corner) for line in found])
        box = (left, top, left + reach, top + reach)
        return marks.missed(moved, box)[kind] < STILL_UNCOVERED_SHARE * marks.missed(lines, box)[kind]

    def _with_small_print(
        self, page: NDArray[np.uint8], lines: list[TextLine], marks: _Marks, scale: float
    ) -> list[TextLine]:
        """Lines of a page with those of its small print, for which parts of it are searched again, enlarged.

        `lines` were detected on the page at a scale from its pixels to input pixels. Those that are certain stay, but
        for the pieces of a line that is found whole.
        """
        largest, least = PRINT_ENLARGEMENT
        if (zoom := min(largest, 1 / scale)) < least:
            return lines
        certain = self.settings.certain_confidence
        tallest = SMALL_PRINT * float(np.median([line.ascender for line in lines])) if lines else math.inf
        weak = [line for line in lines if line.confidence < certain and line.ascender <= tallest]
        marked = marks.rows(lines)
        rows = marked + [(_bounds(line.polygon), line.ascender) for line in weak]
        if not 0 < len(rows) <= PRINT_PLACES:
            return lines
        parts = _merged([_grown(box, ascender, page.shape) for box, ascender in rows])
        area = sum((right - left) * (bottom - top) for left, top, right, bottom in parts)
        if len(parts) > PRINT_PARTS or area > PRINT_SHARE * page.size:
            return lines
        kept = [line for line in lines if not any(line is other for other in weak)]
        added: list[TextLine] = []
        for left, top, right, bottom in parts:
            part = page[int(top) : math.ceil(bottom), int(left) : math.ceil(right)]
            corner = np.array([int(left), int(top)], np.float32)
            again = self.detect(part, round(zoom * scale * max(part.shape))).lines
            for line in again:
                line = replace(line, baseline=line.baseline + corner)
                pieces = [other for other in weak if _overlap(line, other)]
                if line.ascender > tallest or not (pieces or any(_lies_in(line, box) for box, _ in marked)):
                    continue
                near = [other for other in kept if top <= other.baseline[:, 1].mean() <= bottom]
                same = [other for other in near if _overlap(line, other)]
                # One that was found in pieces is found whole.
                if not same or (pieces and all(_spans(line, other) for other in same)):
                    added.append(line)
        # What is found in a shorter piece than before is not found better.
        stay: list[TextLine] = []
        for line in weak:
            instead = [other for other in added if _overlap(line, other)]
            if sum(_length(other) for other in instead) < REPLACED * _length(line):
                added = [other for other in added if not any(other is each for each in instead)]
                stay.append(line)
        return [line for line in kept if not any(_overlap(line, other) for other in added)] + stay + added

    def _look_closer(
        self, page: NDArray[np.uint8], lines: list[TextLine], scale: float
    ) -> tuple[list[TextLine], float] | None:
        """Detect the lines of a page again in the part that has them, if they are small and the part is, too.

        `lines` were detected on the page at a scale from its pixels to input pixels. Returns also the scale of that
        search; None if there is no need, or if no line is found there.
        """
        if not lines:
            return None
        ascender = float(np.median([line.ascender for line in lines]))
        outline = np.concatenate([line.polygon for line in lines])
        margin = CLOSE_MARGIN * ascender
        left, top = np.maximum(outline.min(axis=0) - margin, 0).astype(int).tolist()
        right, bottom = np.ceil(outline.max(axis=0) + margin).astype(int).tolist()
        part = page[top:bottom, left:right]
        side = max(part.shape) * scale
        closer = min(CLOSE_ASCENDER / (ascender * scale), self.size / side, 1 / scale, CLOSER[1])
        if closer < CLOSER[0]:
            return None
        found = self.detect(part, round(closer * side)).lines
        corner = np.array([left, top], np.float32)
        return ([replace(line, baseline=line.baseline + corner) for line in found], closer * scale) if found else None

    def accepts(self, line: TextLine, read: float) -> bool:
        """Whether a detected line is kept, given the mean confidence of its reading, 0 to 1."""
        return (
            line.confidence >= self.settings.certain_confidence
            or line.confidence * read >= self.settings.min_confidence
        )

    def detect(self, page: NDArray[np.uint8], side: int) -> Detection:
        """Detect the lines of a page at one scale, in overlapping windows if the page is larger than the input.

        Parameters
        ----------
        page : uint8 (H, W)
        side : int
            Longer side to which the page is resized, pixels.
        """
        card = self.model.card
        size = self.size
        stride = size // card.output_shapes[0][-1]
        ink, scale = letterbox(page, side, (card.multiples[2], card.multiples[3]), self.normalisation)
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
            if line.confidence >= self.settings.min_confidence
        ]
        return Detection(lines, sideways > 0)


def _length(line: TextLine) -> float:
    return float(line.baseline[-1, 0] - line.baseline[0, 0])


def _contrast(page: NDArray[np.uint8], line: TextLine) -> float:
    """Grey levels between the paper and the ink within a line's bounds."""
    left, top, right, bottom = (max(round(value), 0) for value in _bounds(line.polygon))
    part = page[top : bottom + 1, left : right + 1]
    if not part.size:
        return 0.0
    dark, paper = np.percentile(part, (3, 90))
    return float(paper - dark)


def _with_surroundings(line: TextLine) -> TextLine:
    """A line that reaches as far around it as its accents, the dots and tails of its letters, and a mark beside it."""
    above, below, beside = (share * line.ascender for share in AROUND)
    ends = np.array([[beside, 0.0]], np.float32)
    baseline = np.concatenate([line.baseline[:1] - ends, line.baseline, line.baseline[-1:] + ends])
    return replace(line, baseline=baseline, ascender=line.ascender + above, descender=line.descender + below)


def _bounds(points: Points) -> Box:
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def _lies_in(line: TextLine, box: Box) -> bool:
    """Whether the middle of a line is in a box."""
    x, y = line.baseline.mean(axis=0).tolist()
    return bool(box[0] <= x <= box[2] and box[1] <= y - line.ascender / 2 <= box[3])


def _grown(box: Box, ascender: float, shape: tuple[int, ...]) -> Box:
    """A box with the margins of a part of the page in which small print is searched for."""
    across, down = (margin * ascender for margin in PRINT_MARGIN)
    left, top, right, bottom = box
    return max(left - across, 0), max(top - down, 0), min(right + across, shape[1]), min(bottom + down, shape[0])


def _merged(boxes: list[Box]) -> list[Box]:
    """The bounds of boxes that overlap, in which none overlap."""
    merged: list[Box] = []
    for box in boxes:
        while near := [
            other
            for other in merged
            if box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        ]:
            merged = [other for other in merged if other not in near]
            lefts, tops, rights, bottoms = zip(box, *near, strict=True)
            box = min(lefts), min(tops), max(rights), max(bottoms)
        merged.append(box)
    return merged


def _overlap(line: TextLine, other: TextLine) -> bool:
    """Whether two lines share columns, and the middle of one lies there within the other."""
    left, right = max(line.baseline[0, 0], other.baseline[0, 0]), min(line.baseline[-1, 0], other.baseline[-1, 0])
    if left >= right:
        return False
    middle = (left + right) / 2
    levels = [float(np.interp(middle, *each.baseline.T)) for each in (line, other)]
    middles = [level - each.ascender / 2 for level, each in zip(levels, (line, other), strict=True)]
    return abs(middles[0] - middles[1]) < max(line.ascender, other.ascender) / 2


def _spans(line: TextLine, other: TextLine) -> bool:
    """Whether a line has all columns of another one, and is longer and more certain."""
    margin = line.ascender / 2
    inside = (
        line.baseline[0, 0] - margin <= other.baseline[0, 0] and other.baseline[-1, 0] <= line.baseline[-1, 0] + margin
    )
    return bool(inside and _length(line) > _length(other) + margin and line.confidence > other.confidence)


def _moved(points: Points, matrix: NDArray[np.float32]) -> Points:
    """Points (N, 2) after an affine transformation (2, 3), without a matrix product, as in `_baseline`."""
    x, y = points.T
    return np.stack([x * across + y * down + offset for across, down, offset in matrix], axis=1)


def _rotated_area(shape: tuple[int, ...], degrees: float) -> float:
    """Pixels of the bounding box of a rotated page (H, W)."""
    cos, sin = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    height, width = shape
    return float((width * cos + height * sin) * (width * sin + height * cos))


def _lower_quartile_height(lines: list[TextLine]) -> float:
    """Lower quartile of the lines' heights, ascender to descender; infinite without lines."""
    heights = sorted(line.ascender + line.descender for line in lines)
    return heights[(len(heights) - 1) // 4] if heights else float("inf")


def _is_crowded(lines: list[TextLine], scale: float) -> bool:
    """Whether lines stand so close to each other at a scale, by the distances to the next one below."""
    spans = np.array([(line.baseline[0, 0], line.baseline[-1, 0]) for line in lines], np.float64).reshape(-1, 2)
    levels = np.array([line.baseline[:, 1].mean() for line in lines], np.float64)
    left, right = spans.T
    shared = np.minimum(right, right[:, None]) - np.maximum(left, left[:, None])
    below = levels - levels[:, None]
    next_below = np.where((below > 0) & (shared > 0.3 * (right - left)[:, None]), below, np.inf).min(
        axis=1, initial=np.inf
    )
    pitches = next_below[np.isfinite(next_below)]
    if len(pitches) < CROWDED_LINES:
        return False
    pitch, ascender = float(np.median(pitches)), float(np.median([line.ascender for line in lines]))
    return pitch * scale <= CROWDED[0] and pitch <= CROWDED[1] * ascender


def slope_of(lines: list[TextLine]) -> float:
    """Median slope of the lines, weighted by their lengths, in degrees; positive if they fall to the right."""
    spans = np.array([line.baseline[-1] - line.baseline[0] for line in lines]).reshape(-1, 2)
    lengths = np.hypot(*spans.T)
    angles = np.degrees(np.arctan2(spans[:, 1], spans[:, 0]))
    order = np.argsort(angles)
    sums = np.cumsum(lengths[order])
    return float(angles[order][np.searchsorted(sums, sums[-1] / 2)]) if lines else 0.0


def downscale(page: NDArray[np.uint8], max_side: int | None = None) -> tuple[NDArray[np.uint8], float]:
    """Reduce a page to the resolution that detection needs, and return it with the scale.

    Parameters
    ----------
    page : uint8 (H, W)
    max_side : int, optional
        Maximum of the longer side, pixels; by default `MAX_LONGER_SIDE`, unless the shorter side would then have less
        than `MIN_SHORTER_SIDE`.
    """
    scale = (max_side or MAX_LONGER_SIDE) / max(page.shape)
    if max_side is None:
        scale = min(max(scale, MIN_SHORTER_SIDE / min(page.shape)), MAX_ROTATED_SIDE / max(page.shape))
    if scale >= 1.0:
        return page, 1.0
    height, width = (max(1, round(length * scale)) for length in page.shape)
    return np.asarray(cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA), np.uint8), scale


def deskew(page: NDArray[np.uint8], degrees: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rotate a page anticlockwise, into the bounding box of the result.

    Parameters
    ----------
    page : uint8 (H, W)
    degrees : float

    Returns
    -------
    uint8 (H', W') and the float32 (2, 3) matrix from its pixels to the page's
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
