"""Writing the results of a long document takes no more memory the longer it is; the drill reads one of full pages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.drill import long_document
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.pipeline.reader import PageReader


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tiff", "pdf"])
def test_the_pages_of_the_drill_s_document_have_all_their_lines(kind: str) -> None:
    document = PageReader.load().read(long_document(2, 50, kind), "")
    assert [len(page.lines) for page in document.pages] == [50, 50]
    assert document.pages[0].text != document.pages[1].text
