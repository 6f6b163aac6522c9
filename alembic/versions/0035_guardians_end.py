"""A guardian's access ends at an age: the clinic's setting, since when a person is managed, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0035"
down_revision = "0034"

INSTANTS = ("managed_since", "managed_until", "managed_told_at")


def upgrade() -> None:
    op.add_column("clinic_settings", sa.Column("guardian_age", sa.Integer))
    op.add_column("clinic_settings", sa.Column("guardian_age_since", sa.Date))
    for name in INSTANTS:
        op.add_column("patients", sa.Column(name, UtcDateTime))
    op.create_index("ix_patients_managed_until", "patients", ["managed_until"])
    # Of links that exist, only this is known: they cannot be older than the record.
    op.execute("UPDATE patients SET managed_since = created_at WHERE managed_by_id IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_patients_managed_until", "patients")
    for name in reversed(INSTANTS):
        op.drop_column("patients", name)
    for name in ("guardian_age_since", "guardian_age"):
        op.drop_column("clinic_settings", name)
