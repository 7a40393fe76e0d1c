"""Blank and ruled paper with stains, holes and folds."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis.hands import Hand
from training.synthesis.noise import Array, grain, noise_field


def make_paper(rng: Generator, height: int, width: int, hand: Hand, rows: Sequence[float], pitch: float) -> Array:
    """Blank, ruled or squared paper with what time does to it: float32 (height, width), 1 is white."""
    paper = np.full((height, width), rng.uniform(0.78, 1.0), np.float32)
    if rng.random() < 0.75:
        paper += rng.uniform(0.005, 0.04) * noise_field(rng, height, width, rng.uniform(150, 700))
    if rng.random() < 0.5:
        fibre = cv2.GaussianBlur(grain(rng, height, width), (0, 0), rng.uniform(0.6, 2.0), sigmaY=rng.uniform(0.6, 2.0))
        paper += rng.uniform(0.01, 0.04) * fibre
    ruling = rng.random()
    strength, thick = rng.uniform(0.05, 0.4), int(rng.choice([1, 1, 2]))
    if hand.face.style in ("hand", "script") and ruling < 0.55 and rows:
        fits = rng.random() < 0.7
        step = pitch if fits else pitch * rng.uniform(0.5, 1.3)
        if ruling > 0.38:
            step /= rng.choice([1, 2, 3])
        step = max(step, 12.0)
        start = (min(rows) + rng.uniform(-0.05, 0.12) * pitch) % step
        mask = np.zeros((height, width), np.uint8)
        for level in np.arange(start, height, step):
            cv2.line(mask, (0, round(level)), (width, round(level)), 255, thick)
        if ruling > 0.38:
            for level in np.arange(rng.uniform(0, step), width, step):
                cv2.line(mask, (round(level), 0), (round(level), height), 255, thick)
        if rng.random() < 0.4:
            edge = round(rng.uniform(0.05, 0.2) * width)
            cv2.line(mask, (edge, 0), (edge, height), 255, thick + 1)
        paper *= 1 - strength * (mask.astype(np.float32) / 255)
    for _ in range(int(rng.poisson(0.6))):
        stain(paper, rng)
    if rng.random() < 0.12:
        fold = rng.uniform(0.2, 0.8) * height + rng.normal(0, 1) + np.zeros(width)
        distance = np.arange(height, dtype=np.float32)[:, None] - fold.astype(np.float32)
        paper -= rng.uniform(0.03, 0.15) * np.exp(-np.abs(distance) / rng.uniform(1, 8)) * np.sign(distance + 0.1)
    return paper


def stain(paper: Array, rng: Generator) -> None:
    """Put a blot, a ring or a punched hole on the paper, in place; holes only where no text is."""
    height, width = paper.shape
    kind = rng.choice(["blot", "ring", "hole"], p=[0.5, 0.35, 0.15])
    radius = int(rng.uniform(0.01, 0.12) * width) + 3
    x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
    if kind == "hole":
        radius, x = max(4, radius // 6), int(rng.choice([0.03, 0.97]) * width)
    x0, y0 = max(0, x - 2 * radius), max(0, y - 2 * radius)
    spot = paper[y0 : y + 2 * radius, x0 : x + 2 * radius]
    mask = np.zeros(spot.shape, np.uint8)
    axes = (radius, radius if kind == "hole" else max(2, int(radius * rng.uniform(0.6, 1))))
    rim = max(1, int(radius * rng.uniform(0.02, 0.12))) if kind == "ring" else -1
    cv2.ellipse(mask, (x - x0, y - y0), axes, float(rng.uniform(0, 180)), 0, 360, 255, rim, cv2.LINE_AA)
    blur = min(radius * rng.uniform(0.05, 0.5), 12) if kind == "blot" else 0.8
    soft = cv2.GaussianBlur(mask, (0, 0), blur).astype(np.float32) / 255
    spot *= 1 - soft * (0.9 if kind == "hole" else rng.uniform(0.03, 0.25))
