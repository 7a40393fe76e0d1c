"""Shared by all handlers of the image: the reader, as fast as the memory allows, the log and the metrics."""

import gc
import os
import traceback
from collections.abc import Iterable
from dataclasses import replace
from time import perf_counter

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from paragraph_ocr.document import Page
from paragraph_ocr.errors import OcrError
from paragraph_ocr.io.limits import Limits
from paragraph_ocr.pipeline.reader import PageReader

MEGABYTES_PER_CORE = 1769
MEGABYTES = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEGABYTES_PER_CORE))
# What the function takes itself, at rest and with a page of the most pixels in it; the rest is for decoding one.
OWN_MEGABYTES = 700
MAX_MEMORY = max(MEGABYTES - OWN_MEGABYTES, 256) * 2**20
# Of Lambda's time, what it takes to put an answer into its envelope and hand it over.
RESERVE_SECONDS = 1.0

# A page of fifty lines is some ten thousand objects.
GARBAGE_THRESHOLD = 20_000

NAMESPACE = "ParagraphOCR"
SERVICE = "paragraph-ocr"
STEP_METRICS = {
    "decode": "DecodingTime",
    "detect": "DetectionTime",
    "recognize": "RecognitionTime",
    "total": "ReadingTime",
}
logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)


def load_reader(limits: Limits) -> PageReader:
    """A reader with as many threads as the function has processors."""
    # Where nobody waits yet, the models are run once before anybody does; else that only makes the first caller wait.
    warm = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") != "on-demand"
    threads = max(1, round(MEGABYTES / MEGABYTES_PER_CORE))
    reader = PageReader.load(threads=threads, limits=replace(limits, max_memory=MAX_MEMORY), warm=warm)
    # What is loaded stays: looking through it for garbage doubles the time for loading the pages of a long document.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    return reader


def deadline_of(context: LambdaContext, max_seconds: float) -> float:
    """When the answer to a request that begins now has to be there, as `perf_counter` tells the time."""
    left = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    return perf_counter() + min(max_seconds, left)


class Tally:
    """Sums of what an invocation has read of a file, for the metrics."""

    def __init__(self) -> None:
        self._pages = self._lines = self._characters = 0
        self._confidence = 0.0
        self._milliseconds = dict.fromkeys(STEP_METRICS, 0.0)

    def add(self, page: Page) -> None:
        """Count a page that was read."""
        self._pages += 1
        self._lines += len(page.lines)
        for line in page.lines:
            self._characters += len(line.text)
            self._confidence += line.confidence * len(line.text)
        for step in STEP_METRICS:
            self._milliseconds[step] += page.timings_ms[step]

    def send(self) -> None:
        """Add the sums to the metrics, if anything was read."""
        if not self._pages:
            return
        metrics.add_metric("Pages", MetricUnit.Count, self._pages)
        metrics.add_metric("Lines", MetricUnit.Count, self._lines)
        confidence = self._confidence / self._characters if self._characters else 0.0
        metrics.add_metric("Confidence", MetricUnit.Percent, 100 * confidence)
        for step, name in STEP_METRICS.items():
            metrics.add_metric(name, MetricUnit.Milliseconds, self._milliseconds[step])


def measure(pages: Iterable[Page]) -> None:
    """Add what was read to the metrics."""
    tally = Tally()
    for page in pages:
        tally.add(page)
    tally.send()


def reject(error: OcrError) -> None:
    """Log and count what the caller can change."""
    logger.info("Rejected", reason=error.type)
    # A metric of its own, or its dimension would split all the others of the request.
    with single_metric("Rejected", MetricUnit.Count, 1, namespace=NAMESPACE) as rejected:
        rejected.add_dimension("service", SERVICE)
        rejected.add_dimension("reason", error.type.rsplit(":", 1)[-1])


def report(error: Exception) -> None:
    """Log a failure of the service without its message, which may quote text, and count it."""
    logger.error("Failed", exception=type(error).__name__, frames=traceback.format_tb(error.__traceback__))
    metrics.add_metric("Failed", MetricUnit.Count, 1)
