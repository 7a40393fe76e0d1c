"""Look up the credits of the sources that a model was trained on, as the model's card carries them."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TRAINING = Path(__file__).parents[1]


def _table(name: str) -> list[dict[str, str]]:
    with (TRAINING / "synthesis" / name).open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows, delimiter="\t"))


def credits(sources: Iterable[str]) -> dict[str, Any]:
    """Who made the data, fonts and texts behind the sources, and their licences.

    Parameters
    ----------
    sources : iterable of str
        Source names of pages; those of synthetic pages begin with ``synth``. One that training/sources.toml does not
        name is a user's own, and stands in the card by its name alone.
    """
    known = tomllib.loads((TRAINING / "sources.toml").read_text(encoding="utf-8"))
    names = sorted(sources)
    content: dict[str, Any] = {"data": [{"source": name, **known.get(name, {})} for name in names]}
    if any(name.startswith("synth") for name in names):
        fonts = {(row["package"], row["licence"]) for row in _table("fonts.tsv") if row["split"] == "train"}
        content["fonts"] = [f"{package} ({licence})" for package, licence in sorted(fonts)]
        content["texts"] = text_credits()
    return content


def text_credits() -> list[str]:
    """The packages that composed text is drawn from, with their licences."""
    return sorted({f"{row['package']} ({row['licence']})" for row in _table("texts.tsv")})
