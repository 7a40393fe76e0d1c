"""Markdown, as CommonMark 0.31 and the tables of GitHub's have it: headings, paragraphs, lists and tables.

Lines of a paragraph run on between its hard breaks, since Markdown would join them anyway; pages are parted by a
thematic break.
"""

import re
from collections.abc import Iterator

from paragraph_ocr.document import Block, Document, Page
from paragraph_ocr.pipeline.blocks import BULLET

# What would begin another kind of block at the start of a line, and what means something anywhere.
_START = re.compile(r"^(\s*)([-+>#=~:|]|\d{1,9}(?=[.)](?:\s|$)))")
_INLINE = re.compile(r"([\\`*_\[\]<>|~]|&(?=#?\w+;))")
# Check boxes and marks of doubtful words are no links, since nothing defines them, and are left as they are.
_SIGN = re.compile(r"((?<!\S)\[[ x]\](?!\S)|(?<=\S)\[\?\](?!\S))")
_CHECK_BOX = re.compile(r"^\s*(\[[ x]\])\s")
_NUMBER = re.compile(r"^\s*\(?(\d{1,3})(?:[.)]|[°º][.)]?)\s+")


def write(document: Document, *_: object) -> Iterator[bytes]:
    """Yield the document in parts."""
    separator = ""
    for page in document.pages:
        blocks = "\n\n".join(_block(page, block) for block in page.layout)
        yield f"{separator}{blocks}{chr(10) if blocks else ''}".encode(errors="replace")
        separator = "\n---\n\n"


def _block(page: Page, block: Block) -> str:
    if block.rows:
        return _table(page, block)
    if block.items:
        return "\n".join(_item(page.flow(item)) for item in block.items)
    if block.kind == "heading":
        return f"{'#' * max(block.level, 1)} {_inline(page.flow(block.lines))}"
    quoted = "> " if block.kind in ("margin", "page_number") else ""
    # A backslash at the end of a line is a hard break, which an empty passage could not have.
    passages = [escaped(passage) for passage in page.passages(block) if passage.strip()]
    return quoted + f"\\\n{quoted}".join(passages)


def _item(text: str) -> str:
    number = _NUMBER.match(text)
    content = BULLET.sub("", text, count=1)
    if number:
        return f"{number[1]}. {escaped(content)}"
    if box := _CHECK_BOX.match(text):
        # An item of GitHub's task lists.
        return f"- {box[1]} {escaped(content)}"
    # Letters have no list of their own in Markdown.
    lettered = re.match(r"^\s*(\(?[a-zA-Z][.)])\s", text)
    return f"- {lettered[1] + ' ' if lettered else ''}{escaped(content)}"


def _table(page: Page, block: Block) -> str:
    rows = [[_inline(page.flow(cell.lines)) for cell in row] for row in block.rows]
    first, *rest = rows
    ruled = [first, ["---"] * len(first), *rest]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def _inline(text: str) -> str:
    """Text in which no character means anything in Markdown."""
    parts = _SIGN.split(" ".join(text.split()))
    return "".join(part if place % 2 else _INLINE.sub(r"\\\1", part) for place, part in enumerate(parts))


def escaped(text: str) -> str:
    """Text that is a paragraph and nothing else."""
    inline = _inline(text)
    start = _START.match(inline)
    if start is None:
        return inline
    if start[2].isdecimal():
        return f"{inline[: start.end()]}\\{inline[start.end() :]}"
    return f"{inline[: start.start(2)]}\\{inline[start.start(2) :]}" if start[2] in "-+#=:" else inline
