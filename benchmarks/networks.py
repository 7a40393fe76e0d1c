"""Compare all networks in accuracy and speed, and write the two tables of training/README.md.

    python -m benchmarks.networks PAGES

Every network runs in its exported form, by itself, on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.report import replace_section, table
from export.__main__ import build, real_inputs
from export.conversion import check_difference, export_pair, to_onnx
from paragraph_ocr.document import Page
from paragraph_ocr.models import FOLDER, Model
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import PRINTED, load_pages
from training.data.strips import Strip
from training.evaluation.metrics import ErrorRate
from training.evaluation.product import Figures, score_page
from training.networks.layers import greedy_decode
from training.networks.seq2seq import END, Seq2Seq
from training.tasks.paragraphs import (
    CLASSES,
    NETWORKS,
    LabellingOptions,
    Paragraph,
    draw_labels,
    find_labelled,
    to_input,
    upsample,
    validation_paragraphs,
)
from training.tasks.recognition import Recognition, load_charset, stack

TRAINING = Path(__file__).parents[1] / "training"
README = TRAINING / "README.md"
CHECKPOINTS = TRAINING / "checkpoints"
# Results of the original project's networks on its own data: shares of correct pixels and characters.
ORIGINAL_PROJECT = {"fcn": 0.928, "unet": 0.954, "sliding_cnn": 0.765, "crnn": 0.808}
RUNS = 30

Ink = NDArray[np.float32]


def load(path: Path) -> dict[str, Any]:
    """A checkpoint, its weights in single precision."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    state["average"] = {name: value.float() for name, value in state["average"].items()}
    return state


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    """A model on one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def count(network: nn.Module) -> int:
    """Number of parameters of a network."""
    return sum(value.numel() for value in network.parameters())


def time_in_turn(functions: list[Callable[[], object]]) -> list[float]:
    """Return the median milliseconds of each function; they are called in turn, so that load affects all alike."""
    times = np.zeros((RUNS, len(functions)))
    for row in times:
        for at, function in enumerate(functions):
            start = perf_counter()
            function()
            row[at] = 1000 * (perf_counter() - start)
    return [float(each) for each in np.median(times, axis=0)]


# --- finding lines ----------------------------------------------------------------------------------------------------


@dataclass
class ComparedDetector:
    """A detector of the comparison with its results."""

    name: str
    find: Callable[[Paragraph], tuple[NDArray[np.uint8], list[TextLine]]]
    parameters: int
    size: int
    original: float | None
    pixels: list[float] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)


class Upsampled(nn.Module):
    """A labelling network whose logits are as large as its input."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, ink: Tensor) -> Tensor:
        return upsample(self.network(ink), self.size)


def labelling_detector(path: Path) -> ComparedDetector:
    """Load the detector of a labelling network from its checkpoint."""
    state = load(path)
    options = dict(state["experiment"]["network"])
    name = options.pop("name")
    size = LabellingOptions(**state["experiment"]["data"]).size
    network = NETWORKS[name](outputs=CLASSES, **options).eval()
    network.load_state_dict(state["average"])
    whole = Upsampled(network, size).eval()
    content = to_onnx(whole, {"ink": torch.zeros((1, 1, size, size))}, ["labels"], {})
    check_difference(whole, content, [np.random.default_rng(0).random((1, 1, size, size), np.float32)])
    session = open_session(content)

    def find(paragraph: Paragraph) -> tuple[NDArray[np.uint8], list[TextLine]]:
        ink = to_input(paragraph.pixels, size)[None, None]
        labels = np.asarray(session.run(None, {"ink": ink})[0][0].argmax(0), np.uint8)
        return labels, find_labelled(labels, len(paragraph.pixels))

    return ComparedDetector(
        f"{name}, lines labelled in turn", find, count(network), len(content), ORIGINAL_PROJECT[name]
    )


def shipped_detector(reader: PageReader, size: int) -> ComparedDetector:
    """Return the product's detector with the lines that it accepts regardless of their text.

    Its labels are these lines, drawn alternately.
    """

    def find(paragraph: Paragraph) -> tuple[NDArray[np.uint8], list[TextLine]]:
        found = [line for line in reader.detector.find(paragraph.pixels).lines if reader.detector.accepts(line, 0.0)]
        return draw_labels([line.polygon for line in found], len(paragraph.pixels), size), found

    path = FOLDER / "detector.onnx"
    network, _ = build(load(CHECKPOINTS / "detector.pt")["experiment"])
    name = f"{reader.models['detector']}, baselines and heights (shipped)"
    return ComparedDetector(name, find, count(network), path.stat().st_size, None)


def compare_detectors(data: Path, cache: Path, paragraphs: int) -> str:
    """The table of detectors, on paragraphs of validation writers."""
    options = LabellingOptions(validation_paragraphs=paragraphs)
    reader = PageReader.load(threads=1)
    detectors = [labelling_detector(CHECKPOINTS / f"{name}.pt") for name in NETWORKS] + [
        shipped_detector(reader, options.size)
    ]
    shown = validation_paragraphs([data], cache, options)
    for paragraph in tqdm(shown, desc="paragraphs"):
        pixels, page = paragraph.pixels, paragraph.page
        true = [TextLine(line.baseline, line.ascender, line.descender, 1.0) for line in page.lines]
        strips = [line.text for line in reader.read_lines(pixels, true)]
        for detector in detectors:
            labels, found = detector.find(paragraph)
            truth = draw_labels([line.polygon for line in page.lines], len(pixels), len(labels))
            detector.pixels.append(float((labels == truth).mean()))
            lines = tuple(line for line in reader.read_lines(pixels, found) if line.text)
            reading = Page(page.page_id, 1, page.width, page.height, 0, lines, {}, {})
            score_page(page, reading, detector.figures, strips)
    times = time_in_turn([partial(detector.find, shown[0]) for detector in detectors])
    rows = []
    for detector, milliseconds in zip(detectors, times, strict=True):
        row = detector.figures.row()
        shares = [f"{100 * row[name]:.1f}" for name in ("precision", "recall", "f1", "cer", "strips")]  # type: ignore[operator]
        rows.append(
            [
                detector.name,
                f"{100 * float(np.mean(detector.pixels)):.1f}",
                f"{100 * detector.original:.1f}" if detector.original else "–",
                *shares[:3],
                "–" if row["baseline"] is None else f"{row['baseline']:.1f}",
                *shares[3:],
                f"{detector.parameters / 1e6:.2f} M",
                f"{detector.size / 1e6:.1f} MB",
                f"{milliseconds:.0f}",
            ]
        )
    scores = ["precision", "recall", "F1", "baseline off by", "error", "error on true lines"]
    return table(["network", "pixels right", "original project", *scores, "parameters", "file", "ms"], rows)


# --- reading lines ----------------------------------------------------------------------------------------------------


@dataclass
class ComparedRecogniser:
    """A recogniser of the comparison with its results."""

    name: str
    read: Callable[[Ink], list[int]]
    parameters: int
    size: int
    steps: int
    original: float | None
    rates: dict[str, ErrorRate] = field(default_factory=dict)


def ctc_decoder(content: bytes) -> Callable[[Ink], list[int]]:
    """A recogniser with CTC that decodes the most probable class of every frame."""
    session = open_session(content)
    name = session.get_inputs()[0].name

    def read(strip: Ink) -> list[int]:
        return greedy_decode(torch.from_numpy(session.run(None, {name: strip})[0]))[0]

    return read


def attention_decoder(encoder: bytes, decoder: bytes, network: Seq2Seq) -> Callable[[Ink], list[int]]:
    """A sequence-to-sequence recogniser that decodes the most probable class at every position."""
    encoder_session, decoder_session = open_session(encoder), open_session(decoder)

    def read(strip: Ink) -> list[int]:
        (memory,) = encoder_session.run(None, {"strips": strip})
        past = np.zeros((len(memory), 1, 0, memory.shape[3]), np.float32)
        characters = [END]
        for place in range(network.longest):
            given = {"character": np.array([characters[-1:]]), "position": np.array([place])}
            scores, past = decoder_session.run(None, given | {"memory": memory, "past": past})
            characters.append(int(scores.argmax()))
            if characters[-1] == END:
                return characters[1:-1]
        return characters[1:]

    return read


def trained_recogniser(path: Path, data: Path) -> ComparedRecogniser:
    """Load the recogniser of a checkpoint in single precision."""
    state = load(path)
    network, description = build(state["experiment"])
    network.load_state_dict(state["average"])
    network.eval()
    batches = real_inputs(load_pages(data, "val"), description, 4)
    if isinstance(network, Seq2Seq):
        encoder, decoder = export_pair(network, batches)
        read, size = attention_decoder(encoder, decoder, network), len(encoder) + len(decoder)
    else:
        largest = torch.zeros(description["input"]["shape"])
        content = to_onnx(network, {"strips": largest}, ["log_probabilities"], {"strips": {3: "width"}})
        check_difference(network, content, batches)
        read, size = ctc_decoder(content), len(content)
    name = state["experiment"]["network"]["name"]
    return ComparedRecogniser(name, read, count(network), size, state["step"], ORIGINAL_PROJECT.get(name))


def shipped_recogniser(path: Path, crnn: ComparedRecogniser) -> ComparedRecogniser:
    """Return the product's recogniser in eight bits, without its language model."""
    name = f"{Model(path, threads=1).card.label}, 8 bits (shipped)"
    return ComparedRecogniser(
        name, ctc_decoder(path.read_bytes()), crnn.parameters, path.stat().st_size, crnn.steps, None
    )


def compare_recognisers(data: Path, cache: Path, lines: int) -> str:
    """Return the table of recognisers, on lines of validation writers whose text is not in the training data."""
    experiment = load(CHECKPOINTS / "recognizer.pt")["experiment"]
    task = Recognition([data], cache, dict(experiment["data"]), dict(experiment["network"]))
    strips: list[Strip] = task.validation[:: max(1, len(task.validation) // lines)]
    names = ("recognizer", "sliding_cnn", "seq2seq")
    readers = [trained_recogniser(CHECKPOINTS / f"{name}.pt", data) for name in names]
    readers.append(shipped_recogniser(FOLDER / "recognizer.onnx", readers[0]))
    charset = load_charset()
    for strip in tqdm(strips, desc="lines"):
        ink = stack([np.asarray(strip.pixels)], -(-strip.pixels.shape[1] // 64) * 64).numpy()
        kind = "printed" if strip.source in PRINTED else "handwritten"
        for reader in readers:
            reading = "".join(charset[character - 1] for character in reader.read(ink))
            for part in ("all", kind):
                reader.rates.setdefault(part, ErrorRate()).add(strip.text, reading)
    longest = max(strips, key=lambda strip: strip.pixels.shape[1])
    full = stack([np.asarray(longest.pixels)[:, : task.options.width]], task.options.width).numpy()
    times = time_in_turn([partial(reader.read, full) for reader in readers])
    rows = [
        [
            reader.name,
            *(
                f"{100 * (1 - reader.rates[part].characters):.1f}" if part in reader.rates else "–"
                for part in ("all", "handwritten", "printed")
            ),
            f"{100 * reader.original:.1f}" if reader.original else "–",
            f"{reader.parameters / 1e6:.2f} M",
            f"{reader.size / 1e6:.1f} MB",
            f"{milliseconds:.1f}",
            f"{reader.steps:,}",
        ]
        for reader, milliseconds in zip(readers, times, strict=True)
    ]
    heads = ["network", "characters right", "handwritten", "printed", "original project"]
    return table([*heads, "parameters", "file", "ms a line", "steps"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of annotated pages")
    parser.add_argument("--cache", type=Path, default=Path("build/cache"), help="folder for cut strips")
    parser.add_argument("--paragraphs", type=int, default=100, help="how many are drawn for the detectors")
    parser.add_argument("--lines", type=int, default=1000, help="about how many the recognisers read")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    replace_section(README, "detectors", compare_detectors(arguments.data, arguments.cache, arguments.paragraphs))
    replace_section(README, "recognisers", compare_recognisers(arguments.data, arguments.cache, arguments.lines))
    print(README.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
