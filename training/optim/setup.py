"""Options of a run, and the optimizers, learning rate schedules and averaged weights that they set up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.optim.muon import Muon, find_matrices

Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class RunOptions:
    """The table [run] of an experiment file.

    Where the file alone does not make a network, `origin` says in words, for the card, what else did. A run that does
    not go on from a checkpoint may `start` from the weights of another network's, so far as their names and shapes are
    the same. The `optimizer` is "adamw", or "muon" for the weights of convolutions and LSTMs and AdamW for the others.
    The learning rate rises over `warmup` steps, stays, and falls to nothing over the last `decay` of `steps`; so a run
    can be made longer by raising `steps` before its fall begins.
    """

    task: str
    steps: int
    seed: int = 0
    origin: str = ""
    start: str = ""
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 500
    decay: int = 2000
    average: float = 0.999
    clip: float = 5.0
    validate_every: int = 1000
    checkpoint_every: int = 250


def learning_rate_factor(options: RunOptions, step: int) -> float:
    """Return the learning rate of a step relative to the maximum: linear warm-up, constant, linear decay to zero."""
    rise = min(1.0, (step + 1) / max(options.warmup, 1))
    fall = min(1.0, (options.steps - step) / max(options.decay, 1))
    return max(min(rise, fall), 0.0)


def make_schedulers(optimizers: list[torch.optim.Optimizer], options: RunOptions, step: int) -> list[LambdaLR]:
    """Create the learning rate schedulers of a run that has completed `step` steps."""
    for group in (each for optimizer in optimizers for each in optimizer.param_groups):
        group["lr"] = group["initial_lr"] = options.learning_rate
    return [LambdaLR(each, partial(learning_rate_factor, options), last_epoch=step - 1) for each in optimizers]


def average_weights(network: nn.Module, decay: float, step: int = 0) -> AveragedModel:
    """Create an exponential moving average of a network's weights and buffers, which decays faster in the first steps.

    Parameters
    ----------
    network : nn.Module
    decay : float
        Maximum decay; after n steps, the decay is at most n / (n + 20).
    step : int
        Number of steps that are already averaged.
    """

    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        steps = int(count) + 1
        if averaged[0].is_floating_point():
            ema = get_ema_multi_avg_fn(min(decay, steps / (steps + 20.0)))  # type: ignore[no-untyped-call]
            ema(averaged, current, count)
        else:
            # Integer buffers are the batch counts of batch normalisation.
            torch._foreach_copy_(averaged, current)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True).eval()
    average.n_averaged.fill_(step)
    return average


def make_optimizers(
    network: nn.Module, options: RunOptions, precision: torch.dtype | None = None
) -> list[torch.optim.Optimizer]:
    """Set up the optimizers of a network.

    Parameters
    ----------
    network : nn.Module
    options : RunOptions
    precision : torch.dtype, optional
        Type in which Muon's steps are computed; float32 by default.

    Raises
    ------
    SystemExit
        The optimizer is unknown, or the network has no weights for Muon.
    """
    if options.optimizer not in ("adamw", "muon"):
        raise SystemExit(f'unknown optimizer "{options.optimizer}"; use "adamw" or "muon"')
    matrices = list(find_matrices(network)) if options.optimizer == "muon" else []
    if options.optimizer == "muon" and not matrices:
        raise SystemExit('no convolution or LSTM of the network is fitted; use the optimizer "adamw"')
    taken = {id(weight) for weight, _ in matrices}
    rest = [p for p in network.parameters() if id(p) not in taken]
    decayed = [p for p in rest if p.ndim > 1]
    plain = [p for p in rest if p.ndim <= 1]
    adamw = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=options.learning_rate,
    )
    if not matrices:
        return [adamw]
    return [adamw, Muon(matrices, options.learning_rate, options.weight_decay, precision or torch.float32)]
