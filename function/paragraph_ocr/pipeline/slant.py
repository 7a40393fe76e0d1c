"""Set strongly slanted handwriting more upright before it is read, where it is read with more certainty so.

The recogniser reads hands as they mostly slant. Copperplate and backhand that slant more are told by the shares of ink
in the columns of a strip, which differ most when its downstrokes are upright (A. Vinciarelli and J. Luettin, A new
normalization technique for cursive handwritten words, Pattern Recognition Letters 22, 2001).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from paragraph_ocr.pipeline.detection import TextLine
from paragraph_ocr.pipeline.light import strip_dark_on_light
from paragraph_ocr.pipeline.recognition import Recognizer
from paragraph_ocr.pipeline.rectification import Geometry, cut, frame, to_ink

# Size of the strips on which the slant is measured.
GEOMETRY = Geometry(24, 512)
# Slants that are tried, as the tangent of the angle to the upright; positive to the right, as most hands slant.
SLANTS = np.arange(-8, 11) * 0.125
# Slants between these are read as they are; of others, so much is left, since few hands are upright.
LEAST, MOST = -0.3, 0.55
LEFT = 0.3
# Number of the longest lines on which it is measured, and their minimum length together, in heights of a line.
LINES, MIN_LENGTH = 5, 20.0
# So much surer the recogniser must be of the more upright lines, in mean log probability; less is chance.
MIN_GAIN = 0.002
# Ink below this is no stroke.
MIN_INK = 0.2


def find_slant(page: NDArray[np.uint8], lines: Sequence[TextLine], recognizer: Recognizer) -> float:
    """Return the slant that is to be taken out of the strips of a page's lines; mostly 0.

    The longest lines are read both as they are and set more upright; what is read with more certainty is chosen.

    Parameters
    ----------
    page : uint8 (H, W)
    lines : sequence of TextLine
    recognizer : Recognizer

    Returns
    -------
    float
        For `rectification.frame`.
    """
    longest = sorted(lines, key=lambda line: -_length(line))[:LINES]
    if sum(_length(line) / (line.ascender + line.descender) for line in longest) < MIN_LENGTH:
        return 0.0
    found = measure(page, longest, recognizer)
    if LEAST <= found <= MOST:
        return 0.0
    slant = found - LEFT if found > 0 else found

    def certainty(slant: float) -> float:
        frames = [
            frame(line.baseline, line.ascender, line.descender, recognizer.geometry, 1.0, slant) for line in longest
        ]
        return recognizer.certainty([strip_dark_on_light(cut(page, each)) for each in frames])

    return slant if certainty(slant) - MIN_GAIN > certainty(0.0) else 0.0


def measure(page: NDArray[np.uint8], lines: Sequence[TextLine], recognizer: Recognizer) -> float:
    """Measure the slant of some lines of a page, the tangent of the angle to the upright; positive to the right."""
    peaks = np.zeros(len(SLANTS))
    row = GEOMETRY.baseline * GEOMETRY.height
    for line in lines:
        strip = strip_dark_on_light(cut(page, frame(line.baseline, line.ascender, line.descender, GEOMETRY)))
        ink = to_ink(strip, recognizer.normalisation)
        ink[ink < MIN_INK] = 0
        height, width = ink.shape
        for place, slant in enumerate(SLANTS):
            shear = np.array([[1, -slant, slant * row], [0, 1, 0]], np.float32)
            upright = cv2.warpAffine(ink, shear, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            peaks[place] += float(np.square(upright.sum(axis=0)).sum())
    return float(SLANTS[int(peaks.argmax())])


def _length(line: TextLine) -> float:
    return float(np.ptp(line.baseline[:, 0]))
