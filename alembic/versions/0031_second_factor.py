"""A second factor for staff, and passkeys for everyone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column("users", sa.Column("factor_since", UtcDateTime))
    op.create_table(
        "authenticator_apps",
        sa.Column("user_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("secret", sa.String(400), nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_authenticator_apps"),
        _of_user("authenticator_apps"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("used_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_codes"),
        sa.UniqueConstraint("user_id", "code_hash", name="uq_recovery_codes_user_id_code_hash"),
        _of_user("recovery_codes"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("credential_id", sa.String(1400), nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_used_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
        _of_user("passkeys"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])
    op.create_table(
        "passkey_challenges",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("challenge_hash", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("user_id", sa.Integer),
        sa.Column("network", sa.String(45), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_passkey_challenges"),
        sa.UniqueConstraint("challenge_hash", name="uq_passkey_challenges_challenge_hash"),
        _of_user("passkey_challenges"),
        sqlite_autoincrement=True,
    )
    for column in ("user_id", "network", "created_at"):
        op.create_index(f"ix_passkey_challenges_{column}", "passkey_challenges", [column])


def downgrade() -> None:
    for table in ("passkey_challenges", "passkeys", "recovery_codes", "authenticator_apps"):
        op.drop_table(table)
    op.drop_column("users", "factor_since")


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id", ondelete="CASCADE")
