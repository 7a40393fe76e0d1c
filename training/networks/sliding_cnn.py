"""Sliding CNN: a CNN over separate windows along the strip, followed by the CRNN's LSTM."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.networks.crnn import CRNN

WINDOW = 48
HOP = 16


class SlidingCNN(CRNN):
    """A CNN over each of the windows of 48 columns that begin every 16, for an LSTM and CTC.

    Each window answers for the four frames at its middle. Its parts are the CRNN's, whose weights fit; but what several
    windows see is computed as often.
    """

    def columns(self, strips: Tensor) -> Tensor:
        """Features of the windows of strips (N, 1, H, W), float32 (N, features, W / 4); W is a multiple of the hop."""
        count, _, height, width = strips.shape
        around = (WINDOW - HOP) // 2
        hops = functional.pad(strips, (around, around)).reshape(count, height, -1, HOP).transpose(1, 2)
        steps = width // HOP
        windows = torch.cat([hops[:, at : at + steps] for at in range(WINDOW // HOP)], dim=3)
        features: Tensor = self.convolutions(windows.reshape(-1, 1, height, WINDOW))[:, :, 0]
        middle = features[:, :, around // self.stride : (around + HOP) // self.stride]
        return middle.reshape(count, steps, -1, HOP // self.stride).transpose(1, 2).flatten(2)
