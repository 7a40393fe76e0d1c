"""JSON: a page's own object, or the pages in one where there are several."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from paragraph_ocr.document import Document


def write(document: Document, *_: object) -> Iterator[bytes]:
    """Yield the document in parts."""
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
