"""Clean pages of specks: the pepper noise of fax machines, photocopiers and microfilm, and the dots of dithering.

The recogniser reads specks beside letters as full stops, colons and accents.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ink import Ink, components, find_ink, letter_height
from paragraph_ocr.pipeline.rectification import percentiles

# So many strips of so many columns are looked at before a page is searched for specks; dotted rules cross them.
STRIPS, STRIP_COLUMNS = 6, 16
# Most pixels of the specks that are counted, and their share of the pixels of the strips from which a page is searched.
COUNTED, SPECKED = 2, 0.0004
# Share of pixels of which all four neighbours are of the other tone, from which a page is dithered: the grey of such a
# page is in the mean of its pixels. Standard deviation of the Gaussian that shows it, pixels.
DITHERED, SMOOTHING = 0.08, 1.0
# What is within this distance of larger ink, in heights of letters, is near writing.
NEAR = 0.35
# Specks lie anywhere, as many for an area away from writing as for one near it, but for this factor; crumbs of broken
# strokes lie near writing. Least share of the pixels away from writing.
EVEN, SCATTERED = 0.65, 0.0005
# The largest speck is a square of so much of the height of letters; full stops are larger. Least and greatest number of
# its pixels, since small print may stand beside large letters.
SPECK, SPECK_PIXELS = 0.1, (2, 16)
# Percent of the specks away from writing that are no larger than what is wiped.
USUAL = 98
# The greatest share of specks that are larger than what may be wiped.
FEW_LARGER = 0.05

Grey = NDArray[np.uint8]


def without_specks(page: Grey) -> Grey:
    """A page as it is, or, where specks are scattered over it, without them; a dithered page becomes grey.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper, evenly lit.
    """
    columns = np.linspace(0, max(page.shape[1] - STRIP_COLUMNS, 0), STRIPS + 2).astype(int)[1:-1]
    strips = np.concatenate([page[:, column : column + STRIP_COLUMNS] for column in columns], axis=1)
    dark, paper = percentiles(strips[::2, ::2], (1, 70)).tolist()
    mask = strips < (dark + paper) / 2
    if _lonely(mask) >= DITHERED:
        return np.asarray(cv2.GaussianBlur(page, (0, 0), SMOOTHING), np.uint8)
    area = components(mask).boxes[1:, cv2.CC_STAT_AREA]
    return _cleaned(page) if np.count_nonzero(area <= COUNTED) > SPECKED * mask.size else page


def _lonely(mask: NDArray[np.bool_]) -> float:
    """The share of the pixels of a mask of which all four neighbours are different."""
    inner = mask[1:-1, 1:-1]
    alone = (inner != mask[:-2, 1:-1]) & (inner != mask[2:, 1:-1])
    alone &= (inner != mask[1:-1, :-2]) & (inner != mask[1:-1, 2:])
    return float(np.count_nonzero(alone) / mask.size)


def _cleaned(page: Grey) -> Grey:
    """A page without specks, if these are scattered over it."""
    dark, paper = percentiles(page[::2, ::2], (1, 70)).tolist()
    _, labels, boxes, centres = components(page < (dark + paper) / 2)
    left, top, width, tall, area = boxes[1:].T
    height = letter_height(Ink(labels, left, top, left + width, top + tall, area, 1.0, page))
    if height is None:
        return page
    most = float(np.clip((SPECK * height) ** 2, *SPECK_PIXELS))
    larger = np.concatenate([[False], area > most])[labels].view(np.uint8)
    side = 2 * round(NEAR * height) + 1
    near = cv2.dilate(larger, np.ones((side, side), np.uint8)) > 0
    columns, rows = centres[1:].astype(int).T
    counted, away = area <= COUNTED, ~near[rows, columns]
    number = np.count_nonzero(counted & away)
    room = np.count_nonzero(~near) / near.size
    if not number or number < SCATTERED * room * near.size or number < EVEN * room * np.count_nonzero(counted):
        return page
    # As large as the search for lines sees them, of which a part may be as dark as ink.
    ink = find_ink(page)
    sizes = np.concatenate([[0], ink.area])[ink.labels[rows, columns]][counted & away]
    # Dots of dotted lines are all of about one size: if some are larger, all stay.
    if np.count_nonzero(sizes > most) > FEW_LARGER * len(sizes):
        return page
    most = min(most, max(SPECK_PIXELS[0], float(np.percentile(sizes, USUAL))))
    marked = np.concatenate([[False], ink.area <= most])[ink.labels].view(np.uint8)
    # A speck is blurred into the paper around it, but not where that is other ink.
    wiped = (cv2.dilate(marked, np.ones((3, 3), np.uint8)) > 0) & ((ink.labels == 0) | (marked > 0))
    side = 2 * math.ceil(math.sqrt(most)) + 3
    filled = cv2.morphologyEx(page, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return np.where(wiped, filled, page)
