"""A file behind a URL is fetched from the address that was checked; a hostile server gets nowhere, and not for long."""

import gzip
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest
import trustme

from paragraph_ocr.errors import OcrError, RemoteFailed, TooLarge, UrlRefused
from service.fetch import MAX_REDIRECTS, fetch, is_public, post, resolve

PUBLIC = "93.184.215.14"
TYPES = ("image/png",)
LIMIT = 100_000
SECONDS = 1.0
# For what is no matter of time, and less than what is one takes without a limit.
PATIENCE = 60.0
FILE = b"\x89PNG" + bytes(range(256))


def answer(head: str, body: bytes = b"") -> Callable[[ssl.SSLSocket], None]:
    lines = head.replace("\n", "\r\n")
    return lambda client: client.sendall(f"HTTP/1.1 {lines}\r\n\r\n".encode() + body)


def redirect(url: str) -> Callable[[ssl.SSLSocket], None]:
    return answer(f"302 Found\nLocation: {url}\nContent-Length: 0")


def drip(start: bytes, pause: float = 0.05) -> Callable[[ssl.SSLSocket], None]:
    def send(client: ssl.SSLSocket) -> None:
        client.sendall(start)
        for _ in range(10_000):
            client.sendall(b"a")
            time.sleep(pause)

    return send


def endless(start: bytes, piece: bytes) -> Callable[[ssl.SSLSocket], None]:
    def send(client: ssl.SSLSocket) -> None:
        client.sendall(start)
        # Far more than is read.
        for _ in range(10_000):
            client.sendall(piece)

    return send


PAGES: dict[str, Callable[[ssl.SSLSocket], None]] = {
    "/file": answer(f"200 OK\nContent-Type: Image/PNG; a=b\nContent-Length: {len(FILE)}", FILE),
    "/file?key=1%202": answer("200 OK\nContent-Type: image/png", FILE),
    "/chunked": answer("200 OK\nTransfer-Encoding: chunked", b"104\r\n" + FILE + b"\r\n0\r\n\r\n"),
    "/untyped": answer("200 OK\nContent-Type: binary/octet-stream", FILE),
    "/elsewhere": redirect("file"),
    "/other-host": redirect("https://other.example.com/file"),
    "/metadata": redirect("https://169.254.169.254/latest/meta-data/"),
    "/metadata-by-http": redirect("http://169.254.169.254/latest/meta-data/"),
    "/metadata-by-name": redirect("https://metadata.example.com/latest/meta-data/"),
    "/to-file": redirect("file:///etc/passwd"),
    "/to-other-port": redirect("https://images.example.com:8443/file"),
    "/to-no-url": redirect("//["),
    "/loop": redirect("/loop"),
    "/nowhere": answer("302 Found\nContent-Length: 0"),
    "/endless": endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2**16)),
    "/endless-chunks": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(2**16) + b"\r\n"
    ),
    "/endless-headers": endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100),
    "/endless-line": endless(b"HTTP/1.1 200 OK\r\nA: ", b"a" * 2**16),
    "/endless-hints": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "/alias": answer("200 OK\nContent-Type: image/jpg", FILE),
    "/announced": answer("200 OK\nContent-Type: image/png\nContent-Length: 100001"),
    "/cut": answer("200 OK\nContent-Type: image/png\nContent-Length: 1000", FILE),
    "/cut-chunk": answer("200 OK\nTransfer-Encoding: chunked", b"1000\r\n" + FILE),
    "/negative-chunk": answer("200 OK\nTransfer-Encoding: chunked", b"-5\r\n" + FILE),
    "/slow-head": drip(b"HTTP/1.1 200 OK\r\nA: "),
    "/slow-body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    "/silent": drip(b"", pause=2 * SECONDS),
    "/bomb": answer("200 OK\nContent-Type: image/png\nContent-Encoding: gzip", gzip.compress(bytes(10 * LIMIT))),
    "/page": answer("200 OK\nContent-Type: text/html", b"<html>"),
    "/empty": answer("200 OK\nContent-Type: image/png\nContent-Length: 0"),
    "/gone": answer("404 Not Found\nContent-Length: 0"),
    "/part": answer(f"206 Partial Content\nContent-Type: image/png\nContent-Length: {len(FILE)}", FILE),
    "/broken": answer("500 Internal Server Error\nContent-Length: 0"),
    "/garbage": lambda client: client.sendall(b"\x00\xff" * 100 + b"\r\n\r\n"),
    "/hang-up": lambda client: None,
    "/hook": answer("204 No Content"),
}


class Server:
    """Answers over TLS by `PAGES`; `requests` are the heads that came."""

    def __init__(self, authority: trustme.CA) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("images.example.com", "other.example.com").configure_cert(self.context)
        self.requests: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        # Clients that have had enough hang up.
        with client, suppress(OSError), self.context.wrap_socket(client, server_side=True) as tls:
            head = b""
            while b"\r\n\r\n" not in head:
                head += tls.recv(2**16)
            length = re.search(rb"\r\nContent-Length: ([0-9]+)\r\n", head)
            size = head.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
            while len(head) < size:
                head += tls.recv(2**16)
            self.requests.append(head.decode())
            PAGES[head.split()[1].decode()](tls)
            with suppress(OSError):
                tls.unwrap()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[Server]:
    server = Server(authority)
    yield server
    server.listener.close()


@pytest.fixture
def network(server: Server, context: ssl.SSLContext) -> SimpleNamespace:
    """All names lead to the server; `names` says which address they have, `connected` which were connected to."""
    network = SimpleNamespace(
        context=context,
        names={"metadata.example.com": ["169.254.169.254"]},
        port=server.port,
        resolved=[],
        connected=[],
    )

    def resolved(host: str, _: float) -> list[str]:
        network.resolved.append(host)
        found = network.names.get(host, [PUBLIC])
        if isinstance(found, Exception):
            raise found
        return found.pop(0) if found and isinstance(found[0], list) else found

    def connected(address: str, seconds: float) -> socket.socket:
        network.connected.append(address)
        return socket.create_connection(("127.0.0.1", network.port), seconds)

    network.resolve, network.connect = resolved, connected
    return network


def get(network: SimpleNamespace, url: str, seconds: float = PATIENCE) -> bytes:
    if url in PAGES:
        url = f"https://images.example.com{url}"
    return fetch(url, LIMIT, seconds, TYPES, resolve=network.resolve, connect=network.connect, context=network.context)


@pytest.mark.parametrize(
    "path", ["/file", "/file?key=1%202", "/chunked", "/untyped", "/alias", "/elsewhere", "/other-host"]
)
def test_fetches(network: SimpleNamespace, path: str) -> None:
    assert get(network, path, seconds=10) == FILE
    assert set(network.connected) == {PUBLIC}


def test_asks_for_no_fragment(network: SimpleNamespace) -> None:
    assert get(network, "https://images.example.com/file#part", seconds=10) == FILE


def test_asks_for_no_compression_and_tells_nothing(network: SimpleNamespace, server: Server) -> None:
    get(network, "/file", seconds=10)
    request, *headers = server.requests[-1].rstrip().split("\r\n")
    assert request == "GET /file HTTP/1.1"
    assert dict(header.split(": ", 1) for header in headers) == {
        "Host": "images.example.com",
        "Accept-Encoding": "identity",
        "Accept": "image/png, */*;q=0.1",
        "User-Agent": "paragraph-ocr",
    }


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example.com/file",
        "ftp://images.example.com/file",
        "file:///etc/passwd",
        "//images.example.com",
        "images.example.com/file",
        "https:///file",
        "https://",
        "",
        "https://images.example.com:80/file",
        "https://images.example.com:8443/file",
        "https://images.example.com:99999/file",
        "https://images.example.com:port/file",
        "https://user@images.example.com/file",
        "https://user:password@images.example.com/file",
        "https://@images.example.com/file",
        "https://images.example.com\\@other.example.com/file",
        "https://images.example.com\t/file",
        "https://images.example.com/a file",
        "https://images.example.com/file\r\nHost: metadata",
        "https://bücher.example.com/file",
        "https://images..example.com/file",
        "https://-images.example.com/file",
        f"https://{'a' * 64}.example.com/file",
        f"https://{'a.' * 130}com/file",
        "https://images.example.com/" + "a" * 2048,
        "https://93.184.215.14/file",
        "https://127.0.0.1/file",
        "https://127.1/file",
        "https://2130706433/file",
        "https://0177.0.0.1/file",
        "https://017700000001/file",
        "https://0x7f000001/file",
        "https://0x7f.0.0.0x1/file",
        "https://127.0.0.1./file",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/file",
        "https://[::ffff:127.0.0.1]/file",
        "https://[::ffff:7f00:1]/file",
        "https://[fe80::1%25eth0]/file",
        "https://[64:ff9b::7f00:1]/file",
        "https://[not-an-address]/file",
        "https://[::1",
    ],
)
def test_refuses_urls_of_another_form_unresolved(network: SimpleNamespace, url: str) -> None:
    with pytest.raises(UrlRefused):
        get(network, url)
    assert (network.resolved, network.connected) == ([], [])


CLOSED = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "224.0.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:93.184.215.14",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "100::1",
    "2001::7f00:1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", CLOSED)
def test_connects_to_no_address_that_is_not_public(network: SimpleNamespace, address: str) -> None:
    assert not is_public(address)
    for found in ([address], [PUBLIC, address], [address, PUBLIC]):
        network.names["images.example.com"] = found
        with pytest.raises(UrlRefused, match="public"):
            get(network, "/file")
    assert network.connected == []


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_knows_public_addresses(address: str) -> None:
    assert is_public(address)


def test_a_name_is_resolved_once_and_connected_to_where_it_was_checked(network: SimpleNamespace) -> None:
    network.names["images.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    assert get(network, "/file", seconds=10) == FILE
    assert (network.resolved, network.connected) == (["images.example.com"], [PUBLIC])


def test_a_name_is_checked_again_at_a_redirect(network: SimpleNamespace) -> None:
    network.names["images.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    with pytest.raises(UrlRefused, match="public"):
        get(network, "/elsewhere", seconds=10)
    assert network.connected == [PUBLIC]


def test_tries_the_next_address_of_a_name(network: SimpleNamespace) -> None:
    network.names["images.example.com"] = ["2606:4700::1", PUBLIC]
    connect = network.connect

    def fail_first(address: str, seconds: float) -> socket.socket:
        if ":" in address:
            raise OSError("no such network")
        return connect(address, seconds)

    network.connect = fail_first
    assert get(network, "/file", seconds=10) == FILE


HOSTILE: dict[str, tuple[type[OcrError], str]] = {
    "/metadata": (UrlRefused, "must be a name"),
    "/metadata-by-http": (UrlRefused, "https"),
    "/metadata-by-name": (UrlRefused, "public"),
    "/to-file": (UrlRefused, "https"),
    "/to-other-port": (UrlRefused, "443"),
    "/to-no-url": (UrlRefused, "not a URL"),
    "/endless": (TooLarge, "100,000"),
    "/endless-chunks": (TooLarge, "100,000"),
    "/endless-headers": (RemoteFailed, "broke off"),
    "/endless-line": (RemoteFailed, "broke off"),
    "/endless-hints": (RemoteFailed, "took over 1 second"),
    "/announced": (TooLarge, "100,000"),
    "/cut": (RemoteFailed, "broke off"),
    "/cut-chunk": (RemoteFailed, "broke off"),
    "/negative-chunk": (RemoteFailed, "broke off"),
    "/slow-head": (RemoteFailed, "took over 1 second"),
    "/slow-body": (RemoteFailed, "took over 1 second"),
    "/silent": (RemoteFailed, "took over 1 second"),
    "/bomb": (RemoteFailed, "compressed"),
    "/page": (UrlRefused, "no image"),
    "/empty": (UrlRefused, "empty"),
    "/gone": (UrlRefused, "404"),
    "/part": (UrlRefused, "206"),
    "/broken": (RemoteFailed, "500"),
    "/garbage": (RemoteFailed, "broke off"),
    "/hang-up": (RemoteFailed, "broke off"),
}


@pytest.mark.parametrize("path", HOSTILE)
def test_survives(network: SimpleNamespace, path: str) -> None:
    failure, message = HOSTILE[path]
    start = time.monotonic()
    with pytest.raises(failure, match=message):
        get(network, path, SECONDS if "took over" in message else PATIENCE)
    assert time.monotonic() - start < PATIENCE
    assert network.connected == [PUBLIC]


@pytest.mark.parametrize("path", ["/loop", "/nowhere"])
def test_follows_so_many_redirects_and_no_more(network: SimpleNamespace, path: str) -> None:
    with pytest.raises(UrlRefused, match="redirects"):
        get(network, path, seconds=10)
    assert network.connected == [PUBLIC] * (MAX_REDIRECTS + 1)


def test_believes_no_certificate_of_another_name(network: SimpleNamespace) -> None:
    with pytest.raises(RemoteFailed, match="verified"):
        get(network, "https://third.example.com/file", seconds=10)


def test_believes_no_certificate_of_an_unknown_authority(network: SimpleNamespace) -> None:
    network.context = None
    with pytest.raises(RemoteFailed, match="verified"):
        get(network, "/file", seconds=10)


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_survives_a_server_without_tls(network: SimpleNamespace, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        network.port = listener.getsockname()[1]
        clients = []

        def greet() -> None:
            client, _ = listener.accept()
            client.sendall(greeting)
            clients.append(client)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(RemoteFailed):
            get(network, "/file")
        thread.join()
        clients[0].close()


def test_survives_a_server_that_is_down(network: SimpleNamespace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        network.port = listener.getsockname()[1]
    with pytest.raises(RemoteFailed, match="reached"):
        get(network, "/file")


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), UrlRefused),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), RemoteFailed),
        (TimeoutError(), RemoteFailed),
    ],
)
def test_tells_an_unknown_name_from_a_failing_resolver(
    network: SimpleNamespace, error: Exception, failure: type[OcrError]
) -> None:
    network.names["images.example.com"] = error
    with pytest.raises(failure):
        get(network, "/file")


def test_a_name_without_addresses_is_refused(network: SimpleNamespace) -> None:
    network.names["images.example.com"] = []
    with pytest.raises(UrlRefused):
        get(network, "/file")


def test_the_system_s_resolver_is_not_waited_for_longer_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "127.0.0.1" in resolve("localhost", 10)
    answers, answered = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        answers.wait(PATIENCE)
        answered.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        with pytest.raises(TimeoutError):
            resolve("images.example.com", 0.1)
        assert not answered.is_set()
    finally:
        answers.set()


def send(network: SimpleNamespace, url: str, seconds: float = PATIENCE) -> None:
    if url in PAGES:
        url = f"https://images.example.com{url}"
    headers = {"Content-Type": "application/json", "webhook-id": "7"}
    post(url, b'{"a": 1}', headers, seconds, resolve=network.resolve, connect=network.connect, context=network.context)


def test_sends_a_message(network: SimpleNamespace, server: Server) -> None:
    send(network, "/hook", seconds=10)
    assert network.connected == [PUBLIC]
    head, body = server.requests[-1].split("\r\n\r\n")
    request, *headers = head.split("\r\n")
    assert (request, body) == ("POST /hook HTTP/1.1", '{"a": 1}')
    assert dict(header.split(": ", 1) for header in headers) == {
        "Host": "images.example.com",
        "Accept-Encoding": "identity",
        "Content-Length": "8",
        "Content-Type": "application/json",
        "User-Agent": "paragraph-ocr",
        "webhook-id": "7",
    }


@pytest.mark.parametrize(
    ("url", "failure"),
    [("http://images.example.com/hook", UrlRefused), ("https://93.184.215.14/hook", UrlRefused),
     ("https://metadata.example.com/hook", UrlRefused), ("/elsewhere", RemoteFailed), ("/broken", RemoteFailed),
     ("/gone", RemoteFailed), ("/hang-up", RemoteFailed), ("/slow-head", RemoteFailed), ("/silent", RemoteFailed)],
)  # fmt: skip
def test_sends_nothing_to_where_it_must_not_and_says_so_when_it_does_not_arrive(
    network: SimpleNamespace, url: str, failure: type[OcrError]
) -> None:
    start = time.monotonic()
    with pytest.raises(failure, match="webhook_url"):
        send(network, url, SECONDS if url in ("/slow-head", "/silent") else PATIENCE)
    assert time.monotonic() - start < PATIENCE
    assert network.connected in ([], [PUBLIC])
    if failure is UrlRefused:
        assert network.connected == []
