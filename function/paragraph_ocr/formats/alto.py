"""ALTO 4.2 (https://www.loc.gov/standards/alto/)."""

import math
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from paragraph_ocr import __version__
from paragraph_ocr.document import BLOCK_KINDS, Box, Document, Page, Points, bounds
from paragraph_ocr.formats.xml import bounds_of_lines, check_time, child, clean, clipped, written

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-2.xsd"


def write(document: Document, _: object = None, deadline: float = math.inf, __: object = None) -> Iterator[bytes]:
    """Yield the document in parts; raises DeadlineExceeded when `perf_counter` passes the deadline."""
    root = ElementTree.Element(
        "alto",
        {
            "xmlns": _NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{_NAMESPACE} {_SCHEMA}",
            "SCHEMAVERSION": "4.2",
        },
    )
    description = child(root, "Description")
    child(description, "MeasurementUnit").text = "pixel"
    child(child(description, "sourceImageInformation"), "fileName").text = clean(document.image)
    processing = child(description, "Processing", ID="reading")
    child(processing, "processingCategory").text = "contentGeneration"
    models = document.pages[0].model.values()
    child(processing, "processingStepSettings").text = " ".join(models)
    software = child(processing, "processingSoftware")
    child(software, "softwareName").text = "paragraph-ocr"
    child(software, "softwareVersion").text = __version__
    tags = child(root, "Tags")
    for kind in BLOCK_KINDS:
        child(tags, "LayoutTag", ID=kind, LABEL=kind)
    pages = (_page(page, deadline) for page in document.pages)
    return written("", root, child(root, "Layout"), pages)


def _page(page: Page, deadline: float) -> ElementTree.Element:
    size = {"HEIGHT": str(page.height), "WIDTH": str(page.width)}
    named = {"ID": f"page_{page.page}", "PHYSICAL_IMG_NR": str(page.page), "PROCESSINGREFS": "reading"}
    sheet = ElementTree.Element("Page", {**size, **named, "PC": f"{page.confidence:.4f}"})
    space = child(sheet, "PrintSpace", size, HPOS=0, VPOS=0)
    for place, block in enumerate(page.layout, 1):
        name = f"block_{page.page}_{place}"
        if not block.rows:
            _block(space, page, block.lines, name, block.kind, deadline)
            continue
        # A table is a composed block with a block for each cell, which tells its row and column.
        box = _place(bounds_of_lines(page, block.lines), page)
        table = child(space, "ComposedBlock", box, ID=name, TYPE="table", TAGREFS="table")
        for number, row in enumerate(block.rows, 1):
            for column, cell in enumerate(row, 1):
                if cell.lines:
                    _block(table, page, cell.lines, f"{name}_{number}_{column}", "table", deadline)
    return sheet


def _block(
    parent: ElementTree.Element, page: Page, indices: Sequence[int], name: str, kind: str, deadline: float
) -> None:
    block = child(parent, "TextBlock", _place(bounds_of_lines(page, indices), page), ID=name, TAGREFS=kind)
    for index in indices:
        line, number = page.lines[index], index + 1
        check_time(deadline)
        name = f"line_{page.page}_{number}"
        row = child(block, "TextLine", _place(line.box, page), ID=name, BASELINE=_points(line.baseline, page))
        _shape(row, line.polygon, page)
        if not line.words:
            # The schema asks for a string; a person marked the line as unreadable.
            child(row, "String", _place(line.box, page), ID=f"{name}_1", CONTENT="")
        for count, word in enumerate(line.words, 1):
            if count > 1:
                child(row, "SP")
            place = _place(bounds(word.polygon), page)
            content = {"CONTENT": clean(word.text), "WC": f"{word.confidence:.4f}"}
            _shape(child(row, "String", place, ID=f"{name}_{count}", **content), word.polygon, page)


def _shape(parent: ElementTree.Element, polygon: Points, page: Page) -> None:
    child(child(parent, "Shape"), "Polygon", POINTS=_points(polygon, page))


def _points(points: Points, page: Page) -> str:
    return " ".join(f"{min(max(x, 0), page.width):.1f},{min(max(y, 0), page.height):.1f}" for x, y in points)


def _place(box: Box, page: Page) -> dict[str, object]:
    left, top, right, bottom = clipped(box, page)
    return {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
