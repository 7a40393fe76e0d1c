"""Send a picture to the handler as a request, print its text and timings, and draw the lines found over it."""

import base64
import json
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from local.serve import lambda_context, load_handler, proxy_event


def main(image: Path) -> None:
    """Read an image and say how long each step took."""
    start = time.perf_counter()
    handler = load_handler()
    loading = (time.perf_counter() - start) * 1000
    from paragraph_ocr.cli.terminal import printable
    from paragraph_ocr.io import output

    try:
        with output.open_regular(image) as file:
            data = file.read()
    except OSError as error:
        sys.exit(printable(f"{image}: {error.strerror}"))
    encoded = base64.b64encode(data).decode()
    request = json.dumps({"image_base64": encoded, "image_name": image.name})
    event = proxy_event("POST", "/ocr", [("Content-Type", "application/json")], request.encode())
    answer = handler(event, lambda_context(event))
    body = json.loads(answer["body"])
    if answer["statusCode"] != 200:
        sys.exit(printable(f"{answer['statusCode']} {body['title']}: {body['detail']}"))
    print(f"\n{body['text']}\n")
    print(f"{'load':>10} {loading:8.1f} ms")
    pages = body.get("pages", [body])
    for step in pages[0]["timings_ms"]:
        print(f"{step:>10} {sum(page['timings_ms'][step] for page in pages):8.1f} ms")
    target = Path(f"{image.stem}.overlay.jpg")
    output.write(Path(), target, draw(data, pages[0]))
    print(f"\nThe lines found are drawn in {printable(str(target))}")


def draw(data: bytes, body: dict[str, Any]) -> bytes:
    """A JPEG of the first page with its answer drawn over it."""
    from paragraph_ocr.document import Line, Page
    from paragraph_ocr.formats.overlay import draw_overlay
    from paragraph_ocr.io import imaging

    lines = tuple(
        Line(line["text"], line["confidence"], line["polygon"], line["baseline"], words=()) for line in body["lines"]
    )
    page = Page(body["image"], 1, body["width"], body["height"], 0, lines, body["model"], body["timings_ms"])
    written = BytesIO()
    Image.fromarray(draw_overlay(next(imaging.decode(data)), page)).save(written, "JPEG", quality=90)
    return written.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
