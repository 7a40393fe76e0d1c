"""The lines that confidences are calibrated on beside legible ones are hard to read, or no text, where they say so."""

from __future__ import annotations

import numpy as np
import pytest
from pages import draw_page

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import PageReader
from training.evaluation.hard_lines import DEGRADATIONS, HardPage, degrade, pages_without_text

TEXTS = ["the old stone bridge", "grey geese over the river", "a quick brown dog", "while the lazy fox jumps"]


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


def page() -> tuple[np.ndarray, list[TextLine]]:
    image, records = draw_page(TEXTS)
    lines = [TextLine(np.array(record["baseline"], np.float32), 26.0, 9.0, 1.0) for record in records]
    return np.asarray(image), lines


def test_every_way_can_be_asked_for_and_keeps_the_lines_apart() -> None:
    pixels, lines = page()
    before = pixels.copy()
    ways = list(degrade(pixels, lines, np.random.default_rng(0), len(DEGRADATIONS)))
    assert {name for name, *_ in ways} == {way.__name__ for way in DEGRADATIONS}
    for _, chosen, seen, moved in ways:
        assert sorted(chosen) == list(range(len(lines)))
        assert len(moved) == len(chosen)
        assert seen.shape == pixels.shape
        assert seen.dtype == np.uint8
    assert np.array_equal(pixels, before)


def test_turned_and_mirrored_lines_still_lie_on_their_ink() -> None:
    pixels, lines = page()
    for way in DEGRADATIONS:
        if way.__name__ not in ("upside_down", "mirrored"):
            continue
        seen, moved = way(pixels, lines, 35.0, np.random.default_rng(0))
        for line in moved:
            (left, level), (right, _) = line.baseline[[0, -1]]
            assert left < right
            strip = seen[round(level - line.ascender) : round(level), round(left) : round(right)]
            assert (strip < 128).mean() > 0.08, way.__name__


def test_degraded_lines_are_read_worse_than_they_are(reader: PageReader) -> None:
    pixels, lines = page()
    plain = sum(line.text in TEXTS for line in reader.read_lines(pixels, lines))
    assert plain == len(TEXTS)
    right = 0
    for _, chosen, seen, moved in degrade(pixels, lines, np.random.default_rng(3), len(DEGRADATIONS)):
        read = reader.read_lines(seen, moved)
        right += sum(line.text == TEXTS[index] for line, index in zip(read, chosen, strict=True))
    assert 0 < right < len(TEXTS) * len(DEGRADATIONS) / 2, "some are still legible, most are not"


def test_pages_without_text_are_of_every_kind_and_named_for_halving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.hard_lines.PAGES_A_KIND", 2)
    pages: list[HardPage] = list(pages_without_text(None, np.random.default_rng(0)))
    assert {each.kind for each in pages} == {"scribble", "texture", "drawing"}
    assert len({each.name for each in pages}) == len(pages)
    again = list(pages_without_text(None, np.random.default_rng(0)))
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(pages, again, strict=True))
