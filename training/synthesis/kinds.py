"""Make pages of each kind that people send, one difficulty at a time, as files with their labels.

The pages are for measuring: `benchmarks.kinds` reads them. Text is print or type except where a kind is filled in or
written by hand.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image

from training.synthesis import figures, forms, letters, spreads, tables
from training.synthesis.canvas import Canvas
from training.synthesis.corpus import Corpus
from training.synthesis.documents import TRIES
from training.synthesis.finish import CAPTURES, record_of, render
from training.synthesis.fonts import Face
from training.synthesis.hands import Hand, Setting
from training.synthesis.maker import Document, Maker
from training.synthesis.noise import Array, Pixels
from training.synthesis.texts import Vocabulary, choose_language

Place = Callable[[Array], Array]
File = tuple[bytes, str]
# How close to text a shape stands, pixels.
NEAREST, FARTHEST = 2, 40
# Share of the pages with something across their lines that are written by hand.
CROSSED_HAND = 0.25
# Lines lower than so many pixels in the picture, as the tenth part of its lines may be, can hardly be read by anybody.
LOWEST = 15.0
# Letters of a fax, pixels from ascender to descender, before its rows are thinned out.
FAX_LETTERS = 26.0
# Dots an inch of a fax across and down, in its two usual resolutions.
FAX_DOTS = ((204, 98), (204, 196))


@dataclass(frozen=True)
class Kind:
    """A kind of page.

    Attributes
    ----------
    title : str
        As tables name it.
    make : callable
        Makes a document.
    quarters : int
        By how many quarters clockwise its picture is turned.
    encode : callable, optional
        Takes the pixels and a generator and returns the bytes of a file and its suffix; a JPEG without it.
    accept : callable, optional
        Whether a document is of the kind; others are drawn anew.
    most : int
        Words of a page, so that none weighs much more than the others; longer ones are drawn anew.
    """

    title: str
    make: Callable[[Maker], Document]
    quarters: int = 0
    encode: Callable[[Pixels, Generator], File] | None = None
    accept: Callable[[Document], bool] = lambda document: bool(document.canvas.lines)
    most: int = 250


def everyday(maker: Maker) -> Document:
    """A letter, list, table, statement or plain page, which is taller than wide or nearly so."""
    made: list[Callable[[Maker], Document]]
    made = [letters.letter, tables.listing, tables.table, tables.statement, tables.invoice, spreads.plain]
    return made[maker.integer(0, len(made) - 1)](maker)


def cut(maker: Maker, what: str) -> Document:
    """Prose around one big shape: ``signature``, ``stamp``, ``heading``, ``ring``, ``code`` or ``photo``."""
    design = maker.design(maker.style(0.0, 0.25), "sheet")
    words, rng, pitch, height = maker.words, maker.rng, design.pitch, design.height
    left, across = design.margin, design.width - 2 * design.margin
    wide = height * maker.uniform(5, 12)
    tall = wide * maker.uniform(0.4, 1.0)
    if what in ("ring", "code"):
        tall = wide = height * maker.uniform(4, 9)
    elif what == "stamp":
        text = words.choose("stamps")
        setting = Setting(Hand(design.strong.hand.face, height * maker.uniform(1.1, 2.0)))
        degrees = maker.uniform(-12, 12)
        wide, tall = setting.length(text) + 1.6 * setting.metrics.height, 2.1 * setting.metrics.height
        tall += wide * abs(np.sin(np.radians(degrees)))
    elif what == "heading":
        text = words.words(1).capitalize()
        setting = Setting(design.title.hand, maker.uniform(2.5, 6))
        wide, tall = setting.length(text), setting.metrics.ascent
    wide = min(wide, 0.6 * across)
    canvas = maker.canvas(design.width, tall + pitch * maker.uniform(8, 18))
    x = left + float(rng.choice([0.0, 1.0, rng.random()])) * (across - wide)
    y = (canvas.height - tall) * maker.uniform(0.2, 0.7)
    gap = maker.uniform(NEAREST, FARTHEST)

    def room(base: float) -> tuple[float, float]:
        if not y - gap - 0.3 * height < base < y + tall + gap + 0.8 * height:
            return left, across
        if x - left > left + across - x - wide:
            return left, max(0.0, x - gap - left)
        return x + wide + gap, max(0.0, left + across - x - wide - gap)

    base = height * maker.uniform(1.5, 3)
    while base < canvas.height - pitch:
        base = canvas.paragraph(
            design.body, words.sentences(maker.integer(150, 700)), left, base, across, pitch,
            bottom=canvas.height - 0.6 * height, room=room,
        ) + pitch * float(rng.choice([0, 0.7]))  # fmt: skip
    if what == "signature":
        figures.signature(canvas.pen, rng, x, y + 0.6 * tall, wide, 0.45 * tall, maker.integer(170, 255))
    elif what == "stamp":
        canvas.stamp(setting, [text], x + wide / 2, y + tall / 2, degrees, maker.integer(40, 150))
    elif what == "heading":
        canvas.text(setting, text, x, y + tall, width=wide)
    elif what == "ring":
        radius = round(wide / 2)
        middle = (round(x + radius), round(y + radius))
        cv2.circle(canvas.tone, middle, radius, maker.integer(0, 190), maker.integer(2, 12), cv2.LINE_AA)
    elif what == "code":
        canvas.picture(figures.modules(rng, int(wide)), x, y)
    else:
        canvas.picture(figures.photo(rng, int(tall), int(wide)), x, y)
    return Document(canvas, design)


def crossed(maker: Maker, what: str) -> Document:
    """Prose of which something big crosses one to five lines: ``signature``, ``stamp``, ``heading`` or ``mark``.

    The text stays readable, but for the few letters that a solid heading covers.
    """
    style = "hand" if maker.chance(CROSSED_HAND) else maker.style(0.0, 0.25)
    design = maker.design(style, "sheet")
    words, rng, pitch, height = maker.words, maker.rng, design.pitch, design.height
    across = design.width - 2 * design.margin
    canvas = maker.canvas(design.width, pitch * maker.uniform(11, 20))
    base, bottom = height * maker.uniform(1.5, 3), canvas.height - pitch * maker.uniform(2, 5)
    while base < bottom:
        base = canvas.paragraph(
            design.body, words.sentences(maker.integer(150, 700)), design.margin, base, across, pitch, bottom=bottom,
            justified=maker.chance(0.3),
        ) + pitch * float(rng.choice([0, 0.7]))  # fmt: skip
    if not canvas.lines:
        return Document(canvas, design)
    # The last lines are the likeliest: there letters are signed and stamped.
    count = min(maker.integer(1, 2 if what == "heading" else 5), len(canvas.lines))
    first = len(canvas.lines) - count
    if maker.chance(0.5):
        first = maker.integer(0, first)
    left, top = np.min([line["polygon"].min(0) for line in canvas.lines[first : first + count]], axis=0).tolist()
    right, low = np.max([line["polygon"].max(0) for line in canvas.lines[first : first + count]], axis=0).tolist()
    tall = max(low - top + height * maker.uniform(0, 4), 2.5 * height)
    y = top if first + count == len(canvas.lines) or maker.chance(0.5) else low - tall
    # Over the starts of the lines, over their ends, or somewhere in the middle.
    place = float(rng.choice([0.0, 1.0, rng.random()]))
    if what == "signature":
        wide = tall * maker.uniform(1.2, 4)
        x = left + place * (right - left - 0.6 * wide) - 0.2 * wide * (place == 0)
        pen = np.zeros_like(canvas.pen)
        figures.signature(pen, rng, x, y + 0.6 * tall, wide, 0.6 * tall, maker.integer(170, 255))
        if maker.chance(0.5):
            broad = round(maker.uniform(0.1, 0.25) * height) | 1
            pen = np.asarray(cv2.dilate(pen, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (broad, broad))), np.uint8)
        np.maximum(canvas.pen, pen, out=canvas.pen)
    elif what == "stamp":
        grey = maker.integer(60, 180)
        if maker.chance(0.35):
            radius = int(np.clip(tall / 2, 1.5 * height, 6 * height))
            corner = int(left + place * (right - left) - radius), int(y + tall / 2 - radius)
            figures.press(canvas.tone, figures.seal(rng, radius), *corner, grey)
        else:
            texts = [words.choose("stamps"), words.date()][: maker.integer(1, 2)]
            setting = Setting(Hand(design.strong.hand.face, height * maker.uniform(1.1, 2.2)))
            canvas.stamp(setting, texts, left + place * (right - left), y + tall / 2, maker.uniform(-30, 30), grey)
    elif what == "heading":
        # Only its upper or its lower edge lies on the lines; a grey one has them printed over it.
        grey = 0 if maker.chance(0.5) else maker.integer(120, 210)
        over = 0.85 * (low - top) if grey else maker.uniform(0.3, 0.8) * height
        below = canvas.height - low > top
        room = over + (canvas.height - low if below else top)
        setting = maker.hand(min(height * maker.uniform(3, 6), room), "print")
        base = low - over + setting.metrics.ascent if below else top + over
        x = left + place * max(0.0, right - left - 0.5 * across)
        big = canvas.text(setting, words.words(1).capitalize(), x, base, width=0.5 * across, grey=grey, noted=False)
        if big is not None:
            canvas.ignore.append(big["polygon"])
    else:
        _mark(maker, canvas, (left + place * (right - left), y), tall, height)
    return Document(canvas, design)


def _mark(maker: Maker, canvas: Canvas, at: tuple[float, float], tall: float, height: float) -> None:
    """Draw a tick, a cross, a bracket, a ring, a fold or a scribble over text, around its middle and top `at`."""
    x, y = at
    kind = maker.words.pick(["tick", "cross", "bracket", "ring", "fold", "scribble"])
    thick = max(1, round(height * maker.uniform(0.05, 0.3)))
    value = maker.integer(120, 255)
    if kind in ("tick", "cross"):
        figures.mark(canvas.pen, maker.rng, x - tall / 2, y, tall, value, kind)
    elif kind == "bracket":
        deep = height * maker.uniform(0.4, 1.5) * (1 if maker.chance(0.5) else -1)
        points = [(x + deep, y), (x, y + 0.1 * tall), (x, y + 0.9 * tall), (x + deep, y + tall)]
        figures.stroke(canvas.pen, np.array(points, np.float32), value, thick)
    elif kind == "ring":
        radius = int(tall * maker.uniform(0.5, 0.9))
        ring = np.zeros((2 * radius, 2 * radius), np.uint8)
        cv2.circle(ring, (radius, radius), max(radius - 2 * thick, 2), 255, 2 * thick, cv2.LINE_AA)
        figures.press(canvas.tone, ring, int(x - radius), int(y), maker.integer(90, 200))
    elif kind == "fold":
        lean = maker.uniform(-0.1, 0.1) * canvas.height
        ends = (x - lean, 0.0, x + lean, float(canvas.height))
        canvas.rule(*ends, grey=maker.integer(60, 200), thickness=maker.integer(1, 4))
    else:
        box = tuple(int(side) for side in (x - tall, y, x + tall, y + tall))
        figures.scribble(canvas.pen, maker.rng, (box[0], box[1], box[2], box[3]), value)


def singles(maker: Maker) -> Document:
    """Digits and letters alone: scattered, in columns, or as numbers of paragraphs and pages."""
    draw = maker.rng.random()
    if draw < 0.3:
        return spreads.plain(maker)
    design = maker.design(maker.style(0.0, 0.2), str(maker.rng.choice(["sheet", "any"])))
    canvas = maker.canvas(design.width, design.tall)
    if draw < 0.5:
        tables.scatter(maker, canvas, design)
        return Document(canvas, design)
    names = ["digit", "digit", "letter", "quantity", "goods", "price"]
    kinds = ["digit", *(str(kind) for kind in maker.rng.choice(names, maker.integer(1, 4)))]
    tables.set_table(
        maker, canvas, design, tables.draw_columns(maker, kinds), design.margin, design.pitch,
        design.width - 2 * design.margin, maker.integer(5, 40), bottom=design.tall - design.height,
    )  # fmt: skip
    return Document(canvas, design)


def has_singles(document: Document) -> bool:
    """Whether at least two characters stand alone."""
    return sum(len(line["text"]) == 1 for line in document.canvas.lines) > 1


def margin(maker: Maker) -> Document:
    """A plain page with a line that runs up or down one of its margins."""
    document = spreads.plain(maker)
    if not document.canvas.turned:
        maker.margin_note(document.canvas, document.design)
    return document


def fax(maker: Maker) -> Document:
    """An everyday page as a fax machine scans it."""
    return replace(everyday(maker), capture="copy", showing=False)


def encode_fax(pixels: Pixels, rng: Generator) -> File:
    """Black and white with fewer rows than columns an inch, as its resolution says."""
    across, down = FAX_DOTS[int(rng.random() < 0.3)]
    size = (pixels.shape[1], max(16, round(pixels.shape[0] * down / across)))
    thin = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    level, _ = cv2.threshold(thin, 0, 255, cv2.THRESH_OTSU)
    file = io.BytesIO()
    image = Image.fromarray(np.where(thin > level, 255, 0).astype(np.uint8)).convert("1")
    image.save(file, "TIFF", compression="group4", dpi=(across, down))
    return file.getvalue(), ".tif"


def encode_transparent(pixels: Pixels, rng: Generator) -> File:
    """The ink alone, black or white, on a ground that is transparent."""
    paper = float(np.percentile(pixels, 80))
    alpha = np.clip((paper - pixels.astype(np.float32)) * (255 / max(paper, 1)), 0, 255).astype(np.uint8)
    colour = 255 if rng.random() < 0.5 else 0
    layers = [np.full_like(alpha, colour)] * 3 + [alpha]
    return cv2.imencode(".png", np.stack(layers, axis=2))[1].tobytes(), ".png"


def encode_deep(pixels: Pixels, rng: Generator) -> File:
    """Sixteen bits a pixel, of which nine to thirteen are used."""
    top = 2 ** int(rng.integers(9, 14)) - 1
    deep = (pixels.astype(np.float32) * (top / 255) + rng.random(pixels.shape, np.float32)).astype(np.uint16)
    suffix = ".png" if rng.random() < 0.5 else ".tif"
    return cv2.imencode(suffix, deep)[1].tobytes(), suffix


def encode_screen(pixels: Pixels, rng: Generator) -> File:
    """Without loss, as screenshots are."""
    del rng
    return cv2.imencode(".png", pixels)[1].tobytes(), ".png"


def encode_jpeg(pixels: Pixels, rng: Generator) -> File:
    """A JPEG of some quality."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
    return cv2.imencode(".jpg", pixels, quality)[1].tobytes(), ".jpg"


def digital(make: Callable[[Maker], Document]) -> Callable[[Maker], Document]:
    """Documents that no camera or scanner has taken."""
    return lambda maker: replace(make(maker), capture="digital", showing=False)


def shape_of(least: float, most: float) -> Callable[[Document], bool]:
    """Whether a document has lines and a width of `least` to `most` times its height."""
    return lambda document: bool(document.canvas.lines) and least <= ratio(document.canvas) <= most


def ratio(canvas: Canvas) -> float:
    return canvas.width / canvas.height


def legible_fax(document: Document) -> bool:
    """Whether the letters of a fax are large enough to survive it."""
    return bool(document.canvas.lines) and document.design.height >= FAX_LETTERS


KINDS: dict[str, Kind] = {
    "turned_90": Kind("turned by 90°", everyday, quarters=1),
    "turned_180": Kind("turned by 180°", everyday, quarters=2),
    "turned_270": Kind("turned by 270°", everyday, quarters=3),
    "tall": Kind("tall: 1 : 4 to 1 : 20", lambda m: spreads.strip(m, 1 / 20, 1 / 4), accept=shape_of(0, 0.3), most=600),
    "wide": Kind("wide: 4 : 1 to 20 : 1", lambda m: spreads.strip(m, 4, 20), accept=shape_of(3.3, 99)),
    "cut_signature": Kind("text beside a signature", lambda m: cut(m, "signature")),
    "cut_stamp": Kind("text beside a stamp", lambda m: cut(m, "stamp")),
    "cut_heading": Kind("text beside a large heading", lambda m: cut(m, "heading")),
    "cut_ring": Kind("text beside a ring", lambda m: cut(m, "ring")),
    "cut_code": Kind("text beside a QR code", lambda m: cut(m, "code")),
    "cut_photo": Kind("text beside a photo", lambda m: cut(m, "photo")),
    "single": Kind("single characters", singles, accept=has_singles),
    "banner": Kind("banners: white on dark", spreads.banner),
    "transparent": Kind("transparent ground", digital(everyday), encode=encode_transparent),
    "deep": Kind("16 bits a pixel", everyday, encode=encode_deep),
    "columns": Kind("columns around pictures", lambda m: spreads.magazine(m, "any")),
    "receipt": Kind("receipts", tables.receipt, most=600),
    "statement": Kind("bank statements", tables.statement),
    "register_typed": Kind("registers, typed", lambda m: tables.register(m, "typewriter")),
    "register_written": Kind("registers, by hand", lambda m: tables.register(m, "hand")),
    "prices": Kind("price lists", lambda m: tables.listing(m, "goods", m.words.pick(["price", "amount"]))),
    "comb": Kind("a box for each letter", lambda m: forms.form(m, [forms.combs])),
    "boxes": Kind("check boxes", lambda m: forms.form(m, [forms.questions])),
    "margin": Kind("upright text in the margin", margin, accept=lambda document: bool(document.canvas.turned)),
    "fax": Kind("fax of unequal resolution", fax, encode=encode_fax, accept=legible_fax),
    "bleed": Kind("show-through of the back", spreads.bleed),
    "screen_light": Kind("screenshots, light", lambda m: spreads.screen(m, dark=False), encode=encode_screen),
    "screen_dark": Kind("screenshots, dark", lambda m: spreads.screen(m, dark=True), encode=encode_screen),
    "crossed_signature": Kind("text crossed by a signature", lambda m: crossed(m, "signature")),
    "crossed_stamp": Kind("text crossed by a stamp", lambda m: crossed(m, "stamp")),
    "crossed_heading": Kind("text that a large word overlaps", lambda m: crossed(m, "heading")),
    "crossed_mark": Kind("text crossed by a mark or a fold", lambda m: crossed(m, "mark")),
}


def make_page(
    seed: int, index: int, faces: Sequence[Face], corpus: Corpus, split: str, name: str
) -> tuple[bytes, dict[str, Any]]:
    """Make one page of a kind.

    Parameters
    ----------
    seed, index : int
        The same pair gives the same page of a kind.
    faces : sequence of Face
        Of one split.
    corpus : Corpus
        Of the same split.
    split : str
    name : str
        One of `KINDS`.

    Returns
    -------
    content : bytes
        Of an image file.
    record : dict
        A row of ``pages.jsonl``. Lines in a margin are among its lines.

    Raises
    ------
    ValueError
        No document of the kind was drawn.
    """
    kind = KINDS[name]
    rng = np.random.default_rng([seed, index, 3, list(KINDS).index(name)])
    for _ in range(TRIES):
        maker = Maker(rng, faces, Vocabulary(corpus, rng, choose_language(corpus, rng)), measured=True)
        document = kind.make(maker)
        canvas = document.canvas
        if not kind.accept(document) or sum(line["text"].count(" ") + 1 for line in canvas.lines) > kind.most:
            continue
        capture = document.capture or str(rng.choice(list(CAPTURES), p=list(CAPTURES.values())))
        # A fax, whose file says its resolution, and show-through are kinds of their own.
        capture = "copy" if capture == "fax" else capture
        if document.showing is None:
            # What `render` would draw, so that it changes nothing else of the page.
            rng.random()
        pixels, place = render(canvas, rng, capture, document.typed, bool(document.showing))
        record = record_of(canvas, pixels, place)
        if np.percentile([height_of(line["polygon"]) for line in record["lines"]], 10) >= LOWEST:
            break
    else:
        raise ValueError(f"no page {index} of kind {name}")
    upright = record.pop("turned")
    margins = [line["polygon"] for line in upright]
    record["lines"] += [{"struck": False} | line for line in upright]
    record["ignore"] = [polygon for polygon in record["ignore"] if polygon not in margins]
    height, width = pixels.shape
    pixels = np.ascontiguousarray(np.rot90(pixels, -kind.quarters))
    content, suffix = (kind.encode or encode_jpeg)(pixels, rng)
    with Image.open(io.BytesIO(content)) as image:
        size = image.size
    thinned = size[1] / pixels.shape[0]

    def move(points: list[list[float]]) -> list[list[float]]:
        return [[x, round(y * thinned, 1)] for x, y in turn(points, kind.quarters, width, height)]

    for line in record["lines"]:
        line |= {part: move(line[part]) for part in ("baseline", "polygon")}
    page_id = f"{name}_{split}_{seed}_{index:04d}"
    return content, {
        "page_id": page_id, "source": name, "writer": document.design.body.hand.face.family, "split": split,
        "image": f"pages/{page_id}{suffix}", "width": size[0], "height": size[1], "lines": record["lines"],
        "ignore": [move(polygon) for polygon in record["ignore"]],
    }  # fmt: skip


def turn(points: list[list[float]], quarters: int, width: int, height: int) -> list[list[float]]:
    """Points of a picture of a width and height after it is turned clockwise by quarters."""
    for _ in range(quarters):
        points = [[height - y, x] for x, y in points]
        width, height = height, width
    return points


def height_of(polygon: list[list[float]]) -> float:
    """The mean height of a line, pixels: its area by its length."""
    points = np.array(polygon, np.float32)
    return cv2.contourArea(points) / max(max(cv2.minAreaRect(points)[1]), 1.0)
