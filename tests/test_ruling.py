from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr import Reader
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ruling import Rule, are_crossed, find_rules, ruled_tables, without_rules


def page_of_text(height: int = 600, width: int = 900) -> np.ndarray:
    page = np.full((height, width), 240, np.uint8)
    for row in range(4):
        place = (60, 90 + 120 * row)
        cv2.putText(page, "words between rules", place, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 30, 2, cv2.LINE_AA)
    return page


@pytest.mark.parametrize("thickness", [1, 4])
@pytest.mark.parametrize("fall", [0, 12])
@pytest.mark.parametrize("grey", [60, 215])
@pytest.mark.parametrize("ascender", [24.0, 17.0])
def test_rules_are_found_at_their_places(thickness: int, fall: int, grey: int, ascender: float) -> None:
    page = page_of_text()
    levels = (50, 130, 250, 370)
    for level in levels:
        cv2.line(page, (40, level), (860, level + fall), grey, thickness, cv2.LINE_AA)
    rules = find_rules(page, ascender)
    assert len(rules) == len(levels)
    for rule, level in zip(rules, levels, strict=True):
        np.testing.assert_allclose([rule.left, rule.right], [40, 860], atol=6)
        np.testing.assert_allclose([rule.left_y, rule.right_y], [level, level + fall], atol=3)


@pytest.mark.parametrize("thickness", [1, 2, 5])
@pytest.mark.parametrize("fall", [0, 12])
def test_rules_are_taken_off_without_the_letters_that_they_touch(thickness: int, fall: int) -> None:
    page = page_of_text()
    ruled, blank = page.copy(), np.full_like(page, 240)
    # They run through the tops of the letters, which begin 22 pixels above the baseline, or between the lines.
    levels = (69, 150, 190, 310, 428)
    for level in levels:
        for each in (ruled, blank):
            cv2.line(each, (40, level), (860, level + fall), 30, thickness, cv2.LINE_AA)
    rules = find_rules(ruled, 24.0)
    assert len(rules) == len(levels)
    taken = without_rules(ruled, rules, 24.0)
    assert find_rules(taken, 24.0) == []
    # Only what a rule hid is missing, and nothing of it is left on the paper.
    hidden = cv2.dilate((blank != 240).astype(np.uint8), np.ones((5, 1), np.uint8)) > 0
    np.testing.assert_array_equal(taken[~hidden], page[~hidden])
    paper = cv2.erode(page, np.ones((9, 9), np.uint8)) == 240
    assert (taken[paper & hidden] < 180).mean() < 0.02


def test_the_edges_of_a_dark_heading_are_not_taken_off() -> None:
    page = np.full((300, 900), 240, np.uint8)
    page[60:110, 80:820] = 20
    for level in (150, 190, 230):
        page[level : level + 3, 80:820] = 60
    rules = [Rule(80.0, float(level), 820.0, float(level)) for level in (60, 110, 151, 191, 231)]
    clear = without_rules(page, rules, 24.0)
    assert (clear[60:110, 90:810] == 20).all()
    assert (clear[145:240, 90:810] > 200).all()


def test_rows_of_letters_and_faint_rules_are_not_taken_off() -> None:
    page = page_of_text()
    cv2.line(page, (40, 130), (860, 130), 215, 2, cv2.LINE_AA)
    rules = [*(Rule(60, level, 380, level) for level in (84, 204, 324)), Rule(40, 130, 860, 130)]
    np.testing.assert_array_equal(without_rules(page, rules, 24.0), page)


@pytest.mark.parametrize(("above", "crossed"), [(0.6, True), (1.3, False), (-0.1, False)])
def test_rules_through_the_letters_of_most_lines_are_told(above: float, crossed: bool) -> None:
    lines = [
        TextLine(np.array([[x, y], [x + 100, y + 4]], np.float32), 20.0, 6.0, 0.9)
        for y in (100, 140, 180)
        for x in (100, 300)
    ]
    rules = [Rule(50, y - above * 20, 450, y - above * 20 + 8) for y in (100, 140, 180)]
    assert are_crossed(rules, lines) == crossed
    assert not are_crossed(rules[:1], lines)


def test_words_and_their_underlines_are_no_rules() -> None:
    page = page_of_text()
    # An underline of a short word is below the length of a rule.
    cv2.line(page, (60, 95), (200, 95), 30, 2)
    assert find_rules(page, 24.0) == []


def test_a_page_of_strokes_has_no_rules() -> None:
    page = np.full((900, 900), 240, np.uint8)
    page[::2] = 30
    assert find_rules(page, 24.0) == []


def test_rows_are_told_only_by_rules_of_one_width() -> None:
    points = np.array([[100.0, 30], [300, 30], [100, 70], [300, 70], [100, 130]])
    table = [Rule(10, level, 500, level) for level in (10, 50, 90)]
    (found,) = ruled_tables(table, points)
    assert found.rows == [[0, 1], [2, 3]]
    assert found.pitch == 40
    assert ruled_tables([*table[:2], Rule(10, 90, 200, 90)], points) == []


@pytest.mark.slow
def test_a_table_with_rules_is_written_row_by_row_in_markdown(tmp_path: Path) -> None:
    """Rows of several lines, in light rules, on a page that lies a little askew."""
    rows = [
        [["Document"], ["Description"], ["Year"]],
        [["Letter of", "credit"], ["Granted by the bank in", "London"], ["1776"]],
        [["Charter"], ["Read to the town"], ["1791"]],
        [["Deed of", "sale"], ["Read before the mayor"], ["1848"]],
    ]
    image = Image.new("L", (1300, 620), 250)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(34)
    top = 60
    draw.line((60, top, 1240, top), fill=190, width=2)
    for row in rows:
        height = 46 * max(map(len, row)) + 24
        for left, cell in zip((80, 380, 1080), row, strict=True):
            for place, text in enumerate(cell):
                level = top + 12 + 46 * place + (height - 24 - 46 * len(cell)) / 2
                draw.text((left, level), text, fill=20, font=font)
        top += height
        draw.line((60, top, 1240, top), fill=190, width=2)
    image.rotate(0.7, fillcolor=250, resample=Image.Resampling.BICUBIC).save(tmp_path / "page.png")
    document = Reader().read(tmp_path / "page.png")
    document.save(tmp_path / "page.md")
    table = [line for line in (tmp_path / "page.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    expected = [" | ".join(" ".join(cell) for cell in row) for row in rows]
    assert [line.strip("| ") for line in table if "---" not in line] == expected


@pytest.mark.slow
@pytest.mark.parametrize(("pitch", "offset", "thickness", "least"), [(26, -3, 2, 26), (24, -5, 2, 25), (28, 1, 6, 27)])
def test_tables_are_read_whose_rules_touch_the_letters(
    tmp_path: Path, pitch: int, offset: int, thickness: int, least: int
) -> None:
    """Rules through the tops of letters, or thick walls of close cells, on a page that lies a little askew."""
    rows = [
        "04/04 Assegno 1215,60 #3915", "28/05 Rimborso 616,75 Y551", "31/07 Stipendio 7163,20 23D39",
        "17/08 Interessi 15,32 82702", "02/08 Saldo 1320,05 57B35", "11/12 Bonifico 695,27 X-15-9",
        "21/06 Spese 9030,18 24818",
    ]  # fmt: skip
    columns, bottom = (40, 150, 330, 470, 600), 30 + pitch * len(rows)
    image = Image.new("L", (640, bottom + 30), 250)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(22)
    for number, row in enumerate(rows):
        for left, text in zip(columns, row.split(), strict=False):
            draw.text((left + 8, 30 + pitch * number + offset), text, fill=40, font=font)
    for level in range(30, bottom + 1, pitch):
        draw.line((columns[0], level, columns[-1], level), fill=40, width=thickness)
    for left in columns if thickness > 2 else ():
        draw.line((left, 30, left, bottom), fill=40, width=thickness)
    image.rotate(0.7, fillcolor=250, resample=Image.Resampling.BICUBIC).save(tmp_path / "page.png")
    read = " ".join(line.text for line in Reader().read(tmp_path / "page.png").pages[0].lines).split()
    assert sum(word in read for row in rows for word in row.split()) >= least
