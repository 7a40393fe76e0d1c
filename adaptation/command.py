"""The command ``paragraph-ocr-train adapt``: fit the models to the pages of one hand, register or archive.

A fifth of the pages is kept out of fitting and measured before and after. The result is a model set, which
``paragraph-ocr --models`` reads with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from adaptation.detector import adapt_detector
from adaptation.fitting import Adaptation, Settings
from adaptation.hands import name_hands
from adaptation.material import (
    ANNOTATED,
    Material,
    cut_lines,
    fold_characters,
    foreign_characters,
    split_pages,
)
from adaptation.text import adapt_language
from export.__main__ import CALIBRATION_BATCHES, MAX_DISAGREEMENT, build, convert, make_card, real_inputs, write_model
from export.conversion import ExportError
from paragraph_ocr.model_set import FOLDER, MANIFEST, ModelError, write_manifest
from paragraph_ocr.models import Model
from paragraph_ocr.pipeline.reader import CHOICE_LINES, PageReader
from paragraph_ocr.pipeline.recognition import Recognizer
from paragraph_ocr.pipeline.rectification import cut, frame
from training.data.pages import DatasetError, TruePage, load_pages
from training.data.splices import Splicer, find_cuts
from training.data.strips import Strip
from training.evaluation.matching import match_lines
from training.evaluation.metrics import ErrorRate
from training.evaluation.product import Figures, Misreading, draw_worst, score_page
from training.networks.crnn import CRNN
from training.tasks.recognition import RecognitionOptions, extend_charset

CHECKPOINTS = Path(__file__).parents[1] / "training" / "checkpoints"
# Folder in the model set for what an interrupted adaptation goes on from; it is deleted in the end.
WORK = ".adaptation"
# Picture of the lines with most errors, in a folder of its own, since models are copied into an image without it.
WORST = Path("report") / "worst.png"
WORST_LINES = 40
# Share of the lines that has to be detected; with less, the detector is adapted, too, in this share of the time.
ENOUGH_RECALL, DETECTOR_SHARE = 0.93, 0.3
# Time for choosing the weights and the export.
EXPORT_SECONDS = 150.0
# Share of the median gain in certainty on the hand from which a page is read with the adapted recogniser.
MIN_GAIN_SHARE = 0.4
# Inputs on which ONNX is compared with torch.
COMPARED = 8
# Ratio of a page's error to that of all from which it is named.
ODD = 2.5
# Increase of a hand's error from which it is named.
WORSE = 0.003
# Share of a hand's errors with the general recogniser that the adapted one must be rid of, for the hand to count in the
# choice between the two.
MIN_IMPROVEMENT = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    parser.description = __doc__
    parser.add_argument("pages", type=Path, metavar="PAGES", help="folder of annotated pages, as import writes it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the adapted model set")
    parser.add_argument("--minutes", type=float, default=40.0, help="time limit of the whole command (%(default)s)")
    parser.add_argument("--steps", type=int, help="steps of the recogniser; by default more for more lines and errors")
    parser.add_argument(
        "--extend-charset", action="store_true", help="add the characters of the pages that the recogniser lacks"
    )
    parser.add_argument(
        "--detector",
        choices=("auto", "always", "never"),
        default="auto",
        help=f"adapt the line detector: auto if it finds fewer than {100 * ENOUGH_RECALL:.0f} %% of the lines "
        "(%(default)s)",
    )
    parser.add_argument("--threads", type=int, default=_processors(), help="threads that compute (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status of the process."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    # Denormal numbers take a processor many times as long. It holds for all that the process computes.
    torch.set_flush_denormal(True)
    try:
        adapt(arguments)
    except (DatasetError, ModelError, ExportError) as error:
        print(f"paragraph-ocr-train adapt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: the same command goes on from here.", file=sys.stderr)
        return 130
    finally:
        torch.set_flush_denormal(False)
        signal.signal(signal.SIGTERM, before)
    return 0


def adapt(arguments: argparse.Namespace) -> dict[str, Any]:
    """Adapt the models of the package to annotated pages, and write a model set.

    Returns
    -------
    dict
        The entry ``adaptation`` of the recogniser's card.

    Raises
    ------
    DatasetError
        The pages cannot be read, are too few, or the folder for the models cannot be used.
    ModelError, ExportError
        The models of the package cannot be loaded, or those that were fitted cannot be exported.
    """
    began = time.monotonic()
    deadline = began + 60 * arguments.minutes
    cv2.setNumThreads(1)
    torch.set_num_threads(max(1, arguments.threads))
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out: Path = arguments.out
    if arguments.pages.is_dir() and not (arguments.pages / "pages.jsonl").exists():
        raise DatasetError(
            f"{arguments.pages / 'pages.jsonl'} cannot be read: there is none; import the folder first, with "
            f"paragraph-ocr-train import {arguments.pages} --out PAGES, and adapt to PAGES"
        )
    pages = [fold_characters(page) for page in load_pages(arguments.pages)]
    split_pages(pages)
    state = torch.load(CHECKPOINTS / "recognizer.pt", map_location="cpu", weights_only=True)
    charset = _choose_charset(pages, state["charset"], arguments.extend_charset)
    work = _open_work(out, pages, f"{charset} {arguments.steps} {arguments.detector}")
    reader = PageReader.load(threads=arguments.threads)
    network, description = build(state["experiment"], charset)
    weights = {name: value.float() for name, value in state["average"].items()}
    if charset != state["charset"]:
        weights = extend_charset(weights, state["charset"], charset)
    network.load_state_dict(weights)
    assert isinstance(network, CRNN)
    pages = _name_hands(pages, network, reader)
    train, held_out = split_pages(pages)
    names = ", ".join(page.page_id for page in held_out[:5]) + (", ..." if len(held_out) > 5 else "")
    print(f"{len(train)} pages to fit, {len(held_out)} held out to measure on: {names}", flush=True)
    material = cut_lines(train, held_out, reader, charset)
    lines = sum(strip.source == ANNOTATED for strip in material.strips)
    print(
        f"{lines} lines to fit, {len(material.validation)} held out; {material.recall:.0%} of all are detected",
        flush=True,
    )
    before, measuring = _measure(held_out, reader, "before")
    reserve = EXPORT_SECONDS + measuring

    seconds = DETECTOR_SHARE * (deadline - time.monotonic() - reserve)
    found = _adapt_detector(train, held_out, material, charset, work, arguments, seconds, device)
    material, detector = found or (material, None)

    options = RecognitionOptions(**state["experiment"]["data"])
    splicer = Splicer(material.strips, find_cuts(material.strips, reader.recognizer, greedy=True))
    minutes = max(0.5, (deadline - time.monotonic() - reserve) / 60)
    settings = replace(Settings.suited(lines, _total(before)), minutes=minutes)
    if arguments.steps:
        settings = replace(settings, steps=arguments.steps)
    fitting = Adaptation(network, material, charset, options, settings, splicer, device)
    mixed, shares = fitting.choose(fitting.fit(work / "recognizer.pt"))
    network.load_state_dict(mixed)
    network.to("cpu").eval()
    print(f"{fitting.progress.step} steps; {shares[-1]['share']:.0%} of the adapted weights are kept", flush=True)

    staging = work / "models"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(FOLDER, staging, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    for suffix in (".onnx", ".json"):
        shutil.copyfile(staging / f"recognizer{suffix}", staging / f"general{suffix}")
    name = out.resolve().name
    language = adapt_language(FOLDER / "language.npz", staging / "language.npz", train, held_out, charset, name)
    print(f"share of the pages' own text in the language model: {language['share']:.0%}")
    entry: dict[str, Any] = {
        "name": name,
        "pages": len(train),
        "lines": lines,
        "held_out": [page.page_id for page in held_out],
        "steps": fitting.progress.step,
        "share": shares[-1]["share"],
        "language": language,
        "settings": asdict(settings),
        "history": fitting.progress.history,
        "shares": shares[:-1],
    }
    _export(network, description, state, entry, (held_out, train), staging, "recognizer")
    for suffix in (".onnx", ".json") if detector else ():
        shutil.copyfile(f"{detector}{suffix}", staging / f"detector{suffix}")
    entry["min_gain"] = _set_min_gain(staging, material.validation)
    misread: list[Misreading] = []
    after, _ = _measure(held_out, PageReader.load(staging, threads=arguments.threads), "after", misread)
    entry["scores"] = {"before": _summary(before), "after": _summary(after)}
    writers = {page.page_id: page.writer for page in held_out}
    entry["hands"] = _of_hands(before, after, writers)
    _write_entry(staging / "recognizer.json", entry)
    _replace(out, staging)
    if misread:
        (out / WORST).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(out / WORST), draw_worst(misread, WORST_LINES))
    shutil.rmtree(work, ignore_errors=True)
    _report(before, after, entry["hands"], out, (time.monotonic() - began) / 60)
    return entry


def _adapt_detector(
    train: Sequence[TruePage],
    held_out: Sequence[TruePage],
    material: Material,
    charset: str,
    work: Path,
    arguments: argparse.Namespace,
    seconds: float,
    device: torch.device,
) -> tuple[Material, Path] | None:
    """Adapt the detector if it is asked for or misses lines; None if it stays as it is.

    Returns
    -------
    Material, Path
        The lines where the adapted detector finds them, and its path without suffix. It is kept in `work` when the
        adaptation is interrupted.
    """
    models = work / "detector"
    if not models.exists():
        if arguments.detector == "never" or (arguments.detector == "auto" and material.recall >= ENOUGH_RECALL):
            return None
        if seconds <= 0:
            print("The detector stays as it is: there is no time for it; --minutes gives more.")
            return None
        adapted = adapt_detector(CHECKPOINTS / "detector.pt", train, held_out, seconds, device)
        if adapted is None:
            print("The detector stays as it is: no page is annotated as a whole.")
        elif adapted.share:
            staging = work / "detector.partial"
            shutil.rmtree(staging, ignore_errors=True)
            shutil.copytree(FOLDER, staging, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
            entry = {"name": arguments.out.resolve().name, "pages": len(train), "steps": adapted.steps}
            entry |= {"share": adapted.share, "f1": {"before": adapted.before, "after": adapted.after}}
            parts = held_out, train
            _export(adapted.network, adapted.description, adapted.state, entry, parts, staging, "detector")
            write_manifest(staging)
            os.replace(staging, models)
        if not models.exists():
            # So that it is not tried again after an interruption.
            models.mkdir()
    if not (models / MANIFEST).exists():
        return None
    again = cut_lines(train, held_out, PageReader.load(models, threads=arguments.threads), charset)
    print(f"lines detected on held-out pages, F1: {material.found:.1%} before, {again.found:.1%} after", flush=True)
    if again.found <= material.found:
        print("The detector stays as it is: it finds no more lines after it was adapted.")
        return None
    return again, models / "detector"


def _processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _choose_charset(pages: Sequence[TruePage], charset: str, extend: bool) -> str:
    """Return the charset to fit, and name the characters of the pages that the recogniser lacks."""
    foreign = foreign_characters(pages, charset)
    if not foreign:
        return charset
    listed = "\n".join(
        f"  {character}  U+{ord(character):04X} {unicodedata.name(character, 'without a name')}, in {count} lines"
        for character, count in foreign.most_common()
    )
    if extend:
        print(f"These characters are added to the recogniser:\n{listed}")
        return charset + "".join(sorted(foreign))
    print(
        f"The recogniser lacks these characters, and lines with them are left out:\n{listed}\n"
        "--extend-charset adds them."
    )
    return charset


def _name_hands(pages: list[TruePage], network: CRNN, reader: PageReader) -> list[TruePage]:
    """Name the hands or languages of the pages as their writers, and say so if there are several."""
    network.eval()
    geometry = replace(reader.recognizer.geometry, widths=1.0)
    languages = reader.recognizer.languages
    assert languages is not None
    named = name_hands(pages, network, geometry, languages)
    if len({page.writer for page in pages}) == 1 and len({page.writer for page in named}) > 1:
        print("The pages are not all alike, and are held out and measured apart:")
        for writer in sorted({page.writer for page in named}):
            own = [page.page_id for page in named if page.writer == writer]
            print(f"  {writer}: {len(own)} pages, such as {', '.join(own[:3])}")
        print("If one of these is to be read best, import its pages from a folder of their own.", flush=True)
    return named


def _open_work(out: Path, pages: Sequence[TruePage], settings: str) -> Path:
    """Return the folder of an unfinished adaptation to the same pages, or an empty one.

    Raises
    ------
    DatasetError
        The folder for the models is that of the package, or holds something else.
    """
    if out.resolve() == FOLDER.resolve():
        raise DatasetError("--out is the folder of the package's own models: choose another one")
    if not re.fullmatch(r"[\w.-]{1,40}", out.resolve().name):
        raise DatasetError(
            f"--out {out} needs a name of letters, digits, dots, hyphens and underscores: it names the models"
        )
    work = out / WORK
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (work.exists() or (out / MANIFEST).exists()) and any(out.iterdir()):
            raise DatasetError(f"--out {out} holds other files: choose an empty or new folder")
        digest = hashlib.sha256(settings.encode())
        for page in pages:
            digest.update(f"{page.page_id} {page.path.stat().st_size} {[line.text for line in page.lines]}".encode())
        mark = work / "pages.sha256"
        if not mark.exists() or mark.read_text(encoding="ascii") != digest.hexdigest():
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            mark.write_text(digest.hexdigest(), encoding="ascii")
        elif (work / "recognizer.pt").exists():
            print("Going on with the adaptation that was interrupted.")
    except OSError as error:
        raise DatasetError(f"{error.filename}: {error.strerror}") from error
    return work


def _measure(
    pages: Sequence[TruePage], reader: PageReader, name: str, misread: list[Misreading] | None = None
) -> tuple[dict[str, Figures], float]:
    """Read pages with the whole product; returns the figures of each page, and the seconds that it took."""
    began = time.monotonic()
    figures: dict[str, Figures] = {}
    for page in tqdm(pages, desc=f"error {name}", unit="page"):
        reading = reader.read_image(page.pixels(), page.page_id)
        score_page(page, reading, figures.setdefault(page.page_id, Figures()))
        if misread is None:
            continue
        pixels = page.normalised()
        found = [line.polygon for line in reading.lines]
        pairs = dict(
            match_lines(
                [line.polygon for line in page.lines], [np.array(polygon, np.float32) for polygon in found], []
            ).pairs
        )
        for index, line in enumerate(page.lines):
            if not line.text or line.struck:
                continue
            text = reading.lines[pairs[index]].text if index in pairs else ""
            if errors := ErrorRate().add(line.text, text):
                strip = cut(pixels, frame(line.baseline, line.ascender, line.descender, reader.recognizer.geometry))
                misread.append(Misreading(errors, strip, line.text, text or "(not found)"))
    return figures, time.monotonic() - began


def _total(figures: dict[str, Figures], words: bool = False) -> float:
    """Return the character or word error over all pages."""
    rates = [page.lines for page in figures.values()]
    if words:
        return sum(rate.word_edits for rate in rates) / max(1, sum(rate.words for rate in rates))
    return sum(rate.edits for rate in rates) / max(1, sum(rate.length for rate in rates))


def _summary(figures: dict[str, Figures]) -> dict[str, float]:
    found = sum(page.matched for page in figures.values()) / max(1, sum(page.true for page in figures.values()))
    return {"cer": round(_total(figures), 4), "wer": round(_total(figures, words=True), 4), "recall": round(found, 4)}


def _export(
    network: nn.Module,
    description: dict[str, Any],
    state: dict[str, Any],
    entry: dict[str, Any],
    pages: tuple[Sequence[TruePage], Sequence[TruePage]],
    models: Path,
    name: str,
) -> None:
    """Convert a network to ONNX and write it, with its card, into a model set that has one of the same name."""
    held_out, train = (list(part) for part in pages)
    card = json.loads((models / f"{name}.json").read_text(encoding="utf-8"))
    # At the sides that the shipped model has, which may be others than those of its fitting.
    description["input"] = card["input"]
    content, checks = convert(
        network,
        description,
        real_inputs(held_out, description, COMPARED),
        real_inputs(train, description, CALIBRATION_BATCHES[name]),
    )
    if checks["quantised_disagreement"] > MAX_DISAGREEMENT:
        print(f"In eight bits the {name} decides {checks['quantised_disagreement']:.1%} of the places otherwise.")
    made = make_card(network, description, state | {"history": []}, f"{card['version']}+{entry['name']}", checks)
    # The calibration of confidences and the rarity of letters are taken over; the scores were the original model's.
    write_model(
        content,
        made | {key: card[key] for key in ("calibration", "rarity") if key in card} | {"adaptation": entry},
        name,
        models,
    )


def _least_gain(gains: Mapping[str, Sequence[float]], errors: Mapping[str, tuple[float, float]]) -> float:
    """Return the gain in certainty from which a page is read with the adapted recogniser.

    Of several hands, one that does not become better may be read with the general recogniser; the others must not.

    Parameters
    ----------
    gains : mapping of str to sequence of float
        Of some groups of lines, for each hand.
    errors : mapping of str to (float, float)
        Character errors of each hand with the adapted and the general recogniser.
    """
    better = [hand for hand, (new, old) in errors.items() if new <= (1 - MIN_IMPROVEMENT) * old]
    return max(0.0, MIN_GAIN_SHARE * min(float(np.median(gains[hand])) for hand in better or gains))


def _set_min_gain(models: Path, strips: Sequence[Strip]) -> float:
    """Set the gain in certainty from which a page is read with the adapted recogniser, by held-out lines."""
    adapted, general = (Recognizer(Model(models / f"{name}.onnx", threads=1)) for name in ("recognizer", "general"))
    gains: dict[str, list[float]] = {}
    errors: dict[str, tuple[ErrorRate, ErrorRate]] = {}
    for writer in dict.fromkeys(strip.writer for strip in strips):
        own = [strip for strip in strips if strip.writer == writer]
        errors[writer] = ErrorRate(), ErrorRate()
        for at in range(0, len(own), CHOICE_LINES):
            group = own[at : at + CHOICE_LINES]
            pixels = [np.asarray(strip.pixels) for strip in group]
            gains.setdefault(writer, []).append(adapted.certainty(pixels) - general.certainty(pixels))
            for recognizer, rate in zip((adapted, general), errors[writer], strict=True):
                for strip, output in zip(group, recognizer.log_probabilities(pixels), strict=True):
                    rate.add(strip.text, "".join(each.text for each in recognizer.best_path(output)))
    least = _least_gain(gains, {writer: (new.characters, old.characters) for writer, (new, old) in errors.items()})
    path = models / "recognizer.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["preprocessing"]["min_gain"] = least
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_manifest(models)
    return least


def _write_entry(path: Path, entry: dict[str, Any]) -> None:
    card = json.loads(path.read_text(encoding="utf-8")) | {"adaptation": entry}
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _replace(out: Path, staging: Path) -> None:
    """Move a finished model set to its folder; its manifest, which makes it usable, comes last."""
    write_manifest(staging)
    (out / MANIFEST).unlink(missing_ok=True)
    for path in sorted(staging.iterdir(), key=lambda path: path.name == MANIFEST):
        os.replace(path, out / path.name)


def _of_hands(
    before: dict[str, Figures], after: dict[str, Figures], writers: dict[str, str]
) -> dict[str, dict[str, float]]:
    """The errors before and after on the held-out pages of each hand."""
    hands: dict[str, list[str]] = {}
    for page, writer in writers.items():
        hands.setdefault(writer, []).append(page)
    return {
        hand: {
            name: round(_total({page: figures[page] for page in own}), 4)
            for name, figures in (("before", before), ("after", after))
        }
        for hand, own in sorted(hands.items())
    }


def _report(
    before: dict[str, Figures],
    after: dict[str, Figures],
    hands: dict[str, dict[str, float]],
    out: Path,
    minutes: float,
) -> None:
    """Print the errors before and after, of each page, of each hand if there are several, and of all."""
    rows = [(page, before[page].lines.characters, after[page].lines.characters) for page in before]
    several = (
        [(f"all of {hand}", row["before"], row["after"]) for hand, row in hands.items()]
        if 1 < len(hands) < len(rows)
        else []
    )
    total = ("all", _total(before), _total(after))
    width = max(len(name) for name, _, _ in rows + several)
    print(f"\n{'page held out':{max(width, 13)}}  characters wrong: before   after")
    for name, old, new in [*rows, *several, total]:
        print(f"{name:{max(width, 13)}}  {old:24.1%}  {new:6.1%}")
    odd = [page for page, _, new in rows if new > 0.1 and new > ODD * total[2]]
    if odd:
        print(f"Much worse than the others: {', '.join(odd)}; another hand, perhaps, or lines in another order?")
    worse = [hand for hand, row in hands.items() if row["after"] > row["before"] + WORSE]
    if worse:
        print(f"Read worse than before: {', '.join(worse)}; read these pages with the models of the package.")
    print(f"\nThe worst lines: {out / WORST}\nRead with it:    paragraph-ocr --models {out} FILE ...")
    print(f"{minutes:.0f} minutes")
