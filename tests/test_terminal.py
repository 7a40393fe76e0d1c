"""Nothing that others wrote moves the cursor of a terminal, colours it, or turns text around."""

import pytest

from paragraph_ocr.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("an é, 字 and 'quotes'", "an é, 字 and 'quotes'"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("gpj.\u202eexe\u2066", r"gpj.\u202eexe\u2066"),
        ("one\ntwo\r\tthree\u2028", r"one\ntwo\r\tthree\u2028"),
        ("\udce9", r"\udce9"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_shows_control_characters_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
