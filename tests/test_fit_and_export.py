"""A run from annotated pages to ONNX files that the product loads, on networks small enough to fit in seconds."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from pages import write_folder

from export.__main__ import ExportError, build, export
from paragraph_ocr.models import Model
from paragraph_ocr.pipeline.reader import PageReader
from training.evaluation import product as evaluation
from training.fit import (
    CPU,
    ProcessGroup,
    choose_precision,
    draw_contact_sheet,
    fit,
    read_experiment,
)
from training.optim.average import AverageError, average
from training.optim.setup import RunOptions, learning_rate_factor, make_optimizers
from training.tasks.paragraphs import NETWORKS, LabellingOptions

COMMITTED = Path(__file__).parents[1] / "training" / "experiments"
EXPERIMENTS = {
    "detector": {
        "run": {"task": "detection", "steps": 4, "warmup": 1, "decay": 2, "validate_every": 2, "checkpoint_every": 2},
        "network": {"name": "unet", "channels": [4, 8, 8]},
        "data": {"size": 128, "batch": 2},
    },
    "recognizer": {
        "run": {
            "task": "recognition",
            "steps": 4,
            "optimizer": "muon",
            "warmup": 1,
            "decay": 2,
            "validate_every": 2,
            "checkpoint_every": 2,
        },
        "network": {"name": "crnn", "channels": [4, 8, 8, 16], "hidden": 16},
        "data": {"height": 32, "width": 256, "columns": 1024, "batch": 2},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("fit") / "data", {"a": "train", "b": "train", "c": "val"})


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    for name, experiment in EXPERIMENTS.items():
        fit(experiment, [folder], out / name, out / "cache", None, 0)
    return out


@pytest.fixture(scope="module")
def models(runs: Path, folder: Path) -> Path:
    for name in EXPERIMENTS:
        export(runs / name / "last.pt", folder, "test", runs / "models")
    return runs / "models"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_run_leaves_checkpoints_metrics_and_curves(runs: Path, name: str) -> None:
    rows = [json.loads(row) for row in (runs / name / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "score" in row] == [2, 4]
    assert (runs / name / "curves.png").stat().st_size > 1000
    assert "page cer test" in rows[-1], "whole pages are measured too"
    assert torch.load(runs / name / "last.pt", weights_only=True)["step"] == 4
    best = torch.load(runs / name / "best.pt", weights_only=True)
    assert {v.dtype for v in best["average"].values() if v.is_floating_point()} == {torch.float16}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_picture_shows_what_the_network_sees_and_is_taught(folder: Path, tmp_path: Path, name: str) -> None:
    draw_contact_sheet(EXPERIMENTS[name], [folder], tmp_path / "cache", 2, tmp_path / "sheet.png")
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    taught = picture[..., 2] < picture[..., 1] if name == "recognizer" else picture[..., 2] > picture[..., 1]
    assert taught.mean() > 0.005


@pytest.mark.parametrize("checkpoint", ["last.pt", "best.pt"])
def test_a_run_goes_on_where_it_stopped(runs: Path, folder: Path, tmp_path: Path, checkpoint: str) -> None:
    experiment = json.loads(json.dumps(EXPERIMENTS["recognizer"]))
    experiment["run"]["steps"] = 6
    start = runs / "recognizer" / checkpoint
    before = torch.load(start, weights_only=True)
    fit(experiment, [folder], tmp_path, runs / "cache", start, 0)
    after = torch.load(tmp_path / "last.pt", weights_only=True)
    assert after["step"] == 6
    assert after["history"][: len(before["history"])] == before["history"]
    moved = [
        name
        for name, value in before["average"].items()
        if not torch.equal(value.float(), after["average"][name].float())
    ]
    assert moved
    momenta = [
        [state["momentum"] for state in kept["optimizers"][1]["state"].values()]
        for kept in (before, after) if "optimizers" in kept
    ]  # fmt: skip
    assert all(tensor.any() for run in momenta for tensor in run)
    if checkpoint == "last.pt":
        # Two steps on, most of the momentum is still what it was.
        assert all(torch.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.5 for a, b in zip(*momenta, strict=True))


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("avx2 avx512f", None),
        ("avx512f avx512_bf16", torch.bfloat16),
        ("amx_bf16 avx512f", torch.bfloat16),
        (None, None),
    ],
)
def test_a_network_is_fitted_in_bfloat16_where_the_processor_multiplies_it(
    flags: str | None, precision: torch.dtype | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    if flags:
        told.write_text(f"model name : any\nflags : fpu {flags} sse2\n", encoding="utf-8")
    monkeypatch.setattr("training.fit.PROCESSORS", told)
    assert choose_precision(CPU) is precision


def test_each_weight_is_changed_by_one_optimizer() -> None:
    network = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.Linear(3, 2))
    for kind, expected in (("adamw", [["0.weight", "1.weight", "0.bias", "1.bias"]]),
                           ("muon", [["1.weight", "0.bias", "1.bias"], ["0.weight"]])):  # fmt: skip
        names = {id(weight): name for name, weight in network.named_parameters()}
        optimizers = make_optimizers(network, RunOptions("recognition", steps=1, optimizer=kind))
        groups = [[names[id(p)] for group in each.param_groups for p in group["params"]] for each in optimizers]
        assert groups == expected
    with pytest.raises(SystemExit, match="no convolution or LSTM"):
        make_optimizers(torch.nn.Linear(3, 2), RunOptions("recognition", steps=1, optimizer="muon"))
    with pytest.raises(SystemExit, match='unknown optimizer "adam"; use'):
        make_optimizers(network, RunOptions("recognition", steps=1, optimizer="adam"))


@pytest.mark.parametrize(
    ("change", "advice"),
    [({"steps": 4}, "has gone 4 steps"), ({"optimizer": "adamw", "steps": 5}, "best.pt beside it")],
)
def test_a_run_that_cannot_go_on_says_what_to_do(
    runs: Path, folder: Path, tmp_path: Path, change: dict[str, Any], advice: str
) -> None:
    experiment = EXPERIMENTS["recognizer"] | {"run": EXPERIMENTS["recognizer"]["run"] | change}
    with pytest.raises(SystemExit, match=advice):
        fit(experiment, [folder], tmp_path, runs / "cache", runs / "recognizer" / "last.pt", 0)


def share_gradients(rank: int, port: int, queue: Any) -> None:
    """One of two processes: its gradient is its rank, and the second has been told to stop."""
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    group = ProcessGroup(CPU)
    network = torch.nn.Linear(2, 1)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, float(rank))
    stopping = group.average_gradients(network, rank == 1)
    queue.put((rank, stopping, [parameter.grad.tolist() for parameter in network.parameters()]))
    group.wait()
    torch.distributed.destroy_process_group()


def test_processes_of_a_run_share_their_gradients_and_stop_together() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=share_gradients, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    rows = sorted(queue.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    assert rows == [(rank, True, [[[0.5, 0.5]], [0.5]]) for rank in range(2)]


def test_the_learning_rate_rises_holds_and_falls() -> None:
    options = RunOptions("recognition", steps=100, learning_rate=1.0, warmup=10, decay=20)
    assert learning_rate_factor(options, 0) == pytest.approx(0.1)
    assert learning_rate_factor(options, 50) == 1.0
    assert learning_rate_factor(options, 90) == pytest.approx(0.5)
    assert learning_rate_factor(options, 100) == 0.0


def test_an_unknown_table_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[run]\ntask = 'detection'\n[model]\n")
    with pytest.raises(SystemExit, match="unknown table model"):
        read_experiment(path)


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("*.toml")), ids=lambda path: path.stem)
def test_the_committed_experiments_are_ones_that_fit_understands(path: Path) -> None:
    experiment = read_experiment(path)
    if RunOptions(**experiment["run"]).task == "labelling":
        LabellingOptions(**experiment["data"])
        options = dict(experiment["network"])
        assert NETWORKS[options.pop("name")](**options)
        with pytest.raises(ExportError, match="no use"):
            build(experiment)
    else:
        assert build(experiment)


def test_the_product_loads_what_was_exported(models: Path) -> None:
    reader = PageReader.load(models)
    assert reader.models == {"detector": "unet-128x128@test", "recognizer": "crnn-32x256@test"}
    for name in EXPERIMENTS:
        card = json.loads((models / f"{name}.json").read_text(encoding="utf-8"))
        assert card["largest_difference_from_torch"] < 1e-3
        assert 0.0 <= card["quantised_disagreement"] < 0.02
    graph = onnx.load(models / "detector.onnx").graph
    (maps,) = (node for node in graph.node if graph.output[0].name in node.output)
    made = {output: node.op_type for node in graph.node for output in node.output}
    assert "DequantizeLinear" in made.values()
    floats = {array.name for array in graph.initializer if array.data_type == onnx.TensorProto.FLOAT}
    assert maps.op_type == "Conv", "distances and logits of one scale would be too coarse in eight bits"
    assert maps.input[1] in floats
    assert list(made.values()).count("Relu") == 1, "only that of the convolution that stays in float is not part of one"
    graph = onnx.load(models / "recognizer.onnx").graph
    assert {"DynamicQuantizeLSTM", "DequantizeLinear"} <= {node.op_type for node in graph.node}
    weights = {array.name for array in graph.initializer}
    repeated = [node.op_type for node in graph.node if set(node.input) <= weights]
    assert set(repeated) <= {"DequantizeLinear"}, "weights are put together once, at export"
    assert card["training"]["data"] == [{"source": "test"}]
    for name in EXPERIMENTS:
        assert b".py" not in (models / f"{name}.onnx").read_bytes(), "source paths of the exporting machine"
        model = Model(models / f"{name}.onnx", 1)
        (largest,) = model.card.output_shapes[:1]
        narrow = model.run(np.zeros((*model.input_shape[:-1], model.card.multiples[-1]), np.float32))[0].shape
        axis = {"detector": 3, "recognizer": 1}[name]
        assert narrow[axis] * model.input_shape[-1] == largest[axis] * model.card.multiples[-1]


def test_a_quantised_model_that_reads_otherwise_is_refused(
    runs: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.__main__.MAX_DISAGREEMENT", -1.0)
    with pytest.raises(ExportError, match="disagrees"):
        export(runs / "recognizer" / "last.pt", folder, "test", tmp_path)


def test_the_mean_of_two_runs_weights_is_exported_as_such(runs: Path, folder: Path, tmp_path: Path) -> None:
    path = runs / "recognizer" / "last.pt"
    last = torch.load(path, weights_only=True)
    weight = "convolutions.0.0.weight"
    first = last | {
        "step": 2,
        "average": last["average"] | {weight: last["average"][weight] + 1.0},
        "sources": ["first"],
    }
    torch.save(first, tmp_path / "first.pt")
    state = average([tmp_path / "first.pt", path])
    assert torch.allclose(state["average"][weight].float(), last["average"][weight] + 0.5, atol=1e-2)
    assert torch.equal(state["average"]["pairs.weight"], last["average"]["pairs.weight"].half())
    assert state["sources"] == ["first", "test"]
    torch.save(state, tmp_path / "mean.pt")
    card = json.loads(export(tmp_path / "mean.pt", folder, "m", tmp_path).with_suffix(".json").read_text("utf-8"))
    assert card["training"]["averaged_after_steps"] == [2, 4]
    assert card["validation_while_fitting"] == {}, "what was validated were other weights"


def test_checkpoints_of_two_networks_have_no_mean(runs: Path) -> None:
    with pytest.raises(AverageError, match="other weights"):
        average([runs / "detector" / "last.pt", runs / "recognizer" / "last.pt"])


def test_an_export_that_differs_from_torch_is_refused(
    runs: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.conversion.MAX_DIFFERENCE", -1.0)
    with pytest.raises(ExportError, match="differ"):
        export(runs / "recognizer" / "last.pt", folder, "test", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_detector_may_see_more_pixels_than_it_was_fitted_on(runs: Path, folder: Path, tmp_path: Path) -> None:
    export(runs / "detector" / "last.pt", folder, "test", tmp_path, size=192)
    assert Model(tmp_path / "detector.onnx", 1).input_shape == (1, 1, 192, 192)
    with pytest.raises(ExportError, match="only a detector"):
        export(runs / "recognizer" / "last.pt", folder, "test", tmp_path, size=192)


def test_pages_are_evaluated_through_the_product(models: Path, folder: Path, tmp_path: Path) -> None:
    misread: list[evaluation.Misreading] = []
    figures = evaluation.evaluate(folder, "val", PageReader.load(models), tmp_path / "overlays", misread=misread)
    assert len(misread) == 4, "an unfitted recogniser reads nothing right"
    picture = evaluation.draw_worst(misread, 3)
    assert picture.shape[0] == 3 * 2 * misread[0].strip.shape[0]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    row = figures["test"].row()
    assert (row["pages"], row["lines"]) == (1, 4)
    assert row["cer"] > 0.5, "four steps do not make a reader"
    assert len(list((tmp_path / "overlays").iterdir())) == 1
    assert "| test |" in evaluation.table({"test": row})


def test_figures_are_kept_in_the_cards_of_both_models(models: Path) -> None:
    evaluation.record({"test": {"cer": 0.123456}}, models, "val", ["test"])
    for name in EXPERIMENTS:
        scores = json.loads((models / f"{name}.json").read_text(encoding="utf-8"))["scores"]
        assert scores["sources"] == {"test": {"cer": 0.1235}}
        assert scores["command"] == "python -m training.evaluation PAGES --split val --source test"
        assert scores["models"]["detector"] == "unet-128x128@test"
    PageReader.load(models)


def test_an_error_ends_the_processes_that_prepare_batches() -> None:
    program = (
        "from torch.utils.data import DataLoader\n"
        "from training.data.workers import ignore_stop_signals\n"
        "batches = iter(DataLoader(range(10000), num_workers=1, worker_init_fn=ignore_stop_signals))\n"
        "next(batches)\n"
        "raise SystemExit('the fit failed')\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)

    assert done.stderr.strip() == "the fit failed"
