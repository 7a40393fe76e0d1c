"""Write a folder of annotated pages; an interrupted run leaves the index of an earlier one as it was."""

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
from training.data.pages import TruePage, load_pages
from training.data.strips import cut_page
from training.importers.records import ImportRefused

# Marks a folder that an import wrote, and says what came of each file.
REPORT = "import.json"
QUALITY = 95
_OURS = re.compile(r"-[0-9a-f]{8}\.jpg$")
# Pages and lines that the sheet shows.
SHEET_PAGES, SHEET_LINES = 12, 72
# Separators of lines other than the line feed, which are escaped, since some programs end a row at them.
_SEPARATORS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
# Pixels of the sheet.
OVERVIEW_WIDTH, OVERVIEW_HEIGHT, LINE_WIDTH, CAPTION, GAP, TEXT_SIZE = 480, 640, 900, 24, 16, 20
GREEN, ORANGE, BLUE, RED = (30, 120, 20), (0, 130, 240), (220, 90, 0), (40, 40, 220)


def plain(text: str) -> str:
    """Return a text as a file name that is valid on any system."""
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
        text = "".join(json.dumps(row, ensure_ascii=False).translate(_SEPARATORS) + "\n" for row in self.rows)
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
    """Draw some pages of a folder with their outlines, and some lines of each as the recogniser gets them.

    Returns
    -------
    uint8 (H, W, 3)
    """
    pages = [page for page in load_pages(folder) if page.lines]
    chosen = [pages[index] for index in np.unique(np.linspace(0, len(pages) - 1, SHEET_PAGES).astype(int))]
    most = -(-SHEET_LINES // len(chosen))
    panels = []
    for page in chosen:
        overview = _draw_overview(page)
        strips = cut_page(page, geometry)
        places = np.unique(np.linspace(0, len(strips) - 1, most).astype(int)) if strips else ()
        rows = [_draw_line(strips[place][0], page.lines[strips[place][1]].text) for place in places]
        lines = np.vstack(rows) if rows else np.full((1, LINE_WIDTH, 3), 255, np.uint8)
        height = max(overview.shape[0], lines.shape[0]) + GAP
        panel = np.full((height, OVERVIEW_WIDTH + GAP + LINE_WIDTH, 3), 255, np.uint8)
        panel[: overview.shape[0], :OVERVIEW_WIDTH] = overview
        panel[: lines.shape[0], OVERVIEW_WIDTH + GAP :] = lines
        panels.append(panel)
    return np.vstack(panels)


def _draw_overview(page: TruePage) -> NDArray[np.uint8]:
    """A page with the outlines of its lines in green, crossed-out ones in orange, baselines in blue, ignored in red."""
    scale = min(OVERVIEW_WIDTH / page.width, OVERVIEW_HEIGHT / page.height)
    size = max(1, round(page.width * scale)), max(1, round(page.height * scale))
    pixels = cv2.cvtColor(cv2.resize(page.pixels(), size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    shapes = [(polygon, RED, True) for polygon in page.ignore]
    for line in page.lines:
        shapes += [(line.polygon, ORANGE if line.struck else GREEN, True), (line.baseline, BLUE, False)]
    for points, colour, closed in shapes:
        scaled = np.round(points * scale * 16).astype(np.int32)
        cv2.polylines(pixels, [scaled], closed, colour, 1, cv2.LINE_AA, 4)
    canvas = np.full((size[1] + CAPTION, OVERVIEW_WIDTH, 3), 255, np.uint8)
    canvas[: size[1], : size[0]] = pixels
    caption = f"{page.page_id}: {len(page.lines)} lines, {len(page.ignore)} ignored"
    _write(canvas, caption, (2, size[1] + CAPTION - 6), 14, OVERVIEW_WIDTH)
    return canvas


def _draw_line(strip: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A strip with its text below it, both made narrower where they are too wide."""
    height, width = strip.shape
    if width > LINE_WIDTH:
        size = LINE_WIDTH, max(1, round(height * LINE_WIDTH / width))
        strip = np.asarray(cv2.resize(strip, size, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = strip.shape
    row = np.full((height + TEXT_SIZE + 14, LINE_WIDTH, 3), 255, np.uint8)
    row[:height, :width] = strip[:, :, None]
    _write(row, text, (4, height + TEXT_SIZE), TEXT_SIZE, LINE_WIDTH)
    return row


def _write(picture: NDArray[np.uint8], text: str, at: tuple[int, int], size: int, width: int) -> None:
    font = cv2.FontFace("sans")
    _, _, across, _ = cv2.getTextSize((width, 100), text, (0, 0), font, size, 500)
    fitting = max(6, int(size * min(1.0, (width - 2 * at[0]) / max(across, 1))))
    cv2.putText(picture, text, at, GREEN, font, fitting, 500)
