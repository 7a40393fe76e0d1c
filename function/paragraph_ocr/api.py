"""The library's interface: `Reader`, which reads files from paths, bytes and file objects."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paragraph_ocr.document import Document, Page
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.io import sources
from paragraph_ocr.io.imaging import decode
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.options import NO_OPTIONS, Options, ReadOptions, check_languages, read_options
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.processors import count_processors

if TYPE_CHECKING:
    File = sources.File | Image.Image | NDArray[Any]


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

    def overlay(self, number: int = 1) -> Image.Image:
        """Draw the lines of a page over its image; pages are numbered from 1.

        Raises
        ------
        IndexError
            There is no such page.
        """
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
    MalformedRequest
        A language is none of those with a model.

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
        given = tuple(languages.split(",")) if isinstance(languages, str) else tuple(languages)
        self._reader.languages = check_languages(given, self._reader.languages_known) if given else ()

    def read(
        self, file: File, name: str | None = None, options: ReadOptions = NO_OPTIONS, **asked: Unpack[Options]
    ) -> ReadDocument:
        """Read all pages of a file.

        Parameters
        ----------
        file : path, bytes, binary file, Pillow image or array
            An array is uint8 of shape (H, W) with grey values, or (H, W, 3) with RGB; a Pillow image is its current
            frame.
        name : str, optional
            Name of the image in the results; by default the path, or the name of the file object, or "image".
        options : ReadOptions, optional
            Pages, languages and characters, and what is done with text that pages of a PDF carry.
        **asked
            The same by the names of docs/api.md, instead of `options`: ``pages="2-5,9"``, ``lang="de"``,
            ``lines="joined"``, ``mark=True``, ``charset="iban"``, ``text="read"``, ``upright=True``.

        Returns
        -------
        ReadDocument
            It keeps the content of the file for `ReadDocument.show` and `ReadDocument.save`.

        Raises
        ------
        OSError
            The file cannot be opened.
        OcrError
            The file or an option is refused, the file cannot be decoded, or exceeds a limit.
        TypeError, ValueError
            The file is none of these, or there is no such option.
        """
        chosen = self._options(options, asked)
        data, name = self._load(file, name)
        read = self._reader.read(data, name, options=chosen)
        return ReadDocument(name, read.pages, read.numbers, source=data)

    def pages(
        self, file: File, name: str | None = None, options: ReadOptions = NO_OPTIONS, **asked: Unpack[Options]
    ) -> Iterator[Page]:
        """Read the pages of a file one by one; parameters and errors are those of `read`."""
        chosen = self._options(options, asked)
        data, name = self._load(file, name)
        return self._reader.pages(data, name, options=chosen)

    def _options(self, options: ReadOptions, asked: Options) -> ReadOptions:
        """Return the options of a call, checked."""
        known = self._reader.languages_known
        if not isinstance(options, ReadOptions):
            raise TypeError(f'options must be ReadOptions, not {type(options).__name__}; or read(file, lang="de").')
        if not asked:
            check_languages(options.languages, known)
            return options
        if options != NO_OPTIONS:
            raise TypeError(f"Give options or {', '.join(asked)}, not both.")
        return read_options(asked, known)

    def _load(self, file: File, name: str | None) -> tuple[bytes, str]:
        """Return the content of a file, or pixels as a PNG, and the name of the image."""
        if isinstance(file, Image.Image | np.ndarray):
            # Few callers have pixels rather than files.
            from paragraph_ocr.io.pixel_sources import encode_array, encode_image

            max_bytes = self._reader.limits.max_bytes
            if isinstance(file, np.ndarray):
                return encode_array(file, max_bytes), name or "image"
            own = getattr(file, "filename", "")
            return encode_image(file, max_bytes), name or (own if isinstance(own, str) else "") or "image"
        data, own = sources.load(file, "a path, bytes, a binary file, an image of Pillow or an array of pixels")
        return data, name or own or "image"
