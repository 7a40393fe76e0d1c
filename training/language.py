"""Lines of text in; the character n-gram model that the decoder ships with out.

python -m training.language --data PAGES --version 1
"""

from __future__ import annotations

import argparse
import hashlib
import json
import textwrap
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from export.card import credits, text_credits
from paragraph_ocr.language import EDGE, LanguageModel, Search, Table
from paragraph_ocr.models import FOLDER
from training.corpus import Composer, Corpus, straight
from training.fonts import CHARSET
from training.pages import load_pages

SCALE = 16.0
# A character takes eight bits of an integer's 64, the one that follows among them.
LONGEST = 7
# Composed text, and what a character of it counts beside one of the annotated pages.
CHARACTERS = {"en": 2_000_000, "fr": 1_000_000}
WEIGHTS = {"en": 0.2, "fr": 0.4}
# What a character of the annotated pages counts when it is written once more as a capital.
CAPITALS = 0.2
# Chosen on training writers whose text was kept from the model.
SEARCH = Search(width=16, weight=0.5, bonus=1.5, floor=3e-3, sure=0.995)


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
    """The contexts of one length: their keys sorted, and what follows each.

    Attributes
    ----------
    keys : uint64 (contexts,)
        Eight bits a character, the last one lowest.
    starts : int (contexts + 1,)
        Where the entries of each context begin.
    followers : int (entries,)
    probability : float (entries,)
        Of each follower, smoothed.
    left : float (contexts,)
        The share that goes to the next shorter context.
    gain : float (contexts,)
        Nats by which a context, or the best of its longer ones, makes the text likelier.
    """

    keys: NDArray[np.uint64]
    starts: NDArray[np.intp]
    followers: NDArray[np.intp]
    probability: NDArray[np.float64]
    left: NDArray[np.float64]
    gain: NDArray[np.float64]

    def find(self, keys: NDArray[np.uint64], followers: NDArray[np.intp]) -> NDArray[np.intp]:
        """Entries of followers of contexts, all of which are there."""
        pairs = np.repeat(self.keys, np.diff(self.starts)) << np.uint64(8) | self.followers.astype(np.uint64)
        return np.searchsorted(pairs, keys << np.uint64(8) | followers.astype(np.uint64))


def fit(
    groups: list[tuple[list[str], float]],
    contexts: int,
    least: float = 2.0,
    discount: float = 0.8,
    order: int = LONGEST,
) -> Table:
    """Interpolated absolute discounting (Ney, Essen and Kneser 1994) over the contexts that gain most.

    Parameters
    ----------
    groups : list of (lines, weight)
        A line of a group counts as many times as its weight says.
    contexts : int
        How many contexts to keep.
    least : float
        Rarer contexts are never looked at.
    discount : float
        Taken off the count of every character seen after a context, for those not seen.
    order : int
        Characters of the longest context, at most 7.
    """
    index = {character: number for number, character in enumerate(CHARSET + EDGE)}
    codes, weights = [], []
    for lines, weight in groups:
        joined = EDGE + EDGE.join(line for line in lines if set(line) <= set(CHARSET)) + EDGE
        codes.append(np.array([index[character] for character in joined], np.uint64))
        weights.append(np.full(len(joined), weight))
    text, weight = np.concatenate(codes), np.concatenate(weights)
    # A context reaches back to the edge that its line begins at, and not over it.
    edges = np.where(text == index[EDGE], np.arange(len(text)), 0)
    reach = np.arange(len(text)) - np.concatenate([[0], np.maximum.accumulate(edges)[:-1]])

    seen = np.bincount(text.astype(np.intp), weight, len(index)) + 0.01
    root = Level(
        keys=np.zeros(1, np.uint64),
        starts=np.array([0, len(index)]),
        followers=np.arange(len(index)),
        probability=seen / seen.sum(),
        left=np.zeros(1),
        gain=np.array([np.inf]),
    )
    levels = [root]
    past = np.zeros(len(text), np.uint64)
    for length in range(1, order + 1):
        past[length:] |= text[:-length] << np.uint64(8 * (length - 1))
        usable = (reach >= length) & (np.arange(len(text)) >= length)
        pairs, inverse = np.unique(past[usable] << np.uint64(8) | text[usable], return_inverse=True)
        levels.append(_smoothed(pairs, np.bincount(inverse, weight[usable]), levels[-1], length, least, discount))
    for length in range(order, 1, -1):
        # A context is worth what its longer ones gain too, since they cannot stay without it.
        level, shorter = levels[length], levels[length - 1]
        np.maximum.at(shorter.gain, np.searchsorted(shorter.keys, _ending(level.keys, length)), level.gain + 1e-9)
    return _best(levels, contexts)


def _ending(keys: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """Contexts of a length without their first character."""
    return keys & np.uint64((1 << 8 * (length - 1)) - 1)


def _smoothed(
    pairs: NDArray[np.uint64], counts: NDArray[np.float64], shorter: Level, length: int, least: float, discount: float
) -> Level:
    """The contexts of a length from the counts of all pairs of a context and what follows it."""
    keys, owner = np.unique(pairs >> np.uint64(8), return_inverse=True)
    total = np.bincount(owner, counts)
    kept = total[owner] >= least
    pairs, counts, total = pairs[kept], counts[kept], total[total >= least]
    keys, owner = np.unique(pairs >> np.uint64(8), return_inverse=True)
    followers = (pairs & np.uint64(255)).astype(np.intp)
    taken = np.minimum(counts, discount)
    left = np.bincount(owner, taken, len(keys)) / total
    below = shorter.probability[shorter.find(_ending(keys, length)[owner], followers)]
    probability = (counts - taken) / total[owner] + left[owner] * below
    return Level(
        keys=keys,
        starts=np.searchsorted(owner, np.arange(len(keys) + 1)),
        followers=followers,
        probability=probability,
        left=left,
        gain=np.bincount(owner, counts * np.log(probability / below), len(keys)),
    )


def _best(levels: list[Level], contexts: int) -> Table:
    """The contexts with the largest gain, in a table."""
    gains = np.sort(np.concatenate([level.gain for level in levels]))[::-1]
    threshold = gains[min(contexts, len(gains)) - 1]
    names: list[str] = []
    left, sizes, followers, probabilities = [], [], [], []
    for length, level in enumerate(levels):
        kept = level.gain >= threshold
        for key in level.keys[kept].tolist():
            names.append("".join((CHARSET + EDGE)[key >> 8 * at & 255] for at in reversed(range(length))))
        counts = np.diff(level.starts)
        entries = np.repeat(kept, counts)
        left.append(level.left[kept])
        sizes.append(counts[kept])
        followers.append(level.followers[entries])
        probabilities.append(level.probability[entries])
    return Table(
        charset=CHARSET,
        contexts=tuple(names),
        backoff=_cost(np.concatenate(left)),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.uint32),
        followers=np.concatenate(followers).astype(np.uint8),
        costs=_cost(np.concatenate(probabilities)),
        scale=SCALE,
    )


def _cost(probabilities: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(-SCALE * np.log(np.maximum(probabilities, 1e-12))), 0, 255).astype(np.uint8)


def cross_entropy(model: LanguageModel, lines: list[str]) -> float:
    """Bits a character of lines, their ends counted."""
    index = {character: number for number, character in enumerate(model.charset + EDGE)}
    nats, characters = 0.0, 0
    for line in lines:
        state = model.start
        for character in line + EDGE:
            nats -= model.log_probability(state, index[character])
            state = model.after(state, index[character])
            characters += 1
    return nats / characters / log(2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.language", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of annotated pages")
    parser.add_argument("--assets", type=Path, default=Path("build/assets"), help="what training.fonts fetched")
    parser.add_argument("--contexts", type=int, default=70_000, help="contexts to keep; each takes about 40 bytes")
    parser.add_argument("--version", required=True, help="what the card calls this model")
    parser.add_argument("--out", type=Path, default=FOLDER / "language.npz")
    arguments = parser.parse_args()
    pages = load_pages(arguments.data)
    lines = {
        split: [straight(line.text) for page in pages if page.split == split for line in page.lines if line.text]
        for split in ("train", "val")
    }
    groups = [(lines["train"], 1.0)]
    for seed, (language, characters) in enumerate(CHARACTERS.items()):
        groups.append((composed_lines(arguments.assets, language, characters, seed), WEIGHTS[language]))
    groups.append(([line.upper() for line in lines["train"]], CAPITALS))
    table = fit(groups, arguments.contexts)
    table.save(arguments.out)
    held_out = [line for line in lines["val"] if set(line) <= set(CHARSET)]
    bits = cross_entropy(LanguageModel(table, SEARCH), held_out)
    card = {
        "name": f"ngram-{len(table.contexts[-1]) + 1}",
        "version": arguments.version,
        "sha256": hashlib.sha256(arguments.out.read_bytes()).hexdigest(),
        "search": asdict(SEARCH),
        "contexts": len(table.contexts),
        "bits_a_character_of_held_out_lines": round(bits, 3),
        "training": {
            "command": "python -m training.language --data PAGES"
            f" --contexts {arguments.contexts} --version {arguments.version}",
            "data": credits({page.source for page in pages if page.split == "train"})["data"],
            "texts": text_credits(),
        },
    }
    arguments.out.with_suffix(".json").write_text(
        json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"{len(table.contexts):,} contexts, {bits:.3f} bits a character of held-out lines")


if __name__ == "__main__":
    main()
