"""Every command prints its options with --help."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("adaptation", "benchmarks", "export", "local", "training", "function/paragraph_ocr", "function/service")


def commands() -> list[str]:
    """Return the names of the modules that parse arguments when they are run."""
    names = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "ArgumentParser(" in text and '__name__ == "__main__"' in text:
                parts = path.relative_to(ROOT).with_suffix("").parts
                names.append(".".join(parts[parts[0] == "function" :]))
    return names


# Other tests may have imported the module, and it is run anew.
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", commands())
def test_a_command_prints_its_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module(name, run_name="__main__")
    assert not stopped.value.code
    shown = capsys.readouterr().out
    assert shown.startswith("usage:")
    assert "--help" in shown
