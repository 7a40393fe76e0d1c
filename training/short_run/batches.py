"""Make batches of distorted lines on the device that trains on them.

Each line is scaled, sheared and shifted by itself; perspective, elastic distortion, blur, noise and the rest are
torchvision's transforms, with parameters of their own for every few lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from paragraph_ocr.pipeline.rectification import Normalisation
from training.vision import v2

# Lines that share the parameters of torchvision's transforms.
GROUP = 8
# Share of a strip's height at which the baseline lies, in the strips and in the batches.
BASELINE = 0.7
# Lines that a set of batches is made of.
POOL = 2048
# Batches are padded to multiples of so many columns, and no line is narrower than this.
WIDTH_MULTIPLE = 64
NARROWEST = 32
# CTC needs a frame of four columns for each character and some for the blanks between doubled ones.
COLUMNS_PER_FRAME, FRAMES_PER_CHARACTER = 4, 1.15


class RandomGamma(v2.Transform):  # type: ignore[misc]
    """Raise grey levels to a random power.

    Parameters
    ----------
    least, most : float
        Range of the exponent.
    """

    def __init__(self, least: float, most: float) -> None:
        super().__init__()
        self.range = (least, most)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """A new exponent."""
        return {"gamma": float(torch.empty(()).uniform_(*self.range))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Grey levels between 0 and 1, with the exponent applied."""
        return v2.functional.adjust_gamma(inpt, **params)


class RandomElastic(v2.Transform):  # type: ignore[misc]
    """torchvision's elastic distortion by a smooth field that is made on the device of the images.

    Parameters
    ----------
    cell : tuple of float
        Range of the field's cells, in heights of the image.
    amplitude : tuple of float
        Range of the field's standard deviation, in cells.
    """

    def __init__(self, cell: tuple[float, float], amplitude: tuple[float, float]) -> None:
        super().__init__()
        self.cell, self.amplitude = cell, amplitude

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """A new field (1, H, W, 2), in halves of the image's sides."""
        image = flat_inputs[0]
        height, width = image.shape[-2:]
        cell = height * float(torch.empty(()).uniform_(*self.cell))
        shape = (max(2, round(height / cell) + 1), max(2, round(width / cell) + 1))
        noise = torch.randn((1, 2, *shape), device=image.device)
        noise *= cell * float(torch.empty(()).uniform_(*self.amplitude))
        field = functional.interpolate(noise, size=(height, width), mode="bicubic", align_corners=True)
        halves = torch.tensor([2 / width, 2 / height], device=image.device)
        return {"displacement": field.permute(0, 2, 3, 1) * halves}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The distorted images; what comes in from outside is paper."""
        return v2.functional.elastic(inpt, **params, fill=1.0)


def make_transforms() -> v2.Transform:
    """The distortions of grey images (N, 1, H, W) between 0 and 1, dark ink on paper that is 1."""
    return v2.Compose(
        [
            v2.RandomPerspective(distortion_scale=0.12, p=0.3, fill=1.0),
            v2.RandomApply([RandomElastic((0.35, 1.0), (0.01, 0.08))], p=0.7),
            v2.RandomApply([v2.GaussianBlur(5, (0.4, 1.3))], p=0.25),
            v2.RandomApply([RandomGamma(0.6, 1.7)], p=0.4),
            v2.RandomApply([v2.ColorJitter(brightness=0.25, contrast=0.5)], p=0.5),
            v2.RandomApply([v2.GaussianNoise(sigma=0.04, clip=True)], p=0.4),
            v2.RandomErasing(p=0.15, scale=(0.005, 0.03), ratio=(0.3, 3.0), value=1.0),
        ]
    )


def to_ink(images: Tensor, inside: Tensor) -> Tensor:
    """Ink of grey lines, as `paragraph_ocr.pipeline.rectification.to_ink` makes it of each line.

    Parameters
    ----------
    images : float (N, 1, H, W)
        Grey levels between 0 and 1.
    inside : bool (N, 1, 1, W)
        The columns of each line; beyond them there is no ink.

    Returns
    -------
    float (N, 1, H, W)
    """
    settings = Normalisation()
    pixels = images[:, 0, ::2, ::2].masked_fill(~inside[:, 0, :, ::2], torch.nan).flatten(1)
    shares = torch.tensor([settings.dark / 100, settings.paper / 100], device=images.device)
    dark, paper = torch.nanquantile(pixels, shares, dim=1)[:, :, None, None, None]
    ink = (paper - images) / (paper - dark).clamp(min=settings.contrast / 255)
    return torch.where(inside, ink.clamp(-0.3, 1.3), 0.0)


class DeviceLines:
    """Strips of one height on a device, and batches of them.

    Parameters
    ----------
    strips : sequence of uint8 (H, W)
    device : torch.device
    """

    def __init__(self, strips: Sequence[NDArray[np.uint8]], device: torch.device) -> None:
        self.rows = strips[0].shape[0]
        widths = np.array([strip.shape[1] for strip in strips])
        offsets = np.concatenate([[0], np.cumsum(widths * self.rows)[:-1]])
        self.device = device
        self.pixels = torch.from_numpy(np.concatenate([strip.ravel() for strip in strips])).to(device)
        self.widths, self.offsets = (torch.from_numpy(each).to(device) for each in (widths, offsets))

    def gather(self, chosen: Tensor) -> Tensor:
        """Strips as float (N, 1, H, W) between 0 and 1, their last column repeated to the width of the widest."""
        widths = self.widths[chosen][:, None, None]
        rows = torch.arange(self.rows, device=self.device)[:, None]
        columns = torch.arange(int(widths.max()), device=self.device)
        places = self.offsets[chosen][:, None, None] + rows * widths + torch.minimum(columns, widths - 1)
        return self.pixels[places][:, None].float() / 255

    def sample(self, chosen: Tensor, widths: Tensor, zooms: Tensor, height: int, width: int) -> Tensor:
        """Lines scaled to given widths, each sheared, sloped, shifted and scaled in height at random.

        Parameters
        ----------
        chosen, widths : int64 (N,)
            Which strips, and how wide each becomes, pixels.
        zooms : float (N,)
            How many times as tall each becomes, before chance does the same.
        height, width : int
            Size of the batch's lines.

        Returns
        -------
        float (N, 1, height, width)
        """
        source = self.gather(chosen)
        count = len(chosen)

        def normal(mean: float, deviation: float) -> Tensor:
            return torch.randn((count, 1, 1), device=self.device) * deviation + mean

        y, x = torch.meshgrid(
            torch.arange(height, device=self.device), torch.arange(width, device=self.device), indexing="ij"
        )
        across = y - (BASELINE * height + normal(0.0, 0.035 * height))
        scale = (widths / self.widths[chosen])[:, None, None]
        # As in `training.data.augmentation.warp_strip`: ascenders, bodies and descenders are scaled apart.
        size = zooms[:, None, None] * torch.exp(normal(0.0, 0.09))
        rise, body, fall = (size * torch.exp(normal(0.0, 0.12)) for _ in range(3))
        top = -0.28 * height * body
        within = torch.where(
            across < top, top / body + (across - top) / rise, across / torch.where(across < 0, body, fall)
        )
        source_x = x / scale + normal(0.0, 0.22) * across + normal(0.0, 0.05 * height)
        source_y = within + BASELINE * self.rows + normal(0.0, 0.012) * (x - widths[:, None, None] / 2)
        grid = torch.stack([(2 * source_x + 1) / source.shape[3] - 1, (2 * source_y + 1) / source.shape[2] - 1], dim=3)
        return functional.grid_sample(source, grid, padding_mode="border", align_corners=False)


class BatchMaker:
    """Endless batches of distorted lines of similar width.

    Parameters
    ----------
    lines : DeviceLines
    texts : sequence of str
    charset : str
    weights, zooms, stretches : sequences of float
        As `training.short_run.archive.Manifest` has them.
    height, width : int
        Height of the lines, and the largest width.
    columns : int
        Columns of a batch: lines times their width.
    seed : int
    """

    def __init__(
        self,
        lines: DeviceLines,
        texts: Sequence[str],
        charset: str,
        weights: Sequence[float],
        zooms: Sequence[float],
        stretches: Sequence[float],
        height: int,
        width: int,
        columns: int,
        seed: int,
    ) -> None:
        classes = {character: index + 1 for index, character in enumerate(charset)}
        self.lines = lines
        self.targets = [torch.tensor([classes[character] for character in text], dtype=torch.long) for text in texts]
        self.lengths = np.array([len(text) for text in texts])
        self.probability = np.array(weights) / np.sum(weights)
        self.zooms = np.array(zooms)
        self.wanted = lines.widths.cpu().numpy() * self.zooms * np.array(stretches)
        self.height, self.width, self.columns = height, width, columns
        self.rng = np.random.default_rng(seed)
        self.transforms = make_transforms()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Ink float (N, 1, H, W) on the device, and on the CPU classes (sum of lengths) and lengths (N)."""
        while True:
            chosen = self.rng.choice(len(self.targets), POOL, p=self.probability)
            widths = self.wanted[chosen] * np.exp(self.rng.normal(0.0, 0.15, POOL))
            widths = np.clip(np.rint(widths), NARROWEST, self.width).astype(np.int64)
            readable = widths // COLUMNS_PER_FRAME > FRAMES_PER_CHARACTER * self.lengths[chosen]
            order = np.flatnonzero(readable)[np.argsort(widths[readable], kind="stable")]
            batches: list[list[int]] = [[]]
            for at in order:
                if (len(batches[-1]) + 1) * widths[at] > self.columns:
                    batches.append([])
                batches[-1].append(int(at))
            for number in self.rng.permutation(len(batches)):
                batch = batches[number]
                # Strips without text alone have no loss a character.
                if self.lengths[chosen[batch]].sum():
                    yield self.make(chosen[batch], widths[batch])

    def make(self, chosen: NDArray[np.int64], widths: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """The batch of some lines, each with a width in pixels."""
        device = self.lines.device
        width = -(-int(widths.max()) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
        sizes = torch.from_numpy(widths).to(device)
        zooms = torch.from_numpy(self.zooms[chosen]).to(device, torch.float32)
        inside = torch.arange(width, device=device) < sizes[:, None, None, None]
        with torch.no_grad():
            images = self.lines.sample(torch.from_numpy(chosen).to(device), sizes, zooms, self.height, width)
            clean = 1.0 - 0.85 * to_ink(images, inside).clamp(0.0, 1.0)
            distorted = torch.cat([self.transforms(group) for group in torch.split(clean, GROUP)])
            ink = to_ink(distorted, inside)
        targets = [self.targets[index] for index in chosen]
        return ink, torch.cat(targets), torch.tensor([len(target) for target in targets])
