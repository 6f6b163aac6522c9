"""What staff need: flags, overrides, notes and undo on appointments; series of leave; words for finding patients;
links that set a first password.

Columns are added one by one and never in batch mode, which would drop the guard's triggers on SQLite.
"""

from __future__ import annotations

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0003"
down_revision = "0002"

TEXTS = {"flagged_why": 300, "override_reason": 300, "private_note": 2000}
INDEXES = {
    "ix_appointments_starts": ("starts_at", "id", "status"),
    "ix_appointments_visit_type_starts": ("visit_type_id", "starts_at", "id"),
    "ix_appointments_created": ("created_at", "id"),
}
PARTIAL_INDEXES = {
    "ix_appointments_open_starts": (("status", "starts_at", "id"), "status IN ('scheduled', 'confirmed', 'arrived')"),
    "ix_appointments_undone_starts": (("status", "starts_at", "id"), "status IN ('no_show', 'cancelled')"),
    "ix_appointments_flagged": (("starts_at",), "flagged_why <> ''"),
}
PLAIN_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "’": "", "'": ""})


def upgrade() -> None:
    for name, length in TEXTS.items():
        op.add_column("appointments", sa.Column(name, sa.String(length), nullable=False, server_default=sa.text("''")))
    op.add_column("appointments", sa.Column("previous_status", sa.String(10)))
    for name, columns in INDEXES.items():
        op.create_index(name, "appointments", list(columns))
    for name, (names, words) in PARTIAL_INDEXES.items():
        op.create_index(name, "appointments", list(names), sqlite_where=sa.text(words), postgresql_where=sa.text(words))
    op.add_column("time_off", sa.Column("series", sa.String(12)))
    op.create_index("ix_audit_events_at", "audit_events", ["at", "id"])
    op.create_index("ix_audit_events_action", "audit_events", ["action", "at", "id"])
    op.create_table(
        "password_links",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_password_links"),
        sa.UniqueConstraint("token_hash", name="uq_password_links_token_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_password_links_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_password_links_user_id", "password_links", ["user_id"])
    op.create_table(
        "patient_words",
        # Ranges of words sort by the code points of their letters, as on SQLite, and use the index.
        sa.Column("word", sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql"), nullable=False),
        sa.Column("patient_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("word", "patient_id", name="pk_patient_words"),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patients.id"], name="fk_patient_words_patient_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_patient_words_patient_id", "patient_words", ["patient_id"])
    op.create_index("ix_patients_name", "patients", ["name", "id"])
    op.create_index("ix_patients_birth_date", "patients", ["birth_date"])
    _find_words()


def _find_words() -> None:
    """Make the existing patients findable, as the application does with new ones."""
    connection = op.get_bind()
    words = sa.table("patient_words", sa.column("word"), sa.column("patient_id"))
    patients = connection.execute(sa.text("SELECT id, name, email, phone FROM patients")).all()
    found = [
        {"word": word, "patient_id": number}
        for number, name, email, phone in patients
        for word in sorted(_words_of(name, email, phone))
    ]
    if found:
        connection.execute(sa.insert(words), found)


def _words_of(name: str, email: str, phone: str) -> set[str]:
    """The words of a name, the e-mail address, and the telephone number in reverse."""
    words = {_plain(word) for word in re.split(r"[\s\-]+", name)} | {email.strip().lower()}
    digits = "".join(letter for letter in phone if letter.isascii() and letter.isdigit())
    return {word for word in (*words, f"#{digits[::-1]}" if digits else "") if word}


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(PLAIN_LETTERS))
    return "".join(letter for letter in decomposed if letter.isalnum())


def downgrade() -> None:
    op.drop_index("ix_patients_birth_date", "patients")
    op.drop_index("ix_patients_name", "patients")
    op.drop_table("patient_words")
    op.drop_table("password_links")
    op.drop_index("ix_audit_events_action", "audit_events")
    op.drop_index("ix_audit_events_at", "audit_events")
    op.drop_column("time_off", "series")
    for name in (*PARTIAL_INDEXES, *INDEXES):
        op.drop_index(name, "appointments")
    for name in ("previous_status", *TEXTS):
        op.drop_column("appointments", name)
