"""Decisions that are stored, and carried out after the change that they are about.

Many moves and cancellations in one transaction would hold up all other bookings, so `finish` makes them in small ones.
If it is interrupted, staff continue with one button. Appointments for which it fails stay flagged, so nothing gets lost
unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic, sleep
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking import service
from webapp.appointments.impact.change_lists import LINE_KINDS, update_line
from webapp.appointments.impact.flags import IDS_AT_ONCE
from webapp.appointments.impact.schemas import Decision, Pending
from webapp.appointments.models import PendingDecision
from webapp.appointments.queries import visible_to
from webapp.appointments.schemas import Cancellation, Move
from webapp.auth.schemas import Actor
from webapp.database import Database, UtcDateTime
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Unavailable
from webapp.patients import service as patients
from webapp.scheduling.models import Appointment

# Each transaction makes as many as fit into its time. On SQLite only one transaction writes at a time, and waiting ones
# retry up to a tenth of a second apart; the pause lets them in.
BATCH_SECONDS = 0.1
PAUSE_SECONDS = 0.12
# Each transaction first takes the locks of all patients whom it may get to.
MOST_AT_ONCE = 50
_OF_APPOINTMENT = (Appointment.reference, Appointment.doctor_id, Appointment.patient_id, Appointment.starts_at)
_OVER = sa.select(Appointment.id).where(Appointment.starts_at < sa.bindparam("now", type_=UtcDateTime))


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
    # With a join, SQLite would read every appointment even if no decision is waiting.
    theirs = sa.exists().where(Appointment.id == PendingDecision.appointment_id, visible_to(actor))
    return session.scalar(sa.select(sa.func.count()).select_from(PendingDecision).where(theirs)) or 0


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


def store(session: Session, pending: Sequence[Pending], *, now: datetime) -> None:
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


class _Batch(NamedTuple):
    """How many decisions a transaction dealt with, how many of them could not be carried out, and if more follow."""

    done: int
    left: int
    goes_on: bool


def _do_some(session: Session, actor: Actor, *, now: datetime) -> _Batch:
    """Move and cancel the first of what is stored, one after another, as long as the time of a transaction lasts."""
    done, left, ends = 0, 0, monotonic() + BATCH_SECONDS
    waiting = (
        sa.select(PendingDecision, *_OF_APPOINTMENT)
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
        became = LINE_KINDS[stored_one.kind]
        try:
            with session.begin_nested():
                move_or_cancel(session, actor, row.reference, decision, stored_one.code, stored_one.why, now=now)
        except AppError:
            left, became = left + 1, "kept"
        decided_at = stored_one.decided_at
        update_line(session, stored_one.appointment_id, became, was_at=row.starts_at, decided_at=decided_at)
        session.execute(sa.delete(PendingDecision).where(PendingDecision.appointment_id == stored_one.appointment_id))
        done += 1
        if monotonic() > ends:
            break
    return _Batch(done, left, done < len(first) or len(first) == MOST_AT_ONCE)


def lock_patients(session: Session, pending: Sequence[Pending]) -> None:
    """Take the locks of the patients of these appointments, in the order that keeps transactions apart."""
    for patient_id in sorted({each.appointment.patient_id for each in pending}):
        patients.lock_patient(session, patient_id)


def move_or_cancel(
    session: Session, actor: Actor, reference: str, decision: Decision, code: str, why: str, *, now: datetime
) -> None:
    """Move or cancel one appointment."""
    if decision.kind == "cancel":
        command = Cancellation(reason=why, version=decision.version)
        service.cancel(session, actor, reference, command, now=now, why=code)
    elif decision.starts_at is not None:
        move = Move(starts_at=decision.starts_at, version=decision.version)
        service.move(session, actor, reference, move, now=now, why=code)
