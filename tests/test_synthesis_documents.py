"""Made-up documents: exact labels, no text left without one, the same page for the same seed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typefaces import PROSE, WORDS, bundled_faces, small_corpus

from training.data.pages import load_pages
from training.synthesis import forms
from training.synthesis.canvas import MARKS, Canvas, make_design
from training.synthesis.corpus import Corpus
from training.synthesis.documents import KINDS, make_document
from training.synthesis.figures import mark
from training.synthesis.finish import CAPTURES, record_of, render
from training.synthesis.folder import write_page
from training.synthesis.fonts import CHARSET, Face
from training.synthesis.hands import Hand, Setting
from training.synthesis.ink import INK
from training.synthesis.maker import Maker
from training.synthesis.recorded import MIN_ITEMS, RecordedHands
from training.synthesis.texts import LANGUAGES, Vocabulary, tables

# Kinds whose printed layer holds nothing but text: no marks in check boxes.
TEXT_ALONE = ("letter", "invoice", "statement", "receipt", "table", "numbers", "magazine", "plain", "poster", "figures")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[Face]:
    return bundled_faces(tmp_path_factory.mktemp("font"))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return small_corpus()


@pytest.fixture
def setting(faces: list[Face]) -> Setting:
    return Setting(Hand(faces[0], 30.0))


def make_maker(faces: list[Face], corpus: Corpus, seed: int) -> Maker:
    rng = np.random.default_rng(seed)
    return Maker(rng, faces, Vocabulary(corpus, rng, "en"))


def covered(canvas: Canvas) -> np.ndarray:
    """Where lines and ignored areas are, bool (H, W)."""
    mask = np.zeros(canvas.tone.shape, np.uint8)
    for polygon in [line["polygon"] for line in canvas.lines] + canvas.ignore:
        cv2.fillPoly(mask, [polygon.round().astype(np.int32)], 255)
    return mask > 0


def area(canvas: Canvas, polygon: np.ndarray) -> np.ndarray:
    mask = np.zeros(canvas.tone.shape, np.uint8)
    cv2.fillPoly(mask, [polygon.round().astype(np.int32)], 255)
    return mask > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_lines_within_the_page(faces: list[Face], corpus: Corpus, kind: str) -> None:
    pixels, record = make_document(3, 1, faces, corpus, "train", kind)
    assert record["source"] == f"doc_{kind}"
    assert record["lines"]
    assert pixels.dtype == np.uint8
    assert pixels.shape == (record["height"], record["width"])
    for line in record["lines"]:
        assert line["text"] == " ".join(line["text"].split())
        assert set(line["text"]) <= set(CHARSET) - set("‘’“”„…")
        assert not set(line["text"]) <= MARKS
        assert len(line["baseline"]) >= 2
        for x, y in line["polygon"]:
            assert 0 <= x < record["width"]
            assert 0 <= y < record["height"]


@pytest.mark.parametrize("kind", ["all", "each", "form", "screen"])
def test_a_seed_and_an_index_make_one_document(faces: list[Face], corpus: Corpus, kind: str) -> None:
    pixels, record = make_document(5, 2, faces, corpus, "train", kind)
    again, same = make_document(5, 2, faces, corpus, "train", kind)
    other, _ = make_document(5, 3, faces, corpus, "train", kind)
    np.testing.assert_array_equal(pixels, again)
    assert record == same
    assert other.shape != pixels.shape or (other != pixels).any()


@pytest.mark.parametrize("kind", TEXT_ALONE)
def test_no_print_is_without_a_label(faces: list[Face], corpus: Corpus, kind: str) -> None:
    for seed in range(2):
        canvas = KINDS[kind][0](make_maker(faces, corpus, seed)).canvas
        assert not ((canvas.sheet.ink > INK) & ~covered(canvas)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_has_ink_on_its_baseline(faces: list[Face], corpus: Corpus, kind: str) -> None:
    canvas = KINDS[kind][0](make_maker(faces, corpus, 7)).canvas
    for line in canvas.lines:
        inside = area(canvas, line["polygon"])
        inked = max(canvas.sheet.ink[inside].max(), canvas.pen[inside].max())
        # White text lies in the layer of greys.
        assert inked > 128 or np.ptp(canvas.tone[inside].astype(int)) > 60
        low, high = line["polygon"].min(0), line["polygon"].max(0)
        assert (line["baseline"][:, 1] > low[1]).all()
        assert (line["baseline"][:, 1] < high[1]).all()


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize("seed", range(3))
def test_points_move_with_the_picture(capture: str, seed: int) -> None:
    canvas = Canvas(np.random.default_rng(seed), 800, 600)
    spots = np.float32([[150, 120], [640, 130], [400, 300], [160, 470], [650, 480]])
    for x, y in spots.astype(int):
        canvas.sheet.ink[y - 12 : y + 13, x - 12 : x + 13] = 255
    canvas.lines.append({"text": "x", "raw_text": "x", "baseline": spots[:2], "polygon": spots[[0, 1, 4, 3]]})
    pixels, place = render(canvas, np.random.default_rng(seed), capture, showing=False)
    if np.median(pixels) < 90:
        pixels = 255 - pixels
    for x, y in place(spots):
        x0, y0 = max(0, round(float(x)) - 30), max(0, round(float(y)) - 30)
        spot = pixels[y0 : round(float(y)) + 31, x0 : round(float(x)) + 31].astype(np.float32)
        weight = np.clip(np.median(spot) - 60 - spot, 0, None) ** 0.5
        assert weight.sum() > 0
        rows, columns = np.indices(spot.shape)
        centre = (columns * weight).sum() / weight.sum() + x0, (rows * weight).sum() / weight.sum() + y0
        assert np.hypot(centre[0] - x, centre[1] - y) < 2.5


def test_a_comb_is_one_line(setting: Setting) -> None:
    canvas = Canvas(np.random.default_rng(1), 900, 100)
    canvas.comb(setting, "AB 12", 100, 60, 50)
    (line,) = canvas.lines
    assert line["text"] == "AB12"
    assert line["polygon"][:, 0].min() < 125
    assert line["polygon"][:, 0].max() > 325
    assert (np.diff(line["baseline"][:, 0]) > 0).all()
    assert not ((canvas.sheet.ink > INK) & ~covered(canvas)).any()


def test_cells_that_almost_touch_are_one_line_and_others_are_not(setting: Setting) -> None:
    canvas = Canvas(np.random.default_rng(1), 900, 400)
    end = 100 + setting.length("near")
    far = end + 200
    cells = [("near", 100.0, "left", 900.0), ("by", end + 12, "left", 900.0), ("far", far, "left", 900.0)]
    canvas.row(setting, cells, 60)
    assert [line["text"] for line in canvas.lines] == ["near by", "far"]
    canvas.lines.clear()
    canvas.row(setting, cells, 160, apart=True)
    assert [line["text"] for line in canvas.lines] == ["near", "by", "far"]


def test_single_digits_are_lines_long_enough_to_be_learnt(setting: Setting) -> None:
    canvas = Canvas(np.random.default_rng(1), 900, 100)
    for index, digit in enumerate("1I7"):
        canvas.text(setting, digit, 100 + 200 * index, 60)
    for line in canvas.lines:
        assert np.ptp(line["baseline"][:, 0]) >= 0.5 * setting.metrics.ascent


def test_bullets_alone_are_ignored(setting: Setting) -> None:
    canvas = Canvas(np.random.default_rng(1), 900, 100)
    canvas.text(setting, "-", 100, 60)
    assert not canvas.lines
    assert len(canvas.ignore) == 1
    canvas.text(setting, "- milk", 200, 60)
    assert [line["text"] for line in canvas.lines] == ["- milk"]


@pytest.mark.parametrize("quarters", [1, 3])
def test_upright_text_is_apart_from_the_lines(setting: Setting, quarters: int) -> None:
    canvas = Canvas(np.random.default_rng(1), 300, 900)
    canvas.upright(setting, "Keep this margin clear", 150, 450, quarters)
    assert not canvas.lines
    (line,) = canvas.turned
    assert line["text"] == "Keep this margin clear"
    assert line["turned"] == 90 * quarters
    assert not ((canvas.sheet.ink > INK) & ~covered(canvas)).any()
    # The text starts at the lower end if it runs up.
    assert (line["baseline"][0, 1] > line["baseline"][-1, 1]) == (quarters == 3)
    turned_back = np.rot90(canvas.sheet.ink, quarters)
    straight = Canvas(np.random.default_rng(1), 900, 300)
    straight.text(setting, "Keep this margin clear", 100, 150)
    columns = np.flatnonzero(turned_back.any(0))
    expected = np.flatnonzero(straight.sheet.ink.any(0))
    assert np.ptp(columns) == np.ptp(expected)
    middle = turned_back[:, columns[0] : columns[-1] + 1].any(1), straight.sheet.ink.any(1)
    np.testing.assert_array_equal(middle[0][middle[0].argmax() :][:20], middle[1][middle[1].argmax() :][:20])
    record = record_of(canvas, np.zeros((900, 300), np.uint8), lambda points: points)
    assert record["lines"] == []
    assert len(record["turned"]) == len(record["ignore"]) == 1


@pytest.mark.parametrize("grey", [0, 255])
def test_upright_text_is_not_written_on_something_dark(setting: Setting, grey: int) -> None:
    canvas = Canvas(np.random.default_rng(3), 200, 600)
    cv2.circle(canvas.tone, (100, 340), 12, grey, -1)
    canvas.upright(setting, "Keep this margin clear", 100, 300, 3)
    assert bool(canvas.turned) == canvas.sheet.ink.any() == (grey == 255)


@pytest.mark.parametrize("seed", range(4))
def test_check_boxes_are_in_no_line(faces: list[Face], corpus: Corpus, seed: int) -> None:
    maker = make_maker(faces, corpus, seed)
    design = make_design(maker.rng, faces, maker.words)
    canvas = Canvas(maker.rng, design.width, design.tall)
    forms.questions(maker, canvas, design, None, 60, 60, design.width - 120, design.tall)
    assert any("?" in line["text"] for line in canvas.lines)
    count, _, boxes, centres = cv2.connectedComponentsWithStats((canvas.tone < 255).astype(np.uint8))
    assert count > 1
    labels = covered(canvas)
    for (x, y), (_, _, width, height, _) in zip(centres[1:], boxes[1:], strict=True):
        assert abs(width - height) <= 2
        assert not labels[round(y), round(x)]


def test_white_text_is_lighter_than_its_band(setting: Setting) -> None:
    canvas = Canvas(np.random.default_rng(1), 600, 200)
    canvas.box(0, 40, 600, 120, 20, -1)
    line = canvas.text(setting, "Part A", 60, 90, grey=250)
    assert line is not None
    inside = canvas.tone[area(canvas, line["polygon"])]
    assert inside.max() > 240
    assert np.median(inside) < 60
    assert not canvas.sheet.ink.any()


def test_a_stamp_over_a_line_leaves_it_and_is_no_line(setting: Setting) -> None:
    canvas = Canvas(np.random.default_rng(1), 900, 300)
    canvas.text(setting, "The annual meeting of the society", 60, 150)
    before = canvas.lines[0]["polygon"].copy()
    canvas.stamp(setting, ["PAID"], 250, 150, 20.0, 90)
    assert len(canvas.lines) == 1
    assert not canvas.ignore
    np.testing.assert_array_equal(canvas.lines[0]["polygon"], before)
    canvas.stamp(setting, ["PAID"], 700, 60, 25.0, 90)
    assert len(canvas.lines) == len(canvas.ignore) == 1
    canvas.stamp(setting, ["PAID"], 700, 250, 0.0, 90)
    assert [line["text"] for line in canvas.lines[1:]] == ["PAID"]
    assert (canvas.tone[area(canvas, canvas.lines[1]["polygon"])] < 120).any()


def test_a_mark_stays_near_its_box() -> None:
    layer = np.zeros((200, 200), np.uint8)
    mark(layer, np.random.default_rng(0), 90, 90, 20, 255, "cross")
    rows, columns = np.nonzero(layer)
    assert 80 < rows.min() < rows.max() < 120
    assert 80 < columns.min() < columns.max() < 120


def test_prose_flows_around_what_is_in_its_way(setting: Setting) -> None:
    canvas = Canvas(np.random.default_rng(1), 900, 600)

    def room(base: float) -> tuple[float, float]:
        return (50.0, 300.0) if 150 < base < 350 else (50.0, 800.0)

    canvas.paragraph(setting, PROSE[:600], 50, 60, 800, 40, bottom=580, room=room)
    ends = {line["baseline"][0, 1]: line["baseline"][-1, 0] for line in canvas.lines}
    assert all(end <= 352 for base, end in ends.items() if 150 < base < 350)
    assert max(ends.values()) > 600
    words = " ".join(line["text"] for line in canvas.lines)
    assert PROSE.startswith(words)


def write_strokes(folder: Path) -> None:
    """Words of two hands, the first for training: each letter is a zigzag between the baseline and the x-height."""
    points, strokes, items, texts = [], [], [], []
    for number in range(2 * MIN_ITEMS):
        items.append(len(strokes))
        texts.append(f"{'train' if number < MIN_ITEMS else 'val'} word")
        for letter in range(8):
            strokes.append(len(points))
            points += [(60 * letter + 10 * step, 0 if step % 2 else 40) for step in range(6)]
    content = {
        "points": np.array(points, np.int16), "strokes": np.array(strokes), "items": np.array(items),
        "hand": np.arange(2 * MIN_ITEMS) // MIN_ITEMS, "split": np.arange(2 * MIN_ITEMS) // MIN_ITEMS,
        "text": np.array(texts),
    }  # fmt: skip
    for name in ("lines.npz", "words.npz"):
        np.savez(folder / name, **content)


def test_recorded_hands_write_what_their_lines_say(faces: list[Face], corpus: Corpus, tmp_path: Path) -> None:
    write_strokes(tmp_path)
    hands = RecordedHands(tmp_path, "val")
    assert len(hands.hands) == 1
    rng = np.random.default_rng(4)
    written = Setting(Hand(faces[2], 40.0))
    canvas = Canvas(rng, 900, 400, recorded=hands.choose(rng))
    line = canvas.text(written, "Please write this by hand", 60, 120)
    canvas.text(written, "2024-11-28", 60, 250)
    assert line is not None
    assert set(line["text"].split()) == {"val", "word"}
    assert canvas.lines[1]["text"] == "2024-11-28"
    assert not ((canvas.pen > INK) & ~covered(canvas)).any()
    # The strokes end on the baseline.
    rows = np.flatnonzero(canvas.pen[:190].max(1) > 128)
    assert abs(rows[-1] - line["baseline"][0, 1]) < 6
    pixels, record = make_document(1, 1, faces, corpus, "val", "notes", hands)
    again, same = make_document(1, 1, faces, corpus, "val", "notes", hands)
    np.testing.assert_array_equal(pixels, again)
    assert record == same


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_choice_of_every_language_can_be_filled(corpus: Corpus, language: str) -> None:
    assert tables()[language].keys() == tables()["en"].keys()
    words = Vocabulary(corpus, np.random.default_rng(1), language)
    for name, choices in (tables()[language] | tables()["any"]).items():
        for choice in choices:
            filled = words.fill(choice)
            assert filled
            assert "{" not in filled, (name, choice)


def test_prose_of_the_splits_is_apart(tmp_path: Path) -> None:
    texts, prose = tmp_path / "texts", tmp_path / "prose"
    texts.mkdir()
    prose.mkdir()
    for name in ("english.txt", "words_en.txt", "words_fr.txt"):
        (texts / name).write_text("one two three four", encoding="utf-8")
    (texts / "names.json").write_text(json.dumps({"en": WORDS}), encoding="utf-8")
    (prose / "de.txt").write_text("\n".join(f"Absatz {index}." for index in range(1000)), encoding="utf-8")
    train = Corpus.load(tmp_path, "train", None, prose).prose["de"].splitlines()
    val = Corpus.load(tmp_path, "val", None, prose).prose["de"].splitlines()
    assert len(train) > 850
    assert len(val) > 80
    assert len(set(train) & set(val)) <= 1


def test_a_folder_of_documents_reads_as_pages(faces: list[Face], corpus: Corpus, tmp_path: Path) -> None:
    made = [make_document(2, index, faces, corpus, "val", "form") for index in range(2)]
    rows = [write_page(tmp_path, *page, 80) for page in made]
    (tmp_path / "pages.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for page, (pixels, record) in zip(load_pages(tmp_path, "val"), made, strict=True):
        assert [line.text for line in page.lines] == [line["text"] for line in record["lines"]]
        assert len(page.ignore) == len(record["ignore"])
        assert page.pixels().shape == pixels.shape


def test_pages_are_made_without_torch() -> None:
    code = "import sys, training.synthesis.folder; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parent.parent
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, env={"PYTHONPATH": f"{root}:{root / 'function'}"}
    )
