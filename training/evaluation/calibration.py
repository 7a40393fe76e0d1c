"""Calibrate the confidences of the recogniser's characters, and write the calibration into its card.

    python -m training.evaluation.calibration PAGES --assets build/assets

The material is true lines, the same lines degraded until they can hardly be read, and pages that show no text of Latin
script: scribbles, textures, drawings and, with the assets, other scripts. On half of the writers, typefaces and drawn
pages a logistic regression combines the features of each character, and an isotonic regression fits the share of right
characters to its result, which becomes what the product calls its confidence. On the other half the confidences of
characters and of words are compared with the shares that are right.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from numpy.random import default_rng
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.models import FOLDER, UNCALIBRATED, Model, read_card
from paragraph_ocr.pipeline.confidence import FEATURES, combine
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import LANGUAGE_LINES, PageReader
from training.data.pages import TruePage, load_pages
from training.evaluation.hard_lines import HardPage, degrade, pages_without_text

# Edges of the bins of confidence; most characters lie in the last.
EDGES = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995, 1.0])
# The kind of lines that are as they are.
PLAIN = "as they are"

Judged = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """The characters that were read in lines of one kind.

    Attributes
    ----------
    features : float64 (N, F)
        As `confidence.features` returns them.
    judged : float64 (N, 3)
        The probability that the recogniser gives the character, 1 where it is right, else 0, and the number of its
        word, -1 for a space.
    line : int64 (N,)
        The number of its line.
    """

    features: NDArray[np.float64]
    judged: Judged
    line: NDArray[np.int64]

    def with_confidence(self, confidence: NDArray[np.float64]) -> Judged:
        """`judged` with other confidences."""
        return np.column_stack([confidence, self.judged[:, 1:]])


def mark_right(truth: str, reading: str) -> NDArray[np.bool_]:
    """Whether each character of a reading stands in the truth, by the alignment with the fewest edits."""
    right = np.zeros(len(reading), bool)
    for step in Levenshtein.opcodes(truth, reading):
        right[step.dest_start : step.dest_end] = step.tag == "equal"
    return right


class Collector:
    """Reads lines and keeps what is needed of each character, by the kind of the lines.

    Parameters
    ----------
    reader : PageReader
    """

    def __init__(self, reader: PageReader) -> None:
        self.reader = reader
        self._parts: dict[str, list[tuple[NDArray[np.float64], Judged]]] = {}
        self._words = 0

    def add(self, kind: str, pixels: NDArray[np.uint8], lines: Sequence[TextLine], truths: Sequence[str]) -> None:
        """Read lines of a page, uint8 (H, W), with their true texts, in the language that the product chooses."""
        recognizer = self.reader.recognizer
        outputs = [output for _, output in self.reader.line_log_probabilities(pixels, lines)]
        language = recognizer.language_of(outputs[:LANGUAGE_LINES])
        for truth, output in zip(truths, outputs, strict=True):
            characters = recognizer.read(output, language)
            right = mark_right(truth, "".join(character.text for character in characters))
            spaces = np.array([character.text == " " for character in characters], bool)
            word = np.where(spaces, -1, self._words + np.cumsum(spaces))
            self._words += int(spaces.sum()) + 1
            own = np.array([character.confidence for character in characters])
            values = recognizer.features(characters, output, language)
            self._parts.setdefault(kind, []).append((values, np.column_stack([own, right, word])))

    def add_page(self, page: TruePage) -> None:
        """Read the true lines of a page, and some of them degraded."""
        lines = [line for line in page.lines if line.text and not line.struck]
        if not lines:
            return
        true = [TextLine(line.baseline, line.ascender, line.descender, 1.0) for line in lines]
        pixels = page.normalised()
        self.add(PLAIN, pixels, true, [line.text for line in lines])
        for kind, chosen, degraded, moved in degrade(pixels, true, default_rng(crc32(page.page_id.encode()))):
            self.add(kind, degraded, moved, [lines[index].text for index in chosen])

    def add_without_text(self, page: HardPage) -> None:
        """Read what the detector takes for lines on a page without text, where every character is wrong."""
        found = self.reader.detector.find(page.pixels).lines
        self.add(page.kind, page.pixels, found, [""] * len(found))

    def material(self) -> dict[str, Material]:
        """The characters by kind; kinds without any are left out."""
        found = {}
        for kind, parts in self._parts.items():
            line = np.repeat(np.arange(len(parts)), [len(values) for values, _ in parts])
            if len(line):
                features, judged = (np.concatenate(column) for column in zip(*parts, strict=True))
                found[kind] = Material(features, judged, line)
        return found


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


def fit_evidence(material: Mapping[str, Material]) -> dict[str, float]:
    """Fit the logistic regression of whether a character is right on its features.

    Parameters
    ----------
    material : mapping of str to Material

    Returns
    -------
    dict of str to float
        The weight of each feature, and the intercept.
    """
    features = np.concatenate([part.features for part in material.values()])
    right = np.concatenate([part.judged[:, 1] for part in material.values()])
    if right.min() == right.max():
        # Nothing to tell apart: the probability of the character, as it is.
        return {name: float(name == "character") for name in FEATURES} | {"intercept": 0.0}
    spread = features.std(axis=0)
    spread[spread == 0] = 1.0
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(features / spread, right)
    coefficients = dict(zip(FEATURES, (fitted.coef_[0] / spread).tolist(), strict=True))
    return {
        name: round(value, 4) for name, value in (coefficients | {"intercept": float(fitted.intercept_[0])}).items()
    }


def calibrate(judged: Judged) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fit an isotonic regression of the share of right characters on the confidence (Zadrozny and Elkan 2002).

    Parameters
    ----------
    judged : float64 (N, 2 or more)
        Confidence, and 1 where the character is right, else 0.

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


def draw(curves: Mapping[str, Judged], path: Path) -> None:
    """The reliability diagram: the share that is right by the confidence.

    Parameters
    ----------
    curves : mapping of str to float64 (N, 2 or more)
        Confidence, and 1 where the character is right, by the name of the curve.
    path : Path
        A PNG file.
    """
    figure, axes = pyplot.subplots(figsize=(5, 5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, judged in curves.items():
        counted = bins(judged)
        label = f"{name}: off by {100 * calibration_error(judged):.1f} %"
        axes.plot([mean for _, mean, _ in counted], [right for _, _, right in counted], marker="o", label=label)
    axes.set(xlabel="confidence", ylabel="share of characters that are right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left", fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def summarise(material: Material, judged: Judged) -> dict[str, float]:
    """Lines and characters of a kind, mean confidence, share right, calibration error, and share of words above 0.5."""
    words = average_words(judged)
    return {
        "lines": len(np.unique(material.line)),
        "characters": len(judged),
        "confidence": round(float(judged[:, 0].mean()), 4),
        "right": round(float(judged[:, 1].mean()), 4),
        "expected_calibration_error": round(calibration_error(judged), 4),
        "words_above_half": round(float((words[:, 0] > 0.5).mean()), 4) if len(words) else 0.0,
    }


def read_half(
    reader: PageReader, pages: Sequence[TruePage], blank: Sequence[HardPage], name: str
) -> dict[str, Material]:
    """Read half of the material."""
    collector = Collector(reader)
    for page in tqdm(pages, desc=f"pages {name}"):
        collector.add_page(page)
    for drawn in tqdm(blank, desc=f"pages without text {name}"):
        collector.add_without_text(drawn)
    return collector.material()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--split", default="val")
    parser.add_argument("--models", type=Path, default=FOLDER)
    parser.add_argument("--assets", type=Path, help="what training.synthesis.fonts fetched, for other scripts")
    parser.add_argument("--picture", type=Path, help="PNG for the reliability diagram")
    arguments = parser.parse_args()
    path = arguments.models / "recognizer.json"
    reader = PageReader.load(arguments.models)
    model = Model(path.with_suffix(".onnx"), 1)
    model.card = replace(read_card(path), calibration=UNCALIBRATED, evidence={})
    reader.recognizer.model = model
    pages = load_pages(arguments.folder, arguments.split)
    writers = sorted({(page.source, page.writer) for page in pages})
    if len(writers) < 2:
        raise SystemExit(f"{arguments.folder} has not two writers in its split {arguments.split}")
    without_text = list(pages_without_text(arguments.assets, default_rng(1)))
    names = list(dict.fromkeys(page.name for page in without_text))
    fitted_on, measured = (
        read_half(
            reader,
            [page for page in pages if (page.source, page.writer) in set(writers[first::2])],
            [page for page in without_text if page.name in set(names[first::2])],
            f"to {purpose}",
        )
        for first, purpose in ((0, "fit"), (1, "measure"))
    )
    evidence = fit_evidence(fitted_on)
    combined = [part.with_confidence(combine(part.features, evidence)) for part in fitted_on.values()]
    calibration = calibrate(np.concatenate(combined))
    after = {
        kind: part.with_confidence(np.interp(combine(part.features, evidence), *calibration))
        for kind, part in measured.items()
    }
    plain, before = after[PLAIN], measured[PLAIN].judged
    everything = np.concatenate(list(after.values()))
    errors = {
        "before": calibration_error(before),
        "after": calibration_error(plain),
        "words": calibration_error(average_words(plain)),
        "with hard lines": calibration_error(everything),
        "with hard lines, words": calibration_error(average_words(everything)),
    }
    card = json.loads(path.read_text(encoding="utf-8"))
    card["calibration"] = {**dict(zip(("confidence", "right"), calibration, strict=True)), "evidence": evidence}
    assets = " --assets ASSETS" if arguments.assets else ""
    card["reliability"] = {
        "command": f"python -m training.evaluation.calibration PAGES --split {arguments.split}{assets}",
        "expected_calibration_error": {name: round(error, 4) for name, error in errors.items()},
        "bins": [
            {"characters": count, "confidence": round(mean, 4), "right": round(right, 4)}
            for count, mean, right in bins(plain)
        ],
        "kinds": {kind: summarise(measured[kind], judged) for kind, judged in after.items()},
    }
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_manifest(path.parent)
    print("| lines | number | confidence, % | right, % | words above 50 %, % |\n| --- | ---: | ---: | ---: | ---: |")
    for kind, row in card["reliability"]["kinds"].items():
        shares = " | ".join(f"{100 * row[name]:.1f}" for name in ("confidence", "right", "words_above_half"))
        print(f"| {kind.replace('_', ' ')} | {row['lines']} | {shares} |")
    print("\n| characters | confidence, % | right, % |\n| ---: | ---: | ---: |")
    for count, mean, right in bins(plain):
        print(f"| {count} | {100 * mean:.1f} | {100 * right:.1f} |")
    print("\nOff by, on average: " + "; ".join(f"{name} {100 * error:.1f} %" for name, error in errors.items()))
    if arguments.picture:
        network = "probability of the network"
        draw({network: before, "confidence": plain, "confidence, with hard lines": everything}, arguments.picture)


if __name__ == "__main__":
    main()
