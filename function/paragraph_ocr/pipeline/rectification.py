"""Cut a line along its curved baseline into a strip of fixed height, and map strip positions back to the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Pages are not enlarged beyond this many pixels on the longer side.
MAX_ENLARGED_SIDE = 6000

# Part of the line height that is added at both ends, since the first and last strokes often exceed the baseline.
BEYOND = 0.25

# Columns that stay free at the end of a strip of one width: without them, the recogniser misses a full stop there.
END_MARGIN = 8

Points = NDArray[np.float32]
Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Geometry:
    """Size of a strip, and the part of the page that it shows.

    Attributes
    ----------
    height, width : int
        Rows of every strip, and columns of the recogniser's input.
    window : float
        Height that the strip shows, relative to the line's height (ascender to descender); more than 1, in case the
        detector underestimates it.
    baseline : float
        Position of the baseline, as a share of the strip's height.
    squeeze : float
        A line of up to this many widths is compressed into one; a longer one makes a strip of several widths.
    widths : float
        Maximum number of widths of a strip; longer lines are compressed into them.
    """

    height: int
    width: int
    window: float = 1.3
    baseline: float = 0.7
    squeeze: float = 1.3
    widths: float = 8.0


@dataclass(frozen=True)
class Normalisation:
    """Conversion of grey levels to ink.

    Attributes
    ----------
    dark, paper : float
        Percentiles of the grey levels that count as full ink and as bare paper.
    contrast : float
        Minimum difference between the two, which keeps the noise of blank images from being amplified to ink.
    """

    dark: float = 2.0
    paper: float = 70.0
    contrast: float = 32.0


@dataclass(frozen=True)
class Frame:
    """The curved coordinate frame of a line, which maps each column of the strip to the page.

    Attributes
    ----------
    origins : float32 (W, 2)
        Page position (x, y, pixels) of the baseline under each column.
    downs : float32 (W, 2)
        Page vector of one strip pixel downwards at each column.
    baseline_row : float
        The strip row on which the baseline lies.
    height : int
        Rows of the strip.
    slant : float
        Slant that is taken out of the writing: `cut` samples each row above the baseline further right by this share
        of its distance. Places on the page are those of the upright frame.
    """

    origins: Points
    downs: Points
    baseline_row: float
    height: int
    slant: float = 0.0

    @property
    def column_width(self) -> float:
        """Page pixels of a column of the strip."""
        first, last = self.origins[0], self.origins[-1]
        return float(np.hypot(*(last - first))) / max(len(self.origins) - 1, 1)

    def to_page(self, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Points:
        """Map strip positions to page positions.

        Parameters
        ----------
        columns : float (N,)
        rows : float (N,) or (M, 1)

        Returns
        -------
        float32 (N, 2) or (M, N, 2), pixels of the page
        """
        at = np.minimum(np.maximum(columns, 0), len(self.origins) - 1)
        index = np.arange(float(len(self.origins)))
        origins, downs = _interpolate(at, index, self.origins.T), _interpolate(at, index, self.downs.T)
        below = rows - self.baseline_row
        return np.stack([origins[0] + below * downs[0], origins[1] + below * downs[1]], axis=-1).astype(np.float32)


def resample(line: Points, step: float) -> Points:
    """Return points every `step` pixels of arc length along a polyline, including both ends.

    Parameters
    ----------
    line : float32 (K, 2), K at least 2
    step : float, pixels

    Returns
    -------
    float32 (N, 2)
    """
    return _resample(np.ascontiguousarray(line.T), step).T


def smooth(line: Points, window: int) -> Points:
    """Smooth a polyline of evenly spaced points by a moving average over `window` points, with straight ends."""
    return _smooth(np.ascontiguousarray(line.T), window).T


# Below, a polyline is float32 (2, N): the x and the y of its points are contiguous, which is faster for short lines.


def _lengths(line: Points) -> Points:
    """Lengths of the segments of a polyline (2, N), float32 (N - 1,)."""
    across, down = line[:, 1:] - line[:, :-1]
    return np.asarray(np.hypot(across, down))


def _resample(line: Points, step: float) -> Points:
    """What `resample` returns, for a polyline (2, N)."""
    arc = np.zeros(line.shape[1])
    np.cumsum(_lengths(line), out=arc[1:], dtype=line.dtype)
    length = float(arc[-1])
    count = max(2, round(length / step) + 1)
    at = np.arange(count) * (length / (count - 1))
    at[-1] = length
    return np.asarray(_interpolate(at, arc, line), np.float32)


def _interpolate(at: NDArray[np.floating], where: NDArray[np.float64], values: Points) -> NDArray[np.float64]:
    """Interpolate values (2, K) that are given at increasing positions (K,), float64 (2, N)."""
    result = np.empty((2, len(at)))
    result[0], result[1] = np.interp(at, where, values[0]), np.interp(at, where, values[1])
    return result


def _smooth(line: Points, window: int) -> Points:
    """What `smooth` returns, for a polyline (2, N)."""
    count = line.shape[1]
    half = min(window, count - 1) // 2
    if half < 1:
        return line
    padded = np.empty((2, count + 2 * half), np.float32)
    padded[:, half:-half] = line
    np.subtract(2 * line[:, :1], line[:, half:0:-1], out=padded[:, :half])
    np.subtract(2 * line[:, -1:], line[:, -2 : -half - 2 : -1], out=padded[:, -half:])
    # From sums: the last bits of what BLAS adds up, as in a correlation, are other ones on each kind of processor.
    sums = np.zeros((2, count + 2 * half + 1))
    np.cumsum(padded, axis=1, out=sums[:, 1:], dtype=np.float64)
    return np.asarray((sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]) / (2 * half + 1), np.float32)


def frame(
    baseline: Points, ascender: float, descender: float, geometry: Geometry, stretch: float = 1.0, slant: float = 0.0
) -> Frame:
    """Return the frame of the strip of a line.

    Parameters
    ----------
    baseline : float32 (K, 2)
        Left to right, pixels of the page.
    ascender, descender : float
        Heights above and below the baseline, pixels of the page.
    geometry : Geometry
    stretch : float
        Factor of the number of columns.
    slant : float
        Slant that is taken out, the tangent of its angle to the upright; positive to the right.
    """
    line_height = max(ascender + descender, 1.0)
    scale = geometry.height / (geometry.window * line_height)
    sampled = _resample(np.ascontiguousarray(baseline.T), max(1.0, line_height / 8))
    inner = _smooth(sampled, 16)
    count = inner.shape[1]
    line = np.empty((2, count + 2), np.float32)
    line[:, 1:-1] = inner
    for end, nearest, inside in ((0, 0, min(8, count - 1)), (-1, -1, -min(9, count))):
        beyond = inner[:, nearest] - inner[:, inside]
        reach = BEYOND * line_height / max(float(np.hypot(beyond[0], beyond[1])), 1e-3)
        line[:, end] = inner[:, nearest] + beyond * reach
    length = float(_lengths(line).sum())
    natural = length * scale
    compressed = natural <= geometry.squeeze * geometry.width
    most = geometry.width - END_MARGIN if compressed else geometry.width * geometry.widths
    columns = int(min(min(max(round(natural), 8), most) * stretch, geometry.width * geometry.widths))
    origins = _resample(line, length / (columns - 1))
    if origins.shape[1] != columns:
        at = np.linspace(0, origins.shape[1] - 1, columns)
        origins = _interpolate(at, np.arange(float(origins.shape[1])), origins).astype(np.float32)
    smoothed = _smooth(origins, max(3, geometry.height))
    tangents = np.empty_like(smoothed)
    np.subtract(smoothed[:, 2:], smoothed[:, :-2], out=tangents[:, 1:-1])
    tangents[:, 1:-1] /= 2
    tangents[:, 0] = smoothed[:, 1] - smoothed[:, 0]
    tangents[:, -1] = smoothed[:, -1] - smoothed[:, -2]
    tangents /= np.maximum(np.hypot(tangents[0], tangents[1]), 1e-6)
    downs = np.empty_like(tangents)
    np.negative(tangents[1], out=downs[0])
    downs[1] = tangents[0]
    downs /= scale
    return Frame(origins.T, downs.T, geometry.baseline * geometry.height, geometry.height, slant)


def cut(page: Grey, line: Frame) -> Grey:
    """Sample the strip of a frame from a page, in grey levels.

    Parameters
    ----------
    page : uint8 (H, W)
    line : Frame

    Returns
    -------
    uint8 (line.height, columns); beyond the page, its edge is repeated
    """
    rows = np.arange(line.height, dtype=np.float32)[:, None]
    rows -= np.float32(line.baseline_row)
    origins, downs = np.array(line.origins.T, order="C"), np.ascontiguousarray(line.downs.T)
    if line.slant:
        downs = np.asarray(downs - line.slant * np.stack([downs[1], -downs[0]]), np.float32)
    # Columns are straight, so their ends bound the part of the page.
    upper, lower = origins + rows[0] * downs, origins + rows[-1] * downs
    height, width = page.shape
    (left, top), (right, bottom) = np.minimum(upper, lower).min(axis=1), np.maximum(upper, lower).max(axis=1)
    left, top = (min(max(math.floor(low) - 2, 0), side - 1) for low, side in ((left, width), (top, height)))
    right = min(max(math.ceil(right) + 3, left + 1), width)
    bottom = min(max(math.ceil(bottom) + 3, top + 1), height)
    part = page[top:bottom, left:right]
    # Remapping samples points, so the part is reduced first if a strip pixel covers more than one of the page.
    middle = origins.shape[1] // 2
    steps = np.stack([downs[:, middle], origins[:, middle] - origins[:, middle - 1]])
    reduction = float(np.hypot(steps[:, 0], steps[:, 1]).min())
    origins -= np.array([[left], [top]], np.float32)
    origins += np.float32(0.5)
    if reduction > 1.3:
        size = (max(1, round(part.shape[1] / reduction)), max(1, round(part.shape[0] / reduction)))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        factor = np.array([[size[0] / (right - left)], [size[1] / (bottom - top)]], np.float32)
        origins *= factor
        downs = downs * factor
    origins -= np.float32(0.5)
    x, y = rows * downs[0], rows * downs[1]
    x += origins[0]
    y += origins[1]
    strip = cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(strip, np.uint8)


def with_square_pixels(page: Grey, pixel_aspect: float) -> Grey:
    """Resize a page to square pixels: enlarged along the shorter side of its pixels, or reduced if it is large.

    Parameters
    ----------
    page : uint8 (H, W)
    pixel_aspect : float
        Height over width of its pixels.
    """
    if pixel_aspect == 1.0:
        return page
    height, width = page.shape
    across, down = (1.0, pixel_aspect) if pixel_aspect > 1 else (1 / pixel_aspect, 1.0)
    if max(height * down, width * across) > MAX_ENLARGED_SIDE:
        across, down = across / max(across, down), down / max(across, down)
    size = (max(1, round(width * across)), max(1, round(height * down)))
    method = cv2.INTER_AREA if across * down < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(page, size, interpolation=method), np.uint8)


def percentiles(image: Grey, shares: Sequence[float]) -> NDArray[np.float64]:
    """Percentiles of the grey levels of an image, as `numpy.percentile` interpolates them, but from their histogram.

    Parameters
    ----------
    image : uint8 (H, W)
    shares : sequence of float, 0 to 100

    Returns
    -------
    float64 (N,)
    """
    # OpenCV counts three times as fast as NumPy, in single precision, which is exact for up to 2^24 pixels of a level.
    counts = cv2.calcHist([np.ascontiguousarray(image)], [0], None, [256], [0, 256]).ravel()
    sums = np.cumsum(counts.astype(np.int64))
    last = int(sums[-1]) - 1
    positions = [float(share) / 100 * last for share in shares]
    lows = [math.floor(position) for position in positions]
    values = np.searchsorted(sums, lows + [min(low + 1, last) for low in lows], "right").tolist()
    levels = zip(positions, lows, values[: len(lows)], values[len(lows) :], strict=True)
    return np.array([below + (above - below) * (position - low) for position, low, below, above in levels])


def to_ink(image: Grey, normalisation: Normalisation, sample: Grey | None = None) -> NDArray[np.float32]:
    """Normalise grey levels to ink: 0 is paper, about 1 the darkest strokes, for any paper and ink.

    Parameters
    ----------
    image : uint8 (H, W)
    normalisation : Normalisation
    sample : uint8, optional
        The grey levels of which the percentiles are taken; by default a quarter of the image's.

    Returns
    -------
    float32 (H, W)
    """
    dark, paper = percentiles(image[::2, ::2] if sample is None else sample, (normalisation.dark, normalisation.paper))
    span = max(float(paper - dark), normalisation.contrast)
    # A table of all grey levels is faster than arithmetic on every pixel.
    ink = (float(paper) - np.arange(256, dtype=np.float32)) / span
    return np.asarray(cv2.LUT(image, np.clip(ink, -0.3, 1.3)), np.float32)
