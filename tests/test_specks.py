"""Specks are taken off pages that have more of them than letters, and dithered pages become grey; other pages stay."""

import numpy as np
import pytest
from pages import draw_page
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.specks import without_specks

TEXTS = [
    "Please send the parcel to",
    "Mr. J. Brown, Old Bridge.",
    "Account 2041 77 3065",
    "over the stone: it jumps;",
] * 3


def peppered(page: np.ndarray, share: float) -> np.ndarray:
    return np.where(np.random.default_rng(3).random(page.shape) < share, np.uint8(0), page)


def dithered(page: np.ndarray, paper: int) -> np.ndarray:
    grey = 30 + (page.astype(float) - 30) * (paper - 30) / 215
    return np.asarray(Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("1").convert("L"))


def share_read(reader: PageReader, page: np.ndarray) -> float:
    words = {word for text in TEXTS for word in text.split()}
    return len(words & {word for line in reader.read_image(page, "page").lines for word in line.text.split()}) / len(
        words
    )


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


@pytest.mark.parametrize("share", [0.002, 0.01, 0.03])
def test_specks_are_wiped_and_full_stops_stay(share: float) -> None:
    page = np.asarray(draw_page(TEXTS, 30)[0])
    clean = without_specks(peppered(page, share))
    # Specks that touch letters are part of them.
    far = np.abs(clean.astype(int) - page) > 60
    assert far.mean() < 0.35 * share
    dark = page < 120
    assert (clean[dark] < 130).all()


def test_text_of_any_size_and_its_full_stops_stay_as_they_are() -> None:
    for size in (12, 16, 22, 34):
        page = np.asarray(draw_page(["Mr. J. Brown ... i. ii. iii. iv. 12.30; etc. : : :"] * 12, size)[0])
        assert without_specks(page) is page
        bilevel = np.where(page < 140, np.uint8(0), np.uint8(255))
        assert without_specks(bilevel) is bilevel


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_a_page_with_pepper_noise_is_read(reader: PageReader, share: float) -> None:
    page = np.where(np.asarray(draw_page(TEXTS, 28)[0]) < 140, np.uint8(0), np.uint8(255))
    assert share_read(reader, peppered(page, share)) > 0.75


@pytest.mark.parametrize("paper", [235, 215, 180])
def test_a_dithered_page_is_read(reader: PageReader, paper: int) -> None:
    assert share_read(reader, dithered(np.asarray(draw_page(TEXTS, 28)[0]), paper)) > 0.75


def test_dots_of_ruled_lines_are_wiped() -> None:
    image = draw_page(TEXTS, 30)[0]
    before = np.asarray(image).copy()
    draw = ImageDraw.Draw(image)
    for y in range(102, image.height - 20, 57):
        for x in range(20, image.width - 20, 5):
            draw.rectangle((x, y, x + 1, y), fill=40)
    assert np.abs(without_specks(np.asarray(image)).astype(int) - before).mean() < 0.1


def test_small_images_are_taken() -> None:
    for shape in ((1, 1), (3, 200), (40, 2)):
        page = np.full(shape, 250, np.uint8)
        assert without_specks(page) is page


def test_full_stops_of_small_print_stay_beside_large_letters() -> None:
    small = np.asarray(draw_page(["Mr. J. Brown 12.30; No. 4. i. ii. iii."] * 3, 20)[0])
    image = Image.new("L", (900, 1000), 245)
    image.paste(Image.fromarray(small), (0, 800))
    ImageDraw.Draw(image).text((40, 20), "BIG\nBIG\nBIG", fill=30, font=ImageFont.load_default(190))
    page = np.asarray(image)
    clean = without_specks(peppered(page, 0.004))
    assert (clean != peppered(page, 0.004)).any()
    assert (clean[page < 120] < 130).all()


def test_dots_of_ruled_lines_are_wiped_all_or_none() -> None:
    """Some of the dots have a pixel more than others, where they fall between pixels."""
    image = draw_page(TEXTS, 22)[0]
    draw = ImageDraw.Draw(image)
    for number, y in enumerate(range(75, image.height - 20, 42)):
        for x in range(20, image.width - 20, 5):
            draw.rectangle((x, y, x + 1, y + (number + x // 5) % 3), fill=40)
    page = np.asarray(image)
    assert without_specks(page) is page
