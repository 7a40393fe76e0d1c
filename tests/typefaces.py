"""A typeface and texts for drawing pages, without any files of others."""

from pathlib import Path

from PIL import ImageFont

from training.synthesis.corpus import NAMES, Corpus
from training.synthesis.fonts import Face

WORDS = {kind: ["Zoe", "Garden", "Miller", "flour", "London"] for kind in NAMES.values()}
PROSE = "The quick brown fox jumps over the lazy dog at noon. It was odd, she said; nobody knew of 25 others. " * 80


def bundled_faces(folder: Path) -> list[Face]:
    """The typeface that Pillow brings along, in every style."""
    path = folder / "bundled-400-normal.ttf"
    path.write_bytes(ImageFont.load_default(40).path.getvalue())
    return [Face(f"bundled-{style}", style, (str(path),)) for style in ("print", "typewriter", "hand", "script")]


def small_corpus() -> Corpus:
    """Prose and words in English, the words as French, too."""
    words = ["garden", "table"]
    return Corpus({"en": PROSE}, {"en": words, "fr": words}, {"en": WORDS, "fr": WORDS}, {})
