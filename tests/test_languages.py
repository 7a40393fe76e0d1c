"""The table of languages: pages are printed as their texts say, and the table replaces the one before."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from paragraph_ocr.pipeline.reader import PageReader
from training.evaluation.languages import LANGUAGES, Outcome, print_page, table, write_between_marks
from training.synthesis.fonts import DECLARATIONS, Face

FACE = Face("DejaVu Sans", "print", (str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"),))


def test_every_language_with_a_text_is_measured() -> None:
    assert set(LANGUAGES) == {*DECLARATIONS, "signs"}


def test_printed_lines_are_read_as_they_were_printed() -> None:
    texts = ["the children finished them before", "which came on Tuesday morning"]
    page = PageReader.load().read_image(print_page(texts, FACE, np.random.default_rng(0)), "page")
    assert page.text.split("\n") == texts


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    outcome = Outcome(lines=2)
    outcome.error.add("bridge", "bridje")
    path = tmp_path / "accuracy.md"
    path.write_text("before\n<!-- languages -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    write_between_marks(path, table({"pl": outcome}))
    content = path.read_text(encoding="utf-8")
    assert "| Polish | 2 | 16.67 |" in content
    assert "old" not in content
    assert content.startswith("before\n")
    assert content.endswith("<!-- end -->\nafter\n")
    path.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no <!-- languages -->"):
        write_between_marks(path, "")
