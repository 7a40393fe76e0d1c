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
    output_shapes : tuple of tuple of int
    preprocessing : mapping
        What the model's input is made with; the detector's and the recogniser's differ.
    charset : str
        Characters of a recogniser's classes in order, without the blank; empty for a detector.
    blank : int
        Index of the blank class of a recogniser.
    """

    name: str
    version: str
    sha256: str
    input_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    preprocessing: dict[str, Any]
    charset: str
    blank: int

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
            output_shapes=tuple(tuple(output["shape"]) for output in content["outputs"]),
            preprocessing=content["preprocessing"],
            charset=content.get("charset", ""),
            blank=content.get("blank", 0),
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
        """The one shape the model takes."""
        ...

    def run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """The outputs for one input."""
        ...


class Model:
    """A loaded ONNX model with one input, all its shapes fixed.

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
        # One block for all arrays of a run takes 65 MB more than the arena does without, and saves no time.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (given,) = self._session.get_inputs()
        self._input = given.name
        returned = tuple(tuple(output.shape) for output in self._session.get_outputs())
        if (tuple(given.shape), returned) != (self.card.input_shape, self.card.output_shapes):
            raise ModelError(
                f"{path} takes {tuple(given.shape)} and gives {returned}; its card says {self.card.input_shape} and "
                f"{self.card.output_shapes}; export it again"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The one shape the model takes."""
        return self.card.input_shape

    def run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """The outputs, float32 of the card's shapes, for an input of the card's shape."""
        return tuple(self._session.run(None, {self._input: values}))
