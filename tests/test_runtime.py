"""The handler under Lambda's own runtime client and emulator, over HTTP, on the recorded events."""

import base64
import io
import json
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import Cloud
from emulator import Emulator, emulate
from pages import draw_page

from local.cloud import event_of
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.pipeline.reader import PageReader

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the emulator is a Linux program")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulate(tmp_path_factory.mktemp("runtime"), "app.handler", {}) as emulator:
        yield emulator


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
    # Far less than the function's time, and enough on a machine that is busy with others.
    assert time.monotonic() - start < 20
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


def test_a_worker_killed_within_a_page_is_followed_by_one_that_goes_on(cloud: Cloud, tmp_path: Path) -> None:
    texts = [f"{number} {words}" for number in range(12) for words in ("the old bridge", "over the river")]
    images = [draw_page(texts[number : number + 8])[0] for number in range(4)]
    content = io.BytesIO()
    images[0].save(content, "TIFF", save_all=True, append_images=images[1:])
    key = "box 1/register+é.tif"
    etag = cloud.drop(key, content.getvalue())
    message = cloud.client("sqs").receive_message(QueueUrl=cloud["QUEUE_URL"])["Messages"]
    event = event_of(message, cloud["QUEUE_URL"])
    answers: list[dict[str, Any]] = []

    def invoke(emulator: Emulator) -> None:
        # No answer comes from a function that is killed, or one that is none.
        with suppress(OSError, ValueError):
            answers.append(emulator.invoke(event))

    first = f"pages/{key}/{etag}/000001.json"
    with emulate(tmp_path, "worker.handler", cloud.environment) as emulator:
        invocation = threading.Thread(target=invoke, args=(emulator,))
        invocation.start()
        while first not in cloud.results():
            time.sleep(0.02)
        emulator.kill_function()
        invocation.join()
    assert not any("batchItemFailures" in answer for answer in answers)
    assert cloud.items()[key]["state"] == "running"
    assert not [name for name in cloud.results() if name.startswith("done/")]
    with emulate(tmp_path, "worker.handler", cloud.environment) as emulator:
        # Until its time is over, nobody takes the place of the dead.
        assert emulator.invoke(event) == {"batchItemFailures": []}
        assert cloud.items()[key]["state"] == "running"
        cloud.expire_lease(key)
        for _ in range(2):
            assert emulator.invoke(event) == {"batchItemFailures": []}
        log = emulator.log.read_text()
    results = cloud.results()
    assert set(results) == {f"done/{key}{form.suffix}" for form in FORMATS.values()}
    assert cloud.items()[key]["state"] == "done"
    # Each was written once, the page of the dead among them.
    assert sorted(cloud.versions()) == sorted([*results, *(first.replace("1.json", f"{n}.json") for n in range(1, 5))])
    read = json.loads(results[f"done/{key}.json"])
    expected = PageReader.load().read(content.getvalue(), key).to_dict()
    for page in (*read["pages"], *expected["pages"]):
        del page["timings_ms"]
    assert read == json.loads(json.dumps(expected))
    assert "register" not in log
    assert all(line["text"] not in log for page in read["pages"] for line in page["lines"])


@pytest.mark.parametrize("handler", ["archive.handler", "worker.handler"])
def test_a_service_that_cannot_be_reached_is_logged_without_names_and_urls(
    cloud: Cloud, tmp_path: Path, handler: str
) -> None:
    key = "secret-name.png"
    cloud.drop(key, b"")
    # The errors of a connection name its URL.
    closed = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    message = cloud.client("sqs").receive_message(QueueUrl=cloud["QUEUE_URL"])["Messages"]
    given = {"bucket": "secret-bucket", "forms": ["json"], "encoded": False, "tolerated": 10}
    event = (
        event_of(message, cloud["QUEUE_URL"])
        if handler == "worker.handler"
        else {
            "BatchInput": given,
            "Items": [{"Key": key, "Etag": "e"}],
        }
    )
    # A setting of Powertools would have whole events logged.
    environment = {**cloud.environment, **closed, "POWERTOOLS_LOGGER_LOG_EVENT": "true"}
    with emulate(tmp_path, handler, environment) as emulator:
        emulator.invoke(event)
        log = emulator.log.read_text()
    assert "EndpointConnectionError" in log
    for secret in ("secret", "stack-inbox", "127.0.0.1:9"):
        assert secret not in log
