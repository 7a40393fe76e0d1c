"""The command line: print or write the text of images, PDFs and folders.

A file that cannot be read is reported on standard error and the others are read; the exit status is then 1. With an
output folder, a summary is written, too, and an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tqdm import tqdm

from paragraph_ocr.cli.folder import (
    File,
    FolderError,
    Settings,
    copy_by_kind,
    digest_models,
    is_due,
    load,
    prepare,
    read_file,
    read_files,
    render_pages,
)
from paragraph_ocr.cli.report import REPORT, SUMMARY
from paragraph_ocr.cli.terminal import printable
from paragraph_ocr.document import NOTES
from paragraph_ocr.errors import MalformedRequest, OcrError
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.io.file_format import SUFFIXES
from paragraph_ocr.model_set import FOLDER, ModelError
from paragraph_ocr.processors import count_processors

if TYPE_CHECKING:
    from paragraph_ocr.pipeline.options import ReadOptions

# Formats of which several files, one after another, are still valid.
_CONCATENABLE = {"json", "text", "markdown"}
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Prints arguments without control characters, since a shell may have expanded them from file names."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        0, 1 if a file could not be read, or 130 if the run was interrupted.
    """
    parser = _Parser("paragraph-ocr", description="Read the lines of text in images and PDFs.")
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="an image, a PDF, a folder to look for them in, or the JSON of a corrected document",
    )
    parser.add_argument(
        "--format", action="append", choices=FORMATS, help="what to write (default: text); with --out, may be repeated"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write a file for each that is read, and a summary, into this folder; what is there is not read again",
    )
    parser.add_argument("--overlay", action="store_true", help="also draw what was found; needs --out")
    parser.add_argument(
        "--sort",
        action="store_true",
        help="also copy each file into DIR/sorted/handwritten, printed, mixed or blank; needs --out",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="read N files at once, each on one core; needs --out"
    )
    parser.add_argument("--models", type=Path, default=FOLDER, metavar="DIR", help="folder of another model set")
    parser.add_argument("--pages", metavar="RANGES", help="of a TIFF or PDF, read these alone: 2-5,9 or 3-")
    parser.add_argument("--lang", metavar="CODES", help="languages of the pages, such as de,en; detected if left out")
    parser.add_argument(
        "--join", action="store_true", help="join the lines of a paragraph, and words divided at their ends"
    )
    parser.add_argument("--mark", action="store_true", help="put [?] behind doubtful words in the text")
    parser.add_argument(
        "--charset", metavar="NAME", help="what lines may consist of: digits, letters, date, amount or iban"
    )
    parser.add_argument(
        "--text",
        metavar="HOW",
        help="of pages of a PDF that carry their own text: auto gives it and reads the rest (default), read reads all",
    )
    parser.add_argument("--upright", action="store_true", help="turn the pages of the searchable PDF upright")
    options = parser.parse_args(arguments)
    asked = _asked(parser, options)
    formats = tuple(dict.fromkeys(options.format or ["text"]))
    files = list(_files(options.paths, options.out))
    _refuse(parser, options, formats, files)
    try:
        digest = digest_models(options.models, asked)
        if options.out is None:
            return _print(files, formats[0], options.models, asked)
        settings = Settings(options.out, formats, options.overlay, digest, options.models, asked)
        return _write(files, settings, options)
    except ModelError as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Broken off; the same command goes on from here.", file=sys.stderr)
        return _INTERRUPTED


def _asked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> ReadOptions | None:
    """What is asked of reading, None where nothing is; ends with a message where it cannot be."""
    given = options.pages, options.lang, options.join, options.mark, options.charset, options.text, options.upright
    if all(value in (None, False) for value in given):
        return None
    # Which loads what --help should not wait for.
    from paragraph_ocr.io.page_ranges import parse_pages
    from paragraph_ocr.pipeline.language import OWN, RECORDS
    from paragraph_ocr.pipeline.options import TEXTS, ReadOptions, parse_charset, parse_languages, parse_text

    try:
        card = options.models / "language.json"
        models = json.loads(card.read_text(encoding="utf-8"))["languages"] if card.exists() else {}
        known = models.keys() - {OWN, RECORDS}
        return ReadOptions(
            languages=parse_languages(options.lang, known) if options.lang else (),
            pages=parse_pages(options.pages) if options.pages else (),
            joined=options.join,
            marked=options.mark,
            charset=parse_charset(options.charset) if options.charset else None,
            text=parse_text(TEXTS[0] if options.text is None else options.text),
            upright=options.upright,
        )
    except MalformedRequest as error:
        parser.error(f"--{error}")


def _refuse(
    parser: argparse.ArgumentParser, options: argparse.Namespace, formats: Sequence[str], files: Sequence[File]
) -> None:
    """Exit with a message if options cannot be combined."""
    if options.jobs < 1:
        parser.error("--jobs takes a number from 1 on")
    if options.out is None:
        for option, given in (("overlay", options.overlay), ("sort", options.sort), ("jobs", options.jobs > 1)):
            if given:
                parser.error(f"--{option} needs --out, the folder to write into")
        if len(formats) > 1:
            parser.error("more than one --format needs --out")
        if "pdf" in formats and sys.stdout.isatty():
            parser.error("--format pdf needs --out, or standard output sent to a file")
        if not _CONCATENABLE.issuperset(formats) and len(files) > 1:
            parser.error(f"--format {formats[0]} of more than one file needs --out")
        return
    if corrected := [file for file in files if _is_corrected(file)]:
        parser.error(f"{corrected[0].path} is a corrected document, which is printed; leave --out out")
    names = [os.path.normcase(f"{file.name}{FORMATS[form].suffix}") for file in files for form in formats]
    if len(set(names)) < len(names):
        parser.error("two of the files would be written to one; give the folder that holds both instead")
    if any(os.path.normcase(name) in names for name in (SUMMARY, REPORT)):
        parser.error(f"a result would have the name of the summary, {SUMMARY}; rename the file")
    images = options.overlay or options.sort or "pdf" in formats
    if images and os.path.realpath(options.out) in map(os.path.realpath, options.paths):
        parser.error("pictures and PDFs need another --out than the folder that is read, or they would be read next")


def _files(paths: Sequence[str], out: Path | None) -> Iterator[File]:
    """Yield every file, except those in the output folder.

    A folder that is named like an image, or that cannot be listed, is yielded, too, so that it is reported.
    """
    ours = None
    if out is not None:
        with suppress(OSError):
            ours = os.stat(out)
    for path in paths:
        # Also for "missing/", and for paths without a name such as "/".
        name = os.path.basename(os.path.abspath(path)) or "_"
        if not os.path.isdir(path) or _is_image(name):
            yield File(path, Path(name))
        if os.path.isdir(path):
            yield from _walk(path, name, ours)


def _walk(path: str, name: str, ours: os.stat_result | None) -> Iterator[File]:
    closed: list[str] = []
    # os.walk of Python 3.11 calls itself for each level, and folders may be nested deeper than calls.
    pending = [path]
    while pending:
        folder = pending.pop()
        try:
            files, subfolders = _list(folder)
        except OSError:
            closed.append(folder)
            continue
        subfolders = [each for each in subfolders if ours is None or not _is_same(os.path.join(folder, each), ours)]
        for file in sorted(filter(_is_image, [*files, *subfolders])):
            found = os.path.join(folder, file)
            yield File(found, Path(os.path.relpath(found, path)))
        inner = (os.path.join(folder, each) for each in sorted(subfolders, reverse=True))
        pending += (each for each in inner if not os.path.islink(each))
    for folder in closed:
        if not _is_image(folder):
            yield File(folder, Path(os.path.relpath(folder, path) if folder != path else name))


def _is_same(path: str, folder: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), folder)
    except OSError:
        return False


def _list(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the files and of the folders in a folder; raises OSError."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = False
            with suppress(OSError):
                is_folder = entry.is_dir()
            (folders if is_folder else files).append(entry.name)
    return files, folders


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _is_corrected(file: File) -> bool:
    """Whether a file is a corrected document, which is not read but converted."""
    return Path(file.path).suffix.lower() == ".json"


def _print(files: Sequence[File], form: str, models: Path, asked: ReadOptions | None) -> int:
    # Loading the models takes longer than a wrong option or --help should.
    from paragraph_ocr.pipeline.options import NO_OPTIONS
    from paragraph_ocr.pipeline.reader import PageReader

    reader = PageReader.load(threads=count_processors(), models=models)
    failed = False
    for file in tqdm(files, unit="file", disable=None if len(files) > 1 else True):
        try:
            if _is_corrected(file):
                from paragraph_ocr.cli.corrected import load_corrected

                document, data = load_corrected(reader, file.path, asked or NO_OPTIONS, with_image=form == "pdf")
            else:
                data = load(file.path)
                document = reader.read(data, file.path, options=asked or NO_OPTIONS)
            written = render_pages(document, form, data)
        except (OcrError, OSError) as error:
            failed = True
            _report(file, error)
            continue
        with tqdm.external_write_mode():
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
        for page in document.pages:
            if page.content in NOTES:
                _report(file, f"{f'page {page.page}: ' * (len(document.pages) > 1)}{NOTES[page.content]}")
    return int(failed)


def _report(file: File, reason: object) -> None:
    tqdm.write(printable(f"{file.path}: {reason}"), file=sys.stderr)


def _write(files: Sequence[File], settings: Settings, options: argparse.Namespace) -> int:
    from paragraph_ocr.cli.report import write_summary

    failed = False
    try:
        prepare(settings.out)
        due = [file for file in files if is_due(file, settings)]
        with tqdm(total=len(files), initial=len(files) - len(due), unit="file", disable=None) as progress:
            for file, reason in _read(due, settings, options.jobs):
                progress.update()
                if reason is not None:
                    failed = True
                    _report(file, reason)
    except FolderError as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    if options.sort:
        for file in tqdm(files, unit="copy", disable=None):
            try:
                copy_by_kind(file, settings.out)
            except OSError as error:
                failed = True
                _report(file, error)
    try:
        totals = write_summary(files, settings.out, settings.formats)
    except OSError as error:
        print(printable(f"The summary cannot be written: {error}"), file=sys.stderr)
        return 1
    told = (
        f"{totals.files:,} files ({len(due):,} read now, {totals.failed:,} failed), {totals.pages:,} pages; "
        f"see {settings.out / REPORT}"
    )
    print(printable(told), file=sys.stderr)
    return int(failed or totals.failed > 0)


def _read(due: Sequence[File], settings: Settings, jobs: int) -> Iterator[tuple[File, str | None]]:
    if min(jobs, len(due)) > 1:
        yield from read_files(due, settings, min(jobs, len(due)))
    elif due:
        from paragraph_ocr.pipeline.reader import PageReader

        reader = PageReader.load(threads=count_processors(), models=settings.model_folder)
        for file in due:
            yield file, read_file(reader, file, settings)


if __name__ == "__main__":
    sys.exit(main())
