"""Train and score the classifier of printed and handwritten lines.

    python -m training.tasks.kinds --data PAGES --data build/synthetic
    python -m training.tasks.kinds --data PAGES --data build/synthetic --keep     (score the present model again)

Lines are those that the product finds and that match a transcribed line. Scores are accuracies: of lines and of pages
of each source, by writers and in typefaces that the model was not trained on, and of mixed pages, which are composed of
the upper half of one such page and the lower half of another.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from paragraph_ocr.document import Line, Points
from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.pipeline.kind import PATH, KindModel, kind_of_page, line_features, load
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import PRINTED, TruePage, load_pages
from training.evaluation.matching import match_lines

# Handwriting typefaces repeat their letters exactly, like other typefaces.
EXCLUDED = {"synth_hand"}
# Factor of the squared weights in the loss.
RIDGE = 1.0
DIGITS = 5


@dataclass(frozen=True)
class Sample:
    """Lines of one page: source, writer, and their features float32 (N, F)."""

    source: str
    writer: str
    values: NDArray[np.float32]


def find_lines(pixels: NDArray[np.uint8], reader: PageReader) -> list[Line]:
    """Return the lines that the detector accepts, without text."""
    return [
        Line("", line.confidence, _points(line.polygon), _points(line.baseline), ())
        for line in reader.detector.find(pixels).lines
        if reader.detector.accepts(line, 0.0)
    ]


def sample(page: TruePage, reader: PageReader) -> Sample | None:
    """Return the features of a page's detected lines that match a transcribed one; None if there are none."""
    pixels = page.pixels()
    found = find_lines(pixels, reader)
    polygons = [np.array(line.polygon, np.float32) for line in found]
    owners = match_lines([line.polygon for line in page.lines], polygons, []).owner
    known = [line for line, owner in zip(found, owners, strict=True) if owner is not None and page.lines[owner].text]
    return Sample(page.source, page.writer, line_features(pixels, known)) if known else None


def _points(points: NDArray[np.float32]) -> Points:
    return tuple((float(x), float(y)) for x, y in points)


def fit(samples: Sequence[Sample]) -> KindModel:
    """Fit a logistic regression to the features of lines and their squares.

    Parameters
    ----------
    samples : sequence of Sample
        Both kinds have the same total weight, and a source that of the square root of its lines.
    """
    values = np.concatenate([each.values for each in samples]).astype(np.float64)
    source = np.concatenate([[each.source] * len(each.values) for each in samples])
    printed = np.isin(source, list(PRINTED)).astype(np.float64)
    names, which = np.unique(source, return_inverse=True)
    weights = np.sqrt(1 / np.bincount(which, minlength=len(names)))[which]
    for kind in (0, 1):
        weights[printed == kind] *= len(weights) / 2 / weights[printed == kind].sum()
    mean, scale = np.average(values, axis=0, weights=weights), values.std(axis=0) + 1e-6
    blank = KindModel(mean, scale, np.zeros(2 * values.shape[1]), 0.0)
    regression = LogisticRegression(C=1 / RIDGE, solver="newton-cholesky", tol=1e-6)
    regression.fit(blank.expand(values.astype(np.float32)), printed, sample_weight=weights)
    return KindModel(mean, scale, regression.coef_[0], float(regression.intercept_[0]))


def score(model: KindModel, samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return the number of lines of each source, and the share that is classified correctly."""
    scores = {}
    for source in sorted({each.source for each in samples}):
        values = np.concatenate([each.values for each in samples if each.source == source])
        right = (model.printed(values) > 0.5) == (source in PRINTED)
        scores[source] = {"lines": len(values), "right": round(float(right.mean()), 4)}
    return scores


def score_across_writers(samples: Sequence[Sample], folds: int = 5) -> dict[str, dict[str, float]]:
    """Score lines like `score`, by cross-validation over writers."""
    writers = sorted({(each.source, each.writer) for each in samples})
    fold = dict(zip(writers, np.random.default_rng(0).permutation(len(writers)) % folds, strict=True))
    parts: dict[str, dict[str, float]] = {}
    for number in range(folds):
        model = fit([each for each in samples if fold[each.source, each.writer] != number])
        held_out = [each for each in samples if fold[each.source, each.writer] == number]
        for source, row in score(model, held_out).items():
            part = parts.setdefault(source, {"lines": 0, "right": 0.0})
            part["right"] = (part["right"] * part["lines"] + row["right"] * row["lines"]) / (
                part["lines"] + row["lines"]
            )
            part["lines"] += row["lines"]
    return {source: part | {"right": round(part["right"], 4)} for source, part in sorted(parts.items())}


def compose(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Join the upper half of one page and the lower half of another, uint8 (H, W), at the width of the first."""
    size = upper.shape[1], round(lower.shape[0] * upper.shape[1] / lower.shape[1])
    scaled = np.asarray(cv2.resize(lower, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.concatenate([upper[: len(upper) // 2], scaled[len(scaled) // 2 :]])


def score_pages(pages: Sequence[TruePage], reader: PageReader) -> dict[str, dict[str, float]]:
    """Return the number of pages of each source and of composed mixed pages, and the share classified correctly."""
    counts: dict[str, list[bool]] = {}

    def judge(pixels: NDArray[np.uint8], source: str, expected: str) -> None:
        kind = kind_of_page(pixels, find_lines(pixels, reader))
        counts.setdefault(source, []).append(kind == expected)

    for page in tqdm(pages, desc="pages"):
        judge(page.pixels(), page.source, "printed" if page.source in PRINTED else "handwritten")
    typed = [page for page in pages if page.source in PRINTED]
    for index, page in enumerate(tqdm([page for page in pages if page.source not in PRINTED], desc="mixed")):
        halves = page.pixels(), typed[index % len(typed)].pixels()
        judge(compose(*halves) if index % 2 else compose(*halves[::-1]), "mixed", "mixed")
    return {source: {"pages": len(right), "right": round(float(np.mean(right)), 4)} for source, right in counts.items()}


def write(model: KindModel, samples: Sequence[Sample]) -> None:
    """A model and the pages that it was fitted on, without scores."""
    sources = sorted({each.source for each in samples})
    content: dict[str, Any] = {
        "name": "kind",
        "version": "1",
        **{key: np.round(getattr(model, key), DIGITS).tolist() for key in ("mean", "scale", "weights")},
        "bias": round(model.bias, DIGITS),
        "training": {
            "command": "python -m training.tasks.kinds --data PAGES --data build/synthetic",
            "printed": sorted(PRINTED),
            "pages": {source: sum(each.source == source for each in samples) for source in sources},
        },
    }
    PATH.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_manifest(PATH.parent)
    load.cache_clear()


def record(samples: dict[str, list[Sample]], pages: Sequence[TruePage], reader: PageReader) -> None:
    """Write the scores of the current model on validation lines and on whole pages into its file."""
    content = json.loads(PATH.read_text(encoding="utf-8"))
    content["lines_found_by"] = reader.models["detector"]
    content["scores"] = {
        "validation_lines": score(load(), samples["val"]),
        "lines_across_training_writers": score_across_writers(samples["train"]),
        "validation_pages": score_pages(pages, reader),
    }
    PATH.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_manifest(PATH.parent)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.tasks.kinds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of annotated pages; repeatable"
    )
    parser.add_argument("--keep", action="store_true", help="fit nothing; score the model that there is")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    pages = [page for folder in arguments.data for page in load_pages(folder) if page.source not in EXCLUDED]
    reader = PageReader.load(threads=arguments.threads)
    samples: dict[str, list[Sample]] = {"train": [], "val": []}
    for page in tqdm(pages, desc="lines"):
        found = sample(page, reader)
        if found is not None:
            samples[page.split].append(found)
    if not arguments.keep:
        write(fit(samples["train"]), samples["train"])
    record(samples, [page for page in pages if page.split == "val"], reader)
    print(PATH.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
