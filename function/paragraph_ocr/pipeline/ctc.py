"""Decode the log probabilities of a CTC recogniser to characters with confidences and time steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import exp, log
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.language import LanguageModel, Mixture, Search

# A new prefix below this share of the search's floor is dropped before the prefixes are ranked.
NEW_PREFIX_FLOOR = 0.1
# Lines are aligned together up to so many states times time steps, which need four bytes each.
MAX_TRELLIS = 2**20
_total = attrgetter("total")


@dataclass(frozen=True)
class Character:
    """A decoded character, with its confidence (0 to 1) and its first and last time step."""

    text: str
    confidence: float
    first: int
    last: int


def greedy(log_probabilities: NDArray[np.float32], charset: str, blank: int) -> list[Character]:
    """Decode the best path (Graves et al. 2006, section 3.2).

    Parameters
    ----------
    log_probabilities : float32 (T, C)
    charset : str
        Characters of the classes in order, without the blank.
    blank : int
        Index of the blank class: 0 or C - 1.

    Returns
    -------
    list of Character, left to right
    """
    best = log_probabilities.argmax(axis=1)
    if not len(best):
        return []
    offset = 1 if blank == 0 else 0
    starts = np.concatenate([[0], np.flatnonzero(best[1:] != best[:-1]) + 1])
    peaks = np.maximum.reduceat(np.exp(log_probabilities.max(axis=1)), starts).tolist()
    bounds = [*starts.tolist(), len(best)]
    return [
        Character(charset[kind - offset], confidence, start, end - 1)
        for kind, confidence, (start, end) in zip(best[starts].tolist(), peaks, pairwise(bounds), strict=True)
        if kind != blank
    ]


def join(left: NDArray[np.float32], right: NDArray[np.float32], start: int, blank: int) -> NDArray[np.float32]:
    """Join the log probabilities of two overlapping parts of a strip.

    The seam is at the time step in the middle half of the overlap at which the blank is most probable in both parts, so
    that no character is lost or doubled, and characters at the edge of one part are taken from the other.

    Parameters
    ----------
    left, right : float32 (T, C), (T', C)
    start : int
        Time step of `left` at which `right` begins.
    blank : int
        Index of the blank class.

    Returns
    -------
    float32 (start + T', C)
    """
    overlap = len(left) - start
    margin = overlap // 4
    both_blank = left[start:, blank] + right[:overlap, blank]
    seam = margin + int(np.convolve(both_blank, np.ones(3), "same")[margin : overlap - margin].argmax())
    return np.concatenate([left[: start + seam], right[seam:]])


@dataclass(slots=True, eq=False)
class _Prefix:
    """A prefix of the text, with its probabilities of ending in a blank and in a character.

    They include the language model's probabilities and the bonus of `Search`. `total` is what prefixes are ranked by.
    `factor` is the language model's for the last character. `children` has the prefixes that are one character longer,
    by the class of this character.
    """

    before: _Prefix | None
    last: int
    state: Any
    factor: float = 1.0
    in_blank: float = 0.0
    in_character: float = 0.0
    next_blank: float = 0.0
    next_character: float = 0.0
    total: float = 0.0
    children: dict[int, _Prefix] = field(default_factory=dict)


@lru_cache
def _least(charset: str, least: float) -> tuple[float, ...]:
    """What is added to the language model's probability of each character: of letters and the space nothing."""
    return tuple(0.0 if character.isalpha() or character == " " else least for character in charset)


@lru_cache
def _figures(charset: str, offset: int) -> frozenset[int]:
    """The classes of the figures of a charset, whose first class is `offset`."""
    return frozenset(index + offset for index, character in enumerate(charset) if character.isdigit())


def _uncertain_steps(
    log_probabilities: NDArray[np.float32], blank: int, search: Search
) -> Iterator[tuple[int, NDArray[np.float32], list[tuple[int, float]]]]:
    """Yield the time steps that may show a character.

    Each comes with its index, its probabilities, and its most probable classes in descending order.
    """
    uncertain = np.flatnonzero(log_probabilities[:, blank] <= log(search.sure))
    probabilities = np.exp(log_probabilities[uncertain])
    candidate = probabilities > search.floor
    candidate[:, blank] = False
    frames, classes = np.nonzero(candidate)
    values = probabilities[frames, classes]
    order = np.lexsort((-values, frames))
    pairs = list(zip(classes[order].tolist(), values[order].tolist(), strict=True))
    bounds = np.searchsorted(frames, np.arange(len(uncertain) + 1)).tolist()
    for time, row, (start, end) in zip(uncertain.tolist(), probabilities, pairwise(bounds), strict=True):
        # If the image is ambiguous, hundreds of classes exceed the floor; trying them all takes seconds per line.
        yield time, row, pairs[start : min(end, start + search.width)]


def _prune(next_beam: Collection[_Prefix], search: Search) -> list[_Prefix]:
    """Return the prefixes for the next time step in descending order of probability, the best one scaled to 1.

    How a prefix continues depends only on its last character and the language model's state. If two prefixes agree in
    both, and one is less probable with either ending, it cannot become the best text, and is dropped unless its parent
    or a child of it is also among the prefixes.
    """
    for prefix in next_beam:
        prefix.total = prefix.next_blank + prefix.next_character
    best = max(next_beam, key=_total)
    scale, floor = 1.0 / max(best.total, 1e-300), search.floor
    likely = []
    for prefix in next_beam:
        prefix.in_blank, prefix.in_character = prefix.next_blank * scale, prefix.next_character * scale
        prefix.next_blank = prefix.next_character = 0.0
        if prefix.in_blank + prefix.in_character > floor or prefix is best:
            likely.append(prefix)
    if len(likely) == 1:
        return likely
    likely.sort(key=_total, reverse=True)
    among: set[_Prefix] | None = None
    leaders: dict[tuple[Any, int], _Prefix] = {}
    kept: list[_Prefix] = []
    for prefix in likely:
        leader = leaders.setdefault((prefix.state, prefix.last), prefix)
        if leader is not prefix and leader.in_blank >= prefix.in_blank and leader.in_character >= prefix.in_character:
            if among is None:
                # Few prefixes agree, so that these are seldom needed.
                among = set(likely)
                shorter = {each.before for each in likely}
            if prefix not in shorter and prefix.before not in among:
                continue
        kept.append(prefix)
    return kept[: search.width]


def beam_search(log_probabilities: NDArray[np.float32], blank: int, language: LanguageModel | Mixture) -> list[int]:
    """Search with prefixes (Hannun et al. 2014) and a character language model.

    Parameters
    ----------
    log_probabilities : float32 (T, C)
        The classes other than the blank are the characters of `language`, in its order.
    blank : int
        Index of the blank class: 0 or C - 1.
    language : LanguageModel or Mixture

    Returns
    -------
    list of int
        Classes of the text that maximises the product of the recogniser's probability, the language model's
        probability to the power of its weight, and the bonus for each character.
    """
    offset = 1 if blank == 0 else 0
    search, step = language.search, language.step
    floor, weight, bonus = search.floor, search.weight, exp(search.bonus)
    least = _least(language.charset, search.least)
    figures = _figures(language.charset, offset)
    new_prefix_floor = NEW_PREFIX_FLOOR * floor
    beam = [_Prefix(None, blank, language.start, in_blank=1.0)]
    before = -1
    parents: list[_Prefix] = []
    for time, row, candidates in _uncertain_steps(log_probabilities, blank, search):
        if time > before + 1:
            for prefix in beam:
                prefix.in_blank, prefix.in_character = prefix.in_blank + prefix.in_character, 0.0
        before = time
        probability_of = dict(candidates)
        blank_probability = float(row[blank])
        next_beam = dict.fromkeys(beam)
        for prefix in beam:
            in_blank, in_character, last = prefix.in_blank, prefix.in_character, prefix.last
            total = in_blank + in_character
            prefix.next_blank += total * blank_probability
            if in_character:
                repeated = probability_of.get(last)
                prefix.next_character += in_character * (float(row[last]) if repeated is None else repeated)
            children = prefix.children
            for at, probability in candidates:
                if total * probability < floor:
                    break
                # A repeated class begins a new character only after a blank.
                gain = (in_blank if at == last else total) * probability
                longer = children.get(at)
                if longer is None:
                    log_probability, state = step(prefix.state, at - offset)
                    more = least[at - offset]
                    if last in figures:
                        more = max(more, search.after_figure)
                    factor = (exp(log_probability) + more) ** weight * bonus
                    if gain * factor < new_prefix_floor:
                        continue
                    longer = children[at] = _Prefix(prefix, at, state, factor)
                    parents.append(prefix)
                longer.next_character += gain * longer.factor
                next_beam[longer] = None
        beam = _prune(next_beam, search)
    edge = len(language.charset)
    best: _Prefix | None = max(
        beam, key=lambda p: (p.in_blank + p.in_character) * exp(search.weight * language.log_probability(p.state, edge))
    )
    classes = []
    while best is not None and best.before is not None:
        classes.append(best.last)
        best = best.before
    for prefix in parents:
        # Without cycles, prefixes are freed at once, and not by the garbage collector, which looks at all objects.
        prefix.children.clear()
    return classes[::-1]


def align(lines: Sequence[tuple[NDArray[np.float32], list[int]]], charset: str, blank: int) -> list[list[Character]]:
    """Find the time steps of the characters of given texts, on their best paths (Viterbi over the CTC trellis).

    Parameters
    ----------
    lines : sequence of (float32 (T, C), list of int)
        The log probabilities of each line, and its text as `beam_search` returns it; it must fit into T time steps.
    charset : str
    blank : int

    Returns
    -------
    list of list of Character, left to right
    """
    # Lines of similar length next to each other; those of a group are aligned together.
    order = sorted(range(len(lines)), key=lambda index: -len(lines[index][0]))
    groups: list[list[int]] = []
    longest = states = 0
    for index in order:
        output, classes = lines[index]
        states += 2 * len(classes) + 3
        if not groups or longest * states > MAX_TRELLIS:
            groups.append([])
            longest, states = len(output), 2 * len(classes) + 3
        groups[-1].append(index)
    found: list[list[Character]] = [[] for _ in lines]
    for group in groups:
        for index, characters in zip(group, _align([lines[index] for index in group], charset, blank), strict=True):
            found[index] = characters
    return found


def _align(
    lines: Sequence[tuple[NDArray[np.float32], list[int]]], charset: str, blank: int
) -> Iterator[list[Character]]:
    """Yield what `align` returns for each of some lines in descending order of length."""
    offset = 1 if blank == 0 else 0
    steps = [len(output) for output, _ in lines]
    # The states of a line are its characters, and a blank before, between and after them. Two impossible states
    # precede them, so that every state has two predecessors of its line.
    ends = np.cumsum([2 * len(classes) + 3 for _, classes in lines])
    firsts = [end - 2 * len(classes) - 1 for end, (_, classes) in zip(ends.tolist(), lines, strict=True)]
    skip_penalty = np.full(ends[-1], -np.inf, np.float32)
    emitted = np.full((steps[0], ends[-1]), -np.inf, np.float32)
    scores = np.full_like(emitted, -np.inf)
    for (output, classes), first, end in zip(lines, firsts, ends.tolist(), strict=True):
        states = np.full(2 * len(classes) + 1, blank)
        states[1::2] = classes
        skip_penalty[first + 3 : end : 2][states[3::2] != states[1:-2:2]] = 0.0
        emitted[: len(output), first:end] = output[:, states]
        scores[0, first : first + 2] = emitted[0, first : first + 2]
    skips, skipped = skip_penalty[2:], np.empty(ends[-1] - 2, np.float32)
    for before, after, row in zip(scores[:-1], scores[1:, 2:], emitted[1:, 2:], strict=True):
        np.add(before[:-2], skips, out=skipped)
        np.maximum(before[2:], before[1:-1], out=after)
        np.maximum(after, skipped, out=after)
        np.add(after, row, out=after)
    lasts = np.array(steps) - 1
    at = ends - 1
    at -= scores[lasts, at] < scores[lasts, at - 1]
    paths = np.empty((steps[0], len(lines)), np.intp)
    # All lines that are longer than a time step are the first so many.
    longer = np.searchsorted(-lasts, -np.arange(steps[0])).tolist()
    paths[lasts, np.arange(len(lines))] = at
    for time in range(steps[0] - 2, -1, -1):
        row, own = scores[time], at[: longer[time]]
        further, one = row[own - 2] + skip_penalty[own], row[own - 1]
        own -= (row[own] < np.maximum(one, further)) * (1 + (further > one))
        paths[time, : len(own)] = own
    for number, ((output, classes), first) in enumerate(zip(lines, firsts, strict=True)):
        path = paths[: len(output), number] - first
        numbers = np.arange(1, 2 * len(classes) + 1, 2)
        spans = np.searchsorted(path, np.stack([numbers, numbers + 1], axis=1).ravel())
        shown = np.append(emitted[np.arange(len(output)), first + path], np.float32(-np.inf))
        peaks = np.exp(np.maximum.reduceat(shown, spans)[::2]).tolist() if classes else []
        yield [
            Character(charset[kind - offset], peak, start, end - 1)
            for kind, peak, start, end in zip(classes, peaks, spans[::2].tolist(), spans[1::2].tolist(), strict=True)
        ]


def decode(
    lines: Iterable[NDArray[np.float32]],
    charset: str,
    blank: int,
    language: LanguageModel | Mixture | None,
    gains: NDArray[np.float32] | float = 0.0,
) -> list[list[Character]]:
    """Decode lines: by beam search if there is a language model and an uncertain time step, else the best path.

    Parameters
    ----------
    lines : iterable of float32 (T, C)
        Log probabilities; the next line is taken when the one before it has been searched.
    charset : str
        The same as that of the language model.
    blank : int
    language : LanguageModel, Mixture or None
    gains : float32 (C,), optional
        Added to the log probabilities in the beam search, for what the network underrates.
    """
    offset = 1 if blank == 0 else 0
    found: list[list[Character]] = []
    other: dict[int, tuple[NDArray[np.float32], list[int]]] = {}
    for number, output in enumerate(lines):
        found.append(greedy(output, charset, blank))
        if language is None or exp(output.max(axis=1).min()) > language.search.sure:
            continue
        classes = beam_search(output + gains, blank, language)
        if [charset[kind - offset] for kind in classes] != [character.text for character in found[-1]]:
            other[number] = output, classes
    for number, characters in zip(other, align(list(other.values()), charset, blank), strict=True):
        found[number] = characters
    return found
