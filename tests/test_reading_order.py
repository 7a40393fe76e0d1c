from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.leaders import Leader
from paragraph_ocr.pipeline.reading_order import order_between_rules, reading_order
from paragraph_ocr.pipeline.ruling import Rule


def text_line(left: float, right: float, baseline: float, ascender: float = 20) -> TextLine:
    return TextLine(np.array([[left, baseline], [right, baseline]], np.float32), ascender, 8, 1.0)


def ordered(lines: Sequence[TextLine], texts: Sequence[str] = ()) -> list[TextLine]:
    return [lines[index] for index in reading_order(list(lines), texts)]


def test_texts_do_not_change_the_order_of_prose() -> None:
    heading = text_line(100, 700, 40)
    left = [text_line(20, 380, 120 + 30 * row) for row in range(6)]
    right = [text_line(420, 780, 120 + 30 * row) for row in range(6)]
    mixed = [line for pair in zip(right, left, strict=True) for line in pair]
    lines = [*mixed, heading]
    assert ordered(lines, ["a line of prose as long as its column"] * len(lines)) == [heading, *left, *right]


def letter(*right: TextLine) -> list[TextLine]:
    """A letterhead of two lines beside the names of officers, what stands at the right, an address, and the text."""
    head = [text_line(77, 187, 60, 12), text_line(77, 190, 78, 12), text_line(253, 721, 98, 28)]
    address = [text_line(121, 364 + 8 * row, 210 + 20 * row, 18) for row in range(4)]
    text = [text_line(121, 870 + 2 * row, 320 + 28 * row, 18) for row in range(5)]
    return [*head, text_line(389, 582, 118, 16), *right, *address, *text]


@pytest.mark.parametrize("stamp", [0, 2])
def test_the_second_line_of_a_letterhead_is_read_after_the_first(stamp: int) -> None:
    lines = letter(*(text_line(742, 852, 128 + 18 * row, 14) for row in range(stamp)), text_line(702, 861, 170, 18))
    assert reading_order(lines, [""] * len(lines))[2:4] == [2, 3]


def test_a_letterhead_is_read_before_the_address_that_stands_far_below_a_line_at_its_left() -> None:
    cable, head = text_line(104, 321, 88, 13), [text_line(494, 960, 140, 30), text_line(541, 922, 178, 20)]
    address = [text_line(175, 514 - 80 * row, 355 + 30 * row, 22) for row in range(3)]
    text = [text_line(180 + 80 * (row == 0), 1310, 490 + 58 * row, 22) for row in range(6)]
    lines = [cable, *head, *address, *text]
    assert reading_order(lines, [""] * len(lines)) == list(range(len(lines)))


def test_the_first_line_of_a_middle_column_is_none_of_the_heading() -> None:
    heading = text_line(20, 980, 40, 30)
    columns = [[text_line(left, left + 280, 90 + 30 * row) for row in range(5)] for left in (20, 360, 700)]
    lines = [heading, *(line for column in columns for line in column)]
    assert reading_order(lines) == list(range(len(lines)))


def cells(columns: Sequence[float], texts: Sequence[Sequence[str]]) -> list[tuple[TextLine, str]]:
    """The cells of a table, row by row, each as wide as its text is long."""
    return [
        (text_line(left, left + 10 * len(text), 60 + 40 * row), text)
        for row, row_texts in enumerate(texts)
        for left, text in zip(columns, row_texts, strict=True)
        if text
    ]


TABLES = {
    "statement": ((20, 180, 460, 620), [
        ("03/04/2023", "Salary", "12.00", "1204.10"), ("05/04/2023", "Direct debit water", "7.25", "1196.85"),
        ("09/04/2023", "Interest", "940.10", "256.75"), ("11/04/2023", "Transfer from A. Smith", "3.00", "253.75"),
    ]),
    "invoice": ((20, 300, 420, 540), [
        ("Item", "Quantity", "Price", "Total"), ("Oak shelf, 80 cm", "2", "45.00", "90.00"),
        ("Brass hinge", "12", "3.25", "39.00"), ("Total", "", "", "129.00"),
    ]),
    "names": ((20, 300), [("Martin C.", "11/09/1999"), ("Bernard L.", "06/08/1935"), ("Petit P.", "01/12/1986")]),
    "questions": ((20, 400, 520), [
        ("Do you smoke?", "Yes", "No"), ("Any allergies?", "Yes", "No"), ("Are you over 18?", "Yes", "No"),
    ]),
    "departures": ((20, 140, 300, 520, 760, 840), [
        ("Time", "Train", "To", "Via", "Track", "Remark"), ("14:05", "IC 563", "Prague", "Pardubice", "3", "on time"),
        ("14:20", "R 771", "Pilsen", "Beroun", "7", "on time"), ("14:31", "EC 278", "Bratislava", "Brno", "2", "late"),
    ]),
    "staff": ((20, 240, 420, 640), [
        ("Albers, Karin", "Purchase", "Main", "214"), ("Demir, Aylin", "Personnel", "Annexe", "205"),
        ("Ehlers, Frank", "Stores", "West Hall", "418"), ("Fuchs, Miriam", "Reception", "Annexe", "100"),
        ("Grey, Peter", "Workshop", "East Hall", "422"), ("Hahn, Ulla", "Kitchen", "Main", "316"),
    ]),
    "labels": ((20, 300), [("Surname:", "MARTINEZ"), ("First name:", "ISABELLE"), ("Town:", "LEEDS")]),
}  # fmt: skip


@pytest.mark.parametrize("lines", [1, 3])
def test_what_stands_alone_at_the_right_is_read_where_it_stands(lines: int) -> None:
    """As a date between an address and the salutation, and closing words above a postscript."""
    address = [text_line(20, 250, 40 + 30 * row) for row in range(3)]
    date = [text_line(500, 700, 160 + 30 * row) for row in range(lines)]
    base = 160 + 30 * lines + 30
    salutation = text_line(20, 250, base)
    prose = [text_line(20, 780, base + 60 + 30 * row) for row in range(4)]
    closing = [text_line(500, 720, base + 210 + 40 * row) for row in range(lines)]
    postscript = [text_line(20, 300, base + 250 + 40 * lines + 30 * row) for row in range(2)]
    expected = [*address, *date, salutation, *prose, *closing, *postscript]
    assert ordered(expected[::-1]) == expected


def test_the_first_line_of_a_column_does_not_stand_alone() -> None:
    left = [text_line(20, 380, 100), *[text_line(20, 380, 180 + 30 * row) for row in range(5)]]
    right = [text_line(420, 780, 140), *[text_line(420, 780, 195 + 30 * row) for row in range(5)]]
    assert ordered([*right, *left]) == [*left, *right]


def test_the_letter_of_an_item_is_read_with_it() -> None:
    """Though few of the items have one, and it stands apart from them."""
    items = [(text_line(120, 260 + 9 * (row % 4), 60 + 40 * row), f"Town {row}ab") for row in range(6)]
    letters = [(text_line(20, 45, 60 + 40 * row), f"{chr(97 + row)})") for row in (1, 4)]
    expected = [items[0], letters[0], *items[1:4], letters[1], *items[4:]]
    mixed = [*items, *letters]
    lines = [line for line, _ in mixed]
    assert ordered(lines, [text for _, text in mixed]) == [line for line, _ in expected]


def test_rows_of_boxes_are_read_after_their_labels() -> None:
    labels = [text_line(20, 200, 60 + 40 * row) for row in range(3)]
    fields = [replace(text_line(300, 400 + 70 * row, 60 + 40 * row), boxed=True) for row in range(3)]
    texts = ["Place of birth", "Town", "Account number", "JURUPA", "BURBANK", "GB38318898"]
    assert ordered([*labels, *fields], texts) == [line for pair in zip(labels, fields, strict=True) for line in pair]


def test_a_total_at_the_right_below_a_table_is_read_before_the_text_below_it() -> None:
    """As in a letter with an invoice, whose text is at the left above the table and below it."""
    above = [text_line(20, 560 - 60 * row, 20 + 30 * row) for row in range(3)]
    rows = [
        [text_line(20, 200, base), text_line(640, 720, base), text_line(800, 880, base)] for base in (120, 160, 200)
    ]
    total = text_line(660, 880, 240)
    below = [text_line(20, 600, 290), text_line(20, 200, 330)]
    lines = [*above, *(cell for row in rows for cell in row), total, *below]
    texts = (
        ["A line of the letter"] * 3 + ["Oak shelf", "2", "90.00"] * 3 + ["Total 270.00", "Please pay in May.", "Anna"]
    )
    mixed = [lines[at] for at in (9, 0, 11, 3, 2, 1, 10, 5, 4, 8, 7, 6)] + lines[12:]
    texts = [texts[next(at for at, each in enumerate(lines) if each is line)] for line in mixed]
    assert [id(line) for line in ordered(mixed, texts)] == [id(line) for line in lines]


@pytest.mark.parametrize("name", TABLES)
def test_the_rows_of_a_table_are_read_across(name: str) -> None:
    columns, texts = TABLES[name]
    table = cells(columns, texts)
    shuffled = [table[index] for index in np.random.default_rng(2).permutation(len(table))]
    lines = ordered([line for line, _ in shuffled], [text for _, text in shuffled])
    assert lines == [line for line, _ in table]


def test_a_list_of_words_in_two_columns_stays_in_columns() -> None:
    table = cells((20, 420), [("apples", "plums"), ("pears and figs", "quinces"), ("melons", "cherries in jars")])
    lines, texts = [line for line, _ in table], [text for _, text in table]
    assert ordered(lines, texts) == [*lines[::2], *lines[1::2]]


def test_an_address_beside_the_numbers_of_a_letter_is_read_before_them() -> None:
    address = ["Mr Carl Petersen", "Baker", "18 High Street", "Flint", "Wales"]
    numbers = ["Invoice", "Customer", "Date", "Delivered", "Page"], ["2026-0417", "10884", "12.05.26", "08.05.26", "1"]
    table = cells((20, 420, 620), list(zip(address, *numbers, strict=True)))
    lines, texts = [line for line, _ in table], [text for _, text in table]
    assert ordered(lines, texts)[:5] == lines[::3]


def test_columns_round_a_picture_are_read_to_their_end() -> None:
    # The lines beside the picture, which stands across the gutter, are shorter; its caption stands between them.
    left = [text_line(20, 240 if 4 <= row < 10 else 390, 60 + 30 * row) for row in range(14)]
    right = [text_line(560 if 4 <= row < 10 else 420, 790, 60 + 30 * row) for row in range(14)]
    caption = [text_line(330, 480, 300), text_line(340, 470, 330)]
    title, foot = text_line(200, 600, 10), text_line(100, 700, 520)
    lines = [*right, *caption, foot, *left, title]
    short = {id(line) for line in caption}
    texts = ["Dubrovnik" if id(line) in short else "The old stone bridge over the river" for line in lines]
    assert ordered(lines, texts) == [title, *left, *caption, *right, foot]


def test_a_paragraph_is_read_downwards() -> None:
    lines = [text_line(20 + 3 * row, 400 - 40 * (row % 3), 40 + 30 * row) for row in range(10)]
    shuffled = [lines[index] for index in np.random.default_rng(1).permutation(10)]
    assert ordered(shuffled) == lines


def test_columns_are_read_one_after_the_other_below_their_heading() -> None:
    heading = text_line(100, 700, 40)
    left = [text_line(20, 380, 120 + 30 * row) for row in range(6)]
    right = [text_line(420, 780, 120 + 30 * row) for row in range(6)]
    mixed = [line for pair in zip(right, left, strict=True) for line in pair]
    assert ordered([*mixed, heading]) == [heading, *left, *right]


def test_columns_that_run_over_into_each_other_are_read_one_after_the_other() -> None:
    heads = [text_line(20, 380, 40), text_line(420, 780, 46)]
    left = [text_line(20, 405 + 8 * (row % 2), 90 + 37 * row) for row in range(6)]
    right = [text_line(404, 780, 95 + 30 * row) for row in range(7)]
    assert ordered([*right, heads[1], *left, heads[0]]) == [heads[0], *left, heads[1], *right]


@pytest.mark.parametrize("slope", [0.0, 0.15])
def test_amounts_are_read_with_what_they_are_for(slope: float) -> None:
    heading = text_line(200, 500, 10)
    widths = [90, 60, 110, 40, 85, 70]
    items = [text_line(20 + slope * 30 * row, 260 - 40 * (row % 3), 60 + 30 * row) for row in range(6)]
    ends = [700 + slope * 30 * row for row in range(6)]
    amounts = [
        text_line(end - width, end, 57 + 30 * row) for row, (end, width) in enumerate(zip(ends, widths, strict=True))
    ]
    pairs = [line for pair in zip(items, amounts, strict=True) for line in pair]
    assert ordered([*amounts, *items, heading]) == [heading, *pairs]
    # One that ran over into the next row stands alone.
    assert ordered([*amounts[:2], *amounts[3:], *items]) == [line for line in pairs if line is not amounts[2]]
    few = [*items[:3], *amounts[:3]]
    assert ordered(few) == few, "too few to be a column of amounts"


def test_a_list_in_two_columns_is_no_column_of_amounts() -> None:
    widths = [90, 60, 110, 40, 85, 70]
    left = [text_line(20, 20 + width, 60 + 30 * row) for row, width in enumerate(widths)]
    right = [text_line(420, 420 + width, 60 + 30 * row) for row, width in enumerate(reversed(widths))]
    assert ordered([*right, *left]) == [*left, *right]


def test_short_ends_of_a_column_are_no_amounts() -> None:
    widths = [90, 60, 110, 40, 85, 70]
    left = [text_line(20, 400, 60 + 30 * row) if row % 4 else text_line(20, 220, 60 + 30 * row) for row in range(24)]
    right = [
        text_line(420, 780, 60 + 30 * row) if row % 4 else text_line(780 - widths[row // 4], 780, 60 + 30 * row)
        for row in range(24)
    ]
    assert ordered([*right, *left]) == [*left, *right]


def test_a_note_in_the_margin_does_not_come_before_what_is_above_it() -> None:
    text = [text_line(220, 780, 40 + 30 * row) for row in range(8)]
    note = [text_line(20, 180, 130 + 30 * row) for row in range(2)]
    assert ordered([*note, *text]) == [*text[:3], *note, *text[3:]]


def test_lines_that_wait_for_each_other_are_read_all_the_same() -> None:
    # Some of these do.
    random = [text_line(*sorted(pair), height) for *pair, height in np.random.default_rng(3).integers(0, 300, (60, 3))]
    assert sorted(map(id, ordered(random))) == sorted(map(id, random))


def test_a_short_line_right_above_one_on_the_left_comes_first() -> None:
    date, greeting = text_line(500, 700, 40), text_line(20, 200, 90)
    assert ordered([greeting, date]) == [date, greeting]


def test_a_header_with_a_page_number_and_a_footer_are_read_around_columns() -> None:
    header, number = text_line(20, 200, 20), text_line(760, 780, 20)
    left = [text_line(20, 380, 90 + 30 * row) for row in range(8)]
    right = [text_line(420, 780, 96 + 30 * row) for row in range(6)]
    foot = [text_line(20, 60, 380), text_line(420, 560, 380)]
    prose = "a line of prose as long as its column"
    lines = [*right, *foot, *left, number, header]
    texts = [prose] * 6 + ["54", "Travel"] + [prose] * 8 + ["17", "Letters"]
    assert ordered(lines, texts) == [header, number, *left, *right, *foot]


def test_headings_of_columns_are_no_header() -> None:
    heads = [text_line(20, 200, 20), text_line(420, 560, 20)]
    left = [text_line(20, 380, 90 + 30 * row) for row in range(8)]
    right = [text_line(420, 780, 90 + 30 * row) for row in range(8)]
    texts = ["a line of prose as long as its column"] * 16 + ["Ingredients", "Method"]
    assert ordered([*right, *left, *heads], texts) == [heads[0], *left, heads[1], *right]


def test_the_last_row_of_four_columns_is_no_footer() -> None:
    columns = [[text_line(20 + 400 * at, 380 + 400 * at, 60 + 30 * row) for row in range(5)] for at in range(4)]
    lines = [line for row in zip(*columns, strict=True) for line in row]
    texts = ["a line of prose as long as its column"] * len(lines)
    assert ordered(lines, texts) == [line for column in columns for line in column]


def test_text_above_a_table_that_begins_where_its_first_column_does_leaves_the_rows_whole() -> None:
    above = [(text_line(20, 20 + 10 * len(text), 40 * row), text) for row, text in enumerate(
        ["ACME Inc.", "18 Tanglewood Road", "Jackson", "Megan Stark", "28 Pearcy Avenue", "North Manchester"], 1
    )]  # fmt: skip
    rows = [("QUANTITY", "DESCRIPTION"), ("2", "Oak shelf"), ("1", "Brass hinge"), ("10", "Screws, short")]
    table = [(text_line(left, left + 10 * len(text), 400 + 40 * row), text)
             for row, both in enumerate(rows) for left, text in zip((20, 300), both, strict=True)]  # fmt: skip
    lines = [*above, *table[::-1]]
    texts = [text for _, text in lines]
    assert ordered([line for line, _ in lines], texts) == [line for line, _ in above + table]


RULED = {
    # Columns, and rows of cells of some lines each.
    "cells of several lines": ((20, 300, 900), [
        [["Title"], ["Description"], ["Year"]],
        [["Declaration of", "Independence"], ["Statement adopted by the Continental", "Congress."], ["1776"]],
        [["Bill of Rights"], ["The first ten amendments."], ["1791"]],
        [["Emancipation", "Proclamation"], ["An executive order."], ["1863"]],
    ]),
    "words": ((20, 300), [
        [["Fruit"], ["Colour"]], [["Apple"], ["Green"]], [["Pear"], ["Yellow"]], [["Plum"], ["Blue"]],
    ]),
}  # fmt: skip


@pytest.mark.parametrize("slope", [0.0, 0.01])
@pytest.mark.parametrize("name", RULED)
def test_a_table_with_rules_is_read_row_by_row_and_cell_by_cell(name: str, slope: float) -> None:
    columns, rows = RULED[name]
    lines: list[TextLine] = []
    texts: list[str] = []
    rules = [Rule(10, 10 + 10 * slope, 1000, 10 + 1000 * slope)]
    top = 10.0
    for row in rows:
        height = 36 * max(map(len, row))
        for left, cell in zip(columns, row, strict=True):
            for place, text in enumerate(cell):
                # Cells are centred between their rules.
                level = top + 30 + 36 * place + (height - 36 * len(cell)) / 2
                right = left + 10 * len(text)
                ends = np.array([[left, level + slope * left], [right, level + slope * right]], np.float32)
                lines.append(TextLine(ends, 20, 8, 1.0))
                texts.append(text)
        top += height + 14
        rules.append(Rule(10, top + 10 * slope, 1000, top + 1000 * slope))
    shuffled = np.random.default_rng(3).permutation(len(lines))
    order = order_between_rules([lines[index] for index in shuffled], [texts[index] for index in shuffled], rules).lines
    assert [texts[shuffled[place]] for place in order] == texts


def test_rows_between_two_rules_are_told_by_their_distance() -> None:
    rules = [Rule(10, level, 700, level) for level in (10, 60, 400)]
    rows = [("Item", "Price"), ("Drill and", "19,90"), ("bits, 17 parts", ""), ("Level", "33,52"), ("POG-120", "")]
    levels = (45, 100, 130, 200, 230)
    table = [(text_line(left, left + 10 * len(text), level), text) for level, both in zip(levels, rows, strict=True)
             for left, text in zip((20, 500), both, strict=True) if text]  # fmt: skip
    found = [text for _, text in sorted(table, key=lambda cell: cell[1])]
    lines = [line for line, _ in sorted(table, key=lambda cell: cell[1])]
    order = [found[index] for index in order_between_rules(lines, found, rules).lines]
    assert order == ["Item", "Price", "Drill and", "bits, 17 parts", "19,90", "Level", "POG-120", "33,52"]


def test_columns_of_prose_between_rules_stay_columns() -> None:
    rules = [Rule(10, level, 800, level) for level in (10, 60, 400)]
    heading = text_line(300, 500, 45)
    left = [text_line(20, 380, 100 + 30 * row) for row in range(8)]
    right = [text_line(420, 780, 100 + 30 * row) for row in range(8)]
    mixed = [line for pair in zip(right, left, strict=True) for line in pair]
    texts = ["a line of prose as long as its column"] * 16 + ["The old bridge"]
    lines = [*mixed, heading]
    assert [lines[index] for index in order_between_rules(lines, texts, rules).lines] == [heading, *left, *right]


def test_columns_of_advertisements_between_rules_are_read_one_after_the_other() -> None:
    """On a photo the lines of close columns are not quite on the same levels, and justified lines are in pieces."""
    rules = [Rule(10, level, 990, level) for level in (10, 60, 700)]
    lines, texts = [text_line(20, 400, 45)], ["NOTICES"]
    for column, left in enumerate((20, 350, 680)):
        for row in range(15):
            level = 100 + 30 * row + 8 * column + 20 * ((row + column) // 5)
            if row % 5 == 4:
                parts = [("Box 224.", 0, 140)]
            elif column == 0 and row % 5 == 0:
                parts = [("piano", 0, 140), ("good tone", 170, 310)]
            else:
                parts = [("piano, upright, good tone", 0, 310)]
            lines += [text_line(left + start, left + end, level) for _, start, end in parts]
            texts += [text for text, _, _ in parts]
    shuffled = np.random.default_rng(0).permutation(len(lines))
    order = order_between_rules([lines[index] for index in shuffled], [texts[index] for index in shuffled], rules)
    assert [int(shuffled[place]) for place in order.lines] == list(range(len(lines)))
    assert order.rows == []


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_columns_of_a_list_with_leaders_are_read_one_after_the_other(slope: float) -> None:
    """A directory has names and numbers in turn, which without leaders would be the columns of one table."""
    lines, texts, leaders = [], [], []
    for column in range(3):
        for row in range(6):
            for text, left, right in (("Abbott J, 14 Dale", 20, 160 + 10 * (row % 3)), ("01522 418", 240, 300)):
                start, end = 320 * column + left, 320 * column + right
                ends = np.array([[x, 60 + 40 * row + slope * x] for x in (start, end)], np.float32)
                lines.append(TextLine(ends, 20, 8, 1.0))
                texts.append(text)
            start, end = 320 * column + 170 + 10 * (row % 3), 320 * column + 235
            # One that was not seen.
            if (column, row) != (1, 2):
                leaders.append(Leader(start, end, 60 + 40 * row + slope * (start + end) / 2, slope, 3))
    shuffled = np.random.default_rng(0).permutation(len(lines))
    own, own_texts = [lines[index] for index in shuffled], [texts[index] for index in shuffled]
    order = order_between_rules(own, own_texts, [], leaders).lines
    assert [int(shuffled[place]) for place in order] == list(range(len(lines)))


def test_bars_of_links_at_the_top_and_the_bottom_are_read_before_and_after_the_columns() -> None:
    above = [text_line(left, left + 90, 40 + 6 * (left < 100)) for left in (20, 190, 330, 560, 770, 890)]
    filters = [text_line(20, 120, 130 + 40 * row) for row in range(6)]
    goods = [text_line(left, left + 180, 220 + 30 * row) for left in (300, 640) for row in range(5)]
    below = [text_line(left, left + 90, 460) for left in (20, 230, 470, 800)]
    lines = [*above, *filters, *goods, *below]
    shuffled = np.random.default_rng(0).permutation(len(lines))
    order = reading_order([lines[index] for index in shuffled], [f"Goods{index}" for index in shuffled])
    assert [int(shuffled[place]) for place in order] == list(range(len(lines)))


def test_an_address_beside_a_stamp_is_no_bar() -> None:
    """Its lines are close, and on a page of large writing."""
    address = [text_line(60, 250 - 10 * row, 65 + 34 * row) for row in range(3)]
    stamp = [text_line(1100, 1140, 96), text_line(870, 930, 130)]
    text = [text_line(470, 1050, 410 + 75 * row, 50) for row in range(6)]
    lines = [*address, *stamp, *text]
    assert [place for place in reading_order(lines, [""] * len(lines)) if place < 3] == [0, 1, 2]


def test_headings_of_columns_far_above_them_are_no_bar() -> None:
    columns = [[text_line(left, left + 150, 40), *(text_line(left, left + 150, 120 + 30 * row) for row in range(5))]
               for left in (20, 230, 440, 650)]  # fmt: skip
    lines = [line for column in columns for line in column]
    assert reading_order(lines, ["Terms and conditions"] * len(lines)) == list(range(len(lines)))


@pytest.mark.parametrize("apart", [True, False])
def test_cards_are_read_row_by_row_and_tables_beside_each_other_one_after_the_other(apart: bool) -> None:
    """Both are framed; the rows of cards are far apart, those of tables are not."""
    pitch = 200 if apart else 66
    texts, lines, rules = [], [], []
    for left in (20, 340, 660):
        for row in range(3):
            rules.append(Rule(left, 30 + pitch * row, left + 280, 30 + pitch * row))
            rules.append(Rule(left, 96 + pitch * row, left + 280, 96 + pitch * row))
            places = ((0, 0, "City bike"), (0, 30, "549.00"), (170, 30, "Add to cart"))
            for x, y, text in places:
                lines.append(text_line(left + 10 + x, left + 20 + x + 8 * len(text), 55 + y + pitch * row))
                texts.append(f"{text} {left} {row}")
    rules = sorted(set(rules), key=lambda rule: rule.left_y)
    order = [texts[index] for index in order_between_rules(lines, texts, rules).lines]
    cards = [texts[3 * number : 3 * number + 3] for number in range(9)]
    in_rows = [text for row in range(3) for card in cards[row::3] for text in card]
    assert order == (in_rows if apart else texts)


def test_columns_of_notes_on_ruled_paper_stay_columns() -> None:
    rules = [Rule(10, 30 + 45 * row, 990, 30 + 45 * row) for row in range(9)]
    notes = cells((20, 520), [
        ("Pillage of works of art?", "Conquest of the river"), ("The market of", "Note of page 3"), ("Nankin", ""),
        ("Relations with", "Temples and"), ("the consul", "prisons"), ("", "Theatres"), ("A mutation?", "The police"),
    ])  # fmt: skip
    lines = [replace(line, baseline=line.baseline * np.float32((1, 45 / 40))) for line, _ in notes]
    texts = [text for _, text in notes]
    assert order_between_rules(lines, texts, rules).lines == reading_order(lines, texts)
    assert order_between_rules(lines, texts, rules).rows == []


FIELDS = (("Surname", "Farrow"), ("First name", "Margaret"), ("Address", "7 Mill Lane, Exeter"), ("Town", "Leeds"))


@pytest.mark.parametrize("end", [900.0, None], ids=["fields", "underlined"])
def test_the_value_of_a_field_follows_its_label(end: float | None) -> None:
    """A rule begins with the value and goes on beyond it, unlike an underline."""
    lines, texts, rules = [], [], []
    for row, pair in enumerate(FIELDS):
        for left, text in zip((20.0, 300.0), pair, strict=True):
            lines.append(text_line(left, left + 10 * len(text), 100 + 50 * row))
            texts.append(text)
        right = lines[-1].baseline[-1, 0] if end is None else end
        rules.append(Rule(300.0, 106 + 50 * row, float(right), 106 + 50 * row))
    read = [texts[index] for index in order_between_rules(lines, texts, rules).lines]
    by_row = [text for pair in FIELDS for text in pair]
    by_column = [text for column in zip(*FIELDS, strict=True) for text in column]
    assert read == (by_row if end else by_column)


def test_the_pieces_of_a_line_that_something_crosses_are_read_one_after_the_other() -> None:
    paragraph = [text_line(60, 900, 100 + 36 * row) for row in range(4)]
    pieces = [text_line(60, 400, 244), text_line(460, 640, 244)]
    closing = [text_line(60, 240, 316), text_line(60, 200, 388), text_line(60, 260, 424)]
    lines = [*paragraph, *pieces, *closing]
    assert reading_order(lines) == list(range(len(lines)))
    assert reading_order(lines, ["a line of prose"] * len(lines)) == list(range(len(lines)))


def test_the_first_lines_of_columns_below_a_line_over_both_are_no_pieces_of_one() -> None:
    heading = text_line(60, 900, 100)
    columns = [[text_line(left, right, 136 + 36 * row) for row in range(4)] for left, right in ((60, 440), (480, 900))]
    assert reading_order([heading, *columns[0], *columns[1]]) == list(range(9))


def test_the_dates_of_a_diary_are_read_with_their_entries() -> None:
    dates = [text_line(20, 110, 100 + 90 * day) for day in range(4)]
    entries = [text_line(200, 780 - 9 * row, 100 + 30 * row) for row in range(12)]
    texts = [f"{day} June" for day in range(9, 13)] + ["what was written of the day, to its end"] * 12
    expected = [line for day in range(4) for line in (dates[day], *entries[3 * day : 3 * day + 3])]
    assert ordered([*dates, *entries], texts) == expected


def conversation(*messages: tuple[str, float, float, str]) -> list[tuple[TextLine, str]]:
    """Lines of messages, each at the left or the right with the time at its end, from the top down."""
    lines, base = [], 0.0
    for text, left, right, time in messages:
        for part in text.split("|"):
            base += 30
            lines.append((text_line(left, right, base), part))
        lines += [(text_line(right + 20, right + 60, base + 6, 12), time)] if time else []
        base += 50
    return lines


def test_the_messages_of_a_conversation_are_read_from_the_top_down() -> None:
    table = conversation(
        ("Good morning, has it come?", 20, 300, "8:15"), ("Not yet 8:20", 500, 650, ""),
        ("Strange, it was to come yesterday", 20, 330, "8:21 W"), ("Fine", 20, 60, "8:31"),
        ("I called them, they say it is|on its way", 360, 600, "8:30"), ("Tell me", 20, 100, "8:31"),
        ("Of course, as soon as the bell|rings", 360, 600, "8:33"), ("Thank you", 20, 120, "8:34"),
    )  # fmt: skip
    # The upper edges of bubbles may be taken for rules.
    rules = [Rule(0, y, 700, y) for y in (235, 300, 375)]
    lines, texts = [line for line, _ in table], [text for _, text in table]
    shuffled = np.random.default_rng(4).permutation(len(lines)).tolist()
    order = order_between_rules([lines[index] for index in shuffled], [texts[index] for index in shuffled], rules)
    assert [texts[shuffled[index]] for index in order.lines] == texts
    assert order.rows == []


def test_columns_with_times_are_no_conversation() -> None:
    """As the programmes of two stations."""
    hours = range(12, 20)
    left = [(text_line(20, 300, 40 * hour), f"News and weather {hour}:15") for hour in hours]
    right = [(text_line(500, 800, 40 * hour), f"A film of some length {hour}:20") for hour in hours]
    mixed = [each for pair in zip(left, right, strict=True) for each in pair]
    order = order_between_rules([line for line, _ in mixed], [text for _, text in mixed], [])
    assert [mixed[index] for index in order.lines] == [*left, *right]


def test_leaders_of_a_page_without_lines_have_no_order() -> None:
    assert order_between_rules([], [], [], [Leader(100.0, 400.0, 50.0, 0.0, 4.0)]).lines == []
