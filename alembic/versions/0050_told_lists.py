"""Lists of who was told of a change, and how."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    op.create_table(
        "told_lists",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("words", sa.String(500), nullable=False),
        sa.Column("once", sa.String(40), nullable=True),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=True),
        sa.CheckConstraint("kind IN ('away', 'cancel', 'message')", name="kind"),
        sa.CheckConstraint("(kind = 'away') = (doctor_id IS NOT NULL AND day IS NOT NULL)", name="away"),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_told_lists_doctor_id"),
        sa.ForeignKeyConstraint(["made_by"], ["users.id"], name="fk_told_lists_made_by", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_told_lists"),
        sa.UniqueConstraint("once", name="uq_told_lists_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_told_lists_day", "told_lists", ["day"])
    op.create_table(
        "told_lines",
        sa.Column("list_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("appointment_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("what", sa.String(10), nullable=False),
        sa.Column("was_at", UtcDateTime(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("here", sa.Boolean(), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.CheckConstraint("what IN ('moved', 'cancelled', 'kept', 'message')", name="what"),
        sa.ForeignKeyConstraint(["list_id"], ["told_lists.id"], name="fk_told_lines_list_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["appointments.id"], name="fk_told_lines_appointment_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_told_lines_doctor_id"),
        sa.PrimaryKeyConstraint("list_id", "appointment_id", name="pk_told_lines"),
    )


def downgrade() -> None:
    op.drop_table("told_lines")
    op.drop_table("told_lists")
