"""Tell slashes, backslashes, vertical bars and underscores of print by their shapes, where they were read otherwise.

A language model of prose prefers letters, figures and spaces, and to the recogniser a straight stroke is l, I, 1 or any
of these signs, the more so in faces that it has not seen. In type its lean is as good as another reading: on made-up
lines in 55 faces, slashes lean to the right of the other letters by 0.1 to 0.6 of their height, backslashes as much to
the left, and bars stand upright to 0.05.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.ink import Components, components
from paragraph_ocr.pipeline.letter_case import SMALL, TALL, UNEVEN, dark_pixels, letter_heights

SLASH, BACKSLASH, BAR, UNDERSCORE = SIGNS = "/\\|_"
# What the upright signs are taken for, and least probability of the sign: a backslash is like nothing else.
ALIKE, POSSIBLE = frozenset("lI1i!/\\|"), {SLASH: 0.01, BACKSLASH: 0.002, BAR: 0.01, UNDERSCORE: 0.01}
# Letters of a line that tell the height of its letters, from which it is known to be print.
REFERENCES = 4
# Letters that are nearly symmetrical, whose middles lean as the line does, and others that hardly lean otherwise. Lean
# is known from so many.
SYMMETRICAL, NEARLY, LEANING = frozenset("oOxvwXVWTAMHU08"), frozenset("nmusecahd3569€$"), 3
# Least lean of slashes and backslashes, columns to the right for a row up, in the strip and relative to the letters,
# and of slashes where only figures and other signs stand on the line.
LEAN, BACKWARDS, RELATIVE, ALONE = 0.15, 0.08, 0.12, 0.25
# Most lean of a bar, and how far one that was read as a letter reaches below the baseline, in heights of capitals.
UPRIGHT, BELOW = 0.05, 0.09
# A stroke is at least so tall in heights of capitals, its middles are so near to a line and its rows so wide at most,
# both relative to its height, and so many of its rows are without a gap.
TALLEST, STRAIGHT, SLIM, SOLID = 0.5, 0.015, 0.3, 0.95
# An underscore is so many times as long as it is thick, lies so far below the baseline at least, in heights of
# capitals, and is so much longer than the space at most.
LONG, LEVEL, LONGER = 4.0, -0.02, 1.25


def strokes_in_question(
    characters: Sequence[Character], output: NDArray[np.float32], charset: str, blank: int
) -> list[int]:
    """Places of the characters of a line that may be slashes, backslashes, bars or underscores.

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output`.
    output : float32 (T, C)
        Log probabilities.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    """
    return [
        place
        for place, each in enumerate(characters)
        if (each.text in ALIKE or each.text == " ") and _possible(each, output, charset, blank)
    ]


def _possible(character: Character, output: NDArray[np.float32], charset: str, blank: int) -> str:
    """The signs that a character may be instead."""
    signs = UNDERSCORE if character.text == " " else (SLASH, BACKSLASH, BAR)
    steps = output[max(character.first - 1, 0) : character.last + 2]
    return "".join(
        sign
        for sign in signs
        if sign != character.text
        and sign in charset
        and float(np.exp(steps[:, charset.index(sign) + (blank == 0)].max())) >= POSSIBLE[sign]
    )


def with_strokes(
    characters: Sequence[Character],
    places: Sequence[int],
    strip: NDArray[np.uint8],
    output: NDArray[np.float32],
    charset: str,
    blank: int,
    step: float,
    baseline: float,
    aspect: float,
) -> list[Character]:
    """Characters of a line, those at some places the signs that their strokes show, if the line is print.

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output`.
    places : sequence of int
        From `strokes_in_question`.
    strip : uint8 (H, W)
        The strip that was read, dark on light.
    output : float32 (T, C)
        Log probabilities.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    step : float
        Columns of the strip for a time step.
    baseline : float
        Share of the strip's height above the baseline.
    aspect : float
        Width of a column of the strip relative to the height of a row, on the page.
    """
    decided = list(characters)
    if not places or not is_print(characters, strip, step, baseline):
        return decided
    line = _Line(components(dark_pixels(strip)), round(baseline * len(strip)), step, aspect)
    usual: float | None = None
    for place in places:
        own = characters[place]
        possible = _possible(own, output, charset, blank)
        if own.text == " ":
            if line.has_underscore(characters, place):
                decided[place] = replace(own, text=UNDERSCORE)
            continue
        shape = line.shape(own)
        if shape is None or not shape.is_stroke or shape.height < TALLEST * line.row:
            continue
        if abs(shape.lean) <= UPRIGHT:
            below = shape.bottom - line.row >= BELOW * line.row
            if BAR in possible and (own.text == SLASH or (own.text in "lI1" and below)):
                decided[place] = replace(own, text=BAR)
            continue
        if usual is None:
            usual = line.lean(characters)
        relative = shape.lean - usual
        least = LEAN if np.isfinite(usual) else ALONE
        if SLASH in possible and shape.lean >= least and not relative < RELATIVE:
            decided[place] = replace(own, text=SLASH)
        elif BACKSLASH in possible and shape.lean <= -BACKWARDS and relative <= -RELATIVE:
            decided[place] = replace(own, text=BACKSLASH)
    return decided


def is_print(characters: Sequence[Character], strip: NDArray[np.uint8], step: float, baseline: float) -> bool:
    """Whether the small letters of a line, or else its capitals and figures, are all as tall."""
    height_of = letter_heights(characters, strip, step, baseline)
    for letters in (SMALL, TALL):
        heights = [height_of(place) for place, each in enumerate(characters) if each.text in letters]
        heights = [height for height in heights if not np.isnan(height)]
        if len(heights) >= REFERENCES:
            low, middle, high = np.percentile(heights, (25, 50, 75))
            return bool(high - low <= UNEVEN * middle)
    return False


class _Shape(NamedTuple):
    """How a character looks: its lean to the right for a row up, its rows, and whether it is one straight stroke."""

    lean: float
    height: int
    bottom: int
    width: float
    is_stroke: bool


class _Line(NamedTuple):
    """The ink of a line in its strip.

    Attributes
    ----------
    ink : Components
    row : int
        Of the baseline; about the height of capitals, too.
    step : float
        Columns for a time step.
    aspect : float
        Width of a column relative to the height of a row.
    """

    ink: Components
    row: int
    step: float
    aspect: float

    def shape(self, character: Character) -> _Shape | None:
        """The shape of the ink that a character mostly consists of, if there is any."""
        centre = (character.first + character.last + 1) / 2 * self.step
        rows = slice(max(self.row - len(self.ink.labels) // 3, 0), self.row + 1)
        around = self.ink.labels[rows, max(round(centre - self.step), 0) : round(centre + self.step) + 1]
        found = np.bincount(around.ravel(), minlength=1)
        found[0] = 0
        if not found.any():
            return None
        own = int(found.argmax())
        left, top, width, height, _ = self.ink.boxes[own].tolist()
        mask = self.ink.labels[top : top + height, left : left + width] == own
        count = mask.sum(axis=1)
        middles = (mask @ np.arange(width)) / np.maximum(count, 1)
        spans = width - mask[:, ::-1].argmax(axis=1) - mask.argmax(axis=1)
        # The ends of a stroke are cut off level or not.
        within = slice(int(0.08 * height), max(int(np.ceil(0.92 * height)), 2))
        rows_within = np.arange(height)[within]
        if len(rows_within) < 4:
            return None
        slope, start = np.polyfit(rows_within, middles[within], 1)
        off = float(np.sqrt(np.mean((middles[within] - slope * rows_within - start) ** 2)))
        wide = float(np.percentile(count, 90))
        is_stroke = (
            off * self.aspect < STRAIGHT * height
            and wide * self.aspect < SLIM * height
            and float((count == spans).mean()) > SOLID
        )
        return _Shape(-slope * self.aspect, height, top + height, wide * self.aspect, is_stroke)

    def lean(self, characters: Sequence[Character]) -> float:
        """How far the letters of the line lean to the right for a row up; infinite if there are not enough."""
        leans: list[float] = []
        for letters in (SYMMETRICAL, NEARLY):
            shapes = [self.shape(each) for each in characters if each.text in letters]
            leans += [
                each.lean
                for each in shapes
                if each is not None and each.height > 0.4 * self.row and each.width < 1.2 * each.height
            ]
            if len(leans) >= LEANING:
                return float(np.median(leans))
        return float("-inf")

    def has_underscore(self, characters: Sequence[Character], place: int) -> bool:
        """Whether a stroke below the baseline fills the space at a place."""
        if not 0 < place < len(characters) - 1:
            return False
        first = (characters[place - 1].last + 1) * self.step
        end = characters[place + 1].first * self.step
        left, top, width, height, _ = self.ink.boxes[1:].T
        slim = width * self.aspect >= LONG * height
        low = top >= self.row + LEVEL * self.row
        middle = left + width / 2
        inside = (middle > first) & (middle < end) & (width <= LONGER * max(end - first, 1.0))
        return bool((slim & low & inside).any())
