"""Fetch files and send messages over HTTPS, to public addresses only and within a time limit."""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from paragraph_ocr.errors import RemoteFailed, TooLarge, UrlRefused
from service.intake import ALIASES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PORT = 443
MAX_REDIRECTS = 3
MAX_URL_CHARACTERS = 2048
# Content types of files whose server does not know their type.
UNTYPED = ("application/octet-stream", "binary/octet-stream", *ALIASES)

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# The last label of a host name begins with a letter, which excludes 2130706433, 0177.1, 0x7f.1 and 127.0.0.1.
_HOST = re.compile(rf"(?:{_LABEL}\.)*(?!0x)[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
# ipaddress treats more as global: of IPv6, only global unicast addresses are allowed, except 6to4 (RFC 7526), which
# contains an IPv4 address, and documentation (RFC 9637).
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_CLOSED = (ipaddress.ip_network("2002::/16"), ipaddress.ip_network("3fff::/20"), ipaddress.ip_network("192.88.99.0/24"))

Resolve = Callable[[str, float], Collection[str]]
Connect = Callable[[str, float], socket.socket]


def is_public(address: str) -> bool:
    """Return whether an IP address is of a host on the public Internet and contains no other address."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and (ip.scope_id or ip not in _GLOBAL_UNICAST):
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _CLOSED)


def resolve(host: str, seconds: float) -> list[str]:
    """Return the addresses of a host name; raises OSError."""
    # getaddrinfo has no timeout.
    executor = ThreadPoolExecutor(1)
    try:
        found = executor.submit(socket.getaddrinfo, host, PORT, type=socket.SOCK_STREAM).result(seconds)
    finally:
        executor.shutdown(wait=False)
    return [str(address[0]) for *_, address in found]


def connect(address: str, seconds: float) -> socket.socket:
    """Connect to an address; raises OSError."""
    return socket.create_connection((address, PORT), seconds)


def check_url(url: str, field: str) -> tuple[str, str]:
    """Return host and target of the URL in a field of a request; raises UrlRefused if it is not allowed."""
    # urlsplit ignores control characters.
    if len(url) > MAX_URL_CHARACTERS or not re.fullmatch("[!-~]+", url):
        raise UrlRefused(f"{field} must be a URL of at most {MAX_URL_CHARACTERS} plain characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlRefused(f"{field} is not a URL.") from error
    if parts.scheme != "https" or port not in (None, PORT) or "@" in parts.netloc:
        raise UrlRefused(f"{field} must be https, on port {PORT}, without user and password.")
    host = parts.hostname or ""
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise UrlRefused(f"The host of {field} must be a name, not an address.")
    return host, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def fetch(
    url: str,
    max_bytes: int,
    max_seconds: float,
    content_types: Collection[str],
    *,
    resolve: Resolve = resolve,
    connect: Connect = connect,
    context: ssl.SSLContext | None = None,
) -> bytes:
    """Fetch the file behind a URL.

    Parameters
    ----------
    url : str
        https on port 443, with a host name and without user and password.
    max_bytes : int
        Limit of the file.
    max_seconds : float
        Time limit for everything: name resolution, redirects and the file.
    content_types : collection of str
        Content types that are allowed, besides those for unknown types.
    resolve, connect : callable
        Access to the network, for tests. The addresses from `resolve` are checked in any case, and `connect` gets an
        address that has passed.
    context : ssl.SSLContext or None
        By default, the system's certificate authorities are trusted.

    Raises
    ------
    UrlRefused
        The URL, or one that it redirects to, is not of this form, its host has an address that is not public, or there
        is no file of these types.
    RemoteFailed
        The server cannot be reached or verified, fails, closes the connection or takes too long.
    TooLarge
        The file has more than `max_bytes`.
    """
    deadline = monotonic() + max_seconds
    try:
        for _ in range(MAX_REDIRECTS + 1):
            host, target = check_url(url, "image_url")
            with _open(host, deadline, resolve, connect, context, "image_url") as tls:
                connection = http.client.HTTPConnection(host)
                connection.sock = _Timed(tls, deadline)
                accepted = {"Accept": ", ".join([*content_types, "*/*;q=0.1"]), "User-Agent": "paragraph-ocr"}
                connection.request("GET", target, headers=accepted)
                answer = connection.getresponse()
                if answer.status not in (301, 302, 303, 307, 308):
                    return _body(answer, max_bytes, content_types)
                url = _redirected(url, answer.getheader("Location") or "")
    except TimeoutError as error:
        raise RemoteFailed(f"The server of image_url took over {max_seconds:.0f} seconds.") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RemoteFailed("The server of image_url cannot be reached or verified, or broke off.") from error
    raise UrlRefused(f"image_url redirects more than {MAX_REDIRECTS} times; send the last URL, or the image itself.")


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    max_seconds: float,
    *,
    resolve: Resolve = resolve,
    connect: Connect = connect,
    context: ssl.SSLContext | None = None,
) -> None:
    """Send a message to a webhook.

    Parameters
    ----------
    url : str
        As in `fetch`; redirects are not followed.
    body : bytes
    headers : mapping of str to str
    max_seconds : float
        Time limit for everything.
    resolve, connect, context
        As in `fetch`.

    Raises
    ------
    UrlRefused
        The URL is not of this form, or its host has an address that is not public.
    RemoteFailed
        The server cannot be reached or verified, closes the connection, takes too long, or does not answer 2xx.
    """
    deadline = monotonic() + max_seconds
    try:
        host, target = check_url(url, "webhook_url")
        with _open(host, deadline, resolve, connect, context, "webhook_url") as tls:
            connection = http.client.HTTPConnection(host)
            connection.sock = _Timed(tls, deadline)
            connection.request("POST", target, body, {**headers, "User-Agent": "paragraph-ocr"})
            status = connection.getresponse().status
    except TimeoutError as error:
        raise RemoteFailed(f"The server of webhook_url took over {max_seconds:.0f} seconds.") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RemoteFailed("The server of webhook_url cannot be reached or verified, or broke off.") from error
    if not 200 <= status < 300:
        raise RemoteFailed(f"The server of webhook_url answered {status}.")


class _Timed(io.RawIOBase):
    """A connection for http.client with one deadline for all reads and writes."""

    def __init__(self, tls: ssl.SSLSocket, deadline: float) -> None:
        self.tls = tls
        self.deadline = deadline

    def sendall(self, data: bytes) -> None:
        self.tls.settimeout(_left(self.deadline))
        self.tls.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self.tls.settimeout(_left(self.deadline))
        return self.tls.recv_into(buffer)

    def close(self) -> None:
        """Do nothing, since http.client closes the connection before it has read the body."""


def _left(deadline: float) -> float:
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


@cache
def _trusting_the_system() -> ssl.SSLContext:
    return ssl.create_default_context()


def _open(
    host: str, deadline: float, resolve: Resolve, connect: Connect, context: ssl.SSLContext | None, field: str
) -> ssl.SSLSocket:
    """Return a TLS connection to a checked address of the host that a field of the request names."""
    try:
        addresses = resolve(host, _left(deadline))
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            raise UrlRefused(f"The host of {field} is not known.") from error
        raise
    if not addresses or not all(is_public(address) for address in addresses):
        raise UrlRefused(f"The host of {field} is not on the public Internet.")
    failure = OSError()
    for address in addresses:
        try:
            connection = connect(address, _left(deadline))
        except OSError as error:
            failure = error
        else:
            connection.settimeout(max(deadline - monotonic(), 0.001))
            return (context or _trusting_the_system()).wrap_socket(connection, server_hostname=host)
    raise failure


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise UrlRefused("image_url redirects to what is not a URL.") from error


def _body(answer: http.client.HTTPResponse, max_bytes: int, content_types: Collection[str]) -> bytes:
    if answer.status >= 500:
        raise RemoteFailed(f"The server of image_url answered {answer.status}.")
    if answer.status != 200:
        raise UrlRefused(f"The server of image_url answered {answer.status}; send a URL that anyone may read.")
    kind = (answer.getheader("Content-Type") or UNTYPED[0]).partition(";")[0].strip().lower()
    if kind not in content_types and kind not in UNTYPED:
        raise UrlRefused("There is no image behind image_url; its server says it is something else.")
    if (answer.getheader("Content-Encoding") or "identity").lower() != "identity":
        raise RemoteFailed("The server of image_url compressed the file, which nobody asked for.")
    too_large = TooLarge(f"The file behind image_url has more than {max_bytes:,} bytes.")
    if answer.length is not None and answer.length > max_bytes:
        raise too_large
    data = bytearray()
    while chunk := answer.read(2**16):
        data += chunk
        if len(data) > max_bytes:
            raise too_large
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    if not data:
        raise UrlRefused("The file behind image_url is empty.")
    return bytes(data)
