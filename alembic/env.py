"""Connects Alembic to Docket's database. Migrations run in one transaction: all of them, or none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

import webapp.models  # noqa: F401 - importing it fills Base.metadata
from webapp.config import Settings
from webapp.database import Base, Database
from webapp.migrations import UPGRADE_LOCK


def run() -> None:
    """Migrate the database that the caller passed, or the one that the settings name."""
    database: Database | None = context.config.attributes.get("database")
    database = database or Database(Settings().database_url)
    with database.engine.connect() as connection:
        # On SQLite this makes the transaction take the write lock at its start.
        connection = connection.execution_options(docket_write=True)
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transactional_ddl=True,
            compare_type=True,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                # An upgrade waits for another one as long as it takes; other locks are waited for three seconds.
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
                # A lock on a table must not block all later requests, so the migrations wait for it only as usual.
                connection.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))
            context.run_migrations()


run()
