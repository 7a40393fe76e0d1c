"""Write the OpenAPI description of the routes into `openapi.json` beside this file.

    python -m service.openapi_writer

The handler serves the file as it is, so that the image needs neither pydantic nor the time that a description takes.
"""

from __future__ import annotations

import json

from paragraph_ocr import __version__
from service.openapi import FILE, SCHEMAS
from service.routes import app


def describe() -> str:
    """The OpenAPI description of the routes, as JSON; needs pydantic, which the image lacks."""
    from aws_lambda_powertools.event_handler.openapi.models import APIKey, Server

    found = json.loads(
        app.get_openapi_json_schema(
            title="Paragraph OCR",
            version=__version__,
            summary="An image of handwritten or printed lines goes in, its text comes out, line by line.",
            # Beside this file, whatever the stage.
            servers=[Server(url="./")],
            security_schemes={"ApiKey": APIKey.model_validate({"name": "x-api-key", "in": "header"})},
        )
    )
    # Powertools puts schemas of its own validation there.
    found["components"]["schemas"] = SCHEMAS
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(describe(), encoding="utf-8")
