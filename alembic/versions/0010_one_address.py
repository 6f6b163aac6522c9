"""One address for a patient with an account; when accounts were last seen; pairs of records of one person.

Until now staff edited the record's address while messages went to the account's. The account's stays; what staff wrote
becomes an address that the patient can still confirm, so that a correction is not lost.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from webapp.database import UtcDateTime

revision = "0010"
down_revision = "0009"

TO_CONFIRM = timedelta(days=7)
COLUMNS = ("has_password", "last_seen_at", "new_email", "new_email_until")
_USERS = sa.table(
    "users",
    sa.column("id"),
    sa.column("email"),
    sa.column("role"),
    sa.column("email_confirmed_at"),
    sa.column("has_password", sa.Boolean),
    sa.column("last_seen_at", UtcDateTime),
    sa.column("new_email"),
    sa.column("new_email_until", UtcDateTime),
)
_SESSIONS = sa.table("sessions", sa.column("user_id"), sa.column("last_seen_at", UtcDateTime))
_LINKS = sa.table("password_links", sa.column("user_id"))
_PATIENTS = sa.table("patients", sa.column("id"), sa.column("user_id"), sa.column("name"), sa.column("email"))
_PAIRS = sa.table(
    "possible_duplicates", sa.column("patient_id"), sa.column("other_id"), sa.column("noted_at", UtcDateTime)
)
_WORDS = sa.table("patient_words", sa.column("patient_id"), sa.column("word"))
_EVENTS = sa.table(
    "audit_events",
    sa.column("at", UtcDateTime),
    sa.column("actor_user_id"),
    sa.column("actor_role"),
    sa.column("action"),
    sa.column("subject_type"),
    sa.column("subject_id"),
)


def upgrade() -> None:
    op.add_column("users", sa.Column("has_password", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("users", sa.Column("last_seen_at", UtcDateTime))
    op.add_column("users", sa.Column("new_email", sa.String(254), nullable=False, server_default=sa.text("''")))
    op.add_column("users", sa.Column("new_email_until", UtcDateTime))
    op.create_table(
        "possible_duplicates",
        sa.Column("patient_id", sa.Integer, nullable=False),
        sa.Column("other_id", sa.Integer, nullable=False),
        sa.Column("noted_at", UtcDateTime, nullable=False),
        sa.Column("settled_at", UtcDateTime),
        sa.PrimaryKeyConstraint("patient_id", "other_id", name="pk_possible_duplicates"),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patients.id"], name="fk_possible_duplicates_patient_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["other_id"], ["patients.id"], name="fk_possible_duplicates_other_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("patient_id < other_id", name="order"),
    )
    op.create_index("ix_possible_duplicates_other_id", "possible_duplicates", ["other_id"])
    _remember_when_seen()
    _mark_those_without_password()
    _keep_one_address()
    _note_duplicates()


def _remember_when_seen() -> None:
    """From the sessions that there are, and from the audit log for those that have ended."""
    own = sa.or_(_EVENTS.c.action != "user_created", _EVENTS.c.actor_role == "patient")
    last_deed = sa.select(sa.func.max(_EVENTS.c.at)).where(_EVENTS.c.actor_user_id == _USERS.c.id, own)
    last_click = sa.select(sa.func.max(_SESSIONS.c.last_seen_at)).where(_SESSIONS.c.user_id == _USERS.c.id)
    deed, click = last_deed.scalar_subquery(), last_click.scalar_subquery()
    seen = sa.case((sa.or_(click.is_(None), deed > click), deed), else_=click)
    op.execute(sa.update(_USERS).values(last_seen_at=seen))


def _mark_those_without_password() -> None:
    """An account that another made has a password once its link was used, which ends the link and is logged."""
    about = (_EVENTS.c.subject_type == "user", _EVENTS.c.subject_id == _USERS.c.id)
    invited = sa.exists().where(*about, _EVENTS.c.action == "user_created", _EVENTS.c.actor_user_id != _USERS.c.id)
    chosen = sa.exists().where(*about, _EVENTS.c.action == "password_changed")
    op.execute(sa.update(_USERS).where(invited, ~chosen).values(has_password=False))


def _keep_one_address() -> None:
    other = (_PATIENTS.c.user_id == _USERS.c.id, _PATIENTS.c.email != _USERS.c.email)
    written = sa.select(_PATIENTS.c.email).where(*other, _PATIENTS.c.email != "").scalar_subquery()
    drifted = sa.exists().where(*other, _PATIENTS.c.email != "")
    wanted = sa.update(_USERS).where(drifted, _USERS.c.role == "patient")
    op.execute(wanted.values(new_email=written, new_email_until=datetime.now(UTC) + TO_CONFIRM))
    account = sa.select(_USERS.c.email).where(_USERS.c.id == _PATIENTS.c.user_id).scalar_subquery()
    both = sa.select(_PATIENTS.c.id, _PATIENTS.c.email, account).where(
        _PATIENTS.c.user_id.is_not(None), _PATIENTS.c.email != account
    )
    for number, old, new in op.get_bind().execute(both).all():
        op.execute(sa.delete(_WORDS).where(_WORDS.c.patient_id == number, _WORDS.c.word == old.lower()))
        known = sa.select(_WORDS.c.word).where(_WORDS.c.patient_id == number, _WORDS.c.word == new)
        if op.get_bind().scalar(known) is None:
            op.execute(sa.insert(_WORDS).values(patient_id=number, word=new))
        op.execute(sa.update(_PATIENTS).where(_PATIENTS.c.id == number).values(email=new))


def _note_duplicates() -> None:
    """Show staff the records that have the confirmed address of a patient's account, and its name."""
    own = sa.alias(_PATIENTS, "own")
    query = (
        sa.select(own.c.id, own.c.name, _PATIENTS.c.id, _PATIENTS.c.name)
        .select_from(own)
        .join(_USERS, _USERS.c.id == own.c.user_id)
        .join(_PATIENTS, _PATIENTS.c.email == _USERS.c.email)
        .where(_PATIENTS.c.user_id.is_(None), _USERS.c.email_confirmed_at.is_not(None), _USERS.c.role == "patient")
    )
    for first, name, second, other in op.get_bind().execute(query).all():
        if _plain_words(name) == _plain_words(other):
            low, high = sorted((first, second))
            op.execute(sa.insert(_PAIRS).values(patient_id=low, other_id=high, noted_at=datetime.now(UTC)))


def _plain_words(name: str) -> set[str]:
    letters = unicodedata.normalize("NFKD", name.casefold())
    return set("".join(each if each.isalnum() else " " for each in letters if not unicodedata.combining(each)).split())


def downgrade() -> None:
    op.drop_table("possible_duplicates")
    for column in reversed(COLUMNS):
        op.drop_column("users", column)
