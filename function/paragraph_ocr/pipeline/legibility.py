"""Tell whether the text of a page is likely to be what stands on it, or what a picture or another script was taken for.

Two measures decide together: the mean confidence of the lines, and how probable the language models find their text.
The confidence of what is no text is low, and that of right text is high. In between, badly written text is read with
the language models' help, and is therefore probable; letters of another script that look like Latin ones are not.

Measured: printed pages in Cyrillic, Greek, Arabic and Armenian letters, of scribbles and of blurred print had a
confidence of 0.02 to 0.3, and pages of names, codes, numbers and languages without a model one of 0.8 or more.
"""

from __future__ import annotations

from collections.abc import Sequence

from paragraph_ocr.document import Line
from paragraph_ocr.pipeline.language import Languages

# Text of a lower confidence is not right, and text of a higher one is, whatever it says.
NEVER, ALWAYS = 0.6, 0.922
# Between them, the confidence that text needs grows by so much for each nat by which the log probability of a character
# falls below this one.
PROBABLE, SLOPE = -1.6, 0.14
# Fewer letters say less, each its share: codes and formulas are improbable, too.
ENOUGH_LETTERS = 20
# Lines whose text is looked at; a page's are alike.
SAMPLED_LINES = 24


def is_text(lines: Sequence[Line], confidence: float) -> bool:
    """Return whether lines hold a letter or a digit, or marks alone that are certain: a photo may seem to hold some."""
    return confidence >= ALWAYS or any(character.isalnum() for line in lines for character in line.text)


def is_legible(lines: Sequence[Line], confidence: float, languages: Languages | None) -> bool:
    """Whether the text of a page is likely to be what stands on it.

    Parameters
    ----------
    lines : sequence of Line
    confidence : float
        Mean confidence of the lines.
    languages : Languages or None
        Without them, the confidence alone decides.
    """
    if not lines or confidence >= ALWAYS:
        return True
    if confidence < NEVER:
        return False
    texts = [line.text for line in lines[:: -(-len(lines) // SAMPLED_LINES)]]
    letters = sum(character.isalpha() for text in texts for character in text)
    if languages is None or not letters:
        return True
    improbable = max(0.0, PROBABLE - languages.mean_log_probability(texts)) * min(1.0, letters / ENOUGH_LETTERS)
    return confidence >= NEVER + SLOPE * improbable
