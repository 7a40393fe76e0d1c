"""The lines that a reader was fitted on in; which other lines it may know by heart out.

The same sentence in another hand is still the same sentence, and volunteers who copy a text break its lines elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.evaluation.metrics import fold

# Words in a row that two texts rarely share unless one is the other's.
RUN = 5
# What may stand around a word.
_MARKS = ".,;:!?\"'«»()-"


class KnownText:
    """Text that a reader was fitted on.

    Parameters
    ----------
    lines : iterable of str
        In the order in which they stand on their pages.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        lines = [fold(line) for line in lines]
        self.lines = set(lines)
        self.runs = set(_runs([word for line in lines for word in _words(line)]))

    def knows(self, lines: Sequence[str]) -> list[bool]:
        """Of each of some lines, in their order, whether it is known.

        That is so where it is a line of the text, or where half its words or more stand in runs of five words of it,
        whatever lines these are on.
        """
        words = [_words(line) for line in lines]
        known = [False] * sum(map(len, words))
        for start, run in enumerate(_runs([word for each in words for word in each])):
            if run in self.runs:
                known[start : start + RUN] = [True] * RUN
        answers = []
        end = 0
        for line, each in zip(lines, words, strict=True):
            start, end = end, end + len(each)
            answers.append(fold(line) in self.lines or 0 < len(each) <= 2 * sum(known[start:end]))
        return answers


def _words(line: str) -> list[str]:
    return [word.strip(_MARKS) for word in fold(line).lower().split()]


def _runs(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)]
