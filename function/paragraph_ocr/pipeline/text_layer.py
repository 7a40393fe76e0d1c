"""Take over the text that a page of a PDF carries, and read only the rest of the page.

A page may come from a program, may be a scan with a layer of text from OCR, or both, such as a scan with a printed
footer or a form that was filled in by hand. Text is taken over if it is visible and if, for a sample, it agrees with
what the recogniser reads at its position; this excludes text with a wrong encoding or from another page.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.document import Box, Line, Page, Points, Word
from paragraph_ocr.errors import TooLarge
from paragraph_ocr.io.pdf_text import ASCENDER, DESCENDER, LayerLine, LayerWord
from paragraph_ocr.pipeline.blocks import find_blocks
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.ink import components
from paragraph_ocr.pipeline.reading_order import reading_order

if TYPE_CHECKING:
    from paragraph_ocr.document import Block, TextStyle
    from paragraph_ocr.io.limits import Limits
    from paragraph_ocr.pipeline.options import ReadOptions
    from paragraph_ocr.pipeline.recognition import Recognizer
    from paragraph_ocr.pipeline.rectification import Frame

SOURCE = "pdf"
# Minimum range of grey levels within the box of a visible word.
MIN_CONTRAST = 20
# Lines that are compared of each font, number of fonts, those with the most text first, and maximum and minimum number
# of characters of such a line.
PROBES, PROBED_FONTS, PROBE_CHARACTERS, MIN_CHARACTERS = 2, 6, 24, 6
# Minimum share of Latin characters and of the recogniser's charset in a line that is compared.
MIN_COMPARABLE_SHARE = 0.9
_AFTER_LATIN = "\u0250"
# Text is rejected if less than this share agrees with a reading of at least this confidence.
MIN_AGREEMENT, MIN_READING_CONFIDENCE = 0.5, 0.75
# Margin, in ems, around lines that are erased from the page; more for the text of OCR, whose positions are less exact.
EDGE, LOOSE_EDGE = 0.1, 0.3
# The rest of a page is read if it has this many components of ink that can be letters: with a height and width between
# the two limits, in millimetres, and filling less than this share of their bounding box.
MIN_MARKS, MIN_MILLIMETRES, MAX_MILLIMETRES, MAX_FILL = 2, 1.2, 40.0, 0.72
_MILLIMETRES_PER_PAGE = 297.0
INK = 50


class Reader(Protocol):
    """The part of `reader.PageReader`, which imports this module, that is used here."""

    recognizer: Recognizer
    limits: Limits
    models: Mapping[str, str]

    def line_log_probabilities(
        self, pixels: NDArray[np.uint8], lines: Sequence[TextLine]
    ) -> Iterator[tuple[Frame, NDArray[np.float32]]]:
        """Return the frame and the log probabilities of each line."""
        ...

    def text_style(self, lines: Sequence[Line], blocks: Sequence[Block], options: ReadOptions) -> TextStyle:
        """Return how the text of a page is written."""
        ...


class _Placed(NamedTuple):
    """A `LayerLine` with its position in pixels of the image."""

    line: Line
    found: TextLine
    hidden: bool = False
    vertical: bool = False
    font: int = 0


def read_page(
    reader: Reader,
    pixels: NDArray[np.uint8],
    text: Sequence[LayerLine],
    image: str,
    number: int,
    read: Callable[[NDArray[np.uint8]], Page],
    options: ReadOptions,
) -> Page:
    """Return a page of a PDF with its own text, and with what is read of the rest.

    Parameters
    ----------
    reader : Reader
    pixels : uint8 (H, W)
        The rendered page.
    text : sequence of LayerLine
        Its own text.
    image : str
        The name that the page carries.
    number : int
        The page's number in its file.
    read : callable
        Reads a page in pixels of the same size.
    options : ReadOptions

    Raises
    ------
    TooLarge
        There are more lines than the limit.
    OcrError
        Raised by `read`.
    """
    start = perf_counter()
    placed = [each for line in text if (each := _placed(pixels, line)) is not None]
    placed = _without_copies(placed)
    if len(placed) > reader.limits.max_lines:
        raise TooLarge(f"Page {number} has {len(placed):,} lines; the limit is {reader.limits.max_lines:,}.")
    wrong = _wrong_fonts(reader, pixels, placed)
    placed = [each for each in placed if (each.hidden, each.font) not in wrong]
    if not placed:
        return replace(read(pixels), wrong_text=bool(wrong))
    rest = _blotted(pixels, placed)
    page = read(rest) if _has_marks(rest) else None
    boxes = np.array([each.line.box for each in placed])
    lines = [] if page is None else [line for line in page.lines if not _lies_on(line.box, boxes)]
    if len(placed) + len(lines) > reader.limits.max_lines:
        total = len(placed) + len(lines)
        raise TooLarge(f"Page {number} has {total:,} lines; the limit is {reader.limits.max_lines:,}.")
    made = _page(reader, pixels.shape, placed, lines, options)
    timings = dict.fromkeys(("decode", "detect", "recognize"), 0.0) if page is None else dict(page.timings_ms)
    timings["total"] = 1000 * (perf_counter() - start)
    return replace(made, image=image, page=number, timings_ms=timings, wrong_text=bool(wrong))


def _page(
    reader: Reader, shape: tuple[int, ...], placed: Sequence[_Placed], lines: Sequence[Line], options: ReadOptions
) -> Page:
    """The page of its own lines and of those that were read, in reading order."""
    height, width = shape[:2]
    everything = [*placed, *(_Placed(line, _found(line)) for line in lines)]
    turn = _turn(everything)
    upright = [replace(each.line, polygon=_turned(each.line.polygon, turn, width, height),
                       baseline=_turned(each.line.baseline, turn, width, height))
               for each in everything]  # fmt: skip
    shown = (height, width) if turn % 2 else (width, height)
    across = [index for index, line in enumerate(upright) if _quarter(line.baseline) == 0]
    found = [
        replace(everything[index].found, baseline=np.array(upright[index].baseline, np.float32)) for index in across
    ]
    places = reading_order(found, [upright[index].text for index in across]) if found else []
    order = [across[place] for place in places]
    others = set(range(len(upright))) - set(across)
    # Lines that run upwards or downwards come last, from left to right, but columns of vertical writing the other way.
    order += sorted(
        others,
        key=lambda index: upright[index].box[0] if not everything[index].vertical else shown[0] - upright[index].box[2],
    )
    blocks = find_blocks([upright[index] for index in order], *shown)
    return Page(
        image="",
        page=1,
        width=width,
        height=height,
        rotation=90 * turn,
        lines=tuple(everything[index].line for index in order),
        model=reader.models,
        timings_ms={},
        blocks=blocks,
        style=reader.text_style([upright[index] for index in order], blocks, options),
        upright=options.upright,
    )


# ---- Lines of the text layer


def _placed(pixels: NDArray[np.uint8], line: LayerLine) -> _Placed | None:
    """A line of the text layer without the words that cannot be seen; None if none is left."""
    shown = [(word, _quadrilateral(word)) for word in line.words if _can_be_seen(pixels, word)]
    if not shown:
        return None
    words = tuple(Word(word.text, 1.0, outline) for word, outline in shown)
    along = sorted((word for word, _ in shown), key=lambda word: _along(shown[0][0], word.start))
    em = float(np.median([math.hypot(*word.em) for word, _ in shown]))
    baseline = _simplified([*(word.start for word in along), along[-1].end], em)
    found = TextLine(np.array(baseline, np.float32), ASCENDER * em, DESCENDER * em, 1.0)
    outline = tuple((float(x), float(y)) for x, y in found.polygon)
    text = " ".join(word.text for word in words)
    return _Placed(Line(text, 1.0, outline, baseline, words, SOURCE), found, line.hidden, line.vertical, line.font)


def _quadrilateral(word: LayerWord) -> Points:
    (x0, y0), (x1, y1), (up_x, up_y) = word.start, word.end, word.em
    return (
        (x0 + ASCENDER * up_x, y0 + ASCENDER * up_y),
        (x1 + ASCENDER * up_x, y1 + ASCENDER * up_y),
        (x1 - DESCENDER * up_x, y1 - DESCENDER * up_y),
        (x0 - DESCENDER * up_x, y0 - DESCENDER * up_y),
    )


def _can_be_seen(pixels: NDArray[np.uint8], word: LayerWord) -> bool:
    """Whether what the page shows at a word is not all of one colour, as it is where the word is covered."""
    # The edges of what covers it are not at the word's edges.
    outline = _quadrilateral(word._replace(em=(0.8 * word.em[0], 0.8 * word.em[1])))
    left, top, right, bottom = _pixel_box(outline, pixels.shape)
    part = pixels[top:bottom, left:right]
    return bool(part.size) and int(part.max()) - int(part.min()) >= MIN_CONTRAST


def _pixel_box(outline: Points, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    xs, ys = zip(*outline, strict=True)
    height, width = shape[:2]
    left, right = max(round(min(xs)), 0), min(round(max(xs)), width)
    top, bottom = max(round(min(ys)), 0), min(round(max(ys)), height)
    return left, top, right, bottom


def _along(word: LayerWord, point: tuple[float, float]) -> float:
    return (point[0] - word.start[0]) * (word.end[0] - word.start[0]) + (point[1] - word.start[1]) * (
        word.end[1] - word.start[1]
    )


def _simplified(points: Sequence[tuple[float, float]], em: float) -> Points:
    """A baseline through points, which is only its ends where all others lie about on the line between them."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    length = math.hypot(x1 - x0, y1 - y0)
    if length and all(abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) <= 0.1 * em * length for x, y in points):
        return points[0], points[-1]
    distinct = [points[0]]
    for x, y in points[1:]:
        if math.hypot(x - distinct[-1][0], y - distinct[-1][1]) > 0.1 * em:
            distinct.append((x, y))
    return tuple(distinct) if len(distinct) > 1 else (points[0], (points[0][0] + em, points[0][1]))


def _without_copies(placed: list[_Placed]) -> list[_Placed]:
    """The lines without those hidden ones at whose place there is one that is not: both are the same text."""
    shown = np.array([each.line.box for each in placed if not each.hidden])
    if not len(shown) or len(shown) == len(placed):
        return placed
    return [each for each in placed if not (each.hidden and _lies_on(each.line.box, shown))]


def _lies_on(box: Box, others: NDArray[np.float64]) -> bool:
    """Whether half of a box or more lies in one of some others, (N, 4)."""
    across = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    down = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    shared = np.clip(across, 0, None) * np.clip(down, 0, None)
    return bool((2 * shared >= max((box[2] - box[0]) * (box[3] - box[1]), 1.0)).any())


def _wrong_fonts(reader: Reader, pixels: NDArray[np.uint8], placed: Sequence[_Placed]) -> set[tuple[bool, int]]:
    """Whether lines are hidden, and their font, of those whose text is not what stands on the page."""
    lines: dict[tuple[bool, int], list[_Placed]] = defaultdict(list)
    for each in sorted(placed, key=lambda each: -len(each.line.text)):
        lines[each.hidden, each.font].append(each)
    most_text = sorted(lines, key=lambda key: -sum(len(each.line.text) for each in lines[key]))[:PROBED_FONTS]
    known = set(reader.recognizer.model.card.charset)
    probes: list[tuple[tuple[bool, int], str, TextLine]] = []
    for key in most_text:
        probes += [(key, *probe) for each in lines[key] if (probe := _probe(each, known)) is not None][:PROBES]
    agreements: dict[tuple[bool, int], list[float]] = defaultdict(list)
    confidences: dict[tuple[bool, int], list[float]] = defaultdict(list)
    for (key, text, _), (_, seen) in zip(
        probes, reader.line_log_probabilities(pixels, [line for _, _, line in probes]), strict=True
    ):
        characters = [each for each in reader.recognizer.best_path(seen) if each.text != " "]
        # Letters that the recogniser hardly makes out prove nothing against text that is shown.
        if characters and (key[0] or 2 * len(characters) >= len(text)):
            read = "".join(each.text for each in characters)
            agreements[key].append(SequenceMatcher(None, text.casefold(), read.casefold(), autojunk=False).ratio())
            confidences[key].append(float(np.mean([each.confidence for each in characters])))
    return {
        key
        for key, shares in agreements.items()
        if max(shares) < MIN_AGREEMENT and float(np.mean(confidences[key])) >= MIN_READING_CONFIDENCE
    }


def _probe(placed: _Placed, known: set[str]) -> tuple[str, TextLine] | None:
    """The first characters of a line, without spaces, and their position; None if the line cannot be compared."""
    if placed.vertical:
        return None
    words: list[Word] = []
    for word in placed.line.words:
        words.append(word)
        if sum(len(word.text) for word in words) >= PROBE_CHARACTERS:
            break
    text = "".join(word.text for word in words)
    comparable = sum(character in known or character < _AFTER_LATIN for character in text)
    if len(text) < MIN_CHARACTERS or comparable < MIN_COMPARABLE_SHARE * len(text):
        return None
    up = np.subtract(words[0].polygon[0], words[0].polygon[3])
    ends = np.array([words[0].polygon[3], words[-1].polygon[2]]) + DESCENDER * up
    em = float(np.hypot(*up))
    return text, TextLine(ends.astype(np.float32), ASCENDER * em, DESCENDER * em, 1.0)


# ---- The rest of the page


def _blotted(pixels: NDArray[np.uint8], placed: Sequence[_Placed]) -> NDArray[np.uint8]:
    """The page with each line replaced by the colour of its ground."""
    blotted = pixels.copy()
    for each in placed:
        left, top, right, bottom = _pixel_box(each.line.polygon, pixels.shape)
        part = pixels[top:bottom:2, left:right:4]
        if not part.size:
            continue
        edge = (LOOSE_EDGE if each.hidden else EDGE) * (each.found.ascender + each.found.descender)
        baseline = each.found.baseline.copy()
        for end, inner in ((0, 1), (-1, -2)):
            outwards = each.found.baseline[end] - each.found.baseline[inner]
            baseline[end] += edge * outwards / max(float(np.linalg.norm(outwards)), 1e-6)
        wider = TextLine(baseline, each.found.ascender + edge, each.found.descender + edge, 1.0)
        cv2.fillPoly(blotted, [np.round(wider.polygon).astype(np.int32)], int(np.median(part)))
    return blotted


def _has_marks(pixels: NDArray[np.uint8]) -> bool:
    """Whether there is anything on a page that may be a letter."""
    half = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    ground = int(np.median(half[::4, ::4]))
    ink = (cv2.absdiff(half, np.full_like(half, ground)) > INK).astype(np.uint8)
    _, _, boxes, _ = components(ink)
    millimetre = max(half.shape) / _MILLIMETRES_PER_PAGE
    wide, high, area = boxes[1:, cv2.CC_STAT_WIDTH], boxes[1:, cv2.CC_STAT_HEIGHT], boxes[1:, cv2.CC_STAT_AREA]
    small, large = MIN_MILLIMETRES * millimetre, MAX_MILLIMETRES * millimetre
    marks = (np.maximum(wide, high) >= small) & (high <= large) & (np.minimum(wide, high) >= small / 3)
    return bool((marks & (area < MAX_FILL * wide * high)).sum() >= MIN_MARKS)


# ---- Which way up


def _found(line: Line) -> TextLine:
    """The line of a detector that a line was read from."""
    half = len(line.polygon) // 2
    upper, lower = np.array(line.polygon[:half]), np.array(line.polygon[half:][::-1])
    height = float(np.linalg.norm(upper - lower, axis=1).mean())
    below = height / 4
    if len(line.baseline) == half:
        below = float(np.linalg.norm(lower - np.array(line.baseline), axis=1).mean())
    return TextLine(np.array(line.baseline or lower, np.float32), max(height - below, 1.0), below, line.confidence)


def _quarter(baseline: Points) -> int:
    """The quarters anticlockwise by which a line is to be turned to run from left to right."""
    (x0, y0), (x1, y1) = baseline[0], baseline[-1]
    return round(math.atan2(y1 - y0, x1 - x0) / (math.pi / 2)) % 4


def _turn(placed: Sequence[_Placed]) -> int:
    """The quarters anticlockwise by which most of a page's text is to be turned."""
    weights: Counter[int] = Counter()
    for each in placed:
        if not each.vertical:
            weights[_quarter(each.line.baseline)] += len(each.line.text)
    return max(weights, key=lambda turn: (weights[turn], -turn)) if weights else 0


def _turned(points: Points, turn: int, width: int, height: int) -> Points:
    """Points of an image of this size on the image that is turned by so many quarters anticlockwise."""
    if turn == 1:
        return tuple((y, width - x) for x, y in points)
    if turn == 2:
        return tuple((width - x, height - y) for x, y in points)
    if turn == 3:
        return tuple((height - y, x) for x, y in points)
    return points
