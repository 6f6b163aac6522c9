"""The calls that the front desk made about appointments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("appointment_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("called_at", UtcDateTime(), nullable=False),
        sa.Column("called_by", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["appointments.id"], name="fk_calls_appointment_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["called_by"], ["users.id"], name="fk_calls_called_by", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("appointment_id", name="pk_calls"),
    )


def downgrade() -> None:
    op.drop_table("calls")
