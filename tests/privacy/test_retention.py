"""Old rows are deleted each night, in small portions, and every table that grows has a rule for that."""

from __future__ import annotations

import logging
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local, log_in
from tests.reading import read
from webapp import models
from webapp.privacy import retention
from webapp.staff.audit import words

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)


def message(number: int, status: str, finished_at: datetime | None) -> models.OutboxMessage:
    return models.OutboxMessage(
        dedupe_key=str(number),
        message_id=f"{number:032x}",
        channel="email",
        recipient="alice@docket.example",
        template="visit_booked",
        values={},
        subject_type="user",
        subject_id=1,
        status=status,
        due_at=NOW,
        expires_at=NOW,
        created_at=NOW,
        finished_at=finished_at,
    )


def count(cast: Cast, table: type[models.Base]) -> int:
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def fill(cast: Cast) -> None:
    """In each table one row that is old, and one that is not."""
    for number, (status, age) in enumerate((("sent", 366), ("sent", 364), ("dead", 366), ("kept", 366), ("kept", 1))):
        cast.add(message(number, status, NOW - age * DAY))
    cast.add(message(9, "waiting", None))
    for until in (NOW - DAY, NOW + DAY):
        person = {"user_id": cast.alice.user_id, "created_at": NOW}
        name = str(until)
        cast.add(models.UserSession(id_hash=name, last_seen_at=NOW, expires_at=until, **person))
        cast.add(models.PasswordLink(token_hash=name, expires_at=until, **person))
    for age in (3, 1):
        cast.add(models.FailedLogin(account="x", address="192.0.2.1", at=NOW - age * DAY))
    for age in (91, 89):
        event = {"action": "signed_out", "actor_user_id": 1, "account": "", "about": "", "network": "", "count": 1}
        cast.add(models.SecurityEvent(minute=NOW - age * DAY, last_at=NOW, **event))
    for hour, age in ((10, 31), (11, 19)):
        number = put(cast, f"2026-03-02 {hour}:00")
        made = {"called_at": NOW, "called_by": cast.fiona.user_id}
        call = {"appointment_id": number, "starts_at": NOW - age * DAY, **made}
        cast.change(sa.insert(models.Call).values(call))
        spent = {"state_hash": str(age), "at": NOW - timedelta(minutes=age)}
        cast.change(sa.insert(models.SpentSignOn).values(spent))
    late = {"new_email": "late@docket.example", "new_email_until": NOW - DAY}
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(late))


def test_a_run_deletes_old_rows_and_reports_them(
    client: TestClient, cast: Cast, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(cast)
    stray, fresh, other = (tmp_path / name for name in (f"{77:032x}.eml", f"{78:032x}.eml", "notes.txt"))
    for path, age in ((stray, 2), (fresh, 0), (other, 2)):
        path.write_text("a mail")
        os.utime(path, (NOW.timestamp(), (NOW - age * DAY).timestamp()))
    with caplog.at_level(logging.INFO):
        removed = retention.run(cast.database, now=NOW, folder=tmp_path)
    assert removed == {
        "messages": 2,
        "sessions": 1,
        "password_links": 1,
        "failed_logins": 1,
        "security_events": 1,
        "calls": 1,
        "spent_sign_ons": 1,
        "files": 1,
        "new_addresses": 1,
        "stray_files": 1,
    }
    (said,) = (record.message for record in caplog.records if record.name == retention.__name__)
    assert said.startswith("Old data deleted: 2 messages, 1 calls, 1 sessions, 1 password_links, 1 failed_logins, ")
    assert {path.name for path in tmp_path.iterdir()} == {fresh.name, other.name}
    with cast.database.reading() as session:
        left = session.execute(sa.select(models.OutboxMessage.status, models.OutboxMessage.recipient)).all()
    # The worker's next round deletes the file and the row of the empty one.
    hers = "alice@docket.example"
    assert sorted(map(tuple, left)) == [("kept", ""), ("kept", hers), ("sent", hers), ("waiting", hers)]
    page = read(log_in(client, "carol").get("/admin/audit"))
    assert "Deleted old data: messages: 2, message files: 1" in page.text


def test_there_is_one_run_a_night(cast: Cast) -> None:
    def due(moment: str) -> bool:
        with cast.database.reading() as session:
            return retention.is_due(session, now=local(moment))

    assert due("2026-03-02 08:00")
    retention.run(cast.database, now=local("2026-03-02 08:00"))
    assert not due("2026-03-02 08:01")
    assert not due("2026-03-03 02:59")
    assert due("2026-03-03 03:00")


def test_many_old_rows_go_in_portions_and_a_run_can_be_stopped(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    for _number in range(5):
        cast.add(models.FailedLogin(account="x", address="192.0.2.1", at=NOW - 3 * DAY))
    assert retention.run(cast.database, now=NOW, stop=lambda: True) == {"failed_logins": 2}
    assert count(cast, models.FailedLogin) == 3
    assert retention.run(cast.database, now=NOW)["failed_logins"] == 3


def test_the_audit_log_ends_only_where_the_clinic_says_so(cast: Cast) -> None:
    row = {"actor_role": "system", "action": "old", "subject_type": "x", "subject_id": 1, "details": {}}
    for age in (1, 3, 11):
        cast.add(models.AuditEvent(at=datetime.now(NOW.tzinfo) - age * 366 * DAY, **row))
    assert "audit_rows" not in retention.run(cast.database, now=datetime.now(NOW.tzinfo))
    cast.change(sa.update(models.ClinicSettings).values(keep_audit_years=2))
    assert retention.run(cast.database, now=datetime.now(NOW.tzinfo))["audit_rows"] == 2


def test_every_table_has_an_end_that_is_documented() -> None:
    tables = models.Base.metadata.tables
    assert set(retention.TABLES) == set(tables)
    page = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()
    for table, end in retention.TABLES.items():
        assert f"| `{table}` | {end} |" in page


def test_the_audit_log_has_words_for_everything_that_a_run_deletes() -> None:
    assert [rule.name for rule in retention.RULES if rule.name not in words.OLD_DATA] == []


def test_every_table_lets_go_of_an_account_that_is_erased() -> None:
    """A row that points to an account goes with it, or a handler of `AccountErased` lets go first."""
    handled = {"patients.user_id", "appointments.booked_by", "doctors.user_id"}
    for table in models.Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table.name == "users" and key.ondelete not in {"CASCADE", "SET NULL"}:
                assert f"{table.name}.{key.parent.name}" in handled


def test_admins_set_the_periods(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    assert "/admin/clinic/privacy" in read(client.get("/admin/clinic")).links
    form = read(client.get("/admin/clinic/privacy")).form("/admin/clinic/privacy")
    assert client.post("/admin/clinic/privacy", data=form | {"keep_messages_days": "10"}).status_code == 422
    sent = form | {"keep_records_years": "20", "private_notes_in_copy": "y"}
    assert client.post("/admin/clinic/privacy", data=sent).headers["location"] == "/admin/clinic"
    assert "20 years" in read(client.get("/admin/clinic")).text
    assert client.post("/admin/clinic/privacy", data=form | {"keep_records_years": "1"}).status_code == 409
