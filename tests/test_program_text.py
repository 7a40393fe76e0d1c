"""The words of programs stay as they are seen, and all others as the language model reads them."""

import numpy as np
import pytest

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.program_text import may_show_programs, with_program_words

CHARSET = "".join(map(chr, range(32, 126)))


def output_of(text: str) -> np.ndarray:
    """The log probabilities of a text whose characters are two time steps apart; a tilde has no character."""
    output = np.full((2 * len(text), len(CHARSET) + 1), -9.0, np.float32)
    output[:, 0] = -1.0
    for at, each in enumerate(text):
        if each != "~":
            output[2 * at, CHARSET.index(each) + 1] = 0.0
    return output


def characters(text: str, confidence: float = 0.99) -> list[Character]:
    """A line whose characters are two time steps apart; a tilde has no character."""
    return [Character(each, confidence, 2 * at, 2 * at) for at, each in enumerate(text) if each != "~"]


def read(lines: list[tuple[str, str]], confidence: float = 0.99) -> list[str]:
    """Lines as they are given, each a text of the language model and the same as it was seen."""
    decoded, seen = zip(*lines, strict=True)
    possible = [may_show_programs(output_of(each), CHARSET, 0) for each in seen]
    found = with_program_words(
        list(map(characters, decoded)), possible, lambda index: characters(seen[index], confidence)
    )
    return ["".join(each.text for each in line) for line in found]


@pytest.mark.parametrize(
    ("decoded", "seen", "text"),
    [
        ("a namesize is", "a nameSize is", "a nameSize is"),
        ("see user-name.txt", "see user_name.txt", "see user_name.txt"),
        ("of rangel3) now", "of range(3) now", "of range(3) now"),
        ("statev~ent", "stateEvent", "stateEvent"),
    ],
)
def test_a_word_of_a_program_stays_as_it_is_seen(decoded: str, seen: str, text: str) -> None:
    assert read([(decoded, seen)]) == [text]
    assert read([(decoded, seen)], 0.5) == [decoded.replace("~", "")]


@pytest.mark.parametrize(
    ("decoded", "seen", "text"),
    [
        ("from index. data", "from index.~data", "from index.data"),
        ("in range (3):", "in range~(3):", "in range(3):"),
        ("at key Reader", "at key~Reader", "at keyReader"),
    ],
)
def test_words_are_joined_on_pages_of_program_text_only(decoded: str, seen: str, text: str) -> None:
    assert read([(decoded, seen)]) == [decoded]
    assert read([(decoded, seen), *[("a_b = ca(d)", "a_b = ca(d)")] * 4])[0] == text


def test_a_word_that_is_not_sure_stays_on_pages_without_program_text() -> None:
    assert read([("user-name.txt", "user_name.txt")], 0.7) == ["user-name.txt"]


def test_words_that_no_program_has_are_the_language_models() -> None:
    lines = [("von Berlin", "vou Berlin"), ("the end. The", "the end.~The"), ("McDonald", "McDonald")]
    assert read(lines) == [decoded for decoded, _ in lines]
