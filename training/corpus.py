"""Folders of texts and names in; blocks of text as people write them (prose, letters, lists, accounts, records) out."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from numpy.random import Generator

from training.fonts import CHARSET

# The annotated pages write straight marks whatever the ink shows, and so do the synthetic ones.
STRAIGHT = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "…": "..."})
FOREIGN = re.compile(f"[^{re.escape(CHARSET)}]")
RARE = [
    character
    for character in CHARSET.translate(STRAIGHT)
    if not (character.isascii() and character.isalnum()) and character != " "
]
TRAIN_SHARE = 0.9
SAMPLES_A_CHARACTER = 200
PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">", "«": "»", '"': '"', "'": "'", "*": "*", "|": "|", "`": "`", "_": "_"}
PREFIXES, SUFFIXES, OPERATORS = "#§€$£@~•→©·+-", "%°!?;:,.€²³½", "+-×÷=/±<>*^&–—·:|→"

MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
}
WEEKDAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche".split(),
}
TEMPLATES = {
    "en": (
        "{date}", "{weekday}, {date}", "{name}", "{name}, {job}", "{number} {street}", "{city}, {country}", "{city} {post}",
        "Tel. {phone}", "Phone: {phone}", "e-mail: {email}", "{email}", "www.{domain}", "Ref. {code}", "Ref: {code}/{number}",
        "No. {number}", "Invoice #{number}", "Invoice No. {number} of {date}", "Total: {money}", "Received {money} from {name}",
        "Paid on {date}: {money}", "{number} x {noun} = {money}", "{clock} {noun} with {first}", "{clock} - {clock}",
        "{city}, {date}", "Born {date} in {city}", "{first} & {name}", "Mr. {last}, Mrs. {last}", "{number}% of {money}",
        "Flight {code} to {city}, {clock}", "Room {number}, {weekday} at {clock}", "p. {number}-{number}", "see §{number}({letter})",
        "({number}) {noun}; {noun}", "{noun}/{noun}", "[{number}] {author}, \"{title}\"", "{title} by {author}", "{number} + {number} = {number}",
        "{number} × {number} = {number}", "x = {number}.{number}", "{number}°C / {number}°F", "{noun}: {adjective}?", "{adjective} {noun}!",
        "{dish} .... {money}", "{number} g {ingredient}", "{number} cups of {ingredient}", "P.S. call {first} {phone}!", "Q{letter}: {noun}?",
        "P.O. Box {number}", "{first} {letter}. {last}", "c/o {name}", "Acct {number} {number} {number}", "{code} {code}", "Lot {letter}{number}",
    ),
    "fr": (
        "{date}", "{weekday} {date}", "{city}, le {date}", "M. {last}", "Mme {name}", "{number}, {street}", "{post} {city}",
        "Tél. {phone}", "Courriel : {email}", "N° {number}", "Facture n° {number} du {date}", "Total : {money}", "Reçu {money} de {name}",
        "né à {city} le {date}", "{number} {noun} à {money}", "{clock} : {noun} avec {first}", "« {title} »", "{number} % de {money}",
        "Réf. : {code}", "§ {number}", "art. {number}, al. {number}", "{number} °C", "Mlle {name}, {job}", "p. {number} à {number}",
        "{country}", "{first} et {name}", "1er {noun}, 2e {noun}", "l'an {number}", "{adjective} {noun} !", "où est {first} ?",
    ),
}  # fmt: skip
GREETINGS = {
    "en": (("Dear {first},", "Dear Mr. {last},", "My dear {first},", "Hello {first}!", "Dear Sir or Madam,"),
           ("Yours sincerely,", "Kind regards,", "Yours faithfully,", "With love,", "Best wishes,", "Your friend,")),
    "fr": (("Cher {first},", "Chère {first},", "Monsieur,", "Madame {last},", "Ma chère {first},"),
           ("Amitiés,", "Bien à vous,", "Je vous embrasse,", "Salutations distinguées,", "À bientôt,")),
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Text to be set: ``prose`` and ``item`` are wrapped, ``line``, ``heading``, ``right`` and ``row`` stand alone.

    A ``row`` holds a label and a figure with a tab between them.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """All the texts of one split, held in memory.

    Attributes
    ----------
    prose, words : mapping of language to text, or to words
    names : mapping of locale to mapping of kind to names
    containing : mapping of a character outside ASCII to words that hold it
    """

    prose: dict[str, str]
    words: dict[str, list[str]]
    names: dict[str, dict[str, list[str]]]
    containing: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, assets: Path, split: str, french: Path | None = None) -> Corpus:
        """Read what `training.fonts` fetched, and the lines of this split of an annotated folder as French prose.

        Raises
        ------
        FileNotFoundError
            The texts were not fetched.
        """
        texts = assets / "texts"
        english = (texts / "english.txt").read_text(encoding="utf-8")
        prose = {"en": part(clean(english.replace("--", " — ").replace("_", "")), split)}
        if french is not None:
            prose["fr"] = clean(read_pages(french, split))
        words = {
            language: (texts / f"words_{language}.txt").read_text(encoding="utf-8").split() for language in ("en", "fr")
        }
        locales = json.loads((texts / "names.json").read_text(encoding="utf-8"))
        names = {locale: {kind: [name for name in found if not FOREIGN.search(name.translate(STRAIGHT))] for kind, found in kinds.items()}
                 for locale, kinds in locales.items()}  # fmt: skip
        containing: dict[str, list[str]] = defaultdict(list)
        everything = words["fr"][::20] + [
            name for locale in names.values() for kind in locale.values() for name in kind
        ]
        for word in everything:
            for character in set(word):
                if character > "\x7f" and character in CHARSET and len(containing[character]) < SAMPLES_A_CHARACTER:
                    containing[character].append(clean(word))
        return cls(prose, words, names, dict(containing))


def clean(text: str) -> str:
    """NFC text with straight marks, single spaces and no character outside the charset."""
    text = unicodedata.normalize("NFC", text).translate(STRAIGHT)
    return " ".join(FOREIGN.sub(" ", text).split())


def part(text: str, split: str) -> str:
    """The first nine tenths of a text for training, the rest for validation."""
    cut = int(len(text) * TRAIN_SHARE)
    return text[:cut] if split == "train" else text[cut:]


def read_pages(folder: Path, split: str) -> str:
    """The text of one split of an annotated folder, words divided at line ends put together."""
    pages = [json.loads(row) for row in (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [line["text"] for page in pages if page["split"] == split for line in page["lines"]]
    return re.sub(r"(?<=[a-zà-ÿ])- (?=[a-zà-ÿ])", "", " ".join(filter(None, lines)))


class Composer:
    """Invents text for one page.

    Parameters
    ----------
    corpus : Corpus
    rng : numpy.random.Generator
    language : str
        ``en`` or ``fr``.
    """

    def __init__(self, corpus: Corpus, rng: Generator, language: str) -> None:
        self.corpus, self.rng, self.language = corpus, rng, language

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def name_of(self, kind: str) -> str:
        """A name of a kind, mostly of the page's language."""
        locales = [self.language] * 3 + (["en"] if kind.startswith(("book", "word")) else list(self.corpus.names))
        for locale in (self.pick(locales), self.language, "en"):
            names = self.corpus.names[locale][kind]
            if names:
                return clean(self.pick(names))
        raise KeyError(kind)

    def digits(self, low: int, high: int) -> str:
        count = int(self.rng.integers(low, high + 1))
        return "".join(str(digit) for digit in self.rng.integers(0, 10, count))

    def number(self) -> str:
        return str(int(10 ** self.rng.uniform(0, 4.5)))

    def date(self) -> str:
        day, month, year = (
            int(self.rng.integers(1, 29)),
            int(self.rng.integers(12)),
            int(self.rng.integers(1780, 2031)),
        )
        long = MONTHS[self.language][month]
        if self.language == "fr":
            forms = [f"{day} {long} {year}", f"{'1er' if day == 1 else day} {long}", f"{day:02}/{month + 1:02}/{year}"]
        else:
            forms = [
                f"{long} {day}, {year}",
                f"{day} {long} {year}",
                f"{long[:3]}. {day}",
                f"{month + 1}/{day}/{year % 100:02}",
            ]
        return self.pick(
            [*forms, f"{day:02}.{month + 1:02}.{year}", f"{year}-{month + 1:02}-{day:02}", f"{day}/{month + 1}/{year}"]
        )

    def money(self) -> str:
        whole, cents = int(10 ** self.rng.uniform(0, 5.5)), int(self.rng.integers(100))
        if self.language == "fr":
            return self.pick(
                [
                    f"{whole},{cents:02} €",
                    f"{whole} francs",
                    f"{whole} fr. {cents:02}",
                    f"{whole:,} €".replace(",", " "),
                    f"{whole} F",
                ]
            )
        return self.pick(
            [
                f"${whole:,}.{cents:02}",
                f"£{whole}.{cents:02}",
                f"€{whole:,}",
                f"${whole}",
                f"£{whole} 10s. 6d.",
                f"{whole}.{cents:02}",
            ]
        )

    def phone(self) -> str:
        d = self.digits
        if self.language == "fr":
            return self.pick(
                [
                    f"0{d(1, 1)} {d(2, 2)} {d(2, 2)} {d(2, 2)} {d(2, 2)}",
                    f"+33 {d(1, 1)} {d(2, 2)} {d(2, 2)} {d(2, 2)} {d(2, 2)}",
                    f"0{d(1, 1)}.{d(2, 2)}.{d(2, 2)}.{d(2, 2)}.{d(2, 2)}",
                ]
            )
        return self.pick(
            [
                f"({d(3, 3)}) {d(3, 3)}-{d(4, 4)}",
                f"+1 {d(3, 3)} {d(3, 3)} {d(4, 4)}",
                f"{d(3, 3)}-{d(4, 4)}",
                f"0{d(3, 3)} {d(3, 3)} {d(4, 4)}",
                f"+44 {d(2, 2)} {d(4, 4)} {d(4, 4)}",
            ]
        )

    def domain(self) -> str:
        return plain(self.name_of("company.noun")) + self.pick(
            [".com", ".org", ".net", ".fr", ".co.uk", ".ca", ".eu", ".edu"]
        )

    def email(self) -> str:
        separator = self.pick([".", "_", "-", ""])
        return f"{plain(self.name_of('person.first_name'))}{separator}{plain(self.name_of('person.last_name'))}@{self.domain()}"

    def code(self) -> str:
        letters = "".join(self.pick("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(int(self.rng.integers(1, 4))))
        return self.pick(
            [
                f"{letters}-{self.digits(2, 5)}",
                f"{letters}{self.digits(2, 4)}",
                f"{self.digits(2, 3)}/{letters}",
                f"{letters}_{self.digits(2, 4)}",
                f"{letters}.{self.digits(1, 3)}.{self.digits(1, 3)}",
            ]
        )

    def street(self) -> str:
        if self.language == "fr":
            return f"{self.pick(self.corpus.names['fr']['location.street_prefix']).lower()} {self.name_of('location.street_suffix')}"
        return self.pick(self.corpus.names["en"]["location.street_name"])

    def fill(self, template: str) -> str:
        """A template with every slot replaced by something new."""
        kinds = {"first": "person.first_name", "last": "person.last_name", "job": "person.job_type", "city": "location.city_name",
                 "country": "location.country", "title": "book.title", "author": "book.author", "dish": "food.dish",
                 "ingredient": "food.ingredient", "noun": "word.noun", "adjective": "word.adjective"}  # fmt: skip
        slots: dict[str, Callable[[], str]] = {
            "date": self.date, "money": self.money, "phone": self.phone, "email": self.email, "domain": self.domain,
            "code": self.code, "street": self.street, "number": self.number,
            "name": lambda: f"{self.name_of('person.first_name')} {self.name_of('person.last_name')}",
            "weekday": lambda: self.pick(WEEKDAYS[self.language]), "letter": lambda: self.pick("ABCDEFGHKLMNPQRSTXYZ"),
            "clock": lambda: f"{self.rng.integers(24)}{'h' if self.language == 'fr' else ':'}{self.rng.integers(60):02}",
            "post": lambda: self.digits(5, 5),
        }  # fmt: skip
        return re.sub(
            r"\{(\w+)\}",
            lambda match: slots[match[1]]() if match[1] in slots else self.name_of(kinds[match[1]]),
            template,
        )

    def entry(self) -> str:
        """A short line of the kind that forms and notes are full of."""
        return self.fill(self.pick(TEMPLATES[self.language]))

    def word(self) -> str:
        if self.chance(0.3):
            return self.name_of(
                self.pick(["person.last_name", "location.city_name", "animal.bird", "food.ingredient", "word.noun"])
            ).split()[0]
        word = self.pick(self.corpus.words[self.language])
        return self.pick([word, word, word.capitalize(), word.upper()])

    def oddity(self) -> str:
        """A token around one character that running text seldom has, all of them equally likely."""
        character = self.pick(RARE)
        word = self.word()
        if character.isalpha():
            if character in self.corpus.containing:
                return self.pick(self.corpus.containing[character])
            lower = character.lower()
            return (
                self.pick(self.corpus.containing[lower]).upper()
                if lower in self.corpus.containing
                else character + word
            )
        if character.isdigit() and character.isascii():
            return self.digits(1, 6)
        forms = []
        if character in PAIRS:
            forms = [
                f"{character} {word} {PAIRS[character]}" if character == "«" else f"{character}{word}{PAIRS[character]}"
            ] * 2
        if character in PAIRS.values():
            forms.append(f"{self.pick('abcd123')}{character}")
        if character in PREFIXES:
            forms += [f"{character}{self.number()}", f"{character} {word}"]
        if character in SUFFIXES:
            forms += [f"{self.number()}{character}", f"{word}{character}"]
        if character in OPERATORS:
            forms += [f"{self.number()} {character} {self.number()}", f"{word}{character}{self.word()}"]
        return self.pick(
            forms or [f"{word}{character}{self.word()}", f"{character}{self.number()}", f"{word} {character}"]
        )

    def prose(self, length: int) -> str:
        """About `length` characters that start and end at sentences, with an odd token here and there."""
        if self.language not in self.corpus.prose:
            words = [self.word().lower() for _ in range(max(1, length // 8))]
            return " ".join(words).capitalize() + "."
        text = self.corpus.prose[self.language]
        start = text.find(". ", int(self.rng.integers(max(1, len(text) - 4 * length - 500)))) + 2
        end = text.find(". ", start + length)
        stops = start < end < start + 2 * length + 80
        words = text[start : end + 1].split() if stops else text[start : start + length].split()[:-1]
        for _ in range(int(self.rng.poisson(len(words) / 14))):
            words.insert(int(self.rng.integers(len(words) + 1)), self.oddity() if self.chance(0.75) else self.entry())
        return " ".join(words)

    def document(self, lines: int, width: int) -> list[Block]:
        """Blocks that fill at least `lines` lines of about `width` characters."""
        kind = self.rng.choice(
            ["prose", "letter", "list", "account", "records", "notes", "words"],
            p=[0.44, 0.12, 0.12, 0.08, 0.1, 0.1, 0.04],
        )
        blocks: list[Block] = []
        if lines > 3 and self.chance(0.35) or kind == "account":
            blocks.append(
                Block(
                    "heading",
                    self.pick([self.name_of("book.title"), self.entry(), " ".join(self.word() for _ in range(3))]),
                )
            )
        if kind == "letter" and lines > 4:
            blocks += [
                Block("right", self.fill(self.pick(["{city}, {date}", "{date}", "{number} {street}"])))
                for _ in range(int(self.rng.integers(1, 3)))
            ]
            blocks.append(Block("line", self.fill(self.pick(GREETINGS[self.language][0]))))
            closing = [Block("right", self.pick(GREETINGS[self.language][1])), Block("right", self.fill("{name}"))]
            body = max(1, lines - len(blocks) - 2) * width
            while body > 0:
                blocks.append(Block("prose", self.prose(int(min(body, width * self.rng.integers(2, 9))))))
                body -= len(blocks[-1].text)
            return blocks + closing
        marker = self.pick(["-", "•", "*", "1.", "a)", "→", ""])
        filled = len(blocks)
        while filled < lines:
            if kind in ("prose", "letter"):
                block = Block("prose", self.prose(int(width * self.rng.integers(2, 12))))
            elif kind == "list":
                index = len(blocks)
                sign = {"1.": f"{index}.", "a)": f"{chr(97 + index % 26)})"}.get(marker, marker)
                content = self.pick(
                    [self.entry(), self.oddity(), self.prose(int(width * 0.7)), " ".join(self.word() for _ in range(3))]
                )
                block = Block("item", f"{sign} {content}".strip())
            elif kind == "account":
                label = self.pick(
                    [
                        self.name_of("food.dish"),
                        self.name_of("word.noun"),
                        self.date(),
                        self.name_of("person.last_name"),
                        self.entry(),
                    ]
                )
                block = Block("row", f"{label}\t{self.money()}")
            elif kind == "records":
                block = Block("line", self.entry())
            elif kind == "words":
                block = Block(
                    "line",
                    " ".join(
                        self.oddity() if self.chance(0.5) else self.word() for _ in range(int(self.rng.integers(1, 4)))
                    ),
                )
            else:
                block = Block(*self.pick_block(width))
            blocks.append(block)
            filled += max(1, -(-len(block.text) // width))
        return blocks

    def pick_block(self, width: int) -> tuple[str, str]:
        roll = self.rng.random()
        if roll < 0.4:
            return "prose", self.prose(int(width * self.rng.integers(1, 5)))
        if roll < 0.7:
            return "line", self.entry()
        return ("line", self.oddity()) if roll < 0.85 else ("heading", self.word())


def plain(name: str) -> str:
    """A name as it stands in an address on the net: lower case, ASCII letters only."""
    letters = unicodedata.normalize("NFD", name.lower())
    return "".join(letter for letter in letters if "a" <= letter <= "z")
