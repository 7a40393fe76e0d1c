"""Lines whose text was seen in training are told from new ones, however their text is broken."""

from training.data.seen_text import SeenText

CONSENT = ["I have read the conditions, and I", "agree that my letter is used", "for research. Paris"]


def test_a_line_that_was_there_is_known_whatever_its_length() -> None:
    assert SeenText(CONSENT).contains(["for  research. Paris", "Paris"]) == [True, False]


def test_a_text_is_known_in_other_lines_case_and_marks() -> None:
    copied = ["i have read", "the conditions and I agree, that", "my letter is", "used."]
    assert SeenText(CONSENT).contains(copied) == [True] * 4


def test_words_alone_make_no_line_known() -> None:
    seen = SeenText(CONSENT)
    assert (
        seen.contains(["the conditions that I have read", "agree", "", "for my letter, and for research"])
        == [False] * 4
    )


def test_a_line_is_known_from_half_of_its_words_on() -> None:
    seen = SeenText(CONSENT)
    assert seen.contains(["that my letter is used one two three four five"]) == [True]
    assert seen.contains(["that my letter is used one two three four five six"]) == [False]


def test_nothing_knows_nothing() -> None:
    assert SeenText([]).contains(["a b c d e f"]) == [False]
    assert SeenText(CONSENT).contains([]) == []
