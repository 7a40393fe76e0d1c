"""Tell pages in different hands or languages apart, so that each is held out, measured and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from adaptation.text import lines_of
from paragraph_ocr.pipeline.language import RECORDS, Languages
from paragraph_ocr.pipeline.rectification import Geometry
from training.data.pages import TruePage
from training.data.strips import cut_page
from training.networks.crnn import CRNN
from training.tasks.recognition import WIDTH_MULTIPLE, stack

# Lines of a page that are looked at, the columns of each, and the columns with ink that it needs.
LINES, COLUMNS, MIN_INK = 6, 512, 20
# Pages that a hand or a language needs in order to count.
MIN_PAGES = 3
# Mean squared distance of two pages' features, in variances of a line's features within its page and beyond what these
# explain, up to which pages are taken for one hand. Of 21 writers with five or six pages each, none was divided (nor
# with 0.6), and of 210 pairs of them, three fifths were told apart.
MAX_DISTANCE = 0.9
# Probability from which the language of a page is certain.
CERTAIN = 0.9


def describe_lines(page: TruePage, network: CRNN, geometry: Geometry) -> NDArray[np.float32]:
    """Describe the hand of some lines of a page, float32 (lines, features).

    The features are means and standard deviations of what a recogniser's convolutions give over the columns with ink,
    which depend on the slant, the pen and the forms of letters.
    """
    strips = [strip for strip, _ in cut_page(page, geometry) if strip.shape[1] > COLUMNS // 4]
    rows = []
    for place in np.unique(np.linspace(0, len(strips) - 1, LINES).astype(int)) if strips else ():
        strip = strips[place][:, :COLUMNS]
        ink = stack([strip], -(-strip.shape[1] // WIDTH_MULTIPLE) * WIDTH_MULTIPLE)
        with torch.inference_mode():
            columns = network.columns(ink)[0].numpy()
        amount = ink[0, 0].clamp(min=0).sum(0).reshape(columns.shape[1], -1).sum(1).numpy()
        if np.count_nonzero(amount > 1) >= MIN_INK:
            seen = columns[:, amount > 1]
            rows.append(np.concatenate([seen.mean(axis=1), seen.std(axis=1)]))
    return np.array(rows, np.float32) if rows else np.zeros((0, 0), np.float32)


def group_pages(descriptions: Sequence[NDArray[np.float32]]) -> list[int]:
    """Group pages by hand: average linkage up to `MAX_DISTANCE`, and small groups go to the nearest of the others.

    Parameters
    ----------
    descriptions : sequence of float32 (lines, features)
        Of each page; pages with fewer than two lines belong to the largest group.

    Returns
    -------
    list of int
        The number of each page's hand, from 0, the largest first.
    """
    usable = [place for place, rows in enumerate(descriptions) if len(rows) > 1]
    if len(usable) < 2 * MIN_PAGES:
        return [0] * len(descriptions)
    variance = np.mean([descriptions[place].var(axis=0, ddof=1) for place in usable], axis=0)
    scale = np.sqrt(np.maximum(variance, 0.01 * np.median(variance)) + 1e-12)
    means = np.array([descriptions[place].mean(axis=0) / scale for place in usable])
    noise = np.array([1 / len(descriptions[place]) for place in usable])
    distance = np.maximum(((means[:, None] - means[None]) ** 2).mean(axis=2) - (noise[:, None] + noise[None]), 0.0)
    np.fill_diagonal(distance, 0.0)

    model = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=MAX_DISTANCE
    )
    labels = model.fit_predict(distance)
    groups = [np.flatnonzero(labels == label) for label in range(model.n_clusters_)]
    large = sorted((group for group in groups if len(group) >= MIN_PAGES), key=len, reverse=True)
    if len(large) < 2:
        return [0] * len(descriptions)
    hands = [0] * len(descriptions)
    for place, index in enumerate(usable):
        hands[index] = int(np.argmin([distance[place, group].mean() for group in large]))
    return hands


def name_hands(pages: Sequence[TruePage], network: CRNN, geometry: Geometry, languages: Languages) -> list[TruePage]:
    """Name the writer of each page after its hand or language, where the pages of one writer differ in these.

    Parameters
    ----------
    pages : sequence of TruePage
    network : CRNN
        In evaluation mode.
    geometry : Geometry
        Of the strips, without compression.
    languages : Languages
    """
    if len({page.writer for page in pages}) > 1:
        return list(pages)
    hands = group_pages([describe_lines(page, network, geometry) for page in pages])
    if len(set(hands)) > 1:
        return [replace(page, writer=f"hand {hand + 1}") for page, hand in zip(pages, hands, strict=True)]
    codes = []
    for page in pages:
        probable = languages.identify(lines_of([page]) or [""])
        code = max(probable, key=lambda each: probable[each])
        codes.append(code if probable[code] >= CERTAIN and code != RECORDS else "")
    counts = Counter(filter(None, codes))
    usual = [code for code, count in counts.most_common() if count >= MIN_PAGES]
    if len(usual) < 2:
        return list(pages)
    return [
        replace(page, writer=f"language {code if code in usual else usual[0]}")
        for page, code in zip(pages, codes, strict=True)
    ]
