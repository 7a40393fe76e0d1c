"""Log probabilities of a CTC recogniser in; text with a confidence for each character and its place out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Character:
    """One character read: its confidence (0 to 1) and the first and last time step that showed it."""

    text: str
    confidence: float
    first: int
    last: int


def greedy(log_probabilities: NDArray[np.float32], charset: str, blank: int) -> list[Character]:
    """Best-path decoding (Graves et al. 2006, section 3.2).

    Parameters
    ----------
    log_probabilities : float32 (T, C)
    charset : str
        Characters of the classes in order, the blank's left out.
    blank : int
        Index of the blank class: 0 or C - 1.

    Returns
    -------
    list of Character, left to right
    """
    best = log_probabilities.argmax(axis=1)
    peak = np.exp(log_probabilities[np.arange(len(best)), best])
    offset = 1 if blank == 0 else 0
    characters = []
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(best)], strict=True):
        if best[start] != blank:
            confidence = float(peak[start:end].max())
            characters.append(Character(charset[best[start] - offset], confidence, int(start), int(end - 1)))
    return characters
