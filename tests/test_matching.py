import numpy as np

from training.matching import match_lines


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
