"""Import hOCR 1.2, as Tesseract, kraken and this project write it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from training.importers import marks
from training.importers.page_xml import DescribedPage
from training.importers.records import FoundLine, FoundPage, ImportRefused, Points
from training.importers.safe_xml import GREATEST, LARGEST, box

_LINES = {"ocr_line", "ocrx_line", "ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_pageno"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_STRUCK = {"del", "s", "strike"}
# Degrees.
STEEPEST = 10.0
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"


@dataclass
class _Line:
    title: str
    name: str
    parts: list[str] = field(default_factory=list)
    length: int = 0
    struck: list[tuple[int, int]] = field(default_factory=list)
    word_spans: list[tuple[int, int]] = field(default_factory=list)
    has_lines: bool = False

    @property
    def text(self) -> str:
        """All that was added."""
        return "".join(self.parts)


@dataclass
class _Page:
    title: str
    lines: list[_Line] = field(default_factory=list)


class _Parser(HTMLParser):
    """Collects pages and lines; tolerates what HTML does."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pages: list[_Page] = []
        self.own = False
        self._stack: list[tuple[str, _Line | None, int]] = []
        # How many elements of each name are open.
        self._open: Counter[str] = Counter()
        self._lines: list[_Line] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "meta" and given.get("name") == "ocr-system":
            self.own = given.get("content", "").startswith("paragraph-ocr")
        if tag in _VOID:
            return
        classes = set(given.get("class", "").split())
        line = None
        if "ocr_page" in classes:
            self.pages.append(_Page(given.get("title", "")))
        elif classes & _LINES and self.pages:
            # This project marks areas that are headings as such, too: what has lines in it is no line.
            if self._lines:
                self._lines[-1].has_lines = True
            line = _Line(given.get("title", ""), given.get("id", ""))
            self._lines.append(line)
            self.pages[-1].lines.append(line)
        start = self._lines[-1].length if self._lines else 0
        kind = "ocrx_word" if classes & {"ocrx_word", "ocr_word"} else tag
        self._stack.append((f"{tag} {kind}", line, start))
        self._open[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        if not self._open[tag]:
            return
        while self._stack:
            name, line, start = self._stack.pop()
            opened, kind = name.split()
            self._open[opened] -= 1
            if self._lines and line is None:
                current = self._lines[-1]
                if kind in _STRUCK:
                    current.struck.append((start, current.length))
                elif kind == "ocrx_word":
                    current.word_spans.append((start, current.length))
            if line is not None:
                self._lines.pop()
            if opened == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._lines:
            self._lines[-1].parts.append(data)
            self._lines[-1].length += len(data)


def read(path: Path) -> Iterator[DescribedPage]:
    """Yield the pages of a file; none if it is HTML other than hOCR.

    Raises
    ------
    ImportRefused
        It cannot be read.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ImportRefused(f"it has more than {LARGEST // 2**20} MiB")
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise ImportRefused(f"it cannot be read: {error.strerror}") from error
    parser = _Parser()
    parser.feed(text)
    parser.close()
    for position, page in enumerate(parser.pages, 1):
        lines = [_line(line, place) for place, line in enumerate(page.lines, 1) if not line.has_lines]
        bounds = _numbers(page.title, "bbox")
        left, top, right, bottom = bounds if len(bounds) == 4 else (0.0, 0.0, 0.0, 0.0)
        named = re.search(r"\bimage\s+(?:\"([^\"]*)\"|'([^']*)'|([^;,\s][^;,]*))", page.title)
        image = next(filter(None, named.groups()), "").strip() if named else ""
        number = _numbers(page.title, "ppageno")
        found = FoundPage(tuple(lines), right - min(left, 0), bottom - min(top, 0), as_shown=parser.own)
        yield DescribedPage(image, int(number[0]) + 1 if number else position, found, ())


def _numbers(title: str, name: str) -> list[float]:
    """The numbers behind a property's name."""
    found = re.search(rf"(?:^|[;,\s]){name}\s+({_NUMBER}(?:[\s,]+{_NUMBER})*)", title, re.IGNORECASE)
    values = [float(each) for each in re.findall(_NUMBER, found[1], re.IGNORECASE)] if found else []
    return values if all(abs(each) <= GREATEST for each in values) else []


def _line(line: _Line, place: int) -> FoundLine:
    text, struck = line.text, line.struck
    if len(line.word_spans) > 1 and not text.strip().count(" ") and len(text.split()) == 1:
        # Words without any space between them.
        words = [text[start:end] for start, end in line.word_spans]
        text = " ".join(words)
        if struck:
            struck = [(0, len(text))] if struck == [(0, len(line.text))] else []
    corners = _numbers(line.title, "bbox")
    boxes = _numbers(line.title, "x_bboxes")
    if len(corners) != 4 and len(boxes) >= 4:
        boxes = boxes[: len(boxes) // 4 * 4]
        corners = [min(boxes[::4]), min(boxes[1::4]), max(boxes[2::4]), max(boxes[3::4])]
    outline = _numbers(line.title, "poly")
    polygon: Points = list(zip(outline[::2], outline[1::2], strict=False)) if len(outline) >= 6 else []
    baseline: Points = []
    if len(corners) == 4:
        left, _, right, bottom = corners
        polygon = polygon or box(*corners)
        slope = _numbers(line.title, "baseline")
        if slope:
            # A polynomial of the distance from the lower left corner, its highest power first.
            across = [right * step / 8 + left * (8 - step) / 8 for step in (range(9) if len(slope) > 2 else (0, 8))]
            height = [sum(each * (x - left) ** power for power, each in enumerate(reversed(slope))) for x in across]
            baseline = [(x, bottom + y) for x, y in zip(across, height, strict=True)]
    marked = marks.resolve(text, struck)
    raw = " ".join(text.split())
    doubt = marked.doubt
    if not doubt and _is_steep(line.title, corners, marked.text):
        doubt = "it is not horizontal, and hOCR does not say how its letters stand"
    return FoundLine(f"line {line.name or place}", marked.text, raw, polygon, baseline, marked.struck, doubt)


def _is_steep(title: str, corners: list[float], text: str) -> bool:
    """Whether the box of a line says nothing of where its letters stand."""
    if angle := _numbers(title, "textangle"):
        return abs((angle[0] + 180) % 360 - 180) > STEEPEST
    if len(corners) != 4 or len(text) < 4:
        return False
    left, top, right, bottom = corners
    return bottom - top > 1.5 * (right - left)
