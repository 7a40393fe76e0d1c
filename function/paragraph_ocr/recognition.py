"""Strips of text lines in; the characters of each, with confidence and place, out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.ctc import Character, decode
from paragraph_ocr.language import LanguageModel
from paragraph_ocr.models import ModelError, Runnable
from paragraph_ocr.rectification import Geometry, Normalisation, to_ink


class Recognizer:
    """The line recogniser: a loaded model and what its card says about strips and classes.

    Parameters
    ----------
    model : Runnable
    language : LanguageModel, optional
        Weighs what the model gives; without it every step's best class is taken.

    Raises
    ------
    ModelError
        The language model's charset is not the model's.
    """

    def __init__(self, model: Runnable, language: LanguageModel | None = None) -> None:
        if language is not None and language.charset != model.card.charset:
            raise ModelError("The language model has another charset than the recogniser; fit it anew or take it away")
        self.model = model
        self.language = language
        preprocessing = model.card.preprocessing
        _, _, height, width = model.input_shape
        self.geometry = Geometry(height, width, **preprocessing["geometry"])
        self.normalisation = Normalisation(**preprocessing["normalisation"])
        self.columns_a_step = width / model.card.output_shape[1]

    def read(self, strips: Sequence[NDArray[np.uint8]]) -> list[list[Character]]:
        """The characters of each strip, left to right; their steps are `columns_a_step` strip columns wide.

        Parameters
        ----------
        strips : sequence of uint8 (H, W)
            Cut with this recogniser's `geometry`.
        """
        card = self.model.card
        size = card.input_shape[0]
        readings: list[list[Character]] = []
        for start in range(0, len(strips), size):
            part = strips[start : start + size]
            batch = np.zeros(card.input_shape, np.float32)
            for row, strip in zip(batch, part, strict=False):
                row[0, :, : strip.shape[1]] = to_ink(strip, self.normalisation)
            outputs = self.model.run(batch)
            readings.extend(decode(output, card.charset, card.blank, self.language) for output in outputs[: len(part)])
        return readings
