"""Keep the words of program text, file names and addresses as the recogniser saw them.

In "keyReader = event.parse(user_id)" capitals, brackets and full stops stand within words, as in no language: the
language model makes the capitals small and puts spaces in. Such words are taken from the best path instead, which is
sure of them where they are set in type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character

# What only words of programs have: a capital after a small letter, a low line, or brackets within the word.
PROGRAM_WORD = re.compile(r"[^\W\d_][^\W\d_]*[a-zß-ÿ][A-ZÀ-Þ][a-zß-ÿ]|[^\W_]_+[^\W_]|[^\W\d]{2}(?:\(\)|[(\[]\w)")
# What words of a page with so many of these, on this share of its lines at least, have, too.
PROGRAM_PAGE, PROGRAM_SHARE, ON_PROGRAM_PAGE = 4, 0.2, re.compile(r"[^\W\d]\.[a-z_]|[^\W\d][(\[{]|\w=\w|[)\]}][;:,.]")
# Signs of the first: lines without these, and without a capital after a small letter, have none.
SIGNS = "_(["
# Least confidence of each character of such a word, and of all on average; of each on other pages, where words of
# handwriting look alike, whose letters are less sure.
LEAST_SURE, MEAN_SURE, SURE_ELSEWHERE = 0.4, 0.9, 0.8


@lru_cache
def _kinds(charset: str, blank: int) -> NDArray[np.uint8]:
    """Of each class, the blank included, 1 if it is a small letter, 2 a capital, 4 a sign of programs, and 0 else."""
    kinds = [each.islower() + 2 * each.isupper() + 4 * (each in SIGNS) for each in charset]
    kinds.insert(0 if blank == 0 else len(charset), 0)
    return np.array(kinds, np.uint8)


def may_show_programs(output: NDArray[np.float32], charset: str, blank: int) -> bool:
    """Whether the best path of a line may have words of programs.

    Parameters
    ----------
    output : float32 (T, C)
        Log probabilities.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    """
    classes = output.argmax(axis=1)
    kinds = _kinds(charset, blank)[classes[classes != blank]]
    return bool((kinds == 4).any() or ((kinds[:-1] == 1) & (kinds[1:] == 2)).any())


def with_program_words(
    lines: Sequence[Sequence[Character]], possible: Sequence[bool], best_path: Callable[[int], Sequence[Character]]
) -> list[list[Character]]:
    """The characters of the lines of a page, the words of programs among them as they were seen.

    Parameters
    ----------
    lines : sequence of sequence of Character
        As they were decoded with a language model.
    possible : sequence of bool
        Of each line, whether it may have such words.
    best_path : callable
        Returns the best path of a line, by its index.
    """
    words = [_words(best_path(index)) if each else [] for index, each in enumerate(possible)]
    found = [[word for word in own if PROGRAM_WORD.search(_text(word))] for own in words]
    program = sum(map(len, found)) >= PROGRAM_PAGE and sum(map(bool, found)) >= PROGRAM_SHARE * len(lines)
    if program:
        words = [
            own if each else _words(best_path(index))
            for index, (own, each) in enumerate(zip(words, possible, strict=True))
        ]
        found = [
            [word for word in own if PROGRAM_WORD.search(text := _text(word)) or ON_PROGRAM_PAGE.search(text)]
            for own in words
        ]
    else:
        found = [[word for word in own if _least_sure(word) >= SURE_ELSEWHERE] for own in found]
    return [_with_words(list(line), own, program) for line, own in zip(lines, found, strict=True)]


def _least_sure(word: Sequence[Character]) -> float:
    return min(each.confidence for each in word)


def _text(word: Sequence[Character]) -> str:
    return "".join(each.text for each in word)


def _words(line: Sequence[Character]) -> list[list[Character]]:
    """The words of a line that were seen surely."""
    edges = [-1, *(place for place, each in enumerate(line) if each.text == " "), len(line)]
    words = [list(line[before + 1 : end]) for before, end in pairwise(edges) if end > before + 1]
    return [
        word
        for word in words
        if _least_sure(word) >= LEAST_SURE and sum(each.confidence for each in word) >= MEAN_SURE * len(word)
    ]


def _with_words(line: list[Character], words: Sequence[Sequence[Character]], joined: bool) -> list[Character]:
    """A line with some words in the place of what was read where they are, `joined` if that was several words, too.

    Words of handwriting stand so close that no space is seen between them.
    """
    for word in words:
        first, last = word[0].first, word[-1].last
        before = [each for each in line if each.last < first]
        after = [each for each in line if each.first > last]
        if not joined and any(each.text == " " for each in line[len(before) : len(line) - len(after)]):
            continue
        # A word that begins or ends within one of the line is no whole one.
        if (not before or before[-1].text == " ") and (not after or after[0].text == " "):
            line = [*before, *word, *after]
    return line
