"""A doctor is away, for the rest of today or on a later day: decisions about every remaining appointment, the time off,
and the notification list.

Unlike other time off, it also concerns patients who have arrived or whose time has come. Each appointment goes to a
colleague on that day, to another day of the same doctor, is cancelled, or is kept and flagged. Everything is done in
one transaction or not at all: one doctor's day has few appointments, and half of a plan is no plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
from webapp.appointments.impact.change_lists import TIME_OFF_REASON
from webapp.appointments.impact.flags import flag
from webapp.appointments.impact.pending_decisions import lock_patients
from webapp.appointments.impact.schemas import Decision, Pending
from webapp.appointments.messages import notification_lists
from webapp.appointments.messages.notification_lines import LineKind
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
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.patients.models import Patient
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.rule_violations import UpcomingAppointment
from webapp.scheduling.slots import to_minute

Fate = Literal["keep", "colleague", "later", "cancel"]


class AbsenceDecision(NamedTuple):
    """The decision about one appointment, in the version that was seen, and its new time if it moves."""

    fate: Fate
    version: int
    starts_at: datetime | None = None
    doctor_id: int | None = None


class RemainingAppointment(NamedTuple):
    """A remaining appointment of the day. `colleague` and `later` are free times that it can move to."""

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

    `problems` are sentences about the appointments that failed, by reference.
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
class AbsenceResult:
    """How many appointments went to colleagues, moved to another day, were cancelled, and were kept.

    `list_id` is the notification list, if there was an appointment.
    """

    colleague: int = 0
    later: int = 0
    cancel: int = 0
    keep: int = 0
    list_id: int | None = None


def list_remaining(
    database: Database, actor: Actor, doctor: DoctorRow, day: date, *, now: datetime
) -> list[RemainingAppointment]:
    """The remaining appointments of the doctor's day with proposals; those of patients who have arrived come first.

    Only the front desk gives appointments to colleagues. The proposals are computed after the reading session has
    ended.
    """
    with database.reading() as session:
        clinic = get_clinic(session)
        left = _remaining(session, clinic, doctor.id, day, now=now)
        if not left:
            return []
        people = _people(session, left)
        kinds = doctors.visit_types_by_id(session)
        # A patient who is here needs proposals like any other.
        asking = [each._replace(status="scheduled") for each in left]
        alternatives = load_alternatives(session, clinic, asking, {doctor.id: doctor}, now=now)
        low, high = _bounds(clinic, day)
        alternatives.never = to_minute(low), to_minute(high)
        colleagues = load_colleagues(session, clinic, asking, doctor, day=day, now=now) if actor.sees_all else None
    later = propose(alternatives)
    same_day = propose_colleagues(colleagues) if colleagues is not None else {}
    return [
        RemainingAppointment(
            each.id,
            each.reference,
            each.version,
            each.status not in ACTIVE,
            each.starts_at,
            each.patient_id,
            *people[each.patient_id],
            kinds[each.visit_type_id].name,
            same_day.get(each.id),
            later.get(each.id),
        )
        for each in left
    ]


def take_off(
    session: Session,
    actor: Actor,
    doctor_id: int,
    day: date,
    chosen: Mapping[str, AbsenceDecision],
    why: str,
    *,
    now: datetime,
) -> AbsenceResult:
    """Enter the time off for the rest of a day, and carry out the decision about each remaining appointment.

    `why` is what staff typed: it is kept with flags, with cancellations, and with times inside the minimum notice.

    Raises:
        NotDecided: an appointment has no decision, has changed since, or cannot be dealt with as decided.
    """
    colleagues = {each.doctor_id for each in chosen.values() if each.doctor_id is not None}
    doctors.lock_doctors(session, sorted({doctor_id, *colleagues}))
    clinic = get_clinic(session)
    left = _remaining(session, clinic, doctor_id, day, now=now)
    decided = [each for each in left if each.reference in chosen and _holds(each, chosen[each.reference])]
    if len(decided) < len(left):
        open_ones = {each.reference: _undecided(each, chosen) for each in left if each not in decided}
        raise NotDecided(len(open_ones), open_ones)
    _enter(session, actor, clinic, doctor_id, day, now=now)
    keep = Decision(kind="keep", version=0)
    pending = [Pending(each, keep, TIME_OFF_REASON, why) for each in decided]
    lock_patients(session, pending)
    flag(session, actor, [each for each in pending if chosen[each.appointment.reference].fate == "keep"], now=now)
    outcome, problems = AbsenceResult(), dict[str, str]()
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
    if decided:
        outcome.list_id = _make_list(session, actor, doctor_id, day, decided, chosen, why, now=now)
    return outcome


_LINE_KINDS: dict[Fate, LineKind] = {
    "keep": "kept",
    "colleague": "moved",
    "later": "moved",
    "cancel": "cancelled",
}


def _make_list(
    session: Session,
    actor: Actor,
    doctor_id: int,
    day: date,
    decided: Sequence[UpcomingAppointment],
    chosen: Mapping[str, AbsenceDecision],
    why: str,
    *,
    now: datetime,
) -> int:
    """Make the notification list, and return its id."""
    made = notification_lists.begin(session, actor, "away", doctor_id=doctor_id, day=day, words=why, now=now)
    for each in decided:
        what, here = _LINE_KINDS[chosen[each.reference].fate], each.status not in ACTIVE
        notification_lists.note(session, made, each.id, what, was_at=each.starts_at, here=here)
    return made


_COLUMNS = [table_of(Appointment).c[name] for name in UpcomingAppointment._fields]


def _bounds(clinic: Clinic, day: date) -> tuple[datetime, datetime]:
    return first_instant(day, clinic.zone), first_instant(day + timedelta(days=1), clinic.zone)


def _remaining(
    session: Session, clinic: Clinic, doctor_id: int, day: date, *, now: datetime
) -> list[UpcomingAppointment]:
    """The doctor's appointments of a day that are not over: those who have arrived first, then in order of time."""
    low, high = _bounds(clinic, day)
    arrived = Appointment.status == "arrived"
    query = (
        sa.select(*_COLUMNS)
        .where(
            Appointment.doctor_id == doctor_id,
            Appointment.starts_at >= low,
            Appointment.starts_at < high,
            sa.or_(arrived, sa.and_(Appointment.status.in_(ACTIVE), Appointment.ends_at > now)),
        )
        .order_by(sa.case((arrived, 0), else_=1), Appointment.starts_at, Appointment.id)
    )
    return [UpcomingAppointment._make(row) for row in session.execute(query)]


def _people(session: Session, left: Sequence[UpcomingAppointment]) -> dict[int, tuple[str, str]]:
    query = sa.select(Patient.id, Patient.name, Patient.phone).where(Patient.id.in_({each.patient_id for each in left}))
    return {row.id: (row.name, row.phone) for row in session.execute(query)}


def _holds(appointment: UpcomingAppointment, chosen: AbsenceDecision) -> bool:
    """Whether the decision is about the present version of the appointment."""
    moves = chosen.fate in ("colleague", "later")
    return chosen.version == appointment.version and not (moves and chosen.starts_at is None)


def _undecided(appointment: UpcomingAppointment, chosen: Mapping[str, AbsenceDecision]) -> str:
    """The sentence for an appointment without a valid decision."""
    decision = chosen.get(appointment.reference)
    if decision is not None and decision.version != appointment.version:
        return _("It has changed in the meantime. Check it, then choose.")
    if appointment.status not in ACTIVE:
        return _("The patient is here. Choose what happens.")
    return _("Choose what happens.")


def _enter(session: Session, actor: Actor, clinic: Clinic, doctor_id: int, day: date, *, now: datetime) -> None:
    """Enter the time off for the whole day, today from now on, unless the doctor has it already."""
    low, end = _bounds(clinic, day)
    start = max(low, now.replace(second=0, microsecond=0))
    begins = max(low, now)
    if any(row.starts_at <= begins and row.ends_at >= end for row in time_off.list_ahead(session, doctor_id, now=now)):
        return
    command = AddTimeOff(from_date=day, until_date=day)
    time_off.add_time_off(session, actor, doctor_id, command, now=now, exactly=(start, end))


def _do(session: Session, actor: Actor, reference: str, chosen: AbsenceDecision, why: str, *, now: datetime) -> None:
    if chosen.fate == "cancel":
        cancellation = Cancellation(reason=why, version=chosen.version)
        service.cancel(session, actor, reference, cancellation, now=now, why=TIME_OFF_REASON, even_arrived=True)
    elif chosen.starts_at is not None and chosen.fate != "keep":
        # Today's times, and perhaps tomorrow's, are inside the minimum notice, which staff may set aside with a reason.
        move = Move(
            starts_at=chosen.starts_at,
            doctor_id=chosen.doctor_id,
            version=chosen.version,
            override_reason=why if chosen.fate == "colleague" else "",
        )
        service.move(session, actor, reference, move, now=now, why=TIME_OFF_REASON, even_arrived=True)
