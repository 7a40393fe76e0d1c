"""Model sets: folders with the models that are used together, described and verified by a manifest.

Write the manifest of a folder after its files have changed:

    python -m paragraph_ocr.model_set FOLDER
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paragraph_ocr import __version__

FOLDER = Path(__file__).parent / "models"
MANIFEST = "manifest.json"
SCHEMA = 2
# Files with a card, the JSON file of the same name, which has their SHA-256; they are hashed when they are loaded.
_MODELS = ("detector.onnx", "recognizer.onnx", "general.onnx", "language.npz")
_CARDS = ("detector.json", "recognizer.json", "general.json", "language.json", "kind.json")


class ModelError(Exception):
    """A model is missing, or is not the one that its card or its manifest describes."""


@dataclass(frozen=True)
class ModelSet:
    """What the manifest of a model set says.

    Attributes
    ----------
    version : str
        That of the code that the set was made for.
    languages : tuple of str
        Languages with a language model of their own, ISO 639-1.
    charset : str
        Characters that the recogniser distinguishes.
    digest : str
        SHA-256 of the manifest, in hexadecimal, which identifies the set.
    """

    version: str
    languages: tuple[str, ...]
    charset: str
    digest: str


def load_manifest(folder: Path) -> ModelSet:
    """Read the manifest of a model set and verify its files.

    The cards are hashed. The models are compared by size and by the hash in their cards, with which their content is
    compared when they are loaded, so that nothing is hashed twice.

    Raises
    ------
    ModelError
        The manifest is missing, malformed or of another schema, or a file differs from it.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
        content = json.loads(text)
        if content["schema"] != SCHEMA:
            raise ModelError(
                f"{path} has schema {content['schema']!r}; this version of paragraph-ocr needs schema {SCHEMA}. "
                "Use a model set that was made for it."
            )
        files = {str(name): (str(each["sha256"]), int(each["bytes"])) for name, each in content["files"].items()}
        found = ModelSet(
            str(content["version"]),
            tuple(content["languages"]),
            str(content["charset"]),
            hashlib.sha256(text).hexdigest(),
        )
    except OSError as error:
        raise ModelError(
            f"{folder} is no model set: {MANIFEST}: {error.strerror}; python -m paragraph_ocr.model_set writes it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no manifest of a model set: {error!r}") from error
    for name, (sha256, size) in files.items():
        _verify(folder, name, sha256, size)
    return found


def _verify(folder: Path, name: str, sha256: str, size: int) -> None:
    if name not in (*_MODELS, *_CARDS):
        raise ModelError(f"{folder / MANIFEST} names {name!r}, which is no file of a model set")
    path = folder / name
    try:
        if name in _CARDS:
            same = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        else:
            card = json.loads(path.with_suffix(".json").read_bytes())
            same = path.stat().st_size == size and card["sha256"] == sha256
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} of the model set cannot be used: {error!r}") from error
    if not same:
        raise ModelError(
            f"{path} is not the file that {MANIFEST} describes; restore it, or write the manifest anew with "
            "python -m paragraph_ocr.model_set"
        )


def write_manifest(folder: Path, version: str = __version__) -> Path:
    """Write the manifest of the models in a folder, and return its path.

    Parameters
    ----------
    folder : Path
        With a detector, a recogniser, or both, and possibly a language model and the model of ``kind.json``.
    version : str
        Of the code that the set is for.
    """

    def card(name: str) -> dict[str, Any]:
        path = folder / name
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return content

    recognizer = card("recognizer.json")
    files = {name: folder / name for name in (*_CARDS, *_MODELS) if (folder / name).exists()}
    manifest = {
        "schema": SCHEMA,
        "version": version,
        # Models of texts that a set was adapted to have longer names.
        "languages": sorted(
            code for code in card("language.json").get("languages", {}) if code != "xx" and len(code) == 2
        ),
        "charset": recognizer.get("charset", ""),
        "scores": recognizer.get("scores", {}).get("sources", {}).get("all", {}),
        "files": {
            name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
            for name, path in files.items()
        },
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Write the manifest of the folder on the command line."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m paragraph_ocr.model_set", description="Write the manifest of a model set."
    )
    parser.add_argument("folder", type=Path, help="folder with the models and their cards")
    print(write_manifest(parser.parse_args().folder))


if __name__ == "__main__":
    main()
