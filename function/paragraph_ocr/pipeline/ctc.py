"""Decode the log probabilities of a CTC recogniser to characters with their confidences and places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import exp, log
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.language import LanguageModel, Mixture, Search

# A prefix that begins at less than this part of the search's floor is dropped before it is ranked.
HOPELESS = 0.1


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


def join(left: NDArray[np.float32], right: NDArray[np.float32], start: int, blank: int) -> NDArray[np.float32]:
    """The log probabilities of two overlapping parts of a strip as those of the whole.

    The seam lies in the middle half of the overlap, where both parts are surest that no character stands, so that none
    is lost or doubled, and what either saw only the edge of is taken from the other.

    Parameters
    ----------
    left, right : float32 (T, C), (T', C)
    start : int
        The step of `left` at which `right` begins.
    blank : int
    """
    overlap = len(left) - start
    margin = overlap // 4
    sure = left[start:, blank] + right[:overlap, blank]
    seam = margin + int(np.convolve(sure, np.ones(3), "same")[margin : overlap - margin].argmax())
    return np.concatenate([left[: start + seam], right[seam:]])


@dataclass(slots=True, eq=False)
class _Prefix:
    """A text begun: its probabilities of ending in a blank and in a character, the language model's within them."""

    before: _Prefix | None
    last: int
    state: Any
    in_blank: float = 0.0
    in_character: float = 0.0
    next_blank: float = 0.0
    next_character: float = 0.0
    longer: dict[int, tuple[_Prefix, float]] = field(default_factory=dict)


def _next_total(prefix: _Prefix) -> float:
    return prefix.next_blank + prefix.next_character


def _likely(
    log_probabilities: NDArray[np.float32], blank: int, search: Search
) -> Iterator[tuple[int, NDArray[np.float32], list[tuple[int, float]]]]:
    """The frames that may show a character: each one's number, probabilities, and likely classes, likeliest first."""
    unsure = np.flatnonzero(log_probabilities[:, blank] <= log(search.sure))
    probabilities = np.exp(log_probabilities[unsure])
    frames, classes = np.nonzero(probabilities > search.floor)
    pairs = list(zip(classes.tolist(), probabilities[frames, classes].tolist(), strict=True))
    bounds = np.searchsorted(frames, np.arange(len(unsure) + 1)).tolist()
    for time, row, (start, end) in zip(unsure.tolist(), probabilities, pairwise(bounds), strict=True):
        tried = [pair for pair in pairs[start:end] if pair[0] != blank]
        tried.sort(key=itemgetter(1), reverse=True)
        # Where the picture says nothing every class is likely, and trying all takes seconds a line.
        yield time, row, tried[: search.width]


def _best_of(reached: Iterable[_Prefix], search: Search) -> list[_Prefix]:
    """The prefixes that the next frame begins with, likeliest first, the best one's probability scaled to 1.

    What follows a prefix depends on its last character and on the language model's state alone. Of two that agree in
    both, the one that is less likely in both its endings cannot become the best text any more, and gives way to others,
    once nothing before or after it is looked at beside it.
    """
    ranked = sorted(reached, key=_next_total, reverse=True)
    scale = 1.0 / max(_next_total(ranked[0]), 1e-300)
    for prefix in ranked:
        prefix.in_blank, prefix.in_character = prefix.next_blank * scale, prefix.next_character * scale
        prefix.next_blank = prefix.next_character = 0.0
    likely = ranked[:1] + [prefix for prefix in ranked[1:] if prefix.in_blank + prefix.in_character > search.floor]
    if len(likely) == 1:
        return likely
    all_likely = set(likely)
    shorter = {prefix.before for prefix in likely}
    leaders: dict[tuple[Any, int], _Prefix] = {}
    kept: list[_Prefix] = []
    for prefix in likely:
        leader = leaders.setdefault((prefix.state, prefix.last), prefix)
        if (
            leader is prefix
            or leader.in_blank < prefix.in_blank
            or leader.in_character < prefix.in_character
            or prefix in shorter
            or prefix.before in all_likely
        ):
            kept.append(prefix)
    return kept[: search.width]


def beam_search(log_probabilities: NDArray[np.float32], blank: int, language: LanguageModel | Mixture) -> list[int]:
    """Prefix beam search (Hannun et al. 2014) with a character language model.

    Parameters
    ----------
    log_probabilities : float32 (T, C)
        The classes but the blank are the characters that `language` knows, in its order.
    blank : int
        Index of the blank class: 0 or C - 1.
    language : LanguageModel or Mixture

    Returns
    -------
    list of int
        The classes of the text with the largest product of the recogniser's probability, the language model's to
        the power of its weight, and the factors for its characters.
    """
    offset = 1 if blank == 0 else 0
    search, step = language.search, language.step
    hopeless = HOPELESS * search.floor
    beam = [_Prefix(None, blank, language.start, in_blank=1.0)]
    before = -1
    for time, row, tried in _likely(log_probabilities, blank, search):
        if time > before + 1:
            for prefix in beam:
                prefix.in_blank, prefix.in_character = prefix.in_blank + prefix.in_character, 0.0
        before = time
        probability_of = dict(tried)
        still = float(row[blank])
        reached = dict.fromkeys(beam)
        for prefix in beam:
            in_blank, in_character, last = prefix.in_blank, prefix.in_character, prefix.last
            total = in_blank + in_character
            prefix.next_blank += total * still
            if in_character:
                repeated = probability_of.get(last)
                prefix.next_character += in_character * (float(row[last]) if repeated is None else repeated)
            known = prefix.longer
            for at, probability in tried:
                if total * probability < search.floor:
                    break
                # A repeated class begins a new character only after a blank.
                gain = (in_blank if at == last else total) * probability
                if at in known:
                    longer, factor = known[at]
                else:
                    log_probability, state = step(prefix.state, at - offset)
                    factor = exp(search.weight * log_probability + search.bonus)
                    if gain * factor < hopeless:
                        continue
                    longer = _Prefix(prefix, at, state)
                    known[at] = longer, factor
                longer.next_character += gain * factor
                reached[longer] = None
        beam = _best_of(reached, search)
    edge = len(language.charset)
    best: _Prefix | None = max(
        beam, key=lambda p: (p.in_blank + p.in_character) * exp(search.weight * language.log_probability(p.state, edge))
    )
    classes = []
    while best is not None and best.before is not None:
        classes.append(best.last)
        best = best.before
    return classes[::-1]


def align(log_probabilities: NDArray[np.float32], classes: list[int], charset: str, blank: int) -> list[Character]:
    """The best path of a given text (Viterbi over the CTC trellis), with where each character stands on it.

    Parameters
    ----------
    log_probabilities : float32 (T, C)
    classes : list of int
        The text; not longer than the frames can hold, as those of `beam_search` are not.
    charset : str
    blank : int

    Returns
    -------
    list of Character, left to right
    """
    if not classes:
        return []
    offset = 1 if blank == 0 else 0
    # The states are the characters with a blank before, between and after them.
    states = np.full(2 * len(classes) + 1, blank)
    states[1::2] = classes
    barred = np.full(len(states), -np.inf, np.float32)
    barred[3::2][states[3::2] != states[1:-2:2]] = 0.0
    emitted = log_probabilities[:, states]
    # Two impossible states stand before the first, so that every state has two before it.
    scores = np.full((len(emitted), len(states) + 2), -np.inf, np.float32)
    scores[0, 2:4] = emitted[0, :2]
    skipped = np.empty(len(states), np.float32)
    for before, after, row in zip(scores[:-1], scores[1:, 2:], emitted[1:], strict=True):
        np.add(before[:-2], barred, out=skipped)
        np.maximum(before[2:], before[1:-1], out=after)
        np.maximum(after, skipped, out=after)
        np.add(after, row, out=after)
    at = len(states) - 1 if scores[-1, -1] >= scores[-1, -2] else len(states) - 2
    path = np.empty(len(emitted), np.intp)
    path[-1] = at
    for time in range(len(emitted) - 2, -1, -1):
        further, one, stayed = scores[time, at : at + 3].tolist()
        further += float(barred[at])
        at -= 0 if stayed >= max(one, further) else 1 if one >= further else 2
        path[time] = at
    numbers = np.arange(1, len(states), 2)
    firsts, lasts = np.searchsorted(path, numbers).tolist(), np.searchsorted(path, numbers, "right").tolist()
    return [
        Character(charset[kind - offset], float(np.exp(log_probabilities[first:last, kind].max())), first, last - 1)
        for kind, first, last in zip(classes, firsts, lasts, strict=True)
    ]


def decode(
    log_probabilities: NDArray[np.float32], charset: str, blank: int, language: LanguageModel | Mixture | None
) -> list[Character]:
    """The characters of a line, by beam search where there is a language model and a step that leaves room for doubt.

    Parameters
    ----------
    log_probabilities : float32 (T, C)
    charset : str
        Also that of the language model.
    blank : int
    language : LanguageModel, Mixture or None
    """
    best = greedy(log_probabilities, charset, blank)
    if language is None or exp(log_probabilities.max(axis=1).min()) > language.search.sure:
        return best
    classes = beam_search(log_probabilities, blank, language)
    offset = 1 if blank == 0 else 0
    if "".join(charset[kind - offset] for kind in classes) == "".join(character.text for character in best):
        return best
    return align(log_probabilities, classes, charset, blank)
