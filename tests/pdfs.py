"""Small PDFs for the tests."""

import hashlib
import re
import zlib

from PIL import Image

Object = tuple[bytes, bytes]


def page_object(
    width: float, height: float, content: bytes = b"", entries: bytes = b"", content_entries: bytes = b""
) -> Object:
    """A page of so many points, and its content."""
    page = b"/Type/Page/Parent 2 0 R/MediaBox[0 0 %f %f]" % (width, height) + entries
    return page, b"<<%s/Length %d>>stream\n%s\nendstream" % (content_entries, len(content), content)


def make_pdf(pages: list[Object], trailer: bytes = b"", catalogue: bytes = b"") -> bytes:
    """A file of such pages."""
    kids = b" ".join(b"%d 0 R" % (3 + 2 * index) for index in range(len(pages)))
    bodies = [b"<</Type/Catalog/Pages 2 0 R%s>>" % catalogue, b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(pages))]
    for index, (page, content) in enumerate(pages):
        bodies += [b"<<%s/Contents %d 0 R>>" % (page, 4 + 2 * index), content]
    data = b"%PDF-1.7\n"
    table = b"0000000000 65535 f \n"
    for number, body in enumerate(bodies, 1):
        table += b"%010d 00000 n \n" % len(data)
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    size = len(bodies) + 1
    end = b"xref\n0 %d\n%strailer<</Root 1 0 R/Size %d%s>>\nstartxref\n%d\n%%%%EOF\n"
    return data + end % (size, table, size, trailer, len(data))


HELVETICA = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


def stream(entries: bytes, content: bytes) -> bytes:
    """A stream with some entries of its dictionary."""
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


def join_objects(bodies: list[bytes]) -> bytes:
    """A file of some objects, numbered from 1; the first is the catalogue."""
    data = b"%PDF-1.7\n"
    table = b"0000000000 65535 f \n"
    for number, body in enumerate(bodies, 1):
        table += b"%010d 00000 n \n" % len(data)
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    size = len(bodies) + 1
    return data + b"xref\n0 %d\n%strailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        table,
        size,
        len(data),
    )


def text_pdf(
    content: bytes,
    entries: bytes = b"",
    size: tuple[int, int] = (595, 842),
    image: Image.Image | None = None,
    to_unicode: str = "",
    more: tuple[bytes, ...] = (),
    catalogue: bytes = b"",
) -> bytes:
    """A page whose content knows Helvetica as F, the same with other Unicode values as G, and an image as I.

    Parameters
    ----------
    content, entries
        Of the page.
    size : tuple of int
        Points across and up.
    image : Image, optional
    to_unicode : str
        The Unicode values of the codes from A on in the font G; without them, it is a font like F.
    more : tuple of bytes
        Objects from number 7 on.
    catalogue : bytes
        Entries of the catalogue.
    """
    mapped = b"".join(
        b"<%02x> <%s>\n" % (ord("A") + at, character.encode("utf-16-be").hex().encode())
        for at, character in enumerate(to_unicode)
    )
    cmap = (
        b"/CIDInit/ProcSet findresource begin 12 dict begin begincmap/CMapName/G def/CMapType 2 def\n"
        b"1 begincodespacerange <00> <FF> endcodespacerange\n%d beginbfchar\n%sendbfchar\nendcmap end end"
    ) % (len(to_unicode), mapped)
    pixels = image.convert("L") if image is not None else Image.new("L", (1, 1))
    shape = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8" % pixels.size
    font = HELVETICA[:-2] + (b"/ToUnicode 5 0 R>>" if to_unicode else b">>")
    resources = b"/Resources<</Font<</F %s/G %s>>/XObject<</I 6 0 R>>>>" % (HELVETICA, font)
    return join_objects(
        [
            b"<</Type/Catalog/Pages 2 0 R%s>>" % catalogue,
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 4 0 R%s%s>>" % (*size, resources, entries),
            stream(b"", content),
            stream(b"", cmap),
            stream(shape + b"/Filter/FlateDecode", zlib.compress(pixels.tobytes())),
            *more,
        ]
    )


def form_pdf(appearance: bool) -> bytes:
    """A form with a field that is filled in, with or without the appearance of the field."""
    shown = b"/AP<</N 8 0 R>>" if appearance else b""
    resources = b"/Resources<</Font<</F %s>>>>" % HELVETICA
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(Margaret Hale)/DA(/F 12 Tf 0 g)/F 4/Rect[100 695 300 715]%s>>"
    fields = b"/AcroForm<</Fields[7 0 R]/DA(/F 12 Tf 0 g)/DR<</Font<</F %s>>>>%s>>"
    return text_pdf(
        b"BT /F 12 Tf 50 700 Td (Name:) Tj ET",
        b"/Annots[7 0 R]",
        more=(
            field % shown,
            stream(
                b"/Type/XObject/Subtype/Form/BBox[0 0 200 20]" + resources,
                b"/Tx BMC q BT /F 12 Tf 2 5 Td (Margaret Hale) Tj ET Q EMC",
            ),
        ),
        catalogue=fields % (HELVETICA, b"" if appearance else b"/NeedAppearances true"),
    )


# Algorithm 2 of ISO 32000-1, 7.6.3.3: a password is filled up with these bytes, and an empty one is all of them.
PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def rc4(key: bytes, data: bytes) -> bytes:
    """Data encrypted, or decrypted, by the cipher of PDF 1.1."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encrypted(data: bytes) -> bytes:
    """A file whose only strings are in its streams, encrypted so that an empty password opens it."""
    owner, permissions, name = rc4(hashlib.md5(PADDING).digest()[:5], PADDING), -4, bytes(16)
    key = hashlib.md5(PADDING + owner + permissions.to_bytes(4, "little", signed=True) + name).digest()[:5]

    def with_cipher(match: re.Match[bytes]) -> bytes:
        own = key + int(match[2]).to_bytes(3, "little") + bytes(2)
        return match[1] + rc4(hashlib.md5(own).digest()[:10], match[3]) + match[4]

    data = re.sub(rb"((\d+) 0 obj\n<<[^\n]*>>stream\n)(.*?)(\nendstream\nendobj)", with_cipher, data, flags=re.DOTALL)
    entries = b"/Filter/Standard/V 1/R 2/P %d/O<%s>/U<%s>" % (
        permissions,
        owner.hex().encode(),
        rc4(key, PADDING).hex().encode(),
    )
    # After the last object, so that all stay where they are.
    return data.replace(b"trailer<<", b"trailer<</Encrypt<<%s>>/ID[<%s><%s>]" % (entries, *[name.hex().encode()] * 2))
