"""Read a batch of a bucket's objects, write their results and count them: a step of the archive's state machine.

The event is a batch of a Distributed Map, with `Items` of a listing or an inventory. The answer has the same form, so
that a batch that takes longer than one invocation is passed on: `Items` are the remaining ones, `totals` the counts so
far. Objects whose present content has been read are skipped, so that an interrupted run can be started again. If the
function dies at a batch, its items are read one by one, and the one at which it dies is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import PurePosixPath
from time import perf_counter
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from paragraph_ocr.document import Document, Page
from paragraph_ocr.errors import BrokenImage, DeadlineExceeded, ImageGone, OcrError
from paragraph_ocr.io.file_format import SUFFIXES
from paragraph_ocr.io.imaging import Source, count_pages
from paragraph_ocr.pipeline.reader import PageReader
from service import storage
from service.runtime import ReadingMetrics, load_reader, log_failure, log_rejection, logger, metrics, send_metrics
from service.settings import Settings

# Time that is reserved at the end of an invocation for writing the results of a page.
END_SECONDS = 30.0
READING_FAILED = "Reading it failed; save it anew, or send its pages as images."
COUNTS = ("read", "passed_over", "failed", "written", "pages", "lines", "invocations")


class ImageArchived(OcrError):
    """The object is in a storage class that has to be restored first."""

    status = 409
    type: ClassVar[str] = "urn:paragraph-ocr:image-frozen"
    title: ClassVar[str] = "The image is not at hand"


class ImageAccessDenied(OcrError):
    """The function's role may not read the object, or not decrypt it."""

    status = 403
    type: ClassVar[str] = "urn:paragraph-ocr:image-closed"
    title: ClassVar[str] = "The image may not be read"


class ServiceFailed(Exception):
    """A service refused or failed. It carries no message, since Lambda logs it and it may name the object."""


class OutOfTime(Exception):
    """The rest of a document is left for another invocation.

    Attributes
    ----------
    made_progress : bool
        Whether this invocation has completed any of it.
    """

    def __init__(self, made_progress: bool) -> None:
        super().__init__(made_progress)
        self.made_progress = made_progress


class Archive:
    """Reads batches of an archive's objects.

    Parameters
    ----------
    settings : Settings
    reader : PageReader
    """

    def __init__(self, settings: Settings, reader: PageReader) -> None:
        self.settings = settings
        self.limits = settings.job_limits
        self.reader = reader

    def read_batch(self, event: dict[str, Any], request_id: str, left: Callable[[], float]) -> dict[str, Any]:
        """Read as many objects of a batch as there is time for.

        Parameters
        ----------
        event : dict
            ``{"BatchInput": {"bucket", "forms", "encoded", "tolerated"}, "Items": [{"Key", "Etag"}], "totals"}``;
            `encoded` says that keys are URL-encoded, `totals` is missing in the first round. With `alone`, only the
            first item is read; with `give_up`, the first item is not read and counts as failed.
        request_id : str
            Id of the invocation.
        left : callable
            Returns the seconds that are left of the invocation.

        Returns
        -------
        dict
            The event with the remaining items and the totals so far: `COUNTS`, `gigabyte_seconds` and
            `failed_percentage`.

        Raises
        ------
        ServiceFailed
            S3 refuses or fails; objects that were finished before stay finished.
        """
        start = perf_counter()

        whole = left()
        batch, items = event["BatchInput"], event["Items"]
        totals = {name: int(event.get("totals", {}).get(name, 0)) for name in COUNTS}
        totals["invocations"] += 1
        metrics.add_metric("ArchiveBatches", MetricUnit.Count, 1)
        done = 0
        alone = {"alone": True} if event.get("alone") else {}
        for item in items:
            # An object that needs more than half of the time must be the first of an invocation, to have all of it.
            if done and (alone or left() < whole / 2):
                break
            try:
                give_up = event.get("give_up", False)
                self._read_object(batch, item, totals, request_id, left, first=not done, give_up=give_up)
            except OutOfTime:
                break
            except Exception as error:
                log_failure(error)
                raise ServiceFailed(type(error).__name__) from None
            done += 1
        seconds = perf_counter() - start
        spent = (
            float(event.get("totals", {}).get("gigabyte_seconds", 0)) + seconds * self.settings.memory_megabytes / 1024
        )
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

    def _read_object(
        self,
        batch: dict[str, Any],
        item: dict[str, Any],
        totals: dict[str, int],
        request_id: str,
        left: Callable[[], float],
        first: bool,
        give_up: bool,
    ) -> None:
        """Read an object, or give it up, and count the outcome.

        Raises OutOfTime if there is not enough time, unless the object was the first of the invocation and made no
        progress: then it counts as failed.
        """
        bucket, listed = batch["bucket"], item["Key"]
        key = unquote_plus(listed) if batch["encoded"] else listed
        if PurePosixPath(key).suffix.lower() not in SUFFIXES:
            totals["passed_over"] += 1
            return
        # Listings and inventories spell the ETag differently, and an inventory need not have it.
        etag = (item.get("Etag") or item.get("ETag") or "").strip('"')
        name = f"{bucket}/{key}"
        listed_etag, forms = etag, batch["forms"]
        if etag and self._is_done(name, etag, forms):
            totals["passed_over"] += 1
            return
        try:
            if give_up:
                raise BrokenImage(READING_FAILED)
            data, etag = self._load(bucket, key)
            if etag != listed_etag and self._is_done(name, etag, forms):
                totals["passed_over"] += 1
                return
            with Source(data) as source:
                pages = _DocumentReading(self, name, key, etag, source, left).run(forms)
        except (OcrError, OutOfTime) as error:
            if isinstance(error, OutOfTime):
                if error.made_progress or not first:
                    raise
                error = DeadlineExceeded("It takes longer than an invocation; send it in parts, or with fewer lines.")
            if isinstance(error, ImageGone) and key != listed:
                # The key was not URL-encoded after all.
                self._read_object({**batch, "encoded": False}, item, totals, request_id, left, first, give_up)
                return
            log_rejection(error)
            failure = error
        except (ClientError, BotoCoreError):
            raise
        except Exception as error:
            log_failure(error)
            failure = BrokenImage(READING_FAILED)
        else:
            if len(pages) > 1:
                storage.delete_pages(self.settings.results, name, etag)
            totals["read"] += 1
            totals["written"] += len(forms)
            totals["pages"] += len(pages)
            totals["lines"] += sum(pages.lines)
            return
        storage.write_failure(self.settings.results, name, etag, failure, request_id)
        totals["failed"] += 1

    def _is_done(self, name: str, etag: str, forms: Sequence[str]) -> bool:
        return all(storage.is_done(self.settings.results, name, etag, form) for form in forms)

    def _load(self, bucket: str, key: str) -> tuple[bytes, str]:
        try:
            return storage.load_object(bucket, key, self.limits.max_bytes)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidObjectState":
                raise ImageArchived(
                    "The image lies in an archive class of S3; restore it, and start the run again."
                ) from error
            if error.response["Error"]["Code"] == "AccessDenied":
                raise ImageAccessDenied(
                    "S3 denies access to the image; let the function's role read and decrypt it, "
                    "and start the run again."
                ) from error
            raise


class _DocumentReading:
    """The part of reading a file that one invocation does.

    Parameters
    ----------
    archive : Archive
    name, key : str
        Key of the results without prefix and suffix, and the name of the file in them.
    etag : str
    data : Source
        The file.
    left : callable
        Returns the seconds that are left of the invocation.
    """

    def __init__(
        self, archive: Archive, name: str, key: str, etag: str, data: Source, left: Callable[[], float]
    ) -> None:
        self.archive = archive
        self.place = (archive.settings.results, name, etag)
        self.key = key
        self.data = data
        self.left = left
        self.made_progress = False

    def run(self, forms: Sequence[str]) -> storage.StoredPages:
        """Read and write what is missing; raises OutOfTime if the time is too short."""
        total = count_pages(self.data, self.archive.limits)
        pages = storage.StoredPages(*self.place, total, self._check)
        if len(pages) < total:
            self._read(pages, total)
        document = Document(self.key, pages)
        if total == 1:
            self._write_within_limits(partial(storage.write, *self.place, document, self.data, forms))
            return pages
        for form in storage.in_order(forms):
            if not storage.is_done(*self.place, form):
                self._write_within_limits(partial(storage.write_form, *self.place, document, self.data, form))
                self.made_progress = True
        storage.delete_failure(*self.place[:2])
        return pages

    def _read(self, pages: storage.StoredPages, total: int) -> None:
        reading = ReadingMetrics()
        try:
            with closing(self._pages(len(pages) + 1)) as rest:
                for page in rest:
                    pages.add(page)
                    reading.add(page)
                    # A single page is not stored, so that another invocation would start from nothing.
                    self.made_progress = total > 1
        except DeadlineExceeded as error:
            self._raise_out_of_time(error)
            raise
        finally:
            reading.send()

    def _pages(self, first: int) -> Generator[Page]:
        return self.archive.reader.pages(self.data, self.key, self.left() - END_SECONDS, first)

    def _write_within_limits(self, write: Callable[..., None]) -> None:
        """Write results within the limits of time and memory."""
        try:
            write(max_seconds=self.left() - END_SECONDS / 2, max_memory=self.archive.settings.max_memory)
        except DeadlineExceeded as error:
            self._raise_out_of_time(error)
            raise

    def _raise_out_of_time(self, error: DeadlineExceeded) -> None:
        """Raise OutOfTime if the invocation is short of time, rather than a page too slow by itself."""
        if self.made_progress or self.left() <= END_SECONDS:
            raise OutOfTime(self.made_progress) from error

    def _check(self) -> None:
        """Stop writing a format for which the time is too short."""
        if self.left() < END_SECONDS / 2:
            raise OutOfTime(self.made_progress)


_settings = Settings.from_environment()
_archive = Archive(_settings, load_reader(_settings, _settings.job_limits))


@logger.inject_lambda_context(log_event=False)
@send_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Read as much of a batch as there is time for; see `Archive.read_batch`."""

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return _archive.read_batch(event, context.aws_request_id, left)
