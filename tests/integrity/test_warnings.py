"""`docket check` warns of an old SQLite, and of a connection that may be unencrypted."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.cast import Cast
from webapp.database import Database
from webapp.integrity.warnings import find_warnings, may_travel_unencrypted


def test_warnings_are_for_an_old_sqlite_alone(cast: Cast) -> None:
    told = list(find_warnings(cast.database, production=False))
    if cast.database.is_sqlite:
        with cast.database.reading() as session:
            version = session.scalar(sa.text("SELECT sqlite_version()")) or ""
        assert bool(told) == (tuple(map(int, version.split("."))) < (3, 51, 3))
    else:
        assert told == []


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("postgresql://docket:pw@db.example.org/docket", True),
        ("postgresql://docket:pw@10.0.0.7/docket?sslmode=prefer", True),
        ("postgresql://docket:pw@db.example.org/docket?sslmode=verify-full", False),
        ("postgresql://docket:pw@database/docket", False),
        ("postgresql://docket:pw@127.0.0.1/docket", False),
        ("postgresql:///docket?host=/run/postgresql", False),
        ("sqlite:///var/docket.db", False),
    ],
)
def test_a_database_elsewhere_is_reached_encrypted(address: str, warned: bool) -> None:
    database = Database(address)
    assert may_travel_unencrypted(database) is warned
    database.dispose()
