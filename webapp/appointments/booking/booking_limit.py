"""How often a patient may book and move online.

Each booking or move sends a message, and the address is only what a person typed when they registered. Without a limit,
strangers could use Docket to flood any mailbox or telephone. Until an account's address is confirmed it may also belong
to another person, or be one of many: such an account has one upcoming appointment.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.appointments.exceptions import ConfirmFirst, TooManyChanges
from webapp.audit import queries as audit
from webapp.auth import login_throttle
from webapp.auth.addresses import confirmation
from webapp.auth.login_throttle import AttemptLimits
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.exceptions import TooManyAttempts
from webapp.patients.models import Patient, link_is_active
from webapp.scheduling.models import ACTIVE, Appointment

# Four times as many as the upcoming appointments that a patient may have: far more than a family needs.
TIMES, WINDOW = 4, timedelta(hours=24)
UNCONFIRMED_APPOINTMENTS = 1
# The bookings of a network's unconfirmed accounts in a day; confirmed ones are not counted.
UNCONFIRMED, OF_NETWORK = "unconfirmed-booking", AttemptLimits(WINDOW, 10, 20, 60)


def require_within_booking_limit(session: Session, actor: Actor, clinic: Clinic, *, now: datetime) -> None:
    """Check that a patient has not booked and moved too often lately. Staff have no limit.

    For a client with a link from a message, changes are counted per appointment.

    Raises:
        TooManyChanges: the limit within a day is reached.
    """
    if actor.is_staff:
        return
    appointments = UNCONFIRMED_APPOINTMENTS if confirmation.is_unconfirmed(session, actor) else clinic.max_active_visits
    appointment = None if actor.appointment_id is None else ("appointment", actor.appointment_id)
    first = audit.find_action_time(
        session,
        ("booked", "moved"),
        actor_user_id=actor.account_id,
        subject=appointment,
        since=now - WINDOW,
        ago=TIMES * appointments,
    )
    if first is not None:
        raise TooManyChanges(retry_after=max(1, int((first + WINDOW - now).total_seconds())))


def require_confirmed_address(session: Session, actor: Actor, *, now: datetime) -> None:
    """Check that a patient who asks for a time has confirmed their address, or has no upcoming appointment.

    Raises:
        ConfirmFirst: neither is the case.
    """
    if not actor.is_staff and confirmation.is_unconfirmed(session, actor):
        _require_no_appointment(session, actor, now=now)


def lock_unconfirmed(session: Session, actor: Actor) -> bool:
    """Whether a patient's address is not confirmed; if so, two of their bookings at the same moment wait for each
    other.

    The lock comes after those of doctors and before those of patients.
    """
    return not actor.is_staff and confirmation.is_unconfirmed(session, actor, lock=True)


def require_first_booking(session: Session, actor: Actor, *, now: datetime) -> None:
    """Check that an account with an unconfirmed address may book, and count its booking with those of its network.

    Raises:
        ConfirmFirst: they have booked one, or many unconfirmed accounts of their network have.
    """
    _require_no_appointment(session, actor, now=now)
    try:
        login_throttle.note_request(session, UNCONFIRMED, bounds=OF_NETWORK, address=actor.address, now=now)
    except TooManyAttempts as error:
        raise ConfirmFirst from error


def _require_no_appointment(session: Session, actor: Actor, *, now: datetime) -> None:
    """Refuse a second upcoming appointment that they booked, for anyone they book for."""
    own = aliased(Patient)
    mine = sa.select(own.id).where(own.user_id == actor.user_id).scalar_subquery()
    theirs = sa.select(Patient.id).where(
        sa.or_(Patient.id == mine, sa.and_(Patient.managed_by_id == mine, link_is_active()))
    )
    booked = sa.select(Appointment.id).where(
        Appointment.patient_id.in_(theirs),
        Appointment.booked_by == actor.user_id,
        Appointment.status.in_(ACTIVE),
        Appointment.starts_at > now,
    )
    if len(session.scalars(booked.limit(UNCONFIRMED_APPOINTMENTS)).all()) >= UNCONFIRMED_APPOINTMENTS:
        raise ConfirmFirst
