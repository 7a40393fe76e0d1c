import json
from pathlib import Path

import numpy as np
import pytest
from pages import write_folder

from training.data.pages import DatasetError, line_heights, load_pages, refuse_shared_writers


def test_pages_and_lines_come_back_as_written(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a": "train", "b": "val"})
    train, val = load_pages(folder)
    assert (train.writer, train.split, val.writer, val.split) == ("a", "train", "b", "val")
    assert train.pixels().shape == (train.height, train.width)
    assert len(train.lines) == 4
    assert [page.split for page in load_pages(folder, "val")] == ["val"]


def test_heights_are_measured_from_the_baseline() -> None:
    baseline = np.array([[0, 100], [400, 140]], np.float32)
    down = np.array([-40, 400], np.float32) / np.hypot(40, 400)
    polygon = np.concatenate([baseline - 30 * down, (baseline + 12 * down)[::-1]])
    assert np.allclose(line_heights(baseline, polygon), (30, 12), atol=1)


def test_partial_and_faded_pages_are_not_whole(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a": "train", "b": "train", "c": "train"})
    rows = [json.loads(row) for row in (folder / "pages.jsonl").read_text().splitlines()]
    rows[0]["partial"], rows[1]["faded"] = True, True
    (folder / "pages.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert [page.whole for page in load_pages(folder)] == [False, False, True]


def test_lines_without_a_usable_baseline_are_ignored_not_lost(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a": "train"})
    row = json.loads((folder / "pages.jsonl").read_text())
    row["lines"][0]["baseline"] = row["lines"][0]["baseline"][:1]
    (folder / "pages.jsonl").write_text(json.dumps(row))
    (page,) = load_pages(folder)
    assert (len(page.lines), len(page.ignore)) == (3, 1)


@pytest.mark.parametrize("row", ["{", "[]", '{"page_id": "x", "split": "train"}'])
def test_a_broken_row_is_named(tmp_path: Path, row: str) -> None:
    (tmp_path / "pages.jsonl").write_text(row)
    with pytest.raises(DatasetError, match="line 1"):
        load_pages(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"pages\.jsonl"):
        load_pages(tmp_path / "nowhere")


def test_no_writer_stands_on_both_sides() -> None:
    train, validation = [("letters", "anna"), ("letters", "bert")], [("letters", "anna"), ("diary", "bert")]
    with pytest.raises(DatasetError, match="anna of letters"):
        refuse_shared_writers(train, validation, [])
    refuse_shared_writers(train, validation, ["letters"])
    refuse_shared_writers(train, [("diary", "anna")], [])
