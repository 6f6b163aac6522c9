"""Clinics know whether an admin has confirmed their time zone; until then the overview asks for it.

Where another zone than the default was chosen, or appointments were booked, the zone is known to be right.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("clinic_settings", sa.Column("zone_confirmed", sa.Boolean, nullable=False, server_default=sa.false()))
    settings = sa.table("clinic_settings", sa.column("time_zone"), sa.column("zone_confirmed", sa.Boolean))
    is_known = sa.or_(
        settings.c.time_zone != "Europe/Amsterdam",
        sa.exists(sa.select(sa.literal(1)).select_from(sa.table("appointments"))),
    )
    op.execute(sa.update(settings).where(is_known).values(zone_confirmed=True))
    if op.get_bind().dialect.name == "postgresql":
        # Versions of schedules follow this table with triggers that wait for the end; later changes of it could not.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")


def downgrade() -> None:
    op.drop_column("clinic_settings", "zone_confirmed")
