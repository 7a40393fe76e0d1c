"""Load objects from S3, and write what was read of them, or why they could not be read, to the results bucket.

For the object KEY the results bucket holds:

    done/KEY.json, .txt, .hocr, .xml, ...     what was read, in every form; .json is written last, so it stands for all
    failed/KEY.json                           why it could not be read: a problem as RFC 9457 has it
    pages/KEY/ETAG/000001.json                the pages read so far of a document that has several

There is done/ or failed/ for a KEY, in the end never both. The names depend on nothing but the KEY and, while it is
being read, the ETag of its content: whoever writes again replaces, and adds nothing.
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

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html; what is added to a KEY stays below the rest.
MAX_KEY_BYTES = 1024 - 80
CONNECTIONS = 10
# Control characters, halves of surrogate pairs, and what is no character.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Pages of a document that stay in memory as well; one of fifty lines takes about a megabyte.
MAX_HELD_PAGES = 50
# Pages that are loaded before they are asked for.
PAGES_AHEAD = 4
# A result that is larger is uploaded in parts of this size; the parts in memory are bounded by the rest.
_TRANSFER = TransferConfig(multipart_threshold=8 * 2**20, multipart_chunksize=8 * 2**20, max_concurrency=2)


class UnusableKey(OcrError):
    """The object's key holds what XML, in which S3 lists and deletes objects, has no place for."""

    status = 422
    type: ClassVar[str] = "urn:paragraph-ocr:unusable-key"
    title: ClassVar[str] = "The key cannot be used"


class Replaced(Exception):
    """The object has other content by now; whoever put that announced it, too."""


@cache
def client() -> Any:
    """The S3 client; links that it signs name the bucket's region, or new buckets would answer with a redirect."""
    return boto3.client(
        "s3",
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, max_pool_connections=CONNECTIONS),
    )


def check(key: str) -> None:
    """Raise UnusableKey where S3's lists of objects have no place for a key."""
    if _UNUSABLE.search(key):
        raise UnusableKey("The key holds control characters; copy the object to a key without.")


def exists(bucket: str, key: str) -> bool:
    """Whether there is an object, for whoever may load it; raises ClientError, BotoCoreError."""
    try:
        client().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # To whom may not list, S3 says of an object that is not there that it is forbidden.
        if _code(error) in ("403", "404"):
            return False
        raise
    return True


def take(bucket: str, key: str, max_bytes: int, etag: str | None = None) -> tuple[bytes, str]:
    """The bytes of an object, and the ETag of its content.

    Parameters
    ----------
    bucket, key : str
    max_bytes : int
        The largest object; of a larger one nothing is loaded.
    etag : str or None
        Of the content that is meant, without quotation marks; None takes any.

    Raises
    ------
    UnusableKey
        The key holds control characters.
    ImageGone
        There is no such object.
    TooLarge
        It has more than `max_bytes`.
    Replaced
        Its content is not what is meant.
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
    check(key)
    try:
        answer = client().get_object(Bucket=bucket, Key=key, **({"IfMatch": etag} if etag else {}))
    except ClientError as error:
        if _code(error) == "NoSuchKey":
            raise ImageGone("The image was deleted before it was read; send it again.") from error
        if _code(error) == "PreconditionFailed":
            raise Replaced from error
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
    """Write what was read of an object, in every form or in those that are asked for.

    Parameters
    ----------
    bucket : str
        For results.
    key, etag : str
        Of the object that was read.
    document : Document
    data : bytes or Source
        The object's, which a PDF shows.
    forms : collection of str
        Keys of `FORMATS`, json among them.
    max_seconds : float
        For making them.
    max_memory : int, optional
        Bytes that decoding the object again may take, as `formats.render` has it.

    Raises
    ------
    OcrError
        One of the forms cannot be made of it.
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
    deadline = perf_counter() + max_seconds
    if len(document.pages) > 1:
        for form in in_order(forms):
            write_form(bucket, key, etag, document, data, form, deadline - perf_counter(), max_memory)
    else:
        # Small, and most are: their requests run at the same time.
        rendered = {form: render(document, form, data, deadline, max_memory) for form in forms}

        def put(form: str) -> None:
            _put(bucket, result_key(key, form), etag, rendered[form], FORMATS[form].content_type)

        with ThreadPoolExecutor(len(FORMATS)) as pool:
            list(pool.map(put, [form for form in forms if form != "json"]))
        put("json")
    delete_failure(bucket, key)


def in_order(forms: Collection[str]) -> list[str]:
    """The forms in the order in which they are written: JSON, which stands for all, comes last."""
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
    """Write what was read of an object in one form, as it is made; parameters and errors are those of `write`."""
    with _Parts(stream(document, form, data, perf_counter() + max_seconds, max_memory)) as parts:
        client().upload_fileobj(
            parts,
            bucket,
            result_key(key, form),
            ExtraArgs={"ContentType": FORMATS[form].content_type, "Metadata": {"source-etag": etag}},
            Config=_TRANSFER,
        )


def delete_failure(bucket: str, key: str) -> None:
    """Delete why an object could not be read before, now that it was; raises ClientError, BotoCoreError."""
    client().delete_object(Bucket=bucket, Key=failure_key(key))


class _Parts(io.RawIOBase):
    """Parts of a file as a file to be read once; closing it ends the making of them."""

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
    """Write why an object could not be read, in place of what was read of it before.

    Parameters
    ----------
    bucket : str
        For results.
    key, etag : str
        Of the object.
    error : OcrError
    request_id : str
        Under which the log has it.

    Raises
    ------
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
    problem = json.dumps(error.problem(request_id)).encode()
    _put(bucket, failure_key(key), etag, problem, "application/problem+json")
    _delete(bucket, [result_key(key, form) for form in FORMATS])


def is_done(bucket: str, key: str, etag: str, form: str = "json") -> bool:
    """Whether what was read of an object's present content is there already; raises ClientError, BotoCoreError.

    JSON is written last, and so stands for all the forms that were asked for.
    """
    try:
        answer = client().head_object(Bucket=bucket, Key=result_key(key, form))
    except ClientError as error:
        if _code(error) == "404":
            return False
        raise
    return bool(answer["Metadata"].get("source-etag") == etag)


def result_key(key: str, form: str) -> str:
    """Where the results bucket holds what was read of an object, in a form of `FORMATS`."""
    return f"done/{_short(key)}{FORMATS[form].suffix}"


def failure_key(key: str) -> str:
    """Where the results bucket holds why an object could not be read."""
    return f"failed/{_short(key)}.json"


class KeptPages(Sequence[Page]):
    """The pages of a document that is being read: those of several pages are kept in the results bucket one by one.

    Going through them loads each from there unless it is one of the few that are in memory, so that a document takes no
    more memory the longer it is. Where an earlier worker has kept some, they are there from the start.

    Parameters
    ----------
    bucket : str
        For results.
    key, etag : str
        Of the object that is read.
    total : int
        Pages of the document; a single one is held, and not kept.
    check : callable, optional
        Is called before each page that is gone through, and may raise.

    Attributes
    ----------
    lines : list of int
        Of each page.

    Raises
    ------
    ClientError, BotoCoreError
        S3 refuses or fails; so it is with all methods.
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
        """The lines of each page that is kept, up to the first page that is missing."""
        kept = set(_keys(self._bucket, self._prefix))
        there = 0
        while self._name(there) in kept:
            there += 1

        def lines(index: int) -> int:
            return int(client().head_object(Bucket=self._bucket, Key=self._name(index))["Metadata"]["lines"])

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(lines, range(there)))

    def add(self, page: Page) -> None:
        """Keep the page that comes next, exactly."""
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
    """Delete what `KeptPages` kept; raises ClientError, BotoCoreError."""
    _delete(bucket, list(_keys(bucket, _pages(key, etag))))


def _pages(key: str, etag: str) -> str:
    return f"pages/{_short(key)}/{etag}/"


def _short(key: str) -> str:
    """A KEY that can be used and leaves room for more, as itself wherever it does."""
    usable = _UNUSABLE.sub("_", key)
    if usable == key and len(key.encode()) <= MAX_KEY_BYTES:
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
