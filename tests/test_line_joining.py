import time
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.line_joining import CONFIDENCE, complete_lines, fitted_lines

FONT = ImageFont.load_default(28)
TEXT = "the old stone bridge over the river near here"


def drawn(*texts: tuple[int, int, str]) -> Image.Image:
    """A page with texts that begin at (x, baseline)."""
    image = Image.new("L", (1000, 500), 255)
    for left, baseline, text in texts:
        ImageDraw.Draw(image).text((left, baseline), text, fill=0, font=FONT, anchor="ls")
    return image


def line(left: float, right: float, baseline: float) -> TextLine:
    return TextLine(np.array([[left, baseline], [right, baseline]], np.float32), 21, 7, 0.95)


def ends(lines: list[TextLine]) -> list[tuple[int, int]]:
    return sorted((round(float(each.baseline[0, 0])), round(float(each.baseline[-1, 0]))) for each in lines)


def test_a_line_that_ends_in_the_middle_of_a_word_goes_on_to_its_end() -> None:
    right = 60 + FONT.getlength(TEXT)
    for found in (line(60, 300, 200), line(300, right, 200)):
        ((start, end),) = ends(complete_lines(np.asarray(drawn((60, 200, TEXT))), [found]).lines)
        assert start == pytest.approx(60, abs=4)
        assert end == pytest.approx(right, abs=4)


def test_a_line_of_faint_writing_on_a_dark_table_goes_on_to_its_end() -> None:
    right = 60 + FONT.getlength(TEXT)
    ink = 1 - np.asarray(drawn((60, 200, TEXT)).filter(ImageFilter.GaussianBlur(1.2))) / 255
    page = 190 - 50 * ink + np.random.default_rng(0).normal(0, 2, ink.shape)
    page[:30] = page[-60:] = page[:, -40:] = 20
    ((start, end),) = ends(complete_lines(page.astype(np.uint8), [line(60, 300, 200)]).lines)
    assert start == pytest.approx(60, abs=4)
    assert end == pytest.approx(right, abs=4)


def test_pieces_of_a_line_become_one_over_the_letters_between_them() -> None:
    right = 60 + FONT.getlength(TEXT)
    pieces = [line(60, 200, 200), line(330, 420, 200), line(520, right, 200)]
    ((start, end),) = ends(complete_lines(np.asarray(drawn((60, 200, TEXT))), pieces).lines)
    assert (start, end) == (60, round(right))


def test_a_line_goes_on_behind_a_shape_that_crosses_it() -> None:
    image = drawn((60, 200, TEXT))
    ImageDraw.Draw(image).line((300, 60, 340, 420), fill=0, width=14)
    right = 60 + FONT.getlength(TEXT)
    ((start, end),) = ends(complete_lines(np.asarray(image), [line(60, 250, 200)]).lines)
    assert start == 60
    assert end == pytest.approx(right, abs=4)


def strokes(image: Image.Image, *ends: tuple[int, int, int, int]) -> np.ndarray:
    """A page crossed by two strokes of a pen, the second from where the first ends."""
    for stroke in ends:
        ImageDraw.Draw(image).line(stroke, fill=0, width=7)
    return np.asarray(image)


def test_pieces_on_both_sides_of_a_signature_with_spaces_beside_it_are_one_line() -> None:
    right = round(60 + FONT.getlength("the old stone bridge"))
    image = drawn((60, 200, "the old stone bridge"), (right + 40, 200, "the river"))
    pieces = [line(60, right, 200), line(right + 40, right + 140, 200)]
    # On clean paper the same gap parts two columns.
    assert len(complete_lines(np.asarray(image), pieces).lines) == 2
    page = strokes(image, (right - 50, 330, right + 80, 70), (right + 80, 70, right + 200, 330))
    assert ends(complete_lines(page, pieces).lines) == [(60, right + 140)]


def test_a_line_takes_letters_between_the_strokes_of_a_signature() -> None:
    right = round(60 + FONT.getlength("the old stone bridge"))
    image = drawn((60, 200, "the old stone bridge"), (right + 40, 200, "over"))
    page = strokes(image, (right - 50, 330, right + 80, 70), (right + 80, 70, right + 200, 120))
    ((start, end),) = ends(complete_lines(page, [line(60, right, 200)]).lines)
    assert (start, end) == (60, pytest.approx(right + 40 + FONT.getlength("over"), abs=3))


def test_a_shape_over_the_gutter_of_two_columns_does_not_join_them() -> None:
    texts = [(left, 100 + 50 * row, "the old stone bridge") for row in range(7) for left in (60, 390)]
    image = drawn(*texts)
    page = strokes(image, (355, 180, 367, 320), (367, 320, 360, 180))
    width = FONT.getlength("the old stone bridge")
    found = [line(left, left + width, baseline) for left, baseline, _ in texts]
    assert len(complete_lines(page, found).lines) == 14


def test_cells_on_both_sides_of_a_rule_that_leans_stay_apart() -> None:
    image, found = Image.new("L", (1000, 560), 255), []
    for row in range(10):
        baseline, middle = 60 + 50 * row, 300 + 8 * row
        for text, left in (("over the", middle - 9 - FONT.getlength("over the")), ("river", middle + 9)):
            ImageDraw.Draw(image).text((left, baseline), text, fill=0, font=FONT, anchor="ls")
            found.append(line(left, left + FONT.getlength(text), baseline))
    page = strokes(image, (294, 20, 376, 530))
    assert len(complete_lines(page, found).lines) == 20


def test_small_letters_that_a_large_word_overlaps_belong_to_their_line() -> None:
    image = drawn(*((60, baseline, TEXT) for baseline in (60, 110, 160)))
    big = FONT.font_variant(size=200)
    ImageDraw.Draw(image).text((300, 290), "Nov", fill=0, font=big, anchor="ls")
    right = 60 + FONT.getlength(TEXT)
    lines = [line(60, right, 60), line(60, right, 110), line(60, 290, 160)]
    word = TextLine(np.array([[300, 290], [300 + big.getlength("Nov"), 290]], np.float32), 148, 40, 0.95)
    found = complete_lines(np.asarray(image), [*lines, word]).lines
    assert (60, pytest.approx(right, abs=4)) in ends([each for each in found if each.baseline[0, 1] > 150])
    assert len(found) == 4


def test_columns_and_cells_beside_each_other_stay_apart() -> None:
    page = np.asarray(drawn((60, 200, "the old stone"), (300, 200, "over the river"), (700, 200, "12.50")))
    found = [
        line(left, left + FONT.getlength(text), 200)
        for left, text in ((60, "the old stone"), (300, "over the river"), (700, "12.50"))
    ]
    assert len(complete_lines(page, found).lines) == 3


def entries(*rows: tuple[str, str]) -> tuple[Image.Image, list[TextLine]]:
    """A table of names and marks, of which dashes have no line."""
    texts, found = [], []
    for number, row in enumerate(rows):
        for left, text in zip((60, 500), row, strict=True):
            texts.append((left, 100 + 50 * number, text))
            if text not in ("-", ""):
                found.append(line(left, left + FONT.getlength(text), 100 + 50 * number))
    return drawn(*texts), found


def dashes(image: Image.Image, found: list[TextLine]) -> list[tuple[int, int]]:
    """Where the lines begin, and on which level, that stand in the column of the marks and were not found."""
    lines = complete_lines(np.asarray(image), found).lines
    firsts = [each.baseline[0].tolist() for each in lines if not any(each is own for own in found)]
    return sorted((round(x), round(y)) for x, y in firsts if x > 400)


def test_a_dash_alone_in_a_cell_of_a_table_is_a_line() -> None:
    image, found = entries(("Anna Weber", "17"), ("Robert Moreau", "-"), ("Louis Krause", "25"), ("Maria Duval", "-"))
    draw = ImageDraw.Draw(image)
    for number in range(5):
        draw.line((40, 64 + 50 * number, 640, 64 + 50 * number), fill=0, width=2)
    for x in (40, 480, 640):
        draw.line((x, 64, x, 264), fill=0, width=2)
    (left, second), (_, fourth) = dashes(image, found)
    assert left == pytest.approx(502, abs=3)
    # On the level of the name beside it.
    assert (second, fourth) == (pytest.approx(150, abs=2), pytest.approx(250, abs=2))


def test_dashes_elsewhere_are_no_lines() -> None:
    rows = (("Anna Weber", "17"), ("Robert Moreau", "-"), ("Louis Krause", "25"), ("Maria Duval", "31"))
    image, found = entries(*rows)
    assert len(dashes(image, found)) == 1
    # Nothing stands above or below it, and nothing beside it.
    assert dashes(*entries(*((name, "-" if mark == "-" else "") for name, mark in rows))) == []
    assert dashes(*entries(*(("" if mark == "-" else name, mark) for name, mark in rows))) == []
    # One of a row of dashes, and one of two above each other.
    for mark in ((518, 140, 526, 142), (502, 134, 510, 136)):
        crowded = image.copy()
        ImageDraw.Draw(crowded).rectangle(mark, fill=0)
        assert dashes(crowded, found) == []


def touching_rules(*rows: tuple[str, str]) -> list[tuple[int, int]]:
    """As `dashes`, of rows with a rule under each that its letters touch, whose figures 4 and 7 were not found."""
    texts = [
        (left, 100 + 50 * row, text)
        for row, each in enumerate(rows)
        for left, text in zip((60, 500), each, strict=True)
    ]
    shown = [each for each in texts if each[2] not in ("4", "7", "")]
    found = [line(left, left + FONT.getlength(text), level) for left, level, text in shown]
    image = drawn(*texts)
    for row in range(len(rows)):
        ImageDraw.Draw(image).line((40, 100 + 50 * row, 640, 100 + 50 * row), fill=0, width=2)
    return dashes(image, found)


def test_a_figure_alone_that_touches_a_rule_of_its_table_is_a_line() -> None:
    rows = [("Anna Weber", "1"), ("Robert Moreau", "7"), ("Louis Krause", "2"), ("Maria Duval", "4")]
    assert touching_rules(*rows) == [(pytest.approx(501, abs=3), 150), (pytest.approx(501, abs=3), 250)]
    # Of no row, and of no column.
    assert touching_rules(*rows[:3], ("", "4")) == [(pytest.approx(501, abs=3), 150)]
    assert touching_rules(*((name, mark if mark == "7" else "") for name, mark in rows)) == []


def test_whole_lines_stay_the_same_objects() -> None:
    found = [line(60, 60 + FONT.getlength(TEXT), 200)]
    assert complete_lines(np.asarray(drawn((60, 200, TEXT))), found).lines[0] is found[0]


def test_single_characters_far_from_any_line_are_lines_that_must_be_read_well() -> None:
    page = np.asarray(drawn((60, 200, TEXT), (900, 80, "7"), (60, 400, "A")))
    lines = complete_lines(page, [line(60, 60 + FONT.getlength(TEXT), 200)]).lines
    assert len(lines) == 3
    for single in lines[1:]:
        assert single.confidence == CONFIDENCE
        assert single.ascender == pytest.approx(20, abs=4)
    assert sorted(round(float(single.baseline[0, 1])) for single in lines[1:]) == pytest.approx([80, 400], abs=2)


def test_rules_and_specks_are_no_lines() -> None:
    image = drawn((60, 200, TEXT))
    draw = ImageDraw.Draw(image)
    draw.line((60, 300, 940, 300), fill=0, width=3)
    draw.line((500, 320, 500, 480), fill=0, width=3)
    draw.ellipse((700, 400, 704, 404), fill=0)
    assert len(complete_lines(np.asarray(image), [line(60, 60 + FONT.getlength(TEXT), 200)]).lines) == 1


@pytest.mark.parametrize("quarters", [1, 3])
def test_text_that_runs_up_or_down_is_one_box_and_no_lines(quarters: int) -> None:
    note = Image.new("L", (440, 40), 255)
    ImageDraw.Draw(note).text((4, 30), "copy for the tenant 2019", fill=0, font=FONT, anchor="ls")
    page = np.array(drawn((160, 200, TEXT)))
    page[40:480, 40:80] = np.rot90(np.asarray(note), quarters)
    complete = complete_lines(page, [line(160, 160 + FONT.getlength(TEXT), 200)])
    assert len(complete.lines) == 1
    ((left, top, right, bottom),) = complete.upright
    assert 40 <= left < right <= 80
    assert bottom - top == pytest.approx(FONT.getlength("copy for the tenant 2019"), rel=0.05)


def found_alone(page: Image.Image, column: tuple[int, int], tall: float) -> list[TextLine]:
    """Each component within some columns of a page as a line of its own."""
    left, right = column
    part = (np.asarray(page)[:, left:right] < 128).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(part)
    return [
        TextLine(np.array([[left + x, y + height], [left + x + width, y + height]], np.float32), tall, 0.3 * tall, 0.8)
        for x, y, width, height, area in boxes[1:]
        if area > 20
    ]


def test_letters_of_an_upright_line_that_were_found_each_by_itself_are_one_line() -> None:
    font = ImageFont.load_default(28)
    page = Image.new("L", (900, 700), 255)
    ImageDraw.Draw(page).text((200, 90), "The annual meeting of the society", 0, font, anchor="ls")
    along = Image.new("L", (560, 40), 255)
    ImageDraw.Draw(along).text((0, 32), "Copy for the tenant of the house", 0, font, anchor="ls")
    page.paste(along.rotate(90, expand=True), (60, 100))
    body = TextLine(np.array([[200, 90], [620, 90]], np.float32), 21, 6, 0.9)
    complete = complete_lines(np.asarray(page), [body, *found_alone(page, (60, 100), 18.0)])
    assert [round(float(line.baseline[0, 0])) for line in complete.lines] == [200]
    ((left, top, right, bottom),) = complete.upright
    assert (left > 55, right < 105, bottom - top > 300) == (True, True, True)


def test_letters_above_each_other_are_lines_if_they_are_no_upright_text() -> None:
    font = ImageFont.load_default(28)
    page = Image.new("L", (900, 700), 255)
    ImageDraw.Draw(page).text((200, 90), "The annual meeting of the society", 0, font, anchor="ls")
    levels = [200 + 26 * index for index in range(12)]
    for figure, level in zip("738526498503", levels, strict=True):
        ImageDraw.Draw(page).text((700, level), figure, 0, font, anchor="ls")
    body = TextLine(np.array([[200, 90], [620, 90]], np.float32), 21, 6, 0.9)
    # Half of the figures have been found.
    found = found_alone(page, (690, 740), 20.0)[::2]
    complete = complete_lines(np.asarray(page), [body, *found])
    assert len(complete.lines) == 1
    assert len(complete.upright) == 1
    (instead,) = complete.instead
    assert sorted(round(float(each.baseline[0, 1])) for each in instead) == pytest.approx(levels, abs=2)
    assert sum(any(each is own for own in found) for each in instead) == 6


def test_a_figure_that_was_found_in_part_is_taken_whole() -> None:
    levels = (200, 260, 320)
    page = drawn(*((60, level, TEXT) for level in levels), (700, 200, "8"), (800, 200, "e"))
    body = [line(60, 60 + FONT.getlength(TEXT), level) for level in levels]
    part = TextLine(np.array([[704, 196], [711, 196]], np.float32), 11, 4, 0.8)
    small = TextLine(np.array([[801, 200], [813, 200]], np.float32), 15, 5, 0.8)
    *_, letter, figure = complete_lines(np.asarray(page), [*body, small, part]).lines
    assert figure.baseline[:, 1].mean() == pytest.approx(200, abs=2)
    assert figure.ascender == pytest.approx(20, abs=2)
    assert float(np.ptp(figure.baseline[:, 0])) > 11
    assert letter is small


def test_figures_between_the_rules_of_a_table_have_lines() -> None:
    page = drawn((60, 60, TEXT))
    draw = ImageDraw.Draw(page)
    levels = [150 + 32 * index for index in range(8)]
    for figure, level in zip("73852649", levels, strict=True):
        draw.text((700, level), figure, 0, FONT, anchor="ls")
        draw.line((500, level + 4, 950, level + 4), 0, 5)
    complete = complete_lines(np.asarray(page), [line(60, 60 + FONT.getlength(TEXT), 60)])
    assert sorted(round(float(each.baseline[0, 1])) for each in complete.lines[1:]) == pytest.approx(levels, abs=2)


def test_numbers_in_the_cells_of_a_grid_have_lines_and_the_grid_has_none() -> None:
    page = drawn((60, 60, TEXT), (60, 100, TEXT))
    draw = ImageDraw.Draw(page)
    places = [(300 + 50 * column, 120 + 50 * row) for row in range(6) for column in range(6)]
    for number, (x, y) in enumerate(places):
        draw.rectangle((x, y, x + 46, y + 46), outline=0, fill=0 if number % 7 == 3 else 255)
        if number % 7 != 3:
            draw.text((x + 6, y + 26), str(number + 10), 0, ImageFont.load_default(22), anchor="ls")
    # The detector may take the grid for a large word.
    grid = TextLine(np.array([[300, 410], [600, 410]], np.float32), 280, 80, 0.67)
    found = [*(line(60, 60 + FONT.getlength(TEXT), level) for level in (60, 100)), grid]
    complete = complete_lines(np.asarray(page), found)
    levels = [y + 26 for number, (_, y) in enumerate(places) if number % 7 != 3]
    assert sorted(round(float(each.baseline[0, 1])) for each in complete.lines[2:]) == pytest.approx(levels, abs=2)


def test_a_line_far_taller_than_its_letters_may_be_as_tall_as_these() -> None:
    page = np.asarray(drawn((60, 100, TEXT), (60, 260, TEXT)))
    right = 60 + FONT.getlength(TEXT)
    # As where the staves of music stand between the lines.
    tall = TextLine(np.array([[60, 266], [right, 266]], np.float32), 44, 18, 0.85)
    complete = complete_lines(page, [line(60, right, 100), tall])
    (place,), (fitted,) = zip(*fitted_lines(complete.lines, complete.ink).items(), strict=True)
    assert complete.lines[place] is tall
    assert fitted.ascender == pytest.approx(21, abs=3)
    assert fitted.baseline[:, 1] == pytest.approx(260, abs=2)


def test_a_line_with_ink_as_high_as_its_ascender_is_as_tall() -> None:
    image = drawn((60, 100, TEXT), (60, 260, TEXT))
    right = 60 + FONT.getlength(TEXT)
    for x in range(70, round(right), 60):
        ImageDraw.Draw(image).line((x, 218, x + 8, 228), fill=0, width=3)
    tall = TextLine(np.array([[60, 260], [right, 260]], np.float32), 44, 18, 0.85)
    complete = complete_lines(np.asarray(image), [line(60, right, 100), tall])
    assert not fitted_lines(complete.lines, complete.ink)


def test_short_words_set_upright_in_one_pitch_are_one_box() -> None:
    page = Image.new("L", (900, 700), 255)
    ImageDraw.Draw(page).text((200, 90), "The annual meeting of the society", 0, FONT, anchor="ls")
    along = Image.new("L", (400, 40), 255)
    for place, letter in enumerate("do as you go in 24 h"):
        ImageDraw.Draw(along).text((10 + 19 * place, 32), letter, 0, FONT, anchor="ms")
    page.paste(along.rotate(90, expand=True), (60, 100))
    body = TextLine(np.array([[200, 90], [620, 90]], np.float32), 21, 6, 0.9)
    complete = complete_lines(np.asarray(page), [body, *found_alone(page, (60, 100), 18.0)])
    assert len(complete.lines) == 1
    ((_, top, _, bottom),) = complete.upright
    # The last letter stands alone.
    assert bottom - top == pytest.approx(19 * 19 + 14, abs=10)


def test_figures_above_each_other_stay_lines() -> None:
    font = ImageFont.load_default(28)
    page = Image.new("L", (900, 700), 255)
    for index, figure in enumerate("7385264985"):
        ImageDraw.Draw(page).text((200, 90 + 34 * index), "An item of the list", 0, font, anchor="ls")
        ImageDraw.Draw(page).text((700, 90 + 34 * index), figure, 0, font, anchor="ls")
    items = [
        TextLine(np.array([[200, 90 + 34 * index], [430, 90 + 34 * index]], np.float32), 21, 6, 0.9)
        for index in range(10)
    ]
    complete = complete_lines(np.asarray(page), [*items, *found_alone(page, (690, 740), 20.0)])
    assert len(complete.lines) == 20
    assert complete.upright == []


@pytest.mark.parametrize("side", [0, 1], ids=["before", "after"])
@pytest.mark.parametrize("mark", ["-", "\N{EN DASH}", "\N{BULLET}"])
def test_a_mark_that_stands_alone_at_an_end_belongs_to_the_line(mark: str, side: int) -> None:
    width, space = FONT.getlength("12.50"), FONT.getlength(" ")
    left = 300 - space - FONT.getlength(mark) if side == 0 else 300 + width + space
    page = np.asarray(drawn((300, 200, "12.50"), (round(left), 200, mark)))
    whole = complete_lines(page, [line(300, 300 + width, 200)]).lines
    assert len(whole) == 1
    inked = np.flatnonzero((page < 128).any(axis=0))
    assert whole[0].baseline[0, 0] <= inked[0] + 3
    assert whole[0].baseline[-1, 0] >= inked[-1] - 3


def test_a_minus_between_a_rule_and_an_amount_belongs_to_the_amount() -> None:
    image = drawn((400, 200, "-12.50"))
    start = 400 + FONT.getlength("-")
    ImageDraw.Draw(image).line((60, 199, 392, 199), fill=0, width=2)
    (whole,) = complete_lines(np.asarray(image), [line(start, 400 + FONT.getlength("-12.50"), 200)]).lines
    assert 398 <= whole.baseline[0, 0] <= 404


def test_specks_and_what_stands_far_beyond_an_end_are_no_part_of_a_line() -> None:
    right = 60 + FONT.getlength(TEXT)
    image = drawn((60, 200, TEXT), (round(right) + 24, 200, "."))
    ImageDraw.Draw(image).point([(round(right) + 4 + step, 190) for step in (0, 4, 8)], fill=0)
    found = line(60, right, 200)
    assert complete_lines(np.asarray(image), [found]).lines[0] is found


def test_a_dotted_line_beside_text_is_no_part_of_it() -> None:
    right = 60 + FONT.getlength(TEXT)
    marks = [(round(right) + 10 + 14 * place, 200, "-") for place in range(12)]
    page = np.asarray(drawn((60, 200, TEXT), *marks))
    assert complete_lines(page, [line(60, right, 200)]).lines[0].baseline[-1, 0] == pytest.approx(right, abs=1)


def test_noise_takes_seconds() -> None:
    # Tens of thousands of specks as large as letters.
    noise = np.random.default_rng(0).integers(0, 256, (2400, 1800), dtype=np.uint8)
    start = time.process_time()
    assert len(complete_lines(noise, [line(100, 400, 500)]).ink.area) > 20_000
    assert time.process_time() - start < 15


def ruled(*texts: tuple[int, int, str], thickness: int = 3) -> Image.Image:
    """A page with texts that begin at (x, baseline), and a rough upright rule at 400 from 60 to 460."""
    image = drawn(*texts)
    ImageDraw.Draw(image).line((400, 60, 402, 460), fill=90, width=thickness)
    pixels = np.asarray(image).astype(np.float32) + np.random.default_rng(0).normal(0, 12, (500, 1000))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("thickness", [1, 3, 6])
def test_cells_on_both_sides_of_an_upright_rule_are_lines_of_their_own(thickness: int) -> None:
    numbers = ("139", "7", "2342.15", "46")
    rows = [(90 + 90 * row, number) for row, number in enumerate(numbers)]
    texts = [(round(390 - FONT.getlength(number)), y, number) for y, number in rows]
    page = np.asarray(ruled(*texts, *((412, y, "Oak shelf") for y, _ in rows), thickness=thickness))
    found = [line(left, 412 + FONT.getlength("Oak shelf"), y) for left, y, _ in texts]
    cells = ends(complete_lines(page, found).lines)
    assert len(cells) == 8
    assert all(end == pytest.approx(390, abs=5) for _, end in cells[:4])
    assert all(start == pytest.approx(412, abs=5) for start, _ in cells[4:])


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_lines_of_two_columns_end_at_the_rule_that_they_touch_and_those_that_interrupt_it_do_not(
    is_interrupted: bool,
) -> None:
    """Where nearly all lines end and begin at a rule, a line that runs up to it is not one with that behind it."""
    words, rows = "Oak shelf", [80 + 50 * row for row in range(8)]
    width = FONT.getlength(words)
    # The third line touches the rule on both sides, or the rule is interrupted for it.
    gap = 2 if not is_interrupted else 10
    texts = [(round(400 - width - (gap if row == 2 else 12)), y, words) for row, y in enumerate(rows)]
    texts += [(404 if row == 2 and not is_interrupted else 412, y, words) for row, y in enumerate(rows)]
    image = ruled(*texts, thickness=2)
    if is_interrupted:
        ImageDraw.Draw(image).rectangle((396, rows[2] - 35, 406, rows[2] + 12), fill=255)
        ImageDraw.Draw(image).text((392, rows[2]), "n", fill=0, font=FONT, anchor="ls")
    found = [line(x, x + width, y) for x, y, _ in texts]
    joined = line(texts[2][0], texts[10][0] + width, rows[2])
    found = [each for row, each in enumerate(found) if row not in (2, 10)] + [joined]
    lines = ends(complete_lines(np.asarray(image), found).lines)
    assert len(lines) == (15 if is_interrupted else 16)
    if not is_interrupted:
        assert all(right < 404 or left > 396 for left, right in lines)


@pytest.mark.parametrize(("start", "level", "parts"), [(412, 440, 2), (430, 440, 1), (412, 40, 1)])
def test_lines_below_the_end_of_a_rule_between_columns_are_parted_where_the_others_begin(
    start: int, level: int, parts: int
) -> None:
    """The lower end of a rule may be too faint to be seen; a heading above or below it goes across."""
    words, rows = "Oak shelf", [85 + 45 * row for row in range(8)]
    width = FONT.getlength(words)
    texts = [(left, y, words) for y in rows for left in (round(388 - width), 412)]
    last = [(round(388 - width), level, words), (start, level, words)]
    image = ruled(*texts, *last, thickness=2)
    ImageDraw.Draw(image).rectangle((398, 410, 404, 470), fill=255)
    found = [line(x, x + width, y) for x, y, _ in texts] + [line(last[0][0], start + width, level)]
    lines = complete_lines(np.asarray(image), found).lines
    assert sum(abs(each.baseline[0, 1] - level) < 10 for each in lines) == parts


def test_lines_on_squared_paper_stay_whole_and_numbers_in_a_grid_do_not() -> None:
    """Letters stand on some of the rules of squared paper, between cells they do not."""
    grid = drawn()
    for x in range(40, 1000, 48):
        ImageDraw.Draw(grid).line((x, 20, x, 480), fill=120, width=1)
    paper = grid.copy()
    found = [line(54, 74 + 48 * 14, 90 + 60 * row) for row in range(6)]
    for row in range(6):
        for column in range(15):
            # At each rule, a letter of one line of six stands on it.
            on_rule = 24 if column % 6 == row and column < 14 else 0
            at = (64 + 48 * column + on_rule, 90 + 60 * row)
            ImageDraw.Draw(paper).text(at, "a", fill=0, font=FONT, anchor="ms")
    # Pieces of the rules are told from text later.
    whole = [end for end in ends(complete_lines(np.asarray(paper), found).lines) if end[1] - end[0] > 5]
    assert whole == ends(found)
    for row in range(6):
        for column in range(15):
            ImageDraw.Draw(grid).text((64 + 48 * column, 90 + 60 * row), "7", fill=0, font=FONT, anchor="ms")
    assert len(complete_lines(np.asarray(grid), found).lines) == 6 * 15


def test_lines_that_cross_the_rule_of_a_margin_stay_whole() -> None:
    # At the rule some have a space, others a letter.
    texts = [(60 + 7 * row, 90 + 70 * row, TEXT) for row in range(6)]
    found = [line(left, left + FONT.getlength(TEXT), y) for left, y, _ in texts]
    assert ends(complete_lines(np.asarray(ruled(*texts)), found).lines) == ends(found)


def test_a_scratch_between_the_letters_of_typewriting_parts_no_lines() -> None:
    """All letters of typewriting have one width, so that those of many lines end at the same column."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf", 28)
    texts = [
        "and I am quite willing to wait",
        "that it would still be of use",
        "in a day or so till the mail is",
        "as usual",
        "that the price will be higher",
    ]
    pitch = font.getlength("n")
    left = round(400 - 17 * pitch)
    image = Image.new("L", (1000, 500), 255)
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(texts):
        draw.text((left, 60 + 90 * row), text, fill=0, font=font, anchor="ls")
    draw.line((400, 10, 400, 490), fill=60, width=1)
    found = [line(left, left + pitch * len(text), 60 + 90 * row) for row, text in enumerate(texts)]
    assert ends(complete_lines(np.asarray(image), found).lines) == ends(found)


def typed_letter(*cells: tuple[int, int, str]) -> tuple[np.ndarray, list[TextLine], float]:
    """Lines of typewriting, with cells, at (column, row), below them; each is found. Returns also the pitch."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf", 28)
    pitch = font.getlength("n")
    body = [(0, row, "I am quite willing to wait for it till the mail is in") for row in range(3)]
    image = Image.new("L", (1000, 500), 255)
    found = []
    for column, row, text in body + list(cells):
        left, level = 40 + column * pitch, 60 + 45 * row
        ImageDraw.Draw(image).text((left, level), text, fill=0, font=font, anchor="ls")
        found.append(line(left, left + pitch * len(text), level))
    return np.asarray(image), found, pitch


@pytest.mark.parametrize("rows", [1, 2])
def test_words_that_stand_apart_as_words_of_the_text_do_are_one_line(rows: int) -> None:
    words = [(column, 4 + row, word) for row in range(rows) for column, word in ((20, "Yours"), (26, "truly,"))]
    page, found, pitch = typed_letter(*words)
    lines = complete_lines(page, found).lines
    assert ends(lines) == sorted(ends(found[:3]) + rows * [(round(40 + 20 * pitch), round(40 + 32 * pitch))])


def test_cells_that_stand_apart_as_words_of_the_text_do_stay_apart() -> None:
    """What parts the cells of a table parts several lines."""
    cells = [(column, 4 + row, word) for row in range(4) for column, word in ((20, "12.50"), (26, "14.80"))]
    page, found, _ = typed_letter(*cells)
    assert ends(complete_lines(page, found).lines) == ends(found)


def test_the_number_of_a_paragraph_stays_apart_from_its_first_line() -> None:
    page, found, _ = typed_letter((5, 4, "5.5"), *((9, row, "Our prices will be higher") for row in range(4, 7)))
    assert ends(complete_lines(page, found).lines) == ends(found)


def test_what_stands_farther_apart_than_words_of_the_text_do_stays_apart() -> None:
    page, found, _ = typed_letter((20, 4, "Paris,"), (28, 4, "12 March"))
    assert ends(complete_lines(page, found).lines) == ends(found)


def paragraph(image: Image.Image) -> list[TextLine]:
    """Draw five lines, and return them but for the end of the third."""
    right = 60 + FONT.getlength(TEXT)
    for baseline in range(100, 300, 40):
        ImageDraw.Draw(image).text((60, baseline), TEXT, fill=0, font=FONT, anchor="ls")
    return [line(60, 300 if baseline == 180 else right, baseline) for baseline in range(100, 300, 40)]


@pytest.mark.parametrize("found", ["whole", "cut"])
def test_a_line_goes_on_to_the_margin_of_the_lines_around_it_and_not_into_what_stands_beyond(found: str) -> None:
    image = drawn((60 + round(FONT.getlength(TEXT)) + 14, 180, "38 B"))
    lines, right = paragraph(image), 60 + FONT.getlength(TEXT)
    if found == "whole":
        lines[2] = line(60, right, 180)
    assert all(
        end == pytest.approx(right, abs=6)
        for start, end in ends(complete_lines(np.asarray(image), lines).lines)
        if start == 60
    )


def test_the_longest_line_goes_on_to_the_end_of_its_last_letter() -> None:
    right = 60 + FONT.getlength(TEXT)
    page = np.asarray(drawn((60, 180, TEXT + "l"), *((60, y, "the old stone") for y in (140, 220))))
    shorter = [line(60, 60 + FONT.getlength("the old stone"), y) for y in (140, 220)]
    found = ends(complete_lines(page, [line(60, right, 180), *shorter]).lines)
    assert len(found) == 3
    assert found[-1][1] > right + 3


def test_lines_that_break_at_the_same_letters_become_whole() -> None:
    image = drawn()
    lines = paragraph(image)
    broken = [line(*each, 100 + 40 * row) for row in range(5) for each in ((60, 300), (340, lines[0].baseline[-1, 0]))]
    assert len(complete_lines(np.asarray(image), broken).lines) == 5


def test_a_line_does_not_go_on_along_a_flourish() -> None:
    image = drawn((60, 200, TEXT))
    right = 60 + FONT.getlength(TEXT)
    ImageDraw.Draw(image).line((right + 8, 192, right + 120, 180, right + 220, 196), fill=0, width=3)
    ((start, end),) = ends(complete_lines(np.asarray(image), [line(60, right, 200)]).lines)
    assert (start, end) == (60, round(right))


@pytest.mark.parametrize(("mark", "gap"), [("*", 0.8), ("*", 1.1), ("-", 0.8)])
def test_a_row_of_raised_marks_belongs_to_the_line_of_its_words(mark: str, gap: float) -> None:
    row, space = " ".join(4 * mark), round(gap * 21)
    start = 60 + FONT.getlength("Card number")
    middle = start + space + FONT.getlength(row)
    image = drawn((60, 200, "Card number"), (round(start) + space, 200, row), (round(middle) + space, 200, "7765"))
    right = middle + space + FONT.getlength("7765")
    box = Image.eval(image.crop((round(start) + 2, 0, round(middle) + 2, 500)), lambda level: 255 - level).getbbox()
    assert box is not None
    marks = TextLine(np.array([[start + space, box[3]], [middle, box[3]]], np.float32), box[3] - box[1] + 2, 4, 0.9)
    found = [line(60, start, 200), marks, line(middle + space, right, 200), line(60, 500, 400)]
    whole = complete_lines(np.asarray(image), found).lines
    assert ends(whole) == [(60, pytest.approx(right, abs=4)), (60, 500)]
    assert [each.baseline[0, 1] for each in whole if each.baseline[-1, 0] != 500] == [pytest.approx(200, abs=3)]


def test_words_in_small_print_beside_large_words_and_marks_far_from_them_stay_apart() -> None:
    small = ImageFont.load_default(12)
    image = drawn((60, 200, "Heading"), (60, 400, TEXT), (400, 200, "* * *"))
    start = 60 + FONT.getlength("Heading")
    ImageDraw.Draw(image).text((start + 8, 190), "small print", fill=0, font=small, anchor="ls")
    print_ = TextLine(np.array([[start + 8, 190], [start + 80, 190]], np.float32), 9, 3, 0.9)
    marks = TextLine(np.array([[400, 198], [456, 198]], np.float32), 13, 4, 0.9)
    found = [line(60, start, 200), line(60, 60 + FONT.getlength(TEXT), 400), marks, print_]
    whole = ends(complete_lines(np.asarray(image), found).lines)
    assert len(whole) == 4
    assert (60, round(start)) in whole
