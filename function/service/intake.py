"""Parse the requests of the API: the image that a proxy event of a REST API carries, or the job that it asks for.

The content is identified by its bytes where the content type is missing or is one that clients send by default. Bytes
that were damaged on the way, as they are where API Gateway takes them for text, are answered with that cause.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from paragraph_ocr.errors import (
    BrokenImage,
    MalformedRequest,
    OcrError,
    TooLarge,
    UnsupportedContentType,
    UrlRefused,
)
from paragraph_ocr.io.page_ranges import parse_pages
from paragraph_ocr.pipeline.options import LINES, TEXTS, ReadOptions, parse_charset, parse_languages, parse_text

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
    "image/jp2",
    "application/pdf",
)
MULTIPART = "multipart/form-data"
# What curl sends unless it is told what a file is, with --data-binary.
URL_ENCODED = "application/x-www-form-urlencoded"
# Names of these that are not registered, or are older.
ALIASES = (
    "image/jpg",
    "image/pjpeg",
    "image/x-png",
    "image/tif",
    "image/x-tiff",
    "image/x-bmp",
    "image/x-ms-bmp",
    "image/jpx",
    "image/heic-sequence",
    "image/heif-sequence",
    "application/x-pdf",
)
# Types that say nothing, or are no registered ones: the bytes tell what they are.
UNTYPED = ("application/octet-stream", "binary/octet-stream", URL_ENCODED, *ALIASES)
# The stack's BinaryMediaTypes; a body of any other type arrives as text. API Gateway takes one without a type for JSON.
BINARY_TYPES = (*IMAGE_TYPES, *UNTYPED, MULTIPART)
MAX_NAME_CHARACTERS = 255
DEFAULT_NAME = "image"

# Of the query of POST /ocr.
OCR_PARAMETERS = ("format", "lang", "pages", "lines", "mark", "charset", "text", "upright")
# Of the query of POST /jobs: all formats are written.
JOB_PARAMETERS = OCR_PARAMETERS[1:]
# Of the query of POST /convert.
CONVERT_PARAMETERS = ("format", "lines", "mark", "upright")
SWITCHES = {"true": True, "false": False}

# The field of a corrected document, and of a form, that holds its image.
DOCUMENT_IMAGE = "image_base64"
DOCUMENT_PARTS = ("document", "image")
IMAGE_FIELDS = ("image_base64", "image_url", "image_name")
WEBHOOK_FIELDS = ("webhook_url", "webhook_secret")

Fetch = Callable[[str], bytes]

# The character that stands for bytes that are no UTF-8, as UTF-8.
_REPLACEMENT = "\ufffd".encode()
# A binary file has one about every other byte once it has been taken for text, a text hardly any.
_MAX_REPLACEMENT_SHARE = 1 / 50
_BASE64_CHARACTERS = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
# Characters of base64 at the beginning of a body that tell what it stands for.
_BASE64_LOOK = 1400
# Bytes at the start of a file that show what became of it.
_MIN_FILE = 64
# Half of a compressed file's bytes are beyond ASCII: the least share of what took their place.
_MIN_QUESTION_MARKS, _MIN_RECODED = 1 / 4, 1 / 8
_URL_SAFE = str.maketrans("-_", "+/")
_FORM_FIELD = re.compile(rb"[A-Za-z_][\w.-]*=")
# Longer numbers are ones that Python may refuse to parse.
_LENGTH = re.compile("[0-9]{1,15}")


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
    options : mapping of str to str
        Parameters of the query, of `JOB_PARAMETERS`.
    """

    image: bytes | None = None
    image_url: str | None = None
    image_name: str = DEFAULT_NAME
    webhook: tuple[str, str] | None = None
    options: Mapping[str, str] = field(default_factory=dict)


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
    BrokenImage
        The image did not survive its way here.
    TooLarge
        The body is too large to hold an image within the limit.
    UnsupportedContentType
        The content type names neither JSON, nor an image, nor a form, nor nothing.
    UrlRefused
        image_url is turned off.
    OcrError
        Raised by `fetch`.
    """
    kind, content = _content(event, max_bytes)
    if kind != "application/json":
        image, name = _from_file(kind, content, event)
        return _checked(image), name
    fields = _fields(content, IMAGE_FIELDS)
    if ("image_base64" in fields) == ("image_url" in fields):
        found = "both" if "image_url" in fields else "neither"
        raise MalformedRequest(f"Send exactly one image: image_base64 or image_url; the body has {found}.")
    name = _named(fields.get("image_name", DEFAULT_NAME))
    if "image_base64" in fields:
        return _checked(_from_base64(_text(fields, "image_base64"))), name
    url = _text(fields, "image_url")
    if fetch is None:
        raise UrlRefused("image_url is turned off here; send the image itself.")
    return fetch(url), name


def parse_query(event: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """The parameters of a request's query, each of them known and there once; raises MalformedRequest, naming these."""
    many = event.get("multiValueQueryStringParameters") or {}
    query: dict[str, str] = event.get("queryStringParameters") or {}
    for name in {**many, **query}:
        if name not in known:
            named = f"the parameters are {', '.join(known)}" if known else "there are none on this route"
            raise MalformedRequest(f"The query has a parameter {name[:40]!r}; {named}.")
        if len(many.get(name) or ()) > 1:
            raise MalformedRequest(f"The query has {name} more than once.")
    return query


def parse_options(query: Mapping[str, str], languages: Collection[str]) -> ReadOptions:
    """What a query asks of reading.

    Parameters
    ----------
    query : mapping of str to str
        Its parameters, of `OCR_PARAMETERS`.
    languages : collection of str
        Codes of those that there are.

    Raises
    ------
    MalformedRequest
        A parameter has no such value.
    """
    if query.get("lines", LINES[0]) not in LINES:
        raise MalformedRequest(f"lines must be one of {', '.join(LINES)}.")
    for switch in ("mark", "upright"):
        if query.get(switch, "false") not in SWITCHES:
            raise MalformedRequest(f"{switch} must be one of {', '.join(SWITCHES)}.")
    return ReadOptions(
        languages=parse_languages(query["lang"], languages) if "lang" in query else (),
        pages=parse_pages(query["pages"]) if "pages" in query else (),
        joined=query.get("lines") == "joined",
        marked=SWITCHES[query.get("mark", "false")],
        charset=parse_charset(query["charset"]) if "charset" in query else None,
        text=parse_text(query.get("text", TEXTS[0])),
        upright=SWITCHES[query.get("upright", "false")],
    )


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
        return JobRequest(_checked(image), image_name=name)
    fields = _fields(content, (*IMAGE_FIELDS, *WEBHOOK_FIELDS))
    if {"image_base64", "image_url"} <= fields.keys():
        raise MalformedRequest("Send at most one image: image_base64 or image_url; the body has both.")
    webhook = [_text(fields, field) for field in WEBHOOK_FIELDS if field in fields]
    if len(webhook) == 1:
        raise MalformedRequest("Send webhook_url and webhook_secret together, or neither.")
    if "image_url" in fields and not allow_urls:
        raise UrlRefused("image_url is turned off here; send the image itself.")
    return JobRequest(
        image=_checked(_from_base64(_text(fields, "image_base64"))) if "image_base64" in fields else None,
        image_url=_text(fields, "image_url") if "image_url" in fields else None,
        image_name=_named(fields.get("image_name", DEFAULT_NAME)),
        webhook=(webhook[0], webhook[1]) if webhook else None,
    )


def parse_document(event: Mapping[str, Any], max_bytes: int) -> tuple[dict[str, Any], bytes | None]:
    """Return the corrected document of a request, and its image where there is one.

    Parameters
    ----------
    event : mapping
        The proxy event: the document as JSON, to which `image_base64` may be added, or a form of `DOCUMENT_PARTS`.
    max_bytes : int
        Limit of the body.

    Raises
    ------
    MalformedRequest, BrokenImage, TooLarge, UnsupportedContentType
        See `parse_image`.
    """
    kind, content = _content(event, max_bytes)
    if kind == MULTIPART:
        parts = _parts(content, header(event, "content-type"))
        named = [name for name, _, _ in parts]
        if named.count("document") != 1 or len(set(named)) < len(named) or not set(named) <= set(DOCUMENT_PARTS):
            raise MalformedRequest(
                f"The form may have the fields {' and '.join(DOCUMENT_PARTS)}, the first exactly once."
            )
        found = {name: data for name, _, data in parts}
        if found.get("image") == b"":
            raise MalformedRequest("The field image is empty; leave it out, or send the image.")
        return _json(found["document"]), _checked(found["image"]) if "image" in found else None
    if kind != "application/json":
        raise UnsupportedContentType(
            f"Send the corrected document as application/json, or as {MULTIPART} with the fields document and image."
        )
    document = _json(content)
    if DOCUMENT_IMAGE not in document:
        return document, None
    image = _checked(_from_base64(_text(document, DOCUMENT_IMAGE)))
    return {name: value for name, value in document.items() if name != DOCUMENT_IMAGE}, image


def _json(content: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise MalformedRequest(f"The document has the number {constant}, which is not JSON.")

    try:
        document = json.loads(content, object_pairs_hook=_without_repeats, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The document is not JSON.") from error
    if not isinstance(document, dict):
        raise MalformedRequest("Send one object: the page or the document as POST /ocr answers it.")
    return document


def _content(event: Mapping[str, Any], max_bytes: int) -> tuple[str, bytes]:
    """Return the content type of a request, without parameters, and the bytes of its body."""
    kind = header(event, "content-type").partition(";")[0].strip().lower()
    if kind and kind not in ("application/json", *BINARY_TYPES):
        raise UnsupportedContentType(f"Send application/json, {MULTIPART}, or one of {', '.join(IMAGE_TYPES)}.")
    body = event.get("body") or ""
    # Base64 takes four characters for three bytes; the rest leaves room for the JSON or the form around them.
    if len(body) > math.ceil(max_bytes / 3) * 4 + 8192:
        raise TooLarge(f"The body has {len(body):,} characters; the image may have {max_bytes:,} bytes.")
    try:
        content = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except ValueError as error:
        raise MalformedRequest("The body is neither text nor base64.") from error
    announced = header(event, "content-length")
    # Where the body travelled as text, its bytes are not those that were sent.
    if event.get("isBase64Encoded") and _LENGTH.fullmatch(announced) and len(content) < int(announced):
        raise MalformedRequest(
            f"The upload was cut short: {len(content):,} of the {int(announced):,} bytes arrived that Content-Length "
            "announces. Send it again."
        )
    if kind in ("", *UNTYPED) and content.lstrip()[:1] == b"{":
        kind = "application/json"
    return kind, content


def _from_file(kind: str, content: bytes, event: Mapping[str, Any]) -> tuple[bytes, str]:
    if kind == MULTIPART:
        return _from_form(content, header(event, "content-type"))
    if not content:
        raise MalformedRequest("The body is empty; send exactly one image.")
    if kind == URL_ENCODED and _FORM_FIELD.match(content):
        raise MalformedRequest(
            "The body holds URL-encoded fields. Send the fields as JSON or multipart/form-data, or the image itself: "
            "curl --data-binary @FILE, or curl -F image=@FILE."
        )
    return content, DEFAULT_NAME


def _checked(data: bytes) -> bytes:
    """An image as it came, unless its bytes show that it did not survive the way.

    Raises
    ------
    BrokenImage
        It was taken for text on its way, lost its line ends, or is base64 that nobody decoded.
    """
    if _is_text_of_bytes(data):
        raise BrokenImage(
            "The bytes were taken for text on their way, so that most were replaced (by U+FFFD). API Gateway does so "
            "with content types that its BinaryMediaTypes lack, or where there is none: send the image with its own "
            f"type, such as {IMAGE_TYPES[0]}, or as image_base64 in JSON; a client must send bytes, not a string."
        )
    if data.startswith(
        (b"\x89PNG\x1a", b"\x89PNG\n\x1a", b"\x89PNG\r\n\x1a\r", b"\x89PNG\r\r\n\x1a")
    ) or _lacks_line_ends(data):
        raise BrokenImage(
            "The line ends of the file were changed on its way, as curl -d and transfers of text do: send it with "
            "--data-binary @FILE."
        )
    if _is_ascii_of_bytes(data):
        raise BrokenImage(
            "The bytes were taken for text on their way, so that most were replaced by question marks; a client must "
            "send bytes, not a string."
        )
    if coding := _recoded(data):
        raise BrokenImage(
            f"The bytes were taken for text in {coding} on their way and written as UTF-8; a client must send bytes, "
            "not a string; in JavaScript the File, Blob or ArrayBuffer itself, not the result of readAsBinaryString."
        )
    if encoded := _encoded_format(data):
        raise BrokenImage(
            f"The image is base64 text of a {encoded} file rather than the file itself. Decode it before it is sent "
            "as an image, or send it once encoded, as image_base64 in JSON."
        )
    return data


def _is_text_of_bytes(data: bytes) -> bool:
    """Whether bytes are a binary file that somebody took for UTF-8."""
    if data.count(_REPLACEMENT) <= max(1, _MAX_REPLACEMENT_SHARE * len(data)) and not data.startswith(_REPLACEMENT):
        return False
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # A cut in the last character is no sign of bytes that are none of text.
        return error.start >= len(data) - 3
    return True


def _lacks_line_ends(data: bytes) -> bool:
    """Whether a file has lost the characters that ``curl -d @FILE`` removes: CR, LF and NUL."""
    from paragraph_ocr.io.file_format import format_of

    # Each format has several of these in its headers; a PDF needs no NUL.
    if len(data) < _MIN_FILE or b"\0" in data or b"\n" in data or b"\r" in data:
        return False
    try:
        format_of(data)
    except OcrError:
        return False
    return True


def _is_ascii_of_bytes(data: bytes) -> bool:
    """Whether bytes are a compressed file of which all bytes beyond ASCII were replaced by question marks."""
    if not data.isascii() or data.count(b"?") < _MIN_QUESTION_MARKS * len(data):
        return False
    return data.startswith((b"?PNG", b"????", b"???\0", b"GIF8", b"RIFF", b"%PDF")) or data[4:8] == b"ftyp"


def _recoded(data: bytes) -> str | None:
    """The 8-bit coding for whose text a binary file was taken, to be encoded in UTF-8; None for all else."""
    from paragraph_ocr.io.file_format import format_of

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        # A cut in the last character is no sign of bytes that are none of text.
        if error.start < len(data) - 3:
            return None
        text = data[: error.start].decode()
    if len(data) - len(text) < _MIN_RECODED * len(text):
        return None
    for coding, name in (("latin-1", "Latin-1"), ("cp1252", "Windows-1252")):
        try:
            format_of(text[:_MIN_FILE].encode(coding, errors="replace"))
        except OcrError:
            continue
        return name
    return None


def _encoded_format(data: bytes) -> str | None:
    """The format of the file that bytes are base64 of, or None where they are not."""
    start = data[:_BASE64_LOOK].lstrip().lstrip(b'"')
    if start[:5].lower() == b"data:":
        start = start.partition(b",")[2]
    start = b"".join(start.split()).translate(bytes.maketrans(b"-_", b"+/"))
    if len(start) < 16 or not (found := _BASE64_CHARACTERS.match(start)) or found.end() < min(len(start), 1000):
        return None
    from paragraph_ocr.io.file_format import format_of

    try:
        return format_of(base64.b64decode(start[: len(start) // 4 * 4]))
    except (OcrError, ValueError):
        return None


def _fields(content: bytes, allowed: Collection[str]) -> dict[str, Any]:
    try:
        fields = json.loads(content, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        # An image without a content type of its own is taken for JSON by some.
        _checked(content)
        start = content.strip()[:1]
        cut = start == b"{" and not content.rstrip().endswith(b"}")
        raise MalformedRequest(
            "The body is not JSON" + ("; it seems to be cut short: send all of it." if cut else ".")
        ) from error
    if not isinstance(fields, dict):
        raise MalformedRequest(f"Send one object; its fields may be {', '.join(allowed)}.")
    for name in fields:
        if name not in allowed:
            raise MalformedRequest(
                f"Send one object; its fields may be {', '.join(allowed)}, not {name[:40]!r}{_in_query(name)}."
            )
    return fields


def _in_query(name: str) -> str:
    """Where a field belongs that is an option; empty for any other."""
    return f": options belong to the query, as ?{name}=..." if name in OCR_PARAMETERS else ""


def _text(fields: Mapping[str, Any], field: str) -> str:
    value = fields[field]
    if not isinstance(value, str) or not value:
        raise MalformedRequest(f"{field} must be text, and not empty.")
    return value


def _from_base64(value: str) -> bytes:
    """The bytes of base64 of either alphabet (RFC 4648, 4 and 5), with or without padding, line ends or a data: URL."""
    value = value.strip()
    if value[:2] in ("b'", 'b"'):
        raise MalformedRequest("image_base64 is how Python shows bytes: send base64.b64encode(data).decode().")
    if "%" in value:
        # As data: URLs and forms may write the characters +, / and =.
        value = unquote(value)
    if value[:5].lower() == "data:":
        start, _, value = value.partition(",")
        if not start.lower().endswith(";base64"):
            raise MalformedRequest("A data: URL must be base64.")
    value = value.strip()
    if " " in value and "+" not in value and "-" not in value:
        # What decodes forms makes a space of every plus sign.
        value = value.replace(" ", "+")
    value = "".join(value.split()).rstrip("=").translate(_URL_SAFE)
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError as error:
        cut = len(value) % 4 == 1
        raise MalformedRequest(
            "image_base64 is not base64" + ("; it seems to be cut short: send all of it." if cut else ".")
        ) from error
    if not data:
        raise MalformedRequest("Send exactly one image: image_base64 is empty.")
    return data


def _parts(content: bytes, content_type: str) -> list[tuple[str, str | None, bytes]]:
    """The name, the file name and the content of each part of a form."""
    from multipart import PushMultipartParser, parse_options_header

    parts: list[tuple[str, str | None, bytearray]] = []
    # Clients add line ends after the last boundary.
    content = content.rstrip(b"\r\n")
    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        if not boundary:
            raise MalformedRequest(
                f"The content type {MULTIPART} has no boundary: leave the header to the client, which knows it."
            )
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
    return [(name, filename, bytes(data)) for name, filename, data in parts]


def _from_form(content: bytes, content_type: str) -> tuple[bytes, str]:
    parts = _parts(content, content_type)
    images = [(filename, data) for field, filename, data in parts if field == "image"]
    names = [data for field, _, data in parts if field == "image_name"]
    if len(images) != 1:
        raise MalformedRequest(f"Send exactly one image, in the field image; the form has {len(images)}.")
    for name, _, _ in parts:
        if name not in ("image", "image_name"):
            raise MalformedRequest(
                f"The form may have the fields image and image_name, each once, not {name[:40]!r}{_in_query(name)}."
            )
    if len(names) > 1:
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
