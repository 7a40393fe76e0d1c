import pytest

from training.evaluation.metrics import ErrorRate, normalise_text


def test_rates_are_edits_over_the_length_of_the_truth() -> None:
    rate = ErrorRate()
    rate.add("hello world", "hallo world")
    rate.add("abc", "")
    assert rate.characters == pytest.approx(4 / 14)
    assert rate.word == pytest.approx(2 / 3)


def test_invented_text_counts() -> None:
    rate = ErrorRate()
    rate.add("ab", "ab")
    rate.add("", "xy")
    assert rate.characters == pytest.approx(1.0)


def test_quotation_marks_and_spaces_are_compared_folded() -> None:
    assert normalise_text(" l’été  “vif” ") == 'l\'été "vif"'
    assert normalise_text("et puis…") == normalise_text("et puis...")
