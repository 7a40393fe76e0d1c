"""Entry point of the Lambda function that reads a batch of an archive's objects."""

from service.archive import handler

__all__ = ["handler"]
