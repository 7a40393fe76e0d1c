"""The settings of the service come from the environment, with one default each, and wrong values are refused."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from paragraph_ocr.io.limits import DEFAULT_LIMITS
from service.settings import VARIABLES, Settings, SettingsError

FUNCTION = Path(__file__).parents[1] / "function"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_every_setting_is_read_from_its_variable() -> None:
    samples = {"int": "12", "float": "1.5", "bool": "false", "str": "name", "tuple[str, ...]": "https://a, https://b"}
    parsed = {"int": 12, "float": 1.5, "bool": False, "str": "name", "tuple[str, ...]": ("https://a", "https://b")}
    for field in fields(Settings):
        variable = VARIABLES.get(field.name, field.name.upper())
        settings = Settings.from_environment({variable: samples[str(field.type)]})
        assert getattr(settings, field.name) == parsed[str(field.type)]
        changed = {other.name for other in fields(Settings) if getattr(settings, other.name) != other.default}
        assert changed == {field.name}


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MAX_PAGES", "ten", "MAX_PAGES is 'ten'; it must be a whole number of at least 1."),
        ("MAX_PAGES", "0", "MAX_PAGES is '0'"),
        ("MAX_PAGES", "-1", "MAX_PAGES is '-1'"),
        ("MAX_PAGES", "", "MAX_PAGES is ''"),
        ("MAX_PAGES", "²", "MAX_PAGES is '²'"),
        ("MAX_SECONDS", "nan", "MAX_SECONDS is 'nan'; it must be a number above 0."),
        ("MAX_SECONDS", "inf", "MAX_SECONDS is 'inf'"),
        ("MAX_SECONDS", "soon", "MAX_SECONDS is 'soon'"),
        ("ALLOW_IMAGE_URL", "yes", "ALLOW_IMAGE_URL is 'yes'; it must be true or false."),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1 GB", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE is '1 GB'"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_variable(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(expected)):
        Settings.from_environment({variable: value})


def test_a_function_with_a_wrong_value_does_not_start() -> None:
    environment = os.environ | {"PYTHONPATH": str(FUNCTION), "MAX_LINES": "many"}
    run = subprocess.run(
        [sys.executable, "-c", "import app"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.endswith("SettingsError: MAX_LINES is 'many'; it must be a whole number of at least 1.\n")


def test_limits_of_requests_and_of_jobs() -> None:
    settings = Settings(max_image_bytes=1, max_pages=2, max_seconds=3, max_upload_bytes=4, max_job_pages=5, max_lines=6)
    request, job = settings.request_limits, settings.job_limits
    assert (request.max_bytes, request.max_pages, request.max_seconds, request.max_lines) == (1, 2, 3, 6)
    assert (job.max_bytes, job.max_pages, job.max_seconds, job.max_lines) == (4, 5, DEFAULT_LIMITS.max_seconds, 6)
    assert request.max_memory == job.max_memory == settings.max_memory


@pytest.mark.parametrize(
    ("megabytes", "threads", "decoding"), [(512, 1, 256), (1769, 1, 1069), (3008, 2, 2308), (10240, 6, 9540)]
)
def test_memory_and_threads_follow_the_functions_memory(megabytes: int, threads: int, decoding: int) -> None:
    settings = Settings(memory_megabytes=megabytes)
    assert (settings.threads, settings.max_memory) == (threads, decoding * 2**20)
