"""Letters are small or capital as their height tells, where a line is set in type."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.letter_case import case_alone, in_question, with_case
from paragraph_ocr.pipeline.reader import PageReader

FONT = ImageFont.load_default(30)
HEIGHT, BASELINE = 60, 0.7


def strip_of(text: str, sizes: list[int] | None = None, kerning: int = 3) -> tuple[np.ndarray, list[Character]]:
    """A drawn line, and its characters at the columns of their middles."""
    image = Image.new("L", (40 * len(text), HEIGHT), 255)
    draw = ImageDraw.Draw(image)
    x, characters = 10.0, []
    for index, letter in enumerate(text):
        font = ImageFont.load_default(sizes[index]) if sizes else FONT
        draw.text((x, BASELINE * HEIGHT), letter, 0, font, anchor="ls")
        middle = round(x + font.getlength(letter) / 2)
        characters.append(Character(letter, 0.9, middle, middle))
        x += font.getlength(letter) + kerning
    return np.asarray(image), characters


def decided(shown: str, read: str, place: int, sizes: list[int] | None = None, kerning: int = 3) -> str:
    strip, characters = strip_of(shown, sizes, kerning)
    characters = [
        Character(text, each.confidence, each.first, each.last) for text, each in zip(read, characters, strict=True)
    ]
    return "".join(each.text for each in with_case(characters, [place], strip, 1.0, BASELINE))


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("Sent on paper", "sent on paper"),
        ("sent on paper", "Sent on paper"),
        ("Vous me voyez", "vous me voyez"),
        ("In so many rooms", "in so many rooms"),
        ("a room x 12", "a room X 12"),
        ("Eggs x12", "Eggs X12"),
        ("Eggs X12", "Eggs x12"),
        ("OF THE REPUBLIC", "oF THE REPUBLIC"),
    ],
)
def test_the_height_tells_the_case(shown: str, read: str) -> None:
    place = next(index for index, pair in enumerate(zip(shown, read, strict=True)) if pair[0] != pair[1])
    assert decided(shown, read, place) == shown
    # What is right stays.
    assert decided(shown, shown, place) == shown


@pytest.mark.parametrize("rise", [-0.025, 0.025])
@pytest.mark.parametrize(
    ("shown", "read"), [("Continued on page", "continued on page"), ("see our room", "See our room")]
)
def test_the_height_tells_the_case_where_the_line_slopes_in_its_strip(shown: str, read: str, rise: float) -> None:
    strip, characters = strip_of(shown)
    slope = np.array([[1, 0, 0], [rise, 1, -rise * strip.shape[1] / 4]], np.float32)
    strip = np.asarray(cv2.warpAffine(strip, slope, strip.shape[::-1], borderValue=255), np.uint8)
    first = Character(read[0], 0.9, characters[0].first, characters[0].last)
    assert with_case([first, *characters[1:]], [0], strip, 1.0, BASELINE)[0].text == shown[0]


def test_the_first_letter_is_the_first_ink_wherever_it_was_recognised() -> None:
    """An I in type without serifs is narrower than a time step."""
    strip, characters = strip_of("Ingrown rose", kerning=0)
    read = [Character(each.text, 0.9, each.first // 4, each.last // 4) for each in characters]
    # Beside the letter, where there is more ink of the next.
    place = characters[0].first // 4 + 1
    read[0] = Character("i", 0.9, place, place)
    assert with_case(read, [0], strip, 4.0, BASELINE)[0].text == "I"


def test_letters_of_uneven_heights_tell_nothing() -> None:
    sizes = [30, 38, 24, 32, 22, 36, 26, 40, 24, 34, 22, 38, 30]
    assert decided("Sent on paper", "sent on paper", 0, sizes) == "sent on paper"


def test_letters_that_touch_and_lines_of_few_letters_tell_nothing() -> None:
    assert decided("Sent on paper", "sent on paper", 0, kerning=-4) == "sent on paper"
    assert decided("So", "so", 0) == "so"


def test_only_the_first_letter_is_in_question_if_its_other_case_is_possible() -> None:
    charset = "-sStTxX124 "

    def places(text: str, other: float) -> list[int]:
        output = np.full((2 * len(text), len(charset)), -20.0, np.float32)
        characters = []
        for index, letter in enumerate(text):
            output[2 * index, charset.index(letter)] = np.log(0.9)
            output[2 * index, charset.index(letter.swapcase())] = np.log(other)
            characters.append(Character(letter, 0.9, 2 * index, 2 * index))
        return in_question(characters, output, charset[1:], 0)

    assert places("sst", 0.05) == [0]
    assert places("Sst", 0.05) == [0]
    assert places("sst", 0.0001) == []
    # The height of a t does not tell its case, and words of capitals stay capitals.
    assert places("tss", 0.05) == []
    assert places("SST", 0.05) == []
    assert places("s", 0.05) == []
    # In numbers of pieces, an x is in question, too.
    assert places("Tst x12", 0.05) == [4]
    assert places("Tst 4x12", 0.05) == [5]
    assert places("Tst x12", 0.0001) == []
    assert places("Tst xs", 0.05) == places("Tst sx12", 0.05) == []


def test_all_letters_but_the_first_are_in_question_in_words_of_programs() -> None:
    charset = "_nosz"

    def places(text: str) -> list[int]:
        output = np.full((len(text), 2 * len(charset) + 1), np.log(0.05), np.float32)
        characters = [Character(letter, 0.9, index, index) for index, letter in enumerate(text)]
        return in_question(characters, output, charset + charset.upper(), 2 * len(charset))

    assert places("nose") == [0]
    # The beginning of a word stays as it is.
    assert places("nos_noz") == [0, 1, 2, 5, 6]


def test_a_letter_alone_has_the_case_that_figures_near_it_tell() -> None:
    tall = [21.0, 20.5, 22.0, 21.0]
    assert case_alone("X", 15.0, tall) == case_alone("x", 15.0, tall) == "x"
    assert case_alone("x", 21.0, tall) == case_alone("X", 21.0, tall) == "X"
    # Between both, of uneven figures, and of few, nothing is known.
    assert case_alone("X", 18.5, tall) == "X"
    assert case_alone("X", 15.0, [12.0, 20.0, 22.0, 30.0, 35.0]) == "X"
    assert case_alone("X", 15.0, tall[:2]) == "X"


def test_a_small_x_alone_in_a_cell_is_small() -> None:
    image = Image.new("L", (900, 700), 250)
    draw = ImageDraw.Draw(image)
    marks = ["x", "", "x", "x", "", "x", "X", "X", "", "X"]
    for row, mark in enumerate(marks):
        y = 60 + 60 * row
        draw.text((60, y), f"{17 + 31 * row} Rye bread", 20, FONT, anchor="ls")
        draw.text((480, y), f"{row + 2},{35 + row}", 20, FONT, anchor="ls")
        draw.text((760, y), mark, 20, FONT, anchor="ls")
    page = PageReader.load().read_image(np.asarray(image), "page")
    assert [line.text for line in page.lines if line.text in ("x", "X")] == [mark for mark in marks if mark]
