"""Average the weights of several checkpoints of one network.

    python -m training.optim.average FIRST.pt LAST.pt --out runs/recognizer/best.pt

Runs that went on from each other end at different points of one basin of the loss, and the mean of their weights
generalises better than any of them (Izmailov et al. 2018; Wortsman et al. 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from training.output import save_atomically


class AverageError(Exception):
    """The checkpoints are of different networks; the message names the first that differs."""


def average(paths: list[Path]) -> dict[str, Any]:
    """Average the weights of checkpoints into one that has the form of `training.fit`'s best.pt, in half precision.

    Parameters
    ----------
    paths : list of Path
        best.pt or last.pt of each run; all but the weights and the names of the sources is taken from the last.

    Raises
    ------
    AverageError
        A checkpoint's weights have other names or shapes than the last one's.
    """
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    last = states[-1]
    shapes = {name: value.shape for name, value in last["average"].items()}
    for path, state in zip(paths, states, strict=True):
        if {name: value.shape for name, value in state["average"].items()} != shapes:
            raise AverageError(f"{path} has other weights than {paths[-1]}; give checkpoints of one network")
    mean = {
        name: torch.stack([state["average"][name].float() for state in states]).mean(0).half()
        if value.is_floating_point()
        else value
        for name, value in last["average"].items()
    }
    return {
        "experiment": last["experiment"],
        "average": mean,
        "averaged": [state["step"] for state in states],
        "step": last["step"],
        "seconds": last["seconds"],
        "history": last["history"],
        "sources": sorted({source for state in states for source in state["sources"]}),
        **({"charset": last["charset"]} if "charset" in last else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.optim.average", description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="in the order they were fitted in")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        state = average(arguments.checkpoints)
    except AverageError as error:
        raise SystemExit(str(error)) from error
    save_atomically(state, arguments.out)
    print(f"{arguments.out}: the mean after {', '.join(format(step, ',') for step in state['averaged'])} steps")


if __name__ == "__main__":
    main()
