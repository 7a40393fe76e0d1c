"""Export a fitted checkpoint as an ONNX file, checked against torch, with its card beside it.

The model is quantised to eight bits, calibrated on training pages. Its input has a largest size and may be smaller, in
multiples that its card names ("multiples"), so that short lines and narrow pages take less time.

    python -m export runs/recognizer/best.pt --data PAGES --version 1 --out function/paragraph_ocr/models
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.conversion import ExportError, check_difference, export_pair, run_onnx, run_torch, to_onnx
from export.quantisation import quantise
from paragraph_ocr.model_set import FOLDER, write_manifest
from paragraph_ocr.pipeline.detection import letterbox
from paragraph_ocr.pipeline.rectification import Geometry, Normalisation, cut, frame
from training.data.credits import credits
from training.data.pages import TruePage, load_pages
from training.networks.recognisers import RECOGNISERS
from training.networks.seq2seq import Seq2Seq
from training.tasks import detection, recognition

AXES = ("batch", "channels", "height", "width")
# Maximum share of the time steps or pixels of real inputs in which the quantised model may differ from torch.
MAX_DISAGREEMENT = 0.02
CALIBRATION_BATCHES = {"detector": 36, "recognizer": 60}


def build(experiment: dict[str, Any], charset: str | None = None) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Build the network of an experiment, and the entries of its card for input and classes.

    Parameters
    ----------
    experiment : dict
        As `training.fit.read_experiment` returns it.
    charset : str, optional
        Of a recogniser; by default that of training/charset.txt.

    Raises
    ------
    ExportError
        The network is one for comparison only.
    """
    options, network = dict(experiment["data"]), dict(experiment["network"])
    kind = network.pop("name")
    if experiment["run"]["task"] == "labelling":
        raise ExportError("a network that labels lines in turn is for comparison alone; the product has no use for it")
    if experiment["run"]["task"] == "detection":
        return detection.NETWORKS[kind](**network), detection.describe(detection.DetectionOptions(**options))
    strip = recognition.RecognitionOptions(**options)
    charset = charset or recognition.load_charset()
    description = recognition.describe(strip) | {"charset": charset}
    return RECOGNISERS[kind](classes=len(charset) + 1, height=strip.height, **network), description


def real_inputs(pages: list[TruePage], description: dict[str, Any], count: int) -> list[NDArray[np.float32]]:
    """Make inputs of the model from `count` annotated pages, or from all if there are fewer.

    The pages are evenly spaced, and lines are taken from the middle of a page on.
    """
    shape, multiples = description["input"]["shape"], description["input"]["multiples"]
    batches = []
    for page in pages[:: max(1, len(pages) // count)][:count]:
        pixels = page.normalised()
        if description["model"] == "detector":
            batches.append(letterbox(pixels, shape[-1], tuple(multiples[2:]), Normalisation())[0])
        else:
            geometry = Geometry(shape[2], shape[3], **description["preprocessing"]["geometry"])
            lines = [line for line in page.lines if line.text]
            lines = lines[len(lines) // 2 :][: shape[0]]
            strips = [cut(pixels, frame(line.baseline, line.ascender, line.descender, geometry)) for line in lines]
            strips += [np.full((shape[2], 8), 255, np.uint8)] * (shape[0] - len(strips))
            longest = max(strip.shape[1] for strip in strips)
            batches.append(recognition.stack(strips, -(-longest // multiples[3]) * multiples[3]).numpy())
    return batches


def disagreement(
    seen: list[NDArray[np.float32]], true: list[NDArray[np.float32]], description: dict[str, Any]
) -> float:
    """Return the share of decisions in which two models differ.

    Parameters
    ----------
    seen, true : lists of float32
        First outputs of the models for the same inputs.
    description : dict
        The entries of the card, as `build` returns them.

    Returns
    -------
    float
        For a recogniser the share of steps with another class; for a detector the share of the pixels that either
        model takes for a line's and the other does not.
    """
    if description["model"] == "recognizer":
        return float(
            np.mean(np.concatenate([(a.argmax(-1) != b.argmax(-1)).ravel() for a, b in zip(seen, true, strict=True)]))
        )
    threshold = description["preprocessing"]["threshold"]
    level = np.log(threshold / (1.0 - threshold))
    cores = [(a[:, 0] > level, b[:, 0] > level) for a, b in zip(seen, true, strict=True)]
    return float(sum((a ^ b).sum() for a, b in cores) / max(1, sum((a | b).sum() for a, b in cores)))


def export(checkpoint: Path, data: Path, version: str, out: Path, size: int | None = None) -> Path:
    """Write the ONNX file and the card of a checkpoint.

    Parameters
    ----------
    checkpoint : Path
        As `training.fit` writes it.
    data : Path
        Folder of pages; validation pages are what torch and ONNX are compared on.
    version : str
        Version in the card.
    out : Path
        Folder for detector.onnx or recognizer.onnx and its JSON card; or for the encoder.onnx and decoder.onnx of a
        sequence-to-sequence recogniser, which the product does not load and which have no card.
    size : int, optional
        Side of a detector's input; that of its training by default.

    Raises
    ------
    ExportError
        Some output differs from torch's by more than 1e-3, the quantised model disagrees with torch too often, a
        recogniser was to change its size, or the product has no use for the network.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    experiment = state["experiment"]
    if size is not None:
        if experiment["run"]["task"] != "detection":
            raise ExportError("only a detector can be exported at another size than it was fitted at")
        experiment = experiment | {"data": experiment["data"] | {"size": size}}
    network, description = build(experiment)
    network.load_state_dict({name: value.float() for name, value in state["average"].items()})
    network.eval()
    batches = real_inputs(load_pages(data, "val"), description, 8)
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(network, Seq2Seq):
        if out.resolve() == FOLDER.resolve():
            raise ExportError("the product does not read by attention; name another folder with --out")
        for name, content in zip(("encoder", "decoder"), export_pair(network, batches), strict=True):
            (out / f"{name}.onnx").write_bytes(content)
        return out / "decoder.onnx"
    real = real_inputs(load_pages(data, "train"), description, CALIBRATION_BATCHES[description["model"]])
    content, checks = convert(network, description, batches, real)
    if not checks["quantised_disagreement"] <= MAX_DISAGREEMENT:
        raise ExportError(f"the quantised model disagrees with torch in more than {MAX_DISAGREEMENT:.0%}")
    return write_model(content, make_card(network, description, state, version, checks), description["model"], out)


def convert(
    network: torch.nn.Module,
    description: dict[str, Any],
    batches: list[NDArray[np.float32]],
    calibration: list[NDArray[np.float32]],
) -> tuple[bytes, dict[str, float]]:
    """Convert a network to a quantised ONNX model.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    description : dict
        The entries of the card, as `build` returns them; the shapes of the outputs are added to it.
    batches : list of float32
        Inputs that torch and ONNX are compared on.
    calibration : list of float32
        Inputs that the ranges of the eight bits are taken from.

    Returns
    -------
    bytes, dict
        The model, and how far it is from the network: largest difference before quantisation, and the share of
        decisions that differ after it.

    Raises
    ------
    ExportError
        Some output of the model that is not quantised differs from torch's by more than 1e-3.
    """
    given = description["input"]
    sides = zip(AXES, given["shape"], given["multiples"], strict=True)
    free = {axis: name for axis, (name, side, multiple) in enumerate(sides) if multiple < side}
    largest = torch.zeros(given["shape"])
    names = [output["name"] for output in description["outputs"]]
    content = to_onnx(network, {given["name"]: largest}, names, {given["name"]: free})
    checks = {"largest_difference_from_torch": check_difference(network, content, batches)}
    print(f"largest difference from torch over {len(batches)} real batches: {max(checks.values()):.2e}")
    content = quantise(content, calibration)
    seen = [outputs[0] for outputs in run_onnx(content, batches)]
    checks["quantised_disagreement"] = disagreement(
        seen, [run_torch(network, batch)[0] for batch in batches], description
    )
    print(f"share of decisions in which the quantised model differs: {checks['quantised_disagreement']:.2%}")
    for output, values in zip(description["outputs"], run_torch(network, largest.numpy()), strict=True):
        output["shape"] = list(values.shape)
    return content, checks


def make_card(
    network: torch.nn.Module, description: dict[str, Any], state: dict[str, Any], version: str, checks: dict[str, float]
) -> dict[str, Any]:
    """Return the card of a model, without the hash of its file.

    Parameters
    ----------
    network : Module
    description : dict
        As `convert` leaves it.
    state : dict
        The checkpoint.
    version : str
    checks : dict
        As `convert` returns them.
    """
    # The mean of several checkpoints' weights has no validation scores.
    scored = [row for row in state["history"] if "score" in row and "averaged" not in state]
    best: dict[str, float] = min(scored, key=lambda row: row["score"], default={})
    sides = "x".join(str(side) for side in description["input"]["shape"][2:])
    return {
        "name": f"{state['experiment']['network']['name']}-{sides}",
        "version": version,
        **{key: value for key, value in description.items() if key != "model"},
        "parameters": sum(value.numel() for value in network.parameters()),
        "precision": "int8",
        **checks,
        "validation_while_fitting": best,
        "training": {
            "experiment": state["experiment"],
            "steps": state["step"],
            **({"averaged_after_steps": state["averaged"]} if "averaged" in state else {}),
            "hours": round(state["seconds"] / 3600, 2),
            **credits(state["sources"]),
        },
    }


def write_model(content: bytes, card: dict[str, Any], name: str, out: Path) -> Path:
    """Write a model and its card into a model set, and the manifest anew; returns the model's path."""
    path = out / f"{name}.onnx"
    path.write_bytes(content)
    label = {key: card[key] for key in ("name", "version")}
    card = label | {"sha256": hashlib.sha256(content).hexdigest()} | card
    path.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_manifest(out)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of pages to compare torch and ONNX on")
    parser.add_argument("--version", required=True, help="what the card calls this model")
    parser.add_argument("--size", type=int, help="side of a detector's input, if not the one it was fitted at")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model set, for the file and its card")
    arguments = parser.parse_args()
    path = export(arguments.checkpoint, arguments.data, arguments.version, arguments.out, arguments.size)
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
