"""Tell by its height whether the first letter of a line is small or capital, where the line is set in type.

A strip shows the recogniser a line in the height that the detector estimates, which is not exact enough to tell s from
S where nothing beside them does, and the language model prefers what is usual. The other letters of the line tell how
tall small and capital letters are; of a letter alone, as in the cells of a table, those of the lines near it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.program_text import PROGRAM_WORD
from paragraph_ocr.pipeline.rectification import percentiles

# Small letters without ascenders, many of which have capitals of the same shape.
WITHOUT_ASCENDERS = "acegimnopqrsuvwxyz"
# Letters as tall as small ones, and as capitals or nearly.
SMALL, TALL = frozenset("acegmnopqrsuvwxyz"), frozenset("bdfhklABCDEFGHIKLMNOPRSTUVWXYZ0123456789")
# A letter is in question if the probability of its other case is so high.
POSSIBLE = 0.002
# Letters of a line from whose median the height of small ones is known, and of capitals.
SMALL_REFERENCES, TALL_REFERENCES = 2, 3
# The same from which the slope of a line in its strip is known.
RISE_REFERENCES = 4
# Spread of the heights of small letters, the middle half of them relative to their median: more is handwriting.
UNEVEN = 0.1
# Height in heights of small letters: at most of a small letter, and at least of a capital.
SMALL_HEIGHT, CAPITAL_HEIGHT = 1.08, 1.18
# The same in heights of capitals.
SMALL_SHARE, CAPITAL_SHARE = 0.82, 0.92
# Letters that have the same shape in both cases.
ALIKE_IN_BOTH_CASES = frozenset("cosuvwxzCOSUVWXZ")
# Lines near one of a letter alone whose capitals and figures it is compared with, and how far they are above or below
# it, in ascender heights.
NEAR_LINES, NEAR_LEVELS = 6, 6.0
# How far the baselines of a row are apart, in ascender heights.
SAME_ROW = 0.6
# What is lower or taller, in heights of capitals, is in type of another size.
LEAST, MOST = 0.6, 1.15
# Width of a letter's ink in heights of the small letters: more are letters that hang together.
WIDEST = 2.2


def in_question(characters: Sequence[Character], output: NDArray[np.float32], charset: str, blank: int) -> list[int]:
    """Places of the characters of a line that may be of the other case: its first letter, the x of "x12", and letters
    within the words of programs.

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
    offset = 1 if blank == 0 else 0

    def may_be_other(character: Character) -> bool:
        other = character.text.swapcase()
        if character.text.lower() not in WITHOUT_ASCENDERS or other not in charset:
            return False
        steps = output[max(character.first - 1, 0) : character.last + 2, charset.index(other) + offset]
        return steps.size > 0 and float(np.exp(steps.max())) >= POSSIBLE

    places = [
        place + 1
        for place, (before, own, after) in enumerate(zip(characters, characters[1:], characters[2:], strict=False))
        if own.text in "xX" and after.text.isdigit() and (before.text == " " or before.text.isdigit())
    ]
    # In the words of programs, capitals begin words without a space.
    if PROGRAM_WORD.search("".join(each.text for each in characters)):
        places += [
            place + 1
            for place, (before, after) in enumerate(pairwise(characters))
            if before.text.isalpha() and before.text.islower() and after.text.islower()
        ]
    # Words of capitals are written in capitals, however uneven.
    if len(characters) > 1 and characters[1].text.islower():
        places.insert(0, 0)
    return [place for place in places if may_be_other(characters[place])]


def with_case(
    characters: Sequence[Character], places: Sequence[int], strip: NDArray[np.uint8], step: float, baseline: float
) -> list[Character]:
    """Characters of a line, those at some places in the case that their height tells, if it does.

    Parameters
    ----------
    characters : sequence of Character
    places : sequence of int
        From `in_question`.
    strip : uint8 (H, W)
        The strip that was read, dark on light.
    step : float
        Columns of the strip for a time step.
    baseline : float
        Share of the strip's height above the baseline.
    """
    height_of = letter_heights(characters, strip, step, baseline)
    decided = list(characters)
    for place in places:
        if np.isnan(own := height_of(place)):
            # As most letters of handwriting, which hang together.
            continue
        others = [
            (character, height)
            for index, character in enumerate(characters)
            if index not in places and not np.isnan(height := height_of(index))
        ]
        small = [(each.first - characters[place].first, height) for each, height in others if each.text in SMALL]
        tall = [height for each, height in others if each.text in TALL]
        text = characters[place].text
        if len(small) >= SMALL_REFERENCES:
            steps, heights = np.array(small, np.float64).T
            low, middle, high = np.percentile(heights - _rise(steps, heights) * steps, (25, 50, 75))
            if high - low > UNEVEN * middle:
                continue
            share = own / float(middle)
            capital, little = share >= CAPITAL_HEIGHT, share <= SMALL_HEIGHT
        elif len(tall) >= TALL_REFERENCES:
            share = own / float(np.median(tall))
            capital, little = share >= CAPITAL_SHARE, share <= SMALL_SHARE
        else:
            continue
        # An i without its dot would be as tall as a small I that is none.
        if (capital and text.islower()) or (little and text.isupper() and text != "I"):
            decided[place] = replace(characters[place], text=text.swapcase())
    return decided


def _rise(steps: NDArray[np.float64], heights: NDArray[np.float64]) -> float:
    """By how much letters at some time steps are higher from step to step, where the line slopes in its strip.

    It is the median of those of all pairs (Theil and Sen); 0 where there are few.
    """
    if len(steps) < RISE_REFERENCES:
        return 0.0
    first, second = np.triu_indices(len(steps), 1)
    return float(np.median((heights[second] - heights[first]) / (steps[second] - steps[first])))


def alone_in_question(
    read: Sequence[Sequence[Character]], outputs: Sequence[NDArray[np.float32]], charset: str, blank: int
) -> list[int]:
    """Lines of a page that have one letter, whose other case has the same shape and some probability.

    Parameters
    ----------
    read : sequence of sequence of Character
        The characters of each line.
    outputs : sequence of float32 (T, C)
        Their log probabilities.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    """
    offset = 1 if blank == 0 else 0
    found = []
    for index, (characters, output) in enumerate(zip(read, outputs, strict=True)):
        if len(characters) != 1 or characters[0].text not in ALIKE_IN_BOTH_CASES:
            continue
        steps = output[max(characters[0].first - 1, 0) : characters[0].last + 2]
        if float(np.exp(steps[:, charset.index(characters[0].text.swapcase()) + offset].max())) >= POSSIBLE:
            found.append(index)
    return found


def lines_beside(place: int, lines: Sequence[TextLine], read: Sequence[Sequence[Character]]) -> list[int]:
    """The lines with capitals or figures that are nearest to a line, those of its row first; none without such a row.

    Other letters alone are left out, since their case may be in question, too.
    """
    (own_x, own_y), unit = lines[place].baseline.mean(axis=0), lines[place].ascender
    near = []
    for index, (line, characters) in enumerate(zip(lines, read, strict=True)):
        texts = [character.text for character in characters]
        if index == place or TALL.isdisjoint(texts) or (len(texts) == 1 and not texts[0].isdigit()):
            continue
        x, y = line.baseline.mean(axis=0)
        if abs(y - own_y) <= NEAR_LEVELS * unit:
            near.append((abs(y - own_y) > SAME_ROW * unit, abs(y - own_y) + 0.05 * abs(x - own_x), index))
    near.sort()
    return [index for *_, index in near[:NEAR_LINES]] if near and not near[0][0] else []


def case_alone(text: str, height: float, tall: Sequence[float]) -> str:
    """A letter that is as tall as so many pixels, in the case that capitals and figures near it tell, if they do."""
    if len(tall) < TALL_REFERENCES:
        return text
    low, middle, high = np.percentile(tall, (25, 50, 75))
    share = height / float(middle)
    if high - low > UNEVEN * middle or SMALL_SHARE < share < CAPITAL_SHARE or not LEAST < share < MOST:
        return text
    return text.lower() if share <= SMALL_SHARE else text.upper()


def ink_height(strip: NDArray[np.uint8]) -> float:
    """Rows of the largest piece of ink of a strip; not a number without any."""
    _, _, boxes, _ = components(dark_pixels(strip))
    if len(boxes) < 2:
        return np.nan
    return float(boxes[1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax()), cv2.CC_STAT_HEIGHT])


def dark_pixels(strip: NDArray[np.uint8], least: float = 0.5) -> NDArray[np.uint8]:
    """The pixels of a strip that are ink, at least so dark between paper and the darkest: uint8 (H, W), 1 or 0."""
    dark, paper = percentiles(strip, (2, 70))
    return np.asarray(strip < paper - least * (paper - dark)).view(np.uint8)


def letter_heights(
    characters: Sequence[Character], strip: NDArray[np.uint8], step: float, baseline: float
) -> Callable[[int], float]:
    """Return what gives the height above the baseline of a character's ink, by the character's place.

    Heights are in rows of the strip; not a number where the ink is not apart.
    """
    _, labels, stats, _ = components(dark_pixels(strip))
    row = round(baseline * len(strip))
    middle = labels[max(row - len(strip) // 3, 0) : row + 1]
    centres = np.array([(character.first + character.last + 1) / 2 * step for character in characters])

    def height_of(place: int) -> float:
        centre = float(centres[place])
        around = middle[:, max(round(centre - step), 0) : round(centre + step) + 1]
        found = np.bincount(around.ravel(), minlength=1)
        found[0] = 0
        if characters[place].text == " " or not found.any():
            return np.nan
        component = int(found.argmax())
        if place == 0:
            # What stands before the component that the first letter seems to be is the first letter, if it is as tall.
            near = [each for each in np.flatnonzero(found).tolist() if stats[each][1] <= stats[component][1]]
            component = min(near, key=lambda each: stats[each][0])
        left, top, width, _, _ = stats[component]
        # Letters that touch share their ink.
        shared = np.count_nonzero((left <= centres) & (centres < left + width)) > 1
        return float(row - top) if not shared and width <= WIDEST * max(row - top, 1) else np.nan

    return height_of
