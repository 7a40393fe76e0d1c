import numpy as np
import pytest

from training.evaluation.matching import baseline_error, match_lines


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def test_each_line_is_paired_once_with_its_best_partner() -> None:
    true = [box(0, 0, 100, 20), box(0, 30, 100, 50)]
    found = [box(0, 2, 100, 20), box(0, 0, 100, 19), box(0, 31, 100, 52)]
    matches = match_lines(true, found, [])
    assert sorted(matches.pairs) == [(0, 1), (1, 2)]
    assert matches.owner == [0, 0, 1]


def test_a_line_that_is_cut_too_short_is_not_a_hit_but_has_an_owner() -> None:
    matches = match_lines([box(0, 0, 100, 20)], [box(0, 0, 40, 20)], [])
    assert matches.pairs == []
    assert matches.owner == [0]


def test_what_stands_on_ignored_parts_is_set_aside() -> None:
    matches = match_lines([], [box(0, 0, 50, 20), box(200, 0, 300, 20)], [box(0, 0, 100, 20)])
    assert matches.ignored == {0}
    assert matches.owner == [None, None]


def test_nothing_found_is_no_error() -> None:
    assert match_lines([box(0, 0, 1, 1)], [], []).pairs == []


def test_a_baseline_is_compared_where_it_runs() -> None:
    true = np.array([[0, 50], [100, 50]], np.float32)
    assert baseline_error(true, np.array([[20, 53], [80, 53]], np.float32)) == pytest.approx(3)
    assert baseline_error(true, np.array([[0, 40], [100, 60]], np.float32)) == pytest.approx(5, abs=0.3)
    assert np.isnan(baseline_error(true, np.array([[200, 50], [300, 50]], np.float32)))
