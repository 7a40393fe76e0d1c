"""The committed models read the same on every processor, and in eight bits what they do in float."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from export.__main__ import build, disagreement
from export.conversion import run_onnx, run_torch, to_onnx
from export.quantisation import MAX_PAIR_SUM, finest_scales, largest_pair_sums, product_orders, quantise
from paragraph_ocr.models import FOLDER, Model
from paragraph_ocr.pipeline.detection import Detector, letterbox
from paragraph_ocr.pipeline.light import dark_on_light_everywhere, even_light
from paragraph_ocr.pipeline.rectification import Geometry, Normalisation, cut, frame
from training.tasks.recognition import stack

ROOT = Path(__file__).parents[1]
NAMES = ("detector", "recognizer")
EMULATOR = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
# Where x86 would saturate, onnxruntime then multiplies without, in twice as many instructions.
EXACT = {"session.x64quantprecision": "1"}
ALONE = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
numpy.save(sys.argv[3], session.run(None, {session.get_inputs()[0].name: numpy.load(sys.argv[2])})[0])
"""


def run(path: Path, batch: NDArray[np.float32], settings: dict[str, str] | None = None) -> list[NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for key, value in (settings or {}).items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, {session.get_inputs()[0].name: batch})]


@pytest.fixture(scope="module")
def batches() -> dict[str, list[NDArray[np.float32]]]:
    """What either model is given of the sample letter: the page, and its lines."""
    from PIL import Image

    pixels = even_light(dark_on_light_everywhere(np.asarray(Image.open(ROOT / "samples" / "letter.jpg").convert("L"))))
    detector = Model(FOLDER / "detector.onnx", 1)
    card = Model(FOLDER / "recognizer.onnx", 1).card
    page = letterbox(pixels, detector.input_shape[-1], detector.card.multiples[2:], Normalisation())[0]
    geometry = Geometry(card.input_shape[2], card.input_shape[3], **card.preprocessing["geometry"])
    lines, _ = Detector(detector).find(pixels)
    strips = [cut(pixels, frame(line.baseline, line.ascender, line.descender, geometry)) for line in lines]
    strips = [strip for strip in strips if strip.shape[1] <= geometry.width]
    assert len(strips) > 5
    multiple = card.multiples[3]
    return {
        "detector": [page],
        "recognizer": [stack([strip], -(-strip.shape[1] // multiple) * multiple).numpy() for strip in strips],
    }


def integer_weights(path: Path) -> dict[str, list[NDArray[np.int8]]]:
    """The weights in eight bits of a model, each in the orders in which a kernel may multiply them."""
    graph = onnx.load(path).graph
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    made = {output: node for node in graph.node for output in node.output}
    found = {}
    for node in graph.node:
        if node.op_type in ("Conv", "MatMul") and node.input[1] in made:
            name = made[node.input[1]].input[0]
            found[name] = product_orders(arrays[name].astype(int), node.op_type)
        elif node.op_type == "DynamicQuantizeLSTM":
            for name in node.input[1:3]:
                found[name] = product_orders(np.swapaxes(arrays[name], 1, 2).astype(int), "LSTM")
        elif node.op_type == "MatMulInteger":
            found[node.input[1]] = product_orders(arrays[node.input[1]].astype(int), "MatMul")
    assert set(found) == {
        name for name, array in arrays.items() if array.dtype == np.int8 and array.ndim > 1 and array.any()
    }
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_sum_of_two_products_leaves_sixteen_bits(name: str) -> None:
    weights = integer_weights(FOLDER / f"{name}.onnx")
    assert len(weights) > 10
    worst = {key: max(int(largest_pair_sums(rows).max()) for rows in orders) for key, orders in weights.items()}
    assert max(worst.values()) <= 32767 // 255, worst


def test_weights_are_as_fine_as_that_allows() -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((8, 6, 3, 3)).astype(np.float32)
    orders = product_orders(weights, "Conv")
    scales = finest_scales(orders)
    for scaled, fits in ((scales, True), (scales * 0.98, False)):
        largest = [largest_pair_sums(np.rint(rows / scaled[:, None])) for rows in orders]
        within = (np.max(largest, 0) <= MAX_PAIR_SUM) & (np.abs(np.rint(orders[0] / scaled[:, None])).max(1) <= 127)
        assert within.all() if fits else not within.any()
    assert np.abs(orders[0] / scales[:, None]).max(1).mean() > 70, "more than seven bits"


@pytest.mark.parametrize("padding", [0, 1])
def test_a_convolution_along_a_line_becomes_a_product_that_gives_floats(padding: int) -> None:
    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(2, 8, 3, padding=1)
            self.pairs = torch.nn.Conv1d(8, 16, 4, stride=2, padding=padding)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.pairs(torch.relu(self.first(values)).squeeze(2)))

    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    batches = [rng.random((1, 2, 1, width), np.float32) for width in (16, 32, 48)]
    network = Line().eval()
    content = to_onnx(network, {"x": torch.from_numpy(batches[0])}, ["y"], {"x": {3: "width"}, "y": {2: "steps"}})
    quantised = onnx.load_from_string(quantise(content, batches))
    onnx.checker.check_model(quantised)
    arrays = {array.name: numpy_helper.to_array(array) for array in quantised.graph.initializer}
    kinds = [node.op_type for node in quantised.graph.node]
    assert kinds.count("MatMul") == kinds.count("Conv") == 1
    assert not any(array.dtype == np.float32 and array.ndim > 1 for array in arrays.values()), "no float weights"
    for batch in batches:
        ((seen,),) = run_onnx(quantised.SerializeToString(), [batch])
        np.testing.assert_allclose(seen, run_torch(network, batch)[0], atol=0.02)


def test_neighbours_are_those_that_a_kernel_adds() -> None:
    assert largest_pair_sums(np.array([[60, 70, -90, 5], [100, -100, -20, -30]])).tolist() == [130, 100]
    assert largest_pair_sums(np.array([[60, 70, 90]])).tolist() == [130]
    weights = np.arange(2 * 3 * 1 * 2).reshape(2, 3, 1, 2)
    across, along = product_orders(weights, "Conv")
    assert across[0].tolist() == [0, 2, 4, 1, 3, 5]
    assert along[0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", NAMES)
def test_the_outputs_do_not_depend_on_saturation(name: str, batches: dict[str, list[NDArray[np.float32]]]) -> None:
    for batch in batches[name][:4]:
        for seen, exact in zip(
            run(FOLDER / f"{name}.onnx", batch), run(FOLDER / f"{name}.onnx", batch, EXACT), strict=True
        ):
            np.testing.assert_array_equal(seen, exact)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_eight_bits_see_what_float_does(name: str, batches: dict[str, list[NDArray[np.float32]]]) -> None:
    state = torch.load(ROOT / "training" / "checkpoints" / f"{name}.pt", map_location="cpu", weights_only=True)
    network, description = build(state["experiment"])
    network.load_state_dict({key: value.float() for key, value in state["average"].items()})
    network.eval()
    expected = [run_torch(network, batch)[0] for batch in batches[name]]
    seen = [run(FOLDER / f"{name}.onnx", batch)[0] for batch in batches[name]]
    assert disagreement(seen, expected, description) < 0.015
    if name == "recognizer":
        # Kullback-Leibler divergence a step, nats: 0.016 as quantised now, 0.024 with weights that saturate.
        lost = [(np.exp(b) * (b - a)).sum(-1).ravel() for a, b in zip(seen, expected, strict=True)]
        assert np.concatenate(lost).mean() < 0.02


@pytest.mark.slow
@pytest.mark.skipif(EMULATOR is None, reason="qemu-x86_64 (Debian's qemu-user or qemu-user-static) emulates")
@pytest.mark.parametrize("processor", ["Nehalem", "Haswell"])
def test_a_line_is_read_alike_on_another_processor(
    processor: str, batches: dict[str, list[NDArray[np.float32]]], tmp_path: Path
) -> None:
    model = FOLDER / "recognizer.onnx"
    batch = min(batches["recognizer"], key=lambda each: each.shape[-1])
    np.save(tmp_path / "strips.npy", batch)
    script = tmp_path / "alone.py"
    script.write_text(ALONE, encoding="utf-8")
    paths = ":".join(sys.path)
    command = [EMULATOR, "-cpu", processor, Path(sys.executable).resolve(), script, model, tmp_path / "strips.npy"]
    subprocess.run([*command, tmp_path / "out.npy"], env={"PYTHONPATH": paths}, check=True, capture_output=True)
    emulated, native = np.load(tmp_path / "out.npy"), run(model, batch)[0]
    # Floating point rounds otherwise there, which an eight-bit step can turn on.
    assert np.mean(emulated.argmax(-1) != native.argmax(-1)) < 0.005
    assert float((np.exp(native) * (native - emulated)).sum(-1).mean()) < 1e-3
