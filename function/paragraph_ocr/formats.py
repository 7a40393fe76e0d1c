"""A document that was read goes in; its bytes in one of the forms it is handed out in come out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

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
        Makes a document's bytes of it and of the file that was read.
    """

    suffix: str
    content_type: str
    write: Callable[[Document, bytes], bytes]


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
    return FORMATS[form].write(document, data)


def _json(document: Document, _: bytes) -> bytes:
    return (json.dumps(document.to_dict(), ensure_ascii=False) + "\n").encode(errors="replace")


def _text(document: Document, _: bytes) -> bytes:
    return document.to_text().encode()


# Most requests ask for none of the rest, so they are loaded when asked for.
def _hocr(document: Document, _: bytes) -> bytes:
    from paragraph_ocr.markup import hocr

    return hocr(document)


def _alto(document: Document, _: bytes) -> bytes:
    from paragraph_ocr.markup import alto

    return alto(document)


def _pdf(document: Document, data: bytes) -> bytes:
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
