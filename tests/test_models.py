import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from paragraph_ocr.errors import DeadlineExceeded
from paragraph_ocr.models import FOLDER, Model, ModelError, limited


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for suffix in (".onnx", ".json"):
        shutil.copy(FOLDER / f"recognizer{suffix}", tmp_path)
    return tmp_path / "recognizer.onnx"


def change(card: Path, **values: object) -> None:
    card.write_text(json.dumps(json.loads(card.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize("name", ["detector", "recognizer"])
def test_the_committed_models_are_the_ones_their_cards_describe(name: str) -> None:
    model = Model(FOLDER / f"{name}.onnx", threads=1)
    outputs = model.run(np.zeros(model.input_shape, np.float32))
    assert tuple(output.shape for output in outputs) == model.card.output_shapes
    assert model.card.label == f"{model.card.name}@{model.card.version}"


def test_the_recognizers_classes_are_its_charset_and_the_blank() -> None:
    card = Model(FOLDER / "recognizer.onnx", threads=1).card
    assert card.output_shapes[0][-1] == len(card.charset) + 1


def test_a_changed_model_is_refused(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="SHA-256"):
        Model(copy, threads=1)


@pytest.mark.parametrize(
    "given",
    [
        {"shape": [1, 1, 32, 1024], "multiples": [1, 1, 32, 64]},
        {"shape": [1, 1, 48, 1024]},
        {"shape": [1, 1, 48, 1024], "multiples": [1, 1, 16, 64]},
    ],
)
def test_another_shape_is_refused(copy: Path, given: dict[str, list[int]]) -> None:
    change(copy.with_suffix(".json"), input=given)
    with pytest.raises(ModelError, match="export it again"):
        Model(copy, threads=1)


@pytest.mark.parametrize("suffix", [".onnx", ".json"])
def test_a_missing_file_is_named(copy: Path, suffix: str) -> None:
    copy.with_suffix(suffix).unlink()
    with pytest.raises(ModelError, match=f"recognizer{suffix}"):
        Model(copy, threads=1)


def test_a_card_without_a_key_is_refused(copy: Path) -> None:
    copy.with_suffix(".json").write_text("{}")
    with pytest.raises(ModelError, match="name"):
        Model(copy, threads=1)


def test_a_run_after_its_deadline_does_not_start_and_the_model_stays_usable() -> None:
    model = Model(FOLDER / "detector.onnx", threads=1)
    values = np.zeros(model.input_shape, np.float32)
    with limited(-1.0), pytest.raises(DeadlineExceeded, match="takes longer") as raised:
        model.run(values)
    assert raised.value.__cause__ is None
    with limited(3600.0):
        assert len(model.run(values)) == len(model.run(values)) > 0


def test_a_run_ends_at_its_deadline_and_the_model_stays_usable() -> None:
    model = Model(FOLDER / "detector.onnx", threads=1)
    values = np.zeros(model.input_shape, np.float32)
    # A run of the largest input takes 25 ms or more. On a busy machine, the timer may come too late or too early.
    for _ in range(50):
        try:
            with limited(0.005):
                model.run(values)
        except DeadlineExceeded as error:
            if error.__cause__ is not None:
                break
    else:
        pytest.fail("no run ended in its course")
    with limited(3600.0):
        assert len(model.run(values)) == len(model.run(values)) > 0
