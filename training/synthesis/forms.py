"""Forms with boxes, combs, check boxes and rules, filled by hand, by type or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2

from training.synthesis import figures
from training.synthesis.canvas import Canvas, Design, shorten
from training.synthesis.hands import Setting, drawable
from training.synthesis.maker import Document, Maker
from training.synthesis.tables import draw_columns, set_table, title_of

Block = Callable[[Maker, Canvas, Design, Setting | None, float, float, float, float], float]


def form(maker: Maker, blocks: Sequence[Block] = ()) -> Document:
    """A page of sections, each of fields, combs, questions or a table.

    Parameters
    ----------
    blocks : sequence of callable, optional
        What a section is drawn from, each as often as it occurs: of `fields`, `combs`, `questions` and `sheet`.
    """
    design = maker.design(maker.style(0.0, 0.1), str(maker.rng.choice(["sheet", "any", "wide"], p=[0.6, 0.3, 0.1])))
    words, rng = maker.words, maker.rng
    canvas = maker.canvas(design.width, design.tall)
    filling = filler(maker, design)
    left, width, bottom = design.margin, design.width - 2 * design.margin, design.tall - 1.5 * design.pitch
    y = design.pitch * maker.uniform(0.5, 1.5)
    if maker.chance(0.75):
        if maker.chance(0.4):
            size = int(3.5 * design.height)
            at = design.width - left - size if maker.chance(0.5) else left
            canvas.picture(figures.logo(rng, size, size), at, y)
            y += size
        y = title_of(maker, canvas, design, words.choose("forms"), y)
    if maker.chance(0.3):
        y = (
            canvas.paragraph(design.small, words.sentences(200), left, y, width, design.pitch, bottom=bottom)
            + design.pitch
        )
    blocks = blocks or [fields, fields, combs, combs, questions, questions, sheet]
    number = 0
    while y < bottom - 3 * design.pitch:
        number += 1
        if maker.chance(0.45):
            y = section(maker, canvas, design, number, left, y, width)
        block = blocks[maker.integer(0, len(blocks) - 1)]
        y = block(maker, canvas, design, filling, left, y, width, bottom)
        y += design.pitch * maker.uniform(0.4, 1.3)
        if maker.chance(0.12):
            y = canvas.paragraph(
                design.small, words.sentences(maker.integer(80, 300)), left, y + 0.5 * design.pitch, width,
                design.pitch, bottom=bottom,
            ) + 0.3 * design.pitch  # fmt: skip
        if maker.chance(0.06):
            break
    if maker.chance(0.3):
        maker.sign(canvas, design, left + maker.uniform(0.1, 0.6) * width, min(y, bottom - 2 * design.height))
    if maker.chance(0.25):
        maker.stamp(canvas, design, maker.uniform(0.2, 0.85) * design.width, maker.uniform(0.3, 0.9) * canvas.bottom)
    if maker.chance(0.3):
        maker.margin_note(canvas, design)
    if maker.chance(0.3):
        maker.page_number(canvas, design)
    if maker.chance(0.4):
        canvas.trim(canvas.bottom + design.height * maker.uniform(0.6, 4))
    return Document(canvas, design)


def filler(maker: Maker, design: Design) -> Setting | None:
    """What the form is filled in with, None if it is not."""
    draw = maker.rng.random()
    if draw < 0.5:
        return design.pen
    if draw < 0.85:
        style = "typewriter" if maker.chance(0.4) else "print"
        return Setting(replace(maker.hand(design.height, style).hand, height=design.height * maker.uniform(0.95, 1.2)))
    return None


def section(maker: Maker, canvas: Canvas, design: Design, number: int, x: float, y: float, width: float) -> float:
    """Head a section, often white on a dark band; returns the row below."""
    text = maker.words.choose("parts")
    text = text.upper() if maker.chance(0.4) else text
    text = f"{number}. {text}" if maker.chance(0.3) else text
    height = design.strong.metrics.height
    band = height * maker.uniform(1.3, 2)
    base = y + 0.5 * band + 0.3 * height
    draw = maker.rng.random()
    if draw < 0.5:
        canvas.box(x, y, x + width, y + band, maker.integer(0, 120), -1)
        canvas.text(design.strong, text, x + 0.4 * height, base, grey=maker.integer(225, 255), width=width - height)
    elif draw < 0.7:
        canvas.box(x, y, x + width, y + band, maker.integer(150, 235), -1)
        canvas.text(design.strong, text, x + 0.4 * height, base, width=width - height)
    else:
        canvas.text(design.strong, text, x, base, width=width, underline=maker.chance(0.3))
    return y + band + design.pitch * maker.uniform(0.2, 0.8)


def fields(
    maker: Maker,
    canvas: Canvas,
    design: Design,
    filling: Setting | None,
    x: float,
    y: float,
    width: float,
    bottom: float,
) -> float:
    """Labels with rules, dots or boxes for the values, in one to three columns."""
    height = design.height
    tall = max(filling.metrics.height if filling else 0, height)
    step = tall * maker.uniform(1.35, 2.1)
    count = maker.integer(1, 3) if width > 40 * height else 1
    kind = maker.words.pick(["rule", "dots", "box", "grid", "none"])
    above = kind in ("box", "grid") and maker.chance(0.6)
    step += 1.1 * height if above else 0.0
    across = width / count
    colon = maker.words.pick([":", "", " :", ""])
    grey = maker.integer(0, 160)
    longest = maker.uniform(0.25, 0.5) * across
    for _ in range(maker.integer(1, 6)):
        if y + step > bottom:
            break
        for column in range(count):
            label = maker.words.choose("fields")
            left, right = x + column * across, x + (column + 1) * across - (0 if kind == "grid" else 0.8 * height)
            base = y + step - 0.4 * tall
            if above:
                canvas.text(
                    design.small,
                    label,
                    left + 0.3 * height,
                    y + 0.95 * design.small.metrics.height,
                    width=across - height,
                )
                start = left + 0.5 * height
            else:
                line = canvas.text(
                    design.body, label + colon, left + (0.3 * height if kind == "grid" else 0), base, width=0.6 * across
                )
                start = (
                    left + longest
                    if line is None
                    else max(left + longest, float(line["polygon"][:, 0].max()) + 0.6 * height)
                )
                if kind in ("rule", "dots") and maker.chance(0.4) and line is not None:
                    start = float(line["polygon"][:, 0].max()) + 0.5 * height
            if kind == "rule":
                canvas.rule(start, base + 0.12 * height, right, base + 0.12 * height, grey)
            elif kind == "dots":
                canvas.dots(start, base + 0.1 * height, right, grey, maker.integer(3, 8))
            elif kind == "box":
                top = y + 1.1 * height if above else y
                canvas.box(left if above else start - 0.3 * height, top, right, y + step - 0.05 * step, grey)
            elif kind == "grid":
                canvas.box(left, y, right, y + step, grey)
            if filling is not None and maker.chance(0.85):
                value = maker.words.value(label)
                value = value.upper() if maker.chance(0.25) else value
                canvas.text(filling, value, start + 0.3 * height, base, width=right - start - 0.6 * height)
        y += step
    return y


def combs(
    maker: Maker,
    canvas: Canvas,
    design: Design,
    filling: Setting | None,
    x: float,
    y: float,
    width: float,
    bottom: float,
) -> float:
    """Rows of boxes, one for each letter of a value."""
    height = design.height
    tall = max(filling.metrics.height if filling else 0, height)
    step = tall * maker.uniform(1.4, 2)
    grey = maker.integer(0, 170)
    pitch = tall * maker.uniform(0.75, 1.5)
    kind = maker.words.pick(["boxes", "boxes", "apart", "ticks"])
    above = maker.chance(0.25)
    indent = 0.0 if above else maker.uniform(0.2, 0.35) * width
    thickness = int(maker.rng.choice([1, 1, 2]))
    for _ in range(maker.integer(1, 5)):
        if y + step + (1.2 * height if above else 0) > bottom:
            break
        label = maker.words.choose("fields")
        middle = y + 0.5 * step + 0.3 * height
        if above:
            canvas.text(design.small, label, x, y + height, width=width)
            y += 1.2 * height
        else:
            canvas.text(design.body, label, x, middle, width=indent - 0.5 * height)
        left = x + indent
        most = int((width - indent) / pitch)
        count = min(most, maker.integer(4, 26))
        if count < 2:
            break
        top, low = y + 0.06 * step, y + 0.94 * step
        for index in range(count):
            start = left + index * pitch
            if kind == "boxes":
                canvas.box(start, top, start + pitch, low, grey, thickness)
            elif kind == "apart":
                canvas.box(start + 0.06 * pitch, top, start + 0.94 * pitch, low, grey, thickness)
            else:
                canvas.rule(start, low, start + pitch, low, grey, thickness)
                canvas.rule(start, low - 0.35 * step, start, low, grey, thickness)
                canvas.rule(start + pitch, low - 0.35 * step, start + pitch, low, grey, thickness)
        if filling is not None and maker.chance(0.9):
            value = maker.words.value(label).upper()
            value = value.replace(" ", "") if maker.chance(0.3) or maker.measured else value
            value = "".join(filter(str.isdigit, value)) if "/" in value and maker.chance(0.7) else value
            value = drawable(filling.hand.face, value)
            hand = replace(filling.hand, loose=0.0, wander=min(filling.hand.wander, 0.03), slope=0.0)
            widest = max((filling.width(letter) for letter in value if letter != " "), default=1.0)
            scale = min(
                filling.scale, 0.95 * pitch / max(widest, 1) * filling.scale, 0.9 * step / filling.metrics.height
            )
            setting = Setting(hand, scale)
            canvas.comb(setting, value[:count].strip(), left, (top + low) / 2 + 0.35 * setting.metrics.ascent, pitch)
        y += step * maker.uniform(1.05, 1.5)
    return y


def questions(
    maker: Maker,
    canvas: Canvas,
    design: Design,
    filling: Setting | None,
    x: float,
    y: float,
    width: float,
    bottom: float,
) -> float:
    """Questions with answers to be ticked; the box is no text, its label is."""
    height = design.height
    size = height * maker.uniform(0.7, 1.4)
    step = max(size, height) * maker.uniform(1.2, 2.2)
    answers = (
        maker.words.some("answers", maker.integer(2, 5)) if maker.chance(0.4) else maker.words.table["answers"][:2]
    )
    start = x + maker.uniform(0.4, 0.65) * width
    below = maker.chance(0.3)
    tight = maker.chance(0.4)
    grey, thickness, round_box = maker.integer(0, 110), int(maker.rng.choice([1, 2, 2, 3])), maker.chance(0.15)
    after = maker.chance(0.15)
    for _ in range(maker.integer(1, 5)):
        if y + step * (2 if below else 1) > bottom:
            break
        base = y + 0.5 * step + 0.3 * height
        text = maker.words.choose("questions")
        if below:
            canvas.text(design.body, text, x, base, width=width)
            base += step
            y += step
            at = x + maker.uniform(0, 3) * height
        else:
            canvas.text(design.body, text, x, base, width=start - x - height)
            at = start
        ticked = maker.integer(-1, len(answers) - 1)
        for index, answer in enumerate(answers):
            answer = shorten(design.body, answer, 12 * height)
            length = design.body.length(answer)
            if at + size + 0.6 * height + length > x + width + 0.5 * design.margin:
                break
            gap = 0.25 * height if tight else 0.55 * height
            box = at + length + gap if after else at
            top = base - 0.35 * height - size / 2
            if round_box:
                radius = size / 2
                cv2.circle(
                    canvas.tone,
                    (round(box + radius), round(top + radius)),
                    round(radius),
                    grey,
                    thickness,
                    cv2.LINE_AA,
                )
            else:
                canvas.box(box, top, box + size, top + size, grey, thickness)
            if index == ticked:
                layer = canvas.pen if filling is not None and maker.chance(0.6) else canvas.sheet.ink
                figures.mark(layer, maker.rng, box, top, size, 255)
            canvas.text(design.body, answer, at if after else at + size + gap, base)
            at += size + gap + length + height * maker.uniform(0.9, 3)
        y += step
    return y


def sheet(
    maker: Maker,
    canvas: Canvas,
    design: Design,
    filling: Setting | None,
    x: float,
    y: float,
    width: float,
    bottom: float,
) -> float:
    """A table to be filled in."""
    names = ["digit", "date", "name", "goods", "amount", "int", "city", "letter", "percent"]
    kinds = [str(kind) for kind in maker.rng.choice(names, maker.integer(2, 5))]
    setting = None
    if filling is not None:
        setting = replace(filling, scale=min(filling.scale, 1.4 * design.height / filling.hand.height))
    return set_table(
        maker, canvas, design, draw_columns(maker, kinds), x, y, width, maker.integer(1, 8), bottom=bottom,
        setting=setting, ruled=maker.words.pick(["grid", "grid", "rows", "columns"]),
    )  # fmt: skip
