"""Put back what the recogniser sees clearly and the language model changed where it knows little.

The language model is fitted on prose and on records. It knows how words of a language go on, but not what stands in
codes, nor which words begin the entries of forms, lists and tables, mostly with a capital: it takes "87A365" for
874365, "9K" for 9, and "Von" at the beginning of a line for "von". There, what the recogniser sees decides if it is
clear.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character

# Least probability of what is put back, and by how many times it is more probable than what it was taken for.
CLEAR, TIMES = 0.5, 2.0
# The same of the capital that a word begins with.
CLEAR_CAPITAL = 0.6
# The same of a slash, which is slim.
CLEAR_SLASH = 0.6
# What codes consist of besides letters and figures, and what may stand around them.
WITHIN, AROUND = "/-", ".,:;()[]"
# What a letter of a code may be taken for, besides figures.
STROKES = "/|)]!"
# Capitals that a figure may become in a word without other letters; others look like 0 and 1, and small letters like
# figures that are written by hand.
UNLIKE_FIGURES = frozenset(string.ascii_uppercase) - frozenset("ODI")


def with_what_is_seen(
    characters: Sequence[Character], output: NDArray[np.float32], charset: str, blank: int
) -> list[Character]:
    """Characters of a line, with the letters of codes and the capitals at the beginning of words that are clearly seen.

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output` with a language model.
    output : float32 (T, C)
        Log probabilities.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    """
    spaces = [index for index, character in enumerate(characters) if character.text == " "]
    edges = [-1, *spaces, len(characters)]
    seen: list[Character] = []
    for before, end in pairwise(edges):
        if before >= 0:
            seen.append(characters[before])
        word = list(characters[before + 1 : end])
        if any(map(_is_figure, word)):
            after = characters[end].first if end < len(characters) else len(output)
            seen += _code(word, seen[-1].last + 1 if seen else 0, after, output, charset, blank)
        else:
            seen += _with_capital(word, output, charset, blank)
    return seen


def _is_figure(character: Character) -> bool:
    return character.text.isdigit()


@lru_cache
def _classes(charset: str, characters: str, blank: int) -> NDArray[np.intp]:
    """Classes of some characters, of those that the charset has."""
    return np.array([charset.index(each) + (blank == 0) for each in characters if each in charset], np.intp)


def _with_capital(word: list[Character], output: NDArray[np.float32], charset: str, blank: int) -> list[Character]:
    """A word without figures, its first letter a capital if it is seen as one."""
    if len(word) < 2 or TIMES * word[0].confidence > 1.0 or not (word[0].text.islower() and word[1].text.isalpha()):
        return word
    capital = word[0].text.upper()
    if len(capital) > 1 or capital not in charset:
        return word
    steps = output[word[0].first : word[0].last + 1, charset.index(capital) + (blank == 0)]
    seen = float(np.exp(steps.max()))
    if seen < max(CLEAR_CAPITAL, TIMES * word[0].confidence):
        return word
    return [replace(word[0], text=capital, confidence=seen), *word[1:]]


def _code(
    word: list[Character], start: int, end: int, output: NDArray[np.float32], charset: str, blank: int
) -> list[Character]:
    """A word with figures between two time steps, its letters, slashes and dashes as they are seen."""
    first, last = 0, len(word)
    while word[first].text in AROUND:
        first += 1
    while word[last - 1].text in AROUND and word[last - 1].text not in STROKES:
        last -= 1
    inner = word[first:last]
    if not all(each.text.isalnum() or each.text in WITHIN + STROKES for each in inner):
        return word
    has_letters = any(each.text.isalpha() for each in inner)
    if not has_letters and sum(each.text == "/" for each in inner) > 1:
        # A date.
        return word
    start = word[first - 1].last + 1 if first else start
    end = word[last].first if last < len(word) else end
    likely = _classes(charset, string.ascii_letters + "/", blank)
    names = [charset[index - (blank == 0)] for index in likely.tolist()]
    code: list[Character] = []
    for each in inner:
        code += _missed(start, each.first, output, blank, likely, names)
        start = each.last + 1
        if _is_figure(each) or each.text in STROKES:
            values = np.exp(output[each.first : each.last + 1, likely].max(axis=0))
            text, seen = names[int(values.argmax())], float(values.max())
            possible = len(inner) > 1 and (has_letters or text in UNLIKE_FIGURES or text == "/")
            if possible and seen >= max(CLEAR_SLASH if text == "/" else CLEAR, TIMES * each.confidence):
                code.append(replace(each, text=text, confidence=seen))
                continue
        code.append(each)
    code += _missed(start, end, output, blank, likely, names)
    return [*word[:first], *code, *word[last:]]


def _missed(
    start: int, end: int, output: NDArray[np.float32], blank: int, likely: NDArray[np.intp], names: list[str]
) -> list[Character]:
    """A letter that is seen clearly between two time steps, where none was read."""
    if end <= start:
        return []
    steps = output[start:end]
    at = int(steps[:, blank].argmin())
    values = np.exp(steps[at, likely])
    text, seen = names[int(values.argmax())], float(values.max())
    return [Character(text, seen, start + at, start + at)] if seen >= CLEAR and text.isalpha() else []
