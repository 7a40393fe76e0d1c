"""Whatever happens to a worker and to what it works on, each object is read once, and nobody waits in vain."""

from __future__ import annotations

import io
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest
from botocore.exceptions import ClientError
from conftest import Cloud
from pdfs import make_pdf, page_object
from PIL import Image
from standins import StillReader

from local.cloud import event_of, poll
from paragraph_ocr.document import Page
from paragraph_ocr.errors import RemoteFailed
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.io import confined
from paragraph_ocr.pipeline import orientation
from service import fetch, jobs, notices, storage, worker
from service.settings import Settings

ROOT = Path(__file__).parents[1]
TIMEOUT = Settings().timeout
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" + "AAAAAAAAAAA="
Invoke = Callable[[dict[str, Any]], dict[str, Any]]


def png(shade: int = 200) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (60, 60), shade).save(buffer, "PNG")
    return buffer.getvalue()


def tiff(pages: int) -> bytes:
    buffer = io.BytesIO()
    images = [Image.new("L", (60, 60), 200)] * pages
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


class Clock:
    """The time, which passes only where a test lets it."""

    def __init__(self) -> None:
        self.now = 0.0

    def context(self) -> Any:
        end = self.now + TIMEOUT
        return SimpleNamespace(
            function_name="worker",
            memory_limit_in_mb=1769,
            invoked_function_arn="arn",
            aws_request_id="request-1",
            get_remaining_time_in_millis=lambda: 1000 * (end - self.now),
        )


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    CLOCK.now = 0.0
    monkeypatch.setattr("paragraph_ocr.pipeline.reader.perf_counter", lambda: CLOCK.now)
    monkeypatch.setattr(worker, "monotonic", lambda: CLOCK.now)
    return CLOCK


def consume(event: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = worker.handler(event, CLOCK.context())
    return answer


def drain(cloud: Cloud, invoke: Invoke = consume) -> int:
    """Have the worker take all messages that can be seen."""
    count = 0
    while poll(cloud["QUEUE_URL"], invoke):
        count += 1
    return count


def waiting(cloud: Cloud) -> dict[str, int]:
    """How many messages can be seen, are being worked on, and wait for their time."""
    kinds = ["", "NotVisible", "Delayed"]
    names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
    answer = cloud.client("sqs").get_queue_attributes(QueueUrl=cloud["QUEUE_URL"], AttributeNames=names)["Attributes"]
    return {kind: int(answer[name]) for kind, name in zip(kinds, names, strict=True) if int(answer[name])}


def announced(cloud: Cloud) -> dict[str, Any]:
    """The one message that waits, as the event of a queue; it stays hidden until it is deleted."""
    (message,) = cloud.client("sqs").receive_message(QueueUrl=cloud["QUEUE_URL"])["Messages"]
    return event_of([message], cloud["QUEUE_URL"])


def job(cloud: Cloud, name: str = "7", **fields: Any) -> str:
    """A job's key."""
    key = f"jobs/{name}"
    counts = {"done": jobs.NO_COUNTS, "total": jobs.NO_COUNTS}
    fixed = {"lease": 0, "leased_until": 0, "attempts": 0, "expires": int(time.time()) + 1000}
    item = {"key": key, "owner": "me/", "image": "mine.png", "state": "waiting", **counts, **fixed, **fields}
    cloud.table().put_item(Item=item)
    return key


def without_times(results: dict[str, bytes]) -> dict[str, Any]:
    """What was read, without how long it took."""

    def strip(page: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in page.items() if name != "timings_ms"}

    seen: dict[str, Any] = {}
    for key, data in results.items():
        if key.endswith(".json"):
            content = json.loads(data)
            content["pages"] = [strip(page) for page in content.get("pages", ())]
            seen[key] = strip(content)
        else:
            seen[key] = data
    return seen


@pytest.fixture(autouse=True)
def reader(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> StillReader:
    still = StillReader(cloud.settings.job_limits)
    monkeypatch.setattr(worker, "_worker", worker.Worker(cloud.settings, still))
    return still


@pytest.fixture
def read(reader: StillReader, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the pages that were read."""
    numbers: list[int] = []
    read_image = reader.read_image

    def counted(pixels: Any, image: str, decode_ms: float, number: int, *rest: Any) -> Page:
        page = read_image(pixels, image, decode_ms, number, *rest)
        numbers.append(number)
        return page

    monkeypatch.setattr(reader, "read_image", counted)
    return numbers


@pytest.mark.parametrize("key", ["scan.png", "letters/Page 1+2 (é).png", "100%25 / a&b=c ~.png"])
def test_what_is_dropped_is_read_and_its_result_put_beside_it(cloud: Cloud, reader: StillReader, key: str) -> None:
    cloud.drop(key, png())
    assert drain(cloud) == 1
    results = cloud.results()
    assert set(results) == {f"done/{key}{form.suffix}" for form in FORMATS.values()}
    document = reader.read(png(), key)
    expected = {f"done/{key}{FORMATS[form].suffix}": render(document, form, png()) for form in FORMATS}
    assert without_times(results) == without_times(expected)
    assert waiting(cloud) == {}
    item = cloud.items()[key]
    assert (item["state"], item["done"], item["total"]) == ("done", {"pages": 1, "lines": 1}, {"pages": 1, "lines": 1})
    assert 6 < (int(item["expires"]) - time.time()) / 86400 < 8


@pytest.mark.parametrize(
    ("name", "key"), [("drop", "letters/Page 1+2 (é).jpg"), ("job", "jobs/0f8fad5bd9cb469fa16570867728950e")]
)
def test_what_recorded_events_announce_is_read(cloud: Cloud, name: str, key: str) -> None:
    cloud.drop(key, (ROOT / "samples" / "letter.jpg").read_bytes())
    assert consume(recorded(name)) == {"batchItemFailures": []}
    assert f"done/{key}.json" in cloud.results()


def recorded(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"queue_{name}.json").read_text())
    return event


def test_what_is_no_image_goes_to_failed_with_a_reason(cloud: Cloud) -> None:
    cloud.drop("notes + más.txt", b"no image")
    drain(cloud)
    results = cloud.results()
    assert set(results) == {"failed/notes + más.txt.json"}
    problem = json.loads(results["failed/notes + más.txt.json"])
    assert (problem["status"], problem["type"]) == (415, "urn:paragraph-ocr:unsupported-format")
    assert problem["request_id"] == "request-1"
    assert "Send a JPEG" in problem["detail"]
    assert cloud.items()["notes + más.txt"]["state"] == "failed"
    assert waiting(cloud) == {}


def test_ignores_what_announces_no_image(cloud: Cloud) -> None:
    test = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-11-21T00:00:00.000Z",
        "Bucket": "stack-inbox",
    }
    worker._worker.jobs.send(test)
    cloud.drop("folder/", b"")
    assert drain(cloud) == 2
    assert (cloud.results(), cloud.items(), waiting(cloud)) == ({}, {}, {})


@pytest.mark.parametrize("body", ["no JSON", "[]", '{"Records": [{}]}', '{"Event": "s3:Other"}'])
def test_a_message_of_no_known_form_ends_among_the_dead_letters(cloud: Cloud, body: str) -> None:
    sqs = cloud.client("sqs")
    sqs.set_queue_attributes(QueueUrl=cloud["QUEUE_URL"], Attributes={"VisibilityTimeout": "0"})
    sqs.send_message(QueueUrl=cloud["QUEUE_URL"], MessageBody=body)
    assert drain(cloud) == 5
    dead = sqs.receive_message(QueueUrl=cloud["DEAD_LETTERS_URL"])["Messages"]
    assert [message["Body"] for message in dead] == [body]


def test_of_a_batch_only_what_failed_comes_back(cloud: Cloud) -> None:
    cloud.drop("a.png", png())
    event = announced(cloud)
    broken = {**event["Records"][0], "messageId": "broken", "body": "{"}
    event["Records"].insert(0, broken)
    assert consume(event) == {"batchItemFailures": [{"itemIdentifier": "broken"}]}
    assert "done/a.png.json" in cloud.results()


def test_the_same_event_three_times_gives_one_result(cloud: Cloud, read: list[int]) -> None:
    subscriber = cloud.subscribe()
    cloud.drop("a.png", png())
    event = announced(cloud)
    for _ in range(3):
        assert consume(event) == {"batchItemFailures": []}
    assert read == [1]
    assert sorted(cloud.versions()) == sorted(f"done/a.png{form.suffix}" for form in FORMATS.values())
    assert [message["state"] for message in cloud.messages(subscriber)] == ["done"]


def test_what_is_dropped_again_after_its_results_expired_is_read_again(cloud: Cloud, read: list[int]) -> None:
    cloud.drop("a.png", png())
    drain(cloud)
    cloud.drop("a.png", png())
    drain(cloud)
    assert read == [1]
    # DynamoDB deletes what has expired within days.
    cloud.table().update_item(
        Key={"key": "a.png"},
        UpdateExpression="SET expires = :e",
        ExpressionAttributeValues={":e": int(time.time()) - 1},
    )
    cloud.drop("a.png", png())
    drain(cloud)
    assert read == [1, 1]
    assert 6 < (int(cloud.items()["a.png"]["expires"]) - time.time()) / 86400 < 8


def test_two_workers_at_once_give_one_result(cloud: Cloud, reader: StillReader, read: list[int]) -> None:
    cloud.drop("a.png", png())
    event = announced(cloud)
    started, go_on = threading.Event(), threading.Event()
    find = reader.detector.find

    def slow(pixels: Any) -> Any:
        started.set()
        assert go_on.wait(30)
        return find(pixels)

    reader.detector.find = slow  # type: ignore[method-assign]
    first = threading.Thread(target=consume, args=(event,))
    first.start()
    assert started.wait(30)
    # A second delivery leaves a message that looks again when the first worker's time is over.
    assert consume(event) == {"batchItemFailures": []}
    assert waiting(cloud)["Delayed"] == 1
    go_on.set()
    first.join()
    assert read == [1]
    assert len(cloud.versions()) == len(FORMATS)


def test_of_two_that_lease_at_the_same_moment_one_does(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.drop("a.png", png())
    seen = worker._worker.jobs.find

    def overtaken(key: str) -> Any:
        item = seen(key)
        monkeypatch.setattr(worker._worker.jobs, "find", seen)
        assert isinstance(worker._worker.jobs.lease(key, "e", 60), jobs.Lease)
        return item

    monkeypatch.setattr(worker._worker.jobs, "find", overtaken)
    with pytest.raises(jobs.LeaseHeld):
        worker._worker.jobs.lease("a.png", "e", 60)


def before_each_page(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Have something done once a page, while it is read; its lines may be looked for several times."""
    find_upright = orientation.find_upright

    def first(*arguments: Any) -> Any:
        act()
        return find_upright(*arguments)

    monkeypatch.setattr("paragraph_ocr.pipeline.reader.find_upright", first)


def test_what_a_worker_writes_whose_lease_is_over_does_not_count(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    etag = cloud.drop("a.png", png())
    event = announced(cloud)

    def overtaken() -> None:
        cloud.expire_lease("a.png")
        assert isinstance(worker._worker.jobs.lease("a.png", etag, 60), jobs.Lease)

    before_each_page(monkeypatch, overtaken)
    assert len(consume(event)["batchItemFailures"]) == 1
    item = cloud.items()["a.png"]
    assert (item["state"], int(item["lease"])) == ("running", 2)


@pytest.fixture
def seconds_a_page(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets every page take some time."""

    def take(seconds: float) -> None:
        def slow() -> None:
            clock.now += seconds

        before_each_page(monkeypatch, slow)

    return take


def test_a_document_is_handed_on_before_the_time_is_over_and_goes_on_where_it_was(
    cloud: Cloud, read: list[int], seconds_a_page: Callable[[float], None]
) -> None:
    calm, long = job(cloud, "calm"), job(cloud, "long")
    cloud.drop(calm, tiff(7))
    assert drain(cloud) == 1
    del read[:]
    cloud.drop(long, tiff(7))
    # Of 300 seconds, three pages' time.
    seconds_a_page(80)
    assert drain(cloud) == 3
    assert read == [1, 2, 3, 4, 5, 6, 7]
    results = without_times(cloud.results())
    for form in FORMATS:
        assert results[storage.result_key(long, form)] == results[storage.result_key(calm, form)]
    assert len(results) == 2 * len(FORMATS)
    assert len([key for key in cloud.versions() if key.startswith(f"done/{long}")]) == len(FORMATS)
    assert int(cloud.items()[long]["lease"]) == 3


def test_a_page_that_turns_out_too_slow_is_begun_anew_with_all_the_time(
    cloud: Cloud, read: list[int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.drop("a.tiff", tiff(3))
    costs = iter([100, 220, 220, 10])

    def slow() -> None:
        clock.now += next(costs)

    before_each_page(monkeypatch, slow)
    assert drain(cloud) == 3
    assert read == [1, 2, 3]
    assert cloud.items()["a.tiff"]["state"] == "done"


@pytest.fixture
def seconds_a_form(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """How long writing a form of a long document takes."""
    seconds: dict[str, float] = {}
    write_form = storage.write_form

    def slow(*arguments: Any, **limits: Any) -> None:
        clock.now += seconds.get(arguments[-1], 0.0)
        write_form(*arguments, **limits)

    monkeypatch.setattr(storage, "write_form", slow)
    return seconds


def test_results_that_take_longer_than_an_invocation_are_written_form_by_form(
    cloud: Cloud, read: list[int], seconds_a_form: dict[str, float]
) -> None:
    cloud.drop("a.tiff", tiff(3))
    # The second of an invocation is broken off.
    seconds_a_form |= dict.fromkeys(FORMATS, TIMEOUT * 0.6)
    assert drain(cloud) == len(FORMATS)
    assert read == [1, 2, 3]
    assert cloud.items()["a.tiff"]["state"] == "done"
    results = [key for key in cloud.versions() if key.startswith("done/")]
    assert sorted(results) == sorted(f"done/a.tiff{form.suffix}" for form in FORMATS.values())


def test_writing_begins_only_with_time_for_it(
    cloud: Cloud, clock: Clock, read: list[int], seconds_a_page: Callable[[float], None]
) -> None:
    cloud.drop("a.tiff", tiff(2))
    # Time for the last page, and for nothing after it.
    seconds_a_page((TIMEOUT - worker.END_SECONDS) / 2)
    assert poll(cloud["QUEUE_URL"], consume) == 1
    assert read == [1, 2]
    assert not [key for key in cloud.results() if key.startswith("done/")]
    assert drain(cloud) == 1
    assert read == [1, 2]
    assert cloud.items()["a.tiff"]["state"] == "done"


def test_a_form_that_takes_more_than_all_the_time_again_and_again_is_given_up(
    cloud: Cloud, seconds_a_form: dict[str, float]
) -> None:
    cloud.drop("a.tiff", tiff(2))
    seconds_a_form["hocr"] = TIMEOUT
    assert drain(cloud) == worker.MAX_ATTEMPTS + 2
    assert set(cloud.results()) == {"failed/a.tiff.json"}


def test_a_single_page_whose_results_take_more_than_all_the_time_is_given_up(
    cloud: Cloud, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = storage.write

    def slow(*arguments: Any, **limits: Any) -> None:
        clock.now += TIMEOUT
        write(*arguments, **limits)

    monkeypatch.setattr(storage, "write", slow)
    cloud.drop("a.png", png())
    # It is not kept, so that having read it again is no progress.
    for _ in range(worker.MAX_ATTEMPTS + 1):
        assert poll(cloud["QUEUE_URL"], consume) == 1
    assert set(cloud.results()) == {"failed/a.png.json"}


@pytest.mark.parametrize("form", ["hocr", "pdf"])
def test_a_form_that_its_time_ends_is_written_in_another_invocation(
    cloud: Cloud, read: list[int], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    write_form, late = storage.write_form, [form]

    def short(*arguments: Any, max_seconds: float, **limits: Any) -> None:
        if arguments[-1] in late:
            late.remove(arguments[-1])
            max_seconds = 0.0
        write_form(*arguments, max_seconds=max_seconds, **limits)

    monkeypatch.setattr(storage, "write_form", short)
    cloud.drop("a.tiff", tiff(2))
    assert drain(cloud) == 2
    assert read == [1, 2]
    assert cloud.items()["a.tiff"]["state"] == "done"


def test_a_pdf_is_opened_once_from_its_pages_to_its_results(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(confined.subprocess, "Popen", Recorded)
    cloud.drop("a.pdf", make_pdf([page_object(72, 72), page_object(72, 72)]))
    assert drain(cloud) == 1
    assert cloud.items()["a.pdf"]["state"] == "done"
    assert len(started) == 1
    assert started[0].poll() is not None


@pytest.mark.parametrize("pages", [1, 2])
def test_a_page_that_takes_more_than_all_the_time_again_and_again_is_given_up(
    cloud: Cloud, seconds_a_page: Callable[[float], None], pages: int
) -> None:
    cloud.drop("a.tiff", tiff(pages))
    seconds_a_page(TIMEOUT)
    assert drain(cloud) == worker.MAX_ATTEMPTS
    problem = json.loads(cloud.results()["failed/a.tiff.json"])
    assert (problem["status"], problem["type"]) == (504, "urn:paragraph-ocr:deadline-exceeded")


def test_a_worker_that_stood_still_costs_nothing_but_time(
    cloud: Cloud, clock: Clock, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.drop("a.png", png())
    costs = iter([10 * TIMEOUT, 1])

    def standing() -> None:
        clock.now += next(costs)

    before_each_page(monkeypatch, standing)
    assert drain(cloud) == 2
    assert read == [1]
    assert "done/a.png.json" in cloud.results()


def test_too_many_lines_are_refused_at_once(cloud: Cloud, reader: StillReader) -> None:
    reader.limits = replace(reader.limits, max_lines=0)
    cloud.drop("a.png", png())
    assert drain(cloud) == 1
    assert json.loads(cloud.results()["failed/a.png.json"])["status"] == 413


def test_with_no_time_to_begin_a_document_is_handed_on_but_not_for_ever(
    cloud: Cloud, clock: Clock, read: list[int]
) -> None:
    cloud.drop("a.png", png())

    def late(event: dict[str, Any]) -> dict[str, Any]:
        context = clock.context()
        clock.now += 0.6 * TIMEOUT
        answer: dict[str, Any] = worker.handler(event, context)
        return answer

    assert poll(cloud["QUEUE_URL"], late) == 1
    assert waiting(cloud) == {"": 1}
    assert drain(cloud) == 1
    assert read == [1]
    cloud.drop("b.png", png())
    assert drain(cloud, late) == worker.MAX_ATTEMPTS + 1
    assert "failed/b.png.json" in cloud.results()


class Killed(BaseException):
    """Ends the process, as far as the worker can tell."""


def killing(reader: StillReader, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die at a page."""
    read_image = reader.read_image

    def dying(pixels: Any, image: str, decode_ms: float, number: int, *rest: Any) -> Page:
        if number == page:
            raise Killed
        return read_image(pixels, image, decode_ms, number, *rest)

    monkeypatch.setattr(reader, "read_image", dying)


def test_an_image_that_kills_the_process_is_given_up_after_some_attempts(
    cloud: Cloud, reader: StillReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.drop("poison.png", png())
    event = announced(cloud)
    with monkeypatch.context() as patch:
        killing(reader, 1, patch)
        for _ in range(worker.MAX_ATTEMPTS):
            with pytest.raises(Killed):
                consume(event)
            cloud.expire_lease("poison.png")
        assert consume(event) == {"batchItemFailures": []}
    problem = json.loads(cloud.results()["failed/poison.png.json"])
    assert (problem["status"], problem["type"]) == (422, "urn:paragraph-ocr:broken-image")
    assert cloud.items()["poison.png"]["state"] == "failed"


def test_pages_that_are_read_are_no_failed_attempts(
    cloud: Cloud, reader: StillReader, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.drop("a.tiff", tiff(6))
    event = announced(cloud)
    for page in range(2, 7):
        with monkeypatch.context() as patch:
            killing(reader, page, patch)
            with pytest.raises(Killed):
                consume(event)
        cloud.expire_lease("a.tiff")
    assert consume(event) == {"batchItemFailures": []}
    assert read == [1, 2, 3, 4, 5, 6]
    assert cloud.items()["a.tiff"]["state"] == "done"


@pytest.fixture
def refuse(cloud: Cloud) -> Iterator[Callable[[Any, str, int], None]]:
    """Lets a service refuse an operation so many times."""
    undo: list[Callable[[], None]] = []

    def refuse(client: Any, operation: str, times: int) -> None:
        service = client.meta.service_model.service_name
        left = [times]

        def refusing(**_: Any) -> None:
            if left[0]:
                left[0] -= 1
                raise ClientError({"Error": {"Code": "InternalServerError"}}, operation)

        event = f"before-call.{service}.{operation}"
        client.meta.events.register(event, refusing)
        undo.append(lambda: client.meta.events.unregister(event, refusing))

    yield refuse
    for each in undo:
        each()


REFUSALS: dict[str, tuple[Callable[[], Any], str]] = {
    "the lease": (lambda: worker._worker.jobs.table.meta.client, "PutItem"),
    "the end": (lambda: worker._worker.jobs.table.meta.client, "UpdateItem"),
    "the item": (lambda: worker._worker.jobs.table.meta.client, "GetItem"),
    "the image": (storage.client, "GetObject"),
    "a result": (storage.client, "PutObject"),
    "the topic": (notices._client, "Publish"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_a_service_refuses_is_done_when_it_does_not(
    cloud: Cloud, refuse: Callable[[Any, str, int], None], what: str
) -> None:
    subscriber = cloud.subscribe()
    cloud.drop("a.png", png())
    event = announced(cloud)
    service, operation = REFUSALS[what]
    # Once more than attempts are given to a file, since it is not the file's fault.
    refuse(service(), operation, worker.MAX_ATTEMPTS + 1)
    failed = 0
    while consume(event)["batchItemFailures"]:
        failed += 1
        cloud.expire_lease("a.png")
    assert failed in (1, 2, worker.MAX_ATTEMPTS + 1)
    assert set(cloud.results()) == {f"done/a.png{form.suffix}" for form in FORMATS.values()}
    assert cloud.items()["a.png"]["state"] == "done"
    assert [message["state"] for message in cloud.messages(subscriber)] == ["done"]


def test_a_table_that_refuses_progress_costs_no_page(
    cloud: Cloud, read: list[int], refuse: Callable[[Any, str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PROGRESS_SECONDS", 0)
    cloud.drop("a.tiff", tiff(3))
    event = announced(cloud)
    progress = worker._worker.jobs.progress

    def refusing(held: Any, done: dict[str, int], total: dict[str, int]) -> Any:
        if done == {"pages": 2, "lines": 2}:
            refuse(worker._worker.jobs.table.meta.client, "UpdateItem", 1)
        return progress(held, done, total)

    monkeypatch.setattr(worker._worker.jobs, "progress", refusing)
    assert len(consume(event)["batchItemFailures"]) == 1
    assert read == [1, 2]
    monkeypatch.setattr(worker._worker.jobs, "progress", progress)
    assert consume(event) == {"batchItemFailures": []}
    assert read == [1, 2, 3]


def test_a_topic_that_refuses_progress_stops_nothing(
    cloud: Cloud, read: list[int], refuse: Callable[[Any, str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PROGRESS_SECONDS", 0)
    subscriber = cloud.subscribe()
    cloud.drop("a.tiff", tiff(2))
    refuse(notices._client(), "Publish", 4)
    assert drain(cloud) == 1
    assert read == [1, 2]
    assert [message["state"] for message in cloud.messages(subscriber)] == ["done"]


def test_an_object_that_is_deleted_meanwhile_has_failed(cloud: Cloud) -> None:
    cloud.drop("a.png", png())
    cloud.client("s3").delete_object(Bucket=cloud["INBOX"], Key="a.png")
    assert drain(cloud) == 1
    problem = json.loads(cloud.results()["failed/a.png.json"])
    assert (problem["status"], problem["type"]) == (404, "urn:paragraph-ocr:image-gone")


def test_deleting_an_object_leaves_what_was_read_of_it(cloud: Cloud) -> None:
    cloud.drop("a.png", png())
    event = announced(cloud)
    consume(event)
    cloud.drop("a.png", png(100))
    cloud.client("s3").delete_object(Bucket=cloud["INBOX"], Key="a.png")
    drain(cloud)
    assert consume(event) == {"batchItemFailures": []}
    assert set(cloud.results()) == {f"done/a.png{form.suffix}" for form in FORMATS.values()}


def test_new_content_is_read_and_old_events_change_nothing(cloud: Cloud, read: list[int]) -> None:
    first = cloud.drop("a.png", b"no image")
    old = announced(cloud)
    second = cloud.drop("a.png", png())
    assert first != second
    drain(cloud)
    assert read == [1]
    assert consume(old) == {"batchItemFailures": []}
    assert read == [1]
    assert "failed/a.png.json" not in cloud.results()
    cloud.drop("a.png", b"no image")
    drain(cloud)
    assert set(cloud.results()) == {"failed/a.png.json"}
    cloud.drop("a.png", png())
    drain(cloud)
    assert read == [1, 1]
    assert set(cloud.results()) == {f"done/a.png{form.suffix}" for form in FORMATS.values()}
    assert "error" not in cloud.items()["a.png"]


def test_what_is_too_large_or_has_too_many_pages_has_failed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, reader: StillReader
) -> None:
    settings = replace(cloud.settings, max_upload_bytes=10_000, max_job_pages=2)
    monkeypatch.setattr(worker, "_worker", worker.Worker(settings, reader))
    cloud.drop("a.png", png() + bytes(10_000))
    cloud.drop("a.tiff", tiff(3))
    drain(cloud)
    results = cloud.results()
    assert set(results) == {"failed/a.png.json", "failed/a.tiff.json"}
    assert {json.loads(each)["status"] for each in results.values()} == {413}


def test_progress_is_told_as_lines_are_read(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(worker, "PROGRESS_SECONDS", 0)
    subscriber = cloud.subscribe()
    cloud.drop("a.tiff", tiff(2))
    seen = []
    progress = worker._worker.jobs.progress

    def watched(*arguments: Any) -> Any:
        item = progress(*arguments)
        seen.append(cloud.items()["a.tiff"]["done"])
        return item

    monkeypatch.setattr(worker._worker.jobs, "progress", watched)
    drain(cloud)
    messages = cloud.messages(subscriber)
    told = sorted((m["done"]["pages"], m["done"]["lines"], m["total"]["pages"], m["total"]["lines"]) for m in messages)
    assert told == [(0, 0, 2, 1), (0, 1, 2, 1), (1, 1, 2, 2), (1, 2, 2, 2), (2, 2, 2, 2)]
    assert {m["object"] for m in messages} == {"a.tiff"}
    assert sorted(m["state"] for m in messages) == ["done"] + ["running"] * 4
    assert [(int(s["pages"]), int(s["lines"])) for s in seen] == [(0, 0), (0, 1), (1, 1), (1, 2)]


def test_a_job_is_read_once_under_the_name_its_caller_gave(cloud: Cloud, read: list[int]) -> None:
    subscriber = cloud.subscribe()
    key = job(cloud)
    cloud.drop(key, png())
    drain(cloud)
    cloud.drop(key, png(100))
    drain(cloud)
    assert read == [1]
    assert json.loads(cloud.results()[f"done/{key}.json"])["image"] == "mine.png"
    (message,) = cloud.messages(subscriber)
    counts = {"pages": 1, "lines": 1}
    assert message == {"id": key.removeprefix("jobs/"), "state": "done", "done": counts, "total": counts}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, dict[str, str]]]:
    """What the webhook's server got."""
    got: list[tuple[str, bytes, dict[str, str]]] = []
    monkeypatch.setattr(notices, "post", lambda url, body, headers, _: got.append((url, body, headers)))
    return got


def test_a_webhook_is_called_once_and_signed(cloud: Cloud, calls: list[tuple[str, bytes, dict[str, str]]]) -> None:
    key = job(cloud, webhook_url="https://example.com/hook", webhook_secret=SECRET, webhook="waiting")
    cloud.drop(key, png())
    event = announced(cloud)
    for _ in range(2):
        assert consume(event) == {"batchItemFailures": []}
    ((url, body, headers),) = calls
    assert url == "https://example.com/hook"
    assert json.loads(body)["state"] == "done"
    assert headers["webhook-id"] == key.removeprefix("jobs/")
    assert headers["webhook-signature"] == notices.sign(
        SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body
    )
    assert cloud.items()[key]["webhook"] == "done"


def test_the_signature_is_that_of_the_standard() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert notices.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


def test_a_webhook_that_fails_is_called_again_and_then_given_up(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def failing(*arguments: Any) -> None:
        called.append(arguments)
        raise RemoteFailed("It failed.")

    monkeypatch.setattr(notices, "post", failing)
    pauses = []
    monkeypatch.setattr(worker._worker.jobs, "send", lambda message, seconds: pauses.append((message, seconds)))
    subscriber = cloud.subscribe()
    key = job(cloud, webhook_url="https://example.com/hook", webhook_secret=SECRET, webhook="waiting")
    cloud.drop(key, png())
    event = announced(cloud)
    for number in range(4):
        assert consume(event) == {"batchItemFailures": []}
        assert len(called) == min(number + 1, 3)
    assert [seconds for _, seconds in pauses] == list(notices.RETRY_DELAYS)
    assert [message["Records"][0]["s3"]["object"]["key"] for message, _ in pauses] == ["jobs%2F" + key[5:]] * 2
    assert cloud.items()[key]["webhook"] == "failed"
    assert [message["state"] for message in cloud.messages(subscriber)] == ["done"]


def test_who_was_not_told_when_the_worker_died_is_told(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, bytes, dict[str, str]]]
) -> None:
    def dying(*_: Any) -> None:
        raise Killed

    subscriber = cloud.subscribe()
    key = job(cloud, webhook_url="https://example.com/hook", webhook_secret=SECRET, webhook="waiting")
    cloud.drop(key, png())
    event = announced(cloud)
    for victim in (notices.Notices.publish, notices.Notices._call):
        with monkeypatch.context() as patch:
            patch.setattr(notices.Notices, victim.__name__, dying)
            with pytest.raises(Killed):
                consume(event)
    assert calls == []
    consume(event)
    assert len(calls) == 1
    assert [message["state"] for message in cloud.messages(subscriber)] == ["done"]


def test_the_image_behind_a_url_is_fetched_and_read(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    monkeypatch.setattr(fetch, "fetch", lambda *arguments: fetched.append(arguments) or png())
    key = job(cloud, image_url="https://example.com/a.png")
    for _ in range(2):
        worker._worker.jobs.send({"fetch": key})
    drain(cloud)
    assert {arguments[0] for arguments in fetched} == {"https://example.com/a.png"}
    assert cloud.items()[key]["state"] == "done"
    assert len(cloud.versions()) == len(FORMATS)


def test_a_url_that_cannot_be_fetched_fails_the_job(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, bytes, dict[str, str]]]
) -> None:
    def failing(*_: Any) -> bytes:
        raise RemoteFailed("The server is down.")

    monkeypatch.setattr(fetch, "fetch", failing)
    webhook = {"webhook_url": "https://example.com/hook", "webhook_secret": SECRET, "webhook": "waiting"}
    key = job(cloud, image_url="https://example.com/a.png", **webhook)
    worker._worker.jobs.send({"fetch": key})
    assert drain(cloud) == 1
    # A job that the table has forgotten.
    assert consume(recorded("fetch")) == {"batchItemFailures": []}
    item = cloud.items()[key]
    assert (item["state"], item["error"]["detail"]) == ("failed", "The server is down.")
    assert json.loads(cloud.results()[f"failed/{key}.json"])["status"] == 502
    assert json.loads(calls[0][1])["error"]["status"] == 502


def test_logs_hold_neither_names_nor_texts_nor_urls(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(worker.logger.registered_handler, "stream", log)
    for key, data in (("secret-name.png", png()), ("secret-name.txt", b"secret-text")):
        cloud.drop(key, data)
    monkeypatch.setattr(fetch, "fetch", lambda *_: 1 / 0)
    worker._worker.jobs.send({"fetch": job(cloud, image_url="https://secret-name.example/", image="secret-name")})
    cloud.client("sqs").send_message(QueueUrl=cloud["QUEUE_URL"], MessageBody='{"secret-name')
    drain(cloud)
    written = log.getvalue() + capsys.readouterr().out
    entries = [json.loads(line) for line in written.splitlines()]
    assert len(entries) >= 8
    assert "secret" not in written
    assert {entry["reason"] for entry in entries if "reason" in entry} >= {"urn:paragraph-ocr:unsupported-format"}
    assert sorted(entry["exception"] for entry in entries if "exception" in entry) == [
        "JSONDecodeError",
        "ZeroDivisionError",
    ]
    assert sum(entry["Pages"][0] for entry in entries if "Pages" in entry) == 1


def test_what_lies_in_another_bucket_is_refused_and_not_loaded(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.client("s3").put_object(Bucket=cloud["RESULTS"], Key="a.png", Body=png())
    cloud.drop("a.png", png())
    event = announced(cloud)
    event["Records"][0]["body"] = event["Records"][0]["body"].replace(cloud["INBOX"], cloud["RESULTS"])
    loaded: list[Any] = []
    monkeypatch.setattr(storage, "load_object", lambda *arguments: loaded.append(arguments))
    assert consume(event) == {"batchItemFailures": []}
    assert (loaded, cloud.items(), set(cloud.results())) == ([], {}, {"a.png"})
    assert '"foreign-bucket"' in capsys.readouterr().out


@pytest.mark.parametrize("key", ["a\x01b.png", "a\nb.png", "a\x7f.png", "\uffff.png"])
def test_a_key_with_control_characters_is_reported_and_the_rest_goes_on(
    cloud: Cloud, read: list[int], key: str
) -> None:
    cloud.drop("a.png", png())
    event = announced(cloud)
    message = json.loads(event["Records"][0]["body"])
    strange = json.loads(json.dumps(message["Records"][0]))
    strange["s3"]["object"]["key"] = quote_plus(key)
    event["Records"][0]["body"] = json.dumps({"Records": [strange, *message["Records"]]})
    for _ in range(2):
        assert consume(event) == {"batchItemFailures": []}
    assert read == [1]
    (failed,) = [name for name in cloud.results() if name.startswith("failed/")]
    assert failed == storage.failure_key(key)
    assert failed.isprintable()
    assert json.loads(cloud.results()[failed])["type"] == "urn:paragraph-ocr:unusable-key"
    assert cloud.items()[key]["state"] == "failed"
    assert "done/a.png.json" in cloud.results()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ETags of the objects that were asked for."""
    etags: list[str] = []
    take = storage.load_object
    monkeypatch.setattr(
        storage, "load_object", lambda bucket, key, most, etag: etags.append(etag) or take(bucket, key, most, etag)
    )
    return etags


@pytest.mark.parametrize("state", ["done", "failed"])
def test_nothing_is_loaded_for_a_job_that_has_ended(cloud: Cloud, loaded: list[str], state: str) -> None:
    key = job(cloud)
    first = cloud.drop(key, png() if state == "done" else b"no image")
    drain(cloud)
    cloud.drop(key, png(100))
    assert drain(cloud) == 1
    assert loaded == [first]
    assert cloud.items()[key]["state"] == state


def test_of_two_uploads_for_a_job_the_one_counts_that_was_begun_first(
    cloud: Cloud, loaded: list[str], read: list[int], reader: StillReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = job(cloud)
    first = cloud.drop(key, tiff(2))
    event = announced(cloud)
    with monkeypatch.context() as patch:
        killing(reader, 2, patch)
        with pytest.raises(Killed):
            consume(event)
    cloud.expire_lease(key)
    cloud.drop(key, tiff(3))
    assert drain(cloud) == 1
    # The second is neither loaded nor begun, and the first is no longer there.
    assert loaded == [first]
    assert (cloud.items()[key]["state"], cloud.items()[key]["etag"]) == ("running", first)
    assert consume(event) == {"batchItemFailures": []}
    assert read == [1]
    assert cloud.items()[key]["error"]["type"] == "urn:paragraph-ocr:image-gone"


def test_attempts_at_a_job_are_counted_whatever_is_uploaded(
    cloud: Cloud, reader: StillReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = job(cloud)
    killing(reader, 1, monkeypatch)
    died = 0
    for shade in range(worker.MAX_ATTEMPTS + 3):
        cloud.drop(key, png(shade))
        event = announced(cloud)
        try:
            consume(event)
        except Killed:
            died += 1
        cloud.expire_lease(key)
    assert died == 1


def test_an_image_that_was_fetched_is_not_fetched_again_once_it_is_begun(
    cloud: Cloud, reader: StillReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    monkeypatch.setattr(fetch, "fetch", lambda *_: fetched.append(1) or png(len(fetched)))
    key = job(cloud, image_url="https://example.com/a.png")
    worker._worker.jobs.send({"fetch": key})
    assert poll(cloud["QUEUE_URL"], consume) == 1
    event = announced(cloud)
    with monkeypatch.context() as patch:
        killing(reader, 1, patch)
        with pytest.raises(Killed):
            consume(event)
    worker._worker.jobs.send({"fetch": key})
    assert drain(cloud) == 1
    assert len(fetched) == 1


@pytest.mark.parametrize("works", [True, False])
def test_a_webhook_s_secret_is_forgotten_with_its_use(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    def answering(*_: Any) -> None:
        assert "webhook_secret" in cloud.items()[key]
        if not works:
            raise RemoteFailed("It failed.")

    monkeypatch.setattr(notices, "post", answering)
    monkeypatch.setattr(worker._worker.jobs, "send", lambda *_: None)
    key = job(cloud, webhook_url="https://example.com/hook", webhook_secret=SECRET, webhook="waiting")
    cloud.drop(key, png())
    event = announced(cloud)
    for _ in range(1 + len(notices.RETRY_DELAYS)):
        consume(event)
    item = cloud.items()[key]
    assert item["webhook"] == ("done" if works else "failed")
    assert SECRET not in str(item)
