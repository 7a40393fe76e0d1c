"""Confidence is the expected share of right characters, down to zero: of what is no text, next to none are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_legibility import ARABIC, ARMENIAN, GREEK, LATIN, RUSSIAN, scribble, written

from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.models import FOLDER, ModelError, read_card
from paragraph_ocr.pipeline.confidence import FEATURES, TERMS, combine, expand, line_features, with_page
from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.options import ReadOptions
from paragraph_ocr.pipeline.reader import PageReader

SERBIAN = ["Сва људска бића рађају се слободна", "и једнака у достојанству и правима.", "Она су обдарена разумом"]
CODES = ["AB-123-CD XK7 99Q", "SN: 4F7K-9QWE-22XZ", "REF 0012/BGT/7"]
GEORGIAN = ["ყველა ადამიანი იბადება თავისუფალი", "და თანასწორი თავისი ღირსებით"]


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


SCRIPTS = [
    pytest.param(texts, font, id=f"{name} {font}")
    for name, texts in {
        "Russian": RUSSIAN, "Greek": GREEK, "Serbian": SERBIAN, "Armenian": ARMENIAN, "Georgian": GEORGIAN
    }.items()
    for font in ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSans-Bold.ttf")
]  # fmt: skip


@pytest.mark.parametrize(("texts", "font"), SCRIPTS)
def test_no_word_of_another_script_has_half_confidence(reader: PageReader, texts: list[str], font: str) -> None:
    page = reader.read_image(written(texts, 40, font), "script")
    # Of some scripts nothing is read.
    assert page.content == "unreadable"
    assert all(word.confidence < 0.5 for line in page.lines for word in line.words)


def test_no_word_of_arabic_has_half_confidence(reader: PageReader) -> None:
    page = reader.read_image(written(ARABIC), "script")
    assert all(word.confidence < 0.5 for line in page.lines for word in line.words)


def test_scribbles_have_next_to_no_confidence(reader: PageReader) -> None:
    pages = [reader.read_image(scribble(seed), "scribble") for seed in range(5)]
    lines = [line for page in pages for line in page.lines]
    assert lines
    assert np.mean([line.confidence for line in lines]) < 0.2
    assert max(word.confidence for line in lines for word in line.words) < 0.5


@pytest.mark.parametrize(
    "texts", [LATIN, ["AB-123-CD XK7 99Q", "SN: 4F7K-9QWE-22XZ", "REF 0012/BGT/7"], ["12,50  7.00"]]
)
def test_text_that_is_right_has_a_high_confidence(reader: PageReader, texts: list[str]) -> None:
    page = reader.read_image(written(texts), "text")
    assert min(line.confidence for line in page.lines) > 0.9


def test_blur_takes_the_confidence_away_with_the_characters(reader: PageReader) -> None:
    pages = [reader.read_image(written(LATIN, 26, blur=blur), "blurred") for blur in (0, 2.5, 3, 3.5, 4, 5)]
    confidences = [page.confidence for page in pages]
    assert confidences[:4] == sorted(confidences[:4], reverse=True)
    assert confidences[0] > 0.9
    # From there on hardly a word is right.
    assert max(confidences[3:]) < 0.3
    assert [page.content for page in pages[3:]] == 3 * ["unreadable"]


def test_a_line_is_as_sure_as_its_words(reader: PageReader) -> None:
    for texts in (LATIN, RUSSIAN):
        for line in reader.read_image(written(texts), "page").lines:
            words = [word.confidence for word in line.words]
            assert min(words) - 0.05 <= line.confidence <= max(words) + 0.05


def test_each_line_of_a_page_counts_for_itself(reader: PageReader) -> None:
    pixels = written([*RUSSIAN, *LATIN])
    lines = [
        TextLine(np.array([[60, 90 * row + 37], [900, 90 * row + 37]], np.float32), 32.0, 10.0, 1.0)
        for row in range(1, 7)
    ]
    together = [line.confidence for line in reader.read_lines(pixels, lines)]
    assert max(together[:3]) < min(together[3:])


def character(text: str, confidence: float) -> Character:
    return Character(text, confidence, 0, 0)


def test_features_say_what_their_names_say() -> None:
    output = np.full((4, 10), -12.0, np.float32)
    output[:, 0] = [0.0, np.log(0.6), np.log(0.6), 0.0]
    certain = line_features([character(letter, 0.9) for letter in "the"], output)
    mixed = line_features([character("t", 0.9), character("q", 0.5)], output)
    assert certain.shape == (3, len(FEATURES))
    named, other = (dict(zip(FEATURES, values.T, strict=True)) for values in (certain, mixed))
    assert named["character"] == pytest.approx(np.log(9))
    assert named["undecided"][0] == pytest.approx(np.log(0.8 / 3), abs=1e-3)
    assert other["character"].tolist() == pytest.approx([np.log(9), 0.0])
    assert other["line"] == pytest.approx(np.log(7 / 3))
    assert other["page"] == pytest.approx(np.log(9) / 2)
    assert line_features([], output).shape == (0, len(FEATURES))


def test_all_lines_of_a_page_share_its_mean() -> None:
    lines = [np.zeros((3, len(FEATURES))), np.empty((0, len(FEATURES))), np.ones((1, len(FEATURES)))]
    made = with_page(lines)
    page = FEATURES.index("page")
    assert [values[:, page].tolist() for values in made] == [[0.25] * 3, [], [0.25]]
    assert [len(values) for values in with_page([lines[1]])] == [0]


# No language model knows these.
ODD = [
    ["XKRT QVB ZZPL", "HWN TTRX"], ["Stk", "MwSt", "kg", "zzgl. Vers."], ["MALM", "KALLAX", "HEMNES"],
    ["Quercus pyrenaica", "Ixobrychus minutus"], ["Watu wote wamezaliwa huru"],
]  # fmt: skip


@pytest.mark.parametrize("texts", ODD, ids=lambda texts: texts[0][:6])
@pytest.mark.parametrize("languages", [(), ("en",)])
def test_text_that_no_language_model_knows_is_as_sure_as_it_is_clear(
    reader: PageReader, texts: list[str], languages: tuple[str, ...]
) -> None:
    page = reader.read_image(written(texts, 36), "odd", options=ReadOptions(languages=languages))
    assert page.content == "text"
    assert page.confidence > 0.85


def test_terms_are_the_features_and_their_products() -> None:
    values = np.arange(1.0, len(FEATURES) + 1)[None]
    terms = dict(zip(TERMS, expand(values)[0], strict=True))
    assert terms["line"] == 2
    assert terms["line page"] == 2 * len(FEATURES)
    weights = dict.fromkeys(TERMS, 0.0) | {"line page": 0.5, "intercept": -2 * len(FEATURES) / 2}
    assert combine(values, weights) == pytest.approx(0.5)


def test_a_card_from_before_is_read_by_the_probability_of_each_character(tmp_path: Path) -> None:
    models = shutil.copytree(FOLDER, tmp_path / "models")
    card = json.loads((models / "recognizer.json").read_text(encoding="utf-8"))
    card["calibration"] = {"confidence": [0.0, 1.0], "right": [0.5, 0.75]}
    (models / "recognizer.json").write_text(json.dumps(card), encoding="utf-8")
    write_manifest(models)
    page = PageReader.load(models).read_image(written(LATIN), "page")
    assert all(0.5 <= word.confidence <= 0.75 for line in page.lines for word in line.words)


def test_weights_of_other_features_are_refused_with_the_remedy(reader: PageReader) -> None:
    model = reader.recognizer.model
    other = replace(model.card, evidence={"curvature": 1.0, "intercept": 0.0})

    class Other:
        card = other
        input_shape = model.input_shape
        run = model.run

    with pytest.raises(ModelError, match=r"curvature.*training\.evaluation\.calibration"):
        type(reader.recognizer)(Other())


@pytest.mark.parametrize(
    "calibration",
    [
        {"confidence": [0.0, 1.0], "right": [0.0]},
        {"confidence": [], "right": []},
        {"confidence": [0.0, 1.0], "right": [0.9, 0.1]},
        {"confidence": [1.0, 0.0], "right": [0.1, 0.9]},
        {"confidence": [0.0, 1.0], "right": [0.0, 1.5]},
        {"confidence": [0.0, "1"], "right": [0.0, 1.0]},
        {"confidence": [0.0, float("nan")], "right": [0.0, 1.0]},
        {"confidence": [0.0, 1.0], "right": [0.0, 1.0], "evidence": {"line": "much"}},
        {"confidence": [0.0, 1.0], "right": [0.0, 1.0], "evidence": ["line"]},
        {"right": [0.0, 1.0]},
        [0.5],
    ],
)
def test_a_calibration_that_is_none_is_refused(tmp_path: Path, calibration: object) -> None:
    card = json.loads((FOLDER / "recognizer.json").read_text(encoding="utf-8"))
    path = tmp_path / "recognizer.json"
    path.write_text(json.dumps(card | {"calibration": calibration}), encoding="utf-8")
    with pytest.raises(ModelError, match="is no model card"):
        read_card(path)


def test_the_lines_of_a_page_are_combined_at_once_as_one_by_one(reader: PageReader) -> None:
    card, rng = reader.recognizer.model.card, np.random.default_rng(4)
    values = [rng.normal(size=(count, len(FEATURES))) for count in (3, 0, 5)]
    page = [([character("a", 0.5)] * len(each), each) for each in values]
    expected = [np.interp(combine(each, card.evidence), *card.calibration) for each in with_page(values)]
    found = reader.recognizer.confidences(page)
    assert [len(each) for each in found] == [3, 0, 5]
    assert all(np.allclose(each, other, rtol=1e-12) for each, other in zip(found, expected, strict=True))
    assert reader.recognizer.confidences([]) == []
