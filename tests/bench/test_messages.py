"""The proof that messages arrive, in small: a worker dies at each step, once on each database."""

from __future__ import annotations

import pytest

from bench.messages import House, count, prove_kills
from bench.mortal import STEPS
from tests.mail_server import mail_server


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_worker_that_dies_at_any_step_loses_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    house = House(request.getfixturevalue(f"{kind}_url"), bookings=8)
    findings = list(prove_kills(kind, house, 1))
    assert [(found.messages, found.arrived, found.dead, found.lost) for found in findings] == [(1, 1, 0, 0)] * 4
    # Only between sending and marking nobody knows whether it was sent.
    assert [found.repeated for found in findings] == [0, 0, 1, 1]
    assert all(found.good for found in findings), dict(zip(STEPS, findings, strict=True))
    # A proof that cannot fail proves nothing: what is said to be sent and did not arrive is lost.
    with mail_server() as server:
        assert count(kind, "", house, server).lost == 1
    house.database.dispose()
