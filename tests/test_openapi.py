"""The description is the routes', valid, and true of the running handler."""

import base64
import copy
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import positive_data_acceptance
from standins import StillReader

from local import serve
from paragraph_ocr.errors import OcrError
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.io.limits import Limits
from service import jobs, openapi, openapi_writer
from service import routes as app
from service.intake import IMAGE_TYPES, UNTYPED, URL_ENCODED

DESCRIPTION = json.loads(openapi.FILE.read_text(encoding="utf-8"))
OCR = DESCRIPTION["paths"]["/ocr"]["post"]


def test_the_file_is_what_make_openapi_writes() -> None:
    assert openapi.FILE.read_text(encoding="utf-8") == openapi_writer.describe()


def test_is_valid() -> None:
    assert DESCRIPTION["openapi"].startswith("3.1.")
    validate(DESCRIPTION)


def test_names_every_status_and_form() -> None:
    kinds = [error for error in OcrError.__subclasses__() if error.__module__ == OcrError.__module__]
    statuses = {str(error.status) for error in kinds} - {"404", "405"}
    assert set(OCR["responses"]) == statuses | {"200", "403", "429", "500"}
    assert set(OCR["responses"]["200"]["content"]) == {form.content_type for form in FORMATS.values()}


def checker(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": DESCRIPTION["components"]})


def test_examples_are_valid_and_work() -> None:
    body = OCR["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        checker(body["schema"]).validate(example["value"])
    answer = OCR["responses"]["200"]["content"]["application/json"]
    checker(answer["schema"]).validate(answer["examples"]["page"]["value"])
    image = base64.b64decode(body["examples"]["base64"]["value"]["image_base64"])
    checker(answer["schema"]).validate(app.reader.read(image, "letter.png").to_dict())


def test_answers_of_several_pages_are_described() -> None:
    page = OCR["responses"]["200"]["content"]["application/json"]["examples"]["page"]["value"]
    several = {"image": "a", "text": "b", "confidence": 0.5, "pages": [page, page]}
    checker({"$ref": "#/components/schemas/Document"}).validate(several)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, serve.Gateway(0) as gateway:
        # Which the gateway keeps to itself; that the function would refuse them shows here.
        for method in ("TRACE", "QUERY"):
            patch.setattr(serve._Request, f"do_{method}", serve._Request.answer, raising=False)
        patch.setattr(app, "reader", StillReader(Limits(max_pixels=1_000_000)))
        patch.setattr(app, "SETTINGS", replace(app.SETTINGS, allow_image_url=False))
        gateway.function = app.handler
        thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield gateway.url
        gateway.shutdown()
        thread.join()


def without_keys(description: dict[str, Any]) -> dict[str, Any]:
    """The description of the handler alone; it is the gateway that asks for the key."""
    described = copy.deepcopy(description)
    for methods in described["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    return described


# The rest is known to it.
other = [kind for kind in UNTYPED if kind not in ("application/octet-stream", URL_ENCODED)]
schemathesis.serializer.alias([*IMAGE_TYPES, *other], "application/octet-stream")
schema = schemathesis.openapi.from_dict(without_keys(DESCRIPTION))


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_handler_keeps_to_it(case: schemathesis.Case, url: str) -> None:
    # Bodies that the description allows need not hold an image.
    case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance])


CHECK = """
import sys
for name in sys.argv[1].split(","):
    __import__("service." + name)
from service import openapi_writer
sys.stdout.write(openapi_writer.describe())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "modules", ["routes,openapi", "openapi,routes", "jobs,storage,archive,worker,openapi", "openapi"]
)
def test_does_not_depend_on_what_was_imported_before(modules: str) -> None:
    command = [sys.executable, "-c", CHECK, modules]
    written = subprocess.run(command, cwd=openapi.FILE.parents[1], capture_output=True, check=True, text=True).stdout
    assert written == openapi.FILE.read_text(encoding="utf-8")


def test_jobs_name_every_status_of_their_errors() -> None:
    statuses = {str(kind.status) for kind in (jobs.KeyInUse, jobs.KeyReused)}
    assert statuses == {"409", "422"}
    assert statuses <= set(DESCRIPTION["paths"]["/jobs"]["post"]["responses"])
