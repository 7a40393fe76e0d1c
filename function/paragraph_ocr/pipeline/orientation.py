"""Decide which way up a page is by reading its longest lines each way, and find its lines that way up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.detection import Detector, TextLine
from paragraph_ocr.pipeline.recognition import Recognizer
from paragraph_ocr.pipeline.rectification import cut, frame
from paragraph_ocr.pipeline.windows import densest_part

# Lines that are read to tell which way up a page is, and how many at most if they are shorter than this many ascender
# heights together: a column of digits has one a line.
PROBES, MOST_PROBES, PROBES_LENGTH = 3, 12, 12.0
# Columns of their strips that are enough for it: a dozen letters each.
PROBE_COLUMNS = 320
# So much more legible, 0 to 1, must lines be on a page turned by a quarter before it is taken for turned, where nothing
# but the reading says so.
TURNED_GAIN = 0.2
# So much more legible must lines be upside down: what cannot be read either way stays as it is.
UPSIDE_DOWN_GAIN = 0.05
# A page that is read less legibly than this is tried turned by a quarter, whatever the detector says.
DOUBTFUL = 0.7
# Characters that are too few to compare; the page is then searched at full size.
FEW_CHARACTERS = 10
# As if so many characters more had been read with such a confidence: few characters prove little.
PRIOR_CHARACTERS, PRIOR_CONFIDENCE = 3.0, 0.4

# Log probabilities of lines, float32 (T, C), by their index in a list of lines.
Readings = dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class UprightPage:
    """The lines of a page once it is turned upright.

    Attributes
    ----------
    turn : int
        ``numpy.rot90(page, turn)`` is upright.
    lines : list of TextLine
        On that page, in no order.
    readings : dict
        Log probabilities of some of them.
    """

    turn: int
    lines: list[TextLine]
    readings: Readings


@dataclass(frozen=True)
class Evidence:
    """How legible a page is as it is and upside down, 0 to 1, by so many characters of some of its lines."""

    upright: float
    upside_down: float
    characters: int
    readings: Readings

    @property
    def best(self) -> float:
        """The more legible way."""
        return max(self.upright, self.upside_down)


def find_upright(
    page: NDArray[np.uint8], detector: Detector, recognizer: Recognizer, check: Callable[[], None] = lambda: None
) -> UprightPage:
    """Find the lines of a page whichever way up it lies.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper.
    detector : Detector
    recognizer : Recognizer
    check : callable, optional
        Is called between steps; what it raises ends the search.
    """
    sample = densest_part(page)
    # A sixteenth of the work suspects most pages that lie on their side, and a quarter makes sure.
    turn, compared = 0, False
    if detector.detect(sample, detector.size // 4).sideways:
        lines, sideways = detector.detect(sample, detector.size // 2)
        if sideways:
            turn, compared = _most_legible_turn(sample, lines, detector, recognizer), True
    check()
    found, sideways = detector.find(np.rot90(page, turn))
    check()
    if not compared and (sideways or not found):
        other = _most_legible_turn(sample, detector.detect(sample, detector.size // 2).lines, detector, recognizer)
        compared = bool(found)
        if other:
            check()
            again = detector.find(np.rot90(page, other)).lines
            check()
            turn, found = (other, again) if again else (turn, found)
    evidence = weigh(np.rot90(page, turn), found, recognizer, None)
    check()
    if not compared and found and evidence.best < DOUBTFUL:
        across = np.rot90(sample)
        few = len(found) <= PROBES
        lines = detector.find(across).lines if few else detector.detect(across, detector.size // 2).lines
        ways = weigh(across, lines, recognizer)
        if ways.best > evidence.best + TURNED_GAIN:
            turn = 1 if ways.upright >= ways.upside_down else 3
            found = detector.find(np.rot90(page, turn)).lines
            evidence = weigh(np.rot90(page, turn), found, recognizer, None)
    if evidence.upside_down > evidence.upright + UPSIDE_DOWN_GAIN:
        check()
        turn = (turn + 2) % 4
        found = detector.find(np.rot90(page, turn)).lines
        return UprightPage(turn, found, {})
    return UprightPage(turn, found, evidence.readings)


def _most_legible_turn(
    page: NDArray[np.uint8], lines: Sequence[TextLine], detector: Detector, recognizer: Recognizer
) -> int:
    """The quarters anticlockwise by which a page is read best, of which `lines` were found as it is, half as large."""
    across = np.rot90(page)
    as_it_is = weigh(page, lines, recognizer)
    turned = weigh(across, detector.detect(across, detector.size // 2).lines, recognizer)
    if max(as_it_is.characters, turned.characters) < FEW_CHARACTERS or max(as_it_is.best, turned.best) < DOUBTFUL:
        as_it_is = weigh(page, detector.find(page).lines, recognizer)
        turned = weigh(across, detector.find(across).lines, recognizer)
    if turned.best > as_it_is.best:
        return 1 if turned.upright >= turned.upside_down else 3
    return 0 if as_it_is.upright >= as_it_is.upside_down else 2


def weigh(
    page: NDArray[np.uint8],
    lines: Sequence[TextLine],
    recognizer: Recognizer,
    columns: int | None = PROBE_COLUMNS,
) -> Evidence:
    """How legible the longest lines of a page are as they are and upside down.

    Upside down they are not read, and count for nothing, where they are legible as they are and not of digits, many of
    which are digits upside down, too.

    Parameters
    ----------
    page : uint8 (H, W)
    lines : sequence of TextLine
    recognizer : Recognizer
    columns : int, optional
        Of each strip, so many columns are read; all of them if None.
    """
    lengths = np.array([float(np.ptp(line.baseline[:, 0])) / line.ascender for line in lines])
    order = np.argsort(lengths)[::-1][:MOST_PROBES]
    needed = max(PROBES, int(np.searchsorted(np.cumsum(lengths[order]), PROBES_LENGTH)) + 1)
    longest = order[:needed][::-1].tolist()
    frames = [
        frame(lines[index].baseline, lines[index].ascender, lines[index].descender, recognizer.geometry)
        for index in longest
    ]
    strips = [cut(page, each)[:, :columns] for each in frames]
    outputs = recognizer.log_probabilities(strips)
    read = _characters(outputs, recognizer)
    readings = dict(zip(longest, outputs, strict=True))
    confidence = float(np.mean([character.confidence for character in read])) if read else 0.0
    letters = sum(character.text.isalpha() for character in read)
    if not strips or (confidence > recognizer.legible and 2 * letters > len(read)):
        return Evidence(_legibility(read), 0.0, len(read), readings)
    turned = _characters(
        recognizer.log_probabilities([strip[::-1, ::-1][:, :PROBE_COLUMNS] for strip in strips]), recognizer
    )
    return Evidence(_legibility(read), _legibility(turned), max(len(read), len(turned)), readings)


def _characters(outputs: Sequence[NDArray[np.float32]], recognizer: Recognizer) -> list[Character]:
    """The characters of strips but for the spaces."""
    return [character for each in outputs for character in recognizer.best_path(each) if character.text != " "]


def _legibility(read: Sequence[Character]) -> float:
    """The mean confidence of characters, which of few of them says little."""
    total = sum(character.confidence for character in read) + PRIOR_CHARACTERS * PRIOR_CONFIDENCE
    return total / (len(read) + PRIOR_CHARACTERS) if read else 0.0
