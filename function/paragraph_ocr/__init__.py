"""Read the handwritten and printed lines of images and PDFs.

from paragraph_ocr import Reader

document = Reader().read("page.jpg")
print(document.text)
document.save("page.pdf")
"""

import os

# mypy takes it to be true; typing is slow to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from paragraph_ocr.api import Reader
    from paragraph_ocr.document import Document, Line, Page, Word
    from paragraph_ocr.errors import OcrError
    from paragraph_ocr.pipeline.options import ReadOptions

# onnxruntime reads this when it is imported; its telemetry cannot be turned off later.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.2.0"
__all__ = ["Document", "Line", "OcrError", "Page", "ReadOptions", "Reader", "Word", "__version__"]

# Imported on first use: NumPy, OpenCV and onnxruntime take most of a second.
_MODULES = {
    "Reader": "api",
    "Document": "document",
    "Line": "document",
    "Page": "document",
    "Word": "document",
    "OcrError": "errors",
    "ReadOptions": "pipeline.options",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
