"""Process of one reader, which takes paths of images on standard input and answers on standard output, in JSON.

The reader runs on one core. Paths and answers are a line each. An answer has the text, the milliseconds from the file's
bytes to the text, and the peak memory of the process and its children so far in megabytes. The first answer, to no
path, names the version of the reader.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

Read = Callable[[Path], str]


def paragraph_ocr() -> tuple[str, Read]:
    """This project's reader."""
    from paragraph_ocr.pipeline.reader import PageReader

    reader = PageReader.load(threads=1)
    version = ", ".join(reader.models.values())
    return version, lambda path: reader.read(path.read_bytes(), path.name).text


def rapidocr() -> tuple[str, Read]:
    """RapidOCR with the models of its wheel."""
    from importlib.metadata import version

    from rapidocr import RapidOCR

    threads = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    settings = {f"EngineConfig.onnxruntime.{name}": value for name, value in threads.items()}
    reader = RapidOCR(params={"Global.log_level": "critical"} | settings)
    return f"rapidocr {version('rapidocr')}", lambda path: "\n".join(reader(path.read_bytes()).txts or ())


def tesseract() -> tuple[str, Read]:
    """Tesseract with the languages in TESSERACT_LANGUAGES, in a process per page, like its command line."""
    version = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[
        0
    ]
    command = ["tesseract", "stdin", "stdout", "-l", os.environ.get("TESSERACT_LANGUAGES", "fra+eng")]

    def read(path: Path) -> str:
        return subprocess.run(command, input=path.read_bytes(), capture_output=True, check=True).stdout.decode()

    return version, read


READERS = {"paragraph-ocr": paragraph_ocr, "rapidocr": rapidocr, "tesseract": tesseract}


def peak_megabytes() -> float:
    """Return the peak memory of this process, or of its largest child if that is more."""
    # Not RUSAGE_SELF, which includes the memory of the parent before the start.
    own = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    assert own
    return max(int(own[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["OMP_THREAD_LIMIT"] = os.environ["OMP_NUM_THREADS"] = "1"
    version, read = READERS[sys.argv[1]]()
    print(json.dumps({"version": version}), flush=True)
    for row in sys.stdin:
        start = perf_counter()
        text = read(Path(row.rstrip("\n")))
        milliseconds = 1000 * (perf_counter() - start)
        print(json.dumps({"text": text, "ms": milliseconds, "megabytes": peak_megabytes()}), flush=True)


if __name__ == "__main__":
    main()
