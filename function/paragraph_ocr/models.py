"""Load ONNX models, each verified against the card beside it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from threading import TIMEOUT_MAX, Timer
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from paragraph_ocr.errors import DeadlineExceeded
from paragraph_ocr.model_set import FOLDER as FOLDER
from paragraph_ocr.model_set import ModelError as ModelError

UNCALIBRATED = ((0.0, 1.0), (0.0, 1.0))


class _Limit:
    """The end of the time of some runs: a value of `perf_counter`, and options of the runs by which a timer ends them.

    One timer serves all runs, since starting a thread for each takes 10 ms a page.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.options = onnxruntime.RunOptions()
        left = min(max(deadline - perf_counter(), 0.0), TIMEOUT_MAX)
        self.timer = Timer(left, self._end)
        self.timer.daemon = True

    def _end(self) -> None:
        # ONNX Runtime checks it before each operation.
        self.options.terminate = True


# The limit of runs of models in this thread.
_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Let runs of models in this thread end after some time, counted from here.

    On a machine that is busy with other work, one run may take a minute.

    Parameters
    ----------
    seconds : float
        After them, a run ends and raises DeadlineExceeded.
    """
    if seconds == math.inf:
        limit = None
    else:
        limit = _Limit(perf_counter() + seconds)
        limit.timer.start()
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)
        if limit is not None:
            limit.timer.cancel()


@dataclass(frozen=True)
class Card:
    """The part of a model's card that serving needs; the other keys document the model.

    Attributes
    ----------
    name, version : str
    sha256 : str
        Of the ONNX file, in hexadecimal.
    input_shape : tuple of int
        Shape of the largest input.
    multiples : tuple of int
        Each side of an input is a multiple of this number; a side that equals its number is fixed.
    output_shapes : tuple of tuple of int
        Shapes of the outputs for the largest input.
    preprocessing : mapping
        Parameters for making the input; the detector's and the recogniser's differ.
    charset : str
        Characters of a recogniser's classes in order, without the blank; empty for a detector.
    blank : int
        Index of the blank class of a recogniser.
    calibration : tuple of two tuples of float
        Increasing confidences of a recogniser, and the share of correct characters at each.
    evidence : mapping of str to float
        Weight of each of `confidence.TERMS` in the confidence before calibration, and the intercept; empty if this
        confidence is the probability of the character.
    rarity : mapping of str to float
        Of accented letters, the logarithm of how many times as frequent the letter without the accent was in the lines
        that a recogniser was fitted on.
    """

    name: str
    version: str
    sha256: str
    input_shape: tuple[int, ...]
    multiples: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    preprocessing: dict[str, Any]
    charset: str
    blank: int
    calibration: tuple[tuple[float, ...], tuple[float, ...]] = UNCALIBRATED
    evidence: dict[str, float] = field(default_factory=dict)
    rarity: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


def read_card(path: Path) -> Card:
    """Read a card; raises ModelError if it cannot be read or lacks a key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Card(
            name=content["name"],
            version=content["version"],
            sha256=content["sha256"],
            input_shape=tuple(content["input"]["shape"]),
            multiples=tuple(content["input"].get("multiples", content["input"]["shape"])),
            output_shapes=tuple(tuple(output["shape"]) for output in content["outputs"]),
            preprocessing=content["preprocessing"],
            charset=content.get("charset", ""),
            blank=content.get("blank", 0),
            calibration=_calibration(calibration) if (calibration := content.get("calibration")) else UNCALIBRATED,
            evidence={name: _finite(weight) for name, weight in calibration.get("evidence", {}).items()}
            if calibration
            else {},
            rarity={letter: _finite(value) for letter, value in content.get("rarity", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no model card: {error!r}") from error


def _finite(value: float) -> float:
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    return float(value)


def _calibration(entry: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Confidences and shares of a card; raises ValueError if they are no increasing function into 0 to 1."""
    confidences, rights = (tuple(map(_finite, entry[name])) for name in ("confidence", "right"))
    if not confidences or len(confidences) != len(rights):
        raise ValueError("calibration has not as many confidences as shares that are right")
    if list(confidences) != sorted(confidences) or list(rights) != sorted(rights):
        raise ValueError("calibration falls; its confidences and shares must increase")
    if rights[0] < 0 or rights[-1] > 1:
        raise ValueError("calibration has shares that are not from 0 to 1")
    return confidences, rights


def read_verified(path: Path, sha256: str) -> bytes:
    """Read a model's file; raises ModelError if its SHA-256 is not the one in its card."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"{path} is not the model its card describes: the SHA-256 differs; make both anew")
    return content


class Runnable(Protocol):
    """The interface of a model that the detector and the recogniser use."""

    card: Card

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the largest input."""
        ...

    def run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Return the outputs for one input."""
        ...


class Model:
    """A loaded ONNX model with one input.

    Parameters
    ----------
    path : Path
        The ONNX file; its card has the same name with the suffix .json.
    threads : int
        Number of threads.

    Raises
    ------
    ModelError
        The file or its card is missing, or the file's hash or shapes differ from the card.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.card = read_card(path.with_suffix(".json"))
        content = read_verified(path, self.card.sha256)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Otherwise the threads of one model spin while the other runs, which doubles the time on shared processors.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A memory pattern takes 65 MB more than the arena without one, and saves no time.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (given,) = self._session.get_inputs()
        self._input = given.name
        card = self.card
        returned = [output.shape for output in self._session.get_outputs()]
        # ONNX names the sides that are not fixed.
        sides = [
            side if side == multiple else None for side, multiple in zip(card.input_shape, card.multiples, strict=True)
        ]
        free = [[side if isinstance(side, int) else None for side in shape] for shape in (given.shape, *returned)]
        fits = all(
            len(shape) == len(said) and all(side in (None, length) for side, length in zip(shape, said, strict=True))
            for shape, said in zip(free[1:], card.output_shapes, strict=False)
        )
        if free[0] != sides or len(returned) != len(card.output_shapes) or not fits:
            raise ModelError(
                f"{path} takes {given.shape} and gives {returned}; its card says {card.input_shape} by "
                f"{card.multiples} and {card.output_shapes}; export it again"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the largest input."""
        return self.card.input_shape

    def run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Return the float32 outputs for an input that the card allows; raises DeadlineExceeded within `limited`."""
        limit = _limit.get()
        if limit is None:
            return tuple(self._session.run(None, {self._input: values}))
        late = DeadlineExceeded("Reading takes longer than the limit; send fewer pages, or pages with fewer lines.")
        if limit.deadline <= perf_counter():
            raise late
        try:
            return tuple(self._session.run(None, {self._input: values}, limit.options))
        except Exception as error:
            if limit.options.terminate:
                raise late from error
            raise
