"""The handler with the times of its start, which `benchmarks.cold` has the runtime client load instead of `app`.

The times, in seconds of the monotonic clock that all processes share, are written to the file that TRACE names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import monotonic

begun = monotonic()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

from paragraph_ocr.models import Model  # noqa: E402
from paragraph_ocr.pipeline.language import Languages  # noqa: E402

spent = dict.fromkeys(("sessions", "warm-up"), 0.0)


def timed(kind: type, name: str, step: str) -> None:
    original = getattr(kind, name)

    def call(*arguments: object) -> object:
        start = monotonic()
        try:
            return original(*arguments)
        finally:
            spent[step] += monotonic() - start

    setattr(kind, name, call)


timed(Model, "__init__", "sessions")
timed(Languages, "load", "sessions")
timed(Model, "run", "warm-up")

from app import handler  # noqa: E402, F401

moments = {"begun": begun, "ready": monotonic(), **spent}
Path(os.environ["TRACE"]).write_text(json.dumps(moments), encoding="utf-8")
