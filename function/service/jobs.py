"""Create jobs, answer questions about them, and lease objects of the inbox bucket to one worker at a time.

The table has an item for each object of the inbox bucket, under the object's key: ``jobs/ID`` for a job, any other key
for a file of the drop folder. The item holds the owner, the state and the progress. A worker leases an object before it
reads it, and every write of a worker is conditional on its lease being the latest one, so that a worker whose lease has
expired cannot overwrite the result of its successor.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from paragraph_ocr.errors import JobNotFound, MalformedRequest, OcrError
from paragraph_ocr.formats import FORMATS
from service import storage
from service.fetch import check_url
from service.intake import JobRequest
from service.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

PREFIX = "jobs/"
LINK_SECONDS = 3600
# A repeated request with the same idempotency key gets the same answer while the upload link in it is valid, and the
# same job with a new link afterwards.
IDEMPOTENCY_KEY = re.compile("[!-~]{1,255}")
# An upload that started before its link expired may end after that.
UPLOAD_SECONDS = LINK_SECONDS + 900
# Lambda may stop a function up to a second late.
LEASE_MARGIN_SECONDS = 10
FINAL_STATES = ("done", "failed")
NO_COUNTS = {"pages": 0, "lines": 0}
# Attributes of an item that apply to one content of its object only.
_ENDS = ("error", "published", "calls", "written")

Item = dict[str, Any]


class LeaseHeld(Exception):
    """Another worker holds the lease of the object.

    Attributes
    ----------
    seconds : int
        Until the lease expires.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class KeyInUse(OcrError):
    """A request with the same idempotency key is being answered."""

    status = 409
    type: ClassVar[str] = "urn:paragraph-ocr:idempotency-key-in-use"
    title: ClassVar[str] = "The same request is being answered"


class KeyReused(OcrError):
    """Another request has used the idempotency key."""

    status = 422
    type: ClassVar[str] = "urn:paragraph-ocr:idempotency-key-reused"
    title: ClassVar[str] = "The Idempotency-Key was another request's"


class NotUploaded(OcrError):
    """No image was uploaded before the link expired."""

    status = 404
    type: ClassVar[str] = "urn:paragraph-ocr:not-uploaded"
    title: ClassVar[str] = "No image was uploaded"


class JobNotCreated(OcrError):
    """A service failed while a job was created; the caller got an error and no job."""

    status = 500
    type: ClassVar[str] = "urn:paragraph-ocr:not-taken"
    title: ClassVar[str] = "The job could not be taken"


class LeaseLost(Exception):
    """Another worker has leased the object since; the write did not take place."""


@dataclass(frozen=True)
class ContentState:
    """State of one content of an object, from the table alone, before the object is loaded.

    Attributes
    ----------
    should_read : bool
        Whether the content is to be read.
    item : dict or None
        The object's item, if the content has been read or has failed.
    started : bool
        Whether a worker has started to read this content for a job. Other content of that job is ignored then.
    """

    should_read: bool
    item: Item | None = None
    started: bool = False


@dataclass(frozen=True)
class Lease:
    """The exclusive right to read an object, for a limited time.

    Attributes
    ----------
    key, etag : str
        Of the object.
    number : int
        Higher than that of any earlier lease of it.
    attempts : int
        Number of leases in a row without any progress, including this one.
    image : str
        Name of the image in the results.
    written : tuple of str
        Formats of a long document's results that have been written already.
    options : mapping of str to str
        Parameters of the job's request, of `intake.JOB_PARAMETERS`.
    """

    key: str
    etag: str
    number: int
    attempts: int
    image: str
    written: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@cache
def _table(name: str) -> Any:
    return boto3.resource("dynamodb").Table(name)


@cache
def _queue() -> Any:
    return boto3.client("sqs")


def owner_of(event: Mapping[str, Any]) -> str:
    """Return who sent a request: the id of the API key and the signing principal; sessions of a role count as one."""
    identity = event["requestContext"]["identity"]
    return f"{identity.get('apiKeyId') or ''}/{(identity.get('caller') or '').partition(':')[0]}"


def _digest(request: JobRequest) -> str:
    """Hash what a request asks for; two forms that differ only in their boundary have the same hash."""
    options = [sorted(request.options.items())] if request.options else []
    fields = json.dumps([request.image is None, request.image_url, request.image_name, request.webhook, *options])
    return hashlib.sha256(fields.encode() + (request.image or b"")).hexdigest()


def _reused() -> KeyReused:
    return KeyReused("Send a new Idempotency-Key with a new request, or the same request as before.")


def public_state(item: Item) -> dict[str, Any]:
    """Return the state of an object for callers and subscribers: the state, pages and lines, and the error if any."""
    counts = {field: {unit: int(count) for unit, count in item[field].items()} for field in ("done", "total")}
    error = {"error": {**item["error"], "status": int(item["error"]["status"])}} if "error" in item else {}
    return {"state": item["state"], **counts, **error}


def parse_webhook_secret(text: str) -> bytes:
    """Return the key in a webhook's secret (https://www.standardwebhooks.com); raises MalformedRequest."""
    start, _, encoded = text.partition("_")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if start != "whsec" or not 24 <= len(key) <= 64:
        raise MalformedRequest("webhook_secret must be whsec_ and 24 to 64 bytes in base64.")
    return key


def _content_state(item: Item | None, etag: str, now: int) -> ContentState:
    if item is None:
        return ContentState(should_read=True)
    job, same = "owner" in item, item.get("etag") == etag
    if item["state"] in FINAL_STATES:
        done = job or (same and item["expires"] > now)
        return ContentState(should_read=not done, item=item if done else None)
    if job and item.get("etag") and not same:
        return ContentState(should_read=False)
    if item["leased_until"] > now:
        raise LeaseHeld(int(item["leased_until"]) - now)
    return ContentState(should_read=True, started=job and same)


_NAMES = {"#key": "key"}


def _is_condition(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Jobs:
    """The jobs and the dropped files of a stack.

    Parameters
    ----------
    settings : Settings
        Names of the tables, the buckets and the queue, and how long jobs are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def table(self) -> Any:
        """The DynamoDB table of the items."""
        return _table(self.settings.table)

    def send(self, message: Mapping[str, Any], seconds: int = 0) -> None:
        """Send a message to the queue, delayed by `seconds`; raises ClientError, BotoCoreError."""
        _queue().send_message(QueueUrl=self.settings.queue_url, MessageBody=json.dumps(message), DelaySeconds=seconds)

    def create_once(
        self, event: Mapping[str, Any], request: JobRequest, idempotency_key: str, context: LambdaContext
    ) -> dict[str, Any]:
        """Create a job, or return the answer to the caller's earlier request with the same idempotency key.

        Parameters
        ----------
        event, request
            As `create` takes them.
        idempotency_key : str
            The header of the request (draft-ietf-httpapi-idempotency-key-header-07).
        context : LambdaContext

        Raises
        ------
        MalformedRequest
            The key is not 1 to 255 plain characters.
        KeyInUse
            Another request with the key is being answered.
        KeyReused
            The key was sent with a different request.
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
            return self.create(event, request, data["key"][:32], data["request"])

        config = IdempotencyConfig(
            event_key_jmespath="key",
            payload_validation_jmespath="request",
            expires_after_seconds=LINK_SECONDS,
            hash_function="sha256",
            lambda_context=context,
        )
        store = DynamoDBPersistenceLayer(table_name=self.settings.requests)
        once = idempotent_function(
            make, data_keyword_argument="data", persistence_store=store, config=config, key_prefix="jobs"
        )
        try:
            answer: dict[str, Any] = once(data={"key": scoped, "request": _digest(request)})
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
            raise KeyInUse(
                "A request with this Idempotency-Key is being answered; send it again in a moment."
            ) from error
        except IdempotencyValidationError as error:
            raise _reused() from error
        return answer

    def create(
        self, event: Mapping[str, Any], request: JobRequest, identifier: str = "", digest: str = ""
    ) -> dict[str, Any]:
        """Create a job.

        The item is written before the worker is told of the job. If the function fails in between, the caller gets no
        answer, and a repeated request with the same identifier creates the job again unless a worker has leased it.

        Parameters
        ----------
        event : mapping
            The request as API Gateway sends it.
        request : JobRequest
        identifier, digest : str
            Identifier of the job and hash of the request; by default, every request creates a new job.

        Returns
        -------
        dict
            The answer to the caller, with ``upload`` if the image is still to be uploaded.

        Raises
        ------
        UrlRefused, MalformedRequest
            A URL or the webhook's secret is not valid.
        KeyReused
            The job with that identifier is of a different request.
        ClientError, BotoCoreError
            A service refuses or fails; the job is then marked as failed.
        """
        for name, url in (("image_url", request.image_url), ("webhook_url", (request.webhook or ("",))[0])):
            if url:
                check_url(url, name)
        now = int(time.time())
        identifier = identifier or uuid.uuid4().hex
        item: Item = {
            "key": PREFIX + identifier,
            "owner": owner_of(event),
            "image": request.image_name,
            "state": "waiting",
            "done": NO_COUNTS,
            "total": NO_COUNTS,
            "lease": 0,
            "leased_until": 0,
            "attempts": 0,
            "expires": now + self.settings.retention_seconds,
            "request": digest,
        }
        if request.options:
            item["options"] = dict(request.options)
        if request.image_url:
            item["image_url"] = request.image_url
        elif request.image is None:
            item["upload_until"] = now + UPLOAD_SECONDS
        webhook = {}
        if request.webhook:
            parse_webhook_secret(request.webhook[1])
            webhook = {"webhook_url": request.webhook[0], "webhook_secret": request.webhook[1], "webhook": "waiting"}
        if self._put_new(item | webhook, now):
            try:
                self._announce(item["key"], request)
            except (ClientError, BotoCoreError):
                # The caller gets an error and no id.
                problem = JobNotCreated("A service failed; send the request again.").problem(
                    event["requestContext"]["requestId"]
                )
                with suppress(ClientError, BotoCoreError):
                    self._put_new(item | {"state": "failed", "error": problem}, now)
                raise
        elif (found := self.find(item["key"])) and found.get("request") == digest:
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
                self.settings.inbox,
                item["key"],
                Conditions=[["content-length-range", 1, self.settings.max_upload_bytes]],
                ExpiresIn=LINK_SECONDS,
            )
        return answer

    def _put_new(self, item: Item, now: int) -> bool:
        """Write a job's item unless a worker or another request has it; return whether it was written."""
        try:
            self.table.put_item(
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

    def _announce(self, key: str, request: JobRequest) -> None:
        """Store or request the image of a job, so that the worker receives a message; uploads do so themselves."""
        if request.image is not None:
            storage.client().put_object(Bucket=self.settings.inbox, Key=key, Body=request.image)
        elif request.image_url:
            self.send({"fetch": key})

    def describe(self, event: Mapping[str, Any], identifier: str) -> dict[str, Any]:
        """Return the answer to ``GET /jobs/{id}``; raises JobNotFound, ClientError, BotoCoreError."""
        item = self.find(PREFIX + identifier) if re.fullmatch("[0-9a-f]{32}", identifier) else None
        if item is None or item.get("owner") != owner_of(event) or item["expires"] <= time.time():
            raise JobNotFound("No job of this caller has this id; jobs end after some days, with their results.")
        late = item["state"] == "waiting" and item.get("upload_until", time.time()) < time.time()
        if late and not storage.exists(self.settings.inbox, item["key"]):
            problem = NotUploaded("No image came within the time for its upload; make a new job.")
            item |= {"state": "failed", "error": problem.problem(event["requestContext"]["requestId"])}
        answer = {"id": identifier, "image": item["image"], **public_state(item), "expires": _date(item["expires"])}
        if item["state"] == "done":
            answer["results"] = {form: self._link(item["key"], form) for form in FORMATS}
        if "webhook" in item:
            answer["webhook"] = item["webhook"]
        return answer

    def find(self, key: str) -> Item | None:
        """Return the item of an object, if there is one; raises ClientError, BotoCoreError."""
        found: Item | None = self.table.get_item(Key={"key": key}, ConsistentRead=True).get("Item")
        return found

    def check_content(self, key: str, etag: str) -> ContentState:
        """Find out from the table whether a content of an object is to be read.

        A job is read once. If several files are uploaded for it, the first one that a worker starts to read counts. A
        dropped file is read again if its content has changed or its results have expired.

        Raises
        ------
        LeaseHeld
            Another worker has leased the object.
        ClientError, BotoCoreError
            The table refuses or fails.
        """
        return _content_state(self.find(key), etag, int(time.time()))

    def lease(self, key: str, etag: str, seconds: float, gone: bool = False) -> Lease | Item | None:
        """Lease an object for reading.

        Parameters
        ----------
        key, etag : str
        seconds : float
            Time that this worker has left.
        gone : bool
            Whether the object has been deleted.

        Returns
        -------
        Lease, dict or None
            The item if the object has been read or has failed; None if there is nothing to do.

        Raises
        ------
        LeaseHeld
            Another worker has leased the object.
        ClientError, BotoCoreError
            The table refuses or fails.
        """
        now = int(time.time())
        item = self.find(key)
        seen = _content_state(item, etag, now)
        if not seen.should_read:
            return seen.item
        if item and item["state"] in FINAL_STATES and gone:
            return None
        # DynamoDB deletes expired items late; the results may have been deleted by then.
        over = item is not None and "owner" not in item and item["expires"] <= now
        if item is None:
            item = {"key": key, "image": key, "lease": 0, "leased_until": 0}
        if item.get("etag") != etag or over:
            # Start anew: earlier progress belongs to other content or to expired results.
            item = {name: value for name, value in item.items() if name not in _ENDS}
            # Attempts at a job are counted across all contents that were uploaded for it.
            attempts = item.get("attempts", 0) if "owner" in item else 0
            item |= {"etag": etag, "done": NO_COUNTS, "total": NO_COUNTS, "attempts": attempts}
            if "owner" not in item:
                item["expires"] = now + self.settings.retention_seconds
        before = {":lease": item["lease"], ":until": item["leased_until"]}
        item |= {
            "state": "running",
            "lease": int(item["lease"]) + 1,
            "leased_until": now + int(seconds) + LEASE_MARGIN_SECONDS,
            "attempts": int(item["attempts"]) + 1,
        }
        try:
            self.table.put_item(
                Item=item,
                ConditionExpression="attribute_not_exists(#key) OR (lease = :lease AND leased_until = :until)",
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues=before,
            )
        except ClientError as error:
            if _is_condition(error):
                raise LeaseHeld(LEASE_MARGIN_SECONDS) from error
            raise
        written, options = tuple(item.get("written", ())), item.get("options", {})
        return Lease(key, etag, item["lease"], item["attempts"], item["image"], written, options)

    def progress(self, held: Lease, done: Mapping[str, int], total: Mapping[str, int]) -> Item:
        """Record the progress of reading and return the item; raises as `release`."""
        return self._update(held.key, held.number, {"done": done, "total": total})

    def reset_attempts(self, held: Lease) -> None:
        """Set the number of attempts to 0, since this one made progress; raises as `release`."""
        self._update(held.key, held.number, {"attempts": 0})

    def record_written_forms(self, held: Lease, forms: Sequence[str]) -> None:
        """Record which formats of a long document's results have been written; raises as `release`."""
        self._update(held.key, held.number, {"written": list(forms)})

    def release(self, held: Lease, attempts: int) -> None:
        """Give the lease back; raises LeaseLost if another worker has leased the object, ClientError, BotoCoreError."""
        self._update(held.key, held.number, {"leased_until": 0, "attempts": attempts})

    def finish(self, held: Lease, counts: Mapping[str, int], error: Mapping[str, Any] | None = None) -> Item:
        """Set the final state of an object, failed if there is an error, and return its item; raises as `release`."""
        end = {"error": error} if error else {"done": counts, "total": counts}
        return self._update(held.key, held.number, {**end, "state": "failed" if error else "done", "leased_until": 0})

    def record_notices(self, item: Item, remove: Sequence[str] = (), **values: Any) -> Item:
        """Record which notices of an object's end have been sent, and return its item; raises as `release`."""
        return self._update(item["key"], item["lease"], values, remove)

    def _update(self, key: str, number: int, values: Mapping[str, Any], remove: Sequence[str] = ()) -> Item:
        """Set and remove attributes of an item if its latest lease has this number, and return the item."""
        removed = f" REMOVE {', '.join(remove)}" if remove else ""
        try:
            answer = self.table.update_item(
                Key={"key": key},
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values) + removed,
                ConditionExpression="#lease = :lease",
                ExpressionAttributeNames={"#lease": "lease", **{f"#{name}": name for name in values}},
                ExpressionAttributeValues={":lease": number, **{f":{name}": value for name, value in values.items()}},
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if _is_condition(error):
                raise LeaseLost from error
            raise
        item: Item = answer["Attributes"]
        return item

    def _link(self, key: str, form: str) -> str:
        name = {"Bucket": self.settings.results, "Key": storage.result_key(key, form)}
        return str(storage.client().generate_presigned_url("get_object", name, LINK_SECONDS))
