"""Migrating a database to the newest schema, for the command line, the tests and the readiness check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from webapp.config import resource_folder
from webapp.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic takes 75 ms of CPU to import, so it is imported only where it is used: serving pages never migrates.


def alembic_config(database: Database) -> Config:
    """Alembic's settings for this database. No ini file is needed, so an installed wheel can also migrate."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resource_folder("alembic")).replace("%", "%%"))
    config.attributes["database"] = database
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the migrations up to `revision`. If two processes call this at once, one waits for the other."""
    from alembic import command

    command.upgrade(alembic_config(database), revision)


def downgrade(database: Database, revision: str) -> None:
    """Revert migrations, for tests and for experts."""
    from alembic import command

    command.downgrade(alembic_config(database), revision)


def newest_revision() -> str:
    """The revision that this version of Docket needs. Revisions are numbers, and their files begin with them.

    A test compares this with Alembic's own answer.
    """
    return max(path.name.partition("_")[0] for path in (resource_folder("alembic") / "versions").glob("*.py"))


def is_current(database: Database) -> bool:
    """Whether the schema is the one that this version of Docket needs."""
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return False
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
    return found == [newest_revision()]
