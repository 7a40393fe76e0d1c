"""Estimate how likely each character of a line is right, from the probabilities of recogniser and language model.

The probability of a character alone says little: that of a badly written letter is as low as that of a scribble, but
the language model mostly gets the letter right. The line around them differs. In a line that cannot be read, most
characters are uncertain, many time steps stay undecided, and even the likeliest text is improbable in every language.

A logistic regression combines these measures, its weights are in the recogniser's card, and the card's calibration
makes the result a share of right characters. `training.evaluation.calibration` fits both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.ctc import Character
from paragraph_ocr.pipeline.language import LanguageModel, Mixture

# In this order: log odds of the character's probability and of the line's mean; log of the undecided time steps per
# character; share of characters that the language model changed; improbability of the text times the line's doubt, and
# times the doubt of the character.
FEATURES = ("character", "line", "undecided", "changed", "improbable", "improbable_character")
# Bounds of probabilities, so that their log odds are finite.
LOWEST, HIGHEST = 0.002, 0.998
# Mean log probability of a character of usual text; also that of text without a language model.
USUAL = -1.6
# As if a line had so many more characters of usual text: few characters prove little.
PRIOR_CHARACTERS = 2.0


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of probabilities, which are bounded first."""
    bounded = np.clip(probabilities, LOWEST, HIGHEST)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


def features(
    characters: Sequence[Character],
    output: NDArray[np.float32],
    charset: str,
    blank: int,
    language: LanguageModel | Mixture | None,
) -> NDArray[np.float64]:
    """Features of each character of a line, float64 (N, len(FEATURES)).

    Parameters
    ----------
    characters : sequence of Character
        As they were decoded from `output`.
    output : float32 (T, C)
        Log probabilities.
    charset : str
    blank : int
        Index of the blank class: 0 or C - 1.
    language : LanguageModel, Mixture or None
        The model that the line was decoded with.
    """
    count = len(characters)
    if not count:
        return np.empty((0, len(FEATURES)))
    own = np.array([character.confidence for character in characters])
    mean = float(own.mean())
    best = output.argmax(axis=1)
    undecided = float((1.0 - np.exp(output[np.arange(len(best)), best])).sum()) / count
    places = {character: at for at, character in enumerate(charset)}
    indices = [places[character.text] for character in characters]
    offset = 1 if blank == 0 else 0
    kept = sum(
        index + offset in best[character.first : character.last + 1].tolist()
        for index, character in zip(indices, characters, strict=True)
    )
    improbable = max(0.0, USUAL - _mean_log_probability(indices, language))
    return np.column_stack(
        [
            log_odds(own),
            np.full(count, log_odds(np.array(mean))),
            np.full(count, log(max(undecided, 0.01))),
            np.full(count, 1.0 - kept / count),
            np.full(count, improbable * (1.0 - mean)),
            improbable * (1.0 - own),
        ]
    )


def combine(values: NDArray[np.float64], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the confidence before calibration, float64 (N,), of `features` with the weights of a card."""
    coefficients = np.array([weights[name] for name in FEATURES])
    return np.asarray(1.0 / (1.0 + np.exp(-(values @ coefficients + weights["intercept"]))))


def _mean_log_probability(indices: Sequence[int], language: LanguageModel | Mixture | None) -> float:
    """Return the mean log probability of a character of a line, `USUAL` without a language model."""
    if language is None:
        return USUAL
    state, total = language.start, PRIOR_CHARACTERS * USUAL
    for index in indices:
        log_probability, state = language.step(state, index)
        total += log_probability
    return total / (len(indices) + PRIOR_CHARACTERS)
