"""Remove files that serving never loads from a folder of installed packages.

    python slim.py FOLDER

Most of what the wheels hold is for other uses: OpenCV's video and the linear algebra of its calibration, libheif's
encoder, onnxruntime's library for C, tests, headers. Libraries that a wheel's binaries are linked with are left out by
unlinking them: what the binaries would call in them is then nowhere, and calling it ends the process. So smoke.py must
come after this, and tests/test_image.py must see it call all of OpenCV that serving calls.
"""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import lief

UNUSED = (
    "**/tests",
    "**/*.pyi",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/parameters",
    "aws_lambda_powertools/utilities/parser",
    "aws_lambda_powertools/utilities/streaming",
    "aws_lambda_powertools/utilities/validation",
    "cv2/data",
    "numpy/_core/_*_tests.*.so",
    "numpy/_core/_simd.*.so",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/f2py",
    "numpy/fft",
    "numpy/random",
    "numpy/testing",
    "onnxruntime/backend",
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
)
# Only in the packages for some versions of Python: numpy.distutils ends with 3.11.
SOMETIMES = ("numpy/distutils",)
# Libraries that binaries are modified to do without.
UNLINKED = {
    "cv2/cv2.*.so": ("libavcodec-", "libavformat-", "libavif-", "libavutil-", "libopenblas", "libswscale-"),
    "pillow_heif.libs/libheif-*.so.*": ("libx265-",),
}
# Folders of wheels for the libraries of their binaries, and the binaries that are linked with them.
LIBRARIES = {"opencv_python_headless.libs": "cv2", "pillow_heif.libs": "."}


def find(root: Path, pattern: str) -> list[Path]:
    """Return the files that a pattern matches; raise if there are none, since another version may have other files."""
    found = list(root.glob(pattern))
    if not found:
        sys.exit(f"Nothing in {root} is like {pattern}: look at what the new version of the package holds.")
    return found


def parse(path: Path) -> lief.ELF.Binary:
    binary = lief.ELF.parse(path)
    if binary is None:
        sys.exit(f"{path} is no ELF file.")
    return binary


def unlink(path: Path, prefixes: tuple[str, ...], folders: Iterable[Path]) -> None:
    """Make a binary load without some libraries, with their symbols as null."""
    binary = parse(path)
    for prefix in prefixes:
        (name,) = [name for name in map(str, binary.libraries) if name.startswith(prefix)]
        (library,) = [folder / name for folder in folders if (folder / name).exists()]
        # Symbols do not keep their library alive.
        given = parse(library)
        offered = {symbol.name for symbol in given.exported_symbols}
        for symbol in binary.imported_symbols:
            if symbol.name in offered:
                symbol.binding = lief.ELF.Symbol.BINDING.WEAK
        binary.remove_version_requirement(name)
        binary.remove_library(name)
    # A new file, since the installed one may have other hard links.
    changed = path.with_suffix(".changed")
    binary.write(str(changed))
    changed.chmod(path.stat().st_mode)
    changed.replace(path)


def remove_unneeded(folder: Path, users: Iterable[Path]) -> None:
    """Remove the libraries of a folder that no binary is linked with any more."""
    waiting, needed = list(users), set[str]()
    while waiting:
        binary = parse(waiting.pop())
        for name in map(str, binary.libraries):
            if name not in needed and (folder / name).exists():
                needed.add(name)
                waiting.append(folder / name)
    for library in folder.iterdir():
        if library.name not in needed:
            library.unlink()


def main(root: Path) -> None:
    unused = [path for pattern in UNUSED for path in find(root, pattern)]
    for path in (*unused, *(path for pattern in SOMETIMES for path in root.glob(pattern))):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folders = [root / folder for folder in LIBRARIES]
    for pattern, prefixes in UNLINKED.items():
        for path in find(root, pattern):
            unlink(path, prefixes, folders)
    for folder, users in LIBRARIES.items():
        remove_unneeded(root / folder, find(root, f"{users}/*.so"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
