"""Identify the format of a file by its first bytes, and files whose end is missing."""

from __future__ import annotations

from paragraph_ocr.errors import BrokenImage, UnsupportedFormat

# Start of a JPEG 2000 codestream, directly followed by its size (ISO/IEC 15444-1, A.4.1 and A.5.1).
CODESTREAM = b"\xff\x4f\xff\x51"

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"RIFF": "WEBP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    CODESTREAM: "JPEG2000",
}
# Brands in the first box of the file (ISO/IEC 14496-12, 4.3; ISO/IEC 23008-12, 10; AVIF 1.1, 6).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
# Starts of other files that people send, in small letters.
_OTHERS = {
    b"<!doctype html": "an HTML page, perhaps of an error or a login",
    b"<html": "an HTML page, perhaps of an error or a login",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file",
    b"pk\x03\x04": "a ZIP archive or an Office document",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"%!ps": "a PostScript file",
    b"{\\rtf": "an RTF document",
    b"at&tform": "a DjVu file",
    b"8bps": "a Photoshop file",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cjxl ": "a JPEG XL image",
}
# Other bytes may precede a PDF's header, up to here (Adobe's PDF Reference 1.7, implementation note 13).
_PDF_HEADER_WITHIN = 1024
SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".j2k",
        ".jpf",
        ".jpx",
        ".pdf",
    }
)


def format_of(data: bytes) -> str:
    """Return the format that a file's first bytes claim.

    Returns
    -------
    str
        The format as Pillow names it, or PDF.

    Raises
    ------
    UnsupportedFormat
        The bytes are those of no supported format.
    BrokenImage
        There are no bytes.
    """
    if not data:
        raise BrokenImage("The image has no bytes.")
    name = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)
    if name == "WEBP" and data[8:12] != b"WEBP":
        name = None
    if name is None and data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        brands = {box[at : at + 4] for at in range(0, len(box), 4)}
        name = "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None
    if name is None and b"%PDF-" in data[:_PDF_HEADER_WITHIN]:
        name = "PDF"
    if name is None:
        start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").lower()
        what = next((f"The file is {what}. " for magic, what in _OTHERS.items() if start.startswith(magic)), "")
        raise UnsupportedFormat(
            f"{what}Send a JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF or JPEG 2000 image, or a PDF."
        )
    return name


def is_truncated(data: bytes, name: str) -> bool:
    """Return whether the end of a file is missing, as far as its format shows it without decoding; False for TIFF."""
    match name:
        case "JPEG":
            return data.find(b"\xff\xd9", data.rfind(b"\xff\xda") + 1) < 0
        case "PNG":
            return b"IEND\xaeB`\x82" not in data
        case "WEBP":
            return int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "GIF":
            return not data.rstrip(b"\0").endswith(b";")
        case "BMP":
            return int.from_bytes(data[2:6], "little") > len(data)
        case "PDF":
            return b"%%EOF" not in data
        case "JPEG2000" if data.startswith(CODESTREAM):
            return b"\xff\xd9" not in data[-64:]
        case "AVIF" | "HEIF" | "JPEG2000":
            return _are_boxes_truncated(data)
    return False


def damage(data: bytes, name: str) -> BrokenImage:
    """Return the error for a file that cannot be decoded; it says whether the end of the file is missing."""
    if is_truncated(data, name):
        return BrokenImage(
            f"The {name} image is damaged: it is cut short, and its end is missing after {len(data):,} bytes. "
            "Send the whole file again."
        )
    return BrokenImage(f"The {name} image is damaged or cut short; save it anew and send the whole file.")


def _are_boxes_truncated(data: bytes) -> bool:
    """Return whether the last box of a file claims to end after the file does (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        # A box of size 0 extends to the end of the file; other sizes below that of the header are invalid.
        if size < 8:
            return False
        at += size
    return at > len(data)
