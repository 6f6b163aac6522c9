"""A doctor who is running late: by how many minutes, on one day. On the next day they are on time again."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Protocol

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.doctors import service
from webapp.doctors.models import MOST_LATE_MINUTES, Doctor
from webapp.doctors.service import DoctorRow
from webapp.events.kinds import DoctorRanLate
from webapp.events.publishing import publish
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

MOST = MOST_LATE_MINUTES


class Lateness(Protocol):
    """The parts of a doctor that say how late they are."""

    @property
    def late_minutes(self) -> int:
        """By how many minutes."""

    @property
    def late_on(self) -> date | None:
        """On which local day."""


class RunLate(BaseModel):
    """Report that a doctor is late today by about this many minutes; 0 means on time again."""

    minutes: Annotated[int, Field(ge=0, le=MOST_LATE_MINUTES)]


def late_by(doctor: Lateness, day: date) -> int:
    """By how many minutes the doctor is late on a day; 0 if they are not, or another day is meant."""
    return doctor.late_minutes if doctor.late_on == day else 0


def get_doctor_on_duty(session: Session, actor: Actor, slug: str) -> DoctorRow:
    """The doctor whose lateness this actor may set: the front desk any, a doctor their own.

    Raises:
        NotFound: there is no such doctor, or it is another one.
    """
    doctor = service.get_doctor(session, slug)
    if actor.role == "doctor" and service.get_doctor_of_user(session, actor.user_id).id != doctor.id:
        raise NotFound(_("Doctor not found."))
    return doctor


def run_late(session: Session, actor: Actor, slug: str, command: RunLate, *, now: datetime) -> None:
    """Set how late a doctor is today.

    Raises:
        NotFound: as in `get_doctor_on_duty`.
    """
    # Changes of this doctor's appointments wait, so everyone who gets a message still has the appointment.
    service.lock_doctor(session, slug=slug)
    doctor = get_doctor_on_duty(session, actor, slug)
    today = get_clinic(session).today(now)
    if late_by(doctor, today) == command.minutes:
        return
    values = {"late_minutes": command.minutes, "late_on": today if command.minutes else None}
    session.execute(
        sa.update(Doctor).where(Doctor.id == doctor.id).values(values).execution_options(synchronize_session=False)
    )
    audit.record_by(
        session,
        actor,
        "ran_late",
        subject=("doctor", doctor.id),
        now=now,
        details={"minutes": command.minutes},
    )
    publish(session, DoctorRanLate(by=actor.done_by, doctor_id=doctor.id, minutes=command.minutes), now=now)
