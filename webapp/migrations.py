"""Migrating a database to the newest schema, for the command line, the tests and the readiness check."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from webapp.config import resource_folder
from webapp.database import Database
from webapp.engines import sqlite_file
from webapp.exceptions import AppError
from webapp.i18n import gettext as _

if TYPE_CHECKING:
    from alembic.config import Config

# Any number that nothing else in a PostgreSQL database uses: of two upgrades at the same time, one waits for the other.
UPGRADE_LOCK = 7_203_144

# Alembic takes 75 ms of CPU to import, so it is imported only where it is used: serving pages never migrates.


def alembic_config(database: Database) -> Config:
    """Alembic's settings for this database. No ini file is needed, so an installed wheel can also migrate."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resource_folder("alembic")).replace("%", "%%"))
    config.attributes["database"] = database
    return config


class WrongSchema(AppError):
    """The database does not have the schema that this version of Docket needs."""

    status = 503
    code = "wrong_schema"


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the migrations up to `revision`. If two processes do this at the same time, one waits for the other.

    Raises:
        WrongSchema: the database has a revision that this version of Docket does not know.
    """
    from alembic import command
    from alembic.util import CommandError

    try:
        with _announced(database):
            command.upgrade(alembic_config(database), revision)
    except CommandError as error:
        # This is read only now, because another upgrade may have been under way before.
        found = find_revision(database)
        if is_unknown(found):
            raise WrongSchema(str(schema_problem(found))) from error
        raise


def downgrade(database: Database, revision: str) -> None:
    """Revert migrations, for tests and for experts."""
    from alembic import command

    with _announced(database):
        command.downgrade(alembic_config(database), revision)


def is_under_way(database: Database) -> bool:
    """Whether a process is migrating the database at this moment, without waiting for it."""
    path = _announcement(database)
    if path is not None:
        return _is_locked(path)
    query = sa.text(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = :key "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with database.engine.connect() as connection:
        return connection.execute(query, {"key": UPGRADE_LOCK}).first() is not None


@contextmanager
def _announced(database: Database) -> Iterator[None]:
    """Let other processes know that a migration is under way. PostgreSQL's migrations hold a lock that all can see.

    On SQLite only the writing process can see its uncommitted changes. So it locks a file beside the database, which
    the system unlocks when the process ends, however it ends.
    """
    path = _announcement(database)
    if path is None:
        yield
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _announcement(database: Database) -> Path | None:
    path = sqlite_file(database.url)
    return path.with_name(f"{path.name}-upgrading") if path is not None else None


def _is_locked(path: Path) -> bool:
    try:
        with path.open(encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def newest_revision() -> str:
    """The revision that this version of Docket needs. Revisions are numbers, and their files begin with them.

    A test compares this with Alembic's own answer.
    """
    return max(_revisions())


def _revisions() -> set[str]:
    return {path.name.partition("_")[0] for path in (resource_folder("alembic") / "versions").glob("*.py")}


def find_revision(database: Database) -> str | None:
    """The revision that the database has; None before its first migration."""
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def is_unknown(revision: str | None) -> bool:
    """Whether this version of Docket has no such revision: a newer version has upgraded the database."""
    return revision is not None and revision not in _revisions()


def is_current(database: Database) -> bool:
    """Whether the schema is the one that this version of Docket needs."""
    return find_revision(database) == newest_revision()


def schema_problem(found: str | None) -> str | None:
    """Why this version of Docket cannot use a database with this revision, and what to do; None if it can."""
    newest = newest_revision()
    if found == newest:
        return None
    if is_unknown(found):
        return _(
            "The database has schema revision %(found)s, and this version of Docket knows revisions up to %(newest)s. "
            "A newer version has upgraded it: use that version, or restore a backup from before the upgrade."
        ) % {"found": found, "newest": newest}
    if found is None:
        return _("The database has no tables yet. Run `docket db upgrade` first.")
    words = _(
        "The database has schema revision %(found)s, and this version of Docket needs %(newest)s. "
        "Run `docket db upgrade` first."
    )
    return words % {"found": found, "newest": newest}


def require_current(database: Database) -> None:
    """Check that this version of Docket can use the database.

    Raises:
        WrongSchema: it cannot; the message says what to do.
    """
    if wrong := schema_problem(find_revision(database)):
        raise WrongSchema(wrong)
