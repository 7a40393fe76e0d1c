"""Measure how well the product finds and reads pages that are turned, warped, shaded or changed in other ways.

    python -m training.evaluation.conditions PAGES

Every page is changed by each condition, with its true lines, and read. recall: true lines found at IoU 0.5. error:
character error of the true lines, as `training.evaluation` counts it. time: against the same page as it is, read just
before, median of three each.

Then every line is cut out and read alone, and every word of three letters or more of the lines that were read rightly
on the page as it is; for words, recall and error are against what was read there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paragraph_ocr.document import Page
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import Points, TrueLine, TruePage, load_pages
from training.evaluation.matching import match_lines
from training.evaluation.product import Figures, score_page

Grey = NDArray[np.uint8]
Place = Callable[[Points], Points]
Changed = tuple[Grey, Place]
RUNS = 3
TABLE = 70  # the grey of what a photographed sheet lies on
AROUND = 0.2  # the margin of what is cut out, in heights of its line
MIN_LETTERS = 3  # letters of a word that is cut out


def turned(pixels: Grey, quarters: int) -> Changed:
    """Turned clockwise by quarters."""
    height, width = pixels.shape

    def place(points: Points) -> Points:
        x, y = points.T
        return np.stack({1: (height - y, x), 2: (width - x, height - y), 3: (y, width - x)}[quarters], axis=1)

    return np.ascontiguousarray(np.rot90(pixels, -quarters)), place


def projected(pixels: Grey, corners: NDArray[np.float32], paper: int) -> Changed:
    """Seen so that the page's corners, clockwise from the upper left, lie at `corners`."""
    height, width = pixels.shape
    low = corners.min(axis=0)
    size = np.ceil(corners.max(axis=0) - low).astype(int)
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, (corners - low).astype(np.float32))
    seen = cv2.warpPerspective(
        pixels, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_AREA, borderValue=float(paper)
    )
    return np.asarray(seen, np.uint8), lambda points: cv2.perspectiveTransform(points[None], matrix)[0]


def skewed(pixels: Grey, degrees: float) -> Changed:
    """Turned clockwise by a few degrees on a scanner as white as the paper."""
    height, width = pixels.shape
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turn
    return projected(pixels, corners.astype(np.float32), int(np.median(pixels)))


def photographed(pixels: Grey) -> Changed:
    """A photo from the lower left of the sheet on a dark table, with a shadow across it."""
    height, width = pixels.shape
    away = np.array([[0.10, 0.06], [0.93, 0.0], [1.0, 0.92], [0.0, 1.0]]) * (width, height)
    margin = 0.06 * max(height, width)
    page, place = projected(pixels, away.astype(np.float32), TABLE)
    border = round(margin)
    bordered = cv2.copyMakeBorder(page, border, border, border, border, cv2.BORDER_CONSTANT, value=float(TABLE))
    return shaded(np.asarray(bordered, np.uint8))[0], lambda points: place(points) + np.float32(border)


def curved(pixels: Grey) -> Changed:
    """A page of an open book, whose lines rise and fall by a fortieth of its width."""
    height, width = pixels.shape
    depth = width / 40

    def rise(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(depth * np.sin(2 * np.pi * x / width), np.float32)

    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    seen = cv2.remap(pixels, x, y - rise(x), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(
        seen, np.uint8
    ), lambda points: points + np.stack([np.zeros(len(points), np.float32), rise(points[:, 0])], axis=1)


def shaded(pixels: Grey) -> Changed:
    """A shadow that leaves 45 % of the light at the lower right, with an edge."""
    height, width = pixels.shape
    x, y = np.meshgrid(np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32))
    light = 1.0 - 0.25 * x * y - 0.3 / (1 + np.exp(-40 * (x + 0.6 * y - 1.0)))
    return np.asarray(pixels * light, np.uint8), _same


def faint(pixels: Grey) -> Changed:
    """Ink of a third of its strength."""
    paper = np.float32(np.median(pixels))
    return np.asarray(np.clip(paper + (pixels - paper) * 0.33, 0, 255), np.uint8), _same


def squared(pixels: Grey) -> Changed:
    """On paper of squares as large as a fiftieth of the page's height."""
    grid = pixels.copy()
    cell = max(8, pixels.shape[0] // 50)
    for lines in (grid[cell::cell], grid[:, cell::cell].T):
        np.minimum(lines, 165, out=lines)
    return grid, _same


def unfocused(pixels: Grey) -> Changed:
    """Out of focus by a nine hundredth of the page's height."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), pixels.shape[0] / 900), np.uint8), _same


def moved(pixels: Grey) -> Changed:
    """Moved by a three hundredth of the page's height, aslant, while it was photographed."""
    side = max(3, pixels.shape[0] // 300)
    path = np.eye(side, dtype=np.float32) / side
    return np.asarray(cv2.filter2D(pixels, -1, path, borderType=cv2.BORDER_REPLICATE), np.uint8), _same


def resized(pixels: Grey, longest: int) -> Changed:
    """With its longer side in so many pixels."""
    scale = longest / max(pixels.shape)
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8), lambda points: points * scale


def _same(points: Points) -> Points:
    return points


CONDITIONS: dict[str, Callable[[Grey], Changed]] = {
    "as it is": lambda pixels: (pixels, _same),
    "turned by 90°": lambda pixels: turned(pixels, 1),
    "turned by 180°": lambda pixels: turned(pixels, 2),
    "turned by 270°": lambda pixels: turned(pixels, 3),
    "skewed by 15°": lambda pixels: skewed(pixels, 15),
    "skewed by -8°": lambda pixels: skewed(pixels, -8),
    "skewed by 40°": lambda pixels: skewed(pixels, 40),
    "photo: perspective, shadow, table": photographed,
    "book: curved lines": curved,
    "shadow": shaded,
    "faint ink": faint,
    "white on black": lambda pixels: (255 - pixels, _same),
    "squared paper": squared,
    "out of focus": unfocused,
    "moved": moved,
    "900 px": lambda pixels: resized(pixels, 900),
    "10,000 px": lambda pixels: resized(pixels, 10_000),
}


def change(page: TruePage, pixels: Grey, condition: Callable[[Grey], Changed]) -> tuple[TruePage, Grey]:
    """A page and its annotation in a condition."""
    seen, place = condition(pixels)
    lines = tuple(
        replace(line, baseline=place(line.baseline).astype(np.float32), polygon=place(line.polygon).astype(np.float32))
        for line in page.lines
    )
    ignore = tuple(place(polygon).astype(np.float32) for polygon in page.ignore)
    return replace(page, lines=lines, ignore=ignore, width=seen.shape[1], height=seen.shape[0]), seen


def cut_out(page: TruePage, pixels: Grey, line: TrueLine) -> tuple[TruePage, Grey]:
    """The upright rectangle around a line, and what of the lines beside it lies there, as a page of that line alone."""
    margin = AROUND * (line.ascender + line.descender)
    left, top = np.floor(line.polygon.min(axis=0) - margin).clip(0).astype(int)
    right, bottom = np.ceil(line.polygon.max(axis=0) + margin).astype(int)
    alone = replace(page, lines=(line,), ignore=())
    corner = np.array([left, top], np.float32)
    return change(alone, pixels, lambda whole: (whole[top:bottom, left:right], lambda points: points - corner))


def single_lines(page: TruePage, pixels: Grey, reading: Page) -> Iterator[tuple[TruePage, Grey]]:
    """Each line of a page, cut out."""
    del reading
    for line in page.lines:
        yield cut_out(page, pixels, line)


def small_single_lines(page: TruePage, pixels: Grey, reading: Page) -> Iterator[tuple[TruePage, Grey]]:
    """Each line of a page, cut out and shown in 300 pixels."""
    for alone, seen in single_lines(page, pixels, reading):
        yield change(alone, seen, lambda line: resized(line, 300))


def single_words(page: TruePage, pixels: Grey, reading: Page) -> Iterator[tuple[TruePage, Grey]]:
    """Each longer word of the lines that were read rightly, cut out."""
    found = [np.array(line.polygon, np.float32) for line in reading.lines]
    for true, own in match_lines([line.polygon for line in page.lines], found, []).pairs:
        line = page.lines[true]
        for word in reading.lines[own].words if reading.lines[own].text == line.text else ():
            if sum(letter.isalpha() for letter in word.text) >= MIN_LETTERS:
                polygon = np.array(word.polygon, np.float32)
                yield cut_out(page, pixels, replace(line, text=word.text, polygon=polygon))


CUTS: dict[str, Callable[[TruePage, Grey, Page], Iterator[tuple[TruePage, Grey]]]] = {
    "one line, cut out": single_lines,
    "one line in 300 px": small_single_lines,
    "one word, cut out": single_words,
}


@dataclass
class Outcome:
    """Results of one condition: the figures of its pages, and the ratio of each reading's time to the plain page's."""

    figures: Figures = field(default_factory=Figures)
    times: list[float] = field(default_factory=list)


def measure(pages: list[TruePage], reader: PageReader) -> dict[str, Outcome]:
    """The outcome of every condition on the same pages."""
    outcomes = {name: Outcome() for name in (*CONDITIONS, *CUTS)}
    for page in tqdm(pages, desc="pages"):
        pixels = page.pixels()
        for name, condition in CONDITIONS.items():
            true, seen = change(page, pixels, condition)
            for _ in range(RUNS):
                plain = reader.read_image(pixels, page.page_id)
                reading = reader.read_image(seen, page.page_id)
                outcomes[name].times.append(reading.timings_ms["total"] / plain.timings_ms["total"])
            score_page(true, reading, outcomes[name].figures)
        for name, cuts in CUTS.items():
            for true, seen in cuts(page, pixels, plain):
                score_page(true, reader.read_image(seen, page.page_id), outcomes[name].figures)
    return outcomes


def table(outcomes: dict[str, Outcome]) -> str:
    """The outcomes as a Markdown table, shares in percent."""
    rows = ["| condition | recall | error | time |", "| --- | ---: | ---: | ---: |"]
    for name, outcome in outcomes.items():
        row = outcome.figures.row()
        ratio = f"{np.median(outcome.times):.2f}" if outcome.times else ""
        rows.append(f"| {name} | {100 * (row['recall'] or 0):.1f} | {100 * (row['cer'] or 0):.1f} | {ratio} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.conditions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of annotated pages")
    parser.add_argument("--split", default="val")
    parser.add_argument("--source", default="copiste_fr", help="the source whose pages are changed")
    parser.add_argument("--pages", type=int, default=10, help="how many of them, evenly spread")
    parser.add_argument("--models", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    pages = [page for page in load_pages(arguments.folder, arguments.split) if page.source == arguments.source]
    chosen = pages[:: max(1, len(pages) // arguments.pages)][: arguments.pages]
    print(table(measure(chosen, PageReader.load(arguments.models))))


if __name__ == "__main__":
    main()
