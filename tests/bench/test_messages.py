"""The proof that messages arrive, on a small scale: a worker crashes at each step, once on each database."""

from __future__ import annotations

import pytest

from bench.crashing_worker import STEPS
from bench.messages import ClinicUnderTest, count, prove_kills
from tests.mail_server import mail_server


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_worker_that_crashes_at_any_step_loses_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    clinic = ClinicUnderTest(request.getfixturevalue(f"{kind}_url"), bookings=8)
    findings = list(prove_kills(kind, clinic, 1))
    assert [(found.messages, found.arrived, found.dead, found.lost) for found in findings] == [(1, 1, 0, 0)] * 4
    # Only a crash between sending and marking leaves open whether the message was sent.
    assert [found.repeated for found in findings] == [0, 0, 1, 1]
    assert all(found.good for found in findings), dict(zip(STEPS, findings, strict=True))
    # The proof can fail: a message that is marked as sent and did not arrive counts as lost.
    with mail_server() as server:
        assert count(kind, "", clinic, server).lost == 1
    clinic.database.dispose()
