"""Plain text: a line of the page a line, pages parted by form feeds."""

from collections.abc import Iterator

from paragraph_ocr.document import Document


def write(document: Document, *_: object) -> Iterator[bytes]:
    """Yield the document in parts."""
    separator = ""
    for page in document.pages:
        yield f"{separator}{page.to_text()}".encode()
        separator = "\f"
