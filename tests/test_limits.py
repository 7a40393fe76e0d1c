"""Files that were made to take much time or memory are refused early, in the memory and time that the function has."""

import io
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from standins import StillReader

from benchmarks import hostile
from paragraph_ocr.document import Document, Line, Page, Word
from paragraph_ocr.errors import BrokenImage, DeadlineExceeded, OcrError, TooLarge
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.formats.overlay import draw_overlay
from paragraph_ocr.io import confined, decoding_cost, imaging, pdfium, tiff
from paragraph_ocr.io.headers import claimed_pixels, count_jpeg_scans
from paragraph_ocr.io.imaging import Source
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from paragraph_ocr.io.pdf_writer import TextLayer

FUNCTION = Path(imaging.__file__).parents[2]
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limits are not kept")
BOX = ((10.0, 20.0), (110.0, 20.0), (110.0, 50.0), (10.0, 50.0))
CPU_SECONDS = 25
# What a process does that has no more memory than the function, and no more of a processor's time than a request.
SCRIPT = f"""
import re, resource, sys
from paragraph_ocr.io import imaging
from paragraph_ocr.errors import OcrError
resource.setrlimit(resource.RLIMIT_AS, ({hostile.function_megabytes()} * 2**20,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
try:
    pages = list(imaging.decode(sys.stdin.buffer.read()))
    print("pages", *(page.shape for page in pages))
except OcrError as error:
    print(type(error).__name__, error)
# What getrusage tells includes what the parent had before this was started.
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def decoded(data: bytes) -> tuple[str, int]:
    """What comes of a file under the function's limits, and the most megabytes that the process itself had."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], input=data, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    said, megabytes = run.stdout.decode().splitlines()
    return said, int(megabytes)


def named(value: Any) -> str:
    """A short name of a test's parameter: pytest puts it into the environment, which holds no megabytes."""
    return value.func.__name__ if isinstance(value, partial) else str(value)


@ON_LINUX
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (partial(hostile.jpeg_with_hidden_scans, 4802, 500), "TooLarge .* 100 scans"),
        (partial(hostile.jpeg_with_exif, 100_000), "BrokenImage Tag 282 .* 100,000 values"),
        (partial(hostile.jpeg_with_segments, 400_000, b"\xe1", b"Exif\0\0a"), "TooLarge .* 10,000 segments"),
        (partial(hostile.jpeg_with_segments, 20_000, b"\xfe", b"a"), "TooLarge .* 10,000 segments"),
        (partial(hostile.png, 1, 65_536, 1, 0), "TooLarge .* 65,535 on a side"),
        (partial(hostile.png, 65_536, 1, 1, 0), "TooLarge .* 65,535 on a side"),
        (partial(hostile.tiff_with_shared_strips, 10, 6000, 6000), "TooLarge The strips"),
        (partial(hostile.tiff_with_shared_strips_of_a_page, 60_000, 2**20), "TooLarge The strips"),
        (partial(hostile.tiff_with_a_large_tile, 13344), "TooLarge A tile .* 13344 x 13344"),
        (partial(hostile.tiff_with_values, 282, hostile.RATIONAL, 2_000_000), "BrokenImage Tag 282 .* 2,000,000"),
        (partial(hostile.tiff_with_values, 274, hostile.SHORT, 500_000), "BrokenImage Tag 274 .* 500,000"),
        (partial(hostile.tiff_with_values, 33434, hostile.RATIONAL, 500_000), "BrokenImage Tag 33434 .* 500,000"),
        (partial(hostile.bmp, 60, 1, b"\1\1" * 2_200_000), "BrokenImage The BMP has more data"),
        (partial(hostile.bmp, 60, 40, b"\0\0" * 2_200_000), "BrokenImage The BMP has more data"),
    ],
    ids=named,
)
def test_is_refused_before_it_is_decoded(make: Callable[[], bytes], expected: str) -> None:
    said, megabytes = decoded(make())
    assert re.match(expected, said), said
    assert megabytes < 150


def test_scans_are_counted_as_libjpeg_does() -> None:
    assert count_jpeg_scans(hostile.jpeg_with_hidden_scans(40, 64), 100) == 40
    data = encoded(Image.new("L", (64, 64), 40), "JPEG", progressive=True, restart_marker_blocks=1)
    first = data.index(b"\xff\xda")
    # What looks like a segment of 32,767 bytes stands where a restart is due.
    hidden = data[:first] + data[first : first + 10] + b"\x00\xff\x02\x7f\xff" + data[first:]
    # libjpeg takes what follows for the scans that they are.
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(hidden))), 40, atol=2)
    assert count_jpeg_scans(hidden, 100) == 1 + count_jpeg_scans(data, 100)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    return hostile.encoded(image, form, **options)


MODES = [
    ("JPEG", "L", {}), ("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    ("JPEG", "CMYK", {"progressive": True}), ("PNG", "1", {}), ("PNG", "L", {}), ("PNG", "LA", {}), ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}), ("PNG", "P", {}), ("PNG", "P", {"transparency": 0}),
    ("PNG", "RGB", {"transparency": (0, 0, 0)}), ("PNG", "L", {"transparency": 0}),
    ("PNG", "I;16", {}), ("WEBP", "RGB", {}), ("WEBP", "RGBA", {}),
    ("WEBP", "RGB", {"lossless": True}), ("TIFF", "1", {"compression": "group4"}), ("TIFF", "CMYK", {}),
    ("TIFF", "F", {}), ("TIFF", "I", {}), ("TIFF", "LAB", {}), ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}), ("BMP", "RGB", {}), ("GIF", "P", {}), ("AVIF", "RGB", {"speed": 10}),
    ("AVIF", "RGBA", {"speed": 10, "subsampling": "4:4:4"}), ("HEIF", "RGB", {}), ("HEIF", "RGBA", {}),
    ("JPEG2000", "RGB", {}), ("JPEG2000", "RGBA", {}), ("JPEG2000", "L", {"tile_size": (512, 512)}),
]  # fmt: skip
MEASURE = """
import re, sys
import numpy
from paragraph_ocr.io import imaging, tiff
from paragraph_ocr.io.file_format import format_of
from paragraph_ocr.io.grey import to_grey, upright
from paragraph_ocr.io.limits import DEFAULT_LIMITS
from PIL import Image
data = sys.stdin.buffer.read()
name = format_of(data)
if name == "HEIF":
    import pillow_heif
Image.preinit()
plugins = {"WEBP": "WebP", "TIFF": "Tiff", "AVIF": "Avif", "JPEG2000": "Jpeg2K"}
__import__("PIL." + plugins.get(name, "Png") + "ImagePlugin")
def peak(): return int(re.search(r"VmPeak:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
before = peak()
for frame in imaging.frames(data):
    page = upright(frame, to_grey(frame)).tobytes()
print(peak() - before, imaging._plan(data, name, DEFAULT_LIMITS).memory)
"""


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize(("form", "mode", "options"), MODES, ids=str)
def test_the_memory_that_is_counted_is_enough(form: str, mode: str, options: dict[str, Any]) -> None:
    size = (3000, 3000)
    if form == "HEIF":
        from pillow_heif import from_pillow

        buffer = io.BytesIO()
        from_pillow(Image.new(mode, size, 200)).save(buffer)
        data = buffer.getvalue()
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        image = Image.new("I;16", size) if mode == "I;16" else Image.new("L", size, 200)
        image = image if mode == "I;16" else image.convert("RGB").convert(mode) if mode != "I" else image.convert("I")
        more = {"exif": exif} if form in ("JPEG", "PNG", "WEBP", "AVIF") else {}
        data = encoded(image, form, **options, **more)
    run = subprocess.run([sys.executable, "-c", MEASURE], input=data, capture_output=True, check=True)
    taken, counted = map(int, run.stdout.split())
    # Where it is decoded for a file that nobody made so large, the decoder's own threads and heaps count little.
    assert taken < counted - decoding_cost.BASE_MEMORY / 2


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_refuses_what_takes_more_memory_than_there_is(form: str) -> None:
    data = encoded(Image.new("RGB", (2000, 2000)), form)
    assert len(list(imaging.decode(data))) == 1
    with pytest.raises(TooLarge, match=f"{form} image takes up to .* MB of memory; the limit is 64"):
        imaging.decode(data, Limits(max_memory=64 * 2**20))


@ON_LINUX
@pytest.mark.parametrize(("make", "side"), [(hostile.avif, 5000), (hostile.heic, 1500)])
def test_what_decodes_to_more_than_it_says_gets_no_memory(
    make: Callable[[int], bytes], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder_memory = dict.fromkeys(decoding_cost.ALWAYS_CONFINED, 40 * 2**20)
    monkeypatch.setattr(decoding_cost, "_DECODER_MEMORY", decoder_memory)
    data = make(side)
    assert len(list(imaging.decode(hostile.claiming(make(64), 64, 64)))) == 1
    assert len(list(imaging.decode(data))) == 1
    with pytest.raises((TooLarge, BrokenImage)):
        list(imaging.decode(hostile.claiming(data, 64, 64)))


@ON_LINUX
def test_a_jpeg_2000_that_claims_less_than_its_tiles_take_gets_no_memory() -> None:
    data = bytearray(encoded(Image.new("L", (4000, 4000), 200), "JPEG2000", no_jp2=True))
    assert len(list(imaging.decode(bytes(data)))) == 1
    # One pixel is shown of a grid with one tile.
    struct.pack_into(">2L", data, 16, 3999, 3999)
    assert claimed_pixels(bytes(data), "JPEG2000") == 16_000_000
    with pytest.raises((TooLarge, BrokenImage)):
        list(imaging.decode(bytes(data), Limits(max_memory=400 * 2**20)))


WEBP = f"""
import io, resource, sys, time
from standins import StillReader
from paragraph_ocr.formats import render, FORMATS
from paragraph_ocr.io.imaging import Source
from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits
from service.settings import Settings
data = sys.stdin.buffer.read()
resource.setrlimit(resource.RLIMIT_AS, ({hostile.function_megabytes()} * 2**20,) * 2)
with Source(data) as source:
    document = StillReader(Limits(max_memory=Settings.from_environment().max_memory)).read(source, "page")
    for form in FORMATS:
        render(document, form, source, max_memory=Settings.from_environment().max_memory)
# Of this process ru_maxrss would count what the one that started it had taken.
own = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
peak = own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(len(document.pages[0].lines), peak // 1024)
"""


@ON_LINUX
@pytest.mark.slow
def test_the_largest_webp_fits_the_functions_memory_in_every_form() -> None:
    # Noise in few colours, which neither is compressed to nothing nor takes long to make.
    image = hostile.written_page(hostile.MAX_WEBP_SIZE, "RGBA")
    data = encoded(image, "WEBP", quality=10, method=0)
    environment = {**os.environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(hostile.function_megabytes())}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    run = subprocess.run([sys.executable, "-c", WEBP], input=data, capture_output=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr.decode()
    lines, megabytes = map(int, run.stdout.split())
    assert lines == 1
    assert megabytes < hostile.function_megabytes()


def document(width: int = 600, height: int = 800, pages: int = 1) -> Document:
    line = Line("first line", 0.8, BOX, BOX[2:], (Word("first", 0.9, BOX), Word("line", 0.7, BOX)))
    made = [Page("scan", number, width, height, 0, (line,), {}, {}) for number in range(1, pages + 1)]
    return Document("scan", tuple(made))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PDF"])
def test_decoding_ends_with_its_time(form: str) -> None:
    data = encoded(Image.new("RGB", (600, 800), "white"), form)
    assert len(list(imaging.decode(data, Limits(max_seconds=60)))) == 1
    with pytest.raises(DeadlineExceeded):
        list(imaging.decode(data, Limits(max_seconds=0)))


@pytest.mark.parametrize("form", ["hocr", "alto", "pdf"])
@pytest.mark.parametrize("file", ["JPEG", "TIFF", "AVIF", "PDF"])
def test_writing_the_answer_ends_with_its_time(form: str, file: str) -> None:
    data = encoded(Image.new("RGB", (600, 800), "white"), file)
    assert render(document(), form, data, time.perf_counter() + 60)
    with pytest.raises(DeadlineExceeded):
        render(document(), form, data, time.perf_counter() - 1)


def test_drawing_ends_with_its_time() -> None:
    page = document().pages[0]
    assert draw_overlay(np.full((800, 600), 255, np.uint8), page, time.perf_counter() + 60).shape == (800, 600, 3)
    with pytest.raises(DeadlineExceeded):
        draw_overlay(np.full((800, 600), 255, np.uint8), page, time.perf_counter() - 1)


@ON_LINUX
def test_what_takes_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started = record_starts(monkeypatch)
    # Two minutes of scans, and half a minute of compressing.
    slow = hostile.jpeg_with_scans(100, (8944, 8944))
    with pytest.raises(DeadlineExceeded):
        list(imaging.decode(slow, Limits(max_seconds=1.0)))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4000, 4000, 4), np.uint8), "RGBA")
    large = encoded(noise, "TIFF")
    with pytest.raises(DeadlineExceeded):
        render(document(4000, 4000), "pdf", large, time.perf_counter() + 0.5)
    assert [process.poll() for process in started] == [-9, -9]


def record_starts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    started: list[Any] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(confined.subprocess, "Popen", Recorded)
    return started


@pytest.mark.parametrize(
    ("form", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("TIFF", {}), ("GIF", {}), ("BMP", {}),
     ("TIFF", {"compression": "tiff_lzw"})],
    ids=str,
)  # fmt: skip
def test_ordinary_images_start_no_process(form: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    started = record_starts(monkeypatch)
    assert len(list(imaging.decode(encoded(Image.new("RGB", (2480, 3508)), form, **options)))) == 1
    assert started == []


def test_a_pdf_is_opened_once_from_its_pages_to_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    started = record_starts(monkeypatch)
    with Source(hostile.pdf(b"", 2)) as source:
        assert imaging.count_pages(source) == 2
        read = StillReader(Limits()).read(source, "scan")
        assert render(read, "pdf", source).startswith(b"%PDF")
        assert len(list(imaging.decode(source))) == 2
        assert [process.poll() for process in started] == [None]
    assert started[0].poll() is not None


@ON_LINUX
@pytest.mark.slow
def test_a_page_of_very_many_text_objects_gets_its_words() -> None:
    data = hostile.pdf_with_text_objects(100_000)
    # In pixels of 200 dots an inch: the first lies on text, the second above all of it.
    words = [(60.0, 2300.0, "4 0 0 -16 56 2304 Tm<0078>Tj"), (60.0, 20.0, "4 0 0 -16 56 24 Tm<0079>Tj")]
    with Source(data) as source:
        written = source.pdf(DEFAULT_LIMITS).overlay([TextLayer(1653, 2339, words)], time.perf_counter() + 60)
    with pypdfium2.PdfDocument(written) as opened:
        # PDFium lists the form's text last; the page's own is all of one letter.
        texts = [each for each in opened[0].get_objects(max_depth=3) if each.type == pypdfium2.raw.FPDF_PAGEOBJ_TEXT]
    assert len(texts) == 100_001


@pytest.mark.parametrize("objects", [100, pdfium.MAX_LISTED_OBJECTS + 100])
def test_words_are_found_however_many_objects_there_are(objects: int) -> None:
    data = hostile.pdf_with_text_objects(objects)
    with pypdfium2.PdfDocument(data) as opened:
        page = opened[0]
        assert pdfium._are_text(page, [(2.0, 1.0), (300.0, 400.0)]) == [True, False]


def test_the_text_of_a_pdf_ends_with_its_time() -> None:
    with Source(hostile.pdf(b"", 3)) as source, pytest.raises(DeadlineExceeded):
        source.pdf(DEFAULT_LIMITS).overlay([TextLayer(1653, 2339, [])] * 3, time.perf_counter() - 1)


PROBE = """
import os, resource
from paragraph_ocr.io.confined import send
def serve(task, data):
    opened = []
    for each in os.listdir("/proc/self/fd"):
        try:
            opened.append(os.readlink("/proc/self/fd/" + each))
        except OSError:
            pass
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)]
    send({"environment": sorted(os.environ), "opened": opened, "limits": limits})
    bytearray(task["bytes"])
    send({})
"""


@ON_LINUX
def test_the_process_has_little_and_inherits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.setenv("TABLE", "jobs")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with secret.open() as opened:
        os.set_inheritable(opened.fileno(), True)
        process = confined.Confined("probe", "PNG", {"bytes": 300 * 2**20}, b"data", 200 * 2**20, 25.0)
        found, _ = process.answer(60)
    assert {"AWS_LAMBDA_RUNTIME_API", "TABLE"}.isdisjoint(found["environment"])
    assert str(secret) not in found["opened"]
    cpu, size, addresses = found["limits"]
    assert (cpu, size) == (27, 0)
    assert 0 < addresses < 400 * 2**20
    with pytest.raises(TooLarge, match="memory"):
        process.answer(60)
    process.close()


# Root may read everything, so it becomes somebody else; who does is unreadable at once, until that is taken back.
READ = """
import ctypes, os, sys
from paragraph_ocr.io import confined
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
def readable():
    child = os.fork()
    if not child:
        try:
            found = b"AWS_SECRET_ACCESS_KEY" in open(f"/proc/{os.getppid()}/environ", "rb").read()
        except OSError:
            found = False
        os._exit(found)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(readable())
confined._keep_credentials()
print(readable())
"""


@ON_LINUX
def test_other_processes_cannot_read_the_credentials_of_the_functions_own() -> None:
    environment = {**os.environ, "AWS_SECRET_ACCESS_KEY": "secret"}
    run = subprocess.run([sys.executable, "-c", READ], capture_output=True, check=True, env=environment)
    assert run.stdout.split() == [b"1", b"0"]


def test_ordinary_tiffs_pass_the_check() -> None:
    image = Image.new("RGB", (900, 700), "white")
    for options in ({}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"big_tiff": True}):
        data = encoded(image, "TIFF", save_all=True, append_images=[image], **options)
        sheets = tiff.check_file(data, 10)
        assert [(sheet.width, sheet.height, sheet.is_page) for sheet in sheets] == [(900, 700, True)] * 2
        assert sheets[0].is_simple is (options.get("compression") != "jpeg")


def test_every_file_of_the_corpus_has_a_form_and_small_ones_are_made() -> None:
    assert {form for _, form in hostile.CORPUS.values()} <= set(FORMATS)
    for name in ("TIFF, tile of 178 megapixels", "BMP, runs in one row of 60 pixels"):
        data = hostile.build(name)
        assert len(data) <= 4_500_000
        with pytest.raises(OcrError):
            list(imaging.decode(data))


@ON_LINUX
@pytest.mark.slow
def test_the_benchmark_tells_what_a_file_takes() -> None:
    script = (
        "import json, sys; from benchmarks import hostile; from dataclasses import asdict;"
        "made = hostile.build('TIFF, tile of 178 megapixels');"
        "print(json.dumps(asdict(hostile.attack(made, 'json', 3008))))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], capture_output=True, check=True)
    outcome = json.loads(run.stdout.splitlines()[-1])
    assert (outcome["status"], outcome["problem"]) == (413, "too-large")
    assert 0 < outcome["megabytes"] < 3008
    assert outcome["seconds"] > 0
