"""Adds many rows at once, with explicit ids: the same rows get the same ids on every database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import Base

CHUNK = 2_000
Row = dict[str, Any]


class Writer:
    """Bulk inserts in one session's transaction. Triggers, constraints and column defaults apply."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, model: type[Base], rows: Iterable[Row], *, written: Callable[[int], None] | None = None) -> range:
        """Insert the rows in their order and return their ids; `written` is called with the number of rows so far.

        Ids follow the highest existing one. A sequence would not work, because a run that was aborted has used it up.
        """
        table = cast("sa.Table", model.__table__)
        first = following = (self._session.scalar(sa.select(sa.func.max(table.c.id))) or 0) + 1
        rows = iter(rows)
        while chunk := list(islice(rows, CHUNK)):
            for row in chunk:
                row["id"] = following
                following += 1
            self.link(table, chunk)
            if written is not None:
                written(following - first)
        if following > first:
            self._continue_after(table, following - 1)
        return range(first, following)

    def link(self, table: sa.Table, rows: list[Row]) -> None:
        """Insert rows without an id column."""
        if rows:
            self._session.connection().execute(sa.insert(table), rows)

    def _continue_after(self, table: sa.Table, last: int) -> None:
        """Make PostgreSQL number later rows from here; SQLite looks at the rows themselves."""
        if self._session.get_bind().dialect.name == "postgresql":
            sequence = sa.func.pg_get_serial_sequence(table.name, "id")
            self._session.execute(sa.select(sa.func.setval(sequence, last)))
