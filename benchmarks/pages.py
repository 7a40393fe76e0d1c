"""Images of pages with a given number of handwritten lines, for the benchmarks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"
# The first full line of the letter, the number and pitch of these lines, and their area; pixels.
TOP, LINES, PITCH = 258, 6, 88
LEFT, RIGHT = 140, 1150
MARGIN = 120
# From this number of lines on, they are in two columns with this gap, which keeps the proportions of a page.
COLUMNS_FROM, GUTTER = 40, 120


def letter_page(lines: int) -> Image.Image:
    """Return a page of the letter's lines, repeated."""
    letter = Image.open(LETTER).convert("L")
    columns = 2 if lines >= COLUMNS_FROM else 1
    rows = -(-lines // columns)
    across = RIGHT - LEFT + GUTTER
    page = Image.new("L", (columns * across - GUTTER + 2 * MARGIN, rows * PITCH + 2 * MARGIN), 250)
    for line in range(lines):
        column, row = divmod(line, rows)
        top = TOP + row % LINES * PITCH
        band = letter.crop((LEFT, top, RIGHT, top + PITCH))
        page.paste(band, (MARGIN + column * across, MARGIN + row * PITCH))
    return page


def encoded(image: Image.Image, name: str = "JPEG") -> bytes:
    """An image's file."""
    content = BytesIO()
    image.save(content, name)
    return content.getvalue()
