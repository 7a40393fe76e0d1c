"""Compare the committed models on this processor with float, and with themselves on others, which QEMU emulates.

    python -m benchmarks.processors PAGES --under "Haswell=qemu-x86_64-static -cpu Haswell .venv/bin/python"

A command after --under runs Python of any architecture, with the packages that reading needs. PAGES are read with each
and their texts compared, and the models are run on the same inputs. Times are processor seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.data.pages import TruePage

ROOT = Path(__file__).parents[1]
CHECKPOINTS = ROOT / "training" / "checkpoints"
LETTER = ROOT / "samples" / "letter.jpg"
MODELS = ("detector", "recognizer")
# The detector's time is that of a page of this size, and the recogniser's that of a strip of this width, in pixels.
PAGE_SIZE, STRIP_WIDTH = (1024, 832), 1024
MIN_LINES = 8
RUNS = 15

Array = NDArray[np.float32]


def run_alone(inputs: Path, images: Sequence[str], out: Path) -> None:
    """Run the models on inputs, read images, and write the outputs and the texts; imports what reading imports."""
    from paragraph_ocr.models import FOLDER, Model
    from paragraph_ocr.pipeline.reader import PageReader

    models = {name: Model(FOLDER / f"{name}.onnx", 1) for name in MODELS}
    with np.load(inputs) as given:
        outputs = {key: models[key.split()[0]].run(batch)[0] for key, batch in given.items()}
    reader = PageReader.load(warm=False)
    texts = []
    for image in images:
        texts.append(reader.read(Path(image).read_bytes(), image, max_seconds=math.inf).text)
        print(image, f"{process_time():.0f} s", file=sys.stderr, flush=True)
    np.savez(out, allow_pickle=False, **outputs, texts=np.array(json.dumps(texts)))


def outcome(command: str, inputs: Path, images: Sequence[str], out: Path) -> tuple[dict[str, Array], list[str]]:
    """The outputs of the models and the texts of the images with a Python."""
    given = os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "function"), given]))}
    arguments = [*shlex.split(command), str(Path(__file__)), "--alone", str(inputs), str(out), *images]
    subprocess.run(arguments, env=environment, check=True)
    with np.load(out) as found:
        outputs = dict(found)
    return outputs, json.loads(str(outputs.pop("texts")))


def chosen(pages: list[TruePage], count: int) -> list[TruePage]:
    """The shortest pages of at least `MIN_LINES` lines, of each source in turn."""
    sources: dict[str, list[TruePage]] = {}
    for page in sorted(pages, key=lambda page: (len(page.lines), page.page_id)):
        if len(page.lines) >= MIN_LINES:
            sources.setdefault(page.source, []).append(page)
    in_turn = chain.from_iterable(zip_longest(*(sources[name] for name in sorted(sources))))
    return list(islice(filter(None, in_turn), count))


def least_seconds(runs: Sequence[Callable[[], object]]) -> list[float]:
    """Processor seconds of each, the minimum of several runs in turn."""
    found = [[_seconds(run) for run in runs] for _ in range(RUNS + 1)]
    return [min(column) for column in zip(*found[1:], strict=True)]


def _seconds(run: Callable[[], object]) -> float:
    start = process_time()
    run()
    return process_time() - start


def with_float(
    name: str, batches: list[Array], disagreement: Callable[..., float], largest: Array
) -> tuple[float, float, float]:
    """Milliseconds in float and in eight bits, and the share of decisions that differ."""
    import onnxruntime
    import torch

    from export.__main__ import AXES, build
    from export.conversion import to_onnx
    from paragraph_ocr.models import FOLDER

    state = torch.load(CHECKPOINTS / f"{name}.pt", map_location="cpu", weights_only=True)
    network, description = build(state["experiment"])
    network.load_state_dict({key: value.float() for key, value in state["average"].items()})
    network.eval()
    given = description["input"]
    sides = zip(AXES, given["shape"], given["multiples"], strict=True)
    free = {axis: axis_name for axis, (axis_name, side, multiple) in enumerate(sides) if multiple < side}
    names = [output["name"] for output in description["outputs"]]
    example = torch.zeros(given["shape"])
    content = to_onnx(network, {given["name"]: example}, names, {given["name"]: free})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for model in (content, (FOLDER / f"{name}.onnx").read_bytes())
    ]
    outputs = [[session.run(None, {given["name"]: batch})[0] for batch in batches] for session in sessions]
    in_float, in_eight = least_seconds([lambda s=s: s.run(None, {given["name"]: largest}) for s in sessions])  # type: ignore[misc]
    return 1000 * in_float, 1000 * in_eight, disagreement(outputs[1], outputs[0], description)


def main(folder: Path, count: int, others: dict[str, str]) -> None:
    import torch

    from benchmarks.report import publish, table
    from export.__main__ import build, disagreement, real_inputs
    from training.data.pages import load_pages

    pages = chosen(load_pages(folder, "val"), count)
    images = [str(LETTER), *(str(page.path) for page in pages)]
    descriptions = {
        name: build(torch.load(CHECKPOINTS / f"{name}.pt", map_location="cpu", weights_only=True)["experiment"])[1]
        for name in MODELS
    }
    batches = {name: real_inputs(pages, descriptions[name], count) for name in MODELS}
    rng = np.random.default_rng(0)
    largest = {
        "detector": rng.random((1, 1, *PAGE_SIZE), np.float32),
        "recognizer": rng.random((1, 1, descriptions["recognizer"]["input"]["shape"][2], STRIP_WIDTH), np.float32),
    }
    models = [(name, *with_float(name, batches[name], disagreement, largest[name])) for name in MODELS]
    rows = [
        (name, f"{before:.1f}", f"{now:.1f}", f"{before / now:.2f}", f"{100 * differs:.2f}")
        for name, before, now, differs in models
    ]
    heads = ("model", "float, ms", "eight bits, ms", "float / eight bits", "decisions other than in float, %")
    parts = [table(heads, rows)]

    compared: list[tuple[Any, ...]] = []
    with tempfile.TemporaryDirectory() as temporary:
        inputs = Path(temporary) / "inputs.npz"
        # One page, and some lines: a line takes a second where the processor is emulated.
        few = {name: batches[name][:1] for name in MODELS}
        named = {f"{name} {index}": batch for name in MODELS for index, batch in enumerate(few[name])}
        np.savez(inputs, allow_pickle=False, **named)
        outputs, texts = outcome(sys.executable, inputs, images, Path(temporary) / "native.npz")
        for index, (name, command) in enumerate(others.items()):
            seen, read = outcome(command, inputs, images, Path(temporary) / f"{index}.npz")
            differences = [_difference(kind, seen, outputs, descriptions[kind], disagreement) for kind in MODELS]
            same = sum(a == b for a, b in zip(texts, read, strict=True))
            lines = [
                (a, b)
                for page, other in zip(texts, read, strict=True)
                for a, b in zip_longest(page.splitlines(), other.splitlines())
            ]
            other_lines = [pair for pair in lines if pair[0] != pair[1]]
            compared.append(
                (
                    name,
                    *chain(*differences),
                    f"{same} of {len(texts)}",
                    f"{len(lines) - len(other_lines)} of {len(lines)}",
                )
            )
            print(*compared[-1], *other_lines, sep="\n", flush=True)
    if compared:
        kinds = [(f"{kind}: largest difference", f"{kind}: other decisions, %") for kind in MODELS]
        parts.append(table(("processor", *chain(*kinds), "pages of equal text", "equal lines"), compared))
    publish("processors", {"models": models, "processors": compared}, "\n\n".join(parts))


def _difference(
    kind: str,
    seen: dict[str, Array],
    true: dict[str, Array],
    description: dict[str, Any],
    disagreement: Callable[..., float],
) -> tuple[str, str]:
    keys = [key for key in true if key.startswith(kind)]
    most = max(float(np.abs(seen[key] - true[key]).max()) for key in keys)
    share = disagreement([seen[key] for key in keys], [true[key] for key in keys], description)
    return f"{most:.1e}" if most else "0", f"{100 * share:.2f}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        run_alone(Path(sys.argv[2]), sys.argv[4:], Path(sys.argv[3]))
        sys.exit()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.processors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pages", type=Path)
    parser.add_argument("--count", type=int, default=10, metavar="N", help="so many pages (10)")
    parser.add_argument("--under", action="append", default=[], metavar="NAME=COMMAND", help="another Python")
    arguments = parser.parse_args()
    commands = [each.partition("=") for each in arguments.under]
    main(arguments.pages, arguments.count, {name: command for name, _, command in commands})
