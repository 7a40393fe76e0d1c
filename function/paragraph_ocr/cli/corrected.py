"""Load a document that a person corrected, so that its image is not read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from paragraph_ocr.cli.folder import load
from paragraph_ocr.correction import parse_document
from paragraph_ocr.document import Document
from paragraph_ocr.errors import BrokenDocument
from paragraph_ocr.io.imaging import count_pages
from paragraph_ocr.io.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from paragraph_ocr.pipeline.options import ReadOptions
    from paragraph_ocr.pipeline.reader import PageReader


def load_corrected(
    reader: PageReader, path: str, options: ReadOptions, with_image: bool = False
) -> tuple[Document, bytes]:
    """Return the corrected document of a JSON file, and its image.

    Parameters
    ----------
    reader : PageReader
        Its language models tell the hyphens that are removed where lines are joined.
    path : str
        Of the JSON: a page, a document, or a page in each line, as ``--format json`` writes them.
    options : ReadOptions
    with_image : bool
        Whether the image is loaded, which lies beside the JSON; it is empty otherwise.

    Raises
    ------
    OcrError
        The file is no corrected document, or its image cannot be decoded.
    OSError
        The file or its image cannot be opened.
    """
    document = parse_document(_parse(load(path)), DEFAULT_LIMITS.max_pages, DEFAULT_LIMITS.max_lines)
    pages = tuple(
        replace(page, style=reader.text_style(page.lines, page.layout, options), upright=options.upright)
        for page in document.pages
    )
    document = replace(document, pages=pages)
    if not with_image:
        return document, b""
    image = load(str(Path(path).parent / Path(document.image.replace("\\", "/")).name))
    numbers = tuple(page.page for page in pages)
    count = count_pages(image)
    if numbers[-1] > count:
        raise BrokenDocument(f"The document has a page {numbers[-1]}, its image {document.image} {count}.")
    return replace(document, numbers=() if len(pages) == count else numbers), image


def _parse(content: bytes) -> object:
    try:
        text = content.decode("utf-8-sig")
        try:
            return json.loads(text)
        except ValueError:
            # The command line writes a page a line.
            pages = [json.loads(row) for row in text.split("\n") if row.strip()]
    except (ValueError, RecursionError) as error:
        raise BrokenDocument(f"It is not JSON: {error}.") from error
    names = {page.get("image") for page in pages if isinstance(page, dict) and isinstance(page.get("image"), str)}
    return {"pages": pages, **({"image": names.pop()} if len(names) == 1 else {})}
