"""Import PAGE XML of any version, as Transkribus, eScriptorium, kraken, OCR-D and this project write it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from training.importers import marks
from training.importers.records import FoundLine, FoundPage, Points
from training.importers.safe_xml import local, number, parse_points

# What Transkribus writes into the attribute custom: name {key:value; key:value;}
_CUSTOM = re.compile(r"([\w-]+)\s*\{([^{}]*)\}")
# Tags of passages whose text is not certainly what is on the page.
_UNREAD = {"unclear", "gap", "supplied", "blackening"}


@dataclass(frozen=True)
class DescribedPage:
    """A page of a file.

    Attributes
    ----------
    image : str
        The image that the file names; may be empty.
    number : int
        Page of the image, from 1, as far as the file gives it; else 0.
    page : FoundPage
    problems : tuple of (str, str)
        Names of regions and lines, and what is wrong with each.
    """

    image: str
    number: int
    page: FoundPage
    problems: tuple[tuple[str, str], ...]


def children(element: Element, *names: str) -> Iterator[Element]:
    """Yield the direct children of an element that have one of these names, in any namespace."""
    return (each for each in element if local(each.tag) in names)


def read(root: Element) -> Iterator[DescribedPage]:
    """Yield the pages of a file.

    Parameters
    ----------
    root : Element
        ``PcGts``, or ``Pages`` with several of them, as this project writes documents of several pages.
    """
    sheets = [root] if local(root.tag) == "PcGts" else list(children(root, "PcGts"))
    for position, sheet in enumerate(sheets, 1):
        creator = next((each.text or "" for each in sheet.iter() if local(each.tag) == "Creator"), "")
        for page in children(sheet, "Page"):
            yield _page(page, creator.startswith("paragraph-ocr"), position)


def _page(page: Element, own: bool, position: int) -> DescribedPage:
    lines: list[FoundLine] = []
    ignore: list[Points] = []
    problems: list[tuple[str, str]] = []
    region_texts = _region_texts(page)
    for element in _in_order(page, _region_order(page)):
        if local(element.tag) == "TextLine":
            lines.append(_line(element, region_texts.get(element, ""), len(lines) + 1, problems))
        elif not any(local(each.tag) == "TextLine" for each in element.iter()):
            try:
                ignore.append(_points(element, "Coords"))
            except ValueError:
                problems.append((f"region {element.get('id', '')}", "its outline is damaged"))
    claimed = position if own else 0
    if own:
        # The pages of a document may be some of those of its file.
        groups = (each.get("id", "") for each in page.iter() if local(each.tag) == "OrderedGroup")
        claimed = next((int(each[6:]) for each in groups if re.fullmatch(r"order_\d{1,6}", each)), position)
    turned = number(page.get("orientation"))
    found = FoundPage(
        tuple(lines),
        number(page.get("imageWidth")),
        number(page.get("imageHeight")),
        tuple(ignore),
        # The schema counts clockwise how far the image is to be turned; this project, how far its text is turned.
        rotation=round(-turned) % 360 if own and turned % 90 == 0 else None,
        as_shown=own,
    )
    return DescribedPage(page.get("imageFilename", ""), claimed, found, tuple(problems))


def _region_order(page: Element) -> dict[str, int]:
    """The places of regions in the reading order of a page, by their names."""
    references = [each.get("regionRef", "") for each in page.iter() if local(each.tag).startswith("RegionRef")]
    return {name: place for place, name in enumerate(references)}


def _in_order(parent: Element, regions: dict[str, int]) -> Iterator[Element]:
    """The text regions and lines below an element, in reading order as far as that is given."""

    def place(element: Element) -> float:
        if element.get("id") in regions:
            return regions[element.get("id", "")]
        order = re.search(r"\breadingOrder\s*\{\s*index\s*:\s*(\d{1,9})", element.get("custom", ""))
        return int(order[1]) if order else math.inf

    for element in sorted(parent, key=place):
        name = local(element.tag)
        if name in ("TextRegion", "TextLine"):
            yield element
        if name.endswith("Region") or name == "TableCell":
            yield from _in_order(element, regions)


def _region_texts(page: Element) -> dict[Element, str]:
    """The texts of lines that have none of their own, where their region has as many lines of text."""
    texts: dict[Element, str] = {}
    for region in page.iter():
        own = list(children(region, "TextLine"))
        if own and not any(_text(line) for line in own):
            rows = [row for row in _equivalent(region).splitlines() if row.strip()]
            if len(rows) == len(own):
                texts.update(zip(own, rows, strict=True))
    return texts


def _points(element: Element, name: str) -> Points:
    """The points of an outline or baseline, as an attribute or, in old versions, as elements."""
    for child in children(element, name):
        if child.get("points") is not None:
            return parse_points(child.get("points"))
        return parse_points(" ".join(f"{each.get('x')},{each.get('y')}" for each in children(child, "Point")))
    return []


def _equivalent(element: Element) -> str:
    """The text of an element: of several, that of the lowest index, else of the highest confidence."""
    found = list(children(element, "TextEquiv"))
    if not found:
        return ""
    numbered = [each for each in found if re.fullmatch(r"\s*-?[0-9]{1,9}\s*", each.get("index", ""))]
    if numbered:
        best = min(numbered, key=lambda each: int(each.get("index") or 0))
    else:
        best = max(found, key=lambda each: number(each.get("conf")))
    texts = {local(each.tag): "".join(each.itertext()) for each in best}
    return texts.get("Unicode") or texts.get("PlainText") or ""


def _text(line: Element) -> str:
    return _equivalent(line) or " ".join(filter(None, map(_word, children(line, "Word"))))


def _word(word: Element) -> str:
    return _equivalent(word) or "".join(map(_equivalent, children(word, "Glyph")))


def _is_struck(element: Element) -> bool:
    return any(each.get("strikethrough") in ("true", "1") for each in children(element, "TextStyle"))


def _line(line: Element, from_region: str, place: int, problems: list[tuple[str, str]]) -> FoundLine:
    name = f"line {line.get('id') or place}"
    points: dict[str, Points] = {}
    for kind in ("Coords", "Baseline"):
        try:
            points[kind] = _points(line, kind)
        except ValueError:
            points[kind] = []
            problems.append((name, f"its {'outline' if kind == 'Coords' else 'baseline'} is damaged"))
    text = _text(line) or from_region
    tags = list(_tags(line.get("custom", ""), text))
    struck = [
        span
        for kind, span, attributes in tags
        if kind == "textStyle" and attributes.get("strikethrough") in ("true", "1")
    ]
    unclear = [span for kind, span, _ in tags if kind in _UNREAD and (span[0] < span[1] or kind == "gap")]
    words = [(_word(word), _is_struck(word)) for word in children(line, "Word")]
    if _is_struck(line):
        struck = [(0, len(text))]
    elif any(gone for _, gone in words):
        struck += _struck_words(text, words)
    marked = marks.resolve(text, struck, unclear)
    return FoundLine(name, marked.text, text, points["Coords"], points["Baseline"], marked.struck, marked.doubt)


def _struck_words(text: str, words: Iterable[tuple[str, bool]]) -> Iterator[tuple[int, int]]:
    """Where the words that are crossed out stand in a line's text."""
    at = 0
    for word, struck in words:
        start = text.find(word, at) if word else -1
        if start >= 0:
            at = start + len(word)
            if struck:
                yield start, at


def _tags(custom: str, text: str) -> Iterator[tuple[str, tuple[int, int], dict[str, str]]]:
    """Name, start and end in the text, and attributes of each tag of Transkribus, which counts as Java does."""
    for kind, content in _CUSTOM.findall(custom):
        pairs = (each.split(":", 1) for each in content.split(";") if ":" in each)
        attributes = {key.strip(): value.strip() for key, value in pairs}
        start, length = number(attributes.get("offset")), number(attributes.get("length"))
        span = _from_utf16(text, int(start)), _from_utf16(text, int(start + length))
        yield kind, span, attributes


def _from_utf16(text: str, offset: int) -> int:
    """The place in a text of an offset that counts characters beyond the basic plane twice."""
    units = 0
    for index, character in enumerate(text):
        if units >= offset:
            return index
        units += 2 if ord(character) > 0xFFFF else 1
    return len(text)
