"""Write into the recogniser's card how rare each accented letter was in the lines that it was fitted on.

    python -m training.evaluation.rarity training/experiments/recognizer.toml --data PAGES --data build/assets ...

The reader takes a share of these frequencies out of what the recogniser says, see `Recognizer.gains`. They are counted
in lines as the run draws them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import tomllib
from collections import Counter
from math import log
from pathlib import Path

from numpy.random import Generator, default_rng
from tqdm import tqdm

from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.language import base
from paragraph_ocr.pipeline.rectification import Geometry
from training.data.pages import load_pages
from training.tasks.recognition import LineRenderer, RecognitionOptions, Sources, in_capitals

# Lines that are drawn to count the letters of those that a run draws.
DRAWN_LINES = 2500


def annotated_frequencies(folders: list[Path], options: RecognitionOptions) -> Counter[str]:
    """Count the characters of annotated lines, each as often as a run draws its line on average."""
    counts: Counter[str] = Counter()
    for page in (page for folder in folders for page in load_pages(folder, "train")):
        for line in page.lines:
            if line.text and not line.struck:
                weight = options.weights.get(page.source, 1.0) * (options.capitals if in_capitals(line.text) else 1.0)
                for character in line.text:
                    counts[character] += weight  # type: ignore[assignment]
    return counts


def drawn_frequencies(renderer: LineRenderer, shares: dict[str, float], lines: int, rng: Generator) -> Counter[str]:
    """Count the characters of lines that are drawn, of each kind its share."""
    counts: Counter[str] = Counter()
    for kind, share in shares.items():
        for _ in tqdm(range(round(lines * share / sum(shares.values()))), desc=kind, unit="line"):
            counts.update(renderer.draw(kind, rng).text)
    return counts


def letter_rarity(annotated: Counter[str], drawn: Counter[str], share: float, charset: str) -> dict[str, float]:
    """Return by how much each accented letter of a charset is rarer than the letter without its accent, nats.

    Parameters
    ----------
    annotated, drawn : Counter of str
        Characters of annotated and of drawn lines.
    share : float
        Of the drawn lines among all, 0 to 1.
    charset : str
    """
    parts = [(part, weight / part.total()) for part, weight in ((annotated, 1 - share), (drawn, share)) if part]
    # A letter that was not met may have been as frequent as one that was met once.
    least = min((weight for part, weight in parts), default=1.0)

    def frequency(character: str) -> float:
        return max(sum(part[character] * weight for part, weight in parts), least)

    return {
        letter: round(log(frequency(base(letter)) / frequency(letter)), 2)
        for letter in charset
        if letter.isalpha() and base(letter) != letter and base(letter) in charset
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.rarity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="TOML file of the recogniser's run")
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder that the run draws lines from"
    )
    parser.add_argument("--models", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    options = RecognitionOptions(**tomllib.loads(arguments.experiment.read_text(encoding="utf-8"))["data"])
    sources = Sources.sort(arguments.data)
    drawn: Counter[str] = Counter()
    if options.drawn:
        with tempfile.TemporaryDirectory() as cache:
            geometry = Geometry(options.height, options.width, widths=1.0)
            renderer = sources.renderer("train", geometry, options.drawn, Path(cache))
            drawn = drawn_frequencies(renderer, options.drawn, DRAWN_LINES, default_rng(0))
    annotated = annotated_frequencies(sources.pages, options)
    path = arguments.models / "recognizer.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["rarity"] = letter_rarity(annotated, drawn, sum(options.drawn.values()), card["charset"])
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_manifest(arguments.models)
    for letter, value in sorted(card["rarity"].items(), key=lambda item: -item[1]):
        print(f"{letter} {value:.2f}")


if __name__ == "__main__":
    main()
