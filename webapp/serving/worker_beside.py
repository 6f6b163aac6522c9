"""The worker beside a server: a separate process, which is started again when it dies.

The server's own process imports nothing of the worker, which takes 25 MiB.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

# Seconds between two looks at the process.
LOOK_EVERY = 1.0
# A worker that dies right at its start must not keep the machine busy with restarts.
SECONDS_BETWEEN = 3
# When a server stops, a message that is being sent has this long to arrive.
SECONDS_TO_END = 15


@contextmanager
def worker_beside(base_url: str) -> Iterator[None]:
    """Run a worker in a separate process, so that rendering messages takes no time from answering requests."""
    over = threading.Event()
    keeper = threading.Thread(target=_keep_worker, args=(base_url, over))
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _keep_worker(base_url: str, over: threading.Event) -> None:
    """Run a worker until `over` is set, and restart it if it dies, because nothing else delivers messages."""
    while not over.is_set():
        process = multiprocessing.get_context("spawn").Process(target=_work, args=(base_url,), name="docket worker")
        process.start()
        while process.is_alive() and not over.wait(LOOK_EVERY):
            pass
        if not over.is_set():
            logger.error("The worker ended with exit code %s; starting another one", process.exitcode)
            over.wait(SECONDS_BETWEEN)
            continue
        process.terminate()
        process.join(SECONDS_TO_END)
        # The message that it was sending is sent again by the next worker, with the same Message-ID.
        process.kill()


def _work(base_url: str) -> None:
    from webapp.serving.memory import tune_garbage_collector
    from webapp.worker import run_worker

    tune_garbage_collector()
    run_worker(base_url, beside=True)
