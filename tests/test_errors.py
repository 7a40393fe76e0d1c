"""Every failure says in RFC 9457's terms what it is."""

import pytest

from paragraph_ocr import errors

FAILURES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OcrError)]
FAILURES.remove(errors.OcrError)


@pytest.mark.parametrize("failure", FAILURES)
def test_says_status_type_and_title(failure: type[errors.OcrError]) -> None:
    assert 400 <= failure.status < 500 or failure in (errors.RemoteFailed, errors.DeadlineExceeded)
    assert failure.type.startswith("urn:paragraph-ocr:")
    assert failure.title
    assert str(failure("what to change")) == "what to change"


def test_types_tell_failures_apart() -> None:
    assert len({failure.type for failure in FAILURES}) == len(FAILURES)


def test_statuses_are_the_contract_s() -> None:
    assert {failure.status for failure in FAILURES} == {400, 404, 405, 406, 413, 415, 422, 502, 504}
