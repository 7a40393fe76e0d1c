"""What a caller may ask of reading: which pages, in which languages, of which characters, and how text is written."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from paragraph_ocr.errors import MalformedRequest
from paragraph_ocr.pipeline.charset import CHARSETS

# A range of pages: the first, from 1, and the last, or None for that of the file.
PageRange = tuple[int, int | None]

_RANGE = re.compile(r"\s*([0-9]{1,6})\s*(-?)\s*([0-9]{1,6})?\s*")
MOST_RANGES = 100


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


def parse_pages(text: str) -> tuple[PageRange, ...]:
    """Ranges of pages, as ``2-5,9`` or ``3-`` name them; raises MalformedRequest for anything else."""
    ranges: list[PageRange] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None or (match[3] and not match[2]):
            raise MalformedRequest("pages must be numbers and ranges such as 2-5,9 or 3-, from 1 on.")
        first = int(match[1])
        last = None if match[2] and not match[3] else int(match[3] or first)
        if first < 1 or (last is not None and last < first):
            raise MalformedRequest("pages must go upwards from 1: 2-5, not 5-2 or 0.")
        ranges.append((first, last))
    if len(ranges) > MOST_RANGES:
        raise MalformedRequest(f"pages may have at most {MOST_RANGES} ranges.")
    return tuple(ranges)


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


def numbers_of(ranges: Sequence[PageRange], count: int) -> list[int]:
    """The pages of a file that ranges name, in the file's order; raises MalformedRequest where it lacks one of them."""
    chosen: set[int] = set()
    for first, last in ranges:
        end = count if last is None else last
        if max(first, end) > count:
            pages = "page" if count == 1 else "pages"
            raise MalformedRequest(f"pages asks for page {max(first, end):,}; the file has {count:,} {pages}.")
        chosen |= set(range(first, end + 1))
    return sorted(chosen)
