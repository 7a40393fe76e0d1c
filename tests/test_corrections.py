"""What a person corrected becomes training data, with nothing moved; what is broken is refused by name."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import draw_page
from PIL import Image

from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.rectification import Geometry
from training.cli import main
from training.data.corrections import convert, normalise
from training.data.pages import load_pages
from training.data.strips import load_strips

TEXTS = ["the river bank", "a stone bridge", "old grey geese"]


def reading(texts: list[str], name: str = "scan.png") -> tuple[Any, dict[str, Any]]:
    """A page's picture, and what a reader that makes no mistake has of it as JSON."""
    image, drawn = draw_page(texts)
    lines = [
        {
            "text": line["text"],
            "confidence": 0.9,
            "polygon": line["polygon"],
            "baseline": line["baseline"],
            "words": [
                {"text": word, "confidence": 0.9, "polygon": line["polygon"]} for word in str(line["text"]).split()
            ],
        }
        for line in drawn
    ]
    page = {"image": name, "page": 1, "width": image.width, "height": image.height, "text": "\n".join(texts)}
    return image, page | {"lines": lines}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one writer's page, read rightly."""
    (tmp_path / "scans" / "anna").mkdir(parents=True)
    image, page = reading(TEXTS)
    image.save(tmp_path / "scans" / "anna" / "scan.png")
    (tmp_path / "scans" / "anna" / "scan.png.json").write_text(json.dumps(page), encoding="utf-8")
    return tmp_path


def change(folder: Path, edit: Any) -> Path:
    """Let a person edit the page; returns its file."""
    path = folder / "scans" / "anna" / "scan.png.json"
    page = json.loads(path.read_text(encoding="utf-8"))
    edit(page)
    path.write_text(json.dumps(page), encoding="utf-8")
    return path


def gather(folder: Path, *options: str) -> int:
    """Import the pages of a folder; returns the exit status."""
    out = str(folder / "data")
    return main(["import", str(folder / "scans"), "--out", out, "--source", "letters", *options])


def test_a_corrected_page_is_training_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, before = reading(TEXTS)
    change(folder, lambda page: page["lines"][1].update(text="a  stone ridge’s"))
    assert gather(folder) == 0
    assert "1 lines corrected, 0 added, 0 taken away, 2 kept" in capsys.readouterr().err
    (page,) = load_pages(folder / "data")
    assert (page.source, page.writer, page.split, page.whole) == ("letters", "anna", "train", True)
    assert [line.text for line in page.lines] == ["the river bank", "a stone ridge's", "old grey geese"]
    for line, expected in zip(page.lines, before["lines"], strict=True):
        assert line.polygon.tolist() == expected["polygon"]
        assert line.baseline.tolist() == expected["baseline"]
    (row,) = (folder / "data" / "pages.jsonl").read_text(encoding="utf-8").splitlines()
    assert [line.get("reading") for line in json.loads(row)["lines"]] == [None, "a stone bridge", None]
    strips = load_strips(folder / "data", "train", Geometry(48, 1024), folder / "cache")
    assert [strip.text for strip in strips] == [line.text for line in page.lines]
    # Ink is in the strips: they were cut where the lines are.
    assert all(strip.pixels.min() < 100 for strip in strips)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_page_that_lay_on_its_side_becomes_an_upright_one(tmp_path: Path, rotation: int) -> None:
    image, _ = draw_page(TEXTS)
    pixels = np.rot90(np.asarray(image), -rotation // 90)
    page = PageReader.load().read_image(pixels, "scan.png").to_dict()
    assert page["rotation"] == rotation
    page["lines"][0]["text"] += " x"
    page["lines"][1]["text"] = ""
    scans = tmp_path / "scans" / "anna"
    scans.mkdir(parents=True)
    Image.fromarray(pixels).save(scans / "scan.png")
    (scans / "scan.png.json").write_text(json.dumps(page), encoding="utf-8")
    assert gather(tmp_path) == 0
    (corrected,) = load_pages(tmp_path / "data")
    assert (corrected.width, corrected.height) == image.size
    assert np.abs(corrected.pixels().astype(int) - np.asarray(image)).mean() < 2
    upright = PageReader.load().read_image(np.asarray(image), "page").lines
    for line, polygon in zip(upright, [corrected.lines[0].polygon, corrected.ignore[0]], strict=False):
        np.testing.assert_allclose(polygon, np.clip(line.polygon, 0, image.size), atol=8)


def test_a_rotation_by_other_than_quarters_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, lambda page: page.update(rotation=45))
    assert gather(folder) == 1
    assert "rotation" in capsys.readouterr().err


def test_lines_are_added_taken_away_and_given_up(folder: Path) -> None:
    added = {"text": "a line nobody saw", "polygon": [[10, 10], [90, 10], [90, 40]], "baseline": [[10, 35], [90, 35]]}

    def edit(page: dict[str, Any]) -> None:
        page["lines"][2]["text"] = " "
        page["lines"][0:1] = [added]

    path = change(folder, edit)
    page = json.loads(path.read_text(encoding="utf-8"))
    lines, ignore, changes = convert(page, page["width"], page["height"])
    assert (changes.kept, changes.corrected, changes.added, changes.deleted) == (1, 1, 1, 1)
    assert [line["text"] for line in lines] == ["a line nobody saw", "a stone bridge"]
    assert ignore == [page["lines"][2]["polygon"]]
    assert gather(folder) == 0
    assert [len(page.ignore) for page in load_pages(folder / "data")] == [1]


def test_a_page_that_nobody_changed_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gather(folder) == 1
    assert "nobody changed it" in capsys.readouterr().err
    assert not (folder / "data").exists()
    assert gather(folder, "--unchanged") == 0
    assert [len(page.lines) for page in load_pages(folder / "data")] == [3]


def test_a_line_taken_away_is_a_change(folder: Path) -> None:
    change(folder, lambda page: page["lines"].pop())
    assert gather(folder) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" l’e\u0301te\u0301\u00a0 “fini” ", 'l\'été "fini"'),
        ("ﬁn de l’œuvre № 3…", "fin de l'œuvre № 3..."),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("Ж", "Ж"),
    ],
)
def test_text_is_written_as_transcriptions_are(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_says_which_characters_no_model_learns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, lambda page: page["lines"][0].update(text="Жизнь"))
    assert gather(folder) == 0
    output = capsys.readouterr().out
    assert "Ж CYRILLIC CAPITAL LETTER ZHE 1 times" in output
    assert set(re.findall(r"CYRILLIC (?:CAPITAL|SMALL) LETTER (\w+|SOFT SIGN)", output)) >= {"ZHE", "I", "ZE", "EN"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda page: page["lines"][1].pop("baseline"), "line 2 has no baseline of 2 points"),
        (lambda page: page["lines"][1].update(polygon=[[0, 0], [5, 5]]), "line 2 has no polygon of 3 points"),
        (lambda page: page["lines"][0].update(polygon=[[0, 0], [5, "5"], [1, 1]]), "line 1 has no polygon"),
        (lambda page: page["lines"][0].update(baseline=[[0, 0], [float("nan"), 1]]), "line 1 has no baseline"),
        (lambda page: page["lines"][0].update(baseline=[[9, 9], [10, 9]]), "begins where it ends"),
        (lambda page: page["lines"][0].update(polygon=[[-9, -9], [-5, -9], [-5, -5]]), "beside the page"),
        (lambda page: page["lines"][0].update(text=None), "line 1 has no text"),
        (lambda page: page.update(lines="none"), "no lines"),
        (lambda page: page.update(width=10), "the image has 900 x"),
        (lambda page: page.update(page=2), "page 2, which the file has not"),
    ],
)
def test_what_is_broken_is_refused_by_name(
    folder: Path, edit: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder, edit)
    assert gather(folder) == 1
    error = capsys.readouterr().err
    assert error.startswith("anna/scan.png.json: ")
    assert message in error
    assert not (folder / "data").exists()


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"pages": [1]}', '{"pages": []}'])
def test_what_is_no_reading_is_refused(folder: Path, content: str) -> None:
    (folder / "scans" / "anna" / "scan.png.json").write_text(content, encoding="utf-8")
    assert gather(folder) == 1


def test_a_damaged_image_is_refused_and_the_rest_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, lambda page: page["lines"].pop())
    image, page = reading(TEXTS)
    image.save(folder / "scans" / "anna" / "b.png")
    data = (folder / "scans" / "anna" / "b.png").read_bytes()
    (folder / "scans" / "anna" / "b.png").write_bytes(data[: len(data) // 2])
    page["lines"].pop()
    (folder / "scans" / "anna" / "b.json").write_text(json.dumps(page), encoding="utf-8")
    assert gather(folder) == 0
    captured = capsys.readouterr()
    assert "damaged" in captured.err
    assert "1 files refused" in captured.out


def test_pages_of_several_forms_and_places(folder: Path) -> None:
    scans = folder / "scans"
    images, pages = zip(*(reading([text]) for text in TEXTS), strict=True)
    for number, page in enumerate(pages, 1):
        page["page"] = number
        page["lines"][0]["text"] += "!"
    # Several pages of a file, a page a line as the command line writes them.
    images[0].save(scans / "three.tif", save_all=True, append_images=images[1:])
    rows = "".join(json.dumps(page) + "\n" for page in (pages[2], pages[0]))
    (scans / "three.tif.json").write_text(rows, encoding="utf-8")
    # As the API answers them, in a file named as the web page names its download.
    (scans / "more").mkdir()
    images[0].save(scans / "more" / "three.tif", save_all=True, append_images=images[1:])
    (scans / "more" / "three.json").write_text(json.dumps({"image": "three.tif", "pages": pages}), encoding="utf-8")
    assert gather(folder, "--writer", "bob") == 0
    loaded = load_pages(folder / "data")
    assert [line.text for page in loaded for line in page.lines] == [f"{TEXTS[index]}!" for index in (0, 1, 2, 0, 2)]
    assert len({page.page_id for page in loaded}) == len(loaded) == 5
    assert {page.writer for page in loaded} == {"bob"}


def test_a_page_beside_no_folder_of_a_writer_is_of_the_folder(folder: Path) -> None:
    change(folder, lambda page: page["lines"].pop())
    scans = folder / "scans"
    for name in ("scan.png", "scan.png.json"):
        (scans / "anna" / name).rename(scans / name)
    assert gather(folder) == 0
    assert [page.writer for page in load_pages(folder / "data")] == ["scans"]


def test_a_refused_page_is_no_half_of_a_file(folder: Path) -> None:
    path = change(folder, lambda page: page["lines"].pop())
    page = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({"pages": [page, page | {"page": 2}]}), encoding="utf-8")
    assert gather(folder) == 1
    assert not (folder / "data").exists()
