"""API tokens, with which programs act. Each has an account that holds its name, with a role of its own.

On SQLite the check of the role is edited in the table's definition, as in 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0032"
down_revision = "0031"

PEOPLE = "role IN ('patient', 'doctor', 'admin')"
WITH_MACHINES = "role IN ('patient', 'doctor', 'admin', 'machine')"


def upgrade() -> None:
    _check_role(PEOPLE, WITH_MACHINES)
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("handle", sa.String(8), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("made_by", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("last_used_at", UtcDateTime),
        sa.Column("last_network", sa.String(45), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("user_id", name="uq_api_tokens_user_id"),
        sa.UniqueConstraint("handle", name="uq_api_tokens_handle"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_tokens_user_id", ondelete="CASCADE"),
        sa.CheckConstraint("expires_at > created_at", name="ends"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_tokens_expires_at", "api_tokens", ["expires_at"])


def downgrade() -> None:
    op.drop_table("api_tokens")
    # What they did stays, and the accounts cannot be signed in to.
    op.execute("UPDATE users SET role = 'patient' WHERE role = 'machine'")
    _check_role(WITH_MACHINES, PEOPLE)


def _check_role(old: str, new: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        _edit_definition(f"CHECK ({old})", f"CHECK ({new})")
        return
    # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.execute(f"ALTER TABLE users DROP CONSTRAINT ck_users_role, ADD CONSTRAINT ck_users_role CHECK ({new})")


def _edit_definition(old: str, new: str) -> None:
    """Write the definition of the table anew, and make every connection read it again."""
    master = sa.table("sqlite_master", sa.column("type"), sa.column("name"), sa.column("sql"))
    found = master.c.type == "table", master.c.name == "users"
    definition = op.get_bind().execute(sa.select(master.c.sql).where(*found)).scalar_one()
    if definition.count(old) != 1:
        raise ValueError(f"The table users has another definition than Docket gave it: {definition}")
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    try:
        op.execute(sa.update(master).where(*found).values(sql=definition.replace(old, new)))
        op.execute(f"PRAGMA schema_version = {version + 1}")
    finally:
        # This connection reads it now, and fails if it makes no sense.
        op.execute("PRAGMA writable_schema = RESET")
