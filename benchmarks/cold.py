"""Measure the time from the start of a process to the text of a first page, for this reader and its peers in turn.

    python -m benchmarks.cold --peers build/peers/bin/python

This reader is started by Lambda's runtime client, which asks an imitation of Lambda's runtime API for its request; the
peers are started as a program that uses them would be. Each runs on one core, its files in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from tqdm import tqdm

from benchmarks import readers
from benchmarks.pages import LETTER
from benchmarks.report import ROOT, publish, table
from local.serve import proxy_event

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS = "paragraph-ocr"
MAX_SECONDS = 30.0
STEPS = ("interpreter and runtime client", "imports", "sessions", "warm-up", "first page")


class RuntimeApi(HTTPServer):
    """Lambda's runtime interface for one event, with the times of its request and its answer."""

    def __init__(self, event: dict[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.event = json.dumps(event).encode()
        self.asked = self.answered = 0.0
        self.answer = b""


class _Request(BaseHTTPRequestHandler):
    server: RuntimeApi

    def do_GET(self) -> None:
        self.server.asked = monotonic()
        self._respond(200, self.server.event)

    def do_POST(self) -> None:
        self.server.answer = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answered = monotonic()
        self._respond(202, b"")

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:reader")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def ours() -> dict[str, float]:
    """Seconds of each step."""
    event = proxy_event("POST", "/ocr", [("Content-Type", "image/jpeg")], LETTER.read_bytes())
    api = RuntimeApi(event)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        environment = os.environ | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "reader",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "PYTHONPATH": f"{ROOT / 'function'}:{ROOT}",
            "TRACE": str(trace),
        }
        command = [sys.executable, "-m", "awslambdaric", "benchmarks.traced.handler"]
        start = monotonic()
        process = subprocess.Popen(command, cwd=ROOT / "function", env=environment, stdout=subprocess.DEVNULL)
        api.timeout = MAX_SECONDS
        try:
            for _ in ("asked", "answered"):
                api.handle_request()
        finally:
            process.kill()
            process.wait()
            api.server_close()
        moments = json.loads(trace.read_text(encoding="utf-8"))
    if json.loads(api.answer or "{}").get("statusCode") != 200:
        raise RuntimeError(f"The letter was not read: {api.answer.decode()}")
    waiting = moments["sessions"] + moments["warm-up"]
    steps = (moments["begun"] - start, moments["ready"] - moments["begun"] - waiting)
    return dict(
        zip(STEPS, (*steps, moments["sessions"], moments["warm-up"], api.answered - moments["ready"]), strict=True)
    )


def peer(name: str, python: str) -> dict[str, float]:
    """Return the seconds until a reader is ready, and until it has read."""
    start = monotonic()
    with readers.Worker(name, python) as worker:
        ready = monotonic()
        worker.read(LETTER)
        return {"ready": ready - start, "first page": monotonic() - ready}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cold", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", required=True, help="the Python that has RapidOCR (make build/peers)")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    starts: dict[str, Callable[[], dict[str, float]]] = {
        OURS: ours,
        "rapidocr": lambda: peer("rapidocr", arguments.peers),
        "tesseract": lambda: peer("tesseract", sys.executable),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in starts}
    for _ in tqdm(range(arguments.runs + 1), desc="runs"):
        for name, start in starts.items():
            runs[name].append(start())
    # The first run of each reader, which fills the page cache, does not count.
    totals = {name: statistics.median(sum(run.values()) for run in found[1:]) for name, found in runs.items()}
    steps = {step: statistics.median(run[step] for run in runs[OURS][1:]) for step in STEPS}
    lines = [
        table(
            ("reader", "start to first page, s", "times ours"),
            [(name, f"{total:.2f}", f"{total / totals[OURS]:.1f}") for name, total in totals.items()],
        ),
        table(("step of ours", "s"), [(step, f"{seconds:.2f}") for step, seconds in steps.items()]),
        f"Medians of {arguments.runs} starts each, in turn, one core, a letter of ten lines.",
    ]

    def draw(axes: Axes) -> None:
        left = 0.0
        for step, seconds in steps.items():
            axes.barh([OURS], [seconds], left=[left], label=step)
            left += seconds
        for name, total in totals.items():
            if name != OURS:
                axes.barh([name], [total], color="grey")
        axes.invert_yaxis()
        axes.set_xlabel("seconds from process start to first page")
        axes.legend(fontsize=7)

    publish("cold", {"runs": arguments.runs, "seconds": totals, "steps": steps}, "\n\n".join(lines), draw)


if __name__ == "__main__":
    main()
