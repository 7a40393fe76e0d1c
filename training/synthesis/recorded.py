"""Write lines with handwriting that was recorded as pen strokes, see `training.data.strokes`."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from training.data.strokes import OVERSAMPLING, Pen, PenItem, choose_pen, draw_strokes, join_words, load_items
from training.synthesis.corpus import FOREIGN, straight
from training.synthesis.hands import Metrics
from training.synthesis.ink import INK, surround
from training.synthesis.noise import Pixels

# A hand with fewer items than this repeats itself too much.
MIN_ITEMS = 12


class RecordedHands:
    """The recorded hands of one split.

    Parameters
    ----------
    folder : Path
        Holds ``lines.npz`` and ``words.npz``.
    split : str
        ``train`` or ``val``.
    """

    def __init__(self, folder: Path, split: str) -> None:
        by_hand: dict[int, list[PenItem]] = defaultdict(list)
        for name in ("lines.npz", "words.npz"):
            for item in load_items(folder / name, split):
                text = " ".join(straight(item.text).split())
                if text and not FOREIGN.search(text):
                    by_hand[item.hand].append(replace(item, text=text))
        self.hands = [items for items in by_hand.values() if len(items) >= MIN_ITEMS]

    def choose(self, rng: Generator) -> RecordedHand:
        """One of the hands with a pen."""
        return RecordedHand(self.hands[int(rng.integers(len(self.hands)))], choose_pen(rng))


class RecordedHand:
    """One recorded hand.

    Parameters
    ----------
    items : list of PenItem
        Its lines and words.
    pen : Pen
        Of which the width is for letters of 20 pixels' x-height, and the ink is left to the page.
    """

    def __init__(self, items: list[PenItem], pen: Pen) -> None:
        self.items = sorted(items, key=lambda item: item.width)
        self.widths = np.array([item.width for item in self.items])
        self.pen = pen

    def line(self, rng: Generator, width: float) -> PenItem | None:
        """A line, or words set to a line, at most `width` x-heights wide; None where all items are wider."""
        parts: list[PenItem] = []
        room = width
        while (fitting := int(np.searchsorted(self.widths, room))) and len(parts) < 30:
            # Wide items come first, or every line would be made of short words.
            low = fitting // 2 if not parts else 0
            parts.append(self.items[int(rng.integers(low, fitting))])
            room -= parts[-1].width + 2.5
        while parts:
            joined = parts[0] if len(parts) == 1 else join_words(parts, rng)
            if joined.width <= width:
                return joined
            parts.pop()
        return None

    def write(
        self, layer: Pixels, rng: Generator, metrics: Metrics, x: float, y: float, width: float, anchor: str
    ) -> dict[str, Any] | None:
        """Write some line of this hand on a layer of ink, uint8 (H, W), in place.

        Parameters
        ----------
        metrics : Metrics
            Of the letters that it takes the place of.
        x, y : float
            Where the baseline starts, has its middle (``centre``) or ends (``right``), pixels.
        width : float
            The most that it may take, pixels.

        Returns
        -------
        dict or None
            The line; None where nothing fits, or the layer would cut it.
        """
        unit = metrics.height / 2.9
        item = self.line(rng, width / unit)
        if item is None:
            return None
        pad = math.ceil(0.8 * metrics.height)
        length = math.ceil(item.width * unit)
        points = np.concatenate(item.strokes)
        above = math.ceil(max(3.0, -float(points[:, 1].min())) * unit) + pad
        below = math.ceil(max(1.5, float(points[:, 1].max())) * unit) + pad
        large = np.zeros(((above + below) * OVERSAMPLING, (length + 2 * pad) * OVERSAMPLING), np.uint8)
        origin = np.array([pad, above], np.float32)
        strokes = tuple(
            ((stroke * np.float32(unit) + origin + 0.5) * OVERSAMPLING - 0.5).astype(np.float32)
            for stroke in item.strokes
        )
        draw_strokes(large, strokes, replace(self.pen, width=max(self.pen.width * unit / 20, 0.9)), rng)
        size = (length + 2 * pad, above + below)
        strip = np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), np.uint8)
        left = round(x - {"left": 0.0, "centre": length / 2, "right": length}[anchor]) - pad
        top = round(y) - above
        wander = np.zeros(size[0], np.float32)
        shape = replace(metrics, ascent=1.9 * unit, descent=0.9 * unit, x_height=unit)
        outline = surround(strip, above, wander, shape)
        if outline is None:
            return None
        cut = strip[max(0, -top) :, max(0, -left) :]
        spot = layer[max(0, top) : max(0, top + size[1]), max(0, left) : max(0, left + size[0])]
        cut = cut[: spot.shape[0], : spot.shape[1]]
        if np.count_nonzero(cut > INK) < np.count_nonzero(strip > INK):
            return None
        np.maximum(spot, cut, out=spot)
        start, end, polygon = outline
        corner = np.array([left, top], np.float32)
        knots = np.unique(np.append(np.arange(start, end, max(8, int(metrics.height / 2))), end))
        baseline = np.stack([knots, np.full(len(knots), above)], 1).astype(np.float32)
        return {"text": item.text, "raw_text": item.text, "baseline": baseline + corner, "polygon": polygon + corner}
