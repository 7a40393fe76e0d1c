"""``paragraph-ocr-train``: run the training commands of the checkout that this package is installed from.

Training is no part of the package: the command needs a checkout of the project that is installed in editable mode
(``pip install -e '.[train]'``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# The checkout, if this file lies in `function/paragraph_ocr/cli` of one.
CHECKOUT = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None, checkout: Path = CHECKOUT) -> int:
    """Run ``python -m training.cli`` with a checkout on the import path, in the current folder.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.
    checkout : Path

    Returns
    -------
    int
        Exit status; 1 with a message on standard error where there is no checkout.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not (checkout / "training" / "cli.py").is_file():
        print(
            "paragraph-ocr-train: training is not part of the installed package: clone the repository of Paragraph OCR "
            "and run pip install -e '.[train]' in it",
            file=sys.stderr,
        )
        return 1
    inherited = os.environ.get("PYTHONPATH")
    folders = [str(checkout), str(checkout / "function"), *([inherited] if inherited else [])]
    # A process of its own, so that processes which the command starts find the checkout, too. -P keeps modules of the
    # current folder from shadowing others.
    command = [sys.executable, "-P", "-m", "training.cli", *given]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)
    return subprocess.call(command, env=environment)


if __name__ == "__main__":
    sys.exit(main())
