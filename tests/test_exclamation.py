"""Letters at the end of a word are exclamation marks if they have the dot of one."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.exclamation import marks_in_question, with_marks

CHARSET = " !ILBOYHilbar."
STEP = 4.0
HEIGHT, BASELINE = 48, 36


def drawn(text: str, size: int = 36) -> tuple[np.ndarray, list[Character]]:
    """A strip that shows a text, and its characters, each a time step in its middle."""
    font = ImageFont.load_default(size)
    image = Image.new("L", (400, HEIGHT), 255)
    ImageDraw.Draw(image).text((10, BASELINE), text, fill=0, font=font, anchor="ls")
    characters = []
    for place, character in enumerate(text):
        middle = 10 + (font.getlength(text[:place]) + font.getlength(text[: place + 1])) / 2
        characters.append(Character(character, 0.6, int(middle / STEP), int(middle / STEP)))
    return np.asarray(image), characters


def taken_for(characters: list[Character], text: str) -> list[Character]:
    return [
        Character(read, each.confidence, each.first, each.last) for read, each in zip(text, characters, strict=True)
    ]


def probable(characters: list[Character], probability: float) -> np.ndarray:
    output = np.full((100, len(CHARSET) + 1), 1e-4, np.float32)
    for character in characters:
        output[character.first, CHARSET.index("!") + 1] = probability
    return np.log(output)


@pytest.mark.parametrize("size", [30, 36])
@pytest.mark.parametrize(
    ("shown", "read"), [("BOY!", "BOYI"), ("Hi!", "Hil"), ("Hi! Lola", "Hil Lola"), ("Hi! BOY!", "Hil BOYI")]
)
def test_a_stroke_above_a_dot_is_an_exclamation_mark(shown: str, read: str, size: int) -> None:
    strip, characters = drawn(shown, size)
    characters = taken_for(characters, read)
    places = marks_in_question(characters, probable(characters, 0.3), CHARSET, 0)
    assert [read[place] for place in places] == ["l" if "l" in read[:3] else "I", "I"][: len(places)]
    decided = with_marks(characters, places, strip, STEP, BASELINE / HEIGHT)
    assert "".join(each.text for each in decided) == shown


@pytest.mark.parametrize("shown", ["BOYI", "Hil", "Hi Bill.", "Bali"])
def test_letters_without_a_dot_stay(shown: str) -> None:
    strip, characters = drawn(shown)
    places = marks_in_question(characters, probable(characters, 0.3), CHARSET, 0)
    decided = with_marks(characters, places, strip, STEP, BASELINE / HEIGHT)
    assert decided == characters


def test_what_the_recogniser_holds_impossible_is_not_in_question() -> None:
    _, characters = drawn("BOYI")
    assert marks_in_question(characters, probable(characters, 0.01), CHARSET, 0) == []
    assert marks_in_question(characters, probable(characters, 0.3), CHARSET.replace("!", "?"), 0) == []
    inside = taken_for(drawn("BIOY")[1], "BIOY")
    assert marks_in_question(inside, probable(inside, 0.3), CHARSET, 0) == []
