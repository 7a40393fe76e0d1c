"""Faces and texts in; a folder of made-up pages, handwritten, printed and typed, and all about their lines, out.

The folder has the format that `training.pages` reads. Each page depends on the seed and its index alone:
``python -m training.synthesis --assets build/assets --out DIR --pages 900 --seed 1 --split train``.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from training.corpus import STRAIGHT, Block, Composer, Corpus
from training.fonts import Face, files_of, load_faces, open_font

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]

STYLES = {"hand": 0.6, "print": 0.2, "typewriter": 0.2}
MAX_SIDE = 1800
# The share of hands that write some letters as capitals wherever they stand.
MIXED = 0.06
LIGATURES = {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss"}
INK = 40  # the palest grey, out of 255, that counts as ink when a polygon is drawn around it


# --- what a page looks like -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hand:
    """How one page is written: a face and what the writer does with it. Lengths are shares of `height`.

    Attributes
    ----------
    height : float
        Ascender to descender, pixels.
    wander, swell, slant, slant_wander, stretch : float
        How far the baseline, the letter size, the slope of the stems (tangent) and the letter spacing stray.
    slope : float
        How much the lines' slopes differ, tangent.
    gap : float
        Space between words, as a factor of the face's own.
    narrow : float
        Width of the letters, as a factor of the face's own.
    loose : float
        How much each letter strays by itself; 0 sets whole words, with the joins that the face has between letters.
    uneven : float
        How much the ink of one letter differs from the next (a typewriter's ribbon).
    thickness : float
        How much thicker the strokes are than the face's own.
    nib : float
        Width of a broad pen held at 45 degrees.
    curly : bool
        Writes curly apostrophes and quotation marks.
    raised : str
        Small letters that the writer draws as capitals wherever they stand, with or without an accent.
    """

    face: Face
    height: float
    wander: float = 0.0
    swell: float = 0.0
    slant: float = 0.0
    slant_wander: float = 0.0
    stretch: float = 0.0
    slope: float = 0.0
    gap: float = 1.0
    narrow: float = 1.0
    loose: float = 0.0
    uneven: float = 0.0
    thickness: float = 0.0
    nib: float = 0.0
    curly: bool = False
    raised: str = ""


@dataclass
class Sheet:
    """Ink on paper that is still flat: ink uint8 (H, W), 255 is full, and the lines so far."""

    ink: Pixels
    lines: list[dict[str, Any]] = field(default_factory=list)


def make_hand(rng: Generator, face: Face) -> Hand:
    """Draw the habits of a writer, a printer or a typist."""
    height = float(np.clip(rng.lognormal(math.log(42 if face.style == "typewriter" else 48), 0.25), 30, 75))
    curly = bool(rng.random() < 0.5)
    if face.style == "print":
        return Hand(face, height, gap=rng.uniform(0.9, 1.2), thickness=rng.choice([0, 0, 0.01]), curly=curly)
    if face.style == "typewriter":
        loose, uneven = rng.choice([0.0, rng.uniform(0.005, 0.03)], p=[0.3, 0.7]), rng.uniform(0, 0.4)
        return Hand(face, height, loose=loose, uneven=uneven, thickness=rng.uniform(0, 0.02), curly=curly and not loose)
    calm = rng.uniform(0.3, 1.3)
    return Hand(
        face,
        height,
        wander=calm * rng.uniform(0.01, 0.09),
        swell=calm * rng.uniform(0.02, 0.12),
        slant=rng.normal(0.04, 0.15),
        slant_wander=calm * rng.uniform(0.02, 0.1),
        stretch=calm * rng.uniform(0.01, 0.04),
        slope=rng.choice([0.003, 0.008, 0.02]),
        gap=rng.uniform(0.9, 1.9),
        narrow=float(np.clip(rng.normal(0.98, 0.12), 0.7, 1.25)),
        loose=0.0 if face.style == "script" or rng.random() < 0.6 else rng.uniform(0.01, 0.05),
        uneven=rng.uniform(0, 0.2),
        thickness=rng.choice([0, rng.uniform(0, 0.03)]),
        nib=rng.choice([0, rng.uniform(0.03, 0.07)], p=[0.8, 0.2]),
        curly=curly,
        raised=draw_raised(rng) if face.style == "hand" and rng.random() < MIXED else "",
    )


def draw_raised(rng: Generator) -> str:
    """The letters that someone draws as capitals who mixes them into words: few of them, or most."""
    share = rng.uniform(0.15, 0.85)
    return "".join(letter for letter in string.ascii_lowercase if rng.random() < share)


def noise_line(rng: Generator, count: int, period: float) -> Array:
    """Smooth noise along a line, about unit variance, float32 (count,); `period` is the distance of its knots."""
    knots = rng.standard_normal(max(4, math.ceil(count / max(period, 2)) + 3)).astype(np.float32)
    at = np.arange(count, dtype=np.float32) / max(period, 2) + np.float32(rng.random())
    low = np.minimum(at.astype(int), len(knots) - 2)
    part = at - low
    blend = part * part * (3 - 2 * part)
    return knots[low] * (1 - blend) + knots[low + 1] * blend


def noise_field(rng: Generator, height: int, width: int, period: float) -> Array:
    """Smooth noise over a page, float32 (height, width), about unit variance."""
    grid = rng.standard_normal((max(2, math.ceil(height / period) + 1), max(2, math.ceil(width / period) + 1)))
    small = cv2.resize(grid.astype(np.float32), (width // 4 + 1, height // 4 + 1), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(small, (width, height))


def grain(rng: Generator, height: int, width: int) -> Array:
    """White noise over a page, float32 (height, width): one tile of noise, rolled from copy to copy."""
    tile = rng.standard_normal((512, 768), dtype=np.float32)
    rows = [np.roll(tile, int(rng.integers(768)), axis=1) for _ in range(math.ceil(height / 512))]
    return np.tile(np.concatenate(rows), (1, math.ceil(width / 768)))[:height, :width]


# --- text -------------------------------------------------------------------------------------------------------------


def drawable(face: Face, text: str) -> str:
    """`text` as the face can draw it: base letters for accented ones it lacks, upper case if it has no other."""
    text = text.upper() if face.caps_only else text
    files = files_of(face)
    kept = [
        character if character in files else LIGATURES.get(character, unicodedata.normalize("NFD", character)[0])
        for character in text
    ]
    return " ".join("".join(character for character in "".join(kept) if character in files).split())


def raise_letters(text: str, raised: str) -> str:
    """`text` with some of its small letters, whatever their accents, as capitals."""
    return "".join(
        letter.upper() if unicodedata.normalize("NFD", letter)[0] in raised else letter
        for letter in unicodedata.normalize("NFC", text)
    )


def typographic(face: Face, text: str) -> str:
    """`text` with curly marks where the face has them; the opening quotation mark after a space or bracket."""
    if not set("‘’“”") <= files_of(face).keys():
        return text
    marks = []
    for before, character in zip(" " + text, text, strict=False):
        opening = before in " (["
        marks.append({"'": "‘" if opening else "’", '"': "“" if opening else "”"}.get(character, character))
    return "".join(marks)


@dataclass(frozen=True)
class Metrics:
    """A face at the size that gives a hand's height: font size, height, ascent, descent and x-height in pixels."""

    size: int
    height: float
    ascent: float
    descent: float
    x_height: float


@lru_cache(maxsize=1024)
def measure(face: Face, height: float) -> Metrics:
    """Find the font size at which ascenders and descenders together are `height` pixels."""
    font = open_font(face.paths[0], 100)
    letters = "HILT" if face.caps_only else "bdhkl"
    ascent = -font.getbbox(letters, anchor="ls")[1]
    descent = font.getbbox("gpqy" if not face.caps_only else "Q,;", anchor="ls")[3]
    x_height = -font.getbbox("HE" if face.caps_only else "xnoe", anchor="ls")[1]
    scale = height / (ascent + descent)
    return Metrics(max(8, round(100 * scale)), height, ascent * scale, descent * scale, x_height * scale)


def runs(face: Face, word: str) -> list[tuple[str, str]]:
    """Stretches of a word with the file that draws each."""
    return [("".join(group), path) for path, group in groupby(word, key=files_of(face).__getitem__)]


@lru_cache(maxsize=8192)
def word_width(face: Face, size: int, word: str) -> float:
    return sum(open_font(path, size).getlength(text) for text, path in runs(face, word))


@dataclass(frozen=True)
class Setting:
    """A hand at one letter size, `scale` times its own."""

    hand: Hand
    scale: float = 1.0

    @property
    def metrics(self) -> Metrics:
        return measure(self.hand.face, self.hand.height * self.scale)

    @property
    def space(self) -> float:
        """Width of the space between words, pixels."""
        return max(self.width(" ") * self.hand.gap, 0.2 * self.hand.height * self.scale)

    def width(self, word: str) -> float:
        """Width of a word, pixels."""
        return self.hand.narrow * word_width(self.hand.face, self.metrics.size, word)

    def length(self, line: str) -> float:
        """Width of a line, pixels."""
        return sum(map(self.width, line.split())) + self.space * line.count(" ")


def wrap(rng: Generator, setting: Setting, text: str, width: float, hyphens: bool) -> list[str]:
    """Lines of `text` no wider than `width` pixels; with `hyphens`, long words may be divided at line ends."""
    lines: list[list[str]] = [[]]
    filled = 0.0
    words = text.split()[::-1]
    while words:
        word = words.pop()
        needed, room = setting.width(word), width - filled
        if needed <= room or (len(word) == 1 and not lines[-1]):
            lines[-1].append(word)
            filled += needed + setting.space
            continue
        cut = int(len(word) * room / needed) - 1
        if needed > width and (room > needed / 4 or not lines[-1]):
            cut = max(cut, 1)
        elif not (hyphens and word.isalpha() and 2 <= cut <= len(word) - 3 and rng.random() < 0.5):
            cut = 0
        if cut:
            lines[-1].append(word[:cut] + ("-" if word.isalpha() and "-" in files_of(setting.hand.face) else ""))
        lines.append([])
        filled = 0.0
        words.append(word[cut:])
    return [" ".join(line) for line in lines if line]


# --- ink --------------------------------------------------------------------------------------------------------------


def write_line(
    sheet: Sheet,
    rng: Generator,
    setting: Setting,
    text: str,
    x: float,
    y: float,
    justify: float = 0.0,
    underline: bool = False,
) -> None:
    """Write one line on the sheet and note its text, baseline and polygon; a line that would be cut off is left out.

    Parameters
    ----------
    text : str
        Characters that the face has.
    x, y : float
        Start of the baseline, sheet pixels.
    justify : float
        Extra width of every space, pixels.
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
    spot = sheet.ink[corner_y + top : corner_y + above + below, corner_x + left : corner_x + width]
    strip, wander = strip[top:, left:][: spot.shape[0], : spot.shape[1]], wander[left:][: spot.shape[1]]
    outline = surround(strip, above - top, wander, metrics)
    if outline is None or np.count_nonzero(strip > INK) < whole:
        return
    np.maximum(spot, strip, out=spot)
    start, end, polygon = outline
    corner = np.float32([corner_x + left, corner_y + top])
    knots = np.unique(np.append(np.arange(start, end, max(8, int(height / 2))), end))
    baseline = np.stack([knots, above - top + wander[knots]], 1).astype(np.float32)
    line = {"text": drawn.translate(STRAIGHT), "raw_text": drawn}
    sheet.lines.append(line | {"baseline": baseline + corner, "polygon": polygon + corner})


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
    np.maximum(spot, cv2.multiply(mask[: spot.shape[0], : spot.shape[1]], strength), out=spot)


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
    return cv2.remap(strip, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)


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


# --- layout -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Where the text goes, pixels: columns as (x, width), the first baseline, the lowest one, the line pitch."""

    columns: list[tuple[float, float]]
    top: float
    bottom: float
    pitch: float


def make_layout(rng: Generator, hand: Hand) -> tuple[Layout, int, int]:
    """Draw the size of a sheet, height and width in pixels, and its columns."""
    lines = int(rng.choice([rng.integers(1, 4), rng.integers(4, 13), rng.integers(13, 46)], p=[0.07, 0.33, 0.6]))
    tight = {"print": (0.95, 1.5), "typewriter": (1.0, 1.9)}.get(hand.face.style, (0.8, 1.7))
    pitch = hand.height * rng.uniform(*tight)
    broad = {"print": (16, 40), "typewriter": (22, 48)}.get(hand.face.style, (14, 38))
    width = int(np.clip(hand.height * rng.uniform(*broad), 600, MAX_SIDE))
    margins = rng.uniform(0.02, 0.14, 4) * width
    margins[2:] = np.minimum(margins[2:], 90 + margins[2:] * 0.3)
    lines = min(lines, max(1, int((min(MAX_SIDE, 1.75 * width) - 1.2 * hand.height - margins[2] - margins[3]) / pitch)))
    height = int(
        margins[2] + margins[3] + 1.5 * hand.height + (lines - 1) * pitch + rng.choice([0, rng.uniform(0, 0.4) * width])
    )
    height = min(height, MAX_SIDE)
    left, right = margins[0], width - margins[1]
    columns = [(left, right - left)]
    if width > 22 * hand.height and rng.random() < {"print": 0.5, "typewriter": 0.05}.get(hand.face.style, 0.2):
        middle = left + (right - left) * rng.choice([0.5, rng.uniform(0.35, 0.65)])
        # Those who write in columns write up to the rule between them.
        gutter = hand.height * rng.uniform(0.05, 1.2)
        columns = [(left, middle - left - gutter), (middle + gutter, right - middle - gutter)]
    elif lines > 3 and rng.random() < 0.12:
        note = (right - left) * rng.uniform(0.22, 0.34)
        columns = [(left + note + 0.4 * hand.height, right - left - note - 0.4 * hand.height), (left, note)]
    return Layout(columns, margins[2] + hand.height, height - 0.5 * hand.height, pitch), height, width


def fill_sheet(
    sheet: Sheet, rng: Generator, hand: Hand, heading: Hand, layout: Layout, composer: Composer
) -> list[float]:
    """Write text into the columns of a sheet; returns the rows of the baselines, for the ruling."""
    rows: list[float] = []
    shout = rng.random() < 0.04
    hyphens, justified = bool(rng.random() < 0.4), hand.face.style == "print" and rng.random() < 0.6
    indent = rng.choice([0, rng.uniform(0.5, 2.0)]) * hand.height
    for number, (x, width) in enumerate(layout.columns):
        aside = number > 0 and width < 0.5 * layout.columns[0][1]
        scale = rng.uniform(0.6, 0.85) if aside else 1.0
        letter = max(Setting(hand, scale).length("the quick brown fox jumps") / 25, 1)
        y, bottom, pitch = layout.top, layout.bottom, layout.pitch * max(scale, 0.75)
        if aside:
            y += rng.uniform(0, 0.7) * (bottom - y)
            bottom = min(bottom, y + rng.integers(8) * pitch)
        count = int((bottom - y) / pitch) + 1
        blocks = composer.document(count, max(8, int(width / letter)))
        if rng.random() < 0.12 and not aside:
            blocks.insert(0, Block("right", str(int(rng.integers(1, 900)))))
        for block in blocks:
            if y > bottom:
                break
            titled = block.kind == "heading" and not aside
            writer = heading if titled else hand
            setting = Setting(writer, scale * (rng.choice([1.0, rng.uniform(1.1, 1.5)]) if titled else 1.0))
            upper = (shout or rng.random() < 0.05) and writer.face.style != "script"
            text = block.text.upper() if upper else raise_letters(block.text, writer.raised)
            if block.kind == "row":
                write_row(sheet, rng, setting, text, x, y, width)
                rows.append(y)
                y += pitch
                continue
            prose = block.kind == "prose"
            first = indent if prose else 0.0
            lines = wrap(rng, setting, drawable(writer.face, text), width - first, hyphens)
            y += (setting.scale / scale - 1) * hand.height * 0.8
            for index, line in enumerate(lines if prose else lines[:2]):
                if y > bottom:
                    break
                spare = max(0.0, width - first - setting.length(line))
                start = {"right": spare, "heading": spare * rng.choice([0, 0.5])}.get(block.kind, 0 if index else first)
                fill = spare / max(line.count(" "), 1) if justified and prose and index < len(lines) - 1 else 0.0
                jitter = (0.15 if hand.wander else 0.02) * hand.height * rng.normal()
                underline = bool(rng.random() < (0.3 if titled else 0.015))
                write_line(sheet, rng, setting, line, max(2, x + start + jitter), y, min(fill, 60), underline)
                rows.append(y)
                y += pitch
            y += rng.choice([0, 0, 0.5]) * pitch if prose or titled else 0
    return rows


def write_row(sheet: Sheet, rng: Generator, setting: Setting, text: str, x: float, y: float, width: float) -> None:
    """Write a label and a figure, with a tab between them in `text`, as two lines at the two sides of a column."""
    label, figure = (drawable(setting.hand.face, cell) for cell in text.split("\t"))
    start = width - setting.length(figure)
    if label and figure and start > 0.3 * width:
        write_line(sheet, rng, setting, wrap(rng, setting, label, start - 1.5 * setting.space, False)[0], x, y)
        write_line(sheet, rng, setting, figure, x + start, y)


# --- paper ------------------------------------------------------------------------------------------------------------


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


def ink_alpha(ink: Pixels, rng: Generator, hand: Hand) -> Array:
    """How much ink hides the paper, float32 (H, W): strokes of varying width and strength from drawn shapes."""
    height, width = ink.shape
    alpha = ink.astype(np.float32) / 255
    if hand.face.style != "print" or rng.random() < 0.5:
        spread = rng.uniform(0.45, 0.9)
        alpha = cv2.GaussianBlur(alpha, (0, 0), spread)
        sample = alpha[::3][ink[::3] > 128]
        full = float(np.percentile(sample, 70)) if len(sample) else 1.0
        level = full * (rng.uniform(0.3, 0.5) + 0.06 * noise_field(rng, height, width, rng.uniform(60, 400)))
        alpha = np.clip((alpha - level) * (rng.uniform(1.2, 3.0) / full) + 0.5, 0, 1) * np.clip(
            alpha * (4 / full), 0, 1
        )
    flow = 1 + rng.uniform(0, 0.15) * noise_field(rng, height, width, rng.uniform(20, 120))
    if rng.random() < 0.45:
        flow += rng.uniform(0.05, 0.4) * cv2.GaussianBlur(grain(rng, height, width), (0, 0), rng.uniform(0.5, 1.2))
    return alpha * np.clip(flow, 0.25, 1)


# --- camera -----------------------------------------------------------------------------------------------------------


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
        return cv2.perspectiveTransform(bent[None], self.matrix)[0].astype(np.float32)

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

    def take(self, layer: Array, border: int) -> Array:
        """A layer of the sheet, float32 (H, W), as it looks in the picture."""
        if not self.bulge.any():
            return cv2.warpPerspective(layer, self.matrix, self.size, flags=cv2.INTER_LINEAR, borderMode=border)
        return cv2.remap(layer, *self.maps(), cv2.INTER_LINEAR, borderMode=border)


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
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    turn = np.float32([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = (corners - corners.mean(0)) @ turn.T
    if rng.random() < 0.25:
        moved += (rng.normal(0, 0.012, (4, 2)) * min(height, width)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
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
    shrink = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale], [0, 0, 1]])
    size = (max(32, int((high[0] - low[0]) * scale)), max(32, int((high[1] - low[1]) * scale)))
    return View(bulge, shrink @ matrix, size)


def photograph(rng: Generator, sheet: Sheet, hand: Hand, rows: Sequence[float], pitch: float) -> tuple[Pixels, View]:
    """Put the ink on paper and take a picture: uint8 (H, W) and the view it was taken with."""
    height, width = sheet.ink.shape
    paper = make_paper(rng, height, width, hand, rows, pitch)
    alpha = ink_alpha(sheet.ink, rng, hand)
    table = bool(rng.random() < 0.2)
    view = make_view(rng, height, width, sheet.lines, table)
    if rng.random() < 0.25:
        back = cv2.GaussianBlur(alpha[:, ::-1], (0, 0), rng.uniform(1, 3))
        back = np.roll(back, (int(rng.integers(-60, 60)), int(rng.integers(-60, 60))), (0, 1))
        paper -= rng.uniform(0.04, 0.22) * back
    alpha = view.take(alpha, cv2.BORDER_CONSTANT)
    page = view.take(paper, cv2.BORDER_REFLECT)
    darkness = rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.55)], p=[0.75, 0.25])
    strength = rng.choice([1.0, rng.uniform(0.65, 1.0)])
    page += (darkness * page - page) * alpha * np.float32(strength)
    if table:
        around(page, rng, view, (height, width))
    return develop(page, rng), view


def around(page: Array, rng: Generator, view: View, sheet_size: tuple[int, int]) -> None:
    """Show a table, or the pages beneath, wherever the picture looks beside the sheet; in place."""
    height, width = sheet_size
    map_x, map_y = view.maps()
    outside = np.maximum(np.maximum(-map_x, map_x - width + 1), np.maximum(-map_y, map_y - height + 1))
    level = rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.95)])
    ground = level + rng.uniform(0, 0.05) * noise_field(rng, *page.shape, period=40)
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
        page = cv2.GaussianBlur(page, (0, 0), blur)
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


# --- pages and folders ------------------------------------------------------------------------------------------------


def choose_face(rng: Generator, faces: Sequence[Face], style: str) -> Face:
    """A face of a style, every family equally likely, calligraphy and capitals less so."""
    families: dict[str, list[Face]] = {}
    for face in faces:
        if face.style == style or (style == "hand" and face.style == "script"):
            families.setdefault(face.family, []).append(face)
    weights = np.array(
        [
            (0.25 if found[0].style == "script" else 1.0) * (0.4 if found[0].caps_only else 1.0)
            for found in families.values()
        ]
    )
    chosen = list(families.values())[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return chosen[int(rng.integers(len(chosen)))]


def make_page(
    seed: int, index: int, faces: Sequence[Face], corpus: Corpus, split: str, style: str
) -> tuple[Pixels, dict[str, Any]]:
    """Make one page.

    Parameters
    ----------
    seed, index : int
        The same pair gives the same page.
    faces : sequence of Face
        Of one split.
    style : str
        ``mixed``, ``hand``, ``print`` or ``typewriter``.

    Returns
    -------
    pixels : uint8 (H, W)
    record : dict
        A row of ``pages.jsonl``, without the size of the JPEG's quality.
    """
    rng = np.random.default_rng([seed, index])
    kind = str(rng.choice(list(STYLES), p=list(STYLES.values()))) if style == "mixed" else style
    hand = make_hand(rng, choose_face(rng, faces, kind))
    heading = hand
    if kind == "hand" and rng.random() < 0.08 and any(face.style == "print" for face in faces):
        heading = Hand(choose_face(rng, faces, "print"), hand.height)
    french = rng.random() < 0.3 and set("éèêàçùœîôÉ") <= files_of(hand.face).keys()
    composer = Composer(corpus, rng, "fr" if french else "en")
    layout, height, width = make_layout(rng, hand)
    sheet = Sheet(np.zeros((height, width), np.uint8))
    rows: list[float] = []
    while not sheet.lines:
        rows = fill_sheet(sheet, rng, hand, heading, layout, composer)
    if len(layout.columns) == 2 and layout.columns[0][0] < layout.columns[1][0] and rng.random() < 0.4:
        middle = round((sum(layout.columns[0]) + layout.columns[1][0]) / 2)
        cv2.line(sheet.ink, (middle, 0), (middle, height), 255, int(rng.integers(1, 4)))
    pixels, view = photograph(rng, sheet, hand, rows, layout.pitch)
    page_id, source = f"{split}_{seed}_{index:06d}", f"synth_{kind}"
    limit = np.float32([pixels.shape[1] - 1, pixels.shape[0] - 1])
    lines = [
        {"text": line["text"], "raw_text": line["raw_text"], "struck": False}
        | {name: np.clip(view.forward(line[name]), 0, limit).round(1).tolist() for name in ("baseline", "polygon")}
        for line in sheet.lines
    ]
    record = {
        "page_id": page_id, "source": source, "writer": hand.face.family, "split": split,
        "image": f"pages/{source}/{page_id}.jpg", "width": pixels.shape[1], "height": pixels.shape[0], "lines": lines,
    }  # fmt: skip
    return pixels, record


def write_page(folder: Path, pixels: Pixels, record: dict[str, Any], quality: int) -> str:
    """Write the picture of a page as JPEG; returns its row of ``pages.jsonl``."""
    path = folder / record["image"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return json.dumps(record, ensure_ascii=False)


class Worker:
    """What a process keeps between pages."""

    def __init__(self, assets: Path, french: Path | None, out: Path, seed: int, split: str, style: str) -> None:
        cv2.setNumThreads(1)
        self.faces, self.corpus = load_faces(assets, split), Corpus.load(assets, split, french)
        self.out, self.seed, self.split, self.style = out, seed, split, style

    def write(self, index: int) -> str:
        """Make one page and write its picture; returns its row of ``pages.jsonl``."""
        pixels, record = make_page(self.seed, index, self.faces, self.corpus, self.split, self.style)
        return write_page(self.out, pixels, record, int(np.random.default_rng([self.seed, index, 1]).integers(40, 96)))


_worker: Worker


def _start(*arguments: Any) -> None:
    global _worker
    _worker = Worker(*arguments)


def _write(index: int) -> str:
    return _worker.write(index)


def main() -> None:
    """Write a folder of pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("build/assets"), help="folder written by training.fonts")
    parser.add_argument("--french", type=Path, help="folder of annotated pages whose lines serve as French prose")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--style", choices=("mixed", *STYLES), default="mixed")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    setting = (arguments.assets, arguments.french, arguments.out, arguments.seed, arguments.split, arguments.style)
    with (
        multiprocessing.get_context("spawn").Pool(arguments.jobs, _start, setting) as pool,
        (arguments.out / "pages.jsonl").open("w", encoding="utf-8") as file,
    ):
        for row in tqdm(pool.imap(_write, range(arguments.pages)), total=arguments.pages, unit="page"):
            file.write(row + "\n")


if __name__ == "__main__":
    main()
