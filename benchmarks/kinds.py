"""Measure how many words of each kind of page this reader and its peers read, on made-up pages.

    python -m benchmarks.kinds --assets build/assets --texts TEXTS --peers build/peers/bin/python

The pages are of `training.synthesis.kinds`, in typefaces and hands that the models were not trained on. They are in
the languages that ``--texts`` has prose of; Tesseract reads with those in TESSERACT_LANGUAGES. Pages and readings are
kept in ``--out``: a run that was interrupted goes on where it ended, and ``--again`` reads the pages anew with the
readers that it names.

words: share of the true words that were read, wherever on the page they stand; words are parted by spaces, each counts
    as often as it occurs, and curly quotation marks are taken for straight ones
line recall, line F1: of this reader, as `training.evaluation` counts them
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.readers import OURS, Worker
from benchmarks.report import publish, table
from benchmarks.summary import ACCURACY, PEERS
from paragraph_ocr.pipeline.reader import PageReader
from training.data.pages import TruePage, load_pages
from training.evaluation.document_conditions import Count, count_page, words_of
from training.synthesis.corpus import Corpus, straight
from training.synthesis.fonts import load_faces
from training.synthesis.kinds import KINDS, make_page

SPLIT = "val"
BAR = 0.98
Reading = dict[str, Any]


def write_pages(folder: Path, assets: Path, texts: Path | None, seed: int, kinds: list[str], count: int) -> None:
    """Write the pages that a folder lacks, the first of each kind before the second of any."""
    index = folder / "pages.jsonl"
    (folder / "pages").mkdir(parents=True, exist_ok=True)
    known = {page.page_id for page in load_pages(folder)} if index.exists() else set()
    wanted = [(number, kind) for number in range(count) for kind in kinds]
    missing = [(number, kind) for number, kind in wanted if f"{kind}_{SPLIT}_{seed}_{number:04d}" not in known]
    if not missing:
        return
    faces, corpus = load_faces(assets, SPLIT), Corpus.load(assets, SPLIT, None, texts)
    with index.open("a", encoding="utf-8") as file:
        for number, kind in tqdm(missing, desc="pages", unit="page"):
            content, record = make_page(seed, number, faces, corpus, SPLIT, kind)
            (folder / record["image"]).write_bytes(content)
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()


def read_words(page: TruePage, text: str) -> tuple[int, int, int]:
    """The words of a page, how many of them are in a text, and how many more words the text has than the page."""
    true = words_of(straight(line.text) for line in page.lines)
    read = words_of([straight(text)])
    return true.total(), (true & read).total(), max(0, read.total() - true.total())


def own(reader: PageReader) -> Callable[[TruePage], Reading]:
    """This reader, which also says how many lines it found."""

    def read(page: TruePage) -> Reading:
        reading = reader.read(page.path.read_bytes(), page.path.name).pages[0]
        count = Count()
        count_page(page, reading, count)
        return {"text": "\n".join(line.text for line in reading.lines), "lines": asdict(count)}

    return read


def peer(worker: Worker) -> Callable[[TruePage], Reading]:
    """A peer in its own process."""
    return lambda page: {"text": worker.read(page.path.resolve())["text"]}


def read_pages(
    pages: list[TruePage], readers: dict[str, Callable[[TruePage], Reading]], path: Path, again: Iterable[str] = ()
) -> dict[tuple[str, str], Reading]:
    """What each reader makes of each page, by reader and page.

    Parameters
    ----------
    path : Path
        Keeps the readings; what it holds of them is not read anew.
    again : iterable of str
        Readers whose readings of these pages are forgotten.

    Raises
    ------
    json.JSONDecodeError
        A line of `path` is no reading.
    """
    found: dict[tuple[str, str], Reading] = {}
    wanted = {page.page_id for page in pages}
    for row in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        reading = json.loads(row)
        if reading["reader"] not in again or reading["page"] not in wanted:
            found[reading["reader"], reading["page"]] = reading
    rows = [json.dumps(reading, ensure_ascii=False) + "\n" for reading in found.values()]
    path.write_text("".join(rows), encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        for page in tqdm(pages, desc="readings", unit="page"):
            for name, read in readers.items():
                if (name, page.page_id) not in found:
                    reading = {"reader": name, "page": page.page_id, **read(page)}
                    file.write(json.dumps(reading, ensure_ascii=False) + "\n")
                    file.flush()
                    found[name, page.page_id] = reading
    return found


def score(pages: list[TruePage], readings: dict[tuple[str, str], Reading], names: Iterable[str]) -> dict[str, Any]:
    """The figures of each kind: pages, words, the shares of words read by each reader, line recall and F1."""
    figures: dict[str, Any] = {}
    names = list(names)
    for kind in dict.fromkeys(page.source for page in pages):
        some = [page for page in pages if page.source == kind]
        row: dict[str, Any] = {"pages": len(some), "read": {}, "more": {}}
        for name in names:
            counts = np.sum([read_words(page, readings[name, page.page_id]["text"]) for page in some], axis=0)
            row["words"] = int(counts[0])
            row["read"][name] = float(counts[1] / counts[0])
            row["more"][name] = float(counts[2] / counts[0])
        lines = [readings[OURS, page.page_id]["lines"] for page in some]
        total = {key: sum(each[key] for each in lines) for key in ("lines", "found", "seen", "extra")}
        recall, precision = total["found"] / total["lines"], 1 - total["extra"] / max(total["seen"], 1)
        row |= {"recall": recall, "f1": 2 * recall * precision / max(recall + precision, 1e-9)}
        figures[kind] = row
    return figures


def markdown(figures: dict[str, Any], names: Iterable[str]) -> str:
    """The figures as a table in percent, in the order of the kinds, with their mean."""
    names = list(names)
    rows = [
        (
            KINDS[kind].title, row["pages"], row["words"], *(f"{100 * row['read'][name]:.1f}" for name in names),
            f"{100 * row['recall']:.1f}", f"{100 * row['f1']:.1f}",
        )
        for kind, row in sorted(figures.items(), key=lambda each: list(KINDS).index(each[0]))
    ]  # fmt: skip
    means = [statistics.fmean(row["read"][name] for row in figures.values()) for name in names]
    means += [statistics.fmean(row[key] for row in figures.values()) for key in ("recall", "f1")]
    count, words = (sum(row[key] for row in figures.values()) for key in ("pages", "words"))
    rows.append(("mean of the kinds", count, words, *(f"{100 * mean:.1f}" for mean in means)))
    heads = {OURS: "words read", "rapidocr": "by RapidOCR", "tesseract": "by Tesseract"}
    return table(("kind", "pages", "words", *(heads[name] for name in names), "line recall", "line F1"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kinds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assets", type=Path, default=Path("build/assets"), help="from training.synthesis.fonts")
    parser.add_argument("--texts", type=Path, help="folder of prose, such as de.txt, a paragraph a line")
    parser.add_argument("--peers", default=sys.executable, help="the Python that has RapidOCR (make build/peers)")
    parser.add_argument("--out", type=Path, default=Path("build/kinds"), help="keeps the pages and the readings")
    parser.add_argument("--pages", type=int, default=200, help="of each kind")
    parser.add_argument("--kind", nargs="*", choices=list(KINDS), default=list(KINDS), help="only these")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--again", nargs="*", choices=(OURS, *PEERS), default=(), help="forget what these read of the pages"
    )
    arguments = parser.parse_args()
    if arguments.pages < 1:
        parser.error("--pages must be at least 1")
    write_pages(arguments.out, arguments.assets, arguments.texts, arguments.seed, arguments.kind, arguments.pages)
    wanted = {
        f"{kind}_{SPLIT}_{arguments.seed}_{number:04d}" for kind in arguments.kind for number in range(arguments.pages)
    }
    pages = [page for page in load_pages(arguments.out) if page.page_id in wanted]
    with ExitStack() as stack:
        pythons = {"rapidocr": arguments.peers, "tesseract": sys.executable}
        workers = {name: stack.enter_context(Worker(name, python)) for name, python in pythons.items()}
        readers = {OURS: own(PageReader.load(threads=1))} | {name: peer(worker) for name, worker in workers.items()}
        readings = read_pages(pages, readers, arguments.out / "readings.jsonl", arguments.again)
        versions = "; ".join(worker.version for worker in workers.values())
    figures = score(pages, readings, readers)
    below = [
        KINDS[kind].title
        for kind, row in figures.items()
        if row["read"][OURS] < max(BAR, *(row["read"][name] for name in PEERS))
    ]
    text = f"{markdown(figures, readers)}\n\n{versions}. {arguments.pages} pages of each kind, seed {arguments.seed}."
    if arguments.kind != list(KINDS):
        print(text)
        return
    publish("kinds", {"versions": versions, "figures": figures, "below": below}, text, page=ACCURACY)


if __name__ == "__main__":
    main()
