"""Compose blocks of text as people write them (prose, letters, lists, accounts, records) from word lists and texts."""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from numpy.random import Generator

from training.synthesis.fonts import CHARSET

# The annotated pages write straight marks whatever the ink shows, and so do the synthetic ones.
STRAIGHT = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "…": "..."})
FOREIGN = re.compile(f"[^{re.escape(CHARSET)}]")
COMMON = set(string.ascii_letters + string.digits + " ")
RARE = [character for character in CHARSET.translate(STRAIGHT) if character not in COMMON]
TRAIN_SHARE = 0.9
SAMPLES_A_CHARACTER = 200
MAX_NAME_LENGTH = 24
PAIRS = dict(zip("([{<\"'*|`_«", [*")]}>\"'*|`_", " »"], strict=True))
PREFIXES, SUFFIXES, OPERATORS = "#§€$£@~•→©·+-", "%°!?;:,.€²³½", "+-×÷=/±<>*^&–—·:|→"

# What a slot in braces may become, broken bars between the choices; {3} is three digits, NAMES has the rest.
RULES = {
    "any": """
        name: {first} {last} ¦ {first} {letter}. {last}
        words: {word} {word} ¦ {word} {word} {word} ¦ {oddity} {word} ¦ {word} {oddity} ¦ {oddity}
        label: {dish} ¦ {noun} ¦ {date} ¦ {last} ¦ {entry}
        address: {city}, {date} ¦ {date} ¦ {number} {street}
        email: {user}.{user}@{domain} ¦ {user}_{user}@{domain} ¦ {user}-{user}@{domain} ¦ {user}{2}@{domain}
        domain: {host}.com ¦ {host}.org ¦ {host}.net ¦ {host}.fr ¦ {host}.co.uk ¦ {host}.ca ¦ {host}.eu ¦ {host}.edu
        code: {letter}{letter}-{4} ¦ {letter}{3} ¦ {2}/{letter}{letter} ¦ {letter}_{3} ¦ {letter}.{1}.{2}
    """,
    "en": """
        month: January ¦ February ¦ March ¦ April ¦ May ¦ June ¦ July ¦ August ¦ September ¦ October ¦
            November ¦ December
        short: Jan. ¦ Feb. ¦ Mar. ¦ Apr. ¦ Jun. ¦ Jul. ¦ Aug. ¦ Sept. ¦ Oct. ¦ Nov. ¦ Dec.
        weekday: Monday ¦ Tuesday ¦ Wednesday ¦ Thursday ¦ Friday ¦ Saturday ¦ Sunday
        date: {month} {day}, {year} ¦ {day} {month} {year} ¦ {short} {day} ¦ {day}/{day}/{2} ¦ {year}-0{1}-{day} ¦
            {day}.0{1}.{year}
        money: ${day},{3}.{2} ¦ £{number}.{2} ¦ €{day},{3} ¦ ${number}.{2} ¦ £{number} 10s. 6d. ¦ {number}.{2}
        phone: ({3}) {3}-{4} ¦ +1 {3} {3} {4} ¦ {3}-{4} ¦ 0{3} {3} {4} ¦ +44 {2} {4} {4}
        clock: {day}:{2} ¦ {day} a.m. ¦ {day}.{2} pm
        street: {road}
        opening: Dear {first}, ¦ Dear Mr. {last}, ¦ My dear {first}, ¦ Hello {first}! ¦ Dear Sir or Madam,
        closing: Yours sincerely, ¦ Kind regards, ¦ Yours faithfully, ¦ With love, ¦ Best wishes, ¦ Your friend,
        entry: {date} ¦ {weekday}, {date} ¦ {name} ¦ {name}, {job} ¦ {number} {street} ¦ {city}, {country} ¦
            {city} {5} ¦ Tel. {phone} ¦ Phone: {phone} ¦ e-mail: {email} ¦ {email} ¦ www.{domain} ¦
            Ref. {code} ¦ Ref: {code}/{number} ¦ No. {number} ¦ Invoice #{number} ¦
            Invoice No. {number} of {date} ¦ Total: {money} ¦ Received {money} from {name} ¦
            Paid on {date}: {money} ¦ {number} x {noun} = {money} ¦ {clock} {noun} with {first} ¦
            {clock} - {clock} ¦ {city}, {date} ¦ Born {date} in {city} ¦ {first} & {name} ¦
            Mr. {last}, Mrs. {last} ¦ {number}% of {money} ¦ Flight {code} to {city}, {clock} ¦
            Room {number}, {weekday} at {clock} ¦ p. {number}-{number} ¦ see §{number}({letter}) ¦
            ({number}) {noun}; {noun} ¦ {noun}/{noun} ¦ [{number}] {author}, "{title}" ¦ {title} by {author} ¦
            {number} + {number} = {number} ¦ {number} × {number} = {number} ¦ x = {number}.{number} ¦
            {number}°C / {number}°F ¦ {noun}: {adjective}? ¦ {adjective} {noun}! ¦ {dish} .... {money} ¦
            {number} g {ingredient} ¦ {number} cups of {ingredient} ¦ P.S. call {first} {phone}! ¦
            Q{letter}: {noun}? ¦ P.O. Box {number} ¦ {first} {letter}. {last} ¦ c/o {name} ¦
            Acct {number} {number} {number} ¦ {code} {code} ¦ Lot {letter}{number}
    """,
    "fr": """
        month: janvier ¦ février ¦ mars ¦ avril ¦ mai ¦ juin ¦ juillet ¦ août ¦ septembre ¦ octobre ¦
            novembre ¦ décembre
        weekday: lundi ¦ mardi ¦ mercredi ¦ jeudi ¦ vendredi ¦ samedi ¦ dimanche
        date: {day} {month} {year} ¦ 1er {month} ¦ {day} {month} ¦ {day}/0{1}/{year} ¦ {day}.0{1}.{year} ¦ {day}/{1}/{2}
        money: {number},{2} € ¦ {number} francs ¦ {number} fr. {2} ¦ {day} {3} € ¦ {number} F ¦ {number}f
        phone: 0{1} {2} {2} {2} {2} ¦ +33 {1} {2} {2} {2} {2} ¦ 0{1}.{2}.{2}.{2}.{2}
        clock: {day}h{2} ¦ {day} h ¦ {day} heures
        street: rue {place} ¦ avenue {place} ¦ boulevard {place} ¦ place {place} ¦ quai {place}
        opening: Cher {first}, ¦ Chère {first}, ¦ Monsieur, ¦ Madame {last}, ¦ Ma chère {first},
        closing: Amitiés, ¦ Bien à vous, ¦ Je vous embrasse, ¦ Salutations distinguées, ¦ À bientôt,
        entry: {date} ¦ {weekday} {date} ¦ {city}, le {date} ¦ M. {last} ¦ Mme {name} ¦ {number}, {street} ¦
            {5} {city} ¦ Tél. {phone} ¦ Courriel : {email} ¦ N° {number} ¦ Facture n° {number} du {date} ¦
            Total : {money} ¦ Reçu {money} de {name} ¦ né à {city} le {date} ¦ {number} {noun} à {money} ¦
            {clock} : {noun} avec {first} ¦ « {title} » ¦ {number} % de {money} ¦ Réf. : {code} ¦ § {number} ¦
            art. {number}, al. {number} ¦ {number} °C ¦ Mlle {name}, {job} ¦ p. {number} à {number} ¦ {country} ¦
            {first} et {name} ¦ 1er {noun}, 2e {noun} ¦ l'an {number} ¦ {adjective} {noun} ! ¦ où est {first} ?
    """,
}
DOCUMENTS = {"prose": 0.52, "letter": 0.12, "list": 0.1, "account": 0.06, "records": 0.07, "notes": 0.1, "words": 0.03}
NAMES = {
    "first": "person.first_name",
    "last": "person.last_name",
    "job": "person.job_type",
    "city": "location.city_name",
    "country": "location.country",
    "road": "location.street_name",
    "place": "location.street_suffix",
    "title": "book.title",
    "author": "book.author",
    "dish": "food.dish",
    "ingredient": "food.ingredient",
    "bird": "animal.bird",
    "noun": "word.noun",
    "adjective": "word.adjective",
    "thing": "company.noun",
}


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
    def load(cls, assets: Path, split: str, french: Path | None = None, prose_folder: Path | None = None) -> Corpus:
        """Read what `training.synthesis.fonts` fetched, and the lines of this split of annotated pages as French prose.

        Parameters
        ----------
        assets : Path
        split : str
        french : Path, optional
        prose_folder : Path, optional
            Holds files such as ``de.txt``, a paragraph a line, which replace the prose of their language.

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
        for path in sorted(prose_folder.glob("*.txt")) if prose_folder is not None else ():
            # Only what is drawn from it is cleaned: these are tens of millions of characters.
            prose[path.stem] = part(path.read_text(encoding="utf-8"), split)
        words = {name: (texts / f"words_{name}.txt").read_text(encoding="utf-8").split() for name in ("en", "fr")}
        names = json.loads((texts / "names.json").read_text(encoding="utf-8"))
        for kinds in names.values():
            for kind, found in kinds.items():
                kinds[kind] = [name for name in map(straight, found) if not FOREIGN.search(name)]
        containing: dict[str, list[str]] = defaultdict(list)
        every_name = [name for kinds in names.values() for found in kinds.values() for name in found]
        for word in words["fr"][::20] + [name for name in every_name if len(name) <= MAX_NAME_LENGTH]:
            for character in set(word) - COMMON:
                if character.isalpha() and len(containing[character]) < SAMPLES_A_CHARACTER:
                    containing[character].append(word)
        return cls(prose, words, names, dict(containing))


def straight(text: str) -> str:
    """NFC text with straight marks."""
    return unicodedata.normalize("NFC", text).translate(STRAIGHT)


def clean(text: str) -> str:
    """NFC text with straight marks, single spaces and no character outside the charset."""
    return " ".join(FOREIGN.sub(" ", straight(text)).split())


def part(text: str, split: str) -> str:
    """The first nine tenths of a text for training, the rest for validation."""
    cut = int(len(text) * TRAIN_SHARE)
    return text[:cut] if split == "train" else text[cut:]


def read_pages(folder: Path, split: str) -> str:
    """The text of one split of an annotated folder, words divided at line ends put together."""
    pages = [json.loads(row) for row in (folder / "pages.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")]
    lines = [line["text"] for page in pages if page["split"] == split for line in page["lines"]]
    return re.sub(r"(?<=[a-zà-ÿ])- (?=[a-zà-ÿ])", "", " ".join(filter(None, lines)))


@cache
def rules(language: str) -> dict[str, list[str]]:
    """The choices for every slot in a language."""
    text = re.sub(r"¦\s*\n\s*", "¦ ", RULES["any"] + RULES[language])
    pairs = (row.split(": ", 1) for row in map(str.strip, text.splitlines()) if row)
    return {slot: choices.split(" ¦ ") for slot, choices in pairs}


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
        strangers = ["en"] if kind.startswith(("book", "word", "location.street")) else list(self.corpus.names)
        for locale in (self.pick([self.language] * 3 + strangers), self.language, "en"):
            if names := self.corpus.names[locale][kind]:
                return self.pick(names)
        raise KeyError(kind)

    def fill(self, template: str) -> str:
        """A template with every slot replaced by something new."""
        return re.sub(r"\{(\w+)\}", lambda match: self.slot(match[1]), template)

    def slot(self, name: str) -> str:
        """Something new for one slot."""
        made = {"number": self.number, "word": self.word, "oddity": self.oddity}
        if name.isdigit():
            return "".join(map(str, self.rng.integers(0, 10, int(name))))
        if name in made:
            return made[name]()
        if name in NAMES:
            return self.name_of(NAMES[name])
        if name == "letter":
            return self.pick(string.ascii_uppercase)
        if name in ("day", "year"):
            return str(self.rng.integers(1, 29) if name == "day" else self.rng.integers(1780, 2031))
        if name in ("user", "host"):
            letters = unicodedata.normalize("NFD", self.slot("thing" if name == "host" else "first").lower())
            return "".join(letter for letter in letters if "a" <= letter <= "z")
        return self.fill(self.pick(rules(self.language)[name]))

    def number(self) -> str:
        return str(int(10 ** self.rng.uniform(0, 4.5)))

    def word(self) -> str:
        if self.chance(0.3):
            return self.fill(self.pick(["{last}", "{city}", "{bird}", "{ingredient}", "{noun}"])).split()[0]
        word = self.pick(self.corpus.words[self.language])
        return self.pick([word, word, word.capitalize(), word.upper()])

    def oddity(self) -> str:
        """A token around one character that running text seldom has, all of them equally likely."""
        character, word = self.pick(RARE), self.word()
        if character.isalpha():
            if found := self.corpus.containing.get(character):
                return self.pick(found)
            found = self.corpus.containing.get(character.lower(), [])
            return self.pick(found).upper() if found else word[:2] + character + word[2:]
        forms = []
        if character in PAIRS:
            space = " " if character == "«" else ""
            forms = [f"{character}{space}{word}{PAIRS[character]}"] * 2
        if character in ")]}":
            forms.append(f"{self.pick('abcd123')}{character}")
        if character in PREFIXES:
            forms += [f"{character}{self.number()}", f"{character} {word}"]
        if character in SUFFIXES:
            forms += [f"{self.number()}{character}", f"{word}{character}"]
        if character in OPERATORS:
            forms += [f"{self.number()} {character} {self.number()}", f"{word}{character}{self.word()}"]
        return self.pick(forms or [f"{word}{character}{self.word()}", f"{character}{self.number()}"])

    def prose(self, length: int) -> str:
        """About `length` characters that start and end at sentences, with an odd token here and there."""
        if self.language not in self.corpus.prose:
            return " ".join(self.word().lower() for _ in range(max(1, length // 8))).capitalize() + "."
        text = self.corpus.prose[self.language]
        start = text.find(". ", int(self.rng.integers(max(1, len(text) - 4 * length - 500)))) + 2
        end = text.find(". ", start + length)
        stops = start < end < start + 2 * length + 80
        words = clean(text[start : end + 1] if stops else text[start : start + length]).split()
        words = words if stops else words[:-1]
        for _ in range(int(self.rng.poisson(len(words) / 14))):
            extra = self.slot("oddity" if self.chance(0.75) else "entry")
            words.insert(int(self.rng.integers(len(words) + 1)), extra)
        return " ".join(words)

    def document(self, lines: int, width: int) -> list[Block]:
        """Blocks that fill at least `lines` lines of about `width` characters."""
        kind = str(self.rng.choice(list(DOCUMENTS), p=list(DOCUMENTS.values())))
        blocks: list[Block] = []
        if kind == "account" or (lines > 3 and self.chance(0.35)):
            blocks.append(Block("heading", self.fill(self.pick(["{title}", "{entry}", "{word} {word}"]))))
        closing: list[Block] = []
        if kind == "letter" and lines > 4:
            blocks += [Block("right", self.slot("address")) for _ in range(int(self.rng.integers(1, 3)))]
            blocks.append(Block("line", self.slot("opening")))
            closing = [Block("right", self.slot("closing")), Block("right", self.slot("name"))]
        filled, bullet = len(blocks) + len(closing), self.pick(["-", "•", "*", "1.", "a)", "→", ""])
        while filled < lines:
            blocks.append(self.block(kind, min(width * int(self.rng.integers(2, 12)), width * (lines - filled)), width))
            if kind == "list":
                count = len(blocks)
                sign = {"1.": f"{count}.", "a)": f"{string.ascii_lowercase[count % 26]})"}.get(bullet, bullet)
                blocks[-1] = Block("item", f"{sign} {blocks[-1].text}".strip())
            filled += max(1, -(-len(blocks[-1].text) // width))
        return blocks + closing

    def block(self, kind: str, length: int, width: int) -> Block:
        """The next block of a document of a kind; prose has about `length` characters, all else fits `width`."""
        if kind == "notes":
            kind = self.pick(["letter", "records", "records", "words", "title"])
        if kind in ("prose", "letter"):
            return Block("prose", self.prose(length))
        if kind == "account":
            return Block("row", f"{self.slot('label')}\t{self.slot('money')}")
        if kind == "title":
            return Block("heading", self.word())
        if kind == "list" and self.chance(0.3):
            return Block("item", self.prose(int(0.7 * width)))
        return Block(
            "line", self.slot("words" if kind == "words" or (kind == "list" and self.chance(0.4)) else "entry")
        )
