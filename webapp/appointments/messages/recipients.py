"""The recipients of messages about an appointment: its facts, and the addresses of the patient and of the guardian.

Each message, and each link in one, belongs to one of these addresses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.calendars.ical import initials
from webapp.auth.models import User
from webapp.clinic.models import VisitType
from webapp.core import phones
from webapp.database import rows, table_of
from webapp.doctors.models import Doctor
from webapp.notifications.outbox import Channel
from webapp.patients.models import Patient, link_is_active
from webapp.patients.names import shown_name_column
from webapp.scheduling.models import Appointment

# Only the recipient of a message may follow its links.
LINK_PURPOSE = "visit"


class AppointmentFacts(NamedTuple):
    """The data of messages about an appointment. Instants are UTC.

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


# Tables instead of mapped classes, and built once, because every booking runs this query.
_APPOINTMENT, _DOCTOR, _KIND = table_of(Appointment), table_of(Doctor), table_of(VisitType)
_PATIENT, _MANAGER = table_of(Patient), table_of(Patient).alias("manager")
_ACCOUNT, _MANAGERS_ACCOUNT = table_of(User), table_of(User).alias("managers_account")
_GUARDIAN = table_of(Patient).alias("guardian")


def _unless_shared(address: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """The patient's address; '' where the person who books for them has it as well, and may not read this message.

    They may not where the appointment is confidential, and after they have lost their access.
    """
    theirs = sa.or_(_GUARDIAN.c.email == address, _GUARDIAN.c.phone == address)
    shared = sa.exists().where(_GUARDIAN.c.id == _PATIENT.c.managed_by_id, theirs).correlate(_PATIENT)
    return sa.case(
        (sa.and_(sa.or_(_APPOINTMENT.c.confidential.is_(True), ~link_is_active(_PATIENT.c)), shared), ""), else_=address
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
    shown_name_column(_PATIENT.c),
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
            _MANAGER.c.id == _PATIENT.c.managed_by_id,
            link_is_active(_PATIENT.c),
            _APPOINTMENT.c.confidential.is_(False),
        ),
    )
    .outerjoin(_MANAGERS_ACCOUNT, _MANAGERS_ACCOUNT.c.id == _MANAGER.c.user_id)
)
_FACTS_OF_APPOINTMENT = FACTS.where(_APPOINTMENT.c.id == sa.bindparam("appointment_id"))


def facts_of(session: Session, appointment_id: int) -> AppointmentFacts:
    """The facts of this appointment."""
    return AppointmentFacts(*rows(session, _FACTS_OF_APPOINTMENT, appointment_id=appointment_id).one())


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
    # The details of a person without an account were typed by the person who books for them.
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


def link_of(facts: AppointmentFacts, address: str) -> str | list[str]:
    """The content, before it is signed, of the link to an appointment that is sent to this address.

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
