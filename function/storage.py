"""An object of a bucket goes in as bytes; what was read of it, or why it was not, goes out to the results bucket.

For the object KEY the results bucket holds:

    done/KEY.json, .txt, .hocr, .xml, .pdf    what was read, in every form; .json is written last, so it stands for all
    failed/KEY.json                           why it could not be read: a problem as RFC 9457 has it
    pages/KEY/ETAG/000001.json                the pages read so far of a document that has several

There is done/ or failed/ for a KEY, in the end never both. The names depend on nothing but the KEY and, while it is
being read, the ETag of its content: whoever writes again replaces, and adds nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from time import perf_counter
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from paragraph_ocr.document import Document, Line, Page, Word
from paragraph_ocr.errors import ImageGone, OcrError, TooLarge
from paragraph_ocr.formats import FORMATS, render
from paragraph_ocr.imaging import Source

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html; what is added to a KEY stays below the rest.
MAX_KEY_BYTES = 1024 - 80
CONNECTIONS = 10


class Replaced(Exception):
    """The object has other content by now; whoever put that announced it, too."""


@cache
def client() -> Any:
    """The S3 client; links that it signs name the bucket's region, or new buckets would answer with a redirect."""
    return boto3.client(
        "s3",
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, max_pool_connections=CONNECTIONS),
    )


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
    ImageGone
        There is no such object.
    TooLarge
        It has more than `max_bytes`.
    Replaced
        Its content is not what is meant.
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
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

    Raises
    ------
    OcrError
        One of the forms cannot be made of it.
    ClientError, BotoCoreError
        S3 refuses or fails.
    """
    deadline = perf_counter() + max_seconds
    rendered = {form: render(document, form, data, deadline) for form in forms}

    def put(form: str) -> None:
        _put(bucket, result_key(key, form), etag, rendered[form], FORMATS[form].content_type)

    with ThreadPoolExecutor(len(FORMATS)) as pool:
        list(pool.map(put, [form for form in forms if form != "json"]))
    put("json")
    client().delete_object(Bucket=bucket, Key=failure_key(key))


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


def put_page(bucket: str, key: str, etag: str, page: Page) -> None:
    """Keep a page of a document that is being read, exactly; raises ClientError, BotoCoreError."""
    _put(bucket, f"{_pages(key, etag)}{page.page:06}.json", etag, json.dumps(asdict(page)).encode(), "application/json")


def get_pages(bucket: str, key: str, etag: str) -> list[Page]:
    """The pages that `put_page` kept, up to the first that is missing; raises ClientError, BotoCoreError."""
    kept = sorted(_keys(bucket, _pages(key, etag)))
    wanted = [f"{_pages(key, etag)}{number:06}.json" for number in range(1, len(kept) + 1)]
    there = [name for name, found in zip(wanted, kept, strict=True) if name == found]

    def get(name: str) -> Page:
        return _page(json.load(client().get_object(Bucket=bucket, Key=name)["Body"]))

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(get, there))


def delete_pages(bucket: str, key: str, etag: str) -> None:
    """Delete what `put_page` kept; raises ClientError, BotoCoreError."""
    _delete(bucket, list(_keys(bucket, _pages(key, etag))))


def _short(key: str) -> str:
    """A KEY that leaves room for more, as itself wherever it does."""
    if len(key.encode()) <= MAX_KEY_BYTES:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key.encode()[: MAX_KEY_BYTES - len(digest) - 1].decode(errors='ignore')}-{digest}"


def _pages(key: str, etag: str) -> str:
    return f"pages/{_short(key)}/{etag}/"


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
    return Page(**{**kept, "lines": lines})


def _points(points: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in points)


def _put(bucket: str, name: str, etag: str, data: bytes, content_type: str) -> None:
    client().put_object(Bucket=bucket, Key=name, Body=data, ContentType=content_type, Metadata={"source-etag": etag})


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
