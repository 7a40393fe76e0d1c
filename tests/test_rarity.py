import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pages import write_folder

from paragraph_ocr.models import FOLDER, Model, ModelError, read_card
from paragraph_ocr.pipeline.language import Languages, Mixture, base
from paragraph_ocr.pipeline.recognition import MAX_GAIN, Recognizer
from training.data.pages import load_pages
from training.evaluation.rarity import annotated_frequencies, letter_rarity
from training.tasks.language import accents
from training.tasks.recognition import RecognitionOptions


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    model = Model(FOLDER / "recognizer.onnx", threads=1)
    return Recognizer(model, Languages.load(FOLDER / "language.npz", model.card.charset))


def gain(recognizer: Recognizer, language: str, letter: str) -> float:
    assert recognizer.languages is not None
    return float(
        recognizer.gains(recognizer.languages.models[language])[recognizer.model.card.charset.index(letter) + 1]
    )


def test_an_accented_letter_is_rare_in_relation_to_the_letter_without_accent() -> None:
    rarity = letter_rarity(Counter({"a": 1000, "à": 100, "e": 10, "é": 20}), Counter(), 0.0, "aàeéł")
    assert rarity == {"à": round(float(np.log(10)), 2), "é": round(float(np.log(0.5)), 2)}


def test_annotated_and_drawn_lines_count_by_their_shares() -> None:
    annotated, drawn = Counter({"l": 90, "ł": 10}), Counter({"l": 1, "ł": 1})
    assert letter_rarity(annotated, drawn, 0.0, "lł")["ł"] == round(float(np.log(9)), 2)
    assert letter_rarity(annotated, drawn, 0.5, "lł")["ł"] == round(float(np.log(0.7 / 0.3)), 2)


def test_a_letter_that_was_never_met_counts_as_one_that_was_met_once() -> None:
    assert letter_rarity(Counter({"o": 999, "a": 1}), Counter(), 0.0, "oőaá") == {"ő": 6.91, "á": 0.0}


def test_lines_count_as_often_as_a_run_draws_them(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a": "train", "b": "val"})
    (source,) = {page.source for page in load_pages(folder, "train")}
    once = annotated_frequencies([folder], RecognitionOptions())
    twice = annotated_frequencies([folder], RecognitionOptions(weights={source: 2.0}))
    text = "".join(line.text for page in load_pages(folder, "train") for line in page.lines if not line.struck)
    assert once == Counter(text)
    assert twice == Counter(2 * text)


def test_a_language_has_accented_letters_by_the_shares_of_its_texts() -> None:
    found = accents([(["aaaà", "EÉ"], 0.5), (["aa"], 0.5), (["ö"], 0.1)])
    # All but the last have their letters without accents.
    assert found == {"à": round(float(np.log((0.5 / 6) / (1.5 / 6 + 0.5))), 2), "É": 0.0}


def test_letters_gain_in_the_languages_that_have_them(recognizer: Recognizer) -> None:
    assert gain(recognizer, "pl", "ą") > 1.5
    # Print is drawn with marks at random, too.
    assert gain(recognizer, "it", "ì") > 0.5
    # In French, é is as frequent as in the lines that the recogniser was fitted on, and ą does not occur.
    assert gain(recognizer, "fr", "é") < 0.5
    assert gain(recognizer, "fr", "ą") == gain(recognizer, "en", "ą") == 0.0
    assert gain(recognizer, "pl", "a") == 0.0


def test_a_mixture_gains_between_its_languages(recognizer: Recognizer) -> None:
    assert recognizer.languages is not None
    models = recognizer.languages.models
    mixed = recognizer.gains(Mixture([models["en"], models["pl"]], [0.5, 0.5]))
    place = recognizer.model.card.charset.index("ą") + 1
    assert gain(recognizer, "en", "ą") < mixed[place] < gain(recognizer, "pl", "ą")
    assert mixed.max() <= MAX_GAIN


def test_a_card_names_letters_that_the_charset_lacks_or_none(recognizer: Recognizer, tmp_path: Path) -> None:
    card = json.loads((FOLDER / "recognizer.json").read_text(encoding="utf-8"))
    assert {base(letter) for letter in card["rarity"]} <= set(card["charset"])
    path = tmp_path / "recognizer.json"
    path.write_text(json.dumps({key: value for key, value in card.items() if key != "rarity"}), encoding="utf-8")
    assert read_card(path).rarity == {}
    for wrong in ({"ą": "much"}, {"ą": float("nan")}, ["ą"]):
        path.write_text(json.dumps(card | {"rarity": wrong}), encoding="utf-8")
        with pytest.raises(ModelError, match="no model card"):
            read_card(path)
