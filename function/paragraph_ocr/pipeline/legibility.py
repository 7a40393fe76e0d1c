"""Decide whether a page's text is likely to be right, or was read from a picture or from writing in another script.

The decision combines the mean confidence of the lines with the probability of their text under the language models.
The confidence of scribbles and of blurred print is low, and that of correct text is high. In between, text in poor
handwriting is probable, since it is decoded with the language models; letters of another script that resemble Latin
ones are not.

Measured: pages of scribbles and of blurred print had a confidence below 0.35, printed pages in Cyrillic, Greek, Arabic,
Armenian and Georgian letters one of 0.37 to 0.89, or of up to 0.95 where few of their letters were read, and pages of
names, codes, numbers and languages without a model one of 0.93 or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.language import Languages

# Confidence below which text is always illegible, and from which it is always legible.
ILLEGIBLE_CONFIDENCE, LEGIBLE_CONFIDENCE = 0.5, 0.9
# Between them, the required confidence rises by CONFIDENCE_SLOPE for each nat by which the mean log probability of a
# character is below PROBABLE_TEXT, and by more, in proportion, where fewer letters than those of Latin print were read.
PROBABLE_TEXT, CONFIDENCE_SLOPE = -1.6, 0.25
# With fewer letters and digits than this, the rise is reduced in proportion, since short codes and formulas are
# improbable, too.
MIN_CHARACTERS = 20
# Confidence of the detector from which a line is writing, in whatever script: that of noise, photos and drawings was
# 0.82 at most, and that of printed lines in five scripts 0.93 or more.
WRITING_CONFIDENCE = 0.9
# Such lines count if they are together at least so many ascender heights long; they are unread where they are longer
# than UNREAD_LENGTH for each character that was read from them. Most Latin print is at 0.7.
MIN_WRITING, UNREAD_LENGTH = 12.0, 8.0
# From so many on, letters in between were not read, and text is legible at a higher confidence only, whatever it says
# from MOSTLY_UNREAD_LENGTH on.
SPARSE_LENGTH, SPARSE_CONFIDENCE, MOSTLY_UNREAD_LENGTH = 1.2, 0.97, 2.0
# Factor of the confidence of what is read from a page that counts as illegible: hardly any of it is right.
ILLEGIBLE_FACTOR = 0.5
# Maximum number of lines whose probability is computed.
MAX_SAMPLED_LINES = 24


def is_text(lines: Sequence[Line], confidence: float, certain: bool) -> bool:
    """Whether lines have a letter or a digit that is probably right, or a high confidence.

    Photos are sometimes read as punctuation marks, or as a word of two letters.

    Parameters
    ----------
    lines : sequence of Line
    confidence : float
        Mean confidence of the lines.
    certain : bool
        Whether there is certainly writing on the page: a letter is text then, however doubtful.
    """
    if confidence >= LEGIBLE_CONFIDENCE:
        return True
    known = [sum(map(str.isalnum, line.text)) for line in lines]
    right = sum(line.confidence * count for line, count in zip(lines, known, strict=True))
    return any(known) and (certain or confidence >= ILLEGIBLE_CONFIDENCE or right >= 1)


def is_legible(lines: Sequence[Line], confidence: float, languages: Languages | None, length: float = 0.0) -> bool:
    """Whether the text of a page is likely to be right.

    Parameters
    ----------
    lines : sequence of Line
    confidence : float
        Mean confidence of the lines.
    languages : Languages or None
        Without them, the confidence alone decides.
    length : float
        As `length_per_character` returns it.
    """
    if length > UNREAD_LENGTH:
        return False
    if not lines or confidence >= (LEGIBLE_CONFIDENCE if length < SPARSE_LENGTH else SPARSE_CONFIDENCE):
        return True
    if confidence < ILLEGIBLE_CONFIDENCE or length >= MOSTLY_UNREAD_LENGTH:
        return False
    texts = [line.text for line in lines[:: -(-len(lines) // MAX_SAMPLED_LINES)]]
    known = sum(character.isalnum() for text in texts for character in text)
    if languages is None or not known:
        return True
    improbable = max(0.0, PROBABLE_TEXT - languages.mean_log_probability(texts)) * min(1.0, known / MIN_CHARACTERS)
    return confidence >= ILLEGIBLE_CONFIDENCE + CONFIDENCE_SLOPE * improbable * max(1.0, length / SPARSE_LENGTH)


def length_per_character(found: Sequence[TextLine], lines: Sequence[Line]) -> float:
    """Return the length in ascender heights of the lines that are certainly writing, per character read on the page.

    Parameters
    ----------
    found : sequence of TextLine
        As detected.
    lines : sequence of Line
        As read and accepted.

    Returns
    -------
    float
        0 where there is little certain writing; such a page is judged by what was read alone.
    """
    writing = sum(
        float(np.ptp(line.baseline[:, 0])) / line.ascender for line in found if line.confidence >= WRITING_CONFIDENCE
    )
    return writing / max(1, sum(len(line.text) for line in lines)) if writing >= MIN_WRITING else 0.0


def doubt(line: Line) -> Line:
    """Return a line of an illegible page, with the confidence of itself and its words reduced."""
    words = tuple(replace(word, confidence=ILLEGIBLE_FACTOR * word.confidence) for word in line.words)
    return replace(line, confidence=ILLEGIBLE_FACTOR * line.confidence, words=words)
