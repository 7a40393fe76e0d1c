"""An answer takes the form that the query names, or the one that the Accept header likes best."""

import pytest

from paragraph_ocr.errors import MalformedRequest, NotAcceptable
from paragraph_ocr.formats import FORMATS
from service.negotiation import choose


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("application/*", "json"),
        ("Application/JSON", "json"),
        ("text/plain", "text"),
        ("TEXT/Plain; charset=utf-8", "text"),
        ("text/*", "text"),
        ("text/plain, */*", "json"),
        ("text/plain, */*;q=0.1", "text"),
        ("application/json;q=0.5, text/plain;q=0.9", "text"),
        ("application/json;q=0.900,text/plain;Q=0.9", "json"),
        ("*/*, application/json;q=0", "text"),
        ("text/*;q=0.2, text/plain;q=0.1, application/json;q=0.15", "hocr"),
        ("text/html, text/plain;q=0.1", "text"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        (",, ;, text/plain", "text"),
        ("text/plain;q=2", "text"),
    ],
)
def test_takes_what_is_liked_best(accept: str, form: str) -> None:
    assert choose(accept, None) == form


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_be_had(form: str) -> None:
    assert choose(FORMATS[form].content_type, None) == form
    assert choose("", form) == form


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "nonsense"])
def test_the_query_wins(accept: str) -> None:
    assert choose(accept, "json") == "json"


@pytest.mark.parametrize("accept", ["text/html", "image/png, audio/*", "a", "application/json;q=0", "*/*;q=0.000"])
def test_refuses_what_there_is_not(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/json, text/plain.*\?format=json\|text"):
        choose(accept, None)


@pytest.mark.parametrize("wanted", ["", "JSON", "docx"])
def test_refuses_to_guess_a_form(wanted: str) -> None:
    with pytest.raises(MalformedRequest, match="json, text"):
        choose("*/*", wanted)
