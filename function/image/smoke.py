"""Check that the image's handler reads a letter in every input format and answers in every output format.

    PYTHONPATH=FUNCTION python smoke.py

The build of the image runs it, since slim.py removes parts of libraries.
"""

import base64
import json
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

HERE = Path(__file__).parent
CONTEXT = SimpleNamespace(
    function_name="smoke",
    memory_limit_in_mb=1769,
    invoked_function_arn="",
    aws_request_id="",
    get_remaining_time_in_millis=lambda: 29_000,
)
FORMATS = ("PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000")
# The upper part of the letter suffices and is fast.
BEGINNING = (0, 0, 1000, 305)
LINES = 4
FORMS = ("text", "hocr", "alto", "pdf", "page", "markdown", "csv", "json")


def event(method: str, path: str, content_type: str = "", body: bytes = b"", form: str = "text") -> dict[str, Any]:
    """Make the event of a request to API Gateway."""
    return {
        "httpMethod": method,
        "path": path,
        "resource": path,
        "headers": {"Accept": "*/*", "Content-Type": content_type},
        "queryStringParameters": {"format": form},
        "requestContext": {"requestId": "smoke"},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def encode(image: Image.Image, name: str) -> bytes:
    content = BytesIO()
    image.save(content, name)
    return content.getvalue()


def letters(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Return the beginning of the letter in each format; the one that cannot be written here is recorded."""
    yield "image/heic", (HERE / "letter.heic").read_bytes()
    for name in FORMATS:
        # The content type does not state the format.
        yield "application/octet-stream" if name == "JPEG2000" else f"image/{name.lower()}", encode(image, name)


def main() -> None:
    from app import handler

    def answer(request: dict[str, Any], status: int = 200) -> bytes:
        response = handler(request, CONTEXT)
        if response["statusCode"] != status:
            sys.exit(f"{request['httpMethod']} {request['path']}: {response['body']}")
        body = response["body"]
        return base64.b64decode(body) if response["isBase64Encoded"] else body.encode()

    def expect_letter(text: str, what: str) -> None:
        likeness = SequenceMatcher(None, text, read, autojunk=False).ratio()
        if likeness < 0.9:
            sys.exit(f"{what} was read as {text!r}; as JPEG the letter reads {read!r}")

    for path in ("/", "/openapi.json", "/health"):
        answer(event("GET", path))
    image = Image.open(BytesIO(answer(event("GET", "/web/letter.jpg")))).crop(BEGINNING)
    letter = encode(image, "JPEG")
    written = {form: answer(event("POST", "/ocr", "image/jpeg", letter, form)) for form in FORMS}
    read = written["text"].decode()
    if read.count("\n") < LINES - 1:
        sys.exit(f"There are {LINES} lines; they were read as {read!r}")
    # Between blocks text has an empty line.
    if json.loads(written["json"])["text"].split("\n") != [line for line in read.split("\n") if line]:
        sys.exit("The forms differ")
    # What was read is written again from its JSON, without the image.
    for name in (form for form in FORMS if form != "pdf"):
        again = answer(event("POST", "/convert", "application/json", written["json"], name))
        # Coordinates in JSON are rounded.
        if name in ("json", "text", "markdown", "csv") and again != written[name]:
            sys.exit(f"{name} differs when it is made of the JSON")
    for content_type, content in (*letters(image), ("application/pdf", written["pdf"])):
        expect_letter(answer(event("POST", "/ocr", content_type, content)).decode(), content_type)
    answer(event("POST", "/ocr", "application/pdf", written["pdf"], "pdf"))
    turned = image.rotate(-8, expand=True, fillcolor="white")
    turned.paste(0, mask=Image.new("L", (turned.width // 3, turned.height), 128))
    expect_letter(
        answer(event("POST", "/ocr", "image/png", encode(turned, "PNG"))).decode(), "The letter, turned, shaded"
    )
    boxes = image.copy()
    for index in range(4):
        # A row of boxes with a stroke in each.
        x, y = 100 + 44 * index, image.height - 60
        boxes.paste(0, (x, y, x + 46, y + 46))
        boxes.paste(255, (x + 2, y + 2, x + 44, y + 44))
        boxes.paste(0, (x + 20, y + 10, x + 24, y + 36))
    answer(event("POST", "/ocr", "image/png", encode(boxes, "PNG")))
    ticked = Image.new("L", (image.width + 100, image.height), 255)
    ticked.paste(image, (100, 0))
    places = [line["box"] for line in json.loads(written["json"])["lines"]]
    side = round(0.6 * max(bottom - top for _, top, _, bottom in places))
    for left, top, _, bottom in places:
        # A round box before each line.
        ring = (
            Image.radial_gradient("L").resize((side, side)).point(lambda distance: 0 if 150 < distance < 178 else 255)
        )
        ticked.paste(ring, (round(left) + 70 - side, round((top + bottom - side) / 2)))
    answer(event("POST", "/ocr", "image/png", encode(ticked, "PNG")))
    dotted = Image.new("L", (image.width, image.height + 80), 255)
    dotted.paste(image, (0, 0))
    for x in range(100, image.width - 100, 16):
        # The dots of a leader.
        dotted.paste(0, (x, image.height + 40, x + 5, image.height + 45))
    answer(event("POST", "/ocr", "image/png", encode(dotted, "PNG")))
    # Dithered, as fax machines and some scanners send it.
    dithered = image.convert("L").point(lambda level: round(0.8 * level)).convert("1")
    answer(event("POST", "/ocr", "image/png", encode(dithered, "PNG")))
    boundary = b'--b\r\nContent-Disposition: form-data; name="image"; filename="letter.jpg"\r\n\r\n'
    form = boundary + letter + b"\r\n--b--\r\n"
    expect_letter(answer(event("POST", "/ocr", "multipart/form-data; boundary=b", form)).decode(), "The form")
    body = json.dumps({"image_url": "https://127.0.0.1/"}).encode()
    answer(event("POST", "/ocr", "application/json", body), status=422)


if __name__ == "__main__":
    main()
