"""A message in the clinic's own words to the patients of several appointments, each address once.

Every address gets one message, which names all of its appointments among those that were chosen: a patient with two
appointments, and a parent with two children, read the words once. Patients whom no message reaches are on the
notification list, with a call to make. Patients who had such a message within a day get another one only if staff say
so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages import appointment_messages, daytime, notification_lists
from webapp.appointments.messages.appointment_messages import CLINIC_MESSAGE
from webapp.appointments.messages.recipients import (
    FACTS,
    AppointmentFacts,
    Recipient,
    addresses_of,
    facts_of,
    recipients_of,
    short,
)
from webapp.appointments.models import NotificationLine, NotificationList
from webapp.appointments.queries import visible_to
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.database import table_of
from webapp.exceptions import Conflict
from webapp.i18n import gettext as _
from webapp.notifications import outbox
from webapp.notifications.models import OutboxMessage
from webapp.notifications.outbox import LIFETIME, Channel, Message
from webapp.patients import service as patients
from webapp.scheduling.models import ACTIVE, Appointment

# With the clinic's name and the appointment it fits into three parts of a text message, which is what a gateway joins.
LONGEST = 300
# Within this time after one message, another to the same patient is probably a mistake, or more than they want.
RECENTLY = timedelta(hours=24)

_OF = table_of(Appointment).c


class AddressedMessage(NamedTuple):
    """One message: to whom, and about which appointments, each with the recipient's relation to it."""

    recipient: Recipient
    appointments: list[tuple[AppointmentFacts, Recipient]]


class SendResult(NamedTuple):
    """The result: the notification list, how many patients it has, and how many messages were written."""

    list_id: int
    patients: int
    messages: int


class EarlierMessage(NamedTuple):
    """The last message that a patient got: when, and what it said."""

    at: datetime
    words: str


class WrittenToRecently(Conflict):
    """Some of these patients had a message within a day, and staff did not say that they get another one."""

    code = "written_to_recently"

    def __init__(self) -> None:
        super().__init__(_("Some of these patients have just had another message. Choose who gets this one, too."))


class NoOneToTell(Conflict):
    """None of the chosen appointments is upcoming any more."""

    code = "no_one_to_tell"

    def __init__(self) -> None:
        super().__init__(_("All these appointments have started or are cancelled. No message was sent."))


def find_upcoming(session: Session, actor: Actor, ids: Sequence[int], *, now: datetime) -> list[AppointmentFacts]:
    """The appointments among these that the actor may see and that are upcoming, in order of their start."""
    query = FACTS.where(_OF.id.in_(list(ids)), _OF.status.in_(ACTIVE), _OF.starts_at > now, visible_to(actor))
    return [AppointmentFacts._make(row) for row in session.execute(query.order_by(_OF.starts_at, _OF.id))]


def addressed_messages(appointments: Sequence[AppointmentFacts]) -> list[AddressedMessage]:
    """The messages about these appointments, one for each address."""
    found: dict[tuple[Channel, str], AddressedMessage] = {}
    for facts in appointments:
        for recipient in recipients_of(facts):
            message = found.setdefault((recipient.channel, recipient.address), AddressedMessage(recipient, []))
            message.appointments.append((facts, recipient))
    return list(found.values())


def values_of(message: AddressedMessage, clinic: Clinic, words: str, *, now: datetime) -> dict[str, Any]:
    """The values of a message's template."""
    told = [
        appointment_messages.appointment_values(facts, recipient, clinic, now=now)
        for facts, recipient in message.appointments
    ]
    return {"clinic": clinic.letterhead, "said": words, "visits": told}


def recent_messages(
    session: Session, appointments: Sequence[AppointmentFacts], *, now: datetime
) -> dict[int, EarlierMessage]:
    """The last such message of each patient of these appointments who had one within a day, by the patient's id.

    A message counts for a patient who was to be called instead, and for one whose recipients got it about another
    patient: a parent of two children has read the words.
    """
    lists, lines = table_of(NotificationList), table_of(NotificationLine)
    query = (
        sa.select(_OF.patient_id, lists.c.made_at, lists.c.words, lines.c.messages)
        .join_from(lists, lines, lines.c.list_id == lists.c.id)
        .join(table_of(Appointment), _OF.id == lines.c.appointment_id)
        .where(lists.c.kind == "message", lists.c.made_at > now - RECENTLY)
        .order_by(lists.c.id)
    )
    told = session.execute(query).all()
    addresses = outbox.recipients_of(session, {number for row in told for number in row.messages})
    by_patient: dict[int, EarlierMessage] = {}
    by_address: dict[str, EarlierMessage] = {}
    for row in told:
        by_patient[row.patient_id] = earlier = EarlierMessage(row.made_at, row.words)
        by_address |= {addresses[number]: earlier for number in row.messages if number in addresses}
    found: dict[int, EarlierMessage] = {}
    for facts in appointments:
        theirs = [by_address.get(recipient.address) for recipient in recipients_of(facts)]
        known = [each for each in (by_patient.get(facts.patient_id), *theirs) if each is not None]
        if known:
            found[facts.patient_id] = max(known)
    return found


def send(
    session: Session,
    actor: Actor,
    ids: Sequence[int],
    words: str,
    *,
    once: str,
    again: Collection[int] = (),
    now: datetime,
) -> SendResult | None:
    """Write the messages about these appointments, and the notification list; None if this form was sent before.

    The audit log says who wrote to whom, but not what. `again` are the patients who get it although they had another
    message within a day.

    Raises:
        NoOneToTell: none of the appointments is upcoming.
        WrittenToRecently: another patient had one within a day.
    """
    made = notification_lists.begin_for_form(session, actor, "message", words=words, once=once, now=now)
    if made is None:
        return None
    upcoming = _lock_upcoming(session, actor, ids, now=now)
    if recent_messages(session, [facts for facts in upcoming if facts.patient_id not in again], now=now):
        raise WrittenToRecently
    clinic = get_clinic(session)
    by_patient: dict[int, list[int]] = {}
    written = 0
    for message in addressed_messages(upcoming):
        number = _write(session, clinic, made, message, words, now=now)
        if number is None:
            continue
        written += 1
        for facts, _recipient in message.appointments:
            by_patient.setdefault(facts.patient_id, []).append(number)
    first = {facts.patient_id: facts for facts in reversed(upcoming)}
    for patient_id, facts in first.items():
        messages = list(dict.fromkeys(by_patient.get(patient_id, ())))
        notification_lists.note(session, made, facts.id, "message", was_at=facts.starts_at, messages=messages)
    audit.record_all_by(session, actor, "patient_messaged", subject_type="patient", subject_ids=sorted(first), now=now)
    return SendResult(made, len(first), written)


def _lock_upcoming(session: Session, actor: Actor, ids: Sequence[int], *, now: datetime) -> list[AppointmentFacts]:
    """The upcoming appointments among these, with locks on their patients.

    Data that is read after the locks stays true until the end, because cancelling and moving take them, too.

    Raises:
        NoOneToTell: none of the appointments is upcoming.
    """
    for patient_id in sorted({facts.patient_id for facts in find_upcoming(session, actor, ids, now=now)}):
        patients.lock_patient(session, patient_id)
    upcoming = find_upcoming(session, actor, ids, now=now)
    if not upcoming:
        raise NoOneToTell
    return upcoming


def withdraw_about(session: Session, appointment_id: int) -> None:
    """Withdraw the messages that wait and name an appointment which was cancelled or got another time, doctor or type.

    The rest of their content is on the notification list, with calls to make.
    """
    if outbox.is_any_waiting(session, CLINIC_MESSAGE):
        facts = facts_of(session, appointment_id)
        for address in addresses_of(facts):
            withdraw_naming(session, address, {facts.reference})


def withdraw_naming(session: Session, address: str, references: Collection[str]) -> None:
    """Withdraw waiting messages to an address that may no longer read about one of these appointments. Recipients who
    should still read the words for another appointment are on the notification list, with a call to make.
    """
    of = OutboxMessage
    waiting = of.recipient == address, of.template == CLINIC_MESSAGE, of.status == "waiting"
    found = session.execute(sa.select(table_of(of).c.id, table_of(of).c["values"]).where(*waiting)).all()
    named = [number for number, values in found if any(each["reference"] in references for each in values["visits"])]
    if named:
        gone = sa.delete(of).where(of.id.in_(named), *waiting)
        session.execute(gone.execution_options(synchronize_session=False))


def _write(
    session: Session, clinic: Clinic, list_id: int, addressed: AddressedMessage, words: str, *, now: datetime
) -> int | None:
    """Write one message; its id, or None if it could only be sent after the first appointment begins."""
    recipient, soonest = addressed.recipient, addressed.appointments[0][0].starts_at
    due_at = daytime.due_at(clinic, recipient.channel, soonest, urgent=True, now=now)
    expires_at = min(now + LIFETIME, soonest)
    if due_at >= expires_at:
        return None
    key = f"{CLINIC_MESSAGE}:{list_id}:{short(recipient.address)}"
    subject = "patient", recipient.patient_id
    message = Message(
        dedupe_key=key,
        channel=recipient.channel,
        recipient=recipient.address,
        template=CLINIC_MESSAGE,
        values=values_of(addressed, clinic, words, now=now),
        subject=subject,
        due_at=due_at,
        expires_at=expires_at,
    )
    outbox.enqueue(session, message, now=now)
    return outbox.ids_about(session, subject, key)[0]
