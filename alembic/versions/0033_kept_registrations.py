"""A registration waits, with its code, until the address is confirmed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.add_column("sign_in_codes", sa.Column("registration", sa.JSON))


def downgrade() -> None:
    op.drop_column("sign_in_codes", "registration")
