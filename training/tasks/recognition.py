"""Train a line recogniser on strips with text: options, batches, loss and validation."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
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
from paragraph_ocr.pipeline.recognition import Recognizer, StripScaling
from paragraph_ocr.pipeline.rectification import Geometry, Normalisation, to_ink
from training.data.augmentation import blur, cross, degrade, warp_strip
from training.data.lines import Composer, DrawnLines
from training.data.pages import load_pages, refuse_shared_writers
from training.data.recomposition import Recomposer, circle
from training.data.seen_text import SeenText
from training.data.splices import Splicer, make_splicer
from training.data.strips import MARGIN, Strip, enlarged, load_strips
from training.data.strokes import PenItem, PenLines
from training.data.workers import ignore_stop_signals
from training.evaluation.end_to_end import choose_pages, page_character_errors
from training.evaluation.metrics import ErrorRate
from training.networks.recognisers import RECOGNISERS
from training.networks.seq2seq import Seq2Seq

BLANK = 0
# Strips are padded to a multiple of this many columns.
WIDTH_MULTIPLE = 64
# Mean confidence of lines above which a page is not read upside down for comparison; upside-down lines reached 0.82.
UPRIGHT_THRESHOLD = 0.95
# Share of rendered lines that are new; the others come from a pool of this many earlier ones, with new distortions.
NEW_DRAWN_SHARE = 0.3
DRAWN_POOL = 4000
# Texts that are written in recorded hands, as `training.data.lines.Composer` has them, with their shares.
PEN_TEXTS = {"prose": 0.6, "language": 0.28, "names": 0.12}
# Number of lines of each kind that are rendered for validation.
DRAWN_VALIDATION = 120
# The error of validation pages' true lines with 8 to 9 columns per character was 19.7 %, and 13.3 % at 1.3 times the
# width; with 10 to 11 columns, 12.9 and 10.4 %.
SCALING = StripScaling(columns_per_character=14.0, max_stretch=1.5, unscaled_stretch=0.75, min_zoom=0.95, max_zoom=1.25)

# Similar letters of letters without a canonical decomposition.
SIMILAR = dict(zip("ıđĐħĦŧŦðÐþÞəƏŋŊ¿¡‚‹›†", "idDhHtTdDpPeEnN?i,<>+", strict=True))


def load_charset() -> str:
    """Return the characters of a recogniser's classes in order, without the blank."""
    return (Path(__file__).parents[1] / "charset.txt").read_text(encoding="utf-8").rstrip("\n")


@dataclass(frozen=True)
class RecognitionOptions:
    """The table [data] of an experiment file.

    `batch` is the number of strips that the exported model takes, `columns` the strip columns in a training batch,
    `weights` how often a line of a source is drawn (1 where it is not named), `capitals` how many times as often one is
    drawn that is written in capitals, `crossed` the share of strips that strokes cross or something large stands
    beside, `circled` the share of annotated lines with an insertion, a recorded hand's number in a ring, `blurred` that
    of strips blurred like a photo, `spliced` the share of a source's lines that go on like another of the same hand (0
    where it is not named), `full_width` the share of batches padded to the exported width, `validation_pages` the pages
    of each source that are read whole at every validation, `same_writer` the sources whose one writer may stand in both
    splits, `same_text` those of which every writer copied the same text, so that its lines are validated all the same.
    `drawn` is the share of lines that are drawn while fitting: `pen_lines` and `pen_words` from recorded strokes,
    `pen_texts` from parts of these as other texts, `faces` in typefaces. Where `consistency` is more than 0, a batch
    holds each strip twice, in other degradations, and this is the weight of the divergence of what is read of the two
    in the loss.
    """

    height: int = 48
    width: int = 1024
    batch: int = 1
    columns: int = 16384
    full_width: float = 0.05
    validation_lines: int = 600
    validation_pages: int = 2
    same_writer: tuple[str, ...] = ()
    same_text: tuple[str, ...] = ()
    drawn: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    capitals: float = 1.0
    crossed: float = 0.0
    circled: float = 0.0
    blurred: float = 0.0
    spliced: dict[str, float] = field(default_factory=dict)
    consistency: float = 0.0


def stack(strips: list[NDArray[np.uint8]], width: int) -> Tensor:
    """Strips of one height as one batch, float32 (N, 1, H, width) of ink, padded with paper on the right."""
    batch = np.zeros((len(strips), 1, strips[0].shape[0], width), np.float32)
    for row, strip in zip(batch, strips, strict=True):
        row[0, :, : strip.shape[1]] = to_ink(strip, Normalisation())
    return torch.from_numpy(batch)


def extend_charset(weights: dict[str, Tensor], charset: str, extended: str) -> dict[str, Tensor]:
    """Extend a CRNN's output layers to a larger charset; a new letter starts as the letter without its accent.

    Parameters
    ----------
    weights : dict of Tensor
        Weights of a network whose classes are the blank and `charset`.
    charset, extended : str

    Raises
    ------
    SystemExit
        The extended charset does not begin with the smaller one.
    """
    if not extended.startswith(charset):
        raise SystemExit("The charset does not begin with that of the checkpoint: append new characters to its end")
    place = {character: index + 1 for index, character in enumerate(charset)}
    base = [
        place.get(character)
        or place.get(unicodedata.normalize("NFD", character)[0])
        or place.get(SIMILAR.get(character, ""))
        or 0
        for character in extended[len(charset) :]
    ]
    old = len(charset) + 1

    def extend(rows: Tensor) -> Tensor:
        new = rows[base].clone()
        if rows.ndim == 1:
            new -= 4.0
        else:
            new += 0.01 * rows.std() * torch.randn_like(new)
        return torch.cat([rows, new])

    changed = dict(weights)
    for name in ("head.weight", "head.bias"):
        changed[name] = torch.cat([extend(weights[name][:old].float()), extend(weights[name][old:].float())])
    for name in ("shortcut.weight", "shortcut.bias"):
        changed[name] = extend(weights[name].float())
    return changed


def in_capitals(text: str) -> bool:
    """Return whether most letters of a text are capitals."""
    letters = [character for character in text if character.isalpha()]
    return len(letters) > 5 and sum(letter.isupper() for letter in letters) > 0.8 * len(letters)


def scale_to_density(strip: Strip, baseline: float) -> Strip:
    """Scale a strip like the product, depending on its number of characters per column.

    Parameters
    ----------
    strip : Strip
    baseline : float
        Position of the baseline as a share of the strip's height, which does not change.
    """
    height, width = strip.pixels.shape
    zoom, stretch = SCALING.factors(len(strip.text) / width)
    wide = round(width * zoom * stretch)
    matrix = np.array([[wide / width, 0, 0], [0, zoom, baseline * height * (1 - zoom)]])
    pixels = cv2.warpAffine(np.asarray(strip.pixels), matrix, (wide, height), borderMode=cv2.BORDER_REPLICATE)
    return replace(strip, pixels=np.asarray(pixels, np.uint8))


def describe(options: RecognitionOptions) -> dict[str, Any]:
    """The entries of a recogniser's card that describe its input, preprocessing and classes."""
    geometry = asdict(Geometry(options.height, options.width))
    del geometry["height"], geometry["width"]
    return {
        "model": "recognizer",
        "input": {
            "name": "strips",
            "shape": [options.batch, 1, options.height, options.width],
            "multiples": [options.batch, 1, options.height, WIDTH_MULTIPLE],
        },
        "outputs": [{"name": "log_probabilities"}],
        "preprocessing": {
            "normalisation": asdict(Normalisation()),
            "geometry": geometry,
            "upright_threshold": UPRIGHT_THRESHOLD,
            "scaling": asdict(SCALING),
        },
        "charset": load_charset(),
        "blank": BLANK,
    }


@dataclass
class Sources:
    """The data folders of an experiment, by their contents."""

    pages: list[Path] = field(default_factory=list)
    pen: Path | None = None
    assets: Path | None = None
    prose: Path | None = None

    @classmethod
    def sort(cls, folders: list[Path]) -> Sources:
        """Sort folders by their contents: annotated pages, recorded strokes, fonts and texts, or prose."""
        sources = cls()
        for folder in folders:
            if (folder / "lines.npz").exists():
                sources.pen = folder
            elif (folder / "fonts").is_dir():
                sources.assets = folder
            elif (folder / "en.txt").exists():
                sources.prose = folder
            else:
                sources.pages.append(folder)
        return sources

    def renderer(self, split: str, geometry: Geometry, kinds: Collection[str], cache: Path) -> LineRenderer:
        """A renderer of lines of a split, of some of the kinds of `LineRenderer.draw`."""
        pen = PenLines(self.pen, split, geometry) if self.pen else None
        hands = None
        if pen and "pen_texts" in kinds:
            shipped = Recognizer(Model(FOLDER / "recognizer.onnx", threads=1))
            hands = Recomposer(pen.words + pen.lines, shipped, cache)
        faces = DrawnLines(self.assets, self.prose, split, geometry) if self.assets else None
        return LineRenderer(pen, hands, faces)


@dataclass
class LineRenderer:
    """Draw lines from recorded pen strokes and in typefaces."""

    pen: PenLines | None
    hands: Recomposer | None
    faces: DrawnLines | None

    def draw(self, kind: str, rng: np.random.Generator) -> Strip:
        """Draw a new strip of a kind: ``pen_lines``, ``pen_words``, ``pen_texts`` or ``faces``.

        Raises
        ------
        SystemExit
            The folder that this kind is drawn from was not given.
        """
        if kind == "faces":
            if self.faces is None:
                raise SystemExit("Lines in typefaces need a folder of fonts and texts: --data build/assets")
            drawn = self.faces.draw(rng)
            return Strip(drawn.pixels, drawn.text, 0.7, f"drawn_{drawn.style}", "", False)
        if self.pen is None:
            raise SystemExit("Recorded handwriting needs a folder with lines.npz and words.npz given with --data")
        if kind == "pen_texts":
            item = self._write_text(rng)
        else:
            item = self.pen.line(rng) if kind == "pen_lines" else self.pen.line_of_words(rng)
        return Strip(self.pen.draw(item, rng), item.text, 0.7, kind, str(item.hand), False)

    def circled(self, rng: np.random.Generator) -> Strip:
        """Draw a strip of a number or a letter in a ring, written by a recorded hand."""
        if self.hands is None or self.pen is None:
            raise SystemExit("Circled numbers need recorded handwriting: give a folder with lines.npz with --data")
        while True:
            inside = str(rng.integers(1, 100)) if rng.random() < 0.9 else chr(int(rng.integers(65, 91)))
            if (item := self.hands.line([inside], rng)) is not None:
                ring = replace(circle(item, rng), text=f"({inside})")
                return Strip(self.pen.draw(ring, rng), ring.text, 0.7, "pen_circled", str(item.hand), False)

    def _write_text(self, rng: np.random.Generator) -> PenItem:
        """Write a line of text in a recorded hand, one of eight with numbers or letters in brackets or in rings."""
        if self.hands is None or self.faces is None:
            raise SystemExit("Texts in recorded hands need a folder of fonts and texts: --data build/assets")
        composer = Composer(self.faces.texts, rng)
        while True:
            kind = str(rng.choice(list(PEN_TEXTS), p=list(PEN_TEXTS.values())))
            text = str(getattr(composer, kind)(int(rng.integers(12, 60))))
            words = text.split()
            if rng.random() < 1 / 8:
                for _ in range(int(rng.integers(1, 4))):
                    inside = str(rng.integers(1, 100)) if rng.random() < 0.9 else chr(int(rng.integers(65, 91)))
                    words.insert(int(rng.integers(len(words) + 1)), f"({inside})")
            if (item := self.hands.line(words, rng)) is not None:
                return item


class AugmentedLines(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """An endless stream of batches of augmented strips of similar width.

    A batch consists of ink (N, 1, H, W), classes (sum of lengths) and lengths (N). With `consistency`, its second half
    has the strips and classes of its first.
    """

    def __init__(
        self, lines: Splicer, options: RecognitionOptions, charset: str, seed: int, renderer: LineRenderer | None = None
    ) -> None:
        self.lines = lines
        self.renderer = renderer
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
        pools: dict[str, list[Strip]] = {kind: [] for kind in options.drawn}
        views = 2 if options.consistency else 1
        columns = options.columns // views
        while True:
            candidates = []
            for index in rng.choice(len(self.probability), 384, p=self.probability):
                strip = self.choose(int(index), pools, rng)
                zoom, stretch = SCALING.factors(len(strip.text) / strip.pixels.shape[1])
                widest = round(options.width * zoom * stretch)
                warped = warp_strip(np.asarray(strip.pixels), options.height, widest, MARGIN, rng, zoom, stretch)
                if rng.random() < options.crossed:
                    warped = cross(warped, rng)
                # CTC needs a frame for each character and a blank between doubled ones.
                if warped.shape[1] // 4 > 1.15 * len(strip.text):
                    seen = [blur(warped, rng) if rng.random() < options.blurred else warped for _ in range(views)]
                    candidates.append(([degrade(view, rng) for view in seen], strip.text))
            candidates.sort(key=lambda item: item[0][0].shape[1])
            batches: list[list[tuple[list[NDArray[np.uint8]], str]]] = [[]]
            for item in candidates:
                if (len(batches[-1]) + 1) * item[0][0].shape[1] > columns:
                    batches.append([])
                batches[-1].append(item)
            for at in rng.permutation(len(batches)):
                batch = batches[at]
                width = -(-max(pixels[0].shape[1] for pixels, _ in batch) // 32) * 32
                if rng.random() < options.full_width:
                    width = max(width, options.width)
                    batch = batch[: max(1, columns // width)]
                classes = [self.classes[character] for _, text in batch for character in text] * views
                lengths = [len(text) for _, text in batch] * views
                strips = [pixels[view] for view in range(views) for pixels, _ in batch]
                yield stack(strips, width), torch.tensor(classes), torch.tensor(lengths)

    def choose(self, index: int, pools: dict[str, list[Strip]], rng: np.random.Generator) -> Strip:
        """Return a rendered line, new or from the pool, or the annotated one at `index`, possibly spliced."""
        options = self.options
        remaining = float(rng.random())
        for kind, share in options.drawn.items():
            remaining -= share
            if remaining < 0 and self.renderer:
                drawn = pools[kind]
                if len(drawn) < 24 or rng.random() < NEW_DRAWN_SHARE:
                    strip = self.renderer.draw(kind, rng)
                    if not set(strip.text) <= self.classes.keys():
                        break
                    if len(drawn) < DRAWN_POOL:
                        drawn.append(strip)
                    else:
                        drawn[int(rng.integers(DRAWN_POOL))] = strip
                    return strip
                return drawn[int(rng.integers(len(drawn)))]
        strip = self.lines.strips[index]
        if rng.random() < options.spliced.get(strip.source, 0.0):
            strip = self.lines.splice(index, rng)
        elif self.renderer and rng.random() < options.circled:
            strip = self.lines.insert(index, self.renderer.circled(rng), rng)
        return strip


class Recognition:
    """The training task of the recogniser, for `training.fit`."""

    def __init__(self, folders: list[Path], cache: Path, options: dict[str, Any], network: dict[str, Any]) -> None:
        self.options = RecognitionOptions(**options)
        self.charset = load_charset()
        kind = RECOGNISERS[network.pop("name")]
        self.network: nn.Module = kind(classes=len(self.charset) + 1, height=self.options.height, **network)
        charset = set(self.charset)
        geometry = Geometry(self.options.height, self.options.width, widths=1.0)
        sources = Sources.sort(folders)
        folders = sources.pages
        drawn = self.options.drawn
        self.renderer = sources.renderer("train", enlarged(geometry), drawn, cache) if drawn else None
        train = [s for folder in folders for s in load_strips(folder, "train", enlarged(geometry), cache)]
        validation = [s for folder in folders for s in load_strips(folder, "val", geometry, cache)]
        refuse_shared_writers(
            {(s.source, s.writer) for s in train},
            {(s.source, s.writer) for s in validation},
            self.options.same_writer,
        )
        self.train = [s for s in train if set(s.text) <= charset and not s.struck]
        self.lines = Splicer(self.train, [[] for _ in self.train])
        if self.options.spliced:
            shipped = Recognizer(Model(FOLDER / "recognizer.onnx", threads=1))
            self.lines = make_splicer(self.train, self.options.spliced, shipped, cache)
        self.sources = sorted(
            {s.source for s in self.train} | {"unipen_en"} if sources.pen else {s.source for s in self.train}
        )
        seen = SeenText(s.text for s in train).contains([s.text for s in validation])
        pages = [page for folder in folders for page in load_pages(folder, "val")]
        self.pages = choose_pages(pages, self.options.validation_pages)
        self.validation = [
            scale_to_density(s, geometry.baseline)
            for s, is_seen in zip(validation, seen, strict=True)
            if not s.struck and (s.source in self.options.same_text or not is_seen)
        ]
        self.drawn: list[Strip] = []
        if self.options.drawn:
            renderer, rng = sources.renderer("val", geometry, drawn, cache), np.random.default_rng(1)
            self.drawn = [
                scale_to_density(renderer.draw(kind, rng), geometry.baseline)
                for kind in self.options.drawn
                for _ in range(DRAWN_VALIDATION)
            ]

    def batches(self, seed: int, workers: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Endless training batches."""
        lines = AugmentedLines(self.lines, self.options, self.charset, seed, self.renderer)
        return iter(DataLoader(lines, batch_size=None, num_workers=workers, worker_init_fn=ignore_stop_signals))

    def adapt_checkpoint(self, state: dict[str, Any]) -> None:
        """Extend the weights of a checkpoint with a smaller charset to this network's classes, in place."""
        for name in ("average", "network"):
            weights = state.get(name)
            if weights is None or "head.bias" not in weights or "shortcut.bias" not in weights:
                continue
            charset = state.get("charset") or self.charset[: len(weights["shortcut.bias"]) - 1]
            if charset != self.charset:
                state[name] = extend_charset(weights, charset, self.charset)
                state.pop("optimizers", None)

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor, Tensor], device: torch.device) -> Tensor:
        """The network's own loss of one batch, on `device`."""
        strips, classes, lengths = batch
        strips = strips.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        return network.loss(strips, classes, lengths, self.options.consistency)  # type: ignore[operator, no-any-return]

    def draw(self, batch: tuple[Tensor, Tensor, Tensor]) -> NDArray[np.uint8]:
        """Picture of a batch, uint8 (H, W, 3): each strip with its text below."""
        strips, classes, lengths = batch
        texts = [
            "".join(self.charset[kind - 1] for kind in text.tolist()) for text in torch.split(classes, lengths.tolist())
        ]
        height, width = strips.shape[2:]
        picture = np.full((len(texts), round(1.6 * height), width, 3), 255, np.uint8)
        picture[:, :height] = (255 * (1 - strips[:, 0].clamp(0, 1))).byte().numpy()[..., None]
        font = cv2.FontFace("sans")
        for row, text in zip(picture, texts, strict=True):
            cv2.putText(row, text, (2, round(1.45 * height)), (40, 120, 20), font, round(0.35 * height), 400)
        return picture.reshape(-1, width, 3)

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the character error of lines by source, of all as "score", and of pages, at the exported width."""
        rng = np.random.default_rng(0)
        count = min(self.options.validation_lines, len(self.validation))
        chosen = [self.validation[index] for index in sorted(rng.choice(len(self.validation), count, replace=False))]
        chosen += [strip for strip in self.drawn if set(strip.text) <= set(self.charset)]
        rates: dict[str, ErrorRate] = {}
        overall = ErrorRate()
        for start in range(0, len(chosen), 16):
            part = chosen[start : start + 16]
            width = max(self.options.width, -(-max(s.pixels.shape[1] for s in part) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE)
            batch = stack([np.asarray(s.pixels) for s in part], width).to(device)
            with torch.inference_mode():
                readings = network.read(batch)  # type: ignore[operator]
            for strip, classes in zip(part, readings, strict=True):
                reading = "".join(self.charset[kind - 1] for kind in classes)
                rates.setdefault(strip.source, ErrorRate()).add(strip.text, reading)
                if not strip.source.startswith(("drawn", "pen")):
                    overall.add(strip.text, reading)
        lines = {f"cer {name}": rates[name].characters for name in sorted(rates)}
        figures = {"score": overall.characters} | lines
        if isinstance(network, Seq2Seq):
            # The product decodes with CTC.
            return figures
        return figures | page_character_errors(self.pages, network, describe(self.options), device)
