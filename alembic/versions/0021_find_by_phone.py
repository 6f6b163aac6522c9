"""Patients are found by their address and by the first digits of their number without reading all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

UNREADABLE = sa.text("phone <> '' AND (phone NOT LIKE '+%' OR phone LIKE '% %')")


def upgrade() -> None:
    op.create_index("ix_patients_email", "patients", ["email", "user_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("patients", "phone", type_=sa.String(40, collation="C"))
    op.create_index("ix_patients_phone", "patients", ["phone"])
    op.create_index(
        "ix_patients_unreadable_phone", "patients", ["id"], postgresql_where=UNREADABLE, sqlite_where=UNREADABLE
    )


def downgrade() -> None:
    for name in ("ix_patients_unreadable_phone", "ix_patients_phone", "ix_patients_email"):
        op.drop_index(name, "patients")
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("patients", "phone", type_=sa.String(40, collation="default"))
