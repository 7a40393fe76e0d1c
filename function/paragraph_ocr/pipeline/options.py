"""What a caller may ask of reading: which pages, in which languages, of which characters, and how text is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from paragraph_ocr.errors import MalformedRequest
from paragraph_ocr.io.page_ranges import PageRange
from paragraph_ocr.pipeline.charset import CHARSETS


@dataclass(frozen=True)
class ReadOptions:
    """What is asked of reading a file.

    Attributes
    ----------
    languages : tuple of str
        That pages are in, ISO 639-1; each page's is told by what its lines say where there are none.
    pages : tuple of PageRange
        That are read; all where there are none.
    joined, marked : bool
        As `document.TextStyle` has them.
    charset : str or None
        A key of `charset.CHARSETS`: what lines may consist of.
    """

    languages: tuple[str, ...] = ()
    pages: tuple[PageRange, ...] = ()
    joined: bool = False
    marked: bool = False
    charset: str | None = None


NO_OPTIONS = ReadOptions()


def parse_languages(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Codes of languages, parted by commas, each of them among the known; raises MalformedRequest, naming these."""
    codes = tuple(dict.fromkeys(code.strip().lower() for code in text.split(",")))
    if unknown := [code for code in codes if code not in known]:
        named = (
            f"one or more of {', '.join(sorted(known))}" if known else "left out, since there are no language models"
        )
        raise MalformedRequest(f"lang must be {named}, parted by commas; {unknown[0][:20]!r} is none of them.")
    return codes


def parse_charset(text: str) -> str:
    """The name of a set of characters or of a pattern; raises MalformedRequest, naming those that there are."""
    if text not in CHARSETS:
        raise MalformedRequest(f"charset must be one of {', '.join(CHARSETS)}.")
    return text
