"""Character n-gram language models: the probability of the next character after a text, and the language of a page."""

from __future__ import annotations

import json
import mmap
import struct
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import exp, log
from os import SEEK_CUR
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import ModelError, read_verified

# The symbol before the first character of a line and after its last.
EDGE = "\n"
# The code of the model for all languages without their own.
OTHERS = "xx"
# The code of the model of records: cells of tables, forms and receipts, which are no sentences of a language.
# In ISO 639-2 it stands for content that is not linguistic.
RECORDS = "zxx"
# The name of the model of the texts that a model set was adapted to.
OWN = "own"
# A model of fewer contexts was fitted on lists and a short text, and lacks many words; those of prose have 140,000.
FEW_CONTEXTS = 60_000
# Cached steps, at about 200 bytes each.
CACHE_SIZE = 30_000
# Log probability of a character that a model lacks.
UNKNOWN = -14.0
# Lower bound of a character's log probability in identification, so that a recognition error rules out no language.
MIN_LOG_PROBABILITY = -7.0
# Weight of each character's evidence in identification, since neighbouring characters are not independent.
EVIDENCE_WEIGHT = 0.35
# Members of `OTHERS` are compared on so many characters of a page, and those at least so probable on all of it.
SAMPLE_CHARACTERS, MIN_SAMPLE_PROBABILITY = 400, 1e-3
# Languages are compared on all of a page if they are at least so probable on about so many characters of it.
FIRST_CHARACTERS, MIN_FIRST_PROBABILITY = 200, 1e-7
# Maximum number of languages with which a page is read, and minimum probability of each.
MAX_LANGUAGES, MIN_PROBABILITY = 2, 0.02
# Weight of the most probable language for the letters beyond ASCII on a page of records, whose model knows few words of
# each language: without it, these are read as others. For all other characters, which codes consist of, it has none.
LETTERS_SHARE = 0.1
# Least weight of a language that is known.
SMALLEST_WEIGHT = 1e-100
# Texts often lack the accents of capitals, which the writing has: an accented capital has so much of the probability of
# the one without, if the search counts other cases.
UNACCENTED_SHARE = 0.6
# Ligatures, of which the texts have few as capitals, and the letter that they begin with.
LIGATURES = {"Œ": "O", "Æ": "A"}
# Letters without a canonical decomposition that look like another.
BASES = dict(zip("łŁøØđĐħĦŧŦıðÐþÞəƏŋŊ", "lLoOdDhHtTidDpPeEnN", strict=True))
ARRAYS = ("characters", "longer", "shorter", "backoff", "starts", "followers", "costs")
# Arrays of a table that the file has as numbers of children and of entries, a byte a context; and their first values.
COUNTED = {"longer": 1, "starts": 0}
BYTES = [bytes([value]) for value in range(256)]
# The buffer of each array, its offset in the buffer, and its size in bytes, by the array's name.
Arrays = dict[str, tuple[bytes | mmap.mmap, int, int]]


@dataclass(frozen=True)
class Table:
    """The parameters of a character n-gram model: a tree whose nodes are contexts.

    A context is a child of the context without its last character. The contexts are in breadth-first order, from the
    empty one, and those of one length are sorted by their characters. All prefixes and suffixes of a context are
    contexts, too. Costs are negative log probabilities in units of 1 / `scale` nats.

    Attributes
    ----------
    charset : str
        Characters of the model; `EDGE` has the index after the last.
    characters : uint8 (contexts,)
        Index in the charset of each context's last character.
    longer : uint32 (contexts + 1,)
        Index of each context's first child.
    shorter : uint32 (contexts,)
        Index of each context without its first character.
    backoff : uint8 (contexts,)
        Added to the cost in the next shorter context, for a character without an entry in this one.
    starts : uint32 (contexts + 1,)
        Index in `followers` and `costs` of each context's first entry.
    followers : uint8 (entries,)
        Index in the charset of a character after a context; the empty context has all characters.
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
    """Parameters of `ctc.beam_search`.

    Attributes
    ----------
    width : int
        Maximum number of prefixes at each time step.
    weight : float
        Exponent of the language model's probability.
    bonus : float
        Log of a factor for each character, which offsets the language model's preference for short texts.
    floor : float
        Prefixes less probable than this, relative to the best one, are dropped; less probable classes are not tried.
    sure : float
        Time steps at which the blank has a higher probability count as blank.
    other_case : float
        Share of the probability of the same letter in the other case that is added at the beginning of a word, since
        prose has fewer capitals than forms, lists and tables; and of the letter without its accent that is added to an
        accented capital, since print often leaves such accents out.
    least : float
        Added to the language model's probability of every digit and sign: the texts that it was fitted on have few of
        some signs and no codes, so that it does not know how improbable these are.
    after_figure : float
        Added to the probability of every character after a figure: what units, ordinals and codes go on with.
    """

    width: int
    weight: float
    bonus: float
    floor: float
    sure: float
    other_case: float = 0.0
    least: float = 0.0
    after_figure: float = 0.0


class LanguageModel:
    """A character n-gram model with backoff (Katz 1987) and contexts of variable length.

    Parameters
    ----------
    table : Table or mapping of str to (buffer, offset, size)
        A table, or the location of its arrays in buffers with the method `find`, such as memory maps.
    search : Search
        Parameters of the beam search with this model.
    charset : str, optional
        The characters of the table, if it is given as buffers.
    reader_charset : str, optional
        The characters that the indices of the methods refer to, if other than the table's. Characters that the table
        lacks have the probability `UNKNOWN`, and reset the context.
    scale : float, optional
        Units of a cost per nat, if the table is given as buffers.
    accents : mapping of str to float, optional
        Of each accented letter of the language, the logarithm of how many times as frequent it is as the letter without
        the accent. The model itself does not say: without a context it has the letters' diversity of contexts.

    Attributes
    ----------
    charset : str
        The characters that the indices of the methods refer to.
    search : Search
    start : int
        The state at the beginning of a line.
    step : callable
        Returns the log probability of a character in a state, and the next state; cached, since the prefixes of a page
        share most states.
    """

    def __init__(
        self,
        table: Table | Arrays,
        search: Search,
        charset: str | None = None,
        reader_charset: str | None = None,
        scale: float | None = None,
        accents: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.accents = accents
        if isinstance(table, Table):
            charset, scale = table.charset, table.scale
            arrays: Arrays = {}
            for name, array in stored(table).items():
                content = array.tobytes()
                arrays[name] = (content, 0, len(content))
        else:
            arrays = table
        if charset is None or scale is None:
            raise ValueError("arrays need their charset and scale")
        self.charset = charset if reader_charset is None else reader_charset
        self.search = search
        self._characters, self._first, _ = arrays["characters"]
        self._followers, self._entry, _ = arrays["followers"]
        self._arrays = arrays
        self._shorter = _view(arrays["shorter"]).cast("I")
        self._backoff, self._costs = (_view(arrays[name]) for name in ("backoff", "costs"))
        self._nats = 1 / scale
        edge = len(charset)
        places = {character: at for at, character in enumerate(charset)}
        self._places = [places.get(character, -1) for character in self.charset] + [edge]
        indices = {character: at for at, character in enumerate(self.charset)}
        # For each character the same one without its accent, and in the other case; -1 if there is none.
        self._unaccented, self._other_case = [-1] * (len(self.charset) + 1), [-1] * (len(self.charset) + 1)
        for at, character in enumerate(self.charset):
            unaccented = indices.get(_without_accent(character), at)
            other = indices.get(character.swapcase(), at)
            self._unaccented[at] = unaccented if unaccented != at else -1
            self._other_case[at] = other if other not in (at, unaccented) else -1
        self._begins_word = [not character.isalnum() for character in charset] + [True]
        self.step = lru_cache(CACHE_SIZE)(self._step)

    @property
    def is_small(self) -> bool:
        """Whether it was fitted on so little text that it lacks many words of its language."""
        return self._arrays["characters"][2] < FEW_CONTEXTS

    # Most pages need few of the languages: these are computed when a model is first used.
    @cached_property
    def _longer(self) -> memoryview:
        return _indices(self._arrays, "longer")

    @cached_property
    def _starts(self) -> memoryview:
        return _indices(self._arrays, "starts")

    @cached_property
    def start(self) -> int:
        return self.after(0, len(self.charset))

    def _step(self, state: int, character: int) -> tuple[float, int]:
        """Return the log probability of a character, with the shares of other letters, and the next state."""
        place, own = self._places[character], UNKNOWN
        after, content = 0, self._followers
        if place >= 0:
            # What `log_probability` and `after` return; in one, since most of the time of the search is spent here.
            wanted, cost, at_state = BYTES[place], 0, state
            entry, starts = self._entry, self._starts
            while (at := content.find(wanted, entry + starts[at_state], entry + starts[at_state + 1])) < 0:
                cost += self._backoff[at_state]
                at_state = self._shorter[at_state]
            own = -(cost + self._costs[at - entry]) * self._nats
            content, first, longer, at_state = self._characters, self._first, self._longer, state
            while (at := content.find(wanted, first + longer[at_state], first + longer[at_state + 1])) < 0 and at_state:
                at_state = self._shorter[at_state]
            after = max(at - first, 0)
        share = self.search.other_case
        if not share:
            return own, after
        unaccented, other = self._unaccented[character], self._other_case[character]
        more = 0.0
        if unaccented >= 0:
            more += max(share, UNACCENTED_SHARE) * exp(self.log_probability(state, unaccented))
        if other >= 0 and self._begins_word[self._characters[self._first + state]]:
            more += share * exp(self.log_probability(state, other))
        return log(exp(own) + more) if more else own, after

    def log_probability(self, state: int, character: int) -> float:
        """Natural logarithm of the probability of a character, by its index, in a state."""
        place = self._places[character]
        if place < 0:
            return UNKNOWN
        wanted, cost = BYTES[place], 0
        followers, entry, starts = self._followers, self._entry, self._starts
        while True:
            at = followers.find(wanted, entry + starts[state], entry + starts[state + 1])
            if at >= 0:
                return -(cost + self._costs[at - entry]) * self._nats
            cost += self._backoff[state]
            state = self._shorter[state]

    def after(self, state: int, character: int) -> int:
        """Return the state after a character, by its index: the longest context that the text then ends in."""
        place = self._places[character]
        if place < 0:
            return 0
        wanted, first, longer = BYTES[place], self._first, self._longer
        while True:
            at = self._characters.find(wanted, first + longer[state], first + longer[state + 1])
            if at >= 0 or state == 0:
                return max(at - first, 0)
            state = self._shorter[state]


class Mixture:
    """A mixture of models with one charset: the probability of a character is the weighted mean of theirs.

    Parameters
    ----------
    models : sequence of LanguageModel
    weights : sequence of float
        Positive, with a sum of 1.
    special_only : bool
        Whether characters other than letters beyond ASCII have the probability of the first model.
    """

    def __init__(
        self, models: Sequence[LanguageModel], weights: Sequence[float], *, special_only: bool = False
    ) -> None:
        self.charset, self.search = models[0].charset, models[0].search
        self._models, self._weights = tuple(models), tuple(weights)
        self._mixed = [
            not special_only or (character.isalpha() and not character.isascii()) for character in [*self.charset, EDGE]
        ]
        self.start: tuple[int, ...] = tuple(model.start for model in models)
        self.step = lru_cache(CACHE_SIZE)(self._step)

    @property
    def is_small(self) -> bool:
        """As that of a model, of the one with most weight."""
        return self._models[0].is_small

    @cached_property
    def accents(self) -> dict[str, float]:
        """As those of a model, of all that have some."""
        having = [(model, weight) for model, weight in zip(self._models, self._weights, strict=True) if model.accents]
        shares: dict[str, float] = {}
        for model, weight in having:
            for letter, ratio in model.accents.items():
                shares[letter] = shares.get(letter, 0.0) + weight * exp(ratio)
        total = sum(weight for _, weight in having)
        return {letter: log(share / total) for letter, share in shares.items()}

    def _step(self, state: tuple[int, ...], character: int) -> tuple[float, tuple[int, ...]]:
        steps = [model.step(own, character) for model, own in zip(self._models, state, strict=True)]
        after = tuple(own for _, own in steps)
        if not self._mixed[character]:
            return steps[0][0], after
        return log(sum(weight * exp(score) for weight, (score, _) in zip(self._weights, steps, strict=True))), after

    def log_probability(self, state: tuple[int, ...], character: int) -> float:
        """Natural logarithm of the probability of a character, by its index, in a state."""
        return self.step(state, character)[0]

    def after(self, state: tuple[int, ...], character: int) -> tuple[int, ...]:
        """Return the state after a character, by its index."""
        return self.step(state, character)[1]


class Languages:
    """The language models of a reader, and the choice among them for a page.

    Parameters
    ----------
    models : mapping of str to LanguageModel
        By the code of the language, ISO 639-1; ``xx`` is the model for all other languages, and ``zxx`` that of records
        such as tables and receipts.
    own : LanguageModel, optional
        Of the texts that a model set was adapted to; it is mixed into the model of every page.
    own_share : float
        Weight of `own` in the mixture, from 0 to 1.
    members : collection of str
        Codes of the languages that `xx` was fitted on, too. Only where `xx` is probable are they compared, so that
        their number costs other pages no time.
    """

    def __init__(
        self,
        models: Mapping[str, LanguageModel],
        own: LanguageModel | None = None,
        own_share: float = 0.0,
        members: Collection[str] = (),
    ) -> None:
        self.models = dict(models)
        self.own, self.own_share = own, own_share
        self.members = frozenset(members)
        self._first = [language for language in self.models if language not in self.members]
        first = next(iter(models.values()))
        self.charset, self.search = first.charset, first.search

    @classmethod
    def load(cls, path: Path, charset: str | None = None, own: bool = True) -> Languages:
        """Load a file that `save` wrote as memory maps, with the settings of the card beside it.

        Parameters
        ----------
        path : Path
        charset : str, optional
            The reader's charset; the card's by default.
        own : bool
            Whether to load the model of the texts that the set was adapted to, if there is one.

        Raises
        ------
        ModelError
            The file or its card is missing or invalid, or the hashes differ.
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
                    entry["charset"],
                    charset or card["charset"],
                    float(entry["scale"]),
                    {letter: float(ratio) for letter, ratio in entry.get("accents", {}).items()},
                )
                for language, entry in settings.items()
            }
            adapted = models.pop(OWN, None)
            share = float(settings[OWN]["share"]) if adapted and own else 0.0
            members = [language for language, entry in settings.items() if entry.get("group") == OTHERS]
            return cls(models, adapted if own else None, share, members)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration, IndexError, BadZipFile) as error:
            raise ModelError(
                f"{path} is no language model of this version: {error!r}; "
                "fit it anew with python -m training.tasks.language"
            ) from error

    def identify(self, texts: Sequence[str]) -> dict[str, float]:
        """Identify the language of a page.

        Parameters
        ----------
        texts : sequence of str
            Lines as decoded without a language model; they may contain errors.

        Returns
        -------
        dict of str to float
            Probability of each language.
        """
        probable = _shares(self._first_evidence(texts))
        if self.members and probable.get(OTHERS, 0.0) >= MIN_PROBABILITY:
            likely = [language for language, share in probable.items() if share >= MIN_PROBABILITY]
            step = 1 + sum(map(len, texts)) // SAMPLE_CHARACTERS
            sampled = self._identify(texts[::step], sorted(self.members))
            close = [language for language, share in sampled.items() if share >= MIN_SAMPLE_PROBABILITY]
            probable = self._identify(texts, [*likely, *close])
        return dict.fromkeys(self.models, 0.0) | probable

    def _first_evidence(self, texts: Sequence[str]) -> dict[str, float]:
        """Return what `_evidence` does for the languages compared first, but for those that a part of it rules out.

        That part is a sample of lines from all over the page, where it is long.
        """
        step = sum(map(len, texts)) // FIRST_CHARACTERS
        if step < 2:
            return self._evidence(texts, self._first)
        sampled = self._evidence(texts[::step], self._first)
        likely = [language for language, share in _shares(sampled).items() if share >= MIN_FIRST_PROBABILITY]
        rest = self._evidence([text for index, text in enumerate(texts) if index % step], likely)
        return {language: sampled[language] + rest[language] for language in likely}

    def _identify(self, texts: Sequence[str], among: Iterable[str]) -> dict[str, float]:
        """Return the probability of each of some languages."""
        return _shares(self._evidence(texts, among))

    def mean_log_probability(self, texts: Sequence[str]) -> float:
        """Return the mean log probability of a character of lines in the language in which they are most probable."""
        known = frozenset(self.charset)
        characters = sum(character in known for text in texts for character in text)
        return max(self._evidence(texts, self._first).values()) / max(characters, 1)

    def _evidence(self, texts: Sequence[str], among: Iterable[str]) -> dict[str, float]:
        """Return the log probability of lines in each of some languages, that of each character bounded below."""
        index = {character: at for at, character in enumerate(self.charset)}
        evidence = {}
        for language in among:
            model, total = self.models[language], 0.0
            for text in texts:
                state = model.start
                for character in text:
                    if (at := index.get(character)) is None:
                        continue
                    probability, state = model.step(state, at)
                    total += max(probability, MIN_LOG_PROBABILITY)
            evidence[language] = total
        return evidence

    def given(self, codes: Sequence[str], texts: Sequence[str] = ()) -> dict[str, float]:
        """Return the weights of given languages, which are equal, and of the model of records.

        Parameters
        ----------
        codes : sequence of str
            ISO 639-1; those without a model count as `OTHERS`.
        texts : sequence of str
            Lines as decoded without a language model; they decide the weight of the model of records. Without them, or
            without such a model, it has none.
        """
        given = dict.fromkeys((code if code in self.models else OTHERS for code in codes), 1.0)
        if RECORDS not in self.models or not texts:
            return given
        likely = self._identify(texts, {*given, RECORDS})
        share = likely[RECORDS]
        # However improbable, a language that is known counts for the letters of records.
        return {code: max(1 - share, SMALLEST_WEIGHT) / len(given) for code in given} | {RECORDS: share}

    def model(self, probabilities: Mapping[str, float]) -> LanguageModel | Mixture:
        """Return the model for a page from the probabilities of its languages: one model, or a mixture of some.

        On pages of records, the most probable language has a share in the probability of letters beyond ASCII.
        """
        ranked = sorted(probabilities.items(), key=lambda item: item[1], reverse=True)[:MAX_LANGUAGES]
        chosen = [(language, weight) for language, weight in ranked if weight >= MIN_PROBABILITY] or ranked[:1]
        special_only = (
            self.own is None and ranked[0][0] == RECORDS and len(chosen) == 1 and len(ranked) > 1 and ranked[1][1] > 0
        )
        if special_only:
            chosen = [(RECORDS, 1 - LETTERS_SHARE), (ranked[1][0], LETTERS_SHARE)]
        total = sum(weight for _, weight in chosen)
        models = [self.models[language] for language, _ in chosen]
        weights = [weight / total for _, weight in chosen]
        if self.own is not None and self.own_share > 0:
            models.append(self.own)
            weights = [*(weight * (1 - self.own_share) for weight in weights), self.own_share]
        return Mixture(models, weights, special_only=special_only) if len(models) > 1 else models[0]


def _shares(evidence: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities of languages from the log probabilities of a text in each."""
    scores = {language: EVIDENCE_WEIGHT * total for language, total in evidence.items()}
    best = max(scores.values())
    weights = {language: exp(score - best) for language, score in scores.items()}
    total = sum(weights.values())
    return {language: weight / total for language, weight in weights.items()}


def base(letter: str) -> str:
    """Return a letter without its accent, or the one that it is taken for."""
    return BASES.get(letter) or unicodedata.normalize("NFD", letter)[0]


def _without_accent(character: str) -> str:
    """Return an accented capital without its accent, the first letter of a ligature, and any other as it is."""
    if not character.isupper():
        return character
    return LIGATURES.get(character) or unicodedata.normalize("NFD", character)[0]


def save(tables: Mapping[str, Table], path: Path) -> dict[str, Any]:
    """Write tables to an uncompressed npz, and return the entries of its card for each language."""
    arrays: dict[str, Any] = {
        f"{language}.{name}": array for language, table in tables.items() for name, array in stored(table).items()
    }
    np.savez(path, **arrays)
    return {
        language: {"charset": table.charset, "scale": table.scale, "contexts": len(table.characters)}
        for language, table in tables.items()
    }


def _map(path: Path) -> Arrays:
    """Map an uncompressed npz into memory, and return the location of each array."""
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


def stored(table: Table) -> dict[str, NDArray[Any]]:
    """Return the arrays of a table as they are in a file."""
    return {
        name: np.diff(getattr(table, name)).astype(np.uint8) if name in COUNTED else getattr(table, name)
        for name in ARRAYS
    }


def _indices(arrays: Arrays, name: str) -> memoryview:
    """Return an array of `COUNTED` as it is in a table."""
    return accumulate(name, np.frombuffer(_view(arrays[name]), np.uint8)).data


def accumulate(name: str, counts: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return an array of a table, `longer` or `starts`, from its counts in a file: uint32 (contexts + 1,)."""
    return np.cumsum(np.concatenate([[COUNTED[name]], counts]), dtype=np.uint32)
