"""The database and the address for a command: the database of the settings, and this machine's address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from webapp.config import Settings


class WrongUse(click.ClickException):
    """The arguments make no sense. The message is printed without the usage that click's own error prints."""

    exit_code = 2


@contextmanager
def open_database() -> Iterator[Any]:
    """The database from the settings, which has this version's schema; it is closed at the end.

    Raises:
        WrongUse: no database is there. WrongSchema: it has another schema.
    """
    from webapp import migrations

    with any_database() as database:
        migrations.require_current(database)
        yield database


@contextmanager
def any_database(*, create: bool = False) -> Iterator[Any]:
    """The database from the settings, with any schema.

    Raises:
        WrongUse: no database is there, and this command creates none.
    """
    from webapp.event_handlers import wired_database

    url = Settings().database_url if create else url_of_existing()
    database = wired_database(url)
    try:
        yield database
    finally:
        database.dispose()


def url_of_existing() -> str:
    """The address of the database from the settings.

    Raises:
        WrongUse: no database is there.
    """
    from webapp.engines import sqlite_file

    url = Settings().database_url
    path = sqlite_file(url)
    if path is not None and not path.exists():
        raise WrongUse(
            f"There is no database at {path.absolute()}. Run the command in the folder of your clinic, or name the "
            "database in DOCKET_DATABASE_URL; `docket db upgrade` creates a new one."
        )
    return url


def own_address(host: str, port: int) -> str:
    """The address of this machine, for links in messages if it is not configured.

    By name, because browsers accept passkeys for http://localhost, and not for 127.0.0.1.
    """
    here = {"0.0.0.0", "::", "127.0.0.1", "::1"}  # noqa: S104 - nothing is bound here.
    return f"http://{'localhost' if host in here else host}:{port}"
