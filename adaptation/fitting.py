"""Fit a recogniser to the lines of a few pages, and average its weights with the original ones."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from adaptation.material import ANNOTATED, DETECTED, Material
from training.data.splices import Splicer
from training.data.strips import Strip
from training.data.workers import ignore_stop_signals
from training.evaluation.metrics import ErrorRate
from training.fit import choose_precision
from training.networks.crnn import CRNN
from training.optim.setup import RunOptions, average_weights, make_optimizers
from training.output import save_atomically
from training.tasks.recognition import AugmentedLines, RecognitionOptions, stack

State = dict[str, Tensor]

# Shares of the adapted weights that are tried in the end.
SHARES = (0.6, 0.7, 0.8, 0.9, 1.0)
# Strips that are read at once.
BATCH = 16
# Steps over which the learning rate rises.
WARMUP = 20
# Held-out lines that are read at a validation: with all of those of many pages, validations took a sixth of the time.
VALIDATED = 96
# Validations in the whole fit, and least number of steps between two.
VALIDATIONS, MIN_STEPS = 16, 25


@dataclass(frozen=True)
class Settings:
    """How a recogniser is adapted.

    Attributes
    ----------
    steps : int
        Maximum number of steps; the time limit may make them fewer.
    minutes : float
        Time limit.
    learning_rate : float
        Of Muon and AdamW; it falls to nothing over the second half of the fit.
    frozen : int
        Number of modules at the beginning of the convolutions that are not fitted.
    spliced : float
        Share of the pages' own lines that go on like another.
    columns : int
        Strip columns in a batch.
    average : float
        Decay of the moving average of the weights.
    patience : int
        Number of validations without a smaller error that end the fit.
    """

    steps: int = 600
    minutes: float = 35.0
    learning_rate: float = 1.5e-3
    frozen: int = 0
    spliced: float = 0.3
    columns: int = 8192
    average: float = 0.97
    patience: int = 8

    @classmethod
    def suited(cls, lines: int, error: float) -> Settings:
        """Return the settings for a number of lines and their error before; more to learn takes more steps."""
        return cls(steps=min(4000, round((200 + 1.5 * lines) * (1 + 2 * min(error, 1.0)))))


@dataclass
class Progress:
    """How far a fit has come.

    Attributes
    ----------
    step : int
    seconds : float
    share : float
        Share of the steps or of the time that is over, whichever is more; the learning rate follows it.
    best : float
        Smallest error of the held-out lines.
    since : int
        Number of validations since then.
    weights : dict of Tensor
        Averaged weights at that step.
    history : list of dict
        Step, seconds and error of each validation.
    """

    step: int = 0
    seconds: float = 0.0
    share: float = 0.0
    best: float = math.inf
    since: int = 0
    weights: State = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def character_error(network: CRNN, strips: Sequence[Strip], charset: str, device: torch.device) -> float:
    """Return the character error of a network on strips, decoded greedily."""
    rate = ErrorRate()
    ordered = sorted(strips, key=lambda strip: strip.pixels.shape[1])
    for start in range(0, len(ordered), BATCH):
        part = ordered[start : start + BATCH]
        columns = -(-max(strip.pixels.shape[1] for strip in part) // 64) * 64
        with torch.inference_mode():
            readings = network.read(stack([strip.pixels for strip in part], columns).to(device))
        for strip, classes in zip(part, readings, strict=True):
            rate.add(strip.text, "".join(charset[kind - 1] for kind in classes))
    return rate.characters


def interpolate(base: Mapping[str, Tensor], adapted: Mapping[str, Tensor], share: float) -> State:
    """Interpolate between two states of a network (Wortsman et al. 2022); `share` is that of the adapted one."""
    return {
        name: torch.lerp(base[name].float(), value.float(), share) if value.is_floating_point() else value
        for name, value in adapted.items()
    }


class Adaptation:
    """A fit of a recogniser to the lines of a few pages.

    Parameters
    ----------
    network : CRNN
        With the weights to begin with.
    material : Material
    charset : str
    options : RecognitionOptions
        Those that the network was fitted with.
    settings : Settings
    splicer : Splicer
        Of the strips of the material.
    device : torch.device

    Attributes
    ----------
    progress : Progress
    """

    def __init__(
        self,
        network: CRNN,
        material: Material,
        charset: str,
        options: RecognitionOptions,
        settings: Settings,
        splicer: Splicer,
        device: torch.device,
    ) -> None:
        self.network = network.to(device)
        self.base = {name: value.clone() for name, value in network.state_dict().items()}
        self.material, self.charset, self.settings, self.device = material, charset, settings, device
        self.lines = splicer
        self.progress = Progress()
        # Half of the lines as annotated, half as the product finds them.
        counts = {kind: sum(strip.source == kind for strip in splicer.strips) for kind in (ANNOTATED, DETECTED)}
        self.options = replace(
            options,
            columns=settings.columns,
            weights={kind: 1 / count for kind, count in counts.items() if count},
            capitals=1.0,
            drawn={},
            spliced=dict.fromkeys((ANNOTATED, DETECTED), settings.spliced),
            full_width=0.0,
            # In the same time, twice as many strips teach more than two degradations of each (5.5 and 5.8 % of errors).
            consistency=0.0,
        )

    def fit(self, checkpoint: Path) -> State:
        """Fit until the held-out error falls no more, the steps are done or the time is over.

        Parameters
        ----------
        checkpoint : Path
            Where the fit is saved at every validation and when it is interrupted, and from where it goes on.

        Returns
        -------
        dict of Tensor
            The averaged weights with the smallest held-out error.
        """
        settings = self.settings
        options = RunOptions(
            "recognition", settings.steps, optimizer="muon", learning_rate=settings.learning_rate, weight_decay=0.0
        )
        frozen = list(self.network.convolutions)[: settings.frozen]
        for parameter in (parameter for module in frozen for parameter in module.parameters()):
            parameter.requires_grad_(False)
        optimizers = make_optimizers(self.network, options)
        average = average_weights(self.network, settings.average)
        precision = choose_precision(self.device)
        if checkpoint.exists():
            self._resume(checkpoint, average, optimizers)
        progress = self.progress
        if not progress.history:
            self._validate(average)
        bar = tqdm(total=settings.steps, initial=progress.step, desc="adapting", unit="step")
        bar.set_postfix(error=f"{100 * progress.history[-1]['error']:.1f} %")
        batches = self._batches(progress.step)
        began, past, first = time.monotonic(), progress.seconds, progress.share
        validated = progress.step, progress.share
        try:
            while progress.share < 1.0 and progress.since < settings.patience:
                rate = settings.learning_rate * min((progress.step + 1) / WARMUP, 1.0, 2 * (1 - progress.share))
                for group in (each for optimizer in optimizers for each in optimizer.param_groups):
                    group["lr"] = rate
                self.network.train()
                for module in frozen:
                    module.eval()
                strips, classes, lengths = next(batches)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=precision is not None):
                    loss = self.network.loss(strips.to(self.device), classes, lengths)
                self.network.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.network.parameters(), options.clip)
                for optimizer in optimizers:
                    optimizer.step()
                average.update_parameters(self.network)
                progress.step += 1
                spent = time.monotonic() - began
                progress.seconds = past + spent
                in_time = first + (1 - first) * spent / (60 * settings.minutes)
                progress.share = max(progress.step / settings.steps, in_time)
                # Fewer steps than that if the time is short.
                bar.total = min(settings.steps, max(progress.step, round(progress.step / progress.share)))
                bar.update()
                steps, part = progress.step - validated[0], progress.share - validated[1]
                if progress.share >= 1.0 or (steps >= MIN_STEPS and part >= 1 / VALIDATIONS):
                    self._validate(average)
                    validated = progress.step, progress.share
                    bar.set_postfix(error=f"{100 * progress.history[-1]['error']:.1f} %")
                    self._save(checkpoint, average, optimizers)
        except KeyboardInterrupt:
            self._save(checkpoint, average, optimizers)
            raise
        finally:
            bar.close()
        return progress.weights

    def choose(self, adapted: State) -> tuple[State, list[dict[str, float]]]:
        """Average the original and the adapted weights, in the share with the smallest held-out error.

        Returns
        -------
        dict of Tensor, list of dict
            The weights, and share and held-out error for each share; the last is the chosen one.
        """
        rows = []
        for share in (0.0, *SHARES):
            self.network.load_state_dict(interpolate(self.base, adapted, share))
            self.network.eval()
            error = character_error(self.network, self.material.validation, self.charset, self.device)
            rows.append({"share": share, "error": error})
        chosen = min(rows, key=lambda row: row["error"])
        return interpolate(self.base, adapted, chosen["share"]), [*rows, chosen]

    def _batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        lines = AugmentedLines(self.lines, self.options, self.charset, seed)
        # One process distorts as many lines as four threads fit.
        workers = 4 if self.device.type == "cuda" else max(1, torch.get_num_threads() // 4)
        return iter(DataLoader(lines, batch_size=None, num_workers=workers, worker_init_fn=ignore_stop_signals))

    def _validate(self, average: AveragedModel) -> None:
        network = average.module
        assert isinstance(network, CRNN)
        network.eval()
        progress = self.progress
        strips = self.material.validation
        places = np.unique(np.linspace(0, len(strips) - 1, VALIDATED).astype(int))
        error = character_error(network, [strips[place] for place in places], self.charset, self.device)
        progress.history.append({"step": progress.step, "seconds": round(progress.seconds, 1), "error": error})
        progress.since += 1
        if error < progress.best:
            progress.best, progress.since = error, 0
            progress.weights = {name: value.clone() for name, value in network.state_dict().items()}

    def _save(self, checkpoint: Path, average: AveragedModel, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        state = {
            "progress": asdict(self.progress),
            "network": self.network.state_dict(),
            "average": average.module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        }
        save_atomically(state, checkpoint)

    def _resume(self, checkpoint: Path, average: AveragedModel, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        self.progress = Progress(**state["progress"])
        self.network.load_state_dict(state["network"])
        average.module.load_state_dict(state["average"])
        average.n_averaged.fill_(self.progress.step)
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
