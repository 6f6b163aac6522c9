"""What happens at the doors leaves rows that an attacker cannot multiply, and log lines that name nobody."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, Cast
from webapp.audit import security_events
from webapp.audit.security_events import Seen
from webapp.models import FailedLogin, SecurityEvent


def events(cast: Cast) -> list[tuple[str, int, str, str, int]]:
    """All rows in order: the action, the account, how or where, the network and the count."""
    columns = (
        SecurityEvent.action,
        SecurityEvent.actor_user_id,
        SecurityEvent.about,
        SecurityEvent.network,
        SecurityEvent.count,
    )
    with cast.database.reading() as session:
        return [tuple(row) for row in session.execute(sa.select(*columns).order_by(SecurityEvent.id))]  # type: ignore[misc]


def test_equal_events_of_a_minute_are_one_row(cast: Cast) -> None:
    seen = Seen("page_refused", about="/admin", network="192.0.2.1")
    for second in (0, 20, 59, 61):
        cast.database.write(security_events.record, seen, now=NOW + timedelta(seconds=second))
    assert [(row[0], row[4]) for row in events(cast)] == [("page_refused", 3), ("page_refused", 1)]


def test_a_minute_has_a_thousand_rows_and_then_one_more(sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_events, "MOST_A_MINUTE", 10)
    for number in range(25):
        seen = Seen("link_refused", network=f"192.0.2.{number}")
        sqlite_cast.database.write(security_events.record, seen, now=NOW)
    found = events(sqlite_cast)
    assert len(found) == 12
    assert sum(row[4] for row in found) == 25


def test_signing_in_and_out_and_failing_leave_traces_in_database_and_log(
    client: TestClient, cast: Cast, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_events, "tally", security_events.Tally())
    caplog.set_level(logging.INFO, logger="docket.security")
    alice = {"email": "alice@docket.example", "password": PASSWORD}
    client.post("/login", data={**alice, "password": "wrong"})
    client.post("/login", data={"email": "nobody@docket.example", "password": "wrong"})
    client.post("/login", data=alice)
    client.post("/logout")
    assert events(cast) == [
        ("sign_in_failed", cast.alice.user_id, "password", "testclient", 1),
        ("sign_in_failed", 0, "password", "testclient", 1),
        ("signed_in", cast.alice.user_id, "password", "testclient", 1),
        ("signed_out", cast.alice.user_id, "", "testclient", 1),
    ]
    lines = [record.getMessage() for record in caplog.records if record.name == "docket.security"]
    assert len(lines) == 4
    assert "docket.example" not in "".join(lines)
    assert security_events.tally.counts() == {"sign_in_failed": 2, "signed_in": 1, "signed_out": 1}


def test_throttled_attempts_are_counted_in_one_row(client: TestClient, cast: Cast) -> None:
    failed = [
        {"account": f"{number}", "address": "testclient", "device": "", "judged": True, "at": NOW}
        for number in range(10)
    ]
    cast.database.write(lambda session: session.execute(sa.insert(FailedLogin), failed))
    for name in ("alice", "carol", "alice"):
        sent = {"email": f"{name}@docket.example", "password": PASSWORD}
        assert client.post("/login", data=sent).status_code == 429
    assert events(cast) == [("sign_in_throttled", 0, "password", "testclient", 3)]


def test_old_events_are_forgotten(cast: Cast) -> None:
    for days in (0, 1, 2):
        cast.database.write(security_events.record, Seen("signed_in", 1), now=NOW + timedelta(days=days))
    assert cast.database.write(security_events.forget_security_events, NOW + timedelta(days=1)) == 1
    assert len(events(cast)) == 2
