"""Drawn lines: texts of the charset and of one split, strips that show them, blanks that show none."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from paragraph_ocr.pipeline.rectification import Geometry
from training.data import lines as module
from training.data.lines import CONTENTS, Composer, DrawnLines, Texts
from training.synthesis.fonts import CHARSET, DECLARATIONS, Face, read_table
from training.synthesis.signs import Signs

GEOMETRY = Geometry(64, 1280)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    texts = folder / "texts"
    texts.mkdir()
    (folder / "fonts").mkdir()
    for code in {*DECLARATIONS.values(), *(row["declaration"] for row in read_table("scripts.tsv"))}:
        (texts / f"declaration_{code}.txt").write_text("Tous les êtres humains naissent libres et égaux. " * 20)
    (texts / "english.txt").write_text("It was the best of times, it was the worst of times. " * 200)
    words = [f"word{letter}{other}" for letter in "abcdefghij" for other in "klmno"]
    for name in ("words_en", "words_fr", "list_de", "list_pl"):
        (texts / f"{name}.txt").write_text("\n".join([*words, "zażółć", "größer"]))
    (texts / "names.json").write_text(json.dumps({"en": {"person.first_name": ["Ann", "Zoë", "Łukasz", "Eve"] * 5}}))
    return folder


@pytest.fixture(scope="module")
def drawn(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> DrawnLines:
    path = tmp_path_factory.mktemp("font") / "bundled.ttf"
    path.write_bytes(ImageFont.load_default(40).path.getvalue())
    faces = [Face("bundled", style, (str(path),)) for style in ("hand", "print", "typewriter")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_faces", lambda *_: faces)
        lines = DrawnLines(assets, None, "train", GEOMETRY)
    lines.scripts = [(assets / "texts" / "declaration_rus.txt", [path])]
    return lines


def test_all_that_signs_say_can_be_read() -> None:
    signs = Signs(np.random.default_rng(0), ["Straße", "maison", "o'clock"])
    for kind in signs.kinds:
        for _ in range(40):
            text = kind()
            assert text
            assert not set(text) - set(CHARSET), (kind.__name__, text)
    assert len({signs.token() for _ in range(200)}) > 150


def test_splits_share_no_words_and_no_prose(assets: Path) -> None:
    train, val = (Texts(assets, None, split) for split in ("train", "val"))
    for language in train.words:
        assert train.words[language]
        assert not set(train.words[language]) & set(val.words[language])
    assert len(train.prose["en"]) + len(val.prose["en"]) == pytest.approx(200 * 53, abs=5)


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_of_content_is_about_as_long_as_asked(assets: Path, kind: str) -> None:
    composer = Composer(Texts(assets, None, "train"), np.random.default_rng(1))
    for _ in range(30):
        text = getattr(composer, kind)(40)
        assert 0 < len(text) < 140


def test_letters_get_marks_that_no_language_tells(assets: Path) -> None:
    composer = Composer(Texts(assets, None, "train"), np.random.default_rng(3))
    text = "Mille libri e zolle, 120 uomini. " * 200
    marked = composer.marked(text)
    assert not set(marked) - set(CHARSET)
    plain = [module.STROKED.get(letter) or unicodedata.normalize("NFD", letter)[0] for letter in marked]
    assert "".join(plain) == text
    with_marks = [letter for letter, plain in zip(marked, text, strict=True) if letter != plain]
    assert 0.2 < len(with_marks) / sum(letter in module.MARKS_OF for letter in text) < 0.4
    assert {"ì", "í", "ï", "ł", "ż", "ö"} <= set(with_marks)


def test_lines_consist_of_the_charset(assets: Path) -> None:
    composer = Composer(Texts(assets, None, "train"), np.random.default_rng(2))
    lines = [composer.line() for _ in range(300)]
    assert not set("".join(lines)) - set(CHARSET)
    assert sum(map(bool, lines)) > 295
    assert not [line for line in lines if line != " ".join(line.split())]


@pytest.mark.parametrize("style", ["hand", "print", "typewriter"])
def test_a_strip_shows_its_text_as_high_as_the_recogniser_expects_it(drawn: DrawnLines, style: str) -> None:
    rng = np.random.default_rng(4)
    for text in ("Hello world 12", "a", "Jackdaws love my big sphinx"):
        face = next(face for face in drawn.faces if face.style == style)
        strip = drawn.draw_text(rng, style, text, face)
        assert strip is not None
        assert strip.text.replace("’", "'") == text
        assert strip.pixels.shape[0] == 64
        assert np.ptp(strip.pixels) > 20
        assert strip.pixels.shape[1] < 80 * (len(text) + 2)


def test_small_print_is_as_high_on_the_strip_and_less_sharp(drawn: DrawnLines, monkeypatch: pytest.MonkeyPatch) -> None:
    face = next(face for face in drawn.faces if face.style == "print")
    sharpness, bottoms = [], []
    for share in (0.0, 1.0):
        monkeypatch.setattr(module, "SMALL", share)
        rng = np.random.default_rng(6)
        strips = [drawn.draw_text(rng, "print", "Hamburg 1200 means", face) for _ in range(20)]
        pixels = [strip.pixels.astype(float) for strip in strips if strip is not None]
        assert len(pixels) == 20
        sharpness.append(np.mean([np.abs(np.diff(each, axis=1)).mean() / np.ptp(each) for each in pixels]))
        rows = [(each < each.mean() - np.ptp(each) / 4).mean(1) for each in pixels]
        bottoms.append(np.mean([np.average(np.arange(64), weights=share) for share in rows]))
    assert sharpness[1] < 0.9 * sharpness[0]
    assert bottoms[1] == pytest.approx(bottoms[0], abs=2)


def test_lines_of_other_scripts_upside_down_stand_on_the_baseline(
    drawn: DrawnLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = round(GEOMETRY.baseline * GEOMETRY.height)
    drawn_strips = 0
    for seed in range(8):
        strips = []
        for share in (0.0, 1.0):
            monkeypatch.setattr(module, "UPSIDE_DOWN", share)
            strip = drawn.script(np.random.default_rng(seed)).astype(float)
            strips.append(strip < strip.max() - np.ptp(strip) / 2)
        upright, turned = strips
        assert upright.shape == turned.shape
        assert upright.sum(0).tolist() == turned.sum(0)[::-1].tolist()
        # Most ink is between the baseline and the height of a small x, either way.
        for ink in strips:
            assert ink[level - 20 : level + 2].sum() >= 0.7 * ink.sum()
        # Those too long for a strip are empty.
        drawn_strips += int(upright.any())
    assert drawn_strips > 3


def test_some_strips_show_no_text(drawn: DrawnLines) -> None:
    rng = np.random.default_rng(5)
    blanks = [drawn.blank(rng) for _ in range(60)]
    assert all(strip.shape[0] == 64 and strip.dtype == np.uint8 for strip in blanks)
    assert len({strip.shape[1] for strip in blanks}) > 20
    found = [drawn.draw(rng) for _ in range(120)]
    assert 0 < sum(each.style == "blank" for each in found) < 30
    assert all(not each.text for each in found if each.style == "blank")
