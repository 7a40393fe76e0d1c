"""Send files that were made to take much time or memory to the handler, under the function's own limits.

    python -m benchmarks.hostile                    # docs/limits.md
    python -m benchmarks.hostile --damaged 1000     # and so many damaged files

Each goes to a process of its own, whose addresses are limited to the memory that the template gives the function
(RLIMIT_AS). Time is that of the whole request; memory the resident memory of that process and of all that it starts,
looked at every few milliseconds. On a busy machine the processor's seconds tell more than the clock's.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import multiprocessing
import os
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.memory import resident
from benchmarks.report import ROOT, machine, table

FORMS = ("json", "text", "hocr", "alto", "pdf", "page", "markdown", "csv")
# The maximum width of WebP, and 79,998,189 pixels, within the function's default limit.
MAX_WEBP_SIZE = (16383, 4883)
MAX_SIZE = (8944, 8944)
RATIONAL, SHORT, LONG = 5, 3, 4
TIMEOUT = 29.0


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def written_page(size: tuple[int, int], mode: str = "RGB", lines: int = 30) -> Image.Image:
    """A page with some lines of print in its upper left."""
    image = Image.new("L", size, 245)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(8, min(64, size[1] // (2 * lines))))
    for row in range(lines):
        draw.text((size[0] // 50, size[1] * row // lines), "the quick brown fox jumps over the lazy dog", 30, font)
    return image.convert(mode)


def jpeg_with_hidden_scans(scans: int, side: int = 4000) -> bytes:
    """A progressive JPEG most of whose scans are where a restart is due, after a marker that libjpeg skips.

    What follows FF 02 looks as if it had a length, which would go over the start of the scan behind it.
    """
    data = encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True, restart_marker_blocks=1)
    first = data.index(b"\xff\xda")
    length = int.from_bytes(data[first + 2 : first + 4], "big")
    scan = data[first : first + 2 + length] + b"\x00\xff\x02\x7f\xff"
    return data[:first] + scan * scans + b"\xff\xd9"


def jpeg_with_scans(scans: int, size: tuple[int, int]) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encoded(Image.new("L", size, 128), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (scans - data.count(b"\xff\xda") + 1) + data[-2:]


def jpeg_with_exif(values: int) -> bytes:
    """A JPEG whose EXIF data, in many segments, states its resolution in many rational numbers."""
    exif = b"II*\0\x08\0\0\0" + _directory({282: (RATIONAL, values, 64)}, 8)
    exif = exif.ljust(64, b"\0") + struct.pack("<2L", 300, 1) * values
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part
        for part in (exif[at : at + 65000] for at in range(0, len(exif), 65000))
    )
    data = encoded(Image.new("L", (60, 40), 255), "JPEG")
    # Without JFIF's resolution, Pillow uses that of EXIF.
    start = 2 + 2 + int.from_bytes(data[4:6], "big")
    return data[:2] + segments + data[start:]


def jpeg_with_segments(segments: int, marker: bytes, content: bytes) -> bytes:
    """A JPEG with so many equal segments before its tables."""
    data = encoded(Image.new("L", (60, 40), 255), "JPEG")
    return data[:2] + (b"\xff" + marker + struct.pack(">H", len(content) + 2) + content) * segments + data[2:]


def png(width: int, height: int, depth: int, colour: int, more: bytes = b"") -> bytes:
    """A PNG of zeros of a depth and colour type, with more chunks before its data."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * depth * samples + 7) // 8)
    compressor = zlib.compressobj(9)
    batch = max(1, 2**20 // len(row))
    rows = b"".join(compressor.compress(row * min(batch, height - top)) for top in range(0, height, batch))
    rows += compressor.flush()
    palette = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256)) if colour == 3 else b""
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + palette + more + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _directory(entries: dict[int, tuple[int, int, int]], at: int, following: int = 0) -> bytes:
    """A directory of little-endian TIFF; an entry has a type, a count, and a value or its offset."""
    body = struct.pack("<H", len(entries))
    for tag, (kind, count, value) in sorted(entries.items()):
        body += struct.pack("<HHLL", tag, kind, count, value)
    return body + struct.pack("<L", following)


def tiff(entries: dict[int, tuple[int, int, int]], data: bytes, pages: int = 1) -> bytes:
    """A grey TIFF with some additional entries, the same for each page; `data` is at offset 8."""
    usual = {258: (SHORT, 1, 8), 262: (SHORT, 1, 1), 277: (SHORT, 1, 1)}
    content = b"II*\0" + struct.pack("<L", 8 + len(data)) + data
    for page in range(pages):
        size = 2 + 12 * len(usual | entries) + 4
        content += _directory(usual | entries, len(content), (len(content) + size) * (page + 1 < pages))
    return content


def _image(width: int, height: int, compression: int, size: int) -> dict[int, tuple[int, int, int]]:
    return {
        256: (LONG, 1, width), 257: (LONG, 1, height), 259: (SHORT, 1, compression), 273: (LONG, 1, 8),
        278: (LONG, 1, height), 279: (LONG, 1, size),
    }  # fmt: skip


def tiff_with_shared_strips(pages: int, width: int, height: int) -> bytes:
    """A TIFF whose pages share one strip."""
    strip = zlib.compress(bytes(width * height))
    return tiff(_image(width, height, 8, len(strip)), strip, pages)


def tiff_with_shared_strips_of_a_page(strips: int, size: int) -> bytes:
    """A TIFF each of whose rows is the same long strip."""
    strip = zlib.compress(bytes(64)) + bytes(size)
    offsets, sizes = struct.pack("<L", 8) * strips, struct.pack("<L", len(strip)) * strips
    entries = _image(64, strips, 8, 0) | {
        273: (LONG, strips, 8 + len(strip)), 278: (LONG, 1, 1), 279: (LONG, strips, 8 + len(strip) + len(offsets)),
    }  # fmt: skip
    return tiff(entries, strip + offsets + sizes)


def tiff_with_a_large_tile(side: int) -> bytes:
    """A TIFF of 64 x 64 pixels in one tile of the given side."""
    tile = zlib.compress(bytes(side * 64))
    entries = _image(64, 64, 8, 0) | {
        322: (LONG, 1, side), 323: (LONG, 1, side), 324: (LONG, 1, 8), 325: (LONG, 1, len(tile)),
    }  # fmt: skip
    del entries[273], entries[278], entries[279]
    return tiff(entries, tile)


def tiff_with_values(tag: int, kind: int, values: int) -> bytes:
    """A TIFF of 64 x 64 pixels with a tag of many values."""
    unit = struct.pack("<2L", 300, 1) if kind == RATIONAL else struct.pack("<H", 1)
    return tiff(_image(64, 64, 1, 4096) | {tag: (kind, values, 8 + 4096)}, bytes(4096) + unit * values)


def tiff_with_tiles(side: int, size: tuple[int, int]) -> bytes:
    """A TIFF whose tiles share the same data."""
    count = -(-size[0] // side) * -(-size[1] // side)
    tile = bytes(side * side)
    offsets = struct.pack("<L", 8) * count
    entries = _image(*size, 1, 0) | {
        322: (LONG, 1, side), 323: (LONG, 1, side), 324: (LONG, count, 8 + len(tile)),
    }  # fmt: skip
    del entries[273], entries[278], entries[279]
    return tiff(entries, tile + offsets)


def bmp(width: int, height: int, runs: bytes) -> bytes:
    """A BMP of eight bits in run-length encoding."""
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    return b"BM" + struct.pack("<LLL", start + len(runs), 0, start) + header + palette + runs


def claiming(data: bytes, width: int, height: int) -> bytes:
    """An AVIF or HEIC file that claims another size of its images."""
    return re.sub(
        rb"ispe\0{4}.{8}", lambda _: b"ispe\0\0\0\0" + struct.pack(">2I", width, height), data, flags=re.DOTALL
    )


def avif(side: int) -> bytes:
    return encoded(Image.new("L", (side, side), 200), "AVIF", speed=10)


def heic(side: int) -> bytes:
    from pillow_heif import from_pillow

    buffer = io.BytesIO()
    from_pillow(Image.new("L", (side, side), 200)).save(buffer, quality=20)
    return buffer.getvalue()


def pdf(content: bytes, pages: int = 1, size: tuple[int, int] = (595, 842), times: int = 1) -> bytes:
    """A PDF whose pages share the same content, repeated a number of times, and a font F."""
    compressor = zlib.compressobj(9)
    packed = b"".join(compressor.compress(content) for _ in range(times)) + compressor.flush()
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b" ".join(b"%d 0 R" % (4 + index) for index in range(pages))),
        b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed),
    ]
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 3 0 R/Resources<</Font<</F %s>>>>>>"
    bodies += [page % (*size, font)] * pages
    data, table = b"%PDF-1.7\n", b"0000000000 65535 f \n"
    for number, body in enumerate(bodies, 1):
        table += b"%010d 00000 n \n" % len(data)
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    end = b"xref\n0 %d\n%strailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n"
    return data + end % (len(bodies) + 1, table, len(bodies) + 1, len(data))


def pdf_with_text_objects(objects: int, pages: int = 1) -> bytes:
    """A PDF whose pages have many text objects of a letter each."""
    places = ((index % 590, (index // 590) % 780) for index in range(objects))
    content = b"".join(b"1 0 0 1 %d %d Tm(a)Tj\n" % place for place in places)
    return pdf(b"BT /F 4 Tf\n" + content + b"ET", pages)


# Each file's description, the function that makes it, and the requested format.
CORPUS: dict[str, tuple[Callable[[], bytes], str]] = {
    "JPEG of 4,802 scans behind dropped markers": (partial(jpeg_with_hidden_scans, 4802), "json"),
    "JPEG of 80 megapixels and 100 scans": (partial(jpeg_with_scans, 100, MAX_SIZE), "json"),
    "JPEG, CMYK, 80 megapixels": (lambda: encoded(written_page(MAX_SIZE, "CMYK"), "JPEG", quality=20), "json"),
    "JPEG, EXIF of half a million rationals": (partial(jpeg_with_exif, 500_000), "json"),
    "JPEG, EXIF in 400,000 segments": (partial(jpeg_with_segments, 400_000, b"\xe1", b"Exif\0\0a"), "json"),
    "PNG of 1 x 80,000,000 pixels": (partial(png, 1, 80_000_000, 1, 0), "json"),
    "PNG of 80,000,000 x 1 pixels": (partial(png, 80_000_000, 1, 1, 0), "json"),
    "PNG of 1,220 x 65,535 pixels": (lambda: encoded(written_page((1220, 65535), "L"), "PNG"), "json"),
    "PNG of 65,535 x 1,220 pixels": (lambda: encoded(written_page((65535, 1220), "L"), "PNG"), "json"),
    "PNG, 80 megapixels of 16 bits and transparency": (partial(png, *MAX_SIZE, 16, 6), "pdf"),
    "PNG, 80 megapixels of a palette with transparency": (partial(png, *MAX_SIZE, 8, 3), "pdf"),
    "PNG of 300,000 comments": (partial(png, 60, 40, 8, 0, chunk(b"tEXt", b"a\0b") * 280_000), "json"),
    "PNG, orientation of a million values": (
        lambda: png(
            60,
            40,
            8,
            0,
            chunk(b"eXIf", b"II*\0\x08\0\0\0" + _directory({274: (SHORT, 10**6, 64)}, 8) + bytes(38) + b"\1\0" * 10**6),
        ),
        "json",
    ),
    **{
        f"WebP, 80 megapixels, as {form}": (
            lambda: encoded(written_page(MAX_WEBP_SIZE, "RGBA"), "WEBP", quality=10, method=0),
            form,
        )
        for form in FORMS
    },
    "WebP, lossless, 80 megapixels": (
        lambda: encoded(written_page(MAX_WEBP_SIZE), "WEBP", lossless=True, quality=0, method=0),
        "pdf",
    ),
    "TIFF, ten pages of 80 megapixels of one strip": (partial(tiff_with_shared_strips, 10, *MAX_SIZE), "json"),
    "TIFF, a page of 60,000 times the same megabyte": (
        partial(tiff_with_shared_strips_of_a_page, 60_000, 2**20),
        "json",
    ),
    "TIFF, tile of 178 megapixels": (partial(tiff_with_a_large_tile, 13344), "json"),
    "TIFF, resolution of half a million rationals": (partial(tiff_with_values, 282, RATIONAL, 500_000), "json"),
    "TIFF, orientation of half a million values": (partial(tiff_with_values, 274, SHORT, 500_000), "json"),
    "TIFF, 80 megapixels in 312,000 tiles": (partial(tiff_with_tiles, 16, MAX_SIZE), "json"),
    "TIFF, 80 megapixels of 32 bits": (
        lambda: encoded(Image.new("F", MAX_SIZE, 200.0), "TIFF", compression="tiff_deflate"),
        "pdf",
    ),
    "AVIF, 80 megapixels": (lambda: encoded(written_page(MAX_SIZE), "AVIF", speed=10, quality=30), "pdf"),
    "HEIC, 80 megapixels": (partial(heic, MAX_SIZE[0]), "pdf"),
    "BMP, runs in one row of 60 pixels": (partial(bmp, 60, 1, b"\1\1" * 2_200_000), "json"),
    "BMP, ends of lines only": (partial(bmp, 60_000, 1_300, b"\1\1\0\0" * 1_100_000), "json"),
    "GIF, 80 megapixels": (lambda: encoded(written_page(MAX_SIZE, "P"), "GIF"), "pdf"),
    "PDF of 450,000 text objects": (partial(pdf_with_text_objects, 450_000), "pdf"),
    "PDF, ten pages of 50,000 text objects": (partial(pdf_with_text_objects, 50_000, 10), "pdf"),
    "PDF, a stream of 8 gigabytes": (partial(pdf, b"0 0 m 9 9 l S\n" * 2**20, times=550), "json"),
    "PDF, page of 14,400 x 14,400 points": (partial(pdf, b"", size=(14400, 14400)), "json"),
    "AVIF, says 64 x 64, has 16,000 x 16,000 pixels": (lambda: claiming(avif(16000), 64, 64), "json"),
    # The encoder writes no more than 142,606,336 pixels.
    "HEIC, says 64 x 64, has 11,900 x 11,900 pixels": (lambda: claiming(heic(11900), 64, 64), "json"),
}


HEADS = ("file", "kB", "seconds", "of a processor", "MB", "answer")
PAGE = ROOT / "docs" / "limits.md"
INTRODUCTION = """# Time and memory of hostile files

Written by `python -m benchmarks.hostile`: each file is sent to the handler in a separate process with the function's
default memory of {megabytes:,} MB as its address space, and with 25 seconds. Memory is the sum of the process and its
children at one time. {machine}; load averages at the end {load}."""
DAMAGED = "Files of each format, damaged at random, and answered as a PDF:"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a request.

    Attributes
    ----------
    status : int
    problem : str
        The end of the problem's type; empty for an answer.
    seconds, processor_seconds : float
    megabytes : float
        Resident, of the handler and of all that it started.
    """

    status: int
    problem: str
    seconds: float
    processor_seconds: float
    megabytes: float


@cache
def valid_files() -> dict[str, bytes]:
    """Files of every format, including variants that are decoded differently."""
    from pillow_heif import from_pillow

    pixels = np.full((40, 60), 230, np.uint8)
    pixels[10:20, 10:50] = 40

    def small(form: str, mode: str = "RGB", **options: Any) -> bytes:
        return encoded(Image.fromarray(pixels).convert(mode), form, **options)

    more = [Image.new("L", (60, 40), 128)]
    heif = io.BytesIO()
    from_pillow(Image.new("RGB", (64, 64), "white")).save(heif)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "JPEG": small("JPEG", exif=exif),
        "progressive JPEG": small("JPEG", progressive=True),
        "CMYK JPEG": small("JPEG", "CMYK"),
        "PNG": small("PNG"),
        "palette PNG": small("PNG", "P"),
        "WebP": small("WEBP"),
        "lossless WebP": small("WEBP", lossless=True),
        "TIFF": small("TIFF", save_all=True, append_images=more),
        "LZW TIFF": small("TIFF", compression="tiff_lzw"),
        "fax TIFF": small("TIFF", "1", compression="group4"),
        "JPEG TIFF": small("TIFF", compression="jpeg"),
        "BMP": small("BMP"),
        "run-length BMP": bmp(60, 40, b"".join(b"\x3c\x80\0\0" for _ in range(40)) + b"\0\1"),
        "GIF": small("GIF", save_all=True, append_images=more),
        "HEIC": heif.getvalue(),
        "AVIF": small("AVIF"),
        "PDF": small("PDF", save_all=True, append_images=more),
    }


def mutated(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one or two ways: bytes changed, large numbers, parts cut, repeated, spliced or filled."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        at, to = sorted(rng.integers(0, len(content) + 1, 2))
        # Half of the changes are in the headers, which contain most numbers.
        near = int(rng.integers(0, min(len(content), 128) + 1))
        match rng.integers(0, 8):
            case 0:
                for place in rng.integers(0, max(len(content), 1), 4):
                    content[place : place + 1] = rng.bytes(1)
            case 1:
                content[near : near + 1] = rng.bytes(1)
            case 2:
                content[near : near + 4] = rng.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\0\0\xff\xff"])
            case 3:
                del content[at:]
            case 4:
                del content[at:to]
            case 5:
                content[at:at] = content[at:to]
            case 6:
                content[at:] = other[at:]
            case _:
                content[at:at] = bytes(int(rng.integers(1, 5000)))
    return bytes(content)


def function_megabytes() -> int:
    """The template's default memory."""
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    (found,) = re.findall(r"^  MemorySize:\n    Type: Number\n    Default: (\d+)", template, re.MULTILINE)
    return int(found)


class Handler:
    """The API's handler in this process, under the limits of the function; takes a file and a form.

    Parameters
    ----------
    megabytes : int
        Of the function.
    """

    def __init__(self, megabytes: int) -> None:
        import resource

        os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(megabytes)
        os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "hostile")
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)
        import app
        from service.runtime import logger

        logger.registered_handler.setStream(io.StringIO())  # type: ignore[attr-defined]
        self.handler = app.handler
        self.event = json.loads((ROOT / "events" / "ocr.json").read_text(encoding="utf-8"))

    def __call__(self, data: bytes, form: str) -> Outcome:
        event = {**self.event, "headers": {"Content-Type": "image/jpeg"}, "isBase64Encoded": True}
        event |= {"body": base64.b64encode(data).decode(), "queryStringParameters": {"format": form}}
        sink, sys.stdout = sys.stdout, io.StringIO()
        done, found = Event(), [resident()]
        watcher = Thread(target=_watch, args=(done, found))
        watcher.start()
        start, used = time.monotonic(), _processor_seconds()
        context = SimpleNamespace(
            function_name="reader", memory_limit_in_mb=0, invoked_function_arn="", aws_request_id="",
            get_remaining_time_in_millis=lambda: 1000 * (TIMEOUT - (time.monotonic() - start)),
        )  # fmt: skip
        try:
            answer = self.handler(event, context)
        finally:
            seconds = time.monotonic() - start
            done.set()
            watcher.join()
            sys.stdout = sink
        problem = {} if answer["statusCode"] == 200 else json.loads(answer["body"])
        return Outcome(
            answer["statusCode"],
            problem.get("type", "").rsplit(":", 1)[-1],
            seconds,
            _processor_seconds() - used,
            max(found),
        )


def _processor_seconds() -> float:
    """Return the processor time of this process and its ended children."""
    import resource

    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _watch(done: Event, found: list[float]) -> None:
    me = os.getpid()
    while not done.wait(0.003):
        try:
            children = Path(f"/proc/{me}/task/{me}/children").read_text(encoding="utf-8").split()
            found.append(sum(resident(process) for process in ("self", *children)))
        except OSError:
            # A process has ended between the two.
            continue


def build(name: str) -> bytes:
    """A file of the corpus."""
    return CORPUS[name][0]()


def attack(data: bytes, form: str, megabytes: int) -> Outcome:
    """The handler's answer to a file."""
    return Handler(megabytes)(data, form)


def damage(name: str, cases: int, megabytes: int, seed: int) -> list[tuple[Outcome, int]]:
    """The handler's answers to a number of damaged files of a format, with the files."""
    handler = Handler(megabytes)
    files = valid_files()
    others = list(files.values())
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(cases):
        data = mutated(files[name], others[rng.integers(len(others))], rng)
        found.append((handler(data, "pdf"), len(data)))
    return found


def row(name: str, size: int, outcome: Outcome) -> tuple[str, ...]:
    answer = f"{outcome.status} {outcome.problem}".strip()
    return (
        name, f"{size / 1000:,.0f}", f"{outcome.seconds:.1f}", f"{outcome.processor_seconds:.1f}",
        f"{outcome.megabytes:,.0f}", answer,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--damaged", type=int, default=0, metavar="N", help="so many damaged files of each format, too")
    parser.add_argument("--only", default="", metavar="TEXT", help="files whose name has this; writes no page")
    arguments = parser.parse_args()
    megabytes = function_megabytes()
    fresh = multiprocessing.get_context("spawn")
    rows = []
    for name, (_, form) in CORPUS.items():
        if arguments.only not in name:
            continue
        with ProcessPoolExecutor(1, mp_context=fresh) as pool:
            data = pool.submit(build, name).result()
        with ProcessPoolExecutor(1, mp_context=fresh) as pool:
            rows.append(row(name, len(data), pool.submit(attack, data, form, megabytes).result()))
        print(*rows[-1], sep=" | ", flush=True)
    sections = [table(HEADS, rows)]
    if arguments.damaged:
        worst = []
        for name in valid_files():
            with ProcessPoolExecutor(1, mp_context=fresh) as pool:
                found = pool.submit(damage, name, arguments.damaged, megabytes, 1).result()
            for what, key in (("slowest", "seconds"), ("largest", "megabytes")):
                outcome, size = max(found, key=lambda each: getattr(each[0], key))
                worst.append(row(f"{name}, the {what} of {len(found):,}", size, outcome))
                print(*worst[-1], sep=" | ", flush=True)
        sections += [DAMAGED, table(HEADS, worst)]
    if not arguments.only:
        load = ", ".join(f"{each:.0f}" for each in os.getloadavg())
        introduction = INTRODUCTION.format(megabytes=megabytes, machine=machine(), load=load)
        PAGE.write_text("\n\n".join([introduction, *sections]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
