"""By how many minutes a doctor is running late, and on which day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"

CHECK = "CONSTRAINT ck_doctors_late_minutes CHECK (late_minutes BETWEEN 0 AND 480)"


def upgrade() -> None:
    op.execute(f"ALTER TABLE doctors ADD COLUMN late_minutes SMALLINT DEFAULT 0 NOT NULL {CHECK}")
    op.add_column("doctors", sa.Column("late_on", sa.Date, nullable=True))


def downgrade() -> None:
    op.drop_column("doctors", "late_on")
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_doctors_late_minutes", "doctors")
    op.drop_column("doctors", "late_minutes")
