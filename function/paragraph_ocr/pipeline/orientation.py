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

# Number of a page's longest lines that are read in each orientation; up to the maximum until their total length is
# PROBES_LENGTH ascender heights, since the lines of a column of digits have one character each.
PROBES, MAX_PROBES, PROBES_LENGTH = 3, 12, 12.0
# Lines that the detector is less sure of are read last.
CERTAIN = 0.8
# Columns of their strips that are read: about a dozen letters.
PROBE_COLUMNS = 320
# Minimum confidence gain before a page counts as lying on its side against the detector's prediction.
SIDEWAYS_GAIN = 0.2
# Letters that a lone digit is read as the right way up, too.
LIKE_DIGITS = frozenset("lIO")
# Minimum confidence gain before a page counts as upside down, so that illegible pages are not turned.
UPSIDE_DOWN_GAIN = 0.05
# What a turn needs more for a page of hardly a character, and less for more, up to `MIN_CHARACTERS`: a few letters may
# be others upside down, and a word alone is mostly upright.
FEW_GAIN = 0.05
# Confidence gain of the longest line, of at least `MIN_CHARACTERS`, above which no other line is read upside down.
CLEAR_GAIN = 0.2
# Pages read with less confidence than this are tried on their side against the detector's prediction.
MIN_CONFIDENCE = 0.7
# With fewer characters than this, orientations are compared again on lines detected at full resolution.
MIN_CHARACTERS = 10
# Pseudo-observations in the mean confidence: this many characters of this confidence.
PRIOR_CHARACTERS, PRIOR_CONFIDENCE = 3.0, 0.4

# Letters that upside down are digits or letters, too. Of a text, two of three are others.
TURNABLE = frozenset("BEGHILNOSTXZbdghilnopqstuxz")
# Added to the confidence of a reading that consists of at least so many digits, of which hardly any is a letter, if the
# other reading has letters: digits upside down are letters and digits, and letters are seldom all digits.
DIGITS_GAIN, MIN_DIGITS, MAX_LETTERS, MIN_LETTERS = 0.1, 5, 0.05, 0.25

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
    """Mean confidences of a page's longest lines, read as they are and upside down.

    Attributes
    ----------
    upright, upside_down : float
        Confidence, 0 to 1, with a prior for few characters; more for digits alone.
    characters : int
        Number of characters read, in the orientation with more.
    readings : dict
        Log probabilities of the lines as they are.
    """

    upright: float
    upside_down: float
    characters: int
    readings: Readings

    @property
    def best(self) -> float:
        """Confidence in the better orientation."""
        return max(self.upright, self.upside_down)


def find_upright(
    page: NDArray[np.uint8], detector: Detector, recognizer: Recognizer, check: Callable[[], None] = lambda: None
) -> UprightPage:
    """Find the lines of a page in any of the four orientations.

    Parameters
    ----------
    page : uint8 (H, W)
        Dark strokes on light paper.
    detector : Detector
    recognizer : Recognizer
    check : callable, optional
        Called between steps; its exceptions end the search.
    """
    sample = densest_part(page)
    # At a quarter of the resolution (a sixteenth of the time) the detector recognises most pages that lie on their
    # side; its prediction at half the resolution confirms it before orientations are compared by reading. For a quarter
    # of it, not every row and column of a large page counts.
    turn, compared = 0, False
    step = max(1, max(sample.shape) // detector.size)
    if detector.detect(sample[::step, ::step], detector.size // 4).sideways:
        lines, sideways = detector.detect(sample, detector.size // 2)
        if sideways:
            turn, compared = _best_turn(sample, lines, detector, recognizer), True
    check()
    found, sideways = detector.find(np.rot90(page, turn))
    check()
    if not compared and (sideways or not found):
        other = _best_turn(sample, detector.detect(sample, detector.size // 2).lines, detector, recognizer)
        compared = bool(found)
        if other:
            check()
            again = detector.find(np.rot90(page, other)).lines
            check()
            turn, found = (other, again) if again else (turn, found)
    evidence = weigh(np.rot90(page, turn), found, recognizer, None)
    check()
    if not compared and found and evidence.best < MIN_CONFIDENCE:
        across = np.rot90(sample)
        few = len(found) <= PROBES
        lines = detector.find(across).lines if few else detector.detect(across, detector.size // 2).lines
        ways = weigh(across, lines, recognizer)
        if ways.best > evidence.best + SIDEWAYS_GAIN:
            turn = 1 if ways.upright >= ways.upside_down else 3
            found = detector.find(np.rot90(page, turn)).lines
            evidence = weigh(np.rot90(page, turn), found, recognizer, None)
    if evidence.upside_down > evidence.upright + UPSIDE_DOWN_GAIN + _few_gain(evidence.characters):
        check()
        turn = (turn + 2) % 4
        found = detector.find(np.rot90(page, turn)).lines
        return UprightPage(turn, found, {})
    return UprightPage(turn, found, evidence.readings)


def _best_turn(page: NDArray[np.uint8], lines: Sequence[TextLine], detector: Detector, recognizer: Recognizer) -> int:
    """Quarter turns anticlockwise after which a page is read best.

    `lines` were detected on the page as it is, at half the resolution.
    """
    across = np.rot90(page)
    as_it_is = weigh(page, lines, recognizer)
    turned = weigh(across, detector.detect(across, detector.size // 2).lines, recognizer)
    if max(as_it_is.characters, turned.characters) < MIN_CHARACTERS or max(as_it_is.best, turned.best) < MIN_CONFIDENCE:
        as_it_is = weigh(page, detector.find(page).lines, recognizer)
        turned = weigh(across, detector.find(across).lines, recognizer)
    if turned.best > as_it_is.best + _few_gain(max(as_it_is.characters, turned.characters)):
        return 1 if turned.upright >= turned.upside_down else 3
    return 0 if as_it_is.upright + _few_gain(as_it_is.characters) >= as_it_is.upside_down else 2


def _few_gain(characters: int) -> float:
    """The gain that a turn of a page needs for having so few characters."""
    return FEW_GAIN * max(0.0, 1.0 - characters / MIN_CHARACTERS)


def weigh(
    page: NDArray[np.uint8],
    lines: Sequence[TextLine],
    recognizer: Recognizer,
    columns: int | None = PROBE_COLUMNS,
) -> Evidence:
    """Read the longest lines of a page as they are and upside down.

    The second reading is skipped, and its confidence 0, if the first is above the recogniser's `upright_threshold` and
    enough of it are letters that are none upside down. It is that of the longest line alone if this is clear.

    Parameters
    ----------
    page : uint8 (H, W)
    lines : sequence of TextLine
    recognizer : Recognizer
    columns : int, optional
        Number of columns that are read of each strip; None for all.
    """
    lengths = np.array([float(np.ptp(line.baseline[:, 0])) / line.ascender for line in lines])
    # Rows of noise are long for their height, but seldom certain.
    certain = np.array([line.confidence >= CERTAIN for line in lines], np.bool_)
    order = np.lexsort((lengths, certain))[::-1][:MAX_PROBES]
    needed = max(PROBES, int(np.searchsorted(np.cumsum(lengths[order]), PROBES_LENGTH)) + 1)
    longest = order[:needed][::-1].tolist()
    strips, outputs = _read(page, [lines[index] for index in longest], recognizer, columns)
    read = _characters(outputs, recognizer)
    if len(read) < MIN_CHARACTERS and needed < len(order):
        # The longest are rules, or what is left of them.
        more = order[needed:][::-1].tolist()
        others, more_outputs = _read(page, [lines[index] for index in more], recognizer, columns)
        longest, strips, outputs = more + longest, others + strips, more_outputs + outputs
        read = _characters(outputs, recognizer)
    readings = dict(zip(longest, outputs, strict=True))
    confidence = float(np.mean([character.confidence for character in read])) if read else 0.0
    letters = sum(character.text.isalpha() and character.text not in TURNABLE for character in read)
    if not strips or (confidence > recognizer.upright_threshold and 3 * letters > len(read)):
        return Evidence(_mean_confidence(read), 0.0, len(read), readings)
    over = [strip[::-1, ::-1][:, :PROBE_COLUMNS] for strip in strips]
    # The longest line alone, which is the last, mostly leaves no doubt.
    own = _characters(outputs[-1:], recognizer)
    turned = _characters(recognizer.log_probabilities(over[-1:]), recognizer)
    clear = len(own) >= MIN_CHARACTERS and _mean_confidence(own) > _mean_confidence(turned) + CLEAR_GAIN
    if not clear or 3 * letters <= len(read):
        turned = _characters(recognizer.log_probabilities(over[:-1]), recognizer) + turned
    return Evidence(
        _mean_confidence(read) + _digits_gain(read, turned),
        _mean_confidence(turned) + _digits_gain(turned, read),
        max(len(read), len(turned)),
        readings,
    )


def _read(
    page: NDArray[np.uint8], lines: Sequence[TextLine], recognizer: Recognizer, columns: int | None
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """The strips of lines, of at most so many columns, and their log probabilities."""
    frames = [frame(line.baseline, line.ascender, line.descender, recognizer.geometry) for line in lines]
    strips = [cut(page, each)[:, :columns] for each in frames]
    return strips, recognizer.log_probabilities(strips)


def _digits_gain(read: Sequence[Character], other: Sequence[Character]) -> float:
    """Return what the digits of a reading add to its confidence."""
    digits, letters = _digits_and_letters([each for each in read if each.text not in LIKE_DIGITS])
    other_digits, other_letters = _digits_and_letters(other)
    known = digits >= MIN_DIGITS and letters <= MAX_LETTERS * digits
    return DIGITS_GAIN if known and other_letters >= MIN_LETTERS * (other_digits + other_letters) > 0 else 0.0


def _digits_and_letters(read: Sequence[Character]) -> tuple[int, int]:
    return sum(each.text.isdigit() for each in read), sum(each.text.isalpha() for each in read)


def _characters(outputs: Sequence[NDArray[np.float32]], recognizer: Recognizer) -> list[Character]:
    """Characters of all strips by greedy decoding, without spaces."""
    return [character for each in outputs for character in recognizer.best_path(each) if character.text != " "]


def _mean_confidence(read: Sequence[Character]) -> float:
    """Mean confidence of characters, with the prior for few of them."""
    total = sum(character.confidence for character in read) + PRIOR_CHARACTERS * PRIOR_CONFIDENCE
    return total / (len(read) + PRIOR_CHARACTERS) if read else 0.0
