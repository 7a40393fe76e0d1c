"""What the formats that are XML have in common: elements, characters and places."""

import re
from collections.abc import Iterable, Iterator, Mapping
from math import ceil, floor
from time import perf_counter
from types import MappingProxyType
from xml.etree import ElementTree

from paragraph_ocr.document import Box, Page, bounds
from paragraph_ocr.errors import DeadlineExceeded

# Characters that XML 1.0 (2.2) does not allow, but names of files may contain.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_time(deadline: float) -> None:
    """Raise DeadlineExceeded if `perf_counter` is past the deadline."""
    if perf_counter() > deadline:
        raise DeadlineExceeded("Writing the answer takes longer than the limit; send fewer pages.")


def written(
    doctype: str, root: ElementTree.Element, parent: ElementTree.Element, pages: Iterable[ElementTree.Element]
) -> Iterator[bytes]:
    """Yield a file in parts: what comes before the pages, each page within `parent`, and what comes after."""
    mark = ElementTree.Comment("pages")
    parent.append(mark)
    ElementTree.indent(root, "")
    before, after = ElementTree.tostring(root, "unicode").split("<!--pages-->")
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}{before}'.encode()
    separator = ""
    for page in pages:
        ElementTree.indent(page, "")
        yield (separator + ElementTree.tostring(page, "unicode")).encode()
        separator = "\n"
    yield after.encode()


def bounds_of_lines(page: Page, indices: Iterable[int]) -> Box:
    """The bounding box of some lines of a page: left, top, right, bottom."""
    return bounds([point for index in indices for point in page.lines[index].polygon])


def clipped(box: Box, page: Page) -> tuple[int, int, int, int]:
    """The pixels of the page that a box touches."""
    left, right = (min(max(x, 0), page.width) for x in (box[0], box[2]))
    top, bottom = (min(max(y, 0), page.height) for y in (box[1], box[3]))
    return floor(left), floor(top), ceil(right), ceil(bottom)


def child(
    parent: ElementTree.Element, tag: str, attributes: Mapping[str, object] = MappingProxyType({}), **more: object
) -> ElementTree.Element:
    """Append a child element; values of attributes become text."""
    return ElementTree.SubElement(
        parent, tag, {name: str(value) for name, value in (*attributes.items(), *more.items())}
    )


def clean(text: str) -> str:
    """The text with U+FFFD for characters that XML does not allow."""
    return _NO_XML.sub("\ufffd", text)
