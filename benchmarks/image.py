"""Measure how much each wheel, and each layer, adds to the container image.

    python -m benchmarks.image

No container engine is needed: the wheels of the image's platform are installed into a folder as the Dockerfile does it,
and slim.py is run on them. With an engine, `docker history` shows the same layers.
"""

from __future__ import annotations

import argparse
import compileall
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import ROOT, publish, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FUNCTION = ROOT / "function"
# The oldest C libraries that wheels of this machine may ask for; the image's is glibc 2.34.
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_17", "manylinux2014")


def megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file() and not path.is_symlink()) / 1e6


def install(folder: Path, machine: str) -> None:
    """The wheels of the image, as they are."""
    version = re.search(r"^ARG BASE=\S+python:([\d.]+)", (FUNCTION / "Dockerfile").read_text(), re.MULTILINE)
    assert version
    platforms = [argument for each in PLATFORMS for argument in ("--platform", f"{each}_{machine}")]
    command = [
        *(
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "install",
            "--no-compile",
            "--no-deps",
        ),
        *("--only-binary=:all:", "--require-hashes", "--target", folder, "--python-version", version[1], *platforms),
        *("--requirement", FUNCTION / "requirements.txt"),
    ]
    subprocess.run(command, check=True)


def by_wheel(folder: Path) -> dict[str, float]:
    """Megabytes of each wheel, and of the bytecode of all."""
    sizes: dict[str, float] = {}
    for wheel in distributions(path=[str(folder)]):
        files = {folder / file for file in wheel.files or () if "__pycache__" not in file.parts}
        sizes[f"{wheel.name} {wheel.version}"] = megabytes(file for file in files if file.exists())
    sizes["bytecode"] = megabytes(folder.rglob("*.pyc"))
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.image", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--machine", default="x86_64", choices=("x86_64", "aarch64"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        install(folder, arguments.machine)
        whole = by_wheel(folder)
        subprocess.run([sys.executable, FUNCTION / "image" / "slim.py", folder], check=True)
        compileall.compile_dir(folder, quiet=2)
        kept = by_wheel(folder)
    library = FUNCTION / "paragraph_ocr"
    service = FUNCTION / "service"
    code = [*FUNCTION.glob("*.py"), *service.glob("*.py"), service / "openapi.json", *library.rglob("*.py")]
    layers = {
        "packages": sum(kept.values()),
        "models": megabytes((library / "models").iterdir()),
        "web page": megabytes((library / "web").iterdir()),
        # Compiled code is stored beside its source.
        "code": 2 * megabytes(code),
    }
    by_size = sorted(kept.items(), key=lambda item: -item[1])
    rows = [(name, f"{whole[name]:.1f}", f"{size:.1f}") for name, size in by_size if size >= 0.5]
    lines = [
        table(
            ("layer", "MB"),
            [*((name, f"{size:.1f}") for name, size in layers.items()), ("all", f"{sum(layers.values()):.1f}")],
        ),
        table(("wheel", "as published, MB", "in the image, MB"), rows),
        f"Uncompressed, {arguments.machine}, millions of bytes; wheels under half a megabyte are not in the table.",
    ]

    def draw(axes: Axes) -> None:
        names = [name for name, *_ in rows]
        axes.barh(names, [whole[name] for name in names], color="lightgrey", label="as published")
        axes.barh(names, [kept[name] for name in names], label="in the image")
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelsize=7)
        axes.set_xlabel("MB")
        axes.legend(fontsize=7, loc="lower right")

    name = "image" if arguments.machine == "x86_64" else f"image-{arguments.machine}"
    publish(name, {"layers_mb": layers, "published_mb": dict(whole), "kept_mb": dict(kept)}, "\n\n".join(lines), draw)


if __name__ == "__main__":
    main()
