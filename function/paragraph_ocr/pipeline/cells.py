"""Decide from the column in which a character stands alone what it is: a figure or a letter, small or capital.

0 and O, 1 and l, 5 and S look alike, and so do x and X where nothing beside them shows their height. The recogniser
gives some probability to each, and the language model knows nothing of a character alone. A column of numbers has
figures, one of letters has letters, mostly of one case. What a character becomes must have some probability itself.

The numbers of a column have their marks in the same places: the decimal points of amounts, the slashes of dates. Where
one lacks its mark and the recogniser holds it possible there, it is read; and a full stop that none of the others has
is none. Most have a minus before them or none has.

The letters before the items of a list follow each other, as "a." to "z." do: what stands between them is the one that
is missing, in their case.

Most pages have amounts in one currency, whose sign the recogniser knows from all of them where it is unsure of some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.detection import TextLine

# Least probability of what a character alone becomes, and what counts as the least of what a column holds.
POSSIBLE = 0.01
# The same for a letter within a number, since codes have letters and figures.
LIKELY = 0.05
# Most characters of a number of which a letter becomes a figure.
LONGEST = 4
# In ascender heights: how far the edges of the entries of a column are apart at most, and the rows of two neighbours.
EDGE, ROWS = 0.4, 6.0
# Heights of ascenders of entries of one column, relative to each other, at most.
ALIKE = 1.5
# Other entries of a column that tell what it holds, and the share of them that can be that.
ENTRIES, SHARE = 2, 0.75
# By how much more probable a column is as what it is taken for.
CERTAIN = log(10.0)
# The same of one of these, which look alike.
ROUND, CERTAIN_IF_ROUND = "0Oo", log(30.0)
# Letters whose shape is the same in both cases.
ALIKE_IN_BOTH_CASES = "cosuvwxz"
# What surrounds the number of a list, as in "a)" and "(2)".
AROUND = ".,:;()[]"
# What a figure may be taken for, besides letters.
STROKES = frozenset("|/\\]!")
# Marks that stand in columns of numbers, and what stands in those of any kind.
SIGNS = frozenset("+*×-–—")
NEUTRAL = frozenset(["x", "X", "n/a", "N/A"])
CURRENCIES = "€£$¥"
# Marks within numbers, and those that may be specks after them.
MARKS, STOPS = frozenset(".,/-:"), frozenset(".,:")
# Marks that are so small that they may have been left out.
POINTS = frozenset(".,")
# Other numbers of a column that show where its marks are, and the least probability of a mark between two figures.
NUMBERS, BETWEEN = 3, 0.02
# A letter of a list is told by the entries that are so many rows above and below it at most, of which so many, and this
# share, follow the alphabet with it; and its least probability.
NEAR_ITEMS, ITEMS, ITEM_SHARE, ITEM, LETTERS = 8, 4, 0.6, 0.0001, 26
# The sign before negative numbers, what a blurred one may be taken for, and the least probability that one of both is
# there.
MINUS, LIKE_MINUS, SIGN = "-", "~", 0.1
# Share of the other entries of a column that have no mark at their end, and the least probability that there is none.
WITHOUT, NOTHING = 0.9, 0.05

Output = NDArray[np.float32]


class _Entry(NamedTuple):
    """A word at the beginning or the end of a line, as an entry of a column.

    Attributes
    ----------
    line : int
    start, end : int
        Places of its characters.
    text : str
        Without what surrounds the number of a list.
    left, right, level, ascender : float
        In pixels of the page; what is not at an end of the line is not a number.
    """

    line: int
    start: int
    end: int
    text: str
    left: float
    right: float
    level: float
    ascender: float

    @property
    def is_number(self) -> bool:
        return any(map(str.isdigit, self.text)) and not any(map(str.isalpha, self.text))

    @property
    def is_single(self) -> bool:
        return len(self.text) == 1 and (self.text.isalnum() or self.text in STROKES)


def decide_by_columns(
    found: Sequence[TextLine],
    read: Sequence[Sequence[Character]],
    outputs: Sequence[Output],
    charset: str,
    blank: int,
) -> list[list[Character]]:
    """Characters of the lines of a page, those that stand alone decided by their columns.

    Parameters
    ----------
    found : sequence of TextLine
    read : sequence of sequence of Character
        The characters of each line.
    outputs : sequence of float32 (T, C)
        The log probabilities from which each line was read.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.

    Returns
    -------
    list of list of Character
    """
    entries = _entries(found, read)
    decided = [list(characters) for characters in read]
    shown = _Shown(outputs, read, charset, blank)
    for line, at, text in _currency_signs(read, shown):
        decided[line][at] = shown.changed(line, at, text)
    if sum(entry.is_number or _is_open(entry) for entry in entries) <= ENTRIES:
        return decided
    sides = np.array([(entry.left, entry.right, entry.level, entry.ascender) for entry in entries])
    changes = [*_marks_of_columns(entries, sides, read, shown), *_signs_of_columns(entries, sides, read, shown)]
    columns = {place: column_of(place, sides) for place, entry in enumerate(entries) if _is_open(entry)}
    for place, column in columns.items():
        entry, others = entries[place], [entries[other] for other in column]
        if len(others) < ENTRIES:
            continue
        for at, text in _as_figures(entry, others, shown) or _as_letter(entry, others, shown):
            decided[entry.line][at] = shown.changed(entry.line, at, text)
    for entry in _zeros(entries, decided, shown):
        decided[entry.line][entry.start] = shown.changed(entry.line, entry.start, "0")
    for letter in ALIKE_IN_BOTH_CASES:
        same = [entry for entry in entries if entry.text.lower() == letter and _stands_apart(entry, read[entry.line])]
        odds = [shown.case(entry.line, entry.start, letter) for entry in same]
        for entry in same if (text := _of_case(letter, odds)) and len(same) > ENTRIES else ():
            if entry.text != text and shown.probability(entry.line, entry.start, text) >= POSSIBLE:
                decided[entry.line][entry.start] = shown.changed(entry.line, entry.start, text)
    for line, at, text in _letters_of_lists(entries, sides, decided, shown):
        decided[line][at] = shown.changed(line, at, text)
    for line, start, end, mark in sorted(changes, key=lambda change: change[:2], reverse=True):
        decided[line][start:end] = [mark] if mark else []
    return decided


def _zeros(entries: Sequence[_Entry], decided: Sequence[Sequence[Character]], shown: _Shown) -> list[_Entry]:
    """Those entries of a page that are zeros, though their columns do not tell, since the others like them are."""
    alone = [entry for entry in entries if entry.is_single and entry.text in ROUND and len(decided[entry.line]) == 1]
    zeros = sum(decided[entry.line][entry.start].text == "0" for entry in alone)
    if zeros < max(ENTRIES, SHARE * len(alone)):
        return []
    letters = [entry for entry in alone if decided[entry.line][entry.start].text != "0"]
    return [entry for entry in letters if shown.probability(entry.line, entry.start, "0") >= LIKELY]


# The line and the places of characters, and the mark that they are; none if they are left out.
_Change = tuple[int, int, int, Character | None]


def _marks_of_columns(
    entries: Sequence[_Entry], sides: NDArray[np.float64], read: Sequence[Sequence[Character]], shown: _Shown
) -> list[_Change]:
    """The marks of numbers as the others of their columns have them."""
    marks = [_marks(entry.text) if entry.is_number else {} for entry in entries]
    usual = Counter(mark for own in marks for mark in own.items())
    likely = [mark for mark, count in usual.most_common() if count >= NUMBERS]
    changes: list[_Change] = []
    for place, entry in enumerate(entries):
        if not (entry.is_number or entry.is_single):
            continue
        column: list[int] | None = None
        if change := _false_stop(entry, read[entry.line], shown):
            column = [
                other for other in column_of(place, sides) if entries[other].is_number or entries[other].is_single
            ]
            ends = [entries[other].end < len(read[entries[other].line]) for other in column]
            if len(ends) >= NUMBERS and ends.count(False) >= WITHOUT * len(ends):
                changes.append(change)
        for after, mark in likely if entry.is_number else ():
            if marks[place].get(after) == mark or not (change := _mark(entry, after, mark, read[entry.line], shown)):
                continue
            column = [other for other in column_of(place, sides) if entries[other].is_number]
            have = sum(marks[other].get(after) == mark for other in column)
            able = sum(_figures_of(entries[other].text) > after for other in column)
            if have >= max(NUMBERS, SHARE * able):
                changes.append(change)
                break
    return changes


def _signs_of_columns(
    entries: Sequence[_Entry], sides: NDArray[np.float64], read: Sequence[Sequence[Character]], shown: _Shown
) -> list[_Change]:
    """The minus signs before numbers that most others of their columns have, where a line begins with the number."""
    numbers = [place for place, entry in enumerate(entries) if entry.start == 0 and entry.is_number]
    negative = {place for place in numbers if entries[place].text[0] == MINUS}
    changes: list[_Change] = []
    for place in numbers if len(negative) >= NUMBERS else ():
        entry = entries[place]
        first = read[entry.line][0]
        if not (first.text.isdigit() or first.text == LIKE_MINUS):
            continue
        others = [other for other in column_of(place, sides) if other in numbers]
        have = sum(other in negative for other in others)
        if have < max(NUMBERS, len(others) / 2):
            continue
        if first.text == LIKE_MINUS:
            if shown.probability(entry.line, 0, MINUS) >= LIKELY:
                changes.append((entry.line, 0, 1, shown.changed(entry.line, 0, MINUS)))
        else:
            probability, step = shown.before(entry.line, MINUS + LIKE_MINUS)
            if probability >= SIGN:
                changes.append((entry.line, 0, 0, Character(MINUS, probability, step, step)))
    return changes


def _letters_of_lists(
    entries: Sequence[_Entry], sides: NDArray[np.float64], read: Sequence[Sequence[Character]], shown: _Shown
) -> list[tuple[int, int, str]]:
    """Lines and places of the letters before the items of a list, and what letters they are by those around them."""
    items = [
        place
        for place, entry in enumerate(entries)
        if entry.is_single and entry.start <= 1 and any(each.text in ".)" for each in read[entry.line][entry.end :][:1])
    ]
    # In most lists of letters most of these are read as letters.
    if sum(entries[place].text.isalpha() for place in items) < ITEMS:
        return []
    left, _, level, ascender = sides[items].T
    usual = float(np.median(ascender))
    found: list[tuple[int, int, str]] = []
    for index, place in enumerate(items):
        column = np.flatnonzero(np.abs(left - left[index]) <= 2 * EDGE * usual)
        column = column[np.argsort(level[column])]
        gaps = np.diff(level[column])
        if len(column) <= ITEMS or (pitch := float(np.median(gaps))) < usual / 2:
            continue
        # An item whose letter was not found counts, too.
        ranks = np.concatenate([[0], np.cumsum(np.maximum(np.rint(gaps / pitch), 1))]).astype(int).tolist()
        at = ranks[column.tolist().index(index)]
        near = [
            (rank, entries[items[other]])
            for rank, other in zip(ranks, column.tolist(), strict=True)
            if other != index and abs(rank - at) <= NEAR_ITEMS
        ]
        letters = Counter(
            (ord(other.text.lower()) - ord("a") - rank) % LETTERS
            for rank, other in near
            if other.text.isascii() and other.text.isalpha()
        )
        first, count = letters.most_common(1)[0] if letters else (0, 0)
        if count < max(ITEMS, ITEM_SHARE * len(near)):
            continue
        letter = chr(ord("a") + (first + at) % LETTERS)
        small = [
            other.text.islower()
            for rank, other in near
            if other.text.lower() == chr(ord("a") + (first + rank) % LETTERS)
            and other.text.lower() not in ALIKE_IN_BOTH_CASES
        ]
        case = ""
        if max(small.count(True), small.count(False)) >= max(ENTRIES, SHARE * len(small)):
            case = letter if 2 * sum(small) > len(small) else letter.upper()
        entry = entries[place]
        text = case or (entry.text if entry.text.lower() == letter else letter)
        if text != read[entry.line][entry.start].text and (
            entry.text.lower() == letter
            or max(shown.probability(entry.line, entry.start, each) for each in (letter, letter.upper())) >= ITEM
        ):
            found.append((entry.line, entry.start, text))
    return found


def _figures_of(text: str) -> int:
    return sum(map(str.isdigit, text))


def _marks(text: str) -> dict[int, str]:
    """The marks between the figures of a number, by how many figures follow."""
    return {
        _figures_of(text[at:]): text[at]
        for at in range(1, len(text) - 1)
        if text[at] in MARKS and text[at - 1].isdigit() and text[at + 1].isdigit()
    }


def _false_stop(entry: _Entry, characters: Sequence[Character], shown: _Shown) -> _Change | None:
    """A mark after an entry, at the end of its line, that may be none."""
    end = entry.end
    if end != len(characters) - 1 or characters[end].text not in STOPS or shown.nothing(entry.line, end) < NOTHING:
        return None
    return entry.line, end, end + 1, None


def _mark(entry: _Entry, after: int, mark: str, characters: Sequence[Character], shown: _Shown) -> _Change | None:
    """A mark before so many figures of a number, which has another character or nothing there, if it is possible."""
    at, left = entry.end, after
    while at > entry.start and left:
        at -= 1
        left -= characters[at].text.isdigit()
    # What follows the mark begins here.
    if left or at < 2:
        return None
    before = characters[at - 1]
    if (before.text.isdigit() or before.text in MARKS or before.text == " ") and characters[at - 2].text.isdigit():
        probability = shown.probability(entry.line, at - 1, mark)
        if probability >= LIKELY:
            return entry.line, at - 1, at, replace(before, text=mark, confidence=max(probability, before.confidence))
    if mark in POINTS and before.text.isdigit() and at > entry.start:
        probability, step = shown.between(entry.line, at, mark)
        if probability >= BETWEEN:
            return entry.line, at, at, Character(mark, probability, step, step)
    return None


def _currency_signs(read: Sequence[Sequence[Character]], shown: _Shown) -> list[tuple[int, int, str]]:
    """Lines and places of signs that are those of another currency, in which most amounts of the page are."""
    places = [
        (line, at)
        for line, characters in enumerate(read)
        for at, character in enumerate(characters)
        if character.text in CURRENCIES
    ]
    if len(places) <= ENTRIES or len({read[line][at].text for line, at in places}) == 1:
        return []
    odds = {text: [log(max(shown.probability(*place, text), POSSIBLE)) for place in places] for text in CURRENCIES}
    usual, second = sorted(CURRENCIES, key=lambda text: -sum(odds[text]))[:2]
    if sum(odds[usual]) - sum(odds[second]) <= CERTAIN:
        return []
    return [
        (line, at, usual)
        for (line, at), own in zip(places, odds[usual], strict=True)
        if (text := read[line][at].text) != usual
        and own >= log(LIKELY)
        and own > log(max(shown.probability(line, at, text), POSSIBLE)) - CERTAIN
    ]


def _stands_apart(entry: _Entry, characters: Sequence[Character]) -> bool:
    """Whether a word is alone on its line, or the last one after a number, as in "2 x"."""
    if entry.end - entry.start == len(characters):
        return True
    before = "".join(character.text for character in characters[: entry.start]).split()
    return bool(before) and before[-1].isdigit() and entry.end == len(characters)


class _Shown:
    """The probabilities of what the characters of a page may be."""

    def __init__(
        self, outputs: Sequence[Output], read: Sequence[Sequence[Character]], charset: str, blank: int
    ) -> None:
        self._outputs, self._read, self._blank = outputs, read, blank
        self._classes = {character: index + (blank == 0) for index, character in enumerate(charset)}
        self.figures = [character for character in charset if character.isdigit() and character.isascii()]
        self.letters = [character for character in charset if character.isalpha() and character.isascii()]
        self._known: dict[tuple[int, int], Output] = {}

    def _probabilities(self, line: int, at: int) -> Output:
        if (line, at) not in self._known:
            character = self._read[line][at]
            steps = self._outputs[line][max(character.first - 1, 0) : character.last + 2]
            self._known[line, at] = np.exp(steps.max(axis=0))
        return self._known[line, at]

    def best(self, line: int, at: int, among: Sequence[str]) -> tuple[str, float]:
        """The most probable of some characters, and its probability."""
        shown = self._probabilities(line, at)
        values = shown[[self._classes[character] for character in among]]
        best = int(values.argmax())
        return among[best], float(values[best])

    def case(self, line: int, at: int, text: str) -> float:
        """The log odds that a letter is small."""
        small, capital = (self.probability(line, at, own) for own in (text.lower(), text.upper()))
        return log(max(small, POSSIBLE)) - log(max(capital, POSSIBLE))

    def probability(self, line: int, at: int, text: str) -> float:
        """The probability of a character; 0 if it is not known."""
        return float(self._probabilities(line, at)[self._classes[text]]) if text in self._classes else 0.0

    def nothing(self, line: int, at: int) -> float:
        """The probability that a character is none."""
        character = self._read[line][at]
        return float(np.exp(self._outputs[line][character.first : character.last + 1, self._blank].min()))

    def between(self, line: int, at: int, text: str) -> tuple[float, int]:
        """The probability of a character between another and the one before, and its time step."""
        first, last = self._read[line][at - 1].last, self._read[line][at].first
        steps = self._outputs[line][first : last + 1, self._classes[text]] if text in self._classes else np.empty(0)
        return (float(np.exp(steps.max())), first + int(steps.argmax())) if len(steps) else (0.0, first)

    def before(self, line: int, texts: str) -> tuple[float, int]:
        """The probability of any of some characters before the first of a line, and its time step."""
        kinds = [self._classes[text] for text in texts if text in self._classes]
        steps = np.exp(self._outputs[line][: self._read[line][0].first][:, kinds]).sum(axis=1)
        return (min(float(steps.max()), 1.0), int(steps.argmax())) if len(steps) else (0.0, 0)

    def changed(self, line: int, at: int, text: str) -> Character:
        """A character as another one, which has all the probability of what it was and is."""
        character = self._read[line][at]
        sure = min(self.probability(line, at, text) + character.confidence, 1.0)
        return replace(character, text=text, confidence=max(sure, character.confidence))


def _entries(found: Sequence[TextLine], read: Sequence[Sequence[Character]]) -> list[_Entry]:
    """The first and the last word of each line, in one if there is no other."""
    entries = []
    for index, (line, characters) in enumerate(zip(found, read, strict=True)):
        texts = [character.text for character in characters]
        if not texts:
            continue
        first = texts.index(" ") if " " in texts else len(texts)
        last = len(texts) - texts[::-1].index(" ") if " " in texts else 0
        for start, end in {(0, first), (last, len(texts))}:
            while start < end and texts[start] in AROUND:
                start += 1
            while start < end and texts[end - 1] in AROUND:
                end -= 1
            text = "".join(texts[start:end])
            if not text:
                continue
            (left, y), (right, _) = line.baseline[0], line.baseline[-1]
            sides = (float(left) if not start else np.nan, float(right) if end == len(texts) else np.nan)
            entries.append(_Entry(index, start, end, text, *sides, float(y), line.ascender))
    return entries


def _is_open(entry: _Entry) -> bool:
    """Whether an entry may be something else: a character alone, or a short number in which there is a letter."""
    if entry.is_single:
        return True
    mixed = all(each.isalnum() or each in STROKES for each in entry.text) and any(map(str.isdigit, entry.text))
    return len(entry.text) <= LONGEST and (mixed or set(entry.text) <= set("OIlo")) and not entry.text.isdigit()


def column_of(place: int, sides: NDArray[np.float64]) -> list[int]:
    """Places of the other entries of a column, which lie above and below each other at one edge or in the middle."""
    left, right, level, ascender = sides.T
    own = sides[place]
    tall = np.maximum(ascender, own[3])
    alike = tall <= ALIKE * np.minimum(ascender, own[3])
    alike &= np.abs(level - own[2]) > 0.7 * tall
    best: list[int] = []
    middle = (left + right) / 2
    for edge, at in ((left, own[0]), (right, own[1]), (middle, (own[0] + own[1]) / 2)):
        with np.errstate(invalid="ignore"):
            aligned = np.flatnonzero(alike & (np.abs(edge - at) <= EDGE * tall))
        near: list[int] = []
        for side in (-1, 1):
            last = float(own[2])
            # From the entry on upwards and downwards, as far as rows follow each other.
            for other in aligned[np.argsort(side * level[aligned])]:
                if side * (level[other] - own[2]) > 0:
                    if side * (level[other] - last) > ROWS * own[3]:
                        break
                    near.append(int(other))
                    last = float(level[other])
        if len(near) > len(best):
            best = near
    return best


def _as_figures(entry: _Entry, others: Sequence[_Entry], shown: _Shown) -> list[tuple[int, str]]:
    """Places of characters of an entry and the figures that they are, if its column is one of numbers."""
    figures = _figures(entry, shown)
    if not figures:
        return []
    # The topmost may be the heading of a column of anything.
    top = min(others, key=lambda other: other.level)
    is_heading = top.level < entry.level and len(top.text) > 1 and top.text.isalpha()
    told = [_tells(other, shown) for other in others if _has_text(other) and not (is_heading and other is top)]
    signs = sum(other.text in SIGNS for other in others)
    sure = sum(each > 0 for each in told)
    against = sum(each < 0 for each in told)
    if not sure or sure + signs < ENTRIES or sure < SHARE * (sure + against):
        return []
    gain = sum(told) + (_tells(entry, shown) if entry.is_single else 0.0)
    return figures if gain > CERTAIN else []


def _figures(entry: _Entry, shown: _Shown) -> list[tuple[int, str]]:
    """Places of the characters of an entry that are no figures, and what figures they may be; none if one cannot be."""
    wrong = [at for at, text in enumerate(entry.text, entry.start) if not text.isdigit()]
    best = [shown.best(entry.line, at, shown.figures) for at in wrong]
    least = POSSIBLE if entry.is_single else LIKELY
    if any(probability < least for _, probability in best):
        return []
    return [(at, text) for at, (text, _) in zip(wrong, best, strict=True)]


def _as_letter(entry: _Entry, others: Sequence[_Entry], shown: _Shown) -> list[tuple[int, str]]:
    """The place of an entry's character and the letter that it is, if its column is one of letters alone."""
    counted = [other for other in others if _has_text(other)]
    single = [other for other in counted if other.is_single]
    told = [_tells(other, shown) for other in single]
    letters = sum(each < 0 for each in told)
    if not entry.is_single or letters < max(ENTRIES, SHARE * (len(counted) - sum(each == 0 for each in told))):
        return []
    text = entry.text
    if not text.isalpha():
        if -sum(told) - _tells(entry, shown) <= CERTAIN:
            return []
        text, probability = shown.best(entry.line, entry.start, shown.letters)
        if probability < POSSIBLE:
            return []
    odds = [
        shown.case(each.line, each.start, own)
        for each in [*single, entry]
        if (own := text if each is entry else each.text).isalpha()
    ]
    if other := _of_case(text, odds):
        text = other if shown.probability(entry.line, entry.start, other) >= POSSIBLE else text
    return [(entry.start, text)] if text != entry.text else []


def _of_case(text: str, odds: Sequence[float]) -> str:
    """A letter in the case of some letters, given the log odds that each of them is small; empty if that is unsure."""
    small = sum(odds)
    against = sum(each * small < 0 and abs(each) > CERTAIN for each in odds)
    if abs(small) <= CERTAIN or against > (1 - SHARE) * len(odds):
        return ""
    return text.lower() if small > 0 else text.upper()


def _tells(entry: _Entry, shown: _Shown) -> float:
    """The log odds that a column with an entry is one of numbers; 0 if the entry may be either."""
    if not entry.is_single:
        if entry.is_number:
            return -log(POSSIBLE)
        return 0.0 if _is_open(entry) and _figures(entry, shown) else log(POSSIBLE)
    figure, letter = (
        max(shown.best(entry.line, entry.start, among)[1], POSSIBLE) for among in (shown.figures, shown.letters)
    )
    odds = log(figure) - log(letter)
    return odds if abs(odds) >= (CERTAIN_IF_ROUND if entry.text in ROUND else CERTAIN) else 0.0


def _has_text(entry: _Entry) -> bool:
    return entry.text not in NEUTRAL and any(map(str.isalnum, entry.text))
