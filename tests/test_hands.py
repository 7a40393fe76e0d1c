"""Pages in several hands or languages are told apart, and pages in one are not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pages import WORDS, write_pages

from adaptation import command, hands
from adaptation.command import CHECKPOINTS
from adaptation.hands import describe_lines, group_pages, name_hands
from adaptation.material import split_pages
from export.__main__ import build
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import TruePage, load_pages
from training.evaluation.product import Figures
from training.networks.crnn import CRNN

ENGLISH = ["the house stands by the river", "we were glad to hear of you", "which had been there for years"]
GERMAN = ["das Haus steht nicht weit vom Fluss", "wir haben uns sehr gefreut", "welche schon lange dort waren"]


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader.load()


@pytest.fixture(scope="module")
def network() -> CRNN:
    state = torch.load(CHECKPOINTS / "recognizer.pt", map_location="cpu", weights_only=True)
    made, _ = build(state["experiment"], state["charset"])
    assert isinstance(made, CRNN)
    made.load_state_dict({name: value.float() for name, value in state["average"].items()})
    return made.eval()


def write(folder: Path, texts: Sequence[list[str]], slanted: Sequence[int] = ()) -> list[TruePage]:
    """Pages of lines, some of which are slanted afterwards."""
    pages = load_pages(write_pages(folder, list(texts), [("anna", "train")] * len(texts)))
    matrix = np.array([[1.0, 0.7, 0.0], [0.0, 1.0, 0.0]])
    found = []
    for number, page in enumerate(pages):
        if number not in slanted:
            found.append(page)
            continue
        pixels = page.pixels()
        wide = page.width + round(0.7 * page.height)
        cv2.imwrite(str(page.path), cv2.warpAffine(pixels, matrix, (wide, page.height), borderValue=245.0))

        def slant(points: np.ndarray) -> np.ndarray:
            return np.asarray(points @ matrix[:, :2].T, np.float32)

        lines = tuple(replace(line, baseline=slant(line.baseline), polygon=slant(line.polygon)) for line in page.lines)
        found.append(replace(page, width=wide, lines=lines))
    return found


def random_texts(pages: int, lines: int = 6) -> list[list[str]]:
    rng = np.random.default_rng(2)
    return [[" ".join(rng.choice(WORDS, 5)) for _ in range(lines)] for _ in range(pages)]


def name(pages: Sequence[TruePage], network: CRNN, reader: PageReader) -> list[str]:
    languages = reader.recognizer.languages
    assert languages is not None
    geometry = replace(reader.recognizer.geometry, widths=1.0)
    return [page.writer for page in name_hands(pages, network, geometry, languages)]


def test_two_hands_are_told_apart_and_held_out_of_each(
    tmp_path: Path, network: CRNN, reader: PageReader, capsys: pytest.CaptureFixture[str]
) -> None:
    slanted = (1, 3, 4, 7)
    pages = write(tmp_path / "pages", random_texts(11), slanted)

    named = command._name_hands(pages, network, reader)

    assert [page.writer for page in named] == ["hand 2" if at in slanted else "hand 1" for at in range(11)]
    assert {page.writer for page in split_pages(named)[1]} == {"hand 1", "hand 2"}
    printed = capsys.readouterr().out
    assert "hand 2: 4 pages, such as page1, page3, page4" in printed
    assert "from a folder of their own" in printed


def test_one_hand_is_not_divided(
    tmp_path: Path, network: CRNN, reader: PageReader, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = write(tmp_path / "pages", random_texts(10))

    assert command._name_hands(pages, network, reader) == pages
    assert not capsys.readouterr().out


def test_two_languages_are_told_apart(tmp_path: Path, network: CRNN, reader: PageReader) -> None:
    texts = [ENGLISH, GERMAN, ENGLISH, ENGLISH, GERMAN, GERMAN]
    pages = write(tmp_path / "pages", texts)

    expected = ["language de" if text is GERMAN else "language en" for text in texts]
    assert name(pages, network, reader) == expected
    # A single page in another language is a quotation, or a mistake.
    assert set(name(pages[:4], network, reader)) == {"anna"}


def test_writers_that_are_given_are_kept(tmp_path: Path, network: CRNN, reader: PageReader) -> None:
    pages = [replace(page, writer=writer) for page, writer in zip(write(tmp_path, random_texts(3)), "aab", strict=True)]

    assert name(pages, network, reader) == ["a", "a", "b"]


def test_pages_without_lines_count_as_of_the_largest_hand(network: CRNN, reader: PageReader, tmp_path: Path) -> None:
    (page,) = write(tmp_path / "pages", random_texts(1))
    geometry = replace(reader.recognizer.geometry, widths=1.0)
    empty = describe_lines(replace(page, lines=()), network, geometry)
    assert len(empty) == 0
    rng = np.random.default_rng(0)
    one, other = ([rng.normal(level, 1.0, (6, 40)).astype(np.float32) for _ in range(4)] for level in (0.0, 5.0))

    assert group_pages([*one, empty, *other[:3]]) == [0, 0, 0, 0, 0, 1, 1, 1]
    # Fewer pages than a hand needs belong to the nearest one.
    assert group_pages([*one, *other[:2]]) == [0] * 6
    assert hands.MIN_PAGES == 3


def test_the_report_names_hands_that_are_read_worse(capsys: pytest.CaptureFixture[str]) -> None:
    def figures(edits: int) -> Figures:
        made = Figures(pages=1, matched=9, true=10)
        made.lines.edits, made.lines.length = edits, 100
        return made

    before = {"p1": figures(50), "p2": figures(40), "p3": figures(4), "p4": figures(4)}
    after = {"p1": figures(20), "p2": figures(10), "p3": figures(6), "p4": figures(5)}
    writers = {"p1": "hand 1", "p2": "hand 1", "p3": "hand 2", "p4": "hand 2"}

    found = command._of_hands(before, after, writers)
    command._report(before, after, found, Path("models/mine"), 7.0)

    assert found == {"hand 1": {"before": 0.45, "after": 0.15}, "hand 2": {"before": 0.04, "after": 0.055}}
    printed = capsys.readouterr().out
    assert "all of hand 1" in printed
    assert "Read worse than before: hand 2;" in printed
