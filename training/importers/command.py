"""The command ``paragraph-ocr-train import``: make annotated pages from transcriptions of other programs."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from paragraph_ocr.cli.terminal import printable
from paragraph_ocr.document import Page
from paragraph_ocr.errors import OcrError
from paragraph_ocr.io.imaging import DecodedPage, decode_pages
from paragraph_ocr.models import FOLDER, ModelError
from paragraph_ocr.pipeline.reader import PageReader
from training.data.corrections import normalise
from training.importers import marks
from training.importers.finding import find_corrected, find_hocr, find_markup, find_texts
from training.importers.folder import Folder
from training.importers.placing import place
from training.importers.records import Candidate, ImportRefused, Report
from training.importers.sheets import Crop, lay_out, lines_a_sheet, shrink
from training.importers.tables import find_tables
from training.importers.writing import PagesFolder, draw_sheet, plain
from training.synthesis.fonts import CHARSET

# Of two files of one page, that of the format that comes first here is imported.
FORMATS = {
    "page": "PAGE XML",
    "alto": "ALTO",
    "json": "corrected JSON",
    "hocr": "hOCR",
    "table": "table of crops",
    "text": "text",
}
_RANK = list(FORMATS)
# Images that a message about several of them names.
MAX_NAMED = 5

DESCRIPTION = """Make annotated pages for training from transcriptions of other programs.

Imported are, wherever they lie in FOLDER: PAGE XML 2010 to 2019, ALTO 2 to 4 and hOCR with the images that they name;
images with a .txt of their lines beside; crops of lines with .gt.txt files or a table (.csv, .tsv) of file and text;
and this project's own JSON that a person corrected. Images of FOLDER are not changed. PAGES/sheet.jpg shows a part of
the lines with their texts; PAGES/import.json says what was left out, as standard error does."""
EPILOG = "Exit status: 0 if pages were written, also where parts were left out; 1 if none were; 2 for a wrong command."


@dataclass(frozen=True)
class Origin:
    """The fields of ``pages.jsonl`` that say where a page comes from; `writer` is None if the folders name it."""

    source: str
    writer: str | None
    split: str
    partial: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder with transcriptions and images")
    parser.add_argument("--out", metavar="PAGES", type=Path, required=True, help="folder of annotated pages to write")
    parser.add_argument("--source", help="what the pages are called in tables; otherwise the name of FOLDER")
    parser.add_argument("--writer", help="writer of all pages; otherwise the name of each sub-folder, or of FOLDER")
    parser.add_argument("--split", choices=("train", "val"), default="train", help="split of all pages")
    parser.add_argument(
        "--format", choices=tuple(FORMATS), action="append", help="take these formats only; may be repeated"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="much writing has no lines, so that line detection must not learn from it",
    )
    parser.add_argument("--unchanged", action="store_true", help="take JSON that nobody changed, too")
    parser.add_argument("--models", type=Path, default=FOLDER, help="models that find the lines of a text's image")


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns
    -------
    int
        0 if pages were written, 1 if none were, 2 if the folders cannot be those.
    """
    root: Path = arguments.folder
    out: Path = arguments.out
    if not root.is_dir():
        return _usage(f"{root} is no folder" + ("; unpack it first" if root.is_file() else ""))
    inner, outer = (Path(os.path.realpath(each)) for each in (root, out))
    if inner == outer or inner.is_relative_to(outer):
        return _usage(f"{out} holds what is imported; name another folder to write")
    try:
        pages = PagesFolder(out)
    except ImportRefused as error:
        return _usage(str(error))
    source = arguments.source or root.resolve().name or "imported"
    origin = Origin(source, arguments.writer, arguments.split, arguments.partial)
    report = Report(root)
    folder = Folder(root, out)
    for path in folder.others:
        report.say(path, "passed over: it is no regular file")
    reader = cache(partial(PageReader.load, arguments.models, warm=False))
    try:
        chosen = _choose(_find(folder, report, reader, arguments), report)
        _import(chosen, folder, report, pages, origin, reader)
        if not pages.rows:
            print(
                f"{root}: nothing was imported of {len(folder.files)} files{_missing(folder, report)}; "
                f"{out} is as it was",
                file=sys.stderr,
            )
            return 1
        _say_what_was_passed_over(folder, report, chosen)
        return _finish(pages, report, reader().recognizer.geometry)
    except (OSError, ModelError) as error:
        print(f"paragraph-ocr-train import: {error}", file=sys.stderr)
        return 1


def _usage(message: str) -> int:
    print(f"paragraph-ocr-train import: error: {message}", file=sys.stderr)
    return 2


def _missing(folder: Folder, report: Report) -> str:
    """What a folder lacks of which nothing was imported, so far as no message has said so."""
    if archives := _archives(folder):
        return f": unpack {archives[0].name} first"
    if not folder.images:
        return ": there are no images among them"
    if not report.messages:
        return (
            f": {len(folder.images)} images, but no transcription of them as PAGE XML, ALTO, hOCR, corrected JSON, a "
            "table or a text of the same name"
        )
    return ""


def _archives(folder: Folder) -> list[Path]:
    return [path for path in folder.files if path.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")]


def _say_what_was_passed_over(folder: Folder, report: Report, chosen: Collection[Path]) -> None:
    """Name archives, whose content is not imported, and images of which nothing was."""
    for path in _archives(folder):
        report.say(path, "passed over: it is an archive; unpack it, too, to import what it holds")
    if without := [report.name(image) for image in folder.images if image not in chosen]:
        named = ", ".join(without[:MAX_NAMED]) + ", ..." * (len(without) > MAX_NAMED)
        print(printable(f"{len(without)} images have no transcription that could be imported: {named}"))


def _find(folder: Folder, report: Report, reader: Any, arguments: argparse.Namespace) -> list[Candidate]:
    """Find all pages that the folder describes in the formats that are asked for."""
    wanted = set(arguments.format or FORMATS)

    def read(page: DecodedPage) -> Page:
        found: Page = reader().read_image(page.pixels, "page", pixel_aspect=page.pixel_aspect)
        return found

    found: list[Candidate] = []
    if wanted & {"page", "alto", "hocr"}:
        found += find_markup(folder, report)
    if "hocr" in wanted:
        found += find_hocr(folder, report)
    if "json" in wanted:
        found += find_corrected(folder, report, arguments.unchanged)
    if "table" in wanted:
        found += find_tables(folder, report)
    if "text" in wanted:
        texts = list(find_texts(folder, report, read))
        if arguments.format is None and any(each.form in ("page", "alto") for each in found):
            # Transkribus can write all pages once more into one PDF, and their text into one file.
            again = [each for each in texts if each.image.suffix.lower() == ".pdf"]
            for each in again:
                report.say(
                    each.file, f"passed over: {report.name(each.image)} shows pages of PAGE XML or ALTO once more"
                )
            texts = [each for each in texts if each not in again]
        found += texts
    return [each for each in found if each.form in wanted]


def _choose(found: list[Candidate], report: Report) -> dict[Path, list[Candidate]]:
    """Choose for each image the best description of each of its pages."""
    best: dict[tuple[Path, int], Candidate] = {}
    others: Counter[tuple[str, str]] = Counter()
    for each in sorted(found, key=lambda each: (_RANK.index(each.form), -each.lines, each.file)):
        first = best.setdefault((each.image, each.number), each)
        if first is each:
            continue
        if first.form == each.form:
            report.say(each.file, f"left out: {report.name(first.file)} is of the same page")
        else:
            others[each.form, first.form] += 1
    for (form, preferred), count in others.items():
        report.say(
            report.folder, f"{count} pages of {FORMATS[form]} left out, since there is {FORMATS[preferred]} of them"
        )
    images: dict[Path, list[Candidate]] = defaultdict(list)
    for each in best.values():
        images[each.image].append(each)
    return dict(sorted(images.items()))


def _import(
    chosen: dict[Path, list[Candidate]],
    folder: Folder,
    report: Report,
    pages: PagesFolder,
    origin: Origin,
    reader: Any,
) -> None:
    crops: dict[str, list[tuple[Candidate, Crop]]] = defaultdict(list)
    for image, candidates in tqdm(chosen.items(), unit="image", disable=None):
        wanted = {each.number: each for each in candidates}
        writer = origin.writer or folder.writer_of(image)
        try:
            for page in decode_pages(image.read_bytes()):
                candidate = wanted.pop(page.number, None)
                if candidate is None:
                    continue
                if candidate.crop is not None:
                    hand = origin.writer or candidate.writer or writer
                    crops[hand].append((candidate, Crop(report.name(image), shrink(page.pixels))))
                else:
                    _add_page(candidate, page, writer, report, pages, origin)
                if not wanted:
                    break
        except (OcrError, OSError) as error:
            report.refuse(image, str(error))
            continue
        for candidate in wanted.values():
            report.refuse(candidate.file, f"it is of page {candidate.number}, which {report.name(image)} has not")
    for writer, items in crops.items():
        _add_sheets(writer, items, report, pages, origin, reader)


def _add_page(
    candidate: Candidate, page: DecodedPage, writer: str, report: Report, pages: PagesFolder, origin: Origin
) -> None:
    assert candidate.load is not None
    try:
        found = candidate.load(page)
        placed = place(found, page, candidate, report)
        if not any(line["text"] for line in placed.lines):
            raise ImportRefused("it has no line with text that can be used")
    except ImportRefused as error:
        report.refuse(candidate.file, str(error))
        return
    content: dict[str, Any] = {"lines": placed.lines, "ignore": placed.ignore}
    if origin.partial or found.partial:
        content["partial"] = True
    name = f"{_identity(report.name(candidate.image))}-{page.number}"
    pages.add(
        {"page_id": name, "source": origin.source, "writer": writer, "split": origin.split}, placed.pixels, content
    )


def _identity(name: str) -> str:
    """Return a name for a file that files of the same name in other folders do not get."""
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{plain(Path(name).stem)}-{digest}"


def _add_sheets(
    writer: str,
    items: list[tuple[Candidate, Crop]],
    report: Report,
    pages: PagesFolder,
    origin: Origin,
    reader: Any,
) -> None:
    usable = []
    for candidate, crop in items:
        marked = marks.resolve(candidate.crop or "")
        if marked.unclear or not (marked.text or marked.struck):
            reason = "a passage could not be read" if marked.unclear else "it has no text"
            report.leave_out(candidate.file, crop.name, reason)
        elif min(crop.pixels.shape) < 8:
            report.leave_out(candidate.file, crop.name, "it is smaller than 8 pixels")
        else:
            usable.append((candidate, crop, marked))
    size = lines_a_sheet(len(usable))
    for start in range(0, len(usable), size):
        part = usable[start : start + size]
        sheet, shapes = lay_out([crop for _, crop, _ in part], lambda page: reader().detector.find(page).lines)
        lines = []
        for (candidate, _, marked), (polygon, baseline) in zip(part, shapes, strict=True):
            text = normalise(marked.text)
            row: dict[str, Any] = {"text": text}
            if candidate.crop != text:
                row["raw_text"] = candidate.crop
            points = {"baseline": baseline.round(1).tolist(), "polygon": polygon.round(1).tolist()}
            lines.append(row | points | {"struck": marked.struck})
        name = _identity(f"{part[0][1].name}")
        row = {"page_id": f"lines-{name}", "source": origin.source, "writer": writer, "split": origin.split}
        pages.add(row, sheet, {"lines": lines, "ignore": [], "partial": True})


def _finish(pages: PagesFolder, report: Report, geometry: Any) -> int:
    lines = [line for row in pages.rows for line in row["lines"]]
    ignored = sum(len(row["ignore"]) for row in pages.rows)
    foreign = Counter(each for line in lines for each in line["text"] if each not in CHARSET)
    summary = {
        "pages": len(pages.rows),
        "partial_pages": sum(bool(row.get("partial")) for row in pages.rows),
        "lines": len(lines),
        "struck": sum(line["struck"] for line in lines),
        "characters": sum(len(line["text"]) for line in lines),
        "writers": len({row["writer"] for row in pages.rows}),
        "ignored": ignored,
        "ignored_lines": dict(report.ignored),
        "left_out": report.lines_left_out,
        "refused_files": len(report.refused_files),
        "not_in_charset": dict(foreign.most_common()),
    }
    pages.finish({"summary": summary, "messages": report.messages})
    cv2.imwrite(str(pages.out / "sheet.jpg"), draw_sheet(pages.out, geometry))
    print(
        f"{summary['pages']} pages with {summary['lines']} lines ({summary['struck']} with crossed-out passages) by "
        f"{summary['writers']} writers; {summary['left_out']} lines left out, {summary['refused_files']} files refused"
    )
    if ignored:
        reasons = ", ".join(f"{count} lines ({reason})" for reason, count in report.ignored.items())
        print(f"{ignored} outlines are ignored in training{': ' * bool(reasons)}{reasons}")
    if foreign:
        named = ", ".join(f"{_shown(each)} {count} times" for each, count in foreign.most_common())
        print(f"Not in the charset, so that no model learns lines with them unless it is extended: {named}")
    print(f"Look at {pages.out / 'sheet.jpg'}")
    return 0


def _shown(character: str) -> str:
    return f"{character if character.isprintable() else ''} {unicodedata.name(character, f'U+{ord(character):04X}')}"
