"""Text that is too small for the usual scale of detection is searched for at a larger one."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.detection import MAGNIFICATION, Detection, Detector, TextLine, _Marks
from paragraph_ocr.pipeline.reader import PageReader

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LETTER = Path(__file__).parent.parent / "samples" / "letter.jpg"


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


@pytest.fixture(scope="module")
def detector(reader: PageReader) -> Detector:
    return reader.detector


@pytest.mark.parametrize(("size", "row", "rule", "ground"), [(14, 24, 5, 110), (12, 20, 4, None), (11, 18, 3, None)])
def test_small_cells_of_a_table_are_found(
    detector: Detector, size: int, row: int, rule: int, ground: int | None
) -> None:
    """At the usual scale their letters are too small beside thick rules: hardly a tenth of the cells was found."""
    page = np.full((1969, 1534), 255, np.uint8)
    if ground is not None:
        texture = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, page.shape).astype(np.float32), (0, 0), 6)
        page = np.clip(ground + 40 * texture / texture.std(), 0, 255).astype(np.uint8)
    page[40:1900, 150:1450] = 225
    image = Image.fromarray(page)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONTS / "DejaVuSans.ttf", size)
    rows, edges = 20, [230, 400, 730, 900, 1060, 1230, 1390]
    for number in range(rows + 1):
        draw.line((edges[0], 90 + number * row, edges[-1], 90 + number * row), fill=30, width=rule)
    for edge in edges:
        draw.line((edge, 90, edge, 90 + rows * row), fill=30, width=rule)
    for number in range(rows):
        for column, edge in enumerate(edges[:-1]):
            text = f"{(number * 7919 + column * 104729) % 99991:,}"
            draw.text((edge + 10, 94 + number * row), text, font=font, fill=60)
    cells = {
        (int((x - edges[0]) // 170 if x < 400 else np.searchsorted(edges, x) - 1), int((y - 90) // row))
        for x, y in (line.baseline.mean(axis=0) for line in detector.find(np.array(image)).lines)
    }
    assert len(cells) >= 0.95 * rows * (len(edges) - 1)


@pytest.mark.parametrize("size", [13, 15])
@pytest.mark.parametrize("rows", [8, 24])
def test_the_small_lines_at_the_foot_of_a_letter_are_found(detector: Detector, rows: int, size: int) -> None:
    """On a whole sheet of letters of the usual size, they ran together or were not found."""
    image = Image.new("L", (1240, 1754), 255)
    draw = ImageDraw.Draw(image)
    body, small = (ImageFont.truetype(FONTS / "DejaVuSans.ttf", each) for each in (20, size))
    for row in range(rows):
        draw.text(
            (120, 250 + 40 * row), "The letter that you sent us in March has been answered by our office", 0, body
        )
    places = [(left, 1640 + row * (size + 3)) for row in range(3) for left in (120, 520, 880)]
    texts = ["Weber & Son", "12 Mill Lane", "Leeds LS1 4AP", "IBAN DE12 3456 7890", "www.example.org", "0800 123 456"]
    for number, place in enumerate(places):
        draw.text(place, texts[number % len(texts)], 85, small)
    foot = [line for line in detector.find(np.array(image)).lines if line.baseline[:, 1].mean() > 1600]
    for number, (left, top) in enumerate(places):
        right = left + small.getlength(texts[number % len(texts)])
        assert any(
            abs(line.baseline[0, 0] - left) < size
            and abs(line.baseline[-1, 0] - right) < size
            and abs(line.baseline[:, 1].mean() - top - 0.93 * size) < 0.3 * size
            for line in foot
        ), texts[number % len(texts)]


@pytest.mark.parametrize("size", [11, 12, 13])
def test_the_small_print_of_a_letterhead_is_found(detector: Detector, size: int) -> None:
    """Its letters are half as large as those of the text: it was found in pieces, or with the line below it."""
    image = Image.new("L", (1240, 1754), 235)
    draw = ImageDraw.Draw(image)
    body, small = (
        ImageFont.truetype(FONTS / name, each) for name, each in (("DejaVuSansMono.ttf", 26), ("DejaVuSerif.ttf", size))
    )
    for row in range(18):
        draw.text((120, 330 + 50 * row), "I am quite willing to wait for it till the mail is in", 60, body)
    corners = ["Cable Address: 'Emsea', New York", "431 California Street", "San Francisco, Cal."]
    for left in (90, 860):
        for row, text in enumerate(corners):
            draw.text((left, 80 + row * round(1.5 * size)), text, 90, small)
    page = cv2.GaussianBlur(np.array(image), (0, 0), 0.8)
    found = [line for line in detector.find(page).lines if line.baseline[:, 1].mean() < 200]
    for left in (90, 860):
        for row, text in enumerate(corners):
            right, level = left + small.getlength(text), 80 + row * round(1.5 * size) + 0.93 * size
            assert any(
                abs(line.baseline[0, 0] - left) < size
                and abs(line.baseline[-1, 0] - right) < size
                and abs(line.baseline[:, 1].mean() - level) < 0.3 * size
                for line in found
            ), text


def test_drawings_are_not_searched_again_for_small_letters(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text of the usual size covers its marks, and a texture has more of them than a page has letters."""
    sides = []
    detect = Detector.detect
    monkeypatch.setattr(Detector, "detect", lambda self, page, side: sides.append(side) or detect(self, page, side))
    letter = np.array(Image.open(LETTER).convert("L"))
    detector.find(letter)
    texture = np.where(np.random.default_rng(2).random((384, 288)) < 0.1, 90, 230).astype(np.uint8)
    detector.find(cv2.resize(texture, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST))
    assert sides
    assert round(MAGNIFICATION * detector.size) not in sides


@pytest.mark.parametrize(("width", "size", "cell"), [(1500, 16, 110), (1800, 20, 150), (2100, 20, 110)])
def test_lone_numbers_in_the_cells_of_a_grid_are_read(reader: PageReader, width: int, size: int, cell: int) -> None:
    """They were found as tall as their cells, or as one line with the next, so that none was read."""
    image = Image.new("L", (width, width * 4 // 5), 200)
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(FONTS / "DejaVuSans.ttf", size)
    left, top = (width - 7 * cell) // 2, 120
    for edge in range(8):
        draw.line((left + edge * cell, top, left + edge * cell, top + 5 * cell), 120, 2)
    for edge in range(6):
        draw.line((left, top + edge * cell, left + 7 * cell, top + edge * cell), 120, 2)
    days = [str(day) for day in range(1, 32)]
    for place, day in enumerate(days):
        spot = left + place % 7 * cell + 14, top + place // 7 * cell + 10 + size
        draw.text(spot, day, 60, font, anchor="ls")
    grain = np.random.default_rng(0).normal(0, 4, image.size[::-1])
    page = np.clip(cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), 1) + grain, 0, 255).astype(np.uint8)
    read = reader.read_image(page, "page")
    assert read.rotation == 0
    assert len(set(read.text.split()) & set(days)) >= 29


def test_a_word_in_one_stroke_is_not_as_small_as_its_dots() -> None:
    page = np.full((400, 900), 230, np.uint8)
    x = np.arange(200, 420)
    wave = np.stack([x, 200 - 14 * np.sin(x / 6.0)], axis=1).astype(np.int32)
    cv2.polylines(page, [wave], False, 40, 3, cv2.LINE_AA)
    for dot in (260, 330):
        cv2.circle(page, (dot, 165), 4, 40, -1, cv2.LINE_AA)
    word = TextLine(np.array([[195, 214], [425, 214]], np.float32), 60.0, 20.0, 0.9)
    assert _Marks(page).fitted([word]) == [word]


def test_a_page_with_many_specks_is_not_searched_whole_again(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On old paper, most marks outside of the lines are specks: a window of the page tells that they are no letters."""
    image = Image.new("L", (1200, 1600), 255)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONTS / "DejaVuSans.ttf", 30)
    for number in range(12):
        draw.text((100, 100 + 60 * number), "the old stone bridge over the river", font=font, fill=40)
    rng = np.random.default_rng(3)
    for x, y, size in rng.integers((50, 900, 4), (1150, 1550, 14), (180, 3)).tolist():
        draw.polygon([(x, y), (x + size, y + size // 3), (x + size // 2, y + size)], fill=60)
    searched: list[tuple[tuple[int, ...], int]] = []
    detect = Detector.detect

    def recorded(self: Detector, page: NDArray[np.uint8], side: int) -> Detection:
        searched.append((page.shape, side))
        return detect(self, page, side)

    monkeypatch.setattr(Detector, "detect", recorded)
    assert len(detector.find(np.array(image)).lines) >= 12
    assert ((1600, 1200), detector.size) in searched
    larger = [shape for shape, side in searched if side > detector.size or shape != (1600, 1200)]
    assert larger
    assert (1600, 1200) not in larger


@pytest.mark.parametrize(("x", "y"), [(20, 20), (1100, 1500), (600, 1540), (1150, 700)])
def test_the_window_that_is_asked_has_the_marks(x: int, y: int) -> None:
    image = Image.new("L", (1200, 1600), 255)
    draw = ImageDraw.Draw(image)
    for number in range(20):
        left, top = x + number % 5 * 9, y + number // 5 * 12
        draw.line((left, top, left + 4, top + 8), fill=0, width=3)
    marks = _Marks(np.array(image))
    for kind in range(2):
        left, top = marks.densest([], 800.0, kind)
        assert 0 <= left <= x < x + 40 <= left + 800 <= 1200
        assert 0 <= top <= y < y + 48 <= top + 800 <= 1600
