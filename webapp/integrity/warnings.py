"""Conditions that are not errors, but that the clinic should know about; `docket check` prints them first."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from webapp.clinic.models import ClinicSettings
from webapp.database import Database
from webapp.notifications.models import DEAD, OutboxMessage

# The first SQLite release with the fix for the bug that could corrupt a database in WAL mode.
SAFE_SQLITE = (3, 51, 3)


def find_warnings(database: Database, *, production: bool) -> Iterator[str]:
    """Conditions that are not errors, but that the clinic should know about."""
    with database.reading() as session:
        demo = session.scalar(sa.select(sa.exists().where(ClinicSettings.demo.is_(True))))
        dead = session.scalar(sa.select(sa.func.count()).select_from(OutboxMessage).where(DEAD))
        version = str(session.scalar(sa.text("SELECT sqlite_version()"))) if database.is_sqlite else ""
    if demo and production:
        yield "This is a demo clinic: its accounts have a password that everyone can read."
    if production and may_travel_unencrypted(database):
        yield (
            f"The connection to the database on {database.url.host} may be unencrypted; "
            "?sslmode=verify-full&sslrootcert=system at the end of DOCKET_DATABASE_URL requires encryption."
        )
    if dead:
        yield f"Messages that could not be delivered: {dead}. /admin/messages?state=dead shows them."
    if not version:
        return
    if tuple(int(part) for part in version.split(".")) < SAFE_SQLITE:
        yield (
            f"This SQLite is {version}. Releases before 3.51.3 have a rare bug that can damage a database with "
            "several writers; install the pysqlite3 package or a newer SQLite, or use PostgreSQL."
        )


def may_travel_unencrypted(database: Database) -> bool:
    """Whether the database is on another machine, and the address does not require encryption.

    A name without a dot, as of a container, is on this machine or its own network.
    """
    host = database.url.host or ""
    elsewhere = ("." in host or ":" in host) and not host.startswith(("/", "127.", "::1"))
    return elsewhere and database.url.query.get("sslmode") not in {"require", "verify-ca", "verify-full"}
