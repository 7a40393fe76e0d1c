"""Draw lines of text as ink on a flat sheet and note their baselines and polygons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis.corpus import STRAIGHT
from training.synthesis.fonts import open_font
from training.synthesis.hands import Hand, Metrics, Setting, runs, typographic
from training.synthesis.noise import Array, Pixels, grain, noise_field, noise_line

# A baseline is never shorter than this share of the ascender height, so that a single 1 or I can be found by its own.
MIN_BASELINE = 0.6
INK = 40  # the palest grey, out of 255, that counts as ink when a polygon is drawn around it


@dataclass
class Sheet:
    """Ink on paper that is still flat: ink uint8 (H, W), 255 is full, and the lines so far."""

    ink: Pixels
    lines: list[dict[str, Any]] = field(default_factory=list)


def write_line(
    sheet: Sheet,
    rng: Generator,
    setting: Setting,
    text: str,
    x: float,
    y: float,
    justify: float = 0.0,
    underline: bool = False,
    onto: Pixels | None = None,
    grey: int | None = None,
    noted: bool = True,
) -> dict[str, Any] | None:
    """Write one line on the sheet and note its text, baseline and polygon; a line that would be cut off is left out.

    Parameters
    ----------
    text : str
        Characters that the face has.
    x, y : float
        Start of the baseline, sheet pixels.
    justify : float
        Extra width of every space, pixels.
    onto : uint8 (H, W), optional
        Another layer than the sheet's ink.
    grey : int, optional
        The grey that the layer takes where the letters are; without it the layer holds ink, of which 255 is full.
    noted : bool
        Whether the line joins the lines of the sheet.

    Returns
    -------
    dict or None
        The line, None where it was left out.
    """
    hand, metrics = setting.hand, setting.metrics
    height, narrow = metrics.height, hand.narrow
    drawn = typographic(hand.face, text) if hand.curly else text
    words = drawn.split(" ")
    widths = [setting.width(word) for word in words]
    sway = 0.15 * rng.standard_normal(len(words)) if hand.wander else np.zeros(len(words))
    gaps = np.maximum((setting.space + justify) * (1 + sway), 0.2 * height)
    pad = int(0.8 * height) + 4
    width = int(sum(widths) + gaps.sum()) + 2 * pad
    wander: Array = np.zeros(width, np.float32)
    if hand.wander:
        wander = 0.8 * noise_line(rng, width, 6 * height) + 0.3 * noise_line(rng, width, 1.2 * height)
        wander *= np.float32(height * hand.wander)
    wander += np.float32(hand.slope * rng.normal()) * (np.arange(width, dtype=np.float32) - width / 2)
    reach = math.ceil(np.abs(wander).max()) + 4
    above, below = math.ceil(2 * metrics.ascent) + reach, math.ceil(2 * metrics.descent + 0.3 * height) + reach
    strip = np.zeros((above + below, math.ceil(width / narrow)), np.uint8)
    at = float(pad)
    for word, length, space in zip(words, widths, gaps, strict=True):
        draw_word(strip, rng, hand, metrics, word, at / narrow, above)
        at += length + float(space)
    if underline:
        level, end = round(above + 0.18 * height), round((at - float(gaps[-1])) / narrow)
        drop = round(rng.uniform(-0.05, 0.05) * height)
        cv2.line(
            strip, (round(pad / narrow), level), (end, level + drop), 220, max(1, round(0.04 * height)), cv2.LINE_AA
        )
    if narrow != 1:
        strip = cv2.resize(strip, (width, above + below), interpolation=cv2.INTER_AREA)
    if hand.nib:
        strip = cv2.dilate(strip, np.eye(max(2, round(hand.nib * height)), dtype=np.uint8)[::-1])
    if hand.wander:
        strip = bend(strip, rng, hand, height, wander, above)
    whole = np.count_nonzero(strip > INK)
    corner_x, corner_y = round(x) - pad, round(y) - above
    left, top = max(0, -corner_x), max(0, -corner_y)
    layer = sheet.ink if onto is None else onto
    spot = layer[corner_y + top : corner_y + above + below, corner_x + left : corner_x + width]
    strip, wander = strip[top:, left:][: spot.shape[0], : spot.shape[1]], wander[left:][: spot.shape[1]]
    outline = surround(strip, above - top, wander, metrics)
    if outline is None or np.count_nonzero(strip > INK) < whole:
        return None
    if grey is None:
        np.maximum(spot, strip, out=spot)
    else:
        paint(spot, strip, grey)
    start, end, polygon = outline
    corner = np.array([corner_x + left, corner_y + top], np.float32)
    knots = np.unique(np.append(np.arange(start, end, max(8, int(height / 2))), end))
    baseline = np.stack([knots, above - top + wander[knots]], 1).astype(np.float32)
    if (short := MIN_BASELINE * metrics.ascent - (end - start)) > 0:
        baseline[[0, -1], 0] += (-short / 2, short / 2)
    line: dict[str, Any] = {"text": drawn.translate(STRAIGHT), "raw_text": drawn}
    line |= {"baseline": baseline + corner, "polygon": polygon + corner}
    if noted:
        sheet.lines.append(line)
    return line


def paint(spot: Pixels, mask: Pixels, grey: int) -> None:
    """Blend a part of a picture, uint8 (H, W), with a grey where the mask, uint8 (H, W), covers it; in place."""
    share = mask.astype(np.float32) / 255
    spot[...] = (spot + (grey - spot.astype(np.float32)) * share + 0.5).astype(np.uint8)


@lru_cache(maxsize=4096)
def shape_of(path: str, size: int, text: str, stroke: float) -> tuple[Pixels, int, int]:
    """The ink of a text, uint8 (H, W), and where its upper left corner lies from the start of the baseline."""
    mask, (x, y) = open_font(path, size).getmask2(text, "L", anchor="ls", stroke_width=stroke, stroke_filled=True)
    width, height = mask.size
    return np.frombuffer(bytes(mask), np.uint8).reshape(height, width), x, y


def draw(strip: Pixels, shape: tuple[Pixels, int, int], x: float, y: float, strength: float) -> None:
    """Put a shape on a strip, uint8 (H, W), with its baseline starting at (x, y); in place."""
    mask, left, top = shape
    row, column = max(0, round(y) + top), max(0, round(x) + left)
    spot = strip[row : row + mask.shape[0], column : column + mask.shape[1]]
    # OpenCV multiplies by scalars, too, which its stubs lack.
    weak = cv2.multiply(mask[: spot.shape[0], : spot.shape[1]], strength)  # type: ignore[call-overload]
    np.maximum(spot, weak, out=spot)


def draw_word(strip: Pixels, rng: Generator, hand: Hand, metrics: Metrics, word: str, x: float, y: float) -> None:
    """Draw a word with its baseline starting at (x, y): in one piece, or letter by letter where the hand is loose."""
    stroke = round(hand.thickness * metrics.height / 2, 1)
    fixed = hand.face.style == "typewriter"
    for text, path in runs(hand.face, word):
        if hand.loose:
            for index, letter in enumerate(text):
                offset = open_font(path, metrics.size).getlength(text[:index])
                size = metrics.size * (1 if fixed else 1 + 1.5 * hand.loose * rng.normal())
                shape = shape_of(path, max(8, round(size)), letter, stroke)
                dx, dy = hand.loose * metrics.height * rng.standard_normal(2)
                strength = 1 - hand.uneven * rng.random() ** 1.5
                for again in range(2 if fixed and rng.random() < 0.03 else 1):
                    draw(strip, shape, x + offset + dx + again * rng.normal(), y + dy, strength)
        else:
            draw(strip, shape_of(path, metrics.size, text, stroke), x, y, 1 - hand.uneven * rng.random())
        x += open_font(path, metrics.size).getlength(text)


def bend(strip: Pixels, rng: Generator, hand: Hand, height: float, wander: Array, base: int) -> Pixels:
    """Warp straight writing, uint8 (H, W): the baseline at row `base` follows `wander`, letters lean and swell."""
    rows, width = strip.shape
    swell = 1 + hand.swell * (0.7 * noise_line(rng, width, 2 * height) + 0.5 * noise_line(rng, width, 0.5 * height))
    lean = hand.slant + hand.slant_wander * noise_line(rng, width, 0.7 * height)
    shift = np.arange(width, dtype=np.float32) + hand.stretch * height * noise_line(rng, width, 0.9 * height)
    up = np.arange(rows, dtype=np.float32)[:, None] - base - wander
    map_x = shift + np.clip(lean, -0.6, 0.6).astype(np.float32) * up
    map_y = base + up / np.clip(swell, 0.6, 1.5).astype(np.float32)
    bent = cv2.remap(strip, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(bent, np.uint8)


def surround(strip: Pixels, base: float, wander: Array, metrics: Metrics) -> tuple[int, int, Array] | None:
    """A polygon around the ink of a strip, never lower than the x-height.

    Returns
    -------
    tuple of int, int, ndarray or None
        First and last column with ink, and the polygon float32 (M, 2) in strip pixels; None without ink.
    """
    inked = strip > INK
    filled = inked.any(0)
    if not filled.any():
        return None
    start, end = np.flatnonzero(filled)[[0, -1]].tolist()
    line, last_row = base + wander, strip.shape[0] - 1
    first = np.where(filled, inked.argmax(0), last_row)
    last = np.where(filled, last_row - inked[::-1].argmax(0), 0)
    first, last = np.minimum(first, line - metrics.x_height), np.maximum(last, line + 0.08 * metrics.height)
    margin = 0.04 * metrics.height + 1.5
    edges = np.arange(start, end + 1, max(6, int(metrics.height / 3)))
    highest, lowest = np.minimum.reduceat(first[: end + 1], edges), np.maximum.reduceat(last[: end + 1], edges)
    # A corner lies beyond the ink on both its sides, so the straight lines between corners cut through none.
    over = np.minimum(np.append(highest, highest[-1]), np.append(highest[0], highest)) - margin
    under = np.maximum(np.append(lowest, lowest[-1]), np.append(lowest[0], lowest)) + margin + 1
    x = np.append(edges, end + 1).astype(np.float32)
    x[[0, -1]] += (-margin, margin)
    return start, end, np.concatenate([np.stack([x, over], 1), np.stack([x, under], 1)[::-1]]).astype(np.float32)


def ink_alpha(ink: Pixels, rng: Generator, style: str) -> Array:
    """How much ink hides the paper, float32 (H, W): strokes of varying width and strength from drawn shapes."""
    height, width = ink.shape
    alpha: Array = ink.astype(np.float32) / 255
    if style != "print" or rng.random() < 0.5:
        spread = rng.uniform(0.45, 0.9)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), spread), np.float32)
        sample = alpha[::3][ink[::3] > 128]
        full = float(np.percentile(sample, 70)) if len(sample) else 1.0
        level = full * (rng.uniform(0.3, 0.5) + 0.06 * noise_field(rng, height, width, rng.uniform(60, 400)))
        alpha = np.clip((alpha - level) * (rng.uniform(1.2, 3.0) / full) + 0.5, 0, 1) * np.clip(
            alpha * (4 / full), 0, 1
        )
    flow = 1 + rng.uniform(0, 0.15) * noise_field(rng, height, width, rng.uniform(20, 120))
    if rng.random() < 0.45:
        flow += rng.uniform(0.05, 0.4) * cv2.GaussianBlur(grain(rng, height, width), (0, 0), rng.uniform(0.5, 1.2))
    return np.asarray(alpha * np.clip(flow, 0.25, 1))
