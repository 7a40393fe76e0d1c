"""Find hyphens that divide a word at the end of a line and are not part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from paragraph_ocr.document import Block, Line
from paragraph_ocr.pipeline.language import LanguageModel, Mixture

# Characters that are hyphens in print and in historical handwriting.
HYPHENS = "-\u2010\u00ac=\u2e17"
# Most hyphens at ends of lines divide a word. One is kept only if it raises the log probability of the word by this.
MIN_GAIN = 2.0


def soft_hyphens(
    lines: Sequence[Line], blocks: Sequence[Block], language: LanguageModel | Mixture | None
) -> tuple[int, ...]:
    """Return the indices of the lines whose final hyphen is removed when the next line is joined to them.

    A hyphen before a capital letter is kept, unless the whole word is in capitals. Others are kept if the word is much
    more probable with the hyphen; without a language model, they are removed.

    Parameters
    ----------
    lines : sequence of Line
    blocks : sequence of Block
    language : LanguageModel, Mixture or None
        The page's language model.
    """
    removed = []
    for above, below in _neighbours(blocks):
        upper, lower = lines[above].text.split(), lines[below].text.split()
        if not upper or not lower:
            continue
        head, tail = upper[-1], lower[0]
        first_part = head[:-1]
        if head[-1] not in HYPHENS or not first_part[-1:].isalpha() or not tail[0].isalpha():
            continue
        if tail[0].isupper() and not first_part.isupper():
            continue
        if head[-1] == "-" and language is not None:
            joined, hyphenated = (_score(language, f"{first_part}{sign}{tail}") for sign in ("", "-"))
            if hyphenated > joined + MIN_GAIN:
                continue
        removed.append(above)
    return tuple(removed)


def _neighbours(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """Yield pairs of consecutive lines of the same text."""
    for block in blocks:
        cells = [cell.lines for row in block.rows for cell in row]
        for indices in cells or block.items or [block.lines]:
            yield from pairwise(indices)


def _score(language: LanguageModel | Mixture, word: str) -> float:
    """Return the log probability of a word between spaces; characters that the model lacks are skipped."""
    index = {character: at for at, character in enumerate(language.charset)}
    state, total = language.start, 0.0
    for character in f" {word} ":
        if (at := index.get(character)) is not None:
            probability, state = language.step(state, at)
            total += probability
    return total
