"""A page and a document say what they hold, as JSON and as text."""

import json

import pytest

from paragraph_ocr.document import Document, Line, Page, Word

SQUARE = ((10.04, 20.0), (110.06, 20.0), (110.06, 50.0), (10.04, 50.0))
LINE = Line("first line", 0.9, SQUARE, ((10.0, 45.0), (110.0, 45.0)), (Word("first", 0.97, SQUARE),))


def page(*lines: Line) -> Page:
    return Page("scan.jpg", 1, 1240, 1754, 0, lines, {"detector": "d@1", "recognizer": "r@1"}, {"total": 12.34})


def test_box_bounds_the_polygon() -> None:
    assert LINE.box == (10.04, 20.0, 110.06, 50.0)


def test_json_is_the_contract_s() -> None:
    document = json.loads(json.dumps(page(LINE).to_dict()))
    assert document == {
        "image": "scan.jpg",
        "page": 1,
        "width": 1240,
        "height": 1754,
        "rotation": 0,
        "text": "first line",
        "confidence": 0.9,
        "content": "text",
        "lines": [
            {
                "text": "first line",
                "confidence": 0.9,
                "polygon": [[10.0, 20.0], [110.1, 20.0], [110.1, 50.0], [10.0, 50.0]],
                "baseline": [[10.0, 45.0], [110.0, 45.0]],
                "box": [10.0, 20.0, 110.1, 50.0],
                "words": [
                    {
                        "text": "first",
                        "confidence": 0.97,
                        "polygon": [[10.0, 20.0], [110.1, 20.0], [110.1, 50.0], [10.0, 50.0]],
                    }
                ],
            }
        ],
        "blocks": [{"type": "paragraph", "lines": [0], "box": [10.0, 20.0, 110.1, 50.0]}],
        "model": {"detector": "d@1", "recognizer": "r@1"},
        "timings_ms": {"total": 12.3},
    }


def test_json_leaves_the_image_nowhere() -> None:
    outline = ((-11.7, -24.8), (1300.0, -24.8), (1300.0, 1760.0), (-11.7, 1760.0))
    (line,) = page(Line("a", 0.9, outline, outline[2:], (Word("a", 0.9, outline),))).to_dict()["lines"]
    whole = [[0.0, 0.0], [1240.0, 0.0], [1240.0, 1754.0], [0.0, 1754.0]]
    assert line["polygon"] == line["words"][0]["polygon"] == whole
    assert line["baseline"] == whole[2:]
    assert line["box"] == [0.0, 0.0, 1240.0, 1754.0]


def test_text_has_a_line_a_line() -> None:
    second = Line("Été", 0.5, SQUARE, (), ())
    assert page(LINE, second).text == "first line\nÉté"
    assert page(LINE, second).to_text() == "first line\nÉté\n"


def test_confidence_is_weighted_by_length() -> None:
    assert page(LINE, Line("ab", 0.3, SQUARE, (), ())).confidence == pytest.approx((10 * 0.9 + 2 * 0.3) / 12)


def test_an_empty_page_has_no_confidence() -> None:
    assert page().confidence == 0
    assert page().to_text() == ""


def test_a_document_of_one_page_is_the_page() -> None:
    only = page(LINE)
    document = Document("scan.jpg", (only,))
    assert document.to_dict() == only.to_dict()
    assert (document.text, document.to_text(), document.confidence) == (only.text, only.to_text(), only.confidence)


def test_a_document_of_several_pages_has_what_they_have_in_common() -> None:
    pages = (page(LINE), page(), page(Line("ab", 0.3, SQUARE, (), ())))
    document = Document("scan.pdf", pages)
    assert document.to_text() == "first line\n\f\fab\n"
    assert document.to_dict() == {
        "image": "scan.pdf",
        "text": "first line\f\fab",
        "confidence": 0.8,
        "pages": [each.to_dict() for each in pages],
    }


def test_a_page_made_of_its_json_has_the_same_confidence() -> None:
    texts, confidences = ("a" * 7, "b" * 9, "c" * 12), (0.810217, 0.902166, 0.310148)
    lines = [Line(text, own, SQUARE, SQUARE[2:], ()) for text, own in zip(texts, confidences, strict=True)]
    record = page(*lines).to_dict()
    assert Page.from_dict(record).to_dict()["confidence"] == record["confidence"] == 0.6254
