"""Smooth and white noise along lines and over pages."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

# Mostly float32; some operations yield float64.
Array = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]


def noise_line(rng: Generator, count: int, period: float) -> NDArray[np.float64]:
    """Smooth noise along a line, about unit variance, float64 (count,); `period` is the distance of its knots."""
    knots = rng.standard_normal(max(4, math.ceil(count / max(period, 2)) + 3)).astype(np.float32)
    at = np.arange(count, dtype=np.float32) / max(period, 2) + np.float32(rng.random())
    low = np.minimum(at.astype(int), len(knots) - 2)
    part = at - low
    blend = part * part * (3 - 2 * part)
    return np.asarray(knots[low] * (1 - blend) + knots[low + 1] * blend)


def noise_field(rng: Generator, height: int, width: int, period: float) -> Array:
    """Smooth noise over a page, float32 (height, width), about unit variance."""
    grid = rng.standard_normal((max(2, math.ceil(height / period) + 1), max(2, math.ceil(width / period) + 1)))
    small = cv2.resize(grid.astype(np.float32), (width // 4 + 1, height // 4 + 1), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(small, (width, height)), np.float32)


def grain(rng: Generator, height: int, width: int) -> Array:
    """White noise over a page, float32 (height, width): one tile of noise, rolled from copy to copy."""
    tile = rng.standard_normal((512, 768), dtype=np.float32)
    rows = [np.roll(tile, int(rng.integers(768)), axis=1) for _ in range(math.ceil(height / 512))]
    return np.tile(np.concatenate(rows), (1, math.ceil(width / 768)))[:height, :width]
