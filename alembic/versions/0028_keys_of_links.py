"""Links to an appointment carry a random key instead of its reference and the address, and can be ended."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0028"
down_revision = "0027"

visits = sa.table(
    "appointments",
    sa.column("id", sa.Integer()),
    sa.column("link_key", sa.String(22)),
    sa.column("starts_at", UtcDateTime()),
)


def upgrade() -> None:
    op.add_column("appointments", sa.Column("link_key", sa.String(22), nullable=True))
    op.add_column("appointments", sa.Column("links_ended_at", UtcDateTime(), nullable=True))
    op.create_index("ix_appointments_link_key", "appointments", ["link_key"], unique=True)
    # Links to others were sent already, and keep working until their end; no more will be.
    connection = op.get_bind()
    upcoming = sa.select(visits.c.id).where(visits.c.starts_at > datetime.now(UTC))
    for visit_id in connection.execute(upcoming).scalars().all():
        key = secrets.token_urlsafe(16)
        connection.execute(sa.update(visits).where(visits.c.id == visit_id).values(link_key=key))
    if connection.dialect.name == "postgresql":
        # Versions of schedules follow this table with triggers that wait for the end; later changes of it could not.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")


def downgrade() -> None:
    op.drop_index("ix_appointments_link_key", "appointments")
    op.drop_column("appointments", "links_ended_at")
    op.drop_column("appointments", "link_key")
