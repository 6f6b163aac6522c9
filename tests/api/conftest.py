"""What the tests of the API share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.cast import Cast, assemble, client_for
from webapp.database import Database


@pytest.fixture
def sqlite_cast(sqlite_url: str) -> Iterator[Cast]:
    """The cast on SQLite alone, for what no SQL is special to."""
    database = Database(sqlite_url)
    yield assemble(database)
    database.dispose()


@pytest.fixture
def api(sqlite_cast: Cast) -> Iterator[TestClient]:
    """The API of that clinic."""
    with client_for(sqlite_cast.database) as client:
        yield client
