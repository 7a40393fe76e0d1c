from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr import Reader
from paragraph_ocr.pipeline.ruling import Rule, find_rules, ruled_tables


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
