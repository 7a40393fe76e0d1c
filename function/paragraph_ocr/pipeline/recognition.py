"""Recognise the characters of text line strips, with confidences and positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import ModelError, Runnable
from paragraph_ocr.pipeline.charset import decode_within
from paragraph_ocr.pipeline.confidence import TERMS, combine, line_features, with_page
from paragraph_ocr.pipeline.ctc import Character, decode, greedy, join
from paragraph_ocr.pipeline.language import LanguageModel, Languages, Mixture
from paragraph_ocr.pipeline.rectification import Geometry, Normalisation, to_ink


@dataclass(frozen=True)
class Fit:
    """How writing is made as large and as wide as the recogniser reads best, by how dense it is.

    Letters that lie close together are mostly small, whatever rises above them and hangs below.

    Attributes
    ----------
    columns : float
        Strip columns that a character should have.
    most : float
        A strip is made at most so many times as wide without being made taller.
    plain : float
        A strip whose characters need to be made so many times as wide is left as tall as it is; it grows and shrinks
        with the root of what they need.
    least_zoom, most_zoom : float
        How much smaller and larger it becomes at most; 1 and 1 leave its size alone.
    """

    columns: float
    most: float
    plain: float = 1.0
    least_zoom: float = 1.0
    most_zoom: float = 1.0

    def of(self, density: float) -> tuple[float, float]:
        """How many times as large, and then how many times as wide, to make a strip with so many characters a column.

        Both are rough: what is counted in a strip that is hard to read is rough, too.
        """
        wanted = self.columns * density
        zoom = min(max(math.sqrt(wanted / self.plain), self.least_zoom), self.most_zoom)
        return zoom, min(max(wanted / zoom, 1.0), self.most)


class Recognizer:
    """The line recogniser: a loaded model and what its card says about strips and classes.

    Parameters
    ----------
    model : Runnable
    languages : Languages, optional
        Weigh what the model gives; without them every step's best class is taken.

    Attributes
    ----------
    general : Recognizer or None
        If the model was adapted to some hand, the one that it was before, for pages in other hands.

    Raises
    ------
    ModelError
        The language models are asked by another charset than the model's, or the model was exported or calibrated for
        another version.
    """

    def __init__(self, model: Runnable, languages: Languages | None = None) -> None:
        if languages is not None and languages.charset != model.card.charset:
            raise ModelError(
                "The language models have another charset than the recogniser; fit them anew or remove them"
            )
        evidence = model.card.evidence
        if evidence and (differing := set(evidence) ^ {*TERMS, "intercept"}):
            raise ModelError(
                f"The recogniser's card estimates confidences from other features than this version: "
                f"{', '.join(sorted(differing))}; calibrate it anew with python -m training.evaluation.calibration"
            )
        self.model = model
        self.languages = languages
        self.general: Recognizer | None = None
        preprocessing = model.card.preprocessing
        if "fit" not in preprocessing:
            raise ModelError("The recogniser's card does not say how to fit writing to it; export its checkpoint anew")
        _, _, height, width = model.input_shape
        self.geometry = Geometry(height, width, **preprocessing["geometry"])
        self.normalisation = Normalisation(**preprocessing["normalisation"])
        self.legible = float(preprocessing["legible"])
        self.fit = Fit(**preprocessing["fit"])
        self.columns_a_step = width / model.card.output_shapes[0][1]
        self.min_gain = float(preprocessing.get("min_gain", 0.0))

    def read(
        self,
        output: NDArray[np.float32],
        language: LanguageModel | Mixture | None = None,
        charset: str | None = None,
    ) -> list[Character]:
        """Decode log probabilities to characters, left to right; their steps are `columns_a_step` strip columns wide.

        Parameters
        ----------
        output : float32 (T, C)
        language : LanguageModel or Mixture, optional
            That of the page, as `language_of` gives it; where it is left out, that of the line alone.
        charset : str, optional
            A key of `charset.CHARSETS`: what the line may consist of. No language model is asked then.
        """
        card = self.model.card
        if charset is not None:
            return decode_within(output, card.charset, card.blank, charset)
        return decode(output, card.charset, card.blank, language or self.language_of([output]))

    def language_of(
        self, output: Sequence[NDArray[np.float32]], codes: Sequence[str] = ()
    ) -> LanguageModel | Mixture | None:
        """The language model for a page, by the log probabilities of its lines, or None where there are no models.

        Parameters
        ----------
        output : sequence of float32 (T, C)
        codes : sequence of str, optional
            The languages that the page is known to be in, ISO 639-1; it is then not asked what the lines say.
        """
        if self.languages is None:
            return None
        if codes:
            return self.languages.model(self.languages.given(codes))
        card = self.model.card
        texts = ["".join(character.text for character in greedy(each, card.charset, card.blank)) for each in output]
        return self.languages.model(self.languages.identify(texts))

    def for_page(self, strips: Sequence[NDArray[np.uint8]]) -> Recognizer:
        """Return the recogniser for a page: this one, or the general one if the page is in another hand.

        This one was fitted to a hand, of which it is surer than the general one, and not of others.

        Parameters
        ----------
        strips : sequence of uint8 (H, W)
            Some lines of the page.
        """
        if self.general is None or not strips:
            return self
        return self if self.certainty(strips) - self.general.certainty(strips) >= self.min_gain else self.general

    def certainty(self, strips: Sequence[NDArray[np.uint8]]) -> float:
        """Return the mean log probability of the best class over the steps that are not blank, over all strips."""
        best = [(output.argmax(axis=1), output.max(axis=1)) for output in self.log_probabilities(strips)]
        certain = np.concatenate([values[classes != self.model.card.blank] for classes, values in best])
        return float(certain.mean()) if len(certain) else -math.inf

    def best_path(self, output: NDArray[np.float32]) -> list[Character]:
        """The characters of the likeliest class of each step, without the language model: quick, and nearly `read`."""
        card = self.model.card
        return greedy(output, card.charset, card.blank)

    def density(self, output: NDArray[np.float32], columns: int) -> float:
        """Estimate the characters per column of a strip of so many columns from its log probabilities."""
        best = output.argmax(axis=1)
        return np.count_nonzero(np.diff(best, prepend=-1) * (best != self.model.card.blank)) / columns

    def features(
        self, characters: Sequence[Character], output: NDArray[np.float32], language: LanguageModel | Mixture | None
    ) -> NDArray[np.float64]:
        """Features of the characters of a line that was decoded from `output`, see `confidence.line_features`."""
        return line_features(characters, output, self.model.card.charset, language)

    def confidences(self, page: Sequence[tuple[Sequence[Character], NDArray[np.float64]]]) -> list[NDArray[np.float64]]:
        """Return the expected share of right characters for each character, as the card calibrates it.

        Parameters
        ----------
        page : sequence of (characters, features)
            For each line of a page, its characters as `read` decoded them and their `features`.

        Returns
        -------
        list of float64 (N,)
        """
        card = self.model.card
        if card.evidence:
            sure = [combine(values, card.evidence) for values in with_page([values for _, values in page])]
        else:
            sure = [np.array([character.confidence for character in characters]) for characters, _ in page]
        return [np.interp(each, *card.calibration) for each in sure]

    def log_probabilities(self, strips: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Log probabilities, float32 (T, C), of each strip.

        Parameters
        ----------
        strips : sequence of uint8 (H, W)
            Cut with this recogniser's `geometry`.
        """
        card = self.model.card
        size, _, height, width = card.input_shape
        grain = card.grains[-1]
        inks = [to_ink(strip, self.normalisation) for strip in strips]
        # A strip wider than the input is read in parts, each of which shares an eighth with the one before.
        starts = [range(0, max(1, ink.shape[1] - width // 8), width - width // 8) for ink in inks]
        parts = [ink[:, start : start + width] for ink, own in zip(inks, starts, strict=True) for start in own]
        outputs: list[NDArray[np.float32]] = []
        for at in range(0, len(parts), size):
            chunk = parts[at : at + size]
            columns = -(-max(part.shape[1] for part in chunk) // grain) * grain
            batch = np.zeros((size, 1, height, columns), np.float32)
            for row, part in zip(batch, chunk, strict=False):
                row[0, :, : part.shape[1]] = part
            outputs.extend(self.model.run(batch)[0])
        joined = []
        rest = iter(outputs)
        for own in starts:
            whole = next(rest)
            for start in own[1:]:
                whole = join(whole, next(rest), round(start / self.columns_a_step), card.blank)
            joined.append(whole)
        return joined
