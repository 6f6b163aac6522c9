"""The clinics that are measured: made once by the demo generator, kept under var/bench, and copied for each run."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import LiteralString, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg import sql

from tests.postgres import libpq, new_database
from webapp import models
from webapp.demo.generate import make_demo
from webapp.event_handlers import wired_database
from webapp.migrations import upgrade

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "var" / "bench"

# The day of the measured clinics is fixed, so that kept files never become outdated.
TODAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)

Say = Callable[[str], None]


class Size(NamedTuple):
    """The size of a clinic; ten times the appointments are ten times the history of the same clinic."""

    name: str
    doctors: int
    patients: int
    months: int


SMALL = Size("60,000", 45, 2_000, 11)
LARGE = Size("600,000", 45, 2_000, 120)
TINY = Size("tiny", 12, 20, 0)


def kept_file(size: Size, say: Say) -> Path:
    """The SQLite file of this clinic; it is made now if it does not exist or was made by other code."""
    path = KEPT / f"{size.doctors}x{size.patients}x{size.months}-{_version()}.db"
    if path.exists():
        return path
    KEPT.mkdir(parents=True, exist_ok=True)
    for outdated in KEPT.glob(f"{size.doctors}x{size.patients}x{size.months}-*"):
        outdated.unlink()
    say(f"Making a clinic of about {size.name} appointments, once; it is kept in var/bench.")
    draft = path.with_suffix(".draft")
    database = wired_database(f"sqlite:///{draft}")
    try:
        upgrade(database)
        make_demo(
            database,
            today=TODAY,
            doctors=size.doctors,
            patients=size.patients,
            months=size.months,
            seed=1,
            now=NOW,
            progress=lambda _done, _total: None,
        )
    finally:
        database.dispose()
    draft.rename(path)
    return path


def _version() -> str:
    """A hash of the code that makes the file, so that changed code makes a new file."""
    digest = hashlib.blake2b(digest_size=6)
    for folder in ("webapp/demo", "alembic/versions"):
        for source in sorted((ROOT / folder).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


@contextmanager
def sqlite_copy(size: Size, folder: Path, say: Say) -> Iterator[str]:
    """The URL of a copy that may be written to; it is removed at the end."""
    copy = folder / f"{size.months}-months.db"
    shutil.copyfile(kept_file(size, say), copy)
    yield f"sqlite:///{copy}"
    for leftover in folder.glob(f"{copy.name}*"):
        leftover.unlink()


@contextmanager
def postgresql_copy(size: Size, server: str, say: Say) -> Iterator[str]:
    """The URL of a PostgreSQL database with the same rows; it is dropped at the end."""
    source = kept_file(size, say)
    with new_database(server) as url:
        database = wired_database(url)
        upgrade(database)
        database.dispose()
        say(f"Copying {size.name} appointments into PostgreSQL.")
        _copy_rows(source, url)
        yield url


def _copy_rows(source: Path, url: str) -> None:
    """Copy every table by COPY, `busy_times` too: the triggers that fill it are disabled meanwhile.

    The exclusion constraints are added again afterwards, which checks all rows at once.
    """
    with (
        sqlite3.connect(source) as rows,
        psycopg.connect(libpq(url), options="-c timezone=UTC", autocommit=False) as target,
    ):
        constraints = target.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'x'"
        ).fetchall()
        for table, name, _definition in constraints:
            _alter(target, table, "DROP CONSTRAINT {}", name)
        keepers = target.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgenabled = 'A'"
        ).fetchall()
        for table, name in keepers:
            _alter(target, table, "DISABLE TRIGGER {}", name)
        for each in models.Base.metadata.sorted_tables:
            _copy_table(rows, target, each)
        for table, name in keepers:
            _alter(target, table, "ENABLE ALWAYS TRIGGER {}", name)
        for table, name, definition in constraints:
            _alter(target, table, "ADD CONSTRAINT {} {}", name, definition)
    with psycopg.connect(libpq(url), autocommit=True) as target:
        target.execute("VACUUM ANALYZE")


def _alter(target: psycopg.Connection, table: str, change: LiteralString, name: str, definition: str = "") -> None:
    statement = sql.SQL("ALTER TABLE {} ").format(sql.Identifier(table))
    words = [sql.Identifier(name), sql.SQL(definition)]
    target.execute(statement + sql.SQL(change).format(*words[: change.count("{}")]))


def _copy_table(rows: sqlite3.Connection, target: psycopg.Connection, table: sa.Table) -> None:
    """Copy one table; all values travel as text, which both databases write and read alike."""
    columns = [column.name for column in table.columns]
    name = sql.Identifier(table.name)
    found = target.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(name)).fetchone()
    if found and found[0]:
        # The migrations put this row there. The audit log refuses deletions, but it is empty.
        target.execute(sql.SQL("DELETE FROM {}").format(name))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(name, sql.SQL(", ").join(map(sql.Identifier, columns)))
    with target.cursor().copy(statement) as copy:
        # Some columns have names that are keywords of SQL.
        quoted = ", ".join(f'"{column}"' for column in columns)
        for row in rows.execute(f"SELECT {quoted} FROM {table.name}"):
            copy.write_row([None if value is None else str(value) for value in row])
    if "id" in table.columns:
        sequence = target.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table.name]).fetchone()
        if sequence and sequence[0]:
            latest = sql.SQL("SELECT setval({}, coalesce((SELECT max(id) FROM {}), 1))")
            target.execute(latest.format(sql.Literal(sequence[0]), name))
