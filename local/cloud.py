"""Run the stack's buckets, queue, table and topic on moto's server, and poll the queue like Lambda."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

REGION = "eu-west-1"
# Settings of the queue in template.yaml.
VISIBILITY_SECONDS = 1860
MAX_RECEIVES = 5
# For each page of a list of versions, moto copies all objects of the bucket, which takes minutes after a long run.
READ_SECONDS = 900

Event = dict[str, Any]


@cache
def client(service: str) -> Any:
    """Return the client of a service, configured by the environment."""
    return boto3.client(service, config=Config(read_timeout=READ_SECONDS))


def environment(url: str) -> dict[str, str]:
    """Environment variables for the AWS services behind a URL."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }


def create(visibility_seconds: int = VISIBILITY_SECONDS) -> dict[str, str]:
    """Make the stack's resources.

    Parameters
    ----------
    visibility_seconds : int
        For how long a message that a worker has is hidden from others.

    Returns
    -------
    dict of str to str
        What the functions' environment says of them.
    """
    s3, sqs = client("s3"), client("sqs")
    names = {"INBOX": "stack-inbox", "RESULTS": "stack-results"}
    for name in names.values():
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    # Versions show whether a result was written twice.
    s3.put_bucket_versioning(Bucket=names["RESULTS"], VersioningConfiguration={"Status": "Enabled"})
    dead = sqs.create_queue(QueueName="stack-dead-letters")["QueueUrl"]
    redrive = {"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": MAX_RECEIVES}
    attributes = {"VisibilityTimeout": str(visibility_seconds), "RedrivePolicy": json.dumps(redrive)}
    queue = sqs.create_queue(QueueName="stack-queue", Attributes=attributes)["QueueUrl"]
    s3.put_bucket_notification_configuration(
        Bucket=names["INBOX"],
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn_of(queue), "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    client("dynamodb").create_table(
        TableName="stack-table",
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client("dynamodb").create_table(
        TableName="stack-requests",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    topic = client("sns").create_topic(Name="stack-progress")["TopicArn"]
    names |= {"TABLE": "stack-table", "REQUESTS": "stack-requests"}
    return {**names, "QUEUE_URL": queue, "DEAD_LETTERS_URL": dead, "TOPIC_ARN": topic}


def arn_of(queue: str) -> str:
    """A queue's ARN."""
    attributes = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    return str(attributes["QueueArn"])


def event_of(messages: list[Event], queue: str) -> Event:
    """Make the event with which Lambda passes messages to a function."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": queue,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }


def poll(queue: str, invoke: Callable[[Event], Event]) -> int:
    """Receive a message, process it, and delete it unless that failed; return the number of messages, 0 or 1."""
    sqs = client("sqs")
    messages = sqs.receive_message(QueueUrl=queue, AttributeNames=["All"]).get("Messages", [])
    if messages:
        failed = {each["itemIdentifier"] for each in invoke(event_of(messages, queue))["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return len(messages)
