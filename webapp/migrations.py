"""Bringing a database to the newest schema, from the command line, the tests and the readiness check."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from webapp.config import resource_folder
from webapp.database import Database


def alembic_config(database: Database) -> Config:
    """Alembic's settings for this database; no ini file is needed, so an installed wheel can migrate too."""
    config = Config()
    config.set_main_option("script_location", str(resource_folder("alembic")).replace("%", "%%"))
    config.attributes["database"] = database
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the migrations up to `revision`. Two processes may call this at once: one waits for the other."""
    command.upgrade(alembic_config(database), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take migrations back; for tests and for people who know what they do."""
    command.downgrade(alembic_config(database), revision)


def is_current(database: Database) -> bool:
    """Whether the schema is the one that this version of Docket was written for."""
    newest = ScriptDirectory.from_config(alembic_config(database)).get_current_head()
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == newest
