"""Summarise the records of a folder that was read: a CSV file of all pages, and an HTML report.

Both list files that could not be read first, then pages by increasing confidence, then pages without text.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from paragraph_ocr.cli.folder import File, read_record
from paragraph_ocr.cli.terminal import printable
from paragraph_ocr.document import NOTES
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.formats.csv import inert
from paragraph_ocr.io import output

SUMMARY = "summary.csv"
REPORT = "report.html"
# Browsers are slow with many more; the CSV file has all.
SHOWN = 1000

_COLUMNS = ("file", "page", "kind", "content", "confidence", "lines", "characters", "seconds", "error")
# The policy allows neither scripts nor requests.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>What was read</title>
<style>
:root { color-scheme: light dark; --paper: #f7f5f0; --card: #fff; --ink: #20242e; --muted: #596070; --rule: #dcd7cc;
  --link: #1d4f91; --sure: #146c5c; --fair: #945200; --doubtful: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1c1f25; --ink: #e9e6df; --muted: #a5abb7;
  --rule: #343842; --link: #9cc0f5; --sure: #66ccb3; --fair: #efb45f; --doubtful: #ff9188; } }
body { max-width: 70rem; margin: 0 auto; padding: 2rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
article { display: grid; grid-template-columns: 200px 1fr; gap: 1rem 1.5rem; padding: 1rem; margin: 1rem 0;
  background: var(--card); border: 1px solid var(--rule); border-radius: 6px; }
@media (max-width: 40rem) { article { grid-template-columns: 1fr; } }
h2 { margin: 0; font-size: 1.05rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
p { margin: .2rem 0; color: var(--muted); }
a { color: var(--link); }
ol { margin: .6rem 0 0; padding-left: 2.2rem; overflow-wrap: anywhere; }
li::marker, small { color: var(--muted); font-size: .8rem; }
.sure { color: var(--sure); } .fair { color: var(--fair); } .doubtful { color: var(--doubtful); }
</style>
</head>
<body>
"""


@dataclass
class Totals:
    """Totals of a folder: files, failed files, pages, lines, and pages of each kind."""

    files: int = 0
    failed: int = 0
    pages: int = 0
    lines: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, order=True)
class _Row:
    """A row of the summary: a page, or a file that could not be read."""

    rank: tuple[int, float]
    number: int
    page: int
    cells: tuple[str | int | float, ...] = field(compare=False)


def write_summary(files: Sequence[File], out: Path, formats: Iterable[str]) -> Totals:
    """Write the summary of all files that have a record.

    Parameters
    ----------
    files : sequence of File
    out : Path
        Folder with the records, into which the summary is written.
    formats : iterable of str
        Keys of `FORMATS` whose results the report links to.
    """
    totals = Totals()
    rows: list[_Row] = []
    for number, file in enumerate(files):
        record = read_record(file, out)
        if record is not None:
            rows.extend(_rows(number, file, record))
            _count(totals, record)
    rows.sort()
    table = StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    writer.writerows(map(_escape_formula, row.cells) for row in rows)
    # Spreadsheets recognise the encoding by the byte order mark.
    output.write(out, Path(SUMMARY), table.getvalue().encode("utf-8-sig", "replace"))
    parts = [_HEAD, _heading(totals, len(rows))]
    for row in rows[:SHOWN]:
        record = read_record(files[row.number], out)
        if record is not None:
            parts.append(_article(files[row.number], record, row.page, formats))
    parts.append("</body>\n</html>\n")
    output.write(out, Path(REPORT), "".join(parts).encode("utf-8", "replace"))
    return totals


def _escape_formula(cell: str | int | float) -> str | int | float:
    """Put an apostrophe before text that a spreadsheet would treat as a formula."""
    return inert(cell) if isinstance(cell, str) else cell


def _rows(number: int, file: File, record: dict[str, Any]) -> Iterator[_Row]:
    name = file.name.as_posix()
    if "error" in record:
        yield _Row((0, 0.0), number, 0, (name, "", "", "", "", "", "", "", record["error"]))
        return
    for page in record["pages"]:
        rank = (1, page["confidence"]) if page["lines"] else (2, 0.0)
        characters = sum(len(text) for text, _ in page["lines"])
        confidence = page["confidence"] if page["lines"] else ""
        kind, content = page["kind"], page["content"]
        cells = (name, page["page"], kind, content, confidence, len(page["lines"]), characters, page["seconds"], "")
        yield _Row(rank, number, page["page"], cells)


def _count(totals: Totals, record: dict[str, Any]) -> None:
    totals.files += 1
    if "error" in record:
        totals.failed += 1
        return
    totals.pages += len(record["pages"])
    totals.lines += sum(len(page["lines"]) for page in record["pages"])
    totals.kinds.update(page["kind"] for page in record["pages"])


def _heading(totals: Totals, rows: int) -> str:
    kinds = "".join(f", {count:,} {escape(kind)}" for kind, count in totals.kinds.most_common())
    shown = "" if rows <= SHOWN else f" These are the {SHOWN:,} worst; <a href='{SUMMARY}'>{SUMMARY}</a> has all."
    return (
        f"<h1>What was read</h1>\n<p>{totals.files:,} files, {totals.failed:,} of them not read; "
        f"{totals.pages:,} pages{kinds}; {totals.lines:,} lines. The least sure pages come first.{shown}</p>\n"
    )


def _article(file: File, record: dict[str, Any], number: int, formats: Iterable[str]) -> str:
    name = file.name.as_posix()
    # A name may contain characters that reverse the direction of text.
    shown = escape(printable(name))
    if "error" in record:
        reason = f'<p class="doubtful">{escape(printable(record["error"]))}</p>'
        return f"<article>\n<div></div>\n<div>\n<h2>{shown}</h2>\n{reason}\n</div>\n</article>\n"
    page = next(page for page in record["pages"] if page["page"] == number)
    which = f", page {number}" if len(record["pages"]) > 1 else ""
    links = " ".join(f'<a href="{quote(os.fsencode(name + FORMATS[form].suffix))}">{form}</a>' for form in formats)
    sure = f' · <span class="{_mark(page["confidence"])}">{page["confidence"]:.0%} sure</span>' if page["lines"] else ""
    note = f'<p class="doubtful">{NOTES[page["content"]]}</p>\n' if page["content"] in NOTES else ""
    lines = "".join(
        f'<li class="{_mark(confidence)}">{escape(text)} <small>{confidence:.0%}</small></li>\n'
        for text, confidence in page["lines"]
    )
    return (
        f'<article>\n<img src="data:image/jpeg;base64,{escape(page["thumbnail"])}" alt="">\n<div>\n'
        f"<h2>{shown}{which}</h2>\n<p>{escape(page['kind'])}{sure} · {links}</p>\n{note}<ol>\n{lines}</ol>\n"
        "</div>\n</article>\n"
    )


def _mark(confidence: float) -> str:
    return "sure" if confidence >= 0.95 else "fair" if confidence >= 0.85 else "doubtful"
