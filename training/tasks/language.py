"""Train the character n-gram model that the decoder uses.

python -m training.tasks.language --data PAGES --prose TEXTS --version 1
"""

from __future__ import annotations

import argparse
import hashlib
import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from paragraph_ocr.model_set import write_manifest
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.language import (
    ARRAYS,
    COUNTED,
    EDGE,
    OTHERS,
    RECORDS,
    LanguageModel,
    Search,
    Table,
    accumulate,
    base,
    save,
)
from training.data.credits import credits, text_credits
from training.data.lines import PROSE, Texts
from training.data.pages import load_pages
from training.synthesis.corpus import Composer, Corpus, clean, straight
from training.synthesis.fonts import CHARSET, DECLARATIONS
from training.synthesis.signs import Signs

Keys = NDArray[np.uint64]
Numbers = NDArray[np.float64]

SCALE = 16.0
# Contexts are stored in integers of 64 bits, eight bits per character, with the character that follows.
MAX_ORDER = 7
# Characters of composed text.
CHARACTERS = {"en": 2_000_000, "fr": 1_000_000}
# Maximum number of contexts of each language; a context takes about 20 bytes.
# The languages of `PROSE` are fitted on a text in the folder of `Material.prose`; the others on the Declaration of
# Human Rights and, where `LISTS` has them, on word lists, as is the common model of the others. Those not here,
# such as Finnish, Basque and Albanian, are read well with that.
CONTEXTS = {
    "en": 600_000, "fr": 600_000, "de": 250_000, "es": 180_000, "it": 180_000, "pt": 180_000, OTHERS: 200_000,
    RECORDS: 180_000,
    "nl": 45_000, "da": 45_000, "ro": 45_000, "tr": 45_000, "lt": 45_000,
    "pl": 45_000, "cs": 45_000, "hu": 45_000, "sv": 45_000, "sk": 45_000,
    "nb": 15_000, "hr": 15_000, "lv": 15_000, "is": 15_000, "ca": 15_000, "et": 15_000, "sl": 15_000, "ga": 15_000,
    "mt": 15_000, "gl": 15_000, "cy": 15_000,
}  # fmt: skip
# Share of the entries of a language's model that is kept: those that change its probabilities most. The models of the
# others and of records keep all: their texts have less in common, and codes and names were read worse.
ENTRIES = 0.7
# Generated pages whose lines are mostly cells.
RECORD_SOURCES = {
    "doc_form", "doc_invoice", "doc_list", "doc_numbers", "doc_receipt", "doc_register", "doc_statement", "doc_table",
}  # fmt: skip
# Word lists whose licences allow models trained on them to have any licence.
LISTS = ("en", "fr", "es", "pt", "nl", "pl", "hu", "ro", "sk", "da", "tr", "lt")
# All writers of this source copied the same text.
EXCLUDED = {"csafe_en"}
# Tuned on degraded lines of training writers whose text the model was not trained on.
SEARCH = Search(width=16, weight=0.6, bonus=1.8, floor=3e-3, sure=0.995, other_case=0.3, least=5e-4, after_figure=1e-2)


def composed_lines(assets: Path, language: str, characters: int, seed: int) -> list[str]:
    """Lines of invented documents, wrapped as on pages."""
    composer = Composer(Corpus.load(assets, "train"), default_rng(seed), language)
    lines: list[str] = []
    written = 0
    while written < characters:
        width = int(composer.rng.integers(20, 70))
        for block in composer.document(int(composer.rng.integers(4, 30)), width):
            wrapped = textwrap.wrap(straight(block.text), width)
            lines += wrapped
            written += sum(map(len, wrapped))
    return lines


@dataclass
class Level:
    """Counts of one text for the contexts of one length.

    Attributes
    ----------
    keys : uint64 (contexts,)
        Contexts, eight bits per character with the last one lowest; sorted.
    occurrences : float (contexts,)
        Number of occurrences of each context.
    total, left : float (contexts,)
        Sum of the counts of the characters that follow, and the part of it that is discounted.
    pairs : uint64 (entries,)
        Contexts with the character that follows; sorted.
    counts : float (entries,)
        Discounted counts of the pairs.
    """

    keys: Keys
    occurrences: Numbers
    total: Numbers
    left: Numbers
    pairs: Keys
    counts: Numbers


@dataclass
class MergedLevel:
    """Contexts of one length, merged over all texts.

    Attributes
    ----------
    keys : uint64 (contexts,)
    likelihood : float (groups, contexts)
        Log probability of each context in each text.
    pairs : uint64 (entries,)
    probability : float (entries,)
    backoff : float (contexts,)
        Factor of the probability in the next shorter context, for a character without an entry.
    gain : float (contexts,)
        Gain in nats per character by the context, or the largest gain of the contexts that depend on it.
    """

    keys: Keys
    likelihood: Numbers
    pairs: Keys
    probability: Numbers
    backoff: Numbers
    gain: Numbers


def choose_charset(lines: Iterable[str], most: int = 200) -> str:
    """Return the most frequent characters of a text, at most `most`."""
    counts = Counter(character for line in lines for character in line)
    known = [(count, character) for character, count in counts.items() if character in CHARSET and count > 4]
    return "".join(sorted(character for _, character in sorted(known, reverse=True)[:most]))


def fit(
    groups: list[tuple[list[str], float]],
    contexts: int,
    least: float = 2.0,
    order: int = MAX_ORDER,
    charset: str = CHARSET[:200],
) -> Table:
    """Fit a mixture of smoothed models of several texts, with the contexts of the largest gain.

    Each group has a model with modified Kneser-Ney smoothing (Chen and Goodman 1999). The weights of the mixture in a
    context are the posterior probabilities of the groups given the context. Contexts are pruned by the increase in
    divergence (like entries in Stolcke 1998).

    Parameters
    ----------
    groups : list of (lines, share)
        Lines of each group, and its prior probability.
    contexts : int
        Maximum number of contexts.
    least : float
        Contexts that occur less often in every group are ignored.
    order : int
        Characters of the longest context, at most 7.
    charset : str
        At most 254 characters; lines with other characters are ignored.
    """
    models = [_count(lines, order, charset) for lines, _ in groups]
    shares = np.log([share for _, share in groups])[:, None]
    followers = np.arange(len(charset) + 1, dtype=np.uint64)
    likelihood = np.zeros((len(groups), 1))
    probability = np.exp(shares - np.logaddexp.reduce(shares)).T @ [
        _probability(model, 0, followers, len(charset) + 1) for model in models
    ]
    merged = [
        MergedLevel(np.zeros(1, np.uint64), likelihood, followers, probability[0], np.ones(1), np.full(1, np.inf))
    ]
    for length in range(1, order + 1):
        merged.append(_mix(models, shares, merged[-1], length, least, len(charset) + 1))
    for length in range(order, 1, -1):
        # A context depends on its longest proper suffix, to which it backs off, and on its longest proper prefix.
        longer, shorter = merged[length], merged[length - 1]
        for needed in (_ending(longer.keys, length), longer.keys >> np.uint64(8)):
            np.maximum.at(shorter.gain, np.searchsorted(shorter.keys, needed), longer.gain * (1 + 1e-9))
    return _best(merged, contexts, charset)


def _count(lines: list[str], order: int, charset: str) -> list[Level]:
    """Count the contexts of one text; levels are in ascending order of their length."""
    known = set(charset)
    joined = EDGE + EDGE.join(line for line in lines if set(line) <= known) + EDGE
    places = np.zeros(0x10000, np.uint8)
    for number, character in enumerate(charset + EDGE):
        places[ord(character)] = number
    index = {EDGE: len(charset)}
    text = places[np.frombuffer(joined.encode("utf-16-le"), np.uint16)].astype(np.uint64)
    # A context may begin with the edge of its line, and does not extend beyond it.
    edges = np.where(text == index[EDGE], np.arange(len(text)), 0)
    reach = np.arange(len(text)) - np.concatenate([[0], np.maximum.accumulate(edges)[:-1]])
    past = np.zeros(len(text), np.uint64)
    found = [np.unique(text, return_counts=True)]
    for length in range(1, order + 1):
        past[length:] |= text[:-length] << np.uint64(8 * (length - 1))
        usable = (reach >= length) & (np.arange(len(text)) >= length)
        found.append(np.unique(past[usable] << np.uint64(8) | text[usable], return_counts=True))
    levels = []
    for length, (pairs, times) in enumerate(found):
        counts = times.astype(np.float64)
        if length < order:
            # In shorter contexts, Kneser-Ney counts the distinct characters before a pair instead of its occurrences;
            # at the beginning of a line there are none.
            ending = _ending(found[length + 1][0], length + 2)
            preceded = np.bincount(np.searchsorted(pairs, ending), minlength=len(pairs)).astype(np.float64)
            first = pairs >> np.uint64(8 * length) == index[EDGE]
            counts = np.where((preceded == 0) | first & (length > 0), counts, preceded)
        keys, owner = np.unique(pairs >> np.uint64(8), return_inverse=True)
        taken = np.minimum(_discounts(counts)[np.minimum(counts, 3).astype(np.intp)], counts)
        levels.append(
            Level(
                keys=keys,
                occurrences=np.bincount(owner, times).astype(np.float64),
                total=np.bincount(owner, counts).astype(np.float64),
                left=np.bincount(owner, taken).astype(np.float64),
                pairs=pairs,
                counts=counts - taken,
            )
        )
    return levels


def _discounts(counts: Numbers) -> Numbers:
    """Discounts of counts of 0, 1, 2, and 3 or more (Chen and Goodman 1999, equation 26)."""
    once, twice, thrice, four = (max(float((counts == times).sum()), 0.5) for times in (1, 2, 3, 4))
    rate = once / (once + 2 * twice)
    taken = [1 - 2 * rate * twice / once, 2 - 3 * rate * thrice / twice, 3 - 4 * rate * four / thrice]
    return np.array([0.0, *np.clip(taken, 0.3, (0.95, 1.6, 2.2))])


def _probability(levels: list[Level], length: int, pairs: Keys, characters: int) -> Numbers:
    """Return the probability in one text of the last character of each pair in the context before it."""
    result = np.full(len(pairs), 1.0 / characters)
    for shorter, level in enumerate(levels[: length + 1]):
        ending = _ending(pairs, shorter + 2) if shorter < MAX_ORDER else pairs
        keys = ending >> np.uint64(8)
        at = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
        entry = np.minimum(np.searchsorted(level.pairs, ending), len(level.pairs) - 1)
        counts = np.where(level.pairs[entry] == ending, level.counts[entry], 0.0)
        known = (counts + level.left[at] * result) / level.total[at]
        result = np.where(level.keys[at] == keys, known, result)
    return result


def _mix(
    models: list[list[Level]], shares: Numbers, shorter: MergedLevel, length: int, least: float, characters: int
) -> MergedLevel:
    """Merge the contexts of one length of all texts."""
    levels = [model[length] for model in models]
    keys = np.unique(np.concatenate([level.keys[level.occurrences >= least] for level in levels]))
    pairs = np.unique(np.concatenate([level.pairs for level in levels]))
    pairs = pairs[np.isin(pairs >> np.uint64(8), keys)]
    owner = np.searchsorted(keys, pairs >> np.uint64(8))
    begins = np.searchsorted(shorter.keys, keys >> np.uint64(8))
    grown = np.stack([np.log(_probability(model, length - 1, keys, characters)) for model in models])
    likelihood = shorter.likelihood[:, begins] + grown
    together = np.logaddexp.reduce(shares + likelihood)
    weights = np.exp(shares + likelihood - together)
    probability = sum(
        weight[owner] * _probability(model, length, pairs, characters)
        for weight, model in zip(weights, models, strict=True)
    )
    below = shorter.probability[np.searchsorted(shorter.pairs, _ending(pairs, length + 1))]
    rest, rest_below = (np.maximum(1 - np.bincount(owner, part, len(keys)), 1e-6) for part in (probability, below))
    backoff = np.minimum(rest / rest_below, 1.0)
    divergence = np.bincount(owner, probability * np.log(probability / below), len(keys)) + rest * np.log(backoff)
    return MergedLevel(keys, likelihood, pairs, probability, backoff, np.exp(together) * divergence)


def _ending(keys: Keys, length: int) -> Keys:
    """Return contexts without their first character."""
    return keys & np.uint64((1 << 8 * (length - 1)) - 1)


def _best(merged: list[MergedLevel], contexts: int, charset: str) -> Table:
    """Return a table of the contexts with the largest gain."""
    gains = np.sort(np.concatenate([union.gain for union in merged]))[::-1]
    threshold = gains[min(contexts, len(gains)) - 1]
    characters, longer, shorter, backoff, sizes, followers, probabilities = [], [], [], [], [], [], []
    before = np.zeros(0, np.uint64)
    begin = end = 0
    for length, union in enumerate(merged):
        kept = union.gain >= threshold
        keys = union.keys[kept]
        characters.append(keys & np.uint64(255))
        # Prefixes and suffixes of these contexts are contexts of the previous length.
        longer.append(end + np.searchsorted(keys >> np.uint64(8), before))
        shorter.append(begin + np.searchsorted(before, _ending(keys, length)) if length else keys)
        begin, end, before = end, end + len(keys), keys
        owner = np.searchsorted(union.keys, union.pairs >> np.uint64(8))
        entries = kept[owner]
        backoff.append(union.backoff[kept])
        sizes.append(np.bincount(owner, minlength=len(union.keys))[kept])
        followers.append(union.pairs[entries] & np.uint64(255))
        probabilities.append(union.probability[entries])
    longer.append(np.full(len(before) + 1, end))
    return Table(
        charset=charset,
        characters=np.concatenate(characters).astype(np.uint8),
        longer=np.concatenate(longer).astype(np.uint32),
        shorter=np.concatenate(shorter).astype(np.uint32),
        backoff=_cost(np.concatenate(backoff)),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.uint32),
        followers=np.concatenate(followers).astype(np.uint8),
        costs=_cost(np.concatenate(probabilities)),
        scale=SCALE,
    )


def drop_entries(table: Table, share: float) -> Table:
    """Keep the entries of a table that change its probabilities most, and fit the backoff to them (Stolcke 1998).

    Parameters
    ----------
    table : Table
    share : float
        Share of the entries that is kept, those of the empty context included.
    """
    count, starts, longer = len(table.characters), table.starts.astype(np.int64), table.longer.astype(np.int64)
    levels = [0, 1]
    while levels[-1] < count:
        levels.append(int(table.longer[levels[-1]]))
    owner = np.repeat(np.arange(count), starts[1:] - starts[:-1])
    keys, costs = owner << 8 | table.followers, table.costs.astype(np.int64)
    parent = np.repeat(np.arange(count), longer[1:] - longer[:-1])
    spans = [(slice(low, high), slice(starts[low], starts[high])) for low, high in pairwise(levels)][1:]

    def look_up(
        kept: NDArray[np.bool_], backoff: NDArray[np.int64], state: NDArray[Any], follower: NDArray[np.uint8]
    ) -> NDArray[np.int64]:
        """Costs of characters in contexts, by the entries that are kept."""
        known, values = keys[kept], costs[kept]
        total, left, state = np.zeros(len(state), np.int64), np.arange(len(state)), state.astype(np.int64)
        while len(left):
            wanted = state[left] << 8 | follower[left]
            at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            found = known[at] == wanted
            total[left[found]] += values[at[found]]
            left = left[~found]
            total[left] += backoff[state[left]]
            state[left] = table.shorter[state[left]]
        return total

    backoff = table.backoff.astype(np.int64)
    everything = np.ones(len(keys), bool)
    logarithm, gain = np.zeros(count), np.full(len(keys), np.inf)
    for contexts, entries in spans:
        inside = np.arange(contexts.start, contexts.stop)
        before = parent[inside - 1]
        logarithm[contexts] = logarithm[before] - look_up(everything, backoff, before, table.characters[contexts])
        own = owner[entries]
        below = look_up(everything, backoff, table.shorter[own], table.followers[entries]) + backoff[own]
        probability = np.exp((logarithm[own] - costs[entries]) / table.scale)
        gain[entries] = probability * np.abs(below - costs[entries])
    kept = gain >= np.sort(gain)[int((1 - share) * len(gain))]
    for contexts, entries in spans:
        own, dropped = owner[entries], ~kept[entries]
        place, size = own - contexts.start, contexts.stop - contexts.start
        below, now_below = (
            np.exp(-look_up(known, values, table.shorter[own], table.followers[entries]) / table.scale)
            for known, values in ((everything, table.backoff.astype(np.int64)), (kept, backoff))
        )
        # What was left and what is dropped, not the difference of one and what is kept: costs are rounded.
        rest = np.exp(table.backoff[contexts] / -table.scale) * np.maximum(1 - np.bincount(place, below, size), 1e-3)
        rest += np.bincount(place, np.exp(-costs[entries] / table.scale) * dropped, size)
        rest_below = np.maximum(1 - np.bincount(place, now_below * ~dropped, size), 1e-3)
        backoff[contexts] = _cost(np.minimum(rest / rest_below, 1.0))
        # Rounding leaves next to nothing of some rests, and what follows there would count as impossible.
        backoff[contexts] = np.minimum(
            backoff[contexts], table.backoff[contexts].astype(np.int64) + round(table.scale / 2)
        )
    return replace(
        table,
        backoff=backoff.astype(np.uint8),
        starts=np.concatenate([[0], np.cumsum(np.bincount(owner[kept], minlength=count))]).astype(np.uint32),
        followers=table.followers[kept],
        costs=table.costs[kept],
    )


def _cost(probabilities: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(-SCALE * np.log(np.maximum(probabilities, 1e-12))), 0, 255).astype(np.uint8)


def cross_entropy(model: LanguageModel, lines: list[str]) -> float:
    """Return the cross entropy of lines in bits per character, including line ends."""
    index = {character: number for number, character in enumerate(model.charset + EDGE)}
    nats, characters = 0.0, 0
    for line in lines:
        state = model.start
        for character in line + EDGE:
            nats -= model.log_probability(state, index[character])
            state = model.after(state, index[character])
            characters += 1
    return nats / characters / log(2)


def wrap(paragraphs: Iterable[str], rng: Generator) -> list[str]:
    """Wrap paragraphs into lines like those of pages, with some words divided at line ends."""
    lines: list[str] = []
    for paragraph in paragraphs:
        width = int(rng.integers(22, 80))
        rest = straight(paragraph)
        while len(rest) > width:
            cut = rest.rfind(" ", 0, width + 1)
            if cut <= 0 or (rng.random() < 0.08 and rest[width - 2 : width + 2].isalpha()):
                lines.append(rest[: width - 1] + "-")
                rest = rest[width - 1 :]
            else:
                lines.append(rest[:cut])
                rest = rest[cut + 1 :]
        if rest:
            lines.append(rest)
    return lines


def token_lines(words: list[str], count: int, rng: Generator) -> list[str]:
    """Compose lines of amounts, codes, addresses and similar text."""
    signs = Signs(rng, words)
    return [signs.token() if rng.random() < 0.4 else signs.line(int(rng.integers(8, 60))) for _ in range(count)]


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file; none if it does not exist."""
    return path.read_text(encoding="utf-8").split("\n") if path.exists() else []


@dataclass(frozen=True)
class Material:
    """The texts that the models of all languages are trained on.

    Attributes
    ----------
    assets, prose : Path
        Folders of `training.synthesis.fonts` and of ``xx.txt``, a paragraph a line.
    pages : dict of str to list of str
        Transcribed training lines by language, and lines of generated tables and forms.
    """

    assets: Path
    prose: Path
    pages: dict[str, list[str]]

    @cached_property
    def held_out(self) -> Texts:
        """Texts of the validation split, which no model is fitted on."""
        return Texts(self.assets, self.prose, "val")

    def declaration(self, language: str) -> list[str]:
        """Return the paragraphs of the Declaration of Human Rights in a language that are not held out."""
        rows = read_lines(self.assets / "texts" / f"declaration_{DECLARATIONS[language]}.txt")
        return [row for row in rows if clean(row) not in self.held_out.declarations[language]]

    def words(self, language: str) -> list[str]:
        """Return the words of a language's list that are not held out; none if its licence does not allow it."""
        name = f"words_{language}.txt" if language in ("en", "fr") else f"list_{language}.txt"
        held_out = frozenset(self.held_out.words.get(language, ()))
        rows = read_lines(self.assets / "texts" / name) if language in LISTS else []
        return [row for row in rows if row not in held_out]

    def groups(self, language: str) -> list[tuple[list[str], float]]:
        """Return the texts of a language and their shares; none for records without generated pages."""
        rng = default_rng(abs(hash_of(language)))
        texts = self.assets / "texts"
        names = json.loads((texts / "names.json").read_text(encoding="utf-8"))
        named = sorted({straight(name) for kinds in names.values() for found in kinds.values() for name in found})
        if language == RECORDS:
            cells = self.pages.get(RECORDS, [])
            return [(cells, 0.75), (token_lines(named, 40_000, rng), 0.15), (named, 0.1)] if cells else []
        if language == OTHERS:
            rest = [name for name in DECLARATIONS if name not in PROSE]
            prose = [row for name in rest for row in self.declaration(name)]
            words = [word for name in LISTS if name not in PROSE for word in self.words(name)]
        else:
            prose, words = self.declaration(language), self.words(language)
            if language in PROSE:
                known = self.held_out.prose.get(language, "")
                rows = read_lines(self.prose / f"{language}.txt")
                prose += [row for row in rows if clean(row) not in known]
            if language == "en":
                prose += read_lines(texts / "english.txt")
        lines = wrap(prose, rng)
        spread = [words[int(at)] for at in rng.permutation(len(words))]
        vocabulary = [" ".join(spread[at : at + 5]) for at in range(0, len(spread), 5)]
        # Without prose, the words of a list say more of a language than its one short text.
        groups = [(lines, 0.62 if language in (*PROSE, OTHERS) else 0.4)]
        if self.pages.get(language):
            groups = [(lines, 0.32), (self.pages[language], 0.36)]
        if language in ("en", "fr"):
            groups.append((composed_lines(self.assets, language, CHARACTERS[language], 1), 0.1))
        capitals = self.pages.get(language) or lines[:: max(1, len(lines) // 20_000)]
        groups += [
            (vocabulary, 0.06 if language in (*PROSE, OTHERS) else 0.3),
            ([*named, *(f"{name}, {other}" for name, other in pairwise(named))], 0.04),
            (token_lines(named, 40_000, rng), 0.06),
            ([line.upper() for line in capitals], 0.06),
        ]
        return [(group, share) for group, share in groups if group]


def accents(groups: Sequence[tuple[list[str], float]]) -> dict[str, float]:
    """Return of each accented letter by how much it is more frequent than the letter without the accent, nats.

    Parameters
    ----------
    groups : sequence of (list of str, float)
        Lines and their shares.
    """
    shares: dict[str, float] = defaultdict(float)
    for lines, share in groups:
        counts = Counter(character for line in lines for character in line)
        for character, count in counts.items():
            shares[character] += share * count / counts.total()
    return {
        letter: round(log(share / shares[base(letter)]), 2)
        for letter, share in sorted(shares.items())
        if letter.isalpha() and base(letter) != letter and base(letter) in shares
    }


def load_tables(path: Path, settings: dict[str, Any]) -> dict[str, Table]:
    """Return the tables of a file that `save` wrote, with the entries of its card for each language."""
    tables = {}
    with np.load(path) as arrays:
        for language, entry in settings.items():
            stored: dict[str, Any] = {name: arrays[f"{language}.{name}"] for name in ARRAYS}
            stored |= {name: accumulate(name, stored[name]) for name in COUNTED}
            tables[language] = Table(charset=entry["charset"], scale=entry["scale"], **stored)
    return tables


def hash_of(text: str) -> int:
    """Return a hash that is the same in every process."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.tasks.language", description=__doc__)
    parser.add_argument(
        "--data", type=Path, action="append", required=True,
        help="folder of annotated pages; and of pages that training.synthesis drew, for the model of records",
    )  # fmt: skip
    parser.add_argument(
        "--assets", type=Path, default=Path("build/assets"), help="what training.synthesis.fonts fetched"
    )
    parser.add_argument("--prose", type=Path, required=True, help="folder with en.txt, fr.txt, ...: a paragraph a line")
    parser.add_argument("--scale", type=float, default=1.0, help="how many times as many contexts as by default")
    parser.add_argument(
        "--language", action="append", choices=CONTEXTS, metavar="CODE",
        help=f"fit this model anew, and keep the others of the file; one of {', '.join(CONTEXTS)}",
    )  # fmt: skip
    parser.add_argument(
        "--thin",
        action="store_true",
        help=f"keep {100 * ENTRIES:.0f} percent of the entries of the languages that are not fitted anew",
    )
    parser.add_argument("--version", required=True, help="what the card calls this model")
    parser.add_argument("--out", type=Path, default=FOLDER / "language.npz")
    arguments = parser.parse_args()
    pages = [
        page for folder in arguments.data for page in load_pages(folder)
        if page.source not in EXCLUDED and (page.source in RECORD_SOURCES or not page.source.startswith("doc_"))
    ]  # fmt: skip
    transcribed: dict[str, dict[str, list[str]]] = {"train": defaultdict(list), "val": defaultdict(list)}
    for page in pages:
        language = RECORDS if page.source in RECORD_SOURCES else page.source.rpartition("_")[2]
        transcribed[page.split][language] += [straight(line.text) for line in page.lines if line.text]
    material = Material(arguments.assets, arguments.prose, transcribed["train"])
    old = json.loads(arguments.out.with_suffix(".json").read_text(encoding="utf-8")) if arguments.language else {}
    tables = load_tables(arguments.out, old["languages"]) if old else {}
    if arguments.thin:
        tables = {
            language: table if language in (OTHERS, RECORDS) else drop_entries(table, ENTRIES)
            for language, table in tables.items()
        }
    found: dict[str, dict[str, float]] = {}
    bits = old.get("bits_a_character_of_held_out_lines", {})
    for language in arguments.language or CONTEXTS:
        groups = material.groups(language)
        if not groups:
            continue
        found[language] = accents(groups)
        charset = choose_charset(line for lines, _ in groups for line in lines)
        table = fit(groups, round(arguments.scale * CONTEXTS[language]), charset=charset)
        tables[language] = table if language in (OTHERS, RECORDS) else drop_entries(table, ENTRIES)
        print(f"{language}: {len(table.characters):,} contexts", flush=True)
    for language, table in tables.items():
        held_out = [line for line in transcribed["val"].get(language, []) if set(line) <= set(table.charset)]
        if held_out:
            bits[language] = round(cross_entropy(LanguageModel(table, SEARCH), held_out), 3)
            print(f"{language}: {bits[language]} bits a character of held-out lines", flush=True)
    settings = save(tables, arguments.out)
    for language, entry in settings.items():
        entry["accents"] = found[language] if language in found else old["languages"][language].get("accents", {})
    for language in settings.keys() - {*PROSE, OTHERS, RECORDS}:
        settings[language]["group"] = OTHERS
    command = (
        "python -m training.tasks.language"
        + " --data PAGES" * len(arguments.data)
        + " --prose TEXTS"
        + ("".join(f" --language {language}" for language in arguments.language or ()))
    )
    command += " --thin" * arguments.thin + f" --scale {arguments.scale:g} --version {arguments.version}"
    data = credits({page.source for page in pages if page.split == "train"} | {"eltec"})["data"]
    if old:
        command = f"{old['training']['command']}; {command}"
        data = [*old["training"]["data"], *(entry for entry in data if entry not in old["training"]["data"])]
    card = {
        "name": f"ngram-{MAX_ORDER + 1}",
        "version": arguments.version,
        "sha256": hashlib.sha256(arguments.out.read_bytes()).hexdigest(),
        "search": asdict(SEARCH),
        "charset": CHARSET,
        "languages": settings,
        "bits_a_character_of_held_out_lines": bits,
        "training": {"command": command, "data": data, "texts": text_credits()},
    }
    arguments.out.with_suffix(".json").write_text(
        json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    write_manifest(arguments.out.parent)


if __name__ == "__main__":
    main()
