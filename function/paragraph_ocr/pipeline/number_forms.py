"""Read the numbers of a column in the form that most of them have: its dates with their slashes, amounts with points.

A slash that is read as 1, 7 or a bracket cannot be told from these in one date, but in ten of a column: if all of them
end in a slash, this explains what the strips show better than ten figures, of which each might have been any. A number
is read anew in the form of its column by the log probabilities of its own strip.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.cells import column_of
from paragraph_ocr.pipeline.ctc import Character, align
from paragraph_ocr.pipeline.detection import TextLine

# Length of the lines that may be numbers, the share of it that is figures, and the letters that may be among them.
LENGTH, FIGURES, LETTERS = (3, 20), 0.5, 1
# Marks of a form.
MARKS = frozenset(".,/-: ")
# Numbers of a column that have a form at least, and the share of all that have it or may have it.
NUMBERS, SHARE = 3, 0.75
# Figures that follow the mark of an amount, and how many more follow that of its thousands.
CENTS, THOUSANDS = 2, 3
# What is not in the form of a column is one of so many characters, of which each is as probable.
ANY = log(10.0)
# Log odds by which a column has a form; the least of one of its numbers, and of a number that is read in it.
CERTAIN, LEAST, OWN = log(10.0), log(0.01), log(0.1)

Output = NDArray[np.float32]
# What stands between and behind the figures of a number, each with how many figures follow.
Form = tuple[tuple[int, str], ...]


class _Number(NamedTuple):
    """A line that may be a number: its index, its text, its form, and how many figures it has."""

    line: int
    text: str
    form: Form
    figures: int


class _Reading(NamedTuple):
    """A number in a form: its log odds against what was read, and its characters."""

    odds: float
    characters: list[Character]


def in_forms_of_columns(
    found: Sequence[TextLine],
    read: Sequence[list[Character]],
    outputs: Sequence[Output],
    charset: str,
    blank: int,
) -> list[list[Character]]:
    """Characters of the lines of a page, those of numbers in the form of the others of their column.

    Parameters are those of `cells.decide_by_columns`.
    """
    decided = list(read)
    numbers = [number for line, characters in enumerate(read) if (number := _number(line, characters))]
    if len(numbers) <= NUMBERS or len({number.form for number in numbers}) == 1:
        return decided
    sides = np.array(
        [
            (*found[number.line].baseline[[0, -1], 0], found[number.line].baseline[0, 1], found[number.line].ascender)
            for number in numbers
        ]
    )

    @cache
    def reading(place: int, form: Form, least: int, most: int) -> _Reading:
        line, text, _, figures = numbers[place]
        # Figures may have been read instead of the marks that are missing; those that stand beside marks are none less.
        marks = sum(map(len, (mark for after, mark in form if after < figures)))
        missing = marks - sum(not each.isdigit() for each in text.replace(" ", ""))
        counts = range(max(figures - max(missing, 0), least, 1), min(figures, most) + 1)
        return _read_anew(read[line], outputs[line], charset, blank, form, counts)

    for place, number in enumerate(numbers):
        places = [place, *column_of(place, sides)]
        column = [numbers[other] for other in places]
        best, gain = None, CERTAIN
        for form in {each.form for each in column if each.form and not _has_one_mark(each.form)}:
            having = {other.figures for other in column if _has(other, form)}
            if sum(_has(other, form) for other in column) < NUMBERS:
                continue
            # Only amounts have more figures before their first mark or fewer.
            least, most = (1, LENGTH[1]) if len(having) > 1 else (min(having), max(having))
            odds = [
                len(form) * ANY if _has(numbers[other], form) else reading(other, form, least, most).odds
                for other in places
            ]
            total = sum(max(each, LEAST) for each in odds)
            if total > gain and sum(each > LEAST for each in odds) >= SHARE * len(odds):
                best, gain = (form, least, most), total
        if best and not _has(number, best[0]) and (own := reading(place, *best)).odds >= OWN:
            decided[number.line] = own.characters
    return decided


def _number(line: int, characters: Sequence[Character]) -> _Number | None:
    """The number that the text of a line may be."""
    text = "".join(character.text for character in characters)
    figures = sum(map(str.isdigit, text))
    if not (LENGTH[0] <= len(text) <= LENGTH[1] and text.isascii() and figures >= FIGURES * len(text)):
        return None
    if sum(map(str.isalpha, text)) > LETTERS or not text[0].isdigit():
        return None
    marks: dict[int, str] = {}
    follow = figures
    for each in text:
        if each.isdigit():
            follow -= 1
        else:
            marks[follow] = marks.get(follow, "") + each
    return _Number(line, text, tuple(marks.items()) if MARKS.issuperset("".join(marks.values())) else (), figures)


def _has_one_mark(form: Form) -> bool:
    """Whether a form has the same mark before thousands and hundredths, as no amount has."""
    marks = dict(form)
    return CENTS in marks and marks[CENTS] == marks.get(CENTS + THOUSANDS)


def _has(number: _Number, form: Form) -> bool:
    """Whether a number has a form, as far as its figures go."""
    return bool(number.form) and number.form == tuple(each for each in form if each[0] < number.figures)


def _read_anew(
    read: Sequence[Character], output: Output, charset: str, blank: int, form: Form, counts: range
) -> _Reading:
    """The most probable number of a strip that is in a form and has one of some counts of figures."""
    offset = 1 if blank == 0 else 0
    figures = [index + offset for index, each in enumerate(charset) if each in "0123456789"]
    # One more class is any figure.
    classes = output.shape[1]
    extended = np.column_stack([output, output[:, figures].max(axis=1)])
    names = charset.ljust(classes - offset, " ") + "0"
    own = _probability(read, output, [charset.index(each.text) + offset for each in read], blank)
    best = _Reading(-np.inf, list(read))
    for count in counts:
        marks = {after: mark for after, mark in form if after < count}
        wanted: list[int] = []
        for after in range(count - 1, -1, -1):
            wanted += [classes, *(charset.index(each) + offset for each in marks.get(after, ""))]
        if 2 * len(wanted) + 1 > len(output):
            continue
        characters = align([(extended, wanted)], names, blank)[0]
        odds = _probability(characters, extended, wanted, blank) - own + (len(read) - count) * ANY
        if odds > best.odds:
            kinds = [
                figures[int(output[each.first : each.last + 1, figures].max(axis=0).argmax())]
                if kind == classes
                else kind
                for each, kind in zip(characters, wanted, strict=True)
            ]
            texts = [charset[kind - offset] for kind in kinds]
            best = _Reading(odds, [_settled(each, text, read) for each, text in zip(characters, texts, strict=True)])
    return best


def _probability(characters: Sequence[Character], output: Output, kinds: Sequence[int], blank: int) -> float:
    """The log probability of the path of some characters, with blanks between them."""
    path = np.full(len(output), blank)
    for character, kind in zip(characters, kinds, strict=True):
        path[character.first : character.last + 1] = kind
    return float(output[np.arange(len(output)), path].sum())


def _settled(character: Character, text: str, read: Sequence[Character]) -> Character:
    """A character of a number, as sure as its column makes it: as what was read in its place, besides itself."""
    before = [each for each in read if each.first <= character.last and character.first <= each.last]
    if len(before) == 1 and (before[0].text.isdigit() == text.isdigit()) and text.isdigit():
        return before[0]
    sure = character.confidence + sum(each.confidence for each in before if each.text != text)
    return Character(text, min(sure, 1.0), character.first, character.last)
