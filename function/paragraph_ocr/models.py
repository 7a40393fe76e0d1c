"""An ONNX file and the card beside it in; a session that runs it, refused unless the two agree, out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

UNCALIBRATED = ((0.0, 1.0), (0.0, 1.0))
FOLDER = Path(__file__).parent / "models"


class ModelError(Exception):
    """A model that is missing, or that is not the one its card describes."""


@dataclass(frozen=True)
class Card:
    """What serving needs to know of a model; the other keys of the card are for people.

    Attributes
    ----------
    name, version : str
    sha256 : str
        Of the ONNX file, in hexadecimal.
    input_shape : tuple of int
        The largest input.
    grains : tuple of int
        Each side of an input is a multiple of its grain; where that is the side itself, there is no other.
    output_shapes : tuple of tuple of int
        What the largest input gives.
    preprocessing : mapping
        What the model's input is made with; the detector's and the recogniser's differ.
    charset : str
        Characters of a recogniser's classes in order, without the blank; empty for a detector.
    blank : int
        Index of the blank class of a recogniser.
    calibration : tuple of two tuples of float
        Rising confidences of a recogniser, and how often it is right at each.
    """

    name: str
    version: str
    sha256: str
    input_shape: tuple[int, ...]
    grains: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    preprocessing: dict[str, Any]
    charset: str
    blank: int
    calibration: tuple[tuple[float, ...], tuple[float, ...]] = UNCALIBRATED

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


def read_card(path: Path) -> Card:
    """The card in a JSON file; raises ModelError when it cannot be read or lacks a key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Card(
            name=content["name"],
            version=content["version"],
            sha256=content["sha256"],
            input_shape=tuple(content["input"]["shape"]),
            grains=tuple(content["input"].get("grains", content["input"]["shape"])),
            output_shapes=tuple(tuple(output["shape"]) for output in content["outputs"]),
            preprocessing=content["preprocessing"],
            charset=content.get("charset", ""),
            blank=content.get("blank", 0),
            calibration=(tuple(calibration["confidence"]), tuple(calibration["right"]))
            if (calibration := content.get("calibration"))
            else UNCALIBRATED,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is no model card: {error!r}") from error


def read_verified(path: Path, sha256: str) -> bytes:
    """The content of a model's file; raises ModelError where its hash is not the one that its card has."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"{path} is not the model its card describes: the SHA-256 differs; make both anew")
    return content


class Runnable(Protocol):
    """What the detector and the recogniser ask of a model."""

    card: Card

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The largest shape the model takes."""
        ...

    def run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """The outputs for one input."""
        ...


class Model:
    """A loaded ONNX model with one input.

    Parameters
    ----------
    path : Path
        The ONNX file; its card has the same name with the suffix .json.
    threads : int
        Threads that compute.

    Raises
    ------
    ModelError
        The file or its card is missing, or the file's hash or shapes are not the card's.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.card = read_card(path.with_suffix(".json"))
        content = read_verified(path, self.card.sha256)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Or the threads of one model spin while the other runs: twice the time where processors are shared.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # One block for all arrays of a run takes 65 MB more than the arena does without, and saves no time.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (given,) = self._session.get_inputs()
        self._input = given.name
        card = self.card
        returned = [output.shape for output in self._session.get_outputs()]
        # A side that is not fixed has a name.
        sides = [side if side == grain else None for side, grain in zip(card.input_shape, card.grains, strict=True)]
        free = [[side if isinstance(side, int) else None for side in shape] for shape in (given.shape, *returned)]
        fits = all(
            len(shape) == len(said) and all(side in (None, length) for side, length in zip(shape, said, strict=True))
            for shape, said in zip(free[1:], card.output_shapes, strict=False)
        )
        if free[0] != sides or len(returned) != len(card.output_shapes) or not fits:
            raise ModelError(
                f"{path} takes {given.shape} and gives {returned}; its card says {card.input_shape} by {card.grains} "
                f"and {card.output_shapes}; export it again"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The largest shape the model takes."""
        return self.card.input_shape

    def run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """The outputs, float32, for an input that the card allows."""
        return tuple(self._session.run(None, {self._input: values}))
