"""Read a text file whose encoding is not known."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

from training.importers.records import ImportRefused
from training.importers.safe_xml import LARGEST

# Byte order marks; that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path, say: Callable[[str], None]) -> str:
    """Read a text in UTF-8, in UTF-16 or UTF-32 with a byte order mark, or else in Windows-1252.

    Latin-1 is read as Windows-1252, which has the same letters.

    Parameters
    ----------
    path : Path
    say : callable
        Takes a message if the encoding is a guess.

    Returns
    -------
    str
        With ``\\n`` at the end of each line, whichever of the usual ends of lines the file has.

    Raises
    ------
    ImportRefused
        The file cannot be read, or is no text.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ImportRefused(f"it has more than {LARGEST // 2**20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise ImportRefused(f"it cannot be read: {error.strerror}") from error
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or b"\0" in data:
            raise ImportRefused("it is no text, or in an unknown encoding: save it in UTF-8") from error
        try:
            text = data.decode("windows-1252")
        except UnicodeDecodeError:
            raise ImportRefused("it is neither in UTF-8 nor in Windows-1252: save it in UTF-8") from error
        say("it is not in UTF-8 and was read as Windows-1252: look whether its accents are right")
    if "\0" in text:
        raise ImportRefused("it is no text, or in an unknown encoding: save it in UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
