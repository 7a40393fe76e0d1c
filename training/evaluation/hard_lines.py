"""Make lines that are hard to read or show no text: degraded pages, other scripts, scribbles, textures and drawings.

They extend the material for calibrating confidences, which annotated pages alone do not cover: their lines are legible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paragraph_ocr.pipeline.detection import TextLine
from training.synthesis.fonts import open_font, read_table
from training.synthesis.noise import grain, noise_field

Grey = NDArray[np.uint8]
Degraded = tuple[Grey, list[TextLine]]

# Lines of a page that are degraded in each way, and pages that are drawn of each kind without text.
LINES_A_PAGE = 8
PAGES_A_KIND = 24
# Lines of a drawn page, and its size in pixels.
DRAWN_LINES, WIDTH, PITCH = 7, 1300, 90
DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
# Scripts of DejaVu's typefaces, by the code of the Declaration of Human Rights, and the typefaces.
DEJAVU_TEXTS = ("rus", "ukr", "bul", "ell_monotonic", "hye", "kat", "heb", "arb")
DEJAVU_FACES = ("Sans", "Sans-Bold", "Sans-Oblique", "Serif", "Serif-Bold", "Serif-Italic", "SansMono")


@dataclass(frozen=True)
class HardPage:
    """A page without text of Latin script.

    Attributes
    ----------
    kind : str
        ``script``, ``scribble``, ``texture`` or ``drawing``.
    name : str
        Of the typeface or the seed; pages of one name belong to the same half of the material.
    pixels : uint8 (H, W)
    """

    kind: str
    name: str
    pixels: Grey


def _mapped(lines: list[TextLine], change: Callable[[TextLine], TextLine]) -> list[TextLine]:
    return [change(line) for line in lines]


def blurred(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """Blurred by 5 to 25 % of the height of a line."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), height * rng.uniform(0.05, 0.25)), np.uint8), lines


def tiny(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """Reduced to lines of 6 to 12 pixels, and enlarged again."""
    scale = rng.uniform(6, 12) / height
    size = [max(8, round(side * scale)) for side in pixels.shape[::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, pixels.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8), lines


def noisy(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """With white noise of 50 to 140 grey levels."""
    return _bytes(pixels + rng.normal(0, rng.uniform(50, 140), pixels.shape)), lines


def faded(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """With 3 to 12 % of its contrast, and noise."""
    paper = float(np.median(pixels))
    faint = paper + (pixels.astype(np.float32) - paper) * rng.uniform(0.03, 0.12)
    return _bytes(faint + rng.normal(0, rng.uniform(2, 8), pixels.shape)), lines


def occluded(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """With rectangles of ink or paper over a tenth of it."""
    covered, paper = pixels.copy(), int(np.median(pixels))
    for _ in range(int(0.08 * pixels.size / height**2)):
        left, top = rng.integers(pixels.shape[1]), rng.integers(pixels.shape[0])
        width, tall = height * rng.uniform(0.5, 3), height * rng.uniform(0.2, 0.9)
        covered[top : top + round(tall), left : left + round(width)] = rng.choice([paper, 30])
    return covered, lines


def cut_off(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """With lines taken too high or too low, so that the upper or lower part of their letters is missing."""
    up = rng.random() < 0.5

    def moved(line: TextLine) -> TextLine:
        shift = line.ascender * rng.uniform(0.4, 0.8) * (-1 if up else 1)
        return TextLine(
            line.baseline + np.array([0, shift], np.float32), line.ascender, line.descender, line.confidence
        )

    return pixels, _mapped(lines, moved)


def upside_down(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """Turned by 180°."""
    size = np.array(pixels.shape[::-1], np.float32)

    def turned(line: TextLine) -> TextLine:
        baseline = (size - line.baseline)[::-1] + np.array([0, 0.6 * line.ascender], np.float32)
        return replace(line, baseline=np.ascontiguousarray(baseline))

    return np.ascontiguousarray(pixels[::-1, ::-1]), _mapped(lines, turned)


def mirrored(pixels: Grey, lines: list[TextLine], height: float, rng: Generator) -> Degraded:
    """Mirrored, as the back of a sheet shows through."""
    width = pixels.shape[1]

    def seen(line: TextLine) -> TextLine:
        baseline = np.stack([width - line.baseline[:, 0], line.baseline[:, 1]], axis=1)[::-1]
        return replace(line, baseline=np.ascontiguousarray(baseline))

    return np.ascontiguousarray(pixels[:, ::-1]), _mapped(lines, seen)


DEGRADATIONS = (blurred, tiny, noisy, faded, occluded, cut_off, upside_down, mirrored)


def degrade(
    pixels: Grey, lines: list[TextLine], rng: Generator, ways: int = 3
) -> Iterator[tuple[str, list[int], Grey, list[TextLine]]]:
    """Some lines of a page, degraded in some ways.

    Parameters
    ----------
    pixels : uint8 (H, W)
    lines : list of TextLine
        Its true lines.
    rng : numpy.random.Generator
    ways : int
        How many of `DEGRADATIONS`, of the eight at random.

    Yields
    ------
    name : str
    chosen : list of int
        Which lines.
    pixels : uint8 (H, W)
    lines : list of TextLine
    """
    height = float(np.median([line.ascender + line.descender for line in lines]))
    for way in rng.permutation(len(DEGRADATIONS))[:ways]:
        chosen = rng.permutation(len(lines))[:LINES_A_PAGE].tolist()
        seen, moved = DEGRADATIONS[way](pixels, [lines[index] for index in chosen], height, rng)
        yield DEGRADATIONS[way].__name__, chosen, seen, moved


def pages_without_text(assets: Path | None, rng: Generator) -> Iterator[HardPage]:
    """Pages of scribbles, textures and drawings, and of other scripts where there are texts and typefaces of them.

    Parameters
    ----------
    assets : Path or None
        Folder written by `training.synthesis.fonts`; without it there are no other scripts.
    rng : numpy.random.Generator
    """
    for number in range(PAGES_A_KIND):
        for kind, draw in (("scribble", scribble), ("texture", texture), ("drawing", drawing)):
            yield HardPage(kind, f"{kind} {number}", draw(rng))
    if assets is None:
        return
    for face in DEJAVU_FACES:
        for code in DEJAVU_TEXTS:
            if code in ("heb", "arb") and "Serif" in face:
                continue
            yield HardPage("script", face, script(assets / "texts", code, [DEJAVU / f"DejaVu{face}.ttf"], rng))
    for row in read_table("scripts.tsv"):
        files = [assets / "fonts" / f"{name}.woff2" for name in row["files"].split(",")]
        yield HardPage("script", row["package"], script(assets / "texts", row["declaration"], files, rng))


def scribble(rng: Generator) -> Grey:
    """Rows of loops and zigzags, as they are drawn in place of writing."""
    image = Image.new("L", (WIDTH, PITCH * (DRAWN_LINES + 2)), 240)
    steps = np.arange(int(rng.integers(60, 520)))
    pitch, reach = rng.uniform(0.2, 0.9), rng.uniform(8, 24)
    for row in range(1, DRAWN_LINES + 1):
        phase = np.cumsum(pitch * (1 + 0.4 * np.sin(steps / rng.uniform(6, 30) + rng.uniform(0, 6))))
        y = PITCH * row + reach * np.sin(phase) + rng.normal(0, rng.uniform(0, 5), len(steps))
        x = 60 + rng.uniform(1, 2.2) * steps + rng.uniform(0, 14) * np.cos(phase)
        ImageDraw.Draw(image).line(
            list(zip(x.tolist(), y.tolist(), strict=True)),
            fill=int(rng.integers(0, 120)),
            width=int(rng.integers(2, 6)),
        )
    return np.asarray(image, np.uint8)


def texture(rng: Generator) -> Grey:
    """Clouds, grain and stripes, as in photographs and cloth."""
    height, width = 500, 700
    field = noise_field(rng, height, width, rng.uniform(6, 60)) * rng.uniform(15, 60) + rng.uniform(80, 200)
    if rng.random() < 0.4:
        field = field + rng.uniform(10, 60) * np.sin(np.arange(height) / rng.uniform(2, 12))[:, None]
    return _bytes(field + rng.uniform(0, 30) * grain(rng, height, width))


def drawing(rng: Generator) -> Grey:
    """Broken lines, boxes and ellipses."""
    image = Image.new("L", (900, 700), 240)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(5, 40))):
        x, y, size = rng.uniform(0, 900), rng.uniform(0, 700), rng.uniform(8, 120)
        ink, width = int(rng.integers(0, 120)), int(rng.integers(1, 6))
        kind = rng.integers(3)
        if kind == 0:
            points = np.cumsum(rng.normal(0, size / 3, (int(rng.integers(3, 30)), 2)), axis=0) + np.array([x, y])
            draw.line([(float(a), float(b)) for a, b in points], fill=ink, width=width)
        else:
            box = (x, y, x + size * rng.uniform(0.3, 2), y + size)
            (draw.rectangle if kind == 1 else draw.ellipse)(box, outline=ink, width=width)
    return np.asarray(image, np.uint8)


def script(texts: Path, code: str, files: list[Path], rng: Generator) -> Grey:
    """Lines of the Declaration of Human Rights in another script, in typefaces that complete each other."""
    rows = [row for row in (texts / f"declaration_{code}.txt").read_text(encoding="utf-8").split("\n") if len(row) > 20]
    image = Image.new("L", (WIDTH, PITCH * (DRAWN_LINES + 2)), int(rng.integers(200, 256)))
    draw, size = ImageDraw.Draw(image), int(rng.integers(24, 50))
    fonts = [open_font(str(file), size) for file in files]
    for line in range(1, DRAWN_LINES + 1):
        row = rows[int(rng.integers(len(rows)))]
        start = row.find(" ", int(rng.integers(max(1, len(row) - 30)))) + 1
        text, x = row[start : start + int(rng.integers(4, 46))].strip(), 40.0
        # Each file has some of the characters of a script.
        for piece in [text] if len(fonts) == 1 else text:
            font = next((each for each in fonts if each.getmask(piece).getbbox()), fonts[0])
            draw.text((x, PITCH * line), piece, fill=int(rng.integers(0, 90)), font=font, anchor="ls")
            x += font.getlength(piece)
    return np.asarray(image, np.uint8)


def _bytes(values: NDArray[np.floating]) -> Grey:
    return np.asarray(np.clip(values, 0, 255), np.uint8)
