"""The overlay marks the lines and leaves the rest of the page alone."""

import numpy as np

from paragraph_ocr.document import Line, Page
from paragraph_ocr.formats.overlay import draw_overlay

GREY = 200
PAPER = np.full((300, 600), GREY, np.uint8)


def overlay(*lines: Line) -> np.ndarray:
    return draw_overlay(PAPER, Page("p", 1, 600, 300, 0, lines, {}, {})).astype(int)


def line(text: str, confidence: float = 0.9, top: int = 150) -> Line:
    box = ((100, top), (400, top), (400, top + 60), (100, top + 60))
    return Line(text, confidence, box, ((100, top + 45), (400, top + 45)), ())


def test_marks_polygon_and_baseline() -> None:
    picture = overlay(line("word"))
    assert picture.shape == (300, 600, 3)
    red, green, blue = picture[180, 300]
    assert green > max(red, blue)
    red, green, blue = picture[195, 300]
    assert blue > max(red, green)
    assert (picture[250:] == GREY).all()
    assert (picture[:, 450:] == GREY).all()


def test_tints_by_confidence() -> None:
    red, green, _ = overlay(line("word", 0.3))[180, 300]
    assert red > green


def test_writes_the_text_above_the_line() -> None:
    with_text, without = overlay(line("word")), overlay(line(""))
    changed = np.argwhere((with_text != without).any(axis=2))
    assert len(changed) > 50
    assert changed[:, 0].max() <= 156


def test_draws_accents() -> None:
    assert (overlay(line("é")) != overlay(line("e"))).any()
    assert (overlay(line("é")) != overlay(line("è"))).any()


def test_keeps_long_text_on_the_page() -> None:
    picture = overlay(line("a long line of text " * 5, top=2))
    assert (picture[:, -2:] == GREY).all()


def test_an_empty_page_stays_as_it_is() -> None:
    assert (overlay() == GREY).all()
