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
    """

    suffix: str
    content_type: str
    _write: Callable[[Document, bytes], bytes]


def render(document: Document, form: str, data: bytes) -> bytes:
    """Write a document.

    Parameters
    ----------
    document : Document
    form : str
        A key of `FORMATS`.
    data : bytes
        The file that was read.
    """
    return FORMATS[form]._write(document, data)


def _json(document: Document, _: bytes) -> bytes:
    return json.dumps(document.to_dict(), ensure_ascii=False).encode() + b"\n"


def _text(document: Document, _: bytes) -> bytes:
    return document.to_text().encode()


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format(".json", "application/json", _json),
        "text": Format(".txt", "text/plain; charset=utf-8", _text),
    }
)
