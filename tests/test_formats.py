"""Every form has its name, its suffix and its type, and holds what was read."""

import io
import json

import pytest
from PIL import Image

from paragraph_ocr.document import Document, Line, Page, Word
from paragraph_ocr.formats import FORMATS, render

BOX = ((10.0, 20.0), (110.0, 20.0), (110.0, 50.0), (10.0, 50.0))


def document(*pages: int, name: str = "scan.tif") -> Document:
    """Pages of so many lines."""
    line = Line("first line", 0.8, BOX, BOX[2:], (Word("first", 0.9, BOX), Word("line", 0.7, BOX)))
    made = [Page(name, number, 600, 800, 0, (line,) * lines, {}, {}) for number, lines in enumerate(pages, 1)]
    return Document(name, tuple(made))


def test_there_are_five_with_a_suffix_and_a_type_each() -> None:
    assert list(FORMATS) == ["json", "text", "hocr", "alto", "pdf"]
    assert len({form.suffix for form in FORMATS.values()}) == 5
    assert len({form.content_type for form in FORMATS.values()}) == 5


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


def test_text_parts_lines_and_pages() -> None:
    assert render(document(2, 0, 1), "text", b"") == b"first line\nfirst line\n\f\ffirst line\n"


@pytest.mark.parametrize(("form", "start"), [("hocr", b"<?xml"), ("alto", b"<?xml"), ("pdf", b"%PDF-")])
def test_the_other_forms_are_written_too(form: str, start: bytes) -> None:
    buffer = io.BytesIO()
    Image.new("1", (600, 800)).save(buffer, "PNG")
    assert render(document(1), form, buffer.getvalue()).startswith(start)
