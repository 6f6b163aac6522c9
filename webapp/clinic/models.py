"""The clinic: its name and rules, when it is open, when it is closed, and its visit types.

Minutes of a day are wall-clock minutes from local midnight: 540 is 09:00, 1440 the end of the day.
"""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base

MOST_LATE_HOURS = 12


def minutes_of_day_check() -> sa.CheckConstraint:
    """The CHECK that hours begin before they end, and that both lie within one day."""
    return sa.CheckConstraint("0 <= start_minute AND start_minute < end_minute AND end_minute <= 1440", name="span")


def weekday_check() -> sa.CheckConstraint:
    """The CHECK of weekdays, which count as in Python: Monday is 0."""
    return sa.CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday")


def whole_minutes_checks(*columns: str) -> list[sa.CheckConstraint]:
    """The CHECKs that instants are whole minutes, in each database's SQL.

    On SQLite the text must be exactly what datetime() writes, otherwise comparing texts would not compare instants. The
    check uses IS instead of =, because strftime() of an invalid text is NULL, and a CHECK lets NULL pass.
    """
    words = {
        "sqlite": " AND ".join(f"{column} IS strftime('%Y-%m-%d %H:%M:00', {column})" for column in columns),
        "postgresql": " AND ".join(f"date_part('second', {column}) = 0" for column in columns),
    }
    return [sa.CheckConstraint(text, name="whole_minutes").ddl_if(dialect=dialect) for dialect, text in words.items()]


class ClinicSettings(Base):
    """The single row that describes the clinic and sets its booking rules. `demo` marks demo data.

    An empty `name` means that no admin has named the clinic yet.

    `search_words` are the clinic's own words for its specialties and visit types (`clinic/search_words.py`). Doctors of
    `first_specialty` come first in the list.

    `asks_birth_date` and `asks_phone` say whether new patients are asked for them: 'no', 'ask' or 'require'.

    `zone_confirmed`: an admin has said that `time_zone` is the clinic's; until then it is a guess.

    `reminder_days` is a comma list of days before an appointment on which reminders are sent, '' for none. Reminders
    and text messages are only sent in daytime, which is given in minutes of the local day. `tell_late_hours`: a message
    tells patients that a doctor is running late if their appointment begins within this many hours; 0 sends none.

    `country` says how telephone numbers are read and shown; '' means the country of the time zone.

    `privacy_document` and `imprint_document` are the ids of the published documents, 0 without one; everyone is asked
    whether they have read `consent_document` or a later version. An empty `emergency_phone` means the number of the
    clinic's country.

    `keep_records_years`: a record that is to be deleted is kept for this long after the last appointment, because the
    law requires it; 0 deletes it immediately. `keep_audit_years`: 0 keeps the audit log forever.
    `private_notes_in_copy`: doctors' private notes belong to the copy of their data that patients may ask for.

    `poster_key` is in the QR code of the poster with which patients say that they are here; '' if there is no poster.

    `desk_sees_reasons`: the front desk sees why patients come, and why they cancel.

    `guardian_age`: the age in years at which a guardian stops seeing and booking, None for never; since the local day
    `guardian_age_since`.
    """

    __tablename__ = "clinic_settings"
    __table_args__ = (sa.CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    name: Mapped[str] = mapped_column(sa.String(120), default="")
    address: Mapped[str] = mapped_column(sa.String(200), default="")
    phone: Mapped[str] = mapped_column(sa.String(40), default="")
    time_zone: Mapped[str] = mapped_column(sa.String(60), default="Europe/Amsterdam")
    country: Mapped[str] = mapped_column(sa.String(2), default="", server_default=sa.text("''"))
    notice_minutes: Mapped[int] = mapped_column(default=120)
    horizon_days: Mapped[int] = mapped_column(default=90)
    change_until_minutes: Mapped[int] = mapped_column(default=24 * 60)
    max_active_visits: Mapped[int] = mapped_column(default=10)
    patient_gap_minutes: Mapped[int] = mapped_column(default=30)
    reminder_days: Mapped[str] = mapped_column(sa.String(40), default="7,1", server_default=sa.text("'7,1'"))
    daytime_from: Mapped[int] = mapped_column(default=9 * 60, server_default=sa.text("540"))
    daytime_until: Mapped[int] = mapped_column(default=20 * 60, server_default=sa.text("1200"))
    tell_late_hours: Mapped[int] = mapped_column(
        sa.SmallInteger,
        sa.CheckConstraint(f"tell_late_hours BETWEEN 0 AND {MOST_LATE_HOURS}", name="tell_late_hours"),
        default=0,
        server_default=sa.text("0"),
    )
    search_words: Mapped[str] = mapped_column(sa.Text, default="", server_default=sa.text("''"))
    first_specialty: Mapped[str] = mapped_column(sa.String(80), default="", server_default=sa.text("''"))
    keep_records_years: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    keep_messages_days: Mapped[int] = mapped_column(default=365, server_default=sa.text("365"))
    keep_audit_years: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    private_notes_in_copy: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    desk_sees_reasons: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    poster_key: Mapped[str] = mapped_column(sa.String(22), default="", server_default=sa.text("''"))
    guardian_age: Mapped[int | None]
    guardian_age_since: Mapped[date | None]
    asks_birth_date: Mapped[str] = mapped_column(sa.String(10), default="ask", server_default=sa.text("'ask'"))
    asks_phone: Mapped[str] = mapped_column(sa.String(10), default="ask", server_default=sa.text("'ask'"))
    privacy_document: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    imprint_document: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    consent_document: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    emergency_text: Mapped[str] = mapped_column(sa.String(300), default="", server_default=sa.text("''"))
    emergency_phone: Mapped[str] = mapped_column(sa.String(40), default="", server_default=sa.text("''"))
    zone_confirmed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    demo: Mapped[bool] = mapped_column(default=False)


class ClinicDocument(Base):
    """A published version of the privacy notice or the imprint; see `documents`. Its text is never changed."""

    __tablename__ = "clinic_documents"
    __table_args__ = (
        sa.CheckConstraint("kind IN ('privacy', 'imprint')", name="kind"),
        sa.UniqueConstraint("kind", "version", name="uq_clinic_documents_kind_version"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    version: Mapped[int]
    text: Mapped[str] = mapped_column(sa.Text)
    asks_again: Mapped[bool]
    published_at: Mapped[datetime]


class Consent(Base):
    """An account has said that it read this version of the privacy notice."""

    __tablename__ = "consents"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    document_id: Mapped[int] = mapped_column(sa.ForeignKey("clinic_documents.id"), primary_key=True)
    at: Mapped[datetime]


class OpeningHours(Base):
    """A span of a weekday in which the clinic is open; several on one day leave room for a lunch break."""

    __tablename__ = "opening_hours"
    __table_args__ = (minutes_of_day_check(), weekday_check())

    id: Mapped[int] = mapped_column(primary_key=True)
    weekday: Mapped[int]
    start_minute: Mapped[int]
    end_minute: Mapped[int]


class Closure(Base):
    """Whole local days, first and last included, on which the clinic is closed."""

    __tablename__ = "closures"
    __table_args__ = (sa.CheckConstraint("starts_on <= ends_on", name="order"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    starts_on: Mapped[date]
    ends_on: Mapped[date]


class VisitType(Base):
    """A visit type. Buffers, in minutes, keep the doctor free before and after the patient's time.

    `suggested_for` says to whom it is suggested: 'new' patients of a doctor, 'returning' ones, 'everyone', or 'none'.
    """

    __tablename__ = "visit_types"
    __table_args__ = (
        sa.CheckConstraint("minutes BETWEEN 5 AND 240", name="minutes"),
        sa.CheckConstraint("buffer_before BETWEEN 0 AND 120 AND buffer_after BETWEEN 0 AND 120", name="buffers"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    minutes: Mapped[int]
    buffer_before: Mapped[int] = mapped_column(default=0)
    buffer_after: Mapped[int] = mapped_column(default=0)
    preparation: Mapped[str] = mapped_column(sa.Text, default="")
    online: Mapped[bool] = mapped_column(default=True)
    named_in_messages: Mapped[bool] = mapped_column(default=False)
    suggested_for: Mapped[str] = mapped_column(
        sa.String(10),
        sa.CheckConstraint("suggested_for IN ('new', 'returning', 'everyone', 'none')", name="suggested_for"),
        default="none",
        server_default=sa.text("'none'"),
    )
    active: Mapped[bool] = mapped_column(default=True)
