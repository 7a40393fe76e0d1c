"""Give letters of print their accents, dots, cedillas and strokes that are seen and that the language model drops.

The models of most languages are fitted on little text. Where one does not know a word it takes the
frequent letter without a mark for the rare one with it, though the recogniser sees the mark: on made-up lines in faces
that it has not seen it held a mark to be likelier than none at 53 of 72 letters whose mark was lost, and at none that
has no mark. It is not as sure which mark it sees, which the language tells in part. Of marks that were read and are not
seen, and of those that were read as others, the language model is mostly right. The models of languages with prose know
their words: they drop no marks of clean print, and specks of worn type look like marks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.language import base
from paragraph_ocr.pipeline.strokes import is_print

# Least probability of all marks together, and by how many times it is higher than that of the letter without one.
SEEN, TIMES = 0.3, 1.0
# Share of the logarithm of a letter's frequency in the language, relative to the one without a mark, in the choice
# among marks; and that logarithm of a letter that the language lacks.
USUAL_SHARE, UNUSUAL = 0.5, -14.0
# Letters that have less than the one that they are alike, and signs.
WITHOUT_MARK = frozenset("ıªº")
# Letters whose mark stands beside them as an apostrophe does, and the least logarithm of their frequency: only Slovak
# and Czech, and the common language model, have them.
BESIDE, LEAST_BESIDE = frozenset("ďľťĽ"), -7.2
# Codes and addresses, whose letters have no marks.
CODE = re.compile(r"\S*[\d@/\\_]\S*")


@lru_cache
def _marked(charset: str, blank: int) -> dict[str, tuple[list[str], NDArray[np.intp]]]:
    """Of each letter of ASCII, those of the charset that are like it and have a mark, and their classes."""
    letters: dict[str, list[str]] = {}
    for each in charset:
        if each.isalpha() and not each.isascii() and each not in WITHOUT_MARK and (plain := base(each)).isascii():
            letters.setdefault(plain, []).append(each)
    return {
        plain: (marked, np.array([charset.index(each) + (blank == 0) for each in marked], np.intp))
        for plain, marked in letters.items()
    }


def accents_in_question(
    characters: Sequence[Character], output: NDArray[np.float32], charset: str, blank: int
) -> list[int]:
    """Places of the letters of a line that were read without a mark and are seen with one.

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
    marked = _marked(charset, blank)
    places = [
        place
        for place, each in enumerate(characters)
        if TIMES * each.confidence < 1.0
        and each.text in marked
        and _seen(each, marked[each.text][1], output) >= max(SEEN, TIMES * each.confidence)
    ]
    if not places:
        return []
    codes = [found.span() for found in CODE.finditer("".join(each.text for each in characters))]
    return [place for place in places if not any(start <= place < end for start, end in codes)]


def _seen(character: Character, classes: NDArray[np.intp], output: NDArray[np.float32]) -> float:
    """The probability of some classes together where a character was read."""
    return float(np.exp(output[character.first : character.last + 1, classes]).sum(axis=1).max())


def with_accents(
    characters: Sequence[Character],
    places: Sequence[int],
    strip: NDArray[np.uint8],
    output: NDArray[np.float32],
    charset: str,
    blank: int,
    step: float,
    baseline: float,
    usual: Mapping[str, float],
) -> list[Character]:
    """Characters of a line, those at some places with the mark that is likeliest, if the line is print.

    Handwriting has strokes of other letters and specks where marks are, and leaves marks out.

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output`.
    places : sequence of int
        From `accents_in_question`.
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
    usual : mapping of str to float
        Of letters with a mark, the logarithm of how frequent they are in the language of the page relative to those
        without one.
    """
    decided = list(characters)
    if not places or not is_print(characters, strip, step, baseline):
        return decided
    for place in places:
        own = characters[place]
        letters, classes = _marked(charset, blank)[own.text]
        values = output[own.first : own.last + 1, classes].max(axis=0)
        rare = np.array([usual.get(letter, UNUSUAL) if usual else 0.0 for letter in letters])
        chosen = int((values + USUAL_SHARE * rare).argmax())
        if letters[chosen] in BESIDE and usual.get(letters[chosen], UNUSUAL) < LEAST_BESIDE:
            continue
        decided[place] = replace(own, text=letters[chosen], confidence=math.exp(float(values[chosen])))
    return decided
