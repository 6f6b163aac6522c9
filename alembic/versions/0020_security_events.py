"""Sign-ins, wrong passwords and refusals are kept, counted by minute; attempts are counted by wider networks, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0020"
down_revision = "0019"

KEY = ("minute", "action", "actor_user_id", "account", "about", "network")


def upgrade() -> None:
    op.create_table(
        "security_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("minute", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("actor_user_id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("about", sa.String(120), nullable=False),
        sa.Column("network", sa.String(45), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_security_events"),
        sa.UniqueConstraint(*KEY, name="uq_security_events_same"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_security_events_actor", "security_events", ["actor_user_id", "id"])
    op.create_index("ix_security_events_action", "security_events", ["action", "minute", "id"])
    empty = sa.text("''")
    for name in ("site", "region"):
        op.add_column("failed_logins", sa.Column(name, sa.String(45), nullable=False, server_default=empty))
    op.create_index("ix_failed_logins_site_at", "failed_logins", ["site", "at"])
    op.create_index("ix_failed_logins_region_at", "failed_logins", ["region", "at"])


def downgrade() -> None:
    for name in ("region", "site"):
        op.drop_index(f"ix_failed_logins_{name}_at", "failed_logins")
        op.drop_column("failed_logins", name)
    op.drop_table("security_events")
