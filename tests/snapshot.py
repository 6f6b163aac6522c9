"""All rows of a database, kept in memory and inserted into another migrated, empty one without the ORM.

Each driver returns its rows in a form that it accepts, so that nothing is compiled and hardly anything is converted.
On PostgreSQL a superuser inserts them as a replica does, because they were checked when they were made. Otherwise
triggers run as for every insert, and a table that only triggers fill must not be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import Base, Database

# Inserting rows with their ids does not advance PostgreSQL's sequences.
SEQUENCES = """
    SELECT format('setval(%L, %s)', format('%I.%I', schemaname, sequencename), last_value)
    FROM pg_sequences WHERE last_value IS NOT NULL
"""
# Neither triggers nor foreign keys fire.
AS_A_REPLICA = "SET LOCAL session_replication_role = replica"

FILLED_BY_TRIGGERS = {"busy_times", "schedule_versions", "live_changes"}
# Tables of sessions, readings and the like. Requests that change nothing else may write them.
ABOUT_REQUESTS = {"sessions", "drafts", "failed_logins", "audit_events", "security_events"}


def lasting_rows(database: Database) -> list[tuple[str, Any]]:
    """All rows as the driver reads them, by table, except those that only say who was here."""
    with database.reading() as session:
        read = _read_postgresql if _is_postgresql(session) else _read_sqlite
        found = [
            (table.name, read(_driver(session), table.name))
            for table in Base.metadata.sorted_tables
            if table.name not in ABOUT_REQUESTS
        ]
    # PostgreSQL reads a row that was written again, unchanged, after the others.
    return [(name, sorted(rows.splitlines() if isinstance(rows, bytes) else rows, key=repr)) for name, rows in found]


@dataclass(frozen=True)
class Snapshot:
    """The rows of each table that is not empty, parents first, and the state of the sequences."""

    rows: list[tuple[str, Any]]
    sequences: str

    @classmethod
    def take(cls, session: Session) -> Snapshot:
        """Read all rows."""
        read = _read_postgresql if _is_postgresql(session) else _read_sqlite
        names = [table.name for table in Base.metadata.sorted_tables]
        if not _acts_as_replica(session):
            names = [name for name in names if name not in FILLED_BY_TRIGGERS]
        found = [(name, read(_driver(session), name)) for name in names]
        sequences = session.scalars(sa.text(SEQUENCES)).all() if _is_postgresql(session) else []
        return cls([(name, rows) for name, rows in found if rows], ", ".join(sequences))

    def put(self, session: Session) -> None:
        """Insert all rows into the database of this session, which must be of the same kind."""
        put = _put_postgresql if _is_postgresql(session) else _put_sqlite
        if _acts_as_replica(session):
            _driver(session).execute(AS_A_REPLICA)
        for name, rows in self.rows:
            if name in FILLED_BY_TRIGGERS:
                # The migrations put the first versions there.
                _driver(session).execute(f"DELETE FROM {name}")
            put(_driver(session), name, rows)
        if self.sequences:
            _driver(session).execute(f"SELECT {self.sequences}")


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _acts_as_replica(session: Session) -> bool:
    """PostgreSQL lets its superusers do so."""
    return _is_postgresql(session) and _driver(session).info.parameter_status("is_superuser") == "on"


def _driver(session: Session) -> Any:
    """The driver's connection, in the transaction of the session."""
    return session.connection().connection.driver_connection


def _read_sqlite(connection: Any, table: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(f"SELECT * FROM {table}").fetchall()
    return rows


def _put_sqlite(connection: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _read_postgresql(connection: Any, table: str) -> bytes:
    with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
        return b"".join(copy)


def _put_postgresql(connection: Any, table: str, rows: bytes) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        copy.write(rows)
