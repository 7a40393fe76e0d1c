"""Character and word error rates."""

from __future__ import annotations

import unicodedata

from rapidfuzz.distance import Levenshtein

# Marks that the ground truth writes in another way.
PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "…": "..."})


def normalise_text(text: str) -> str:
    """Text as it is compared: NFC, straight quotation marks, an ellipsis as three full stops, single spaces.

    The ground truth writes curly quotation marks straight, so a reader that keeps them is not wrong, and nobody sees on
    paper whether dots are one character or three.
    """
    text = unicodedata.normalize("NFC", text).translate(PLAIN)
    return " ".join(text.split())


class ErrorRate:
    """Edits over the truth's length, summed over many lines or pages."""

    def __init__(self) -> None:
        self.edits = 0
        self.length = 0
        self.word_edits = 0
        self.words = 0

    def add(self, truth: str, reading: str) -> int:
        """Count one pair; returns its character edits."""
        truth, reading = normalise_text(truth), normalise_text(reading)
        edits = Levenshtein.distance(truth, reading)
        self.edits += edits
        self.length += len(truth)
        self.word_edits += Levenshtein.distance(truth.split(), reading.split())
        self.words += len(truth.split())
        return edits

    @property
    def characters(self) -> float:
        """Character error rate, 0 where nothing was added."""
        return self.edits / max(self.length, 1)

    @property
    def word(self) -> float:
        """Word error rate, 0 where nothing was added."""
        return self.word_edits / max(self.words, 1)
