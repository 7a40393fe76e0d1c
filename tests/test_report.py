"""The summary of a folder names every page, the worst first, and the report is a page that stands by itself."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from paragraph_ocr.cli import report
from paragraph_ocr.cli.folder import RECORDS, File
from paragraph_ocr.cli.report import REPORT, SUMMARY, write_summary

HOSTILE = "<script>alert(\"1\")</script> & 'x'"


def page(confidence: float, texts: list[str], number: int = 1, kind: str = "handwritten") -> dict[str, Any]:
    lines = [[text, confidence] for text in texts]
    content = "text" if texts else "none"
    measured = {"kind": kind, "content": content, "confidence": confidence, "seconds": 1.5}
    return {"page": number, **measured, "lines": lines, "thumbnail": "QUJD"}


@pytest.fixture
def files(tmp_path: Path) -> list[File]:
    """Files in alphabetical order: a sure one, a blank one, one that failed, one of two pages, and one unread."""
    records = {
        "a.png": {"pages": [page(0.99, ["sure"])]},
        "b.png": {"pages": [page(0.0, [], kind="blank")]},
        f"more/{HOSTILE.replace('/', '')}.png": {"error": f"not read: {HOSTILE}"},
        "z é#.tif": {"pages": [page(0.7, ["a", HOSTILE]), page(0.9, ["=SUM(A1)"], 2, "printed")]},
    }
    for name, record in records.items():
        path = tmp_path / RECORDS / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    return [File(f"scans/{name}", Path(name)) for name in [*records, "unread.png"]]


def test_the_summary_has_every_page_worst_first(files: list[File], tmp_path: Path) -> None:
    totals = write_summary(files, tmp_path, ["text"])
    assert (totals.files, totals.failed, totals.pages, totals.lines) == (4, 1, 4, 4)
    assert totals.kinds == {"handwritten": 2, "printed": 1, "blank": 1}
    with (tmp_path / SUMMARY).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    order = [(row["file"], row["page"]) for row in rows]
    assert order == [
        (files[2].name.as_posix(), ""),
        ("z é#.tif", "1"),
        ("z é#.tif", "2"),
        ("a.png", "1"),
        ("b.png", "1"),
    ]
    assert rows[0]["error"] == f"not read: {HOSTILE}"
    assert (rows[1]["kind"], rows[1]["confidence"], rows[1]["lines"], rows[1]["characters"]) == (
        "handwritten", "0.7", "2", str(1 + len(HOSTILE)),
    )  # fmt: skip
    assert rows[4]["confidence"] == ""


class Reading(HTMLParser):
    """What a browser would make of the report."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Reading:
    reading = Reading()
    reading.feed(path.read_text(encoding="utf-8"))
    return reading


def test_the_report_stands_by_itself_and_runs_nothing(files: list[File], tmp_path: Path) -> None:
    write_summary(files, tmp_path, ["text", "json"])
    reading = read(tmp_path / REPORT)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in reading.tags}
    assert {attributes["src"] for tag, attributes in reading.tags if tag == "img"} == {"data:image/jpeg;base64,QUJD"}
    assert HOSTILE in reading.text
    assert f"not read: {HOSTILE}" in reading.text
    links = [attributes["href"] for tag, attributes in reading.tags if tag == "a"]
    assert "z%20%C3%A9%23.tif.txt" in links
    assert "z%20%C3%A9%23.tif.json" in links
    assert reading.text.index("not read") < reading.text.index("70%") < reading.text.index("a.png")


FORMULAS = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1": "'+1",
    "-1": "'-1",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t'=1",
    "\r=1": "'\r'=1",
    "\n=1": "'\n'=1",
    "＝1": "'＝1",
    # Spreadsheets ignore these before a formula, or part cells and rows at these.
    " =1": "' =1",
    "\u200b\ufeff\u00a0=1": "'\u200b\ufeff\u00a0=1",
    "a; =1;+2": "a;' =1;'+2",
    "a\n@b": "a\n'@b",
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_spreadsheet_computes_nothing_of_the_summary(tmp_path: Path, formula: str) -> None:
    inert = FORMULAS[formula]
    names = [f"{formula}.png".replace("/", "|"), "failed.png", "plain - =.png"]
    kept = [{"pages": [page(0.5, ["a"], kind=formula)]}, {"error": formula}, {"pages": [page(0.5, ["a"])]}]
    for name, record in zip(names, kept, strict=True):
        path = tmp_path / RECORDS / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record))
    write_summary([File(name, Path(name)) for name in names], tmp_path, ["text"])
    with (tmp_path / SUMMARY).open(encoding="utf-8-sig", newline="") as file:
        failed, odd, plain = csv.DictReader(file)
    assert failed["error"] == inert
    assert (odd["file"], odd["kind"]) == (f"{inert}.png".replace("/", "|"), inert)
    assert (plain["file"], plain["confidence"]) == (names[2], "0.5")


def test_the_report_trusts_neither_names_nor_records(tmp_path: Path) -> None:
    names = ["javascript:alert(1).png", "\u202egnp.exe.png", '\udce9".png']
    hostile = page(0.5, [HOSTILE], kind=HOSTILE) | {"thumbnail": '"><script>'}
    for name in names:
        path = tmp_path / RECORDS / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"pages": [hostile]}))
    write_summary([File(name, Path(name)) for name in names], tmp_path, ["text"])
    reading = read(tmp_path / REPORT)
    assert "script" not in {tag for tag, _ in reading.tags}
    assert {name for tag, attributes in reading.tags if tag == "img" for name in attributes} == {"src", "alt"}
    links = [attributes["href"] for tag, attributes in reading.tags if tag == "a"]
    assert links == ["javascript%3Aalert%281%29.png.txt", "%E2%80%AEgnp.exe.png.txt", "%E9%22.png.txt"]
    assert r"\u202egnp.exe.png" in reading.text
    assert "\u202e" not in reading.text


def test_the_report_shows_the_worst_of_many(files: list[File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SHOWN", 2)
    write_summary(files, tmp_path, ["text"])
    reading = read(tmp_path / REPORT)
    assert [tag for tag, _ in reading.tags].count("article") == 2
    assert "the 2 worst" in reading.text
    assert "a.png" not in reading.text
