"""Many decisions about appointments are kept until they are carried out, so that none is lost in between."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.create_table(
        "pending_decisions",
        sa.Column(
            "appointment_id",
            sa.Integer,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("starts_at", UtcDateTime),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("why", sa.String(300), nullable=False),
        sa.Column("decided_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_id"],
            ["appointments.id"],
            name="fk_pending_decisions_appointment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("appointment_id", name="pk_pending_decisions"),
        sa.CheckConstraint("(starts_at IS NOT NULL) = (kind = 'move')", name=op.f("ck_pending_decisions_start")),
    )


def downgrade() -> None:
    op.drop_table("pending_decisions")
