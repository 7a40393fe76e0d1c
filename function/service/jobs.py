"""Documents read in the background: a request makes one and asks for its state, a worker leases it and ends it.

The table has an item for each object of the inbox bucket, under the object's key: a job's is jobs/ID, all others were
dropped there. It says who may see the item, its state, and how far it is. A worker reads only what it has leased, and
every write of a worker asks that the lease is still its own: of two at once, or one that was thought dead, one counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import uuid
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from paragraph_ocr.errors import JobNotFound, MalformedRequest, OcrError
from paragraph_ocr.formats import FORMATS
from service import storage
from service.fetch import check
from service.intake import JobRequest

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

TABLE = os.environ.get("TABLE", "")
INBOX = os.environ.get("INBOX", "")
RESULTS = os.environ.get("RESULTS", "")
QUEUE_URL = os.environ.get("QUEUE_URL", "")
REQUESTS = os.environ.get("REQUESTS", "")
RETENTION_SECONDS = 86400 * int(os.environ.get("RETENTION_DAYS", 7))
MAX_UPLOAD_BYTES = int(os.environ.get("MAX_UPLOAD_BYTES", 64 * 2**20))

PREFIX = "jobs/"
LINK_SECONDS = 3600
# A request with the same idempotency key gets the same answer for as long as the link in it is good; after that, the
# same job with a new link.
IDEMPOTENCY_KEY = re.compile("[!-~]{1,255}")
# An upload that began while its link was good may end later.
UPLOAD_SECONDS = LINK_SECONDS + 900
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


class KeyInUse(OcrError):
    """A request with the same idempotency key is being answered."""

    status = 409
    type: ClassVar[str] = "urn:paragraph-ocr:idempotency-key-in-use"
    title: ClassVar[str] = "The same request is being answered"


class KeyReused(OcrError):
    """The idempotency key was another request's."""

    status = 422
    type: ClassVar[str] = "urn:paragraph-ocr:idempotency-key-reused"
    title: ClassVar[str] = "The Idempotency-Key was another request's"


class NotUploaded(OcrError):
    """No image came within the time for its upload."""

    status = 404
    type: ClassVar[str] = "urn:paragraph-ocr:not-uploaded"
    title: ClassVar[str] = "No image was uploaded"


class NotTaken(OcrError):
    """A service failed while a job was made, whose caller got an error in place of the job."""

    status = 500
    type: ClassVar[str] = "urn:paragraph-ocr:not-taken"
    title: ClassVar[str] = "The job could not be taken"


class Lost(Exception):
    """The lease was another's by the time of a write, which did not take place."""


@dataclass(frozen=True)
class Seen:
    """What the table says of an object's content before it is loaded.

    Attributes
    ----------
    wanted : bool
        Whether it is to be read.
    item : dict or None
        Where it is not wanted since it has been read, or has failed.
    begun : bool
        Whether it is the content of a job's that counts, of which reading has begun.
    """

    wanted: bool
    item: Item | None = None
    begun: bool = False


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


def create_once(
    event: Mapping[str, Any], request: JobRequest, idempotency_key: str, context: LambdaContext
) -> dict[str, Any]:
    """Make a job of a request, or answer as the caller's request with the same idempotency key was answered.

    Parameters
    ----------
    event, request
        As `create` takes them.
    idempotency_key : str
        What the caller's header says (draft-ietf-httpapi-idempotency-key-header-07).
    context : LambdaContext
        Of the invocation.

    Raises
    ------
    MalformedRequest
        The key is not 1 to 255 plain characters.
    KeyInUse
        Another request with the key is being answered.
    KeyReused
        The key was that of a request for something else.
    OcrError, ClientError, BotoCoreError
        As `create` does.
    """
    from aws_lambda_powertools.utilities.idempotency import (
        DynamoDBPersistenceLayer,
        IdempotencyConfig,
        idempotent_function,
    )
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyAlreadyInProgressError,
        IdempotencyInconsistentStateError,
        IdempotencyValidationError,
    )

    if not IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise MalformedRequest("Idempotency-Key must be 1 to 255 plain characters.")
    # Two callers may choose the same key.
    scoped = hashlib.sha256(json.dumps([owner_of(event), idempotency_key]).encode()).hexdigest()

    def make(data: dict[str, str]) -> dict[str, Any]:
        return create(event, request, data["key"][:32], data["request"])

    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="request",
        expires_after_seconds=LINK_SECONDS,
        hash_function="sha256",
        lambda_context=context,
    )
    store = DynamoDBPersistenceLayer(table_name=REQUESTS)
    once = idempotent_function(
        make, data_keyword_argument="data", persistence_store=store, config=config, key_prefix="jobs"
    )
    try:
        answer: dict[str, Any] = once(data={"key": scoped, "request": _digest(request)})
    except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
        raise KeyInUse("A request with this Idempotency-Key is being answered; send it again in a moment.") from error
    except IdempotencyValidationError as error:
        raise _reused() from error
    return answer


def _digest(request: JobRequest) -> str:
    """What tells one request from another; the boundary of a form does not."""
    fields = json.dumps([request.image is None, request.image_url, request.image_name, request.webhook])
    return hashlib.sha256(fields.encode() + (request.image or b"")).hexdigest()


def _reused() -> KeyReused:
    return KeyReused("Send a new Idempotency-Key with a new request, or the same request as before.")


def create(event: Mapping[str, Any], request: JobRequest, identifier: str = "", digest: str = "") -> dict[str, Any]:
    """Make a job of a request.

    The item is written before the worker can come to know of the job. Where the function fails or ends in between, the
    caller gets no answer; with the same identifier the same job is then made anew, unless a worker has it.

    Parameters
    ----------
    event : mapping
        The request as API Gateway sends it.
    request : JobRequest
        What it holds.
    identifier, digest : str
        Of the job, and of the request; without them, every request makes a job of its own.

    Returns
    -------
    dict
        What the caller is answered: with ``upload`` where the image is still to come.

    Raises
    ------
    UrlRefused, MalformedRequest
        A URL or the secret is not one that can be used.
    KeyReused
        The job of that identifier is another request's.
    ClientError, BotoCoreError
        A service refuses or fails; the job has failed, then.
    """
    for field, url in (("image_url", request.image_url), ("webhook_url", (request.webhook or ("",))[0])):
        if url:
            check(url, field)
    now = int(time.time())
    identifier = identifier or uuid.uuid4().hex
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
        "request": digest,
    }
    if request.image_url:
        item["image_url"] = request.image_url
    elif request.image is None:
        item["upload_until"] = now + UPLOAD_SECONDS
    webhook = {}
    if request.webhook:
        secret_of(request.webhook[1])
        webhook = {"webhook_url": request.webhook[0], "webhook_secret": request.webhook[1], "webhook": "waiting"}
    if _put_new(item | webhook, now):
        try:
            _announce(item["key"], request)
        except (ClientError, BotoCoreError):
            # Nobody knows its id, and nobody waits for it.
            problem = NotTaken("A service failed; send the request again.").problem(
                event["requestContext"]["requestId"]
            )
            with suppress(ClientError, BotoCoreError):
                _put_new(item | {"state": "failed", "error": problem}, now)
            raise
    elif (found := find(item["key"])) and found.get("request") == digest:
        item["expires"] = found["expires"]
    else:
        raise _reused()
    context = event["requestContext"]
    answer = {
        "id": identifier,
        "state": "waiting",
        "watch": f"https://{context['domainName']}{context['path'].rstrip('/')}/{identifier}",
        "expires": _date(item["expires"]),
    }
    if "upload_until" in item:
        answer["upload"] = storage.client().generate_presigned_post(
            INBOX, item["key"], Conditions=[["content-length-range", 1, MAX_UPLOAD_BYTES]], ExpiresIn=LINK_SECONDS
        )
    return answer


def _put_new(item: Item, now: int) -> bool:
    """Write a job's item, unless there is one that a worker has, or another request's; whether it was written."""
    try:
        table().put_item(
            Item=item,
            ConditionExpression=(
                "attribute_not_exists(#key) OR expires <= :now OR (#lease = :none AND #request = :request)"
            ),
            ExpressionAttributeNames={**_NAMES, "#lease": "lease", "#request": "request"},
            ExpressionAttributeValues={":now": now, ":none": 0, ":request": item["request"]},
        )
    except ClientError as error:
        if _is_condition(error):
            return False
        raise
    return True


def _announce(key: str, request: JobRequest) -> None:
    """Let the worker know of a job, unless its image is still to come."""
    if request.image is not None:
        storage.client().put_object(Bucket=INBOX, Key=key, Body=request.image)
    elif request.image_url:
        send({"fetch": key})


def watch(event: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    """What the caller may know of a job; raises JobNotFound, ClientError, BotoCoreError."""
    item = find(PREFIX + identifier) if re.fullmatch("[0-9a-f]{32}", identifier) else None
    if item is None or item.get("owner") != owner_of(event) or item["expires"] <= time.time():
        raise JobNotFound("No job of this caller has this id; jobs end after some days, with their results.")
    late = item["state"] == "waiting" and item.get("upload_until", time.time()) < time.time()
    if late and not storage.exists(INBOX, item["key"]):
        problem = NotUploaded("No image came within the time for its upload; make a new job.")
        item |= {"state": "failed", "error": problem.problem(event["requestContext"]["requestId"])}
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


def look(key: str, etag: str) -> Seen:
    """Whether an object's content is to be read, before any of it is loaded.

    A job is read once, and of what is uploaded for it the content counts of which reading began first; what is dropped
    is read again when it has changed, or its results are over.

    Raises
    ------
    Busy
        Another worker has it.
    ClientError, BotoCoreError
        The table refuses or fails.
    """
    return _seen(find(key), etag, int(time.time()))


def _seen(item: Item | None, etag: str, now: int) -> Seen:
    if item is None:
        return Seen(wanted=True)
    job, same = "owner" in item, item.get("etag") == etag
    if item["state"] in FINAL:
        done = job or (same and item["expires"] > now)
        return Seen(wanted=not done, item=item if done else None)
    if job and item.get("etag") and not same:
        return Seen(wanted=False)
    if item["leased_until"] > now:
        raise Busy(int(item["leased_until"]) - now)
    return Seen(wanted=True, begun=job and same)


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
    seen = _seen(item, etag, now)
    if not seen.wanted:
        return seen.item
    if item and item["state"] in FINAL and gone:
        return None
    # What has expired is deleted late, and its results may be gone.
    over = item is not None and "owner" not in item and item["expires"] <= now
    if item is None:
        item = {"key": key, "image": key, "lease": 0, "leased_until": 0}
    if item.get("etag") != etag or over:
        # Nothing counts of what was read of other content, or too long ago.
        item = {name: value for name, value in item.items() if name not in _ENDS}
        # Attempts at a job are counted whatever was uploaded for it.
        attempts = item.get("attempts", 0) if "owner" in item else 0
        item |= {"etag": etag, "done": NOTHING, "total": NOTHING, "attempts": attempts}
        if "owner" not in item:
            item["expires"] = now + RETENTION_SECONDS
    before = {":lease": item["lease"], ":until": item["leased_until"]}
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
            ExpressionAttributeValues=before,
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


def note(item: Item, remove: Sequence[str] = (), **values: Any) -> Item:
    """Write what has become of the notices of an object's end, and return its item; raises as `release`."""
    return _update(item["key"], item["lease"], values, remove)


_NAMES = {"#key": "key"}


def _update(key: str, number: int, values: Mapping[str, Any], remove: Sequence[str] = ()) -> Item:
    """Set, and remove, attributes of an item on which the lease is the last, and return the item."""
    removed = f" REMOVE {', '.join(remove)}" if remove else ""
    try:
        answer = table().update_item(
            Key={"key": key},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values) + removed,
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
