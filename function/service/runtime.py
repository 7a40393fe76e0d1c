"""Load the reader, and write the log and the metrics, for all handlers of the image."""

import gc
import traceback
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from paragraph_ocr.document import Page
from paragraph_ocr.errors import OcrError
from paragraph_ocr.io.limits import Limits
from paragraph_ocr.model_set import FOLDER
from paragraph_ocr.pipeline.reader import PageReader
from service.settings import Settings

# Time that Lambda needs for serialising an answer and handing it over.
RESERVE_SECONDS = 1.0

# Allocations between two runs of the garbage collector; a page of fifty lines has some ten thousand objects.
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
Answer = TypeVar("Answer")
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)


def load_reader(settings: Settings, limits: Limits) -> PageReader:
    """Load the reader with as many threads as the function has processors."""
    # The models are run once while no caller waits; at an on-demand start that would only delay the first caller.
    warm = settings.initialization_type != "on-demand"
    models = Path(settings.models) if settings.models else FOLDER
    reader = PageReader.load(threads=settings.threads, models=models, limits=limits, warm=warm)
    # The collector need not traverse the loaded models: that doubles the time for loading the pages of a long document.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    return reader


def deadline_of(context: LambdaContext, max_seconds: float) -> float:
    """Return the time, by `perf_counter`, by which a request that starts now has to be answered."""
    left = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    return perf_counter() + min(max_seconds, left)


def send_metrics(handler: Callable[[dict[str, Any], Any], Answer]) -> Callable[[dict[str, Any], Any], Answer]:
    """Decorate a handler to send the metrics of each invocation at its end.

    Where POWERTOOLS_METRICS_DISABLED is set, Powertools would keep them, print them once one of them has 100 values,
    and then warn that none is left to send.
    """
    sending = metrics.log_metrics(handler)

    @wraps(handler)
    def decorated(event: dict[str, Any], context: Any) -> Answer:
        try:
            answer: Answer = sending(event, context)
            return answer
        finally:
            metrics.clear_metrics()

    return decorated


class ReadingMetrics:
    """Metrics of the pages that an invocation reads of a file."""

    def __init__(self) -> None:
        self._pages = self._lines = self._characters = 0
        self._confidence = 0.0
        self._milliseconds = dict.fromkeys(STEP_METRICS, 0.0)

    def add(self, page: Page) -> None:
        """Add a page."""
        self._pages += 1
        self._lines += len(page.lines)
        for line in page.lines:
            self._characters += len(line.text)
            self._confidence += line.confidence * len(line.text)
        for step in STEP_METRICS:
            self._milliseconds[step] += page.timings_ms[step]

    def send(self) -> None:
        """Send the metrics, if any page was read."""
        if not self._pages:
            return
        metrics.add_metric("Pages", MetricUnit.Count, self._pages)
        metrics.add_metric("Lines", MetricUnit.Count, self._lines)
        confidence = self._confidence / self._characters if self._characters else 0.0
        metrics.add_metric("Confidence", MetricUnit.Percent, 100 * confidence)
        for step, name in STEP_METRICS.items():
            metrics.add_metric(name, MetricUnit.Milliseconds, self._milliseconds[step])


def record_pages(pages: Iterable[Page]) -> None:
    """Send the metrics of pages."""
    reading = ReadingMetrics()
    for page in pages:
        reading.add(page)
    reading.send()


def log_rejection(error: OcrError) -> None:
    """Log and count an error that the caller can mend."""
    logger.info("Rejected", reason=error.type)
    # Separate metrics, since the dimension would apply to all other metrics of the request; `single_metric` would print
    # them even where metrics are disabled.
    rejected = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
    rejected.add_dimension("service", SERVICE)
    rejected.add_dimension("reason", error.type.rsplit(":", 1)[-1])
    rejected.add_metric("Rejected", MetricUnit.Count, 1)
    rejected.flush_metrics()


def log_failure(error: Exception) -> None:
    """Log and count a failure of the service, without its message, which may contain text of the image."""
    logger.error("Failed", exception=type(error).__name__, frames=traceback.format_tb(error.__traceback__))
    metrics.add_metric("Failed", MetricUnit.Count, 1)
