"""Fit a line detector to a few pages, and choose how far to go from its weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from adaptation.fitting import interpolate
from adaptation.material import count_lines, pair_lines
from export.__main__ import build
from paragraph_ocr.pipeline.detection import Detector
from training.data.pages import TruePage
from training.data.workers import ignore_stop_signals
from training.evaluation.end_to_end import TorchModel
from training.fit import choose_precision
from training.networks.unet import UNet
from training.optim.setup import RunOptions, average_weights, make_optimizers
from training.tasks.detection import AugmentedPages, DetectionOptions, downscale, map_loss

# Steps if all lines are found before; up to three times as many if none is. On pages of which the product found 63 %
# (F1), 82 steps made that 70 %.
STEPS, LEARNING_RATE, WARMUP = 200, 3e-4, 20
# Shares of the adapted weights that are tried in the end, and the gain in F1 from which another detector pays.
SHARES = (0.3, 0.5, 0.7, 1.0)
MIN_GAIN = 0.005


@dataclass
class AdaptedDetector:
    """A detector with the weights that were chosen.

    Attributes
    ----------
    network : nn.Module
    description : dict
        The entries of its card, as `export.__main__.build` returns them.
    state : dict
        The checkpoint that it was fitted from.
    before, after : float
        F1 of the lines that the product finds on the held-out pages.
    steps : int
    share : float
        Of the adapted weights; 0 if the original ones are as good.
    """

    network: nn.Module
    description: dict[str, Any]
    state: dict[str, Any]
    before: float
    after: float
    steps: int
    share: float


def adapt_detector(
    checkpoint: Path, train: Sequence[TruePage], held_out: Sequence[TruePage], seconds: float, device: torch.device
) -> AdaptedDetector | None:
    """Fit the detector to pages that are annotated as a whole.

    Parameters
    ----------
    checkpoint : Path
        Of the detector, as `training.fit` writes it.
    train, held_out : sequence of TruePage
    seconds : float
        Time limit of the steps.
    device : torch.device

    Returns
    -------
    AdaptedDetector or None
        None if no page is annotated as a whole, or there is no time.
    """
    whole, measured = ([page for page in pages if page.whole] for pages in (train, held_out))
    if not whole or not measured or seconds <= 0:
        return None
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network, description = build(state["experiment"])
    network.load_state_dict({name: value.float() for name, value in state["average"].items()})
    network.to(device)
    base = {name: value.clone() for name, value in network.state_dict().items()}
    options = replace(DetectionOptions(**state["experiment"]["data"]), weights={}, batch=2)
    assert isinstance(network, UNet)
    stride = network.stride

    def f1() -> float:
        network.eval()
        detector = Detector(TorchModel(network, description, device))
        counts = np.zeros(3)
        for page in measured:
            detected, sideways = detector.find(page.normalised())
            pairs = {} if sideways else pair_lines(page.lines, detected)
            counts += count_lines(page, detected, pairs)
        return 2 * float(counts[0]) / max(float(counts[1] + counts[2]), 1.0)

    before = f1()
    steps = round(STEPS * (3 - 2 * before))
    run = RunOptions("detection", steps, optimizer="muon", learning_rate=LEARNING_RATE, weight_decay=0.0)
    optimizers = make_optimizers(network, run)
    average = average_weights(network, 0.98)
    pages = AugmentedPages([downscale(page, 2 * options.size) for page in whole], options, stride, seed=0)
    batches = iter(DataLoader(pages, batch_size=None, num_workers=1, worker_init_fn=ignore_stop_signals))
    precision = choose_precision(device)
    network.train()
    began, step, progress = time.monotonic(), 0, 0.0
    bar = tqdm(total=steps, desc="adapting the detector", unit="step")
    while progress < 1.0:
        for group in (each for optimizer in optimizers for each in optimizer.param_groups):
            group["lr"] = LEARNING_RATE * min((step + 1) / WARMUP, 1.0, 2 * (1 - progress))
        with torch.autocast(device.type, torch.bfloat16, enabled=precision is not None):
            loss = map_loss(network, next(batches), device)
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), run.clip)
        for optimizer in optimizers:
            optimizer.step()
        average.update_parameters(network)
        step += 1
        bar.update()
        progress = max(step / steps, (time.monotonic() - began) / seconds)
    bar.close()
    adapted = {name: value.clone() for name, value in average.module.state_dict().items()}
    scores = {}
    for share in SHARES:
        network.load_state_dict(interpolate(base, adapted, share))
        scores[share] = f1()
    chosen = max(scores, key=lambda share: (scores[share], -share))
    if scores[chosen] < before + MIN_GAIN:
        return AdaptedDetector(network, description, state, before, before, step, 0.0)
    network.load_state_dict(interpolate(base, adapted, chosen))
    network.to("cpu").eval()
    return AdaptedDetector(network, description, state, before, scores[chosen], step, chosen)
