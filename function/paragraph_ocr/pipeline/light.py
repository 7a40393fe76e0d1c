"""Even out the light of a page and make its writing dark on light, everywhere."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Light is even where the darkest tenth of a page has this share of the light of the brightest tenth.
EVEN = 0.75
# The most by which shadow is lightened: what is darker is no paper, but the table around it.
BRIGHTEST = 2.5
# Pixels of a page's longer side at which parts that are light on dark are told.
PART_SIDE = 640
# The background is the median of a square of so many of these pixels: larger than strokes, smaller than banners.
PART_WINDOW = 17
# Grey levels by which the background of such a part is darker than paper, and its writing lighter than that.
PART_CONTRAST = 40
# Of a part, the share that writing may cover.
LEAST_WRITING, MOST_WRITING = 0.01, 0.4

Grey = NDArray[np.uint8]


def _shrunk(page: Grey, side: int) -> Grey:
    """A page with at most so many pixels on its longer side; of a large one, not every row and column counts."""
    step = max(1, max(page.shape) // (2 * side))
    part = page[::step, ::step]
    scale = min(1.0, side / max(part.shape))
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def dark_on_light(page: Grey) -> Grey:
    """A page as it is, or its negative where its strokes are lighter than what surrounds them.

    Strokes are thin: what differs most from its neighbourhood is ink, whatever the tone of the paper.

    Parameters
    ----------
    page : uint8 (H, W)
    """
    small = _shrunk(page, 512)
    # Edges of a sheet or a shadow are none of a median, but wide strokes are their own.
    difference = small.astype(np.float32) - cv2.medianBlur(small, PART_WINDOW)
    if float((np.abs(difference) > PART_CONTRAST / 2).mean()) < LEAST_WRITING / 2:
        blurred = cv2.blur(small.astype(np.float32), (31, 31), borderType=cv2.BORDER_REPLICATE)
        difference = small.astype(np.float32) - blurred
    # The third moment: many pixels a little above the background and few far below it are dark strokes on light paper.
    return page if float((difference**3).mean()) <= 0 else np.asarray(255 - page, np.uint8)


def even_light(page: Grey) -> Grey:
    """A page as it is, or, where a part of it lies in shadow, as if the light fell evenly.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper.
    """
    small = _shrunk(page, 256)
    # Without whatever is dark and narrow, the paper and what surrounds it are left.
    light = cv2.morphologyEx(small, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (31, 31)))
    light = cv2.medianBlur(light, 15)
    dim, bright = np.percentile(light, (10, 90))
    if dim > EVEN * bright:
        return page
    # Near a hard edge the light is one side's or the other's, as the paper itself says: closed over the strokes, at a
    # scale that shows the edge. A blurred edge would stand on the page as a rule does.
    large = _shrunk(page, 2048)
    across = max(large.shape) // 64 | 1
    paper = cv2.morphologyEx(large, cv2.MORPH_CLOSE, np.ones((across, across), np.uint8))
    near = np.ones((5, 5), np.uint8)
    low, high = (cv2.resize(part(light, near), large.shape[::-1]) for part in (cv2.erode, cv2.dilate))
    paper = np.clip(paper, low, high)
    # In hundredths, so that a large page takes a byte a pixel more and not four.
    percent = np.rint(100 * np.minimum(bright / np.maximum(np.arange(256), 1), BRIGHTEST)).astype(np.uint8)
    gain = cv2.resize(cv2.LUT(paper, percent), page.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(page, gain, scale=0.01), np.uint8)


def dark_on_light_everywhere(page: Grey) -> Grey:
    """A page as it is, or its negative, and within it those parts inverted in which writing is light on dark.

    Parameters
    ----------
    page : uint8 (H, W)
        Of any light; a banner, a cell or a picture may be dark within it.

    Returns
    -------
    uint8 (H, W)
        Light paper everywhere but in dark pictures without writing.
    """
    page = dark_on_light(page)
    small = _shrunk(page, PART_SIDE)
    background = np.asarray(cv2.medianBlur(small, PART_WINDOW), np.uint8)
    paper = int(np.percentile(background, 90))
    dark = (background < paper - PART_CONTRAST).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(dark, connectivity=4)
    inner = cv2.erode(dark, np.ones((3, 3), np.uint8)) > 0
    inverted = np.zeros(count, np.uint8)
    for part in range(1, count):
        left, top, width, height, area = boxes[part]
        if area < PART_WINDOW**2 // 4:
            continue
        around = np.s_[top : top + height, left : left + width]
        within = (labels[around] == part) & inner[around]
        inverted[part] = _is_light_on_dark(small[around], background[around], within)
    if not inverted.any():
        return page
    size = page.shape[::-1]
    where = cv2.resize(inverted[labels], size, interpolation=cv2.INTER_NEAREST).view(bool)
    ground = cv2.resize(background, size, interpolation=cv2.INTER_LINEAR)
    # Lighter than the background by all that it can be becomes black, whatever the background is.
    levels = np.arange(256)
    gain = np.asarray(paper / np.maximum(255 - levels, 60), np.float32)
    lighter = cv2.subtract(page, ground)
    negative = paper - np.minimum(lighter * gain[ground], paper)
    result = page.copy()
    result[where] = negative[where].astype(np.uint8)
    return result


def _is_light_on_dark(part: Grey, background: Grey, within: NDArray[np.bool_]) -> bool:
    """Whether strokes in part of a picture are lighter than what surrounds them, and there are any.

    Parameters
    ----------
    part, background : uint8 (H, W)
    within : bool (H, W)
    """
    if within.sum() < 100:
        return False
    difference = (part.astype(np.float32) - background)[within]
    lighter, darker = float((difference > PART_CONTRAST).mean()), float((difference < -PART_CONTRAST).mean())
    return bool(LEAST_WRITING < lighter < MOST_WRITING and lighter > 4 * darker and (difference**3).mean() > 0)


def strip_dark_on_light(strip: Grey) -> Grey:
    """A strip of one line as it is, or its negative where most of it is nearer to its darkest than to its lightest.

    Writing covers less of its line than paper does, whatever part of a page was missed by `dark_on_light_everywhere`.

    Parameters
    ----------
    strip : uint8 (H, W)
    """
    dark, middle, light = np.percentile(strip[::2, ::2], (2, 50, 98))
    if light - middle > 2.0 * (middle - dark) and light - middle > PART_CONTRAST:
        return np.asarray(255 - strip, np.uint8)
    return strip
