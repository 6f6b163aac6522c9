"""The audit log: who did what, when and from where. The database refuses to change or delete a row, with two
exceptions.

A row may lose its network address, because its person is erased; and rows that are older than the clinic's
own limit may be deleted, by the database's clock. There is no limit unless an admin sets one.
"""

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
    actor_role: Mapped[str] = mapped_column(sa.String(20))
    action: Mapped[str] = mapped_column(sa.String(40))
    subject_type: Mapped[str] = mapped_column(sa.String(20))
    subject_id: Mapped[int]
    visible: Mapped[bool] = mapped_column(default=False)
    details: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    address: Mapped[str] = mapped_column(sa.String(45), default="")


SQLITE_APPEND_ONLY = [
    """
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    WHEN NOT (NEW.address = '' AND NEW.id IS OLD.id AND NEW.at IS OLD.at
        AND NEW.actor_user_id IS OLD.actor_user_id AND NEW.actor_role IS OLD.actor_role AND NEW.action IS OLD.action
        AND NEW.subject_type IS OLD.subject_type AND NEW.subject_id IS OLD.subject_id
        AND NEW.visible IS OLD.visible AND NEW.details IS OLD.details)
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
    """
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    WHEN NOT EXISTS (
        SELECT 1 FROM clinic_settings
        WHERE keep_audit_years > 0 AND OLD.at < datetime('now', '-' || keep_audit_years || ' years')
    )
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
    CREATE FUNCTION refuse_audit_row_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
        IF TG_OP = 'UPDATE' AND NEW.address = '' AND to_jsonb(NEW) - 'address' = to_jsonb(OLD) - 'address' THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'DELETE' AND EXISTS (
            SELECT 1 FROM clinic_settings
            WHERE keep_audit_years > 0 AND OLD.at < now() - make_interval(years => keep_audit_years)
        ) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'audit_is_append_only' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_row_change()
    """,
    """
    CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
]

for _dialect, _statements in (("sqlite", SQLITE_APPEND_ONLY), ("postgresql", POSTGRESQL_APPEND_ONLY)):
    for _statement in _statements:
        sa.event.listen(AuditEvent.__table__, "after_create", ddl(_statement).execute_if(dialect=_dialect))


class SecurityEvent(Base):
    """Sign-ins, wrong passwords and refused pages. Equal events of a minute are one row.

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
