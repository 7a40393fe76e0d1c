import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pages import write_folder

from paragraph_ocr.models import FOLDER, UNCALIBRATED, read_card
from training.evaluation import calibration


def test_characters_are_judged_by_the_alignment_with_the_fewest_edits() -> None:
    assert (
        calibration.judge("grey geese", "gray  gees").tolist()
        == [True] * 2 + [False] + [True] * 2 + [False] + [True] * 4
    )
    assert calibration.judge("", "a").tolist() == [False]
    assert calibration.judge("a", "").tolist() == []


def judged(confidence: float, right: float, count: int = 100) -> np.ndarray:
    return np.column_stack([np.full(count, confidence), np.arange(count) < right * count])


def test_a_recogniser_that_is_as_often_right_as_it_says_is_not_off() -> None:
    assert calibration.calibration_error(np.concatenate([judged(0.5, 0.5), judged(0.85, 0.85)])) < 1e-9
    assert calibration.calibration_error(np.concatenate([judged(0.5, 0.7), judged(0.85, 0.85)])) == pytest.approx(0.1)


def test_a_surer_character_is_never_made_less_sure_than_another() -> None:
    confidences, rights = calibration.calibrate(np.concatenate([judged(0.25, 0.6), judged(0.55, 0.5), judged(0.95, 1)]))
    assert confidences == (0.25, 0.55, 0.95)
    assert rights == (0.6, 0.6, 1.0)


def test_a_word_is_as_sure_as_its_characters_are_on_average() -> None:
    rows = [[0.9, 1, 0], [0.7, 0, 0], [0.1, 0, -1], [0.5, 1, 3], [0.2, 0, -1]]
    np.testing.assert_allclose(calibration.by_word(np.array(rows)), [[0.8, 0.5], [0.5, 1.0]])
    assert calibration.by_word(np.empty((0, 3))).shape == (0, 2)


def test_one_writer_is_no_measure_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "pages", {"a": "val"})
    monkeypatch.setattr("sys.argv", ["", str(folder), "--models", str(shutil.copytree(FOLDER, tmp_path / "models"))])
    with pytest.raises(SystemExit, match="two writers"):
        calibration.main()


def test_the_card_gets_a_calibration_that_is_then_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    shutil.copytree(FOLDER, models)
    folder = write_folder(tmp_path / "pages", {"a": "val", "b": "val"})
    picture = tmp_path / "reliability.png"
    monkeypatch.setattr("sys.argv", ["", str(folder), "--models", str(models), "--picture", str(picture)])
    calibration.main()
    card = json.loads((models / "recognizer.json").read_text(encoding="utf-8"))
    confidences, rights = read_card(models / "recognizer.json").calibration
    assert (confidences, rights) != UNCALIBRATED
    assert list(rights) == sorted(rights)
    assert list(confidences) == sorted(set(confidences))
    counted = sum(part["characters"] for part in card["reliability"]["bins"])
    truth = sum(len(line["text"]) for line in json.loads((folder / "pages.jsonl").read_text().splitlines()[1])["lines"])
    assert counted == pytest.approx(truth, abs=3)
    assert picture.stat().st_size > 5000
