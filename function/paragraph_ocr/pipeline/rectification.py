"""Cut a line along its curved baseline into a strip of fixed height, and map strip positions back to the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Pages are not enlarged beyond this many pixels on the longer side.
MAX_ENLARGED_SIDE = 6000

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
    """

    origins: Points
    downs: Points
    baseline_row: float
    height: int

    def to_page(self, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Points:
        """Map strip positions to page positions.

        Parameters
        ----------
        columns, rows : float (N,)

        Returns
        -------
        float32 (N, 2), pixels of the page
        """
        at = np.clip(columns, 0, len(self.origins) - 1)
        index = np.arange(len(self.origins))
        axes = [
            np.interp(at, index, self.origins[:, axis])
            + (rows - self.baseline_row) * np.interp(at, index, self.downs[:, axis])
            for axis in (0, 1)
        ]
        return np.stack(axes, axis=1).astype(np.float32)


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
    lengths = np.hypot(*np.diff(line, axis=0).T)
    arc = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(2, round(float(arc[-1]) / step) + 1)
    at = np.linspace(0.0, arc[-1], count)
    return np.stack([np.interp(at, arc, line[:, 0]), np.interp(at, arc, line[:, 1])], axis=1).astype(np.float32)


def smooth(line: Points, window: int) -> Points:
    """Smooth a polyline of evenly spaced points by a moving average over `window` points, with straight ends."""
    half = min(window, len(line) - 1) // 2
    if half < 1:
        return line
    before = 2 * line[0] - line[half:0:-1]
    after = 2 * line[-1] - line[-2 : -half - 2 : -1]
    padded = np.concatenate([before, line, after])
    kernel = np.full(2 * half + 1, 1.0 / (2 * half + 1))
    return np.stack([np.convolve(padded[:, axis], kernel, mode="valid") for axis in (0, 1)], axis=1).astype(np.float32)


def frame(baseline: Points, ascender: float, descender: float, geometry: Geometry, stretch: float = 1.0) -> Frame:
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
    """
    line_height = max(ascender + descender, 1.0)
    scale = geometry.height / (geometry.window * line_height)
    sampled = resample(baseline, max(1.0, line_height / 8))
    line = smooth(sampled, 16)
    # A quarter of the line height is added at both ends, since the first and last strokes often exceed the baseline.
    start, end = line[0] - line[min(8, len(line) - 1)], line[-1] - line[-min(9, len(line))]
    reach = 0.25 * line_height
    line = np.concatenate(
        [
            [line[0] + start * (reach / max(float(np.hypot(*start)), 1e-3))],
            line,
            [line[-1] + end * (reach / max(float(np.hypot(*end)), 1e-3))],
        ]
    ).astype(np.float32)
    length = float(np.hypot(*np.diff(line, axis=0).T).sum())
    natural = length * scale
    most = geometry.width * (1.0 if natural <= geometry.squeeze * geometry.width else geometry.widths)
    columns = int(min(np.clip(round(natural), 8, most) * stretch, geometry.width * geometry.widths))
    origins = resample(line, length / (columns - 1))
    if len(origins) != columns:
        at = np.linspace(0, len(origins) - 1, columns)
        origins = np.stack([np.interp(at, np.arange(len(origins)), origins[:, axis]) for axis in (0, 1)], axis=1)
    smoothed = smooth(origins.astype(np.float32), max(3, geometry.height))
    tangents = np.empty_like(smoothed)
    tangents[1:-1] = (smoothed[2:] - smoothed[:-2]) / 2
    tangents[[0, -1]] = smoothed[[1, -1]] - smoothed[[0, -2]]
    tangents /= np.maximum(np.hypot(tangents[:, :1], tangents[:, 1:]), 1e-6)
    downs = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1) / scale
    row = geometry.baseline * geometry.height
    return Frame(origins.astype(np.float32), downs.astype(np.float32), row, geometry.height)


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
    rows = (np.arange(line.height, dtype=np.float32) - np.float32(line.baseline_row))[:, None]
    # Columns are straight, so their ends bound the part of the page.
    ends = np.concatenate([line.origins + row * line.downs for row in rows[[0, -1], 0]])
    left, top = np.floor(ends.min(axis=0)).astype(int) - 2
    right, bottom = np.ceil(ends.max(axis=0)).astype(int) + 3
    left, top = np.clip([left, top], 0, [page.shape[1] - 1, page.shape[0] - 1])
    right, bottom = np.clip([right, bottom], [left + 1, top + 1], [page.shape[1], page.shape[0]])
    part = page[top:bottom, left:right]
    # Remapping samples points, so the part is reduced first if a strip pixel covers more than one of the page.
    middle = len(line.origins) // 2
    steps = np.stack([line.downs[middle], line.origins[middle] - line.origins[middle - 1]])
    reduction = float(np.hypot(*steps.T).min())
    if reduction > 1.3:
        size = (max(1, round(part.shape[1] / reduction)), max(1, round(part.shape[0] / reduction)))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        factor = np.array([size[0] / (right - left), size[1] / (bottom - top)], np.float32)
    else:
        factor = np.ones(2, np.float32)
    origins = (line.origins - np.array([left, top], np.float32) + np.float32(0.5)) * factor - np.float32(0.5)
    downs = line.downs * factor
    x, y = (origins[:, axis] + rows * downs[:, axis] for axis in (0, 1))
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
    sums = np.cumsum(np.bincount(image.ravel(), minlength=256))
    position = np.asarray(shares, np.float64) / 100 * (sums[-1] - 1)
    low = np.floor(position)
    below, above = np.searchsorted(sums, [low, np.minimum(low + 1, sums[-1] - 1)], "right")
    return np.asarray(below + (above - below) * (position - low), np.float64)


def to_ink(image: Grey, normalisation: Normalisation) -> NDArray[np.float32]:
    """Normalise grey levels to ink: 0 is paper, about 1 the darkest strokes, for any paper and ink.

    Parameters
    ----------
    image : uint8 (H, W)
    normalisation : Normalisation

    Returns
    -------
    float32 (H, W)
    """
    dark, paper = percentiles(image[::2, ::2], (normalisation.dark, normalisation.paper))
    span = max(float(paper - dark), normalisation.contrast)
    ink = (float(paper) - image.astype(np.float32)) / span
    return np.asarray(np.clip(ink, -0.3, 1.3), np.float32)
