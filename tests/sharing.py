"""One engine for each database that tests use in turn: statements are compiled once in a process.

Tests do not notice: each has its own `Database`, and its listeners on that engine end with it.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import sqlalchemy as sa

from webapp.database import Database
from webapp.event_handlers import wired_database


class SharedEngines:
    """The engines of this process, by the URL of their database."""

    def __init__(self) -> None:
        self._shared: dict[str, Database] = {}

    def open(self, url: str) -> Database:
        """A database with the engine of this URL. Dispose of it before the database is made again."""
        if url not in self._shared:
            self._shared[url] = wired_database(url)
            if self._shared[url].is_sqlite:
                sa.event.listen(self._shared[url].engine, "connect", _be_careless)
        shared = self._shared[url]
        database = copy(shared)
        # An engine with options shares the pool and the compiled statements of its parent, but has its own listeners.
        database.engine = shared.engine.execution_options()
        database._reading = database.engine.execution_options(**shared._reading.get_execution_options())
        return database

    def dispose(self) -> None:
        """Close every connection."""
        for database in self._shared.values():
            database.dispose()


def _be_careless(connection: Any, _record: object) -> None:
    """Tests can repeat whatever is lost when the power fails."""
    connection.execute("PRAGMA synchronous=OFF")
