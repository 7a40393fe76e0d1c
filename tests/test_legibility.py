"""A page that holds no text, or none that can be read, says so; one that does is never doubted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from paragraph_ocr.cli import main as command_line
from paragraph_ocr.document import CONTENTS, NOTES, Document, Line, Page
from paragraph_ocr.formats import render
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.legibility import ILLEGIBLE_CONFIDENCE, LEGIBLE_CONFIDENCE, is_legible, length_per_character
from paragraph_ocr.pipeline.reader import PageReader

ROOT = Path(__file__).parents[1]
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PHOTOS = Path(sklearn.datasets.__file__).parent / "images"
Pixels = NDArray[np.uint8]

LATIN = ["Dear Margaret, thank you for the parcel,", "which came on Tuesday morning.", "The apples were sound and the"]
RUSSIAN = ["Дорогая Маргарита, спасибо за посылку,", "которая пришла во вторник утром.", "Яблоки были хорошие, и дети"]
GREEK = ["Όλοι οι άνθρωποι γεννιούνται ελεύθεροι", "και ίσοι στην αξιοπρέπεια", "και τα δικαιώματα. Είναι προικισμένοι"]
GREEK.append("με λογική και συνείδηση")
ARMENIAN = ["Բոլոր մարդիկ ծնվում են ազատ ու հավասար", "իրենց արժանապատվությամբ ու իրավունքներով։"]
# In the forms that letters have beside each other, and in the order in which they stand.
ARABIC = ["ﻲﻓ ﻦﻳﻭﺎﺴﺘﻣ ﺭﺍﺮﺣﺃ ﺱﺎﻨﻟﺍ ﻊﻴﻤﺟ ﺪﻟﻮﻳ", "ﻞﻘﻋ ﺍﻮﺒﻫﻭ ﺪﻗﻭ ﻕﻮﻘﺤﻟﺍﻭ ﺔﻣﺍﺮﻜﻟﺍ", "ﺎﻀﻌﺑ ﻢﻬﻀﻌﺑ ﻞﻣﺎﻌﻳ ﻥﺃ ﻢﻬﻴﻠﻋﻭ"]


def written(texts: list[str], size: int = 40, font: str = "DejaVuSans.ttf", blur: float = 0) -> Pixels:
    image = Image.new("L", (1100, 90 * (len(texts) + 2)), 240)
    for row, text in enumerate(texts, 1):
        ImageDraw.Draw(image).text((60, 90 * row), text, fill=30, font=ImageFont.truetype(FONTS / font, size))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)) if blur else image)


def ruled() -> Pixels:
    pixels = np.full((1200, 900), 240, np.uint8)
    pixels[80:1150:50] = 190
    return pixels


def drawing() -> Pixels:
    image = Image.new("L", (900, 900), 245)
    draw = ImageDraw.Draw(image)
    draw.rectangle((250, 400, 650, 800), outline=20, width=5)
    draw.polygon((200, 400, 450, 200, 700, 400), outline=20)
    draw.rectangle((400, 600, 500, 800), outline=20, width=4)
    draw.ellipse((700, 80, 820, 200), outline=20, width=5)
    return np.asarray(image)


def noise() -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (400, 400)).astype(np.uint8)


def photo(name: str) -> Pixels:
    return np.asarray(Image.open(PHOTOS / name).convert("L"))


def scribble(seed: int) -> Pixels:
    """Rows of loops, as they are drawn in place of writing."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (1000, 700), 240)
    steps = np.arange(400)
    for row in range(6):
        heights = 18 * np.sin(steps * (0.5 + 0.2 * np.sin(steps / 17 + seed))) + rng.normal(0, 4, 400)
        points = list(zip((60 + 2 * steps).tolist(), (80 + 100 * row + heights).tolist(), strict=True))
        ImageDraw.Draw(image).line(points, fill=40, width=4)
    return np.asarray(image)


PAGES: dict[str, tuple[str, Callable[[], Pixels]]] = {
    "white": ("none", lambda: np.full((1200, 900), 255, np.uint8)),
    "black": ("none", lambda: np.zeros((1200, 900), np.uint8)),
    "shaded": ("none", lambda: np.tile(np.linspace(160, 240, 900), (1200, 1)).astype(np.uint8)),
    "ruled": ("none", ruled),
    "drawing": ("none", drawing),
    "noise": ("none", noise),
    "temple": ("none", lambda: photo("china.jpg")),
    "flower": ("none", lambda: photo("flower.jpg")),
    "Russian": ("unreadable", lambda: written(RUSSIAN)),
    "Russian, serif": ("unreadable", lambda: written(RUSSIAN, font="DejaVuSerif.ttf")),
    "Greek": ("unreadable", lambda: written(GREEK)),
    "Armenian": ("unreadable", lambda: written(ARMENIAN)),
    "Arabic": ("unreadable", lambda: written(ARABIC)),
    "scribble": ("unreadable", lambda: scribble(0)),
    "other scribble": ("unreadable", lambda: scribble(2)),
    "blurred": ("unreadable", lambda: written(LATIN, 26, blur=4)),
    "English": ("text", lambda: written(LATIN)),
    "Finnish": ("text", lambda: written(["Kaikki ihmiset syntyvät vapaina ja", "tasavertaisina arvoltaan"])),
    "Swahili": ("text", lambda: written(["Watu wote wamezaliwa huru, hadhi na", "haki zao ni sawa. Wote"])),
    "Zulu": ("text", lambda: written(["Bonke abantu bazalwa bekhululekile", "belingana ngesithunzi nangamalungelo"])),
    "names": ("text", lambda: written(["Kowalczyk, Szymańska, Wójcik", "Nguyen, Tran, Dang"])),
    "numbers": ("text", lambda: written(["12,50  7.00  18/03/24", "0612345678", "907.10"])),
    "codes": ("text", lambda: written(["AB-123-CD XK7 99Q", "SN: 4F7K-9QWE-22XZ", "REF 0012/BGT/7"], 36)),
    "one letter": ("text", lambda: written(["A"])),
    "handwriting": ("text", lambda: np.asarray(Image.open(ROOT / "samples" / "letter.jpg").convert("L"))),
}


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_holds(reader: PageReader, name: str) -> None:
    expected, draw = PAGES[name]
    page = reader.read_image(draw(), name)
    assert page.content == expected, f"{page.confidence:.3f} {page.text!r}"
    assert page.to_dict()["content"] == expected
    assert Page.from_dict(page.to_dict()).content == expected
    assert bool(page.lines) == (expected != "none")


def test_a_page_without_text_is_an_empty_text() -> None:
    page = Page("a.png", 1, 60, 60, 0, (), {}, {})
    assert page.content == "none"
    document = Document("a.png", (page,))
    assert [render(document, form, b"") for form in ("text", "markdown")] == [b"", b""]
    assert render(document, "csv", b"").decode("utf-8-sig") == ""


def test_characters_that_are_asked_for_are_no_language(reader: PageReader) -> None:
    from paragraph_ocr.pipeline.options import ReadOptions

    digits = written(["12 50 7 00 18", "06 12 34 56 78", "907 10"])
    assert reader.read_image(digits, "digits", options=ReadOptions(charset="digits")).content == "text"


def line(text: str) -> Line:
    corners = ((0.0, 0.0), (9.0, 0.0), (9.0, 5.0), (0.0, 5.0))
    return Line(text, 0.9, corners, ((0.0, 4.0), (9.0, 4.0)), ())


def test_confidence_and_words_decide_together(reader: PageReader) -> None:
    languages = reader.recognizer.languages
    likely = [line("the children finished them before supper")]
    unlikely = [line("YBaxaemble rochona, copathe coctonTCA B")]
    assert is_legible(likely, 0.7, languages)
    assert not is_legible(unlikely, 0.7, languages)
    # Confidence alone decides at its ends, without models, and where there are no letters.
    assert is_legible(unlikely, LEGIBLE_CONFIDENCE, languages)
    assert not is_legible(likely, ILLEGIBLE_CONFIDENCE - 0.01, languages)
    assert is_legible(unlikely, 0.8, None)
    assert is_legible([line("907.10 12/03 - 41")], 0.8, languages)
    assert is_legible([], 0.0, languages)


def test_lines_of_which_hardly_anything_was_read_are_unreadable() -> None:
    def found(confidence: float, length: float) -> TextLine:
        return TextLine(np.array([[20, 80], [20 + length, 80]], np.float32), 20.0, 6.0, confidence)

    page = [found(0.95, 700), found(0.95, 700)]
    for lines, legible in (([], False), ([line("own")], False), ([line("All human beings")], True)):
        assert is_legible(lines, 0.99, None, length_per_character(page, lines)) == legible
    assert length_per_character([found(0.95, 100)], []) == 0, "a short line may be a drawing"
    assert length_per_character([found(0.8, 700), found(0.85, 700)], []) == 0, "a photo"


def test_improbable_text_with_gaps_needs_more_confidence(reader: PageReader) -> None:
    unlikely, languages = [line("Caycka Guha pabajy ce Ha YBaxaemble")], reader.recognizer.languages
    assert [is_legible(unlikely, 0.93, languages, length) for length in (0.7, 1.4)] == [True, False]
    assert [is_legible(unlikely, value, languages, 1.4) for value in (0.96, 0.98)] == [False, True]


def test_the_command_line_tells_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in ("blank.png", "russian.png", "english.png")]
    for path, pixels in zip(paths, (ruled(), written(RUSSIAN), written(LATIN)), strict=True):
        Image.fromarray(pixels).save(path)
    assert command_line.main(list(map(str, paths))) == 0
    printed = capsys.readouterr()
    assert f"{paths[0]}: {NOTES['none']}" in printed.err
    assert f"{paths[1]}: {NOTES['unreadable']}" in printed.err
    assert str(paths[2]) not in printed.err
    assert NOTES["none"] not in printed.out
    assert LATIN[0] in printed.out


def test_the_command_line_names_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.tif"
    Image.fromarray(written(LATIN)).save(path, save_all=True, append_images=[Image.fromarray(ruled())])
    assert command_line.main([str(path)]) == 0
    assert f"{path}: page 2: {NOTES['none']}" in capsys.readouterr().err


def test_every_content_that_is_no_text_has_a_note() -> None:
    assert set(NOTES) == set(CONTENTS) - {"text"}
