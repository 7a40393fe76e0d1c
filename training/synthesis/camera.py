"""Take the picture of a flat sheet: warp, background, light, lens and sensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.synthesis.hands import Hand
from training.synthesis.ink import Sheet, ink_alpha
from training.synthesis.noise import Array, Pixels, grain, noise_field
from training.synthesis.paper import make_paper

MAX_SIDE = 1800


@dataclass(frozen=True)
class View:
    """How the flat sheet lands in the picture: a bulge down each column, then a homography.

    A sheet point (x, y) moves to (x, y + bulge[x]) and then through `matrix`, so both directions are exact.
    """

    bulge: Array
    matrix: NDArray[np.float64]
    size: tuple[int, int]

    def forward(self, points: Array) -> Array:
        """Sheet points float32 (N, 2) to picture points."""
        bent = points.astype(np.float64)
        bent[:, 1] += np.interp(points[:, 0], np.arange(len(self.bulge)), self.bulge)
        moved: Array = np.asarray(cv2.perspectiveTransform(bent[None], self.matrix), np.float32)[0]
        return moved

    def maps(self) -> tuple[Array, Array]:
        """For each picture pixel the sheet point it shows, as `cv2.remap` takes it."""
        width, height = self.size
        inverse = np.linalg.inv(self.matrix)
        x = np.arange(width, dtype=np.float32)[None]
        y = np.arange(height, dtype=np.float32)[:, None]
        (a, b, c), (d, e, f), (g, h, i) = inverse.astype(np.float32)
        scale = 1 / (g * x + h * y + i)
        map_x = (a * x + b * y + c) * scale
        map_y = (d * x + e * y + f) * scale
        along = np.clip(map_x, 0, len(self.bulge) - 1).astype(np.int32)
        return map_x, map_y - self.bulge[along]

    def warp(self, layer: Array, border: int) -> Array:
        """A layer of the sheet, float32 (H, W), as it looks in the picture."""
        if not self.bulge.any():
            warped = cv2.warpPerspective(layer, self.matrix, self.size, flags=cv2.INTER_LINEAR, borderMode=border)
        else:
            warped = cv2.remap(layer, *self.maps(), cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(warped, layer.dtype)


def make_view(rng: Generator, height: int, width: int, lines: Sequence[dict[str, Any]], table: bool) -> View:
    """Draw skew, perspective and curvature, and frame the picture so that every line is in it."""
    bulge = np.zeros(width, np.float32)
    if rng.random() < 0.3:
        x = np.linspace(-1, 1, width, dtype=np.float32)
        bulge = (
            rng.normal(0, 0.012)
            * width
            * (x**2 if rng.random() < 0.5 else np.sin(2 * x + rng.uniform(-1, 1)))
            * np.float32(1)
        )
        bulge = bulge.astype(np.float32)
    angle = math.radians(rng.choice([rng.normal(0, 0.4), rng.uniform(-3, 3), rng.uniform(-8, 8)], p=[0.55, 0.4, 0.05]))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float32)
    moved = (corners - corners.mean(0)) @ turn.T
    if rng.random() < 0.25:
        moved += (rng.normal(0, 0.012, (4, 2)) * min(height, width)).astype(np.float32)
    matrix = np.asarray(cv2.getPerspectiveTransform(corners, moved.astype(np.float32)), np.float64)
    rough = View(bulge, matrix, (1, 1))
    outline = np.concatenate([rough.forward(corners)] if table else [rough.forward(line["polygon"]) for line in lines])
    low, high = outline.min(0), outline.max(0)
    if table:
        low, high = low - rng.uniform(0, 0.06, 2) * width, high + rng.uniform(0, 0.06, 2) * width
    else:
        sheet = rough.forward(corners)
        room = np.stack([np.maximum(low - sheet.min(0), 6), np.maximum(sheet.max(0) - high, 6)])
        share = rng.uniform(0.1, 1, (2, 2)) ** 0.7
        low, high = low - np.maximum(6, room[0] * share[0]), high + np.maximum(6, room[1] * share[1])
    scale = min(1.0, MAX_SIDE / float((high - low).max()))
    to_picture = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale], [0, 0, 1]])
    size = (max(32, int((high[0] - low[0]) * scale)), max(32, int((high[1] - low[1]) * scale)))
    return View(bulge, to_picture @ matrix, size)


def photograph(rng: Generator, sheet: Sheet, hand: Hand, rows: Sequence[float], pitch: float) -> tuple[Pixels, View]:
    """Put the ink on paper and take a picture: uint8 (H, W) and the view it was taken with."""
    height, width = sheet.ink.shape
    paper = make_paper(rng, height, width, hand, rows, pitch)
    alpha = ink_alpha(sheet.ink, rng, hand.face.style)
    table = bool(rng.random() < 0.2)
    view = make_view(rng, height, width, sheet.lines, table)
    if rng.random() < 0.25:
        back = cv2.GaussianBlur(alpha[:, ::-1], (0, 0), rng.uniform(1, 3))
        back = np.roll(back, (int(rng.integers(-60, 60)), int(rng.integers(-60, 60))), (0, 1))
        paper -= rng.uniform(0.04, 0.22) * back
    alpha = view.warp(alpha, cv2.BORDER_CONSTANT)
    page = view.warp(paper, cv2.BORDER_REFLECT)
    darkness = rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.55)], p=[0.75, 0.25])
    strength = rng.choice([1.0, rng.uniform(0.65, 1.0)])
    page += (darkness * page - page) * alpha * np.float32(strength)
    if table:
        around(page, rng, view, (height, width))
    return develop(page, rng), view


def around(page: Array, rng: Generator, view: View, sheet_size: tuple[int, int]) -> None:
    """Show a table, or the pages beneath, wherever the picture looks beside the sheet; in place."""
    height, width = sheet_size
    rows, columns = page.shape
    map_x, map_y = view.maps()
    outside = np.maximum(np.maximum(-map_x, map_x - width + 1), np.maximum(-map_y, map_y - height + 1))
    level = rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.95)])
    ground = level + rng.uniform(0, 0.05) * noise_field(rng, rows, columns, 40)
    shadow = 1 - rng.uniform(0.1, 0.6) * np.exp(-np.maximum(outside, 0) / rng.uniform(3, 25))
    np.copyto(page, ground * shadow, where=outside > 0)


def develop(page: Array, rng: Generator) -> Pixels:
    """Light, lens, sensor and scanner: float32 (H, W) to uint8."""
    height, width = page.shape
    if rng.random() < 0.5:
        slope = rng.normal(0, 0.1, 2).astype(np.float32)
        page *= (
            1
            + slope[0] * np.linspace(-1, 1, width, dtype=np.float32)
            + slope[1] * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        )
    if rng.random() < 0.12:
        gutter = rng.uniform(0.3, 0.7) * np.exp(-np.arange(width, dtype=np.float32) / rng.uniform(10, 70))
        page *= 1 - (gutter if rng.random() < 0.5 else gutter[::-1])
    if rng.random() < 0.1:
        page *= np.float32(1) - np.float32(rng.uniform(0.1, 0.35)) / (
            1 + np.exp(-6 * noise_field(rng, height, width, 700))
        )
    blur = rng.choice([0, rng.uniform(0.3, 0.7), rng.uniform(0.7, 1.3)], p=[0.4, 0.45, 0.15])
    if blur:
        page = np.asarray(cv2.GaussianBlur(page, (0, 0), blur), page.dtype)
    if rng.random() < 0.6:
        page = page + rng.uniform(0.004, 0.04) * grain(rng, height, width)
    if rng.random() < 0.15:
        white, black = np.float32(np.percentile(page[::4, ::4], 95) * rng.uniform(0.9, 1)), rng.uniform(0.1, 0.4)
        page = (page - black * white) / (white * (1 - black))
    elif rng.random() < 0.15:
        page = rng.uniform(0.1, 0.4) + page * rng.uniform(0.4, 0.7)
    if rng.random() < 0.02:
        page = 1.05 - page
    return np.clip(page * 255, 0, 255).astype(np.uint8)
