"""Small PDFs for the tests."""

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
