"""Faint writing is found on pages on which something else is dark."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.detection import Detector, letterbox
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.rectification import Normalisation, to_ink

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LINES = [
    "At its meeting on Saturday the Department voted, 6 to 1, to",
    "recommend the appointment of Mr. Schevill to an associate",
    "professorship, beginning July 1st, at a salary of $2,500.",
    "His courses have had the largest registration of any in the",
    "Department, namely 84 in the Autumn and 91 in the Winter.",
]


def typed(ink: int, rows: int = 20) -> np.ndarray:
    """A grey sheet with typewritten lines, each 40 pixels below the other, from row 160."""
    image = Image.new("L", (1240, 1640), 215)
    font = ImageFont.truetype(FONTS / "DejaVuSansMono.ttf", 26)
    for row in range(rows):
        ImageDraw.Draw(image).text((140, 160 + 40 * row), LINES[row % len(LINES)], ink, font, anchor="ls")
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0, 10, (1640, 1240)).astype(np.float32), (0, 0), 0.8)
    return np.asarray(np.clip(cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), 2.0) + grain, 0, 255), np.uint8)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return PageReader.load().detector


@pytest.mark.parametrize("edge", [0, 60, 160])
def test_faint_lines_within_the_dark_edge_of_a_film_are_found_whole(detector: Detector, edge: int) -> None:
    """What is black around the sheet made its faint writing almost paper, of which words were found here and there."""
    page = np.pad(typed(180), edge, constant_values=15)
    found = detector.find(page).lines
    for row in range(20):
        middle = edge + 150 + 40 * row
        own = [line for line in found if abs(float(line.baseline[:, 1].mean()) - 10 - middle) < 14]
        assert len(own) == 1, row
        assert own[0].baseline[-1, 0] - own[0].baseline[0, 0] > 780


def test_a_dark_picture_leaves_the_ink_of_writing_as_it_is() -> None:
    plain, with_picture = typed(150), typed(150)
    with_picture[1100:1500, 200:900] = 10
    inks = [letterbox(page, 768, (32, 32), Normalisation())[0][0, 0, :450] for page in (plain, with_picture)]
    assert inks[0].max() > 0.8
    assert np.abs(inks[1] - inks[0]).max() < 0.1


def test_a_grey_picture_of_a_letter_leaves_the_ink_of_writing_as_it_is() -> None:
    """Its paper is large and darker than the sheet, but lighter than the little that is written on it."""
    sheet = np.full((1640, 1240), 255, np.uint8)
    sheet[900:1500, 100:1100] = typed(60, rows=4)[100:700, 100:1100] * np.linspace(0.85, 1.05, 1000)
    size = (round(1240 * 768 / 1640), 768)
    plain = to_ink(np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), np.uint8), Normalisation())
    assert np.array_equal(letterbox(sheet, 768, (1, 1), Normalisation())[0][0, 0], plain)
