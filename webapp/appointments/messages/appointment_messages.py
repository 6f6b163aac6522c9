"""Notifies people of changes of an appointment: by e-mail, and by text message if they want it.

Messages go to the patient and to the person who books for them. A message names the day, the time and the doctor. It
never says why the patient comes, what they told the doctor or what the doctor noted. It names the visit type if the
clinic allows it; it leaves out the doctor's specialty, which may reveal what the patient is treated for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.calendars.ical import event_of
from webapp.appointments.messages import daytime, text_limits
from webapp.appointments.messages.recipients import (
    LINK_PURPOSE,
    AppointmentFacts,
    Recipient,
    addresses_of,
    facts_of,
    link_of,
    recipients_of,
    short,
)
from webapp.appointments.schemas import last_change
from webapp.clinic.models import VisitType
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats
from webapp.doctors.models import Doctor
from webapp.events.kinds import DoneBy
from webapp.notifications import outbox
from webapp.notifications.outbox import LIFETIME, LINK, Message

# Stored messages have these names, and their values call an appointment `visit`.
BOOKED, MOVED, CANCELLED, RESTORED = "visit_booked", "visit_moved", "visit_cancelled", "visit_restored"
REMINDER, LATE = "visit_reminder", "visit_late"
# In the clinic's own words.
CLINIC_MESSAGE = "clinic_message"
# All messages about appointments. The others are about accounts.
ABOUT_APPOINTMENTS = (BOOKED, MOVED, CANCELLED, RESTORED, REMINDER, LATE, CLINIC_MESSAGE)
# The reason, among those of the clinic, why the clock shows another hour for an appointment.
CLOCK = "clock_changed"


class FormerValues(NamedTuple):
    """The earlier values of an appointment whose doctor or visit type staff changed; '' and 0 for unchanged ones.

    A visit type that messages may not name is left out.
    """

    doctor: str = ""
    visit_type: str = ""
    minutes: int = 0


class Notice(NamedTuple):
    """The content of a message: `before` is the start before a move; `why` is the code of a reason of the clinic."""

    template: str
    by: DoneBy
    before: datetime | None = None
    why: str = ""
    was: FormerValues = FormerValues()


def enqueue(session: Session, appointment_id: int, notice: Notice, *, now: datetime) -> None:
    """Write messages about a change of an appointment into the outbox, one for each recipient.

    Waiting reminders and messages about lateness that are no longer true are withdrawn. If the appointment's time has
    come, for example because staff enter it afterwards, no message is written.
    """
    clinic = get_clinic(session)
    facts = facts_of(session, appointment_id)
    if notice.template in {MOVED, CANCELLED}:
        _withdraw_reminders(session, clinic, facts, notice.before or facts.starts_at)
        withdraw_lateness(session, [facts.id])
    times = (facts.starts_at, notice.before or facts.starts_at)
    if max(times) <= now:
        return
    for recipient in recipients_of(facts):
        if recipient.channel == "sms" and not text_limits.has_room(session, notice.by, recipient.address, now=now):
            continue
        values = notice_values(facts, recipient, clinic, notice, now=now)
        due_at = daytime.due_at(clinic, recipient.channel, min(times), urgent=values["by"] != "you", now=now)
        expires_at = now + LIFETIME if notice.template == CANCELLED else min(now + LIFETIME, facts.starts_at)
        # A message that could only be sent after the appointment would be reported as a failure.
        if due_at >= expires_at:
            continue
        message = Message(
            dedupe_key=f"{notice.template}:{facts.id}:{facts.version}:{short(recipient.address)}",
            channel=recipient.channel,
            recipient=recipient.address,
            template=notice.template,
            values=values,
            subject=("appointment", facts.id),
            due_at=due_at,
            expires_at=expires_at,
        )
        outbox.enqueue(session, message, now=now)


def notice_values(
    facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, notice: Notice, *, now: datetime
) -> dict[str, Any]:
    """The values of a message's template for a change of an appointment."""
    return {
        "clinic": clinic.letterhead,
        **addressed_values(facts, recipient, clinic, notice.template, now=now),
        **_author(notice.by, recipient),
        # If the start has not changed, there is no old time to name.
        "before": formats.iso(notice.before) if notice.before and notice.before != facts.starts_at else "",
        "why": notice.why,
        "was": notice.was._asdict(),
    }


def former_of(session: Session, doctor_id: int | None, visit_type_id: int | None, minutes: int | None) -> FormerValues:
    """The earlier values of an appointment in words; None means unchanged."""
    doctor = kind = None
    if doctor_id is not None:
        doctor = session.scalar(sa.select(Doctor.name).where(Doctor.id == doctor_id))
    if visit_type_id is not None:
        query = sa.select(VisitType.name).where(VisitType.id == visit_type_id, VisitType.named_in_messages.is_(True))
        kind = session.scalar(query)
    return FormerValues(doctor or "", kind or "", minutes or 0)


def addressed_values(
    facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, template: str, *, now: datetime
) -> dict[str, Any]:
    """The values of such a message that depend on the address to which it is sent."""
    return {
        "visit": appointment_values(facts, recipient, clinic, now=now),
        "calendar": _calendar(facts, recipient, clinic, template),
    }


def reminder_values(
    appointments: Sequence[tuple[AppointmentFacts, Recipient]], clinic: Clinic, *, now: datetime
) -> dict[str, Any]:
    """The values of a reminder about the appointments of one day, each with its recipient.

    Their events are attached as a file without an invitation: people who already have them in their calendar do not get
    them twice.
    """
    told = [appointment_values(facts, recipient, clinic, now=now) for facts, recipient in appointments]
    events = [_event(facts, recipient, clinic) for facts, recipient in appointments if recipient.channel == "email"]
    calendar = {"method": "", "events": events} if events else None
    return {"clinic": clinic.letterhead, "visits": told, "calendar": calendar}


def appointment_values(
    facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, *, now: datetime
) -> dict[str, Any]:
    """The values of a message's template for an appointment: a dict that the outbox keeps as JSON."""
    until = last_change(facts.starts_at, clinic, moved_by_clinic=facts.moved_by_clinic)
    return {
        "reference": facts.reference,
        "link": link_of(facts, recipient.address),
        "starts_at": formats.iso(facts.starts_at),
        "minutes": int((facts.ends_at - facts.starts_at).total_seconds()) // 60,
        "doctor": facts.doctor_name,
        "room": facts.doctor_room,
        "visit_type": facts.visit_type_name if facts.named_in_messages else "",
        "preparation": facts.preparation if facts.named_in_messages else "",
        "prepares": bool(facts.preparation),
        "whose": recipient.whose,
        "confirmed": facts.status == "confirmed",
        "change_until": formats.iso(until) if until > now else "",
    }


def _author(by: DoneBy, recipient: Recipient) -> dict[str, str]:
    """The person who made the change, from the recipient's point of view: the recipient, the clinic, or another
    person.
    """
    if by.is_staff:
        return {"by": "clinic", "by_name": ""}
    with_link = by.account_id is None
    own = by.patient_id == recipient.patient_id if with_link else by.account_id == recipient.user_id
    if own:
        return {"by": "you", "by_name": ""}
    return {"by": "other", "by_name": by.name}


def _calendar(facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, template: str) -> dict[str, Any] | None:
    """The appointment for the recipient's calendar, if the message can carry it."""
    if recipient.channel != "email" or template == LATE:
        return None
    method = "CANCEL" if template == CANCELLED else "REQUEST"
    return {"method": method, "events": [_event(facts, recipient, clinic)]}


def _event(facts: AppointmentFacts, recipient: Recipient, clinic: Clinic) -> dict[str, Any]:
    """The appointment as an event; its texts are added, and its link is signed, when the message is rendered."""
    event = event_of(facts, clinic, base_url="", whose=recipient.whose, href=LINK)
    link = ["/visit/", LINK_PURPOSE, link_of(facts, recipient.address)]
    return {"event": event.model_dump(mode="json", exclude={"summary", "description"}), "link": link}


# --------------------------------------------------------------------------------------------------- reminders


def reminder_keys(clinic: Clinic, starts_at: datetime) -> str:
    """The prefix of the keys of all reminders for the local day of an appointment."""
    return f"{REMINDER}:{starts_at.astimezone(clinic.zone).date().isoformat()}:"


def withdraw_reminders_of(session: Session, appointment_id: int, before: datetime) -> None:
    """Withdraw the reminders of an appointment that began at `before`, and of the day on which it is now."""
    if not outbox.is_any_waiting(session, REMINDER):
        return
    clinic = get_clinic(session)
    facts = facts_of(session, appointment_id)
    for start in (before, facts.starts_at):
        _withdraw_reminders(session, clinic, facts, start)


def withdraw_lateness(session: Session, appointment_ids: Sequence[int]) -> None:
    """Withdraw waiting messages about how late these appointments' doctor is."""
    if outbox.is_any_waiting(session, LATE):
        outbox.withdraw(
            session,
            LATE,
            subject_type="appointment",
            subject_ids=appointment_ids,
            recipients=[],
            keys_beginning=f"{LATE}:",
        )


def _withdraw_reminders(session: Session, clinic: Clinic, facts: AppointmentFacts, starts_at: datetime) -> None:
    """Withdraw the reminders of that day; the next run writes them again for the remaining appointments.

    People who share an address get one reminder together, so it may also be about another patient. A reminder may also
    be waiting for an address that they had before.
    """
    outbox.withdraw(
        session,
        REMINDER,
        subject_type="patient",
        subject_ids=[each for each in (facts.patient_id, facts.manager_id) if each is not None],
        recipients=addresses_of(facts),
        keys_beginning=reminder_keys(clinic, starts_at),
    )
