"""The command line reads files and folders, goes on after a broken one, and says so in its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import draw_page

from paragraph_ocr import __main__ as command_line


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
    written = sorted(str(path.relative_to("read")) for path in Path("read").rglob("*") if path.is_file())
    assert written == ["b.png.json", "b.png.overlay.jpg", "more/a.JPG.json", "more/a.JPG.overlay.jpg"]
    assert json.loads(Path("read/more/a.JPG.json").read_text(encoding="utf-8"))["image"] == "scans/more/a.JPG"


def test_reports_what_it_cannot_read_and_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_bytes(Path("scans/b.png").read_bytes()[:100])
    assert command_line.main(["missing.png", "broken.png", "scans/notes.txt", "scans/b.png"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    for name in ("missing.png: ", "broken.png: ", "scans/notes.txt: "):
        assert any(line.startswith(name) for line in err.splitlines())


@pytest.mark.parametrize("arguments", [[], ["a.png", "--overlay"], ["a/x.png", "b/x.png", "--out", "read"]])
def test_refuses_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(arguments)
    assert "usage" in capsys.readouterr().err


def test_runs_as_a_module(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(command_line.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-m", "paragraph_ocr", "scans/b.png", "missing.png"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert "missing.png" in done.stderr
