"""Bring a page as its source describes it into the form of annotated pages: upright, clipped, complete and scaled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from paragraph_ocr.io.grey import orientation
from paragraph_ocr.io.imaging import DecodedPage
from paragraph_ocr.pipeline.light import dark_on_light_everywhere, even_light
from paragraph_ocr.pipeline.rectification import with_square_pixels
from training.data.corrections import normalise
from training.data.pages import MIN_BASELINE, line_heights
from training.importers.records import Candidate, FoundLine, FoundPage, ImportRefused, Points, Report

# Height of lines from ascender to descender that pages are shrunk to: that of 56 pixels of an upright polygon.
LINE_HEIGHT = 42.0
# Pages are shrunk further to this side, unless their lines would become lower than is read well.
LONGEST_SIDE = 2600
MIN_LINE_HEIGHT = 30.0
# How much the shapes of a page may differ in its source and in its image.
SHAPE_TOLERANCE = 0.02
# Share of the union of two polygons that is common to both, from which they are of the same line.
DUPLICATE = 0.7
# Height of a line, ascender to descender, as a share of the distance of baselines: 0.7 to 1.05 in nine archives.
HEIGHT_OF_DISTANCE = 0.85
# Ratio of the height of outlines to that from the distance of baselines, above which the outlines are too high: some
# programs draw them over half of the neighbouring lines.
HIGH_OUTLINES = 1.4
# Share of that height above the baseline: 0.61 to 0.77 there.
ASCENDER = 0.71
# Share of a polygon below which its baseline lies where nothing else tells.
DESCENDER = 0.24
# Lines of a page, and points of an outline or a baseline: those that cross or overlap take the square of their number.
MAX_LINES, MAX_POINTS = 2000, 2000

Array = NDArray[np.float32]
Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class PlacedPage:
    """A page as it is written: pixels uint8 (H, W), and lines and ignored polygons as ``pages.jsonl`` has them."""

    pixels: Grey
    lines: list[dict[str, Any]]
    ignore: list[list[list[float]]]


@dataclass
class _Line:
    found: FoundLine
    polygon: Array
    baseline: Array


def exif(path: Path) -> tuple[int, int, int, float]:
    """Return EXIF orientation, width and height as stored, and dots per inch (0 if not given) of an image."""
    try:
        with Image.open(path) as image:
            dpi = image.info.get("dpi", (0.0, 0.0))[0]
            return orientation(image), image.width, image.height, float(dpi)
    except (OSError, ValueError, TypeError, LookupError, Image.DecompressionBombError):
        return 1, 0, 0, 0.0


def place(found: FoundPage, page: DecodedPage, candidate: Candidate, report: Report) -> PlacedPage:
    """Bring a page into the form of annotated pages.

    Lines without a baseline get one from their outline and the ink in it, lines without an outline one from their
    baseline. A page whose lines do not run from left to right is turned. Lines whose text is missing or unclear become
    ignored polygons.

    Parameters
    ----------
    found : FoundPage
    page : DecodedPage
        Its image, turned by its EXIF orientation.
    candidate : Candidate
        Names the file and the image.
    report : Report
        Takes what was changed, ignored and left out.

    Raises
    ------
    ImportRefused
        The description is of an image of another shape, or has too many lines.
    """
    if len(found.lines) > MAX_LINES:
        raise ImportRefused(f"it has {len(found.lines):,} lines; those of a page are at most {MAX_LINES:,}")
    height, width = page.pixels.shape
    transform = _to_image(found, page.pixels, candidate, report)
    pixels = with_square_pixels(page.pixels, page.pixel_aspect)
    square = np.array([pixels.shape[1] / width, pixels.shape[0] / height], np.float32)
    lines: list[_Line] = []
    for line in found.lines:
        polygon, baseline = (transform(points) * square for points in (line.polygon, line.baseline))
        if not len(polygon) and not len(baseline):
            report.leave_out(candidate.file, line.name, "it has no outline and no baseline")
        elif max(len(polygon), len(baseline)) > MAX_POINTS:
            report.leave_out(candidate.file, line.name, f"it is drawn with more than {MAX_POINTS:,} points")
        else:
            lines.append(_Line(line, polygon, baseline))
    ignored = [transform(points) * square for points in found.ignore]
    turns = _turns(lines) if found.rotation is None else found.rotation // 90
    if turns:
        if found.rotation is None:
            report.say(candidate.file, f"its lines run another way: turned by {90 * turns} degrees")
        size = pixels.shape[1], pixels.shape[0]
        pixels = np.ascontiguousarray(np.rot90(pixels, turns))
        for each in lines:
            each.polygon, each.baseline = (_turned(points, turns, *size) for points in (each.polygon, each.baseline))
        ignored = [_turned(points, turns, *size) for points in ignored]
    size = pixels.shape[1], pixels.shape[0]
    lines = _without_duplicates(_complete(lines, pixels, candidate.file, report), candidate.file, report)
    ignored = [points for points in (_clipped(each, *size) for each in ignored) if _area(points) > 1]
    factor = _scale(lines, *size)
    if factor < 1:
        size = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
        scale = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]], np.float32)
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        for each in lines:
            each.polygon, each.baseline = each.polygon * scale, each.baseline * scale
        ignored = [points * scale for points in ignored]
    return PlacedPage(pixels, *_written(lines, ignored, candidate.file, report))


def _written(
    lines: list[_Line], ignored: list[Array], file: Path, report: Report
) -> tuple[list[dict[str, Any]], list[list[list[float]]]]:
    """The lines and the ignored polygons of a page as ``pages.jsonl`` has them."""
    written: list[dict[str, Any]] = []
    hidden: list[list[list[float]]] = []
    for each in lines:
        text = normalise(each.found.text)
        reason = each.found.doubt or ("" if text or each.found.struck else "it has no text")
        if reason:
            report.ignore(file, each.found.name, reason)
            hidden.append(_rounded(each.polygon))
            continue
        row: dict[str, Any] = {"text": text}
        if each.found.raw_text != text:
            row["raw_text"] = each.found.raw_text
        shape = {"baseline": _rounded(each.baseline), "polygon": _rounded(each.polygon)}
        written.append(row | shape | {"struck": each.found.struck} | each.found.more)
    middles = [each.baseline[len(each.baseline) // 2] for each in lines]
    # An empty region around lines would hide them.
    hidden += [
        _rounded(points)
        for points in ignored
        if not any(cv2.pointPolygonTest(points, middle.tolist(), False) >= 0 for middle in middles)
    ]
    return written, hidden


def _array(points: Points) -> Array:
    return np.array(points, np.float32).reshape(-1, 2)


def _rounded(points: Array) -> list[list[float]]:
    return [[round(float(x), 1), round(float(y), 1)] for x, y in points]


def _area(points: Array) -> float:
    return float(cv2.contourArea(points)) if len(points) > 2 else 0.0


def _to_image(found: FoundPage, pixels: Grey, candidate: Candidate, report: Report) -> Callable[[Points], Array]:
    """Return the function that maps points of a description to pixels of the image, turned by its EXIF orientation.

    Most programs place lines on the pixels as they are stored, without regard to the EXIF orientation. Which of the two
    is meant follows from width and height; if these fit both, from what the program is known to do (`as_shown`).
    """
    height, width = pixels.shape
    code, stored_width, stored_height, dpi = exif(candidate.image)
    shown = (float(width), float(height))
    stored = (float(stored_width), float(stored_height)) if code > 1 else shown
    given = (found.width, found.height)
    if min(given) <= 0:
        if found.unit and not dpi:
            raise ImportRefused(
                "it gives neither its size in its unit of measurement nor does the image its resolution"
            )
        factor = found.unit * dpi if found.unit else 1.0
        given = (stored[0] / factor, stored[1] / factor)
    fits_shown, fits_stored = (_same_shape(given, size) for size in (shown, stored))
    if not fits_shown and not fits_stored:
        raise ImportRefused(
            f"it is of a page of {given[0]:g} x {given[1]:g}, which is not the shape of the image's {width} x {height} "
            "pixels"
        )
    as_stored = code > 1 and fits_stored and not (fits_shown and found.as_shown)
    size = stored if as_stored else shown
    scale = np.array([size[0] / given[0], size[1] / given[1]], np.float32)
    if not found.unit and abs(scale[0] - 1) > SHAPE_TOLERANCE:
        report.say(
            candidate.file,
            f"it is of a page of {given[0]:g} x {given[1]:g}, the image has {width} x {height} pixels: scaled",
        )

    def transform(points: Points) -> Array:
        scaled = _array(points) * scale
        return _by_orientation(scaled, code, *stored) if as_stored else scaled

    return transform


def _same_shape(one: tuple[float, float], other: tuple[float, float]) -> bool:
    if min(*one, *other) <= 0:
        return False
    # A pixel more or less is a matter of rounding.
    across, down = one[0] / other[0], one[1] / other[1]
    return abs(across / down - 1) <= max(SHAPE_TOLERANCE, 2 / min(*one, *other))


def _by_orientation(points: Array, code: int, width: float, height: float) -> Array:
    """Map points of an image as it is stored to the image turned by its EXIF orientation."""
    x, y = points[:, 0], points[:, 1]
    columns = {
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (height - y, x),
        7: (height - y, width - x),
        8: (y, width - x),
    }
    return np.stack(columns.get(code, (x, y)), axis=1).astype(np.float32)


def _turned(points: Array, turns: int, width: float, height: float) -> Array:
    """Map points of an image of this size to the image turned by quarter turns anticlockwise."""
    x, y = points[:, 0], points[:, 1]
    columns = {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}
    return np.stack(columns.get(turns % 4, (x, y)), axis=1).astype(np.float32)


def _share_above(line: _Line) -> float:
    """Share of an outline that lies above the baseline as it is drawn; a half where there is nothing to tell by."""
    direction = line.baseline[-1] - line.baseline[0]
    length = float(np.hypot(*direction))
    if len(line.polygon) < 3 or length < MIN_BASELINE:
        return 0.5
    across = (line.polygon - line.baseline[0]) @ np.array([-direction[1], direction[0]], np.float32) / length
    above, below = max(-float(across.min()), 0.0), max(float(across.max()), 0.0)
    return above / (above + below) if above + below else 0.5


def _turns(lines: list[_Line]) -> int:
    """Return by how many quarter turns anticlockwise a page is to be turned so that most lines run from left to right.

    A baseline drawn from right to left is of an upside-down line only if most of the outline is on its left side;
    otherwise it was drawn from its end.
    """
    votes = [0.0, 0.0, 0.0, 0.0]
    for line in lines:
        if len(line.baseline) < 2:
            continue
        x, y = line.baseline[-1] - line.baseline[0]
        if abs(x) >= abs(y):
            turn = 2 if x < 0 and _share_above(line) > 0.6 else 0
        else:
            downwards = (y > 0) == (_share_above(line) >= 0.4)
            turn = 1 if downwards else 3
        votes[turn] += float(np.hypot(x, y))
    return int(np.argmax(votes)) if max(votes) > 0.6 * sum(votes) else 0


def _clipped(points: Array, width: int, height: int) -> Array:
    """Points within a page; none where they are all beside it."""
    if not len(points):
        return points
    low, high = points.min(axis=0), points.max(axis=0)
    if high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
        return points[:0]
    return np.clip(points, 0, [width, height]).astype(np.float32)


def _in_order(baseline: Array) -> Array:
    """A baseline without points that repeat, its points in order along it, from left to right."""
    if len(baseline) < 2:
        return baseline
    distinct = np.concatenate([[True], np.abs(np.diff(baseline, axis=0)).sum(axis=1) > 0.05])
    line: Array = baseline[distinct]
    if len(line) < 2:
        return line
    steps = float(np.hypot(*np.diff(line, axis=0).T).sum())
    spread = line.max(axis=0) - line.min(axis=0)
    if steps > 1.3 * float(np.hypot(*spread)):
        # It doubles back, such as where its points were set in no order.
        line = line[np.argsort(line[:, int(spread[1] > spread[0])], kind="stable")]
    x, y = line[-1] - line[0]
    return line[::-1].copy() if x < 0 and -x > abs(y) else line


def _complete(lines: list[_Line], pixels: Grey, file: Path, report: Report) -> list[_Line]:
    """The lines of an upright page that lie on it, each with outline and baseline."""
    height, width = pixels.shape
    kept: list[_Line] = []
    normalised: Grey | None = None
    beyond = []
    for line in lines:
        if any(_reaches_beyond(points, width, height) for points in (line.polygon, line.baseline)):
            beyond.append(line.found.name)
        line.polygon, line.baseline = (_clipped(points, width, height) for points in (line.polygon, line.baseline))
        if not len(line.polygon) and not len(line.baseline):
            beyond.remove(line.found.name)
            report.leave_out(file, line.found.name, "it lies outside the image")
            continue
        if len(line.polygon) and cv2.contourArea(cv2.convexHull(line.polygon)) < 4:
            line.polygon = line.polygon[:0]
        line.baseline = _in_order(line.baseline)
        if len(line.baseline) < 2 or np.hypot(*np.ptp(line.baseline, axis=0)) < MIN_BASELINE / 2:
            line.baseline = line.baseline[:0]
        if len(line.polygon) and len(line.baseline) and _is_apart(line):
            line.baseline = line.baseline[:0]
        if not len(line.polygon) and not len(line.baseline):
            report.leave_out(file, line.found.name, "its outline and its baseline are too small, or outside the image")
            continue
        if not len(line.baseline):
            if normalised is None:
                normalised = even_light(dark_on_light_everywhere(pixels))
            line.baseline = derive_baseline(line.polygon, normalised)
        kept.append(line)
    if beyond:
        report.say(file, f"clipped to the image: {_listed(beyond)}")
    bare = [line for line in kept if not len(line.polygon)]
    if bare:
        heights = [sum(line_heights(line.baseline, line.polygon)) for line in kept if len(line.polygon)]
        usual = float(np.median(heights)) if heights else _height_by_distance(kept) or width / 25
        for line in bare:
            line.polygon = _clipped(_band(line.baseline, ASCENDER * usual, (1 - ASCENDER) * usual), width, height)
        report.say(file, f"outlines drawn along the baseline: {_listed([line.found.name for line in bare])}")
    return kept


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _reaches_beyond(points: Array, width: int, height: int) -> bool:
    """Whether a point lies outside a page by more than what rounding makes."""
    return bool(len(points) and ((points < -2).any() or (points > [width + 2, height + 2]).any()))


def _without_duplicates(lines: list[_Line], file: Path, report: Report) -> list[_Line]:
    """The lines without those that are drawn twice; where both have text, and not the same, they are doubtful."""
    if len(lines) < 2:
        return lines
    shapes = [shapely.make_valid(shapely.Polygon(line.polygon)) for line in lines]
    gone: set[int] = set()
    for one, other in zip(*shapely.STRtree(shapes).query(shapes, predicate="intersects"), strict=True):
        if one >= other or one in gone or other in gone:
            continue
        shared = shapely.area(shapely.intersection(shapes[one], shapes[other]))
        if shared < DUPLICATE * shapely.area(shapely.union(shapes[one], shapes[other])):
            continue
        texts = [normalise(lines[each].found.text) for each in (one, other)]
        worse = int(one if texts[1] and not texts[0] else other)
        gone.add(worse)
        kept = lines[int(one) + int(other) - worse]
        report.leave_out(file, lines[worse].found.name, f"{kept.found.name} is at the same place")
        if all(texts) and texts[0] != texts[1]:
            kept.found = replace(kept.found, doubt="it is there twice, with different texts")
    return [line for place, line in enumerate(lines) if place not in gone]


def _is_apart(line: _Line) -> bool:
    """Whether a baseline is farther from its outline than this is high."""
    outline = shapely.make_valid(shapely.Polygon(line.polygon))
    across = min(np.ptp(line.polygon, axis=0))
    return bool(shapely.distance(outline, shapely.LineString(line.baseline)) > across)


def _height_by_distance(lines: list[_Line]) -> float:
    """Height of the lines of a page, from the distance of each baseline to the next below it; 0 without such a pair."""
    gaps = []
    for line in lines:
        left, right = line.baseline[:, 0].min(), line.baseline[:, 0].max()
        level = float(line.baseline[:, 1].mean())
        below = [
            distance
            for other in lines
            if other.baseline[:, 0].min() < right
            and other.baseline[:, 0].max() > left
            and (distance := float(other.baseline[:, 1].mean()) - level) > 4
        ]
        gaps += [min(below)] if below else []
    return HEIGHT_OF_DISTANCE * float(np.median(gaps)) if gaps else 0.0


def _band(baseline: Array, ascender: float, descender: float) -> Array:
    """The outline of a line of a given height."""
    tangents = np.gradient(baseline, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-6)
    downs = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
    upper, lower = baseline - downs * ascender, baseline + downs * descender
    return np.concatenate([upper, lower[::-1]]).astype(np.float32)


def derive_baseline(polygon: Array, pixels: Grey) -> Array:
    """A baseline for an outline, where the ink of its letters ends.

    It follows the lower edge of the outline, at the distance at which the ink falls off most steeply; where no place
    stands out, at that of usual descenders.

    Parameters
    ----------
    polygon : float32 (M, 2), M at least 3
    pixels : uint8 (H, W)
        The upright page with dark ink on evenly lit paper.

    Returns
    -------
    float32 (K, 2)
        From left to right.
    """
    left, right = float(polygon[:, 0].min()), float(polygon[:, 0].max())
    count = int(np.clip((right - left) / 16, 2, 200))
    xs = np.linspace(left, right, count)
    edges = shapely.Polygon(polygon).exterior if len(polygon) > 2 else shapely.LineString(polygon)
    top, bottom = float(polygon[:, 1].min()) - 1, float(polygon[:, 1].max()) + 1
    inside = np.clip(xs, left + 0.01 * (right - left), right - 0.01 * (right - left))
    crossings = shapely.intersection(edges, shapely.linestrings([[(x, top), (x, bottom)] for x in inside]))
    bounds = shapely.bounds(crossings)
    good = np.isfinite(bounds).all(axis=1)
    if good.sum() < 2:
        level = float(polygon[:, 1].max()) - DESCENDER * (bottom - top)
        return np.array([[left, level], [max(right, left + 1), level]], np.float32)
    upper, lower = (np.interp(xs, xs[good], bounds[good, axis]) for axis in (1, 3))
    height = max(float(np.median(lower - upper)), 2.0)
    # Outlines drawn around each letter jump up and down: follow their course, not their steps.
    slope, level = np.polyfit(xs, lower, 1) if count > 2 else ((lower[-1] - lower[0]) / max(right - left, 1), 0.0)
    course = slope * xs + level if count > 2 else lower
    depth = _ink_end(pixels, xs, course, height)
    return np.stack([xs, course - depth], axis=1).astype(np.float32)


def _ink_end(pixels: Grey, xs: NDArray[np.float64], course: NDArray[np.float64], height: float) -> float:
    """How far above the lower edge of an outline the ink of most letters ends, pixels."""
    columns = np.arange(int(xs[0]), max(int(xs[-1]), int(xs[0]) + 1))
    lower = np.interp(columns, xs, course)
    offsets = np.arange(-math.ceil(height), 3)
    rows = np.clip(np.round(lower[None] + offsets[:, None]).astype(int), 0, pixels.shape[0] - 1)
    ink = 255.0 - pixels[rows, np.clip(columns, 0, pixels.shape[1] - 1)[None]]
    profile = ink.mean(axis=1)
    profile = profile - profile.min()
    step = max(2, round(height / 12))
    window = np.ones(step) / step
    smoothed = np.convolve(np.pad(profile, step, mode="edge"), window, "same")[step:-step]
    usual = DESCENDER * height
    fall = smoothed[:-step] - smoothed[step:]
    places = offsets[:-step] + step / 2
    near = (places > -0.5 * height) & (places <= 1)
    if not near.any() or smoothed.max() < 4:
        return usual
    best = int(np.argmax(np.where(near, fall, -np.inf)))
    return float(-places[best]) if fall[best] > 0.3 * smoothed.max() else usual


def _scale(lines: list[_Line], width: int, height: int) -> float:
    """By what factor a page is made smaller; never larger."""
    heights = [sum(line_heights(line.baseline, line.polygon)) for line in lines]
    usual = float(np.median(heights)) if heights else LINE_HEIGHT
    by_distance = _height_by_distance(lines)
    if by_distance and usual > HIGH_OUTLINES * by_distance:
        usual = by_distance
    factor = min(1.0, LINE_HEIGHT / usual)
    longest = max(width, height) * factor
    if longest > LONGEST_SIDE:
        factor = max(factor * LONGEST_SIDE / longest, min(factor, MIN_LINE_HEIGHT / usual))
    return factor
