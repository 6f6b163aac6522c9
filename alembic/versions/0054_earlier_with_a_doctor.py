"""An index that finds a patient's appointments with one doctor

A doctor's day says which patients are new to the doctor, and lists the earlier appointments of the next one. Without
this index both read all appointments of these patients, with all doctors.
"""

from __future__ import annotations

from alembic import op

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    op.create_index("ix_appointments_patient_doctor", "appointments", ["patient_id", "doctor_id", "starts_at"])


def downgrade() -> None:
    op.drop_index("ix_appointments_patient_doctor", table_name="appointments")
