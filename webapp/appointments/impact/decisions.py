"""The decisions about appointments that a change affects, and how they are carried out.

Keeping flags the appointment. Moving and cancelling go through the services of booking. A few of them are made in the
transaction of the change, all or nothing. Many of them would hold up all other bookings: then the transaction of the
change flags every affected appointment, and `finish` moves and cancels them in small transactions afterwards. What it
cannot do, or does not come to, stays flagged, so nothing is forgotten in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic, sleep
from typing import Literal, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, Field, StrictInt
from sqlalchemy.orm import Session

from webapp.appointments.booking import service
from webapp.appointments.impact.alternative_times import propose
from webapp.appointments.schemas import Cancellation, Move, Note
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core.codes import REASONS, stored
from webapp.core.parsing import Instant
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict
from webapp.i18n import ngettext
from webapp.patients import service as patients
from webapp.patients.models import Patient
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.rule_violations import UpcomingAppointment

# So many appointments are moved and cancelled in the transaction of the change itself.
AT_ONCE = 20
# Otherwise as many as fit into each transaction's time. On SQLite only one transaction writes at a time, and those that
# wait look up to a tenth of a second apart whether it is their turn: the pause is theirs.
BATCH_SECONDS = 0.2
PAUSE_SECONDS = 0.1
# Each transaction first takes the locks of all patients whom it may get to.
MOST_AT_ONCE = 50
# Databases limit the number of values in a statement.
IDS_AT_ONCE = 500


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


class SomeLeft(Conflict):
    """The change is made, but some appointments could not be moved or cancelled; they are flagged."""

    code = "visits_left"

    def __init__(self, count: int) -> None:
        super().__init__(
            ngettext(
                "The change is saved. %(n)d appointment couldn’t be moved or cancelled: it is flagged.",
                "The change is saved. %(n)d appointments couldn’t be moved or cancelled: they are flagged.",
                count,
            )
            % {"n": count}
        )


class Pending(NamedTuple):
    """A decision to move or cancel a flagged appointment; `code` is the clinic's reason, `why` what staff typed."""

    appointment: UpcomingAppointment
    decision: Decision
    code: str
    why: str


@dataclass
class Course:
    """What a change leaves to be done, and how many appointments need no decision any more because of it."""

    later: list[Pending] = field(default_factory=list)
    unflagged: int = 0


def settle(
    session: Session,
    actor: Actor,
    clinic: Clinic,
    affected: dict[UpcomingAppointment, str],
    decisions: Decisions,
    course: Course | None,
    *,
    now: datetime,
) -> None:
    """Carry out the decisions about the affected appointments, each with the code of its reason.

    With a `course`, many moves and cancellations are left to `finish`.

    Raises:
        AppointmentsAffected: an appointment has no decision, has changed since, or could not be moved or cancelled.
    """
    pending = [
        Pending(appointment, decision, code, decisions.why)
        for appointment, code in affected.items()
        if (decision := decisions.each.get(appointment.reference)) and not _is_open(appointment, decision)
    ]
    problems: dict[int, str] = {}
    if len(pending) == len(affected):
        later = [each for each in pending if each.decision.kind != "keep"]
        if course is not None and len(later) > AT_ONCE:
            _flag(session, actor, pending, now=now)
            course.later = [_with_next_version(each) for each in later]
            return
        _flag(session, actor, [each for each in pending if each.decision.kind == "keep"], now=now)
        problems = _do_all(session, actor, later, now=now)
    if problems or len(pending) < len(affected):
        raise AppointmentsAffected(_described(session, clinic, affected, decisions, problems, now=now))


def finish(database: Database, actor: Actor, course: Course, *, now: datetime) -> int:
    """Move and cancel what the change left, in small transactions; returns how many appointments stay flagged."""
    left, done = 0, 0
    while done < len(course.later):
        if done and database.is_sqlite:
            sleep(PAUSE_SECONDS)
        try:
            batch = database.write(_do_some, actor, course.later[done : done + MOST_AT_ONCE], now=now)
        except AppError:
            # The database was too busy for all attempts; the next ones would only wait as long.
            return left + len(course.later) - done
        done, left = done + batch.done, left + batch.left
    return left


def unflag(session: Session, actor: Actor, ids: Sequence[int], *, now: datetime) -> None:
    """Remove the flags from these appointments."""
    _set_flags(session, ids, "", now=now)
    audit.record_all_by(session, actor, "unflagged", subject_type="appointment", subject_ids=ids, now=now)


def _is_open(appointment: UpcomingAppointment, decision: Decision) -> bool:
    """Whether this is no decision: it is about an older version, or a move without a time."""
    return decision.version != appointment.version or (decision.kind == "move" and decision.starts_at is None)


def _with_next_version(pending: Pending) -> Pending:
    """The same decision about the appointment as it is once it is flagged."""
    decision = pending.decision
    return pending._replace(decision=decision.model_copy(update={"version": decision.version + 1}))


def _do_all(session: Session, actor: Actor, pending: Sequence[Pending], *, now: datetime) -> dict[int, str]:
    """Move and cancel all of these or none; returns what is wrong with those that cannot be, by the appointment's id.

    If one fails, the others are rolled back. Otherwise an appointment could block its own proposal.
    """
    problems: dict[int, str] = {}
    _lock_patients(session, pending)
    with suppress(_Undo), session.begin_nested():
        for each in pending:
            try:
                with session.begin_nested():
                    _do(session, actor, each, now=now)
            except AppError as error:
                problems[each.appointment.id] = error.message
        if problems:
            raise _Undo
    return problems


class _Batch(NamedTuple):
    """How many decisions a transaction dealt with, and how many of them could not be carried out."""

    done: int
    left: int


def _do_some(session: Session, actor: Actor, pending: Sequence[Pending], *, now: datetime) -> _Batch:
    """Move and cancel the first of these, one after another, as long as the time of a transaction lasts."""
    done, left, ends = 0, 0, monotonic() + BATCH_SECONDS
    doctors.lock_doctors(session, [each.appointment.doctor_id for each in pending])
    _lock_patients(session, pending)
    for each in pending:
        try:
            with session.begin_nested():
                _do(session, actor, each, now=now)
        except AppError:
            left += 1
        done += 1
        if monotonic() > ends:
            break
    return _Batch(done, left)


class _Undo(Exception):
    """Ends a savepoint so that it is rolled back."""


def _lock_patients(session: Session, pending: Sequence[Pending]) -> None:
    for patient_id in sorted({each.appointment.patient_id for each in pending}):
        patients.lock_patient(session, patient_id)


def _do(session: Session, actor: Actor, pending: Pending, *, now: datetime) -> None:
    """Move or cancel one appointment."""
    appointment, decision, code, why = pending
    if decision.kind == "cancel":
        command = Cancellation(reason=why, version=decision.version)
        service.cancel(session, actor, appointment.reference, command, now=now, why=code)
    elif decision.starts_at is not None:
        move = Move(starts_at=decision.starts_at, version=decision.version)
        service.move(session, actor, appointment.reference, move, now=now, why=code)


def _flag(session: Session, actor: Actor, pending: Sequence[Pending], *, now: datetime) -> None:
    """Keep these appointments and flag them for attention; a few statements, however many they are."""
    ids: dict[str, list[int]] = defaultdict(list)
    for each in pending:
        ids[stored(each.code, each.why)].append(each.appointment.id)
    for why, of_this in ids.items():
        _set_flags(session, of_this, why, now=now)
        audit.record_all_by(session, actor, "flagged", subject_type="appointment", subject_ids=of_this, now=now)


def _set_flags(session: Session, ids: Sequence[int], why: str, *, now: datetime) -> None:
    for at in range(0, len(ids), IDS_AT_ONCE):
        session.execute(
            sa.update(Appointment)
            .where(Appointment.id.in_(ids[at : at + IDS_AT_ONCE]))
            .values(flagged_why=why, version=Appointment.version + 1, updated_at=now)
            .execution_options(synchronize_session=False)
        )


def _described(
    session: Session,
    clinic: Clinic,
    affected: dict[UpcomingAppointment, str],
    decisions: Decisions,
    problems: dict[int, str],
    *,
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
    words = {code: str(REASONS[code]) for code in set(affected.values())}
    proposals = propose(session, clinic, list(affected), who, from_today=decisions.proposals_from == "today", now=now)
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
            words[code],
            proposals.get(appointment.id),
            problems.get(appointment.id, ""),
        )
        for appointment, code in affected.items()
    ]
