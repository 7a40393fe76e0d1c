"""Adapt the language model of a model set to the text of a few pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.language import EDGE, OWN, LanguageModel, Languages, Mixture, stored
from training.data.pages import TruePage
from training.tasks.language import fit

# Contexts of the model of the pages' own text, and characters of its charset, at most.
CONTEXTS, CHARACTERS = 100_000, 254
# Maximum share of that model: the held-out pages are few, and other pages have other text.
MAX_SHARE = 0.7
# Rounds of expectation maximisation.
ROUNDS = 30


def lines_of(pages: Sequence[TruePage]) -> list[str]:
    """Return the text of all lines that are not struck."""
    return [line.text for page in pages for line in page.lines if line.text and not line.struck]


def adapt_language(
    base: Path, out: Path, train: Sequence[TruePage], held_out: Sequence[TruePage], charset: str, version: str
) -> dict[str, Any]:
    """Write language models to which a model of the pages' own text was added.

    Its share in the mixture is the one under which the held-out lines are most probable.

    Parameters
    ----------
    base, out : Path
        Language models of the package, and where those with another are written, with its card.
    train, held_out : sequence of TruePage
    charset : str
        Of the recogniser.
    version : str
        Appended to the card's version.

    Returns
    -------
    dict
        ``share``, and bits per character of the held-out lines ``before`` and ``after``.
    """
    lines = lines_of(train)
    used = sorted({character for line in lines for character in line} & set(charset))[:CHARACTERS]
    table = fit([(lines, 1.0)], CONTEXTS, least=1.0, charset="".join(used))
    languages = Languages.load(base, charset)
    tested = [line for line in lines_of(held_out) if set(line) <= set(charset)]
    general = languages.model(languages.identify(tested))
    own = LanguageModel(table, languages.search, reader_charset=charset)
    pairs = np.concatenate([_probabilities([general, own], line, charset) for line in tested])
    share = 0.5
    for _ in range(ROUNDS):
        mixed = pairs @ np.array([1 - share, share])
        share = float(np.mean(share * pairs[:, 1] / mixed))
    share = round(min(share, MAX_SHARE), 3)
    with np.load(base) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    content |= {f"{OWN}.{name}": array for name, array in stored(table).items()}
    np.savez(out, **content)
    card = json.loads(base.with_suffix(".json").read_text(encoding="utf-8"))
    card["version"] = f"{card['version']}+{version}"
    card["charset"] = charset
    card["sha256"] = hashlib.sha256(out.read_bytes()).hexdigest()
    card["languages"] |= {
        OWN: {"charset": table.charset, "scale": table.scale, "contexts": len(table.characters), "share": share}
    }
    out.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    bits = -np.log2(pairs @ np.array([[1.0, 1 - share], [0.0, share]])).mean(axis=0)
    return {"share": share, "before": round(float(bits[0]), 3), "after": round(float(bits[1]), 3)}


def _probabilities(models: Sequence[LanguageModel | Mixture], line: str, charset: str) -> NDArray[np.float64]:
    """Return the probability of each character of a line, and of its end, in each model, float (characters, models)."""
    index = {character: number for number, character in enumerate(charset + EDGE)}
    columns = []
    for model in models:
        state: Any = model.start
        column = []
        for character in line + EDGE:
            column.append(exp(model.log_probability(state, index[character])))
            state = model.after(state, index[character])
        columns.append(column)
    return np.array(columns).T
