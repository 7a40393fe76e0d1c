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


def _with_products(model: onnx.ModelProto) -> None:
    """Make integer matrix products of the float convolutions along a line that take activations in eight bits.

    The activations are those that the convolution would take in float, and the result is in float: only the weights
    are rounded. A product takes a fifth of the time.
    """
    graph = model.graph
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        squeeze = made_by.get(conv.input[0])
        if squeeze is None or squeeze.op_type != "Squeeze" or arrays[conv.input[1]].ndim != 3:
            continue
        dequantize = made_by.get(squeeze.input[0])
        if dequantize is None or dequantize.op_type != "DequantizeLinear":
            continue
        given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in conv.attribute}
        weights = arrays[conv.input[1]]
        (stride,), channels, width = given["strides"], weights.shape[1], weights.shape[2]
        if width != 2 * stride or given["group"] != 1 or given["dilations"] != [1] or len(conv.input) < 3:
            continue
        quantised, scale, zero = dequantize.input
        rows = weights.transpose(0, 2, 1).reshape(len(weights), -1)
        scales = finest_scales([rows])
        constants = {
            "pads": np.array([0, given["pads"][0], 0, 0, given["pads"][1], 0]),
            "shape": np.array([0, -1, stride * channels]),
            "first": np.array([0]),
            "second": np.array([1]),
            "last": np.array([-1]),
            "end": np.array([np.iinfo(np.int64).max]),
            "weights": np.rint(rows / scales[:, None]).astype(np.int8).T.copy(),
            "scales": scales,
            "zeros": np.zeros(len(scales), np.int8),
        }
        graph.initializer.extend(
            numpy_helper.from_array(value, f"{conv.name}/{name}") for name, value in constants.items()
        )
        # A step of the result is the product of the weights with two neighbours, of `stride` columns each.
        steps: list[tuple[str, str, str, dict[str, Any]]] = [
            ("Squeeze", f"{quantised} {squeeze.input[1]}", "line", {}),
            ("Transpose", "line", "columns", {"perm": [0, 2, 1]}),
            ("Pad", f"columns pads {zero}", "padded", {}),
            ("Reshape", "padded shape", "parts", {}),
            ("Slice", "parts first last second", "before", {}),
            ("Slice", "parts second end second", "after", {}),
            ("Concat", "before after", "windows", {"axis": 2}),
            ("DequantizeLinear", f"windows {scale} {zero}", "values", {}),
            ("DequantizeLinear", "weights scales zeros", "factors", {"axis": 1}),
            ("MatMul", "values factors", "product", {}),
            ("Add", f"product {conv.input[2]}", "sum", {}),
            ("Transpose", "sum", conv.output[0], {"perm": [0, 2, 1]}),
        ]
        own = {*constants, *(output for *_, output, _ in steps)} - {conv.output[0]}
        nodes = [
            onnx.helper.make_node(
                kind,
                [f"{conv.name}/{name}" if name in own else name for name in inputs.split()],
                [f"{conv.name}/{output}" if output in own else output],
                f"{conv.name}/{output}" if output in own else conv.name,
                **attributes,
            )
            for kind, inputs, output, attributes in steps
        ]
        place = list(graph.node).index(conv)
        for node in reversed(nodes):
            graph.node.insert(place, node)
        graph.node.remove(conv)
    _remove_unused(graph)


def _remove_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and the constants of a graph that nothing takes."""
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        unused = [node for node in graph.node if used.isdisjoint(node.output)]
        if not unused:
            break
        for node in unused:
            graph.node.remove(node)
    for array in [array for array in graph.initializer if array.name not in used]:
        graph.initializer.remove(array)


def quantise(content: bytes, batches: list[NDArray[np.float32]]) -> bytes:
    """Quantise a model's weights and activations to eight bits.

    Activations are scaled by what `batches` showed, those of LSTMs and matrix products as they come. Each channel's
    weights are scaled so that no sum of two products leaves sixteen bits. On x86 without VNNI larger ones saturate
    (vpmaddubsw), and a text would depend on the processor that reads it. Kernels that multiply without saturation take
    half as long again there.

    Some convolutions are not quantised like the others. Those of a single channel stay in float: in eight bits they are
    slower, and the input's own shades count; and so do those whose result the model gives out, where distances would
    share a scale with logits. Those along a line alone give out floats: of results in eight bits, half of all
    difference was made there.

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
        model = onnx.load(static)
        _with_products(model)
        return bytes(model.SerializeToString())
