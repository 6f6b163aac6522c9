"""Changes of hours, leave, closures, rules, visit types and doctors, and the appointments that they affect.

Every such change goes through `carry_out`. It takes the locks that a booking takes, makes the change, and finds the
appointments that now break a rule that they did not break before, or whose rule now refuses more of their day. Each of
them needs a decision: keep it with a flag that says why, move it to a free time, or cancel it. If a decision is
missing, nothing is changed and the caller gets the list. No booking can come in between: it waits for the doctor's lock
and then reads the new hours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, Field, StrictInt
from sqlalchemy.orm import Session

from webapp.appointments.booking import service
from webapp.appointments.impact.alternative_times import propose, wanting
from webapp.appointments.schemas import Cancellation, Move, Note
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.core.codes import REASONS, stored
from webapp.core.parsing import Instant
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict
from webapp.i18n import ngettext
from webapp.patients import service as patients
from webapp.patients.models import Patient
from webapp.scheduling.facts import BookingRequest, load_facts
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.rule_violations import (
    Broken,
    UpcomingAppointment,
    broken_rules,
    list_upcoming,
)
from webapp.scheduling.rules import offered
from webapp.scheduling.slots import Minute, day_number, number_to_day, to_datetime

T = TypeVar("T")
Work = Callable[[Session], T]

# Effects are counted for as many days as people usually plan ahead.
EFFECT_DAYS = 28


# The day from which new times are proposed.
ProposalsFrom = Literal["next_working_day", "today"]


class Decision(BaseModel):
    """What to do with one appointment: `starts_at` is its new time, `version` the state of it that was seen."""

    kind: Literal["keep", "move", "cancel"]
    version: StrictInt
    starts_at: Instant | None = None


class Decisions(BaseModel):
    """What to do with each affected appointment, by reference, and `why`: for the flag, or for the patient.

    New times are proposed from the clinic's next working day, unless `proposals_from` asks for earlier ones.
    """

    each: dict[str, Decision] = Field(default_factory=dict)
    why: Note = ""
    proposals_from: ProposalsFrom = "next_working_day"


NOTHING_DECIDED = Decisions()


class Affected(NamedTuple):
    """One appointment that a change affects. `proposal` is a free time to move to; `problem` is why a move failed.

    If the patient has `arrived`, the appointment can only be kept.
    """

    id: int
    reference: str
    version: int
    arrived: bool
    starts_at: datetime
    ends_at: datetime
    doctor_name: str
    patient_id: int
    patient_name: str
    patient_phone: str
    visit_type_name: str
    why: str
    proposal: datetime | None
    problem: str


class AppointmentsAffected(Conflict):
    """The change would affect appointments, and not each of them has a decision. Nothing was changed."""

    code = "visits_affected"

    def __init__(self, appointments: list[Affected]) -> None:
        super().__init__(
            ngettext(
                "%(n)d appointment is affected. Choose what to do with it.",
                "%(n)d appointments are affected. Choose what to do with each.",
                len(appointments),
            )
            % {"n": len(appointments)}
        )
        self.visits = appointments


class DayEffect(NamedTuple):
    """How many bookable starts a change adds and removes on one day of one doctor."""

    doctor_name: str
    day: date
    gained: int
    lost: int


class Effect(NamedTuple):
    """The effect of a change over the next `EFFECT_DAYS` days, and the appointments that it affects."""

    gained: int
    lost: int
    days: list[DayEffect]
    visits: list[Affected]


def carry_out(
    session: Session,
    actor: Actor,
    work: Work[T],
    *,
    doctor_ids: Sequence[int] | None,
    now: datetime,
    decisions: Decisions = NOTHING_DECIDED,
    settled: Work[object] | None = None,
) -> T:
    """Make a change that may affect appointments of these doctors (None: of all), and carry out the decisions on them.

    `work` writes the change on the session that it is given. Flags are removed from appointments that fit again. At
    last `settled` does what can be done only after the decisions.

    Raises:
        AppointmentsAffected: an appointment has no decision, has changed since, or could not be moved to the chosen
            time.
    """
    locked = doctors.lock_doctors(session, doctor_ids)
    before = broken_rules(session, get_clinic(session), list_upcoming(session, locked, now=now), now=now)
    result = work(session)
    session.flush()
    clinic = get_clinic(session)
    upcoming = list_upcoming(session, locked, now=now)
    after = broken_rules(session, clinic, upcoming, now=now)
    newly = {
        appointment.id: _newly(appointment, before.get(appointment.id, {}), after.get(appointment.id, {}))
        for appointment in upcoming
    }
    affected = [appointment for appointment in upcoming if newly[appointment.id]]
    why = {appointment.id: newly[appointment.id][0] for appointment in affected}
    _settle(session, actor, clinic, affected, why, decisions, now=now)
    _take_flags_off(session, actor, upcoming, after, now=now)
    if settled is not None:
        settled(session)
    return result


def _newly(appointment: UpcomingAppointment, before: Broken, after: Broken) -> list[str]:
    """The codes of the rules that the change made the appointment break.

    Staff may have let an appointment break a rule, such as an hour after the doctor's last one. If the rule now refuses
    more of that day than it did, for example because the doctor no longer works on it, a new decision is needed.
    """
    return [
        code
        for code, (low, high) in after.items()
        if code not in before or (not appointment.flagged_why and (low < before[code][0] or high > before[code][1]))
    ]


def preview(
    database: Database,
    actor: Actor,
    work: Work[T],
    *,
    doctor_ids: Sequence[int] | None,
    now: datetime,
    proposals_from: ProposalsFrom = "next_working_day",
) -> Effect:
    """The effect that `carry_out` would have, found by running it in a transaction that is rolled back.

    Other bookings wait for that transaction, so the times that can be booked now are counted before it.
    """
    found: list[Effect] = []
    with database.reading() as session:
        before = _bookable(session, doctor_ids, now=now)

    def attempt(session: Session) -> None:
        appointments: list[Affected] = []
        try:
            nothing = Decisions(proposals_from=proposals_from)
            carry_out(session, actor, work, doctor_ids=doctor_ids, now=now, decisions=nothing)
        except AppointmentsAffected as affected:
            appointments = affected.visits
        found.append(_effect(session, before, _bookable(session, doctor_ids, now=now), appointments))
        raise _Undo

    with suppress(_Undo):
        database.write(attempt)
    return found[0]


class _Undo(Exception):
    """Ends a trial transaction so that it is rolled back."""


# ------------------------------------------------------------------------------------------------ decisions


def _settle(
    session: Session,
    actor: Actor,
    clinic: Clinic,
    affected: list[UpcomingAppointment],
    why: dict[int, str],
    decisions: Decisions,
    *,
    now: datetime,
) -> None:
    """Carry out the decision about each affected appointment, or raise the list if one of them fails."""
    if not affected:
        return
    problems: dict[int, str] = {}
    decided = {appointment.id: decisions.each.get(appointment.reference) for appointment in affected}
    undecided = [appointment for appointment in affected if _is_open(appointment, decided[appointment.id])]
    if not undecided:
        for patient_id in sorted({appointment.patient_id for appointment in affected}):
            patients.lock_patient(session, patient_id)
        # If one decision fails, the others are rolled back. Otherwise an appointment could block its own proposal.
        with suppress(_Undo), session.begin_nested():
            for appointment in affected:
                decision = decided[appointment.id]
                if decision is None:
                    continue
                try:
                    with session.begin_nested():
                        _do(session, actor, appointment, decision, why[appointment.id], decisions.why, now=now)
                except AppError as error:
                    problems[appointment.id] = error.message
            if problems:
                raise _Undo
    if undecided or problems:
        from_today = decisions.proposals_from == "today"
        raise AppointmentsAffected(_described(session, clinic, affected, why, problems, from_today=from_today, now=now))


def _is_open(appointment: UpcomingAppointment, decision: Decision | None) -> bool:
    """Whether there is no valid decision: it is missing, about an older version, or a move without a time."""
    if decision is None or decision.version != appointment.version:
        return True
    return decision.kind == "move" and decision.starts_at is None


def _do(
    session: Session,
    actor: Actor,
    appointment: UpcomingAppointment,
    decision: Decision,
    reason: str,
    why: str,
    *,
    now: datetime,
) -> None:
    if decision.kind == "keep":
        _flag(session, actor, appointment, stored(reason, why), now=now)
    elif decision.kind == "cancel":
        command = Cancellation(reason=why, version=decision.version)
        service.cancel(session, actor, appointment.reference, command, now=now, why=reason)
    elif decision.starts_at is not None:
        move = Move(starts_at=decision.starts_at, version=decision.version)
        service.move(session, actor, appointment.reference, move, now=now, why=reason)


def _flag(session: Session, actor: Actor, appointment: UpcomingAppointment, why: str, *, now: datetime) -> None:
    """Keep an appointment and flag it for attention."""
    session.execute(
        sa.update(Appointment)
        .where(Appointment.id == appointment.id)
        .values(flagged_why=why, version=Appointment.version + 1, updated_at=now)
        .execution_options(synchronize_session=False)
    )
    service.record(session, actor, "flagged", appointment.id, now, {}, visible=False)


def settle_flag(
    session: Session, actor: Actor, reference: str, reason: str, version: int | None, *, now: datetime
) -> None:
    """Remove the flag from an appointment that stays as it is; `reason` says why, and is stored with the appointment.

    Raises:
        ChangedMeanwhile: the appointment is not what the user saw. NoSuchAppointment: the actor may not see it.
    """
    view = service.lock_for_change(session, actor, reference, version)
    # Earlier override reasons still hold. If the text gets too long, the end is kept, because it is the most recent.
    said = " ".join(part for part in (view.override_reason, reason) if part)
    service.update_row(session, view, now=now, flagged_why="", override_reason=said[-300:])
    service.record(session, actor, "flag_settled", view.id, now, {}, visible=False)


def _take_flags_off(
    session: Session,
    actor: Actor,
    upcoming: list[UpcomingAppointment],
    broken: dict[int, Broken],
    *,
    now: datetime,
) -> None:
    """Remove the flags from appointments that can take place again."""
    ids = [appointment.id for appointment in upcoming if appointment.flagged_why and appointment.id not in broken]
    if ids:
        session.execute(
            sa.update(Appointment)
            .where(Appointment.id.in_(ids))
            .values(flagged_why="", version=Appointment.version + 1, updated_at=now)
            .execution_options(synchronize_session=False)
        )
        for number in ids:
            service.record(session, actor, "unflagged", number, now, {}, visible=False)


def _described(
    session: Session,
    clinic: Clinic,
    affected: list[UpcomingAppointment],
    why: dict[int, str],
    problems: dict[int, str],
    *,
    from_today: bool,
    now: datetime,
) -> list[Affected]:
    """The affected appointments for display, each with the nearest free time that is not proposed for another."""
    doctor_ids = sorted({appointment.doctor_id for appointment in affected})
    who = {doctor.id: doctor for doctor in doctors.list_by_ids(session, doctor_ids)}
    people = {
        row.id: row
        for row in session.execute(
            sa.select(Patient.id, Patient.name, Patient.phone).where(
                Patient.id.in_({appointment.patient_id for appointment in affected})
            )
        )
    }
    kinds = doctors.visit_types_by_id(session)
    proposals = propose(session, clinic, affected, who, from_today=from_today, now=now)
    return [
        Affected(
            appointment.id,
            appointment.reference,
            appointment.version,
            appointment.status not in ACTIVE,
            appointment.starts_at,
            appointment.ends_at,
            who[appointment.doctor_id].name,
            appointment.patient_id,
            people[appointment.patient_id].name,
            people[appointment.patient_id].phone,
            kinds[appointment.visit_type_id].name,
            str(REASONS[why[appointment.id]]),
            proposals.get(appointment.id),
            problems.get(appointment.id, ""),
        )
        for appointment in affected
    ]


# -------------------------------------------------------------------------------------------------- effects

Bookable = dict[tuple[int, int], set[tuple[int, Minute]]]


def _bookable(session: Session, doctor_ids: Sequence[int] | None, *, now: datetime) -> Bookable:
    """Every start that patients can book now, of each visit type, by doctor and local day."""
    clinic = get_clinic(session)
    today = clinic.today(now)
    asked = doctors.list_doctors(session) if doctor_ids is None else doctors.list_by_ids(session, doctor_ids)
    requests = [
        BookingRequest(doctor, doctor.visit_types[0]) for doctor in asked if doctor.active and doctor.visit_types
    ]
    facts = load_facts(session, clinic, requests, today, today + timedelta(days=EFFECT_DAYS - 1), now=now)
    found: Bookable = defaultdict(set)
    for request in requests:
        for kind in request.doctor.visit_types:
            about = replace(wanting(facts[request.doctor.id], kind), offered_online=kind.online)
            for start in offered(about):
                day = day_number(to_datetime(start).astimezone(clinic.zone).date())
                found[request.doctor.id, day].add((kind.id, start))
    return found


def _effect(session: Session, before: Bookable, after: Bookable, appointments: list[Affected]) -> Effect:
    days = []
    changed = {key for key in {*before, *after} if before.get(key, set()) != after.get(key, set())}
    # The change may rename a doctor, so doctors are identified by their ids.
    names = {doctor.id: doctor.name for doctor in doctors.list_by_ids(session, sorted({key[0] for key in changed}))}
    for number, day in sorted(changed, key=lambda key: (key[1], names[key[0]], key[0])):
        was, will = before.get((number, day), set()), after.get((number, day), set())
        days.append(DayEffect(names[number], number_to_day(day), len(will - was), len(was - will)))
    return Effect(sum(day.gained for day in days), sum(day.lost for day in days), days, appointments)
