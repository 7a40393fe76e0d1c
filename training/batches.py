"""What the processes that prepare batches have in common."""

from __future__ import annotations

import signal


def leave_interrupts(worker: int) -> None:
    """Let only the main process answer SIGINT, so that it can write its checkpoint in peace."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
