"""One engine for each database that tests use in turn: statements are compiled once in a process.

Tests do not notice: each has its own `Database`, and its listeners on that engine end with it.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import sqlalchemy as sa

from webapp.database import Database, VersionCache
from webapp.event_handlers import wired_database


class SharedEngines:
    """The engines of this process, by the URL of their database."""

    def __init__(self) -> None:
        self._shared: dict[str, Database] = {}
        self._processes: dict[str, list[int]] = {}

    def open(self, url: str) -> Database:
        """A database with the engine of this URL. Let go of it before the database is made again."""
        if url not in self._shared:
            self._shared[url] = wired_database(url)
            if self._shared[url].is_sqlite:
                sa.event.listen(self._shared[url].engine, "connect", _be_careless)
            else:
                processes = self._processes.setdefault(url, [])
                sa.event.listen(
                    self._shared[url].engine, "connect", lambda connection, _: processes.append(_process_of(connection))
                )
        shared = self._shared[url]
        database = copy(shared)
        # An engine with options shares the pool and the compiled statements of its parent, but has its own listeners.
        database.engine = shared.engine.execution_options()
        database._reading = database.engine.execution_options(**shared._reading.get_execution_options())
        # Copies of one database have the same versions of schedules.
        database._cache, database._answers = VersionCache(), VersionCache()
        if not database.is_sqlite:
            # An application closes its connections when it ends: a new one costs PostgreSQL as much as ten pages.
            database.dispose = _keep_connections  # type: ignore[method-assign]
        return database

    def let_go(self, database: Database) -> None:
        """The test is over. A SQLite file is made again, but connections to PostgreSQL are kept for the next test."""
        if database.is_sqlite:
            database.dispose()

    def processes(self, url: str) -> list[int]:
        """The numbers of PostgreSQL's processes that serve our connections to this database."""
        return self._processes.get(url, [])

    def dispose(self) -> None:
        """Close every connection."""
        for database in self._shared.values():
            database.dispose()


def _process_of(connection: Any) -> int:
    return int(connection.info.backend_pid)


def _be_careless(connection: Any, _record: object) -> None:
    """Tests can repeat whatever is lost when the power fails."""
    connection.execute("PRAGMA synchronous=OFF")


def _keep_connections() -> None:
    """Connections end with the tests of this process."""
