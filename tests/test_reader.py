import re
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from io import BytesIO
from itertools import chain, repeat
from pathlib import Path
from typing import cast

import matplotlib
import numpy as np
import pytest
from pages import WORDS, draw_page
from PIL import Image, ImageDraw, ImageFont
from shapely.affinity import scale
from shapely.geometry import Polygon, box

from paragraph_ocr.document import Page, Points
from paragraph_ocr.errors import DeadlineExceeded, TooLarge
from paragraph_ocr.io.limits import Limits
from paragraph_ocr.models import ModelError
from paragraph_ocr.pipeline.acceptance import MIN_READING_WEIGHT
from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.detection import Detection, TextLine
from paragraph_ocr.pipeline.language import LanguageModel
from paragraph_ocr.pipeline.options import ReadOptions
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.recognition import Recognizer, StripScaling
from training.evaluation.metrics import ErrorRate

LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


@pytest.fixture(scope="module")
def letter(reader: PageReader) -> Page:
    return only_page(reader, LETTER.read_bytes(), "letter.jpg")


def only_page(reader: PageReader, data: bytes, name: str) -> Page:
    (page,) = reader.read(data, name).pages
    return page


def error(truth: list[str], page: Page) -> float:
    rate = ErrorRate()
    rate.add(" ".join(truth), " ".join(line.text for line in page.lines))
    return rate.characters


def test_every_line_of_the_sample_is_read_in_order(letter: Page) -> None:
    truth = LETTER.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert len(letter.lines) == len(truth)
    assert error(truth, letter) < 0.2
    heights = [np.mean([y for _, y in line.baseline]) for line in letter.lines]
    assert heights == sorted(heights)


@pytest.mark.parametrize("charset", ["digits", "amount"])
def test_the_value_that_a_charset_leaves_of_a_line_is_where_it_stands(
    reader: PageReader, letter: Page, charset: str
) -> None:
    (word,) = [word for line in letter.lines for word in line.words if "£14" in word.text]
    page = reader.read(LETTER.read_bytes(), "letter.jpg", options=ReadOptions(charset=charset)).pages[0]
    (value,) = [word for line in page.lines for word in line.words if "14" in word.text]
    inner, outer = ([x for x, _ in each.polygon] for each in (value, word))
    assert min(outer) - 10 < min(inner) < max(inner) < max(outer) + 10
    assert max(inner) - min(inner) > 0.4 * (max(outer) - min(outer))


@pytest.mark.parametrize("squeeze", [0.35, 0.4])
def test_dense_writing_is_read_as_if_it_were_not(reader: PageReader, letter: Page, squeeze: float) -> None:
    truth = LETTER.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    image = Image.open(LETTER).convert("L")
    pixels = np.asarray(image.resize((round(squeeze * image.width), image.height)))
    page = reader.read_image(pixels, "squeezed.png")
    recognizer = copy(reader.recognizer)
    recognizer.scaling = StripScaling(recognizer.scaling.columns_per_character, max_stretch=1.0)
    as_it_is = PageReader(reader.detector, recognizer).read_image(pixels, "squeezed.png")
    assert error(truth, page) < 0.3 * error(truth, as_it_is)
    overlaps = []
    for line, dense in zip(letter.lines, page.lines, strict=True):
        if [word.text for word in line.words] == [word.text for word in dense.words]:
            for word, other in zip(line.words, dense.words, strict=True):
                wide = scale(Polygon(other.polygon), 1 / squeeze, origin=(0, 0))
                overlaps.append(Polygon(word.polygon).intersection(wide).area / Polygon(word.polygon).union(wide).area)
    assert len(overlaps) > 20
    assert np.mean(overlaps) > 0.75


def test_a_printed_page_is_read(reader: PageReader) -> None:
    texts = ["Please send the parcel to", "the house by the river", "before the end of March"]
    image, lines = draw_page(texts)
    page = reader.read_image(np.asarray(image), "print.png")
    assert len(page.lines) == len(texts)
    assert error(texts, page) < 0.2
    for line, true in zip(page.lines, lines, strict=True):
        (_, y), _ = true["baseline"]
        assert all(abs(found - y) < 5 for _, found in line.baseline)


def test_a_page_of_sixty_lines_is_read_whole(reader: PageReader) -> None:
    texts = [" ".join(WORDS[(row + part) % len(WORDS)] for part in range(6)) for row in range(60)]
    page = reader.read_image(np.asarray(draw_page(texts)[0]), "long.png")
    assert len(page.lines) == 60
    assert error(texts, page) < 0.1


def test_columns_are_read_one_after_the_other(reader: PageReader) -> None:
    texts = [" ".join(WORDS[(row + part) % len(WORDS)] for part in range(4)) for row in range(24)]
    columns = [np.asarray(draw_page(part, width=600)[0]) for part in (texts[:12], texts[12:])]
    page = reader.read_image(np.hstack(columns), "columns.png")
    assert len(page.lines) == 24
    assert error(texts, page) < 0.1


def test_a_line_longer_than_the_recognizers_input_is_read_whole(reader: PageReader) -> None:
    text = ", ".join(f"the house by the river number {number}" for number in ("one", "two", "three", "four", "five"))
    image, _ = draw_page([text], size=30, width=2600)
    (line,) = reader.read_lines(np.asarray(image), [TextLine(np.array([[60, 87], [2440, 87]], np.float32), 24, 9, 1.0)])
    rate = ErrorRate()
    rate.add(text, line.text)
    assert rate.characters < 0.03
    lefts = [min(x for x, _ in word.polygon) for word in line.words]
    assert lefts == sorted(lefts)
    assert line.words[-1].polygon[1][0] == pytest.approx(2440, abs=60)


def test_the_full_stop_of_a_line_as_wide_as_the_recognizers_input_is_read(reader: PageReader) -> None:
    texts = [
        "The municipality has built twenty-five new houses on the land there.",
        "Dear madam, please find the invoice of last month enclosed herewith.",
        "The meeting was put off until Monday the third of April of this year.",
        "Please send us the documents that we asked for by next Wednesday.",
    ]
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 32)
    image = Image.new("L", (1400, 400), 255)
    for row, text in enumerate(texts):
        ImageDraw.Draw(image).text((50, 60 + 70 * row), text, fill=0, font=font)
    assert reader.read_image(np.asarray(image), "print").text.split("\n") == texts


def test_small_letters_are_read_larger_and_their_words_are_as_tall_as_found(reader: PageReader) -> None:
    image, (drawn,) = draw_page(["the house by the river"], size=30, width=900)
    geometry = reader.recognizer.geometry
    zooms = []
    # Letters that are small for their line, and such as are not.
    for ascender, descender in ((40, 18), (24, 9)):
        found = TextLine(np.array(drawn["baseline"], np.float32), ascender, descender, 1.0)
        ((within, _),) = reader.line_log_probabilities(np.asarray(image), [found])
        zooms.append(geometry.window * (ascender + descender) / (within.height * np.hypot(*within.downs[0])))
        (line,) = reader.read_lines(np.asarray(image), [found])
        assert line.text == "the house by the river"
        for word in line.words:
            assert sorted({round(y) for _, y in word.polygon}) == [87 - ascender, 87 + descender]
    # How much larger follows from the letters that a first reading counts, which depends on the model.
    small, plain = zooms
    assert 1.15 < small <= reader.recognizer.scaling.max_zoom + 0.01
    assert plain == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_page_is_read_upright_and_its_lines_stay_where_they_are(
    reader: PageReader, letter: Page, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.asarray(Image.open(LETTER).convert("L"))
    searched: list[tuple[int, ...]] = []
    find = reader.detector.find
    monkeypatch.setattr(reader.detector, "find", lambda page: (searched.append(page.shape), find(page))[1])
    page = reader.read_image(np.rot90(pixels, -turn), "turned.png")
    assert len(searched) <= 2, "as it lies and as it stands at most, however it is turned"
    height, width = pixels.shape
    assert page.rotation == 90 * turn
    assert (page.width, page.height) == ((height, width) if turn % 2 else (width, height))
    assert page.text == letter.text
    for line, upright in zip(page.lines, letter.lines, strict=True):
        for (x, y), (u, v) in zip(line.baseline, upright.baseline, strict=True):
            assert (x, y) == pytest.approx({1: (height - v, u), 2: (width - u, height - v), 3: (v, width - u)}[turn])


@pytest.mark.parametrize("degrees", [-44, -14, 10, 33])
def test_a_skewed_page_is_read_and_its_lines_slope(reader: PageReader, letter: Page, degrees: int) -> None:
    image = Image.open(LETTER).convert("L").rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=240)
    page = reader.read_image(np.asarray(image), "skewed.png")
    assert page.rotation == 0
    assert len(page.lines) == len(letter.lines)
    assert error([line.text for line in letter.lines], page) < 0.1
    for line in page.lines:
        (x, y), *_, (u, v) = line.baseline
        assert np.degrees(np.arctan2(v - y, u - x)) == pytest.approx(degrees, abs=3)


@pytest.mark.parametrize(("part", "dim"), [(0.25, 0.45), (0.55, 0.45), (0.45, 0.7)])
def test_a_shadow_does_not_hide_what_lies_under_it(reader: PageReader, letter: Page, part: float, dim: float) -> None:
    pixels = np.asarray(Image.open(LETTER).convert("L"))
    light = np.where(np.arange(pixels.shape[1]) > part * pixels.shape[1], dim, 1.0)
    page = reader.read_image((pixels * light).astype(np.uint8), "shadow.png")
    assert error([line.text for line in letter.lines], page) < 0.1
    assert len(page.lines) == len(letter.lines)


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_word_or_a_line_that_was_cut_out_is_read(reader: PageReader, letter: Page, turn: int) -> None:
    pixels = np.asarray(Image.open(LETTER).convert("L"))

    def alone(polygon: Points) -> Page:
        (left, top), (right, bottom) = np.min(polygon, axis=0) - 6, np.max(polygon, axis=0) + 6
        part = pixels[max(int(top), 0) : int(bottom), max(int(left), 0) : int(right)]
        return reader.read_image(np.rot90(part, -turn), "alone")

    words = [(word.text, alone(word.polygon).text) for line in letter.lines for word in line.words]
    assert len(words) > 80
    # Upright all but two are read as in their line. How two or three letters lie is hard to tell.
    assert sum(text == read for text, read in words) > (0.75 if turn else 0.95) * len(words)
    for line in letter.lines:
        assert error([line.text], alone(line.polygon)) < 0.1


def test_a_page_of_10_000_pixels_is_read(reader: PageReader, letter: Page) -> None:
    image = Image.open(LETTER).convert("L")
    width, height = letter.width, letter.height
    content = BytesIO()
    image.resize((10_000, round(10_000 * height / width))).save(content, "jpeg")
    large = only_page(reader, content.getvalue(), "large.jpg")
    assert error([line.text for line in letter.lines], large) < 0.02
    for line, usual in zip(large.lines, letter.lines, strict=True):
        assert np.array(line.box) / 10_000 == pytest.approx(np.array(usual.box) / width, abs=0.005)


def test_a_negative_is_read_as_what_it_shows(reader: PageReader, letter: Page) -> None:
    pixels = np.asarray(Image.open(LETTER).convert("L"))
    page = reader.read_image(255 - pixels, "negative.png")
    assert page.text == letter.text


def test_words_stand_in_their_line_from_left_to_right(letter: Page) -> None:
    for line in letter.lines:
        assert " ".join(word.text for word in line.words) == line.text
        lefts = [min(x for x, _ in word.polygon) for word in line.words]
        assert lefts == sorted(lefts)
        left, top, right, bottom = line.box
        for word in line.words:
            for x, y in word.polygon:
                assert left - 30 < x < right + 30
                assert top - 30 < y < bottom + 30


def test_words_lie_on_their_ink(reader: PageReader) -> None:
    image, _ = draw_page(["parcel    river"], size=40)
    (line,) = reader.read_image(np.asarray(image), "gap.png").lines
    first, second = line.words
    ink = np.flatnonzero((np.asarray(image) < 128).any(axis=0))
    gap = int(np.diff(ink).argmax())
    assert max(x for x, _ in first.polygon) == pytest.approx(ink[gap], abs=25)
    assert min(x for x, _ in second.polygon) == pytest.approx(ink[gap + 1], abs=25)


def test_words_that_are_read_right_have_the_boxes_they_were_drawn_in(reader: PageReader) -> None:
    texts = ["Please send the parcel to", "the house by the river", "before the end of March", "old stone bridge"]
    overlaps = []
    for size in (28, 36, 48):
        image, lines = draw_page(texts, size)
        font = ImageFont.load_default(size)
        true = {}
        for line, text in zip(lines, texts, strict=True):
            (_, top), _, (_, bottom), _ = line["polygon"]
            for start, word in ((found.start(), found.group()) for found in re.finditer(r"\S+", text)):
                left = 60 + font.getlength(text[:start])
                true[word, round(top)] = box(left, top, left + font.getlength(word), bottom)
        for word in (word for line in reader.read_image(np.asarray(image), "page").lines for word in line.words):
            same = [shape for (text, _), shape in true.items() if text == word.text]
            found = Polygon(word.polygon)
            overlaps += (
                [max(found.intersection(shape).area / found.union(shape).area for shape in same)] if same else []
            )
    assert len(overlaps) > 0.8 * 3 * sum(len(text.split()) for text in texts)
    assert np.mean(overlaps) > 0.77


def test_words_begin_and_end_where_their_ink_does(reader: PageReader) -> None:
    image, _ = draw_page(["parcel river"], size=48)
    (line,) = reader.read_image(np.asarray(image), "gap.png").lines
    ink = np.flatnonzero((np.asarray(image) < 128).any(axis=0))
    gap = int(np.diff(ink).argmax())
    first, second = ([x for x, _ in word.polygon] for word in line.words)
    for edge, side in ((min(first), ink[0]), (max(second), ink[-1])):
        assert edge == pytest.approx(side, abs=8)
    for edge in (max(first), min(second)):
        assert ink[gap] - 2 < edge < ink[gap + 1] + 2


def test_words_below_upright_headings_are_read(reader: PageReader) -> None:
    page = Image.new("L", (900, 500), 255)
    font = ImageFont.load_default(24)
    draw = ImageDraw.Draw(page)
    draw.text((50, 40), "Cleaning rota of the house", 0, font)
    for column, (heading, *entries) in enumerate((("Thursday", "7b", "12"), ("Wednesday", "34", "9a"))):
        x = 300 + 200 * column
        along = Image.new("L", (160, 34), 255)
        ImageDraw.Draw(along).text((10, 2), heading, 0, font)
        page.paste(along.rotate(90, expand=True), (x, 120))
        for row, entry in enumerate(entries):
            draw.text((x + 2, 300 + 60 * row), entry, 0, font)
    lines = [line.text for line in reader.read_image(np.asarray(page), "rota.png").lines]
    assert sorted(lines) == ["12", "34", "7b", "9a", "Cleaning rota of the house", "Thursday", "Wednesday"]


def test_a_line_that_is_found_too_tall_is_read_as_tall_as_its_letters(
    reader: PageReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    font = ImageFont.load_default(20)
    page = Image.new("L", (1000, 300), 255)
    for row, text in enumerate(("the water is wide and", "neither have I wings")):
        for place, word in enumerate(text.split()):
            ImageDraw.Draw(page).text((60 + 180 * place, 100 + 100 * row), word, 0, font, anchor="ls")
    lines = [TextLine(np.array([[60, level + 6], [900, level + 6]], np.float32), 34, 16, 0.85) for level in (100, 200)]
    monkeypatch.setattr(reader.detector, "find", lambda _: Detection(list(lines), False))
    assert reader.read_image(np.asarray(page), "song").text == "the water is wide and\nneither have I wings"


def test_figures_close_above_each_other_are_read(reader: PageReader) -> None:
    image = Image.new("L", (800, 560), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(26)
    columns = {60: "7385264985463", 430: "2469357846925", 700: "5836947285364"}
    for left, figures in columns.items():
        draw.text((left, 60), "Items", 0, font, anchor="ms")
        for row, figure in enumerate(figures):
            draw.text((left, 100 + 26 * row), figure, 0, font, anchor="ms")
    texts = [line.text for line in reader.read_image(np.asarray(image), "figures").lines]
    assert sum(len(text) for text in texts if text.isdigit()) >= 37


def test_confidence_is_what_the_card_makes_of_it(reader: PageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    model = reader.recognizer.model
    monkeypatch.setattr(model, "card", replace(model.card, calibration=((0.0, 1.0), (0.75, 0.75))))
    page = reader.read_image(np.asarray(draw_page(["the old stone bridge"])[0]), "page")
    assert [word.confidence for word in page.lines[0].words] == [pytest.approx(0.75)] * len(page.lines[0].words)
    assert page.lines[0].confidence == page.confidence == pytest.approx(0.75)


def test_coordinates_are_those_of_the_image_after_its_orientation(reader: PageReader) -> None:
    image, _ = draw_page(["the old stone bridge", "from the river"])
    upright = reader.read_image(np.asarray(image), "page")
    content = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(content, "png", exif=exif)
    turned = only_page(reader, content.getvalue(), "page")
    assert turned.text == upright.text
    assert (turned.width, turned.height) == image.size
    assert np.allclose(turned.lines[0].polygon, upright.lines[0].polygon, atol=1)


@pytest.mark.parametrize("shape", [(1100, 800), (1, 1), (3, 4000), (4000, 3)])
def test_blank_paper_of_any_shape_has_no_lines(reader: PageReader, shape: tuple[int, int]) -> None:
    page = reader.read_image(np.full(shape, 235, np.uint8), "blank")
    assert page.lines == ()
    assert (page.text, page.confidence) == ("", 0.0)


def test_the_page_says_what_read_it_and_how_long_each_step_took(reader: PageReader, letter: Page) -> None:
    assert letter.model == reader.models
    steps = dict(letter.timings_ms)
    total = steps.pop("total")
    assert set(steps) == {"decode", "detect", "recognize"}
    assert sum(steps.values()) == pytest.approx(total, abs=0.5)


def test_a_recognizer_that_was_exported_for_an_earlier_reader_is_refused(reader: PageReader) -> None:
    model = copy(reader.recognizer.model)
    before = {name: value for name, value in model.card.preprocessing.items() if name != "scaling"}
    model.card = replace(model.card, preprocessing=before)
    with pytest.raises(ModelError, match="export its checkpoint anew"):
        Recognizer(model)


def test_a_language_model_of_another_charset_is_refused(reader: PageReader) -> None:
    class Other:
        charset = "ab"

    with pytest.raises(ModelError, match="charset"):
        Recognizer(reader.recognizer.model, cast(LanguageModel, Other()))


def two_pages() -> bytes:
    images = [draw_page(texts)[0] for texts in (["the old stone bridge"], ["from the river", "before the end"])]
    content = BytesIO()
    images[0].save(content, "TIFF", save_all=True, append_images=images[1:])
    return content.getvalue()


def test_every_page_of_a_file_is_read(reader: PageReader) -> None:
    document = reader.read(two_pages(), "scan.tif")
    assert document.image == "scan.tif"
    assert [(page.image, page.page, len(page.lines)) for page in document.pages] == [
        ("scan.tif", 1, 1),
        ("scan.tif", 2, 2),
    ]
    assert all(page.timings_ms["decode"] > 0 for page in document.pages)


def test_pages_are_read_when_they_are_asked_for(reader: PageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    find = reader.detector.find
    monkeypatch.setattr(reader.detector, "find", lambda pixels: seen.append(pixels.shape) or find(pixels))
    pages = reader.pages(two_pages(), "scan.tif")
    assert next(pages).page == 1
    assert len(seen) == 1
    assert [page.page for page in pages] == [2]


def test_reading_goes_on_where_it_was_and_tells_how_far_it_is(reader: PageReader) -> None:
    told = []
    (page,) = reader.pages(two_pages(), "scan.tif", first=2, progress=lambda *numbers: told.append(numbers))
    assert page.lines == reader.read(two_pages(), "scan.tif").pages[1].lines
    assert page.page == 2
    assert told[0] == (2, 0, 2)
    assert told[-1] == (2, 2, 2)
    assert told == sorted(told)


def test_what_is_refused_is_refused_before_a_page_is_read(reader: PageReader) -> None:
    limited = PageReader(reader.detector, reader.recognizer, Limits(max_pages=1))
    with pytest.raises(TooLarge, match="pages"):
        limited.pages(two_pages(), "scan.tif")


def test_refuses_too_many_lines(reader: PageReader) -> None:
    limited = PageReader(reader.detector, reader.recognizer, Limits(max_lines=1))
    pages = limited.pages(two_pages(), "scan.tif")
    assert len(next(pages).lines) == 1
    with pytest.raises(TooLarge, match="Page 2 has 2 lines; the limit is 1"):
        next(pages)


def test_refuses_what_takes_too_long(reader: PageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(outputs: Iterable[object], *_: object) -> list[list[Character]]:
        read: list[list[Character]] = []
        for _output in outputs:
            clock[0] += 10
            read.append([])
        return read

    clock = [0.0]
    monkeypatch.setattr("paragraph_ocr.pipeline.reader.perf_counter", lambda: clock[0])
    monkeypatch.setattr(reader.recognizer, "read", slow)
    lines = draw_page(["the river"] * (2 * reader.recognizer.model.input_shape[0]))[0]
    content = BytesIO()
    lines.save(content, "PNG")
    assert len(reader.read(content.getvalue(), "page", max_seconds=1000).pages) == 1
    clock[0] = 0
    with pytest.raises(DeadlineExceeded, match="longer than the limit"):
        reader.read(content.getvalue(), "page", max_seconds=9)
    assert clock[0] == 10
    with pytest.raises(DeadlineExceeded, match="longer than the limit"):
        PageReader(reader.detector, reader.recognizer, Limits(max_seconds=-1)).read(content.getvalue(), "page")


def test_a_model_s_run_ends_at_the_deadline(reader: PageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the checks between the steps of reading, as on a machine so busy that one step takes all the time.
    monkeypatch.setattr("paragraph_ocr.pipeline.reader._check", lambda _: None)
    times = chain([0.0], repeat(1000.0))
    monkeypatch.setattr("paragraph_ocr.pipeline.reader.perf_counter", lambda: next(times))
    with pytest.raises(DeadlineExceeded, match="Reading takes longer"):
        reader.read(LETTER.read_bytes(), "letter.jpg", max_seconds=1000)


def test_a_page_on_which_nothing_is_found_is_looked_at_sideways_too(
    reader: PageReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.asarray(Image.open(LETTER).convert("L"))
    find = reader.detector.find
    # As if the detector had neither seen the lines nor that the page lies on its side.
    monkeypatch.setattr(reader.detector, "find", lambda page: find(page) if page.shape == pixels.shape else ([], False))
    page = reader.read_image(np.rot90(pixels, -1), "turned.png")
    assert page.rotation == 90
    assert len(page.lines) == 10


def test_what_the_detector_doubts_and_nobody_can_read_is_left_out(
    reader: PageReader, letter: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = reader.detector.find

    def doubt(page: np.ndarray) -> tuple[list[TextLine], bool]:
        lines, sideways = find(page)
        return [replace(line, confidence=0.8) for line in lines], sideways

    least = float(np.median([line.confidence for line in letter.lines]))
    accepted = 0.8 * (MIN_READING_WEIGHT + (1.0 - MIN_READING_WEIGHT) * least) + 1e-9
    monkeypatch.setattr(reader.detector, "find", doubt)
    monkeypatch.setattr(
        reader.detector,
        "settings",
        replace(reader.detector.settings, min_confidence=accepted, certain_confidence=0.9),
    )
    page = only_page(reader, LETTER.read_bytes(), "letter.jpg")
    assert [line.text for line in page.lines] == [line.text for line in letter.lines if line.confidence > least]
    assert 0 < len(page.lines) < len(letter.lines)


def test_a_page_that_lies_on_no_side_is_read_as_it_lies(
    reader: PageReader, letter: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, find = reader.detector.detect, reader.detector.find
    # As if the detector took every page for one that lies on its side.
    monkeypatch.setattr(reader.detector, "detect", lambda page, side: look(page, side)._replace(sideways=True))
    monkeypatch.setattr(reader.detector, "find", lambda page: find(page)._replace(sideways=True))
    assert only_page(reader, LETTER.read_bytes(), "letter.jpg").text == letter.text
