"""The routes' words and schemas for their decorators; `service.openapi_writer` makes openapi.json of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paragraph_ocr.document import BLOCK_KINDS, CONTENTS, DOUBTFUL, MARK
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.pipeline.charset import CHARSETS
from paragraph_ocr.pipeline.options import LINES, TEXTS
from service.intake import CONVERT_PARAMETERS, IMAGE_TYPES, MAX_NAME_CHARACTERS, MULTIPART, SWITCHES, UNTYPED

FILE = Path(__file__).with_name("openapi.json")

_PIXELS = {"type": "integer", "minimum": 1}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_POINTS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}}
_PLACES = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_BINARY = {"type": "string", "format": "binary"}
_DATE = {"type": "string", "format": "date-time", "description": "When it ends, with its results."}
_NAME = {"type": "string", "maxLength": MAX_NAME_CHARACTERS, "description": "What the answer calls the image."}


def _object(description: str, optional: Sequence[str] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": [name for name in properties if name not in optional],
        "properties": properties,
        "additionalProperties": False,
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _each(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _reference(name)}


_LINKS: dict[str, Any] = {form: {"type": "string", "format": "uri"} for form in FORMATS}
_MODELS = _object("Names and versions.", detector={"type": "string"}, recognizer={"type": "string"})
_MODEL_SET = _object("Version, and SHA-256 of the manifest.", version={"type": "string"}, digest={"type": "string"})
# Of a line that a person corrected.
_CORRECTION = ("corrected", "reading", "unreadable")
SCHEMAS = {
    "Word": _object("A word of a line.", text={"type": "string"}, confidence=_SHARE, polygon=_POINTS),
    "Line": _object(
        "A line of a page.",
        optional=("source", *_CORRECTION),
        text={"type": "string"},
        confidence=_SHARE,
        polygon=_POINTS,
        baseline=_POINTS,
        box={"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        words=_each("Word"),
        source={"const": "pdf", "description": "Where the line is text that a page of a PDF carries, not one read."},
        corrected={"type": "boolean", "description": "Whether a person changed, added or confirmed it."},
        reading={"type": "string", "description": "The text that was read before; missing of an added line."},
        unreadable={"type": "boolean", "description": "Whether it is writing that cannot be read; its text is empty."},
    ),
    "Block": _object(
        "Lines that belong together.",
        optional=("level", "items", "rows", "hard_breaks"),
        type={"enum": list(BLOCK_KINDS)},
        lines={**_PLACES, "description": "Places in the page's lines, from 0."},
        box={"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        level={"type": "integer", "minimum": 1, "description": "Of a heading."},
        items={"type": "array", "items": _PLACES, "description": "Of a list: the lines of each item."},
        rows={
            "type": "array",
            "items": {"type": "array", "items": _PLACES},
            "description": "Of a table: the lines of each cell of each row; all rows have as many cells.",
        },
        hard_breaks={
            **_PLACES,
            "description": "The lines at whose ends the text breaks also where lines are joined, as in verse.",
        },
    ),
    "Page": _object(
        "A page, in pixels of the image after its EXIF orientation.",
        optional=("reading",),
        image={"type": "string"},
        page={"type": "integer", "minimum": 1},
        width=_PIXELS,
        height=_PIXELS,
        rotation={"type": "integer"},
        text={"type": "string"},
        confidence=_SHARE,
        content={
            "enum": list(CONTENTS),
            "description": "none: no text was found. unreadable: the lines are probably wrong, since the page is in "
            "another script than Latin, is a picture, or is too blurred. text: any other page.",
        },
        reading={"type": "string", "description": "Of a corrected page: the text that was read."},
        lines=_each("Line"),
        blocks=_each("Block"),
        model=_MODELS,
        timings_ms={"type": "object", "additionalProperties": {"type": "number"}},
    ),
    "Document": _object(
        "A file of several pages.",
        image={"type": "string"},
        text={"type": "string"},
        confidence=_SHARE,
        pages=_each("Page"),
    ),
    "Problem": _object(
        "What went wrong and what to change (RFC 9457).",
        type={"type": "string"},
        title={"type": "string"},
        status={"type": "integer"},
        detail={"type": "string"},
        request_id={"type": "string"},
    ),
    "Counts": _object(
        "Pages and lines; only lines that have been detected are counted.",
        pages={"type": "integer", "minimum": 0},
        lines={"type": "integer", "minimum": 0},
    ),
    "NewJob": _object(
        "A job that has been accepted.",
        optional=("upload",),
        id={"type": "string"},
        state={"const": "waiting"},
        watch={"type": "string", "format": "uri", "description": "Where to ask for its state."},
        expires=_DATE,
        upload=_object(
            "Where to send the image within the hour: a form with these fields, then the file in the field file.",
            url={"type": "string", "format": "uri"},
            fields={"type": "object", "additionalProperties": {"type": "string"}},
        ),
    ),
    "Job": _object(
        "How far a job is.",
        optional=("results", "error", "webhook"),
        id={"type": "string"},
        image={"type": "string"},
        state={"enum": ["waiting", "running", "done", "failed"]},
        done=_reference("Counts"),
        total=_reference("Counts"),
        expires=_DATE,
        results=_object(
            "Links to what was read, in every form, good for an hour.",
            **_LINKS,
        ),
        error=_reference("Problem"),
        webhook={"enum": ["waiting", "done", "failed"], "description": "Whether the webhook has been called."},
    ),
    "ImageInBase64": {
        "type": "object",
        "required": ["image_base64"],
        "properties": {
            "image_base64": {
                "type": "string",
                "minLength": 1,
                "description": "In either alphabet, padded or not, also as a data: URL.",
            },
            "image_name": _NAME,
        },
        "additionalProperties": False,
    },
    "ImageByUrl": {
        "type": "object",
        "required": ["image_url"],
        "properties": {
            "image_url": {
                "type": "string",
                "maxLength": 2048,
                "description": "https on port 443, a host by name, no user or password, an image that anyone may read.",
            },
            "image_name": _NAME,
        },
        "additionalProperties": False,
    },
}

_JOB_FIELDS = {
    "image_base64": SCHEMAS["ImageInBase64"]["properties"]["image_base64"],
    "image_url": SCHEMAS["ImageByUrl"]["properties"]["image_url"],
    "image_name": _NAME,
    "webhook_url": {
        "type": "string",
        "maxLength": 2048,
        "description": "URL that is notified of the end, as in Standard Webhooks; restricted like image_url.",
    },
    "webhook_secret": {
        "type": "string",
        "pattern": "^whsec_[A-Za-z0-9+/]{32,}={0,2}$",
        "description": "whsec_ and 24 to 64 bytes in base64.",
    },
}
SCHEMAS["JobRequest"] = {
    "type": "object",
    "description": "One image, or none where it is to be uploaded.",
    "properties": _JOB_FIELDS,
    "dependentRequired": {"webhook_url": ["webhook_secret"], "webhook_secret": ["webhook_url"]},
    "not": {"required": ["image_base64", "image_url"]},
    "additionalProperties": False,
}


def _corrected(name: str, required: Sequence[str], description: str, **changed: dict[str, Any]) -> dict[str, Any]:
    """A schema of which little is required, since the rest follows from it."""
    properties = {**SCHEMAS[name]["properties"], **changed}
    return {**SCHEMAS[name], "description": description, "required": list(required), "properties": properties}


_IMAGE_OF_DOCUMENT = {
    "type": "string",
    "minLength": 1,
    "description": "The image, for a PDF; in either alphabet, padded or not, also as a data: URL.",
}
_MORE_WORDS = "Those of another text than the line's are placed anew."
SCHEMAS |= {
    "CorrectedWord": _corrected("Word", ("text", "polygon"), "A word of a line."),
    "CorrectedLine": _corrected(
        "Line",
        ("text", "polygon", "baseline"),
        "A line, on which a person may have changed, added or removed anything.",
        words={**_each("CorrectedWord"), "description": _MORE_WORDS},
    ),
    "CorrectedBlock": _corrected("Block", ("type", "lines"), "Lines that belong together."),
}
SCHEMAS["CorrectedPage"] = _corrected(
    "Page",
    ("width", "height", "lines"),
    "A page whose lines a person may have corrected. Without blocks, all lines are one paragraph.",
    lines=_each("CorrectedLine"),
    blocks=_each("CorrectedBlock"),
    model={"type": "object", "additionalProperties": {"type": "string"}},
    image_base64=_IMAGE_OF_DOCUMENT,
)
SCHEMAS["CorrectedDocument"] = _corrected(
    "Document",
    ("pages",),
    "A file of several pages whose lines a person may have corrected.",
    pages=_each("CorrectedPage"),
    image_base64=_IMAGE_OF_DOCUMENT,
)

# Every status that a route can answer with beside 2xx, whichever modules have been imported.
_PROBLEMS = {
    400: "The request is malformed",
    403: "The API key is missing or wrong",
    404: "There is no such route, file or job",
    406: "The answer has no such form",
    409: "A request with this Idempotency-Key is being answered",
    413: "More bytes, pixels, pages, lines or memory than the limits",
    415: "The content type, or the image's format, is not supported",
    422: "The image does not decode, the URL is refused, the document is not what was read, or the Idempotency-Key was "
    "another request's",
    429: "There are too many requests",
    500: "The service failed",
    502: "The URL's server failed",
    504: "The image takes longer than the limit",
}


def _problems(*statuses: int) -> dict[int, Any]:
    content = {"application/problem+json": {"schema": _reference("Problem")}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in statuses}


def _answer(description: str, content_type: str, schema: dict[str, Any], *statuses: int) -> dict[int, Any]:
    content = {content_type: {"schema": schema}}
    return {200: {"description": description, "content": content}, **_problems(*statuses, 500)}


def _parameter(name: str, description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A parameter of a query that may be left out."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema, **more}


_KEY: list[dict[str, list[str]]] = [{"ApiKey": []}]
_EXAMPLE_PAGE: dict[str, Any] = {
    "image": "letter.png",
    "page": 1,
    "width": 640,
    "height": 480,
    "rotation": 0,
    "text": "Dear Anna",
    "confidence": 0.94,
    "content": "text",
    "lines": [
        {
            "text": "Dear Anna",
            "confidence": 0.94,
            "polygon": [[60, 40], [240, 40], [240, 90], [60, 90]],
            "baseline": [[60, 80], [240, 80]],
            "box": [60, 40, 240, 90],
            "words": [
                {"text": "Dear", "confidence": 0.95, "polygon": [[60, 40], [140, 40], [140, 90], [60, 90]]},
                {"text": "Anna", "confidence": 0.93, "polygon": [[150, 40], [240, 40], [240, 90], [150, 90]]},
            ],
        }
    ],
    "blocks": [{"type": "paragraph", "lines": [0], "box": [60, 40, 240, 90]}],
    "model": {"detector": "detector@2", "recognizer": "recognizer@2"},
    "timings_ms": {"decode": 9.1, "detect": 180.4, "recognize": 95.2, "total": 284.7},
}
_EXAMPLE_CORRECTED = {
    **_EXAMPLE_PAGE,
    "lines": [{**_EXAMPLE_PAGE["lines"][0], "text": "Dear Anne", "corrected": True, "reading": "Dear Anna"}],
    "reading": "Dear Anna",
}
# One grey pixel.
_EXAMPLE_IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

PAGE: dict[str, Any] = {
    "summary": "The web page",
    "operation_id": "page",
    "responses": _answer("The page", "text/html; charset=utf-8", {"type": "string"}),
}
PAGE_FILE: dict[str, Any] = {
    "summary": "A file of the web page",
    "operation_id": "page_file",
    "responses": _answer("The file", "*/*", _BINARY, 404),
}
OPENAPI: dict[str, Any] = {
    "summary": "This description",
    "operation_id": "openapi",
    "responses": _answer("OpenAPI 3.1", "application/json", {"type": "object"}),
}
HEALTH: dict[str, Any] = {
    "summary": "Which models are loaded",
    "operation_id": "health",
    "security": _KEY,
    "responses": _answer(
        "The models",
        "application/json",
        _object("The service.", models=_MODELS, model_set=_MODEL_SET),
        403,
        429,
    ),
}
OCR: dict[str, Any] = {
    "summary": "Read the lines of one image",
    "description": "Takes one image or PDF, in whichever of these ways, and answers its lines in the form accepted.",
    "operation_id": "ocr",
    "security": _KEY,
    "responses": {
        200: {
            "description": "What was read",
            "content": {
                form.content_type: {"schema": _BINARY if form.content_type in IMAGE_TYPES else {"type": "string"}}
                for form in FORMATS.values()
            }
            | {
                FORMATS["json"].content_type: {
                    "schema": {"oneOf": [_reference("Page"), _reference("Document")]},
                    "examples": {"page": {"summary": "A page of one line", "value": _EXAMPLE_PAGE}},
                }
            },
        },
        **_problems(400, 403, 406, 413, 415, 422, 429, 500, 502, 504),
    },
    # Powertools takes these from a function's parameters, which only pydantic could fill.
    "openapi_extensions": {
        "parameters": [
            _parameter(
                "format", "The answer's form; wins over the Accept header.", {"type": "string", "enum": list(FORMATS)}
            ),
            _parameter(
                "lang",
                "The languages of the pages, ISO 639-1, separated by commas; by default, the language of each page is "
                "identified from its lines. A language without a model of its own is refused; the error lists those "
                "with a model, and xx is the common model of all others.",
                {"type": "string", "maxLength": 100},
                example="de,en",
            ),
            _parameter(
                "pages",
                "The pages to read of a TIFF or PDF, as numbers and ranges; the others are not decoded.",
                {"type": "string", "pattern": "^[0-9]{1,6}(-([0-9]{1,6})?)?(,[0-9]{1,6}(-([0-9]{1,6})?)?)*$"},
                example="2-5,9",
            ),
            _parameter(
                "lines",
                "Whether text keeps its lines, or the lines of a paragraph are joined, and words hyphenated at "
                "their ends made whole.",
                {"type": "string", "enum": list(LINES), "default": LINES[0]},
            ),
            _parameter(
                "mark",
                f"Whether {MARK} follows words with a confidence below {DOUBTFUL} in the text.",
                {"type": "string", "enum": list(SWITCHES), "default": "false"},
            ),
            _parameter(
                "charset",
                "Restriction of the lines: digits and spaces, letters, or the pattern of a date, an amount, or an IBAN "
                "with its checksum; the most probable text that satisfies it is returned.",
                {"type": "string", "enum": list(CHARSETS)},
            ),
            _parameter(
                "text",
                "Whether the text that a page of a PDF carries is given, and only the rest of the page read, or the "
                "whole page is read. With a charset, pages are read.",
                {"type": "string", "enum": list(TEXTS), "default": TEXTS[0]},
            ),
            _parameter(
                "upright",
                "Whether pages of the searchable PDF are turned so that their text is upright; the coordinates of "
                "other forms stay those of the image as sent.",
                {"type": "string", "enum": list(SWITCHES), "default": "false"},
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [_reference("ImageInBase64"), _reference("ImageByUrl")]},
                    "examples": {
                        "base64": {
                            "summary": "An image",
                            "value": {"image_base64": _EXAMPLE_IMAGE, "image_name": "letter.png"},
                        },
                        "url": {
                            "summary": "An image elsewhere",
                            "value": {"image_url": "https://example.com/letter.png"},
                        },
                    },
                },
                MULTIPART: {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {"image": _BINARY, "image_name": _NAME},
                        "additionalProperties": False,
                    }
                },
                **{kind: {"schema": _BINARY} for kind in (*IMAGE_TYPES, *UNTYPED)},
            },
        },
    },
}

_CORRECTED = {"oneOf": [_reference("CorrectedPage"), _reference("CorrectedDocument")]}
_CORRECTED_EXAMPLES = {"page": {"summary": "A page of which a line was corrected", "value": _EXAMPLE_CORRECTED}}
CONVERT: dict[str, Any] = {
    "summary": "Write a corrected document in an output format",
    "description": "Takes what POST /ocr answered as JSON, corrected, and answers it in the form accepted. Of a line, "
    "only its text need be changed.",
    "operation_id": "convert",
    "security": _KEY,
    "responses": {
        200: {
            "description": "The document",
            "content": OCR["responses"][200]["content"]
            | {FORMATS["json"].content_type: {"schema": _CORRECTED, "examples": _CORRECTED_EXAMPLES}},
        },
        **_problems(400, 403, 406, 413, 415, 422, 429, 500, 504),
    },
    "openapi_extensions": {
        "parameters": [each for each in OCR["openapi_extensions"]["parameters"] if each["name"] in CONVERT_PARAMETERS],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _CORRECTED,
                    "examples": _CORRECTED_EXAMPLES,
                },
                MULTIPART: {
                    "schema": {
                        "type": "object",
                        "required": ["document"],
                        "properties": {
                            "document": {
                                "type": "string",
                                "contentMediaType": "application/json",
                                "description": "As in application/json.",
                            },
                            "image": _BINARY,
                        },
                        "additionalProperties": False,
                    }
                },
            },
        },
    },
}


_NEW_JOB = {
    "id": "0f8fad5bd9cb469fa16570867728950e",
    "state": "waiting",
    "watch": "https://example.com/v1/jobs/0f8fad5bd9cb469fa16570867728950e",
    "expires": "2026-12-01T00:00:00Z",
}
POST_JOB: dict[str, Any] = {
    "summary": "Read an image in the background",
    "description": "Takes what POST /ocr takes, or no image: then the answer says where to upload a larger one.",
    "operation_id": "post_job",
    "security": _KEY,
    "responses": {
        202: {
            "description": "The job",
            "headers": {"Location": {"description": "Where to ask for its state", "schema": {"type": "string"}}},
            "content": {
                "application/json": {
                    "schema": _reference("NewJob"),
                    "examples": {"job": {"summary": "An image that was sent with it", "value": _NEW_JOB}},
                }
            },
        },
        **_problems(400, 403, 404, 409, 413, 415, 422, 429, 500),
    },
    "openapi_extensions": {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": (
                    "Of the caller's own choice, new for each job: the same request, sent again with it, makes no "
                    "second job, and within the hour is answered alike."
                ),
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            },
            # All forms are written.
            *(each for each in OCR["openapi_extensions"]["parameters"] if each["name"] != "format"),
        ],
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {
                    "schema": _reference("JobRequest"),
                    "examples": {"upload": {"summary": "For an upload", "value": {"image_name": "register.pdf"}}},
                },
                **{
                    kind: content
                    for kind, content in OCR["openapi_extensions"]["requestBody"]["content"].items()
                    if kind != "application/json"
                },
            },
        },
    },
}
GET_JOB: dict[str, Any] = {
    "summary": "How far a job is",
    "operation_id": "get_job",
    "security": _KEY,
    "responses": _answer("Its state, and in the end its results", "application/json", _reference("Job"), 403, 404, 429),
}
