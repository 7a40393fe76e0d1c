"""Find round check boxes, which are circles with or without a mark in them, beside text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Box
from paragraph_ocr.pipeline.ink import components

Grey = NDArray[np.uint8]

# Lengths are in ascender heights of the page's lines, unless stated otherwise.
# Bullets are smaller.
SIDE = (0.85, 2.4)
# Width over height, and the mean deviation of the outline from a circle, as a share of its radius and in pixels.
SHAPE, UNROUND, PIXEL = (0.9, 1.1), 0.04, 0.3
# Least share of paper within the circle, and the greatest thickness of its line, as shares of its area and radius.
HOLLOW, THICK = 0.2, 0.5
# Around a circle so much is free, but for a small share: an O has other letters beside it. It may be less around one of
# several that are alike.
MARGIN, MARGIN_ALIKE, OVERFLOW = 0.45, 0.25, 0.02
# Circles of one form have the same size, but for this factor.
SAME_SIZE = 1.12
# Where a tick crosses a circle: share of it that must be drawn, distance from the column or the row of other circles,
# in radii, and the share of its surroundings that the tick may cover.
CROSSED_DRAWN, IN_LINE, CROSSED_OVERFLOW = 0.9, 0.5, 0.15
# How far from the middle of a circle ticks that cross it are looked at, in radii.
TICK_REACH = 1.8
# So many places of a page are looked at, at most, those where most of a circle is drawn first.
MAX_CROSSED = 1000


@dataclass(frozen=True)
class Circle:
    """A circle: middle and outer radius in pixels, and the thickness of its line."""

    x: float
    y: float
    radius: float
    line: float

    @property
    def box(self) -> Box:
        """Outer bounds."""
        return self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius


def find_circles(mask: Grey, unit: float) -> list[Circle]:
    """Return the circles on a page that are as large as round check boxes and, alone or with others, stand free.

    Parameters
    ----------
    mask : uint8 (H, W)
        1 where there is ink.
    unit : float
        Ascender height of the page's lines in pixels.
    """
    count, labels, boxes, _ = components(mask)
    left, top, width, height, area = boxes[1:count].T
    found = []
    for index in np.flatnonzero(may_be_circles(width, height, area, unit)).tolist():
        bounds = int(left[index]), int(top[index]), int(left[index] + width[index]), int(top[index] + height[index])
        if not is_free(mask, bounds, round(MARGIN_ALIKE * unit), OVERFLOW):
            continue
        x0, y0, x1, y1 = bounds
        if (circle := _circle((labels[y0:y1, x0:x1] == index + 1).view(np.uint8))) is not None:
            found.append(Circle(circle.x + x0, circle.y + y0, circle.radius, circle.line))
    return [circle for circle in found if alike(found, circle) or stands_free(mask, circle, unit)]


def may_be_circles(
    width: NDArray[np.integer], height: NDArray[np.integer], area: NDArray[np.integer], unit: float
) -> NDArray[np.bool_]:
    """Whether components have the size and the shape of circles, by their bounds and numbers of pixels, bool (N,)."""
    sides = (SIDE[0] * unit <= height) & (height <= SIDE[1] * unit)
    shapes = (width >= SHAPE[0] * height - 1) & (width <= SHAPE[1] * height + 1)
    # A line that is thicker, or a disc, covers more, and one with gaps less.
    hollow = (area <= (1 - HOLLOW) * np.pi / 4 * width * height) & (area >= 2.5 * np.maximum(width, height))
    return np.asarray(sides & shapes & hollow)


def find_crossed(mask: Grey, circles: Sequence[Circle], unit: float) -> list[Circle]:
    """Return circles that ticks cross, in the columns and rows of others of their size.

    Parameters and coordinates are those of `find_circles`.
    """
    wide = cv2.dilate(mask, np.ones((2, 2), np.uint8)).astype(np.float32) if circles else None
    found: list[Circle] = []
    rest = sorted(circles, key=lambda circle: circle.radius)
    while rest and wide is not None:
        size = [circle for circle in rest if circle.radius <= SAME_SIZE * rest[0].radius]
        rest = rest[len(size) :]
        radius = float(np.median([circle.radius for circle in size]))
        line = float(np.median([circle.line for circle in size]))
        reach = int(np.ceil(radius)) + 1
        across, down = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
        ring = (np.abs(np.hypot(across, down) - (radius - 0.5 * line)) <= 0.5).astype(np.float32)
        if min(wide.shape) <= 2 * reach:
            continue
        drawn = np.asarray(cv2.matchTemplate(wide, ring, cv2.TM_CCORR), np.float32) / ring.sum()
        ys, xs = np.nonzero(drawn >= CROSSED_DRAWN)
        for place in np.argsort(-drawn[ys, xs])[:MAX_CROSSED].tolist():
            circle = Circle(float(xs[place]) + reach + 0.5, float(ys[place]) + reach + 0.5, radius, line)
            distances = [(abs(circle.x - other.x), abs(circle.y - other.y)) for other in [*circles, *found]]
            apart = all(max(each) >= 1.5 * radius for each in distances)
            in_line = any(min(abs(circle.x - other.x), abs(circle.y - other.y)) <= IN_LINE * radius for other in size)
            free = is_free(mask, _bounds(circle), round(MARGIN * unit), CROSSED_OVERFLOW)
            if apart and in_line and free and _is_crossed(mask, circle):
                found.append(circle)
    return found


def _is_crossed(mask: Grey, circle: Circle) -> bool:
    """Whether ink that is connected with a circle lies inside and outside of it, as a tick does and a C does not."""
    reach = round(TICK_REACH * circle.radius)
    top, left = max(round(circle.y) - reach, 0), max(round(circle.x) - reach, 0)
    part = mask[top : round(circle.y) + reach + 1, left : round(circle.x) + reach + 1]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    distance = np.hypot(columns + left + 0.5 - circle.x, rows + top + 0.5 - circle.y)
    labels = components(part).labels
    on_ring = np.unique(labels[np.abs(distance - circle.radius + circle.line / 2) <= 0.5])
    own = np.isin(labels, on_ring[on_ring > 0])
    inside, outside = distance < circle.radius - 2 * circle.line - 1, distance > circle.radius + 1.5
    least = max(circle.line, 2.0)
    return bool((own & inside).sum() >= least and (own & outside).sum() >= least)


def alike(circles: Sequence[Circle], circle: Circle) -> bool:
    """Whether another circle has the same size."""
    return any(other is not circle and 1 / SAME_SIZE <= other.radius / circle.radius <= SAME_SIZE for other in circles)


def stands_free(mask: Grey, circle: Circle, unit: float) -> bool:
    """Whether a circle in a mask stands free among letters with ascenders of another height."""
    return is_free(mask, _bounds(circle), round(MARGIN * unit), OVERFLOW)


def _bounds(circle: Circle) -> tuple[int, ...]:
    return tuple(round(value) for value in circle.box)


def is_free(mask: Grey, bounds: tuple[int, ...], margin: int, overflow: float) -> bool:
    """Whether a margin around some bounds is blank but for a share of it, and on the page."""
    left, top, right, bottom = bounds
    if min(left, top) < margin:
        return False
    whole = mask[top - margin : bottom + margin, left - margin : right + margin]
    around = int(whole.sum()) - int(mask[top:bottom, left:right].sum())
    return around <= overflow * (whole.size - (bottom - top) * (right - left))


def _circle(part: Grey) -> Circle | None:
    """Measure a component as a circle; None if it is none."""
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0].astype(np.float64)
    x, y = (outline.min(axis=0) + outline.max(axis=0)) / 2
    distances = np.hypot(outline[:, 0] - x, outline[:, 1] - y)
    radius = float(distances.mean())
    if np.abs(distances - radius).mean() > max(UNROUND * radius, PIXEL):
        return None
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    steps = np.arange(int(radius) + 1)
    # Along rays from the outline to the middle, up to the first paper.
    rows = np.clip(np.round(y + np.outer(np.sin(angles), radius - steps)), 0, part.shape[0] - 1).astype(int)
    columns = np.clip(np.round(x + np.outer(np.cos(angles), radius - steps)), 0, part.shape[1] - 1).astype(int)
    paper = part[rows, columns] == 0
    # The outermost pixel may be paper, by rounding.
    paper[:, 0] = False
    lines = np.where(paper.any(axis=1), paper.argmax(axis=1), len(steps))
    line = float(np.median(lines))
    return None if line > max(THICK * radius, 2.0) else Circle(float(x) + 0.5, float(y) + 0.5, radius + 0.5, line)
