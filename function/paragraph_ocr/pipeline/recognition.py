"""Recognise the characters of text line strips, with confidences and positions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.models import ModelError, Runnable
from paragraph_ocr.pipeline.charset import decode_within
from paragraph_ocr.pipeline.clearly_seen import with_what_is_seen
from paragraph_ocr.pipeline.confidence import FEATURES, TERMS, combine, with_page
from paragraph_ocr.pipeline.ctc import Character, decode, greedy, join
from paragraph_ocr.pipeline.language import LanguageModel, Languages, Mixture
from paragraph_ocr.pipeline.program_text import may_show_programs, with_program_words
from paragraph_ocr.pipeline.rectification import Geometry, Normalisation, to_ink

# Share of the difference between two frequencies that letters gain, and the most that they gain, nats.
RARITY_SHARE, MAX_GAIN = 0.5, 4.0


@dataclass(frozen=True)
class StripScaling:
    """Resizing of strips to the character width at which the recogniser reads best.

    A strip is first zoomed in both directions, then stretched horizontally. Dense characters are mostly small, even
    where long ascenders and descenders make the line tall.

    Attributes
    ----------
    columns_per_character : float
        Target width of a character, in strip columns.
    max_stretch : float
        Maximum horizontal stretch after the zoom.
    unscaled_stretch : float
        Strips whose target width is this multiple of their width are not zoomed; the zoom of others is the square root
        of the target width relative to it.
    min_zoom, max_zoom : float
        Limits of the zoom; with 1 and 1, no strip is zoomed.
    """

    columns_per_character: float
    max_stretch: float
    unscaled_stretch: float = 1.0
    min_zoom: float = 1.0
    max_zoom: float = 1.0

    def factors(self, density: float) -> tuple[float, float]:
        """Zoom and horizontal stretch of a strip with `density` characters per column.

        Both are approximate, since the density is estimated from a first reading of the strip.
        """
        wanted = self.columns_per_character * density
        zoom = min(max(math.sqrt(wanted / self.unscaled_stretch), self.min_zoom), self.max_zoom)
        return zoom, min(max(wanted / zoom, 1.0), self.max_stretch)


class Recognizer:
    """The line recogniser: a loaded model, with the preprocessing and the classes of its card.

    Parameters
    ----------
    model : Runnable
    languages : Languages, optional
        Language models for the beam search; without them, decoding takes the most probable class of each step.

    Attributes
    ----------
    upright_threshold : float
        Mean confidence of a page's longest lines above which the page is not read upside down for comparison.
    general : Recognizer or None
        Of an adapted model, the model before the adaptation, for pages in other hands.

    Raises
    ------
    ModelError
        The charset of the language models differs from the model's, or the model was exported or calibrated for another
        version.
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
                f'{", ".join(sorted(differing))}; remove its "calibration", and calibrate it anew with '
                "python -m training.evaluation.calibration"
            )
        self.model = model
        self.languages = languages
        self.general: Recognizer | None = None
        preprocessing = model.card.preprocessing
        if "scaling" not in preprocessing:
            raise ModelError("The recogniser's card has no preprocessing.scaling; export its checkpoint anew")
        _, _, height, width = model.input_shape
        self.geometry = Geometry(height, width, **preprocessing["geometry"])
        self.normalisation = Normalisation(**preprocessing["normalisation"])
        self.upright_threshold = float(preprocessing["upright_threshold"])
        self.scaling = StripScaling(**preprocessing["scaling"])
        self.columns_a_step = width / model.card.output_shapes[0][1]
        self.min_gain = float(preprocessing.get("min_gain", 0.0))

    def read(
        self,
        outputs: Iterable[NDArray[np.float32]],
        language: LanguageModel | Mixture | None,
        charset: str | None = None,
    ) -> list[list[Character]]:
        """Decode the log probabilities of lines to characters, left to right.

        A step is `columns_a_step` strip columns wide.

        Parameters
        ----------
        outputs : iterable of float32 (T, C)
            The next one is taken when the one before it has been searched.
        language : LanguageModel or Mixture or None
            The page's, from `language_of`.
        charset : str, optional
            A key of `charset.CHARSETS` that restricts the characters; no language model is used then.
        """
        card = self.model.card
        if charset is not None:
            return [decode_within(output, card.charset, card.blank, charset) for output in outputs]
        if language is None:
            return decode(outputs, card.charset, card.blank, None)
        kept: list[NDArray[np.float32]] = []

        def keep() -> Iterator[NDArray[np.float32]]:
            for output in outputs:
                kept.append(output)
                yield output

        lines = decode(keep(), card.charset, card.blank, language, self.gains(language))
        possible = [may_show_programs(output, card.charset, card.blank) for output in kept]
        lines = with_program_words(lines, possible, lambda index: self.best_path(kept[index]))
        return [
            with_what_is_seen(characters, output, card.charset, card.blank)
            for characters, output in zip(lines, kept, strict=True)
        ]

    def gains(self, language: LanguageModel | Mixture) -> NDArray[np.float32]:
        """Return how much the network underrates each class in a language, in nats, float32 (C,).

        A network learns how frequent a letter is from the lines that it is fitted on, which are mostly French and
        English, and takes the rare one for the frequent one where both look alike: Polish ą for a, Italian ì for i. As
        in hybrid speech recognition (Bourlard and Morgan 1994), a share of the frequencies of those lines is taken out
        and of those of the page's language put in, for letters with an accent in relation to those without.
        """
        card = self.model.card
        found = np.zeros(len(card.charset) + 1, np.float32)
        for letter, ratio in language.accents.items():
            if letter in card.rarity and (place := card.charset.find(letter)) >= 0:
                gain = RARITY_SHARE * (ratio + card.rarity[letter])
                found[place + (card.blank == 0)] = min(max(gain, 0.0), MAX_GAIN)
        return found

    def language_of(
        self, output: Sequence[NDArray[np.float32]], codes: Sequence[str] = ()
    ) -> LanguageModel | Mixture | None:
        """Select the language model for a page from the log probabilities of its lines; None without models.

        Parameters
        ----------
        output : sequence of float32 (T, C)
        codes : sequence of str, optional
            Known languages of the page, ISO 639-1; they are not identified from the lines then.
        """
        if self.languages is None:
            return None
        card = self.model.card
        texts = ["".join(character.text for character in greedy(each, card.charset, card.blank)) for each in output]
        languages = self.languages.given(codes, texts) if codes else self.languages.identify(texts)
        return self.languages.model(languages)

    def for_page(self, strips: Sequence[NDArray[np.uint8]]) -> Recognizer:
        """Return the recogniser for a page: this one, or the general one if the page is in another hand.

        On pages in the hands that it was adapted to, the adapted model is more certain than the general one.

        Parameters
        ----------
        strips : sequence of uint8 (H, W)
            Some lines of the page.
        """
        if self.general is None or not strips:
            return self
        own, general = self.certainty(strips), self.general.certainty(strips)
        # Where neither reads anything, both are negative infinity.
        gain = 0.0 if own == general else own - general
        return self if gain >= self.min_gain else self.general

    def certainty(self, strips: Sequence[NDArray[np.uint8]]) -> float:
        """Return the mean log probability of the best class over the steps that are not blank, over all strips."""
        best = [(output.argmax(axis=1), output.max(axis=1)) for output in self.log_probabilities(strips)]
        certain = np.concatenate([values[classes != self.model.card.blank] for classes, values in best])
        return float(certain.mean()) if len(certain) else -math.inf

    def best_path(self, output: NDArray[np.float32]) -> list[Character]:
        """Greedy decoding: the most probable class of each step, without a language model; faster than `read`."""
        card = self.model.card
        return greedy(output, card.charset, card.blank)

    def density(self, output: NDArray[np.float32], columns: int) -> float:
        """Estimate the characters per column of a strip with `columns` columns from its log probabilities."""
        best, blank = output.argmax(axis=1), self.model.card.blank
        return (np.count_nonzero((best[1:] != best[:-1]) & (best[1:] != blank)) + int(best[0] != blank)) / columns

    def confidences(self, page: Sequence[tuple[Sequence[Character], NDArray[np.float64]]]) -> list[NDArray[np.float64]]:
        """Return the expected share of right characters for each character, as the card calibrates it.

        Parameters
        ----------
        page : sequence of (characters, features)
            For each line of a page, its characters as `read` decoded them and their `confidence.line_features`.

        Returns
        -------
        list of float64 (N,)
        """
        card = self.model.card
        if not page:
            return []
        if card.evidence:
            # All lines at once, which takes less time than each.
            lines = [np.empty((0, len(FEATURES))), *(values for _, values in page)]
            sure = combine(with_page([np.concatenate(lines)])[0], card.evidence)
        else:
            sure = np.array([character.confidence for characters, _ in page for character in characters])
        ends = np.cumsum([len(characters) for characters, _ in page[:-1]], dtype=int)
        return np.split(np.interp(sure, *card.calibration), ends)

    def log_probabilities(self, strips: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return the log probabilities, float32 (T, C), of each strip.

        Parameters
        ----------
        strips : sequence of uint8 (H, W)
            Cut with this recogniser's `geometry`.
        """
        card = self.model.card
        size, _, height, width = card.input_shape
        multiple = card.multiples[-1]
        inks = [to_ink(strip, self.normalisation) for strip in strips]
        # A strip wider than the input is read in parts, each of which shares an eighth with the one before.
        starts = [range(0, max(1, ink.shape[1] - width // 8), width - width // 8) for ink in inks]
        parts = [ink[:, start : start + width] for ink, own in zip(inks, starts, strict=True) for start in own]
        outputs: list[NDArray[np.float32]] = []
        for at in range(0, len(parts), size):
            chunk = parts[at : at + size]
            columns = -(-max(part.shape[1] for part in chunk) // multiple) * multiple
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
