"""Place the lines of a page on its deskewed area, for rules that use their positions, heights and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, cos, hypot, sin
from statistics import median

from paragraph_ocr.document import Line

# Lines are on the same level if their baselines differ by less than this share of the smaller height.
LEVEL_TOLERANCE = 0.4


@dataclass(frozen=True)
class PlacedLine:
    """A line on the deskewed page.

    Attributes
    ----------
    left, right : float
        x coordinates of the ends of the baseline.
    baseline_y : float
        Mean y coordinate of the baseline.
    height : float
        From ascenders to descenders.
    letter_width : float
        Width of a lower-case letter of medium width, by the line's width and its characters.
    text : str
    is_vertical : bool
        Whether the text runs up or down the page.
    """

    left: float
    right: float
    baseline_y: float
    height: float
    letter_width: float
    text: str
    is_vertical: bool

    @property
    def center(self) -> float:
        """x coordinate of the middle."""
        return (self.left + self.right) / 2


def place_lines(lines: Sequence[Line]) -> list[PlacedLine]:
    """Rotate the lines by their common slope, so that lines on the same level of a skewed page have the same y."""
    directions = [
        (line.baseline[-1][0] - line.baseline[0][0], line.baseline[-1][1] - line.baseline[0][1])
        for line in lines
        if len(line.baseline) > 1
    ]
    horizontal = [(x, y) for x, y in directions if x > abs(y)]
    angle = atan2(sum(y for _, y in horizontal), sum(x for x, _ in horizontal)) if horizontal else 0.0
    turn_x, turn_y = cos(angle), sin(angle)
    placed = []
    for line in lines:
        baseline = line.baseline or line.polygon[len(line.polygon) // 2 :][::-1]
        (x0, y0), (x1, y1) = baseline[0], baseline[-1]
        turned = [(x * turn_x + y * turn_y, y * turn_x - x * turn_y) for x, y in baseline]
        baseline_y = sum(y for _, y in turned) / len(turned)
        is_vertical = abs(y1 - y0) > 2 * abs(x1 - x0)
        left, right = turned[0][0], turned[-1][0]
        letter_width = max(right - left, 1.0) / max(width_of_text(line.text), 1.0)
        height = _line_height(line)
        placed.append(PlacedLine(left, right, baseline_y, height, letter_width, line.text, is_vertical))
    return placed


def width_of_text(text: str) -> float:
    """Width of a text in usual fonts, relative to that of a lower-case letter of medium width."""
    return sum(map(_relative_width, text))


def _relative_width(character: str) -> float:
    """Width of a character in usual fonts, relative to that of most small letters."""
    if character in "iljtfrI.,:;'|!()[] ":
        return 0.6
    if character in "mwMW%@":
        return 1.5
    return 1.25 if character.isupper() else 1.0


def _line_height(line: Line) -> float:
    """Median distance between the upper and the lower edge of a line's polygon, at least 1."""
    half = len(line.polygon) // 2
    upper, lower = line.polygon[:half], line.polygon[half:][::-1]
    return max(median(hypot(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in zip(upper, lower, strict=False)), 1.0)


def on_same_level(one: PlacedLine, other: PlacedLine) -> bool:
    """Whether the baselines of two lines are at about the same height."""
    return abs(one.baseline_y - other.baseline_y) < LEVEL_TOLERANCE * min(one.height, other.height)
