"""Pages of prose, letters and lists in one or two columns, in one hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis.camera import MAX_SIDE, photograph
from training.synthesis.corpus import Block, Composer, Corpus
from training.synthesis.fonts import Face, files_of
from training.synthesis.hands import Hand, Setting, choose_face, drawable, make_hand, raise_letters, wrap
from training.synthesis.ink import Sheet, write_line
from training.synthesis.noise import Pixels

STYLES = {"hand": 0.6, "print": 0.2, "typewriter": 0.2}


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
    limit = np.array([pixels.shape[1] - 1, pixels.shape[0] - 1], np.float32)
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
