"""Set the text, rules and pictures of a document on a flat canvas, and note its lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis import figures
from training.synthesis.figures import Box
from training.synthesis.fonts import Face
from training.synthesis.hands import Setting, choose_face, drawable, make_hand, wrap
from training.synthesis.ink import Sheet, write_line
from training.synthesis.noise import Array, Pixels
from training.synthesis.recorded import RecordedHand
from training.synthesis.texts import Vocabulary

Line = dict[str, Any]
# Cells of a row that are closer than this, in letter heights, are one line.
NEAR = 0.8
# Black letters cannot be told from a ground of this grey or less.
DARK = 100
MARKS = set("-–—•·*→.…~_ ")
# Typefaces without serifs, as screens show them.
SANS = {
    "open-sans", "lato", "roboto", "arimo", "carlito", "source-sans-3", "pt-sans", "fira-sans", "noto-sans",
    "ibm-plex-sans", "work-sans", "jost", "oswald", "barlow-condensed",
}  # fmt: skip


class Canvas:
    """A document that is still flat.

    Attributes
    ----------
    tone : uint8 (H, W)
        Greys of pictures, fills and rules, and of text on them.
    sheet : Sheet
        Printed and typed ink, 255 is full, and the lines.
    pen : uint8 (H, W)
        Ink of handwriting and signatures.
    turned : list of dict
        Lines that run up or down the page, with the degrees by which they are turned clockwise.
    ignore : list of float32 (N, 2)
        What may be text or not.
    recorded : RecordedHand or None
        Writes other words, of which it has recordings, wherever words are to be handwritten.
    """

    def __init__(
        self, rng: Generator, width: float, height: float, ground: int = 255, recorded: RecordedHand | None = None
    ) -> None:
        self.rng = rng
        self.recorded = recorded
        shape = (int(height), int(width))
        self.tone = np.full(shape, ground, np.uint8)
        self.sheet = Sheet(np.zeros(shape, np.uint8))
        self.pen = np.zeros(shape, np.uint8)
        self.turned: list[Line] = []
        self.ignore: list[Array] = []
        self.bottom = 0.0

    @property
    def width(self) -> int:
        return self.tone.shape[1]

    @property
    def height(self) -> int:
        return self.tone.shape[0]

    @property
    def lines(self) -> list[Line]:
        return self.sheet.lines

    def trim(self, bottom: float) -> None:
        """Cut the canvas off below a row."""
        rows = int(np.clip(bottom, 32, self.height))
        self.tone, self.sheet.ink, self.pen = self.tone[:rows], self.sheet.ink[:rows], self.pen[:rows]

    def text(
        self,
        setting: Setting,
        text: str,
        x: float,
        y: float,
        *,
        anchor: str = "left",
        width: float | None = None,
        grey: int | None = None,
        justify: float = 0.0,
        underline: bool = False,
        noted: bool = True,
    ) -> Line | None:
        """Write one line.

        Parameters
        ----------
        x, y : float
            Where the baseline starts, has its middle (``centre``) or ends (``right``).
        width : float, optional
            What goes beyond it is left out.
        grey : int, optional
            Print in this grey over pictures and fills; without it the text is ink.

        Returns
        -------
        dict or None
            The line, None if nothing is left of it or the canvas would cut it.
        """
        text = drawable(setting.hand.face, text)
        if width is not None:
            text = shorten(setting, text, width)
        if not text:
            return None
        length = setting.length(text) + justify * text.count(" ")
        by_hand = setting.hand.face.style in ("hand", "script")
        if self.recorded is not None and by_hand and grey is None and sum(map(str.isalpha, text)) > len(text) / 2:
            widest = max(length, min(1.3 * length, width or 0.0))
            line = self.recorded.write(self.pen, self.rng, setting.metrics, x, y, widest, anchor)
            return self._written(line, noted)
        x -= {"left": 0.0, "centre": length / 2, "right": length}[anchor]
        layer = self.pen if by_hand else self.sheet.ink
        if grey is not None:
            layer = self.tone
        line = write_line(self.sheet, self.rng, setting, text, x, y, justify, underline, layer, grey, noted=False)
        return self._written(line, noted)

    def _written(self, line: Line | None, noted: bool) -> Line | None:
        if line is not None:
            if noted:
                self.note(line)
            self.bottom = max(self.bottom, float(line["polygon"][:, 1].max()))
        return line

    def row(
        self,
        setting: Setting,
        cells: Sequence[tuple[str, float, str, float]],
        y: float,
        grey: int | None = None,
        apart: bool = False,
    ) -> None:
        """Write cells, each with its x, anchor and width, on one baseline.

        Those that almost touch become one line, but for ``apart`` ones, which rules part.
        """
        found = [
            line
            for text, x, anchor, width in cells
            if (line := self.text(setting, text, x, y, anchor=anchor, width=width, grey=grey, noted=False))
        ]
        found.sort(key=lambda line: float(line["baseline"][0, 0]))
        merged: list[Line] = []
        for line in found:
            if merged and not apart:
                gap = line["baseline"][0, 0] - merged[-1]["baseline"][-1, 0]
                if gap < NEAR * setting.metrics.height:
                    merged[-1] = join_lines([merged[-1], line], " ")
                    continue
            merged.append(line)
        for line in merged:
            self.note(line)

    def note(self, line: Line) -> None:
        """Add a line to the lines; bullets, dashes and leaders by themselves are ignored, as readers leave them out."""
        if set(line["text"]) <= MARKS:
            self.ignore.append(line["polygon"])
        else:
            self.lines.append(line)

    def paragraph(
        self,
        setting: Setting,
        text: str,
        x: float,
        y: float,
        width: float,
        pitch: float,
        *,
        bottom: float = math.inf,
        justified: bool = False,
        anchor: str = "left",
        indent: float = 0.0,
        grey: int | None = None,
        hyphens: bool = False,
        room: Callable[[float], tuple[float, float]] | None = None,
    ) -> float:
        """Set running text.

        Parameters
        ----------
        bottom : float
            No baseline lies below it.
        room : callable, optional
            Takes a baseline and returns the left edge and the width that are free there.

        Returns
        -------
        float
            The baseline after the last one.
        """
        words = drawable(setting.hand.face, text)
        first = True
        while words and y <= bottom:
            left, free = room(y) if room else (x, width)
            left, free = (left + indent, free - indent) if first else (left, free)
            if free < 3 * setting.metrics.height:
                y += pitch
                continue
            # Only as much as one line may hold is wrapped.
            taken = words[: max(8, int(2.5 * free / max(setting.width("n"), 1)))]
            line = wrap(self.rng, setting, taken, free, hyphens)[0]
            cut = line[:-1] if line.endswith("-") and not words.startswith(line) else line
            words = words[len(cut) :].lstrip()
            spare = max(0.0, free - setting.length(line))
            fill = spare / line.count(" ") if justified and words and line.count(" ") else 0.0
            fill = fill if fill < 2 * setting.space else 0.0
            start = left + {"left": 0.0, "centre": spare / 2, "right": spare}[anchor]
            self.text(setting, line, start, y, grey=grey, justify=fill)
            first = False
            y += pitch
        return y

    def comb(self, setting: Setting, text: str, x: float, y: float, pitch: float, grey: int | None = None) -> None:
        """Write a letter into each box of a row of boxes; they are one line, without the empty ones."""
        letters = [
            self.text(setting, letter, x + (index + 0.5) * pitch, y, anchor="centre", grey=grey, noted=False)
            for index, letter in enumerate(text)
            if letter != " "
        ]
        if found := [letter for letter in letters if letter is not None]:
            self.lines.append(join_lines(found, ""))

    def upright(self, setting: Setting, text: str, x: float, y: float, quarters: int) -> None:
        """Write a line that runs up (3 quarters clockwise) or down (1) the page, its middle at (x, y).

        It joins `turned` and `ignore`, not the lines. Nothing is written where it would stand on something dark.
        """
        small, line = self._draw_separately(setting, text)
        if line is None:
            return
        height, width = small.shape
        points = {}
        for name in ("baseline", "polygon"):
            across, down = line[name].T
            points[name] = np.stack((down, width - across) if quarters == 3 else (height - down, across), 1)
        patch = np.rot90(small, 1 if quarters == 3 else -1)
        corner = np.array([round(x - patch.shape[1] / 2), round(y - patch.shape[0] / 2)], np.float32)
        left, top = corner.astype(int)
        if left < 0 or top < 0 or left + patch.shape[1] > self.width or top + patch.shape[0] > self.height:
            return
        if self.tone[top : top + patch.shape[0], left : left + patch.shape[1]].min(initial=255) < DARK:
            return
        spot = self.sheet.ink[top : top + patch.shape[0], left : left + patch.shape[1]]
        np.maximum(spot, patch, out=spot)
        moved = {name: (found + corner).astype(np.float32) for name, found in points.items()}
        self.turned.append({"text": line["text"], "turned": 90 * quarters, **moved})
        self.ignore.append(moved["polygon"])

    def stamp(self, setting: Setting, texts: Sequence[str], x: float, y: float, degrees: float, grey: int) -> None:
        """Stamp framed words over what is there, their middle at (x, y).

        Almost level ones that touch no line are lines, others that touch none are ignored, and the rest is background.
        """
        rng, height = self.rng, setting.metrics.height
        width = max(setting.length(text) for text in texts) + 1.6 * height
        tall = (1.35 * len(texts) + 0.7) * height
        side = math.ceil(math.hypot(width, tall)) + 8
        small = Sheet(np.zeros((side, side), np.uint8))
        middle = side / 2
        box = [round(middle - width / 2), round(middle - tall / 2), round(middle + width / 2), round(middle + tall / 2)]
        thickness = max(1, round(height * rng.uniform(0.05, 0.16)))
        if rng.random() < 0.8:
            cv2.rectangle(small.ink, (box[0], box[1]), (box[2], box[3]), 255, thickness)
        for index, text in enumerate(texts):
            drawn = drawable(setting.hand.face, text)
            if drawn:
                row = box[1] + (1.35 * index + 1.25) * height
                write_line(small, rng, setting, drawn, middle - setting.length(drawn) / 2, row)
        turn = cv2.getRotationMatrix2D((middle, middle), -degrees, 1.0)
        ink = np.asarray(cv2.warpAffine(small.ink, turn, (side, side)), np.uint8)
        if rng.random() < 0.5:
            worn = rng.random((side // 3 + 1, side // 3 + 1)).astype(np.float32)
            worn = np.asarray(cv2.resize(cv2.GaussianBlur(worn, (0, 0), 1.5), (side, side)), np.float32)
            ink = (ink * np.clip((worn - 0.3) * rng.uniform(4, 12), 0.25, 1)).astype(np.uint8)
        corner = np.array([round(x - middle), round(y - middle)], np.float32)
        figures.press(self.tone, ink, int(corner[0]), int(corner[1]), grey)
        shift = turn[:, 2] + corner
        for line in small.lines:
            moved = {name: (line[name] @ turn[:, :2].T + shift).astype(np.float32) for name in ("baseline", "polygon")}
            low, high = moved["polygon"].min(0), moved["polygon"].max(0)
            inside = (low >= 0).all() and high[0] <= self.width and high[1] <= self.height
            if not self.free((*low, *high)):
                continue
            if abs(degrees) < 4 and inside:
                self.lines.append(line | moved)
            else:
                self.ignore.append(moved["polygon"])

    def free(self, box: tuple[float, float, float, float]) -> bool:
        """Whether no line is in a box, judged by the boxes around the lines."""
        for line in self.lines:
            low, high = line["polygon"].min(0), line["polygon"].max(0)
            if low[0] < box[2] and high[0] > box[0] and low[1] < box[3] and high[1] > box[1]:
                return False
        return True

    def rule(self, x0: float, y0: float, x1: float, y1: float, grey: int = 0, thickness: int = 1) -> None:
        """Draw a rule."""
        cv2.line(self.tone, (round(x0), round(y0)), (round(x1), round(y1)), grey, thickness)

    def dots(self, x0: float, y: float, x1: float, grey: int = 0, step: int = 5) -> None:
        """Draw a dotted rule."""
        self.tone[max(0, int(y)) : int(y) + 2, int(max(0, x0)) : int(max(0, x1)) : step] = grey

    def box(self, x0: float, y0: float, x1: float, y1: float, grey: int = 0, thickness: int = 1) -> None:
        """Draw a rectangle; a thickness of -1 fills it."""
        cv2.rectangle(self.tone, (round(x0), round(y0)), (round(x1), round(y1)), grey, thickness)

    def picture(self, picture: Pixels, x: float, y: float) -> Box:
        """Lay a picture on the canvas with its upper left corner at (x, y)."""
        return figures.put(self.tone, picture, round(x), round(y))

    def _draw_separately(self, setting: Setting, text: str) -> tuple[Pixels, Line | None]:
        """A line by itself on a small layer."""
        text = drawable(setting.hand.face, text)
        height = setting.metrics.height
        small = Sheet(np.zeros((math.ceil(2.4 * height) + 8, math.ceil(setting.length(text) + 3 * height)), np.uint8))
        line = write_line(small, self.rng, setting, text, 1.2 * height, 1.6 * height) if text else None
        return small.ink, line


def shorten(setting: Setting, text: str, width: float) -> str:
    """As many words, or else letters, of a line as fit a width in pixels."""
    while text and setting.length(text) > width:
        text = text.rpartition(" ")[0] if " " in text else text[:-1]
    return text


def join_lines(lines: Sequence[Line], joint: str) -> Line:
    """Lines of one row, left to right, as one."""
    halves = [np.split(line["polygon"], [len(line["polygon"]) // 2]) for line in lines]
    return {
        "text": joint.join(line["text"] for line in lines),
        "raw_text": joint.join(line["raw_text"] for line in lines),
        "baseline": np.concatenate([line["baseline"] for line in lines]),
        "polygon": np.concatenate([over for over, _ in halves] + [under for _, under in halves[::-1]]),
    }


@dataclass(frozen=True)
class Design:
    """What the pages of one document have in common.

    Attributes
    ----------
    words : Vocabulary
    body, strong, title, small : Setting
        Print or type.
    pen : Setting
        The hand that fills and signs it.
    height : float
        Letter height of the body text, pixels.
    pitch : float
        From baseline to baseline, pixels.
    width, tall : int
        Of the sheet, pixels.
    margin : float
        Pixels.
    """

    words: Vocabulary
    body: Setting
    strong: Setting
    title: Setting
    small: Setting
    pen: Setting
    height: float
    pitch: float
    width: int
    tall: int
    margin: float


def make_design(
    rng: Generator, faces: Sequence[Face], words: Vocabulary, style: str = "print", shape: str = "sheet"
) -> Design:
    """Draw the typefaces, sizes and sheet of a document.

    Parameters
    ----------
    style : str
        ``print``, ``sans`` (without serifs), ``typewriter`` or ``hand``.
    shape : str
        ``sheet``, ``wide``, ``any`` or ``narrow``.
    """
    if style == "sans":
        style = "print"
        faces = [each for each in faces if each.style != "print" or each.family in SANS] or faces
    face = choose_face(rng, faces, style if any(each.style == style for each in faces) else faces[0].style)
    family = [each for each in faces if each.family == face.family]
    regular = next((each for each in family if "400-normal" in each.paths[0]), face)
    bold = next((each for each in family if "700-normal" in each.paths[0]), regular)
    if shape == "sheet":
        width = int(rng.choice([rng.uniform(800, 1100), 1240, rng.uniform(1200, 1700)], p=[0.3, 0.3, 0.4]))
        tall = int(width * rng.choice([1.414, 1.294, rng.uniform(0.9, 1.6)], p=[0.6, 0.2, 0.2]))
        share = rng.choice([rng.uniform(0.0125, 0.02), rng.uniform(0.02, 0.032)], p=[0.7, 0.3])
    elif shape == "wide":
        width = int(rng.uniform(1000, 1900))
        tall = int(width * rng.uniform(0.5, 0.85))
        share = rng.uniform(0.013, 0.026)
    elif shape == "narrow":
        width = int(rng.uniform(320, 800))
        tall = int(width * math.exp(rng.uniform(math.log(1.3), math.log(20))))
        share = rng.uniform(0.032, 0.065)
    else:
        width = int(rng.uniform(600, 1700))
        tall = int(width * math.exp(rng.uniform(math.log(0.3), math.log(1.6))))
        share = rng.uniform(0.014, 0.04)
    height = float(np.clip(share * width, 13, 60))
    if face.style in ("hand", "script"):
        height = float(np.clip(1.5 * height, 24, 70))
        plain = replace(make_hand(rng, regular), height=height)
        strong_hand = plain
    else:
        plain = replace(make_hand(rng, regular), height=height)
        strong_hand = replace(plain, face=bold, thickness=0.0 if bold is not regular else 0.025)
    scale = float(rng.choice([rng.uniform(1.2, 2), rng.uniform(2, 4), rng.uniform(4, 8)], p=[0.55, 0.35, 0.1]))
    writer = choose_face(rng, faces, "hand" if any(each.style in ("hand", "script") for each in faces) else face.style)
    # What is written into a form is larger than its print, but no longer than its rules.
    pen = Setting(replace(make_hand(rng, writer), height=max(22.0, height * rng.uniform(1.15, 1.7)), nib=0.0))
    if face.style == "print" and rng.random() < 0.3:
        other = choose_face(rng, faces, "print")
        title = Setting(replace(strong_hand, face=other), scale)
    else:
        title = Setting(strong_hand if rng.random() < 0.7 else plain, scale)
    pitch = height * rng.uniform(*((1.0, 1.8) if face.style == "typewriter" else (1.05, 1.6)))
    return Design(
        words,
        Setting(plain),
        Setting(strong_hand),
        title,
        Setting(plain, max(rng.uniform(0.65, 0.85), 11 / height)),
        pen,
        height,
        pitch,
        width,
        tall,
        width * rng.uniform(0.04, 0.12),
    )
