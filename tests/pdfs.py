"""Small PDFs for the tests."""

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
