from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageFont

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.monospace import ReadLine, without_false_spaces

PROSE = ("little things of all kinds", "filling the jars, lilies.", "it will fill a till, fully")


def monospaced(text: str, spaces: tuple[int, ...] = (), pitch: float = 6.0) -> ReadLine:
    """A line whose characters stand a pitch apart, with spaces read before some of them that are none."""
    characters = []
    random = np.random.default_rng(len(text))
    for index, letter in enumerate(text):
        at = round((index + 0.5) * pitch + random.uniform(-0.5, 0.5))
        if index in spaces:
            characters.append(Character(" ", 0.6, at - 2, at - 2))
        characters.append(Character(letter, 0.9, at, at))
    return ReadLine(characters, 4.0, 30.0)


def proportional(text: str) -> ReadLine:
    font = ImageFont.load_default(24)
    places = [font.getlength(text[:index]) + font.getlength(letter) / 2 for index, letter in enumerate(text)]
    return ReadLine(
        [Character(letter, 0.9, round(at / 2), round(at / 2)) for letter, at in zip(text, places, strict=True)], 2.0, 17
    )


def texts(lines: list[ReadLine]) -> list[str]:
    return ["".join(character.text for character in line) for line in without_false_spaces(lines)]


def test_signs_that_are_a_third_further_apart_than_letters_are_one_word() -> None:
    stars = [Character("*", 0.9, at, at) for at in (3, 11, 19, 27)]
    spaced = [each for star in stars for each in (Character(" ", 0.6, star.first - 4, star.first - 4), star)][1:]
    lines = [*map(monospaced, PROSE), ReadLine(spaced, 4.0, 30.0)]
    assert texts(lines)[-1] == "****"


def test_spaces_within_the_cells_of_monospaced_numbers_and_codes_are_taken_out() -> None:
    lines = [
        *map(monospaced, PROSE),
        monospaced("16-03-2019", (2, 3)),
        monospaced("4,42", (2,)),
        monospaced("#83", (1,)),
    ]
    assert texts(lines) == [*PROSE, "16-03-2019", "4,42", "#83"]


def test_short_lines_of_a_table_show_that_it_is_monospaced() -> None:
    cells = ["2002-", "02/07", "3060/", "1228/", "0192/", "2009-", "8859/", "5585/", "1899-", "3385/", "2013-", "6038/"]
    numbers = ["69654", "71362"]
    assert texts([*map(monospaced, numbers), *map(monospaced, cells), monospaced("52406", (2,))])[-1] == "52406"


def test_a_letter_beside_a_false_space_may_be_read_early() -> None:
    read = zip("#7 512", (3, 9, 13, 17, 21, 27), strict=True)
    line = ReadLine([Character(letter, 0.9, at, at) for letter, at in read], 4.0, 30.0)
    assert texts([*map(monospaced, PROSE), line])[-1] == "#7512"


def test_spaces_between_words_and_numbers_stay() -> None:
    rows = ("Rue 5 a, 12 - 14", "1 234,50 EUR", "the end, a 3")
    assert texts([*map(monospaced, (*PROSE, *rows))]) == [*PROSE, *rows]


@pytest.mark.parametrize("number", ["1 234 567", "12 - 3"])
def test_narrow_spaces_of_other_typefaces_stay(number: str) -> None:
    assert texts([*map(proportional, PROSE), proportional(number)]) == [*PROSE, number]


def test_amounts_in_tabular_figures_keep_the_space_before_the_currency() -> None:
    amounts = ["25,67 €", "107,03 €", "5982,99 €", "1203,18 €", "9592,54 €", "849,69 €", "20,83 €", "8573,28 €"]
    lines = [proportional(amount) for amount in amounts]
    coarse = [
        ReadLine([replace(each, first=each.first // 2, last=each.last // 2) for each in line.characters], 4.0, 17)
        for line in lines
    ]
    assert texts(coarse) == amounts


def test_a_page_without_lines_has_none() -> None:
    assert without_false_spaces([]) == []
    assert without_false_spaces([ReadLine([], 4.0, 30.0)]) == [[]]


def test_a_line_of_narrow_and_wide_distances_has_no_pitch() -> None:
    """With as many of each, the median is the distance of none."""
    at = np.cumsum([0, *[2] * 12, *[20] * 12])
    line = ReadLine([Character("n", 0.9, int(place), int(place)) for place in at], 4.0, 30.0)
    assert texts([*map(monospaced, PROSE), line])[-1] == "n" * 25


@pytest.mark.parametrize("row", ["May 31, 1911", "387 Haley"])
def test_spaces_that_are_narrower_than_the_cells_stay(row: str) -> None:
    """As where the words of a line were moved together."""
    at, characters = 0, []
    for letter, before in zip(row, "x" + row, strict=False):
        at += 6 if letter == " " else 11 if before == " " else 12
        characters.append(Character(letter, 0.9, at, at))
    assert texts([*map(monospaced, PROSE), ReadLine(characters, 2.0, 30.0)])[-1] == row
