"""Pages are told apart by how their lines look: handwritten, printed, both, or nothing on them."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pages import draw_page
from PIL import Image

from paragraph_ocr import kind
from paragraph_ocr.kind import KINDS, PATH, features, kind_of_file, kind_of_page
from paragraph_ocr.models import ModelError
from paragraph_ocr.reader import PageReader
from training.kinds import compose

LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load(threads=1)


@pytest.fixture(scope="module")
def halves() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A printed page, and one in a handwriting face."""
    texts = ["the river bank was wide", "and a stone bridge stood", "over the old grey geese", "while brown dogs jump"]
    return np.asarray(draw_page(texts)[0]), np.asarray(Image.open(LETTER).convert("L"))


def test_pages_are_of_their_kind(reader: PageReader, halves: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    printed, written = halves
    blank = np.full((400, 300), 240, np.uint8)
    pages = {"printed": printed, "handwritten": written, "mixed": compose(printed, written), "blank": blank}
    found = {name: kind_of_page(pixels, reader.read_image(pixels, name).lines) for name, pixels in pages.items()}
    assert found == {name: name for name in KINDS}


def test_the_kind_does_not_hang_on_the_paper(reader: PageReader, halves: tuple[NDArray[np.uint8], ...]) -> None:
    for pixels, expected in zip(halves, ("printed", "handwritten"), strict=True):
        dim = (0.5 * pixels + 60).astype(np.uint8)
        assert kind_of_page(dim, reader.read_image(dim, "dim").lines) == expected


def test_a_file_is_of_its_pages_kind() -> None:
    assert kind_of_file(["printed", "blank", "printed"]) == "printed"
    assert kind_of_file(["printed", "handwritten"]) == "mixed"
    assert kind_of_file(["blank"]) == kind_of_file([]) == "blank"


@pytest.mark.parametrize("width", [1, 8, 50, 1024])
@pytest.mark.parametrize("value", [0, 255])
def test_any_strip_has_features(width: int, value: int) -> None:
    assert np.isfinite(features(np.full((48, width), value, np.uint8))).all()


def test_the_committed_model_tells_strangers_apart() -> None:
    scores = json.loads(PATH.read_text(encoding="utf-8"))["scores"]
    for table in scores.values():
        counts = [next(value for name, value in row.items() if name != "right") for row in table.values()]
        assert np.average([row["right"] for row in table.values()], weights=counts) > 0.9


def test_a_broken_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "PATH", tmp_path / "kind.json")
    kind.load.cache_clear()
    with pytest.raises(ModelError, match=r"kind\.json"):
        kind.load()
    kind.load.cache_clear()
