"""Quantise a float ONNX model: eight-bit convolutions, LSTMs and matrix products, the same on every processor."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

# Percentile of the activations that the range of eight bits covers; outliers would reduce the resolution.
PERCENTILE = 99.99
# Before VNNI, x86 adds the products of two neighbours in sixteen bits: of activations up to 255, weights of one sign
# that add up to 128 at most cannot overflow them.
MAX_PAIR_SUM = 128
MAX_WEIGHT = 127
# The activations of these operators are quantised dynamically.
DYNAMIC = ["LSTM", "MatMul"]
# Activations between these operators stay in eight bits; a ReLU is then part of the saturation at zero.
BETWEEN_CONVOLUTIONS = ["Conv", "Relu", "Add", "Resize"]


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, batches: Iterable[NDArray[np.float32]]) -> None:
        self._feeds = iter([{name: batch} for batch in batches])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def fold(content: bytes) -> bytes:
    """Fold the constants of a model, without optimisations for a particular machine."""
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


def product_orders(weights: NDArray[Any], kind: str) -> list[NDArray[Any]]:
    """Return the weights of each output channel in the orders in which a kernel may multiply them.

    Parameters
    ----------
    weights : (O, I, H, W) of a Conv, (D, O, I) of an LSTM, (I, O) of a MatMul
    kind : str
        The operator.

    Returns
    -------
    list of (channels, products)
        Convolutions have two: MLAS multiplies with the input channels innermost, or with the columns innermost where
        an image is laid out as it comes.
    """
    if kind == "MatMul":
        return [weights.T]
    if kind == "LSTM":
        return [weights.reshape(-1, weights.shape[-1])]
    return [np.moveaxis(weights, 1, -1).reshape(len(weights), -1), weights.reshape(len(weights), -1)]


def largest_pair_sums(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the maximum absolute sum of two neighbouring weights of the same sign in each row.

    Parameters
    ----------
    rows : (channels, products)
        Neighbours are the first and second product, the third and fourth, and so on.
    """
    signed = np.stack([np.maximum(rows, 0), np.maximum(-rows, 0)])
    signed = np.pad(signed, ((0, 0), (0, 0), (0, signed.shape[2] % 2)))
    return np.asarray((signed[..., ::2] + signed[..., 1::2]).max((0, 2)))


def finest_scales(orders: list[NDArray[Any]]) -> NDArray[np.float32]:
    """Find the smallest scale of each channel at which no pair of its weights exceeds `MAX_PAIR_SUM`.

    The median channel of the recogniser has 7.6 bits then; limiting each weight to seven bits would do the same.

    Parameters
    ----------
    orders : list of (channels, products)
        As `product_orders` returns them.
    """
    largest = np.max([largest_pair_sums(rows) for rows in orders], 0)
    scales = np.maximum(np.abs(orders[0]).max(1) / MAX_WEIGHT, largest / MAX_PAIR_SUM)
    scales = np.maximum(scales, np.finfo(np.float32).tiny).astype(np.float32)
    while True:
        # Rounding may increase the sum of two weights by one.
        rounded = [np.rint(rows / scales[:, None]) for rows in orders]
        over = np.max([largest_pair_sums(rows) for rows in rounded], 0) > MAX_PAIR_SUM
        over |= np.abs(rounded[0]).max(1) > MAX_WEIGHT
        if not over.any():
            return np.asarray(scales, np.float32)
        scales[over] *= np.float32(1.002)


def _rescale(model: onnx.ModelProto, given: onnx.GraphProto) -> None:
    """Quantise the weights of a model's LSTMs and matrix products again, from the original model.

    onnxruntime's quantiser takes no scales of one's own for the channels of an LSTM.
    """
    graph = model.graph
    quantised = {array.name: array for array in graph.initializer}
    weights = {array.name: array for array in given.initializer}
    for node in given.node:
        if node.op_type not in DYNAMIC:
            continue
        for name in node.input[1 : 3 if node.op_type == "LSTM" else 2]:
            if f"{name}_quantized" not in quantised:
                continue
            values = numpy_helper.to_array(weights[name])
            (rows,) = product_orders(values, node.op_type)
            scales = finest_scales([rows])
            integers = np.rint(rows / scales[:, None]).astype(np.int8)
            # In both operators, the axis of the products precedes that of the channels.
            integers = np.swapaxes(integers.reshape(*values.shape[:-2], -1, rows.shape[-1]), -1, -2)
            for suffix, array in (("quantized", integers), ("scale", scales)):
                old = quantised[f"{name}_{suffix}"]
                old.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array.reshape(old.dims)), old.name))


def quantise(content: bytes, batches: list[NDArray[np.float32]]) -> bytes:
    """Quantise a model's weights and activations to eight bits.

    Activations are scaled by what `batches` showed, those of LSTMs and matrix products as they come. Each channel's
    weights are scaled so that no sum of two products leaves sixteen bits. On x86 without VNNI larger ones saturate
    (vpmaddubsw), and a text would depend on the processor that reads it. Kernels that multiply without saturation take
    half as long again there.

    Some convolutions stay in float. Those of a single channel: in eight bits they are slower, and the input's own
    shades count. Those along a line alone: half of all difference was made there. And those whose result the model
    gives out, where distances would share a scale with logits.

    Parameters
    ----------
    content : bytes
        A folded model with one input.
    batches : list of float32 of shapes that the model takes
        Inputs for calibrating the convolutions.
    """
    widest = max(batch.shape[-1] for batch in batches)
    tallest = max(batch.shape[-2] for batch in batches)
    # Calibration requires arrays of one shape for its histograms.
    padded = [
        np.pad(batch, ((0, 0), (0, 0), (0, tallest - batch.shape[-2]), (0, widest - batch.shape[-1])))
        for batch in batches
    ]
    with tempfile.TemporaryDirectory() as folder:
        given, dynamic, static = (Path(folder) / f"{name}.onnx" for name in ("given", "dynamic", "static"))
        given.write_bytes(content)
        quantize_dynamic(given, dynamic, op_types_to_quantize=DYNAMIC, per_channel=True, weight_type=QuantType.QInt8)
        model = onnx.load(dynamic)
        _rescale(model, onnx.load(given).graph)
        onnx.save(model, dynamic)
        graph = model.graph
        arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
        given_out = {output.name for output in graph.output}
        kept = {
            node.name
            for node in graph.node
            if (
                node.op_type == "Conv"
                and (
                    arrays[node.input[1]].shape[1] == 1
                    or arrays[node.input[1]].ndim == 3
                    or not given_out.isdisjoint(node.output)
                )
            )
            or (node.op_type == "Add" and not arrays.keys().isdisjoint(node.input))
        }
        overrides = {
            node.input[1]: [
                {"quant_type": QuantType.QInt8, "axis": 0, "scale": scale, "zero_point": np.int8(0)}
                for scale in finest_scales(product_orders(arrays[node.input[1]], "Conv"))
            ]
            for node in graph.node
            if node.op_type == "Conv" and node.name not in kept
        }
        quantize_static(
            dynamic,
            static,
            _Inputs(graph.input[0].name, padded),
            calibrate_method=CalibrationMethod.Percentile,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=BETWEEN_CONVOLUTIONS,
            nodes_to_exclude=sorted(kept),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibPercentile": PERCENTILE, "TensorQuantOverrides": overrides},
        )
        return static.read_bytes()
