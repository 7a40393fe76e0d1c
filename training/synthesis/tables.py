"""Tables, lists, invoices, statements, registers, receipts, and figures standing alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.synthesis import figures
from training.synthesis.canvas import Canvas, Design
from training.synthesis.hands import Setting
from training.synthesis.letters import finish_letter, letterhead
from training.synthesis.maker import Document, Maker


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, what fills its cells, its share of the width, and where its text stands."""

    head: str
    cell: Callable[[], str]
    share: float = 1.0
    anchor: str = "right"


def fillers(maker: Maker) -> dict[str, Callable[[], str]]:
    """What a column may hold."""
    words = maker.words
    places = maker.integer(1, 6)
    signs = words.pick(["{amount}", "{int}.{2}", "{int},{2}", "{digit}.{2}", "-{int}.{2}"])
    return {
        "date": words.date,
        "goods": lambda: words.choose("goods"),
        "entry": lambda: words.choose("entries"),
        "name": words.name,
        "amount": words.amount,
        "price": lambda: words.fill(signs),
        "digit": lambda: str(maker.integer(0, 9)),
        "quantity": lambda: str(maker.integer(1, 9) if maker.chance(0.7) else maker.integer(10, 250)),
        "digits": lambda: words.fill("{" + str(places) + "}"),
        "int": lambda: words.fill("{int}"),
        "code": lambda: words.fill("{code}"),
        "phone": lambda: words.slot("phone"),
        "city": lambda: words.fill("{city}"),
        "letter": lambda: words.fill("{capital}"),
        "word": lambda: words.words(1),
        "words": lambda: words.words(maker.integer(2, 4)),
        "percent": lambda: f"{maker.integer(0, 99)} %",
        "year": lambda: words.fill("{year}"),
        "clock": lambda: words.fill("{clock}"),
        "iban": lambda: words.fill("{iban}"),
        "email": lambda: words.fill("{email}"),
        "street": lambda: words.fill("{street}"),
        "sign": lambda: words.fill("{sign}"),
        "dash": lambda: words.pick(["-", "x", "+", "—", "*", "0", "1", "n/a"]),
    }


WIDE = {"goods", "entry", "name", "words", "iban", "email", "street", "city"}


def draw_columns(maker: Maker, kinds: Sequence[str]) -> list[Column]:
    """Columns of the kinds named, with headings."""
    known = fillers(maker)
    heads = maker.words.some("columns", len(kinds))
    heads += [maker.words.words(1).capitalize() for _ in range(len(kinds) - len(heads))]
    columns = []
    for kind, head in zip(kinds, heads, strict=True):
        wide = kind in WIDE
        share = maker.uniform(2, 3.5) if wide else maker.uniform(0.5, 0.8) if kind in ("digit", "letter") else 1.2
        anchor = "left" if wide or maker.chance(0.25) else maker.words.pick(["right", "right", "centre"])
        columns.append(Column(head, known[kind], share, anchor))
    return columns


def set_table(
    maker: Maker,
    canvas: Canvas,
    design: Design,
    columns: Sequence[Column],
    x: float,
    y: float,
    width: float,
    rows: int,
    *,
    bottom: float,
    headed: bool = True,
    setting: Setting | None = None,
    ruled: str = "",
) -> float:
    """Set a table with its first baseline about `y`; returns the row below it.

    Parameters
    ----------
    setting : Setting, optional
        What its cells are written in, the design's body without it.
    ruled : str
        ``none``, ``rows``, ``grid``, ``columns``, ``head``, ``zebra`` or ``dots``; drawn without it.
    """
    setting = setting or design.body
    height = setting.metrics.height
    kinds = ["none", "rows", "grid", "columns", "head", "zebra", "dots"]
    ruled = ruled or str(maker.rng.choice(kinds, p=[0.26, 0.16, 0.2, 0.08, 0.14, 0.11, 0.05]))
    step = max(height * maker.uniform(1.05, 2.3), 1.05 * height)
    pad = height * maker.uniform(0.3, 0.8)
    shares = np.array([column.share for column in columns])
    edges = x + width * np.append(0, np.cumsum(shares) / shares.sum())
    grey, thickness = maker.integer(0, 170), int(maker.rng.choice([1, 1, 2, 3]))
    drop = 0.5 * (step - height) + 0.25 * height
    apart = ruled in ("grid", "columns")

    def place(texts: Sequence[str]) -> list[tuple[str, float, str, float]]:
        cells = []
        for index, (text, column) in enumerate(zip(texts, columns, strict=True)):
            left, right = edges[index] + pad, edges[index + 1] - pad
            at = {"left": left, "right": right, "centre": (left + right) / 2}[column.anchor]
            cells.append((text, float(at), column.anchor, float(right - left)))
        return cells

    top = y
    if headed:
        dark = maker.chance(0.35)
        fill = maker.integer(0, 110) if dark else maker.integer(150, 235)
        filled = dark or maker.chance(0.25)
        if filled:
            canvas.box(x, y, x + width, y + step, fill, -1)
        heads = replace(design.strong, scale=setting.scale) if setting is design.body else design.strong
        white = maker.integer(225, 255) if dark else None
        canvas.row(heads, place([column.head for column in columns]), y + step - drop, white, apart)
        y += step
        if ruled != "none" and not filled:
            canvas.rule(x, y, x + width, y, grey, thickness)
    first = y
    empty = maker.uniform(0, 0.12) if maker.chance(0.4) else 0.0
    for number in range(rows):
        if y + step > bottom:
            break
        if ruled == "zebra" and number % 2:
            canvas.box(x, y, x + width, y + step, 215, -1)
        texts = ["" if empty and maker.chance(empty) else column.cell() for column in columns]
        canvas.row(setting, place(texts), y + step - drop, apart=apart)
        y += step
        if ruled in ("rows", "grid"):
            canvas.rule(x, y, x + width, y, grey, thickness)
        elif ruled == "dots":
            canvas.dots(x, y, x + width, grey, maker.integer(3, 8))
    if apart:
        for edge in edges:
            canvas.rule(edge, top, edge, y, grey, thickness)
    if ruled == "grid":
        canvas.box(x, top, x + width, y, grey, thickness)
        canvas.rule(x, first, x + width, first, grey, thickness)
    elif ruled == "head":
        canvas.rule(x, y, x + width, y, grey, thickness)
    canvas.bottom = max(canvas.bottom, y)
    return y


def title_of(maker: Maker, canvas: Canvas, design: Design, text: str, y: float) -> float:
    """Set a title across the page; returns the row below it."""
    anchor = maker.words.pick(["left", "left", "centre", "right"])
    x = {"left": design.margin, "centre": canvas.width / 2, "right": canvas.width - design.margin}[anchor]
    y += design.title.metrics.ascent * 1.15
    canvas.text(design.title, text, x, y, anchor=anchor, width=canvas.width - 2 * design.margin)
    return y + design.title.metrics.descent + design.pitch * maker.uniform(0.4, 1.4)


def table(maker: Maker) -> Document:
    """A page with one or more tables of any kind, some text around them."""
    design = maker.design(maker.style(0.08, 0.15), str(maker.rng.choice(["sheet", "wide", "any"], p=[0.5, 0.25, 0.25])))
    words, rng = maker.words, maker.rng
    canvas = maker.canvas(design.width, design.tall)
    left, width, bottom = design.margin, design.width - 2 * design.margin, design.tall - 1.2 * design.pitch
    y = design.pitch * maker.uniform(0.5, 2)
    if maker.chance(0.5):
        y = title_of(maker, canvas, design, words.heading(), y)
    names = list(fillers(maker))
    for _ in range(maker.integer(1, 3)):
        if maker.chance(0.35) and y + 4 * design.pitch < bottom:
            y = canvas.paragraph(
                design.body, words.sentences(maker.integer(80, 400)), left, y + design.pitch, width, design.pitch,
                bottom=bottom,
            )  # fmt: skip
        most = max(2, min(9, int(width / (6 * design.height))))
        kinds = [str(kind) for kind in rng.choice(names, maker.integer(2, most))]
        setting = None
        if maker.chance(0.15) and not maker.measured:
            setting = replace(design.pen, scale=min(1.0, 1.3 * design.height / design.pen.hand.height))
        y = set_table(
            maker, canvas, design, draw_columns(maker, kinds), left, y, width, maker.integer(2, 40),
            bottom=bottom, headed=maker.chance(0.7), setting=setting,
        )  # fmt: skip
        y += design.pitch * maker.uniform(0.6, 2)
        if maker.chance(0.3):
            canvas.text(design.small, words.sentences(60), left, y, width=width)
            y += design.pitch
        if y > 0.85 * bottom:
            break
    if maker.chance(0.25):
        maker.page_number(canvas, design)
    if maker.chance(0.3):
        canvas.trim(canvas.bottom + design.height * maker.uniform(0.6, 4))
    return Document(canvas, design)


def numbers(maker: Maker) -> Document:
    """Columns of numbers, and digits and letters alone, without rules and with little else."""
    design = maker.design(maker.style(0.12, 0.2), str(maker.rng.choice(["sheet", "wide", "any"], p=[0.4, 0.3, 0.3])))
    canvas = maker.canvas(design.width, design.tall)
    kinds = [
        "digit",
        "quantity",
        "digits",
        "int",
        "price",
        "amount",
        "letter",
        "percent",
        "year",
        "date",
        "phone",
        "dash",
    ]
    chosen = [
        str(kind) for kind in maker.rng.choice(kinds, maker.integer(1, 7) if maker.chance(0.3) else maker.integer(2, 6))
    ]
    if maker.chance(0.4):
        chosen[0] = maker.words.pick(["digit", "letter", "quantity"])
    if maker.chance(0.12):
        scatter(maker, canvas, design)
        return Document(canvas, design)
    columns = [replace(column, share=maker.uniform(0.8, 1.2)) for column in draw_columns(maker, chosen)]
    x = design.margin * maker.uniform(0.4, 2)
    width = (design.width - x) * maker.uniform(0.5, 0.97)
    y = design.height * maker.uniform(0.5, 3)
    big = Setting(design.body.hand, float(maker.rng.choice([1.0, maker.uniform(1, 2)])))
    ruled = "none" if maker.chance(0.75) else ""
    set_table(
        maker, canvas, design, columns, x, y, width, maker.integer(3, 70),
        bottom=design.tall - design.height, headed=maker.chance(0.12), setting=big, ruled=ruled,
    )  # fmt: skip
    if maker.chance(0.2):
        maker.page_number(canvas, design)
    if maker.chance(0.4):
        canvas.trim(canvas.bottom + design.height * maker.uniform(0.6, 5))
    return Document(canvas, design)


def scatter(maker: Maker, canvas: Canvas, design: Design) -> None:
    """Put single letters, digits, short numbers and words anywhere, of many sizes."""
    for _ in range(maker.integer(4, 40)):
        setting = Setting(design.body.hand, float(np.exp(maker.uniform(0, 1.5))))
        text = maker.words.fill(
            maker.words.pick(["{digit}", "{digit}", "{capital}", "{small}", "{int}", "{word}", "{sign}"])
        )
        height = setting.metrics.height
        x, y = maker.uniform(0.02, 0.9) * canvas.width, maker.uniform(0.05, 0.97) * canvas.height
        length = setting.length(text)
        if canvas.free((x - height, y - 1.1 * height, x + length + height, y + 0.5 * height)):
            canvas.text(setting, text, x, y)


def listing(maker: Maker, label: str = "", figure: str = "") -> Document:
    """Lists of names, telephone numbers, prices, contents, with and without numbers and leaders.

    Parameters
    ----------
    label, figure : str, optional
        What the entries are, and what stands at their end: names of `fillers`; drawn without them.
    """
    design = maker.design(maker.style(0.2, 0.2), str(maker.rng.choice(["sheet", "any", "narrow"], p=[0.6, 0.25, 0.15])))
    words, rng = maker.words, maker.rng
    canvas = maker.canvas(design.width, design.tall)
    known = fillers(maker)
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])) if design.width > 40 * design.height else 1
    first = design.height * maker.uniform(1.2, 4)
    if maker.chance(0.5):
        first = title_of(maker, canvas, design, words.heading(), first) + 0.5 * design.pitch
    label = label or words.pick(["name", "goods", "words", "entry", "city", "word", "street"])
    figure = figure or words.pick(
        ["phone", "date", "amount", "int", "price", "digit", "code", "email", "year", "clock", "none"]
    )
    bullet = words.pick(["", "", "", "1", "1.", "1)", "(1)", "a)", "a.", "A", "-", "•", "*", "→", "box"])
    lead = words.pick(["none", "none", "dots", "rule"])
    step = design.pitch * maker.uniform(0.9, 1.7)
    gutter = 2 * design.height
    across = (design.width - 2 * design.margin - (count - 1) * gutter) / count
    letter, side = design.body.metrics.height, 2.2 * design.body.metrics.height
    rows = maker.integer(3, 90)
    # A figure that stands close to its label, or at the far side of the column.
    tab = float(rng.choice([1.0, maker.uniform(0.5, 1.0)]))
    number = 0
    for column in range(count):
        x, y = design.margin + column * (across + gutter), first
        row = 0
        while row < rows and y < design.tall - design.height:
            number, row = number + 1, row + 1
            start = x
            if bullet == "box":
                size = 0.6 * letter
                canvas.box(x, y - size, x + size, y, 40, 2)
                if maker.chance(0.4):
                    figures.mark(canvas.pen, rng, x, y - size, size, 230)
                start += side
            elif bullet:
                sign = bullet.replace("1", str(number)).replace("a", "abcdefghijklmnopqrstuvwxyz"[number % 26])
                sign = sign.replace("A", words.fill("{capital}"))
                if maker.chance(0.5) or bullet in "1A":
                    canvas.text(design.body, sign, x, y)
                    start += side if number < 1000 else 1.5 * side
            end = x + tab * across
            value = known[figure]() if figure != "none" else ""
            size = design.body.length(value) if value else 0.0
            drawn = canvas.text(
                design.body, known[label](), start, y, width=max(end - size - start - 2 * letter, 3 * letter)
            )
            if value and drawn is not None and drawn["polygon"][:, 0].max() < end - size - letter:
                canvas.text(design.body, value, end, y, anchor="right")
                if lead != "none" and (after := float(drawn["polygon"][:, 0].max()) + 6) < end - size - 8:
                    if lead == "dots":
                        canvas.dots(after, y - 2, end - size - 8, 0, maker.integer(4, 9))
                    else:
                        canvas.rule(after, y + 3, end - size - 8, y + 3, 120)
            y += step
    if maker.chance(0.3):
        maker.page_number(canvas, design)
    if maker.chance(0.4):
        canvas.trim(canvas.bottom + design.height * maker.uniform(0.6, 5))
    return Document(canvas, design)


def invoice(maker: Maker) -> Document:
    """An invoice: letterhead, addresses, a table of items, totals, bank details."""
    design = maker.design(maker.style(0.03, 0.15))
    words, rng, pitch = maker.words, maker.rng, design.pitch
    canvas = maker.canvas(design.width, design.tall)
    left, right = design.margin, design.width - design.margin
    width, bottom = right - left, design.tall - 4 * pitch
    y = letterhead(maker, canvas, design, pitch * maker.uniform(0.4, 2))
    if maker.chance(0.7):
        banner = maker.chance(0.3)
        text = words.choose("titles")
        height = design.title.metrics.height
        if banner:
            canvas.box(left, y, right, y + 1.6 * height, maker.integer(0, 110), -1)
            canvas.text(design.title, text, left + 0.5 * height, y + 1.1 * height, grey=255, width=width - height)
        else:
            canvas.text(
                design.title,
                text,
                left if maker.chance(0.5) else right - 0.4 * width,
                y + 1.1 * height,
                width=0.4 * width,
            )
        y += 1.6 * height + pitch
    top = y
    for text in words.address():
        canvas.text(design.body, text, left, y, width=0.45 * width)
        y += pitch
    below, middle = y, left + maker.uniform(0.52, 0.6) * width
    y, anchor = top, words.pick(["near", "left", "right"])
    for text in words.some("meta", maker.integer(2, 6)):
        value = words.value(text)
        if anchor == "near":
            canvas.text(design.body, f"{text}: {value}", middle, y, width=right - middle)
        else:
            setting = design.strong if maker.chance(0.5) else design.body
            at = right if anchor == "right" else middle + 0.5 * (right - middle)
            canvas.row(
                setting,
                [(text, middle, "left", 0.45 * (right - middle)), (value, at, anchor, 0.5 * (right - middle))],
                y,
            )
        y += pitch
    y = max(y, below) + pitch * maker.uniform(0.5, 2)
    kinds = [
        "goods",
        *[str(kind) for kind in rng.choice(["quantity", "digit", "price", "percent", "code"], maker.integer(1, 3))],
    ]
    if maker.chance(0.35):
        kinds.insert(0, words.pick(["digit", "code", "date"]))
    columns = draw_columns(maker, [*kinds, "amount"])
    columns = [replace(column, anchor="right") if column is columns[-1] else column for column in columns]
    filled = None
    if maker.chance(0.15) and not maker.measured:
        filled = replace(design.pen, scale=min(1.0, 1.3 * design.height / design.pen.hand.height))
    y = set_table(
        maker, canvas, design, columns, left, y, width, maker.integer(1, 18), bottom=bottom - 4 * pitch, setting=filled
    )
    y += 1.3 * pitch
    for text in words.some("totals", maker.integer(1, 5)):
        if y > bottom:
            break
        setting = design.strong if maker.chance(0.3) else design.body
        start = left + maker.uniform(0.55, 0.6) * width
        canvas.row(
            setting, [(text, start, "left", 0.22 * width), (words.amount(), right - 4, "right", 0.18 * width)], y
        )
        y += pitch * 1.1
    if maker.chance(0.7):
        y = canvas.paragraph(
            design.small, words.sentences(maker.integer(60, 300)), left, y + pitch, width, pitch, bottom=bottom
        )
    for text in (
        "IBAN {iban}",
        "BIC {capital}{capital}{capital}{capital}{capital}{capital}{2}",
        "{url}",
        "Tel. {phone}",
    ):
        if maker.chance(0.4) and y < bottom + 3 * pitch:
            canvas.text(design.small, words.fill(text), left, y + pitch, width=width)
            y += pitch
    if maker.chance(0.3) and (place := maker.beside(canvas, 6 * design.height, 6 * design.height)):
        canvas.picture(figures.modules(rng, int(6 * design.height)), *place)
    finish_letter(maker, canvas, design)
    return Document(canvas, design)


def statement(maker: Maker) -> Document:
    """A bank statement: dates, entries, debits, credits and balances, close set, often without rules."""
    design = maker.design(maker.style(0.0, 0.12), "sheet")
    words = maker.words
    canvas = maker.canvas(design.width, design.tall)
    left, width = design.margin, design.width - 2 * design.margin
    y = design.pitch * maker.uniform(0.5, 2)
    headed = maker.chance(0.75)
    if headed:
        y = letterhead(maker, canvas, design, y)
        for text in words.some("meta", maker.integer(1, 5)):
            canvas.text(design.body, f"{text}: {words.value(text)}", left, y, width=0.8 * width)
            y += design.pitch
        canvas.text(design.body, words.fill("IBAN {iban}"), left, y, width=width)
        y += design.pitch * maker.uniform(1, 2.5)
    kinds = ["date", "entry", "amount"]
    kinds += [str(kind) for kind in maker.rng.choice(["amount", "price", "date", "code"], maker.integer(0, 3))]
    columns = draw_columns(maker, kinds)
    columns = [replace(column, anchor="right" if index > 1 else "left") for index, column in enumerate(columns)]
    set_table(
        maker, canvas, design, columns, left, y, width, maker.integer(8, 80), bottom=design.tall - 1.5 * design.pitch,
        headed=headed or maker.chance(0.5), ruled="none" if maker.chance(0.5) else "",
    )  # fmt: skip
    if maker.chance(0.6):
        maker.page_number(canvas, design)
    return Document(canvas, design)


def register(maker: Maker, style: str = "") -> Document:
    """A register in ruled columns with printed heads, filled in a style of typeface or by hand; drawn without it."""
    design = maker.design("print", str(maker.rng.choice(["wide", "sheet"])))
    words, rng = maker.words, maker.rng
    writing = maker.hand(
        max(24.0, design.height * maker.uniform(1.1, 1.6)), style or words.pick(["hand", "hand", "hand", "typewriter"])
    )
    scale = maker.uniform(1.0, 1.4)
    canvas = maker.canvas(design.width * scale, design.tall * scale)
    left, width = design.margin * 0.5, canvas.width - design.margin
    y = design.pitch
    if maker.chance(0.5):
        y = title_of(maker, canvas, design, words.pick([words.choose("titles"), words.heading()]), y)
    most = max(3, min(8, int(width / (6 * writing.metrics.height))))
    kinds = [str(kind) for kind in rng.choice(
        ["digit", "quantity", "date", "name", "goods", "city", "words", "year", "amount", "int", "street", "dash"],
        maker.integer(3, most),
    )]  # fmt: skip
    set_table(
        maker, canvas, design, draw_columns(maker, kinds), left, y, width, maker.integer(5, 50),
        bottom=canvas.height - design.pitch, setting=writing,
        ruled=words.pick(["grid", "grid", "columns", "rows", "dots"]),
    )  # fmt: skip
    if maker.chance(0.3):
        maker.page_number(canvas, design, top=True)
    return Document(canvas, design)


def receipt(maker: Maker) -> Document:
    """A till receipt: narrow, sometimes twenty times as tall as wide."""
    design = maker.design("typewriter" if maker.chance(0.6) else "print", "narrow")
    words, rng = maker.words, maker.rng
    canvas = maker.canvas(design.width, design.tall, 255)
    left = design.width * maker.uniform(0.03, 0.1)
    right, middle = design.width - left, design.width / 2
    step = design.height * maker.uniform(1.0, 1.9)
    setting, height = design.body, design.height
    y = 1.5 * height
    if maker.chance(0.3):
        size = int(height * maker.uniform(3, 7))
        canvas.picture(figures.logo(rng, size, size), middle - size / 2, y)
        y += size + height
    head = Setting(design.strong.hand, maker.uniform(1.0, 2.0))
    y += head.metrics.ascent
    name = words.slot("company")
    canvas.text(head, name.upper() if maker.chance(0.6) else name, middle, y, anchor="centre", width=right - left)
    y += 1.3 * step * head.scale
    for text in [*words.address()[1:], words.fill("Tel. {phone}"), words.fill("{dd}/{mm}/{year} {clock}")][
        : maker.integer(0, 5)
    ]:
        canvas.text(setting, text, middle, y, anchor="centre", width=right - left)
        y += step
    y += step * maker.uniform(0, 1)

    def rule(y: float) -> None:
        kind = maker.integer(0, 3)
        if kind == 0:
            canvas.dots(left, y, right, 0, maker.integer(3, 9))
        elif kind == 1:
            canvas.rule(left, y, right, y, 0, maker.integer(1, 3))
        elif kind == 2:
            dash = int(0.4 * height)
            for x in range(int(left), int(right) - dash, 2 * dash):
                canvas.rule(x, y, x + dash, y, 0, 2)

    rule(y)
    y += 1.3 * step
    form = words.pick(
        ["name price", "name price", "quantity name price", "name quantity price", "two rows", "code name price"]
    )
    shout, tail = maker.chance(0.4), 12 * step
    quantity = left + maker.uniform(0.55, 0.7) * (right - left)
    while y < canvas.height - tail:
        goods = words.choose("goods") if maker.chance(0.8) else words.fill("{word} {int}")
        goods = goods.upper() if shout else goods
        price = words.amount(2.2)
        count = str(maker.integer(1, 9)) if maker.chance(0.8) else words.fill("{int}")
        room = right - left - setting.length(price) - 1.2 * height
        if form == "quantity name price":
            start = left + 2.2 * height
            cells = [
                (count, left, "left", 2 * height),
                (goods, start, "left", room - 2.2 * height),
                (price, right, "right", 9e9),
            ]
        elif form == "name quantity price":
            cells = [(goods, left, "left", quantity - left - 1.5 * height), (count, quantity, "right", 3 * height)]
            cells.append((price, right, "right", right - quantity - height))
        elif form == "code name price":
            code = words.fill("{4}")
            start = left + setting.length(code) + height
            cells = [
                (code, left, "left", 9e9),
                (goods, start, "left", room - (start - left)),
                (price, right, "right", 9e9),
            ]
        elif form == "two rows":
            canvas.row(setting, [(goods, left, "left", right - left)], y)
            y += step
            cells = [
                (f"{count} x {words.amount(2)}", left + height, "left", room - height),
                (price, right, "right", 9e9),
            ]
        else:
            cells = [(goods, left, "left", room), (price, right, "right", 9e9)]
        canvas.row(setting, cells, y)
        y += step * (1.6 if maker.chance(0.03) else 1.0)
    rule(y - 0.4 * step)
    y += 0.8 * step
    for text in words.some("totals", maker.integer(1, 5)):
        large = Setting(design.strong.hand, maker.uniform(1.0, 1.6)) if maker.chance(0.25) else setting
        amount = words.amount(3)
        room = right - left - large.length(amount) - large.metrics.height
        canvas.row(large, [(text, left, "left", room), (amount, right, "right", 9e9)], y)
        y += step * large.scale * 1.05
    if maker.chance(0.4):
        canvas.text(
            setting, words.fill(words.pick(["**** **** **** {4}", "# {6}", "{code}"])), left, y, width=right - left
        )
        y += step
    if maker.chance(0.6):
        tall, wide = int(height * maker.uniform(2, 4)), int((right - left) * maker.uniform(0.4, 0.9))
        symbol = figures.bars(rng, tall, wide) if maker.chance(0.7) else figures.modules(rng, tall + int(2 * height))
        canvas.picture(symbol, middle - symbol.shape[1] / 2, y - 0.5 * height)
        y += symbol.shape[0] + 0.8 * step
    for text in words.some("sums", maker.integer(1, 4)):
        canvas.text(setting, text, middle, y, anchor="centre", width=right - left)
        y += step
    canvas.trim(canvas.bottom + height * maker.uniform(0.5, 4))
    return Document(canvas, design, typed=maker.chance(0.5))
