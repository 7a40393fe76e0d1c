"""Restrict the text of a line to a set of characters, or to a pattern such as a date or an IBAN.

A set of characters is applied before decoding: the probabilities of all others become 0. A pattern is an automaton that
takes the place of the language model in the beam search, which then finds the most probable text that matches.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import groupby, pairwise
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character, align, beam_search, greedy
from paragraph_ocr.pipeline.language import Search

# The beam is wider than for text, since the most probable prefixes may not lead to a match.
PATTERN_SEARCH = Search(width=64, weight=1.0, bonus=0.0, floor=1e-7, sure=0.9999)
# Parts of a line that are tried where no match has all of it, as with a label beside the value.
MAX_PARTS = 30
# Probability, before it is read, that a character is none of those that the line may consist of.
OTHER = 0.01
# A time step shows none of the allowed characters if the sum of their probabilities is below this.
MIN_ALLOWED = 1e-4
# Minimum probability of each character of a match, so that it is none of characters that are not there.
MIN_SHOWN = 0.005
# Minimum share of a word's characters that can be allowed ones.
MIN_ALLOWED_SHARE = 0.5
# Of amounts: signs, separators of groups, currencies, and the sides of an account (credit and debit, Haben and Soll).
_SIGNS, _GROUPS, _CURRENCY_SIGNS = "+-–−", ".,'’ ", "€$£¥"
_CURRENCIES = frozenset([
    "AUD", "BGN", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "ISK", "JPY", "NOK", "NZD", "PLN", "RON", "SEK",
    "TRY", "USD", "DM", "F", "Fr", "Fr.", "Ft", "Kč", "Mk", "f", "fr", "fr.", "kr", "kr.", "lei", "pts", "pts.", "zł",
])  # fmt: skip
_SIDES = frozenset(["CR", "Cr", "DR", "Dr", "H", "S"])
_WORDS = _CURRENCIES | _SIDES
# Length of an IBAN by its country (ISO 13616, SWIFT's IBAN registry).
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

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


_DateState = tuple[tuple[int, ...], int, str, str]


def _date_step(state: _DateState, character: str) -> _DateState | None:
    """Match day, month and year: the year first or last, in two or four digits, with the same separator twice.

    A state consists of the numbers before the current one, the length of the first, the digits of the current one, and
    the separator.
    """
    numbers, first, digits, sign = state
    if character.isdigit():
        grown = digits + character
        longest = 4 if not numbers or (len(numbers) == 2 and first < 4) else 2
        if len(grown) > longest or (len(grown) == 2 and longest == 2 and not 1 <= int(grown) <= 31):
            return None
        return numbers, first, grown, sign
    if len(numbers) == 2 or not digits or len(digits) == 3 or (sign and character != sign):
        return None
    if len(digits) < 4 and not 1 <= int(digits) <= 31:
        return None
    numbers, first = (*numbers, int(digits)), first or len(digits)
    # One of two is the month, which stands in the middle if the year is first.
    if len(numbers) == 2 and (numbers[1] if first == 4 else min(numbers)) > 12:
        return None
    return numbers, first, "", character


def _date_ends(state: _DateState) -> bool:
    numbers, first, digits, _ = state
    if len(numbers) < 2 or len(digits) not in ((1, 2) if first == 4 else (2, 4)):
        return False
    last = int(digits)
    if digits == "0000":
        return False
    if first == 4:
        return _is_day(numbers[0], numbers[1], last)
    return _is_day(last, numbers[1], numbers[0]) or _is_day(last, numbers[0], numbers[1])


def _is_day(year: int, month: int, day: int) -> bool:
    """Whether there is such a day; in the Julian calendar, each fourth year is a leap year."""
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1]:
        return False
    return (month, day) != (2, 29) or year % 4 == 0


class _Amount(NamedTuple):
    """State of the automaton of amounts.

    Attributes
    ----------
    phase : str
        ``start`` before the digits, ``whole`` in those before the decimals, ``open`` after a point or comma that groups
        or begins decimals, ``group`` in a group of three, ``space`` after a space that groups or ends the digits,
        ``cents`` in the decimals, ``dash`` in dashes for decimals, and ``end`` after the number.
    digits : int
        Digits in the phase, at most 4.
    group : str
        The separator of groups; while it is open, followed by ``g`` if it can be one.
    sign : str
        What stands for the sign: one of `_SIGNS`, ``(``, ``)`` after both brackets, or a letter of `_SIDES`.
    currency : bool
        Whether there is a currency.
    word : str
        The letters of a currency or side so far.
    """

    phase: str = "start"
    digits: int = 0
    group: str = ""
    sign: str = ""
    currency: bool = False
    word: str = ""


def _amount_step(state: _Amount, character: str) -> _Amount | None:
    """Match a number with a currency and a sign before or after it, or in brackets, as in accounts.

    The whole part may be grouped by three; there are two decimals, dashes for them, or none.
    """
    if state.word:
        grown = state.word + character
        if any(word.startswith(grown) for word in _WORDS):
            return state._replace(word=grown)
        if (closed := _word_end(state)) is None or character.isalpha():
            return None
        state = closed
    phase, digits, group = state[:3]
    if character.isdigit():
        return _digit(state)
    if (
        phase == "whole"
        and character in _GROUPS
        and (character == group if group else digits <= 3 or character in ".,")
    ):
        if character == " ":
            return state._replace(phase="space", digits=0, group=" ")
        if group or character not in ".,":
            return state._replace(phase="group", digits=0, group=character)
        # The number of digits that follow tells whether they are a group or decimals.
        return state._replace(phase="open", digits=0, group=character + "g" * (digits <= 3))
    if phase == "whole" and character in ".,":
        return state._replace(phase="cents", digits=0, group="")
    if character == "-" and phase in ("open", "dash") and digits == 0:
        # No cents, as in 12,- or 12,--
        return state._replace(phase="dash")
    if phase == "start":
        return _beside(state, character)
    return _beside(state._replace(phase="end", digits=0, group=""), character) if _is_number(state) else None


def _digit(state: _Amount) -> _Amount | None:
    phase, digits, group = state[:3]
    match phase:
        case "start":
            return state._replace(phase="whole", digits=1)
        case "whole" if not group:
            return state._replace(digits=min(digits + 1, 4))
        case "open" if digits < 2:
            return state._replace(digits=digits + 1)
        case "open" if group.endswith("g"):
            return state._replace(phase="whole", digits=3, group=group[0])
        case "space" if group:
            return state._replace(phase="group", digits=1)
        case "group":
            return state._replace(digits=digits + 1) if digits < 2 else state._replace(phase="whole", digits=3)
        case "cents" if digits < 2:
            return state._replace(digits=digits + 1)
    return None


def _beside(state: _Amount, character: str) -> _Amount | None:
    """Match a space, sign, bracket or currency before or after the number."""
    if character == " ":
        return state
    if character in _SIGNS or character == "(":
        can_follow = not state.sign and (character != "(" or state.phase == "start")
        return state._replace(sign=character) if can_follow else None
    if character == ")":
        return state._replace(sign=")") if state.sign == "(" and state.phase == "end" else None
    if character in _CURRENCY_SIGNS:
        return None if state.currency else state._replace(currency=True)
    return state._replace(word=character) if any(word.startswith(character) for word in _WORDS) else None


def _word_end(state: _Amount) -> _Amount | None:
    """Return the state after a complete word; None if it is none, or not where it can stand."""
    if state.word in _CURRENCIES and not state.currency:
        return state._replace(word="", currency=True)
    if state.word in _SIDES and not state.sign and state.phase == "end":
        return state._replace(word="", sign=state.word[0])
    return None


def _is_number(state: _Amount) -> bool:
    return state.phase in ("whole", "space", "end", "dash") or (state.phase in ("open", "cents") and state.digits == 2)


def _amount_ends(state: _Amount) -> bool:
    if state.word:
        closed = _word_end(state)
        return closed is not None and _amount_ends(closed)
    return _is_number(state) and state.sign != "("


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
    "date": Constraint(_one_of(string.digits + "./-"), ((), 0, "", ""), _date_step, _date_ends),
    "amount": Constraint(
        _one_of(string.digits + _GROUPS + _SIGNS + "()" + _CURRENCY_SIGNS + "".join(_WORDS)),
        _Amount(),
        _amount_step,
        _amount_ends,
    ),
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
        Of a set of characters, without words of others; of a pattern, it is that of the longest part of the line with a
        match. Empty if there is none.
    """
    constraint = CHARSETS[name]
    restricted = masked(log_probabilities, charset, blank, constraint)
    if constraint.step is None:
        found = _without_other_words(greedy(restricted, charset, blank), greedy(log_probabilities, charset, blank))
        return _weighted(found, log_probabilities, charset, blank, constraint)
    model = _PatternModel(charset, constraint)
    read = greedy(log_probabilities, charset, blank)
    best: list[Character] = []
    fewest = inf
    for left_out, first, last in _parts(read, len(restricted), constraint):
        if left_out >= fewest:
            break
        part = restricted[first:last]
        classes = beam_search(part, blank, model)  # type: ignore[arg-type]
        (found,) = align([(part, classes)], charset, blank)
        if not fits(name, _text(found)) or min((each.confidence for each in found), default=0.0) < MIN_SHOWN:
            continue
        found = [replace(each, first=each.first + first, last=each.last + first) for each in found]
        if len(_without_spaces(_without_other_words(found, read))) < len(_without_spaces(found)):
            # Made up of letters of other words.
            continue
        # A match of more words that leaves out or changes characters may be one by chance.
        changes = left_out + _changes(_text(found), _text(greedy(part, charset, blank)))
        if changes < fewest:
            fewest, best = changes, found
    return _weighted(best, log_probabilities, charset, blank, constraint)


def _without_other_words(found: list[Character], read: list[Character]) -> list[Character]:
    """Leave out characters of words of which few can be allowed ones, as an O that looks like a 0 in a name.

    Parameters
    ----------
    found : list of Character
        The characters with the restriction.
    read : list of Character
        Those without it, which tell the words.
    """
    kept: list[Character] = []
    space: list[Character] = []
    for is_space, characters in groupby(read, key=lambda each: each.text == " "):
        word = list(characters)
        if is_space:
            space = word[:1] if kept else []
            continue
        inside = [each for each in found if word[0].first <= (each.first + each.last) / 2 <= word[-1].last]
        if len(_without_spaces(inside)) >= MIN_ALLOWED_SHARE * len(word):
            kept += space + inside
    return kept


def _without_spaces(characters: list[Character]) -> list[Character]:
    return [each for each in characters if each.text != " "]


def _text(characters: list[Character]) -> str:
    return "".join(character.text for character in characters)


def _changes(one: str, other: str) -> int:
    """Number of characters, without spaces, that are in one of two texts only."""
    one, other = one.replace(" ", ""), other.replace(" ", "")
    same = sum(block.size for block in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks())
    return len(one) + len(other) - 2 * same


def _parts(read: list[Character], steps: int, constraint: Constraint) -> list[tuple[int, int, int]]:
    """Parts of a line of successive words, long ones first: words left out, first time step, and one after the last.

    The first is the line itself; others have a digit, as values have. Their first and last word can be of the value:
    they have a digit, or enough characters that the constraint allows.
    """
    spaces = [(each.first + each.last) // 2 for each in read if each.text == " "]
    edges = [0, *spaces, steps]
    words = [[each for each in read if low <= each.first < high and each.text != " "] for low, high in pairwise(edges)]
    digits = [any(each.text.isdigit() for each in word) for word in words]
    possible = [
        has_digit or sum(constraint.allows(each.text) for each in word) >= MIN_ALLOWED_SHARE * len(word) > 0
        for word, has_digit in zip(words, digits, strict=True)
    ]
    most = len(words)
    parts = [
        (most - count, edges[at], edges[at + count])
        for count in range(most, 0, -1)
        for at in range(most - count + 1)
        if count == most or (possible[at] and possible[at + count - 1] and any(digits[at : at + count]))
    ]
    return parts[:MAX_PARTS]


def _weighted(
    found: list[Character],
    log_probabilities: NDArray[np.float32],
    charset: str,
    blank: int,
    constraint: Constraint,
) -> list[Character]:
    """Lower the confidence of characters that look like one that is not allowed, such as a bracket read as a 1."""
    offset = 1 if blank == 0 else 0
    others = [at + offset for at, character in enumerate(charset) if not constraint.allows(character)]
    own = [at + offset for at, character in enumerate(charset) if constraint.allows(character)]
    weighted = []
    for character in found:
        steps = np.exp(log_probabilities[character.first : character.last + 1].astype(np.float64))
        inside, outside = steps[:, own].sum(), steps[:, others].sum()
        share = float(inside / max(inside + OTHER * outside, 1e-30))
        weighted.append(replace(character, confidence=character.confidence * share))
    return weighted
