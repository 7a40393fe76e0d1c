"""The API: a proxy event of a REST API goes in, its answer comes out; routes and nothing else."""

import json
import os
import traceback
from pathlib import Path
from time import perf_counter
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

import openapi
from intake import IMAGE_TYPES, header, take_image
from negotiation import choose
from paragraph_ocr.document import Document
from paragraph_ocr.errors import MethodNotAllowed, OcrError, RouteNotFound, TooLarge
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.imaging import Limits
from paragraph_ocr.reader import PageReader

LIMITS = Limits(
    max_bytes=int(os.environ.get("MAX_IMAGE_BYTES", 4_500_000)),
    max_pixels=int(os.environ.get("MAX_IMAGE_PIXELS", 40_000_000)),
    max_pages=int(os.environ.get("MAX_PAGES", 10)),
    max_lines=int(os.environ.get("MAX_LINES", 500)),
    max_seconds=float(os.environ.get("MAX_SECONDS", 25)),
)
# Of a request's time, what fetching its image may take.
MAX_FETCH_SECONDS = 10.0
TAKES_URLS = os.environ.get("ALLOW_IMAGE_URL", "true") == "true"
ORIGINS = [origin.strip() for origin in os.environ.get("CORS_ORIGINS", "").split(",") if origin.strip()]
# Lambda drops an answer above 6,291,556 bytes, in which the body stands as an escaped JSON string.
MAX_ANSWER_BYTES = 6_000_000
MEGABYTES_PER_CORE = 1769
MEGABYTES = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEGABYTES_PER_CORE))

WEB = Path(__file__).parent / "paragraph_ocr" / "web"
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

NAMESPACE = "ParagraphOCR"
SERVICE = "paragraph-ocr"
STEP_METRICS = {
    "decode": "DecodingTime",
    "detect": "DetectionTime",
    "recognize": "RecognitionTime",
    "total": "ReadingTime",
}
logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
app = APIGatewayRestResolver(
    cors=CORSConfig(allow_origin=ORIGINS[0], extra_origins=ORIGINS[1:], max_age=3600) if ORIGINS else None
)


reader = PageReader.load(threads=max(1, round(MEGABYTES / MEGABYTES_PER_CORE)), limits=LIMITS)
_cold = True


@app.get("/", **openapi.PAGE)
def page() -> Response[Any]:
    """The web page."""
    return page_file("index.html")


@app.get("/web/<file>", **openapi.PAGE_FILE)
def page_file(file: str) -> Response[Any]:
    """What the web page is made of."""
    if file not in PAGE_FILES:
        raise RouteNotFound(f"The page's files are {', '.join(PAGE_FILES)}.")
    return _answer((WEB / file).read_bytes(), PAGE_FILES[file], headers={"Content-Security-Policy": PAGE_POLICY})


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
    start = perf_counter()
    event = app.current_event.raw_event
    form = choose(header(event, "accept"), (event.get("queryStringParameters") or {}).get("format"))
    data, name = take_image(event, LIMITS.max_bytes, _fetch if TAKES_URLS else None)
    document = reader.read(data, name, LIMITS.max_seconds - (perf_counter() - start))
    answer = render(document, form, data)
    _measure(document)
    content_type = FORMATS[form].content_type
    size = len(answer) * 4 // 3 if content_type in IMAGE_TYPES else len(json.dumps(answer.decode()))
    if size > MAX_ANSWER_BYTES:
        raise TooLarge("The answer is larger than one can be; send fewer pages, parts of the page, or a smaller image.")
    return _answer(answer, content_type)


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
    logger.info("Rejected", reason=error.type)
    # A metric of its own, or its dimension would split all the others of the request.
    with single_metric("Rejected", MetricUnit.Count, 1, namespace=NAMESPACE) as rejected:
        rejected.add_dimension("service", SERVICE)
        rejected.add_dimension("reason", error.type.rsplit(":", 1)[-1])
    return _problem(error.status, error.type, error.title, str(error))


def fail(error: Exception) -> Response[Any]:
    """Answer any other failure without a word of its cause, and log that without its message, which may quote text."""
    logger.error("Failed", exception=type(error).__name__, frames=traceback.format_tb(error.__traceback__))
    metrics.add_metric("Failed", MetricUnit.Count, 1)
    return _problem(
        500,
        "urn:paragraph-ocr:internal-error",
        "The service failed",
        "Try again; if it fails again, report the request_id.",
    )


app.not_found(no_such_route)
app.exception_handler(OcrError)(refuse)
app.exception_handler(Exception)(fail)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    global _cold
    metrics.add_metric("ColdStart", MetricUnit.Count, int(_cold))
    _cold = False
    return app.resolve(event, context)


def _fetch(url: str) -> bytes:
    # TLS and HTTP take long to import, and few requests need them.
    from fetch import fetch

    return fetch(url, LIMITS.max_bytes, min(MAX_FETCH_SECONDS, LIMITS.max_seconds), IMAGE_TYPES)


def _measure(document: Document) -> None:
    metrics.add_metric("Pages", MetricUnit.Count, len(document.pages))
    metrics.add_metric("Lines", MetricUnit.Count, sum(len(page.lines) for page in document.pages))
    metrics.add_metric("Confidence", MetricUnit.Percent, 100 * document.confidence)
    for step, name in STEP_METRICS.items():
        metrics.add_metric(name, MetricUnit.Milliseconds, sum(page.timings_ms[step] for page in document.pages))


def _problem(status: int, kind: str, title: str, detail: str) -> Response[Any]:
    request_id = app.current_event.request_context.request_id
    answer = {"type": kind, "title": title, "status": status, "detail": detail, "request_id": request_id}
    return _answer(json.dumps(answer).encode(), "application/problem+json", status)


def _answer(body: bytes, content_type: str, status: int = 200, headers: dict[str, str] | None = None) -> Response[Any]:
    # What is on the stack's list of binary types travels as base64, all else as text.
    content = body if content_type in IMAGE_TYPES else body.decode()
    return Response(status, content_type, content, headers={**HEADERS, **(headers or {})})
