"""The client reads through the local server, repeats what failed for a while, and trusts no answer."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import Cloud
from pages import draw_page

import paragraph_ocr.client as client_module
from local.cloud import poll
from local.screenshots import served
from local.serve import load_handler
from paragraph_ocr.api import Reader
from paragraph_ocr.client import (
    ApiError,
    Client,
    Job,
    JobFailed,
    Options,
    TextFormat,
    UnexpectedAnswer,
    Unreachable,
)
from paragraph_ocr.document import Block, Document, Line, Page, TextStyle, Word
from paragraph_ocr.formats import FORMATS, render
from service import openapi, worker
from service import routes as app

ROOT = Path(__file__).parents[1]
LETTER = ROOT / "samples" / "letter.jpg"
KEY = "secret-key"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The API on this machine, as `make serve` runs it."""
    with pytest.MonkeyPatch.context() as patch:
        # `load_handler` sets it for good.
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        with served(load_handler()) as gateway:
            yield gateway.url


def test_reads_what_the_reader_reads(url: str) -> None:
    with Client(url) as client, LETTER.open("rb") as file:
        document = client.read(LETTER)
        assert document.image == "letter.jpg"
        of_file, of_bytes = client.read(file, "mine"), client.read(LETTER.read_bytes())
    own = Reader().read(LETTER)
    assert document.text == own.text
    assert of_file.image == "mine"
    assert of_bytes.image == "image"
    ((remote,), (local,)) = (document.pages, own.pages)
    expected = {**local.to_dict(), "image": "letter.jpg", "timings_ms": remote.to_dict()["timings_ms"]}
    assert remote.to_dict() == expected


def test_other_formats_are_text_or_bytes(url: str) -> None:
    with Client(url) as client:
        texts = {form: client.read(LETTER, format=form) for form in ("text", "markdown", "hocr", "alto")}
        pdf = client.read(LETTER, format="pdf")
    assert texts["text"].splitlines()[0] == client_text(url).splitlines()[0]
    assert "ocr_line" in texts["hocr"]
    assert "<alto" in texts["alto"]
    assert pdf.startswith(b"%PDF-")


def client_text(url: str) -> str:
    with Client(url) as client:
        return client.read(LETTER).text


def test_a_problem_is_an_error_with_its_detail(url: str) -> None:
    with Client(url) as client:
        with pytest.raises(ApiError) as unsupported:
            client.read(b"no image at all")
        with pytest.raises(ApiError, match="the parameters are format, lang, pages") as unknown:
            client.read(LETTER, language="de")  # type: ignore[call-overload]
        with pytest.raises(ApiError) as jobs:
            client.submit(LETTER)
    assert (unsupported.value.status, unsupported.value.type) == (415, "urn:paragraph-ocr:unsupported-format")
    assert unsupported.value.detail
    assert unsupported.value.request_id
    assert unknown.value.status == 400
    assert (jobs.value.status, jobs.value.title) == (404, "There is no such route")


def test_the_options_and_formats_are_those_of_the_api() -> None:
    parameters = json.loads(openapi.FILE.read_text(encoding="utf-8"))["paths"]["/ocr"]["post"]["parameters"]
    assert ["format", *Options.__annotations__] == [each["name"] for each in parameters]
    assert {*get_args(TextFormat), "json", "pdf"} == set(FORMATS)


# ---- Jobs, on moto's server


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(app, "SETTINGS", cloud.settings)
    monkeypatch.setattr(worker, "_worker", worker.Worker(cloud.settings, app.reader))
    return cloud


# On Lambda each handler has a process to itself; here two share one, and the metrics in it.
TURN = threading.Lock()


def in_turn(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The handler, invoked only while no other is."""

    def invoke(event: Any, context: Any) -> Any:
        with TURN:
            return handler(event, context)

    return invoke


@contextmanager
def working(cloud: Cloud) -> Iterator[None]:
    """A worker that takes what the queue has."""
    over = threading.Event()
    context: Any = SimpleNamespace(
        function_name="worker",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn",
        aws_request_id="id",
        get_remaining_time_in_millis=lambda: 300_000,
    )

    def work() -> None:
        while not over.is_set():
            if not poll(cloud["QUEUE_URL"], lambda event: in_turn(worker.handler)(event, context)):
                over.wait(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def tiff(*texts: str) -> bytes:
    images = [draw_page([text])[0] for text in texts]
    buffer = io.BytesIO()
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


@pytest.mark.slow
def test_a_job_uploads_waits_and_loads_its_results(stack: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    data = tiff("a stone bridge", "the river bank")
    with served(in_turn(app.handler)) as gateway, Client(gateway.url, KEY) as client, working(stack):
        document = client.read_job(data, "two pages.tif", interval=0.1, progress=True)
        states: list[Job] = []
        job = client.wait(client.submit(data), interval=0.1, progress=states.append)
        markdown = client.result(job.id, format="markdown")
        pdf = client.result(job, format="pdf")
    assert document.image == "two pages.tif"
    assert [page.page for page in document.pages] == [1, 2]
    assert document.text == Reader().read(data).text
    assert markdown.count("---") == 1
    assert pdf.startswith(b"%PDF-")
    assert states[-1] == job
    assert (job.state, job.done.pages, job.total.pages) == ("done", 2, 2)
    shown = capsys.readouterr().err
    assert "two pages.tif: done: 100%" in shown
    assert "2/2" in shown


@pytest.mark.slow
def test_a_job_heeds_its_options(stack: Cloud) -> None:
    with served(in_turn(app.handler)) as gateway, Client(gateway.url) as client, working(stack):
        document = client.read_job(tiff("a stone bridge", "the river bank"), pages="2", interval=0.1)
    assert [(page.page, page.text) for page in document.pages] == [(2, "the river bank")]


def test_lines_that_a_pdf_carries_say_so() -> None:
    page = replace(PAGE, lines=(replace(PAGE.lines[0], source="pdf"),))
    with lying(as_json(page.to_dict())) as server, quick(server) as client:
        assert client.read(b"image").pages[0].lines[0].source == "pdf"


@pytest.mark.slow
def test_a_failed_job_tells_its_problem_and_one_without_a_worker_times_out(stack: Cloud) -> None:
    with served(in_turn(app.handler)) as gateway, Client(gateway.url) as client:
        job = client.submit(b"no image at all")
        with pytest.raises(TimeoutError, match=f"{job.id} is waiting"):
            client.wait(job, timeout=0.2, interval=0.1)
        with pytest.raises(ValueError, match="is waiting; wait for it first"):
            client.result(job)
        with working(stack), pytest.raises(JobFailed) as failed:
            client.wait(job, timeout=60, interval=0.1)
        with pytest.raises(JobFailed):
            client.result(job)
        with pytest.raises(ApiError, match="There is no such job"):
            client.wait("0" * 32)
    assert (failed.value.status, failed.value.type) == (415, "urn:paragraph-ocr:unsupported-format")


@pytest.mark.slow
def test_the_documented_example_works(
    stack: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    draw_page(["a stone bridge"])[0].save("page.jpg")
    draw_page(["the river bank"])[0].save("register.pdf")
    found: dict[str, Any] = {}
    with served(in_turn(app.handler)) as gateway, working(stack):
        exec(code.replace("https://HOST/v1", gateway.url), found)
    assert found["document"].text == found["markdown"].strip() == "a stone bridge"
    assert found["register"].text == found["text"].strip() == "the river bank"
    assert "\n415 The image format is not supported " in f"\n{capsys.readouterr().out}"


# ---- A server that fails and lies

Reply = tuple[int, dict[str, str], bytes]
BREAK = (0, {}, b"")


class Asked(SimpleNamespace):
    """A request that the server has got."""

    method: str
    target: str
    headers: Any
    body: bytes


class Liar(ThreadingHTTPServer):
    """Gives its replies one after another, the last of them again and again; `BREAK` ends the connection."""

    def __init__(self, *replies: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Lies)
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Lies(BaseHTTPRequestHandler):
    server: Liar

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(Asked(method=self.command, target=self.path, headers=self.headers, body=body))
        status, headers, content = self.server.replies[0]
        del self.server.replies[: len(self.server.replies) > 1]
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def lying(*replies: Reply) -> Iterator[Liar]:
    with Liar(*replies) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def as_json(content: object, status: int = 200, **headers: str) -> Reply:
    kind = "application/json" if status < 300 else "application/problem+json"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": kind, **named}, json.dumps(content).encode()


def problem(status: int, kind: str = "too-many", **headers: str) -> Reply:
    content = {"type": f"urn:paragraph-ocr:{kind}", "title": "No", "status": status, "detail": "Mend it."}
    return as_json(content, status, **headers)


def line(text: str, confidence: float = 0.99) -> Line:
    corners = ((0.0, 0.0), (9.0, 0.0), (9.0, 5.0), (0.0, 5.0))
    words = tuple(Word(word, confidence, corners) for word in text.split())
    return Line(text, confidence, corners, ((0.0, 4.0), (9.0, 4.0)), words)


PAGE = Page("a.png", 1, 10, 10, 0, (line("a"),), {"detector": "d@1", "recognizer": "r@1"}, {"total": 1.0})
GOOD = as_json(PAGE.to_dict())


def quick(server: Liar, key: str | None = None, **more: Any) -> Client:
    return Client(server.url, key, **{"backoff": 0.001, "timeout": 5.0, **more})


def test_what_fails_for_a_while_is_repeated_unchanged() -> None:
    replies = [BREAK, problem(503), problem(429), problem(502), GOOD]
    with lying(*replies) as server, quick(server, KEY) as client:
        assert client.read(b"image", lang=["de", "fr"], mark=True, pages="2-").text == "a"
    assert len(server.asked) == 5
    first, *_, last = server.asked
    for asked in (first, last):
        assert asked.headers["x-api-key"] == KEY
        assert parse_qs(urlsplit(asked.target).query) == {"lang": ["de,fr"], "mark": ["true"], "pages": ["2-"]}
        assert b"\r\n\r\nimage\r\n" in asked.body


def test_it_gives_up_after_its_retries() -> None:
    with lying(problem(503)) as server, quick(server, retries=2) as client:
        with pytest.raises(ApiError) as refused:
            client.read(b"image")
        assert len(server.asked) == 3
    assert str(refused.value) == "No (503): Mend it."
    with lying(BREAK) as server, quick(server, retries=1) as client:
        with pytest.raises(Unreachable):
            client.read(b"image")
        assert len(server.asked) == 2
    # Nobody listens there any more.
    with quick(server, retries=1) as client, pytest.raises(Unreachable, match=r"127\.0\.0\.1 cannot be reached"):
        client.read(b"image")


@pytest.mark.parametrize(
    "reply",
    [problem(status) for status in (400, 401, 403, 404, 406, 408, 413, 415, 422, 500)]
    + [problem(504, "deadline-exceeded"), problem(503, Retry_After="3600")],
)
def test_what_another_attempt_does_not_mend_is_not_repeated(reply: Reply) -> None:
    with lying(reply) as server, quick(server) as client:
        with pytest.raises(ApiError) as refused:
            client.read(b"image")
        assert len(server.asked) == 1
    assert (refused.value.status, refused.value.title, refused.value.detail) == (reply[0], "No", "Mend it.")


@pytest.mark.parametrize("named", ["seconds", "date"])
def test_it_waits_as_long_as_the_server_asks(named: str) -> None:
    in_two_seconds = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wait = "1" if named == "seconds" else in_two_seconds
    with lying(problem(503, Retry_After=wait), GOOD) as server, quick(server) as client:
        start = time.monotonic()
        client.read(b"image")
        # A date has no fractions of a second.
        assert time.monotonic() - start >= (1.0 if named == "seconds" else 0.9)


@pytest.mark.parametrize(
    "wait",
    [
        *("-1", "soon", "nan", "1e9999", "", "Mon, 99 Foo 2026 00:00:00 GMT"),
        f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT",
        f"Mon, 01 Jan 2026 00:00:00 +{'9' * 20}",
    ],
)
def test_a_wait_that_is_none_is_ignored(wait: str) -> None:
    with lying(problem(503, Retry_After=wait), GOOD) as server, quick(server) as client:
        client.read(b"image")
        assert len(server.asked) == 2


def test_a_job_is_made_once_however_often_the_request_is_sent() -> None:
    waiting = {"id": "a1", "state": "waiting", "watch": "https://x", "expires": "2026-12-01T00:00:00Z"}
    with lying((204, {}, b"")) as storage:
        upload = {"url": f"{storage.url}/inbox", "fields": {"key": "jobs/a1"}}
        replies = [problem(503), problem(409, "idempotency-key-in-use"), as_json({**waiting, "upload": upload}, 202)]
        with lying(*replies) as server, quick(server, KEY) as client:
            assert client.submit(b"image", "a\nb.png", lang="de", mark=False, pages=None).id == "a1"  # type: ignore[arg-type]
    keys = {asked.headers["Idempotency-Key"] for asked in server.asked}
    assert (len(server.asked), len(keys)) == (3, 1)
    assert json.loads(server.asked[0].body) == {"image_name": "a b.png"}
    assert server.asked[0].target == "/jobs?lang=de&mark=false"
    # The storage gets the file and neither key.
    (uploaded,) = storage.asked
    assert uploaded.body.index(b"jobs/a1") < uploaded.body.index(b"image")
    assert KEY not in str(uploaded.headers)
    assert "Idempotency-Key" not in uploaded.headers


def test_storage_that_refuses_an_upload_says_why() -> None:
    refusal = (
        400,
        {"Content-Type": "application/xml"},
        b"<Error><Message>Your proposed upload exceeds</Message></Error>",
    )
    with lying(refusal) as storage:
        upload = {"url": storage.url, "fields": {}}
        job = {"id": "a1", "state": "waiting", "watch": "", "expires": "", "upload": upload}
        with lying(as_json(job, 202)) as server, quick(server) as client, pytest.raises(ApiError) as refused:
            client.submit(b"image")
    assert (refused.value.status, refused.value.detail) == (400, "Your proposed upload exceeds")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirection_is_followed(status: int) -> None:
    with lying(GOOD) as other, lying((status, {"Location": f"{other.url}/ocr"}, b"")) as server:
        with quick(server, KEY) as client, pytest.raises(UnexpectedAnswer, match=r"redirects to 127\.0\.0\.1, which"):
            client.read(b"image")
        assert other.asked == []
        assert len(server.asked) == 1


def changed(**entries: object) -> Reply:
    return as_json({**PAGE.to_dict(), **entries})


LIES: dict[str, Reply] = {
    "HTML": (200, {"Content-Type": "text/html"}, b"<p>Log in"),
    "no JSON": (200, {"Content-Type": "application/json"}, b"{"),
    "no UTF-8": (200, {"Content-Type": "application/json"}, b'{"text": "\xff"}'),
    "nothing": (200, {"Content-Type": "application/json"}, b""),
    "a list": as_json([PAGE.to_dict()]),
    "an empty object": as_json({}),
    "deep": (200, {"Content-Type": "application/json"}, b'{"pages":' * 100_000),
    "no pages": changed(pages=[]),
    "pages of text": changed(pages="text"),
    "a number as text": changed(lines=[{**PAGE.to_dict()["lines"][0], "text": 1}]),
    "no words": changed(lines=[{**PAGE.to_dict()["lines"][0], "words": None}]),
    "points of three": changed(lines=[{**PAGE.to_dict()["lines"][0], "polygon": [[1, 2, 3]]}]),
    "not a number": (200, {"Content-Type": "application/json"}, GOOD[2].replace(b"0.99", b"NaN")),
    "size of a page": changed(width="wide"),
    "size without end": changed(width=float("inf")),
    "place without end": changed(
        lines=[{**PAGE.to_dict()["lines"][0], "polygon": [[float("inf"), 1], [2, 3], [4, 5]]}]
    ),
    "page without end": changed(page=float("inf")),
    "place of a line": changed(blocks=[{"type": "paragraph", "lines": [None]}]),
    "cut off": (200, {"Content-Type": "application/json", "Content-Length": "100000"}, b"{"),
    "broken compression": (200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"no gzip"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_is_none_is_an_error_of_the_client(lie: str) -> None:
    with lying(LIES[lie]) as server, quick(server, retries=0) as client:
        with pytest.raises((UnexpectedAnswer, Unreachable)) as found:
            client.read(b"image")
        assert len(str(found.value)) < 300


@pytest.mark.parametrize("compressed", [False, True])
def test_an_answer_that_is_too_large_is_not_taken_in(monkeypatch: pytest.MonkeyPatch, compressed: bool) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 100_000)
    content = bytes(50_000_000)
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if compressed else {})
    reply = (200, headers, gzip.compress(content) if compressed else content)
    with lying(reply) as server, quick(server) as client:
        with pytest.raises(UnexpectedAnswer, match=r"127\.0\.0\.1 has more than 100,000 bytes"):
            client.read(b"image")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((403, {"Content-Type": "text/html"}, b"<h1>Denied</h1>"), "Forbidden (403)"),
        (as_json({"message": "Limit \x1b[2J Exceeded"}, 403), r"Limit \x1b[2J Exceeded (403)"),
        (as_json(["a"], 403), "Forbidden (403)"),
        ((999, {}, b""), "The request failed (999)"),
    ],
)
def test_errors_of_a_proxy_are_told_without_its_page(reply: Reply, told: str) -> None:
    with lying(reply) as server, quick(server) as client, pytest.raises(ApiError) as refused:
        client.read(b"image")
    assert str(refused.value) == told


def test_endless_counts_of_a_job_are_an_error_of_the_client() -> None:
    counts = {"pages": float("inf"), "lines": 0}
    job = {"id": "a1", "image": "a.png", "state": "running", "expires": "", "done": counts, "total": counts}
    with lying(as_json(job)) as server, quick(server) as client, pytest.raises(UnexpectedAnswer):
        client.job("a1")


@pytest.mark.parametrize(
    "entries",
    [{"id": "../health"}, {"state": "lost"}, {"upload": None}, {"upload": {"url": "file:///etc/passwd", "fields": {}}}],
)
def test_a_job_that_is_none_is_refused(entries: dict[str, object]) -> None:
    upload = {"url": "http://127.0.0.1:9/", "fields": {}}
    job = {"id": "a1", "state": "waiting", "watch": "", "expires": "", "upload": upload, **entries}
    with lying(as_json(job, 202)) as server, quick(server) as client, pytest.raises(UnexpectedAnswer):
        client.submit(b"image")


def test_links_of_a_secure_api_are_secure() -> None:
    with Client("https://example.com/v1") as client:
        assert client._link("https://bucket.example.com/a") == "https://bucket.example.com/a"
        with pytest.raises(ValueError, match="no secure link"):
            client._link("http://bucket.example.com/a")


@pytest.mark.parametrize(
    "url", ["", "example.com", "ftp://example.com", "https://", "https://a:b@example.com", "https://h/?x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url must be the address of the API"):
        Client(url)


def test_the_key_is_one_and_is_not_shown() -> None:
    with Client("https://example.com", f" {KEY}\n") as client:
        assert KEY not in repr(client)
        assert client._key == KEY
    with pytest.raises(ValueError, match="key must be"):
        Client("https://example.com", "a\r\nHost: b")


def test_requests_can_be_signed() -> None:
    def sign(request: Any) -> Any:
        request.headers["Authorization"] = f"signed {request.method}"
        return request

    with lying(GOOD) as server, quick(server, KEY, auth=sign) as client:
        client.read(b"image")
    assert server.asked[0].headers["Authorization"] == "signed POST"


def test_what_cannot_be_sent_is_said_before(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9") as client:
        with pytest.raises(ValueError, match="4,500,001 bytes, and a request can carry 4,500,000; use read_job"):
            client.read(bytes(4_500_001))
        with pytest.raises(ValueError, match="format must be one of json, text"):
            client.read(b"image", format="docx")  # type: ignore[call-overload]
        with pytest.raises(FileNotFoundError):
            client.read(tmp_path / "none.png")
        with pytest.raises(ValueError, match="The id of a job"):
            client.job("../health")


def test_joined_text_comes_back_with_its_hyphens() -> None:
    lines = tuple(map(line, ["A well-", "known divi-", "ded word", "more"]))
    blocks = (Block("paragraph", (0, 1, 2)), Block("paragraph", (3,)))
    style = TextStyle(joined=True, hyphens=(1,))
    page = replace(PAGE, lines=lines, blocks=blocks, style=style)
    with lying(as_json(page.to_dict())) as server, quick(server) as client:
        document = client.read(b"image", lines="joined")
    assert document.text == page.text == "A well-known divided word\n\nmore"
    assert document.to_text() == page.to_text()
    assert render(document, "markdown", b"") == render(Document("a.png", (page,)), "markdown", b"")


def test_marked_text_comes_back_with_its_marks() -> None:
    page = replace(PAGE, lines=(line("sure"), line("doubtful", 0.84996)), style=TextStyle(marked=True))
    with lying(as_json(page.to_dict())) as server, quick(server) as client:
        document = client.read(b"image", mark=True)
    assert document.text == page.text


CODE = """
import sys
{before}
import paragraph_ocr.client
print(*sorted({{"numpy", "cv2", "onnxruntime", "PIL", "tqdm", "boto3"}} & set(sys.modules)))
"""


def run(before: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE.format(before=before)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "function")}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_it_loads_nothing_of_reading() -> None:
    assert run().stdout == "\n"


def test_without_its_extra_it_says_so() -> None:
    assert "pip install 'paragraph-ocr[client]'" in run("sys.modules['requests'] = None").stderr
