"""Hands: a typeface with the habits of a writer, a printer or a typist, and how wide its text becomes."""

from __future__ import annotations

import math
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.random import Generator

from training.synthesis.fonts import Face, files_of, open_font

# The share of hands that write some letters as capitals wherever they stand.
MIXED = 0.06
LIGATURES = {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss"}


@dataclass(frozen=True)
class Hand:
    """How one page is written: a face and what the writer does with it. Lengths are shares of `height`.

    Attributes
    ----------
    height : float
        Ascender to descender, pixels.
    wander, swell, slant, slant_wander, stretch : float
        How far the baseline, the letter size, the slope of the stems (tangent) and the letter spacing stray.
    slope : float
        How much the lines' slopes differ, tangent.
    gap : float
        Space between words, as a factor of the face's own.
    narrow : float
        Width of the letters, as a factor of the face's own.
    loose : float
        How much each letter strays by itself; 0 sets whole words, with the joins that the face has between letters.
    uneven : float
        How much the ink of one letter differs from the next (a typewriter's ribbon).
    thickness : float
        How much thicker the strokes are than the face's own.
    nib : float
        Width of a broad pen held at 45 degrees.
    curly : bool
        Writes curly apostrophes and quotation marks.
    raised : str
        Small letters that the writer draws as capitals wherever they stand, with or without an accent.
    """

    face: Face
    height: float
    wander: float = 0.0
    swell: float = 0.0
    slant: float = 0.0
    slant_wander: float = 0.0
    stretch: float = 0.0
    slope: float = 0.0
    gap: float = 1.0
    narrow: float = 1.0
    loose: float = 0.0
    uneven: float = 0.0
    thickness: float = 0.0
    nib: float = 0.0
    curly: bool = False
    raised: str = ""


def make_hand(rng: Generator, face: Face) -> Hand:
    """Draw the habits of a writer, a printer or a typist."""
    height = float(np.clip(rng.lognormal(math.log(42 if face.style == "typewriter" else 48), 0.25), 30, 75))
    curly = bool(rng.random() < 0.5)
    if face.style == "print":
        return Hand(face, height, gap=rng.uniform(0.9, 1.2), thickness=rng.choice([0, 0, 0.01]), curly=curly)
    if face.style == "typewriter":
        loose, uneven = rng.choice([0.0, rng.uniform(0.005, 0.03)], p=[0.3, 0.7]), rng.uniform(0, 0.4)
        return Hand(face, height, loose=loose, uneven=uneven, thickness=rng.uniform(0, 0.02), curly=curly and not loose)
    calm = rng.uniform(0.3, 1.3)
    return Hand(
        face,
        height,
        wander=calm * rng.uniform(0.01, 0.09),
        swell=calm * rng.uniform(0.02, 0.12),
        slant=rng.normal(0.04, 0.15),
        slant_wander=calm * rng.uniform(0.02, 0.1),
        stretch=calm * rng.uniform(0.01, 0.04),
        slope=rng.choice([0.003, 0.008, 0.02]),
        gap=rng.uniform(0.9, 1.9),
        narrow=float(np.clip(rng.normal(0.98, 0.12), 0.7, 1.25)),
        loose=0.0 if face.style == "script" or rng.random() < 0.6 else rng.uniform(0.01, 0.05),
        uneven=rng.uniform(0, 0.2),
        thickness=rng.choice([0, rng.uniform(0, 0.03)]),
        nib=rng.choice([0, rng.uniform(0.03, 0.07)], p=[0.8, 0.2]),
        curly=curly,
        raised=draw_raised(rng) if face.style == "hand" and rng.random() < MIXED else "",
    )


def draw_raised(rng: Generator) -> str:
    """The letters that someone draws as capitals who mixes them into words: few of them, or most."""
    share = rng.uniform(0.15, 0.85)
    return "".join(letter for letter in string.ascii_lowercase if rng.random() < share)


def choose_face(rng: Generator, faces: Sequence[Face], style: str) -> Face:
    """A face of a style, every family equally likely, calligraphy and capitals less so."""
    families: dict[str, list[Face]] = {}
    for face in faces:
        if face.style == style or (style == "hand" and face.style == "script"):
            families.setdefault(face.family, []).append(face)
    weights = np.array(
        [
            (0.25 if found[0].style == "script" else 1.0) * (0.4 if found[0].caps_only else 1.0)
            for found in families.values()
        ]
    )
    chosen = list(families.values())[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return chosen[int(rng.integers(len(chosen)))]


def drawable(face: Face, text: str) -> str:
    """`text` as the face can draw it: base letters for accented ones it lacks, upper case if it has no other."""
    text = text.upper() if face.caps_only else text
    files = files_of(face)
    kept = [
        character if character in files else LIGATURES.get(character, unicodedata.normalize("NFD", character)[0])
        for character in text
    ]
    return " ".join("".join(character for character in "".join(kept) if character in files).split())


def raise_letters(text: str, raised: str) -> str:
    """`text` with some of its small letters, whatever their accents, as capitals."""
    return "".join(
        letter.upper() if unicodedata.normalize("NFD", letter)[0] in raised else letter
        for letter in unicodedata.normalize("NFC", text)
    )


def typographic(face: Face, text: str) -> str:
    """`text` with curly marks where the face has them; the opening quotation mark after a space or bracket."""
    if not set("‘’“”") <= files_of(face).keys():
        return text
    marks = []
    for before, character in zip(" " + text, text, strict=False):
        opening = before in " (["
        marks.append({"'": "‘" if opening else "’", '"': "“" if opening else "”"}.get(character, character))
    return "".join(marks)


@dataclass(frozen=True)
class Metrics:
    """A face at the size that gives a hand's height: font size, height, ascent, descent and x-height in pixels."""

    size: int
    height: float
    ascent: float
    descent: float
    x_height: float


@lru_cache(maxsize=1024)
def measure(face: Face, height: float) -> Metrics:
    """Find the font size at which ascenders and descenders together are `height` pixels."""
    font = open_font(face.paths[0], 100)
    letters = "HILT" if face.caps_only else "bdhkl"
    ascent = -font.getbbox(letters, anchor="ls")[1]
    descent = font.getbbox("gpqy" if not face.caps_only else "Q,;", anchor="ls")[3]
    x_height = -font.getbbox("HE" if face.caps_only else "xnoe", anchor="ls")[1]
    scale = height / (ascent + descent)
    return Metrics(max(8, round(100 * scale)), height, ascent * scale, descent * scale, x_height * scale)


def runs(face: Face, word: str) -> list[tuple[str, str]]:
    """Stretches of a word with the file that draws each, without the characters that the face lacks."""
    files = files_of(face)
    known = (character for character in word if character in files)
    return [("".join(group), path) for path, group in groupby(known, key=files.__getitem__)]


@lru_cache(maxsize=8192)
def word_width(face: Face, size: int, word: str) -> float:
    return sum(open_font(path, size).getlength(text) for text, path in runs(face, word))


@dataclass(frozen=True)
class Setting:
    """A hand at one letter size, `scale` times its own."""

    hand: Hand
    scale: float = 1.0

    @property
    def metrics(self) -> Metrics:
        return measure(self.hand.face, self.hand.height * self.scale)

    @property
    def space(self) -> float:
        """Width of the space between words, pixels."""
        return max(self.width(" ") * self.hand.gap, 0.2 * self.hand.height * self.scale)

    def width(self, word: str) -> float:
        """Width of a word, pixels."""
        return self.hand.narrow * word_width(self.hand.face, self.metrics.size, word)

    def length(self, line: str) -> float:
        """Width of a line, pixels."""
        return sum(map(self.width, line.split())) + self.space * line.count(" ")


def wrap(rng: Generator, setting: Setting, text: str, width: float, hyphens: bool) -> list[str]:
    """Lines of `text` no wider than `width` pixels; with `hyphens`, long words may be divided at line ends."""
    lines: list[list[str]] = [[]]
    filled = 0.0
    words = text.split()[::-1]
    while words:
        word = words.pop()
        needed, room = setting.width(word), width - filled
        if needed <= room or (len(word) == 1 and not lines[-1]):
            lines[-1].append(word)
            filled += needed + setting.space
            continue
        cut = int(len(word) * room / needed) - 1
        if needed > width and (room > needed / 4 or not lines[-1]):
            cut = max(cut, 1)
        elif not (hyphens and word.isalpha() and 2 <= cut <= len(word) - 3 and rng.random() < 0.5):
            cut = 0
        if cut:
            lines[-1].append(word[:cut] + ("-" if word.isalpha() and "-" in files_of(setting.hand.face) else ""))
        lines.append([])
        filled = 0.0
        words.append(word[cut:])
    return [" ".join(line) for line in lines if line]
