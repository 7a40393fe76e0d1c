"""A proxy event of a REST API goes in; the bytes of the one image it carries, and the image's name, come out."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from paragraph_ocr.errors import MalformedRequest, TooLarge, UnsupportedContentType, UrlRefused

# The stack's BinaryMediaTypes are these and multipart/form-data; a body of any other type arrives as text.
IMAGE_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/tiff",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/avif",
    "application/pdf",
)
MULTIPART = "multipart/form-data"
MAX_NAME_CHARACTERS = 255
DEFAULT_NAME = "image"

Fetch = Callable[[str], bytes]


def header(event: Mapping[str, Any], name: str) -> str:
    """The value of a request's header, whatever its case; empty where there is none."""
    return next((value for key, value in (event.get("headers") or {}).items() if key.lower() == name and value), "")


def take_image(event: Mapping[str, Any], max_bytes: int, fetch: Fetch | None) -> tuple[bytes, str]:
    """The image of a request and its name.

    Parameters
    ----------
    event : mapping
        As API Gateway sends it.
    max_bytes : int
        The largest image; what cannot be within it is refused before it is decoded.
    fetch : callable or None
        Gives the bytes behind a URL; None where image_url is turned off.

    Raises
    ------
    MalformedRequest
        The body is broken, or holds no image or more than one.
    TooLarge
        The body is too large to hold an image within the limit.
    UnsupportedContentType
        The body is neither JSON, nor an image, nor a form.
    UrlRefused
        image_url is turned off.
    OcrError
        Whatever `fetch` raises.
    """
    content_type = header(event, "content-type")
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("application/json", MULTIPART, *IMAGE_TYPES):
        raise UnsupportedContentType(f"Send application/json, {MULTIPART}, or one of {', '.join(IMAGE_TYPES)}.")
    body = event.get("body") or ""
    # Base64 takes four characters for three bytes; the rest leaves room for the JSON or the form around them.
    if len(body) > math.ceil(max_bytes / 3) * 4 + 8192:
        raise TooLarge(f"The body has {len(body):,} characters; the image may have {max_bytes:,} bytes.")
    try:
        content = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except ValueError as error:
        raise MalformedRequest("The body is neither text nor base64.") from error
    if kind == "application/json":
        return _from_json(content, fetch)
    if kind == MULTIPART:
        return _from_form(content, content_type)
    if not content:
        raise MalformedRequest("The body is empty; send exactly one image.")
    return content, DEFAULT_NAME


def _from_json(content: bytes, fetch: Fetch | None) -> tuple[bytes, str]:
    try:
        fields = json.loads(content, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The body is not JSON.") from error
    if not isinstance(fields, dict) or not fields.keys() <= {"image_base64", "image_url", "image_name"}:
        raise MalformedRequest('Send one object: {"image_base64": "...", "image_name": "..."} or {"image_url": "..."}.')
    if ("image_base64" in fields) == ("image_url" in fields):
        found = "both" if "image_url" in fields else "neither"
        raise MalformedRequest(f"Send exactly one image: image_base64 or image_url; the body has {found}.")
    name = _named(fields.get("image_name", DEFAULT_NAME))
    source = "image_url" if "image_url" in fields else "image_base64"
    value = fields[source]
    if not isinstance(value, str) or not value:
        raise MalformedRequest(f"Send exactly one image: {source} must be text, and not empty.")
    if source == "image_base64":
        return _from_base64(value), name
    if fetch is None:
        raise UrlRefused("image_url is turned off here; send the image itself.")
    return fetch(value), name


def _from_base64(value: str) -> bytes:
    if value[:5].lower() == "data:":
        start, _, value = value.partition(",")
        if not start.lower().endswith(";base64"):
            raise MalformedRequest("A data: URL must be base64.")
    try:
        # Encoders wrap their lines; b64decode refuses the line ends where it validates.
        data = base64.b64decode("".join(value.split()), validate=True)
    except ValueError as error:
        raise MalformedRequest("image_base64 is not base64.") from error
    if not data:
        raise MalformedRequest("Send exactly one image: image_base64 is empty.")
    return data


def _from_form(content: bytes, content_type: str) -> tuple[bytes, str]:
    from multipart import PushMultipartParser, parse_options_header

    parts: list[tuple[str, str | None, bytearray]] = []
    # What clients add after the last boundary.
    content = content.rstrip(b"\r\n")
    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        with PushMultipartParser(boundary, max_segment_count=8, strict=True) as parser:
            # The last byte goes in by itself: a last boundary before it would cut a file off, and is an error so.
            for chunk in (content[:-1], content[-1:]):
                for event in parser.parse(chunk):
                    if isinstance(event, bytes | bytearray):
                        parts[-1][2].extend(event)
                    elif event:
                        parts.append((event.name or "", event.filename, bytearray()))
    except ValueError as error:
        raise MalformedRequest("The body is not the form data that its boundary announces.") from error
    images = [(filename, bytes(data)) for field, filename, data in parts if field == "image"]
    names = [bytes(data) for field, _, data in parts if field == "image_name"]
    if len(images) != 1:
        raise MalformedRequest(f"Send exactly one image, in the field image; the form has {len(images)}.")
    if len(names) > 1 or len(parts) > 1 + len(names):
        raise MalformedRequest("The form may have the fields image and image_name, each once.")
    ((filename, data),) = images
    if not data:
        raise MalformedRequest("Send exactly one image: the field image is empty.")
    try:
        return data, _named(names[0].decode() if names else filename or DEFAULT_NAME)
    except UnicodeDecodeError as error:
        raise MalformedRequest("image_name is not UTF-8.") from error


def _named(name: Any) -> str:
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise MalformedRequest(f"image_name must be printable text of at most {MAX_NAME_CHARACTERS} characters.")
    return name


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedRequest("A field of the body is there twice.")
    return fields
