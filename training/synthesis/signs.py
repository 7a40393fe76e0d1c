"""Invent tokens that running text seldom has: amounts, codes, addresses of all kinds, source code, formulas."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import partial

from numpy.random import Generator

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
# Characters that are easily taken for each other stand together in codes.
CONFUSABLE = "O0oQDIl1|7TZ2S5B8G6"
CURRENCIES = (
    "€",
    "€",
    "€",
    "$",
    "$",
    "$",
    "£",
    "£",
    "¥",
    "EUR",
    "USD",
    "CHF",
    "zł",
    "Kč",
    "kr",
    "Ft",
    "lei",
    "F",
    "fr.",
)
UNITS = (
    "mm",
    "cm",
    "km",
    "kg",
    "g",
    "mg",
    "ml",
    "l",
    "m²",
    "m³",
    "°C",
    "°F",
    "%",
    "‰",
    "kW",
    "V",
    "A",
    "Hz",
    "GB",
    "µm",
    "h",
    "min",
    "s",
    "x",
    "dpi",
)
IBAN_LENGTHS = {
    "FR": 27,
    "DE": 22,
    "ES": 24,
    "IT": 27,
    "GB": 22,
    "NL": 18,
    "BE": 16,
    "CH": 21,
    "PL": 28,
    "PT": 25,
    "AT": 20,
    "SE": 24,
}
EXTENSIONS = ("pdf", "txt", "jpg", "png", "csv", "docx", "xlsx", "html", "py", "json", "zip", "tar.gz", "log")
DOMAINS = (
    "com",
    "org",
    "net",
    "fr",
    "de",
    "co.uk",
    "eu",
    "it",
    "es",
    "pt",
    "nl",
    "pl",
    "io",
    "edu",
    "gov",
    "ch",
    "info",
)
OPERATORS = (
    "+",
    "-",
    "*",
    "/",
    "=",
    "==",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "&&",
    "||",
    "%",
    "^",
    "&",
    "|",
    "<<",
    ">>",
    "=>",
    "->",
    "+=",
    "-=",
    ":=",
)


class Signs:
    """Tokens and whole lines of signs.

    Parameters
    ----------
    rng : numpy.random.Generator
    words : sequence of str
        Words that names in addresses and code are made of.
    """

    def __init__(self, rng: Generator, words: Sequence[str]) -> None:
        self.rng, self.words = rng, words
        self.kinds: tuple[Callable[[], str], ...] = (
            self.amount,
            self.amount,
            self.date,
            self.date,
            self.time,
            self.phone,
            self.code,
            self.code,
            self.url,
            self.email,
            self.iban,
            self.path,
            self.path,
            self.source,
            self.source,
            self.formula,
            self.measure,
            self.reference,
            self.bracketed,
            self.version,
            self.list_mark,
            self.label,
            self.alternative,
            self.digits,
            self.digits,
            self.card,
            self.plate,
        )

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def of(self, characters: str, low: int, high: int | None = None) -> str:
        """Between `low` and `high` characters of some."""
        count = low if high is None else int(self.rng.integers(low, high + 1))
        return "".join(characters[int(at)] for at in self.rng.integers(0, len(characters), count))

    def word(self) -> str:
        """A word in ASCII letters, small."""
        letters = "".join(letter for letter in self.pick(self.words).lower() if letter in LOWER)
        return letters[:12] or self.of(LOWER, 3, 7)

    def number(self, most: float = 6.0) -> str:
        return str(int(10 ** self.rng.uniform(0, most)))

    def grouped(self, separator: str) -> str:
        return f"{int(10 ** self.rng.uniform(1, 6.5)):,}".replace(",", separator)

    def amount(self) -> str:
        comma = self.chance(0.5)
        value = self.grouped(self.pick([".", " ", ""]) if comma else self.pick([",", "", "'"]))
        if self.chance(0.85):
            value += ("," if comma else ".") + self.of(DIGITS, 2)
        sign = self.pick(["", "", "", "", "-", "+", "~", "± "])
        currency = self.pick(CURRENCIES) if self.chance(0.7) else ""
        if currency in "€$£¥" and currency and self.chance(0.5):
            return f"{sign}{currency}{self.pick(['', ' '])}{value}"
        return f"{sign}{value} {currency}".strip()

    def date(self) -> str:
        day, month, year = (int(self.rng.integers(*bounds)) for bounds in ((1, 32), (1, 13), (1880, 2031)))
        return self.pick(
            [
                f"{day:02}/{month:02}/{year}",
                f"{day}/{month}/{year % 100:02}",
                f"{day}.{month}.{year}",
                f"{day:02}.{month:02}.{year}",
                f"{year}-{month:02}-{day:02}",
                f"{day:02}-{month:02}-{year}",
                f"{month:02}/{year}",
                f"{year}/{(year + 1) % 100:02}",
                f"{year}-{year + 3}",
            ]
        )

    def time(self) -> str:
        hour, minute = int(self.rng.integers(0, 24)), int(self.rng.integers(0, 60))
        return self.pick(
            [
                f"{hour:02}:{minute:02}",
                f"{hour}:{minute:02}",
                f"{hour}h{minute:02}",
                f"{hour % 12 + 1}.{minute:02} p.m.",
                f"{hour:02}:{minute:02}:{minute:02}",
                f"{hour % 12 + 1}:{minute:02} AM",
                f"{hour}:{minute:02} - {(hour + 2) % 24}:{minute:02}",
            ]
        )

    def phone(self) -> str:
        d = self.of
        return self.pick(
            [
                f"+{d(DIGITS, 2)} (0){d(DIGITS, 1)} {d(DIGITS, 2)} {d(DIGITS, 2)} {d(DIGITS, 2)} {d(DIGITS, 2)}",
                f"({d(DIGITS, 3)}) {d(DIGITS, 3)}-{d(DIGITS, 4)}",
                f"+1 ({d(DIGITS, 3)}) {d(DIGITS, 3)}-{d(DIGITS, 4)}",
                f"0{d(DIGITS, 1)} {d(DIGITS, 2)} {d(DIGITS, 2)} {d(DIGITS, 2)} {d(DIGITS, 2)}",
                f"0{d(DIGITS, 1)}.{d(DIGITS, 2)}.{d(DIGITS, 2)}.{d(DIGITS, 2)}.{d(DIGITS, 2)}",
                f"0{d(DIGITS, 2, 4)}/{d(DIGITS, 5, 8)}",
                f"0{d(DIGITS, 3)} {d(DIGITS, 6)}",
                f"{d(DIGITS, 3)}-{d(DIGITS, 4)}",
                f"+{d(DIGITS, 2)} {d(DIGITS, 3)} {d(DIGITS, 3)} {d(DIGITS, 3)}",
            ]
        )

    def code(self) -> str:
        parts = []
        for _ in range(int(self.rng.integers(1, 4))):
            letters = self.pick(
                [
                    UPPER,
                    DIGITS,
                    UPPER + DIGITS,
                    CONFUSABLE,
                    DIGITS,
                    LOWER + DIGITS,
                    UPPER + LOWER + DIGITS,
                    "0123456789abcdef",
                ]
            )
            parts.append(self.of(letters, 1, 7))
        return self.pick(["", "-", "-", "/", "_", ".", " ", ":"]).join(parts)

    def host(self) -> str:
        return (
            self.pick(["", "www.", "mail.", "docs."])
            + self.word()
            + self.pick(["", "", "-" + self.word()])
            + "."
            + self.pick(DOMAINS)
        )

    def url(self) -> str:
        text = self.pick(["https://", "http://", "", "ftp://"]) + self.host()
        for _ in range(int(self.rng.integers(0, 4))):
            text += "/" + self.pick(
                [self.word(), self.number(4), f"{self.word()}_{self.word()}", f"{self.word()}-{self.word()}"]
            )
        if self.chance(0.3):
            text += f".{self.pick(EXTENSIONS)}"
        if self.chance(0.3):
            text += f"?{self.pick(['id', 'q', 'page', self.word()])}={self.pick([self.number(4), self.word()])}"
            if self.chance(0.5):
                text += f"&{self.word()}={self.pick([self.number(3), self.word()])}"
        return text + (f"#{self.word()}" if self.chance(0.1) else "")

    def email(self) -> str:
        user = self.pick([".", "_", "-", ""]).join(self.word() for _ in range(int(self.rng.integers(1, 3))))
        return (
            f"{user}{self.pick(['', '', self.of(DIGITS, 1, 4), '+' + self.word()])}@{self.host().removeprefix('www.')}"
        )

    def iban(self) -> str:
        country = self.pick(list(IBAN_LENGTHS))
        text = country + self.of(DIGITS, IBAN_LENGTHS[country] - 2)
        if self.chance(0.3):
            text = text[:4] + self.of(UPPER, 4) + text[8:]
        if self.chance(0.75):
            text = " ".join(text[at : at + 4] for at in range(0, len(text), 4))
        return self.pick(["", "IBAN ", "IBAN: "]) + text + (f" BIC: {self.of(UPPER, 8)}" if self.chance(0.15) else "")

    def card(self) -> str:
        return self.pick(
            [
                " ".join(self.of(DIGITS, 4) for _ in range(4)),
                f"**** **** **** {self.of(DIGITS, 4)}",
                f"XXXX-XXXX-{self.of(DIGITS, 4)}",
            ]
        )

    def plate(self) -> str:
        return self.pick(
            [
                f"{self.of(UPPER, 2)}-{self.of(DIGITS, 3)}-{self.of(UPPER, 2)}",
                f"{self.of(UPPER, 1, 3)} {self.of(UPPER, 2)} {self.of(DIGITS, 3, 4)}",
                f"{self.of(DIGITS, 5)} {self.pick(self.words).capitalize()}",
            ]
        )

    def path(self) -> str:
        parts = [
            self.pick(
                [
                    self.word(),
                    f"{self.word()}_{self.word()}",
                    f"{self.word()} ({self.number(1.5)})",
                    self.word().capitalize(),
                ]
            )
            for _ in range(int(self.rng.integers(1, 5)))
        ]
        name = f"{self.word()}{self.pick(['', '_', '-'])}{self.number(4)}.{self.pick(EXTENSIONS)}"
        if self.chance(0.5):
            return self.pick(["C:", "D:", "\\"]) + "\\" + "\\".join([*parts, name])
        return self.pick(["/", "~/", "./", "../", ""]) + "/".join([*parts, name])

    def name(self) -> str:
        first, second = self.word(), self.word()
        return self.pick(
            [
                first,
                f"{first}_{second}",
                first + second.capitalize(),
                first[:1],
                f"{first}{self.of(DIGITS, 1)}",
                first.upper(),
                f"_{first}",
                f"{first[:1]}[{second[:1]}]",
            ]
        )

    def source(self) -> str:
        name, number = self.name, partial(self.number, 3)
        return self.pick(
            [
                f"if ({name()} {self.pick(OPERATORS)} {number()}) {{",
                f"return {name()}[{name()}] * {number()};",
                f"{name()} = {name()}({name()}, {number()})",
                f"for (int i = 0; i < {name()}; i++) {{",
                f"def {name()}({name()}: str, {name()}=None) -> int:",
                f"#include <{self.word()}.h>",
                f'<{self.word()} {self.word()}="{self.word()}">',
                f"</{self.word()}>",
                f'{name()}.{name()}("{self.word()}\\n", {number()});',
                f"$ {self.word()} --{self.word()}={number()} -{self.of(LOWER, 1)} {self.path()}",
                f"# {self.word()} {self.word()}: {number()}",
                f"{name()} += {name()} {self.pick(OPERATORS)} ({name()} - {number()})",
                f"'{self.word()}': [{number()}, {number()}],",
                f'{{"{self.word()}": {number()}, "{self.word()}": "{self.word()}"}}',
                f"// {self.word()} {self.word()}",
                f"/* {self.word()} */",
                f"SELECT * FROM {self.word()} WHERE {self.word()} = '{self.word()}';",
                f"while ({name()} != {number()} && !{name()})",
                f"import {self.word()}.{self.word()}",
                f"`{self.word()}` | `{self.word()}`",
                f"@{self.word()} {self.word()}()",
                f"{name()} ? {name()} : {number()};",
                f'printf("%d %s\\n", {name()}, {name()});',
                "}",
                "};",
                "})",
                "else {",
                f"&{self.word()};",
                f"x ^ {number()} ~ {name()}",
            ]
        )

    def formula(self) -> str:
        a, b, c = (
            self.pick([self.number(3), self.of("xyzabnk", 1), f"{self.number(2)}.{self.of(DIGITS, 1, 2)}"])
            for _ in range(3)
        )
        return self.pick(
            [
                f"{a} + {b} = {c}",
                f"{a} × {b} = {c}",
                f"{a} / {b}",
                f"{a}² + {b}² = {c}²",
                f"{a} ≤ {b} < {c}",
                f"{a} ÷ {b} ≈ {c}",
                f"({a} - {b}) * {c}",
                f"{a} ± {b}",
                f"{a} ≠ {b}",
                f"{a} = {b}/{c}",
                f"{a}·{b}",
                f"√{a} = {b}",
                f"{a} > {b} ≥ {c}",
                f"{a}:{b} = {c}",
                f"½ {a}",
                f"{a}¼",
                f"{a} ¾ {b}",
                f"{a}³",
                "∞",
                f"{a} → {b}",
                f"{a} ← {b}",
            ]
        )

    def measure(self) -> str:
        unit = self.pick(UNITS)
        value = self.pick(
            [self.number(3), f"{self.number(2)},{self.of(DIGITS, 1)}", f"{self.number(2)}.{self.of(DIGITS, 1, 2)}"]
        )
        return self.pick(["", "± ", "±", "~", "< ", "> "]) + value + self.pick(["", " "]) + unit

    def reference(self) -> str:
        n = self.number
        return self.pick(
            [
                f"[{n(2)}]",
                f"(p. {n(3)})",
                f"§ {n(2)}",
                f"§{n(2)}({self.of(LOWER, 1)})",
                f"p. {n(3)}-{n(3)}",
                f"n° {n(4)}",
                f"N.º {n(3)}",
                f"No. {n(4)}",
                f"Nr. {n(4)}",
                f"№ {n(3)}",
                f"#{n(5)}",
                f"art. {n(2)}/{n(2)}",
                f"{n(2)}ª",
                f"{n(2)}º",
                f"{n(1)}e",
                f"{n(1)}er",
                f"vol. {self.pick(['I', 'II', 'III', 'IV', 'V', 'VI', 'IX', 'XII', 'XIV'])}",
                f"fig. {n(1)}",
                f"† {n(4)}",
                f"¶ {n(2)}",
                "‡",
                f"{self.word().capitalize()}®",
                f"{self.word().capitalize()}™",
                f"© {n(4)}",
            ]
        )

    def bracketed(self) -> str:
        brackets = self.pick(["()", "[]", "{}", "<>", '""', "''", "«»", "‹›", "**", "__", "``", "||", "//", "--"])
        text = self.pick([self.word(), self.pick(self.words), self.number(4), f"{self.word()} {self.word()}"])
        return f"{brackets[0]}{text}{brackets[1]}"

    def version(self) -> str:
        return (
            self.pick(["", "v", "V"])
            + ".".join(self.number(1.5) for _ in range(int(self.rng.integers(2, 5))))
            + self.pick(["", "", "-beta", "rc1", "_2"])
        )

    def list_mark(self) -> str:
        return self.pick(
            [
                f"{self.of(LOWER, 1)})",
                f"{self.number(1.5)}.",
                f"({self.of(LOWER, 1)})",
                f"{self.number(1.5)})",
                f"{self.of(UPPER, 1)}.",
                "-",
                "•",
                "*",
                "–",
                "→",
                ">",
                "+",
                "·",
                f"{self.number(1)}.{self.number(1)}",
            ]
        )

    def label(self) -> str:
        return self.pick(
            [
                f"{self.pick(self.words).capitalize()}:",
                f"{self.pick(self.words)}:",
                f"{self.pick(self.words).upper()}",
                f"{self.pick(self.words)} :",
                f"{self.pick(self.words)};",
                f"{self.pick(self.words)}?",
                f"{self.pick(self.words)}!",
                f"¿{self.pick(self.words).capitalize()}?",
                f"¡{self.pick(self.words).capitalize()}!",
                f'„{self.pick(self.words)}"',
                f"{self.pick(self.words)}...",
            ]
        )

    def alternative(self) -> str:
        return self.pick(
            [
                f"{self.pick(self.words)}/{self.pick(self.words)}",
                "and/or",
                "et/ou",
                "und/oder",
                "his/her",
                f"{self.pick(self.words)} & {self.pick(self.words)}",
                f"{self.pick(self.words)} / {self.pick(self.words)}",
                f"{self.pick(self.words)}-{self.pick(self.words)}",
                f"{self.pick(self.words)} = {self.pick(self.words)}",
                f"{self.pick(self.words)}_{self.pick(self.words)}",
                f"c/o {self.pick(self.words).capitalize()}",
                "N/A",
                "w/o",
                "24/7",
                "km/h",
            ]
        )

    def digits(self) -> str:
        return self.of(DIGITS, 1, 10)

    def token(self) -> str:
        """One token of any kind."""
        return self.kinds[int(self.rng.integers(len(self.kinds)))]()

    def line(self, length: int) -> str:
        """Tokens, and words between some of them, of together about so many characters."""
        parts: list[str] = []
        while sum(map(len, parts)) + len(parts) < length:
            parts.append(self.pick(self.words) if self.chance(0.35) else self.token())
        return " ".join(parts)
