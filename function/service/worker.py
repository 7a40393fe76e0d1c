"""The queue's consumer: reads the objects of the inbox bucket that messages announce, and writes what was read of them.

Each page of a document of several pages is kept as it is read, and each form of its results is written page by page.
Where the function's time runs out, a new message hands the rest on; where it is killed, the message comes back. Either
way work goes on at the first page that is not kept, or the first form that is not written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.s3_event import S3Event, S3EventRecord
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from paragraph_ocr.document import Document
from paragraph_ocr.errors import BrokenImage, DeadlineExceeded, ImageGone, OcrError
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.io.imaging import Source, count_pages
from paragraph_ocr.io.limits import Limits
from service import jobs, notices, storage
from service.intake import IMAGE_TYPES
from service.runtime import MAX_MEMORY, Tally, load_reader, logger, metrics, reject, report

LIMITS = Limits(
    max_bytes=jobs.MAX_UPLOAD_BYTES,
    max_pixels=int(os.environ.get("MAX_IMAGE_PIXELS", 80_000_000)),
    max_pages=int(os.environ.get("MAX_JOB_PAGES", 1000)),
    max_lines=int(os.environ.get("MAX_LINES", 500)),
)
# The function's Timeout; with less than half of it left, no page is begun that may take all of it.
TIMEOUT = float(os.environ.get("TIMEOUT", 300))
# For writing the results of a page, or for handing a document on.
END_SECONDS = 10.0
# Before a form of a long document is begun, there must be time for each of its lines, and for each page a PDF shows, as
# benchmarks/long_job.py measured on a busy machine; but no more than most of an invocation.
FORM_SECONDS_A_LINE = 0.003
FORM_SECONDS_A_PAGE = 0.05
MOST_OF_TIMEOUT = 0.8
FETCH_SECONDS = 60.0
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
MAX_DELAY_SECONDS = 900
PROGRESS_SECONDS = 1.0
# A file at which the process dies, or fails in a way that nobody foresaw, is given up then.
MAX_ATTEMPTS = 3

reader = load_reader(LIMITS)
_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
_cold = True


class ForeignBucket(OcrError):
    """A message announces an object of another bucket than the inbox."""

    status = 403
    type: ClassVar[str] = "urn:paragraph-ocr:foreign-bucket"
    title: ClassVar[str] = "The bucket is not the stack's"


class OutOfTime(Exception):
    """The rest of a document is another invocation's; how many pages and forms were done in this one."""

    def __init__(self, done: int) -> None:
        super().__init__(done)
        self.done = done


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Read what the messages of a batch are about; those that failed come back."""
    global _cold
    metrics.add_metric("ColdStart", MetricUnit.Count, int(_cold))
    _cold = False

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return process_partial_response(event, partial(_consume, context.aws_request_id, left), _processor, context)


def _consume(request_id: str, left: Callable[[], float], record: SQSRecord) -> None:
    try:
        message = json.loads(record.body)
        if "fetch" in message:
            _fetch(message, request_id, left)
        # S3 sends this once, to try the queue.
        elif message.get("Event") != "s3:TestEvent":
            for announced in S3Event(message).records:
                _take(announced, request_id, left)
    except Exception as error:
        report(error)
        raise


def _take(announced: S3EventRecord, request_id: str, left: Callable[[], float]) -> None:
    if announced.s3.bucket.name != jobs.INBOX:
        # Nothing of it is loaded, and it is not tried again.
        reject(ForeignBucket("Put the object into the inbox bucket."))
        return
    stored = announced.s3.get_object
    key = unquote_plus(stored.key)
    # What consoles make to show an empty folder is no image.
    if key.endswith("/") and not stored.size:
        return
    message = {"Records": [announced.raw_event]}
    try:
        _read(announced.s3.bucket.name, key, stored.etag, message, request_id, left)
    except jobs.Busy as busy:
        # Whoever has it may be reading other content, or die. A message of its own waits for that, since one that comes
        # back too often ends in the dead-letter queue.
        jobs.send(message, min(busy.seconds, MAX_DELAY_SECONDS))


def _fetch(message: dict[str, Any], request_id: str, left: Callable[[], float]) -> None:
    """Bring the image of a job into the inbox, which announces it."""
    from service.fetch import fetch

    key = message["fetch"]
    item = jobs.find(key)
    if item is None or item["state"] in jobs.FINAL:
        if item:
            notices.tell(item, message)
        return
    # An image that has been fetched and looked at is the job's.
    if item.get("etag"):
        return
    try:
        data = fetch(item["image_url"], LIMITS.max_bytes, min(FETCH_SECONDS, left()), IMAGE_TYPES)
    except OcrError as error:
        held = jobs.lease(key, "", left())
        if isinstance(held, jobs.Lease):
            _end(held, _fail(held, error, request_id), message)
        return
    storage.client().put_object(Bucket=jobs.INBOX, Key=key, Body=data)


def _read(
    bucket: str, key: str, etag: str, message: dict[str, Any], request_id: str, left: Callable[[], float]
) -> None:
    """Read an object, unless that has been done, or it is not the one that counts."""
    seen = jobs.look(key, etag)
    if not seen.wanted:
        if seen.item:
            notices.tell(seen.item, message)
        return
    failure: OcrError | None = None
    data = b""
    try:
        data, _ = storage.take(bucket, key, LIMITS.max_bytes, etag)
    except storage.Replaced:
        if not seen.begun:
            return
        failure = ImageGone("Another image took its place before all of it was read; make a new job.")
    except OcrError as error:
        failure = error
    held = jobs.lease(key, etag, left(), gone=isinstance(failure, ImageGone))
    if not isinstance(held, jobs.Lease):
        if held:
            notices.tell(held, message)
        return
    try:
        item = _conclude(held, data, failure, request_id, left)
    except OutOfTime as stopped:
        # Released first, or the next worker could find it leased.
        jobs.release(held, attempts=0 if stopped.done else held.attempts)
        jobs.send(message)
    except (ClientError, BotoCoreError):
        # Not the file's fault, and no attempt at it.
        with suppress(ClientError, BotoCoreError, jobs.Lost):
            jobs.release(held, held.attempts - 1)
        raise
    else:
        _end(held, item, message)


def _conclude(
    held: jobs.Lease, data: bytes, failure: OcrError | None, request_id: str, left: Callable[[], float]
) -> jobs.Item:
    """Write what is read of a file, or why it cannot be, and return its item; raises as `_Turn.work` does."""
    try:
        if failure:
            raise failure
        if held.attempts > MAX_ATTEMPTS:
            raise BrokenImage(f"Reading it failed {MAX_ATTEMPTS} times; save it anew, or send its pages as images.")
        with Source(data) as source:
            counts = _Turn(held, source, left).work()
    except OcrError as error:
        return _fail(held, error, request_id)
    return jobs.finish(held, counts)


class _Turn:
    """One invocation's work at a file.

    Parameters
    ----------
    held : Lease
    data : Source
        The file.
    left : callable
        Gives the seconds that are left of the invocation.
    """

    def __init__(self, held: jobs.Lease, data: Source, left: Callable[[], float]) -> None:
        self.held = held
        self.data = data
        self.left = left
        self.done = 0

    def work(self) -> dict[str, int]:
        """Read and write what is not there yet, and count all of it; raises OutOfTime where more is left than time."""
        total = count_pages(self.data, LIMITS)
        pages = storage.KeptPages(jobs.RESULTS, self.held.key, self.held.etag, total, self._check)
        if len(pages) < total:
            self._read(pages, total)
        self._write(pages)
        return _counts(pages)

    def _read(self, pages: storage.KeptPages, total: int) -> None:
        if self.left() < TIMEOUT / 2:
            raise OutOfTime(self.done)
        tally = Tally()
        tell = _Progress(self.held, pages, total)
        seconds, slowest = self.left() - END_SECONDS, 0.0
        try:
            with closing(reader.pages(self.data, self.held.image, seconds, len(pages) + 1, tell)) as rest:
                for page in rest:
                    pages.add(page)
                    tally.add(page)
                    # A single page is not kept, so that another invocation would begin with nothing.
                    if total > 1:
                        if not self.done:
                            jobs.forgive(self.held)
                        self.done += 1
                    slowest = max(slowest, page.timings_ms["total"] / 1000)
                    if len(pages) < total and self.left() - END_SECONDS < slowest:
                        raise OutOfTime(self.done)
        except DeadlineExceeded as error:
            self._hand_on_if_late(error)
            raise
        finally:
            tally.send()

    def _write(self, pages: storage.KeptPages) -> None:
        document = Document(self.held.image, pages)
        place = (jobs.RESULTS, self.held.key, self.held.etag)
        if len(pages) == 1:
            self._make(partial(storage.write, *place, document, self.data))
            return
        needed = FORM_SECONDS_A_LINE * sum(pages.lines) + FORM_SECONDS_A_PAGE * len(pages) + END_SECONDS
        written = list(self.held.written)
        for form in storage.in_order(FORMATS):
            if form in written:
                continue
            # Whoever begins has most of the time, whatever finding the pages took.
            if self.left() < min(needed, (MOST_OF_TIMEOUT if self.done else 0.5) * TIMEOUT):
                raise OutOfTime(self.done)
            self._make(partial(storage.write_form, *place, document, self.data, form))
            written.append(form)
            jobs.note_written(self.held, written)
            self.done += 1
        storage.delete_failure(jobs.RESULTS, self.held.key)

    def _make(self, write: Callable[..., None]) -> None:
        """Write results within the time and the memory that there are for them."""
        try:
            write(max_seconds=self.left() - END_SECONDS / 2, max_memory=MAX_MEMORY)
        except DeadlineExceeded as error:
            self._hand_on_if_late(error)
            raise

    def _hand_on_if_late(self, error: DeadlineExceeded) -> None:
        """Raise OutOfTime where what came before may have taken the time, or the machine stood still."""
        if self.done or (self.left() <= END_SECONDS and self.held.attempts < MAX_ATTEMPTS):
            raise OutOfTime(self.done) from error

    def _check(self) -> None:
        """End the writing of a form for which the time turns out not to do."""
        if self.left() < END_SECONDS / 2:
            raise OutOfTime(self.done)


class _Progress:
    """Writes and publishes how far a document is, now and then."""

    def __init__(self, held: jobs.Lease, pages: storage.KeptPages, total: int) -> None:
        self.held = held
        self.pages = pages
        self.total = total
        self.last = monotonic()

    def __call__(self, _: int, lines: int, lines_of_page: int) -> None:
        if monotonic() < self.last + PROGRESS_SECONDS:
            return
        done = _counts(self.pages)
        total = {"pages": self.total, "lines": done["lines"] + lines_of_page}
        item = jobs.progress(self.held, {**done, "lines": done["lines"] + lines}, total)
        # Who misses this hears the next, or the end.
        with suppress(ClientError, BotoCoreError):
            notices.publish(item)
        self.last = monotonic()


def _fail(held: jobs.Lease, error: OcrError, request_id: str) -> jobs.Item:
    reject(error)
    storage.write_failure(jobs.RESULTS, held.key, held.etag, error, request_id)
    return jobs.finish(held, jobs.NOTHING, error.problem(request_id))


def _end(held: jobs.Lease, item: jobs.Item, message: dict[str, Any]) -> None:
    notices.tell(item, message)
    if item["total"]["pages"] != 1:
        storage.delete_pages(jobs.RESULTS, held.key, held.etag)


def _counts(pages: storage.KeptPages) -> dict[str, int]:
    return {"pages": len(pages), "lines": sum(pages.lines)}
