"""Load the content of what callers hand in as a file: a path, bytes or a binary file object."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import BinaryIO

File = str | os.PathLike[str] | bytes | BinaryIO

_URL = re.compile("[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def load(file: File, accepted: str = "a path, bytes or a binary file") -> tuple[bytes, str]:
    """Return the content of a file, and its path or the name of the file object; empty if it has none.

    Parameters
    ----------
    file : path, bytes or binary file
        A file object that has been read to its end is read from its beginning.
    accepted : str
        What the caller accepts, for the message about anything else.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It is a URL.
    TypeError
        It is none of these, or a file opened as text.
    """
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file), ""
    if isinstance(file, str | os.PathLike):
        if isinstance(file, str) and _URL.match(file):
            raise ValueError(f"{file[:100]!r} is a URL; download the file, and pass its bytes or its path.")
        return Path(file).read_bytes(), os.fspath(file)
    name = getattr(file, "name", None)
    own = name if isinstance(name, str) else ""
    if isinstance(file, io.TextIOBase):
        raise TypeError(f'The file was opened as text; open it as binary: open({own or "path"!r}, "rb").')
    if not callable(getattr(file, "read", None)):
        many = isinstance(file, list | tuple | set)
        raise TypeError(
            f"A file must be {accepted}, not {type(file).__name__}"
            + ("; pass its items one at a time." if many else ".")
        )
    data = file.read()
    if not data and _is_seekable(file):
        file.seek(0)
        data = file.read()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"The file's read() returned {type(data).__name__}, not bytes; open it as binary.")
    return bytes(data), own


def _is_seekable(file: BinaryIO) -> bool:
    seekable = getattr(file, "seekable", None)
    return bool(callable(seekable) and seekable())
