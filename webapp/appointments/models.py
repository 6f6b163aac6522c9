"""The tables around appointments: decisions that are not carried out yet, calls, notes of former doctors, notification
lists, walk-ins.
"""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base, PartialIndex


class PendingDecision(Base):
    """A decision to move or cancel an appointment, made together with many others; see `impact/pending_decisions.py`.

    The appointment is flagged until then. `version` is the state of it that was decided on, `code` the clinic's reason
    and `why` what staff typed. The row is deleted when the decision is carried out, or could not be.
    """

    __tablename__ = "pending_decisions"
    __table_args__ = (sa.CheckConstraint("(starts_at IS NOT NULL) = (kind = 'move')", name="start"),)

    appointment_id: Mapped[int] = mapped_column(
        sa.ForeignKey("appointments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    kind: Mapped[str] = mapped_column(sa.String(10))
    version: Mapped[int]
    starts_at: Mapped[datetime | None]
    code: Mapped[str] = mapped_column(sa.String(40))
    why: Mapped[str] = mapped_column(sa.String(300))
    decided_at: Mapped[datetime]


class Call(Base):
    """The front desk called the patient about the appointment at `starts_at`; if it moves, they are called again.

    A row ends when the call is unticked, or 30 days after the appointment.
    """

    __tablename__ = "calls"

    appointment_id: Mapped[int] = mapped_column(
        sa.ForeignKey("appointments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    starts_at: Mapped[datetime]
    called_at: Mapped[datetime]
    called_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))


class NotificationList(Base):
    """A change of many appointments, or a message to many patients, and when: its lines say who was told, and how.

    `day` and `doctor_id` are those of a doctor who was `away`; a `change` of hours, or of what is offered, may be one
    doctor's. `words` is what patients were told, or the reason. `once` is the mark of the form that made the list, so
    that sending the form twice makes one list. A list ends after 30 days.
    """

    __tablename__ = "told_lists"
    __table_args__ = (
        sa.CheckConstraint("kind IN ('away', 'closure', 'change', 'cancel', 'message')", name="kind"),
        sa.CheckConstraint("(kind = 'away') = (doctor_id IS NOT NULL AND day IS NOT NULL)", name="away"),
        sa.UniqueConstraint("once"),
        sa.Index("ix_told_lists_day", "day"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    doctor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("doctors.id"))
    day: Mapped[date | None]
    words: Mapped[str] = mapped_column(sa.String(500))
    once: Mapped[str | None] = mapped_column(sa.String(40))
    made_at: Mapped[datetime]
    made_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))


class NotificationLine(Base):
    """The change of one appointment on a list: from `was_at` to `starts_at`, and its doctor at that time.

    `here` says that the patient had arrived. `messages` are the ids of what was written about it into the outbox.
    """

    __tablename__ = "told_lines"
    __table_args__ = (sa.CheckConstraint("what IN ('moved', 'cancelled', 'kept', 'message')", name="what"),)

    list_id: Mapped[int] = mapped_column(
        sa.ForeignKey("told_lists.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    appointment_id: Mapped[int] = mapped_column(
        sa.ForeignKey("appointments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    what: Mapped[str] = mapped_column(sa.String(10))
    was_at: Mapped[datetime]
    starts_at: Mapped[datetime]
    doctor_id: Mapped[int] = mapped_column(sa.ForeignKey("doctors.id"))
    here: Mapped[bool]
    messages: Mapped[list[int]] = mapped_column(sa.JSON)


class FormerNote(Base):
    """A doctor's private note on an appointment that another doctor has now; it cannot be read until then.

    The row ends when the doctor gets the appointment back, and with it the note.
    """

    __tablename__ = "former_notes"

    appointment_id: Mapped[int] = mapped_column(
        sa.ForeignKey("appointments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    doctor_id: Mapped[int] = mapped_column(sa.ForeignKey("doctors.id"), primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(sa.String(2000))


class WalkIn(Base):
    """A patient who came without an appointment and waits on a day, for one doctor, for a specialty, or for any doctor.

    `taken`: they got the appointment `appointment_id`. `left`: they went. `note` is for all staff. A row ends 30 days
    after its day.
    """

    __tablename__ = "walk_ins"
    __table_args__ = (
        sa.CheckConstraint("status IN ('waiting', 'taken', 'left')", name="status"),
        sa.CheckConstraint("doctor_id IS NULL OR specialty = ''", name="queue"),
        sa.CheckConstraint("(status = 'waiting') = (settled_at IS NULL)", name="settled"),
        sa.CheckConstraint("(status = 'taken') = (appointment_id IS NOT NULL)", name="taken"),
        sa.CheckConstraint("length(note) <= 200", name="note"),
        sa.Index("ix_walk_ins_day", "day"),
        # A patient waits once.
        PartialIndex("uq_walk_ins_waiting", "patient_id", "day", unique=True, where="status = 'waiting'"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(sa.ForeignKey("patients.id", ondelete="CASCADE"))
    doctor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("doctors.id"))
    specialty: Mapped[str] = mapped_column(sa.String(80))
    day: Mapped[date]
    urgent: Mapped[bool]
    note: Mapped[str] = mapped_column(sa.String(200))
    status: Mapped[str] = mapped_column(sa.String(10))
    came_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    appointment_id: Mapped[int | None] = mapped_column(sa.ForeignKey("appointments.id"))
