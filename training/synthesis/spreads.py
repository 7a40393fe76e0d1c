"""Magazines, banners, screens, posters, pages full of pictures, and strips of every shape."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from training.synthesis import figures
from training.synthesis.canvas import Canvas, Design
from training.synthesis.hands import Setting
from training.synthesis.maker import Document, Maker
from training.synthesis.tables import draw_columns, fillers, set_table, title_of


def magazine(maker: Maker, shape: str = "") -> Document:
    """Two to four columns of prose around pictures and boxes, with headings and captions.

    Parameters
    ----------
    shape : str, optional
        Of the sheet, as `training.synthesis.canvas.make_design` takes it; drawn without it.
    """
    design = maker.design("print", shape or str(maker.rng.choice(["sheet", "wide"], p=[0.75, 0.25])))
    words, rng = maker.words, maker.rng
    canvas = maker.canvas(design.width, design.tall)
    body = design.body
    height, pitch = design.height, design.height * maker.uniform(1.0, 1.35)
    count = int(rng.choice([2, 3, 4, 5], p=[0.45, 0.33, 0.15, 0.07]))
    left = design.margin * maker.uniform(0.5, 1)
    gutter = height * maker.uniform(1.1, 2.5)
    across = (design.width - 2 * left - (count - 1) * gutter) / count
    if across < 9 * height:
        count = max(1, int((design.width - 2 * left + gutter) / (9 * height + gutter)))
        across = (design.width - 2 * left - (count - 1) * gutter) / count
    y = height * maker.uniform(1, 2.5)
    if maker.chance(0.4):
        canvas.text(design.small, words.heading().upper(), design.width / 2, y, anchor="centre", width=design.width / 2)
        y += 1.5 * height
    if maker.chance(0.7):
        y = title_of(maker, canvas, design, words.heading(), y)
    if maker.chance(0.3):
        lead = Setting(body.hand, maker.uniform(1.15, 1.5))
        y = (
            canvas.paragraph(lead, words.sentences(180), left, y + pitch, design.width - 2 * left, 1.3 * pitch)
            + 0.4 * pitch
        )
    y += pitch
    bottom = design.tall - height * maker.uniform(2.2, 3.5)
    blocks: list[tuple[float, float, float, float]] = []
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.15, 0.4, 0.3, 0.15]))):
        block = place_block(maker, canvas, design, left, across, gutter, count, y, bottom, pitch)
        if block is not None and not any(
            block[0] < old[2] and old[0] < block[2] and block[1] < old[3] and old[1] < block[3] for old in blocks
        ):
            blocks.append(block)
            fill_block(maker, canvas, design, block, pitch)
    between = maker.chance(0.3)
    justified, hyphens, indent = maker.chance(0.6), maker.chance(0.5), float(rng.choice([0, 1.2 * height]))
    for column in range(count):
        x = left + column * (across + gutter)
        if between and column:
            canvas.rule(x - gutter / 2, y - height, x - gutter / 2, bottom, 90)

        def room(base: float, x: float = x) -> tuple[float, float]:
            start, end = x, x + across
            for x0, y0, x1, y1 in blocks:
                if y0 < base + 0.4 * height and y1 > base - 1.1 * height and x0 < end and x1 > start:
                    # The wider side of the block stays free for the text.
                    if x0 - start > end - x1:
                        end = min(end, x0 - 0.4 * gutter)
                    else:
                        start = max(start, x1 + 0.4 * gutter)
            return start, max(0.0, end - start)

        base = y
        while base < bottom:
            if maker.chance(0.15):
                head = Setting(design.strong.hand, maker.uniform(1, 1.6))
                start, free = room(base + 0.5 * pitch)
                if free > 8 * height and base + 2 * pitch < bottom:
                    base += (head.scale - 0.6) * pitch
                    canvas.text(head, words.heading(), start, base, width=free)
                    base += 1.25 * pitch
            base = canvas.paragraph(
                body, words.sentences(maker.integer(150, 900)), x, base, across, pitch, bottom=bottom,
                justified=justified, indent=indent, hyphens=hyphens, room=room,
            )  # fmt: skip
            base += pitch * float(rng.choice([0, 0, 0.5, 1]))
            if maker.chance(0.04):
                break
    if maker.chance(0.6):
        maker.page_number(canvas, design)
    return Document(canvas, design)


def place_block(
    maker: Maker,
    canvas: Canvas,
    design: Design,
    left: float,
    across: float,
    gutter: float,
    count: int,
    top: float,
    bottom: float,
    pitch: float,
) -> tuple[float, float, float, float] | None:
    """Choose where a picture or a box goes: over whole columns, within one, or across the space between two."""
    size = float(np.clip(maker.uniform(4, 22) * pitch, 3 * pitch, 0.8 * (bottom - top)))
    if bottom - top < 5 * pitch:
        return None
    y0 = top + maker.uniform(0, 1) * (bottom - top - size) - 0.5 * pitch
    kind = maker.integer(0, 2)
    spanned = maker.integer(1, count)
    first = maker.integer(0, count - spanned)
    x0 = left + first * (across + gutter)
    x1 = x0 + spanned * across + (spanned - 1) * gutter
    if kind == 1 and count > 1:
        middle = left + maker.integer(1, count - 1) * (across + gutter) - gutter / 2
        half = across * maker.uniform(0.3, 0.55)
        x0, x1 = middle - half, middle + half
    elif kind == 2:
        wide = across * maker.uniform(0.35, 0.6)
        x0, x1 = (x0, x0 + wide) if maker.chance(0.5) else (x1 - wide, x1)
    return x0, y0, x1, y0 + size


def fill_block(
    maker: Maker, canvas: Canvas, design: Design, block: tuple[float, float, float, float], pitch: float
) -> None:
    """Fill a block with a picture and its caption, a box of text or a quotation."""
    words, height = maker.words, design.height
    x0, y0, x1, y1 = block
    wide, tall = int(x1 - x0), int(y1 - y0)
    draw = maker.rng.random()
    if draw < 0.65:
        caption = maker.chance(0.6) and tall > 5 * height
        text = 0
        if caption:
            text = int(min(maker.integer(1, 3), tall / pitch - 3) * design.small.scale * pitch + 0.5 * height)
        canvas.picture(maker.picture(tall - text, wide), x0, y0)
        if caption:
            anchor = words.pick(["left", "centre"])
            canvas.paragraph(
                design.small, words.sentences(160), x0, y1 - text + 1.1 * design.small.metrics.height, wide,
                design.small.scale * pitch, bottom=y1, anchor=anchor,
            )  # fmt: skip
        if maker.chance(0.25):
            # White words on the picture, on a dark ground that lets them be read.
            band = 2.2 * height
            canvas.box(x0, y0, x1, y0 + band, maker.integer(0, 80), -1)
            canvas.text(
                design.strong, words.heading(), x0 + 0.5 * height, y0 + 1.4 * height, width=wide - height, grey=250
            )
    elif draw < 0.9:
        dark = maker.chance(0.4)
        fill = maker.integer(0, 90) if dark else int(maker.rng.choice([255, maker.integer(190, 245)]))
        canvas.box(x0, y0, x1, y1, fill, -1)
        if not dark:
            canvas.box(x0, y0, x1, y1, 0 if fill == 255 else fill, maker.integer(1, 3))
        grey = maker.integer(225, 255) if dark else None
        y = y0 + 1.6 * height
        if maker.chance(0.6):
            canvas.text(design.strong, words.heading(), x0 + height, y, width=wide - 2 * height, grey=grey)
            y += 1.4 * pitch
        canvas.paragraph(
            design.body, words.sentences(maker.integer(60, 500)), x0 + height, y, wide - 2 * height, pitch,
            bottom=y1 - 0.5 * height, grey=grey,
        )  # fmt: skip
    else:
        quote = Setting(design.title.hand, maker.uniform(1.3, 2.2))
        canvas.paragraph(
            quote, words.sentences(90), x0 + 0.3 * height, y0 + 1.5 * quote.metrics.height, wide - 0.6 * height,
            1.25 * quote.metrics.height, bottom=y1 - 0.4 * quote.metrics.height, anchor="centre",
        )  # fmt: skip


def banner(maker: Maker) -> Document:
    """Text on bands and panels of every grey, between text on paper."""
    design = maker.design(maker.style(0.02, 0.08), str(maker.rng.choice(["sheet", "any", "wide"], p=[0.3, 0.5, 0.2])))
    words, rng, pitch, height = maker.words, maker.rng, design.pitch, design.height
    canvas = maker.canvas(design.width, design.tall)
    bottom = design.tall - pitch
    y = pitch * maker.uniform(0, 1.2)
    edge = float(rng.choice([0, design.margin * maker.uniform(0.2, 1)]))
    while y < bottom - 3 * pitch:
        draw = rng.random()
        if draw < 0.5:
            dark = maker.chance(0.75)
            ground, ink = (
                (maker.integer(0, 125), maker.integer(215, 255))
                if dark
                else (maker.integer(140, 235), maker.integer(0, 60))
            )
            big = Setting(design.strong.hand, float(rng.choice([1.0, maker.uniform(1, 3)])))
            rows = maker.integer(0, 3)
            pad = height * maker.uniform(0.35, 1.6)
            tall = 2 * pad + 1.1 * big.metrics.height + rows * pitch
            if y + tall > bottom:
                break
            right = (
                design.width - edge if maker.chance(0.8) else edge + (design.width - 2 * edge) * maker.uniform(0.3, 0.8)
            )
            if maker.chance(0.15):
                picture = figures.photo(rng, int(tall), int(right - edge))
                dimmed = (0.25 * picture.astype(np.float32) + (0 if dark else 180)).astype(np.uint8)
                figures.put(canvas.tone, dimmed, int(edge), int(y))
            else:
                canvas.box(edge, y, right, y + tall, ground, -1)
            start = edge + maker.uniform(0.4, 2) * height
            text = words.pick([words.choose("parts"), words.heading(), words.choose("titles")])
            text = text.upper() if maker.chance(0.35) else text
            base = y + pad + 0.85 * big.metrics.height
            anchor = words.pick(["left", "left", "centre"])
            at = start if anchor == "left" else (edge + right) / 2
            canvas.text(big, text, at, base, grey=ink, width=right - start - height, anchor=anchor)
            for _ in range(rows):
                base += pitch
                canvas.text(
                    design.body, words.sentences(70), at, base, grey=ink, width=right - start - height, anchor=anchor
                )
            y += tall + pitch * maker.uniform(0.1, 1)
        elif draw < 0.62:
            # A row of keys or tiles.
            count = maker.integer(2, 6)
            across = (design.width - 2 * edge) / count
            tall = height * maker.uniform(1.6, 4)
            for index, text in enumerate(words.some("buttons", count)):
                x = edge + index * across
                ground = maker.integer(0, 255)
                canvas.box(x + 4, y, x + across - 4, y + tall, ground, -1)
                grey = 255 if ground < 128 else 0
                canvas.text(
                    design.body,
                    text,
                    x + across / 2,
                    y + tall / 2 + 0.3 * height,
                    anchor="centre",
                    grey=grey,
                    width=across - height,
                )
            y += tall + pitch
        elif draw < 0.72:
            kinds = [str(kind) for kind in rng.choice(list(fillers(maker)), maker.integer(2, 5))]
            y = set_table(
                maker, canvas, design, draw_columns(maker, kinds), max(edge, 8), y, design.width - 2 * max(edge, 8),
                maker.integer(1, 8), bottom=bottom,
            ) + pitch  # fmt: skip
        else:
            y = canvas.paragraph(
                design.body, words.sentences(maker.integer(40, 500)), design.margin, y + 1.2 * pitch,
                design.width - 2 * design.margin, pitch, bottom=bottom,
            )  # fmt: skip
        if maker.chance(0.05):
            break
    if maker.chance(0.4):
        canvas.trim(canvas.bottom + height * maker.uniform(1.2, 4))
    return Document(canvas, design)


def screen(maker: Maker, dark: bool | None = None) -> Document:
    """A screenshot: title bar, side bar, and mail, chat, code, settings or prose in the middle.

    Parameters
    ----------
    dark : bool, optional
        Whether it is light writing on a dark ground; drawn without it.
    """
    words, rng = maker.words, maker.rng
    kind = words.pick(["mail", "chat", "code", "settings", "prose"])
    phone = maker.chance(0.3)
    design = maker.design(
        "typewriter" if kind == "code" and maker.chance(0.7) else "sans" if maker.chance(0.8) else "print", "wide"
    )
    if phone:
        across = int(maker.uniform(500, 1100))
        design = replace(design, width=across, tall=int(across * maker.uniform(1.5, 2.2)), margin=0.05 * across)
        resize = across / 26 * maker.uniform(0.7, 1.1) / design.height
        design = resized(design, resize)
    elif design.height > 26:
        design = resized(design, maker.uniform(14, 26) / design.height)
    drawn = maker.chance(0.45)
    dark = drawn if dark is None else dark
    ground, ink = (
        (maker.integer(10, 60), maker.integer(170, 255)) if dark else (maker.integer(238, 255), maker.integer(0, 90))
    )
    raised = ground + (maker.integer(8, 40) if dark else -maker.integer(5, 40))
    accent = maker.integer(60, 130)
    canvas = maker.canvas(design.width, design.tall, ground)
    height, pitch = design.height, design.height * maker.uniform(1.2, 1.8)
    body, strong = design.body, design.strong
    top = 0.0
    if maker.chance(0.85):
        bar = height * maker.uniform(1.6, 2.8)
        shade = raised if maker.chance(0.6) else accent
        canvas.box(0, 0, design.width, bar, shade, -1)
        x, base = height, bar / 2 + 0.3 * height
        count = 1 if phone else maker.integer(1, 8)
        for text in words.some("buttons", count):
            line = canvas.text(
                body, text, x, base, grey=ink if shade == raised else 255, width=design.width - x - 6 * height
            )
            x = float(line["polygon"][:, 0].max()) + height * maker.uniform(1.2, 2.5) if line else x
        radius = max(2, int(0.28 * height))
        for index in range(3):
            middle = (int(design.width - height * (1 + 1.6 * index)), int(bar / 2))
            cv2.circle(canvas.tone, middle, radius, int(rng.integers(60, 200)), maker.integer(-1, 2) or 1)
        if phone:
            canvas.text(
                design.small,
                words.fill("{hour}:{minute}"),
                design.width - 6.5 * height,
                base,
                grey=ink if shade == raised else 255,
            )
        top = bar
    left = design.margin * 0.6
    if not phone and maker.chance(0.5):
        side = max(design.width * maker.uniform(0.14, 0.25), 7 * height)
        canvas.box(0, top, side, design.tall, raised, -1)
        y = top + 1.5 * pitch
        for text in words.some("buttons", maker.integer(4, 18)):
            if y > design.tall - pitch:
                break
            chosen = maker.chance(0.12)
            if chosen:
                canvas.box(4, y - 1.1 * height, side - 4, y + 0.55 * height, accent, -1)
            start = 0.8 * height
            if maker.chance(0.5):
                icon = figures.logo(rng, int(0.8 * height), int(0.8 * height))
                spot = canvas.tone[int(y - 0.75 * height) :, int(start) :][: len(icon), : len(icon)]
                spot[...] = np.where(icon[: spot.shape[0], : spot.shape[1]] < 128, ink, spot)
                start += 1.3 * height
            canvas.text(body, text, start, y, grey=255 if chosen else ink, width=side - start - 2.5 * height)
            if maker.chance(0.25):
                canvas.text(design.small, str(maker.integer(1, 99)), side - 0.6 * height, y, anchor="right", grey=ink)
            y += 1.35 * pitch
        left = side + height * maker.uniform(0.6, 2)
    y = top + 1.5 * pitch
    bottom, width = design.tall - pitch, design.width - left - height
    if maker.chance(0.4):
        head = Setting(strong.hand, strong.scale * maker.uniform(1.2, 2.5))
        y += head.metrics.ascent - height
        canvas.text(head, words.heading(), left, y, grey=ink, width=width)
        y += 1.6 * pitch
    if kind == "code":
        number = maker.integer(1, 300)
        while y < bottom:
            canvas.text(body, str(number), left + 2.2 * height, y, anchor="right", grey=(ink + ground) // 2)
            number += 1
            if maker.chance(0.88):
                indent = 4 * maker.integer(0, 4) * body.width("n")
                canvas.text(
                    body, code_line(maker), left + 3 * height + indent, y, grey=ink, width=width - 3 * height - indent
                )
            y += 0.95 * pitch
    elif kind == "chat":
        while y < bottom - 2 * pitch:
            own = maker.chance(0.5)
            text = words.sentences(maker.integer(10, 160))
            wide = min(max(body.length(text) * 1.02 + 4, 4 * height), width * maker.uniform(0.5, 0.75))
            rows = int(np.ceil(body.length(text) * 1.1 / wide))
            x = left + (width - wide - 1.2 * height if own else 0)
            tall = rows * pitch + height
            if y + tall > bottom:
                break
            fill = accent if own else raised
            canvas.box(x, y, x + wide + 1.2 * height, y + tall, fill, -1)
            canvas.paragraph(
                body, text, x + 0.6 * height, y + 1.25 * height, wide, pitch, bottom=y + tall - 0.3 * height,
                grey=255 if own else ink,
            )  # fmt: skip
            y += tall
            if maker.chance(0.6):
                y += pitch
                canvas.text(design.small, words.fill("{hour}:{minute}"), x, y, grey=(ink + ground) // 2)
            y += 0.6 * pitch
    elif kind in ("mail", "settings"):
        while y < bottom - pitch:
            if kind == "mail":
                canvas.row(
                    strong,
                    [
                        (words.name(), left, "left", 0.6 * width),
                        (words.fill("{hour}:{minute}"), left + width, "right", 9e9),
                    ],
                    y,
                    ink,
                )
                canvas.text(body, words.heading(), left, y + pitch, grey=ink, width=width)
                canvas.text(body, words.sentences(120), left, y + 2 * pitch, grey=(2 * ink + ground) // 3, width=width)
                y += 3 * pitch
            else:
                canvas.text(
                    body,
                    words.pick([words.choose("fields"), words.choose("buttons")]),
                    left,
                    y,
                    grey=ink,
                    width=0.5 * width,
                )
                draw = rng.random()
                if draw < 0.35:
                    size = 0.9 * height
                    canvas.box(left + width - 2 * size, y - size, left + width, y, accent, -1)
                    cv2.circle(
                        canvas.tone, (int(left + width - size / 2), int(y - size / 2)), int(0.35 * size), 255, -1
                    )
                elif draw < 0.7:
                    canvas.box(
                        left + 0.55 * width, y - 1.1 * height, left + width, y + 0.5 * height, (ink + ground) // 2, 1
                    )
                    canvas.text(body, words.value(), left + 0.57 * width, y, grey=ink, width=0.4 * width)
                else:
                    canvas.text(body, words.value(), left + width, y, anchor="right", grey=ink, width=0.45 * width)
                y += 1.7 * pitch
            canvas.rule(left, y - 0.9 * pitch, left + width, y - 0.9 * pitch, raised)
    else:
        while y < bottom - pitch:
            y = canvas.paragraph(
                body, words.sentences(maker.integer(60, 500)), left, y, width, pitch, bottom=bottom, grey=ink
            )
            y += 0.7 * pitch
            if maker.chance(0.25):
                tall, wide = int(maker.uniform(4, 12) * height), int(maker.uniform(0.2, 0.8) * width)
                if y + tall < bottom:
                    figures.put(canvas.tone, figures.photo(rng, tall, wide), int(left), int(y)) if not dark else None
                    y += tall + 1.4 * pitch
            if maker.chance(0.3) and y < bottom - 2 * pitch:
                x = left
                for text in words.some("buttons", 2):
                    size = body.length(text) + 2 * height
                    canvas.box(x, y - 1.2 * height, x + size, y + 0.8 * height, accent, -1)
                    canvas.text(body, text, x + height, y, grey=255)
                    x += size + height
                y += 2 * pitch
    return Document(canvas, design, capture="digital" if maker.chance(0.85) else "photo", showing=False)


def resized(design: Design, factor: float) -> Design:
    """A design with letters of another size on the same sheet."""

    def scaled(setting: Setting) -> Setting:
        return replace(setting, scale=setting.scale * factor)

    return replace(
        design, body=scaled(design.body), strong=scaled(design.strong), title=scaled(design.title),
        small=scaled(design.small), height=design.height * factor, pitch=design.pitch * factor,
    )  # fmt: skip


def code_line(maker: Maker) -> str:
    """A line of some program, log or table of figures."""
    form = maker.words.pick([
        "if ({user} > {digit} && {user} != null) {{", "return {user}[{digit}] * {int};", "}}",
        "for {user} in range({int}):",
        "def {user}_{host}(self, {user}: int) -> str:", "# {word} {word} {word}", "import {host}.{user} as {small}",
        "{year}-{mm}-{dd} {hour}:{minute}:{minute} INFO {word} {word}", "{path}", "{url}", "{user} = \"{word}\"",
        "$ git commit -m '{word}'", "<div class=\"{user}\">{word}</div>", "{user}: {int}", "// {word} {word}",
    ])  # fmt: skip
    return maker.words.fill(form.replace("{{", "\1").replace("}}", "\2")).replace("\1", "{").replace("\2", "}")


def poster(maker: Maker) -> Document:
    """Headings of every size, one under the other, beside small print: posters, title pages, cards, labels."""
    design = maker.design(maker.style(0.08, 0.08), str(maker.rng.choice(["sheet", "any", "wide"], p=[0.4, 0.4, 0.2])))
    words, rng, height = maker.words, maker.rng, design.height
    canvas = maker.canvas(design.width, design.tall, int(rng.choice([255, 255, maker.integer(170, 245)])))
    anchor = words.pick(["left", "centre", "centre"])
    x = design.margin if anchor == "left" else design.width / 2
    width = design.width - 2 * design.margin
    y = height * maker.uniform(0.5, 3)
    while y < design.tall - 2 * height:
        scale = math.exp(maker.uniform(0, math.log(9))) if maker.chance(0.6) else 1.0
        hand = words.pick(["body", "strong", "title"])
        setting = Setting(getattr(design, hand).hand, scale)
        tall = setting.metrics.height
        if tall > 0.3 * design.tall:
            continue
        if scale < 1.5 and maker.chance(0.6):
            y = canvas.paragraph(
                setting, words.sentences(maker.integer(60, 450)), design.margin, y + setting.metrics.ascent, width,
                tall * 1.15, bottom=design.tall - 0.5 * tall, anchor=anchor,
            ) - setting.metrics.ascent  # fmt: skip
            # Big words come as close as printers let them.
            y += height * maker.uniform(-0.2, 1)
            continue
        text = words.pick(
            [words.heading(), words.words(1).capitalize(), words.slot("company"), words.date(), words.fill("{int}")]
        )
        text = text.upper() if maker.chance(0.4) else text
        y += setting.metrics.ascent * maker.uniform(1.0, 1.15)
        grey = maker.integer(0, 130) if maker.chance(0.3) else None
        canvas.text(setting, text, x, y, anchor=anchor, width=width, grey=grey)
        y += setting.metrics.descent + height * maker.uniform(0.1, 1.5)
        if maker.chance(0.12):
            size = int(height * maker.uniform(3, 12))
            if y + size < design.tall - height:
                at = x if anchor == "left" else x - size / 2
                canvas.picture(maker.picture(size, int(size * maker.uniform(0.7, 2))), at, y)
                y += size + 0.5 * height
        if maker.chance(0.04):
            break
    if maker.chance(0.3):
        maker.page_number(canvas, design)
    return Document(canvas, design)


def figured(maker: Maker) -> Document:
    """Prose with big things right beside and over it: codes, pictures, stamps, signatures, rings, scribbles."""
    design = maker.design(maker.style(0.15, 0.15), str(maker.rng.choice(["sheet", "any", "wide"], p=[0.4, 0.4, 0.2])))
    words, pitch, height = maker.words, design.pitch, design.height
    canvas = maker.canvas(design.width, design.tall)
    left, width = design.margin, design.width - 2 * design.margin
    y = height * maker.uniform(1.2, 4)
    if maker.chance(0.4):
        y = title_of(maker, canvas, design, words.heading(), y)
    while y < design.tall - 3 * pitch:
        if maker.chance(0.3):
            # A big word that almost touches the lines above and below.
            big = Setting(design.title.hand, maker.uniform(2, 9))
            if big.metrics.height < 0.25 * design.tall and y + big.metrics.height < design.tall:
                y += big.metrics.ascent - pitch * maker.uniform(0.4, 0.8)
                canvas.text(
                    big, words.words(1).capitalize(), left + maker.uniform(0, 0.4) * width, y, width=0.6 * width
                )
                y += big.metrics.descent + 0.9 * pitch
        y = canvas.paragraph(
            design.body, words.sentences(maker.integer(80, 700)), left, y, width * maker.uniform(0.6, 1), pitch,
            bottom=design.tall - height, justified=maker.chance(0.3),
        )  # fmt: skip
        y += pitch * maker.uniform(0, 2.5)
        if maker.chance(0.15):
            break
    maker.clutter(canvas, design, maker.integer(1, 6))
    if maker.chance(0.4):
        canvas.trim(canvas.bottom + height * maker.uniform(0.5, 6))
    return Document(canvas, design)


def plain(maker: Maker) -> Document:
    """A few paragraphs as a word processor sets them, numbered or not, page number above or below."""
    design = maker.design(maker.style(0.1, 0.15), str(maker.rng.choice(["sheet", "any", "wide"], p=[0.35, 0.45, 0.2])))
    words, pitch, height = maker.words, design.pitch, design.height
    canvas = maker.canvas(design.width, design.tall)
    numbered = maker.chance(0.45)
    left = design.margin + (height * maker.uniform(2, 4) if numbered else 0)
    width = (design.width - left - design.margin) * maker.uniform(0.7, 1)
    justified = maker.chance(0.3)
    y = height * maker.uniform(1.2, 3)
    if maker.chance(0.3):
        maker.page_number(canvas, design, top=True)
        y += 2 * pitch
    number = maker.integer(1, 9)
    roman = words.pick(["{n}", "{n}", "{n}.", "({n})", "{n})", "§ {n}", "{a}", "{a}.", "{a})", "{n}.{n}"])
    while y < design.tall - 2.5 * pitch:
        if numbered:
            sign = roman.replace("{n}", str(number)).replace("{a}", "abcdefghijklmnopqrstuvwxyz"[number % 26])
            canvas.text(design.body, sign, left - height * maker.uniform(1.2, 2) - design.body.length(sign) / 2, y)
            number += 1
        y = canvas.paragraph(
            design.body, words.sentences(maker.integer(40, 600)), left, y, width, pitch,
            bottom=design.tall - 2 * pitch, justified=justified,
        )  # fmt: skip
        y += pitch * maker.uniform(0, 1.5)
        if maker.chance(0.15):
            break
    if maker.chance(0.5):
        maker.page_number(canvas, design)
    if maker.chance(0.2):
        maker.margin_note(canvas, design)
    return Document(canvas, design)


def bleed(maker: Maker) -> Document:
    """A plain page whose back shows through."""
    document = plain(maker)
    return replace(document, showing=True, capture=maker.words.pick(["digital", "scan", "scan", "photo", "copy"]))


def strip(maker: Maker, least: float = 1 / 20, most: float = 20) -> Document:
    """A strip with one to many lines, whose width is `least` to `most` times its height."""
    words, rng = maker.words, maker.rng
    design = maker.design(maker.style(0.2, 0.15), "any")
    height = design.body.metrics.height
    ratio = math.exp(maker.uniform(math.log(least), math.log(most)))
    if ratio > 1:
        tall = height * (maker.uniform(1.6, 3) if maker.chance(0.4) else maker.uniform(3, 14))
        width = max(tall * ratio, 8 * height)
    else:
        width = height * maker.uniform(6, 16)
        tall = width / ratio
    shrink = min(1.0, math.sqrt(6e6 / (width * tall)))
    design = replace(design, body=Setting(design.body.hand, max(shrink, 14 / height)))
    height, pitch = design.body.metrics.height, design.body.metrics.height * maker.uniform(1.1, 1.7)
    canvas = maker.canvas(width * shrink, max(tall * shrink, 1.7 * height))
    known = fillers(maker)
    columns = max(1, int(rng.choice([1, canvas.width / (height * maker.uniform(10, 30))]))) if ratio > 1 else 1
    gutter = 1.5 * height
    across = (canvas.width - height - (columns - 1) * gutter) / columns
    cell = words.pick(["prose", "prose", "price", "digits", "name", "goods", "words", "date", "digit"])
    for column in range(columns):
        x, y = 0.5 * height + column * (across + gutter), 1.15 * height
        while y < canvas.height - 0.35 * height:
            if cell == "prose":
                y = canvas.paragraph(
                    design.body, words.sentences(int(maker.uniform(1, 6) * across / (0.4 * height)) + 20), x, y, across,
                    pitch, bottom=canvas.height - 0.35 * height,
                )  # fmt: skip
                y += pitch * float(rng.choice([0, 0, 1]))
            else:
                canvas.text(design.body, known[cell](), x, y, width=across)
                y += pitch
    return Document(canvas, design)
