"""Start a run of the deployed archive state machine over a bucket's prefix or an S3 inventory, and follow it.

    python -m local.archive s3://BUCKET/PREFIX                    all images below a prefix
    python -m local.archive s3://BUCKET/.../manifest.json         all images in an S3 inventory
    python -m local.archive EXECUTION_ARN                         a run that was started before

Images that have been read already are skipped: after a failure, start the same again. The exit status is 0 if the run
succeeded and all images were read.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
from tqdm import tqdm

from local.prices import bill
from paragraph_ocr.cli.terminal import printable
from paragraph_ocr.formats import FORMATS

# AWS allows one request for map runs per second and account.
POLL_SECONDS = 5.0
MAX_CONCURRENCY = 100
ENDED = ("SUCCEEDED", "ABORTED", "FAILED", "TIMED_OUT")
# Prefix under which the state machine's ResultWriter records its batches.
RUNS = "runs"


@dataclass(frozen=True)
class Stack:
    """Resources and parameters of a deployed stack: the machine's ARN, the bucket for results, and two parameters.

    The parameters are how many files of jobs the worker reads at once, and the concurrency that is reserved for the
    archive, or -1.
    """

    machine: str
    results: str
    workers: int = 5
    reserved: int = -1


@dataclass(frozen=True)
class Limits:
    """Options of a run: the forms that are written, images a batch, batches at once, the percentage that may fail."""

    forms: tuple[str, ...]
    batch: int
    concurrency: int
    tolerated: float


def find_stack(name: str) -> Stack:
    """Look a stack's outputs up; raises SystemExit where it has no archive machine, ClientError."""
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    if "ArchiveMachine" not in outputs:
        raise SystemExit(f"The stack {name} has no archive machine: deploy it with the parameter ArchiveBucket.")
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", ())}
    return Stack(
        outputs["ArchiveMachine"],
        outputs["ArchiveResultsBucket"],
        int(parameters.get("WorkerConcurrency", Stack.workers)),
        int(parameters.get("ArchiveReservedConcurrency", Stack.reserved)),
    )


def choose_concurrency(stack: Stack) -> int:
    """Return how many batches may be read at once without blocking the API; raises ClientError.

    All that is reserved for the archive; else at most half of what the account has left beside the worker.
    """
    if stack.reserved >= 0:
        return max(1, min(MAX_CONCURRENCY, stack.reserved))
    limits = boto3.client("lambda").get_account_settings()["AccountLimit"]
    return max(1, min(MAX_CONCURRENCY, (int(limits["UnreservedConcurrentExecutions"]) - stack.workers) // 2))


def start(stack: Stack, url: str, limits: Limits) -> str:
    """Start a run and return its ARN; raises SystemExit where the URL is none of S3, ClientError.

    Parameters
    ----------
    stack : Stack
    url : str
        Of a prefix, or of the manifest.json of an inventory.
    limits : Limits
    """
    parts = urlsplit(url, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise SystemExit(printable(f"{url} is neither s3://BUCKET/PREFIX nor the ARN of a run."))
    # Keys may contain question marks.
    key = url.removeprefix(f"s3://{parts.netloc}").removeprefix("/")
    content: dict[str, Any] = {"bucket": parts.netloc, "prefix": key}
    if key.endswith("manifest.json"):
        manifest = json.load(boto3.client("s3").get_object(Bucket=parts.netloc, Key=key)["Body"])
        content = {"bucket": manifest["sourceBucket"], "inventory": {"bucket": parts.netloc, "key": key}}
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"
    answer = boto3.client("stepfunctions").start_execution(
        stateMachineArn=stack.machine, name=name, input=json.dumps(content | vars(limits))
    )
    arn: str = answer["executionArn"]
    return arn


def follow(arn: str) -> dict[str, Any]:
    """Show the progress of a run until it has ended, and return its description; raises ClientError."""
    machines = boto3.client("stepfunctions")
    with tqdm(unit="image", disable=None) as progress:
        while True:
            run: dict[str, Any] = machines.describe_execution(executionArn=arn)
            for listed in machines.list_map_runs(executionArn=arn)["mapRuns"]:
                counts = machines.describe_map_run(mapRunArn=listed["mapRunArn"])["itemCounts"]
                progress.total = counts["total"]
                ended = ("succeeded", "failed", "aborted", "timedOut")
                progress.update(sum(counts[state] for state in ended) - progress.n)
            if run["status"] in ENDED:
                return run
            time.sleep(POLL_SECONDS)


def sum_up(results: str, name: str) -> Counter[str]:
    """Add up the outcomes of a run's batches from the records in the results bucket.

    Parameters
    ----------
    results : str
        The bucket.
    name : str
        Of the run.

    Returns
    -------
    Counter
        What `archive.COUNTS` names, ``gigabyte_seconds``, and ``lost``: batches that failed without a count.
    """
    totals: Counter[str] = Counter()
    for status, record in _records(results, name):
        text = record.get("Output") if status == "SUCCEEDED" else record.get("Cause")
        try:
            counts = json.loads(text or "")
            totals.update({key: value for key, value in counts.items() if key != "failed_percentage"})
        except (ValueError, AttributeError):
            totals["lost"] += 1
    return totals


def _records(results: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the state and the record of each batch, as the manifest of the run's ResultWriter names them."""
    s3 = boto3.client("s3")

    def get(key: str) -> Any:
        return json.load(s3.get_object(Bucket=results, Key=key)["Body"])

    for listed in s3.get_paginator("list_objects_v2").paginate(Bucket=results, Prefix=f"{RUNS}/{name}/"):
        for entry in listed.get("Contents", ()):
            if entry["Key"].endswith("/manifest.json"):
                files = get(entry["Key"])["ResultFiles"]
                for status in ("SUCCEEDED", "FAILED"):
                    for file in files.get(status, ()):
                        yield from ((status, record) for record in get(file["Key"]))


def report(run: dict[str, Any], totals: Counter[str], results: str) -> str:
    """Outcome of a run in words."""
    minutes = (run["stopDate"] - run["startDate"]).total_seconds() / 60
    costs = bill(totals["gigabyte_seconds"], totals["invocations"], totals["read"], totals["written"])
    bucket = json.loads(run["input"])["bucket"]
    lines = [
        f"{run['status']} after {minutes:,.1f} minutes: {totals['pages']:,} pages and {totals['lines']:,} lines of "
        f"{totals['read']:,} files; {totals['failed']:,} failed, {totals['passed_over']:,} passed over.",
        f"About ${costs.total:,.2f}: Lambda {costs.compute:,.2f}, Step Functions {costs.orchestration:,.2f}, "
        f"requests to S3 {costs.storage:,.2f}.",
        f"Results: s3://{results}/done/{bucket}/",
    ]
    if totals["failed"]:
        lines.append(f"Reasons: s3://{results}/failed/{bucket}/")
    if totals["lost"]:
        lines.append(f"{totals['lost']:,} batches were broken off and are not counted; start the same again.")
    if run["status"] != "SUCCEEDED":
        lines.append(f"{run.get('error', '')} {run.get('cause', '')}".strip() or "It was stopped.")
    # Causes contain keys, which uploaders choose.
    return "\n".join(map(printable, lines))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.archive", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", help="s3://BUCKET/PREFIX, the manifest.json of an inventory, or the ARN of a run")
    parser.add_argument("--stack", default="paragraph-ocr", help="name of the deployed stack (default: %(default)s)")
    parser.add_argument("--format", action="append", default=[], choices=FORMATS, help="what to write beside JSON")
    parser.add_argument("--batch", type=int, default=20, help="images that one invocation is given (default: 20)")
    parser.add_argument("--concurrency", type=int, help="batches read at once (default: what leaves the API its part)")
    parser.add_argument("--tolerate", type=float, default=10, help="percentage that may fail (default: 10)")
    options = parser.parse_args(arguments)
    stack = find_stack(options.stack)
    arn = options.target
    if not arn.startswith("arn:"):
        forms = tuple(dict.fromkeys(["json", *options.format]))
        concurrency = options.concurrency or choose_concurrency(stack)
        arn = start(stack, options.target, Limits(forms, options.batch, concurrency, options.tolerate))
        print(arn, file=sys.stderr)
    try:
        run = follow(arn)
    except KeyboardInterrupt:
        print(f"The run goes on. To end it: aws stepfunctions stop-execution --execution-arn {arn}", file=sys.stderr)
        return 130
    totals = sum_up(stack.results, run["name"])
    print(report(run, totals, stack.results))
    return int(run["status"] != "SUCCEEDED" or bool(totals["failed"] or totals["lost"]))


if __name__ == "__main__":
    sys.exit(main())
