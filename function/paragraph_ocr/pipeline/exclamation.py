"""Tell an exclamation mark from I, l and 1 at the end of a word by its dot, where the recogniser holds both possible.

Language models of words prefer letters after capitals and names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.letter_case import dark_pixels

MARK = "!"
# What an exclamation mark is taken for, and what may follow it besides a space.
ALIKE, AFTER = frozenset("Il1|"), frozenset(" \"'»”’)!")
# Least probability of the mark.
POSSIBLE = 0.05
# A dot ends so near the baseline, and is so tall at most; above it is a free row, and a stroke that is so many times
# as tall. In rows of the strip relative to its height above the baseline.
ON_BASELINE, DOT, STROKE = 0.15, 0.25, 2.0


def marks_in_question(
    characters: Sequence[Character], output: NDArray[np.float32], charset: str, blank: int
) -> list[int]:
    """Places of the last letters of words that may be exclamation marks.

    Parameters
    ----------
    characters : sequence of Character
        Of a line, as they were decoded from `output`.
    output : float32 (T, C)
        Log probabilities.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    """
    if MARK not in charset:
        return []
    column = charset.index(MARK) + (1 if blank == 0 else 0)
    found = []
    for place in range(1, len(characters)):
        own, before = characters[place], characters[place - 1]
        if own.text not in ALIKE or not before.text.isalpha():
            continue
        if place + 1 < len(characters) and characters[place + 1].text not in AFTER:
            continue
        if float(np.exp(output[max(own.first - 1, 0) : own.last + 2, column].max())) >= POSSIBLE:
            found.append(place)
    return found


def with_marks(
    characters: Sequence[Character], places: Sequence[int], strip: NDArray[np.uint8], step: float, baseline: float
) -> list[Character]:
    """Characters of a line, those at some places exclamation marks if they have their dot.

    Parameters
    ----------
    characters : sequence of Character
    places : sequence of int
        From `marks_in_question`.
    strip : uint8 (H, W)
        The strip that was read, dark on light.
    step : float
        Columns of the strip for a time step.
    baseline : float
        Share of the strip's height above the baseline.
    """
    row = round(baseline * len(strip))
    left, top, width, height, _ = components(dark_pixels(strip)).boxes[1:].T.astype(np.int64)
    middle, bottom = left + width / 2, top + height
    dots = (np.abs(bottom - row) <= ON_BASELINE * row) & (height <= DOT * row) & (width <= 2 * height)
    decided = list(characters)
    for place in places:
        centre = (characters[place].first + characters[place].last + 1) / 2 * step
        for dot in np.flatnonzero(dots & (np.abs(middle - centre) <= 1.5 * step)):
            above = (left < left[dot] + width[dot]) & (left + width > left[dot]) & (bottom <= top[dot])
            above &= (height >= STROKE * height[dot]) & (width < height)
            if above.any():
                decided[place] = replace(characters[place], text=MARK)
    return decided
