"""Patients, with or without their own account."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.names import sort_key_of_new
from webapp.database import SORTED_TEXT, Base, PartialIndex, database_now

# Numbers begin with + and have no spaces; texts from before Docket read numbers may have either. Queries
# must use exactly these words: with bound parameters neither database can tell that the partial index applies.
_UNREADABLE = "phone <> '' AND (phone NOT LIKE '+%' OR phone LIKE '% %')"
UNREADABLE_PHONE = sa.text(_UNREADABLE.replace("phone", "patients.phone"))


class Patient(Base):
    """A person with appointments. `user_id` is their own account; `managed_by_id` is the patient who books for them.

    `email` is always the account's address where there is an account: `webapp/patients/addresses.py` changes both.
    `wants_email` and `wants_sms` say which messages about appointments the patient wants. `alert` is a word or two that
    staff see wherever they see the patient; `desk_note` is longer, and is shown on the record.

    `managed_since` is when that link was made. It ends at `managed_until`, which is kept after the end; both people are
    told before, at `managed_told_at`. See `guardianship.py`.

    `closed_at`: the person will be erased; the record is locked, and no search finds it. `erase_on` is the day on which
    the legal period ends, and `erased_at` is when everything that names the person was deleted: see `webapp/privacy/`.
    """

    __tablename__ = "patients"
    __table_args__ = (
        sa.Index("ix_patients_sort_name", "sort_name", "id"),
        sa.Index("ix_patients_birth_date", "birth_date"),
        sa.Index("ix_patients_managed_until", "managed_until"),
        sa.Index("ix_patients_email", "email", "user_id"),
        sa.Index("ix_patients_phone", "phone"),
        PartialIndex("ix_patients_unreadable_phone", "id", where=_UNREADABLE),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), unique=True)
    managed_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("patients.id"), index=True)
    managed_since: Mapped[datetime | None]
    managed_until: Mapped[datetime | None]
    managed_told_at: Mapped[datetime | None]
    name: Mapped[str] = mapped_column(sa.String(120))
    sort_name: Mapped[str] = mapped_column(SORTED_TEXT, default=sort_key_of_new, server_default=sa.text("''"))
    birth_date: Mapped[date | None]
    # With this collation, numbers with the same first digits are adjacent in the index on both databases.
    phone: Mapped[str] = mapped_column(
        sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql"), default=""
    )
    email: Mapped[str] = mapped_column(sa.String(254), default="")
    wants_email: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    wants_sms: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    alert: Mapped[str] = mapped_column(
        sa.String(80), sa.CheckConstraint("length(alert) <= 80", name="alert"), server_default=sa.text("''")
    )
    desk_note: Mapped[str] = mapped_column(
        sa.String(1000), sa.CheckConstraint("length(desk_note) <= 1000", name="desk_note"), server_default=sa.text("''")
    )
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    erase_on: Mapped[date | None] = mapped_column(index=True)
    erased_at: Mapped[datetime | None]


def link_is_active(patient: Any = Patient) -> sa.ColumnElement[bool]:
    """Whether the person who books for a patient still may do so: the link has not ended on the database's clock."""
    return sa.or_(patient.managed_until.is_(None), patient.managed_until > database_now())


# The columns of a patient without a guardian.
NO_LINK = {"managed_by_id": None, "managed_since": None, "managed_until": None, "managed_told_at": None}


class PatientWord(Base):
    """One word under which a patient is found: see `search_index.py`. The index stays fast with many patients."""

    __tablename__ = "patient_words"

    # With this collation, ranges of words follow the order of code points on both databases.
    word: Mapped[str] = mapped_column(
        sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql"), primary_key=True
    )
    patient_id: Mapped[int] = mapped_column(
        sa.ForeignKey("patients.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class PossibleDuplicate(Base):
    """Two records that may be of the same person; `patient_id` is the smaller of the two ids.

    `settled_at` is when staff said that they are two people. Pairs of one person end with one of the records.
    """

    __tablename__ = "possible_duplicates"
    __table_args__ = (sa.CheckConstraint("patient_id < other_id", name="order"),)

    patient_id: Mapped[int] = mapped_column(sa.ForeignKey("patients.id", ondelete="CASCADE"), primary_key=True)
    other_id: Mapped[int] = mapped_column(
        sa.ForeignKey("patients.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    noted_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class JoinedRecord(Base):
    """The state of two records before they were joined, so that they can be separated again. `stays_id` is the record
    that took over everything, and `gone_id` the one that was deleted. Neither has a foreign key, because either may be
    joined with a third record later. `kept` is a `JoinSnapshot`.
    """

    __tablename__ = "joined_records"

    id: Mapped[int] = mapped_column(primary_key=True)
    stays_id: Mapped[int] = mapped_column(index=True)
    gone_id: Mapped[int]
    joined_at: Mapped[datetime]
    kept: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
