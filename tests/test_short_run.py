"""A short run: an archive within its size, batches that show their texts, weights that export and go on."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import write_folder

from export.__main__ import build, export
from paragraph_ocr.pipeline import rectification
from training.data.strips import Strip
from training.networks.crnn import CRNN
from training.optim.setup import RunOptions
from training.short_run.archive import ArchiveError, read_archive
from training.short_run.batches import BatchMaker, DeviceLines, to_ink
from training.short_run.fit import fit, make_rate
from training.short_run.pack import choose_annotated, correct_weights, pack
from training.tasks.recognition import RecognitionOptions, load_charset

CPU = torch.device("cpu")
EXPERIMENT: dict[str, Any] = {
    "run": {"task": "recognition", "steps": 4, "optimizer": "muon", "warmup": 1, "learning_rate": 2e-3},
    "network": {"name": "crnn", "channels": [4, 8, 8, 16], "hidden": 16},
    "data": {"height": 32, "width": 256, "columns": 1024, "batch": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("short") / "data", {"a": "train", "b": "train", "c": "val"})


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("archive")
    assert pack(EXPERIMENT, [folder], out / "run.zip", out / "cache", megabytes=2.0) == {"annotated": 8}
    return out / "run.zip"


@pytest.fixture(scope="module")
def weights(archive: Path) -> Path:
    return fit(archive, archive.parent / "run", minutes=600.0, steps=4)


def test_an_archive_holds_the_training_lines_with_their_texts(archive: Path, folder: Path) -> None:
    manifest, strips, start = read_archive(archive)
    rows = [json.loads(row) for row in (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines()]
    truth = [line["text"] for row in rows if row["split"] == "train" for line in row["lines"]]
    assert sorted(manifest.texts) == sorted(truth)
    assert manifest.experiment == EXPERIMENT
    assert (manifest.charset, manifest.sources, start) == (load_charset(), ["test"], None)
    assert {strip.shape[0] for strip in strips} == {round(32 * 4 / 3)}
    assert all(strip.std() > 20 for strip in strips), "dark ink on paper"


def test_an_archive_is_no_larger_than_it_may_be(folder: Path, tmp_path: Path) -> None:
    whole = pack(EXPERIMENT, [folder], tmp_path / "whole.zip", tmp_path, megabytes=2.0)["annotated"]
    with zipfile.ZipFile(tmp_path / "whole.zip") as content:
        code = sum(item.compress_size for item in content.infolist() if item.filename.endswith(".py"))
    bound = (tmp_path / "whole.zip").stat().st_size / 2**20
    with pytest.raises(SystemExit, match="no strip fits"):
        pack(EXPERIMENT, [folder], tmp_path / "none.zip", tmp_path, megabytes=0.5 * code / 2**20)
    assert whole == 8
    assert bound < 2.0


def test_heavy_strips_are_chosen_first_and_then_weigh_no_more() -> None:
    strips = [
        Strip(np.zeros((4, 4), np.uint8), "a", 0.7, name, "", False) for name in ("rare", "often") for _ in range(500)
    ]
    options = RecognitionOptions(weights={"often": 4.0})
    chosen = [weight for _, weight in choose_annotated(strips, options, 0)][:200]
    assert 140 < chosen.count(4.0) < 180
    corrected = correct_weights(chosen, [1.0] * 500 + [4.0] * 500)
    assert max(corrected) == pytest.approx(min(corrected)), "few of many: all as likely"
    everything = [1.0] * 500 + [4.0] * 500
    assert correct_weights(everything, everything) == pytest.approx(everything), "all of them: as the file says"


def test_ink_is_that_of_the_product() -> None:
    rng = np.random.default_rng(0)
    strip = np.clip(rng.normal(200, 8, (48, 320)), 0, 255).astype(np.uint8)
    strip[20:30, 40:200:7] = 60
    image = torch.full((1, 1, 48, 384), 0.0)
    image[0, 0, :, :320] = torch.from_numpy(strip) / 255
    inside = (torch.arange(384) < 320)[None, None, None]
    ink = to_ink(image, inside)[0, 0].numpy()
    np.testing.assert_allclose(ink[:, :320], rectification.to_ink(strip, rectification.Normalisation()), atol=0.02)
    assert not ink[:, 320:].any()


def test_strips_are_gathered_as_they_were() -> None:
    rng = np.random.default_rng(0)
    strips = [rng.integers(0, 256, (8, width), dtype=np.uint8) for width in (5, 12, 9)]
    batch = (255 * DeviceLines(strips, CPU).gather(torch.tensor([2, 0]))).round().to(torch.uint8).numpy()
    assert batch.shape == (2, 1, 8, 9)
    np.testing.assert_array_equal(batch[0, 0], strips[2])
    np.testing.assert_array_equal(batch[1, 0], np.pad(strips[0], ((0, 0), (0, 4)), mode="edge"))


def test_batches_keep_to_their_size_and_show_their_texts(archive: Path) -> None:
    manifest, strips, _ = read_archive(archive)
    torch.manual_seed(0)
    maker = BatchMaker(
        DeviceLines(strips, CPU),
        manifest.texts,
        manifest.charset,
        manifest.weights,
        manifest.zooms,
        manifest.stretches,
        height=32,
        width=256,
        columns=1024,
        seed=0,
    )
    seen = set()
    for _, (ink, classes, lengths) in zip(range(12), maker, strict=False):
        assert ink.shape[1:3] == (1, 32)
        assert ink.shape[3] % 64 == 0
        assert ink.shape[0] * 32 <= 1024
        assert torch.isfinite(ink).all()
        assert (ink > 0.5).flatten(1).float().mean(1).min() > 0.005, "every line has ink"
        texts = ["".join(manifest.charset[kind - 1] for kind in text) for text in classes.split(lengths.tolist())]
        assert set(texts) <= set(manifest.texts)
        seen |= set(texts)
    assert len(seen) > 3
    first, second = (maker.make(np.array([0]), np.array([200]))[0] for _ in range(2))
    assert (first - second).abs().mean() > 0.01, "distorted anew"


def test_the_rate_falls_with_time_or_with_steps() -> None:
    now = [0.0]
    options = RunOptions("recognition", steps=1, warmup=10)
    factor = make_rate(options, 100.0, None, lambda: now[0])
    assert factor(0) == pytest.approx(0.1)
    now[0] = 50.0
    assert factor(99) == pytest.approx(0.5)
    assert make_rate(options, 100.0, 200, lambda: now[0])(150) == pytest.approx(0.25)
    now[0] = 100.0
    assert factor(99) == 0.0


@pytest.mark.slow
def test_a_run_leaves_weights_that_are_exported(
    weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = torch.load(weights, weights_only=True)
    assert {v.dtype for v in state["average"].values() if v.is_floating_point()} == {torch.float16}
    assert (state["step"], state["charset"], state["sources"]) == (4, load_charset(), ["test"])
    assert [row["step"] for row in state["history"]] == [4]
    assert (weights.parent / "curves.png").stat().st_size > 1000
    build(state["experiment"])[0].load_state_dict(state["average"])
    # How an untrained network is quantised is not the subject here.
    monkeypatch.setattr("export.__main__.MAX_DISAGREEMENT", 1.0)
    card = json.loads(export(weights, folder, "short", tmp_path).with_suffix(".json").read_text(encoding="utf-8"))
    assert card["training"]["steps"] == 4


def test_with_consistency_every_strip_is_read_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = EXPERIMENT | {"data": EXPERIMENT["data"] | {"consistency": 0.2}}
    pack(experiment, [folder], tmp_path / "run.zip", tmp_path / "cache", megabytes=2.0)
    given = []
    loss = CRNN.loss

    def recorded(network: CRNN, *batch: Any) -> torch.Tensor:
        given.append(batch)
        return loss(network, *batch)

    monkeypatch.setattr(CRNN, "loss", recorded)
    fit(tmp_path / "run.zip", tmp_path / "run", minutes=600.0, steps=2)
    assert len(given) == 2
    for strips, classes, lengths, consistency in given:
        assert consistency == 0.2
        assert strips.shape[0] * strips.shape[3] <= EXPERIMENT["data"]["columns"]
        for both in (strips, classes, lengths):
            assert torch.equal(*both.chunk(2))


@pytest.mark.slow
def test_a_run_goes_on_from_weights(archive: Path, weights: Path, tmp_path: Path) -> None:
    before = torch.load(weights, weights_only=True)
    after = torch.load(fit(archive, tmp_path, minutes=600.0, steps=2, resume=weights), weights_only=True)
    assert after["step"] == 6
    assert after["history"][:1] == before["history"]
    assert any(not torch.equal(after["average"][name], value) for name, value in before["average"].items())


@pytest.mark.slow
def test_the_archive_alone_is_enough(archive: Path, tmp_path: Path) -> None:
    """Its own code runs, on a machine without the libraries that only other parts of the project use."""
    missing = ("rapidfuzz", "shapely", "sklearn", "onnx", "onnxruntime", "pypdfium2", "tqdm")
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
        "import training.short_run.fit as run\n"
        "from pathlib import Path\n"
        "assert '.zip' in run.__file__, run.__file__\n"
        "run.fit(Path(sys.argv[1]), Path(sys.argv[2]), minutes=600.0, steps=1)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", script, str(archive), str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment | {"PYTHONPATH": str(archive)})
    assert torch.load(tmp_path / "weights.pt", weights_only=True)["step"] == 1


def test_a_broken_archive_is_named(archive: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    with pytest.raises(ArchiveError, match=r"broken\.zip is no archive"):
        read_archive(broken)
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(broken, "w") as part:
        part.writestr("manifest.json", whole.read("manifest.json"))
        part.writestr("strips.bin", whole.read("strips.bin")[:-1])
    with pytest.raises(ArchiveError, match="not as long"):
        read_archive(broken)


def test_weights_of_another_network_are_refused(archive: Path, tmp_path: Path) -> None:
    torch.save({"average": {"a": torch.zeros(1)}, "step": 1, "seconds": 0.0, "history": []}, tmp_path / "other.pt")
    with pytest.raises(ArchiveError, match="another network"):
        fit(archive, tmp_path, resume=tmp_path / "other.pt")


def test_a_detector_has_no_short_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="recogniser"):
        pack({"run": {"task": "detection"}, "network": {}, "data": {}}, [folder], tmp_path / "a.zip", tmp_path)
