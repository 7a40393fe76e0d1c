"""Write a document that was read in one of the output formats, as a whole or in parts."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from paragraph_ocr.document import Document


@dataclass(frozen=True)
class Format:
    """A form of a document.

    Attributes
    ----------
    suffix : str
        Of files, with its dot.
    content_type : str
    write : callable
        Yields a document's bytes, in parts, given it and the file that was read.
    """

    suffix: str
    content_type: str
    write: Callable[[Document, bytes], Iterator[bytes]]


def render(document: Document, form: str, data: bytes) -> bytes:
    """Write a document.

    Parameters
    ----------
    document : Document
    form : str
        A key of `FORMATS`.
    data : bytes
        The file that was read, which a PDF shows.
    """
    return b"".join(stream(document, form, data))


def stream(document: Document, form: str, data: bytes) -> Iterator[bytes]:
    """Write a document in parts, holding one page in memory at a time where its pages are loaded one by one.

    Parameters are those of `render`; the parts, joined, are what it returns.
    """
    return FORMATS[form].write(document, data)


def _json(document: Document, _: bytes) -> Iterator[bytes]:
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


def _text(document: Document, _: bytes) -> Iterator[bytes]:
    separator = ""
    for page in document.pages:
        yield f"{separator}{page.to_text()}".encode()
        separator = "\f"


# Most requests ask for none of the rest, so they are loaded when asked for.
def _hocr(document: Document, _: bytes) -> Iterator[bytes]:
    from paragraph_ocr.markup import hocr

    return hocr(document)


def _alto(document: Document, _: bytes) -> Iterator[bytes]:
    from paragraph_ocr.markup import alto

    return alto(document)


def _pdf(document: Document, data: bytes) -> Iterator[bytes]:
    from paragraph_ocr.pdf import searchable

    return searchable(document, data)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format(".json", "application/json", _json),
        "text": Format(".txt", "text/plain; charset=utf-8", _text),
        "hocr": Format(".hocr", "text/vnd.hocr+html; charset=utf-8", _hocr),
        "alto": Format(".xml", "application/alto+xml", _alto),
        "pdf": Format(".pdf", "application/pdf", _pdf),
    }
)
