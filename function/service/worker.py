"""Consume the queue: read the objects of the inbox bucket that messages announce, and write their results.

Each page of a document of several pages is stored as soon as it is read, and each format of the result is streamed page
by page. When the function's time runs out, a new message continues the document; when the function is killed, the queue
delivers the message again. Either way, reading continues at the first page that is not stored, or the first format that
is not written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
from paragraph_ocr.io.page_ranges import numbers_of
from paragraph_ocr.pipeline.reader import PageReader
from service import jobs, storage
from service.intake import IMAGE_TYPES, parse_options
from service.notices import Notices
from service.runtime import ReadingMetrics, load_reader, log_failure, log_rejection, logger, metrics, send_metrics
from service.settings import Settings

# Time for writing the results of a page, or for handing a document on.
END_SECONDS = 10.0
# Time that must be left before a format of a long document is started, per line, and per page that the PDF shows, as
# benchmarks/long_job.py measured on a busy machine; but no more than this share of an invocation.
FORM_SECONDS_A_LINE = 0.003
FORM_SECONDS_A_PAGE = 0.05
MAX_TIMEOUT_SHARE = 0.8
FETCH_SECONDS = 60.0
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
MAX_DELAY_SECONDS = 900
PROGRESS_SECONDS = 1.0
# Attempts at a file at which the process dies or fails unexpectedly.
MAX_ATTEMPTS = 3

_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
_cold = True


class ForeignBucket(OcrError):
    """A message announces an object of another bucket than the inbox."""

    status = 403
    type: ClassVar[str] = "urn:paragraph-ocr:foreign-bucket"
    title: ClassVar[str] = "The bucket is not the stack's"


class OutOfTime(Exception):
    """The rest of a document is left for another invocation.

    Attributes
    ----------
    done : int
        Pages and formats that this invocation has completed.
    """

    def __init__(self, done: int) -> None:
        super().__init__(done)
        self.done = done


class Worker:
    """Reads the objects that messages announce.

    Parameters
    ----------
    settings : Settings
    reader : PageReader
    """

    def __init__(self, settings: Settings, reader: PageReader) -> None:
        self.settings = settings
        self.limits = settings.job_limits
        self.reader = reader
        self.jobs = jobs.Jobs(settings)
        self.notices = Notices(self.jobs)

    def consume(self, request_id: str, left: Callable[[], float], record: SQSRecord) -> None:
        """Process a message; `left` returns the seconds that are left of the invocation."""
        try:
            message = json.loads(record.body)
            if "fetch" in message:
                self._fetch_image(message, request_id, left)
            # S3 sends this once to test the queue.
            elif message.get("Event") != "s3:TestEvent":
                for announced in S3Event(message).records:
                    self._process_object(announced, request_id, left)
        except Exception as error:
            log_failure(error)
            raise

    def _process_object(self, announced: S3EventRecord, request_id: str, left: Callable[[], float]) -> None:
        if announced.s3.bucket.name != self.settings.inbox:
            # The object is not loaded, and the message is not retried.
            log_rejection(ForeignBucket("Put the object into the inbox bucket."))
            return
        stored = announced.s3.get_object
        key = unquote_plus(stored.key)
        # The S3 console creates empty objects for folders.
        if key.endswith("/") and not stored.size:
            return
        message = {"Records": [announced.raw_event]}
        try:
            self._read(announced.s3.bucket.name, key, stored.etag, message, request_id, left)
        except jobs.LeaseHeld as held:
            # The other worker may be reading other content, or die. A new message waits for that, since one that is
            # received too often ends in the dead-letter queue.
            self.jobs.send(message, min(held.seconds, MAX_DELAY_SECONDS))

    def _fetch_image(self, message: dict[str, Any], request_id: str, left: Callable[[], float]) -> None:
        """Fetch the image of a job into the inbox, which sends a message for it."""
        from service.fetch import fetch

        key = message["fetch"]
        item = self.jobs.find(key)
        if item is None or item["state"] in jobs.FINAL_STATES:
            if item:
                self.notices.notify(item, message)
            return
        # A worker has started to read an image that was fetched before.
        if item.get("etag"):
            return
        try:
            data = fetch(item["image_url"], self.limits.max_bytes, min(FETCH_SECONDS, left()), IMAGE_TYPES)
        except OcrError as error:
            held = self.jobs.lease(key, "", left())
            if isinstance(held, jobs.Lease):
                self._end(held, self._fail(held, error, request_id), message)
            return
        storage.client().put_object(Bucket=self.settings.inbox, Key=key, Body=data)

    def _read(
        self, bucket: str, key: str, etag: str, message: dict[str, Any], request_id: str, left: Callable[[], float]
    ) -> None:
        """Read an object, unless it has been read or another content counts for its job."""
        state = self.jobs.check_content(key, etag)
        if not state.should_read:
            if state.item:
                self.notices.notify(state.item, message)
            return
        failure: OcrError | None = None
        data = b""
        try:
            data, _ = storage.load_object(bucket, key, self.limits.max_bytes, etag)
        except storage.ContentChanged:
            if not state.started:
                return
            failure = ImageGone("Another image took its place before all of it was read; make a new job.")
        except OcrError as error:
            failure = error
        held = self.jobs.lease(key, etag, left(), gone=isinstance(failure, ImageGone))
        if not isinstance(held, jobs.Lease):
            if held:
                self.notices.notify(held, message)
            return
        try:
            item = self._conclude(held, data, failure, request_id, left)
        except OutOfTime as stopped:
            # The lease is released first, so that the next worker does not find it held.
            self.jobs.release(held, attempts=0 if stopped.done else held.attempts)
            self.jobs.send(message)
        except (ClientError, BotoCoreError):
            # A service failed, which does not count as an attempt at the file.
            with suppress(ClientError, BotoCoreError, jobs.LeaseLost):
                self.jobs.release(held, held.attempts - 1)
            raise
        else:
            self._end(held, item, message)

    def _conclude(
        self, held: jobs.Lease, data: bytes, failure: OcrError | None, request_id: str, left: Callable[[], float]
    ) -> jobs.Item:
        """Read a file, write its results or its error, and return its item; raises as `_DocumentReading.run`."""
        try:
            if failure:
                raise failure
            if held.attempts > MAX_ATTEMPTS:
                raise BrokenImage(f"Reading it failed {MAX_ATTEMPTS} times; save it anew, or send its pages as images.")
            with Source(data) as source:
                counts = _DocumentReading(self, held, source, left).run()
        except OcrError as error:
            return self._fail(held, error, request_id)
        return self.jobs.finish(held, counts)

    def _fail(self, held: jobs.Lease, error: OcrError, request_id: str) -> jobs.Item:
        log_rejection(error)
        storage.write_failure(self.settings.results, held.key, held.etag, error, request_id)
        return self.jobs.finish(held, jobs.NO_COUNTS, error.problem(request_id))

    def _end(self, held: jobs.Lease, item: jobs.Item, message: dict[str, Any]) -> None:
        self.notices.notify(item, message)
        if item["total"]["pages"] != 1:
            storage.delete_pages(self.settings.results, held.key, held.etag)


class _DocumentReading:
    """The part of reading a file that one invocation does.

    Parameters
    ----------
    worker : Worker
    held : Lease
    data : Source
        The file.
    left : callable
        Returns the seconds that are left of the invocation.
    """

    def __init__(self, worker: Worker, held: jobs.Lease, data: Source, left: Callable[[], float]) -> None:
        self.worker = worker
        self.timeout = worker.settings.timeout
        self.place = (worker.settings.results, held.key, held.etag)
        self.held = held
        self.data = data
        self.left = left
        self.done = 0
        self.options = parse_options(held.options, worker.reader.languages_known)

    def run(self) -> dict[str, int]:
        """Read and write what is missing, and return the counts; raises OutOfTime if the time is too short."""
        count = count_pages(self.data, self.worker.limits)
        numbers = numbers_of(self.options.pages, count) if self.options.pages else range(1, count + 1)
        pages = storage.StoredPages(*self.place, len(numbers), self._check)
        if len(pages) < len(numbers):
            self._read(pages, numbers)
        self._write(pages, tuple(numbers) if self.options.pages else ())
        return _counts(pages)

    def _read(self, pages: storage.StoredPages, numbers: Sequence[int]) -> None:
        total = len(numbers)
        if self.left() < self.timeout / 2:
            raise OutOfTime(self.done)
        reading = ReadingMetrics()
        progress = _Progress(self.worker, self.held, pages, total)
        seconds, slowest = self.left() - END_SECONDS, 0.0
        try:
            with closing(
                self.worker.reader.pages(
                    self.data, self.held.image, seconds, numbers[len(pages)], progress, self.options
                )
            ) as rest:
                for page in rest:
                    pages.add(page)
                    reading.add(page)
                    # A single page is not stored, so that another invocation would start from nothing.
                    if total > 1:
                        if not self.done:
                            self.worker.jobs.reset_attempts(self.held)
                        self.done += 1
                    slowest = max(slowest, page.timings_ms["total"] / 1000)
                    if len(pages) < total and self.left() - END_SECONDS < slowest:
                        raise OutOfTime(self.done)
        except DeadlineExceeded as error:
            self._raise_out_of_time(error)
            raise
        finally:
            reading.send()

    def _write(self, pages: storage.StoredPages, numbers: tuple[int, ...]) -> None:
        document = Document(self.held.image, pages, numbers)
        if len(pages) == 1:
            self._write_within_limits(partial(storage.write, *self.place, document, self.data))
            return
        needed = FORM_SECONDS_A_LINE * sum(pages.lines) + FORM_SECONDS_A_PAGE * len(pages) + END_SECONDS
        written = list(self.held.written)
        for form in storage.in_order(FORMATS):
            if form in written:
                continue
            # An invocation that starts with this format has most of its time, however long it took to list the pages.
            if self.left() < min(needed, (MAX_TIMEOUT_SHARE if self.done else 0.5) * self.timeout):
                raise OutOfTime(self.done)
            self._write_within_limits(partial(storage.write_form, *self.place, document, self.data, form))
            written.append(form)
            self.worker.jobs.record_written_forms(self.held, written)
            self.done += 1
        storage.delete_failure(*self.place[:2])

    def _write_within_limits(self, write: Callable[..., None]) -> None:
        """Write results within the limits of time and memory."""
        try:
            write(max_seconds=self.left() - END_SECONDS / 2, max_memory=self.worker.settings.max_memory)
        except DeadlineExceeded as error:
            self._raise_out_of_time(error)
            raise

    def _raise_out_of_time(self, error: DeadlineExceeded) -> None:
        """Raise OutOfTime if earlier work, or a machine that stood still, may have used up the time."""
        if self.done or (self.left() <= END_SECONDS and self.held.attempts < MAX_ATTEMPTS):
            raise OutOfTime(self.done) from error

    def _check(self) -> None:
        """Stop writing a format for which the time is too short after all."""
        if self.left() < END_SECONDS / 2:
            raise OutOfTime(self.done)


class _Progress:
    """Records and publishes the progress of a document, at most once in `PROGRESS_SECONDS`."""

    def __init__(self, worker: Worker, held: jobs.Lease, pages: storage.StoredPages, total: int) -> None:
        self.worker = worker
        self.held = held
        self.pages = pages
        self.total = total
        self.last = monotonic()

    def __call__(self, _: int, lines: int, lines_of_page: int) -> None:
        if monotonic() < self.last + PROGRESS_SECONDS:
            return
        done = _counts(self.pages)
        total = {"pages": self.total, "lines": done["lines"] + lines_of_page}
        item = self.worker.jobs.progress(self.held, {**done, "lines": done["lines"] + lines}, total)
        # Subscribers who miss this get the next message, or the final one.
        with suppress(ClientError, BotoCoreError):
            self.worker.notices.publish(item)
        self.last = monotonic()


def _counts(pages: storage.StoredPages) -> dict[str, int]:
    return {"pages": len(pages), "lines": sum(pages.lines)}


_settings = Settings.from_environment()
_worker = Worker(_settings, load_reader(_settings, _settings.job_limits))


@logger.inject_lambda_context(log_event=False)
@send_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Process the messages of a batch; return those that failed."""
    global _cold
    metrics.add_metric("ColdStart", MetricUnit.Count, int(_cold))
    _cold = False

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    consume = partial(_worker.consume, context.aws_request_id, left)
    return process_partial_response(event, consume, _processor, context)
