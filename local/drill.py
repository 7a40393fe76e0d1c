"""Check that queue and workers lose nothing when workers are killed, with generated pages on moto's server.

Every worker is a process of its own, as on Lambda, and one is killed (SIGKILL) at every fiftieth page. The exit status
is 0 only if every result is there once, and is what reading the same file undisturbed gives, and nothing else is left.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
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
# Enough time for a page on a busy machine. Messages of killed workers are hidden no longer than the lease of their file
# lasts, instead of half an hour.
TIMEOUT = 120
VISIBILITY_SECONDS = 140
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


def work() -> None:
    """Consume messages until killed, and print a line for every page."""
    from service import worker

    read_image = PageReader.read_image

    def told(*arguments: Any) -> Any:
        page = read_image(*arguments)
        os.write(1, b"page\n")
        return page

    PageReader.read_image = told  # type: ignore[assignment,method-assign]

    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT
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
            time.sleep(0.1)


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
        self.pages = self.kills = 0
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
            if line == b"page\n":
                self.pages += 1
                self.bar.update()

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


def main(pages: int) -> int:
    """Run the drill; 0 if all is well."""
    drawn = dict(files(pages))
    distinct = list(dict.fromkeys(drawn.values()))
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        read = tqdm(pool.map(read_undisturbed, distinct), "undisturbed", len(distinct), unit="file")
        documents = dict(zip(distinct, read, strict=True))
    expected = {
        key: digest for name, data in drawn.items() for key, digest in results_of(name, data, documents[data]).items()
    }

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(cloud.environment(f"http://{host}:{port}"))
    stack = cloud.create(VISIBILITY_SECONDS)
    for name, data in drawn.items():
        cloud.client("s3").put_object(Bucket=stack["INBOX"], Key=name, Body=data)
    start = time.monotonic()
    with tqdm(desc="with workers killed", total=pages, unit="page") as bar:
        crew = Crew({**stack, "TIMEOUT": str(TIMEOUT), "POWERTOOLS_METRICS_DISABLED": "true"}, bar)
        try:
            while _waiting(stack["QUEUE_URL"]):
                crew.kill_when_due()
                time.sleep(0.05)
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
    server.stop()
    missing, more = len(expected.keys() - found.keys()), len(found.keys() - expected.keys())
    different = sum(found[key] != expected[key] for key in found.keys() & expected.keys())
    again = sum(versions[key] > 1 for key in expected)
    print(
        f"{pages} pages in {len(drawn)} files, {crew.kills} workers killed: {len(found)} results, {missing} missing, "
        f"{different} different, {more} more, {dead} dead letters; {crew.pages - pages} pages read again, "
        f"{again} results written again; {seconds:.0f} s, {pages / seconds:.1f} pages a second"
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
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        if options.work:
            work()
        sys.exit(main(options.pages))
    sys.exit(130)
