"""Paragraph OCR: the bytes of a picture go in, its text comes out as a page of lines."""

import os

# onnxruntime reads this while it loads, and nothing it offers later turns its telemetry off.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
