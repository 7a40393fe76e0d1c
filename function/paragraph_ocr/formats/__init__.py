"""The output formats: each is a module of this package with a function `write`, and an entry of `FORMATS`.

A module is loaded when its format is asked for the first time: most requests ask for JSON or text alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from paragraph_ocr.document import Document

if TYPE_CHECKING:
    from paragraph_ocr.io.imaging import Source


@dataclass(frozen=True)
class Format:
    """An output format.

    Attributes
    ----------
    module : str
        Of this package; its `write(document, data, deadline, max_memory)` yields the file in parts. `data` is the file
        that was read, `deadline` as `perf_counter` tells the time, and `max_memory` the bytes that decoding it again
        may take.
    suffix : str
        Of files, with its dot.
    content_type : str
    """

    module: str
    suffix: str
    content_type: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format("json", ".json", "application/json"),
        "text": Format("text", ".txt", "text/plain; charset=utf-8"),
        "hocr": Format("hocr", ".hocr", "text/vnd.hocr+html; charset=utf-8"),
        "alto": Format("alto", ".xml", "application/alto+xml"),
        "pdf": Format("pdf", ".pdf", "application/pdf"),
        "page": Format("page", ".page.xml", "application/vnd.prima.page+xml"),
        "markdown": Format("markdown", ".md", "text/markdown; charset=utf-8"),
        "csv": Format("csv", ".csv", "text/csv; charset=utf-8"),
    }
)


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
        Value of `perf_counter` at which writing must end.
    max_memory : int, optional
        Bytes that decoding the file again may take; those of `Limits` when left out.

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
    module = import_module(f"{__name__}.{FORMATS[form].module}")
    parts: Iterator[bytes] = module.write(document, data, deadline, max_memory)
    return parts
