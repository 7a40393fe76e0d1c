"""Make new lines from the beginning of one line and the end of another of the same writer, cut between words."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from paragraph_ocr.pipeline.recognition import Recognizer
from paragraph_ocr.pipeline.rectification import Normalisation, to_ink
from training.data.strips import MARGIN, Strip, cache_path

# Strips that are read at once.
BATCH = 64


@dataclass(frozen=True)
class Cut:
    """A position between two words of a line: the numbers of columns and of words to the left of it."""

    column: int
    words: int


def find_cuts(strips: list[Strip], recognizer: Recognizer, greedy: bool = False) -> list[list[Cut]]:
    """Find the cuts of each line: between two words that the recogniser reads correctly, where there is least ink.

    Parameters
    ----------
    strips : list of Strip
        As `training.data.strips.enlarged` makes them.
    recognizer : Recognizer
    greedy : bool
        Whether to decode without a language model: several times as fast, with fewer words right.

    Returns
    -------
    list of list of Cut
        One list for each strip, columns in pixels of the strip.
    """
    found: list[list[Cut]] = []
    for start in tqdm(range(0, len(strips), BATCH), desc="cuts", unit_scale=BATCH):
        part = strips[start : start + BATCH]
        for strip, seen in zip(
            part, recognizer.log_probabilities([_core(strip, recognizer) for strip in part]), strict=True
        ):
            if greedy:
                characters = recognizer.best_path(seen)
            else:
                (characters,) = recognizer.read([seen], recognizer.language_of([seen]))
            spaces = [index for index, character in enumerate(characters) if character.text == " "]
            words = "".join(character.text for character in characters).split(" ")
            ink = to_ink(np.asarray(strip.pixels), Normalisation()).clip(0).sum(axis=0)
            cuts = []
            matcher = SequenceMatcher(None, strip.text.split(), words, autojunk=False)
            for true, read, length in matcher.get_matching_blocks():
                for ahead in range(1, length):
                    space = spaces[read + ahead - 1]
                    first, last = (
                        round(
                            step * recognizer.columns_a_step * len(strip.pixels) / (MARGIN * recognizer.geometry.height)
                        )
                        for step in (characters[space - 1].last + 0.5, characters[space + 1].first + 0.5)
                    )
                    gap = ink[first : max(last, first + 1)]
                    if len(gap):
                        # The middle of the columns with least ink.
                        empty = np.flatnonzero(gap <= gap.min() + 0.3)
                        cuts.append(Cut(first + int(empty[len(empty) // 2]), true + ahead))
            found.append(cuts)
    return found


def load_cuts(strips: list[Strip], recognizer: Recognizer, cache: Path) -> list[list[Cut]]:
    """As `find_cuts`, with the result kept in the folder `cache`."""
    rows = (f"{strip.source} {strip.writer} {strip.text} {strip.pixels.shape}\n" for strip in strips)
    path = cache_path(cache, "cuts", [recognizer.model.card.label, *rows], ".json")
    if not path.exists():
        found = [[(cut.column, cut.words) for cut in cuts] for cuts in find_cuts(strips, recognizer)]
        path.write_text(json.dumps(found), encoding="utf-8")
    return [[Cut(*cut) for cut in cuts] for cuts in json.loads(path.read_text(encoding="utf-8"))]


class Splicer:
    """Lines with cuts, by writer."""

    def __init__(self, strips: list[Strip], cuts: list[list[Cut]]) -> None:
        self.strips = strips
        self.cuts = cuts
        hands: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, strip in enumerate(strips):
            if cuts[index]:
                hands[strip.source, strip.writer].append(index)
        self.hands = dict(hands)

    def splice(self, index: int, rng: Generator) -> Strip:
        """Join the beginning of a line and the end of another of its writer; return the line if it has no cut."""
        own = self.strips[index]
        if not self.cuts[index]:
            return own
        other = int(rng.choice(self.hands[own.source, own.writer]))
        left, right = (self.cuts[each][int(rng.integers(len(self.cuts[each])))] for each in (index, other))
        begins, ends = (np.asarray(self.strips[each].pixels) for each in (index, other))
        begins, ends = begins[:, : left.column], ends[:, right.column :]
        words = own.text.split()[: left.words] + self.strips[other].text.split()[right.words :]
        return replace(own, pixels=np.hstack([begins, _on_paper_of(begins, ends)]), text=" ".join(words))

    def insert(self, index: int, other: Strip, rng: Generator) -> Strip:
        """Insert a strip of the same scale between two words of a line; return the line if it has no cut."""
        own = self.strips[index]
        if not self.cuts[index]:
            return own
        cut = self.cuts[index][int(rng.integers(len(self.cuts[index])))]
        pixels, words = np.asarray(own.pixels), own.text.split()
        between = np.asarray(other.pixels)
        if len(between) != len(pixels):
            scale = len(pixels) / len(between)
            between = np.asarray(cv2.resize(between, None, fx=scale, fy=scale), np.uint8)
        parts = [pixels[:, : cut.column], _on_paper_of(pixels, between), pixels[:, cut.column :]]
        text = " ".join([*words[: cut.words], other.text, *words[cut.words :]])
        return replace(own, pixels=np.hstack(parts), text=text)


def make_splicer(strips: list[Strip], sources: Collection[str], recognizer: Recognizer, cache: Path) -> Splicer:
    """Create a splicer of strips; only those of the given sources are cut."""
    chosen = [index for index, strip in enumerate(strips) if strip.source in sources]
    cuts: list[list[Cut]] = [[] for _ in strips]
    for index, own in zip(chosen, load_cuts([strips[each] for each in chosen], recognizer, cache), strict=True):
        cuts[index] = own
    return Splicer(strips, cuts)


def _on_paper_of(pixels: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `other`, made lighter or darker until its paper is that of `pixels`."""
    paper = [float(np.percentile(part[::2, ::2], Normalisation().paper)) for part in (pixels, other)]
    return np.asarray(np.clip(other.astype(np.float32) + (paper[0] - paper[1]), 0, 255), np.uint8)


def _core(strip: Strip, recognizer: Recognizer) -> NDArray[np.uint8]:
    """Crop and scale a strip to the recogniser's input."""
    height, baseline = recognizer.geometry.height, recognizer.geometry.baseline
    scale = MARGIN * height / len(strip.pixels)
    resized = cv2.resize(np.asarray(strip.pixels), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pixels = np.asarray(resized, np.uint8)
    top = round(baseline * (len(pixels) - height))
    return pixels[top : top + height]
