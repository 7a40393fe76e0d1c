"""Counting what was found and read of a kind of document."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paragraph_ocr.document import Line, Page
from training.data.pages import TrueLine, TruePage
from training.evaluation.document_conditions import Count, count_page, table


def box(x: float, y: float, width: float) -> tuple[tuple[float, float], ...]:
    return ((x, y), (x + width, y), (x + width, y + 20), (x, y + 20))


def true_line(text: str, x: float, y: float, width: float) -> TrueLine:
    baseline = np.float32([[x, y + 15], [x + width, y + 15]])
    return TrueLine(text, baseline, np.float32(box(x, y, width)), 15.0, 5.0, False)


def read_line(text: str, x: float, y: float, width: float) -> Line:
    return Line(text, 0.9, box(x, y, width), ((x, y + 15), (x + width, y + 15)), ())


def test_words_lines_and_what_is_too_many_are_counted() -> None:
    true = (true_line("two 2 cups", 0, 0, 100), true_line("7", 200, 0, 12), true_line("flour flour", 0, 50, 100))
    ignored = (np.float32(box(0, 200, 100)),)
    page = TruePage("a", "doc_list", "x", "val", Path("a"), 400, 300, true, ignored, True)
    read = (
        read_line("two 2 caps", 0, 0, 100),
        read_line("flour", 0, 50, 98),
        read_line("margin", 0, 200, 100),
        read_line("noise noise noise", 250, 250, 100),
    )
    count = Count()
    count_page(page, Page("a", 1, 400, 300, 90, read, {}, {}), count)
    row = count.row()
    assert row["words"] == 3 / 6
    assert row["more"] == 2 / 6
    assert row["found"] == 2 / 3
    assert row["lone"] == 0.0
    assert row["extra"] == 1 / 4
    assert row["turned"] == 1.0
    assert "| doc_list | 50.0 | 33.3 | 66.7 | 0.0 | 25.0 | 100.0 |" in table({"doc_list": count})
