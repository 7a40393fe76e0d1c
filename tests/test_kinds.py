"""Pages of each kind for measuring, what is counted of their readings, and that a run goes on where it ended."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typefaces import bundled_faces, small_corpus

from benchmarks import kinds as benchmark
from benchmarks.readers import OURS
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import TrueLine, TruePage
from training.synthesis import kinds
from training.synthesis.canvas import MARKS, Canvas
from training.synthesis.corpus import Corpus
from training.synthesis.fonts import Face
from training.synthesis.kinds import FAX_DOTS, KINDS, make_page, turn
from training.synthesis.maker import Maker
from training.synthesis.texts import Vocabulary


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[Face]:
    return bundled_faces(tmp_path_factory.mktemp("font"))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return small_corpus()


def decoded(content: bytes) -> np.ndarray:
    """The grey of a file's picture as somebody sees it, float32 0 to 1."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED).astype(np.float32)
    pixels = pixels[..., 3] if pixels.ndim == 3 else pixels
    return pixels / max(float(pixels.max()), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_lines_of_every_kind_lie_on_its_writing(faces: list[Face], corpus: Corpus, name: str) -> None:
    content, record = make_page(4, 1, faces, corpus, "val", name)
    grey = decoded(content)
    assert grey.shape == (record["height"], record["width"])
    written = 0
    for line in record["lines"]:
        assert not set(line["text"]) <= MARKS
        x, y, width, height = cv2.boundingRect(np.round(line["polygon"]).astype(np.int32))
        written += bool(np.ptp(grey[max(y, 0) : y + height, max(x, 0) : x + width]) > 0.2)
    assert record["lines"]
    assert written >= 0.95 * len(record["lines"])


def test_a_seed_and_an_index_make_one_page_of_a_kind(faces: list[Face], corpus: Corpus) -> None:
    content, record = make_page(4, 2, faces, corpus, "val", "comb")
    assert make_page(4, 2, faces, corpus, "val", "comb") == (content, record)
    assert make_page(4, 3, faces, corpus, "val", "comb")[0] != content


@pytest.mark.parametrize("quarters", range(4))
def test_points_turn_with_the_picture(quarters: int) -> None:
    picture = np.zeros((30, 50), np.uint8)
    picture[4, 40] = 255
    (x, y), *_ = turn([[40.5, 4.5]], quarters, 50, 30)
    turned = np.rot90(picture, -quarters)
    assert turned[int(y), int(x)] == 255


def test_files_are_what_their_kinds_say(faces: list[Face], corpus: Corpus) -> None:
    page, _ = make_page(4, 1, faces, corpus, "val", "fax")
    with Image.open(io.BytesIO(page)) as image:
        assert image.mode == "1"
        assert tuple(round(dots) for dots in image.info["dpi"]) in FAX_DOTS
    for index in range(3):
        deep, record = make_page(4, index, faces, corpus, "val", "deep")
        pixels = cv2.imdecode(np.frombuffer(deep, np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels.dtype == np.uint16
        assert 255 < pixels.max() < 2**14
        assert record["image"].endswith((".png", ".tif"))
    clear, _ = make_page(4, 1, faces, corpus, "val", "transparent")
    with Image.open(io.BytesIO(clear)) as image:
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema()[0] == 0
        assert len(set(image.getchannel("R").getextrema())) == 1


def test_upright_margin_text_is_among_the_lines(faces: list[Face], corpus: Corpus) -> None:
    _, record = make_page(4, 1, faces, corpus, "val", "margin")
    tall = [
        line
        for line in record["lines"]
        if len(line["text"]) > 3 and np.ptp(line["polygon"], axis=0)[1] > 2 * np.ptp(line["polygon"], axis=0)[0]
    ]
    assert tall
    assert all(line["polygon"] not in record["ignore"] for line in tall)


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith("crossed_")])
def test_something_that_is_larger_than_lines_lies_on_them(
    faces: list[Face], corpus: Corpus, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(kinds, "CROSSED_HAND", 0.0)
    crossed = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        document = KINDS[name].make(Maker(rng, faces, Vocabulary(corpus, rng, "en"), measured=True))
        canvas = document.canvas
        shape = (canvas.tone < 255) | (canvas.pen > 0)
        rows = np.flatnonzero(shape.any(axis=1))
        assert np.ptp(rows) > document.design.height
        written = np.zeros(shape.shape, np.uint8)
        for line in canvas.lines:
            cv2.fillPoly(written, [np.round(line["polygon"]).astype(np.int32)], 1)
        share = (shape & (written > 0)).sum() / written.sum()
        assert share < 0.3
        crossed += bool(share > 0)
    assert crossed >= 7


def test_pages_have_one_difficulty(faces: list[Face], corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr(Canvas, "comb", lambda _, setting, text, *__: texts.append(text))
    spaced = {}
    for measured in (False, True):
        texts.clear()
        for seed in range(8):
            rng = np.random.default_rng(seed)
            maker = Maker(rng, faces, Vocabulary(corpus, rng, "en"), measured=measured)
            assert ("hand" in {maker.style(0.9, 0.1) for _ in range(40)}) != measured
            KINDS["comb"].make(maker)
        spaced[measured] = sum(" " in text for text in texts)
        assert len(texts) > 10
    assert spaced[False] > 0
    assert spaced[True] == 0
    assert KINDS["fax"].make(maker).showing is False
    assert KINDS["bleed"].make(maker).showing


def true_page(name: str, kind: str, *texts: str) -> TruePage:
    box = np.float32([[0, 0], [90, 0], [90, 20], [0, 20]])
    baseline = np.float32([[0, 15], [90, 15]])
    shifts = [np.float32([0, 40 * number]) for number in range(len(texts))]
    lines = tuple(
        TrueLine(text, baseline + shift, box + shift, 15.0, 5.0, False)
        for text, shift in zip(texts, shifts, strict=True)
    )
    return TruePage(name, kind, "x", "val", Path(name), 100, 200, lines, (), True)


def test_words_count_as_often_as_they_occur_and_in_any_order() -> None:
    page = true_page("a", "comb", "it's two two", "7")
    assert benchmark.read_words(page, "7\ntwo it’s") == (4, 3, 0)
    assert benchmark.read_words(page, "two two two two two 7") == (4, 3, 2)


def test_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    pages = [true_page("a", "comb", "one"), true_page("b", "boxes", "two")]
    asked: list[tuple[str, str]] = []

    def read(name: str) -> Callable[[TruePage], benchmark.Reading]:
        return lambda page: asked.append((name, page.page_id)) or {"text": page.lines[0].text}

    readers = {name: read(name) for name in ("x", "y")}
    benchmark.read_pages(pages[:1], readers, path)
    assert asked == [("x", "a"), ("y", "a")]
    asked.clear()
    found = benchmark.read_pages(pages, readers, path)
    assert asked == [("x", "b"), ("y", "b")]
    assert found["y", "a"]["text"] == "one"
    asked.clear()
    benchmark.read_pages(pages[:1], readers, path, again=["y"])
    assert asked == [("y", "a")]
    kept = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    assert sorted((row["reader"], row["page"]) for row in kept) == [("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")]


def test_the_table_has_the_kinds_in_order_and_their_mean() -> None:
    pages = [
        true_page("a", "boxes", "one two"),
        true_page("b", "turned_90", "three four"),
        true_page("c", "boxes", "x"),
    ]
    lines = {"lines": 2, "found": 1, "seen": 1, "extra": 0}
    readings = {(OURS, page.page_id): {"text": "one four x", "lines": lines} for page in pages}
    readings |= {("tesseract", page.page_id): {"text": ""} for page in pages}
    figures = benchmark.score(pages, readings, (OURS, "tesseract"))
    assert figures["boxes"]["read"] == {OURS: 2 / 3, "tesseract": 0.0}
    assert figures["boxes"]["more"][OURS] == 3 / 3
    assert figures["boxes"]["recall"] == 0.5
    rows = benchmark.markdown(figures, (OURS, "tesseract")).splitlines()
    assert rows[2] == "| turned by 90° | 1 | 2 | 50.0 | 0.0 | 50.0 | 66.7 |"
    assert rows[3].startswith("| check boxes | 2 | 3 | 66.7 | 0.0 |")
    assert rows[4].startswith("| mean of the kinds | 3 | 5 | 58.3 | 0.0 |")


def test_pages_are_written_once_and_read_from_their_files(
    faces: list[Face], corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "load_faces", lambda *_: faces)
    monkeypatch.setattr(benchmark.Corpus, "load", lambda *_: corpus)
    benchmark.write_pages(tmp_path, tmp_path, None, 4, ["receipt"], 1)
    written = (tmp_path / "pages.jsonl").read_text(encoding="utf-8")
    benchmark.write_pages(tmp_path, tmp_path, None, 4, ["receipt"], 1)
    assert (tmp_path / "pages.jsonl").read_text(encoding="utf-8") == written
    (page,) = benchmark.load_pages(tmp_path)
    reading = benchmark.own(PageReader.load())(page)
    total, read, _ = benchmark.read_words(page, reading["text"])
    assert read > 0.8 * total
    assert reading["lines"]["lines"] == len(page.lines)
