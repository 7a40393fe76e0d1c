"""Find the pages that a folder describes, in each of the formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from paragraph_ocr.document import Page
from paragraph_ocr.errors import OcrError
from paragraph_ocr.io.imaging import DecodedPage
from paragraph_ocr.io.limits import DEFAULT_LIMITS
from training.data import corrections
from training.data.corrections import normalise
from training.data.pages import DatasetError
from training.importers import alto, hocr, marks, page_xml
from training.importers.alignment import align
from training.importers.folder import Folder, page_number, pages_of
from training.importers.page_xml import DescribedPage
from training.importers.placing import exif
from training.importers.records import Candidate, FoundLine, FoundPage, ImportRefused, Report
from training.importers.safe_xml import local, parse
from training.importers.tables import is_table
from training.importers.text_file import read_text

# Reads a page: takes its pixels and shape of pixels.
Read = Callable[[DecodedPage], Page]
# An image that is so many times as wide as tall, with one line of text, is a line.
CROP_SHAPE = 3.0


def find_markup(folder: Folder, report: Report) -> Iterator[Candidate]:
    """Yield the pages of PAGE XML, ALTO, and hOCR in XML; other XML, such as METS, is passed over."""
    for file in folder.with_suffix(".xml", ".page", ".alto"):
        try:
            root = parse(file)
            kind = local(root.tag)
            if kind in ("PcGts", "Pages"):
                yield from _described("page", file, list(page_xml.read(root)), folder, report)
            elif kind == "alto":
                yield from _described("alto", file, list(alto.read(root)), folder, report)
            elif kind == "html":
                yield from _described("hocr", file, list(hocr.read(file)), folder, report)
        except ImportRefused as error:
            report.refuse(file, str(error))


def find_hocr(folder: Folder, report: Report) -> Iterator[Candidate]:
    """Yield the pages of hOCR; other HTML is passed over."""
    for file in folder.with_suffix(".hocr", ".html", ".htm", ".xhtml"):
        try:
            yield from _described("hocr", file, list(hocr.read(file)), folder, report)
        except ImportRefused as error:
            report.refuse(file, str(error))


def _described(
    form: str, file: Path, pages: list[DescribedPage], folder: Folder, report: Report
) -> Iterator[Candidate]:
    for position, described in enumerate(pages, 1):
        try:
            image = folder.find_image(described.image, file)
        except ImportRefused as error:
            report.refuse(file, str(error))
            continue
        for name, problem in described.problems:
            report.say(file, f"{name}: {problem}")
        number = page_number(image, described.number, position if len(pages) > 1 else 1)
        lines = sum(bool(line.text) for line in described.page.lines)
        yield Candidate(form, file, image, number, lines, partial(_given, described.page))


def _given(found: FoundPage, _: DecodedPage) -> FoundPage:
    return found


def find_corrected(folder: Folder, report: Report, unchanged: bool = False) -> Iterator[Candidate]:
    """Yield the pages of this project's JSON; those in which nothing was changed only if `unchanged`."""
    for file in folder.with_suffix(".json"):
        try:
            pages = corrections.read_corrected(file)
        except DatasetError as error:
            if folder.has_image(file):
                report.refuse(file, str(error))
            continue
        own = folder.has_image(file)
        if not own and not all("lines" in page for page in pages):
            # Other JSON, such as settings.
            continue
        try:
            image = folder.find_image("" if own else str(pages[0].get("image", "")), file)
            count = pages_of(image)
            numbers = Counter(page.get("page", 1) for page in pages)
            twice = [each for each, times in numbers.items() if times > 1]
            beyond = [each for each in numbers if not isinstance(each, int) or not 1 <= each <= count]
            if twice or beyond:
                problem = f"has page {twice[0]} twice" if twice else f"is of page {beyond[0]}, which the file has not"
                raise ImportRefused(f"it {problem}")
        except (ImportRefused, TypeError) as error:
            report.refuse(file, str(error))
            continue
        for page in pages:
            lines = page["lines"]
            texts = len(lines) if isinstance(lines, list) else 0
            load = partial(_corrected, page, unchanged, partial(report.say, file))
            yield Candidate("json", file, image, page.get("page", 1), texts, load)


def _corrected(page: dict[str, Any], unchanged: bool, say: Callable[[str], None], pixels: DecodedPage) -> FoundPage:
    height, width = pixels.pixels.shape
    try:
        rows, ignore, changes = corrections.convert(page, width, height)
    except DatasetError as error:
        raise ImportRefused(str(error)) from error
    if not changes.any and not unchanged:
        raise ImportRefused("nobody changed it; --unchanged takes it, too")
    say(
        f"page {page.get('page', 1)}: {changes.corrected} lines corrected, {changes.added} added, "
        f"{changes.deleted} taken away, {changes.kept} kept"
    )
    lines = []
    for place, row in enumerate(rows, 1):
        marked = marks.resolve(row["text"])
        more = {"reading": row["reading"]} if "reading" in row else {}
        polygon, baseline = ([(x, y) for x, y in row[key]] for key in ("polygon", "baseline"))
        lines.append(
            FoundLine(f"line {place}", marked.text, row["text"], polygon, baseline, marked.struck, marked.doubt, more)
        )
    outlines = tuple([(x, y) for x, y in polygon] for polygon in ignore)
    return FoundPage(tuple(lines), width, height, outlines, rotation=page.get("rotation", 0), as_shown=True)


def find_texts(folder: Folder, report: Report, read: Read) -> Iterator[Candidate]:
    """Yield the images that have a text: ``x.gt.txt`` of a line, ``x.txt`` or ``x.png.txt`` of the lines of a page."""
    for file in folder.with_suffix(".txt"):
        truth = file.name.lower().endswith(".gt.txt")
        if is_table(file):
            continue
        try:
            image = folder.find_image("", file)
        except ImportRefused as error:
            if truth:
                report.refuse(file, str(error))
            else:
                report.say(file, f"passed over: {error}")
            continue
        try:
            content = read_text(file, partial(report.say, file))
        except ImportRefused as error:
            report.refuse(file, str(error))
            continue
        rows = _rows(content)
        if not rows:
            report.refuse(file, "it has no text")
        elif len(rows) == 1 and (truth or _is_crop(image)):
            yield Candidate("text", file, image, 1, 1, crop=rows[0])
        else:
            # Programs that read documents put a form feed between pages.
            sheets = content.split("\f") if pages_of(image) > 1 else [content]
            for number, sheet in enumerate(sheets, 1):
                rows = _rows(sheet)
                if len(rows) > DEFAULT_LIMITS.max_lines:
                    problem = f"it has {len(rows):,} lines; those of a page are at most {DEFAULT_LIMITS.max_lines:,}"
                    report.leave_out(file, f"page {number}", problem)
                elif rows:
                    load = partial(_aligned, rows, read, partial(report.leave_out, file))
                    yield Candidate("text", file, image, number, len(rows), load)


def _rows(text: str) -> list[str]:
    return [row.strip() for row in text.splitlines() if row.strip()]


def _is_crop(image: Path) -> bool:
    _, width, height, _ = exif(image)
    return height > 0 and width / height >= CROP_SHAPE


def _aligned(texts: list[str], read: Read, leave_out: Callable[[str, str], None], pixels: DecodedPage) -> FoundPage:
    """Find and read the lines of a page, and give them the texts that certainly belong to them."""
    try:
        page = read(pixels)
    except OcrError as error:
        raise ImportRefused(str(error)) from error
    marked = [marks.resolve(text) for text in texts]
    pairs = {
        pair.line: pair.text
        for pair in align([line.text for line in page.lines], [normalise(each.text) for each in marked])
    }
    if not pairs:
        raise ImportRefused(
            f"none of its {len(texts)} lines of text certainly is one of the {len(page.lines)} lines that were found "
            "on the page; each line of the text is to be a line of the page"
        )
    for place in sorted(set(range(len(texts))) - set(pairs.values())):
        leave_out(f"text line {place + 1}", f"no line on the page certainly is {texts[place]!r}")
    lines = []
    for place, line in enumerate(page.lines):
        own = pairs.get(place)
        name = f"line {place + 1}"
        polygon, baseline = list(line.polygon), list(line.baseline)
        if own is None:
            lines.append(FoundLine(name, "", "", polygon, baseline))
        else:
            text = marked[own]
            lines.append(FoundLine(name, text.text, texts[own], polygon, baseline, text.struck, text.doubt))
    height, width = pixels.pixels.shape
    unplaced = len(texts) - len(pairs)
    return FoundPage(tuple(lines), width, height, partial=unplaced > 0, rotation=page.rotation, as_shown=True)
