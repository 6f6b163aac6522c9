"""The clinic's privacy notice and imprint with their versions, who has read which, and the line for emergencies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0026"
down_revision = "0025"

NUMBERS = ("privacy_document", "imprint_document", "consent_document")


def upgrade() -> None:
    op.create_table(
        "clinic_documents",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("asks_again", sa.Boolean, nullable=False),
        sa.Column("published_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clinic_documents"),
        sa.UniqueConstraint("kind", "version", name="uq_clinic_documents_kind_version"),
        sa.CheckConstraint("kind IN ('privacy', 'imprint')", name="kind"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "consents",
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("document_id", sa.Integer, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "document_id", name="pk_consents"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_consents_user_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["document_id"], ["clinic_documents.id"], name="fk_consents_document_id"),
    )
    for name in NUMBERS:
        op.add_column("clinic_settings", sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0")))
    for name, length in (("emergency_text", 300), ("emergency_phone", 40)):
        column = sa.Column(name, sa.String(length), nullable=False, server_default=sa.text("''"))
        op.add_column("clinic_settings", column)


def downgrade() -> None:
    for name in ("emergency_phone", "emergency_text", *reversed(NUMBERS)):
        op.drop_column("clinic_settings", name)
    op.drop_table("consents")
    op.drop_table("clinic_documents")
