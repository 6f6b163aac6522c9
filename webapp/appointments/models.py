"""Decisions about appointments that are not carried out yet, calls about them, and notes of their former doctors."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base


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


class FormerNote(Base):
    """A doctor's private note on an appointment that another doctor has now; no one reads it meanwhile.

    The row ends when the doctor gets the appointment back, and with it the note.
    """

    __tablename__ = "former_notes"

    appointment_id: Mapped[int] = mapped_column(
        sa.ForeignKey("appointments.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    doctor_id: Mapped[int] = mapped_column(sa.ForeignKey("doctors.id"), primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(sa.String(2000))
