"""What is asked of reading is understood, refused in words, and heeded."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from numpy.typing import NDArray
from PIL import Image
from standins import StillReader

from benchmarks import hostile
from paragraph_ocr.api import Reader
from paragraph_ocr.document import Block, Line, Word
from paragraph_ocr.errors import MalformedRequest, TooLarge
from paragraph_ocr.formats import render
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.io.page_ranges import numbers_of, parse_pages
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.charset import CHARSETS, decode_within, fits
from paragraph_ocr.pipeline.ctc import greedy
from paragraph_ocr.pipeline.hyphenation import soft_hyphens
from paragraph_ocr.pipeline.language import Languages
from paragraph_ocr.pipeline.options import ReadOptions, parse_charset, parse_languages

LETTERS = "0123456789.,-/ $ABDEOSXZl()"


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("3", ((3, 3),)), ("2-5,9", ((2, 5), (9, 9))), (" 2 - 5 , 9-", ((2, 5), (9, None))), ("1-1", ((1, 1),))],
)
def test_pages_are_numbers_and_ranges(text: str, ranges: object) -> None:
    assert parse_pages(text) == ranges


@pytest.mark.parametrize(
    "text", ["", ",", "0", "a", "5-2", "-3", "1.5", "1-2-3", "1 2", "²", "9" * 30, "1," * 200 + "1"]
)
def test_other_pages_are_refused(text: str) -> None:
    with pytest.raises(MalformedRequest, match="pages"):
        parse_pages(text)


def test_pages_that_are_not_there_are_refused() -> None:
    assert numbers_of(((4, None), (2, 3), (3, 3)), 5) == [2, 3, 4, 5]
    with pytest.raises(MalformedRequest, match="asks for page 6; the file has 5 pages"):
        numbers_of(((2, 6),), 5)
    with pytest.raises(MalformedRequest, match="page 2; the file has 1 page"):
        numbers_of(((2, None),), 1)


def test_languages_are_those_that_there_are() -> None:
    assert parse_languages("de, EN,de", {"de", "en", "xx"}) == ("de", "en")
    with pytest.raises(MalformedRequest, match=r"one or more of de, en, xx.*'fr' is none"):
        parse_languages("de,fr", {"de", "en", "xx"})
    with pytest.raises(MalformedRequest, match="no language models"):
        parse_languages("de", ())


def test_charsets_are_those_that_there_are() -> None:
    assert parse_charset("digits") == "digits"
    with pytest.raises(MalformedRequest, match="digits, letters, date, amount, iban"):
        parse_charset("numbers")


def tiff(pages: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    first, *more = [Image.new("L", (300 + 10 * page, 200), 255) for page in range(1, pages + 1)]
    first.save(buffer, "TIFF", save_all=True, append_images=more, **options)
    return buffer.getvalue()


# Whether it is decoded here, elsewhere, or by PDFium.
MAKERS = {
    "TIFF": lambda pages: tiff(pages),
    "JPEG in TIFF": lambda pages: tiff(pages, compression="jpeg"),
    "PDF": lambda pages: hostile.pdf(b"", pages),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_only_the_pages_that_are_asked_for_are_read(kind: str) -> None:
    data = MAKERS[kind](6)
    reader = StillReader(Limits(max_pages=3))
    options = ReadOptions(pages=((2, 3), (6, None)))
    read = reader.read(data, "scan", options=options)
    assert [page.page for page in read.pages] == [2, 3, 6]
    if kind != "PDF":
        assert [page.width for page in read.pages] == [320, 330, 360]
    with pytest.raises(MalformedRequest, match="the file has 6 pages"):
        reader.read(data, "scan", options=ReadOptions(pages=((7, 7),)))
    # It is the pages that are read that count.
    with pytest.raises(TooLarge, match="4 pages; the limit is 3 at once"):
        reader.read(data, "scan", options=ReadOptions(pages=((1, 4),)))
    with pytest.raises(TooLarge):
        reader.read(data, "scan")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_pdf_of_some_pages_has_their_words_where_they_belong(kind: str) -> None:
    data = MAKERS[kind](4)
    read = StillReader(DEFAULT_LIMITS).read(data, "scan", options=ReadOptions(pages=((2, 2), (4, 4))))
    with pypdfium2.PdfDocument(render(read, "pdf", data)) as written:
        texts = [page.get_textpage().get_text_bounded().strip() for page in written]
    assert texts == (["", "a", "", "a"] if kind == "PDF" else ["a", "a"])


def seen(*steps: dict[str, float]) -> NDArray[np.float32]:
    """Log probabilities, a step a character with a blank after each; class 0 is the blank."""
    rows = []
    for step in steps:
        row = np.full(len(LETTERS) + 1, 1e-6)
        row[0] = max(1e-6, 1 - sum(step.values()))
        for character, probability in step.items():
            row[LETTERS.index(character) + 1] = probability
        blank = np.full(len(LETTERS) + 1, 1e-6)
        blank[0] = 1.0
        rows += [row / row.sum(), blank / blank.sum()]
    return np.log(np.array(rows, np.float32))


def best(steps: NDArray[np.float32], name: str) -> str:
    return "".join(character.text for character in decode_within(steps, LETTERS, 0, name))


def test_the_search_is_constrained_to_characters() -> None:
    steps = seen({"O": 0.9, "0": 0.05}, {"l": 0.8, "1": 0.1}, {"S": 0.7, "5": 0.2})
    assert "".join(each.text for each in greedy(steps, LETTERS, 0)) == "OlS"
    assert best(steps, "digits") == "015"
    assert best(steps, "letters") == "OlS"


def test_words_of_other_characters_are_left_out() -> None:
    """An O in a word looks like a 0, but the word is no number."""
    letter = {"O": 0.9, "0": 0.09}
    word = [letter, {"X": 0.98}, {"A": 0.98}, {" ": 0.98}]
    assert best(seen(*word, {"2": 0.98}, letter, {"l": 0.98}), "digits") == "20"
    assert best(seen({"2": 0.98}, {" ": 0.98}, *word, {"4": 0.98}), "digits") == "2 4"
    assert best(seen(*word), "digits") == ""
    assert best(seen({"$": 0.98}, {"2": 0.98}), "digits") == "2"


def test_the_search_is_constrained_to_a_pattern() -> None:
    # The likeliest digits of each place are no date; checking them afterwards would find none.
    steps = seen({"7": 0.6, "1": 0.3}, {"2": 0.9}, {".": 0.9}, {"0": 0.9}, {"7": 0.9}, {",": 0.6, ".": 0.3}, {"2": 0.9},
                 {"4": 0.9})  # fmt: skip
    assert best(steps, "date") == "12.07.24"
    assert best(steps, "digits") != "12.07.24"


def test_what_hardly_looks_like_an_allowed_character_is_doubtful() -> None:
    """As an opening bracket, of which a little looks like a 1."""
    clear, bracket = (decode_within(seen(step, {"5": 0.98}), LETTERS, 0, "digits") for step in
                      ({"l": 0.6, "1": 0.3}, {"S": 0.98, "1": 0.002}))  # fmt: skip
    assert [each.text for each in clear] == [each.text for each in bracket] == ["1", "5"]
    assert clear[0].confidence > 0.8 > 0.3 > bracket[0].confidence
    assert bracket[1].confidence > 0.9


VALID = "DE89370400440532013000"


def test_an_iban_has_its_checksum() -> None:
    def places(text: str) -> list[dict[str, float]]:
        return [{character: 0.98} for character in text]

    charset_steps = places(VALID)
    # The wrong digit is likelier; only the right one makes the sum right.
    charset_steps[7] = {"9": 0.6, "7": 0.3} if VALID[7] == "7" else {"7": 0.6, VALID[7]: 0.3}
    assert best(seen(*charset_steps), "iban") == VALID
    assert best(seen(*places(VALID)), "iban") == VALID


@pytest.mark.parametrize("name", ["date", "amount", "iban"])
def test_a_line_without_a_match_is_empty(name: str) -> None:
    """Not the beginning of a value, which would be taken for one."""
    assert best(seen(*({character: 0.98} for character in "DE8937")), name) == {"amount": "8937"}.get(name, "")


def test_a_value_is_not_made_of_other_words_or_of_what_is_not_there() -> None:
    words = [{"D": 0.9}, {"E": 0.9}, {"A": 0.9}, {"O": 0.9, "0": 0.05}, {" ": 0.98}]
    assert best(seen(*words, {"1": 0.98}, {"4": 0.98}), "amount").strip() == "14"
    assert best(seen(*words), "amount") == ""
    assert best(seen(*({character: 0.98} for character in "1951")), "date") == ""
    assert best(seen({"1": 0.9}, {".": 0.02}, {"9": 0.9}, {".": 0.02}, {"5": 0.9}, {"1": 0.9}), "date") == "1.9.51"


def test_a_line_of_the_sample_is_no_date() -> None:
    """Its date has a month in letters."""
    page = Reader().read(Path(__file__).parents[1] / "samples" / "letter.jpg", charset="date").pages[0]
    assert [line.text for line in page.lines] == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("iban", f"BAD {VALID}", VALID), ("iban", f"{VALID} SEE", VALID), ("date", "OlD 12.07.24", "12.07.24"),
        ("amount", "SO 12,50 l", "12,50"), ("amount", "SO (45.00)", "(45.00)"), ("date", "12.07.24 S.O", "12.07.24"),
    ],
)  # fmt: skip
def test_the_label_of_a_value_is_left_out(name: str, text: str, value: str) -> None:
    assert best(seen(*({character: 0.98} for character in text)), name).strip() == value


def test_a_line_without_an_iban_is_not_in_the_answer() -> None:
    page = Reader().read(Path(__file__).parents[1] / "samples" / "letter.jpg", charset="iban").pages[0]
    assert [line.text for line in page.lines if not fits("iban", line.text)] == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("digits", ["", "12", "1 2"], ["1a", "1.2"]),
        ("letters", ["Anna-Lena d'Or", "é"], ["a1"]),
        ("date", ["1.2.24", "31.12.1999", "1999-12-31", "12/31/99"],
         ["32.1.24", "1.2", "1.2-24", "1..2.24", "1.2.243", "0.1.24", "31.12.1999.", "1999-12-1999"]),
        ("date", ["29.02.2024", "29.2.1700", "2/28/23", "28/2/23", "12.12.12", "1.1.00"],
         ["13.19.51", "13/13/2020", "31.04.2020", "29.02.2023", "1999-13-01", "2023-02-30", "30/2/99"]),
        ("amount", ["5", "1234", "1,234.50", "1.234.567,00", "-12.50", "$ 3.99", "3,99 €", "1234.50", "1,234", "12,-",
                    "12,-- €", "(45.00)", "($45.00)", "$(45.00)", "-$45.00", "$-45.00", "45.00-", "45,00 -",
                    "45.00 CR", "45.00DR", "1.234,50 S", "7,00 H", "1'234.50", "CHF 1’234’567.50", "1 234,50",
                    "12 345 678", "EUR 5", "5 EUR", "–45,00 €", "1 234,50 zł", "99 kr.", "Fr. 12.-", "USD (1,234.50)",
                    "45 €"],
         ["1,23,4", "1.2", "1,234.5", "1234,567", ".50", "1..2", "12,34,567.00", "1,234,56", "5 5",
          "(45.00", "45.00)", "-45.00-", "(-45.00)", "(45.00)-", "-45.00 CR", "$5 €", "EUR 5 USD", "EU 5", "5 EURO",
          "1 23,45", "1 2345", "12345 678", "1'234,567", "1'2", "CR 5", ")5(", "()", "-", "€", "5 (", "1234'567"]),
        ("iban", [VALID, "GB29 NWBK 6016 1331 9268 19", "NL91ABNA0417164300", "XK051212012345678906",
                  "SA03 8000 0000 6080 1016 7519", "IL62 0108 0000 0009 9999 999", "BR1800360305000010009795493C1"],
         [VALID[:-1], VALID[:-1] + "1", "XX89370400440532013000", VALID + "0", "DE8937 0400440532013000"]),
    ],
)  # fmt: skip
def test_patterns_fit_what_they_name(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not fits(name, text)] == []
    assert [text for text in bad if fits(name, text)] == []
    assert name in CHARSETS


def lines(*texts: str) -> tuple[list[Line], list[Block]]:
    outline = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    made = [Line(text, 0.9, outline, outline[2:], (Word(text, 0.9, outline),)) for text in texts]
    return made, [Block("paragraph", tuple(range(len(made))))]


@pytest.mark.parametrize(
    ("texts", "soft"),
    [
        (("the Donau-", "dampfschiff"), (0,)), (("Frau Müller-", "Lüdenscheidt"), ()), (("ALL CAP-", "ITALS"), (0,)),
        (("1914-", "1918"), ()), (("he said -", "and went"), ()), (("end-",), ()), (("a hun¬", "dred"), (0,)),
    ],
)  # fmt: skip
def test_hyphens_at_ends_of_lines_go_by_the_shape_of_the_word(texts: Sequence[str], soft: tuple[int, ...]) -> None:
    assert soft_hyphens(*lines(*texts), None) == soft


@pytest.mark.parametrize(
    ("code", "texts", "soft"),
    [
        ("en", ("it was beau-", "tiful"), (0,)), ("en", ("of the gov-", "ernment of"), (0,)),
        ("en", ("for a twenty-", "five year"), ()), ("de", ("die Gesell-", "schaft"), (0,)),
    ],
)  # fmt: skip
def test_and_by_the_language_model(code: str, texts: Sequence[str], soft: tuple[int, ...]) -> None:
    languages = Languages.load(FOLDER / "language.npz")
    assert soft_hyphens(*lines(*texts), languages.model(languages.given([code]))) == soft


def test_no_hyphen_joins_paragraphs() -> None:
    made, _ = lines("a beau-", "tiful day")
    assert soft_hyphens(made, [Block("paragraph", (0,)), Block("paragraph", (1,))], None) == ()


def test_the_reader_heeds_how_text_is_written() -> None:
    buffer = io.BytesIO()
    Image.new("L", (300, 200), 255).save(buffer, "PNG")
    options = ReadOptions(joined=True, marked=True)
    (page,) = StillReader(DEFAULT_LIMITS).read(buffer.getvalue(), "a", options=options).pages
    assert (page.style.joined, page.style.marked) == (True, True)
    (line,) = page.lines
    words = tuple(replace(word, confidence=0.1) for word in line.words)
    assert replace(page, lines=(replace(line, words=words),)).text == "a[?]"
