"""The command line: paths of images and folders go in, their text or JSON comes out.

A file that cannot be read is reported on standard error and the rest go on; the exit status is 1 if any failed.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from paragraph_ocr import imaging
from paragraph_ocr.document import Page
from paragraph_ocr.errors import OcrError, TooLarge

if TYPE_CHECKING:
    from paragraph_ocr.reader import PageReader

_SUFFIX = {"json": ".json", "text": ".txt"}


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
    parser = argparse.ArgumentParser("paragraph-ocr", description="Read the lines of text in images.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, or a folder to look for images in")
    parser.add_argument("--format", choices=sorted(_SUFFIX), default="text", help="what to write (default: text)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write a file a page into this folder")
    parser.add_argument("--overlay", action="store_true", help="also draw what was found; needs --out")
    options = parser.parse_args(arguments)
    if options.overlay and options.out is None:
        parser.error("--overlay needs --out, the folder to write the pictures into")
    images = list(_images(options.paths))
    if options.out is not None and len({name for _, name in images}) < len(images):
        parser.error("two of the images would be written to one file; give the folder that holds both instead")

    # Loading the models takes longer than a wrong option or --help should.
    from paragraph_ocr.reader import PageReader

    reader = PageReader.load(threads=os.cpu_count() or 1)
    failed = False
    for path, name in tqdm(images, unit="page", disable=None if len(images) > 1 else True):
        try:
            _read(reader, path, name, options)
        except (OcrError, OSError) as error:
            failed = True
            tqdm.write(f"{path}: {error}", file=sys.stderr)
    return int(failed)


def _images(paths: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield every image's path as given, and where it goes below the output folder."""
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
    (page,) = reader.read(data, path).pages
    if options.out is None:
        tqdm.write(_render(page, options.format), end="")
        return
    target = options.out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_name(name.name + _SUFFIX[options.format]).write_text(_render(page, options.format), encoding="utf-8")
    if options.overlay:
        from PIL import Image

        from paragraph_ocr.overlay import draw_overlay

        picture = Image.fromarray(draw_overlay(next(imaging.decode(data)), page))
        picture.save(target.with_name(name.name + ".overlay.jpg"), quality=90)


def _render(page: Page, form: str) -> str:
    if form == "json":
        return json.dumps(page.to_dict(), ensure_ascii=False) + "\n"
    return page.to_text()


if __name__ == "__main__":
    sys.exit(main())
