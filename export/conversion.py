"""Convert a network to ONNX, and check that both compute the same."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from export.quantisation import fold
from training.networks.seq2seq import Seq2Seq

OPSET = 20
MAX_DIFFERENCE = 1e-3


class ExportError(Exception):
    """The outputs of a model in ONNX differ from those in torch."""


def forget_origin(model: onnx.ModelProto) -> None:
    """Remove the exporter's metadata about the source code, which contains paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def run_torch(network: torch.nn.Module, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The outputs of a network for one batch."""
    with torch.inference_mode():
        outputs = network(torch.from_numpy(batch))
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def run_onnx(content: bytes, batches: list[NDArray[np.float32]]) -> list[list[NDArray[np.float32]]]:
    """The outputs of a model for each batch."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return [session.run(None, {session.get_inputs()[0].name: batch}) for batch in batches]


def to_onnx(
    network: torch.nn.Module, inputs: dict[str, torch.Tensor], outputs: list[str], free: dict[str, dict[int, str]]
) -> bytes:
    """Convert a network to ONNX.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    inputs : dict of Tensor
        Inputs of maximum size by name.
    outputs : list of str
        Their names.
    free : dict
        The axes of inputs and outputs that may have other sizes, each with its name.
    """
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model.onnx"
        # torch.export fixes the length of an LSTM; the older exporter writes ONNX's. Its warnings are ignored, since
        # `check_difference` would reveal values that are wrongly treated as constants.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                tuple(inputs.values()),
                exported,
                opset_version=OPSET,
                dynamo=False,
                input_names=list(inputs),
                output_names=outputs,
                dynamic_axes=free,
            )
        model = onnx.load(exported)
    forget_origin(model)
    onnx.checker.check_model(model, full_check=True)
    return fold(model.SerializeToString())


def check_difference(network: torch.nn.Module, content: bytes, batches: list[NDArray[np.float32]]) -> float:
    """Return the maximum difference between the outputs of a model and its network.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    content : bytes
        ONNX with one input, from `to_onnx`.
    batches : list of float32
        Inputs for the comparison, of several sizes if the model supports this.

    Raises
    ------
    ExportError
        It is more than 1e-3.
    """
    expected = [run_torch(network, batch) for batch in batches]
    computed = run_onnx(content, batches)
    pairs = [pair for a, b in zip(computed, expected, strict=True) for pair in zip(a, b, strict=True)]
    farthest = max(float(np.abs(a - b).max()) for a, b in pairs)
    _refuse(farthest)
    return farthest


def _refuse(farthest: float) -> None:
    if not farthest <= MAX_DIFFERENCE:
        raise ExportError(f"outputs differ from torch's by {farthest:.2e}, more than the {MAX_DIFFERENCE} allowed")


class _Encoder(torch.nn.Module):
    def __init__(self, network: Seq2Seq) -> None:
        super().__init__()
        self.network = network

    def forward(self, strips: torch.Tensor) -> torch.Tensor:
        return self.network.encode(strips)


class _Step(torch.nn.Module):
    def __init__(self, network: Seq2Seq) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, character: torch.Tensor, position: torch.Tensor, memory: torch.Tensor, past: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network.decode(character, position, memory, past)


def export_pair(network: Seq2Seq, batches: list[NDArray[np.float32]]) -> tuple[bytes, bytes]:
    """The encoder of a sequence-to-sequence network, and one step of its decoder, as ONNX.

    Parameters
    ----------
    network : Seq2Seq
        In evaluation mode.
    batches : list of float32 (1, 1, H, W)
        Strips for the comparison of torch and ONNX.

    Raises
    ------
    ExportError
        The encoder's output, or the log probabilities of one of the first characters, differ by more than 1e-3.
    """
    with torch.no_grad():
        memory = network.encode(torch.from_numpy(batches[0]))
    encoder = to_onnx(
        _Encoder(network).eval(),
        {"strips": torch.from_numpy(batches[0])},
        ["memory"],
        {"strips": {3: "width"}, "memory": {2: "steps"}},
    )
    first = {"character": torch.zeros((1, 1), dtype=torch.long), "position": torch.zeros(1, dtype=torch.long)}
    step = to_onnx(
        _Step(network).eval(),
        first | {"memory": memory, "past": memory[:, :, :5].clone()},
        ["log_probabilities", "next"],
        {"memory": {2: "steps"}, "past": {2: "characters"}, "next": {2: "more"}},
    )
    session = onnxruntime.InferenceSession(step, providers=["CPUExecutionProvider"])
    farthest = 0.0
    for batch, (seen,) in zip(batches, run_onnx(encoder, batches), strict=True):
        with torch.inference_mode():
            memory = network.encode(torch.from_numpy(batch))
            past = network.empty_past(memory)
        farthest = max(farthest, float((memory - torch.from_numpy(seen)).abs().max()))
        character = np.zeros((1, 1), np.int64)
        kept = past.numpy()
        for place in range(8):
            position = np.array([place])
            with torch.inference_mode():
                expected, past = network.decode(torch.from_numpy(character), torch.from_numpy(position), memory, past)
            given = {"character": character, "position": position, "memory": seen, "past": kept}
            computed, kept = session.run(None, given)
            farthest = max(farthest, float(np.abs(computed - expected.numpy()).max()))
            character = computed.argmax(2)
    _refuse(farthest)
    return encoder, step
