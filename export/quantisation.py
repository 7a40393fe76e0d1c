"""A float ONNX model and real inputs in; the same model with eight-bit convolutions, LSTMs and products out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

# The range of eight bits leaves out the farthest activations: a few outliers would make all others coarser.
PERCENTILE = 99.99


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, batches: Iterable[NDArray[np.float32]]) -> None:
        self._feeds = iter([{name: batch} for batch in batches])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def fold(content: bytes) -> bytes:
    """A model with all that depends on no input computed beforehand, and nothing that depends on the machine."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        model = onnx.load(path)
    used = {node.domain for node in model.graph.node}
    imports = [domain for domain in model.opset_import if domain.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    return bytes(model.SerializeToString())


def quantise(content: bytes, batches: list[NDArray[np.float32]]) -> bytes:
    """Eight-bit weights everywhere, and activations that are scaled by what `batches` showed, or as they come in LSTMs.

    Some convolutions stay as they are. Of a single channel: in eight bits they are slower, and the input's own shades
    count. Along a line alone: half of all difference was made there. And what the model gives out as it is, where
    distances would share a scale with logits.

    A processor that multiplies no pairs of eight bits without saturation (before VNNI) gives other outputs: lines were
    read the same but for 0.5 % of the steps, as often better as worse, so that weights keep all eight bits.

    Parameters
    ----------
    content : bytes
        A folded model with one input.
    batches : list of float32 of shapes that the model takes
        What convolutions are calibrated on.
    """
    widest = max(batch.shape[-1] for batch in batches)
    tallest = max(batch.shape[-2] for batch in batches)
    # Histograms are made of arrays of one shape.
    padded = [
        np.pad(batch, ((0, 0), (0, 0), (0, tallest - batch.shape[-2]), (0, widest - batch.shape[-1])))
        for batch in batches
    ]
    with tempfile.TemporaryDirectory() as folder:
        given, dynamic, static = (Path(folder) / f"{name}.onnx" for name in ("given", "dynamic", "static"))
        given.write_bytes(content)
        quantize_dynamic(
            given,
            dynamic,
            op_types_to_quantize=["LSTM", "MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        graph = onnx.load(dynamic).graph
        shapes = {weights.name: weights.dims for weights in graph.initializer}
        given_out = {output.name for output in graph.output}
        kept = [
            node.name
            for node in graph.node
            if node.op_type == "Conv"
            and (
                shapes[node.input[1]][1] == 1
                or len(shapes[node.input[1]]) == 3
                or not given_out.isdisjoint(node.output)
            )
        ]
        quantize_static(
            dynamic,
            static,
            _Inputs(graph.input[0].name, padded),
            calibrate_method=CalibrationMethod.Percentile,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=kept,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibPercentile": PERCENTILE},
        )
        return static.read_bytes()
