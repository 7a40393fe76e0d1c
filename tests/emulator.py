"""Lambda's own runtime client and emulator, which run a handler of the image and answer over HTTP."""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

FUNCTION = Path(__file__).parents[1] / "function"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Emulator:
    """Invokes the function; `log` is what it wrote."""

    def __init__(self, port: int, log: Path, process: int) -> None:
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        self.log = log
        self.process = process

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        with urllib.request.urlopen(self.url, json.dumps(event).encode(), timeout=300) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def kill_function(self) -> None:
        """Kill the function's process, which the emulator started."""
        children = Path(f"/proc/{self.process}/task").glob("*/children")
        (function,) = {int(child) for file in children for child in file.read_text().split()}
        os.kill(function, signal.SIGKILL)


@contextmanager
def emulate(folder: Path, handler: str, variables: dict[str, str]) -> Iterator[Emulator]:
    """Run a handler, such as ``app.handler``, with more in its environment; `folder` takes the program and the log."""
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    wheel = distribution("aws-sam-cli")
    program = folder / "aws-lambda-rie"
    shutil.copy(str(wheel.locate_file(f"samcli/local/rapid/aws-lambda-rie-{architecture}")), program)
    program.chmod(0o755)
    port, runtime_port = free_port(), free_port()
    log = folder / "log"
    environment = {
        "PATH": os.environ["PATH"],
        # A home that cannot be written, as in Lambda.
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_REGION": "eu-west-1",
        **variables,
    }
    command = [
        *(program, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
        *(sys.executable, "-m", "awslambdaric", handler),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=FUNCTION, env=environment, stdout=output, stderr=output)
        try:
            for _ in range(1200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield Emulator(port, log, process.pid)
        finally:
            process.terminate()
            process.wait(60)
