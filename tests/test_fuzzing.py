"""Whatever comes in, the handler answers soon and in its own words; FUZZ_CASES=10000 makes a night of it."""

import base64
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import mul
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standins import StillReader

from benchmarks.hostile import mutated, valid_files
from paragraph_ocr.errors import UrlRefused
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.io.limits import Limits
from service import fetch
from service import routes as app
from service.intake import IMAGE_TYPES

CASES = int(os.environ.get("FUZZ_CASES", "500"))
NIGHTLY = CASES > 500
# Each is opened by a process of its own.
OWN_PROCESS = ("AVIF", "HEIC", "JPEG TIFF", "PDF")
LIMITS = Limits(max_bytes=100_000, max_pixels=1_000_000, max_pages=3, max_lines=50, max_seconds=5)
MAX_SECONDS = 10.0
MAX_GROWTH = 400 * 2**20
RECORDED = json.loads((Path(__file__).parents[1] / "events" / "ocr.json").read_text())
CONTEXT: Any = SimpleNamespace(
    function_name="reader",
    memory_limit_in_mb=1769,
    invoked_function_arn="arn",
    aws_request_id="id",
    get_remaining_time_in_millis=lambda: 29_000,
)
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


@pytest.fixture(scope="module", autouse=True)
def still_app() -> Iterator[None]:
    def fetched(*_: Any) -> bytes:
        raise UrlRefused("not in tests")

    with pytest.MonkeyPatch.context() as patch:
        settings = replace(
            app.SETTINGS,
            max_image_bytes=LIMITS.max_bytes,
            max_image_pixels=LIMITS.max_pixels,
            max_pages=LIMITS.max_pages,
            max_lines=LIMITS.max_lines,
            max_seconds=LIMITS.max_seconds,
        )
        patch.setattr(app, "SETTINGS", settings)
        patch.setattr(app, "reader", StillReader(LIMITS))
        patch.setattr(fetch, "fetch", fetched)
        patch.setattr(app.logger.registered_handler, "stream", io.StringIO())
        yield


@contextmanager
def bounded_memory() -> Iterator[None]:
    """The process may not grow beyond the bound at any moment; native allocations count."""
    if sys.platform != "linux":
        yield
        return
    status = Path("/proc/self/status")
    # Sets the peak back to what is used now.
    Path("/proc/self/clear_refs").write_text("5")
    (before,) = PEAK.findall(status.read_text())
    yield
    (after,) = PEAK.findall(status.read_text())
    assert (int(after) - int(before)) * 1024 < MAX_GROWTH


def spent() -> float:
    """Seconds of processors that this process and those it started have used; a busy machine takes no more of them."""
    return sum(os.times()[:4])


def check(event: dict[str, Any]) -> int:
    """Answer an event; the status, which tells of no failure of the service's own."""
    start = spent()
    answer = app.handler(event, CONTEXT)
    assert spent() - start < MAX_SECONDS
    status: int = answer["statusCode"]
    json.dumps(answer).encode()
    if status == 200:
        return status
    assert 400 <= status < 500
    problem = json.loads(answer["body"])
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    assert "Traceback" not in answer["body"]
    assert str(Path.cwd()) not in answer["body"]
    return status


@pytest.mark.parametrize("name", valid_files())
def test_damaged_files_are_read_or_refused(name: str) -> None:
    files = valid_files()
    others = list(files.values())
    seed = int.from_bytes(os.urandom(4)) if NIGHTLY else 1
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    statuses = set()
    event = {**RECORDED, "headers": {"Content-Type": "image/jpeg"}, "isBase64Encoded": True}
    cases = CASES // 50 if name in OWN_PROCESS else CASES // (len(files) - len(OWN_PROCESS)) + 1
    with bounded_memory():
        for _ in range(cases):
            data = mutated(files[name], others[rng.integers(len(others))], rng)
            body = base64.b64encode(data).decode()
            try:
                statuses.add(check({**event, "body": body}))
            except BaseException:
                print(body)
                raise
    assert statuses <= {200, 400, 413, 415, 422}
    assert statuses & {413, 415, 422}
    assert check({**event, "body": base64.b64encode(files[name]).decode()}) == 200


PNG = base64.b64encode(valid_files()["PNG"]).decode()
TEXT = st.text(max_size=40)
FIELDS = st.dictionaries(
    st.sampled_from(["image_base64", "image_url", "image_name"]) | TEXT,
    st.sampled_from([PNG, f"data:image/png;base64,{PNG}", "https://example.com/a.png", "https://[::1]:x/"])
    | st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | TEXT, st.lists, max_leaves=5),
    max_size=3,
)
PART = b"Content-Disposition: form-data; name="
PARTS = [b"--edge", b"--edge--", b"\r\n", b"\r\n\r\n", b"Content-Length: -1", b"\0", b":", b" ", valid_files()["PNG"],
         PART + b'"image"', PART + b'"image_name"; filename="\xff"', PART + b"image; filename*=utf-8''%ff"]  # fmt: skip
JSON = (
    FIELDS.map(json.dumps)
    | st.builds(mul, st.sampled_from(["[", '{"a":', '{"image_base64":']), st.integers(1, 50_000))
    | st.text('{}[]":,image_base64\\u0 9', max_size=60)
)
FORM = st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)
WILD = TEXT | st.text(st.characters(exclude_categories=[]), max_size=40)
JSON_TYPES = st.sampled_from(["application/json", "APPLICATION/JSON; charset=x"])
FORM_TYPES = st.sampled_from(["multipart/form-data; boundary=edge", 'multipart/form-data; boundary="ed\\ge"',
                              "multipart/form-data", "multipart/form-data; boundary=\n"])  # fmt: skip


def as_bytes(data: bytes) -> tuple[str, bool]:
    return base64.b64encode(data).decode(), True


REQUESTS = st.one_of(
    st.tuples(JSON_TYPES, st.tuples(JSON | WILD | st.none(), st.just(False))),
    st.tuples(JSON_TYPES, JSON.map(lambda text: as_bytes(text.encode())) | st.binary().map(as_bytes)),
    st.tuples(FORM_TYPES, (FORM | st.binary()).map(as_bytes)),
    st.tuples(st.sampled_from(IMAGE_TYPES), st.binary().map(as_bytes) | st.tuples(WILD | st.none(), st.booleans())),
    st.tuples(TEXT, st.tuples(WILD | st.none(), st.booleans())),
)
ACCEPTED = (
    st.just("*/*")
    | st.sampled_from([form.content_type for form in FORMATS.values()])
    | TEXT
    | st.lists(
        st.sampled_from(["text/plain", "*/*", "application/*", ";", ",", "q=0.5", "q=", ";q=1", "a/b"]), max_size=6
    ).map("".join)
)
HEADERS = st.dictionaries(TEXT, TEXT, max_size=3)
FORMS = st.sampled_from(list(FORMATS)) | TEXT
QUERIES = st.none() | st.just({}) | st.dictionaries(st.just("format") | TEXT, FORMS, max_size=2)


@given(sent=REQUESTS, accept=ACCEPTED, headers=HEADERS, query=QUERIES)
@settings(max_examples=CASES // 2, deadline=None, derandomize=not NIGHTLY, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
def test_any_request_is_answered(
    sent: tuple[str, tuple[str | None, bool]], accept: str, headers: dict[str, str], query: dict[str, str] | None
) -> None:
    content_type, (content, is_base64) = sent
    check(
        {
            **RECORDED,
            "body": content,
            "isBase64Encoded": is_base64,
            "headers": {"Content-Type": content_type, "Accept": accept, **headers},
            "queryStringParameters": query,
        }
    )


@given(method=st.sampled_from(["GET", "HEAD", "PUT", "OPTIONS"]) | TEXT, path=st.just("/web/") | TEXT, origin=TEXT)
@settings(max_examples=CASES // 10, deadline=None, derandomize=not NIGHTLY, database=None)
def test_any_route_is_answered(method: str, path: str, origin: str) -> None:
    headers = {"headers": {"Origin": origin}, "multiValueHeaders": {"Origin": [origin]}}
    check({**RECORDED, **headers, "httpMethod": method, "path": f"/x{path}", "resource": f"/x{path}"})
