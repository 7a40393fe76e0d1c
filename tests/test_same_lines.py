"""The lines of a page are the same, to the last bit, whatever kernels the processor makes NumPy's BLAS choose."""

import os
import platform
import subprocess
import sys

import pytest

# Of maps as the detector returns them, wavy and slanted lines and their frames.
LINES = """
import hashlib
import numpy as np
from paragraph_ocr.pipeline.detection import find_lines
from paragraph_ocr.pipeline.rectification import Geometry, frame

rng = np.random.default_rng(0)
rows, columns = np.mgrid[:300, :380]
maps = np.full((4, 300, 380), -6.0, np.float32)
for number in range(11):
    level = 20 + 24 * number + 4 * np.sin(columns / (30 + number)) + (number - 5) * columns / 90
    core = (np.abs(rows - level) < 3) & (columns > 12) & (columns < 365 - 20 * number)
    maps[0][core] = 5.0
    maps[1][core] = ((level + 4 - rows) / 5 + rng.normal(0, 0.02, rows.shape))[core]
maps[2:] = rng.normal([[[1.6]], [[0.7]]], 0.05, (2, 300, 380))
found = find_lines(maps, 2.0, 0.5, 0.35)
assert len(found) == 11
digest = hashlib.sha256()
for line in found:
    within = frame(line.baseline, line.ascender, line.descender, Geometry(48, 1024))
    for points in (line.baseline, line.polygon, within.origins, within.downs):
        digest.update(np.ascontiguousarray(points).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names kernels of x86-64")
def test_lines_are_the_same_with_the_kernels_of_other_processors() -> None:
    seen = set()
    for kernels in ("Prescott", "Nehalem", "Haswell", None):
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        if kernels:
            environment["OPENBLAS_CORETYPE"] = kernels
        run = subprocess.run([sys.executable, "-c", LINES], env=environment, capture_output=True, text=True, check=True)
        seen.add(run.stdout)
    assert len(seen) == 1
