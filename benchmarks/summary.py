"""Write the tables of README.md and docs/accuracy.md from the figures of the benchmarks and of the models' cards.

python -m benchmarks.summary
"""

from __future__ import annotations

import json
import statistics
from typing import Any

from benchmarks.report import FOLDER, ROOT, replace_section, table
from paragraph_ocr.models import FOLDER as MODELS

README = ROOT / "README.md"
ACCURACY = ROOT / "docs" / "accuracy.md"
OURS, PEERS = "paragraph-ocr", ("rapidocr", "tesseract")
PAGES = {
    "copiste_fr": "Copiste: letters of volunteers, 2024",
    "poilus_fr": "Poilus: wills of 1914-1918",
    "mss19_fr": "MSS-19: letters and drafts, 19th century",
    "peraire_fr": "Peraire: one notebook hand ¹",
    "timeus_fr": "Time Us: court register, 1878 ¹ ²",
    "notaires_fr": "Notaires: notaries' registers",
    "tapus_fr": "Tapus: typewritten ²",
    "csafe_en": "CSAFE: one letter, United States, today ³",
    "dhsd_de": "DHSD: German words and names, today ⁴",
    "handwritten": "all handwriting",
    "all": "all",
}
SOURCES = {
    "copiste_fr": "Copiste",
    "poilus_fr": "Poilus ³",
    "mss19_fr": "MSS-19",
    "peraire_fr": "Peraire",
    "notaires_fr": "Notaires",
    "csafe_en": "CSAFE",
    "all": "all",
}


def figures(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def summary() -> str:
    """The table, and what it was measured on."""
    page, cold, memory = figures("readers-25"), figures("cold"), figures("memory")
    cost, image = figures("cost"), figures("image")
    read = {name: found["all"] for name, found in page["figures"].items()}
    readers = (OURS, *PEERS)
    rows = [
        ("a page of 25 handwritten lines, ms", *(f"{read[name]['ms']:.0f}" for name in readers)),
        ("its error, %", *(f"{100 * read[name]['error']:.1f}" for name in readers)),
        ("process start to first page, s", *(f"{cold['seconds'][name]:.2f}" for name in readers)),
        ("peak memory of that page, MB", *(f"{read[name]['megabytes']:.0f}" for name in readers)),
    ]
    cents, cheapest, fastest = cost["cents"]["x86_64"], str(cost["cheapest_mb"]), str(cost["fastest_mb"])
    peak = max(megabytes for name, megabytes in memory["peak_megabytes"].items() if "JPEG" in name)
    return (
        table(("", *readers), rows)
        + f"\n\nOne core of an {page['machine']}. A colour JPEG of an A4 page at 300 dots an inch takes {peak:.0f} MB, "
        f"and memory grows by {100 * memory['growth']:.1f} % over 1,000 requests. The container image adds "
        f"{sum(image['layers_mb'].values()):.0f} MB to Lambda's. 1,000 pages of 25 lines like the sample's cost "
        f"{cents[cheapest]:.1f} cents of Lambda at {int(cheapest):,} MB, {cost['seconds'][cheapest]:.1f} s each, and "
        f"{cents[fastest]:.1f} cents at {int(fastest):,} MB, {cost['seconds'][fastest]:.1f} s each."
    )


def peers() -> str:
    """The table of this reader and others on whole pages of each source."""
    found = figures("readers")["figures"]
    rows = [
        (
            name,
            found[OURS][source]["pages"],
            *(f"{100 * found[reader][source]['error']:.1f}" for reader in (OURS, *PEERS)),
            *(f"{found[reader][source]['ms'] / found[OURS][source]['ms']:.1f} ×" for reader in PEERS),
        )
        for source, name in SOURCES.items()
    ]
    readers = ("this reader", "RapidOCR", "Tesseract")
    return table(
        ("pages annotated in full", "pages", *readers, *(f"time: {reader}" for reader in readers[1:])),
        rows,
    )


def accuracy() -> str:
    """The table of what the models' card says of the validation pages."""
    card = json.loads((MODELS / "recognizer.json").read_text(encoding="utf-8"))
    rows = []
    for source, name in PAGES.items():
        row = card["scores"]["sources"][source]
        shown = [row[figure] for figure in ("recall", "f1", "cer", "strips")]
        if row["cer"] is None:
            # Crops of words: there are no lines to find.
            shown[:2] = None, None
        shares = ("–" if share is None else f"{100 * share:.1f}" for share in shown)
        rows.append((name, row["pages"], "–" if row["cer"] is None else row["lines"], *shares))
    heads = ("validation pages", "pages", "lines", "line recall", "line F1", "page error", "recogniser alone")
    return table(heads, rows)


def kinds() -> str:
    """The words read on the kinds of pages, on average, and on how many kinds they are fewer than they ought to be."""
    found = figures("kinds")
    rows = list(found["figures"].values())
    mean = {name: f"{100 * statistics.fmean(row['read'][name] for row in rows):.1f}" for name in (OURS, *PEERS)}
    fewer = sum(row["read"][OURS] < max(row["read"][name] for name in PEERS) for row in rows)
    return (
        f"On made-up pages of {len(rows)} kinds that people send, {rows[0]['pages']} of each, from turned lists to "
        f"receipts and screenshots, it reads {mean[OURS]} % of the words on average, RapidOCR {mean['rapidocr']} % and "
        f"Tesseract {mean['tesseract']} %; on {fewer} of the kinds one of these reads more. "
        "The kinds are in [docs/accuracy.md](docs/accuracy.md#kinds-of-pages)."
    )


def main() -> None:
    sections = (
        (README, "speed", summary()),
        (README, "accuracy", accuracy()),
        (README, "kinds", kinds()),
        (ACCURACY, "peers", peers()),
    )
    for page, name, section in sections:
        replace_section(page, name, section)
        print(section)


if __name__ == "__main__":
    main()
