"""Tell the topic's subscribers how far an object is, and at the end the webhook of its job.

A webhook is called as https://www.standardwebhooks.com has it: the headers webhook-id, webhook-timestamp (seconds) and
webhook-signature, which is "v1," and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY".
"""

from __future__ import annotations

import hmac
import json
import os
import time
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Any

import boto3

from paragraph_ocr.errors import OcrError
from service import jobs
from service.fetch import post

TOPIC_ARN = os.environ.get("TOPIC_ARN", "")
WEBHOOK_SECONDS = 10.0
# Pauses before a webhook that failed is called again.
PAUSES = (60, 300)


@cache
def _client() -> Any:
    return boto3.client("sns")


def publish(item: jobs.Item) -> None:
    """Tell the topic's subscribers how far an object is; raises ClientError, BotoCoreError."""
    attributes = {"state": {"DataType": "String", "StringValue": item["state"]}}
    _client().publish(TopicArn=TOPIC_ARN, Message=_message(item), MessageAttributes=attributes)


def tell(item: jobs.Item, message: dict[str, Any]) -> None:
    """Tell of an object's end whoever has not been told.

    Each is told at least once: what is cut short here is done again when the message comes again.

    Parameters
    ----------
    item : dict
        Of an object that has been read, or failed.
    message : dict
        What comes back through the queue when the webhook is to be called again.

    Raises
    ------
    ClientError, BotoCoreError
        A service refuses or fails.
    """
    if not item.get("published"):
        publish(item)
        item = jobs.note(item, published=True)
    if item.get("webhook") != "waiting":
        return
    calls = int(item.get("calls", 0))
    try:
        _call(item)
    except OcrError:
        if calls < len(PAUSES):
            jobs.note(item, calls=calls + 1)
            jobs.send(message, PAUSES[calls])
        else:
            jobs.note(item, webhook="failed", remove=["webhook_secret"])
    else:
        jobs.note(item, webhook="done", remove=["webhook_secret"])


def sign(secret: str, identifier: str, timestamp: int, body: bytes) -> str:
    """The signature of a webhook's message."""
    digest = hmac.digest(jobs.secret_of(secret), f"{identifier}.{timestamp}.".encode() + body, sha256)
    return f"v1,{b64encode(digest).decode()}"


def _call(item: jobs.Item) -> None:
    identifier, body, now = item["key"].removeprefix(jobs.PREFIX), _message(item).encode(), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": identifier,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(item["webhook_secret"], identifier, now, body),
    }
    post(item["webhook_url"], body, headers, WEBHOOK_SECONDS)


def _message(item: jobs.Item) -> str:
    job = "owner" in item
    name = {"id": item["key"].removeprefix(jobs.PREFIX)} if job else {"object": item["key"]}
    return json.dumps({**name, **jobs.state_of(item)})
