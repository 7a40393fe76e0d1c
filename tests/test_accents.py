"""Letters of print keep the marks that are seen; those of handwriting are left to the language model."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.accents import accents_in_question, with_accents
from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.language import Languages

CHARSET = "".join(map(chr, range(32, 127))) + "àáâäåāġğģķłťıº"
STEP, HEIGHT, BASELINE = 4.0, 60, 42


def read_anew(
    read: str, seen: dict[int, dict[str, float]], usual: dict[str, float] | None = None, sizes: tuple[int, ...] = (34,)
) -> str:
    """What is made of a line of which some letters, by their places, are seen as others with these probabilities.

    The letters have these sizes by turns; `usual` is how frequent those with marks are.
    """
    image = Image.new("L", (30 * len(read) + 20, HEIGHT), 255)
    draw, x, characters = ImageDraw.Draw(image), 20.0, []
    output = np.full((image.width, len(CHARSET) + 1), 1e-6, np.float32)
    for place, letter in enumerate(read):
        font = ImageFont.load_default(sizes[place % len(sizes)])
        draw.text((x, BASELINE), letter, fill=0, font=font, anchor="ls")
        middle = int((x + font.getlength(letter) / 2) / STEP)
        x += font.getlength(letter) + 2
        others = seen.get(place, {})
        for other, share in others.items():
            output[middle, CHARSET.index(other) + 1] = share
        characters.append(Character(letter, 0.98 - sum(others.values()), middle, middle))
    output = np.log(output)
    places = accents_in_question(characters, output, CHARSET, 0)
    decided = with_accents(
        characters, places, np.asarray(image), output, CHARSET, 0, STEP, BASELINE / HEIGHT, usual or {}
    )
    return "".join(each.text for each in decided)


@pytest.mark.parametrize(
    ("read", "seen", "text"),
    [
        ("una paraula mes", {2: {"à": 0.8}}, "unà paraula mes"),
        ("cilveku merkim", {11: {"ķ": 0.6}}, "cilveku merķim"),
        ("na glowna scene", {4: {"ł": 0.55}}, "na głowna scene"),
        # Several marks together are likelier than none.
        ("una paraula mes", {2: {"ä": 0.25, "à": 0.3}}, "unà paraula mes"),
    ],
)
def test_a_mark_that_is_seen_is_put_back(read: str, seen: dict[int, dict[str, float]], text: str) -> None:
    assert read_anew(read, seen) == text


def test_of_several_marks_the_one_that_the_language_has_is_put() -> None:
    seen = {0: {"ğ": 0.4, "ġ": 0.3}}
    assert read_anew("gew some more", seen) == "ğew some more"
    assert read_anew("gew some more", seen, {"ġ": -1.0, "ğ": -6.0}) == "ġew some more"
    assert read_anew("gew some more", seen, {"ġ": -1.0}) == "ġew some more"


@pytest.mark.parametrize("seen", [{2: {"à": 0.4}}, {2: {"à": 0.2, "ä": 0.1}}, {10: {"ı": 0.9}}])
def test_a_letter_stays_whose_mark_is_not_likelier_than_none(seen: dict[int, dict[str, float]]) -> None:
    assert read_anew("una nostra six", seen) == "una nostra six"


def test_letters_of_handwriting_stay() -> None:
    assert read_anew("una paraula mes", {2: {"à": 0.8}}, sizes=(34, 24, 42)) == "una paraula mes"


def test_an_apostrophe_beside_a_letter_is_its_mark_only_where_the_language_has_it() -> None:
    assert read_anew("pat some more", {2: {"ť": 0.8}}, {"ť": -8.5}) == "pat some more"
    assert read_anew("pat some more", {2: {"ť": 0.8}}, {"ť": -1.5}) == "pať some more"


@pytest.mark.parametrize("read", ["some code 4ag7 here", "mail anag@host.com", "some/mag or none"])
def test_codes_and_addresses_have_no_marks(read: str) -> None:
    assert read_anew(read, {read.index("ag") + 1: {"ğ": 0.8}}) == read


def test_the_models_of_languages_with_prose_know_their_words() -> None:
    languages = Languages.load(FOLDER / "language.npz")
    assert not any(languages.models[code].is_small for code in ("en", "fr", "de", "es", "it", "pt", "xx", "zxx"))
    assert all(languages.models[code].is_small for code in ("lv", "ca", "mt", "pl"))
    assert languages.model({"lv": 0.7, "en": 0.3}).is_small
    assert not languages.model({"lv": 0.3, "en": 0.7}).is_small
