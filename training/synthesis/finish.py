"""Turn a flat canvas into a picture: born digital, scanned, photographed, copied or faxed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis.camera import View, around, develop
from training.synthesis.canvas import Canvas
from training.synthesis.ink import ink_alpha
from training.synthesis.noise import Array, Pixels, grain, noise_field
from training.synthesis.paper import stain

CAPTURES = {"digital": 0.33, "scan": 0.33, "photo": 0.15, "copy": 0.12, "fax": 0.07}
# More than so many pixels are neither warped nor grained, which would take seconds.
LARGE = 4_500_000
MAX_SIDE = 2000
# Share of the pages that the back of the sheet shows through.
SHOWING = 0.15

Place = Callable[[Array], Array]


def render(
    canvas: Canvas, rng: Generator, capture: str = "", typed: bool = False, showing: bool | None = None
) -> tuple[Pixels, Place]:
    """Take a picture of a canvas.

    Parameters
    ----------
    capture : str
        One of `CAPTURES`; drawn without it.
    typed : bool
        Whether its ink is that of a typewriter, uneven and blurred.
    showing : bool, optional
        Whether the back of the sheet shows through; drawn without it.

    Returns
    -------
    pixels : uint8 (H, W)
    place : callable
        Takes canvas points float32 (N, 2) and returns picture points.
    """
    capture = capture or str(rng.choice(list(CAPTURES), p=list(CAPTURES.values())))
    large = canvas.tone.size > LARGE
    if large and capture in ("photo", "scan"):
        capture = "digital"
    if showing is None:
        showing = bool(rng.random() < SHOWING and not large)
    alpha = darken(canvas, rng, capture, typed)
    page: Array = canvas.tone.astype(np.float32) / 255
    back = 1 - page * (1 - alpha) if showing else None
    dark = 0.0 if capture == "digital" and rng.random() < 0.6 else rng.uniform(0.0, 0.4)
    strength = np.float32(1.0 if capture == "digital" or rng.random() < 0.4 else rng.uniform(0.6, 1.0))
    if capture in ("scan", "photo"):
        page *= make_ground(rng, *page.shape)
    elif capture == "digital" and rng.random() < 0.2:
        page *= np.float32(rng.uniform(0.85, 1.0))
    page += (dark * page - page) * alpha * strength
    if back is not None:
        show_through(page, rng, back)
    if canvas.pen.any():
        page += (rng.uniform(0.05, 0.45) * page - page) * pen_alpha(canvas.pen, rng, capture)
    if capture in ("digital", "copy", "fax"):
        pixels, place = flat(page, rng, capture, ink_level(canvas, page))
    elif capture == "scan":
        pixels, place = scanned(page, rng)
    else:
        pixels, place = photographed(page, rng, canvas)
    return pixels, place


def darken(canvas: Canvas, rng: Generator, capture: str, typed: bool) -> Array:
    """How much printed ink hides the paper, float32 (H, W)."""
    ink = canvas.sheet.ink
    if capture == "digital" or not ink.any():
        return ink.astype(np.float32) / 255
    if typed or rng.random() < 0.25:
        alpha = ink.astype(np.float32) / 255
        if typed and rng.random() < 0.35:
            # A carbon copy: soft and weak.
            soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.8, 1.5)), np.float32)
            height, width = ink.shape
            weak = 1.15 + rng.uniform(0.05, 0.3) * noise_field(rng, height, width, rng.uniform(30, 200))
            return np.asarray(np.clip(soft * weak, 0, 1))
        return print_wear(alpha, rng)
    if rng.random() < 0.5:
        return cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.3, 0.8)).astype(np.float32) / 255
    return ink.astype(np.float32) / 255


def print_wear(alpha: Array, rng: Generator) -> Array:
    """Ink that spread or wore off: float32 (H, W), 0 to 1."""
    height, width = alpha.shape
    soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.45, 0.8))
    level = rng.uniform(0.3, 0.5) + 0.06 * noise_field(rng, height, width, rng.uniform(60, 400))
    worn = np.clip((soft - level) * rng.uniform(1.2, 3.0) + 0.5, 0, 1) * np.clip(4 * soft, 0, 1)
    if rng.random() < 0.5:
        worn *= np.clip(1 + rng.uniform(0.05, 0.35) * grain(rng, height, width), 0.2, 1)
    return worn


def pen_alpha(pen: Pixels, rng: Generator, capture: str) -> Array:
    """How much the ink of a pen hides what is under it, float32 (H, W)."""
    if capture == "digital" and rng.random() < 0.6:
        return pen.astype(np.float32) / 255
    rows = np.flatnonzero(pen.any(1))
    top, bottom = max(0, int(rows[0]) - 8), int(rows[-1]) + 8
    alpha = np.zeros(pen.shape, np.float32)
    alpha[top:bottom] = ink_alpha(pen[top:bottom], rng, "hand")
    return alpha


def make_ground(rng: Generator, height: int, width: int) -> Array:
    """Paper of some grey with stains and folds, float32 (height, width)."""
    paper = np.full((height, width), rng.uniform(0.8, 1.0), np.float32)
    if rng.random() < 0.6:
        paper += rng.uniform(0.005, 0.03) * noise_field(rng, height, width, rng.uniform(150, 700))
    if rng.random() < 0.3:
        paper += rng.uniform(0.01, 0.03) * cv2.GaussianBlur(grain(rng, height, width), (0, 0), rng.uniform(0.6, 1.6))
    for _ in range(int(rng.poisson(0.3))):
        stain(paper, rng)
    if rng.random() < 0.12:
        distance = np.arange(height, dtype=np.float32)[:, None] - np.float32(rng.uniform(0.2, 0.8) * height)
        paper -= np.float32(rng.uniform(0.03, 0.15)) * np.exp(-np.abs(distance) / np.float32(rng.uniform(1, 6)))
    return paper


def show_through(page: Array, rng: Generator, back: Array) -> None:
    """Let the writing of the back, mirrored and out of place, show through a page, float32 (H, W); in place."""
    mirrored = back[:, ::-1] if rng.random() < 0.7 else back[::-1]
    shift = (int(rng.integers(page.shape[0])), int(rng.integers(-page.shape[1] // 5, page.shape[1] // 5 + 1)))
    mirrored = np.roll(mirrored, shift, (0, 1))
    if blur := rng.choice([0.0, rng.uniform(0.5, 3)], p=[0.2, 0.8]):
        mirrored = np.asarray(cv2.GaussianBlur(mirrored, (0, 0), blur), page.dtype)
    page *= 1 - np.float32(rng.uniform(0.05, 0.4)) * mirrored


def ink_level(canvas: Canvas, page: Array) -> tuple[float, float]:
    """How dark the palest kind of ink and the paper of a page are, 0 to 1."""
    levels = [
        float(np.percentile(page[layer > 200], 60)) for layer in (canvas.sheet.ink, canvas.pen) if layer.max() > 200
    ]
    return max(levels, default=0.0), float(np.percentile(page[::8, ::8], 80))


def flat(page: Array, rng: Generator, capture: str, levels: tuple[float, float]) -> tuple[Pixels, Place]:
    """The picture of a page that was not warped but for its resolution; `levels` are those of ink and paper."""
    height, width = page.shape
    across = down = 1.0
    if capture == "fax" and rng.random() < 0.7:
        across, down = (1.0, rng.uniform(0.45, 0.75)) if rng.random() < 0.75 else (rng.uniform(0.55, 0.8), 1.0)
    elif capture == "digital" and rng.random() < 0.25 and max(page.shape) < 4000:
        across = down = rng.uniform(0.75, 1.3)
    size = (max(16, round(width * across)), max(16, round(height * down)))
    if size != (width, height):
        resized = cv2.resize(page, size, interpolation=cv2.INTER_AREA if across * down < 1 else cv2.INTER_CUBIC)
        page = np.asarray(resized, page.dtype)
    if capture in ("copy", "fax"):
        noise = rng.uniform(0.02, 0.1) * cv2.GaussianBlur(grain(rng, *page.shape), (0, 0), rng.uniform(0.4, 0.9))
        if capture == "fax" or rng.random() < 0.6:
            level = levels[0] + rng.uniform(0.45, 0.75) * max(levels[1] - levels[0], 0.1)
            page = (page + noise > level).astype(np.float32)
            specks = grain(rng, *page.shape) > rng.uniform(3.3, 4.5)
            page[specks] = 0
        else:
            page = np.clip((page + noise - 0.5) * rng.uniform(1.2, 2.5) + 0.5, 0, 1)
            if rng.random() < 0.4:
                edge = int(rng.uniform(0.002, 0.012) * size[0]) + 1
                side = page[:, :edge] if rng.random() < 0.5 else page[:, -edge:]
                side *= np.float32(rng.uniform(0, 0.5))
    factor = np.array([size[0] / width, size[1] / height], np.float32)
    return np.clip(page * 255, 0, 255).astype(np.uint8), lambda points: points * factor


def scanned(page: Array, rng: Generator) -> tuple[Pixels, Place]:
    """A page on a scanner, a little askew."""
    height, width = page.shape
    angle = math.radians(rng.choice([0.0, rng.normal(0, 0.5), rng.uniform(-3, 3)], p=[0.3, 0.5, 0.2]))
    scale = min(1.0, MAX_SIDE / max(page.shape))
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ np.array([[cosine, sine], [-sine, cosine]])
    low = corners.min(0)
    matrix = np.array([[cosine, -sine, -low[0]], [sine, cosine, -low[1]], [0, 0, 1]])
    right, bottom = np.ceil(corners.max(0) - low).tolist()
    size = (int(right), int(bottom))
    view = View(np.zeros(width, np.float32), matrix, size)
    if angle or scale != 1:
        lid = float(rng.choice([float(np.median(page[::8, ::8])), 1.0, rng.uniform(0, 0.3)], p=[0.5, 0.3, 0.2]))
        turned = cv2.warpPerspective(
            page, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=lid
        )
        page = np.asarray(turned, page.dtype)
    return quick_develop(page, rng), view.forward


def photographed(page: Array, rng: Generator, canvas: Canvas) -> tuple[Pixels, Place]:
    """A page that a camera looks at, with a table around it or close to its edges."""
    height, width = page.shape
    bulge = np.zeros(width, np.float32)
    if rng.random() < 0.4:
        x = np.linspace(-1, 1, width, dtype=np.float32)
        form = x**2 if rng.random() < 0.5 else np.sin(2 * x + rng.uniform(-1, 1))
        bulge = (rng.normal(0, 0.01) * width * form).astype(np.float32)
    angle = math.radians(rng.choice([rng.normal(0, 1), rng.uniform(-7, 7)], p=[0.7, 0.3]))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float32)
    moved = (corners - corners.mean(0)) @ turn.T + rng.normal(0, 0.02, (4, 2)).astype(np.float32) * min(height, width)
    matrix = np.asarray(cv2.getPerspectiveTransform(corners, moved.astype(np.float32)), np.float64)
    rough = View(bulge, matrix, (1, 1))
    outline = rough.forward(corners)
    low, high = outline.min(0), outline.max(0)
    table = bool(rng.random() < 0.6)
    margin = rng.uniform(0, 0.08, (2, 2)) * (high - low) if table else np.zeros((2, 2))
    low, high = low - margin[0], high + margin[1]
    if not table:
        marked = [line["polygon"] for line in canvas.lines]
        text = rough.forward(np.concatenate(marked)) if marked else outline
        inner = np.maximum(text.min(0) - low, 0) * 0.6, np.maximum(high - text.max(0), 0) * 0.6
        low, high = low + inner[0] * rng.random(2), high - inner[1] * rng.random(2)
    scale = min(1.0, MAX_SIDE / float((high - low).max()))
    to_picture = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale], [0, 0, 1]])
    size = (max(32, int((high[0] - low[0]) * scale)), max(32, int((high[1] - low[1]) * scale)))
    view = View(bulge, to_picture @ matrix, size)
    paper = float(np.median(page[::8, ::8]))
    if bulge.any():
        taken = cv2.remap(page, *view.maps(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    else:
        taken = cv2.warpPerspective(
            page, view.matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=paper
        )
    picture = np.asarray(taken, page.dtype)
    if table:
        around(picture, rng, view, (height, width))
    return develop(picture, rng), view.forward


def quick_develop(page: Array, rng: Generator) -> Pixels:
    """A scanner's contrast, blur and noise: float32 (H, W) to uint8."""
    if rng.random() < 0.4:
        white, black = rng.uniform(0.85, 1.05), rng.uniform(0, 0.15)
        page = (page - black) / (white - black)
    if rng.random() < 0.5:
        page = np.asarray(cv2.GaussianBlur(page, (0, 0), rng.uniform(0.3, 0.9)), page.dtype)
    if rng.random() < 0.6:
        page = page + rng.uniform(0.003, 0.03) * grain(rng, *page.shape)
    return np.clip(page * 255, 0, 255).astype(np.uint8)


def record_of(canvas: Canvas, pixels: Pixels, place: Place) -> dict[str, Any]:
    """The lines of a canvas, its upright ones and its ignored areas, in picture coordinates."""
    limit = np.array([pixels.shape[1] - 1, pixels.shape[0] - 1], np.float32)

    def move(points: Array) -> list[list[float]]:
        return np.clip(place(points.astype(np.float32)), 0, limit).round(1).tolist()  # type: ignore[no-any-return]

    def move_line(line: dict[str, Any]) -> dict[str, Any]:
        return {name: move(line[name]) for name in ("baseline", "polygon")}

    lines = [
        {"text": line["text"], "raw_text": line["raw_text"], "struck": False} | move_line(line) for line in canvas.lines
    ]
    turned = [{"text": line["text"], "turned": line["turned"]} | move_line(line) for line in canvas.turned]
    return {"lines": lines, "ignore": [move(polygon) for polygon in canvas.ignore], "turned": turned}
