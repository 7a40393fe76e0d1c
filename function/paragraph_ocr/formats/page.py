"""PAGE XML 2019-07-15 (https://www.primaresearch.org/schema/PAGE/gts/pagecontent/2019-07-15/).

The format holds one page a file: of a document of several pages, each is a `PcGts` of its own, one after another within
a `Pages` element without a namespace, which programs for PAGE do not know; ask for one page at a time for them.
"""

import math
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from paragraph_ocr import __version__
from paragraph_ocr.document import Block, Document, Page, Points, bounds
from paragraph_ocr.formats.xml import bounds_of_lines, check_time, child, clean, clipped

NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
# The schema asks for a time; the same document, written twice, is the same file.
_NO_TIME = "1970-01-01T00:00:00Z"
# Types of text regions; a signature is text, too.
_TYPES = {
    "heading": "heading",
    "paragraph": "paragraph",
    "list": "list-label",
    "margin": "marginalia",
    "page_number": "page-number",
    "signature": "signature-mark",
}


def write(document: Document, _: object = None, deadline: float = math.inf, __: object = None) -> Iterator[bytes]:
    """Yield the document in parts; raises DeadlineExceeded when `perf_counter` passes the deadline."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    several = len(document.pages) > 1
    if several:
        yield b"<Pages>\n"
    for page in document.pages:
        root = _page(document, page, deadline)
        ElementTree.indent(root, "")
        yield ElementTree.tostring(root, "unicode").encode() + b"\n"
    if several:
        yield b"</Pages>\n"


def _page(document: Document, page: Page, deadline: float) -> ElementTree.Element:
    root = ElementTree.Element("PcGts", {"xmlns": NAMESPACE})
    metadata = child(root, "Metadata")
    child(metadata, "Creator").text = f"paragraph-ocr {__version__} {' '.join(page.model.values())}".strip()
    child(metadata, "Created").text = child(metadata, "LastChange").text = _NO_TIME
    name = clean(document.image)
    sheet = child(root, "Page", imageFilename=name, imageWidth=page.width, imageHeight=page.height)
    if page.rotation:
        # PAGE counts clockwise how far the image is to be turned, from -180 to 180.
        sheet.set("orientation", str((180 - page.rotation) % 360 - 180))
    sheet.set("conf", _confidence(page.confidence))
    layout = page.layout
    if not layout:
        return root
    order = child(child(sheet, "ReadingOrder"), "OrderedGroup", id=f"order_{page.page}")
    for place in range(len(layout)):
        child(order, "RegionRefIndexed", index=place, regionRef=f"region_{page.page}_{place + 1}")
    for place, block in enumerate(layout, 1):
        _region(sheet, page, block, f"region_{page.page}_{place}", deadline)
    return root


def _region(sheet: ElementTree.Element, page: Page, block: Block, name: str, deadline: float) -> None:
    if not block.rows:
        region = child(sheet, "TextRegion", id=name, type=_TYPES[block.kind])
        _text(region, page, block.lines, name, deadline)
        return
    columns = max(map(len, block.rows))
    table = child(sheet, "TableRegion", id=name, rows=len(block.rows), columns=columns)
    child(table, "Coords", points=_corners(page, block.lines))
    for number, row in enumerate(block.rows):
        for column, cell in enumerate(row):
            if cell.lines:
                region = child(table, "TextRegion", id=f"{name}_{number + 1}_{column + 1}", type="paragraph")
                roles = ElementTree.Element("Roles")
                child(roles, "TableCellRole", rowIndex=number, columnIndex=column, header="false")
                _text(region, page, cell.lines, f"{name}_{number + 1}_{column + 1}", deadline, roles)


def _text(
    region: ElementTree.Element,
    page: Page,
    indices: Sequence[int],
    name: str,
    deadline: float,
    roles: ElementTree.Element | None = None,
) -> None:
    child(region, "Coords", points=_corners(page, indices))
    if roles is not None:
        region.append(roles)
    for index in indices:
        check_time(deadline)
        line = page.lines[index]
        own = f"line_{page.page}_{index + 1}"
        row = child(region, "TextLine", id=own)
        child(row, "Coords", points=_points(line.polygon, page))
        if len(line.baseline) > 1:
            child(row, "Baseline", points=_points(line.baseline, page))
        for count, word in enumerate(line.words, 1):
            element = child(row, "Word", id=f"{own}_{count}")
            child(element, "Coords", points=_points(word.polygon, page))
            _equivalent(element, word.text, word.confidence)
        _equivalent(row, line.text, line.confidence)
    _equivalent(region, "\n".join(page.lines[index].text for index in indices))


def _equivalent(parent: ElementTree.Element, text: str, confidence: float | None = None) -> None:
    attributes = {} if confidence is None else {"conf": _confidence(confidence)}
    child(child(parent, "TextEquiv", attributes), "Unicode").text = clean(text)


def _confidence(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0):.4f}"


def _corners(page: Page, indices: Sequence[int]) -> str:
    left, top, right, bottom = clipped(bounds_of_lines(page, indices), page)
    return f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}"


def _points(points: Points, page: Page) -> str:
    """Whole pixels within the page, at least two of them, as the schema asks."""
    places = [
        (round(min(max(x, 0.0), float(page.width))), round(min(max(y, 0.0), float(page.height)))) for x, y in points
    ]
    distinct = [place for number, place in enumerate(places) if not number or place != places[number - 1]]
    if len(distinct) < 2:
        left, top, right, bottom = clipped(bounds(points), page)
        distinct = [(left, top), (max(right, left + 1), bottom)]
    return " ".join(f"{x},{y}" for x, y in distinct)
