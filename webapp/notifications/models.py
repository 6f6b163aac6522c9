"""The outbox: messages that wait to be sent, written in the same transaction as what they tell of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base

_UNDELIVERED = "status IN ('waiting', 'sending')"
_DEAD = "status = 'dead'"
# Queries use these very words: with bound parameters neither database could tell that the partial index fits.
UNDELIVERED = sa.text(f"outbox_messages.{_UNDELIVERED}")
DEAD = sa.text(f"outbox_messages.{_DEAD}")


class OutboxMessage(Base):
    """One message to one address. `dedupe_key` lets the same news be told once, however often it is written down.

    `waiting` messages are due at `due_at`; a `sending` one belongs to a worker until `lease_until`, and to nobody
    after that. `sent` was taken by the server, `kept` was put into a file for want of one, `dead` was given up.
    `message_id` is the mail's Message-ID, the same in every try. `values` is what the template needs, without
    secrets: links are signed when the message is written out. `subject_type` and `subject_id` say what it is about,
    as in the audit log.
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        sa.CheckConstraint("status IN ('waiting', 'sending', 'sent', 'kept', 'dead')", name="status"),
        sa.CheckConstraint("channel IN ('email', 'sms')", name="channel"),
        sa.Index(
            "ix_outbox_messages_due",
            "due_at",
            "id",
            sqlite_where=sa.text(_UNDELIVERED),
            postgresql_where=sa.text(_UNDELIVERED),
        ),
        sa.Index("ix_outbox_messages_dead", "id", sqlite_where=sa.text(_DEAD), postgresql_where=sa.text(_DEAD)),
        sa.Index("ix_outbox_messages_subject", "subject_type", "subject_id", "id"),
        sa.Index("ix_outbox_messages_recipient", "recipient", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(sa.String(200), unique=True)
    message_id: Mapped[str] = mapped_column(sa.String(120), unique=True)
    channel: Mapped[str] = mapped_column(sa.String(10))
    recipient: Mapped[str] = mapped_column(sa.String(254))
    template: Mapped[str] = mapped_column(sa.String(60))
    values: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    subject_type: Mapped[str] = mapped_column(sa.String(20))
    subject_id: Mapped[int]
    status: Mapped[str] = mapped_column(sa.String(10), default="waiting")
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    claimed_by: Mapped[str] = mapped_column(sa.String(60), default="")
    lease_until: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(sa.String(300), default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
