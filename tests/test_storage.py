"""Objects are taken whole or refused with a reason, and what was read of them is written once, in every form."""

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import Cloud
from PIL import Image
from standins import StillReader

import storage
from paragraph_ocr.document import Document
from paragraph_ocr.errors import BrokenImage, ImageGone, TooLarge
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.imaging import Limits, decode

INBOX, RESULTS = "stack-inbox", "stack-results"
KEYS = ["scan.jpg", "letters/1905/Page 1+2 (é).jpg", "é" * 500, "a//b", "failed/scan.jpg", "%41.png"]


def png(side: int = 60) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), 200).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def document() -> Document:
    return StillReader(Limits()).read(png(), "scan.png")


def held(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """What the results bucket holds."""
    s3 = cloud.client("s3")
    names = [entry["Key"] for entry in s3.list_objects_v2(Bucket=RESULTS).get("Contents", ())]
    return {name: s3.get_object(Bucket=RESULTS, Key=name) for name in names}


@pytest.mark.parametrize("key", KEYS)
def test_takes_an_object_and_writes_every_form_of_it(cloud: Cloud, document: Document, key: str) -> None:
    etag = cloud.drop(key, png())
    assert storage.take(INBOX, key, 10_000) == (png(), etag)
    assert not storage.is_done(RESULTS, key, etag)
    for _ in range(2):
        storage.write(RESULTS, key, etag, document, png())
        results = held(cloud)
        assert set(results) == {storage.result_key(key, form) for form in FORMATS}
    for form in FORMATS:
        result = results[storage.result_key(key, form)]
        assert result["ContentType"] == FORMATS[form].content_type
        assert result["Body"].read() == render(document, form, png())
    assert storage.is_done(RESULTS, key, etag)
    assert not storage.is_done(RESULTS, key, "other")


def test_names_say_which_object_was_read() -> None:
    assert storage.result_key("a b/ü+.jpg", "text") == "done/a b/ü+.jpg.txt"
    assert storage.failure_key("a b/ü+.jpg") == "failed/a b/ü+.jpg.json"
    long = ["é" * 511 + "a", "é" * 511 + "b"]
    names = {storage.result_key(key, "json") for key in long}
    assert len(names) == 2
    assert all(len(name.encode()) < 1024 for name in names)


def test_json_comes_last(cloud: Cloud, document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    put_object = storage.client().put_object

    def refusing(**arguments: Any) -> None:
        if arguments["Key"].endswith(".pdf"):
            raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")
        put_object(**arguments)

    monkeypatch.setattr(storage.client(), "put_object", refusing)
    with pytest.raises(ClientError):
        storage.write(RESULTS, "a", "e", document, png())
    assert not storage.is_done(RESULTS, "a", "e")


@pytest.mark.parametrize("size", [1000, 1001])
def test_loads_no_object_above_the_limit(cloud: Cloud, size: int) -> None:
    cloud.drop("a", bytes(size))
    if size <= 1000:
        assert storage.take(INBOX, "a", 1000)[0] == bytes(size)
        return
    with pytest.raises(TooLarge, match="1,001 bytes"):
        storage.take(INBOX, "a", 1000)


def test_says_what_has_become_of_an_object(cloud: Cloud) -> None:
    etag = cloud.drop("a", b"1")
    assert storage.take(INBOX, "a", 10, etag) == (b"1", etag)
    cloud.drop("a", b"2")
    with pytest.raises(storage.Replaced):
        storage.take(INBOX, "a", 10, etag)
    cloud.client("s3").delete_object(Bucket=INBOX, Key="a")
    with pytest.raises(ImageGone):
        storage.take(INBOX, "a", 10, etag)


def test_other_refusals_are_not_taken_for_an_image_that_is_gone(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        storage.take("nowhere", "a", 10)


def test_does_not_guess_whether_something_is_done(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "403"}}, "HeadObject")

    monkeypatch.setattr(storage.client(), "head_object", refusing)
    with pytest.raises(ClientError):
        storage.is_done(RESULTS, "a", "e")


def test_a_failure_takes_the_place_of_what_was_read_and_the_other_way_round(cloud: Cloud, document: Document) -> None:
    storage.write(RESULTS, "a.jpg", "e", document, png())
    storage.write_failure(RESULTS, "a.jpg", "f", BrokenImage("Send it whole."), "request-7")
    results = held(cloud)
    assert set(results) == {"failed/a.jpg.json"}
    assert results["failed/a.jpg.json"]["ContentType"] == "application/problem+json"
    assert json.load(results["failed/a.jpg.json"]["Body"]) == {
        "type": BrokenImage.type,
        "title": BrokenImage.title,
        "status": 422,
        "detail": "Send it whole.",
        "request_id": "request-7",
    }
    storage.write(RESULTS, "a.jpg", "g", document, png())
    assert set(held(cloud)) == {storage.result_key("a.jpg", form) for form in FORMATS}


def test_pages_come_back_exactly_as_far_as_they_go(cloud: Cloud) -> None:
    reader = StillReader(Limits())
    (pixels,) = decode(png())
    pages = [reader.read_image(pixels, "scan é.pdf", 1 / 3, number) for number in range(1, 13)]
    assert pages[0].lines[0].words
    assert storage.get_pages(RESULTS, "scan é.pdf", "e") == []
    for page in pages:
        storage.put_page(RESULTS, "scan é.pdf", "e", page)
    storage.put_page(RESULTS, "scan é.pdf", "other", pages[0])
    assert storage.get_pages(RESULTS, "scan é.pdf", "e") == pages
    cloud.client("s3").delete_object(Bucket=RESULTS, Key="pages/scan é.pdf/e/000006.json")
    assert storage.get_pages(RESULTS, "scan é.pdf", "e") == pages[:5]
    storage.delete_pages(RESULTS, "scan é.pdf", "e")
    assert set(held(cloud)) == {"pages/scan é.pdf/other/000001.json"}
