"""The API does what its description says: a bounded part of `make schema`, the same requests each time."""

from __future__ import annotations

import pytest

from bench.schema import explore, furnish
from tests.cast import assemble
from webapp.database import Database


@pytest.mark.parametrize(
    ("who", "kind", "phases"),
    [
        ("admin", "sqlite", ("coverage",)),
        ("admin", "postgresql", ("examples", "fuzzing")),
        ("patient", "sqlite", ("examples", "fuzzing")),
    ],
)
def test_every_answer_is_as_described(
    request: pytest.FixtureRequest, who: str, kind: str, phases: tuple[str, ...]
) -> None:
    database = Database(request.getfixturevalue(f"{kind}_url"))
    cast = assemble(database)
    furnish(cast)
    found = explore(cast, who, phases=phases, examples=3, thorough=False)
    database.dispose()
    assert found.failures == {}, found.words()
    # The explorer found its way: something was created, and nothing of ours went wrong.
    assert found.statuses[201]
    assert max(found.statuses) < 500
