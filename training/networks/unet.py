"""U-Net that predicts maps of text line cores, distances to baselines and heights, and a page's orientation."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import Residual, convolution


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with added rather than stacked skips, read at half the input's resolution.

    As in PERO's ParseNet (Kodym and Hradiš 2021) each pixel of a line also tells where that line's baseline is and how
    far its letters reach, so that touching lines come apart and need no contour of their own.

    Parameters
    ----------
    channels : tuple of int
        Width at each halving of the resolution.
    outputs : int
        Maps that are read off the last layer: four of a line detector.
    """

    stride = 2
    output_layers = ("axis.1", "head")

    def __init__(self, channels: tuple[int, ...] = (16, 32, 48, 96, 128), outputs: int = 4) -> None:
        super().__init__()
        self.stem = convolution(1, channels[0], 2, kernel=5)
        pairs = list(pairwise(channels))
        # Convolutions cost most at full width: one there, three on each of the smaller maps.
        self.down = nn.ModuleList(
            nn.Sequential(convolution(i, o, 2), Residual(o) if depth else nn.Identity())
            for depth, (i, o) in enumerate(pairs)
        )
        self.context = Residual(channels[-1])
        self.axis = nn.Sequential(convolution(channels[-1], channels[-1] // 2), nn.Conv2d(channels[-1] // 2, 2, 1))
        self.reduce = nn.ModuleList(nn.Conv2d(o, i, 1) for i, o in reversed(pairs))
        self.up = nn.ModuleList(convolution(i, i) for i, _ in reversed(pairs))
        self.head = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, pages: Tensor) -> tuple[Tensor, Tensor]:
        """Line maps of pages, and how the pages lie.

        Parameters
        ----------
        pages : float32 (N, 1, S, S), S a multiple of 32
            Ink as `paragraph_ocr.pipeline.rectification.to_ink` gives it.

        Returns
        -------
        float32 (N, outputs, S / 2, S / 2)
            Of a line detector: logit of a line's core; downward distance to its baseline, ascender height and descender
            height in tens of input pixels.
        float32 (N, 2)
            Logits of whether lines run across the page or along it.
        """
        skips = [self.stem(pages)]
        for stage in self.down:
            skips.append(stage(skips[-1]))
        x = self.context(skips.pop())
        axis = self.axis(x).mean((2, 3))
        for reduce, merge in zip(self.reduce, self.up, strict=True):
            x = functional.interpolate(reduce(x), scale_factor=2.0, mode="nearest")
            x = merge(torch.add(x, skips.pop()))
        return self.head(x), axis
