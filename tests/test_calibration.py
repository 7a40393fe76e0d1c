import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pages import write_folder

from paragraph_ocr.models import FOLDER, UNCALIBRATED, read_card
from paragraph_ocr.pipeline.confidence import FEATURES, TERMS, combine
from paragraph_ocr.pipeline.reader import PageReader
from training.evaluation import calibration


def test_characters_are_judged_by_the_alignment_with_the_fewest_edits() -> None:
    assert (
        calibration.mark_right("grey geese", "gray  gees").tolist()
        == [True] * 2 + [False] + [True] * 2 + [False] + [True] * 4
    )
    assert calibration.mark_right("", "a").tolist() == [False]
    assert calibration.mark_right("a", "").tolist() == []


def judged(confidence: float, right: float, count: int = 100) -> np.ndarray:
    return np.column_stack([np.full(count, confidence), np.arange(count) < right * count])


def test_a_recogniser_that_is_as_often_right_as_it_says_is_not_off() -> None:
    assert calibration.calibration_error(np.concatenate([judged(0.5, 0.5), judged(0.85, 0.85)])) < 1e-9
    assert calibration.calibration_error(np.concatenate([judged(0.5, 0.7), judged(0.85, 0.85)])) == pytest.approx(0.1)


def test_a_surer_character_is_never_made_less_sure_than_another() -> None:
    confidences, rights = calibration.calibrate(np.concatenate([judged(0.25, 0.6), judged(0.55, 0.5), judged(0.95, 1)]))
    assert confidences == (0.25, 0.55, 0.95)
    assert rights == (0.55, 0.55, 1.0), "bins in the wrong order get their common share"


def test_bins_count_by_their_characters() -> None:
    _, rights = calibration.calibrate(np.concatenate([judged(0.25, 0.6, 300), judged(0.55, 0.4), judged(0.95, 1)]))
    assert rights == (0.55, 0.55, 1.0)


def test_a_word_is_as_sure_as_its_characters_are_on_average() -> None:
    rows = [[0.9, 1, 0], [0.7, 0, 0], [0.1, 0, -1], [0.5, 1, 3], [0.2, 0, -1]]
    np.testing.assert_allclose(calibration.average_words(np.array(rows)), [[0.8, 0.5], [0.5, 1.0]])
    assert calibration.average_words(np.empty((0, 3))).shape == (0, 2)


def test_one_writer_is_no_measure_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "pages", {"a": "val"})
    monkeypatch.setattr("sys.argv", ["", str(folder), "--models", str(shutil.copytree(FOLDER, tmp_path / "models"))])
    with pytest.raises(SystemExit, match="two writers"):
        calibration.main()


@pytest.mark.slow
def test_the_card_gets_a_calibration_that_is_then_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    shutil.copytree(FOLDER, models)
    folder = write_folder(tmp_path / "pages", {"a": "val", "b": "val"})
    picture = tmp_path / "reliability.png"
    monkeypatch.setattr("training.evaluation.hard_lines.PAGES_A_KIND", 2)
    monkeypatch.setattr("sys.argv", ["", str(folder), "--models", str(models), "--picture", str(picture)])
    calibration.main()
    card = json.loads((models / "recognizer.json").read_text(encoding="utf-8"))
    read = read_card(models / "recognizer.json")
    confidences, rights = read.calibration
    assert (confidences, rights) != UNCALIBRATED
    assert list(rights) == sorted(rights)
    assert list(confidences) == sorted(set(confidences))
    assert set(read.evidence) == {*TERMS, "intercept"}
    counted = sum(part["characters"] for part in card["reliability"]["bins"])
    # Each page is measured with weights that were fitted on the other.
    rows = [json.loads(row) for row in (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines()]
    truth = sum(len(line["text"]) for row in rows for line in row["lines"])
    assert counted == pytest.approx(truth, abs=6)
    assert card["reliability"]["kinds"]["as they are"]["confidence"] > 0.9
    assert card["reliability"]["kinds"]["scribble"]["right"] == 0
    assert picture.stat().st_size > 5000
    assert PageReader.load(models).recognizer.model.card.evidence == read.evidence


def material(features: np.ndarray, right: np.ndarray) -> calibration.Material:
    judged = np.column_stack([np.full(len(right), 0.5), right, np.zeros(len(right))])
    return calibration.Material(features, judged, np.zeros(len(right), np.int64), 1.0)


def test_what_tells_right_from_wrong_gets_the_weight() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, len(FEATURES)))
    right = (features[:, 1] > 0).astype(float)
    weights = calibration.fit_evidence([material(features, right)])
    assert max(weights, key=lambda name: abs(weights[name])) == FEATURES[1]
    confidence = combine(features, weights)
    assert confidence[right == 1].mean() > 0.9 > 0.1 > confidence[right == 0].mean()


def test_where_all_is_right_the_probability_is_kept() -> None:
    weights = calibration.fit_evidence([material(np.zeros((5, len(FEATURES))), np.ones(5))])
    assert {name for name, weight in weights.items() if weight} == {"character"}
