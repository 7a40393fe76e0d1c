"""The command line ``paragraph-ocr-train``: import transcribed pages, and adapt the models to them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

# The module of each command, which has `add_arguments(parser)` and `run(arguments) -> int`, and what it does. It is
# imported when it is asked for: importing PyTorch takes longer than --help should.
COMMANDS = {
    "import": ("training.importers.command", "make annotated pages from transcriptions of other programs"),
    "adapt": ("adaptation.command", "fit the models to some annotated pages"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="paragraph-ocr-train", description="Train Paragraph OCR on your own pages.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    parsers = {name: commands.add_parser(name, help=purpose) for name, (_, purpose) in COMMANDS.items()}
    name = given[0] if given else ""
    if name not in COMMANDS:
        # Prints the help or the error, and ends the process.
        parser.parse_args(given)
        return 2
    try:
        command = import_module(COMMANDS[name][0])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "training", "export", "adaptation", "paragraph_ocr"):
            raise
        print(
            f"paragraph-ocr-train {name}: the package {missing} is missing: run pip install -e '.[train]' in the "
            "checkout of Paragraph OCR",
            file=sys.stderr,
        )
        return 1
    command.add_arguments(parsers[name])
    try:
        status: int = command.run(parser.parse_args(given))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
