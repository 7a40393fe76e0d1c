"""What a start of the handler loads: what all requests need, and nothing that only some do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paragraph_ocr.models import Model
from service.runtime import load_reader
from service.settings import Settings

FUNCTION = Path(__file__).parents[1] / "function"

# Of some formats and forms, of other entry points, of jobs, of tests; and what numpy would load lazily.
LATER = {
    *("PIL.ImageDraw", "PIL.TiffImagePlugin", "pillow_heif", "pypdfium2", "xml.etree", "multipart", "boto3"),
    *(
        f"paragraph_ocr.{name}"
        for name in ("formats.hocr", "formats.alto", "formats.overlay", "formats.pdf", "io.pdfium", "cli.main")
    ),
    *("service.fetch", "service.jobs", "http.client", "urllib.request", "email.message", "tqdm", "argparse"),
    *("multiprocessing", "concurrent.futures.process", "unittest", "numpy.testing", "numpy.random", "numpy.fft"),
    *("numpy.ma", "numpy.polynomial", "numpy.f2py", "pydantic", "aws_xray_sdk", "matplotlib", "torch"),
}


def test_nothing_is_loaded_that_a_request_may_not_need() -> None:
    code = "import sys, app; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(FUNCTION), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=FUNCTION
    )
    loaded = set(run.stdout.split())
    assert {"cv2", "numpy", "onnxruntime", "paragraph_ocr.pipeline.reader"} <= loaded
    assert not loaded & LATER


@pytest.mark.parametrize(("kind", "runs"), [("on-demand", 0), ("provisioned-concurrency", 2), ("snap-start", 2)])
def test_models_are_tried_at_start_only_where_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, kind: str, runs: int
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(Model, "run", lambda self, values: shapes.append(values.shape))
    settings = Settings.from_environment()
    load_reader(settings, settings.request_limits)
    assert len(shapes) == runs
