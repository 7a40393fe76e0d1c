import numpy as np
import pytest
from pages import draw_page
from PIL import Image, ImageDraw, ImageFilter

from paragraph_ocr.pipeline.false_lines import find_false_lines, is_bar_code, is_row_of_marks, wiped
from paragraph_ocr.pipeline.reader import PageReader


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


def bars(seed: int) -> np.ndarray:
    widths = np.random.default_rng(seed).integers(2, 7, 120)
    row = np.concatenate([np.full(width, 30 if index % 2 else 240) for index, width in enumerate(widths)])
    return np.tile(row.astype(np.uint8), (48, 1))


def test_bars_of_one_height_are_a_bar_code_and_letters_are_none() -> None:
    assert is_bar_code(bars(1))
    letters = np.asarray(draw_page(["illi III lill 1111 ill"], size=34)[0])[70:118, 50:500]
    assert not is_bar_code(letters)
    assert not is_bar_code(np.full((48, 300), 230, np.uint8))


def test_holes_and_dashes_in_a_row_are_no_text(reader: PageReader) -> None:
    page, _ = draw_page(["", "The nucleus contains the DNA", "Plant cells have a cell wall", ""], size=34)
    draw = ImageDraw.Draw(page)
    for place in range(18):
        draw.rounded_rectangle((30 + 41 * place, 14, 48 + 41 * place, 38), 6, fill=40)
    lines = [line.text for line in reader.read_image(np.asarray(page), "notebook").lines]
    assert lines == ["The nucleus contains the DNA", "Plant cells have a cell wall"]


@pytest.mark.parametrize(
    "text", ["illi III lill 1111 ill", "..............", "the moon is in the room on noon", "X X X X X"]
)
def test_letters_and_dots_are_no_row_of_marks(text: str) -> None:
    strip = np.asarray(draw_page([text], size=34)[0])[70:118, 50:600]
    assert not is_row_of_marks(strip)


def shown_through(turned_over: str = "long edge") -> tuple[np.ndarray, int]:
    """A page with four lines, and five of the back of the sheet below them; how many rows the four take."""
    front = np.asarray(draw_page(["Please send the parcel to", "the house by the river", "before the end of March"])[0])
    back, _ = draw_page(["the geese jumped over the old", "stone bridge while the quick", "brown dog slept", "in hay"])
    faint = np.asarray(back.filter(ImageFilter.GaussianBlur(1.0)))
    faint = faint[:, ::-1] if turned_over == "long edge" else faint[::-1]
    return np.vstack([front, np.asarray(245 - (245 - faint.astype(int)) // 4, np.uint8)]), len(front)


@pytest.mark.parametrize("turned_over", ["long edge", "short edge"])
def test_the_mirrored_back_of_a_sheet_is_told_and_wiped_off(reader: PageReader, turned_over: str) -> None:
    page, front = shown_through(turned_over)
    lines = reader.detector.find(page).lines
    false = find_false_lines(page, lines, reader.recognizer)
    behind = {index for index, line in enumerate(lines) if line.baseline[0, 1] > front}
    assert behind
    assert false.show_through == behind
    clean = wiped(page, false.faintest)
    assert clean[front + 10 :].min() > 200
    assert np.abs(clean[:front].astype(int) - page[:front]).mean() < 4


def test_faint_writing_that_is_not_mirrored_stays(reader: PageReader) -> None:
    front, _ = draw_page(["Please send the parcel to", "the house by the river"])
    pencil, _ = draw_page(["before the end of March"])
    faint = 245 - (245 - np.asarray(pencil).astype(int)) // 3
    page = np.vstack([np.asarray(front), faint.astype(np.uint8)])
    lines = reader.detector.find(page).lines
    assert len(lines) == 3
    false = find_false_lines(page, lines, reader.recognizer)
    assert (false.show_through, false.faintest) == (frozenset(), 0.0)


def test_a_page_that_shows_through_is_read_without_its_back(reader: PageReader) -> None:
    page, _ = shown_through()
    text = reader.read_image(page, "page").text
    assert text.splitlines() == ["Please send the parcel to", "the house by the river", "before the end of March"]


def test_nothing_is_false_where_there_is_nothing(reader: PageReader) -> None:
    assert find_false_lines(np.asarray(Image.new("L", (80, 80), 255)), [], reader.recognizer).faintest == 0.0
