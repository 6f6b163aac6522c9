"""Indexes for messages: by the beginning of the recipient, and for the rare statuses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

RARE = {"ix_outbox_messages_kept": "status = 'kept'", "ix_outbox_messages_sms": "channel = 'sms'"}


def upgrade() -> None:
    _sort_recipients("C")
    for name, words in RARE.items():
        op.create_index(name, "outbox_messages", ["id"], sqlite_where=sa.text(words), postgresql_where=sa.text(words))


def downgrade() -> None:
    for name in RARE:
        op.drop_index(name, "outbox_messages")
    _sort_recipients("default")


def _sort_recipients(collation: str) -> None:
    """Sort recipients by code point on PostgreSQL, as SQLite does anyway."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f'ALTER TABLE outbox_messages ALTER COLUMN recipient TYPE VARCHAR(254) COLLATE "{collation}"')
