"""Any text in a recorded hand: words cut between letters, and joined anew."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from paragraph_ocr.models import FOLDER, Model
from paragraph_ocr.pipeline.recognition import Recognizer
from training.data.recomposition import (
    MARKS,
    CutWord,
    HandBank,
    Recomposer,
    circle,
    cut_word,
    decompose,
    draw_mark,
    join_parts,
    load_letters,
    measure_slant,
    shear,
    take,
    widest_gap,
)
from training.data.strokes import PenItem, Points


def arc(x: float, y: float, radius: float, first: float, last: float) -> Points:
    turn = np.linspace(np.radians(first), np.radians(last), 14)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1).astype(np.float32)


def stroke(*points: tuple[float, float]) -> Points:
    """Points on straight lines, a tenth of an x-height apart."""
    found = [np.array(points[:1])]
    for first, last in pairwise(points):
        count = max(2, round(10 * float(np.hypot(last[0] - first[0], last[1] - first[1]))))
        found.append(np.linspace(first, last, count + 1)[1:])
    return np.concatenate(found).astype(np.float32)


# Printed letters, each with its width.
PRINTED: dict[str, tuple[list[Points], float]] = {
    "l": ([stroke((0, -1.9), (0, 0))], 0.0),
    "o": ([arc(0.5, -0.5, 0.5, -90, 270)], 1.0),
    "n": (
        [stroke((0, -1), (0, 0)), np.concatenate([arc(0.4, -0.55, 0.4, 180, 360), stroke((0.8, -0.5), (0.8, 0))])],
        0.8,
    ),
    "i": ([stroke((0, -1), (0, 0)), stroke((0, -1.4), (0.03, -1.38))], 0.0),
    "a": ([arc(0.45, -0.45, 0.45, -60, 300), stroke((0.85, -0.95), (0.85, 0))], 0.85),
}


def printed(text: str, gap: float = 0.5, hand: int = 0) -> PenItem:
    at, strokes = 0.0, []
    for character in text:
        if character == " ":
            at += 1.2
            continue
        own, width = PRINTED[character]
        strokes += [each + np.array([at, 0], np.float32) for each in own]
        at += width + gap
    return PenItem(tuple(strokes), text, hand)


def middles(text: str, gap: float = 0.5) -> list[float]:
    at, found = 0.0, []
    for character in text:
        width = PRINTED[character][1]
        found.append(at + width / 2)
        at += width + gap
    return found


def cut(text: str) -> CutWord:
    return cut_word(printed(text), middles(text), [True] * len(text))


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(Model(FOLDER / "recognizer.onnx", threads=1))


def test_a_word_is_cut_between_its_letters() -> None:
    word = cut("nolan")
    for number, (begin, end) in enumerate(zip(word.limits[:-1], word.limits[1:], strict=True)):
        assert begin <= middles("nolan")[number] <= end
        own = printed("nolan"[number])
        part = take(word, number, number + 1)
        assert len(part.strokes) == len(own.strokes)
        assert sum(map(len, part.strokes)) == sum(map(len, own.strokes))


def test_a_dot_belongs_to_its_letter_even_beside_it() -> None:
    item = printed("nil")
    moved = tuple(s + np.array([0.45, 0], np.float32) if s[:, 1].max() < -1.2 else s for s in item.strokes)
    word = cut_word(PenItem(moved, "nil", 0), middles("nil"), [True] * 3)
    assert len(take(word, 1, 2).strokes) == 2
    assert len(take(word, 2, 3).strokes) == 1


def test_pen_ends_that_were_cut_are_joined() -> None:
    # Two arches in one stroke: cut between them, and set together the other way round, they are one stroke again.
    first = np.concatenate([stroke((0, -1), (0, 0), (0.6, -0.3))])
    second = stroke((0.6, -0.3), (1.2, -1), (1.2, 0))
    word = cut_word(PenItem((np.concatenate([first, second[1:]]),), "ll", 0), [0.0, 1.2], [True, True])
    left, right = take(word, 0, 1), take(word, 1, 2)
    assert (left.right, right.left) == ((0,), (0,))
    joined = join_parts([left, right], np.random.default_rng(0))
    assert len(joined) == 1
    assert np.abs(np.diff(joined[0], axis=0)).max() < 0.3


def test_a_hand_writes_words_that_it_never_wrote() -> None:
    bank = HandBank([cut("nolan"), cut("lion")], 0.0)
    rng = np.random.default_rng(0)
    word = bank.write("ailn", rng)
    assert word is not None
    assert word.text == "ailn"
    assert bank.write("queue", rng) is None
    plain, marked = bank.write("nolin", rng), bank.write("nôlïn", rng)
    assert plain is not None
    assert marked is not None
    assert len(marked.strokes) > len(plain.strokes)
    assert bank.write("lion,", rng) is not None


def test_letters_that_cannot_be_read_are_not_used() -> None:
    word = cut_word(printed("nolan"), middles("nolan"), [True, True, False, True, True])
    assert set(HandBank([word], 0.0).parts) == {"n", "o", "no", "a", "an"}


def test_letters_are_found_where_they_are(recognizer: Recognizer, tmp_path: Path) -> None:
    items = [printed("nolan"), printed("lion"), printed("annal")]
    for item, found in zip(items, load_letters(items, recognizer, tmp_path), strict=True):
        assert found is not None
        assert np.abs(found[:, 0] - middles(item.text)).max() < 0.7
    again = load_letters(items, recognizer, tmp_path)
    assert len(list(tmp_path.glob("letters-*.npz"))) == 1
    assert all(x is not None for x in again)
    assert load_letters([PenItem(printed("nolan").strokes, "zebra", 0)], recognizer, tmp_path) == [None]


def test_a_line_is_written_by_one_hand_with_spaces_between_words(recognizer: Recognizer, tmp_path: Path) -> None:
    items = [printed(text, hand=7) for text in ["nolan", "lion", "annal", "alna", "loin"] * 6]
    recomposer = Recomposer(items, recognizer, tmp_path)
    line = recomposer.line(["nail", "xylophone", "lino"], np.random.default_rng(1))
    assert line is not None
    assert line.text == "nail lino"
    assert widest_gap(line) > 1.3 * 0.5
    assert recomposer.line(["xylophone"], np.random.default_rng(1)) is None


def test_a_ring_goes_around_what_is_written() -> None:
    for seed in range(30):
        item = circle(printed("nail"), np.random.default_rng(seed))
        ring, inside = item.strokes[-1], np.concatenate(item.strokes[:-1])
        middle = inside.mean(axis=0)
        # In each direction the ring is about as far out as the letters, or farther, but where it is not closed.
        angles = np.arctan2(*(ring - middle).T)
        assert np.ptp(angles) > 0.9 * 2 * np.pi
        for points in inside[::5]:
            direction = np.arctan2(*(points - middle))
            beside = np.abs(angles - direction) < 0.3
            if beside.any():
                assert np.linalg.norm(ring[beside] - middle, axis=1).max() > 0.9 * np.linalg.norm(points - middle)
        assert min(float(each[:, 0].min()) for each in item.strokes) == pytest.approx(0)


def test_numbers_in_brackets_are_written_in_rings_half_of_the_time(recognizer: Recognizer, tmp_path: Path) -> None:
    items = [printed(text, hand=7) for text in ["nolan", "lion", "annal", "alna", "loin"] * 6]
    recomposer = Recomposer(items, recognizer, tmp_path)
    lines = [recomposer.line(["(a)"], np.random.default_rng(seed)) for seed in range(40)]
    assert {line.text for line in lines if line} == {"(a)"}
    # A letter and a ring, or a letter and two brackets.
    rings = sum(line is not None and len(line.strokes[-1]) == 40 for line in lines)
    assert 10 <= rings <= 30


def test_slant_is_measured_and_taken_out() -> None:
    item = printed("nolan nolan")
    assert abs(measure_slant([item])) < 0.06
    slanted = shear(item, -0.5)
    assert measure_slant([slanted]) == pytest.approx(-0.5, abs=0.06)


def test_accents_are_letters_with_marks() -> None:
    assert decompose("été") == ("ete", {0: "acute", 2: "acute"})
    assert decompose("œuf") == ("oeuf", {})
    assert decompose("ção") == ("cao", {0: "cedilla", 1: "tilde"})
    for name in MARKS:
        assert draw_mark(name, 0.0, -1.2, np.random.default_rng(0))
