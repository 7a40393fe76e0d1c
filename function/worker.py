"""Entry point of the Lambda function that consumes the queue."""

from service.worker import handler

__all__ = ["handler"]
