"""The handler under Lambda's own runtime client and emulator, over HTTP, on the recorded events."""

import base64
import json
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator import Emulator, run_emulator

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the emulator is a Linux program")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with run_emulator(tmp_path_factory.mktemp("runtime"), "app.handler", {}) as running:
        yield running


def recorded(route: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{route}.json").read_text())
    return event


# No site may call the API by default, there is no network behind image_url, and no stack beside the function.
STATUSES = {"ocr_preflight": {405}, "ocr_url": {422, 502}, "post_job": {404}, "get_job": {404}}


def test_answers_every_recorded_event(emulator: Emulator) -> None:
    for path in sorted((ROOT / "events").glob("*.json")):
        if path.stem.startswith(("queue_", "archive_")):
            continue
        answer = emulator.invoke(recorded(path.stem))
        assert answer["statusCode"] in STATUSES.get(path.stem, {200}), answer["body"]
        assert answer["isBase64Encoded"] is False


def test_reads_the_recorded_page(emulator: Emulator) -> None:
    page = json.loads(emulator.invoke(recorded("ocr"))["body"])
    assert page["image"] == "letter-top.jpg"
    assert len(page["lines"]) == 3
    tops = [line["box"][1] for line in page["lines"]]
    assert tops == sorted(tops)


def in_json(data: bytes) -> str:
    return json.dumps({"image_base64": base64.b64encode(data).decode()})


def png_header(side: int) -> bytes:
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), b"IDAT")
    parts = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


HOSTILE: dict[str, tuple[dict[str, Any], int]] = {
    "no body": ({"body": None}, 400),
    "deep JSON": ({"body": "[" * 100_000}, 400),
    "deep object": ({"body": '{"image_base64":' * 50_000}, 400),
    "broken base64": ({"body": '{"image_base64": "%"}'}, 400),
    "none": ({"body": "{}"}, 400),
    "two": ({"body": '{"image_base64": "AA==", "image_url": "https://example.com/"}'}, 400),
    "no boundary": ({"headers": {"Content-Type": "multipart/form-data"}, "body": "--\r\n"}, 400),
    "body not text": ({"body": "//79", "isBase64Encoded": True}, 400),
    "unknown format": ({"queryStringParameters": {"format": "docx"}}, 400),
    "unknown route": ({"path": "/../etc/passwd", "resource": "/{proxy+}"}, 404),
    "wrong method": ({"httpMethod": "DELETE"}, 405),
    "unacceptable": ({"headers": {"Content-Type": "application/json", "Accept": "image/png"}}, 406),
    "too many bytes": ({"body": in_json(b"\xff\xd8\xff" + bytes(4_500_000))}, 413),
    "too many pixels": ({"body": in_json(png_header(30_000))}, 413),
    "text": ({"headers": {"Content-Type": "text/plain"}}, 415),
    "no image": ({"body": in_json(b"<svg/>")}, 415),
    "truncated": ({"body": in_json((ROOT / "samples" / "letter.jpg").read_bytes()[:30_000])}, 422),
    "metadata": ({"body": '{"image_url": "https://169.254.169.254/latest/meta-data/"}'}, 422),
    "loopback": ({"body": '{"image_url": "https://localhost/"}'}, 422),
    "plain HTTP": ({"body": '{"image_url": "http://example.com/"}'}, 422),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_fast_and_goes_on(emulator: Emulator, case: str) -> None:
    change, status = HOSTILE[case]
    start = time.monotonic()
    answer = emulator.invoke({**recorded("ocr"), **change})
    assert time.monotonic() - start < 5
    assert answer["statusCode"] == status, answer["body"]
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    assert set(json.loads(answer["body"])) == {"type", "title", "status", "detail", "request_id"}
    for secret in ("Traceback", 'File "', str(ROOT), "eu-west-1", "site-packages"):
        assert secret not in answer["body"]
    assert emulator.invoke(recorded("health"))["statusCode"] == 200


def test_reads_again_after_all_that(emulator: Emulator) -> None:
    assert emulator.invoke(recorded("ocr"))["statusCode"] == 200


def test_logs_hold_metrics_but_neither_image_nor_text(emulator: Emulator) -> None:
    event = recorded("ocr")
    answer = emulator.invoke(event)
    emulator.invoke({**event, "body": "{"})
    page, log = json.loads(answer["body"]), emulator.log.read_text()
    assert json.loads(event["body"])["image_base64"][:40] not in log
    for line in page["lines"]:
        assert line["text"] not in log
    metrics = [json.loads(entry) for entry in log.splitlines() if entry.startswith('{"_aws"')]
    read = [entry for entry in metrics if "Pages" in entry][-1]
    assert (read["Pages"], read["Lines"]) == ([1.0], [3.0])
    assert read["ReadingTime"][0] > 0
    starts = [entry["ColdStart"][0] for entry in metrics if "ColdStart" in entry]
    assert starts == [1.0] + [0.0] * (len(starts) - 1)
    assert [entry["reason"] for entry in metrics if "Rejected" in entry][-1] == "malformed-request"
