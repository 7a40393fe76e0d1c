"""The package holds the reader and its command line, and its interface reads the sample letter."""

import email
import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from standins import StillReader

import paragraph_ocr
from paragraph_ocr.api import Reader
from paragraph_ocr.client import Options as ClientOptions
from paragraph_ocr.document import Document
from paragraph_ocr.errors import BrokenImage, MalformedRequest
from paragraph_ocr.formats import FORMATS
from paragraph_ocr.io.imaging import decode
from paragraph_ocr.io.limits import DEFAULT_LIMITS
from paragraph_ocr.pipeline.options import Options, ReadOptions
from paragraph_ocr.pipeline.reader import PageReader
from service.intake import OCR_PARAMETERS

ROOT = Path(__file__).parents[1]
LETTER = ROOT / "samples" / "letter.jpg"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without a network from a copy of what it is made of; a stand-in replaces the large model."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "language.npz")
    shutil.copytree(ROOT / "function", folder / "function", ignore=ignored)
    (folder / "function" / "paragraph_ocr" / "models" / "language.npz").write_bytes(b"")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", str(folder), "--no-build-isolation"]
    command += ["--no-deps", "--no-index", "--quiet", "--wheel-dir", str(folder / "dist")]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = (folder / "dist").iterdir()
    return zipfile.ZipFile(file)


@pytest.mark.slow
def test_the_wheel_holds_the_library_and_nothing_of_the_service(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    library = ROOT / "function" / "paragraph_ocr"
    expected = {
        path.relative_to(library.parent).as_posix()
        for path in library.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected
    assert "paragraph_ocr/py.typed" in names


@pytest.mark.slow
def test_the_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    (file,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(file))
    assert (metadata["Name"], metadata["Version"]) == ("paragraph-ocr", paragraph_ocr.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert set(metadata.get_all("Provides-Extra", [])) == {"aws", "client", "train", "dev"}
    needed = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert {re.split(r"[<>=!]", each)[0] for each in needed} == {
        *("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pillow-heif", "pypdfium2", "tqdm")
    }
    (entry_points,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert wheel.read(entry_points).decode().split("\n")[:3] == [
        "[console_scripts]",
        "paragraph-ocr = paragraph_ocr.__main__:main",
        "paragraph-ocr-train = paragraph_ocr.cli.train:main",
    ]


def pins(path: Path) -> dict[str, str]:
    """The versions that a file fixes."""
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_image_has_the_versions_that_the_tests_run_with() -> None:
    constraints, lock = pins(ROOT / "constraints.txt"), pins(ROOT / "function" / "requirements.txt")
    extras = PROJECT["optional-dependencies"]

    def bounds(needed: list[str]) -> dict[str, str]:
        return dict(re.findall(r"([\w-]+)>=([\w.]+),<\d+", "\n".join(needed)))

    # The lower bounds are those versions, too: no other has been tried.
    of_image = bounds(PROJECT["dependencies"] + extras["aws"])
    assert constraints == of_image | bounds(extras["client"])
    assert of_image.items() <= lock.items()
    assert "requests" not in lock
    for name, version in constraints.items():
        assert importlib.metadata.version(name) == version


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import paragraph_ocr; "
        "assert 'Reader' in dir(paragraph_ocr); print(*sorted(set(sys.modules) - before)); "
        "from paragraph_ocr import Page, OcrError; print('numpy' in sys.modules, Page.__name__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "function"
    )
    loaded, names = run.stdout.splitlines()
    assert loaded.split() == ["paragraph_ocr"]
    assert names == "False Page"


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Readers'"):
        paragraph_ocr.Readers  # noqa: B018
    assert all(hasattr(paragraph_ocr, name) for name in paragraph_ocr.__all__)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A reader that computes nothing."""
    monkeypatch.setattr(PageReader, "load", lambda **_: StillReader(DEFAULT_LIMITS))
    return Reader(languages=["fr"])


@pytest.fixture(scope="module")
def full() -> Reader:
    """A reader with the models of the package."""
    return Reader()


def png(pages: int = 1) -> bytes:
    buffer = io.BytesIO()
    images = [Image.new("L", (60, 60), 200)] * pages
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def test_a_path_bytes_and_a_file_are_read_alike(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    path.write_bytes(png())
    with path.open("rb") as file:
        documents = [reader.read(path), reader.read(str(path)), reader.read(file), reader.read(png())]
    assert [document.text for document in documents] == ["a"] * 4
    assert [document.image for document in documents] == [str(path)] * 3 + ["image"]
    assert reader.read(io.BytesIO(png()), "scan").pages[0].image == "scan"
    assert [page.page for page in reader.pages(png(3))] == [1, 2, 3]


def test_a_file_object_at_its_end_is_read_from_its_beginning(reader: Reader) -> None:
    buffer = io.BytesIO()
    Image.new("L", (60, 60), 200).save(buffer, "PNG")
    assert reader.read(buffer).text == "a"


MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16")


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_pillow_is_read_in_each_mode(reader: Reader, mode: str, tmp_path: Path) -> None:
    picture = Image.radial_gradient("L").resize((80, 40))
    image = picture.convert("RGB").convert("P").convert("PA") if mode == "PA" else picture.convert(mode)
    document = reader.read(image, "photo")
    # Dithering may be searched for small print, in which this detector finds another line.
    assert (set(document.text.split("\n")), document.image) == ({"a"}, "photo")
    assert (document.pages[0].width, document.pages[0].height) == (80, 40)
    document.save(tmp_path / "photo.pdf")
    assert (tmp_path / "photo.pdf").read_bytes().startswith(b"%PDF")
    # What is read shows the same as the image.
    (found,) = decode(document.source)
    difference = np.abs(found.astype(int) - np.asarray(picture))
    assert difference.max() <= (255 if mode in ("1", "P", "PA") else 90 if mode in "IFI;16" else 3)


def test_an_image_of_pillow_keeps_its_orientation_resolution_and_name(reader: Reader, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("L", (80, 40), 200).save(tmp_path / "turned.jpg", exif=exif, dpi=(200, 100))
    with Image.open(tmp_path / "turned.jpg") as image:
        document = reader.read(image)
    assert document.image == str(tmp_path / "turned.jpg")
    assert (document.pages[0].width, document.pages[0].height) == (40, 80)
    with Image.open(io.BytesIO(document.source)) as kept:
        assert [round(value) for value in kept.info["dpi"]] == [200, 100]


def test_an_image_too_large_in_colour_is_read_in_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(DEFAULT_LIMITS, max_bytes=15_000)
    monkeypatch.setattr(PageReader, "load", lambda **_: StillReader(limits))
    noise = np.random.default_rng(1).integers(0, 256, (100, 100, 3), np.uint8)
    assert Reader().read(noise).text == "a"


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((40, 80), 200, np.uint8),
        np.full((40, 80, 1), 200, np.uint8),
        np.full((40, 80, 3), 200, np.uint8),
        np.full((40, 80, 4), 200, np.uint8),
        np.full((80, 160), 200, np.uint8)[::2, ::-2],
        np.ones((40, 80), bool),
    ],
)
def test_an_array_of_pixels_is_read(reader: Reader, pixels: NDArray[Any]) -> None:
    document = reader.read(pixels)
    assert (document.text, document.pages[0].width, document.pages[0].height) == ("a", 80, 40)
    assert [page.text for page in reader.pages(pixels)] == ["a"]


def test_the_colours_of_an_array_are_red_green_and_blue(reader: Reader) -> None:
    source = reader.read(np.full((9, 9, 3), (250, 10, 20), np.uint8)).source
    with Image.open(io.BytesIO(source)) as image:
        assert image.getpixel((4, 4)) == (250, 10, 20)


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        (np.zeros((3, 40, 80), np.uint8), ValueError, r"channels must be last.*transpose\(1, 2, 0\)"),
        (np.zeros((2, 40, 80, 3), np.uint8), ValueError, "one at a time"),
        (np.zeros((40, 80, 2), np.uint8), ValueError, r"shape \(H, W\) for grey or \(H, W, 3\) for RGB"),
        (np.zeros(9, np.uint8), ValueError, r"shape \(H, W\) for grey"),
        (np.zeros((0, 9), np.uint8), ValueError, "no pixels"),
        (np.zeros((40, 80)), ValueError, "must be uint8 from 0 to 255, not float64.*by 255"),
        (np.zeros((40, 80), np.uint16), ValueError, "must be uint8 from 0 to 255, not uint16"),
        (Image.new("L", (0, 9)), ValueError, "no pixels; its size is 0 x 9"),
        (None, TypeError, "path, bytes, a binary file, an image of Pillow or an array of pixels, not NoneType"),
        (["a.png", "b.png"], TypeError, "not list; pass its items one at a time"),
        (io.StringIO("text"), TypeError, "opened as text; open it as binary"),
        ("https://example.org/page.jpg", ValueError, "is a URL; download the file"),
    ],
)
def test_what_is_no_file_is_refused_with_what_to_pass_instead(
    reader: Reader, file: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        reader.read(file)


def test_an_image_that_is_closed_or_cut_short_is_broken(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(LETTER.read_bytes()[:9000])
    with Image.open(tmp_path / "cut.jpg") as image, pytest.raises(BrokenImage, match="truncated"):
        reader.read(image)
    with pytest.raises(BrokenImage, match="its file was closed"):
        reader.read(image)


def test_options_are_taken_by_their_names_in_the_api(reader: Reader) -> None:
    assert [page.page for page in reader.read(png(4), pages="2-3").pages] == [2, 3]
    assert [page.page for page in reader.pages(png(4), pages="4")] == [4]
    page = reader.read(png(), lines="joined", mark=True, upright=True, charset=None).pages[0]
    assert (page.style.joined, page.style.marked, page.upright) == (True, True, True)
    assert Options.__annotations__.keys() == ClientOptions.__annotations__.keys() == set(OCR_PARAMETERS) - {"format"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"lang": "zz"}, "lang must be one or more of .*de, en.*'zz' is none of them"),
        ({"lang": ["de", "zz"]}, "'zz' is none of them"),
        ({"lang": [1]}, "lang must be codes"),
        ({"pages": "2"}, "the file has 1 page"),
        ({"pages": "first"}, "pages must be numbers and ranges"),
        ({"lines": "join"}, "lines must be one of kept, joined"),
        ({"mark": "yes"}, "mark must be True or False"),
        ({"charset": "words"}, "charset must be one of digits"),
        ({"text": "never"}, "text must be one of auto, read"),
    ],
)
def test_an_option_with_a_wrong_value_is_refused(full: Reader, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRequest, match=message):
        full.read(LETTER, **asked)


def test_unknown_options_and_languages_are_refused(reader: Reader) -> None:
    with pytest.raises(TypeError, match="no option 'langs'; the options are lang, pages, lines"):
        reader.read(png(), langs="de")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"options must be ReadOptions, not dict; or read\(file"):
        reader.read(png(), options={"lang": "de"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="options or mark, not both"):
        reader.read(png(), options=ReadOptions(joined=True), mark=True)
    wrong: list[dict[str, Any]] = [
        {"languages": "de"},
        {"pages": "2"},
        {"pages": (2,)},
        {"charset": "x"},
        {"text": "x"},
    ]
    for values in wrong:
        with pytest.raises(MalformedRequest, match=next(iter(values))):
            ReadOptions(**values)


def test_languages_without_a_model_are_refused(full: Reader) -> None:
    for given in (["english"], "de,zz"):
        with pytest.raises(MalformedRequest, match="lang must be one or more of"):
            Reader(languages=given)
    assert Reader(languages="de,EN")._reader.languages == ("de", "en")
    with pytest.raises(MalformedRequest, match="'zz' is none of them"):
        full.read(png(), options=ReadOptions(languages=("zz",)))


def test_the_reader_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(PageReader, "load", lambda **options: asked.append(options) or SimpleNamespace())
    Reader(str(tmp_path), threads=3)
    assert asked == [{"threads": 3, "models": tmp_path, "limits": DEFAULT_LIMITS, "warm": False}]


@pytest.mark.parametrize("form", FORMATS)
def test_a_document_is_saved_in_the_format_of_the_suffix(reader: Reader, tmp_path: Path, form: str) -> None:
    from paragraph_ocr.formats import render

    document = reader.read(png(2))
    path = tmp_path / f"page{FORMATS[form].suffix.upper()}"
    document.save(path)
    written = path.read_bytes()
    assert written == render(document, form, png(2)) or form == "pdf"
    assert written.startswith(b"%PDF") == (form == "pdf")


def test_a_suffix_without_a_format_is_an_error(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"page.docx' has none of the suffixes .json, .txt"):
        reader.read(png()).save(tmp_path / "page.docx")
    assert list(tmp_path.iterdir()) == []


def test_the_overlay_shows_the_page_that_is_asked_for(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    document = reader.read(png(2))
    assert document.overlay(2).size == (60, 60)
    # The line is drawn.
    assert len(document.overlay().getcolors() or ()) > 1
    with pytest.raises(IndexError, match="no page 3"):
        document.overlay(3)
    shown: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda image: shown.append(image))
    document.show()
    assert [image.tobytes() for image in shown] == [document.overlay().tobytes()]


def test_the_first_lines_of_the_readme_read_the_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python snippet of the README runs as it stands, in a folder with a page.jpg."""
    snippet = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert snippet
    assert "Reader().read(" in snippet[1]
    shutil.copy(LETTER, tmp_path / "page.jpg")
    monkeypatch.chdir(tmp_path)
    shown: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda image: shown.append(image))
    variables: dict[str, object] = {}
    exec(snippet[1], variables)
    document = variables["document"]
    assert isinstance(document, Document)
    assert len(document.pages[0].lines) == 10
    assert document.text.startswith("12 March 1951\n")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert len(shown) == 1
