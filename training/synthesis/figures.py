"""Draw what is not text: pictures, codes, charts, logos, stamps' frames, signatures and marks."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis.ink import paint
from training.synthesis.noise import Array, Pixels, grain, noise_field

Box = tuple[int, int, int, int]


def curve(rng: Generator, points: Array, count: int = 160) -> Array:
    """A smooth closed-form curve through points, float32 (N, 2) to (count, 2) (Catmull-Rom splines)."""
    del rng
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, len(points) - 1.001, count)
    low = t.astype(int)
    u = (t - low)[:, None]
    a, b, c, d = (padded[low + offset] for offset in range(4))
    smooth = 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)
    return np.asarray(smooth, np.float32)


def stroke(layer: Pixels, points: Array, value: int, thickness: int) -> None:
    """Draw an open line through points, float32 (N, 2), on a layer of ink; in place."""
    shifted = np.round(points * 8).astype(np.int32)
    cv2.polylines(layer, [shifted], False, value, max(1, thickness), cv2.LINE_AA, shift=3)


def signature(layer: Pixels, rng: Generator, x: float, y: float, width: float, height: float, value: int) -> None:
    """Scribble a signature on a layer of ink, its middle left at (x, y); in place."""
    count = int(rng.integers(6, 16))
    along = np.linspace(0, 1, count) + rng.normal(0, rng.uniform(0.02, 0.12), count)
    rise = rng.uniform(0.15, 0.55) * np.where(np.arange(count) % 2, 1, -1) * rng.uniform(0.2, 1.6, count)
    rise[0] *= rng.uniform(1, 2)
    points = np.stack([x + along * width, y + rise * height - 0.15 * height * along], 1).astype(np.float32)
    thickness = max(1, round(height * rng.uniform(0.015, 0.05)))
    stroke(layer, curve(rng, points, 40 * count), value, thickness)
    if rng.random() < 0.5:
        ends = np.array([[x - 0.05 * width, y + 0.4 * height], [x + rng.uniform(0.6, 1.1) * width, y + 0.2 * height]])
        ends = np.insert(ends, 1, ends.mean(0) + rng.normal(0, 0.15 * height, 2), 0)
        stroke(layer, curve(rng, ends.astype(np.float32)), value, thickness)
    if rng.random() < 0.4:
        loop = [[x, y], [x + 0.1 * width, y - 0.9 * height], [x + 0.2 * width, y], [x + 0.05 * width, y + 0.6 * height]]
        stroke(layer, curve(rng, np.array(loop, np.float32)), value, thickness)


def scribble(layer: Pixels, rng: Generator, box: Box, value: int) -> None:
    """Doodle in a box of a layer of ink; in place."""
    x0, y0, x1, y1 = box
    kind = rng.integers(4)
    thickness = int(rng.integers(1, 4))
    if kind == 0:
        points = rng.uniform((x0, y0), (x1, y1), (int(rng.integers(4, 14)), 2)).astype(np.float32)
        stroke(layer, curve(rng, points, 300), value, thickness)
    elif kind == 1:
        y = np.linspace(y0, y1, int(rng.integers(4, 12)))
        x = np.where(np.arange(len(y)) % 2, x0, x1) + rng.normal(0, 4, len(y))
        stroke(layer, np.stack([x, y], 1).astype(np.float32), value, thickness)
    elif kind == 2:
        t = np.linspace(0, 2 * math.pi * rng.uniform(1, 4), 200)
        size = np.linspace(1, rng.uniform(0.2, 1), 200) / 2
        ring = np.stack([(x0 + x1) / 2 + (x1 - x0) * size * np.cos(t), (y0 + y1) / 2 + (y1 - y0) * size * np.sin(t)], 1)
        stroke(layer, ring.astype(np.float32), value, thickness)
    else:
        tip = np.array([[x0, (y0 + y1) / 2], [x1, (y0 + y1) / 2]], np.float32)
        stroke(layer, tip, value, thickness)
        head = min(0.3 * (x1 - x0), 20)
        stroke(layer, np.array([[x1 - head, y0], [x1, (y0 + y1) / 2], [x1 - head, y1]], np.float32), value, thickness)


def mark(layer: Pixels, rng: Generator, x: float, y: float, size: float, value: int, kind: str = "") -> None:
    """Tick a box at (x, y), its upper left corner, with a tick, a cross, a dot or a fill; in place."""
    kind = kind or str(rng.choice(["tick", "cross", "cross", "fill", "dot"]))
    jitter = rng.normal(0, 0.08 * size, (4, 2))
    thickness = max(1, round(size * rng.uniform(0.06, 0.16)))

    def place(points: list[tuple[float, float]]) -> Array:
        return (np.array([x, y]) + size * np.array(points) + jitter[: len(points)]).astype(np.float32)

    if kind == "tick":
        reach = rng.uniform(0.8, 1.4)
        stroke(layer, place([(0.15, 0.5), (0.45, 0.85), (reach, 1 - reach)]), value, thickness)
    elif kind == "cross":
        out = rng.uniform(-0.15, 0.2)
        stroke(layer, place([(out, out), (1 - out, 1 - out)]), value, thickness)
        stroke(layer, place([(1 - out, out), (out, 1 - out)]), value, thickness)
    elif kind == "fill":
        inner = 0.18 * size
        corner = (round(x + inner), round(y + inner)), (round(x + size - inner), round(y + size - inner))
        cv2.rectangle(layer, *corner, value, -1)
    else:
        cv2.circle(
            layer, (round(x + size / 2), round(y + size / 2)), max(1, round(0.28 * size)), value, -1, cv2.LINE_AA
        )


def photo(rng: Generator, height: int, width: int) -> Pixels:
    """A picture made up of a gradient, hills, discs, boxes and noise: uint8 (height, width)."""
    small_height, small_width = max(8, height // 2), max(8, width // 2)
    y = np.linspace(0, 1, small_height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, small_width, dtype=np.float32)[None]
    sky, ground = rng.uniform(60, 250), rng.uniform(10, 200)
    picture = sky + (ground - sky) * (y * rng.uniform(0, 1) + x * rng.uniform(-0.4, 0.4))
    for _ in range(int(rng.integers(0, 4))):
        level = rng.uniform(0.25, 0.95) + 0.08 * rng.normal() * np.sin(rng.uniform(2, 14) * x + rng.uniform(0, 6))
        level = level + 0.05 * rng.normal() * np.sin(rng.uniform(8, 40) * x + rng.uniform(0, 6))
        picture = np.where(y > level, rng.uniform(10, 220), picture)
    picture = np.ascontiguousarray(picture, np.float32)
    for _ in range(int(rng.integers(0, 12))):
        at = rng.integers((0, 0), (small_width, small_height)).tolist()
        size = int(rng.uniform(0.02, 0.3) * min(small_height, small_width)) + 1
        value = float(rng.uniform(0, 255))
        shape = rng.integers(4)
        if shape == 0:
            cv2.circle(picture, at, size, value, -1, cv2.LINE_AA)
        elif shape == 1:
            across = (at[0] + int(size * rng.uniform(0.5, 3)), at[1] + int(size * rng.uniform(0.5, 3)))
            cv2.rectangle(picture, at, across, value, -1)
        elif shape == 2:
            axes = (size, max(1, int(size * rng.uniform(0.2, 1))))
            cv2.ellipse(picture, at, axes, float(rng.uniform(0, 180)), 0, 360, value, -1, cv2.LINE_AA)
        else:
            corners = np.array(at) + rng.normal(0, 2 * size, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(picture, [corners.astype(np.int32)], value, cv2.LINE_AA)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 3)), np.float32)
    picture += rng.uniform(0, 30) * noise_field(rng, small_height, small_width, rng.uniform(6, 80))
    picture += rng.uniform(0, 25) * grain(rng, small_height, small_width)
    picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    if rng.random() < 0.25:
        return halftone(rng, picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


def halftone(rng: Generator, picture: Array) -> Pixels:
    """A picture, float32 (H, W), as printed dots of black: uint8 (H, W)."""
    height, width = picture.shape
    period, angle = rng.uniform(3.5, 9), rng.uniform(0, math.pi / 2)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    turn, step = 2 * math.pi / period, (math.cos(angle), math.sin(angle))
    screen = np.cos(turn * (x * step[0] + y * step[1])) + np.cos(turn * (y * step[0] - x * step[1]))
    dots: Array = np.clip(128 + 2.5 * (picture - 128) + 100 * screen, 0, 255)
    return dots.astype(np.uint8)


def modules(rng: Generator, size: int) -> Pixels:
    """A square code of random modules with the corners of a QR or Data Matrix code: uint8 (size, size)."""
    count = int(rng.integers(21, 45))
    grid = (rng.random((count, count)) < 0.5).astype(np.uint8)
    if rng.random() < 0.75:
        eye = np.ones((9, 9), np.uint8)
        eye[0], eye[-1], eye[:, 0], eye[:, -1] = 0, 0, 0, 0
        eye[2:7, 2:7], eye[3:6, 3:6] = 0, 1
        grid[:8, :8], grid[:8, -8:], grid[-8:, :8] = eye[1:, 1:], eye[1:, :8], eye[:8, 1:]
    else:
        grid[:, 0], grid[-1], grid[0, ::2], grid[0, 1::2] = 1, 1, 1, 0
    scaled = np.asarray(cv2.resize(grid, (size, size), interpolation=cv2.INTER_NEAREST), np.uint8)
    return 255 - 255 * scaled


def bars(rng: Generator, height: int, width: int) -> Pixels:
    """A bar code: uint8 (height, width)."""
    step = max(1, round(width / rng.uniform(90, 170)))
    runs = rng.choice([1, 1, 2, 3], width)
    row = np.repeat(np.arange(len(runs)) % 2, runs * step)[:width]
    return np.repeat((255 * row.astype(np.uint8))[None], height, axis=0)


def chart(rng: Generator, height: int, width: int) -> Pixels:
    """A chart without its labels, a map or a line drawing: uint8 (height, width)."""
    picture = np.full((height, width), 255, np.uint8)
    kind = rng.integers(5)
    line = int(rng.integers(1, 4))
    if kind == 0:
        count = int(rng.integers(3, 12))
        for index in range(count):
            top = int(height * rng.uniform(0.05, 0.9))
            left, right = int((index + 0.2) * width / count), int((index + 0.85) * width / count)
            cv2.rectangle(picture, (left, top), (right, height), int(rng.integers(0, 200)), -1 if index % 4 else line)
    elif kind == 1:
        for _ in range(int(rng.integers(1, 4))):
            x = np.linspace(0, width, 24)
            y = height * (0.5 + 0.15 * np.cumsum(rng.normal(0, 0.4, 24)))
            stroke(picture, np.stack([x, y], 1).astype(np.float32), int(rng.integers(0, 160)), line)
    elif kind == 2:
        start, radius = 0.0, int(0.45 * min(height, width))
        for share in rng.dirichlet(np.ones(int(rng.integers(2, 7)))):
            end, centre = start + 360 * float(share), (width // 2, height // 2)
            cv2.ellipse(picture, centre, (radius, radius), 0, start, end, int(rng.integers(30, 235)), -1, cv2.LINE_AA)
            start = end
        cv2.circle(picture, (width // 2, height // 2), radius, 0, line, cv2.LINE_AA)
    elif kind == 3:
        relief = noise_field(rng, height, width, max(20.0, min(height, width) / rng.uniform(2, 5)))
        for level in np.arange(-2, 2.1, rng.uniform(0.25, 0.7)):
            edges, _ = cv2.findContours((relief > level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, edges, -1, int(rng.integers(60, 190)), 1, cv2.LINE_AA)
        for _ in range(int(rng.integers(1, 5))):
            points = rng.uniform((0, 0), (width, height), (5, 2)).astype(np.float32)
            stroke(picture, curve(rng, points), int(rng.integers(0, 120)), int(rng.integers(1, 6)))
    else:
        for _ in range(int(rng.integers(3, 14))):
            corner = rng.integers((0, 0), (width, height))
            size = rng.integers((8, 8), (max(9, width // 2), max(9, height // 2)))
            shape = rng.integers(3)
            if shape == 0:
                cv2.rectangle(picture, corner.tolist(), (corner + size).tolist(), 0, line)
            elif shape == 1:
                cv2.ellipse(picture, corner.tolist(), (size // 2).tolist(), 0, 0, 360, 0, line, cv2.LINE_AA)
            else:
                cv2.line(picture, corner.tolist(), (corner + rng.integers(-200, 200, 2)).tolist(), 0, line, cv2.LINE_AA)
    if kind < 2 or rng.random() < 0.3:
        for level in range(1, 5):
            cv2.line(picture, (0, level * height // 5), (width, level * height // 5), 190, 1)
    if rng.random() < 0.7:
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), 60, 1)
    return picture


def logo(rng: Generator, height: int, width: int) -> Pixels:
    """A mark of some company, an icon or a coat of arms: uint8 (height, width)."""
    picture = np.full((height, width), 255, np.uint8)
    middle, radius = (width // 2, height // 2), int(0.45 * min(height, width))
    dark = int(rng.choice([0, int(rng.integers(0, 150))]))
    kind = rng.integers(5)
    if kind == 0:
        for ring in np.linspace(radius, 2, int(rng.integers(2, 6))).astype(int):
            cv2.circle(picture, middle, int(ring), dark, max(1, radius // 9), cv2.LINE_AA)
    elif kind == 1:
        count = int(rng.integers(3, 9))
        angles = np.arange(2 * count) * math.pi / count + rng.uniform(0, 1)
        reach = radius * np.where(np.arange(2 * count) % 2, rng.uniform(0.3, 0.9), 1)
        corners = np.array(middle) + np.stack([reach * np.cos(angles), reach * np.sin(angles)], 1)
        cv2.fillPoly(picture, [corners.astype(np.int32)], dark, cv2.LINE_AA)
    elif kind == 2:
        cv2.rectangle(picture, (1, 1), (width - 2, height - 2), dark, -1)
        cv2.circle(picture, middle, int(0.7 * radius), 255, max(1, radius // 4), cv2.LINE_AA)
    elif kind == 3:
        for _ in range(3):
            start = float(rng.uniform(0, 360))
            cv2.ellipse(
                picture, middle, (radius, radius), 0, start, start + 100, int(rng.integers(0, 180)), -1, cv2.LINE_AA
            )
    else:
        corners = np.array(middle) + radius * np.array([[-0.8, -1], [0.8, -1], [0.8, 0.3], [0, 1], [-0.8, 0.3]])
        cv2.polylines(picture, [corners.astype(np.int32)], True, dark, max(1, radius // 10), cv2.LINE_AA)
        cv2.line(picture, (middle[0], middle[1] - radius), (middle[0], middle[1] + radius), dark, max(1, radius // 12))
        cv2.circle(
            picture, (middle[0] - radius // 3, middle[1] - radius // 3), max(1, radius // 5), dark, -1, cv2.LINE_AA
        )
    return picture


def seal(rng: Generator, radius: int) -> Pixels:
    """A round stamp's ink, its rim filled with strokes like letters too small to read: uint8 (2 r, 2 r)."""
    ink = np.zeros((2 * radius, 2 * radius), np.uint8)
    middle = (radius, radius)
    line = max(1, radius // int(rng.integers(14, 30)))
    cv2.circle(ink, middle, radius - line - 1, 255, line, cv2.LINE_AA)
    inner = int(radius * rng.uniform(0.55, 0.75))
    if rng.random() < 0.8:
        cv2.circle(ink, middle, inner, 255, max(1, line - 1), cv2.LINE_AA)
    for angle in np.arange(0, 2 * math.pi, rng.uniform(0.12, 0.3)):
        if rng.random() < 0.85:
            away = (inner + radius) / 2 + rng.uniform(-0.05, 0.05, 2) * radius
            spread = angle + rng.uniform(-0.05, 0.05, 2)
            ends = radius + np.stack([away * np.cos(spread) + rng.normal(0, 2, 2), away * np.sin(spread)], 1)
            stroke(ink, ends.astype(np.float32), 255, line)
    if rng.random() < 0.5:
        paint_logo = 255 - logo(rng, max(8, inner), max(8, inner))
        corner = radius - len(paint_logo) // 2
        spot = ink[corner : corner + len(paint_logo), corner : corner + len(paint_logo)]
        np.maximum(spot, paint_logo, out=spot)
    return ink


def put(layer: Pixels, picture: Pixels, x: int, y: int) -> Box:
    """Lay a picture on a layer of greys with its upper left corner at (x, y), cut at the edges; in place."""
    x, y = max(0, x), max(0, y)
    spot = layer[y : y + picture.shape[0], x : x + picture.shape[1]]
    np.minimum(spot, picture[: spot.shape[0], : spot.shape[1]], out=spot)
    return x, y, x + spot.shape[1], y + spot.shape[0]


def press(layer: Pixels, ink: Pixels, x: int, y: int, grey: int) -> None:
    """Print ink, uint8 (H, W), in a grey on a layer, its upper left corner at (x, y), cut at the edges; in place."""
    left, top = max(0, -x), max(0, -y)
    spot = layer[y + top : y + ink.shape[0], x + left : x + ink.shape[1]]
    ink = ink[top:, left:][: spot.shape[0], : spot.shape[1]]
    paint(spot, (ink.astype(np.float32) * (spot >= grey)).astype(np.uint8), grey)
