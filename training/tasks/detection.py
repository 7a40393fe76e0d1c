"""Train a line detector on annotated pages: options, batches, loss and validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from paragraph_ocr.pipeline.detection import DISTANCE_UNIT, SearchSettings, find_lines, letterbox
from paragraph_ocr.pipeline.light import even_light
from paragraph_ocr.pipeline.rectification import Normalisation, Points, resample, smooth, to_ink
from training.data.augmentation import degrade, shade
from training.data.pages import TruePage, load_pages, refuse_shared_writers
from training.data.workers import ignore_stop_signals
from training.evaluation.end_to_end import choose_pages, page_character_errors
from training.evaluation.matching import match_lines
from training.networks.unet import UNet

NETWORKS: dict[str, type[UNet]] = {"unet": UNet}
THRESHOLD = 0.5
# Sides of an input are multiples of this, since the network halves them five times.
SIZE_MULTIPLE = 64

# Extent of a line's core above and below the baseline, in ascender heights, and its inset at both ends, which separates
# lines of neighbouring columns. It is limited to a share of the line's length (`DetectionOptions.short_inset`), so that
# single digits keep a core.
CORE = (0.42, 0.05)
INSET = 0.35
# Pages with a higher ratio of longer to shorter side are shown in parts.
MAX_ASPECT_RATIO = 2.0
SEARCH_SETTINGS = SearchSettings(
    min_confidence=0.55,
    certain_confidence=0.8,
    dense_lines=50,
    dense_ascender=14.0,
    enlargement=1.75,
    max_skew=5.0,
    max_height=64.0,
)
# Share of the samples with ruled or squared paper, and the distance of its rules as shares of the input's side.
RULED = (0.25, (0.012, 0.08))
# Share of the samples with the hard edge of a shadow, a seam or a fold, which must not be confused with column rules.
SHADED = 0.2
# Weights in the loss of the cores: of pixels just beyond a line's end, and of pixels of lines shorter than this many
# ascender heights, since page numbers and single letters have few pixels.
END_WEIGHT = 5.0
SHORT, SHORT_WEIGHT = 3.0, 4.0


@dataclass(frozen=True)
class DetectionOptions:
    """The table [data] of an experiment file.

    `size` is the side of the input, `batch` pages a step, `zoom` the smallest and largest enlargement over the whole
    page, `joined` the share of samples made of two pages beside each other, `turned` that of samples turned by
    quarters, `validation_pages` the pages of each source that are validated on, `weights` how often a page of a source
    is drawn (1 where it is not named), `same_writer` the sources whose one writer may stand in both splits,
    `short_inset` the share of its length by which a short line's core ends before the line.
    """

    size: int = 768
    batch: int = 2
    zoom: tuple[float, float] = (0.9, 2.9)
    joined: float = 0.25
    turned: float = 0.2
    short_inset: float = 0.25
    validation_pages: int = 6
    same_writer: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)


def describe(options: DetectionOptions) -> dict[str, Any]:
    """The entries of a detector's card that describe its input and preprocessing."""
    return {
        "model": "detector",
        "input": {
            "name": "page",
            "shape": [1, 1, options.size, options.size],
            "multiples": [1, 1, SIZE_MULTIPLE, SIZE_MULTIPLE],
        },
        "outputs": [{"name": "maps"}, {"name": "axis"}],
        "preprocessing": {
            "normalisation": asdict(Normalisation()),
            "threshold": THRESHOLD,
            "inset": INSET,
            "short_inset": options.short_inset,
            "search": asdict(SEARCH_SETTINGS),
        },
    }


@dataclass(frozen=True)
class DownscaledPage:
    """A page in training resolution: pixels uint8 (H, W) and the scale factor from the image's own pixels."""

    page: TruePage
    pixels: NDArray[np.uint8]
    factor: float


def visible_length(shape: tuple[int, ...]) -> float:
    """Return the length in pixels of a page's longer side, or of the part of it that is shown at once."""
    return min(max(shape), MAX_ASPECT_RATIO * min(shape))


def downscale(page: TruePage, longest: int) -> DownscaledPage:
    """Scale a page down to a `visible_length` of at most `longest` pixels."""
    pixels = page.normalised()
    factor = min(1.0, longest / visible_length(pixels.shape))
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return DownscaledPage(page, np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), factor)


def draw_maps(
    page: TruePage, matrix: NDArray[np.float64], size: int, stride: int, short_inset: float = 0.25
) -> NDArray[np.float32]:
    """Draw the target maps of a page under an affine transform.

    Parameters
    ----------
    page : TruePage
    matrix : float (2, 3)
        Page pixels to input pixels.
    size, stride : int
        Side of the input, and input pixels a map pixel.
    short_inset : float
        Maximum inset of a core at either end, as a share of its length.

    Returns
    -------
    float32 (5, size / stride, size / stride)
        Core (0 or 1), the three distances, and the weight of each pixel (0 where the page says nothing, more where a
        line has just ended, or is short).
    """
    side = size // stride
    maps = np.zeros((5, side, side), np.float32)
    maps[4] = 1.0
    ends = np.zeros((side, side), np.float32)
    enlarge = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))

    def place(points: Points) -> Points:
        return np.asarray((points @ matrix[:, :2].T + matrix[:, 2]) / stride - 0.5, np.float32)

    def fill(target: NDArray[np.float32], polygon: Points, value: float) -> None:
        cv2.fillPoly(target, [np.round(polygon * 16).astype(np.int32)], value, shift=4)

    for polygon in page.ignore:
        fill(maps[4], place(polygon), 0.0)
    columns, rows = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    for line in page.lines:
        ascender, descender = line.ascender * enlarge / stride, line.descender * enlarge / stride
        baseline = place(smooth(resample(line.baseline, max(2.0, line.ascender / 3)), 8))
        tangents = np.gradient(baseline, axis=0)
        tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-6)
        downs = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
        direction = baseline[-1] - baseline[0]
        direction = direction / max(float(np.hypot(*direction)), 1e-6)
        across = baseline @ np.array([-direction[1], direction[0]], np.float32)
        along = baseline @ direction
        whole = np.concatenate([baseline - downs * ascender * CORE[0], (baseline + downs * ascender * CORE[1])[::-1]])
        reach = direction * ascender * 2 * INSET
        for end, outwards in ((0, -reach), (-1, reach)):
            edge = np.stack(
                [baseline[end] - downs[end] * ascender * CORE[0], baseline[end] + downs[end] * ascender * CORE[1]]
            )
            fill(ends, np.concatenate([edge + outwards, (edge - outwards / 2)[::-1]]), 1.0)
        low = np.clip(np.floor(whole.min(axis=0)).astype(int) - 1, 0, side)
        high = np.clip(np.ceil(whole.max(axis=0)).astype(int) + 2, 0, side)
        if (high - low).min() < 1:
            continue
        part = np.s_[low[1] : high[1], low[0] : high[0]]
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(mask, [np.round((whole - low) * 16).astype(np.int32)], 1, shift=4)
        at = columns[part] * direction[0] + rows[part] * direction[1]
        inset = min(INSET * ascender, short_inset * float(np.ptp(along)))
        inside = mask.astype(bool) & (at > along.min() + inset) & (at < along.max() - inset)
        # Distance along the normal, from the height of the baseline in the line's own direction.
        x, y = columns[part][inside], rows[part][inside]
        level = np.interp(at[inside], along, across)
        maps[0][part][inside] = 1.0
        maps[1][part][inside] = (level - (-x * direction[1] + y * direction[0])) * stride / DISTANCE_UNIT
        maps[2][part][inside] = ascender * stride / DISTANCE_UNIT
        maps[3][part][inside] = descender * stride / DISTANCE_UNIT
        if np.ptp(along) < SHORT * ascender:
            maps[4][part][inside] *= SHORT_WEIGHT
    maps[4] *= np.where((ends > 0) & (maps[0] == 0), END_WEIGHT, 1.0)
    return maps


def concatenate(
    left: tuple[NDArray[np.float32], NDArray[np.float32]],
    right: tuple[NDArray[np.float32], NDArray[np.float32]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Join two samples side by side, like the columns of a register, often with a rule between them.

    Parameters
    ----------
    left, right : pairs of float32 (S, S) and float32 (5, S / stride, S / stride)
        Ink and maps as `AugmentedPages.sample` gives them.
    rng : Generator

    Returns
    -------
    pair like `left`
    """
    size, side = left[0].shape[1], left[1].shape[2]
    stride = size // side
    at = round(float(rng.uniform(0.2, 0.8)) * side)
    ink, maps = left[0].copy(), left[1].copy()
    ink[:, at * stride :] = right[0][:, at * stride :]
    maps[:, :, at:] = right[1][:, :, at:]
    # A line that runs into the border ends there.
    distance = np.abs(np.arange(side) + 0.5 - at)
    cut = (distance < INSET * maps[2] * DISTANCE_UNIT / stride) & (maps[0] > 0)
    maps[:4, cut] = 0.0
    maps[4, cut] = END_WEIGHT
    if rng.random() < 0.7:
        thickness = int(rng.integers(1, 4))
        rule = ink[:, at * stride : at * stride + thickness]
        np.maximum(rule, rng.uniform(0.3, 1.0), out=rule)
    return ink, maps


class AugmentedPages(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """An endless stream of batches of pages under random transforms.

    Ink (N, 1, S, S), maps (N, 5, S / 2, S / 2) as `draw_maps` gives them, and whether each page lies on its side (N,);
    the maps of a page that is not upright weigh nothing.
    """

    def __init__(self, pages: list[DownscaledPage], options: DetectionOptions, stride: int, seed: int) -> None:
        self.pages = pages
        self.options = options
        self.stride = stride
        self.seed = seed
        weights = np.array([options.weights.get(small.page.source, 1.0) for small in pages])
        self.probability = weights / weights.sum()

    def sample(
        self, small: DownscaledPage, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One page scaled, rotated a little, sheared and shifted: ink, float32 (S, S), and maps as of `draw_maps`."""
        size = self.options.size
        height, width = small.pixels.shape
        zoom = size / visible_length((height, width)) * float(np.exp(rng.uniform(*np.log(self.options.zoom))))
        aspect = float(np.exp(rng.normal(0.0, 0.08)))
        angle = np.deg2rad(rng.normal(0.0, 1.5) if rng.random() < 0.75 else rng.uniform(-18, 18))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn @ np.array([[zoom * aspect, rng.normal(0.0, 0.02) * zoom], [0.0, zoom / aspect]])
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ linear.T
        low, high = corners.min(axis=0), corners.max(axis=0)
        # A page larger than the input is cropped at random, often at its edge, since page numbers would be rare
        # otherwise; a smaller page is placed at random.
        shift = -low + rng.uniform(-0.25, 1.25, 2).clip(0.0, 1.0) * (size - (high - low))
        matrix = np.concatenate([linear, shift[:, None]], axis=1)
        paper = float(np.median(small.pixels))
        seen = cv2.warpAffine(
            small.pixels, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_CONSTANT, borderValue=paper
        )
        own = np.concatenate([linear * small.factor, shift[:, None]], axis=1)
        pixels = degrade(np.asarray(seen, np.uint8), rng, *RULED)
        if rng.random() < SHADED:
            # The product does the same; the edge itself stays visible.
            pixels = even_light(shade(pixels, rng))
        ink = to_ink(pixels, Normalisation())
        return ink, draw_maps(small.page, own, size, self.stride, self.options.short_inset)

    def compose(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        """Return one page, or two side by side, and its quarter turns; maps of a turned page are zero."""
        joined = rng.random() < self.options.joined
        chosen = rng.choice(len(self.pages), 2 if joined else 1, p=self.probability)
        ink, maps = self.sample(self.pages[chosen[0]], rng)
        if joined:
            ink, maps = concatenate((ink, maps), self.sample(self.pages[chosen[1]], rng), rng)
        turn = int(rng.integers(1, 4)) if rng.random() < self.options.turned else 0
        if turn:
            ink, maps = np.ascontiguousarray(np.rot90(ink, -turn)), np.zeros_like(maps)
        return ink, maps, turn

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            seen = [self.compose(rng) for _ in range(self.options.batch)]
            yield (
                torch.from_numpy(np.stack([ink[None] for ink, _, _ in seen])),
                torch.from_numpy(np.stack([maps for _, maps, _ in seen])),
                torch.tensor([turn % 2 for _, _, turn in seen]),
            )


def map_loss(network: nn.Module, batch: tuple[Tensor, Tensor, Tensor], device: torch.device) -> Tensor:
    """Cross entropy and Dice loss of the cores, smooth L1 of the distances inside, cross entropy of the axis.

    Parameters
    ----------
    network : nn.Module
    batch : tuple of Tensor
        As `AugmentedPages` yields it.
    device : torch.device
    """
    ink, target, sideways = (part.to(device, non_blocking=True) for part in batch)
    output, axis = (part.float() for part in network(ink.contiguous(memory_format=torch.channels_last)))
    core, weight = target[:, 0], target[:, 4]
    entropy = functional.binary_cross_entropy_with_logits(output[:, 0], core, reduction="none")
    probability = output[:, 0].sigmoid() * weight
    overlap = 2 * (probability * core).sum() / ((probability + core * weight).sum() + 1.0)
    inside = core * weight
    difference = functional.smooth_l1_loss(output[:, 1:], target[:, 1:4], beta=0.1, reduction="none").sum(1)
    distances = (difference * inside).sum() / (inside.sum() + 1.0)
    total: Tensor = 3 * (entropy * weight).mean() + (1 - overlap) + distances
    return total + 0.3 * functional.cross_entropy(axis, sideways)


def count_lines(
    pages: Sequence[TruePage], network: nn.Module, options: DetectionOptions, stride: int, device: torch.device
) -> dict[str, NDArray[np.int64]]:
    """Count the lines that a network detects at IoU 0.5, the true lines, and all detected ones, int (3,) by source."""
    counts: dict[str, NDArray[np.int64]] = {}
    for page in pages:
        ink, scale = letterbox(page.normalised(), options.size, (SIZE_MULTIPLE, SIZE_MULTIPLE), Normalisation())
        with torch.inference_mode():
            maps = network(torch.from_numpy(ink).to(device))[0].float().cpu().numpy()[0]
        lines = find_lines(maps, stride, THRESHOLD, INSET, options.short_inset)
        found = [line.polygon / scale for line in lines]
        matches = match_lines([line.polygon for line in page.lines], found, list(page.ignore))
        counts.setdefault(page.source, np.zeros(3, np.int64))
        counts[page.source] += [len(matches.pairs), len(page.lines), len(found) - len(matches.ignored)]
    return counts


class Detection:
    """The training task of the detector, for `training.fit`."""

    def __init__(self, folders: list[Path], cache: Path, options: dict[str, Any], network: dict[str, Any]) -> None:
        del cache
        self.options = DetectionOptions(**options)
        kind = NETWORKS[network.pop("name")]
        self.network: nn.Module = kind(**network)
        self.stride = kind.stride
        longest = 2 * self.options.size
        pages = [page for folder in folders for page in load_pages(folder) if page.whole]
        refuse_shared_writers(
            [(page.source, page.writer) for page in pages if page.split == "train"],
            [(page.source, page.writer) for page in pages if page.split == "val"],
            self.options.same_writer,
        )
        self.train = [downscale(page, longest) for page in pages if page.split == "train"]
        self.sources = sorted({page.source for page in pages if page.split == "train"})
        self.validation = choose_pages([page for page in pages if page.split == "val"], self.options.validation_pages)

    def batches(self, seed: int, workers: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Endless training batches."""
        pages = AugmentedPages(self.train, self.options, self.stride, seed)
        return iter(DataLoader(pages, batch_size=None, num_workers=workers, worker_init_fn=ignore_stop_signals))

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor, Tensor], device: torch.device) -> Tensor:
        """Return `map_loss`."""
        return map_loss(network, batch, device)

    def draw(self, batch: tuple[Tensor, Tensor, Tensor]) -> NDArray[np.uint8]:
        """Picture of a batch, uint8 (H, W, 3): pages with the cores of their lines in red, ignored areas in blue."""
        ink, maps, _ = (part.numpy() for part in batch)
        pages = []
        for page, map_ in zip(ink[:, 0], maps, strict=True):
            grey = (255 * (1 - page.clip(0, 1))).astype(np.uint8)
            picture = np.repeat(grey[..., None], 3, axis=2)
            core, weight = (cv2.resize(map_[at], grey.shape[::-1], interpolation=cv2.INTER_NEAREST) for at in (0, 4))
            picture[core > 0.5, :2] //= 2
            picture[weight == 0, 1:] //= 2
            pages.append(picture)
        return np.hstack(pages)

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Line F1 at IoU 0.5 for each source, "score" as one less their mean, and character error of whole pages."""
        counts = count_lines(self.validation, network, self.options, self.stride, device)
        figures = {
            f"f1 {name}": 2 * float(hit) / max(int(true + found), 1)
            for name, (hit, true, found) in sorted(counts.items())
        }
        score = {"score": 1.0 - float(np.mean(list(figures.values())))}
        return score | figures | page_character_errors(self.validation, network, describe(self.options), device)
