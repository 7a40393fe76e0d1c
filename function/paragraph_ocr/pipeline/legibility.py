"""Decide whether a page's text is likely to be right, or was read from a picture or from writing in another script.

The decision combines the mean confidence of the lines with the probability of their text under the language models.
The confidence of scribbles and of blurred print is low, and that of correct text is high. In between, text in poor
handwriting is probable, since it is decoded with the language models; letters of another script that resemble Latin
ones are not.

Measured: pages of scribbles and of blurred print had a confidence below 0.35, printed pages in Cyrillic, Greek, Arabic,
Armenian and Georgian letters one of 0.37 to 0.89, and pages of names, codes, numbers and languages without a model one
of 0.93 or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.language import Languages

# Confidence below which text is always illegible, and from which it is always legible.
ILLEGIBLE_CONFIDENCE, LEGIBLE_CONFIDENCE = 0.5, 0.9
# Between them, the required confidence rises by CONFIDENCE_SLOPE for each nat by which the mean log probability of a
# character is below PROBABLE_TEXT.
PROBABLE_TEXT, CONFIDENCE_SLOPE = -1.6, 0.22
# With fewer letters than this, the rise is reduced in proportion, since short codes and formulas are improbable, too.
MIN_LETTERS = 20
# Factor of the confidence of what is read from a page that counts as illegible: hardly any of it is right.
ILLEGIBLE_FACTOR = 0.5
# Maximum number of lines whose probability is computed.
MAX_SAMPLED_LINES = 24


def is_text(lines: Sequence[Line], confidence: float) -> bool:
    """Whether lines have a letter or a digit, or a high confidence; photos are sometimes read as punctuation marks."""
    return confidence >= LEGIBLE_CONFIDENCE or any(character.isalnum() for line in lines for character in line.text)


def is_legible(lines: Sequence[Line], confidence: float, languages: Languages | None) -> bool:
    """Whether the text of a page is likely to be right.

    Parameters
    ----------
    lines : sequence of Line
    confidence : float
        Mean confidence of the lines.
    languages : Languages or None
        Without them, the confidence alone decides.
    """
    if not lines or confidence >= LEGIBLE_CONFIDENCE:
        return True
    if confidence < ILLEGIBLE_CONFIDENCE:
        return False
    texts = [line.text for line in lines[:: -(-len(lines) // MAX_SAMPLED_LINES)]]
    letters = sum(character.isalpha() for text in texts for character in text)
    if languages is None or not letters:
        return True
    improbable = max(0.0, PROBABLE_TEXT - languages.mean_log_probability(texts)) * min(1.0, letters / MIN_LETTERS)
    return confidence >= ILLEGIBLE_CONFIDENCE + CONFIDENCE_SLOPE * improbable


def doubt(line: Line) -> Line:
    """Return a line of an illegible page, with the confidence of itself and its words reduced."""
    words = tuple(replace(word, confidence=ILLEGIBLE_FACTOR * word.confidence) for word in line.words)
    return replace(line, confidence=ILLEGIBLE_FACTOR * line.confidence, words=words)
