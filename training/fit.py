"""Train a network from an experiment file on folders of pages; write checkpoints, metrics and curves.

python -m training.fit training/experiments/recognizer.toml --data PAGES --out runs/recognizer
torchrun --nproc-per-node 2 -m training.fit ...     (data parallel: a batch of each process a step)
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import time
import tomllib
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from tqdm import tqdm

from training.optim.setup import RunOptions, average_weights, make_optimizers, make_schedulers
from training.output import draw_curves, save_atomically
from training.tasks.detection import Detection
from training.tasks.paragraphs import Labelling
from training.tasks.recognition import Recognition


class Task(Protocol):
    """A kind of network with its data, loss and validation. Scores are errors: lower is better."""

    network: nn.Module
    sources: list[str]

    def batches(self, seed: int, workers: int) -> Any: ...

    def loss(self, network: nn.Module, batch: Any, device: torch.device) -> Tensor: ...

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]: ...

    def draw(self, batch: Any) -> NDArray[np.uint8]: ...


TASKS: dict[str, Any] = {"recognition": Recognition, "detection": Detection, "labelling": Labelling}


CPU = torch.device("cpu")
PROCESSORS = Path("/proc/cpuinfo")


def choose_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the hardware multiplies it, else None for float32."""
    if device.type == "cuda":
        return torch.bfloat16
    flags = set(PROCESSORS.read_text(encoding="utf-8").split()) if PROCESSORS.exists() else set()
    return torch.bfloat16 if flags & {"amx_bf16", "avx512_bf16"} else None


class ProcessGroup:
    """The processes of a data-parallel run, each with the same weights: this one alone, or those of torchrun."""

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if device.type == "cuda":
            # Else every process would wait on the first GPU.
            torch.cuda.set_device(device)
        if self.count > 1:
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def wait(self) -> None:
        if self.count > 1:
            distributed.barrier()

    def average_gradients(self, network: nn.Module, stopping: bool) -> bool:
        """Give every process the mean of all gradients; whether any of them has been told to stop."""
        if self.count == 1:
            return stopping
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients] + [gradients[0].new_tensor([float(stopping)])])
        distributed.all_reduce(flat)
        flat /= self.count
        for gradient, mean in zip(gradients, torch.split(flat[:-1], [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
        return bool(flat[-1] > 0)


def read_experiment(path: Path) -> dict[str, Any]:
    """The tables [run], [network] and [data] of an experiment file; any other is an error."""
    experiment = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = set(experiment) - {"run", "network", "data"}
    if unknown:
        raise SystemExit(f"{path}: unknown table {', '.join(sorted(unknown))}; use [run], [network] and [data]")
    return experiment


def draw_contact_sheet(experiment: dict[str, Any], folders: list[Path], cache: Path, count: int, path: Path) -> None:
    """Write a picture of an experiment's first batches with their targets."""
    options = RunOptions(**experiment["run"])
    task: Task = TASKS[options.task](folders, cache, dict(experiment["data"]), dict(experiment["network"]))
    batches = task.batches(options.seed, workers=0)
    pictures = [task.draw(next(batches)) for _ in range(count)]
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    padded = np.full((count, height, width, 3), 255, np.uint8)
    for cell, picture in zip(padded, pictures, strict=True):
        cell[: picture.shape[0], : picture.shape[1]] = picture
    # Its import takes long, and training needs none of it.
    from training.vision import make_grid

    sheet = make_grid(torch.from_numpy(padded).permute(0, 3, 1, 2), nrow=1, padding=4, pad_value=255)
    cv2.imwrite(str(path), sheet.permute(1, 2, 0).contiguous().numpy())


def load_initial_weights(network: nn.Module, checkpoint: Path) -> None:
    """Load the averaged weights of a checkpoint, as far as names and shapes are the same.

    Raises
    ------
    SystemExit
        The checkpoint has no weights of the same name and shape.
    """
    own = network.state_dict()
    given = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
    fitting = {name: value.float() for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise SystemExit(f"{checkpoint} has no weights that the network could start from")
    network.load_state_dict(own | fitting)


def fit(
    experiment: dict[str, Any], folders: list[Path], out: Path, cache: Path, resume: Path | None, workers: int
) -> None:
    """Run an experiment to its last step, or until SIGTERM or SIGINT, which leave a checkpoint behind."""
    options = RunOptions(**experiment["run"])
    # OpenCV's threads do not survive the fork that makes the workers: a worker would wait for them for ever.
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else CPU
    precision = choose_precision(device)
    group = ProcessGroup(device)
    if group.rank > 0:
        # The first process fills the cache for all.
        group.wait()
    task: Task = TASKS[options.task](folders, cache, dict(experiment["data"]), dict(experiment["network"]))
    if group.rank == 0:
        group.wait()
    network = task.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start and resume is None:
        load_initial_weights(network, Path(options.start))
    average = average_weights(network, options.average)
    optimizers = make_optimizers(network, options, precision)
    history: list[dict[str, float]] = []
    step, seconds, best = 0, 0.0, float("inf")
    out.mkdir(parents=True, exist_ok=True)
    if resume is not None:
        state = torch.load(resume, map_location=device, weights_only=True)
        if hasattr(task, "adapt_checkpoint"):
            task.adapt_checkpoint(state)
        average.module.load_state_dict(state["average"])
        network.load_state_dict(state.get("network", state["average"]))
        step, seconds, history = state["step"], state["seconds"], state["history"]
        average.n_averaged.fill_(step)
        best = min((row["score"] for row in history if "score" in row), default=best)
        if step >= options.steps:
            raise SystemExit(f"{resume} has gone {step} steps; give the experiment file more to go on")
        if "network" in state:
            if len(state.get("optimizers", ())) != len(optimizers):
                raise SystemExit(f"{resume} was not fitted by {options.optimizer}; go on from the best.pt beside it")
            for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
    schedulers = make_schedulers(optimizers, options, step)

    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def weights(kind: torch.dtype) -> dict[str, Any]:
        averaged = average.module.state_dict()
        return {
            "experiment": experiment,
            "average": {name: v.to(kind) if v.is_floating_point() else v for name, v in averaged.items()},
            "step": step,
            "seconds": seconds,
            "history": history,
            "sources": task.sources,
            **({"charset": charset} if (charset := getattr(task, "charset", "")) else {}),
        }

    torch.manual_seed(options.seed + step * group.count + group.rank)
    batches = task.batches(options.seed + step * group.count + group.rank, workers)
    started = time.monotonic() - seconds
    losses: list[float] = []
    progress = tqdm(total=options.steps, initial=step, desc=out.name, mininterval=10, disable=group.rank > 0)
    network.train()
    while step < options.steps and not stopping:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision is not None):
            loss = task.loss(network, next(batches), device)
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        stopping = group.average_gradients(network, stopping)
        nn.utils.clip_grad_norm_(network.parameters(), options.clip)
        for optimizer in optimizers:
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        step += 1
        if group.rank > 0:
            continue
        progress.update()
        losses.append(float(loss.detach()))
        average.update_parameters(network)
        seconds = time.monotonic() - started
        if step % 50 == 0:
            mean = sum(losses) / len(losses)
            history.append(
                {"step": step, "seconds": round(seconds), "loss": mean, "rate": float(schedulers[0].get_last_lr()[0])}
            )
            progress.set_postfix(loss=f"{mean:.3f}")
            losses.clear()
        if step % options.validate_every == 0 or step == options.steps:
            row = {"step": step, "seconds": round(seconds), **task.validate(average.module, device)}
            history.append(row)
            tqdm.write(json.dumps({key: round(value, 4) for key, value in row.items()}))
            draw_curves(history, out / "curves.png")
            (out / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
            if row["score"] < best:
                best = row["score"]
                # Half precision: small enough to keep beside the code, and to go on from.
                save_atomically(weights(torch.float16), out / "best.pt")
        if step % options.checkpoint_every == 0 or step == options.steps or stopping:
            state = {"network": network.state_dict(), "optimizers": [each.state_dict() for each in optimizers]}
            save_atomically(weights(torch.float32) | state, out / "last.pt")
    progress.close()
    if hasattr(signal, "SIGCHLD"):
        # Else torch takes the end of a worker for a failure.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in multiprocessing.active_children():
        # They leave signals to this process, so that nothing gentler would end one that is busy.
        worker.kill()
    if group.count > 1:
        distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.fit", description=__doc__)
    parser.add_argument("experiment", type=Path, help="TOML file with [run], [network] and [data]")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of pages; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("runs/new"), help="folder for checkpoints, metrics and curves")
    parser.add_argument("--cache", type=Path, default=Path("build/cache"), help="folder for cut strips and pages")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")
    parser.add_argument("--threads", type=int, help="threads that compute on a CPU")
    parser.add_argument("--sheet", type=Path, help="draw the first batches in this picture, and fit nothing")
    parser.add_argument("--batches", type=int, default=4, help="how many batches the picture has")
    arguments = parser.parse_args()
    # What is most unlikely comes to denormal numbers, with which a processor takes a hundred times as long. It is said
    # here and not in `fit`, since it holds for all that the process computes.
    torch.set_flush_denormal(True)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.sheet:
        experiment = read_experiment(arguments.experiment)
        draw_contact_sheet(experiment, arguments.data, arguments.cache, arguments.batches, arguments.sheet)
        return
    fit(
        read_experiment(arguments.experiment),
        arguments.data,
        arguments.out,
        arguments.cache,
        arguments.resume,
        arguments.workers,
    )


if __name__ == "__main__":
    main()
