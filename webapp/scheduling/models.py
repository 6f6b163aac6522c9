"""Appointments, and the guard of patients' time: the database itself refuses to give one patient's time twice.

The guard has two forms with the same meaning. PostgreSQL has an exclusion constraint. SQLite has triggers; a CHECK that
no appointment occupies more than eight hours lets them search a bounded range of an index. The guard of doctors' time
is on `busy_times`, which triggers on this table maintain: see `webapp.scheduling.busy_times`.
"""

from __future__ import annotations

import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.clinic.models import whole_minutes_checks
from webapp.database import Base, PartialIndex, ddl
from webapp.doctors.models import MOST_SQUEEZE_INS

OCCUPYING = ("scheduled", "confirmed", "arrived", "completed")
ACTIVE = ("scheduled", "confirmed")

LONGEST_HOURS = 8

OCCUPIES_WORDS = f"status IN ({', '.join(repr(status) for status in OCCUPYING)})"
_FLAGGED = "flagged_why <> ''"
# Queries must use exactly these words: with bound parameters neither database can tell that the partial index applies.
OCCUPIES = sa.text(f"appointments.{OCCUPIES_WORDS}")
# Once the patient is at the clinic there is nothing to decide any more.
UNDECIDED = sa.text(f"appointments.{_FLAGGED} AND appointments.status IN {ACTIVE}")

# Most appointments in a long history are completed. The others have their own indexes, which leave completed ones out.
# With an index over all statuses, SQLite tends to read every completed appointment to find free times of many doctors.
_OPEN = "status IN ('scheduled', 'confirmed', 'arrived')"
_UNDONE = "status IN ('no_show', 'cancelled')"
OPEN = sa.text(f"appointments.{_OPEN}")


def status_is(status: str) -> sa.ColumnElement[bool]:
    """The condition that appointments have this status, in exactly the words of the index that serves it."""
    its_own = Appointment.status == status
    words = {"completed": None, "no_show": _UNDONE, "cancelled": _UNDONE}.get(status, _OPEN)
    return its_own if words is None else sa.and_(its_own, sa.text(f"appointments.{words}"))


def _longest_checks() -> list[sa.CheckConstraint]:
    """The CHECKs that no appointment occupies more than `LONGEST_HOURS`, in each database's SQL."""
    words = {
        "sqlite": f"busy_until <= datetime(busy_from, '+{LONGEST_HOURS} hours')",
        "postgresql": f"busy_until - busy_from <= interval '{LONGEST_HOURS} hours'",
    }
    return [sa.CheckConstraint(text, name="longest").ddl_if(dialect=dialect) for dialect, text in words.items()]


# Clocks are at most 14 hours ahead of UTC, and 12 behind.
_MOST_OFFSET = 15 * 60


def _promised_checks() -> list[sa.CheckConstraint]:
    """The CHECKs that the promised wall minute is near the start: a statement that writes a start must also write the
    promise.
    """
    words = {
        "sqlite": "CAST(strftime('%s', starts_at) AS INTEGER) / 60",
        "postgresql": "CAST(date_part('epoch', starts_at) / 60 AS integer)",
    }
    return [
        sa.CheckConstraint(
            f"promised_minute - {minute} BETWEEN -{_MOST_OFFSET} AND {_MOST_OFFSET}", name="promised"
        ).ddl_if(dialect=dialect)
        for dialect, minute in words.items()
    ]


class Appointment(Base):
    """One appointment. All instants are UTC. `busy_from` and `busy_until` include the visit type's buffers.

    `promised_minute` is what the clinic's wall clock was to show at the start when it was booked or moved, as a
    `wall_minute`: it stays what people were told, even if a law later gives that hour to another instant.

    `lane` is 0, or more for an appointment that was squeezed in; `squeeze_reason` is why.
    `version` counts the changes, so that two people who edit the same appointment notice each other. `previous_status`
    is the status that an undo restores. `flagged_why` says why an active appointment needs attention: the doctor's
    hours or leave changed after it was booked. It is the code of a reason of the clinic, with the text that staff typed
    as its value; see `core/codes.py`. `cancellation_code` is also such a code, and `cancellation_reason` is the text
    that was typed. `override_reason` is why staff let the appointment break a rule. `moved_by_clinic`: staff moved it
    last, so the patient may move and cancel it until it starts. `private_note` is for the doctor only:
    `note_doctor_id` is the one who wrote it if the appointment has another doctor since, who does not read it. Only
    earlier releases did that; now such notes are kept in a table (`booking/former_notes.py`). `desk_note` is for all
    staff. `arrived_at` is when the patient came, while the status is arrived or completed.

    A `confidential` appointment does not exist for the person who books for the patient, on no page and in no message.
    """

    __tablename__ = "appointments"
    __table_args__ = (
        sa.CheckConstraint(
            "status IN ('scheduled', 'confirmed', 'arrived', 'completed', 'no_show', 'cancelled')",
            name="status",
        ),
        sa.CheckConstraint("busy_from <= starts_at AND starts_at < ends_at AND ends_at <= busy_until", name="order"),
        sa.CheckConstraint(
            "length(reason) <= 500 AND length(notes) <= 1000 AND length(cancellation_reason) <= 500", name="lengths"
        ),
        *whole_minutes_checks("starts_at", "ends_at", "busy_from", "busy_until"),
        *_longest_checks(),
        *_promised_checks(),
        sa.Index("ix_appointments_link_key", "link_key", unique=True),
        sa.Index("ix_appointments_patient_starts", "patient_id", "starts_at"),
        sa.Index("ix_appointments_patient_doctor", "patient_id", "doctor_id", "starts_at"),
        sa.Index("ix_appointments_doctor_starts", "doctor_id", "starts_at"),
        # The index contains the status so that counting does not read the table.
        sa.Index("ix_appointments_starts", "starts_at", "id", "status"),
        *(
            PartialIndex(name, "status", "starts_at", "id", where=words)
            for name, words in (("ix_appointments_open_starts", _OPEN), ("ix_appointments_undone_starts", _UNDONE))
        ),
        sa.Index("ix_appointments_visit_type_starts", "visit_type_id", "starts_at", "id"),
        sa.Index("ix_appointments_created", "created_at", "id"),
        PartialIndex("ix_appointments_flagged", "starts_at", where=_FLAGGED),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(sa.String(9), unique=True)
    doctor_id: Mapped[int] = mapped_column(sa.ForeignKey("doctors.id"))
    patient_id: Mapped[int] = mapped_column(sa.ForeignKey("patients.id"))
    visit_type_id: Mapped[int] = mapped_column(sa.ForeignKey("visit_types.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    promised_minute: Mapped[int]
    busy_from: Mapped[datetime]
    busy_until: Mapped[datetime]
    # The CHECK is on the column, because SQLite can add a column with a CHECK but cannot add a CHECK to a table.
    lane: Mapped[int] = mapped_column(
        sa.SmallInteger,
        sa.CheckConstraint(
            f"lane BETWEEN 0 AND {MOST_SQUEEZE_INS} AND (lane = 0 OR trim(squeeze_reason) <> '')", name="lane"
        ),
        server_default=sa.text("0"),
    )
    squeeze_reason: Mapped[str] = mapped_column(sa.String(300), server_default=sa.text("''"))
    status: Mapped[str] = mapped_column(sa.String(10), default="scheduled")
    reason: Mapped[str] = mapped_column(sa.String(500), default="")
    notes: Mapped[str] = mapped_column(sa.String(1000), default="")
    cancellation_reason: Mapped[str] = mapped_column(sa.String(500), default="")
    cancellation_code: Mapped[str] = mapped_column(sa.String(40), server_default=sa.text("''"))
    private_note: Mapped[str] = mapped_column(sa.String(2000), default="", server_default=sa.text("''"))
    note_doctor_id: Mapped[int | None]
    flagged_why: Mapped[str] = mapped_column(sa.String(300), default="", server_default=sa.text("''"))
    override_reason: Mapped[str] = mapped_column(sa.String(300), default="", server_default=sa.text("''"))
    desk_note: Mapped[str] = mapped_column(
        sa.String(500), sa.CheckConstraint("length(desk_note) <= 500", name="desk_note"), server_default=sa.text("''")
    )
    previous_status: Mapped[str | None] = mapped_column(sa.String(10))
    arrived_at: Mapped[datetime | None]
    moved_by_clinic: Mapped[bool] = mapped_column(server_default=sa.false())
    link_key: Mapped[str | None] = mapped_column(sa.String(22), default=lambda: secrets.token_urlsafe(16))
    links_ended_at: Mapped[datetime | None]
    confidential: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    version: Mapped[int] = mapped_column(default=1)
    booked_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


def _sqlite_trigger(event: str) -> str:
    """A trigger that aborts when an occupying appointment of the same patient overlaps the new row."""
    return f"""
    CREATE TRIGGER appointments_patient_overlap_on_{event.lower()} BEFORE {event} ON appointments
    WHEN NEW.{OCCUPIES_WORDS}
    BEGIN
        SELECT RAISE(ABORT, 'appointments_patient_overlap') WHERE EXISTS (
            SELECT 1 FROM appointments
            WHERE patient_id = NEW.patient_id
              AND starts_at > datetime(NEW.starts_at, '-{LONGEST_HOURS} hours')
              AND starts_at < NEW.ends_at
              AND ends_at > NEW.starts_at
              AND {OCCUPIES_WORDS}
              AND id IS NOT NEW.id
        );
    END
    """


_POSTGRESQL_GUARD = f"""
    ALTER TABLE appointments ADD CONSTRAINT appointments_patient_overlap EXCLUDE USING gist
    (patient_id WITH =, tstzrange(starts_at, ends_at, '[)') WITH &&) WHERE ({OCCUPIES_WORDS})
"""


def _sqlite_replace_trigger(name: str, event: str, its_own: str) -> str:
    """A trigger that aborts when another appointment has the new row's reference or link: REPLACE would delete it
    without a trigger for deletions, and its time would stay taken.
    """
    return f"""
    CREATE TRIGGER appointments_no_replace_on_{name} BEFORE {event} ON appointments
    BEGIN
        SELECT RAISE(ABORT, 'appointments_reference_or_link_taken') WHERE EXISTS (
            SELECT 1 FROM appointments
            WHERE (reference = NEW.reference OR link_key = NEW.link_key) AND id NOT IN ({its_own})
        );
    END
    """


SQLITE_GUARD = [
    *(_sqlite_trigger(event) for event in ("INSERT", "UPDATE")),
    _sqlite_replace_trigger("insert", "INSERT", "NEW.id"),
    _sqlite_replace_trigger("update", "UPDATE OF reference, link_key", "OLD.id, NEW.id"),
]
"""The triggers. A migration that re-creates the appointments table on SQLite must create these again."""

for _statement in SQLITE_GUARD:
    sa.event.listen(Appointment.__table__, "after_create", ddl(_statement).execute_if(dialect="sqlite"))
sa.event.listen(
    Appointment.__table__,
    "before_create",
    ddl("CREATE EXTENSION IF NOT EXISTS btree_gist").execute_if(dialect="postgresql"),
)
sa.event.listen(Appointment.__table__, "after_create", ddl(_POSTGRESQL_GUARD).execute_if(dialect="postgresql"))
