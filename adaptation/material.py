"""The lines that a recogniser is adapted to and measured on, from a few annotated pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.rectification import Geometry, cut, frame
from training.data.pages import DatasetError, TrueLine, TruePage
from training.data.strips import Strip, enlarged
from training.evaluation.matching import match_lines
from training.synthesis.corpus import straight
from training.tasks.recognition import scale_to_density

# Share of the pages that is kept out of fitting.
HELD_OUT = 0.2
# With fewer pages than this, the last lines of each page are kept out instead of whole pages.
MIN_PAGES = 3
# Minimum number of lines with text.
MIN_LINES = 12
# Sources of strips: lines as annotated, and as the product detects them.
ANNOTATED, DETECTED = "annotated", "detected"
# Characters of transcriptions that the recogniser reads as others: letters and marks of the same shape or meaning.
FOLDED = str.maketrans(
    dict(zip("ſ―\u02bc\u2010\u2011\u2212\u2e17\u00ad", "s—'-----", strict=True))
    | {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "\u200b": "", "\ufeff": ""}
)
# Maximum distance between the ends of a detected line and of the annotated one, in line heights.
MAX_END_DISTANCE = 0.45
# A detected line is an annotated one if their baselines run beside each other over this share of both together, and are
# no farther from each other than this share of the detected line's height.
MIN_BESIDE, MAX_ASIDE = 0.5, 0.5
# Pairs from which it is known how the annotated lines differ from the detected ones.
MIN_PAIRS = 20


@dataclass(frozen=True)
class Material:
    """Lines to fit and lines to measure on.

    Attributes
    ----------
    strips : list of Strip
        Lines of the training pages, as `training.data.strips.enlarged` makes them: each where it was annotated and,
        with the source `DETECTED`, where the product finds it.
    validation : list of Strip
        Lines of the held-out pages where the product finds them, or as annotated where it does not, in the geometry of
        the product.
    recall : float
        Share of the annotated lines of all pages that the product finds.
    found : float
        F1 of the lines that the product finds on the held-out pages; their recall if none is annotated as a whole.
    """

    strips: list[Strip]
    validation: list[Strip]
    recall: float
    found: float


def fold_characters(page: TruePage) -> TruePage:
    """Replace the characters of a page's text that the recogniser reads as others."""
    lines = tuple(replace(line, text=" ".join(straight(line.text.translate(FOLDED)).split())) for line in page.lines)
    return replace(page, lines=lines)


def foreign_characters(pages: Sequence[TruePage], charset: str) -> Counter[str]:
    """Count the lines that have a character which a recogniser lacks, for each of these characters."""
    return Counter(
        character
        for page in pages
        for line in page.lines
        if not line.struck
        for character in set(line.text) - set(charset)
    )


def split_pages(pages: Sequence[TruePage]) -> tuple[list[TruePage], list[TruePage]]:
    """Split pages into those to fit and a fifth that is held out; by their ``split``, if some are ``val``.

    Of fewer than three pages the last fifth of each page's lines is held out.

    Raises
    ------
    DatasetError
        There are too few lines with text.
    """
    count = sum(bool(line.text) and not line.struck for page in pages for line in page.lines)
    if count < MIN_LINES:
        raise DatasetError(
            f"{count} lines have text, and adapting needs {MIN_LINES} or more: transcribe another page "
            "(a page of some thirty lines is a start, ten pages are better)"
        )
    if given := [page for page in pages if page.split == "val"]:
        train = [page for page in pages if page.split != "val"]
        if not train:
            raise DatasetError('all pages have the split "val"; give those to fit the split "train"')
        return train, given
    if len(pages) < MIN_PAGES:
        ends = [round(len(page.lines) * (1 - HELD_OUT)) for page in pages]
        # Neither part is annotated as a whole.
        return (
            [replace(page, lines=page.lines[:end], whole=False) for page, end in zip(pages, ends, strict=True)],
            [replace(page, lines=page.lines[end:], whole=False) for page, end in zip(pages, ends, strict=True)],
        )
    # By writer, so that each of several hands is measured.
    ordered = sorted(range(len(pages)), key=lambda at: (pages[at].writer, at))
    step = round(1 / HELD_OUT)
    kept = {at for place, at in enumerate(ordered) if place % step == min(step, len(pages)) // 2}
    return [page for at, page in enumerate(pages) if at not in kept], [pages[at] for at in sorted(kept)]


def cut_lines(train: Sequence[TruePage], held_out: Sequence[TruePage], reader: PageReader, charset: str) -> Material:
    """Cut the lines of annotated pages, where they were annotated and where the product finds them.

    Parameters
    ----------
    train, held_out : sequence of TruePage
    reader : PageReader
        With the models that are to be adapted.
    charset : str
        Lines with other characters are left out.

    Raises
    ------
    DatasetError
        An image cannot be read, or too few lines remain.
    """
    geometry = replace(reader.recognizer.geometry, widths=1.0)
    known = set(charset)
    found: list[tuple[list[TextLine], dict[int, int]]] = []
    # Lines of the held-out pages that were matched, that are annotated, and that were found, in partly and in wholly
    # annotated pages.
    counts = np.zeros((2, 3))
    parts = [(page, False) for page in train] + [(page, True) for page in held_out]
    for page, kept in tqdm(parts, desc="lines", unit="page"):
        detected, sideways = reader.detector.find(page.normalised())
        pairs = {} if sideways else pair_lines(page.lines, detected)
        found.append((detected, pairs))
        if kept:
            counts[int(page.whole)] += count_lines(page, detected, pairs)
    bias = _Bias.of(
        [(page.lines[at], detected[own]) for (page, _), (detected, pairs) in zip(parts, found, strict=True)
         for at, own in pairs.items()]
    )  # fmt: skip
    strips: list[Strip] = []
    validation: list[Strip] = []
    matched = lines = 0
    for (page, kept), (places, pairs) in zip(parts, found, strict=True):
        pixels = page.normalised()
        shape = geometry if kept else enlarged(geometry)
        for index, line in enumerate(page.lines):
            if not line.text or line.struck:
                continue
            lines += 1
            matched += index in pairs
            if not set(line.text) <= known:
                continue
            own = places[pairs[index]] if index in pairs else None
            given = bias.correct(line)
            if kept:
                strip = _strip(page, line, own or given, pixels, shape)
                validation.append(scale_to_density(strip, geometry.baseline))
                continue
            strips.append(_strip(page, line, given, pixels, shape))
            if own is not None and _ends_alike(given, own):
                strips.append(_strip(page, line, own, pixels, shape, DETECTED))
    if not strips or not validation:
        raise DatasetError(
            f"no lines are left to {'measure on' if strips else 'fit'}: the recogniser lacks characters of all of "
            "them; --extend-charset adds the characters"
        )
    right, annotated, seen = counts[1] if counts[1, 1] else counts[0]
    total = (annotated + seen) / 2 if counts[1, 1] else annotated
    return Material(strips, validation, matched / max(lines, 1), float(right) / max(float(total), 1.0))


def pair_lines(true: Sequence[TrueLine], found: Sequence[TextLine]) -> dict[int, int]:
    """Pair annotated lines with the detected ones whose baselines run beside theirs.

    Outlines do not count, since those of Transkribus and others may be twice as high as the letters, or half.

    Parameters
    ----------
    true, found : sequences of lines
        Of an upright page.

    Returns
    -------
    dict of int to int
        Index of the detected line for each annotated line that has one.
    """
    candidates = []
    for at, line in enumerate(true):
        x, y = line.baseline[np.argsort(line.baseline[:, 0])].T
        for place, own in enumerate(found):
            u, v = own.baseline[np.argsort(own.baseline[:, 0])].T
            left, right = max(x[0], u[0]), min(x[-1], u[-1])
            beside = (right - left) / max(max(x[-1], u[-1]) - min(x[0], u[0]), 1e-6)
            if beside < MIN_BESIDE:
                continue
            columns = np.linspace(left, right, 9)
            aside = np.median(np.abs(np.interp(columns, u, v) - np.interp(columns, x, y)))
            aside /= own.ascender + own.descender
            if aside <= MAX_ASIDE:
                candidates.append((float(beside - aside), at, place))
    pairs: dict[int, int] = {}
    for _, at, place in sorted(candidates, reverse=True):
        if at not in pairs and place not in pairs.values():
            pairs[at] = place
    return pairs


def count_lines(page: TruePage, detected: Sequence[TextLine], pairs: Mapping[int, int]) -> tuple[int, int, int]:
    """Count a page's lines that have a pair, that are annotated, and that are detected beside the ignored polygons."""
    polygons = [line.polygon for line in page.lines], [line.polygon for line in detected]
    ignored = match_lines(*polygons, list(page.ignore)).ignored - set(pairs.values())
    return len(pairs), len(page.lines), len(detected) - len(ignored)


@dataclass(frozen=True)
class _Bias:
    """How annotated lines have to be changed to be like detected ones.

    Attributes
    ----------
    ascender, descender : float
        Factors.
    shift : float
        Of the baseline, downwards, as a share of the detected line's height.
    """

    ascender: float = 1.0
    descender: float = 1.0
    shift: float = 0.0

    @classmethod
    def of(cls, pairs: Sequence[tuple[TrueLine, TextLine]]) -> _Bias:
        """Return the medians over some pairs of an annotated and a detected line."""
        if len(pairs) < MIN_PAIRS:
            return cls()
        ascenders, descenders, shifts = zip(
            *(
                (
                    own.ascender / line.ascender,
                    own.descender / line.descender,
                    _shift(line.baseline, own.baseline) / (own.ascender + own.descender),
                )
                for line, own in pairs
            ),
            strict=True,
        )
        return cls(float(np.median(ascenders)), float(np.median(descenders)), float(np.median(shifts)))

    def correct(self, line: TrueLine) -> TrueLine:
        """Return an annotated line as it would be if it were drawn like a detected one."""
        ascender, descender = line.ascender * self.ascender, line.descender * self.descender
        down = np.array([0.0, self.shift * (ascender + descender)], np.float32)
        return replace(line, baseline=line.baseline + down, ascender=ascender, descender=descender)


def _shift(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How far a baseline lies below another, pixels."""
    columns = np.linspace(max(one[0, 0], other[0, 0]), min(one[-1, 0], other[-1, 0]), 9)
    return float(np.median(np.interp(columns, *other.T) - np.interp(columns, *one.T)))


def _strip(
    page: TruePage,
    line: TrueLine,
    place: TrueLine | TextLine,
    pixels: NDArray[np.uint8],
    geometry: Geometry,
    source: str = ANNOTATED,
) -> Strip:
    cutout = cut(pixels, frame(place.baseline, place.ascender, place.descender, geometry))
    return Strip(cutout, line.text, _ascender(place), source, page.writer, False)


def _ascender(line: TrueLine | TextLine) -> float:
    return line.ascender / (line.ascender + line.descender)


def _ends_alike(line: TrueLine, own: TextLine) -> bool:
    """Return whether a line was detected from its first letter to its last, and not much beyond."""
    ends = line.baseline[[0, -1], 0] - own.baseline[[0, -1], 0]
    return bool(np.abs(ends).max() <= MAX_END_DISTANCE * (line.ascender + line.descender))
