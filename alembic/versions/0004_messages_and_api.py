"""Messages and the API: the outbox, message preferences of patients and the clinic, refresh and idempotency keys.

Columns are added one by one and never in batch mode, which would drop the guard's triggers on SQLite.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0004"
down_revision = "0003"

UNDELIVERED = sa.text("status IN ('waiting', 'sending')")
DEAD = sa.text("status = 'dead'")


def upgrade() -> None:
    op.add_column("users", sa.Column("email_confirmed_at", UtcDateTime))
    op.add_column("users", sa.Column("calendar_secret", sa.String(43), nullable=False, server_default=sa.text("''")))
    op.add_column("patients", sa.Column("wants_email", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("patients", sa.Column("wants_sms", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column(
        "clinic_settings", sa.Column("reminder_days", sa.String(40), nullable=False, server_default=sa.text("'7,1'"))
    )
    op.add_column(
        "clinic_settings", sa.Column("daytime_from", sa.Integer, nullable=False, server_default=sa.text("540"))
    )
    op.add_column(
        "clinic_settings", sa.Column("daytime_until", sa.Integer, nullable=False, server_default=sa.text("1200"))
    )
    _create_outbox()
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("session_id", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("used_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_refresh_tokens_token_hash"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_refresh_tokens_session_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_idempotency_keys"),
        sa.UniqueConstraint("user_id", "key", name="uq_idempotency_keys_user_id_key"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_idempotency_keys_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _create_outbox() -> None:
    op.create_table(
        "outbox_messages",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("dedupe_key", sa.String(200), nullable=False),
        sa.Column("message_id", sa.String(120), nullable=False),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("template", sa.String(60), nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("subject_type", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.String(60), nullable=False),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("last_error", sa.String(300), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_messages"),
        sa.UniqueConstraint("dedupe_key", name="uq_outbox_messages_dedupe_key"),
        sa.UniqueConstraint("message_id", name="uq_outbox_messages_message_id"),
        sa.CheckConstraint(
            "status IN ('waiting', 'sending', 'sent', 'kept', 'dead')", name=op.f("ck_outbox_messages_status")
        ),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_outbox_messages_channel")),
    )
    op.create_index(
        "ix_outbox_messages_due",
        "outbox_messages",
        ["due_at", "id"],
        sqlite_where=UNDELIVERED,
        postgresql_where=UNDELIVERED,
    )
    op.create_index("ix_outbox_messages_dead", "outbox_messages", ["id"], sqlite_where=DEAD, postgresql_where=DEAD)
    op.create_index("ix_outbox_messages_subject", "outbox_messages", ["subject_type", "subject_id", "id"])
    op.create_index("ix_outbox_messages_recipient", "outbox_messages", ["recipient", "id"])


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    op.drop_table("refresh_tokens")
    op.drop_table("outbox_messages")
    for table, names in {
        "clinic_settings": ("daytime_until", "daytime_from", "reminder_days"),
        "patients": ("wants_sms", "wants_email"),
        "users": ("calendar_secret", "email_confirmed_at"),
    }.items():
        for name in names:
            op.drop_column(table, name)
