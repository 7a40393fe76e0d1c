"""Fitting a line recogniser: strips with text in, batches, loss and validation error out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from paragraph_ocr.models import FOLDER, Model
from paragraph_ocr.recognition import Fit, Recognizer
from paragraph_ocr.rectification import Geometry, Normalisation, to_ink
from training.augmentation import degrade, warp_strip
from training.batches import leave_signals
from training.known import KnownText
from training.metrics import ErrorRate
from training.networks.crnn import CRNN
from training.networks.seq2seq import Seq2Seq
from training.networks.sliding_cnn import SlidingCNN
from training.pages import load_pages, refuse_shared_writers
from training.splices import Splicer, make_splicer
from training.strips import MARGIN, Strip, enlarged, load_strips
from training.tandem import choose_pages, page_errors

NETWORKS: dict[str, type[CRNN]] = {"crnn": CRNN, "seq2seq": Seq2Seq, "sliding_cnn": SlidingCNN}
BLANK = 0
# Strips are padded to multiples of so many columns.
GRAIN = 64
# The mean confidence of lines above which nobody asks whether they stand upside down; such have come up to 0.82.
LEGIBLE = 0.95
# Of validation pages' true lines with 8 to 9 columns a character 19.7 % was read wrong as they were, 13.3 % 1.3 times
# as wide; of those with 10 to 11 columns 12.9 and 10.4 %.
FIT = Fit(columns=14.0, most=1.5, plain=0.75, least_zoom=0.95, most_zoom=1.25)


def load_charset() -> str:
    """The characters a recogniser tells apart, in the order of its classes after the blank."""
    return (Path(__file__).parent / "charset.txt").read_text(encoding="utf-8").rstrip("\n")


@dataclass(frozen=True)
class RecognitionOptions:
    """What an experiment file says under [data].

    `batch` is the number of strips that the exported model takes, `columns` the strip columns in a training batch,
    `weights` how often a line of a source is drawn (1 where it is not named), `capitals` how many times as often one is
    drawn that is written in capitals, `spliced` the share of a source's lines that go on like another of the same hand
    (0 where it is not named), `full_width` the share of batches padded to the exported width, `validation_pages` the
    pages of each source that are read whole at every validation, `same_writer` the sources whose one writer may stand
    in both splits.
    """

    height: int = 48
    width: int = 1024
    batch: int = 1
    columns: int = 16384
    full_width: float = 0.05
    validation_lines: int = 600
    validation_pages: int = 2
    same_writer: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    capitals: float = 1.0
    spliced: dict[str, float] = field(default_factory=dict)


def stack(strips: list[NDArray[np.uint8]], width: int) -> Tensor:
    """Strips of one height as one batch, float32 (N, 1, H, width) of ink, padded with paper on the right."""
    batch = np.zeros((len(strips), 1, strips[0].shape[0], width), np.float32)
    for row, strip in zip(batch, strips, strict=True):
        row[0, :, : strip.shape[1]] = to_ink(strip, Normalisation())
    return torch.from_numpy(batch)


def in_capitals(text: str) -> bool:
    """Whether a text is written in capitals, but for some of its letters."""
    letters = [character for character in text if character.isalpha()]
    return len(letters) > 5 and sum(letter.isupper() for letter in letters) > 0.8 * len(letters)


def fitted(strip: Strip, baseline: float) -> Strip:
    """A strip as large and wide as the product makes it if it counts its characters right.

    Parameters
    ----------
    strip : Strip
    baseline : float
        Share of the strip's height at which its baseline lies; it stays there.
    """
    height, width = strip.pixels.shape
    zoom, stretch = FIT.of(len(strip.text) / width)
    wide = round(width * zoom * stretch)
    matrix = np.array([[wide / width, 0, 0], [0, zoom, baseline * height * (1 - zoom)]])
    pixels = cv2.warpAffine(np.asarray(strip.pixels), matrix, (wide, height), borderMode=cv2.BORDER_REPLICATE)
    return replace(strip, pixels=np.asarray(pixels, np.uint8))


def describe(options: RecognitionOptions) -> dict[str, Any]:
    """What the product has to know of a recogniser with these options: its input, how it is made, and its classes."""
    geometry = asdict(Geometry(options.height, options.width))
    del geometry["height"], geometry["width"]
    return {
        "model": "recognizer",
        "input": {
            "name": "strips",
            "shape": [options.batch, 1, options.height, options.width],
            "grains": [options.batch, 1, options.height, GRAIN],
        },
        "outputs": [{"name": "log_probabilities"}],
        "preprocessing": {
            "normalisation": asdict(Normalisation()),
            "geometry": geometry,
            "legible": LEGIBLE,
            "fit": asdict(FIT),
        },
        "charset": load_charset(),
        "blank": BLANK,
    }


class AugmentedLines(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless batches of augmented strips of similar width: ink (N, 1, H, W), classes (sum of lengths), lengths (N)."""

    def __init__(self, lines: Splicer, options: RecognitionOptions, charset: str, seed: int) -> None:
        self.lines = lines
        self.options = options
        self.classes = {character: index + 1 for index, character in enumerate(charset)}
        self.seed = seed
        weights = np.array(
            [
                options.weights.get(strip.source, 1.0) * (options.capitals if in_capitals(strip.text) else 1.0)
                for strip in lines.strips
            ]
        )
        self.probability = weights / weights.sum()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        options = self.options
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            pool = []
            for index in rng.choice(len(self.probability), 384, p=self.probability):
                strip = self.lines.strips[index]
                if rng.random() < options.spliced.get(strip.source, 0.0):
                    strip = self.lines.splice(index, rng)
                zoom, stretch = FIT.of(len(strip.text) / strip.pixels.shape[1])
                widest = round(options.width * zoom * stretch)
                warped = warp_strip(np.asarray(strip.pixels), options.height, widest, MARGIN, rng, zoom, stretch)
                # CTC needs a frame for each character and a blank between doubled ones.
                if warped.shape[1] // 4 > 1.15 * len(strip.text):
                    pool.append((degrade(warped, rng), strip.text))
            pool.sort(key=lambda item: item[0].shape[1])
            batches: list[list[tuple[NDArray[np.uint8], str]]] = [[]]
            for item in pool:
                if (len(batches[-1]) + 1) * item[0].shape[1] > options.columns:
                    batches.append([])
                batches[-1].append(item)
            for at in rng.permutation(len(batches)):
                batch = batches[at]
                width = -(-max(pixels.shape[1] for pixels, _ in batch) // 32) * 32
                if rng.random() < options.full_width:
                    width = max(width, options.width)
                    batch = batch[: max(1, options.columns // width)]
                classes = [self.classes[character] for _, text in batch for character in text]
                lengths = [len(text) for _, text in batch]
                yield stack([pixels for pixels, _ in batch], width), torch.tensor(classes), torch.tensor(lengths)


class Recognition:
    """The recogniser's side of `training.fit`."""

    def __init__(self, folders: list[Path], cache: Path, options: dict[str, Any], network: dict[str, Any]) -> None:
        self.options = RecognitionOptions(**options)
        self.charset = load_charset()
        kind = NETWORKS[network.pop("name")]
        self.network: nn.Module = kind(classes=len(self.charset) + 1, height=self.options.height, **network)
        known = set(self.charset)
        geometry = Geometry(self.options.height, self.options.width, widths=1.0)
        train = [s for folder in folders for s in load_strips(folder, "train", enlarged(geometry), cache)]
        validation = [s for folder in folders for s in load_strips(folder, "val", geometry, cache)]
        refuse_shared_writers(
            {(s.source, s.writer) for s in train},
            {(s.source, s.writer) for s in validation},
            self.options.same_writer,
        )
        self.train = [s for s in train if set(s.text) <= known and not s.struck]
        self.lines = Splicer(self.train, [[] for _ in self.train])
        if self.options.spliced:
            shipped = Recognizer(Model(FOLDER / "recognizer.onnx", threads=1))
            self.lines = make_splicer(self.train, self.options.spliced, shipped, cache)
        self.sources = sorted({s.source for s in self.train})
        known_by_heart = KnownText(s.text for s in train).knows([s.text for s in validation])
        pages = [page for folder in folders for page in load_pages(folder, "val")]
        self.pages = choose_pages(pages, self.options.validation_pages)
        self.validation = [
            fitted(s, geometry.baseline)
            for s, is_known in zip(validation, known_by_heart, strict=True)
            if not (is_known or s.struck)
        ]

    def batches(self, seed: int, workers: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Endless training batches."""
        lines = AugmentedLines(self.lines, self.options, self.charset, seed)
        return iter(DataLoader(lines, batch_size=None, num_workers=workers, worker_init_fn=leave_signals))

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor, Tensor], device: torch.device) -> Tensor:
        """The network's own loss."""
        strips, classes, lengths = batch
        strips = strips.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        return network.loss(strips, classes, lengths)  # type: ignore[operator, no-any-return]

    def draw(self, batch: tuple[Tensor, Tensor, Tensor]) -> NDArray[np.uint8]:
        """A batch as a picture, uint8 (H, W, 3): each strip with its text below."""
        strips, classes, lengths = batch
        texts = ["".join(self.charset[kind - 1] for kind in text.tolist()) for text in classes.split(lengths.tolist())]
        height, width = strips.shape[2:]
        picture = np.full((len(texts), round(1.6 * height), width, 3), 255, np.uint8)
        picture[:, :height] = (255 * (1 - strips[:, 0].clamp(0, 1))).byte().numpy()[..., None]
        font = cv2.FontFace("sans")
        for row, text in zip(picture, texts, strict=True):
            cv2.putText(row, text, (2, round(1.45 * height)), (40, 120, 20), font, round(0.35 * height), 400)
        return picture.reshape(-1, width, 3)

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Character error of lines for each source, over all as "score", and of whole pages; at the exported width."""
        rng = np.random.default_rng(0)
        count = min(self.options.validation_lines, len(self.validation))
        chosen = [self.validation[index] for index in sorted(rng.choice(len(self.validation), count, replace=False))]
        rates: dict[str, ErrorRate] = {}
        overall = ErrorRate()
        for start in range(0, len(chosen), 16):
            part = chosen[start : start + 16]
            width = max(self.options.width, -(-max(s.pixels.shape[1] for s in part) // GRAIN) * GRAIN)
            batch = stack([np.asarray(s.pixels) for s in part], width).to(device)
            with torch.inference_mode():
                readings = network.read(batch)  # type: ignore[operator]
            for strip, classes in zip(part, readings, strict=True):
                reading = "".join(self.charset[kind - 1] for kind in classes)
                rates.setdefault(strip.source, ErrorRate()).add(strip.text, reading)
                overall.add(strip.text, reading)
        lines = {f"cer {name}": rates[name].characters for name in sorted(rates)}
        figures = {"score": overall.characters} | lines
        if isinstance(network, Seq2Seq):
            # The product reads by CTC.
            return figures
        return figures | page_errors(self.pages, network, describe(self.options), device)
