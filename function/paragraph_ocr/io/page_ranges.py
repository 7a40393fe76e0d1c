"""Choose pages of a file by their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paragraph_ocr.errors import MalformedRequest

# A range of pages: the first, from 1, and the last, or None for that of the file.
PageRange = tuple[int, int | None]

_RANGE = re.compile(r"\s*([0-9]{1,6})\s*(-?)\s*([0-9]{1,6})?\s*")
MAX_RANGES = 100


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
    if len(ranges) > MAX_RANGES:
        raise MalformedRequest(f"pages may have at most {MAX_RANGES} ranges.")
    return tuple(ranges)


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
