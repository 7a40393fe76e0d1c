"""Lines are cut between words, and go on like another of the same hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pages import write_folder

from paragraph_ocr.models import FOLDER, Model
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.recognition import Recognizer
from paragraph_ocr.pipeline.rectification import Geometry, cut, frame
from training.data.splices import Cut, Splicer, find_cuts, load_cuts, make_splicer
from training.data.strips import Strip, enlarged
from training.tasks.recognition import Recognition

LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(Model(FOLDER / "recognizer.onnx", threads=1))


def letter_strips(height: int) -> list[tuple[Strip, list[tuple[float, float]]]]:
    """The lines of the sample letter, and from which column to which each of its words goes."""
    pixels = cv2.imread(str(LETTER), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    reader = PageReader.load()
    found, _ = reader.detector.find(pixels)
    strips = []
    for line, read in zip(found, reader.read_lines(pixels, found), strict=True):
        within = frame(line.baseline, line.ascender, line.descender, enlarged(Geometry(height, 1024)))
        start, pixel = line.baseline[0, 0], float(np.hypot(*within.downs[0]))
        first = within.to_page(np.zeros(1), np.array([within.baseline_row]))[0, 0]
        assert abs(first - start) < 60
        ends = [(np.array(word.polygon)[:, 0].min(), np.array(word.polygon)[:, 0].max()) for word in read.words]
        words = [((left - first) / pixel, (right - first) / pixel) for left, right in ends]
        strips.append((Strip(cut(pixels, within), read.text, 0.7, "letters", "anna", struck=False), words))
    return strips


@pytest.mark.parametrize("height", [48, 64])
def test_lines_are_cut_between_words(height: int, recognizer: Recognizer) -> None:
    lines = letter_strips(height)
    cuts = find_cuts([strip for strip, _ in lines], recognizer)
    assert sum(map(len, cuts)) > 0.8 * sum(len(words) - 1 for _, words in lines)
    for (strip, words), own in zip(lines, cuts, strict=True):
        for place in own:
            left, right = words[place.words - 1], words[place.words]
            tolerance = height / 4
            assert (left[0] + left[1]) / 2 < place.column < (right[0] + right[1]) / 2
            assert left[1] - tolerance < place.column < right[0] + tolerance
        assert all(0 < place.words < len(strip.text.split()) for place in own)


def test_words_that_are_misread_are_no_place_to_cut(recognizer: Recognizer) -> None:
    strip, _ = max(letter_strips(48), key=lambda line: len(line[1]))
    wrong = strip.text.split()
    wrong[2] += "x"
    right, cuts = find_cuts([strip, replace(strip, text=" ".join(wrong))], recognizer)
    assert {2, 3} <= {place.words for place in right}
    assert cuts == [place for place in right if place.words not in (2, 3)]


def test_a_line_goes_on_like_another_of_its_hand() -> None:
    one = Strip(np.full((64, 100), 200, np.uint8), "one two three", 0.7, "a", "x", struck=False)
    two = Strip(np.full((64, 200), 100, np.uint8), "four five", 0.7, "a", "x", struck=False)
    strange = Strip(np.full((64, 300), 50, np.uint8), "six seven", 0.7, "a", "y", struck=False)
    splicer = Splicer([one, two, strange], [[Cut(60, 2)], [Cut(150, 1)], []])
    rng = np.random.default_rng(0)
    made = {spliced.text: spliced for spliced in (splicer.splice(0, rng) for _ in range(20))}
    assert made.keys() == {"one two three", "one two five"}
    assert made["one two five"].pixels.shape == (64, 60 + 50)
    assert (made["one two five"].pixels == 200).all()
    assert splicer.splice(2, rng) is strange


def test_a_strip_is_inserted_between_two_words_at_the_lines_scale_and_on_its_paper() -> None:
    one = Strip(np.full((64, 100), 200, np.uint8), "one two three", 0.7, "a", "x", struck=False)
    ring = np.full((32, 20), 230, np.uint8)
    ring[10:20, 5:15] = 60
    splicer = Splicer([one, one], [[Cut(60, 2)], []])
    made = splicer.insert(0, Strip(ring, "(7)", 0.7, "pen", "z", struck=False), np.random.default_rng(0))
    assert made.text == "one two (7) three"
    assert made.pixels.shape == (64, 100 + 40)
    assert set(np.unique(made.pixels[:, :62])) == {200}
    assert made.pixels[30, 80] == pytest.approx(30, abs=2)
    assert splicer.insert(1, one, np.random.default_rng(0)) is one


def test_cuts_are_found_once(recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strips = [strip for strip, _ in letter_strips(48)]
    first = load_cuts(strips, recognizer, tmp_path)
    monkeypatch.setattr("training.data.splices.find_cuts", None)
    assert load_cuts(strips, recognizer, tmp_path) == first
    splicer = make_splicer([replace(strips[0], source="other"), *strips], {"letters"}, recognizer, tmp_path)
    assert splicer.cuts == [[], *first]


def test_an_experiment_may_splice_lines(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a": "train", "c": "val"})
    options = {"height": 32, "width": 512, "columns": 2048, "spliced": {"test": 1.0}}
    task = Recognition([folder], tmp_path, options, {"name": "crnn", "channels": [8, 16, 24, 32], "hidden": 48})
    assert any(task.lines.cuts)
    ink, classes, lengths = next(task.batches(seed=0, workers=0))
    assert len(ink) == len(lengths)
    assert len(classes) == int(lengths.sum())
