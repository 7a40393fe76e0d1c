"""The handler answers recorded events: pages as JSON, and each wrong request with its problem."""

import base64
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import app

EVENTS = Path(__file__).parents[1] / "events"
LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"
REQUEST_ID = "c6af9ac6-7b61-4e16-9a41-93e8f0a1b2c3"
Event = dict[str, Any]


def recorded(route: str) -> Event:
    event: Event = json.loads((EVENTS / f"{route}.json").read_text())
    return event


def body_of(event: Event) -> dict[str, str]:
    body: dict[str, str] = json.loads(event["body"])
    return body


def answer(event: Event) -> tuple[int, dict[str, Any], dict[str, list[str]]]:
    context = SimpleNamespace(
        function_name="reader", memory_limit_in_mb=1769, invoked_function_arn="arn", aws_request_id="id"
    )
    response = app.handler(event, context)
    return response["statusCode"], json.loads(response["body"]), response["multiValueHeaders"]


def test_onnxruntime_sends_no_telemetry() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_health_tells_the_models_only() -> None:
    status, body, headers = answer(recorded("health"))
    assert status == 200
    assert headers["Content-Type"] == ["application/json"]
    assert body == {"models": dict(app.reader.models)}


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


def as_data_url(event: Event) -> None:
    body = body_of(event)
    event["body"] = json.dumps({**body, "image_base64": f"data:image/jpeg;base64,{body['image_base64']}"})


def in_wrapped_lines(event: Event) -> None:
    body = body_of(event)
    wrapped = base64.encodebytes(base64.b64decode(body["image_base64"])).decode()
    event["body"] = json.dumps({**body, "image_base64": wrapped})


def as_binary_body(event: Event) -> None:
    event.update(body=base64.b64encode(event["body"].encode()).decode(), isBase64Encoded=True)


def with_other_case(event: Event) -> None:
    del event["headers"]["Content-Type"]
    event["headers"]["content-TYPE"] = "Application/JSON; charset=utf-8"


@pytest.mark.parametrize("form", [as_data_url, in_wrapped_lines, as_binary_body, with_other_case])
def test_takes_the_body_in_every_form(form: Callable[[Event], None]) -> None:
    plain, other = recorded("ocr"), recorded("ocr")
    form(other)
    status, body, _ = answer(other)
    assert status == 200
    assert body["text"] == answer(plain)[1]["text"]


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
    "broken base64": ({"body": '{"image_base64": "abc"}'}, 400, "malformed-request"),
    "foreign characters": ({"body": '{"image_base64": "äöü="}'}, 400, "malformed-request"),
    "data URL not base64": ({"body": '{"image_base64": "data:image/png,abcd"}'}, 400, "malformed-request"),
    "name a number": ({"body": f'{{"image_base64": "{SMALL}", "image_name": 1}}'}, 400, "malformed-request"),
    "name not text": ({"body": f'{{"image_base64": "{SMALL}", "image_name": "\\ud800"}}'}, 400, "malformed-request"),
    "name too long": ({"body": f'{{"image_base64": "{SMALL}", "image_name": "{"a" * 256}"}}'}, 400,
                      "malformed-request"),
    "unknown route": ({"path": "/ocrs", "resource": "/ocrs"}, 404, "route-not-found"),
    "wrong method": ({"httpMethod": "GET"}, 405, "method-not-allowed"),
    "body too large": ({"body": "[" + "1," * 4_000_000}, 413, "too-large"),
    "too many bytes": (with_image(b"\xff\xd8\xff" + bytes(app.LIMITS.max_bytes)), 413, "too-large"),
    "too many pixels": (with_image(encoded("PNG", (8000, 8000))), 413, "too-large"),
    "no content type": ({"headers": {}}, 415, "unsupported-content-type"),
    "no headers": ({"headers": None}, 415, "unsupported-content-type"),
    "image body": ({"headers": {"Content-Type": "image/jpeg"}, "body": SMALL, "isBase64Encoded": True}, 415,
                   "unsupported-content-type"),
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


@pytest.mark.parametrize(("route", "method"), [("ocr", "POST"), ("health", "GET")])
def test_a_wrong_method_learns_the_right_one(route: str, method: str) -> None:
    status, _, headers = answer({**recorded(route), "httpMethod": "DELETE"})
    assert (status, headers["Allow"]) == (405, [method])


def test_refuses_an_answer_that_would_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_ANSWER_BYTES", 100)
    status, body, _ = answer(recorded("ocr"))
    assert (status, body["type"]) == (413, "urn:paragraph-ocr:too-large")


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
