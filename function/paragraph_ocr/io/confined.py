"""Process a file in a separate process with limited memory and time and without credentials.

Hostile files can make a decoder use any amount of memory and time, which cannot be stopped from within. The separate
process is killed at its time limit, fails if it allocates more memory than allowed, and has no access to the
environment and the memory of the function's own process.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from threading import TIMEOUT_MAX, Timer
from typing import IO, Any

from paragraph_ocr import errors

# Variables that the dynamic loader needs; the process gets no others.
_ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")
# Processor time beyond its limit after which the system ends a process that nobody has ended.
_SPARE_SECONDS = 2
_MAX_CPU_SECONDS = 86_400
_PR_SET_DUMPABLE = 4


class Confined:
    """A running process for one file; `close` ends it.

    Parameters
    ----------
    module : str
        Module whose function ``serve(task, data)`` the process runs; it communicates by `send` and `receive`.
    name : str
        Format of the file, for error messages.
    task : dict
        Arguments, as JSON.
    data : bytes
        The file.
    memory : int
        Bytes that the process may allocate beyond those of the interpreter and its modules.
    seconds : float
        Limit of its processor time, in case this process dies first.
    """

    def __init__(self, module: str, name: str, task: dict[str, Any], data: bytes, memory: int, seconds: float) -> None:
        _keep_credentials()
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        # Otherwise each thread of a decoder reserves 64 MB of address space for its heap.
        environment["MALLOC_ARENA_MAX"] = "1"
        self._name = name
        self._late = False
        self._process = subprocess.Popen(
            # -P keeps modules of the working directory from shadowing the standard library.
            [sys.executable, "-P", "-m", "paragraph_ocr.io.confined", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            close_fds=True,
        )
        try:
            cpu = int(min(max(seconds, 0), _MAX_CPU_SECONDS)) + _SPARE_SECONDS
            self.ask({"memory": memory, "cpu_seconds": cpu, "task": task}, data)
        except BaseException:
            self.close()
            raise

    def ask(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a message; if the process has ended, `answer` notices."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            _write(self._process.stdin, header, payload)

    def answer(self, seconds: float) -> tuple[dict[str, Any], bytearray]:
        """Return the process's next message, or kill the process at the time limit.

        Raises
        ------
        DeadlineExceeded
            The answer did not come within `seconds`.
        TooLarge
            The process ended without an answer, since it was refused memory.
        OcrError
            Raised by the process.
        """
        assert self._process.stdout is not None
        if seconds <= 0:
            self.close()
            raise errors.DeadlineExceeded("The time for the file is over; send fewer pages, or a smaller image.")
        watch = Timer(min(seconds, TIMEOUT_MAX), self._end)
        watch.start()
        try:
            header, payload = _read(self._process.stdout)
        except EOFError as error:
            self._process.kill()
            if self._late or self._process.wait() == -getattr(signal, "SIGXCPU", 0):
                raise errors.DeadlineExceeded(
                    f"A page of the {self._name} file takes longer than {seconds:.0f} seconds; "
                    "send its pages as images, or save the image anew."
                ) from error
            raise errors.TooLarge(
                f"A page of the {self._name} file takes too much memory; send its pages as images, or save it anew."
            ) from error
        finally:
            watch.cancel()
        if "error" in header:
            kind: type[errors.OcrError] = getattr(errors, header["error"])
            raise kind(header["detail"])
        return header, payload

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with self._process:
            # Unread answers and questions are discarded.
            if self._process.stdin is not None:
                with suppress(BrokenPipeError):
                    self._process.stdin.close()

    def _end(self) -> None:
        self._late = True
        self._process.kill()


def _keep_credentials() -> None:
    """Make memory and environment of this process unreadable for others of the same user, if it has credentials.

    By default, Linux lets every process of a user read both under /proc (see PR_SET_DUMPABLE in prctl(2)); root still
    can.
    """
    if sys.platform == "linux" and any(name.startswith(("AWS_SECRET", "AWS_SESSION")) for name in os.environ):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def send(header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Send an answer; called in the separate process."""
    _write(sys.stdout.buffer, header, payload)


def receive() -> tuple[dict[str, Any], bytearray]:
    """Return the next question; called in the separate process. Raises EOFError if there are no more."""
    return _read(sys.stdin.buffer)


def _write(stream: IO[bytes], header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write a message: a line of JSON with the number of bytes that follow it."""
    stream.write(json.dumps({**header, "bytes": len(payload)}).encode() + b"\n")
    stream.write(payload)
    stream.flush()


def _read(stream: IO[bytes]) -> tuple[dict[str, Any], bytearray]:
    """Read a message; raises EOFError if the stream ends before it is complete."""
    header = _read_header(stream)
    return header, _read_payload(stream, header.pop("bytes"))


def _read_header(stream: IO[bytes]) -> dict[str, Any]:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    header: dict[str, Any] = json.loads(line)
    return header


def _read_payload(stream: IO[bytes], size: int) -> bytearray:
    payload = bytearray(size)
    view = memoryview(payload)
    at = 0
    while at < size:
        count = stream.readinto(view[at:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        at += count
    return payload


def _limit(memory: int, cpu_seconds: int) -> None:
    try:
        import resource
    except ImportError:
        # Windows has no such limits.
        return
    used = 0
    with suppress(OSError), open("/proc/self/statm", encoding="utf-8") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, used + memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(kind, (most, most))


def _main() -> None:
    """Run one task, for the file in the first message; called in the separate process."""
    serve = import_module(sys.argv[1]).serve
    try:
        header = _read_header(sys.stdin.buffer)
        # The limits apply before the file is received.
        _limit(header["memory"], header["cpu_seconds"])
        serve(header["task"], bytes(_read_payload(sys.stdin.buffer, header["bytes"])))
    except errors.OcrError as error:
        send({"error": type(error).__name__, "detail": str(error)})
    except MemoryError:
        send({"error": "TooLarge", "detail": "The image takes too much memory; send a smaller one, or save it anew."})
    except EOFError:
        # The other process has ended.
        pass


if __name__ == "__main__":
    _main()
