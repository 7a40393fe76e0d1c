"""Write a document that was read in one of the forms it is handed out in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

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
        Makes a document's bytes of it and of the file that was read, within a deadline and in so much memory.
    """

    suffix: str
    content_type: str
    write: Callable[[Document, bytes | Source, float, int | None], bytes]


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
    return FORMATS[form].write(document, data, deadline, max_memory)


def _json(document: Document, *_: object) -> bytes:
    return (json.dumps(document.to_dict(), ensure_ascii=False) + "\n").encode(errors="replace")


def _text(document: Document, *_: object) -> bytes:
    return document.to_text().encode()


# Most requests ask for none of the rest, so they are loaded when asked for.
def _hocr(document: Document, _: object, deadline: float, __: object) -> bytes:
    from paragraph_ocr.markup import hocr

    return hocr(document, deadline)


def _alto(document: Document, _: object, deadline: float, __: object) -> bytes:
    from paragraph_ocr.markup import alto

    return alto(document, deadline)


def _pdf(document: Document, data: bytes | Source, deadline: float, max_memory: int | None) -> bytes:
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
