"""Tell hyphens that only divide a word at the end of its line from those that belong to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from paragraph_ocr.document import Block, Line
from paragraph_ocr.pipeline.language import LanguageModel, Mixture

# What stands for a hyphen in print and in old handwriting.
HYPHENS = "-\u2010\u00ac=\u2e17"
# At ends of lines most hyphens divide: what a hyphen must be the likelier, as a natural logarithm, to be kept.
PREFERENCE = 2.0


def soft_hyphens(
    lines: Sequence[Line], blocks: Sequence[Block], language: LanguageModel | Mixture | None
) -> tuple[int, ...]:
    """Places of the lines whose last hyphen goes when the next line is joined to them.

    A hyphen before a capital stays, unless all is in capitals. Of others the language model says whether the word is
    likelier with the hyphen or without; without a model they go.

    Parameters
    ----------
    lines : sequence of Line
    blocks : sequence of Block
    language : LanguageModel, Mixture or None
        That of the page.
    """
    found = []
    for above, below in _neighbours(blocks):
        upper, lower = lines[above].text.split(), lines[below].text.split()
        if not upper or not lower:
            continue
        head, tail = upper[-1], lower[0]
        stem = head[:-1]
        if head[-1] not in HYPHENS or not stem[-1:].isalpha() or not tail[0].isalpha():
            continue
        if tail[0].isupper() and not stem.isupper():
            continue
        if head[-1] == "-" and language is not None:
            whole, parted = (_score(language, f"{stem}{sign}{tail}") for sign in ("", "-"))
            if parted > whole + PREFERENCE:
                continue
        found.append(above)
    return tuple(found)


def _neighbours(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """Lines that run on into the next."""
    for block in blocks:
        cells = [cell.lines for row in block.rows for cell in row]
        for indices in cells or block.items or [block.lines]:
            yield from pairwise(indices)


def _score(language: LanguageModel | Mixture, word: str) -> float:
    """Natural logarithm of the probability of a word between spaces; what the model does not know is left out."""
    index = {character: at for at, character in enumerate(language.charset)}
    state, total = language.start, 0.0
    for character in f" {word} ":
        if (at := index.get(character)) is not None:
            probability, state = language.step(state, at)
            total += probability
    return total
