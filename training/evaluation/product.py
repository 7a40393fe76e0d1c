"""Measure how well the product finds and reads the lines of annotated pages, for each source.

    python -m training.evaluation PAGES

precision, recall, f1: lines found, at IoU 0.5 with the true polygons
baseline: how far the baselines of lines found are from the true ones, pixels of the image
cer, wer: character and word error of whole pages through the product, each true line against what was read where it
    stands, a missed line counting as deleted
unseen: cer without the lines whose text the training split has, too: as a line, or half their words or more in runs of
    five
invented: characters read where no true line stands, as a share of the true ones; real writing that the annotators left
    out (stamps, notes of the archive) counts here too
text: character error of a page's whole text as one string in the order of the source, inventions included
strips: character error of the recogniser alone, on strips cut at the true lines
strips unseen: the same without the lines of such text

Pages that are annotated only in part count for recall, cer, wer and the strips alone, sheets of crops for the strips.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from tqdm import tqdm

from paragraph_ocr.document import Page
from paragraph_ocr.formats.overlay import draw_overlay
from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.rectification import cut, frame
from training.data.pages import PRINTED, TruePage, load_pages
from training.data.seen_text import SeenText
from training.evaluation.matching import baseline_error, match_lines
from training.evaluation.metrics import ErrorRate, normalise_text

# Sources whose images are sheets of cropped words, and no pages.
CROPS = {"dhsd_de"}


@dataclass
class Figures:
    """Counts over the pages of a source."""

    pages: int = 0
    matched: int = 0
    true: int = 0
    found: int = 0
    baselines: list[float] = field(default_factory=list)
    lines: ErrorRate = field(default_factory=ErrorRate)
    unseen: ErrorRate = field(default_factory=ErrorRate)
    invented: int = 0
    text: ErrorRate = field(default_factory=ErrorRate)
    strips: ErrorRate = field(default_factory=ErrorRate)
    strips_unseen: ErrorRate = field(default_factory=ErrorRate)

    def row(self) -> dict[str, float | None]:
        """The figures as shares, None where there was nothing to count."""
        return {
            "pages": self.pages,
            "lines": self.true,
            "precision": self.matched / max(self.found, 1),
            "recall": self.matched / max(self.true, 1),
            "f1": 2 * self.matched / max(self.true + self.found, 1),
            "baseline": float(np.nanmean(self.baselines)) if self.baselines else None,
            "cer": self.lines.characters if self.lines.length else None,
            "wer": self.lines.word if self.lines.length else None,
            "unseen": self.unseen.characters if self.unseen.length else None,
            "invented": self.invented / max(self.lines.length, 1),
            "text": self.text.characters if self.text.length else None,
            "strips": self.strips.characters,
            "strips unseen": self.strips_unseen.characters if self.strips_unseen.length else None,
        }


@dataclass(frozen=True)
class Misreading:
    """A true line that was not read right: characters to edit, its strip uint8 (H, W), its text, what was read."""

    edits: int
    strip: NDArray[np.uint8]
    truth: str
    reading: str


def score_page(
    page: TruePage, reading: Page, figures: Figures, strips: Sequence[str] = (), seen: Sequence[bool] = ()
) -> None:
    """Add a page to the figures of its source.

    Parameters
    ----------
    page : TruePage
    reading : Page
        What the product made of it.
    figures : Figures
    strips : sequence of str
        The recogniser's reading of each true line, where it was asked for.
    seen : sequence of bool
        Whether the text of each true line was seen in training; none was where it is empty.
    """
    found = [np.array(line.polygon, np.float32) for line in reading.lines]
    matches = match_lines([line.polygon for line in page.lines], found, list(page.ignore))
    parts: dict[int, list[tuple[float, str]]] = {}
    extra = 0
    for index, (line, owner) in enumerate(zip(reading.lines, matches.owner, strict=True)):
        if index in matches.ignored:
            continue
        if owner is None:
            extra += len(line.text)
        else:
            parts.setdefault(owner, []).append((line.box[0], line.text))
    readings = [" ".join(text for _, text in sorted(parts.get(index, []))) for index in range(len(page.lines))]
    figures.pages += 1
    figures.matched += len(matches.pairs)
    figures.true += len(page.lines)
    figures.baselines += [
        baseline_error(page.lines[true].baseline, np.array(reading.lines[own].baseline, np.float32))
        for true, own in matches.pairs
    ]
    figures.found += len(reading.lines) - len(matches.ignored) if page.whole else len(matches.pairs)
    _score_lines(page, readings, seen, figures.lines, figures.unseen)
    if strips:
        _score_lines(page, strips, seen, figures.strips, figures.strips_unseen)
    if page.whole:
        figures.invented += extra
        kept = [line.text for index, line in enumerate(reading.lines) if index not in matches.ignored]
        figures.text.add(" ".join(line.text for line in page.lines), " ".join(kept))


def _score_lines(
    page: TruePage, readings: Sequence[str], seen: Sequence[bool], every: ErrorRate, unseen: ErrorRate
) -> None:
    """Add what was read of each true line, but for those that were struck."""
    for index, (line, reading) in enumerate(zip(page.lines, readings, strict=True)):
        if line.struck or not line.text:
            continue
        every.add(line.text, reading)
        if not (seen and seen[index]):
            unseen.add(line.text, reading)


def evaluate(
    folder: Path,
    split: str,
    reader: PageReader,
    overlays: Path | None = None,
    sources: Collection[str] = (),
    misread: list[Misreading] | None = None,
) -> dict[str, Figures]:
    """Read the pages of a split and score them.

    Parameters
    ----------
    folder : Path
        As `training.data.pages.load_pages` takes it.
    split : str
    reader : PageReader
    overlays : Path, optional
        Folder to draw every page in, with what was found on it.
    sources : collection of str
        The sources that are read; all where it is empty.
    misread : list of Misreading, optional
        Lines that the recogniser alone misread are added to it.

    Returns
    -------
    dict of Figures
        For each source; where there are several, also for all handwriting, all print, and all pages.

    Raises
    ------
    DatasetError
        The folder or an image cannot be read.
    """
    pages = load_pages(folder)
    training_text = SeenText(line.text for page in pages if page.split == "train" for line in page.lines)
    figures: dict[str, Figures] = {}
    kinds: dict[str, Figures] = {}
    overall = Figures()
    chosen = [page for page in pages if page.split == split and (not sources or page.source in sources)]
    for page in tqdm(chosen, desc="pages"):
        pixels = page.normalised()
        true = [TextLine(line.baseline, line.ascender, line.descender, 1.0) for line in page.lines]
        strips = [line.text for line in reader.read_lines(pixels, true)]
        seen = training_text.contains([line.text for line in page.lines])
        own = figures.setdefault(page.source, Figures())
        if page.source in CROPS:
            own.pages += 1
            _score_lines(page, strips, seen, own.strips, own.strips_unseen)
            continue
        reading = reader.read_image(page.pixels(), page.page_id)
        kind = "printed" if page.source in PRINTED else "handwritten"
        for each in (own, kinds.setdefault(kind, Figures()), overall):
            score_page(page, reading, each, strips, seen)
        if misread is not None:
            for line, text in zip(page.lines, strips, strict=True):
                errors = Levenshtein.distance(normalise_text(line.text), normalise_text(text))
                if errors and line.text and not line.struck:
                    strip = cut(pixels, frame(line.baseline, line.ascender, line.descender, reader.recognizer.geometry))
                    misread.append(Misreading(errors, strip, line.text, text))
        if overlays is not None:
            overlays.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(overlays / f"{page.page_id}.jpg"), draw_overlay(page.pixels(), reading)[:, :, ::-1])
    together = (kinds if len(kinds) > 1 else {}) | {"all": overall}
    return dict(sorted(figures.items())) | (together if len(figures) > 1 else {})


def draw_worst(misread: list[Misreading], count: int = 50) -> NDArray[np.uint8]:
    """Draw the lines with most errors, worst first, each strip with its true text in green and the reading in red.

    Returns
    -------
    uint8 (H, W, 3)
        Blue, green and red.
    """
    font = cv2.FontFace("sans")
    rows = []
    for line in sorted(misread, key=lambda line: -line.edits)[:count]:
        height, width = line.strip.shape
        row = np.full((2 * height, max(1024, width), 3), 255, np.uint8)
        row[:height, :width] = line.strip[:, :, None]
        cv2.putText(row, line.truth, (4, round(1.45 * height)), (40, 120, 20), font, round(0.4 * height), 500)
        cv2.putText(row, line.reading, (4, round(1.9 * height)), (30, 30, 200), font, round(0.4 * height), 500)
        rows.append(row)
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows])


def table(rows: dict[str, dict[str, float | None]]) -> str:
    """The figures as a Markdown table, shares in percent."""
    names = list(next(iter(rows.values())))
    lines = [f"| source | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for source, row in rows.items():
        cells = [_cell(name, value) for name, value in row.items()]
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in ("pages", "lines"):
        return f"{value:.0f}"
    return f"{value:.1f}" if name == "baseline" else f"{100 * value:.1f}"


def record(rows: dict[str, dict[str, float | None]], models: Path, split: str, sources: Collection[str]) -> None:
    """Write the figures, and the command that makes them again, into the cards of all models."""
    options = "".join(f" --source {source}" for source in sources)
    scores = {
        "command": f"python -m training.evaluation PAGES --split {split}{options}",
        "sources": {
            source: {name: value if value is None else round(value, 4) for name, value in row.items()}
            for source, row in rows.items()
        },
    }
    cards = {name: models / f"{name}.json" for name in ("detector", "recognizer", "language")}
    if not cards["language"].exists():
        del cards["language"]
    contents = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in cards.items()}
    labels = {name: f"{content['name']}@{content['version']}" for name, content in contents.items()}
    for name, path in cards.items():
        content = contents[name] | {"scores": {"models": labels} | scores}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_manifest(models)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--split", default="val")
    parser.add_argument("--models", type=Path, default=FOLDER)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source", action="append", default=[], help="read this source alone; may be repeated")
    parser.add_argument("--overlays", type=Path, help="folder to draw what was found in")
    parser.add_argument("--worst", type=Path, help="picture to draw the fifty lines in that were misread worst")
    parser.add_argument("--record", action="store_true", help="write the figures into the models' cards")
    arguments = parser.parse_args()
    reader = PageReader.load(arguments.models, arguments.threads)
    misread: list[Misreading] = []
    figures = evaluate(arguments.folder, arguments.split, reader, arguments.overlays, arguments.source, misread)
    if not figures:
        raise SystemExit(f"{arguments.folder} has no such pages in its split {arguments.split}")
    rows = {source: own.row() for source, own in figures.items()}
    print(f"{reader.models['detector']}, {reader.models['recognizer']}\n\n{table(rows)}")
    if arguments.worst and misread:
        cv2.imwrite(str(arguments.worst), draw_worst(misread))
    if arguments.record:
        record(rows, arguments.models, arguments.split, arguments.source)


if __name__ == "__main__":
    main()
