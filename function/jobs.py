"""Documents read in the background: a request makes one and asks for its state, a worker leases it and ends it.

The table has an item for each object of the inbox bucket, under the object's key: a job's is jobs/ID, all others were
dropped there. It says who may see the item, its state, and how far it is. A worker reads only what it has leased, and
every write of a worker asks that the lease is still its own: of two at once, or one that was thought dead, one counts.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

import storage
from fetch import check
from intake import JobRequest
from paragraph_ocr.errors import JobNotFound, MalformedRequest
from paragraph_ocr.formats import FORMATS

TABLE = os.environ.get("TABLE", "")
INBOX = os.environ.get("INBOX", "")
RESULTS = os.environ.get("RESULTS", "")
QUEUE_URL = os.environ.get("QUEUE_URL", "")
RETENTION_SECONDS = 86400 * int(os.environ.get("RETENTION_DAYS", 7))
MAX_UPLOAD_BYTES = int(os.environ.get("MAX_UPLOAD_BYTES", 64 * 2**20))

PREFIX = "jobs/"
LINK_SECONDS = 3600
# Lambda ends a function up to a second late.
LEASE_MARGIN_SECONDS = 10
FINAL = ("done", "failed")
NOTHING = {"pages": 0, "lines": 0}
# What an item says of one content of its object, and not of the next.
_ENDS = ("error", "published", "calls", "written")

Item = dict[str, Any]


class Busy(Exception):
    """Another worker is reading the object, for so many seconds at most."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Lost(Exception):
    """The lease was another's by the time of a write, which did not take place."""


@dataclass(frozen=True)
class Lease:
    """The right to read an object, for a time.

    Attributes
    ----------
    key, etag : str
        Of the object.
    number : int
        Higher than that of any earlier lease of it.
    attempts : int
        How many leases in a row brought nothing, this one among them.
    image : str
        What results call it.
    written : tuple of str
        Forms of a long document's results that are there already.
    """

    key: str
    etag: str
    number: int
    attempts: int
    image: str
    written: tuple[str, ...] = ()


@cache
def table() -> Any:
    """The table's client."""
    return boto3.resource("dynamodb").Table(TABLE)


@cache
def _queue() -> Any:
    return boto3.client("sqs")


def send(message: Mapping[str, Any], seconds: int = 0) -> None:
    """Put a message into the queue, to be seen after some seconds; raises ClientError, BotoCoreError."""
    _queue().send_message(QueueUrl=QUEUE_URL, MessageBody=json.dumps(message), DelaySeconds=seconds)


def owner_of(event: Mapping[str, Any]) -> str:
    """Whose request it is: the API key's id, and the principal that signed it; sessions of a role are one."""
    identity = event["requestContext"]["identity"]
    return f"{identity.get('apiKeyId') or ''}/{(identity.get('caller') or '').partition(':')[0]}"


def create(event: Mapping[str, Any], request: JobRequest) -> dict[str, Any]:
    """Make a job of a request.

    Parameters
    ----------
    event : mapping
        The request as API Gateway sends it.
    request : JobRequest
        What it holds.

    Returns
    -------
    dict
        What the caller is answered: with ``upload`` where the image is still to come.

    Raises
    ------
    UrlRefused, MalformedRequest
        A URL or the secret is not one that can be used.
    ClientError, BotoCoreError
        A service refuses or fails.
    """
    for field, url in (("image_url", request.image_url), ("webhook_url", (request.webhook or ("",))[0])):
        if url:
            check(url, field)
    now = int(time.time())
    identifier = uuid.uuid4().hex
    item: Item = {
        "key": PREFIX + identifier,
        "owner": owner_of(event),
        "image": request.image_name,
        "state": "waiting",
        "done": NOTHING,
        "total": NOTHING,
        "lease": 0,
        "leased_until": 0,
        "attempts": 0,
        "expires": now + RETENTION_SECONDS,
    }
    if request.image_url:
        item["image_url"] = request.image_url
    if request.webhook:
        secret_of(request.webhook[1])
        item |= {"webhook_url": request.webhook[0], "webhook_secret": request.webhook[1], "webhook": "waiting"}
    table().put_item(Item=item, ConditionExpression="attribute_not_exists(#key)", ExpressionAttributeNames=_NAMES)
    context = event["requestContext"]
    answer = {
        "id": identifier,
        "state": "waiting",
        "watch": f"https://{context['domainName']}{context['path'].rstrip('/')}/{identifier}",
        "expires": _date(item["expires"]),
    }
    if request.image is not None:
        storage.client().put_object(Bucket=INBOX, Key=item["key"], Body=request.image)
    elif request.image_url:
        send({"fetch": item["key"]})
    else:
        answer["upload"] = storage.client().generate_presigned_post(
            INBOX, item["key"], Conditions=[["content-length-range", 1, MAX_UPLOAD_BYTES]], ExpiresIn=LINK_SECONDS
        )
    return answer


def watch(event: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    """What the caller may know of a job; raises JobNotFound, ClientError, BotoCoreError."""
    item = find(PREFIX + identifier) if re.fullmatch("[0-9a-f]{32}", identifier) else None
    if item is None or item.get("owner") != owner_of(event) or item["expires"] <= time.time():
        raise JobNotFound("No job of this caller has this id; jobs end after some days, with their results.")
    answer = {"id": identifier, "image": item["image"], **state_of(item), "expires": _date(item["expires"])}
    if item["state"] == "done":
        answer["results"] = {form: _link(item["key"], form) for form in FORMATS}
    if "webhook" in item:
        answer["webhook"] = item["webhook"]
    return answer


def state_of(item: Item) -> dict[str, Any]:
    """What is told of an object's state: pages and lines done of those known, and the error where it failed."""
    counts = {field: {unit: int(count) for unit, count in item[field].items()} for field in ("done", "total")}
    error = {"error": {**item["error"], "status": int(item["error"]["status"])}} if "error" in item else {}
    return {"state": item["state"], **counts, **error}


def secret_of(text: str) -> bytes:
    """The key in a webhook's secret, as Standard Webhooks writes it; raises MalformedRequest."""
    start, _, encoded = text.partition("_")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if start != "whsec" or not 24 <= len(key) <= 64:
        raise MalformedRequest("webhook_secret must be whsec_ and 24 to 64 bytes in base64.")
    return key


def find(key: str) -> Item | None:
    """An object's item; raises ClientError, BotoCoreError."""
    found: Item | None = table().get_item(Key={"key": key}, ConsistentRead=True).get("Item")
    return found


def lease(key: str, etag: str, seconds: float, gone: bool = False) -> Lease | Item | None:
    """Lease an object for reading.

    Parameters
    ----------
    key, etag : str
        Of the object.
    seconds : float
        How long this worker has.
    gone : bool
        Whether the object is there no more.

    Returns
    -------
    Lease
        Or the item of an object that has been read, or has failed; or None where it is of no interest any more.

    Raises
    ------
    Busy
        Another worker has it.
    ClientError, BotoCoreError
        The table refuses or fails.
    """
    now = int(time.time())
    item = find(key)
    # What has expired is deleted late, and its results may be gone.
    over = item is not None and "owner" not in item and item["expires"] <= now
    if item and item["state"] in FINAL:
        # A job is read once; what is dropped is read again when it has changed, or its results are over.
        if "owner" in item or (item["etag"] == etag and not over):
            return item
        if gone:
            return None
    if item and item["leased_until"] > now:
        raise Busy(int(item["leased_until"]) - now)
    if item is None:
        item = {"key": key, "image": key, "lease": 0, "leased_until": 0}
    if item.get("etag") != etag or over:
        # Nothing counts of what was read of other content, or too long ago.
        item = {name: value for name, value in item.items() if name not in _ENDS}
        item |= {"etag": etag, "done": NOTHING, "total": NOTHING, "attempts": 0}
        if "owner" not in item:
            item["expires"] = now + RETENTION_SECONDS
    seen = {":lease": item["lease"], ":until": item["leased_until"]}
    item |= {
        "state": "running",
        "lease": int(item["lease"]) + 1,
        "leased_until": now + int(seconds) + LEASE_MARGIN_SECONDS,
        "attempts": int(item["attempts"]) + 1,
    }
    try:
        table().put_item(
            Item=item,
            ConditionExpression="attribute_not_exists(#key) OR (lease = :lease AND leased_until = :until)",
            ExpressionAttributeNames=_NAMES,
            ExpressionAttributeValues=seen,
        )
    except ClientError as error:
        if _is_condition(error):
            raise Busy(LEASE_MARGIN_SECONDS) from error
        raise
    return Lease(key, etag, item["lease"], item["attempts"], item["image"], tuple(item.get("written", ())))


def progress(held: Lease, done: Mapping[str, int], total: Mapping[str, int]) -> Item:
    """Write how far reading is, and return the item; raises as `release`."""
    return _update(held.key, held.number, {"done": done, "total": total})


def forgive(held: Lease) -> None:
    """Count none of the attempts so far, since this one has brought something; raises as `release`."""
    _update(held.key, held.number, {"attempts": 0})


def note_written(held: Lease, forms: Sequence[str]) -> None:
    """Write which forms of a long document's results are there; raises as `release`."""
    _update(held.key, held.number, {"written": list(forms)})


def release(held: Lease, attempts: int) -> None:
    """Let another worker go on; raises Lost where one does already, ClientError, BotoCoreError."""
    _update(held.key, held.number, {"leased_until": 0, "attempts": attempts})


def finish(held: Lease, counts: Mapping[str, int], error: Mapping[str, Any] | None = None) -> Item:
    """End the reading of an object, with what was read or with a problem, and return its item; raises as `release`."""
    end = {"error": error} if error else {"done": counts, "total": counts}
    return _update(held.key, held.number, {**end, "state": "failed" if error else "done", "leased_until": 0})


def note(item: Item, **values: Any) -> Item:
    """Write what has become of the notices of an object's end, and return its item; raises as `release`."""
    return _update(item["key"], item["lease"], values)


_NAMES = {"#key": "key"}


def _update(key: str, number: int, values: Mapping[str, Any]) -> Item:
    """Set attributes of an item on which the lease is the last, and return the item."""
    try:
        answer = table().update_item(
            Key={"key": key},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ConditionExpression="#lease = :lease",
            ExpressionAttributeNames={"#lease": "lease", **{f"#{name}": name for name in values}},
            ExpressionAttributeValues={":lease": number, **{f":{name}": value for name, value in values.items()}},
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if _is_condition(error):
            raise Lost from error
        raise
    item: Item = answer["Attributes"]
    return item


def _is_condition(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")


def _link(key: str, form: str) -> str:
    name = {"Bucket": RESULTS, "Key": storage.result_key(key, form)}
    return str(storage.client().generate_presigned_url("get_object", name, LINK_SECONDS))


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
