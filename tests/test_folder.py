"""A run over a folder loses nothing: not to a process that is killed, a broken file, or being broken off half-way."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from pages import draw_page
from standins import StillReader

from paragraph_ocr import __main__ as command_line
from paragraph_ocr import folder as module
from paragraph_ocr.folder import File, Settings, digest_models, is_due, read_file, read_files, read_record
from paragraph_ocr.imaging import DEFAULT_LIMITS
from paragraph_ocr.reader import PageReader

SECONDS = 60.0


def settings(out: Path, **changes: Any) -> Settings:
    return Settings(**({"out": out, "formats": ("text",), "overlay": False, "models": digest_models()} | changes))


def draw(path: Path, text: str = "the river bank") -> File:
    draw_page([text])[0].save(path)
    return File(str(path), Path(path.name))


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> StillReader:
    """A reader that takes no time, which the command line gets too."""
    reader = StillReader(DEFAULT_LIMITS)
    monkeypatch.setattr(PageReader, "load", lambda **_: reader)
    return reader


class Trap:
    """A file that holds whoever reads it until it is sprung."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.file = File(str(path), Path(path.name))

    def wait(self) -> int:
        """Wait until it is being read; gives the end to write to."""
        end = monotonic() + SECONDS
        while monotonic() < end:
            try:
                return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                sleep(0.02)
        raise TimeoutError(self.path)


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    (tmp_path / "scans").mkdir()
    return Trap(tmp_path / "scans" / "a.png")


def while_held(trap: Trap, times: int, act: Callable[[], None]) -> threading.Thread:
    """Act as often as the trap is being read."""

    def watch() -> None:
        for _ in range(times):
            opened = trap.wait()
            act()
            os.close(opened)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def kill_all() -> None:
    processes = multiprocessing.active_children()
    # At once, or one that is idle would be handed the file of the first before it is its turn.
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def test_a_killed_process_does_not_lose_the_run(trap: Trap, tmp_path: Path) -> None:
    files = [trap.file, *(draw(tmp_path / "scans" / f"{name}.png") for name in "bc")]

    def mend() -> None:
        """Kill those who read, and put an image in the trap's place."""
        kill_all()
        draw(tmp_path / "good.png")
        os.replace(tmp_path / "good.png", trap.path)

    thread = while_held(trap, 1, mend)
    done = dict(read_files(files, settings(tmp_path / "out"), jobs=2))
    thread.join()
    assert done == dict.fromkeys(files)
    assert {path.name for path in (tmp_path / "out").glob("*.txt")} == {"a.png.txt", "b.png.txt", "c.png.txt"}
    assert multiprocessing.active_children() == []


def test_a_file_does_not_answer_for_processes_that_died_idle(trap: Trap, tmp_path: Path) -> None:
    files = [trap.file, *(draw(tmp_path / "scans" / f"{name}.png") for name in "bcd")]

    def mend() -> None:
        """Kill all when all but one are idle, and put an image in the trap's place."""
        while len(list((tmp_path / "out").glob("*.txt"))) < 3:
            sleep(0.02)
        sleep(0.2)
        draw(tmp_path / "good.png")
        os.replace(tmp_path / "good.png", trap.path)
        kill_all()

    thread = while_held(trap, 1, mend)
    done = dict(read_files(files, settings(tmp_path / "out"), jobs=4))
    thread.join()
    assert done == dict.fromkeys(files)


def test_a_file_that_every_process_dies_of_is_one_that_failed(trap: Trap, tmp_path: Path) -> None:
    files = [trap.file, draw(tmp_path / "scans" / "b.png")]

    def kill_all_but_who_reads_b() -> None:
        while not (tmp_path / "out" / "b.png.txt").exists():
            sleep(0.02)
        kill_all()

    thread = while_held(trap, 2, kill_all_but_who_reads_b)
    done = dict(read_files(files, settings(tmp_path / "out"), jobs=2))
    thread.join()
    assert done[files[1]] is None
    assert done[trap.file] is not None
    assert "twice" in done[trap.file]
    assert read_record(trap.file, tmp_path / "out") == {"error": done[trap.file]}


def test_processes_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_serve", abs)  # Takes no two arguments.
    with pytest.raises(module.FolderError, match="No process"):
        list(read_files([draw(tmp_path / "a.png")], settings(tmp_path / "out"), jobs=2))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("by", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_run_that_is_broken_off_goes_on(trap: Trap, tmp_path: Path, by: signal.Signals, status: int) -> None:
    for name in "bcd":
        draw(tmp_path / "scans" / f"{name}.png")
    command = [sys.executable, "-m", "paragraph_ocr", "scans", "--out", "read", "--jobs", "2", "--format", "json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])}
    run = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    opened = trap.wait()
    others = [tmp_path / "read" / module.RECORDS / f"{name}.png.json" for name in "bcd"]
    end = monotonic() + SECONDS
    while not all(path.exists() for path in others) and monotonic() < end:
        sleep(0.02)
    if by == signal.SIGINT:
        os.killpg(run.pid, by)  # As a terminal does.
    else:
        run.kill()
    os.close(opened)
    assert run.wait(SECONDS) == status
    assert run.stderr is not None
    # Ends once no process holds it.
    said = run.stderr.read()
    run.stderr.close()
    assert ("goes on from here" in said) == (by == signal.SIGINT)
    before = {path: path.stat().st_mtime_ns for path in others}
    trap.path.unlink()
    draw(trap.path)
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "4 files (1 read now, 0 failed), 4 pages" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in others} == before
    assert {path.name for path in (tmp_path / "read").glob("*.png.json")} == {f"{name}.png.json" for name in "abcd"}


def test_only_what_is_due_is_read_again(still: StillReader, tmp_path: Path) -> None:
    file, now = draw(tmp_path / "a.png"), settings(tmp_path / "out")
    assert is_due(file, now)
    assert read_file(still, file, now) is None
    assert not is_due(file, now)
    assert is_due(file, settings(tmp_path / "out", formats=("text", "json")))
    assert is_due(file, settings(tmp_path / "out", overlay=True))
    assert is_due(file, settings(tmp_path / "out", models="others"))
    read_file(still, file, settings(tmp_path / "out", formats=("json",), overlay=True))
    assert not is_due(file, settings(tmp_path / "out", formats=("text", "json"), overlay=True))
    (tmp_path / "out" / "a.png.txt").unlink()
    assert is_due(file, now)
    assert not is_due(file, settings(tmp_path / "out", formats=("json",)))
    # Another scan may have as many bytes.
    os.utime(tmp_path / "a.png", ns=(1, 1))
    assert is_due(file, settings(tmp_path / "out", formats=("json",)))
    # The text of the file as it was counts no longer.
    (tmp_path / "out" / "a.png.txt").touch()
    read_file(still, file, settings(tmp_path / "out", formats=("json",)))
    assert is_due(file, now)


@pytest.mark.parametrize("content", [b"", b"{", b"[1"])
def test_a_record_cut_short_is_none(still: StillReader, tmp_path: Path, content: bytes) -> None:
    file, now = draw(tmp_path / "a.png"), settings(tmp_path / "out")
    read_file(still, file, now)
    (tmp_path / "out" / module.RECORDS / "a.png.json").write_bytes(content)
    assert is_due(file, now)


def test_what_failed_is_tried_again(still: StillReader, tmp_path: Path) -> None:
    file, now = draw(tmp_path / "a.png"), settings(tmp_path / "out")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:100])
    assert "damaged" in (read_file(still, file, now) or "")
    assert is_due(file, now)
    (tmp_path / "a.png").write_bytes(data)
    assert read_file(still, file, now) is None
    assert not is_due(file, now)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module.write(tmp_path / "more" / "a.txt", b"old")

    def refuse(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="full"):
        module.write(tmp_path / "more" / "a.txt", b"new")
    assert (tmp_path / "more" / "a.txt").read_bytes() == b"old"


def test_another_version_or_model_is_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_models()
    monkeypatch.setattr(module, "__version__", "0")
    assert digest_models() != before
    monkeypatch.undo()
    monkeypatch.setattr(module, "MODELS", tmp_path)
    assert digest_models() != before


@pytest.fixture
def scans(still: StillReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a broken file, two of the same stem, and one in a folder below; its parent is where one stands."""
    (tmp_path / "scans" / "more").mkdir(parents=True)
    for name in ("a.png", "a.bmp", "more/a.png"):
        draw(tmp_path / "scans" / name)
    (tmp_path / "scans" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "scans"
    assert not list(tmp_path.rglob("*.partial"))


def test_files_of_one_stem_keep_apart(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["scans", "--out", "read", "--format", "json", "--format", "text"]) == 1
    written = {path.relative_to("read").as_posix() for path in Path("read").rglob("*.json")}
    results = {"a.png.json", "a.bmp.json", "more/a.png.json"}
    assert written == results | {f"{module.RECORDS}/{name}" for name in [*results, "broken.png.json"]}
    assert json.loads(Path("read/more/a.png.json").read_text())["image"] == str(Path("scans/more/a.png"))
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{Path('scans/broken.png')}: The PNG image is damaged" in err
    assert "4 files (4 read now, 1 failed), 3 pages" in err


def test_the_output_folder_is_not_read(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        command_line.main(["scans", "--out", "scans/more/read", "--format", "pdf", "--overlay", "--sort"])
        assert "4 files (" in capsys.readouterr().err


def test_copies_are_sorted_by_kind(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command_line.main(["scans", "--out", "read"])
    assert not Path("read/sorted").exists()
    for name, kind in (("a.png", "printed"), ("a.bmp", "blank"), ("more/a.png", "mixed")):
        path = Path("read", module.RECORDS, f"{name}.json")
        record = json.loads(path.read_text())
        record["pages"][0]["kind"] = kind
        path.write_text(json.dumps(record))
    # Sorting reads nothing again.
    monkeypatch.setattr(PageReader, "read_image", None)
    for _ in range(2):
        command_line.main(["scans", "--out", "read", "--sort"])
        found = {path.relative_to("read/sorted").as_posix() for path in Path("read/sorted").rglob("*.*")}
        assert found == {"printed/a.png", "blank/a.bmp", "mixed/more/a.png"}
    assert Path("read/sorted/printed/a.png").read_bytes() == (scans / "a.png").read_bytes()
    # A file whose kind is another now moves.
    record["pages"][0]["kind"] = "printed"
    path.write_text(json.dumps(record))
    command_line.main(["scans", "--out", "read", "--sort"])
    assert Path("read/sorted/printed/more/a.png").exists()
    assert not Path("read/sorted/mixed/more/a.png").exists()
