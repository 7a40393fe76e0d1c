"""Signal handling of the processes that prepare batches."""

from __future__ import annotations

import atexit
import multiprocessing
import signal


def ignore_stop_signals(worker: int) -> None:
    """Let only the main process answer SIGINT and SIGTERM, which reach all, so that it can write its checkpoint."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@atexit.register
def _kill_workers() -> None:
    """End the processes that are left after an error: Python ends them by SIGTERM, and waits until they are gone."""
    # PyTorch would report each as a failure.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in multiprocessing.active_children():
        process.kill()
