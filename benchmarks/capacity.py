"""Compute time and cost of 1,000 to 1,000,000,000 pages, and which quota of AWS limits the rate.

    python -m benchmarks.capacity --seconds 1.0 --memory 1769 > docs/capacity.md

Nothing is measured here: seconds and memory are given, and the quotas are those that the pages of AWS name. Each page
is taken to be a file of its own.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace

from local import prices
from local.prices import TRANSITIONS_A_BATCH, Price, bill

CORES = 16
PAGES = (1_000, 100_000, 10_000_000, 1_000_000_000)
# https://aws.amazon.com/textract/pricing/, Detect Document Text, first million pages; as the README quotes it.
TEXTRACT_DOLLARS_A_PAGE = 1.50 / 1000
SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html"
QUOTAS = "https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"
REQUESTS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"
COPY = "stored copy, 2026-11"


@dataclass(frozen=True)
class Work:
    """Resources of reading: seconds per page, memory of the function in MB, pages per batch, formats, processor."""

    seconds: float
    memory: int
    batch: int
    forms: int
    architecture: str


@dataclass(frozen=True)
class Limit:
    """A quota, the pages per second that it allows, and its source."""

    name: str
    quota: str
    pages_a_second: float
    page: str
    read: str
    can_be_raised: str


@dataclass(frozen=True)
class Setting:
    """Quotas of an account: concurrent invocations, state transitions per second, partitions of the results bucket."""

    name: str
    concurrency: int
    transitions: int
    partitions: int


SETTINGS = (
    Setting("the command's default", 100, 800, 1),
    Setting("an account's default", 1_000, 800, 1),
    Setting("Lambda raised, one partition", 10_000, 5_000, 1),
    Setting("Lambda raised, sixteen partitions", 10_000, 5_000, 16),
)


PARTITIONS = "S3 divides a busy prefix by itself, in half an hour or more"


def limits(work: Work, setting: Setting) -> list[Limit]:
    """Return the limits of a configuration in ascending order."""
    return sorted(
        [
            Limit(
                "Lambda: invocations at once",
                f"{setting.concurrency:,}",
                setting.concurrency / work.seconds,
                SCALING,
                COPY,
                "yes; new accounts have fewer than 1,000",
            ),
            Limit(
                "Step Functions: child executions of a run at once",
                "10,000",
                10_000 / work.seconds,
                QUOTAS,
                COPY,
                "no; several runs",
            ),
            Limit(
                "Step Functions: state transitions a second",
                f"{setting.transitions:,}",
                setting.transitions / TRANSITIONS_A_BATCH * work.batch,
                QUOTAS,
                COPY,
                "yes; 5,000 in us-east-1, us-west-2, eu-west-1",
            ),
            Limit(
                "Step Functions: standard executions started a second by a run",
                "100",
                100 * work.batch,
                QUOTAS,
                "second hand, 2026-11; not in the copy",
                "larger batches",
            ),
            Limit(
                "S3: PUT requests a second and partition",
                "3,500",
                3_500 * setting.partitions / work.forms,
                REQUESTS,
                COPY,
                PARTITIONS,
            ),
            Limit(
                "S3: GET and HEAD requests a second and partition",
                "5,500",
                5_500 * setting.partitions / work.forms,
                REQUESTS,
                COPY,
                PARTITIONS,
            ),
        ],
        key=lambda limit: limit.pages_a_second,
    )


def duration(seconds: float) -> str:
    """A time in words."""
    for size, unit in ((86400 * 365, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"


def costs(work: Work, pages: int) -> prices.Bill:
    """Return the cost of reading pages in separate files."""
    gigabyte_seconds = pages * work.seconds * work.memory / 1024
    return bill(gigabyte_seconds, -(-pages // work.batch), pages, pages * work.forms, work.architecture)


def document(work: Work, command: str) -> str:
    """The page, in Markdown."""
    thousand = costs(work, 1000)
    lines = [
        "# What an archive takes",
        "",
        f"Made by `{command}`: {work.seconds:g} seconds a page on one core, {work.memory:,} MB ({work.architecture}), "
        f"{work.batch} pages a batch, a page a file, {work.forms} results of each.",
        "",
        "The seconds were measured on this project's pages and machine, not on Lambda; make this page again with the "
        "`ReadingTime` of your own. Cold starts are left out: one for every invocation at once, seconds each, once.",
        "",
        "## Dollars",
        "",
        "| pages | Lambda | Step Functions | requests to S3 | all | a thousand pages | Textract, at $1.50 a thousand |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for pages in PAGES:
        each = costs(work, pages)
        parts = (each.compute, each.orchestration, each.storage, each.total, 1000 * each.total / pages)
        cells = [f"{part:,.2f}" for part in (*parts, pages * TEXTRACT_DOLLARS_A_PAGE)]
        lines.append(f"| {pages:,} | {' | '.join(cells)} |")
    lines += [
        "",
        f"{thousand.compute / thousand.total:.0%} of it are Lambda's. In all five forms instead of one, a thousand "
        f"pages cost ${costs(replace(work, forms=5), 1000).total:.3f}. Left out: the free tier, Lambda's lower price "
        "above six billion gigabyte-seconds a month, what storing images and results costs, logs, and traffic between "
        "regions.",
        "",
        "## Time, and the limit that sets it",
        "",
        f"| setting | pages a second | {' | '.join(f'{pages:,}' for pages in PAGES)} | the limit | the next one |",
        f"| --- | ---: | {' | '.join('---:' for _ in PAGES)} | --- | --- |",
    ]
    for setting in SETTINGS:
        first, second, *_ = limits(work, setting)
        times = [duration(max(pages / first.pages_a_second, work.seconds * work.batch)) for pages in PAGES]
        lines.append(
            f"| {setting.name} | {first.pages_a_second:,.0f} | {' | '.join(times)} | {first.name}, {first.quota} | "
            f"{second.name}, {second.pages_a_second:,.0f} pages a second |"
        )
    cells = [duration(pages * work.seconds / CORES) for pages in PAGES]
    lines += [
        f"| one machine, `--jobs {CORES}` | {CORES / work.seconds:,.0f} | {' | '.join(cells)} | its {CORES} cores | |",
        "",
        "Two limits have no rate. A run takes its items from one listing or inventory; AWS names 100,000,000 as the "
        "most that a reader can be asked for (`MaxItems`; from memory, not checked), so 1,000,000,000 pages are ten "
        "runs, by prefix. And a thousand million results below one prefix cannot be listed in a reasonable time: ask "
        "for an inventory of the results, too.",
        "",
        "## Quotas",
        "",
        "| limit | quota | can be raised | source | read |",
        "| --- | ---: | --- | --- | --- |",
    ]
    for limit in limits(work, SETTINGS[1]):
        cells = [limit.name, limit.quota, limit.can_be_raised, f"[page]({limit.page})", limit.read]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Prices", "", "| of | dollars | for each | source | read |", "| --- | ---: | --- | --- | --- |"]
    named: dict[str, Price] = {
        f"Lambda, {work.architecture}": prices.LAMBDA[work.architecture],
        "Lambda, requests": prices.LAMBDA_REQUEST,
        "Step Functions, standard": prices.TRANSITION,
        "S3, writing": prices.S3_PUT,
        "S3, reading": prices.S3_GET,
    }
    for name, price in named.items():
        lines.append(f"| {name} | {price.dollars:.10f} | {price.unit} | [page]({price.page}) | {price.read} |")
    lines += [
        "",
        "Prices are of us-east-1. Nothing of AWS could be reached when this was written: the figures are those of "
        "stored copies of its pages, or, where it says second hand, of others who quote them. Check them before a "
        "large run.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, required=True, help="that a page takes")
    parser.add_argument("--memory", type=int, default=1769, help="of the function, MB; 1,769 are one core")
    parser.add_argument("--batch", type=int, default=20, help="pages that an invocation is given")
    parser.add_argument("--forms", type=int, default=1, help="results that are written of a page")
    parser.add_argument("--architecture", choices=prices.LAMBDA, default="x86_64")
    options = parser.parse_args()
    work = Work(options.seconds, options.memory, options.batch, options.forms, options.architecture)
    print(document(work, " ".join(["python -m benchmarks.capacity", *sys.argv[1:]])), end="")


if __name__ == "__main__":
    main()
