"""`docket backup` and `docket restore`: a copy of everything in the database, made while people work, and put back."""

from __future__ import annotations

import errno
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp import migrations
from webapp.audit import service as audit
from webapp.backups import postgresql_dumps, sqlite_copies
from webapp.backups.contents import Contents, end_credentials, read_contents
from webapp.backups.exceptions import DatabaseNotEmpty, UnusableBackup
from webapp.backups.files import TITLES, kind_of, private_file, put_in_place, workspace
from webapp.backups.postgresql_programs import find_programs
from webapp.database import Database
from webapp.engines import sqlite_file
from webapp.event_handlers import wired_database
from webapp.exceptions import Conflict
from webapp.integrity.guard_trial import guard_is_in_place
from webapp.integrity.problems import problems_of_copy

RESTORED = "backup_restored"


class CopyReport(NamedTuple):
    """The contents of a copy, and its problems as `docket check` reports them."""

    contents: Contents
    problems: list[str]
    # Where a database was put that was too damaged to be replaced.
    aside: Path | None = None


def make_backup(database: Database, file: Path, *, force: bool, now: datetime) -> CopyReport:
    """Write a copy of the database into `file`: all that was acknowledged before this began is in it.

    It gets its name only when it is complete and was read once.

    Raises:
        FileExistsError: the file is there, and `force` is not set. Conflict: it cannot be made.
    """
    if file.exists() and not force:
        raise FileExistsError(errno.EEXIST, "There is such a file already (--force replaces it)", str(file))
    if migrations.find_revision(database) is None:
        raise Conflict(str(migrations.schema_problem(None)))
    with workspace(file) as folder:
        draft = private_file(folder / "copy.db")
        if database.is_sqlite:
            sqlite_copies.copy_out(database, draft)
            done = _check_copy(draft, now=now)
        else:
            done = _dump(database, draft, now=now)
        put_in_place(draft, file, replace=force)
    return done


def _dump(database: Database, draft: Path, *, now: datetime) -> CopyReport:
    """Copy the snapshot, and check and count exactly that."""
    revision = migrations.find_revision(database)
    guarded = _is_guarded(database, revision)
    with database.reading() as session:
        postgresql_dumps.dump(database, session, draft)
        return CopyReport(read_contents(session), _problems(session, revision, guarded=guarded, now=now))


def restore_backup(database: Database, file: Path, *, replace: bool, now: datetime) -> CopyReport:
    """Replace the database by the copy in `file`, after checking that this version can use it.

    Raises:
        UnusableBackup: it cannot. DatabaseNotEmpty: the database has data, and `replace` is not set. DatabaseInUse:
        Docket is running. CannotCopy: the database refuses. In each case the database is unchanged.
    """
    kind = kind_of(file)
    if (kind == "sqlite") != database.is_sqlite:
        ours = "SQLite" if database.is_sqlite else "PostgreSQL"
        raise UnusableBackup(
            f"{file} is a backup of an {TITLES[kind]} database, and DOCKET_DATABASE_URL names a database of {ours}. "
            "Restore it into a database of the same kind."
        )
    if database.is_sqlite:
        return _restore_sqlite(database, file, replace=replace, now=now)
    return _restore_postgresql(database, file, replace=replace, now=now)


def _restore_sqlite(database: Database, file: Path, *, replace: bool, now: datetime) -> CopyReport:
    path = sqlite_file(database.url)
    assert path is not None  # noqa: S101 - the settings accept a file only.
    is_readable = _require_replaceable(path, replace=replace)
    with workspace(path) as folder:
        draft = private_file(folder / "copy.db")
        sqlite_copies.copy_in(file, draft)
        done = _check_copy(draft, now=now, restoring=file)
        if is_readable:
            sqlite_copies.replace_contents(path, draft)
            return done
        aside = sqlite_copies.set_aside(path, mark=f"damaged-{now:%Y%m%d%H%M%S}")
        put_in_place(draft, path, replace=True)
        return done._replace(aside=aside)


def _require_replaceable(path: Path, *, replace: bool) -> bool:
    """Whether SQLite can read the database that is to be replaced."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_file(path)
    try:
        with sqlite_copies.exclusive_connection(path):
            pass
        if not replace:
            _require_empty(_contents_of(path))
    except sqlite_copies.Unreadable as error:
        if not replace:
            raise DatabaseNotEmpty(
                f"The database {path} is damaged ({error}). With --replace it is set aside under another name."
            ) from error
        return False
    return True


def _require_empty(contents: Contents) -> None:
    if contents.holds_data:
        raise DatabaseNotEmpty(
            " ".join(["The database holds data, which would be lost.", *contents.in_words()])
            + " Make a backup of it, then add --replace."
        )


def _contents_of(path: Path) -> Contents:
    database = wired_database(f"sqlite:///{path}")
    try:
        with database.reading() as session:
            return read_contents(session)
    finally:
        database.dispose()


def _check_copy(draft: Path, *, now: datetime, restoring: Path | None = None) -> CopyReport:
    """Check a private copy. A copy that will be restored loses its sessions, and its audit log says so."""
    copy = wired_database(f"sqlite:///{draft}")
    try:
        revision = migrations.find_revision(copy)
        if restoring is not None:
            _require_known(restoring, revision)
            copy.write(end_credentials)
            _note(copy, revision, now=now)
        guarded = _is_guarded(copy, revision)
        with copy.reading() as session:
            done = CopyReport(read_contents(session), _problems(session, revision, guarded=guarded, now=now))
    finally:
        copy.dispose()
    sqlite_copies.settle(draft)
    return done


def _restore_postgresql(database: Database, file: Path, *, replace: bool, now: datetime) -> CopyReport:
    with database.reading() as session:
        programs = find_programs(postgresql_dumps.server_major(session))
        postgresql_dumps.require_no_connections(session)
        if not replace:
            _require_empty(read_contents(session))
    postgresql_dumps.read_through(programs, file)
    revision = postgresql_dumps.revision_in(programs, file)
    _require_known(file, revision)
    # A session of ours that is open between two transactions holds no lock.
    database.dispose()
    postgresql_dumps.restore(database, programs, file)
    _note(database, revision, now=now)
    guarded = _is_guarded(database, revision)
    with database.reading() as session:
        return CopyReport(read_contents(session), _problems(session, revision, guarded=guarded, now=now))


def _require_known(file: Path, revision: str | None) -> None:
    if revision is None:
        raise UnusableBackup(f"{file} is not a backup of Docket: it has no schema revision.")
    if migrations.is_unknown(revision):
        raise UnusableBackup(f"{file} is of a newer version. {migrations.schema_problem(revision)}")


def _note(database: Database, revision: str | None, *, now: datetime) -> None:
    """Write a row into the audit log, if the restored database has the schema that this version writes."""

    def note(session: Session) -> None:
        audit.record(session, RESTORED, subject=("clinic", 1), actor_user_id=None, actor_role="system", now=now)

    if revision == migrations.newest_revision():
        database.write(note)


def _is_guarded(database: Database, revision: str | None) -> bool:
    """Whether the database refuses an overlap. The trial needs the newest schema."""
    return revision != migrations.newest_revision() or guard_is_in_place(database)


def _problems(session: Session, revision: str | None, *, guarded: bool, now: datetime) -> list[str]:
    """The problems that `docket check` would report; none for a database that has to be upgraded first."""
    if revision != migrations.newest_revision():
        return []
    return list(problems_of_copy(session, guarded=guarded, now=now))
