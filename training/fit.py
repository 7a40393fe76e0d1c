"""Train a network from an experiment file on folders of pages; write checkpoints, metrics and curves.

python -m training.fit training/experiments/recognizer.toml --data PAGES --out runs/recognizer
torchrun --nproc-per-node 2 -m training.fit ...     (data parallel: a batch of each process a step)
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import signal
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import matplotlib

matplotlib.use("Agg")

import numpy as np
import torch
from matplotlib import pyplot
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from tqdm import tqdm

from training.optim.muon import Muon, find_matrices
from training.tasks.detection import Detection
from training.tasks.paragraphs import Labelling
from training.tasks.recognition import Recognition


class Task(Protocol):
    """What the training loop needs of a kind of network. Scores are errors: lower is better."""

    network: nn.Module
    sources: list[str]

    def batches(self, seed: int, workers: int) -> Any: ...

    def loss(self, network: nn.Module, batch: Any, device: torch.device) -> Tensor: ...

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]: ...

    def draw(self, batch: Any) -> NDArray[np.uint8]: ...


TASKS: dict[str, Any] = {"recognition": Recognition, "detection": Detection, "labelling": Labelling}


CPU = torch.device("cpu")
PROCESSORS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class RunOptions:
    """What an experiment file says under [run].

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


def rate(options: RunOptions, step: int) -> float:
    """Learning rate at a step: warm up, hold, fall linearly."""
    rise = min(1.0, (step + 1) / max(options.warmup, 1))
    fall = min(1.0, (options.steps - step) / max(options.decay, 1))
    return options.learning_rate * max(min(rise, fall), 0.0)


def choose_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the hardware multiplies it, else None for float32."""
    if device.type == "cuda":
        return torch.bfloat16
    flags = set(PROCESSORS.read_text(encoding="utf-8").split()) if PROCESSORS.exists() else set()
    return torch.bfloat16 if flags & {"amx_bf16", "avx512_bf16"} else None


def make_optimizers(
    network: nn.Module, options: RunOptions, precision: torch.dtype | None = None
) -> list[torch.optim.Optimizer]:
    """What changes a network's weights at every step; `precision` is what the hardware multiplies, None for float32."""
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
        for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
        return bool(flat[-1] > 0)


def draw_curves(history: list[dict[str, float]], path: Path) -> None:
    """Training loss and each validation figure over the steps, as a PNG."""
    names = sorted({name for row in history for name in row} - {"step", "seconds", "loss", "rate"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5))
    left.plot([row["step"] for row in history if "loss" in row], [row["loss"] for row in history if "loss" in row])
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.set_prop_cycle(color=pyplot.colormaps["tab20"].colors)  # type: ignore[attr-defined]
    for name in names:
        rows = [row for row in history if name in row]
        right.plot([row["step"] for row in rows], [row[name] for row in rows], label=name)
    right.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    right.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def read_experiment(path: Path) -> dict[str, Any]:
    """The tables [run], [network] and [data] of an experiment file; any other is an error."""
    experiment = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = set(experiment) - {"run", "network", "data"}
    if unknown:
        raise SystemExit(f"{path}: unknown table {', '.join(sorted(unknown))}; use [run], [network] and [data]")
    return experiment


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a killed process leaves the old one or the new one, never half of one."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def draw_contact_sheet(experiment: dict[str, Any], folders: list[Path], cache: Path, count: int, path: Path) -> None:
    """Write a picture of what the network would see in its first batches, with what it would be taught of it."""
    options = RunOptions(**experiment["run"])
    task: Task = TASKS[options.task](folders, cache, dict(experiment["data"]), dict(experiment["network"]))
    batches = task.batches(options.seed, workers=0)
    seen = [task.draw(next(batches)) for _ in range(count)]
    width = max(picture.shape[1] for picture in seen)
    padded = [np.pad(each, ((0, 0), (0, width - each.shape[1]), (0, 0)), constant_values=255) for each in seen]
    cv2.imwrite(str(path), np.vstack(padded))


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
    average = copy.deepcopy(network).eval()
    optimizers = make_optimizers(network, options, precision)
    history: list[dict[str, float]] = []
    step, seconds, best = 0, 0.0, float("inf")
    out.mkdir(parents=True, exist_ok=True)
    if resume is not None:
        state = torch.load(resume, map_location=device, weights_only=True)
        if hasattr(task, "adapt_checkpoint"):
            task.adapt_checkpoint(state)
        average.load_state_dict(state["average"])
        network.load_state_dict(state.get("network", state["average"]))
        step, seconds, history = state["step"], state["seconds"], state["history"]
        best = min((row["score"] for row in history if "score" in row), default=best)
        if step >= options.steps:
            raise SystemExit(f"{resume} has gone {step} steps; give the experiment file more to go on")
        if "network" in state:
            if len(state.get("optimizers", ())) != len(optimizers):
                raise SystemExit(f"{resume} was not fitted by {options.optimizer}; go on from the best.pt beside it")
            for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)

    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def weights(kind: torch.dtype) -> dict[str, Any]:
        averaged = average.state_dict()
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
        for parameters in (each for optimizer in optimizers for each in optimizer.param_groups):
            parameters["lr"] = rate(options, step)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision is not None):
            loss = task.loss(network, next(batches), device)
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        stopping = group.average_gradients(network, stopping)
        nn.utils.clip_grad_norm_(network.parameters(), options.clip)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        if group.rank > 0:
            continue
        progress.update()
        losses.append(float(loss.detach()))
        share = min(options.average, step / (step + 20.0))
        with torch.no_grad():
            for value, current in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                value.lerp_(current, 1.0 - share) if value.is_floating_point() else value.copy_(current)
        seconds = time.monotonic() - started
        if step % 50 == 0:
            mean = sum(losses) / len(losses)
            history.append({"step": step, "seconds": round(seconds), "loss": mean, "rate": rate(options, step)})
            progress.set_postfix(loss=f"{mean:.3f}")
            losses.clear()
        if step % options.validate_every == 0 or step == options.steps:
            row = {"step": step, "seconds": round(seconds), **task.validate(average, device)}
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
