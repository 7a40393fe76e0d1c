"""Calibrate the confidences of the recogniser's characters, and write the calibration into its card.

    python -m training.evaluation.calibration PAGES

True lines are read. On the pages of half the writers the share of right characters is fitted to the confidence of the
recogniser, and becomes what the product calls its confidence. On the pages of the other writers the calibrated
confidences of characters and of words are compared with the shares that are right.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from sklearn.isotonic import IsotonicRegression
from tqdm import tqdm

from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.models import FOLDER, UNCALIBRATED, Model, read_card
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import TruePage, load_pages

# Edges of the bins of confidence; most characters lie in the last.
EDGES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995, 1.0])

Judged = NDArray[np.float64]


def mark_right(truth: str, reading: str) -> NDArray[np.bool_]:
    """Whether each character of a reading stands in the truth, by the alignment with the fewest edits."""
    right = np.zeros(len(reading), bool)
    for step in Levenshtein.opcodes(truth, reading):
        right[step.dest_start : step.dest_end] = step.tag == "equal"
    return right


def collect(pages: list[TruePage], reader: PageReader) -> Judged:
    """Confidence and correctness of every character that is read.

    Returns
    -------
    float64 (N, 3)
        The confidence it was given, 1 where it is right, else 0, and the number of its word, -1 for a space.
    """
    recognizer = reader.recognizer
    judged = [np.empty((0, 3))]
    words = 0
    for page in tqdm(pages, desc="pages"):
        lines = [line for line in page.lines if line.text and not line.struck]
        true = [TextLine(line.baseline, line.ascender, line.descender, 1.0) for line in lines]
        for line, (_, seen) in zip(lines, reader.line_log_probabilities(page.normalised(), true), strict=True):
            characters = recognizer.read(seen)
            right = mark_right(line.text, "".join(character.text for character in characters))
            spaces = np.array([character.text == " " for character in characters], bool)
            word = np.where(spaces, -1, words + np.cumsum(spaces))
            words += int(spaces.sum()) + 1
            judged.append(np.column_stack([recognizer.confidences(characters), right, word]))
    return np.concatenate(judged)


def average_words(judged: Judged) -> Judged:
    """The mean confidence of each word's characters and the share of them that is right, float64 (W, 2)."""
    inside = judged[judged[:, 2] >= 0]
    _, word, lengths = np.unique(inside[:, 2], return_inverse=True, return_counts=True)
    return np.column_stack([np.bincount(word, inside[:, column]) / lengths for column in (0, 1)])


def bins(judged: Judged) -> list[tuple[int, float, float]]:
    """Count, mean confidence and share right of the characters or words in each bin that is not empty."""
    which = np.clip(np.searchsorted(EDGES, judged[:, 0], "right") - 1, 0, len(EDGES) - 2)
    parts = [judged[which == number, :2] for number in range(len(EDGES) - 1)]
    return [(len(part), float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts if len(part)]


def calibrate(judged: Judged) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fit an isotonic regression of the share of right characters on the confidence (Zadrozny and Elkan 2002).

    Parameters
    ----------
    judged : float64 (N, 2 or more)
        As `collect` returns it.

    Returns
    -------
    confidences, rights : tuples of float
        One pair for each bin of confidence that is not empty; neither ever falls.
    """
    counted = bins(judged)
    counts, means, shares = zip(*counted, strict=True)
    rights = IsotonicRegression(increasing=True).fit_transform(means, shares, sample_weight=counts)
    return tuple(round(mean, 4) for _, mean, _ in counted), tuple(round(float(right), 4) for right in rights)


def calibration_error(judged: Judged) -> float:
    """Expected calibration error (Guo et al. 2017): how far bins are off on average, by their characters."""
    counted = bins(judged)
    return sum(count * abs(mean - right) for count, mean, right in counted) / max(len(judged), 1)


def draw(before: Judged, after: Judged, path: Path) -> None:
    """The reliability diagram: the share that is right by the confidence, as the network gives it and calibrated."""
    figure, axes = pyplot.subplots(figsize=(5, 5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for judged, name in ((before, "as the network gives it"), (after, "calibrated")):
        counted = bins(judged)
        label = f"{name}: off by {100 * calibration_error(judged):.1f} %"
        axes.plot([mean for _, mean, _ in counted], [right for _, _, right in counted], marker="o", label=label)
    axes.set(xlabel="confidence", ylabel="share of characters that are right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--split", default="val")
    parser.add_argument("--models", type=Path, default=FOLDER)
    parser.add_argument("--picture", type=Path, help="PNG for the reliability diagram")
    arguments = parser.parse_args()
    path = arguments.models / "recognizer.json"
    reader = PageReader.load(arguments.models)
    model = Model(path.with_suffix(".onnx"), 1)
    model.card = replace(read_card(path), calibration=UNCALIBRATED)
    reader.recognizer.model = model
    pages = load_pages(arguments.folder, arguments.split)
    writers = sorted({(page.source, page.writer) for page in pages})
    if len(writers) < 2:
        raise SystemExit(f"{arguments.folder} has not two writers in its split {arguments.split}")
    halves = [set(writers[first::2]) for first in (0, 1)]
    fitted_on, before = (
        collect([page for page in pages if (page.source, page.writer) in half], reader) for half in halves
    )
    calibration = calibrate(fitted_on)
    after = np.column_stack([np.interp(before[:, 0], *calibration), before[:, 1:]])
    errors = {
        "before": calibration_error(before),
        "after": calibration_error(after),
        "words": calibration_error(average_words(after)),
    }
    card = json.loads(path.read_text(encoding="utf-8"))
    card["calibration"] = dict(zip(("confidence", "right"), calibration, strict=True))
    card["reliability"] = {
        "command": f"python -m training.evaluation.calibration PAGES --split {arguments.split}",
        "expected_calibration_error": {name: round(error, 4) for name, error in errors.items()},
        "bins": [
            {"characters": count, "confidence": round(mean, 4), "right": round(right, 4)}
            for count, mean, right in bins(after)
        ],
    }
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_manifest(path.parent)
    print("| characters | confidence, % | right, % |\n| ---: | ---: | ---: |")
    for count, mean, right in bins(after):
        print(f"| {count} | {100 * mean:.1f} | {100 * right:.1f} |")
    now, of_words, then = (100 * errors[name] for name in ("after", "words", "before"))
    print(f"\nOff by {now:.1f} % on average, of words by {of_words:.1f} %; as the network gives it, by {then:.1f} %.")
    if arguments.picture:
        draw(before, after, arguments.picture)


if __name__ == "__main__":
    main()
