"""Patients who came without an appointment and wait, of which the open boards hear."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0048"
down_revision = "0047"

WAITS = sa.text("status = 'waiting'")


def upgrade() -> None:
    op.create_table(
        "walk_ins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=True),
        sa.Column("specialty", sa.String(80), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("came_at", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.Column("appointment_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("status IN ('waiting', 'taken', 'left')", name="status"),
        sa.CheckConstraint("doctor_id IS NULL OR specialty = ''", name="queue"),
        sa.CheckConstraint("(status = 'waiting') = (settled_at IS NULL)", name="settled"),
        sa.CheckConstraint("(status = 'taken') = (appointment_id IS NOT NULL)", name="taken"),
        sa.CheckConstraint("length(note) <= 200", name="note"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_walk_ins_patient_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_walk_ins_doctor_id"),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointments.id"], name="fk_walk_ins_appointment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_walk_ins"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_walk_ins_day", "walk_ins", ["day"])
    op.create_index(
        "uq_walk_ins_waiting",
        "walk_ins",
        ["patient_id", "day"],
        unique=True,
        sqlite_where=WAITS,
        postgresql_where=WAITS,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER walk_ins_live_on_change AFTER INSERT OR UPDATE OR DELETE ON walk_ins"
            " FOR EACH STATEMENT EXECUTE FUNCTION note_live_change_of_clinic()"
        )
        return
    for event in ("INSERT", "UPDATE", "DELETE"):
        op.execute(f"""
    CREATE TRIGGER walk_ins_live_on_{event.lower()} AFTER {event} ON walk_ins
    BEGIN
        INSERT INTO live_changes (doctor_id, day) SELECT 0, '';
    END
    """)


def downgrade() -> None:
    op.drop_table("walk_ins")
