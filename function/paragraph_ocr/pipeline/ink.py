"""Find the connected components of a page's ink and estimate the height of its letters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.rectification import percentiles

Grey = NDArray[np.uint8]

# Ink is darker than the paper by this share of the span from the paper to the darkest strokes.
GLOBAL_SHARE = 0.45
# Ink is darker than the mean of what surrounds it by at least so many grey levels; on pages of faint writing by at
# least this share of the writing's contrast, but not less than noise.
LOCAL_CONTRAST, FAINT_SHARE, FAINTEST_CONTRAST = 28, 0.35, 12
# Components of fewer pixels are noise.
# Pixels of a mask at most whose components OpenCV describes sooner.
SMALL = 20_000
SMALLEST = 6
# A scale from which a page is shrunk by interpolation: at most so many rows and columns less.
LITTLE = 0.7


@dataclass(frozen=True)
class Ink:
    """The components of a page's ink.

    Attributes
    ----------
    labels : int32 (h, w)
        Which component each pixel belongs to, from 1; 0 is paper.
    left, top, right, bottom, area : int64 (N,)
        Bounds of the components, right and bottom exclusive, and their pixels; component ``i`` has the label ``i + 1``.
    scale : float
        Pixels of `labels` for a pixel of the page.
    page : uint8 (h, w)
        The page at this scale.
    """

    labels: NDArray[np.int32]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    right: NDArray[np.int64]
    bottom: NDArray[np.int64]
    area: NDArray[np.int64]
    scale: float
    page: Grey

    @cached_property
    def height(self) -> NDArray[np.int64]:
        """Rows of each component, int64 (N,)."""
        return self.bottom - self.top

    @cached_property
    def width(self) -> NDArray[np.int64]:
        """Columns of each component, int64 (N,)."""
        return self.right - self.left


def resized(page: Grey, scale: float) -> Grey:
    """A page shrunk by a scale of at most 1: by a little without means over areas, which take six times as long."""
    if scale >= 1.0:
        return page
    size = (max(1, round(page.shape[1] * scale)), max(1, round(page.shape[0] * scale)))
    method = cv2.INTER_LINEAR if scale >= LITTLE else cv2.INTER_AREA
    return np.asarray(cv2.resize(page, size, interpolation=method), np.uint8)


def find_ink_mask(page: Grey, contrast: float | None = None) -> NDArray[np.bool_]:
    """Which pixels of a page are ink.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, evenly lit.
    contrast : float, optional
        Grey levels between paper and writing, where they are known.
    """
    least = LOCAL_CONTRAST
    if contrast is not None:
        least = round(min(max(FAINT_SHARE * contrast, FAINTEST_CONTRAST), LOCAL_CONTRAST))
    dark, paper = percentiles(page[::2, ::2], (1, 70)).tolist()
    limit = paper - max(GLOBAL_SHARE * (paper - dark), LOCAL_CONTRAST)
    # As bytes, which are compared faster than as floats.
    mask = page < np.uint8(max(math.ceil(limit), 0))
    around = cv2.blur(page, (41, 41), borderType=cv2.BORDER_REPLICATE)
    mask |= cv2.subtract(around, page) > least
    return np.asarray(mask)


def find_ink(page: Grey, scale: float = 1.0, contrast: float | None = None) -> Ink:
    """The ink of a page.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, evenly lit.
    scale : float
        At most 1: the page is shrunk so much first.
    contrast : float, optional
        Grey levels between paper and writing, where they are known.
    """
    scale = min(scale, 1.0)
    small = resized(page, scale)
    mask = find_ink_mask(small, contrast)
    _, labels, boxes, _ = components(mask)
    left, top, width, height, area = (np.ascontiguousarray(column) for column in boxes[1:].T)
    return Ink(labels, left, top, left + width, top + height, area, scale, small)


class Components(NamedTuple):
    """The connected components of a mask, in the order of their labels; the first is the background, of zeros.

    Attributes
    ----------
    number : int
        Of components and the background.
    labels : int32 (H, W)
        Which component each pixel belongs to, from 1; 0 is the background.
    boxes : int64 (N, 5)
        Left, top, width, height and area of each.
    centres : float64 (N, 2)
        Mean column and row of the pixels of each.
    """

    number: int
    labels: NDArray[np.int32]
    boxes: NDArray[np.int64]
    centres: NDArray[np.float64]


def components(mask: NDArray[np.uint8] | NDArray[np.bool_], connectivity: int = 8) -> Components:
    """Find the connected components of a mask.

    The same as OpenCV's `connectedComponentsWithStats`, which takes three times as long on a page, since it adds up all
    pixels of the background, too: here, only the runs of the rows are added up, but in small masks.

    Parameters
    ----------
    mask : uint8 or bool (H, W)
        Zero is the background.
    connectivity : int
        4 or 8.
    """
    if mask.size <= SMALL:
        count, found, stats, middles = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=connectivity)
        labels, boxes, centres = np.asarray(found, np.int32), stats.astype(np.int64), np.asarray(middles, np.float64)
        boxes[0] = centres[0] = 0
        return Components(count, labels, boxes, centres)
    count, found = cv2.connectedComponents(mask.view(np.uint8), connectivity=connectivity)
    labels = np.asarray(found, np.int32)
    height, width = mask.shape
    boxes, centres = np.zeros((count, 5), np.int64), np.zeros((count, 2))
    if count == 1:
        return Components(count, labels, boxes, centres)
    inside = np.zeros((height, width + 2), np.bool_)
    np.not_equal(mask, 0, out=inside[:, 1:-1])
    flat = inside.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    y, start = np.divmod(edges[::2], width + 2)
    length = edges[1::2] - edges[::2]
    own = labels[y, start]
    # The runs of each component next to each other, from above.
    order = np.argsort(own, kind="stable")
    y, start, length = y[order], start[order], length[order]
    firsts = np.searchsorted(own[order], np.arange(1, count))
    area = np.add.reduceat(length, firsts)
    left, right = np.minimum.reduceat(start, firsts), np.maximum.reduceat(start + length, firsts)
    top, bottom = y[firsts], np.maximum.reduceat(y, firsts) + 1
    boxes[1:] = np.column_stack([left, top, right - left, bottom - top, area])
    # Twice the sum of the columns of a run is its length times the sum of its first and its last.
    centres[1:, 0] = np.add.reduceat(length * (2 * start + length - 1), firsts) / (2 * area)
    centres[1:, 1] = np.add.reduceat(length * y, firsts) / area
    return Components(count, labels, boxes, centres)


def letter_height(ink: Ink) -> float | None:
    """About how tall ascenders and capitals are, pixels of the page; None where there is too little to tell."""
    height, width = ink.height, ink.width
    alike = (ink.area >= SMALLEST) & (height >= 5) & (width < 3 * height) & (width * 4 > height)
    alike &= (height < 0.5 * min(ink.labels.shape)) & (ink.area > 0.12 * width * height)
    heights = height[alike]
    if len(heights) < 8:
        return None
    # Specks are many and small: what covers most of the page's ink counts.
    order = np.argsort(heights)
    weight = np.cumsum(heights[order].astype(np.float64) ** 2)
    return float(heights[order][np.searchsorted(weight, 0.6 * weight[-1])]) / ink.scale
