"""Copies of an SQLite database, made and put back by SQLite itself while other processes may use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from webapp.backups.exceptions import CannotCopy, DatabaseInUse, UnusableBackup
from webapp.database import Database
from webapp.engines import sqlite_module

# Docket's processes hold their connections for as long as they run, so waiting would not help.
WAIT_SECONDS = 0.2
# At most this many problems of a damaged file are named.
MOST_PROBLEMS = 3


def copy_out(database: Database, draft: Path) -> None:
    """Write a copy of the database, as it is at this moment, into an empty file.

    It is one statement, so that others may write meanwhile, and it leaves out free pages, which could still contain
    deleted rows. (Copying a number of pages at a time starts again after each change that others make.)

    Raises:
        CannotCopy: for example because the disk is full.
    """
    with database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute("VACUUM INTO ?", (str(draft),))
        except sqlite_module().Error as error:
            raise CannotCopy(f"The database cannot be copied: {error}.") from error


def copy_in(file: Path, draft: Path) -> None:
    """Copy a backup, which is only read, into an empty file, and check that it is complete.

    Raises:
        UnusableBackup: it is damaged.
    """
    try:
        # It is asked for read-only, so that nothing changes the backup.
        with closing(_open(f"file:{_quoted(file)}?mode=ro", uri=True)) as source, closing(_open(str(draft))) as target:
            source.backup(target)
            problems = [str(row[0]) for row in target.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})")]
            if problems != ["ok"]:
                raise UnusableBackup(f"{file} is damaged: {'; '.join(problems)}.")
            if target.execute("PRAGMA foreign_key_check").fetchone():
                raise UnusableBackup(f"{file} is damaged: some of its rows refer to rows that are missing.")
    except sqlite_module().DatabaseError as error:
        raise UnusableBackup(f"{file} is damaged: {error}.") from error


def settle(path: Path) -> None:
    """Make the database one file again, without a write-ahead log; no other process uses it."""
    with closing(_open(str(path))) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def replace_contents(path: Path, draft: Path) -> None:
    """Replace everything in the database by the contents of `draft`, in one transaction of SQLite.

    The file itself stays, so that no process can go on writing into a deleted file. A process that opens
    it meanwhile waits; if this one is killed, SQLite puts the former contents back.

    Raises:
        DatabaseInUse: another process has it open. Unreadable: it is too damaged for that.
    """
    with exclusive_connection(path) as target:
        with closing(_open(str(draft))) as source:
            source.backup(target)
        target.execute("PRAGMA locking_mode=NORMAL")
        target.execute("PRAGMA journal_mode=WAL")


class Unreadable(Exception):
    """SQLite cannot open this file as a database."""


@contextmanager
def exclusive_connection(path: Path) -> Iterator[Any]:
    """An exclusive connection: no other process can open the database until it is closed.

    Raises:
        DatabaseInUse: another process has it open. Unreadable: it is no database, or a damaged one.
    """
    with closing(_open(str(path))) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            # This ends the write-ahead log, which is possible only for the last connection.
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except sqlite_module().OperationalError as error:
            if "locked" not in str(error):
                raise Unreadable(str(error)) from error
            raise DatabaseInUse(
                f"Another process has {path.absolute()} open. Stop `docket serve` and `docket worker` first, and "
                "every program that reads the file."
            ) from error
        except sqlite_module().DatabaseError as error:
            raise Unreadable(str(error)) from error
        yield connection


def set_aside(path: Path, *, mark: str) -> Path:
    """Rename a damaged database with its log, so that nothing of it is lost. Returns its new name."""
    aside = path.with_name(f"{path.name}.{mark}")
    for suffix in ("-wal", "-shm", "-journal", ""):
        old = path.with_name(f"{path.name}{suffix}")
        if old.exists():
            old.rename(aside.with_name(f"{aside.name}{suffix}"))
    return aside


def _open(name: str, *, uri: bool = False) -> Any:
    return sqlite_module().connect(name, timeout=WAIT_SECONDS, isolation_level=None, uri=uri)


def _quoted(path: Path) -> str:
    return path.absolute().as_uri().removeprefix("file://")
