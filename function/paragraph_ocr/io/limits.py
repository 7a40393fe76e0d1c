"""The most that one file may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most that one file may ask for.

    Attributes
    ----------
    max_bytes : int
        Size of the file.
    max_pixels : int
        Width times height of a page, known from the file's header before anything is decoded.
    max_pages : int
        Pages of a file.
    max_lines : int
        Lines of a page.
    max_seconds : float
        Time for the whole file.
    max_memory : int
        Bytes that decoding a page may take, as counted from its header.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 80_000_000
    max_pages: int = 1000
    max_lines: int = 1000
    max_seconds: float = 3600.0
    max_memory: int = 4 * 2**30


DEFAULT_LIMITS = Limits()
