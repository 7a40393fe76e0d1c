"""Load objects from S3 and write their results, or the errors, to the results bucket.

For the object KEY the results bucket holds:

    done/KEY.json, .txt, .hocr, .xml, ...     the result in every format; .json is written last and marks completion
    failed/KEY.json                           the error, as a problem of RFC 9457
    pages/KEY/ETAG/000001.json                the pages that have been read of an unfinished document

Once an object is finished, it has either done/ or failed/, never both. The names depend only on the KEY and, for
unfinished documents, on the ETag of the content, so that writing again replaces what is there.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, overload

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from paragraph_ocr.document import Block, Cell, Document, Line, Page, TextStyle, Word
from paragraph_ocr.errors import ImageGone, OcrError, TooLarge
from paragraph_ocr.formats import FORMATS, render, stream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from paragraph_ocr.io.imaging import Source

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html, less the prefixes and suffixes of results.
MAX_KEY_BYTES = 1024 - 80
CONNECTIONS = 10
# Control characters, surrogates and noncharacters.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Ends of keys whose results in one format would have the names of another key's results in a second one, as the .xml of
# "a.page" and the .page.xml of "a" do.
_AMBIGUOUS = tuple(
    long.suffix.removesuffix(short.suffix)
    for long in FORMATS.values()
    for short in FORMATS.values()
    if long is not short and long.suffix.endswith(short.suffix)
)
# Pages of a document that are kept in memory, too; one of fifty lines takes about a megabyte.
MAX_HELD_PAGES = 50
# Pages that are prefetched.
PAGES_AHEAD = 4
# Larger results are uploaded in parts of this size; max_concurrency bounds the parts in memory.
_TRANSFER = TransferConfig(multipart_threshold=8 * 2**20, multipart_chunksize=8 * 2**20, max_concurrency=2)


class UnusableKey(OcrError):
    """The object's key has characters that XML cannot contain, in which S3 lists and deletes objects."""

    status = 422
    type: ClassVar[str] = "urn:paragraph-ocr:unusable-key"
    title: ClassVar[str] = "The key cannot be used"


class ContentChanged(Exception):
    """The content of the object has changed; S3 has sent a message for the new content."""


@cache
def client() -> Any:
    """Return the S3 client; its presigned URLs name the region, since new buckets redirect other URLs."""
    return boto3.client(
        "s3",
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, max_pool_connections=CONNECTIONS),
    )


def check_key(key: str) -> None:
    """Raise UnusableKey if a key has characters that S3's lists of objects cannot contain."""
    if _UNUSABLE.search(key):
        raise UnusableKey("The key holds control characters; copy the object to a key without.")


def exists(bucket: str, key: str) -> bool:
    """Return whether there is an object that may be loaded; raises ClientError, BotoCoreError."""
    try:
        client().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # Without the right to list, S3 answers 403 for an object that does not exist.
        if _code(error) in ("403", "404"):
            return False
        raise
    return True


def load_object(bucket: str, key: str, max_bytes: int, etag: str | None = None) -> tuple[bytes, str]:
    """Load an object; return its bytes and the ETag of its content.

    Parameters
    ----------
    bucket, key : str
    max_bytes : int
        Limit of the size; a larger object is not loaded.
    etag : str or None
        The expected ETag, without quotation marks; None allows any content.

    Raises
    ------
    UnusableKey
        The key holds control characters.
    ImageGone
        There is no such object.
    TooLarge
        It has more than `max_bytes`.
    ContentChanged
        Its content has another ETag.
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
    check_key(key)
    try:
        answer = client().get_object(Bucket=bucket, Key=key, **({"IfMatch": etag} if etag else {}))
    except ClientError as error:
        if _code(error) == "NoSuchKey":
            raise ImageGone("The image was deleted before it was read; send it again.") from error
        if _code(error) == "PreconditionFailed":
            raise ContentChanged from error
        raise
    with answer["Body"] as body:
        if answer["ContentLength"] > max_bytes:
            raise TooLarge(f"The image has {answer['ContentLength']:,} bytes; the limit is {max_bytes:,}.")
        return body.read(), answer["ETag"].strip('"')


def write(
    bucket: str,
    key: str,
    etag: str,
    document: Document,
    data: bytes | Source,
    forms: Collection[str] = tuple(FORMATS),
    max_seconds: float = math.inf,
    max_memory: int | None = None,
) -> None:
    """Write the result of an object in every format, or in some.

    Parameters
    ----------
    bucket : str
        The results bucket.
    key, etag : str
        Of the object that was read.
    document : Document
    data : bytes or Source
        The object's content, which the PDF shows.
    forms : collection of str
        Keys of `FORMATS`, including json.
    max_seconds : float
        Time limit.
    max_memory : int, optional
        Bytes that decoding the object again may take; see `formats.render`.

    Raises
    ------
    OcrError
        One of the formats cannot be rendered.
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
    deadline = perf_counter() + max_seconds
    if len(document.pages) > 1:
        for form in in_order(forms):
            write_form(bucket, key, etag, document, data, form, deadline - perf_counter(), max_memory)
    else:
        # Most documents have one page: their small results are written in parallel.
        rendered = {form: render(document, form, data, deadline, max_memory) for form in forms}

        def put(form: str) -> None:
            _put(bucket, result_key(key, form), etag, rendered[form], FORMATS[form].content_type)

        with ThreadPoolExecutor(len(FORMATS)) as pool:
            list(pool.map(put, [form for form in forms if form != "json"]))
        put("json")
    delete_failure(bucket, key)


def in_order(forms: Collection[str]) -> list[str]:
    """Return formats in the order in which they are written: JSON, which marks completion, comes last."""
    return sorted(forms, key=lambda form: form == "json")


def write_form(
    bucket: str,
    key: str,
    etag: str,
    document: Document,
    data: bytes | Source,
    form: str,
    max_seconds: float = math.inf,
    max_memory: int | None = None,
) -> None:
    """Write the result of an object in one format, streaming it; parameters and errors are those of `write`."""
    with _IteratorFile(stream(document, form, data, perf_counter() + max_seconds, max_memory)) as parts:
        client().upload_fileobj(
            parts,
            bucket,
            result_key(key, form),
            ExtraArgs={"ContentType": FORMATS[form].content_type, "Metadata": {"source-etag": etag}},
            Config=_TRANSFER,
        )


def delete_failure(bucket: str, key: str) -> None:
    """Delete the error of an earlier attempt to read an object; raises ClientError, BotoCoreError."""
    client().delete_object(Bucket=bucket, Key=failure_key(key))


class _IteratorFile(io.RawIOBase):
    """A readable file over an iterator of its parts; closing it closes the iterator."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts = parts
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed and isinstance(self.parts, Generator):
            self.parts.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target):
            while not self.rest:
                part = next(self.parts, None)
                if part is None:
                    return filled
                self.rest = memoryview(part)
            size = min(len(self.rest), len(target) - filled)
            target[filled : filled + size] = self.rest[:size]
            self.rest = self.rest[size:]
            filled += size
        return filled


def write_failure(bucket: str, key: str, etag: str, error: OcrError, request_id: str) -> None:
    """Write the error of an object and delete the results of an earlier reading.

    Parameters
    ----------
    bucket : str
        The results bucket.
    key, etag : str
        Of the object.
    error : OcrError
    request_id : str
        Id of the invocation, as in the log.

    Raises
    ------
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
    problem = json.dumps(error.problem(request_id)).encode()
    _put(bucket, failure_key(key), etag, problem, "application/problem+json")
    _delete(bucket, [result_key(key, form) for form in FORMATS])


def is_done(bucket: str, key: str, etag: str, form: str = "json") -> bool:
    """Return whether there is a result of an object's present content; raises ClientError, BotoCoreError.

    JSON is written last, so that it marks the completion of all formats.
    """
    try:
        answer = client().head_object(Bucket=bucket, Key=result_key(key, form))
    except ClientError as error:
        if _code(error) == "404":
            return False
        raise
    return bool(answer["Metadata"].get("source-etag") == etag)


def result_key(key: str, form: str) -> str:
    """Return the key of an object's result in a format of `FORMATS`."""
    return f"done/{_short(key)}{FORMATS[form].suffix}"


def failure_key(key: str) -> str:
    """Return the key of an object's error."""
    return f"failed/{_short(key)}.json"


class StoredPages(Sequence[Page]):
    """The pages of a document that is being read, stored in the results bucket one by one.

    Iterating loads each page that is not among the few in memory, so that memory does not grow with the document. Pages
    that an earlier invocation has stored are there from the start.

    Parameters
    ----------
    bucket : str
        The results bucket.
    key, etag : str
        Of the object that is read.
    total : int
        Pages of the document; a single page is held in memory and not stored.
    check : callable, optional
        Called before each page of an iteration; may raise.

    Attributes
    ----------
    lines : list of int
        Number of lines of each page.

    Raises
    ------
    ClientError, BotoCoreError
        S3 refuses or fails, here and in all methods.
    """

    def __init__(self, bucket: str, key: str, etag: str, total: int, check: Callable[[], None] = lambda: None) -> None:
        self._bucket = bucket
        self._etag = etag
        self._prefix = _pages(key, etag)
        self._total = total
        self._check = check
        self._held: dict[int, Page] = {}
        self.lines = self._find() if total > 1 else []

    def _find(self) -> list[int]:
        """Return the number of lines of each stored page, up to the first page that is missing."""
        kept = set(_keys(self._bucket, self._prefix))
        there = 0
        while self._name(there) in kept:
            there += 1

        def lines(index: int) -> int:
            return int(client().head_object(Bucket=self._bucket, Key=self._name(index))["Metadata"]["lines"])

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(lines, range(there)))

    def add(self, page: Page) -> None:
        """Store the next page, without rounding."""
        index = len(self.lines)
        if self._total > 1:
            data = json.dumps(page, default=vars).encode()
            _put(self._bucket, self._name(index), self._etag, data, "application/json", lines=str(len(page.lines)))
        if len(self._held) < MAX_HELD_PAGES:
            self._held[index] = page
        self.lines.append(len(page.lines))

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> Page: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Page]: ...
    def __getitem__(self, index: int | slice) -> Page | Sequence[Page]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        index = range(len(self))[index]
        return self._held.get(index) or self._load(index)

    def __iter__(self) -> Iterator[Page]:
        ahead: deque[Page | Future[Page]] = deque()
        with ThreadPoolExecutor(PAGES_AHEAD) as pool:
            for index in range(len(self)):
                ahead.append(self._held.get(index) or pool.submit(self._load, index))
                if len(ahead) > PAGES_AHEAD:
                    yield self._next(ahead)
            while ahead:
                yield self._next(ahead)

    def _next(self, ahead: deque[Page | Future[Page]]) -> Page:
        self._check()
        page = ahead.popleft()
        return page.result() if isinstance(page, Future) else page

    def _load(self, index: int) -> Page:
        return _page(json.load(client().get_object(Bucket=self._bucket, Key=self._name(index))["Body"]))

    def _name(self, index: int) -> str:
        return f"{self._prefix}{index + 1:06}.json"


def delete_pages(bucket: str, key: str, etag: str) -> None:
    """Delete what `StoredPages` stored; raises ClientError, BotoCoreError."""
    _delete(bucket, list(_keys(bucket, _pages(key, etag))))


def _pages(key: str, etag: str) -> str:
    return f"pages/{_short(key)}/{etag}/"


def _short(key: str) -> str:
    """Return a key itself, or a shortened and cleaned form with a hash if it is too long, unusable or ambiguous."""
    usable = _UNUSABLE.sub("_", key)
    if usable == key and len(key.encode()) <= MAX_KEY_BYTES and not key.endswith(_AMBIGUOUS):
        return key
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
    return f"{usable.encode()[: MAX_KEY_BYTES - len(digest) - 1].decode(errors='ignore')}-{digest}"


def _page(kept: dict[str, Any]) -> Page:
    lines = tuple(
        Line(
            line["text"],
            line["confidence"],
            _points(line["polygon"]),
            _points(line["baseline"]),
            tuple(Word(word["text"], word["confidence"], _points(word["polygon"])) for word in line["words"]),
            line.get("source", ""),
        )
        for line in kept["lines"]
    )
    blocks = tuple(
        Block(
            block["kind"],
            tuple(block["lines"]),
            block["level"],
            tuple(map(tuple, block["items"])),
            tuple(tuple(Cell(tuple(cell["lines"])) for cell in row) for row in block["rows"]),
            tuple(block.get("hard_breaks", ())),
        )
        # Workers of earlier versions kept none.
        for block in kept.get("blocks", ())
    )
    style = {**kept.get("style", {})}
    style["hyphens"] = tuple(style.get("hyphens", ()))
    return Page(**{**kept, "lines": lines, "blocks": blocks, "style": TextStyle(**style)})


def _points(points: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in points)


def _put(bucket: str, name: str, etag: str, data: bytes, content_type: str, **more: str) -> None:
    metadata = {"source-etag": etag, **more}
    client().put_object(Bucket=bucket, Key=name, Body=data, ContentType=content_type, Metadata=metadata)


def _keys(bucket: str, prefix: str) -> Iterator[str]:
    for listed in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in listed.get("Contents", ()):
            yield entry["Key"]


def _delete(bucket: str, names: list[str]) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html: a thousand at once.
    for start in range(0, len(names), 1000):
        objects = [{"Key": name} for name in names[start : start + 1000]]
        answer = client().delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        for failure in answer.get("Errors", ()):
            raise ClientError({**answer, "Error": failure}, "DeleteObjects")


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
