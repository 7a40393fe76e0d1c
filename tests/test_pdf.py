"""A searchable PDF shows the file as it was sent, and has each word's text where the word is seen."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pypdfium2
import pytest
from pdfs import make_pdf, page_object
from PIL import Image
from pypdfium2 import raw

from paragraph_ocr.document import Document, Line, Page, Points, Word
from paragraph_ocr.formats import render
from paragraph_ocr.io import imaging
from paragraph_ocr.io.limits import DEFAULT_LIMITS

CHARSET = (Path(__file__).parents[1] / "training" / "charset.txt").read_text(encoding="utf-8").removesuffix("\n")
CHARACTERS = CHARSET.replace(" ", "")

pillow_heif.register_heif_opener()


def searchable(document: Document, data: bytes) -> bytes:
    """What was read as a PDF."""
    return render(document, "pdf", data)


def quadrilateral(x: float, y: float, width: float, height: float, slope: float = 0.0) -> Points:
    """A parallelogram with upright sides from its upper left corner on."""
    return (x, y), (x + width, y + slope * width), (x + width, y + slope * width + height), (x, y + height)


def written_on(*pages: tuple[int, int, list[list[Word]]]) -> Document:
    made = []
    for number, (width, height, rows) in enumerate(pages, 1):
        lines = [Line(" ".join(word.text for word in row), 1.0, row[0].polygon, (), tuple(row)) for row in rows]
        made.append(Page("scan", number, width, height, 0, tuple(lines), {}, {}))
    return Document("scan", tuple(made))


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def sheet() -> np.ndarray:
    """Uint8 (H, W, 3) with a colour in each corner."""
    pixels = np.full((60, 90, 3), 255, np.uint8)
    pixels[:20, :30] = (200, 0, 0)
    pixels[:20, -30:] = (0, 160, 0)
    pixels[-20:, :30] = (0, 0, 210)
    return pixels


def shown(pdf: bytes, index: int = 0, width: int = 90) -> np.ndarray:
    """The page as it is seen, uint8 (H, W, 3)."""
    with pypdfium2.PdfDocument(pdf) as document:
        page = document[index]
        pixels = page.render(width / page.get_width(), rev_byteorder=True).to_numpy().copy()
        page.close()
    return pixels


def characters(pdf: bytes, index: int = 0) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Each character and its box: left, top, right, bottom, in points from the upper left."""
    with pypdfium2.PdfDocument(pdf) as document:
        page = document[index]
        height = page.get_height()
        text = page.get_textpage()
        found = []
        for at in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(at)
            found.append((text.get_text_range(at, 1), (left, height - top, right, height - bottom)))
        text.close()
        page.close()
    return found


def extracted(pdf: bytes, index: int = 0) -> list[str]:
    with pypdfium2.PdfDocument(pdf) as document:
        text = document[index].get_textpage()
        lines = text.get_text_range().split("\r\n")
        text.close()
    return lines


def test_every_character_of_the_charset_can_be_copied() -> None:
    pieces = [CHARACTERS[at : at + 8] for at in range(0, len(CHARACTERS), 8)]
    rows = [
        [Word(piece, 1.0, quadrilateral(20 + 150 * place, 20 + 50 * row, 140, 40)) for place, piece in enumerate(part)]
        for row, part in enumerate([pieces[at : at + 4] for at in range(0, len(pieces), 4)])
    ]
    pdf = searchable(written_on((640, 400, rows)), encode(Image.new("L", (640, 400), 255), "PNG"))
    assert extracted(pdf) == [" ".join(word.text for word in row) for row in rows]
    assert {character for character, _ in characters(pdf)} >= set(CHARSET)


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.25])
@pytest.mark.parametrize("text", ["i", "Orléans", "£14"])
def test_a_words_text_fills_its_polygon(text: str, slope: float) -> None:
    polygon = quadrilateral(200, 180, 150, 40, slope)
    pdf = searchable(written_on((720, 400, [[Word(text, 1.0, polygon)]])), encode(Image.new("1", (720, 400)), "PNG"))
    scale = 72 / 200
    found = characters(pdf)
    assert "".join(character for character, _ in found) == text
    for at, (_, (left, top, right, bottom)) in enumerate(found):
        start, end = (200 + 150 * (at + more) / len(text) for more in (0, 1))
        rise = sorted((slope * (start - 200), slope * (end - 200)))
        assert (left, right) == pytest.approx((start * scale, end * scale), abs=0.3)
        assert top == pytest.approx((180 + rise[0]) * scale, abs=0.3)
        assert bottom == pytest.approx((220 + rise[1]) * scale, abs=0.3)


def test_the_text_slopes_with_the_word() -> None:
    polygon = quadrilateral(100, 100, 200, 40, slope=0.25)
    pdf = searchable(written_on((400, 300, [[Word("slope", 1.0, polygon)]])), encode(Image.new("1", (400, 300)), "PNG"))
    (_, (_, first, _, _)), *_, (_, (_, last, _, _)) = characters(pdf)
    assert last - first == pytest.approx(0.25 * 160 * 72 / 200, abs=0.3)


def test_lines_and_words_are_told_apart() -> None:
    # The polygons of neighbours touch, as those of words that are written closely do.
    rows = [
        [Word("one", 1.0, quadrilateral(10, 10, 60, 30)), Word("two", 1.0, quadrilateral(70, 10, 60, 30))],
        [Word("three", 1.0, quadrilateral(10, 40, 90, 30)), Word("four", 1.0, quadrilateral(110, 40, 60, 30))],
    ]
    pdf = searchable(written_on((200, 100, rows)), encode(Image.new("1", (200, 100)), "PNG"))
    assert extracted(pdf) == ["one two", "three four"]


def test_the_text_is_not_seen() -> None:
    data = encode(Image.fromarray(sheet()), "PNG")
    words = [[Word("XXXX", 1.0, quadrilateral(5, 5, 80, 50))]]
    pdf = searchable(written_on((90, 60, words)), data)
    np.testing.assert_array_equal(shown(pdf), sheet())
    with pypdfium2.PdfDocument(pdf) as document:
        (text,) = document[0].get_objects([raw.FPDF_PAGEOBJ_TEXT])
        assert raw.FPDFTextObj_GetTextRenderMode(text) == raw.FPDF_TEXTRENDERMODE_INVISIBLE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_an_image_is_shown_upright(form: str, orientation: int) -> None:
    turns = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
             6: np.rot90, 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: lambda a: np.rot90(a, -1)}  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(turns[orientation](sheet()))
    data = encode(Image.fromarray(stored), form, exif=exif)
    pdf = searchable(written_on((90, 60, [])), data)
    assert np.abs(shown(pdf).astype(int) - sheet()).mean() < 6


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_is_in_it_byte_for_byte(mode: str) -> None:
    data = encode(Image.fromarray(sheet()).convert(mode), "JPEG", quality=95)
    pdf = searchable(written_on((90, 60, [])), data)
    assert data in pdf
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    # CMYK has no one way to RGB.
    assert np.abs(shown(pdf).astype(int) - expected).mean() < (25 if mode == "CMYK" else 2)


@pytest.mark.parametrize(
    ("mode", "form"),
    [("1", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGB", "PNG"), ("RGB", "BMP"), ("P", "GIF"), ("1", "TIFF"),
     ("CMYK", "TIFF")],
)  # fmt: skip
def test_other_images_lose_nothing(mode: str, form: str) -> None:
    image = Image.fromarray(sheet()).convert(mode)
    pdf = searchable(written_on((90, 60, [])), encode(image, form))
    np.testing.assert_array_equal(shown(pdf), np.asarray(image.convert("RGB")))


def test_the_pixels_of_a_plain_png_are_in_it_as_they_were_sent() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    data = encode(Image.fromarray(noise), "PNG")
    start = data.index(b"IDAT") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big")
    assert data[start : start + length] in searchable(written_on((90, 60, [])), data)


@pytest.mark.parametrize("form", ["WEBP", "HEIF", "AVIF"])
def test_images_that_lost_something_stay_small(form: str) -> None:
    pdf = searchable(written_on((90, 60, [])), encode(Image.fromarray(sheet()), form))
    assert np.abs(shown(pdf).astype(int) - sheet()).mean() < 8
    assert b"/DCTDecode" in pdf


def test_sixteen_bits_and_transparency_are_shown_as_they_are_read() -> None:
    deep = np.full((20, 30), 30_000, np.uint16)
    deep[:, 15:] = 65_535
    for form in ("PNG", "TIFF"):
        pixels = shown(searchable(written_on((30, 20, [])), encode(Image.fromarray(deep), form)), width=30)
        assert (np.abs(pixels[:, :14].astype(int) - 117) <= 1).all()
        assert (pixels[:, 16:] == 255).all()
    clear = encode(Image.new("RGBA", (30, 20), (0, 0, 0, 0)), "PNG")
    assert (shown(searchable(written_on((30, 20, [])), clear), width=30) == 255).all()


def test_every_page_of_a_tiff_is_shown_with_its_text() -> None:
    images = [Image.new("L", (90, 60), 255), Image.new("RGB", (60, 90), "red")]
    data = encode(images[0], "TIFF", save_all=True, append_images=images[1:], dpi=(300, 300))
    word = Word("word", 1.0, quadrilateral(10, 10, 40, 20))
    pdf = searchable(written_on((90, 60, [[word]]), (60, 90, [[word, word]])), data)
    with pypdfium2.PdfDocument(pdf) as document:
        assert [document.get_page_size(index) for index in (0, 1)] == [
            pytest.approx((90 * 72 / 300, 60 * 72 / 300)),
            pytest.approx((60 * 72 / 300, 90 * 72 / 300)),
        ]
        assert document.get_metadata_value("Title") == "scan"
    assert extracted(pdf, 0) == ["word"]
    assert (shown(pdf, 1, 60) == (255, 0, 0)).all()


def test_whatever_was_read_is_shown() -> None:
    pages = [Image.new("1", (2, 1))] * (DEFAULT_LIMITS.max_pages + 1)
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pypdfium2.PdfDocument(searchable(written_on(*[(2, 1, [])] * len(pages)), data)) as document:
        assert len(document) == len(pages)
    large = Image.new("1", (9000, 9000))
    assert large.width * large.height > DEFAULT_LIMITS.max_pixels
    assert shown(searchable(written_on((9000, 9000, [])), encode(large, "TIFF", compression="group4"))).max() == 0
    lightness = Image.new("LAB", (30, 20), (90, 128, 128))
    assert (shown(searchable(written_on((30, 20, [])), encode(lightness, "TIFF")), width=30) == 90).all()


@pytest.mark.parametrize("options", [{}, {"dpi": (0, 0)}, {"dpi": (72, 72)}, {"dpi": (1e6, 1e6)}])
def test_an_image_without_a_likely_size_has_200_dots_an_inch(options: dict[str, Any]) -> None:
    image = Image.new("L", (200, 100))
    pdf = searchable(written_on((200, 100, [])), encode(image, "PNG", **options))
    with pypdfium2.PdfDocument(pdf) as document:
        assert document.get_page_size(0) == pytest.approx((72, 36))


def test_pages_are_no_longer_than_pdf_allows() -> None:
    pdf = searchable(written_on((60_000, 3, [])), encode(Image.new("1", (60_000, 3)), "PNG"))
    with pypdfium2.PdfDocument(pdf) as document:
        assert document.get_page_size(0) == pytest.approx((14_400, 0.72), abs=0.01)


def test_a_pdf_is_kept_and_its_words_lie_where_they_were_read() -> None:
    data = make_pdf([page_object(144, 72, b"0 52 20 20 re f", b"/Rotate 90"), page_object(144, 72)])
    sizes = [pixels.shape for pixels in imaging.decode(data)]
    word = Word("word", 1.0, quadrilateral(50, 100, 80, 40))
    pdf = searchable(written_on(*((width, height, [[word]]) for height, width in sizes)), data)
    for index in (0, 1):
        assert extracted(pdf, index) == ["word"]
        lefts, tops, rights, bottoms = zip(*(box for _, box in characters(pdf, index)), strict=True)
        if index == 1:
            assert (min(lefts), max(rights)) == pytest.approx((50 * 0.36, 130 * 0.36), abs=0.3)
            assert (min(tops), max(bottoms)) == pytest.approx((100 * 0.36, 140 * 0.36), abs=0.3)
    np.testing.assert_array_equal(shown(pdf), shown(data))


def test_writing_the_same_again_gives_the_same_bytes() -> None:
    data = encode(Image.fromarray(sheet()), "PNG")
    document = written_on((90, 60, [[Word("word", 1.0, quadrilateral(10, 10, 40, 20))]]))
    assert searchable(document, data) == searchable(document, data)


def test_the_font_is_as_truetype_has_it() -> None:
    from fontTools.ttLib import TTFont

    pdf = searchable(written_on((90, 60, [])), encode(Image.new("1", (90, 60)), "PNG"))
    start = pdf.index(b"stream\n", pdf.index(b"/Length1")) + 7
    font = TTFont(io.BytesIO(pdf[start : pdf.index(b"\nendstream", start)]), checkChecksums=2)
    glyph = font["glyf"][font.getGlyphOrder()[0]]
    assert (font["hmtx"].metrics[font.getGlyphOrder()[0]], glyph.numberOfContours) == ((500, 0), 2)
    assert [tuple(point) for point in glyph.coordinates] == [(0, -250), (500, 750)]
