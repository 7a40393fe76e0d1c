"""Read the lists of numbers of an index, "Amber 14, 208, 311", as lists: with a comma and a space between two numbers.

The spaces of small print are narrow, and to a language model "208,311" is an amount, "208.311" one with a thousand. In
one line nothing tells them apart, but a page with many lists of three and more numbers has hardly any amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character

# What parts the numbers of a list, read right or wrong.
PARTING = ",."
# Lines of a page of lists that have so many marks between numbers at least, and how many such lines there are.
MARKS, LISTS = 2, 5
# Shares of all marks between numbers of such a page: of those that a space follows, and of the commas.
SPACED, COMMAS = 0.7, 0.6
# Least log probability of a space that is seen, of one in a list, and of a comma in the place of a full stop.
SEEN, LEAST, LEAST_COMMA = log(0.5), log(0.05), log(0.005)

Output = NDArray[np.float32]


class _Mark(NamedTuple):
    """A mark between two numbers: its place in the line, whether a space is read, and the step most like one."""

    place: int
    read: bool
    step: int
    space: float


def with_lists_of_numbers(
    read: Sequence[list[Character]], outputs: Sequence[Output], charset: str, blank: int
) -> list[list[Character]]:
    """Characters of the lines of a page, with commas and spaces between the numbers of its lists.

    Parameters
    ----------
    read : sequence of list of Character
        Of each line.
    outputs : sequence of float32 (T, C)
        Log probabilities of each line.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    """
    offset = 1 if blank == 0 else 0
    space, comma = (charset.index(each) + offset for each in " ,")
    marks = [_marks(line, output, space) for line, output in zip(read, outputs, strict=True)]
    if sum(len(own) >= MARKS for own in marks) < LISTS:
        return list(read)
    every = [(line[mark.place], mark) for line, own in zip(read, marks, strict=True) for mark in own]
    spaced = sum(mark.read or mark.space >= SEEN for _, mark in every)
    commas = sum(character.text == "," for character, _ in every)
    if spaced < SPACED * len(every) or commas < COMMAS * len(every):
        return list(read)
    lines = []
    for line, output, own in zip(read, outputs, marks, strict=True):
        line = list(line)
        for mark in reversed(own):
            if not mark.read and mark.space < LEAST:
                continue
            before = line[mark.place]
            if before.text == ".":
                sure = float(output[before.first : before.last + 1, comma].max())
                if sure < LEAST_COMMA:
                    continue
                line[mark.place] = replace(before, text=",")
            if not mark.read:
                line.insert(mark.place + 1, Character(" ", float(np.exp(mark.space)), mark.step, mark.step))
        lines.append(line)
    return lines


def _marks(line: Sequence[Character], output: Output, space: int) -> list[_Mark]:
    """The marks of a line that stand between two figures, or have a space between them and the second."""
    found = []
    places = [place for place, each in enumerate(line) if each.text != " "]
    for (before, place), after in zip(pairwise(places), places[2:], strict=False):
        if line[place].text not in PARTING or before != place - 1:
            continue
        if not (line[before].text.isdigit() and line[after].text.isdigit()):
            continue
        first, last = line[place].last + 1, line[after].first
        if last <= first:
            continue
        step = first + int(output[first:last, space].argmax())
        found.append(_Mark(place, after > place + 1, step, float(output[step, space])))
    return found
