"""Tell by its length which dash a line of print shows: a hyphen, an en dash or an em dash.

The recogniser sees the dash, but strips are stretched, and the language model prefers what is usual. In type the small
letters of a line tell how long each is: measured on made-up pages, an en dash is 0.74 to 1.05 of their height long, an
em dash 1.07 or more, and a hyphen 0.7 or less, but in monospaced typefaces up to 0.8.

Whether a space is beside a dash depends on the language and the age of a print: the gap tells it. On made-up pages, 131
of 132 gaps beside the longer dashes that were up to 0.6 of those between words were none, and 256 of 257 wider ones
were spaces, of which the recogniser had read 33 otherwise.

Between two numbers, as of hours and pages, the recogniser reads every en dash as a hyphen. There the figures tell how
long it is: on made-up pages in 36 typefaces, 210 of 320 are told so, and no hyphen of a date or code is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.ink import Components, components
from paragraph_ocr.pipeline.letter_case import POSSIBLE, SMALL, UNEVEN, dark_pixels, letter_heights

HYPHEN, EN, EM = DASHES = "-–—"
# Small letters from which their height is known.
REFERENCES = 4
# Least lengths of an en dash and of an em dash in heights of small letters.
EN_LENGTH, EM_LENGTH = 0.73, 1.07
# Least probability of an en dash that was read as a hyphen, since some hyphens are as long; it stands between spaces.
LIKELY = 0.05
# A range of numbers, none of them a code that begins with 0, and the least length of its dash in heights of the tallest
# figure, and in distances between figures beside each other: some old figures are as low as small letters, and hyphens
# are long beside them.
RANGE = re.compile(r"(?<![^\s(\[])(?!0\d\d)\d[\d:.,]*[-—](?!0\d\d)\d[\d:.,]*(?![^\s)\];%])")
RANGE_HEIGHT, RANGE_PITCH = 0.57, 0.65
# Height of small letters in heights of figures.
SMALL_TO_FIGURES = 0.7
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
    height_of = letter_heights(characters, strip, step, baseline)
    decided = _with_ranges(characters, height_of, strip, charset, step, baseline, aspect)
    small = [height_of(place) for place, character in enumerate(characters) if character.text in SMALL]
    small = [height for height in small if not np.isnan(height)]
    if len(small) < REFERENCES:
        return decided
    low, height, high = np.percentile(small, (25, 50, 75))
    if high - low > UNEVEN * height:
        # Handwriting, in which dashes are of any length.
        return list(characters)
    line = _Line(round(baseline * len(strip)), float(height), aspect)
    ink, faint = components(dark_pixels(strip)), None
    strokes = line.strokes(ink)
    offset = 1 if blank == 0 else 0
    places: dict[int, tuple[int, int]] = {}
    for place, character in enumerate(characters):
        if character.text not in DASHES:
            continue
        middle = (character.first + character.last + 1) / 2 * step
        own = [stroke for stroke in strokes if stroke[0] <= middle < stroke[1]]
        if not own:
            faint = faint or line.strokes(components(dark_pixels(strip, FAINT)))
            own = [stroke for stroke in faint if stroke[0] <= middle < stroke[1]]
        if len(own) != 1:
            continue
        places[place] = own[0]
        length = (own[0][1] - own[0][0]) * aspect / height
        text = EM if length >= EM_LENGTH else EN if length >= EN_LENGTH else character.text
        if decided[place].text != character.text or text == character.text or text not in charset:
            continue
        # Monospaced typefaces have hyphens as long as en dashes, in options such as "-m" and before amounts.
        around = [each.text for each in (*characters[max(place - 1, 0) : place], *characters[place + 1 : place + 2])]
        if (character.text, text) == (HYPHEN, EN) and any(each != " " for each in around):
            continue
        shown = output[max(character.first - 1, 0) : character.last + 2, charset.index(text) + offset]
        if float(np.exp(shown.max())) >= (LIKELY if (character.text, text) == (HYPHEN, EN) else POSSIBLE):
            decided[place] = replace(character, text=text)
    return _spaced(decided, places, line.columns(ink), step, USUAL * line.height / aspect) if places else decided


def _with_ranges(
    characters: Sequence[Character],
    height_of: Callable[[int], float],
    strip: NDArray[np.uint8],
    charset: str,
    step: float,
    baseline: float,
    aspect: float,
) -> list[Character]:
    """Characters of a line, the dashes between its numbers en dashes where they are as long."""
    decided = list(characters)
    texts = [character.text for character in characters]
    if EN not in charset or any(len(text) != 1 for text in texts):
        return decided
    found = list(RANGE.finditer("".join(texts)))
    if not found:
        return decided
    figures = [place for place, text in enumerate(texts) if text.isdigit()]
    heights = np.array([height for place in figures if not np.isnan(height := height_of(place))])
    pitches = [
        (other.first + other.last - one.first - one.last) / 2 * step * aspect
        for one, other in pairwise(characters)
        if one.text.isdigit() and other.text.isdigit()
    ]
    if not len(heights) or np.subtract(*np.percentile(heights, (75, 25))) > UNEVEN * np.median(heights):
        return decided
    least = RANGE_HEIGHT * float(heights.max())
    if pitches:
        least = max(least, RANGE_PITCH * float(np.mean(pitches)))
    line = _Line(round(baseline * len(strip)), SMALL_TO_FIGURES * float(heights.max()), aspect)
    strokes = line.strokes(components(dark_pixels(strip)))
    for match in found:
        place = next(place for place in range(*match.span()) if texts[place] in DASHES)
        dash = characters[place]
        middle = (dash.first + dash.last + 1) / 2 * step
        own = [stroke for stroke in strokes if stroke[0] <= middle < stroke[1]]
        if len(own) == 1 and (own[0][1] - own[0][0]) * aspect >= least:
            decided[place] = replace(dash, text=EN)
    return decided


class _Line(NamedTuple):
    """What tells the ink of a line in its strip.

    Attributes
    ----------
    baseline : int
        Its row.
    height : float
        Of small letters, rows.
    aspect : float
        Width of a column relative to the height of a row.
    """

    baseline: int
    height: float
    aspect: float

    def strokes(self, ink: Components) -> list[tuple[int, int]]:
        """The first column of each stroke that may be a dash, and that after its last."""
        left, top, width, tall, _ = ink.boxes[1:].T
        above = (self.baseline - (top + tall / 2)) / self.height
        slim = (width * self.aspect >= SLIM * tall) & (above >= LEVEL[0]) & (above <= LEVEL[1])
        return [(int(first), int(first + wide)) for first, wide in zip(left[slim], width[slim], strict=True)]

    def columns(self, ink: Components) -> NDArray[np.intp]:
        """The columns with ink of the line, without what reaches into its strip from the lines above and below."""
        _, top, _, tall, _ = ink.boxes.T
        from_above = (top == 0) & (tall <= self.baseline - self.height)
        own = ~from_above & ~((top >= self.baseline) & (top + tall == len(ink.labels)))
        own[0] = False
        return np.flatnonzero(own[ink.labels].any(axis=0))


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
        return float(ink[ink < column].max()) if (ink < column).any() else np.nan

    def after(column: float) -> float:
        return float(ink[ink >= column].min()) if (ink >= column).any() else np.nan

    beside = {place + side for place in dashes for side in (-1, 1)}
    middles = [
        (character.first + character.last + 1) / 2 * step
        for place, character in enumerate(characters)
        if character.text == " " and place not in beside
    ]
    gaps = [gap for middle in middles if not np.isnan(gap := after(middle) - before(middle) - 1)]
    if len(gaps) >= SPACES:
        usual = float(np.median(gaps))
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
