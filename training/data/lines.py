"""Render an endless stream of strips in typefaces: lines of text, and marks that are not text."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from paragraph_ocr.pipeline.rectification import Geometry, cut, frame
from training.data.pages import line_heights
from training.synthesis.corpus import FOREIGN, clean
from training.synthesis.fonts import CHARSET, DECLARATIONS, Face, load_faces, open_font, read_table
from training.synthesis.hands import Hand, Setting, choose_face, drawable, make_hand, raise_letters
from training.synthesis.ink import Sheet, ink_alpha, write_line
from training.synthesis.noise import grain, noise_field
from training.synthesis.signs import Signs

Grey = NDArray[np.uint8]

# Languages with prose; the others have word lists and the Declaration of Human Rights.
PROSE = ("en", "fr", "de", "es", "it", "pt")
# Kinds of content with their shares.
CONTENTS = {"prose": 0.2, "language": 0.3, "signs": 0.22, "names": 0.05, "short": 0.07, "rare": 0.12, "mixed": 0.04}
STYLES = {"hand": 0.32, "print": 0.5, "typewriter": 0.18}
# Languages with characters that few others have are drawn more often.
ACCENTED = ("pl", "cs", "hu", "ro", "tr", "lv", "lt", "es", "nl", "da", "sv", "hr", "sk", "sl", "nb", "is")
# Share of the lines in print that are as small as captions and prices in a scan, and their heights in pixels.
SMALL, SMALL_HEIGHTS = 0.2, (9.0, 18.0)
# Share of the lines in print and typewriting whose letters get marks at random, and of the letters in them that do.
MARKED, MARKED_LETTERS = 0.15, 0.3
# Share of strips that show no text at all.
BLANK = 0.05
# Share of the lines in other scripts that are shown upside down, where Greek resembles numbers.
UPSIDE_DOWN = 0.35
TRAIN_SHARE = 0.9


def _marks_of(charset: str) -> dict[str, list[str]]:
    """Each letter with those of the charset that have a mark or a stroke added to it."""
    found: dict[str, list[str]] = {}
    for letter in charset:
        base = STROKED.get(letter) or unicodedata.normalize("NFD", letter)[0]
        if letter.isalpha() and base != letter and base.isascii():
            found.setdefault(base, []).append(letter)
    return found


# Letters with a stroke, or without their dot, which Unicode does not compose.
STROKED = {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ħ": "h", "Ħ": "H", "ŧ": "t", "ı": "i"}
MARKS_OF = _marks_of(CHARSET)


@dataclass(frozen=True)
class Drawn:
    """A strip, uint8 (H, W), its text, and its style: ``hand``, ``print``, ``typewriter`` or ``blank``."""

    pixels: Grey
    text: str
    style: str


class Texts:
    """The texts of one split.

    Parameters
    ----------
    assets : Path
        Folder written by `training.synthesis.fonts`.
    prose : Path, optional
        Folder with a text of paragraphs, ``xx.txt``, for each language of `PROSE`.
    split : str
        ``train`` has the first nine tenths of every text and list, ``val`` the rest.
    """

    def __init__(self, assets: Path, prose: Path | None, split: str) -> None:
        self.split = split
        texts = assets / "texts"
        self.declarations = {
            language: self._part(clean((texts / f"declaration_{code}.txt").read_text(encoding="utf-8")))
            for language, code in DECLARATIONS.items()
        }
        self.prose = {"en": self._part(clean((texts / "english.txt").read_text(encoding="utf-8")[:3_000_000]))}
        for language in PROSE:
            path = prose / f"{language}.txt" if prose else None
            if path and path.exists():
                with path.open(encoding="utf-8") as file:
                    self.prose[language] = self._part(clean(file.read(4_000_000)))
        self.words: dict[str, list[str]] = {}
        for path in sorted(texts.glob("list_*.txt")):
            words = [word for word in path.read_text(encoding="utf-8").split("\n") if not FOREIGN.search(word)]
            self.words[path.stem.removeprefix("list_")] = self._share([word for word in words if 1 < len(word) < 22])
        self.words["en"] = self._share((texts / "words_en.txt").read_text(encoding="utf-8").split())
        self.words["fr"] = self._share((texts / "words_fr.txt").read_text(encoding="utf-8").split())
        names = json.loads((texts / "names.json").read_text(encoding="utf-8"))
        every = {
            name for kinds in names.values() for kind, found in kinds.items() for name in found if kind[0] in "plcb"
        }
        self.names = self._share(sorted(name for name in every if not FOREIGN.search(name) and len(name) < 40))
        self.containing: dict[str, list[str]] = {}
        for words in (*self.words.values(), self.names):
            for word in words:
                for character in set(word):
                    if character > "~":
                        own = self.containing.setdefault(character, [])
                        if len(own) < 400:
                            own.append(word)

    def _part(self, text: str) -> str:
        edge = int(len(text) * TRAIN_SHARE)
        return text[:edge] if self.split == "train" else text[edge:]

    def _share(self, words: list[str]) -> list[str]:
        return [word for index, word in enumerate(words) if (index % 10 == 9) == (self.split == "val")]


class Composer:
    """Text for lines.

    Parameters
    ----------
    texts : Texts
    rng : numpy.random.Generator
    """

    def __init__(self, texts: Texts, rng: Generator) -> None:
        self.texts, self.rng = texts, rng
        self.common = Signs(rng, texts.words["en"] + texts.words["fr"] + texts.words["de"])

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def line(self) -> str:
        """A line's text, of characters of the charset."""
        rng = self.rng
        length = int(rng.choice([rng.integers(2, 12), rng.integers(12, 32), rng.integers(32, 76)], p=[0.12, 0.28, 0.6]))
        kind = str(rng.choice(list(CONTENTS), p=list(CONTENTS.values())))
        text = str(getattr(self, kind)(length))
        case = rng.random()
        if case < 0.07:
            text = text.upper()
        elif case < 0.1:
            text = text.title()
        text = unicodedata.normalize("NFC", text.replace("i̇", "i"))
        return " ".join(FOREIGN.sub("", text).split())

    def marked(self, text: str) -> str:
        """`text` with marks on letters at random, which no language helps to tell: ì, í, î, ï, į or i."""
        return "".join(
            self.pick(MARKS_OF[letter]) if letter in MARKS_OF and self.rng.random() < MARKED_LETTERS else letter
            for letter in text
        )

    def stretch(self, text: str, length: int) -> str:
        """Return a part of a text between two spaces."""
        start = int(self.rng.integers(max(1, len(text) - length - 60)))
        start = text.find(" ", start) + 1
        end = text.rfind(" ", start, start + length + 1)
        return text[start : end if end > start else start + length]

    def prose(self, length: int) -> str:
        """Return prose of one of `PROSE`, sometimes with a word divided at the end."""
        text = self.stretch(self.texts.prose[self.pick(list(self.texts.prose))], length)
        if self.rng.random() < 0.08 and len(text) > 8:
            text = text[: -int(self.rng.integers(1, 4))].rstrip(" -.,") + "-"
        return text

    def language(self, length: int) -> str:
        """Words of any European language of Latin script: its list's, or the Declaration of Human Rights."""
        language = self.pick(ACCENTED if self.rng.random() < 0.5 else list(self.texts.declarations))
        if language not in self.texts.words or self.rng.random() < 0.35:
            return self.stretch(self.texts.declarations[language], length)
        return self.punctuated(self.texts.words[language], length)

    def punctuated(self, words: Sequence[str], length: int) -> str:
        """Return random words, some with capitals and punctuation."""
        parts: list[str] = []
        while sum(map(len, parts)) + len(parts) < length:
            word = self.pick(words)
            if self.rng.random() < 0.15:
                word = word.capitalize()
            if self.rng.random() < 0.2:
                mark = self.pick([",", ".", ";", ":", "?", "!", ",", ".", '"', "'", ")", "-", "…"])
                word = f"({word})" if mark == ")" else f"{mark}{word}{mark}" if mark in "\"'" else word + mark
            parts.append(word)
        return " ".join(parts)

    def signs(self, length: int) -> str:
        """Amounts, codes, addresses and the like."""
        return self.common.token() if self.rng.random() < 0.3 else self.common.line(length)

    def names(self, length: int) -> str:
        """Names of people and places, titles, companies."""
        parts = [self.pick(self.texts.names)]
        while sum(map(len, parts)) < length - 8:
            parts.append(self.pick([self.pick(self.texts.names), self.pick(self.texts.names), self.common.token()]))
        return self.pick([", ", " ", " ", " - ", "; "]).join(parts)

    def short(self, length: int) -> str:
        """A digit, a letter, a number or a mark alone, or a few of them."""
        del length
        signs = self.common
        return self.pick(
            [
                signs.of("0123456789", 1),
                signs.of("0123456789", 1),
                signs.of("0123456789", 1, 4),
                signs.list_mark(),
                signs.amount(),
                self.pick("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
                signs.of("0123456789", 2),
                f"- {signs.number(2)} -",
                self.pick(["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]),
                self.pick(self.texts.words["en"]),
            ]
        )

    def rare(self, length: int) -> str:
        """Return words that contain rare characters, with equal probabilities."""
        parts: list[str] = []
        while sum(map(len, parts)) + len(parts) < length:
            character = self.pick(CHARSET[1:])
            found = self.texts.containing.get(character) or self.texts.containing.get(character.lower())
            word = self.pick(found) if found else self.pick(self.texts.words["en"])
            if found and character not in word:
                word = word.upper() if self.rng.random() < 0.5 else word.capitalize()
            if not found:
                word = self.pick(
                    [
                        f"{character}{word}",
                        f"{word}{character}",
                        f"{word} {character}",
                        f"{character} {word}",
                        f"{character}{self.common.number(3)}",
                        f"{self.common.number(3)}{character}",
                        f"{word}{character}{self.pick(self.texts.words['fr'])}",
                    ]
                )
            parts.append(word)
        return " ".join(parts)

    def mixed(self, length: int) -> str:
        """Prose with signs in it."""
        words = self.prose(length).split()
        for _ in range(int(self.rng.integers(1, 4))):
            words.insert(int(self.rng.integers(len(words) + 1)), self.common.token())
        return " ".join(words)[: length + 20]


class DrawnLines:
    """Endless strips of drawn lines of one split.

    Parameters
    ----------
    assets : Path
        Folder written by `training.synthesis.fonts`.
    prose : Path, optional
        See `Texts`.
    split : str
        ``train`` or ``val``: the faces and texts of that split.
    geometry : Geometry
        Of the strips.
    """

    def __init__(self, assets: Path, prose: Path | None, split: str, geometry: Geometry) -> None:
        self.geometry = geometry
        self.faces = load_faces(assets, split)
        self.texts = Texts(assets, prose, split)
        self.scripts = [
            (
                assets / "texts" / f"declaration_{row['declaration']}.txt",
                [assets / "fonts" / f"{name}.woff2" for name in row["files"].split(",")],
            )
            for row in read_table("scripts.tsv")
        ]

    def draw(self, rng: Generator) -> Drawn:
        """Return a strip; one of twenty shows no text of the charset."""
        if rng.random() < BLANK:
            return Drawn(self.blank(rng), "", "blank")
        style = str(rng.choice(list(STYLES), p=list(STYLES.values())))
        composer = Composer(self.texts, rng)
        while True:
            text = composer.line()
            if style != "hand" and rng.random() < MARKED:
                text = composer.marked(text)
            if drawn := self.draw_text(rng, style, text):
                return drawn

    def draw_text(self, rng: Generator, style: str, text: str, face: Face | None = None) -> Drawn | None:
        """Render a text in a face of a style; return None if the face lacks its characters or the line is too long."""
        face = face or choose_face(rng, self.faces, style)
        hand = make_hand(rng, face)
        if style == "print":
            # From small print in a poor scan to headings.
            hand = replace(hand, height=float(np.exp(rng.uniform(np.log(17), np.log(70)))))
        setting = Setting(hand)
        text = drawable(face, raise_letters(text, hand.raised))
        if not text:
            return None
        pitch = hand.height * rng.uniform(0.95, 1.8)
        width = int(setting.length(text) * 1.25 + 5 * hand.height) + 20
        if width > 60 * hand.height:
            return None
        sheet = Sheet(np.zeros((int(3.4 * hand.height + 2 * pitch), width), np.uint8))
        x, y = 2.0 * hand.height, 2.0 * hand.height + pitch
        write_line(sheet, rng, setting, text, x, y, underline=bool(rng.random() < 0.04))
        if not sheet.lines:
            return None
        line = sheet.lines[0]
        if rng.random() < 0.4:
            composer = Composer(self.texts, rng)
            for side in (-1, 1):
                beside = drawable(face, composer.prose(max(4, len(text))))
                if beside and setting.length(beside) + 3 * hand.height < width:
                    write_line(sheet, rng, setting, beside, x + rng.normal() * hand.height, y + side * pitch)
        baseline, polygon = np.asarray(line["baseline"], np.float32), np.asarray(line["polygon"], np.float32)
        page = develop(sheet.ink, rng, hand, style)
        if style == "print" and rng.random() < SMALL:
            scale = float(np.exp(rng.uniform(*np.log(SMALL_HEIGHTS)))) / hand.height
            page = np.asarray(cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
            baseline, polygon = baseline * scale, polygon * scale
        ascender, descender = line_heights(baseline, polygon)
        jitter = np.exp(rng.normal(0.0, 0.06, 2))
        within = frame(baseline, ascender * jitter[0], descender * jitter[1], self.geometry)
        return Drawn(cut(page, within), str(line["text"]), style)

    def blank(self, rng: Generator) -> Grey:
        """A strip without text of the charset: another script, rules, dots, drawings, bars, pictures, empty paper."""
        height = self.geometry.height
        width = int(rng.integers(height // 2, self.geometry.width // 2))
        kind = rng.choice(
            ["script", "rules", "marks", "drawing", "bars", "texture", "empty"],
            p=[0.5, 0.1, 0.08, 0.12, 0.06, 0.08, 0.06],
        )
        paper, ink = rng.uniform(190, 255), rng.uniform(0, 120)
        if kind == "script":
            return self.script(rng)
        if kind == "texture":
            field = noise_field(rng, height, width, rng.uniform(6, 60)) * rng.uniform(15, 60) + rng.uniform(80, 200)
            return np.asarray(np.clip(field + rng.uniform(0, 12) * grain(rng, height, width), 0, 255), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        if kind == "rules":
            for _ in range(int(rng.integers(1, 4))):
                y = int(rng.uniform(0.1, 0.95) * height)
                style = rng.random()
                if style < 0.5:
                    cv2.line(
                        mask, (0, y), (width, y + int(rng.normal(0, 2))), 255, int(rng.integers(1, 6)), cv2.LINE_AA
                    )
                else:
                    step, long = int(rng.integers(5, 26)), int(rng.integers(1, 14))
                    for x in range(0, width, step):
                        cv2.line(mask, (x, y), (x + min(long, step - 2), y), 255, int(rng.integers(1, 4)))
        elif kind == "marks":
            for _ in range(int(rng.integers(1, 9))):
                spot = (int(rng.integers(width)), int(rng.integers(height)))
                cv2.ellipse(mask, spot, (int(rng.integers(1, 5)), int(rng.integers(1, 5))), 0, 0, 360, 255, -1)
        elif kind == "drawing":
            for _ in range(int(rng.integers(1, 6))):
                start = np.array([rng.uniform(0, width), rng.uniform(0, height)])
                points = start + np.cumsum(rng.normal(0, height / 6, (int(rng.integers(4, 40)), 2)), axis=0)
                cv2.polylines(
                    mask,
                    [np.rint(points).astype(np.int32)],
                    bool(rng.random() < 0.3),
                    255,
                    int(rng.integers(1, 5)),
                    cv2.LINE_AA,
                )
                if rng.random() < 0.5:
                    box = (
                        np.rint(
                            [
                                rng.uniform(0, width),
                                rng.uniform(0, height),
                                rng.uniform(8, height),
                                rng.uniform(8, height),
                            ]
                        )
                        .astype(int)
                        .tolist()
                    )
                    cv2.rectangle(
                        mask, (box[0], box[1]), (box[0] + box[2], box[1] + box[3]), 255, int(rng.integers(1, 4))
                    )
        elif kind == "bars":
            x = 0
            while x < width:
                wide = int(rng.integers(1, 6))
                if rng.random() < 0.5:
                    mask[:, x : x + wide] = 255
                x += wide
            if rng.random() < 0.5:
                side = int(rng.integers(3, 9))
                cells = rng.random((height // side + 1, width // side + 1)) < 0.5
                scaled = cv2.resize((cells * 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
                mask = np.asarray(scaled, np.uint8)
        page = paper + (ink - paper) * mask.astype(np.float32) / 255 + rng.uniform(0, 8) * grain(rng, height, width)
        return np.asarray(np.clip(page, 0, 255), np.uint8)

    def script(self, rng: Generator) -> Grey:
        """Render a line of another script, at the same baseline as lines of text; one of three stands on its head."""
        path, files = self.scripts[int(rng.integers(len(self.scripts)))]
        height = self.geometry.height
        size = int(rng.uniform(0.38, 0.55) * height)
        text = paragraph(path, rng, int(rng.integers(4, 50)))
        width, level = self.geometry.width // 2, round(self.geometry.baseline * height)
        canvas = np.zeros((height, width), np.uint8)
        at = int(rng.integers(4, 20))
        # Each file has some of the characters of a script.
        font, *others = [open_font(str(each), size) for each in files]
        pieces = [text] if not others else list(text)
        for piece in pieces:
            chosen = next((each for each in (font, *others) if each.getmask(piece).getbbox()), font)
            mask, (_, y) = chosen.getmask2(piece, "L", anchor="ls")
            ink = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[::-1])
            if not ink.size or at + ink.shape[1] >= width:
                at += size // 2
                continue
            top = max(0, level + y)
            spot = canvas[top : top + ink.shape[0], at : at + ink.shape[1]]
            np.maximum(spot, ink[: spot.shape[0], : spot.shape[1]], out=spot)
            at += max(ink.shape[1], round(chosen.getlength(piece)))
        canvas = canvas[:, : min(width, at + 10)]
        if rng.random() < UPSIDE_DOWN:
            # The tops of small letters then stand where the baseline was.
            canvas = np.roll(np.rot90(canvas, 2), 2 * level + 1 - height - size // 2, axis=0)
        paper, dark = rng.uniform(190, 255), rng.uniform(0, 110)
        return np.asarray(paper + (dark - paper) * (canvas.astype(np.float32) / 255), np.uint8)


@cache
def _paragraphs(path: Path) -> list[str]:
    return [row for row in path.read_text(encoding="utf-8").split("\n") if len(row) > 8]


def paragraph(path: Path, rng: Generator, length: int) -> str:
    """Return a part of a paragraph of a text."""
    rows = _paragraphs(path)
    row = rows[int(rng.integers(len(rows)))]
    start = int(rng.integers(max(1, len(row) - length)))
    return row[start : start + length]


def develop(ink: Grey, rng: Generator, hand: Hand, style: str) -> Grey:
    """Render ink on paper like a scan, a screen, a worn print, a fax or a typewriter, uint8 (H, W)."""
    height, width = ink.shape
    look = rng.random()
    paper, dark = rng.uniform(185, 255), rng.choice([rng.uniform(0, 70), rng.uniform(60, 150)], p=[0.7, 0.3])
    # A screen or a page made by a program has clean edges.
    clean_edges = style == "print" and look < 0.4
    alpha = ink.astype(np.float32) / 255 if clean_edges else ink_alpha(ink, rng, hand.face.style)
    if style != "hand" and 0.4 <= look < 0.5:
        # Worn type and dry ribbons leave gaps.
        alpha = alpha * np.clip(
            1.2 + rng.uniform(0.3, 1.0) * noise_field(rng, height, width, rng.uniform(2.5, 9)), 0, 1
        )
    elif style != "hand" and 0.5 <= look < 0.58:
        # Bleeding ink, or a strong impression of a ribbon.
        alpha = np.clip(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.8, 1.8)) * rng.uniform(1.2, 2.2), 0, 1)
    elif style != "hand" and 0.58 <= look < 0.68:
        # A fax: every other row, black or white.
        small = cv2.resize(
            alpha,
            (max(8, round(width * 0.9)), max(8, round(height * rng.uniform(0.4, 0.9)))),
            interpolation=cv2.INTER_AREA,
        )
        dots = (small > rng.uniform(0.3, 0.6)).astype(np.float32)
        alpha = np.asarray(cv2.resize(dots, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    elif style != "hand" and 0.68 <= look < 0.74:
        # Photographed from a screen: the raster shows.
        step = rng.uniform(2.2, 5.0)
        rows = 1 - rng.uniform(0.1, 0.4) * (0.5 + 0.5 * np.sin(np.arange(height) * 2 * np.pi / step))
        columns = 1 - rng.uniform(0.0, 0.3) * (0.5 + 0.5 * np.sin(np.arange(width) * 2 * np.pi / step))
        alpha = alpha * (rows[:, None] * columns).astype(np.float32)
    page = paper + (dark - paper) * alpha
    return np.asarray(np.clip(page, 0, 255), np.uint8)
