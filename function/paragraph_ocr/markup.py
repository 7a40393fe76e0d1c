"""Write a document that was read as hOCR or as ALTO, page by page."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from math import ceil, floor
from time import perf_counter
from types import MappingProxyType
from xml.etree import ElementTree

from paragraph_ocr import __version__
from paragraph_ocr.document import Box, Document, Line, Page, Points, bounds
from paragraph_ocr.errors import DeadlineExceeded

# What XML 1.0 (2.2) has no place for; names of files may hold it.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XHTML = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">\n'
)
_ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
_ALTO_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-2.xsd"


def hocr(document: Document, deadline: float = math.inf) -> Iterator[bytes]:
    """Yield the document as hOCR 1.2 (https://kba.github.io/hocr-spec/1.2/) in XHTML 1.0.

    Raises DeadlineExceeded when `perf_counter` passes the deadline.
    """
    html = ElementTree.Element("html", {"xmlns": "http://www.w3.org/1999/xhtml"})
    head = _child(html, "head")
    _child(head, "title").text = _xml(document.image)
    _child(head, "meta", {"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"})
    _child(head, "meta", name="ocr-system", content=f"paragraph-ocr {__version__}")
    _child(head, "meta", name="ocr-number-of-pages", content=len(document.pages))
    _child(head, "meta", name="ocr-capabilities", content="ocr_page ocr_carea ocr_line ocrx_word ocrp_wconf")
    pages = (_hocr_page(document, page, deadline) for page in document.pages)
    return _written(_XHTML, html, _child(html, "body"), pages)


def _hocr_page(document: Document, page: Page, deadline: float) -> ElementTree.Element:
    name = _xml(document.image).replace('"', "'")
    title = f'image "{name}"; bbox 0 0 {page.width} {page.height}; ppageno {page.page - 1}'
    sheet = ElementTree.Element("div", {"class": "ocr_page", "id": f"page_{page.page}", "title": title})
    # An element without content would be left open where the file is read as HTML.
    sheet.text = "\n"
    if not page.lines:
        return sheet
    area = _child(sheet, "div", {"class": "ocr_carea"}, title=_bbox(_block(page), page))
    for number, line in enumerate(page.lines, 1):
        _check(deadline)
        name = f"line_{page.page}_{number}"
        title = _bbox(line.box, page) + _hocr_baseline(line, page)
        row = _child(area, "span", {"class": "ocr_line"}, id=name, title=title)
        for count, word in enumerate(line.words, 1):
            title = f"{_bbox(bounds(word.polygon), page)}; x_wconf {round(100 * word.confidence)}"
            _child(row, "span", {"class": "ocrx_word"}, id=f"{name}_{count}", title=title).text = _xml(word.text)
    return sheet


def _check(deadline: float) -> None:
    if perf_counter() > deadline:
        raise DeadlineExceeded("Writing the answer takes longer than the limit; send fewer pages.")


def _bbox(box: Box, page: Page) -> str:
    return "bbox {} {} {} {}".format(*_clipped(box, page))


def _hocr_baseline(line: Line, page: Page) -> str:
    """The slope of the baseline, and how far from the box's lower left corner it begins."""
    if len(line.baseline) < 2:
        return ""
    (x0, y0), (x1, y1) = line.baseline[0], line.baseline[-1]
    slope = (y1 - y0) / (x1 - x0) if x1 - x0 >= 1 else 0.0
    left, _, _, bottom = _clipped(line.box, page)
    return f"; baseline {slope:.4f} {y0 + slope * (left - x0) - bottom:.1f}"


def alto(document: Document, deadline: float = math.inf) -> Iterator[bytes]:
    """Yield the document as ALTO 4.2 (https://www.loc.gov/standards/alto/).

    Raises DeadlineExceeded when `perf_counter` passes the deadline.
    """
    root = ElementTree.Element(
        "alto",
        {
            "xmlns": _ALTO,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{_ALTO} {_ALTO_SCHEMA}",
            "SCHEMAVERSION": "4.2",
        },
    )
    description = _child(root, "Description")
    _child(description, "MeasurementUnit").text = "pixel"
    _child(_child(description, "sourceImageInformation"), "fileName").text = _xml(document.image)
    processing = _child(description, "Processing", ID="reading")
    _child(processing, "processingCategory").text = "contentGeneration"
    models = document.pages[0].model.values()
    _child(processing, "processingStepSettings").text = " ".join(models)
    software = _child(processing, "processingSoftware")
    _child(software, "softwareName").text = "paragraph-ocr"
    _child(software, "softwareVersion").text = __version__
    pages = (_alto_page(page, deadline) for page in document.pages)
    return _written("", root, _child(root, "Layout"), pages)


def _alto_page(page: Page, deadline: float) -> ElementTree.Element:
    size = {"HEIGHT": str(page.height), "WIDTH": str(page.width)}
    named = {"ID": f"page_{page.page}", "PHYSICAL_IMG_NR": str(page.page), "PROCESSINGREFS": "reading"}
    sheet = ElementTree.Element("Page", {**size, **named, "PC": f"{page.confidence:.4f}"})
    space = _child(sheet, "PrintSpace", size, HPOS=0, VPOS=0)
    if not page.lines:
        return sheet
    block = _child(space, "TextBlock", _place(_block(page), page), ID=f"block_{page.page}")
    for number, line in enumerate(page.lines, 1):
        _check(deadline)
        name = f"line_{page.page}_{number}"
        row = _child(block, "TextLine", _place(line.box, page), ID=name, BASELINE=_points(line.baseline, page))
        _shape(row, line.polygon, page)
        for count, word in enumerate(line.words, 1):
            if count > 1:
                _child(row, "SP")
            place = _place(bounds(word.polygon), page)
            content = {"CONTENT": _xml(word.text), "WC": f"{word.confidence:.4f}"}
            _shape(_child(row, "String", place, ID=f"{name}_{count}", **content), word.polygon, page)
    return sheet


def _written(
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


def _shape(parent: ElementTree.Element, polygon: Points, page: Page) -> None:
    _child(_child(parent, "Shape"), "Polygon", POINTS=_points(polygon, page))


def _points(points: Points, page: Page) -> str:
    return " ".join(f"{min(max(x, 0), page.width):.1f},{min(max(y, 0), page.height):.1f}" for x, y in points)


def _place(box: Box, page: Page) -> dict[str, object]:
    left, top, right, bottom = _clipped(box, page)
    return {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}


def _block(page: Page) -> Box:
    return bounds([point for line in page.lines for point in line.polygon])


def _clipped(box: Box, page: Page) -> tuple[int, int, int, int]:
    """The pixels of the page that a box touches."""
    left, right = (min(max(x, 0), page.width) for x in (box[0], box[2]))
    top, bottom = (min(max(y, 0), page.height) for y in (box[1], box[3]))
    return floor(left), floor(top), ceil(right), ceil(bottom)


def _child(
    parent: ElementTree.Element, tag: str, attributes: Mapping[str, object] = MappingProxyType({}), **more: object
) -> ElementTree.Element:
    return ElementTree.SubElement(
        parent, tag, {name: str(value) for name, value in (*attributes.items(), *more.items())}
    )


def _xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
