"""CSV (RFC 4180) of the rows of a document's tables; each row begins with its page, and with its table on that page."""

import csv
import re
from collections.abc import Iterator
from io import StringIO

from paragraph_ocr.document import Document

# A cell that begins with one of these is a formula for a spreadsheet, which may run commands or send cells elsewhere:
# https://owasp.org/www-community/attacks/CSV_Injection
# Where the decimal sign is a comma, spreadsheets part cells at semicolons, and then take quotes within a row for text,
# so that a line end parts rows, too. Some ignore spaces and invisible characters before a formula.
_FORMULA = re.compile(r"(^|[;\t\r\n])((?:[^\S\t\r\n]|[\u200b-\u200f\u2060\ufeff])*[=+\-@＝＋－＠])")
_CONTROL = ("\t", "\r", "\n")
_SIGNED_NUMBER = re.compile(r"[+-] ?[0-9][0-9., \u00a0]*")


def write(document: Document, *_: object) -> Iterator[bytes]:
    """Yield the document in parts; one without tables has none but the mark by which spreadsheets know the encoding."""
    yield "\ufeff".encode()
    for page in document.pages:
        written = StringIO(newline="")
        writer = csv.writer(written)
        tables = [block for block in page.layout if block.rows]
        for number, table in enumerate(tables, 1):
            for row in table.rows:
                writer.writerow([page.page, number, *(_shown(page.flow(cell.lines)) for cell in row)])
        yield written.getvalue().encode(errors="replace")


def inert(cell: str) -> str:
    """A cell that a spreadsheet takes for text: what looks like a formula has an apostrophe before it."""
    shown = _FORMULA.sub(r"\1'\2", cell)
    return f"'{shown}" if cell.startswith(_CONTROL) else shown


def _shown(cell: str) -> str:
    # A number with a sign computes nothing.
    return cell if _SIGNED_NUMBER.fullmatch(cell) else inert(cell)
