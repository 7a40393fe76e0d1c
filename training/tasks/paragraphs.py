"""Train a network that labels the pixels of a paragraph's lines alternately, and find lines in such labels.

A paragraph is a stack of lines, cut out of annotated pages, of one writer and in the order of the page, on a square of
paper. Each pixel is paper or belongs to an odd line or to an even one: neighbours differ, and so come apart. The FSDL
text recognizer of 2019 drew such labels on square crops of the IAM database's forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.rectification import Geometry, Normalisation, smooth, to_ink
from training.data.augmentation import degrade
from training.data.pages import Points, TrueLine, TruePage, refuse_shared_writers
from training.data.strips import Strip, load_strips
from training.data.workers import ignore_stop_signals
from training.networks.fcn import FCN
from training.networks.unet import UNet

NETWORKS: dict[str, type[nn.Module]] = {"fcn": FCN, "unet": UNet}
CLASSES = 3
# How lines are cut for a paragraph. Their width is limited so that a paragraph has the proportions of one on a page.
GEOMETRY = Geometry(height=64, width=1600, widths=1.0)
BAND = GEOMETRY.height / GEOMETRY.window  # pixels from a line's ascenders to its descenders
# Labels do not contain the baseline; it is assumed at this share of a line's height, the mean of the training lines.
ASCENDER = 0.69
# Connected components smaller than this share of the input are ignored.
SPECK = 4e-4


@dataclass(frozen=True)
class LabellingOptions:
    """The table [data] of an experiment file.

    `size` is the side of the input, `batch` paragraphs a step, `lines` the fewest and the most in a paragraph,
    `validation_paragraphs` how many are validated on, `same_writer` the sources whose one writer may stand in both
    splits.
    """

    size: int = 256
    batch: int = 8
    lines: tuple[int, int] = (2, 12)
    validation_paragraphs: int = 100
    same_writer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paragraph:
    """Stacked lines: pixels uint8 (L, L), and their annotation."""

    pixels: NDArray[np.uint8]
    page: TruePage


def runs_of_lines(strips: list[Strip], fewest: int) -> list[list[Strip]]:
    """Return sequences of consecutive lines of each writer that are long enough for a paragraph."""
    runs = [list(run) for _, run in groupby(strips, key=lambda strip: (strip.source, strip.writer))]
    return [run for run in runs if len(run) >= fewest]


def stack_lines(run: list[Strip], lines: tuple[int, int], rng: Generator) -> Paragraph:
    """Stack consecutive lines of a sequence, from a random one on."""
    count = min(len(run), int(rng.integers(lines[0], lines[1] + 1)))
    start = int(rng.integers(0, len(run) - count + 1))
    chosen = run[start : start + count]
    pitch = BAND * rng.uniform(1.05, 1.5)
    indents = [round(float(rng.exponential(0.4)) * BAND) if rng.random() < 0.3 else 0 for _ in chosen]
    width = max(i + strip.pixels.shape[1] for i, strip in zip(indents, chosen, strict=True))
    height = round(pitch * (count - 1) + 1.3 * BAND)
    side = round(max(width, height) * rng.uniform(1.02, 1.25))
    above, before = (int(rng.integers(0, side - length + 1)) for length in (height, width))
    ink = np.zeros((side, side), np.float32)
    true = []
    for number, (indent, strip) in enumerate(zip(indents, chosen, strict=True)):
        ascender, descender = strip.ascender * BAND, (1 - strip.ascender) * BAND
        within = GEOMETRY.baseline * GEOMETRY.height
        # Strokes of the original neighbours in a strip are removed, since it gets other neighbours here.
        first, last = max(0, round(within - 1.08 * ascender)), min(GEOMETRY.height, round(within + 1.08 * descender))
        baseline = above + 0.15 * BAND + ascender + pitch * number + rng.normal(0.0, 0.02) * BAND
        top, left = round(baseline - within) + first, before + indent
        own = to_ink(np.asarray(strip.pixels), Normalisation())[first:last]
        place = ink[top : top + len(own), left : left + own.shape[1]]
        np.maximum(place, own[: len(place)], out=place)
        # Strips begin and end a quarter of their line's height beyond it.
        ends = np.array([left + BAND / 4, max(left + BAND / 2, left + own.shape[1] - BAND / 4)])
        points = np.stack([ends, np.full(2, baseline)], axis=1).astype(np.float32)
        polygon = TextLine(points, ascender, descender, 1.0).polygon
        true.append(TrueLine(strip.text, points, polygon, ascender, descender, strip.struck))
    first_line = chosen[0]
    page = TruePage(
        f"{first_line.writer}-{start}",
        first_line.source,
        first_line.writer,
        "",
        Path(),
        side,
        side,
        tuple(true),
        (),
        True,
    )
    return Paragraph((235 - 215 * ink.clip(0, 1)).astype(np.uint8), page)


def draw_labels(polygons: list[Points], side: int, size: int) -> NDArray[np.uint8]:
    """The true class of each pixel of the input, uint8 (size, size): 0 for paper, then 1 and 2 for lines in turn.

    Parameters
    ----------
    polygons : list of float32 (K, 2)
        In pixels of the paragraph, from its first line to its last.
    side, size : int
        Rows and columns of the paragraph, and of the input.
    """
    labels = np.zeros((size, size), np.uint8)
    for number, polygon in enumerate(polygons):
        points = np.round((polygon * (size / side) - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(labels, [points], number % 2 + 1, shift=4)
    return labels


def to_input(pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """A paragraph\'s ink as the networks take it, float32 (size, size)."""
    small = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    return to_ink(np.asarray(small, np.uint8), Normalisation())


def upsample(output: Tensor | tuple[Tensor, Tensor], size: int) -> Tensor:
    """Interpolate a network\'s output to logits (N, 3, size, size)."""
    maps = output[0] if isinstance(output, tuple) else output
    return functional.interpolate(maps, size=(size, size), mode="bilinear")


def find_labelled(labels: NDArray[np.uint8], side: int) -> list[TextLine]:
    """The lines of a paragraph from the labels of its pixels, top to bottom.

    Parameters
    ----------
    labels : uint8 (S, S)
    side : int
        Rows and columns of the paragraph.
    """
    scale = side / len(labels)
    found = []
    for kind in range(1, CLASSES):
        count, patches, statistics, _ = cv2.connectedComponentsWithStats((labels == kind).astype(np.uint8))
        for patch in range(1, count):
            left, top, width, height, area = statistics[patch]
            if area < SPECK * labels.size or width < 4:
                continue
            mask = patches[top : top + height, left : left + width] == patch
            upper, lower = mask.argmax(axis=0), height - mask[::-1].argmax(axis=0)
            tall = float(np.median(lower - upper))
            middle = (upper + lower) / 2 + top
            line = np.stack([np.arange(left, left + width) + 0.5, middle + (ASCENDER - 0.5) * tall], axis=1)
            line[[0, -1], 0] += [-0.5, 0.5]
            baseline = smooth(line.astype(np.float32), 24) * scale
            ascender, descender = (share * tall * scale for share in (ASCENDER, 1 - ASCENDER))
            found.append(TextLine(baseline.astype(np.float32), float(ascender), float(descender), 1.0))
    return sorted(found, key=lambda line: float(line.baseline[:, 1].mean()))


class AugmentedParagraphs(IterableDataset[tuple[Tensor, Tensor]]):
    """An endless stream of batches: ink (N, 1, S, S) and labels int64 (N, S, S)."""

    def __init__(self, runs: list[list[Strip]], options: LabellingOptions, seed: int) -> None:
        self.runs = runs
        self.options = options
        self.seed = seed
        lengths = np.array([len(run) for run in runs], np.float64)
        self.probability = np.sqrt(lengths) / np.sqrt(lengths).sum()

    def sample(self, rng: Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """One paragraph turned, sheared and degraded a little."""
        paragraph = stack_lines(self.runs[rng.choice(len(self.runs), p=self.probability)], self.options.lines, rng)
        side = len(paragraph.pixels)
        angle, shear = np.deg2rad(rng.normal(0.0, 0.7)), rng.normal(0.0, 0.05)
        middle = np.full(2, side / 2)
        linear = np.array([[np.cos(angle), shear], [np.sin(angle), np.cos(angle)]]) * np.exp(rng.normal(0.0, 0.03))
        matrix = np.concatenate([linear, (middle - linear @ middle)[:, None]], axis=1)
        seen = cv2.warpAffine(paragraph.pixels, matrix, (side, side), borderValue=235)
        polygons = [line.polygon @ linear.T + matrix[:, 2] for line in paragraph.page.lines]
        ink = to_input(np.asarray(seen, np.uint8), self.options.size)
        degraded = degrade((235 - 215 * ink.clip(0, 1)).astype(np.uint8), rng)
        return to_ink(degraded, Normalisation()), draw_labels(polygons, side, self.options.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            inks, labels = zip(*(self.sample(rng) for _ in range(self.options.batch)), strict=True)
            yield torch.from_numpy(np.stack(inks)[:, None]), torch.from_numpy(np.stack(labels).astype(np.int64))


def validation_paragraphs(folders: list[Path], cache: Path, options: LabellingOptions) -> list[Paragraph]:
    """Return a fixed set of paragraphs of validation writers."""
    strips = [strip for folder in folders for strip in load_strips(folder, "val", GEOMETRY, cache)]
    runs = runs_of_lines(strips, options.lines[0])
    rng = np.random.default_rng(0)
    return [stack_lines(runs[at % len(runs)], options.lines, rng) for at in range(options.validation_paragraphs)]


class Labelling:
    """The training task of a network that labels lines alternately, for `training.fit`."""

    def __init__(self, folders: list[Path], cache: Path, options: dict[str, Any], network: dict[str, Any]) -> None:
        self.options = LabellingOptions(**options)
        self.network: nn.Module = NETWORKS[network.pop("name")](outputs=CLASSES, **network)
        train = [strip for folder in folders for strip in load_strips(folder, "train", GEOMETRY, cache)]
        self.train = runs_of_lines(train, self.options.lines[0])
        self.validation = validation_paragraphs(folders, cache, self.options)
        refuse_shared_writers(
            {(strip.source, strip.writer) for strip in train},
            {(paragraph.page.source, paragraph.page.writer) for paragraph in self.validation},
            self.options.same_writer,
        )
        self.sources = sorted({strip.source for strip in train})

    def batches(self, seed: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless training batches."""
        paragraphs = AugmentedParagraphs(self.train, self.options, seed)
        return iter(DataLoader(paragraphs, batch_size=None, num_workers=workers, worker_init_fn=ignore_stop_signals))

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor], device: torch.device) -> Tensor:
        """Cross entropy of the pixels."""
        ink, labels = (part.to(device, non_blocking=True) for part in batch)
        output = network(ink.contiguous(memory_format=torch.channels_last))
        return functional.cross_entropy(upsample(output, self.options.size).float(), labels)

    def draw(self, batch: tuple[Tensor, Tensor]) -> NDArray[np.uint8]:
        """A batch as a picture, uint8 (H, W, 3): odd lines in red, even ones in blue."""
        ink, labels = (part.numpy() for part in batch)
        grey = (255 * (1 - ink[:, 0].clip(0, 1))).astype(np.uint8)
        pictures = np.repeat(grey[..., None], 3, axis=3)
        pictures[labels == 1, :2] //= 2
        pictures[labels == 2, 1:] //= 2
        return np.hstack(list(pictures))

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the share of correctly labelled pixels as "pixel accuracy", and 1 minus it as "score"."""
        right = []
        for paragraph in self.validation:
            labels = predict_labels(network, paragraph.pixels, self.options.size, device)
            polygons = [line.polygon for line in paragraph.page.lines]
            right.append(float((labels == draw_labels(polygons, len(paragraph.pixels), self.options.size)).mean()))
        accuracy = float(np.mean(right))
        return {"score": 1.0 - accuracy, "pixel accuracy": accuracy}


def predict_labels(network: nn.Module, pixels: NDArray[np.uint8], size: int, device: torch.device) -> NDArray[np.uint8]:
    """Return the most probable class of each pixel of a paragraph, uint8 (size, size)."""
    ink = torch.from_numpy(to_input(pixels, size)[None, None]).to(device)
    with torch.inference_mode():
        return np.asarray(upsample(network(ink), size)[0].argmax(0).cpu().numpy(), np.uint8)
