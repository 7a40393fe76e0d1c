from itertools import pairwise

import cv2
import numpy as np
import pytest

from paragraph_ocr.pipeline.windows import densest_part, elongated, input_side, windows


@pytest.mark.parametrize("length", [256, 320, 448, 1024, 1088, 3008])
def test_windows_cover_a_side_once_and_overlap(length: int) -> None:
    cells = []
    placed = windows(length, 256, 2)
    for start, first, last in placed:
        assert 0 <= start <= length - min(256, length)
        # What is taken of a window lies within it.
        assert start <= 2 * first < 2 * last <= start + 256
        cells += range(first, last)
    assert cells == list(range(length // 2))
    for (before, *_), (after, *_) in pairwise(placed):
        assert before + 256 - after >= 31


def lettered(height: int, width: int, letter: int) -> np.ndarray:
    """A page of bars as tall as letters."""
    page = np.full((height, width), 255, np.uint8)
    for top in range(letter, height - 2 * letter, 3 * letter):
        for left in range(letter, width - letter, 2 * letter):
            page[top : top + letter, left : left + letter] = 0
    return page


def test_ordinary_pages_are_shown_whole() -> None:
    assert input_side(lettered(1754, 1240, 20), 1024) == 1024


@pytest.mark.parametrize("letter", [16, 24, 40])
def test_an_elongated_page_is_shown_so_large_that_its_letters_can_be_read(letter: int) -> None:
    page = lettered(6000, 620, letter)
    for shown in (page, page.T):
        side = input_side(shown, 1024)
        assert 14 <= letter * side / 6000 <= 18
        assert side >= 1024


def test_a_line_of_large_letters_is_shown_as_small_as_a_page() -> None:
    assert input_side(lettered(200, 2000, 120), 1024) == 1024


def test_noise_does_not_enlarge_a_page_beyond_the_input() -> None:
    specks = np.where(np.random.default_rng(0).random((400, 40)) < 0.2, 0, 255).astype(np.uint8)
    page = np.full((6000, 600), 255, np.uint8)
    page[:5600:14, :560:14] = specks
    page = cv2.dilate(255 - page, np.ones((6, 4), np.uint8))
    assert input_side(255 - np.asarray(page, np.uint8), 1024) == 10240


def test_a_page_without_letters_is_shown_whole() -> None:
    assert input_side(np.full((8000, 500), 255, np.uint8), 1024) == 1024


@pytest.mark.parametrize("turned", [False, True])
def test_the_densest_part_is_where_the_ink_is(turned: bool) -> None:
    page = np.full((4000, 400), 255, np.uint8)
    page[2500:3100] = lettered(600, 400, 20)
    part = densest_part(page.T if turned else page)
    part = part.T if turned else part
    assert part.shape == (800, 400)
    assert (part < 128).sum() == (page < 128).sum()


def test_what_is_not_elongated_is_its_own_sample() -> None:
    page = np.full((800, 400), 255, np.uint8)
    assert not elongated(page.shape)
    assert densest_part(page) is page
