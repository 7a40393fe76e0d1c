"""FCN that labels each pixel of a paragraph as paper, an odd line or an even one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import convolution


class FCN(nn.Module):
    """Fully convolutional network (Long et al. 2015): class scores at several resolutions, enlarged and added.

    Dilated convolutions (Yu and Koltun 2016) give the coarsest scores a receptive field of many lines, which labels
    that alternate require.

    Parameters
    ----------
    outputs : int
        Classes of a pixel.
    channels : tuple of int
        Width at each halving of the resolution.
    dilations : tuple of int
        One for each convolution over the coarsest map.
    """

    output_layers = ("scores",)

    def __init__(
        self, outputs: int = 3, channels: tuple[int, ...] = (16, 32, 64), dilations: tuple[int, ...] = (1, 2, 4, 8)
    ) -> None:
        super().__init__()
        widths = (1, *channels)
        self.down = nn.ModuleList(
            convolution(i, o, 2, kernel=3 if depth else 5)
            for depth, (i, o) in enumerate(zip(widths, channels, strict=False))
        )
        last = channels[-1]
        self.context = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(last, last, 3, padding=d, dilation=d, bias=False), nn.BatchNorm2d(last), nn.ReLU()
                )
                for d in dilations
            )
        )
        self.scores = nn.ModuleList(nn.Conv2d(width, outputs, 1) for width in channels)

    def forward(self, paragraphs: Tensor) -> Tensor:
        """Logits of each pixel's classes.

        Parameters
        ----------
        paragraphs : float32 (N, 1, S, S), S a multiple of 8
            Ink as `paragraph_ocr.pipeline.rectification.to_ink` gives it.

        Returns
        -------
        float32 (N, classes, S / 2, S / 2)
        """
        maps = [paragraphs]
        for stage in self.down:
            maps.append(stage(maps[-1]))
        maps[-1] = self.context(maps[-1])
        total: Tensor = self.scores[-1](maps[-1])
        for score, finer in zip(reversed(self.scores[:-1]), reversed(maps[1:-1]), strict=True):
            total = torch.add(functional.interpolate(total, scale_factor=2.0, mode="bilinear"), score(finer))
        return total
