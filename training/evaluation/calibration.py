"""Calibrate the confidences of the recogniser's characters, and write the calibration into its card.

    python -m training.evaluation.calibration PAGES --assets build/assets

The material is true lines, the same lines degraded until they can hardly be read, and pages that show no text of Latin
script: scribbles, textures and drawings. With the assets there are other scripts, too, and lines rendered in typefaces
that the recogniser was not trained on. A logistic regression combines the features of each character, and an isotonic
regression fits the share of right characters to its result, which becomes what the product calls its confidence.

Both are fitted on half of the writers, typefaces and drawn pages and measured on the other half, and the other way
round; the card gets the fit on all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.confidence import TERMS, combine, expand, line_features, with_page
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import LANGUAGE_LINES, PageReader
from paragraph_ocr.pipeline.rectification import Geometry
from training.data.lines import STYLES, Composer, Drawn, DrawnLines
from training.data.pages import TruePage, load_pages
from training.evaluation.hard_lines import DEGRADATIONS, HardPage, degrade, pages_without_text
from training.synthesis.corpus import clean

# Edges of the bins of confidence; most characters lie in the last.
EDGES = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995, 1.0])
# The kinds of lines that are as they are, and of rendered ones.
PLAIN, RENDERED = "as they are", "rendered"
# How much a character counts, of which a true line's counts 1: degraded lines, and all that is rendered or drawn.
DEGRADED_WEIGHT, DRAWN_WEIGHT = 0.2, 0.5
# Pages of rendered lines of one style, and lines of each.
RENDERED_PAGES, RENDERED_LINES = 84, 5
# What the lines of rendered pages consist of, by the methods of `training.data.lines.Composer`, beside codes.
CONTENTS = ("prose", "language", "signs", "names", "short", "codes", "mixed")
CODE_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789-/"

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
    weight : float
        How much a character counts.
    """

    features: NDArray[np.float64]
    judged: Judged
    line: NDArray[np.int64]
    weight: float

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
        self.weights = {PLAIN: 1.0} | {way.__name__: DEGRADED_WEIGHT for way in DEGRADATIONS}
        # Other scripts are told by the probability of their text, see `legibility`: with more weight, they would take
        # confidence from lines that are right.
        self.weights["script"] = 0.01
        self._parts: dict[str, list[tuple[NDArray[np.float64], Judged]]] = {}
        self._words = 0

    def add(self, kind: str, outputs: Sequence[NDArray[np.float32]], truths: Sequence[str]) -> None:
        """Decode the lines of a page from their log probabilities, as the product does, and judge them."""
        recognizer = self.reader.recognizer
        language = recognizer.language_of(outputs[:LANGUAGE_LINES])
        features: list[NDArray[np.float64]] = []
        judged: list[Judged] = []
        read = recognizer.read(outputs, language)
        for truth, output, characters in zip(truths, outputs, read, strict=True):
            right = mark_right(truth, "".join(character.text for character in characters))
            spaces = np.array([character.text == " " for character in characters], bool)
            word = np.where(spaces, -1, self._words + np.cumsum(spaces))
            self._words += int(spaces.sum()) + 1
            own = np.array([character.confidence for character in characters])
            features.append(line_features(characters, output))
            judged.append(np.column_stack([own, right, word]))
        self._parts.setdefault(kind, []).extend(zip(with_page(features), judged, strict=True))

    def add_lines(self, kind: str, pixels: NDArray[np.uint8], lines: Sequence[TextLine], truths: Sequence[str]) -> None:
        """Read lines of a page, uint8 (H, W), that have these texts."""
        self.add(kind, [output for _, output in self.reader.line_log_probabilities(pixels, lines)], truths)

    def add_page(self, page: TruePage) -> None:
        """Read the true lines of a page, and some of them degraded."""
        lines = [line for line in page.lines if line.text and not line.struck]
        if not lines:
            return
        true = [TextLine(line.baseline, line.ascender, line.descender, 1.0) for line in lines]
        pixels = page.normalised()
        self.add_lines(PLAIN, pixels, true, [line.text for line in lines])
        for kind, chosen, degraded, moved in degrade(pixels, true, default_rng(crc32(page.page_id.encode()))):
            self.add_lines(kind, degraded, moved, [lines[index].text for index in chosen])

    def add_without_text(self, page: HardPage) -> None:
        """Read what the detector takes for lines on a page without text, where every character is wrong."""
        found = self.reader.detector.find(page.pixels).lines
        self.add_lines(page.kind, page.pixels, found, [""] * len(found))

    def add_rendered(self, rendered: Sequence[Drawn]) -> None:
        """Read the strips of rendered lines as those of one page."""
        outputs = self.reader.recognizer.log_probabilities([drawn.pixels for drawn in rendered])
        self.add(RENDERED, outputs, [drawn.text for drawn in rendered])

    def material(self) -> dict[str, Material]:
        """The characters by kind; kinds without any are left out."""
        found = {}
        for kind, parts in self._parts.items():
            line = np.repeat(np.arange(len(parts)), [len(values) for values, _ in parts])
            if len(line):
                features, judged = (np.concatenate(column) for column in zip(*parts, strict=True))
                found[kind] = Material(features, judged, line, self.weights.get(kind, DRAWN_WEIGHT))
        return found


def render(assets: Path, geometry: Geometry) -> list[list[Drawn]]:
    """Strips of rendered lines in typefaces of the validation split, those of one page together.

    The lines of a page have one kind of content, since a page may consist of codes, names or figures alone.
    """
    lines, rng = DrawnLines(assets, None, "val", geometry), default_rng(2)
    pages: list[list[Drawn]] = []
    for number in range(RENDERED_PAGES):
        style, content = list(STYLES)[number % len(STYLES)], CONTENTS[number // len(STYLES) % len(CONTENTS)]
        page: list[Drawn] = []
        while len(page) < RENDERED_LINES:
            composer, length = Composer(lines.texts, rng), int(rng.integers(8, 60))
            if content == "codes":
                text = " ".join(composer.common.of(CODE_CHARACTERS, 3, 12) for _ in range(-(-length // 16)))
            else:
                text = str(getattr(composer, content)(length))
            if drawn := lines.draw_text(rng, style, clean(text)):
                page.append(drawn)
        pages.append(page)
    return pages


def average_words(judged: Judged) -> Judged:
    """The mean confidence of each word's characters and the share of them that is right, float64 (W, 2)."""
    inside = judged[judged[:, 2] >= 0]
    _, word, lengths = np.unique(inside[:, 2], return_inverse=True, return_counts=True)
    return np.column_stack([np.bincount(word, inside[:, column]) / lengths for column in (0, 1)])


def bins(judged: Judged, weights: NDArray[np.float64] | None = None) -> list[tuple[float, float, float]]:
    """Count, mean confidence and share right of the characters or words in each bin that is not empty.

    Parameters
    ----------
    judged : float64 (N, 2 or more)
        Confidence, and 1 where the character is right, else 0.
    weights : float64 (N,), optional
        How much each counts.
    """
    weights = np.ones(len(judged)) if weights is None else weights
    which = np.clip(np.searchsorted(EDGES, judged[:, 0], "right") - 1, 0, len(EDGES) - 2)
    counts, means, rights = (
        np.bincount(which, weights * values, len(EDGES) - 1) for values in (1.0, judged[:, 0], judged[:, 1])
    )
    full = counts > 0
    shares = (sums[full] / counts[full] for sums in (means, rights))
    return list(zip(counts[full].tolist(), *(share.tolist() for share in shares), strict=True))


def fit_evidence(material: Sequence[Material]) -> dict[str, float]:
    """Fit the logistic regression of whether a character is right on `confidence.TERMS`.

    Parameters
    ----------
    material : sequence of Material

    Returns
    -------
    dict of str to float
        The weight of each term, and the intercept.
    """
    terms = expand(np.concatenate([part.features for part in material]))
    right = np.concatenate([part.judged[:, 1] for part in material])
    if right.min() == right.max():
        # Nothing to tell apart: the probability of the character, as it is.
        return {name: float(name == "character") for name in TERMS} | {"intercept": 0.0}
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    fitted.fit(terms, right, logisticregression__sample_weight=_weights(material))
    scaler, regression = fitted[0], fitted[1]
    coefficients = regression.coef_[0] / scaler.scale_
    weights = dict(zip(TERMS, coefficients.tolist(), strict=True))
    weights["intercept"] = float(regression.intercept_[0] - coefficients @ scaler.mean_)
    return {name: round(weight, 6) for name, weight in weights.items()}


def _weights(material: Sequence[Material]) -> NDArray[np.float64]:
    return np.concatenate([np.full(len(part.line), part.weight) for part in material])


def calibrate(
    judged: Judged, weights: NDArray[np.float64] | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fit an isotonic regression of the share of right characters on the confidence (Zadrozny and Elkan 2002).

    Parameters
    ----------
    judged : float64 (N, 2 or more)
        Confidence, and 1 where the character is right, else 0.
    weights : float64 (N,), optional
        How much each counts.

    Returns
    -------
    confidences, rights : tuples of float
        One pair for each bin of confidence that is not empty; neither ever falls.
    """
    counted = bins(judged, weights)
    counts, means, shares = zip(*counted, strict=True)
    rights = IsotonicRegression(increasing=True).fit_transform(means, shares, sample_weight=counts)
    return tuple(round(mean, 4) for _, mean, _ in counted), tuple(round(float(right), 4) for right in rights)


@dataclass(frozen=True)
class Calibration:
    """What the card gets: the weights of the terms, and the isotonic regression on their result."""

    evidence: dict[str, float]
    isotonic: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def fit(cls, material: Sequence[Material]) -> Calibration:
        """Fit both to the material."""
        evidence = fit_evidence(material)
        combined = [part.with_confidence(combine(part.features, evidence)) for part in material]
        return cls(evidence, calibrate(np.concatenate(combined), _weights(material)))

    def apply(self, part: Material) -> Judged:
        """The characters with the confidences of the product."""
        return part.with_confidence(np.interp(combine(part.features, self.evidence), *self.isotonic))


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


def summarise(judged: Judged, lines: int) -> dict[str, float]:
    """Lines and characters of a kind, mean confidence, share right, calibration error, and share of words above 0.5."""
    words = average_words(judged)
    return {
        "lines": lines,
        "characters": len(judged),
        "confidence": round(float(judged[:, 0].mean()), 4),
        "right": round(float(judged[:, 1].mean()), 4),
        "expected_calibration_error": round(calibration_error(judged), 4),
        "words_above_half": round(float((words[:, 0] > 0.5).mean()), 4) if len(words) else 0.0,
    }


def read_halves(reader: PageReader, pages: Sequence[TruePage], assets: Path | None) -> list[dict[str, Material]]:
    """Read the material; each half has other writers, typefaces and drawn pages.

    Raises
    ------
    SystemExit
        The pages are not of two writers.
    """
    writers = sorted({(page.source, page.writer) for page in pages})
    if len(writers) < 2:
        raise SystemExit("The pages are not of two writers; calibrating needs some to fit on and others to measure on")
    without_text = list(pages_without_text(assets, default_rng(1)))
    names = list(dict.fromkeys(page.name for page in without_text))
    rendered = render(assets, reader.recognizer.geometry) if assets else []
    halves = []
    for half in (0, 1):
        collector = Collector(reader)
        chosen = set(writers[half::2])
        for page in tqdm([page for page in pages if (page.source, page.writer) in chosen], desc="pages"):
            collector.add_page(page)
        drawn = set(names[half::2])
        for hard in tqdm([page for page in without_text if page.name in drawn], desc="pages without text"):
            collector.add_without_text(hard)
        for strips in rendered[half::2]:
            collector.add_rendered(strips)
        halves.append(collector.material())
    return halves


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
    pages = load_pages(arguments.folder, arguments.split)
    halves = read_halves(PageReader.load(arguments.models), pages, arguments.assets)
    measured: dict[str, list[Judged]] = {}
    for fitted_on, other in (halves, halves[::-1]):
        fit = Calibration.fit(list(fitted_on.values()))
        for kind, part in other.items():
            measured.setdefault(kind, []).append(fit.apply(part))
    after = {kind: np.concatenate(parts) for kind, parts in measured.items()}
    lines = {kind: sum(len(np.unique(half[kind].line)) for half in halves if kind in half) for kind in after}
    before = np.concatenate([half[PLAIN].judged for half in halves])
    plain, everything = after[PLAIN], np.concatenate(list(after.values()))
    errors = {
        "before": calibration_error(before),
        "after": calibration_error(plain),
        "words": calibration_error(average_words(plain)),
    }
    shipped = Calibration.fit([part for half in halves for part in half.values()])
    card = json.loads(path.read_text(encoding="utf-8"))
    card["calibration"] = {
        **dict(zip(("confidence", "right"), shipped.isotonic, strict=True)),
        "evidence": shipped.evidence,
    }
    assets = " --assets ASSETS" if arguments.assets else ""
    card["reliability"] = {
        "command": f"python -m training.evaluation.calibration PAGES --split {arguments.split}{assets}",
        "expected_calibration_error": {name: round(error, 4) for name, error in errors.items()},
        "bins": [
            {"characters": int(count), "confidence": round(mean, 4), "right": round(right, 4)}
            for count, mean, right in bins(plain)
        ],
        "kinds": {kind: summarise(judged, lines[kind]) for kind, judged in after.items()},
    }
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_manifest(path.parent)
    print("| lines | number | confidence, % | right, % | words above 50 % |\n| --- | ---: | ---: | ---: | ---: |")
    for kind, row in card["reliability"]["kinds"].items():
        shares = " | ".join(f"{100 * row[name]:.1f}" for name in ("confidence", "right", "words_above_half"))
        print(f"| {kind.replace('_', ' ')} | {row['lines']} | {shares} |")
    print("\n| characters | confidence, % | right, % |\n| ---: | ---: | ---: |")
    for count, mean, right in bins(plain):
        print(f"| {count:.0f} | {100 * mean:.1f} | {100 * right:.1f} |")
    now, of_words, then = (100 * errors[name] for name in ("after", "words", "before"))
    print(f"\nOff by {now:.1f} % on average, of words by {of_words:.1f} %; as the network gives it, by {then:.1f} %.")
    if arguments.picture:
        curves = {"as the network gives it": before, "calibrated": plain, "calibrated, with hard lines": everything}
        draw(curves, arguments.picture)


if __name__ == "__main__":
    main()
