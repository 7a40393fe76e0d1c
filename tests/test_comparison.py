"""The networks that the product does not use, from fitting to their place in the tables."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import write_folder

from benchmarks import networks as comparison
from export.__main__ import ExportError, export
from paragraph_ocr.models import FOLDER
from training.fit import fit

RUN = {"steps": 2, "warmup": 1, "decay": 1, "validate_every": 2, "checkpoint_every": 2, "learning_rate": 1e-5}
STRIPS = {"height": 48, "width": 1024, "columns": 2048}
CRNN = {"channels": [8, 8, 16, 16], "hidden": 16}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "fcn": {"run": RUN | {"task": "labelling"}, "network": {"name": "fcn"}, "data": {"batch": 2}},
    "unet": {"run": RUN | {"task": "labelling"}, "network": {"name": "unet"}, "data": {"batch": 2}},
    "recognizer": {"run": RUN | {"task": "recognition"}, "network": {"name": "crnn", **CRNN}, "data": STRIPS},
    "sliding_cnn": {"run": RUN | {"task": "recognition"}, "network": {"name": "sliding_cnn", **CRNN}, "data": STRIPS},
    "seq2seq": {
        "run": RUN | {"task": "recognition"},
        "network": {"name": "seq2seq", "width": 32, "longest": 128, **CRNN},
        "data": STRIPS,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("comparison") / "data", {"a": "train", "b": "train", "c": "val"})


@pytest.fixture(scope="module")
def checkpoints(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("checkpoints")
    for name, experiment in EXPERIMENTS.items():
        run = dict(experiment["run"])
        if name in ("sliding_cnn", "seq2seq"):
            run["start"] = str(out / "recognizer.pt")
        fit(experiment | {"run": run}, [folder], out / "runs" / name, out / "cache", None, 0)
        shutil.copy(out / "runs" / name / "best.pt", out / f"{name}.pt")
    shutil.copy(comparison.CHECKPOINTS / "detector.pt", out)
    return out


def weights(path: Path) -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in torch.load(path, weights_only=True)["average"].items()}


def test_a_run_starts_from_the_weights_that_fit(checkpoints: Path) -> None:
    crnn, sliding, seq2seq = (weights(checkpoints / f"{name}.pt") for name in ("recognizer", "sliding_cnn", "seq2seq"))
    assert crnn.keys() == sliding.keys()
    assert all(torch.allclose(crnn[name], sliding[name], atol=1e-3) for name in crnn if name.startswith("lstm"))
    kept = [name for name in seq2seq if name.startswith(("convolutions", "pairs", "lstm"))]
    assert len(kept) > 20
    assert all(torch.equal(crnn[name], seq2seq[name]) for name in kept), "the encoder stays as it was"


def test_a_start_without_any_weight_that_fits_is_refused(checkpoints: Path, folder: Path, tmp_path: Path) -> None:
    run = EXPERIMENTS["fcn"]["run"] | {"start": str(checkpoints / "seq2seq.pt")}
    with pytest.raises(SystemExit, match="no weights"):
        fit(EXPERIMENTS["fcn"] | {"run": run}, [folder], tmp_path, checkpoints / "cache", None, 0)


def test_seq2seq_is_exported_as_an_encoder_and_a_step(checkpoints: Path, folder: Path, tmp_path: Path) -> None:
    assert export(checkpoints / "seq2seq.pt", folder, "1", tmp_path).parent == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoder.onnx", "encoder.onnx"]
    with pytest.raises(ExportError, match="another folder with --out"):
        export(checkpoints / "seq2seq.pt", folder, "1", FOLDER)


def test_every_network_has_its_row(
    checkpoints: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "CHECKPOINTS", checkpoints)
    monkeypatch.setattr(comparison, "RUNS", 1)
    found = comparison.compare_detectors(folder, tmp_path, 2).splitlines()
    assert [row.split("|")[1].split(",")[0].strip() for row in found[2:4]] == ["fcn", "unet"]
    shipped = [cell.strip() for cell in found[4].split("|")[2:-1]]
    assert float(shipped[0]) > 90, "clear print, lines well apart: pixels"
    assert shipped[4] == "100.0", "recall"
    read = comparison.compare_recognisers(folder, tmp_path, 4).splitlines()
    assert [row.split("|")[1].split("@")[0].strip() for row in read[2:]] == [
        "crnn",
        "sliding_cnn",
        "seq2seq",
        "crnn-48x1024",
    ]
    rows = [[cell.strip() for cell in row.split("|")[2:-1]] for row in read[2:]]
    assert float(rows[3][0]) > 80, "the shipped one reads print"
    assert all(float(row[0]) < 30 for row in rows[:3]), "two steps make no reader"


def test_the_page_has_a_place_for_both_tables() -> None:
    page = comparison.README.read_text(encoding="utf-8")
    assert page.count("<!-- detectors -->") == page.count("<!-- recognisers -->") == 1
