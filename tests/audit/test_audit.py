"""The audit log can only be extended and read, even with all rights of the application."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.cast import NOW, Cast
from webapp.audit import service as audit
from webapp.models import AuditEvent

SUBJECT = ("appointment", 17)


def record(cast: Cast, action: str = "booked", *, visible: bool = True, subject: tuple[str, int] = SUBJECT) -> None:
    """Write one row."""
    cast.database.write(
        audit.record,
        action,
        subject=subject,
        actor_user_id=1,
        actor_role="patient",
        now=NOW,
        visible=visible,
        details={"to": "2026"},
    )


def run(cast: Cast, statement: str) -> None:
    """Run one statement of SQL, and keep what it does."""
    cast.database.write(lambda session: session.execute(sa.text(statement)))


def everything(cast: Cast) -> list[sa.Row[tuple[object, ...]]]:
    """All rows."""
    with cast.database.reading() as session:
        return list(session.execute(sa.select(*AuditEvent.__table__.columns).order_by(AuditEvent.id)))


def test_rows_can_be_neither_changed_nor_removed(cast: Cast) -> None:
    record(cast)
    before = everything(cast)
    attempts = [
        "UPDATE audit_events SET action = 'nothing'",
        "UPDATE audit_events SET visible = false WHERE id = 1",
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE id = 1",
    ]
    if cast.database.is_sqlite:
        attempts += ["UPDATE OR REPLACE audit_events SET id = 2", "UPDATE OR IGNORE audit_events SET action = ''"]
    else:
        attempts += ["TRUNCATE audit_events"]
    for statement in attempts:
        with pytest.raises(DBAPIError, match="audit_is_append_only"):
            run(cast, statement)
    assert everything(cast) == before
    record(cast, "moved")
    assert len(everything(cast)) == 2


def test_a_row_cannot_be_replaced_by_another(cast: Cast) -> None:
    record(cast)
    before = everything(cast)
    columns = "id, at, actor_role, action, subject_type, subject_id, visible, details, address"
    values = "1, '2026-01-01 00:00:00', 'admin', 'forged', 'appointment', 17, true, '{}', ''"
    statement = f"INSERT INTO audit_events ({columns}) VALUES ({values})"
    if cast.database.is_sqlite:
        statement = statement.replace("INSERT", "INSERT OR REPLACE")
    else:
        statement += " ON CONFLICT (id) DO UPDATE SET action = 'forged'"
    with pytest.raises(DBAPIError):
        run(cast, statement)
    assert everything(cast) == before


def test_the_history_is_the_visible_rows_of_one_subject_in_order(cast: Cast) -> None:
    record(cast, "booked")
    record(cast, "looked at", visible=False)
    record(cast, "booked", subject=("appointment", 18))
    record(cast, "booked", subject=("user", 17))
    record(cast, "moved")
    with cast.database.reading() as session:
        entries = audit.history(session, SUBJECT)
    assert [entry.action for entry in entries] == ["booked", "moved"]
    assert entries[0] == audit.HistoryRow("booked", NOW, 1, "patient", {"to": "2026"})


def test_a_row_is_undone_with_the_change_that_it_records(cast: Cast) -> None:
    def work(session: sa.orm.Session) -> None:
        audit.record(session, "booked", subject=SUBJECT, actor_user_id=1, actor_role="patient", now=NOW + timedelta(1))
        raise LookupError

    with pytest.raises(LookupError):
        cast.database.write(work)
    assert everything(cast) == []
