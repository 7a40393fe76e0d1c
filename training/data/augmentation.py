"""Distort and degrade the pixels of strips and pages at random, as other pens, hands and cameras would."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.synthesis.figures import curve, stroke

Grey = NDArray[np.uint8]


def _field(rng: np.random.Generator, shape: tuple[int, int], cell: float, amplitude: float) -> NDArray[np.float32]:
    """A smooth random field, float32 (H, W), of the given cell size and standard deviation in pixels."""
    coarse = (max(2, round(shape[0] / cell) + 1), max(2, round(shape[1] / cell) + 1))
    noise = rng.normal(0.0, amplitude, coarse).astype(np.float32)
    return np.asarray(cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def warp_strip(
    strip: Grey,
    height: int,
    max_width: int,
    margin: float,
    rng: np.random.Generator,
    zoom: float = 1.0,
    stretch: float = 1.0,
) -> Grey:
    """Shear, scale, shift and bend a cached strip at random, and crop it to the recogniser's height.

    The x-height, the ascenders and the descenders are scaled independently.

    Parameters
    ----------
    strip : uint8 (round(height * margin), W)
    height, max_width : int
        Size of the recogniser's input.
    margin : float
        Height of the cached strip relative to the recogniser's input.
    rng : Generator
    zoom, stretch : float
        Factors of size and of width that apply before the random ones.

    Returns
    -------
    uint8 (height, W'), W' at most max_width
    """
    rows, columns = strip.shape
    shear = rng.normal(0.0, 0.22)
    rise, body, fall = zoom * np.exp(rng.normal(0.0, 0.09) + rng.normal(0.0, 0.12, 3))
    scale_x = zoom * stretch * float(np.exp(rng.normal(0.0, 0.15)))
    baseline, shift = 0.7 * rows, rng.normal(0.0, 0.035 * height)
    ends = rng.normal(0.0, 0.05 * height, 2)
    width = int(np.clip(round(columns * scale_x), 16, max_width))
    scale_x = width / columns
    slope = rng.normal(0.0, 0.012)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    across = y - (0.7 * height + shift)
    source_x = x / scale_x + shear * across + ends[0] + (ends[1] - ends[0]) * x / width
    top = -0.28 * height * body
    within = np.where(across < top, top / body + (across - top) / rise, across / np.where(across < 0, body, fall))
    source_y = within + baseline + slope * (x - width / 2)
    if rng.random() < 0.7:
        # Fields of smaller cells, which bend single letters, have smaller amplitudes than those that bend words.
        cell = rng.uniform(0.35, 1.0) * height
        source_x += _field(rng, (height, width), cell, rng.uniform(0.01, 0.085) * cell)
        source_y += _field(rng, (height, width), cell, rng.uniform(0.01, 0.07) * cell)
    warped = cv2.remap(
        strip,
        source_x.astype(np.float32),
        source_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


def cross(strip: Grey, rng: np.random.Generator) -> Grey:
    """Draw over a strip what stands on a page beside its text: a signature, a tick, a stamp's ring, a large shape.

    Strokes run across the line rather than along it: what is struck out is not to be read.

    Parameters
    ----------
    strip : uint8 (H, W)
    rng : Generator

    Returns
    -------
    uint8 (H, W'), W' up to W + 1.2 H where a shape stands before or after the line
    """
    height, width = strip.shape
    ink = np.zeros_like(strip)
    thickness = max(1, round(rng.uniform(0.03, 0.18) * height))
    x = rng.uniform(0, width)
    kind = rng.choice(["shape", "ring", "curve"], p=[0.2, 0.25, 0.55])
    if kind == "shape":
        beside = int(rng.uniform(0.2, 1.2) * height)
        sides = (beside, 0) if rng.random() < 0.4 else (0, beside)
        strip = np.asarray(np.pad(strip, ((0, 0), sides), mode="edge"), np.uint8)
        ink = np.zeros_like(strip)
        # The far end of the strip, with an edge that is straight, slanting or round.
        y = np.linspace(-1, 1, 9)
        foot, head, bulge = rng.uniform(0.0, 0.5, 3) * beside
        edge = np.interp(y, [-1, 1], [head, foot]) + bulge * (1 - y**2)
        corner = 0 if sides[0] else strip.shape[1]
        outline = np.stack([edge if sides[0] else corner - edge, (y + 1) / 2 * height], axis=1)
        outline[:, 1] += rng.choice([0.0, rng.uniform(-0.7, 0.7)]) * height
        ends = [[corner, outline[-1, 1]], [corner, outline[0, 1]]]
        cv2.fillPoly(ink, [np.concatenate([outline, ends]).round().astype(np.int32)], 255, cv2.LINE_AA)
    elif kind == "ring":
        radius = rng.uniform(0.8, 5.0) * height
        angle = rng.uniform(-0.6, 0.6) + rng.choice([0.0, np.pi])
        centre = round(x + radius * np.cos(angle)), round(height / 2 + radius * np.sin(angle))
        for share in (1.0, rng.uniform(0.75, 0.95))[: int(rng.integers(1, 3))]:
            axes = round(share * radius * rng.uniform(0.9, 1.1)), round(share * radius)
            cv2.ellipse(ink, centre, axes, 0.0, 0.0, 360.0, 255, max(1, thickness // 2), cv2.LINE_AA)
    else:
        count = int(rng.integers(2, 6))
        above = (np.arange(count) + rng.integers(2)) % 2 == 0
        y = np.where(above, rng.uniform(-0.9, 0.2, count), rng.uniform(0.8, 1.9, count)) * height
        points = np.stack([x + np.cumsum(rng.normal(0.35, 0.6, count)) * height, y], axis=1)
        stroke(ink, curve(rng, points.astype(np.float32), 40 * count), 255, thickness)
    cover = ink.astype(np.float32) / 255
    if rng.random() < 0.3:
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.4, 1.5)), np.float32)
    paper = float(np.percentile(strip, 90))
    crossed = paper - (paper - min(paper, rng.uniform(0, 170))) * cover
    return np.minimum(strip, np.asarray(crossed, np.uint8)) if paper > 90 else strip


def blur(strip: Grey, rng: np.random.Generator) -> Grey:
    """Blur a line as a photo out of focus, or one of a hand that moved, does.

    Parameters
    ----------
    strip : uint8 (H, W)
    rng : Generator

    Returns
    -------
    uint8 (H, W)
    """
    unit = len(strip) / 48
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(strip, (0, 0), rng.uniform(0.8, 2.7) * unit), np.uint8)
    # The path of a point while the shutter was open, slightly bent.
    length, angle, bend = rng.uniform(3.0, 11.0) * unit, rng.uniform(0, np.pi), rng.normal(0, 0.12)
    along = np.linspace(-0.5, 0.5, 64)
    across = bend * (4 * along**2 - 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = length * np.stack([along, across], axis=1) @ turn.T
    reach = int(np.ceil(np.abs(points).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    columns, rows = np.rint(points).astype(int).T + reach
    np.add.at(kernel, (rows, columns), 1.0)
    kernel = np.asarray(cv2.GaussianBlur(kernel, (0, 0), 0.5), np.float32)
    return np.asarray(cv2.filter2D(strip, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), np.uint8)


def degrade(
    image: Grey, rng: np.random.Generator, ruled: float = 0.15, distance: tuple[float, float] = (0.2, 1.0)
) -> Grey:
    """Degrade an image at random: stroke thickness, blur, resolution, noise, contrast, shading, rules and JPEG.

    Parameters
    ----------
    image : uint8 (H, W)
    rng : Generator
    ruled : float
        Share of images that get rules, most of them both ways.
    distance : tuple of float
        Minimum and maximum distance of the rules, as shares of the image's height.

    Returns
    -------
    uint8 (H, W)
    """
    height, width = image.shape
    if rng.random() < 0.35:
        kernel = np.ones((2, 2) if rng.random() < 0.7 else (1, 2), np.uint8)
        changed = cv2.erode(image, kernel) if rng.random() < 0.6 else cv2.dilate(image, kernel)
        image = np.asarray(cv2.addWeighted(image, 0.35, changed, 0.65, 0), np.uint8)
    if rng.random() < 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    if rng.random() < 0.12:
        factor = rng.uniform(0.45, 0.85)
        small = cv2.resize(
            image, (max(8, int(width * factor)), max(8, int(height * factor))), interpolation=cv2.INTER_AREA
        )
        image = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < ruled:
        image = image.copy()
        grey, spacing, thick = rng.uniform(120, 220), rng.uniform(*distance) * height, int(rng.integers(1, 3))
        for lines in (image, image.T) if rng.random() < 0.6 else (image,):
            for at in np.arange(rng.uniform(0, spacing), len(lines), spacing).astype(int):
                lines[at : at + thick] = np.minimum(lines[at : at + thick], grey).astype(np.uint8)
    if rng.random() < 0.5:
        light = image.astype(np.float32)
        if rng.random() < 0.5:
            light += _field(rng, (height, width), 2.0 * height, rng.uniform(2, 18))
        if rng.random() < 0.6:
            light += rng.normal(0.0, rng.uniform(1, 11), (height, width)).astype(np.float32)
        if rng.random() < 0.5:
            light = 255 - (255 - light) * rng.uniform(0.35, 1.1)
        image = np.clip(light, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 60))])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return image


def shade(image: Grey, rng: np.random.Generator) -> Grey:
    """Add a hard edge of a shadow, a seam of two papers or a fold to a page, mostly vertical or horizontal.

    Parameters
    ----------
    image : uint8 (H, W)
    rng : Generator

    Returns
    -------
    uint8 (H, W)
    """
    height, width = image.shape
    angle = rng.choice([0.0, np.pi / 2], p=[0.65, 0.35]) + rng.normal(0.0, 0.03 if rng.random() < 0.7 else 0.4)
    across, down = np.cos(angle), np.sin(angle)
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    beyond = (columns - rng.uniform(0.1, 0.9) * width) * across + (rows - rng.uniform(0.1, 0.9) * height) * down
    beyond *= rng.choice([-1.0, 1.0])
    soft = rng.uniform(0.5, 6.0) if rng.random() < 0.3 else 0.5
    light = 1.0 - rng.uniform(0.02, 0.6) * np.clip(beyond / (2 * soft) + 0.5, 0.0, 1.0)
    if rng.random() < 0.3:
        light = 1.0 + rng.uniform(-0.5, 0.15) * np.exp(-((beyond / rng.uniform(0.7, 2.5)) ** 2))
    return np.asarray(np.clip(image * light, 0, 255), np.uint8)
