"""Entry point of the Lambda function that answers the API."""

from service.routes import handler

__all__ = ["handler"]
