"""What all handlers of the image share: the reader, as fast as the memory allows, its log and its metrics."""

import os
import traceback
from dataclasses import replace
from time import perf_counter

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from paragraph_ocr.document import Document
from paragraph_ocr.errors import OcrError
from paragraph_ocr.imaging import Limits
from paragraph_ocr.reader import PageReader

MEGABYTES_PER_CORE = 1769
MEGABYTES = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEGABYTES_PER_CORE))
# What the function takes itself, at rest and with a page of the most pixels in it; the rest is for decoding one.
OWN_MEGABYTES = 700
MAX_MEMORY = max(MEGABYTES - OWN_MEGABYTES, 256) * 2**20
# Of Lambda's time, what it takes to put an answer into its envelope and hand it over.
RESERVE_SECONDS = 1.0

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
    return PageReader.load(threads=threads, limits=replace(limits, max_memory=MAX_MEMORY), warm=warm)


def deadline_of(context: LambdaContext, max_seconds: float) -> float:
    """When the answer to a request that begins now has to be there, as `perf_counter` tells the time."""
    left = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    return perf_counter() + min(max_seconds, left)


def measure(document: Document) -> None:
    """Add what was read to the metrics."""
    metrics.add_metric("Pages", MetricUnit.Count, len(document.pages))
    metrics.add_metric("Lines", MetricUnit.Count, sum(len(page.lines) for page in document.pages))
    metrics.add_metric("Confidence", MetricUnit.Percent, 100 * document.confidence)
    for step, name in STEP_METRICS.items():
        metrics.add_metric(name, MetricUnit.Milliseconds, sum(page.timings_ms[step] for page in document.pages))


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
