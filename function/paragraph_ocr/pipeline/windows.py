"""Choose the scale at which the lines of a page are detected, and the windows of the detector."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ink import find_ink, letter_height

# Pages with a higher ratio of their sides are elongated and searched in several windows.
ELONGATED = 2.0
# Ascender height to which elongated pages are resized, input pixels.
ASCENDER = 16.0
# Maximum of the shorter side of a resized elongated page, in sides of the detector's input.
MAX_SHORTER_SIDE = 1.0
# Minimum share of a window that overlaps with the next.
OVERLAP = 1 / 8


def elongated(shape: tuple[int, ...]) -> bool:
    """Whether a page (H, W) is so elongated that its letters would be too small in a single input of the detector."""
    return max(shape) > ELONGATED * min(shape)


def input_side(page: NDArray[np.uint8], size: int) -> int:
    """Longer side, in pixels, to which a page is resized for the first detection.

    Most pages are resized to the detector's input. An elongated page is resized by the height of its letters, but its
    shorter side at most to the side of the input, so that the time grows only with the page's length.

    Parameters
    ----------
    page : uint8 (H, W)
    size : int
        Side of the detector's input.
    """
    longest, shortest = int(max(page.shape)), int(min(page.shape))
    if not elongated(page.shape):
        return size
    sample = densest_part(page)
    height = letter_height(find_ink(sample, min(1.0, size / min(sample.shape))))
    if height is None:
        return size
    # The estimated height may be that of noise, and then asks for too large a page.
    scale = min(ASCENDER / height, MAX_SHORTER_SIDE * size / shortest)
    return int(max(size, round(scale * longest)))


def densest_part(page: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A page, or the part of an elongated page with the most edges, whose sides have the ratio `ELONGATED`.

    Parameters
    ----------
    page : uint8 (H, W)

    Returns
    -------
    uint8 (H', W'), a view of the page
    """
    if not elongated(page.shape):
        return page
    axis = int(np.argmax(page.shape))
    length = round(ELONGATED * min(page.shape))
    step = max(1, min(page.shape) // 256)
    part = page[::step, ::step].astype(np.int16)
    edges = np.abs(np.diff(part, axis=1 - axis)).sum(axis=1 - axis, dtype=np.int64)
    sums = np.concatenate([[0], np.cumsum(edges)])
    span = max(1, length // step)
    starts = np.arange(0, max(1, len(edges) - span + 1))
    start = int(starts[np.argmax(sums[np.minimum(starts + span, len(edges))] - sums[starts])]) * step
    start = max(0, min(start, page.shape[axis] - length))
    return page[start : start + length] if axis == 0 else page[:, start : start + length]


def windows(length: int, size: int, stride: int) -> list[tuple[int, int, int]]:
    """Windows of `size` pixels that cover a side, which overlap.

    Parameters
    ----------
    length : int
        Pixels of the side, a multiple of `stride`.
    size : int
        Pixels of the detector's input.
    stride : int
        Input pixels a cell of the detector's maps stands for.

    Returns
    -------
    list of (int, int, int)
        Where each window begins, in pixels, and from and up to which cell its part of the maps is taken.
    """
    if length <= size:
        return [(0, 0, length // stride)]
    shared = round(OVERLAP * size)
    count = -(-(length - shared) // (size - shared))
    starts = [round(index * (length - size) / (count - 1)) // stride * stride for index in range(count)]
    seams = [(after + before + size) // 2 // stride for before, after in pairwise(starts)]
    return list(zip(starts, [0, *seams], [*seams, length // stride], strict=True))
