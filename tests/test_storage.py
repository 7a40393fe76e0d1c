"""Objects are taken whole or refused with a reason, and what was read of them is written once, in every form."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import Cloud
from PIL import Image
from standins import StillReader

from paragraph_ocr.document import Block, Cell, Document, Line, Page, TextStyle, Word
from paragraph_ocr.errors import BrokenImage, ImageGone, TooLarge
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.io.imaging import decode
from paragraph_ocr.io.limits import Limits
from service import storage

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
    assert storage.load_object(INBOX, key, 10_000) == (png(), etag)
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


def test_no_two_objects_have_a_result_of_one_name() -> None:
    suffixes = {form.suffix for form in FORMATS.values()}
    ends = {suffix[:at] for suffix in suffixes for at in range(len(suffix) + 1)}
    keys = [*(f"a{end}" for end in sorted(ends)), "a.page.page", "a.json.txt"]
    names = [storage.result_key(key, form) for key in keys for form in FORMATS]
    assert len(set(names)) == len(names)


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
        assert storage.load_object(INBOX, "a", 1000)[0] == bytes(size)
        return
    with pytest.raises(TooLarge, match="1,001 bytes"):
        storage.load_object(INBOX, "a", 1000)


def test_says_what_has_become_of_an_object(cloud: Cloud) -> None:
    etag = cloud.drop("a", b"1")
    assert storage.load_object(INBOX, "a", 10, etag) == (b"1", etag)
    cloud.drop("a", b"2")
    with pytest.raises(storage.ContentChanged):
        storage.load_object(INBOX, "a", 10, etag)
    cloud.client("s3").delete_object(Bucket=INBOX, Key="a")
    with pytest.raises(ImageGone):
        storage.load_object(INBOX, "a", 10, etag)


def test_other_refusals_are_not_taken_for_an_image_that_is_gone(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        storage.load_object("nowhere", "a", 10)


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

    def kept(etag: str = "e") -> storage.StoredPages:
        return storage.StoredPages(RESULTS, "scan é.pdf", etag, len(pages))

    assert list(kept()) == []
    first = kept()
    for page in pages:
        first.add(page)
    kept("other").add(pages[0])
    for each in (first, kept()):
        assert list(each) == pages
        assert (len(each), each[-1], list(each[2:4]), each.lines) == (12, pages[11], pages[2:4], [1] * 12)
    cloud.client("s3").delete_object(Bucket=RESULTS, Key="pages/scan é.pdf/e/000006.json")
    assert list(kept()) == pages[:5]
    storage.delete_pages(RESULTS, "scan é.pdf", "e")
    assert set(held(cloud)) == {"pages/scan é.pdf/other/000001.json"}


def test_a_single_page_is_not_kept(cloud: Cloud, document: Document) -> None:
    pages = storage.StoredPages(RESULTS, "scan.png", "e", 1)
    pages.add(document.pages[0])
    assert list(pages) == list(document.pages)
    assert held(cloud) == {}


def tiff(pages: int) -> bytes:
    buffer = io.BytesIO()
    images = [Image.new("L", (60, 60), 200)] * pages
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def test_a_long_document_is_written_as_one_that_is_in_memory(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_HELD_PAGES", 2)
    document = StillReader(Limits()).read(tiff(9), "scan.tif")
    pages = storage.StoredPages(RESULTS, "scan.tif", "e", 9)
    for page in document.pages:
        pages.add(page)
    loaded: list[int] = []
    load = storage.StoredPages._load
    monkeypatch.setattr(storage.StoredPages, "_load", lambda self, index: loaded.append(index) or load(self, index))
    for form in FORMATS:
        storage.write_form(RESULTS, "scan.tif", "e", Document("scan.tif", pages), tiff(9), form)
        result = held(cloud)[storage.result_key("scan.tif", form)]
        assert result["Body"].read() == render(document, form, tiff(9))
        assert (result["ContentType"], result["Metadata"]) == (FORMATS[form].content_type, {"source-etag": "e"})
    # Those in memory are not loaded again.
    assert set(loaded) == set(range(2, 9))


def test_a_large_result_is_uploaded_in_parts_while_it_is_made(
    cloud: Cloud, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [bytes([number]) * 2**20 for number in range(20)]
    monkeypatch.setattr(storage, "stream", lambda *_: iter(parts))
    storage.write_form(RESULTS, "a", "e", document, b"", "text")
    result = held(cloud)["done/a.txt"]
    assert result["ETag"].endswith('-3"')
    assert result["Metadata"] == {"source-etag": "e"}
    assert result["Body"].read() == b"".join(parts)


class Stopped(Exception):
    """Something that ends the making of a result."""


@pytest.mark.parametrize("parts", [1, 20])
def test_a_result_whose_making_ends_is_not_there_at_all(
    cloud: Cloud, document: Document, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    def stopping(*_: Any) -> Iterator[bytes]:
        yield from [bytes(2**20)] * parts
        raise Stopped

    monkeypatch.setattr(storage, "stream", stopping)
    with pytest.raises(Stopped):
        storage.write_form(RESULTS, "a", "e", document, b"", "text")
    assert held(cloud) == {}
    assert "Uploads" not in cloud.client("s3").list_multipart_uploads(Bucket=RESULTS)


def test_blocks_are_kept_and_pages_of_earlier_workers_load_without_them() -> None:
    outline = ((0.0, 0.0), (9.0, 0.0), (9.0, 5.0), (0.0, 5.0))
    line = Line("a", 0.5, outline, outline[2:], (Word("a", 0.5, outline),))
    blocks = (
        Block("heading", (0,), level=2),
        Block("list", (1, 2), items=((1,), (2,))),
        Block("table", (3,), rows=((Cell((3,)), Cell(())),)),
    )
    page = Page(
        "scan", 3, 90, 50, 0, (line,) * 4, {"detector": "d"}, {"total": 1.0}, blocks, TextStyle(True, True, (1,))
    )
    kept = json.loads(json.dumps(page, default=vars))
    assert storage._page(kept) == page
    earlier = {name: value for name, value in kept.items() if name not in ("blocks", "style")}
    loaded = storage._page(earlier)
    assert (loaded.lines, loaded.blocks, loaded.style) == (page.lines, (), TextStyle())
    assert [block["lines"] for block in loaded.to_dict()["blocks"]] == [[0, 1, 2, 3]]
