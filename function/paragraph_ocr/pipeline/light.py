"""Correct uneven illumination, and invert pages and parts of pages with light text on a dark background."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.rectification import percentiles

# Light is even where the darkest tenth of a page has this share of the light of the brightest tenth.
EVEN = 0.75
# The most by which shadow is lightened: what is darker is no paper, but the table around it.
BRIGHTEST = 2.5
# Panels of a screen are each of one grey level, within so many, and differ by so many levels at least; together the
# panels that have at least this share of the page have nearly all of it. The darkest has so much of the light of the
# brightest: else they are alike, or it is no paper.
PANEL_LEVELS, PANEL_STEP, PANEL_SHARE, PANELS_SHARE, PANEL_LIGHT = 2, 8, 0.03, 0.9, (0.65, 0.96)
# Pixels of a page's longer side at which parts that are light on dark are told.
PART_SIDE = 640
# The background is the median of a square of so many of these pixels: larger than strokes, smaller than banners.
PART_WINDOW = 17
# Grey levels by which the background of such a part is darker than paper, and its writing lighter than that.
PART_CONTRAST = 40
# Skewness of a page's differences from its background from which there is writing; noise has none.
MIN_SKEW = 1.0
# Of a part, the share that writing may cover.
MIN_WRITING_SHARE, MAX_WRITING_SHARE = 0.01, 0.4
# The share of a page from which what is as light as paper and connected is paper, not writing on a dark part.
PAPER_SHARE = 0.01
# The share of a page, and of its edges, from which a dark part may be the table around a card that has a dark band:
# writing on it is told by its places, of so many letters at least that are so tall.
LARGE_PART, AROUND_CARD, PLACE_LETTERS, PLACE_LETTER = 0.1, 0.5, 3, 3
# What a large letter leaves out of a part: the greatest share of the page, and the least share of it that is dark.
LARGEST_HOLE, DARK_HOLE = 0.02, 0.3
# The side of a place in a part, in these pixels; by which share of it more is dark than light, where it has dark
# writing; and the greatest share of a part with light writing that such places have.
PLACE, DARK_PLACE, DARK_PLACES = 41, 0.05, 0.005
# Thickness of the thickest stroke of writing relative to that of the ground it is on: more is the inside of a large
# dark letter, such as an O.
THICKEST = 0.35
# The same for bars of one level, which may be wide and hold one word.
MIN_BAR_WRITING_SHARE, MAX_BAR_WRITING_SHARE = 0.001, 0.3
# Pixels of a page's longer side at which bars of one line, such as the head of a table, are told.
BAR_SIDE = 1280
# Of these pixels: the least width and height of a bar, the largest letters on it, their widest straight stroke, and
# the square of which the median is the background.
BAR_WIDTH, BAR_HEIGHT, BAR_LETTERS, BAR_STROKE, BAR_WINDOW = 31, 9, 120, 12, 31
# Letters but for straight strokes fill less of their bounds than this.
BAR_FULL = 0.85
# A bar is dark along its whole edge and in most of its area, and letters on it are narrower than this share of it;
# the paper around dark letters in a cell with rules is as wide as the cell.
BAR_EDGE, BAR_FILL, BAR_LETTER = 0.9, 0.6, 0.5
# The one of these contrasts by which only bars are told that do not reach the edge of the page.
INNER_CONTRAST = 70
# Grey levels by which bars are darker than paper, and by which their background varies.
BAR_CONTRASTS, BAR_SHADING = (160, 100, INNER_CONTRAST, PART_CONTRAST), 24
# Of the way from a bar's background to the page's paper, the lightest tenth of the writing on it goes so much at least:
# light that falls on a dark table around a sheet does not.
BAR_BRIGHTNESS = 0.5
# Within so many pixels of its edge, the page is lighter than a bar with dark writing by this share of the difference.
EDGE_REACH, HARD_EDGE = 4, 0.4
# Thickness in pixels of the rim around a bar, and the greatest share of it that is as dark as the bar, if that is no
# wider than so many pixels: the strokes of a large letter that small ones touch go on beyond what looks like a bar.
# What is light so near its left or right edge is the inside of a small letter there.
BAR_AROUND, MAX_DARK_AROUND, SHORT_BAR, BAR_SIDES = 3, 0.1, 120, 10
# At the edge of a page a bar fills so much of its bounds: what is left of a dark table around a sheet mostly does not.
EDGE_FILL = 0.7
# The least share of a column of a bar that is dark above and below a letter.
BAR_RIMS = 0.1
# How far above and below a bar what is as wide as a bar is part of it.
SLIVER = 3
# The share of a column's height in a bar that a gap between two cells fills.
CELL_GAP = 0.8
# A bar with dark writing at the edge of the page has at least this share of its width.
WIDE_BAR = 0.5
# How far beyond a bar with dark writing the page is lightened with it, rows and columns.
BAR_RIM = (11, 15)
# A disc or a square with a number or a letter on it, as of a step or a place on a map: least and greatest side in
# pixels of `BAR_SIDE`, longer over shorter side, the share of its bounds that it fills, and that of its convex hull.
DISC, DISC_LONGER, DISC_FULL, DISC_CONVEX = (18, 160), 1.15, 0.68, 0.94
# By how many grey levels it is darker than paper, and by how many most of it varies at most.
DISC_CONTRAST, DISC_EVEN = 60, 30
# What is light on it, by this share of the way from its level to that of paper: its share of the disc; in sides of
# that, its longer side, its thickness, less than that of the inside of an O, and how far it is from the middle.
DISC_LIGHT, DISC_WRITING, DISC_LETTER, DISC_STROKE, DISC_MIDDLE = 0.4, (0.02, 0.4), (0.28, 0.76), 0.2, 0.13
# The edge of a disc, which is wiped, in its sides, within and, in pixels, beyond it.
DISC_EDGE, BEYOND_DISC = 0.07, 3
# Rows that are lightened at once.
ROWS = 128
LIGHT_ON_DARK, DARK_ON_DARK = 1, 2

Grey = NDArray[np.uint8]


def _shrunk(page: Grey, side: int, method: int = cv2.INTER_AREA) -> Grey:
    """A page with at most so many pixels on its longer side; of a large one, not every row and column counts."""
    step = max(1, max(page.shape) // (2 * side))
    part = page[::step, ::step]
    scale = min(1.0, side / max(part.shape))
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    return np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)


def dark_on_light(page: Grey) -> Grey:
    """A page as it is, or its negative where its strokes are lighter than what surrounds them.

    Strokes are thin: what differs most from its neighbourhood is ink, whatever the tone of the paper.

    Parameters
    ----------
    page : uint8 (H, W)
    """
    small = _shrunk(page, PART_SIDE)
    return np.asarray(255 - page, np.uint8) if _is_negative(small, _background(small)) else page


def _background(small: Grey) -> Grey:
    """The median around each pixel of a small page: no edge of a sheet or a shadow is in it, but wide strokes are."""
    return np.asarray(cv2.medianBlur(small, PART_WINDOW), np.uint8)


def _is_skewed(difference: NDArray[np.float32]) -> bool:
    """Whether there are strokes, however faint, in what a page differs by from its background: noise is symmetrical."""
    square = difference * difference
    return abs(float((square * difference).mean())) > MIN_SKEW * math.sqrt(float(square.mean())) ** 3


def _is_negative(small: Grey, ground: Grey) -> bool:
    """Whether the strokes of a small page are lighter than what surrounds them, given its background."""
    difference = small.astype(np.float32) - ground
    if float((np.abs(difference) > PART_CONTRAST / 2).mean()) < MIN_WRITING_SHARE / 2 and not _is_skewed(difference):
        blurred = cv2.blur(small.astype(np.float32), (31, 31), borderType=cv2.BORDER_REPLICATE)
        difference = small.astype(np.float32) - blurred
    # Where most of the page is light paper, the writing on it counts, not that on banners.
    low, high = np.percentile(ground, (5, 95))
    if high - low > 2 * PART_CONTRAST:
        for level in (high - PART_CONTRAST, (low + high) / 2):
            light = ground > level
            if light.mean() > 0.5:
                difference = difference[cv2.erode(light.view(np.uint8), np.ones((3, 3), np.uint8)) > 0]
                break
    # The third moment: many pixels a little above the background and few far below it are dark strokes on light paper.
    # Multiplied, which takes a twentieth of the time of a power.
    return float((difference * difference * difference).mean()) > 0


def even_light(page: Grey) -> Grey:
    """A page as it is, or, where a part of it lies in shadow, or it is parted into panels, as if the light fell evenly.

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
    if dim > EVEN * bright and not _has_panels(np.asarray(light, np.uint8)):
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


def _has_panels(light: Grey) -> bool:
    """Whether the background of a page consists of panels of different grey, as the sidebars of screens are.

    Light that falls off has all levels between the brightest and the darkest.
    """
    counts = np.bincount(light.ravel(), minlength=256).astype(np.float64)
    about = np.ones(2 * PANEL_LEVELS + 1)
    levels: list[int] = []
    while True:
        near = np.convolve(counts, about, "same")
        level = int(near.argmax())
        if near[level] < PANEL_SHARE * light.size:
            break
        levels.append(level)
        counts[max(level - PANEL_LEVELS, 0) : level + PANEL_LEVELS + 1] = 0
    uniform = counts.sum() <= (1 - PANELS_SHARE) * light.size
    steps = np.diff(sorted(levels))
    low, high = PANEL_LIGHT
    return bool(
        uniform and len(steps) and steps.min() >= PANEL_STEP and low * max(levels) <= min(levels) < high * max(levels)
    )


def dark_on_light_everywhere(page: Grey) -> Grey:
    """A page as it is, or its negative, and within it those parts inverted in which writing is light on dark.

    Bars with dark writing, such as the grey heads of tables, become as light as the paper.

    Parameters
    ----------
    page : uint8 (H, W)
        Of any light; a banner, a cell or a picture may be dark within it.

    Returns
    -------
    uint8 (H, W)
        Light paper everywhere but in dark pictures without writing.
    """
    small = _shrunk(page, PART_SIDE)
    background = _background(small)
    if _is_negative(small, background):
        page, small, background = (np.asarray(255 - grey, np.uint8) for grey in (page, small, background))
    paper = int(np.percentile(background, 90))
    large = _shrunk(page, BAR_SIDE, cv2.INTER_LINEAR)
    if (without := _without_discs(page, small, large, paper)) is not page:
        page = without
        small, large = _shrunk(page, PART_SIDE), _shrunk(page, BAR_SIDE, cv2.INTER_LINEAR)
        background = _background(small)
    polarity, ground = _bars(large, paper)
    shaded = np.where(polarity == DARK_ON_DARK, ground, np.uint8(0)) if DARK_ON_DARK in polarity else None
    inverted = _dark_parts(small, background, paper, polarity, ground)
    if shaded is not None:
        page = _lightened(page, shaded, paper)
    if not inverted.any():
        return page
    size = page.shape[::-1]
    where = cv2.resize(inverted, size, interpolation=cv2.INTER_NEAREST).view(bool)
    # The paper along the edge would become a rule.
    inner = cv2.resize(cv2.erode(inverted, np.ones((3, 3), np.uint8)), size, interpolation=cv2.INTER_NEAREST).view(bool)
    levels = cv2.resize(ground, size, interpolation=cv2.INTER_LINEAR)
    # Lighter than the background by all that it can be becomes black, whatever the background is.
    gain = np.asarray(paper / np.maximum(255 - np.arange(256), 60), np.float32)
    lighter = cv2.subtract(page, levels)
    negative = paper - np.minimum(lighter * gain[levels], paper)
    result = page.copy()
    result[where] = np.maximum(page[where], paper)
    result[inner] = negative[inner].astype(np.uint8)
    return result


def _without_discs(page: Grey, small: Grey, large: Grey, paper: int) -> Grey:
    """A page as it is, or with the light numbers and letters on small dark discs and squares as dark ones on paper.

    Parameters
    ----------
    page, small, large : uint8 (H, W), uint8 (h', w'), uint8 (h, w)
        The page, and what it is with a longer side of `PART_SIDE` and of `BAR_SIDE`.
    paper : int
        Grey level of the page's paper.
    """
    zoom = large.shape[0] / small.shape[0]
    # Without strokes of letters, little is left.
    dark = cv2.morphologyEx(
        (small < max(paper - DISC_CONTRAST, 0)).view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    boxes = components(np.asarray(dark, np.uint8), 4).boxes[1:]
    _, _, width, height, area = boxes.T
    shorter, longer = np.minimum(width, height), np.maximum(width, height)
    may = (shorter + 2 >= DISC[0] / zoom) & (longer <= DISC[1] / zoom + 2)
    may &= (longer <= DISC_LONGER * shorter + 2) & (area >= (1 - DISC_WRITING[1]) * DISC_FULL * width * height)
    result = page
    for left, top, across, down, _ in boxes[may].tolist():
        x, y = (max(round(zoom * (place - 2)), 0) for place in (left, top))
        part = large[y : round(zoom * (top + down + 2)), x : round(zoom * (left + across + 2))]
        disc = _disc(part, paper)
        if disc is not None:
            result = page.copy() if result is page else result
            _invert_disc(result, disc, (x, y), page.shape[0] / large.shape[0], paper)
    return result


def _disc(part: Grey, paper: int) -> Grey | None:
    """The mask, 1 within its outline, of what is largest and dark in a part of a page, if it is a disc with writing."""
    found = components(part < max(paper - DISC_CONTRAST, 0), 4)
    if found.number == 1:
        return None
    own = np.pad((found.labels == found.boxes[1:, cv2.CC_STAT_AREA].argmax() + 1).view(np.uint8), 1)
    (outline,), _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    left, top, across, down = cv2.boundingRect(outline)
    side = min(across, down)
    if side < DISC[0] or max(across, down) > DISC_LONGER * side:
        return None
    middle = left - 1 + across / 2, top - 1 + down / 2
    if cv2.contourArea(outline) < max(
        DISC_CONVEX * cv2.contourArea(cv2.convexHull(outline)), DISC_FULL * across * down
    ):
        return None
    whole = np.asarray(cv2.fillPoly(np.zeros_like(own), [outline], 1), np.uint8)[1:-1, 1:-1]
    own = own[1:-1, 1:-1]
    filled = int(np.count_nonzero(whole))
    inner = cv2.erode(whole, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    solid = part[(own & inner) > 0]
    if not solid.size:
        # A thin ring.
        return None
    low, level, high = np.percentile(solid, (10, 50, 80))
    light = ((inner > 0) & (part > level + DISC_LIGHT * (paper - level))).view(np.uint8)
    if high - low > DISC_EVEN:
        return None
    if not DISC_WRITING[0] * filled <= np.count_nonzero(light) <= DISC_WRITING[1] * filled:
        return None
    x, y, across, down = cv2.boundingRect(light)
    if not DISC_LETTER[0] * side <= max(across, down) <= DISC_LETTER[1] * side:
        return None
    apart = max(abs(x + across / 2 - middle[0]), abs(y + down / 2 - middle[1]))
    return whole if apart <= DISC_MIDDLE * side and _thickness(light > 0) <= max(DISC_STROKE * side, 3) else None


def _invert_disc(page: Grey, disc: Grey, corner: tuple[int, int], zoom: float, paper: int) -> None:
    """Make the light writing on a disc of a page dark on paper.

    `disc` is its mask on the page reduced by `zoom`, at a corner (x, y) there.
    """
    edge = max(round(DISC_EDGE * min(disc.shape)), 1)
    mask = np.pad(disc, BEYOND_DISC)
    inner = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * edge + 1, 2 * edge + 1)))
    outer = cv2.dilate(mask, np.ones((2 * BEYOND_DISC + 1, 2 * BEYOND_DISC + 1), np.uint8))
    width, height = (round(zoom * length) for length in mask.shape[::-1])
    left, top = (round(zoom * (place - BEYOND_DISC)) for place in corner)
    part = page[max(top, 0) : top + height, max(left, 0) : left + width]
    rows, columns = (
        slice(max(-place, 0), max(-place, 0) + n) for place, n in zip((top, left), part.shape, strict=True)
    )
    within, around = (
        cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST)[rows, columns] > 0 for each in (inner, outer)
    )
    level = float(np.median(part[within]))
    lighter = np.maximum(part[within] - level, 0)
    part[around & ~within] = paper
    part[within] = (paper - np.minimum(lighter * (paper / max(paper - level, 60)), paper)).astype(np.uint8)


def _lightened(page: Grey, shaded: Grey, paper: int) -> Grey:
    """A page of which the parts with dark writing on grey become as light as its paper.

    Parameters
    ----------
    page : uint8 (H, W)
    shaded : uint8 (h, w)
        The grey level behind the writing of such parts, elsewhere 0.
    paper : int
        Grey level of the page's paper.
    """
    # What was found of a bar has ragged edges: it is lightened to beyond them, where paper is light already.
    whole = cv2.dilate(shaded, np.ones(BAR_RIM, np.uint8))
    levels = cv2.resize(whole, page.shape[::-1], interpolation=cv2.INTER_NEAREST)
    result = page.copy()
    # Some rows at a time, for little memory.
    for first in range(0, len(page), ROWS):
        own = np.s_[first : first + ROWS]
        where = levels[own] > 0
        if where.any():
            dark = page[own][where]
            lit = np.minimum(dark * (np.float32(paper) / levels[own][where]), paper)
            result[own][where] = np.maximum(lit, dark).astype(np.uint8)
    return result


def _dark_parts(small: Grey, background: Grey, paper: int, polarity: Grey, ground: Grey) -> Grey:
    """Mark where writing is light on dark in what is dark on a page.

    Parameters
    ----------
    small, background : uint8 (h, w)
        The page with a longer side of `PART_SIDE`, and its median.
    paper : int
        Grey level of the page's paper.
    polarity, ground : uint8 (H, W)
        As `_bars` returns them. Where the polarity is unknown, the background is set in the latter.

    Returns
    -------
    uint8 (H, W)
        1 where writing is light on dark, else 0.
    """
    size = polarity.shape[::-1]
    known = cv2.resize(polarity, small.shape[::-1], interpolation=cv2.INTER_NEAREST)
    near = np.asarray(cv2.dilate(known, np.ones((5, 5), np.uint8)) > 0)
    dark = ((background < paper - PART_CONTRAST) & ~near).view(np.uint8)
    count, labels, boxes, _ = components(dark, 4)
    inner = cv2.erode(dark, np.ones((3, 3), np.uint8)) > 0
    # The corners of thick strokes and what lies between them are paper.
    light = components((small > paper - PART_CONTRAST).view(np.uint8), 4)
    is_paper = light.boxes[:, cv2.CC_STAT_AREA] >= PAPER_SHARE * small.size
    is_paper[0] = False
    open_paper = is_paper[light.labels]
    inverted = np.zeros(count, np.uint8)
    for part in range(1, count):
        left, top, width, height, area = boxes[part]
        if area < PART_WINDOW**2 // 4:
            continue
        around = np.s_[top : top + height, left : left + width]
        within = (labels[around] == part) & inner[around]
        inverted[part] = _is_light_on_dark(
            small[around], background[around], within, paper=open_paper[around]
        ) and not _has_dark_writing(small[around], background[around], within)
    parts = inverted[labels]
    for part in (np.flatnonzero(boxes[1:, cv2.CC_STAT_AREA] >= LARGE_PART * small.size) + 1).tolist():
        edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        if not inverted[part] and (edges == part).mean() >= AROUND_CARD:
            parts |= _light_places(small, background, (labels == part) & inner, open_paper, paper)
    if not parts.any() and not polarity.any():
        return polarity
    marked = np.asarray(cv2.resize(parts, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    marked[polarity > 0] = polarity[polarity > 0] == LIGHT_ON_DARK
    rest = (polarity == 0) | (ground == 0)
    ground[rest] = cv2.resize(background, size, interpolation=cv2.INTER_LINEAR)[rest]
    _fill_holes(marked, ground, np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8), paper)
    return marked


def _fill_holes(parts: Grey, ground: Grey, page: Grey, paper: int) -> None:
    """Add to dark parts the large letters on them, and set the ground there to what is dark between these.

    In the median, a large letter is as light as paper; paper within a part has less that is dark.
    """
    outlines, levels = cv2.findContours(parts, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for outline, (_, _, _, parent) in zip(outlines, levels[0] if outlines else (), strict=True):
        left, top, width, height = cv2.boundingRect(outline)
        if parent < 0 or width * height > LARGEST_HOLE * page.size:
            continue
        box = np.s_[top : top + height, left : left + width]
        hole = cv2.fillPoly(np.zeros((height, width), np.uint8), [outline], 1, offset=(-left, -top)) > 0
        dark = hole & (page[box] < paper - PART_CONTRAST)
        if np.count_nonzero(dark) >= DARK_HOLE * np.count_nonzero(hole):
            parts[box][hole] = 1
            ground[box][hole] = np.median(page[box][dark])


def _light_places(
    small: Grey, background: Grey, within: NDArray[np.bool_], open_paper: NDArray[np.bool_], paper: int
) -> Grey:
    """Mark the places of a large dark part where writing is light: as on a band of a card that lies on a dark table.

    Parameters
    ----------
    small, background : uint8 (h, w)
    within : bool (h, w)
        The part.
    open_paper : bool (h, w)
        The page's paper.
    paper : int
        Its grey level.

    Returns
    -------
    uint8 (h, w)
        1 around such writing, else 0.
    """
    strokes = within & (cv2.subtract(small, background) > PART_CONTRAST) & ~open_paper
    darker = cv2.subtract(background, small) > PART_CONTRAST
    marked = np.zeros(small.shape, np.uint8)
    around = np.ones((PART_WINDOW, 2 * PART_WINDOW + 1), np.uint8)
    near = np.asarray(cv2.dilate(strokes.view(np.uint8), around), np.uint8) & within.view(np.uint8)
    _, labels, boxes, _ = components(near)
    for place in range(1, len(boxes)):
        left, top, width, height, area = boxes[place]
        # A pattern is everywhere.
        if width < height or area > LARGE_PART * small.size:
            continue
        box = np.s_[top : top + height, left : left + width]
        own = labels[box] == place
        writing = strokes[box] & own
        letters = components(writing).boxes[1:]
        if np.count_nonzero(letters[:, cv2.CC_STAT_HEIGHT] >= PLACE_LETTER) < PLACE_LETTERS:
            continue
        level = float(np.median(background[box][own]))
        bright = float(np.percentile(small[box][writing], 90))
        even = np.ptp(np.percentile(background[box][own & ~writing], (10, 90))) <= BAR_SHADING
        if (
            even
            and bright - level >= BAR_BRIGHTNESS * (paper - level)
            and np.count_nonzero(writing) <= MAX_WRITING_SHARE * np.count_nonzero(own)
            and np.count_nonzero(own & darker[box]) <= np.count_nonzero(writing) / 4
        ):
            marked[box][own] = 1
    return marked


def _bars(page: Grey, paper: int) -> tuple[Grey, Grey]:
    """Find the dark bars and cells of a page, and whether writing on each is light or dark.

    A bar is filled but for strokes, and dark all along its edge, which a line of dark writing is not. Straight light
    gaps part the cells of a bar.

    Parameters
    ----------
    page : uint8 (H, W)
    paper : int
        Grey level of the page's paper.

    Returns
    -------
    polarity : uint8 (H, W)
        `LIGHT_ON_DARK` or `DARK_ON_DARK` on bars with such writing, elsewhere 0.
    ground : uint8 (H, W)
        The grey level of what is behind the writing on bars; 0 where dark writing is on what is beside the sheet.
    """
    polarity, ground = np.zeros(page.shape, np.uint8), np.zeros(page.shape, np.uint8)
    # Above and below its writing a bar is of one level from end to end.
    dark = (page < paper - PART_CONTRAST).view(np.uint8)
    if not cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((3, BAR_WIDTH), np.uint8)).any():
        return polarity, ground
    kernel = np.ones((BAR_HEIGHT, BAR_WIDTH), np.uint8)
    # The darkest first: bars may touch others that are less dark, or a dark table around the sheet.
    around_sheet = np.zeros(page.shape, np.bool_)
    for contrast in BAR_CONTRASTS:
        dark = ((page < paper - contrast) & (polarity == 0) & ~around_sheet).view(np.uint8)
        filled = np.asarray(cv2.morphologyEx(_with_letters(dark), cv2.MORPH_OPEN, kernel), np.uint8)
        for left, top, right, bottom, own in _filled_parts(filled, dark):
            at_edge = left == 0 or top == 0 or right == page.shape[1] or bottom == page.shape[0]
            around = np.s_[top:bottom, left:right]
            if at_edge and own.mean() < EDGE_FILL:
                around_sheet[around] |= own > 0
                continue
            if at_edge and contrast == INNER_CONTRAST:
                continue
            _settle_bar(page, (left, top), dark[around], own, paper, polarity[around], ground[around])
            light = (own > 0) & (polarity[around] == LIGHT_ON_DARK)
            if light.any() and not at_edge and _is_part_of_strokes(own, dark, left, top):
                polarity[around][light] = 0
            elif light.any():
                _continue_bar(page, (left, top), light, paper, polarity, ground)
            if at_edge and right - left < WIDE_BAR * page.shape[1]:
                # What a scanner shows beside the sheet is no bar of it.
                ground[around][(own > 0) & (polarity[around] == DARK_ON_DARK)] = 0
    if LIGHT_ON_DARK in polarity:
        # Of a bar that lies aslant, slivers are left above and below what is filled.
        levels = cv2.dilate(np.where(polarity == LIGHT_ON_DARK, ground, np.uint8(0)), np.ones((2 * SLIVER + 1, 1)))
        left_over = (page < paper - PART_CONTRAST) & (polarity == 0) & (levels > 0)
        slivers = cv2.morphologyEx(left_over.view(np.uint8), cv2.MORPH_OPEN, np.ones((1, BAR_WIDTH), np.uint8)) > 0
        polarity[slivers] = LIGHT_ON_DARK
        ground[slivers] = levels[slivers]
    return polarity, ground


def _continue_bar(
    page: Grey, corner: tuple[int, int], own: NDArray[np.bool_], paper: int, polarity: Grey, ground: Grey
) -> None:
    """Let a bar with light writing go on to the left and right of a part of it, beyond letters that touch its edge.

    Such letters are open to the paper beside the bar and part it. Between two letters a bar is dark from its upper edge
    to its lower one.

    Parameters
    ----------
    page : uint8 (H, W)
    corner : (x, y)
        Where the part begins on the page.
    own : bool (h, w)
        Mask of the part.
    paper : int
        Grey level of the page's paper.
    polarity, ground : uint8 (H, W)
        As `_bars` returns them; set where the bar goes on.
    """
    x, y = corner
    width = own.shape[1]
    across = np.arange(width)
    whole = own.sum(axis=0) > 0
    upper, lower = own.argmax(axis=0), len(own) - own[::-1].argmax(axis=0)
    high = int(np.median((lower - upper)[whole]))
    is_long = np.count_nonzero(whole) > 4 * high
    slope, begin = np.polyfit(across[whole], upper[whole], 1) if is_long else (0.0, np.median(upper[whole]))
    level = int(np.median(ground[y : y + len(own), x : x + width][own]))
    for ahead in (range(x - 1, -1, -1), range(x + width, page.shape[1])):
        bar: list[tuple[int, int]] = []
        between: list[tuple[int, int]] = []
        for column in ahead:
            top = max(y + round(begin + slope * (column - x)), 0)
            between.append((column, top))
            inner = page[top : top + high, column]
            share = float((inner < (level + paper) / 2).mean()) if inner.size else 0.0
            if share < BAR_RIMS or len(between) > high:
                break
            if share >= BAR_EDGE and abs(float(np.median(inner)) - level) <= BAR_SHADING:
                bar += between
                between = []
        for column, top in bar:
            rows = np.s_[top : top + high, column]
            free = polarity[rows] == 0
            polarity[rows][free] = LIGHT_ON_DARK
            ground[rows][free] = level


def _with_surroundings(page: Grey, corner: tuple[int, int], own: Grey, reach: int) -> tuple[Grey, Grey]:
    """What a page shows of a part of it and up to so many pixels around, and the mask `own` of the part in that.

    The part begins at `corner`, (x, y) on the page.
    """
    x, y = corner
    height, width = own.shape
    left, top = min(x, reach), min(y, reach)
    shown = page[y - top : y + height + reach, x - left : x + width + reach]
    part = np.zeros(shown.shape, np.uint8)
    part[top : top + height, left : left + width] = own
    return shown, part


def _is_part_of_strokes(own: Grey, dark: Grey, left: int, top: int) -> bool:
    """Whether what may be a bar, the mask `own` at a place on a page, is where dark strokes of the page cross."""
    if own.shape[1] > SHORT_BAR or own.sum() < BAR_HEIGHT * BAR_WIDTH:
        return False
    around, bar = _with_surroundings(dark, (left, top), own, BAR_AROUND)
    rim = cv2.dilate(bar, np.ones((2 * BAR_AROUND + 1, 2 * BAR_AROUND + 1), np.uint8)) > bar
    return bool(rim.any() and around[rim].mean() > MAX_DARK_AROUND)


def _settle_bar(
    whole: Grey, corner: tuple[int, int], dark: Grey, own: Grey, paper: int, polarity: Grey, ground: Grey
) -> None:
    """Set the polarity and the background of a part of a page where `own` is 1, if that is a bar.

    The part begins at `corner`, (x, y) on the whole page; `paper` is the grey level of the page's paper.
    """
    page = whole[corner[1] : corner[1] + own.shape[0], corner[0] : corner[0] + own.shape[1]]
    inner = cv2.erode(own, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if own.sum() < BAR_HEIGHT * BAR_WIDTH or dark[own > 0].mean() < BAR_FILL:
        return
    if dark[(own > 0) & (inner == 0)].mean() < BAR_EDGE:
        return
    letters = components(own & (1 - dark), 4).boxes[1:]
    if len(letters) and letters[:, cv2.CC_STAT_WIDTH].max() > BAR_LETTER * own.shape[1]:
        return
    level = int(np.median(page[(own > 0) & (dark > 0)]))
    middle = inner
    x, y = corner
    inside = x > 0 and y > 0 and x + own.shape[1] < whole.shape[1] and y + own.shape[0] < whole.shape[0]
    if inside and own.shape[1] <= SHORT_BAR:
        middle = cv2.erode(
            inner, np.ones((1, 2 * BAR_SIDES - 1), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
    # Light that falls off along the bar is no writing on it.
    local = np.asarray(cv2.medianBlur(np.where(own > 0, page, np.uint8(level)), BAR_WINDOW), np.uint8)
    local = np.clip(local, max(level - BAR_SHADING, 0), min(level + BAR_SHADING, 255))
    if _is_light_on_dark(page, local, middle > 0, (MIN_BAR_WRITING_SHARE, MAX_BAR_WRITING_SHARE)):
        lighter = cv2.subtract(page, local)[inner > 0]
        writing = lighter[lighter > PART_CONTRAST]
        if np.percentile(writing, 90) < BAR_BRIGHTNESS * (paper - level):
            return
        polarity[own > 0] = LIGHT_ON_DARK
        ground[own > 0] = local[own > 0]
    elif _has_hard_edge(whole, corner, own, paper - level) and _is_light_on_dark(
        255 - page, 255 - local, inner > 0, (MIN_BAR_WRITING_SHARE, MAX_BAR_WRITING_SHARE)
    ):
        polarity[own > 0] = DARK_ON_DARK
        ground[own > 0] = local[own > 0]


def _has_hard_edge(whole: Grey, corner: tuple[int, int], own: Grey, darker: int) -> bool:
    """Whether the paper around a part of a page is lighter than its edge by a share of what the part is darker.

    A shadow, which ends gradually, is no bar.
    """
    square = np.ones((3, 3), np.uint8)
    shown, part = _with_surroundings(whole, corner, own, EDGE_REACH)
    near = cv2.dilate(part, square)
    around = (cv2.dilate(near, square, iterations=EDGE_REACH - 1) > 0) & (near == 0)
    inner = cv2.erode(part, square, iterations=EDGE_REACH - 1, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    edge = (part > 0) & (inner == 0)
    if not around.any() or not edge.any():
        return True
    return float(np.median(shown[around])) - float(np.median(shown[edge])) > HARD_EDGE * darker


def _with_letters(dark: Grey) -> Grey:
    """The dark pixels of a page and what is light, enclosed by them and no larger than letters."""
    _, labels, boxes, _ = components(1 - dark, 4)
    _, _, width, height, area = boxes.T
    # Cells between rules fill their bounds; so do only slim letters.
    letters = (np.maximum(width, height) <= BAR_LETTERS) & (
        (area < BAR_FULL * width * height) | (np.minimum(width, height) <= BAR_STROKE)
    )
    letters[0] = False
    return np.asarray(dark | letters[labels].view(np.uint8))


def _filled_parts(filled: Grey, dark: Grey) -> Iterator[tuple[int, int, int, int, Grey]]:
    """Bounds and mask of each component of an image, parted where rows or columns of it are light from end to end."""
    count, labels, boxes, _ = components(filled, 4)
    for part in range(1, count):
        left, top, width, height, _ = boxes[part].tolist()
        own = (labels[top : top + height, left : left + width] == part).view(np.uint8)
        light = own & (1 - dark[top : top + height, left : left + width])
        for upper, lower in _between_gaps(own, light, 1, BAR_HEIGHT):
            rows = np.s_[upper:lower]
            for start, end in _between_gaps(own[rows], light[rows], 0, BAR_WIDTH // 2):
                yield left + start, top + upper, left + end, top + lower, own[rows, start:end]


def _between_gaps(own: Grey, light: Grey, axis: int, least: int) -> list[tuple[int, int]]:
    """The runs of at least so many rows or columns of a component that are not light from end to end."""
    gaps = light.sum(axis=axis) > CELL_GAP * own.sum(axis=axis)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], gaps, [True]]).astype(np.int8)))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, end) for start, end in runs if end - start >= least]


def _is_light_on_dark(
    part: Grey,
    background: Grey,
    within: NDArray[np.bool_],
    shares: tuple[float, float] = (MIN_WRITING_SHARE, MAX_WRITING_SHARE),
    paper: NDArray[np.bool_] | None = None,
) -> bool:
    """Whether strokes in part of a picture are lighter than what surrounds them, and there are any.

    What is nearly as thick as the ground around it, as the inside of a large letter, is no stroke.

    Parameters
    ----------
    part, background : uint8 (H, W)
    within : bool (H, W)
    shares : tuple of float
        The least and the greatest share of it that such strokes cover.
    paper : bool (H, W), optional
        Where the page's paper is; what is connected with it is no stroke.
    """
    if within.sum() < 100:
        return False
    apart = part.astype(np.float32) - background
    strokes = within & (apart > PART_CONTRAST)
    if paper is not None:
        level = np.minimum(background, float(np.median(background[within])))
        bright = components(part > level + PART_CONTRAST, 4)
        of_paper = np.zeros(bright.number, np.bool_)
        of_paper[bright.labels[paper]] = True
        of_paper[0] = False
        within = within & ~of_paper[bright.labels]
        if within.sum() < 100:
            return False
        writing = np.zeros(bright.number, np.bool_)
        writing[bright.labels[within & strokes]] = True
        writing[0] = False
        strokes = writing[bright.labels]
    difference = apart[within]
    lighter, darker = float((difference > PART_CONTRAST).mean()), float((difference < -PART_CONTRAST).mean())
    if not (shares[0] < lighter < shares[1] and lighter > 4 * darker and (difference**3).mean() > 0):
        return False
    return _thickness(strokes) <= THICKEST * _thickness(within & ~strokes)


def _has_dark_writing(part: Grey, background: Grey, within: NDArray[np.bool_]) -> bool:
    """Whether there are places in part of a picture where strokes are darker than what surrounds them.

    A patterned table and the dim side of a sheet on it are one dark part, of which the pattern has most of the strokes.

    Parameters
    ----------
    part, background : uint8 (H, W)
    within : bool (H, W)
    """
    window = (PLACE, PLACE)
    darker, lighter = (
        cv2.blur(((cv2.subtract(*pair) > PART_CONTRAST / 2) & within).astype(np.float32), window)
        for pair in ((background, part), (part, background))
    )
    return bool((darker > lighter + DARK_PLACE)[within].mean() > DARK_PLACES)


def _thickness(mask: NDArray[np.bool_]) -> float:
    """Twice the greatest distance of a pixel of a mask from what is beside the mask, or beside the image."""
    padded = np.pad(mask.view(np.uint8), 1)
    return 2 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max()) - 1


def strip_dark_on_light(strip: Grey) -> Grey:
    """A strip of one line as it is, or its negative where most of it is nearer to its darkest than to its lightest.

    Writing covers less of its line than paper does, whatever part of a page was missed by `dark_on_light_everywhere`.

    Parameters
    ----------
    strip : uint8 (H, W)
    """
    dark, middle, light = percentiles(strip[::2, ::2], (2, 50, 98))
    if light - middle > 2.0 * (middle - dark) and light - middle > PART_CONTRAST:
        return np.asarray(255 - strip, np.uint8)
    return strip
