"""Pack lines, an experiment, weights and the code into one archive for a short run.

    python -m training.short_run.pack training/experiments/recognizer.toml --data PAGES --data PEN --data ASSETS \
        --start training/checkpoints/recognizer.pt --out build/short_run.zip

Annotated lines and each kind of drawn line share the bytes as the experiment file shares the batches among them. Lines
are drawn anew for the archive, and are distorted while training, as annotated ones are.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paragraph_ocr.pipeline.rectification import Geometry
from training.data.strips import Strip, enlarged, load_strips
from training.fit import read_experiment
from training.short_run.archive import Manifest, code_files, write_archive
from training.tasks.recognition import SCALING, RecognitionOptions, Sources, in_capitals, load_charset

# Left for the manifest, above the size of the code: bytes for each strip, and of the archive as a whole.
MANIFEST_BYTES, SPARE_BYTES = 60, 65536


@dataclass
class Part:
    """The strips of one kind: encoded, their texts, and how often each is drawn beside the others of its kind."""

    strips: list[bytes] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def fill(self, source: Iterator[tuple[Strip, float]], budget: float, quality: int, charset: set[str]) -> float:
        """Add strips and their weights until `budget` bytes are spent, or there are no more; returns the bytes left."""
        for strip, weight in source:
            if not set(strip.text) <= charset:
                continue
            data = encode(np.asarray(strip.pixels), quality)
            size = len(data) + MANIFEST_BYTES + len(strip.text.encode())
            if size > budget:
                break
            budget -= size
            self.strips.append(data)
            self.texts.append(strip.text)
            self.widths.append(strip.pixels.shape[1])
            self.weights.append(weight)
        return budget


def encode(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """A strip, uint8 (H, W), as a JPEG file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


def choose_annotated(strips: list[Strip], options: RecognitionOptions, seed: int) -> Iterator[tuple[Strip, float]]:
    """Annotated strips in a random order that prefers those that are drawn often, with their weights.

    The weights are those of the experiment file. Heavy strips come first more often (Efraimidis and Spirakis 2006), so
    that an archive that cannot hold all lacks those that would be drawn seldom.
    """
    rng = np.random.default_rng(seed)
    weights = np.array(
        [
            options.weights.get(strip.source, 1.0) * (options.capitals if in_capitals(strip.text) else 1.0)
            for strip in strips
        ]
    )
    for index in np.argsort(rng.exponential(size=len(strips)) / np.maximum(weights, 1e-9)):
        yield strips[index], float(weights[index])


def correct_weights(chosen: list[float], every: list[float]) -> list[float]:
    """Divide the weights of chosen strips by about the probability with which `choose_annotated` had chosen them.

    Parameters
    ----------
    chosen, every : lists of float
        Weights of the strips that were chosen, and of all there were.
    """
    weights = np.array(every)
    low, high = 0.0, 1 / max(min(every, default=1.0), 1e-9)
    for _ in range(60):
        factor = (low + high) / 2
        low, high = (factor, high) if np.minimum(1.0, factor * weights).sum() < len(chosen) else (low, factor)
    return [weight / min(1.0, max(high * weight, 1e-9)) for weight in chosen]


def pack(
    experiment: dict[str, Any],
    folders: list[Path],
    out: Path,
    cache: Path,
    megabytes: float = 60.0,
    quality: int = 50,
    start: Path | None = None,
    seed: int = 0,
) -> dict[str, int]:
    """Write the archive of a short run.

    Parameters
    ----------
    experiment : dict
        As `training.fit.read_experiment` returns it, of the task "recognition".
    folders : list of Path
        Annotated pages, recorded strokes, fonts and texts, as `training.fit` takes them.
    out : Path
    cache : Path
        Folder for cut strips.
    megabytes : float
        Largest size of the archive, in units of 2^20 bytes.
    quality : int
        Of the JPEG files, 1 to 100.
    start : Path, optional
        Checkpoint to start from.
    seed : int

    Returns
    -------
    dict of int
        How many strips of each kind it holds.

    Raises
    ------
    SystemExit
        The experiment is of another task, or nothing fits into the archive.
    """
    if experiment["run"]["task"] != "recognition":
        raise SystemExit("a short run trains a recogniser; give an experiment file of that task")
    options = RecognitionOptions(**experiment["data"])
    charset = load_charset()
    geometry = enlarged(Geometry(options.height, options.width, widths=1.0))
    sources = Sources.sort(folders)
    annotated = [s for folder in sources.pages for s in load_strips(folder, "train", geometry, cache) if not s.struck]
    shares = {"annotated": max(1.0 - sum(options.drawn.values()), 0.0) if annotated else 0.0} | options.drawn
    renderer = sources.renderer("train", geometry, options.drawn, cache) if options.drawn else None
    # Code takes about a third of its size.
    code = sum(path.stat().st_size for path, _ in code_files()) / 2.5
    bytes_left = megabytes * 2**20 - code - (start.stat().st_size if start else 0) - SPARE_BYTES
    rng = np.random.default_rng(seed)
    parts: dict[str, Part] = {}
    progress, share_left = tqdm(desc="strips"), sum(shares.values())
    for kind, share in shares.items():
        part = parts.setdefault(kind, Part())
        if kind == "annotated":
            source = choose_annotated(annotated, options, seed)
        else:
            assert renderer is not None
            source = ((renderer.draw(kind, rng), 1.0) for kind in itertools.repeat(kind))
        counted = (item for item in source if progress.update() or True)
        budget = bytes_left * share / max(share_left, 1e-9)
        bytes_left -= budget - part.fill(counted, budget, quality, set(charset))
        share_left -= share
    progress.close()
    every = [weight for strip, weight in choose_annotated(annotated, options, seed) if set(strip.text) <= set(charset)]
    parts["annotated"].weights = correct_weights(parts["annotated"].weights, every)
    if not any(part.strips for part in parts.values()):
        raise SystemExit("no strip fits into the archive; allow it more --megabytes")
    texts = [text for part in parts.values() for text in part.texts]
    widths = [width for part in parts.values() for width in part.widths]
    factors = [SCALING.factors(len(text) / width) for text, width in zip(texts, widths, strict=True)]
    strips = [strip for part in parts.values() for strip in part.strips]
    manifest = Manifest(
        experiment=experiment,
        charset=charset,
        sources=sorted({s.source for s in annotated} | ({"unipen_en"} if sources.pen else set())),
        texts=texts,
        weights=[
            round(shares[kind] * weight / sum(part.weights), 9)
            for kind, part in parts.items()
            for weight in part.weights
        ],
        zooms=[round(zoom, 3) for zoom, _ in factors],
        stretches=[round(stretch, 3) for _, stretch in factors],
        sizes=[len(strip) for strip in strips],
    )
    write_archive(out, manifest, strips, start)
    return {kind: len(part.strips) for kind, part in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.short_run.pack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="TOML file of a recogniser")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of data; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("build/short_run.zip"))
    parser.add_argument("--cache", type=Path, default=Path("build/cache"), help="folder for cut strips")
    parser.add_argument("--megabytes", type=float, default=60.0, help="largest size of the archive")
    parser.add_argument("--quality", type=int, default=50, help="of the JPEG files, 1 to 100")
    parser.add_argument("--start", type=Path, help="checkpoint to start from")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = pack(
        read_experiment(arguments.experiment),
        arguments.data,
        arguments.out,
        arguments.cache,
        arguments.megabytes,
        arguments.quality,
        arguments.start,
        arguments.seed,
    )
    held = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    print(f"{arguments.out}: {arguments.out.stat().st_size / 2**20:.1f} MiB with {held}")


if __name__ == "__main__":
    main()
