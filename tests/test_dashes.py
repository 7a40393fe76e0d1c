"""Dashes of print are told by their length, where the recogniser holds them possible."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline import dashes
from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.dashes import DASHES, with_length
from paragraph_ocr.pipeline.reader import PageReader

FONT = ImageFont.load_default(30)
HEIGHT, BASELINE = 60, 0.7
CHARSET = "".join(map(chr, range(32, 127))) + "–—"
X_HEIGHT = -FONT.getbbox("x", anchor="ls")[1]


def decided(
    read: str,
    length: float,
    likely: float,
    sizes: tuple[int, ...] = (30,),
    stretch: int = 1,
    drawn: str = "",
    above: bool = False,
) -> str:
    """What is made of the dash of a line that is so many heights of small letters long; `likely` each dash is.

    The line was `drawn` with the spaces of another text, if one is given, below descenders of the line `above`.
    """
    drawn = drawn or read
    image = Image.new("L", (30 * len(drawn), HEIGHT), 255)
    draw = ImageDraw.Draw(image)
    x, row, middles = 10.0, BASELINE * HEIGHT, []
    for index, letter in enumerate(drawn):
        font = FONT.font_variant(size=sizes[index % len(sizes)])
        wide = length * X_HEIGHT if letter in DASHES else font.getlength(letter)
        if letter in DASHES:
            level = row - X_HEIGHT / 2
            draw.rectangle((x, level - 1, x + wide - 1, level + 1), 0)
        else:
            draw.text((x, row), letter, 0, font, anchor="ls")
        middles.append((letter, round(stretch * (x + wide / 2))))
        x += wide + 3
    characters, left = [], list(middles)
    for letter in read:
        # Spaces that were not drawn lie at the end of what is before them.
        while letter != " " and left and left[0][0] == " ":
            left.pop(0)
        middle = left.pop(0)[1] if left and left[0][0] == letter else characters[-1].last
        characters.append(Character(letter, 0.9, middle, middle))
    if above:
        draw.rectangle((0, 0, image.width, 8), 0)
    image = image.resize((stretch * image.width, HEIGHT), Image.Resampling.NEAREST)
    output = np.full((image.width, len(CHARSET) + 1), 1e-6, np.float32)
    output[:, [CHARSET.index(dash) for dash in DASHES]] = likely
    result = with_length(
        characters, np.asarray(image), np.log(output), CHARSET, len(CHARSET), 1.0, BASELINE, 1 / stretch
    )
    return "".join(character.text for character in result)


@pytest.mark.parametrize("stretch", [1, 2])
@pytest.mark.parametrize(
    ("read", "length", "shown"), [("-", 0.9, "–"), ("-", 1.4, "—"), ("—", 0.9, "–"), ("–", 1.4, "—")]
)
def test_the_length_tells_the_dash(read: str, length: float, shown: str, stretch: int) -> None:
    assert decided(f"some room {read} as seen", length, 0.1, stretch=stretch) == f"some room {shown} as seen"


def test_a_dash_of_the_length_that_was_read_stays() -> None:
    for dash, length in zip(DASHES, (0.5, 0.9, 1.4), strict=True):
        assert decided(f"some room {dash} as seen", length, 0.1) == f"some room {dash} as seen"


def test_what_the_recogniser_holds_impossible_and_a_likely_hyphen_stay() -> None:
    assert decided("some room - as seen", 1.4, 1e-4) == "some room - as seen"
    assert decided("some room - as seen", 0.9, 0.02) == "some room - as seen"
    assert decided("some room -m as seen", 0.9, 0.1) == "some room -m as seen"


@pytest.mark.parametrize("stretch", [1, 2])
@pytest.mark.parametrize("text", ["9:00-11:00", "Atlas, 34, 112-115", "open 18:30-20:30", "(1914-1918)"])
def test_a_long_dash_between_numbers_is_an_en_dash(text: str, stretch: int) -> None:
    assert decided(text, 1.0, 1e-4, stretch=stretch) == text.replace("-", "–")
    assert decided(text, 0.6, 1e-4, stretch=stretch) == text


@pytest.mark.parametrize("text", ["2026-05-12", "call 555-0199", "040-3391 at home", "A12-14", "well-known"])
def test_dashes_within_codes_and_words_are_no_ranges(text: str) -> None:
    assert decided(text, 1.0, 1e-4) == text


def test_figures_of_uneven_heights_tell_no_range() -> None:
    assert decided("1914-1918", 1.0, 1e-4, (24, 36, 30, 40)) == "1914-1918"


def test_uneven_letters_and_too_few_tell_nothing() -> None:
    assert decided("some room - as seen", 1.4, 0.1, (24, 36, 30, 40)) == "some room - as seen"
    assert decided("no - 12", 1.4, 0.1) == "no - 12"


def test_the_hyphens_of_a_typewriter_stay_whatever_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever the recogniser holds possible, so that the lengths alone would decide.
    monkeypatch.setattr(dashes, "POSSIBLE", 0.0)
    rows = [
        "the sub-committee of the well-known",
        "society met, as it had been said in",
        "on the second; the vice president,",
        "Miller, who is ill, sent his letter",
    ]
    pitch, gap = 19, 60
    image = Image.new("L", (pitch * max(map(len, rows)) + 120, gap * len(rows) + 120), 245)
    draw = ImageDraw.Draw(image)
    for number, row in enumerate(rows):
        level = 90 + gap * number
        for place, letter in enumerate(row):
            middle = 60 + pitch * (place + 0.5)
            if letter == "-":
                draw.rectangle((middle - 9, level - 9, middle + 9, level - 7), 30)
            else:
                draw.text((middle, level), letter, 30, FONT, anchor="ms")
    text = PageReader.load(FOLDER, threads=1).read_image(np.asarray(image), "typed").text
    for word in ("sub-committee", "well-known"):
        assert word in text


@pytest.mark.parametrize("stretch", [1, 2])
@pytest.mark.parametrize("dash", "–—")
def test_the_gaps_tell_whether_spaces_are_beside_a_dash(dash: str, stretch: int) -> None:
    length = 0.9 if dash == "–" else 1.4
    close, apart = f"some small room{dash}as was seen", f"some small room {dash} as was seen"

    assert decided(apart, length, 0.1, stretch=stretch, drawn=close) == close
    assert decided(close, length, 0.1, stretch=stretch, drawn=apart) == apart
    half = f"some small room {dash}as was seen"
    assert decided(close, length, 0.1, stretch=stretch, drawn=half) == half
    assert decided(close, length, 0.1, stretch=stretch, drawn=apart, above=True) == apart
    for read in (close, apart, half):
        assert decided(read, length, 0.1, stretch=stretch) == read


def test_in_a_line_of_few_words_the_letters_tell_how_wide_a_space_is() -> None:
    close, apart = "somesmallroom—asseen", "somesmallroom — asseen"
    assert decided(apart, 1.4, 0.1, drawn=close) == close
    assert decided(close, 1.4, 0.1, drawn=apart) == apart


def test_spaces_that_were_read_beyond_the_ink_do_not_count() -> None:
    characters = [Character(letter, 0.9, 5 * at, 5 * at) for at, letter in enumerate("a — b  ")]
    assert dashes._spaced(characters, {2: (8, 12)}, np.array([], int), 1.0, 9.0) == characters
    ink = np.array([0, 8, 9, 10, 11, 20])
    assert dashes._spaced(characters, {2: (8, 12)}, ink, 1.0, 9.0) == characters


def test_hyphens_keep_their_spaces() -> None:
    assert decided("some small room - as was seen", 0.5, 0.1, drawn="some small room-as was seen").count(" ") == 6
