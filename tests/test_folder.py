"""A run over a folder loses nothing: not to a process that is killed, a broken file, or being broken off half-way."""

import csv
import inspect
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from pages import draw_page
from standins import StillReader

from paragraph_ocr.cli import folder as module
from paragraph_ocr.cli import main as command_line
from paragraph_ocr.cli.folder import File, Settings, digest_models, is_due, read_file, read_files, read_record
from paragraph_ocr.cli.report import REPORT, SUMMARY
from paragraph_ocr.io.limits import DEFAULT_LIMITS
from paragraph_ocr.model_set import FOLDER, write_manifest
from paragraph_ocr.pipeline.reader import PageReader

# Far more than any step takes on a busy machine; only a run that is broken waits for so long.
SECONDS = 300.0
# What a process does that is started with this before all modules: it waits in the pipe where it opens the file.
HOLD = """
import os, sys

def hold(event, arguments):
    if event == "open" and arguments[0] == os.environ["TRAPPED"] and os.path.exists(os.environ["TRAP"]):
        with open(os.environ["TRAP"], "rb") as pipe:
            pipe.read()

sys.addaudithook(hold)
"""


def settings(out: Path, **changes: Any) -> Settings:
    return Settings(**({"out": out, "formats": ("text",), "overlay": False, "models": digest_models()} | changes))


def draw(path: Path, text: str = "") -> File:
    # Of a shape that the detector sees at once, and without ink beside the line that `StillReader` finds.
    draw_page([text], width=340 if not text else 900)[0].save(path)
    return File(str(path), Path(path.name))


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> StillReader:
    """A reader that takes no time, which the command line gets too."""
    reader = StillReader(DEFAULT_LIMITS)
    monkeypatch.setattr(PageReader, "load", lambda **_: reader)
    return reader


class Trap:
    """An image that holds every process that opens it, until it is mended."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "scans" / "a.png"
        self.file = draw(self.path)
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        (folder / "hooks").mkdir()
        (folder / "hooks" / "sitecustomize.py").write_text(HOLD)
        paths = [str(folder / "hooks"), str(Path(module.__file__).parents[2])]
        for name, value in {"PYTHONPATH": os.pathsep.join(paths), "TRAP": self._pipe, "TRAPPED": self.path}.items():
            monkeypatch.setenv(name, str(value))

    def wait(self) -> int:
        """Wait until a process is held; it goes on once what this returns is closed."""
        end = monotonic() + SECONDS
        while monotonic() < end:
            try:
                return os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                sleep(0.02)
        raise TimeoutError(self.path)

    def mend(self) -> None:
        """Hold nobody from now on."""
        self._pipe.unlink()


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trap:
    (tmp_path / "scans").mkdir()
    return Trap(tmp_path, monkeypatch)


def kill_all() -> None:
    processes = multiprocessing.active_children()
    # At once, or one that is idle would be handed the file of the first before it is its turn.
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def test_a_killed_process_does_not_lose_the_run(trap: Trap, tmp_path: Path) -> None:
    files = [trap.file, *(draw(tmp_path / "scans" / f"{name}.png") for name in "bc")]
    run = read_files(files, settings(tmp_path / "out"), jobs=2)
    done = dict([next(run)])
    held = trap.wait()
    trap.mend()
    kill_all()
    os.close(held)
    assert done | dict(run) == dict.fromkeys(files)
    assert {path.name for path in (tmp_path / "out").glob("*.txt")} == {"a.png.txt", "b.png.txt", "c.png.txt"}
    assert multiprocessing.active_children() == []


def test_a_file_does_not_answer_for_processes_that_died_idle(trap: Trap, tmp_path: Path) -> None:
    files = [trap.file, *(draw(tmp_path / "scans" / f"{name}.png") for name in "bcd")]
    run = read_files(files, settings(tmp_path / "out"), jobs=4)
    done = dict(next(run) for _ in range(3))
    # All but one are idle now.
    held = trap.wait()
    trap.mend()
    kill_all()
    os.close(held)
    assert done | dict(run) == dict.fromkeys(files)


def test_a_file_that_every_process_dies_of_is_one_that_failed(trap: Trap, tmp_path: Path) -> None:
    files = [trap.file, draw(tmp_path / "scans" / "b.png")]
    run = read_files(files, settings(tmp_path / "out"), jobs=2)
    # While the other is held; or the one that reads this would be killed with it.
    assert next(run) == (files[1], None)

    def kill_whoever_is_held() -> None:
        for _ in range(2):
            held = trap.wait()
            kill_all()
            os.close(held)

    thread = threading.Thread(target=kill_whoever_is_held)
    thread.start()
    done = dict(run)
    thread.join()
    assert list(done) == [trap.file]
    reason = done[trap.file]
    assert reason is not None
    assert "twice" in reason
    assert read_record(trap.file, tmp_path / "out") == {"error": reason}


def test_processes_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_serve", abs)  # Takes no two arguments.
    with pytest.raises(module.FolderError, match="No process"):
        list(read_files([draw(tmp_path / "a.png")], settings(tmp_path / "out"), jobs=2))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("by", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_run_that_is_broken_off_goes_on(
    trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: signal.Signals, status: int
) -> None:
    for name in "bcd":
        draw(tmp_path / "scans" / f"{name}.png")
    command = [sys.executable, "-m", "paragraph_ocr", "scans", "--out", "read", "--jobs", "2", "--format", "json"]
    monkeypatch.setenv("TRAPPED", "scans/a.png")
    run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    opened = trap.wait()
    others = [tmp_path / "read" / module.RECORDS / f"{name}.png.json" for name in "bcd"]
    end = monotonic() + SECONDS
    while not all(path.exists() for path in others) and monotonic() < end:
        sleep(0.02)
    if by == signal.SIGINT:
        os.killpg(run.pid, by)  # As a terminal does.
    else:
        run.kill()
    # A process that outlives the run reads this, and ends.
    trap.path.write_bytes(b"")
    os.close(opened)
    assert run.wait(SECONDS) == status
    assert run.stderr is not None
    # Ends once no process holds it.
    said = run.stderr.read()
    run.stderr.close()
    assert ("goes on from here" in said) == (by == signal.SIGINT)
    before = {path: path.stat().st_mtime_ns for path in others}
    trap.mend()
    draw(trap.path)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
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


def test_another_version_or_model_is_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_models()
    monkeypatch.setattr(module, "__version__", "0")
    assert digest_models() != before
    monkeypatch.undo()
    models = shutil.copytree(FOLDER, tmp_path / "models")
    assert digest_models(models) == before
    write_manifest(models, "another version")
    assert digest_models(models) != before


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


def test_folders_may_be_nested_deeper_than_calls(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(300):
        folder /= "a"
        folder.mkdir()
    draw(folder / "x.png")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        found = list(command_line._files([str(tmp_path)], tmp_path / "read"))
    finally:
        sys.setrecursionlimit(limit)
    assert [file.path for file in found] == [str(folder / "x.png")]


@pytest.mark.parametrize(
    ("names", "formats"),
    [(["a", "a.page"], ["page", "alto"]), (["summary"], ["csv"]), (["a.page", "a", "b"], ["text", "alto", "page"])],
)
def test_no_result_is_written_over_another(
    scans: Path, capsys: pytest.CaptureFixture[str], names: list[str], formats: list[str]
) -> None:
    for name in names:
        Path(name).write_bytes((scans / "a.png").read_bytes())
    chosen = [argument for form in formats for argument in ("--format", form)]
    with pytest.raises(SystemExit, match="2"):
        command_line.main([*names, "--out", "read", *chosen])
    assert "written to one" in (err := capsys.readouterr().err) or "name of the summary" in err
    assert not Path("read").exists()
    assert command_line.main([*names, "--out", "read", "--format", "json"]) == 0


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


def summarised(out: str | Path = "read") -> dict[str, str]:
    """The error of each file in the summary."""
    with Path(out, SUMMARY).open(encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row["error"] for row in csv.DictReader(file)}


# Names are of 255 bytes at most; with ".txt" the second fits and the first does not.
LONG, FITTING = "n" * 248 + ".png", "f" * 242 + ".png"
ODD = {
    "pipe.png": "Is a pipe",
    "socket.png": "Is a socket",
    "device.png": "Is a device",
    "dangling.png": "No such file",
    "endless.png": "Input/output error",
    "folder.png": "Is a folder",
    f"{module.RECORDS}/planted.png": "where records are kept",
    LONG: "File name too long",
}


@pytest.fixture
def odd(scans: Path) -> Path:
    """Among images, all that only looks like one, or cannot be read or written."""
    os.mkfifo(scans / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        # From within, since a socket's name is bounded.
        os.chdir(scans)
        server.bind("socket.png")
        os.chdir(scans.parent)
    (scans / "device.png").symlink_to("/dev/zero")
    (scans / "dangling.png").symlink_to("nowhere.png")
    # Of a root user, too, who may read every file that can be read.
    (scans / "endless.png").symlink_to("/proc/self/mem")
    (scans / "folder.png").mkdir()
    draw(scans / "folder.png" / "within.png")
    (scans / module.RECORDS).mkdir()
    draw(scans / module.RECORDS / "planted.png")
    draw(scans / LONG)
    draw(scans / FITTING)
    return scans


@pytest.mark.skipif(sys.platform != "linux", reason="not all of these are elsewhere")
def test_what_is_no_file_to_read_is_reported_and_the_rest_is_read(
    odd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["scans", "missing/", "missing/..", "--out", "read", "--sort"]) == 1
    err = capsys.readouterr().err
    summary = summarised()
    for name, reason in ODD.items():
        assert f"scans/{name}: " in err
        assert reason in summary[name], name
    for name in ("missing", odd.parent.name):
        assert "No such file" in summary[name]
    assert "missing/: [Errno 2]" in err
    assert "missing/..: [Errno 2]" in err
    # The broken image is one more.
    assert f"{len(ODD) + 3} failed), 5 pages" in err
    assert {name for name, error in summary.items() if not error} == {
        "a.png", "a.bmp", "more/a.png", "folder.png/within.png", FITTING
    }  # fmt: skip
    assert Path("read/folder.png/within.png.txt").read_text() == "a\n"


@pytest.mark.skipif(sys.platform != "linux", reason="not all of these are elsewhere")
def test_what_is_no_file_to_read_is_reported_when_printing(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["scans", "missing/", ""]) == 1
    out, err = capsys.readouterr()
    # What only cannot be written is read.
    assert out == "a\n" * 7
    for name in set(ODD) - {LONG, f"{module.RECORDS}/planted.png"}:
        assert f"scans/{name}: " in err
    assert "missing/: " in err


def test_a_folder_that_cannot_be_looked_into_is_reported(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scans / "more").chmod(0)
    if os.access(scans / "more", os.R_OK):
        pytest.skip("this user may look into every folder")
    try:
        assert command_line.main(["scans", "--out", "read"]) == 1
    finally:
        (scans / "more").chmod(0o700)
    assert "Permission denied" in summarised()["more"]
    assert "scans/more: " in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow other names")
def test_a_name_too_long_for_an_overlay_is_reported(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(scans / FITTING)
    assert command_line.main([f"scans/{FITTING}", "scans/a.png", "--out", "read", "--overlay"]) == 1
    assert "File name too long" in summarised()[FITTING]
    assert Path("read/a.png.overlay.jpg").exists()


def plant_links(victim: Path, *names: str) -> None:
    for name in names:
        Path("read", name).parent.mkdir(parents=True, exist_ok=True)
        Path("read", name).symlink_to(victim)


def test_no_file_is_written_through_a_link(scans: Path, tmp_path: Path) -> None:
    (scans / "broken.png").unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    targets = ["a.png.txt", "a.png.overlay.jpg", f"{module.RECORDS}/a.png.json", SUMMARY, REPORT, "sorted/mixed/a.png"]
    targets += ["sorted/printed/a.png", "sorted/handwritten/a.png", "sorted/blank/a.png"]
    partials = [str(Path(name).with_name(f".{Path(name).name}.partial")) for name in targets]
    plant_links(victim, *targets, *partials)
    assert command_line.main(["scans", "--out", "read", "--overlay", "--sort"]) == 0
    assert victim.read_bytes() == b"precious"
    written = [Path("read", name) for name in targets[:5]]
    assert all(path.is_file() and not path.is_symlink() for path in written)
    assert len([path for path in Path("read/sorted").rglob("a.png") if not path.is_symlink()]) == 2
    for name in partials:
        Path("read", name).unlink()


@pytest.mark.parametrize("linked", ["more", "sorted", f"{module.RECORDS}/more"])
def test_no_folder_that_is_a_link_is_written_into(
    scans: Path, tmp_path: Path, linked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (scans / "broken.png").unlink()
    (tmp_path / "elsewhere").mkdir()
    plant_links(tmp_path / "elsewhere", linked)
    assert command_line.main(["scans", "--out", "read", "--sort"]) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "Is a link" in capsys.readouterr().err
    assert Path("read/a.png.txt").exists()


def test_a_record_folder_that_is_a_link_is_refused(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    plant_links(tmp_path / "elsewhere", module.RECORDS)
    assert command_line.main(["scans", "--out", "read"]) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert {path.name for path in Path("read").iterdir()} == {module.RECORDS}
    err = capsys.readouterr().err
    assert f"read/{module.RECORDS}: Is a link" in err
    assert "another --out" in err


def test_an_output_folder_that_is_a_file_is_refused(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("read").write_bytes(b"")
    assert command_line.main(["scans", "--out", "read"]) == 1
    assert "read: File exists. Remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "record",
    ["[]", "1", "{}", '{"error": 1}', '{"pages": 1}', '{"pages": [1]}', '{"pages": [{}]}', "[" * 100_000,
     '{"pages": [], "formats": [[]]}'],
)  # fmt: skip
def test_a_record_that_others_wrote_is_none_or_one(scans: Path, record: str) -> None:
    path = Path("read", module.RECORDS, "a.png.json")
    path.parent.mkdir(parents=True)
    path.write_text(record)
    command_line.main(["scans", "--out", "read", "--sort"])
    assert json.loads(path.read_text())["pages"][0]["lines"][0][0] == "a"


def test_a_pipe_in_a_record_s_place_holds_nobody(scans: Path) -> None:
    Path("read", module.RECORDS).mkdir(parents=True)
    os.mkfifo(Path("read", module.RECORDS, "a.png.json"))
    command_line.main(["scans", "--out", "read"])
    assert "a.png" in summarised()


def test_a_full_disk_is_reported(
    scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    assert command_line.main(["scans", "--out", "read"]) == 1
    err = capsys.readouterr().err
    assert "scans/a.png: [Errno 28]" in err
    assert "The summary cannot be written: [Errno 28]" in err


HOSTILE = "\x1b[2J\x9b31m\u202egnp.\nb.png"
SHOWN = r"\x1b[2J\x9b31m\u202egnp.\nb.png"


@pytest.mark.parametrize("more", [[], ["--out", "\x1b[2Jread"]])
def test_names_do_not_control_the_terminal(scans: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    Path("scans", HOSTILE).write_bytes(b"\x89PNG\r\n\x1a\n")
    assert command_line.main(["scans", *more]) == 1
    err = capsys.readouterr().err
    assert f"scans/{SHOWN}: " in err
    # A progress bar draws over itself.
    assert all(character.isprintable() or character in "\n\r" for character in err)


def test_arguments_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.main(["a.png", f"--{HOSTILE}"])
    assert SHOWN in capsys.readouterr().err
