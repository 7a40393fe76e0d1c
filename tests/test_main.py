"""The command line reads files and folders, goes on after a broken one, and says so in its exit status."""

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from pages import draw_page
from pdfs import text_pdf
from PIL import Image
from standins import StillReader

from paragraph_ocr.cli import main as command_line
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.io.limits import DEFAULT_LIMITS
from paragraph_ocr.pipeline.reader import PageReader


@pytest.fixture(scope="module", autouse=True)
def loaded_once() -> Iterator[None]:
    """Loading the models takes longer than the rest of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PageReader, "load", functools.cache(PageReader.load))
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pages, one below the other, and a text file; it is the working directory."""
    (tmp_path / "scans" / "more").mkdir(parents=True)
    draw_page(["the river bank"])[0].save(tmp_path / "scans" / "b.png")
    draw_page(["a stone bridge"])[0].save(tmp_path / "scans" / "more" / "a.JPG", "JPEG")
    (tmp_path / "scans" / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_prints_a_json_document_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = ["scans/more/a.JPG", "scans/b.png"]
    assert command_line.main([*paths, "--format", "json"]) == 0
    pages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [page["image"] for page in pages] == paths
    assert all(len(page["lines"]) == 1 for page in pages)


def test_walks_folders_and_prints_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["scans"]) == 0
    walked = capsys.readouterr().out
    assert len(walked.splitlines()) == 2
    assert command_line.main(["scans/b.png", "scans/more/a.JPG"]) == 0
    assert capsys.readouterr().out == walked


def test_writes_files_and_overlays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["scans", "--format", "json", "--out", "read", "--overlay"]) == 0
    assert capsys.readouterr().out == ""
    written = {path.relative_to("read").as_posix() for path in Path("read").rglob("*") if path.is_file()}
    summary = {".paragraph-ocr/b.png.json", ".paragraph-ocr/more/a.JPG.json", "report.html", "summary.csv"}
    assert written - summary == {"b.png.json", "b.png.overlay.jpg", "more/a.JPG.json", "more/a.JPG.overlay.jpg"}
    assert summary < written
    assert json.loads(Path("read/more/a.JPG.json").read_text(encoding="utf-8"))["image"] == "scans/more/a.JPG"


def test_reports_what_it_cannot_read_and_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_bytes(Path("scans/b.png").read_bytes()[:100])
    assert command_line.main(["missing.png", "broken.png", "scans/notes.txt", "scans/b.png"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    for name in ("missing.png: ", "broken.png: ", "scans/notes.txt: "):
        assert any(line.startswith(name) for line in err.splitlines())


@pytest.fixture
def two_pages(folder: Path) -> str:
    """The path of a TIFF of two pages."""
    first, second = (draw_page([text])[0] for text in ("the river bank", "a stone bridge"))
    first.save("two.tif", save_all=True, append_images=[second])
    return "two.tif"


def test_prints_a_json_document_for_each_page_of_a_file(two_pages: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([two_pages, "scans/b.png", "--format", "json"]) == 0
    pages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(page["image"], page["page"]) for page in pages] == [(two_pages, 1), (two_pages, 2), ("scans/b.png", 1)]


def test_draws_every_page(two_pages: str) -> None:
    assert command_line.main([two_pages, "--out", "read", "--overlay"]) == 0
    names = {"two.tif.1.overlay.jpg", "two.tif.2.overlay.jpg", "two.tif.txt"}
    assert {name for name in os.listdir("read") if name.startswith("two")} == names
    assert Path("read/two.tif.txt").read_text(encoding="utf-8").count("\f") == 1


def test_writes_every_form(two_pages: str) -> None:
    assert command_line.main([two_pages, "--out", "read", *(f"--format={form}" for form in FORMATS)]) == 0
    written = {"".join(path.suffixes[1:]): path.read_bytes() for path in Path("read").glob("two*")}
    assert set(written) == {each.suffix for each in FORMATS.values()}
    assert b"ocr_page" in written[".hocr"]
    assert b"<alto" in written[".xml"]
    assert b"<PcGts" in written[".page.xml"]
    with pypdfium2.PdfDocument(written[".pdf"]) as document:
        assert len(document) == 2


def test_reads_the_pdfs_it_writes(two_pages: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert command_line.main([two_pages, "--format", "pdf"]) == 0
    Path("scans/two.pdf").write_bytes(capsysbinary.readouterr().out)
    assert command_line.main([two_pages]) == 0
    expected = capsysbinary.readouterr().out
    assert command_line.main(["scans/two.pdf"]) == 0
    assert capsysbinary.readouterr().out.count(b"\n") == expected.count(b"\n") == 2


def test_sends_no_pdf_to_a_terminal(
    two_pages: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(SystemExit, match="2"):
        command_line.main([two_pages, "--format", "pdf"])
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["a.png", "--overlay"], ["a/x.png", "b/x.png", "--out", "read"], ["a.png", "b.png", "--format", "pdf"],
     ["a.png", "b.png", "--format", "alto"], ["a.png", "--sort"], ["a.png", "--jobs", "2"], ["a.png", "--jobs", "0"],
     ["a.png", "--format", "text", "--format", "json"], [".", "--out", ".", "--overlay"],
     [".", "--out", ".", "--format", "pdf"]],
)  # fmt: skip
def test_refuses_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(arguments)
    assert "usage" in capsys.readouterr().err


def test_runs_as_a_module(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(command_line.__file__).parents[2])}
    command = [sys.executable, "-W", "error", "-m", "paragraph_ocr", "scans/b.png", "missing.png"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert "missing.png" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--pages", "5-2"], "--pages must go upwards"),
     (["--lang", "qq"], "--lang must be one or more of .*en.*xx is the model of all other"),
     (["--lang", "zxx"], "--lang must be one or more of"),
     (["--charset", "hex"], "--charset must be one of digits, letters"),
     (["--text", "ocr"], "--text must be one of auto, read"),
     (["--langs", "en"], "unrecognized arguments")],
)  # fmt: skip
def test_options_that_cannot_be_heeded_are_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["a.png", *options])
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_only_the_pages_asked_for_are_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(PageReader, "load", lambda **_: StillReader(DEFAULT_LIMITS))
    scan = tmp_path / "scan.tif"
    pages = [Image.new("L", (300, 200), 255) for _ in range(4)]
    pages[0].save(scan, save_all=True, append_images=pages[1:])
    assert command_line.main([str(scan), "--pages", "2,4", "--format", "json"]) == 0
    read = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [page["page"] for page in read] == [2, 4]
    assert command_line.main([str(scan), "--pages", "5"]) == 1
    assert b"the file has 4 pages" in capsysbinary.readouterr().err
    out = tmp_path / "out"
    arguments = [str(scan), "--format", "markdown", "--format", "page", "--out", str(out)]
    # What was asked before is no reason not to read again.
    for asked, count in ((["--pages", "3"], 1), (["--pages", "2-4"], 3), ([], 4)):
        assert command_line.main([*arguments, *asked]) == 0
        assert len((out / "scan.tif.md").read_text().split("\n---\n")) == count
        assert (out / "scan.tif.page.xml").read_text().count("<PcGts") == count


def test_text_that_a_pdf_carries_is_given_or_read_and_its_pages_turned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its letters are not those that it shows.
    shown = b"BT /G 14 Tf 0 -1 1 0 300 500 Tm (SEND THE PARCEL) Tj ET"
    unicode = "".join(chr(ord("A") + at) if at != 18 else "C" for at in range(26))
    path = tmp_path / "page.pdf"
    path.write_bytes(text_pdf(shown, to_unicode=unicode))
    for asked, source, text in (([], "pdf", "CEND THE PARCEL"), (["--text", "auto"], "pdf", "CEND THE PARCEL"),
                                (["--text", "read"], None, "SEND THE PARCEL")):  # fmt: skip
        assert command_line.main([str(path), *asked, "--format", "json"]) == 0
        (line,) = json.loads(capsys.readouterr().out)["lines"]
        assert (line.get("source"), line["text"]) == (source, text)
    out = tmp_path / "out"
    for asked, turned in (([], 0), (["--upright"], 270)):
        # What was read with other options is read again.
        assert command_line.main([str(path), "--format", "pdf", "--out", str(out), *asked]) == 0
        with pypdfium2.PdfDocument(out / "page.pdf.pdf") as document:
            assert document[0].get_rotation() == turned
