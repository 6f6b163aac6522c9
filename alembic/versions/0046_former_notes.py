"""The private notes of doctors who had an appointment before, apart from the note of the doctor who has it.

An appointment that still holds the note of a former doctor keeps it until the next note or doctor: a service of the
earlier release, which may run beside this one, knows nothing of the table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"

# The earlier release has room for one note of a former doctor, where the present doctor has none.
FITS = """
appointments.private_note = '' AND former_notes.appointment_id = appointments.id AND former_notes.doctor_id =
(SELECT min(first.doctor_id) FROM former_notes AS first WHERE first.appointment_id = appointments.id)
"""
NO_ROOM = (
    "%s private notes of former doctors have no room in the earlier release, so nothing is changed."
    " If they may be lost, delete these rows of former_notes first."
)


def upgrade() -> None:
    op.create_table(
        "former_notes",
        sa.Column("appointment_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("doctor_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.String(2000), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["appointments.id"], name="fk_former_notes_appointment_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["doctor_id"], ["doctors.id"], name="fk_former_notes_doctor_id"),
        sa.PrimaryKeyConstraint("appointment_id", "doctor_id", name="pk_former_notes"),
    )


def downgrade() -> None:
    """Put each note back where the present doctor has none; refuse if one would be lost."""
    lost = _count("SELECT count(*) FROM former_notes")
    lost -= _count(f"SELECT count(*) FROM former_notes, appointments WHERE {FITS}")
    if lost:
        raise RuntimeError(NO_ROOM % lost)
    op.execute(
        "UPDATE appointments SET private_note = former_notes.text, note_doctor_id = former_notes.doctor_id"
        f" FROM former_notes WHERE {FITS}"
    )
    if op.get_bind().dialect.name != "sqlite":
        # Events of triggers that wait for the end would forbid the later changes of the tables.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.drop_table("former_notes")


def _count(query: str) -> int:
    return int(op.get_bind().execute(sa.text(query)).scalar_one())
