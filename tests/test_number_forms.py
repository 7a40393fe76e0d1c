"""The numbers of a column are read with the marks of the others, and in their form, where their strips allow it."""

import numpy as np
import pytest

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.number_forms import in_forms_of_columns

CHARSET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,)+-/"
# A text, and for places of its characters what else is seen there, with its probability; "" is nothing.
Seen = tuple[str, dict[int, tuple[str, float]]]


def decided(*lines: Seen | str) -> list[str]:
    """The texts of lines above each other, flush right."""
    found, read, outputs = [], [], []
    for row, line in enumerate(lines):
        text, others = (line, {}) if isinstance(line, str) else line
        output = np.full((4 * len(text) + 4, len(CHARSET) + 1), 1e-5, np.float32)
        output[:, -1] = 1.0
        for place, character in enumerate(text):
            other, probability = others.get(place, ("", 1e-5))
            output[4 * place + 2, [CHARSET.index(character), CHARSET.index(other) if other else -1]] = (
                1.0 - probability,
                probability,
            )
        baseline = np.array([[300.0 - 14.0 * len(text), 40.0 * row], [300.0, 40.0 * row]], np.float32)
        found.append(TextLine(baseline, 20.0, 7.0, 0.9))
        read.append([Character(each, 0.9, 4 * place + 2, 4 * place + 2) for place, each in enumerate(text)])
        outputs.append(np.log(output))
    result = in_forms_of_columns(found, read, outputs, CHARSET, len(CHARSET))
    assert all(0 <= character.confidence <= 1 for characters in result for character in characters)
    return ["".join(character.text for character in characters) for characters in result]


DATES = ["01/12/", "26/02/", "19/04/", "30/11/", "08/06/"]


@pytest.mark.parametrize(
    ("read", "others"),
    [
        ("28/037", {5: ("/", 0.02)}),
        ("28/03)", {5: ("/", 0.02)}),
        ("281037", {2: ("/", 0.1), 5: ("/", 0.1)}),
        ("28/03/,", {6: ("", 0.05)}),
        ("28/ 03/", {3: ("", 0.05)}),
    ],
)
def test_a_date_has_the_slashes_of_its_column(read: str, others: dict[int, tuple[str, float]]) -> None:
    assert decided(*DATES, (read, others))[-1] == "28/03/"
    # What cannot be one, and what stands in no such column, stays.
    assert decided(*DATES, read)[-1] == read
    assert decided("12", "A house", "1926", (read, others))[-1] == read


def test_a_column_of_which_most_is_misread_is_read_anew() -> None:
    doubtful = [(f"{day}/{month}7", {5: ("/", 0.15)}) for day, month in (("03", "11"), ("19", "10"), ("25", "08"))]
    assert decided(*DATES[:3], *doubtful)[3:] == ["03/11/", "19/10/", "25/08/"]
    figures = [(text, {5: ("1", 0.15)}) for text, _ in doubtful]
    assert decided(*DATES[:3], *figures)[3:] == ["03/117", "19/107", "25/087"]


def test_an_amount_has_the_marks_of_its_column_before_all_of_its_figures() -> None:
    amounts = ["2,025,888.43", "837,897.76", "56,994.36", "1,306.86", "12.50"]
    read = (("625,421,52", {7: (".", 0.1)}), ("93, 730.39", {3: ("", 0.01)}), ("82,375 60", {6: (".", 0.1)}))
    assert decided(*amounts, *read)[-3:] == ["625,421.52", "93,730.39", "82,375.60"]
    # Nor does any have one mark for both.
    unsure = [(text.replace(".", ","), {len(text) - 3: (".", 0.4)}) for text in amounts[:4]]
    assert decided(*amounts[:4], *unsure)[4:] == amounts[:4]


def test_no_figure_of_a_number_is_left_out() -> None:
    cut = ["217.585,0", "4.987,6", "83.286,9", "110.977,9"]
    assert decided(*cut, ("6.646,00", {7: ("", 0.3)}))[-1] == "6.646,00"
    assert decided("11/02/1", "24/11/2", "06/05/2", ("18/07/19", {7: ("", 0.3)}))[-1] == "18/07/19"


def test_columns_of_several_forms_and_short_ones_stay() -> None:
    doubtful = ("28/037", {5: ("/", 0.02)})
    assert decided("28/03/", "19/04/", doubtful)[-1] == "28/037"
    others = ["12.50", "2026", "17-30", "408-9797", "26,10"]
    assert decided(*DATES[:3], *others, doubtful)[-1] == "28/037"
    assert decided() == []
