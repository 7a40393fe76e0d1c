"""Solid bars over words are taken off the page; what only resembles them stays."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.bars import take_bars_off
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import find_ink

FONT = ImageFont.load_default(28)
ASCENDER = 21
LEVEL = 80


def sheet() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (900, 200), 250)
    draw = ImageDraw.Draw(image)
    draw.text((40, LEVEL), "The letter was", fill=20, font=FONT, anchor="ls")
    draw.text((520, LEVEL), "on Monday", fill=20, font=FONT, anchor="ls")
    return image, draw


def line(left: float, right: float, level: float = LEVEL, ascender: float = ASCENDER) -> TextLine:
    return TextLine(np.array([[left, level], [right, level]], np.float32), ascender, 7, 0.95)


@pytest.mark.parametrize("angle", [0.0, 2.0])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_bars_over_words_are_wiped(angle: float, scale: float) -> None:
    image, draw = sheet()
    clean = np.asarray(image.rotate(angle, fillcolor=250))
    # The second one is over a short word.
    for left, right in ((250, 380), (392, 408), (420, 505)):
        draw.rectangle((left, LEVEL - 22, right, LEVEL + 6), fill=10)
    page = np.asarray(image.rotate(angle, fillcolor=250))
    found = line(40, 660)
    without = take_bars_off(page, [found], find_ink(page, scale))
    assert len(without.lines) == 1
    assert without.lines[0] is not found
    assert np.abs(without.page.astype(int) - clean).max() < 40


def test_a_dark_heading_with_letters_on_it_is_no_bar() -> None:
    image, draw = sheet()
    draw.rectangle((30, 130, 860, 170), fill=10)
    draw.text((60, 162), "Date", fill=245, font=FONT, anchor="ls")
    page = np.asarray(image)
    found = [line(40, 660), line(60, 120, 162)]
    without = take_bars_off(page, found, find_ink(page))
    assert without.page is page
    assert without.lines is found


def test_a_line_of_bars_is_left_out() -> None:
    image, draw = sheet()
    for left, right in ((40, 180), (200, 420)):
        draw.rectangle((left, 138, right, 166), fill=10)
    page = np.asarray(image)
    text, bars = line(40, 660), line(40, 420, 160)
    without = take_bars_off(page, [text, bars], find_ink(page))
    assert [each is text for each in without.lines] == [True]
    assert without.page[138:167].min() > 200


def dash(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((300, LEVEL - 12, 360, LEVEL - 8), fill=10)


def square_bullet(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((300, LEVEL - 16, 316, LEVEL), fill=10)


def upright_stroke(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((300, LEVEL - 21, 305, LEVEL), fill=10)


def picture(draw: ImageDraw.ImageDraw) -> None:
    for x in range(300, 420):
        draw.line((x, LEVEL - 22, x, LEVEL + 6), fill=int(60 + 50 * np.sin(x / 9)))


def below_the_line(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((40, 130, 700, 160), fill=10)


@pytest.mark.parametrize("draw", [dash, square_bullet, upright_stroke, picture, below_the_line])
def test_other_shapes_stay(draw: Callable[[ImageDraw.ImageDraw], None]) -> None:
    image, pen = sheet()
    draw(pen)
    page = np.asarray(image)
    found = line(40, 660)
    without = take_bars_off(page, [found], find_ink(page))
    assert without.page is page
    assert without.lines[0] is found


def test_the_dash_of_a_large_heading_stays() -> None:
    image, draw = sheet()
    draw.rectangle((300, 130, 380, 142), fill=10)
    page = np.asarray(image)
    heading = line(40, 660, 180, 70)
    assert take_bars_off(page, [line(40, 660), line(40, 660), heading], find_ink(page)).page is page


def test_a_page_without_lines_has_no_bars() -> None:
    page = np.full((100, 100), 255, np.uint8)
    assert take_bars_off(page, [], find_ink(page)).page is page
