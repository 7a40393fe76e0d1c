"""Convolution blocks, the CTC loss and greedy CTC decoding, which several networks use."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(
    inputs: int, outputs: int, stride: int | tuple[int, int] = 1, kernel: int = 3, activate: bool = True
) -> nn.Sequential:
    """Return a padded convolution with batch normalisation, and a ReLU by default."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activate else nn.Sequential(*layers)


class Residual(nn.Module):
    """Residual block of two 3 x 3 convolutions (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(channels, channels), convolution(channels, channels, activate=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def ctc_loss(log_probabilities: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
    """Return the CTC loss per character (Graves et al. 2006).

    Parameters
    ----------
    log_probabilities : float (N, T, C)
        Class 0 is the blank.
    classes : int64 (sum of lengths)
    lengths : int64 (N)
    """
    scores = log_probabilities.float().transpose(0, 1)
    frames = torch.full((scores.shape[1],), scores.shape[0], dtype=torch.long)
    losses = functional.ctc_loss(
        scores, classes.to(scores.device), frames, lengths, 0, reduction="none", zero_infinity=True
    )
    return losses.sum() / lengths.sum()


def divergence(log_probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean of both Kullback-Leibler divergences between two views of the same lines, per character.

    Each view is drawn towards the other as it is, so that no gradient passes through the one that is the target.

    Parameters
    ----------
    log_probabilities : float (2 N, T, C)
        The second half has the lines of the first.
    lengths : int64 (2 N)
        Characters of each line.
    """
    first, second = log_probabilities.float().chunk(2)
    both = functional.kl_div(first, second.detach(), reduction="sum", log_target=True) + functional.kl_div(
        second, first.detach(), reduction="sum", log_target=True
    )
    return both / lengths.sum()


def greedy_decode(log_probabilities: Tensor) -> list[list[int]]:
    """Decode the best path: the most probable class of each frame (N, T, C), with repeats merged and blanks removed."""
    return [[kind for kind, _ in groupby(row) if kind] for row in log_probabilities.argmax(2).tolist()]
