"""Limits of the resources that reading one file may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the resources that reading one file may take.

    Attributes
    ----------
    max_bytes : int
        Size of the file.
    max_pixels : int
        Width times height of a page, checked from the header before decoding.
    max_pages : int
        Pages of a file.
    max_lines : int
        Lines of a page.
    max_seconds : float
        Time in seconds for the whole file.
    max_memory : int
        Bytes that decoding a page may take, estimated from its header.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 80_000_000
    max_pages: int = 1000
    max_lines: int = 1000
    max_seconds: float = 3600.0
    max_memory: int = 4 * 2**30


DEFAULT_LIMITS = Limits()
