import numpy as np

from paragraph_ocr.ctc import greedy


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
