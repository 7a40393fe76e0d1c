"""The image of each kind of body is taken; anything else is refused for what it is, and for what became of it."""

import base64
import io
import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from paragraph_ocr.errors import BrokenImage, MalformedRequest, TooLarge, UnsupportedContentType, UrlRefused
from service.intake import IMAGE_TYPES, UNTYPED, URL_ENCODED, JobRequest, parse_image, parse_job

LIMIT = 100_000
# Its base64 has both characters that the alphabet for URLs has others for, and is padded.
PIXELS = b"\x89PNG\r\n\x1a\n\x00--\xff\xfb\xef\xff\r\n"
FORM = "multipart/form-data; boundary=edge"
PART = b'--edge\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--edge\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\nContent-Type: image/png\r\n\r\n%b\r\n'
END = b"--edge--\r\n"


def fetched(url: str) -> bytes:
    return f"behind {url}".encode()


def take(content_type: str, body: bytes | str | None, fetch: Any = fetched) -> tuple[bytes, str]:
    binary = isinstance(body, bytes)
    event = {
        "headers": {"Content-Type": content_type},
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": binary,
    }
    return parse_image(event, LIMIT, fetch)


def as_json(**fields: Any) -> str:
    return json.dumps(fields)


IN_BASE64 = base64.b64encode(PIXELS).decode()
URL_SAFE = str.maketrans("+/", "-_")
TAKEN: dict[str, tuple[str, bytes | str, str]] = {
    "JSON": ("application/json", as_json(image_base64=IN_BASE64, image_name="a b.png"), "a b.png"),
    "JSON without name": ("application/json", as_json(image_base64=IN_BASE64), "image"),
    "JSON as bytes": ("application/json", as_json(image_base64=IN_BASE64).encode(), "image"),
    "JSON in other case": ("Application/JSON ; Charset=UTF-8", as_json(image_base64=IN_BASE64), "image"),
    "data URL": ("application/json", as_json(image_base64=f"data:image/png;base64,{IN_BASE64}"), "image"),
    "data URL in other case": ("application/json", as_json(image_base64=f"DATA:image/png;BASE64,{IN_BASE64}"), "image"),
    "wrapped lines": ("application/json", as_json(image_base64=f"{IN_BASE64[:8]}\r\n{IN_BASE64[8:]}\n"), "image"),
    "body in other case": ("IMAGE/Png", PIXELS, "image"),
    "body with parameter": ("image/png; name=x", PIXELS, "image"),
    "form": (FORM, FILE % (b"image", b"scan.png", PIXELS) + END, "scan.png"),
    "form from macOS": (FORM, FILE % (b"image", "at 3.45\u202fPM.png".encode(), PIXELS) + END, "at 3.45 PM.png"),
    "form with an empty file name": (FORM, FILE % (b"image", b"\t", PIXELS) + END, "image"),
    "form in other case": ("Multipart/Form-Data; BOUNDARY=edge", FILE % (b"image", b"scan.png", PIXELS) + END,
                           "scan.png"),
    "form, quoted boundary": ('multipart/form-data; boundary="edge"', PART % (b"image", PIXELS) + END, "image"),
    "form with name": (FORM, PART % (b"image_name", "né".encode()) + FILE % (b"image", b"x", PIXELS) + END, "né"),
    "form without last line end": (FORM, PART % (b"image", PIXELS) + END.rstrip(), "image"),
    **{kind: (kind, PIXELS, "image") for kind in (*IMAGE_TYPES, *UNTYPED)},
    "no content type": ("", PIXELS, "image"),
    "JSON without content type": ("", as_json(image_base64=IN_BASE64), "image"),
    "JSON as curl -d sends it": (URL_ENCODED, as_json(image_base64=IN_BASE64).encode(), "image"),
    "base64 of URLs": ("application/json", as_json(image_base64=IN_BASE64.translate(URL_SAFE)), "image"),
    "base64 without padding": ("application/json", as_json(image_base64=IN_BASE64.rstrip("=")), "image"),
    "data URL without padding": (
        "application/json", as_json(image_base64=f"data:image/png;base64,{IN_BASE64.rstrip('=')}"), "image"),
    "base64, percent-encoded": ("application/json", as_json(image_base64=quote(IN_BASE64, safe="")), "image"),
    "data URL, percent-encoded": (
        "application/json", as_json(image_base64=f"data:image/png;base64,{quote(IN_BASE64)}"), "image"),
    "data URL after a line end": (
        "application/json", as_json(image_base64=f"\n data:image/png;base64,\n{IN_BASE64}\n"), "image"),
    "base64 that went through a form": ("application/json", as_json(image_base64=IN_BASE64.replace("+", " ")), "image"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_takes(kind: str) -> None:
    content_type, body, name = TAKEN[kind]
    assert take(content_type, body) == (PIXELS, name)


def test_takes_what_is_behind_a_url() -> None:
    body = as_json(image_url="https://example.com/a.png", image_name="a.png")
    assert take("application/json", body) == (b"behind https://example.com/a.png", "a.png")


def test_refuses_urls_where_they_are_turned_off() -> None:
    with pytest.raises(UrlRefused, match="turned off"):
        take("application/json", as_json(image_url="https://example.com/a.png"), fetch=None)


EXACTLY_ONE = "[Ee]xactly one image"
IMAGE = PART % (b"image", PIXELS)
REFUSED: dict[str, tuple[str, bytes | str | None, str]] = {
    "no body": ("application/json", None, "not JSON"),
    "not text": ("application/json", b"\xff\xfe", "not JSON"),
    "deep": ("application/json", "[" * 100_000, "not JSON"),
    "a list": ("application/json", "[]", "one object"),
    "unknown field": ("application/json", as_json(image_base64=IN_BASE64, more=1), "one object"),
    "an option as a field": ("application/json", as_json(image_base64=IN_BASE64, lang="de"),
                             "not 'lang': options belong to the query, as [?]lang="),
    "a misspelt field": ("application/json", as_json(image=IN_BASE64), "image_name, not 'image'"),
    "JSON cut short": ("application/json", as_json(image_base64=IN_BASE64)[:-9], "not JSON; it seems to be cut short"),
    "bytes as Python shows them": ("application/json", as_json(image_base64=repr(IN_BASE64.encode())), "decode[(][)]"),
    "a field twice": ("application/json", '{"image_base64": "AA==", "image_base64": "AA=="}', "twice"),
    "none": ("application/json", as_json(image_name="a"), f"{EXACTLY_ONE}.*neither"),
    "both": ("application/json", as_json(image_base64=IN_BASE64, image_url="https://a.b/"), f"{EXACTLY_ONE}.*both"),
    "two": ("application/json", as_json(image_base64=[IN_BASE64, IN_BASE64]), "must be text"),
    "a number": ("application/json", as_json(image_base64=7), "must be text"),
    "nothing in it": ("application/json", as_json(image_base64=""), "must be text"),
    "an empty data URL": ("application/json", as_json(image_base64="data:image/png;base64,"), EXACTLY_ONE),
    "a URL of no text": ("application/json", as_json(image_url=None), "must be text"),
    "not base64": ("application/json", as_json(image_base64="a%"), "not base64"),
    "data URL, not base64": ("application/json", as_json(image_base64="data:image/png,abcd"), "must be base64"),
    "a name of no text": ("application/json", as_json(image_base64=IN_BASE64, image_name=None), "image_name"),
    "a name with a line end": ("application/json", as_json(image_base64=IN_BASE64, image_name="a\nb"), "image_name"),
    "an empty image": ("image/png", b"", "empty"),
    "a lone surrogate": ("image/png", "\ud800", "neither text nor base64"),
    "no boundary": ("multipart/form-data", IMAGE + END, "has no boundary: leave the header to the client"),
    "an empty boundary": ("multipart/form-data; boundary=", IMAGE + END, "boundary"),
    "another boundary": ("multipart/form-data; boundary=ridge", IMAGE + END, "boundary"),
    "an empty form": (FORM, b"", "boundary"),
    "no part": (FORM, END, EXACTLY_ONE),
    "no last boundary": (FORM, IMAGE, "boundary"),
    "cut in the last boundary": (FORM, IMAGE + b"--edge-", "boundary"),
    "the last boundary in a file": (FORM, PART % (b"image", b"one\r\n--edge--\r\ntwo") + END, "boundary"),
    "a boundary in a file": (FORM, PART % (b"image", b"one\r\n--edge\r\ntwo") + END, "boundary"),
    "more after the end": (FORM, IMAGE + END + b"more", "boundary"),
    "a part without name": (FORM, b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, "boundary"),
    "headers without end": (FORM, b"--edge\r\n" + b"A: b\r\n" * 1000, "boundary"),
    "form without image": (FORM, PART % (b"image_name", b"a") + END, f"{EXACTLY_ONE}.*has 0"),
    "form with two": (FORM, IMAGE + IMAGE + END, f"{EXACTLY_ONE}.*has 2"),
    "form with an empty image": (FORM, PART % (b"image", b"") + END, EXACTLY_ONE),
    "form with two names": (FORM, IMAGE + PART % (b"image_name", b"a") * 2 + END, "each once"),
    "form with another field": (FORM, IMAGE + PART % (b"other", b"a") + END, "each once"),
    "form with an option": (FORM, IMAGE + PART % (b"lang", b"de") + END, "not 'lang': options belong to the query"),
    "form with a name of no text": (FORM, IMAGE + PART % (b"image_name", b"\xff") + END, "UTF-8"),
    "form with a long name": (FORM, FILE % (b"image", b"a" * 300, PIXELS) + END, "255"),
    "form with many parts": (FORM, IMAGE * 50 + END, "boundary"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    content_type, body, message = REFUSED[case]
    with pytest.raises(MalformedRequest, match=message):
        take(content_type, body)


def test_refuses_base64_that_is_broken() -> None:
    event = {"headers": {"Content-Type": "image/png"}, "body": "{!}", "isBase64Encoded": True}
    with pytest.raises(MalformedRequest, match="base64"):
        parse_image(event, LIMIT, None)


@pytest.mark.parametrize("content_type", ["text/plain", "image/svg+xml", "a/b", "*/*", "image/png, a/b"])
def test_refuses_other_content_types(content_type: str) -> None:
    with pytest.raises(UnsupportedContentType, match="application/json, multipart/form-data"):
        take(content_type, PIXELS)


@pytest.mark.parametrize("headers", [None, {}, {"Content-Type": None}])
def test_a_body_without_content_type_is_read_for_what_it_is(headers: Any) -> None:
    with pytest.raises(MalformedRequest, match="neither"):
        parse_image({"headers": headers, "body": "{}"}, LIMIT, None)
    event = {"headers": headers, "body": IN_BASE64, "isBase64Encoded": True}
    assert parse_image(event, LIMIT, None) == (PIXELS, "image")


def encoded(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


FILES = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PDF"]


@pytest.mark.parametrize("form", FILES)
def test_files_pass(form: str) -> None:
    data = encoded(form)
    assert take("image/png", data) == (data, "image")


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("content_type", ["image/png", "", "application/json", "application/octet-stream"])
def test_says_that_bytes_were_taken_for_text(form: str, content_type: str) -> None:
    # As API Gateway does with what is not on its list.
    text = encoded(form).decode(errors="replace")
    with pytest.raises(BrokenImage, match="BinaryMediaTypes"):
        take(content_type, text)
    # And as a client does by itself.
    with pytest.raises(BrokenImage, match="a client must send bytes"):
        take(content_type, text.encode())


def test_says_so_of_the_image_in_a_form_and_in_base64_too() -> None:
    mangled = encoded("JPEG").decode(errors="replace").encode()
    with pytest.raises(BrokenImage, match="taken for text"):
        take(FORM, FILE % (b"image", b"scan.jpg", mangled) + END)
    with pytest.raises(BrokenImage, match="taken for text"):
        take("application/json", as_json(image_base64=base64.b64encode(mangled).decode()))
    with pytest.raises(BrokenImage, match="taken for text"):
        ask("image/jpeg", mangled)


def test_text_in_a_file_is_not_taken_for_a_mangled_one() -> None:
    pdf = b"%PDF-1.4\n% \xef\xbf\xbd\n" + b"x" * 1000
    assert take("application/pdf", pdf) == (pdf, "image")


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("prefix", ["", "data:image/x;base64,", '"'])
def test_says_that_base64_was_sent_as_an_image(form: str, prefix: str) -> None:
    text = base64.b64encode(encoded(form)).decode()
    named = "HEIF|AVIF" if form == "AVIF" else form
    for sent in (text, base64.encodebytes(encoded(form)).decode(), text.replace("+", "-").replace("/", "_")):
        with pytest.raises(BrokenImage, match=f"base64 text of a ({named}) file"):
            take("image/jpeg", prefix + sent)
    with pytest.raises(BrokenImage, match="once encoded"):
        take("application/json", as_json(image_base64=base64.b64encode(text.encode()).decode()))


def test_says_that_line_ends_were_changed() -> None:
    data = encoded("PNG")
    for changed in (
        data.replace(b"\r", b"").replace(b"\n", b""),
        data.replace(b"\r\n", b"\n"),
        data.replace(b"\n", b"\r\n"),
    ):
        with pytest.raises(BrokenImage, match="--data-binary"):
            take(URL_ENCODED, changed)


@pytest.mark.parametrize("form", FILES)
def test_says_that_curl_removed_line_ends(form: str) -> None:
    data = encoded(form)
    changed = data.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    if form in ("TIFF", "WEBP", "AVIF", "JPEG2000"):
        # Their first bytes, which name the format, are gone.
        assert take(URL_ENCODED, changed) == (changed, "image")
    else:
        with pytest.raises(BrokenImage, match="--data-binary"):
            take(URL_ENCODED, changed)


@pytest.mark.parametrize("form", FILES)
def test_says_that_bytes_were_taken_for_another_text(form: str) -> None:
    data = encoded(form)
    for coding, name in (("latin-1", "Latin-1"), ("cp1252", "Windows-1252")):
        # What a coding lacks stays what it is, as in browsers.
        text = "".join(bytes([each]).decode(coding, errors="ignore") or chr(each) for each in data)
        cut = text.encode()[:-1]
        for sent in (text.encode(), cut):
            with pytest.raises(BrokenImage, match=f"taken for text in ({name}|Latin-1)"):
                take("image/jpeg", sent)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_says_that_bytes_became_question_marks(form: str) -> None:
    with pytest.raises(BrokenImage, match="question marks"):
        take("image/jpeg", encoded(form).decode("ascii", errors="replace").replace("\ufffd", "?").encode())


@pytest.mark.parametrize("form", ["BMP", "TIFF"])
@pytest.mark.parametrize("value", [0, 63, 0xC3])
def test_files_of_one_grey_pass(form: str, value: int) -> None:
    buffer = io.BytesIO()
    Image.new("L", (40, 60), value).save(buffer, form)
    assert take("image/png", buffer.getvalue()) == (buffer.getvalue(), "image")


def test_says_how_to_send_fields() -> None:
    with pytest.raises(MalformedRequest, match="curl -F image=@FILE"):
        take(URL_ENCODED, b"image_base64=" + IN_BASE64.encode())


def test_says_that_the_upload_was_cut_short() -> None:
    event = {"headers": {"Content-Type": "image/png", "content-length": "1000"}, "body": IN_BASE64,
             "isBase64Encoded": True}  # fmt: skip
    with pytest.raises(MalformedRequest, match=f"{len(PIXELS)} of the 1,000 bytes"):
        parse_image(event, LIMIT, None)
    event["headers"] = {"Content-Type": "image/png", "content-length": str(len(PIXELS))}
    assert parse_image(event, LIMIT, None)[0] == PIXELS
    with pytest.raises(MalformedRequest, match="cut short"):
        take("application/json", as_json(image_base64="AAAAA"))


@pytest.mark.parametrize("length", ["9" * 5000, "\u0663", "1e9", "-1", ""])
def test_a_length_that_is_no_number_tells_nothing(length: str) -> None:
    event = {"headers": {"Content-Type": "image/png", "content-length": length}, "body": IN_BASE64,
             "isBase64Encoded": True}  # fmt: skip
    assert parse_image(event, LIMIT, None)[0] == PIXELS


@pytest.mark.parametrize("content_type", ["application/json", "image/png", FORM])
def test_refuses_what_is_too_large_without_looking_into_it(content_type: str) -> None:
    event = {"headers": {"Content-Type": content_type}, "body": "!" * (2 * LIMIT), "isBase64Encoded": True}
    with pytest.raises(TooLarge, match="200,000"):
        parse_image(event, LIMIT, None)


def test_the_largest_image_fits_into_every_body() -> None:
    data = bytes(LIMIT)
    assert take("image/png", data)[0] == data
    body = as_json(image_base64=base64.b64encode(data).decode(), image_name="a" * 255)
    assert take("application/json", body)[0] == data
    assert take(FORM, FILE % (b"image", b"a" * 255, data) + END)[0] == data


URL = "https://example.com/a.png"
JOBS: dict[str, tuple[str, bytes | str | None, JobRequest]] = {
    "no body": ("", None, JobRequest()),
    "an empty object": ("application/json", "{}", JobRequest()),
    "a name for an upload": ("application/json", as_json(image_name="a.pdf"), JobRequest(image_name="a.pdf")),
    "a webhook for an upload": ("application/json", as_json(webhook_url=URL, webhook_secret="s"),
                                JobRequest(webhook=(URL, "s"))),
    "base64": ("application/json", as_json(image_base64=IN_BASE64, image_name="é"), JobRequest(PIXELS, None, "é")),
    "a URL": ("application/json", as_json(image_url=URL), JobRequest(None, URL)),
    "a body": ("image/png", PIXELS, JobRequest(PIXELS)),
    "a form": (FORM, FILE % (b"image", b"scan.png", PIXELS) + END, JobRequest(PIXELS, None, "scan.png")),
}  # fmt: skip


def ask(content_type: str, body: bytes | str | None, takes_urls: bool = True) -> JobRequest:
    binary = isinstance(body, bytes)
    event = {
        "headers": {"Content-Type": content_type} if content_type else None,
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": binary,
    }
    return parse_job(event, LIMIT, takes_urls)


@pytest.mark.parametrize("case", JOBS)
def test_takes_a_job(case: str) -> None:
    content_type, body, asked = JOBS[case]
    assert ask(content_type, body) == asked


@pytest.mark.parametrize(
    ("body", "message"),
    [(as_json(image_base64=IN_BASE64, image_url=URL), "at most one image"), (as_json(webhook_url=URL), "together"),
     (as_json(webhook_secret="s"), "together"), (as_json(webhook_url=[URL], webhook_secret="s"), "webhook_url"),
     (as_json(image_base64=""), "image_base64"), ("[]", "one object"), ("{", "not JSON"), (as_json(more=1), "fields"),
     (as_json(image_name="a\nb"), "image_name")],
)  # fmt: skip
def test_refuses_a_job(body: str, message: str) -> None:
    with pytest.raises(MalformedRequest, match=message):
        ask("application/json", body)


def test_refuses_a_job_as_it_would_an_image() -> None:
    with pytest.raises(UrlRefused, match="turned off"):
        ask("application/json", as_json(image_url=URL), takes_urls=False)
    with pytest.raises(UnsupportedContentType):
        ask("text/plain", "a")
    with pytest.raises(TooLarge):
        ask("application/json", as_json(image_base64="A" * (2 * LIMIT)))
