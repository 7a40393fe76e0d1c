from itertools import groupby, product

import numpy as np
import pytest

from paragraph_ocr.pipeline import ctc
from paragraph_ocr.pipeline.ctc import align, beam_search, decode, greedy, join
from paragraph_ocr.pipeline.language import EDGE, LanguageModel, Search, Table


def scores(best: list[int], classes: int, certainty: float = 0.9) -> np.ndarray:
    probabilities = np.full((len(best), classes), (1 - certainty) / (classes - 1), np.float32)
    probabilities[np.arange(len(best)), best] = certainty
    return np.log(probabilities)


def test_repeats_collapse_and_blanks_part_doubled_letters():
    characters = greedy(scores([1, 1, 0, 1, 2, 2, 0], 3), "ab", blank=0)
    assert [(c.text, c.first, c.last) for c in characters] == [("a", 0, 1), ("a", 3, 3), ("b", 4, 5)]


def test_the_blank_may_be_the_last_class():
    characters = greedy(scores([2, 0, 2, 1], 3), "ab", blank=2)
    assert "".join(c.text for c in characters) == "ab"


def test_confidence_is_the_peak_of_the_run():
    values = np.concatenate([scores([1], 3, 0.5), scores([1], 3, 0.8), scores([0], 3)])
    (only,) = greedy(values, "ab", blank=0)
    assert np.isclose(only.confidence, 0.8)


def test_blanks_alone_are_no_text():
    assert greedy(scores([0, 0, 0], 3), "ab", blank=0) == []


@pytest.mark.parametrize("start", [8, 9, 10])
def test_overlapping_parts_are_joined_without_a_lost_or_doubled_character(start: int) -> None:
    best = [1, 0, 2, 0, 0, 3, 3, 0, 1, 1, 0, 0, 2, 0, 3, 0, 0, 1, 0, 2]
    whole = scores(best, 4)
    left, right = whole[:16].copy(), whole[start:].copy()
    # Either part misreads what it sees only the edge of.
    left[-1], right[0] = scores([3, 2], 4)
    joined = join(left, right, start, blank=0)
    assert len(joined) == len(whole)
    assert [c.text for c in greedy(joined, "abc", 0)] == [c.text for c in greedy(whole, "abc", 0)]


def uniform(charset: str, weight: float = 0.0, bonus: float = 0.0, **costs: int) -> LanguageModel:
    """A model without context; a character's cost is in nats, 1 where none is given."""
    table = Table(
        charset=charset,
        characters=np.zeros(1, np.uint8),
        longer=np.array([1, 1], np.uint32),
        shorter=np.zeros(1, np.uint32),
        backoff=np.zeros(1, np.uint8),
        starts=np.array([0, len(charset) + 1], np.uint32),
        followers=np.arange(len(charset) + 1, dtype=np.uint8),
        costs=np.array([costs.get(character, 1) for character in charset + EDGE], np.uint8),
        scale=1.0,
    )
    return LanguageModel(table, Search(width=64, weight=weight, bonus=bonus, floor=0.0, sure=1.0))


@pytest.mark.parametrize("blank", [0, 2])
def test_the_search_finds_the_most_probable_text_over_all_paths(blank: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        values = np.log(rng.dirichlet([0.5] * 3, 5).astype(np.float32))
        totals: dict[tuple[int, ...], float] = {}
        for path in product(range(3), repeat=5):
            kept = tuple(c for c, before in zip(path, (-1, *path), strict=False) if c != before and c != blank)
            totals[kept] = totals.get(kept, 0.0) + float(np.exp(values[range(5), path].sum()))
        assert tuple(beam_search(values, blank, uniform("ab"))) == max(totals, key=totals.__getitem__)


def test_a_doubled_character_needs_a_blank_between() -> None:
    model = uniform("ab")
    assert beam_search(scores([1, 1, 1], 3), 0, model) == [1]
    assert beam_search(scores([1, 0, 1], 3), 0, model) == [1, 1]


def test_the_language_model_settles_what_the_picture_leaves_open() -> None:
    values = np.log(np.array([[0.1, 0.46, 0.44]], np.float32))
    assert beam_search(values, 0, uniform("ab", weight=1.0)) == [1]
    assert beam_search(values, 0, uniform("ab", weight=1.0, a=2)) == [2]
    assert beam_search(scores([1], 3, 0.98), 0, uniform("ab", weight=1.0, a=2)) == [1]


def test_a_sign_that_the_language_model_hardly_knows_is_read_where_the_picture_is_sure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, doubtful = uniform("a¿b ", **dict.fromkeys("¿b ", 14)), np.log(np.array([[0.03, 0.02, 0.95]], np.float32))
    for least, read in ((0.0, [1]), (1e-3, [2])):
        monkeypatch.setattr(model, "search", Search(16, 0.6, 1.8, 0.0, 1.0, least=least))
        assert beam_search(np.pad(doubtful, ((0, 0), (0, 2)), constant_values=-20), 0, model) == read
        # Of letters and spaces it knows enough.
        for place in (3, 4):
            known = np.full((1, 5), -20, np.float32)
            known[0, [0, 1, place]] = doubtful
            assert beam_search(known, 0, model) == [1]


def test_a_letter_after_a_figure_is_read_where_the_picture_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts have few units and ordinals: 4g was read 48 though the picture said g at 0.97."""
    model = uniform("48ga", g=14)
    picture = np.log(np.array([[0.01, 0.96, 0.01, 0.01, 0.01], [0.01, 0.01, 0.02, 0.95, 0.01]], np.float32))
    for after_figure, read in ((0.0, [1, 2]), (1e-2, [1, 3])):
        monkeypatch.setattr(model, "search", Search(16, 1.0, 1.8, 0.0, 1.0, after_figure=after_figure))
        assert beam_search(picture, 0, model) == read
        # After a letter it is as improbable as ever.
        assert beam_search(picture[:, [0, 4, 2, 3, 1]], 0, model) == [4, 2]


def test_the_bonus_is_for_longer_texts() -> None:
    values = np.log(np.array([[0.55, 0.45]], np.float32))
    assert beam_search(values, 0, uniform("a")) == []
    assert beam_search(values, 0, uniform("a", bonus=1.0)) == [1]


def test_a_text_is_aligned_where_it_is_likeliest() -> None:
    values = scores([0, 1, 1, 0, 0, 2, 2, 0], 3)
    (found,) = align([(values, [1, 2])], "ab", 0)
    assert [(c.text, c.first, c.last) for c in found] == [("a", 1, 2), ("b", 5, 6)]
    assert found == greedy(values, "ab", 0)
    (doubled,) = align([(scores([1, 1, 0, 1], 3), [1, 1])], "ab", 0)
    assert [(c.first, c.last) for c in doubled] == [(0, 1), (3, 3)]
    assert align([(values, [])], "ab", 0) == [[]]
    assert align([], "ab", 0) == []


def test_lines_are_aligned_together_as_each_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    lines = []
    for length in (30, 3, 90, 30, 1, 50):
        values = np.log(rng.dirichlet(np.full(4, 0.4), length)).astype(np.float32)
        classes = rng.integers(1, 4, rng.integers(0, length // 2 + 1)).tolist()
        lines.append((values, classes))
    alone = [align([line], "abc", 0)[0] for line in lines]
    assert [len(characters) for characters in alone] == [len(classes) for _, classes in lines]
    for most in (0, 2000, 2**20):
        monkeypatch.setattr(ctc, "MAX_TRELLIS", most)
        assert align(lines, "abc", 0) == alone


def test_a_line_is_aligned_on_the_best_of_all_paths() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        values = np.log(rng.dirichlet(np.full(3, 0.5), 6)).astype(np.float32)
        totals = {
            path: float(values[range(6), path].sum())
            for path in product(range(3), repeat=6)
            if [kind for kind, _ in groupby(path) if kind] == [1, 1, 2]
        }
        best = max(totals, key=totals.__getitem__)
        runs = [[time for time, _ in run] for _, run in groupby(enumerate(best), lambda step: step[1])]
        (found,) = align([(values, [1, 1, 2])], "ab", 0)
        assert [(each.first, each.last) for each in found] == [(run[0], run[-1]) for run in runs if best[run[0]]]


def test_a_character_that_the_language_model_chose_is_as_sure_as_the_picture_makes_it() -> None:
    values = np.log(np.array([[0.1, 0.46, 0.44], [0.9, 0.05, 0.05]], np.float32))
    ((only,),) = decode([values], "ab", 0, uniform("ab", weight=1.0, a=2))
    assert only.text == "b"
    assert only.confidence == pytest.approx(0.44)
    ((only,),) = decode([values], "ab", 0, None)
    assert only.text == "a"


def test_a_long_line_is_aligned() -> None:
    classes = [1, 2] * 100
    values = scores([kind for pair in zip(classes, [0] * 200, strict=True) for kind in pair], 3)
    assert align([(values, classes)], "ab", 0) == [greedy(values, "ab", 0)]


def test_a_line_of_which_the_language_model_thinks_nothing_at_all_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    model = uniform("ab", weight=1.0, a=255, b=255)
    monkeypatch.setattr(model, "search", Search(width=4, weight=4.0, bonus=0.0, floor=0.003, sure=0.9))
    rows = np.array([[-np.inf, -0.7, -0.7]] * 2, np.float32)
    assert beam_search(rows, 0, model) == []


def test_a_picture_that_says_nothing_does_not_cost_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model = uniform("".join(map(chr, range(0x100, 0x180))))
    asked = []
    known = model.step
    monkeypatch.setattr(model, "step", lambda *place: asked.append(place) or known(*place))
    monkeypatch.setattr(model, "search", Search(width=4, weight=0.0, bonus=0.0, floor=0.0, sure=1.0))
    beam_search(scores([0] * 20, 129, 1 / 129), 0, model)
    assert len(asked) <= 20 * 4 * 4 + 4


def test_a_beginning_that_can_no_longer_win_is_not_carried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model = uniform("ab")
    asked = []
    known = model.step
    monkeypatch.setattr(model, "step", lambda *place: asked.append(place) or known(*place))
    monkeypatch.setattr(model, "search", Search(width=16, weight=0.0, bonus=0.0, floor=0.003, sure=0.9999))
    doubtful = np.log(np.array([[0.02, 0.5, 0.48]], np.float32))
    sure = scores([0, 1] * 20, 3, 0.999)
    assert beam_search(np.concatenate([doubtful, sure]), 0, model) == [1] + [1] * 20
    assert len(asked) < 30, "two beginnings would ask for forty"


@pytest.mark.parametrize("blank", [0, 3])
def test_the_best_path_of_noise_is_that_of_its_definition(blank: int) -> None:
    output = np.log(np.random.default_rng(5).dirichlet(np.full(4, 0.3), 60)).astype(np.float32)
    best = output.argmax(axis=1)
    runs = [list(run) for _, run in groupby(range(60), lambda time: best[time])]
    expected = [
        ("abc"[best[run[0]] - (blank == 0)], float(np.exp(output[run, best[run[0]]]).max()), run[0], run[-1])
        for run in runs
        if best[run[0]] != blank
    ]
    found = greedy(output, "abc", blank)
    assert [(each.text, each.confidence, each.first, each.last) for each in found] == expected
    assert greedy(output[:0], "abc", blank) == []


def test_a_letter_that_the_network_underrates_is_read_where_the_language_model_expects_it() -> None:
    # Both look alike, and the network has seldom seen the second.
    output = np.log(np.array([[0.1, 0.86, 0.04]], np.float32))
    language = uniform("aą", weight=1.0, bonus=4.0, a=3, ą=1)
    gains = np.array([0.0, 0.0, 2.0], np.float32)
    for given, expected in ((np.zeros(3, np.float32), "a"), (gains, "ą")):
        (characters,) = decode([output], "aą", 0, language, given)
        assert "".join(each.text for each in characters) == expected
    # What it is sure of stays, and the confidence is what the picture gives.
    assert characters[0].confidence == pytest.approx(0.04)
    (sure,) = decode([np.log(np.array([[1e-4, 0.9998, 1e-4]], np.float32))], "aą", 0, language, gains)
    assert [each.text for each in sure] == ["a"]
