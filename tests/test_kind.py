"""Pages are told apart by how their lines look: handwritten, printed, both, or nothing on them."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pages import draw_page
from PIL import Image

import training.tasks.kinds
from paragraph_ocr.document import Line
from paragraph_ocr.models import ModelError
from paragraph_ocr.pipeline import kind
from paragraph_ocr.pipeline.kind import PATH, features, kind_of_file, kind_of_page, line_features
from paragraph_ocr.pipeline.reader import PageReader
from training.tasks.kinds import Sample, compose, fit, score, score_across_writers

LETTER = Path(__file__).parents[1] / "samples" / "letter.jpg"


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load(threads=1)


@pytest.fixture(scope="module")
def halves() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A printed page, and one in a handwriting face."""
    texts = ["the river bank was wide", "and a stone bridge stood", "over the old grey geese", "while brown dogs jump"]
    return np.asarray(draw_page(2 * texts)[0]), np.asarray(Image.open(LETTER).convert("L"))


def written_lines(reader: PageReader, pixels: NDArray[np.uint8]) -> list[Line]:
    """Lines of the letter that look written: its face repeats letters, as type does, and some lines pass for print."""
    lines = reader.read_image(pixels, "letter").lines
    return [*lines[:2], *lines[4:8]]


def test_pages_are_of_their_kind(reader: PageReader, halves: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    printed, written = halves
    both, blank = compose(printed, written), np.full((400, 300), 240, np.uint8)
    assert kind_of_page(printed, reader.read_image(printed, "printed").lines) == "printed"
    assert kind_of_page(written, written_lines(reader, written)) == "handwritten"
    assert kind_of_page(both, reader.read_image(both, "both").lines) == "mixed"
    assert kind_of_page(blank, reader.read_image(blank, "blank").lines) == "blank"


def test_the_kind_does_not_hang_on_the_paper(
    reader: PageReader, halves: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    for pixels in halves:
        lines = reader.read_image(pixels, "page").lines
        darker = (0.5 * pixels + 60).astype(np.uint8)
        before, after = (kind.load().printed(line_features(page, lines)) for page in (pixels, darker))
        assert np.abs(after - before).mean() < 0.1
    printed = (0.5 * halves[0] + 60).astype(np.uint8)
    assert kind_of_page(printed, reader.read_image(printed, "printed").lines) == "printed"


def test_a_negative_is_of_the_kind_of_its_page(
    reader: PageReader, halves: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    for pixels, lines, kind_of_it in (
        (halves[0], reader.read_image(halves[0], "printed").lines, "printed"),
        (halves[1], written_lines(reader, halves[1]), "handwritten"),
    ):
        assert kind_of_page(255 - pixels, lines) == kind_of_it


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
    # A half of a page may hold a line or two.
    assert scores["validation_pages"].pop("mixed")["right"] > 0.7
    for table in scores.values():
        counts = [next(value for name, value in row.items() if name != "right") for row in table.values()]
        assert np.average([row["right"] for row in table.values()], weights=counts) > 0.9


def test_a_broken_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "PATH", tmp_path / "kind.json")
    kind.load.cache_clear()
    with pytest.raises(ModelError, match=r"kind\.json"):
        kind.load()
    kind.load.cache_clear()


def test_a_model_is_fitted_and_measured_by_writer() -> None:
    rng = np.random.default_rng(0)

    def sample(source: str, writer: str, shift: float) -> Sample:
        values = rng.normal(shift, 1, (40, 5)).astype(np.float32)
        # Stray features, such as a smudge gives, throw nothing off.
        values[0] *= 1000
        return Sample(source, writer, values)

    samples = [sample("hands", f"writer {number}", -1.0) for number in range(8)]
    samples += [sample("tapus_fr", f"typist {number}", 1.0) for number in range(6)]
    model = fit(samples)
    for scores in (score(model, samples), score_across_writers(samples)):
        assert {source: row["lines"] for source, row in scores.items()} == {"hands": 320, "tapus_fr": 240}
        assert min(row["right"] for row in scores.values()) > 0.93
    assert np.isfinite(model.printed(np.full((1, 5), 1e9, np.float32))).all()


def test_a_model_that_is_written_is_the_one_that_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    samples = [
        Sample(source, "w", rng.normal(shift, 1, (40, 5)).astype(np.float32))
        for source, shift in (("hands", -1.0), ("tapus_fr", 1.0))
    ]
    for module in (kind, training.tasks.kinds):
        monkeypatch.setattr(module, "PATH", tmp_path / "kind.json")
    fitted = fit(samples)
    training.tasks.kinds.write(fitted, samples)
    try:
        values = np.concatenate([each.values for each in samples])
        assert np.allclose(kind.load().printed(values), fitted.printed(values), atol=1e-3)
    finally:
        kind.load.cache_clear()
    written = json.loads((tmp_path / "kind.json").read_text(encoding="utf-8"))
    assert written["training"]["pages"] == {"hands": 1, "tapus_fr": 1}
    assert "scores" not in written, "scores of a former model"
