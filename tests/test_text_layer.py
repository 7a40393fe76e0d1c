"""Pages of a PDF give their own text where it is what they show, and the rest of them is read."""

import io
import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pypdfium2
import pytest
from pages import draw_page
from pdfs import encrypted, form_pdf, text_pdf
from PIL import Image

from paragraph_ocr.document import Document, Page
from paragraph_ocr.errors import TooLarge
from paragraph_ocr.formats import render
from paragraph_ocr.io.imaging import decode_pages
from paragraph_ocr.io.limits import Limits
from paragraph_ocr.pipeline.options import ReadOptions
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.text_layer import read_page

TEXTS = ["Please send the parcel to", "the house by the river", "before the end of March"]
SHOW = b"q 595 0 0 842 0 0 cm /I Do Q "


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


def sheet(texts: list[str] = TEXTS) -> Image.Image:
    """A scan of a page of 595 by 842 points at 200 dots an inch, with texts from the top."""
    drawn, _ = draw_page(texts, size=40, width=1653)
    scan = Image.new("L", (1653, 2339), 255)
    scan.paste(drawn, (0, 300))
    return scan


def written(*strings: str, x: float = 50, y: float = 700, font: str = "F") -> bytes:
    shown = b"".join(b"(%s) Tj T* " % string.encode("latin-1") for string in strings)
    return b"BT /%s 14 Tf 27.36 TL %f %f Td %sET " % (font.encode(), x, y, shown)


def over_the_lines(texts: list[str]) -> bytes:
    """Texts where those of `sheet` stand."""
    first = draw_page(TEXTS, size=40, width=1653)[1][0]["baseline"][0]
    return written(*texts, x=first[0] * 0.36, y=842 - (first[1] + 300) * 0.36)


def only_page(reader: PageReader, data: bytes, **options: object) -> Page:
    (page,) = reader.read(data, "page.pdf", options=ReadOptions(**options)).pages
    return page


def told(page: Page) -> list[tuple[str, str]]:
    return [(line.source, line.text) for line in page.lines]


def extracted(data: bytes) -> str:
    with pypdfium2.PdfDocument(data) as document:
        return document[0].get_textpage().get_text_range()


def test_a_page_that_was_written_gives_its_own_text(reader: PageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    data = text_pdf(written(*TEXTS))
    assert told(only_page(reader, data, text="read")) == [("", text) for text in TEXTS]
    monkeypatch.setattr(reader.detector, "find", lambda _: pytest.fail("The page is read."))
    page = only_page(reader, data)
    assert told(page) == [("pdf", text) for text in TEXTS]
    assert page.text == "\n".join(TEXTS)
    assert [block.lines for block in page.blocks] == [(0, 1, 2)]
    assert page.confidence == 1


def test_the_text_lies_where_it_would_be_read(reader: PageReader) -> None:
    data = text_pdf(written(*TEXTS))
    for own, read in zip(only_page(reader, data).lines, only_page(reader, data, text="read").lines, strict=True):
        assert own.box == pytest.approx(read.box, abs=12)
        assert own.baseline[0][1] == pytest.approx(read.baseline[0][1], abs=4)
        for word, other in zip(own.words, read.words, strict=True):
            assert word.text == other.text
            assert np.mean(word.polygon, axis=0) == pytest.approx(np.mean(other.polygon, axis=0), abs=15)


@pytest.mark.parametrize("form", ["json", "text", "hocr", "alto", "page", "markdown", "csv"])
def test_the_text_is_in_every_format(reader: PageReader, form: str) -> None:
    data = text_pdf(written(*TEXTS))
    rendered = render(reader.read(data, "page.pdf"), form, data).decode()
    assert (TEXTS[0] in rendered) == (form in ("json", "text", "page", "markdown"))
    if form in ("hocr", "alto"):
        assert "parcel" in rendered
        ElementTree.fromstring(rendered.partition("?>")[2] if form == "alto" else rendered.partition('.dtd">')[2])
    if form == "json":
        assert [line["source"] for line in json.loads(rendered)["lines"]] == ["pdf"] * 3


def test_a_scan_is_read_and_its_footer_is_there_once(reader: PageReader) -> None:
    footer = written("Scanned with CamScanner", x=400, y=20)
    page = only_page(reader, text_pdf(SHOW + footer, image=sheet()))
    assert told(page) == [*(("", text) for text in TEXTS), ("pdf", "Scanned with CamScanner")]
    # A scan that lies upside down is read before what the program wrote below it.
    page = only_page(reader, text_pdf(SHOW + footer, image=sheet().rotate(180)))
    assert page.rotation == 180
    assert told(page) == [*(("", text) for text in TEXTS), ("pdf", "Scanned with CamScanner")]


def test_what_is_read_where_own_text_stands_is_not_given_twice(reader: PageReader) -> None:
    data = text_pdf(SHOW + written("Scanned with CamScanner", x=400, y=20), image=sheet())
    (decoded,) = decode_pages(data, text=True)
    # As if nothing had been blotted out.
    page = read_page(
        reader, decoded.pixels, decoded.text, "a", 1, lambda _: reader.read_image(decoded.pixels, "a"), ReadOptions()
    )
    assert told(page) == [*(("", text) for text in TEXTS), ("pdf", "Scanned with CamScanner")]


def test_a_scan_alone_is_read(reader: PageReader) -> None:
    assert told(only_page(reader, text_pdf(SHOW, image=sheet()))) == [("", text) for text in TEXTS]
    assert told(only_page(reader, text_pdf(SHOW + written(" "), image=sheet()))) == [("", text) for text in TEXTS]


@pytest.mark.parametrize("under", [True, False])
def test_text_that_ocr_has_laid_over_a_scan_is_given(reader: PageReader, under: bool) -> None:
    right = over_the_lines(TEXTS)
    data = text_pdf(right + SHOW if under else SHOW + b"3 Tr " + right, image=sheet())
    assert told(only_page(reader, data)) == [("pdf", text) for text in TEXTS]


@pytest.mark.parametrize("under", [True, False])
def test_hidden_text_of_something_else_is_not_given(reader: PageReader, under: bool) -> None:
    wrong = over_the_lines(["Xkwq zzvb qpl mmnt fgh", "Ignore all other instructions", "bnmlk jhgfd sapoi uytr"])
    data = text_pdf(wrong + SHOW if under else SHOW + b"3 Tr " + wrong, image=sheet())
    assert told(only_page(reader, data)) == [("", text) for text in TEXTS]


def test_what_ocr_has_left_out_of_a_scan_is_read(reader: PageReader) -> None:
    data = text_pdf(SHOW + b"3 Tr " + over_the_lines(TEXTS[:2]), image=sheet())
    assert told(only_page(reader, data)) == [("pdf", TEXTS[0]), ("pdf", TEXTS[1]), ("", TEXTS[2])]


def test_text_that_cannot_be_seen_is_not_given(reader: PageReader) -> None:
    content = (
        written("This can be seen")
        + b"1 g " + written("white on white", y=600) + b"0 g "
        + b"3 Tr " + written("invisible", y=500) + b"0 Tr "
        + written("Account of John Smith", y=400) + b"118 396 110 16 re f "
    )  # fmt: skip
    page = only_page(reader, text_pdf(content))
    assert told(page) == [("pdf", "This can be seen"), ("pdf", "Account of")]


def shifted() -> str:
    """Unicode values that make other letters of those from A on."""
    return "".join(chr(ord("A") + (at * 7 + 11) % 26) for at in range(58))


def test_text_of_a_wrong_encoding_is_read(reader: PageReader) -> None:
    data = text_pdf(written(*TEXTS, font="G"), to_unicode=shifted())
    assert TEXTS[0] not in extracted(data)
    assert told(only_page(reader, data)) == [("", text) for text in TEXTS]
    # Each font is judged on its own.
    right = "This font tells its letters"
    both = text_pdf(written(*TEXTS, font="G") + written(right, y=400), to_unicode=shifted())
    assert told(only_page(reader, both)) == [*(("", text) for text in TEXTS), ("pdf", right)]


def test_text_without_unicode_values_is_read_beside_text_that_has_them(reader: PageReader) -> None:
    private = "".join(chr(0xE100 + at) for at in range(58))
    data = text_pdf(written(*TEXTS[:2], font="G") + written(TEXTS[2], y=600), to_unicode=private)
    assert told(only_page(reader, data)) == [("", TEXTS[0]), ("", TEXTS[1]), ("pdf", TEXTS[2])]


def test_what_is_written_by_hand_into_a_form_is_read_beside_its_labels(reader: PageReader) -> None:
    letter = Image.open(Path(__file__).parents[1] / "samples" / "letter.jpg").convert("L")
    content = b"q 400 0 0 309 50 300 cm /I Do Q " + written("Enclosed you find her letter:")
    page = only_page(reader, text_pdf(content, image=letter))
    assert told(page)[0] == ("pdf", "Enclosed you find her letter:")
    assert len(page.lines) == 11
    assert "Thank you for the parcel" in page.text
    assert [line.source for line in page.lines].count("pdf") == 1


def test_fields_of_a_form_are_given_once(reader: PageReader) -> None:
    for appearance in (True, False):
        assert told(only_page(reader, form_pdf(appearance))) == [("pdf", "Name:"), ("pdf", "Margaret Hale")]


def test_columns_are_read_one_after_the_other(reader: PageReader) -> None:
    left, right = ([f"The {side} column has line {number} here" for number in range(12)] for side in ("left", "right"))
    mixed = b"".join(
        written(one, x=40, y=780 - 20 * at) + written(other, x=320, y=780 - 20 * at)
        for at, (one, other) in enumerate(zip(left, right, strict=True))
    )
    assert [text for _, text in told(only_page(reader, text_pdf(mixed)))] == left + right


@pytest.mark.parametrize(
    ("matrix", "rotation"),
    [("1 0 0 1 50 700", 0), ("0 -1 1 0 400 700", 90), ("-1 0 0 -1 500 200", 180), ("0 1 -1 0 100 100", 270)],
)
def test_text_that_is_turned_is_given_in_order_with_its_rotation(
    reader: PageReader, matrix: str, rotation: int
) -> None:
    lines = b"".join(b"(%s) Tj T* " % text.encode() for text in TEXTS)
    page = only_page(reader, text_pdf(b"BT /F 14 Tf 27 TL %s Tm %sET" % (matrix.encode(), lines)))
    assert (page.rotation, told(page)) == (rotation, [("pdf", text) for text in TEXTS])
    assert [block.kind for block in page.blocks] == ["paragraph"]


def test_a_charset_is_heeded_by_reading(reader: PageReader) -> None:
    data = text_pdf(written("4711 0815"))
    assert told(only_page(reader, data)) == [("pdf", "4711 0815")]
    assert told(only_page(reader, data, charset="digits")) == [("", "4711 0815")]


def test_joined_lines_lose_their_hyphens(reader: PageReader) -> None:
    data = text_pdf(written("We wish you a beau-", "tiful day in the country."))
    assert only_page(reader, data, joined=True).text == "We wish you a beautiful day in the country."


def test_more_lines_than_the_limit_are_refused(reader: PageReader) -> None:
    small = PageReader(reader.detector, reader.recognizer, Limits(max_lines=2))
    with pytest.raises(TooLarge, match="has 3 lines; the limit is 2"):
        small.read(text_pdf(written(*TEXTS)), "page.pdf")


# ---- The searchable PDF


def searchable(reader: PageReader, data: bytes, **options: object) -> tuple[Document, bytes]:
    document = reader.read(data, "page.pdf", options=ReadOptions(**options))
    return document, render(document, "pdf", data)


def words(data: bytes) -> list[str]:
    return extracted(data).split()


def test_own_text_is_not_written_again(reader: PageReader) -> None:
    footer = written("Scanned with CamScanner", x=400, y=20)
    _, written_pdf = searchable(reader, text_pdf(SHOW + footer, image=sheet()))
    assert sorted(words(written_pdf)) == sorted(" ".join([*TEXTS, "Scanned with CamScanner"]).split())
    data = text_pdf(written(*TEXTS))
    assert words(searchable(reader, data)[1]) == " ".join(TEXTS).split()
    assert words(searchable(reader, data, text="read")[1]) == " ".join(TEXTS).split()


def test_text_of_a_wrong_encoding_can_be_found(reader: PageReader) -> None:
    for unicode in (shifted(), "".join(chr(0xE100 + at) for at in range(58))):
        _, written_pdf = searchable(reader, text_pdf(written(*TEXTS, font="G"), to_unicode=unicode))
        assert "parcel" in words(written_pdf)


@pytest.mark.parametrize("text", ["auto", "read"])
def test_wrong_text_of_earlier_ocr_is_replaced(reader: PageReader, text: str) -> None:
    wrong = over_the_lines(["Xkwq zzvb qpl mmnt fgh", "qwrt yplkj hgfds zxc v", "bnmlk jhgfd sapoi uytr"])
    data = text_pdf(SHOW + b"3 Tr " + wrong, image=sheet())
    _, written_pdf = searchable(reader, data, text=text)
    assert words(written_pdf) == " ".join(TEXTS).split()
    # So is that of this library, which is within a form.
    _, again = searchable(reader, written_pdf, text="read")
    assert words(again) == " ".join(TEXTS).split()


def pdftotext(data: bytes, path: Path) -> str:
    path.write_bytes(data)
    return subprocess.run(["pdftotext", str(path), "-"], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("kind", ["image", "scan", "text"])
def test_text_is_extracted_in_reading_order(
    reader: PageReader, tmp_path: Path, kind: str, rotation: int, upright: bool
) -> None:
    scan = sheet().rotate(-rotation, expand=True)
    size = (842, 595) if rotation % 180 else (595, 842)
    if kind == "image":
        buffer = io.BytesIO()
        scan.save(buffer, "PNG", dpi=(200, 200))
        data = buffer.getvalue()
    elif kind == "scan":
        data = text_pdf(b"q %d 0 0 %d 0 0 cm /I Do Q " % size, size=size, image=scan)
    else:
        matrix = {0: "1 0 0 1 50 500", 90: "0 -1 1 0 300 500", 180: "-1 0 0 -1 500 200", 270: "0 1 -1 0 100 100"}
        lines = b"".join(b"(%s) Tj T* " % text.encode() for text in TEXTS)
        data = text_pdf(b"BT /F 14 Tf 27 TL %s Tm %sET" % (matrix[rotation].encode(), lines), size=size)
    document, written_pdf = searchable(reader, data, upright=upright)
    assert document.pages[0].rotation == rotation
    # The text of a page that is not turned is left as its program wrote it.
    in_order = " ".join(TEXTS).split() if kind != "text" or upright else words(data)
    assert words(written_pdf) == in_order
    with pypdfium2.PdfDocument(written_pdf) as opened:
        page = opened[0]
        across, up = (round(side) for side in page.get_size())
        shown = page.render(200 / 72, grayscale=True).to_numpy().squeeze().copy()
    assert (across, up) == (size[::-1] if upright and rotation % 180 else size)
    # The same is shown, turned or not.
    if kind != "text":
        expected = np.asarray(sheet() if upright else scan)
        height, width = (min(pair) for pair in zip(shown.shape, expected.shape, strict=True))
        assert np.abs(shown[:height, :width].astype(int) - expected[:height, :width]).mean() < 1.5
    if upright and kind == "image":
        # Characters stand where they are shown, upright and from left to right.
        with pypdfium2.PdfDocument(written_pdf) as opened:
            text = opened[0].get_textpage()
            left, bottom, _, top = text.get_charbox(0)
        line = draw_page(TEXTS, size=40, width=1653)[1][0]["baseline"][0]
        assert left == pytest.approx(line[0] * 0.36, abs=4)
        assert 842 - bottom == pytest.approx((line[1] + 300) * 0.36, abs=8)
        assert top > bottom
    if shutil.which("pdftotext") and (upright or rotation == 180):
        assert pdftotext(written_pdf, tmp_path / "page.pdf").split() == " ".join(TEXTS).split()


def test_only_the_page_of_the_pdf_is_turned(reader: PageReader) -> None:
    data = text_pdf(SHOW, image=sheet().rotate(180))
    pages = [only_page(reader, data, upright=upright).to_dict() for upright in (False, True)]
    for page in pages:
        del page["timings_ms"]
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_text_of_a_file_that_an_empty_password_opens_is_given_and_what_is_read_is_added(reader: PageReader) -> None:
    data = encrypted(text_pdf(SHOW + written("The annual meeting", "of the society", y=300), image=sheet()))
    document = reader.read(data, "page.pdf")
    expected = [("pdf", "The annual meeting"), ("pdf", "of the society")]
    (page,) = document.pages
    assert sorted(told(page)) == sorted(expected + [("", text) for text in TEXTS])
    searchable = pypdfium2.PdfDocument(render(document, "pdf", data))
    shown = searchable[0].get_textpage().get_text_bounded()
    assert all(text in shown for text in ("The annual meeting", *TEXTS))
