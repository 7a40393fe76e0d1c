"""Options of reading a file: its pages, languages and characters, and the form of the text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from paragraph_ocr.errors import MalformedRequest
from paragraph_ocr.io.page_ranges import PageRange, parse_pages
from paragraph_ocr.pipeline.charset import CHARSETS
from paragraph_ocr.pipeline.language import OTHERS

TEXTS = ("auto", "read")
LINES = ("kept", "joined")


class Options(TypedDict, total=False):
    """Options of reading by the names of the query parameters of ``POST /ocr``, which docs/api.md describes."""

    lang: str | Sequence[str]
    pages: str
    lines: Literal["kept", "joined"]
    mark: bool
    charset: str
    text: Literal["auto", "read"]
    upright: bool


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading a file.

    Attributes
    ----------
    languages : tuple of str
        Languages of the pages, ISO 639-1; if empty, the language of each page is identified from its text.
    pages : tuple of PageRange
        Pages to read; all if empty.
    joined, marked : bool
        See `document.TextStyle`.
    charset : str or None
        Restriction of the text of each line, a key of `charset.CHARSETS`.
    text : str
        One of `TEXTS`: "auto" gives the text that pages of a PDF carry and reads the rest, "read" reads all of them.
    upright : bool
        See `document.Page`.

    Raises
    ------
    MalformedRequest
        A value is not of its type, or there is no such charset or text.
    """

    languages: tuple[str, ...] = ()
    pages: tuple[PageRange, ...] = ()
    joined: bool = False
    marked: bool = False
    charset: str | None = None
    text: str = "auto"
    upright: bool = False

    def __post_init__(self) -> None:
        if self.charset is not None:
            parse_charset(self.charset)
        parse_text(self.text)
        if isinstance(self.languages, str) or not all(isinstance(code, str) for code in self.languages):
            raise MalformedRequest('languages must be a tuple of codes, such as ("de", "en").')
        if isinstance(self.pages, str) or not all(isinstance(each, tuple) and len(each) == 2 for each in self.pages):
            raise MalformedRequest("pages must be ranges, such as ((2, 5), (9, 9)); parse_pages makes them of 2-5,9.")

    @property
    def takes_text(self) -> bool:
        """Whether the text that pages of a PDF carry is given; one that a charset is to restrict is read."""
        return self.text == "auto" and self.charset is None


def parse_languages(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Parse comma-separated codes of languages.

    Raises
    ------
    MalformedRequest
        A code is not in `known`; the message lists these.
    """
    return _known_codes(text.split(","), known)


def check_languages(codes: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Return codes of languages in lower case; any are accepted where there are no language models, which use them.

    Raises
    ------
    MalformedRequest
        A code is not in `known`, which has some; the message lists these.
    """
    return _known_codes(codes, known or {code.strip().lower() for code in codes})


def _known_codes(given: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    codes = tuple(dict.fromkeys(code.strip().lower() for code in given))
    if unknown := [code for code in codes if code not in known]:
        named = (
            f"one or more of {', '.join(sorted(known))}" if known else "left out, since there are no language models"
        )
        hint = f" {OTHERS} is the model of all other languages." if OTHERS in known else ""
        raise MalformedRequest(f"lang must be {named}, parted by commas; {unknown[0][:20]!r} is none of them.{hint}")
    return codes


def parse_charset(text: str) -> str:
    """Parse the name of a set of characters or of a pattern; raises MalformedRequest if there is none of that name."""
    if not isinstance(text, str) or text not in CHARSETS:
        raise MalformedRequest(f"charset must be one of {', '.join(CHARSETS)}.")
    return text


def parse_text(text: str) -> str:
    """Parse whether text that pages carry is given; raises MalformedRequest if it is none of `TEXTS`."""
    if text not in TEXTS:
        raise MalformedRequest(f"text must be one of {', '.join(TEXTS)}.")
    return text


NO_OPTIONS = ReadOptions()


def read_options(asked: Mapping[str, Any], known: Collection[str]) -> ReadOptions:
    """Convert options by their names to those of the reader.

    Parameters
    ----------
    asked : mapping
        See `Options`; None stands for an option that is left out.
    known : collection of str
        Codes of the languages that there are.

    Raises
    ------
    MalformedRequest
        An option has no such value.
    TypeError
        There is no option of a name; the message lists those that there are.
    """
    for name in asked:
        if name not in Options.__annotations__:
            raise TypeError(f"There is no option {name!r}; the options are {', '.join(Options.__annotations__)}.")
    given = {name: value for name, value in asked.items() if value is not None}
    if given.get("lines", LINES[0]) not in LINES:
        raise MalformedRequest(f"lines must be one of {', '.join(LINES)}.")
    for switch in ("mark", "upright"):
        if not isinstance(given.get(switch, False), bool):
            raise MalformedRequest(f"{switch} must be True or False.")
    languages = given.get("lang", ())
    if not isinstance(languages, str) and not all(isinstance(code, str) for code in languages):
        raise MalformedRequest('lang must be codes of languages, such as "de,en" or ["de", "en"].')
    return ReadOptions(
        languages=_known_codes(languages.split(",") if isinstance(languages, str) else languages, known),
        pages=parse_pages(str(given["pages"])) if "pages" in given else (),
        joined=given.get("lines") == "joined",
        marked=given.get("mark", False),
        charset=given.get("charset"),
        text=given.get("text", TEXTS[0]),
        upright=given.get("upright", False),
    )
