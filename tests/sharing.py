"""One engine for each database that tests use in turn: what a test asks is compiled once in a process.

A test does not notice: it has a `Database` of its own, and what it listens for on that engine ends with it.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import sqlalchemy as sa

from webapp.database import Database
from webapp.event_handlers import wired_database


class SharedEngines:
    """The engines of this process, by the address of their database."""

    def __init__(self) -> None:
        self._shared: dict[str, Database] = {}

    def open(self, url: str) -> Database:
        """A database over the engine of this address. Dispose of it before the database is made anew."""
        if url not in self._shared:
            self._shared[url] = wired_database(url)
            if self._shared[url].is_sqlite:
                sa.event.listen(self._shared[url].engine, "connect", _be_careless)
        shared = self._shared[url]
        database = copy(shared)
        # An engine with options has the pool and the compiled statements of its parent, but listeners of its own.
        database.engine = shared.engine.execution_options()
        database._reading = database.engine.execution_options(**shared._reading.get_execution_options())
        return database

    def dispose(self) -> None:
        """Close every connection."""
        for database in self._shared.values():
            database.dispose()


def _be_careless(connection: Any, _record: object) -> None:
    """What a test may lose when the power fails, it can make again."""
    connection.execute("PRAGMA synchronous=OFF")
