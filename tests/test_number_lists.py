"""The numbers of the lists of an index are parted by commas and spaces; amounts and dates stay as they are."""

from itertools import pairwise

import numpy as np
import pytest

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.number_lists import with_lists_of_numbers

CHARSET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,"
INDEX = ["Amber 14, 208, 311", "Birch 7, 19, 122", "Cedar 90, 91, 305", "Dove 3, 44, 68", "Elm 12, 13, 140, 260"]


def decided(lines: list[str], space: float, comma: float = 0.1) -> list[str]:
    """The texts of lines that show a space behind each mark, and a comma in the place of each, that much."""
    read, outputs = [], []
    for text in lines:
        output = np.full((4 * len(text) + 4, len(CHARSET) + 1), 1e-5, np.float32)
        output[:, -1] = 1.0
        for place, character in enumerate(text):
            output[4 * place + 2, CHARSET.index(character)] = 1.0
            if character in ".,":
                output[4 * place + 2, CHARSET.index(",")] = max(output[4 * place + 2, CHARSET.index(",")], comma)
                output[4 * place + 4, CHARSET.index(" ")] = space
        read.append([Character(each, 0.9, 4 * place + 2, 4 * place + 2) for place, each in enumerate(text)])
        outputs.append(np.log(output))
    result = with_lists_of_numbers(read, outputs, CHARSET, len(CHARSET))
    for characters in result:
        assert all(before.last < after.first for before, after in pairwise(characters))
    return ["".join(character.text for character in characters) for characters in result]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Fern 157,63", "Fern 157, 63"),
        ("Fern 280.231,259", "Fern 280, 231, 259"),
        ("Fern 69. 364, 207", "Fern 69, 364, 207"),
        ("Fern a.b 3", "Fern a.b 3"),
    ],
)
def test_numbers_of_an_index_are_parted(text: str, wanted: str) -> None:
    assert decided([*INDEX, text], 0.3) == [*INDEX, wanted]


def test_a_space_or_comma_that_is_not_seen_is_not_put_in() -> None:
    assert decided([*INDEX, "Fern 1,575"], 0.01)[-1] == "Fern 1,575"
    assert decided([*INDEX, "Fern 3.575"], 0.3, 0.001)[-1] == "Fern 3.575"


@pytest.mark.parametrize(
    "others",
    [
        INDEX[:3],
        ["Fees 12,50", "Rent 418,00", "Tax 7,90", "Fuel 61,20", "Bread 3,15", "Milk 0,99"],
        ["born 3. 4. 1887", "died 12. 11. 1920", "born 1. 2. 1891", "born 9. 9. 1903", "died 4. 6. 1944"],
    ],
)
def test_what_stands_on_no_page_of_lists_stays(others: list[str]) -> None:
    lines = [*others, "Fern 280.231,259"]
    assert decided(lines, 0.3) == lines
