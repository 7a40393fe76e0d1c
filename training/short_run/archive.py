"""Read and write the archive of a short run: a zip file with strips, what is known of them, and the code.

It holds ``manifest.json`` (experiment, charset, sources, and the strips' texts, weights, scales and sizes in bytes),
``strips.bin`` (the strips as JPEG, one after the other), optionally ``start.pt`` (a checkpoint), and the packages
``training`` and ``paragraph_ocr``, so that Python can run the code from the archive itself.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

MANIFEST, STRIPS, START = "manifest.json", "strips.bin", "start.pt"
# The folder that `training` lies in, and that of `paragraph_ocr`.
ROOTS = (Path(__file__).parents[2], Path(__file__).parents[2] / "function")


class ArchiveError(Exception):
    """An archive that lacks a part, or whose parts do not belong together."""


@dataclass(frozen=True)
class Manifest:
    """Contents of manifest.json.

    Attributes
    ----------
    experiment : dict
        The tables [run], [network] and [data] of the experiment file.
    charset : str
        The characters of the network's classes after the blank.
    sources : list of str
        Names of the sources, for the credits.
    texts : list of str
    weights : list of float
        How often each strip is drawn, relative to the others.
    zooms, stretches : list of float
        How many times as large, and then as wide, the product makes a strip of this density.
    sizes : list of int
        Bytes of each strip.
    """

    experiment: dict[str, Any]
    charset: str
    sources: list[str]
    texts: list[str]
    weights: list[float]
    zooms: list[float]
    stretches: list[float]
    sizes: list[int]


def code_files() -> Iterator[tuple[Path, str]]:
    """The Python files of both packages, with their names in the archive."""
    for root, package in zip(ROOTS, ("training", "paragraph_ocr"), strict=True):
        for path in sorted((root / package).rglob("*.py")):
            yield path, str(path.relative_to(root))


def write_archive(path: Path, manifest: Manifest, strips: list[bytes], start: Path | None) -> None:
    """Write an archive; a file of that name is replaced when the new one is whole.

    Parameters
    ----------
    path : Path
    manifest : Manifest
    strips : list of bytes
        JPEG files, in the order of the manifest.
    start : Path, optional
        Checkpoint whose averaged weights a run starts from.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps(asdict(manifest), ensure_ascii=False))
        archive.writestr(STRIPS, b"".join(strips), zipfile.ZIP_STORED)
        if start is not None:
            archive.write(start, START, zipfile.ZIP_STORED)
        for file, name in code_files():
            archive.write(file, name)
    partial.replace(path)


def read_archive(path: Path) -> tuple[Manifest, list[NDArray[np.uint8]], dict[str, Any] | None]:
    """Read an archive.

    Returns
    -------
    manifest : Manifest
    strips : list of uint8 (H, W)
    start : dict or None
        The checkpoint that a run starts from, on the CPU.

    Raises
    ------
    ArchiveError
        A part is missing, or a strip cannot be decoded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = Manifest(**json.loads(archive.read(MANIFEST)))
            data = np.frombuffer(archive.read(STRIPS), np.uint8)
            start = io.BytesIO(archive.read(START)) if START in archive.namelist() else None
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ArchiveError(f"{path} is no archive of a short run: {error}") from error
    ends = np.cumsum(manifest.sizes)
    if not len(ends) or ends[-1] != len(data):
        raise ArchiveError(f"{path}: {STRIPS} is not as long as {MANIFEST} says")

    def decode(index: int) -> NDArray[np.uint8]:
        strip = cv2.imdecode(data[ends[index] - manifest.sizes[index] : ends[index]], cv2.IMREAD_GRAYSCALE)
        if strip is None:
            raise ArchiveError(f"{path}: strip {index} cannot be decoded")
        return np.asarray(strip, np.uint8)

    with ThreadPoolExecutor() as pool:
        strips = list(pool.map(decode, range(len(ends))))
    return manifest, strips, torch.load(start, map_location="cpu", weights_only=True) if start else None
