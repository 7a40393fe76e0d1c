"""Read regular files, and write below an output folder without following links in it.

The output folder itself may be a link, since the caller named it. Below it, links are neither entered, read nor written
through, and a file is either complete or missing.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

# Windows has no directory handles; there, each path is checked for links before each step.
_HANDLES = os.open in os.supports_dir_fd
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
# Without O_NONBLOCK, opening a pipe would wait for a writer.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading, following links.

    Raises
    ------
    OSError
        It cannot be read, or is a folder, a pipe, a device or a socket.
    """
    # Checked before opening, since opening a device may have effects.
    _refuse_special(os.stat(path), path)
    return _regular(os.open(path, _READ), path)


def write(out: Path, name: Path, content: bytes) -> None:
    """Write a file below `out`, and create the folders on its path.

    Raises
    ------
    OSError
        It cannot be written, or a folder on its path is a link.
    """
    with _create(out, name) as file:
        file.write(content)


def copy(source: str | Path, out: Path, name: Path) -> None:
    """Copy a file with its time and permissions; raises OSError as `open_regular` and `write` do."""
    with open_regular(source) as read, _create(out, name) as written:
        shutil.copyfileobj(read, written)
        written.flush()
        status = os.fstat(read.fileno())
        if os.chmod in os.supports_fd:
            os.chmod(written.fileno(), status.st_mode & 0o777)
        # Windows sets the time of a file by its path only, once it is closed.
        if os.utime in os.supports_fd:
            os.utime(written.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    if os.utime not in os.supports_fd:
        os.utime(out / name, ns=(status.st_atime_ns, status.st_mtime_ns))


def read(out: Path, name: Path) -> bytes:
    """Read a file below `out`; raises OSError if it cannot be read, is a link, or is reached through one."""
    with _enter(out, name.parent, make=False) as folder:
        path = out / name
        _refuse_special(_stat(folder, name.name), path)
        with _regular(os.open(folder.at(name.name), _READ | _NO_LINK, dir_fd=folder.handle), path) as file:
            return file.read()


def stat_regular(out: Path, name: Path) -> os.stat_result | None:
    """Return the status of a regular file below `out`; None if there is none."""
    try:
        with _enter(out, name.parent, make=False) as folder:
            status = _stat(folder, name.name)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def remove(out: Path, name: Path) -> None:
    """Remove a file below `out` if it exists; raises OSError if that fails or a folder on its path is a link."""
    with suppress(FileNotFoundError), _enter(out, name.parent, make=False) as folder:
        os.unlink(folder.at(name.name), dir_fd=folder.handle)


def make_folder(out: Path, name: Path) -> None:
    """Create a folder below `out`; raises OSError if that fails, or if it is or is reached through a link."""
    with _enter(out, name, make=True):
        pass


@dataclass(frozen=True)
class _Folder:
    """An open folder; system calls address files in it by `at` and `handle`."""

    path: Path
    handle: int | None

    def at(self, name: str) -> str:
        return name if self.handle is not None else str(self.path / name)


@contextmanager
def _enter(out: Path, name: Path, make: bool) -> Iterator[_Folder]:
    """Open a folder below `out` without following links."""
    if make:
        out.mkdir(parents=True, exist_ok=True)
    folder = _Folder(out, os.open(out, _FOLDER) if _HANDLES else None)
    try:
        for part in name.parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(folder.at(part), dir_fd=folder.handle)
            path = folder.path / part
            status = _stat(folder, part)
            if stat.S_ISLNK(status.st_mode):
                raise OSError(errno.ELOOP, "Is a link, which is not followed in the output folder", str(path))
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            outer = folder
            # It may have been replaced by a link in the meantime.
            handle = os.open(part, _FOLDER | _NO_LINK, dir_fd=outer.handle) if _HANDLES else None
            folder = _Folder(path, handle)
            _close(outer)
        yield folder
    finally:
        _close(folder)


@contextmanager
def _create(out: Path, name: Path) -> Iterator[BinaryIO]:
    """Create a file below `out` that gets its name only when it is complete."""
    with _enter(out, name.parent, make=True) as folder:
        # Shorter than any name limit, and unpredictable.
        partial = folder.at(f".{token_hex(8)}.partial")
        handle = os.open(partial, _CREATE, 0o666, dir_fd=folder.handle)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            try:
                os.replace(partial, folder.at(name.name), src_dir_fd=folder.handle, dst_dir_fd=folder.handle)
            except OSError as error:
                # The system's error has the last part of the path only, and the name of the partial file.
                raise OSError(error.errno, error.strerror, str(out / name)) from None
        except BaseException:
            with suppress(OSError):
                os.unlink(partial, dir_fd=folder.handle)
            raise


def _stat(folder: _Folder, name: str) -> os.stat_result:
    return os.stat(folder.at(name), dir_fd=folder.handle, follow_symlinks=False)


def _close(folder: _Folder) -> None:
    if folder.handle is not None:
        os.close(folder.handle)


def _regular(handle: int, path: str | Path) -> BinaryIO:
    try:
        _refuse_special(os.fstat(handle), path)
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _refuse_special(status: os.stat_result, path: str | Path) -> None:
    """Raise OSError unless a status is that of a regular file."""
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        # If the folder cannot be listed, that error is more informative.
        os.scandir(path).close()
        raise IsADirectoryError(errno.EISDIR, "Is a folder, not a file", str(path))
    kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "a link")
    raise OSError(errno.EINVAL, f"Is {kind}, not a file", str(path))
