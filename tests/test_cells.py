"""What stands alone is a figure in a column of numbers and a letter in one of letters, if it may be that."""

import numpy as np
import pytest

from paragraph_ocr.pipeline.cells import decide_by_columns
from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.detection import TextLine

CHARSET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,)+-/€£$~"
ASCENDER = 20.0

# For the place of each doubtful character of a line what else it may be, or "" for nothing. The negative of a place has
# what may stand before its character.
Doubts = dict[int, dict[str, float]]
# A sign that was not read may stand before the first character.
BEFORE: Doubts = {1000: {"~": 0.4, "-": 0.3}}


def decided(
    *lines: tuple[str, Doubts] | str, left: float = 100.0, right: float | None = None, apart: float = 0.0
) -> list[str]:
    """The texts of lines above each other, aligned at the left, or at the right if that is given.

    The last one stands so much apart from their column.
    """
    found, read, outputs = [], [], []
    for row, line in enumerate(lines):
        text, doubts = (line, {}) if isinstance(line, str) else line
        probabilities = np.full((3 * len(text) + 3, len(CHARSET) + 1), 1e-5, np.float32)
        probabilities[:, -1] = 1.0
        characters = []
        for place, character in enumerate(text):
            step, others = 3 * place + 2, doubts.get(place, {})
            own = 1.0 - sum(others.values())
            probabilities[step, -1] = 1e-5
            for shown, probability in {character: own, **others}.items():
                probabilities[step, CHARSET.index(shown) if shown else -1] = probability
            for shown, probability in doubts.get(-place, {}).items() if place else ():
                probabilities[step - 1, [CHARSET.index(shown), -1]] = probability, 1.0 - probability
            characters.append(Character(character, own, step, step))
        for shown, probability in doubts.get(1000, {}).items():
            probabilities[0, CHARSET.index(shown)] = probability
        start = (left if right is None else right - 14.0 * len(text)) + apart * (row == len(lines) - 1)
        baseline = np.array([[start, 40.0 * row], [start + 14.0 * len(text), 40.0 * row]], np.float32)
        found.append(TextLine(baseline, ASCENDER, 7.0, 0.9))
        read.append(characters)
        outputs.append(np.log(probabilities))
    result = decide_by_columns(found, read, outputs, CHARSET, len(CHARSET))
    assert all(0 <= character.confidence <= 1 for characters in result for character in characters)
    return ["".join(character.text for character in characters) for characters in result]


@pytest.mark.parametrize(
    ("read", "likely", "figure"),
    [("O", 0.2, "0"), ("l", 0.05, "1"), ("S", 0.1, "5"), ("b", 0.02, "6"), ("/", 0.3, "1")],
)
@pytest.mark.parametrize("at_the_right", [False, True])
def test_a_character_in_a_column_of_numbers_is_the_figure_that_it_may_be(
    read: str, likely: float, figure: str, at_the_right: bool
) -> None:
    doubtful = (read, {0: {figure: likely}})
    right = 300.0 if at_the_right else None
    assert decided("12", doubtful, "345", "6", right=right)[1] == figure
    # Elsewhere, and where it cannot be a figure, it stays.
    assert decided("the", doubtful, "old", "bridge", right=right)[1] == read
    assert decided("12", read, "345", "6", right=right)[1] == read


def test_letters_of_short_numbers_in_a_column_become_figures() -> None:
    lines = "12", ("1O", {1: {"0": 0.1}}), "345", ("l7", {0: {"1": 0.1}}), "A7", "90"
    assert decided(*lines) == ["12", "10", "345", "17", "A7", "90"]


def test_codes_of_letters_and_figures_stay() -> None:
    codes = "AK-3260", ("A973", {0: {"4": 0.03}}), "2017", "C648", "E930"
    assert decided(*codes) == [code if isinstance(code, str) else code[0] for code in codes]


def test_many_doubtful_figures_of_a_column_are_decided_together() -> None:
    doubtful = ("O", {0: {"0": 0.2}})
    assert decided(doubtful, "+", doubtful, "-", "1", doubtful) == ["0", "+", "0", "-", "1", "0"]
    assert decided(doubtful, doubtful, doubtful) == ["O", "O", "O"]


def test_a_figure_in_a_column_of_letters_is_the_letter_that_it_may_be() -> None:
    doubtful = ("1)", {0: {"l": 0.04, "I": 0.03}})
    assert decided("j)", "k)", doubtful, "m)") == ["j)", "k)", "l)", "m)"]
    assert decided("1)", "2)", doubtful, "4)")[2] == "1)"


def test_a_column_of_ones_and_signs_has_noughts() -> None:
    zero, likely_o, o = ("0", {0: {"o": 0.88}}), ("0", {0: {"o": 0.92}}), ("o", {0: {"0": 0.08}})
    assert decided("1", "+", zero, "-", likely_o, likely_o, o, o) == ["1", "+", "0", "-", "0", "0", "0", "0"]
    assert decided("a", "k", "o", "t", zero)[-1] == "o"


def test_the_heading_of_a_column_is_no_entry_of_it() -> None:
    zero = ("O", {0: {"0": 0.2}})
    assert decided("Price", zero, "1", "2") == ["Price", "0", "1", "2"]
    assert decided("Price", zero, "1", "2", "none") == ["Price", "O", "1", "2", "none"]


def test_a_nought_beside_no_figures_is_one_where_the_others_of_the_page_are() -> None:
    zero, unlike = ("O", {0: {"0": 0.2}}), ("O", {0: {"0": 0.02}})
    assert decided("1", zero, "2", zero, "3", zero, zero, apart=200.0)[-1] == "0"
    assert decided("1", zero, "2", "3", zero, apart=200.0)[-1] == "O"
    assert decided("1", zero, "2", zero, "3", zero, unlike, apart=200.0)[-1] == "O"


def test_a_letter_in_a_column_of_letters_has_their_case() -> None:
    assert decided("a)", "b)", ("C)", {0: {"c": 0.05}}), "d)")[2] == "c)"
    assert decided("A.", "B.", ("c.", {0: {"C": 0.05}}), "D.")[2] == "C."
    assert decided("a)", "b)", "C)", "d)")[2] == "C)"


def test_the_same_letter_after_numbers_has_one_case_all_over_a_page() -> None:
    small, capital = {"x": 0.3}, {"X": 0.2}
    lines = ("2 x", {2: capital}), ("34 x", {3: capital}), ("6 X", {2: small}), ("1 x", {2: capital})
    assert decided(*lines) == ["2 x", "34 x", "6 x", "1 x"]
    assert decided("the 2 x", ("plan X", {5: small}), "set 6 x", "the 7 x")[1] == "plan X"


def test_a_page_without_columns_stays_as_it_was_read() -> None:
    lines = ["a house", "I am 20", "O my", ""]
    assert decided(*lines) == lines
    assert decided() == []


def test_amounts_of_a_page_are_in_the_currency_that_most_of_them_show() -> None:
    unsure: Doubts = {0: {"€": 0.4}}
    sure: Doubts = {0: {"£": 0.1}}
    assert decided(("€5.10", sure), ("£12", unsure), ("€538", sure), ("€80", sure))[1] == "€12"
    # Within a sentence, too.
    assert decided("costs €5", "or €7", ("for £2 more", {4: {"€": 0.3}}))[2] == "for €2 more"
    # One that is surely another stays, and so does any where it is even, or where there is too little to know it.
    assert decided(("€5.10", sure), "£12", ("€538", sure), ("€80", sure))[1] == "£12"
    assert decided("€5", ("£12", unsure), "£6", "€9", "£3")[1] == "£12"
    assert decided("€5", ("£12", unsure))[1] == "£12"


def test_a_number_has_the_marks_of_its_column() -> None:
    amounts = ["26.58", "1,075.74", "345.42", "13.29"]

    def read(text: str, doubts: Doubts) -> str:
        return decided(*amounts, (text, doubts), right=300.0)[-1]

    assert read("89103", {-3: {".": 0.05}}) == "891.03"
    assert read("891 03", {3: {".": 0.1}}) == "891.03"
    assert read("891,03", {3: {".": 0.1}}) == "891.03"
    assert read("891703", {3: {".": 0.1}}) == "891.03"
    # What cannot be a mark is none.
    for text in ("89103", "891 03", "891,03", "891703"):
        assert read(text, {}) == text
    assert read("12", {-1: {".": 0.4}}) == "12"
    dates = ["03/11/1954", "17/02/1961", "25/12/1949"]
    assert decided(*dates, ("06703/1958", {2: {"/": 0.2}}))[-1] == "06/03/1958"


def test_a_number_has_the_minus_of_its_column() -> None:
    amounts = ["-26.58", "-1,075.74", "-345.42", "-13.29"]

    def read(text: str, doubts: Doubts, others: list[str] = amounts) -> str:
        return decided(*others, (text, doubts), right=300.0)[-1]

    assert read("~3.43", {0: {"-": 0.1}}) == "-3.43"
    assert read("~3.43", {}) == "~3.43"
    assert read("43.16", {}) == "43.16"
    assert decided(*amounts, ("43.16", BEFORE), right=300.0)[-1] == "-43.16"
    assert decided("26.58", "1,075.74", "-345.42", "13.29", ("43.16", BEFORE), right=300.0)[-1] == "43.16"
    assert read("~3.43", {0: {"-": 0.1}}, ["26.58", "75.74", "-345.42", "13.29"]) == "~3.43"


def test_slashes_are_not_added_to_dates_of_another_length() -> None:
    dates = ["03/1/1954", "17/2/1961", "25/7/1949"]
    assert decided(*dates, ("23/11/1995", {-4: {"/": 0.3}}))[-1] == "23/11/1995"


def test_numbers_of_columns_with_other_marks_or_none_stay() -> None:
    doubtful = ("89103", {-3: {".": 0.3}})
    assert decided("2658", "107574", "34542", "13.29", doubtful, right=300.0)[-1] == "89103"
    assert decided("26.58", "13.29", doubtful, right=300.0)[-1] == "89103"
    assert decided("26.58", "107574", "345.42", "1329", "7.10", doubtful, right=300.0)[-1] == "89103"


def test_a_stop_that_the_others_of_a_column_lack_is_none() -> None:
    doubtful = ("64.", {2: {"": 0.2}})
    assert decided("12", "345", "7", doubtful)[-1] == "64"
    assert decided("A", "F", "K", ("L.", {1: {"": 0.2}}))[-1] == "L"
    # It stays where it is sure, where others have it, and where the column is too short to tell.
    assert decided("12", "345", "7", "64.")[-1] == "64."
    assert decided("12", "345.", "7", doubtful)[-1] == "64."
    assert decided("12", "345", doubtful)[-1] == "64."


def test_the_letters_of_a_list_follow_each_other() -> None:
    items = [f"{letter}. item" for letter in "abcdefghijkl"]
    read: list[tuple[str, Doubts] | str] = list(items)
    read[2] = ("C. item", {0: {"c": 0.1}})
    read[8] = ("1. item", {0: {"i": 0.01}})
    read[11] = ("I. item", {0: {"l": 0.2}})
    assert decided(*read) == items
    # Capitals, as the letters around show.
    capitals = [item.capitalize() for item in items]
    read = list(capitals)
    read[2] = ("c. item", {0: {"C": 0.1}})
    assert decided(*read) == capitals
    # What cannot be the letter stays, as do numbers, and letters that do not follow the alphabet.
    read[2] = "7. item"
    assert decided(*read)[2] == "7. item"
    numbers = [f"{number}. item" for number in range(1, 10)]
    assert decided(*numbers) == numbers
    initials = [f"{letter}. Smith" for letter in "JKACMEJRJ"]
    assert decided(*initials) == initials
