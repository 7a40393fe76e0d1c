"""Options of reading a file: its pages, languages and characters, and the form of the text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from paragraph_ocr.errors import MalformedRequest
from paragraph_ocr.io.page_ranges import PageRange
from paragraph_ocr.pipeline.charset import CHARSETS

TEXTS = ("auto", "read")


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
    """

    languages: tuple[str, ...] = ()
    pages: tuple[PageRange, ...] = ()
    joined: bool = False
    marked: bool = False
    charset: str | None = None
    text: str = "auto"
    upright: bool = False

    @property
    def takes_text(self) -> bool:
        """Whether the text that pages of a PDF carry is given; one that a charset is to restrict is read."""
        return self.text == "auto" and self.charset is None


NO_OPTIONS = ReadOptions()


def parse_languages(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Parse comma-separated codes of languages.

    Raises
    ------
    MalformedRequest
        A code is not in `known`; the message lists these.
    """
    codes = tuple(dict.fromkeys(code.strip().lower() for code in text.split(",")))
    if unknown := [code for code in codes if code not in known]:
        named = (
            f"one or more of {', '.join(sorted(known))}" if known else "left out, since there are no language models"
        )
        raise MalformedRequest(f"lang must be {named}, parted by commas; {unknown[0][:20]!r} is none of them.")
    return codes


def parse_charset(text: str) -> str:
    """Parse the name of a set of characters or of a pattern; raises MalformedRequest if there is none of that name."""
    if text not in CHARSETS:
        raise MalformedRequest(f"charset must be one of {', '.join(CHARSETS)}.")
    return text


def parse_text(text: str) -> str:
    """Parse whether text that pages carry is given; raises MalformedRequest if it is none of `TEXTS`."""
    if text not in TEXTS:
        raise MalformedRequest(f"text must be one of {', '.join(TEXTS)}.")
    return text
