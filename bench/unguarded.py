"""Docket without its locks, and databases without their guard, to show each of the two protections alone.

`uvicorn --factory bench.unguarded:create_app` still asks every rule before an appointment is written. It lacks the
protection of that answer: the locks of the service, and on SQLite the transaction around check and insert. With an
ordinary database the guard alone decides; with a copy from which `drop_guard` took the guard, nothing does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.orm import Session

from webapp import main
from webapp.config import Settings
from webapp.database import Database
from webapp.event_handlers import HANDLERS

P = ParamSpec("P")
T = TypeVar("T")

LOCK_CLAUSE = " FOR NO KEY UPDATE"
DROP_TRIGGER = "DROP TRIGGER {name}"
DROP_CONSTRAINT = "ALTER TABLE {table} DROP CONSTRAINT {name}"


class UnguardedDatabase(Database):
    """A database that takes no locks. On SQLite each statement is its own transaction, most drivers' default."""

    def __init__(self, url: str) -> None:
        super().__init__(url, HANDLERS)

        @sa.event.listens_for(self.engine, "before_cursor_execute", retval=True)
        def without_locks(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> tuple[str, Any]:
            return statement.replace(LOCK_CLAUSE, ""), parameters

    def write(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with Session(self.engine, expire_on_commit=False, info=self.session_info) as session:
            connection = session.connection()
            if self.is_sqlite:
                # Ending the transaction at its start leaves the driver in autocommit mode.
                connection.exec_driver_sql("COMMIT")
            result = work(session, *args, **kwargs)
            session.commit()
            return result


def create_app() -> FastAPI:
    """The application without locks, with the database that the settings name."""
    settings = Settings()
    return main.create_app(settings, UnguardedDatabase(settings.database_url))


def drop_guard(url: str) -> list[str]:
    """Take the guard out of a copy; returns the names of what was dropped.

    The triggers that fill `busy_times` stay, so that rules and `docket check` see what is there.
    """
    database = Database(url)
    find, drop = (
        ("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name GLOB '*_overlap_on_*'", DROP_TRIGGER)
        if database.is_sqlite
        else ("SELECT conname, conrelid::regclass FROM pg_constraint WHERE contype = 'x'", DROP_CONSTRAINT)
    )

    def work(session: Session) -> list[str]:
        found = session.execute(sa.text(f"{find} ORDER BY 1")).all()
        for name, table in found:
            session.execute(sa.text(drop.format(name=name, table=table)))
        return [name for name, _table in found]

    try:
        return database.write(work)
    finally:
        database.dispose()
