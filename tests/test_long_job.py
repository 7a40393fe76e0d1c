"""Writing the results of a long document takes no more memory the longer it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paragraph_ocr.formats import FORMATS


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tiff", "pdf"])
def test_memory_does_not_grow_with_the_pages(kind: str) -> None:
    root = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    peaks = []
    for pages in (20, 80):
        command = [sys.executable, "-m", "benchmarks.long_job", "--pages", str(pages), "--lines", "50", "--kind", kind]
        run = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True)
        measured = json.loads(run.stdout)
        peaks.append(measured["peak_megabytes"] - measured["megabytes_before"])
        assert len(measured["MiB"]) == len(FORMATS)
    # In memory, a page of fifty lines takes a megabyte, and its results another while they are made: 120 for sixty
    # pages. The buffers of what is uploaded in parts fill meanwhile.
    assert peaks[1] - peaks[0] < 60
