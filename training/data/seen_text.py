"""Find the lines whose text a reader has seen in training, so that they can be left out of an evaluation.

The same sentence in another hand is still the same sentence, and volunteers who copy a text break its lines elsewhere:
texts are compared as runs of words, whatever lines these stand on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.evaluation.metrics import normalise_text

# Words in a row that two texts rarely share unless one was copied from the other.
RUN = 5
# Punctuation around words.
_MARKS = ".,;:!?\"'«»()-"


class SeenText:
    """The text that a reader was trained on.

    Parameters
    ----------
    lines : iterable of str
        In the order in which they stand on their pages.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        lines = [normalise_text(line) for line in lines]
        self.lines = set(lines)
        self.runs = set(_runs([word for line in lines for word in _words(line)]))

    def contains(self, lines: Sequence[str]) -> list[bool]:
        """Whether the text of each line was seen in training.

        A line was seen if it is a line of the text, or if half its words or more stand in runs of five words of the
        text, whatever lines these are on.

        Parameters
        ----------
        lines : sequence of str
            In the order in which they stand on their pages.

        Returns
        -------
        list of bool
        """
        words = [_words(line) for line in lines]
        seen = [False] * sum(map(len, words))
        for start, run in enumerate(_runs([word for each in words for word in each])):
            if run in self.runs:
                seen[start : start + RUN] = [True] * RUN
        contained = []
        end = 0
        for line, each in zip(lines, words, strict=True):
            start, end = end, end + len(each)
            contained.append(normalise_text(line) in self.lines or 0 < len(each) <= 2 * sum(seen[start:end]))
        return contained


def _words(line: str) -> list[str]:
    return [word.strip(_MARKS) for word in normalise_text(line).lower().split()]


def _runs(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)]
