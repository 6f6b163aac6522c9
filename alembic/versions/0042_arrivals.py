"""When a patient arrived. Those who are waiting at this moment get no minutes, because nothing says since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.add_column("appointments", sa.Column("arrived_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("appointments", "arrived_at")
