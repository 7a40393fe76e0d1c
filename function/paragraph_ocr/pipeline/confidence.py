"""Estimate how likely each character is right, from the probabilities of the recogniser.

The probability of a character alone says little: that of a badly written letter is as low as that of a scribble, but
the language model mostly gets the letter right. What is around them differs. On a page that cannot be read, most
characters are uncertain, and many time steps stay undecided. How probable the text is in any language is left out on
purpose: abbreviations, codes and names that no language model knows are as right as other text.

A logistic regression on these measures and their products gives the confidence, its weights are in the recogniser's
card, and the card's calibration makes it a share of right characters. `training.evaluation.calibration` fits both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from math import log

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character

# In this order: log odds of the character's probability and of the mean over its line; log of the undecided time steps
# per character of the line; mean over the page of the characters' log odds.
FEATURES = ("character", "line", "undecided", "page")
# What has a weight: the features, and each product of two.
TERMS = (*FEATURES, *(f"{one} {other}" for one, other in combinations_with_replacement(FEATURES, 2)))
CHARACTER, PAGE = FEATURES.index("character"), FEATURES.index("page")
# Bounds of probabilities, so that their log odds are finite.
LOWEST, HIGHEST = 0.002, 0.998
# Lowest number of undecided time steps per character: below, there is little to fit weights on.
MIN_UNDECIDED_STEPS = 0.01


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of probabilities, which are bounded first."""
    bounded = np.minimum(np.maximum(probabilities, LOWEST), HIGHEST)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


def line_features(characters: Sequence[Character], output: NDArray[np.float32]) -> NDArray[np.float64]:
    """Features of each character of a line, float64 (N, len(FEATURES)), with the line's mean for the page's.

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output`.
    output : float32 (T, C)
        Log probabilities.
    """
    count = len(characters)
    if not count:
        return np.empty((0, len(FEATURES)))
    own = np.array([character.confidence for character in characters])
    undecided = float((1.0 - np.exp(output.max(axis=1))).sum()) / count
    values = np.empty((count, len(FEATURES)))
    odds = log_odds(np.append(own, own.mean()))
    values[:, CHARACTER] = odds[:-1]
    values[:, 1] = odds[-1]
    values[:, 2] = log(max(undecided, MIN_UNDECIDED_STEPS))
    values[:, PAGE] = values[:, CHARACTER].mean()
    return values


def with_page(lines: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The features of the lines of a page, float64 (N, len(FEATURES)) each, with the page's own mean."""
    every = np.concatenate([values[:, CHARACTER] for values in lines]) if lines else np.empty(0)
    if not len(every):
        return list(lines)
    return [np.column_stack([values[:, :PAGE], np.full(len(values), every.mean())]) for values in lines]


def expand(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features and their products, float64 (N, len(TERMS)), of features float64 (N, len(FEATURES))."""
    pairs = combinations_with_replacement(range(len(FEATURES)), 2)
    return np.column_stack([values, *(values[:, one] * values[:, other] for one, other in pairs)])


def combine(values: NDArray[np.float64], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the confidence before calibration, float64 (N,), by the weights of `TERMS` and the intercept."""
    coefficients = np.array([weights[name] for name in TERMS])
    return np.asarray(1.0 / (1.0 + np.exp(-(expand(values) @ coefficients + weights["intercept"]))))
