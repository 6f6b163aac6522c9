"""Codes that are sent by e-mail, to sign in without a password; and what a clinic asks new patients for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0024"
down_revision = "0023"

ASKED = "'ask'"


def upgrade() -> None:
    op.create_table(
        "sign_in_codes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("browser", sa.String(64), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("nonce", sa.String(43), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("mailed", sa.Boolean, nullable=False),
        sa.Column("sent_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("proved_at", UtcDateTime),
        sa.Column("used_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_codes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sign_in_codes_account_sent_at", "sign_in_codes", ["account", "sent_at"])
    op.create_index("ix_sign_in_codes_browser", "sign_in_codes", ["browser"])
    op.create_index("ix_sign_in_codes_sent_at", "sign_in_codes", ["sent_at"])
    for name in ("asks_birth_date", "asks_phone"):
        column = sa.Column(name, sa.String(10), nullable=False, server_default=sa.text(ASKED))
        op.add_column("clinic_settings", column)


def downgrade() -> None:
    op.drop_column("clinic_settings", "asks_phone")
    op.drop_column("clinic_settings", "asks_birth_date")
    op.drop_table("sign_in_codes")
