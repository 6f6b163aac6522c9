"""The measurement of free times over the API runs, and its baselines answer with the same bytes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from bench.availability import HEADINGS, Comparison
from tests.cast import assemble
from webapp.event_handlers import wired_database


def test_free_times_are_measured_beside_routes_with_the_same_bytes(sqlite_url: str) -> None:
    database = wired_database(sqlite_url)
    assemble(database)
    compared = Comparison(database, days=3)
    # A browser session in the same worker may have left a running loop in this thread.
    with ThreadPoolExecutor(max_workers=1) as thread:
        row = thread.submit(lambda: asyncio.run(compared.measure(1))).result()
    database.dispose()
    assert len(row) + 1 == len(HEADINGS)
    assert int(row[0]) > 50
    # The versions of the schedules are read together with BEGIN; the first request has read everything else.
    assert int(row[2]) == 0
