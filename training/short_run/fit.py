"""Train a recogniser for some minutes on the lines of an archive, on a GPU where there is one.

    PYTHONPATH=short_run.zip python -m training.short_run.fit short_run.zip --minutes 13 --out runs/short

It needs no more than the archive and torch, torchvision, OpenCV and matplotlib. The learning rate falls linearly to
zero with the time that is left. Every minute the averaged weights are written in half precision, as ``weights.pt``,
with a curve of the loss; ``python -m export`` takes them as those of any other run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from training.networks.recognisers import RECOGNISERS
from training.optim.setup import RunOptions, average_weights, make_optimizers
from training.output import draw_curves, save_atomically
from training.short_run.archive import ArchiveError, read_archive
from training.short_run.batches import BatchMaker, DeviceLines

# Steps between two entries of the loss.
RECORDED = 20
# How many times the columns of an experiment's batches a GPU is given, unless told otherwise.
GPU_BATCH = 8


def make_rate(
    options: RunOptions, seconds: float, steps: int | None, clock: Callable[[], float] = time.monotonic
) -> Callable[[int], float]:
    """The share of the learning rate at a step: a warm-up, then what is left of the time or of the steps."""
    started = clock()

    def factor(step: int) -> float:
        gone = (clock() - started) / seconds
        if steps is not None:
            gone = max(gone, step / steps)
        return min(1.0, (step + 1) / max(options.warmup, 1)) * max(1.0 - gone, 0.0)

    return factor


def fit(
    archive: Path,
    out: Path,
    minutes: float = 13.0,
    resume: Path | None = None,
    columns: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    steps: int | None = None,
) -> Path:
    """Train the network of an archive until the time is over.

    Parameters
    ----------
    archive : Path
    out : Path
        Folder for weights.pt and curves.png.
    minutes : float
        How long to train; reading the archive is not counted.
    resume : Path, optional
        Checkpoint to go on from, in place of that in the archive.
    columns : int, optional
        Columns of a batch, as in the experiment file; a GPU takes eight times as many where this is not given.
    learning_rate : float, optional
        In place of the experiment's.
    seed : int
    steps : int, optional
        Stop after so many steps, if that comes first.

    Returns
    -------
    Path
        weights.pt, of the same keys as the best.pt of `training.fit`.

    Raises
    ------
    ArchiveError
        The archive is broken, or the weights to start from are of another network or charset.
    """
    manifest, strips, start = read_archive(archive)
    experiment = manifest.experiment
    options = RunOptions(**experiment["run"])
    if learning_rate is not None:
        options = replace(options, learning_rate=learning_rate)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = torch.bfloat16 if device.type == "cuda" else None
    torch.manual_seed(seed)
    data, settings = experiment["data"], dict(experiment["network"])
    kind = RECOGNISERS[settings.pop("name")]
    height, width = data.get("height", 48), data.get("width", 1024)
    network: nn.Module = kind(classes=len(manifest.charset) + 1, height=height, **settings)
    state: dict[str, Any] | None = start
    if resume is not None:
        state = torch.load(resume, map_location="cpu", weights_only=True)
    gone, seconds, history = 0, 0.0, []
    if state is not None:
        if state.get("charset", manifest.charset) != manifest.charset:
            raise ArchiveError("the weights to start from are of another charset")
        try:
            network.load_state_dict({name: value.float() for name, value in state["average"].items()})
        except RuntimeError as error:
            raise ArchiveError(f"the weights to start from are of another network: {error}") from error
        gone, seconds, history = state["step"], state["seconds"], state["history"]
    network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = average_weights(network, options.average)
    optimizers = make_optimizers(network, options, precision)
    wide = data.get("columns", 16384)
    columns = columns or (GPU_BATCH * wide if device.type == "cuda" else wide)
    consistency = float(data.get("consistency", 0.0))
    if consistency:
        columns //= 2
    lines = DeviceLines(strips, device)
    maker = BatchMaker(
        lines,
        manifest.texts,
        manifest.charset,
        manifest.weights,
        manifest.zooms,
        manifest.stretches,
        height,
        width,
        columns,
        seed,
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "weights.pt"
    step, read, saved = 0, 0, 0
    losses = torch.zeros((), device=device)
    started = time.monotonic()
    factor = make_rate(options, 60 * minutes, steps)
    schedulers = [LambdaLR(optimizer, factor) for optimizer in optimizers]

    def save() -> None:
        averaged = average.module.state_dict()
        content = {
            "experiment": experiment,
            "average": {name: v.half() if v.is_floating_point() else v for name, v in averaged.items()},
            "step": gone + step,
            "seconds": seconds + time.monotonic() - started,
            "history": history,
            "sources": manifest.sources,
            "charset": manifest.charset,
        }
        save_atomically(content, path)
        if history:
            draw_curves(history, out / "curves.png")

    for ink, classes, lengths in maker:
        if consistency:
            # The two views differ in what is masked and dropped out.
            ink, classes, lengths = ink.repeat(2, 1, 1, 1), classes.repeat(2), lengths.repeat(2)
        elapsed = time.monotonic() - started
        if elapsed >= 60 * minutes or step == steps:
            break
        ink = ink.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision is not None):
            loss = network.loss(ink, classes, lengths, consistency)  # type: ignore[operator]
        network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), options.clip)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            scheduler.step()
        average.update_parameters(network)
        step += 1
        read += len(lengths)
        losses += loss.detach()
        if step % RECORDED == 0 or step == steps:
            mean = float(losses) / (step % RECORDED or RECORDED)
            losses.zero_()
            rate = float(schedulers[0].get_last_lr()[0])
            history.append({"step": gone + step, "seconds": round(seconds + elapsed), "loss": mean, "rate": rate})
        if elapsed // 60 > saved:
            saved = int(elapsed // 60)
            save()
            latest = f"{history[-1]['loss']:.3f}" if history else "–"
            print(f"{saved} min: step {step:,}, loss {latest}, {read / elapsed:,.0f} lines a second", flush=True)
    save()
    elapsed = max(time.monotonic() - started, 1e-9)
    print(f"{path}: {step:,} steps, {read:,} lines in {elapsed:.0f} s, {read / elapsed:,.0f} lines a second")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.short_run.fit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", type=Path, help="as training.short_run.pack writes it")
    parser.add_argument("--out", type=Path, default=Path("runs/short"), help="folder for weights and curves")
    parser.add_argument("--minutes", type=float, default=13.0)
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--columns", type=int, help="columns of a batch: lines times their width")
    parser.add_argument("--rate", type=float, help="largest learning rate, in place of the experiment's")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    try:
        fit(
            arguments.archive,
            arguments.out,
            arguments.minutes,
            arguments.resume,
            arguments.columns,
            arguments.rate,
            arguments.seed,
        )
    except ArchiveError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
