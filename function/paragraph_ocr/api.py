"""The library's interface: `Reader`, which reads files from paths, bytes and file objects."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from paragraph_ocr.document import Document, Page
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.io.imaging import decode
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.options import NO_OPTIONS, ReadOptions
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.processors import count_processors

if TYPE_CHECKING:
    from PIL.Image import Image

File = str | os.PathLike[str] | bytes | BinaryIO


@dataclass(frozen=True)
class ReadDocument(Document):
    """A document with the content of the file that it was read from.

    Attributes
    ----------
    source : bytes
    """

    source: bytes = field(default=b"", repr=False, compare=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document in the format of the path's suffix, such as .pdf, .json, .md or .page.xml.

        Raises
        ------
        ValueError
            No format has this suffix.
        OSError
            The file cannot be written.
        OcrError
            The source cannot be decoded again, which a PDF needs.
        """
        name = Path(path).name.lower()
        # PAGE XML ends like ALTO, and in more.
        longest_first = sorted(FORMATS, key=lambda form: len(FORMATS[form].suffix), reverse=True)
        form = next((form for form in longest_first if name.endswith(FORMATS[form].suffix)), None)
        if form is None:
            suffixes = ", ".join(each.suffix for each in FORMATS.values())
            raise ValueError(f"{os.fspath(path)!r} has none of the suffixes {suffixes}")
        Path(path).write_bytes(render(self, form, self.source))

    def overlay(self, number: int = 1) -> Image:
        """Draw the lines of a page over its image; pages are numbered from 1.

        Raises
        ------
        IndexError
            There is no such page.
        """
        from PIL import Image

        from paragraph_ocr.formats.overlay import draw_overlay

        if not 1 <= number <= len(self.pages):
            raise IndexError(f"There is no page {number}; the document has {len(self.pages)}.")
        pixels = next(decode(self.source, first=self.numbers[number - 1] if self.numbers else number))
        return Image.fromarray(draw_overlay(pixels, self.pages[number - 1]))

    def show(self, number: int = 1) -> None:
        """Open the overlay of a page in the system's image viewer; errors are those of `overlay`."""
        self.overlay(number).show()


class Reader:
    """Reads images and PDFs.

    Loading the models takes most of the time of a first page, so one reader should be used for all files.

    Parameters
    ----------
    models : path, optional
        Folder of a model set; by default the one of the package.
    threads : int, optional
        Threads that compute; by default as many as there are processors for this process.
    limits : Limits
        Limits of each file.
    languages : sequence of str
        The languages of the pages, ISO 639-1, if they are known; by default the language of each page is detected.

    Raises
    ------
    ModelError
        A model is missing or is not the one that its card describes.

    Examples
    --------
    >>> from paragraph_ocr import Reader
    >>> document = Reader().read("page.jpg")  # doctest: +SKIP
    >>> print(document.text)  # doctest: +SKIP
    """

    def __init__(
        self,
        models: str | os.PathLike[str] = FOLDER,
        threads: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        languages: Sequence[str] = (),
    ) -> None:
        self._reader = PageReader.load(
            threads=threads or count_processors(), models=Path(models), limits=limits, warm=False
        )
        self._reader.languages = tuple(languages)

    def read(self, file: File, name: str | None = None, options: ReadOptions = NO_OPTIONS) -> ReadDocument:
        """Read all pages of a file.

        Parameters
        ----------
        file : path, bytes or binary file
        name : str, optional
            Name of the image in the results; by default the path, or the name of the file object, or "image".
        options : ReadOptions, optional
            Pages, languages and characters, and what is done with text that pages of a PDF carry.

        Returns
        -------
        ReadDocument
            It keeps the content of the file for `ReadDocument.show` and `ReadDocument.save`.

        Raises
        ------
        OSError
            The file cannot be opened.
        OcrError
            The file is refused, cannot be decoded, or exceeds a limit.
        """
        data, name = _load(file, name)
        read = self._reader.read(data, name, options=options)
        return ReadDocument(name, read.pages, read.numbers, source=data)

    def pages(self, file: File, name: str | None = None, options: ReadOptions = NO_OPTIONS) -> Iterator[Page]:
        """Read the pages of a file one by one; parameters and errors are those of `read`."""
        data, name = _load(file, name)
        return self._reader.pages(data, name, options=options)


def _load(file: File, name: str | None) -> tuple[bytes, str]:
    """Return the content of a file and the name of the image."""
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file), name or "image"
    if isinstance(file, str | os.PathLike):
        return Path(file).read_bytes(), name or os.fspath(file)
    own_name = getattr(file, "name", None)
    return file.read(), name or (own_name if isinstance(own_name, str) else "image")
