"""Read sizes and structure from the headers of image files, without a decoder."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from paragraph_ocr.io.file_format import CODESTREAM, damage

# Markers with a length, or the end of the image (ITU-T T.81, table B.1). 00 after FF is data, 01 and D0 to D8 have no
# length; at 02 to BF libjpeg fails or, where a restart is due, skips them and searches on (jpeg_resync_to_restart).
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1


def count_jpeg_scans(jpeg: bytes, most: int) -> int:
    """Return how many scans libjpeg may find in a JPEG; counting stops above `most`."""
    scans = 0
    for marker, _, _ in _jpeg_segments(jpeg):
        scans += marker == _START_OF_SCAN
        if scans > most:
            break
    return scans


def count_jpeg_segments(jpeg: bytes, most: int) -> int:
    """Return how many segments a JPEG has before its first scan; counting stops above `most`."""
    count = 0
    for marker, _, _ in _jpeg_segments(jpeg):
        count += 1
        if marker == _START_OF_SCAN or count > most:
            break
    return count


def jpeg_exif(jpeg: bytes) -> bytes:
    """Return the EXIF data of a JPEG, which Pillow joins from all segments before the first scan."""
    parts = []
    for marker, start, end in _jpeg_segments(jpeg):
        if marker == _START_OF_SCAN:
            break
        if marker == _APP1 and jpeg.startswith(b"Exif\0\0", start):
            parts.append(jpeg[start + 6 : end])
    return b"".join(parts)


def _jpeg_segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment before the end of the image, including the headers of scans."""
    at = 0
    while match := _JPEG_MARKER.search(jpeg, at):
        marker = jpeg[match.end() - 1]
        if marker == _END_OF_IMAGE:
            break
        at = match.end() + int.from_bytes(jpeg[match.end() : match.end() + 2], "big")
        yield marker, match.end() + 2, at


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP's canvas (RFC 9649, 2.5 to 2.7); raises BrokenImage if there is none."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise damage(data, "WEBP")


def claimed_pixels(data: bytes, name: str) -> int:
    """Return the pixels of the largest image that an AVIF, HEIC or JPEG 2000 file claims to contain.

    AVIF and HEIC state it in a box (ISO/IEC 23008-12, 6.5.3), which sequences lack: 0. JPEG 2000 states it at the start
    of the codestream as the far corner of a grid (ISO/IEC 15444-1, A.5.1), with tiles that may exceed the image.
    """
    most = at = 0
    if name == "JPEG2000":
        while (at := data.find(CODESTREAM, at) + 4) >= 4 and len(data) >= at + 36:
            right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6L", data, at + 4)
            most = max(most, (right - left) * (bottom - top), min(tile_width, right) * min(tile_height, bottom))
        return most
    while (at := data.find(b"ispe\0\0\0\0", at) + 4) >= 4:
        most = max(most, int.from_bytes(data[at + 4 : at + 8], "big") * int.from_bytes(data[at + 8 : at + 12], "big"))
    return most


def is_run_length_encoded(bmp: bytes) -> bool:
    """Return whether the pixels of a BMP are run-length encoded."""
    # OS/2's header, of 12 bytes, has no field for the compression.
    return bmp[14:18] != b"\x0c\0\0\0" and bmp[30:34] in (b"\1\0\0\0", b"\2\0\0\0")


def has_excess_runs(bmp: bytes) -> bool:
    """Return whether a run-length encoded BMP has more data than its pixels can need."""
    width, height = struct.unpack_from("<ii", bmp, 18)
    size = len(bmp) - int.from_bytes(bmp[10:14], "little")
    # A run of one pixel takes two bytes, and the end of a row two.
    return size > int(2 * abs(width * height) + 4 * abs(height) + 1024)
