"""The results of reading: a document of pages, a page of lines, a line of words."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

Point = tuple[float, float]
Points = tuple[Point, ...]
Box = tuple[float, float, float, float]


def bounds(points: Sequence[Sequence[float]]) -> Box:
    """Return the bounding box of points: left, top, right, bottom."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True)
class Word:
    """A word of a line.

    Attributes
    ----------
    text : str
    confidence : float
        Between 0 and 1.
    polygon : tuple of (x, y)
        Outline in pixels of the image: the upper edge left to right, then as many points of the lower right to left.
    """

    text: str
    confidence: float
    polygon: Points


@dataclass(frozen=True)
class Line:
    """A line of a page.

    Attributes
    ----------
    text : str
    confidence : float
        Between 0 and 1.
    polygon : tuple of (x, y)
        Outline in pixels of the image: the upper edge left to right, then as many points of the lower right to left.
    baseline : tuple of (x, y)
        Curve on which the letters stand, from the first to the last.
    words : tuple of Word
    """

    text: str
    confidence: float
    polygon: Points
    baseline: Points
    words: tuple[Word, ...]

    @property
    def box(self) -> Box:
        """The polygon's bounds: left, top, right, bottom."""
        return bounds(self.polygon)


@dataclass(frozen=True)
class Page:
    """A page and its lines.

    Attributes
    ----------
    image : str
        Name or path of the file, as given.
    page : int
        Number of the page in its file, from 1.
    width, height : int
        Pixels of the image after its EXIF orientation; all coordinates are in these.
    rotation : int
        Clockwise rotation of the text in the image in degrees: 0, 90, 180 or 270.
    lines : tuple of Line
        In reading order.
    model : mapping of str to str
        ``name@version`` of the detector and of the recogniser.
    timings_ms : mapping of str to float
        Milliseconds of each step and in total.
    """

    image: str
    page: int
    width: int
    height: int
    rotation: int
    lines: tuple[Line, ...]
    model: Mapping[str, str]
    timings_ms: Mapping[str, float]

    @property
    def text(self) -> str:
        """Text of the lines, separated by line feeds."""
        return "\n".join(line.text for line in self.lines)

    @property
    def confidence(self) -> float:
        """Mean confidence of the lines, weighted by their length; 0 if there is no text."""
        return _confidence(self.lines)

    def to_text(self) -> str:
        """Return the text with every line ended."""
        return "".join(f"{line.text}\n" for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the page for JSON, with coordinates within the image and rounded to a tenth of a pixel."""

        def clipped(points: Points) -> list[list[float]]:
            return [
                [round(min(max(x, 0.0), self.width), 1), round(min(max(y, 0.0), self.height), 1)] for x, y in points
            ]

        return {
            "image": self.image,
            "page": self.page,
            "width": self.width,
            "height": self.height,
            "rotation": self.rotation,
            "text": self.text,
            "confidence": round(self.confidence, 4),
            "lines": [
                {
                    "text": line.text,
                    "confidence": round(line.confidence, 4),
                    "polygon": clipped(line.polygon),
                    "baseline": clipped(line.baseline),
                    "box": list(bounds(clipped(line.polygon))),
                    "words": [
                        {
                            "text": word.text,
                            "confidence": round(word.confidence, 4),
                            "polygon": clipped(word.polygon),
                        }
                        for word in line.words
                    ],
                }
                for line in self.lines
            ],
            "model": dict(self.model),
            "timings_ms": {step: round(value, 1) for step, value in self.timings_ms.items()},
        }


@dataclass(frozen=True)
class Document:
    """A file and its pages.

    Attributes
    ----------
    image : str
        Name or path, as the caller gave it.
    pages : sequence of Page
        At least one, in the file's order; a tuple, or a sequence that loads each page when it is accessed.
    source : bytes or None
        Content of the file, which `overlay`, `show` and `save` need.
    """

    image: str
    pages: Sequence[Page]
    source: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """Text of the pages, separated by form feeds."""
        return "\f".join(page.text for page in self.pages)

    @property
    def confidence(self) -> float:
        """Mean of the lines' confidence, weighted by their length; 0 where there is no text."""
        return _confidence([line for page in self.pages for line in page.lines])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document in the format of the path's suffix: .json, .txt, .hocr, .xml (ALTO) or .pdf.

        Raises
        ------
        ValueError
            No format has this suffix, or the document has no `source`.
        OSError
            The file cannot be written.
        OcrError
            The source cannot be decoded again, which a PDF needs.
        """
        # Circular: formats are functions of documents.
        from paragraph_ocr.formats import FORMATS, render

        suffix = Path(path).suffix.lower()
        form = next((name for name, each in FORMATS.items() if each.suffix == suffix), None)
        if form is None:
            suffixes = ", ".join(each.suffix for each in FORMATS.values())
            raise ValueError(f"{os.fspath(path)!r} has none of the suffixes {suffixes}")
        Path(path).write_bytes(render(self, form, self._get_source()))

    def overlay(self, number: int = 1) -> Image:
        """Draw the lines of a page over its image; pages are numbered from 1.

        Raises
        ------
        IndexError
            There is no such page.
        ValueError
            The document has no `source`.
        """
        from PIL import Image

        from paragraph_ocr.formats.overlay import draw_overlay
        from paragraph_ocr.io.imaging import decode

        if not 1 <= number <= len(self.pages):
            raise IndexError(f"There is no page {number}; the document has {len(self.pages)}.")
        pixels = next(decode(self._get_source(), first=number))
        return Image.fromarray(draw_overlay(pixels, self.pages[number - 1]))

    def show(self, number: int = 1) -> None:
        """Open the overlay of a page in the system's image viewer; errors are those of `overlay`."""
        self.overlay(number).show()

    def _get_source(self) -> bytes:
        if self.source is None:
            raise ValueError("The document was read without keeping its source; read it with paragraph_ocr.Reader.")
        return self.source

    def to_text(self) -> str:
        """Return the text with every line ended, and a form feed between one page and the next."""
        return "\f".join(page.to_text() for page in self.pages)

    def to_dict(self) -> dict[str, Any]:
        """Return the document for JSON: its single page, or the `head` with a list of the pages."""
        pages = [page.to_dict() for page in self.pages]
        return pages[0] if len(pages) == 1 else {**self.head(), "pages": pages}

    def head(self) -> dict[str, Any]:
        """Return name, text and confidence of the whole document for JSON; iterates over the pages once."""
        texts: list[str] = []
        characters, weighted = 0, 0.0
        for page in self.pages:
            texts.append(page.text)
            for line in page.lines:
                characters += len(line.text)
                weighted += line.confidence * len(line.text)
        confidence = weighted / characters if characters else 0.0
        return {"image": self.image, "text": "\f".join(texts), "confidence": round(confidence, 4)}


def _confidence(lines: Sequence[Line]) -> float:
    characters = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / characters if characters else 0.0
