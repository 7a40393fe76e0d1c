"""The API: a proxy event of a REST API goes in, its answer comes out; routes and nothing else."""

import html
import json
import os
from functools import partial
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

import paragraph_ocr
from paragraph_ocr.errors import (
    DeadlineExceeded,
    MethodNotAllowed,
    OcrError,
    RemoteFailed,
    RouteNotFound,
    TooLarge,
)
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.io.imaging import Source
from paragraph_ocr.io.limits import Limits
from service import openapi
from service.intake import IMAGE_TYPES, OCR_PARAMETERS, header, take_image, take_job, take_options, take_query
from service.negotiation import choose
from service.runtime import MAX_MEMORY, deadline_of, load_reader, logger, measure, metrics, reject, report

LIMITS = Limits(
    max_bytes=int(os.environ.get("MAX_IMAGE_BYTES", 4_500_000)),
    max_pixels=int(os.environ.get("MAX_IMAGE_PIXELS", 80_000_000)),
    max_pages=int(os.environ.get("MAX_PAGES", 10)),
    max_lines=int(os.environ.get("MAX_LINES", 500)),
    max_seconds=float(os.environ.get("MAX_SECONDS", 25)),
)
# Of a request's time, what fetching its image may take.
MAX_FETCH_SECONDS = 10.0
TAKES_URLS = os.environ.get("ALLOW_IMAGE_URL", "true") == "true"
HAS_JOBS = "TABLE" in os.environ
ORIGINS = [origin.strip() for origin in os.environ.get("CORS_ORIGINS", "").split(",") if origin.strip()]
# Lambda drops an answer above 6,291,556 bytes, in which the body stands as an escaped JSON string.
MAX_ANSWER_BYTES = 6_000_000

WEB = Path(paragraph_ocr.__file__).parent / "web"
PAGE_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "letter.jpg": "image/jpeg",
}
# The page runs its own script and nothing else, and asks nobody but this API.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
}

app = APIGatewayRestResolver(
    cors=CORSConfig(ORIGINS[0], ORIGINS[1:], allow_headers=["Idempotency-Key"], max_age=3600) if ORIGINS else None,
    # Which would print events, whatever the environment says.
    debug=False,
)
reader = load_reader(LIMITS)
_cold = True


@app.get("/", **openapi.PAGE)
def page() -> Response[Any]:
    """The web page."""
    return _page_file("index.html", app.current_event.raw_event["requestContext"].get("path") or "/")


@app.get("/web/<file>", **openapi.PAGE_FILE)
def page_file(file: str) -> Response[Any]:
    """What the web page is made of."""
    if file not in PAGE_FILES:
        raise RouteNotFound(f"The page's files are {', '.join(PAGE_FILES)}.")
    return _page_file(file, "/")


@app.get("/openapi.json", **openapi.OPENAPI)
def description() -> Response[Any]:
    """What this is all described in."""
    return _answer(openapi.FILE.read_bytes(), "application/json")


@app.get("/health", **openapi.HEALTH)
def health() -> Response[Any]:
    """Say which models are loaded."""
    return _answer(json.dumps({"models": dict(reader.models)}).encode(), "application/json")


@app.post("/ocr", **openapi.OCR)
def ocr() -> Response[Any]:
    """Read the one image of the body."""
    deadline = deadline_of(app.lambda_context, LIMITS.max_seconds)
    event = app.current_event.raw_event
    query = take_query(event, OCR_PARAMETERS)
    form = choose(header(event, "accept"), query.get("format"))
    options = take_options(query, reader.languages_known)
    data, name = take_image(event, LIMITS.max_bytes, partial(_fetch, deadline=deadline) if TAKES_URLS else None)
    try:
        with Source(data) as source:
            document = reader.read(source, name, deadline - perf_counter(), options)
            answer = render(document, form, source, deadline, MAX_MEMORY)
    except MemoryError as error:
        raise TooLarge("Reading the image takes more memory than the function has; send a smaller one.") from error
    measure(document.pages)
    content_type = FORMATS[form].content_type
    size = len(answer) * 4 // 3 if content_type in IMAGE_TYPES else len(json.dumps(answer.decode()))
    if size > MAX_ANSWER_BYTES:
        raise TooLarge("The answer is larger than one can be; send fewer pages, parts of the page, or a smaller image.")
    return _answer(answer, content_type)


@app.post("/jobs", **openapi.POST_JOB)
def post_job() -> Response[Any]:
    """Take an image to read in the background, or say where to upload it."""
    jobs = _jobs()
    event = app.current_event.raw_event
    take_query(event, ())
    request = take_job(event, LIMITS.max_bytes, TAKES_URLS)
    key = header(event, "idempotency-key")
    job = jobs.create_once(event, request, key, app.lambda_context) if key else jobs.create(event, request)
    return _answer(json.dumps(job).encode(), "application/json", 202, {"Location": job["watch"]})


@app.get("/jobs/<id>", **openapi.GET_JOB)
def get_job(id: str) -> Response[Any]:
    """Say how far a job is, and where its results are."""
    take_query(app.current_event.raw_event, ())
    return _answer(json.dumps(_jobs().watch(app.current_event.raw_event, id)).encode(), "application/json")


def no_such_route(_: NotFoundError) -> Response[Any]:
    """Tell a wrong method from a wrong path."""
    routes = json.loads(openapi.FILE.read_text(encoding="utf-8"))["paths"]
    methods = [method.upper() for method in routes.get(app.current_event.resource.rstrip("/") or "/", ())]
    if not methods:
        named = ", ".join(f"{method.upper()} {path}" for path, operations in routes.items() for method in operations)
        return refuse(RouteNotFound(f"The routes are {named}."))
    answer = refuse(MethodNotAllowed(f"Use {' or '.join(methods)}."))
    answer.headers["Allow"] = ", ".join(methods)
    return answer


def refuse(error: OcrError) -> Response[Any]:
    """Answer with what the caller can change."""
    reject(error)
    return _problem(error.problem(_request_id()))


def fail(error: Exception) -> Response[Any]:
    """Answer any other failure without a word of its cause, and log that without its message, which may quote text."""
    report(error)
    return _problem(
        {
            "type": "urn:paragraph-ocr:internal-error",
            "title": "The service failed",
            "status": 500,
            "detail": "Try again; if it fails again, report the request_id.",
            "request_id": _request_id(),
        }
    )


app.not_found(no_such_route)
app.exception_handler(OcrError)(refuse)
app.exception_handler(Exception)(fail)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    global _cold
    metrics.add_metric("ColdStart", MetricUnit.Count, int(_cold))
    _cold = False
    return app.resolve(event | {"path": _own_path(event)}, context)


def _own_path(event: dict[str, Any]) -> str:
    """The path without the one that a domain name of the account's own maps to this API, which AWS leaves in it."""
    path: str = event.get("path") or "/"
    resource: str = event.get("resource") or ""
    if not resource or "+" in resource:
        return path
    segments = [segment for segment in path.split("/") if segment]
    own = [segment for segment in resource.split("/") if segment]
    return "/" + "/".join(segments[len(segments) - len(own) :]) if len(segments) > len(own) else path


def _jobs() -> ModuleType:
    if not HAS_JOBS:
        raise RouteNotFound("This server reads nothing in the background; jobs need the deployed stack.")
    # AWS's own library takes as long to import as all the rest, and few requests need it.
    from service import jobs

    return jobs


def _fetch(url: str, deadline: float) -> bytes:
    # TLS and HTTP take long to import, and few requests need them.
    from service.fetch import fetch

    try:
        return fetch(url, LIMITS.max_bytes, min(MAX_FETCH_SECONDS, deadline - perf_counter()), IMAGE_TYPES)
    except RemoteFailed as error:
        if perf_counter() >= deadline:
            raise DeadlineExceeded("Fetching the image takes longer than the limit; send the image itself.") from error
        raise


def _page_file(file: str, here: str) -> Response[Any]:
    content = (WEB / file).read_bytes()
    if not here.endswith("/"):
        # At https://HOST/v1 a browser would look for what the page is made of in the folder above.
        content = content.replace(b'="web/', f'="{html.escape(here)}/web/'.encode())
    return _answer(content, PAGE_FILES[file], headers={"Content-Security-Policy": PAGE_POLICY})


def _request_id() -> str:
    return app.current_event.request_context.request_id or ""


def _problem(problem: dict[str, Any]) -> Response[Any]:
    return _answer(json.dumps(problem).encode(), "application/problem+json", problem["status"])


def _answer(body: bytes, content_type: str, status: int = 200, headers: dict[str, str] | None = None) -> Response[Any]:
    # What is on the stack's list of binary types travels as base64, all else as text.
    content = body if content_type in IMAGE_TYPES else body.decode()
    return Response(status, content_type, content, headers={**HEADERS, **(headers or {})})
