"""Measure the memory and the time that the worker takes to write the results of a long document.

    python -m benchmarks.long_job --pages 1000 --lines 50 --kind tiff

A document whose pages have all been read waits on moto's server, and the worker, in a process of its own that may have
no more memory than the function, writes its results.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

from local import cloud
from paragraph_ocr.document import Line, Page, Word

KEY = "register"
# A4 at 100 dots per inch; its lines have about as many points as the detector's.
WIDTH, HEIGHT = 827, 1169
POINTS_A_LINE, POINTS_A_WORD, WORDS_A_LINE = 50, 6, 8
MEMORY = 3008 * 2**20


def page(number: int, lines: int) -> Page:
    """Return a page with lines like those of the detector, the same at every call."""
    chance = random.Random(number)

    def outline(points: int) -> tuple[tuple[float, float], ...]:
        return tuple((chance.uniform(0, WIDTH), chance.uniform(0, HEIGHT)) for _ in range(points))

    def line() -> Line:
        words = tuple(
            Word(chance.choice(["bridge", "water", "grey"]), chance.random(), outline(POINTS_A_WORD))
            for _ in range(WORDS_A_LINE)
        )
        text = " ".join(word.text for word in words)
        return Line(text, chance.random(), outline(2 * POINTS_A_LINE), outline(POINTS_A_LINE), words)

    model = {"detector": "detector@1", "recognizer": "recognizer@1"}
    timings = {"decode": 1.0, "detect": 1.0, "recognize": 1.0, "total": 3.0}
    return Page(KEY, number, WIDTH, HEIGHT, 0, tuple(line() for _ in range(lines)), model, timings)


def file(kind: str, pages: int) -> bytes:
    """Return a TIFF or a PDF of empty pages."""
    content = BytesIO()
    images = [Image.new("1", (WIDTH, HEIGHT), 1)] * pages
    options = {"compression": "group4"} if kind == "tiff" else {}
    images[0].save(content, kind, save_all=True, append_images=images[1:], **options)
    return content.getvalue()


def prepare(pages: int, lines: int, kind: str) -> dict[str, str]:
    """Create the stack, a file and its pages already read; return the worker's environment variables."""
    stack = cloud.create()
    os.environ.update(stack)
    from service import storage

    data = file(kind, pages)
    etag = cloud.client("s3").put_object(Bucket=stack["INBOX"], Key=KEY, Body=data)["ETag"].strip('"')
    kept = storage.StoredPages(stack["RESULTS"], KEY, etag, pages)
    for number in range(1, pages + 1):
        kept.add(page(number, lines))
    return stack


def work() -> None:
    """Consume messages until there are none; print what that took."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from service import storage, worker
    from service.settings import Settings

    settings = Settings.from_environment()

    write_form = storage.write_form
    seconds: dict[str, float] = {}

    def timed(*arguments: Any, **limits: Any) -> None:
        start = _processor_seconds()
        write_form(*arguments, **limits)
        seconds[arguments[-1]] = round(_processor_seconds() - start, 1)

    storage.write_form = timed

    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        end = time.monotonic() + settings.timeout
        context = SimpleNamespace(
            function_name="worker",
            memory_limit_in_mb=0,
            invoked_function_arn="",
            aws_request_id="long-job",
            get_remaining_time_in_millis=lambda: 1000 * (end - time.monotonic()),
        )
        return dict(worker.handler(event, context))

    before = _peak_megabytes()
    start = _processor_seconds()
    invocations = 0
    while cloud.poll(os.environ["QUEUE_URL"], invoke):
        invocations += 1
    took = _processor_seconds() - start
    peak = _peak_megabytes()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    result = {
        "invocations": invocations,
        "processor_seconds": round(took, 1),
        "processor_seconds_a_form": seconds,
        "megabytes_before": before,
        "peak_megabytes": peak,
        "peak_megabytes_of_its_processes": children // 1024,
    }
    print(json.dumps(result), file=sys.stderr)


def _peak_megabytes() -> int:
    """Return the peak memory of this process; getrusage includes that of its parent before the start."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _processor_seconds() -> float:
    """Return the processor time of this process and its ended children, which does not depend on the machine's load."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(pages: int, lines: int, kind: str) -> dict[str, Any]:
    """Time and memory of the worker for a document, and the names of the results."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(cloud.environment(f"http://{host}:{port}"))
    stack = prepare(pages, lines, kind)
    quiet = {"POWERTOOLS_METRICS_DISABLED": "true", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008"}
    environment = {**os.environ, **stack, **quiet}
    command = [sys.executable, "-m", "benchmarks.long_job", "--work"]
    worked = subprocess.run(command, env=environment, stderr=subprocess.PIPE, check=False)
    listed = cloud.client("s3").list_objects_v2(Bucket=stack["RESULTS"], Prefix="done/").get("Contents", ())
    sizes = {entry["Key"]: entry["Size"] // 2**20 for entry in listed}
    server.stop()
    if worked.returncode:
        raise MemoryError(worked.stderr.decode()[-2000:])
    return {"pages": pages, "lines": lines, "kind": kind, **json.loads(worked.stderr.splitlines()[-1]), "MiB": sizes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=50, help="of each page")
    parser.add_argument("--kind", choices=("tiff", "pdf"), default="tiff")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
    else:
        print(json.dumps(measure(options.pages, options.lines, options.kind)))
