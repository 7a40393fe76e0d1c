"""A table of character contexts in; how likely each next character is after a text out."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from os import SEEK_CUR
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import ModelError, read_verified

# What stands before a line's first character and after its last.
EDGE = "\n"
# The code of the model of all languages that have none of their own.
OTHERS = "xx"
# Steps that are kept in mind, at about 200 bytes each.
REMEMBERED = 30_000
# Natural logarithm of the probability of a character that a model does not know.
UNKNOWN = -14.0
# What a character counts at least when languages are told apart: an error is no evidence against one.
WORST = -7.0
# Characters stand in each other's context, so that each says less than if it stood alone.
CAUTION = 0.35
# A page is read with at most so many languages, of which each has at least this probability.
MIXED, DOUBT = 2, 0.02
ARRAYS = ("characters", "longer", "shorter", "backoff", "starts", "followers", "costs")
BYTES = [bytes([value]) for value in range(256)]
# By name: a buffer, where the array begins in it and how many bytes it takes.
Arrays = dict[str, tuple[bytes | mmap.mmap, int, int]]


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
    other_case : float
        Share of the probability of a letter in the other case that counts for one that begins a word: prose says little
        about the capitals of forms, lists and tables, which the picture shows.
    """

    width: int
    weight: float
    bonus: float
    floor: float
    sure: float
    other_case: float = 0.0


class LanguageModel:
    """A character n-gram model with backoff (Katz 1987) whose contexts are as long as they are worth.

    Parameters
    ----------
    table : Table or mapping of str to (buffer, offset, count)
        The arrays of a table, or where each lies in a buffer that has bytes' `find`, such as a memory map.
    charset : str
        The characters of the table.
    search : Search
        How it is to be used.
    reader_charset : str, optional
        The characters by whose index it is asked, where they are others than the table's. Those that the table lacks
        are all equally unlikely, and after them the model begins anew.
    scale : float
        Steps of a cost in a nat.

    Attributes
    ----------
    charset : str
        The characters by whose index it is asked.
    search : Search
    start : int
        The state at the beginning of a line.
    step : callable
        `log_probability` and `after` of a state and a character, remembered: the prefixes of a page share most states.
    """

    def __init__(
        self,
        table: Table | Arrays,
        search: Search,
        charset: str | None = None,
        reader_charset: str | None = None,
        scale: float | None = None,
    ) -> None:
        if isinstance(table, Table):
            charset, scale = table.charset, table.scale
            arrays: Arrays = {}
            for name in ARRAYS:
                content = np.ascontiguousarray(getattr(table, name)).tobytes()
                arrays[name] = (content, 0, len(content))
        else:
            arrays = table
        if charset is None or scale is None:
            raise ValueError("arrays need their charset and scale")
        self.charset = charset if reader_charset is None else reader_charset
        self.search = search
        self._characters, self._first, _ = arrays["characters"]
        self._followers, self._entry, _ = arrays["followers"]
        self._longer, self._shorter, self._starts = (_numbers(arrays[name]) for name in ("longer", "shorter", "starts"))
        self._backoff, self._costs = (_view(arrays[name]) for name in ("backoff", "costs"))
        self._nats = 1 / scale
        edge = len(charset)
        places = {character: at for at, character in enumerate(charset)}
        self._places = [places.get(character, -1) for character in self.charset] + [edge]
        indices = {character: at for at, character in enumerate(self.charset)}
        self._other_case = [indices.get(character.swapcase(), at) for at, character in enumerate(self.charset)]
        self._begins_word = [not character.isalnum() for character in charset] + [True]
        self.start = self.after(0, len(self.charset))
        self.step = lru_cache(REMEMBERED)(lambda state, at: (self._score(state, at), self.after(state, at)))

    def _score(self, state: int, character: int) -> float:
        """`log_probability`, with the share of the other case where a word begins."""
        own = self.log_probability(state, character)
        share = self.search.other_case
        if not share or character >= len(self._other_case) or (other := self._other_case[character]) == character:
            return own
        if not self._begins_word[self._characters[self._first + state]]:
            return own
        return log(exp(own) + share * exp(self.log_probability(state, other)))

    def log_probability(self, state: int, character: int) -> float:
        """Natural logarithm of the probability of a character, by its index, in a state."""
        place = self._places[character]
        if place < 0:
            return UNKNOWN
        sought, cost = BYTES[place], 0
        followers, entry, starts = self._followers, self._entry, self._starts
        while True:
            at = followers.find(sought, entry + starts[state], entry + starts[state + 1])
            if at >= 0:
                return -(cost + self._costs[at - entry]) * self._nats
            cost += self._backoff[state]
            state = self._shorter[state]

    def after(self, state: int, character: int) -> int:
        """The state that a character, by its index, leads to: the longest known context that the text then ends in."""
        place = self._places[character]
        if place < 0:
            return 0
        sought, first, longer = BYTES[place], self._first, self._longer
        while True:
            at = self._characters.find(sought, first + longer[state], first + longer[state + 1])
            if at >= 0 or state == 0:
                return max(at - first, 0)
            state = self._shorter[state]


class Mixture:
    """Several models of one charset, the probability of a character being the weighted mean of theirs.

    Parameters
    ----------
    models : sequence of LanguageModel
    weights : sequence of float
        Positive; their sum is 1.
    """

    def __init__(self, models: Sequence[LanguageModel], weights: Sequence[float]) -> None:
        self.charset, self.search = models[0].charset, models[0].search
        self._models, self._weights = tuple(models), tuple(weights)
        self.start: tuple[int, ...] = tuple(model.start for model in models)
        self.step = lru_cache(REMEMBERED)(self._step)

    def _step(self, state: tuple[int, ...], character: int) -> tuple[float, tuple[int, ...]]:
        steps = [model.step(own, character) for model, own in zip(self._models, state, strict=True)]
        total = sum(weight * exp(score) for weight, (score, _) in zip(self._weights, steps, strict=True))
        return log(total), tuple(own for _, own in steps)

    def log_probability(self, state: tuple[int, ...], character: int) -> float:
        """Natural logarithm of the probability of a character, by its index, in a state."""
        return self.step(state, character)[0]

    def after(self, state: tuple[int, ...], character: int) -> tuple[int, ...]:
        """The state that a character, by its index, leads to."""
        return self.step(state, character)[1]


class Languages:
    """The language models of a reader, and which of them a page is read with.

    Parameters
    ----------
    models : mapping of str to LanguageModel
        By the code of the language, ISO 639-1; ``xx`` is that of all other languages.
    """

    def __init__(self, models: Mapping[str, LanguageModel]) -> None:
        self.models = dict(models)
        first = next(iter(models.values()))
        self.charset, self.search = first.charset, first.search

    @classmethod
    def load(cls, path: Path, charset: str | None = None) -> Languages:
        """The models in a file that `save` wrote, used as the card beside it says, memory-mapped.

        Parameters
        ----------
        path : Path
        charset : str, optional
            The characters by whose index the models are asked; the card's where it is left out.

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
        read_verified(path, sha256)
        try:
            content = _map(path)
            settings = card["languages"]
            models = {
                language: LanguageModel(
                    {name: content[f"{language}.{name}"] for name in ARRAYS},
                    search,
                    own["charset"],
                    charset or card["charset"],
                    float(own["scale"]),
                )
                for language, own in settings.items()
            }
            return cls(models)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration, IndexError, BadZipFile) as error:
            raise ModelError(
                f"{path} is no language model of this version: {error!r}; "
                "fit it anew with python -m training.tasks.language"
            ) from error

    def identify(self, texts: Sequence[str]) -> dict[str, float]:
        """How likely a page is in each language, by what its lines seem to say.

        Parameters
        ----------
        texts : sequence of str
            Lines as the recogniser reads them by itself; errors among them do no harm.
        """
        index = {character: at for at, character in enumerate(self.charset)}
        scores = {}
        for language, model in self.models.items():
            total = 0.0
            for text in texts:
                state = model.start
                for character in text:
                    if (at := index.get(character)) is None:
                        continue
                    probability, state = model.step(state, at)
                    total += max(probability, WORST)
            scores[language] = CAUTION * total
        best = max(scores.values())
        weights = {language: exp(score - best) for language, score in scores.items()}
        total = sum(weights.values())
        return {language: weight / total for language, weight in weights.items()}

    def given(self, codes: Sequence[str]) -> dict[str, float]:
        """Equal weights of the languages that somebody names, ISO 639-1; those without a model count as `OTHERS`."""
        return dict.fromkeys((code if code in self.models else OTHERS for code in codes), 1.0)

    def model(self, likely: Mapping[str, float]) -> LanguageModel | Mixture:
        """The model for a page, of its likeliest languages: their mixture, or one alone that leaves no doubt."""
        ranked = sorted(likely.items(), key=lambda item: item[1], reverse=True)[:MIXED]
        chosen = [(language, weight) for language, weight in ranked if weight >= DOUBT]
        if len(chosen) < 2:
            return self.models[ranked[0][0]]
        total = sum(weight for _, weight in chosen)
        return Mixture([self.models[language] for language, _ in chosen], [weight / total for _, weight in chosen])


def save(tables: Mapping[str, Table], path: Path) -> dict[str, Any]:
    """Write tables to an uncompressed npz, and give what its card says of each language."""
    np.savez(
        path, **{f"{language}.{name}": getattr(table, name) for language, table in tables.items() for name in ARRAYS}
    )
    return {
        language: {"charset": table.charset, "scale": table.scale, "contexts": len(table.characters)}
        for language, table in tables.items()
    }


def _map(path: Path) -> Arrays:
    """Where each array of an uncompressed npz lies in a memory map of the file."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays: Arrays = {}
    with ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            if member.compress_type != ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed")
            file.seek(member.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            file.seek(name + extra, SEEK_CUR)
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError(f"{member.filename} is of another version of NumPy's format")
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            arrays[member.filename.removesuffix(".npy")] = (content, file.tell(), int(np.prod(shape)) * kind.itemsize)
    return arrays


def _view(array: tuple[bytes | mmap.mmap, int, int]) -> memoryview:
    content, offset, size = array
    return memoryview(content)[offset : offset + size]


def _numbers(array: tuple[bytes | mmap.mmap, int, int]) -> memoryview:
    return _view(array).cast("I")
