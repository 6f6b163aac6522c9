"""The decisions about appointments that a change affects, and how they are carried out.

Keeping flags the appointment. Moving and cancelling go through the services of booking. A few of them are made in the
transaction of the change, all or nothing. Many of them would hold up all other bookings: then the transaction of the
change flags every affected appointment and stores the decisions, and `finish` moves and cancels them in small
transactions afterwards. If it is interrupted, staff continue with one button. What it cannot do stays flagged, so
nothing is forgotten in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from time import monotonic, sleep
from typing import Literal, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, Field, StrictInt
from sqlalchemy.orm import Session

from webapp.appointments.booking import service
from webapp.appointments.impact.alternative_times import load_alternatives, propose
from webapp.appointments.models import PendingDecision
from webapp.appointments.queries import visible_to
from webapp.appointments.schemas import Cancellation, Move, Note
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core.codes import REASONS, stored
from webapp.core.parsing import Instant
from webapp.database import Database, UtcDateTime
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict, Unavailable
from webapp.i18n import ngettext
from webapp.patients import service as patients
from webapp.patients.models import Patient
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.rule_violations import UpcomingAppointment

# So many appointments are moved and cancelled in the transaction of the change itself.
AT_ONCE = 20
# Otherwise as many as fit into each transaction's time. On SQLite only one transaction writes at a time, and those that
# wait look up to a tenth of a second apart whether it is their turn: the pause is theirs.
BATCH_SECONDS = 0.1
PAUSE_SECONDS = 0.12
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

    def __init__(self, count: int, describe: Callable[[], list[Affected]]) -> None:
        super().__init__(
            ngettext(
                "%(n)d appointment is affected. Choose what to do with it.",
                "%(n)d appointments are affected. Choose what to do with each.",
                count,
            )
            % {"n": count}
        )
        self._describe = describe

    @cached_property
    def appointments(self) -> list[Affected]:
        """The appointments and their proposals. Read them after the transaction, because other writers wait for it."""
        return self._describe()


class Pending(NamedTuple):
    """A decision to move or cancel a flagged appointment; `code` is the clinic's reason, `why` what staff typed."""

    appointment: UpcomingAppointment
    decision: Decision
    code: str
    why: str


@dataclass
class Course:
    """What becomes of the affected appointments: `later` are left to `finish`, the others are dealt with.

    `unflagged` need no decision any more because of the change; `left` could not be moved or cancelled by `finish`.
    """

    kept: int = 0
    moved: int = 0
    cancelled: int = 0
    later: int = 0
    unflagged: int = 0
    left: int = 0


def settle(
    session: Session,
    actor: Actor,
    clinic: Clinic,
    affected: dict[UpcomingAppointment, str],
    decisions: Decisions,
    course: Course,
    *,
    at_once: bool,
    now: datetime,
) -> None:
    """Carry out the decisions about the affected appointments, each with the code of its reason; `course` says how.

    Unless all must be done `at_once`, many moves and cancellations are stored for `finish`.

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
        course.kept = len(pending) - len(later)
        if not at_once and len(later) > AT_ONCE:
            flag(session, actor, pending, now=now)
            _store(session, later, now=now)
            course.later = len(later)
            return
        flag(session, actor, [each for each in pending if each.decision.kind == "keep"], now=now)
        problems = _do_all(session, actor, later, now=now)
        course.moved = sum(each.decision.kind == "move" for each in later)
        course.cancelled = len(later) - course.moved
    if problems or len(pending) < len(affected):
        raise AppointmentsAffected(len(affected), _description(session, clinic, affected, decisions, problems, now=now))


def finish(database: Database, actor: Actor, *, now: datetime) -> int:
    """Move and cancel what was decided and the actor may see, in small transactions; returns how many stay flagged.

    Several may do so at once. If the database is too busy, or the process ends, the rest can be continued later.
    """
    left = 0
    with suppress(Unavailable):
        goes_on = True
        while goes_on:
            _done, more, goes_on = database.write(_do_some, actor, now=now)
            left += more
            if goes_on and database.is_sqlite:
                sleep(PAUSE_SECONDS)
    return left


def count_waiting(session: Session, actor: Actor) -> int:
    """How many decisions are not carried out yet, about appointments that the actor may see."""
    query = sa.select(sa.func.count()).select_from(PendingDecision).join(Appointment).where(visible_to(actor))
    return session.scalar(query) or 0


_OVER = sa.select(Appointment.id).where(Appointment.starts_at < sa.bindparam("now", type_=UtcDateTime))


def is_any_over(session: Session, now: datetime) -> bool:
    """Whether a decision was never carried out and its appointment has begun."""
    over = sa.exists().where(PendingDecision.appointment_id.in_(_OVER))
    return bool(session.scalar(sa.select(over), {"now": now}))


def forget_over(session: Session, *, now: datetime) -> None:
    """Delete the decisions about appointments that have begun; these stay flagged."""
    session.execute(
        sa.delete(PendingDecision)
        .where(PendingDecision.appointment_id.in_(_OVER))
        .execution_options(synchronize_session=False),
        {"now": now},
    )


def unflag(session: Session, actor: Actor, ids: Sequence[int], *, now: datetime) -> None:
    """Remove the flags from these appointments."""
    _set_flags(session, ids, "", now=now)
    audit.record_all_by(session, actor, "unflagged", subject_type="appointment", subject_ids=ids, now=now)


def _is_open(appointment: UpcomingAppointment, decision: Decision) -> bool:
    """Whether this is no decision: it is about an older version, or a move without a time."""
    return decision.version != appointment.version or (decision.kind == "move" and decision.starts_at is None)


def _store(session: Session, pending: Sequence[Pending], *, now: datetime) -> None:
    """Keep these decisions for `finish`, about the appointments as they are once flagged; they replace earlier ones."""
    ids = [each.appointment.id for each in pending]
    for at in range(0, len(ids), IDS_AT_ONCE):
        session.execute(
            sa.delete(PendingDecision).where(PendingDecision.appointment_id.in_(ids[at : at + IDS_AT_ONCE]))
        )
    session.execute(
        sa.insert(PendingDecision),
        [
            {
                "appointment_id": each.appointment.id,
                "kind": each.decision.kind,
                "version": each.decision.version + 1,
                "starts_at": each.decision.starts_at if each.decision.kind == "move" else None,
                "code": each.code,
                "why": each.why,
                "decided_at": now,
            }
            for each in pending
        ],
    )


def _do_all(session: Session, actor: Actor, pending: Sequence[Pending], *, now: datetime) -> dict[int, str]:
    """Move and cancel all of these or none; returns what is wrong with those that cannot be, by the appointment's id.

    If one fails, the others are rolled back. Otherwise an appointment could block its own proposal.
    """
    problems: dict[int, str] = {}
    lock_patients(session, pending)
    with suppress(_Undo), session.begin_nested():
        for each in pending:
            try:
                with session.begin_nested():
                    _do(session, actor, each.appointment.reference, each.decision, each.code, each.why, now=now)
            except AppError as error:
                problems[each.appointment.id] = error.message
        if problems:
            raise _Undo
    return problems


class _Batch(NamedTuple):
    """How many decisions a transaction dealt with, how many of them could not be carried out, and if more follow."""

    done: int
    left: int
    goes_on: bool


def _do_some(session: Session, actor: Actor, *, now: datetime) -> _Batch:
    """Move and cancel the first of what is stored, one after another, as long as the time of a transaction lasts."""
    done, left, ends = 0, 0, monotonic() + BATCH_SECONDS
    waiting = (
        sa.select(PendingDecision, Appointment.reference, Appointment.doctor_id, Appointment.patient_id)
        .join(Appointment)
        .where(visible_to(actor))
        .order_by(PendingDecision.appointment_id)
        .limit(MOST_AT_ONCE)
    )
    first = session.execute(waiting).all()
    doctors.lock_doctors(session, sorted({row.doctor_id for row in first}))
    for patient_id in sorted({row.patient_id for row in first}):
        patients.lock_patient(session, patient_id)
    # Another process may have carried out some of them before the locks were free.
    ids = [row.PendingDecision.appointment_id for row in first]
    session.expire_all()
    again = waiting.where(PendingDecision.appointment_id.in_(ids))
    for row in session.execute(again).all():
        stored_one = row.PendingDecision
        decision = Decision.model_construct(
            kind=stored_one.kind, version=stored_one.version, starts_at=stored_one.starts_at
        )
        try:
            with session.begin_nested():
                _do(session, actor, row.reference, decision, stored_one.code, stored_one.why, now=now)
        except AppError:
            left += 1
        session.execute(sa.delete(PendingDecision).where(PendingDecision.appointment_id == stored_one.appointment_id))
        done += 1
        if monotonic() > ends:
            break
    return _Batch(done, left, done < len(first) or len(first) == MOST_AT_ONCE)


class _Undo(Exception):
    """Ends a savepoint so that it is rolled back."""


def lock_patients(session: Session, pending: Sequence[Pending]) -> None:
    """Take the locks of the patients of these appointments, in the order that keeps transactions apart."""
    for patient_id in sorted({each.appointment.patient_id for each in pending}):
        patients.lock_patient(session, patient_id)


def _do(
    session: Session, actor: Actor, reference: str, decision: Decision, code: str, why: str, *, now: datetime
) -> None:
    """Move or cancel one appointment."""
    if decision.kind == "cancel":
        command = Cancellation(reason=why, version=decision.version)
        service.cancel(session, actor, reference, command, now=now, why=code)
    elif decision.starts_at is not None:
        move = Move(starts_at=decision.starts_at, version=decision.version)
        service.move(session, actor, reference, move, now=now, why=code)


def flag(session: Session, actor: Actor, pending: Sequence[Pending], *, now: datetime) -> None:
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


def _description(
    session: Session,
    clinic: Clinic,
    affected: dict[UpcomingAppointment, str],
    decisions: Decisions,
    problems: dict[int, str],
    *,
    now: datetime,
) -> Callable[[], list[Affected]]:
    """What describes the affected appointments for display, each with the nearest free time of its own.

    Everything is read at once; the free times are chosen when it is called.
    """
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
    known = load_alternatives(
        session, clinic, list(affected), who, from_today=decisions.proposals_from == "today", now=now
    )

    def describe() -> list[Affected]:
        proposals = propose(known)
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

    return describe
