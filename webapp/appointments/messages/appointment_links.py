"""The links in messages: which appointment a link shows, and who may use it without signing in.

A link names an appointment by a random key, and the address that it was sent to by a code. It is valid as long as the
clinic would still write to that address about the appointment: when an address is corrected, links sent to the wrong
one stop working. They also stop working when the account of that address is disabled, seven days after the appointment
or its cancellation, and when staff end all links that were sent so far: the appointment then gets another key.

Links that were sent before there were keys name the reference and the address; they end in the same ways.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.booking import status_service
from webapp.appointments.exceptions import AppointmentLinkEnded
from webapp.appointments.messages.recipients import (
    FACTS,
    LINK_PURPOSE,
    AppointmentFacts,
    Recipient,
    addressee_of,
    addressee_of_stand_in,
)
from webapp.auth.models import User
from webapp.auth.schemas import NO_ACCOUNT, Actor
from webapp.clinic.service import get_clinic
from webapp.core import phones
from webapp.core.signing import unsign
from webapp.database import rows, table_of
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment

VALID_AFTER = timedelta(days=7)

_FACTS_OF_REFERENCE = FACTS.where(table_of(Appointment).c.reference == sa.bindparam("reference"))
_FACTS_OF_KEY = FACTS.where(table_of(Appointment).c.link_key == sa.bindparam("key"))


def find_link_access(
    session: Session, token: str, keys: Sequence[str], *, address: str = "", now: datetime
) -> tuple[Actor, str]:
    """The actor for the link with this token, and the reference of its appointment.

    `address` is the client's IP address.

    Raises:
        AppointmentLinkEnded: we did not sign it, there is no such appointment, its time is over or staff have ended it,
            its address is not connected to the appointment any more, or belongs to a disabled account; the error does
            not say which.
    """
    match unsign(keys, LINK_PURPOSE, token):
        case str(said):
            found = _find_by_key(session, said)
        case [str(reference), str(sent_to)]:
            found = _find_by_reference(session, reference, sent_to)
        case _:
            found = None
    actor = _holder(session, *found, address) if found is not None and now < end_of_links(found[0]) else None
    if actor is None or found is None:
        raise AppointmentLinkEnded(get_clinic(session).phone_shown)
    return actor, found[0].reference


def end_of_links(facts: AppointmentFacts) -> datetime:
    """When the links to an appointment stop working by themselves."""
    return (facts.updated_at if facts.status == "cancelled" else facts.ends_at) + VALID_AFTER


def end_links(session: Session, actor: Actor, reference: str, *, now: datetime) -> None:
    """End all links to an appointment that were sent so far, as staff; later messages carry others.

    Raises:
        NoSuchAppointment, Forbidden.
    """
    if not actor.is_staff:
        raise Forbidden(_("Only staff can end these links."))
    view = queries.get_appointment(session, actor, reference)
    appointment = table_of(Appointment)
    ended = sa.update(appointment).where(appointment.c.id == view.id)
    session.connection().execute(ended.values(link_key=secrets.token_urlsafe(16), links_ended_at=now))
    status_service.record_unseen(session, actor, "links_ended", view.id, now=now)


def _find_by_key(session: Session, said: str) -> tuple[AppointmentFacts, Recipient] | None:
    key, _dot, stand_in = said.partition(".")
    row = rows(session, _FACTS_OF_KEY, key=key).one_or_none()
    if row is None:
        return None
    facts = AppointmentFacts(*row)
    addressee = addressee_of_stand_in(facts, stand_in)
    return (facts, addressee) if addressee is not None else None


def _find_by_reference(session: Session, reference: str, sent_to: str) -> tuple[AppointmentFacts, Recipient] | None:
    row = rows(session, _FACTS_OF_REFERENCE, reference=reference).one_or_none()
    if row is None:
        return None
    facts = AppointmentFacts(*row)
    if facts.links_ended_at is not None:
        return None
    addressee = addressee_of(facts, sent_to)
    if addressee is None and "@" not in sent_to:
        # Links that were sent before numbers were stored in E.164 name them as they were typed.
        addressee = addressee_of(facts, phones.dialled_as(sent_to, get_clinic(session).home_country))
    return (facts, addressee) if addressee is not None else None


def _holder(session: Session, facts: AppointmentFacts, addressee: Recipient, address: str) -> Actor | None:
    query = (
        sa.select(Patient.name)
        .outerjoin(User, User.id == Patient.user_id)
        .where(Patient.id == addressee.patient_id, User.active.is_not(False))
    )
    name = session.scalar(query)
    if name is None:
        return None
    sent_to = addressee.address
    return Actor(
        NO_ACCOUNT, 0, name, sent_to, "patient", address, appointment_id=facts.id, patient_id=addressee.patient_id
    )
