"""Every form has its name, its suffix and its type, and holds what was read."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from PIL import Image

from paragraph_ocr.document import Block, Cell, Document, Line, Page, TextStyle, Word
from paragraph_ocr.formats import FORMATS, render

BOX = ((10.0, 20.0), (110.0, 20.0), (110.0, 50.0), (10.0, 50.0))


def document(*pages: int, name: str = "scan.tif") -> Document:
    """Pages of so many lines."""
    line = Line("first line", 0.8, BOX, BOX[2:], (Word("first", 0.9, BOX), Word("line", 0.7, BOX)))
    made = [Page(name, number, 600, 800, 0, (line,) * lines, {}, {}) for number, lines in enumerate(pages, 1)]
    return Document(name, tuple(made))


def test_each_has_a_suffix_and_a_type_of_its_own() -> None:
    assert list(FORMATS) == ["json", "text", "hocr", "alto", "pdf", "page", "markdown", "csv"]
    assert len({form.suffix for form in FORMATS.values()}) == len(FORMATS)
    assert len({form.content_type for form in FORMATS.values()}) == len(FORMATS)


def test_json_of_one_page_is_the_page() -> None:
    one = document(2)
    assert json.loads(render(one, "json", b"")) == one.pages[0].to_dict()


def test_json_of_several_has_a_list_of_them() -> None:
    several = document(2, 0, 1)
    read = json.loads(render(several, "json", b""))
    assert set(read) == {"image", "text", "confidence", "pages"}
    assert read["image"] == several.image
    assert [page["page"] for page in read["pages"]] == [1, 2, 3]
    assert read["text"] == "\f".join(page["text"] for page in read["pages"])
    assert read["confidence"] == 0.8


def test_names_that_are_no_unicode_do_not_stop_json() -> None:
    assert json.loads(render(document(1, name="\udcff.png"), "json", b""))["image"] == "?.png"


def laid_out(texts: list[str], *blocks: Block, **style: Any) -> Document:
    """A page of lines with these blocks."""
    lines = tuple(Line(text, 0.8, BOX, BOX[2:], (Word(text, 0.9, BOX),)) for text in texts)
    return Document("scan.tif", (Page("scan.tif", 1, 600, 800, 0, lines, {}, {}, blocks, TextStyle(**style)),))


def cells(*rows: tuple[tuple[int, ...], ...]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(map(Cell, row)) for row in rows)


TEXTS = [
    "Rules *",
    "1. One",
    "meets",
    "2. Two",
    "a|b",
    "1",
    "c",
    "=2+3",
    "-4.50",
    "# not",
    "a heading",
    "12",
    "A. B.",
]
BLOCKS = (
    Block("heading", (0,), level=1),
    Block("list", (1, 2, 3), items=((1, 2), (3,))),
    Block("table", (4, 5, 6, 7, 8), rows=cells(((4,), (5,)), ((6,), ()), ((7,), (8,)))),
    Block("paragraph", (9, 10)),
    Block("page_number", (11,)),
    Block("signature", (12,)),
)


def test_markdown_has_headings_lists_tables_and_paragraphs() -> None:
    written = render(laid_out(TEXTS, *BLOCKS), "markdown", b"").decode()
    assert written == (
        "# Rules \\*\n\n1. One meets\n2. Two\n\n| a\\|b | 1 |\n| --- | --- |\n| c |  |\n| =2+3 | -4.50 |\n\n"
        "\\# not a heading\n\n> 12\n\nA. B.\n"
    )


@pytest.mark.parametrize(
    "text",
    ["- he said", "+ 1", "1. a", "12) b", "> x", "# y", "---", "=== z", "*a* _b_ `c` [d](e) <f> ~g~ |h|", "\\",
     "&amp; &", "a  b", "| a |", "***", "    code", "~~~", "```", "[x] Yes [ ] No", "[x]: a", "[x](a)", "word[?] [?]",
     "a[?]: b", "a[?](b)", "[a][?]", "[?]: a"],
)  # fmt: skip
def test_text_means_nothing_in_markdown(text: str) -> None:
    written = render(laid_out([text]), "markdown", b"").decode()
    html = MarkdownIt("commonmark").enable("table").render(written)
    assert html == f"<p>{escapeHtml(' '.join(text.split()))}</p>\n"


def test_markdown_is_read_as_the_blocks_that_were_written() -> None:
    parsed = MarkdownIt("commonmark").enable("table").parse(render(laid_out(TEXTS, *BLOCKS), "markdown", b"").decode())
    opened = [token.tag for token in parsed if token.nesting == 1 and token.level == 0]
    assert opened == ["h1", "ol", "table", "p", "blockquote", "p"]


def test_boxes_to_tick_are_a_task_list() -> None:
    """As GitHub's extension of Markdown has them."""
    texts = ["[x] Call the bank", "[ ] Order *boxes*"]
    written = render(laid_out(texts, Block("list", (0, 1), items=((0,), (1,)))), "markdown", b"").decode()
    assert written == "- [x] Call the bank\n- [ ] Order \\*boxes\\*\n"


def test_boxes_and_marks_of_doubtful_words_are_written_as_they_are_in_markdown() -> None:
    written = render(laid_out(["Smoker? [x] Yes [ ] Noo[?]"]), "markdown", b"").decode()
    assert written == "Smoker? [x] Yes [ ] Noo[?]\n"


def test_csv_has_the_rows_of_tables_and_nothing_that_computes() -> None:
    written = render(laid_out(TEXTS, *BLOCKS), "csv", b"")
    assert written.startswith("\ufeff".encode())
    rows = list(csv.reader(io.StringIO(written.decode("utf-8-sig"), newline="")))
    assert rows == [["1", "1", "a|b", "1"], ["1", "1", "c", ""], ["1", "1", "'=2+3", "-4.50"]]
    assert render(document(2), "csv", b"") == "\ufeff".encode()


def test_joined_lines_run_on() -> None:
    texts = ["The Donau-", "dampfschiff and", "a well-", "known man", "Next."]
    blocks = Block("paragraph", (0, 1, 2, 3)), Block("paragraph", (4,))
    joined = laid_out(texts, *blocks, joined=True, hyphens=(0,))
    flowing = "The Donaudampfschiff and a well-known man\n\nNext."
    assert joined.pages[0].text == flowing
    assert render(joined, "text", b"").decode() == flowing + "\n"
    assert json.loads(render(joined, "json", b""))["text"] == flowing
    # In Markdown lines run on anyway.
    assert render(joined, "markdown", b"").decode() == flowing + "\n"
    table = laid_out(TEXTS, *BLOCKS, joined=True).pages[0].text
    assert "1. One meets\n2. Two\n\na|b\t1\nc\t\n=2+3\t-4.50\n\n# not a heading" in table


def test_hard_breaks_stay_where_lines_are_joined() -> None:
    texts = ["Rose Hill", "12 Mill-", "brook Lane", "+44 20 1450", "I sing-", "ing go"]
    blocks = Block("paragraph", (0, 1, 2, 3), hard_breaks=(0, 2)), Block("margin", (4, 5), hard_breaks=(4,))
    joined = laid_out(texts, *blocks, joined=True, hyphens=(1,))
    assert joined.text == "Rose Hill\n12 Millbrook Lane\n+44 20 1450\n\nI sing-\ning go"
    written = render(joined, "markdown", b"").decode()
    assert written == "Rose Hill\\\n12 Millbrook Lane\\\n\\+44 20 1450\n\n> I sing-\\\n> ing go\n"
    html = MarkdownIt("commonmark").render(written)
    assert html.startswith("<p>Rose Hill<br />\n12 Millbrook Lane<br />\n+44 20 1450</p>\n<blockquote>")
    assert Page.from_dict(joined.pages[0].to_dict(), joined.pages[0].style) == joined.pages[0]


def test_doubtful_words_are_marked() -> None:
    words = (Word("sure", 0.85, BOX), Word("doubt-", 0.849, BOX))
    lines = (Line("sure doubt-", 0.8, BOX, BOX[2:], words), Line("ful", 0.9, BOX, BOX[2:], (Word("ful", 0.9, BOX),)))
    page = Page("scan", 1, 600, 800, 0, lines, {}, {}, (), TextStyle(marked=True))
    assert page.text == "sure doubt-[?]\nful"
    assert page.to_dict()["lines"][0]["text"] == "sure doubt-"
    joined = replace(page, style=TextStyle(joined=True, marked=True, hyphens=(0,)))
    assert joined.text == "sure doubt[?]ful"


def test_text_parts_lines_and_pages() -> None:
    assert render(document(2, 0, 1), "text", b"") == b"first line\nfirst line\n\f\ffirst line\n"


@pytest.mark.parametrize(
    ("form", "start"), [("hocr", b"<?xml"), ("alto", b"<?xml"), ("pdf", b"%PDF-"), ("page", b"<?xml")]
)
def test_the_other_forms_are_written_too(form: str, start: bytes) -> None:
    buffer = io.BytesIO()
    Image.new("1", (600, 800)).save(buffer, "PNG")
    assert render(document(1), form, buffer.getvalue()).startswith(start)
