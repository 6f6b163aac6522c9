"""A private note stays with the doctor who wrote it when the appointment is given to another doctor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    op.add_column("appointments", sa.Column("note_doctor_id", sa.Integer))


def downgrade() -> None:
    op.drop_column("appointments", "note_doctor_id")
