"""Synthetic pages: one page a seed, lines where the ink is, only glyphs that exist, no family in two splits."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ImageFont

from training.data.pages import load_pages
from training.synthesis.camera import make_view
from training.synthesis.corpus import NAMES, Composer, Corpus
from training.synthesis.folder import write_page
from training.synthesis.fonts import CHARSET, Face, files_of, load_faces, read_table
from training.synthesis.hands import Hand, Setting, drawable, make_hand, raise_letters
from training.synthesis.ink import INK, Sheet, write_line
from training.synthesis.prose import fill_sheet, make_layout, make_page

WORDS = {kind: ["Zoë", "O'Brien", "Łódź", "crème brûlée", "flour"] for kind in NAMES.values()}
PROSE = 'The quick brown fox jumps over the lazy dog at 9:45. It was "odd", she said; wasn\'t it? Nobody knew. ' * 60


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Face:
    """The typeface that Pillow brings along."""
    path = tmp_path_factory.mktemp("font") / "bundled.ttf"
    path.write_bytes(ImageFont.load_default(40).path.getvalue())
    return Face("bundled", "hand", (str(path),))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    words = ["garden", "été", "naïveté", "table"]
    return Corpus({"en": PROSE, "fr": PROSE}, {"en": words, "fr": words}, {"en": WORDS, "fr": WORDS}, {"é": ["été"]})


def inside(shape: tuple[int, int], polygons: list[np.ndarray]) -> np.ndarray:
    """Where the polygons are, bool (H, W)."""
    mask = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [polygon.round().astype(np.int32)], 255)
    return mask > 0


def flat_sheet(face: Face, corpus: Corpus, seed: int) -> Sheet:
    rng = np.random.default_rng(seed)
    hand = Hand(face, 44.0, wander=0.08, swell=0.1, slant=0.15, slant_wander=0.08, stretch=0.03, slope=0.02, loose=0.03)
    layout, height, width = make_layout(rng, hand)
    sheet = Sheet(np.zeros((height, width), np.uint8))
    fill_sheet(sheet, rng, hand, hand, layout, Composer(corpus, rng, "en"))
    return sheet


@pytest.mark.parametrize("style", ["hand", "print", "typewriter"])
def test_a_seed_and_an_index_make_one_page(face: Face, corpus: Corpus, style: str) -> None:
    faces = [Face("bundled", style, face.paths)]
    pixels, record = make_page(3, 4, faces, corpus, "train", style)
    again, same = make_page(3, 4, faces, corpus, "train", style)
    other, _ = make_page(3, 5, faces, corpus, "train", style)
    np.testing.assert_array_equal(pixels, again)
    assert record == same
    assert other.shape != pixels.shape or (other != pixels).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_ink_of_every_line_lies_in_its_polygon(face: Face, corpus: Corpus, seed: int) -> None:
    sheet = flat_sheet(face, corpus, seed)
    polygons = [line["polygon"] for line in sheet.lines]
    assert not ((sheet.ink > INK) & ~inside(sheet.ink.shape, polygons)).any()
    for line in sheet.lines:
        assert inside(sheet.ink.shape, [line["polygon"]])[sheet.ink > INK].any()


@pytest.mark.parametrize("seed", range(6))
def test_polygons_and_baselines_move_with_the_page(face: Face, corpus: Corpus, seed: int) -> None:
    sheet = flat_sheet(face, corpus, seed)
    view = make_view(np.random.default_rng(seed), *sheet.ink.shape, sheet.lines, table=seed % 2 == 1)
    seen = view.warp(sheet.ink.astype(np.float32), cv2.BORDER_CONSTANT)
    polygons = [view.forward(line["polygon"]) for line in sheet.lines]
    assert not ((seen > INK) & ~inside(seen.shape, polygons)).any()
    width, height = view.size
    for line, polygon in zip(sheet.lines, polygons, strict=True):
        assert (polygon >= -1).all()
        assert (polygon <= (width, height)).all()
        for x, y in view.forward(line["baseline"]):
            assert cv2.pointPolygonTest(polygon, (float(x), float(y)), True) > -2


def test_a_baseline_runs_under_letters_without_descenders(face: Face) -> None:
    sheet = Sheet(np.zeros((200, 900), np.uint8))
    hand = Hand(face, 50.0, wander=0.1, slope=0.02)
    write_line(sheet, np.random.default_rng(0), Setting(hand), "EEEEEEEEEEEEEEEE", 60, 120)
    for x, y in sheet.lines[0]["baseline"]:
        column = np.flatnonzero(sheet.ink[:, int(x)] > 128)
        if len(column):
            assert abs(column[-1] + 1 - y) < 3


def test_only_glyphs_that_the_face_has_are_drawn(face: Face, corpus: Corpus) -> None:
    files = files_of(face)
    assert not {"é", "œ", "→"} & files.keys(), "the bundled face has them, so this test shows nothing"
    assert drawable(face, "Œuvre, crème →") == "OEuvre, creme"
    _, record = make_page(1, 0, [face], corpus, "train", "hand")
    for line in record["lines"]:
        assert set(line["raw_text"]) <= set(files)


def test_faces_of_capitals_get_upper_case_text(face: Face, corpus: Corpus) -> None:
    _, record = make_page(1, 1, [Face("bundled", "hand", face.paths, caps_only=True)], corpus, "train", "hand")
    assert all(line["text"] == line["text"].upper() for line in record["lines"])


def test_a_hand_may_draw_some_letters_as_capitals_wherever_they_stand(face: Face, corpus: Corpus) -> None:
    assert raise_letters("Ça va, été à ŷ?", "ae") == "ÇA vA, ÉtÉ À ŷ?"
    rng = np.random.default_rng(1)
    hand = Hand(face, 44.0, raised="aeou")
    layout, height, width = make_layout(rng, hand)
    sheet = Sheet(np.zeros((height, width), np.uint8))
    fill_sheet(sheet, rng, hand, hand, layout, Composer(corpus, rng, "en"))
    written = "".join(line["text"] for line in sheet.lines)
    assert not set("aeou") & set(written)
    assert set("lnrt") & set(written)


def test_some_hands_mix_capitals_into_words_and_no_typewriter_does(face: Face) -> None:
    def raised(style: str) -> list[str]:
        own = Face("bundled", style, face.paths)
        return [make_hand(np.random.default_rng(seed), own).raised for seed in range(200)]

    assert 4 <= sum(map(bool, raised("hand"))) <= 24
    assert not any(raised("typewriter") + raised("print") + raised("script"))


def test_a_written_folder_reads_as_pages(face: Face, corpus: Corpus, tmp_path: Path) -> None:
    rows = [write_page(tmp_path, *make_page(1, index, [face], corpus, "val", "hand"), 80) for index in range(2)]
    (tmp_path / "pages.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    record = json.loads(rows[0])
    assert {"page_id", "source", "writer", "split", "image", "width", "height", "lines"} <= record.keys()
    for line in record["lines"]:
        assert {"text", "raw_text", "baseline", "polygon", "struck"} <= line.keys()
        assert line["text"] == " ".join(line["text"].split())
        assert line["text"]
        assert set(line["text"]) <= set(CHARSET) - set("’‘“”„…")
    pages = load_pages(tmp_path)
    assert [len(page.lines) for page in pages] == [len(json.loads(row)["lines"]) for row in rows]
    assert pages[0].pixels().shape == (record["height"], record["width"])


def test_no_family_is_in_two_splits() -> None:
    splits = defaultdict(set)
    for row in read_table("fonts.tsv"):
        splits[row["package"]].add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert splits["@fontsource/caveat"] == splits["@fontsource/kalam"] == {"val"}


def test_a_missing_font_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"training\.synthesis\.fonts"):
        load_faces(tmp_path, "val")


def test_thicker_strokes_are_filled_and_add_ink(face: Face) -> None:
    def ink(thickness: float) -> np.ndarray:
        sheet = Sheet(np.zeros((200, 400), np.uint8))
        write_line(sheet, np.random.default_rng(0), Setting(Hand(face, 60.0, thickness=thickness)), "Il", 60, 120)
        return sheet.ink > INK

    assert ink(0.0).sum() < ink(0.05).sum()
    assert not (ink(0.0) & ~ink(0.05)).any()
