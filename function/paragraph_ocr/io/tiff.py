"""Check the directories of TIFF files and EXIF metadata before they are decoded.

Pillow and libtiff trust the directories: a resolution of a million values becomes a million Python objects, and a strip
that a thousand pages share is decompressed a thousand times. Only counts, sizes and offsets are read here (TIFF 6.0,
section 2; BigTIFF, https://www.awaresystems.be/imaging/tiff/bigtiff.html).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from paragraph_ocr.errors import BrokenImage, TooLarge

# Bytes per value of each type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Pillow keeps values of BYTE, ASCII and UNDEFINED as bytes, however many there are.
_OPAQUE = (1, 2, 7)
_INTEGERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
# Bits of NewSubfileType: a smaller copy of another image, a transparency mask (TIFF 6.0, page 36).
_NEW_SUBFILE_TYPE, NO_PAGE = 254, 1 | 4
_WIDTH, _HEIGHT, _COMPRESSION = 256, 257, 259
_SAMPLES, _ROWS_PER_STRIP, _PLANAR = 277, 278, 284
_STRIP_OFFSETS, _STRIP_BYTES = 273, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_PIECES = (_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES)
# A value for each of 65,536 levels of three colours.
_TABLES = (301, 320)
_TABLE_VALUES = 3 * 65536
# EXIF, GPS and interoperability: Pillow reads all of their values.
_SUBDIRECTORIES = (34665, 34853, 40965)
MAX_VALUES = 4096
MAX_ENTRIES = 4096
# Strips do not overlap in real files, but some writers state too large a size for the last one.
_MAX_SHARING = 4
# A small image may be stored in one tile of a common size.
_MIN_TILE_PIXELS = 2**20
_DAMAGED = "The TIFF image is damaged or cut short; save it anew and send the whole file."
# None, fax, LZW, Deflate and PackBits: their decoding time depends on the pixels and bytes only.
_SIMPLE_COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32773, 32946)


@dataclass(frozen=True)
class Sheet:
    """An image of a TIFF file, as its directory describes it.

    Attributes
    ----------
    width, height : int
        Pixels.
    pieces : int
        Strips or tiles.
    tile_pixels : int
        Pixels of a tile; 0 if there are strips.
    is_simple : bool
        Whether the decoding time of its compression is known from its size.
    is_page : bool
        Whether it is neither a thumbnail nor a mask of another image.
    """

    width: int
    height: int
    pieces: int
    tile_pixels: int
    is_simple: bool
    is_page: bool


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    at: int


def check_exif(data: bytes) -> None:
    """Raise BrokenImage if EXIF metadata, with or without the EXIF header, has implausibly many values."""
    start = 6 if data.startswith(b"Exif\0\0") else 0
    if data[start : start + 4] in (b"II*\0", b"MM\0*"):
        reader = _Reader(data[start:])
        for entries in reader.directories(1):
            reader.check_counts(entries, {})


def check_file(data: bytes, max_pages: int) -> list[Sheet]:
    """Return the images of a TIFF file.

    Parameters
    ----------
    data : bytes
    max_pages : int
        At most one more than these is examined.

    Raises
    ------
    BrokenImage, TooLarge
        A directory has too many entries or values, a tile is larger than its image, or strips are shared.
    """
    reader = _Reader(data)
    sheets = []
    claimed = 0
    for entries in reader.directories(max_pages + 1):
        sheet, most = reader.sheet(entries)
        reader.check_counts(entries, dict.fromkeys(_PIECES, most))
        for tag in (_STRIP_BYTES, _TILE_BYTES):
            if tag in entries:
                claimed += sum(min(size, len(data)) for size in reader.integers(entries[tag]))
        if claimed > _MAX_SHARING * len(data) + 2**16:
            raise TooLarge("The strips or tiles of the TIFF lie over each other; save it anew.")
        sheets.append(sheet)
    return sheets


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"+\0", b"\0+")
        self.word = "Q" if self.big else "L"
        self.word_size = 8 if self.big else 4

    def unpack(self, form: str, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self.order + form, self.data, at)
        except struct.error as error:
            raise BrokenImage(_DAMAGED) from error

    def directories(self, most: int) -> Iterator[dict[int, _Entry]]:
        """Yield the directories of the file's chain."""
        (at,) = self.unpack(self.word, 8 if self.big else 4)
        seen: set[int] = set()
        while at and at not in seen and len(seen) < most:
            seen.add(at)
            entries, following = self.directory(at)
            yield entries
            at = following

    def directory(self, at: int) -> tuple[dict[int, _Entry], int]:
        (count,) = self.unpack("Q" if self.big else "H", at)
        if count > MAX_ENTRIES:
            raise BrokenImage(f"A directory of the TIFF has {count:,} entries; save it anew.")
        at += 8 if self.big else 2
        entries: dict[int, _Entry] = {}
        for _ in range(count):
            tag, kind, values = self.unpack("HH" + self.word, at)
            at += 4 + self.word_size
            place = at
            if _SIZES.get(kind, 0) * values > self.word_size:
                (place,) = self.unpack(self.word, at)
            entries.setdefault(tag, _Entry(kind, values, place))
            at += self.word_size
        try:
            return entries, self.unpack(self.word, at)[0]
        except BrokenImage:
            # Other readers accept files that end with their only directory.
            return entries, 0

    def check_counts(self, entries: dict[int, _Entry], most: dict[int, int], depth: int = 0) -> None:
        """Raise if an entry, or an entry of a subdirectory, has too many values."""
        for tag, entry in entries.items():
            allowed = most.get(tag, _TABLE_VALUES if tag in _TABLES else MAX_VALUES)
            if entry.kind not in _OPAQUE and entry.count > allowed:
                raise BrokenImage(f"Tag {tag} of the TIFF or EXIF data has {entry.count:,} values; save it anew.")
            if tag in _SUBDIRECTORIES and depth < 2:
                for at in self.integers(entry)[:1]:
                    try:
                        below, _ = self.directory(at)
                    except BrokenImage:
                        if at + 2 <= len(self.data) and self.unpack("H", at)[0] > MAX_ENTRIES:
                            raise
                        # Pillow ignores it, too.
                        continue
                    self.check_counts(below, {}, depth + 1)

    def integers(self, entry: _Entry) -> tuple[int, ...]:
        """Return the values of an entry; none if they are not integers or are outside the file."""
        letter = _INTEGERS.get(entry.kind)
        if letter is None or entry.at + _SIZES[entry.kind] * entry.count > len(self.data):
            return ()
        return self.unpack(f"{entry.count}{letter}", entry.at)

    def one(self, entries: dict[int, _Entry], tag: int, default: int) -> int:
        """Return the first value of an entry."""
        if tag not in entries or not entries[tag].count:
            return default
        found = self.integers(_Entry(entries[tag].kind, 1, entries[tag].at))
        return found[0] if found else default

    def sheet(self, entries: dict[int, _Entry]) -> tuple[Sheet, int]:
        """Return the image of a directory, and the maximum number of strips or tiles that may be listed."""
        width, height = self.one(entries, _WIDTH, 0), self.one(entries, _HEIGHT, 0)
        planes = self.one(entries, _SAMPLES, 1) if self.one(entries, _PLANAR, 1) == 2 else 1
        rows = self.one(entries, _ROWS_PER_STRIP, height) or height
        pieces = -(-height // max(rows, 1))
        tile_pixels = 0
        # libtiff treats an image as tiled if its tiles have a size.
        if _TILE_OFFSETS in entries or _TILE_WIDTH in entries:
            across, down = self.one(entries, _TILE_WIDTH, 0), self.one(entries, _TILE_HEIGHT, 0)
            tile_pixels = across * down
            if not tile_pixels:
                raise BrokenImage("The tiles of the TIFF have no size; save it anew.")
            if tile_pixels > max(4 * width * height, _MIN_TILE_PIXELS):
                raise TooLarge(f"A tile of the TIFF has {across} x {down} pixels, its image {width} x {height}.")
            tiles = -(-width // across) * -(-height // down)
            pieces = max(pieces, tiles) if _STRIP_OFFSETS in entries else tiles
        pieces *= max(1, min(planes, 8))
        simple = self.one(entries, _COMPRESSION, 1) in _SIMPLE_COMPRESSIONS
        is_page = not self.one(entries, _NEW_SUBFILE_TYPE, 0) & NO_PAGE
        return Sheet(width, height, pieces, tile_pixels, simple, is_page), 2 * pieces + 16
