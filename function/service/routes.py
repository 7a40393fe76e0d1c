"""Routes of the HTTP API, for proxy events of a REST API."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

import paragraph_ocr
from paragraph_ocr.document import Page
from paragraph_ocr.errors import (
    BrokenDocument,
    DeadlineExceeded,
    MalformedRequest,
    MethodNotAllowed,
    OcrError,
    RemoteFailed,
    RouteNotFound,
    TooLarge,
)
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.io.file_format import format_of
from paragraph_ocr.io.imaging import Source, count_pages, decode_pages
from service import openapi
from service.intake import (
    CONVERT_PARAMETERS,
    IMAGE_TYPES,
    JOB_PARAMETERS,
    OCR_PARAMETERS,
    header,
    parse_document,
    parse_image,
    parse_job,
    parse_options,
    parse_query,
)
from service.negotiation import choose
from service.runtime import (
    deadline_of,
    load_reader,
    log_failure,
    log_rejection,
    logger,
    metrics,
    record_pages,
    send_metrics,
)
from service.settings import Settings

if TYPE_CHECKING:
    from service.jobs import Jobs

SETTINGS = Settings.from_environment()
# Time limit for fetching the image of a request.
MAX_FETCH_SECONDS = 10.0
# By how much the proportions of a smaller image may differ from those of the page that was read, by rounding.
MAX_DISTORTION = 1.03
# Lambda drops answers above 6,291,556 bytes, which contain the body as an escaped JSON string.
MAX_ANSWER_BYTES = 6_000_000

WEB = Path(paragraph_ocr.__file__).parent / "web"
PAGE_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "editor.js": "text/javascript; charset=utf-8",
    "correction.js": "text/javascript; charset=utf-8",
    "drafts.js": "text/javascript; charset=utf-8",
    "letter.jpg": "image/jpeg",
}
# The page may run only its own script and send requests only to this API.
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
    cors=CORSConfig(
        SETTINGS.cors_origins[0], list(SETTINGS.cors_origins[1:]), allow_headers=["Idempotency-Key"], max_age=3600
    )
    if SETTINGS.cors_origins
    else None,
    # It would print events; an environment variable cannot turn it on either.
    debug=False,
)
reader = load_reader(SETTINGS, SETTINGS.request_limits)
_cold = True


@app.get("/", **openapi.PAGE)
def page() -> Response[Any]:
    """The web page."""
    return _page_file("index.html", app.current_event.raw_event["requestContext"].get("path") or "/")


@app.get("/web/<file>", **openapi.PAGE_FILE)
def page_file(file: str) -> Response[Any]:
    """A file of the web page."""
    if file not in PAGE_FILES:
        raise RouteNotFound(f"The page's files are {', '.join(PAGE_FILES)}.")
    return _page_file(file, "/")


@app.get("/openapi.json", **openapi.OPENAPI)
def description() -> Response[Any]:
    """The OpenAPI description."""
    return _answer(openapi.FILE.read_bytes(), "application/json")


@app.get("/health", **openapi.HEALTH)
def health() -> Response[Any]:
    """The models that are loaded."""
    model_set = reader.model_set
    named = {"model_set": {"version": model_set.version, "digest": model_set.digest}} if model_set else {}
    return _answer(json.dumps({"models": dict(reader.models), **named}).encode(), "application/json")


@app.post("/ocr", **openapi.OCR)
def ocr() -> Response[Any]:
    """Read the image of the request."""
    deadline = deadline_of(app.lambda_context, SETTINGS.max_seconds)
    event = app.current_event.raw_event
    query = parse_query(event, OCR_PARAMETERS)
    form = choose(header(event, "accept"), query.get("format"))
    options = parse_options(query, reader.languages_known)
    data, name = parse_image(
        event, SETTINGS.max_image_bytes, partial(_fetch, deadline=deadline) if SETTINGS.allow_image_url else None
    )
    try:
        with Source(data) as source:
            document = reader.read(source, name, deadline - perf_counter(), options)
            answer = render(document, form, source, deadline, SETTINGS.max_memory)
    except MemoryError as error:
        raise TooLarge("Reading the image takes more memory than the function has; send a smaller one.") from error
    record_pages(document.pages)
    return _answer_in(form, answer)


@app.post("/convert", **openapi.CONVERT)
def convert() -> Response[Any]:
    """Write a document that a person corrected in an output format."""
    # Few requests need it.
    from paragraph_ocr.correction import parse_document as parse_corrected

    deadline = deadline_of(app.lambda_context, SETTINGS.max_seconds)
    event = app.current_event.raw_event
    query = parse_query(event, CONVERT_PARAMETERS)
    form = choose(header(event, "accept"), query.get("format"))
    options = parse_options(query, reader.languages_known)
    content, image = parse_document(event, SETTINGS.max_image_bytes)
    document = parse_corrected(content, SETTINGS.max_pages, SETTINGS.max_lines)
    pages = tuple(
        replace(page, style=reader.text_style(page.lines, page.layout, options), upright=options.upright)
        for page in document.pages
    )
    if form != "pdf":
        return _answer_in(form, render(replace(document, pages=pages), form, b"", deadline))
    if image is None:
        raise MalformedRequest(
            "A searchable PDF shows the image; send it, too: as image_base64 in the JSON, or as the field image of a "
            "form."
        )
    with Source(image) as source:
        count = count_pages(source, SETTINGS.request_limits)
        numbers = tuple(page.page for page in pages)
        if numbers[-1] > count:
            raise BrokenDocument(
                f"The document has a page {numbers[-1]}, the image {count}; send the image that was read."
            )
        if format_of(image) != "PDF":
            _check_images(source, pages, deadline)
        document = replace(document, pages=pages, numbers=() if len(pages) == count else numbers)
        try:
            return _answer_in(form, render(document, form, source, deadline, SETTINGS.max_memory))
        except MemoryError as error:
            raise TooLarge("Writing the PDF takes more memory than the function has; send a smaller image.") from error


def _check_images(source: Source, pages: Sequence[Page], deadline: float) -> None:
    """Raise an error if the images of pages do not decode, or have other proportions, so that text would not fit."""
    limits = replace(SETTINGS.request_limits, max_seconds=deadline - perf_counter())
    decoded = decode_pages(source, limits, ranges=tuple((page.page, page.page) for page in pages))
    for page, image in zip(pages, decoded, strict=True):
        height, width = image.pixels.shape
        if not 1 / MAX_DISTORTION < width * page.height / (height * page.width) < MAX_DISTORTION:
            raise BrokenDocument(
                f"The image of page {page.page} has {width} x {height} pixels, the document {page.width} x "
                f"{page.height}; send the image that was read."
            )


@app.post("/jobs", **openapi.POST_JOB)
def post_job() -> Response[Any]:
    """Create a job for an image, or for an upload."""
    jobs = _jobs()
    event = app.current_event.raw_event
    query = parse_query(event, JOB_PARAMETERS)
    # Refused here rather than by the worker.
    parse_options(query, reader.languages_known)
    request = replace(parse_job(event, SETTINGS.max_image_bytes, SETTINGS.allow_image_url), options=query)
    key = header(event, "idempotency-key")
    job = jobs.create_once(event, request, key, app.lambda_context) if key else jobs.create(event, request)
    return _answer(json.dumps(job).encode(), "application/json", 202, {"Location": job["watch"]})


@app.get("/jobs/<id>", **openapi.GET_JOB)
def get_job(id: str) -> Response[Any]:
    """State of a job, and links to its results."""
    parse_query(app.current_event.raw_event, ())
    return _answer(json.dumps(_jobs().describe(app.current_event.raw_event, id)).encode(), "application/json")


def answer_unknown_route(_: NotFoundError) -> Response[Any]:
    """Answer 405 for a path with another method, 404 for other paths."""
    routes = json.loads(openapi.FILE.read_text(encoding="utf-8"))["paths"]
    methods = [method.upper() for method in routes.get(app.current_event.resource.rstrip("/") or "/", ())]
    if not methods:
        named = ", ".join(f"{method.upper()} {path}" for path, operations in routes.items() for method in operations)
        return answer_error(RouteNotFound(f"The routes are {named}."))
    answer = answer_error(MethodNotAllowed(f"Use {' or '.join(methods)}."))
    answer.headers["Allow"] = ", ".join(methods)
    return answer


def answer_error(error: OcrError) -> Response[Any]:
    """Answer an error that the caller can mend."""
    log_rejection(error)
    return _problem(error.problem(_request_id()))


def answer_failure(error: Exception) -> Response[Any]:
    """Answer any other failure without its cause, and log it without its message, which may contain text."""
    log_failure(error)
    return _problem(
        {
            "type": "urn:paragraph-ocr:internal-error",
            "title": "The service failed",
            "status": 500,
            "detail": "Try again; if it fails again, report the request_id.",
            "request_id": _request_id(),
        }
    )


app.not_found(answer_unknown_route)
app.exception_handler(OcrError)(answer_error)
app.exception_handler(Exception)(answer_failure)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
@send_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    global _cold
    metrics.add_metric("ColdStart", MetricUnit.Count, int(_cold))
    _cold = False
    return app.resolve(event | {"path": _own_path(event)}, context)


def _own_path(event: dict[str, Any]) -> str:
    """Return the path without the base path of a custom domain name, which API Gateway leaves in it."""
    path: str = event.get("path") or "/"
    resource: str = event.get("resource") or ""
    if not resource or "+" in resource:
        return path
    segments = [segment for segment in path.split("/") if segment]
    own = [segment for segment in resource.split("/") if segment]
    return "/" + "/".join(segments[len(segments) - len(own) :]) if len(segments) > len(own) else path


def _jobs() -> Jobs:
    if not SETTINGS.has_jobs:
        raise RouteNotFound("This server reads nothing in the background; jobs need the deployed stack.")
    # boto3 takes as long to import as everything else together, and few requests need it.
    from service.jobs import Jobs

    return Jobs(SETTINGS)


def _fetch(url: str, deadline: float) -> bytes:
    # The modules for TLS and HTTP are slow to import, and few requests need them.
    from service.fetch import fetch

    try:
        return fetch(url, SETTINGS.max_image_bytes, min(MAX_FETCH_SECONDS, deadline - perf_counter()), IMAGE_TYPES)
    except RemoteFailed as error:
        if perf_counter() >= deadline:
            raise DeadlineExceeded("Fetching the image takes longer than the limit; send the image itself.") from error
        raise


def _page_file(file: str, here: str) -> Response[Any]:
    content = (WEB / file).read_bytes()
    if not here.endswith("/"):
        # At https://HOST/v1, without a slash, relative links would point to the folder above. A link that begins with
        # two slashes, of either kind, would name another host.
        own = "/" + here.lstrip("/\\")
        content = content.replace(b'="web/', f'="{html.escape(own)}/web/'.encode())
    return _answer(content, PAGE_FILES[file], headers={"Content-Security-Policy": PAGE_POLICY})


def _request_id() -> str:
    return app.current_event.request_context.request_id or ""


def _problem(problem: dict[str, Any]) -> Response[Any]:
    return _answer(json.dumps(problem).encode(), "application/problem+json", problem["status"])


def _answer_in(form: str, body: bytes) -> Response[Any]:
    """Answer a document that was written in an output format."""
    content_type = FORMATS[form].content_type
    size = len(body) * 4 // 3 if content_type in IMAGE_TYPES else len(json.dumps(body.decode()))
    if size > MAX_ANSWER_BYTES:
        raise TooLarge("The answer is larger than one can be; send fewer pages, parts of the page, or a smaller image.")
    return _answer(body, content_type)


def _answer(body: bytes, content_type: str, status: int = 200, headers: dict[str, str] | None = None) -> Response[Any]:
    # Types on the stack's list of binary media types are sent as base64, all others as text.
    content = body if content_type in IMAGE_TYPES else body.decode()
    return Response(status, content_type, content, headers={**HEADERS, **(headers or {})})
