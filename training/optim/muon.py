"""Muon, an optimizer whose steps are orthogonalised matrices, for the weights of convolutions and LSTMs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

# Coefficients of the iteration's polynomial a x + b x^3 + c x^5 in a singular value x.
A, B, C = 3.4445, -4.775, 2.0315
ITERATIONS = 5
MOMENTUM = 0.95
# Scales steps to the root mean square of Adam's.
SCALE = 0.2


def orthogonalise(matrices: Tensor) -> Tensor:
    """Set all singular values of matrices (..., M, N) to about 1 by the Newton-Schulz iteration."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-12)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x.mT if tall else x


def find_matrices(network: nn.Module) -> Iterator[tuple[Tensor, int]]:
    """Yield the trainable weights of a network's convolutions and LSTMs, except those of its `output_layers`.

    Each comes with the number of matrices that are stacked in it.
    """
    outputs: tuple[str, ...] = getattr(network, "output_layers", ())
    for name, module in network.named_modules():
        gates = 4 if isinstance(module, nn.LSTM) else 1
        if isinstance(module, nn.LSTM | nn.Conv1d | nn.Conv2d) and not name.startswith(outputs):
            for weight in module.parameters(recurse=False):
                if weight.ndim > 1 and weight.requires_grad:
                    yield weight, gates


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalised (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

    Learning rate and weight decay have the scale of AdamW's (Liu et al. 2025, arXiv:2502.16982). Unlike
    `torch.optim.Muon`, a convolution is treated as a matrix with its output channels as rows, and each gate of an LSTM
    as a separate matrix.

    Parameters
    ----------
    matrices : list of (Tensor, int)
        As `find_matrices` yields them.
    lr, weight_decay : float
    precision : torch.dtype
        Type in which steps are orthogonalised; bfloat16 suffices, but is slow on hardware without support for it.
    """

    def __init__(
        self, matrices: list[tuple[Tensor, int]], lr: float, weight_decay: float, precision: torch.dtype = torch.float32
    ) -> None:
        groups = [
            {"params": [weight for weight, parts in matrices if parts == count], "parts": count}
            for count in sorted({parts for _, parts in matrices})
        ]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
                matrices = weight.grad.lerp(momentum, MOMENTUM).reshape(group["parts"], -1, weight[0].numel())
                longest = max(matrices.shape[1:])
                step = orthogonalise(matrices.to(self.precision)).to(weight.dtype).reshape(weight.shape)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(step, alpha=-group["lr"] * SCALE * longest**0.5)
