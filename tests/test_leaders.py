"""Rows of dots between an item and its number are taken off the page; other dots stay."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

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


@pytest.mark.parametrize("pitch", [6, 9, 17])
@pytest.mark.parametrize("slope", [0.0, 0.03])
def test_a_leader_is_wiped_and_lines_end_where_it_begins(pitch: int, slope: float) -> None:
    image = sheet((40, 100, "Chapter one"), (700, 100 + round(500 * slope), "12.50"))
    before = np.asarray(image).copy()
    start = round(40 + FONT.getlength("Chapter one")) + 6
    dotted(image, start, 690, 100, pitch, slope)
    page, clear = taken(image, line(40, start + 100, 100), line(start + 200, start + 300, 100 + 250 * slope))
    # Nothing of the dots, and all of the text, which has a decimal point.
    assert np.abs(clear.page.astype(int) - before).max() < 40
    assert not np.array_equal(page, before)
    assert ends(clear.lines) == [(40, start)]


def test_a_line_across_a_leader_becomes_two() -> None:
    # The last dot is at 688.
    image = sheet((40, 100, "Chapter one"), (700, 100, "125"))
    dotted(image, 220, 690, 100)
    _, clear = taken(image, line(40, 750, 100), line(40, 300, 300))
    assert ends(clear.lines) == [(40, 220), (40, 300), (690, 750)]


def test_short_leaders_are_found_beside_longer_ones() -> None:
    image = sheet(*((40, y, "A name") for y in (60, 120, 180)), *((700, y, "75") for y in (60, 120)))
    for y in (60, 120):
        dotted(image, 150, 690, y)
    dotted(image, 150, 195, 180)
    ImageDraw.Draw(image).text((204, 180), "12:40", fill=0, font=FONT, anchor="ls")
    _, clear = taken(image, line(40, 280, 180))
    assert [end - start > 60 for start, end in ends(clear.lines)] == [True, True]


def dots_alone(image: Image.Image) -> None:
    dotted(image, 40, 690, 200)


def ellipsis(image: Image.Image) -> None:
    dotted(image, 206, 260, 100, 9)


def blank_to_fill_in(image: Image.Image) -> None:
    dotted(image, 206, 500, 100)


def coarse_print(image: Image.Image) -> None:
    # Letters that consist of dots.
    for row in range(7):
        dotted(image, 206, 640, 100 - 5 * row, 5)


@pytest.mark.parametrize("draw", [dots_alone, ellipsis, blank_to_fill_in, coarse_print])
def test_other_dots_stay(draw: object) -> None:
    image = sheet((40, 100, "A bag of salt"), *([(700, 100, "75")] if draw is coarse_print else []))
    if draw is ellipsis:
        ImageDraw.Draw(image).text((270, 100), "and more", fill=0, font=FONT, anchor="ls")
    assert callable(draw)
    draw(image)
    found = line(40, 400, 100)
    page, clear = taken(image, found)
    assert clear.page is page
    assert clear.lines[0] is found
