"""The convolutional pieces that the networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolution(
    inputs: int, outputs: int, stride: int | tuple[int, int] = 1, kernel: int = 3, activate: bool = True
) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, batch normalisation, and a ReLU unless told otherwise."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activate else nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside an identity (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(channels, channels), convolution(channels, channels, activate=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))
