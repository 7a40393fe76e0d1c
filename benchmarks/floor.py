"""Compare the models' speed with the measured peak of a core, and attribute the rest of the time to operators.

python -m benchmarks.floor
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from benchmarks.report import publish, table
from paragraph_ocr.models import FOLDER, read_card

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = sorted(FOLDER.glob("*.onnx"))
SIDE = 1024
CHANNELS, PIXELS = 128, 64
Array = NDArray[Any]


def session(model: bytes, optimise: bool = True, profile: str = "") -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def seconds(run: Callable[[], object], runs: int, best: bool) -> float:
    run()
    found = []
    for _ in range(runs):
        start = perf_counter()
        run()
        found.append(perf_counter() - start)
    return min(found) if best else statistics.median(found)


def operator(kind: str, given: Array, weights: dict[str, Array], inputs: str, **attributes: Any) -> bytes:
    """Make a model of one operator; `inputs` names its inputs in order, and "x" has the shape of `given`."""
    node = helper.make_node(kind, inputs.split(), ["y"], **attributes)
    element = helper.np_dtype_to_tensor_dtype(given.dtype)
    graph = helper.make_graph(
        [node],
        kind,
        [helper.make_tensor_value_info("x", element, given.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def peaks(runs: int) -> dict[str, float]:
    """Return billions of multiply-accumulates per second of large products and convolutions, the best of some runs."""
    rng = np.random.default_rng(0)
    square, image = (SIDE, SIDE), (1, CHANNELS, PIXELS, PIXELS)
    kernel = (CHANNELS, CHANNELS, 3, 3)

    def bytes_of(shape: tuple[int, ...], kind: type) -> Array:
        return rng.integers(0, 127, shape).astype(kind)

    scale: dict[str, Array] = {
        "s": np.array(0.1, np.float32),
        "zx": np.array(128, np.uint8),
        "zw": np.array(0, np.int8),
    }
    product, convolution = SIDE**3, CHANNELS * CHANNELS * 9 * PIXELS * PIXELS
    work: list[tuple[str, int, Array, bytes]] = []
    x: Array = rng.standard_normal(square).astype(np.float32)
    work.append(("fp32 product", product, x, operator("MatMul", x, {"w": x}, "x w")))
    x = bytes_of(square, np.uint8)
    zeros = {name: scale[name] for name in ("zx", "zw")}
    weights = {"w": bytes_of(square, np.int8)} | zeros
    work.append(("int8 product", product, x, operator("MatMulInteger", x, weights, "x w zx zw")))
    x = rng.standard_normal(image).astype(np.float32)
    weights = {"w": rng.standard_normal(kernel).astype(np.float32)}
    work.append(("fp32 convolution", convolution, x, operator("Conv", x, weights, "x w", pads=[1] * 4)))
    x = bytes_of(image, np.uint8)
    weights = {"w": bytes_of(kernel, np.int8)} | scale
    model = operator("QLinearConv", x, weights, "x s zx w s zw s zx", pads=[1] * 4)
    work.append(("int8 convolution", convolution, x, model))
    found = {}
    for name, macs, given, model in work:
        run = partial(session(model).run, None, {"x": given})
        found[name] = macs / seconds(run, runs, best=True) / 1e9
    return found


def multiply_accumulates(path: Path, shape: tuple[int, ...]) -> Counter[str]:
    """Count the multiply-accumulates of one run of a model by operator, from the shapes of all its arrays."""
    model = onnx.load(path)
    graph = model.graph
    given = {output.name for output in graph.output}
    for node in graph.node:
        for name in node.output:
            if name and name not in given:
                graph.output.append(helper.make_empty_tensor_value_info(name))
    loaded = session(model.SerializeToString(), optimise=False)
    (taken,) = loaded.get_inputs()
    names = [output.name for output in loaded.get_outputs()]
    arrays = loaded.run(names, {taken.name: np.zeros(shape, np.float32)})
    shapes = {name: array.shape for name, array in zip(names, arrays, strict=True)}
    shapes |= {array.name: tuple(array.dims) for array in graph.initializer} | {taken.name: shape}
    counts: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv"):
            weights = shapes[node.input[3 if node.op_type == "QLinearConv" else 1]]
            over = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
            counts[node.op_type] += int(np.prod(shapes[over])) * int(np.prod(weights[1:]))
        elif "MatMul" in node.op_type or "Gemm" in node.op_type:
            inner = shapes[node.input[0]][-1]
            counts[node.op_type] += int(np.prod(shapes[node.output[0]])) * inner
        elif "LSTM" in node.op_type:
            steps, lines, _ = shapes[node.input[0]]
            counts[node.op_type] += steps * lines * sum(int(np.prod(shapes[name])) for name in node.input[1:3])
    return counts


def profile(path: Path, shape: tuple[int, ...], runs: int) -> dict[str, float]:
    """Return the milliseconds of each kind of operator in one run."""
    with tempfile.TemporaryDirectory() as folder:
        loaded = session(path.read_bytes(), profile=f"{folder}/run")
        (taken,) = loaded.get_inputs()
        for _ in range(runs):
            loaded.run(None, {taken.name: np.zeros(shape, np.float32)})
        events = json.loads(Path(loaded.end_profiling()).read_text(encoding="utf-8"))
    nodes: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes.setdefault((event["args"]["op_name"], event["name"]), []).append(event["dur"] / 1000)
    total: dict[str, float] = defaultdict(float)
    for (kind, _), times in nodes.items():
        total[kind] += statistics.median(times)
    return dict(sorted(total.items(), key=lambda item: item[1], reverse=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.floor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    peak = peaks(arguments.runs)
    models: dict[str, dict[str, Any]] = {}
    for path in MODELS:
        loaded = session(path.read_bytes())
        (taken,) = loaded.get_inputs()
        shape = read_card(path.with_suffix(".json")).input_shape
        x = np.random.default_rng(0).random(shape, np.float32)
        time = seconds(partial(loaded.run, None, {taken.name: x}), arguments.runs, best=False)
        counts = multiply_accumulates(path, shape)
        models[path.stem] = {
            "multiply_accumulates": dict(counts),
            "milliseconds": 1000 * time,
            "giga_a_second": counts.total() / time / 1e9,
            "operators_ms": profile(path, shape, arguments.runs),
        }
    lines = [
        table(("one core's peak", "10⁹ MAC/s"), [(name, f"{rate:.0f}") for name, rate in peak.items()]),
        table(
            ("model", "10⁹ MAC", "ms", "10⁹ MAC/s", "of fp32 peak, %", "of int8 peak, %"),
            [
                (
                    name,
                    f"{sum(found['multiply_accumulates'].values()) / 1e9:.2f}",
                    f"{found['milliseconds']:.1f}",
                    f"{found['giga_a_second']:.0f}",
                    *(f"{100 * found['giga_a_second'] / peak[f'{kind} convolution']:.0f}" for kind in ("fp32", "int8")),
                )
                for name, found in models.items()
            ],
        ),
    ]
    for name, found in models.items():
        whole = sum(found["operators_ms"].values())
        parts = [f"{kind} {100 * ms / whole:.0f} %" for kind, ms in found["operators_ms"].items() if ms > 0.01 * whole]
        lines.append(f"The time of the {name}: {', '.join(parts)}.")

    def draw(axes: Axes) -> None:
        for row, (name, found) in enumerate(models.items()):
            left = 0.0
            whole = sum(found["operators_ms"].values())
            for kind, ms in found["operators_ms"].items():
                share = 100 * ms / whole
                axes.barh([name], [share], left=[left], edgecolor="white")
                if share > 5:
                    axes.text(left + share / 2, row, kind, ha="center", va="center", fontsize=7)
                left += share
        axes.set_xlabel("percent of the model's time, by operator")

    publish("floor", {"peak_giga_a_second": peak, "models": models}, "\n\n".join(lines), draw)


if __name__ == "__main__":
    main()
