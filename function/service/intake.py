"""Parse the requests of the API: the image that a proxy event of a REST API carries, or the job that it asks for."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from paragraph_ocr.errors import MalformedRequest, TooLarge, UnsupportedContentType, UrlRefused

# These and multipart/form-data are the stack's BinaryMediaTypes; a body of any other type arrives as text.
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

IMAGE_FIELDS = ("image_base64", "image_url", "image_name")
WEBHOOK_FIELDS = ("webhook_url", "webhook_secret")

Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class JobRequest:
    """A request for a job.

    Attributes
    ----------
    image : bytes or None
    image_url : str or None
        URL of the image; without `image` and `image_url`, the image is to be uploaded.
    image_name : str
    webhook : tuple of two str, or None
        The webhook's URL, and the secret that signs its messages.
    """

    image: bytes | None = None
    image_url: str | None = None
    image_name: str = DEFAULT_NAME
    webhook: tuple[str, str] | None = None


def header(event: Mapping[str, Any], name: str) -> str:
    """Return the value of a request's header, whose name is case-insensitive; empty if it is missing."""
    return next((value for key, value in (event.get("headers") or {}).items() if key.lower() == name and value), "")


def parse_image(event: Mapping[str, Any], max_bytes: int, fetch: Fetch | None) -> tuple[bytes, str]:
    """Return the image of a request and its name.

    Parameters
    ----------
    event : mapping
        The proxy event from API Gateway.
    max_bytes : int
        Limit of the image; a body that cannot be within it is refused before it is decoded.
    fetch : callable or None
        Returns the bytes behind a URL; None if image_url is turned off.

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
        Raised by `fetch`.
    """
    kind, content = _content(event, max_bytes)
    if kind != "application/json":
        return _from_file(kind, content, event)
    fields = _fields(content, IMAGE_FIELDS)
    if ("image_base64" in fields) == ("image_url" in fields):
        found = "both" if "image_url" in fields else "neither"
        raise MalformedRequest(f"Send exactly one image: image_base64 or image_url; the body has {found}.")
    name = _named(fields.get("image_name", DEFAULT_NAME))
    if "image_base64" in fields:
        return _from_base64(_text(fields, "image_base64")), name
    url = _text(fields, "image_url")
    if fetch is None:
        raise UrlRefused("image_url is turned off here; send the image itself.")
    return fetch(url), name


def parse_job(event: Mapping[str, Any], max_bytes: int, allow_urls: bool) -> JobRequest:
    """Return what a request for a job asks for.

    Parameters
    ----------
    event : mapping
        The proxy event from API Gateway; the body may be missing, or have no image.
    max_bytes : int
        Limit of an image in the request itself.
    allow_urls : bool
        Whether image_url is turned on.

    Raises
    ------
    MalformedRequest, TooLarge, UnsupportedContentType, UrlRefused
        See `parse_image`.
    """
    if not event.get("body"):
        return JobRequest()
    kind, content = _content(event, max_bytes)
    if kind != "application/json":
        image, name = _from_file(kind, content, event)
        return JobRequest(image, image_name=name)
    fields = _fields(content, (*IMAGE_FIELDS, *WEBHOOK_FIELDS))
    if {"image_base64", "image_url"} <= fields.keys():
        raise MalformedRequest("Send at most one image: image_base64 or image_url; the body has both.")
    webhook = [_text(fields, field) for field in WEBHOOK_FIELDS if field in fields]
    if len(webhook) == 1:
        raise MalformedRequest("Send webhook_url and webhook_secret together, or neither.")
    if "image_url" in fields and not allow_urls:
        raise UrlRefused("image_url is turned off here; send the image itself.")
    return JobRequest(
        image=_from_base64(_text(fields, "image_base64")) if "image_base64" in fields else None,
        image_url=_text(fields, "image_url") if "image_url" in fields else None,
        image_name=_named(fields.get("image_name", DEFAULT_NAME)),
        webhook=(webhook[0], webhook[1]) if webhook else None,
    )


def _content(event: Mapping[str, Any], max_bytes: int) -> tuple[str, bytes]:
    """Return the content type of a request, without parameters, and the bytes of its body."""
    kind = header(event, "content-type").partition(";")[0].strip().lower()
    if kind not in ("application/json", MULTIPART, *IMAGE_TYPES):
        raise UnsupportedContentType(f"Send application/json, {MULTIPART}, or one of {', '.join(IMAGE_TYPES)}.")
    body = event.get("body") or ""
    # Base64 takes four characters for three bytes; the rest leaves room for the JSON or the form around them.
    if len(body) > math.ceil(max_bytes / 3) * 4 + 8192:
        raise TooLarge(f"The body has {len(body):,} characters; the image may have {max_bytes:,} bytes.")
    try:
        return kind, base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except ValueError as error:
        raise MalformedRequest("The body is neither text nor base64.") from error


def _from_file(kind: str, content: bytes, event: Mapping[str, Any]) -> tuple[bytes, str]:
    if kind == MULTIPART:
        return _from_form(content, header(event, "content-type"))
    if not content:
        raise MalformedRequest("The body is empty; send exactly one image.")
    return content, DEFAULT_NAME


def _fields(content: bytes, allowed: Collection[str]) -> dict[str, Any]:
    try:
        fields = json.loads(content, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The body is not JSON.") from error
    if not isinstance(fields, dict) or not fields.keys() <= set(allowed):
        raise MalformedRequest(f"Send one object; its fields may be {', '.join(allowed)}.")
    return fields


def _text(fields: Mapping[str, Any], field: str) -> str:
    value = fields[field]
    if not isinstance(value, str) or not value:
        raise MalformedRequest(f"{field} must be text, and not empty.")
    return value


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
    # Clients add line ends after the last boundary.
    content = content.rstrip(b"\r\n")
    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        with PushMultipartParser(boundary, max_segment_count=8, strict=True) as parser:
            # The last byte is parsed separately, so that an end boundary before it, which would cut a file off, is an
            # error.
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
        return data, _named(names[0].decode() if names else _cleaned(filename or ""))
    except UnicodeDecodeError as error:
        raise MalformedRequest("image_name is not UTF-8.") from error


def _named(name: Any) -> str:
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise MalformedRequest(f"image_name must be printable text of at most {MAX_NAME_CHARACTERS} characters.")
    return name


def _cleaned(filename: str) -> str:
    """Make the file name of a form printable; macOS puts a narrow space into the names of screenshots."""
    return "".join(each if each.isprintable() else " " for each in filename).strip() or DEFAULT_NAME


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedRequest("A field of the body is there twice.")
    return fields
