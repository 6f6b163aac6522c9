"""The key in the QR code of the clinic's poster, with which patients say that they are here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    column = sa.Column("poster_key", sa.String(22), nullable=False, server_default=sa.text("''"))
    op.add_column("clinic_settings", column)


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.drop_column("clinic_settings", "poster_key")
