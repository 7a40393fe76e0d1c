from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.pipeline.crops import complete_cut_out, with_margin
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import find_ink
from paragraph_ocr.pipeline.line_joining import complete_lines
from paragraph_ocr.pipeline.reader import PageReader

FONT = ImageFont.load_default(28)
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


def cropped(*texts: tuple[int, int, str], size: tuple[int, int] = (240, 70)) -> NDArray[np.uint8]:
    """A small image with texts that begin at (x, baseline), of which its edges cut some."""
    image = Image.new("L", size, 255)
    for left, baseline, text in texts:
        ImageDraw.Draw(image).text((left, baseline), text, fill=0, font=FONT, anchor="ls")
    return np.asarray(image)


def line(left: float, right: float, baseline: float, ascender: float = 21, descender: float = 7) -> TextLine:
    return TextLine(np.array([[left, baseline], [right, baseline]], np.float32), ascender, descender, 0.95)


def test_a_line_as_tall_as_small_letters_takes_in_the_accents_and_the_ends_of_its_word() -> None:
    page = cropped((20, 46, "pére-chef"))
    (found,) = complete_lines(page, [line(24, 132, 46, ascender=14, descender=3)]).lines
    ink = np.argwhere(page < 128)
    top, left = ink.min(axis=0)
    bottom, right = ink.max(axis=0)
    assert found.baseline[0, 0] <= left + 1
    assert found.baseline[-1, 0] >= right - 1
    assert 46 - found.ascender == pytest.approx(top, abs=2)
    assert 46 + found.descender == pytest.approx(bottom, abs=2)


def test_the_height_of_a_line_of_many_letters_stays() -> None:
    page = cropped((20, 46, "the old stone bridge (over) the river"), size=(560, 70))
    found = line(20, 500, 46, ascender=14, descender=3)
    assert complete_cut_out([found], find_ink(page)).lines == [found]


def test_tails_of_the_line_above_are_no_line() -> None:
    page = cropped((20, 2, "gypqy"), (20, 48, "stone bridge"))
    tails, whole = line(20, 96, 4, 9, 3), line(20, 180, 48)
    assert len(complete_cut_out([tails, whole], find_ink(page)).lines) == 1
    assert len(complete_lines(page, [tails, whole]).lines) == 1


def test_tops_of_the_line_below_are_no_line() -> None:
    page = cropped((20, 34, "stone bridge"), (20, 84, "hill"))
    tops, whole = line(20, 60, 70, 8, 2), line(20, 180, 34)
    assert len(complete_cut_out([tops, whole], find_ink(page)).lines) == 1


def test_small_print_below_a_line_is_no_remnant() -> None:
    image = Image.fromarray(cropped((20, 34, "stone bridge")))
    ImageDraw.Draw(image).text((20, 60), "over the river", fill=0, font=ImageFont.load_default(14), anchor="ls")
    lines = [line(20, 180, 34), line(20, 110, 60, 11, 3)]
    assert len(complete_cut_out(lines, find_ink(np.asarray(image))).lines) == 2


def test_a_line_ends_before_what_the_edge_leaves_of_the_next_word() -> None:
    page = cropped((20, 46, "stone"), (126, 46, "l"), size=(130, 70))
    assert (page[:, -1] < 128).any()
    end = 20 + FONT.getlength("stone")
    (found,) = complete_cut_out([line(20, 130, 46)], find_ink(page)).lines
    assert found.baseline[-1, 0] == pytest.approx(end, abs=6)


def test_what_the_edges_leave_of_other_words_is_wiped() -> None:
    page = cropped((20, 2, "gypqy"), (20, 48, "plug"), (126, 48, "l"), size=(130, 50))
    complete = complete_lines(page, [line(20, 130, 46)])
    assert (complete.page[:8] > 200).all()
    assert (complete.page[:, -6:] > 200).all()
    # The lower edge cuts the tails of the line's own letters, too.
    assert (complete.page[12:, 18:80] == page[12:, 18:80]).all()


def test_a_narrow_last_letter_of_a_tight_crop_stays() -> None:
    page = cropped((20, 46, "Part I"))
    columns = np.flatnonzero((page < 128).any(axis=0))
    page = page[:, columns[0] : columns[-1] + 1]
    (found,) = complete_cut_out([line(0, page.shape[1], 46)], find_ink(page)).lines
    assert found.baseline[-1, 0] == page.shape[1]


def test_a_line_ends_where_only_the_rule_of_the_paper_goes_on() -> None:
    page = cropped((20, 46, "stone")).copy()
    cv2.line(page, (0, 48), (239, 48), 90, 2)
    end = 20 + FONT.getlength("stone")
    (found,) = complete_cut_out([line(0, 240, 46)], find_ink(page)).lines
    assert found.baseline[-1, 0] == pytest.approx(end, abs=10)
    assert found.baseline[0, 0] == pytest.approx(20, abs=10)


def test_letters_that_the_edge_of_a_page_cuts_begin_no_line() -> None:
    levels = (60, 100, 140, 180)
    page = cropped(*((20, level, "stone bridge") for level in levels), (20, 223, "T"), (140, 223, "D"), size=(300, 220))
    lines = [line(20, 180, level) for level in levels]
    assert (page[-1] < 128).any()
    assert len(complete_lines(page, lines).lines) == len(levels)


def test_lines_of_a_page_stay_as_they_are() -> None:
    levels = (60, 100, 140, 180)
    page = cropped(*((20, level, "pére chef") for level in levels), size=(300, 220))
    lines = [line(24, 120, level, ascender=14, descender=3) for level in levels]
    assert complete_cut_out(lines, find_ink(page)).lines == lines


@pytest.mark.parametrize("text", ["No. 7", "2026", "1,250.00", "#12", "14:30", "Rue", "Total", "Yes"])
@pytest.mark.parametrize("size", [18, 32, 120])
def test_print_that_fills_its_image_is_read_upright(reader: PageReader, text: str, size: int) -> None:
    font = ImageFont.truetype(FONTS / "DejaVuSans-Bold.ttf", size)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (round(right - left), round(bottom - top)), 255)
    ImageDraw.Draw(image).text((-left, -top), text, fill=0, font=font)
    page = reader.read_image(np.asarray(image), "crop")
    assert [line.text for line in page.lines] == [text]
    corners = np.array(page.lines[0].polygon)
    assert (corners.min(axis=0) > -0.45 * image.height).all()
    assert (corners.max(axis=0) < np.array(image.size) + 0.45 * image.height).all()
    assert np.ptp(corners[:, 0]) > 0.8 * image.width


def test_an_image_gets_paper_around_it_where_writing_touches_its_edge() -> None:
    page = cropped((20, 46, "stone"))
    assert with_margin(page)[1] == 0
    around, margin = with_margin(page[:44])
    assert margin > 0
    assert (around[margin:-margin, margin:-margin] == page[:44]).all()
    assert (around[-margin:] == 255).all()
    large = np.full((900, 1200), 255, np.uint8)
    large[:, :30] = 0
    assert with_margin(large)[1] == 0


def test_words_cut_out_of_the_sample_are_read_as_in_it(reader: PageReader) -> None:
    page = np.asarray(Image.open(Path(__file__).parents[1] / "samples" / "letter.jpg").convert("L"))
    same, words = 0, 0
    for each in reader.read_image(page, "letter").lines:
        margin = 0.3 * float(np.ptp(np.array(each.polygon)[:, 1]))
        for word in each.words:
            corners = np.array(word.polygon)
            left, top = np.maximum(corners.min(axis=0) - margin, 0).astype(int)
            right, bottom = np.ceil(corners.max(axis=0) + margin).astype(int)
            if sum(map(str.isalpha, word.text)) >= 3:
                alone = reader.read_image(np.ascontiguousarray(page[top:bottom, left:right]), "word")
                words += 1
                same += [line.text for line in alone.lines] == [word.text]
    assert same >= 0.85 * words > 0
