"""Write a folder of annotated pages so that a run that is broken off leaves the old one as it was."""

from __future__ import annotations

import hashlib
import json
import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paragraph_ocr.pipeline.rectification import Geometry
from training.data.pages import load_pages
from training.data.strips import cut_page
from training.importers.records import ImportRefused

# Marks a folder that an import wrote, and says what came of each file.
REPORT = "import.json"
QUALITY = 95
_OURS = re.compile(r"-[0-9a-f]{8}\.jpg$")
# Pages and lines that the sheet shows.
SHEET_PAGES, SHEET_LINES = 12, 60


def plain(text: str) -> str:
    """A name that is good for a file on any system."""
    return re.sub(r"[^\w]+", "-", text).strip("-")[:80] or "page"


class PagesFolder:
    """A folder of annotated pages that is written anew.

    Images have the hash of their content in their names, so that the pages of an earlier import stay whole until
    ``pages.jsonl`` is replaced by the last step.

    Parameters
    ----------
    out : Path

    Raises
    ------
    ImportRefused
        The folder holds something else than what an import wrote.
    """

    def __init__(self, out: Path) -> None:
        if out.exists() and not out.is_dir():
            raise ImportRefused(f"{out} is no folder")
        if out.is_dir() and any(out.iterdir()) and not (out / REPORT).exists():
            raise ImportRefused(f"{out} holds something else than imported pages; name a new folder")
        self.out = out
        self.rows: list[dict[str, Any]] = []

    def add(self, origin: dict[str, str], pixels: NDArray[np.uint8], content: dict[str, Any]) -> None:
        """Write an image and keep the row of its page.

        Parameters
        ----------
        origin : dict
            ``page_id``, ``source``, ``writer`` and ``split``.
        pixels : uint8 (H, W)
        content : dict
            ``lines``, ``ignore`` and what else the row has.
        """
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()[:8]
        name = Path("pages", plain(origin["source"]), f"{origin['page_id']}-{digest}.jpg")
        (self.out / name).parent.mkdir(parents=True, exist_ok=True)
        if not (self.out / REPORT).exists():
            _replace(self.out / REPORT, b"{}\n")
        _replace(self.out / name, data)
        height, width = pixels.shape
        self.rows.append(origin | {"image": name.as_posix(), "width": width, "height": height} | content)

    def finish(self, report: dict[str, Any]) -> None:
        """Replace the index, and delete the images of earlier imports that it does not name."""
        _replace(self.out / REPORT, (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode(errors="replace"))
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        _replace(self.out / "pages.jsonl", text.encode(errors="replace"))
        kept = {self.out / row["image"] for row in self.rows}
        for place, _, names in os.walk(self.out / "pages"):
            for name in names:
                if _OURS.search(name) and Path(place, name) not in kept:
                    Path(place, name).unlink()


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def draw_sheet(folder: Path, geometry: Geometry) -> NDArray[np.uint8]:
    """Lines of a folder of pages as the recogniser sees them, each with its text below: uint8 (H, W, 3)."""
    pages = [page for page in load_pages(folder) if page.lines]
    chosen = [pages[index] for index in np.unique(np.linspace(0, len(pages) - 1, SHEET_PAGES).astype(int))]
    most = -(-SHEET_LINES // len(chosen))
    font = cv2.FontFace("sans")
    rows = []
    for page in chosen:
        strips = cut_page(page, geometry)
        for place in np.unique(np.linspace(0, len(strips) - 1, most).astype(int)) if strips else ():
            strip, index = strips[place]
            height, width = strip.shape
            row = np.full((2 * height, geometry.width, 3), 255, np.uint8)
            row[:height, :width] = strip[:, : geometry.width, None]
            below = (4, round(1.5 * height))
            cv2.putText(row, page.lines[index].text, below, (40, 120, 20), font, round(0.42 * height), 500)
            named = f"{page.page_id}, line {index + 1}" + ", struck" * page.lines[index].struck
            cv2.putText(row, named, (4, round(1.9 * height)), (150, 150, 150), font, round(0.25 * height), 400)
            rows.append(row)
    return np.vstack(rows) if rows else np.full((48, geometry.width, 3), 255, np.uint8)
