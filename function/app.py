"""The API: a proxy event of a REST API goes in, its answer comes out; routes and nothing else."""

import base64
import json
import math
import os
import traceback
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from paragraph_ocr.errors import (
    MalformedRequest,
    MethodNotAllowed,
    OcrError,
    RouteNotFound,
    TooLarge,
    UnsupportedContentType,
)
from paragraph_ocr.imaging import Limits
from paragraph_ocr.reader import PageReader

LIMITS = Limits(
    max_bytes=int(os.environ.get("MAX_IMAGE_BYTES", 4_500_000)),
    max_pixels=int(os.environ.get("MAX_IMAGE_PIXELS", 40_000_000)),
)
# Base64 takes four characters for three bytes; the rest leaves room for the JSON around it.
MAX_BODY_CHARACTERS = math.ceil(LIMITS.max_bytes / 3) * 4 + 4096
# Lambda drops an answer above 6,291,556 bytes, in which the body stands as an escaped JSON string.
MAX_ANSWER_BYTES = 6_000_000
MAX_NAME_CHARACTERS = 255
MEGABYTES_PER_CORE = 1769
MEGABYTES = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEGABYTES_PER_CORE))

WEB = Path(__file__).parent / "paragraph_ocr" / "web"
PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/web/page.css": ("page.css", "text/css; charset=utf-8"),
    "/web/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/web/letter.jpg": ("letter.jpg", "image/jpeg"),
}
# The page runs its own script and nothing else, and asks nobody but this API.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

ALLOWED_METHODS = {"/ocr": "POST", "/health": "GET"} | dict.fromkeys(PAGE_FILES, "GET")

NAMESPACE = "ParagraphOCR"
SERVICE = "paragraph-ocr"
logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
app = APIGatewayRestResolver()


reader = PageReader.load(threads=max(1, round(MEGABYTES / MEGABYTES_PER_CORE)), limits=LIMITS)
_cold = True


@app.get("/health")
def health() -> Response[str]:
    """Say which models are loaded."""
    return _json({"models": dict(reader.models)})


def page_file() -> Response[Any]:
    """Hand out a file of the web page."""
    name, content_type = PAGE_FILES[app.current_event.path]
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    content = (WEB / name).read_bytes()
    # Bytes travel as base64, which the gateway undoes only for the types on its list.
    return Response(200, content_type, content if content_type == "image/jpeg" else content.decode(), headers)


for path in PAGE_FILES:
    app.get(path)(page_file)


@app.post("/ocr")
def ocr() -> Response[str]:
    """Read the one image of the body."""
    data, name = _image_of(app.current_event.raw_event)
    page = reader.read(data, name)
    answer = _json(page.to_dict())
    if len(json.dumps(answer.body)) > MAX_ANSWER_BYTES:
        raise TooLarge("The page holds more text than one answer can carry; cut the image and send its parts.")
    metrics.add_metric("Pages", MetricUnit.Count, 1)
    metrics.add_metric("Lines", MetricUnit.Count, len(page.lines))
    metrics.add_metric("ReadingTime", MetricUnit.Milliseconds, page.timings_ms["total"])
    return answer


def no_such_route(_: NotFoundError) -> Response[str]:
    """Tell a wrong method from a wrong path."""
    method = ALLOWED_METHODS.get(app.current_event.path)
    if method is None:
        routes = ", ".join(f"{method} {path}" for path, method in ALLOWED_METHODS.items())
        return refuse(RouteNotFound(f"The routes are {routes}."))
    answer = refuse(MethodNotAllowed(f"Use {method}."))
    answer.headers["Allow"] = method
    return answer


def refuse(error: OcrError) -> Response[str]:
    """Answer with what the caller can change."""
    logger.info("Rejected", reason=error.type)
    # A metric of its own, or its dimension would split all the others of the request.
    with single_metric("Rejected", MetricUnit.Count, 1, namespace=NAMESPACE) as rejected:
        rejected.add_dimension("service", SERVICE)
        rejected.add_dimension("reason", error.type.rsplit(":", 1)[-1])
    return _problem(error.status, error.type, error.title, str(error))


def fail(error: Exception) -> Response[str]:
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


def _image_of(event: dict[str, Any]) -> tuple[bytes, str]:
    """Take the image's bytes and its name out of the body; sizes are looked at before anything is decoded."""
    content_type = (app.current_event.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsupportedContentType("Send application/json.")
    body = event.get("body") or ""
    if len(body) > MAX_BODY_CHARACTERS:
        raise TooLarge(f"The body has {len(body):,} characters; the image may have {LIMITS.max_bytes:,} bytes.")
    try:
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
        fields = json.loads(body, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The body is not JSON.") from error
    if not isinstance(fields, dict) or not fields.keys() <= {"image_base64", "image_name"}:
        raise MalformedRequest('Send one object: {"image_base64": "...", "image_name": "..."}.')
    encoded, name = fields.get("image_base64"), fields.get("image_name", "image")
    if not isinstance(encoded, str) or not encoded:
        raise MalformedRequest("Send exactly one image, as base64 text in image_base64.")
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise MalformedRequest(f"image_name must be printable text of at most {MAX_NAME_CHARACTERS} characters.")
    if encoded.startswith("data:"):
        header, _, encoded = encoded.partition(",")
        if not header.endswith(";base64"):
            raise MalformedRequest("A data: URL must be base64.")
    try:
        # Encoders wrap their lines; b64decode refuses the line ends where it validates.
        return base64.b64decode("".join(encoded.split()), validate=True), name
    except ValueError as error:
        raise MalformedRequest("image_base64 is not base64.") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedRequest("A field of the body is there twice.")
    return fields


def _problem(status: int, kind: str, title: str, detail: str) -> Response[str]:
    request_id = app.current_event.request_context.request_id
    answer = {"type": kind, "title": title, "status": status, "detail": detail, "request_id": request_id}
    return _json(answer, status, "application/problem+json")


def _json(value: dict[str, Any], status: int = 200, content_type: str = "application/json") -> Response[str]:
    return Response(status, content_type, json.dumps(value, ensure_ascii=False), headers={})
