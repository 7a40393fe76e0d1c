"""Straight strokes of print are slashes, backslashes, bars and underscores by their shapes."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.strokes import strokes_in_question, with_strokes

CHARSET = "".join(map(chr, range(32, 127)))
STEP, HEIGHT, BASELINE = 4.0, 60, 42


def read_anew(
    shown: str, read: str, probability: float = 0.3, lean: float = 0.0, sizes: tuple[int, ...] = (34,)
) -> str:
    """What is made of a line that was read otherwise than it is drawn; `probability` is that of each sign, everywhere.

    The line leans to the right by so many columns for a row up, and its letters have these sizes by turns.
    """
    image = Image.new("L", (40 * len(shown) + 20, HEIGHT), 255)
    draw, x, middles = ImageDraw.Draw(image), 20.0, []
    for place, letter in enumerate(shown):
        font = ImageFont.load_default(sizes[place % len(sizes)])
        draw.text((x, BASELINE), letter, fill=0, font=font, anchor="ls")
        middles.append(int((x + font.getlength(letter) / 2) / STEP))
        x += font.getlength(letter) + 2
    sheared = (1, lean, -lean * BASELINE, 0, 1, 0)
    image = image.transform(image.size, Image.Transform.AFFINE, sheared, Image.Resampling.BICUBIC, fillcolor=255)
    characters = [Character(text, 0.6, middle, middle) for text, middle in zip(read, middles, strict=True)]
    output = np.full((image.width, len(CHARSET) + 1), 1e-5, np.float32)
    output[:, [CHARSET.index(sign) + 1 for sign in "/\\|_"]] = probability
    output = np.log(output)
    places = strokes_in_question(characters, output, CHARSET, 0)
    strip = np.asarray(image)
    decided = with_strokes(characters, places, strip, output, CHARSET, 0, STEP, BASELINE / HEIGHT, 1.0)
    return "".join(each.text for each in decided)


@pytest.mark.parametrize("lean", [0.0, 0.2])
@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("cost per month / year", "cost per month l year"),
        ("some and/or none", "some andIor none"),
        ("usr/home/some", "usr1home!some"),
        ("125 / 380 / 400", "125 1 380 | 400"),
    ],
)
def test_strokes_that_lean_to_the_right_are_slashes(shown: str, read: str, lean: float) -> None:
    assert read_anew(shown, read, lean=lean) == shown


@pytest.mark.parametrize("lean", [0.0, 0.1])
@pytest.mark.parametrize("read", ["Uxerslannaldocs", "Uxers/anna/docs"])
def test_strokes_that_lean_to_the_left_are_backslashes(read: str, lean: float) -> None:
    assert read_anew("Uxers\\anna\\docs", read, lean=lean) == "Uxers\\anna\\docs"


@pytest.mark.parametrize("read", ["name / town / code", "name I town I code", "name 1 town l code"])
def test_upright_strokes_below_the_baseline_are_bars(read: str) -> None:
    assert read_anew("name | town | code", read) == "name | town | code"


def test_spaces_with_a_stroke_on_the_baseline_are_underscores() -> None:
    assert read_anew("some_name_2.txt or none", "some name 2.txt or none") == "some_name_2.txt or none"


@pytest.mark.parametrize(
    "shown",
    ["all ill 1 I will", "chapter I, 11 lines", "hello world", "Uxers\\anna\\docs", "some and/or none", "a | b | oxo"],
)
@pytest.mark.parametrize("lean", [0.0, 0.2])
def test_what_was_read_as_it_is_stays(shown: str, lean: float) -> None:
    assert read_anew(shown, shown, lean=lean) == shown


def test_signs_that_the_recogniser_does_not_see_are_not_made() -> None:
    assert read_anew("some and/or none", "some andlor none", probability=0.001) == "some andlor none"


def test_letters_of_handwriting_stay() -> None:
    assert read_anew("some and/or none", "some andlor none", sizes=(34, 22, 40)) == "some andlor none"
