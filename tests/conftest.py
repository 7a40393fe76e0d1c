"""AWS on this machine, for the tests that ask for it: moto's server over loopback, with the stack in it."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

# A shell starts what it runs in the background with SIGINT ignored, and so would be the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Cloud:
    """An account of one test, with the stack's resources.

    Attributes
    ----------
    environment : dict of str to str
        What a function's process needs to use them.
    """

    environment: dict[str, str]

    def client(self, service: str) -> Any:
        from local.cloud import client

        return client(service)

    def __getitem__(self, name: str) -> str:
        return self.environment[name]

    @property
    def settings(self) -> Any:
        """The settings of a function of the stack."""
        from service.settings import Settings

        return Settings.from_environment(self.environment)

    def drop(self, key: str, data: bytes) -> str:
        """Put an object into the inbox and return its ETag."""
        etag: str = self.client("s3").put_object(Bucket=self["INBOX"], Key=key, Body=data)["ETag"]
        return etag.strip('"')

    def results(self) -> dict[str, bytes]:
        """All that the results bucket holds."""
        s3 = self.client("s3")
        found = s3.list_objects_v2(Bucket=self["RESULTS"]).get("Contents", ())
        return {entry["Key"]: s3.get_object(Bucket=self["RESULTS"], Key=entry["Key"])["Body"].read() for entry in found}

    def versions(self) -> list[str]:
        """The key of every object that was ever written to the results bucket."""
        found = self.client("s3").list_object_versions(Bucket=self["RESULTS"])
        return [entry["Key"] for entry in found.get("Versions", ())]

    def table(self) -> Any:
        import boto3

        return boto3.resource("dynamodb").Table(self["TABLE"])

    def items(self) -> dict[str, dict[str, Any]]:
        """All that the table holds."""
        return {item["key"]: item for item in self.table().scan()["Items"]}

    def expire_lease(self, key: str) -> None:
        """Let the time pass that a worker had which is dead."""
        if key in self.items():
            self.table().update_item(
                Key={"key": key}, UpdateExpression="SET leased_until = :past", ExpressionAttributeValues={":past": 1}
            )

    def messages(self, queue: str = "QUEUE_URL") -> list[dict[str, Any]]:
        """What waits in a queue, taken from it."""
        sqs, bodies = self.client("sqs"), []
        while found := sqs.receive_message(QueueUrl=self[queue], MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                bodies.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self[queue], ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def subscribe(self) -> str:
        """A queue's name that gets all that the topic is told."""
        from local.cloud import arn_of

        sqs = self.client("sqs")
        self.environment["SUBSCRIBER"] = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = arn_of(self["SUBSCRIBER"])
        self.client("sns").subscribe(
            TopicArn=self["TOPIC_ARN"], Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )
        return "SUBSCRIBER"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    import urllib.request

    from local.cloud import client, create, environment

    for name, value in environment(moto_url).items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(f"{moto_url}/moto-api/reset", data=b"").close()
    made = create()
    # S3 has tried the queue.
    client("sqs").purge_queue(QueueUrl=made["QUEUE_URL"])
    return Cloud({**environment(moto_url), **made})
