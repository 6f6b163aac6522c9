"""The calls of a day: which patients the front desk should call before it, and which of these calls are made.

A tick is about the appointment's start: if the appointment moves, its patient is to be called again.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking import status_service
from webapp.appointments.booking.appointment_row import lock_for_change
from webapp.appointments.messages.recipients import FACTS, AppointmentFacts, recipients_of
from webapp.appointments.models import Call, NotificationLine, NotificationList
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core.local_time import first_instant
from webapp.database import UtcDateTime, rows, table_of
from webapp.live import feed
from webapp.live.models import ANY_DOCTOR
from webapp.scheduling.models import ACTIVE, OCCUPYING, Appointment

RETENTION = timedelta(days=30)

DayCallReason = Literal["unreachable", "first", "unconfirmed"]
# In the order of the calls: patients who get no messages come first, because the call is all that they get.
REASONS: tuple[DayCallReason, ...] = ("unreachable", "first", "unconfirmed")


class CallLine(NamedTuple):
    """One patient to call. Instants are UTC; `phone` may be that of the person who books for them, or ''.

    `why` is the first reason that holds; `called_at` and `called_by` say who made the call, if it is made.
    """

    id: int
    reference: str
    starts_at: datetime
    doctor_name: str
    visit_type_name: str
    patient_id: int
    patient_name: str
    phone: str
    why: DayCallReason
    called_at: datetime | None
    called_by: str


_APPOINTMENT = table_of(Appointment).c
_OF_DAY = FACTS.where(
    _APPOINTMENT.status.in_(ACTIVE),
    _APPOINTMENT.starts_at >= sa.bindparam("low", type_=UtcDateTime),
    _APPOINTMENT.starts_at < sa.bindparam("high", type_=UtcDateTime),
).order_by(_APPOINTMENT.starts_at, _APPOINTMENT.id)
# The patients of the day who had an appointment before it; missed and cancelled ones are not counted.
_EARLIER = table_of(Appointment).alias("earlier")
_KNOWN = sa.select(_EARLIER.c.patient_id).where(
    _EARLIER.c.starts_at < sa.bindparam("low", type_=UtcDateTime),
    _EARLIER.c.status.in_(OCCUPYING),
    _EARLIER.c.patient_id.in_(
        sa.select(_APPOINTMENT.patient_id).where(
            _APPOINTMENT.status.in_(ACTIVE),
            _APPOINTMENT.starts_at >= sa.bindparam("low", type_=UtcDateTime),
            _APPOINTMENT.starts_at < sa.bindparam("high", type_=UtcDateTime),
        )
    ),
)
_CALL, _USER = table_of(Call).c, table_of(User).c
_CALLS = (
    sa.select(_CALL.appointment_id, _CALL.starts_at, _CALL.called_at, _USER.name)
    .join_from(table_of(Call), table_of(User), _USER.id == _CALL.called_by)
    .where(
        _CALL.starts_at >= sa.bindparam("low", type_=UtcDateTime),
        _CALL.starts_at < sa.bindparam("high", type_=UtcDateTime),
    )
)


def list_calls(session: Session, clinic: Clinic, day: date) -> list[CallLine]:
    """The patients of a day who get no messages, who come for the first time, or who have not confirmed; three queries.

    They are in the order of `REASONS`, and then of time.
    """
    span = {"low": first_instant(day, clinic.zone), "high": first_instant(day + timedelta(days=1), clinic.zone)}
    known = set(rows(session, _KNOWN, **span).scalars())
    made = {(row[0], row[1]): (row[2], row[3]) for row in rows(session, _CALLS, **span)}
    found = []
    for row in rows(session, _OF_DAY, **span):
        facts = AppointmentFacts(*row)
        why = _why(facts, is_first=facts.patient_id not in known)
        if why is not None:
            called_at, called_by = made.get((facts.id, facts.starts_at), (None, ""))
            found.append(
                CallLine(
                    facts.id,
                    facts.reference,
                    facts.starts_at,
                    facts.doctor_name,
                    facts.visit_type_name,
                    facts.patient_id,
                    facts.patient_name,
                    facts.patient_phone or facts.manager_phone,
                    why,
                    called_at,
                    called_by,
                )
            )
    return sorted(found, key=lambda line: REASONS.index(line.why))


def tick(session: Session, actor: Actor, reference: str, *, since: datetime | None = None, now: datetime) -> None:
    """Note that the actor has called about this appointment; a second tick changes nothing.

    A call before `since` was about something else, and is replaced by this one.

    Raises:
        NoSuchAppointment: the actor may not see it.
    """
    view = lock_for_change(session, actor, reference, None)
    same = sa.select(Call.appointment_id).where(Call.appointment_id == view.id, Call.starts_at == view.starts_at)
    if since is not None:
        same = same.where(Call.called_at >= since)
    if session.scalar(same) is not None or actor.account_id is None:
        return
    session.execute(sa.delete(Call).where(Call.appointment_id == view.id))
    values = {"appointment_id": view.id, "starts_at": view.starts_at, "called_at": now, "called_by": actor.account_id}
    session.execute(sa.insert(Call).values(values))
    _refresh_boards(session, view.id)
    status_service.record_unseen(session, actor, "called", view.id, now=now)


def untick(session: Session, actor: Actor, reference: str, *, now: datetime) -> None:
    """Take back a tick that is there.

    Raises:
        NoSuchAppointment: the actor may not see it.
    """
    view = lock_for_change(session, actor, reference, None)
    gone = sa.delete(Call).where(Call.appointment_id == view.id).returning(Call.appointment_id)
    if session.scalar(gone) is not None:
        _refresh_boards(session, view.id)
        status_service.record_unseen(session, actor, "call_undone", view.id, now=now)


def _refresh_boards(session: Session, appointment_id: int) -> None:
    """Tell the boards that say how many calls are left about a doctor's absence, a closure or another change.

    A trigger would also run when an appointment without a call is deleted.
    """
    of, line = NotificationList, NotificationLine
    query = sa.select(of.doctor_id, of.day, line.was_at).join(line, line.list_id == of.id)
    shown = of.kind.in_(("away", "closure", "change"))
    for doctor_id, day, was_at in session.execute(query.where(line.appointment_id == appointment_id, shown)):
        # A list without a doctor and a day is named above all columns.
        about = feed.ChangedDay(doctor_id or ANY_DOCTOR, str(day)) if day else feed.ChangedDay(day=str(was_at.date()))
        feed.tell(session, about)


def _why(facts: AppointmentFacts, *, is_first: bool) -> DayCallReason | None:
    """Why this patient is to be called, or None."""
    if next(recipients_of(facts), None) is None:
        return "unreachable"
    if is_first:
        return "first"
    return "unconfirmed" if facts.status == "scheduled" else None
