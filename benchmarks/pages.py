"""A number of lines goes in; the image of a page with so many handwritten ones comes out."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"
# The first of the letter's lines that go all across it, their number and pitch, and what all of them fill; pixels.
TOP, LINES, PITCH = 258, 6, 88
LEFT, RIGHT = 140, 1150
MARGIN = 120
# From here on, lines are twice as long as the letter's, so that the page keeps a page's shape.
LONG_FROM = 40


def letter_page(lines: int) -> Image.Image:
    """A page of the letter's lines, again and again."""
    letter = Image.open(LETTER).convert("L")
    length = RIGHT - LEFT
    times = 2 if lines >= LONG_FROM else 1
    page = Image.new("L", (times * length + 2 * MARGIN, lines * PITCH + 2 * MARGIN), 250)
    for line in range(lines):
        for part in range(times):
            top = TOP + (line + part) % LINES * PITCH
            band = letter.crop((LEFT, top, RIGHT, top + PITCH))
            page.paste(band, (MARGIN + part * length, MARGIN + line * PITCH))
    return page


def encoded(image: Image.Image, name: str = "JPEG") -> bytes:
    """An image's file."""
    content = BytesIO()
    image.save(content, name)
    return content.getvalue()
