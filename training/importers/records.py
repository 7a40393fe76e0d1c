"""What the importers exchange: candidates found in a folder, the page that each describes, and the report."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from paragraph_ocr.cli.terminal import printable
from paragraph_ocr.io.imaging import DecodedPage

Points = list[tuple[float, float]]


class ImportRefused(Exception):
    """A file, page or line cannot be imported; the message says why."""


@dataclass(frozen=True)
class FoundLine:
    """A line as its source describes it.

    Attributes
    ----------
    name : str
        How messages name the line.
    text : str
        As written, without crossed-out passages; empty where there is no text.
    raw_text : str
        The text of the source.
    polygon, baseline : list of (x, y)
        In units of the source; empty where the source has none.
    struck : bool
        Whether a passage was crossed out.
    doubt : str
        Why the line is to be ignored although it may have text; empty where it is not.
    more : dict
        Further fields of the line in ``pages.jsonl``.
    """

    name: str
    text: str
    raw_text: str
    polygon: Points
    baseline: Points
    struck: bool = False
    doubt: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundPage:
    """A page as its source describes it.

    Attributes
    ----------
    lines : tuple of FoundLine
    width, height : float
        Size of the page in units of the source; 0 where it is not given.
    ignore : tuple of list of (x, y)
        Outlines of writing that has no lines or no text.
    partial : bool
        Whether much writing has no line.
    rotation : int, optional
        How far the text is turned clockwise in the image: 0, 90, 180 or 270; told by the lines where it is not given.
    as_shown : bool
        Whether the coordinates are those of the image turned by its EXIF orientation, as this project's own are.
    unit : float
        Length of a unit in inches where coordinates are no pixels; else 0.
    """

    lines: tuple[FoundLine, ...]
    width: float = 0.0
    height: float = 0.0
    ignore: tuple[Points, ...] = ()
    partial: bool = False
    rotation: int | None = None
    as_shown: bool = False
    unit: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A page that a file describes, with its image.

    Attributes
    ----------
    form : str
        Name of the importer.
    file : Path
        The file that has the text.
    image : Path
    number : int
        Page of the image, from 1.
    lines : int
        How many lines have text, by which the better one of two files is chosen.
    load : callable
        Takes the decoded page and returns what the file describes; raises ImportRefused.
    crop : str, optional
        The text of an image that is a single line; `load` is not used then.
    writer : str, optional
        Whose hand it is, where the file says so.
    """

    form: str
    file: Path
    image: Path
    number: int
    lines: int
    load: Callable[[DecodedPage], FoundPage] | None = None
    crop: str | None = None
    writer: str | None = None


class Report:
    """Says on standard error what was not imported, and counts it.

    Parameters
    ----------
    folder : Path
        The folder that is imported; files are named relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages: list[dict[str, str]] = []
        self.refused_files: set[Path] = set()
        self.lines_left_out = 0
        self.ignored: Counter[str] = Counter()

    def name(self, file: Path) -> str:
        """The file's path as messages have it."""
        inside = file.is_relative_to(self.folder) and file != self.folder
        return file.relative_to(self.folder).as_posix() if inside else str(file)

    def say(self, file: Path, message: str) -> None:
        """Write a message on a file that goes on being imported."""
        self.messages.append({"file": self.name(file), "message": message})
        tqdm.write(printable(f"{self.name(file)}: {message}"), file=sys.stderr)

    def refuse(self, file: Path, message: str) -> None:
        """Write why a file is not imported."""
        self.refused_files.add(file)
        self.say(file, message)

    def leave_out(self, file: Path, line: str, message: str) -> None:
        """Write why a line is not imported."""
        self.lines_left_out += 1
        self.say(file, f"{line} left out: {message}")

    def ignore(self, file: Path, line: str, reason: str) -> None:
        """Record that a line becomes an ignored polygon, which is usual: not written, but counted by its reason."""
        self.ignored[reason] += 1
        self.messages.append({"file": self.name(file), "message": f"{line} is ignored: {reason}"})
