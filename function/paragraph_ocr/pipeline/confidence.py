"""Estimate how likely each character is right, from the probabilities of the recogniser and the language model.

The probability of a character alone says little: that of a badly written letter is as low as that of a scribble, but
the language model mostly gets the letter right. What is around them differs. On a page that cannot be read, most
characters are uncertain, many time steps stay undecided, and even the likeliest text is improbable in every language.

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
from paragraph_ocr.pipeline.language import LanguageModel, Mixture

# In this order: log odds of the character's probability and of the mean over its line; log of the undecided time steps
# per character of the line; log probability of the character by the language model, its mean over the line as far as
# it is lower than usual, and its mean over the page.
FEATURES = ("character", "line", "undecided", "language", "improbable", "page")
# What has a weight: the features, and each product of two.
TERMS = (*FEATURES, *(f"{one} {other}" for one, other in combinations_with_replacement(FEATURES, 2)))
LANGUAGE, PAGE = FEATURES.index("language"), FEATURES.index("page")
# Bounds of probabilities, so that their log odds are finite.
LOWEST, HIGHEST = 0.002, 0.998
# Lowest number of undecided time steps per character, lowest log probability of a character, and its lowest mean over a
# line and a page: beyond, there is little to fit weights on.
LEAST_UNDECIDED, LEAST_LOG_PROBABILITY, LEAST_MEAN = 0.01, -9.0, -4.0
# Mean log probability of a character of usual text; also that of all text without a language model.
USUAL = -1.6
# As if a line had so many more characters of usual text: few characters prove little.
PRIOR_CHARACTERS = 2.0


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of probabilities, which are bounded first."""
    bounded = np.clip(probabilities, LOWEST, HIGHEST)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


def line_features(
    characters: Sequence[Character],
    output: NDArray[np.float32],
    charset: str,
    language: LanguageModel | Mixture | None,
) -> NDArray[np.float64]:
    """Features of each character of a line, float64 (N, len(FEATURES)), with the line's mean for the page's.

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output`.
    output : float32 (T, C)
        Log probabilities.
    charset : str
        The characters of `language`, in its order.
    language : LanguageModel, Mixture or None
        The model that the line was decoded with.
    """
    count = len(characters)
    if not count:
        return np.empty((0, len(FEATURES)))
    own = np.array([character.confidence for character in characters])
    undecided = float((1.0 - np.exp(output.max(axis=1))).sum()) / count
    likely = _log_probabilities("".join(character.text for character in characters), charset, language)
    mean = (float(likely.sum()) + PRIOR_CHARACTERS * USUAL) / (count + PRIOR_CHARACTERS)
    likely = np.maximum(likely, LEAST_LOG_PROBABILITY)
    values = np.empty((count, len(FEATURES)))
    values[:, 0] = log_odds(own)
    values[:, 1] = log_odds(own.mean())
    values[:, 2] = log(max(undecided, LEAST_UNDECIDED))
    values[:, LANGUAGE] = likely
    values[:, 4] = max(0.0, USUAL - max(mean, LEAST_MEAN))
    values[:, PAGE] = max(float(likely.mean()), LEAST_MEAN)
    return values


def with_page(lines: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The features of the lines of a page, float64 (N, len(FEATURES)) each, with the page's own mean."""
    every = np.concatenate([values[:, LANGUAGE] for values in lines]) if lines else np.empty(0)
    if not len(every):
        return list(lines)
    mean = max(float(every.mean()), LEAST_MEAN)
    return [np.column_stack([values[:, :PAGE], np.full(len(values), mean)]) for values in lines]


def expand(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features and their products, float64 (N, len(TERMS)), of features float64 (N, len(FEATURES))."""
    pairs = combinations_with_replacement(range(len(FEATURES)), 2)
    return np.column_stack([values, *(values[:, one] * values[:, other] for one, other in pairs)])


def combine(values: NDArray[np.float64], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the confidence before calibration, float64 (N,), by the weights of `TERMS` and the intercept."""
    coefficients = np.array([weights[name] for name in TERMS])
    return np.asarray(1.0 / (1.0 + np.exp(-(expand(values) @ coefficients + weights["intercept"]))))


def _log_probabilities(text: str, charset: str, language: LanguageModel | Mixture | None) -> NDArray[np.float64]:
    """Return the log probability of each character of a line, float64 (N,).

    It is `USUAL` without a language model, and in words with digits, such as codes, which no language model knows.
    """
    likely = np.full(len(text), USUAL)
    if language is None:
        return likely
    places = {character: at for at, character in enumerate(charset)}
    state, start = language.start, 0
    for word in text.split(" "):
        known = not any(character.isdigit() for character in word)
        for index, character in enumerate(f"{word} ", start):
            if index == len(text):
                break
            log_probability, state = language.step(state, places[character])
            if known:
                likely[index] = log_probability
        start += len(word) + 1
    return likely
