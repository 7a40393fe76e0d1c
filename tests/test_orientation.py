import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from pages import draw_page
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline import orientation
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.orientation import Evidence, find_upright, weigh
from paragraph_ocr.pipeline.reader import PageReader

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


def numbers(rng: random.Random) -> str:
    return f"{rng.randint(10000, 99999)}        {rng.randint(1, 30)}.{rng.randint(10, 99)}"


def names(rng: random.Random) -> str:
    return f"{rng.choice(['Martin', 'Bernard', 'Petit', 'Dubois', 'Moreau'])} {rng.choice('ABCDE')}."


def capitals(rng: random.Random) -> str:
    return rng.choice(["LEEDS", "BRISTOL", "YORK", "EXETER", "DURHAM", "OXFORD"])


def codes(rng: random.Random) -> str:
    return f"{rng.choice('ABCDEF')}{rng.randint(100, 999)}-{rng.randint(10, 99)}"


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", [numbers, names, capitals, codes])
def test_lists_are_read_the_way_up_they_are(reader: PageReader, kind: object, turn: int) -> None:
    rng = random.Random(turn)
    assert callable(kind)
    page = np.asarray(draw_page([kind(rng) for _ in range(30)], size=24, width=620)[0])
    found = find_upright(np.rot90(page, -turn), reader.detector, reader.recognizer)
    assert found.turn == turn
    assert len(found.lines) >= 30


def test_an_upright_page_is_looked_at_once_and_a_little(reader: PageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    look = reader.detector.detect
    monkeypatch.setattr(reader.detector, "detect", lambda page, side: (sides.append(side), look(page, side))[1])
    image, _ = draw_page(["Please send the parcel to", "the house by the river", "before the end of March"] * 4)
    find_upright(np.asarray(image), reader.detector, reader.recognizer)
    size = reader.detector.size
    assert sides == [size // 4, size]


@pytest.mark.parametrize(("across", "turn"), [(0.65, 0), (0.75, 1)])
def test_a_doubtful_page_is_turned_only_if_it_is_read_much_more_surely_then(
    reader: PageReader, across: float, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.asarray(draw_page(["the old stone bridge"])[0])
    upright = pixels.shape[1] > pixels.shape[0]

    def weighed(page: np.ndarray, *_: object) -> Evidence:
        return Evidence(0.5 if (page.shape[1] > page.shape[0]) == upright else across, 0.0, 20, {})

    monkeypatch.setattr(orientation, "weigh", weighed)
    assert find_upright(pixels, reader.detector, reader.recognizer).turn == turn


def test_few_characters_prove_little(reader: PageReader) -> None:
    image, _ = draw_page(["the old stone bridge", "it"])
    lines = reader.detector.find(np.asarray(image)).lines
    longest = max(lines, key=lambda line: float(np.ptp(line.baseline[:, 0])))
    short = replace(longest, baseline=longest.baseline[:2])
    whole, part = (weigh(np.asarray(image), [line], reader.recognizer) for line in (longest, short))
    assert whole.upright > 0.85 > part.upright


def test_rows_of_noise_prove_nothing_beside_lines(reader: PageReader) -> None:
    letter = Image.open(Path(__file__).parents[1] / "samples" / "letter.jpg").convert("L")
    page = np.vstack([np.asarray(letter), np.full((400, letter.width), 250, np.uint8)])
    noise = np.random.default_rng(0)
    page[letter.height :][noise.random((400, letter.width)) < 0.1] = 0
    found = reader.detector.find(np.asarray(letter)).lines
    rows = [
        TextLine(np.array([[100, y], [1100, y]], np.float32), 6, 2, 0.65)
        for y in range(letter.height + 20, letter.height + 380, 20)
    ]
    evidence = weigh(page, [*rows, *found], reader.recognizer, None)
    assert evidence.upright == pytest.approx(weigh(page, found, reader.recognizer, None).upright)


def test_digits_are_tried_upside_down_however_surely_they_are_read(reader: PageReader) -> None:
    letters, digits = (np.asarray(draw_page([text])[0]) for text in ("the old stone bridge", "60896 10861 96019"))
    weighed = [weigh(page, reader.detector.find(page).lines, reader.recognizer, None) for page in (letters, digits)]
    assert weighed[0].upside_down == 0.0
    assert 0.0 < weighed[1].upside_down < weighed[1].upright


def test_columns_of_single_digits_are_left_upright(reader: PageReader) -> None:
    page = np.full((330, 1900), 250, np.uint8)
    for left, digits in zip((20, 640, 1260), ("3805876", "2733849", "5824275"), strict=True):
        for row, digit in enumerate(digits):
            strip = np.asarray(draw_page([digit], size=32, width=60)[0])
            part = page[10 + 44 * row : 10 + 44 * row + min(44, strip.shape[0]), left : left + strip.shape[1]]
            part[:] = np.minimum(part, strip[: part.shape[0]])
    assert find_upright(page, reader.detector, reader.recognizer).turn == 0


def single_digit(rng: random.Random) -> list[str]:
    return [rng.choice("0123456789")]


def price_list(rng: random.Random) -> list[str]:
    return [str(rng.randint(10000, 99999)), f"{rng.randint(1, 30)}.{rng.randint(10, 99)}"]


def register(rng: random.Random) -> list[str]:
    date = f"{rng.randint(1, 28):02}/{rng.randint(1, 12):02}/{rng.randint(1920, 1999)}"
    return [str(rng.randint(1, 99)), rng.choice(["Martin C.", "Petit P.", "Moreau A.", "Roy B."]), date]


def table(kind: Callable[[random.Random], list[str]], typeface: str, rows: int, gap: int) -> np.ndarray:
    """A page of so many rows of short items in columns that stand so far apart."""
    rng = random.Random(1)
    font = ImageFont.truetype(FONTS / typeface, 30)
    cells = [kind(rng) for _ in range(rows)]
    lefts = [40]
    for column in zip(*cells, strict=True):
        lefts.append(lefts[-1] + round(max(map(font.getlength, column))) + gap)
    image = Image.new("L", (lefts[-1] + 40, 57 * rows + 80), 248)
    for row, texts in enumerate(cells):
        for left, text in zip(lefts, texts, strict=False):
            ImageDraw.Draw(image).text((left, 60 + 57 * row), text, 25, font, anchor="ls")
    return np.asarray(image)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("typeface", ["DejaVuSerif.ttf", "cmss10.ttf"])
@pytest.mark.parametrize("kind", [price_list, register])
def test_tables_of_short_items_are_read_the_way_up_they_are(
    reader: PageReader, kind: Callable[[random.Random], list[str]], typeface: str, turn: int
) -> None:
    page = table(kind, typeface, rows=14, gap=120)
    assert find_upright(np.rot90(page, -turn), reader.detector, reader.recognizer).turn == turn


@pytest.mark.parametrize("typeface", ["DejaVuSerif.ttf", "DejaVuSansMono.ttf", "STIXGeneral.ttf"])
def test_single_digits_tell_together_which_way_up_they_stand(reader: PageReader, typeface: str) -> None:
    # Three of them may be letters upside down.
    page = table(single_digit, typeface, rows=9, gap=600)
    for shown, upside_down in ((page, False), (np.rot90(page, 2), True)):
        evidence = weigh(shown, reader.detector.find(shown).lines, reader.recognizer, None)
        assert (evidence.upside_down > evidence.upright) == upside_down


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_column_of_single_digits_is_turned_upright(reader: PageReader, turn: int) -> None:
    page = table(single_digit, "DejaVuSerif.ttf", rows=9, gap=600)
    assert find_upright(np.rot90(page, -turn), reader.detector, reader.recognizer).turn == turn


@pytest.mark.parametrize("turn", [0, 2])
def test_rules_that_are_found_as_lines_do_not_hide_which_way_up_a_table_stands(
    reader: PageReader, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise in a dark bar and dotted rules may be detected, longer than the text and without any."""
    page = np.asarray(draw_page([capitals(random.Random(row)) for row in range(20)], size=24, width=900)[0])
    rules = [TextLine(np.array([[300, y], [880, y]], np.float32), 14, 5, 0.9) for y in (20, 25, 30)]
    found = reader.detector.find(np.rot90(page, turn)).lines
    evidence = weigh(np.rot90(page, turn), [*rules, *found], reader.recognizer)
    best = evidence.upright if turn == 0 else evidence.upside_down
    assert best == evidence.best > 0.7
    assert evidence.characters >= 10
