"""Constrain what a line may say: to some characters, or to what a pattern such as a date or an IBAN allows.

Characters are constrained before the search, by taking the others' probabilities away; a pattern within it, as an
automaton in the place of a language model, so that the likeliest text that fits is found, rather than the likeliest
text checked afterwards.
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

# How patterns are searched: wider than text is, since the likeliest beginnings may end in nothing that fits.
PATTERN_SEARCH = Search(width=64, weight=1.0, bonus=0.0, floor=1e-7, sure=0.9999)
# What is left of a step's probability below which none of the allowed characters is looked for there.
HOPELESS = 1e-4
_CURRENCY = "€$£"
_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "BA": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22,
    "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22,
    "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28,
    "PT": 25, "RO": 24, "RS": 22, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip

# A state and a character give the next state, or None where the character does not fit.
Step = Callable[[Any, str], Hashable | None]


@dataclass(frozen=True)
class Constraint:
    """What a line may say.

    Attributes
    ----------
    allows : callable
        Whether a character may stand in it.
    start : hashable, or None
        Where the pattern begins; None where the characters are all there is to it.
    step : callable, or None
        The next state after a character, None where it does not fit.
    ends : callable, or None
        Whether a text may end in a state.
    """

    allows: Callable[[str], bool]
    start: Hashable = None
    step: Step | None = None
    ends: Callable[[Any], bool] | None = None


def _one_of(characters: str) -> Callable[[str], bool]:
    return frozenset(characters).__contains__


def _date_step(state: tuple[int, int, str, str], character: str) -> tuple[int, int, str, str] | None:
    """Day, month and year in any order, the year in two or four digits and not in the middle, one sign between them.

    A state is the number that is read, how long the first was, its digits, and the sign.
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
    """A sign or a currency, digits alone or in groups of three, two behind the last point or comma, a currency.

    A state is where it is, digits there, and the sign between groups; digits behind the first point or comma are a
    group or cents, as their number tells, and a group only (``g``) behind at most three others.
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
    """Country and check digits, characters so far, and the remainder of those behind these by 97 (ISO 13616)."""
    head, count, remainder = state
    if character == " ":
        return state if count and count % 4 == 0 else None
    if count < 4:
        if character.isdigit() != (count >= 2):
            return None
        head += character
        if (count == 1 and head not in _LENGTHS) or (count == 0 and not any(key[0] == character for key in _LENGTHS)):
            return None
        return head, count + 1, 0
    if count >= _LENGTHS[head[:2]]:
        return None
    return head, count + 1, _append(remainder, character)


def _append(remainder: int, character: str) -> int:
    value = int(character, 36)
    return (remainder * (10 if value < 10 else 100) + value) % 97


def _iban_ends(state: tuple[str, int, int]) -> bool:
    head, count, remainder = state
    if count < 4 or count != _LENGTHS[head[:2]]:
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
    """Whether a text is what a constraint allows."""
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
    """Log probabilities (T, C) given that only the characters that a constraint allows, and the blank, can be.

    What shows a character goes on showing one: the others' probability goes to those that are allowed, rather than to
    the blank. Where all of these are hopeless, it is none of them.
    """
    offset = 1 if blank == 0 else 0
    allowed = np.zeros(log_probabilities.shape[1], bool)
    allowed[blank] = True
    for at, character in enumerate(charset):
        allowed[at + offset] = constraint.allows(character)
    probabilities = np.exp(log_probabilities.astype(np.float64)) * allowed
    empty = probabilities[:, blank].copy()
    probabilities[:, blank] = 0.0
    shown = probabilities.sum(axis=1)
    hopeful = shown > HOPELESS
    probabilities[hopeful] *= ((1.0 - np.minimum(empty, 1.0))[hopeful] / shown[hopeful])[:, None]
    probabilities[~hopeful] = 0.0
    probabilities[:, blank] = np.where(hopeful, empty, 1.0)
    found: NDArray[np.float32] = np.log(np.maximum(probabilities, 1e-30)).astype(np.float32)
    return found


class _Patterned:
    """The automaton of a pattern, asked as `ctc.beam_search` asks a language model."""

    def __init__(self, charset: str, constraint: Constraint) -> None:
        self.charset = charset
        self.search = PATTERN_SEARCH
        self.start = constraint.start
        step, ends = constraint.step, constraint.ends
        assert step is not None
        assert ends is not None
        self._ends = ends

        @lru_cache(30_000)
        def remembered(state: Any, at: int) -> tuple[float, Any]:
            following = step(state, charset[at])
            return (-inf if following is None else 0.0), following

        self.step = remembered

    def log_probability(self, state: Any, at: int) -> float:
        """0 where a character, or the end, may follow, else minus infinity."""
        if at == len(self.charset):
            return 0.0 if self._ends(state) else -inf
        return float(self.step(state, at)[0])


def decode_within(
    log_probabilities: NDArray[np.float32],
    charset: str,
    blank: int,
    name: str,
) -> list[Character]:
    """The characters of the likeliest text of a line that a constraint allows.

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
        Where nothing that the pattern allows is likely at all, the likeliest text that begins as it does.
    """
    constraint = CHARSETS[name]
    seen = masked(log_probabilities, charset, blank, constraint)
    if constraint.step is None:
        return greedy(seen, charset, blank)
    classes = beam_search(seen, blank, _Patterned(charset, constraint))  # type: ignore[arg-type]
    return align(seen, classes, charset, blank)
