"""A model set is described by its manifest, and refused where a file is another or the schema is another's."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import paragraph_ocr
from paragraph_ocr import model_set
from paragraph_ocr.cli import main as command_line
from paragraph_ocr.model_set import FOLDER, MANIFEST, ModelError, load_manifest, write_manifest
from paragraph_ocr.models import read_card
from paragraph_ocr.pipeline.reader import PageReader
from service.runtime import load_reader
from service.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the package's model set, of which the large model is a file of its size without content."""
    copy = shutil.copytree(FOLDER, tmp_path / "models", ignore=shutil.ignore_patterns("language.npz"))
    with (copy / "language.npz").open("wb") as file:
        file.truncate((FOLDER / "language.npz").stat().st_size)
    return copy


def change(folder: Path, **values: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def test_the_package_has_the_manifest_of_its_models(tmp_path: Path) -> None:
    found = load_manifest(FOLDER)
    assert found.version == paragraph_ocr.__version__
    assert {"de", "en", "es", "fr", "it", "pt", "nl", "da"} <= set(found.languages)
    assert sorted(found.languages) == list(found.languages)
    assert found.charset == read_card(FOLDER / "recognizer.json").charset
    copy = shutil.copytree(FOLDER, tmp_path / "models")
    written = write_manifest(copy).read_bytes()
    assert written == (FOLDER / MANIFEST).read_bytes(), f"run python -m paragraph_ocr.model_set {FOLDER}"
    assert found.digest == hashlib.sha256(written).hexdigest()


def test_a_set_of_another_schema_is_refused(folder: Path) -> None:
    change(folder, schema=3)
    with pytest.raises(ModelError, match=r"has schema 3; this version of paragraph-ocr needs schema 2\. "):
        load_manifest(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 2, "files": []}', '{"schema": 2, "files": {"a": 1}}'])
def test_a_broken_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ModelError, match="is no manifest of a model set"):
        load_manifest(folder)


def test_a_folder_without_a_manifest_is_no_model_set(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{tmp_path} is no model set: .*model_set writes it"):
        load_manifest(tmp_path)


def test_a_manifest_that_names_other_files_is_refused(folder: Path) -> None:
    change(folder, files={"../secret.json": {"sha256": "", "bytes": 0}})
    with pytest.raises(ModelError, match=r"'\.\./secret\.json', which is no file of a model set"):
        load_manifest(folder)


@pytest.mark.parametrize("name", ["detector.json", "recognizer.json", "language.json", "kind.json"])
def test_a_changed_card_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(b"1", b"2", 1))
    with pytest.raises(ModelError, match=f"{name} is not the file that {MANIFEST} describes"):
        load_manifest(folder)


@pytest.mark.parametrize("name", ["detector.onnx", "recognizer.onnx", "language.npz"])
def test_a_cut_or_missing_model_is_refused(folder: Path, name: str) -> None:
    load_manifest(folder)
    with (folder / name).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match=f"{name} is not the file"):
        load_manifest(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} of the model set cannot be used"):
        load_manifest(folder)


def test_a_model_of_the_same_size_is_refused_when_it_is_loaded(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"language\.npz is not the model its card describes: the SHA-256 differs"):
        PageReader.load(folder, warm=False)


def test_a_model_with_a_card_of_another_set_is_refused(folder: Path) -> None:
    files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    files["detector.onnx"]["sha256"] = "0" * 64
    change(folder, files=files)
    with pytest.raises(ModelError, match=r"detector\.onnx is not the file"):
        load_manifest(folder)


def test_models_are_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    sha256 = hashlib.sha256
    monkeypatch.setattr(model_set.hashlib, "sha256", lambda data: hashed.append(len(data)) or sha256(data))
    PageReader.load(warm=False)
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    # The manifest's digest, the cards, and each model when it is loaded.
    assert sorted(hashed) == sorted(sizes.values())


def test_the_command_line_and_the_function_take_another_set(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    change(folder, schema=7)
    for more in ([], ["--out", str(tmp_path / "read")]):
        assert command_line.main([str(tmp_path / "a.png"), "--models", str(folder), *more]) == 1
        assert "has schema 7" in capsys.readouterr().err
    settings = Settings.from_environment({"MODELS": str(folder)})
    with pytest.raises(ModelError, match="has schema 7"):
        load_reader(settings, settings.request_limits)


def test_the_command_writes_the_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    command = [sys.executable, "-m", "paragraph_ocr.model_set", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=FOLDER.parents[1])
    assert json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"].keys() == {
        *("detector.json", "recognizer.json", "language.json", "kind.json"),
        *("detector.onnx", "recognizer.onnx", "language.npz"),
    }
