"""Nothing that others wrote moves the cursor of a terminal, colours it, or turns text around."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from local import archive
from paragraph_ocr.cli.terminal import printable


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


def test_the_end_of_an_archive_run_does_not_control_the_terminal() -> None:
    now = datetime.now(UTC)
    cause = "box/\x1b[2J\u202egpj.exe failed"
    run = {"status": "FAILED", "startDate": now, "stopDate": now, "input": '{"bucket": "papers"}', "cause": cause}
    told = archive.report(run, Counter(), "results")
    assert all(line.isprintable() for line in told.splitlines())
    assert told.splitlines()[-1] == r"box/\x1b[2J\u202egpj.exe failed"
    assert len(told.splitlines()) == 4
