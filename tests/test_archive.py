"""An archive is read once, whatever breaks off in between: the batch handler, its machine, the command around both."""

from __future__ import annotations

import copy
import io
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from cfnlint.api import lint
from conftest import Cloud
from emulator import Emulator, emulate
from moto.core.config import default_user_config
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval.resource_eval_s3 import (
    ResourceEvalS3,
)
from pdfs import make_pdf, page_object
from PIL import Image
from standins import StillReader

from local import archive as command
from paragraph_ocr.formats import FORMATS
from service import archive, storage
from service import runtime as serving

ROOT = Path(__file__).parents[1]
MACHINE = json.loads((ROOT / "archive.asl.json").read_text(encoding="utf-8"))
BUCKET = "old-papers"


def png(shade: int = 200) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (60, 60), shade).save(buffer, "PNG")
    return buffer.getvalue()


class Clock:
    """The time an invocation has, of which every page that is read takes some."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def context(self) -> Any:
        return SimpleNamespace(
            function_name="archive",
            memory_limit_in_mb=1769,
            invoked_function_arn="arn",
            aws_request_id="request-1",
            get_remaining_time_in_millis=lambda: 1000 * self.left,
        )


@pytest.fixture
def papers(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket of old papers, and the function that reads them, which takes no time."""
    reader = StillReader(cloud.settings.job_limits)
    monkeypatch.setattr(archive, "_archive", archive.Archive(cloud.settings, reader))
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": os.environ["AWS_REGION"]})
    return s3


def put(papers: Any, key: str, data: bytes) -> dict[str, str]:
    """Store an object; gives its item as a listing has it."""
    etag = papers.put_object(Bucket=BUCKET, Key=key, Body=data)["ETag"]
    return {"Key": key, "Etag": etag}


def batch(items: list[dict[str, str]], **changes: Any) -> dict[str, Any]:
    given = {"bucket": BUCKET, "forms": ["json"], "encoded": False, "tolerated": 10} | changes
    return {"BatchInput": given, "Items": items}


def handle(event: dict[str, Any], clock: Clock | None = None) -> dict[str, Any]:
    # As Step Functions hands it on.
    answer: dict[str, Any] = archive.handler(json.loads(json.dumps(event)), (clock or Clock(900)).context())
    return json.loads(json.dumps(answer))  # type: ignore[no-any-return]


def counts(answer: dict[str, Any]) -> dict[str, int]:
    """What came of a batch, where it is not none."""
    return {name: answer["totals"][name] for name in archive.COUNTS[:5] if answer["totals"][name]}


def test_a_batch_is_read_once(papers: Any, cloud: Cloud) -> None:
    items = [put(papers, key, png(shade)) for shade, key in enumerate(["a.png", "b/ü +1.PNG", "notes.txt", "b/"])]
    items.append(put(papers, "c.png", b"\x89PNG\r\n\x1a\n"))
    first = handle(batch(items))
    assert counts(first) == {"read": 2, "passed_over": 2, "failed": 1, "written": 2, "pages": 2}
    assert first["Items"] == []
    assert first["totals"]["failed_percentage"] == 33.33
    results = cloud.results()
    kept = {f"done/{BUCKET}/a.png.json", f"done/{BUCKET}/b/ü +1.PNG.json"}
    assert set(results) == kept | {f"failed/{BUCKET}/c.png.json"}
    assert json.loads(results[f"failed/{BUCKET}/c.png.json"])["status"] == 422
    again = handle(batch(items))
    assert counts(again) == {"passed_over": 4, "failed": 1}
    # What was put right since is read; what was changed is read again.
    items[-1] = put(papers, "c.png", png())
    items[0] = put(papers, "a.png", png(7))
    assert counts(handle(batch(items))) == {"read": 2, "passed_over": 3, "written": 2, "pages": 2}
    assert not [name for name in cloud.results() if name.startswith("failed/")]


def test_more_forms_are_added_to_what_was_read(papers: Any, cloud: Cloud) -> None:
    items = [put(papers, "a.png", png())]
    handle(batch(items))
    for expected in ({"read": 1, "written": len(FORMATS), "pages": 1}, {"passed_over": 1}):
        assert counts(handle(batch(items, forms=list(FORMATS)))) == expected
    assert len(cloud.results()) == len(FORMATS)


def test_an_inventorys_keys_are_as_in_a_url_or_not(papers: Any) -> None:
    for key in ("b/ü +1.png", "a%20b.png"):
        put(papers, key, png())
    # An inventory need not have the ETag, and its sizes are strings.
    items = [{"Bucket": BUCKET, "Key": key, "Size": "99"} for key in ("b/%C3%BC+%2B1.png", "a%20b.png")]
    assert counts(handle(batch(items, encoded=True))) == {"read": 2, "written": 2, "pages": 2}
    assert counts(handle(batch(items, encoded=True))) == {"passed_over": 2}


def test_an_object_that_cannot_be_had_is_one_that_failed(
    papers: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = put(papers, "gone.png", png())
    papers.delete_object(Bucket=BUCKET, Key="gone.png")
    assert counts(handle(batch([gone]))) == {"failed": 1}
    said = {"InvalidObjectState": "restore it", "AccessDenied": "denies access"}
    items = [put(papers, f"{code}.png", png()) for code in said]

    def refuse(_: str, key: str, *__: object) -> None:
        raise ClientError({"Error": {"Code": key.removesuffix(".png")}}, "GetObject")

    monkeypatch.setattr(storage, "load_object", refuse)
    assert counts(handle(batch(items))) == {"failed": 2}
    reasons = {json.loads(data)["detail"] for data in cloud.results().values()}
    for words in (*said.values(), "deleted"):
        assert any(words in reason for reason in reasons)


def test_a_batch_comes_as_a_map_makes_it(papers: Any) -> None:
    event = json.loads((ROOT / "events" / "archive_batch.json").read_text(encoding="utf-8"))
    put(papers, "1905/letter 1.jpg", png())
    assert event["BatchInput"]["bucket"] == BUCKET
    assert counts(handle(event)) == {"read": 1, "failed": 1, "written": 1, "pages": 1}


def test_a_refusing_service_is_the_batchs_failure(papers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    item = put(papers, "a.png", png())
    settings = replace(archive._archive.settings, results="no-such-bucket")
    monkeypatch.setattr(archive, "_archive", archive.Archive(settings, archive._archive.reader))
    with pytest.raises(archive.ServiceFailed, match=r"^[A-Za-z]+$"):
        handle(batch([item]))


def test_a_failure_that_nobody_foresaw_is_one_images(
    papers: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [put(papers, f"{name}.png", png(shade)) for shade, name in enumerate("abc")]
    read_image = StillReader.read_image

    def fail_at_b(self: StillReader, pixels: Any, image: str, *rest: Any) -> Any:
        if image == "b.png":
            raise KeyError("private".upper())
        return read_image(self, pixels, image, *rest)

    monkeypatch.setattr(StillReader, "read_image", fail_at_b)
    log = io.StringIO()
    monkeypatch.setattr(serving.logger.registered_handler, "stream", log)
    assert counts(handle(batch(items))) == {"read": 2, "failed": 1, "written": 2, "pages": 2}
    assert json.loads(cloud.results()[f"failed/{BUCKET}/b.png.json"])["detail"] == archive.READING_FAILED
    assert "KeyError" in log.getvalue()
    assert "PRIVATE" not in log.getvalue()


def test_items_are_taken_one_by_one_or_given_up(papers: Any, cloud: Cloud) -> None:
    event = batch([put(papers, f"{name}.png", png(shade)) for shade, name in enumerate("abc")])
    event = handle(event | {"alone": True, "died": {"Error": "Runtime.ExitError"}})
    assert [item["Key"] for item in event["Items"]] == ["b.png", "c.png"]
    event = handle(event | {"give_up": True, "died": {"Error": "Runtime.ExitError"}})
    assert [item["Key"] for item in event["Items"]] == ["c.png"]
    event = handle(event)
    assert event["Items"] == []
    assert counts(event) == {"read": 2, "failed": 1, "written": 2, "pages": 2}
    assert f"failed/{BUCKET}/b.png.json" in cloud.results()


def test_a_batch_that_takes_too_long_goes_round(papers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [put(papers, f"{number}.png", png(number)) for number in range(5)]
    clock = Clock(900)
    read_image = StillReader.read_image

    def slow(*arguments: Any, **options: Any) -> Any:
        clock.left -= 200
        return read_image(*arguments, **options)

    monkeypatch.setattr(StillReader, "read_image", slow)
    event, rounds = batch(items), 0
    while event["Items"]:
        clock.left = 900
        event = handle(event, clock)
        rounds += 1
    assert rounds == 2
    assert counts(event) == {"read": 5, "written": 5, "pages": 5}
    assert event["totals"]["invocations"] == 2


def test_a_long_document_goes_on_where_it_was(papers: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [put(papers, "long.pdf", make_pdf([page_object(72, 72)] * 5)), put(papers, "z.png", png())]
    now, clock, numbers = [0.0], Clock(900), []
    read_image = StillReader.read_image

    def slow(self: StillReader, pixels: Any, image: str, decode_ms: float, number: int, *rest: Any) -> Any:
        page = read_image(self, pixels, image, decode_ms, number, *rest)
        clock.left -= 400
        now[0] += 400
        numbers.append(number)
        return page

    monkeypatch.setattr("paragraph_ocr.pipeline.reader.perf_counter", lambda: now[0])
    monkeypatch.setattr(StillReader, "read_image", slow)
    event, left = batch(items), []
    while event["Items"]:
        clock.left = 900
        event = handle(event, clock)
        left.append(len(event["Items"]))
    assert left == [2, 1, 0]
    # Three at most in each round, none twice.
    assert numbers == [1, 2, 3, 4, 5, 1]
    assert counts(event) == {"read": 2, "written": 2, "pages": 6}
    assert {name.split("/")[0] for name in cloud.results()} == {"done"}
    result = json.loads(cloud.results()[f"done/{BUCKET}/long.pdf.json"])
    assert [page["page"] for page in result["pages"]] == [1, 2, 3, 4, 5]


def test_a_single_page_whose_results_take_all_the_time_has_failed(
    papers: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, write = Clock(900), storage.write

    def slow(*arguments: Any, **limits: Any) -> None:
        clock.left = 0
        write(*arguments, **limits)

    monkeypatch.setattr(storage, "write", slow)
    event = handle(batch([put(papers, "a.png", png())], forms=["hocr", "json"]), clock)
    assert (event["Items"], counts(event)) == ([], {"failed": 1})
    problem = json.loads(cloud.results()[f"failed/{BUCKET}/a.png.json"])
    assert (problem["status"], problem["type"]) == (504, "urn:paragraph-ocr:deadline-exceeded")


# --- the machine ------------------------------------------------------------------------------------------------------


def test_both_ways_in_read_alike() -> None:
    prefix, inventory = (copy.deepcopy(MACHINE["States"][name]) for name in ("Prefix", "Inventory"))
    for state in (prefix, inventory):
        del state["Label"], state["ItemReader"], state["ItemBatcher"]["BatchInput"]["encoded"]
    assert prefix == inventory


def test_the_definition_is_of_the_language() -> None:
    """As cfn-lint knows the Amazon States Language."""
    resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {}}
    resource["Properties"] = {"RoleArn": "arn:aws:iam::123456789012:role/r", "Definition": MACHINE}
    template = json.dumps({"Resources": {"Machine": resource}})
    assert [str(match) for match in lint(substitute(template), regions=["eu-west-1"])] == []
    broken = template.replace('"ItemReader"', '"ItemReeder"')
    assert lint(substitute(broken), regions=["eu-west-1"])


def substitute(definition: str, **values: str) -> str:
    """The definition as the stack deploys it."""
    values = {"Partition": "aws", "Function": "function", "Results": "stack-results"} | values
    for name, value in values.items():
        definition = definition.replace(f"${{{name}}}", value)
    return definition


def without_batches(state: dict[str, Any]) -> dict[str, Any]:
    """Batches of one image each, since moto's interpreter knows no ItemBatcher."""
    given = state.pop("ItemBatcher")["BatchInput"]
    item = {"Key.$": "$$.Map.Item.Value.Key", "Etag.$": "$$.Map.Item.Value.ETag"}
    return state | {"ItemSelector": {"BatchInput": given, "Items": [item]}}


def write_results(
    env: Any, part: Any, credentials: Any, write_manifest: Any = ResourceEvalS3._handle_put_object
) -> None:
    """As Step Functions documents its ResultWriter: moto writes the manifest, but not the files that it names."""
    bucket, outputs = env.stack[-1]["Bucket"], env.stack[-2]
    write_manifest(env, part, credentials)
    key = env.stack[-1]["ResultWriterDetails"]["Key"]
    records = [{"ExecutionArn": "arn", "Output": json.dumps(output), "Status": "SUCCEEDED"} for output in outputs]
    file = {"Key": key.replace("manifest.json", "SUCCEEDED_0.json"), "Size": 1}
    manifest = {"DestinationBucket": bucket, "MapRunArn": "arn", "ResultFiles": {"FAILED": [], "SUCCEEDED": [file]}}
    for name, content in ((file["Key"], records), (key, manifest)):
        boto3.client("s3").put_object(Bucket=bucket, Key=name, Body=json.dumps(content))


class Invoker:
    """Lambda's client, for the one function that there is; it takes one event at a time."""

    lock = threading.Lock()

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:
        assert FunctionName == "function"
        event = json.loads(Payload)
        # As Lambda answers where the process was killed.
        if not event.get("give_up") and any("killer" in item["Key"] for item in event["Items"]):
            died = {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited with error: signal: killed"}
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(died).encode())}
        with self.lock:
            answer = self.emulator.invoke(event)
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture
def stack(papers: Any, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The stack deployed: moto interprets the machine, and Lambda's own runtime client runs the function."""
    monkeypatch.setitem(default_user_config, "stepfunctions", {"execute_state_machine": True})
    monkeypatch.setenv("MOTO_PORT", str(urlsplit(cloud["AWS_ENDPOINT_URL"]).port))
    monkeypatch.setattr(command, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(ResourceEvalS3, "_handle_put_object", staticmethod(write_results))
    definition = copy.deepcopy(MACHINE)
    definition["States"]["Prefix"] = without_batches(definition["States"]["Prefix"])
    for retrier in definition["States"]["Prefix"]["ItemProcessor"]["States"]["Read"]["Retry"]:
        retrier |= {"IntervalSeconds": 1, "BackoffRate": 1}
    # Nor does it read inventories.
    definition["States"]["Inventory"] = {"Type": "Fail"}
    arn = boto3.client("stepfunctions").create_state_machine(
        name="archive",
        definition=substitute(json.dumps(definition), Results=cloud["RESULTS"]),
        roleArn="arn:aws:iam::123456789012:role/archive",
    )["stateMachineArn"]
    monkeypatch.setattr(command, "find_stack", lambda _: command.Stack(arn, cloud["RESULTS"]))
    with emulate(tmp_path, "archive.handler", cloud.environment) as emulator:
        monkeypatch.setattr(
            "moto.stepfunctions.parser.asl.component.state.exec.state_task.lambda_eval_utils.boto_client_for",
            lambda **_: Invoker(emulator),
        )
        yield emulator


def test_the_command_has_an_archive_read_and_says_what_it_came_to(
    papers: Any, stack: Emulator, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("box 1/a.png", "box 1/b.png", "box 1/notes.txt", "box 2/c.png"):
        put(papers, key, png(ord(key[-5])))
    put(papers, "box 1/broken.png", b"\x89PNG\r\n\x1a\n")
    assert command.main([f"s3://{BUCKET}/box 1/", "--concurrency", "2", "--tolerate", "100"]) == 1
    said = capsys.readouterr()
    assert "SUCCEEDED" in said.out
    assert "2 pages and 0 lines of 2 files; 1 failed, 1 passed over" in said.out
    assert "About $0.00" in said.out
    assert f"s3://{cloud['RESULTS']}/failed/{BUCKET}/" in said.out
    done = {name for name in cloud.results() if name.startswith("done/")}
    assert done == {f"done/{BUCKET}/box 1/{name}.png.json" for name in "ab"}
    # The same again reads nothing; without what is broken all is well.
    papers.delete_object(Bucket=BUCKET, Key="box 1/broken.png")
    assert command.main([f"s3://{BUCKET}/box 1/", "--concurrency", "2"]) == 0
    assert "0 pages and 0 lines of 0 files; 0 failed, 3 passed over" in capsys.readouterr().out
    arn = said.err.splitlines()[0]
    assert command.main([arn]) == 1
    assert "2 pages and 0 lines of 2 files" in capsys.readouterr().out
    log = stack.log.read_bytes()
    assert b"box" not in log
    assert BUCKET.encode() not in log


def test_a_run_whose_batches_fail_is_a_failure(
    papers: Any, stack: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    put(papers, "broken.png", b"\x89PNG\r\n\x1a\n")
    assert command.main([f"s3://{BUCKET}/broken", "--concurrency", "2"]) == 1
    assert "1 batches were broken off" in capsys.readouterr().out


def test_an_image_at_which_the_function_dies_is_given_up(
    papers: Any, stack: Emulator, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("a.png", "killer.png"):
        put(papers, key, png(ord(key[0])))
    assert command.main([f"s3://{BUCKET}/", "--concurrency", "2", "--tolerate", "100"]) == 1
    assert "1 pages and 0 lines of 1 files; 1 failed" in capsys.readouterr().out
    came = {name for name in cloud.results() if not name.startswith("runs/")}
    assert came == {f"done/{BUCKET}/a.png.json", f"failed/{BUCKET}/killer.png.json"}


# --- the command ------------------------------------------------------------------------------------------------------


def test_results_of_batches_are_summed_up(papers: Any, cloud: Cloud) -> None:
    totals = {"read": 2, "pages": 3, "gigabyte_seconds": 1.5, "failed_percentage": 40.0}
    succeeded, failed = "runs/run/uuid/SUCCEEDED_0.json", "runs/run/uuid/FAILED_0.json"
    files = {
        succeeded: [{"Output": json.dumps(totals)}, {"Output": json.dumps(totals)}],
        failed: [
            {"Error": "TooManyFailed", "Cause": json.dumps(totals | {"failed": 2})},
            {"Error": "Lambda.Unknown", "Cause": "The function ended"},
            {"Error": "States.Timeout"},
        ],
    }
    manifest = {"ResultFiles": {"FAILED": [{"Key": failed}], "SUCCEEDED": [{"Key": succeeded}]}}
    for key, content in (files | {"runs/run/uuid/manifest.json": manifest, "runs/run2/manifest.json": {}}).items():
        papers.put_object(Bucket=cloud["RESULTS"], Key=key, Body=json.dumps(content))
    summed = command.sum_up(cloud["RESULTS"], "run")
    assert summed == {"read": 6, "pages": 9, "gigabyte_seconds": 4.5, "failed": 2, "lost": 2}


class Started:
    """Step Functions, as far as to start a run."""

    def __init__(self) -> None:
        self.input: dict[str, Any] = {}

    def start_execution(self, **given: Any) -> dict[str, str]:
        self.input = json.loads(given["input"])
        return {"executionArn": "arn"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"s3://{BUCKET}", {"bucket": BUCKET, "prefix": ""}),
        (f"s3://{BUCKET}/a b/ü?#%20+", {"bucket": BUCKET, "prefix": "a b/ü?#%20+"}),
        (
            f"s3://{BUCKET}/inventory/manifest.json",
            {"bucket": "source", "inventory": {"bucket": BUCKET, "key": "inventory/manifest.json"}},
        ),
    ],
)
def test_a_prefix_or_an_inventory_is_started(
    papers: Any, monkeypatch: pytest.MonkeyPatch, url: str, expected: dict[str, Any]
) -> None:
    put(papers, "inventory/manifest.json", b'{"sourceBucket": "source"}')
    started = Started()
    monkeypatch.setattr(boto3, "client", lambda name: started if name == "stepfunctions" else papers)
    limits = command.Limits(("json",), 20, 100, 10)
    assert command.start(command.Stack("machine", "results"), url, limits) == "arn"
    given = {"forms": ["json"], "batch": 20, "concurrency": 100, "tolerated": 10}
    assert started.input == expected | given


@pytest.mark.parametrize("url", ["box 1/", "https://example.com/a", "s3://"])
def test_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(SystemExit, match="neither"):
        command.start(command.Stack("machine", "results"), url, command.Limits(("json",), 20, 100, 10))


def test_a_stack_is_found_by_its_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = [
        {"OutputKey": "ArchiveMachine", "OutputValue": "arn:machine"},
        {"OutputKey": "ArchiveResultsBucket", "OutputValue": "kept"},
    ]
    stack = {"Outputs": outputs}
    client = SimpleNamespace(describe_stacks=lambda StackName: {"Stacks": [stack]})
    monkeypatch.setattr(boto3, "client", lambda _: client)
    assert command.find_stack("paragraph-ocr") == command.Stack("arn:machine", "kept")
    stack["Outputs"] = []
    with pytest.raises(SystemExit, match="ArchiveBucket"):
        command.find_stack("paragraph-ocr")


@pytest.mark.parametrize(
    ("unreserved", "workers", "reserved", "expected"),
    [(10, 5, -1, 2), (10, 2, -1, 4), (1000, 5, -1, 100), (5, 5, -1, 1), (900, 5, 60, 60), (900, 5, 0, 1)],
)
def test_a_run_leaves_the_api_its_part(
    monkeypatch: pytest.MonkeyPatch, unreserved: int, workers: int, reserved: int, expected: int
) -> None:
    settings = {"AccountLimit": {"UnreservedConcurrentExecutions": unreserved}}
    monkeypatch.setattr(boto3, "client", lambda _: SimpleNamespace(get_account_settings=lambda: settings))
    assert command.choose_concurrency(command.Stack("machine", "results", workers, reserved)) == expected


@pytest.mark.parametrize("key", ["a\x01.png", "a\n.png", "\ud800.png"])
def test_a_key_with_control_characters_is_reported_and_the_rest_goes_on(papers: Any, cloud: Cloud, key: str) -> None:
    items = [put(papers, "a.png", png()), {"Key": key, "Etag": "e"}, put(papers, "b.png", png(7))]
    assert counts(handle(batch(items))) == {"read": 2, "failed": 1, "written": 2, "pages": 2}
    (failed,) = [name for name in cloud.results() if name.startswith("failed/")]
    assert failed.isprintable()
    assert json.loads(cloud.results()[failed])["type"] == "urn:paragraph-ocr:unusable-key"


def test_who_stops_following_is_told_how_to_end_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "find_stack", lambda _: command.Stack("machine", "results"))
    monkeypatch.setattr(command, "follow", interrupt)
    assert command.main(["arn:aws:states:run"]) == 130
    assert "stop-execution --execution-arn arn:aws:states:run" in capsys.readouterr().err
