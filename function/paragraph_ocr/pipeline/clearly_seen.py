"""Put back what the recogniser sees clearly and the language model changed where it knows little.

The language model is fitted on prose and on records. It knows how words of a language go on, but not what stands in
codes, nor that the entries of forms, lists and tables mostly begin with a capital: it takes "87A365" for 874365, "9K"
for 9, and "Von" at the beginning of a line for "von". There, what the recogniser sees decides if it is clear, as it
does for the sign of a currency before an amount, for quotation marks and for the backslashes of paths. What stands
around is as good a witness: a bracket ends with one of its kind, addresses have no spaces, and after the point of "n.º"
and "3.º", and in "n°", no other sign stands. E-mail and web addresses that were read with spaces are taken as they
are seen.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character, greedy

# Least probability of what is put back, and by how many times it is more probable than what it was taken for.
CLEAR, TIMES = 0.5, 2.0
# The same of the capital that a line begins with.
CLEAR_CAPITAL = 0.6
# Least mean confidence of the other characters of a line for that, and for a letter in a word of figures: in
# handwriting, which is less sure, letters of both cases are alike, and so are figures and capitals.
CLEAR_LINE, CLEAR_FIGURES = 0.98, 0.94
# Letters that a 1 alone is taken for, and its least probability.
LIKE_ONE, CLEAR_ONE = frozenset("Il"), 0.7
# The same of a slash, which is slim.
CLEAR_SLASH = 0.6
# Least probability of an ordinal sign after a point, and of a degree sign that was read as an apostrophe.
ORDINAL, DEGREE = 0.1, 0.02
# What the sign of a number is taken for besides a point and an apostrophe, and its least probability: that of both
# signs, which look alike.
LIKE_SIGN, NUMBER_SIGN = frozenset("oOe0"), 0.4
# Signs that the language model takes for figures before others, and for letters within words.
BEFORE_FIGURES, WITHIN_WORDS = "$€£#", "\\"
# Marks around words that prose seldom has, and the least probability of one: specks look like them.
QUOTES, CLEAR_QUOTE = "'\"", 0.65
# Brackets, and the least probability of one that belongs to another.
PAIRS, POSSIBLE = {"(": ")", "[": "]", "{": "}"}, 0.02
# Most of the probability of a space within an address.
SPACE = 0.3
# E-mail and web addresses.
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:https?://|www\.)[\w-]+(?:\.[\w-]+)+[\w/=?&%#~+-]*")
# Letters of units that stand alone after a number, as in "200 g", and by how many times such a letter is more probable.
UNITS, UNIT_TIMES = "ghlmstVWAJKN", 1.4
# Least probability of a capital that was read as a bracket at the beginning of a word, where none was begun.
INITIAL = 0.3
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
    """Characters of a line, with what is clearly seen: letters of codes, a 1 alone, signs, brackets, a first capital.

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
    if not characters:
        return []
    characters = _with_addresses(characters, output, charset, blank)
    # How much surer the line is than it has to be, apart from the character that is asked for.
    surplus = sum(character.confidence - CLEAR_FIGURES for character in characters)
    spaces = [index for index, character in enumerate(characters) if character.text == " "]
    edges = [-1, *spaces, len(characters)]
    seen: list[Character] = []
    for before, end in pairwise(edges):
        if before >= 0:
            seen.append(characters[before])
        word = list(characters[before + 1 : end])
        if any(map(_is_figure, word)):
            after = characters[end].first if end < len(characters) else len(output)
            if len(word) != 2:
                word[-1] = _unit(characters[: before + 1], word, output, charset, blank, surplus)
            seen += _code(word, seen[-1].last + 1 if seen else 0, after, output, charset, blank, surplus)
        elif len(word) == 1 and word[0].text in LIKE_ONE:
            seen.append(_one(word[0], output, charset, blank))
        else:
            seen += word
    seen = _with_ordinals(_with_capital(seen, output, charset, blank), output, charset, blank)
    seen = _with_signs(seen, output, charset, blank)
    if surplus >= 0:
        seen = _with_quotes(seen, output, charset, blank)
    if any(each.text in ")]}" for each in seen):
        seen = _with_pairs(seen, output, charset, blank)
    return _without_spaces_in_addresses(seen)


def _is_figure(character: Character) -> bool:
    return character.text.isdigit()


@lru_cache
def _classes(charset: str, characters: str, blank: int) -> NDArray[np.intp]:
    """Classes of some characters, of those that the charset has."""
    return np.array([charset.index(each) + (blank == 0) for each in characters if each in charset], np.intp)


def _seen(character: Character, text: str, output: NDArray[np.float32], charset: str, blank: int) -> float:
    """The probability of another text where a character was read; 0 if the charset lacks it."""
    if text not in charset:
        return 0.0
    return float(np.exp(output[character.first : character.last + 1, charset.index(text) + (blank == 0)].max()))


def _likeliest(
    character: Character, texts: str, output: NDArray[np.float32], charset: str, blank: int
) -> tuple[str, float]:
    """Which of some characters is most probable where one was read, and its probability."""
    seen = max(texts, key=lambda text: _seen(character, text, output, charset, blank))
    return seen, _seen(character, seen, output, charset, blank)


def _one(character: Character, output: NDArray[np.float32], charset: str, blank: int) -> Character:
    """A letter alone, or the figure 1 where that is clearly seen: prose has more I than numbers of paragraphs."""
    seen = _seen(character, "1", output, charset, blank)
    if seen < max(CLEAR_ONE, TIMES * character.confidence):
        return character
    return replace(character, text="1", confidence=seen)


def _unit(
    before: Sequence[Character],
    word: Sequence[Character],
    output: NDArray[np.float32],
    charset: str,
    blank: int,
    surplus: float,
) -> Character:
    """The last character of a word with figures, a letter if it is seen as that of a unit, as in "1.4G" and "200 g"."""
    *number, last = word
    if not number:
        # After the space.
        if not (last.text.isdigit() and len(before) > 1 and before[-2].text.isdigit()):
            return last
        letters = UNITS
    else:
        texts = "".join(each.text for each in number)
        if not (texts[-1].isdigit() and re.fullmatch(r"\d+[.,]\d+", texts) and last.text.isalnum()):
            return last
        letters = string.ascii_letters if last.text.isdigit() else last.text.swapcase()
    text, seen = _likeliest(last, letters, output, charset, blank)
    if surplus < last.confidence - CLEAR_FIGURES or seen < max(CLEAR, UNIT_TIMES * last.confidence):
        return last
    return replace(last, text=text, confidence=seen)


def _with_capital(
    characters: list[Character], output: NDArray[np.float32], charset: str, blank: int
) -> list[Character]:
    """The characters of a line, the first one a capital if it is seen as one."""
    if len(characters) < 2 or not (characters[0].text.islower() and characters[1].text.isalpha()):
        return characters
    first, *rest = characters
    if TIMES * first.confidence > 1.0 or sum(each.confidence for each in rest) < CLEAR_LINE * len(rest):
        return characters
    capital = first.text.upper()
    seen = _seen(first, capital, output, charset, blank)
    if len(capital) > 1 or seen < max(CLEAR_CAPITAL, TIMES * first.confidence):
        return characters
    return [replace(first, text=capital, confidence=seen), *rest]


def _with_signs(characters: list[Character], output: NDArray[np.float32], charset: str, blank: int) -> list[Character]:
    """The characters of a line, with the signs before amounts and the backslashes of paths that are clearly seen."""
    start = 0
    for place, each in enumerate(characters):
        begins = not place or characters[place - 1].text == " "
        start = place if begins else start
        if TIMES * each.confidence > 1.0 or not each.text.isalnum():
            continue
        after = characters[place + 1].text if place + 1 < len(characters) else " "
        if begins:
            signs = BEFORE_FIGURES if after.isdigit() else ""
        else:
            # Only the words of paths have backslashes.
            path = after != " " and any(each.text in ":\\" for each in characters[start:place])
            signs = WITHIN_WORDS if path else ""
        likely = _classes(charset, signs, blank)
        if not len(likely):
            continue
        values = np.exp(output[each.first : each.last + 1, likely].max(axis=0))
        if (seen := float(values.max())) >= max(CLEAR, TIMES * each.confidence):
            text = charset[int(likely[int(values.argmax())]) - (blank == 0)]
            characters[place] = replace(each, text=text, confidence=seen)
    return characters


def _with_quotes(characters: list[Character], output: NDArray[np.float32], charset: str, blank: int) -> list[Character]:
    """The characters of a line, with the quotation marks around words that are seen where nothing was read."""
    likely = _classes(charset, QUOTES, blank)
    values = np.exp(output[:, likely])
    letters = [place for place, each in enumerate(characters) if each.text != " "]
    missed: list[tuple[int, Character]] = []
    for at in np.flatnonzero(values.max(axis=1) >= CLEAR_QUOTE).tolist():
        following = next((index for index, place in enumerate(letters) if characters[place].last >= at), len(letters))
        after = characters[letters[following]].first if following < len(letters) else len(output)
        before = characters[letters[following - 1]].last if following else -1
        end = letters[following] if following < len(letters) else len(characters)
        start = letters[following - 1] + 1 if following else 0
        # Within a word, it is an apostrophe, or the edge of a letter.
        if after <= at or (start == end and 0 < following < len(letters)):
            continue
        text = charset[int(likely[int(values[at].argmax())]) - (blank == 0)]
        mark = Character(text, float(values[at].max()), at, at)
        # Of one mark, until another character is seen.
        beside = [characters[place] for place in (start - 1, end) if 0 <= place < len(characters)]
        beside += [other for _, other in missed[-1:]]
        if any(other.text in QUOTES and _lasts_to(other, at, values) for other in beside):
            continue
        missed.append((end if after - at < at - before else start, mark))
    for place, mark in reversed(missed):
        characters.insert(place, mark)
    return characters


def _lasts_to(mark: Character, at: int, values: NDArray[np.float32]) -> bool:
    """Whether a mark lasts to a time step: it is beside it, or such a mark is likely, as `values` say, in between."""
    first, last = min(mark.first, at), max(mark.last, at)
    return last - first <= 1 or bool((values[first : last + 1].max(axis=1) >= 1 - CLEAR_QUOTE).all())


def _with_pairs(characters: list[Character], output: NDArray[np.float32], charset: str, blank: int) -> list[Character]:
    """The characters of a line, with brackets that end as they begin."""

    def probability(place: int, text: str) -> float:
        return _seen(characters[place], text, output, charset, blank)

    def put(place: int, text: str) -> None:
        if characters[place].text != text:
            sure = max(probability(place, text), characters[place].confidence)
            characters[place] = replace(characters[place], text=text, confidence=sure)

    begun: list[int] = []
    start = 0
    for place, each in enumerate(characters):
        if each.text == " ":
            start = place + 1
        elif each.text in PAIRS:
            begun.append(place)
        elif each.text in PAIRS.values():
            first = begun.pop() if begun else start
            if first == place and place and (letter := _initial(each, output, charset, blank)) is not None:
                # An initial, as in "R J": no closing bracket begins a word.
                characters[place] = letter
                continue
            if PAIRS.get(characters[first].text) == each.text:
                continue
            joint = {pair: (probability(first, pair[0]), probability(place, pair[1])) for pair in PAIRS.items()}
            (opening, closing), (one, other) = max(joint.items(), key=lambda item: item[1][0] * item[1][1])
            # An item of a list, as in "1)", has no bracket before it.
            if (
                min(one, other) >= POSSIBLE
                and place - first > 1
                and (characters[first].text in PAIRS or closing == "]")
            ):
                put(first, opening)
                put(place, closing)
    return characters


def _initial(bracket: Character, output: NDArray[np.float32], charset: str, blank: int) -> Character | None:
    """The capital that is seen where a bracket was read, if any is."""
    text, seen = _likeliest(bracket, string.ascii_uppercase, output, charset, blank)
    return replace(bracket, text=text, confidence=seen) if seen >= max(INITIAL, bracket.confidence) else None


def _with_addresses(
    characters: Sequence[Character], output: NDArray[np.float32], charset: str, blank: int
) -> Sequence[Character]:
    """The characters of a line, with e-mail and web addresses as they are seen where they were read with spaces."""
    read = "".join(each.text for each in characters)
    if "@" not in read and "www" not in read and "//" not in read:
        return characters
    seen = greedy(output, charset, blank)
    for found in ADDRESS.finditer("".join(each.text for each in seen)):
        address = seen[found.start() : found.end()]
        first, last = address[0].first, address[-1].last
        if any(each.text == " " and first < each.first < last for each in characters):
            before = [each for each in characters if each.last < first]
            characters = [*before, *address, *(each for each in characters if each.first > last)]
    return characters


def _without_spaces_in_addresses(characters: list[Character]) -> list[Character]:
    """The characters of a line, without the spaces after the full stops of e-mail and web addresses that are unsure."""
    texts = [each.text for each in characters]

    def is_false(place: int) -> bool:
        if texts[place] != " " or characters[place].confidence > SPACE or texts[place - 1] != ".":
            return False
        before, after = "".join(texts[:place]).split(" ")[-1], "".join(texts[place + 1 :]).split(" ")[0]
        return before.lower() == "www." or "@" in after

    return [each for place, each in enumerate(characters) if not (0 < place < len(texts) - 1 and is_false(place))]


def _with_ordinals(
    characters: list[Character], output: NDArray[np.float32], charset: str, blank: int
) -> list[Character]:
    """The characters of a line, with the signs of "n.º", "3.º" and "n°"."""
    found: list[Character] = []
    for place, each in enumerate(characters):
        found.append(each)
        if not place or not (each.text in ".'" or each.text in LIKE_SIGN):
            continue
        before, after = characters[place - 1], characters[place + 1 : place + 2]
        # Of the abbreviation of "number", which is a word.
        is_number = before.text in "nN" and not (place > 1 and characters[place - 2].text.isalnum())
        if each.text in LIKE_SIGN:
            if is_number and (number := _number_sign(each, output, charset, blank)) is not None:
                found[-1] = number
            continue
        if after and after[0].text not in " :,":
            continue
        if each.text == "'" and is_number:
            if (seen := _seen(each, "°", output, charset, blank)) >= DEGREE:
                found[-1] = replace(each, text="°", confidence=max(seen, each.confidence))
        elif each.text == "." and (is_number or before.text.isdigit()):
            start, end = each.last + 1, after[0].first if after else len(output)
            signs = [sign for sign in "ºª" if sign in charset]
            values = np.exp(output[start:end, [charset.index(sign) + (blank == 0) for sign in signs]])
            if values.size and (seen := float(values.max())) >= ORDINAL:
                at, sign = divmod(int(values.argmax()), len(signs))
                found.append(Character(signs[sign], seen, start + at, start + at))
    return found


def _number_sign(character: Character, output: NDArray[np.float32], charset: str, blank: int) -> Character | None:
    """The sign of "N°" or "Nº" that is seen where a character was read, if one is."""
    degree, ordinal = (_seen(character, sign, output, charset, blank) for sign in "°º")
    if (seen := degree + ordinal) < max(NUMBER_SIGN, TIMES * character.confidence):
        return None
    return replace(character, text="°" if TIMES * degree >= ordinal else "º", confidence=min(seen, 1.0))


def _code(
    word: list[Character], start: int, end: int, output: NDArray[np.float32], charset: str, blank: int, surplus: float
) -> list[Character]:
    """A word with figures between two time steps, its letters and slashes as they are seen."""
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
            sure = surplus - (each.confidence - CLEAR_FIGURES) >= 0
            possible = len(inner) > 1 and (has_letters or (sure and text in UNLIKE_FIGURES) or text == "/")
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
