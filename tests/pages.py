"""Small folders of annotated pages for the tests, written with Pillow's own font."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = ["bridge", "brown", "dog", "geese", "grey", "jumps", "lazy", "old", "over", "quick", "stone", "the", "while"]


def draw_page(texts: list[str], size: int = 34, width: int = 900) -> tuple[Image.Image, list[dict[str, object]]]:
    """A page with a line a text, and the lines as `pages.jsonl` has them."""
    font = ImageFont.load_default(size)
    step = round(1.9 * size)
    image = Image.new("L", (width, step * (len(texts) + 2)), 245)
    draw = ImageDraw.Draw(image)
    lines = []
    for row, text in enumerate(texts):
        baseline = step * (row + 1) + size
        draw.text((60, baseline), text, fill=30, font=font, anchor="ls")
        left, top, right, bottom = draw.textbbox((60, baseline), text, font=font, anchor="ls")
        polygon = [[left, top - 2], [right, top - 2], [right, bottom + 2], [left, bottom + 2]]
        lines.append(
            {"text": text, "baseline": [[left, baseline], [right, baseline]], "polygon": polygon, "struck": False}
        )
    return image, lines


def write_folder(folder: Path, writers: dict[str, str], lines: int = 4) -> Path:
    """A folder of one page a writer; `writers` gives the split of each."""
    rng = np.random.default_rng(0)
    texts = [[" ".join(rng.choice(WORDS, 4)) for _ in range(lines)] for _ in writers]
    return write_pages(folder, texts, [(name.split("/")[0], split) for name, split in writers.items()])


def write_pages(folder: Path, texts: list[list[str]], hands: list[tuple[str, str]], size: int = 34) -> Path:
    """A folder of a page for each list of lines; `hands` gives the writer and the split of each page."""
    (folder / "pages").mkdir(parents=True)
    rows = []
    for number, (lines, (writer, split)) in enumerate(zip(texts, hands, strict=True)):
        image, records = draw_page(lines, size)
        image.save(folder / "pages" / f"{number}.png")
        rows.append(
            {
                "page_id": f"page{number}",
                "source": "test",
                "writer": writer,
                "split": split,
                "image": f"pages/{number}.png",
                "width": image.width,
                "height": image.height,
                "lines": records,
            }
        )
    (folder / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder
