"""Single characters that are read doubtfully are text where they stand with other text, and elsewhere are not."""

import numpy as np
import pytest

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.acceptance import accepted_lines
from paragraph_ocr.pipeline.detection import TextLine

Entry = tuple[str, float, float, float, float]


def accepts(line: TextLine, read: float) -> bool:
    return line.confidence * read >= 0.55


def accepted(*entries: Entry) -> list[str]:
    """The texts that are accepted of lines given as text, left, baseline, confidence and ascender height."""
    found, lines = [], []
    for text, left, level, confidence, ascender in entries:
        right = left + 14 * len(text)
        baseline = np.array([[left, level], [right, level]], np.float32)
        found.append(TextLine(baseline, ascender, 7, 0.61 if len(text) == 1 else 0.95))
        lines.append(Line(text, confidence, (), (), ()))
    return [lines[index].text for index in accepted_lines(found, lines, accepts)]


def test_a_digit_in_a_column_of_numbers_is_accepted_though_its_reading_is_doubtful() -> None:
    column = [("12", 100.0, 100.0, 0.99, 20.0), ("34", 100.0, 140.0, 0.99, 20.0)]
    # Aligned at the right, at the left, in the middle.
    for left in (114.0, 100.0, 107.0):
        assert accepted(*column, ("1", left, 180.0, 0.5, 20.0)) == ["12", "34", "1"]
    # As 0 and O, between which the column decides.
    assert accepted(*column, ("0", 114.0, 180.0, 0.36, 20.0)) == ["12", "34", "0"]
    assert accepted(*column, ("1", 160.0, 180.0, 0.5, 20.0)) == ["12", "34"]
    assert accepted(*column, ("1", 114.0, 180.0, 0.3, 20.0)) == ["12", "34"]
    assert accepted(column[0], ("1", 114.0, 180.0, 0.5, 20.0)) == ["12"]


def test_a_dash_is_accepted_in_a_column_of_entries_only() -> None:
    name, column = ("Anna Weber", 20.0, 180.0, 0.99, 20.0), [("12", 200.0, y, 0.99, 20.0) for y in (100.0, 140.0)]
    assert "-" in accepted(name, *column, ("-", 207.0, 180.0, 0.5, 20.0))
    assert "-" not in accepted(name, *column, ("-", 280.0, 180.0, 0.7, 20.0))
    assert "'" not in accepted(name, *column, ("'", 207.0, 180.0, 0.5, 20.0))


@pytest.mark.parametrize(("text", "kept"), [("p", True), ("1", True), ("+", True), ("-", False), ('"', False)])
def test_a_letter_beside_text_is_accepted_but_a_mark_is_not(text: str, kept: bool) -> None:
    item = ("the old stone bridge", 160.0, 100.0, 0.99, 20.0)
    assert (text in accepted(item, (text, 100.0, 100.0, 0.7, 20.0))) == kept


def test_a_letter_beside_text_of_another_level_or_size_is_not_accepted() -> None:
    item = ("the old stone bridge", 160.0, 100.0, 0.99, 20.0)
    assert accepted(item, ("p", 100.0, 112.0, 0.7, 20.0)) == [item[0]]
    assert accepted(item, ("p", 100.0, 100.0, 0.7, 45.0)) == [item[0]]
    assert accepted(item, ("p", 100.0, 100.0, 0.7, 8.0)) == [item[0]]


def test_lines_without_text_and_badly_read_lines_are_not_accepted() -> None:
    item = ("the old stone bridge", 160.0, 100.0, 0.99, 20.0)
    assert accepted(item, ("", 160.0, 140.0, 0.0, 20.0), ("the old", 160.0, 180.0, 0.1, 20.0)) == [item[0]]


def test_the_dashes_of_an_upright_rule_are_no_text_and_a_column_of_ones_is() -> None:
    text = ("SEAT 14C", 100.0, 100.0, 0.99, 15.0)
    dashes = [("I", 300.0, 60.0 + 12 * row, 0.4 + 0.04 * (row % 9), 6.0) for row in range(20)]
    assert accepted(text, *dashes) == ["SEAT 14C"]
    ones = [("1", 300.0, 60.0 + 26 * row, 0.5, 15.0) for row in range(8)]
    assert accepted(("12", 300.0, 34.0, 0.9, 15.0), ("14", 300.0, 8.0, 0.9, 15.0), *ones).count("1") == 8


@pytest.mark.parametrize(
    ("confidence", "pitch", "height", "kept"),
    [(0.4, 56, 33, 0), (0.9, 56, 33, 10), (0.4, 80, 33, 10), (0.4, 80, 57, 10)],
    ids=["holes", "figures", "figures of a table", "numbers in rings"],
)
def test_a_column_of_holes_that_are_read_as_any_character_is_no_text(
    confidence: float, pitch: int, height: int, kept: int
) -> None:
    found, lines = [], []
    for place, text in enumerate("8808208D08"):
        level = 100.0 + pitch * place + (height - 33) / 2
        found.append(TextLine(np.array([[60.0 - place, level], [80.0 - place, level]], np.float32), height, 11, 0.95))
        lines.append(Line(text, confidence, (), (), ()))
    for row in range(10):
        level = 100.0 + 80 * row
        found.append(TextLine(np.array([[200.0, level], [700.0, level]], np.float32), 33, 11, 0.95))
        lines.append(Line("the old stone bridge", 0.9, (), (), ()))
    assert len(accepted_lines(found, lines, lambda line, read: line.confidence > 0.9)) == kept + 10
