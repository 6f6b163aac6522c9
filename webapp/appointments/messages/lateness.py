"""Tells patients that their doctor is running late, or on time again, if the clinic wishes.

Patients are told if their appointment begins within the hours that the clinic has set and they are not at the clinic
yet. They get a message if the delay differs by at least ten minutes from the last one that they were told; a waiting
message does not count as told. A second message waits until ten minutes after the first, so that a doctor who changes
the figure often does not send a series of messages, and everyone gets the final figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages import appointment_messages
from webapp.appointments.messages.appointment_messages import LATE
from webapp.appointments.messages.recipients import FACTS, AppointmentFacts, Recipient, recipients_of, short
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.core.local_time import first_instant
from webapp.database import rows, table_of
from webapp.doctors import lateness
from webapp.doctors.lateness import RunLate
from webapp.events.kinds import DoctorRanLate
from webapp.notifications import outbox
from webapp.notifications.models import OutboxMessage
from webapp.notifications.outbox import Message
from webapp.scheduling.models import ACTIVE, OPEN, Appointment

# Patients who were told 20 minutes do not get another message for 25.
NOTICEABLE_MINUTES = 10
PAUSE = timedelta(minutes=10)
# A message that waits goes out this long before the appointment at the latest.
LAST_MOMENT = timedelta(minutes=2)

_APPOINTMENT, _MESSAGE = table_of(Appointment).c, table_of(OutboxMessage).c
_SOON = FACTS.where(
    OPEN,
    _APPOINTMENT.status.in_(ACTIVE),
    _APPOINTMENT.doctor_id == sa.bindparam("doctor_id"),
    _APPOINTMENT.starts_at > sa.bindparam("now"),
    _APPOINTMENT.starts_at <= sa.bindparam("until"),
    _APPOINTMENT.starts_at < sa.bindparam("tomorrow"),
).order_by(_APPOINTMENT.starts_at, _APPOINTMENT.id)


class AnnouncedDelay(NamedTuple):
    """The delay that people were told last, in minutes, and when."""

    minutes: int
    at: datetime


class ExpectedPatient(NamedTuple):
    """An appointment that begins soon, who is told about it and from when on, and of how many minutes they were told
    last."""

    facts: AppointmentFacts
    recipients: list[Recipient]
    due_at: datetime
    announced: int

    def hears_of(self, minutes: int) -> bool:
        """Whether this lateness is news to them, and reaches them before they come."""
        return abs(minutes - self.announced) >= NOTICEABLE_MINUTES and self.due_at < self.facts.starts_at


class Audience(NamedTuple):
    """The appointments that a change may reach, and within how many hours they begin; 0: the clinic sends no such
    messages.
    """

    hours: int
    expected: list[ExpectedPatient]

    def count(self, minutes: int) -> int:
        """The number of appointments for which messages about this delay would be sent."""
        return sum(each.hears_of(minutes) for each in self.expected)


def find_audience(session: Session, doctor_id: int, *, now: datetime) -> Audience:
    """Those who would be told that this doctor is late."""
    clinic = get_clinic(session)
    if not clinic.tell_late_hours:
        return Audience(0, [])
    until = now + timedelta(hours=clinic.tell_late_hours)
    today = clinic.today(now)
    tomorrow = first_instant(today + timedelta(days=1), clinic.zone)
    found = rows(session, _SOON, doctor_id=doctor_id, now=now, until=until, tomorrow=tomorrow)
    reached = [(facts, list(recipients_of(facts))) for facts in (AppointmentFacts(*row) for row in found)]
    announced = _announced_delays(session, reached, since=first_instant(today, clinic.zone))
    expected = [
        _expected(facts, recipients, announced.get(facts.id), now=now) for facts, recipients in reached if recipients
    ]
    return Audience(clinic.tell_late_hours, expected)


def _expected(
    facts: AppointmentFacts, recipients: list[Recipient], announced: AnnouncedDelay | None, *, now: datetime
) -> ExpectedPatient:
    if announced is None:
        return ExpectedPatient(facts, recipients, now, 0)
    later, last = announced.at + PAUSE, facts.starts_at - LAST_MOMENT
    return ExpectedPatient(facts, recipients, max(min(later, last) if last > now else later, now), announced.minutes)


def run_late(session: Session, actor: Actor, slug: str, command: RunLate, *, now: datetime) -> int:
    """Set how late a doctor is today; returns for how many appointments messages are sent.

    Raises:
        NotFound: as in `webapp.doctors.lateness.get_doctor_on_duty`.
    """
    doctor = lateness.get_doctor_on_duty(session, actor, slug)
    before = _count_written(session, doctor.id, now)
    lateness.run_late(session, actor, slug, command, now=now)
    return _count_written(session, doctor.id, now) - before


def tell(session: Session, event: DoctorRanLate, /, *, now: datetime) -> None:
    """Write the messages about a doctor's lateness; those that wait are no longer true and are withdrawn."""
    clinic = get_clinic(session)
    audience = find_audience(session, event.doctor_id, now=now)
    appointment_messages.withdraw_lateness(session, [each.facts.id for each in audience.expected])
    for each in audience.expected:
        if each.hears_of(event.minutes):
            for recipient in each.recipients:
                outbox.enqueue(session, _message(clinic, each, recipient, event.minutes, now=now), now=now)


def late_values(
    facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, minutes: int, *, now: datetime
) -> dict[str, Any]:
    """The values of such a message's template. It carries no event: the appointment keeps its time."""
    addressed = appointment_messages.addressed_values(facts, recipient, clinic, LATE, now=now)
    return {"clinic": clinic.letterhead, **addressed, "late": minutes}


def _message(
    clinic: Clinic, expected: ExpectedPatient, recipient: Recipient, minutes: int, *, now: datetime
) -> Message:
    """The message about a delay. Text messages are sent at night, too, because the patient is about to leave home."""
    facts = expected.facts
    return Message(
        dedupe_key=f"{LATE}:{facts.id}:{minutes}:{now.timestamp():.0f}:{short(recipient.address)}",
        channel=recipient.channel,
        recipient=recipient.address,
        template=LATE,
        values=late_values(facts, recipient, clinic, minutes, now=now),
        subject=("appointment", facts.id),
        due_at=expected.due_at if expected.due_at > now else None,
        expires_at=facts.starts_at,
    )


def _announced_delays(
    session: Session, reached: Sequence[tuple[AppointmentFacts, list[Recipient]]], *, since: datetime
) -> dict[int, AnnouncedDelay]:
    """The last delay that the recipients of each appointment were told. Waiting messages do not count, and neither do
    messages to others, such as an earlier patient of the same appointment.
    """
    addresses = {facts.id: {each.address for each in recipients} for facts, recipients in reached}
    query = sa.select(
        _MESSAGE.subject_id,
        _MESSAGE.recipient,
        _MESSAGE["values"],
        sa.func.coalesce(_MESSAGE.finished_at, _MESSAGE.due_at, type_=_MESSAGE.due_at.type),
    ).where(
        _MESSAGE.subject_type == "appointment",
        _MESSAGE.subject_id.in_(addresses),
        _MESSAGE.template == LATE,
        _MESSAGE.status != "waiting",
        _MESSAGE.created_at >= since,
    )
    return {
        number: AnnouncedDelay(values["late"], at)
        for number, recipient, values, at in session.execute(query.order_by(_MESSAGE.id))
        if recipient in addresses[number]
    }


def _count_written(session: Session, doctor_id: int, now: datetime) -> int:
    """For how many appointments of this doctor such messages were written at this instant."""
    about = _MESSAGE.subject_type == "appointment", _MESSAGE.subject_id == _APPOINTMENT.id
    query = sa.select(sa.func.count(sa.distinct(_APPOINTMENT.id))).where(
        *about,
        _APPOINTMENT.doctor_id == doctor_id,
        _APPOINTMENT.starts_at > now,
        _APPOINTMENT.starts_at < now + timedelta(days=1),
        _MESSAGE.template == LATE,
        _MESSAGE.created_at == now,
    )
    return session.scalar(query) or 0
