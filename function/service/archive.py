"""The archive's step: reads a batch of a bucket's objects, writes what was read of each, and counts.

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
from functools import partial
from pathlib import PurePosixPath
from time import perf_counter
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from paragraph_ocr.document import Document
from paragraph_ocr.errors import BrokenImage, DeadlineExceeded, ImageGone, OcrError
from paragraph_ocr.io.imaging import SUFFIXES, Source, count_pages
from paragraph_ocr.io.limits import Limits
from service import storage
from service.runtime import MAX_MEMORY, MEGABYTES, Tally, load_reader, logger, metrics, reject, report

RESULTS = os.environ.get("RESULTS", "")
LIMITS = Limits(
    max_bytes=int(os.environ.get("MAX_UPLOAD_BYTES", 64 * 2**20)),
    max_pixels=int(os.environ.get("MAX_IMAGE_PIXELS", 80_000_000)),
    max_pages=int(os.environ.get("MAX_JOB_PAGES", 1000)),
    max_lines=int(os.environ.get("MAX_LINES", 500)),
)
# What is left of an invocation when no further page is begun, for writing what was read of one.
END_SECONDS = 30.0
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


class ServiceFailed(Exception):
    """A service refused or failed; the text of its error, which may name the object, is not for the runtime's log."""


class OutOfTime(Exception):
    """The rest of a document is for another invocation; whether any of it was done in this one."""

    def __init__(self, brought: bool) -> None:
        super().__init__(brought)
        self.brought = brought


@logger.inject_lambda_context(log_event=False)
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
    ServiceFailed
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
            give_up = event.get("give_up", False)
            _take(batch, item, totals, context.aws_request_id, left, first=not done, give_up=give_up)
        except OutOfTime:
            break
        except Exception as error:
            report(error)
            raise ServiceFailed(type(error).__name__) from None
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
    first: bool,
    give_up: bool,
) -> None:
    """Read an object, or give it up, and count what came of it.

    Where there is not time enough it raises OutOfTime, unless it was the first, and so had all the time there is, and
    none of it was done.
    """
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
            pages = _Turn(name, key, etag, source, left).work(forms)
    except (OcrError, OutOfTime) as error:
        if isinstance(error, OutOfTime):
            if error.brought or not first:
                raise
            error = DeadlineExceeded("It takes longer than an invocation; send it in parts, or with fewer lines.")
        if isinstance(error, ImageGone) and key != listed:
            # It was not written as in a URL after all.
            _take({**batch, "encoded": False}, item, totals, request_id, left, first, give_up)
            return
        reject(error)
        failure = error
    except (ClientError, BotoCoreError):
        raise
    except Exception as error:
        report(error)
        failure = BrokenImage(GIVEN_UP)
    else:
        if len(pages) > 1:
            storage.delete_pages(RESULTS, name, etag)
        totals["read"] += 1
        totals["written"] += len(forms)
        totals["pages"] += len(pages)
        totals["lines"] += sum(pages.lines)
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


class _Turn:
    """One invocation's work at a file.

    Parameters
    ----------
    name, key : str
        What results are named after, and what they call the file.
    etag : str
    data : Source
        The file.
    left : callable
        Gives the seconds that are left of the invocation.
    """

    def __init__(self, name: str, key: str, etag: str, data: Source, left: Callable[[], float]) -> None:
        self.place = (RESULTS, name, etag)
        self.key = key
        self.data = data
        self.left = left
        self.brought = False

    def work(self, forms: Sequence[str]) -> storage.KeptPages:
        """Read and write what is not there yet; raises OutOfTime where there is not time enough."""
        total = count_pages(self.data, LIMITS)
        pages = storage.KeptPages(*self.place, total, self._check)
        if len(pages) < total:
            self._read(pages, total)
        document = Document(self.key, pages)
        if total == 1:
            self._make(partial(storage.write, *self.place, document, self.data, forms))
            return pages
        for form in storage.in_order(forms):
            if not storage.is_done(*self.place, form):
                self._make(partial(storage.write_form, *self.place, document, self.data, form))
                self.brought = True
        storage.delete_failure(*self.place[:2])
        return pages

    def _read(self, pages: storage.KeptPages, total: int) -> None:
        tally = Tally()
        try:
            with closing(reader.pages(self.data, self.key, self.left() - END_SECONDS, len(pages) + 1)) as rest:
                for page in rest:
                    pages.add(page)
                    tally.add(page)
                    # A single page is not kept, so that another invocation would begin with nothing.
                    self.brought = total > 1
        except DeadlineExceeded as error:
            self._hand_on_if_late(error)
            raise
        finally:
            tally.send()

    def _make(self, write: Callable[..., None]) -> None:
        """Write results within the time and the memory that there are for them."""
        try:
            write(max_seconds=self.left() - END_SECONDS / 2, max_memory=MAX_MEMORY)
        except DeadlineExceeded as error:
            self._hand_on_if_late(error)
            raise

    def _hand_on_if_late(self, error: DeadlineExceeded) -> None:
        """Raise OutOfTime where this invocation lacks the time, rather than one page takes too long by itself."""
        if self.brought or self.left() <= END_SECONDS:
            raise OutOfTime(self.brought) from error

    def _check(self) -> None:
        """End the writing of a form for which the time does not do."""
        if self.left() < END_SECONDS / 2:
            raise OutOfTime(self.brought)
