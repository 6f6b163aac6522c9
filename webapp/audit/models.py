"""Who did what, when and from where. The database itself refuses to change or delete a row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base, ddl


class AuditEvent(Base):
    """One action, written in the transaction that performs it. `details` never holds health text.

    `subject_type` and `subject_id` name the row that it concerns, such as ("appointment", 17). An appointment's
    history, as its patient reads it, is its rows with `visible` set.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        sa.Index("ix_audit_events_subject", "subject_type", "subject_id", "id"),
        sa.Index("ix_audit_events_actor", "actor_user_id", "id"),
        sa.Index("ix_audit_events_at", "at", "id"),
        sa.Index("ix_audit_events_action", "action", "at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor_user_id: Mapped[int | None]
    actor_role: Mapped[str] = mapped_column(sa.String(10))
    action: Mapped[str] = mapped_column(sa.String(40))
    subject_type: Mapped[str] = mapped_column(sa.String(20))
    subject_id: Mapped[int]
    visible: Mapped[bool] = mapped_column(default=False)
    details: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    address: Mapped[str] = mapped_column(sa.String(45), default="")


SQLITE_APPEND_ONLY = [
    """
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
    """
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
    # INSERT OR REPLACE deletes without firing the trigger for deletions.
    """
    CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
    WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
]

POSTGRESQL_APPEND_ONLY = [
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'audit_is_append_only' USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
]

for _dialect, _statements in (("sqlite", SQLITE_APPEND_ONLY), ("postgresql", POSTGRESQL_APPEND_ONLY)):
    for _statement in _statements:
        sa.event.listen(AuditEvent.__table__, "after_create", ddl(_statement).execute_if(dialect=_dialect))


class SecurityEvent(Base):
    """What happened at the doors: sign-ins, wrong passwords, refused pages. Equal events of a minute are one row.

    Unlike the audit log these rows end: see `security_events.forget_security_events`. `actor_user_id` is the account
    that it concerns, 0 where that is unknown; `account` is the hash of an address that was tried. `about` is the
    pattern of a route, or the way of signing in.
    """

    __tablename__ = "security_events"
    __table_args__ = (
        sa.UniqueConstraint(
            *("minute", "action", "actor_user_id", "account", "about", "network"), name="uq_security_events_same"
        ),
        sa.Index("ix_security_events_actor", "actor_user_id", "id"),
        sa.Index("ix_security_events_action", "action", "minute", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    minute: Mapped[datetime]
    last_at: Mapped[datetime]
    action: Mapped[str] = mapped_column(sa.String(40))
    actor_user_id: Mapped[int]
    account: Mapped[str] = mapped_column(sa.String(64))
    about: Mapped[str] = mapped_column(sa.String(120))
    network: Mapped[str] = mapped_column(sa.String(45))
    count: Mapped[int]
