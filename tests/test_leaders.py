"""Rows of dots between an item and its number are taken off the page; other dots stay."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import find_ink
from paragraph_ocr.pipeline.leaders import WithoutLeaders, take_leaders_off

FONT = ImageFont.load_default(28)
ASCENDER = 21


def sheet(*texts: tuple[int, int, str]) -> Image.Image:
    image = Image.new("L", (900, 400), 255)
    for left, baseline, text in texts:
        ImageDraw.Draw(image).text((left, baseline), text, fill=0, font=FONT, anchor="ls")
    return image


def dotted(image: Image.Image, left: int, right: int, baseline: int, pitch: int = 9, slope: float = 0.0) -> None:
    draw = ImageDraw.Draw(image)
    for x in range(left, right, pitch):
        y = round(baseline + slope * (x - left))
        draw.rectangle((x, y - 3, x + 1, y - 2), fill=0)


def line(left: float, right: float, baseline: float) -> TextLine:
    return TextLine(np.array([[left, baseline], [right, baseline]], np.float32), ASCENDER, 7, 0.95)


def taken(image: Image.Image, *lines: TextLine) -> tuple[np.ndarray, WithoutLeaders]:
    page = np.asarray(image)
    return page, take_leaders_off(page, list(lines), find_ink(page, 16 / ASCENDER))


def ends(lines: list[TextLine]) -> list[tuple[int, int]]:
    return sorted((round(float(each.baseline[0, 0])), round(float(each.baseline[-1, 0]))) for each in lines)


def listed(*rows: int, pitch: int = 9, slope: float = 0.0) -> Image.Image:
    """A page with an item, a leader and a number on each of some baselines."""
    image = sheet(*((40, y, "Chapter one") for y in rows), *((700, round(y + 660 * slope), "12.50") for y in rows))
    for y in rows:
        dotted(image, 226, 690, y, pitch, slope)
    return image


ROWS = (60, 120, 180)


@pytest.mark.parametrize("pitch", [6, 9, 17])
@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_leaders_are_wiped_and_lines_end_where_they_begin(pitch: int, slope: float) -> None:
    image = sheet(*((40, y, "Chapter one") for y in ROWS), *((700, round(y + 500 * slope), "12.50") for y in ROWS))
    before = np.asarray(image).copy()
    for y in ROWS:
        dotted(image, 206, 690, y, pitch, slope)
    page, clear = taken(image, line(40, 300, 120), line(400, 500, 120 + 250 * slope))
    # Nothing of the dots, and all of the text, which has a decimal point.
    assert np.abs(clear.page.astype(int) - before).max() < 40
    assert not np.array_equal(page, before)
    assert ends(clear.lines) == [(40, 206)]


ITEMS = (("Soup", 130, "4.50"), ("Fish of the day", 265, "12.80"), ("Bread", 140, "2.10"), ("Tea or coffee", 250, "3"))


def bars(*bars: tuple[int, int], words_after: bool = True) -> Image.Image:
    """A list whose leaders, from and to these columns, are bars, as of a blurred picture."""
    image = sheet(*((40, 60 + 60 * row, ITEMS[row][0]) for row in range(len(bars))))
    for row, (left, right) in enumerate(bars):
        draw, y = ImageDraw.Draw(image), 60 + 60 * row
        draw.line((left, y - 2, right, y - 2), fill=120, width=3)
        if words_after:
            draw.text((right + 12, y), ITEMS[row][2], fill=0, font=FONT, anchor="ls")
    return image.filter(ImageFilter.GaussianBlur(1.2))


def test_leaders_that_are_bars_in_a_blurred_picture_are_wiped() -> None:
    image = bars(*((left, 690) for _, left, _ in ITEMS))
    page, clear = taken(image, line(40, 300, 120))
    assert len(clear.leaders) == 4
    for row in range(4):
        assert page[55 + 60 * row : 62 + 60 * row, 280:680].min() < 180
        assert clear.page[55 + 60 * row : 62 + 60 * row, 280:680].min() > 230
    assert ends(clear.lines) == [(40, pytest.approx(265, abs=3))]


@pytest.mark.parametrize(
    "image",
    [
        # Blanks of a form, blanks in sentences, and too few.
        bars(*((left, 690) for _, left, _ in ITEMS), words_after=False),
        bars((270, 690), (270, 690), (270, 690), (270, 690)),
        bars((130, 300), (265, 500), (140, 420), (250, 600)),
        bars((130, 690), (265, 690)),
    ],
)
def test_other_bars_stay(image: Image.Image) -> None:
    page, clear = taken(image, line(40, 300, 120))
    assert clear.page is page


def test_leaders_of_a_small_page_are_wiped_where_dots_touch() -> None:
    small = ImageFont.load_default(16)
    image = Image.new("L", (500, 220), 255)
    draw = ImageDraw.Draw(image)
    for y in ROWS:
        draw.text((20, y), "Dale Street", 0, small, anchor="ls")
        draw.text((400, y), "01522", 0, small, anchor="ls")
    before = np.asarray(image).copy()
    for y in ROWS:
        # Of each three, the first two touch, as where the distance is three pixels and a third.
        for x in range(120, 388, 10):
            draw.rectangle((x, y - 2, x + 5, y - 1), fill=160)
            for dot in (x, x + 4, x + 7):
                draw.rectangle((dot, y - 2, dot + 1, y - 1), fill=30)
    lines = [TextLine(np.array([[20, y], [130, y]], np.float32), 12, 4, 0.95) for y in ROWS]
    page = np.asarray(image)
    clear = take_leaders_off(page, lines, find_ink(page))
    assert np.abs(clear.page.astype(int) - before).max() < 40


@pytest.mark.parametrize("size", [3, 5])
def test_leaders_of_large_dots_are_wiped(size: int) -> None:
    """Dots of a quarter of the ascenders, as print has them in tables of contents."""
    image = sheet(*((40, y, "Chapter one") for y in ROWS), *((700, y, "12.50") for y in ROWS))
    before = np.asarray(image).copy()
    for y in ROWS:
        for x in range(206, 690, 12):
            ImageDraw.Draw(image).rectangle((x, y - size, x + size - 1, y - 1), fill=0)
    _, clear = taken(image, line(40, 750, 120))
    assert np.abs(clear.page.astype(int) - before).max() < 40
    assert len(clear.lines) == 2


def specked(image: Image.Image, share: float) -> None:
    """Draw specks of a pixel, as rough paper and cameras make them."""
    rng = np.random.default_rng(5)
    width, height = image.size
    for _ in range(round(share * width * height)):
        image.putpixel((int(rng.integers(width)), int(rng.integers(height))), 60)


def test_leaders_are_wiped_among_specks() -> None:
    image = listed(*ROWS, pitch=6)
    specked(image, 0.001)
    _, clear = taken(image, line(40, 300, 120))
    assert ends(clear.lines) == [(40, 226)]


def test_dots_that_are_tall_for_small_letters_are_leaders() -> None:
    image = Image.new("L", (900, 400), 255)
    font = ImageFont.load_default(20)
    draw = ImageDraw.Draw(image)
    for y in ROWS:
        draw.text((40, y), "Chapter one", fill=0, font=font, anchor="ls")
        draw.text((700, y), "12.50", fill=0, font=font, anchor="ls")
        for x in range(160, 690, 9):
            draw.rectangle((x, y - 4, x + 1, y - 1), fill=0)
    small = TextLine(np.array([[40, 120], [300, 120]], np.float32), 15, 5, 0.95)
    clear = take_leaders_off(np.asarray(image), [small], find_ink(np.asarray(image)))
    assert ends(clear.lines) == [(40, 160)]


def test_dots_of_items_are_leaders_where_most_lines_are_in_smaller_type() -> None:
    """A menu has a line of small type below each dish, and the dots of the dishes are large for these."""
    image = Image.new("L", (900, 400), 255)
    font, draw = ImageFont.load_default(20), ImageDraw.Draw(image)
    for y in ROWS:
        draw.text((40, y), "Chapter one", fill=0, font=font, anchor="ls")
        draw.text((700, y), "12.50", fill=0, font=font, anchor="ls")
        for x in range(160, 690, 7):
            draw.rectangle((x, y - 4, x + 3, y - 1), fill=0)
    small = [TextLine(np.array([[40, y + 20], [300, y + 20]], np.float32), 12.5, 5, 0.95) for y in ROWS]
    dish = TextLine(np.array([[40, 120], [300, 120]], np.float32), 15, 5, 0.95)
    clear = take_leaders_off(np.asarray(image), [dish, *small], find_ink(np.asarray(image)))
    assert len(clear.leaders) == 3
    assert ends(clear.lines)[0] == (40, 160)


def test_leaders_of_a_bent_page_are_wiped() -> None:
    image = sheet(*((40, y, "Chapter one") for y in ROWS), *((700, y, "12.50") for y in ROWS))
    before = np.asarray(image).copy()
    for y in ROWS:
        for x in range(206, 690, 9):
            sag = round(5 * (1 - ((x - 448) / 242) ** 2))
            ImageDraw.Draw(image).rectangle((x, y - 3 + sag, x + 1, y - 2 + sag), fill=0)
    _, clear = taken(image, line(40, 300, 120))
    assert np.abs(clear.page.astype(int) - before).max() < 40
    assert ends(clear.lines) == [(40, 206)]


def small_list() -> tuple[np.ndarray, np.ndarray]:
    """A list in letters of nine pixels, with leaders whose dots are three pixels tall and close to letters; and
    the same without them."""
    image = Image.new("L", (400, 200), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    for y in ROWS:
        draw.text((20, y), "Chapter one", fill=0, font=font, anchor="ls")
        draw.text((300, y), "12.50", fill=0, font=font, anchor="ls")
    before = np.asarray(image).copy()
    first = int(np.flatnonzero(before[:, :200].min(axis=0) < 128)[-1]) + 2
    for y in ROWS:
        for index, x in enumerate(range(first, 296, 5)):
            draw.rectangle((x, y - 2 - index % 2, x + 1, y - 1), fill=0)
    return np.asarray(image), before


def test_leaders_of_a_small_page_are_wiped_and_no_letter_beside_them() -> None:
    page, before = small_list()
    found = TextLine(np.array([[20, 120], [300, 120]], np.float32), 9, 3, 0.95)
    clear = take_leaders_off(page, [found], find_ink(page))
    assert clear.page is not page
    assert np.abs(clear.page.astype(int) - before).max() < 40


def test_what_is_wiped_is_as_light_as_the_paper_of_a_sharpened_page() -> None:
    image = listed(*ROWS)
    page = np.asarray(image).astype(int) * 200 // 255
    # Dark dots with light edges.
    edge = (page < 100) | (np.roll(page, 1, 0) < 100) | (np.roll(page, -1, 0) < 100)
    page = np.where(edge & (page >= 100), 240, page).astype(np.uint8)
    clear = take_leaders_off(page, [line(40, 300, 120)], find_ink(page, 16 / ASCENDER)).page
    dots = (np.asarray(image) < 100) & (np.arange(900) > 226) & (np.arange(900) < 690)
    assert dots.any()
    assert np.unique(clear[dots]).tolist() == [200]


def test_a_line_beside_a_leader_is_a_new_object_and_one_elsewhere_is_not() -> None:
    beside, elsewhere = line(40, 220, 120), line(40, 300, 300)
    _, clear = taken(listed(*ROWS), beside, elsewhere)
    # What was read of the first showed dots.
    assert ends(clear.lines) == ends([beside, elsewhere])
    assert [any(each is own for each in clear.lines) for own in (beside, elsewhere)] == [False, True]


def test_a_line_across_a_leader_becomes_two() -> None:
    # The last dot is at 685.
    _, clear = taken(listed(*ROWS), line(40, 750, 120), line(40, 300, 300))
    assert ends(clear.lines) == [(40, 226), (40, 300), (687, 750)]


def test_short_leaders_are_found_beside_longer_ones() -> None:
    image = listed(*ROWS)
    ImageDraw.Draw(image).text((40, 240), "A name", 0, FONT, anchor="ls")
    dotted(image, 150, 195, 240)
    ImageDraw.Draw(image).text((204, 240), "12:40", fill=0, font=FONT, anchor="ls")
    _, clear = taken(image, line(40, 280, 240))
    assert [end - start > 60 for start, end in ends(clear.lines)] == [True, True]


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_blanks_are_wiped_where_something_is_written_on_them(slope: float) -> None:
    image = sheet(*((40, y, "Name:") for y in ROWS))
    written = [(160, "gave"), (290, "more"), (420, "than")]
    for y, words in zip(ROWS, (written[:1], written[:2], []), strict=True):
        for left, word in words:
            level = round(y + slope * (left - 130))
            ImageDraw.Draw(image).text((left, level - 4), word, fill=0, font=FONT, anchor="ls")
    clean = np.asarray(image).copy()
    for y in ROWS:
        dotted(image, 130, 600, y, 7, slope)
    lines = [line(40, 500, y) for y in ROWS]
    page, clear = taken(image, *lines)
    # The dots that touch no letter are gone, and no line ends at them.
    for y in ROWS[:2]:
        left = clear.page[y - 32 : y + 20, 120:620].astype(int) - clean[y - 32 : y + 20, 120:620]
        before = page[y - 32 : y + 20, 120:620].astype(int) - clean[y - 32 : y + 20, 120:620]
        assert (left < -100).sum() < 0.2 * (before < -100).sum()
    assert (clear.page[:, :115] == clean[:, :115]).all()
    assert ends(clear.lines) == [(40, 500)] * 3
    assert clear.leaders == []
    # The line that nothing is written on is the same as before.
    assert [new is old for new, old in zip(clear.lines, lines, strict=True)] == [False, False, True]
    assert (clear.page[ROWS[2] - 25 : ROWS[2] + 15] == page[ROWS[2] - 25 : ROWS[2] + 15]).all()


def test_blank_that_is_full_of_writing_is_found_by_another_one() -> None:
    image = sheet(*((40, y, "Name:") for y in ROWS), (135, ROWS[2] - 4, "nine men came on sea once more"))
    ImageDraw.Draw(image).text((160, ROWS[0] - 4), "one", fill=0, font=FONT, anchor="ls")
    clean = np.asarray(image).copy()
    for y in ROWS:
        dotted(image, 130, 545, y, 7)
    page, clear = taken(image, *(line(40, 560, y) for y in ROWS))
    part = np.s_[ROWS[2] - 32 : ROWS[2] + 20, 120:620]
    left, before = (each[part].astype(int) - clean[part] < -100 for each in (clear.page, page))
    assert left.sum() < 0.3 * before.sum()


def test_colon_before_a_leader_stays_whole() -> None:
    image = sheet(*((40, y, "Chapter") for y in ROWS), *((700, y, "12.50") for y in ROWS))
    for y in ROWS:
        ImageDraw.Draw(image).rectangle((150, y - 12, 151, y - 11), fill=0)
        dotted(image, 150, 152, y)
        dotted(image, 172, 690, y)
    _, clear = taken(image, *(line(40, 760, y) for y in ROWS))
    assert len(clear.leaders) == len(ROWS)
    for y in ROWS:
        assert clear.page[y - 3, 150] == 0
        assert clear.page[y - 3, 172] > 200


def dots_alone(image: Image.Image, y: int) -> None:
    dotted(image, 240, 690, y + 30)


def ellipsis(image: Image.Image, y: int) -> None:
    dotted(image, 206, 260, y)
    ImageDraw.Draw(image).text((270, y), "and more", fill=0, font=FONT, anchor="ls")


def blank_to_fill_in(image: Image.Image, y: int) -> None:
    dotted(image, 206, 500, y)


def coarse_print(image: Image.Image, y: int) -> None:
    # Letters that consist of dots.
    for row in range(7):
        dotted(image, 206, 640, y - 5 * row, 5)


def broken_underline(image: Image.Image, y: int) -> None:
    dotted(image, 40, 680, y + 11)
    ImageDraw.Draw(image).text((700, y), "75", fill=0, font=FONT, anchor="ls")


@pytest.mark.parametrize("draw", [dots_alone, ellipsis, blank_to_fill_in, coarse_print, broken_underline])
def test_other_dots_stay(draw: Callable[[Image.Image, int], None]) -> None:
    image = sheet(*((40, y, "A bag of salt") for y in ROWS))
    if draw is coarse_print:
        image = sheet(*((40, y, "A bag of salt") for y in ROWS), *((700, y, "75") for y in ROWS))
    for y in ROWS:
        draw(image, y)
    found = line(40, 400, 120)
    page, clear = taken(image, found)
    assert clear.page is page
    assert clear.lines[0] is found


def test_one_row_of_dots_in_running_text_stays() -> None:
    page, clear = taken(listed(100), line(40, 750, 100))
    assert clear.page is page


def test_dots_above_each_other_are_no_leader() -> None:
    image = listed(*ROWS, pitch=6)
    draw = ImageDraw.Draw(image)
    for row in range(220, 300, 2):
        draw.point([(500, row), (506, row + 1), (504, row + 2)], 0)
    draw.rectangle((501, 300, 503, 303), fill=0)
    _, clear = taken(image, line(40, 300, 120))
    assert ends(clear.lines) == [(40, 226)]
    assert clear.page[220:304, 495:510].min() == 0
