"""The files of a folder, and the search for the image that a transcription names."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from functools import lru_cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from paragraph_ocr.errors import OcrError
from paragraph_ocr.io.file_format import SUFFIXES
from paragraph_ocr.io.imaging import count_pages
from training.importers.records import ImportRefused

# Formats whose files may hold several pages.
PAGED = {".tif", ".tiff", ".pdf"}
# Names of the folders in which exports put the parts of a document; they are no writers.
PARTS = {"page", "pages", "alto", "xml", "images", "image", "img", "jpg", "hocr", "text", "texts", "txt", "lines"}
# Endings of transcriptions, which may follow the name of the image.
ENDINGS = (".xml", ".hocr", ".html", ".htm", ".xhtml", ".page", ".alto", ".json", ".gt.txt", ".txt")


class Folder:
    """A folder with its images and other files.

    Parameters
    ----------
    root : Path
    without : Path
        A folder whose files are left out: that which is written.

    Attributes
    ----------
    files, images : list of Path
        Regular files, or links to such.
    others : list of Path
        Pipes, devices and broken links: reading one could wait for ever.
    """

    def __init__(self, root: Path, without: Path) -> None:
        self.root = root
        self.files: list[Path] = []
        self._images: dict[str, list[Path]] = defaultdict(list)
        self._above: set[str] | None = None
        written = os.path.realpath(without)
        for place, folders, names in os.walk(root):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) != written
            )
            self.files += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        self.others = [path for path in self.files if not path.is_file()]
        self.files = [path for path in self.files if path.is_file()]
        self.images = [path for path in self.files if path.suffix.lower() in SUFFIXES]
        for path in self.images:
            name = _key(path.name)
            # ocropy has a.bin.png and a.nrm.png beside a.gt.txt.
            for key in dict.fromkeys([name, PurePosixPath(name).stem, name.partition(".")[0]]):
                self._images[key].append(path)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """The files that end in one of these, lower case."""
        return [path for path in self.files if path.name.lower().endswith(suffixes)]

    def find_image(self, name: str, file: Path, own: bool = True) -> Path:
        """Find the image that a transcription names, in any part of the folder.

        Only images of the folder are found, whatever path is named. The extension may be another one. Of several, those
        are meant whose path has more of the named path, then those nearer to the transcription. Where the image named
        is missing, or none is named, that of the transcription's own name is taken.

        Parameters
        ----------
        name : str
            File name, path or URL; may be empty.
        file : Path
            The transcription.
        own : bool
            Whether the image of the transcription's own name may be meant.

        Raises
        ------
        ImportRefused
            There is none, or there are several of which none is nearer.
        """
        plain = name.strip().replace("\\", "/").removeprefix("file://")
        stem = file.name
        for ending in ENDINGS:
            if stem.lower().endswith(ending):
                stem = stem[: -len(ending)]
                break
        for wanted in dict.fromkeys(filter(None, (plain, unquote(plain), stem if own else ""))):
            path = PurePosixPath(_key(wanted))
            found = self._images.get(path.name) or self._images.get(path.stem) or []
            rank = {each: (-self._shared(each, path), self._distance(each, file)) for each in found}
            nearest = [each for each in found if rank[each] == min(rank.values())]
            # The name in full counts more than its stem.
            nearest = [each for each in nearest if _key(each.name) == path.name] or nearest
            if len(nearest) == 1:
                return nearest[0]
            if nearest:
                names = ", ".join(each.relative_to(self.root).as_posix() for each in nearest)
                raise ImportRefused(f"its image {wanted} may be any of {names}")
        raise ImportRefused(f"its image {plain or stem} is not in the folder{self._elsewhere(plain, stem)}")

    def _elsewhere(self, *names: str) -> str:
        """Where else an image may be that is not in the folder: a hint for a message, or nothing."""
        above = self.root.resolve().parent
        if self._above is None:
            try:
                self._above = {_key(path.stem) for path in above.iterdir() if path.suffix.lower() in SUFFIXES}
            except OSError:
                self._above = set()
        if any(_key(PurePosixPath(name).stem) in self._above for name in names if name):
            return f", but in the one above: import {above}"
        return ""

    def is_named(self, name: str) -> bool:
        """Whether an image has a name, or has it without its extension."""
        return bool(name.strip() and self._images.get(_key(PurePosixPath(name.strip().replace("\\", "/")).name)))

    def has_image(self, file: Path) -> bool:
        """Whether there is an image of a transcription's own name."""
        try:
            return bool(self.find_image("", file))
        except ImportRefused:
            return False

    @staticmethod
    def _shared(image: Path, wanted: PurePosixPath) -> int:
        """How many parents an image's path has in common with the path that is named, from the last."""
        pairs = zip(reversed(image.parent.parts), reversed(wanted.parent.parts), strict=False)
        return sum(1 for _ in takewhile(lambda pair: _key(pair[0]) == pair[1], pairs))

    @staticmethod
    def _distance(image: Path, file: Path) -> int:
        """Steps from one file's folder to another's, down or up."""
        common = Path(os.path.commonpath([image.parent, file.parent]))
        return sum(len(path.parent.parts) - len(common.parts) for path in (image, file))

    def writer_of(self, image: Path) -> str:
        """The writer of an image: the path of its sub-folder, or the name of the folder itself."""
        parts = [part for part in image.relative_to(self.root).parent.parts if part.lower() not in PARTS]
        return "/".join(parts) or self.root.resolve().name or "writer"


def _key(name: str) -> str:
    """A name without regard to case, and to how accents are composed, in which file systems differ."""
    return unicodedata.normalize("NFC", name).lower()


@lru_cache(maxsize=4096)
def pages_of(image: Path) -> int:
    """Return the number of pages of an image; 1 where that cannot be told before it is decoded."""
    if image.suffix.lower() not in PAGED:
        return 1
    try:
        return count_pages(image.read_bytes())
    except (OcrError, OSError):
        return 1


def page_number(image: Path, claimed: int, position: int) -> int:
    """Return the page of an image that the page at a position of a file describes, both from 1.

    Parameters
    ----------
    image : Path
    claimed : int
        The number that the file gives, which often counts the images of a volume.
    position : int
    """
    count = pages_of(image)
    return claimed if count > 1 and 1 <= claimed <= count else position
