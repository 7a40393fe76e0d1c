"""Make a page of one of the kinds of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from training.synthesis import forms, letters, spreads, tables
from training.synthesis.corpus import Corpus
from training.synthesis.finish import record_of, render
from training.synthesis.fonts import Face
from training.synthesis.maker import Document, Maker
from training.synthesis.noise import Pixels
from training.synthesis.recorded import RecordedHands
from training.synthesis.texts import Vocabulary, choose_language

# Each kind and its share of a folder of all kinds.
KINDS: dict[str, tuple[Callable[[Maker], Document], float]] = {
    "letter": (letters.letter, 1.0),
    "typed": (letters.typed_letter, 1.0),
    "notes": (letters.notes, 0.7),
    "form": (forms.form, 1.6),
    "invoice": (tables.invoice, 0.9),
    "statement": (tables.statement, 0.8),
    "receipt": (tables.receipt, 0.9),
    "register": (tables.register, 0.8),
    "list": (tables.listing, 0.9),
    "table": (tables.table, 1.0),
    "numbers": (tables.numbers, 1.0),
    "magazine": (spreads.magazine, 1.0),
    "banner": (spreads.banner, 0.9),
    "screen": (spreads.screen, 0.9),
    "poster": (spreads.poster, 0.7),
    "figures": (spreads.figured, 1.2),
    "plain": (spreads.plain, 0.7),
    "bleed": (spreads.bleed, 0.5),
    "strip": (spreads.strip, 0.8),
}
TRIES = 20
# The share of pages whose handwriting is recorded, where there are recordings.
RECORDED = 0.4


def make_document(
    seed: int,
    index: int,
    faces: Sequence[Face],
    corpus: Corpus,
    split: str,
    kind: str,
    recorded: RecordedHands | None = None,
) -> tuple[Pixels, dict[str, Any]]:
    """Make one page.

    Parameters
    ----------
    seed, index : int
        The same pair gives the same page.
    faces : sequence of Face
        Of one split.
    kind : str
        One of `KINDS`, ``all`` to draw one by its share, or ``each`` to take them by turns.
    recorded : RecordedHands, optional
        Recorded handwriting of the split, which writes a part of what is written by hand.

    Returns
    -------
    pixels : uint8 (H, W)
    record : dict
        A row of ``pages.jsonl``. Lines that run up or down the page are under ``ignore``, and with their text,
        baseline, polygon and the degrees by which they are turned clockwise under ``turned``.
    """
    rng = np.random.default_rng([seed, index, 2])
    if kind == "all":
        shares = np.array([share for _, share in KINDS.values()])
        kind = str(rng.choice(list(KINDS), p=shares / shares.sum()))
    elif kind == "each":
        kind = list(KINDS)[index % len(KINDS)]
    for _ in range(TRIES):
        hand = recorded.choose(rng) if recorded is not None and rng.random() < RECORDED else None
        maker = Maker(rng, faces, Vocabulary(corpus, rng, choose_language(corpus, rng)), hand)
        document = KINDS[kind][0](maker)
        if document.canvas.lines:
            break
    pixels, place = render(document.canvas, rng, document.capture, document.typed, document.showing)
    page_id, source = f"{split}_{seed}_{index:06d}_{kind}", f"doc_{kind}"
    record = {
        "page_id": page_id, "source": source, "writer": document.design.body.hand.face.family, "split": split,
        "image": f"pages/{source}/{page_id}.jpg", "width": pixels.shape[1], "height": pixels.shape[0],
    }  # fmt: skip
    return pixels, record | record_of(document.canvas, pixels, place)
