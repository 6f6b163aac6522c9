"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.cast import Cast, client_for


@pytest.fixture
def api(sqlite_cast: Cast) -> Iterator[TestClient]:
    """The API of the clinic in `sqlite_cast`."""
    with client_for(sqlite_cast.database) as client:
        yield client
