"""Security events leave rows that an attacker cannot multiply, and log lines that name no person."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import cast as cast_to

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, Cast, client_for, log_in
from tests.reading import read
from webapp.audit import security_events, traces
from webapp.audit import service as audit
from webapp.audit.security_events import ObservedEvent
from webapp.database import Database
from webapp.exceptions import Unavailable
from webapp.models import AuditEvent, FailedLogin, SecurityEvent


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
    seen = ObservedEvent("page_refused", about="/admin", network="192.0.2.1")
    for second in (0, 20, 59, 61):
        cast.database.write(security_events.record, seen, now=NOW + timedelta(seconds=second))
    assert [(row[0], row[4]) for row in events(cast)] == [("page_refused", 3), ("page_refused", 1)]


def test_a_minute_has_so_many_rows_and_then_one_more(sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_events, "MOST_A_MINUTE", 10)
    for number in range(25):
        seen = ObservedEvent("link_refused", network=f"192.0.2.{number}")
        sqlite_cast.database.write(security_events.record, seen, now=NOW)
    found = events(sqlite_cast)
    assert len(found) == 12
    assert sum(row[4] for row in found) == 25


def test_a_flood_of_refusals_does_not_hide_who_signed_in(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(security_events, "MOST_A_MINUTE", 5)
    monkeypatch.setattr(security_events, "tally", security_events.Tally())
    caplog.set_level(logging.INFO, "docket.security")

    def flood(session: Session) -> None:
        for number in range(12):
            security_events.record(session, ObservedEvent("page_refused", network=f"2001:db8:0:{number}::"), now=NOW)
            security_events.record(session, ObservedEvent("link_refused", network=f"2001:db8:0:{number}::"), now=NOW)
        carol = cast.carol.user_id
        security_events.sign_in_failed(session, carol, how="password", address="192.0.2.7", now=NOW)
        security_events.signed_in(session, carol, address="192.0.2.7", now=NOW)

    cast.database.write(flood)
    found = events(cast)
    assert [(row[0], row[1], row[3]) for row in found[-2:]] == [
        ("sign_in_failed", cast.carol.user_id, "192.0.2.7"),
        ("signed_in", cast.carol.user_id, "192.0.2.7"),
    ]
    assert len(found) <= 5 + 1 + 2 + 2
    assert f"signed_in user={cast.carol.user_id} network=192.0.2.7" in caplog.text


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


@pytest.mark.both_databases
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


def test_refusals_are_counted_after_the_answer(client: TestClient, cast: Cast) -> None:
    log_in(client, "dave")
    for _ in range(3):
        assert client.get("/admin/patients/1").status_code == 403
    assert client.post("/logout", headers={"origin": "https://evil.example"}).status_code == 403
    client.get("/password/reset/forged")
    client.get("/email/confirm/forged")
    client.get("/visit/forged")
    client.get("/calendar/forged.ics")
    client.get("/api/v1/auth/me", headers={"authorization": "Bearer forged"})
    client.post("/api/v1/auth/refresh", json={"refresh_token": "forged"})
    assert events(cast)[1:] == [
        ("page_refused", cast.dave.user_id, "/admin/patients/{patient_id}", "testclient", 3),
        ("origin_refused", cast.dave.user_id, "", "testclient", 1),
        ("link_refused", cast.dave.user_id, "/password/reset/{token}", "testclient", 1),
        ("link_refused", cast.dave.user_id, "/email/confirm/{token}", "testclient", 1),
        ("link_refused", cast.dave.user_id, "/visit/{token}", "testclient", 1),
        ("link_refused", cast.dave.user_id, "/calendar/{token}.ics", "testclient", 1),
        ("token_forged", 0, "/api/v1/auth/me", "testclient", 1),
        ("refresh_refused", 0, "/api/v1/auth/refresh", "testclient", 1),
    ]


def test_traces_that_cannot_be_written_wait_and_are_lost_only_when_there_are_too_many(
    sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST_WAITING", 3)
    waiting = traces.Traces(sqlite_cast.database, every=0)
    for number in range(5):
        waiting.put(
            partial(audit.record_by, author=sqlite_cast.carol, action=f"read_{number}", subject=("a", 1), now=NOW)
        )
    waiting.saw(ObservedEvent("page_refused"), now=NOW)
    with monkeypatch.context() as broken:
        broken.setattr(Database, "write", _unavailable)
        waiting.flush()
    assert waiting.due
    waiting.flush()
    assert not waiting.waiting
    with sqlite_cast.database.reading() as session:
        found = session.scalars(sa.select(AuditEvent.action).where(AuditEvent.action.startswith("read_"))).all()
    assert found == ["read_2", "read_3", "read_4"]
    assert [row[0] for row in events(sqlite_cast)] == ["page_refused"]


def test_a_trace_that_the_database_refuses_does_not_take_others_with_it(
    sqlite_cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = traces.Traces(sqlite_cast.database, every=0)
    for action, subject in (("read_1", 1), ("refused", None), ("read_2", 2)):
        waiting.put(
            partial(audit.record_by, author=sqlite_cast.carol, action=action, subject=("a", subject), now=NOW)  # type: ignore[arg-type]
        )
    waiting.saw(ObservedEvent("page_refused"), now=NOW)
    waiting.flush()
    assert not waiting.waiting
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["A trace is lost"]
    with sqlite_cast.database.reading() as session:
        found = session.scalars(sa.select(AuditEvent.action).where(AuditEvent.subject_type == "a")).all()
    assert found == ["read_1", "read_2"]
    assert [row[0] for row in events(sqlite_cast)] == ["page_refused"]


def _unavailable(*_args: object, **_more: object) -> None:
    raise Unavailable("The database is away.")


def test_a_locked_database_can_still_be_read(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    assert client.get("/admin/patients").status_code == 200
    cast.database.write(lambda session: _read_while_locked(session, client))
    assert client.get("/admin/patients").status_code == 200
    with cast.database.reading() as session:
        listed = sa.select(AuditEvent.details).where(AuditEvent.action == "patients_listed")
        found = session.scalars(listed).all()
    assert len(found) == 3
    assert len(found[0]["patients"]) >= 2


def _read_while_locked(_session: Session, client: TestClient) -> None:
    state = cast_to(FastAPI, client.app).state
    state.traces.every = 3600
    assert client.get("/admin/patients").status_code == 200
    state.traces.every = 0


@pytest.mark.parametrize(
    ("path", "action", "listed"),
    [
        ("/admin/patients?q=alice", "patients_searched", "patients"),
        ("/admin/appointments?from=2026-01-01", "appointments_listed", "appointments"),
        ("/admin/messages", "messages_listed", "messages"),
        ("/admin/users", "users_listed", "users"),
        ("/api/v1/patients", "patients_listed", "patients"),
        ("/api/v1/appointments", "appointments_listed", "appointments"),
    ],
)
def test_lists_that_staff_read_are_recorded_with_their_ids(
    sqlite_cast: Cast, path: str, action: str, listed: str
) -> None:
    sqlite_cast.book(sqlite_cast.alice, "2026-03-03 09:30")
    with client_for(sqlite_cast.database) as client:
        log_in(client, "carol")
        assert client.get(path).status_code == 200
    with sqlite_cast.database.reading() as session:
        row = session.execute(
            sa.select(AuditEvent.action, AuditEvent.details, AuditEvent.actor_user_id).order_by(AuditEvent.id.desc())
        ).first()
    assert row is not None
    assert (row.action, row.actor_user_id) == (action, sqlite_cast.carol.user_id)
    assert row.details[listed], row


@pytest.mark.both_databases
def test_admins_read_and_filter_the_events_in_words(client: TestClient, cast: Cast) -> None:
    for _ in range(2):
        cast.database.write(
            security_events.sign_in_failed, cast.alice.user_id, how="password", address="192.0.2.7", now=NOW
        )
    cast.database.write(
        security_events.record, ObservedEvent("page_refused", about="/admin", network="192.0.2.8"), now=NOW
    )
    log_in(client, "carol")
    page = read(client.get("/admin/audit/security"))
    assert "Alice Adams Failed to sign in with a password 2 192.0.2.7" in page.text
    assert "Unknown person Was refused access to a page /admin 1 192.0.2.8" in page.text
    assert "192.0.2.8" not in read(client.get("/admin/audit/security?who=alice")).text
    assert "192.0.2.8" not in read(client.get("/admin/audit/security?action=sign_in_failed")).text
    assert "Alice Adams" not in read(client.get("/admin/audit/security?address=192.0.2.8")).text
    assert "No events match" in read(client.get("/admin/audit/security?last=2026-03-01")).text
    assert client.get("/admin/audit/security?first=nonsense").status_code == 422
    assert page.one("a", class_="button", href="/admin/audit")


def test_old_events_are_forgotten(cast: Cast) -> None:
    for days in (0, 1, 2):
        cast.database.write(security_events.record, ObservedEvent("signed_in", 1), now=NOW + timedelta(days=days))
    assert cast.database.write(security_events.forget_security_events, NOW + timedelta(days=1)) == 1
    assert len(events(cast)) == 2
