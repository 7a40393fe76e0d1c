"""Measure how well the product reads print in each language, and signs and codes, in typefaces it was not trained on.

    python -m training.evaluation.languages --assets build/assets --prose TEXTS --write docs/accuracy.md

Of each language lines are printed on pages of ten, one typeface a page, and the pages are read without a hint of their
language. Faces, word lists and prose are those of the validation split; languages without prose are drawn from the
Declaration of Human Rights, which the models know, and from the words of their list that they do not. Signs are
amounts, codes, addresses, IBANs and the like. `error` is the character error of the whole text of the pages.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from paragraph_ocr.models import FOLDER
from paragraph_ocr.pipeline.reader import PageReader
from training.data.lines import Composer, Texts
from training.evaluation.metrics import ErrorRate, normalise_text
from training.synthesis.fonts import Face, files_of, load_faces, open_font
from training.synthesis.hands import runs

# The languages with a text, by their codes; `signs` are in none.
LANGUAGES = {
    "en": "English", "fr": "French", "de": "German", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "cs": "Czech", "hu": "Hungarian", "ro": "Romanian", "tr": "Turkish",
    "sv": "Swedish", "da": "Danish", "nb": "Norwegian", "fi": "Finnish", "is": "Icelandic", "hr": "Croatian",
    "sk": "Slovak", "sl": "Slovenian", "ca": "Catalan", "et": "Estonian", "lv": "Latvian", "lt": "Lithuanian",
    "ga": "Irish", "cy": "Welsh", "eu": "Basque", "gl": "Galician", "sq": "Albanian", "mt": "Maltese",
    "signs": "signs and codes",
}  # fmt: skip
PAGE_LINES = 10
# Characters of a line, least and most.
SHORTEST, LONGEST = 24, 64
MARKS = ("<!-- languages -->", "<!-- end -->")


@dataclass
class Outcome:
    """The lines of a language, their error, and the lines that were misread with what was read."""

    lines: int = 0
    error: ErrorRate = field(default_factory=ErrorRate)
    misread: list[tuple[str, str]] = field(default_factory=list)


def compose(composer: Composer, language: str) -> str:
    """A line of a language, as it is to be read."""
    length = int(composer.rng.integers(SHORTEST, LONGEST))
    texts = composer.texts
    if language == "signs":
        text = composer.signs(length)
    elif language in texts.prose:
        text = composer.stretch(texts.prose[language], length)
    elif language not in texts.words or composer.rng.random() < 0.5:
        text = composer.stretch(texts.declarations[language], length)
    else:
        text = composer.punctuated(texts.words[language], length)
    return normalise_text(text)


def print_page(texts: list[str], face: Face, rng: Generator) -> NDArray[np.uint8]:
    """Print lines in a typeface as on a scan, uint8 (H, W).

    Parameters
    ----------
    texts : list of str
        Characters that the face has.
    face : Face
    rng : numpy.random.Generator
    """
    size, files = int(rng.integers(26, 44)), files_of(face)
    pitch, margin = round(1.75 * size), 2 * size

    def length(text: str) -> float:
        return sum(open_font(files[character], size).getlength(character) for character in text)

    width = round(max(map(length, texts))) + 2 * margin
    paper, ink = int(rng.integers(225, 256)), int(rng.integers(0, 60))
    image = Image.new("L", (width, pitch * (len(texts) + 2)), paper)
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(texts, 1):
        x = float(margin)
        for piece, file in runs(face, text):
            font = open_font(file, size)
            draw.text((x, pitch * row + size), piece, fill=ink, font=font, anchor="ls")
            x += font.getlength(piece)
    pixels = cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), rng.uniform(0.3, 0.9))
    return np.asarray(np.clip(pixels + rng.normal(0, rng.uniform(1, 5), pixels.shape), 0, 255), np.uint8)


def measure(reader: PageReader, texts: Texts, faces: list[Face], language: str, lines: int) -> Outcome:
    """Read so many printed lines of a language, the same at every call."""
    rng = default_rng(crc32(language.encode()))
    composer, outcome = Composer(texts, rng), Outcome()
    for number in range(-(-lines // PAGE_LINES)):
        face = faces[number % len(faces)]
        own: list[str] = []
        while len(own) < min(PAGE_LINES, lines - outcome.lines):
            text = compose(composer, language)
            if len(text) >= SHORTEST // 2 and set(text) <= set(files_of(face)):
                own.append(text)
        page = reader.read_image(print_page(own, face, rng), f"{language}-{number}")
        read = page.text.split("\n")
        outcome.lines += len(own)
        outcome.error.add("\n".join(own), page.text)
        if len(read) == len(own):
            outcome.misread += [pair for pair in zip(own, map(normalise_text, read), strict=True) if pair[0] != pair[1]]
        else:
            outcome.misread.append(("\n".join(own), page.text))
    return outcome


def table(outcomes: dict[str, Outcome]) -> str:
    """The outcomes as a Markdown table, errors in percent."""
    rows = ["| language | lines | error |", "| --- | ---: | ---: |"]
    for language, outcome in outcomes.items():
        rows.append(f"| {LANGUAGES[language]} | {outcome.lines} | {100 * outcome.error.characters:.2f} |")
    return "\n".join(rows)


def write_between_marks(path: Path, text: str) -> None:
    """Replace what a document has between the marks of this table; raises SystemExit if it has none."""
    content = path.read_text(encoding="utf-8")
    before, opening, rest = content.partition(MARKS[0])
    _, closing, after = rest.partition(MARKS[1])
    if not opening or not closing:
        raise SystemExit(f"{path} has no {MARKS[0]} followed by {MARKS[1]}")
    path.write_text(f"{before}{opening}\n{text}\n{closing}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.languages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--assets", type=Path, default=Path("build/assets"), help="what training.synthesis.fonts fetched"
    )
    parser.add_argument("--prose", type=Path, help="folder of texts, such as de.txt")
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES), metavar="CODE")
    parser.add_argument("--lines", type=int, default=200, help="of each language")
    parser.add_argument("--models", type=Path, default=FOLDER)
    parser.add_argument("--write", type=Path, help="the document whose table is replaced")
    parser.add_argument("--misread", type=int, default=0, help="lines to print of each language that were misread")
    arguments = parser.parse_args()
    reader, texts = PageReader.load(arguments.models), Texts(arguments.assets, arguments.prose, "val")
    faces = [face for face in load_faces(arguments.assets, "val") if face.style == "print"]
    outcomes = {}
    for language in tqdm(arguments.languages, desc="languages"):
        outcomes[language] = measure(reader, texts, faces, language, arguments.lines)
        error = outcomes[language].error.characters
        tqdm.write(f"{language}: {outcomes[language].lines} lines, {100 * error:.2f} %")
        for truth, read in outcomes[language].misread[: arguments.misread]:
            print(f"{language}\n  {truth}\n  {read}", flush=True)
    print(table(outcomes))
    if arguments.write:
        write_between_marks(arguments.write, table(outcomes))


if __name__ == "__main__":
    main()
