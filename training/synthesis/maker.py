"""What every kind of document draws from: random choices, typefaces, words, and furniture beside the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis import figures
from training.synthesis.canvas import Canvas, Design, make_design
from training.synthesis.fonts import Face
from training.synthesis.hands import Hand, Setting, choose_face, make_hand
from training.synthesis.noise import Pixels
from training.synthesis.recorded import RecordedHand
from training.synthesis.texts import Vocabulary


@dataclass
class Document:
    """A canvas and what is known of how its picture is taken; see `training.synthesis.finish.render`."""

    canvas: Canvas
    design: Design
    typed: bool = False
    capture: str = ""
    showing: bool | None = None


@dataclass(frozen=True)
class Maker:
    """What a page is made from.

    Attributes
    ----------
    measured : bool
        Whether the page is for measuring: bodies and tables are not handwritten, and no box of a row is empty between
        letters, which would be a space to some.
    """

    rng: Generator
    faces: Sequence[Face]
    words: Vocabulary
    recorded: RecordedHand | None = None
    measured: bool = False

    def canvas(self, width: float, height: float, ground: int = 255) -> Canvas:
        """A canvas on which the recorded hand, if there is one, writes."""
        return Canvas(self.rng, width, height, ground, self.recorded)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both possible."""
        return int(self.rng.integers(low, high + 1))

    def style(self, hand: float = 0.1, typewriter: float = 0.2) -> str:
        """Print, type or a hand, with the probabilities of the last two."""
        draw = self.rng.random()
        if draw < hand + typewriter:
            return "hand" if draw < hand and not self.measured else "typewriter"
        return "sans" if self.chance(0.3) else "print"

    def design(self, style: str = "print", shape: str = "sheet") -> Design:
        return make_design(self.rng, self.faces, self.words, style, shape)

    def hand(self, height: float, style: str = "hand") -> Setting:
        """Another hand than the design's."""
        known = {face.style for face in self.faces}
        face = choose_face(self.rng, self.faces, style if style in known else self.faces[0].style)
        return Setting(replace(make_hand(self.rng, face), height=height))

    # --- furniture ----------------------------------------------------------------------------------------------------

    def sign(self, canvas: Canvas, design: Design, x: float, y: float) -> None:
        """Sign a document: a scribble, or a name that the labels leave open."""
        height = design.height * self.uniform(2, 5.5)
        value = self.integer(170, 255)
        if self.chance(0.75):
            figures.signature(canvas.pen, self.rng, x, y, height * self.uniform(1.5, 4.5), height, value)
            return
        setting = self.hand(min(1.2 * design.height * self.uniform(1.2, 2.2), 90), "script")
        line = canvas.text(setting, self.words.name(), x, y, noted=False)
        if line is not None:
            canvas.ignore.append(line["polygon"])

    def stamp(self, canvas: Canvas, design: Design, x: float, y: float) -> None:
        """Stamp words or a seal over what is there."""
        grey = self.integer(30, 180)
        if self.chance(0.3):
            radius = int(design.height * self.uniform(2, 5))
            ink = figures.seal(self.rng, radius)
            figures.press(canvas.tone, ink, int(x - radius), int(y - radius), grey)
            return
        texts = [self.words.choose("stamps")]
        if self.chance(0.4):
            texts.append(self.words.date())
        degrees = float(self.rng.choice([0.0, self.rng.normal(0, 4), self.uniform(-35, 35)], p=[0.2, 0.3, 0.5]))
        hand = Hand(design.strong.hand.face, design.height * self.uniform(1.0, 2.6))
        canvas.stamp(Setting(hand), texts, x, y, degrees, grey)

    def holes(self, canvas: Canvas, margin: float) -> None:
        """Punch holes, or their copies, into a margin without text."""
        x = margin * self.uniform(0.3, 0.6)
        radius = max(4, int(0.011 * canvas.width))
        grey = int(self.rng.choice([0, 40, 120, 255]))
        count = int(self.rng.choice([2, 2, 3, 4]))
        for index in range(count):
            y = canvas.height * (0.5 + (index - (count - 1) / 2) * self.uniform(0.13, 0.16))
            cv2.circle(canvas.tone, (int(x), int(y)), radius, grey, -1, cv2.LINE_AA)
            cv2.circle(canvas.tone, (int(x), int(y)), radius, 110, 1, cv2.LINE_AA)

    def margin_note(self, canvas: Canvas, design: Design) -> None:
        """Print a line that runs up or down one of the margins."""
        left = self.chance(0.7)
        x = design.margin * 0.4 if left else canvas.width - design.margin * 0.4
        quarters = 3 if left or self.chance(0.3) else 1
        canvas.upright(design.small, self.words.choose("margins"), x, canvas.height * self.uniform(0.4, 0.7), quarters)

    def page_number(self, canvas: Canvas, design: Design, top: bool = False) -> None:
        """Print a page number alone at the foot or head of a page."""
        number = str(self.integer(1, 9) if self.chance(0.6) else self.integer(10, 400))
        text = self.words.pick(["{n}"] * 6 + ["- {n} -", "{n}/{n}", "p. {n}", "[{n}]"]).replace("{n}", number)
        if self.chance(0.08):
            text = self.words.fill(self.words.pick(["{capital}", "{roman}"]))
        y = design.height * self.uniform(1.3, 2.2) if top else canvas.height - design.height * self.uniform(0.7, 1.6)
        x = canvas.width * float(self.rng.choice([0.5, self.uniform(0.1, 0.9), 0.9]))
        half, height = design.body.length(text) / 2 + design.height, design.body.metrics.height
        if canvas.free((x - half, y - height, x + half, y + 0.5 * height)):
            canvas.text(design.body, text, x, y, anchor="centre")

    def picture(self, height: int, width: int) -> Pixels:
        """A picture of any kind."""
        draw = self.rng.random()
        height, width = max(12, height), max(12, width)
        if draw < 0.55:
            return figures.photo(self.rng, height, width)
        if draw < 0.8:
            return figures.chart(self.rng, height, width)
        if draw < 0.9:
            return figures.logo(self.rng, height, width)
        side = min(height, width)
        return figures.modules(self.rng, side)

    def beside(self, canvas: Canvas, width: float, height: float) -> tuple[float, float] | None:
        """A free place of a size right beside some line: upper left corner, None if none was found."""
        if not canvas.lines:
            return None
        for _ in range(12):
            line = canvas.lines[self.integer(0, len(canvas.lines) - 1)]
            low, high = line["polygon"].min(0), line["polygon"].max(0)
            gap = self.uniform(0, 14)
            side = self.integer(0, 3)
            x = {0: self.uniform(low[0] - width / 2, high[0]), 1: high[0] + gap, 2: low[0] - gap - width}.get(side)
            x = self.uniform(low[0] - width / 2, high[0]) if x is None else x
            y = {0: high[1] + gap, 3: low[1] - gap - height}.get(side, low[1] - self.uniform(0, 1) * height)
            if x < 0 or y < 0 or x + width > canvas.width or y + height > canvas.height:
                continue
            if canvas.free((x, y, x + width, y + height)):
                return x, y
        return None

    def clutter(self, canvas: Canvas, design: Design, count: int) -> None:
        """Put big things that are no text beside and over lines: codes, pictures, rings, scribbles, stamps."""
        unit = design.height
        for _ in range(count):
            kind = str(self.rng.choice(["code", "bars", "picture", "scribble", "stamp", "sign", "ring", "icon"]))
            if kind in ("code", "bars", "picture", "icon"):
                width = unit * self.uniform(2, 12)
                height = width if kind == "code" else width * self.uniform(0.25, 1.2)
                place = self.beside(canvas, width + 2, height + 2)
                if place is None:
                    continue
                make = {
                    "code": lambda h, w: figures.modules(self.rng, w),
                    "bars": lambda h, w: figures.bars(self.rng, h, w),
                }
                size = max(12, int(height)), max(12, int(width))
                if kind == "icon":
                    picture = figures.logo(self.rng, *size)
                else:
                    picture = make[kind](*size) if kind in make else self.picture(*size)
                canvas.picture(picture, *place)
                continue
            x, y = self.uniform(0.1, 0.85) * canvas.width, self.uniform(0.1, 0.9) * max(canvas.bottom, unit)
            if kind == "scribble":
                wide, tall = unit * self.rng.uniform(1, 9, 2)
                box = (int(x), int(y), int(x + wide), int(y + tall))
                figures.scribble(canvas.pen, self.rng, box, self.integer(120, 255))
            elif kind == "stamp":
                self.stamp(canvas, design, x, y)
            elif kind == "sign":
                height = unit * self.uniform(3, 9)
                figures.signature(
                    canvas.pen, self.rng, x, y, height * self.uniform(1, 3.5), height, self.integer(170, 255)
                )
            else:
                radius, line = int(unit * self.uniform(1, 7)), self.integer(2, max(3, int(unit / 3)))
                shade = np.zeros((2 * radius + 2 * line, 2 * radius + 2 * line), np.uint8)
                middle = radius + line
                cv2.circle(shade, (middle, middle), radius, 255, line, cv2.LINE_AA)
                figures.press(canvas.tone, shade, int(x), int(y), self.integer(60, 215))
