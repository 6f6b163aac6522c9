"""What two records were before they were joined, so that they can be parted again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    op.create_table(
        "joined_records",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("stays_id", sa.Integer, nullable=False),
        sa.Column("gone_id", sa.Integer, nullable=False),
        sa.Column("joined_at", UtcDateTime, nullable=False),
        sa.Column("kept", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_joined_records"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_joined_records_stays_id", "joined_records", ["stays_id"])


def downgrade() -> None:
    op.drop_table("joined_records")
