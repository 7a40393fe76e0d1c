"""The parts of torchvision that training uses, which also import where its compiled operators cannot be loaded.

PyPI's wheel of torchvision is built for CUDA, and its operators do not load beside a torch without CUDA. No transform
needs them, but importing torchvision fails unless those that it registers shape functions for are defined.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

_spec = find_spec("torchvision")
if _spec is None or _spec.origin is None:
    raise ModuleNotFoundError("torchvision is not installed: pip install '.[train]'", name="torchvision")
try:
    torch.ops.load_library(Path(_spec.origin).parent / "_C.so")  # type: ignore[no-untyped-call]
except OSError:
    for _name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{_name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision.transforms import v2  # noqa: E402
from torchvision.utils import make_grid  # noqa: E402

__all__ = ["make_grid", "v2"]
