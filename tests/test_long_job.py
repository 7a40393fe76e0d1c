"""Writing the results of a long document takes no more memory the longer it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tiff", "pdf"])
def test_memory_does_not_grow_with_the_pages(kind: str) -> None:
    command = [sys.executable, "-m", "benchmarks.long_job", "--pages", "60", "--lines", "50", "--kind", kind]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[1]
    measured = json.loads(subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True).stdout)
    # In memory, a page of fifty lines takes a megabyte, and its results another while they are made.
    assert measured["peak_megabytes"] - measured["megabytes_before"] < 40
    assert len(measured["MiB"]) == 5
