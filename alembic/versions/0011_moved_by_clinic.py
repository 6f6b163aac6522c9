"""Appointments know whether the clinic moved them last; flags because of rules about when to book are taken off.

Earlier moves by the clinic are not marked: messages about them named the limit that applied then. A flag with a note of
staff stays, so that the note can still be read; the next change of hours takes it off.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_APPOINTMENTS = sa.table("appointments", sa.column("flagged_why"))
ABOUT_BOOKING = ("too_far_ahead", "patient_gap")


def upgrade() -> None:
    op.add_column("appointments", sa.Column("moved_by_clinic", sa.Boolean, nullable=False, server_default=sa.false()))
    flag = _APPOINTMENTS.c.flagged_why
    op.execute(sa.update(_APPOINTMENTS).where(flag.in_(ABOUT_BOOKING)).values(flagged_why=""))


def downgrade() -> None:
    op.drop_column("appointments", "moved_by_clinic")
