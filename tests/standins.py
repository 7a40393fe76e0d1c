"""Models that compute nothing, for tests in which reading is not the subject."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.io.limits import Limits
from paragraph_ocr.model_set import load_manifest
from paragraph_ocr.models import FOLDER, Card, read_card
from paragraph_ocr.pipeline.detection import Detector
from paragraph_ocr.pipeline.reader import PageReader
from paragraph_ocr.pipeline.recognition import Recognizer

UPRIGHT = np.array([[9.0, 0.0]], np.float32)


class StillModel:
    """A small model that answers the same whatever it is given.

    Parameters
    ----------
    card : Card
    outputs : float32 of the card's shapes
    """

    def __init__(self, card: Card, *outputs: NDArray[np.float32]) -> None:
        self.card = card
        self.outputs = outputs

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.card.input_shape

    def run(self, _: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return self.outputs


class StillReader(PageReader):
    """Goes through every step of reading, fast, and finds the line "a" across every page."""

    def __init__(self, limits: Limits) -> None:
        card = read_card(FOLDER / "detector.json")
        shape = (1, 1, 128, 128)
        card = replace(card, input_shape=shape, multiples=shape, output_shapes=((1, 4, 32, 32), (1, 2)))
        maps = np.full(card.output_shapes[0], -20.0, np.float32)
        maps[:, 1:] = 1.0
        maps[:, 0, 10:13, 4:-4] = 20.0
        detector = Detector(StillModel(card, maps, UPRIGHT))
        card = read_card(FOLDER / "recognizer.json")
        _, channels, height, _ = card.input_shape
        shape = (2, channels, height, 256)
        card = replace(card, input_shape=shape, multiples=shape, output_shapes=((2, 64, card.output_shapes[0][2]),))
        # Logarithms of probabilities.
        logits = np.full(card.output_shapes[0], -20.0, np.float32)
        logits[..., card.blank] = 0.0
        logits[:, 40:44, card.blank] = -20.0
        logits[:, 40:44, card.charset.index("a") + (card.blank == 0)] = 0.0
        super().__init__(detector, Recognizer(StillModel(card, logits)), limits)
        self.model_set = load_manifest(FOLDER)
