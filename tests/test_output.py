"""What is written below an output folder that others can write to stays in it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from paragraph_ocr.io import output


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out" / "more").mkdir(parents=True)
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "out"


def assert_untouched(out: Path) -> None:
    assert (out.parent / "victim").read_bytes() == b"precious"
    assert list((out.parent / "elsewhere").iterdir()) == []


def test_a_link_in_a_file_s_place_is_replaced_and_not_written_through(out: Path) -> None:
    (out / "a.txt").symlink_to("../victim")
    output.write(out, Path("a.txt"), b"new")
    assert not (out / "a.txt").is_symlink()
    assert (out / "a.txt").read_bytes() == b"new"
    assert_untouched(out)


def test_a_link_in_the_place_of_a_partial_file_is_not_written_through(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if its name could be foretold.
    monkeypatch.setattr(output, "token_hex", lambda _: "0")
    (out / ".0.partial").symlink_to("../victim")
    with pytest.raises(FileExistsError):
        output.write(out, Path("a.txt"), b"new")
    (out / ".0.partial").unlink()
    (out / ".0.partial").symlink_to("../nothing")
    with pytest.raises(FileExistsError):
        output.write(out, Path("a.txt"), b"new")
    assert not (out.parent / "nothing").exists()
    assert_untouched(out)


def test_names_of_partial_files_cannot_be_foretold(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    replace = os.replace

    def keep(partial: str, *arguments: object, **options: object) -> None:
        names.append(os.path.basename(partial))
        replace(partial, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", keep)
    for _ in range(20):
        output.write(out, Path("a.txt"), b"new")
    assert len({name for name in names if len(name) > 16}) == 20


@pytest.mark.parametrize("name", ["linked/a.txt", "more/linked/a.txt"])
@pytest.mark.parametrize(
    "act",
    [
        lambda out, name: output.write(out, name, b"new"),
        lambda out, name: output.copy(out.parent / "victim", out, name),
        lambda out, name: output.make_folder(out, name.parent),
        lambda out, name: output.read(out, name),
        lambda out, name: output.remove(out, name),
    ],
    ids=["write", "copy", "make_folder", "read", "remove"],
)
def test_folders_that_are_links_are_not_entered(out: Path, name: str, act: Callable[[Path, Path], object]) -> None:
    (out / name).parent.symlink_to(out.parent / "elsewhere")
    with pytest.raises(OSError, match="Is a link"):
        act(out, Path(name))
    assert_untouched(out)
    assert output.stat_regular(out, Path(name)) is None


def test_the_output_folder_itself_may_be_a_link(out: Path) -> None:
    (out.parent / "named").symlink_to(out)
    output.write(out.parent / "named", Path("more/a.txt"), b"new")
    assert (out / "more" / "a.txt").read_bytes() == b"new"


def test_neither_links_nor_pipes_are_read_or_looked_at(out: Path) -> None:
    (out / "a.txt").symlink_to("../victim")
    os.mkfifo(out / "b.txt")
    for name in ("a.txt", "b.txt"):
        assert output.stat_regular(out, Path(name)) is None
        with pytest.raises(OSError, match=r"Is a (link|pipe)"):
            output.read(out, Path(name))
    (out / "c.txt").write_bytes(b"c")
    assert output.read(out, Path("c.txt")) == b"c"
    status = output.stat_regular(out, Path("c.txt"))
    assert status is not None
    assert status.st_size == 1


def test_removing_a_link_leaves_what_it_leads_to(out: Path) -> None:
    (out / "a.txt").symlink_to("../victim")
    output.remove(out, Path("a.txt"))
    output.remove(out, Path("never/was.txt"))
    assert not (out / "a.txt").is_symlink()
    assert_untouched(out)


def test_a_copy_has_the_time_and_the_permissions_and_is_no_link(out: Path) -> None:
    victim = out.parent / "victim"
    victim.chmod(0o4640)
    os.utime(victim, ns=(5_000_000_000, 7_000_000_001))
    (out / "copy").symlink_to("../elsewhere/planted")
    output.copy(victim, out, Path("copy"))
    assert (out / "copy").read_bytes() == b"precious"
    assert not (out / "copy").is_symlink()
    assert (out / "copy").stat().st_mtime_ns == 7_000_000_001
    assert (out / "copy").stat().st_mode & 0o7777 == 0o640, "nothing that runs as somebody else"
    assert_untouched(out)


def test_what_is_written_may_be_read_by_those_whom_the_mask_allows(out: Path) -> None:
    before = os.umask(0o027)
    try:
        output.write(out, Path("a.txt"), b"new")
    finally:
        os.umask(before)
    assert (out / "a.txt").stat().st_mode & 0o777 == 0o640


def test_nothing_is_left_of_what_cannot_be_written(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output.write(out, Path("a.txt"), b"old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"No space.*a\.txt"):
        output.write(out, Path("a.txt"), b"new")
    assert {path.name for path in out.iterdir()} == {"a.txt", "more"}
    assert (out / "a.txt").read_bytes() == b"old"


def test_only_regular_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkdir("folder")
    with socket.socket(socket.AF_UNIX) as server:
        # Of a short name, since a socket's is bounded.
        server.bind("socket")
        for name, reason in {
            "pipe": "a pipe",
            "folder": "a folder",
            "socket": "a socket",
            "/dev/zero": "a device",
        }.items():
            with pytest.raises(OSError, match=f"Is {reason}, not a file"):
                output.open_regular(name)
    Path("linked").symlink_to("file")
    Path("file").write_bytes(b"content")
    with output.open_regular("linked") as file:
        assert file.read() == b"content"


@pytest.mark.skipif(not output._HANDLES, reason="the system has no handles of folders")
def test_a_folder_that_becomes_a_link_once_it_was_looked_at_is_not_entered(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = output._stat

    def swap(folder: output._Folder, name: str) -> os.stat_result:
        status = look(folder, name)
        (out / name).rmdir()
        (out / name).symlink_to("../elsewhere")
        return status

    monkeypatch.setattr(output, "_stat", swap)
    with pytest.raises(OSError, match="more"):
        output.write(out, Path("more/a.txt"), b"new")
    assert_untouched(out)
