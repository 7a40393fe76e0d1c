"""Serve the handler over HTTP on this machine, translating requests and answers as API Gateway does."""

import argparse
import base64
import json
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

ROOT = Path(__file__).resolve().parent.parent
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_BODY_BYTES = 10 * 1024 * 1024
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, with what the service's own message adds.
MAX_EVENT_BYTES = 6_291_556
# The function's Timeout in template.yaml.
MAX_SECONDS = 29
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEGABYTES_PER_CORE = 1769
# Bytes that are read of a rejected body, so that its sender receives the answer.
MAX_DISCARDED_BYTES = 64 * 1024 * 1024
NO_BODY = (204, 304)

Event = dict[str, Any]
Handler = Callable[[Event, Any], dict[str, Any]]


def binary_media_types() -> tuple[str, ...]:
    """Return the stack's content types whose bodies are encoded in base64.

    Raises
    ------
    ValueError
        The template has no such list.
    """
    block = re.search(r"BinaryMediaTypes:\n((?: +(?:-|#).*\n)+)", (ROOT / "template.yaml").read_text(encoding="utf-8"))
    if block is None:
        raise ValueError("template.yaml has no list BinaryMediaTypes")
    return tuple(kind.replace("~1", "/") for kind in re.findall(r"^ +- [\"']?([^\s\"']+)", block[1], re.MULTILINE))


BINARY = binary_media_types()


def is_binary(content_types: str) -> bool:
    """Whether the first media type of a Content-Type or Accept header is on the stack's list."""
    first = re.split("[;,]", content_types)[0].strip().lower()
    return any(fnmatchcase(first, pattern) for pattern in BINARY)


def proxy_event(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> Event:
    """Make the event with which a REST API passes a request to a function.

    Parameters
    ----------
    method : str
    target : str
        Path and query, percent-encoded.
    headers : pairs of name and value
        As they were sent, repeats included.
    body : bytes
    """
    path, _, query = target.partition("?")
    many_headers = _gathered(headers)
    many_parameters = _gathered(parse_qsl(query, keep_blank_values=True))
    binary = is_binary(_header(many_headers, "content-type"))
    now = time.time()
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": _last(many_headers),
        "multiValueHeaders": many_headers or None,
        "queryStringParameters": _last(many_parameters),
        "multiValueQueryStringParameters": many_parameters or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "local",
            "resourcePath": path,
            "httpMethod": method,
            "extendedRequestId": "local",
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "path": path,
            "accountId": "000000000000",
            "protocol": "HTTP/1.1",
            "stage": "local",
            "domainPrefix": "localhost",
            "requestTimeEpoch": int(now * 1000),
            "requestId": str(uuid.uuid4()),
            "identity": {"sourceIp": "127.0.0.1", "userAgent": _header(many_headers, "user-agent"), "apiKey": None},
            "domainName": "localhost",
            "apiId": "local",
        },
        "body": (base64.b64encode(body).decode() if binary else body.decode(errors="replace")) or None,
        "isBase64Encoded": binary,
    }


def lambda_context(event: Event) -> SimpleNamespace:
    """The Lambda context of an invocation that starts now."""
    end = time.monotonic() + MAX_SECONDS
    return SimpleNamespace(
        function_name="paragraph-ocr",
        memory_limit_in_mb=int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")),
        invoked_function_arn="",
        aws_request_id=event["requestContext"]["requestId"],
        get_remaining_time_in_millis=lambda: max(0, int((end - time.monotonic()) * 1000)),
    )


def http_answer(answer: dict[str, Any], accept: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of a function's answer.

    As at the gateway, base64 becomes bytes only for a client whose first accepted media type is on the list:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html

    Parameters
    ----------
    answer : dict
        What the handler returned.
    accept : str
        The request's Accept header.
    """
    many = {name: [value] for name, value in (answer.get("headers") or {}).items()}
    many |= answer.get("multiValueHeaders") or {}
    body = (answer.get("body") or "").encode()
    if answer.get("isBase64Encoded") and is_binary(accept):
        body = base64.b64decode(body)
    return answer["statusCode"], [(name, value) for name, values in many.items() for value in values], body


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    many: dict[str, list[str]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    return many


def _last(many: dict[str, list[str]]) -> dict[str, str] | None:
    return {name: values[-1] for name, values in many.items()} or None


def _header(headers: dict[str, list[str]], wanted: str) -> str:
    return next((values[-1] for name, values in headers.items() if name.lower() == wanted), "")


class Gateway(ThreadingHTTPServer):
    """A server on this machine that invokes the function, one event at a time.

    Parameters
    ----------
    port : int
        0 takes a free one.

    Raises
    ------
    OSError
        The port is taken, or may not be used.
    """

    request_queue_size = 64
    function: Handler

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self._one_at_a_time = threading.Lock()

    @property
    def url(self) -> str:
        """URL of the server."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def invoke(self, event: Event) -> dict[str, Any]:
        """Invoke the function, for one request at a time like an instance on Lambda."""
        with self._one_at_a_time:
            return self.function(event, lambda_context(event))

    def finish(self) -> None:
        """Wait for the event that is being answered."""
        with self._one_at_a_time:
            return

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, except disconnected clients."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"
    # Seconds without data after which a connection is closed.
    timeout = 30
    error_content_type = "application/problem+json"
    error_message_format = '{"type": "about:blank", "title": "%(explain)s", "status": %(code)d}'

    def handle_expect_100(self) -> bool:
        return self._is_acceptable() and super().handle_expect_100()

    def answer(self) -> None:
        if not self._is_acceptable():
            return
        length = int(self.headers["Content-Length"] or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        event = proxy_event(self.command, self.path, self.headers.items(), body)
        if len(json.dumps(event)) > MAX_EVENT_BYTES:
            self._refuse(413, "too-large", "The image is too large", "Send a smaller image.")
            return
        self._send(*http_answer(self.server.invoke(event), self.headers["Accept"] or ""))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def _is_acceptable(self) -> bool:
        """Return whether the body can be read; reject it otherwise."""
        length = self.headers["Content-Length"] or "0"
        if self.headers["Transfer-Encoding"]:
            self._refuse(411, "length-required", "The length is missing", "Send the body with a Content-Length.")
        elif not re.fullmatch("[0-9]{1,15}", length):
            self._refuse(400, "malformed-request", "The request is malformed", "Content-Length is not a number.")
        elif int(length) > MAX_BODY_BYTES:
            if not self.headers["Expect"]:
                self._discard(min(int(length), MAX_DISCARDED_BYTES))
            self._refuse(413, "too-large", "The image is too large", "Send a smaller image.")
        else:
            return True
        return False

    def _discard(self, length: int) -> None:
        while length > 0 and (chunk := self.rfile.read(min(length, 65536))):
            length -= len(chunk)

    def _refuse(self, status: int, kind: str, title: str, detail: str) -> None:
        """Answer like the gateway, with the response of the template."""
        problem = {"type": f"urn:paragraph-ocr:{kind}", "title": title, "status": status, "detail": detail}
        problem["request_id"] = str(uuid.uuid4())
        self.close_connection = True
        headers = [("Content-Type", "application/problem+json"), ("Connection", "close")]
        self._send(status, headers, json.dumps(problem).encode())

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in NO_BODY:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status not in NO_BODY and self.command != "HEAD":
            self.wfile.write(body)


def main(port: int) -> None:
    """Serve until Ctrl-C."""
    try:
        gateway = Gateway(port)
    except OSError as error:
        sys.exit(f"Port {port} cannot be used: {error.strerror}. Name another: make serve PORT=...")
    with gateway:
        try:
            print("Loading the models", flush=True)
            gateway.function = load_handler()
            print(f"Ready at {gateway.url} (Ctrl-C stops it)", flush=True)
            gateway.serve_forever()
        except KeyboardInterrupt:
            gateway.finish()
            print("\nStopped")


def load_handler() -> Handler:
    """The function's handler, without the metrics that it prints for CloudWatch.

    The function is one whose memory gives it as many processors as this process may use, unless the environment says
    how much memory it has.
    """
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    from paragraph_ocr.processors import count_processors

    os.environ.setdefault("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", str(MEGABYTES_PER_CORE * count_processors()))
    import app

    handler: Handler = app.handler
    return handler


def port_number(text: str) -> int:
    """A port of the command line."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the API and its page on this machine.")
    parser.add_argument("port", type=port_number, help="0 takes a free one")
    main(parser.parse_args().port)
