"""AWS on this machine, for the tests that ask for it: moto's server over loopback, empty for each of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

REGION = "eu-west-1"


@dataclass(frozen=True)
class Cloud:
    """An account of one test.

    Attributes
    ----------
    url : str
        Where its services answer.
    environment : dict
        What a process needs to use them.
    """

    url: str
    environment: dict[str, str]

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service)


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

    import storage

    environment = {
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    storage.client.cache_clear()
    urllib.request.urlopen(f"{moto_url}/moto-api/reset", data=b"").close()
    made = Cloud(moto_url, environment)
    for bucket in ("inbox", "results"):
        made.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    return made
