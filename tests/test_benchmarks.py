"""The benchmarks count and time what they say, and write it where the documentation has it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from benchmarks import cold, cost, floor, image, memory, report, summary
from benchmarks.pages import encoded, letter_page
from paragraph_ocr.pipeline.reader import PageReader

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("lines", [1, 10, 60])
def test_a_page_has_the_lines_asked_for(lines: int) -> None:
    page = PageReader.load().read(encoded(letter_page(lines)), "page.jpg").pages[0]
    assert len(page.lines) == lines


def test_a_section_is_replaced_and_its_neighbours_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# A\n<!-- a -->\nold\n<!-- end -->\n# B\n<!-- b -->\nkept\n<!-- end -->\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "FOLDER", tmp_path / "performance")
    report.publish("a", {"x": 1}, "new", lambda axes: axes.plot([1, 2]) and None)
    text = page.read_text()
    assert "old" not in text
    assert "kept" in text
    assert "new" in text
    assert json.loads((tmp_path / "performance" / "a.json").read_text())["x"] == 1
    assert (tmp_path / "performance" / "a.svg").read_text().startswith("<?xml")
    with pytest.raises(ValueError, match="0 sections c"):
        report.publish("c", {}, "")


def test_every_benchmark_has_its_section_and_its_command() -> None:
    names = ("performance.md", "adapt.md", "accuracy.md")
    text = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in names)
    modules = [
        path
        for path in (ROOT / "benchmarks").glob("*.py")
        if "publish(" in path.read_text() and path != Path(report.__file__)
    ]
    assert len(modules) == 11
    for module in modules:
        assert f"-m benchmarks.{module.stem}" in text
        assert f"<!-- {module.stem} -->" in text
    assert set(re.findall(r"performance/([\w-]+)\.svg", text)) <= {path.stem for path in report.FOLDER.glob("*.svg")}


def test_the_documentation_has_the_figures_that_are_measured() -> None:
    page = summary.README.read_text(encoding="utf-8")
    assert f"<!-- speed -->\n{summary.summary()}\n<!-- end -->" in page
    assert f"<!-- accuracy -->\n{summary.accuracy()}\n<!-- end -->" in page
    assert f"<!-- kinds -->\n{summary.kinds()}\n<!-- end -->" in page
    assert f"<!-- peers -->\n{summary.peers()}\n<!-- end -->" in summary.ACCURACY.read_text(encoding="utf-8")


def test_multiply_accumulates_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": (8, 3, 3, 3), "lw": (2, 4 * 5, 64), "lr": (2, 4 * 5, 5), "m": (10, 7)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Reshape", ["c", "s"], ["t"]),
        helper.make_node("LSTM", ["t", "lw", "lr"], ["l"], hidden_size=5, direction="bidirectional"),
        helper.make_node("Reshape", ["l", "f"], ["g"]),
        helper.make_node("MatMul", ["g", "m"], ["y"]),
    ]
    arrays = [numpy_helper.from_array(rng.random(shape, np.float32), name) for name, shape in weights.items()]
    arrays += [numpy_helper.from_array(np.array(shape), name) for name, shape in (("s", [8, 1, 64]), ("f", [8, 10]))]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_empty_tensor_value_info("y")],
        arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    assert floor.multiply_accumulates(tmp_path / "net.onnx", (1, 3, 16, 16)) == {
        "Conv": 8 * 8 * 8 * 27,
        "LSTM": 8 * 2 * 20 * (64 + 5),
        "MatMul": 8 * 10 * 7,
    }


def test_the_start_is_timed_under_the_runtime_client() -> None:
    steps = cold.ours()
    assert tuple(steps) == cold.STEPS
    assert min(steps.values()) >= 0
    assert steps["imports"] > 0.01
    assert steps["first page"] > 0.01


def test_memory_is_of_the_process_and_not_of_the_one_that_started_it() -> None:
    ballast = np.ones(200 * 2**20, np.uint8)
    code = "from benchmarks.worker import peak_megabytes; print(peak_megabytes())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ballast.nbytes / 2**20 < memory.resident()
    assert float(run.stdout) < 100


def test_seconds_are_scaled_where_no_share_can_be_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cost, "VERSION_1", tmp_path / "none")
    monkeypatch.setattr(cost, "VERSION_2", tmp_path / "none")
    with cost.share(0.5) as processes:
        assert processes is None


def test_a_wheel_is_as_large_as_its_files(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "data").write_bytes(bytes(3_000_000))
    information = tmp_path / "thing-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    (information / "RECORD").write_text("thing/data,,\nthing/gone,,\n")
    assert image.by_wheel(tmp_path)["thing 1"] == pytest.approx(3.0)
