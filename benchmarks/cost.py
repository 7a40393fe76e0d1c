"""Measure the seconds a page takes at each size of the Lambda function, and compute what 1,000 pages cost.

    sudo python -m benchmarks.cost

A function has a core for every 1,769 MB (AWS Lambda Developer Guide, "Configure Lambda function memory"). The reader is
given that share by a control group, for which one must be root; elsewhere seconds are scaled from those of whole
cores. All sizes are measured in turn, several times, so that a slow spell of the machine meets them all. What Lambda
does to start an environment is not part of this.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from tqdm import tqdm

from benchmarks.pages import encoded, letter_page
from benchmarks.report import ROOT, publish, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEGABYTES_PER_CORE = 1769
# Maximum memory whose processors two cores can emulate, and minimum memory for reading.
SIZES = (512, 768, 1024, 1280, 1536, 1769, 2048, 2560, 3008, 3538)
# Dollars for a GB-second and for a million requests: https://aws.amazon.com/lambda/pricing/, US East (N. Virginia), the
# first tier, as quoted by two guides of 2026-03-08 and 2026-05-11.
PRICES_AS_OF = "2026-05-11"
PRICES = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
REQUESTS = 0.20
GROUP = "paragraph-ocr-benchmark"
PERIOD = 20_000
VERSION_1 = Path("/sys/fs/cgroup/cpu")
VERSION_2 = Path("/sys/fs/cgroup")


@contextmanager
def share(cores: float) -> Iterator[Path | None]:
    """Create a control group with a number of cores; yield its file of processes, or None if this is impossible."""
    version_2 = (VERSION_2 / "cgroup.controllers").exists()
    group = (VERSION_2 if version_2 else VERSION_1) / GROUP
    try:
        group.mkdir(exist_ok=True)
        if version_2:
            (group / "cpu.max").write_text(f"{round(cores * PERIOD)} {PERIOD}", encoding="utf-8")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="utf-8")
            (group / "cpu.cfs_quota_us").write_text(str(round(cores * PERIOD)), encoding="utf-8")
    except OSError:
        yield None
        return
    yield group / "cgroup.procs"
    group.rmdir()


def read(threads: int, pages: int, lines: int) -> float:
    """Print the median of the seconds per page; run in the process that `measured` starts."""
    from paragraph_ocr.pipeline.reader import PageReader

    reader = PageReader.load(threads=threads)
    file = encoded(letter_page(lines))
    reader.read(file, "page.jpg")
    seconds = []
    for _ in range(pages):
        start = perf_counter()
        reader.read(file, "page.jpg")
        seconds.append(perf_counter() - start)
    return statistics.median(seconds)


def measured(megabytes: int, pages: int, lines: int) -> tuple[float, bool]:
    """Return the seconds per page in a function of this size, and whether they are scaled."""
    cores = megabytes / MEGABYTES_PER_CORE
    threads = max(1, round(cores))
    code = f"from benchmarks.cost import read; print(read({threads}, {pages}, {lines}))"
    with share(cores) as processes:

        def enter() -> None:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: 1 if cores <= 1 else 2])
            if processes is not None:
                processes.write_text(str(os.getpid()), encoding="utf-8")

        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'function'}:{ROOT}"}
        command = [sys.executable, "-c", code]
        output = subprocess.run(
            command, env=environment, preexec_fn=enter, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        seconds = float(output)
        return (seconds, False) if processes is not None else (seconds / min(cores / threads, 1), True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cost", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each size is measured")
    parser.add_argument("--pages", type=int, default=5, help="read at each size in a round")
    parser.add_argument("--lines", type=int, default=25)
    arguments = parser.parse_args()
    rounds: dict[int, list[float]] = {megabytes: [] for megabytes in SIZES}
    scaled = False
    for megabytes in tqdm(SIZES * arguments.rounds, desc="sizes"):
        time, scaled = measured(megabytes, arguments.pages, arguments.lines)
        rounds[megabytes].append(time)
    seconds = {megabytes: statistics.median(times) for megabytes, times in rounds.items()}
    cents = {
        machine: {
            megabytes: 100 * 1000 * (time * megabytes / 1024 * price + REQUESTS / 1e6)
            for megabytes, time in seconds.items()
        }
        for machine, price in PRICES.items()
    }
    cheapest = min(cents["x86_64"], key=lambda megabytes: cents["x86_64"][megabytes])
    fastest = min(seconds, key=lambda megabytes: seconds[megabytes])
    rows = [
        (
            f"{megabytes:,} MB",
            f"{megabytes / MEGABYTES_PER_CORE:.2f}",
            f"{time:.2f}",
            f"{min(rounds[megabytes]):.2f} to {max(rounds[megabytes]):.2f}",
            *(f"{cents[machine][megabytes]:.2f}" for machine in PRICES),
        )
        for megabytes, time in seconds.items()
    ]
    markdown = table(
        (
            "memory",
            "cores",
            "seconds a page",
            "of all rounds",
            *(f"cents for 1,000 pages, {machine}" for machine in PRICES),
        ),
        rows,
    )
    how = "scaled from those of whole cores" if scaled else "measured with that share of this machine's cores"
    prices = " and ".join(f"${price:.10f} a GB-second ({machine})" for machine, price in PRICES.items())
    markdown += (
        f"\n\nPages of {arguments.lines} lines, in an environment that is up; seconds are {how}, the median of "
        f"{arguments.rounds} rounds. Cheapest: "
        f"{cheapest:,} MB; fastest: {fastest:,} MB. arm64 is reckoned with the seconds of this x86_64, since none was "
        f"at hand. Prices of Lambda in US East (N. Virginia), {PRICES_AS_OF}: {prices}, ${REQUESTS:.2f} a million "
        "requests; the 400,000 GB-seconds that are free each month are not taken off."
    )

    def draw(axes: Axes) -> None:
        for machine, found in cents.items():
            axes.plot(list(seconds.values()), list(found.values()), marker="o", label=machine)
        for megabytes, time in seconds.items():
            axes.annotate(f"{megabytes:,} MB", (time, cents["x86_64"][megabytes]), fontsize=6, rotation=30)
        axes.set_xlabel("seconds a page")
        axes.set_ylabel("cents for 1,000 pages")
        axes.set_ylim(0)
        axes.legend(fontsize=7)

    figures = {
        "seconds": seconds,
        "rounds": rounds,
        "cents": cents,
        "cheapest_mb": cheapest,
        "fastest_mb": fastest,
        "scaled": scaled,
    }
    publish("cost", figures, markdown, draw)


if __name__ == "__main__":
    main()
