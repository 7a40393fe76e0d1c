"""A job is taken from every kind of request, read, and shown to whoever asked for it and to nobody else."""

import base64
import io
import json
import time
import urllib.request
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import jsonschema
import pypdfium2
import pytest
from botocore.exceptions import ClientError
from conftest import Cloud
from PIL import Image
from standins import StillReader

from benchmarks import hostile
from local.cloud import poll
from paragraph_ocr.formats import FORMATS
from service import fetch, jobs, openapi, worker
from service import routes as app
from service.settings import Settings

EVENTS = Path(__file__).parents[1] / "events"
CONTEXT: Any = SimpleNamespace(
    function_name="reader",
    memory_limit_in_mb=1769,
    invoked_function_arn="arn",
    aws_request_id="id",
    get_remaining_time_in_millis=lambda: 1000 * Settings().timeout,
)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
WEBHOOK = {"webhook_url": "https://example.com/hook", "webhook_secret": SECRET}
COMPONENTS = {"components": json.loads(openapi.FILE.read_text(encoding="utf-8"))["components"]}
Event = dict[str, Any]


@pytest.fixture(autouse=True)
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SETTINGS", cloud.settings)
    monkeypatch.setattr(worker, "_worker", worker.Worker(cloud.settings, StillReader(cloud.settings.job_limits)))


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (60, 60), 200).save(buffer, "PNG")
    return buffer.getvalue()


def recorded(name: str) -> Event:
    event: Event = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def answer(event: Event, schema: str = "") -> tuple[int, dict[str, Any], dict[str, list[str]]]:
    response = app.handler(event, CONTEXT)
    body = json.loads(response["body"])
    if schema:
        jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **COMPONENTS}).validate(body)
    return response["statusCode"], body, response["multiValueHeaders"]


def make(body: Any = None, **changes: Any) -> dict[str, Any]:
    """A job, as its caller is answered."""
    status, job, _ = answer(
        {**recorded("post_job"), "body": None if body is None else json.dumps(body), **changes}, "NewJob"
    )
    assert status == 202
    return job


def asked(identifier: str) -> Event:
    event = recorded("get_job")
    return {**event, "path": f"/jobs/{identifier}", "pathParameters": {"id": identifier}}


def watch(identifier: str) -> dict[str, Any]:
    status, job, headers = answer(asked(identifier), "Job")
    assert (status, headers["Cache-Control"]) == (200, ["no-store"])
    return job


def work(cloud: Cloud) -> None:
    while poll(cloud["QUEUE_URL"], lambda event: worker.handler(event, CONTEXT)):
        pass


def upload(job: dict[str, Any], data: bytes) -> int:
    """Send a file as a browser does; the status of the answer."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in job["upload"]["fields"].items()
    ]
    head = f'{"".join(parts)}--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(urllib.request.Request(job["upload"]["url"], body, headers)) as response:
        return int(response.status)


IN_BASE64 = base64.b64encode(png()).decode()
KINDS: dict[str, Event] = {
    "JSON": {"body": json.dumps({"image_base64": IN_BASE64, "image_name": "é.png"})},
    "a body": {"body": IN_BASE64, "isBase64Encoded": True, "headers": {"Content-Type": "image/png"}},
    "a form": {
        "body": base64.b64encode(
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + png() + b"\r\n--b--\r\n"
        ).decode(),
        "isBase64Encoded": True,
        "headers": {"Content-Type": "multipart/form-data; boundary=b"},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_any_kind_of_request_is_read(cloud: Cloud, kind: str) -> None:
    status, job, headers = answer({**recorded("post_job"), **KINDS[kind]}, "NewJob")
    assert status == 202
    assert headers["Location"] == [job["watch"]]
    assert job["watch"] == f"https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1/jobs/{job['id']}"
    assert "upload" not in job
    assert watch(job["id"])["state"] == "waiting"
    work(cloud)
    end = watch(job["id"])
    counts = {"pages": 1, "lines": 1}
    assert (end["state"], end["done"], end["total"]) == ("done", counts, counts)
    assert end["image"] == {"JSON": "é.png", "a body": "image", "a form": "a.png"}[kind]
    assert end["expires"] == job["expires"]


def test_a_job_heeds_the_options_of_its_request(cloud: Cloud) -> None:
    data = hostile.pdf(b"BT /F 14 Tf 0 -1 1 0 100 500 Tm (text) Tj ET", 4)
    for query, numbers, sources, turned in (
        ({"pages": "2,4", "upright": "true"}, [2, 4], {"pdf"}, [0, 270, 0, 270]),
        ({"text": "read", "upright": "false"}, [1, 2, 3, 4], {None}, [0, 0, 0, 0]),
        (None, [1, 2, 3, 4], {"pdf"}, [0, 0, 0, 0]),
    ):
        job = make({"image_name": "scan.pdf"}, queryStringParameters=query)
        assert upload(job, data) == 204
        work(cloud)
        end = watch(job["id"])
        assert (end["state"], end["total"]["pages"]) == ("done", len(numbers))
        with urllib.request.urlopen(end["results"]["json"]) as response:
            pages = json.loads(response.read())["pages"]
        assert [page["page"] for page in pages] == numbers
        assert {line.get("source") for page in pages for line in page["lines"]} == sources
        with (
            urllib.request.urlopen(end["results"]["pdf"]) as response,
            pypdfium2.PdfDocument(response.read()) as document,
        ):
            assert [page.get_rotation() for page in document] == turned


def test_a_job_that_asks_for_a_page_that_is_not_there_fails(cloud: Cloud) -> None:
    job = make({"image_base64": IN_BASE64}, queryStringParameters={"pages": "2"})
    work(cloud)
    end = watch(job["id"])
    assert (end["state"], end["error"]["status"]) == ("failed", 400)
    assert "the file has 1 page" in end["error"]["detail"]


def test_a_request_with_other_options_is_another_request() -> None:
    body = {"image_base64": IN_BASE64}
    first = keyed("options", body)
    assert answer(first)[1]["id"] == answer(first)[1]["id"]
    assert answer({**first, "queryStringParameters": {"text": "read"}})[0] == 422


def test_an_upload_is_read_and_every_form_of_it_can_be_had(cloud: Cloud) -> None:
    job = make({"image_name": "scan.png"})
    assert upload(job, png()) == 204
    work(cloud)
    end = watch(job["id"])
    assert set(end["results"]) == set(FORMATS)
    for form, link in end["results"].items():
        with urllib.request.urlopen(link) as response:
            assert response.headers["Content-Type"] == FORMATS[form].content_type
            data = response.read()
        if form == "json":
            page = json.loads(data)
            assert (page["image"], page["text"]) == ("scan.png", "a")


@pytest.mark.parametrize("body", [None, {}])
def test_without_an_image_there_is_an_upload_with_its_limits(body: Any) -> None:
    job = make(body)
    upload = job["upload"]
    assert upload["fields"]["key"] == f"jobs/{job['id']}"
    policy = json.loads(base64.b64decode(upload["fields"]["policy"]))
    assert ["content-length-range", 1, Settings().max_upload_bytes] in policy["conditions"]
    assert {"key": f"jobs/{job['id']}"} in policy["conditions"]
    expires = time.strptime(policy["expiration"], "%Y-%m-%dT%H:%M:%SZ")
    assert time.mktime(expires) - time.mktime(time.gmtime()) <= jobs.LINK_SECONDS
    assert watch(job["id"])["state"] == "waiting"


def test_an_upload_above_the_limit_is_not_read(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # S3 keeps to the policy of the form; the server that stands in for it does not.
    settings = replace(cloud.settings, max_upload_bytes=len(png()) - 1)
    monkeypatch.setattr(worker, "_worker", worker.Worker(settings, worker._worker.reader))
    job = make()
    upload(job, png())
    work(cloud)
    end = watch(job["id"])
    assert (end["state"], end["error"]["status"]) == ("failed", 413)


def test_a_url_is_fetched_by_the_worker(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "fetch", lambda *_: png())
    job = make({"image_url": "https://example.com/a.png"})
    work(cloud)
    assert watch(job["id"])["state"] == "done"


def test_a_failure_is_told_as_a_problem(cloud: Cloud) -> None:
    job = make({"image_base64": base64.b64encode(b"no image").decode()})
    work(cloud)
    end = watch(job["id"])
    assert end["state"] == "failed"
    assert "results" not in end
    assert (end["error"]["status"], end["error"]["type"]) == (415, "urn:paragraph-ocr:unsupported-format")


def test_a_webhook_s_state_is_told_and_its_secret_is_not(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.notices.post", lambda *_: None)
    job = make({"image_base64": IN_BASE64, **WEBHOOK})
    assert watch(job["id"])["webhook"] == "waiting"
    work(cloud)
    assert watch(job["id"])["webhook"] == "done"
    assert SECRET not in json.dumps([job, watch(job["id"])])


def by(event: Event, **identity: Any) -> Event:
    event["requestContext"]["identity"].update(identity)
    return event


STRANGERS: dict[str, Event] = {
    "another key": {"apiKeyId": "other"},
    "no key": {"apiKeyId": None},
    "the key, signed": {"caller": "AIDAEXAMPLE"},
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_nobody_sees_another_s_job(cloud: Cloud, stranger: str) -> None:
    job = make({"image_base64": IN_BASE64})
    work(cloud)
    status, problem, _ = answer(by(asked(job["id"]), **STRANGERS[stranger]), "Problem")
    assert (status, problem["type"]) == (404, "urn:paragraph-ocr:job-not-found")
    assert watch(job["id"])["state"] == "done"


def test_sessions_of_a_role_are_one_caller_and_roles_are_not() -> None:
    def job_of(caller: str) -> str:
        event = by(recorded("post_job"), caller=caller)
        identifier: str = answer(event, "NewJob")[1]["id"]
        return identifier

    job = job_of("AROAEXAMPLE:monday")
    assert answer(by(asked(job), caller="AROAEXAMPLE:tuesday"))[0] == 200
    assert answer(by(asked(job), caller="AROAOTHER:monday"))[0] == 404


@pytest.mark.parametrize("identifier", ["0" * 32, "x", "..", "0" * 31 + "G", "a" * 2000, "%00"])
def test_there_is_no_job_of_another_id(identifier: str) -> None:
    status, problem, _ = answer(asked(identifier), "Problem")
    assert (status, problem["type"]) == (404, "urn:paragraph-ocr:job-not-found")


def test_what_is_dropped_is_nobody_s_job(cloud: Cloud) -> None:
    key = "jobs/" + "0" * 32
    cloud.drop(key, png())
    work(cloud)
    assert cloud.items()[key]["state"] == "done"
    assert answer(asked("0" * 32))[0] == 404


def test_a_job_that_has_expired_is_gone_before_the_table_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make()
    now = time.time()
    monkeypatch.setattr(jobs.time, "time", lambda: now + Settings().retention_seconds + 1)
    assert answer(asked(job["id"]))[0] == 404


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "two images": ({"image_base64": "AA==", "image_url": "https://example.com/"}, 400, "malformed-request"),
    "no secret": ({"webhook_url": "https://example.com/"}, 400, "malformed-request"),
    "a short secret": ({**WEBHOOK, "webhook_secret": "whsec_AAAA"}, 400, "malformed-request"),
    "a secret without its mark": ({**WEBHOOK, "webhook_secret": SECRET[6:]}, 400, "malformed-request"),
    "a secret not in base64": ({**WEBHOOK, "webhook_secret": "whsec_" + "é" * 40}, 400, "malformed-request"),
    "unknown field": ({"image": "a"}, 400, "malformed-request"),
    "plain HTTP": ({"image_url": "http://example.com/"}, 422, "url-refused"),
    "a webhook by address": ({**WEBHOOK, "webhook_url": "https://127.0.0.1/"}, 422, "url-refused"),
    "a webhook at another port": ({**WEBHOOK, "webhook_url": "https://example.com:8443/"}, 422, "url-refused"),
    "a webhook over HTTP": ({**WEBHOOK, "webhook_url": "http://example.com/"}, 422, "url-refused"),
    "too many bytes": ({"image_base64": "A" * 7_000_000}, 413, "too-large"),
}


@pytest.mark.parametrize("case", WRONG)
def test_refuses_at_once(cloud: Cloud, case: str) -> None:
    body, status, kind = WRONG[case]
    got, problem, _ = answer({**recorded("post_job"), "body": json.dumps(body)}, "Problem")
    assert (got, problem["type"]) == (status, f"urn:paragraph-ocr:{kind}")
    assert (cloud.items(), cloud.messages()) == ({}, [])


def test_a_table_that_refuses_takes_no_image(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_table", lambda _: 1 / 0)
    status, problem, _ = answer({**recorded("post_job"), **KINDS["JSON"]}, "Problem")
    assert (status, problem["type"]) == (500, "urn:paragraph-ocr:internal-error")
    assert cloud.messages() == []


def keyed(key: str, body: Any, **identity: Any) -> Event:
    """A request for a job with an idempotency key."""
    event = {**by(recorded("post_job"), **identity), "body": json.dumps(body)}
    event["headers"] = {**event["headers"], "idempotency-KEY": key}
    return event


def forget(cloud: Cloud) -> None:
    """Let the time pass for which answers are kept."""
    requests = boto3.resource("dynamodb").Table(cloud["REQUESTS"])
    for item in requests.scan()["Items"]:
        requests.delete_item(Key={"id": item["id"]})


def test_a_request_that_comes_again_with_its_key_makes_no_second_job(cloud: Cloud) -> None:
    event = keyed("order-7", {"image_name": "a.png"})
    status, first, _ = answer(event, "NewJob")
    assert (status, answer(event, "NewJob")[1]) == (202, first)
    assert len(cloud.items()) == 1
    # When the answer is forgotten, with its link, the job is not.
    forget(cloud)
    upload(first, png())
    work(cloud)
    assert answer(event, "NewJob")[1]["id"] == first["id"]
    assert watch(first["id"])["state"] == "done"
    assert len(cloud.items()) == 1


def test_idempotency_keys_are_each_caller_s_own() -> None:
    body = {"image_name": "a.png"}
    mine, yours = answer(keyed("k", body))[1], answer(keyed("k", body, apiKeyId="other"))[1]
    assert mine["id"] != yours["id"]
    assert answer(asked(yours["id"]))[0] == 404


@pytest.mark.parametrize("remembered", [True, False])
def test_an_idempotency_key_is_one_request_s(cloud: Cloud, remembered: bool) -> None:
    answer(keyed("k", {"image_name": "a.png"}))
    if not remembered:
        forget(cloud)
    status, problem, _ = answer(keyed("k", {"image_name": "b.png"}), "Problem")
    assert (status, problem["type"]) == (422, "urn:paragraph-ocr:idempotency-key-reused")
    assert [item["image"] for item in cloud.items().values()] == ["a.png"]


def test_two_requests_with_a_key_at_the_same_time_are_not_both_answered(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = jobs.Jobs.create
    statuses = []

    def overtaken(store: jobs.Jobs, event: Event, request: Any, *rest: Any) -> Any:
        with pytest.raises(jobs.KeyInUse) as refused:
            store.create_once(event, request, "k", CONTEXT)
        statuses.append(refused.value.status)
        return create(store, event, request, *rest)

    monkeypatch.setattr(jobs.Jobs, "create", overtaken)
    assert answer(keyed("k", {"image_base64": IN_BASE64}))[0] == 202
    assert statuses == [409]
    assert len(cloud.items()) == 1


@pytest.mark.parametrize("key", ["é", "a b", "a" * 256])
def test_an_idempotency_key_is_plain(cloud: Cloud, key: str) -> None:
    assert answer(keyed(key, {}), "Problem")[0] == 400
    assert cloud.items() == {}


def refusing(*_: Any, **__: Any) -> Any:
    raise ClientError({"Error": {"Code": "InternalError"}}, "PutObject")


@pytest.mark.parametrize(
    ("body", "victim"),
    [
        ({"image_base64": IN_BASE64}, "service.storage.client"),
        ({"image_url": "https://example.com/a.png"}, "service.jobs.Jobs.send"),
    ],
)
def test_a_job_that_could_not_be_announced_does_not_wait_and_is_taken_when_sent_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, body: dict[str, str], victim: str
) -> None:
    monkeypatch.setattr(fetch, "fetch", lambda *_: png())
    event = keyed("k", body)
    with monkeypatch.context() as patch:
        patch.setattr(victim, refusing)
        assert answer(event, "Problem")[0] == 500
    (item,) = cloud.items().values()
    assert (item["state"], item["error"]["type"]) == ("failed", "urn:paragraph-ocr:not-taken")
    status, job, _ = answer(event, "NewJob")
    assert status == 202
    work(cloud)
    assert watch(job["id"])["state"] == "done"
    assert len(cloud.items()) == 1


class Killed(BaseException):
    """Ends the process, as far as the function can tell."""


@pytest.mark.parametrize("announced", [True, False])
def test_a_job_at_which_the_function_died_is_taken_when_sent_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    announce = jobs.Jobs._announce

    def dying(*arguments: Any) -> None:
        if announced:
            announce(*arguments)
        raise Killed

    event = keyed("k", {"image_base64": IN_BASE64})
    with monkeypatch.context() as patch:
        patch.setattr(jobs.Jobs, "_announce", dying)
        with pytest.raises(Killed):
            answer(event)
    # Nobody knows any more whether it is being answered, until its time is over.
    assert answer(event, "Problem")[0] == 409
    requests = boto3.resource("dynamodb").Table(cloud["REQUESTS"])
    for item in requests.scan()["Items"]:
        requests.put_item(Item=item | {"in_progress_expiration": 1})
    status, job, _ = answer(event, "NewJob")
    assert status == 202
    work(cloud)
    assert watch(job["id"])["state"] == "done"
    assert len(cloud.items()) == 1


def test_a_job_for_which_nothing_is_uploaded_fails_when_its_link_is_over(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, empty = make(), make()
    upload(late, png())
    now = time.time()
    monkeypatch.setattr(jobs.time, "time", lambda: now + jobs.UPLOAD_SECONDS + 1)
    end = watch(empty["id"])
    assert (end["state"], end["error"]["type"]) == ("failed", "urn:paragraph-ocr:not-uploaded")
    # This one waits for the worker.
    assert watch(late["id"])["state"] == "waiting"


@pytest.mark.parametrize("name", ["post_job", "get_job"])
def test_without_a_stack_there_are_no_jobs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(app, "SETTINGS", Settings())
    status, problem, _ = answer(recorded(name), "Problem")
    assert (status, problem["type"]) == (404, "urn:paragraph-ocr:route-not-found")


@pytest.mark.parametrize(("name", "allowed"), [("post_job", "POST"), ("get_job", "GET")])
def test_a_wrong_method_learns_the_right_one(name: str, allowed: str) -> None:
    status, _, headers = answer({**recorded(name), "httpMethod": "DELETE"}, "Problem")
    assert (status, headers["Allow"]) == (405, [allowed])
