"""The archive's step: a batch of a bucket's objects goes in, what was read of each is in the results, counts come out.

The event is a batch as a Distributed Map makes it, with `Items` of a listing or an inventory. The answer has the form
of the event, so that a batch that takes longer than one invocation goes round: `Items` are those still to read,
`totals` what came of all before. Objects whose present content has been read are passed over, so that a run that was
broken off is started again as it was. Where the function dies at a batch, its items are taken one by one, and the one
at which it dies is given up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from time import perf_counter
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

import storage
from paragraph_ocr.document import Document, Page
from paragraph_ocr.errors import BrokenImage, DeadlineExceeded, ImageGone, OcrError
from paragraph_ocr.imaging import SUFFIXES, Limits, Source, count_pages
from serving import MEGABYTES, load_reader, logger, measure, metrics, reject, report

RESULTS = os.environ.get("RESULTS", "")
LIMITS = Limits(
    max_bytes=int(os.environ.get("MAX_UPLOAD_BYTES", 64 * 2**20)),
    max_pixels=int(os.environ.get("MAX_IMAGE_PIXELS", 80_000_000)),
    max_pages=int(os.environ.get("MAX_JOB_PAGES", 1000)),
    max_lines=int(os.environ.get("MAX_LINES", 500)),
)
# What is left of an invocation when no further page is begun, for writing what was read: of any file, and of each page.
END_SECONDS = 30.0
END_SECONDS_A_PAGE = 0.05
GIVEN_UP = "Reading it failed; save it anew, or send its pages as images."
COUNTS = ("read", "passed_over", "failed", "written", "pages", "lines", "invocations")

reader = load_reader(LIMITS)


class ImageFrozen(OcrError):
    """The object lies in a storage class from which it cannot be read at once."""

    status = 409
    type: ClassVar[str] = "urn:paragraph-ocr:image-frozen"
    title: ClassVar[str] = "The image is not at hand"


class ImageClosed(OcrError):
    """S3 lets the function's role not read the object, or not decrypt it."""

    status = 403
    type: ClassVar[str] = "urn:paragraph-ocr:image-closed"
    title: ClassVar[str] = "The image may not be read"


class OutOfTime(Exception):
    """The rest of a document is for another invocation."""


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Read as much of a batch as there is time for.

    Parameters
    ----------
    event : dict
        ``{"BatchInput": {"bucket", "forms", "encoded", "tolerated"}, "Items": [{"Key", "Etag"}], "totals"}``; `encoded`
        says that keys are written as in a URL, `totals` is there after the first round. With `alone` the first item is
        read and no other; with `give_up` it is not, and has failed.
    context : LambdaContext

    Returns
    -------
    dict
        The event with the items that are left and the totals so far: `COUNTS`, and `gigabyte_seconds` and
        `failed_percentage` beside them.

    Raises
    ------
    ClientError, BotoCoreError
        S3 refuses or fails; what was read before stays read.
    """
    start = perf_counter()

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    whole = left()
    batch, items = event["BatchInput"], event["Items"]
    totals = {name: int(event.get("totals", {}).get(name, 0)) for name in COUNTS}
    totals["invocations"] += 1
    metrics.add_metric("ArchiveBatches", MetricUnit.Count, 1)
    done = 0
    alone = {"alone": True} if event.get("alone") else {}
    for item in items:
        # What takes longer than this must be the first, and then has all the time that there is.
        if done and (alone or left() < whole / 2):
            break
        try:
            _take(batch, item, totals, context.aws_request_id, left, event.get("give_up", False))
        except OutOfTime:
            break
        done += 1
    seconds = perf_counter() - start
    spent = float(event.get("totals", {}).get("gigabyte_seconds", 0)) + seconds * MEGABYTES / 1024
    tried = max(totals["read"] + totals["failed"], 1)
    return {
        **alone,
        "BatchInput": batch,
        "Items": items[done:],
        "totals": {
            **totals,
            "gigabyte_seconds": round(spent, 3),
            "failed_percentage": round(100 * totals["failed"] / tried, 2),
        },
    }


def _take(
    batch: dict[str, Any],
    item: dict[str, Any],
    totals: dict[str, int],
    request_id: str,
    left: Callable[[], float],
    give_up: bool,
) -> None:
    """Read an object, or give it up, and count what came of it."""
    bucket, listed = batch["bucket"], item["Key"]
    key = unquote_plus(listed) if batch["encoded"] else listed
    if PurePosixPath(key).suffix.lower() not in SUFFIXES:
        totals["passed_over"] += 1
        return
    # Listings and inventories differ in the name, and an inventory need not have it.
    etag = (item.get("Etag") or item.get("ETag") or "").strip('"')
    name = f"{bucket}/{key}"
    listed_etag, forms = etag, batch["forms"]
    if etag and _is_done(name, etag, forms):
        totals["passed_over"] += 1
        return
    try:
        if give_up:
            raise BrokenImage(GIVEN_UP)
        data, etag = _load(bucket, key)
        if etag != listed_etag and _is_done(name, etag, forms):
            totals["passed_over"] += 1
            return
        with Source(data) as source:
            document = _document(name, key, etag, source, left)
            storage.write(RESULTS, name, etag, document, source, forms, left())
    except OcrError as error:
        if isinstance(error, ImageGone) and key != listed:
            # It was not written as in a URL after all.
            _take({**batch, "encoded": False}, item, totals, request_id, left, give_up)
            return
        reject(error)
        failure = error
    except (OutOfTime, ClientError, BotoCoreError):
        raise
    except Exception as error:
        report(error)
        failure = BrokenImage(GIVEN_UP)
    else:
        measure(document)
        if len(document.pages) > 1:
            storage.delete_pages(RESULTS, name, etag)
        totals["read"] += 1
        totals["written"] += len(forms)
        totals["pages"] += len(document.pages)
        totals["lines"] += sum(len(page.lines) for page in document.pages)
        return
    storage.write_failure(RESULTS, name, etag, failure, request_id)
    totals["failed"] += 1


def _is_done(name: str, etag: str, forms: Sequence[str]) -> bool:
    return all(storage.is_done(RESULTS, name, etag, form) for form in forms)


def _load(bucket: str, key: str) -> tuple[bytes, str]:
    try:
        return storage.take(bucket, key, LIMITS.max_bytes)
    except ClientError as error:
        if error.response["Error"]["Code"] == "InvalidObjectState":
            raise ImageFrozen(
                "The image lies in an archive class of S3; restore it, and start the run again."
            ) from error
        if error.response["Error"]["Code"] == "AccessDenied":
            raise ImageClosed(
                "S3 denies access to the image; let the function's role read and decrypt it, and start the run again."
            ) from error
        raise


def _document(name: str, key: str, etag: str, data: Source, left: Callable[[], float]) -> Document:
    """Read a file, going on after the pages that are kept of it; raises OutOfTime where there is not time enough."""
    total = count_pages(data, LIMITS)
    pages: list[Page] = storage.get_pages(RESULTS, name, etag) if total > 1 else []
    kept = len(pages)
    if kept < total:
        seconds = left() - END_SECONDS - END_SECONDS_A_PAGE * total
        try:
            with closing(reader.pages(data, key, seconds, kept + 1)) as rest:
                for page in rest:
                    pages.append(page)
                    if total > 1:
                        storage.put_page(RESULTS, name, etag, page)
        except DeadlineExceeded:
            # Pages have been read, so that it is for want of time.
            if len(pages) > kept:
                raise OutOfTime from None
            raise
    return Document(key, tuple(pages))
