"""Tell monospaced text, as of typewriters and receipts, and take out spaces that were read between its letters.

A monospaced letter stands in the middle of a cell of its own, so that much is free beside a narrow one; the recogniser
takes that for a space where no word of a language goes on, as in numbers and codes. But all cells have one width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character

# Characters that are narrower than a digit in typefaces that are not monospaced.
NARROW = frozenset("iljtfrI.,:;'!|()[]-/")
# After these a word begins.
STOPS = frozenset(".,:;!?")
# Number of pairs with a narrow character by which text is known to be monospaced, and their least and greatest mean
# distance in pitches: about 1 in monospaced text, and 0.7 to 0.95 in other.
MIN_PAIRS, DISTANCE = 12, (0.97, 1.12)
# Number of pairs that give the pitch of a line; a shorter one has the page's, by its ascender.
MIN_LINE_PAIRS = 4
# The pitch of a line is even if this share of its pairs differs from it by at most this share of it. On
# monospaced pages so many pairs of all lines do; in handwriting, fewer.
EVEN_SHARE, EVEN, PAGE_EVEN_SHARE = 0.75, 0.25, 0.7
# Across a space, characters are two pitches apart; less than this is none, between words, where a figure or a sign is
# beside it, and between two signs.
MIN_WORD_SPACE, MIN_SPACE, MIN_SIGN_SPACE = 1.2, 1.3, 1.5
# So many characters on either side of a space tell how wide it is.
REACH = 3


class ReadLine(NamedTuple):
    """The characters of a line, the page pixels of a time step, and the ascender height in page pixels."""

    characters: Sequence[Character]
    step: float
    ascender: float


def is_monospaced(lines: Sequence[ReadLine]) -> bool:
    """Return whether the characters of the lines of a page have one width."""
    return _measure(lines) is not None


def without_false_spaces(lines: Sequence[ReadLine]) -> list[list[Character]]:
    """Return the characters of the lines of a page, if it is monospaced without the spaces that are none.

    Parameters
    ----------
    lines : sequence of ReadLine
    """
    measured = _measure(lines)
    if measured is None:
        return [list(line.characters) for line in lines]
    pairs, pitches = measured
    relative = float(np.nanmedian([pitch / line.ascender for pitch, line in zip(pitches, lines, strict=True)]))
    result = []
    for line, each, pitch in zip(lines, pairs, pitches, strict=True):
        own = pitch if pitch > 0 else relative * line.ascender
        even = len(each.distances) < MIN_LINE_PAIRS or (
            float((np.abs(each.distances / own - 1) <= EVEN).mean()) >= EVEN_SHARE
        )
        result.append(_with_true_spaces(line, own) if even else list(line.characters))
    return result


class _Pairs(NamedTuple):
    """Distances between letters of a word, page pixels, float (N,), and whether one of either is narrow, bool (N,)."""

    distances: NDArray[np.float64]
    narrow: NDArray[np.bool_]


def _measure(lines: Sequence[ReadLine]) -> tuple[list[_Pairs], list[float]] | None:
    """Return the pairs and the pitch of each line; None if the page is not monospaced."""
    pairs = [_pairs(line) for line in lines]
    pitches = [_pitch(each.distances[~each.narrow]) for each in pairs]
    known = [each.distances / pitch for each, pitch in zip(pairs, pitches, strict=True) if pitch > 0]
    if not known:
        return None
    # Narrow characters are few in the short lines of tables, which have the page's pitch.
    usual = float(np.nanmedian([pitch / line.ascender for pitch, line in zip(pitches, lines, strict=True)]))
    narrow = np.concatenate(
        [
            each.distances[each.narrow] / (pitch if pitch > 0 else usual * line.ascender)
            for line, each, pitch in zip(lines, pairs, pitches, strict=True)
        ]
    )
    if len(narrow) < MIN_PAIRS or not DISTANCE[0] <= float(narrow.clip(0, 2).mean()) <= DISTANCE[1]:
        return None
    if float((np.abs(np.concatenate(known) - 1) <= EVEN).mean()) < PAGE_EVEN_SHARE:
        return None
    return pairs, pitches


def _pairs(line: ReadLine) -> _Pairs:
    middles = np.array([(each.first + each.last) / 2 for each in line.characters])
    beside = np.array([each.text != " " for each in line.characters], bool)
    slim = np.array([each.text in NARROW for each in line.characters], bool)
    within = beside[:-1] & beside[1:]
    return _Pairs(np.diff(middles)[within] * line.step, (slim[:-1] | slim[1:])[within])


def _pitch(distances: NDArray[np.float64]) -> float:
    """The usual distance of some letters, finer than their time steps; not a number if there is none, or too few."""
    if len(distances) < MIN_LINE_PAIRS:
        return np.nan
    usual = float(np.median(distances))
    near = distances[np.abs(distances - usual) <= usual / 2]
    # The median of an even number may be between small and large ones.
    return float(near.mean()) if len(near) else np.nan


def _with_true_spaces(line: ReadLine, pitch: float) -> list[Character]:
    middles = [(each.first + each.last) / 2 * line.step for each in line.characters]
    texts = [each.text for each in line.characters]

    def is_space(index: int) -> bool:
        """Whether the letters around a space are farther apart than neighbours are.

        A letter may be read a little early or late, so that those beyond it count, too.
        """
        first, last = index - 1, index + 1
        before, after = _reach(texts[first::-1]), _reach(texts[last:])
        apart = [
            middles[last + right] - middles[first - left] - (left + right) * pitch
            for left in range(before)
            for right in range(after)
        ]
        words = texts[last].isalpha() and (texts[first].isalpha() or texts[first] in STOPS)
        signs = not (texts[first].isalnum() or texts[last].isalnum())
        least = MIN_WORD_SPACE if words else MIN_SIGN_SPACE if signs else MIN_SPACE
        return float(np.median(apart)) >= least * pitch

    inner = range(1, len(texts) - 1)
    return [
        each for index, each in enumerate(line.characters) if each.text != " " or index not in inner or is_space(index)
    ]


def _reach(texts: Sequence[str]) -> int:
    """How many characters from a space on are not parted by another, at most `REACH`."""
    return next((index for index, text in enumerate(texts[:REACH]) if text == " "), min(len(texts), REACH))
