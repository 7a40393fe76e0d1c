"""Check boxes become words beside their labels, and a row of boxes for a letter each becomes one word."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.document import Line, Word
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.form_boxes import CheckBox, FormBoxes, find_form_boxes, label
from paragraph_ocr.pipeline.ink import find_ink
from paragraph_ocr.pipeline.reader import PageReader

FONT = ImageFont.load_default(30)
ASCENDER = 24


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


def sheet() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (1100, 500), 255)
    return image, ImageDraw.Draw(image)


def written(draw: ImageDraw.ImageDraw, x: int, bottom: int, text: str) -> TextLine:
    draw.text((x, bottom), text, 0, FONT, anchor="ls")
    right = x + draw.textlength(text, FONT)
    return TextLine(np.array([[x, bottom], [right, bottom]], np.float32), ASCENDER, 7, 0.9)


def comb(draw: ImageDraw.ImageDraw, letters: str, left: int = 300, top: int = 100, side: int = 48) -> None:
    for index, letter in enumerate(letters):
        x = left + index * side
        draw.rectangle((x, top, x + side, top + side), outline=60, width=2)
        draw.text((x + side / 2, top + side - 10), letter, 0, FONT, anchor="ms")


def check_box(draw: ImageDraw.ImageDraw, x: int, bottom: int, mark: str, side: int = 28) -> None:
    draw.rectangle((x, bottom - side, x + side, bottom), outline=0, width=3)
    if mark == "x":
        draw.line((x + 4, bottom - side + 4, x + side - 4, bottom - 4), 0, 3)
        draw.line((x + 4, bottom - 4, x + side - 4, bottom - side + 4), 0, 3)
    if mark == "v":
        # A tick that a hand has drawn beyond the box.
        draw.line([(x + 5, bottom - 14), (x + 12, bottom - 5), (x + side + 4, bottom - side - 6)], 0, 4)


def find(image: Image.Image, lines: list[TextLine]) -> FormBoxes:
    page = np.asarray(image)
    return find_form_boxes(page, lines, find_ink(page, 16 / ASCENDER))


@pytest.mark.parametrize(("mark", "text"), [("", "[ ]"), ("x", "[x]"), ("v", "[x]")])
def test_a_check_box_is_ticked_or_not(mark: str, text: str) -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 80, "Do you smoke?"), written(draw, 350, 80, "Yes")]
    check_box(draw, 300, 82, mark)
    found = find(image, lines)
    assert [each.word.text for each in found.check_boxes] == [text]
    assert found.check_boxes[0].confidence > 0.8
    left, top, right, bottom = found.check_boxes[0].box
    assert np.abs(np.array([left, top, right, bottom]) - [300, 54, 329, 83]).max() < 4
    assert found.page is not None
    assert found.page[50:90, 296:336].min() > 200
    assert np.array_equal(found.page[:, 345:], np.asarray(image)[:, 345:])


def test_a_box_without_a_label_is_none() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 80, "Do you smoke?")]
    check_box(draw, 800, 400, "x")
    assert find(image, lines).page is None


def test_letters_and_tables_are_no_boxes() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 80, "DOBRO B08 HEFT 4711 OPEL"), written(draw, 40, 180, "QUADRAT 600 D0 BODEN")]
    for row in range(3):
        comb(draw, "842", 300, 250 + 48 * row)
    found = find(image, lines)
    assert (found.check_boxes, found.combs, found.page) == ([], [], None)


@pytest.mark.parametrize("mark", ["", "x"])
def test_a_slab_serif_letter_that_closes_with_the_next_is_no_box(mark: str) -> None:
    image, draw = sheet()
    lines = [written(draw, 60, 160, "KAFF"), written(draw, 60, 260, "Yes")]
    right = round(60 + FONT.getlength("KAFF"))
    # Two letters E, of which the upper and the lower arm of the first touch the stem of the second.
    first, second = right + 3, right + 25
    for x, arms in ((first, (22, 10, 22)), (second, (20, 10, 20))):
        draw.line((x, 139, x, 159), fill=0, width=3)
        for y, arm in zip((139, 149, 159), arms, strict=True):
            draw.line((x, y, x + arm, y), fill=0, width=3)
        draw.line((x + 10, 146, x + 10, 152), fill=0, width=2)
    check_box(draw, 140, 260, mark)
    found = find(image, lines)
    assert [each.ticked for each in found.check_boxes] == [bool(mark)]
    assert found.check_boxes[0].box[1] > 200


@pytest.mark.parametrize(("size", "stroke"), [(30, 0), (60, 0), (60, 3), (44, 2)])
def test_round_capitals_of_any_size_are_no_boxes(size: int, stroke: int) -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 80, "Do you smoke?")]
    heading = ImageFont.load_default(size)
    draw.text((40, 200), "DOBRO ODER QUOD 0 O", 0, heading, anchor="ls", stroke_width=stroke)
    lines.append(TextLine(np.array([[40, 200], [900, 200]], np.float32), 0.75 * size, 7, 0.9))
    assert find(image, lines).check_boxes == []


def test_round_boxes_are_found() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 80, "Do you smoke?"), written(draw, 350, 80, "Yes"), written(draw, 550, 80, "No")]
    for left in (305, 505):
        draw.ellipse((left, 52, left + 30, 82), outline=0, width=5)
    draw.ellipse((514, 61, 526, 73), fill=0)
    found = sorted(find(image, lines).check_boxes, key=lambda each: each.box)
    assert [each.ticked for each in found] == [False, True]


def circle(draw: ImageDraw.ImageDraw, x: int, y: int, mark: str, grey: int = 0, width: int = 2) -> None:
    """A round box with its middle at a point."""
    draw.ellipse((x - 15, y - 15, x + 15, y + 15), outline=grey, width=width)
    if mark == "dot":
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=0)
    if mark == "x":
        draw.line((x - 19, y - 17, x + 18, y + 20), 0, 4)
        draw.line((x - 17, y + 18, x + 20, y - 18), 0, 4)
    if mark == "v":
        draw.line([(x - 8, y), (x - 1, y + 9), (x + 20, y - 20)], 0, 4)


@pytest.mark.parametrize(("grey", "width"), [(0, 1), (0, 4), (120, 2), (190, 2), (220, 2)])
@pytest.mark.parametrize("mark", ["dot", "x", "v"])
def test_round_boxes_of_any_line_are_ticked_or_not(grey: int, width: int, mark: str) -> None:
    """Also where a tick goes beyond the circle, and where the label is at its left."""
    image, draw = sheet()
    lines = [written(draw, 40, 80, "Do you smoke?"), written(draw, 40, 180, "Any allergies?")]
    for row, ticked in enumerate(("Yes", "No")):
        for column, text in enumerate(("Yes", "No")):
            circle(draw, 330 + 200 * column, 70 + 100 * row, mark if text == ticked else "", grey, width)
            lines.append(written(draw, 360 + 200 * column, 80 + 100 * row, text))
    lines.append(written(draw, 700, 280, "Other"))
    circle(draw, 830, 270, "", grey, width)
    found = sorted(find(image, lines).check_boxes, key=lambda each: (each.box[1] // 50, each.box[0]))
    assert [each.ticked for each in found] == [True, False, False, True, False]
    assert np.abs(np.array(found[0].box) - [315, 55, 346, 86]).max() < 5


def test_round_capitals_below_a_round_icon_are_no_boxes() -> None:
    image, draw = sheet()
    font = ImageFont.load_default(40)
    lines = []
    left, top, right, bottom = font.getbbox("O", anchor="ls")
    for row, text in enumerate(["Continue", "Home", "Close", "Groups"]):
        level = 100 + 90 * row
        if text == "Home":
            draw.ellipse((40 + left, level + top, 40 + right, level + bottom), outline=0, width=4)
            draw.text((100, level), text, 0, font, anchor="ls")
        else:
            draw.text((40, level), text, 0, font, anchor="ls")
        lines.append(TextLine(np.array([[40, level], [300, level]], np.float32), 30, 9, 0.9))
    assert all(180 < check_box.box[1] + 30 < 240 for check_box in find(image, lines).check_boxes)


def test_hollow_bullets_are_no_boxes() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 80 + 60 * row, f"o  item number {row}") for row in range(4)]
    assert find(image, lines).check_boxes == []


def test_a_box_may_be_solid_but_for_its_tick() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 80, "Do you smoke?"), written(draw, 350, 80, "Yes"), written(draw, 550, 80, "No")]
    draw.rectangle((300, 54, 329, 83), fill=90)
    draw.line([(306, 68), (312, 76), (323, 60)], 255, 4)
    # Without another box of its size, it is a picture.
    assert find(image, lines).check_boxes == []
    check_box(draw, 500, 82, "")
    found = sorted(find(image, lines).check_boxes, key=lambda each: each.box)
    assert [each.ticked for each in found] == [True, False]


@pytest.mark.parametrize(("side", "wall", "radius"), [(22, 5, 2), (26, 6, 3)])
def test_boxes_with_thick_walls_are_found(side: int, wall: int, radius: int) -> None:
    image, draw = sheet()
    lines = []
    for row, text in enumerate(["Tomatoes", "Butter", "Licence", "Oak COD DOCK"]):
        bottom = 60 + 60 * row
        lines.append(written(draw, 90, bottom, text))
        box = (40, bottom - side + 2, 40 + side, bottom + 2)
        draw.rounded_rectangle(box, radius, outline=0, width=wall)
        if row == 1:
            inner = (40 + wall, bottom - side + 2 + wall, 40 + side - wall, bottom + 2 - wall)
            draw.line(inner, 0, 2)
            draw.line((inner[0], inner[3], inner[2], inner[1]), 0, 2)
    found = find(image, lines)
    assert [each.word.text for each in sorted(found.check_boxes, key=lambda each: each.box[1])] == [
        "[ ]", "[x]", "[ ]", "[ ]",
    ]  # fmt: skip


@pytest.mark.parametrize("grey", [130, 190, 221])
def test_combs_and_boxes_of_faint_lines_are_found(grey: int) -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 140, "Surname"), written(draw, 40, 280, "Are you over 18?")]
    for index, letter in enumerate("MARTINEZ    "):
        x = 300 + 42 * index
        draw.rectangle((x, 100, x + 42, 148), outline=grey, width=2)
        draw.text((x + 21, 138), letter, 0, FONT, anchor="ms")
    for x, text in ((400, "Yes"), (600, "No")):
        draw.rectangle((x, 254, x + 28, 282), outline=grey, width=2)
        lines.append(written(draw, x + 40, 280, text))
    draw.line((604, 258, 624, 278), 0, 3)
    draw.line((604, 278, 624, 258), 0, 3)
    found = find(image, lines)
    assert [len(each.cells) for each in found.combs] == [12]
    assert [each.ticked for each in sorted(found.check_boxes, key=lambda each: each.box)] == [False, True]


@pytest.mark.parametrize("grey", [150, 215])
def test_squared_paper_has_no_boxes(grey: int) -> None:
    """Writing interrupts its lines, so that some squares stand alone."""
    image, draw = sheet()
    for at in range(0, 1100, 36):
        draw.line((at, 0, at, 500), fill=grey, width=1)
        draw.line((0, at, 1100, at), fill=grey, width=1)
    lines = [written(draw, 40, 80 + 72 * row, "We walked to the old mill and DOBRO 0 OPEL B8") for row in range(5)]
    found = find(image, lines)
    assert (found.check_boxes, found.combs) == ([], [])


def test_a_row_of_squared_paper_between_written_rows_is_no_comb() -> None:
    """Writing hides the walls of the squares above and below, so that the row seems to stand alone."""
    image = Image.new("L", (1100, 1000), 255)
    draw = ImageDraw.Draw(image)
    for place in range(0, 1100, 46):
        draw.line((place, 0, place, 1000), 90, 2)
        draw.line((0, place, 1100, place), 90, 2)
    lines = []
    for row in range(6, 9):
        bottom = 46 * row + 30
        for x in range(0, 1050, 46):
            # Letters on the upright rules of the rows above and below the free one.
            if row != 7:
                draw.line((x, bottom - 26, x + 20, bottom), 255, 9)
        lines.append(written(draw, 300, bottom, "the old stone bridge over the river"))
    found = find(image, lines)
    assert (found.combs, found.page) == ([], None)


@pytest.mark.parametrize(
    ("groups", "gap", "text"),
    [(["7", "5", "0", "1", "1"], 10, "75011"), (["04", "07", "1986"], 30, "04 07 1986")],
    ids=["cells apart", "groups apart"],
)
def test_cells_of_a_comb_may_stand_apart(reader: PageReader, groups: list[str], gap: int, text: str) -> None:
    image, draw = sheet()
    written(draw, 40, 138, "Date")
    written(draw, 40, 338, "Remarks of the office that issued this form")
    left = 300
    for group in groups:
        comb(draw, group, left, side=42)
        left += 42 * len(group) + gap
    page = reader.read_image(np.asarray(image), "form.png")
    assert text in [line.text for line in page.lines]


def test_the_corners_of_a_qr_code_are_no_boxes() -> None:
    image, draw = sheet()
    lines = [written(draw, 350, 80, "Scan me")]
    for left, top in ((250, 40), (300, 40), (250, 90)):
        draw.rectangle((left, top, left + 27, top + 27), fill=0)
        draw.rectangle((left + 4, top + 4, left + 23, top + 23), fill=255)
        draw.rectangle((left + 8, top + 8, left + 19, top + 19), fill=0)
    assert find(image, lines).check_boxes == []


def test_a_comb_is_read_as_a_word_where_it_stands(reader: PageReader) -> None:
    image, draw = sheet()
    written(draw, 40, 138, "Surname")
    written(draw, 40, 338, "Remarks of the office that issued this form")
    comb(draw, "MARTINEZ    ")
    page = reader.read_image(np.asarray(image), "form.png")
    texts = [line.text for line in page.lines]
    assert texts[1] == "MARTINEZ"
    assert texts[0].lower() == "surname"
    (word,) = page.lines[1].words
    (left, top, right, bottom) = page.lines[1].box
    assert np.abs(np.array([left, right]) - [310, 674]).max() < 12
    assert 100 <= top < 125 < bottom < 165
    assert min(x for x, _ in word.polygon) >= left - 12


def open_comb(
    draw: ImageDraw.ImageDraw, letters: str, left: int = 300, rule: int = 150, tick: int = 16, slope: float = 0.0
) -> None:
    """A rule with upright ticks on it, between which a letter stands each."""
    side = 36
    for index, letter in enumerate(letters):
        x, y = left + index * side, round(rule + slope * index * side)
        draw.line((x, y, x + side, round(y + slope * side)), fill=40, width=2)
        draw.line((x, y, x, y - tick), fill=40, width=2)
        draw.text((x + side / 2, y - 8), letter, 0, FONT, anchor="ms")
    x, y = left + len(letters) * side, round(rule + slope * len(letters) * side)
    draw.line((x, y, x, y - tick), fill=40, width=2)


@pytest.mark.parametrize("slope", [0.0, 0.04])
@pytest.mark.parametrize("tick", [12, 20, 48])
def test_a_comb_that_is_open_above_is_read_without_its_ticks(reader: PageReader, tick: int, slope: float) -> None:
    image, draw = sheet()
    written(draw, 40, 138, "Surname")
    written(draw, 40, 338, "Remarks of the office that issued this form")
    open_comb(draw, "MARTINEZ      ", tick=tick, slope=slope)
    page = reader.read_image(np.asarray(image), "form.png")
    assert [line.text for line in page.lines][1] == "MARTINEZ"
    assert len(page.lines) == 3


@pytest.mark.parametrize("tick", [16, 60])
def test_an_open_comb_without_letters_is_wiped(tick: int) -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 138, "Surname")]
    open_comb(draw, "          ", tick=tick)
    found = find(image, lines)
    assert found.combs == []
    assert found.page is not None
    assert found.page[70:200, 290:].min() > 200


def test_the_walls_of_closed_boxes_are_no_open_comb() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 138, "Surname")]
    comb(draw, "MARTINEZ")
    # Its boxes are found once, up to the upper rule.
    (found,) = find(image, lines).combs
    assert found.cells[0][1] == pytest.approx(100, abs=4)
    # In two rows they are a table.
    comb(draw, "HOLLOWAY", top=148)
    assert find(image, lines).page is None


def test_underlined_text_and_axes_are_no_combs() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 100, "HILL LILLIE MILLION 1111"), written(draw, 40, 200, "Figure 1")]
    draw.line((40, 102, 500, 102), fill=0, width=2)
    for x in range(560, 1000, 40):
        draw.line((x, 400, x, 390), fill=0, width=2)
        draw.rectangle((x + 8, 240 + x % 90, x + 30, 398), fill=60)
    draw.line((560, 400, 1000, 400), fill=0, width=2)
    assert find(image, lines).combs == []


@pytest.mark.parametrize(("label", "text"), [("Name", "ANNA BERG"), ("Code", "PD-206")])
def test_words_and_marks_in_a_comb_are_one_line(reader: PageReader, label: str, text: str) -> None:
    image, draw = sheet()
    written(draw, 40, 138, label)
    written(draw, 40, 338, "Remarks of the office that issued this form")
    comb(draw, text)
    page = reader.read_image(np.asarray(image), "form.png")
    assert text in [line.text for line in page.lines]


@pytest.mark.parametrize(("side", "size"), [(28, 30), (32, 38)])
def test_letters_that_touch_the_walls_of_a_comb_do_not_part_it(side: int, size: int) -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 90, "Name and first name")]
    for index, letter in enumerate("KUHLMANN"):
        x = 300 + index * side
        draw.rectangle((x, 100, x + side, 100 + side + 8), outline=60, width=2)
        font = ImageFont.load_default(size)
        draw.text((x + side / 2, 100 + side + 2), letter, 0, font, anchor="ms", stroke_width=1)
    assert [len(each.cells) for each in find(image, lines).combs] == [8]


def test_what_stands_above_the_lower_end_of_an_aslant_comb_stays() -> None:
    image, draw = sheet()
    lines = [written(draw, 300, 150, "Telephone"), written(draw, 40, 400, "Signature of the owner")]
    for index, letter in enumerate("0441273815"):
        x, y = 300 + index * 48, 170 - 4 * index
        draw.rectangle((x, y, x + 48, y + 48), outline=60, width=2)
        draw.text((x + 24, y + 38), letter, 0, FONT, anchor="ms")
    before = np.asarray(image).copy()
    found = find(image, lines)
    assert [len(each.cells) for each in found.combs] == [10]
    assert found.page is not None
    assert np.array_equal(found.page[100:152, 290:460], before[100:152, 290:460])


def test_letters_of_a_comb_without_empty_cells_are_one_word() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 140, "Name")]
    comb(draw, "GLEASO")
    (found,) = find(image, lines).combs
    polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    words = (Word("GLEAS", 0.9, polygon), Word("O", 0.9, polygon))
    placed = found.placed(Line("GLEAS O", 0.9, polygon, polygon[:2], words))
    assert (placed.text, len(placed.words)) == ("GLEASO", 1)
    image, draw = sheet()
    comb(draw, "GLEA SO")
    (parted,) = find(image, lines).combs
    assert parted.placed(Line("GLEAS O", 0.9, polygon, polygon[:2], words)).text == "GLEAS O"


@pytest.mark.parametrize("gap", [12, 24])
def test_round_letters_of_a_heading_over_small_text_are_no_boxes(gap: int) -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 300 + 50 * index, "of the society") for index in range(3)]
    font = ImageFont.load_default(100)
    draw.text((40, 200), "N", 0, font, anchor="ls")
    left = 40 + draw.textlength("N", font) + gap - 6
    draw.ellipse((left, 148, left + 52, 200), outline=0, width=8)
    draw.text((left + 48 + gap, 200), "va", 0, font, anchor="ls")
    right = left + 48 + gap + draw.textlength("va", font)
    heading = TextLine(np.array([[40, 200], [right, 200]], np.float32), 73, 20, 0.9)
    assert find(image, [*lines, heading]).check_boxes == []


def test_an_empty_comb_says_nothing() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 138, "Surname")]
    comb(draw, "        ")
    assert not find(image, lines).combs


def line(text: str, left: float, right: float) -> Line:
    box = ((left, 10.0), (right, 10.0), (right, 40.0), (left, 40.0))
    step = (right - left) / len(text.split())
    words = tuple(
        Word(word, 0.9, tuple((left + step * index + (x > left) * step * 0.8, y) for x, y in box))
        for index, word in enumerate(text.split())
    )
    return Line(text, 0.9, box, ((left, 34.0), (right, 34.0)), words)


def test_a_label_to_the_right_comes_first_and_words_stay_in_order() -> None:
    boxes = [CheckBox((100.0, 12.0, 125.0, 37.0), True, 0.9), CheckBox((260.0, 12.0, 285.0, 37.0), False, 0.9)]
    lines = [line("Smoker?", 0, 90), line("Yes", 130, 170), line("No", 290, 330)]
    assert [each.text for each in label(lines, boxes)] == ["Smoker?", "[x] Yes", "[ ] No"]
    assert [each.text for each in label([line("Yes No", 130, 500)], boxes)] == ["[x] Yes [ ] No"]
    assert [each.text for each in label([line("Smoker", 0, 90)], boxes[:1])] == ["Smoker [x]"]


def test_a_faint_mark_between_the_letters_of_a_comb_is_one() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 140, "Born")]
    comb(draw, "05 09 99")
    empty = find(image, lines)
    assert empty.combs[0].parted
    for left in (300 + 2 * 48, 300 + 5 * 48):
        draw.rectangle((left + 22, 136, left + 23, 137), fill=130)
    (found,) = find(image, lines).combs
    assert not found.parted
    row = found.pixels.min(axis=0) < 200
    assert np.count_nonzero(np.diff(row.astype(int)) == 1) >= 8


def test_cells_that_are_narrower_than_letters_of_the_page_are_a_comb() -> None:
    image, draw = sheet()
    line = TextLine(np.array([[40, 60], [900, 60]], np.float32), 2 * ASCENDER, 7, 0.9)
    for index in range(10):
        left = 300 + 32 * index
        draw.rectangle((left, 100, left + 35, 176), outline=0, width=4)
    draw.text((318, 160), "7", 0, ImageFont.load_default(22), anchor="ms")
    found = find_form_boxes(np.asarray(image), [line], find_ink(np.asarray(image), 16 / (2 * ASCENDER)))
    assert [len(each.cells) for each in found.combs] == [10]
    # So few of them may be letters.
    draw.rectangle((300 + 100, 90, 700, 190), fill=255)
    few = find_form_boxes(np.asarray(image), [line], find_ink(np.asarray(image), 16 / (2 * ASCENDER)))
    assert not few.combs


def test_a_faint_comb_is_found_where_others_are_clearer_without_their_paper() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 140, "Name"), written(draw, 40, 340, "Date")]
    page = np.array(image)
    page[100:149, 200:777] -= np.random.default_rng(0).integers(0, 40, (49, 577), np.uint8)
    image = Image.fromarray(page)
    draw = ImageDraw.Draw(image)
    comb(draw, "BRIDGE      ", 200)
    for index in range(4):
        left = 300 + 48 * index
        draw.rectangle((left, 300, left + 48, 348), outline=228, width=2)
        draw.text((left + 24, 338), "1946"[index], 0, FONT, anchor="ms")
    assert sorted(len(each.cells) for each in find(image, lines).combs) == [4, 12]


def test_a_comb_goes_on_where_its_walls_are_faint() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 140, "Name")]
    draw.rectangle((252, 100, 300, 148), outline=228, width=2)
    draw.text((276, 138), "A", 0, FONT, anchor="ms")
    comb(draw, "BRIDGE")
    (found,) = find(image, lines).combs
    assert len(found.cells) == 7


def test_what_is_left_of_the_walls_of_a_comb_is_no_part_of_its_letters() -> None:
    image, draw = sheet()
    lines = [written(draw, 40, 140, "Name")]
    comb(draw, "BRIDGE")
    clean = find(image, lines).combs[0].pixels
    for index in range(1, 6):
        # A wall that is thicker in one place.
        draw.rectangle((300 + 48 * index, 110, 300 + 48 * index + 4, 124), fill=60)
    assert find(image, lines).combs[0].pixels.shape == clean.shape
