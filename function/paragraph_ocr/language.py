"""A table of character contexts in; how likely each next character is after a text out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import ModelError, read_verified

# What stands before a line's first character and after its last.
EDGE = "\n"
# Steps that are kept in mind, at about 200 bytes each.
REMEMBERED = 30_000


@dataclass(frozen=True)
class Table:
    """What a character n-gram model knows: a tree, where a context branches from what it is without its last character.

    The empty context is the first; then come those of one character, of two, and so on, each length sorted by the
    characters. With each context, what it begins with and what it ends in are there too. Costs are negative log
    probabilities in steps of 1 / `scale` nats.

    Attributes
    ----------
    charset : str
        The characters that it knows; `EDGE` counts as one more, the last.
    characters : uint8 (contexts,)
        Index in the charset of each context's last character.
    longer : uint32 (contexts + 1,)
        Where the contexts begin that are one character longer than each.
    shorter : uint32 (contexts,)
        Each without its first character.
    backoff : uint8 (contexts,)
        Added to the cost after the next shorter context, for a character that a context has none for.
    starts : uint32 (contexts + 1,)
        Where the characters that follow each context begin in `followers` and `costs`.
    followers : uint8 (entries,)
        Index in the charset of a character seen after a context; the empty context has all.
    costs : uint8 (entries,)
    scale : float
    """

    charset: str
    characters: NDArray[np.uint8]
    longer: NDArray[np.uint32]
    shorter: NDArray[np.uint32]
    backoff: NDArray[np.uint8]
    starts: NDArray[np.uint32]
    followers: NDArray[np.uint8]
    costs: NDArray[np.uint8]
    scale: float

    def save(self, path: Path) -> None:
        """Write the table, uncompressed, so that it loads at once."""
        np.savez(path, **vars(self))


@dataclass(frozen=True)
class Search:
    """How `ctc.beam_search` weighs and prunes.

    Attributes
    ----------
    width : int
        Prefixes that are kept at each step.
    weight : float
        Power of the language model's probability beside the recogniser's.
    bonus : float
        Natural logarithm of a factor for every character, against the language model's liking for short texts.
    floor : float
        What is less probable than this, beside the best prefix, is dropped, and no prefix is made longer by it.
    sure : float
        Steps whose blank has a higher probability are taken as blank.
    """

    width: int
    weight: float
    bonus: float
    floor: float
    sure: float


class LanguageModel:
    """A character n-gram model with backoff (Katz 1987) whose contexts are as long as they are worth.

    Parameters
    ----------
    table : Table
    search : Search
        How it is to be used.

    Attributes
    ----------
    charset : str
    search : Search
    start : int
        The state at the beginning of a line.
    step : callable
        `log_probability` and `after` of a state and a character, remembered: the prefixes of a page share most states.
    """

    def __init__(self, table: Table, search: Search) -> None:
        self.charset = table.charset
        self.search = search
        # Bytes are searched and indexed many times faster than arrays, one at a time.
        self._characters = table.characters.tobytes()
        self._longer, self._shorter = table.longer.data, table.shorter.data
        self._backoff = table.backoff.tobytes()
        self._starts = table.starts.data
        self._followers = table.followers.tobytes()
        self._costs = table.costs.tobytes()
        self._nats = 1 / table.scale
        self.start = self.after(0, len(self.charset))
        self.step = lru_cache(REMEMBERED)(lambda state, at: (self.log_probability(state, at), self.after(state, at)))

    @classmethod
    def load(cls, path: Path) -> LanguageModel:
        """The model in a file that `Table.save` wrote, used as the card beside it says.

        Raises
        ------
        ModelError
            The file or its card is missing, the file's hash is not the card's, or it holds something else.
        """
        try:
            card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            sha256, search = card["sha256"], Search(**card["search"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path.with_suffix('.json')} is no card of a language model: {error!r}") from error
        try:
            with np.load(BytesIO(read_verified(path, sha256))) as content:
                arrays = {name: content[name] for name in content.files}
            charset, scale = str(arrays.pop("charset")), float(arrays.pop("scale"))
            table = Table(charset=charset, scale=scale, **arrays)
        except (ValueError, KeyError, TypeError, BadZipFile) as error:
            raise ModelError(
                f"{path} is no language model of this version: {error!r}. Fit it anew: python -m training.language"
            ) from error
        return cls(table, search)

    def log_probability(self, state: int, character: int) -> float:
        """Natural logarithm of the probability of a character, by its index, in a state."""
        cost = 0
        while True:
            at = self._followers.find(character, self._starts[state], self._starts[state + 1])
            if at >= 0:
                return -(cost + self._costs[at]) * self._nats
            cost += self._backoff[state]
            state = self._shorter[state]

    def after(self, state: int, character: int) -> int:
        """The state that a character, by its index, leads to: the longest known context that the text then ends in."""
        while True:
            at = self._characters.find(character, self._longer[state], self._longer[state + 1])
            if at >= 0 or state == 0:
                return max(at, 0)
            state = self._shorter[state]
