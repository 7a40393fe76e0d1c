"""Write any text in a recorded hand: parts of its words, cut between their letters and joined anew.

The recogniser finds the letters of each recorded word; a word is cut where the pen crosses least between two of them.
Accents and other marks that English lacks are drawn.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from paragraph_ocr.pipeline.ctc import align
from paragraph_ocr.pipeline.recognition import Recognizer
from training.data.strips import cache_path
from training.data.strokes import PenItem, Points, draw_plain, join_words

# A hand with fewer words than this has too few letters.
MIN_WORDS = 25
# Mean log probability per character below which a word is taken for illegible or wrongly labelled, and the probability
# below which a letter of another word is not used.
MIN_LIKELIHOOD, MIN_PROBABILITY = -1.0, 0.3
# Longest part of a word that is used, in letters.
LONGEST = 5
# Words that are read at once.
BATCH = 64
# Steps of the search for a cut, and the part of the distance between two letters in which it lies.
GRID, REACH = 13, (0.2, 0.8)
# Ends of the pen at a cut that are further apart vertically than this are not joined, in x-heights.
MAX_STEP = 0.7
# Letters whose dots or bars are often written after the word.
DELAYED = "ijtfxXTIFEHA"
# What stands in a ring is in brackets in the text.
CIRCLED = re.compile(r"\([0-9A-Za-z]{1,2}\)")
# Combining marks that are drawn above a letter; their names are those of `MARKS`.
ABOVE = {
    "\u0300": "grave",
    "\u0301": "acute",
    "\u0302": "circumflex",
    "\u0303": "tilde",
    "\u0304": "macron",
    "\u0306": "breve",
    "\u0307": "dot",
    "\u0308": "diaeresis",
    "\u030a": "ring",
    "\u030b": "double_acute",
    "\u030c": "caron",
}
BELOW = {"\u0327": "cedilla", "\u0328": "ogonek", "\u0326": "comma", "\u0323": "dot"}
# Letters without a canonical decomposition: what is written, and the mark through or beside it.
OTHERS = {
    "œ": ("oe", ""),
    "Œ": ("OE", ""),
    "æ": ("ae", ""),
    "ø": ("o", "slash"),
    "Ø": ("O", "slash"),
    "ł": ("l", "bar"),
}
# Strokes of the marks, (x, y) from the middle of their lower end (above letters), upper end (below) or the baseline
# (through letters), in their size, y down.
MARKS: dict[str, list[list[tuple[float, float]]]] = {
    "grave": [[(-0.4, -0.8), (0.3, 0.0)]],
    "acute": [[(-0.3, 0.0), (0.4, -0.8)]],
    "circumflex": [[(-0.5, 0.0), (0.0, -0.8), (0.5, 0.0)]],
    "tilde": [[(-0.6, 0.0), (-0.25, -0.5), (0.2, -0.05), (0.6, -0.5)]],
    "macron": [[(-0.5, -0.2), (0.5, -0.2)]],
    "breve": [[(-0.5, -0.6), (-0.25, -0.1), (0.25, 0.0), (0.5, -0.6)]],
    "dot": [[(0.0, -0.2), (0.1, -0.1)]],
    "diaeresis": [[(-0.5, -0.35), (-0.5, -0.1)], [(0.45, -0.35), (0.4, -0.1)]],
    "diaeresis as a bar": [[(-0.6, -0.2), (0.6, -0.2)]],
    "ring": [[(0.0, 0.0), (0.4, -0.2), (0.4, -0.6), (0.0, -0.85), (-0.4, -0.6), (-0.35, -0.2), (0.05, 0.0)]],
    "double_acute": [[(-0.5, 0.0), (-0.1, -0.9)], [(0.15, 0.0), (0.55, -0.9)]],
    "caron": [[(-0.5, -0.8), (0.0, 0.0), (0.5, -0.8)]],
    "cedilla": [[(0.0, 0.0), (0.05, 0.25), (0.45, 0.5), (0.1, 0.9), (-0.4, 0.8)]],
    "ogonek": [[(0.2, 0.0), (-0.2, 0.4), (0.1, 0.8), (0.5, 0.7)]],
    "comma": [[(0.1, 0.3), (-0.2, 1.0)]],
    "slash": [[(-1.2, 0.4), (1.2, -2.4)]],
    "bar": [[(-0.7, -1.7), (0.7, -2.3)]],
}
# Strokes of signs in x-heights, for hands that have none.
SIGNS: dict[str, list[list[tuple[float, float]]]] = {
    ".": [[(0.25, -0.06), (0.3, -0.02)]],
    ",": [[(0.3, -0.08), (0.27, 0.08), (0.12, 0.35)]],
    ":": [[(0.25, -0.06), (0.3, -0.02)], [(0.27, -0.66), (0.32, -0.6)]],
    ";": [[(0.3, -0.08), (0.27, 0.08), (0.12, 0.35)], [(0.27, -0.66), (0.32, -0.6)]],
    "!": [[(0.25, -0.06), (0.3, -0.02)], [(0.3, -1.9), (0.28, -0.5)]],
    "'": [[(0.3, -1.8), (0.26, -1.6), (0.15, -1.4)]],
    "-": [[(0.05, -0.5), (0.75, -0.5)]],
}
# Share of the diaereses that are written as a bar.
BARS = 0.12


@dataclass(frozen=True)
class CutWord:
    """A recorded word with its letters' limits.

    Attributes
    ----------
    item : PenItem
        Upright: its slant is taken out.
    limits : float64 (letters + 1)
        x at which each letter begins, and at which the last ends, x-heights.
    owners : tuple of int
        For each stroke, the letter to which all of it belongs, or -1 if it is cut at the limits.
    legible : tuple of bool
        For each letter, whether the recogniser reads it.
    """

    item: PenItem
    limits: NDArray[np.float64]
    owners: tuple[int, ...]
    legible: tuple[bool, ...]


@dataclass(frozen=True)
class Part:
    """Strokes of some letters, with x from 0 to `width`; `left` and `right` are the strokes whose cut end is there."""

    strokes: tuple[Points, ...]
    width: float
    left: tuple[int, ...]
    right: tuple[int, ...]


def measure_slant(items: Sequence[PenItem]) -> float:
    """Return the slant of a hand, the x of its down-strokes per y; 0 is upright, negative leans to the right."""
    steps = [np.diff(stroke, axis=0) for item in items for stroke in item.strokes if len(stroke) > 1]
    if not steps:
        return 0.0
    dx, dy = np.concatenate(steps).T
    steep = (dy > 0) & (np.abs(dx) < 1.5 * dy)
    weight = float((dy[steep] ** 2).sum())
    return float(np.clip((dx[steep] * dy[steep]).sum() / weight, -1.2, 0.8)) if weight else 0.0


def shear(item: PenItem, slant: float) -> PenItem:
    """Move each point of an item by `slant` x-heights to the right for each below the baseline."""
    moved = tuple(
        np.stack([stroke[:, 0] + np.float32(slant) * stroke[:, 1], stroke[:, 1]], axis=1) for stroke in item.strokes
    )
    return replace(item, strokes=moved)


def split_line(item: PenItem, places: Sequence[float]) -> list[PenItem]:
    """Split a line into its words; `places` are x in the middle of the spaces between them."""
    words = item.text.split()
    groups: list[list[Points]] = [[] for _ in words]
    for stroke in item.strokes:
        groups[int(np.searchsorted(places, float(stroke[:, 0].mean())))].append(stroke)
    return [PenItem(tuple(strokes), word, item.hand) for word, strokes in zip(words, groups, strict=True)]


def crossings(strokes: Sequence[Points], x: float) -> list[float]:
    """The y at which strokes cross a vertical line."""
    found = []
    for stroke in strokes:
        side = stroke[:, 0] > x
        for at in np.flatnonzero(side[1:] != side[:-1]).tolist():
            (x0, y0), (x1, y1) = stroke[at], stroke[at + 1]
            found.append(float(y0 + (y1 - y0) * (x - x0) / (x1 - x0)))
    return found


def cut_word(item: PenItem, centres: Sequence[float], legible: Sequence[bool]) -> CutWord:
    """Cut a word between its letters, where the pen crosses least; `centres` are the x of its letters."""
    owners = [-1] * len(item.strokes)
    for number, stroke in enumerate(item.strokes):
        if number and stroke[:, 1].max() < -0.55 and np.ptp(stroke[:, 0]) < 1.8 and np.ptp(stroke[:, 1]) < 0.6:
            # A dot or a bar, which may stand beside its letter.
            middle = float(stroke[:, 0].mean())
            able = [index for index, letter in enumerate(item.text) if letter in DELAYED]
            if able:
                nearest = min(able, key=lambda index: abs(centres[index] - middle))
                if abs(centres[nearest] - middle) < 1.6:
                    owners[number] = nearest
    cut = [stroke for stroke, owner in zip(item.strokes, owners, strict=True) if owner < 0]
    limits = [min(float(stroke[:, 0].min()) for stroke in item.strokes) - 0.1]
    for before, after in pairwise(centres):
        distance = after - before
        grid = before + distance * np.linspace(*REACH, GRID)
        costs = []
        for x in grid.tolist():
            heights = crossings(cut, x)
            # One stroke near the baseline is what joins two letters; several are a letter.
            cost = 1.0 * len(heights) + sum(0.3 * max(-y - 0.2, 0.0) for y in heights)
            costs.append(cost + 0.4 * abs(x - (before + after) / 2) / max(distance, 1e-3))
        limits.append(max(float(grid[int(np.argmin(costs))]), limits[-1] + 0.02))
    limits.append(max(item.width + 0.1, limits[-1] + 0.02))
    return CutWord(item, np.array(limits), tuple(owners), tuple(legible))


def take(word: CutWord, first: int, last: int) -> Part:
    """Return the letters from `first` to before `last` of a word."""
    begin, end = float(word.limits[first]), float(word.limits[last])
    strokes: list[Points] = []
    left: list[int] = []
    right: list[int] = []
    origin = np.array([begin, 0.0], np.float32)
    for stroke, owner in zip(word.item.strokes, word.owners, strict=True):
        if owner >= 0:
            if first <= owner < last:
                strokes.append(stroke - origin)
            continue
        if len(stroke) == 1:
            if begin <= stroke[0, 0] < end:
                strokes.append(stroke - origin)
            continue
        # The point at each limit is added, so that the pieces end there.
        points = [stroke[0]]
        for before, after in pairwise(stroke):
            shares = [
                (x - before[0]) / (after[0] - before[0]) for x in (begin, end) if (before[0] - x) * (after[0] - x) < 0
            ]
            points += [before + share * (after - before) for share in sorted(shares)]
            points.append(after)
        line = np.array(points, np.float32)
        middle = (line[:-1, 0] + line[1:, 0]) / 2
        inside = np.concatenate([[False], (middle >= begin) & (middle <= end), [False]])
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            piece = line[start : stop + 1]
            if np.hypot(*(piece.max(axis=0) - piece.min(axis=0))) < 0.06 and len(stroke) > 3:
                # A trace of the neighbouring letter.
                continue
            number = len(strokes)
            if first > 0 and min(abs(piece[0, 0] - begin), abs(piece[-1, 0] - begin)) < 1e-3:
                left.append(number)
            if last < len(word.item.text) and min(abs(piece[0, 0] - end), abs(piece[-1, 0] - end)) < 1e-3:
                right.append(number)
            strokes.append(piece - origin)
    return Part(tuple(strokes), end - begin, tuple(left), tuple(right))


def _toward(piece: Points, x: float, backward: bool) -> Points:
    """A piece in the direction in which it ends (or, if `backward`, begins) at x."""
    ends_there = abs(piece[-1, 0] - x) <= abs(piece[0, 0] - x)
    return piece[::-1] if ends_there == backward else piece


def join_parts(parts: Sequence[Part], rng: Generator) -> tuple[Points, ...]:
    """Join parts to a word, and the ends of the pen where both sides were cut."""
    strokes: list[Points] = []
    open_ends: list[int] = []
    at = 0.0
    for part in parts:
        own = [stroke + np.array([at, 0.0], np.float32) for stroke in part.strokes]
        joined: dict[int, int] = {}
        if open_ends and part.left:
            pairs = [
                (abs(float(_toward(strokes[a], at, False)[-1, 1] - _toward(own[b], at, True)[0, 1])), a, b)
                for a in open_ends
                for b in part.left
            ]
            step, a, b = min(pairs)
            if step < MAX_STEP:
                before, after = _toward(strokes[a], at, False), _toward(own[b], at, True)
                middle = float(before[-1, 1] + after[0, 1]) / 2
                strokes[a] = np.concatenate([_bend(before, at, middle), _bend(after, at, middle)[1:]])
                joined[b] = a
        numbers = {}
        for number, stroke in enumerate(own):
            if number in joined:
                numbers[number] = joined[number]
            else:
                numbers[number] = len(strokes)
                strokes.append(stroke)
        open_ends = [numbers[number] for number in part.right]
        at += part.width * float(np.exp(rng.normal(0.0, 0.02)))
    return tuple(strokes)


def _bend(piece: Points, x: float, y: float) -> Points:
    """Move the end of a piece at x to the height y, and what is near it by less."""
    at = 0 if abs(piece[0, 0] - x) < abs(piece[-1, 0] - x) else -1
    near = np.clip(1.0 - np.abs(piece[:, 0] - x) / 0.6, 0.0, 1.0)
    bent = piece.copy()
    bent[:, 1] += near * np.float32(y - piece[at, 1])
    return bent


def draw_mark(name: str, x: float, y: float, rng: Generator) -> list[Points]:
    """Strokes of a mark of `MARKS` with its origin at (x, y), x-heights, of some size and unevenness."""
    size, lean = float(rng.uniform(0.3, 0.6)), float(rng.normal(0.0, 0.15))
    strokes = []
    for shape in MARKS[name]:
        points = np.array(shape) + rng.normal(0.0, 0.09, (len(shape), 2))
        across = points[:, 0] - lean * points[:, 1]
        strokes.append(np.stack([x + size * across, y + size * points[:, 1]], axis=1).astype(np.float32))
    return strokes


def draw_sign(character: str, rng: Generator) -> Part:
    """A sign of `SIGNS`, for a hand that has none."""
    strokes = [
        (np.array(shape) + rng.normal(0.0, 0.04, (len(shape), 2))).astype(np.float32) for shape in SIGNS[character]
    ]
    return Part(tuple(strokes), max(float(stroke[:, 0].max()) for stroke in strokes) + 0.2, (), ())


class HandBank:
    """The cut words of one hand.

    Parameters
    ----------
    words : sequence of CutWord
    slant : float
        That was taken out of the words.
    """

    def __init__(self, words: Sequence[CutWord], slant: float) -> None:
        self.words, self.slant = words, slant
        self.parts: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for number, word in enumerate(words):
            text = word.item.text
            for first in range(len(text)):
                for last in range(first + 1, min(len(text), first + LONGEST) + 1):
                    if not word.legible[last - 1]:
                        break
                    self.parts[text[first:last]].append((number, first, last))

    def write(self, text: str, rng: Generator) -> PenItem | None:
        """Write a word; None if the hand lacks one of its letters."""
        plain, marks = decompose(text)
        parts: list[Part] = []
        spans: list[tuple[int, int, int]] = []
        at = 0
        while at < len(plain):
            lengths = [n for n in range(1, LONGEST + 1) if at + n <= len(plain) and plain[at : at + n] in self.parts]
            if not lengths:
                if plain[at] not in SIGNS:
                    return None
                parts.append(draw_sign(plain[at], rng))
                spans.append((-1, 0, 0))
                at += 1
                continue
            # Mostly the longest part that the hand has, and sometimes a shorter one.
            length = lengths[-1] if rng.random() < 0.7 else int(rng.choice(lengths))
            choices = self.parts[plain[at : at + length]]
            span = choices[int(rng.integers(len(choices)))]
            parts.append(take(self.words[span[0]], span[1], span[2]))
            spans.append(span)
            at += length
        strokes = list(join_parts(parts, rng))
        strokes += self._marks(marks, parts, spans, rng)
        if not strokes:
            return None
        upright = PenItem(tuple(strokes), text, 0)
        word = shear(upright, self.slant)
        left = min(float(stroke[:, 0].min()) for stroke in word.strokes)
        return replace(word, strokes=tuple(stroke - np.array([left, 0], np.float32) for stroke in word.strokes))

    def _marks(
        self, marks: dict[int, str], parts: Sequence[Part], spans: Sequence[tuple[int, int, int]], rng: Generator
    ) -> list[Points]:
        """The strokes of marks above, below and through letters, by the letters' numbers."""
        found: list[Points] = []
        letter, x = 0, 0.0
        for part, (number, first, last) in zip(parts, spans, strict=True):
            for index in range(first, max(last, first + 1)):
                if (name := marks.get(letter)) and number >= 0:
                    limits = self.words[number].limits
                    begin, end = (float(limits[each] - limits[first]) for each in (index, index + 1))
                    inside = [s[(s[:, 0] >= begin) & (s[:, 0] <= end)] for s in part.strokes]
                    points = np.concatenate([*inside, [[(begin + end) / 2, -0.5]]])
                    middle = x + (begin + end) / 2 + float(rng.normal(0.0, 0.08))
                    for mark in name.split("+"):
                        if mark in BELOW.values() and mark != "dot":
                            y = float(np.clip(points[:, 1].max(), -0.1, 0.2))
                        elif mark in ("slash", "bar"):
                            y = 0.0
                        else:
                            y = float(np.clip(points[:, 1].min(), -2.2, -0.9)) - float(rng.uniform(0.12, 0.4))
                        if mark == "diaeresis" and rng.random() < BARS:
                            mark = "diaeresis as a bar"
                        found += draw_mark(mark, middle, y, rng)
                letter += 1
            x += part.width
        return found


def circle(item: PenItem, rng: Generator) -> PenItem:
    """Draw a ring around an upright word, as writers do around numbers: uneven, askew, and not quite closed or more."""
    points = np.concatenate(item.strokes)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    radii = np.array([right - left, bottom - top]) / 2 * rng.uniform(1.1, 1.4, 2) + rng.uniform(0.15, 0.5, 2)
    # Most rings are about as wide as tall, also around a single figure.
    radii = np.maximum(radii, radii.max() * rng.uniform(0.6, 1.0))
    middle = np.array([(left + right) / 2, (top + bottom) / 2]) + rng.normal(0.0, 0.08, 2)
    turns = float(rng.uniform(0.93, 1.12))
    angles = float(rng.uniform(0, 2 * np.pi)) + float(rng.choice([-1, 1])) * np.linspace(0, 2 * np.pi * turns, 40)
    swell = 1 + np.cumsum(rng.normal(0.0, 0.012, len(angles)))
    ring = middle + radii * swell[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Both together are often no taller than a line.
    size = rng.uniform(0.6, 1.0)
    strokes = [(stroke - middle) * size + middle for stroke in (*item.strokes, ring)]
    start = np.array([min(float(stroke[:, 0].min()) for stroke in strokes), 0.0])
    return replace(item, strokes=tuple(np.asarray(stroke - start, np.float32) for stroke in strokes))


def widest_gap(item: PenItem) -> float:
    """Return the widest space between the strokes of an upright word, x-heights."""
    spans = sorted((float(stroke[:, 0].min()), float(stroke[:, 0].max())) for stroke in item.strokes)
    widest, end = 0.0, spans[0][1]
    for begin, last in spans:
        widest, end = max(widest, begin - end), max(end, last)
    return widest


def decompose(text: str) -> tuple[str, dict[int, str]]:
    """Return the letters that are written for a text, and the marks by the number of their letter.

    An i below a mark keeps its dot.
    """
    plain, marks = "", {}
    for character in text:
        if character in OTHERS:
            letters, mark = OTHERS[character]
            if mark:
                marks[len(plain)] = mark
            plain += letters
            continue
        decomposed = unicodedata.normalize("NFD", character)
        base, names = decomposed[0], [ABOVE.get(mark) or BELOW.get(mark) for mark in decomposed[1:]]
        if names:
            marks[len(plain)] = "+".join(name for name in names if name)
        plain += base
    return plain, marks


def find_letters(items: Sequence[PenItem], recognizer: Recognizer) -> list[NDArray[np.float32] | None]:
    """Let the recogniser align each item's characters, spaces included.

    Returns
    -------
    list of float32 (N, 2) or None
        For each item the x and the probability of its characters; None where it reads something else.
    """
    charset = recognizer.model.card.charset
    classes = {character: index + 1 for index, character in enumerate(charset)}
    found: list[NDArray[np.float32] | None] = []
    for start in tqdm(range(0, len(items), BATCH), desc="letters", unit_scale=BATCH):
        part = items[start : start + BATCH]
        drawn = [draw_plain(item, recognizer.geometry) for item in part]
        for item, (pixels, scale, reach), seen in zip(
            part, drawn, recognizer.log_probabilities([pixels for pixels, _, _ in drawn]), strict=True
        ):
            del pixels
            if not set(item.text) <= classes.keys() or len(seen) < 2 * len(item.text) + 1:
                found.append(None)
                continue
            (letters,) = align([(seen, [classes[character] for character in item.text])], charset, 0)
            if not letters or np.mean([np.log(max(letter.confidence, 1e-6)) for letter in letters]) < MIN_LIKELIHOOD:
                found.append(None)
                continue
            middles = np.array([(letter.first + letter.last + 1) / 2 for letter in letters])
            places = (middles * recognizer.columns_a_step - reach) / scale
            found.append(np.stack([places, [letter.confidence for letter in letters]], axis=1).astype(np.float32))
    return found


def load_letters(items: Sequence[PenItem], recognizer: Recognizer, folder: Path) -> list[NDArray[np.float32] | None]:
    """As `find_letters`, with the result kept in a folder."""
    rows = (f"{item.hand} {item.text} {len(item.strokes)}\n" for item in items)
    path = cache_path(folder, "letters", [recognizer.model.card.label, *rows], ".npz")
    if not path.exists():
        found = find_letters(items, recognizer)
        counts = np.array([-1 if x is None else len(x) for x in found])
        places = [np.empty((0, 2), np.float32), *(x for x in found if x is not None)]
        np.savez(path, counts=counts, places=np.concatenate(places))
    with np.load(path) as content:
        counts, places = content["counts"], content["places"]
    ends = np.cumsum(np.maximum(counts, 0))
    return [None if n < 0 else places[end - n : end] for n, end in zip(counts.tolist(), ends.tolist(), strict=True)]


class Recomposer:
    """The hands of one split that can write any text.

    Parameters
    ----------
    items : sequence of PenItem
        Recorded lines and words.
    recognizer : Recognizer
        The product's, which finds the letters.
    folder : Path
        Keeps the places of the letters.
    """

    def __init__(self, items: Sequence[PenItem], recognizer: Recognizer, folder: Path) -> None:
        hands: dict[int, list[tuple[PenItem, NDArray[np.float32]]]] = defaultdict(list)
        for item, places in zip(items, load_letters(items, recognizer, folder), strict=True):
            if places is None:
                continue
            spaces = [index for index, character in enumerate(item.text) if character == " "]
            words = split_line(item, [float(places[index, 0]) for index in spaces])
            if len(words) != len(spaces) + 1:
                continue
            starts = [0, *(index + 1 for index in spaces)]
            for word, start in zip(words, starts, strict=True):
                if word.strokes:
                    hands[item.hand].append((word, places[start : start + len(word.text)]))
        self.hands = {hand: words for hand, words in hands.items() if len(words) >= MIN_WORDS}
        self.bank = cache(self._bank)

    def _bank(self, hand: int) -> HandBank:
        own = self.hands[hand]
        slant = measure_slant([word for word, _ in own])
        cut = []
        for word, places in own:
            # The recogniser sees a letter at half of its height.
            centres = np.maximum.accumulate(places[:, 0] + np.float32(slant * 0.5))
            legible = (places[:, 1] >= MIN_PROBABILITY).tolist()
            cut.append(cut_word(shear(word, -slant), centres.tolist(), legible))
        return HandBank(cut, slant)

    def line(self, words: Sequence[str], rng: Generator) -> PenItem | None:
        """Write words in one hand; those that it cannot write are left out, None if these are all."""
        hands = list(self.hands)
        bank = self.bank(hands[int(rng.integers(len(hands)))])
        written = [item for word in words if (item := self._write(bank, word, rng)) is not None]
        if not written:
            return None
        # Printed letters may stand further apart than the words of another hand.
        widest = max(widest_gap(shear(word, -bank.slant)) for word in written)
        return join_words(written, rng, 1.3 * widest + 0.2)

    @staticmethod
    def _write(bank: HandBank, word: str, rng: Generator) -> PenItem | None:
        """Write a word in a hand; half of what is in brackets and short is in a ring instead."""
        if CIRCLED.fullmatch(word) and rng.random() < 0.5:
            inside = bank.write(word[1:-1], rng)
            return replace(circle(inside, rng), text=word) if inside else None
        return bank.write(word, rng)
