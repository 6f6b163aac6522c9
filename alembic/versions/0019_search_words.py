"""Clinics have their own words by which patients find them, and a specialty that comes first in the list of doctors.

Where a doctor has one of the usual names of general practice, that specialty comes first; admins can change it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

GENERAL = ("general practice", "general medicine", "family medicine", "primary care", "general practitioner", "gp")


def upgrade() -> None:
    empty = sa.text("''")
    op.add_column("clinic_settings", sa.Column("search_words", sa.Text, nullable=False, server_default=empty))
    op.add_column("clinic_settings", sa.Column("first_specialty", sa.String(80), nullable=False, server_default=empty))
    doctors = sa.table("doctors", sa.column("specialty", sa.String), sa.column("active", sa.Boolean))
    general = sa.select(sa.func.min(doctors.c.specialty)).where(
        sa.func.lower(doctors.c.specialty).in_(GENERAL), doctors.c.active.is_(True)
    )
    settings = sa.table("clinic_settings", sa.column("first_specialty", sa.String))
    op.execute(sa.update(settings).values(first_specialty=sa.func.coalesce(general.scalar_subquery(), "")))
    if op.get_bind().dialect.name == "postgresql":
        # Versions of schedules follow this table with triggers that wait for the end; later changes of it could not.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")


def downgrade() -> None:
    op.drop_column("clinic_settings", "first_specialty")
    op.drop_column("clinic_settings", "search_words")
