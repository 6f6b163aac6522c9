"""Visit types say to whom they are suggested, so that a doctor's free times are not silently those of the shortest.

Types with the usual English names for a first visit or a follow-up are marked as such; admins can change it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

NAMED = {
    "new": ("%first visit%", "%first appointment%", "first % visit%", "%new patient%", "%intake%", "initial %"),
    "returning": ("%follow-up%", "%follow up%", "%followup%", "%check-back%", "%return visit%", "%review%"),
}


def upgrade() -> None:
    op.execute(
        "ALTER TABLE visit_types ADD COLUMN suggested_for VARCHAR(10) DEFAULT 'none' NOT NULL "
        "CONSTRAINT ck_visit_types_suggested_for CHECK (suggested_for IN ('new', 'returning', 'everyone', 'none'))"
    )
    types = sa.table("visit_types", sa.column("name", sa.String), sa.column("suggested_for", sa.String))
    for patients, names in NAMED.items():
        is_named = sa.or_(*(sa.func.lower(types.c.name).like(name) for name in names))
        op.execute(sa.update(types).where(is_named).values(suggested_for=patients))
    if op.get_bind().dialect.name == "postgresql":
        # Versions of schedules follow this table with triggers that wait for the end; later changes of it could not.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")


def downgrade() -> None:
    op.drop_column("visit_types", "suggested_for")
