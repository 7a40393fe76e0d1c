"""Tell by its length which dash a line of print shows: a hyphen, an en dash or an em dash.

The recogniser sees the dash, but strips are stretched, and the language model prefers what is usual. In type the small
letters of a line tell how long each is: measured on made-up pages, an en dash is 0.74 to 1.05 of their height long, an
em dash 1.07 or more, and a hyphen 0.7 or less, but in monospaced typefaces up to 0.8.

Whether a space is beside a dash depends on the language and the age of a print: the gap tells it. On made-up pages, 131
of 132 gaps beside the longer dashes that were up to 0.6 of those between words were none, and 256 of 257 wider ones
were spaces, of which the recogniser had read 33 otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.letter_case import POSSIBLE, SMALL, UNEVEN, dark_pixels, letter_heights

HYPHEN, EN, EM = DASHES = "-–—"
# Small letters from which their height is known.
REFERENCES = 4
# Least lengths of an en dash and of an em dash in heights of small letters.
EN_LENGTH, EM_LENGTH = 0.73, 1.07
# Least probability of an en dash that was read as a hyphen, since some hyphens are as long; it stands between spaces.
LIKELY = 0.05
# Other spaces of a line from which the usual gap is known, and what it is otherwise, in heights of small letters.
SPACES, USUAL = 2, 0.65
# Shares of it: a gap up to the one is no space, from the other on it is one.
NARROW, WIDE = 0.5, 0.75
# How dark the thin dashes of some typefaces are at least, relative to the letters.
FAINT = 0.2
# A dash is so many times as long as it is thick, and lies so many heights of small letters above the baseline.
SLIM, LEVEL = 2.5, (0.25, 0.9)


def with_length(
    characters: Sequence[Character],
    strip: NDArray[np.uint8],
    output: NDArray[np.float32],
    charset: str,
    blank: int,
    step: float,
    baseline: float,
    aspect: float,
) -> list[Character]:
    """Characters of a line, its dashes those that their lengths tell, if the recogniser holds them possible.

    Beside en and em dashes there are spaces where the gaps are like those between words.

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output`.
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
    height_of = letter_heights(characters, strip, step, baseline)
    small = [height_of(place) for place, character in enumerate(characters) if character.text in SMALL]
    small = [height for height in small if not np.isnan(height)]
    if len(small) < REFERENCES:
        return decided
    low, height, high = np.percentile(small, (25, 50, 75))
    if high - low > UNEVEN * height:
        # Handwriting, in which dashes are of any length.
        return decided
    dark, row = dark_pixels(strip), round(baseline * len(strip))
    found = [_strokes(mask, row, height, aspect) for mask in (dark, dark_pixels(strip, FAINT))]
    offset = 1 if blank == 0 else 0
    places: dict[int, tuple[int, int]] = {}
    for place, character in enumerate(characters):
        if character.text not in DASHES:
            continue
        middle = (character.first + character.last + 1) / 2 * step
        under = [[(left, right) for left, right in strokes if left <= middle < right] for strokes in found]
        own = under[0] or under[1]
        if len(own) != 1:
            continue
        places[place] = own[0]
        length = (own[0][1] - own[0][0]) * aspect / height
        text = EM if length >= EM_LENGTH else EN if length >= EN_LENGTH else character.text
        if text == character.text or text not in charset:
            continue
        # Monospaced typefaces have hyphens as long as en dashes, in options such as "-m" and before amounts.
        around = [each.text for each in (*characters[max(place - 1, 0) : place], *characters[place + 1 : place + 2])]
        if (character.text, text) == (HYPHEN, EN) and any(each != " " for each in around):
            continue
        shown = output[max(character.first - 1, 0) : character.last + 2, charset.index(text) + offset]
        if float(np.exp(shown.max())) >= (LIKELY if (character.text, text) == (HYPHEN, EN) else POSSIBLE):
            decided[place] = replace(character, text=text)
    return _spaced(decided, places, _columns(dark, row, height), step, USUAL * float(height) / aspect)


def _columns(mask: NDArray[np.uint8], baseline: int, height: float) -> NDArray[np.intp]:
    """The columns with ink of a line, without what reaches into its strip from the lines above and below.

    Parameters
    ----------
    mask : uint8 (H, W)
    baseline : int
        Its row.
    height : float
        Of small letters, rows.
    """
    _, labels, boxes, _ = components(mask)
    _, top, _, tall, _ = boxes.T
    other = ((top == 0) & (tall <= baseline - height)) | ((top >= baseline) & (top + tall == len(mask)))
    other[0] = True
    return np.flatnonzero((~other)[labels].any(axis=0))


def _strokes(mask: NDArray[np.uint8], baseline: int, height: float, aspect: float) -> list[tuple[int, int]]:
    """The first column of each stroke that may be a dash, and that after its last.

    Parameters
    ----------
    mask : uint8 (H, W)
    baseline : int
        Its row.
    height : float
        Of small letters, rows.
    aspect : float
        Width of a column relative to the height of a row.
    """
    left, top, width, tall, _ = components(mask).boxes[1:].T
    above = (baseline - (top + tall / 2)) / height
    slim = (width * aspect >= SLIM * tall) & (above >= LEVEL[0]) & (above <= LEVEL[1])
    return [(int(first), int(first + wide)) for first, wide in zip(left[slim], width[slim], strict=True)]


def _spaced(
    characters: list[Character],
    dashes: Mapping[int, tuple[int, int]],
    ink: NDArray[np.intp],
    step: float,
    usual: float,
) -> list[Character]:
    """Characters of a line, with spaces beside its longer dashes where the gaps are like those between words.

    Parameters
    ----------
    characters : list of Character
    dashes : mapping of int to (int, int)
        The first column of dashes and that after their last, by their places in the line.
    ink : intp (N,)
        Columns of the strip that have ink.
    step : float
    usual : float
        Columns between words, where the line has too few.
    """

    def before(column: float) -> float:
        return float(ink[ink < column][-1]) if ink[0] < column else np.nan

    def after(column: float) -> float:
        return float(ink[ink >= column][0]) if ink[-1] >= column else np.nan

    beside = {place + side for place in dashes for side in (-1, 1)}
    middles = [
        (character.first + character.last + 1) / 2 * step
        for place, character in enumerate(characters)
        if character.text == " " and place not in beside
    ]
    if len(middles) >= SPACES:
        usual = float(np.nanmedian([after(middle) - before(middle) - 1 for middle in middles]))
    spaced = list(characters)
    for place, (left, right) in sorted(dashes.items(), reverse=True):
        dash = spaced[place]
        if dash.text not in (EN, EM):
            continue
        for side, width in ((1, after(right) - right), (-1, left - before(left) - 1)):
            at = place + side
            if not 0 <= at < len(spaced):
                continue
            if spaced[at].text == " " and width <= NARROW * usual:
                del spaced[at]
            elif spaced[at].text != " " and width >= WIDE * usual:
                edge = dash.last if side > 0 else dash.first
                spaced.insert(place + (side > 0), Character(" ", dash.confidence, edge, edge))
    return spaced
