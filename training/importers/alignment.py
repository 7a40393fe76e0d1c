"""Lay the lines of a text on lines that were read of an image, by the nearest monotone alignment."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

# Similarity of any two lines of a language; only what exceeds it counts.
CHANCE = 0.2
# Similarity from which a pair is certain.
CERTAIN = 0.6
# Another pair is certain from DISTINCT, if it exceeds all other pairs of its line and of its text by MARGIN.
DISTINCT, MARGIN = 0.32, 0.1
# Similarity from which a pair between certain neighbours is kept, if there are as many lines as texts between these.
BETWEEN = 0.27
# Shortest and longest reading, as a share of the length of the text.
LENGTHS = (0.6, 1.6)
# Gain of similarity with a neighbour from which a line counts as divided, or as two lines in one.
PART = 0.04


@dataclass(frozen=True)
class Pair:
    """The indices of a reading and of a text that belong together, and their similarity, 0 to 1."""

    line: int
    text: int
    similarity: float


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(each for each in plain if not unicodedata.combining(each)).split())


def _similarity(one: str, other: str) -> float:
    return float(Levenshtein.normalized_similarity(one, other))


def align(readings: Sequence[str], texts: Sequence[str]) -> list[Pair]:
    """Return the certain pairs of readings and texts, both in order.

    Parameters
    ----------
    readings : sequence of str
        What was read of each line of an image; it may be wrong in many characters.
    texts : sequence of str
        The lines of its text.

    Notes
    -----
    The alignment is that of greatest total similarity (S. B. Needleman and C. D. Wunsch 1970); of its pairs, those are
    kept that are similar, or more similar than all others, or that stand between such with nothing left over.
    """
    lines, wanted = [_folded(each) for each in readings], [_folded(each) for each in texts]
    if not lines or not wanted:
        return []
    like = np.asarray(cdist(lines, wanted, scorer=Levenshtein.normalized_similarity, dtype=np.float32), np.float32)
    path = _path(like)
    whole = [pair for pair in path if _is_whole(pair, lines, wanted, like)]
    certain = {pair for pair in whole if _is_distinct(pair, like)}
    if not certain:
        return []
    kept = set(certain)
    # The ends count as certain: nothing is left over there only if the first and last lines are all there.
    fixed = sorted({(-1, -1), *certain, (len(lines), len(wanted))})
    for (line, text), (next_line, next_text) in pairwise(fixed):
        if next_line - line == next_text - text:
            between = [(line + step, text + step) for step in range(1, next_line - line)]
            kept |= {pair for pair in between if like[pair] >= BETWEEN and _is_whole(pair, lines, wanted, like)}
    return [Pair(line, text, float(like[line, text])) for line, text in sorted(kept)]


def _path(like: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The pairs of the alignment of greatest total similarity above that of chance."""
    gain = np.maximum(like - CHANCE, 0.0)
    rows, columns = like.shape
    best = np.zeros((rows + 1, columns + 1))
    for row in range(rows):
        for column in range(columns):
            best[row + 1, column + 1] = max(
                best[row, column] + gain[row, column], best[row, column + 1], best[row + 1, column]
            )
    pairs = []
    row, column = rows, columns
    while row and column:
        if best[row, column] == best[row - 1, column]:
            row -= 1
        elif best[row, column] == best[row, column - 1]:
            column -= 1
        else:
            row, column = row - 1, column - 1
            pairs.append((row, column))
    return pairs[::-1]


def _is_distinct(pair: tuple[int, int], like: NDArray[np.float32]) -> bool:
    line, text = pair
    own = like[pair]
    # A page may have a line twice, which the order tells apart.
    if own >= CERTAIN:
        return True
    others = np.concatenate([np.delete(like[line], text), np.delete(like[:, text], line)])
    return bool(own >= DISTINCT and (not others.size or own >= others.max() + MARGIN))


def _is_whole(pair: tuple[int, int], lines: list[str], texts: list[str], like: NDArray[np.float32]) -> bool:
    """Whether a reading is all of a text, and of no other: not a part of a divided line, nor two lines in one."""
    line, text = pair
    own = like[pair]
    length = len(lines[line]) / max(len(texts[text]), 1)
    if not LENGTHS[0] <= length <= LENGTHS[1]:
        return False
    neighbours = [lines[each] for each in (line - 1, line + 1) if 0 <= each < len(lines)]
    joined = [f"{neighbours[0]} {lines[line]}"] if line > 0 else []
    joined += [f"{lines[line]} {neighbours[-1]}"] if line + 1 < len(lines) else []
    if any(_similarity(each, texts[text]) > own + PART for each in joined):
        return False
    others = [f"{texts[text - 1]} {texts[text]}"] if text > 0 else []
    others += [f"{texts[text]} {texts[text + 1]}"] if text + 1 < len(texts) else []
    return not any(_similarity(lines[line], each) > own + PART for each in others)
