"""The page of costs is the one that its command makes, and names the tightest limit."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import capacity
from benchmarks.capacity import SETTINGS, Work, costs, duration, limits

PAGE = Path(__file__).parents[1] / "docs" / "capacity.md"
WORK = Work(seconds=1.0, memory=1769, batch=20, forms=1, architecture="x86_64")


def test_the_page_is_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    command = text.partition("`python -m ")[2].partition("`")[0].split()
    monkeypatch.setattr(sys, "argv", command)
    capacity.main()
    assert capsys.readouterr().out == text


def test_a_page_costs_what_its_parts_cost() -> None:
    bill = costs(WORK, 1000)
    assert bill.compute == pytest.approx(1000 * 1769 / 1024 * 0.0000166667 + 50 * 0.2e-6)
    assert bill.orchestration == pytest.approx(50 * 4 * 0.025e-3)
    assert bill.storage == pytest.approx(1000 * (2 * 0.4e-6 + 5e-6))
    assert costs(replace(WORK, forms=5), 1000).total > bill.total


def test_the_tightest_limit_comes_first() -> None:
    few, default, *_ = SETTINGS
    assert limits(WORK, few)[0].name == "Lambda: concurrent invocations"
    # Ten times faster, the same account waits for S3 or for its state machine.
    first = limits(replace(WORK, seconds=0.1), default)[0]
    assert (first.name.partition(":")[0], first.pages_a_second) == ("Step Functions", 2000)
    assert limits(replace(WORK, seconds=0.1, forms=5), default)[0].name == "S3: PUT requests per second and partition"


@pytest.mark.parametrize(("seconds", "words"), [(90, "90 seconds"), (7200, "2.0 hours"), (86400 * 800, "2.2 years")])
def test_times_are_in_units_that_fit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
