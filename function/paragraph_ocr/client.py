"""A client of the HTTP API, which needs the extra `client`: ``pip install 'paragraph-ocr[client]'``.

from paragraph_ocr.client import Client

with Client("https://HOST/v1", key="...") as client:
    document = client.read("page.jpg", lang="de")
    markdown = client.read("page.jpg", format="markdown")
    register = client.read_job("register.pdf", progress=True)
"""

from __future__ import annotations

import json
import math
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload
from urllib.parse import urljoin, urlsplit

try:
    import requests
except ImportError as error:
    raise ImportError("The client needs requests: pip install 'paragraph-ocr[client]'") from error

from paragraph_ocr import __version__
from paragraph_ocr.cli.terminal import printable
from paragraph_ocr.document import Document, Page, TextStyle
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.io.sources import File, load

TextFormat = Literal["text", "hocr", "alto", "page", "markdown", "csv"]

# More than a request can carry; the API tells its own limit where that is lower.
MAX_REQUEST_BYTES = 4_500_000
# More than API Gateway lets through, and than the largest result of a job.
MAX_ANSWER_BYTES = 16 * 2**20
MAX_RESULT_BYTES = 2**30
# Longest pause that a server may ask for before a request is repeated, and longest of the client's own, in seconds.
MAX_RETRY_AFTER = 120.0
MAX_BACKOFF = 20.0
# Seconds for connecting.
CONNECT_SECONDS = 10.0
# Between two questions about a job: how many times as long as the last pause, up to so many seconds.
POLL_GROWTH, MAX_POLL_SECONDS = 1.5, 15.0
# Statuses of failures that pass, and of one that does not although its status says so.
TRANSIENT = (429, 502, 503, 504)
PERMANENT = "urn:paragraph-ocr:deadline-exceeded"
IN_USE = "urn:paragraph-ocr:idempotency-key-in-use"
STYLES = tuple(TextStyle(joined, marked) for joined in (False, True) for marked in (False, True))
STATES = ("waiting", "running", "done", "failed")

T = TypeVar("T", bound="ApiError")

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY = re.compile("[!-~]+")
_S3_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_MAX_NAME = 255
_MAX_DETAIL = 1000


class Options(TypedDict, total=False):
    """Options of reading, the query parameters of ``POST /ocr`` in docs/api.md; a list is joined by commas."""

    lang: str | Sequence[str]
    pages: str
    lines: Literal["kept", "joined"]
    mark: bool
    charset: str
    text: Literal["auto", "read"]
    upright: bool


class Waiting(TypedDict, total=False):
    """Options of waiting for a job, as `Client.wait` describes them."""

    timeout: float | None
    interval: float
    progress: bool | Callable[[Job], object]


class JobOptions(Options, Waiting, total=False):
    """Options of reading in a job, and of waiting for it."""


class ClientError(Exception):
    """Base class of the client's errors."""


class Unreachable(ClientError):
    """The server could not be reached, or broke the connection, at every attempt."""


class UnexpectedAnswer(ClientError):
    """The answer is not one of this API: it is no JSON, of another type, too large, or a redirection."""


class ApiError(ClientError):
    """The API answered with a problem (RFC 9457).

    Attributes
    ----------
    status : int
        HTTP status.
    title, detail, type : str
        Kind of the problem, what to change, and URI of the kind; empty where the answer does not say.
    request_id : str
        By which the service's log can be searched; may be empty.
    """

    def __init__(self, status: int, title: str, detail: str = "", type: str = "", request_id: str = "") -> None:
        super().__init__(status, title, detail, type, request_id)
        self.status = status
        self.title = title
        self.detail = detail
        self.type = type
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.title} ({self.status})" + (f": {self.detail}" if self.detail else "")

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return (self.status in TRANSIENT and self.type != PERMANENT) or self.type == IN_USE


class JobFailed(ApiError):
    """A job has failed; the attributes tell the problem."""


@dataclass(frozen=True)
class Counts:
    """Pages and lines of a job."""

    pages: int = 0
    lines: int = 0


@dataclass(frozen=True)
class Job:
    """The state of a job.

    Attributes
    ----------
    id, image : str
    state : str
        "waiting", "running", "done" or "failed".
    done, total : Counts
        What has been read, and what is known of the file so far.
    expires : str
        When the job is deleted with its results, ISO 8601.
    error : JobFailed or None
    """

    id: str
    image: str
    state: str
    done: Counts = Counts()
    total: Counts = Counts()
    expires: str = ""
    error: JobFailed | None = None
    _links: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Client:
    """A client of one API.

    A request is repeated if the connection fails or the answer is 429, 502, 503 or 504, after pauses that double and
    vary, and not before the time that the answer's Retry-After names. Other errors are never repeated. Redirections are
    not followed. The key is sent to the API only, not to the links of jobs.

    Parameters
    ----------
    url : str
        Address of the API, the stack's output `Endpoint` or that of ``make serve``.
    key : str, optional
        API key.
    auth : callable, optional
        Signs requests to the API where the stack asks for Signature Version 4, as ``requests`` takes it: for example
        an `AWS4Auth` of the package requests-aws4auth.
    timeout : float
        Seconds for which a server may stay silent, and in which the API has to answer.
    retries : int
        Times that a request is repeated.
    backoff : float
        Mean pause before the first repetition, in seconds.

    Raises
    ------
    ValueError
        The URL or the key is none.

    Examples
    --------
    >>> from paragraph_ocr.client import Client
    >>> client = Client("http://127.0.0.1:8000")
    >>> print(client.read("page.jpg").text)  # doctest: +SKIP
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        auth: Callable[[requests.PreparedRequest], requests.PreparedRequest] | None = None,
        timeout: float = 60.0,
        retries: int = 4,
        backoff: float = 0.5,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("url must be the address of the API, such as https://HOST/v1 or http://127.0.0.1:8000.")
        if key is not None and not _KEY.fullmatch(key := key.strip()):
            raise ValueError("key must be printable ASCII characters without spaces.")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self._key = key
        self._auth = auth or _unsigned
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"paragraph-ocr/{__version__}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @overload
    def read(
        self, file: File, name: str | None = None, *, format: Literal["json"] = "json", **options: Unpack[Options]
    ) -> Document: ...
    @overload
    def read(self, file: File, name: str | None = None, *, format: TextFormat, **options: Unpack[Options]) -> str: ...
    @overload
    def read(
        self, file: File, name: str | None = None, *, format: Literal["pdf"], **options: Unpack[Options]
    ) -> bytes: ...
    def read(
        self, file: File, name: str | None = None, *, format: str = "json", **options: Unpack[Options]
    ) -> Document | str | bytes:
        """Read a file of at most 4.5 MB in one request; larger ones and long documents take `read_job`.

        Parameters
        ----------
        file : path, bytes or binary file
        name : str, optional
            Name of the image in the results; by default that of the file.
        format : str
            "json" for a document, or another output format: text, hocr, alto, page, markdown, csv or pdf.
        **options
            See `Options`; the API refuses those that it does not know.

        Returns
        -------
        Document, str or bytes
            The document, the text of another format, or the bytes of a PDF.

        Raises
        ------
        ValueError
            The format is none, or the file is too large for a request.
        OSError
            The file cannot be opened.
        ApiError, Unreachable, UnexpectedAnswer
            The API refuses or fails.
        """
        _check_format(format)
        data, name = _content(file, name)
        if len(data) > MAX_REQUEST_BYTES:
            raise ValueError(
                f"{name} has {len(data):,} bytes, and a request can carry {MAX_REQUEST_BYTES:,}; use read_job."
            )
        query = _query(options)
        answer = self._api(
            "POST",
            "ocr",
            headers={"Accept": _media_type(format)},
            params=query if format == "json" else {"format": format, **query},
            data={"image_name": name},
            files={"image": ("image", data, "application/octet-stream")},
        )
        return _result(answer, format)

    def submit(
        self,
        file: File,
        name: str | None = None,
        *,
        webhook: tuple[str, str] | None = None,
        **options: Unpack[Options],
    ) -> Job:
        """Create a job for a file and upload it.

        Parameters
        ----------
        file, name
            As `read` takes them.
        webhook : pair of str, optional
            URL that is told the end, and the secret that signs it, as docs/api.md describes.
        **options
            As `read` takes them; the API refuses those that it does not know for jobs.

        Returns
        -------
        Job
            For `wait`, `job` and `result`; its `id` is enough for them.

        Raises
        ------
        OSError
            The file cannot be opened.
        ApiError, Unreachable, UnexpectedAnswer
            The API or its storage refuses or fails.
        """
        data, name = _content(file, name)
        request = {"image_name": name}
        if webhook:
            request |= {"webhook_url": webhook[0], "webhook_secret": webhook[1]}
        # The same key for all attempts: however often the request arrives, it makes one job.
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._api("POST", "jobs", headers=headers, params=_query(options), json=request)
        with _described():
            made = _object(answer)
            job = Job(_identifier(made["id"]), name, _state(made["state"]), expires=_text(made["expires"]))
            link, fields = self._link(made["upload"]["url"]), made["upload"]["fields"]
            fields = {_text(each): _text(value) for each, value in fields.items()}
        self._send("POST", link, MAX_ANSWER_BYTES, data=fields, files={"file": ("file", data)})
        return job

    def job(self, job: Job | str) -> Job:
        """Ask for the present state of a job, without waiting; errors are those of `submit`."""
        identifier = _identifier(job.id if isinstance(job, Job) else job)
        answer = self._api("GET", f"jobs/{identifier}")
        with _described():
            found = _object(answer)
            error = found.get("error")
            return Job(
                id=identifier,
                image=_text(found["image"]),
                state=_state(found["state"]),
                done=_counts(found["done"]),
                total=_counts(found["total"]),
                expires=_text(found["expires"]),
                error=_problem(error, int(error["status"]), JobFailed) if error else None,
                _links={_text(form): self._link(link) for form, link in found.get("results", {}).items()},
            )

    def wait(
        self,
        job: Job | str,
        *,
        timeout: float | None = None,
        interval: float = 1.0,
        progress: bool | Callable[[Job], object] = False,
    ) -> Job:
        """Wait for the end of a job.

        Parameters
        ----------
        job : Job or str
            The job or its id.
        timeout : float, optional
            Seconds; by default without end.
        interval : float
            Seconds before the state is asked for again; they grow to 15.
        progress : bool or callable
            Whether a progress bar is shown; or what is called with every state.

        Returns
        -------
        Job
            Whose state is "done".

        Raises
        ------
        JobFailed
            The job has failed.
        TimeoutError
            It has not ended in time; it goes on, and can be waited for again.
        ApiError, Unreachable, UnexpectedAnswer
            The API refuses or fails.
        """
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        with _reporting(progress) as report:
            while True:
                state = self.job(job)
                report(state)
                if state.error or state.state == "failed":
                    raise state.error or JobFailed(500, "The job failed")
                if state.state == "done":
                    return state
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"Job {state.id} is {state.state} after {timeout:g} s; it goes on: wait again.")
                time.sleep(min(interval * random.uniform(0.8, 1.2), left))
                interval = min(interval * POLL_GROWTH, MAX_POLL_SECONDS)

    @overload
    def result(self, job: Job | str, *, format: Literal["json"] = "json") -> Document: ...
    @overload
    def result(self, job: Job | str, *, format: TextFormat) -> str: ...
    @overload
    def result(self, job: Job | str, *, format: Literal["pdf"]) -> bytes: ...
    def result(self, job: Job | str, *, format: str = "json") -> Document | str | bytes:
        """Load a result of a job that is done, through a new link, since links expire.

        Takes `format` and returns what `read` does.

        Raises
        ------
        ValueError
            The format is none, or the job is not done.
        ApiError, Unreachable, UnexpectedAnswer
            The API or its storage refuses or fails.
        """
        _check_format(format)
        state = self.job(job)
        if state.error:
            raise state.error
        if state.state != "done":
            raise ValueError(f"Job {state.id} is {state.state}; wait for it first.")
        if format not in state._links:
            raise UnexpectedAnswer(f"The job has no result of the format {format}.")
        headers = {"Accept": _media_type(format)}
        return _result(self._send("GET", state._links[format], MAX_RESULT_BYTES, headers=headers), format)

    @overload
    def read_job(
        self, file: File, name: str | None = None, *, format: Literal["json"] = "json", **options: Unpack[JobOptions]
    ) -> Document: ...
    @overload
    def read_job(
        self, file: File, name: str | None = None, *, format: TextFormat, **options: Unpack[JobOptions]
    ) -> str: ...
    @overload
    def read_job(
        self, file: File, name: str | None = None, *, format: Literal["pdf"], **options: Unpack[JobOptions]
    ) -> bytes: ...
    def read_job(
        self,
        file: File,
        name: str | None = None,
        *,
        format: Any = "json",
        timeout: float | None = None,
        interval: float = 1.0,
        progress: bool | Callable[[Job], object] = False,
        **options: Any,
    ) -> Document | str | bytes:
        """Read a large file or a long document as a job: upload it, wait, and load the result.

        Takes what `submit`, `wait` and `result` take, returns what `result` does, and raises what they raise.
        """
        _check_format(format)
        job = self.wait(self.submit(file, name, **options), timeout=timeout, interval=interval, progress=progress)
        found: Document | str | bytes = self.result(job, format=format)
        return found

    def _api(self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any) -> _Answer:
        """Send a request to the API, with its key."""
        headers = {"Accept": "application/json", **(headers or {})}
        if self._key is not None:
            headers["x-api-key"] = self._key
        url = f"{self.url}/{path}"
        return self._send(method, url, MAX_ANSWER_BYTES, headers=headers, auth=self._auth, own=True, **body)

    def _send(self, method: str, url: str, max_bytes: int, own: bool = False, **request: Any) -> _Answer:
        """Send a request, repeat it where that may help, and return the successful answer."""
        attempt = 0
        while True:
            failure: ClientError
            asked = 0.0
            try:
                answer = self._exchange(method, url, max_bytes, own, {"auth": _unsigned, **request})
            except Unreachable as error:
                failure = error
            else:
                if 200 <= answer.status < 300:
                    return answer
                failure = _failure(answer, url)
                asked = _retry_after(answer.headers.get("retry-after", ""))
                if not (isinstance(failure, ApiError) and failure.transient):
                    raise failure
            pause = min(self.backoff * 2**attempt, MAX_BACKOFF) * random.uniform(0.5, 1.5)
            if attempt >= self.retries or asked > MAX_RETRY_AFTER:
                raise failure
            time.sleep(max(pause, asked))
            attempt += 1

    def _exchange(self, method: str, url: str, max_bytes: int, own: bool, request: Mapping[str, Any]) -> _Answer:
        deadline = time.monotonic() + (self.timeout if own else math.inf)
        host = urlsplit(url).hostname
        try:
            with self._session.request(
                method, url, timeout=(CONNECT_SECONDS, self.timeout), allow_redirects=False, stream=True, **request
            ) as response:
                parts: list[bytes] = []
                size = 0
                for part in response.iter_content(65536):
                    parts.append(part)
                    size += len(part)
                    if size > max_bytes:
                        raise UnexpectedAnswer(f"The answer of {host} has more than {max_bytes:,} bytes.")
                    if time.monotonic() > deadline:
                        raise Unreachable(f"{host} has not answered within {self.timeout:g} s.")
                headers = {each.lower(): value for each, value in response.headers.items()}
                return _Answer(response.status_code, headers, b"".join(parts))
        # The causes are left out, since they quote URLs, and those of jobs give access by themselves.
        except requests.exceptions.SSLError:
            raise UnexpectedAnswer(f"The certificate of {host} is not valid for it, or not trusted.") from None
        except requests.exceptions.Timeout:
            raise Unreachable(f"{host} has not answered within {self.timeout:g} s.") from None
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise Unreachable(f"{host} cannot be reached, or broke the connection.") from None
        except requests.exceptions.RequestException as error:
            raise UnexpectedAnswer(f"The answer of {host} cannot be read ({type(error).__name__}).") from None

    def _link(self, link: Any) -> str:
        """A link of a job, which is as secure as the API's own address at least."""
        parts = urlsplit(_text(link))
        if parts.scheme not in ("https", urlsplit(self.url).scheme) or not parts.hostname:
            raise ValueError("no secure link")
        return str(link)


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is; without this, requests would look for a password in ~/.netrc."""
    return request


def _content(file: File, name: str | None) -> tuple[bytes, str]:
    """The bytes of a file, and its name as the API takes one."""
    data, path = load(file)
    own = Path(path).name
    chosen = own if name is None else name
    cleaned = "".join(each if each.isprintable() else " " for each in chosen)[-_MAX_NAME:]
    return data, cleaned or "image"


def _check_format(form: str) -> None:
    if form not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}.")


def _media_type(form: str) -> str:
    return FORMATS[form].content_type.partition(";")[0]


def _query(options: Mapping[str, Any]) -> dict[str, str]:
    """The query that options are sent as; None is an option that is left out."""

    def written(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return {option: written(value) for option, value in options.items() if value is not None}


def _result(answer: _Answer, form: str) -> Document | str | bytes:
    """What an answer holds in a format."""
    if answer.kind != _media_type(form):
        raise UnexpectedAnswer(f"The answer is of the type {printable(answer.kind[:100])!r}, not {_media_type(form)}.")
    if form == "pdf":
        return answer.body
    if form != "json":
        try:
            return answer.body.decode()
        except UnicodeDecodeError:
            raise UnexpectedAnswer("The answer is not text in UTF-8.") from None
    with _described():
        found = _object(answer)
        pages = tuple(map(_page, found.get("pages", [found])))
        if not pages:
            raise ValueError("no pages")
        return Document(_text(found["image"]), pages)


def _page(found: Mapping[str, Any]) -> Page:
    """A page of an answer, whose text is written as the answer's is."""
    text = _text(found["text"])
    plain = Page.from_dict(found)
    if plain.text == text:
        return plain

    def agreement(page: Page) -> int:
        return _agreement(page.text, text)

    page = max((replace(plain, style=style) for style in STYLES), key=agreement)
    for index in (index for block in page.layout for index in block.lines):
        if page.style.joined and page.lines[index].text.endswith(("-", "\u2010")):
            without = replace(page, style=replace(page.style, hyphens=(*page.style.hyphens, index)))
            page = max(page, without, key=agreement)
    return page


def _agreement(first: str, second: str) -> int:
    """How many characters two texts have in common from the start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


@contextmanager
def _described() -> Iterator[None]:
    """Raise UnexpectedAnswer where an answer has not the entries that the API describes."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        raise UnexpectedAnswer(
            f"The answer is not one of this API, or of another version ({type(error).__name__}: "
            f"{printable(str(error)[:100])})."
        ) from None


def _object(answer: _Answer) -> dict[str, Any]:
    found = json.loads(answer.body)
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return value


def _identifier(value: Any) -> str:
    if not _IDENTIFIER.fullmatch(_text(value)):
        raise ValueError("The id of a job is letters and digits.")
    return str(value)


def _state(value: Any) -> str:
    if value not in STATES:
        raise ValueError("unknown state")
    return str(value)


def _counts(found: Mapping[str, Any]) -> Counts:
    return Counts(int(found["pages"]), int(found["lines"]))


def _failure(answer: _Answer, url: str) -> ClientError:
    """The error that an answer tells of."""
    host = urlsplit(url).hostname
    if 300 <= answer.status < 400:
        target = urlsplit(urljoin(url, answer.headers.get("location", ""))).hostname or "nowhere"
        return UnexpectedAnswer(
            f"{host} redirects to {printable(target[:100])}, which is not followed, since the key would go along. "
            "If that is the API, give its address as url."
        )
    problem: object = {}
    if re.fullmatch(r"application/(problem\+)?json", answer.kind):
        try:
            problem = json.loads(answer.body)
        except (ValueError, RecursionError):
            problem = {}
    elif stated := _S3_MESSAGE.search(answer.body[:10_000].decode(errors="replace")):
        problem = {"detail": stated[1]}
    return _problem(problem if isinstance(problem, dict) else {}, answer.status, ApiError)


def _problem(problem: Mapping[str, Any], status: int, kind: type[T]) -> T:
    def entry(name: str) -> str:
        value = problem.get(name)
        # Texts of a server may be printed on a terminal.
        return printable(value[:_MAX_DETAIL]) if isinstance(value, str) else ""

    usual = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "The request failed"
    # API Gateway's own answers have a message alone.
    title = entry("title") or entry("message") or usual
    return kind(status, title, entry("detail"), entry("type"), entry("request_id"))


def _retry_after(value: str) -> float:
    """Seconds that a Retry-After header names, or 0 (RFC 9110, 10.2.3)."""
    if re.fullmatch("[0-9]{1,9}", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if until.tzinfo is None:
        return 0.0
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


@contextmanager
def _reporting(progress: bool | Callable[[Job], object]) -> Iterator[Callable[[Job], object]]:
    """A function of the state of a job that shows a progress bar, calls a function, or does nothing."""
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(unit="page") as bar:

        def show(job: Job) -> None:
            bar.set_description_str(f"{printable(job.image)}: {job.state}", refresh=False)
            bar.total = job.total.pages or None
            bar.n = job.done.pages
            bar.refresh()

        yield show
