"""The local server hands the function what API Gateway would, and hands back its answers; nothing breaks it."""

import base64
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import serve
from local.screenshots import served

ROOT = Path(__file__).parents[1]
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


class Function:
    """Stands in for the handler: keeps the events and answers what it is told to."""

    def __init__(self) -> None:
        self.events: list[serve.Event] = []
        self.answer: dict[str, Any] = {"statusCode": 200, "body": "", "isBase64Encoded": False}
        self.running = self.most_at_once = 0

    def __call__(self, event: serve.Event, context: Any) -> dict[str, Any]:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        assert 0 < context.get_remaining_time_in_millis() <= 29_000
        assert context.aws_request_id == event["requestContext"]["requestId"]
        time.sleep(0.02)
        self.events.append(event)
        self.running -= 1
        return self.answer


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def gateway(function: Function) -> Iterator[serve.Gateway]:
    with served(function) as server:
        yield server


def ask(gateway: serve.Gateway, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[
    int, http.client.HTTPMessage, bytes
]:  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", gateway.server_address[1], timeout=120)
    try:
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def converse(gateway: serve.Gateway, sent: bytes) -> bytes:
    """All that the server says to bytes of whatever kind, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", gateway.server_address[1]), timeout=120) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_the_list_of_binary_types_is_the_template_s() -> None:
    class Loader(yaml.SafeLoader):
        """Reads CloudFormation's short forms as nothing."""

    Loader.add_multi_constructor("!", lambda *_: None)
    api = yaml.load((ROOT / "template.yaml").read_text(), Loader)["Resources"]["Api"]["Properties"]
    assert [kind.replace("/", "~1") for kind in serve.BINARY] == api["BinaryMediaTypes"]
    problem = json.loads(api["GatewayResponses"]["REQUEST_TOO_LARGE"]["ResponseTemplates"]["application/json"])
    assert (problem["type"], problem["detail"]) == ("urn:paragraph-ocr:too-large", "Send a smaller image.")


def test_an_event_has_the_form_of_the_recorded_ones() -> None:
    recorded = json.loads((ROOT / "events" / "health.json").read_text())
    event = serve.proxy_event("GET", "/health", list(recorded["headers"].items()), b"")
    assert event.keys() == recorded.keys()
    assert event["requestContext"].keys() <= recorded["requestContext"].keys()
    assert event["requestContext"]["identity"].keys() <= recorded["requestContext"]["identity"].keys()
    for name in ("resource", "path", "httpMethod", "headers", "multiValueHeaders", "body", "isBase64Encoded",
                 "queryStringParameters", "multiValueQueryStringParameters"):  # fmt: skip
        assert event[name] == recorded[name], name
    assert event["requestContext"]["identity"]["userAgent"] == "curl/8.5.0"


def test_headers_and_parameters_keep_their_repeats(gateway: serve.Gateway, function: Function) -> None:
    converse(gateway, b"GET /a%20b?x=1&x=%C3%A9&y= HTTP/1.1\r\nX-One: 1\r\nX-One: 2\r\nConnection: close\r\n\r\n")
    (event,) = function.events
    assert event["path"] == "/a%20b"
    assert event["multiValueHeaders"]["X-One"] == ["1", "2"]
    assert event["headers"]["X-One"] == "2"
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "é"], "y": [""]}
    assert event["queryStringParameters"] == {"x": "é", "y": ""}


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/PNG", "image/png; name=x"])
def test_a_body_of_a_listed_type_travels_as_base64(gateway: serve.Gateway, function: Function, kind: str) -> None:
    ask(gateway, "POST", "/ocr", PNG, Content_Type=kind)
    (event,) = function.events
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == PNG


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "image/x-unlisted", ""])
def test_any_other_body_travels_as_text(gateway: serve.Gateway, function: Function, kind: str) -> None:
    ask(gateway, "POST", "/ocr", "né".encode() + b"\xff", Content_Type=kind)
    (event,) = function.events
    assert event["isBase64Encoded"] is False
    assert event["body"] == "né�"


def test_status_headers_and_text_come_back(gateway: serve.Gateway, function: Function) -> None:
    many = {"Content-Type": ["text/plain; charset=utf-8"], "X-Two": ["a", "b"]}
    function.answer = {"statusCode": 418, "body": "né", "isBase64Encoded": False, "multiValueHeaders": many}
    status, headers, body = ask(gateway, "GET", "/")
    assert (status, body.decode()) == (418, "né")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers.get_all("X-Two") == ["a", "b"]
    assert headers["Content-Length"] == "3"


@pytest.mark.parametrize(
    ("accept", "decoded"),
    [("image/png", True), ("image/png, */*;q=0.1", True), ("text/html, image/png", False), ("*/*", False)],
)
def test_base64_becomes_bytes_for_whom_the_gateway_decodes_it(
    gateway: serve.Gateway, function: Function, accept: str, decoded: bool
) -> None:
    encoded = base64.b64encode(PNG)
    function.answer = {"statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": encoded.decode(),
                       "isBase64Encoded": True}  # fmt: skip
    _, headers, body = ask(gateway, "GET", "/", Accept=accept)
    assert body == (PNG if decoded else encoded)
    assert headers["Content-Type"] == "image/png"


def test_head_and_no_content_have_no_body(gateway: serve.Gateway, function: Function) -> None:
    function.answer = {"statusCode": 200, "body": "text", "isBase64Encoded": False}
    assert converse(gateway, b"HEAD / HTTP/1.1\r\n\r\n").endswith(b"Content-Length: 4\r\n\r\n")
    function.answer = {"statusCode": 204, "body": "", "isBase64Encoded": False}
    assert "Content-Length" not in ask(gateway, "OPTIONS", "/ocr")[1]


def test_a_connection_serves_more_than_one_request(gateway: serve.Gateway, function: Function) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.server_address[1], timeout=120)
    for _ in range(3):
        connection.request("POST", "/ocr", b"{}")
        assert connection.getresponse().read() == b""
    connection.close()
    assert len(function.events) == 3


@pytest.mark.parametrize("size", [10 * 1024 * 1024 + 1, 30_000_000])
def test_refuses_what_the_gateway_refuses(gateway: serve.Gateway, function: Function, size: int) -> None:
    status, headers, body = ask(gateway, "POST", "/ocr", bytes(size), Content_Type="image/png")
    assert (status, headers["Content-Type"]) == (413, "application/problem+json")
    assert json.loads(body)["type"] == "urn:paragraph-ocr:too-large"
    assert function.events == []


def test_refuses_an_event_that_lambda_would_not_take(gateway: serve.Gateway, function: Function) -> None:
    fits = serve.MAX_EVENT_BYTES // 4 * 3 - 4096
    assert ask(gateway, "POST", "/ocr", bytes(fits), Content_Type="image/png")[0] == 200
    assert ask(gateway, "POST", "/ocr", bytes(fits + 4096), Content_Type="image/png")[0] == 413
    assert len(function.events) == 1


def test_a_client_that_asks_first_is_refused_before_it_sends(gateway: serve.Gateway) -> None:
    head = b"POST /ocr HTTP/1.1\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
    assert converse(gateway, head).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /ocr HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /ocr HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /ocr HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n", 400),
        (b"BREW /ocr HTTP/1.1\r\n\r\n", 501),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b'"<b>"\r\n\r\n', 400),
    ],
)
def test_answers_what_is_not_http_with_a_problem(gateway: serve.Gateway, head: bytes, status: int) -> None:
    answer = converse(gateway, head)
    if answer.startswith(b"HTTP"):
        top, _, body = answer.partition(b"\r\n\r\n")
        assert top.split()[1] == str(status).encode()
        assert b"Content-Type: application/problem+json" in top
    else:
        # A request line without a version is answered as HTTP 0.9 is, without a head.
        body = answer
    assert json.loads(body)["status"] == status


def test_outlives_broken_and_slow_clients(
    gateway: serve.Gateway, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert converse(gateway, b"POST /ocr HTTP/1.1\r\nContent-Length: 100\r\n\r\nshort") == b""
    with monkeypatch.context() as patch:
        patch.setattr(serve._Request, "timeout", 0.1)
        slow = socket.create_connection(("127.0.0.1", gateway.server_address[1]), timeout=120)
        # It may be given up before this is sent, where the machine is busy.
        with suppress(ConnectionError):
            slow.sendall(b"POST /ocr HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
            assert slow.recv(1) == b""
        slow.close()
    function.answer = {"statusCode": 200, "body": "x" * 20_000_000, "isBase64Encoded": False}
    gone = socket.create_connection(("127.0.0.1", gateway.server_address[1]), timeout=120)
    gone.sendall(b"GET / HTTP/1.1\r\n\r\n")
    gone.close()
    while not function.events:
        time.sleep(0.01)
    function.answer = {"statusCode": 200, "body": "", "isBase64Encoded": False}
    assert ask(gateway, "GET", "/")[0] == 200
    assert "Traceback" not in capsys.readouterr().err


def test_asks_the_function_one_thing_at_a_time(gateway: serve.Gateway, function: Function) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: ask(gateway, "GET", f"/{number}")[0], range(8)))
    assert answers == [200] * 8
    assert {event["path"] for event in function.events} == {f"/{number}" for number in range(8)}
    assert function.most_at_once == 1


def test_serves_the_handler_until_it_is_interrupted() -> None:
    command = [sys.executable, str(ROOT / "local" / "serve.py")]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Loading the models\n"
        ready = re.fullmatch(r"Ready at http://127.0.0.1:(\d+)/ .*\n", process.stdout.readline())
        assert ready
        connection = http.client.HTTPConnection("127.0.0.1", int(ready[1]), timeout=120)
        connection.request("GET", "/health")
        assert set(json.load(connection.getresponse())["models"]) == {"detector", "recognizer"}
        recorded = json.loads((ROOT / "events" / "ocr.json").read_text())["body"]
        connection.request("POST", "/ocr", recorded, {"Content-Type": "application/json"})
        assert "Dear Margaret" in json.load(connection.getresponse())["text"]
        connection.close()
        second = subprocess.run([*command, ready[1]], capture_output=True, text=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout.read().splitlines()[-1] == "Stopped"
    assert second.returncode == 1
    assert second.stderr.startswith(f"Port {ready[1]} cannot be used: Address already in use. Name another")
