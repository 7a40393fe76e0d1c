"""The text that a page of a PDF carries is extracted as lines of words, with their places in the rendered page."""

import math
import time
from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from pdfs import form_pdf, text_pdf

from benchmarks import hostile
from paragraph_ocr.io import imaging, pdf_text
from paragraph_ocr.io.limits import DEFAULT_LIMITS
from paragraph_ocr.io.pdf_text import Glyph, LayerLine, group

SCALE = 200 / 72


def lines(data: bytes) -> list[LayerLine]:
    (page,) = imaging.decode_pages(data, text=True)
    return list(page.text)


def texts(content: bytes, entries: bytes = b"", to_unicode: str = "") -> list[str]:
    return [line.text for line in lines(text_pdf(content, entries, to_unicode=to_unicode))]


def written(*strings: str, x: float = 50, y: float = 700, font: str = "F") -> bytes:
    """Strings below each other, 12 points high."""
    shown = b"".join(b"(%s) Tj T* " % string.encode("latin-1") for string in strings)
    return b"BT /%s 12 Tf 16 TL %f %f Td %sET " % (font.encode(), x, y, shown)


def test_pages_give_no_text_unless_asked() -> None:
    (page,) = imaging.decode_pages(text_pdf(written("own text")))
    assert not page.text


@pytest.mark.parametrize(
    ("matrix", "entries"),
    [("1 0 0 1 100 300", b""), ("1 0 0 1 100 300", b"/Rotate 90"), ("1 0 0 1 100 300", b"/Rotate 180"),
     ("1 0 0 1 100 300", b"/Rotate 270"), ("1 0 0 1 100 300", b"/CropBox[40 200 500 500]"),
     ("0 1 -1 0 200 300", b""), ("-1 0 0 -1 300 300", b""), (".8 .6 -.6 .8 100 300", b""),
     (".5 0 0 .5 100 300", b""), ("2 0 0 1 100 300", b"/Rotate 90")],
)  # fmt: skip
def test_words_lie_on_their_letters(matrix: str, entries: bytes) -> None:
    # Letters from the baseline up to the ascenders, and none below it.
    content = b"BT /F 24 Tf %s Tm (Hidden bill) Tj ET" % matrix.encode()
    (page,) = imaging.decode_pages(text_pdf(content, entries), text=True)
    (line,) = page.text
    assert [word.text for word in line.words] == ["Hidden", "bill"]
    dark = np.argwhere(page.pixels < 128)[:, ::-1]
    covered = np.zeros(len(dark), bool)
    for word in line.words:
        along = np.subtract(word.end, word.start)
        up = np.array(word.em)
        assert float(along @ up) == pytest.approx(0, abs=1)
        at = (dark - np.array(word.start)) @ np.linalg.inv(np.array([along, up]))
        inside = ((at > [-0.03, -0.03]) & (at < [1.03, 0.76])).all(axis=1)
        assert inside.any()
        assert at[inside][:, 1].min() == pytest.approx(0, abs=0.06)
        assert at[inside][:, 1].max() == pytest.approx(0.72, abs=0.06)
        assert at[inside][:, 0].min() == pytest.approx(0, abs=0.06)
        assert at[inside][:, 0].max() == pytest.approx(1, abs=0.1)
        covered |= inside
    assert covered.all()


def test_letters_that_are_painted_again_are_there_once() -> None:
    bold = b"".join(written("still all ill", x=50 + shift) for shift in (0, 0.3, 0.6))
    assert texts(bold) == ["still all ill"]
    assert texts(b"".join(written("still all ill") for _ in range(1000))) == ["still all ill"]
    letters = b"".join(written(letter, x=x) for x, letter in ((50, "a"), (50.4, "a"), (56.7, "b"), (57.1, "b")))
    assert texts(letters) == ["ab"]
    # PDFium itself leaves out a text that is the same and at the same place as the one before, but no other.
    once = [Glyph(each, 50 + 20 * at, 50, 1.0, 0.0, 1.0, 19, 33) for at, each in enumerate("still")]
    assert [line.text for line in group([*once, *(replace(each, x=each.x + 3) for each in once)])] == ["still"]
    assert texts(b"BT /F 12 Tf 50 700 Td (bold) Tj 100 0 Td (x) Tj -99 0 Td (bold) Tj ET") == ["bold", "x"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # Words that are parted by distance alone, in any order, and letters one by one.
        (b"50 700 Td [(No)-300(space)-250(at)-280(all)] TJ", ["No space at all"]),
        (b"72 700 Td (second) Tj -22 0 Td (first) Tj", ["first second"]),
        (b"50 700 Td (l) Tj 2.66 0 Td (e) Tj 6.67 0 Td (t) Tj", ["let"]),
        # Letters are spaced out, words more so.
        (b"50 700 Td 3 Tc (SPACED OUT) Tj", ["SPACED OUT"]),
        (b"50 700 Td 3 Tc (SPACED) Tj 74 0 Td (OUT) Tj", ["SPACED OUT"]),
        # Cells and columns are lines of their own; wide spaces of justified text are not.
        (b"50 700 Td (Item) Tj 200 0 Td (12.50) Tj", ["Item", "12.50"]),
        (b"50 700 Td (Item      12.50) Tj", ["Item", "12.50"]),
        (b"50 700 Td 12 Tw (far apart words) Tj", ["far apart words"]),
        # Exponents and indices.
        (b"50 700 Td (mc) Tj /F 8 Tf 5 Ts (2) Tj /F 12 Tf 0 Ts ( and H) Tj /F 8 Tf -3 Ts (2) Tj /F 12 Tf 0 Ts (O) Tj",
         ["mc2 and H2O"]),
        # A hyphen at a line's end, which PDFium hides.
        (b"16 TL 50 700 Td (a beau-) Tj T* (tiful day) Tj", ["a beau-", "tiful day"]),
        # Mirrored text.
        (b"-1 0 0 1 300 700 Tm (mirror) Tj", ["mirror"]),
    ],
)  # fmt: skip
def test_words_and_lines_are_told_by_their_places(content: bytes, expected: list[str]) -> None:
    assert sorted(texts(b"BT /F 12 Tf " + content + b" ET")) == sorted(expected)


def test_ligatures_and_soft_hyphens_are_written_out() -> None:
    assert texts(written("AB CD", font="G"), to_unicode="ﬁnﬀe") == ["fin ffe"]
    assert texts(written("ABC D", font="G"), to_unicode="a\xadbc") == ["ab c"]
    assert texts(written("AB", font="G"), to_unicode="a\xad") == ["a-"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"])
def test_a_line_has_no_characters_that_end_it(separator: str) -> None:
    assert texts(written("ABC", font="G"), to_unicode=f"a{separator}b") == ["a b"]


def test_text_from_right_to_left_is_in_the_order_in_which_it_is_read() -> None:
    # As it is seen from left to right: a number, and two words with their first letter on the right.
    assert texts(written("GH DEF ABC", font="G"), to_unicode="\u05d2\u05d1\u05d0\u05d5\u05d4\u05d312") == [
        "\u05d0\u05d1\u05d2 \u05d3\u05d4\u05d5 12"
    ]


def test_characters_below_each_other_are_a_line_that_runs_downwards() -> None:
    content = b"BT /G 12 Tf 12 TL 300 700 Td (A) Tj T* (B) Tj T* (C) Tj T* (D) Tj ET"
    (line,) = lines(text_pdf(content, to_unicode="日本語文"))
    assert (line.text, line.vertical) == ("日本語文", True)
    assert line.words[0].start[1] < line.words[0].end[1]
    assert abs(line.words[0].start[0] - line.words[0].end[0]) < 1


def test_text_without_unicode_values_is_not_given() -> None:
    content = written("ABCDEFGH", font="G") + written("plain text", y=600)
    assert texts(content, to_unicode="".join(chr(0xE100 + at) for at in range(8))) == ["plain text"]
    assert texts(content, to_unicode="\ufffd" * 8) == ["plain text"]
    # A bullet of a font of symbols is one.
    assert texts(written("A", font="G") + written("an item of a list", x=62), to_unicode="\uf0b7") == [
        "• an item of a list"
    ]


def test_text_outside_of_what_is_shown_is_not_given() -> None:
    content = written("inside", x=100, y=300) + written("outside", x=100, y=600) + written("beyond", x=-400, y=300)
    assert texts(content, b"/CropBox[0 200 595 400]") == ["inside"]


def test_invisible_and_covered_text_is_marked() -> None:
    content = (
        written("seen")
        + b"3 Tr " + written("invisible", y=600) + b"0 Tr "
        + written("covered", y=500) + b"q 200 0 0 50 40 490 cm /I Do Q "
        + b"q 200 0 0 50 40 390 cm /I Do Q " + written("on top", y=400)
    )  # fmt: skip
    assert {line.text: line.hidden for line in lines(text_pdf(content))} == {
        "seen": False, "invisible": True, "covered": True, "on top": False
    }  # fmt: skip
    # Text that is shown, too, is not hidden.
    shown = Glyph("a", 50, 50, 1.0, 0.0, 1.0, 8, 12)
    assert [line.hidden for line in group([replace(shown, hidden=True), shown])] == [False]


@pytest.mark.parametrize("appearance", [True, False])
def test_what_a_form_is_filled_in_with_is_text_of_the_page(appearance: bool) -> None:
    data = form_pdf(appearance)
    name, value = sorted(lines(data), key=lambda line: line.words[0].start[0])
    assert (name.text, value.text) == ("Name:", "Margaret Hale")
    assert value.words[0].start[0] == pytest.approx(102 * SCALE, abs=6)
    # The file itself keeps its fields.
    with imaging.Source(data) as source:
        pdf = source.pdf(DEFAULT_LIMITS)
        list(pdf.pages([1], math.inf, text=True))
        with pypdfium2.PdfDocument(pdf.overlay([], math.inf)) as document:
            assert pypdfium2.raw.FPDFPage_GetAnnotCount(document[0]) == 1


@pytest.mark.parametrize(
    "matrix",
    ["1e38 0 0 1e38 50 700", "0 0 0 0 50 700", "1e-30 0 0 1e-30 50 700", "1 0 0 1 1e38 1e38", "9e99 9e99 9e99 9e99 0 0",
     "1 0 0 0 50 700", "nan nan nan nan nan nan"],
)  # fmt: skip
def test_text_of_no_size_or_without_end_is_left_out(matrix: str) -> None:
    content = b"BT /F 12 Tf %s Tm (lost) Tj ET " % matrix.encode() + written("kept", y=500)
    assert "kept" in texts(content)
    assert all(math.isfinite(value) for line in lines(text_pdf(content)) for word in line.words for value in word.end)


def test_letters_larger_than_the_page_are_left_out() -> None:
    assert texts(b"BT /F 9000 Tf 0 0 Td (X) Tj ET " + written("kept")) == ["kept"]


@pytest.mark.slow
def test_a_page_with_more_characters_than_can_be_read_gives_none() -> None:
    words = b"".join(
        b"1 0 0 1 %d %d Tm (%s) Tj " % (10 + at % 20 * 28, 800 - at // 20 % 780, b"abcde") for at in range(20_000)
    )
    assert lines(text_pdf(b"BT /F 5 Tf " + words + b"ET")) == []
    few = b" ".join(words.split(b" ")[: 9 * 4_000])
    assert sum(len(line.text) for line in lines(text_pdf(b"BT /F 5 Tf " + few + b" ET"))) == 20_000
    # Of pieces of text and other objects, there may be as many.
    assert lines(hostile.pdf_with_text_objects(9_000)) != []
    assert lines(hostile.pdf_with_text_objects(11_000)) == []
    assert texts(b"0 0 1 1 re f " * 50_000 + written("a map's legend")) == ["a map's legend"]
    assert texts(b"0 0 1 1 re f " * 101_000 + written("a map's legend")) == []


@pytest.mark.slow
def test_grouping_many_texts_at_one_place_takes_seconds() -> None:
    glyphs = [Glyph(chr(0x4E00 + at % 20_000), 50 + at % 7, 50 + at % 5, 1.0, 0.0, 1.0, 8, 12) for at in range(30_000)]
    start = time.process_time()
    assert group(glyphs)
    assert time.process_time() - start < 15


def test_a_line_is_the_same_once_it_is_packed() -> None:
    (line,) = lines(text_pdf(written("two words")))
    assert LayerLine.unpacked(line.packed()) == line
    assert pdf_text.group([]) == []
