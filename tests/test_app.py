"""The handler answers recorded events: pages as JSON, and each wrong request with its problem."""

import base64
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pypdfium2
import pytest
from PIL import Image
from standins import StillReader

from benchmarks import hostile
from paragraph_ocr import errors
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.language import Languages
from service import fetch, openapi
from service import routes as app
from service import runtime as serving
from service.intake import IMAGE_TYPES

EVENTS = Path(__file__).parents[1] / "events"
LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"
REQUEST_ID = "c6af9ac6-7b61-4e16-9a41-93e8f0a1b2c3"
CONTEXT: Any = SimpleNamespace(
    function_name="reader",
    memory_limit_in_mb=1769,
    invoked_function_arn="arn",
    aws_request_id="id",
    get_remaining_time_in_millis=lambda: 29_000,
)
LANGUAGES = Languages.load(FOLDER / "language.npz")
Event = dict[str, Any]


COMPONENTS = {"components": json.loads(openapi.FILE.read_text(encoding="utf-8"))["components"]}


def recorded(route: str) -> Event:
    event: Event = json.loads((EVENTS / f"{route}.json").read_text())
    return event


def body_of(event: Event) -> dict[str, str]:
    body: dict[str, str] = json.loads(event["body"])
    return body


def respond(event: Event) -> dict[str, Any]:
    return app.handler(event, CONTEXT)


def raw_answer(event: Event) -> tuple[int, str, dict[str, list[str]]]:
    response = respond(event)
    return response["statusCode"], response["body"], response["multiValueHeaders"]


def answer(event: Event) -> tuple[int, dict[str, Any], dict[str, list[str]]]:
    status, body, headers = raw_answer(event)
    return status, json.loads(body), headers


def test_onnxruntime_sends_no_telemetry() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_only_jobs_load_what_talks_to_aws() -> None:
    later = {"boto3", "botocore.session", "service.fetch", "service.jobs"}
    check = f"import sys, app; sys.exit(bool({later} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", check], cwd=Path(app.__file__).parents[1], check=True)


def test_health_tells_the_models_only() -> None:
    status, body, headers = answer(recorded("health"))
    assert status == 200
    assert headers["Content-Type"] == ["application/json"]
    assert app.reader.model_set is not None
    model_set = {"version": app.reader.model_set.version, "digest": app.reader.model_set.digest}
    assert body == {"models": dict(app.reader.models), "model_set": model_set}


def test_the_description_is_served() -> None:
    status, body, headers = answer(recorded("openapi"))
    assert status == 200
    assert headers["Content-Type"] == ["application/json"]
    assert body == json.loads(openapi.FILE.read_text())


def test_ocr_answers_the_page() -> None:
    event = recorded("ocr")
    image = base64.b64decode(body_of(event)["image_base64"])
    expected = app.reader.read(image, "letter-top.jpg").to_dict()
    status, body, headers = answer(event)
    assert status == 200
    assert headers["Content-Type"] == ["application/json"]
    assert len(body["lines"]) == 3
    del body["timings_ms"], expected["timings_ms"]
    assert body == json.loads(json.dumps(expected))


def test_image_name_may_be_left_out() -> None:
    event = recorded("ocr")
    event["body"] = json.dumps({"image_base64": body_of(event)["image_base64"]})
    status, body, _ = answer(event)
    assert (status, body["image"]) == (200, "image")


@pytest.mark.parametrize(
    ("route", "file", "content_type"),
    [("page", "index.html", "text/html; charset=utf-8"), ("page_file", "page.css", "text/css; charset=utf-8")],
)
def test_the_page_is_served_and_runs_its_own_script_only(route: str, file: str, content_type: str) -> None:
    status, body, headers = raw_answer(recorded(route))
    assert (status, headers["Content-Type"]) == (200, [content_type])
    assert body == (app.WEB / file).read_text(encoding="utf-8")
    directives = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"][0].split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize(
    ("path", "links"), [("/", "web/"), ("/v1/", "web/"), ("/v1", "/v1/web/"), ('/"><b', "/&quot;&gt;&lt;b/web/"),
                      ("//evil.example", "/evil.example/web/"), ("/\\evil.example", "/evil.example/web/")]
)  # fmt: skip
def test_the_page_finds_what_it_is_made_of_wherever_it_stands(path: str, links: str) -> None:
    event = recorded("page")
    event["requestContext"]["path"] = path
    _, body, _ = raw_answer(event)
    assert re.findall(r'(?:href|src)="(?!data:)([^"]+)"', body) == [f"{links}page.css", f"{links}page.js"]


@pytest.mark.parametrize("mapped", ["", "/archive", "/archive/v2"])
def test_a_domain_name_may_map_a_path_to_the_api(mapped: str) -> None:
    for route in ("health", "page", "page_file"):
        event = recorded(route)
        event["path"] = mapped + event["path"]
        assert raw_answer(event)[0] == 200
    unknown = {**recorded("ocr"), "path": f"{mapped}/ocrs", "resource": "/ocrs"}
    assert raw_answer(unknown)[0] == 404


def test_every_file_of_the_page_can_be_had() -> None:
    assert {path.name for path in app.WEB.iterdir()} == set(app.PAGE_FILES)
    for name in app.PAGE_FILES:
        response = respond({**recorded("page_file"), "path": f"/web/{name}"})
        content = base64.b64decode(response["body"]) if response["isBase64Encoded"] else response["body"].encode()
        assert (response["statusCode"], content) == (200, (app.WEB / name).read_bytes())


@pytest.mark.parametrize("kind", ["ocr_body", "ocr_form"])
def test_takes_the_image_in_every_kind_of_body(kind: str) -> None:
    status, text, headers = raw_answer({**recorded(kind), "queryStringParameters": {"format": "text"}})
    assert (status, headers["Content-Type"]) == (200, ["text/plain; charset=utf-8"])
    assert text.splitlines() == answer(recorded("ocr"))[1]["text"].splitlines()


def test_takes_the_image_behind_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def fetched(*arguments: Any) -> bytes:
        asked.append(arguments)
        return base64.b64decode(body_of(recorded("ocr"))["image_base64"])

    monkeypatch.setattr(fetch, "fetch", fetched)
    status, body, _ = answer(recorded("ocr_url"))
    assert (status, body["image"], len(body["lines"])) == (200, "letter.jpg", 3)
    limits = (app.SETTINGS.max_image_bytes, app.MAX_FETCH_SECONDS, IMAGE_TYPES)
    assert asked == [("https://example.com/letter.jpg", *limits)]


def test_the_time_for_fetching_is_part_of_the_time_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: Any) -> bytes:
        time.sleep(0.2)
        return base64.b64decode(body_of(recorded("ocr"))["image_base64"])

    monkeypatch.setattr(fetch, "fetch", fetched)
    monkeypatch.setattr(app, "SETTINGS", replace(app.SETTINGS, max_seconds=0.1))
    status, body, _ = answer(recorded("ocr_url"))
    assert (status, body["type"]) == (504, "urn:paragraph-ocr:deadline-exceeded")


def test_lambdas_remaining_time_is_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def fetched(_: str, __: int, max_seconds: float, ___: Any) -> bytes:
        asked.append(max_seconds)
        return LETTER.read_bytes()

    monkeypatch.setattr(fetch, "fetch", fetched)
    monkeypatch.setattr(CONTEXT, "get_remaining_time_in_millis", lambda: 1000 * serving.RESERVE_SECONDS + 60_000)
    monkeypatch.setattr(app, "SETTINGS", replace(app.SETTINGS, max_seconds=1000))
    monkeypatch.setattr(app, "MAX_FETCH_SECONDS", 1000.0)
    for route in ("ocr_url", "ocr"):
        event = {**recorded(route), "queryStringParameters": {"format": "pdf"}}
        monkeypatch.setattr(app, "render", lambda *arguments: asked.append(arguments[3]) or b"%PDF")
        monkeypatch.setattr(app, "reader", StillReader(app.SETTINGS.request_limits))
        start = time.perf_counter()
        assert raw_answer(event)[0] == 200
        # What is left of the minute goes to fetching, and the same moment ends the answer.
        assert 0 < asked[0] <= 60
        assert start < asked[-1] <= time.perf_counter() + 60
    monkeypatch.setattr(CONTEXT, "get_remaining_time_in_millis", lambda: 1000 * serving.RESERVE_SECONDS)
    status, body, _ = answer(recorded("ocr"))
    assert (status, body["type"]) == (504, "urn:paragraph-ocr:deadline-exceeded")


def test_a_server_that_uses_up_the_time_is_no_failure_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: Any) -> bytes:
        raise errors.RemoteFailed("too slow")

    monkeypatch.setattr(fetch, "fetch", fetched)
    assert answer(recorded("ocr_url"))[0] == 502
    monkeypatch.setattr(CONTEXT, "get_remaining_time_in_millis", lambda: 0)
    assert answer(recorded("ocr_url"))[0] == 504


def test_too_little_memory_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(app.reader, "read", read)
    status, body, _ = answer(recorded("ocr"))
    assert (status, body["type"]) == (413, "urn:paragraph-ocr:too-large")


def test_urls_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SETTINGS", replace(app.SETTINGS, allow_image_url=False))
    status, body, _ = answer(recorded("ocr_url"))
    assert (status, body["type"]) == (422, "urn:paragraph-ocr:url-refused")


@pytest.mark.parametrize("failure", [errors.UrlRefused, errors.RemoteFailed, errors.TooLarge])
def test_says_what_is_wrong_with_a_url(monkeypatch: pytest.MonkeyPatch, failure: type[errors.OcrError]) -> None:
    def fetched(*_: Any) -> bytes:
        raise failure("what to change")

    monkeypatch.setattr(fetch, "fetch", fetched)
    status, body, _ = answer(recorded("ocr_url"))
    assert (status, body["type"], body["detail"]) == (failure.status, failure.type, "what to change")


@pytest.mark.parametrize("form", FORMATS)
def test_answers_in_every_form(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(app, "reader", StillReader(app.SETTINGS.request_limits))
    content_type = FORMATS[form].content_type
    by_query = {**recorded("ocr"), "queryStringParameters": {"format": form}}
    by_header = recorded("ocr")
    by_header["headers"]["Accept"] = content_type
    for event in (by_query, by_header):
        response = respond(event)
        assert response["statusCode"] == 200, response
        assert response["multiValueHeaders"]["Content-Type"] == [content_type]
        assert response["isBase64Encoded"] is (content_type in IMAGE_TYPES)


def asked(**query: str) -> Event:
    return {**recorded("ocr"), "queryStringParameters": query}


@pytest.mark.parametrize(
    ("query", "message"),
    [({"langs": "en"}, "'langs'; the parameters are format, lang, pages, lines, mark, charset"),
     ({"lang": "qq"}, "lang must be one or more of .*en.*'qq' is none"), ({"pages": "5-2"}, "upwards"),
     ({"pages": "2"}, "asks for page 2; the file has 1 page"), ({"lines": "flow"}, "lines must be one of kept, joined"),
     ({"mark": "1"}, "mark must be one of true, false"), ({"charset": "hex"}, "charset must be one of digits, letters"),
     ({"format": "docx"}, "format must be one of json"), ({"text": "yes"}, "text must be one of auto, read"),
     ({"upright": "1"}, "upright must be one of true, false")],
)  # fmt: skip
def test_options_are_heeded_or_refused(monkeypatch: pytest.MonkeyPatch, query: dict[str, str], message: str) -> None:
    monkeypatch.setattr(app, "reader", StillReader(app.SETTINGS.request_limits))
    monkeypatch.setattr(app.reader.recognizer, "languages", LANGUAGES)
    status, body, _ = answer(asked(**query))
    assert status == 400
    assert re.search(message, body["detail"])


def test_a_parameter_may_be_there_once_and_jobs_have_no_format(monkeypatch: pytest.MonkeyPatch) -> None:
    event = asked(pages="1") | {"multiValueQueryStringParameters": {"pages": ["1", "1"]}}
    status, body, _ = answer(event)
    assert (status, "more than once" in body["detail"]) == (400, True)
    monkeypatch.setattr(app, "SETTINGS", replace(app.SETTINGS, table="jobs"))
    for query, told in (
        ({"format": "text"}, "the parameters are lang, pages, lines, mark, charset, text, upright"),
        ({"text": "ocr"}, "text must be one of auto, read."),
        ({"upright": "yes"}, "upright must be one of true, false."),
        ({"pages": "0"}, "pages must"),
    ):
        status, body, _ = answer({**recorded("post_job"), "queryStringParameters": query})
        assert (status, told in body["detail"]) == (400, True), body
    status, body, _ = answer({**recorded("get_job"), "queryStringParameters": {"lang": "en"}})
    assert (status, "there are none on this route" in body["detail"]) == (400, True)


def test_options_reach_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = StillReader(app.SETTINGS.request_limits)
    reader.recognizer.languages = LANGUAGES
    monkeypatch.setattr(app, "reader", reader)
    plain = answer(asked())[1]
    assert set(plain["text"]) == {"a", "\n"}
    # The model is asked whatever language is named, and digits leave no letter.
    joined = answer(asked(lang="en,de", pages="1", lines="joined"))[1]
    assert joined["text"].split() == plain["text"].split()
    assert "\n" not in joined["text"].replace("\n\n", "")
    assert answer(asked(charset="digits"))[1]["lines"] == []
    named: list[Any] = []
    given = Languages.given
    monkeypatch.setattr(Languages, "given", lambda self, codes, texts: named.append(codes) or given(self, codes))
    answer(asked(lang="en,de"))
    assert named == [("en", "de")]


@pytest.mark.parametrize("kind", ["JSON", "binary"])
def test_text_that_a_pdf_carries_is_given_or_read(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(app, "reader", StillReader(app.SETTINGS.request_limits))
    data = base64.b64encode(hostile.pdf(b"BT /F 14 Tf 0 -1 1 0 100 500 Tm (text) Tj ET")).decode()
    body = {"body": json.dumps({"image_base64": data})}
    if kind == "binary":
        body = {"body": data, "isBase64Encoded": True, "headers": {"Content-Type": "application/pdf"}}
    for query, told in (
        ({}, [("text", "pdf")]),
        ({"text": "auto"}, [("text", "pdf")]),
        ({"text": "read"}, [("a", None)]),
    ):
        status, page, _ = answer({**asked(**query), **body})
        assert status == 200
        assert [(line["text"], line.get("source")) for line in page["lines"]] == told
        jsonschema.Draft202012Validator({"$ref": "#/components/schemas/Page", **COMPONENTS}).validate(page)
    for query, turned in (({}, 0), ({"upright": "false"}, 0), ({"upright": "true"}, 270)):
        response = respond({**asked(format="pdf", **query), **body})
        with pypdfium2.PdfDocument(base64.b64decode(response["body"])) as document:
            assert document[0].get_rotation() == turned


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "", "image/jpg", "application/x-www-form-urlencoded"]
)
def test_a_picture_is_read_whatever_its_type_is_said_to_be(monkeypatch: pytest.MonkeyPatch, content_type: str) -> None:
    monkeypatch.setattr(app, "reader", StillReader(app.SETTINGS.request_limits))
    event = recorded("ocr_body") | {"body": base64.b64encode(LETTER.read_bytes()).decode(), "isBase64Encoded": True}
    event["headers"] = {"Content-Type": content_type} if content_type else {}
    assert answer(event)[0] == 200
    # As the gateway hands it over where its list lacks the type.
    event |= {"body": LETTER.read_bytes().decode(errors="replace"), "isBase64Encoded": False}
    status, body, _ = answer(event)
    assert (status, body["type"]) == (422, "urn:paragraph-ocr:broken-image")
    assert "BinaryMediaTypes" in body["detail"]


@pytest.mark.parametrize("route", ["page", "page_file", "health", "openapi", "ocr", "ocr_url"])
def test_answers_are_not_kept_guessed_at_or_framed(monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    monkeypatch.setattr(app, "SETTINGS", replace(app.SETTINGS, allow_image_url=False))
    headers = raw_answer(recorded(route))[2]
    assert headers["Cache-Control"] == ["no-store"]
    assert headers["X-Content-Type-Options"] == ["nosniff"]
    assert headers["Referrer-Policy"] == ["no-referrer"]
    assert headers["Strict-Transport-Security"] == ["max-age=63072000"]
    assert headers["Content-Security-Policy"][0].startswith("default-src 'none'; ")
    assert headers["Content-Security-Policy"][0].endswith("; frame-ancestors 'none'")
    assert not {name for name in headers if name.lower().startswith("access-control")}


def test_no_origin_may_read_answers_unless_it_is_listed() -> None:
    event = recorded("ocr_preflight")
    status, body, headers = answer(event)
    assert (status, body["type"]) == (405, "urn:paragraph-ocr:method-not-allowed")
    assert not {name for name in headers if name.lower().startswith("access-control")}


@pytest.fixture
def app_for_two_origins(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CORS_ORIGINS", "https://archive.example,https://letters.example")
    spec = importlib.util.spec_from_file_location("app_for_two_origins", app.__file__)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_listed_origins_may_read_answers(app_for_two_origins: Any) -> None:
    for origin in ("https://archive.example", "https://letters.example", "https://archive.example.evil", "null"):
        listed = origin in app_for_two_origins.SETTINGS.cors_origins
        preflight = recorded("ocr_preflight")
        preflight["headers"]["Origin"] = origin
        preflight["multiValueHeaders"]["Origin"] = [origin]
        response = app_for_two_origins.handler(preflight, CONTEXT)
        assert (response["statusCode"], response["body"]) == (204, "")
        headers = response["multiValueHeaders"]
        assert headers.get("Access-Control-Allow-Origin") == ([origin] if listed else None)
        if listed:
            assert "POST" in headers["Access-Control-Allow-Methods"][0]
            assert {"Content-Type", "X-Api-Key"} <= set(headers["Access-Control-Allow-Headers"][0].split(","))
            assert headers["Access-Control-Max-Age"] == ["3600"]
        # Errors, too, or a page could not tell them.
        for change, status in (({"httpMethod": "GET"}, 405), ({"httpMethod": "POST"}, 400)):
            response = app_for_two_origins.handler({**preflight, **change}, CONTEXT)
            assert response["statusCode"] == status
            assert response["multiValueHeaders"].get("Access-Control-Allow-Origin") == ([origin] if listed else None)


def with_image(data: bytes) -> Event:
    return {"body": json.dumps({"image_base64": base64.b64encode(data).decode()})}


def encoded(form: str, size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", size, 1).save(buffer, form)
    return buffer.getvalue()


JPEG = LETTER.read_bytes()
SMALL = base64.b64encode(encoded("PNG")).decode()
WRONG: dict[str, tuple[Event, int, str]] = {
    "no body": ({"body": None}, 400, "malformed-request"),
    "empty body": ({"body": ""}, 400, "malformed-request"),
    "not JSON": ({"body": "image_base64=abc"}, 400, "malformed-request"),
    "not an object": ({"body": f'["{SMALL}"]'}, 400, "malformed-request"),
    "deep JSON": ({"body": "[" * 100_000}, 400, "malformed-request"),
    "deep object": ({"body": '{"image_base64":' * 50_000}, 400, "malformed-request"),
    "long number": ({"body": f'{{"image_base64": {"9" * 5000}}}'}, 400, "malformed-request"),
    "body not base64": ({"body": "{!}", "isBase64Encoded": True}, 400, "malformed-request"),
    "body not UTF-8": ({"body": base64.b64encode(b"\xff\xfe{").decode(), "isBase64Encoded": True}, 400,
                       "malformed-request"),
    "no image": ({"body": '{"image_name": "a"}'}, 400, "malformed-request"),
    "empty image": ({"body": '{"image_base64": ""}'}, 400, "malformed-request"),
    "image a number": ({"body": '{"image_base64": 7}'}, 400, "malformed-request"),
    "two images": ({"body": f'{{"image_base64": ["{SMALL}", "{SMALL}"]}}'}, 400, "malformed-request"),
    "image twice": ({"body": f'{{"image_base64": "{SMALL}", "image_base64": "{SMALL}"}}'}, 400, "malformed-request"),
    "unknown field": ({"body": f'{{"image_base64": "{SMALL}", "image": 1}}'}, 400, "malformed-request"),
    "broken base64": ({"body": '{"image_base64": "abcde"}'}, 400, "malformed-request"),
    "foreign characters": ({"body": '{"image_base64": "äöü="}'}, 400, "malformed-request"),
    "data URL not base64": ({"body": '{"image_base64": "data:image/png,abcd"}'}, 400, "malformed-request"),
    "name a number": ({"body": f'{{"image_base64": "{SMALL}", "image_name": 1}}'}, 400, "malformed-request"),
    "name not text": ({"body": f'{{"image_base64": "{SMALL}", "image_name": "\\ud800"}}'}, 400, "malformed-request"),
    "name too long": ({"body": f'{{"image_base64": "{SMALL}", "image_name": "{"a" * 256}"}}'}, 400,
                      "malformed-request"),
    "no image in a form": ({"headers": {"Content-Type": "multipart/form-data"}, "body": None}, 400,
                           "malformed-request"),
    "unknown form": ({"queryStringParameters": {"format": "docx"}}, 400, "malformed-request"),
    "unacceptable form": ({"headers": {"Accept": "text/html", "Content-Type": "application/json"}}, 406,
                          "not-acceptable"),
    "unknown file": ({"path": "/web/..", "resource": "/web/{file}", "httpMethod": "GET"}, 404, "route-not-found"),
    "unknown route": ({"path": "/ocrs", "resource": "/ocrs"}, 404, "route-not-found"),
    "wrong method": ({"httpMethod": "GET"}, 405, "method-not-allowed"),
    "body too large": ({"body": "[" + "1," * 4_000_000}, 413, "too-large"),
    "too many bytes": (with_image(b"\xff\xd8\xff" + bytes(app.SETTINGS.max_image_bytes)), 413, "too-large"),
    "too many pixels": (with_image(encoded("PNG", (9000, 9000))), 413, "too-large"),
    "other content type": ({"headers": {"Content-Type": "text/html"}}, 415, "unsupported-content-type"),
    "no headers, no body": ({"headers": None, "body": None}, 400, "malformed-request"),
    "unknown format": (with_image(b"%!PS-Adobe-3.0"), 415, "unsupported-format"),
    "truncated image": (with_image(JPEG[: len(JPEG) // 2]), 422, "broken-image"),
    "header alone": (with_image(JPEG[:20]), 422, "broken-image"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refuses(name: str) -> None:
    change, status, kind = WRONG[name]
    got, body, headers = answer({**recorded("ocr"), **change})
    assert (got, body["type"]) == (status, f"urn:paragraph-ocr:{kind}")
    assert headers["Content-Type"] == ["application/problem+json"]
    assert set(body) == {"type", "title", "status", "detail", "request_id"}
    assert (body["status"], body["request_id"]) == (status, REQUEST_ID)
    assert body["title"]
    assert body["detail"]


@pytest.mark.parametrize(
    ("route", "method"),
    [
        ("ocr", "POST"),
        ("convert", "POST"),
        ("health", "GET"),
        ("page", "GET"),
        ("page_file", "GET"),
        ("openapi", "GET"),
    ],
)
def test_a_wrong_method_learns_the_right_one(route: str, method: str) -> None:
    status, _, headers = answer({**recorded(route), "httpMethod": "DELETE"})
    assert (status, headers["Allow"]) == (405, [method])


def test_refuses_an_answer_that_would_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_ANSWER_BYTES", 100)
    status, body, _ = answer(recorded("ocr"))
    assert (status, body["type"]) == (413, "urn:paragraph-ocr:too-large")


def test_a_large_binary_answer_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "reader", StillReader(app.SETTINGS.request_limits))
    monkeypatch.setattr(app, "render", lambda *_: bytes(app.MAX_ANSWER_BYTES * 3 // 4 + 3))
    monkeypatch.setattr(app, "choose", lambda *_: "pdf")
    monkeypatch.setattr(app, "FORMATS", {"pdf": SimpleNamespace(content_type="application/pdf")})
    status, body, _ = answer(recorded("ocr"))
    assert (status, body["type"]) == (413, "urn:paragraph-ocr:too-large")


def test_metrics_tell_what_was_read_and_how_long_each_step_took(capsys: pytest.CaptureFixture[str]) -> None:
    body = answer(recorded("ocr"))[1]
    (entry,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "Pages" in line]
    assert (entry["Pages"], entry["Lines"]) == ([1.0], [3.0])
    assert entry["Confidence"] == [pytest.approx(100 * body["confidence"], abs=0.01)]
    assert entry["ReadingTime"][0] == pytest.approx(body["timings_ms"]["total"], abs=0.1)
    steps = [entry[name][0] for name in ("DecodingTime", "DetectionTime", "RecognitionTime")]
    assert all(step > 0 for step in steps)
    assert sum(steps) == pytest.approx(entry["ReadingTime"][0], abs=1)


def test_disabled_metrics_are_neither_printed_nor_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    # Powertools prints 100 values of a metric; warnings are errors here.
    for _ in range(101):
        assert respond(recorded("health"))["statusCode"] == 200
    assert respond({**recorded("ocr"), "body": ""})["statusCode"] == 400
    assert '"_aws"' not in capsys.readouterr().out
    assert not app.metrics.provider.metric_set
    monkeypatch.undo()
    respond({**recorded("ocr"), "body": ""})
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [entry["reason"] for entry in entries if "Rejected" in entry] == ["malformed-request"]


def test_logs_hold_neither_image_nor_text_nor_name_nor_url(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(app.logger.registered_handler, "stream", log)
    name, url = "name-of-the-image", "https://host-of-the-image.invalid/path-of-the-image"
    image = body_of(recorded("ocr"))["image_base64"]
    bodies = [
        {"image_base64": image, "image_name": name},
        {"image_base64": image[:4000], "image_name": name},
        {"image_base64": image, "image_name": name * 100},
        {"image_url": url, "image_name": name},
        {"image_url": f"{url}:80", "image_name": name},
        {name: name},
    ]

    def fetched(*_: Any) -> bytes:
        raise errors.RemoteFailed("failed")

    monkeypatch.setattr(fetch, "fetch", fetched)
    answers = [respond({**recorded("ocr"), "body": json.dumps(body)}) for body in bodies]
    assert [each["statusCode"] for each in answers] == [200, 422, 400, 502, 502, 400]
    respond({**recorded("ocr"), "path": f"/{name}", "resource": f"/{name}", "headers": {"X-Name": name}})
    monkeypatch.setattr(app, "parse_image", lambda *_: 1 / 0)
    assert respond(recorded("ocr"))["statusCode"] == 500
    written = log.getvalue() + capsys.readouterr().out
    entries = [json.loads(line) for line in written.splitlines()]
    assert len(entries) > 10
    for secret in (name, "-of-the-image", image[:20], *json.loads(answers[0]["body"])["text"].split("\n")):
        assert secret not in written
    logged = [json.loads(line) for line in log.getvalue().splitlines()]
    assert all(entry["correlation_id"] == REQUEST_ID for entry in logged)


def test_a_failure_reveals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the page")

    log = io.StringIO()
    monkeypatch.setattr(app.logger.registered_handler, "stream", log)
    monkeypatch.setattr(app.reader, "read", fail)
    status, body, headers = answer(recorded("ocr"))
    assert (status, body["type"]) == (500, "urn:paragraph-ocr:internal-error")
    assert headers["Content-Type"] == ["application/problem+json"]
    assert "secret" not in json.dumps(body)
    assert "RuntimeError" not in json.dumps(body)
    (entry,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert entry["exception"] == "RuntimeError"
    assert entry["correlation_id"] == REQUEST_ID
    assert "a secret of the page" not in entry["frames"][0]
