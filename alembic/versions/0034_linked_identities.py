"""Accounts that identity providers sign in to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("factor_elsewhere", sa.Boolean, server_default=sa.false(), nullable=False))
    op.create_table(
        "linked_identities",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("provider", sa.String(30), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_used_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_linked_identities"),
        sa.UniqueConstraint("issuer", "subject", name="uq_linked_identities_issuer_subject"),
        sa.UniqueConstraint("user_id", "issuer", name="uq_linked_identities_user_id_issuer"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_linked_identities_user_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "spent_sign_ons",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_spent_sign_ons"),
    )
    op.create_index("ix_spent_sign_ons_at", "spent_sign_ons", ["at"])


def downgrade() -> None:
    op.drop_table("spent_sign_ons")
    op.drop_table("linked_identities")
    op.drop_column("sessions", "factor_elsewhere")
