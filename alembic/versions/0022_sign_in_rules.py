"""The clinic's rules about how staff sign in, and what a session knows of its owner's second factor.

A clinic that exists already does not require a second factor until an admin says so; new clinics do.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    rules = op.create_table(
        "sign_in_rules",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("idle_minutes", sa.Integer, server_default=sa.text("30"), nullable=False),
        sa.Column("staff_hours", sa.Integer, server_default=sa.text("12"), nullable=False),
        sa.Column("factor_doctors", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("factor_admins", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_rules"),
        sa.CheckConstraint("id = 1", name=op.f("ck_sign_in_rules_single_row")),
        sa.CheckConstraint("idle_minutes BETWEEN 5 AND 240", name=op.f("ck_sign_in_rules_idle_minutes")),
        sa.CheckConstraint("staff_hours BETWEEN 1 AND 24", name=op.f("ck_sign_in_rules_staff_hours")),
    )
    users = sa.table("users", sa.column("id"))
    connection = op.get_bind()
    if connection.scalar(sa.select(users.c.id).limit(1)) is not None:
        connection.execute(sa.insert(rules).values(id=1, factor_doctors=False, factor_admins=False))
    op.add_column("sessions", sa.Column("waits", sa.Boolean, server_default=sa.false(), nullable=False))
    op.add_column("sessions", sa.Column("factor_at", UtcDateTime))


def downgrade() -> None:
    op.drop_column("sessions", "factor_at")
    op.drop_column("sessions", "waits")
    op.drop_table("sign_in_rules")
