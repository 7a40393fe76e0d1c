"""The command line: paths of images, PDFs and folders go in, their text comes out in one of five forms.

A file that cannot be read is reported on standard error and the rest go on; the exit status is 1 if any failed. With
an output folder there is a summary too, and a run that was broken off goes on where it stood.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from paragraph_ocr import imaging
from paragraph_ocr.errors import OcrError
from paragraph_ocr.folder import (
    File,
    FolderError,
    Settings,
    copy_by_kind,
    digest_models,
    is_due,
    load,
    read_file,
    read_files,
    render_pages,
)
from paragraph_ocr.formats import FORMATS

# Several of these one after another are still of the form.
_CONCATENABLE = {"json", "text"}
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process when left out.

    Returns
    -------
    int
        0, 1 if a file could not be read, or 130 if the run was broken off.
    """
    parser = argparse.ArgumentParser("paragraph-ocr", description="Read the lines of text in images and PDFs.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, a PDF, or a folder to look for them in")
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
    options = parser.parse_args(arguments)
    formats = tuple(dict.fromkeys(options.format or ["text"]))
    files = list(_files(options.paths, options.out))
    _refuse(parser, options, formats, files)
    try:
        if options.out is None:
            return _print(files, formats[0])
        return _write(files, Settings(options.out, formats, options.overlay, digest_models()), options)
    except KeyboardInterrupt:
        print("Broken off; the same command goes on from here.", file=sys.stderr)
        return _INTERRUPTED


def _refuse(
    parser: argparse.ArgumentParser, options: argparse.Namespace, formats: Sequence[str], files: Sequence[File]
) -> None:
    """End with a message where options do not go together."""
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
    if len({os.path.normcase(file.name) for file in files}) < len(files):
        parser.error("two of the files would be written to one; give the folder that holds both instead")
    images = options.overlay or options.sort or "pdf" in formats
    if images and os.path.realpath(options.out) in map(os.path.realpath, options.paths):
        parser.error("pictures and PDFs need another --out than the folder that is read, or they would be read next")


def _files(paths: Sequence[str], out: Path | None) -> Iterator[File]:
    """Yield every file; what lies in the output folder is none of them."""
    ours = None if out is None else os.path.realpath(out)
    for path in paths:
        if not os.path.isdir(path):
            yield File(path, Path(os.path.basename(path)))
            continue
        for folder, subfolders, files in os.walk(path):
            subfolders[:] = sorted(name for name in subfolders if os.path.realpath(os.path.join(folder, name)) != ours)
            for file in sorted(files):
                if Path(file).suffix.lower() in imaging.SUFFIXES:
                    found = os.path.join(folder, file)
                    yield File(found, Path(os.path.relpath(found, path)))


def _print(files: Sequence[File], form: str) -> int:
    # Loading the models takes longer than a wrong option or --help should.
    from paragraph_ocr.reader import PageReader

    reader = PageReader.load(threads=os.cpu_count() or 1)
    failed = False
    for file in tqdm(files, unit="file", disable=None if len(files) > 1 else True):
        try:
            data = load(file.path)
            written = render_pages(reader.read(data, file.path), form, data)
        except (OcrError, OSError) as error:
            failed = True
            tqdm.write(f"{file.path}: {error}", file=sys.stderr)
            continue
        with tqdm.external_write_mode():
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
    return int(failed)


def _write(files: Sequence[File], settings: Settings, options: argparse.Namespace) -> int:
    from paragraph_ocr.report import REPORT, write_summary

    due = [file for file in files if is_due(file, settings)]
    progress = tqdm(total=len(files), initial=len(files) - len(due), unit="file", disable=None)
    with progress:
        try:
            for file, error in _read(due, settings, options.jobs):
                progress.update()
                if error is not None:
                    tqdm.write(f"{file.path}: {error}", file=sys.stderr)
        except FolderError as error:
            tqdm.write(str(error), file=sys.stderr)
            return 1
    if options.sort:
        for file in tqdm(files, unit="copy", disable=None):
            copy_by_kind(file, settings.out)
    totals = write_summary(files, settings.out, settings.formats)
    print(
        f"{totals.files:,} files ({len(due):,} read now, {totals.failed:,} failed), {totals.pages:,} pages; "
        f"see {settings.out / REPORT}",
        file=sys.stderr,
    )
    return int(totals.failed > 0)


def _read(due: Sequence[File], settings: Settings, jobs: int) -> Iterator[tuple[File, str | None]]:
    if min(jobs, len(due)) > 1:
        yield from read_files(due, settings, min(jobs, len(due)))
    elif due:
        from paragraph_ocr.reader import PageReader

        reader = PageReader.load(threads=os.cpu_count() or 1)
        for file in due:
            yield file, read_file(reader, file, settings)


if __name__ == "__main__":
    sys.exit(main())
