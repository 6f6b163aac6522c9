"""Docket as it would be without its guard, for the controls alone: `uvicorn --factory bench.unguarded:create_app`.

Every rule is still asked before a visit is written. What is missing is what makes the answer last: the locks, and
on SQLite the transaction around check and insert. The database that it serves must be a copy whose triggers or
exclusion constraints are dropped: see `drop_guard`.
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

P = ParamSpec("P")
T = TypeVar("T")

LOCK_CLAUSE = " FOR NO KEY UPDATE"


class UnguardedDatabase(Database):
    """A database that locks nothing. On SQLite each statement stands alone, as with most drivers' defaults."""

    def __init__(self, url: str) -> None:
        super().__init__(url)

        @sa.event.listens_for(self.engine, "before_cursor_execute", retval=True)
        def without_locks(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> tuple[str, Any]:
            return statement.replace(LOCK_CLAUSE, ""), parameters

    def write(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with Session(self.engine, expire_on_commit=False) as session:
            connection = session.connection()
            if self.is_sqlite:
                # Ending the transaction at its start leaves the driver in autocommit.
                connection.exec_driver_sql("COMMIT")
            result = work(session, *args, **kwargs)
            session.commit()
            return result


def create_app() -> FastAPI:
    """The application over the database that the settings name, without locks."""
    settings = Settings()
    return main.create_app(settings, UnguardedDatabase(settings.database_url))


def drop_guard(url: str) -> list[str]:
    """Take the guard out of a copy; returns the names of what was dropped."""
    database = Database(url)
    sqlite = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'appointments' ORDER BY name"
    postgresql = (
        "SELECT conname FROM pg_constraint WHERE conrelid = 'appointments'::regclass AND contype = 'x' ORDER BY conname"
    )

    def drop(session: Session) -> list[str]:
        names = list(session.scalars(sa.text(sqlite if database.is_sqlite else postgresql)))
        for name in names:
            session.execute(
                sa.text(
                    f"DROP TRIGGER {name}" if database.is_sqlite else f"ALTER TABLE appointments DROP CONSTRAINT {name}"
                )
            )
        return names

    try:
        return database.write(drop)
    finally:
        database.dispose()
