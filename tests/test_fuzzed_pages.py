"""Whatever a page shows, it is read without an error; FUZZ_CASES=10000 reads many."""

import os

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from paragraph_ocr.errors import TooLarge
from paragraph_ocr.pipeline.reader import PageReader

PAGES = int(os.environ.get("FUZZ_CASES", "500")) // 10
LETTERS = list("abcdefgh 0123456789.,/-()[]O1lI~")


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load(threads=1)


def draw_shape(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    x, y = int(rng.integers(-20, width)), int(rng.integers(-20, height))
    across, down, slope = (int(rng.integers(*limits)) for limits in ((1, 200), (1, 200), (-9, 9)))
    grey, thick = int(rng.integers(0, 256)), int(rng.integers(1, 5))
    kind = rng.choice(["frame", "bar", "ring", "disc", "rule", "upright", "dots", "text"], p=[0.1] * 6 + [0.1, 0.3])
    if kind == "frame":
        draw.rectangle((x, y, x + across, y + down), outline=grey, width=thick)
    elif kind == "bar":
        draw.rectangle((x, y, x + 3 * across, y + down), fill=grey)
    elif kind in ("ring", "disc"):
        draw.ellipse((x, y, x + across, y + across), fill=grey if kind == "disc" else None, outline=grey)
    elif kind == "rule":
        draw.line((x, y, x + 4 * across, y + slope), fill=grey, width=thick)
    elif kind == "upright":
        draw.line((x, y, x + slope, y + 4 * down), fill=grey, width=thick)
    elif kind == "dots":
        step = int(rng.integers(3, 30))
        for left in range(x, x + 3 * across, step):
            draw.ellipse((left, y, left + max(step // 2, 1), y + max(step // 2, 1)), fill=grey)
    else:
        text = "".join(rng.choice(LETTERS, int(rng.integers(1, 40))))
        draw.text((x, y), text, grey, ImageFont.load_default(int(rng.integers(6, 60))))


def draw_page(rng: np.random.Generator) -> np.ndarray:
    """Shapes and text over each other, some of them screened, noisy, dithered, negative, askew or on squared paper."""
    width, height = rng.integers(40, 1200, 2).tolist()
    image = Image.new("L", (width, height), int(rng.integers(150, 256)))
    for _ in range(int(rng.integers(1, 60))):
        draw_shape(ImageDraw.Draw(image), rng, width, height)
    pixels = np.array(image)
    kind = rng.choice(["screen", "noise", "dithered", "negative", "askew", "squared", "as it is"])
    if kind == "screen":
        y, x = np.indices(pixels.shape)
        return np.where((pixels < 200) & ((x + y) % 2 == 0), 0, 255).astype(np.uint8)
    if kind == "noise":
        noise = rng.normal(0, rng.uniform(5, 70), pixels.shape)
        return np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if kind == "dithered":
        return np.array(image.convert("1").convert("L"))
    if kind == "negative":
        return 255 - pixels
    if kind == "askew":
        return np.array(image.rotate(float(rng.uniform(-60, 60)), expand=True, fillcolor=240))
    if kind == "squared":
        side = int(rng.integers(6, 60))
        for lines in (pixels[::side], pixels[:, ::side]):
            np.minimum(lines, 150, out=lines)
    return pixels


@pytest.mark.parametrize("number", range(PAGES))
def test_any_page_is_read(reader: PageReader, number: int) -> None:
    pixels = draw_page(np.random.default_rng([20261130, number]))
    try:
        page = reader.read_image(pixels, "page")
    except TooLarge:
        return
    assert (page.width, page.height) == pixels.shape[::-1]
    assert all(0 <= word.confidence <= 1 for line in page.lines for word in line.words)
