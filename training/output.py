"""Write what a run leaves behind: checkpoints and curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import torch
from cycler import cycler
from matplotlib import pyplot


def draw_curves(history: list[dict[str, float]], path: Path) -> None:
    """Training loss and each validation figure over the steps, as a PNG."""
    names = sorted({name for row in history for name in row} - {"step", "seconds", "loss", "rate"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5))
    left.plot([row["step"] for row in history if "loss" in row], [row["loss"] for row in history if "loss" in row])
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    # Twice as many lines as colours: the second time dashed.
    colours = pyplot.colormaps["tab20"].colors  # type: ignore[attr-defined]
    right.set_prop_cycle(cycler(linestyle=["-", "--"]) * cycler(color=colours))
    for name in names:
        rows = [row for row in history if name in row]
        right.plot([row["step"] for row in rows], [row[name] for row in rows], label=name)
    right.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    if names:
        # Beside the curves, since there are too many names to lie upon them.
        right.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a killed process leaves the old one or the new one, never half of one."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)
