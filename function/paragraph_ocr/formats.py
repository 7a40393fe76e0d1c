"""Write a document that was read in one of the output formats, as a whole or in parts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from paragraph_ocr.document import Document

if TYPE_CHECKING:
    from paragraph_ocr.imaging import Source


@dataclass(frozen=True)
class Format:
    """A form of a document.

    Attributes
    ----------
    suffix : str
        Of files, with its dot.
    content_type : str
    write : callable
        Yields a document's bytes, in parts, given it and the file that was read, within a deadline and in so much
        memory.
    """

    suffix: str
    content_type: str
    write: Callable[[Document, bytes | Source, float, int | None], Iterator[bytes]]


def render(
    document: Document,
    form: str,
    data: bytes | Source,
    deadline: float = math.inf,
    max_memory: int | None = None,
) -> bytes:
    """Write a document.

    Parameters
    ----------
    document : Document
    form : str
        A key of `FORMATS`.
    data : bytes or Source
        The file that was read, which a PDF shows.
    deadline : float
        As `perf_counter` tells the time.
    max_memory : int, optional
        Bytes that decoding the file again may take; those of `imaging.Limits` when left out.

    Raises
    ------
    DeadlineExceeded
        The deadline is over.
    TooLarge
        It takes more memory.
    """
    return b"".join(stream(document, form, data, deadline, max_memory))


def stream(
    document: Document,
    form: str,
    data: bytes | Source,
    deadline: float = math.inf,
    max_memory: int | None = None,
) -> Iterator[bytes]:
    """Write a document in parts, holding one page in memory at a time where its pages are loaded one by one.

    Parameters and errors are those of `render`; the parts, joined, are what it returns.
    """
    return FORMATS[form].write(document, data, deadline, max_memory)


def _json(document: Document, *_: object) -> Iterator[bytes]:
    if len(document.pages) == 1:
        yield _encoded(document.pages[0].to_dict()) + b"\n"
        return
    head = _encoded(document.head())
    yield head[:-1] + b', "pages": ['
    separator = b""
    for page in document.pages:
        yield separator + _encoded(page.to_dict())
        separator = b", "
    yield b"]}\n"


def _encoded(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def _text(document: Document, *_: object) -> Iterator[bytes]:
    separator = ""
    for page in document.pages:
        yield f"{separator}{page.to_text()}".encode()
        separator = "\f"


# Most requests ask for none of the rest, so they are loaded when asked for.
def _hocr(document: Document, _: object, deadline: float, __: object) -> Iterator[bytes]:
    from paragraph_ocr.markup import hocr

    return hocr(document, deadline)


def _alto(document: Document, _: object, deadline: float, __: object) -> Iterator[bytes]:
    from paragraph_ocr.markup import alto

    return alto(document, deadline)


def _pdf(document: Document, data: bytes | Source, deadline: float, max_memory: int | None) -> Iterator[bytes]:
    from paragraph_ocr.pdf import searchable

    return searchable(document, data, deadline, max_memory)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format(".json", "application/json", _json),
        "text": Format(".txt", "text/plain; charset=utf-8", _text),
        "hocr": Format(".hocr", "text/vnd.hocr+html; charset=utf-8", _hocr),
        "alto": Format(".xml", "application/alto+xml", _alto),
        "pdf": Format(".pdf", "application/pdf", _pdf),
    }
)
