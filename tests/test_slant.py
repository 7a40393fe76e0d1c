"""Hands that slant more than most are read less slanted."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline import reader as reader_module
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.slant import find_slant, measure
from training.evaluation.metrics import ErrorRate

SAMPLES = Path(__file__).parent.parent / "samples"
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


def slanted(page: NDArray[np.uint8], slant: float) -> NDArray[np.uint8]:
    """A page whose upper rows are moved to the right, by so much of their height."""
    height, width = page.shape
    reach = abs(slant) * height
    shear = np.array([[1, -slant, max(slant, 0) * height], [0, 1, 0]], np.float32)
    size = (int(width + reach), height)
    return np.asarray(
        cv2.warpAffine(page, shear, size, flags=cv2.INTER_AREA, borderValue=int(np.median(page))), np.uint8
    )


def letter() -> NDArray[np.uint8]:
    return np.array(Image.open(SAMPLES / "letter.jpg").convert("L"))


def print_() -> NDArray[np.uint8]:
    image = Image.new("L", (1100, 400), 255)
    font = ImageFont.truetype(FONT, 34)
    for row, text in enumerate(
        ["Hill letters built hidden mill", "in little fields till April", "Millhill, 11 July 1911"]
    ):
        ImageDraw.Draw(image).text((40, 60 + 90 * row), text, font=font, fill=20)
    return np.array(image)


@pytest.mark.parametrize("slant", [-0.625, -0.25, 0.0, 0.375, 0.75])
def test_slant_is_measured(reader: PageReader, slant: float) -> None:
    page = slanted(print_(), slant)
    assert measure(page, reader.detector.find(page).lines, reader.recognizer) == pytest.approx(slant, abs=0.13)


def test_usual_pages_are_read_as_they_are(reader: PageReader) -> None:
    for page in (letter(), print_(), slanted(print_(), 0.25)):
        assert find_slant(page, reader.detector.find(page).lines, reader.recognizer) == 0.0


@pytest.mark.parametrize("slant", [-1.0, 0.9])
def test_slanted_writing_is_read_better(reader: PageReader, monkeypatch: pytest.MonkeyPatch, slant: float) -> None:
    page = slanted(letter(), slant)
    truth = (SAMPLES / "letter.txt").read_text(encoding="utf-8")

    def error() -> float:
        rate = ErrorRate()
        rate.add(truth, "\n".join(line.text for line in reader.read_image(page, "letter").lines))
        return rate.characters

    less = error()
    monkeypatch.setattr(reader_module, "find_slant", lambda *_: 0.0)
    print(less, error())
    assert less < 0.6 * error()
