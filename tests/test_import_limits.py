"""Files that were made to take an import hours are answered in a second of a processor."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from paragraph_ocr.io.imaging import DecodedPage
from training.importers import hocr, marks
from training.importers.placing import MAX_LINES, MAX_POINTS, place
from training.importers.records import Candidate, FoundLine, FoundPage, ImportRefused, Report
from training.importers.tables import is_table
from training.importers.text_file import LARGEST, read_text

SECONDS = 5.0


@pytest.fixture(autouse=True)
def quick() -> object:
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "[" + " " * 3000 + "x",
        "[" + " ." * 100_000,
        "⟦" + "a" * 100_000,
        "<s>" * 100_000,
        "[" + "?" * 100_000 + "x",
        "[" + "gap " * 100_000,
        "~~a" + " b" * 100_000,
    ],
    ids=lambda text: text[:5],
)
def test_marks_of_long_lines(text: str) -> None:
    marked = marks.resolve(text)
    assert bool(marked.doubt) == (len(" ".join(text.split())) > marks.LONGEST)


def test_a_gap_is_found_as_before() -> None:
    for text in ("[...]", "a [ … ] b", "[ ]", "[. .]", "[-]"):
        assert marks.resolve(text).doubt, text
    assert not marks.resolve("[sic]").doubt


def test_rows_of_spaces_are_no_table(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text((" " * 50_000 + "x\n") * 4)
    assert not is_table(file)
    file.write_text("   a.png   first line\n  'b.png' second\n")
    assert is_table(file)


def test_texts_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with file.open("wb") as opened:
        opened.truncate(LARGEST + 1)
    with pytest.raises(ImportRefused, match="more than 64 MiB"):
        read_text(file, print)


def test_hocr_of_elements_that_are_not_closed(tmp_path: Path) -> None:
    file = tmp_path / "a.hocr"
    page = "<div class='ocr_page' title='image \"a.png\"; bbox 0 0 100 100'>"
    file.write_text(f"{page}{'<i>' * 60_000}{'</b>' * 60_000}")
    (found,) = hocr.read(file)
    assert found.page.lines == ()
    file.write_text(page + "<span class='ocr_line' title='bbox 0 0 9 9'>" * 30_000)
    (found,) = hocr.read(file)
    assert len(found.page.lines) == 1


def test_hocr_of_a_line_in_pieces(tmp_path: Path) -> None:
    file = tmp_path / "a.hocr"
    line = "<span class='ocr_line' title='bbox 0 0 90 9'>" + "ab <b>c</b> " * 100_000 + "</span>"
    file.write_text(f"<div class='ocr_page' title='image \"a.png\"; bbox 0 0 100 100'>{line}</div>")
    (found,) = hocr.read(file)
    assert found.page.lines[0].doubt == f"it has more than {marks.LONGEST:,} characters"


def test_outlines_of_too_many_points_and_pages_of_too_many_lines(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scribble = [(float(x), float(y)) for x, y in rng.integers(0, 500, (MAX_POINTS + 1, 2))]
    page = DecodedPage(np.full((500, 500), 255, np.uint8), 1.0, 1)
    file = tmp_path / "a.xml"
    candidate = Candidate("page", file, tmp_path / "a.png", 1, 1, lambda _: FoundPage(()))
    report = Report(tmp_path)
    lines = tuple(FoundLine(f"line {number}", "a", "a", scribble, [(9, 9), (99, 9)]) for number in range(50))
    assert place(FoundPage(lines, 500, 500), page, candidate, report).lines == []
    assert report.lines_left_out == 50
    line = FoundLine("line", "a", "a", [(9, 9), (99, 9), (99, 40), (9, 40)], [(9, 35), (99, 35)])
    with pytest.raises(ImportRefused, match=r"2,001 lines"):
        place(FoundPage((line,) * (MAX_LINES + 1), 500, 500), page, candidate, report)


def test_pipes_are_passed_over_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.xml", "b.png", "c.txt", "d.json", "e.csv", "f.hocr"):
        os.mkfifo(folder / name)
    (folder / "g.txt").symlink_to("missing.txt")
    command = [sys.executable, "-m", "paragraph_ocr.cli.train", "import", str(folder), "--out", str(tmp_path / "out")]
    # Opening a pipe into which nobody writes waits for ever.
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.count("passed over: it is no regular file") == 7
