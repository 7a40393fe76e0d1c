"""Letters, typed letters, notes, and plain pages of prose as offices write them."""

from __future__ import annotations

from dataclasses import replace

from training.synthesis import figures
from training.synthesis.canvas import Canvas, Design
from training.synthesis.hands import Setting
from training.synthesis.maker import Document, Maker


def letterhead(maker: Maker, canvas: Canvas, design: Design, y: float) -> float:
    """Print the sender's name, address and logo; returns the row below them."""
    words, rng = maker.words, maker.rng
    left, right = design.margin, canvas.width - design.margin
    anchor = str(rng.choice(["left", "centre", "right"], p=[0.4, 0.4, 0.2]))
    x = {"left": left, "centre": canvas.width / 2, "right": right}[anchor]
    size = design.height * maker.uniform(2.5, 6)
    if maker.chance(0.6):
        at = right - size if anchor == "left" or (anchor == "centre" and maker.chance(0.5)) else left
        canvas.picture(figures.logo(rng, int(size), int(size)), at, y)
        if anchor == "centre" and maker.chance(0.3):
            y += size + 0.5 * design.height
    company = words.slot("company")
    company = company.upper() if maker.chance(0.4) else company
    y += design.title.metrics.ascent * 1.1
    canvas.text(
        design.title, company, x, y, anchor=anchor, width=(right - left) * (0.75 if anchor != "centre" else 0.6)
    )
    y += max(design.title.metrics.descent, 4) + design.pitch
    details = [*words.address()[1:], words.fill("Tel. {phone}"), words.fill(words.pick(["{email}", "{url}"]))]
    if maker.chance(0.4):
        details = [words.pick([" - ", ", ", " | ", " · "]).join(details[:2]), *details[2:]]
    for text in details[: maker.integer(1, 4)]:
        canvas.text(design.small, text, x, y, anchor=anchor, width=(right - left) * 0.8)
        y += design.small.scale * design.pitch
    if maker.chance(0.5):
        canvas.rule(
            left, y - 0.3 * design.pitch, right, y - 0.3 * design.pitch, maker.integer(0, 160), maker.integer(1, 4)
        )
    return y + design.pitch * maker.uniform(0.3, 1.5)


def letter(maker: Maker, style: str = "") -> Document:
    """A letter with letterhead, addresses, date, signature and stamps."""
    typed = style == "typewriter"
    design = maker.design(style or maker.style(0.06, 0.1))
    words, pitch = maker.words, design.pitch
    canvas = maker.canvas(design.width, design.tall)
    left, right, bottom = design.margin, design.width - design.margin, design.tall - 3 * pitch
    y = design.height * maker.uniform(1, 4)
    if maker.chance(0.85 if not typed else 0.65):
        heads = design
        if typed:
            printed = maker.design("print")
            heads = replace(printed, height=design.height, pitch=design.pitch, margin=design.margin)
            resize = design.height / printed.height
            heads = replace(
                heads,
                title=replace(heads.title, scale=heads.title.scale * resize),
                small=replace(heads.small, scale=heads.small.scale * resize),
            )
        y = letterhead(maker, canvas, heads, y)
    y += pitch
    if maker.chance(0.5):
        for text in words.some("meta", maker.integer(1, 3)):
            canvas.text(
                design.body, f"{text}{words.pick([': ', ' ', '. '])}{words.fill('{code}')}", left, y, width=right - left
            )
            y += pitch
    date = words.date() if maker.chance(0.5) else words.fill("{city}, ") + words.date()
    anchor = words.pick(["left", "right", "right"])
    y += pitch * maker.uniform(0, 1.5)
    canvas.text(design.body, date, left if anchor == "left" else right, y, anchor=anchor)
    y += pitch * maker.uniform(1, 2.5)
    x = left if maker.chance(0.75) else left + 0.55 * (right - left)
    for text in words.address():
        canvas.text(design.body, text, x, y, width=right - x)
        y += pitch
    y += pitch * maker.uniform(0.5, 2)
    if maker.chance(0.4):
        subject = words.heading()
        canvas.text(design.strong, subject, left, y, width=right - left, underline=maker.chance(0.3))
        y += 1.6 * pitch
    canvas.text(design.body, words.choose("openings"), left, y, width=right - left)
    y += pitch * maker.uniform(1, 2)
    indent = float(maker.rng.choice([0, 2.5 * design.height]))
    justified = maker.chance(0.25)
    stop = bottom - pitch * maker.uniform(5, 9)
    for index in range(maker.integer(1, 5)):
        if y > stop:
            break
        text = words.sentences(maker.integer(90, 700))
        if maker.chance(0.2):
            canvas.text(design.body, f"{index + 1}.", left, y)
            y = canvas.paragraph(
                design.body, text, left + 2.5 * design.height, y, right - left - 2.5 * design.height, pitch, bottom=stop
            )
        else:
            y = canvas.paragraph(
                design.body, text, left, y, right - left, pitch, bottom=stop, justified=justified, indent=indent
            )
        y += pitch * maker.uniform(0, 1)
    y += pitch * maker.uniform(0.3, 1.2)
    x = left if maker.chance(0.5) else left + maker.uniform(0.4, 0.6) * (right - left)
    canvas.text(design.body, words.choose("closings"), x, y, width=right - x)
    y += pitch * maker.uniform(1.2, 4)
    if maker.chance(0.85):
        maker.sign(canvas, design, x + maker.uniform(-1, 3) * design.height, y - pitch * maker.uniform(0, 1.8))
    canvas.text(design.body, words.name(), x, y, width=right - x)
    if maker.chance(0.6):
        canvas.text(design.body, words.choose("jobs"), x, y + pitch, width=right - x)
    if maker.chance(0.4):
        foot = design.tall - design.height * maker.uniform(0.8, 2)
        canvas.text(
            design.small,
            words.fill("{street}, {town} - {phone} - {url}"),
            design.width / 2,
            foot,
            anchor="centre",
            width=right - left,
        )
    finish_letter(maker, canvas, design)
    return Document(canvas, design, typed=typed)


def finish_letter(maker: Maker, canvas: Canvas, design: Design) -> None:
    """Stamps, holes, page numbers and notes in the margin."""
    for _ in range(int(maker.rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))):
        maker.stamp(canvas, design, maker.uniform(0.15, 0.85) * canvas.width, maker.uniform(0.1, 0.9) * canvas.bottom)
    if maker.chance(0.35):
        maker.holes(canvas, design.margin)
    if maker.chance(0.12):
        maker.margin_note(canvas, design)
    if maker.chance(0.2):
        maker.page_number(canvas, design, top=maker.chance(0.5))
    if maker.chance(0.2):
        note = maker.hand(design.height * maker.uniform(1.1, 1.7))
        text = maker.words.pick(["{date}", "{initial}. {initial}.", "{int}", "{last}", "{word}"])
        x, y = maker.uniform(0.6, 0.9) * canvas.width, maker.uniform(0.02, 0.12) * canvas.height + design.height
        box = (x - 4, y - 1.2 * note.metrics.height, x + 8 * note.metrics.height, y + 0.5 * note.metrics.height)
        if canvas.free(box):
            canvas.text(note, maker.words.fill(text), x, y)


def typed_letter(maker: Maker) -> Document:
    """A letter from a typewriter."""
    return letter(maker, "typewriter")


def notes(maker: Maker) -> Document:
    """A note by hand: appointments, shopping, telephone numbers, with doodles."""
    design = maker.design("hand", "any")
    words, pitch = maker.words, design.pitch * maker.uniform(0.9, 1.4)
    canvas = maker.canvas(design.width, max(design.tall, 8 * pitch))
    if maker.chance(0.4):
        step, grey = pitch / maker.integer(1, 2), maker.integer(150, 225)
        y = step * maker.uniform(0.5, 1)
        squared = maker.chance(0.4)
        while y < canvas.height:
            canvas.rule(0, y, canvas.width, y, grey)
            y += step
        x = step
        while squared and x < canvas.width:
            canvas.rule(x, 0, x, canvas.height, grey)
            x += step
    y, left = 1.6 * pitch, design.margin
    bullet = words.pick(["", "", "-", "•", "*", "1.", "a)", "[]"])
    if maker.chance(0.6):
        title = Setting(design.body.hand, maker.uniform(1.1, 1.6))
        line = canvas.text(title, words.heading(), left, y, width=design.width - 2 * left, underline=maker.chance(0.4))
        y += 1.6 * pitch if line else 0
    index = 0
    while y < canvas.height - pitch:
        index += 1
        if maker.chance(0.1):
            y = canvas.paragraph(
                design.body, words.sentences(maker.integer(60, 260)), left, y, design.width - 2 * left, pitch,
                bottom=canvas.height - pitch,
            )  # fmt: skip
            continue
        sign = {"1.": f"{index}.", "a)": f"{'abcdefghijklmnopqrstuvwxyz'[index % 26]})", "[]": ""}.get(bullet, bullet)
        x = left
        if bullet == "[]":
            size = 0.55 * design.body.metrics.height
            canvas.box(x, y - size, x + size, y, 60, 2)
            if maker.chance(0.5):
                figures.mark(canvas.pen, maker.rng, x, y - size, size, 230)
            x += 1.6 * size
        text = (
            words.choose("notes") if maker.chance(0.8) else words.fill(words.pick(["{number}", "{capital}", "{digit}"]))
        )
        if sign and maker.chance(0.5):
            canvas.text(design.body, sign, x, y)
            x += 2.2 * design.body.metrics.height
        else:
            text = f"{sign} {text}".strip()
        canvas.text(design.body, text, x, y, width=design.width - x - 8)
        y += pitch * maker.uniform(0.95, 1.3)
    for _ in range(int(maker.rng.poisson(0.8))):
        wide, tall = design.body.metrics.height * maker.rng.uniform(1.5, 6, 2)
        if place := maker.beside(canvas, wide, tall):
            box = (int(place[0]), int(place[1]), int(place[0] + wide), int(place[1] + tall))
            figures.scribble(canvas.pen, maker.rng, box, maker.integer(140, 255))
    return Document(canvas, design)
