"""Draw what was found on a page over its image."""

import math
from time import perf_counter

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Line, Page, Points
from paragraph_ocr.errors import DeadlineExceeded

_INK = (20, 40, 110)
_BASELINE = (30, 90, 220)
# Colours of a confidence of 0.5 and below, of 0.75, and of 1.
_TINTS = np.array([(214, 40, 40), (240, 160, 20), (40, 150, 80)], np.float64)
_FRACTION_BITS = 4


def draw_overlay(page_image: NDArray[np.uint8], page: Page, deadline: float = math.inf) -> NDArray[np.uint8]:
    """Draw a page's lines over its image.

    Each line has its polygon, tinted from red to green by confidence, its baseline, its place in the reading order
    and, in small type above it, the text that was read.

    Parameters
    ----------
    page_image : uint8 (H, W)
        The page as decoded, upright.
    page : Page
        What was read on it.
    deadline : float
        Value of `perf_counter` at which writing must end.

    Returns
    -------
    uint8 (H, W, 3)
        Red, green and blue.

    Raises
    ------
    DeadlineExceeded
        The deadline is over.
    """
    tinted = cv2.cvtColor(page_image, cv2.COLOR_GRAY2RGB)
    for line in page.lines:
        cv2.fillPoly(tinted, [_fixed(line.polygon)], _tint(line), cv2.LINE_AA, _FRACTION_BITS)
    mixed = cv2.addWeighted(cv2.cvtColor(page_image, cv2.COLOR_GRAY2RGB), 0.75, tinted, 0.25, 0)
    picture = np.asarray(mixed, np.uint8)
    heights = [line.box[3] - line.box[1] for line in page.lines]
    size = int(np.clip(0.28 * np.median(heights), 11, 32)) if heights else 0
    thickness = max(1, round(size / 14))
    for line in page.lines:
        for points, closed, colour in ((line.polygon, True, _tint(line)), (line.baseline, False, _BASELINE)):
            cv2.polylines(picture, [_fixed(points)], closed, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)
    font = cv2.FontFace("sans")
    for number, line in enumerate(page.lines, 1):
        if perf_counter() > deadline:
            raise DeadlineExceeded("Drawing the lines takes longer than the limit; send fewer pages.")
        _label(picture, font, size, number, line)
    return picture


def _label(picture: NDArray[np.uint8], font: cv2.FontFace, size: int, number: int, line: Line) -> None:
    """Write the line's number and text above its left end, smaller where the text would run off the image."""
    height, width = picture.shape[:2]
    caption = f"{number}  {line.text}"
    x = int(max(line.box[0], 0))
    top = min(y for px, y in line.polygon if px <= line.box[0] + 0.1 * (line.box[2] - line.box[0]))
    _, _, run, _ = cv2.getTextSize((width, height), caption, (0, 0), font, size)
    size = max(8, min(size, int(size * (width - x - 2 * size) / max(run, 1))))
    _, _, run, _ = cv2.getTextSize((width, height), caption, (0, 0), font, size)
    base = int(np.clip(top - 0.1 * size, 1.1 * size, height - 0.3 * size))
    plate = picture[max(base - size, 0) : base + size // 3, x : x + run + size]
    plate[:] = cv2.addWeighted(plate, 0.25, np.full_like(plate, 255), 0.75, 0)
    end, _ = cv2.putText(picture, str(number), (x + size // 3, base), _tint(line), font, size, 800)
    cv2.putText(picture, line.text, (end[0] + size // 2, base), _INK, font, size, 450)


def _tint(line: Line) -> tuple[float, ...]:
    place = np.clip(line.confidence, 0.5, 1)
    return tuple(float(np.interp(place, (0.5, 0.75, 1), channel)) for channel in _TINTS.T)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.asarray(np.round(np.array(points) * 2**_FRACTION_BITS), np.int32)
