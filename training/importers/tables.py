"""Find crops of lines whose texts are in a table: comma or tab separated values, JSON, or the lists of data sets."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from paragraph_ocr.io.file_format import SUFFIXES
from training.importers.folder import Folder
from training.importers.records import Candidate, ImportRefused, Report
from training.importers.text_file import read_text

# Names of columns without regard to case, spaces and marks, in the order in which they are looked for.
_FILE_COLUMNS = (
    *("file", "filename", "filepath", "image", "imagefile", "imagefilename", "imagename", "imagepath", "img"),
    *("imgname", "imgpath", "path", "name", "line", "lineid", "id"),
)
_TEXT_COLUMNS = (
    *("text", "transcription", "transcript", "groundtruth", "gttext", "label", "labels", "gt", "sentence", "words"),
    *("word", "content", "unicode"),
)
_WRITER_COLUMNS = ("writer", "hand", "author", "scribe")
_DELIMITERS = ",;\t|"
# The name of an image, a delimiter or space, and a text.
_LISTED = re.compile(
    r"[\"']?(?P<name>[^\t|]*?(?:{}))[\"']?(?:\s*[\t|;,]\s?|\s+)(?P<text>.*)".format(
        "|".join(sorted(map(re.escape, SUFFIXES), key=len, reverse=True))
    ),
    re.IGNORECASE,
)
# A row of lines.txt of the IAM database: name, state, grey level, number of components or none, box, and the words.
_IAM = re.compile(r"(?P<name>\S+) (?:ok|err)(?: -?\d+){5,7}(?: [A-Z.,:;()\"'*#-]+)? (?P<text>\S+)$")


@dataclass(frozen=True)
class _Row:
    """A row of a table: how messages name it, the image, the text and the writer; `problem` if it cannot be used."""

    place: str
    image: str = ""
    text: str = ""
    writer: str = ""
    problem: str = ""


def find_tables(folder: Folder, report: Report) -> Iterator[Candidate]:
    """Yield the crops of lines whose texts are in a table."""
    for file in folder.with_suffix(".csv", ".tsv", ".txt", ".jsonl", ".json"):
        kind = file.suffix.lower()
        if kind == ".txt" and not is_table(file):
            continue
        try:
            text = read_text(file, partial(report.say, file) if kind != ".json" else lambda _: None)
            rows = _json_rows(text, kind) if kind in (".json", ".jsonl") else _text_rows(text, file, folder)
            if kind == ".json" and not any(folder.is_named(row.image) for row in rows or ()):
                # Other JSON, such as settings.
                continue
        except (csv.Error, ImportRefused) as error:
            if kind != ".json":
                report.refuse(file, f"it cannot be read as a table: {error}")
            continue
        if rows is None:
            if kind in (".csv", ".tsv"):
                report.say(file, "passed over: it has no columns named file and text")
            continue
        if not rows:
            report.refuse(file, "it is empty")
        for row in rows:
            if row.problem:
                report.leave_out(file, row.place, row.problem)
                continue
            try:
                image = folder.find_image(row.image, file, own=False)
            except ImportRefused as error:
                report.leave_out(file, row.place, str(error))
                continue
            yield Candidate("table", file, image, 1, 1, crop=row.text.strip(), writer=row.writer.strip() or None)


def is_table(file: Path) -> bool:
    """Whether a text file is a table of images and texts, and not the text of one image."""
    if file.name.lower().endswith(".gt.txt"):
        return False
    try:
        rows = [row for row in read_text(file, lambda _: None).split("\n") if row.strip()]
    except ImportRefused:
        return False
    plain = [row for row in rows if not row.startswith("#")]
    if not plain:
        return False
    first = plain[0].split(max(_DELIMITERS, key=plain[0].count))
    if _columns(first) or ("\t" in plain[0] and _LISTED.match(plain[0].lstrip())):
        return True
    return any(
        sum(bool(form.match(row)) for row in map(str.lstrip, plain)) > len(plain) / 2 for form in (_LISTED, _IAM)
    )


def _columns(names: Sequence[str]) -> tuple[int, int, int | None] | None:
    """Return where the columns of images, texts and writers are; None if there are no images or no texts."""
    plain = [re.sub(r"[\W_]", "", name).lower() for name in names]
    images, texts, writers = (
        next((plain.index(each) for each in known if each in plain), None)
        for known in (_FILE_COLUMNS, _TEXT_COLUMNS, _WRITER_COLUMNS)
    )
    return (images, texts, writers) if images is not None and texts is not None else None


def _text_rows(text: str, file: Path, folder: Folder) -> list[_Row] | None:
    """The rows of a table of delimited values, or of a list; None if it is no table of images and texts."""
    delimiter = "\t"
    if named := re.match(r"sep=(.)\n", text, re.IGNORECASE):
        # Excel's way to name the delimiter.
        delimiter, text = named[1], text[named.end() :]
    else:
        head = text.lstrip().partition("\n")[0]
        if file.suffix.lower() != ".tsv":
            delimiter = max(_DELIMITERS, key=head.count)
    if file.suffix.lower() == ".csv":
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    else:
        # Quotation marks of a transcription are no quoting there.
        rows = [row.split(delimiter) for row in text.split("\n")]
    numbered = [(place, row) for place, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]
    if not numbered:
        return []
    first = numbered[0][1]
    columns = _columns(first)
    if columns:
        width = len(first)
        numbered = numbered[1:]
    elif file.suffix.lower() == ".txt":
        return _listed(text)
    elif len(first) > 1 and (Path(first[0].strip()).suffix.lower() in SUFFIXES or folder.is_named(first[0])):
        columns, width = (0, 1, None), min(len(row) for _, row in numbered if len(row) > 1)
    else:
        return None
    images, texts, writers = columns
    found = []
    for place, row in numbered:
        if len(row) <= max(images, texts) or any(cell.strip() for cell in row[width:]):
            few = len(row) <= max(images, texts)
            problem = "few columns" if few else "many columns: quote a text that has the delimiter in it"
            found.append(_Row(f"row {place}", problem=f"it has too {problem}"))
        else:
            writer = row[writers] if writers is not None and writers < len(row) else ""
            found.append(_Row(f"row {place}", row[images], row[texts], writer))
    return found


def _listed(text: str) -> list[_Row]:
    """The rows of a list: the name of an image and its text in each."""
    found = []
    for place, row in enumerate(text.split("\n"), 1):
        if not row.strip() or row.startswith("#"):
            continue
        if match := _LISTED.match(row.lstrip()):
            found.append(_Row(f"row {place}", match["name"], match["text"]))
        elif match := _IAM.match(row):
            found.append(_Row(f"row {place}", match["name"], match["text"].replace("|", " ")))
        else:
            found.append(_Row(f"row {place}", problem="it does not begin with the name of an image"))
    return found


def _json_rows(text: str, kind: str) -> list[_Row] | None:
    """The rows of a table in JSON: an object of texts by image, a list of objects, or an object in each line."""
    try:
        content: Any = [json.loads(row) for row in text.split("\n") if row.strip()] if kind == ".jsonl" else None
        content = json.loads(text) if content is None else content
    except (ValueError, RecursionError) as error:
        raise ImportRefused(f"it is no JSON: {error}") from error
    if isinstance(content, dict):
        # Other JSON has no names of images as its keys.
        if not content or not all(Path(name).suffix.lower() in SUFFIXES for name in content):
            return None
        if not all(isinstance(each, str) for each in content.values()):
            return None
        return [_Row(name, name, each) for name, each in content.items()]
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        return None
    found = []
    for place, each in enumerate(content, 1):
        names = list(each)
        columns = _columns(names)
        values = [each[names[at]] if at is not None else "" for at in columns or ()]
        if columns is None or not all(isinstance(value, str) for value in values[:2]):
            found.append(_Row(f"row {place}", problem="it has no image and text"))
        else:
            found.append(_Row(f"row {place}", values[0], values[1], str(values[2] or "")))
    # A list of other things is no table.
    return found if any(not row.problem for row in found) else None
