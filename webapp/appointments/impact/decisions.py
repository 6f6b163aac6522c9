"""The decisions about appointments that a change affects are carried out in the transaction of the change.

Keeping flags the appointment. Moving and cancelling go through the services of booking. A few of them are made in this
transaction, all or nothing. Many would hold up all other bookings: then every affected appointment is flagged, and the
decisions are stored as `pending_decisions`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.impact.alternative_times import load_alternatives, propose
from webapp.appointments.impact.change_lists import make_lists
from webapp.appointments.impact.flags import flag
from webapp.appointments.impact.pending_decisions import lock_patients, move_or_cancel, store
from webapp.appointments.impact.schemas import Affected, Decision, Decisions, ImpactResult, Pending
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core.codes import REASONS
from webapp.database import table_of
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict
from webapp.i18n import ngettext
from webapp.patients.models import Patient
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.rule_violations import UpcomingAppointment

# At most this many appointments are moved and cancelled in the transaction of the change itself.
AT_ONCE = 20


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


def settle(
    session: Session,
    actor: Actor,
    clinic: Clinic,
    affected: dict[UpcomingAppointment, str],
    decisions: Decisions,
    impact: ImpactResult,
    *,
    at_once: bool,
    now: datetime,
) -> None:
    """Carry out the decisions about the affected appointments, each with the code of its reason.

    `impact` collects the result. Unless all must be done `at_once`, many moves and cancellations are stored for
    `finish`.

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
        impact.kept = len(pending) - len(later)
        if not at_once and len(later) > AT_ONCE:
            flag(session, actor, pending, now=now)
            store(session, later, now=now)
            impact.later = len(later)
            impact.list_ids = make_lists(session, actor, clinic, pending, done=False, now=now)
            return
        flag(session, actor, [each for each in pending if each.decision.kind == "keep"], now=now)
        problems = _do_all(session, actor, later, now=now)
        impact.moved = sum(each.decision.kind == "move" for each in later)
        impact.cancelled = len(later) - impact.moved
        if not problems:
            impact.list_ids = make_lists(session, actor, clinic, pending, done=True, now=now)
    if problems or len(pending) < len(affected):
        raise AppointmentsAffected(len(affected), _description(session, clinic, affected, decisions, problems, now=now))


def _is_open(appointment: UpcomingAppointment, decision: Decision) -> bool:
    """Whether the appointment still needs a decision: this one is about an older version, or a move without a time."""
    return decision.version != appointment.version or (decision.kind == "move" and decision.starts_at is None)


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
                    move_or_cancel(
                        session, actor, each.appointment.reference, each.decision, each.code, each.why, now=now
                    )
            except AppError as error:
                problems[each.appointment.id] = error.message
        if problems:
            raise _Undo
    return problems


class _Undo(Exception):
    """Ends a savepoint so that it is rolled back."""


def _description(
    session: Session,
    clinic: Clinic,
    affected: dict[UpcomingAppointment, str],
    decisions: Decisions,
    problems: dict[int, str],
    *,
    now: datetime,
) -> Callable[[], list[Affected]]:
    """A function that describes the affected appointments for display, each with its nearest free time. The data is
    read now; the function chooses the free times when it is called.
    """
    doctor_ids = sorted({appointment.doctor_id for appointment in affected})
    who = {doctor.id: doctor for doctor in doctors.list_by_ids(session, doctor_ids)}
    people = _people(session, affected)
    kinds = doctors.visit_types_by_id(session)
    words = {code: str(REASONS[code]) for code in set(affected.values())}
    today = decisions.proposals_from == "today"
    known = load_alternatives(session, clinic, list(affected), who, from_today=today, now=now)

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
                *people[appointment.id],
                kinds[appointment.visit_type_id].name,
                words[code],
                proposals.get(appointment.id),
                problems.get(appointment.id, ""),
            )
            for appointment, code in affected.items()
        ]

    return describe


def _people(session: Session, affected: Collection[UpcomingAppointment]) -> dict[int, tuple[int, str, str]]:
    """The id, name and phone of the patient of each appointment, by the appointment's id.

    On PostgreSQL a patient's record may have been joined to another one since the appointments were read.
    """
    of, starts = table_of(Appointment).c, [appointment.starts_at for appointment in affected]
    query = sa.select(of.id, Patient.id, Patient.name, Patient.phone).join(Patient, Patient.id == of.patient_id)
    # A list of all their ids may be longer than a database accepts.
    theirs = of.doctor_id.in_({appointment.doctor_id for appointment in affected})
    found = session.execute(query.where(theirs, of.starts_at.between(min(starts), max(starts))))
    return {number: (patient_id, name, phone) for number, patient_id, name, phone in found}
