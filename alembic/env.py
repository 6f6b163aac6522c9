"""How Alembic reaches Docket's database. Migrations run in one transaction: all of them, or none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

import webapp.models  # noqa: F401 - importing it fills Base.metadata
from webapp.config import Settings
from webapp.database import Base, Database

# Any number that nothing else in this database uses: two upgrades at once then wait for each other.
UPGRADE_LOCK = 7_203_144


def run() -> None:
    """Migrate the database that the caller handed over, or the one that the settings name."""
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
                # Ordinary locks are waited for three seconds, which a migration may well outlast.
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
                # A table that somebody holds, though, must not bring everybody behind us to a stop.
                connection.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))
            context.run_migrations()


run()
