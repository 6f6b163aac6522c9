"""The outbox: messages that wait to be sent, written in the same transaction as the change that they report."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base, PartialIndex

_UNDELIVERED = "status IN ('waiting', 'sending')"
_DEAD = "status = 'dead'"
# Most messages are sent e-mails. Other kinds may be rare, and have their own indexes.
_KEPT = "status = 'kept'"
_SMS = "channel = 'sms'"
# Queries must use exactly these words: with bound parameters neither database can tell that the partial index applies.
UNDELIVERED = sa.text(f"outbox_messages.{_UNDELIVERED}")
DEAD = sa.text(f"outbox_messages.{_DEAD}")
KEPT = sa.text(f"outbox_messages.{_KEPT}")
SMS = sa.text(f"outbox_messages.{_SMS}")


def _newest(name: str, words: str) -> sa.Index:
    """An index on the ids of the messages that meet this condition."""
    return PartialIndex(name, "id", where=words)


class OutboxMessage(Base):
    """One message to one address. `dedupe_key` ensures that the same news is sent once, however often it is written.

    `waiting` messages are due at `due_at`. A `sending` one is claimed by a worker until `lease_until`. `sent` was
    accepted by the server, `kept` was stored in a file because there is no server, `dead` was given up. `message_id` is
    the mail's Message-ID, the same in every try. `values` is what the template needs, without secrets: links are signed
    when the message is rendered. `last_error` is the code of a problem with its value. `subject_type` and `subject_id`
    say what it is about, as in the audit log.
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        sa.CheckConstraint("status IN ('waiting', 'sending', 'sent', 'kept', 'dead')", name="status"),
        sa.CheckConstraint("channel IN ('email', 'sms')", name="channel"),
        PartialIndex("ix_outbox_messages_due", "due_at", "id", where=_UNDELIVERED),
        _newest("ix_outbox_messages_dead", _DEAD),
        _newest("ix_outbox_messages_kept", _KEPT),
        _newest("ix_outbox_messages_sms", _SMS),
        sa.Index("ix_outbox_messages_subject", "subject_type", "subject_id", "id"),
        sa.Index("ix_outbox_messages_recipient", "recipient", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(sa.String(200), unique=True)
    message_id: Mapped[str] = mapped_column(sa.String(120), unique=True)
    channel: Mapped[str] = mapped_column(sa.String(10))
    # With this collation, addresses with the same prefix are adjacent in the index on both databases.
    recipient: Mapped[str] = mapped_column(sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql"))
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
