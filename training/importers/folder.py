"""The files of a folder, and the search for the image that a transcription names."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from paragraph_ocr.errors import OcrError
from paragraph_ocr.io.file_format import SUFFIXES
from paragraph_ocr.io.imaging import count_pages
from training.importers.records import ImportRefused

# Formats whose files may hold several pages.
PAGED = {".tif", ".tiff", ".pdf"}
# What exports call the folders that hold parts of a document.
GENERIC = {"page", "pages", "alto", "xml", "images", "image", "img", "jpg", "hocr"}


class Folder:
    """A folder with its images and other files.

    Parameters
    ----------
    root : Path
    without : Path
        A folder whose files are left out: that which is written.
    """

    def __init__(self, root: Path, without: Path) -> None:
        self.root = root
        self.files: list[Path] = []
        self._images: dict[str, list[Path]] = defaultdict(list)
        ours = os.path.realpath(without)
        for place, folders, names in os.walk(root):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) != ours
            )
            self.files += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        self.images = [path for path in self.files if path.suffix.lower() in SUFFIXES]
        for path in self.images:
            self._images[path.name.lower()].append(path)
            self._images[path.stem.lower()].append(path)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """The files that end in one of these, lower case."""
        return [path for path in self.files if path.name.lower().endswith(suffixes)]

    def find_image(self, name: str, file: Path) -> Path:
        """The image that a file names, looked for beside it, above it, and in the whole folder, also by its stem.

        Raises
        ------
        ImportRefused
            There is none, or there are several, none nearer than the other.
        """
        plain = name.replace("\\", "/").removeprefix("file://")
        bases = [PurePosixPath(each).name.lower() for each in (plain, unquote(plain))] if plain else []
        stem = file.name.lower()
        for ending in (".xml", ".hocr", ".html", ".htm", ".xhtml", ".page", ".alto"):
            stem = stem.removesuffix(ending)
        for key in dict.fromkeys([*bases, *(PurePosixPath(base).stem for base in bases), stem]):
            found = list(dict.fromkeys(self._images.get(key, ())))
            if not found:
                continue
            distance = {path: self._distance(path, file) for path in found}
            nearest = [path for path in found if distance[path] == min(distance.values())]
            # A scan and its derivative: only what is named in full is meant.
            if len(nearest) == 1:
                return nearest[0]
            names = ", ".join(path.relative_to(self.root).as_posix() for path in nearest)
            raise ImportRefused(f"its image {name or key} may be any of {names}")
        raise ImportRefused(f"its image {name or stem} is not in the folder")

    @staticmethod
    def _distance(path: Path, file: Path) -> int:
        """Steps from one folder to another, down or up."""
        own, other = path.parent.parts, file.parent.parts
        shared = sum(1 for _ in _same(own, other))
        return len(own) + len(other) - 2 * shared

    def writer_of(self, image: Path) -> str:
        """Whose hand an image shows: the name of its sub-folder, or of the folder itself."""
        parts = [part for part in image.relative_to(self.root).parent.parts if part.lower() not in GENERIC]
        return "/".join(parts) or self.root.resolve().name or "writer"


def _same(own: tuple[str, ...], other: tuple[str, ...]) -> list[str]:
    shared = []
    for one, two in zip(own, other, strict=False):
        if one != two:
            break
        shared.append(one)
    return shared


@lru_cache(maxsize=4096)
def pages_of(image: Path) -> int:
    """How many pages an image has; 1 where that cannot be told before it is decoded."""
    if image.suffix.lower() not in PAGED:
        return 1
    try:
        return count_pages(image.read_bytes())
    except (OcrError, OSError):
        return 1


def page_number(image: Path, claimed: int, position: int) -> int:
    """The page of an image that the page at a position of a file describes, both from 1.

    Parameters
    ----------
    claimed : int
        The number that the file gives, which often counts the images of a volume.
    """
    count = pages_of(image)
    return claimed if count > 1 and 1 <= claimed <= count else position
