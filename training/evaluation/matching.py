"""Match found line polygons with true ones by intersection over union, and measure the distance of baselines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from paragraph_ocr.pipeline.rectification import resample

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Matches:
    """Which found line stands for which true one.

    Attributes
    ----------
    pairs : list of (int, int)
        (true, found) whose intersection over union is large enough.
    ignored : set of int
        Found lines, unpaired, that stand at least half on an ignored polygon.
    owner : list of (int or None)
        For each found line the true line that it covers most, None where it covers none of any.
    """

    pairs: list[tuple[int, int]]
    ignored: set[int]
    owner: list[int | None]


def _polygons(lines: list[Points]) -> NDArray[np.object_]:
    return np.array([shapely.make_valid(shapely.Polygon(points)) for points in lines], dtype=object)


def baseline_error(true: Points, found: Points) -> float:
    """Mean distance of a true baseline from a found one, where the found one runs; NaN where it runs nowhere beside it.

    Parameters
    ----------
    true, found : float (K, 2)
        Polylines in the same coordinates, in which the distance is.
    """
    line = shapely.LineString(found)
    points = np.asarray(shapely.points(resample(true, max(1.0, line.length / 50))))
    along = shapely.line_locate_point(line, points)
    beside = (along > 0) & (along < line.length)
    return float(shapely.distance(points[beside], line).mean()) if beside.any() else float("nan")


def match_lines(true: list[Points], found: list[Points], ignore: list[Points], iou: float = 0.5) -> Matches:
    """Pair lines greedily, largest intersection over union first.

    Parameters
    ----------
    true, found, ignore : lists of float (K, 2)
        Polygons in the same coordinates.
    iou : float
        Smallest intersection over union of a pair.
    """
    if not found:
        return Matches([], set(), [])
    truth, seen = _polygons(true), _polygons(found)
    shared = np.zeros((len(true), len(found)))
    if true:
        pairs = shapely.STRtree(truth).query(seen, predicate="intersects")
        shared[pairs[1], pairs[0]] = shapely.area(shapely.intersection(truth[pairs[1]], seen[pairs[0]]))
    sizes = shapely.area(seen)
    union = shapely.area(truth)[:, None] + sizes[None] - shared if true else shared
    overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    chosen: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(found))
        if overlap[row, column] < iou:
            break
        if row not in taken[0] and column not in taken[1]:
            chosen.append((row, column))
            taken[0].add(row)
            taken[1].add(column)
    ignored: set[int] = set()
    if ignore:
        covered = shapely.area(shapely.intersection(seen, shapely.union_all(_polygons(ignore))))
        ignored = {int(c) for c in np.flatnonzero(covered >= 0.5 * sizes) if c not in taken[1]}
    partner = {column: row for row, column in chosen}
    owner: list[int | None] = []
    for column in range(len(found)):
        best = int(shared[:, column].argmax()) if true else 0
        covers = bool(true) and shared[best, column] > 0.25 * sizes[column]
        owner.append(partner.get(column, best if covers else None))
    return Matches(chosen, ignored, owner)
