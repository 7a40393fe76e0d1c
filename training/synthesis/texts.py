"""Compose the texts of documents in six languages: names, dates, amounts, codes, addresses, sentences."""

from __future__ import annotations

import re
import string
import tomllib
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from numpy.random import Generator

from training.synthesis.corpus import NAMES, Corpus, clean, straight

LANGUAGES = ("en", "fr", "de", "es", "it", "pt")
# How often a page is in each language, before those without texts are left out.
SHARES = {"en": 0.32, "fr": 0.24, "de": 0.13, "es": 0.11, "it": 0.1, "pt": 0.1}
LOCALES = {"pt": "pt_PT"}
COUNTRIES = {"en": ("GB", 22), "fr": ("FR", 27), "de": ("DE", 22), "es": ("ES", 24), "it": ("IT", 27), "pt": ("PT", 25)}


@cache
def tables() -> dict[str, dict[str, list[str]]]:
    """The choices of vocabulary.toml by language, or ``any``, and name."""
    rows = tomllib.loads((Path(__file__).parent / "vocabulary.toml").read_text(encoding="utf-8"))
    return {language: {name: split(row) for name, row in table.items()} for language, table in rows.items()}


def split(row: str) -> list[str]:
    """The choices of a row, which bars part."""
    return [choice.strip() for choice in row.split(" |") if choice.strip()]


class Vocabulary:
    """Draws the texts of one page.

    Parameters
    ----------
    corpus : Corpus
    rng : numpy.random.Generator
    language : str
        One of `LANGUAGES`.
    """

    def __init__(self, corpus: Corpus, rng: Generator, language: str) -> None:
        self.corpus, self.rng, self.language = corpus, rng, language
        self.table = tables()["any"] | tables()[language]
        self.mask = self.pick(["dates", "dates", ""]) and self.pick(self.table["dates"])
        self.currency = self.pick(self.table["money"])

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def choose(self, name: str) -> str:
        """A filled choice of the language's table."""
        return self.fill(self.pick(self.table[name]))

    def some(self, name: str, count: int) -> list[str]:
        """At most `count` different choices of the language's table."""
        row = self.table[name]
        order = self.rng.permutation(len(row))[:count]
        return [self.fill(row[index]) for index in order]

    def fill(self, template: str) -> str:
        """A template with every slot in braces replaced by something new."""
        return straight(re.sub(r"\{(\w+)\}", lambda match: self.slot(match[1]), template))

    def slot(self, name: str) -> str:
        """Something new for one slot: so many digits, or what the name says."""
        rng = self.rng
        if name.isdigit():
            return "".join(map(str, rng.integers(0, 10, int(name))))
        if made := getattr(self, f"_{name}", None):
            return str(made())
        plural = {"phone": "phones", "company": "companies", "note": "notes", "entry": "entries", "job": "jobs"}
        if plural.get(name, name) in self.table:
            return self.choose(plural.get(name, name))
        return self.named(name)

    def named(self, name: str) -> str:
        """A name from the assets; `name` is a key of `training.synthesis.corpus.NAMES`, such as ``first``."""
        kind = NAMES[name]
        own = LOCALES.get(self.language, self.language)
        for locale in (own, own, "en") if self.chance(0.95) else tuple(self.corpus.names):
            if names := self.corpus.names.get(locale, {}).get(kind):
                return self.pick(names)
        return self.pick(self.corpus.names["en"][kind])

    def _digit(self) -> int:
        return int(self.rng.integers(1, 10))

    def _int(self) -> int:
        return int(10 ** self.rng.uniform(0, 3))

    def _day(self) -> int:
        return int(self.rng.integers(1, 32))

    def _dd(self) -> str:
        return f"{self.rng.integers(1, 32):02}"

    def _mm(self) -> str:
        return f"{self.rng.integers(1, 13):02}"

    def _yy(self) -> str:
        return f"{self.rng.integers(0, 100):02}"

    def _year(self) -> int:
        return int(self.rng.integers(1880, 2032) if self.chance(0.4) else self.rng.integers(1990, 2028))

    def _hour(self) -> int:
        return int(self.rng.integers(0, 24))

    def _minute(self) -> str:
        return f"{self.rng.integers(0, 60):02}"

    def _month(self) -> str:
        return self.pick(self.table["months"])

    def _mon(self) -> str:
        return self._month()[:3]

    def _weekday(self) -> str:
        return self.pick(self.table["weekdays"])

    def _capital(self) -> str:
        return self.pick(string.ascii_uppercase)

    def _small(self) -> str:
        return self.pick(string.ascii_lowercase)

    def _initial(self) -> str:
        return self._capital()

    def _date(self) -> str:
        return self.fill(self.mask or self.pick(self.table["dates"]))

    def _host(self) -> str:
        letters = unicodedata.normalize("NFD", self.named("last").lower())
        return "".join(letter for letter in letters if "a" <= letter <= "z") or "example"

    _user = _host

    def _slug(self) -> str:
        joint = self.pick(["_", "-", "", "/"])
        words = [self._host() if self.chance(0.5) else self.pick(["docs", "report", "data", "v2", "img", "notes"])]
        return joint.join([*words, str(self._year())] if self.chance(0.4) else words)

    def _word(self) -> str:
        return self.words(1)

    def _iban(self) -> str:
        country, count = COUNTRIES[self.language]
        body = f"{country}{''.join(map(str, self.rng.integers(0, 10, count - 2)))}"
        return " ".join(body[at : at + 4] for at in range(0, len(body), 4)) if self.chance(0.8) else body

    def amount(self, largest: float = 4.0) -> str:
        """An amount of money in the page's own manner."""
        text = re.sub(r"\{int\}", str(int(10 ** self.rng.uniform(0, largest))), self.currency, count=1)
        return self.fill(text)

    def date(self) -> str:
        return self._date()

    def name(self) -> str:
        return self.slot("name")

    def stretch(self, length: int) -> str:
        """About `length` characters of prose from anywhere, cut at words."""
        text = self.corpus.prose.get(self.language)
        if text is None:
            return " ".join(self.named("noun").lower() for _ in range(max(1, length // 7)))
        start = int(self.rng.integers(max(1, len(text) - 2 * length - 200)))
        piece = clean(text[start : start + length + 120])
        return piece.split(" ", 1)[-1][: length + 40].rsplit(" ", 1)[0]

    def words(self, count: int) -> str:
        """So many words of prose without their marks."""
        piece = self.stretch(14 * count + 60)
        found = [word.strip(".,;:!?\"'()«»—-–") for word in piece.split()]
        found = [word for word in found if 1 < len(word) < 18 or word.isalpha()]
        return " ".join(found[:count]) or self.named("noun")

    def sentences(self, length: int) -> str:
        """About `length` characters of prose from the start of a sentence, with figures and signs here and there."""
        piece = self.stretch(length + 200)
        start = next((match.end() for match in re.finditer(r"[.!?]\"? (?=[A-ZÀ-Ý«\"¿¡])", piece)), 0)
        words = piece[start if start < 220 else 0 :][:length].split()[:-1] or [self.named("noun")]
        if start >= 220 or not start:
            words[0] = words[0].capitalize()
        for _ in range(int(self.rng.poisson(len(words) / 25))):
            extra = self.fill(self.pick(["{date}", "{sign}", "{phone}", "{amount}", "{name}", "{code}", "{city}"]))
            words.insert(int(self.rng.integers(len(words) + 1)), extra)
        text = " ".join(words)
        return text if text[-1] in ".!?" else text.rstrip(",;:-—") + "."

    def _amount(self) -> str:
        return self.amount()

    def heading(self) -> str:
        """A heading of one to seven words."""
        if self.chance(0.5):
            return self.choose("heads")
        return self.words(int(self.rng.integers(1, 7))).capitalize()

    def value(self, field: str = "") -> str:
        """What somebody writes into a form field, by what the field is called as far as that can be told."""
        name = field.lower()
        for marks, rule in (
            ("dat|né|nasc|geb|scad|échéance|due|fällig", "{date}"),
            ("mail|courriel|correo", "{email}"),
            ("tel|tél|mobil", "{phone}"),
            ("post|cap|cp", "{5}"),
            ("amount|montant|betrag|import|total", "{amount}"),
            ("iban|konto|account|compte|conto|conta|cuenta", "{iban}"),
            ("first|prénom|vorname", "{first}"),
            ("nom|name|apell|cogn", "{last}"),
            ("street|rue|straße|via|calle|rua|addr|adr|indir|dir|morada|anschrift", "{street}"),
            ("town|ville|ort|city|citt|local|place|lieu", "{city}"),
            ("no|nr|n°|ref|réf|n.", "{code}"),
        ):
            if re.search(marks, name):
                return self.fill(rule)
        return self.fill(self.pick(["{name}", "{city}", "{code}", "{date}", "{word}", "{int}", "{word} {word}"]))

    def address(self) -> list[str]:
        """Two to four lines of an address."""
        lines = [self.slot("company") if self.chance(0.5) else self.name()]
        lines += [self.fill("{street}"), self.fill("{town}")]
        return lines + ([self.named("country")] if self.chance(0.15) else [])


def choose_language(corpus: Corpus, rng: Generator) -> str:
    """A language of a page, of those that the corpus has prose or, failing this, words in."""
    known = [language for language in LANGUAGES if language in corpus.prose] or ["en"]
    weights = [SHARES[language] for language in known]
    return str(rng.choice(known, p=[weight / sum(weights) for weight in weights]))
