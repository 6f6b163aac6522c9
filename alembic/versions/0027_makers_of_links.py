"""A link to a password knows which account made it, when that is not its owner's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("password_links", sa.Column("made_by", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("password_links", "made_by")
