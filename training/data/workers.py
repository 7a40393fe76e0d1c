"""Signal handling of the processes that prepare batches."""

from __future__ import annotations

import signal


def ignore_stop_signals(worker: int) -> None:
    """Let only the main process answer SIGINT and SIGTERM, which reach all, so that it can write its checkpoint."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
