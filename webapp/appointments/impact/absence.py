"""A doctor is away for the rest of today: what becomes of every appointment that is left, and the time off.

Unlike other time off, it also concerns patients who have arrived or whose time has come. Each appointment goes to a
colleague today, to a later day of the same doctor, is cancelled, or is kept and flagged. It is done in one transaction,
all or nothing: a day of one doctor is short, and a list of who goes where must not come true by halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking import service
from webapp.appointments.impact.alternative_times import (
    Colleague,
    load_alternatives,
    load_colleagues,
    propose,
    propose_colleagues,
)
from webapp.appointments.impact.flags import flag
from webapp.appointments.impact.pending_decisions import lock_patients
from webapp.appointments.impact.schemas import Decision, Pending
from webapp.appointments.schemas import Cancellation, Move
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.core.local_time import first_instant
from webapp.database import Database, table_of
from webapp.doctors import service as doctors
from webapp.doctors import time_off
from webapp.doctors.service import DoctorRow
from webapp.doctors.time_off import AddTimeOff
from webapp.exceptions import AppError, Conflict
from webapp.i18n import ngettext
from webapp.patients.models import Patient
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.rule_violations import UpcomingAppointment

# The code of the reason that patients are told.
WHY = "time_off"

Fate = Literal["keep", "colleague", "later", "cancel"]


class Chosen(NamedTuple):
    """What becomes of one appointment, in the version that was seen; where to, if it moves."""

    fate: Fate
    version: int
    starts_at: datetime | None = None
    doctor_id: int | None = None


class Left(NamedTuple):
    """An appointment that is left of the day. `colleague` and `later` are free times that it can move to."""

    id: int
    reference: str
    version: int
    arrived: bool
    starts_at: datetime
    patient_id: int
    patient_name: str
    patient_phone: str
    visit_type_name: str
    colleague: Colleague | None
    later: datetime | None


class NotDecided(Conflict):
    """Some appointments have no decision, or could not be dealt with as decided; nothing was changed.

    `problems` are the sentences about those that could not be, by reference.
    """

    code = "visits_affected"

    def __init__(self, count: int, problems: Mapping[str, str]) -> None:
        words = ngettext(
            "Nothing is saved yet: %(n)d appointment needs another decision.",
            "Nothing is saved yet: %(n)d appointments need another decision.",
            count,
        )
        super().__init__(words % {"n": count})
        self.problems = problems


@dataclass
class Outcome:
    """How many appointments went to colleagues, moved to a later time, were cancelled, and were kept."""

    colleague: int = 0
    later: int = 0
    cancel: int = 0
    keep: int = 0


def list_left(database: Database, actor: Actor, doctor: DoctorRow, *, now: datetime) -> list[Left]:
    """What is left of the doctor's day, those who have arrived first, each with its proposals.

    Only the front desk gives appointments to colleagues. The proposals are counted after the reading.
    """
    with database.reading() as session:
        clinic = get_clinic(session)
        left = _remaining(session, clinic, doctor.id, now=now)
        if not left:
            return []
        people = _people(session, left)
        kinds = doctors.visit_types_by_id(session)
        # A patient who is here needs proposals like any other.
        asking = [each._replace(status="scheduled") for each in left]
        alternatives = load_alternatives(session, clinic, asking, {doctor.id: doctor}, now=now)
        colleagues = load_colleagues(session, clinic, asking, doctor, now=now) if actor.sees_all else None
    later = propose(alternatives)
    today = propose_colleagues(colleagues) if colleagues is not None else {}
    return [
        Left(
            each.id,
            each.reference,
            each.version,
            each.status not in ACTIVE,
            each.starts_at,
            each.patient_id,
            *people[each.patient_id],
            kinds[each.visit_type_id].name,
            today.get(each.id),
            later.get(each.id),
        )
        for each in left
    ]


def take_off(
    session: Session, actor: Actor, doctor_id: int, chosen: Mapping[str, Chosen], why: str, *, now: datetime
) -> Outcome:
    """Enter the time off for the rest of today, and carry out what was chosen for each appointment that is left.

    `why` is what staff typed: it is kept with flags, with cancellations, and with times inside the minimum notice.

    Raises:
        NotDecided: an appointment has no decision, has changed since, or cannot be dealt with as decided.
    """
    colleagues = {each.doctor_id for each in chosen.values() if each.doctor_id is not None}
    doctors.lock_doctors(session, sorted({doctor_id, *colleagues}))
    clinic = get_clinic(session)
    left = _remaining(session, clinic, doctor_id, now=now)
    decided = [each for each in left if each.reference in chosen and _holds(each, chosen[each.reference])]
    if len(decided) < len(left):
        raise NotDecided(len(left) - len(decided), {})
    _enter(session, actor, clinic, doctor_id, now=now)
    keep = Decision(kind="keep", version=0)
    pending = [Pending(each, keep, WHY, why) for each in decided]
    lock_patients(session, pending)
    flag(session, actor, [each for each in pending if chosen[each.appointment.reference].fate == "keep"], now=now)
    outcome, problems = Outcome(), dict[str, str]()
    for each in decided:
        wanted = chosen[each.reference]
        try:
            with session.begin_nested():
                _do(session, actor, each.reference, wanted, why, now=now)
        except AppError as error:
            problems[each.reference] = error.message
        setattr(outcome, wanted.fate, getattr(outcome, wanted.fate) + 1)
    if problems:
        raise NotDecided(len(problems), problems)
    return outcome


_COLUMNS = [table_of(Appointment).c[name] for name in UpcomingAppointment._fields]


def _remaining(session: Session, clinic: Clinic, doctor_id: int, *, now: datetime) -> list[UpcomingAppointment]:
    """The doctor's appointments of today that are not over: those who have arrived first, then in order of time."""
    today = clinic.today(now)
    arrived = Appointment.status == "arrived"
    query = (
        sa.select(*_COLUMNS)
        .where(
            Appointment.doctor_id == doctor_id,
            Appointment.starts_at >= first_instant(today, clinic.zone),
            Appointment.starts_at < first_instant(today + timedelta(days=1), clinic.zone),
            sa.or_(arrived, sa.and_(Appointment.status.in_(ACTIVE), Appointment.ends_at > now)),
        )
        .order_by(sa.case((arrived, 0), else_=1), Appointment.starts_at, Appointment.id)
    )
    return [UpcomingAppointment._make(row) for row in session.execute(query)]


def _people(session: Session, left: Sequence[UpcomingAppointment]) -> dict[int, tuple[str, str]]:
    query = sa.select(Patient.id, Patient.name, Patient.phone).where(Patient.id.in_({each.patient_id for each in left}))
    return {row.id: (row.name, row.phone) for row in session.execute(query)}


def _holds(appointment: UpcomingAppointment, chosen: Chosen) -> bool:
    """Whether this is a decision about the appointment as it is now."""
    moves = chosen.fate in ("colleague", "later")
    return chosen.version == appointment.version and not (moves and chosen.starts_at is None)


def _enter(session: Session, actor: Actor, clinic: Clinic, doctor_id: int, *, now: datetime) -> None:
    """Enter the time off from now until midnight, unless the doctor has it already."""
    start = now.replace(second=0, microsecond=0)
    today = clinic.today(now)
    end = first_instant(today + timedelta(days=1), clinic.zone)
    if any(row.starts_at <= now and row.ends_at >= end for row in time_off.list_ahead(session, doctor_id, now=now)):
        return
    command = AddTimeOff(from_date=today, until_date=today)
    time_off.add_time_off(session, actor, doctor_id, command, now=now, exactly=(start, end))


def _do(session: Session, actor: Actor, reference: str, chosen: Chosen, why: str, *, now: datetime) -> None:
    if chosen.fate == "cancel":
        cancellation = Cancellation(reason=why, version=chosen.version)
        service.cancel(session, actor, reference, cancellation, now=now, why=WHY, even_arrived=True)
    elif chosen.starts_at is not None and chosen.fate != "keep":
        # Today's times are inside the minimum notice, which staff may set aside with a reason.
        move = Move(
            starts_at=chosen.starts_at,
            doctor_id=chosen.doctor_id,
            version=chosen.version,
            override_reason=why if chosen.fate == "colleague" else "",
        )
        service.move(session, actor, reference, move, now=now, why=WHY, even_arrived=True)
