"""Telling people what happened to a visit: by e-mail, and by text message where they would like that.

The patient is told, and whoever books for them. A message names the day, the time and the doctor. Why somebody comes,
what they told the doctor and what the doctor noted stand in no message. The kind of visit does where the clinic
allows it; the doctor's specialty does not, for it may say what somebody is treated for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.calendars.ical import event_of, initials
from webapp.auth.models import User
from webapp.clinic.models import VisitType
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats
from webapp.database import rows, table_of
from webapp.doctors.models import Doctor
from webapp.events.kinds import DoneBy
from webapp.notifications import outbox
from webapp.notifications.outbox import LIFETIME, LINK, Channel, Message
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment

BOOKED, MOVED, CANCELLED, RESTORED = "visit_booked", "visit_moved", "visit_cancelled", "visit_restored"
REMINDER = "visit_reminder"
# Who may follow the links of a message: whoever it was sent to.
LINK_PURPOSE = "visit"


class AppointmentFacts(NamedTuple):
    """What messages about a visit are made of. Instants are UTC; `manager_…` is whoever books for the patient.

    `manager_known`: the manager's e-mail address is confirmed, or the clinic wrote it down.
    """

    id: int
    reference: str
    version: int
    status: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    updated_at: datetime
    doctor_name: str
    doctor_room: str
    visit_type_name: str
    named_in_messages: bool
    preparation: str
    patient_id: int
    patient_name: str
    patient_user_id: int | None
    patient_email: str
    patient_phone: str
    wants_email: bool
    wants_sms: bool
    manager_id: int | None
    manager_user_id: int | None
    manager_email: str
    manager_known: bool
    manager_phone: str
    manager_wants_email: bool
    manager_wants_sms: bool


class Recipient(NamedTuple):
    """An address and whose it is; `whose` is what the patient is called there where that is somebody else, '' else."""

    channel: Channel
    address: str
    patient_id: int
    user_id: int | None
    whose: str


class Notice(NamedTuple):
    """What is announced: `before` is the start before a move; `why` is the code of one of the clinic's own reasons."""

    template: str
    by: DoneBy
    before: datetime | None = None
    why: str = ""


# Tables, not mapped classes, and built once: every booking reads this.
_VISIT, _DOCTOR, _KIND = table_of(Appointment), table_of(Doctor), table_of(VisitType)
_PATIENT, _MANAGER = table_of(Patient), table_of(Patient).alias("manager")
_ACCOUNT, _MANAGERS_ACCOUNT = table_of(User).alias("account"), table_of(User).alias("managers_account")
FACTS = sa.select(
    _VISIT.c.id,
    _VISIT.c.reference,
    _VISIT.c.version,
    _VISIT.c.status,
    _VISIT.c.starts_at,
    _VISIT.c.ends_at,
    _VISIT.c.created_at,
    _VISIT.c.updated_at,
    _DOCTOR.c.name,
    _DOCTOR.c.room,
    _KIND.c.name,
    _KIND.c.named_in_messages,
    _KIND.c.preparation,
    _PATIENT.c.id,
    _PATIENT.c.name,
    _PATIENT.c.user_id,
    sa.func.coalesce(_ACCOUNT.c.email, _PATIENT.c.email),
    _PATIENT.c.phone,
    _PATIENT.c.wants_email,
    _PATIENT.c.wants_sms,
    _MANAGER.c.id,
    _MANAGER.c.user_id,
    sa.func.coalesce(_MANAGERS_ACCOUNT.c.email, _MANAGER.c.email, ""),
    sa.or_(_MANAGERS_ACCOUNT.c.id.is_(None), _MANAGERS_ACCOUNT.c.email_confirmed_at.is_not(None)),
    sa.func.coalesce(_MANAGER.c.phone, ""),
    sa.func.coalesce(_MANAGER.c.wants_email, sa.false()),
    sa.func.coalesce(_MANAGER.c.wants_sms, sa.false()),
).select_from(
    _VISIT.join(_DOCTOR, _DOCTOR.c.id == _VISIT.c.doctor_id)
    .join(_KIND, _KIND.c.id == _VISIT.c.visit_type_id)
    .join(_PATIENT, _PATIENT.c.id == _VISIT.c.patient_id)
    .outerjoin(_ACCOUNT, _ACCOUNT.c.id == _PATIENT.c.user_id)
    .outerjoin(_MANAGER, _MANAGER.c.id == _PATIENT.c.managed_by_id)
    .outerjoin(_MANAGERS_ACCOUNT, _MANAGERS_ACCOUNT.c.id == _MANAGER.c.user_id)
)
_FACTS_OF_VISIT = FACTS.where(_VISIT.c.id == sa.bindparam("visit_id"))


def enqueue(session: Session, appointment_id: int, notice: Notice, *, now: datetime) -> None:
    """Write what was just done to an appointment into the outbox, once for each recipient.

    Reminders of the appointment that still wait are taken back where they are not true any more. What is over needs no
    notice: nothing is written about an appointment whose time has come, such as one that staff enter afterwards.
    """
    clinic = get_clinic(session)
    facts = AppointmentFacts(*rows(session, _FACTS_OF_VISIT, visit_id=appointment_id).one())
    if notice.template in {MOVED, CANCELLED}:
        _withdraw_reminders(session, clinic, facts, notice.before or facts.starts_at)
    times = (facts.starts_at, notice.before or facts.starts_at)
    if max(times) <= now:
        return
    for recipient in recipients_of(facts):
        values = notice_values(facts, recipient, clinic, notice, now=now)
        due_at = _due(clinic, recipient.channel, min(times), urgent=values["by"] != "you", now=now)
        expires_at = now + LIFETIME if notice.template == CANCELLED else min(now + LIFETIME, facts.starts_at)
        # What could only be sent when it is over would be no notice, but a failure to be looked into.
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
    """What a message says about what was done to an appointment, as values of its template."""
    return {
        "clinic": clinic.letterhead,
        "visit": appointment_values(facts, recipient, clinic, now=now),
        **_author(notice.by, recipient),
        "before": formats.iso(notice.before) if notice.before else "",
        "why": notice.why,
        "calendar": _calendar(facts, recipient, clinic, notice),
    }


def reminder_values(
    visits: Sequence[tuple[AppointmentFacts, Recipient]], clinic: Clinic, *, now: datetime
) -> dict[str, Any]:
    """What a reminder says about the visits of one day, each with whoever is told of it.

    Their events come along as a file and invite to nothing: whoever has them in the calendar has them there once.
    """
    told = [appointment_values(facts, recipient, clinic, now=now) for facts, recipient in visits]
    events = [_event(facts, recipient, clinic) for facts, recipient in visits if recipient.channel == "email"]
    calendar = {"method": "PUBLISH", "events": events} if events else None
    return {"clinic": clinic.letterhead, "visits": told, "calendar": calendar}


def recipients_of(facts: AppointmentFacts) -> Iterator[Recipient]:
    """Everybody who is told about a visit, each address once.

    Where a child's address is that of the parent, it is the parent who reads it.
    """
    seen = set()
    for recipient, wanted in _addresses_of(facts):
        if wanted and recipient.address not in seen:
            seen.add(recipient.address)
            yield recipient


def addressee_of(facts: AppointmentFacts, address: str) -> Recipient | None:
    """Whose this address is, wanted messages or not; None where it is nobody's to whom the visit matters."""
    return next((recipient for recipient, _wanted in _addresses_of(facts) if recipient.address == address), None)


def _addresses_of(facts: AppointmentFacts) -> Iterator[tuple[Recipient, bool]]:
    """Every address of the patient and of whoever books for them, and whether messages are wanted there.

    A name is what somebody typed, and can be a whole sentence with a link in it. It goes nowhere but to an address
    that is its owner's for certain, which a telephone number never is; elsewhere the initials have to do.
    """
    brief = initials(facts.patient_name)
    manager = facts.manager_id, facts.manager_user_id
    patient = facts.patient_id, facts.patient_user_id
    named = facts.patient_name if facts.manager_known else brief
    offers: list[tuple[Channel, str, bool, tuple[int | None, int | None], str]] = [
        ("email", facts.manager_email, facts.manager_wants_email, manager, named),
        ("email", facts.patient_email, facts.wants_email, patient, ""),
        ("sms", facts.manager_phone, facts.manager_wants_sms, manager, brief),
        ("sms", facts.patient_phone, facts.wants_sms, patient, ""),
    ]
    for channel, address, wanted, (patient_id, user_id), whose in offers:
        if patient_id is not None and address:
            yield Recipient(channel, address, patient_id, user_id, whose), wanted


def appointment_values(
    facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, *, now: datetime
) -> dict[str, Any]:
    """What a message says about a visit, as values of its template: a dict, because the outbox keeps it as JSON."""
    until = facts.starts_at - timedelta(minutes=clinic.change_until_minutes)
    return {
        "reference": facts.reference,
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
    """Who did it, as the recipient knows them: the recipient, the clinic, or another person."""
    if by.is_staff:
        return {"by": "clinic", "by_name": ""}
    with_link = by.account_id is None
    own = by.patient_id == recipient.patient_id if with_link else by.account_id == recipient.user_id
    if own:
        return {"by": "you", "by_name": ""}
    return {"by": "other", "by_name": by.name}


def _calendar(facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, notice: Notice) -> dict[str, Any] | None:
    """The visit for the recipient's calendar, where the message can carry it."""
    if recipient.channel != "email":
        return None
    method = "CANCEL" if notice.template == CANCELLED else "REQUEST"
    return {"method": method, "events": [_event(facts, recipient, clinic)]}


def _event(facts: AppointmentFacts, recipient: Recipient, clinic: Clinic) -> dict[str, Any]:
    """The visit as an event; its words are found, and the link in it is signed, when the message is written out."""
    event = event_of(facts, clinic, base_url="", whose=recipient.whose, href=LINK)
    link = ["/visit/", LINK_PURPOSE, [facts.reference, recipient.address]]
    return {"event": event.model_dump(mode="json", exclude={"summary", "description"}), "link": link}


def short(address: str) -> str:
    """A short stand-in for an address, in keys that may not grow with it."""
    return hashlib.blake2b(address.encode(), digest_size=10).hexdigest()


# ----------------------------------------------------------------------------------------------- when it is told


def is_daytime(clinic: Clinic, now: datetime) -> bool:
    """Whether it is daytime at the clinic: the hours in which it sends what can wait."""
    local = now.astimezone(clinic.zone)
    return clinic.daytime_from <= local.hour * 60 + local.minute < clinic.daytime_until


def next_daytime(clinic: Clinic, now: datetime) -> datetime:
    """Now where it is daytime, else when daytime begins next."""
    if is_daytime(clinic, now):
        return now
    local = now.astimezone(clinic.zone)
    day = local.date() if local.hour * 60 + local.minute < clinic.daytime_from else local.date() + timedelta(days=1)
    begins = time(*divmod(clinic.daytime_from, 60))
    return datetime.combine(day, begins, tzinfo=clinic.zone).astimezone(UTC)


def _due(clinic: Clinic, channel: Channel, soonest: datetime, *, urgent: bool, now: datetime) -> datetime:
    """E-mails come at once; text messages wake nobody, unless the visit is, or was, before the morning's message."""
    if channel == "email":
        return now
    morning = next_daytime(clinic, now)
    return now if urgent and soonest <= morning else morning


def earliest_text(clinic: Clinic, wanted: datetime, planned_for: datetime, expires_at: datetime) -> datetime:
    """When a text message goes out that is meant for `wanted`: in daytime, unless it was planned for the night.

    Whoever would hear it too late in the morning hears it in the night.
    """
    if is_daytime(clinic, wanted) or not is_daytime(clinic, planned_for):
        return wanted
    morning = next_daytime(clinic, wanted)
    return morning if morning < expires_at else wanted


# --------------------------------------------------------------------------------------------------- reminders


def reminder_keys(clinic: Clinic, starts_at: datetime) -> str:
    """How the keys begin of all reminders of the local day of a visit."""
    return f"{REMINDER}:{starts_at.astimezone(clinic.zone).date().isoformat()}:"


def _withdraw_reminders(session: Session, clinic: Clinic, facts: AppointmentFacts, starts_at: datetime) -> None:
    """Take back the reminders of that day; the next run writes them anew for the visits that are left of it.

    Whoever shares an address is reminded there together: such a reminder may be about another patient, too. And one
    may lie at an address that they had before.
    """
    outbox.withdraw(
        session,
        REMINDER,
        subject_type="patient",
        subject_ids=[each for each in (facts.patient_id, facts.manager_id) if each is not None],
        recipients=[recipient.address for recipient, _wanted in _addresses_of(facts)],
        keys_beginning=reminder_keys(clinic, starts_at),
    )
