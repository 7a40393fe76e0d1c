"""Restrict the text of a line to a set of characters, or to a pattern such as a date or an IBAN.

A set of characters is applied before decoding: the probabilities of all others become 0. A pattern is an automaton that
takes the place of the language model in the beam search, which then finds the most probable text that matches.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character, align, beam_search, greedy
from paragraph_ocr.pipeline.language import Search

# The beam is wider than for text, since the most probable prefixes may not lead to a match.
PATTERN_SEARCH = Search(width=64, weight=1.0, bonus=0.0, floor=1e-7, sure=0.9999)
# A time step shows none of the allowed characters if the sum of their probabilities is below this.
MIN_ALLOWED = 1e-4
_CURRENCY = "€$£"
# Length of an IBAN by its country (ISO 13616).
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "BA": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22,
    "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22,
    "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28,
    "PT": 25, "RO": 24, "RS": 22, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip

# Takes a state and a character; returns the next state, or None if the character does not match.
Step = Callable[[Any, str], Hashable | None]


@dataclass(frozen=True)
class Constraint:
    """A restriction of the text of a line.

    Attributes
    ----------
    allows : callable
        Returns whether a character may occur.
    start : hashable, or None
        Initial state of the pattern's automaton; None without a pattern.
    step : callable, or None
        Returns the next state after a character, or None if the character does not match.
    ends : callable, or None
        Returns whether a state is final.
    """

    allows: Callable[[str], bool]
    start: Hashable = None
    step: Step | None = None
    ends: Callable[[Any], bool] | None = None


def _one_of(characters: str) -> Callable[[str], bool]:
    return frozenset(characters).__contains__


def _date_step(state: tuple[int, int, str, str], character: str) -> tuple[int, int, str, str] | None:
    """Match day, month and year: the year first or last, in two or four digits, with the same separator twice.

    A state consists of the index of the current number, the length of the first one, the digits of the current one, and
    the separator.
    """
    field, first, digits, sign = state
    if character.isdigit():
        grown = digits + character
        longest = 4 if field == 0 or (field == 2 and first < 4) else 2
        if len(grown) > longest or (len(grown) == 2 and longest == 2 and not 1 <= int(grown) <= 31):
            return None
        return field, first, grown, sign
    if field == 2 or not digits or len(digits) == 3 or (sign and character != sign):
        return None
    if len(digits) < 4 and not 1 <= int(digits) <= 31:
        return None
    return field + 1, first or len(digits), "", character


def _date_ends(state: tuple[int, int, str, str]) -> bool:
    field, first, digits, _ = state
    return field == 2 and len(digits) in ((1, 2) if first == 4 else (2, 4)) and int(digits) > 0


def _amount_step(state: tuple[str, int, str], character: str) -> tuple[str, int, str] | None:
    """Match a sign or currency, digits with or without grouping by three, two decimals or none, and a currency.

    A state consists of the phase, the number of digits in it, and the group separator. Digits after the first point or
    comma are a group or decimals, depending on their number; they can be a group only (``g``) after at most three
    digits.
    """
    phase, count, sign = state
    if character.isdigit():
        match phase:
            case "start":
                return "whole", 1, ""
            case "whole" if not (sign and count == 3):
                return "whole", min(count + 1, 4), sign
            case "open" if count < 2:
                return "open", count + 1, sign
            case "open" if sign.endswith("g"):
                return "whole", 3, sign[0]
            case "group":
                return ("group", count + 1, sign) if count < 2 else ("whole", 3, sign)
            case "cents" if count < 2:
                return "cents", count + 1, ""
        return None
    if character in ".,":
        if phase != "whole" or (sign and count != 3):
            return None
        if sign:
            return ("group", 0, sign) if character == sign else ("cents", 0, "")
        return "open", 0, character + "g" * (count <= 3)
    if phase == "start":
        return state
    return ("end", 0, "") if character != "+" and _amount_ends(state) else None


def _amount_ends(state: tuple[str, int, str]) -> bool:
    phase, count, sign = state
    if phase == "whole":
        return not sign or count == 3
    return phase == "end" or (phase in ("open", "cents") and count == 2)


def _iban_step(state: tuple[str, int, int], character: str) -> tuple[str, int, int] | None:
    """Match an IBAN (ISO 13616).

    A state consists of the country and check digits, the number of characters so far, and the remainder modulo 97 of
    the characters after the check digits.
    """
    head, count, remainder = state
    if character == " ":
        return state if count and count % 4 == 0 else None
    if count < 4:
        if character.isdigit() != (count >= 2):
            return None
        head += character
        if (count == 1 and head not in _IBAN_LENGTHS) or (
            count == 0 and not any(key[0] == character for key in _IBAN_LENGTHS)
        ):
            return None
        return head, count + 1, 0
    if count >= _IBAN_LENGTHS[head[:2]]:
        return None
    return head, count + 1, _append(remainder, character)


def _append(remainder: int, character: str) -> int:
    value = int(character, 36)
    return (remainder * (10 if value < 10 else 100) + value) % 97


def _iban_ends(state: tuple[str, int, int]) -> bool:
    head, count, remainder = state
    if count < 4 or count != _IBAN_LENGTHS[head[:2]]:
        return False
    for character in head:
        remainder = _append(remainder, character)
    return remainder == 1


CHARSETS: Mapping[str, Constraint] = {
    "digits": Constraint(_one_of(string.digits + " ")),
    "letters": Constraint(lambda character: character.isalpha() or character in " -'’."),
    "date": Constraint(_one_of(string.digits + "./-"), (0, 0, "", ""), _date_step, _date_ends),
    "amount": Constraint(_one_of(string.digits + "., +-" + _CURRENCY), ("start", 0, ""), _amount_step, _amount_ends),
    "iban": Constraint(_one_of(string.digits + string.ascii_uppercase + " "), ("", 0, 0), _iban_step, _iban_ends),
}


def fits(name: str, text: str) -> bool:
    """Return whether a text satisfies the constraint `name`, a key of `CHARSETS`."""
    constraint = CHARSETS[name]
    if not all(map(constraint.allows, text)):
        return False
    if constraint.step is None or constraint.ends is None:
        return True
    state = constraint.start
    for character in text:
        state = constraint.step(state, character)
        if state is None:
            return False
    return constraint.ends(state)


def masked(
    log_probabilities: NDArray[np.float32], charset: str, blank: int, constraint: Constraint
) -> NDArray[np.float32]:
    """Return log probabilities in which only the blank and the allowed characters have a probability above 0.

    The probability of the blank stays the same; that of the other characters is distributed over the allowed ones in
    proportion to their probabilities. Time steps at which these are below `MIN_ALLOWED` become blank.

    Parameters
    ----------
    log_probabilities : float32 (T, C)
    charset : str
    blank : int
    constraint : Constraint

    Returns
    -------
    float32 (T, C)
    """
    offset = 1 if blank == 0 else 0
    allowed = np.zeros(log_probabilities.shape[1], bool)
    allowed[blank] = True
    for at, character in enumerate(charset):
        allowed[at + offset] = constraint.allows(character)
    probabilities = np.exp(log_probabilities.astype(np.float64)) * allowed
    blanks = probabilities[:, blank].copy()
    probabilities[:, blank] = 0.0
    total = probabilities.sum(axis=1)
    shows = total > MIN_ALLOWED
    probabilities[shows] *= ((1.0 - np.minimum(blanks, 1.0))[shows] / total[shows])[:, None]
    probabilities[~shows] = 0.0
    probabilities[:, blank] = np.where(shows, blanks, 1.0)
    restricted: NDArray[np.float32] = np.log(np.maximum(probabilities, 1e-30)).astype(np.float32)
    return restricted


class _PatternModel:
    """The automaton of a pattern with the interface of a language model, for `ctc.beam_search`."""

    def __init__(self, charset: str, constraint: Constraint) -> None:
        self.charset = charset
        self.search = PATTERN_SEARCH
        self.start = constraint.start
        step, ends = constraint.step, constraint.ends
        assert step is not None
        assert ends is not None
        self._ends = ends

        @lru_cache(30_000)
        def cached_step(state: Any, at: int) -> tuple[float, Any]:
            following = step(state, charset[at])
            return (-inf if following is None else 0.0), following

        self.step = cached_step

    def log_probability(self, state: Any, at: int) -> float:
        """Return 0 if a character, or the end, may follow; else minus infinity."""
        if at == len(self.charset):
            return 0.0 if self._ends(state) else -inf
        return float(self.step(state, at)[0])


def decode_within(
    log_probabilities: NDArray[np.float32],
    charset: str,
    blank: int,
    name: str,
) -> list[Character]:
    """Decode the most probable text of a line that satisfies a constraint.

    Parameters
    ----------
    log_probabilities : float32 (T, C)
    charset : str
    blank : int
    name : str
        A key of `CHARSETS`.

    Returns
    -------
    list of Character
        If no match of the pattern is in the beam, the most probable prefix of one.
    """
    constraint = CHARSETS[name]
    restricted = masked(log_probabilities, charset, blank, constraint)
    if constraint.step is None:
        return greedy(restricted, charset, blank)
    classes = beam_search(restricted, blank, _PatternModel(charset, constraint))  # type: ignore[arg-type]
    return align(restricted, classes, charset, blank)
