"""Compute time and cost of reading 1,000 to 1,000,000,000 pages, and which quota of AWS limits the rate.

    python -m benchmarks.capacity --seconds 1.0 --memory 1769 > docs/capacity.md

The time per page and the memory are given on the command line, and the quotas are those that AWS publishes. Each page
is assumed to be in a file of its own.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace

from local import prices
from local.prices import AS_OF, TRANSITIONS_A_BATCH, Price, bill
from paragraph_ocr.formats import FORMATS

CORES = 16
PAGES = (1_000, 100_000, 10_000_000, 1_000_000_000)
# https://aws.amazon.com/textract/pricing/, Detect Document Text, first million pages of a month.
TEXTRACT_DOLLARS_A_PAGE = 1.50 / 1000
SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html"
QUOTAS = "https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"
REQUESTS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"


@dataclass(frozen=True)
class Work:
    """Resources of reading.

    Attributes
    ----------
    seconds : float
        Per page.
    memory : int
        Of the function, MB.
    batch : int
        Pages per invocation.
    forms : int
        Formats that are written of each page.
    architecture : str
        A key of `prices.LAMBDA`.
    """

    seconds: float
    memory: int
    batch: int
    forms: int
    architecture: str


@dataclass(frozen=True)
class Limit:
    """A quota, the pages per second that it allows, its source, and how it can be raised."""

    name: str
    quota: str
    pages_a_second: float
    page: str
    can_be_raised: str


@dataclass(frozen=True)
class Setting:
    """Quotas of an account: concurrent invocations, state transitions per second, partitions of the results bucket."""

    name: str
    concurrency: int
    transitions: int
    partitions: int


SETTINGS = (
    Setting("default of the command", 100, 800, 1),
    Setting("default of an account", 1_000, 800, 1),
    Setting("raised quotas, one partition", 10_000, 5_000, 1),
    Setting("raised quotas, 16 partitions", 10_000, 5_000, 16),
)

PARTITIONS = "S3 partitions prefixes with many requests automatically, within half an hour or more"


def limits(work: Work, setting: Setting) -> list[Limit]:
    """Return the limits of a configuration in ascending order."""
    return sorted(
        [
            Limit(
                "Lambda: concurrent invocations",
                f"{setting.concurrency:,}",
                setting.concurrency / work.seconds,
                SCALING,
                "yes; new accounts start with a lower quota",
            ),
            Limit(
                "Step Functions: concurrent child executions of a run",
                "10,000",
                10_000 / work.seconds,
                QUOTAS,
                "no; start several runs",
            ),
            Limit(
                "Step Functions: state transitions per second",
                f"{setting.transitions:,}",
                setting.transitions / TRANSITIONS_A_BATCH * work.batch,
                QUOTAS,
                "yes; 5,000 in us-east-1, us-west-2, eu-west-1",
            ),
            Limit(
                "Step Functions: child executions started per second by a run",
                "100",
                100 * work.batch,
                QUOTAS,
                "use larger batches",
            ),
            Limit(
                "S3: PUT requests per second and partition",
                "3,500",
                3_500 * setting.partitions / work.forms,
                REQUESTS,
                PARTITIONS,
            ),
            Limit(
                "S3: GET and HEAD requests per second and partition",
                "5,500",
                5_500 * setting.partitions / work.forms,
                REQUESTS,
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
        "# Cost and duration of large archives",
        "",
        f"Computed by `{command}`: {work.seconds:g} seconds per page on one core, {work.memory:,} MB "
        f"({work.architecture}), {work.batch} pages per batch, one page per file, {work.forms} result per page.",
        "",
        "The time per page was measured on the pages and the computer of this project's benchmarks, not on Lambda. For "
        "your own pages, run the command with the value of the metric `ReadingTime`. Cold starts, a few seconds for "
        "each concurrent invocation, are not included.",
        "",
        "## Cost",
        "",
        "In dollars.",
        "",
        "| pages | Lambda | Step Functions | S3 requests | total | per 1,000 pages | Textract, $1.50 per 1,000 |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for pages in PAGES:
        each = costs(work, pages)
        parts = (each.compute, each.orchestration, each.storage, each.total, 1000 * each.total / pages)
        cells = [f"{part:,.2f}" for part in (*parts, pages * TEXTRACT_DOLLARS_A_PAGE)]
        lines.append(f"| {pages:,} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Lambda accounts for {thousand.compute / thousand.total:.0%} of the total. With all {len(FORMATS)} formats "
        f"instead of one, 1,000 pages cost ${costs(replace(work, forms=len(FORMATS)), 1000).total:.3f}. Not included: "
        "the free tier, Lambda's lower price above six billion GB-seconds a month, storage of images and results, "
        "logs, and traffic between regions.",
        "",
        "## Duration",
        "",
        f"| configuration | pages per second | {' | '.join(f'{pages:,} pages' for pages in PAGES)} | limited by | "
        "next limit |",
        f"| --- | ---: | {' | '.join('---:' for _ in PAGES)} | --- | --- |",
    ]
    for setting in SETTINGS:
        first, second, *_ = limits(work, setting)
        times = [duration(max(pages / first.pages_a_second, work.seconds * work.batch)) for pages in PAGES]
        lines.append(
            f"| {setting.name} | {first.pages_a_second:,.0f} | {' | '.join(times)} | {first.name}, {first.quota} | "
            f"{second.name}, {second.pages_a_second:,.0f} pages per second |"
        )
    cells = [duration(pages * work.seconds / CORES) for pages in PAGES]
    lines += [
        f"| one computer, `--jobs {CORES}` | {CORES / work.seconds:,.0f} | {' | '.join(cells)} | {CORES} cores | |",
        "",
        "A run reads the images of one prefix or one inventory; divide a very large archive into several runs by "
        "prefix. Listing the results of a very large archive takes long; use an S3 inventory of the results bucket "
        "instead.",
        "",
        "## Quotas",
        "",
        f"Default quotas of AWS, {AS_OF}.",
        "",
        "| limit | quota | can be raised | source |",
        "| --- | ---: | --- | --- |",
    ]
    for limit in limits(work, SETTINGS[1]):
        cells = [limit.name, limit.quota, limit.can_be_raised, f"[AWS]({limit.page})"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Prices", "", f"Prices of AWS in us-east-1, {AS_OF}.", ""]
    lines += ["| item | dollars | per | source |", "| --- | ---: | --- | --- |"]
    named: dict[str, Price] = {
        f"Lambda, {work.architecture}": prices.LAMBDA[work.architecture],
        "Lambda, requests": prices.LAMBDA_REQUEST,
        "Step Functions, standard workflow": prices.TRANSITION,
        "S3, write requests": prices.S3_PUT,
        "S3, read requests": prices.S3_GET,
    }
    for name, price in named.items():
        lines.append(f"| {name} | {price.dollars:.10f} | {price.unit} | [AWS]({price.page}) |")
    lines += [
        "",
        "Prices and quotas change; compare them with the linked pages before a large run.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, required=True, help="time per page")
    parser.add_argument(
        "--memory", type=int, default=1769, help="memory of the function, MB; 1,769 per core (default: %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=20, help="pages per invocation (default: %(default)s)")
    parser.add_argument(
        "--forms", type=int, default=1, help="formats that are written of each page (default: %(default)s)"
    )
    parser.add_argument("--architecture", choices=prices.LAMBDA, default="x86_64")
    options = parser.parse_args()
    work = Work(options.seconds, options.memory, options.batch, options.forms, options.architecture)
    print(document(work, " ".join(["python -m benchmarks.capacity", *sys.argv[1:]])), end="")


if __name__ == "__main__":
    main()
