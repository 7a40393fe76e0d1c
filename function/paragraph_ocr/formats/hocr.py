"""hOCR 1.2 (https://kba.github.io/hocr-spec/1.2/) in XHTML 1.0."""

import math
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from paragraph_ocr import __version__
from paragraph_ocr.document import Box, Document, Line, Page, bounds
from paragraph_ocr.formats.xml import bounds_of_lines, check_time, child, clean, clipped, written

_XHTML = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">\n'
)


_CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocr_header ocr_pageno ocr_table ocrx_block ocrp_wconf"
# What a block is besides an area of the page's content (hOCR 1.2, 5 and 6).
_CLASSES = {"heading": "ocr_header", "page_number": "ocr_pageno", "table": "ocr_table", "margin": "ocrx_block"}


def write(document: Document, _: object = None, deadline: float = math.inf, __: object = None) -> Iterator[bytes]:
    """Yield the document in parts; raises DeadlineExceeded when `perf_counter` passes the deadline."""
    html = ElementTree.Element("html", {"xmlns": "http://www.w3.org/1999/xhtml"})
    head = child(html, "head")
    child(head, "title").text = clean(document.image)
    child(head, "meta", {"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"})
    child(head, "meta", name="ocr-system", content=f"paragraph-ocr {__version__}")
    child(head, "meta", name="ocr-number-of-pages", content=len(document.pages))
    child(head, "meta", name="ocr-capabilities", content=_CAPABILITIES)
    pages = (_page(document, page, deadline) for page in document.pages)
    return written(_XHTML, html, child(html, "body"), pages)


def _page(document: Document, page: Page, deadline: float) -> ElementTree.Element:
    name = clean(document.image).replace('"', "'")
    title = f'image "{name}"; bbox 0 0 {page.width} {page.height}; ppageno {page.page - 1}'
    sheet = ElementTree.Element("div", {"class": "ocr_page", "id": f"page_{page.page}", "title": title})
    # An element without content would be left open where the file is read as HTML.
    sheet.text = "\n"
    if not page.lines:
        return sheet
    for place, block in enumerate(page.layout, 1):
        outline = _bbox(bounds_of_lines(page, block.lines), page)
        kinds = " ".join(filter(None, ["ocr_carea", _CLASSES.get(block.kind)]))
        area = child(sheet, "div", {"class": kinds}, id=f"block_{page.page}_{place}", title=outline)
        # A list has a paragraph for each item, a table for each cell.
        cells = [cell.lines for row in block.rows for cell in row if cell.lines]
        for count, indices in enumerate(block.items or cells or [block.lines], 1):
            title = _bbox(bounds_of_lines(page, indices), page)
            paragraph = child(area, "p", {"class": "ocr_par"}, id=f"par_{page.page}_{place}_{count}", title=title)
            _lines(paragraph, page, indices, deadline)
    return sheet


def _lines(parent: ElementTree.Element, page: Page, indices: Sequence[int], deadline: float) -> None:
    for index in indices:
        line, number = page.lines[index], index + 1
        check_time(deadline)
        name = f"line_{page.page}_{number}"
        title = _bbox(line.box, page) + _baseline(line, page)
        row = child(parent, "span", {"class": "ocr_line"}, id=name, title=title)
        if not line.words:
            # As above: a line that a person marked as unreadable.
            row.text = "\n"
        for count, word in enumerate(line.words, 1):
            title = f"{_bbox(bounds(word.polygon), page)}; x_wconf {round(100 * word.confidence)}"
            child(row, "span", {"class": "ocrx_word"}, id=f"{name}_{count}", title=title).text = clean(word.text)


def _bbox(box: Box, page: Page) -> str:
    return "bbox {} {} {} {}".format(*clipped(box, page))


def _baseline(line: Line, page: Page) -> str:
    """The slope of the baseline, and how far from the box's lower left corner it begins."""
    if len(line.baseline) < 2:
        return ""
    (x0, y0), (x1, y1) = line.baseline[0], line.baseline[-1]
    slope = (y1 - y0) / (x1 - x0) if x1 - x0 >= 1 else 0.0
    left, _, _, bottom = clipped(line.box, page)
    return f"; baseline {slope:.4f} {y0 + slope * (left - x0) - bottom:.1f}"
