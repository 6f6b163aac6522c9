"""Notifies people of changes of an appointment: by e-mail, and by text message if they want it.

Messages go to the patient and to the person who books for them. A message names the day, the time and the doctor. It
never says why the patient comes, what they told the doctor or what the doctor noted. It names the visit type if the
clinic allows it; it leaves out the doctor's specialty, which may reveal what the patient is treated for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.calendars.ical import event_of, initials
from webapp.appointments.messages import text_limits
from webapp.appointments.schemas import last_change
from webapp.auth.models import User
from webapp.clinic.models import VisitType
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats, phones
from webapp.database import rows, table_of
from webapp.doctors.models import Doctor
from webapp.events.kinds import DoneBy
from webapp.notifications import outbox
from webapp.notifications.outbox import LIFETIME, LINK, Channel, Message
from webapp.patients.models import Patient, link_stands
from webapp.scheduling.models import Appointment

# Stored messages bear these names, and call an appointment `visit` among their values.
BOOKED, MOVED, CANCELLED, RESTORED = "visit_booked", "visit_moved", "visit_cancelled", "visit_restored"
REMINDER = "visit_reminder"
# All messages about appointments. The others are about accounts.
ABOUT_APPOINTMENTS = (BOOKED, MOVED, CANCELLED, RESTORED, REMINDER)
# The reason, among those of the clinic, why the clock shows another hour for an appointment.
CLOCK = "clock_changed"
# Only the recipient of a message may follow its links.
LINK_PURPOSE = "visit"


class AppointmentFacts(NamedTuple):
    """What messages about an appointment are made of. Instants are UTC.

    `manager_…` is the person who books for the patient. `manager_known` and `patient_known`: their e-mail address is
    confirmed, or the clinic entered it.
    """

    id: int
    reference: str
    version: int
    status: str
    starts_at: datetime
    ends_at: datetime
    promised_minute: int
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
    moved_by_clinic: bool
    patient_known: bool = True
    link_key: str | None = None
    links_ended_at: datetime | None = None


class Recipient(NamedTuple):
    """An address and its owner.

    `whose` is the patient's name as shown at that address, or '' if the address is the patient's.
    """

    channel: Channel
    address: str
    patient_id: int
    user_id: int | None
    whose: str


class Former(NamedTuple):
    """What an appointment was before staff changed its doctor or visit type; '' and 0 for what it still is.

    A visit type that messages may not name is left out.
    """

    doctor: str = ""
    visit_type: str = ""
    minutes: int = 0


class Notice(NamedTuple):
    """What a message announces: `before` is the start before a move; `why` is the code of a reason of the clinic."""

    template: str
    by: DoneBy
    before: datetime | None = None
    why: str = ""
    was: Former = Former()


# Tables instead of mapped classes, and built once, because every booking runs this query.
_APPOINTMENT, _DOCTOR, _KIND = table_of(Appointment), table_of(Doctor), table_of(VisitType)
_PATIENT, _MANAGER = table_of(Patient), table_of(Patient).alias("manager")
_ACCOUNT, _MANAGERS_ACCOUNT = table_of(User).alias("account"), table_of(User).alias("managers_account")
_GUARDIAN = table_of(Patient).alias("guardian")


def _unless_shared(address: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """The patient's address; '' where the person who books for them has it as well, and may not read this message.

    They may not where the appointment is confidential, and after they have lost their access.
    """
    theirs = sa.or_(_GUARDIAN.c.email == address, _GUARDIAN.c.phone == address)
    shared = sa.exists().where(_GUARDIAN.c.id == _PATIENT.c.managed_by_id, theirs).correlate(_PATIENT)
    return sa.case(
        (sa.and_(sa.or_(_APPOINTMENT.c.confidential.is_(True), ~link_stands(_PATIENT.c)), shared), ""), else_=address
    )


FACTS = sa.select(
    _APPOINTMENT.c.id,
    _APPOINTMENT.c.reference,
    _APPOINTMENT.c.version,
    _APPOINTMENT.c.status,
    _APPOINTMENT.c.starts_at,
    _APPOINTMENT.c.ends_at,
    _APPOINTMENT.c.promised_minute,
    _APPOINTMENT.c.created_at,
    _APPOINTMENT.c.updated_at,
    _DOCTOR.c.name,
    _DOCTOR.c.room,
    _KIND.c.name,
    _KIND.c.named_in_messages,
    _KIND.c.preparation,
    _PATIENT.c.id,
    _PATIENT.c.name,
    _PATIENT.c.user_id,
    sa.func.coalesce(_ACCOUNT.c.email, _unless_shared(_PATIENT.c.email)),
    _unless_shared(_PATIENT.c.phone),
    _PATIENT.c.wants_email,
    _PATIENT.c.wants_sms,
    _MANAGER.c.id,
    _MANAGER.c.user_id,
    sa.func.coalesce(_MANAGERS_ACCOUNT.c.email, _MANAGER.c.email, ""),
    sa.or_(_MANAGERS_ACCOUNT.c.id.is_(None), _MANAGERS_ACCOUNT.c.email_confirmed_at.is_not(None)),
    sa.func.coalesce(_MANAGER.c.phone, ""),
    sa.func.coalesce(_MANAGER.c.wants_email, sa.false()),
    sa.func.coalesce(_MANAGER.c.wants_sms, sa.false()),
    _APPOINTMENT.c.moved_by_clinic,
    sa.or_(_ACCOUNT.c.id.is_(None), _ACCOUNT.c.email_confirmed_at.is_not(None)),
    _APPOINTMENT.c.link_key,
    _APPOINTMENT.c.links_ended_at,
).select_from(
    _APPOINTMENT.join(_DOCTOR, _DOCTOR.c.id == _APPOINTMENT.c.doctor_id)
    .join(_KIND, _KIND.c.id == _APPOINTMENT.c.visit_type_id)
    .join(_PATIENT, _PATIENT.c.id == _APPOINTMENT.c.patient_id)
    .outerjoin(_ACCOUNT, _ACCOUNT.c.id == _PATIENT.c.user_id)
    # For a confidential appointment there is no such person.
    .outerjoin(
        _MANAGER,
        sa.and_(
            _MANAGER.c.id == _PATIENT.c.managed_by_id, link_stands(_PATIENT.c), _APPOINTMENT.c.confidential.is_(False)
        ),
    )
    .outerjoin(_MANAGERS_ACCOUNT, _MANAGERS_ACCOUNT.c.id == _MANAGER.c.user_id)
)
_FACTS_OF_APPOINTMENT = FACTS.where(_APPOINTMENT.c.id == sa.bindparam("appointment_id"))


def enqueue(session: Session, appointment_id: int, notice: Notice, *, now: datetime) -> None:
    """Write messages about a change of an appointment into the outbox, one for each recipient.

    Waiting reminders that are no longer true are withdrawn. If the appointment's time has come, for example because
    staff enter it afterwards, no message is written.
    """
    clinic = get_clinic(session)
    facts = AppointmentFacts(*rows(session, _FACTS_OF_APPOINTMENT, appointment_id=appointment_id).one())
    if notice.template in {MOVED, CANCELLED}:
        _withdraw_reminders(session, clinic, facts, notice.before or facts.starts_at)
    times = (facts.starts_at, notice.before or facts.starts_at)
    if max(times) <= now:
        return
    for recipient in recipients_of(facts):
        if recipient.channel == "sms" and not text_limits.has_room(session, notice.by, recipient.address, now=now):
            continue
        values = notice_values(facts, recipient, clinic, notice, now=now)
        due_at = _due(clinic, recipient.channel, min(times), urgent=values["by"] != "you", now=now)
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
    """What a message says about a change of an appointment, as values of its template."""
    return {
        "clinic": clinic.letterhead,
        **addressed_values(facts, recipient, clinic, notice.template, now=now),
        **_author(notice.by, recipient),
        # A start that stays is no old time.
        "before": formats.iso(notice.before) if notice.before and notice.before != facts.starts_at else "",
        "why": notice.why,
        "was": notice.was._asdict(),
    }


def former_of(session: Session, doctor_id: int | None, visit_type_id: int | None, minutes: int | None) -> Former:
    """What an appointment was before, in words; None stands for what it still is."""
    doctor = kind = None
    if doctor_id is not None:
        doctor = session.scalar(sa.select(_DOCTOR.c.name).where(_DOCTOR.c.id == doctor_id))
    if visit_type_id is not None:
        query = sa.select(_KIND.c.name).where(_KIND.c.id == visit_type_id, _KIND.c.named_in_messages.is_(True))
        kind = session.scalar(query)
    return Former(doctor or "", kind or "", minutes or 0)


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
    """What a reminder says about the appointments of one day, each with its recipient.

    Their events are attached as a file without an invitation: people who already have them in their calendar do not get
    them twice.
    """
    told = [appointment_values(facts, recipient, clinic, now=now) for facts, recipient in appointments]
    events = [_event(facts, recipient, clinic) for facts, recipient in appointments if recipient.channel == "email"]
    calendar = {"method": "", "events": events} if events else None
    return {"clinic": clinic.letterhead, "visits": told, "calendar": calendar}


def recipients_of(facts: AppointmentFacts) -> Iterator[Recipient]:
    """Everyone who is notified about an appointment, each address once.

    If a child's address is the parent's, the parent is the recipient.
    """
    seen = set()
    for recipient, wanted in _addresses_of(facts):
        if wanted and recipient.address not in seen:
            seen.add(recipient.address)
            yield recipient


def addresses_of(facts: AppointmentFacts) -> list[str]:
    """Every address and telephone number of the patient and of the person who books for them."""
    return [recipient.address for recipient, _wanted in _addresses_of(facts)]


def addressee_of(facts: AppointmentFacts, address: str) -> Recipient | None:
    """The owner of this address, even if they want no messages; None if it is not connected to the appointment."""
    return next((recipient for recipient, _wanted in _addresses_of(facts) if recipient.address == address), None)


def _addresses_of(facts: AppointmentFacts) -> Iterator[tuple[Recipient, bool]]:
    """Every address of the patient and of the person who books for them, and whether messages are wanted there.

    A name is what a person typed, and may be a whole sentence with a link in it. It is sent only to addresses that are
    known to be the owner's, which a telephone number never is; other addresses get the initials.

    An account that is not confirmed reaches no address but its own, and no telephone at all.
    """
    brief = initials(facts.patient_name)
    manager = facts.manager_id, facts.manager_user_id
    patient = facts.patient_id, facts.patient_user_id
    named = facts.patient_name if facts.manager_known else brief
    # What is known of a person without an account was typed by the one who books for them.
    own = facts.patient_user_id is not None or facts.manager_known
    calls, managers_calls = facts.wants_sms and facts.patient_known, facts.manager_wants_sms and facts.manager_known
    offers: list[tuple[Channel, str, bool, tuple[int | None, int | None], str]] = [
        ("email", facts.manager_email, facts.manager_wants_email, manager, named),
        ("email", facts.patient_email, facts.wants_email and own, patient, ""),
        ("sms", facts.manager_phone, managers_calls, manager, brief),
        ("sms", facts.patient_phone, calls and own, patient, ""),
    ]
    for channel, address, wanted, (patient_id, user_id), whose in offers:
        if patient_id is not None and address:
            reaches = channel != "sms" or phones.can_get_texts(address)
            yield Recipient(channel, address, patient_id, user_id, whose), wanted and reaches


def appointment_values(
    facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, *, now: datetime
) -> dict[str, Any]:
    """What a message says about an appointment, as values of its template: a dict that the outbox keeps as JSON."""
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
    """Who made the change, from the recipient's point of view: the recipient, the clinic, or another person."""
    if by.is_staff:
        return {"by": "clinic", "by_name": ""}
    with_link = by.account_id is None
    own = by.patient_id == recipient.patient_id if with_link else by.account_id == recipient.user_id
    if own:
        return {"by": "you", "by_name": ""}
    return {"by": "other", "by_name": by.name}


def _calendar(facts: AppointmentFacts, recipient: Recipient, clinic: Clinic, template: str) -> dict[str, Any] | None:
    """The appointment for the recipient's calendar, if the message can carry it."""
    if recipient.channel != "email":
        return None
    method = "CANCEL" if template == CANCELLED else "REQUEST"
    return {"method": method, "events": [_event(facts, recipient, clinic)]}


def _event(facts: AppointmentFacts, recipient: Recipient, clinic: Clinic) -> dict[str, Any]:
    """The appointment as an event; its texts are added, and its link is signed, when the message is rendered."""
    event = event_of(facts, clinic, base_url="", whose=recipient.whose, href=LINK)
    link = ["/visit/", LINK_PURPOSE, link_of(facts, recipient.address)]
    return {"event": event.model_dump(mode="json", exclude={"summary", "description"}), "link": link}


def link_of(facts: AppointmentFacts, address: str) -> str | list[str]:
    """What the link to an appointment carries that is sent to this address, before it is signed.

    It is the random key of the appointment's links, and a stand-in for the address. Appointments that were over when
    links got keys have none: their links name the appointment and the address, as all links did then.
    """
    return f"{facts.link_key}.{short(address)}" if facts.link_key else [facts.reference, address]


def addressee_of_stand_in(facts: AppointmentFacts, stand_in: str) -> Recipient | None:
    """The owner of the address that a link stands for; None if it is not connected to the appointment."""
    return next((each for each, _wanted in _addresses_of(facts) if short(each.address) == stand_in), None)


def short(address: str) -> str:
    """A short stand-in for an address, for keys of limited length."""
    return hashlib.blake2b(address.encode(), digest_size=10).hexdigest()


# ----------------------------------------------------------------------------------------------- times of sending


def is_daytime(clinic: Clinic, now: datetime) -> bool:
    """Whether it is daytime at the clinic, when messages that can wait are sent."""
    local = now.astimezone(clinic.zone)
    return clinic.daytime_from <= local.hour * 60 + local.minute < clinic.daytime_until


def next_daytime(clinic: Clinic, now: datetime) -> datetime:
    """Now if it is daytime, otherwise when daytime begins next."""
    if is_daytime(clinic, now):
        return now
    local = now.astimezone(clinic.zone)
    day = local.date() if local.hour * 60 + local.minute < clinic.daytime_from else local.date() + timedelta(days=1)
    begins = time(*divmod(clinic.daytime_from, 60))
    return datetime.combine(day, begins, tzinfo=clinic.zone).astimezone(UTC)


def _due(clinic: Clinic, channel: Channel, soonest: datetime, *, urgent: bool, now: datetime) -> datetime:
    """When a message is due: e-mails at once, text messages in daytime.

    A text message does not wait for the morning if the appointment is, or was, before that.
    """
    if channel == "email":
        return now
    morning = next_daytime(clinic, now)
    return now if urgent and soonest <= morning else morning


def earliest_text(clinic: Clinic, wanted: datetime, planned_for: datetime, expires_at: datetime) -> datetime:
    """When a text message wanted for `wanted` is sent: in daytime, unless it was planned for the night.

    If the morning would be too late, it is sent in the night.
    """
    if is_daytime(clinic, wanted) or not is_daytime(clinic, planned_for):
        return wanted
    morning = next_daytime(clinic, wanted)
    return morning if morning < expires_at else wanted


# --------------------------------------------------------------------------------------------------- reminders


def reminder_keys(clinic: Clinic, starts_at: datetime) -> str:
    """The prefix of the keys of all reminders for the local day of an appointment."""
    return f"{REMINDER}:{starts_at.astimezone(clinic.zone).date().isoformat()}:"


def withdraw_reminders_of(session: Session, appointment_id: int, before: datetime) -> None:
    """Withdraw the reminders of an appointment that began at `before`, and of the day on which it is now."""
    if not outbox.is_any_waiting(session, REMINDER):
        return
    clinic = get_clinic(session)
    facts = AppointmentFacts(*rows(session, _FACTS_OF_APPOINTMENT, appointment_id=appointment_id).one())
    for start in (before, facts.starts_at):
        _withdraw_reminders(session, clinic, facts, start)


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
        recipients=[recipient.address for recipient, _wanted in _addresses_of(facts)],
        keys_beginning=reminder_keys(clinic, starts_at),
    )
