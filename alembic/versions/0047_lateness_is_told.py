"""Within how many hours of their appointment patients are told that a doctor is running late."""

from __future__ import annotations

from alembic import op

revision = "0047"
down_revision = "0046"

# The check is on the column, because SQLite can add a column with a check but cannot add a check to a table.
CHECK = "CONSTRAINT ck_clinic_settings_tell_late_hours CHECK (tell_late_hours BETWEEN 0 AND 12)"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.execute(f"ALTER TABLE clinic_settings ADD COLUMN tell_late_hours SMALLINT DEFAULT 0 NOT NULL {CHECK}")


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
        op.drop_constraint("ck_clinic_settings_tell_late_hours", "clinic_settings")
    op.drop_column("clinic_settings", "tell_late_hours")
