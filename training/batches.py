"""What the processes that prepare batches have in common."""

from __future__ import annotations

import signal


def leave_signals(worker: int) -> None:
    """Let only the main process answer SIGINT and SIGTERM, so that it can write its checkpoint in peace."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
