"""PDFs are rendered as they are seen, and what they must not do to the process that asks is kept from it."""

import resource
import sys
import time
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from pdfs import make_pdf, page_object

from paragraph_ocr.errors import BrokenImage, DeadlineExceeded, TooLarge
from paragraph_ocr.io import confined, imaging, pdfium
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.io.pdf_writer import TextLayer

# A black square in the upper left of a page of 144 x 72 points.
SQUARE = b"0 52 20 20 re f"


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> list[np.ndarray]:
    return list(imaging.decode(data, limits))


def test_renders_every_page_at_200_dots_an_inch() -> None:
    pages = decode(make_pdf([page_object(144, 72, SQUARE), page_object(72, 36)]))
    assert [page.shape for page in pages] == [(200, 400), (100, 200)]
    assert all(page.dtype == np.uint8 and page.flags.c_contiguous for page in pages)
    assert pages[0][:55, :55].max() == 0
    assert pages[0][:, 57:].min() == 255
    assert pages[1].min() == 255


@pytest.mark.parametrize(
    ("entries", "shape", "corner"),
    [(b"/Rotate 90", (400, 200), np.s_[:55, -55:]), (b"/Rotate 180", (200, 400), np.s_[-55:, -55:]),
     (b"/CropBox[0 36 72 72]", (100, 200), np.s_[:55, :55])],
)  # fmt: skip
def test_renders_pages_as_they_are_seen(entries: bytes, shape: tuple[int, int], corner: tuple[slice, slice]) -> None:
    (page,) = decode(make_pdf([page_object(144, 72, SQUARE, entries)]))
    assert page.shape == shape
    assert page[corner].max() == 0


def test_a_header_may_stand_after_junk() -> None:
    (page,) = decode(b"\r\n" * 100 + make_pdf([page_object(72, 72)]))
    assert page.shape == (200, 200)


def test_renders_large_pages_with_fewer_dots() -> None:
    limits = Limits(max_pixels=1_000_000)
    (page,) = decode(make_pdf([page_object(900, 900)]), limits)
    assert 990_000 < page.size <= 1_000_000


@pytest.mark.parametrize("sides", [(1001, 1000), (14400, 14400), (1e30, 1e30), (1, 2_000_000)])
def test_refuses_huge_pages_before_rendering_any(sides: tuple[float, float]) -> None:
    data = make_pdf([page_object(72, 72), page_object(*sides)])
    with pytest.raises(TooLarge, match="points"):
        imaging.decode(data, Limits(max_pixels=1_000_000))


def test_counts_pages_without_rendering_any() -> None:
    assert imaging.count_pages(make_pdf([page_object(72, 72)] * 7), Limits(max_pages=7)) == 7
    with pytest.raises(TooLarge, match="limit is 6"):
        imaging.count_pages(make_pdf([page_object(72, 72)] * 7), Limits(max_pages=6))
    with pytest.raises(BrokenImage):
        imaging.count_pages(b"%PDF-1.7\n", Limits())


def test_refuses_too_many_pages_before_rendering_any() -> None:
    # Rendering the first would fail for another reason.
    data = make_pdf([BOMB, *[page_object(72, 72)] * 39])
    with pytest.raises(TooLarge, match="40 pages; the limit is 39"):
        imaging.decode(data, Limits(max_pages=39))


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", make_pdf([])[:-60], make_pdf([page_object(72, 72)])[:90], make_pdf([])]
)
def test_refuses_broken_files_and_files_without_pages(data: bytes) -> None:
    with pytest.raises(BrokenImage, match="PDF"):
        imaging.decode(data)


def test_asks_for_a_file_without_a_password() -> None:
    encryption = b"/Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>" % (b"00" * 32, b"00" * 32)
    data = make_pdf([page_object(72, 72)], trailer=b"/Encrypt<<" + encryption + b">>/ID[<00><00>]")
    with pytest.raises(BrokenImage, match="password"):
        imaging.decode(data)


def deflated(unit: bytes, times: int) -> bytes:
    compressor = zlib.compressobj(9)
    return b"".join(compressor.compress(unit * 65536) for _ in range(times)) + compressor.flush()


BOMB = page_object(72, 72, deflated(b"0 0 m 9 9 l S\n", 60), content_entries=b"/Filter/FlateDecode")


def test_a_bomb_takes_no_time_and_none_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with monkeypatch.context() as patch:
        patch.setattr(pdfium, "PAGE_SECONDS", 2.0)
        # A fast processor fills the memory of the process first.
        with pytest.raises((DeadlineExceeded, TooLarge), match=r"longer than 2 seconds|too much memory"):
            decode(make_pdf([BOMB]))
    assert time.perf_counter() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert len(decode(make_pdf([page_object(72, 72)]))) == 1


def test_pages_before_the_first_are_not_rendered() -> None:
    (only,) = imaging.decode(make_pdf([BOMB, page_object(72, 36)]), Limits(max_seconds=60.0), first=2)
    assert only.shape == (100, 200)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit is not kept")
def test_the_process_gets_little_memory() -> None:
    with pytest.raises(TooLarge, match="memory"):
        decode(make_pdf([page_object(12_000, 12_000)]), Limits(max_pixels=2_000_000_000))


def test_the_process_is_ended_with_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Recorded(confined.subprocess.Popen):
        def __init__(self, *arguments: Sequence[str], **options: object) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(confined.subprocess, "Popen", Recorded)
    pages = imaging.decode(make_pdf([page_object(72, 72), BOMB]))
    next(pages)
    assert started[0].poll() is None
    start = time.perf_counter()
    del pages
    assert started[0].poll() is not None
    assert time.perf_counter() - start < 15


def test_the_process_knows_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def refuse(command: Sequence[str], env: dict[str, str], **_: object) -> None:
        seen.update(env)
        raise ChildProcessError

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(confined.subprocess, "Popen", refuse)
    with pytest.raises(ChildProcessError):
        imaging.decode(make_pdf([page_object(72, 72)]))
    assert seen.keys() <= {"PYTHONPATH", "PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "MALLOC_ARENA_MAX"}


def test_a_message_that_is_cut_short_is_no_message() -> None:
    sent = BytesIO()
    confined._write(sent, {"width": 2}, b"pixels")
    assert confined._read(BytesIO(sent.getvalue())) == ({"width": 2}, b"pixels")
    for length in (0, 5, len(sent.getvalue()) - 1):
        with pytest.raises(EOFError):
            confined._read(BytesIO(sent.getvalue()[:length]))


def test_modules_of_the_working_directory_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ctypes.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert len(decode(make_pdf([page_object(72, 72)]))) == 1


def layer(width: int, height: int, *words: tuple[float, float, str]) -> TextLayer:
    """Words 20 pixels wide and 16 high, with their middle at x, y."""
    operators = [
        (x, y, f"{40 / len(word)} 0 0 -16 {x - 10} {y + 4} Tm<{word.encode('utf-16-be').hex()}>Tj")
        for x, y, word in words
    ]
    return TextLayer(width, height, operators)


def overlay(data: bytes, layers: Sequence[TextLayer], seconds: float = 60.0) -> bytes:
    with imaging.Source(data) as source:
        return source.pdf(DEFAULT_LIMITS).overlay(layers, time.perf_counter() + seconds)


def boxes(data: bytes) -> list[tuple[str, tuple[float, ...]]]:
    with pypdfium2.PdfDocument(data) as document:
        text = document[0].get_textpage()
        found = [(text.get_text_range(index, 1), text.get_charbox(index)) for index in range(text.count_chars())]
        text.close()
    return [(character, box) for character, box in found if character.strip()]


@pytest.mark.parametrize(
    ("entries", "pixel"),
    # The same place on the paper, wherever it is seen: 0.36 points a pixel, 3.6 points a character, 5.76 points high.
    [(b"", (160, 28)), (b"/Rotate 90", (172, 160)), (b"/Rotate 270", (28, 240)),
     (b"/Rotate 180", (240, 172)), (b"/CropBox[36 0 144 72]", (60, 28))],
)  # fmt: skip
def test_words_lie_where_they_are_seen(entries: bytes, pixel: tuple[int, int]) -> None:
    data = make_pdf([page_object(144, 72, SQUARE, entries)])
    (page,) = decode(data)
    height, width = page.shape
    written = overlay(data, [layer(width, height, (*pixel, "xy"))])
    (first, (left, bottom, right, top)), (second, (left2, bottom2, right2, top2)) = boxes(written)
    assert first + second == "xy"
    assert (min(left, left2) + max(right, right2)) / 2 == pytest.approx(160 * 0.36, abs=0.3)
    assert (min(bottom, bottom2) + max(top, top2)) / 2 == pytest.approx(72 - 28 * 0.36, abs=0.3)
    turned = entries in (b"/Rotate 90", b"/Rotate 270")
    assert right - left == pytest.approx(5.76 if turned else 3.6, abs=0.1)
    assert top - bottom == pytest.approx(3.6 if turned else 5.76, abs=0.1)
    np.testing.assert_array_equal(decode(written)[0], page)


@pytest.mark.parametrize("content", [b"2 0 0 2 9 9 cm", b"7 Tc 50 Tz 9 Ts 5 Tw", b"q q", b"Q Q", b"BT"])
def test_what_a_page_leaves_behind_does_not_move_the_words(content: bytes) -> None:
    expected = overlay(make_pdf([page_object(144, 72)]), [layer(400, 200, (160, 28, "xy"))])
    written = overlay(make_pdf([page_object(144, 72, content)]), [layer(400, 200, (160, 28, "xy"))])
    for (one, box), (other, other_box) in zip(boxes(expected), boxes(written), strict=True):
        assert one == other
        np.testing.assert_allclose(box, other_box, atol=0.1)


def test_words_that_are_there_are_not_written_again() -> None:
    data = make_pdf([page_object(144, 72)])
    once = overlay(data, [layer(400, 200, (160, 28, "xy"))])
    twice = overlay(once, [layer(400, 200, (160, 28, "xy"), (260, 128, "z"))])
    assert "".join(character for character, _ in boxes(twice)) == "xyz"


def test_the_rest_of_the_file_is_kept() -> None:
    data = make_pdf([page_object(144, 72, SQUARE)], catalogue=b"/PageLabels<</Nums[0<</P(Folio)>>]>>")
    with pypdfium2.PdfDocument(overlay(data, [layer(400, 200)])) as document:
        assert document.get_page_label(0) == "Folio"
