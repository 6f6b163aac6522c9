"""Squeeze-ins: how many each doctor allows at one time, and as many lanes beside the ordinary one.

On SQLite the check of the lane is edited in the table's definition, as in 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"

ALLOWED = "squeeze_ins BETWEEN 0 AND 3"
ONE = "lane IN (0, 1) AND (lane = 0 OR trim(squeeze_reason) <> '')"
THREE = "lane BETWEEN 0 AND 3 AND (lane = 0 OR trim(squeeze_reason) <> '')"


def upgrade() -> None:
    check = f"CONSTRAINT ck_doctors_squeeze_ins CHECK ({ALLOWED})"
    op.execute(f"ALTER TABLE doctors ADD COLUMN squeeze_ins SMALLINT DEFAULT 0 NOT NULL {check}")
    _check_lane(ONE, THREE)


def downgrade() -> None:
    """Refuse while an appointment is in a lane that there was not."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM appointments WHERE lane > 1")).scalar_one():
        raise ValueError("Appointments are in lane 2 or 3. Cancelled ones count: move or erase them first.")
    _check_lane(THREE, ONE)
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_doctors_squeeze_ins", "doctors")
    op.drop_column("doctors", "squeeze_ins")


def _check_lane(old: str, new: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        _edit_definition(f"CHECK ({old})", f"CHECK ({new})")
        return
    # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.execute(
        f"ALTER TABLE appointments DROP CONSTRAINT ck_appointments_lane,"
        f" ADD CONSTRAINT ck_appointments_lane CHECK ({new})"
    )


def _edit_definition(old: str, new: str) -> None:
    """Write the definition of the table anew, and make every connection read it again."""
    master = sa.table("sqlite_master", sa.column("type"), sa.column("name"), sa.column("sql"))
    found = master.c.type == "table", master.c.name == "appointments"
    definition = op.get_bind().execute(sa.select(master.c.sql).where(*found)).scalar_one()
    if definition.count(old) != 1:
        raise ValueError(f"The table appointments has another definition than Docket gave it: {definition}")
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    try:
        op.execute(sa.update(master).where(*found).values(sql=definition.replace(old, new)))
        op.execute(f"PRAGMA schema_version = {version + 1}")
    finally:
        # This connection reads it now, and fails if it makes no sense.
        op.execute("PRAGMA writable_schema = RESET")
