"""Settings of the service, read from the environment of the Lambda function when it starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from paragraph_ocr.io.limits import DEFAULT_LIMITS, Limits

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEGABYTES_PER_CORE = 1769
# Memory of the function itself, with a decoded page of the most pixels; the rest is available for decoding.
RESERVED_MEGABYTES = 700
MIN_DECODING_MEGABYTES = 256


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """Settings of the service.

    Each field is read from the environment variable of the same name in capitals, except where `VARIABLES` names
    another one. The defaults are those of a stack that is deployed without parameters.

    Attributes
    ----------
    max_image_bytes, max_pages, max_seconds : int, int, float
        Limits of a request to ``POST /ocr``: bytes of the file, its pages, and seconds until the answer.
    max_upload_bytes, max_job_pages : int
        Limits of a file that is read in the background: its bytes and its pages.
    max_image_pixels, max_lines : int
        Limits of each page: width times height, and lines.
    allow_image_url : bool
        Whether ``image_url`` is fetched.
    cors_origins : tuple of str
        Origins of other sites whose pages may call the API.
    retention_days : int
        Days after which jobs and their files are deleted.
    timeout : float
        Seconds of the worker function's ``Timeout``.
    table, requests : str
        DynamoDB tables of the jobs and of idempotent requests; there are no jobs where `table` is empty.
    inbox, results : str
        S3 buckets of the files to read and of the results.
    queue_url, topic_arn : str
        SQS queue of the worker and SNS topic of the progress messages.
    memory_megabytes : int
        Memory of the function.
    models : str
        Folder of the model set; empty for the one of the library.
    initialization_type : str
        How Lambda starts the function: ``on-demand``, ``provisioned-concurrency`` or ``snap-start``.
    """

    max_image_bytes: int = 4_500_000
    max_pages: int = 10
    max_seconds: float = 25.0
    max_upload_bytes: int = DEFAULT_LIMITS.max_bytes
    max_job_pages: int = DEFAULT_LIMITS.max_pages
    max_image_pixels: int = DEFAULT_LIMITS.max_pixels
    max_lines: int = 500
    allow_image_url: bool = True
    cors_origins: tuple[str, ...] = ()
    retention_days: int = 7
    timeout: float = 300.0
    table: str = ""
    requests: str = ""
    inbox: str = ""
    results: str = ""
    queue_url: str = ""
    topic_arn: str = ""
    models: str = ""
    memory_megabytes: int = MEGABYTES_PER_CORE
    initialization_type: str = "on-demand"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings from environment variables; a variable that is not set leaves the default.

        Raises
        ------
        SettingsError
            A variable is not of its type, or a number is not positive.
        """
        values = {}
        for field in fields(cls):
            name = VARIABLES.get(field.name, field.name.upper())
            if name in environment:
                # Annotations are strings here.
                values[field.name] = _PARSERS[str(field.type)](name, environment[name])
        return cls(**values)

    @property
    def max_memory(self) -> int:
        """Bytes that decoding a page may take."""
        return max(self.memory_megabytes - RESERVED_MEGABYTES, MIN_DECODING_MEGABYTES) * 2**20

    @property
    def threads(self) -> int:
        """Threads that compute: the function's processors."""
        return max(1, round(self.memory_megabytes / MEGABYTES_PER_CORE))

    @property
    def retention_seconds(self) -> int:
        """Seconds after which jobs and their files are deleted."""
        return 86400 * self.retention_days

    @property
    def has_jobs(self) -> bool:
        """Whether files can be read in the background."""
        return bool(self.table)

    @property
    def request_limits(self) -> Limits:
        """Limits of a file that is sent to ``POST /ocr``."""
        return Limits(
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
            max_pages=self.max_pages,
            max_lines=self.max_lines,
            max_seconds=self.max_seconds,
            max_memory=self.max_memory,
        )

    @property
    def job_limits(self) -> Limits:
        """Limits of a file that is read in the background."""
        return Limits(
            max_bytes=self.max_upload_bytes,
            max_pixels=self.max_image_pixels,
            max_pages=self.max_job_pages,
            max_lines=self.max_lines,
            max_memory=self.max_memory,
        )


# Lambda sets these itself.
VARIABLES = {
    "memory_megabytes": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "initialization_type": "AWS_LAMBDA_INITIALIZATION_TYPE",
}


def _parse_int(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number of at least 1.")
    return int(text)


def _parse_float(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name} is {text!r}; it must be a number above 0.")
    return value


def _parse_bool(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise SettingsError(f"{name} is {text!r}; it must be true or false.")
    return text == "true"


def _parse_list(name: str, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_text(name: str, text: str) -> str:
    return text


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "int": _parse_int,
    "float": _parse_float,
    "bool": _parse_bool,
    "str": _parse_text,
    "tuple[str, ...]": _parse_list,
}
