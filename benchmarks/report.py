"""Write the figures of a benchmark as JSON, as a chart, and into its section of docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def machine() -> str:
    """The processor, its cores and today's date."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        model = found[1] if found else model
    return f"{model}, {os.cpu_count()} cores, {date.today().isoformat()}"


def publish(
    name: str,
    figures: dict[str, Any],
    markdown: str,
    draw: Callable[[Axes], None] | None = None,
    page: Path | None = None,
) -> None:
    """Print a section, and write it with its figures and chart.

    Parameters
    ----------
    name : str
        Of the files, and of the section: what stands between ``<!-- name -->`` and ``<!-- end -->`` is replaced.
    figures : dict
        As JSON holds them.
    markdown : str
    draw : callable, optional
        Draws the chart.
    page : Path, optional
        The document with the section; docs/performance.md by default.
    """
    where = machine()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"machine": where, **figures}, indent=1) + "\n", encoding="utf-8")
    section = f"{markdown}\n\n{where}."
    print(section)
    if draw is not None:
        import matplotlib.pyplot as plt

        # Without a salt and a date, equal figures give equal files.
        plt.rcParams["svg.hashsalt"] = name
        figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)
        section += f"\n\n![](performance/{name}.svg)"
    replace_section(page or PAGE, name, section)


def replace_section(path: Path, name: str, section: str) -> None:
    """Replace the text between ``<!-- name -->`` and ``<!-- end -->`` of a page by `section`."""
    text = path.read_text(encoding="utf-8")
    replaced, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{section}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{path} has {count} sections {name}")
    path.write_text(replaced, encoding="utf-8")
