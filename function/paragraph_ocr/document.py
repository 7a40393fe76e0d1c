"""The results of reading: a document of pages, a page of blocks and lines, a line of words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
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
    source : str
        "pdf" if the line is text that a page of a PDF carries, with a confidence of 1; empty if it was read.
    corrected : bool
        Whether a person changed, added or confirmed the line.
    reading : str, optional
        The text that was read before the correction; None of an added line.
    unreadable : bool
        Whether a person marked the line as writing that cannot be read; its text is empty then.
    """

    text: str
    confidence: float
    polygon: Points
    baseline: Points
    words: tuple[Word, ...]
    source: str = ""
    corrected: bool = False
    reading: str | None = None
    unreadable: bool = False

    @property
    def box(self) -> Box:
        """The polygon's bounds: left, top, right, bottom."""
        return bounds(self.polygon)


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    lines : tuple of int
        Places in the page's lines; none where the cell is empty.
    """

    lines: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """Lines of a page that belong together.

    Attributes
    ----------
    kind : str
        One of `BLOCK_KINDS`.
    lines : tuple of int
        Places in the page's lines, in reading order.
    level : int
        Of a heading: 1 for a title, 2 for another; else 0.
    items : tuple of tuple of int
        The lines of each item of a list.
    rows : tuple of tuple of Cell
        A table's, each with as many cells as the table has columns.
    hard_breaks : tuple of int
        Those of `lines` at whose ends the text breaks also where lines are joined, as in verse and addresses.
    """

    kind: str
    lines: tuple[int, ...]
    level: int = 0
    items: tuple[tuple[int, ...], ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    hard_breaks: tuple[int, ...] = ()


BLOCK_KINDS = ("heading", "paragraph", "list", "table", "margin", "page_number", "signature")
# What a page can hold for the reader.
CONTENTS = ("text", "none", "unreadable")
# What is told of pages that hold no text.
NOTES = {
    "none": "No text was found.",
    "unreadable": "This is probably no text in Latin script, or too blurred: what was read is likely to be wrong.",
}
# A word of lower confidence is doubtful, and has this behind it where such words are marked.
DOUBTFUL, MARK = 0.85, "[?]"


@dataclass(frozen=True)
class TextStyle:
    """How text is written of lines.

    Attributes
    ----------
    joined : bool
        Whether the lines of a paragraph run on between its hard breaks, rather than each being a line.
    marked : bool
        Whether doubtful words are marked.
    hyphens : tuple of int
        Places of the lines whose last hyphen goes where lines are joined.
    """

    joined: bool = False
    marked: bool = False
    hyphens: tuple[int, ...] = ()


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
    blocks : tuple of Block
        In reading order, every line in one of them; empty where they have not been looked for.
    style : TextStyle
        How `text` is written.
    unreadable : bool
        Whether most of what was read is probably not what stands there: another script, a picture or noise.
    upright : bool
        Whether the searchable PDF shows the page turned by its rotation, so that the text is upright.
    wrong_text : bool
        Whether the page of a PDF carries text that is not what it shows, so that it was read instead.
    reading : str, optional
        The text that was read before a person corrected the page.
    """

    image: str
    page: int
    width: int
    height: int
    rotation: int
    lines: tuple[Line, ...]
    model: Mapping[str, str]
    timings_ms: Mapping[str, float]
    blocks: tuple[Block, ...] = ()
    style: TextStyle = TextStyle()
    unreadable: bool = False
    upright: bool = False
    wrong_text: bool = False
    reading: str | None = None

    @property
    def content(self) -> str:
        """One of `CONTENTS`: "none" where no text was found, "unreadable" where it is not or probably wrongly read."""
        if self.unreadable:
            return "unreadable"
        return "text" if self.lines else "none"

    @property
    def layout(self) -> tuple[Block, ...]:
        """The blocks; one paragraph of all lines where they have not been looked for."""
        if self.blocks or not self.lines:
            return self.blocks
        return (Block("paragraph", tuple(range(len(self.lines)))),)

    @property
    def text(self) -> str:
        """The lines' text, a line each; where lines are joined, a paragraph each, with an empty line between two."""
        if self.style.joined:
            return "\n\n".join(self.text_of(block) for block in self.layout)
        return "\n".join(map(self.text_of_line, range(len(self.lines))))

    def text_of_line(self, index: int) -> str:
        """The text of a line, its doubtful words marked where that is asked for."""
        line = self.lines[index]
        if not self.style.marked:
            return line.text
        # Rounded as in `to_dict`, so that text and confidences of an answer agree.
        return " ".join(word.text + MARK * (round(word.confidence, 4) < DOUBTFUL) for word in line.words) or line.text

    def text_of(self, block: Block) -> str:
        """The text of a block: a line each, or as one, but a line for each row of a table and each item of a list."""
        if not self.style.joined:
            return "\n".join(map(self.text_of_line, block.lines))
        if block.rows:
            return "\n".join("\t".join(self.flow(cell.lines) for cell in row) for row in block.rows)
        return "\n".join(map(self.flow, block.items)) if block.items else "\n".join(self.passages(block))

    def passages(self, block: Block) -> list[str]:
        """The text of a block without items and rows, joined between its hard breaks."""
        passages: list[list[int]] = [[]]
        for index in block.lines:
            passages[-1].append(index)
            if index in block.hard_breaks:
                passages.append([])
        return [self.flow(indices) for indices in passages if indices]

    def flow(self, indices: Sequence[int]) -> str:
        """The text of lines that run on, without the hyphens that only ends of lines had."""
        text = ""
        for place, index in enumerate(indices):
            last = place + 1 == len(indices)
            own = self.text_of_line(index)
            if index in self.style.hyphens and not last:
                marked = own.endswith(MARK)
                text += own.removesuffix(MARK).rstrip()[:-1].rstrip() + MARK * marked
            else:
                # A word that keeps its hyphen at the end of a line is one word, too.
                text += own + ("" if last or _ends_in_hyphen(own) else " ")
        return text

    @property
    def confidence(self) -> float:
        """Mean confidence of the lines, weighted by their length; 0 if there is no text."""
        return mean_confidence(self.lines)

    def to_text(self) -> str:
        """Return the text with every line ended, and an empty line between one block and the next."""
        return "\n".join(f"{self.text_of(block)}\n" for block in self.layout)

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
            "content": self.content,
            **({} if self.reading is None else {"reading": self.reading}),
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
                    **({"source": line.source} if line.source else {}),
                    **_correction(line),
                }
                for line in self.lines
            ],
            "blocks": [self._block(block, clipped) for block in self.layout],
            "model": dict(self.model),
            "timings_ms": {step: round(value, 1) for step, value in self.timings_ms.items()},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], style: TextStyle = TextStyle()) -> Page:
        """Return the page of which `to_dict` made this.

        Parameters
        ----------
        found : mapping
            Other entries than those of `to_dict` are ignored.
        style : TextStyle
            How the text was written, of which `to_dict` gives only the result.

        Raises
        ------
        KeyError, TypeError, ValueError
            An entry is missing or of another type.
        """
        return cls(
            image=_typed(found["image"], str),
            page=_typed(found["page"], int),
            width=_typed(found["width"], int),
            height=_typed(found["height"], int),
            rotation=_typed(found["rotation"], int),
            lines=tuple(
                Line(
                    text=_typed(line["text"], str),
                    confidence=_number(line["confidence"]),
                    polygon=_points(line["polygon"]),
                    baseline=_points(line["baseline"]),
                    words=tuple(
                        Word(_typed(word["text"], str), _number(word["confidence"]), _points(word["polygon"]))
                        for word in line["words"]
                    ),
                    source=_typed(line.get("source", ""), str),
                    corrected=line.get("corrected") is True,
                    reading=None if line.get("reading") is None else _typed(line["reading"], str),
                    unreadable=line.get("unreadable") is True,
                )
                for line in found["lines"]
            ),
            model={_typed(part, str): _typed(name, str) for part, name in found["model"].items()},
            timings_ms={_typed(step, str): _number(value) for step, value in found["timings_ms"].items()},
            blocks=tuple(
                Block(
                    kind=_typed(block["type"], str),
                    lines=_places(block["lines"]),
                    level=_typed(block.get("level", 0), int),
                    items=tuple(map(_places, block.get("items", ()))),
                    rows=tuple(tuple(Cell(_places(cell)) for cell in row) for row in block.get("rows", ())),
                    hard_breaks=_places(block.get("hard_breaks", ())),
                )
                for block in found["blocks"]
            ),
            style=style,
            # Earlier versions of the service did not tell.
            unreadable=found.get("content") == "unreadable",
            reading=None if found.get("reading") is None else _typed(found["reading"], str),
        )

    def _block(self, block: Block, clipped: Callable[[Points], list[list[float]]]) -> dict[str, Any]:
        outline = tuple(point for index in block.lines for point in self.lines[index].polygon)
        found: dict[str, Any] = {"type": block.kind, "lines": list(block.lines), "box": list(bounds(clipped(outline)))}
        if block.level:
            found["level"] = block.level
        if block.items:
            found["items"] = [list(item) for item in block.items]
        if block.rows:
            found["rows"] = [[list(cell.lines) for cell in row] for row in block.rows]
        if block.hard_breaks:
            found["hard_breaks"] = list(block.hard_breaks)
        return found


@dataclass(frozen=True)
class Document:
    """A file and its pages.

    Attributes
    ----------
    image : str
        Name or path, as the caller gave it.
    pages : sequence of Page
        At least one, in the file's order; a tuple, or a sequence that loads each page when it is accessed.
    numbers : tuple of int
        Of the pages in the file, from 1, where they are not all of it; else empty.
    """

    image: str
    pages: Sequence[Page]
    numbers: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """Text of the pages, separated by form feeds."""
        return "\f".join(page.text for page in self.pages)

    @property
    def confidence(self) -> float:
        """Mean of the lines' confidence, weighted by their length; 0 where there is no text."""
        return mean_confidence([line for page in self.pages for line in page.lines])

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
                weighted += round(line.confidence, 4) * len(line.text)
        confidence = weighted / characters if characters else 0.0
        return {"image": self.image, "text": "\f".join(texts), "confidence": round(confidence, 4)}


def _correction(line: Line) -> dict[str, Any]:
    """What a person did to a line; nothing for a line that is as it was read."""
    if not line.corrected:
        return {}
    reading = {} if line.reading is None else {"reading": line.reading}
    return {"corrected": True, **reading, **({"unreadable": True} if line.unreadable else {})}


def _typed(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{kind.__name__} expected, not {type(value).__name__}")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"a finite number expected, not {type(value).__name__}")
    return float(value)


def _points(points: Any) -> Points:
    return tuple((_number(x), _number(y)) for x, y in points)


def _places(places: Any) -> tuple[int, ...]:
    return tuple(_typed(place, int) for place in places)


def _ends_in_hyphen(text: str) -> bool:
    return len(text) > 1 and text[-1] in "-\u2010" and text[-2].isalpha()


def mean_confidence(lines: Sequence[Line]) -> float:
    """Return the mean confidence of lines, weighted by their length; 0 if there is no text."""
    characters = sum(len(line.text) for line in lines)
    # Rounded as in `Page.to_dict`, so that a page made of its JSON has the same confidence.
    return sum(round(line.confidence, 4) * len(line.text) for line in lines) / characters if characters else 0.0
