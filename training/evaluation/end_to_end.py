"""Measure a network that is being trained end to end, with the shipped model for the other half of the product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from paragraph_ocr.models import FOLDER, Card, Model, Runnable
from paragraph_ocr.pipeline.detection import Detector
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.recognition import Recognizer
from training.data.pages import TruePage
from training.evaluation.product import Figures, score_page


class TorchModel:
    """A torch network where the product expects a loaded ONNX model.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    description : mapping
        What `training.tasks.recognition.describe` or `training.tasks.detection.describe` say of it.
    device : torch.device
    """

    def __init__(self, network: nn.Module, description: dict[str, Any], device: torch.device) -> None:
        self.network = network
        self.device = device
        self.input_shape = tuple(description["input"]["shape"])
        self.card = Card(
            name=description["model"],
            version="fitting",
            sha256="",
            input_shape=self.input_shape,
            multiples=tuple(description["input"]["multiples"]),
            output_shapes=tuple(output.shape for output in self.run(np.zeros(self.input_shape, np.float32))),
            preprocessing=description["preprocessing"],
            charset=description.get("charset", ""),
            blank=description.get("blank", 0),
        )

    def run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """The outputs for one input, as `paragraph_ocr.models.Model.run` gives them."""
        with torch.inference_mode():
            outputs = self.network(torch.from_numpy(values).to(self.device))
        return tuple(o.float().cpu().numpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,)))


def page_character_errors(
    pages: list[TruePage],
    network: nn.Module,
    description: dict[str, Any],
    device: torch.device,
    models: Path = FOLDER,
) -> dict[str, float]:
    """Character error of whole pages, for each source, with one half of the product replaced by `network`.

    The other half is the ONNX model in `models`; where there is none yet, nothing is measured.
    """
    other = "detector" if description["model"] == "recognizer" else "recognizer"
    path = models / f"{other}.onnx"
    if not path.exists():
        return {}
    halves: dict[str, Runnable] = {
        description["model"]: TorchModel(network, description, device),
        other: Model(path, threads=1),
    }
    reader = PageReader(Detector(halves["detector"]), Recognizer(halves["recognizer"]))
    figures: dict[str, Figures] = {}
    for page in pages:
        reading = reader.read_image(page.pixels(), page.page_id)
        score_page(page, reading, figures.setdefault(page.source, Figures()))
    return {f"page cer {name}": own.lines.characters for name, own in sorted(figures.items())}


def choose_pages(pages: list[TruePage], count: int) -> list[TruePage]:
    """The first `count` pages of each source, in order."""
    chosen: dict[str, list[TruePage]] = {}
    for page in pages:
        own = chosen.setdefault(page.source, [])
        if len(own) < count:
            own.append(page)
    return [page for own in chosen.values() for page in own]
