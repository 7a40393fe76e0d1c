"""The command line: paths of images, PDFs and folders go in, their text comes out in one of five forms.

A file that cannot be read is reported on standard error and the rest go on; the exit status is 1 if any failed.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from paragraph_ocr import imaging
from paragraph_ocr.document import Document
from paragraph_ocr.errors import OcrError, TooLarge
from paragraph_ocr.formats import FORMATS, render

if TYPE_CHECKING:
    from paragraph_ocr.reader import PageReader

# Several of these one after another are still of the form.
_CONCATENABLE = {"json", "text"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process when left out.

    Returns
    -------
    int
        0, or 1 if a file could not be read.
    """
    parser = argparse.ArgumentParser("paragraph-ocr", description="Read the lines of text in images and PDFs.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, a PDF, or a folder to look for them in")
    parser.add_argument("--format", choices=FORMATS, default="text", help="what to write (default: text)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write a file for each that is read into this folder")
    parser.add_argument("--overlay", action="store_true", help="also draw what was found; needs --out")
    options = parser.parse_args(arguments)
    files = list(_files(options.paths))
    if options.out is None:
        if options.overlay:
            parser.error("--overlay needs --out, the folder to write the pictures into")
        if options.format == "pdf" and sys.stdout.isatty():
            parser.error("--format pdf needs --out, or standard output sent to a file")
        if options.format not in _CONCATENABLE and len(files) > 1:
            parser.error(f"--format {options.format} of more than one file needs --out")
    elif len({name for _, name in files}) < len(files):
        parser.error("two of the files would be written to one; give the folder that holds both instead")

    # Loading the models takes longer than a wrong option or --help should.
    from paragraph_ocr.reader import PageReader

    reader = PageReader.load(threads=os.cpu_count() or 1)
    failed = False
    for path, name in tqdm(files, unit="file", disable=None if len(files) > 1 else True):
        try:
            _read(reader, path, name, options)
        except (OcrError, OSError) as error:
            failed = True
            tqdm.write(f"{path}: {error}", file=sys.stderr)
    return int(failed)


def _files(paths: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield every file's path as given, and where it goes below the output folder."""
    for path in paths:
        if not os.path.isdir(path):
            yield path, Path(os.path.basename(path))
            continue
        for folder, subfolders, files in os.walk(path):
            subfolders.sort()
            for file in sorted(files):
                if Path(file).suffix.lower() in imaging.SUFFIXES:
                    found = os.path.join(folder, file)
                    yield found, Path(os.path.relpath(found, path))


def _read(reader: "PageReader", path: str, name: Path, options: argparse.Namespace) -> None:
    if os.path.getsize(path) > imaging.DEFAULT_LIMITS.max_bytes:
        raise TooLarge(f"The file is larger than {imaging.DEFAULT_LIMITS.max_bytes:,} bytes.")
    data = Path(path).read_bytes()
    document = reader.read(data, path)
    written = _render(document, options.format, data)
    if options.out is None:
        with tqdm.external_write_mode():
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
        return
    target = options.out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_name(name.name + FORMATS[options.format].suffix).write_bytes(written)
    if options.overlay:
        _write_overlays(document, data, target)


def _render(document: Document, form: str, data: bytes) -> bytes:
    if form != "json":
        return render(document, form, data)
    return b"".join(render(Document(document.image, (page,)), form, data) for page in document.pages)


def _write_overlays(document: Document, data: bytes, target: Path) -> None:
    from PIL import Image

    from paragraph_ocr.overlay import draw_overlay

    for pixels, page in zip(imaging.decode(data), document.pages, strict=True):
        number = f".{page.page}" if len(document.pages) > 1 else ""
        picture = Image.fromarray(draw_overlay(pixels, page))
        picture.save(target.with_name(f"{target.name}{number}.overlay.jpg"), quality=90)


if __name__ == "__main__":
    sys.exit(main())
