"""Check that queue and workers lose nothing when workers are killed, with generated pages on moto's server.

    python -m local.drill 1000 --long 300 --lines 50 --kind tiff

Every worker is a process of its own with the function's memory, as on Lambda, and one is killed (SIGKILL) at every
fiftieth page. The exit status is 0 only if every result is there once, and is what reading the same file undisturbed
gives, and nothing else is left. One of the files is a long document of full pages; the last line says what it took.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import IO, Any

from moto.server import ThreadedMotoServer
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from local import cloud
from paragraph_ocr.document import Document
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.pipeline.reader import PageReader
from service import storage

PAGES_A_KILL = 50
# Of this many pages, the last ten are one file.
PAGES_A_BLOCK = 50
PAGES_A_LONG_FILE = 10
WORKERS = 4
# Pages repeat after this many, which shortens the undisturbed reading.
PAGES_DRAWN = 200
# The long document: its share of the pages, unless their number is given, and how many of them differ.
LONG_NAME = "register"
LONG_SHARE = 0.3
LONG_PAGES_DRAWN = 20
# Pixels of its pages, A4 at 150 dots per inch.
LONG_SIZE = (1240, 1754)
# Bytes; the default of MemorySize in template.yaml.
MEMORY = 3008 * 2**20
# Seconds of an invocation: enough for some pages on a busy machine. Messages of killed workers are hidden no longer
# than the lease of their file lasts, instead of half an hour.
TIMEOUT = 120
LEASE_SECONDS = 20
# Seconds between two requests of a worker without work, and between two checks for the end: moto's server takes
# processor time for each.
POLL_SECONDS = 1.0
WORDS = [
    "old",
    "stone",
    "bridge",
    "over",
    "grey",
    "water",
    "geese",
    "and",
    "dogs",
    "jump",
    "lazy",
    "quick",
    "fox",
    "rain",
]


def files(pages: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of files with this many pages in total, the same at every call."""
    number = 0
    while number < pages:
        left = min(PAGES_A_BLOCK - number % PAGES_A_BLOCK, pages - number)
        count = left if number % PAGES_A_BLOCK >= PAGES_A_BLOCK - PAGES_A_LONG_FILE else 1
        drawn = [_page((number + index) % PAGES_DRAWN) for index in range(count)]
        content = BytesIO()
        if count > 1:
            drawn[0].save(content, "TIFF", save_all=True, append_images=drawn[1:], compression="tiff_lzw")
        else:
            drawn[0].save(content, "PNG")
        yield f"box {number // PAGES_A_BLOCK}/page+{number:05}é", content.getvalue()
        number += count


def long_document(pages: int, lines: int, kind: str) -> bytes:
    """A TIFF or a PDF of so many pages with so many lines of print each, the same at every call."""
    drawn = [_full_page(number, lines) for number in range(min(pages, LONG_PAGES_DRAWN))]
    first, *rest = (drawn[number % LONG_PAGES_DRAWN] for number in range(pages))
    content = BytesIO()
    options = {"compression": "group4"} if kind == "tiff" else {"resolution": 150.0}
    first.save(content, kind, save_all=True, append_images=rest, **options)
    return content.getvalue()


def _full_page(number: int, lines: int) -> Image.Image:
    width, height = LONG_SIZE
    pitch = 0.9 * height / lines
    chance = random.Random(number)
    image = Image.new("L", LONG_SIZE, 255)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(min(40, 0.6 * pitch))
    for line in range(lines):
        text = f"{number} {line} {' '.join(chance.choices(WORDS, k=4))}"
        draw.text((width // 12, 0.05 * height + (line + 0.7) * pitch), text, fill=0, font=font, anchor="ls")
    return image.convert("1", dither=Image.Dither.NONE)


def _page(number: int) -> Image.Image:
    text = f"{number} {' '.join(random.Random(number).sample(WORDS, 4))}"
    image = Image.new("L", (900, 160), 245)
    ImageDraw.Draw(image).text((60, 90), text, fill=30, font=ImageFont.load_default(34), anchor="ls")
    return image


def digest(form: str, data: bytes) -> str:
    """SHA-256 of a result without its timings."""
    if form == "json":
        content = json.loads(data)
        for page in content.get("pages", [content]):
            del page["timings_ms"]
        data = json.dumps(content).encode()
    return sha256(data).hexdigest()


def read_undisturbed(data: bytes) -> Document:
    """The reading of a file, without a name."""
    global _reader
    _reader = _reader or PageReader.load()
    return _reader.read(data, "")


_reader: PageReader | None = None


def results_of(name: str, data: bytes, document: Document) -> dict[str, str]:
    """Digests of a file's results by their keys."""
    pages = tuple(replace(page, image=name) for page in document.pages)
    named = Document(name, pages)
    return {storage.result_key(name, form): digest(form, render(named, form, data)) for form in FORMATS}


def results_of_long_document(pages: int, lines: int, kind: str) -> dict[str, str]:
    """Digests of the long document's results by their keys; each page that differs is read once."""
    read = read_undisturbed(long_document(min(pages, LONG_PAGES_DRAWN), lines, kind)).pages
    repeated = (replace(read[number % LONG_PAGES_DRAWN], page=number + 1) for number in range(pages))
    return results_of(LONG_NAME, long_document(pages, lines, kind), Document("", tuple(repeated)))


def work() -> None:
    """Consume messages until killed, and print a line for every page: the name of its document."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from service import worker

    read_image = PageReader.read_image

    def told(*arguments: Any) -> Any:
        page = read_image(*arguments)
        os.write(1, f"{page.image}\n".encode())
        return page

    PageReader.read_image = told  # type: ignore[assignment,method-assign]

    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        end = time.monotonic() + float(os.environ["TIMEOUT"])
        context = SimpleNamespace(
            function_name="worker",
            memory_limit_in_mb=0,
            invoked_function_arn="",
            aws_request_id="drill",
            get_remaining_time_in_millis=lambda: 1000 * (end - time.monotonic()),
        )
        return dict(worker.handler(event, context))

    while True:
        if not cloud.poll(os.environ["QUEUE_URL"], invoke):
            time.sleep(POLL_SECONDS)


class Crew:
    """Worker processes, one of which is killed and replaced at intervals.

    Parameters
    ----------
    environment : dict of str to str
        Of their processes.
    bar : tqdm
        Shows the pages read.
    """

    def __init__(self, environment: dict[str, str], bar: tqdm[Any]) -> None:
        self.environment = {**os.environ, **environment}
        self.bar = bar
        self.pages = self.kills = self.peak_megabytes = 0
        # Of the long document, seconds since the epoch.
        self.first_page = self.last_page = 0.0
        self.workers = [self.start() for _ in range(WORKERS)]

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.drill", "--work"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout
        Thread(target=self.count, args=(process.stdout,), daemon=True).start()
        return process

    def count(self, lines: IO[bytes]) -> None:
        for line in lines:
            self.pages += 1
            self.bar.update()
            if line.decode().strip() == LONG_NAME:
                self.last_page = time.time()
                self.first_page = self.first_page or self.last_page

    def watch(self) -> None:
        """Record how much memory a worker and its processes have had."""
        self.peak_megabytes = max(self.peak_megabytes, *(_peak_megabytes(worker.pid) for worker in self.workers))

    def kill_when_due(self) -> None:
        """Kill a worker at any point of its work."""
        if self.pages >= PAGES_A_KILL * (self.kills + 1):
            index = self.kills % WORKERS
            self.workers[index].kill()
            self.workers[index].wait()
            self.workers[index] = self.start()
            self.kills += 1
        assert all(process.poll() is None for process in self.workers), "a worker ended by itself"

    def stop(self) -> None:
        for process in self.workers:
            process.kill()
            process.wait()


def _peak_megabytes(process: int) -> int:
    """Return the peak memory of a process and of those that it has started and that run."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024 + sum(
            _peak_megabytes(int(each)) for each in children
        )
    except (OSError, IndexError):
        # It has ended.
        return 0


def main(pages: int, long: int, lines: int, kind: str, timeout: int) -> int:
    """Run the drill with so many pages, `long` of them in one document of `lines` a page; 0 if all is well."""
    drawn = dict(files(pages - long))
    distinct = list(dict.fromkeys(drawn.values()))
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        of_long = pool.submit(results_of_long_document, long, lines, kind) if long else None
        read = tqdm(pool.map(read_undisturbed, distinct), "undisturbed", len(distinct), unit="file")
        documents = dict(zip(distinct, read, strict=True))
        expected = of_long.result() if of_long else {}
    for name, data in drawn.items():
        expected |= results_of(name, data, documents[data])
    if long:
        # The first that the workers find, so that it is read while they read the others.
        drawn = {LONG_NAME: long_document(long, lines, kind), **drawn}

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(cloud.environment(f"http://{host}:{port}"))
    stack = cloud.create(timeout + LEASE_SECONDS)
    for name, data in drawn.items():
        cloud.client("s3").put_object(Bucket=stack["INBOX"], Key=name, Body=data)
    start = time.monotonic()
    with tqdm(desc="with workers killed", total=pages, unit="page") as bar:
        settings = {"TIMEOUT": str(timeout), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY // 2**20)}
        crew = Crew({**stack, **settings, "POWERTOOLS_METRICS_DISABLED": "true"}, bar)
        try:
            while _waiting(stack["QUEUE_URL"]):
                for _ in range(20):
                    crew.kill_when_due()
                    crew.watch()
                    time.sleep(POLL_SECONDS / 20)
        finally:
            crew.stop()
    seconds = time.monotonic() - start

    s3 = cloud.client("s3")
    versions = Counter(
        entry["Key"]
        for listed in s3.get_paginator("list_object_versions").paginate(Bucket=stack["RESULTS"])
        for entry in listed.get("Versions", ())
    )
    stored = {
        entry["Key"]: s3.get_object(Bucket=stack["RESULTS"], Key=entry["Key"])["Body"].read()
        for listed in s3.get_paginator("list_objects_v2").paginate(Bucket=stack["RESULTS"])
        for entry in listed.get("Contents", ())
    }
    found = {
        key: digest("json" if key.startswith("done/") and key.endswith(".json") else "", data)
        for key, data in stored.items()
    }
    for key in found.keys() - expected.keys():
        print(key, stored[key][:500])
    dead = _waiting(stack["DEAD_LETTERS_URL"])
    last = storage.result_key(LONG_NAME, "json")
    ended = (
        s3.head_object(Bucket=stack["RESULTS"], Key=last)["LastModified"].timestamp() if last in stored else math.nan
    )
    server.stop()
    missing, more = len(expected.keys() - found.keys()), len(found.keys() - expected.keys())
    different = sum(found[key] != expected[key] for key in found.keys() & expected.keys())
    again = sum(versions[key] > 1 for key in expected)
    print(
        f"{pages} pages in {len(drawn)} files, {crew.kills} workers killed: {len(found)} results, {missing} missing, "
        f"{different} different, {more} more, {dead} dead letters; {crew.pages - pages} pages read again, "
        f"{again} results written again; {seconds:.0f} s, {pages / seconds:.1f} pages a second; at most "
        f"{crew.peak_megabytes:,} MB a worker"
    )
    if long:
        print(
            f"{kind} of {long} pages of {lines} lines: {ended - crew.first_page:.0f} s from the first page that was "
            f"read, {ended - crew.last_page:.0f} s of them after the last"
        )
    return int(bool(missing or more or different or dead))


def _waiting(queue: str) -> int:
    """Number of messages in a queue, visible or not."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    answer = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Read generated pages while workers are killed.")
    parser.add_argument("pages", nargs="?", type=int, default=1000)
    parser.add_argument("--long", type=int, metavar="N", help="pages of one long document; three tenths of them")
    parser.add_argument("--lines", type=int, default=50, help="of each of its pages (50)")
    parser.add_argument("--timeout", type=int, default=TIMEOUT, metavar="S", help=f"of an invocation ({TIMEOUT})")
    parser.add_argument("--kind", choices=("tiff", "pdf"), default="tiff", help="its format (tiff)")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    long = round(LONG_SHARE * options.pages) if options.long is None else options.long
    if not 0 <= long <= options.pages:
        parser.error(f"--long must be at most the pages, {options.pages}")
    with suppress(KeyboardInterrupt):
        if options.work:
            work()
        sys.exit(main(options.pages, long, options.lines, options.kind, options.timeout))
    sys.exit(130)
