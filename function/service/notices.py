"""Publish the progress of objects to the SNS topic, and call the webhook of a job when it ends.

Webhooks follow https://www.standardwebhooks.com: the headers webhook-id, webhook-timestamp (seconds) and
webhook-signature, which is "v1," and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY".
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Any

import boto3

from paragraph_ocr.errors import OcrError
from service import jobs
from service.fetch import post

WEBHOOK_SECONDS = 10.0
# Seconds before a failed webhook is called again.
RETRY_DELAYS = (60, 300)


@cache
def _client() -> Any:
    return boto3.client("sns")


def sign(secret: str, identifier: str, timestamp: int, body: bytes) -> str:
    """Sign the body of a webhook's message as Standard Webhooks describes."""
    digest = hmac.digest(jobs.parse_webhook_secret(secret), f"{identifier}.{timestamp}.".encode() + body, sha256)
    return f"v1,{b64encode(digest).decode()}"


def _message(item: jobs.Item) -> str:
    is_job = "owner" in item
    name = {"id": item["key"].removeprefix(jobs.PREFIX)} if is_job else {"object": item["key"]}
    return json.dumps({**name, **jobs.public_state(item)})


class Notices:
    """Sends the notices of a stack.

    Parameters
    ----------
    store : Jobs
        Records which notices have been sent.
    """

    def __init__(self, store: jobs.Jobs) -> None:
        self.jobs = store

    def publish(self, item: jobs.Item) -> None:
        """Publish the state of an object to the topic; raises ClientError, BotoCoreError."""
        attributes = {"state": {"DataType": "String", "StringValue": item["state"]}}
        topic = self.jobs.settings.topic_arn
        _client().publish(TopicArn=topic, Message=_message(item), MessageAttributes=attributes)

    def notify(self, item: jobs.Item, message: dict[str, Any]) -> None:
        """Send the notices of an object's end that have not been sent yet.

        Each is sent at least once: if this is interrupted, it is repeated when the queue delivers the message again.

        Parameters
        ----------
        item : dict
            An object in a final state.
        message : dict
            Sent to the queue if the webhook is to be called again later.

        Raises
        ------
        ClientError, BotoCoreError
            A service refuses or fails.
        """
        if not item.get("published"):
            self.publish(item)
            item = self.jobs.record_notices(item, published=True)
        if item.get("webhook") != "waiting":
            return
        calls = int(item.get("calls", 0))
        try:
            self._call(item)
        except OcrError:
            if calls < len(RETRY_DELAYS):
                self.jobs.record_notices(item, calls=calls + 1)
                self.jobs.send(message, RETRY_DELAYS[calls])
            else:
                self.jobs.record_notices(item, webhook="failed", remove=["webhook_secret"])
        else:
            self.jobs.record_notices(item, webhook="done", remove=["webhook_secret"])

    def _call(self, item: jobs.Item) -> None:
        identifier, body, now = item["key"].removeprefix(jobs.PREFIX), _message(item).encode(), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": identifier,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(item["webhook_secret"], identifier, now, body),
        }
        post(item["webhook_url"], body, headers, WEBHOOK_SECONDS)
