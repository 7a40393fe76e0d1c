from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pages import draw_page
from PIL import Image

from paragraph_ocr.document import Page
from paragraph_ocr.reader import PageReader
from training.metrics import ErrorRate

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


def test_a_printed_page_is_read(reader: PageReader) -> None:
    texts = ["Please send the parcel to", "the house by the river", "before the end of March"]
    image, lines = draw_page(texts)
    page = reader.read_image(np.asarray(image), "print.png")
    assert len(page.lines) == len(texts)
    assert error(texts, page) < 0.2
    for line, true in zip(page.lines, lines, strict=True):
        (_, y), _ = true["baseline"]
        assert all(abs(found - y) < 5 for _, found in line.baseline)


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
